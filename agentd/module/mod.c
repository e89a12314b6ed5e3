/*
 * Services of a running module: its arguments, the change guard, the result.
 *
 * The guard is the heart: a module asks mod_change() for every single change,
 * and the same call sets `changed`, collects the diff and says whether it may
 * be done now.  A module that changes something without asking cannot get
 * past fs.c and proc.c in check mode, which assert.
 *
 * The result is one map in m->arena with Ansible's keys; what the guard and
 * mod_fail() collected is written into it at the end of mod_run(), so that a
 * module cannot contradict them by accident.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "module/guard.h"
#include "module/module.h"

#define DIFF_TEXT_MAX	((size_t)1024 * 1024)
#define DIFFS_MAX	1000
#define PROGRESS_MAX	512

void
mod_run(struct mod *m)
{
	if (m->result == NULL)
		m->result = v_map(m->arena);
	if (m->check && (m->module->flags & MOD_NO_CHECK)) {
		m->skipped = true;
		mod_set(m, "msg", v_strf(m->arena,
		    "remote module (%s) does not support check mode",
		    m->module->name));
	} else if (m->module->run == NULL) {
		(void)mod_fail(m, "module '%s' does not run on hosts",
		    m->module->name);
	} else {
		if (m->module->flags & MOD_NO_CHECK)
			mod_effect(m);	/* nobody knows when it begins */
		if (m->module->run(m) != 0 && !m->failed)
			(void)mod_fail(m, "module '%s' failed without saying why",
			    m->module->name);
	}
	mod_set_bool(m, "changed", m->changed);
	if (m->failed)
		mod_set_bool(m, "failed", true);
	if (m->skipped)
		mod_set_bool(m, "skipped", true);
	if (m->diff && m->diffs != NULL && !m->no_log)
		mod_set(m, "diff", m->diffs);
}

/* ---- arguments ---------------------------------------------------------- */

const struct value *
mod_arg(const struct mod *m, const char *name)
{
	const struct mod_arg *row = mod_arg_find(m->module, name);
	const struct value *v;

	assert(row != NULL && strcmp(row->name, name) == 0);
	v = v_gets(m->args, name);
	return v == NULL || v->type == V_NULL ? NULL : v;
}

bool
mod_has(const struct mod *m, const char *name)
{
	return mod_arg(m, name) != NULL;
}

const char *
mod_arg_str(const struct mod *m, const char *name)
{
	const struct value *v = mod_arg(m, name);

	return v != NULL && v_is_str(v) ? v->u.s : NULL;
}

/* A variable of the task's environment, else of our own. */
static const char *
env_get(const struct mod *m, const char *name)
{
	const char *s = NULL;

	if (m->env != NULL)
		s = v_get_str(m->env, name, NULL);
	return s != NULL ? s : getenv(name);
}

/* Home of ~ (n = 0) or ~name; NULL: unknown, the text stays as it is. */
static const char *
home_of(const struct mod *m, const char *name, size_t n)
{
	const struct passwd *pw;
	const char *home;

	if (n == 0) {
		home = env_get(m, "HOME");
		if (home != NULL && *home != '\0')
			return home;
		pw = getpwuid(getuid());
	} else
		pw = getpwnam(arena_strndup(m->arena, name, n));
	return pw == NULL ? NULL : pw->pw_dir;
}

static bool
is_var_char(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* $NAME and ${NAME}; unknown ones stay, as in Python's expandvars(). */
static const char *
expand_vars(const struct mod *m, const char *s)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *start, *value;
	size_t n;
	bool braces;

	if (strchr(s, '$') == NULL)
		return s;
	while (*s != '\0') {
		if (*s != '$') {
			buf_addc(&out, *s++);
			continue;
		}
		braces = s[1] == '{';
		start = s + (braces ? 2 : 1);
		for (n = 0; is_var_char(start[n]); n++)
			;
		value = NULL;
		if (n > 0 && (!braces || start[n] == '}'))
			value = env_get(m, arena_strndup(m->arena, start, n));
		if (value == NULL) {
			buf_addc(&out, *s++);
			continue;
		}
		buf_adds(&out, value);
		s = start + n + (braces ? 1 : 0);
	}
	return buf_dup(&out, m->arena);
}

const char *
mod_arg_path(struct mod *m, const char *name)
{
	const char *s = mod_arg_str(m, name);

	return s == NULL ? NULL : mod_expand(m, s);
}

const char *
mod_expand(struct mod *m, const char *s)
{
	const char *home;
	size_t n;

	s = expand_vars(m, s);
	if (*s != '~')
		return s;
	n = strcspn(s + 1, "/");
	home = home_of(m, s + 1, n);
	if (home == NULL)
		return s;
	return arena_printf(m->arena, "%s%s", home, s + 1 + n);
}

bool
mod_arg_bool(const struct mod *m, const char *name)
{
	const struct value *v = mod_arg(m, name);

	return v != NULL && v->type == V_BOOL && v->u.b;
}

int64_t
mod_arg_int(const struct mod *m, const char *name, int64_t absent)
{
	const struct value *v = mod_arg(m, name);

	return v != NULL && v->type == V_INT ? v->u.i : absent;
}

bool
mod_arg_is(const struct mod *m, const char *name, const char *text)
{
	const char *s = mod_arg_str(m, name);

	return s != NULL && strcmp(s, text) == 0;
}

/* ---- files of the controller -------------------------------------------- */

uint32_t
mod_ncontent(const struct mod *m)
{
	const struct value *list = v_gets(m->args, "_content");

	return list == NULL || !v_is_list(list) ? 0 : v_count(list);
}

struct mod_content
mod_content(const struct mod *m, uint32_t i)
{
	const struct value *e = v_at(v_gets(m->args, "_content"), i);
	struct mod_content c;

	assert(e != NULL);
	c.path = v_get_str(e, "path", "");
	c.type = v_get_str(e, "type", "file");
	c.sha256 = v_get_str(e, "sha256", "");
	c.target = v_get_str(e, "target", NULL);
	c.size = v_get_int(e, "size", 0);
	c.mode = (int)(v_get_int(e, "mode", 0644) & 07777);
	return c;
}

/* Is there no room where this file is? Then its path, too. */
static bool
is_full(int fd, char *path, size_t size)
{
	struct statvfs fs;
	char link[32];
	ssize_t n;

	if (fstatvfs(fd, &fs) == -1 || (fs.f_bfree > 0 && fs.f_bavail > 0))
		return false;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	path[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

int
mod_content_fd(struct mod *m, const struct mod_content *c, int fd)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	if (m->io == NULL || m->io->content == NULL)
		return mod_fail(m, "the content of '%s' is not available here",
		    c->path);
	if (m->io->content(m->io->arg, c->sha256, fd, &err) == -1) {
		if (is_full(fd, path, sizeof(path))) {
			err_release(&err);
			errno = ENOSPC;
			return mod_fail_errno(m, "cannot write %s", path);
		}
		(void)err_wrap(&err, "cannot receive '%s'",
		    *c->path != '\0' ? c->path : "the file");
		return mod_fail_err(m, &err);
	}
	return 0;
}

/* ---- the guard ---------------------------------------------------------- */

static void
add_diff(struct mod *m, const char *header, const struct value *before,
    const struct value *after)
{
	struct value *d;

	if (!m->diff || m->no_log)
		return;
	if (m->diffs != NULL && v_count(m->diffs) >= DIFFS_MAX)
		return;		/* nobody reads a thousand, and a frame has its limit */
	if (m->diffs == NULL)
		m->diffs = v_list(m->arena);
	d = v_map(m->arena);
	v_set_str(m->arena, d, "before_header", header);
	v_set_str(m->arena, d, "after_header", header);
	v_sets(m->arena, d, "before", before != NULL ? before : &v_empty_str);
	v_sets(m->arena, d, "after", after != NULL ? after : &v_empty_str);
	v_push(m->arena, m->diffs, d);
}

void
mod_effect(struct mod *m)
{
	assert(!m->check);
	if (m->io != NULL && m->io->hold != NULL)
		m->io->hold(m->io->arg);
}

static bool
may_change(struct mod *m)
{
	if (m->check)
		return false;
	mod_effect(m);
	return guard_arm(m);
}

bool
mod_change(struct mod *m, const char *what, const struct value *before,
    const struct value *after)
{
	m->changed = true;
	add_diff(m, what, before, after);
	return may_change(m);
}

/* A file's text for a diff; a line about it when it is no text or too long. */
static const struct value *
diff_text(struct mod *m, const char *s, size_t n)
{
	char hex[SHA256_HEX];

	if (s == NULL)
		return &v_empty_str;
	if (n <= DIFF_TEXT_MAX && memchr(s, '\0', n) == NULL && utf8_valid(s, n))
		return v_strn(m->arena, s, n);
	sha256_text(s, n, hex);
	return v_strf(m->arena, "(%s of %zu bytes, sha256 %s)\n",
	    n > DIFF_TEXT_MAX ? "file" : "binary file", n, hex);
}

bool
mod_change_text(struct mod *m, const char *header, const char *before,
    size_t nbefore, const char *after, size_t nafter)
{
	m->changed = true;
	if (m->diff && !m->no_log)
		add_diff(m, header, diff_text(m, before, nbefore),
		    diff_text(m, after, nafter));
	return may_change(m);
}

/* ---- failing, telling --------------------------------------------------- */

/* Text for a result: file names and strerror() may hold any bytes. */
static const struct value *
clean_str(struct mod *m, const char *s, size_t n)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;

	if (utf8_valid(s, n))
		return v_strn(m->arena, s, n);
	utf8_clean(&clean, s, n);
	return v_strn(m->arena, buf_str(&clean), clean.len);
}

static const struct value *format_str(struct mod *, const char *, va_list)
    ATTR_PRINTF(2, 0);

static const struct value *
format_str(struct mod *m, const char *fmt, va_list ap)
{
	const char *s;

	s = arena_vprintf(m->arena, fmt, ap);
	return clean_str(m, s, strlen(s));
}

int
mod_fail(struct mod *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mod_set(m, "msg", format_str(m, fmt, ap));
	va_end(ap);
	m->failed = true;
	return -1;
}

/*
 * Where the file system is mounted that holds the path in a message (its first
 * word with a slash, to the end), and how full it is.
 */
static const char *
mount_in(struct mod *m, const char *msg, bool full)
{
	const char *at = strchr(msg, '/');
	char *path, *slash;
	struct stat st;
	dev_t dev = 0;
	bool known = false;
	struct statvfs fs;
	char *found;

	if (at == NULL || (at != msg && at[-1] != ' '))
		return "";
	path = arena_strdup(m->arena, at);
	found = arena_strdup(m->arena, at);
	/* Up from what exists of it, until another file system begins. */
	while ((slash = strrchr(path, '/')) != NULL) {
		slash[slash == path] = '\0';
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			if (known && st.st_dev != dev)
				break;
			known = true;
			dev = st.st_dev;
			(void)snprintf(found, strlen(at) + 1, "%s", path);
		}
		if (path[1] == '\0')
			break;
	}
	if (!known)
		return "";
	if (!full || statvfs(found, &fs) == -1)
		return arena_printf(m->arena, " '%s'", found);
	return arena_printf(m->arena, " '%s' (%llu of %llu kB free%s)", found,
	    (unsigned long long)fs.f_bavail * fs.f_frsize / 1024,
	    (unsigned long long)fs.f_blocks * fs.f_frsize / 1024,
	    fs.f_files > 0 && fs.f_favail == 0 ? ", but no inode for one more file" : "");
}

int
mod_fail_errno(struct mod *m, const char *fmt, ...)
{
	int saved = errno;
	const char *msg;
	va_list ap;

	va_start(ap, fmt);
	msg = arena_vprintf(m->arena, fmt, ap);
	va_end(ap);
	switch (saved) {
	case EROFS:
		return mod_fail(m, "%s: the file system%s is mounted read-only",
		    msg, mount_in(m, msg, false));
	case ENOSPC:
		return mod_fail(m, "%s: no space left on the file system%s",
		    msg, mount_in(m, msg, true));
	case EDQUOT:
		return mod_fail(m, "%s: the disk quota of the file system%s is used up",
		    msg, mount_in(m, msg, true));
	case EACCES:
		if (geteuid() != 0)
			return mod_fail(m, "%s: permission denied (running as uid %u; is `become: true` missing?)",
			    msg, (unsigned)geteuid());
		break;
	case EPERM:
		if (geteuid() != 0)
			return mod_fail(m, "%s: operation not permitted (running as uid %u; is `become: true` missing?)",
			    msg, (unsigned)geteuid());
		return mod_fail(m, "%s: operation not permitted (an immutable file? `lsattr` shows it)",
		    msg);
	default:
		break;
	}
	return mod_fail(m, "%s: %s", msg, strerror(saved));
}

int
mod_fail_err(struct mod *m, struct err *err)
{
	if (err->hint != NULL)
		(void)mod_fail(m, "%s (%s)", err->msg, err->hint);
	else
		(void)mod_fail(m, "%s", err->msg != NULL ? err->msg : "unknown error");
	err_release(err);
	return -1;
}

void
mod_warn(struct mod *m, const char *fmt, ...)
{
	const struct value *list = v_gets(m->result, "warnings");
	struct value *grown = v_list(m->arena);
	uint32_t i;
	va_list ap;

	for (i = 0; list != NULL && i < v_count(list); i++)
		v_push(m->arena, grown, v_at(list, i));
	va_start(ap, fmt);
	v_push(m->arena, grown, format_str(m, fmt, ap));
	va_end(ap);
	mod_set(m, "warnings", grown);
}

void
mod_progress(struct mod *m, const char *fmt, ...)
{
	CLEANUP_BUF struct buf line = BUF_INIT, clean = BUF_INIT;
	size_t n;
	va_list ap;

	if (m == NULL || m->io == NULL || m->io->progress == NULL || m->no_log)
		return;
	va_start(ap, fmt);
	buf_vaddf(&line, fmt, ap);
	va_end(ap);
	utf8_clean(&clean, line.data, line.len);
	if (clean.len > PROGRESS_MAX) {
		/* not in the middle of a character */
		for (n = PROGRESS_MAX; n > 0 && (clean.data[n] & 0xc0) == 0x80; n--)
			;
		clean.len = n;
	}
	m->io->progress(m->io->arg, buf_str(&clean));
}

bool
mod_cancelled(const struct mod *m)
{
	return m != NULL && m->io != NULL && m->io->cancelled != NULL &&
	    m->io->cancelled(m->io->arg);
}

void
mod_set(struct mod *m, const char *key, const struct value *v)
{
	if (m->result == NULL)
		m->result = v_map(m->arena);
	v_sets(m->arena, m->result, key, v);
}

void
mod_set_str(struct mod *m, const char *key, const char *s)
{
	mod_set(m, key, s == NULL ? &v_null : clean_str(m, s, strlen(s)));
}

void
mod_set_int(struct mod *m, const char *key, int64_t i)
{
	mod_set(m, key, v_int(m->arena, i));
}

void
mod_set_bool(struct mod *m, const char *key, bool b)
{
	mod_set(m, key, v_bool(b));
}
