/*
 * What a task does: its module and the module's arguments, in all the forms
 * of ten years:
 *
 *	copy: {src: a, dest: b}			copy: src=a dest=b
 *	action: copy src=a dest=b		action: {module: copy, src: a}
 *	local_action: …				command: ls /tmp creates=/x
 *	apt: "{{ options }}"			args: {chdir: /tmp}
 *
 * A name that is no module of ours is one of three: misspelt (an error), known
 * elsewhere (Ansible, a collection, the site's own library/: a problem that
 * matters if the task is reached), or really a misspelt keyword.
 */
#include <string.h>

#include "playbook/private.h"

enum found { FOUND, UNSUPPORTED, UNKNOWN };

/* ---- names of modules ---------------------------------------------------------- */

/* A module file of the site's own: library/NAME.py beside the playbook or in the role. */
static const char *
own_module(const struct ctx *c, const char *name)
{
	const char *dirs[3], *path, *const *more;
	const struct role *r;
	size_t i, n = 0;

	if (strpbrk(name, "/.") != NULL)
		return NULL;
	for (r = c->role; r != NULL; r = r->parent) {
		path = arena_printf(c->a, "%s/library/%s.py", r->path, name);
		if (path_is_file(path))
			return path;
	}
	for (more = c->site->priv->library; more != NULL && *more != NULL; more++) {
		path = arena_printf(c->a, "%s/%s.py", *more, name);
		if (path_is_file(path))
			return path;
	}
	if (c->play != NULL)
		dirs[n++] = c->play->dir;
	dirs[n++] = c->site->dir;
	for (i = 0; i < n; i++) {
		path = arena_printf(c->a, "%s/library/%s.py", dirs[i], name);
		if (path_is_file(path))
			return path;
		path = arena_printf(c->a, "%s/action_plugins/%s.py", dirs[i], name);
		if (path_is_file(path))
			return path;
	}
	return NULL;
}

static unsigned
dots(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '.';
	return n;
}

static enum found
resolve(const struct ctx *c, const char *name, const struct module **ret, const char **why)
{
	const char *own;
	uint32_t i;

	*ret = module_find(name);
	*why = NULL;
	if (*ret != NULL && ((*ret)->flags & MOD_UNSUPPORTED) == 0)
		return FOUND;
	if (*ret == NULL && (own = own_module(c, name)) != NULL) {
		*why = arena_printf(c->a, "it is a Python module of the site's own (%s); only Ansible can run it",
		    path_show(c->a, own));
		return UNSUPPORTED;
	}
	if (*ret != NULL || module_known_elsewhere(name)) {
		*ret = NULL;
		*why = "Ansible has it, provctl does not: take another module or `command`";
		return UNSUPPORTED;
	}
	if (dots(name) >= 2 && strncmp(name, "ansible.builtin.", 16) != 0 &&
	    strncmp(name, "ansible.legacy.", 15) != 0) {
		*why = "it belongs to a collection that provctl does not have";
		return UNSUPPORTED;
	}
	for (i = 0; c->collections != NULL && i < v_count(c->collections); i++) {
		if (v_is_str(v_at(c->collections, i)) &&
		    strncmp(v_at(c->collections, i)->u.s, "ansible.", 8) != 0) {
			*why = "it may belong to one of the play's `collections`, whose modules provctl does not have";
			return UNSUPPORTED;
		}
	}
	return UNKNOWN;
}

static void
unknown_module(const struct ctx *c, struct mark at, const char *name)
{
	struct err *e = diags_error(c->d, ERR_INVALID, at, "unknown module '%s'", name);
	const char *near = module_nearest(name);

	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "`provctl doc` lists the modules there are");
}

/* ---- which key is the module --------------------------------------------------- */

struct pick {
	const struct ventry	*module;	/* the key that is a module */
	const struct ventry	*second;	/* another one */
	const struct ventry	*unknown[16];	/* keys that are nothing */
	uint32_t		 nunknown;
};

static bool
is_task_key(const struct ctx *c, const char *key)
{
	return keyword_find(key, c->handlers ? AT_HANDLER : AT_TASK) != NULL ||
	    strncmp(key, "with_", 5) == 0;
}

static bool
pick_keys(const struct ctx *c, const struct value *map, struct pick *p)
{
	const struct module *m;
	const struct ventry *e;
	const char *why;
	uint32_t it;

	memset(p, 0, sizeof(*p));
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (key_text(c, e->key, "a task") == NULL)
			return false;
		if (is_task_key(c, e->key->u.s))
			continue;
		if (resolve(c, e->key->u.s, &m, &why) == UNKNOWN ||
		    /* collections make every name possible: not one that is nearly a keyword */
		    (m == NULL && c->collections != NULL && !module_known_elsewhere(e->key->u.s) &&
		    keyword_nearest(e->key->u.s, AT_TASK) != NULL)) {
			if (p->nunknown < NITEMS(p->unknown))
				p->unknown[p->nunknown++] = e;
		} else if (p->module == NULL)
			p->module = e;
		else if (p->second == NULL)
			p->second = e;
	}
	return true;
}

/* A key that is neither keyword nor module, in a task that has a module. */
static void
stray_key(const struct ctx *c, const struct value *key, const char *module)
{
	const struct module *m = module_find(module);
	struct err *e;

	if (m == NULL || mod_arg_find(m, key->u.s) == NULL ||
	    keyword_find(key->u.s, AT_BLOCK) != NULL) {
		keyword_unknown(c, key, c->handlers ? AT_HANDLER : AT_TASK);
		return;
	}
	e = diags_error(c->d, ERR_INVALID, v_mark(key), "'%s' is no keyword of %s", key->u.s,
	    keyword_where(c->handlers ? AT_HANDLER : AT_TASK));
	err_hint(e, "it is a parameter of '%s': indent it below `%s:`", m->name, module);
}

/* No key is a module: which one was meant to be? */
static void
no_module(const struct ctx *c, const struct node *node, const struct pick *p)
{
	const unsigned where = c->handlers ? AT_HANDLER : AT_TASK;
	const char *name, *kw, *mod, *best;
	unsigned dk, dm;
	uint32_t i;
	bool told = false;

	for (i = 0; i < p->nunknown; i++) {
		name = p->unknown[i]->key->u.s;
		kw = keyword_nearest(name, where);
		mod = module_nearest(name);
		dk = dm = 1000;
		best = NULL;
		if (kw != NULL)
			nearest_try(name, kw, &best, &dk);
		best = NULL;
		if (mod != NULL)
			nearest_try(name, mod, &best, &dm);
		if (kw != NULL && dk <= dm && p->nunknown > 1)
			keyword_unknown(c, p->unknown[i]->key, where);
		else if (kw != NULL && dk < dm)
			keyword_unknown(c, p->unknown[i]->key, where);
		else
			unknown_module(c, v_mark(p->unknown[i]->key), name);
		told = true;
	}
	if (!told)
		err_hint(diags_error(c->d, ERR_INVALID, node->mark, "the task has no module"),
		    "add what it should do, for example `ansible.builtin.debug:`");
}

/* ---- arguments ------------------------------------------------------------------ */

static bool
is_raw_module(const char *name)
{
	static const char *const raw[] = { "command", "shell", "script", "raw",
	    "win_command", "win_shell" };
	const char *dot = strrchr(name, '.');
	size_t i;

	if (dot != NULL)
		name = dot + 1;
	for (i = 0; i < NITEMS(raw); i++) {
		if (strcmp(name, raw[i]) == 0)
			return true;
	}
	return false;
}

/* True for "{{ x }}" and nothing around it. */
static bool
is_whole_template(const char *s, size_t n)
{
	const char *p, *end;

	while (n > 0 && strchr(" \t\n", s[0]) != NULL)
		s++, n--;
	while (n > 0 && strchr(" \t\n", s[n - 1]) != NULL)
		n--;
	if (n < 4 || memcmp(s, "{{", 2) != 0 || memcmp(s + n - 2, "}}", 2) != 0)
		return false;
	for (p = s + 2, end = s + n - 2; p + 1 < end; p++) {
		if (p[0] == '}' && p[1] == '}')
			return false;
	}
	return true;
}

struct args {
	struct value		*map;	/* not compiled yet */
	const struct value	*tmpl;	/* a template that gives the whole */
	const struct value	*text;	/* free form */
	bool			 bad;
};

/* Options of command that raw takes out of its text and does nothing with. */
static void
raw_options(const struct ctx *c, struct value *args)
{
	const struct module *raw = module_find("raw");
	const struct ventry *e;
	uint32_t it;

	for (it = 0; raw != NULL && (e = v_next(args, &it)) != NULL;) {
		if (mod_arg_find(raw, e->key->u.s) != NULL)
			continue;
		diags_warn(c->d, v_mark(e->key), "'%s' has no effect with 'raw'", e->key->u.s);
		(void)v_del(args, e->key);
	}
}

static void
args_text(const struct ctx *c, const char *module, const struct value *v, struct args *args)
{
	if (!is_raw_module(module) && is_whole_template(v->u.s, v->len) && (v->flags & V_RAW) == 0) {
		args->text = v;
		return;
	}
	args->text = split_args(c, v, is_raw_module(module), args->map, &args->bad);
	if (strcmp(module, "raw") == 0 || strcmp(module, "ansible.builtin.raw") == 0)
		raw_options(c, args->map);
}

static void
args_value(const struct ctx *c, const char *module, const struct value *v, struct args *args)
{
	if (v == NULL || v_is_null(v))
		return;
	if (v_is_map(v)) {
		v_merge(c->a, args->map, v);
		return;
	}
	if (v->type == V_INT || v->type == V_FLOAT || v->type == V_BOOL) {
		const struct value *s = tmpl_to_str(c->a, v);

		v = v->mark == NULL ? s : v_with_mark(c->a, s, *v->mark);
	}
	if (v_is_str(v)) {
		args_text(c, module, v, args);
		return;
	}
	err_hint(diags_error(c->d, ERR_TYPE, v_mark(v),
	    "the arguments of '%s' must be a map, not %s", module, v_type_name(v)),
	    "write the parameters as `name: value` lines below it");
	args->bad = true;
}

/* Free text goes where the module wants it, or makes up all arguments when it is a template. */
static void
args_free_form(const struct ctx *c, struct task *t, struct args *args)
{
	const struct module *m = t->module;
	const struct value *text = args->text;
	const struct value *raw = v_gets(args->map, "_raw_params");

	if (raw != NULL) {
		(void)v_dels(args->map, "_raw_params");
		if (text == NULL)
			text = raw;
	}
	if (text == NULL || m == NULL)
		return;
	if (m->flags & MOD_FREE_FORM && m->free_form != NULL) {
		if (v_gets(args->map, m->free_form) != NULL) {
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(text),
			    "'%s' is given both as free text and as '%s'", m->name, m->free_form),
			    "keep one of them");
			args->bad = true;
			return;
		}
		v_sets(c->a, args->map, m->free_form, text);
		return;
	}
	if (v_is_str(text) && tmpl_is(text->u.s, text->len)) {
		args->tmpl = compile(c, text);
		args->bad |= args->tmpl == NULL;
		return;
	}
	err_hint(diags_error(c->d, ERR_INVALID, v_mark(text), "'%s' takes no free text", m->name),
	    "write its parameters as name=value, or as a map below it");
	args->bad = true;
}

/* Conditions of assert are expressions, not templates. */
static const struct value *
compile_that(const struct ctx *c, const struct value *v)
{
	struct value *list;
	const struct value *one;
	uint32_t i;

	if (v_is_str(v))
		return is_whole_template(v->u.s, v->len) ? compile(c, v) :
		    compile_when(c, v);
	if (!v_is_list(v))
		return v;
	list = v_list(c->a);
	for (i = 0; i < v_count(v); i++) {
		one = v_at(v, i);
		if (v_is_str(one))
			one = compile_when(c, one);
		if (one == NULL)
			return NULL;
		v_push(c->a, list, one);
	}
	return v->mark == NULL ? list : v_with_mark(c->a, list, *v->mark);
}

/* debug's var is an expression: its syntax is checked, the text stays. */
static bool
check_var(const struct ctx *c, const struct value *v)
{
	struct buf b CLEANUP_BUF = BUF_INIT;
	struct mark m = v_mark(v);

	if (!v_is_str(v) || tmpl_is(v->u.s, v->len))
		return true;
	buf_addf(&b, "{{%s}}", v->u.s);
	return tmpl_compile(c->a, arena_strndup(c->a, b.data, b.len), b.len,
	    m, TMPL_VALUE, NULL, c->d) != NULL;
}

static const struct value *
args_compile(const struct ctx *c, const struct task *t, const struct args *args)
{
	struct value *out = v_map(c->a);
	const struct ventry *e;
	const struct value *v;
	uint32_t it;
	bool ok = true, is_assert, is_debug, includes;

	is_assert = t->module != NULL && strcmp(t->module->name, "assert") == 0;
	is_debug = t->module != NULL && strcmp(t->module->name, "debug") == 0;
	includes = t->module != NULL && is_include(t);
	for (it = 0; (e = v_next(args->map, &it)) != NULL;) {
		if (is_assert && v_eqs(e->key, "that"))
			v = compile_that(c, e->val);
		else if (is_debug && v_eqs(e->key, "var"))
			v = check_var(c, e->val) ? compile(c, e->val) : NULL;
		else if (includes && v_eqs(e->key, "apply"))
			v = e->val;	/* keywords: include.c reads them */
		else
			v = compile(c, e->val);
		if (v == NULL)
			ok = false;
		else
			v_set(c->a, out, e->key, v);
	}
	return ok ? out : NULL;
}

/* Arguments from module_defaults for what the task does not say, under any name. */
static void
args_defaults(const struct ctx *c, const struct node *node, struct value *args)
{
	const struct module *m = node->task->module;
	const struct value *defaults = v_gets(node->kw.module_defaults, m->name);
	const struct mod_arg *row, *other;
	const struct ventry *e, *given;
	uint32_t it, it2;
	bool has;

	if (defaults == NULL || !v_is_map(defaults))
		return;
	for (it = 0; (e = v_next(defaults, &it)) != NULL;) {
		if (!v_is_str(e->key))
			continue;
		row = mod_arg_find(m, e->key->u.s);
		has = v_get(args, e->key) != NULL;
		for (it2 = 0; !has && row != NULL && (given = v_next(args, &it2)) != NULL;) {
			other = v_is_str(given->key) ? mod_arg_find(m, given->key->u.s) : NULL;
			has = other == row;
		}
		if (!has)
			v_set(c->a, args, e->key, e->val);
	}
}

/* A parameter that does not exist, but may be left out by `omit`: works as long as it is. */
static const struct value *
without_omitted(const struct ctx *c, const struct module *m, const struct value *args)
{
	struct value *out;
	const struct ventry *e;
	uint32_t it;

	if ((m->flags & MOD_ANY_ARGS) != 0)
		return args;
	out = v_map(c->a);
	for (it = 0; (e = v_next(args, &it)) != NULL;) {
		if (v_is_tmpl(e->val) && strstr(e->val->u.s, "omit") != NULL && v_is_str(e->key) &&
		    mod_arg_find(m, e->key->u.s) == NULL)
			diags_note(c->d, v_mark(e->key), "module '%s' has no parameter '%s': it works only as long as it is omitted",
			    m->name, e->key->u.s);
		else
			v_set(c->a, out, e->key, e->val);
	}
	return out;
}

/* Checks what can be checked now; what is not supported becomes a problem. */
static void
args_check(const struct ctx *c, struct node *node, const struct value *args)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	struct task *t = node->task;
	struct err *e;
	size_t i;

	args = without_omitted(c, t->module, args);
	(void)mod_args_check(c->a, t->module, args, node->mark, MOD_PARTIAL, &found);
	for (i = 0; i < found.n; i++) {
		e = &found.v[i].err;
		if (found.v[i].level == DIAG_ERROR && e->code == ERR_UNSUPPORTED)
			problem_add(c, node, e->code, e->at, e->hint, "%s", e->msg);
		else if (t->args_tmpl == NULL || e->at.line != node->mark.line ||
		    e->at.col != node->mark.col)	/* a template may bring what is missing */
			diags_add(c->d, found.v[i].level, e);
	}
}

/* ---- the whole ------------------------------------------------------------------- */

/* Takes the first word of an old-style action; the rest stays as text. */
static const char *
first_word(const struct ctx *c, const struct value *v, const struct value **rest)
{
	size_t start = strspn(v->u.s, " \t\n"), n, next;
	struct value *r;

	n = strcspn(v->u.s + start, " \t\n");
	next = start + n + strspn(v->u.s + start + n, " \t\n");
	*rest = NULL;
	if (next < v->len) {
		r = v_strn(c->a, v->u.s + next, v->len - next);
		r->flags = v->flags;
		*rest = v_with_mark(c->a, r, mark_part(v, next, v->len - next));
	}
	return arena_strndup(c->a, v->u.s + start, n);
}

/* action: and local_action:. Returns the module's name; NULL: error, or a template as a whole. */
static const char *
old_action(const struct ctx *c, struct task *t, const struct value *v, const char *keyword,
    struct args *args)
{
	const struct value *rest, *module;
	const char *name;
	struct value *map;

	if (v_is_str(v)) {
		name = first_word(c, v, &rest);
		if (strstr(name, "{{") != NULL) {
			t->action_tmpl = compile(c, v);
			return NULL;
		}
		if (*name != '\0') {
			args_value(c, name, rest, args);
			return name;
		}
	} else if (v_is_map(v) && (module = v_gets(v, "module")) != NULL && v_is_str(module)) {
		name = first_word(c, module, &rest);
		if (strstr(name, "{{") != NULL) {
			t->action_tmpl = compile(c, v);
			return NULL;
		}
		args_value(c, name, rest, args);
		map = v_map(c->a);
		v_merge(c->a, map, v);
		(void)v_dels(map, "module");
		if (v_gets(map, "args") != NULL && v_is_map(v_gets(map, "args"))) {
			v_merge(c->a, args->map, v_gets(map, "args"));
			(void)v_dels(map, "args");
		}
		v_merge(c->a, args->map, map);
		return name;
	}
	err_hint(diags_error(c->d, ERR_TYPE, v_mark(v), "'%s' must name a module", keyword),
	    "write `%s: MODULE name=value`, or a map with `module:`", keyword);
	return NULL;
}

/* args: as a map, or a template that gives one. */
static void
args_keyword(const struct ctx *c, const struct value *v, struct args *args)
{
	if (v == NULL || v_is_null(v))
		return;
	if (v_is_map(v))
		v_merge(c->a, args->map, v);
	else if (v_is_str(v) && tmpl_is(v->u.s, v->len)) {
		args->tmpl = compile(c, v);
		args->bad |= args->tmpl == NULL;
	} else {
		diags_error(c->d, ERR_TYPE, v_mark(v), "'args' must be a map, not %s", v_type_name(v));
		args->bad = true;
	}
}

/* set_fact alone may compute the names of what it sets. */
static bool
fact_names(const struct ctx *c, struct task *t, const struct value *args)
{
	struct value *names = v_map(c->a);
	const struct value *name;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(args, &it)) != NULL;) {
		if (!v_is_str(e->key) || strstr(e->key->u.s, "{{") == NULL)
			continue;
		if ((name = compile(c, e->key)) == NULL)
			return false;
		v_set(c->a, names, e->key, name);
	}
	if (v_count(names) > 0)
		t->fact_names = names;
	return true;
}

static bool
action_args(const struct ctx *c, struct node *node, struct args *args)
{
	struct task *t = node->task;
	const struct value *map;

	args_free_form(c, t, args);
	if (args->bad || (map = args_compile(c, t, args)) == NULL)
		return false;
	t->args_tmpl = args->tmpl;
	if (t->module != NULL) {
		struct value *full = v_map(c->a);

		v_merge(c->a, full, map);
		if (t->args_tmpl == NULL)	/* else the engine knows what is given */
			args_defaults(c, node, full);
		map = full;
	}
	t->args = map;
	if (t->module != NULL && strcmp(t->module->name, "set_fact") == 0 &&
	    !fact_names(c, t, map))
		return false;
	if (t->module != NULL && is_include(t))
		t->apply = v_gets(map, "apply");
	if (t->module != NULL)
		args_check(c, node, map);
	return true;
}

bool
action_read(const struct ctx *c, struct node *node, const struct value *map,
    const struct value **ret_local)
{
	const struct value *action = v_gets(map, "action"), *local = v_gets(map, "local_action");
	struct args args = { .map = v_map(c->a) };
	struct task *t = node->task;
	const char *name, *why;
	struct mark at = node->mark;
	struct pick p;
	uint32_t i;

	*ret_local = NULL;
	t->args = args.map;
	if (!pick_keys(c, map, &p))
		return false;
	if ((action != NULL) + (local != NULL) + (p.module != NULL) + (p.second != NULL) > 1) {
		const char *one = p.module != NULL ? p.module->key->u.s : "action";
		const char *two = p.second != NULL ? p.second->key->u.s :
		    action != NULL && p.module != NULL ? "action" : "local_action";

		err_hint(diags_error(c->d, ERR_INVALID,
		    p.second != NULL ? v_mark(p.second->key) : node->mark,
		    "conflicting action statements: %s, %s", one, two),
		    "a task does one thing: begin another one with `- name:`");
		return false;
	}
	args_keyword(c, v_gets(map, "args"), &args);
	if (local != NULL)
		*ret_local = v_str(c->a, "localhost");
	if (action != NULL || local != NULL) {
		name = old_action(c, t, action != NULL ? action : local,
		    action != NULL ? "action" : "local_action", &args);
		if (name == NULL) {
			t->args_tmpl = args.tmpl;
			return t->action_tmpl != NULL && !args.bad;
		}
		at = v_mark(action != NULL ? action : local);
	} else if (p.module == NULL) {
		no_module(c, node, &p);
		return false;
	} else {
		name = p.module->key->u.s;
		at = v_mark(p.module->key);
		args_value(c, name, p.module->val, &args);
	}
	for (i = 0; i < p.nunknown; i++)
		stray_key(c, p.unknown[i]->key, name);
	t->module_name = name;
	switch (resolve(c, name, &t->module, &why)) {
	case UNKNOWN:
		unknown_module(c, at, name);
		return false;
	case UNSUPPORTED:
		problem_add(c, node, ERR_UNSUPPORTED, at, why, "module '%s' is not supported", name);
		break;
	case FOUND:
		break;
	}
	return action_args(c, node, &args) && p.nunknown == 0;
}

int
site_action(struct site *s, struct arena *a, const struct node *node, const struct value *v,
    const struct module **ret_module, const struct value **ret_args, struct err *err)
{
	struct diags d CLEANUP_DIAGS = DIAGS_INIT;
	struct ctx c = { .site = s, .a = a, .d = &d };
	struct args args = { .map = v_map(a) };
	struct task t = { .module = NULL };
	const char *name, *why;

	name = v_is_str(v) && strstr(v->u.s, "{{") != NULL ? NULL :
	    old_action(&c, &t, v, "action", &args);
	c.role = node->role;
	if (name != NULL && resolve(&c, name, &t.module, &why) == FOUND) {
		args_free_form(&c, &t, &args);
		if (!args.bad && args.tmpl == NULL) {
			*ret_module = t.module;
			*ret_args = args.map;
			return 0;
		}
	}
	if (d.n > 0)
		err_move(err, &d.v[0].err);
	else if (name == NULL)
		(void)err_set_at(err, ERR_INVALID, node->mark, "'action' names no module");
	else
		(void)err_set_at(err, t.module == NULL && module_known_elsewhere(name) ?
		    ERR_UNSUPPORTED : ERR_INVALID, node->mark,
		    "there is no module '%s'", name);
	return -1;
}
