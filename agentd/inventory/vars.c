/*
 * Variables of hosts: group_vars/ and host_vars/, and what wins over what.
 *
 * For a host, weakest first (inventory.h has the table): vars of `all`, vars
 * of its groups (by depth, priority, name), group_vars/all of the sources and
 * of the site, group_vars of its groups likewise, the host's own vars, then
 * host_vars of the sources and of the site.  A later one replaces; nothing is
 * merged below the top level.
 *
 * Every file is read and compiled once and shared by all hosts; the directory
 * is listed once, so that thousands of hosts without files cost no system
 * calls.  NAME stands for the first of NAME (a directory, all files in it, or
 * a file), NAME.yml, NAME.yaml, NAME.json.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "inventory/inv.h"
#include "template/template.h"
#include "yaml/files.h"

#define VARS_DEPTH	10u	/* directories in group_vars/NAME/ */

static const char *const extensions[] = { "", ".yml", ".yaml", ".json" };

/* A directory's names; missing directories have none. */
struct var_dir {
	struct names	 entries;	/* name → itself */
};

struct var_file {
	const struct value	*map;	/* compiled; NULL: nothing there */
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a directory, sorted, in the arena; -1 with errno. */
static int
list_dir(struct arena *arena, const char *path, const char ***ret, uint32_t *nret)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir(file_at(path));
	const char **v = NULL;
	uint32_t n = 0, cap = 0;
	struct dirent *de;

	if (dir == NULL)
		return -1;
	while ((de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		if (n == cap) {
			uint32_t old = cap;

			cap = cap == 0 ? 16 : cap * 2;
			v = arena_grow(arena, v, old * sizeof(*v), cap * sizeof(*v));
		}
		v[n++] = arena_strdup(arena, de->d_name);
	}
	if (n > 0)
		qsort(v, n, sizeof(*v), by_text);
	*ret = v;
	*nret = n;
	return 0;
}

static struct var_dir *
var_dir(struct inventory *inv, const char *path)
{
	struct var_dir *d = names_get(&inv->var_dirs, path);
	const char **names;
	uint32_t n;

	if (d != NULL)
		return d;
	d = ARENA_NEW(inv->arena, struct var_dir);
	if (list_dir(inv->arena, path, &names, &n) == 0)
		for (uint32_t i = 0; i < n; i++) {
			char *name = arena_strdup(inv->arena, names[i]);

			names_put(&d->entries, inv->arena, name, name);
		}
	names_put(&inv->var_dirs, inv->arena, arena_strdup(inv->arena, path), d);
	return d;
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(file_at(path), &st) == 0 && S_ISDIR(st.st_mode);
}

static int
load_file(struct inventory *inv, const char *path, struct value *into,
    struct diags *diags)
{
	const struct value *v = yaml_load(inv->arena, path, inv->yaml, diags);

	if (v == NULL)
		return -1;
	if (v_is_null(v))
		return 0;
	if (!v_is_map(v)) {
		struct source *src = ARENA_NEW(inv->arena, struct source);
		struct mark m = v_mark(v);
		struct err *e;

		src->path = path;
		if (m.src == NULL)	/* from JSON */
			m = (struct mark){ .src = src };
		e = diags_error(diags, ERR_TYPE, m, "a file of variables must hold "
		    "'name: value' pairs, not %s", v_type_name(v));
		const char *hint = v->type == V_STR ?
		    yaml_text_hint(inv->arena, v->u.s, v->len) : NULL;

		if (hint != NULL)
			err_hint(e, "%s", hint);
		return -1;
	}
	if ((v = tmpl_compile_tree(inv->arena, v, diags)) == NULL)
		return -1;
	v_merge(inv->arena, into, v);
	return 0;
}

/* All files of a directory, in order; directories in it only when their name has no extension. */
static int
load_dir(struct inventory *inv, const char *path, struct value *into,
    unsigned depth, struct diags *diags)
{
	const char **names, *ext, *full;
	uint32_t n;
	size_t len;
	bool known;
	int rc = 0;

	if (list_dir(inv->arena, path, &names, &n) == -1) {
		diags_error(diags, ERR_IO, (struct mark){ 0 },
		    "cannot read the directory '%s': %s", path, strerror(errno));
		return -1;
	}
	for (uint32_t i = 0; i < n; i++) {
		if ((len = strlen(names[i])) > 0 && names[i][len - 1] == '~')
			continue;
		ext = strrchr(names[i], '.');
		known = ext == NULL;
		for (size_t k = 1; ext != NULL && k < NITEMS(extensions); k++)
			known |= strcmp(ext, extensions[k]) == 0;
		if (!known)
			continue;
		full = arena_printf(inv->arena, "%s/%s", path, names[i]);
		if (!is_dir(full))
			rc |= load_file(inv, full, into, diags);
		else if (ext == NULL && depth < VARS_DEPTH)
			rc |= load_dir(inv, full, into, depth + 1, diags);
	}
	return rc;
}

/*
 * dir/kind/name's variables into *ret, NULL when there are none; -1 with
 * diags, and the next call tries again.
 */
static int
var_file(struct inventory *inv, const char *dir, const char *kind,
    const char *name, const struct value **ret, struct diags *diags)
{
	const char *base = dir[0] == '\0' ? kind :
	    arena_printf(inv->arena, "%s/%s", dir, kind), *path;
	struct var_dir *d = var_dir(inv, base);
	struct var_file *f;
	struct value *map;
	int rc;

	*ret = NULL;
	if (d->entries.n == 0 || strchr(name, '/') != NULL)
		return 0;
	for (size_t i = 0; i < NITEMS(extensions); i++) {
		CLEANUP_BUF struct buf entry = BUF_INIT;

		buf_addf(&entry, "%s%s", name, extensions[i]);
		if (names_get(&d->entries, buf_str(&entry)) == NULL)
			continue;
		path = arena_printf(inv->arena, "%s/%s", base, buf_str(&entry));
		if ((f = names_get(&inv->var_files, path)) != NULL) {
			*ret = f->map;
			return 0;
		}
		map = v_map(inv->arena);
		if (!is_dir(path))
			rc = load_file(inv, path, map, diags);
		else if (i == 0)
			rc = load_dir(inv, path, map, 0, diags);
		else
			continue;	/* a directory x.yml/ is none of ours */
		if (rc != 0)
			return -1;
		f = ARENA_NEW(inv->arena, struct var_file);
		*ret = f->map = map;
		names_put(&inv->var_files, inv->arena, path, f);
		return 0;
	}
	return 0;
}

/* ---- merging ------------------------------------------------------------------ */

struct merge {
	struct inventory	*inv;
	struct value		*into;
	struct diags		*diags;
	bool			 failed;
};

static void
add(struct merge *m, const struct value *vars)
{
	if (vars != NULL)
		v_merge(m->inv->arena, m->into, vars);
}

static void
add_files(struct merge *m, const char *dir, const char *kind, const char *name)
{
	const struct value *vars;

	if (dir == NULL)
		return;
	if (var_file(m->inv, dir, kind, name, &vars, m->diags) == -1)
		m->failed = true;
	else
		add(m, vars);
}

static void
add_own(struct merge *m, const struct value *vars, const struct value **compiled)
{
	if (*compiled == NULL)
		*compiled = tmpl_compile_tree(m->inv->arena, vars, m->diags);
	if (*compiled == NULL)
		m->failed = true;
	else
		add(m, *compiled);
}

static int
by_rank(const void *pa, const void *pb)
{
	const struct group *a = *(struct group *const *)pa;
	const struct group *b = *(struct group *const *)pb;

	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void
add_place(struct merge *m, const struct host_priv *hp)
{
	struct arena *a = m->inv->arena;
	const char *slash;

	if (hp->file == NULL)
		return;
	slash = strrchr(hp->file, '/');
	v_set_str(a, m->into, "inventory_file", hp->file);
	v_sets(a, m->into, "inventory_dir", slash == NULL ? v_str(a, "") :
	    slash == hp->file ? v_str(a, "/") :
	    v_strn(a, hp->file, (size_t)(slash - hp->file)));
}

const struct value *
vars_merge(struct inventory *inv, struct host_priv *hp, struct diags *diags)
{
	struct merge m = { .inv = inv, .into = v_map(inv->arena), .diags = diags };
	struct group **groups;
	uint32_t n;

	groups = inv_ancestors(inv, &hp->h, &n);
	qsort(groups, n, sizeof(struct group *), by_rank);

	add_own(&m, inv->all->vars, &inv->all->compiled);
	for (uint32_t i = 0; i < n; i++)
		add_own(&m, groups[i]->vars,
		    &((struct group_priv *)groups[i])->compiled);
	for (uint32_t d = 0; d < inv->ndirs; d++)
		add_files(&m, inv->dirs[d].shown, "group_vars", "all");
	add_files(&m, inv->site_dir.shown, "group_vars", "all");
	for (uint32_t d = 0; d < inv->ndirs; d++)
		for (uint32_t i = 0; i < n; i++)
			add_files(&m, inv->dirs[d].shown, "group_vars", groups[i]->name);
	for (uint32_t i = 0; i < n; i++)
		add_files(&m, inv->site_dir.shown, "group_vars", groups[i]->name);
	free(groups);

	add_place(&m, hp);
	add_own(&m, hp->vars, &hp->compiled);
	add(&m, hp->added);
	for (uint32_t d = 0; d < inv->ndirs; d++)
		add_files(&m, inv->dirs[d].shown, "host_vars", hp->h.name);
	add_files(&m, inv->site_dir.shown, "host_vars", hp->h.name);
	return m.failed ? NULL : m.into;
}
