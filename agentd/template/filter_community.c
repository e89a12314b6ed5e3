/*
 * Filters of community.general that roles use.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "template/filter_random.h"
#include "template/filter_util.h"
#include "template/jmespath.h"
#include "template/regex.h"
#include "template/version.h"

static const struct value *
f_json_query(struct tcall *c)
{
	const struct value *in = tcall_final(c, c->in);
	const char *expr;
	size_t len;

	if (in == NULL)
		return NULL;
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "json_query: missing argument 'expr'");
	if (!fu_str(c, c->a[0], &expr, &len))
		return NULL;
	return jmespath_search(c->arena, expr, len, in, c->err);
}

/* ---- dictionaries ------------------------------------------------------------------------- */

static const struct value *
f_dict(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct vlist *l, *pair;
	const struct value *key;

	if (c->in->type == V_MAP)
		return c->in;
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		if ((pair = fu_list(c, l->v[i])) == NULL)
			return NULL;
		if (pair->n != 2)
			return terr(c, ERR_VALUE, "dictionary update sequence element #%u has length %u; 2 is required",
			    i, pair->n);
		if ((key = tcall_final(c, pair->v[0])) == NULL)
			return NULL;
		if (!v_hashable(key))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(key));
		v_set(c->arena, out, key, pair->v[1]);
	}
	return out;
}

static const struct value *
f_dict_kv(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct value *key = c->a[0] != NULL ? tcall_final(c, c->a[0]) : NULL;

	if (key == NULL)
		return c->a[0] != NULL ? NULL : terr(c, ERR_TYPE, "dict_kv: missing argument 'key'");
	if (!v_hashable(key))
		return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(key));
	v_set(c->arena, out, key, c->in);
	return out;
}

static bool
is_sequence(const struct value *v)
{
	return v->type == V_LIST || v->type == V_STR;
}

static const struct value *
f_counter(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct value *list, *old;

	if (!is_sequence(c->in))
		return terr(c, ERR_TYPE, "Argument for community.general.counter must be a sequence (string or list), not %s",
		    tmpl_py_type(c->in));
	if ((list = tcall_list(c, c->in)) == NULL || (list = tcall_final(c, list)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < v_count(list); i++) {
		if (!v_hashable(v_at(list, i)))
			return terr(c, ERR_TYPE, "community.general.counter needs a sequence with hashable elements (int, float or str)");
		old = v_get(out, v_at(list, i));
		v_set(c->arena, out, v_at(list, i), v_int(c->arena, old != NULL ? old->u.i + 1 : 1));
	}
	return out;
}

static const struct value *
f_groupby_as_dict(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct vlist *l;
	const struct value *key;

	if (!is_sequence(c->in))
		return terr(c, ERR_TYPE, "Input is not a sequence");
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "groupby_as_dict: missing argument 'attribute'");
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i]->type != V_MAP)
			return terr(c, ERR_TYPE, "Sequence element #%u is not a mapping", i);
		if ((key = v_get(l->v[i], c->a[0])) == NULL)
			return terr(c, ERR_VALUE, "Attribute not contained in element #%u of sequence", i);
		if ((key = tcall_final(c, key)) == NULL)
			return NULL;
		if (!v_hashable(key))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(key));
		if (v_get(out, key) != NULL)
			return terr(c, ERR_VALUE, "Multiple sequence entries have the attribute value of element #%u", i);
		v_set(c->arena, out, key, l->v[i]);
	}
	return out;
}

/* ---- keep_keys and its kin -------------------------------------------------------------------- */

enum key_match { KEY_EQUAL, KEY_STARTS, KEY_ENDS, KEY_REGEX };

static bool
key_matching(struct tcall *c, uint32_t i, enum key_match *ret)
{
	static const char *const names[] = { "equal", "starts_with", "ends_with", "regex" };
	const char *s;
	size_t len;

	if (!targ_str(c, i, "equal", &s, &len))
		return false;
	for (size_t k = 0; k < NITEMS(names); k++)
		if (strcmp(s, names[k]) == 0) {
			*ret = (enum key_match)k;
			return true;
		}
	terr(c, ERR_VALUE, "The matching_parameter must be one of equal, starts_with, ends_with, regex");
	return false;
}

/* 1 yes, 0 no, -1 error. */
static int
key_matches(struct tcall *c, const struct value *key, const struct value *want, enum key_match how)
{
	const struct regex *re;
	struct regex_match m;

	switch (how) {
	case KEY_EQUAL:
		return v_equal(key, want);
	case KEY_STARTS:
		return key->len >= want->len && memcmp(key->u.s, want->u.s, want->len) == 0;
	case KEY_ENDS:
		return key->len >= want->len &&
		    memcmp(key->u.s + key->len - want->len, want->u.s, want->len) == 0;
	default:
		re = regex_get(want->u.s, want->len, 0, c->err);
		return re == NULL ? -1 :
		    regex_exec(re, key->u.s, key->len, 0, REGEX_MATCH, false, &m, c->err);
	}
}

/* The target: a string or a list of strings, not empty. */
static const struct vlist *
key_targets(struct tcall *c, enum key_match how)
{
	struct value *one = v_list(c->arena);
	const struct vlist *l;

	if (c->a[0] == NULL || (c->a[0]->type != V_STR && c->a[0]->type != V_LIST)) {
		terr(c, ERR_TYPE, "The target must be a string or a list");
		return NULL;
	}
	v_push(c->arena, one, c->a[0]);
	l = c->a[0]->type == V_STR ? one->u.list : fu_list(c, c->a[0]);
	for (uint32_t i = 0; l != NULL && i < l->n; i++)
		if (l->v[i]->type != V_STR) {
			terr(c, ERR_TYPE, "The target items must be strings");
			return NULL;
		}
	if (l != NULL && (l->n == 0 || (how == KEY_REGEX && l->n > 1))) {
		terr(c, ERR_VALUE, l->n == 0 ? "The target can't be empty" :
		    "Single item is required in the target list if matching_parameter=regex");
		return NULL;
	}
	return l;
}

static const struct value *
filter_keys(struct tcall *c, bool keep)
{
	struct value *out = v_list(c->arena), *map;
	const struct vlist *l, *targets;
	const struct ventry *e;
	enum key_match how;
	int hit;

	if (!key_matching(c, 1, &how) || (targets = key_targets(c, how)) == NULL ||
	    (l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i]->type != V_MAP)
			return terr(c, ERR_TYPE, "The data items must be dictionaries, not %s", tmpl_py_type(l->v[i]));
		map = v_map(c->arena);
		for (uint32_t it = 0; (e = v_next(l->v[i], &it)) != NULL;) {
			if (e->key->type != V_STR)
				return terr(c, ERR_TYPE, "Top level keys must be strings");
			hit = 0;
			for (uint32_t k = 0; hit == 0 && k < targets->n; k++)
				hit = key_matches(c, e->key, targets->v[k], how);
			if (hit < 0)
				return NULL;
			if ((hit != 0) == keep)
				v_set(c->arena, map, e->key, e->val);
		}
		v_push(c->arena, out, map);
	}
	return out;
}

static const struct value *
f_keep_keys(struct tcall *c)
{
	return filter_keys(c, true);
}

static const struct value *
f_remove_keys(struct tcall *c)
{
	return filter_keys(c, false);
}

/* The name that the first matching {before, after} gives a key. NULL after an error. */
static const struct value *
replaced_key(struct tcall *c, const struct value *key, const struct vlist *targets, enum key_match how)
{
	const struct value *before, *after;
	int hit;

	for (uint32_t i = 0; i < targets->n; i++) {
		before = v_gets(targets->v[i], "before");
		after = v_gets(targets->v[i], "after");
		if (before == NULL || after == NULL || before->type != V_STR || after->type != V_STR)
			return terr(c, ERR_VALUE, "All dictionaries in target must include attributes: after, before");
		if ((hit = key_matches(c, key, before, how)) != 0)
			return hit > 0 ? after : NULL;
	}
	return key;
}

static const struct value *
f_replace_keys(struct tcall *c)
{
	struct value *out = v_list(c->arena), *map;
	const struct vlist *l, *targets;
	const struct value *key, *target;
	const struct ventry *e;
	enum key_match how;

	if (!key_matching(c, 1, &how))
		return NULL;
	if (c->a[0] == NULL || c->a[0]->type != V_LIST || v_count(c->a[0]) == 0)
		return terr(c, ERR_TYPE, "The target must be a list that is not empty");
	if ((target = tcall_final(c, c->a[0])) == NULL || (l = fu_list(c, c->in)) == NULL)
		return NULL;
	targets = target->u.list;
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i]->type != V_MAP)
			return terr(c, ERR_TYPE, "The data items must be dictionaries, not %s", tmpl_py_type(l->v[i]));
		map = v_map(c->arena);
		for (uint32_t it = 0; (e = v_next(l->v[i], &it)) != NULL;) {
			if (e->key->type != V_STR)
				return terr(c, ERR_TYPE, "Top level keys must be strings");
			if ((key = replaced_key(c, e->key, targets, how)) == NULL)
				return NULL;
			v_set(c->arena, map, key, e->val);
		}
		v_push(c->arena, out, map);
	}
	return out;
}

/* ---- lists ---------------------------------------------------------------------------------------- */

/* The keyword flatten of the lists_ filters. */
static bool
lists_flatten(struct tcall *c, bool *flat)
{
	const struct ventry *e;

	*flat = false;
	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;) {
		if (!v_eqs(e->key, "flatten")) {
			terr(c, ERR_TYPE, "%s() got unexpected keywords arguments", c->name);
			return false;
		}
		*flat = tcall_truth(e->val);
	}
	return true;
}

/* Input and arguments; with flatten, lists of lists are taken apart. */
static const struct value *
lists_of(struct tcall *c, uint32_t nstar, bool flat)
{
	struct value *out = v_list(c->arena);
	const struct value *v;
	bool nested;

	for (uint32_t i = 0; i <= nstar; i++) {
		if ((v = tcall_list(c, i == 0 ? c->in : c->star[i - 1])) == NULL ||
		    (v = tcall_final(c, v)) == NULL)
			return NULL;
		nested = flat && v_count(v) > 0;
		for (uint32_t k = 0; nested && k < v_count(v); k++)
			nested = v_at(v, k)->type == V_LIST;
		if (!nested && !(flat && v_count(v) == 0))
			v_push(c->arena, out, v);
		for (uint32_t k = 0; nested && k < v_count(v); k++)
			v_push(c->arena, out, v_at(v, k));
	}
	return out;
}

static const struct value *
fold_lists(struct tcall *c, const char *filter)
{
	const struct value *lists, *a, *b;
	bool flat;

	if (!lists_flatten(c, &flat) || (lists = lists_of(c, c->nstar, flat)) == NULL)
		return NULL;
	if (v_count(lists) == 0)
		return v_list(c->arena);
	a = v_at(lists, 0);
	for (uint32_t i = 1; i < v_count(lists) && a != NULL; i++) {
		b = v_at(lists, i);
		a = tcall_filter(c, filter, a, &b, 1, NULL);
	}
	return a;
}

static const struct value *
f_lists_union(struct tcall *c)
{
	return fold_lists(c, "union");
}

static const struct value *
f_lists_intersect(struct tcall *c)
{
	return fold_lists(c, "intersect");
}

static const struct value *
f_lists_difference(struct tcall *c)
{
	return fold_lists(c, "difference");
}

static const struct value *
f_lists_symmetric_difference(struct tcall *c)
{
	return fold_lists(c, "symmetric_difference");
}

/* Adds the elements of a list to the map of those merged so far. */
static bool
merge_by(struct tcall *c, struct value *all, const struct value *list, const struct value *index)
{
	const struct value *elem, *key, *old, *merged;

	for (uint32_t i = 0; i < v_count(list); i++) {
		elem = v_at(list, i);
		if (elem->type != V_MAP) {
			terr(c, ERR_TYPE, "Elements of list arguments for lists_mergeby must be dictionaries, not %s",
			    tmpl_py_type(elem));
			return false;
		}
		if ((key = v_get(elem, index)) == NULL)
			continue;
		if (!v_hashable(key)) {
			terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(key));
			return false;
		}
		old = v_get(all, key);
		merged = old == NULL ? elem : tcall_filter(c, "combine", old, &elem, 1, c->kw);
		if (merged == NULL)
			return false;
		v_set(c->arena, all, key, merged);
	}
	return true;
}

static const struct value *
f_lists_mergeby(struct tcall *c)
{
	struct value *all = NULL, *out;
	const struct value *lists, *index, *result, *by[3];
	const struct ventry *e;

	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;)
		if (!v_eqs(e->key, "recursive") && !v_eqs(e->key, "list_merge"))
			return terr(c, ERR_TYPE, "'recursive' and 'list_merge' are the only valid keyword arguments.");
	if (c->nstar == 0)
		return terr(c, ERR_TYPE, "At least one list and index are needed.");
	index = c->star[c->nstar - 1];
	if ((lists = lists_of(c, c->nstar - 1, true)) == NULL)
		return NULL;
	if (v_count(lists) < 2)
		return v_count(lists) == 0 ? v_list(c->arena) : v_at(lists, 0);
	if (index->type != V_STR)
		return terr(c, ERR_TYPE, "First argument after the lists for community.general.lists_mergeby must be string");
	result = v_at(lists, v_count(lists) - 1);
	for (uint32_t i = v_count(lists) - 1; i > 0; i--) {
		all = v_map(c->arena);
		if (!merge_by(c, all, v_at(lists, i - 1), index) || !merge_by(c, all, result, index))
			return NULL;
		out = v_list(c->arena);
		for (uint32_t it = 0; (e = v_next(all, &it)) != NULL;)
			v_push(c->arena, out, e->val);
		by[0] = &v_false;
		by[1] = &v_true;
		by[2] = index;
		if ((result = tcall_filter(c, "sort", out, by, 3, NULL)) == NULL)
			return NULL;
	}
	return result;
}

/* itertools.accumulate(): sums, or texts put together. */
static const struct value *
f_accumulate(struct tcall *c)
{
	struct value *out = v_list(c->arena), *pair;
	const struct vlist *l;
	const struct value *sum = NULL, *v;
	const char *s;
	size_t len;

	if (!is_sequence(c->in))
		return terr(c, ERR_TYPE, "Invalid value type (%s) for accumulate", tmpl_py_type(c->in));
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		v = l->v[i];
		if (sum != NULL && sum->type == V_STR) {
			if (!fu_str(c, v, &s, &len))
				return NULL;
			sum = v_strf(c->arena, "%s%s", sum->u.s, s);
		} else if (sum != NULL) {
			pair = v_list(c->arena);
			v_push(c->arena, pair, v);
			sum = tcall_filter(c, "sum", pair, (const struct value *[]){ &v_null, sum }, 2, NULL);
			if (sum == NULL)
				return NULL;
		} else
			sum = v;
		v_push(c->arena, out, sum);
	}
	return out;
}

struct version_item {
	const struct value	*v;
	const char		*s;
	size_t			 len;
};

static bool
sort_versions(struct tcall *c, struct version_item *v, struct version_item *tmp, size_t n, bool reverse)
{
	size_t mid = n / 2, i = 0, j = mid, k = 0;
	int cmp;

	if (n < 2)
		return true;
	if (!sort_versions(c, v, tmp, mid, reverse) || !sort_versions(c, v + mid, tmp, n - mid, reverse))
		return false;
	while (i < mid && j < n) {
		if (version_compare(c->arena, VERSION_LOOSE, v[i].s, v[i].len, v[j].s, v[j].len, &cmp, c->err) != 0)
			return false;
		tmp[k++] = (reverse ? -cmp : cmp) > 0 ? v[j++] : v[i++];
	}
	while (i < mid)
		tmp[k++] = v[i++];
	while (j < n)
		tmp[k++] = v[j++];
	memcpy(v, tmp, n * sizeof(*v));
	return true;
}

static const struct value *
f_version_sort(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l = fu_list(c, c->in);
	struct version_item *v;
	bool reverse;

	if (l == NULL || !targ_bool(c, 0, false, &reverse))
		return NULL;
	v = arena_array(c->arena, (size_t)l->n * 2 + 1, sizeof(*v));
	for (uint32_t i = 0; i < l->n; i++) {
		v[i].v = l->v[i];
		if (!fu_str(c, l->v[i], &v[i].s, &v[i].len))
			return NULL;
	}
	if (!sort_versions(c, v, v + l->n, l->n, reverse))
		return NULL;
	for (uint32_t i = 0; i < l->n; i++)
		v_push(c->arena, out, v[i].v);
	return out;
}

/* ---- crc32, random_mac -------------------------------------------------------------------------------- */

static const struct value *
f_crc32(struct tcall *c)
{
	uint32_t crc = 0xffffffffu;
	const char *s;
	size_t len;

	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)s[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0xedb88320u & (0 - (crc & 1)));
	}
	return v_strf(c->arena, "%x", crc ^ 0xffffffffu);
}

static const struct value *
f_random_mac(struct tcall *c)
{
	struct buf b = BUF_INIT;
	struct pyrandom r;
	const char *s, *p;
	char digits[16];
	size_t len, items = 1, n;
	uint64_t v;

	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	for (p = s;; p += n + 1) {
		n = strcspn(p, ":");
		if (n < 2 || !isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]))
			return terr(c, ERR_VALUE, "Invalid value (%s) for random_mac: %.*s not hexa byte", s, (int)n, p);
		if (p[n] == '\0')
			break;
		items++;
	}
	if (items > 5)
		return terr(c, ERR_VALUE, "Invalid value (%s) for random_mac: 5 colon(:) separated items max", s);
	if (!fu_given(c, 0))
		pyrandom_system(&r);
	else if (!pyrandom_seed(&r, c->a[0]))
		return terr(c, ERR_TYPE, "random_mac: a seed must be an int or a str");
	v = UINT64_C(68719476736) + pyrandom_below(&r, UINT64_C(1099511627775) - UINT64_C(68719476736) + 1);
	(void)snprintf(digits, sizeof(digits), "%llx", (unsigned long long)v);
	for (size_t i = 0; i < len; i++)
		buf_addc(&b, (char)tolower((unsigned char)s[i]));
	for (size_t i = 0; i < 2 * (6 - items); i += 2)
		buf_addf(&b, ":%.2s", digits + i);
	return fu_result(c, &b);
}

/* ---- units of time ---------------------------------------------------------------------------------------- */

static const struct {
	const char	*names[4];
	double		 ms;
} units[] = {
	{ { "ms", "millisecond", "msec", "msecond" }, 1 },
	{ { "s", "second", "sec", NULL }, 1000 },
	{ { "m", "minute", "min", NULL }, 60e3 },
	{ { "h", "hour", NULL, NULL }, 3600e3 },
	{ { "d", "day", NULL, NULL }, 86400e3 },
	{ { "w", "week", NULL, NULL }, 7 * 86400e3 },
	{ { "mo", "month", NULL, NULL }, 30 * 86400e3 },
	{ { "y", "year", NULL, NULL }, 365 * 86400e3 },
};

/* Milliseconds of a unit, with or without the plural's s; 0 when it is none. month and year may be given otherwise. */
static double
unit_ms(const char *name, size_t len, double month, double year)
{
	size_t n = len;

	while (n > 0 && name[n - 1] == 's')
		n--;
	for (size_t i = 0; i < NITEMS(units); i++)
		for (size_t k = 0; k < 4 && units[i].names[k] != NULL; k++) {
			const char *u = units[i].names[k];

			/* The short form is taken as it is, the long ones without their s. */
			if (k == 0 ? strlen(u) != len || memcmp(u, name, len) != 0 :
			    strlen(u) != n || memcmp(u, name, n) != 0)
				continue;
			return i == 6 ? month * 86400e3 : i == 7 ? year * 86400e3 : units[i].ms;
		}
	return 0;
}

static bool
days_kw(struct tcall *c, const char *name, double *ret)
{
	const struct value *v = v_gets(c->kw, name);

	if (v == NULL || fu_is_num(v, ret))
		return true;
	terr(c, ERR_TYPE, "to_time_unit: %s must be a number", name);
	return false;
}

static const struct value *
time_unit(struct tcall *c, const char *unit, size_t ulen)
{
	const char *s, *p;
	double month = 30, year = 365, to, from, ms = 0, n, r;
	const struct ventry *e;
	char buf[64];
	size_t len, w;

	if (!fu_str(c, c->in, &s, &len) || !days_kw(c, "month", &month) || !days_kw(c, "year", &year))
		return NULL;
	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;)
		if (!v_eqs(e->key, "month") && !v_eqs(e->key, "year"))
			return terr(c, ERR_TYPE, "to_time_unit() got unknown keyword arguments");
	if (strcmp(s, "0") == 0)
		return v_int(c->arena, 0);
	to = unit_ms(unit, ulen, month, year);
	if (to <= 0)
		return terr(c, ERR_VALUE, "to_time_unit() can not convert to the following unit: %s", unit);
	for (p = s; *p != '\0'; p += w) {
		while (isspace((unsigned char)*p))
			p++;
		if (*p == '\0')
			break;
		n = strtod(p, NULL);
		w = *p == '-';
		if (!isdigit((unsigned char)p[w]))
			return terr(c, ERR_VALUE, "to_time_unit() can not interpret following string: %s", s);
		w += strspn(p + w, "0123456789");
		p += w;
		for (w = 0; isalnum((unsigned char)p[w]) || p[w] == '_'; w++)
			continue;
		if (w == 0 || (from = unit_ms(p, w, month, year)) <= 0)
			return terr(c, ERR_VALUE, "to_time_unit() can not interpret following string: %s", s);
		while (p[w] != '\0' && !isspace((unsigned char)p[w]))
			w++;
		ms += n * from;
	}
	r = ms / to;
	if (fabs(r) < 1e12) {
		(void)snprintf(buf, sizeof(buf), "%.12f", r);
		r = strtod(buf, NULL);
	}
	return v_float(c->arena, r);
}

static const struct value *
f_to_time_unit(struct tcall *c)
{
	const char *unit;
	size_t len;

	return targ_str(c, 0, "ms", &unit, &len) ? time_unit(c, unit, len) : NULL;
}

/* to_seconds and its kin: the unit is in the name. */
static const struct value *
f_to_unit(struct tcall *c)
{
	const char *unit = strstr(c->name, "to_");

	unit = unit != NULL ? unit + 3 : c->name;
	return time_unit(c, unit, strlen(unit));
}

static const struct tfilter filters[] = {
	{ "accumulate", "", 0, f_accumulate },
	{ "counter", "", 0, f_counter },
	{ "crc32", "", 0, f_crc32 },
	{ "dict", "", 0, f_dict },
	{ "dict_kv", "key", TF_LAZY, f_dict_kv },
	{ "groupby_as_dict", "attribute", 0, f_groupby_as_dict },
	{ "json_query", "expr", 0, f_json_query },
	{ "keep_keys", "target,matching_parameter", 0, f_keep_keys },
	{ "lists_difference", "", TF_STAR | TF_KWSTAR, f_lists_difference },
	{ "lists_intersect", "", TF_STAR | TF_KWSTAR, f_lists_intersect },
	{ "lists_mergeby", "", TF_STAR | TF_KWSTAR, f_lists_mergeby },
	{ "lists_symmetric_difference", "", TF_STAR | TF_KWSTAR, f_lists_symmetric_difference },
	{ "lists_union", "", TF_STAR | TF_KWSTAR, f_lists_union },
	{ "random_mac", "seed", 0, f_random_mac },
	{ "remove_keys", "target,matching_parameter", 0, f_remove_keys },
	{ "replace_keys", "target,matching_parameter", 0, f_replace_keys },
	{ "to_days", "", TF_KWSTAR, f_to_unit },
	{ "to_hours", "", TF_KWSTAR, f_to_unit },
	{ "to_milliseconds", "", TF_KWSTAR, f_to_unit },
	{ "to_minutes", "", TF_KWSTAR, f_to_unit },
	{ "to_months", "", TF_KWSTAR, f_to_unit },
	{ "to_seconds", "", TF_KWSTAR, f_to_unit },
	{ "to_time_unit", "unit", TF_KWSTAR, f_to_time_unit },
	{ "to_weeks", "", TF_KWSTAR, f_to_unit },
	{ "to_years", "", TF_KWSTAR, f_to_unit },
	{ "version_sort", "reverse", 0, f_version_sort },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_community = { filters, NULL };
