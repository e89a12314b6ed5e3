/*
 * One task: keywords, loop, module and arguments compiled to a node; and what
 * of its arguments names files of the controller, looked up now.
 */
#include <assert.h>
#include <string.h>

#include "playbook/private.h"
#include "template/lookup.h"

#define ITEMS_MAX	200u	/* elements of a literal loop whose file names are looked up */

/* ---- nodes ---------------------------------------------------------------------- */

struct node_info *
node_info(const struct site *s, const struct node *node)
{
	assert(node->id < s->priv->ninfo);
	return &s->priv->info[node->id];
}

struct node *
node_make(const struct ctx *c, enum node_kind kind, struct mark at)
{
	struct site_private *p = c->site->priv;
	struct node *node = ARENA_NEW(c->a, struct node);
	struct ctx *copy = ARENA_NEW(c->a, struct ctx);
	uint32_t ncap;

	if (p->ninfo == p->cap) {
		ncap = p->cap == 0 ? 64 : p->cap * 2;
		p->info = arena_grow(c->a, p->info, p->cap * sizeof(*p->info),
		    ncap * sizeof(*p->info));
		p->cap = ncap;
	}
	node->kind = kind;
	node->id = p->ninfo++;
	node->mark = at;
	node->role = c->role;
	node->kw = *c->kw;
	node->vars = c->vars;
	node->search = c->incl != NULL ? c->incl->search : NULL;
	if (kind == NODE_TASK)
		node->task = ARENA_NEW(c->a, struct task);
	else
		node->block = ARENA_NEW(c->a, struct block);
	*copy = *c;
	p->info[node->id] = (struct node_info){ .node = node, .ctx = copy };
	return node;
}

void
problem_add(const struct ctx *c, const struct node *node, enum err_code code,
    struct mark at, const char *hint, const char *fmt, ...)
{
	struct problem *p, **end;
	const char *msg;
	va_list ap;

	va_start(ap, fmt);
	msg = arena_vprintf(c->a, fmt, ap);
	va_end(ap);
	if (code == ERR_UNSUPPORTED && node->kind == NODE_TASK && node->task->unsupported == NULL)
		node->task->unsupported = hint == NULL ? msg :
		    arena_printf(c->a, "%s: %s", msg, hint);
	if (c->site->priv->loaded)
		return;		/* too late for anything but telling when it is reached */
	p = ARENA_NEW(c->a, struct problem);
	*p = (struct problem){ NULL, code, at, msg,
	    hint == NULL ? NULL : arena_strdup(c->a, hint) };
	for (end = &node_info(c->site, node)->problems; *end != NULL; end = &(*end)->next)
		;
	*end = p;
}

/* ---- loops ------------------------------------------------------------------------ */

static const char *
loop_name(const struct ctx *c, const struct value *map, const char *key)
{
	const char *name = keyword_text(c, map, key, AT_LOOP);

	if (name == NULL || name_is_identifier(name))
		return name;
	diags_error(c->d, ERR_INVALID, v_mark(v_gets(map, key)),
	    "'%s' is no name for a variable", name);
	return NULL;
}

static void
loop_control(const struct ctx *c, struct task *t, const struct value *map)
{
	const struct ventry *e;
	const struct value *v;
	const char *name;
	uint32_t it;

	if (!v_is_map(map)) {
		if (!v_is_null(map))
			diags_error(c->d, ERR_TYPE, v_mark(map),
			    "'loop_control' must be a map, not %s", v_type_name(map));
		return;
	}
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (key_text(c, e->key, "loop_control") != NULL &&
		    keyword_find(e->key->u.s, AT_LOOP) == NULL)
			keyword_unknown(c, e->key, AT_LOOP);
	}
	if ((name = loop_name(c, map, "loop_var")) != NULL)
		t->loop_var = name;
	t->index_var = loop_name(c, map, "index_var");
	t->loop_label = keyword_get(c, map, "label", AT_LOOP);
	t->loop_pause = keyword_get(c, map, "pause", AT_LOOP);
	v = keyword_get(c, map, "extended", AT_LOOP);
	t->loop_extended = v != NULL && v->type == V_BOOL && v->u.b;
	(void)keyword_get(c, map, "extended_allitems", AT_LOOP);
	if (v_gets(map, "break_when") != NULL)
		conds_read(c, v_gets(map, "break_when"), &t->loop_break_when);
}

/* with_items: packages, where {{ packages }} was meant (and Ansible 1 took it so). */
static void
bare_name(const struct ctx *c, const char *lookup, const struct value *v)
{
	static const char *const take[] = { "items", "dict", "list", "nested", "together",
	    "subelements", "flattened", "indexed_items", "random_choice", "cartesian" };
	size_t i;

	if (!v_is_str(v) || !name_is_identifier(v->u.s))
		return;
	for (i = 0; i < NITEMS(take); i++) {
		if (strcmp(take[i], lookup) == 0)
			err_hint(diags_warn(c->d, v_mark(v), "the loop has one element, the text '%s'",
			    v->u.s), "for the variable of that name write \"{{ %s }}\"", v->u.s);
	}
}

static void
loop_with(const struct ctx *c, struct node *node, const struct ventry *e)
{
	struct task *t = node->task;
	const char *name = e->key->u.s + 5, *near, *dot;
	struct err *err;

	if ((dot = strrchr(name, '.')) != NULL &&
	    (strncmp(name, "ansible.builtin.", 16) == 0 || strncmp(name, "ansible.legacy.", 15) == 0))
		name = dot + 1;
	if (!tmpl_lookup_exists(name)) {
		if (dot != NULL && strncmp(e->key->u.s, "with_ansible.", 13) != 0) {
			problem_add(c, node, ERR_UNSUPPORTED, v_mark(e->key),
			    "it belongs to a collection that provctl does not have",
			    "lookup '%s' is not supported", name);
			t->loop_kind = LOOP_WITH;
			t->loop_with = name;
			t->loop = v_list(c->a);		/* never asked for */
			return;
		}
		err = diags_error(c->d, ERR_INVALID, v_mark(e->key), "unknown lookup '%s' in '%s'",
		    name, e->key->u.s);
		if ((near = tmpl_lookup_nearest(name)) != NULL)
			err_hint(err, "did you mean 'with_%s'?", near);
		return;
	}
	if (v_is_null(e->val)) {
		diags_error(c->d, ERR_TYPE, v_mark(e->key), "'%s' has no value", e->key->u.s);
		return;
	}
	bare_name(c, name, e->val);
	t->loop_kind = LOOP_WITH;
	t->loop_with = name;
	t->loop = compile(c, e->val);
}

static void
loop_list(const struct ctx *c, struct task *t, const struct value *v)
{
	const struct value *list = compile(c, v);
	struct err *e;

	if (list == NULL)
		return;
	t->loop_kind = LOOP_LIST;
	t->loop = list;
	if (v_is_tmpl(list) || v_is_list(list))
		return;
	e = diags_error(c->d, ERR_TYPE, v_mark(v), "'loop' must be a list, not %s", v_type_name(v));
	if (v_is_str(v) && name_is_identifier(v->u.s))
		err_hint(e, "for the variable of that name write \"{{ %s }}\"", v->u.s);
	else if (v_is_map(v))
		err_hint(e, "write \"{{ … | dict2items }}\" to loop over a map");
}

static void
loop_read(const struct ctx *c, struct node *node, const struct value *map)
{
	const struct ventry *e, *first = NULL;
	struct task *t = node->task;
	uint32_t it;

	t->loop_var = "item";
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (!v_is_str(e->key) || (strncmp(e->key->u.s, "with_", 5) != 0 &&
		    strcmp(e->key->u.s, "loop") != 0))
			continue;
		if (first != NULL) {
			diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "the task has two loops: %s, %s", first->key->u.s, e->key->u.s);
			continue;
		}
		first = e;
		if (e->key->u.s[0] == 'w')
			loop_with(c, node, e);
		else if (!v_is_null(e->val))
			loop_list(c, t, e->val);
	}
	if (v_gets(map, "loop_control") != NULL)
		loop_control(c, t, v_gets(map, "loop_control"));
}

/* ---- a task ------------------------------------------------------------------------- */

bool
is_include(const struct task *t)
{
	return t->module != NULL && (strcmp(t->module->name, "include_tasks") == 0 ||
	    strcmp(t->module->name, "include_role") == 0);
}

bool
is_import(const struct task *t)
{
	return t->module != NULL && (strcmp(t->module->name, "import_tasks") == 0 ||
	    strcmp(t->module->name, "import_role") == 0);
}

static void
results_read(const struct ctx *c, struct task *t, const struct value *map, unsigned where)
{
	static const char *const names[] = { "changed_when", "failed_when", "until" };
	struct conds *const conds[] = { &t->changed_when, &t->failed_when, &t->until };
	bool *const has[] = { &t->has_changed_when, &t->has_failed_when, &t->has_until };
	const struct value *v;
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		if ((v = v_gets(map, names[i])) == NULL || v_is_null(v))
			continue;
		conds_read(c, v, conds[i]);
		*has[i] = conds[i]->n > 0;
	}
	t->register_as = keyword_text(c, map, "register", where);
	if (t->register_as != NULL && !name_is_identifier(t->register_as))
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(v_gets(map, "register")),
		    "'%s' is no name for a variable", t->register_as),
		    "names are letters, digits and underscores, not beginning with a digit");
	if (where & AT_INCLUDE)
		return;
	t->retries = keyword_get(c, map, "retries", where);
	t->delay = keyword_get(c, map, "delay", where);
	t->async = keyword_get(c, map, "async", where);
	t->poll = keyword_get(c, map, "poll", where);
	if ((t->notify = keyword_get(c, map, "notify", where)) == NULL)
		t->notify = c->notify;
	if (where & AT_HANDLER)
		t->listen = keyword_get(c, map, "listen", where);
}

/* include_tasks and include_role take few keywords: the others belong into `apply`. */
static void
include_keywords(const struct ctx *c, const struct value *map, const char *module)
{
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (!v_is_str(e->key) || keyword_find(e->key->u.s, AT_INCLUDE | AT_LOOP) != NULL ||
		    (c->handlers && strcmp(e->key->u.s, "listen") == 0) ||
		    keyword_find(e->key->u.s, AT_TASK) == NULL)
			continue;
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key),
		    "'%s' is no keyword of %s", e->key->u.s, module),
		    "for the included tasks put it below `apply:`, or around them in a `block:`");
	}
}

static void
only_legacy(const struct ctx *c, const struct value *map)
{
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (v_eqs(e->key, "static"))
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "'static' belongs to the legacy 'include' only"),
			    "import_tasks is always static, include_tasks never");
	}
}

/* ---- files of the controller ---------------------------------------------------------- */

const struct value *
task_arg(const struct task *t, const char *name)
{
	const struct mod_arg *row;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(t->args, &it)) != NULL;) {
		if (v_is_str(e->key) && (row = mod_arg_find(t->module, e->key->u.s)) != NULL &&
		    strcmp(row->name, name) == 0)
			return e->val;
	}
	return NULL;
}

/* True when the argument is given and not surely false. */
static bool
arg_maybe(const struct task *t, const char *name)
{
	const struct value *v = task_arg(t, name);

	return v != NULL && !v_is_null(v) && (v_is_tmpl(v) || mod_parse_bool(v) != 0);
}

static const char *
opt_text(const struct task *t, const char *name, bool *known)
{
	const struct value *v = task_arg(t, name);

	if (v == NULL || v_is_null(v))
		return NULL;
	if (!v_is_str(v)) {
		*known = false;
		return NULL;
	}
	return v->u.s;
}

/* A template task's own delimiters and the like; false: only a run knows them. */
static bool
template_opts(const struct task *t, struct tmpl_opts *o)
{
	const char *seq;
	bool known = true;
	const struct value *v;
	int b;

	memset(o, 0, sizeof(*o));
	o->block_start = opt_text(t, "block_start_string", &known);
	o->block_end = opt_text(t, "block_end_string", &known);
	o->variable_start = opt_text(t, "variable_start_string", &known);
	o->variable_end = opt_text(t, "variable_end_string", &known);
	o->comment_start = opt_text(t, "comment_start_string", &known);
	o->comment_end = opt_text(t, "comment_end_string", &known);
	seq = opt_text(t, "newline_sequence", &known);
	if (seq != NULL)
		o->newline_sequence = strcmp(seq, "\\r\\n") == 0 ? "\r\n" :
		    strcmp(seq, "\\r") == 0 ? "\r" : strcmp(seq, "\\n") == 0 ? "\n" : seq;
	if ((v = task_arg(t, "trim_blocks")) != NULL) {
		b = v_is_tmpl(v) ? -1 : mod_parse_bool(v);
		known &= b >= 0;
		o->no_trim_blocks = b == 0;
	}
	if ((v = task_arg(t, "lstrip_blocks")) != NULL) {
		b = v_is_tmpl(v) ? -1 : mod_parse_bool(v);
		known &= b >= 0;
		o->lstrip_blocks = b == 1;
	}
	return known;
}

static void
missing_file(const struct ctx *c, struct node *node, const char *kind, const char *name,
    struct mark at)
{
	struct err e CLEANUP_ERR = ERR_INIT;

	(void)site_find(c->site, c->a, node, kind, name, &e);
	if (e.code == ERR_INVALID) {	/* there is one, but it is not to be trusted */
		problem_add(c, node, ERR_INVALID, at, e.hint, "%s", e.msg);
		return;
	}
	problem_add(c, node, ERR_IO, at, e.hint, "there is no %s '%s'",
	    strcmp(kind, "templates") == 0 ? "template" :
	    strcmp(kind, "vars") == 0 ? "variables file" : "file", name);
}

static void
check_name(const struct ctx *c, struct node *node, const char *kind, const char *name,
    struct mark at)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	struct err e CLEANUP_ERR = ERR_INIT;
	struct tmpl_opts o;
	struct tmpl_use *use;
	struct node_info *info;
	const char *path;

	if (*name == '\0')
		return;
	path = site_find(c->site, c->a, node, kind, name, &e);
	if (path == NULL) {
		missing_file(c, node, kind, name, at);
		return;
	}
	if (strcmp(kind, "vars") == 0) {
		if (path_is_file(path))
			(void)vars_load(c, path, &at);
		return;
	}
	if (strcmp(kind, "templates") != 0 || !template_opts(node->task, &o) ||
	    path_is_dir(path))
		return;
	use = ARENA_NEW(c->a, struct tmpl_use);
	use->tmpl = site_template(c->site, path, &o, &found);
	(void)unsupported_only(c, &found, NULL);
	if (use->tmpl == NULL)
		return;
	info = node_info(c->site, node);
	use->next = info->templates;
	info->templates = use;
}

/* Names that depend on the element of a literal loop are looked up for each. */
static void
check_items(const struct ctx *c, struct node *node, const char *kind, const struct value *v)
{
	struct task *t = node->task;
	const struct value *list = t->loop, *item, *name;
	struct value *extra;
	uint32_t i, k, n;

	if (t->loop_kind == LOOP_NONE) {
		name = fixed_eval(c, v, NULL);
		if (name != NULL && v_is_str(name))
			check_name(c, node, kind, name->u.s, v_mark(v));
		return;
	}
	if (list == NULL || !v_is_list(list) || (t->loop_kind == LOOP_WITH &&
	    strcmp(t->loop_with, "items") != 0 && strcmp(t->loop_with, "list") != 0))
		return;
	for (i = 0; i < v_count(list) && i < ITEMS_MAX; i++) {
		item = v_at(list, i);
		if (v_is_tmpl(item) || (item->flags & V_HAS_TMPL))
			continue;
		n = t->loop_kind == LOOP_WITH && v_is_list(item) &&
		    strcmp(t->loop_with, "items") == 0 ? v_count(item) : 1;
		for (k = 0; k < n && k < ITEMS_MAX; k++) {
			extra = v_map(c->a);
			v_sets(c->a, extra, t->loop_var,
			    v_is_list(item) && t->loop_kind == LOOP_WITH ? v_at(item, k) : item);
			name = fixed_eval(c, v, extra);
			if (name != NULL && v_is_str(name))
				check_name(c, node, kind, name->u.s,
				    v_mark(item).src != NULL ? v_mark(item) : v_mark(v));
		}
	}
}

static void
check_src(const struct ctx *c, struct node *node, const char *kind, const struct value *v)
{
	if (v == NULL || node->task->args_tmpl != NULL)
		return;
	if (v_is_tmpl(v))
		check_items(c, node, kind, v);
	else if (v_is_str(v) && strstr(v->u.s, "://") == NULL)
		check_name(c, node, kind, v->u.s, v_mark(v));
}

/* The program of `script: files/x.sh --flag`. */
static void
check_script(const struct ctx *c, struct node *node, const struct value *v)
{
	struct token *words;
	uint32_t n;

	if (v == NULL || !v_is_str(v) || split_words(c->a, v->u.s, v->len, &words, &n) < 0 ||
	    n == 0)
		return;
	if (strpbrk(words[0].text, "'\"\\$") == NULL)
		check_name(c, node, "files", arena_strndup(c->a, words[0].text,
		    strcspn(words[0].text, " \t\n")), mark_part(v, words[0].offset, words[0].len));
}

static void
task_files(const struct ctx *c, struct node *node)
{
	const struct task *t = node->task;
	const struct value *v;
	const char *m;

	if (t->module == NULL)
		return;
	m = t->module->name;
	if (strcmp(m, "copy") == 0 || strcmp(m, "unarchive") == 0) {
		v = strcmp(m, "unarchive") == 0 ? task_arg(t, "copy") : NULL;
		if (!arg_maybe(t, "remote_src") && task_arg(t, "content") == NULL &&
		    (v == NULL || (!v_is_tmpl(v) && mod_parse_bool(v) == 1)))
			check_src(c, node, "files", task_arg(t, "src"));
	} else if (strcmp(m, "assemble") == 0) {
		v = task_arg(t, "remote_src");
		if (v != NULL && !v_is_tmpl(v) && mod_parse_bool(v) == 0)
			check_src(c, node, "files", task_arg(t, "src"));
	} else if (strcmp(m, "template") == 0) {
		check_src(c, node, "templates", task_arg(t, "src"));
	} else if (strcmp(m, "uri") == 0) {
		if (!arg_maybe(t, "remote_src"))
			check_src(c, node, "files", task_arg(t, "src"));
	} else if (strcmp(m, "script") == 0) {
		v = t->module->free_form != NULL ? task_arg(t, t->module->free_form) : NULL;
		check_script(c, node, v != NULL ? v : task_arg(t, "cmd"));
	} else if (strcmp(m, "include_vars") == 0) {
		check_src(c, node, "vars", task_arg(t, "file"));
		check_src(c, node, "vars", task_arg(t, "dir"));
	} else if (strcmp(m, "add_host") == 0 || strcmp(m, "group_by") == 0)
		c->site->priv->adds_hosts = true;
}

/* ---- the whole ---------------------------------------------------------------------------- */

struct node *
task_read(const struct ctx *c, const struct value *map)
{
	unsigned where = c->handlers ? AT_HANDLER : AT_TASK;
	struct node *node = node_make(c, NODE_TASK, v_mark(map));
	struct task *t = node->task;
	struct vars_chain *chain;
	const struct value *vars, *local;
	struct ctx inner = *c;
	size_t before;
	bool ok;

	inner.node = node;
	c = &inner;
	before = c->d->nerrors;
	node->kw = *keywords_inherit(c, map, where);
	node->name = keyword_get(c, map, "name", where);
	vars = vars_read(c, v_gets(map, "vars"), "'vars'");
	if (vars != NULL) {
		chain = ARENA_NEW(c->a, struct vars_chain);
		chain->map = vars;
		chain->outer = c->vars;
		node->vars = chain;
	}
	t->is_handler = c->handlers;
	loop_read(c, node, map);
	ok = action_read(c, node, map, &local);
	if (local != NULL)
		node->kw.delegate_to = local;
	if (t->module != NULL && is_include(t))
		where |= AT_INCLUDE;
	results_read(c, t, map, where);
	if (t->module != NULL && strcmp(t->module->name, "include") != 0)
		only_legacy(c, map);
	if (where & AT_INCLUDE)
		include_keywords(c, map, t->module->name);
	node_info(c->site, node)->broken = c->d->nerrors > before;
	if (!ok)
		return NULL;
	if (c->d->nerrors == before) {
		inner.vars = node->vars;
		task_files(&inner, node);
	}
	return node;
}
