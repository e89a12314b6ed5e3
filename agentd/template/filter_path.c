/*
 * Filters of paths: Python's posixpath and ntpath on text, and the few that
 * look at the controller's file system.
 *
 * Relative names are taken from the playbook's directory.
 */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/utf8.h"
#include "template/filter_path.h"
#include "template/filter_util.h"
#include "yaml/files.h"

/* The input must be a str (as os.fspath() wants it). */
static bool
path_arg(struct tcall *c, const struct value *v, const char **s, size_t *len)
{
	*s = "";
	*len = 0;
	if (v->type == V_UNDEF)
		return fu_undef(c, v);
	if (v->type != V_STR) {
		terr(c, ERR_TYPE, "expected str, bytes or os.PathLike object, not %s", tmpl_py_type(v));
		return false;
	}
	*s = v->u.s;
	*len = v->len;
	return true;
}

const char *
path_from_basedir(struct tcall *c, const char *path)
{
	const struct scope *scope = tcall_scope(c);

	if (*path == '/' || scope == NULL || scope->files == NULL || scope->files->basedir == NULL)
		return path;
	return arena_printf(c->arena, "%s/%s", scope->files->basedir, path);
}

bool
path_may_read(struct tcall *c)
{
	const struct scope *scope = tcall_scope(c);

	if (scope != NULL && scope->files != NULL)
		return true;
	terr(c, ERR_INVALID, "%s: files cannot be looked at here", c->name);
	return false;
}

/* Length of the directory part of a POSIX path, with its slashes. */
static size_t
dir_len(const char *s, size_t len)
{
	while (len > 0 && s[len - 1] != '/')
		len--;
	return len;
}

static const struct value *
f_basename(struct tcall *c)
{
	const char *s;
	size_t len, n;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	n = dir_len(s, len);
	return fu_strn(c, s + n, len - n);
}

static const struct value *
f_dirname(struct tcall *c)
{
	const char *s;
	size_t len, n;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	for (n = len = dir_len(s, len); n > 0 && s[n - 1] == '/'; n--)
		continue;
	return fu_strn(c, s, n > 0 ? n : len);
}

static const struct value *
f_splitext(struct tcall *c)
{
	const char *s;
	size_t len, base, dot, i;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	base = dir_len(s, len);
	for (dot = len; dot > base && s[dot - 1] != '.'; dot--)
		continue;
	if (dot-- == base)
		return fu_pair(c, c->in, &v_empty_str);
	/* Leading dots belong to the name. */
	for (i = base; i < dot && s[i] == '.'; i++)
		continue;
	if (i == dot)
		return fu_pair(c, c->in, &v_empty_str);
	return fu_pair(c, fu_strn(c, s, dot), fu_strn(c, s + dot, len - dot));
}

static void
path_join(struct buf *b, const char *s, size_t len)
{
	if (len > 0 && *s == '/')
		buf_clear(b);
	else if (b->len > 0 && b->data[b->len - 1] != '/')
		buf_addc(b, '/');
	buf_add(b, s, len);
}

static const struct value *
f_path_join(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct vlist *l;
	const char *s;
	size_t len;

	if (c->in->type == V_STR)
		return c->in;
	if (c->in->type != V_LIST && c->in->type != V_OBJ)
		return terr(c, ERR_TYPE, "|path_join expects string or sequence, got %s instead.",
		    tmpl_py_type(c->in));
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	if (l->n == 0)
		return terr(c, ERR_TYPE, "join() missing 1 required positional argument: 'a'");
	for (uint32_t i = 0; i < l->n; i++) {
		if (!path_arg(c, l->v[i], &s, &len)) {
			buf_release(&b);
			return NULL;
		}
		if (i == 0)
			buf_add(&b, s, len);
		else
			path_join(&b, s, len);
	}
	return fu_result(c, &b);
}

/* posixpath.normpath() */
void
path_normal(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len, *e;
	size_t root = 0, cut;
	bool up;

	if (len > 0 && *s == '/')
		root = len > 1 && s[1] == '/' && (len == 2 || s[2] != '/') ? 2 : 1;
	for (size_t i = 0; i < root; i++)
		buf_addc(b, '/');
	for (; s < end; s = e) {
		while (s < end && *s == '/')
			s++;
		for (e = s; e < end && *e != '/'; e++)
			continue;
		if (e == s || (e - s == 1 && *s == '.'))
			continue;
		up = e - s == 2 && s[0] == '.' && s[1] == '.';
		if (up && b->len == root && root > 0)
			continue;
		for (cut = b->len; cut > root && b->data[cut - 1] != '/'; cut--)
			continue;
		if (up && b->len > root &&
		    !(b->len - cut == 2 && b->data[cut] == '.' && b->data[cut + 1] == '.')) {
			b->len = cut > root ? cut - 1 : root;
			continue;
		}
		if (b->len > root)
			buf_addc(b, '/');
		buf_add(b, s, (size_t)(e - s));
	}
	if (b->len == 0)
		buf_addc(b, '.');
}

static const struct value *
f_normpath(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s;
	size_t len;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	path_normal(&b, s, len);
	return fu_result(c, &b);
}

/* The next component of a path that is neither empty nor "."; false at the end. */
static bool
next_component(const char **s, const char *end, const char **comp, size_t *len)
{
	for (;;) {
		while (*s < end && **s == '/')
			(*s)++;
		if (*s == end)
			return false;
		for (*comp = *s; *s < end && **s != '/'; (*s)++)
			continue;
		*len = (size_t)(*s - *comp);
		if (*len != 1 || **comp != '.')
			return true;
	}
}

static const struct value *
f_commonpath(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct vlist *l;
	const char **at, *s, *comp = NULL, *first = NULL;
	size_t len, flen = 0;
	bool more;

	if (c->in->type != V_LIST)
		return terr(c, ERR_TYPE, "|commonpath expects sequence, got %s instead.",
		    tmpl_py_type(c->in));
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	if (l->n == 0)
		return terr(c, ERR_VALUE, "commonpath() arg is an empty sequence");
	at = arena_array(c->arena, l->n, sizeof(*at));
	for (uint32_t i = 0; i < l->n; i++) {
		if (!path_arg(c, l->v[i], &s, &len))
			return NULL;
		at[i] = s;
		if ((*s == '/') != (*at[0] == '/'))
			return terr(c, ERR_VALUE, "Can't mix absolute and relative paths");
	}
	if (*at[0] == '/')
		buf_addc(&b, '/');
	for (more = true; more;) {
		for (uint32_t i = 0; i < l->n && more; i++) {
			more = next_component(&at[i], l->v[i]->u.s + l->v[i]->len, &comp, &len);
			if (!more)
				break;
			if (i == 0) {
				first = comp;
				flen = len;
			} else if (len != flen || memcmp(comp, first, len) != 0)
				more = false;
		}
		if (more) {
			if (b.len > 0 && b.data[b.len - 1] != '/')
				buf_addc(&b, '/');
			buf_add(&b, first, flen);
		}
	}
	return fu_result(c, &b);
}

/* ~ and ~user */
static const struct value *
f_expanduser(struct tcall *c)
{
	struct buf b = BUF_INIT;
	struct passwd *pw;
	const char *s, *home = NULL;
	size_t len, n, hlen;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	if (len == 0 || *s != '~')
		return c->in;
	for (n = 1; n < len && s[n] != '/'; n++)
		continue;
	if (n == 1) {
		home = getenv("HOME");
		if (home == NULL && (pw = getpwuid(getuid())) != NULL)
			home = pw->pw_dir;
	} else if ((pw = getpwnam(arena_strndup(c->arena, s + 1, n - 1))) != NULL)
		home = pw->pw_dir;
	if (home == NULL)
		return c->in;
	for (hlen = strlen(home); hlen > 0 && home[hlen - 1] == '/'; hlen--)
		continue;
	buf_add(&b, home, hlen);
	buf_add(&b, s + n, len - n);
	if (b.len == 0)
		buf_addc(&b, '/');
	return fu_result(c, &b);
}

/* $name and ${name}; unknown ones stay. */
static const struct value *
f_expandvars(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *end, *name, *val;
	size_t len, n, skip;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	for (end = s + len; s < end;) {
		if (*s != '$' || s + 1 == end) {
			buf_addc(&b, *s++);
			continue;
		}
		name = s + 1;
		if (*name == '{') {
			const char *close;

			name++;
			close = memchr(name, '}', (size_t)(end - name));
			n = close != NULL ? (size_t)(close - name) : 0;
			skip = n + 3;
		} else {
			for (n = 0; name + n < end && (name[n] == '_' || (name[n] >= '0' && name[n] <= '9') ||
			    ((name[n] | 0x20) >= 'a' && (name[n] | 0x20) <= 'z')); n++)
				continue;
			skip = n + 1;
		}
		val = n > 0 ? getenv(arena_strndup(c->arena, name, n)) : NULL;
		if (val == NULL) {
			buf_addc(&b, *s++);
			continue;
		}
		buf_adds(&b, val);
		s += skip;
	}
	return fu_result(c, &b);
}

/* An absolute, normal path of a name relative to the playbook's (or the working) directory. */
static bool
absolute(struct tcall *c, const char *s, size_t len, struct buf *out)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char cwd[PATH_MAX];

	s = path_from_basedir(c, len > 0 ? s : ".");
	if (*s != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL) {
			err_errno(c->err, "working directory");
			return false;
		}
		buf_adds(&b, cwd);
	}
	if (b.len > 0)
		buf_addc(&b, '/');
	buf_adds(&b, s);
	path_normal(out, buf_str(&b), b.len);
	return true;
}

/* os.path.realpath(): links resolved as far as the path exists. */
static const struct value *
f_realpath(struct tcall *c)
{
	struct buf b = BUF_INIT;
	char resolved[PATH_MAX];
	const char *s, *path, *name;
	size_t len, cut;

	if (!path_arg(c, c->in, &s, &len) || !path_may_read(c))
		return NULL;
	if (memchr(s, '\0', len) != NULL)
		return terr(c, ERR_VALUE, "embedded null byte");
	path = path_from_basedir(c, len > 0 ? s : ".");
	if (realpath(path, resolved) != NULL)
		return v_str(c->arena, resolved);
	/* The longest leading part that exists, resolved; the rest as it is. */
	for (cut = strlen(path); cut > 0; cut--) {
		if (path[cut - 1] != '/')
			continue;
		if (realpath(arena_strndup(c->arena, path, cut), resolved) != NULL)
			break;
	}
	if (cut == 0 && realpath(".", resolved) == NULL)
		return err_errno(c->err, "realpath"), NULL;
	name = path + cut;
	buf_adds(&b, resolved);
	if (strcmp(resolved, "/") != 0)
		buf_addc(&b, '/');
	buf_adds(&b, name);
	path = buf_dup(&b, c->arena);
	buf_clear(&b);
	path_normal(&b, path, strlen(path));
	return fu_result(c, &b);
}

static const struct value *
f_relpath(struct tcall *c)
{
	struct buf b = BUF_INIT, to = BUF_INIT, from = BUF_INIT;
	const struct value *v = NULL;
	const char *s, *start = ".", *t, *f, *tc, *fc;
	size_t len, slen = 1, tl, fl;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	if (fu_given(c, 0) && !path_arg(c, c->a[0], &start, &slen))
		return NULL;
	if (len == 0)
		return terr(c, ERR_VALUE, "no path specified");
	if (!absolute(c, s, len, &to) || !absolute(c, start, slen, &from))
		goto out;
	t = buf_str(&to);
	f = buf_str(&from);
	for (;;) {
		const char *t0 = t, *f0 = f;
		bool ht = next_component(&t, to.data + to.len, &tc, &tl);
		bool hf = next_component(&f, from.data + from.len, &fc, &fl);

		if (ht && hf && tl == fl && memcmp(tc, fc, tl) == 0)
			continue;
		t = t0;
		f = f0;
		break;
	}
	while (next_component(&f, from.data + from.len, &fc, &fl))
		buf_adds(&b, b.len > 0 ? "/.." : "..");
	while (next_component(&t, to.data + to.len, &tc, &tl)) {
		if (b.len > 0)
			buf_addc(&b, '/');
		buf_add(&b, tc, tl);
	}
	if (b.len == 0)
		buf_addc(&b, '.');
	v = fu_result(c, &b);
out:
	buf_release(&b);
	buf_release(&to);
	buf_release(&from);
	return v;
}

bool
path_glob(struct tcall *c, const char *pattern, size_t strip, struct value *out)
{
	struct stat st;
	glob_t g;
	int rc;

	rc = glob(file_at(pattern), GLOB_NOESCAPE, NULL, &g);
	if (rc == GLOB_NOMATCH)
		return true;
	if (rc != 0) {
		terr(c, ERR_IO, "%s: cannot read the directory of %s", c->name, pattern);
		return false;
	}
	for (size_t i = 0; i < g.gl_pathc; i++)
		if (stat(g.gl_pathv[i], &st) == 0 && S_ISREG(st.st_mode))
			v_push(c->arena, out, v_str(c->arena, file_named(g.gl_pathv[i]) + strip));
	globfree(&g);
	return true;
}

static const struct value *
f_fileglob(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const char *s, *path;
	size_t len;

	if (!path_arg(c, c->in, &s, &len) || !path_may_read(c))
		return NULL;
	path = path_from_basedir(c, s);
	return path_glob(c, path, strlen(path) - strlen(s), out) ? out : NULL;
}

/* ---- Windows ----------------------------------------------------------------------- */

static bool
win_sep(char ch)
{
	return ch == '\\' || ch == '/';
}

/* ntpath.splitroot(): lengths of the drive and of the root behind it. */
static void
win_root(const char *s, size_t len, size_t *drive, size_t *root)
{
	size_t i, start, seps;
	uint32_t ch;

	*drive = *root = 0;
	if (len > 0 && win_sep(s[0])) {
		if (len < 2 || !win_sep(s[1])) {
			*root = 1;
			return;
		}
		start = 2;
		if (len >= 8 && s[2] == '?' && win_sep(s[3]) && strncasecmp(s + 4, "UNC", 3) == 0 &&
		    win_sep(s[7]))
			start = 8;
		for (i = start, seps = 0; i < len; i++)
			if (win_sep(s[i]) && ++seps == 2)
				break;
		*drive = i;
		*root = i < len;
		return;
	}
	/* Any one character is a drive's letter. */
	i = len > 0 ? utf8_decode(s, len, &ch) : 0;
	if (i > 0 && i < len && s[i] == ':') {
		*drive = i + 1;
		*root = len > i + 1 && win_sep(s[i + 1]);
	}
}

static const struct value *
win_split(struct tcall *c, bool base)
{
	const char *s;
	size_t len, drive, root, i, head;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	win_root(s, len, &drive, &root);
	root += drive;
	for (i = len; i > root && !win_sep(s[i - 1]); i--)
		continue;
	if (base)
		return fu_strn(c, s + i, len - i);
	for (head = i; head > root && win_sep(s[head - 1]); head--)
		continue;
	return fu_strn(c, s, head);
}

static const struct value *
f_win_basename(struct tcall *c)
{
	return win_split(c, true);
}

static const struct value *
f_win_dirname(struct tcall *c)
{
	return win_split(c, false);
}

static const struct value *
f_win_splitdrive(struct tcall *c)
{
	const char *s;
	size_t len, drive, root;

	if (!path_arg(c, c->in, &s, &len))
		return NULL;
	win_root(s, len, &drive, &root);
	return fu_pair(c, fu_strn(c, s, drive), fu_strn(c, s + drive, len - drive));
}

static const struct tfilter filters[] = {
	{ "basename", "", 0, f_basename },
	{ "commonpath", "", 0, f_commonpath },
	{ "dirname", "", 0, f_dirname },
	{ "expanduser", "", 0, f_expanduser },
	{ "expandvars", "", 0, f_expandvars },
	{ "fileglob", "", 0, f_fileglob },
	{ "normpath", "", 0, f_normpath },
	{ "path_join", "", 0, f_path_join },
	{ "realpath", "", 0, f_realpath },
	{ "relpath", "start", 0, f_relpath },
	{ "splitext", "", 0, f_splitext },
	{ "win_basename", "", 0, f_win_basename },
	{ "win_dirname", "", 0, f_win_dirname },
	{ "win_splitdrive", "", 0, f_win_splitdrive },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_path = { filters, NULL };
