/*
 * Filters of sequences: ends, slices, order, sums.  What Jinja makes with
 * generators is a list here, as it is in Ansible.
 */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"

static const struct value *
f_first(struct tcall *c)
{
	const struct vlist *l = fu_list_lazy(c, c->in);

	if (l == NULL)
		return NULL;
	if (l->n == 0)
		return v_undef(c->arena, "No first item, sequence was empty.");
	return l->v[0];
}

static const struct value *
f_last(struct tcall *c)
{
	const struct vlist *l = fu_list_lazy(c, c->in);

	if (l == NULL)
		return NULL;
	if (l->n == 0)
		return v_undef(c->arena, "No last item, sequence was empty.");
	return l->v[l->n - 1];
}

static const struct value *
f_length(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);
	int64_t n = -1;

	if (c->in->type == V_STR)
		n = (int64_t)utf8_count(c->in->u.s, c->in->len);
	else if (c->in->type == V_LIST || c->in->type == V_MAP)
		n = v_count(c->in);
	else if (ops != NULL && ops->len != NULL)
		n = ops->len(c->in);
	if (n < 0)
		return terr(c, ERR_TYPE, "object of type '%s' has no len()", tmpl_py_type(c->in));
	return v_int(c->arena, n);
}

static const struct value *
f_list(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out;

	if (l == NULL)
		return NULL;
	out = v_list(c->arena);
	for (uint32_t i = 0; i < l->n; i++)
		v_push(c->arena, out, l->v[i]);
	return out;
}

static const struct value *
f_reverse(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct vlist *l;
	const struct value *v;
	struct value *out;

	if (c->in->type == V_STR) {
		const char *s = c->in->u.s, *p = s + c->in->len, *end;

		while (p > s) {
			for (end = p--; p > s && ((unsigned char)*p & 0xc0) == 0x80; p--)
				continue;
			buf_add(&b, p, (size_t)(end - p));
		}
		v = fu_result(c, &b);
		return v != NULL && v_is_markup(c->in) ? v_markup(c->arena, v->u.s, v->len) : v;
	}
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	out = v_list(c->arena);
	for (uint32_t i = l->n; i > 0; i--)
		v_push(c->arena, out, l->v[i - 1]);
	return out;
}

static const struct value *
f_join(struct tcall *c)
{
	struct buf b = tcall_buf(c);
	const struct vlist *l;
	const struct value *v;
	const char *sep, *s;
	size_t seplen, len;
	bool by = fu_given(c, 1);

	l = fu_list(c, c->in);
	if (l == NULL || !fu_arg_text(c, 0, "", &sep, &seplen))
		goto fail;
	for (uint32_t i = 0; i < l->n; i++) {
		v = l->v[i];
		if (by && (v = c->a[1]->type == V_STR ? tcall_attr(c, v, c->a[1]->u.s) :
		    tcall_item(c, v, c->a[1])) == NULL)
			goto fail;
		if (v->type == V_UNDEF) {
			fu_undef(c, v);
			goto fail;
		}
		if (!fu_text(c, v, &s, &len))
			goto fail;
		if (i > 0)
			buf_add(&b, sep, seplen);
		buf_add(&b, s, len);
	}
	return fu_result(c, &b);
fail:
	tcall_buf_done(c, &b);
	return NULL;
}

static const struct value *
f_batch(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out = v_list(c->arena), *row = NULL;
	double size;
	uint32_t i;

	if (l == NULL)
		return NULL;
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "batch: missing argument 'linecount'");
	if (!fu_is_num(c->a[0], &size))
		size = -1;		/* len(row) == 'x' is never true */
	for (i = 0; i < l->n; i++) {
		if (row == NULL || (double)v_count(row) == size) {
			row = v_list(c->arena);
			v_push(c->arena, out, row);
			if (size == 0 && i == 0) {
				/* Python yields the empty row first. */
				row = v_list(c->arena);
				v_push(c->arena, out, row);
			}
		}
		v_push(c->arena, row, l->v[i]);
	}
	if (row != NULL && fu_given(c, 1)) {
		if (size > FU_ITEMS_MAX)
			return terr(c, ERR_LIMIT, "batch: rows of more than %u elements", FU_ITEMS_MAX);
		while ((double)v_count(row) < size)
			v_push(c->arena, row, c->a[1]);
	}
	return out;
}

static const struct value *
f_slice(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out = v_list(c->arena), *row;
	int64_t n, per, extra, from = 0, to;

	if (l == NULL)
		return NULL;
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "slice: missing argument 'slices'");
	if (!targ_int(c, 0, 1, &n))
		return NULL;
	if (n == 0)
		return terr(c, ERR_VALUE, "slice: division by zero");
	if (n > FU_ITEMS_MAX)
		return terr(c, ERR_LIMIT, "slice: more than %u slices", FU_ITEMS_MAX);
	per = n > 0 ? (int64_t)l->n / n : 0;
	extra = n > 0 ? (int64_t)l->n % n : 0;
	for (int64_t i = 0; i < n; i++) {
		row = v_list(c->arena);
		to = from + per + (i < extra);
		for (; from < to; from++)
			v_push(c->arena, row, l->v[from]);
		if (fu_given(c, 1) && i >= extra)
			v_push(c->arena, row, c->a[1]);
		v_push(c->arena, out, row);
	}
	return out;
}

/* ---- keys ------------------------------------------------------------------- */

/*
 * Jinja's attribute getter with ignore_case behind it.  A missing attribute is
 * the error of that undefined, also where groupby has a default: to Ansible
 * the attempt is the error.
 */
static const struct value *
key_of(struct tcall *c, const struct value *item, const struct value *attr,
    bool case_sensitive)
{
	if (attr != NULL && attr->type != V_NULL) {
		item = attr->type == V_STR ? tcall_attr(c, item, attr->u.s) :
		    tcall_item(c, item, attr);
		if (item == NULL)
			return NULL;
	}
	if (item->type == V_UNDEF) {
		fu_undef(c, item);
		return NULL;
	}
	return case_sensitive ? item : fu_ignore_case(c, item);
}

/* sort's getter takes several attributes, "a,b.c": the key is then a list. */
static const struct value *
multi_key(struct tcall *c, const struct value *item, const struct value *attr,
    bool case_sensitive)
{
	const char *p, *comma;
	const struct value *one;
	struct value *list;

	if (attr == NULL || attr->type != V_STR || strchr(attr->u.s, ',') == NULL)
		return key_of(c, item, attr, case_sensitive);
	list = v_list(c->arena);
	for (p = attr->u.s;; p = comma + 1) {
		comma = strchr(p, ',');
		one = key_of(c, item, fu_strn(c, p, comma != NULL ? (size_t)(comma - p) : strlen(p)),
		    case_sensitive);
		if (one == NULL)
			return NULL;
		v_push(c->arena, list, one);
		if (comma == NULL)
			return list;
	}
}

struct keyed {
	const struct value	*key, *val;
};

/* Python's lists of keys are equal before they are smaller: only what differs needs an order. */
static int
key_compare(struct tcall *c, const struct value *a, const struct value *b, int *ret)
{
	if (a->type == V_STR && b->type == V_STR) {
		*ret = memcmp(a->u.s, b->u.s, a->len < b->len ? a->len : b->len);
		if (*ret == 0)
			*ret = (a->len > b->len) - (a->len < b->len);
		return 0;
	}
	if (v_equal(a, b)) {
		*ret = 0;
		return 0;
	}
	return tcall_compare(c, a, b, ret);
}

#define SORT_INSERT	12	/* so few are sorted by insertion */

/* A stable merge sort; -1 after an error. */
static int
sort_keyed(struct tcall *c, struct keyed *v, struct keyed *tmp, size_t n, bool reverse)
{
	size_t mid = n / 2, i = 0, j = mid, k = 0;
	struct keyed x;
	int cmp;

	if (n <= SORT_INSERT) {
		for (i = 1; i < n; i++) {
			x = v[i];
			for (j = i; j > 0; j--) {
				if (key_compare(c, v[j - 1].key, x.key, &cmp) != 0)
					return -1;
				if (reverse ? cmp >= 0 : cmp <= 0)
					break;
				v[j] = v[j - 1];
			}
			v[j] = x;
		}
		return 0;
	}
	if (sort_keyed(c, v, tmp, mid, reverse) != 0 ||
	    sort_keyed(c, v + mid, tmp, n - mid, reverse) != 0)
		return -1;
	/* Often the two halves are in order already. */
	if (key_compare(c, v[mid - 1].key, v[mid].key, &cmp) != 0)
		return -1;
	if (reverse ? cmp >= 0 : cmp <= 0)
		return 0;
	while (i < mid && j < n) {
		if (key_compare(c, v[i].key, v[j].key, &cmp) != 0)
			return -1;
		if (reverse)
			cmp = -cmp;
		tmp[k++] = cmp > 0 ? v[j++] : v[i++];
	}
	while (i < mid)
		tmp[k++] = v[i++];
	while (j < n)
		tmp[k++] = v[j++];
	memcpy(v, tmp, n * sizeof(*v));
	return 0;
}

static struct keyed *
keyed_list(struct tcall *c, const struct vlist *l)
{
	return ARENA_ARRAY(c->arena, l->n + 1, struct keyed);
}

static const struct value *
f_sort(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out = v_list(c->arena);
	struct keyed *v;
	bool reverse, sensitive;

	if (l == NULL || !targ_bool(c, 0, false, &reverse) ||
	    !targ_bool(c, 1, false, &sensitive))
		return NULL;
	v = keyed_list(c, l);
	for (uint32_t i = 0; i < l->n; i++) {
		v[i].val = l->v[i];
		v[i].key = multi_key(c, l->v[i], c->a[2], sensitive);
		if (v[i].key == NULL)
			return NULL;
	}
	if (sort_keyed(c, v, keyed_list(c, l), l->n, reverse) != 0)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++)
		v_push(c->arena, out, v[i].val);
	return out;
}

/* by: 0 the key, 1 the value */
static const struct value *
f_dictsort(struct tcall *c)
{
	const struct ventry *e;
	struct value *out;
	struct keyed *v;
	const char *by;
	size_t len;
	bool sensitive, reverse, by_key;
	uint32_t it, n = 0;

	if (!targ_bool(c, 0, false, &sensitive) || !targ_str(c, 1, "key", &by, &len) ||
	    !targ_bool(c, 2, false, &reverse))
		return NULL;
	if (strcmp(by, "key") != 0 && strcmp(by, "value") != 0)
		return terr(c, ERR_VALUE, "You can only sort by either \"key\" or \"value\"");
	if (c->in->type != V_MAP)
		return terr(c, ERR_TYPE, "'%s' object has no attribute 'items'", tmpl_py_type(c->in));
	by_key = by[0] == 'k';
	v = arena_alloc(c->arena, ((size_t)v_count(c->in) * 2 + 1) * sizeof(*v));
	for (it = 0; (e = v_next(c->in, &it)) != NULL; n++) {
		const struct value *val = fu_get(c, e->val);

		if (val == NULL)
			return NULL;
		v[n].val = fu_pair(c, e->key, val);
		v[n].key = key_of(c, by_key ? e->key : val, NULL, sensitive);
		if (v[n].key == NULL)
			return NULL;
	}
	if (sort_keyed(c, v, v + n, n, reverse) != 0)
		return NULL;
	out = v_list_room(c->arena, n);
	for (uint32_t i = 0; i < n; i++)
		v_push(c->arena, out, v[i].val);
	return out;
}

static const struct value *
extreme(struct tcall *c, int sign)
{
	const struct vlist *l = fu_list(c, c->in);
	const struct value *best = NULL, *best_key = NULL, *key;
	bool sensitive;
	int cmp;

	if (l == NULL || !targ_bool(c, 0, false, &sensitive))
		return NULL;
	if (l->n == 0)
		return v_undef(c->arena, "No aggregated item, sequence was empty.");
	for (uint32_t i = 0; i < l->n; i++) {
		key = key_of(c, l->v[i], c->a[1], sensitive);
		if (key == NULL)
			return NULL;
		if (best != NULL) {
			if (tcall_compare(c, key, best_key, &cmp) != 0)
				return NULL;
			if (cmp * sign <= 0)
				continue;
		}
		best = l->v[i];
		best_key = key;
	}
	return best;
}

static const struct value *
f_max(struct tcall *c)
{
	return extreme(c, 1);
}

static const struct value *
f_min(struct tcall *c)
{
	return extreme(c, -1);
}

/* ---- sum ---------------------------------------------------------------------- */

struct sum {
	enum vtype	 type;		/* V_INT, V_FLOAT, V_LIST */
	int64_t		 i;
	double		 f, rest;	/* Neumaier's compensation, as CPython since 3.12 */
	struct value	*list;
};

static void
sum_float(struct sum *s, double x)
{
	double t = s->f + x;

	if (fabs(s->f) >= fabs(x))
		s->rest += (s->f - t) + x;
	else
		s->rest += (x - t) + s->f;
	s->f = t;
}

static bool
sum_list(struct tcall *c, struct sum *s, const struct value *v)
{
	struct value *old = s->list;

	if (old != NULL && (old->flags & V_TUPLE) != (v->flags & V_TUPLE))
		return false;
	s->type = V_LIST;
	s->list = v_list(c->arena);
	s->list->flags |= v->flags & V_TUPLE;
	for (uint32_t i = 0; old != NULL && i < v_count(old); i++)
		v_push(c->arena, s->list, v_at(old, i));
	for (uint32_t i = 0; i < v_count(v); i++)
		v_push(c->arena, s->list, v_at(v, i));
	return true;
}

static bool
sum_add(struct tcall *c, struct sum *s, const struct value *v, bool first)
{
	int64_t i;

	if (v->type == V_UNDEF)
		return fu_undef(c, v);
	if (fu_is_int(v, &i) && s->type != V_LIST) {
		if (s->type == V_FLOAT)
			s->f += (double)i;
		else if (__builtin_add_overflow(s->i, i, &s->i)) {
			terr(c, ERR_VALUE, "sum: the result does not fit 64 bits");
			return false;
		}
		return true;
	}
	if (v->type == V_FLOAT && s->type != V_LIST) {
		if (s->type == V_INT) {
			s->type = V_FLOAT;
			s->f = (double)s->i + v->u.f;
		} else
			sum_float(s, v->u.f);
		return true;
	}
	if (v->type == V_LIST && (first || s->type == V_LIST) && sum_list(c, s, v))
		return true;
	terr(c, ERR_TYPE, "unsupported operand type(s) for +: '%s' and '%s'",
	    s->type == V_INT ? "int" : s->type == V_FLOAT ? "float" :
	    (s->list->flags & V_TUPLE) != 0 ? "tuple" : "list", tmpl_py_type(v));
	return false;
}

static const struct value *
f_sum(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct sum s = { .type = V_INT };
	const struct value *v;

	if (l == NULL)
		return NULL;
	if (c->a[1] != NULL && c->a[1]->type == V_STR)
		return terr(c, ERR_TYPE, "sum() can't sum strings [use ''.join(seq) instead]");
	if (c->a[1] != NULL && !sum_add(c, &s, c->a[1], true))
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		v = l->v[i];
		if (fu_given(c, 0) && (v = c->a[0]->type == V_STR ?
		    tcall_attr(c, v, c->a[0]->u.s) : tcall_item(c, v, c->a[0])) == NULL)
			return NULL;
		if (!sum_add(c, &s, v, false))
			return NULL;
	}
	if (s.type == V_INT)
		return v_int(c->arena, s.i);
	if (s.type == V_LIST)
		return s.list;
	return v_float(c->arena, isfinite(s.rest) ? s.f + s.rest : s.f);
}

/* ---- groupby -------------------------------------------------------------------- */

static const struct value *
f_groupby(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out = v_list(c->arena), *members = NULL, *pair;
	const struct value *grouper;
	struct keyed *v;
	bool sensitive;

	if (l == NULL || !targ_bool(c, 2, false, &sensitive))
		return NULL;
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "groupby: missing argument 'attribute'");
	v = keyed_list(c, l);
	for (uint32_t i = 0; i < l->n; i++) {
		v[i].val = l->v[i];
		v[i].key = key_of(c, l->v[i], c->a[0], sensitive);
		if (v[i].key == NULL)
			return NULL;
	}
	if (sort_keyed(c, v, keyed_list(c, l), l->n, false) != 0)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		if (i == 0 || !v_equal(v[i].key, v[i - 1].key)) {
			members = v_list(c->arena);
			/* The key as it stands in the first member, not in lower case. */
			grouper = key_of(c, v[i].val, c->a[0], true);
			if (grouper == NULL)
				return NULL;
			pair = fu_pair(c, grouper, members);
			pair->tag = V_LIST_GROUP;
			v_push(c->arena, out, pair);
		}
		v_push(c->arena, members, v[i].val);
	}
	return out;
}

static const struct tfilter filters[] = {
	{ "batch", "linecount,fill_with", 0, f_batch },
	{ "count", "", TF_LAZY, f_length },
	{ "dictsort", "case_sensitive,by,reverse", 0, f_dictsort },
	{ "first", "", TF_LAZY, f_first },
	{ "groupby", "attribute,default,case_sensitive", 0, f_groupby },
	{ "join", "d,attribute", 0, f_join },
	{ "last", "", TF_LAZY, f_last },
	{ "length", "", TF_LAZY, f_length },
	{ "list", "", TF_LAZY, f_list },
	{ "max", "case_sensitive,attribute", 0, f_max },
	{ "min", "case_sensitive,attribute", 0, f_min },
	{ "reverse", "", 0, f_reverse },
	{ "slice", "slices,fill_with", 0, f_slice },
	{ "sort", "reverse,case_sensitive,attribute", 0, f_sort },
	{ "sum", "attribute,start", 0, f_sum },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_seq = { filters, NULL };
