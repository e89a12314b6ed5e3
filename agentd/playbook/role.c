/*
 * Roles: where they are, their parts, their dependencies.
 *
 *	roles/NAME/{tasks,handlers,vars,defaults,meta}/main.yml
 *
 * A role is compiled anew for each use, since its tasks inherit keywords,
 * conditions and tags from it; files are read once (files.c).  Uses that are
 * the same (same directory, parts, parameters and entry) share an id: by it the
 * engine knows that a role ran already on a host.
 */
#include <string.h>

#include "base/json.h"
#include "playbook/private.h"
#include "yaml/files.h"

/* ---- where roles are ---------------------------------------------------------------- */

/* "ns.coll.role" in the collections' directories. */
static const char *
collection_role(const struct ctx *c, const char *ns, const char *coll, const char *name)
{
	const char *const *dir, *path;

	for (dir = c->site->priv->collections_path; dir != NULL && *dir != NULL; dir++) {
		path = arena_printf(c->a, "%s/ansible_collections/%s/%s/roles/%s", *dir, ns, coll, name);
		if (path_is_dir(path))
			return path;
	}
	return NULL;
}

static const char *
qualified_role(const struct ctx *c, const char *name)
{
	const char *one = strchr(name, '.'), *two = one == NULL ? NULL : strchr(one + 1, '.');

	if (two == NULL || strchr(name, '/') != NULL)
		return NULL;
	return collection_role(c, arena_strndup(c->a, name, (size_t)(one - name)),
	    arena_strndup(c->a, one + 1, (size_t)(two - one - 1)), two + 1);
}

/* The directories in which a plain name is looked for, in order; NULL-terminated. */
static const char *const *
role_dirs(const struct ctx *c)
{
	const char *const *more;
	const char **dirs;
	size_t n = 0;

	for (more = c->site->roles_path; more != NULL && *more != NULL; more++)
		n++;
	dirs = ARENA_ARRAY(c->a, n + 8, const char *);
	n = 0;
	if (c->play != NULL)
		dirs[n++] = path_join(c->a, c->play->dir, "roles");
	for (more = c->site->roles_path; more != NULL && *more != NULL; more++)
		dirs[n++] = *more;
	if (c->role != NULL)
		dirs[n++] = path_dir(c->a, c->role->path);
	if (c->play != NULL)
		dirs[n++] = c->play->dir;
	return dirs;
}

const char *
role_find(const struct ctx *c, const char *name, struct buf *tried)
{
	const char *const *dir, *path, *coll, *dot;
	uint32_t i;

	if ((path = qualified_role(c, name)) != NULL)
		return path;
	for (i = 0; c->collections != NULL && i < v_count(c->collections); i++) {
		if (!v_is_str(v_at(c->collections, i)))
			continue;
		coll = v_at(c->collections, i)->u.s;
		if ((dot = strchr(coll, '.')) != NULL && (path = collection_role(c,
		    arena_strndup(c->a, coll, (size_t)(dot - coll)), dot + 1, name)) != NULL)
			return path;
	}
	if (name[0] == '/' || name[0] == '~') {
		path = path_absolute(c->a, name);
		buf_adds(tried, path);
		return path_is_dir(path) ? path : NULL;
	}
	for (dir = role_dirs(c); *dir != NULL; dir++) {
		path = path_join(c->a, *dir, name);
		if (path_is_dir(path))
			return path;
		buf_addf(tried, "%s%s", tried->len > 0 ? ", " : "", path_show(c->a, path));
	}
	return NULL;
}

const char *
role_nearest(const struct ctx *c, const char *name)
{
	const char *const *dir, *best = NULL;
	unsigned dist = 0;
	struct dirent *e;
	DIR *d;

	for (dir = role_dirs(c); *dir != NULL; dir++) {
		if (c->play != NULL && strcmp(*dir, c->play->dir) == 0)
			continue;
		if ((d = opendir(file_at(*dir))) == NULL)
			continue;
		while ((e = readdir(d)) != NULL) {
			if (e->d_name[0] != '.')
				nearest_try(name, arena_strdup(c->a, e->d_name), &best, &dist);
		}
		(void)closedir(d);
	}
	return best;
}

const char *
role_part(const struct ctx *c, const char *role, const char *subdir, const char *from)
{
	static const char *const exts[] = { ".yml", ".yaml", ".json", "" };
	const char *dir = path_join(c->a, role, subdir), *path;
	size_t i;

	if (from != NULL) {
		path = path_join(c->a, dir, from);
		if (path_is_file(path))
			return path_inside(path, dir) ? path : NULL;
	}
	for (i = 0; i < NITEMS(exts); i++) {
		path = arena_printf(c->a, "%s/%s%s", dir, from == NULL ? "main" : from, exts[i]);
		path = path_join(c->a, "/", path);
		if (path_is_file(path) && path_inside(path, dir))
			return path;
	}
	return NULL;
}

/* ---- variables and meta ---------------------------------------------------------------- */

/* vars/ or defaults/: main.yml, or all files below main/. */
static const struct value *
role_vars(const struct ctx *c, const struct role *role, const char *subdir, const char *from,
    struct mark at)
{
	static const char *const exts[] = { ".yml", ".yaml", ".json", "", NULL };
	const char *path = role_part(c, role->path, subdir, from), **files = NULL;
	const struct value *map;
	struct value *all;
	uint32_t n = 0, i;

	if (path != NULL)
		return vars_load(c, path, NULL);
	path = arena_printf(c->a, "%s/%s/%s", role->path, subdir, from == NULL ? "main" : from);
	dir_files(c->a, path, exts, SITE_DEPTH_MAX, &files, &n);
	if (n == 0) {
		if (from != NULL)
			err_hint(diags_error(c->d, ERR_IO, at, "role '%s' has no %s/%s",
			    role->name, subdir, from), "looked for %s.yml", path_show(c->a, path));
		return NULL;
	}
	all = v_map(c->a);
	for (i = 0; i < n; i++) {
		if ((map = vars_load(c, files[i], NULL)) != NULL)
			v_merge(c->a, all, map);
	}
	return all;
}

static const struct value *
role_meta(const struct ctx *c, const struct role *role)
{
	const char *path = role_part(c, role->path, "meta", NULL);
	const struct file *f;

	if (path == NULL || (f = file_load(c, path, NULL)) == NULL || v_is_null(f->root))
		return &v_null;
	if (v_is_map(f->root))
		return f->root;
	diags_error(c->d, ERR_TYPE, v_mark(f->root), "a role's meta file must be a map, not %s",
	    v_type_name(f->root));
	return &v_null;
}

/* The first use that is the same as this one gives its id to it. */
static void
use_id(const struct ctx *c, struct role *role, const struct role_from *from,
    const struct value *use)
{
	struct site_private *p = c->site->priv;
	struct buf b CLEANUP_BUF = BUF_INIT;
	const struct role *same;

#define S(x)	((x) == NULL ? "" : (x))
	buf_addf(&b, "%u\n%s\n%s\n%s\n%s\n%s\n", c->play_no, role->path, S(from->tasks),
	    S(from->vars), S(from->defaults), S(from->handlers));
#undef S
	if (use != NULL)
		json_write(&b, use, JSON_SORT | JSON_COMPACT);
	if ((same = tab_get(&p->uses, buf_str(&b))) != NULL)
		role->id = same->id;
	else {
		role->id = p->nroles++;
		tab_set(c->a, &p->uses, buf_str(&b), role);
	}
}

struct role *
role_load(const struct ctx *c, const char *name, struct mark at, const struct role_from *from,
    const struct value *use, const struct value *params, const struct value *use_vars)
{
	struct buf tried CLEANUP_BUF = BUF_INIT;
	struct role *role;
	const char *path, *near;
	struct ctx inner = *c;
	struct value *vars;
	struct err *e;

	if ((path = role_find(c, name, &tried)) == NULL) {
		c->site->priv->lost = true;
		near = role_nearest(c, name);
		e = diags_error(c->d, ERR_IO, at, "there is no role '%s'", name);
		if (near != NULL)
			err_hint(e, "did you mean '%s'?", near);
		else
			err_hint(e, "looked for %s", buf_str(&tried));
		return NULL;
	}
	role = ARENA_NEW(c->a, struct role);
	role->name = arena_strdup(c->a, strchr(name, '/') != NULL ? path_base(path) : name);
	role->path = path;
	role->parent = c->role;
	role->params = params;
	inner.role = role;
	role->meta = role_meta(&inner, role);
	role->defaults = role_vars(&inner, role, "defaults", from->defaults, at);
	role->vars = role_vars(&inner, role, "vars", from->vars, at);
	if (use_vars != NULL) {		/* vars: of the use count above the role's own */
		vars = v_map(c->a);
		if (role->vars != NULL)
			v_merge(c->a, vars, role->vars);
		v_merge(c->a, vars, use_vars);
		role->vars = vars;
	}
	role->allow_duplicates = v_get_bool(role->meta, "allow_duplicates", false);
	use_id(c, role, from, use);
	return role;
}

/* ---- nodes ------------------------------------------------------------------------------ */

static void
role_deps(const struct ctx *c, struct role *role, struct nodes *tasks, struct nodes *handlers)
{
	const struct value *list = v_gets(role->meta, "dependencies");
	struct role *dep;
	uint32_t i, n;

	if (list == NULL || v_is_null(list))
		return;
	if (!v_is_list(list)) {
		diags_error(c->d, ERR_TYPE, v_mark(list), "'dependencies' must be a list of roles, not %s",
		    v_type_name(list));
		return;
	}
	n = v_count(list);
	role->deps = ARENA_ARRAY(c->a, n, struct role *);
	for (i = 0; i < n; i++) {
		if ((dep = role_entry(c, v_at(list, i), tasks, handlers)) != NULL)
			role->deps[role->ndeps++] = dep;
	}
}

static const struct value *
collections_of(const struct ctx *c, const struct value *map, unsigned where)
{
	const struct keyword *k = keyword_find("collections", where);
	const struct value *v = v_gets(map, "collections");

	v = v == NULL ? NULL : keyword_read(c, k, v);
	return v != NULL ? v : c->collections;
}

/* Tasks of one of the role's files, in place. */
static void
part_tasks(const struct ctx *c, const char *path, struct nodes *nodes)
{
	const struct file *f = file_load(c, path, NULL);
	struct ctx inner = *c;

	if (f == NULL || v_is_null(f->root))
		return;
	if (!v_is_list(f->root)) {
		diags_error(c->d, ERR_TYPE, v_mark(f->root),
		    "a file of tasks must be a list, not %s", v_type_name(f->root));
		return;
	}
	inner.incl = incl_new(c, path, false);
	tasks_read(&inner, f->root, nodes);
}

void
role_nodes(const struct ctx *c, struct role *role, const struct role_from *from,
    struct nodes *tasks, struct nodes *handlers)
{
	struct dep_link link = { role->name, role->path, c->deps };
	struct ctx inner = *c;
	struct node *block;
	const char *path;

	if (c->depth > SITE_DEPTH_MAX || c->site->priv->ninfo >= SITE_NODES_MAX) {
		diags_error(c->d, ERR_LIMIT, (struct mark){ 0 },
		    "too many roles need each other, at role '%s'", role->name);
		return;
	}
	inner.role = role;
	inner.deps = &link;
	inner.handlers = false;
	inner.depth++;
	inner.collections = collections_of(&inner, role->meta, AT_ROLE);
	role_deps(&inner, role, tasks, handlers);
	inner.deps = NULL;
	block = node_make(&inner, NODE_BLOCK, (struct mark){ 0 });
	block->block->is_role = true;
	if (!from->no_spec)
		argspec_nodes(&inner, role, from->tasks == NULL ? "main" : from->tasks, &block->block->body);
	path = role_part(c, role->path, "tasks", from->tasks);
	if (path != NULL)
		part_tasks(&inner, path, &block->block->body);
	else if (from->tasks != NULL)
		err_hint(diags_error(c->d, ERR_IO, from->at,
		    "role '%s' has no tasks/%s", role->name, from->tasks),
		    "looked in %s/tasks", path_show(c->a, role->path));
	nodes_append(c->a, tasks, block);
	path = role_part(c, role->path, "handlers", from->handlers);
	if (path != NULL && handlers != NULL) {
		inner.handlers = true;
		part_tasks(&inner, path, handlers);
	} else if (from->handlers != NULL && path == NULL)
		diags_error(c->d, ERR_IO, from->at, "role '%s' has no handlers/%s",
		    role->name, from->handlers);
}

/* ---- entries of roles: and dependencies: -------------------------------------------------- */

/* Galaxy's old "src,version,name" and URLs stand for a name. */
static const char *
entry_name(const struct ctx *c, const struct value *v)
{
	const struct value *t = v->type == V_INT ? tmpl_to_str(c->a, v) : v;
	const char *name;

	if (!v_is_str(t)) {
		diags_error(c->d, ERR_TYPE, v_mark(v), "the name of a role must be a text, not %s",
		    v_type_name(v));
		return NULL;
	}
	if ((t = compile(c, t)) == NULL)
		return NULL;
	if ((name = static_text(c, t)) != NULL && *name != '\0')
		return name;
	err_hint(diags_error(c->d, ERR_INVALID, v_mark(v),
	    "the name of a role must be known when the site is loaded"),
	    "use variables of the play or of -e, or include_role in a task");
	return NULL;
}

/* What of a role entry is no keyword is a parameter of the role. */
static const struct value *
entry_params(const struct ctx *c, const struct value *map)
{
	struct value *params = v_map(c->a);
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (key_text(c, e->key, "a role entry") == NULL ||
		    keyword_find(e->key->u.s, AT_ROLE) != NULL || v_eqs(e->key, "src"))
			continue;
		v_set(c->a, params, e->key, e->val);
	}
	return v_count(params) == 0 ? NULL : compile(c, params);
}

static bool
depends_on_itself(const struct ctx *c, const struct role *role, struct mark at)
{
	const struct dep_link *l, *last;
	const char *way = role->name;

	for (l = c->deps; l != NULL; l = l->outer) {
		if (strcmp(l->path, role->path) != 0)
			continue;
		for (last = c->deps; last != l; last = last->outer)
			way = arena_printf(c->a, "%s -> %s", last->name, way);
		diags_error(c->d, ERR_INVALID, at, "role '%s' depends on itself: %s -> %s",
		    role->name, l->name, way);
		return true;
	}
	return false;
}

/* What an entry says besides the role's name; NULL: nothing. */
static const struct value *
entry_use(const struct ctx *c, const struct value *entry)
{
	struct value *use = v_map(c->a);

	if (!v_is_map(entry))
		return NULL;
	v_merge(c->a, use, entry);
	(void)v_dels(use, "role");
	(void)v_dels(use, "name");
	(void)v_dels(use, "src");
	return v_count(use) == 0 ? NULL : use;
}

struct role *
role_entry(const struct ctx *c, const struct value *entry, struct nodes *tasks,
    struct nodes *handlers)
{
	static const struct role_from whole;
	const struct value *v = entry, *params = NULL, *vars = NULL;
	struct ctx inner = *c;
	struct role *role;
	const char *name;

	if (v_is_map(entry)) {
		if ((v = v_gets(entry, "role")) == NULL && (v = v_gets(entry, "name")) == NULL &&
		    (v = v_gets(entry, "src")) == NULL) {
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(entry), "a role entry without a name"),
			    "write `- role: NAME`");
			return NULL;
		}
		inner.kw = keywords_inherit(c, entry, AT_ROLE);
		inner.collections = collections_of(c, entry, AT_ROLE);
		params = entry_params(c, entry);
		vars = vars_read(c, v_gets(entry, "vars"), "'vars'");
	} else if (!v_is_str(entry) && entry->type != V_INT) {
		err_hint(diags_error(c->d, ERR_TYPE, v_mark(entry), "a role entry must be a name or a map, not %s",
		    v_type_name(entry)), "write `- role: NAME`");
		return NULL;
	}
	if ((name = entry_name(&inner, v)) == NULL)
		return NULL;
	role = role_load(&inner, name, v_mark(v), &whole, entry_use(c, entry),
	    params, vars);
	if (role == NULL || depends_on_itself(c, role, v_mark(v)))
		return NULL;
	role->is_public = true;
	role_nodes(&inner, role, &whole, tasks, handlers);
	return role;
}
