/*
 * The methods of list, tuple, dict and numbers.
 *
 * Methods that change their object (TF_MUTATES) get one that the evaluation may
 * change (eval_lvalue.c); everybody else sees the value as it was.
 */
#include <math.h>
#include <string.h>

#include "template/eval.h"

const struct tfilter *
method_find(const struct tfilter *rows, const char *s, size_t len)
{
	for (; rows->name != NULL; rows++)
		if (rows->name[0] == s[0] && strlen(rows->name) == len && memcmp(rows->name, s, len) == 0)
			return rows;
	return NULL;
}

static struct value *
self(struct tcall *c)
{
	return (struct value *)(uintptr_t)c->in;
}

static const struct value *
one_arg(struct tcall *c, const char *type)
{
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "%s.%s() takes exactly one argument (0 given)", type, c->name);
	return c->a[0];
}

/* ---- list ------------------------------------------------------------------------------------ */

static const struct value *
l_append(struct tcall *c)
{
	if (one_arg(c, "list") == NULL)
		return NULL;
	v_push(c->arena, self(c), c->a[0]);
	return &v_null;
}

static const struct value *
l_extend(struct tcall *c)
{
	const struct value *l;
	uint32_t i, n;

	if (one_arg(c, "list") == NULL)
		return NULL;
	if ((l = ev_iter(c->ev, c->a[0])) == NULL)
		return c->err->code != ERR_NONE ? NULL :
		    terr(c, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(c->a[0]));
	for (i = 0, n = l->u.list->n; i < n; i++)
		v_push(c->arena, self(c), l->u.list->v[i]);
	return &v_null;
}

static const struct value *
l_insert(struct tcall *c)
{
	struct vlist *l = c->in->u.list;
	int64_t i;

	if (c->a[0] == NULL || c->a[1] == NULL)
		return terr(c, ERR_TYPE, "insert expected 2 arguments");
	if (!targ_int(c, 0, 0, &i))
		return NULL;
	if (i < 0)
		i = i + l->n < 0 ? 0 : i + l->n;
	if (i > l->n)
		i = l->n;
	v_push(c->arena, self(c), c->a[1]);
	l = c->in->u.list;
	memmove((void *)(uintptr_t)(l->v + i + 1), (const void *)(uintptr_t)(l->v + i),
	    (l->n - 1 - (size_t)i) * sizeof(*l->v));
	l->v[i] = c->a[1];
	return &v_null;
}

static void
take_out(struct vlist *l, uint32_t i)
{
	memmove((void *)(uintptr_t)(l->v + i), (const void *)(uintptr_t)(l->v + i + 1),
	    (l->n - 1 - i) * sizeof(*l->v));
	l->n--;
}

static const struct value *
l_pop(struct tcall *c)
{
	struct vlist *l = c->in->u.list;
	const struct value *v;
	int64_t i;

	if (!targ_int(c, 0, -1, &i))
		return NULL;
	if (l->n == 0)
		return terr(c, ERR_VALUE, "pop from empty list");
	if (i < 0)
		i += l->n;
	if (i < 0 || i >= l->n)
		return terr(c, ERR_VALUE, "pop index out of range");
	v = l->v[i];
	take_out(l, (uint32_t)i);
	return tcall_top(c, v);
}

/* Where a value is, from one index up to another; -1 not found, -2 after an error. */
static int64_t
where(struct tcall *c, const struct value *what, int64_t from, int64_t to)
{
	const struct vlist *l = c->in->u.list;
	const struct value *v;
	int eq;

	for (; from < to && from < l->n; from++) {
		if ((v = ev_resolve(c->ev, l->v[from], NULL)) == NULL || (eq = op_equal(c->ev, v, what)) < 0)
			return -2;
		if (eq)
			return from;
	}
	return -1;
}

static const struct value *
l_remove(struct tcall *c)
{
	int64_t i;

	if (one_arg(c, "list") == NULL || (i = where(c, c->a[0], 0, c->in->u.list->n)) == -2)
		return NULL;
	if (i < 0)
		return terr(c, ERR_VALUE, "list.remove(x): x not in list");
	take_out(c->in->u.list, (uint32_t)i);
	return &v_null;
}

static const struct value *
l_index(struct tcall *c)
{
	int64_t n = c->in->u.list->n, from, to, i;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "index expected at least 1 argument, got 0");
	if (!targ_int(c, 1, 0, &from) || !targ_int(c, 2, n, &to))
		return NULL;
	from = from < 0 ? (from + n < 0 ? 0 : from + n) : from;
	to = to < 0 ? to + n : to;
	if ((i = where(c, c->a[0], from, to)) == -2)
		return NULL;
	if (i < 0) {
		struct buf b = BUF_INIT;

		tmpl_repr(&b, c->a[0]);
		terr(c, ERR_VALUE, "%s is not in %s", buf_str(&b), tmpl_py_type(c->in));
		buf_release(&b);
		return NULL;
	}
	return v_int(c->arena, i);
}

static const struct value *
l_count(struct tcall *c)
{
	int64_t at, n = 0;

	if (one_arg(c, "list") == NULL)
		return NULL;
	for (at = -1; (at = where(c, c->a[0], at + 1, c->in->u.list->n)) >= 0;)
		n++;
	return at == -2 ? NULL : v_int(c->arena, n);
}

static const struct value *
l_reverse(struct tcall *c)
{
	struct vlist *l = c->in->u.list;
	const struct value *t;
	uint32_t i;

	for (i = 0; i < l->n / 2; i++) {
		t = l->v[i];
		l->v[i] = l->v[l->n - 1 - i];
		l->v[l->n - 1 - i] = t;
	}
	return &v_null;
}

/* A stable merge sort of pairs (key, value); false after an error. */
static bool
merge_sort(struct tcall *c, const struct value **v, const struct value **tmp, uint32_t n)
{
	uint32_t mid = n / 2, i = 0, j = mid, k = 0;
	int cmp;

	if (n < 2)
		return true;
	if (!merge_sort(c, v, tmp, mid) || !merge_sort(c, v + mid, tmp, n - mid))
		return false;
	while (i < mid && j < n) {
		if (tcall_compare(c, v[j], v[i], &cmp) < 0)
			return false;
		tmp[k++] = cmp < 0 ? v[j++] : v[i++];
	}
	while (i < mid)
		tmp[k++] = v[i++];
	while (j < n)
		tmp[k++] = v[j++];
	memcpy((void *)(uintptr_t)v, (const void *)(uintptr_t)tmp, n * sizeof(*v));
	return true;
}

static const struct value *
l_sort(struct tcall *c)
{
	struct vlist *l = c->in->u.list;
	const struct value **tmp = ARENA_ARRAY(c->arena, l->n, const struct value *);
	uint32_t i;
	bool rev;

	if (c->a[0] != NULL && c->a[0]->type != V_NULL)
		return terr(c, ERR_UNSUPPORTED, "sort(key=) is not supported: use the filter sort(attribute=)");
	if (!targ_bool(c, 1, false, &rev))
		return NULL;
	for (i = 0; i < l->n; i++)
		if ((l->v[i] = tcall_top(c, l->v[i])) == NULL)
			return NULL;
	/* Reversed twice, so that equal ones keep their order. */
	if (rev)
		l_reverse(c);
	if (!merge_sort(c, l->v, tmp, l->n))
		return NULL;
	if (rev)
		l_reverse(c);
	return &v_null;
}

static const struct value *
l_clear(struct tcall *c)
{
	c->in->u.list->n = 0;
	return &v_null;
}

static const struct value *
l_copy(struct tcall *c)
{
	struct value *l = v_list(c->arena);
	uint32_t i;

	for (i = 0; i < c->in->u.list->n; i++)
		v_push(c->arena, l, c->in->u.list->v[i]);
	return l;
}

const struct tfilter methods_list[] = {
	{ "append", "object", TF_MUTATES, l_append },
	{ "clear", "", TF_MUTATES, l_clear },
	{ "copy", "", 0, l_copy },
	{ "count", "value", 0, l_count },
	{ "extend", "iterable", TF_MUTATES, l_extend },
	{ "index", "value,start,stop", 0, l_index },
	{ "insert", "index,object", TF_MUTATES, l_insert },
	{ "pop", "index", TF_MUTATES, l_pop },
	{ "remove", "value", TF_MUTATES, l_remove },
	{ "reverse", "", TF_MUTATES, l_reverse },
	{ "sort", "key,reverse", TF_MUTATES, l_sort },
	{ NULL, NULL, 0, NULL }
};

const struct tfilter methods_tuple[] = {
	{ "count", "value", 0, l_count },
	{ "index", "value,start,stop", 0, l_index },
	{ NULL, NULL, 0, NULL }
};

/* ---- dict -------------------------------------------------------------------------------------- */

static bool
key_arg(struct tcall *c)
{
	if (c->a[0] == NULL) {
		terr(c, ERR_TYPE, "%s expected at least 1 argument, got 0", c->name);
		return false;
	}
	if (!v_hashable(c->a[0])) {
		terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(c->a[0]));
		return false;
	}
	return true;
}

static const struct value *
resolved(struct tcall *c, const struct value *key, const struct value *v)
{
	return ev_resolve(c->ev, v, key->type == V_STR ? key->u.s : NULL);
}

static const struct value *
d_get(struct tcall *c)
{
	const struct value *v;

	if (!key_arg(c))
		return NULL;
	if ((v = v_get(c->in, c->a[0])) != NULL)
		return resolved(c, c->a[0], v);
	return c->a[1] != NULL ? c->a[1] : &v_null;
}

static const struct value *
d_keys(struct tcall *c)
{
	return ev_iter(c->ev, c->in);
}

static const struct value *
d_values(struct tcall *c)
{
	struct value *l = v_list(c->arena);
	const struct value *v;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(c->in, &it)) != NULL;) {
		if ((v = resolved(c, e->key, e->val)) == NULL)
			return NULL;
		v_push(c->arena, l, v);
	}
	return l;
}

static const struct value *
pair(struct tcall *c, const struct value *k, const struct value *v)
{
	struct value *l = v_list(c->arena);

	l->flags |= V_TUPLE;
	v_push(c->arena, l, k);
	v_push(c->arena, l, v);
	return l;
}

static const struct value *
d_items(struct tcall *c)
{
	struct value *l = v_list(c->arena);
	const struct value *v;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(c->in, &it)) != NULL;) {
		if ((v = resolved(c, e->key, e->val)) == NULL)
			return NULL;
		v_push(c->arena, l, pair(c, e->key, v));
	}
	return l;
}

static const struct value *
d_pop(struct tcall *c)
{
	const struct value *v;

	if (!key_arg(c))
		return NULL;
	if ((v = v_get(c->in, c->a[0])) == NULL) {
		struct buf b = BUF_INIT;

		if (c->a[1] != NULL)
			return c->a[1];
		tmpl_repr(&b, c->a[0]);
		terr(c, ERR_VALUE, "no such key: %s", buf_str(&b));
		buf_release(&b);
		return NULL;
	}
	v_del(self(c), c->a[0]);
	return resolved(c, c->a[0], v);
}

static const struct value *
d_popitem(struct tcall *c)
{
	const struct ventry *e, *last = NULL;
	const struct value *k, *v;
	uint32_t it;

	for (it = 0; (e = v_next(c->in, &it)) != NULL;)
		last = e;
	if (last == NULL)
		return terr(c, ERR_VALUE, "popitem(): dictionary is empty");
	k = last->key;
	if ((v = resolved(c, k, last->val)) == NULL)
		return NULL;
	v_del(self(c), k);
	return pair(c, k, v);
}

static const struct value *
d_setdefault(struct tcall *c)
{
	const struct value *v;

	if (!key_arg(c))
		return NULL;
	if ((v = v_get(c->in, c->a[0])) != NULL)
		return resolved(c, c->a[0], v);
	v = c->a[1] != NULL ? c->a[1] : &v_null;
	v_set(c->arena, self(c), c->a[0], v);
	return v;
}

static const struct value *
d_update(struct tcall *c)
{
	const struct value *from = c->nstar > 0 ? c->star[0] : NULL, *l, *p;
	uint32_t i;

	if (c->nstar > 1)
		return terr(c, ERR_TYPE, "update expected at most 1 argument, got %u", c->nstar);
	if (from != NULL && from->type == V_MAP)
		v_merge(c->arena, self(c), from);
	else if (from != NULL) {
		if ((l = tcall_list(c, from)) == NULL)
			return NULL;
		for (i = 0; i < l->u.list->n; i++) {
			if ((p = tcall_list(c, l->u.list->v[i])) == NULL)
				return NULL;
			if (p->u.list->n != 2)
				return terr(c, ERR_VALUE, "dictionary update sequence element #%u has length %u; 2 is required",
				    i, p->u.list->n);
			if (!v_hashable(p->u.list->v[0]))
				return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(p->u.list->v[0]));
			v_set(c->arena, self(c), p->u.list->v[0], p->u.list->v[1]);
		}
	}
	if (c->kw != NULL)
		v_merge(c->arena, self(c), c->kw);
	return &v_null;
}

static const struct value *
d_clear(struct tcall *c)
{
	*c->in->u.map = *v_map(c->arena)->u.map;
	return &v_null;
}

static const struct value *
d_copy(struct tcall *c)
{
	struct value *m = v_map(c->arena);

	v_merge(c->arena, m, c->in);
	return m;
}

static const struct value *
d_fromkeys(struct tcall *c)
{
	const struct value *keys;
	struct value *m = v_map(c->arena);
	uint32_t i;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "fromkeys expected at least 1 argument, got 0");
	if ((keys = tcall_list(c, c->a[0])) == NULL)
		return NULL;
	for (i = 0; i < keys->u.list->n; i++) {
		if (!v_hashable(keys->u.list->v[i]))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(keys->u.list->v[i]));
		v_set(c->arena, m, keys->u.list->v[i], c->a[1] != NULL ? c->a[1] : &v_null);
	}
	return m;
}

const struct tfilter methods_map[] = {
	{ "clear", "", TF_MUTATES, d_clear },
	{ "copy", "", 0, d_copy },
	{ "fromkeys", "iterable,value", 0, d_fromkeys },
	{ "get", "key,default", 0, d_get },
	{ "items", "", 0, d_items },
	{ "keys", "", 0, d_keys },
	{ "pop", "key,default", TF_MUTATES, d_pop },
	{ "popitem", "", TF_MUTATES, d_popitem },
	{ "setdefault", "key,default", TF_MUTATES, d_setdefault },
	{ "update", "", TF_MUTATES | TF_STAR | TF_KWSTAR, d_update },
	{ "values", "", 0, d_values },
	{ NULL, NULL, 0, NULL }
};

/* ---- numbers ---------------------------------------------------------------------------------------- */

static int64_t
int_of(const struct value *v)
{
	return v->type == V_BOOL ? v->u.b : v->u.i;
}

static const struct value *
i_bit_length(struct tcall *c)
{
	int64_t i = int_of(c->in);
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	int64_t n;

	for (n = 0; u > 0; u >>= 1)
		n++;
	return v_int(c->arena, n);
}

static const struct value *
i_bit_count(struct tcall *c)
{
	int64_t i = int_of(c->in);

	return v_int(c->arena, __builtin_popcountll(i < 0 ? 0 - (uint64_t)i : (uint64_t)i));
}

static const struct value *
i_same(struct tcall *c)
{
	return c->in->type == V_BOOL ? v_int(c->arena, c->in->u.b) : c->in;
}

static const struct value *
i_true(struct tcall *c)
{
	(void)c;
	return &v_true;
}

static const struct value *
i_ratio(struct tcall *c)
{
	return pair(c, i_same(c), v_int(c->arena, 1));
}

static const struct value *
f_is_integer(struct tcall *c)
{
	return v_bool(isfinite(c->in->u.f) && floor(c->in->u.f) >= c->in->u.f);
}

const struct tfilter methods_int[] = {
	{ "as_integer_ratio", "", 0, i_ratio },
	{ "bit_count", "", 0, i_bit_count },
	{ "bit_length", "", 0, i_bit_length },
	{ "conjugate", "", 0, i_same },
	{ "is_integer", "", 0, i_true },
	{ NULL, NULL, 0, NULL }
};

const struct tfilter methods_float[] = {
	{ "conjugate", "", 0, i_same },
	{ "is_integer", "", 0, f_is_integer },
	{ NULL, NULL, 0, NULL }
};
