/*
 * Extraction below a directory; see extract.h.
 *
 * A file that is there is compared while the archive is read; at the first
 * difference the part that was equal is taken from the old file and the rest
 * from the archive, so that one pass over the archive is enough and what is
 * unchanged is not written.  New content goes into a temporary file beside and
 * is renamed.  Modes of directories are set last: they may forbid writing.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include "module/extract.h"
#include "module/keep.h"

#define CHUNK		((size_t)64 * 1024)

#ifndef SYS_openat2
#define SYS_openat2	437
#endif
#define BENEATH		0x08	/* RESOLVE_BENEATH */
#define IN_ROOT		0x10	/* RESOLVE_IN_ROOT */
#define NO_MAGICLINKS	0x02

struct how {
	uint64_t	 flags, mode, resolve;
};

struct dir_mode {
	struct dir_mode	*next;
	const char	*rel;
	mode_t		 mode;
	int64_t		 mtime;
};

/* What a member's place holds and should hold. */
struct spot {
	const char	*rel;		/* below dest */
	const char	*path;		/* for messages */
	const char	*base;
	int		 dir;		/* of the parent; -1: not there yet (check) */
	bool		 exists;
	struct stat	 st;
	mode_t		 mode;		/* wanted */
	uid_t		 uid;		/* wanted, -1: leave */
	gid_t		 gid;
};

/* ---- names -------------------------------------------------------------- */

/* A pattern against a name, and against what follows each slash of it. */
static bool
matches(const char *pattern, const char *name, bool anchored)
{
	const char *p = name;

	for (;;) {
		if (fnmatch(pattern, p, 0) == 0)
			return true;
		p = anchored ? NULL : strchr(p, '/');
		if (p == NULL)
			return false;
		p++;
	}
}

/* Whether the name, or a directory above it, matches one of the patterns. */
static bool
matches_any(struct mod *m, const struct value *patterns, const char *name,
    bool anchored)
{
	const char *pattern, *slash;
	uint32_t i;

	for (i = 0; i < v_count(patterns); i++) {
		pattern = archive_safe_name(m->arena, v_at(patterns, i)->u.s);
		if (pattern == NULL)
			continue;
		if (matches(pattern, name, anchored))
			return true;
		for (slash = strchr(name, '/'); slash != NULL;
		    slash = strchr(slash + 1, '/'))
			if (matches(pattern, arena_strndup(m->arena, name,
			    (size_t)(slash - name)), anchored))
				return true;
	}
	return false;
}

/* Without its first parts; NULL when nothing is left. */
static const char *
strip(const struct extract *x, const char *name)
{
	const char *slash;
	unsigned i;

	if (x->junk) {
		slash = strrchr(name, '/');
		return slash == NULL ? name : slash + 1;
	}
	for (i = 0; i < x->strip; i++) {
		name = strchr(name, '/');
		if (name == NULL)
			return NULL;
		name++;
	}
	return name;
}

/* ---- directories -------------------------------------------------------- */

/* Opens a directory below dest without ever leaving it. -1 with errno (EXDEV, ELOOP: it leads out). */
static int
open_beneath(const struct extract *x, const char *rel)
{
	struct how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = NO_MAGICLINKS |
		(strcmp(x->dest, "/") == 0 ? IN_ROOT : BENEATH) };
	char part[256];
	int fd, next;
	size_t n;

	if (*rel == '\0')
		rel = ".";
	fd = (int)syscall(SYS_openat2, x->destfd, rel, &how, sizeof(how));
	if (fd != -1 || (errno != ENOSYS && errno != EPERM))
		return fd;
	/* an old kernel, or one that hides it: no links at all */
	fd = openat(x->destfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd != -1 && *rel != '\0') {
		n = strcspn(rel, "/");
		if (n >= sizeof(part)) {
			(void)close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, rel, n);
		part[n] = '\0';
		next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		(void)close(fd);
		fd = next;
		rel += n + (rel[n] == '/');
	}
	return fd;
}

static int
cannot_open(struct mod *m, const struct extract *x, const char *rel)
{
	if (errno == EXDEV || errno == ELOOP)
		return mod_fail(m, "%s/%s leads out of %s through a link: refused",
		    x->dest, rel, x->dest);
	if (errno == ENOTDIR)
		return mod_fail(m, "%s/%s is in the way: a directory is wanted there",
		    x->dest, rel);
	return mod_fail_errno(m, "cannot open directory %s/%s", x->dest, rel);
}

/* Opens the directory rel, made with its parents when missing. */
static int
make_beneath(struct mod *m, const struct extract *x, const char *rel)
{
	const char *slash, *base, *up = "";
	int fd, parent, rc;

	fd = open_beneath(x, rel);
	if (fd != -1)
		return fd;
	if (errno != ENOENT)
		return cannot_open(m, x, rel);
	slash = strrchr(rel, '/');
	base = slash == NULL ? rel : slash + 1;
	if (slash != NULL)
		up = arena_strndup(m->arena, rel, (size_t)(slash - rel));
	parent = make_beneath(m, x, up);
	if (parent == -1)
		return -1;
	if (keep_path(m, arena_printf(m->arena, "%s/%s", x->dest, rel)) == -1) {
		(void)close(parent);
		return -1;
	}
	rc = mkdirat(parent, base, 0777);
	(void)close(parent);
	if (rc == -1 && errno != EEXIST)
		return mod_fail_errno(m, "cannot make directory %s/%s", x->dest, rel);
	fd = open_beneath(x, rel);
	return fd != -1 ? fd : cannot_open(m, x, rel);
}

/* ---- the place of a member ---------------------------------------------- */

static int
wanted_attrs(struct mod *m, const struct extract *x, const struct member *mb,
    struct spot *s)
{
	bool dir = mb->type == MEMBER_DIR;

	s->mode = mb->has_mode ? mb->mode : dir ? 0777 : 0666;
	if (!x->same_mode || !mb->has_mode)
		s->mode &= ~x->umask;
	if (x->attrs.mode != NULL &&
	    fs_mode_apply(x->attrs.mode, s->mode, dir, &s->mode) == -1)
		return mod_fail(m, "'%s' is no file mode", x->attrs.mode);
	s->uid = x->attrs.uid;
	s->gid = x->attrs.gid;
	if (!x->same_owner || !mb->has_owner)
		return 0;
	if (s->uid == (uid_t)-1 && (x->numeric || *mb->user == '\0' ||
	    !fs_uid(mb->user, &s->uid)))
		s->uid = (uid_t)mb->uid;
	if (s->gid == (gid_t)-1 && (x->numeric || *mb->group == '\0' ||
	    !fs_gid(mb->group, &s->gid)))
		s->gid = (gid_t)mb->gid;
	return 0;
}

static int
find_spot(struct mod *m, const struct extract *x, const struct member *mb,
    const char *rel, struct spot *s)
{
	const char *slash = strrchr(rel, '/'), *up = "";

	*s = (struct spot){ .rel = rel, .dir = -1,
		.base = slash == NULL ? rel : slash + 1 };
	s->path = arena_printf(m->arena, "%s/%s",
	    strcmp(x->dest, "/") == 0 ? "" : x->dest, rel);
	if (wanted_attrs(m, x, mb, s) == -1)
		return -1;
	if (slash != NULL)
		up = arena_strndup(m->arena, rel, (size_t)(slash - rel));
	s->dir = open_beneath(x, up);
	if (s->dir == -1)
		return errno == ENOENT ? 0 : cannot_open(m, x, up);
	if (fstatat(s->dir, s->base, &s->st, AT_SYMLINK_NOFOLLOW) == 0)
		s->exists = true;
	else if (errno != ENOENT)
		return mod_fail_errno(m, "cannot look at %s", s->path);
	return 0;
}

/* Before writing: the parent must be there. */
static int
need_parent(struct mod *m, const struct extract *x, struct spot *s)
{
	if (s->dir != -1)
		return 0;
	s->dir = make_beneath(m, x, s->base == s->rel ? "" :
	    arena_strndup(m->arena, s->rel, (size_t)(s->base - s->rel - 1)));
	return s->dir == -1 ? -1 : 0;
}

static bool
ask_new(struct mod *m, const struct spot *s, const char *what)
{
	struct value *before = v_map(m->arena), *after = v_map(m->arena);

	v_set_str(m->arena, before, "state", s->exists ? "different" : "absent");
	v_set_str(m->arena, after, "state", what);
	return mod_change(m, s->path, before, after);
}

static int
set_attrs_fd(struct mod *m, int fd, const struct spot *s)
{
	if ((s->uid != (uid_t)-1 || s->gid != (gid_t)-1) &&
	    fchown(fd, s->uid, s->gid) == -1)
		return mod_fail_errno(m, "cannot change the owner of %s", s->path);
	if (fchmod(fd, s->mode) == -1)
		return mod_fail_errno(m, "cannot change the mode of %s", s->path);
	return 0;
}

/* Owner and mode of what is there already. */
static int
fix_attrs(struct mod *m, const struct spot *s)
{
	CLEANUP_CLOSE int fd = -1;
	char text[8];
	struct fs_attrs a = { .uid = s->uid, .gid = s->gid, .mode = text };

	(void)snprintf(text, sizeof(text), "%04o", (unsigned)s->mode);
	fd = openat(s->dir, s->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return mod_fail_errno(m, "cannot open %s", s->path);
	return fs_attrs_apply_fd(m, fd, s->path, &s->st, &a);
}

/* ---- files -------------------------------------------------------------- */

struct copying {
	struct archive	*a;
	int		 old;		/* the file that is there, or -1 */
	int64_t		 same;		/* bytes that were equal */
	char		*chunk, *other;
	size_t		 have;		/* bytes in chunk that are not written yet */
};

static int
archive_failed(struct mod *m, struct err *err)
{
	(void)err_wrap(err, "cannot unpack %s", mod_arg_str(m, "src"));
	return mod_fail_err(m, err);
}

/* Reads the member beside the old file: 1 equal to the end, 0 at the first difference, -1. */
static int
compare(struct mod *m, struct copying *c)
{
	struct err err = ERR_INIT;
	ssize_t n, k;

	for (;;) {
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled");
		n = archive_read(c->a, c->chunk, CHUNK, &err);
		if (n == -1)
			return archive_failed(m, &err);
		if (n == 0)
			return 1;
		k = pread(c->old, c->other, (size_t)n, c->same);
		if (k != n || memcmp(c->chunk, c->other, (size_t)n) != 0) {
			c->have = (size_t)n;
			return 0;
		}
		c->same += n;
	}
}

static int
write_out(struct mod *m, int fd, const char *p, size_t n, const struct spot *s)
{
	ssize_t k;

	while (n > 0) {
		k = write(fd, p, n);
		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return mod_fail_errno(m, "cannot write %s", s->path);
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int
write_content(struct mod *m, struct copying *c, int to, const struct spot *s)
{
	struct err err = ERR_INIT;
	int64_t done;
	ssize_t n;

	for (done = 0; done < c->same; done += n) {
		n = pread(c->old, c->other, c->same - done < (int64_t)CHUNK ?
		    (size_t)(c->same - done) : CHUNK, done);
		if (n <= 0)
			return mod_fail(m, "%s changed while it was read", s->path);
		if (write_out(m, to, c->other, (size_t)n, s) == -1)
			return -1;
	}
	if (write_out(m, to, c->chunk, c->have, s) == -1)
		return -1;
	while ((n = archive_read(c->a, c->chunk, CHUNK, &err)) > 0) {
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled");
		if (write_out(m, to, c->chunk, (size_t)n, s) == -1)
			return -1;
	}
	return n == -1 ? archive_failed(m, &err) : 0;
}

static void
set_time(const struct extract *x, int fd, int64_t mtime)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
		{ .tv_sec = (time_t)mtime } };

	if (mtime >= 0 && !x->touch)
		(void)futimens(fd, times);
}

static int
write_file(struct mod *m, const struct extract *x, const struct member *mb,
    struct copying *c, struct spot *s)
{
	char temp[32];
	int fd, rc = -1;

	if (need_parent(m, x, s) == -1 || keep_path(m, s->path) == -1)
		return -1;
	fd = fs_temp_for(s->dir, s->base, temp, sizeof(temp));
	if (fd == -1)
		return mod_fail_errno(m, "cannot make %s", s->path);
	if (write_content(m, c, fd, s) == 0 && set_attrs_fd(m, fd, s) == 0) {
		set_time(x, fd, mb->mtime);
		if (renameat(s->dir, temp, s->dir, s->base) == 0)
			rc = 0;
		else
			(void)mod_fail_errno(m, "cannot put %s in place", s->path);
	}
	if (rc == -1)
		(void)unlinkat(s->dir, temp, 0);
	(void)close(fd);
	return rc;
}

static int
file(struct mod *m, const struct extract *x, const struct member *mb,
    struct archive *a, struct spot *s)
{
	struct copying c = { .a = a, .old = -1 };
	int rc = 0;

	if (s->exists && S_ISDIR(s->st.st_mode))
		return mod_fail(m, "%s is a directory, the archive has a file there",
		    s->path);
	c.chunk = xmalloc(CHUNK);
	c.other = xmalloc(CHUNK);
	if (s->exists && S_ISREG(s->st.st_mode) && s->st.st_size == mb->size) {
		c.old = openat(s->dir, s->base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
		    O_NONBLOCK);
		rc = c.old == -1 ? 0 : compare(m, &c);
	}
	if (rc == 1)
		rc = fix_attrs(m, s);
	else if (rc == 0 && ask_new(m, s, "file"))
		rc = write_file(m, x, mb, &c, s);
	if (c.old != -1)
		(void)close(c.old);
	free(c.chunk);
	free(c.other);
	return rc;
}

/* ---- the other kinds ---------------------------------------------------- */

static int
directory(struct mod *m, struct extract *x, const struct member *mb,
    struct spot *s)
{
	struct dir_mode *later;
	int fd;

	fd = s->dir == -1 ? -1 : open_beneath(x, s->rel);
	if (fd != -1) {
		/* also what is a link to a directory below dest */
		s->exists = fstat(fd, &s->st) == 0;
		(void)close(fd);
		if (s->st.st_uid == s->uid || s->uid == (uid_t)-1) {
			if ((s->gid == (gid_t)-1 || s->gid == s->st.st_gid) &&
			    (s->st.st_mode & 07777) == s->mode)
				return 0;
		}
		return fix_attrs(m, s);
	}
	if (s->dir != -1 && errno != ENOENT)
		return cannot_open(m, x, s->rel);
	if (!ask_new(m, s, "directory"))
		return 0;
	fd = make_beneath(m, x, s->rel);
	if (fd == -1)
		return -1;
	if ((s->uid != (uid_t)-1 || s->gid != (gid_t)-1) &&
	    fchownat(fd, "", s->uid, s->gid, AT_EMPTY_PATH) == -1) {
		(void)close(fd);
		return mod_fail_errno(m, "cannot change the owner of %s", s->path);
	}
	(void)close(fd);
	later = ARENA_NEW(m->arena, struct dir_mode);
	later->rel = arena_strdup(m->arena, s->rel);
	later->mode = s->mode;
	later->mtime = x->touch ? -1 : mb->mtime;
	later->next = x->dirs;
	x->dirs = later;
	return 0;
}

static int
into_place(struct mod *m, const struct spot *s, const char *temp)
{
	if (renameat(s->dir, temp, s->dir, s->base) == 0)
		return 0;
	(void)mod_fail_errno(m, "cannot put link %s in place", s->path);
	(void)unlinkat(s->dir, temp, 0);
	return -1;
}

static int
symbolic(struct mod *m, const struct extract *x, const struct member *mb,
    struct spot *s)
{
	char old[ARCHIVE_NAME_MAX + 1], temp[32];
	ssize_t n;

	if (s->exists && S_ISLNK(s->st.st_mode)) {
		n = readlinkat(s->dir, s->base, old, sizeof(old) - 1);
		if (n >= 0 && (size_t)n == strlen(mb->target) &&
		    memcmp(old, mb->target, (size_t)n) == 0)
			return fix_attrs(m, s);
	}
	if (s->exists && S_ISDIR(s->st.st_mode))
		return mod_fail(m, "%s is a directory, the archive has a link there",
		    s->path);
	if (!ask_new(m, s, "link"))
		return 0;
	if (need_parent(m, x, s) == -1 || keep_path(m, s->path) == -1)
		return -1;
	if (fs_temp_name(s->dir, s->base, temp, sizeof(temp)) == -1)
		return mod_fail_errno(m, "cannot make %s", s->path);
	if (symlinkat(mb->target, s->dir, temp) == -1)
		return mod_fail_errno(m, "cannot make link %s", s->path);
	if ((s->uid != (uid_t)-1 || s->gid != (gid_t)-1) &&
	    fchownat(s->dir, temp, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) == -1) {
		(void)mod_fail_errno(m, "cannot change the owner of %s", s->path);
		(void)unlinkat(s->dir, temp, 0);
		return -1;
	}
	return into_place(m, s, temp);
}

static int
hard(struct mod *m, const struct extract *x, const struct member *mb,
    struct spot *s)
{
	CLEANUP_CLOSE int dir = -1;
	const char *target = archive_safe_name(m->arena, mb->target), *slash;
	struct stat st;
	char temp[32];

	target = target == NULL ? NULL : strip(x, target);
	if (target == NULL)
		return mod_fail(m, "the archive has a link '%s' to '%s', which leads out: refused",
		    mb->name, mb->target);
	slash = strrchr(target, '/');
	dir = open_beneath(x, slash == NULL ? "" : arena_strndup(m->arena,
	    target, (size_t)(slash - target)));
	if (slash != NULL)
		target = slash + 1;
	if (dir == -1 || fstatat(dir, target, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (m->check) {
			(void)ask_new(m, s, "hard link");
			return 0;
		}
		return mod_fail_errno(m, "cannot link %s to %s", s->path, mb->target);
	}
	if (s->exists && s->st.st_dev == st.st_dev && s->st.st_ino == st.st_ino)
		return 0;
	if (s->exists && S_ISDIR(s->st.st_mode))
		return mod_fail(m, "%s is a directory, the archive has a link there",
		    s->path);
	if (!ask_new(m, s, "hard link"))
		return 0;
	if (need_parent(m, x, s) == -1 || keep_path(m, s->path) == -1)
		return -1;
	if (fs_temp_name(s->dir, s->base, temp, sizeof(temp)) == -1)
		return mod_fail_errno(m, "cannot make %s", s->path);
	if (linkat(dir, target, s->dir, temp, 0) == -1)
		return mod_fail_errno(m, "cannot link %s to %s", s->path, mb->target);
	return into_place(m, s, temp);
}

/* ---- all ---------------------------------------------------------------- */

static int
one(struct mod *m, struct extract *x, struct archive *a, const struct member *mb)
{
	const char *name = archive_safe_name(m->arena, mb->name);
	struct spot s;
	int rc;

	if (name == NULL) {
		/* "./" is the destination itself */
		if (mb->type == MEMBER_DIR && strstr(mb->name, "..") == NULL)
			return 0;
		return mod_fail(m, "the archive has a member '%s', which is no path below a directory: refused",
		    mb->name);
	}
	if (x->include != NULL && !matches_any(m, x->include, name, true))
		return 0;
	x->matched = true;
	if (x->exclude != NULL && matches_any(m, x->exclude, name, false))
		return 0;
	name = strip(x, name);
	if (name == NULL || *name == '\0' || (x->junk && mb->type == MEMBER_DIR))
		return 0;
	if (x->files != NULL)
		v_push(m->arena, x->files, v_strf(m->arena, "%s%s", name,
		    mb->type == MEMBER_DIR ? "/" : ""));
	if (mb->type == MEMBER_OTHER) {
		if (!x->skipped_other)
			mod_warn(m, "devices and FIFOs of the archive are left out: %s and perhaps more",
			    name);
		x->skipped_other = true;
		return 0;
	}
	if (find_spot(m, x, mb, name, &s) == -1)
		return -1;
	if (x->keep_newer && s.exists && mb->type == MEMBER_FILE &&
	    s.st.st_mtim.tv_sec > mb->mtime)
		rc = 0;
	else if (mb->type == MEMBER_DIR)
		rc = directory(m, x, mb, &s);
	else if (mb->type == MEMBER_SYMLINK)
		rc = symbolic(m, x, mb, &s);
	else if (mb->type == MEMBER_HARDLINK)
		rc = hard(m, x, mb, &s);
	else
		rc = file(m, x, mb, a, &s);
	if (s.dir != -1)
		(void)close(s.dir);
	return rc;
}

/* Modes and times of the directories made, the innermost first. */
static int
finish_dirs(struct mod *m, const struct extract *x)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW } };
	const struct dir_mode *d;
	int fd, rd;

	for (d = x->dirs; d != NULL; d = d->next) {
		fd = open_beneath(x, d->rel);
		rd = fd == -1 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1)
			(void)close(fd);
		if (rd == -1 || fchmod(rd, d->mode) == -1) {
			if (rd != -1)
				(void)close(rd);
			return mod_fail_errno(m, "cannot change the mode of %s/%s",
			    x->dest, d->rel);
		}
		times[1].tv_sec = (time_t)d->mtime;
		if (d->mtime >= 0)
			(void)futimens(rd, times);
		(void)close(rd);
	}
	return 0;
}

int
extract_all(struct mod *m, struct extract *x, struct archive *a)
{
	struct err err = ERR_INIT;
	struct member mb;
	int rc;

	x->umask = umask(077);
	(void)umask(x->umask);
	x->dirs = NULL;
	while ((rc = archive_next(a, &mb, &err)) == 1) {
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled");
		if (one(m, x, a, &mb) == -1)
			return -1;
	}
	if (rc == -1)
		return archive_failed(m, &err);
	if (x->include != NULL && !x->matched)
		return mod_fail(m, "nothing in the archive matches `include`");
	return finish_dirs(m, x);
}
