/* See keep.h. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "module/fs.h"
#include "module/guard.h"
#include "module/keep.h"

#define ROOT_STORE	"/var/lib/provctl/before"
#define CHUNK		((size_t)64 * 1024)
#define NS		INT64_C(1000000000)
#define FREE_MIN	((uint64_t)64 * 1024 * 1024)	/* of the disk, after keeping */
#define FILE_PART	4	/* one file takes at most this part of the store */

/* Bytes in the store as this process knows them; -1: not counted yet. */
static int64_t	stored = -1;

/* ---- the store ---------------------------------------------------------- */

/* Makes the directories of path that are missing. 0, or -1 with errno. */
static int
make_dirs(struct arena *arena, const char *path)
{
	char *copy = arena_strdup(arena, path), *p;

	for (p = copy + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return -1;
	}
	return mkdir(copy, 0700) == -1 && errno != EEXIST ? -1 : 0;
}

static const char *
store_path(struct mod *m)
{
	const char *home = getenv("HOME");

	if (m->keep->dir != NULL)
		return m->keep->dir;
	if (geteuid() == 0)
		return ROOT_STORE;
	return home == NULL || *home != '/' ? NULL :
	    arena_printf(m->arena, "%s/.cache/provctl/before", home);
}

int
keep_store(struct mod *m)
{
	struct keep *k = m->keep;
	const char *path;
	struct stat st;

	if (k->store != -1 || k->why != NULL)
		return k->store;
	if ((path = store_path(m)) == NULL)
		k->why = "the user has no home to keep it in";
	else if (make_dirs(m->arena, path) == -1 || (k->store = open(path,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		k->why = arena_printf(m->arena, "%s: %s", path, strerror(errno));
	else if (fstat(k->store, &st) == -1 || st.st_uid != geteuid() ||
	    (st.st_mode & 077) != 0) {
		k->why = arena_printf(m->arena,
		    "%s is not a directory of this user alone", path);
		(void)close(k->store);
		k->store = -1;
	}
	return k->store;
}

struct stored {
	char	 name[SHA256_HEX];
	int64_t	 mtime, size;
};

static int
older(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->mtime < y->mtime ? -1 : x->mtime > y->mtime;
}

static bool
is_content(const char *name)
{
	return strlen(name) == SHA256_HEX - 1 &&
	    strspn(name, "0123456789abcdef") == SHA256_HEX - 1;
}

/* Counts what is stored; what is too old goes, then the oldest until `max` bytes are left. */
static void
prune(const struct keep *k, int64_t max)
{
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	struct stored *v = NULL;
	const struct dirent *de;
	size_t n = 0, i;
	struct stat st;
	time_t now = time(NULL);
	int fd = openat(k->store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	stored = 0;
	if (fd == -1 || (dir = fdopendir(fd)) == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		if (fstatat(k->store, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(st.st_mode))
			continue;
		/* Also what a killed process has left half written. */
		if (now - st.st_mtime > k->days * 86400 || (!is_content(de->d_name) &&
		    now - st.st_mtime > 3600)) {
			(void)unlinkat(k->store, de->d_name, 0);
			continue;
		}
		if (!is_content(de->d_name))
			continue;
		v = xreallocarray(v, n + 1, sizeof(*v));
		memcpy(v[n].name, de->d_name, sizeof(v[n].name));
		v[n].mtime = st.st_mtime;
		v[n++].size = st.st_size;
		stored += st.st_size;
	}
	if (stored > max && n > 1)
		qsort(v, n, sizeof(*v), older);
	for (i = 0; i < n && stored > max; i++)
		if (unlinkat(k->store, v[i].name, 0) == 0)
			stored -= v[i].size;
	free(v);
}

/* ---- contents ----------------------------------------------------------- */

/* Hashes from, copying it to `to` unless that is -1. 0, or -1 with errno. */
static int
hash_copy(int from, int to, char hex[SHA256_HEX])
{
	CLEANUP_FREE char *chunk = xmalloc(CHUNK);
	unsigned char digest[SHA256_LEN];
	struct sha256 sum;
	ssize_t n, done, k;

	sha256_init(&sum);
	while ((n = read(from, chunk, CHUNK)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		sha256_add(&sum, chunk, (size_t)n);
		for (done = 0; to != -1 && done < n; done += k)
			if ((k = write(to, chunk + done, (size_t)(n - done))) == -1)
				return -1;
	}
	sha256_end(&sum, digest);
	sha256_hex(digest, hex);
	return 0;
}

/* Why a file of this size is not to be kept, or NULL. */
static const char *
refused(struct mod *m, int64_t size)
{
	struct keep *k = m->keep;
	struct statvfs fs;

	if (keep_store(m) == -1)
		return k->why;
	if (size > k->bytes / FILE_PART)
		return "the file is too large";
	if (stored == -1)
		prune(k, k->bytes);
	if (stored + size > k->bytes)
		prune(k, k->bytes - size > k->bytes / 10 * 9 ? k->bytes / 10 * 9 :
		    k->bytes - size);
	if (fstatvfs(k->store, &fs) == -1 || (uint64_t)fs.f_bavail * fs.f_frsize <
	    (uint64_t)size + FREE_MIN)
		return "the disk is nearly full";
	return NULL;
}

/* Puts a file's content into the store. NULL, or why not; hex is set unless the file cannot be read. */
static const char *
store_content(struct mod *m, int fd, int64_t size, char hex[SHA256_HEX])
{
	const char *why = refused(m, size);
	struct keep *k = m->keep;
	char temp[32];
	int to = -1;

	if (why == NULL && (to = fs_temp_at(k->store, temp, sizeof(temp))) == -1)
		why = arena_printf(m->arena, "the store: %s", strerror(errno));
	if (hash_copy(fd, to, hex) == -1) {
		why = arena_printf(m->arena, "it could not be copied: %s",
		    strerror(errno));
		*hex = '\0';
		if (to != -1 && lseek(fd, 0, SEEK_SET) == 0 &&
		    hash_copy(fd, -1, hex) == -1)
			*hex = '\0';
	}
	if (to == -1)
		return why;
	if (why == NULL && faccessat(k->store, hex, F_OK, 0) == 0) {
		(void)utimensat(k->store, hex, NULL, AT_SYMLINK_NOFOLLOW);
		(void)unlinkat(k->store, temp, 0);
	} else if (why != NULL || renameat(k->store, temp, k->store, hex) == -1) {
		if (why == NULL)
			why = strerror(errno);
		(void)unlinkat(k->store, temp, 0);
	} else
		stored += size;
	/* A guard must find it after a power failure, too. */
	if (why == NULL && k->guard != NULL && (fsync(to) == -1 || fsync(k->store) == -1))
		why = arena_printf(m->arena, "the store: %s", strerror(errno));
	(void)close(to);
	return why;
}

int
keep_content(struct mod *m, const char *sha256)
{
	char hex[SHA256_HEX];
	int fd;

	if (keep_store(m) == -1)
		return mod_fail(m, "the kept contents cannot be read: %s",
		    m->keep->why);
	if (!is_content(sha256))
		return mod_fail(m, "'%s' is no SHA-256", sha256);
	fd = openat(m->keep->store, sha256, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return mod_fail(m, errno == ENOENT ?
		    "its content is not kept on the host any more (provctl_keep_days, provctl_keep_bytes)" :
		    "its kept content cannot be read: %s", strerror(errno));
	if (sha256_fd(fd, hex) == -1 || strcmp(hex, sha256) != 0 ||
	    lseek(fd, 0, SEEK_SET) == -1) {
		(void)close(fd);
		return mod_fail(m, "its kept content is damaged");
	}
	return fd;
}

/* ---- looking ------------------------------------------------------------ */

/* Most files have none: then nothing is said. */
static void
look_xattrs(struct mod *m, int fd, struct value *v, bool store)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int copy = -1;
	char hex[SHA256_HEX] = "?";
	const char *why = NULL;

	if (fs_xattrs_pack(fd, &b) == -1)
		why = arena_printf(m->arena, "its attributes could not be read: %s",
		    strerror(errno));
	else if (b.len == 0)
		return;
	else if (!store)
		sha256_text(b.data, b.len, hex);
	else if ((copy = memfd_create("provctl", MFD_CLOEXEC)) == -1 ||
	    write(copy, b.data, b.len) != (ssize_t)b.len ||
	    lseek(copy, 0, SEEK_SET) == -1)
		why = "its attributes could not be copied";
	else if ((why = store_content(m, copy, (int64_t)b.len, hex)) != NULL)
		why = arena_printf(m->arena, "its attributes: %s", why);
	v_set_str(m->arena, v, "xattrs", hex);
	if (store && why != NULL)
		v_set_str(m->arena, v, "xattrs_why", why);
}

static void
look_file(struct mod *m, const char *path, struct value *v, bool store)
{
	CLEANUP_CLOSE int fd = -1;
	char hex[SHA256_HEX] = "";
	const char *why = NULL;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd != -1)
		look_xattrs(m, fd, v, store);
	if (fd == -1 || fstat(fd, &st) == -1)
		why = arena_printf(m->arena, "it could not be read: %s",
		    strerror(errno));
	else if (store)
		why = store_content(m, fd, st.st_size, hex);
	else if (sha256_fd(fd, hex) == -1)
		*hex = '\0';
	if (*hex != '\0')
		v_set_str(m->arena, v, "sha256", hex);
	if (store && why != NULL)
		v_set_str(m->arena, v, "why", why);
}

static const struct value *
look(struct mod *m, const char *path, bool store)
{
	struct value *v = v_map(m->arena);
	CLEANUP_CLOSE int fd = -1;
	char target[PATH_MAX];
	const char *type;
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) == -1) {
		v_set_str(m->arena, v, "type",
		    errno == ENOENT || errno == ENOTDIR ? "absent" : "other");
		return v;
	}
	type = S_ISREG(st.st_mode) ? "file" : S_ISLNK(st.st_mode) ? "link" :
	    S_ISDIR(st.st_mode) ? "directory" : "other";
	v_set_str(m->arena, v, "type", type);
	v_set_int(m->arena, v, "uid", st.st_uid);
	v_set_int(m->arena, v, "gid", st.st_gid);
	v_set_int(m->arena, v, "mtime", (int64_t)st.st_mtim.tv_sec * NS +
	    st.st_mtim.tv_nsec);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		v_set_str(m->arena, v, "target", target);
		return v;
	}
	v_set_int(m->arena, v, "mode", st.st_mode & 07777);
	if (S_ISREG(st.st_mode)) {
		v_set_int(m->arena, v, "size", st.st_size);
		look_file(m, path, v, store);
	} else if (S_ISDIR(st.st_mode) && (fd = open(path, O_RDONLY |
	    O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) != -1)
		look_xattrs(m, fd, v, store);
	return v;
}

const struct value *
keep_look(struct mod *m, const char *path)
{
	return look(m, path, false);
}

bool
keep_same(const struct value *a, const struct value *b)
{
	static const char *const keys[] = {
		"type", "uid", "gid", "mode", "sha256", "target", "xattrs" };
	size_t i;

	for (i = 0; i < NITEMS(keys); i++) {
		const struct value *x = v_gets(a, keys[i]), *y = v_gets(b, keys[i]);

		if ((x == NULL) != (y == NULL) || (x != NULL && !v_equal(x, y)))
			return false;
	}
	return true;
}

bool
keep_time(const struct value *look, struct timespec *ret)
{
	int64_t ns = v_get_int(look, "mtime", -1);

	*ret = (struct timespec){ .tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS) };
	return v_gets(look, "mtime") != NULL && ns >= 0;
}

/* Anything to put back? Only the time of a directory changes with what is in it: that is nothing. */
static bool
changed(const struct value *was, const struct value *left)
{
	return !keep_same(was, left) ||
	    (strcmp(v_get_str(was, "type", ""), "directory") != 0 &&
	    v_get_int(was, "mtime", 0) != v_get_int(left, "mtime", 0));
}

/* ---- noting ------------------------------------------------------------- */

/*
 * One spelling a path: absolute, the links of its directories followed as far
 * as they exist; the last part is as it stands.
 */
static const char *
plain(struct mod *m, const char *path)
{
	char *copy = arena_strdup(m->arena, path), *slash, real[PATH_MAX];
	size_t n = strlen(copy);

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	for (;;) {
		if ((slash = strrchr(copy, '/')) == NULL)
			break;
		*slash = '\0';
		if (realpath(slash == copy ? "/" : copy, real) != NULL)
			return arena_printf(m->arena, "%s/%s", strcmp(real, "/") == 0 ?
			    "" : real, path + (slash - copy) + 1);
		if (slash == copy)
			break;
	}
	return realpath(".", real) == NULL ? path :
	    arena_printf(m->arena, "%s/%s", real, path);
}

int
keep_path(struct mod *m, const char *path)
{
	struct keep *k = m->keep;
	const struct value *was;
	struct value *e;

	if (k == NULL || m->check || k->bytes == 0)
		return 0;
	if (k->entries == NULL)
		k->entries = v_map(m->arena);
	path = plain(m, path);
	if (v_gets(k->entries, path) != NULL)
		return 0;
	/* What cannot be written down cannot be put back. */
	if (v_count(k->entries) >= KEEP_ENTRIES_MAX ||
	    !utf8_valid(path, strlen(path))) {
		k->lost++;
		return 0;
	}
	was = look(m, path, true);
	e = v_map(m->arena);
	v_set_str(m->arena, e, "path", path);
	v_sets(m->arena, e, "was", was);
	v_sets(m->arena, k->entries, path, e);
	return k->guard == NULL ? 0 : guard_file(m, e);
}

static int
keep_entry(struct mod *m, const struct fs_entry *e, void *arg)
{
	(void)arg;
	return e->name == NULL ? 0 : keep_path(m, e->path);
}

int
keep_tree(struct mod *m, const char *path)
{
	struct stat st;

	if (m->keep == NULL || m->check || m->keep->bytes == 0)
		return 0;
	if (keep_path(m, path) == -1)
		return -1;
	if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode))
		return 0;
	return fs_walk(m, path, FS_WALK_ERRORS, keep_entry, NULL);
}

void
keep_done(struct mod *m)
{
	struct keep *k = m->keep;
	const struct ventry *e;
	struct value *list, *entry;
	uint32_t it = 0;

	if (k == NULL)
		return;
	list = v_list(m->arena);
	while (k->entries != NULL && (e = v_next(k->entries, &it)) != NULL) {
		const struct value *left = keep_look(m, e->key->u.s);

		if (!changed(v_gets(e->val, "was"), left))
			continue;
		entry = v_map(m->arena);
		v_merge(m->arena, entry, e->val);
		v_sets(m->arena, entry, "left", left);
		v_push(m->arena, list, entry);
	}
	if (k->lost > 0) {
		entry = v_map(m->arena);
		v_set_str(m->arena, entry, "path", "");
		v_set_int(m->arena, entry, "lost", k->lost);
		v_push(m->arena, list, entry);
	}
	if (v_count(list) > 0)
		mod_set(m, KEEP_RESULT, list);
	if (k->store != -1)
		(void)close(k->store);
	k->store = -1;
}
