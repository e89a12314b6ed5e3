/*
 * The evaluator's foundations: errors and undefined values, variables,
 * attributes and items.  Expressions are in eval_expr.c.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/eval.h"

const struct value slot_missing = { .type = V_NULL };

/* ---- errors and undefined ------------------------------------------------- */

struct arena *
ev_arena(struct eval *ev)
{
	return &ev->scratch;
}

const struct value *
ev_error(struct eval *ev, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	struct mark none = { NULL, 0, 0, 0 };

	ev->placed = false;
	va_start(ap, fmt);
	err_vset_at(ev->err, code, none, fmt, ap);
	va_end(ap);
	return NULL;
}

struct mark
ev_mark(const struct eval *ev, uint32_t pos)
{
	struct mark none = { NULL, 0, 0, 0 };

	return ev->act == NULL ? none : tmpl_mark_at(ev->act->tmpl, pos, pos + 1);
}

/* Where the error happened: the innermost node that saw it. */
void
ev_place(struct eval *ev, uint32_t pos, uint32_t end)
{
	if (ev->placed)
		return;
	ev->placed = true;
	if (ev->err != NULL && ev->err->at.src == NULL && ev->err->at.line == 0 && ev->act != NULL)
		ev->err->at = tmpl_mark_at(ev->act->tmpl, pos, end);
}

static struct undef *
undef_new(struct eval *ev, enum err_code code, const char *msg)
{
	struct undef *u = ARENA_NEW(&ev->scratch, struct undef);

	u->v.type = V_UNDEF;
	u->v.tag = UNDEF_FULL;
	u->v.u.s = msg;
	u->v.len = (uint32_t)strlen(msg);
	u->code = code;
	return u;
}

const struct value *
ev_undef(struct eval *ev, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	const char *msg;

	va_start(ap, fmt);
	msg = arena_vprintf(&ev->scratch, fmt, ap);
	va_end(ap);
	return &undef_new(ev, code, msg)->v;
}

/* 'a' + s + 'b' + t + 'c' without printf: undefined values are made often and their texts seldom read. */
static const char *
message(struct eval *ev, const char *a, const char *s, const char *b, const char *t, size_t len, const char *c)
{
	size_t na = strlen(a), ns = strlen(s), nb = strlen(b), nc = strlen(c);
	char *m = arena_alloc(&ev->scratch, na + ns + nb + len + nc + 1), *p = m;

	p = (char *)mempcpy(p, a, na);
	p = (char *)mempcpy(p, s, ns);
	p = (char *)mempcpy(p, b, nb);
	p = (char *)mempcpy(p, t, len);
	memcpy(p, c, nc + 1);
	return m;
}

/* The error that just happened as a value; the error itself is forgotten. */
const struct value *
ev_defer(struct eval *ev)
{
	struct err *e = ev->err;
	struct undef *u;
	struct undef_note *n, **last;
	unsigned i;

	if (e->code == ERR_LIMIT || e->code == ERR_INTERNAL)
		return NULL;
	u = undef_new(ev, e->code, arena_strdup(&ev->scratch, e->msg == NULL ? "" : e->msg));
	u->at = e->at;
	if (e->hint != NULL)
		u->hint = arena_strdup(&ev->scratch, e->hint);
	for (last = &u->notes, i = 0; i < e->nnotes; i++, last = &n->next) {
		n = *last = ARENA_NEW(&ev->scratch, struct undef_note);
		n->at = e->notes[i].at;
		n->text = arena_strdup(&ev->scratch, e->notes[i].msg);
	}
	err_release(e);
	return &u->v;
}

bool
ev_failed(const struct value *v)
{
	return v->type == V_UNDEF && v->tag == UNDEF_FULL && ((const struct undef *)v)->code != ERR_UNDEFINED;
}

const struct value *
tmpl_failing(struct arena *a, const struct err *e)
{
	struct undef *u = ARENA_NEW(a, struct undef);

	u->v.type = V_UNDEF;
	u->v.tag = UNDEF_FULL;
	u->v.u.s = arena_strdup(a, e->msg == NULL ? "" : e->msg);
	u->v.len = (uint32_t)strlen(u->v.u.s);
	u->code = e->code;
	u->at = e->at;
	u->hint = e->hint == NULL ? NULL : arena_strdup(a, e->hint);
	return &u->v;
}

const struct value *
ev_catch(struct eval *ev)
{
	return ev->err->code == ERR_UNDEFINED ? ev_defer(ev) : NULL;
}

/* "did you mean": the nearest of all names. */
static const char *
near_name(const struct eval *ev, const char *name)
{
	const char *best = NULL;
	unsigned dist = 0;
	const struct ventry *e;
	const struct ctx *c;
	uint32_t i, it;

	for (i = 0; i < ev->scope->n; i++) {
		if (ev->scope->layers[i] == NULL)
			continue;
		for (it = 0; (e = v_next(ev->scope->layers[i], &it)) != NULL;)
			if (e->key->type == V_STR)
				nearest_try(name, e->key->u.s, &best, &dist);
	}
	for (c = ev->act == NULL ? NULL : ev->act->ctx; c != NULL; c = c->up)
		for (it = 0; c->vars != NULL && (e = v_next(c->vars, &it)) != NULL;)
			nearest_try(name, e->key->u.s, &best, &dist);
	return best;
}

const struct value *
ev_raise(struct eval *ev, const struct value *v)
{
	const struct undef *u;
	const struct undef_note *n;
	const char *near;

	if (v->tag == UNDEF_SOFT)
		return ev_error(ev, ERR_UNDEFINED, "the inline if-expression evaluated to false "
		    "and no else section was defined");
	if (v->tag == UNDEF_PLAIN)
		return ev_error(ev, ERR_UNDEFINED, "%s", v->u.s == NULL ? "undefined" : v->u.s);
	u = (const struct undef *)v;
	ev_error(ev, u->code, "%s", v->u.s);
	if (u->at.line != 0 || u->tmpl != NULL) {
		ev->err->at = u->at.line != 0 ? u->at : tmpl_mark_at(u->tmpl, u->pos, u->end);
		ev->placed = true;
	}
	if (u->hint != NULL)
		err_hint(ev->err, "%s", u->hint);
	else if (u->name != NULL && (near = near_name(ev, u->name)) != NULL)
		err_hint(ev->err, "did you mean '%s'?", near);
	for (n = u->notes; n != NULL; n = n->next)
		err_note(ev->err, n->at, "%s", n->text);
	return NULL;
}

const struct value *
eval_forced(struct eval *ev, const struct node *n)
{
	const struct value *v = eval_expr(ev, n);

	if (v != NULL && v->type == V_UNDEF && (v = ev_force(ev, v)) == NULL)
		ev_place(ev, n->pos, n->pos + 1);
	return v;
}

/* The limits, looked at every 256 steps; those of the stack always. */
bool
ev_step_slow(struct eval *ev)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (ev->steps > ev->max_steps) {
		ev_error(ev, ERR_LIMIT, "the template takes more than %u steps", ev->max_steps);
		return false;
	}
	if (ev->stack > here && ev->stack - here > EVAL_STACK_MAX) {
		ev_error(ev, ERR_LIMIT, "too deeply nested: macros, includes or variables that call themselves");
		return false;
	}
	if (ev->scratch.used > (size_t)1 << 30) {
		ev_error(ev, ERR_LIMIT, "the template takes more than 1 GiB of memory");
		return false;
	}
	return true;
}

/* ---- variables ------------------------------------------------------------ */

static struct tcache *
cache_slot(const struct eval *ev, const struct value *key)
{
	uint32_t i = (uint32_t)(((uintptr_t)key >> 4) * 2654435761u) & (ev->cache_cap - 1);

	while (ev->cache[i].key != NULL && ev->cache[i].key != key)
		i = (i + 1) & (ev->cache_cap - 1);
	return &ev->cache[i];
}

static void
cache_grow(struct eval *ev)
{
	struct tcache *old = ev->cache;
	uint32_t cap = ev->cache_cap, i;

	ev->cache_cap = cap == 0 ? 16 : cap * 2;
	ev->cache = ARENA_ARRAY(&ev->scratch, ev->cache_cap, struct tcache);
	for (i = 0; i < cap; i++)
		if (old[i].key != NULL)
			*cache_slot(ev, old[i].key) = old[i];
}

static void
cache_set(struct eval *ev, const struct value *key, const struct value *val)
{
	struct tcache *t;

	if (ev->ncache * 2 >= ev->cache_cap)
		cache_grow(ev);
	t = cache_slot(ev, key);
	if (t->key == NULL) {
		t->key = key;
		ev->ncache++;
	}
	t->val = val;
}

const struct value **
ev_cached(struct eval *ev, const struct value *key)
{
	if (ev->cache_cap == 0 || cache_slot(ev, key)->key == NULL)
		cache_set(ev, key, NULL);
	return &cache_slot(ev, key)->val;
}

static COLD const struct value *
cycle_error(struct eval *ev, const struct value *v)
{
	struct buf b = BUF_INIT;
	const struct pending *p, *names[8];
	unsigned n = 0;

	/* The chain from the first time it was read to here. */
	for (p = ev->pending; p != NULL; p = p->up) {
		if (n < NITEMS(names))
			names[n++] = p;
		if (p->v == v)
			break;
	}
	if (p != NULL)
		buf_addf(&b, "%s", p->name == NULL ? "a template" : p->name);
	while (n-- > 1)
		buf_addf(&b, " → %s", names[n - 1]->name == NULL ? "a template" : names[n - 1]->name);
	if (p != NULL)
		buf_addf(&b, " → %s", p->name == NULL ? "itself" : p->name);
	ev_error(ev, ERR_INVALID, "Recursive loop detected in template: %s", buf_str(&b));
	err_hint(ev->err, "a variable cannot be defined by itself");
	buf_release(&b);
	return NULL;
}

/* An undefined value that came through a variable: one more link of its chain. */
static const struct value *
undef_in(struct eval *ev, const struct value *ret, const struct value *var, const char *name)
{
	struct undef *u = ARENA_NEW(&ev->scratch, struct undef);
	struct undef_note *n = ARENA_NEW(&ev->scratch, struct undef_note), **last;

	*u = *(const struct undef *)ret;
	n->at = v_mark(var);
	n->text = message(ev, "in the variable '", name, "'", "", 0, "");
	for (last = &u->notes; *last != NULL; last = &(*last)->next) {
		struct undef_note *copy = ARENA_NEW(&ev->scratch, struct undef_note);

		*copy = **last;
		*last = copy;
	}
	*last = n;
	return &u->v;
}

/* Evaluates a variable's template on its own: only the scope, none of the names around the place that reads it. */
static COLD const struct value *
run_variable(struct eval *ev, const struct value *v, const char *name)
{
	struct pending p = { ev->pending, v, name };
	struct act *act = ev->act;
	bool tainted = ev->tainted, strict = ev->strict;
	const struct value *ret;
	struct ctx *ctx;

	cache_set(ev, v, NULL);
	ev->pending = &p;
	ev->tainted = v->flags & V_SECRET;
	ev->strict = false;
	ctx = ctx_new(ev, NULL);
	ret = ev_template(ev, v_tmpl(v), ctx);
	ev->act = act;
	ev->strict = strict;
	ev->pending = p.up;
	if (ret == NULL) {
		if (name != NULL)
			err_note(ev->err, v_mark(v), "in the variable '%s'", name);
		ret = ev_defer(ev);
	} else if (ret->type == V_UNDEF && ret->tag == UNDEF_FULL && name != NULL)
		ret = undef_in(ev, ret, v, name);
	else if (ev->tainted)
		ret = v_flag(&ev->scratch, ret, V_SECRET);
	ev->tainted = ev->tainted || tainted;
	if (ret != NULL)
		cache_set(ev, v, ret);
	return ret;
}

const struct value *
ev_resolve_slow(struct eval *ev, const struct value *v, const char *name)
{
	struct tcache *t;

	if (v->flags & V_SECRET)
		ev->tainted = true;
	if (v->type != V_TMPL)
		return v;
	if (ev->cache_cap > 0 && (t = cache_slot(ev, v))->key != NULL) {
		if (t->val == NULL)
			return cycle_error(ev, v);
		if (t->val->flags & V_SECRET)
			ev->tainted = true;
		return t->val;
	}
	if (!ev_step(ev))
		return NULL;
	return run_variable(ev, v, name);
}

static COLD const struct value *
undefined_name(struct eval *ev, const struct name *name)
{
	struct undef *u = undef_new(ev, ERR_UNDEFINED,
	    message(ev, "'", name->s, "", "", 0, "' is undefined"));

	u->name = name->s;
	return &u->v;
}

/* A variable's value from the scope: secret when its name is said to be. */
static const struct value *
scope_value(struct eval *ev, const struct value *v, const struct name *name)
{
	v = ev_resolve(ev, v, name->s);
	if (ev->scope->secrets == NULL || v == NULL || v->type == V_UNDEF ||
	    v_getn(ev->scope->secrets, name->s, name->len, name->hash) == NULL)
		return v;
	ev->tainted = true;
	return v_flag(&ev->scratch, v, V_SECRET);
}

/* A container of a variable, where it may be changed. */
static inline const struct value *
found(struct eval *ev, const struct value *v)
{
	return v != NULL && ev_changeable(ev, v) ? ev_own(ev, v) : v;
}

const struct value *
ev_name(struct eval *ev, const struct ctx *ctx, const struct name *name)
{
	const struct scope *s = ev->scope;
	const struct value *v;
	uint32_t i;

	for (; ctx != NULL; ctx = ctx->up) {
		if (ctx->vars != NULL && (v = v_getn(ctx->vars, name->s, name->len, name->hash)) != NULL)
			return ev_resolve(ev, v, name->s);
		if (ctx->isolated)
			goto globals;
	}
	for (i = 0; i < s->n; i++)
		if (s->layers[i] != NULL &&
		    (v = v_getn(s->layers[i], name->s, name->len, name->hash)) != NULL)
			return found(ev, scope_value(ev, v, name));
	if (s->magic != NULL && (v = s->magic(s->arg, &ev->scratch, name->s)) != NULL)
		return found(ev, ev_resolve(ev, v, name->s));
globals:
	if ((v = global_find(name->s, name->len)) != NULL)
		return v;
	return undefined_name(ev, name);
}

const struct value *
ev_node_name(struct eval *ev, const struct node *n)
{
	const struct value **slot = ev_slot(ev, n->u.name.ref);
	const struct act *a = ev->act;
	uint16_t up;

	if (*slot == NULL) {
		for (up = n->u.name.ref.up; up > 0; up--)
			a = a->up;
		*slot = ev_name(ev, a->ctx, &n->u.name.n);
	} else if (*slot == &slot_missing)
		return undefined_name(ev, &n->u.name.n);
	else if ((*slot)->flags & V_SECRET)
		ev->tainted = true;
	return *slot;
}

/* ---- attributes and items ------------------------------------------------- */

const struct tfilter *
ev_row(const struct methods *m, const struct value *v)
{
	switch (v->type) {
	case V_STR:
		return m->str;
	case V_LIST:
		return v->flags & V_TUPLE ? m->tuple : m->list;
	case V_MAP:
		return m->map;
	case V_INT:
	case V_BOOL:
		return m->num_int;
	case V_FLOAT:
		return m->num_float;
	default:
		return NULL;
	}
}

const struct tfilter *
ev_find_method(const struct value *v, const char *s, size_t len)
{
	switch (v->type) {
	case V_STR:
		return method_find(methods_str, s, len);
	case V_LIST:
		return method_find(v->flags & V_TUPLE ? methods_tuple : methods_list, s, len);
	case V_MAP:
		return method_find(methods_map, s, len);
	case V_INT:
	case V_BOOL:
		return method_find(methods_int, s, len);
	case V_FLOAT:
		return method_find(methods_float, s, len);
	case V_OBJ:
		return v_obj_ops(v)->methods == NULL ? NULL :
		    method_find(v_obj_ops(v)->methods, s, len);
	default:
		return NULL;
	}
}

/* (5).real and friends. */
static const struct value *
number_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	bool is_float = v->type == V_FLOAT;

	if (v->type != V_INT && v->type != V_BOOL && !is_float)
		return NULL;
	if ((len == 4 && memcmp(s, "real", 4) == 0) ||
	    (!is_float && len == 9 && memcmp(s, "numerator", 9) == 0))
		return v->type == V_BOOL ? v_int(&ev->scratch, v->u.b) : v;
	if (len == 4 && memcmp(s, "imag", 4) == 0)
		return is_float ? v_float(&ev->scratch, 0.0) : v_int(&ev->scratch, 0);
	if (!is_float && len == 11 && memcmp(s, "denominator", 11) == 0)
		return v_int(&ev->scratch, 1);
	return NULL;
}

/* Below a call of loop(), self.block() or super() a missing attribute is an error at once, default() or not. */
static const struct value *
missing(struct eval *ev, const struct value *undef)
{
	return ev->strict ? ev_force(ev, undef) : undef;
}

static COLD const struct value *
obj_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct vobj_ops *ops = v_obj_ops(v);
	const struct value *r;
	struct value *key;

	if (ops->attr != NULL && ((r = ops->attr(ev, v, s, len)) != NULL || ev->err->code != ERR_NONE))
		return r;
	if (ops->item != NULL) {
		key = v_str_ref(&ev->scratch, arena_strndup(&ev->scratch, s, len), len);
		if ((r = ops->item(ev, v, key)) != NULL || ev->err->code != ERR_NONE)
			return r == NULL ? NULL : ev_resolve(ev, r, NULL);
	}
	return missing(ev, ev_undef(ev, ERR_UNDEFINED, "object of type '%s' has no attribute '%.*s'",
	    ops->type, (int)len, s));
}

static COLD const struct value *
no_attr(struct eval *ev, const struct value *v, const char *s, size_t len, bool identifier)
{
	struct buf b = BUF_INIT;
	const char *quoted = NULL;

	if (!identifier) {
		tmpl_repr(&b, v_strn(&ev->scratch, s, len));
		quoted = buf_dup(&b, &ev->scratch);
		buf_release(&b);
	}
	return missing(ev, &undef_new(ev, ERR_UNDEFINED, quoted != NULL ?
	    message(ev, "object of type '", tmpl_py_type(v), "' has no attribute ", quoted, strlen(quoted), "") :
	    message(ev, "object of type '", tmpl_py_type(v), "' has no attribute '", s, len, "'"))->v);
}

/*
 * Python's internals, which every object has or those that anybody would ask for:
 * refused.  Other names with two underscores are just not there.
 */
static bool
unsafe_name(const char *s, size_t len)
{
	static const char *const names[] = {
		"add", "bool", "class", "contains", "delattr", "delitem", "dict", "dir", "doc", "eq", "format", "ge",
		"getattribute", "getitem", "getnewargs", "getstate", "globals", "gt", "hash", "iadd", "init",
		"init_subclass", "iter", "le", "len", "lt", "mod", "module", "mul", "ne", "new", "or", "reduce",
		"reduce_ex", "repr", "reversed", "rmod", "rmul", "setattr", "setitem", "sizeof", "str", "subclasshook"
	};
	size_t i;

	if (len < 5 || memcmp(s, "__", 2) != 0 || memcmp(s + len - 2, "__", 2) != 0)
		return false;
	for (i = 0; i < NITEMS(names); i++)
		if (strlen(names[i]) == len - 4 && memcmp(names[i], s + 2, len - 4) == 0)
			return true;
	return false;
}

/* The names of groupby's pairs. */
static const struct value *
group_attr(const struct value *v, const char *s, size_t len)
{
	if (v->type != V_LIST || v->tag != V_LIST_GROUP)
		return NULL;
	return len == 7 && memcmp(s, "grouper", 7) == 0 ? v_at(v, 0) :
	    len == 4 && memcmp(s, "list", 4) == 0 ? v_at(v, 1) : NULL;
}

/* v.name when name is no method of v's type. */
static const struct value *
plain_attr(struct eval *ev, const struct value *v, const char *s, size_t len, uint32_t hash)
{
	const struct value *r;

	if (unsafe_name(s, len))
		return ev_undef(ev, ERR_UNDEFINED, "access to attribute '%.*s' of '%s' object is unsafe",
		    (int)len, s, tmpl_py_type(v));
	switch (v->type) {
	case V_MAP:
		if ((r = v_getn(v, s, len, hash)) != NULL)
			return ev_resolve(ev, r, s);
		break;
	case V_OBJ:
		return obj_attr(ev, v, s, len);
	case V_LIST:
		if ((r = group_attr(v, s, len)) != NULL)
			return r;
		break;
	default:
		if ((r = number_attr(ev, v, s, len)) != NULL)
			return r;
		break;
	}
	return no_attr(ev, v, s, len, true);
}

/* What attributes of an undefined value are: itself; of a soft one an error. */
static const struct value *
undef_attr(struct eval *ev, const struct value *v)
{
	return v->tag == UNDEF_SOFT ? ev_force(ev, v) : v;
}

const struct value *
ev_attr(struct eval *ev, const struct value *v, const char *s, size_t len, uint32_t hash)
{
	const struct tfilter *row;

	if (v->type == V_UNDEF)
		return undef_attr(ev, v);
	if ((row = ev_find_method(v, s, len)) != NULL)
		return ev_bound_method(ev, v, row);
	return plain_attr(ev, v, s, len, hash);
}

const struct value *
ev_node_attr(struct eval *ev, const struct node *n, const struct value *obj)
{
	const struct tfilter *row = NULL;
	const struct value *v;

	if (obj->type == V_MAP && n->u.attr.m == NULL &&
	    (v = v_getn(obj, n->u.attr.n.s, n->u.attr.n.len, n->u.attr.n.hash)) != NULL &&
	    n->u.attr.n.s[0] != '_')
		return ev_resolve(ev, v, n->u.attr.n.s);
	if (obj->type == V_UNDEF)
		return undef_attr(ev, obj);
	if (obj->type == V_OBJ)
		row = ev_find_method(obj, n->u.attr.n.s, n->u.attr.n.len);
	else if (n->u.attr.m != NULL)
		row = ev_row(n->u.attr.m, obj);
	if (row != NULL)
		return ev_bound_method(ev, obj, row);
	return plain_attr(ev, obj, n->u.attr.n.s, n->u.attr.n.len, n->u.attr.n.hash);
}

/* An index of a sequence: a list's element or a string's character. NULL without an error: out of range. */
static COLD const struct value *
sequence_item(struct eval *ev, const struct value *v, int64_t i)
{
	int64_t n = v->type == V_STR ? (int64_t)utf8_count(v->u.s, v->len) : (int64_t)v->u.list->n;
	size_t from;
	uint32_t cp;

	if (i < 0)
		i += n;
	if (i < 0 || i >= n)
		return NULL;
	if (v->type == V_LIST)
		return ev_resolve(ev, v->u.list->v[i], NULL);
	from = n == (int64_t)v->len ? (size_t)i : utf8_offset(v->u.s, v->len, (size_t)i);
	return v_strn(&ev->scratch, v->u.s + from, utf8_decode(v->u.s + from, v->len - from, &cp));
}

static COLD const struct value *
no_item(struct eval *ev, const struct value *v, const struct value *key)
{
	struct buf b = BUF_INIT;
	const struct value *r;

	tmpl_repr(&b, key);
	if (v->type == V_LIST || v->type == V_STR)
		r = ev_undef(ev, ERR_UNDEFINED, "object of type '%s' has no attribute %s", tmpl_py_type(v), buf_str(&b));
	else
		r = ev_undef(ev, ERR_UNDEFINED, "%s object has no element %s", tmpl_py_type(v), buf_str(&b));
	buf_release(&b);
	return missing(ev, r);
}

const struct value *
ev_item(struct eval *ev, const struct value *v, const struct value *key)
{
	const struct value *r = NULL;
	const struct tfilter *row;

	if (v->type == V_UNDEF)
		return undef_attr(ev, v);
	if ((key = ev_force(ev, key)) == NULL)
		return NULL;
	switch (v->type) {
	case V_MAP:
		if (v_hashable(key))
			r = v_get(v, key);
		if (r != NULL)
			return ev_resolve(ev, r, key->type == V_STR ? key->u.s : NULL);
		break;
	case V_LIST:
	case V_STR:
		if (key->type == V_INT || key->type == V_BOOL)
			r = sequence_item(ev, v, key->type == V_INT ? key->u.i : key->u.b);
		if (r != NULL || ev->err->code != ERR_NONE)
			return r;
		break;
	case V_OBJ:
		if (v_obj_ops(v)->item != NULL)
			r = v_obj_ops(v)->item(ev, v, key);
		if (r != NULL || ev->err->code != ERR_NONE)
			return r == NULL ? NULL : ev_resolve(ev, r, NULL);
		break;
	default:
		break;
	}
	if (key->type != V_STR)
		return no_item(ev, v, key);
	/* As Jinja does: an item that is not there may be an attribute. */
	if ((row = ev_find_method(v, key->u.s, key->len)) != NULL)
		return ev_bound_method(ev, v, row);
	if (v->type == V_OBJ && v_obj_ops(v)->attr != NULL) {
		if ((r = v_obj_ops(v)->attr(ev, v, key->u.s, key->len)) != NULL || ev->err->code != ERR_NONE)
			return r;
	} else if ((r = number_attr(ev, v, key->u.s, key->len)) != NULL ||
	    (r = group_attr(v, key->u.s, key->len)) != NULL)
		return r;
	if (unsafe_name(key->u.s, key->len))
		return ev_undef(ev, ERR_UNDEFINED, "access to attribute '%s' of '%s' object is unsafe",
		    key->u.s, tmpl_py_type(v));
	return no_attr(ev, v, key->u.s, key->len, false);
}
