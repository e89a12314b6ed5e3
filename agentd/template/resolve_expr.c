/*
 * Resolving expressions: names to slots, filters and tests to rows with their
 * arguments in order, methods, embedded templates; constants are folded; what is
 * not known is told, with the nearest name.
 */
#include <string.h>

#include "template/resolve.h"

struct err *
rs_fail(struct resolver *r, const struct node *n, uint32_t len, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = arena_vprintf(r->arena, fmt, ap);
	va_end(ap);
	r->errors++;
	return diags_error(r->diags, code, tmpl_mark_at(r->t, n->pos, n->pos + len), "%s", msg);
}

/* ---- names from outside --------------------------------------------------- */

static bool
is_guarded(const struct resolver *r, const struct name *n)
{
	const struct guard *g;

	if (r->guarded > 0)
		return true;
	for (g = r->guards; g != NULL; g = g->next)
		if (rs_same(g->name, n))
			return true;
	return false;
}

static void
note_free(struct resolver *r, const struct node *n, bool guarded)
{
	const struct name *name = &n->u.name.n;
	uint32_t i;

	if (global_find(name->s, name->len) != NULL)
		return;
	guarded = guarded || is_guarded(r, name);
	for (i = 0; i < r->nnames; i++)
		if (rs_same(&r->names[i].name, name)) {
			if (r->names[i].guarded && !guarded)
				r->names[i].pos = n->pos;
			r->names[i].guarded = r->names[i].guarded && guarded;
			return;
		}
	if (r->nnames == r->names_cap) {
		r->names = arena_grow(r->arena, r->names, r->nnames * sizeof(*r->names),
		    (r->names_cap + 8) * sizeof(*r->names));
		r->names_cap += 8;
	}
	r->names[r->nnames++] = (struct tmpl_name){ *name, n->pos, guarded };
}

/* Pushes the names that are known to be defined when test is true (or, not positive, false). */
void
rs_push_guards(struct resolver *r, const struct node *test, bool positive)
{
	const struct node *in;
	struct guard *g;
	bool defined;

	if (test->type == N_NOT)
		rs_push_guards(r, test->u.x.a, !positive);
	else if (test->type == (positive ? N_AND : N_OR)) {
		rs_push_guards(r, test->u.x.a, positive);
		rs_push_guards(r, test->u.x.b, positive);
	} else if (test->type == N_TEST) {
		defined = strcmp(test->u.filter.name, "defined") == 0;
		if (!defined && strcmp(test->u.filter.name, "undefined") != 0)
			return;
		if (defined != positive)
			return;
		for (in = test->u.filter.in; in->type == N_ATTR || in->type == N_ITEM;)
			in = in->type == N_ATTR ? in->u.attr.obj : in->u.x.a;
		if (in->type != N_NAME)
			return;
		g = ARENA_NEW(r->arena, struct guard);
		g->name = &in->u.name.n;
		g->next = r->guards;
		r->guards = g;
	}
}

/* ---- expressions ---------------------------------------------------------- */

void
rs_exprs(struct resolver *r, struct frame *f, struct nodes *l)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		rs_expr(r, f, l->v[i]);
}

void
rs_name(struct resolver *r, struct frame *f, struct node *n)
{
	struct sym *s = rs_find(f, &n->u.name.n, &n->u.name.ref);

	if (s != NULL && (s->stored || s->kind != L_RESOLVE)) {
		if (s->kind == L_RESOLVE)
			note_free(r, n, true);
		return;
	}
	n->u.name.ref = rs_free_ref(r, f, &n->u.name.n);
	note_free(r, n, false);
}

static const char *
param_name(const char **params, uint32_t *len)
{
	const char *s = *params;
	size_t n;

	if (*s == '\0')
		return NULL;
	n = strcspn(s, ",");
	*params = s + n + (s[n] == ',');
	*len = (uint32_t)n;
	return s;
}

static uint32_t
param_count(const char *params)
{
	uint32_t n = 0, len;

	while (param_name(&params, &len) != NULL)
		n++;
	return n;
}

/* Which parameter a keyword is; -1: none. */
static int
param_index(const char *params, const struct value *kw)
{
	uint32_t len;
	const char *s;
	int i;

	for (i = 0; (s = param_name(&params, &len)) != NULL; i++)
		if (len == kw->len && memcmp(s, kw->u.s, len) == 0)
			return i;
	return -1;
}

/*
 * Puts the arguments of a filter or test in the order of its parameters, so
 * that nothing needs matching when it runs.  What does not fit (too many,
 * unknown names, star arguments) is left for the call itself to sort out or complain about.
 */
static void
bind_args(struct resolver *r, struct node *n, const char *params, unsigned flags)
{
	const struct args *a = n->u.filter.args;
	uint32_t np = param_count(params), i;
	struct node **bound;
	int at;

	if (a->star != NULL || a->dstar != NULL || ((flags & TF_KWSTAR) && a->kwval.n > 0) ||
	    (a->pos.n > np && !(flags & TF_STAR)))
		return;
	bound = ARENA_ARRAY(r->arena, np + (a->pos.n > np ? a->pos.n - np : 0) + 1, struct node *);
	for (i = 0; i < a->pos.n; i++)
		bound[i] = a->pos.v[i];
	for (i = 0; i < a->kwval.n; i++) {
		if ((at = param_index(params, a->kwname[i])) < 0 || bound[at] != NULL)
			return;
		bound[at] = a->kwval.v[i];
	}
	n->u.filter.bound = bound;
	n->u.filter.nbound = np;
	n->u.filter.nstar = a->pos.n > np ? a->pos.n - np : 0;
}

static void
each_arg_expr(struct resolver *r, struct frame *f, struct args *a)
{
	if (a == NULL)
		return;
	rs_exprs(r, f, &a->pos);
	rs_exprs(r, f, &a->kwval);
	if (a->star != NULL)
		rs_expr(r, f, a->star);
	if (a->dstar != NULL)
		rs_expr(r, f, a->dstar);
}

/* A filter or test that is not known, or known and not supported. */
static void
unknown(struct resolver *r, const struct frame *f, struct node *n, const char *what,
    const char *unsupported, const char *near)
{
	const char *name = n->u.filter.name;
	uint32_t len = (uint32_t)strlen(name);
	struct mark at = tmpl_mark_at(r->t, n->pos, n->pos + len);
	struct err *e;

	if (f->soft) {
		e = diags_note(r->diags, at, unsupported != NULL ?
		    "the %s '%s' is not supported: an error when it is reached" :
		    "No %s named '%s': an error when it is reached", what, name);
	} else if (unsupported != NULL) {
		r->errors++;
		e = diags_error(r->diags, ERR_SYNTAX, at, "the %s '%s' is not supported%s%s", what, name,
		    *unsupported != '\0' ? ": " : "", unsupported);
	} else {
		r->errors++;
		e = diags_error(r->diags, ERR_SYNTAX, at, "No %s named '%s'", what, name);
	}
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
}

static void
resolve_filter(struct resolver *r, struct frame *f, struct node *n)
{
	const char *name = n->u.filter.name;
	bool copes = strcmp(name, "default") == 0 || strcmp(name, "d") == 0;
	const struct tfilter *row;

	if (n->u.filter.in != NULL) {
		r->guarded += copes;
		rs_expr(r, f, n->u.filter.in);
		r->guarded -= copes;
	}
	each_arg_expr(r, f, n->u.filter.args);
	row = tmpl_filter_find(name, strlen(name));
	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		unknown(r, f, n, "filter", row == NULL ? NULL : row->params,
		    row == NULL ? tmpl_filter_nearest(name) : NULL);
		n->flags |= NF_SOFT;
		return;
	}
	n->u.filter.row = row;
	bind_args(r, n, row->params, row->flags);
}

static void
resolve_test(struct resolver *r, struct frame *f, struct node *n)
{
	const char *name = n->u.filter.name;
	bool copes = strcmp(name, "defined") == 0 || strcmp(name, "undefined") == 0;
	const struct ttest *row;

	r->guarded += copes;
	rs_expr(r, f, n->u.filter.in);
	r->guarded -= copes;
	each_arg_expr(r, f, n->u.filter.args);
	row = tmpl_test_find(name, strlen(name));
	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		unknown(r, f, n, "test", row == NULL ? NULL : row->params,
		    row == NULL ? tmpl_test_nearest(name) : NULL);
		n->flags |= NF_SOFT;
		return;
	}
	n->u.filter.test = row;
	bind_args(r, n, row->params, row->flags);
}

/* Constants of a condition, or in a lookup's terms, that are templates themselves (deprecated by Ansible, still so). */
static void
embedded(struct resolver *r, struct node *n)
{
	const struct tmpl *t;
	uint32_t i;

	if (n->type == N_LIST || n->type == N_TUPLE) {
		for (i = 0; i < n->u.list.n; i++)
			embedded(r, n->u.list.v[i]);
		return;
	}
	if (n->type != N_CONST || n->u.val->type != V_STR || !tmpl_is(n->u.val->u.s, n->u.val->len))
		return;
	t = tmpl_compile(r->arena, n->u.val->u.s, n->u.val->len,
	    tmpl_mark_at(r->t, n->pos, n->pos + 1), TMPL_VALUE, NULL, r->diags);
	if (t == NULL) {
		r->errors++;
		return;
	}
	for (i = 0; i < t->nnames; i++) {
		struct node name = { .type = N_NAME, .pos = n->pos, .u.name.n = t->names[i].name };

		note_free(r, &name, t->names[i].guarded);
	}
	n->type = N_TEXT;
	n->u.tmpl = t;
}

static bool
is_lookup(const struct node *n)
{
	static const char *const names[] = { "lookup", "query", "q" };
	size_t i;

	for (i = 0; n->type == N_NAME && i < NITEMS(names); i++)
		if (strcmp(n->u.name.n.s, names[i]) == 0)
			return true;
	return false;
}

static void
resolve_lookup(struct resolver *r, struct frame *f, struct node *n)
{
	struct args *a = n->u.call.args;
	const struct node *first;
	const struct tlookup *row;
	const char *near;
	struct err *e;
	uint32_t i;

	if (a->pos.n == 0 || a->pos.v[0]->type != N_CONST || a->pos.v[0]->u.val->type != V_STR)
		return;
	first = a->pos.v[0];
	for (i = 1; i < a->pos.n; i++)
		embedded(r, a->pos.v[i]);
	row = tmpl_lookup_find(first->u.val->u.s, first->u.val->len);
	if (row != NULL && !(row->flags & TF_UNSUPPORTED))
		return;
	near = row == NULL ? tmpl_lookup_nearest(first->u.val->u.s) : NULL;
	if (f->soft || r->maybe > 0 || r->guarded > 0)
		e = diags_note(r->diags, tmpl_mark_at(r->t, first->pos, first->pos + first->u.val->len + 2),
		    "The lookup plugin '%s' %s: an error when it is reached", first->u.val->u.s,
		    row == NULL ? "was not found" : "is not supported");
	else
		e = rs_fail(r, first, first->u.val->len + 2, row == NULL ? ERR_INVALID : ERR_UNSUPPORTED,
		    "The lookup plugin '%s' %s", first->u.val->u.s,
		    row == NULL ? "was not found" : "is not supported");
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
}

static bool
is_missing_row(const struct tfilter *row)
{
	return row == NULL || (row->flags & TF_UNSUPPORTED);
}

/* Calls of what reaches into Python: refused when compiled, where they are certain to run. */
static void
unsupported_call(struct resolver *r, const struct frame *f, const struct node *n)
{
	const struct node *fn = n->u.call.fn;
	const struct methods *m;
	const char *name;

	if (fn->type == N_NAME) {
		name = fn->u.name.n.s;
		if (strcmp(name, "lipsum") != 0)
			return;
	} else if (fn->type == N_ATTR && (m = fn->u.attr.m) != NULL) {
		name = fn->u.attr.n.s;
		if (!is_missing_row(m->str) || !is_missing_row(m->list) || !is_missing_row(m->map) ||
		    !is_missing_row(m->tuple) || !is_missing_row(m->num_int) || !is_missing_row(m->num_float))
			return;
	} else
		return;
	if (f->soft || r->maybe > 0)
		diags_note(r->diags, tmpl_mark_at(r->t, fn->pos, fn->pos + (uint32_t)strlen(name)),
		    "%s() is not supported: an error when it is reached", name);
	else
		rs_fail(r, fn, (uint32_t)strlen(name), ERR_UNSUPPORTED, "%s() is not supported", name);
}

static bool
changes(const struct methods *m)
{
	return m != NULL && ((m->list != NULL && (m->list->flags & TF_MUTATES)) ||
	    (m->map != NULL && (m->map->flags & TF_MUTATES)));
}

static const struct methods *
find_methods(struct resolver *r, const struct name *n)
{
	struct methods m;
	struct methods *ret;

	m.str = method_find(methods_str, n->s, n->len);
	m.list = method_find(methods_list, n->s, n->len);
	m.tuple = method_find(methods_tuple, n->s, n->len);
	m.map = method_find(methods_map, n->s, n->len);
	m.num_int = method_find(methods_int, n->s, n->len);
	m.num_float = method_find(methods_float, n->s, n->len);
	if (m.str == NULL && m.list == NULL && m.tuple == NULL && m.map == NULL &&
	    m.num_int == NULL && m.num_float == NULL)
		return NULL;
	ret = ARENA_NEW(r->arena, struct methods);
	*ret = m;
	return ret;
}

static void
fold(struct resolver *r, struct node *n)
{
	struct value *v;
	uint32_t i;

	for (i = 0; i < n->u.list.n; i++)
		if (n->u.list.v[i]->type != N_CONST)
			return;
	if (n->type == N_DICT) {
		v = v_map(r->arena);
		for (i = 0; i < n->u.list.n; i += 2) {
			if (!v_hashable(n->u.list.v[i]->u.val))
				return;
			v_set(r->arena, v, n->u.list.v[i]->u.val, n->u.list.v[i + 1]->u.val);
		}
	} else {
		v = v_list(r->arena);
		if (n->type == N_TUPLE)
			v->flags |= V_TUPLE;
		for (i = 0; i < n->u.list.n; i++)
			v_push(r->arena, v, n->u.list.v[i]->u.val);
	}
	if (n->type != N_TUPLE)
		n->flags |= NF_FOLDED;
	for (i = 0; i < n->u.list.n; i++)
		n->flags |= n->u.list.v[i]->flags & NF_FOLDED;
	n->type = N_CONST;
	n->u.val = v;
}

static void
fold_sign(struct resolver *r, struct node *n)
{
	const struct node *a = n->u.x.a;
	bool neg = n->type == N_NEG;

	if (a->type != N_CONST)
		return;
	if (a->u.val->type == V_INT && a->u.val->u.i != INT64_MIN)
		n->u.val = v_int(r->arena, neg ? -a->u.val->u.i : a->u.val->u.i);
	else if (a->u.val->type == V_FLOAT)
		n->u.val = v_float(r->arena, neg ? -a->u.val->u.f : a->u.val->u.f);
	else
		return;
	n->type = N_CONST;
}

static void
resolve_cond(struct resolver *r, struct frame *f, struct node *n)
{
	struct guard *before = r->guards;
	bool soft = f->soft;

	f->soft = true;
	rs_expr(r, f, n->u.x.b);
	r->maybe++;
	rs_push_guards(r, n->u.x.b, true);
	rs_expr(r, f, n->u.x.a);
	r->guards = before;
	rs_push_guards(r, n->u.x.b, false);
	if (n->u.x.c != NULL)
		rs_expr(r, f, n->u.x.c);
	r->guards = before;
	r->maybe--;
	f->soft = soft;
}

static void
resolve_logic(struct resolver *r, struct frame *f, struct node *n)
{
	struct guard *before = r->guards;

	rs_expr(r, f, n->u.x.a);
	rs_push_guards(r, n->u.x.a, n->type == N_AND);
	r->maybe++;
	rs_expr(r, f, n->u.x.b);
	r->maybe--;
	r->guards = before;
}

void
rs_expr(struct resolver *r, struct frame *f, struct node *n)
{
	switch ((enum node_type)n->type) {
	case N_CONST:
		if (r->t->mode == TMPL_WHEN)
			embedded(r, n);
		break;
	case N_NAME:
		rs_name(r, f, n);
		break;
	case N_LIST:
	case N_TUPLE:
	case N_DICT:
		rs_exprs(r, f, &n->u.list);
		fold(r, n);
		break;
	case N_CONCAT:
		rs_exprs(r, f, &n->u.list);
		break;
	case N_COMPARE:
		rs_exprs(r, f, &n->u.cmp.v);
		break;
	case N_AND:
	case N_OR:
		resolve_logic(r, f, n);
		break;
	case N_COND:
		resolve_cond(r, f, n);
		break;
	case N_NEG:
	case N_POS:
		rs_expr(r, f, n->u.x.a);
		fold_sign(r, n);
		break;
	case N_NOT:
	case N_BIN:
	case N_ITEM:
	case N_SLICE:
		/* A slice among several indices has no object. */
		if (n->u.x.a != NULL)
			rs_expr(r, f, n->u.x.a);
		if (n->u.x.b != NULL)
			rs_expr(r, f, n->u.x.b);
		if (n->u.x.c != NULL)
			rs_expr(r, f, n->u.x.c);
		if (n->u.x.d != NULL)
			rs_expr(r, f, n->u.x.d);
		break;
	case N_ATTR:
		rs_expr(r, f, n->u.attr.obj);
		n->u.attr.m = find_methods(r, &n->u.attr.n);
		if (changes(n->u.attr.m))
			r->t->mutates = true;
		break;
	case N_CALL:
		r->t->fold_ok = false;
		rs_expr(r, f, n->u.call.fn);
		unsupported_call(r, f, n);
		if (is_lookup(n->u.call.fn))
			resolve_lookup(r, f, n);
		each_arg_expr(r, f, n->u.call.args);
		break;
	case N_FILTER:
		resolve_filter(r, f, n);
		break;
	case N_TEST:
		resolve_test(r, f, n);
		break;
	default:
		break;
	}
}
