/*
 * Lookups that put lists together: what with_items and its kin loop over.
 */
#include <math.h>
#include <string.h>

#include "template/eval.h"
#include "template/filter_random.h"
#include "template/filter_util.h"
#include "template/lookup_util.h"

/* A list's elements are taken out, anything else stands for itself. */
static void
flatten_one(struct tcall *c, struct value *out, const struct value *v)
{
	if (v->type != V_LIST) {
		v_push(c->arena, out, v);
		return;
	}
	for (uint32_t i = 0; i < v_count(v); i++)
		v_push(c->arena, out, v_at(v, i));
}

static struct value *
flat_terms(struct tcall *c)
{
	struct value *out = v_list(c->arena);

	for (uint32_t i = 0; i < c->nstar; i++)
		flatten_one(c, out, c->star[i]);
	return out;
}

static const struct value *
l_items(struct tcall *c)
{
	return flat_terms(c);
}

static const struct value *
l_list(struct tcall *c)
{
	struct value *out = v_list(c->arena);

	for (uint32_t i = 0; i < c->nstar; i++)
		v_push(c->arena, out, c->star[i]);
	return out;
}

static const struct value *
l_dict(struct tcall *c)
{
	struct value *out = v_list(c->arena), *item;
	const struct ventry *e;

	for (uint32_t i = 0; i < c->nstar; i++) {
		if (c->star[i]->type != V_MAP)
			return terr(c, ERR_TYPE, "the 'dict' lookup plugin expects a dictionary, got a value of type %s",
			    tmpl_py_type(c->star[i]));
		for (uint32_t it = 0; (e = v_next(c->star[i], &it)) != NULL;) {
			item = v_map(c->arena);
			v_sets(c->arena, item, "key", e->key);
			v_sets(c->arena, item, "value", e->val);
			v_push(c->arena, out, item);
		}
	}
	return out;
}

static const struct value *
l_indexed_items(struct tcall *c)
{
	struct value *flat = flat_terms(c), *out = v_list(c->arena);

	for (uint32_t i = 0; i < v_count(flat); i++)
		v_push(c->arena, out, fu_pair(c, v_int(c->arena, i), v_at(flat, i)));
	return out;
}

static const struct value *
l_nested(struct tcall *c)
{
	struct value *rows, *next, *row;
	const struct vlist *l;

	if (c->nstar == 0)
		return terr(c, ERR_VALUE, "with_nested requires at least one element in the nested list");
	rows = v_list(c->arena);
	if ((l = fu_list(c, c->star[0])) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct value *first = l->v[i];

		/* A list alone has its elements taken apart, a text into characters. */
		if (c->nstar == 1 && strstr(c->name, "cartesian") == NULL &&
		    (first = tcall_list(c, first)) == NULL)
			return NULL;
		row = v_list(c->arena);
		flatten_one(c, row, first);
		v_push(c->arena, rows, row);
	}
	for (uint32_t t = 1; t < c->nstar; t++) {
		if ((l = fu_list(c, c->star[t])) == NULL)
			return NULL;
		if ((uint64_t)v_count(rows) * l->n > FU_ITEMS_MAX)
			return terr(c, ERR_LIMIT, "nested: more than %u combinations", FU_ITEMS_MAX);
		next = v_list(c->arena);
		for (uint32_t i = 0; i < v_count(rows); i++)
			for (uint32_t k = 0; k < l->n; k++) {
				row = v_list(c->arena);
				flatten_one(c, row, v_at(rows, i));
				flatten_one(c, row, l->v[k]);
				v_push(c->arena, next, row);
			}
		rows = next;
	}
	if (strstr(c->name, "cartesian") != NULL)
		return rows;
	/* The plugin flattens once more at the end. */
	next = v_list(c->arena);
	for (uint32_t i = 0; i < v_count(rows); i++) {
		row = v_list(c->arena);
		for (uint32_t k = 0; k < v_count(v_at(rows, i)); k++)
			flatten_one(c, row, v_at(v_at(rows, i), k));
		v_push(c->arena, next, row);
	}
	return next;
}

static const struct value *
l_together(struct tcall *c)
{
	struct value *out = v_list(c->arena), *row;
	const struct vlist **l = arena_array(c->arena, c->nstar + 1, sizeof(*l));
	uint32_t max = 0;

	if (c->nstar == 0)
		return terr(c, ERR_VALUE, "with_together requires at least one element in each list");
	for (uint32_t i = 0; i < c->nstar; i++) {
		if ((l[i] = fu_list(c, c->star[i])) == NULL)
			return NULL;
		max = l[i]->n > max ? l[i]->n : max;
	}
	for (uint32_t k = 0; k < max; k++) {
		row = v_list(c->arena);
		for (uint32_t i = 0; i < c->nstar; i++)
			flatten_one(c, row, k < l[i]->n ? l[i]->v[k] : &v_null);
		v_push(c->arena, out, row);
	}
	return out;
}

/* ---- subelements ------------------------------------------------------------------------------ */

/*
 * The item without the key that its path leads to, which Ansible takes out of
 * it, and the list that was there in *sub.  NULL after an error.
 */
static const struct value *
take_out(struct tcall *c, const struct value *item, const char *path, bool skip,
    const struct value **sub)
{
	size_t n = strcspn(path, ".");
	const struct value *v, *key = fu_strn(c, path, n), *rest;
	struct value *copy;
	bool last = path[n] == '\0';

	v = v_get(item, key);
	if (v == NULL) {
		if (!skip)
			return terr(c, ERR_VALUE, "could not find '%s' key in iterated item", key->u.s);
		return last ? item : take_out(c, item, path + n + 1, skip, sub);
	}
	if (!last && v->type != V_MAP) {
		if (!skip)
			return terr(c, ERR_TYPE, "the key %s should point to a dictionary, got a %s",
			    key->u.s, tmpl_py_type(v));
		return take_out(c, item, path + n + 1, skip, sub);
	}
	if (last && v->type != V_LIST)
		return terr(c, ERR_TYPE, "the key %s should point to a list, got a %s", key->u.s,
		    tmpl_py_type(v));
	copy = v_map(c->arena);
	v_merge(c->arena, copy, item);
	if (last) {
		*sub = v;
		v_del(copy, key);
		return copy;
	}
	if ((rest = take_out(c, v, path + n + 1, skip, sub)) == NULL)
		return NULL;
	v_set(c->arena, copy, key, rest);
	return copy;
}

static bool
was_skipped(const struct value *item)
{
	const struct value *v = v_gets(item, "skipped");

	return v != NULL && !(v->type == V_BOOL && !v->u.b);
}

static const struct value *
l_subelements(struct tcall *c)
{
	struct value *out = v_list(c->arena), *items = v_list(c->arena);
	const struct value *item, *sub, *flag;
	const struct ventry *e;
	bool skip = false;

	if (c->nstar < 2 || c->nstar > 3)
		return terr(c, ERR_VALUE, "subelements lookup expects a list of two or three items");
	if ((c->star[0]->type != V_LIST && c->star[0]->type != V_MAP) || c->star[1]->type != V_STR)
		return terr(c, ERR_TYPE, "subelements lookup expects first a dict or a list, second a string pointing to the subkey");
	if (c->star[0]->type == V_MAP) {
		if (was_skipped(c->star[0]))
			return out;
		for (uint32_t it = 0; (e = v_next(c->star[0], &it)) != NULL;)
			v_push(c->arena, items, e->val);
	} else
		flatten_one(c, items, c->star[0]);
	if (c->nstar == 3) {
		if (c->star[2]->type != V_MAP)
			return terr(c, ERR_TYPE, "subelements: the optional third item must be a dict with flags ('skip_missing',)");
		flag = v_gets(c->star[2], "skip_missing");
		if (flag != NULL) {
			flag = tcall_filter(c, "bool", flag, NULL, 0, NULL);
			if (flag == NULL)
				return NULL;
			skip = flag->type == V_BOOL && flag->u.b;
		}
	}
	for (uint32_t i = 0; i < v_count(items); i++) {
		item = v_at(items, i);
		if (item->type != V_MAP)
			return terr(c, ERR_TYPE, "subelements lookup expects a dictionary, got a %s", tmpl_py_type(item));
		if (was_skipped(item))
			continue;
		sub = NULL;
		if ((item = take_out(c, item, c->star[1]->u.s, skip, &sub)) == NULL)
			return NULL;
		for (uint32_t k = 0; sub != NULL && k < v_count(sub); k++)
			v_push(c->arena, out, fu_pair(c, item, v_at(sub, k)));
	}
	return out;
}

/* ---- flattened -------------------------------------------------------------------------------- */

static bool
flatten_all(struct tcall *c, struct value *out, const struct value *v, unsigned depth)
{
	const struct value *t;

	if (depth > V_DEPTH_MAX) {
		terr(c, ERR_LIMIT, "flattened: nested more than %d deep", V_DEPTH_MAX);
		return false;
	}
	for (uint32_t i = 0; i < v_count(v); i++) {
		t = v_at(v, i);
		if (v_eqs(t, "None") || v_eqs(t, "null"))
			break;
		if (t->type == V_LIST) {
			if (!flatten_all(c, out, t, depth + 1))
				return false;
		} else
			v_push(c->arena, out, t);
	}
	return true;
}

static const struct value *
l_flattened(struct tcall *c)
{
	struct value *out = v_list(c->arena), *terms = v_list(c->arena);

	for (uint32_t i = 0; i < c->nstar; i++)
		v_push(c->arena, terms, c->star[i]);
	return flatten_all(c, out, terms, 0) ? out : NULL;
}

static const struct value *
l_random_choice(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	struct pyrandom r;

	if (c->nstar == 0)
		return out;
	pyrandom_system(&r);
	v_push(c->arena, out, c->star[pyrandom_below(&r, c->nstar)]);
	return out;
}

/* ---- sequence ----------------------------------------------------------------------------------- */

struct sequence {
	int64_t		 start, end, stride, count;
	bool		 has_end, has_count;
	const char	*format;
	size_t		 flen;
};

/* Decimal, whatever the plugin's documentation says of 0x0f: ansible-core 2.19 refuses that. */
static bool
seq_number(struct tcall *c, const char *name, const struct value *v, int64_t *ret)
{
	double f = v->type == V_FLOAT ? v->u.f : NAN;

	if (fu_is_int(v, ret) ||
	    (v->type == V_STR && fu_parse_int(v->u.s, v->len, 10, ret) == 1))
		return true;
	/* "2.0" is an integer too. */
	if ((v->type == V_FLOAT || (v->type == V_STR && fu_parse_float(v->u.s, v->len, &f) == 1)) &&
	    floor(f) >= f && fu_float_int(f, ret) == 1)
		return true;
	terr(c, ERR_VALUE, "sequence: can't parse %s as integer", name);
	return false;
}

static bool
seq_option(struct tcall *c, struct sequence *s, const char *name, const struct value *v)
{
	if (strcmp(name, "start") == 0)
		return seq_number(c, name, v, &s->start);
	if (strcmp(name, "stride") == 0)
		return seq_number(c, name, v, &s->stride);
	if (strcmp(name, "end") == 0) {
		s->has_end = true;
		return seq_number(c, name, v, &s->end);
	}
	if (strcmp(name, "count") == 0) {
		s->has_count = true;
		return seq_number(c, name, v, &s->count);
	}
	if (strcmp(name, "format") == 0)
		return fu_text(c, v, &s->format, &s->flen);
	terr(c, ERR_VALUE, "unrecognized arguments to with_sequence: ['%s']", name);
	return false;
}

static size_t
seq_digits(const char *p)
{
	size_t n = 0;

	if (p[0] == '0' && (p[1] | 0x20) == 'x')
		n = 2;
	while (strchr("0123456789abcdefABCDEF", p[n]) != NULL && p[n] != '\0')
		n++;
	return n;
}

/* [start-]end[/stride][:format]: 1 taken, 0 another form, -1 error. */
static int
seq_shortcut(struct tcall *c, struct sequence *s, const char *term)
{
	const char *p = term, *start = NULL, *end, *stride = NULL, *format = NULL;
	size_t n = seq_digits(p), nstart = 0, nend, nstride = 0;

	if (n == 0)
		return 0;
	if (p[n] == '-') {
		start = p;
		nstart = n;
		p += n + 1;
		n = seq_digits(p);
		if (n == 0)
			return 0;
	}
	end = p;
	nend = n;
	p += n;
	if (*p == '/') {
		stride = ++p;
		nstride = seq_digits(p);
		if (nstride == 0)
			return 0;
		p += nstride;
	}
	if (*p == ':' && p[1] != '\0') {
		format = p + 1;
		p += strlen(p);
	}
	if (*p != '\0')
		return 0;
	if ((start != NULL && !seq_option(c, s, "start", fu_strn(c, start, nstart))) ||
	    !seq_option(c, s, "end", fu_strn(c, end, nend)) ||
	    (stride != NULL && !seq_option(c, s, "stride", fu_strn(c, stride, nstride))) ||
	    (format != NULL && !seq_option(c, s, "format", v_str(c->arena, format))))
		return -1;
	return 1;
}

static bool
seq_generate(struct tcall *c, struct sequence *s, struct value *out)
{
	const struct value *text;
	const char *p;
	int64_t i;

	if (s->has_end == s->has_count) {
		terr(c, ERR_VALUE, s->has_end ? "can't specify both count and end in with_sequence" :
		    "must specify count or end in with_sequence");
		return false;
	}
	if (s->has_count) {
		if (s->count == 0)
			return true;
		if (__builtin_mul_overflow(s->count, s->stride, &s->end) ||
		    __builtin_add_overflow(s->end, s->start - 1, &s->end)) {
			terr(c, ERR_LIMIT, "sequence: the numbers are too large");
			return false;
		}
	}
	if ((s->stride > 0 && s->end < s->start) || (s->stride < 0 && s->end > s->start)) {
		terr(c, ERR_VALUE, s->stride > 0 ? "to count backwards make stride negative" :
		    "to count forward don't make stride negative");
		return false;
	}
	if (s->stride == 0)
		return true;
	p = memchr(s->format, '%', s->flen);
	if (p == NULL || memchr(p + 1, '%', s->flen - (size_t)(p + 1 - s->format)) != NULL) {
		terr(c, ERR_VALUE, "bad formatting string: %s", s->format);
		return false;
	}
	for (i = s->start; s->stride > 0 ? i <= s->end : i >= s->end;) {
		if (v_count(out) >= FU_ITEMS_MAX) {
			terr(c, ERR_LIMIT, "sequence: more than %u numbers", FU_ITEMS_MAX);
			return false;
		}
		text = str_percent(c->ev, fu_strn(c, s->format, s->flen), v_int(c->arena, i));
		if (text == NULL)
			return false;
		v_push(c->arena, out, text);
		if (__builtin_add_overflow(i, s->stride, &i))
			break;
	}
	return true;
}

/* sequence(start, end, stride, count, format) */
static const struct value *
l_sequence(struct tcall *c)
{
	static const char *const names[] = { "start", "end", "stride", "count", "format" };
	struct value *out = v_list(c->arena), *kv;
	const struct ventry *e;
	const char *term, *raw;
	struct sequence s;
	bool any = false;
	size_t len;
	int rc;

	for (uint32_t i = 0; i < NITEMS(names); i++)
		any = any || fu_given(c, i);
	for (uint32_t t = 0; t < c->nstar || (t == 0 && any); t++) {
		s = (struct sequence){ .start = 1, .stride = 1, .format = "%d", .flen = 2 };
		for (uint32_t i = 0; i < NITEMS(names); i++)
			if (fu_given(c, i) && !seq_option(c, &s, names[i], c->a[i]))
				return NULL;
		term = "";
		if (t < c->nstar && !lookup_term(c, t, &term, &len))
			return NULL;
		if ((rc = seq_shortcut(c, &s, term)) < 0)
			return NULL;
		if (rc == 0) {
			kv = lookup_kv(c, term, &raw);
			if (*raw != '\0')
				return terr(c, ERR_VALUE, "unrecognized arguments to with_sequence: '%s'", raw);
			for (uint32_t it = 0; (e = v_next(kv, &it)) != NULL;)
				if (!seq_option(c, &s, e->key->u.s, e->val))
					return NULL;
		}
		if (!seq_generate(c, &s, out))
			return NULL;
	}
	return out;
}

const struct tlookup lookups_loop[] = {
	{ "cartesian", "", 0, l_nested },
	{ "dict", "", 0, l_dict },
	{ "flattened", "", 0, l_flattened },
	{ "indexed_items", "", 0, l_indexed_items },
	{ "items", "", 0, l_items },
	{ "list", "", 0, l_list },
	{ "nested", "", 0, l_nested },
	{ "random_choice", "", 0, l_random_choice },
	{ "sequence", "start,end,stride,count,format", 0, l_sequence },
	{ "subelements", "", 0, l_subelements },
	{ "together", "", 0, l_together },
	{ NULL, NULL, 0, NULL }
};
