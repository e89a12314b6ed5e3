/*
 * JMESPath's interpreter and functions.
 *
 * What does not fit (a field of a number, a projection of a map) is null, not
 * an error; functions check the types of their arguments.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/jmespath_private.h"

#define DEPTH_MAX	1000

struct run {
	struct arena	*arena;
	struct err	*err;
	uint32_t	 steps;
	unsigned	 depth;
};

static const struct value *eval(struct run *, const struct jnode *, const struct value *);

static const struct value *
fail(struct run *r, enum err_code code, const char *msg, const char *what)
{
	err_set(r->err, code, "JMESPath: %s%s", msg, what);
	return NULL;
}

/* false, null and what is empty; 0 is true. */
static bool
truth(const struct value *v)
{
	switch (v->type) {
	case V_NULL:
	case V_UNDEF:
		return false;
	case V_BOOL:
		return v->u.b;
	case V_STR:
		return v->len > 0;
	case V_LIST:
	case V_MAP:
		return v_count(v) > 0;
	default:
		return true;
	}
}

static bool
is_number(const struct value *v)
{
	return v->type == V_INT || v->type == V_FLOAT;
}

static double
number(const struct value *v)
{
	return v->type == V_INT ? (double)v->u.i : v->u.f;
}

/* Equal as in Python, but true is not 1. */
static bool
equal(const struct value *a, const struct value *b)
{
	return (a->type == V_BOOL) == (b->type == V_BOOL) && v_equal(a, b);
}

static int
order(const struct value *a, const struct value *b)
{
	size_t n;
	int c;

	if (a->type == V_INT && b->type == V_INT)
		return (a->u.i > b->u.i) - (a->u.i < b->u.i);
	if (is_number(a))
		return (number(a) > number(b)) - (number(a) < number(b));
	n = a->len < b->len ? a->len : b->len;
	c = memcmp(a->u.s, b->u.s, n);
	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static const struct value *
compare(struct run *r, const struct jnode *n, const struct value *data)
{
	const struct value *a = eval(r, n->left, data), *b = a != NULL ? eval(r, n->right, data) : NULL;
	int c;

	if (b == NULL)
		return NULL;
	if (n->kind == J_EQ || n->kind == J_NE)
		return v_bool(equal(a, b) == (n->kind == J_EQ));
	if (!(is_number(a) || v_is_str(a)) || !(is_number(b) || v_is_str(b)))
		return &v_null;
	if (v_is_str(a) != v_is_str(b))
		return fail(r, ERR_TYPE, "a string and a number have no order", "");
	c = order(a, b);
	return v_bool(n->kind == J_LT ? c < 0 : n->kind == J_LE ? c <= 0 :
	    n->kind == J_GT ? c > 0 : c >= 0);
}

/* ---- projections -------------------------------------------------------------------------- */

static const struct value *
project(struct run *r, const struct jnode *n, const struct value *list)
{
	struct value *out = v_list(r->arena);
	const struct value *v, *ok;

	for (uint32_t i = 0; i < v_count(list); i++) {
		v = v_at(list, i);
		if (n->kind == J_FILTER) {
			if ((ok = eval(r, n->cond, v)) == NULL)
				return NULL;
			if (!truth(ok))
				continue;
		}
		if ((v = eval(r, n->right, v)) == NULL)
			return NULL;
		if (v->type != V_NULL)
			v_push(r->arena, out, v);
	}
	return out;
}

static const struct value *
values_of(struct run *r, const struct value *map)
{
	struct value *out = v_list(r->arena);
	const struct ventry *e;

	for (uint32_t it = 0; (e = v_next(map, &it)) != NULL;)
		v_push(r->arena, out, e->val);
	return out;
}

static const struct value *
flatten(struct run *r, const struct value *list)
{
	struct value *out = v_list(r->arena);
	const struct value *v;

	for (uint32_t i = 0; i < v_count(list); i++) {
		v = v_at(list, i);
		if (v->type != V_LIST)
			v_push(r->arena, out, v);
		for (uint32_t k = 0; v->type == V_LIST && k < v_count(v); k++)
			v_push(r->arena, out, v_at(v, k));
	}
	return out;
}

/* Python's slice of a list. */
static const struct value *
slice(struct run *r, const struct jnode *n, const struct value *list)
{
	struct value *out = v_list(r->arena);
	int64_t len = v_count(list), step = n->has[2] ? n->num[2] : 1, from, to;

	if (step == 0)
		return fail(r, ERR_VALUE, "a slice's step is 0", "");
	from = n->has[0] ? n->num[0] : step > 0 ? 0 : len - 1;
	to = n->has[1] ? n->num[1] : step > 0 ? len : -len - 1;
	if (n->has[0])
		from = from < 0 ? from + len : from;
	if (n->has[1] || step < 0)
		to = to < 0 ? to + len : to;
	if (step > 0)
		from = from < 0 ? 0 : from;
	else
		from = from >= len ? len - 1 : from;
	for (; step > 0 ? from < to && from < len : from > to && from >= 0; from += step)
		if (from >= 0)
			v_push(r->arena, out, v_at(list, (uint32_t)from));
	return out;
}

/* ---- functions ------------------------------------------------------------------------------- */

struct call {
	struct run		*r;
	const char		*name;
	const struct value	*a[2];
	const struct jnode	*expr;		/* of an argument that is &expression */
	const struct value	**all;
	uint32_t		 n;
};

static const struct value *
wrong(struct call *c, const char *want)
{
	err_set(c->r->err, ERR_TYPE, "JMESPath: %s() wants %s", c->name, want);
	return NULL;
}

static const struct value *
fn_abs(struct call *c)
{
	if (!is_number(c->a[0]))
		return wrong(c, "a number");
	if (c->a[0]->type == V_INT)
		return c->a[0]->u.i == INT64_MIN ? wrong(c, "a smaller number") :
		    v_int(c->r->arena, c->a[0]->u.i < 0 ? -c->a[0]->u.i : c->a[0]->u.i);
	return v_float(c->r->arena, fabs(c->a[0]->u.f));
}

static const struct value *
whole(struct call *c, double (*round)(double))
{
	int64_t i;

	if (!is_number(c->a[0]))
		return wrong(c, "a number");
	if (c->a[0]->type == V_INT)
		return c->a[0];
	return fu_float_int(round(c->a[0]->u.f), &i) ? v_int(c->r->arena, i) : wrong(c, "a smaller number");
}

static const struct value *
fn_ceil(struct call *c)
{
	return whole(c, ceil);
}

static const struct value *
fn_floor(struct call *c)
{
	return whole(c, floor);
}

/* Every element is a number (want 'n'), a string ('s'), or all are of one of the two (0). */
static bool
elements(const struct value *list, char want)
{
	if (list->type != V_LIST)
		return false;
	if (want == 0 && v_count(list) > 0)
		want = is_number(v_at(list, 0)) ? 'n' : 's';
	for (uint32_t i = 0; i < v_count(list); i++)
		if (want == 'n' ? !is_number(v_at(list, i)) : !v_is_str(v_at(list, i)))
			return false;
	return true;
}

static const struct value *
fn_sum(struct call *c)
{
	double f = 0;
	int64_t n = 0;
	bool ints = true;

	if (!elements(c->a[0], 'n') && v_count(c->a[0]) > 0)
		return wrong(c, "a list of numbers");
	if (c->a[0]->type != V_LIST)
		return wrong(c, "a list of numbers");
	for (uint32_t i = 0; i < v_count(c->a[0]); i++) {
		const struct value *v = v_at(c->a[0], i);

		f += number(v);
		if (v->type != V_INT || __builtin_add_overflow(n, v->u.i, &n))
			ints = false;
	}
	return ints ? v_int(c->r->arena, n) : v_float(c->r->arena, f);
}

static const struct value *
fn_avg(struct call *c)
{
	const struct value *sum = fn_sum(c);

	if (sum == NULL)
		return NULL;
	return v_count(c->a[0]) == 0 ? &v_null : v_float(c->r->arena, number(sum) / v_count(c->a[0]));
}

static const struct value *
fn_contains(struct call *c)
{
	if (c->a[0]->type == V_LIST) {
		for (uint32_t i = 0; i < v_count(c->a[0]); i++)
			if (v_equal(v_at(c->a[0], i), c->a[1]))
				return &v_true;
		return &v_false;
	}
	if (!v_is_str(c->a[0]))
		return wrong(c, "a list or a string");
	return v_bool(v_is_str(c->a[1]) &&
	    memmem(c->a[0]->u.s, c->a[0]->len, c->a[1]->u.s, c->a[1]->len) != NULL);
}

static const struct value *
fn_starts_with(struct call *c)
{
	if (!v_is_str(c->a[0]) || !v_is_str(c->a[1]))
		return wrong(c, "two strings");
	return v_bool(c->a[0]->len >= c->a[1]->len &&
	    memcmp(c->a[0]->u.s, c->a[1]->u.s, c->a[1]->len) == 0);
}

static const struct value *
fn_ends_with(struct call *c)
{
	if (!v_is_str(c->a[0]) || !v_is_str(c->a[1]))
		return wrong(c, "two strings");
	return v_bool(c->a[0]->len >= c->a[1]->len &&
	    memcmp(c->a[0]->u.s + c->a[0]->len - c->a[1]->len, c->a[1]->u.s, c->a[1]->len) == 0);
}

static const struct value *
fn_join(struct call *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (!v_is_str(c->a[0]) || !elements(c->a[1], 's'))
		return wrong(c, "a string and a list of strings");
	for (uint32_t i = 0; i < v_count(c->a[1]); i++) {
		if (i > 0)
			buf_add(&b, c->a[0]->u.s, c->a[0]->len);
		buf_add(&b, v_at(c->a[1], i)->u.s, v_at(c->a[1], i)->len);
	}
	return buf_overflowed(&b) ? wrong(c, "a shorter list") : v_strn(c->r->arena, buf_str(&b), b.len);
}

static const struct value *
fn_keys(struct call *c)
{
	struct value *out = v_list(c->r->arena);
	const struct ventry *e;

	if (c->a[0]->type != V_MAP)
		return wrong(c, "an object");
	for (uint32_t it = 0; (e = v_next(c->a[0], &it)) != NULL;)
		v_push(c->r->arena, out, e->key);
	return out;
}

static const struct value *
fn_values(struct call *c)
{
	return c->a[0]->type == V_MAP ? values_of(c->r, c->a[0]) : wrong(c, "an object");
}

static const struct value *
fn_length(struct call *c)
{
	if (v_is_str(c->a[0]))
		return v_int(c->r->arena, (int64_t)utf8_count(c->a[0]->u.s, c->a[0]->len));
	if (c->a[0]->type != V_LIST && c->a[0]->type != V_MAP)
		return wrong(c, "a string, a list or an object");
	return v_int(c->r->arena, v_count(c->a[0]));
}

static const struct value *
fn_map(struct call *c)
{
	struct value *out = v_list(c->r->arena);
	const struct value *v;

	if (c->expr == NULL || c->a[1]->type != V_LIST)
		return wrong(c, "an &expression and a list");
	for (uint32_t i = 0; i < v_count(c->a[1]); i++) {
		if ((v = eval(c->r, c->expr, v_at(c->a[1], i))) == NULL)
			return NULL;
		v_push(c->r->arena, out, v);
	}
	return out;
}

/* ---- order ----------------------------------------------------------------------------------- */

struct keyed {
	const struct value	*key, *val;
	uint32_t		 i;
};

static int
by_key(const void *x, const void *y)
{
	const struct keyed *a = x, *b = y;
	int c = order(a->key, b->key);

	return c != 0 ? c : a->i < b->i ? -1 : 1;
}

/* Elements with their keys: numbers or strings, all of one kind. NULL after an error. */
static struct keyed *
keyed(struct call *c, bool by)
{
	const struct value *list = c->a[0];
	struct keyed *v;

	if (list->type != V_LIST || (by ? c->expr == NULL : !elements(list, 0)))
		return wrong(c, by ? "a list and an &expression" : "a list of numbers or of strings"), NULL;
	v = arena_array(c->r->arena, v_count(list) + 1, sizeof(*v));
	for (uint32_t i = 0; i < v_count(list); i++) {
		v[i].i = i;
		v[i].val = v[i].key = v_at(list, i);
		if (by && (v[i].key = eval(c->r, c->expr, v[i].val)) == NULL)
			return NULL;
		if (!is_number(v[i].key) && !v_is_str(v[i].key))
			return wrong(c, "keys that are numbers or strings"), NULL;
		if (is_number(v[i].key) != is_number(v[0].key))
			return wrong(c, "keys of one type"), NULL;
	}
	return v;
}

static const struct value *
sorted(struct call *c, bool by)
{
	struct value *out = v_list(c->r->arena);
	struct keyed *v = keyed(c, by);

	if (v == NULL)
		return NULL;
	qsort(v, v_count(c->a[0]), sizeof(*v), by_key);
	for (uint32_t i = 0; i < v_count(c->a[0]); i++)
		v_push(c->r->arena, out, v[i].val);
	return out;
}

static const struct value *
extreme(struct call *c, bool by, int sign)
{
	struct keyed *v = keyed(c, by);
	uint32_t best = 0;

	if (v == NULL)
		return NULL;
	if (v_count(c->a[0]) == 0)
		return &v_null;
	for (uint32_t i = 1; i < v_count(c->a[0]); i++)
		if (order(v[i].key, v[best].key) * sign > 0)
			best = i;
	return v[best].val;
}

static const struct value *
fn_sort(struct call *c)
{
	return sorted(c, false);
}

static const struct value *
fn_sort_by(struct call *c)
{
	return sorted(c, true);
}

static const struct value *
fn_max(struct call *c)
{
	return extreme(c, false, 1);
}

static const struct value *
fn_max_by(struct call *c)
{
	return extreme(c, true, 1);
}

static const struct value *
fn_min(struct call *c)
{
	return extreme(c, false, -1);
}

static const struct value *
fn_min_by(struct call *c)
{
	return extreme(c, true, -1);
}

/* ---- the rest --------------------------------------------------------------------------------- */

static const struct value *
fn_merge(struct call *c)
{
	struct value *out = v_map(c->r->arena);

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->all[i]->type != V_MAP)
			return wrong(c, "objects");
		v_merge(c->r->arena, out, c->all[i]);
	}
	return out;
}

static const struct value *
fn_not_null(struct call *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->all[i]->type != V_NULL)
			return c->all[i];
	return &v_null;
}

static const struct value *
fn_reverse(struct call *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct value *out;
	const char *s = c->a[0]->u.s, *p, *end;

	if (v_is_str(c->a[0])) {
		for (p = s + c->a[0]->len; p > s;) {
			for (end = p--; p > s && ((unsigned char)*p & 0xc0) == 0x80; p--)
				continue;
			buf_add(&b, p, (size_t)(end - p));
		}
		return v_strn(c->r->arena, buf_str(&b), b.len);
	}
	if (c->a[0]->type != V_LIST)
		return wrong(c, "a string or a list");
	out = v_list(c->r->arena);
	for (uint32_t i = v_count(c->a[0]); i > 0; i--)
		v_push(c->r->arena, out, v_at(c->a[0], i - 1));
	return out;
}

static const struct value *
fn_to_array(struct call *c)
{
	struct value *out;

	if (c->a[0]->type == V_LIST)
		return c->a[0];
	out = v_list(c->r->arena);
	v_push(c->r->arena, out, c->a[0]);
	return out;
}

static const struct value *
fn_to_string(struct call *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (v_is_str(c->a[0]))
		return c->a[0];
	json_write(&b, c->a[0], JSON_COMPACT | JSON_ASCII);
	return v_strn(c->r->arena, buf_str(&b), b.len);
}

static const struct value *
fn_to_number(struct call *c)
{
	int64_t i;
	double f;

	if (is_number(c->a[0]))
		return c->a[0];
	if (!v_is_str(c->a[0]))
		return &v_null;
	if (fu_parse_int(c->a[0]->u.s, c->a[0]->len, 10, &i) == 1)
		return v_int(c->r->arena, i);
	return fu_parse_float(c->a[0]->u.s, c->a[0]->len, &f) == 1 ? v_float(c->r->arena, f) : &v_null;
}

static const struct value *
fn_type(struct call *c)
{
	static const char *const names[] = { [V_NULL] = "null", [V_BOOL] = "boolean",
	    [V_INT] = "number", [V_FLOAT] = "number", [V_STR] = "string", [V_LIST] = "array",
	    [V_MAP] = "object" };
	const char *name = c->a[0]->type < NITEMS(names) ? names[c->a[0]->type] : NULL;

	return v_str(c->r->arena, name != NULL ? name : "null");
}

static const struct {
	const char	*name;
	int		 args;		/* -1: one or more */
	const struct value *(*fn)(struct call *);
} functions[] = {
	{ "abs", 1, fn_abs }, { "avg", 1, fn_avg }, { "ceil", 1, fn_ceil },
	{ "contains", 2, fn_contains }, { "ends_with", 2, fn_ends_with }, { "floor", 1, fn_floor },
	{ "join", 2, fn_join }, { "keys", 1, fn_keys }, { "length", 1, fn_length },
	{ "map", 2, fn_map }, { "max", 1, fn_max }, { "max_by", 2, fn_max_by },
	{ "merge", -1, fn_merge }, { "min", 1, fn_min }, { "min_by", 2, fn_min_by },
	{ "not_null", -1, fn_not_null }, { "reverse", 1, fn_reverse }, { "sort", 1, fn_sort },
	{ "sort_by", 2, fn_sort_by }, { "starts_with", 2, fn_starts_with }, { "sum", 1, fn_sum },
	{ "to_array", 1, fn_to_array }, { "to_number", 1, fn_to_number },
	{ "to_string", 1, fn_to_string }, { "type", 1, fn_type }, { "values", 1, fn_values },
};

static const struct value *
call(struct run *r, const struct jnode *n, const struct value *data)
{
	struct call c = { .r = r, .name = n->val->u.s, .n = n->nargs, .a = { &v_null, &v_null } };
	size_t f;

	for (f = 0; f < NITEMS(functions) && !v_eqs(n->val, functions[f].name); f++)
		continue;
	if (f == NITEMS(functions))
		return fail(r, ERR_SYNTAX, "unknown function: ", c.name);
	if (functions[f].args < 0 ? c.n == 0 : (int)c.n != functions[f].args) {
		err_set(r->err, ERR_TYPE, "JMESPath: %s() takes %d argument%s, not %u", c.name,
		    functions[f].args < 0 ? 1 : functions[f].args, functions[f].args == 1 ? "" : "s", c.n);
		return NULL;
	}
	c.all = arena_array(r->arena, c.n + 1, sizeof(*c.all));
	for (uint32_t i = 0; i < c.n; i++) {
		c.all[i] = &v_null;
		if (n->args[i]->kind == J_EXPREF)
			c.expr = n->args[i]->left;
		else if ((c.all[i] = eval(r, n->args[i], data)) == NULL)
			return NULL;
		if (i < 2)
			c.a[i] = c.all[i];
	}
	return functions[f].fn(&c);
}

/* ---- the walk ------------------------------------------------------------------------------------ */

static const struct value *
multi(struct run *r, const struct jnode *n, const struct value *data)
{
	struct value *out = n->kind == J_MULTI_LIST ? v_list(r->arena) : v_map(r->arena);
	const struct value *v;

	if (data->type == V_NULL)
		return &v_null;
	for (uint32_t i = 0; i < n->nargs; i++) {
		if ((v = eval(r, n->args[i], data)) == NULL)
			return NULL;
		if (n->kind == J_MULTI_LIST)
			v_push(r->arena, out, v);
		else
			v_set(r->arena, out, n->keys[i], v);
	}
	return out;
}

static const struct value *
index_of(const struct jnode *n, const struct value *list)
{
	int64_t i = n->num[0], len = v_count(list);
	const struct value *v;

	if (list->type != V_LIST)
		return &v_null;
	if (i < 0)
		i += len;
	v = i >= 0 && i < len ? v_at(list, (uint32_t)i) : NULL;
	return v != NULL ? v : &v_null;
}

/* Nodes that work on what their left side gives. */
static const struct value *
eval_left(struct run *r, const struct jnode *n, const struct value *data)
{
	const struct value *v = eval(r, n->left, data);

	if (v == NULL)
		return NULL;
	switch (n->kind) {
	case J_INDEX:
		return index_of(n, v);
	case J_SLICE:
		return v->type == V_LIST ? slice(r, n, v) : &v_null;
	case J_SUB:
		return eval(r, n->right, v);
	case J_PROJECTION:
	case J_FILTER:
		return v->type == V_LIST ? project(r, n, v) : &v_null;
	case J_VALUES:
		return v->type == V_MAP ? project(r, n, values_of(r, v)) : &v_null;
	case J_FLATTEN:
		return v->type == V_LIST ? flatten(r, v) : &v_null;
	case J_OR:
		return truth(v) ? v : eval(r, n->right, data);
	case J_AND:
		return truth(v) ? eval(r, n->right, data) : v;
	default:
		return v_bool(!truth(v));	/* J_NOT */
	}
}

static const struct value *
eval(struct run *r, const struct jnode *n, const struct value *data)
{
	const struct value *v;

	if (++r->steps > JMESPATH_STEPS_MAX || r->depth > DEPTH_MAX)
		return fail(r, ERR_LIMIT, "the expression takes too many steps", "");
	switch (n->kind) {
	case J_FIELD:
		v = data->type == V_MAP ? v_get(data, n->val) : NULL;
		return v != NULL ? v : &v_null;
	case J_LITERAL:
		return n->val;
	case J_CURRENT:
		return data;
	case J_EXPREF:
		return fail(r, ERR_TYPE, "an &expression can only be a function's argument", "");
	default:
		break;
	}
	r->depth++;
	switch (n->kind) {
	case J_MULTI_LIST:
	case J_MULTI_HASH:
		v = multi(r, n, data);
		break;
	case J_EQ: case J_NE: case J_LT: case J_LE: case J_GT: case J_GE:
		v = compare(r, n, data);
		break;
	case J_CALL:
		v = call(r, n, data);
		break;
	default:
		v = eval_left(r, n, data);
		break;
	}
	r->depth--;
	return v;
}

const struct value *
jmespath_eval(struct arena *arena, const struct jnode *n, const struct value *data,
    struct err *err)
{
	struct run r = { .arena = arena, .err = err };

	return eval(&r, n, data);
}
