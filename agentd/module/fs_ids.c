/*
 * Names and numbers of users and groups.
 *
 * The files of /etc are asked through the C library (musl knows only them);
 * what is not there may come from LDAP or SSSD: `getent` tells, since the
 * executor is static and cannot load the host's NSS plug-ins.  Answers are
 * kept, but only as long as /etc/passwd and /etc/group stay as they are, and
 * only good ones: a user may be made by any command at any moment.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "module/fs.h"
#include "module/proc.h"

#define IDS_KEPT_MAX	256
#define GETENT_MS	10000

struct ids_entry {
	char		*name;
	unsigned	 id;
};

struct ids {
	const char		*file;		/* /etc/passwd */
	const char		*database;	/* for getent */
	struct timespec		 mtime;
	ino_t			 ino;
	off_t			 size;
	struct ids_entry	 kept[IDS_KEPT_MAX];
	size_t			 nkept;
};

static struct ids users = { .file = "/etc/passwd", .database = "passwd" };
static struct ids groups = { .file = "/etc/group", .database = "group" };

static void
ids_forget(struct ids *ids)
{
	while (ids->nkept > 0)
		free(ids->kept[--ids->nkept].name);
}

static void
ids_refresh(struct ids *ids)
{
	struct stat st;

	if (stat(ids->file, &st) == -1)
		memset(&st, 0, sizeof(st));
	if (st.st_ino == ids->ino && st.st_size == ids->size &&
	    st.st_mtim.tv_sec == ids->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == ids->mtime.tv_nsec)
		return;
	ids_forget(ids);
	ids->ino = st.st_ino;
	ids->size = st.st_size;
	ids->mtime = st.st_mtim;
}

static void
ids_keep(struct ids *ids, const char *name, unsigned id)
{
	if (ids->nkept == IDS_KEPT_MAX)
		ids_forget(ids);
	ids->kept[ids->nkept].name = xstrdup(name);
	ids->kept[ids->nkept++].id = id;
}

static bool
number(const char *s, unsigned *ret)
{
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	n = strtoul(s, &end, 10);
	if (errno != 0 || *end != '\0' || n >= 0xffffffffUL)
		return false;
	*ret = (unsigned)n;
	return true;
}

/* Asks getent for a name or number: "name:x:id:…". */
static bool
getent(const struct ids *ids, const char *key, struct buf *line)
{
	const char *argv[] = { "getent", "--", ids->database, key, NULL };
	struct proc p = PROC_INIT;
	bool ok;

	if (access("/usr/bin/getent", X_OK) == -1 || *key == '\0' ||
	    strpbrk(key, ":\n,/") != NULL)
		return false;
	p.argv = argv;
	p.timeout_ms = GETENT_MS;
	ok = proc_query(NULL, &p) == 0 && p.status == 0 && p.out.len > 0;
	if (ok)
		buf_add(line, p.out.data, strcspn(buf_str(&p.out), "\n"));
	proc_release(&p);
	return ok;
}

/* Takes name and id out of a line of passwd or group. */
static bool
split_line(struct buf *line, const char **ret_name, unsigned *ret_id)
{
	char *p, *id;

	(void)buf_str(line);
	p = strchr(line->data, ':');
	if (p == NULL)
		return false;
	*p = '\0';
	id = strchr(p + 1, ':');
	if (id == NULL)
		return false;
	p = strchr(++id, ':');
	if (p != NULL)
		*p = '\0';
	*ret_name = line->data;
	return number(id, ret_id);
}

static bool
by_name(struct ids *ids, const char *name, unsigned *ret)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	const struct passwd *pw;
	const struct group *gr;
	const char *found;
	size_t i;

	ids_refresh(ids);
	for (i = 0; i < ids->nkept; i++)
		if (strcmp(ids->kept[i].name, name) == 0) {
			*ret = ids->kept[i].id;
			return true;
		}
	if (ids == &users && (pw = getpwnam(name)) != NULL)
		*ret = pw->pw_uid;
	else if (ids == &groups && (gr = getgrnam(name)) != NULL)
		*ret = gr->gr_gid;
	else if (number(name, ret))
		return true;
	else if (!getent(ids, name, &line) || !split_line(&line, &found, ret))
		return false;
	ids_keep(ids, name, *ret);
	return true;
}

static const char *
by_id(struct ids *ids, struct arena *arena, unsigned id)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	const struct passwd *pw;
	const struct group *gr;
	const char *name = NULL;
	char key[16];
	unsigned got;
	size_t i;

	ids_refresh(ids);
	for (i = 0; i < ids->nkept; i++)
		if (ids->kept[i].id == id)
			return arena_strdup(arena, ids->kept[i].name);
	if (ids == &users && (pw = getpwuid(id)) != NULL)
		name = pw->pw_name;
	else if (ids == &groups && (gr = getgrgid(id)) != NULL)
		name = gr->gr_name;
	else {
		(void)snprintf(key, sizeof(key), "%u", id);
		if (!getent(ids, key, &line) ||
		    !split_line(&line, &name, &got) || got != id)
			return NULL;
	}
	ids_keep(ids, name, id);
	return arena_strdup(arena, name);
}

bool
fs_uid(const char *name, uid_t *ret)
{
	unsigned id;

	if (!by_name(&users, name, &id))
		return false;
	*ret = (uid_t)id;
	return true;
}

bool
fs_gid(const char *name, gid_t *ret)
{
	unsigned id;

	if (!by_name(&groups, name, &id))
		return false;
	*ret = (gid_t)id;
	return true;
}

const char *
fs_user_name(struct arena *arena, uid_t uid)
{
	return by_id(&users, arena, uid);
}

const char *
fs_group_name(struct arena *arena, gid_t gid)
{
	return by_id(&groups, arena, gid);
}

void
fs_ids_forget(void)
{
	ids_forget(&users);
	ids_forget(&groups);
}
