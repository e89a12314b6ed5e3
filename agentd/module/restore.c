/*
 * provctl_restore: one path of a run is made what it was before, for
 * `provctl rollback`; and the same for a watch (guard.h).
 *
 * A path that is not as the run left it was changed by somebody since: unless
 * forced, it is left alone, and the result says so under `refused`; so is one
 * whose content was not kept.  A directory
 * that the run made is removed only when it is empty: what came into it since
 * is not ours.
 *
 * Extended attributes, ACLs and capabilities among them, and the time of change
 * come back as they were; to put back what is in a directory leaves the
 * directory's own time alone, so that the order does not matter.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "module/fs.h"
#include "module/keep.h"
#include "module/restore.h"

#define DIFF_MAX	((size_t)1024 * 1024)

static const char *
type_of(const struct value *look)
{
	return v_get_str(look, "type", "other");
}

/* Leaves the path alone: no failure, there may be others. Returns 1. */
static int	refuse(struct mod *, const char *fmt, ...) ATTR_PRINTF(2, 3);

static int
refuse(struct mod *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mod_set_str(m, "refused", arena_vprintf(m->arena, fmt, ap));
	va_end(ap);
	m->changed = false;
	return 1;
}

/* Owner and mode of a look as attributes. */
static struct fs_attrs
attrs_of(struct mod *m, const struct value *was)
{
	struct fs_attrs a = {
		.uid = (uid_t)v_get_int(was, "uid", -1),
		.gid = (gid_t)v_get_int(was, "gid", -1),
	};

	if (v_gets(was, "mode") != NULL)
		a.mode = arena_printf(m->arena, "%04o",
		    (unsigned)v_get_int(was, "mode", 0) & 07777);
	return a;
}

/* Text of a file for the diff; NULL: none, or not worth it. */
static const char *
text_of(int fd, struct buf *b)
{
	b->max = DIFF_MAX;
	return fd != -1 && buf_read_fd(b, fd) == 0 ? buf_str(b) : NULL;
}

static bool
change_content(struct mod *m, const char *path, int kept, const struct value *now)
{
	CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	const char *old, *new;

	if (!m->diff || m->no_log)
		return mod_change(m, path, NULL, NULL);
	if (strcmp(type_of(now), "file") == 0)
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	old = text_of(fd, &before);
	new = text_of(kept, &after);
	return mod_change_text(m, path, old, before.len, new, after.len);
}

/* A directory goes, but never with files in it: 1 then. */
static int
clear(struct mod *m, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode))
		return 0;
	if (keep_path(m, path) == -1)
		return -1;
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return refuse(m, "%s is not removed: there are files in it that the run did not make",
		    path);
	return mod_fail_errno(m, "cannot remove directory %s", path);
}

/* The attributes that it had, in b; *ret NULL: leave them. 1: refused, they are not kept (any more). */
static int
kept_xattrs(struct mod *m, const char *path, const struct value *was,
    const struct value *now, bool made, struct buf *b, const struct buf **ret)
{
	const char *hash = v_get_str(was, "xattrs", ""), *why;
	CLEANUP_CLOSE int fd = -1;

	*ret = NULL;
	if (strcmp(type_of(was), "link") == 0 || (!made &&
	    strcmp(hash, v_get_str(now, "xattrs", "")) == 0))
		return 0;
	*ret = b;
	if (*hash == '\0')
		return 0;
	if ((why = v_get_str(was, "xattrs_why", NULL)) != NULL)
		return refuse(m, "%s was not kept before it was changed: %s",
		    path, why);
	b->max = FS_XATTRS_MAX;
	if ((fd = keep_content(m, hash)) != -1 && buf_read_fd(b, fd) == 0)
		return 0;
	m->failed = false;
	why = v_get_str(m->result, "msg", "they cannot be read");
	(void)v_dels(m->result, "msg");
	return refuse(m, "%s, its extended attributes: %s", path, why);
}

static struct value *
one(struct mod *m, const char *key, const char *text)
{
	struct value *v = v_map(m->arena);

	v_set_str(m->arena, v, key, text);
	return v;
}

/*
 * Attributes of what is there, unless they are right.  made: part of that change.
 * Of a file that has this content, or any (NULL): another one that somebody puts
 * in its place meanwhile does not get its capabilities.
 */
static int
apply_xattrs(struct mod *m, const char *path, const struct buf *want, bool made,
    const char *sha256)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK | O_NOCTTY);
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *key = "extended attributes";
	char hex[SHA256_HEX];

	if (fd == -1 || fs_xattrs_pack(fd, &b) == -1)
		return mod_fail_errno(m, "cannot read the attributes of %s", path);
	if (b.len == want->len && (b.len == 0 ||
	    memcmp(b.data, want->data, b.len) == 0))
		return 0;
	if (!made && !mod_change(m, path, one(m, key, fs_xattrs_text(m->arena, b.data, b.len)),
	    one(m, key, fs_xattrs_text(m->arena, want->data, want->len))))
		return m->failed ? -1 : 0;
	if (sha256 != NULL && (sha256_fd(fd, hex) == -1 || strcmp(hex, sha256) != 0))
		return mod_fail(m, "%s was changed while it was put back", path);
	return fs_xattrs_apply(m, fd, path, want->data, want->len);
}

static const char *
time_text(struct mod *m, const struct timespec *t)
{
	char text[64];
	struct tm tm;

	if (gmtime_r(&t->tv_sec, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "?";
	return arena_printf(m->arena, "%s.%09ld UTC", text, t->tv_nsec);
}

/* The time of change, last: all else changes it. Told only where it was all that changed. */
static int
apply_time(struct mod *m, const char *path, const struct value *was)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;

	if (!keep_time(was, &times[1]) || lstat(path, &st) == -1 ||
	    (st.st_mtim.tv_sec == times[1].tv_sec &&
	    st.st_mtim.tv_nsec == times[1].tv_nsec))
		return 0;
	if (!m->changed && !mod_change(m, path,
	    one(m, "mtime", time_text(m, &st.st_mtim)),
	    one(m, "mtime", time_text(m, &times[1]))))
		return m->failed ? -1 : 0;
	if (m->check)
		return 0;
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 :
	    mod_fail_errno(m, "cannot set the time of %s", path);
}

static int
restore_file(struct mod *m, const char *path, const struct value *was,
    const struct value *now, const struct buf *xattrs)
{
	CLEANUP_CLOSE int kept = -1;
	struct fs_attrs attrs = attrs_of(m, was);
	struct fs_replace r = { .path = path, .attrs = &attrs, .xattrs = xattrs };
	const char *hash = v_get_str(was, "sha256", ""), *why;
	struct timespec mtime;
	int rc;

	if (strcmp(type_of(now), "file") == 0 &&
	    strcmp(hash, v_get_str(now, "sha256", "?")) == 0)
		return fs_attrs_apply(m, path, &attrs, false);
	if ((why = v_get_str(was, "why", NULL)) != NULL)
		return refuse(m, "%s was not kept before it was changed: %s",
		    path, why);
	if ((kept = keep_content(m, hash)) == -1) {
		m->failed = false;
		why = v_get_str(m->result, "msg", "?");
		(void)v_dels(m->result, "msg");
		return refuse(m, "%s: %s", path, why);
	}
	if (!change_content(m, path, kept, now))
		return m->failed ? -1 : 0;
	r.fd = kept;
	if (keep_time(was, &mtime))
		r.mtime = &mtime;
	return (rc = clear(m, path)) != 0 ? rc : fs_replace(m, &r);
}

static struct value *
state(struct mod *m, const struct value *look)
{
	struct value *v = v_map(m->arena);

	v_set_str(m->arena, v, "state", type_of(look));
	if (v_gets(look, "target") != NULL)
		v_sets(m->arena, v, "src", v_gets(look, "target"));
	return v;
}

static int
restore_other(struct mod *m, const char *path, const struct value *was,
    const struct value *now)
{
	struct fs_attrs attrs = attrs_of(m, was);
	const char *type = type_of(was), *target = v_get_str(was, "target", NULL);
	bool dir = strcmp(type, "directory") == 0;
	int rc;

	if (strcmp(type, type_of(now)) == 0 && (target == NULL ||
	    strcmp(target, v_get_str(now, "target", "")) == 0))
		return fs_attrs_apply(m, path, &attrs, false);
	if (!dir && target == NULL)
		return mod_fail(m, "%s was no file, link or directory: it cannot be put back",
		    path);
	if (!mod_change(m, path, state(m, now), state(m, was)))
		return m->failed ? -1 : 0;
	if (!dir && (rc = clear(m, path)) != 0)
		return rc;
	if (!dir)
		return fs_link(m, path, target, false) == -1 ? -1 :
		    fs_attrs_quiet(m, path, &attrs);
	if (strcmp(type_of(now), "absent") != 0 && strcmp(type_of(now), "directory") != 0 &&
	    fs_remove(m, path) == -1)
		return -1;
	return fs_mkdir_p(m, path, 0700) == -1 ? -1 : fs_attrs_quiet(m, path, &attrs);
}

/* Something was there, and comes back. */
static int
bring_back(struct mod *m, const char *path, const struct value *was,
    const struct value *now)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct buf *xattrs;
	bool file = strcmp(type_of(was), "file") == 0;
	bool made = strcmp(type_of(was), type_of(now)) != 0 || (file && strcmp(
	    v_get_str(was, "sha256", ""), v_get_str(now, "sha256", "?")) != 0);
	int rc;

	if ((rc = kept_xattrs(m, path, was, now, made, &b, &xattrs)) != 0)
		return rc;
	rc = file ? restore_file(m, path, was, now, xattrs) :
	    restore_other(m, path, was, now);
	if (rc == 0 && xattrs != NULL && !(made && m->check))
		rc = apply_xattrs(m, path, xattrs, made,
		    v_get_str(was, "sha256", NULL));
	return rc != 0 ? rc : apply_time(m, path, was);
}

static int
put_back(struct mod *m, const char *path, const struct value *was,
    const struct value *now)
{
	if (strcmp(type_of(was), "absent") != 0)
		return bring_back(m, path, was, now);
	if (!mod_change(m, path, state(m, now), state(m, was)))
		return m->failed ? -1 : 0;
	return strcmp(type_of(now), "directory") == 0 ? clear(m, path) :
	    fs_remove(m, path);
}

int
restore_path(struct mod *m, const char *path, const struct value *was)
{
	const struct value *now = keep_look(m, path);
	const char *slash = strrchr(path, '/');
	CLEANUP_CLOSE int dir = -1;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	int rc;

	if (keep_same(was, now))
		return apply_time(m, path, was);
	dir = open(slash == NULL || slash == path ? "/" : arena_strndup(m->arena,
	    path, (size_t)(slash - path)), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir != -1 && fstat(dir, &st) == 0)
		times[1] = st.st_mtim;
	rc = put_back(m, path, was, now);
	if (m->changed && !m->check && times[1].tv_sec != 0)
		(void)utimensat(dir, ".", times, 0);
	return rc;
}

static const char *
words_of(struct mod *m, const struct value *look)
{
	const char *type = type_of(look);

	if (strcmp(type, "file") != 0 || v_gets(look, "mode") == NULL)
		return strcmp(type, "link") == 0 ? arena_printf(m->arena,
		    "a link to %s", v_get_str(look, "target", "?")) : type;
	return arena_printf(m->arena, "a file of %lld bytes, mode %04o, sha256 %.12s",
	    (long long)v_get_int(look, "size", 0),
	    (unsigned)v_get_int(look, "mode", 0), v_get_str(look, "sha256", "?"));
}

static int
restore_run(struct mod *m)
{
	const char *path = mod_arg_str(m, "path");
	const struct value *was = mod_arg(m, "was"), *left = mod_arg(m, "left");
	const struct value *now;

	if (*path != '/' || was->type != V_MAP || left->type != V_MAP)
		return mod_fail(m, "malformed request");
	if (mod_arg_bool(m, "quiet"))
		m->diff = false;
	mod_set_str(m, "path", path);
	now = keep_look(m, path);
	/* Somebody has put it back already; not so where the run changed only its time. */
	if (keep_same(now, was) && !keep_same(left, was))
		return 0;
	if (!keep_same(now, left) && !mod_arg_bool(m, "force")) {
		(void)refuse(m, "%s was changed since that run: it is %s, the run left %s (--force puts it back all the same)",
		    path, words_of(m, now), words_of(m, left));
		return 0;
	}
	return restore_path(m, path, was) == -1 ? -1 : 0;
}

static const struct mod_arg restore_args[] = {
	{ .name = "path", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "What to put back." },
	{ .name = "was", .type = ARG_RAW, .flags = ARG_REQUIRED,
	    .doc = "What it was before the run." },
	{ .name = "left", .type = ARG_RAW, .flags = ARG_REQUIRED,
	    .doc = "What the run made of it." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Also when it was changed since." },
	{ .name = "quiet", .type = ARG_BOOL, .def = "false",
	    .doc = "No diff: the task that changed it gave none." },
	{ .name = NULL }
};

const struct module provctl_restore_module = {
	.name = "provctl_restore", .collection = "provctl.internal",
	.summary = "Puts back what a run has changed.",
	.args = restore_args, .run = restore_run,
};
