/*
 * Files of a site: names, reading, caches.
 *
 * Every YAML file is read and parsed once and every variables file compiled
 * once, however many plays and roles use them; a file with errors is reported
 * when first met and remembered as bad.  Paths are absolute inside, folded
 * (`.`, `..`, `//`) by text like Ansible does, and shown relative to the
 * working directory in messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "playbook/private.h"
#include "yaml/files.h"

#define DIRS_MAX	2000u	/* directories below one, for variables in a directory */

/* ---- names ---------------------------------------------------------------- */

static const char *
path_fold(struct arena *a, const char *path)
{
	size_t len = strlen(path), n = 0;
	char *out = arena_alloc(a, len + 2);
	const char *p = path, *end;

	while (*p != '\0') {
		while (*p == '/')
			p++;
		end = p + strcspn(p, "/");
		if (end == p)
			break;
		if (end - p == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (!(end - p == 1 && p[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, (size_t)(end - p));
			n += (size_t)(end - p);
		}
		p = end;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

const char *
path_absolute(struct arena *a, const char *path)
{
	char cwd[PATH_MAX];
	const char *home;

	if (path[0] == '~' && (path[1] == '/' || path[1] == '\0') &&
	    (home = getenv("HOME")) != NULL)
		return path_fold(a, arena_printf(a, "%s/%s", home, path + 1));
	if (path[0] == '/')
		return path_fold(a, path);
	if (getcwd(cwd, sizeof(cwd)) == NULL)
		cwd[0] = '\0';
	return path_fold(a, arena_printf(a, "%s/%s", cwd, path));
}

const char *
path_join(struct arena *a, const char *dir, const char *name)
{
	if (name[0] == '/' || name[0] == '~')
		return path_absolute(a, name);
	return path_fold(a, arena_printf(a, "%s/%s", dir, name));
}

const char *
path_dir(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return ".";
	return slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

const char *
path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

bool
path_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0' || (n > 0 && dir[n - 1] == '/'));
}

const char *
path_show(struct arena *a, const char *path)
{
	char cwd[PATH_MAX];
	size_t n;

	if (path[0] != '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return path;
	n = strlen(cwd);
	if (n > 1 && path_inside(path, cwd) && path[n] == '/')
		return arena_strdup(a, path + n + 1);
	return path;
}

bool
path_is_dir(const char *path)
{
	struct stat st;

	return stat(file_at(path), &st) == 0 && S_ISDIR(st.st_mode);
}

bool
path_is_file(const char *path)
{
	struct stat st;

	return stat(file_at(path), &st) == 0 && !S_ISDIR(st.st_mode);
}

static int
name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
has_ext(const char *name, const char *const *exts)
{
	size_t n = strlen(name), m;

	if (exts == NULL)
		return true;
	for (; *exts != NULL; exts++) {
		m = strlen(*exts);
		if (m == 0 ? strchr(name, '.') == NULL :
		    n > m && strcmp(name + n - m, *exts) == 0)
			return true;
	}
	return false;
}

/* budget: directories still to be opened; links can make endless ones. */
static void
dir_walk(struct arena *a, const char *dir, const char *const *exts, unsigned depth,
    unsigned *budget, const char ***ret, uint32_t *nret)
{
	DIR *d CLEANUP_CLOSEDIR = *budget == 0 ? NULL : opendir(file_at(dir));
	const char **names = NULL, *path;
	uint32_t n = 0, cap = 0, i, ncap;
	struct dirent *e;

	if (d == NULL)
		return;
	(*budget)--;
	while ((e = readdir(d)) != NULL && n < SITE_FILES_MAX) {
		size_t len = strlen(e->d_name);

		if (e->d_name[0] == '.' || e->d_name[len - 1] == '~')
			continue;
		if (n == cap) {
			ncap = cap == 0 ? 16 : cap * 2;
			names = arena_grow(a, names, cap * sizeof(*names), ncap * sizeof(*names));
			cap = ncap;
		}
		names[n++] = arena_strdup(a, e->d_name);
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), name_cmp);
	for (i = 0; i < n; i++) {
		path = arena_printf(a, "%s/%s", dir, names[i]);
		if (path_is_dir(path)) {
			if (depth > 0)
				dir_walk(a, path, exts, depth - 1, budget, ret, nret);
		} else if (has_ext(names[i], exts) && *nret < SITE_FILES_MAX) {
			if ((*nret & (*nret - 1)) == 0)	/* full at powers of two */
				*ret = arena_grow(a, *ret, *nret * sizeof(**ret),
				    (*nret == 0 ? 1 : *nret * 2) * sizeof(**ret));
			(*ret)[(*nret)++] = path;
		}
	}
}

void
dir_files(struct arena *a, const char *dir, const char *const *exts,
    unsigned depth, const char ***ret, uint32_t *nret)
{
	unsigned budget = DIRS_MAX;

	dir_walk(a, dir, exts, depth, &budget, ret, nret);
}

/* ---- YAML files ------------------------------------------------------------ */

/* The source under the name that messages show. */
static const struct source *
source_open(const struct ctx *c, const char *path, const struct mark *at)
{
	struct arena *a = c->a;
	struct err e = ERR_INIT;
	struct source *copy;
	const struct source *src;

	src = source_read(a, path, &c->site->priv->yaml, &e);
	if (src == NULL) {
		if (at != NULL && e.at.src == NULL)
			err_at(&e, *at);
		diags_add(c->d, DIAG_ERROR, &e);
		return NULL;
	}
	copy = ARENA_NEW(a, struct source);
	*copy = *src;
	copy->path = path_show(a, path);
	return copy;
}

const struct file *
file_load(const struct ctx *c, const char *path, const struct mark *at)
{
	struct site_private *p = c->site->priv;
	static const struct mark nowhere;
	struct file *f = tab_get(&p->files, path);

	if (f != NULL)
		return f->root == NULL ? NULL : f;
	if (p->files.n >= SITE_FILES_MAX) {
		diags_error(c->d, ERR_LIMIT, at == NULL ? nowhere : *at,
		    "more than %u files in one site", SITE_FILES_MAX);
		return NULL;
	}
	f = ARENA_NEW(c->a, struct file);
	f->path = arena_strdup(c->a, path);
	tab_set(c->a, &p->files, path, f);
	f->src = source_open(c, path, at);
	if (f->src != NULL)
		f->root = yaml_parse(c->a, f->src, &p->yaml, c->d);
	p->lost |= f->root == NULL;
	return f->root == NULL ? NULL : f;
}

/* ---- variables ------------------------------------------------------------- */

struct vars_file {
	const struct value	*map;	/* NULL: bad */
};

/* The start of a file, for what is wrong with it as a whole. */
static struct mark
file_mark(const struct file *f)
{
	struct mark m = v_mark(f->root);

	if (m.src == NULL)
		m = (struct mark){ f->src, 1, 1, 1 };
	return m;
}

/* Variables one by one: one that cannot be supported does not spoil the others. */
static const struct value *
compile_map(const struct ctx *c, const struct value *map)
{
	struct value *out = v_map(c->a);
	const struct value *v;
	const struct ventry *e;
	uint32_t it;
	bool ok = true;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if ((v = compile_var(c, e->val)) == NULL)
			ok = false;
		else
			v_set(c->a, out, e->key, v);
	}
	if (!ok)
		return NULL;
	return map->mark == NULL ? out : v_with_mark(c->a, out, *map->mark);
}

const struct value *
vars_load(const struct ctx *c, const char *path, const struct mark *at)
{
	struct site_private *p = c->site->priv;
	struct vars_file *vf = tab_get(&p->vars, path);
	const struct file *f;

	if (vf != NULL)
		return vf->map;
	vf = ARENA_NEW(c->a, struct vars_file);
	tab_set(c->a, &p->vars, path, vf);
	if ((f = file_load(c, path, at)) == NULL)
		return NULL;
	if (v_is_null(f->root)) {
		vf->map = v_map(c->a);
	} else if (!v_is_map(f->root)) {
		err_hint(diags_error(c->d, ERR_TYPE, file_mark(f),
		    "a variables file must hold a map of names to values, not %s",
		    v_type_name(f->root)), "write `name: value` lines");
	} else
		vf->map = compile_map(c, f->root);
	p->lost |= vf->map == NULL;
	return vf->map;
}

bool
name_is_identifier(const char *s)
{
	if (!(*s == '_' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
		return false;
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static bool
names_ok(const struct ctx *c, const struct value *map)
{
	const struct ventry *e;
	uint32_t it;
	bool ok = true;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (v_is_str(e->key) && name_is_identifier(e->key->u.s))
			continue;
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key), "%s is no name for a variable",
		    v_is_str(e->key) ? arena_printf(c->a, "'%s'", e->key->u.s) : v_type_name(e->key)),
		    "names are letters, digits and underscores, not beginning with a digit");
		ok = false;
	}
	return ok;
}

const struct value *
vars_read(const struct ctx *c, const struct value *v, const char *what)
{
	bool lost = c->site->priv->lost;
	struct value *all;
	uint32_t i;

	if (v == NULL || v_is_null(v))
		return NULL;
	if (v_is_map(v)) {
		v = names_ok(c, v) ? compile_map(c, v) : NULL;
		c->site->priv->lost |= v == NULL;
		return v;
	}
	c->site->priv->lost = true;	/* unless it turns out well */
	if (v_is_list(v)) {
		all = v_map(c->a);
		for (i = 0; i < v_count(v); i++) {
			if (!v_is_map(v_at(v, i)))
				break;
			if (!names_ok(c, v_at(v, i)))
				return NULL;
			v_merge(c->a, all, v_at(v, i));
		}
		if (i == v_count(v) && (v = compile_map(c, all)) != NULL) {
			c->site->priv->lost = lost;
			return v;
		}
		if (v == NULL)
			return NULL;
	}
	diags_error(c->d, ERR_TYPE, v_mark(v), "%s must be a map of names to values, not %s",
	    what, v_type_name(v));
	return NULL;
}

const struct value *
site_vars_file(struct site *s, const char *path, struct diags *d)
{
	struct ctx c = { .site = s, .a = s->arena, .d = d };
	const char *abs = path_absolute(s->arena, path);
	const struct value *map;
	size_t before = d->nerrors;

	map = vars_load(&c, abs, NULL);
	if (map == NULL && d->nerrors == before)
		diags_error(d, ERR_INVALID, (struct mark){ 0 },
		    "the variables file %s has errors", path_show(s->arena, abs));
	return map;
}

/* ---- template files --------------------------------------------------------- */

struct tmpl_file {
	const struct tmpl	*tmpl;
};

static const char *
opts_key(struct arena *a, const char *path, const struct tmpl_opts *o)
{
#define S(x)	((x) == NULL ? "" : (x))
	if (o == NULL)
		return path;
	return arena_printf(a, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%d%d%d%d%d", path,
	    S(o->block_start), S(o->block_end), S(o->variable_start), S(o->variable_end),
	    S(o->comment_start), S(o->comment_end), S(o->line_statement_prefix),
	    S(o->line_comment_prefix), S(o->newline_sequence), o->no_trim_blocks,
	    o->lstrip_blocks, o->no_keep_trailing_newline, o->ext_do, o->ext_loopcontrols);
#undef S
}

const struct tmpl *
site_template(struct site *s, const char *path, const struct tmpl_opts *o, struct diags *d)
{
	struct ctx c = { .site = s, .a = s->arena, .d = d };
	struct arena a = { 0 };
	const char *abs = path_absolute(&a, path), *key = opts_key(&a, abs, o);
	const struct source *src;
	struct tmpl_file *tf;

	tf = tab_get(&s->priv->templates, key);
	/* Of a bad one a host is told again what is wrong. */
	if (tf == NULL || (tf->tmpl == NULL && s->priv->loaded)) {
		tf = ARENA_NEW(s->arena, struct tmpl_file);
		tab_set(s->arena, &s->priv->templates, key, tf);
		if ((src = source_open(&c, arena_strdup(s->arena, abs), NULL)) != NULL)
			tf->tmpl = tmpl_compile(s->arena, src->text, src->len,
			    (struct mark){ src, 1, 1, 1 }, TMPL_FILE, o, d);
	}
	arena_release(&a);
	return tf->tmpl;
}
