/*
 * import_tasks, import_role: their nodes take the place of the task and inherit
 * from it.  include_tasks, include_role: a node stays, and what it leads to is
 * compiled when met, once per node and file.  A name without templates is met
 * at load already, so that mistakes behind it show before connecting.  The
 * legacy `include` is either, as Ansible decided: static when neither looped
 * nor templated.
 *
 * What is included inherits from the blocks and the role around the include,
 * not from the include itself (its `when` and tags decide on the include
 * alone); variables do go along, and `apply` adds keywords.
 */
#include <string.h>

#include "playbook/private.h"

static bool
arg_bool(const struct task *t, const char *name, bool def)
{
	const struct value *v = task_arg(t, name);
	int b = v == NULL || v_is_tmpl(v) || v_is_null(v) ? -1 : mod_parse_bool(v);

	return b < 0 ? def : b == 1;
}

/* Is the file being read already, somewhere up? */
static bool
is_open(const struct ctx *c, const char *path)
{
	const struct incl *in;

	for (in = c->incl; in != NULL; in = in->outer) {
		if (strcmp(in->path, path) == 0)
			return true;
	}
	return false;
}

/* The tasks of a file, in a context that is ready for them. */
static bool
read_tasks(const struct ctx *c, const char *path, const struct mark *at, struct nodes *nodes)
{
	static const struct mark nowhere;
	const struct file *f = file_load(c, path, at);

	if (f == NULL) {
		if (c->site->priv->loaded)
			diags_error(c->d, ERR_INVALID, at == NULL ? nowhere : *at,
			    "%s could not be loaded", path_show(c->a, path));
		return false;
	}
	if (v_is_null(f->root)) {
		diags_warn(c->d, (struct mark){ f->src, 0, 0, 1 }, "the file has no tasks");
		return true;
	}
	if (!v_is_list(f->root)) {
		struct err *e = diags_error(c->d, ERR_TYPE, v_mark(f->root),
		    "a file of tasks must be a list, not %s", v_type_name(f->root));

		if (v_is_map(f->root) && (v_gets(f->root, "tasks") != NULL))
			err_hint(e, "leave out `tasks:` and begin each task with `- `");
		return false;
	}
	tasks_read(c, f->root, nodes);
	return true;
}

/* The default of the parameters is the text "main", which stands for "none said". */
static const char *
from_file(const char *name)
{
	return name == NULL || strcmp(name, "main") == 0 ? NULL : name;
}

/* ---- imports ------------------------------------------------------------------------- */

/* A name that must be known now. */
static const char *
fixed_name(const struct ctx *c, const struct node *node, const struct value *v, const char *what)
{
	struct ctx inner = *c;
	const char *name;

	inner.vars = node->vars;
	if ((name = static_text(&inner, v)) != NULL && *name != '\0')
		return name;
	err_hint(diags_error(c->d, ERR_INVALID, v_mark(v),
	    "the name of an imported %s must be known when the site is loaded", what),
	    "use variables of the play, the role or -e; for those of a host there is include_%s",
	    strcmp(what, "role") == 0 ? "role" : "tasks");
	return NULL;
}

static void
import_tasks(const struct ctx *c, struct node *node, struct nodes *nodes)
{
	struct buf tried CLEANUP_BUF = BUF_INIT;
	const struct value *v = task_arg(node->task, "file");
	struct mark at = v == NULL ? node->mark : v_mark(v);
	const char *name, *path;
	struct ctx inner = *c;

	if (v == NULL || (name = fixed_name(c, node, v, "file")) == NULL) {
		c->site->priv->lost = true;
		return;
	}
	if ((path = find_tasks(c, name, &tried)) == NULL) {
		c->site->priv->lost = true;
		err_hint(diags_error(c->d, ERR_IO, at, "there is no file of tasks '%s'", name),
		    "looked for %s", buf_str(&tried));
		return;
	}
	if (is_open(c, path)) {
		err_hint(diags_error(c->d, ERR_INVALID, at, "%s imports itself", path_show(c->a, path)),
		    "include_tasks with a condition can repeat a file");
		return;
	}
	inner.kw = &node->kw;
	inner.vars = node->vars;
	inner.notify = node->task->notify;
	inner.incl = incl_new(c, path, false);
	inner.depth++;
	(void)read_tasks(&inner, path, &at, nodes);
}

static const char *
arg_text(const struct ctx *c, const struct node *node, const char *name)
{
	const struct value *v = task_arg(node->task, name);
	struct ctx inner = *c;

	if (v == NULL || v_is_null(v))
		return NULL;
	inner.vars = node->vars;
	return v_is_str(v) ? v->u.s : static_text(&inner, v);
}

static void
play_role_add(const struct ctx *c, struct role *role)
{
	struct play *p = c->play;

	if (p == NULL)
		return;
	p->roles = arena_grow(c->a, p->roles, p->nroles * sizeof(struct role *),
	    (p->nroles + 1) * sizeof(struct role *));
	p->roles[p->nroles++] = role;
}

static void
import_role(const struct ctx *c, struct node *node, const struct value *map, struct nodes *nodes)
{
	const struct value *v = task_arg(node->task, "name");
	struct role_from from;
	struct ctx inner = *c;
	struct role *role;
	const char *name, *tasks;

	if (c->handlers) {
		diags_error(c->d, ERR_INVALID, node->mark, "import_role cannot be a handler");
		return;
	}
	if (v == NULL || (name = fixed_name(c, node, v, "role")) == NULL) {
		c->site->priv->lost = true;
		return;
	}
	from.tasks = from_file(arg_text(c, node, "tasks_from"));
	from.vars = from_file(arg_text(c, node, "vars_from"));
	from.defaults = from_file(arg_text(c, node, "defaults_from"));
	from.handlers = from_file(arg_text(c, node, "handlers_from"));
	from.at = v_mark(v);
	from.no_spec = !arg_bool(node->task, "rolespec_validate", true);
	inner.kw = &node->kw;
	inner.vars = node->vars;
	inner.notify = node->task->notify;
	inner.deps = NULL;
	inner.depth++;
	role = role_load(&inner, name, v_mark(v), &from, map, NULL, NULL);
	if (role == NULL)
		return;
	role->is_public = arg_bool(node->task, "public", true);
	role->allow_duplicates = arg_bool(node->task, "allow_duplicates", true);
	tasks = role_part(c, role->path, "tasks", from.tasks);
	if (tasks != NULL && is_open(c, tasks)) {
		diags_error(c->d, ERR_INVALID, v_mark(v), "role '%s' imports itself", role->name);
		return;
	}
	play_role_add(c, role);
	role_nodes(&inner, role, &from, nodes, c->play != NULL ? &c->play->handlers : NULL);
}

/* The legacy include: its further words are variables. */
static bool
legacy_include(const struct ctx *c, struct node *node, const struct value *map)
{
	struct value *args = v_map(c->a), *vars = v_map(c->a);
	const struct value *file = task_arg(node->task, "file"), *fixed = task_arg(node->task, "static");
	struct vars_chain *chain;
	const struct ventry *e;
	uint32_t it;
	bool is_static;

	if (fixed == NULL)
		fixed = keyword_get(c, map, "static", AT_TASK);
	is_static = fixed != NULL ? !v_is_tmpl(fixed) && mod_parse_bool(fixed) == 1 :
	    file != NULL && !v_is_tmpl(file) && node->task->loop_kind == LOOP_NONE;
	for (it = 0; (e = v_next(node->task->args, &it)) != NULL;) {
		if (e->val == file || e->val == fixed || !v_is_str(e->key))
			continue;
		if (v_eqs(e->key, "tags"))
			tags_add(c, e->val, &node->kw);
		else if (v_eqs(e->key, "when"))
			conds_read(c, e->val, &node->kw.when);
		else
			v_set(c->a, vars, e->key, e->val);
	}
	if (v_count(vars) > 0) {
		chain = ARENA_NEW(c->a, struct vars_chain);
		chain->map = vars;
		chain->outer = node->vars;
		node->vars = chain;
	}
	if (file != NULL)
		v_sets(c->a, args, "file", file);
	node->task->args = args;
	node->task->module = module_find(is_static ? "import_tasks" : "include_tasks");
	return is_static;
}

void
import_read(const struct ctx *c, struct node *node, const struct value *map, struct nodes *nodes)
{
	struct task *t = node->task;

	if (strcmp(t->module->name, "include") == 0 && !legacy_include(c, node, map)) {
		nodes_append(c->a, nodes, node);
		include_preload(c, node);
		return;
	}
	if (t->loop_kind != LOOP_NONE) {
		err_hint(diags_error(c->d, ERR_INVALID, node->mark, "an import cannot be looped"),
		    "use include_%s", strcmp(t->module->name, "import_role") == 0 ? "role" : "tasks");
		return;
	}
	if (strcmp(t->module->name, "import_role") == 0)
		import_role(c, node, map, nodes);
	else
		import_tasks(c, node, nodes);
}

/* ---- includes -------------------------------------------------------------------------- */

static struct included *
included_find(const struct node_info *info, const char *key)
{
	struct included *inc;

	for (inc = info->included; inc != NULL; inc = inc->next) {
		if (strcmp(inc->key, key) == 0)
			return inc;
	}
	return NULL;
}

static struct included *
included_new(const struct ctx *c, const struct node *node, const char *key)
{
	struct node_info *info = node_info(c->site, node);
	struct included *inc = ARENA_NEW(c->a, struct included);

	inc->key = arena_strdup(c->a, key);
	inc->next = info->included;
	info->included = inc;
	return inc;
}

/* The context for what an include leads to. */
static struct ctx
include_context(const struct ctx *c, const struct node *node)
{
	const struct value *apply = node->task->apply, *vars;
	struct vars_chain *chain;
	const struct ventry *e;
	struct ctx inner = *c;
	uint32_t it;

	inner.vars = node->vars;
	inner.via = node;
	inner.deps = NULL;
	inner.depth++;
	if (apply == NULL || !v_is_map(apply))
		return inner;
	for (it = 0; (e = v_next(apply, &it)) != NULL;) {
		if (key_text(c, e->key, "apply") != NULL &&
		    (keyword_find(e->key->u.s, AT_BLOCK) == NULL || v_eqs(e->key, "block") ||
		    v_eqs(e->key, "rescue") || v_eqs(e->key, "always")))
			keyword_unknown(c, e->key, AT_BLOCK);
	}
	inner.kw = keywords_inherit(c, apply, AT_BLOCK);
	vars = vars_read(c, v_gets(apply, "vars"), "'vars'");
	if (vars != NULL) {
		chain = ARENA_NEW(c->a, struct vars_chain);
		chain->map = vars;
		chain->outer = inner.vars;
		inner.vars = chain;
	}
	return inner;
}

static struct included *
include_tasks(const struct ctx *c, const struct node *node, const char *path, const struct mark *at)
{
	struct nodes *nodes = ARENA_NEW(c->a, struct nodes);
	struct ctx inner = include_context(c, node);
	struct included *inc;

	inner.incl = incl_new(c, path, true);
	inc = included_new(c, node, path);
	if (read_tasks(&inner, path, at, nodes))
		inc->nodes = nodes;
	return inc;
}

static const char *
role_key(struct arena *a, const struct site_role_use *u)
{
#define S(x)	((x) == NULL ? "main" : (x))
	return arena_printf(a, "%s\n%s\n%s\n%s\n%s\n%d%d%d", u->name, S(u->tasks_from),
	    S(u->vars_from), S(u->defaults_from), S(u->handlers_from), u->is_public,
	    u->allow_duplicates, u->no_spec);
#undef S
}

static struct included *
include_role(const struct ctx *c, const struct node *node, const struct site_role_use *u,
    struct mark at)
{
	struct role_from from = { from_file(u->tasks_from), from_file(u->vars_from),
	    from_file(u->defaults_from), from_file(u->handlers_from), at, u->no_spec };
	struct nodes *nodes = ARENA_NEW(c->a, struct nodes), *handlers = ARENA_NEW(c->a, struct nodes);
	struct ctx inner = include_context(c, node);
	struct included *inc = included_new(c, node, role_key(c->a, u));
	struct role *role;
	size_t before = c->d->nerrors;

	role = role_load(&inner, u->name, at, &from, NULL, NULL, NULL);
	if (role == NULL)
		return inc;
	role->is_public = u->is_public;
	role->allow_duplicates = u->allow_duplicates;
	role_nodes(&inner, role, &from, nodes, handlers);
	if (c->site->priv->loaded && c->d->nerrors > before)
		return inc;
	inc->nodes = nodes;
	inc->role = role;
	inc->handlers = handlers;
	return inc;
}

static void
preload_tasks(const struct ctx *c, struct node *node)
{
	struct buf tried CLEANUP_BUF = BUF_INIT;
	const struct value *v = task_arg(node->task, "file");
	const struct value *fixed;
	const char *path;
	struct mark at;

	if (v == NULL || (fixed = fixed_eval(c, v, NULL)) == NULL || !v_is_str(fixed))
		return;
	at = v_mark(v);
	if ((path = find_tasks(c, fixed->u.s, &tried)) == NULL)
		problem_add(c, node, ERR_IO, at, arena_printf(c->a, "looked for %s", buf_str(&tried)),
		    "there is no file of tasks '%s'", fixed->u.s);
	else if (!is_open(c, path))
		(void)include_tasks(c, node, path, &at);
}

static void
preload_role(const struct ctx *c, struct node *node)
{
	struct buf tried CLEANUP_BUF = BUF_INIT;
	const struct value *v = task_arg(node->task, "name"), *from;
	static const char *const froms[] = { "tasks_from", "vars_from", "defaults_from", "handlers_from" };
	const char *text[4] = { NULL, NULL, NULL, NULL }, *path, *tasks, *near;
	struct site_role_use u = { .name = NULL };
	size_t i;

	if (v == NULL || (v = fixed_eval(c, v, NULL)) == NULL || !v_is_str(v))
		return;
	for (i = 0; i < NITEMS(froms); i++) {
		if ((from = task_arg(node->task, froms[i])) == NULL || v_is_null(from))
			continue;
		if ((from = fixed_eval(c, from, NULL)) == NULL || !v_is_str(from))
			return;
		text[i] = from->u.s;
	}
	v = task_arg(node->task, "name");
	u.name = v_is_str(v) ? v->u.s : fixed_eval(c, v, NULL)->u.s;
	u.tasks_from = text[0];
	u.vars_from = text[1];
	u.defaults_from = text[2];
	u.handlers_from = text[3];
	u.is_public = arg_bool(node->task, "public", false);
	u.allow_duplicates = arg_bool(node->task, "allow_duplicates", true);
	u.no_spec = !arg_bool(node->task, "rolespec_validate", true);
	if ((path = role_find(c, u.name, &tried)) == NULL) {
		near = role_nearest(c, u.name);
		problem_add(c, node, ERR_IO, v_mark(v), near != NULL ?
		    arena_printf(c->a, "did you mean '%s'?", near) :
		    arena_printf(c->a, "looked for %s", buf_str(&tried)),
		    "there is no role '%s'", u.name);
		return;
	}
	tasks = role_part(c, path, "tasks", from_file(u.tasks_from));
	if (tasks == NULL && from_file(u.tasks_from) != NULL) {
		problem_add(c, node, ERR_IO, v_mark(task_arg(node->task, "tasks_from")),
		    arena_printf(c->a, "looked in %s/tasks", path_show(c->a, path)),
		    "role '%s' has no tasks/%s", u.name, u.tasks_from);
		return;
	}
	if (tasks == NULL || !is_open(c, tasks))
		(void)include_role(c, node, &u, v_mark(v));
}

void
include_preload(const struct ctx *c, struct node *node)
{
	if (node->task->args_tmpl != NULL || c->site->priv->ninfo > SITE_PRELOAD_MAX ||
	    c->site->priv->loaded)
		return;
	if (strcmp(node->task->module->name, "include_role") == 0) {
		if (c->handlers)
			diags_error(c->d, ERR_INVALID, node->mark, "include_role cannot be a handler");
		else
			preload_role(c, node);
	} else
		preload_tasks(c, node);
}

/* ---- at run time ------------------------------------------------------------------------- */

const struct nodes *
site_include_tasks(struct site *s, const struct node *from, const char *file, struct diags *d)
{
	struct buf tried CLEANUP_BUF = BUF_INIT;
	struct node_info *info = node_info(s, from);
	struct ctx c = *info->ctx;
	const struct included *inc;
	const char *path;
	size_t before = d->nerrors;

	c.d = d;
	if ((path = find_tasks(&c, file, &tried)) == NULL) {
		err_hint(diags_error(d, ERR_IO, from->mark, "there is no file of tasks '%s'", file),
		    "looked for %s", buf_str(&tried));
		return NULL;
	}
	if ((inc = included_find(info, path)) == NULL)
		inc = include_tasks(&c, from, path, &from->mark);
	if (inc->nodes == NULL || d->nerrors > before) {
		if (d->nerrors == before)
			diags_error(d, ERR_INVALID, from->mark, "%s has errors", path_show(s->arena, path));
		return NULL;
	}
	return inc->nodes;
}

const struct nodes *
site_include_role(struct site *s, const struct node *from, const struct site_role_use *u,
    const struct role **ret_role, const struct nodes **ret_handlers, struct diags *d)
{
	struct node_info *info = node_info(s, from);
	struct ctx c = *info->ctx;
	const struct included *inc;
	size_t before = d->nerrors;

	c.d = d;
	if ((inc = included_find(info, role_key(s->arena, u))) == NULL)
		inc = include_role(&c, from, u, from->mark);
	if (inc->nodes == NULL) {
		if (d->nerrors == before)
			diags_error(d, ERR_INVALID, from->mark, "role '%s' has errors", u->name);
		return NULL;
	}
	*ret_role = inc->role;
	*ret_handlers = inc->handlers;
	return inc->nodes;
}
