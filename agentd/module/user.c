/*
 * user, group: accounts of the host.
 *
 * What is there is read from /etc/passwd, /etc/group and /etc/shadow; useradd,
 * usermod and their family make the changes.  A password's hash never stands
 * on a command line: chpasswd reads it from its standard input.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>
#include <time.h>

#include "module/fs.h"
#include "module/keep.h"
#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }
#define DAY		86400

/* What passwd and shadow say. */
struct account {
	bool		 exists, has_shadow;
	uid_t		 uid;
	gid_t		 gid;
	const char	*comment, *home, *shell, *password;
	long		 expire, max, min, warn, inactive;	/* -1: not set */
};

/* Two maps of what differs. */
struct delta {
	struct value	*before, *after;
};

static void
add2(struct words *w, const char *option, const char *value)
{
	words_push(w, option);
	words_push(w, value);
}

static int
execute(struct mod *m, const struct words *w, const char *input)
{
	struct proc p = PROC_INIT;
	int rc;

	p.argv = w->v;
	p.input = input;
	p.ninput = input == NULL ? 0 : strlen(input);
	rc = proc_must(m, &p);
	proc_release(&p);
	fs_ids_forget();
	if (rc == -1)
		m->changed = false;
	return rc;
}

/* A name that is no option and breaks no file. */
static bool
name_valid(const char *s)
{
	return *s != '\0' && *s != '-' && strlen(s) <= 256 &&
	    strpbrk(s, ":,\n\t /") == NULL;
}

static bool
text_valid(const char *s)
{
	return strpbrk(s, ":\n") == NULL;
}

static void
differ(struct mod *m, struct delta *d, const char *key, const char *before,
    const char *after)
{
	v_sets(m->arena, d->before, key, before == NULL ? &v_null :
	    v_str(m->arena, before));
	v_sets(m->arena, d->after, key, after == NULL ? &v_null :
	    v_str(m->arena, after));
}

static const char *
number(struct mod *m, long n)
{
	return arena_printf(m->arena, "%ld", n);
}

/* ---- group -------------------------------------------------------------- */

static int
group_absent(struct mod *m, const char *name, const struct group *gr)
{
	struct words w = { .arena = m->arena };

	if (gr == NULL || !mod_change(m, arena_printf(m->arena, "group %s", name),
	    v_strf(m->arena, "gid %u", (unsigned)gr->gr_gid), NULL))
		return 0;
	words_push(&w, "groupdel");
	if (mod_arg_bool(m, "force"))
		words_push(&w, "-f");
	add2(&w, "--", name);
	return execute(m, &w, NULL);
}

static int
group_present(struct mod *m, const char *name, const struct group *gr)
{
	const struct value *gid = mod_arg(m, "gid");
	const char *what = arena_printf(m->arena, "group %s", name);
	struct words w = { .arena = m->arena };

	if (gr != NULL && (gid == NULL || (int64_t)gr->gr_gid == gid->u.i))
		return 0;
	if (!mod_change(m, what, gr == NULL ? NULL :
	    v_strf(m->arena, "gid %u", (unsigned)gr->gr_gid), gid == NULL ?
	    v_str(m->arena, "present") : v_strf(m->arena, "gid %lld",
	    (long long)gid->u.i)))
		return 0;
	words_push(&w, gr == NULL ? "groupadd" : "groupmod");
	if (gid != NULL) {
		add2(&w, "-g", number(m, (long)gid->u.i));
		if (mod_arg_bool(m, "non_unique"))
			words_push(&w, "-o");
	}
	if (gr == NULL && mod_arg_bool(m, "system"))
		words_push(&w, "-r");
	if (gr == NULL && mod_has(m, "gid_min"))
		add2(&w, "-K", arena_printf(m->arena, "GID_MIN=%lld",
		    (long long)mod_arg_int(m, "gid_min", 0)));
	if (gr == NULL && mod_has(m, "gid_max"))
		add2(&w, "-K", arena_printf(m->arena, "GID_MAX=%lld",
		    (long long)mod_arg_int(m, "gid_max", 0)));
	add2(&w, "--", name);
	return execute(m, &w, NULL);
}

static int
group_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name");
	const struct group *gr;
	int rc;

	if (!name_valid(name))
		return mod_fail(m, "'%s' cannot be the name of a group", name);
	gr = getgrnam(name);
	mod_set_str(m, "name", name);
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (mod_arg_is(m, "state", "absent"))
		return group_absent(m, name, gr);
	mod_set_bool(m, "system", mod_arg_bool(m, "system"));
	rc = group_present(m, name, gr);
	gr = rc == 0 ? getgrnam(name) : NULL;
	if (gr != NULL)
		mod_set_int(m, "gid", (int64_t)gr->gr_gid);
	return rc;
}

static const struct mod_arg group_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "The group." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall exist." },
	{ .name = "gid", .type = ARG_INT, .doc = "Its number." },
	{ .name = "system", .type = ARG_BOOL, .def = "false",
	    .doc = "A new group gets a number of the system's range." },
	{ .name = "non_unique", .type = ARG_BOOL, .def = "false",
	    .doc = "Another group may have the same number." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Removes it even if it is some user's own group." },
	{ .name = "local", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .doc = "Groups are always those of /etc/group." },
	{ .name = "gid_min", .type = ARG_INT, .doc = "Smallest number for a new one." },
	{ .name = "gid_max", .type = ARG_INT, .doc = "Largest number for a new one." },
	END
};

const struct module group_module = {
	.name = "group", .collection = "ansible.builtin",
	.summary = "Makes, changes and removes groups.",
	.examples =
	    "- group:\n"
	    "    name: exams\n"
	    "    system: true\n",
	.returns = "gid: number of the group\nname: its name\nstate: present or absent\n",
	.args = group_args, .run = group_run,
};

/* ---- reading an account ------------------------------------------------- */

static void
account_get(struct mod *m, const char *name, struct account *a)
{
	const struct passwd *pw = getpwnam(name);
	const struct spwd *sp;

	memset(a, 0, sizeof(*a));
	if (pw == NULL)
		return;
	a->exists = true;
	a->uid = pw->pw_uid;
	a->gid = pw->pw_gid;
	a->comment = arena_strdup(m->arena, pw->pw_gecos);
	a->home = arena_strdup(m->arena, pw->pw_dir);
	a->shell = arena_strdup(m->arena, pw->pw_shell);
	a->password = "";
	sp = getspnam(name);
	if (sp == NULL)
		return;
	a->has_shadow = true;
	a->password = arena_strdup(m->arena, sp->sp_pwdp);
	a->expire = sp->sp_expire;
	a->max = sp->sp_max;
	a->min = sp->sp_min;
	a->warn = sp->sp_warn;
	a->inactive = sp->sp_inact;
}

/* Names of the groups that list the user, sorted as in the file. */
static struct value *
memberships(struct mod *m, const char *name)
{
	struct value *list = v_list(m->arena);
	const struct group *gr;
	size_t i;

	setgrent();
	while ((gr = getgrent()) != NULL)
		for (i = 0; gr->gr_mem != NULL && gr->gr_mem[i] != NULL; i++)
			if (strcmp(gr->gr_mem[i], name) == 0) {
				v_push(m->arena, list, v_str(m->arena, gr->gr_name));
				break;
			}
	endgrent();
	return list;
}

static bool
contains(const struct value *list, const char *s)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_eqs(v_at(list, i), s))
			return true;
	return false;
}

static const char *
joined(struct mod *m, const struct value *list)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		buf_addf(&b, "%s%s", i > 0 ? "," : "", v_at(list, i)->u.s);
	return buf_dup(&b, m->arena);
}

/* A group by name or number; NULL: there is none. */
static const struct group *
find_group(const char *s)
{
	const struct group *gr = getgrnam(s);
	gid_t gid;

	if (gr != NULL)
		return gr;
	return s[strspn(s, "0123456789")] == '\0' && fs_gid(s, &gid) ?
	    getgrgid(gid) : NULL;
}

/*
 * The wanted supplementary groups by name, without the user's own group.
 * One that is missing is an error, but not in a check run, where an earlier
 * task would have made it.  NULL after mod_fail.
 */
static const struct value *
wanted_groups(struct mod *m, const struct account *a)
{
	const struct value *groups = mod_arg(m, "groups");
	const char *primary = mod_arg_str(m, "group");
	struct value *out = v_list(m->arena);
	const struct group *gr;
	const char *name;
	bool own;
	uint32_t i;

	for (i = 0; i < v_count(groups); i++) {
		name = v_at(groups, i)->u.s;
		if (*name == '\0')
			continue;
		if (!name_valid(name)) {
			(void)mod_fail(m, "'%s' cannot be the name of a group", name);
			return NULL;
		}
		gr = find_group(name);
		if (gr == NULL && !m->check) {
			(void)mod_fail(m, "Group %s does not exist", name);
			return NULL;
		}
		if (gr != NULL)
			name = arena_strdup(m->arena, gr->gr_name);
		own = primary != NULL ? strcmp(primary, name) == 0 :
		    a->exists && gr != NULL && gr->gr_gid == a->gid;
		if (!own && !contains(out, name))
			v_push(m->arena, out, v_str(m->arena, name));
	}
	return out;
}

/* ---- creating ----------------------------------------------------------- */

/* useradd makes the home, but not what is above it. */
static int
make_parents(struct mod *m, const char *home)
{
	const char *slash = strrchr(home, '/');
	struct stat st;
	const char *dir;

	if (slash == NULL || slash == home)
		return 0;
	dir = arena_strndup(m->arena, home, (size_t)(slash - home));
	return stat(dir, &st) == 0 ? 0 : fs_mkdir_p(m, dir, 0755);
}

static const char *
expire_date(struct mod *m)
{
	const struct value *v = mod_arg(m, "expires");
	double at = v == NULL ? -1 : v->type == V_FLOAT ? v->u.f : (double)v->u.i;
	char text[32];
	struct tm tm;
	time_t t;

	if (at < 0 || at > 253402300799.0)
		return "";
	t = (time_t)at;
	return gmtime_r(&t, &tm) == NULL || strftime(text, sizeof(text),
	    "%Y-%m-%d", &tm) == 0 ? "" : arena_strdup(m->arena, text);
}

static int
set_password(struct mod *m, const char *name, const char *password, bool lock)
{
	struct words w = { .arena = m->arena };
	const char *line;

	line = arena_printf(m->arena, "%s:%s%s\n", name,
	    lock && *password != '!' ? "!" : "", password);
	add2(&w, "chpasswd", "-e");
	return execute(m, &w, line);
}

static int
set_ages(struct mod *m, const char *name, const struct account *a,
    struct delta *d, bool apply)
{
	static const struct { const char *arg, *option; } rows[] = {
		{ "password_expire_max", "-M" }, { "password_expire_min", "-m" },
		{ "password_expire_warn", "-W" },
		{ "password_expire_account_disable", "-I" },
	};
	const long now[] = { a->max, a->min, a->warn, a->inactive };
	struct words w = { .arena = m->arena };
	bool any = false;
	size_t i;

	words_push(&w, "chage");
	for (i = 0; i < NITEMS(rows); i++) {
		const struct value *v = mod_arg(m, rows[i].arg);

		if (v == NULL || (a->exists && v->u.i == now[i]))
			continue;
		any = true;
		add2(&w, rows[i].option, number(m, (long)v->u.i));
		if (d != NULL)
			differ(m, d, rows[i].arg, a->exists ? number(m, now[i]) :
			    NULL, number(m, (long)v->u.i));
	}
	add2(&w, "--", name);
	return any && apply ? execute(m, &w, NULL) : 0;
}

/* Words of useradd, after what needs no look at the host. -1 after mod_fail. */
static int
useradd_words(struct mod *m, const char *name, struct words *w)
{
	const char *s, *home = mod_arg_path(m, "home");
	bool create_home = mod_arg_bool(m, "create_home");
	struct account none = { 0 };
	const struct value *groups;

	words_push(w, "useradd");
	if (mod_has(m, "uid")) {
		add2(w, "-u", number(m, (long)mod_arg_int(m, "uid", 0)));
		if (mod_arg_bool(m, "non_unique"))
			words_push(w, "-o");
	}
	s = mod_arg_str(m, "group");
	if (s != NULL) {
		if (find_group(s) == NULL)
			return mod_fail(m, "Group %s does not exist", s);
		add2(w, "-g", s);
	} else if (getgrnam(name) != NULL)
		words_push(w, "-N");
	if (mod_has(m, "groups")) {
		groups = wanted_groups(m, &none);
		if (groups == NULL)
			return -1;
		if (v_count(groups) > 0)
			add2(w, "-G", joined(m, groups));
	}
	if ((s = mod_arg_str(m, "comment")) != NULL)
		add2(w, "-c", s);
	if (home != NULL)
		add2(w, "-d", home);
	if ((s = mod_arg_path(m, "shell")) != NULL)
		add2(w, "-s", s);
	if (mod_has(m, "expires"))
		add2(w, "-e", expire_date(m));
	if (mod_arg_bool(m, "system"))
		words_push(w, "-r");
	if ((s = mod_arg_str(m, "umask")) != NULL)
		add2(w, "-K", arena_printf(m->arena, "UMASK=%s", s));
	if (mod_has(m, "uid_min"))
		add2(w, "-K", arena_printf(m->arena, "UID_MIN=%lld",
		    (long long)mod_arg_int(m, "uid_min", 0)));
	if (mod_has(m, "uid_max"))
		add2(w, "-K", arena_printf(m->arena, "UID_MAX=%lld",
		    (long long)mod_arg_int(m, "uid_max", 0)));
	words_push(w, create_home ? "-m" : "-M");
	if (create_home && (s = mod_arg_path(m, "skeleton")) != NULL)
		add2(w, "-k", s);
	add2(w, "--", name);
	return 0;
}

static int
create(struct mod *m, const char *name)
{
	const char *home = mod_arg_path(m, "home");
	const char *password = mod_arg_str(m, "password");
	struct account none = { 0 };
	struct words w = { .arena = m->arena };

	mod_set_bool(m, "create_home", mod_arg_bool(m, "create_home"));
	mod_set_bool(m, "system", mod_arg_bool(m, "system"));
	if (!mod_change(m, arena_printf(m->arena, "user %s", name), NULL,
	    v_str(m->arena, "present")))
		return 0;
	if (useradd_words(m, name, &w) == -1 ||
	    (home != NULL && mod_arg_bool(m, "create_home") &&
	    make_parents(m, home) == -1) || execute(m, &w, NULL) == -1)
		return -1;
	if (password != NULL && set_password(m, name, password,
	    mod_arg_bool(m, "password_lock")) == -1)
		return -1;
	return set_ages(m, name, &none, NULL, true);
}

/* ---- changing ----------------------------------------------------------- */

static void
compare_text(struct mod *m, struct words *w, struct delta *d, const char *key,
    const char *option, const char *now, const char *want)
{
	if (want == NULL || strcmp(now, want) == 0)
		return;
	differ(m, d, key, now, want);
	add2(w, option, want);
}

static int
compare_groups(struct mod *m, const char *name, const struct account *a,
    struct words *w, struct delta *d)
{
	const struct value *want, *now = memberships(m, name);
	const char *primary = mod_arg_str(m, "group");
	const struct group *gr;
	bool append = mod_arg_bool(m, "append"), any = false;
	uint32_t i;

	if (primary != NULL) {
		gr = find_group(primary);
		if (gr == NULL && !m->check)
			return mod_fail(m, "Group %s does not exist", primary);
		if (gr == NULL || gr->gr_gid != a->gid) {
			differ(m, d, "group", number(m, (long)a->gid), primary);
			add2(w, "-g", primary);
		}
	}
	if (!mod_has(m, "groups"))
		return 0;
	want = wanted_groups(m, a);
	if (want == NULL)
		return -1;
	for (i = 0; i < v_count(want); i++)
		any |= !contains(now, v_at(want, i)->u.s);
	for (i = 0; !append && i < v_count(now); i++)
		any |= !contains(want, v_at(now, i)->u.s);
	if (!any)
		return 0;
	differ(m, d, "groups", joined(m, now), arena_printf(m->arena, "%s%s",
	    append ? "with " : "", joined(m, want)));
	if (append)
		words_push(w, "-a");
	add2(w, "-G", joined(m, want));
	return 0;
}

/* Expiry, in days since 1970 as shadow has it. */
static void
compare_expiry(struct mod *m, const struct account *a, struct words *w,
    struct delta *d)
{
	const struct value *v = mod_arg(m, "expires");
	double at = v == NULL ? 0 : v->type == V_FLOAT ? v->u.f : (double)v->u.i;
	long days = at < 0 ? -1 : (long)(at / DAY);

	if (v == NULL || !a->has_shadow || days == a->expire)
		return;
	differ(m, d, "expires", number(m, a->expire), number(m, days));
	add2(w, "-e", expire_date(m));
}

/* What is to be done about the password: 0 nothing, 1 set it, 2 lock, 3 unlock. */
static int
compare_password(struct mod *m, const struct account *a, struct delta *d)
{
	const char *want = mod_arg_str(m, "password"), *now = a->password;
	const struct value *lock = mod_arg(m, "password_lock");

	if (!a->has_shadow)
		return 0;
	if (want != NULL && mod_arg_is(m, "update_password", "always") &&
	    strcmp(now + strspn(now, "!"), want + strspn(want, "!")) != 0) {
		differ(m, d, "password", "********", "******** (another)");
		return 1;
	}
	if (lock != NULL && lock->u.b && *now != '!') {
		differ(m, d, "password_lock", "false", "true");
		return 2;
	}
	if (lock != NULL && !lock->u.b && *now == '!') {
		differ(m, d, "password_lock", "true", "false");
		return 3;
	}
	return 0;
}

static int
modify(struct mod *m, const char *name, const struct account *a)
{
	const struct value *uid = mod_arg(m, "uid");
	struct words w = { .arena = m->arena }, lock = { .arena = m->arena };
	struct delta d = { v_map(m->arena), v_map(m->arena) };
	size_t base;
	int password;

	words_push(&w, "usermod");
	base = w.n;
	if (uid != NULL && uid->u.i != (int64_t)a->uid) {
		differ(m, &d, "uid", number(m, (long)a->uid), number(m, (long)uid->u.i));
		add2(&w, "-u", number(m, (long)uid->u.i));
		if (mod_arg_bool(m, "non_unique"))
			words_push(&w, "-o");
	}
	if (compare_groups(m, name, a, &w, &d) == -1)
		return -1;
	compare_text(m, &w, &d, "comment", "-c", a->comment, mod_arg_str(m, "comment"));
	compare_text(m, &w, &d, "shell", "-s", a->shell, mod_arg_path(m, "shell"));
	compare_expiry(m, a, &w, &d);
	if (mod_has(m, "home") && strcmp(mod_arg_path(m, "home"), a->home) != 0) {
		compare_text(m, &w, &d, "home", "-d", a->home, mod_arg_path(m, "home"));
		if (mod_arg_bool(m, "move_home"))
			words_push(&w, "-m");
	}
	password = compare_password(m, a, &d);
	(void)set_ages(m, name, a, &d, false);
	mod_set_bool(m, "append", mod_arg_bool(m, "append"));
	mod_set_bool(m, "move_home", mod_arg_bool(m, "move_home"));
	if (v_count(d.after) == 0 || !mod_change(m, arena_printf(m->arena,
	    "user %s", name), d.before, d.after))
		return 0;
	if (w.n > base) {
		add2(&w, "--", name);
		if (execute(m, &w, NULL) == -1)
			return -1;
	}
	if (password == 1 && set_password(m, name, mod_arg_str(m, "password"),
	    mod_arg_bool(m, "password_lock")) == -1)
		return -1;
	if (password > 1) {
		add2(&lock, "usermod", password == 2 ? "-L" : "-U");
		add2(&lock, "--", name);
		if (execute(m, &lock, NULL) == -1)
			return -1;
	}
	return set_ages(m, name, a, NULL, true);
}

/* ---- home and key ------------------------------------------------------- */

/* An account whose home has gone gets it again. */
static int
missing_home(struct mod *m, const char *name, const struct account *a)
{
	const char *skel = mod_arg_path(m, "skeleton");
	struct words w = { .arena = m->arena };
	struct stat st;

	if (!a->exists || !mod_arg_bool(m, "create_home") ||
	    a->home[0] != '/' || lstat(a->home, &st) == 0)
		return 0;
	if (!mod_change(m, a->home, NULL, v_str(m->arena, "directory")))
		return 0;
	if (make_parents(m, a->home) == -1)
		return -1;
	add2(&w, "mkhomedir_helper", name);
	add2(&w, "0022", skel == NULL ? "/etc/skel" : skel);
	return execute(m, &w, NULL);
}

/* ssh-keygen asks for a passphrase; a program that prints a file answers. */
static int
write_private(struct mod *m, const char *text, mode_t mode, const char **ret_path)
{
	CLEANUP_CLOSE int dir = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int fd = -1;
	char name[64];

	fd = dir == -1 ? -1 : fs_temp_at(dir, name, sizeof(name));
	if (fd == -1)
		return mod_fail_errno(m, "cannot make a file in /run");
	*ret_path = arena_printf(m->arena, "/run/%s", name);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    fchmod(fd, mode) == -1)
		return mod_fail_errno(m, "cannot write %s", *ret_path);
	return 0;
}

static int
keygen(struct mod *m, const struct account *a, const char *path)
{
	const char *comment = mod_arg_str(m, "ssh_key_comment"), *argv[16];
	const char *pass = mod_arg_str(m, "ssh_key_passphrase");
	const char *secret = NULL, *asker = NULL, *env[3] = { NULL, NULL, NULL };
	char host[256] = "";
	struct proc p = PROC_INIT;
	size_t n = 0;
	int rc = 0;

	(void)gethostname(host, sizeof(host) - 1);
	argv[n++] = "ssh-keygen";
	argv[n++] = "-q";
	argv[n++] = "-t";
	argv[n++] = mod_arg_str(m, "ssh_key_type");
	if (mod_arg_int(m, "ssh_key_bits", 0) > 0) {
		argv[n++] = "-b";
		argv[n++] = number(m, (long)mod_arg_int(m, "ssh_key_bits", 0));
	}
	argv[n++] = "-C";
	argv[n++] = comment != NULL ? comment :
	    arena_printf(m->arena, "ansible-generated on %s", host);
	argv[n++] = "-f";
	argv[n++] = path;
	if (pass == NULL) {
		argv[n++] = "-N";
		argv[n++] = "";
	} else {
		if (write_private(m, pass, 0600, &secret) == -1 ||
		    write_private(m, arena_printf(m->arena,
		    "#!/bin/sh\nexec cat %s\n", secret), 0700, &asker) == -1)
			rc = -1;
		else
			env[0] = arena_printf(m->arena, "SSH_ASKPASS=%s", asker);
		env[1] = "SSH_ASKPASS_REQUIRE=force";
		p.env = env;
	}
	argv[n] = NULL;
	p.argv = argv;
	if (rc == 0)
		rc = proc_must(m, &p);
	proc_release(&p);
	if (secret != NULL)
		(void)unlink(secret);
	if (asker != NULL)
		(void)unlink(asker);
	if (rc == 0 && (lchown(path, a->uid, a->gid) == -1 ||
	    lchown(arena_printf(m->arena, "%s.pub", path), a->uid, a->gid) == -1))
		rc = mod_fail_errno(m, "cannot give %s to its user", path);
	return rc;
}

/* Adds what there is to know about the key. */
static void
key_result(struct mod *m, const char *path)
{
	CLEANUP_BUF struct buf pub = BUF_INIT;
	const char *argv[] = { "ssh-keygen", "-l", "-f", path, NULL };
	struct proc p = PROC_INIT;

	mod_set_str(m, "ssh_key_file", path);
	p.argv = argv;
	if (proc_query(m, &p) == 0 && p.status == 0)
		mod_set_str(m, "ssh_fingerprint", arena_strndup(m->arena,
		    buf_str(&p.out), strcspn(buf_str(&p.out), "\n")));
	proc_release(&p);
	pub.max = 65536;
	if (buf_read_file(&pub, arena_printf(m->arena, "%s.pub", path)) == 0)
		mod_set_str(m, "ssh_public_key", arena_strndup(m->arena,
		    buf_str(&pub), strcspn(buf_str(&pub), "\n")));
}

static int
ssh_key(struct mod *m, const struct account *a)
{
	const char *path = mod_arg_path(m, "ssh_key_file"), *dir;
	struct stat st;
	bool there;

	if (!a->exists) {
		if (!m->check)
			return mod_fail(m, "there is no user to make a key for");
		return 0;
	}
	if (path == NULL)
		path = arena_printf(m->arena, ".ssh/id_%s",
		    mod_arg_str(m, "ssh_key_type"));
	if (*path != '/')
		path = arena_printf(m->arena, "%s/%s", a->home, path);
	there = lstat(path, &st) == 0;
	if (!there || mod_arg_bool(m, "force")) {
		if (!mod_change(m, path, NULL, v_str(m->arena, "a new key")))
			return 0;
		dir = arena_strndup(m->arena, path,
		    (size_t)(strrchr(path, '/') - path));
		if (lstat(dir, &st) == -1 && (fs_mkdir_p(m, dir, 0700) == -1 ||
		    lchown(dir, a->uid, a->gid) == -1))
			return m->failed ? -1 :
			    mod_fail_errno(m, "cannot make %s", dir);
		if (keep_path(m, path) == -1 || keep_path(m,
		    arena_printf(m->arena, "%s.pub", path)) == -1)
			return -1;
		if (there && (unlink(path) == -1 && errno != ENOENT))
			return mod_fail_errno(m, "cannot replace %s", path);
		if (keygen(m, a, path) == -1)
			return -1;
	}
	key_result(m, path);
	return 0;
}

/* ---- the module --------------------------------------------------------- */

static int
user_absent(struct mod *m, const char *name, const struct account *a)
{
	struct words w = { .arena = m->arena };

	mod_set_bool(m, "force", mod_arg_bool(m, "force"));
	mod_set_bool(m, "remove", mod_arg_bool(m, "remove"));
	if (!a->exists || !mod_change(m, arena_printf(m->arena, "user %s", name),
	    v_strf(m->arena, "uid %u", (unsigned)a->uid), NULL))
		return 0;
	words_push(&w, "userdel");
	if (mod_arg_bool(m, "force"))
		words_push(&w, "-f");
	if (mod_arg_bool(m, "remove"))
		words_push(&w, "-r");
	add2(&w, "--", name);
	return execute(m, &w, NULL);
}

static int
check_texts(struct mod *m, const char *name)
{
	static const char *const args[] = { "comment", "home", "shell", "password" };
	const char *s = mod_arg_str(m, "password");
	size_t i;

	if (!name_valid(name))
		return mod_fail(m, "'%s' cannot be the name of a user", name);
	for (i = 0; i < NITEMS(args); i++)
		if (mod_arg_str(m, args[i]) != NULL &&
		    !text_valid(mod_arg_str(m, args[i])))
			return mod_fail(m, "'%s' may hold neither a colon nor a line break",
			    args[i]);
	if (s != NULL && *s != '\0' && strchr("$*!x", *s) == NULL)
		mod_warn(m, "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.");
	return 0;
}

static int
user_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name");
	struct account a;
	int rc;

	if (check_texts(m, name) == -1)
		return -1;
	account_get(m, name, &a);
	mod_set_str(m, "name", name);
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (mod_arg_is(m, "state", "absent"))
		return user_absent(m, name, &a);
	rc = a.exists ? modify(m, name, &a) : create(m, name);
	if (rc == -1)
		return -1;
	account_get(m, name, &a);
	if (missing_home(m, name, &a) == -1)
		return -1;
	if (a.exists) {
		mod_set_int(m, "uid", (int64_t)a.uid);
		mod_set_int(m, "group", (int64_t)a.gid);
		mod_set_str(m, "comment", a.comment);
		mod_set_str(m, "home", a.home);
		mod_set_str(m, "shell", a.shell);
	}
	if (mod_has(m, "groups"))
		mod_set_str(m, "groups", joined(m, mod_arg(m, "groups")));
	if (mod_has(m, "password"))
		mod_set_str(m, "password", "NOT_LOGGING_PASSWORD");
	return mod_arg_bool(m, "generate_ssh_key") ? ssh_key(m, &a) : 0;
}

static const struct mod_arg user_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "user",
	    .doc = "The user." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall exist." },
	{ .name = "uid", .type = ARG_INT, .doc = "Its number." },
	{ .name = "non_unique", .type = ARG_BOOL, .def = "false",
	    .doc = "Another user may have the same number." },
	{ .name = "group", .type = ARG_STR, .doc = "Its own group." },
	{ .name = "groups", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Further groups it is in; it leaves all others, unless `append`." },
	{ .name = "append", .type = ARG_BOOL, .def = "false",
	    .doc = "Stays in groups that are not named." },
	{ .name = "comment", .type = ARG_STR, .doc = "Its full name." },
	{ .name = "home", .type = ARG_PATH, .doc = "Its home directory." },
	{ .name = "shell", .type = ARG_PATH, .doc = "Its shell." },
	{ .name = "create_home", .type = ARG_BOOL, .def = "true", .aliases = "createhome",
	    .doc = "Makes the home directory if it is missing." },
	{ .name = "move_home", .type = ARG_BOOL, .def = "false",
	    .doc = "Takes what is in the old home along to a new one." },
	{ .name = "skeleton", .type = ARG_PATH,
	    .doc = "What a new home is filled from; /etc/skel unless given." },
	{ .name = "system", .type = ARG_BOOL, .def = "false",
	    .doc = "A new user gets a number of the system's range." },
	{ .name = "password", .type = ARG_STR, .flags = ARG_SECRET,
	    .doc = "Hash of its password, as in /etc/shadow; `*` and `!` allow none." },
	{ .name = "update_password", .type = ARG_STR, .def = "always",
	    .choices = "always,on_create",
	    .doc = "Whether an existing user's password is changed as well." },
	{ .name = "password_lock", .type = ARG_BOOL,
	    .doc = "Locks or unlocks the password." },
	{ .name = "password_expire_max", .type = ARG_INT, .doc = "Days a password is valid." },
	{ .name = "password_expire_min", .type = ARG_INT, .doc = "Days between two changes of it." },
	{ .name = "password_expire_warn", .type = ARG_INT, .doc = "Days of warning before." },
	{ .name = "password_expire_account_disable", .type = ARG_INT,
	    .doc = "Days after which the account is closed." },
	{ .name = "expires", .type = ARG_FLOAT,
	    .doc = "When the account ends, in seconds since 1970; below 0: never." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Removes the user even while logged in; replaces an SSH key." },
	{ .name = "remove", .type = ARG_BOOL, .def = "false",
	    .doc = "Removes its home as well." },
	{ .name = "generate_ssh_key", .type = ARG_BOOL, .def = "false",
	    .doc = "Makes an SSH key if there is none." },
	{ .name = "ssh_key_type", .type = ARG_STR, .def = "rsa", .doc = "Kind of key." },
	{ .name = "ssh_key_bits", .type = ARG_INT, .doc = "Its size." },
	{ .name = "ssh_key_file", .type = ARG_PATH,
	    .doc = "Its file, below the home; .ssh/id_TYPE unless given." },
	{ .name = "ssh_key_comment", .type = ARG_STR, .doc = "Its comment." },
	{ .name = "ssh_key_passphrase", .type = ARG_STR, .flags = ARG_SECRET,
	    .doc = "Its passphrase; none unless given." },
	{ .name = "umask", .type = ARG_STR, .doc = "Umask for a new home." },
	{ .name = "uid_min", .type = ARG_INT, .doc = "Smallest number for a new user." },
	{ .name = "uid_max", .type = ARG_INT, .doc = "Largest number for a new user." },
	{ .name = "local", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .doc = "Users are always those of /etc/passwd." },
	{ .name = "seuser", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "SELinux user." },
	{ .name = "hidden", .type = ARG_BOOL, .flags = ARG_IGNORED, .doc = "Only for macOS." },
	{ .name = "login_class", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Only for BSD." },
	{ .name = "profile", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Only for SunOS." },
	{ .name = "authorization", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Only for SunOS." },
	{ .name = "role", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Only for SunOS." },
	END
};

const struct module user_module = {
	.name = "user", .collection = "ansible.builtin",
	.summary = "Makes, changes and removes users.",
	.doc = "In a check run, groups that do not exist yet are taken as made by an earlier task.",
	.examples =
	    "- user:\n"
	    "    name: exams\n"
	    "    system: true\n"
	    "    shell: /usr/sbin/nologin\n"
	    "    create_home: false\n"
	    "- user:\n"
	    "    name: ada\n"
	    "    groups: [sudo]\n"
	    "    append: true\n",
	.returns = "name: the user\nuid: its number\ngroup: number of its group\nhome: its home\n"
	    "shell: its shell\ncomment: its full name\nssh_key_file: the key\nssh_public_key: its public half\n"
	    "ssh_fingerprint: its fingerprint\n",
	.args = user_args, .run = user_run,
};
