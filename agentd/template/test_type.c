/*
 * Tests of Jinja: types, comparison, identity; and truthy, falsy, contains
 * and the set tests of Ansible.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/unidata.h"

static int
t_defined(struct tcall *c)
{
	return c->in->type != V_UNDEF;
}

static int
t_undefined(struct tcall *c)
{
	return c->in->type == V_UNDEF;
}

static int
t_none(struct tcall *c)
{
	return c->in->type == V_NULL;
}

static int
t_boolean(struct tcall *c)
{
	return c->in->type == V_BOOL;
}

static int
t_true(struct tcall *c)
{
	return c->in->type == V_BOOL && c->in->u.b;
}

static int
t_false(struct tcall *c)
{
	return c->in->type == V_BOOL && !c->in->u.b;
}

static int
t_integer(struct tcall *c)
{
	return c->in->type == V_INT;
}

static int
t_float(struct tcall *c)
{
	return c->in->type == V_FLOAT;
}

static int
t_number(struct tcall *c)
{
	return c->in->type == V_INT || c->in->type == V_FLOAT || c->in->type == V_BOOL;
}

static int
t_string(struct tcall *c)
{
	return c->in->type == V_STR;
}

static int
t_mapping(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);

	return c->in->type == V_MAP || (ops != NULL && ops->item != NULL && strcmp(ops->type, "HostVars") == 0);
}

static int
t_sequence(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);

	return c->in->type == V_STR || c->in->type == V_LIST || c->in->type == V_MAP ||
	    (ops != NULL && ops->len != NULL && ops->item != NULL);
}

static int
t_iterable(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);

	return c->in->type == V_STR || c->in->type == V_LIST || c->in->type == V_MAP ||
	    (ops != NULL && ops->list != NULL);
}

static int
t_callable(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);

	return ops != NULL && ops->call != NULL;
}

static int
t_escaped(struct tcall *c)
{
	return v_is_markup(c->in);
}

/* str(v).islower() and isupper(): cased characters, all of one case. */
static int
one_case(struct tcall *c, enum uni_prop want, enum uni_prop other)
{
	const char *s, *end;
	size_t len;
	uint32_t ch;
	unsigned n;
	int seen = 0;

	if (!fu_text(c, c->in, &s, &len))
		return -1;
	for (end = s + len; s < end; s += n) {
		n = utf8_decode(s, (size_t)(end - s), &ch);
		if (n == 0) {
			n = 1;
			continue;
		}
		if (uni_is(ch, other) || uni_is(ch, UNI_TITLE))
			return 0;
		if (uni_is(ch, want))
			seen = 1;
	}
	return seen;
}

static int
t_lower(struct tcall *c)
{
	return one_case(c, UNI_LOWER, UNI_UPPER);
}

static int
t_upper(struct tcall *c)
{
	return one_case(c, UNI_UPPER, UNI_LOWER);
}

/* ---- numbers ---------------------------------------------------------------------------- */

/* a % b of Python; false after an error. */
static bool
modulo(struct tcall *c, const struct value *a, const struct value *b, double *ret)
{
	int64_t i, j;
	double x, y;

	if (fu_is_int(a, &i) && fu_is_int(b, &j)) {
		if (j == 0) {
			terr(c, ERR_VALUE, "integer modulo by zero");
			return false;
		}
		i = j == -1 ? 0 : i % j;
		*ret = (double)(i != 0 && (i < 0) != (j < 0) ? i + j : i);
		return true;
	}
	/* Formatting takes any list or dict, and the text it gives is no number. */
	if (a->type == V_STR && memchr(a->u.s, '%', a->len) == NULL &&
	    (b->type == V_MAP || (b->type == V_LIST && (b->flags & V_TUPLE) == 0))) {
		*ret = -0.5;
		return true;
	}
	if (!fu_is_num(a, &x) || !fu_is_num(b, &y)) {
		terr(c, ERR_TYPE, a->type == V_STR ? "not all arguments converted during string formatting" :
		    "unsupported operand type(s) for %%: '%s' and '%s'", tmpl_py_type(a), tmpl_py_type(b));
		return false;
	}
	if (y == 0) {
		terr(c, ERR_VALUE, "float modulo by zero");
		return false;
	}
	*ret = fmod(x, y);
	if (*ret != 0 && (*ret < 0) != (y < 0))
		*ret += y;
	return true;
}

static int
t_odd(struct tcall *c)
{
	double r;

	return modulo(c, c->in, v_int(c->arena, 2), &r) ? r == 1 : -1;
}

static int
t_even(struct tcall *c)
{
	double r;

	return modulo(c, c->in, v_int(c->arena, 2), &r) ? r == 0 : -1;
}

static int
t_divisibleby(struct tcall *c)
{
	double r;

	if (c->a[0] == NULL)
		return terr_i(c, ERR_TYPE, "divisibleby: missing argument 'num'");
	return modulo(c, c->in, c->a[0], &r) ? r == 0 : -1;
}

static int
t_nan(struct tcall *c)
{
	return c->in->type == V_FLOAT && isnan(c->in->u.f);
}

/* ---- comparison ------------------------------------------------------------------------- */

static bool
other_operand(struct tcall *c, const struct value **a, const struct value **b)
{
	if (c->a[0] == NULL) {
		terr(c, ERR_TYPE, "the test '%s' needs an argument", c->name);
		return false;
	}
	return (*a = tcall_final(c, c->in)) != NULL && (*b = tcall_final(c, c->a[0])) != NULL;
}

static int
t_eq(struct tcall *c)
{
	const struct value *a, *b;

	return other_operand(c, &a, &b) ? v_equal(a, b) : -1;
}

static int
t_ne(struct tcall *c)
{
	const struct value *a, *b;

	return other_operand(c, &a, &b) ? !v_equal(a, b) : -1;
}

static bool
order(struct tcall *c, int *cmp)
{
	const struct value *a, *b;

	return other_operand(c, &a, &b) && tcall_compare(c, a, b, cmp) == 0;
}

static int
t_lt(struct tcall *c)
{
	int cmp;

	return order(c, &cmp) ? cmp < 0 : -1;
}

static int
t_le(struct tcall *c)
{
	int cmp;

	return order(c, &cmp) ? cmp <= 0 : -1;
}

static int
t_gt(struct tcall *c)
{
	int cmp;

	return order(c, &cmp) ? cmp > 0 : -1;
}

static int
t_ge(struct tcall *c)
{
	int cmp;

	return order(c, &cmp) ? cmp >= 0 : -1;
}

/* Python's `is`: what CPython keeps one object of, or the very same container. */
static int
t_sameas(struct tcall *c)
{
	const struct value *a = c->in, *b = c->a[0];

	if (b == NULL)
		return terr_i(c, ERR_TYPE, "sameas: missing argument 'other'");
	if (a == b)
		return 1;
	if (a->type != b->type)
		return 0;
	switch (a->type) {
	case V_NULL:
		return 1;
	case V_BOOL:
		return a->u.b == b->u.b;
	case V_INT:
		return a->u.i == b->u.i && a->u.i >= -5 && a->u.i <= 256;
	case V_STR:
		return a->u.s == b->u.s || v_equal(a, b);
	case V_LIST:
		return a->u.list == b->u.list;
	case V_MAP:
		return a->u.map == b->u.map;
	case V_OBJ:
		return a->u.obj == b->u.obj;
	default:
		return 0;
	}
}

/* ---- containers ------------------------------------------------------------------------- */

/* Python's `what in container`. */
static int
contains(struct tcall *c, const struct value *container, const struct value *what)
{
	const struct vlist *l;

	if ((what = tcall_final(c, what)) == NULL || (container = tcall_final(c, container)) == NULL)
		return -1;
	if (container->type == V_STR) {
		if (what->type != V_STR)
			return terr_i(c, ERR_TYPE, "'in <string>' requires string as left operand, not %s",
			    tmpl_py_type(what));
		return memmem(container->u.s, container->len, what->u.s, what->len) != NULL;
	}
	if (container->type == V_MAP) {
		if (!v_hashable(what))
			return terr_i(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(what));
		return v_get(container, what) != NULL;
	}
	if (container->type != V_LIST && container->type != V_OBJ)
		return terr_i(c, ERR_TYPE, "argument of type '%s' is not iterable", tmpl_py_type(container));
	l = fu_list(c, container);
	return l == NULL ? -1 : fu_in(l, what);
}

static int
t_in(struct tcall *c)
{
	if (c->a[0] == NULL)
		return terr_i(c, ERR_TYPE, "in: missing argument 'seq'");
	return contains(c, c->a[0], c->in);
}

static int
t_contains(struct tcall *c)
{
	if (c->a[0] == NULL)
		return terr_i(c, ERR_TYPE, "contains: missing argument 'value'");
	return contains(c, c->in, c->a[0]);
}

/* set(a) <= set(b), with what Python says of elements that cannot be hashed. */
static int
subset(struct tcall *c, const struct value *a, const struct value *b)
{
	const struct value *x, *y;
	const struct vlist *l, *m;

	if ((x = tcall_list(c, a)) == NULL || (y = tcall_list(c, b)) == NULL ||
	    (x = tcall_final(c, x)) == NULL || (y = tcall_final(c, y)) == NULL)
		return -1;
	l = x->u.list;
	m = y->u.list;
	for (uint32_t i = 0; i < l->n + m->n; i++) {
		const struct value *v = i < l->n ? l->v[i] : m->v[i - l->n];

		if (!v_hashable(v))
			return terr_i(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(v));
	}
	for (uint32_t i = 0; i < l->n; i++)
		if (!fu_in(m, l->v[i]))
			return 0;
	return 1;
}

static int
t_subset(struct tcall *c)
{
	return c->a[0] != NULL ? subset(c, c->in, c->a[0]) :
	    terr_i(c, ERR_TYPE, "%s: missing argument 'b'", c->name);
}

static int
t_superset(struct tcall *c)
{
	return c->a[0] != NULL ? subset(c, c->a[0], c->in) :
	    terr_i(c, ERR_TYPE, "%s: missing argument 'b'", c->name);
}

/* any() and all() of the elements. */
static int
any_all(struct tcall *c, bool all)
{
	const struct vlist *l = fu_list_lazy(c, c->in);

	if (l == NULL)
		return -1;
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i]->type == V_UNDEF)
			return fu_undef(c, l->v[i]), -1;
		if (tcall_truth(l->v[i]) != all)
			return !all;
	}
	return all;
}

static int
t_any(struct tcall *c)
{
	return any_all(c, false);
}

static int
t_all(struct tcall *c)
{
	return any_all(c, true);
}

static int
truthy(struct tcall *c)
{
	bool convert;
	int b;

	if (!targ_bool(c, 0, false, &convert))
		return -1;
	if (convert && (b = fu_boolean(c->in)) >= 0)
		return b;
	return tcall_truth(c->in);
}

static int
t_truthy(struct tcall *c)
{
	return truthy(c);
}

static int
t_falsy(struct tcall *c)
{
	int b = truthy(c);

	return b < 0 ? b : !b;
}

/* ---- names of filters and tests ------------------------------------------------------------ */

/* Ansible takes a name that cannot be looked up for one that failed to load. */
static int
no_name(struct tcall *c)
{
	if (!v_hashable(c->in))
		return terr_i(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(c->in));
	return 1;
}

static int
t_filter(struct tcall *c)
{
	const struct tfilter *f;

	if (c->in->type != V_STR)
		return no_name(c);
	f = tmpl_filter_find(c->in->u.s, c->in->len);
	return f != NULL && (f->flags & TF_UNSUPPORTED) == 0;
}

static int
t_test(struct tcall *c)
{
	const struct ttest *t;

	if (c->in->type != V_STR)
		return no_name(c);
	t = tmpl_test_find(c->in->u.s, c->in->len);
	return t != NULL && (t->flags & TF_UNSUPPORTED) == 0;
}

static const struct ttest tests[] = {
	{ "!=", "other", 0, t_ne },
	{ "<", "other", 0, t_lt },
	{ "<=", "other", 0, t_le },
	{ "==", "other", 0, t_eq },
	{ ">", "other", 0, t_gt },
	{ ">=", "other", 0, t_ge },
	{ "all", "", 0, t_all },
	{ "any", "", 0, t_any },
	{ "boolean", "", TF_LAZY, t_boolean },
	{ "callable", "", TF_LAZY, t_callable },
	{ "contains", "value", 0, t_contains },
	{ "defined", "", TF_UNDEF_OK | TF_LAZY, t_defined },
	{ "divisibleby", "num", 0, t_divisibleby },
	{ "eq", "other", 0, t_eq },
	{ "equalto", "other", 0, t_eq },
	{ "escaped", "", TF_LAZY, t_escaped },
	{ "even", "", 0, t_even },
	{ "false", "", TF_LAZY, t_false },
	{ "falsy", "convert_bool", TF_LAZY, t_falsy },
	{ "filter", "", 0, t_filter },
	{ "float", "", TF_LAZY, t_float },
	{ "ge", "other", 0, t_ge },
	{ "greaterthan", "other", 0, t_gt },
	{ "gt", "other", 0, t_gt },
	{ "in", "seq", 0, t_in },
	{ "integer", "", TF_LAZY, t_integer },
	{ "isnan", "", 0, t_nan },
	{ "issubset", "b", 0, t_subset },
	{ "issuperset", "b", 0, t_superset },
	{ "iterable", "", TF_LAZY, t_iterable },
	{ "le", "other", 0, t_le },
	{ "lessthan", "other", 0, t_lt },
	{ "lower", "", 0, t_lower },
	{ "lt", "other", 0, t_lt },
	{ "mapping", "", TF_LAZY, t_mapping },
	{ "nan", "", 0, t_nan },
	{ "ne", "other", 0, t_ne },
	{ "none", "", TF_LAZY, t_none },
	{ "number", "", TF_LAZY, t_number },
	{ "odd", "", 0, t_odd },
	{ "sameas", "other", TF_LAZY, t_sameas },
	{ "sequence", "", TF_LAZY, t_sequence },
	{ "string", "", TF_LAZY, t_string },
	{ "subset", "b", 0, t_subset },
	{ "superset", "b", 0, t_superset },
	{ "test", "", 0, t_test },
	{ "true", "", TF_LAZY, t_true },
	{ "truthy", "convert_bool", TF_LAZY, t_truthy },
	{ "undefined", "", TF_UNDEF_OK | TF_LAZY, t_undefined },
	{ "upper", "", 0, t_upper },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_test_type = { NULL, tests };
