/*
 * Python's operators on values: arithmetic, comparison, `in`, slices.
 *
 * Integers have 64 bits: what would not fit is an error, never a wrap.
 * Messages are Python's.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "template/eval.h"

#define REPEAT_MAX	((int64_t)16 * 1024 * 1024)

static const char *
sign_of(uint8_t tok)
{
	switch (tok) {
	case T_ADD:
		return "+";
	case T_SUB:
		return "-";
	case T_MUL:
		return "*";
	case T_DIV:
		return "/";
	case T_FLOORDIV:
		return "//";
	case T_MOD:
		return "%";
	default:
		return "** or pow()";
	}
}

static const struct value *
unsupported(struct eval *ev, uint8_t tok, const struct value *a, const struct value *b)
{
	if (tok == T_ADD && (a->type == V_STR || a->type == V_LIST))
		return ev_error(ev, ERR_TYPE, "can only concatenate %s (not \"%s\") to %s",
		    tmpl_py_type(a), tmpl_py_type(b), tmpl_py_type(a));
	return ev_error(ev, ERR_TYPE, "unsupported operand type(s) for %s: '%s' and '%s'",
	    sign_of(tok), tmpl_py_type(a), tmpl_py_type(b));
}

static const struct value *
overflow(struct eval *ev)
{
	return ev_error(ev, ERR_LIMIT, "integer overflow: numbers beyond 64 bits are not supported");
}

static bool
is_int(const struct value *v)
{
	return v->type == V_INT || v->type == V_BOOL;
}

static bool
is_num(const struct value *v)
{
	return is_int(v) || v->type == V_FLOAT;
}

static int64_t
as_int(const struct value *v)
{
	return v->type == V_BOOL ? v->u.b : v->u.i;
}

static double
as_float(const struct value *v)
{
	return v->type == V_FLOAT ? v->u.f : (double)as_int(v);
}

/* ---- arithmetic ------------------------------------------------------------ */

static const struct value *
int_power(struct eval *ev, int64_t base, int64_t e)
{
	int64_t r = 1;

	if (e < 0) {
		if (base == 0)
			return ev_error(ev, ERR_VALUE, "0.0 cannot be raised to a negative power");
		return v_float(&ev->scratch, pow((double)base, (double)e));
	}
	if (base == 0 || base == 1)
		return v_int(&ev->scratch, e == 0 ? 1 : base);
	if (base == -1)
		return v_int(&ev->scratch, e % 2 == 0 ? 1 : -1);
	for (; e > 0; e--)
		if (__builtin_mul_overflow(r, base, &r))
			return overflow(ev);
	return v_int(&ev->scratch, r);
}

static int64_t
floor_mod(int64_t a, int64_t b)
{
	int64_t m;

	if (b == -1)
		return 0;
	m = a % b;
	return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static const struct value *
int_arith(struct eval *ev, uint8_t tok, int64_t a, int64_t b)
{
	int64_t r;

	switch (tok) {
	case T_ADD:
		return __builtin_add_overflow(a, b, &r) ? overflow(ev) : v_int(&ev->scratch, r);
	case T_SUB:
		return __builtin_sub_overflow(a, b, &r) ? overflow(ev) : v_int(&ev->scratch, r);
	case T_MUL:
		return __builtin_mul_overflow(a, b, &r) ? overflow(ev) : v_int(&ev->scratch, r);
	case T_DIV:
		if (b == 0)
			return ev_error(ev, ERR_VALUE, "division by zero");
		return v_float(&ev->scratch, (double)a / (double)b);
	case T_FLOORDIV:
		if (b == 0)
			return ev_error(ev, ERR_VALUE, "integer division or modulo by zero");
		if (b == -1)
			return a == INT64_MIN ? overflow(ev) : v_int(&ev->scratch, -a);
		r = a / b;
		return v_int(&ev->scratch, a % b != 0 && (a < 0) != (b < 0) ? r - 1 : r);
	case T_MOD:
		if (b == 0)
			return ev_error(ev, ERR_VALUE, "integer modulo by zero");
		return v_int(&ev->scratch, floor_mod(a, b));
	default:
		return int_power(ev, a, b);
	}
}

static bool
is_zero(double f)
{
	return fpclassify(f) == FP_ZERO;
}

static const struct value *
float_arith(struct eval *ev, uint8_t tok, double a, double b)
{
	double m;

	switch (tok) {
	case T_ADD:
		return v_float(&ev->scratch, a + b);
	case T_SUB:
		return v_float(&ev->scratch, a - b);
	case T_MUL:
		return v_float(&ev->scratch, a * b);
	case T_DIV:
		if (is_zero(b))
			return ev_error(ev, ERR_VALUE, "float division by zero");
		return v_float(&ev->scratch, a / b);
	case T_FLOORDIV:
	case T_MOD:
		if (is_zero(b))
			return ev_error(ev, ERR_VALUE, tok == T_MOD ? "float modulo" : "float floor division by zero");
		m = fmod(a, b);
		if (!is_zero(m) && (m < 0) != (b < 0))
			m += b;
		else if (is_zero(m))
			m = copysign(0.0, b);
		return v_float(&ev->scratch, tok == T_MOD ? m : floor((a - m) / b + 0.5));
	default:
		if (is_zero(a) && b < 0)
			return ev_error(ev, ERR_VALUE, "0.0 cannot be raised to a negative power");
		if (a < 0 && floor(b) < b)
			return ev_error(ev, ERR_VALUE, "complex numbers are not supported");
		m = pow(a, b);
		if (isinf(m) && !isinf(a) && !isinf(b))
			return ev_error(ev, ERR_VALUE, "Numerical result out of range");
		return v_float(&ev->scratch, m);
	}
}

/* 'ab' * 3, [1] * 3. */
static const struct value *
repeat(struct eval *ev, const struct value *v, int64_t n)
{
	struct value *l;
	char *s;
	int64_t i;
	uint32_t j;

	if (n < 0)
		n = 0;
	if (v->type == V_STR) {
		if (v->len > 0 && n > REPEAT_MAX * 4 / v->len)
			return ev_error(ev, ERR_LIMIT, "repeating makes a string of more than %lld bytes",
			    (long long)REPEAT_MAX * 4);
		s = arena_alloc(&ev->scratch, (size_t)n * v->len + 1);
		for (i = 0; i < n && v->len > 0; i++)
			memcpy(s + (size_t)i * v->len, v->u.s, v->len);
		s[(size_t)n * v->len] = '\0';
		l = v_str_ref(&ev->scratch, s, (size_t)n * v->len);
		l->tag = v->tag;
		return l;
	}
	if (v->u.list->n > 0 && n > REPEAT_MAX / v->u.list->n)
		return ev_error(ev, ERR_LIMIT, "repeating makes a list of more than %lld elements",
		    (long long)REPEAT_MAX);
	l = v_list(&ev->scratch);
	l->flags |= v->flags & (V_TUPLE | V_HAS_TMPL);
	for (i = 0; i < n; i++)
		for (j = 0; j < v->u.list->n; j++)
			v_push(&ev->scratch, l, v->u.list->v[j]);
	return l;
}

static const struct value *
add(struct eval *ev, const struct value *a, const struct value *b)
{
	struct buf buf = BUF_INIT;
	struct value *r;
	char *s;
	uint32_t i;

	if (a->type == V_STR && b->type == V_STR) {
		if ((size_t)a->len + b->len > TMPL_OUTPUT_MAX)
			return ev_error(ev, ERR_LIMIT, "a string of more than %zu bytes", TMPL_OUTPUT_MAX);
		if (v_is_markup(a) != v_is_markup(b)) {
			if (v_is_markup(a))
				buf_add(&buf, a->u.s, a->len);
			else
				tmpl_escape(&buf, a->u.s, a->len);
			if (v_is_markup(b))
				buf_add(&buf, b->u.s, b->len);
			else
				tmpl_escape(&buf, b->u.s, b->len);
			r = v_markup(&ev->scratch, buf_str(&buf), buf.len);
			buf_release(&buf);
			return r;
		}
		s = arena_alloc(&ev->scratch, (size_t)a->len + b->len + 1);
		memcpy(s, a->u.s, a->len);
		memcpy(s + a->len, b->u.s, b->len);
		s[a->len + b->len] = '\0';
		r = v_str_ref(&ev->scratch, s, (size_t)a->len + b->len);
		r->tag = a->tag;
		return r;
	}
	if (a->type == V_LIST && b->type == V_LIST && (a->flags & V_TUPLE) == (b->flags & V_TUPLE)) {
		r = v_list(&ev->scratch);
		r->flags |= (a->flags | b->flags) & (V_TUPLE | V_HAS_TMPL);
		for (i = 0; i < a->u.list->n; i++)
			v_push(&ev->scratch, r, a->u.list->v[i]);
		for (i = 0; i < b->u.list->n; i++)
			v_push(&ev->scratch, r, b->u.list->v[i]);
		return r;
	}
	return unsupported(ev, T_ADD, a, b);
}

static char
arith_char(uint8_t tok)
{
	return tok == T_ADD ? '+' : tok == T_SUB ? '-' : tok == T_MUL ? '*' :
	    tok == T_DIV ? '/' : tok == T_MOD ? '%' : '\0';
}

const struct value *
op_binary(struct eval *ev, uint8_t tok, const struct value *a, const struct value *b)
{
	const struct vobj_ops *ops;
	const struct value *r;

	if (is_int(a) && is_int(b))
		return int_arith(ev, tok, as_int(a), as_int(b));
	if (is_num(a) && is_num(b))
		return float_arith(ev, tok, as_float(a), as_float(b));
	ops = a->type == V_OBJ ? v_obj_ops(a) : v_obj_ops(b);
	if (ops != NULL && ops->arith != NULL && arith_char(tok) != '\0' &&
	    ((r = ops->arith(ev, arith_char(tok), a, b)) != NULL || ev->err->code != ERR_NONE))
		return r;
	switch (tok) {
	case T_ADD:
		return add(ev, a, b);
	case T_MUL:
		if ((a->type == V_STR || a->type == V_LIST) && is_int(b))
			return repeat(ev, a, as_int(b));
		if ((b->type == V_STR || b->type == V_LIST) && is_int(a))
			return repeat(ev, b, as_int(a));
		if ((a->type == V_STR || a->type == V_LIST) && b->type != V_NULL)
			return ev_error(ev, ERR_TYPE, "can't multiply sequence by non-int of type '%s'", tmpl_py_type(b));
		return unsupported(ev, tok, a, b);
	case T_MOD:
		if (a->type == V_STR)
			return str_percent(ev, a, b);
		return unsupported(ev, tok, a, b);
	default:
		return unsupported(ev, tok, a, b);
	}
}

const struct value *
op_neg(struct eval *ev, const struct value *v)
{
	if (is_int(v))
		return as_int(v) == INT64_MIN ? overflow(ev) : v_int(&ev->scratch, -as_int(v));
	if (v->type == V_FLOAT)
		return v_float(&ev->scratch, -v->u.f);
	if (v->type == V_OBJ && v_obj_ops(v)->arith != NULL) {
		const struct value *r = v_obj_ops(v)->arith(ev, '*', v, v_int(&ev->scratch, -1));

		if (r != NULL || ev->err->code != ERR_NONE)
			return r;
	}
	return ev_error(ev, ERR_TYPE, "bad operand type for unary -: '%s'", tmpl_py_type(v));
}

/* ---- comparison ------------------------------------------------------------ */

static int
sign(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* Exact, where a double cannot hold the integer. */
static int
order_mixed(int64_t i, double f)
{
	if (isnan(f))
		return 0;
	if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
		return f > 0 ? -1 : 1;
	if (i != (int64_t)f)
		return sign(i, (int64_t)f);
	return ((double)(int64_t)f > f) - ((double)(int64_t)f < f);
}

static int
order_bytes(const struct value *a, const struct value *b)
{
	int c = memcmp(a->u.s, b->u.s, a->len < b->len ? a->len : b->len);

	return c != 0 ? c : sign(a->len, b->len);
}

int
op_order(struct eval *ev, const struct value *a, const struct value *b, int *ret, const char *sym)
{
	const struct vobj_ops *ops = a->type == V_OBJ ? v_obj_ops(a) : v_obj_ops(b);
	const struct value *x, *y;
	uint32_t i;

	if (ev_force(ev, a) == NULL || ev_force(ev, b) == NULL)
		return -1;
	if (is_num(a) && is_num(b)) {
		if (is_int(a) && is_int(b))
			*ret = sign(as_int(a), as_int(b));
		else if (a->type == V_FLOAT && b->type == V_FLOAT)
			*ret = (a->u.f > b->u.f) - (a->u.f < b->u.f);
		else
			*ret = is_int(a) ? order_mixed(as_int(a), b->u.f) : -order_mixed(as_int(b), a->u.f);
		return 0;
	}
	if (a->type == V_STR && b->type == V_STR) {
		*ret = order_bytes(a, b);
		return 0;
	}
	if (a->type == V_LIST && b->type == V_LIST && (a->flags & V_TUPLE) == (b->flags & V_TUPLE)) {
		if (!ev_step(ev))
			return -1;
		for (i = 0; i < a->u.list->n && i < b->u.list->n; i++) {
			int eq;

			if ((x = ev_resolve(ev, a->u.list->v[i], NULL)) == NULL ||
			    (y = ev_resolve(ev, b->u.list->v[i], NULL)) == NULL ||
			    (eq = op_equal(ev, x, y)) < 0)
				return -1;
			if (!eq)
				return op_order(ev, x, y, ret, sym);
		}
		*ret = sign(a->u.list->n, b->u.list->n);
		return 0;
	}
	if (ops != NULL && ops->compare != NULL) {
		if (ops->compare(ev, a, b, ret) == 0)
			return 0;
		if (ev->err->code != ERR_NONE)
			return -1;
	}
	ev_error(ev, ERR_TYPE, "'%s' not supported between instances of '%s' and '%s'", sym,
	    tmpl_py_type(a), tmpl_py_type(b));
	return -1;
}

static bool
scalar(const struct value *v)
{
	return v->type != V_LIST && v->type != V_MAP && v->type != V_OBJ && v->type != V_UNDEF;
}

/* Elements one by one, only as far as needed: what is not looked at may be undefined. */
static int
equal_elements(struct eval *ev, const struct value *a, const struct value *b)
{
	if (a == b && a->type != V_UNDEF)
		return 1;
	if ((a = ev_resolve(ev, a, NULL)) == NULL || (b = ev_resolve(ev, b, NULL)) == NULL)
		return -1;
	return a == b && a->type != V_UNDEF ? 1 : op_equal(ev, a, b);
}

static int
equal_lists(struct eval *ev, const struct value *a, const struct value *b)
{
	uint32_t i;
	int eq = 1;

	if ((a->flags & V_TUPLE) != (b->flags & V_TUPLE) || a->u.list->n != b->u.list->n)
		return 0;
	if (!ev_step(ev))
		return -1;
	for (i = 0; eq > 0 && i < a->u.list->n; i++)
		eq = equal_elements(ev, a->u.list->v[i], b->u.list->v[i]);
	return eq;
}

static int
equal_maps(struct eval *ev, const struct value *a, const struct value *b)
{
	const struct value *other;
	const struct ventry *e;
	uint32_t it;
	int eq = 1;

	if (v_count(a) != v_count(b))
		return 0;
	if (!ev_step(ev))
		return -1;
	for (it = 0; eq > 0 && (e = v_next(a, &it)) != NULL;) {
		if ((other = v_get(b, e->key)) == NULL)
			return 0;
		eq = equal_elements(ev, e->val, other);
	}
	return eq;
}

int
op_equal(struct eval *ev, const struct value *a, const struct value *b)
{
	const struct vobj_ops *ops;

	if (scalar(a) && scalar(b))
		return v_equal(a, b);
	if (ev_force(ev, a) == NULL || ev_force(ev, b) == NULL)
		return -1;
	if (a == b)
		return 1;
	if (a->type == V_OBJ || b->type == V_OBJ) {
		if (a == b)
			return 1;
		ops = a->type == V_OBJ ? v_obj_ops(a) : v_obj_ops(b);
		return ops->equal != NULL && a->type == b->type && v_obj_ops(a) == v_obj_ops(b) ?
		    ops->equal(a, b) : a->u.obj == b->u.obj && a->type == b->type;
	}
	if (a->type != b->type)
		return 0;
	return a->type == V_LIST ? equal_lists(ev, a, b) : equal_maps(ev, a, b);
}

static int
contains_str(struct eval *ev, const struct value *in, const struct value *what)
{
	if (what->type != V_STR) {
		ev_error(ev, ERR_TYPE, "'in <string>' requires string as left operand, not %s", tmpl_py_type(what));
		return -1;
	}
	return what->len == 0 || memmem(in->u.s, in->len, what->u.s, what->len) != NULL;
}

int
op_contains(struct eval *ev, const struct value *in, const struct value *what)
{
	const struct value *l, *e;
	uint32_t i;
	int eq;

	if (ev_force(ev, in) == NULL)
		return -1;
	switch (in->type) {
	case V_STR:
		return ev_force(ev, what) == NULL ? -1 : contains_str(ev, in, what);
	case V_MAP:
		if (ev_force(ev, what) == NULL)
			return -1;
		if (!v_hashable(what)) {
			ev_error(ev, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(what));
			return -1;
		}
		return v_get(in, what) != NULL;
	case V_LIST:
		l = in;
		break;
	case V_OBJ:
		if (v_obj_ops(in) == &range_ops) {
			const struct range *r = in->u.obj;
			int64_t d;

			if (!is_int(what))
				return what->type == V_FLOAT && floor(what->u.f) >= what->u.f &&
				    op_contains(ev, in, v_int(&ev->scratch, (int64_t)what->u.f));
			d = as_int(what);
			return (r->step > 0 ? d >= r->start && d < r->stop : d <= r->start && d > r->stop) &&
			    (d - r->start) % r->step == 0;
		}
		if (v_obj_ops(in)->list != NULL && (l = v_obj_ops(in)->list(ev, in)) != NULL)
			break;
		if (ev->err->code != ERR_NONE)
			return -1;
		FALLTHROUGH;
	default:
		ev_error(ev, ERR_TYPE, "argument of type '%s' is not iterable", tmpl_py_type(in));
		return -1;
	}
	for (i = 0; i < l->u.list->n; i++) {
		if ((e = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL || (eq = op_equal(ev, e, what)) < 0)
			return -1;
		if (eq)
			return 1;
	}
	return 0;
}

int
op_compare(struct eval *ev, uint8_t cmp, const struct value *a, const struct value *b)
{
	static const char *const sym[] = { "==", "!=", "<", "<=", ">", ">=" };
	int r = 0;

	switch ((enum cmp)cmp) {
	case C_EQ:
		return op_equal(ev, a, b);
	case C_NE:
		return (r = op_equal(ev, a, b)) < 0 ? -1 : !r;
	case C_IN:
		return op_contains(ev, b, a);
	case C_NOTIN:
		return (r = op_contains(ev, b, a)) < 0 ? -1 : !r;
	default:
		break;
	}
	if (is_num(a) && is_num(b) && (isnan(as_float(a)) || isnan(as_float(b))))
		return 0;
	if (op_order(ev, a, b, &r, sym[cmp]) < 0)
		return -1;
	return cmp == C_LT ? r < 0 : cmp == C_LE ? r <= 0 : cmp == C_GT ? r > 0 : r >= 0;
}

/* ---- slices ----------------------------------------------------------------- */

bool
op_index(struct eval *ev, const struct value *v, int64_t *ret)
{
	if (!is_int(v)) {
		ev_error(ev, ERR_TYPE, "slice indices must be integers or None or have an __index__ method");
		return false;
	}
	*ret = as_int(v);
	return true;
}

/* Python's slice.indices(): a part that is NULL or None is its default. */
static bool
bounds(struct eval *ev, int64_t n, const struct value *start, const struct value *stop,
    const struct value *step, int64_t *from, int64_t *to, int64_t *by)
{
	int64_t lo, hi;

	*by = 1;
	if (step != NULL && step->type != V_NULL && !op_index(ev, step, by))
		return false;
	if (*by == 0) {
		ev_error(ev, ERR_VALUE, "slice step cannot be zero");
		return false;
	}
	if (*by == INT64_MIN)
		*by = -INT64_MAX;
	lo = *by < 0 ? -1 : 0;
	hi = *by < 0 ? n - 1 : n;
	*from = *by < 0 ? hi : lo;
	*to = *by < 0 ? lo : hi;
	if (start != NULL && start->type != V_NULL) {
		if (!op_index(ev, start, from))
			return false;
		*from = *from < 0 ? (*from + n < lo ? lo : *from + n) : *from > hi ? hi : *from;
	}
	if (stop != NULL && stop->type != V_NULL) {
		if (!op_index(ev, stop, to))
			return false;
		*to = *to < 0 ? (*to + n < lo ? lo : *to + n) : *to > hi ? hi : *to;
	}
	return true;
}

static const struct value *
slice_str(struct eval *ev, const struct value *v, int64_t from, int64_t to, int64_t by, int64_t n)
{
	struct buf b = BUF_INIT;
	struct value *r;
	uint32_t cp;
	int64_t i;
	size_t at, end;
	bool ascii = n == (int64_t)v->len;

	if (by == 1) {
		if (to < from)
			to = from;
		at = ascii ? (size_t)from : utf8_offset(v->u.s, v->len, (size_t)from);
		end = ascii ? (size_t)to : utf8_offset(v->u.s, v->len, (size_t)to);
		return v_strn(&ev->scratch, v->u.s + at, end - at);
	}
	for (i = from; by > 0 ? i < to : i > to; i += by) {
		at = ascii ? (size_t)i : utf8_offset(v->u.s, v->len, (size_t)i);
		buf_add(&b, v->u.s + at, ascii ? 1 : utf8_decode(v->u.s + at, v->len - at, &cp));
		if (!ascii && !ev_step(ev)) {
			buf_release(&b);
			return NULL;
		}
	}
	r = v_strn(&ev->scratch, buf_str(&b), b.len);
	buf_release(&b);
	return r;
}

const struct value *
op_slice(struct eval *ev, const struct value *v, const struct value *start,
    const struct value *stop, const struct value *step)
{
	int64_t n, from, to, by, i;
	struct value *r;

	if (v->type == V_MAP)
		return ev_error(ev, ERR_TYPE, "unhashable type: 'slice'");
	if (v->type == V_OBJ && v_obj_ops(v) == &range_ops) {
		const struct range *rg = v->u.obj;

		if (!bounds(ev, range_len(rg), start, stop, step, &from, &to, &by))
			return NULL;
		return range_new(ev, rg->start + from * rg->step, rg->start + to * rg->step, rg->step * by);
	}
	if (v->type != V_STR && v->type != V_LIST)
		return ev_error(ev, ERR_TYPE, "'%s' object is not subscriptable", tmpl_py_type(v));
	n = v->type == V_STR ? (int64_t)utf8_count(v->u.s, v->len) : (int64_t)v->u.list->n;
	if (!bounds(ev, n, start, stop, step, &from, &to, &by))
		return NULL;
	if (v->type == V_STR)
		return slice_str(ev, v, from, to, by, n);
	r = v_list(&ev->scratch);
	r->flags |= v->flags & (V_TUPLE | V_HAS_TMPL);
	for (i = from; by > 0 ? i < to : i > to; i += by) {
		v_push(&ev->scratch, r, v->u.list->v[i]);
		if (by > n || by < -n)
			break;
	}
	return r;
}
