/*
 * Filters that treat lists as sets, or put several lists together: unique,
 * union and its kin, flatten, zip, product, permutations, combinations.
 *
 * Ansible's set filters work on Python sets and fall back to comparing one
 * element with another when some cannot be hashed.  The order of a set's
 * elements means nothing; ours is that of their first appearance, of integers Python's.
 */
#include <string.h>

#include "template/filter_util.h"
#include "template/pyset.h"

/* ---- sets ------------------------------------------------------------------------ */

static bool
all_hashable(const struct vlist *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (!v_hashable(l->v[i]))
			return false;
	return true;
}

/* A map with the elements as keys. */
static struct value *
set_of(struct tcall *c, const struct vlist *l)
{
	struct value *set = v_map(c->arena);

	for (uint32_t i = 0; i < l->n; i++)
		if (v_get(set, l->v[i]) == NULL)
			v_set(c->arena, set, l->v[i], &v_null);
	return set;
}

/* Both operands as lists with their elements final, so that they compare. */
static bool
operands(struct tcall *c, const struct vlist **a, const struct vlist **b)
{
	const struct value *x, *y;

	if (c->a[0] == NULL) {
		terr(c, ERR_TYPE, "%s: missing argument", c->name);
		return false;
	}
	if ((x = tcall_list(c, c->in)) == NULL || (y = tcall_list(c, c->a[0])) == NULL ||
	    (x = tcall_final(c, x)) == NULL || (y = tcall_final(c, y)) == NULL)
		return false;
	*a = x->u.list;
	*b = y->u.list;
	return true;
}

/* Elements of a whose being in b is `in`, each once. */
static void
keep(struct tcall *c, struct value *out, const struct vlist *a, const struct vlist *b, bool in)
{
	struct value *inb, *seen;

	if (all_hashable(a) && all_hashable(b)) {
		inb = set_of(c, b);
		seen = v_map(c->arena);
		for (uint32_t i = 0; i < a->n; i++) {
			if ((v_get(inb, a->v[i]) != NULL) != in || v_get(seen, a->v[i]) != NULL)
				continue;
			v_set(c->arena, seen, a->v[i], &v_null);
			v_push(c->arena, out, a->v[i]);
		}
		return;
	}
	for (uint32_t i = 0; i < a->n; i++)
		if (fu_in(b, a->v[i]) == in && !fu_in(out->u.list, a->v[i]))
			v_push(c->arena, out, a->v[i]);
}

static const struct value *
f_intersect(struct tcall *c)
{
	const struct vlist *a, *b;
	struct value *out = v_list(c->arena);

	if (!operands(c, &a, &b))
		return NULL;
	if (!pyset(c->arena, '&', a, b, out))
		keep(c, out, a, b, true);
	return out;
}

static const struct value *
f_difference(struct tcall *c)
{
	const struct vlist *a, *b;
	struct value *out = v_list(c->arena);

	if (!operands(c, &a, &b))
		return NULL;
	if (!pyset(c->arena, '-', a, b, out))
		keep(c, out, a, b, false);
	return out;
}

static const struct value *
f_symmetric_difference(struct tcall *c)
{
	const struct vlist *a, *b;
	struct value *out = v_list(c->arena);

	if (!operands(c, &a, &b))
		return NULL;
	if (!pyset(c->arena, '^', a, b, out)) {
		keep(c, out, a, b, false);
		keep(c, out, b, a, false);
	}
	return out;
}

static const struct value *
f_union(struct tcall *c)
{
	static const struct vlist none = { NULL, 0, 0 };
	const struct vlist *a, *b;
	struct value *both = v_list(c->arena), *out = v_list(c->arena);

	if (!operands(c, &a, &b))
		return NULL;
	/* Without hashing Python adds the two lists, which must then be of one kind. */
	if (!(all_hashable(a) && all_hashable(b)) && (c->in->type != V_LIST ||
	    c->a[0]->type != V_LIST || (c->in->flags & V_TUPLE) != (c->a[0]->flags & V_TUPLE)))
		return terr(c, ERR_TYPE, "unsupported operand type(s) for +: '%s' and '%s'",
		    tmpl_py_type(c->in), tmpl_py_type(c->a[0]));
	if (pyset(c->arena, '|', a, b, out))
		return out;
	for (uint32_t i = 0; i < a->n; i++)
		v_push(c->arena, both, a->v[i]);
	for (uint32_t i = 0; i < b->n; i++)
		v_push(c->arena, both, b->v[i]);
	keep(c, out, both->u.list, &none, false);
	return out;
}

/* unique(case_sensitive, attribute) */
static const struct value *
f_unique(struct tcall *c)
{
	struct value *out = v_list(c->arena), *seen = v_map(c->arena);
	const struct value *list = tcall_list(c, c->in), *key;
	const struct vlist *l;
	bool sensitive, by = fu_given(c, 1);

	if (list == NULL || (list = tcall_final(c, list)) == NULL ||
	    !targ_bool(c, 0, false, &sensitive))
		return NULL;
	l = list->u.list;
	for (uint32_t i = 0; i < l->n; i++) {
		key = l->v[i];
		if (by && (key = c->a[1]->type == V_STR ? tcall_attr(c, key, c->a[1]->u.s) :
		    tcall_item(c, key, c->a[1])) == NULL)
			return NULL;
		if (key->type == V_UNDEF)
			return fu_undef(c, key), NULL;
		if (!sensitive)
			key = fu_ignore_case(c, key);
		if (!v_hashable(key)) {
			if (by || (fu_given(c, 0) && !sensitive))
				return terr(c, ERR_TYPE, "unique: unhashable type: '%s'", tmpl_py_type(key));
			goto compare;
		}
		if (v_get(seen, key) == NULL) {
			v_set(c->arena, seen, key, &v_null);
			v_push(c->arena, out, l->v[i]);
		}
	}
	return out;
compare:
	out = v_list(c->arena);
	for (uint32_t i = 0; i < l->n; i++)
		if (!fu_in(out->u.list, l->v[i]))
			v_push(c->arena, out, l->v[i]);
	return out;
}

/* ---- flatten ---------------------------------------------------------------------- */

struct flatten {
	struct tcall	*c;
	struct value	*out;
	bool		 skip_nulls, deep;
};

static bool
flatten(struct flatten *f, const struct vlist *l, int64_t levels, unsigned depth)
{
	const struct value *v;
	const struct vlist *sub;

	if (depth > V_DEPTH_MAX) {
		terr(f->c, ERR_LIMIT, "flatten: nested more than %d deep", V_DEPTH_MAX);
		return false;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		v = l->v[i];
		if (v->type == V_UNDEF)
			return fu_undef(f->c, v);
		if (f->skip_nulls && (v->type == V_NULL || v_eqs(v, "None") || v_eqs(v, "null")))
			continue;
		if (v->type == V_LIST && (f->deep || levels >= 1)) {
			if ((sub = fu_list(f->c, v)) == NULL ||
			    !flatten(f, sub, levels - 1, depth + 1))
				return false;
		} else
			v_push(f->c->arena, f->out, v);
	}
	return true;
}

static const struct value *
f_flatten(struct tcall *c)
{
	struct flatten f = { .c = c, .out = v_list(c->arena), .deep = !fu_given(c, 0) };
	const struct vlist *l = fu_list(c, c->in);
	double levels = 0;

	if (l == NULL || !targ_bool(c, 1, true, &f.skip_nulls))
		return NULL;
	if (!f.deep && !fu_is_num(c->a[0], &levels)) {
		/* Python compares only when it meets a list. */
		for (uint32_t i = 0; i < l->n; i++)
			if (l->v[i]->type == V_LIST)
				return terr(c, ERR_TYPE, "'>=' not supported between instances of '%s' and 'int'",
				    tmpl_py_type(c->a[0]));
	}
	return flatten(&f, l, levels > 1e6 ? 1000000 : levels < -1e6 ? -1 : (int64_t)levels, 0) ?
	    f.out : NULL;
}

/* ---- lists side by side -------------------------------------------------------------- */

/* The input and the further arguments as lists. */
static const struct vlist **
all_lists(struct tcall *c, uint32_t *n)
{
	const struct vlist **v = arena_array(c->arena, c->nstar + 1, sizeof(*v));

	*n = c->nstar + 1;
	if ((v[0] = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++)
		if ((v[i + 1] = fu_list(c, c->star[i])) == NULL)
			return NULL;
	return v;
}

static const struct value *
zip(struct tcall *c, bool longest, const struct value *fill, bool strict)
{
	struct value *out = v_list(c->arena), *row;
	const struct vlist **l;
	uint32_t n, max = 0, min = UINT32_MAX, count;

	if ((l = all_lists(c, &n)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		max = l[i]->n > max ? l[i]->n : max;
		min = l[i]->n < min ? l[i]->n : min;
	}
	if (strict && max != min)
		return terr(c, ERR_VALUE, "zip: the arguments differ in length");
	count = longest ? max : min;
	if ((uint64_t)count * n > FU_ITEMS_MAX * 10ull)
		return terr(c, ERR_LIMIT, "%s: too many elements", c->name);
	for (uint32_t k = 0; k < count; k++) {
		row = fu_tuple(c);
		for (uint32_t i = 0; i < n; i++)
			v_push(c->arena, row, k < l[i]->n ? l[i]->v[k] : fill);
		v_push(c->arena, out, row);
	}
	return out;
}

/* The one keyword a function knows; an error for any other. */
static bool
only_keyword(struct tcall *c, const char *name, const struct value **ret)
{
	const struct ventry *e;

	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;) {
		if (!v_eqs(e->key, name)) {
			terr(c, ERR_TYPE, "%s() got an unexpected keyword argument '%s'", c->name,
			    e->key->type == V_STR ? e->key->u.s : "?");
			return false;
		}
		*ret = e->val;
	}
	return true;
}

static const struct value *
f_zip(struct tcall *c)
{
	const struct value *strict = &v_false;

	if (!only_keyword(c, "strict", &strict))
		return NULL;
	return zip(c, false, &v_null, tcall_truth(strict));
}

static const struct value *
f_zip_longest(struct tcall *c)
{
	const struct value *fill = &v_null;

	if (!only_keyword(c, "fillvalue", &fill))
		return NULL;
	return zip(c, true, fill, false);
}

/* ---- combinatorics -------------------------------------------------------------------- */

static bool
too_many(struct tcall *c, struct value *out)
{
	if (v_count(out) < FU_ITEMS_MAX)
		return false;
	terr(c, ERR_LIMIT, "%s: more than %u results", c->name, FU_ITEMS_MAX);
	return true;
}

static struct value *
tuple_of(struct tcall *c, const struct vlist *const *l, const uint32_t *at, size_t n)
{
	struct value *row = fu_tuple(c);

	for (size_t i = 0; i < n; i++)
		v_push(c->arena, row, l[i]->v[at[i]]);
	return row;
}

static const struct value *
f_product(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *rep = NULL;
	const struct vlist **l, **all;
	uint32_t n, *at, k;
	int64_t repeat = 1;
	size_t total;

	if (!only_keyword(c, "repeat", &rep) || (l = all_lists(c, &n)) == NULL)
		return NULL;
	if (rep != NULL && !fu_is_int(rep, &repeat))
		return terr(c, ERR_TYPE, "'%s' object cannot be interpreted as an integer", tmpl_py_type(rep));
	if (repeat < 0)
		return terr(c, ERR_VALUE, "repeat argument cannot be negative");
	if (repeat > 1000)
		return terr(c, ERR_LIMIT, "product: more than %u results", FU_ITEMS_MAX);
	total = n * (size_t)repeat;
	all = arena_array(c->arena, total + 1, sizeof(*all));
	at = arena_array(c->arena, total + 1, sizeof(*at));
	for (size_t i = 0; i < total; i++) {
		all[i] = l[i % n];
		if (all[i]->n == 0)
			return out;
	}
	for (;;) {
		if (too_many(c, out))
			return NULL;
		v_push(c->arena, out, tuple_of(c, (const struct vlist *const *)all, at, total));
		for (k = (uint32_t)total; k > 0; k--) {
			if (++at[k - 1] < all[k - 1]->n)
				break;
			at[k - 1] = 0;
		}
		if (k == 0)
			return out;
	}
}

static struct value *
pick_tuple(struct tcall *c, const struct vlist *l, const uint32_t *at, uint32_t r)
{
	struct value *row = fu_tuple(c);

	for (uint32_t i = 0; i < r; i++)
		v_push(c->arena, row, l->v[at[i]]);
	return row;
}

/* r of the list, or -1 after an error. A size beyond the list's gives no result at all. */
static int64_t
choose_size(struct tcall *c, const struct vlist *l, bool needed)
{
	int64_t r = l->n;

	if (!fu_given(c, 0)) {
		if (needed) {
			terr(c, ERR_TYPE, "%s: missing argument 'r'", c->name);
			return -1;
		}
		return r;
	}
	if (!targ_int(c, 0, r, &r))
		return -1;
	if (r < 0)
		terr(c, ERR_VALUE, "r must be non-negative");
	return r < 0 ? -1 : r;
}

static const struct value *
f_combinations(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l = fu_list(c, c->in);
	uint32_t *at, r, i;
	int64_t size;

	if (l == NULL || (size = choose_size(c, l, true)) < 0)
		return NULL;
	if (size > l->n)
		return out;
	r = (uint32_t)size;
	at = arena_array(c->arena, r + 1, sizeof(*at));
	for (i = 0; i < r; i++)
		at[i] = i;
	for (;;) {
		if (too_many(c, out))
			return NULL;
		v_push(c->arena, out, pick_tuple(c, l, at, r));
		for (i = r; i > 0 && at[i - 1] == i - 1 + l->n - r; i--)
			continue;
		if (i == 0)
			return out;
		at[i - 1]++;
		for (; i < r; i++)
			at[i] = at[i - 1] + 1;
	}
}

/* itertools' order: indices with cycles counting down. */
static const struct value *
f_permutations(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l = fu_list(c, c->in);
	uint32_t *at, *cycles, r, n, i, t;
	int64_t size;

	if (l == NULL || (size = choose_size(c, l, false)) < 0)
		return NULL;
	n = l->n;
	if (size > n)
		return out;
	r = (uint32_t)size;
	at = arena_array(c->arena, n + 1, sizeof(*at));
	cycles = arena_array(c->arena, r + 1, sizeof(*cycles));
	for (i = 0; i < n; i++)
		at[i] = i;
	for (i = 0; i < r; i++)
		cycles[i] = n - i;
	for (;;) {
		if (too_many(c, out))
			return NULL;
		v_push(c->arena, out, pick_tuple(c, l, at, r));
		for (i = r; i > 0; i--) {
			if (--cycles[i - 1] > 0)
				break;
			t = at[i - 1];
			memmove(at + i - 1, at + i, (n - i) * sizeof(*at));
			at[n - 1] = t;
			cycles[i - 1] = n - (i - 1);
		}
		if (i == 0)
			return out;
		t = at[i - 1];
		at[i - 1] = at[n - cycles[i - 1]];
		at[n - cycles[i - 1]] = t;
	}
}

static const struct tfilter filters[] = {
	{ "combinations", "r", 0, f_combinations },
	{ "difference", "b", 0, f_difference },
	{ "flatten", "levels,skip_nulls", 0, f_flatten },
	{ "intersect", "b", 0, f_intersect },
	{ "permutations", "r", 0, f_permutations },
	{ "product", "", TF_STAR | TF_KWSTAR, f_product },
	{ "symmetric_difference", "b", 0, f_symmetric_difference },
	{ "union", "b", 0, f_union },
	{ "unique", "case_sensitive,attribute", 0, f_unique },
	{ "zip", "", TF_STAR | TF_KWSTAR, f_zip },
	{ "zip_longest", "", TF_STAR | TF_KWSTAR, f_zip_longest },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_sets = { filters, NULL };
