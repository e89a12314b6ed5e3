/*
 * The evaluator of expressions: a walk over the tree.
 *
 * What it costs: a switch per node; names are slots, attributes of maps one
 * hash look-up with a hash worked out before, filters and methods are bound.
 * Values are made in the scratch arena, constants are shared.
 */
#include <string.h>

#include "template/eval.h"

static const struct value undef_soft = { .type = V_UNDEF, .tag = UNDEF_SOFT };

/* ---- calls ---------------------------------------------------------------- */

static bool
add_star(struct eval *ev, const struct node *n, struct value *list)
{
	const struct value *v = eval_forced(ev, n), *l, *e;
	uint32_t i;

	if (v == NULL)
		return false;
	if ((l = ev_iter(ev, v)) == NULL) {
		ev_error(ev, ERR_TYPE, "Value after * must be an iterable, not %s", tmpl_py_type(v));
		return false;
	}
	for (i = 0; i < l->u.list->n; i++) {
		if ((e = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL)
			return false;
		v_push(&ev->scratch, list, e);
	}
	return true;
}

static bool
add_dstar(struct eval *ev, const struct node *n, struct value *kw)
{
	const struct value *v = eval_forced(ev, n), *val;
	const struct ventry *e;
	uint32_t it;

	if (v == NULL)
		return false;
	if (v->type != V_MAP) {
		ev_error(ev, ERR_TYPE, "argument after ** must be a mapping, not %s", tmpl_py_type(v));
		return false;
	}
	for (it = 0; (e = v_next(v, &it)) != NULL;) {
		if (e->key->type != V_STR) {
			ev_error(ev, ERR_TYPE, "keywords must be strings");
			return false;
		}
		if (v_get(kw, e->key) != NULL) {
			ev_error(ev, ERR_TYPE, "got multiple values for keyword argument '%s'", e->key->u.s);
			return false;
		}
		if ((val = ev_resolve(ev, e->val, e->key->u.s)) == NULL)
			return false;
		v_set(&ev->scratch, kw, e->key, val);
	}
	return true;
}

bool
ev_args(struct eval *ev, const struct args *a, struct targs *ret)
{
	struct value *list, *kw = NULL;
	const struct value *v;
	uint32_t i;

	ret->n = a->pos.n;
	ret->kw = NULL;
	ret->v = arena_alloc(&ev->scratch, a->pos.n * sizeof(*ret->v));
	for (i = 0; i < a->pos.n; i++)
		if ((ret->v[i] = eval_expr(ev, a->pos.v[i])) == NULL)
			return false;
	if (a->star != NULL) {
		list = v_list(&ev->scratch);
		for (i = 0; i < ret->n; i++)
			v_push(&ev->scratch, list, ret->v[i]);
		if (!add_star(ev, a->star, list))
			return false;
		ret->v = list->u.list->v;
		ret->n = list->u.list->n;
	}
	if (a->kwval.n > 0 || a->dstar != NULL) {
		ret->kw = kw = v_map(&ev->scratch);
		for (i = 0; i < a->kwval.n; i++) {
			if ((v = eval_expr(ev, a->kwval.v[i])) == NULL)
				return false;
			if (v_get(kw, a->kwname[i]) != NULL) {
				ev_error(ev, ERR_SYNTAX, "keyword argument repeated: %s", a->kwname[i]->u.s);
				return false;
			}
			v_set(&ev->scratch, kw, a->kwname[i], v);
		}
		if (a->dstar != NULL && !add_dstar(ev, a->dstar, kw))
			return false;
	}
	return true;
}

const struct value *
ev_call(struct eval *ev, const struct value *fn, const struct targs *args)
{
	const struct vobj_ops *ops = v_obj_ops(fn);
	const struct value *r;

	if (fn->type == V_UNDEF)
		return fn->tag == UNDEF_SOFT ? ev_force(ev, fn) : fn;
	if (!ev_step(ev))
		return NULL;
	if (ops != &macro_ops && ops != &function_ops && (r = ev_undef_among(args)) != NULL)
		return r;
	if (ops == NULL || ops->call == NULL)
		return ev_error(ev, ERR_TYPE, "'%s' object is not callable", tmpl_py_type(fn));
	if (args->kw != NULL && v_gets(args->kw, "self") != NULL)
		return ev_error(ev, ERR_TYPE, "call() got multiple values for argument 'self'");
	r = ops->call(ev, fn, args);
	return r == NULL ? ev_defer(ev) : r;
}

static COLD const struct value *
call_method(struct eval *ev, const struct node *n, const struct value *obj, const struct tfilter *row)
{
	const struct value *r;
	struct targs args;

	if (!ev_args(ev, n->u.call.args, &args))
		return NULL;
	if ((r = ev_undef_among(&args)) != NULL)
		return r;
	if ((row->flags & TF_MUTATES) && (obj = ev_writable(ev, obj)) == NULL)
		return NULL;
	if ((r = ev_method(ev, obj, row, &args)) == NULL)
		return ev_defer(ev);
	/* Views of a dict give what a call of Ansible's gives on. */
	if (ev_changeable(ev, r) && obj->type == V_MAP && (strcmp(row->name, "items") == 0 || strcmp(row->name, "values") == 0))
		r = ev_hand_on(ev, r);
	return r;
}

static COLD const struct value *
eval_call(struct eval *ev, const struct node *n)
{
	const struct node *fn = n->u.call.fn;
	const struct tfilter *row = NULL;
	const struct value *obj, *f;
	struct targs args;

	if (fn->type == N_ATTR) {
		if ((obj = eval_expr(ev, fn->u.attr.obj)) == NULL)
			return NULL;
		if (fn->u.attr.m != NULL && obj->type != V_OBJ)
			row = ev_row(fn->u.attr.m, obj);
		if (row != NULL)
			return call_method(ev, n, obj, row);
		if ((f = ev_node_attr(ev, fn, obj)) == NULL) {
			ev_place(ev, fn->pos, fn->pos + fn->u.attr.n.len);
			return NULL;
		}
	} else if ((f = eval_expr(ev, fn)) == NULL)
		return NULL;
	if (!ev_args(ev, n->u.call.args, &args))
		return NULL;
	return ev_call(ev, f, &args);
}

/* ---- filters and tests ---------------------------------------------------- */

/* A filter sees inside of its input: secrets there make the result one. */
static void
taint_input(struct eval *ev, const struct value *v, unsigned flags)
{
	if (v->flags & V_SECRET)
		ev->tainted = true;
	else if (!ev->tainted && !(flags & (TF_LAZY | TF_UNDEF_OK)) &&
	    (v->type == V_LIST || v->type == V_MAP) && v_any_flag(v, V_SECRET))
		ev->tainted = true;
}

/* The failure of a filter or test is its value: an error when it is used, as Ansible has it. */
static const struct value *
filter_failed(struct eval *ev, const char *what, const char *name)
{
	if (ev->err->code != ERR_UNDEFINED && ev->err->code != ERR_LIMIT)
		err_wrap(ev->err, "%s '%s' failed", what, name);
	return ev_defer(ev);
}

static COLD const struct value *
not_known(struct eval *ev, const struct node *n, const char *what)
{
	const char *name = n->u.filter.name;
	bool known = n->type == N_FILTER ? tmpl_filter_find(name, strlen(name)) != NULL :
	    tmpl_test_find(name, strlen(name)) != NULL;
	const char *near = known ? NULL : n->type == N_FILTER ? tmpl_filter_nearest(name) :
	    tmpl_test_nearest(name);

	if (known)
		ev_error(ev, ERR_UNSUPPORTED, "the %s '%s' is not supported", what, name);
	else
		ev_error(ev, ERR_INVALID, "No %s named '%s' found", what, name);
	if (near != NULL)
		err_hint(ev->err, "did you mean '%s'?", near);
	return NULL;
}

#define BOUND_MAX	24

/*
 * What a filter or test sees of an undefined input.  An `if` without else is
 * empty text; a variable or call that failed is no undefined one, which
 * default() could help: it is the result itself (*ret).
 */
static const struct value *
input(const struct value *in, unsigned flags, const struct value **ret)
{
	*ret = NULL;
	if (in->type != V_UNDEF)
		return in;
	if (in->tag == UNDEF_SOFT)
		return flags & TF_UNDEF_OK ? in : &v_empty_str;
	if (!(flags & TF_UNDEF_OK) || ev_failed(in))
		*ret = in;
	return in;
}

/* A range that a filter gives back is a list. */
const struct value *
ev_output(struct eval *ev, const struct value *r)
{
	if (r->type != V_OBJ || v_obj_ops(r) != &range_ops)
		return r;
	r = range_ops.list(ev, r);
	return r == NULL ? ev_defer(ev) : r;
}

/* Evaluates bound arguments into c; 1, 0 after an error, -1 with *undef when one is undefined. */
static int
bound_args(struct eval *ev, const struct node *n, struct tcall *c, const struct value **a,
    unsigned flags, const struct value **undef)
{
	uint32_t i, total = n->u.filter.nbound + n->u.filter.nstar;

	for (i = 0; i < total; i++) {
		a[i] = NULL;
		if (n->u.filter.bound[i] == NULL)
			continue;
		if ((a[i] = eval_expr(ev, n->u.filter.bound[i])) == NULL)
			return 0;
		if (a[i]->type == V_UNDEF && a[i]->tag != UNDEF_SOFT && !(flags & TF_UNDEF_ARGS)) {
			*undef = a[i];
			return -1;
		}
	}
	for (i = 0; ev->mutates && i < total; i++)
		if (a[i] != NULL && ev_changeable(ev, a[i]) && (a[i] = ev_hand_on(ev, a[i])) == NULL)
			return 0;
	c->a = a;
	c->na = n->u.filter.nbound;
	c->star = a + c->na;
	c->nstar = n->u.filter.nstar;
	return 1;
}

static COLD const struct value *
eval_filter(struct eval *ev, const struct node *n, const struct value *in)
{
	const struct tfilter *row = n->u.filter.row;
	const struct value *a[BOUND_MAX], *undef = NULL, *r;
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = n->u.filter.name, .err = ev->err };
	struct targs args;
	int ok;

	if (row == NULL)
		return not_known(ev, n, "filter");
	if (in == NULL && (in = eval_expr(ev, n->u.filter.in)) == NULL)
		return NULL;
	if (n->u.filter.bound == NULL || n->u.filter.nbound + n->u.filter.nstar > BOUND_MAX) {
		if (!ev_args(ev, n->u.filter.args, &args))
			return NULL;
		return ev_filter(ev, row, n->u.filter.name, in, &args);
	}
	if ((ok = bound_args(ev, n, &c, a, row->flags, &undef)) == 0)
		return NULL;
	in = input(in, row->flags, &r);
	if (r != NULL)
		return r;
	if (ok < 0)
		return undef;
	if (ev_changeable(ev, in) && (in = ev_hand_on(ev, in)) == NULL)
		return NULL;
	taint_input(ev, in, row->flags);
	c.in = in;
	if ((r = row->fn(&c)) == NULL)
		return filter_failed(ev, "filter", c.name);
	return r->type == V_OBJ ? ev_output(ev, r) : r;
}

static COLD const struct value *
eval_test(struct eval *ev, const struct node *n)
{
	const struct ttest *row = n->u.filter.test;
	const struct value *in, *a[BOUND_MAX], *undef = NULL, *r;
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = n->u.filter.name, .err = ev->err };
	struct targs args;
	int ok;

	if (row == NULL)
		return not_known(ev, n, "test");
	if ((in = eval_expr(ev, n->u.filter.in)) == NULL)
		return NULL;
	if (n->u.filter.bound == NULL || n->u.filter.nbound + n->u.filter.nstar > BOUND_MAX) {
		if (!ev_args(ev, n->u.filter.args, &args))
			return NULL;
		if ((ok = ev_test(ev, row, n->u.filter.name, in, &args, &undef)) < 0)
			return undef;
		return v_bool(ok);
	}
	if ((ok = bound_args(ev, n, &c, a, row->flags, &undef)) == 0)
		return NULL;
	in = input(in, row->flags, &r);
	if (r != NULL)
		return r;
	if (ok < 0)
		return undef;
	taint_input(ev, in, row->flags);
	c.in = in;
	if ((ok = row->fn(&c)) < 0)
		return filter_failed(ev, "test", c.name);
	return v_bool(ok);
}

/* ---- operators ------------------------------------------------------------ */

int
ev_truth(struct eval *ev, const struct value *v)
{
	if (v->type == V_BOOL)
		return v->u.b;
	if (v->type == V_UNDEF) {
		if (v->tag == UNDEF_SOFT)
			return 0;
		ev_force(ev, v);
		return -1;
	}
	return tcall_truth(v);
}

static const struct value *
eval_logic(struct eval *ev, const struct node *n)
{
	const struct value *a = eval_expr(ev, n->u.x.a);
	int t;

	if (a == NULL || (t = ev_truth(ev, a)) < 0)
		return NULL;
	return t == (n->type == N_AND) ? eval_expr(ev, n->u.x.b) : a;
}

static COLD const struct value *
eval_binary(struct eval *ev, const struct node *n)
{
	const struct value *a, *b;

	if ((a = eval_expr(ev, n->u.x.a)) == NULL || (b = eval_expr(ev, n->u.x.b)) == NULL)
		return NULL;
	/* 'text' % undefined looks at it only where the text has a %s. */
	if (ev_force(ev, a) == NULL || ((a->type != V_STR || n->op != T_MOD) && ev_force(ev, b) == NULL))
		return NULL;
	return op_binary(ev, n->op, a, b);
}

static COLD const struct value *
eval_compare(struct eval *ev, const struct node *n)
{
	const struct value *a = eval_expr(ev, n->u.cmp.v.v[0]), *b;
	uint32_t i;
	int t;

	for (i = 1; a != NULL && i < n->u.cmp.v.n; i++, a = b) {
		if ((b = eval_expr(ev, n->u.cmp.v.v[i])) == NULL)
			return NULL;
		if ((t = op_compare(ev, n->u.cmp.ops[i - 1], a, b)) < 0)
			return NULL;
		if (t == 0)
			return &v_false;
	}
	return a == NULL ? NULL : &v_true;
}

/* Strings and integers only: one piece of memory. NULL: there is something else among them. */
static const struct value *
concat_plain(struct eval *ev, const struct value **v, uint32_t count)
{
	char digits[EV_DIGITS], *s, *p;
	size_t len = 0, n;
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (v[i]->type != V_INT && v[i]->type != V_STR)
			return NULL;
		len += v[i]->type == V_INT ? sizeof(digits) : v[i]->len;
	}
	if (len > TMPL_OUTPUT_MAX)
		return NULL;
	p = s = arena_alloc(&ev->scratch, len + 1);
	for (i = 0; i < count; i++) {
		if (v[i]->type == V_INT) {
			n = ev_digits(digits, v[i]->u.i);
			p = (char *)mempcpy(p, digits + sizeof(digits) - n, n);
		} else
			p = (char *)mempcpy(p, v[i]->u.s, v[i]->len);
	}
	*p = '\0';
	return v_str_ref(&ev->scratch, s, (size_t)(p - s));
}

static COLD const struct value *
eval_concat(struct eval *ev, const struct node *n)
{
	const struct value *parts[16], **v = parts, *r = NULL;
	struct buf b = BUF_INIT, one = BUF_INIT;
	uint32_t i, count = n->u.list.n;

	if (count > NITEMS(parts))
		v = ARENA_ARRAY(&ev->scratch, count, const struct value *);
	for (i = 0; i < count; i++)
		if ((v[i] = eval_expr(ev, n->u.list.v[i])) == NULL)
			return NULL;
	if ((r = concat_plain(ev, v, count)) != NULL)
		return r;
	for (i = 0; i < count; i++) {
		if (v[i]->type == V_STR) {
			buf_add(&b, v[i]->u.s, v[i]->len);
			continue;
		}
		if (v[i]->type == V_UNDEF && v[i]->tag == UNDEF_SOFT)
			continue;
		if (ev_force(ev, v[i]) == NULL || (v[i] = ev_final(ev, v[i], FINAL_DEEP | FINAL_TUPLES)) == NULL)
			goto out;
		buf_clear(&one);
		if (!ev_str(ev, &one, v[i]))
			goto out;
		buf_add(&b, one.data, one.len);
	}
	if (ev_overflow(ev, &b))
		goto out;
	r = v_strn(&ev->scratch, buf_str(&b), b.len);
out:
	buf_release(&b);
	buf_release(&one);
	return r;
}

static COLD const struct value *
eval_list(struct eval *ev, const struct node *n)
{
	struct value *l = v_list_room(&ev->scratch, n->u.list.n);
	const struct value *v;
	uint32_t i;

	if (n->type == N_TUPLE)
		l->flags |= V_TUPLE;
	for (i = 0; i < n->u.list.n; i++) {
		if ((v = eval_expr(ev, n->u.list.v[i])) == NULL)
			return NULL;
		v_push(&ev->scratch, l, v);
	}
	return l;
}

static COLD const struct value *
eval_dict(struct eval *ev, const struct node *n)
{
	struct value *m = v_map(&ev->scratch);
	const struct value *k, *v;
	uint32_t i;

	for (i = 0; i < n->u.list.n; i += 2) {
		if ((k = eval_forced(ev, n->u.list.v[i])) == NULL ||
		    (v = eval_expr(ev, n->u.list.v[i + 1])) == NULL)
			return NULL;
		if (!v_hashable(k))
			return ev_error(ev, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(k));
		v_set(&ev->scratch, m, k, v);
	}
	return m;
}

static COLD const struct value *
eval_slice(struct eval *ev, const struct node *n)
{
	const struct value *obj, *part[3] = { NULL, NULL, NULL };
	const struct node *const *nodes = (const struct node *const *)&n->u.x.b;
	int i;

	if (n->u.x.a == NULL)
		return ev_error(ev, ERR_TYPE, "a slice is no index");
	if ((obj = eval_expr(ev, n->u.x.a)) == NULL)
		return NULL;
	for (i = 0; i < 3; i++)
		if (nodes[i] != NULL && (part[i] = eval_expr(ev, nodes[i])) == NULL)
			return NULL;
	if (obj->type == V_UNDEF && obj->tag != UNDEF_SOFT)
		return obj;
	if (ev_force(ev, obj) == NULL)
		return NULL;
	return op_slice(ev, obj, part[0], part[1], part[2]);
}

static const struct value *
eval_cond(struct eval *ev, const struct node *n)
{
	const struct value *t = eval_expr(ev, n->u.x.b);
	int truth;

	if (t == NULL || (truth = ev_truth(ev, t)) < 0)
		return NULL;
	if (truth)
		return eval_expr(ev, n->u.x.a);
	return n->u.x.c == NULL ? &undef_soft : eval_expr(ev, n->u.x.c);
}

static const struct value *
eval_not(struct eval *ev, const struct node *n)
{
	const struct value *v = eval_expr(ev, n->u.x.a);
	int t;

	if (v == NULL || (t = ev_truth(ev, v)) < 0)
		return NULL;
	return v_bool(!t);
}

static const struct value *
eval_item(struct eval *ev, const struct node *n)
{
	const struct value *obj, *key;

	if ((obj = eval_expr(ev, n->u.x.a)) == NULL || (key = eval_expr(ev, n->u.x.b)) == NULL)
		return NULL;
	return ev_item(ev, obj, key);
}

/* A constant of a condition or a lookup's term that is a template: run in the context at hand. */
static COLD const struct value *
eval_text(struct eval *ev, const struct node *n)
{
	struct act *act = ev->act;
	const struct value *r = ev_template(ev, n->u.tmpl, act->ctx);

	ev->act = act;
	return r == NULL ? ev_catch(ev) : r;
}

static uint32_t
node_end(const struct node *n)
{
	switch (n->type) {
	case N_NAME:
		return n->pos + n->u.name.n.len;
	case N_ATTR:
		return n->pos + n->u.attr.n.len;
	case N_FILTER:
	case N_TEST:
		return n->pos + (uint32_t)strlen(n->u.filter.name);
	default:
		return n->pos + 1;
	}
}

static const struct value *
dispatch(struct eval *ev, const struct node *n)
{
	const struct value *v;

	switch ((enum node_type)n->type) {
	case N_CONST:
		if ((n->flags & NF_FOLDED) && !ev->act->tmpl->fold_ok)
			return v_copy(&ev->scratch, n->u.val);
		return n->u.val;
	case N_NAME:
		return ev_node_name(ev, n);
	case N_ATTR:
		return (v = eval_expr(ev, n->u.attr.obj)) == NULL ? NULL : ev_node_attr(ev, n, v);
	case N_ITEM:
		return eval_item(ev, n);
	case N_FILTER:
		return eval_filter(ev, n, NULL);
	case N_TEST:
		return eval_test(ev, n);
	case N_CALL:
		return eval_call(ev, n);
	case N_AND:
	case N_OR:
		return eval_logic(ev, n);
	case N_NOT:
		return eval_not(ev, n);
	case N_COMPARE:
		return eval_compare(ev, n);
	case N_COND:
		return eval_cond(ev, n);
	case N_CONCAT:
		return eval_concat(ev, n);
	case N_BIN:
		return eval_binary(ev, n);
	case N_LIST:
	case N_TUPLE:
		return eval_list(ev, n);
	case N_DICT:
		return eval_dict(ev, n);
	case N_SLICE:
		return eval_slice(ev, n);
	case N_NEG:
		return (v = eval_forced(ev, n->u.x.a)) == NULL ? NULL : op_neg(ev, v);
	case N_POS:
		if ((v = eval_forced(ev, n->u.x.a)) == NULL)
			return NULL;
		if (v->type == V_BOOL)
			return v_int(&ev->scratch, v->u.b);
		if (v->type != V_INT && v->type != V_FLOAT)
			return ev_error(ev, ERR_TYPE, "bad operand type for unary +: '%s'", tmpl_py_type(v));
		return v;
	case N_TEXT:
		return eval_text(ev, n);
	default:
		return ev_error(ev, ERR_INTERNAL, "no expression");
	}
}

const struct value *
eval_expr_slow(struct eval *ev, const struct node *n)
{
	const struct value *v;

	if (!ev_step(ev)) {
		ev_place(ev, n->pos, node_end(n));
		return NULL;
	}
	v = dispatch(ev, n);
	if (v != NULL && v->type != V_UNDEF)
		return v;
	if (v == NULL)
		ev_place(ev, n->pos, node_end(n));
	else if (v->type == V_UNDEF && v->tag == UNDEF_FULL && ev->act != NULL) {
		struct undef *u = (struct undef *)(uintptr_t)v;

		if (u->at.line == 0 && u->tmpl == NULL) {
			u->tmpl = ev->act->tmpl;
			u->pos = n->pos;
			u->end = node_end(n);
		}
	}
	return v;
}
