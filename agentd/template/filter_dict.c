/*
 * Filters of dictionaries: combining, taking apart, putting together.
 *
 * Values are passed on unevaluated where Ansible does so; only what recursion
 * or a key needs is resolved.
 */
#include <string.h>

#include "template/filter_util.h"

/* ---- combine ------------------------------------------------------------------ */

enum list_merge {
	MERGE_REPLACE, MERGE_KEEP, MERGE_APPEND, MERGE_PREPEND, MERGE_APPEND_RP,
	MERGE_PREPEND_RP
};

static const char *const list_merges[] = {
	"replace", "keep", "append", "prepend", "append_rp", "prepend_rp"
};

static const struct value *merge(struct tcall *, const struct value *,
    const struct value *, bool, enum list_merge, unsigned);

static bool
is_plain_list(const struct value *v)
{
	return v->type == V_LIST && (v->flags & V_TUPLE) == 0;
}

/* Appends from's elements, but not those that are in without. */
static bool
add_all(struct tcall *c, struct value *to, const struct value *from,
    const struct value *without)
{
	const struct value *v;

	for (uint32_t i = 0; i < v_count(from); i++) {
		v = v_at(from, i);
		if (without != NULL && ((v = tcall_top(c, v)) == NULL))
			return false;
		if (without != NULL && fu_in(without->u.list, v))
			continue;
		v_push(c->arena, to, v);
	}
	return true;
}

static const struct value *
merge_lists(struct tcall *c, const struct value *x, const struct value *y,
    enum list_merge how)
{
	struct value *out = v_list(c->arena);
	const struct value *without = NULL;

	if (how == MERGE_APPEND_RP || how == MERGE_PREPEND_RP) {
		if ((y = tcall_final(c, y)) == NULL || (x = tcall_final(c, x)) == NULL)
			return NULL;
		without = y;
	}
	switch (how) {
	case MERGE_REPLACE:
		return y;
	case MERGE_KEEP:
		return x;
	case MERGE_APPEND:
	case MERGE_APPEND_RP:
		return add_all(c, out, x, without) && add_all(c, out, y, NULL) ? out : NULL;
	default:
		return add_all(c, out, y, NULL) && add_all(c, out, x, without) ? out : NULL;
	}
}

static const struct value *
merge_value(struct tcall *c, const struct value *x, const struct value *y,
    bool recursive, enum list_merge how, unsigned depth)
{
	if ((x = tcall_top(c, x)) == NULL || (y = tcall_top(c, y)) == NULL)
		return NULL;
	if (x->type == V_MAP && y->type == V_MAP)
		return recursive ? merge(c, x, y, recursive, how, depth + 1) : y;
	if (is_plain_list(x) && is_plain_list(y))
		return merge_lists(c, x, y, how);
	return y;
}

/* Copying a dictionary touches all its values: an undefined one is the error. */
static bool
values_defined(struct tcall *c, const struct value *map)
{
	const struct ventry *e;

	for (uint32_t it = 0; (e = v_next(map, &it)) != NULL;)
		if ((e->val->type == V_TMPL || e->val->type == V_UNDEF) && fu_get(c, e->val) == NULL)
			return false;
	return true;
}

/* y over x. */
static const struct value *
merge(struct tcall *c, const struct value *x, const struct value *y,
    bool recursive, enum list_merge how, unsigned depth)
{
	const struct ventry *e;
	const struct value *old, *val;
	struct value *out;

	if (depth > V_DEPTH_MAX)
		return terr(c, ERR_LIMIT, "combine: nested more than %d deep", V_DEPTH_MAX);
	if ((x->type != V_MAP || y->type != V_MAP) &&
	    (tcall_final(c, x) == NULL || tcall_final(c, y) == NULL))
		return NULL;
	if (x->type != V_MAP || y->type != V_MAP)
		return terr(c, ERR_TYPE, "failed to combine variables, expected dicts but got a '%s' and a '%s'",
		    tmpl_py_type(x), tmpl_py_type(y));
	if (!values_defined(c, x) || !values_defined(c, y))
		return NULL;
	if (v_count(x) == 0 ||
	    (((x->flags | y->flags) & V_HAS_TMPL) == 0 && v_equal(x, y)))
		return y;
	if (v_count(y) == 0)
		return x;
	out = v_map(c->arena);
	v_merge(c->arena, out, x);
	for (uint32_t it = 0; (e = v_next(y, &it)) != NULL;) {
		val = e->val;
		if ((recursive || how != MERGE_REPLACE) && (old = v_get(out, e->key)) != NULL &&
		    (val = merge_value(c, old, val, recursive, how, depth)) == NULL)
			return NULL;
		v_set(c->arena, out, e->key, val);
	}
	return out;
}

static bool
is_null_word(const struct value *v)
{
	return v->type == V_NULL || v_eqs(v, "None") || v_eqs(v, "null");
}

/* The dictionaries of the terms: lists are taken apart once, nulls dropped. */
static bool
combine_terms(struct tcall *c, struct value *terms, const struct value *v)
{
	if ((v = tcall_top(c, v)) == NULL)
		return false;
	if (is_null_word(v))
		return true;
	if (v->type != V_LIST) {
		v_push(c->arena, terms, v);
		return true;
	}
	for (uint32_t i = 0; i < v_count(v); i++) {
		const struct value *e = tcall_top(c, v_at(v, i));

		if (e == NULL)
			return false;
		if (!is_null_word(e))
			v_push(c->arena, terms, e);
	}
	return true;
}

static const struct value *
f_combine(struct tcall *c)
{
	struct value *terms = v_list(c->arena);
	const struct value *result, *v;
	const struct ventry *e;
	bool recursive = false;
	size_t how = MERGE_REPLACE;

	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;) {
		if (v_eqs(e->key, "recursive"))
			recursive = tcall_truth(e->val);
		else if (v_eqs(e->key, "list_merge")) {
			for (how = 0; how < NITEMS(list_merges); how++)
				if (v_eqs(e->val, list_merges[how]))
					break;
		} else
			return terr(c, ERR_TYPE, "'recursive' and 'list_merge' are the only valid keyword arguments");
	}
	if (!combine_terms(c, terms, c->in))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++)
		if (!combine_terms(c, terms, c->star[i]))
			return NULL;
	if (v_count(terms) == 0)
		return v_map(c->arena);
	result = v_at(terms, v_count(terms) - 1);
	if (v_count(terms) > 1 && how == NITEMS(list_merges))
		return terr(c, ERR_VALUE, "'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'");
	for (uint32_t i = v_count(terms) - 1; i > 0; i--) {
		v = v_at(terms, i - 1);
		if (v->type == V_UNDEF || result->type == V_UNDEF) {
			fu_undef(c, v->type == V_UNDEF ? v : result);
			return NULL;
		}
		result = merge(c, v, result, recursive, (enum list_merge)how, 0);
		if (result == NULL)
			return NULL;
	}
	return result;
}

/* ---- to lists and back ---------------------------------------------------------- */

static const struct value *
arg_or(struct tcall *c, uint32_t i, const char *def)
{
	return c->a[i] != NULL ? c->a[i] : v_str(c->arena, def);
}

static const struct value *
f_dict2items(struct tcall *c)
{
	const struct value *key = arg_or(c, 0, "key"), *val = arg_or(c, 1, "value");
	struct value *out = v_list(c->arena), *item;
	const struct value *v;
	const struct ventry *e;

	if (c->in->type != V_MAP)
		return terr(c, ERR_TYPE, "dict2items requires a dictionary, got %s instead.",
		    tmpl_py_type(c->in));
	if (!v_hashable(key) || !v_hashable(val))
		return terr(c, ERR_TYPE, "dict2items: the names must be strings");
	for (uint32_t it = 0; (e = v_next(c->in, &it)) != NULL;) {
		if ((v = fu_get(c, e->val)) == NULL)
			return NULL;
		item = v_map(c->arena);
		v_set(c->arena, item, key, e->key);
		v_set(c->arena, item, val, v);
		v_push(c->arena, out, item);
	}
	return out;
}

static const struct value *
f_items2dict(struct tcall *c)
{
	const struct value *key = arg_or(c, 0, "key"), *val = arg_or(c, 1, "value");
	const struct value *k, *v, *item;
	struct value *out = v_map(c->arena);
	const struct vlist *l;

	if (c->in->type != V_LIST && c->in->type != V_OBJ)
		return terr(c, ERR_TYPE, "items2dict requires a list, got %s instead.",
		    tmpl_py_type(c->in));
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		item = l->v[i];
		if (item->type == V_UNDEF) {
			fu_undef(c, item);
			return NULL;
		}
		if (item->type != V_MAP)
			return terr(c, ERR_TYPE, "items2dict requires a list of dictionaries, got a list with %s",
			    tmpl_py_type(item));
		k = v_get(item, key);
		v = v_get(item, val);
		if (k == NULL || v == NULL)
			return terr(c, ERR_TYPE, "items2dict requires each dictionary in the list to contain the keys '%s' and '%s'",
			    key->type == V_STR ? key->u.s : "?", val->type == V_STR ? val->u.s : "?");
		if ((k = tcall_final(c, k)) == NULL || (v = fu_get(c, v)) == NULL)
			return NULL;
		if (!v_hashable(k))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(k));
		v_set(c->arena, out, k, v);
	}
	return out;
}

static const struct value *
f_items(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *v;
	const struct ventry *e;

	if (c->in->type != V_MAP)
		return terr(c, ERR_TYPE, "Can only get item pairs from a mapping.");
	for (uint32_t it = 0; (e = v_next(c->in, &it)) != NULL;) {
		if ((v = fu_get(c, e->val)) == NULL)
			return NULL;
		v_push(c->arena, out, fu_pair(c, e->key, v));
	}
	return out;
}

static const struct value *
f_extract(struct tcall *c)
{
	const struct value *v = c->a[0];

	if (v == NULL)
		return terr(c, ERR_TYPE, "extract: missing argument 'container'");
	v = tcall_item(c, v, c->in);
	if (v == NULL || !fu_given(c, 1))
		return v;
	if (!is_plain_list(c->a[1]))
		return tcall_item(c, v, c->a[1]);
	for (uint32_t i = 0; i < v_count(c->a[1]) && v != NULL; i++) {
		const struct value *key = tcall_top(c, v_at(c->a[1], i));

		v = key != NULL ? tcall_item(c, v, key) : NULL;
	}
	return v;
}

/* The list of an element that subelements names; NULL after an error. */
static const struct value *
subelement(struct tcall *c, const struct value *element, const struct value *path,
    bool skip_missing)
{
	const struct value *v = element, *key, *next;

	for (uint32_t i = 0; i < v_count(path); i++) {
		if ((key = tcall_top(c, v_at(path, i))) == NULL)
			return NULL;
		if (v->type != V_MAP)
			return terr(c, ERR_TYPE, "the key %s should point to a dictionary, got %s",
			    key->type == V_STR ? key->u.s : "", tmpl_py_type(v));
		next = v_get(v, key);
		if (next == NULL) {
			if (skip_missing)
				return v_list(c->arena);
			return terr(c, ERR_VALUE, "could not find '%s' key in iterated item",
			    key->type == V_STR ? key->u.s : "?");
		}
		if ((v = tcall_top(c, next)) == NULL)
			return NULL;
		if (v->type == V_UNDEF) {
			fu_undef(c, v);
			return NULL;
		}
	}
	if (!is_plain_list(v))
		return terr(c, ERR_TYPE, "subelements: the key should point to a list, got %s",
		    tmpl_py_type(v));
	return v;
}

static const struct value *
f_subelements(struct tcall *c)
{
	struct value *out = v_list(c->arena), *elements = v_list(c->arena), *path;
	const struct value *list, *element;
	const struct ventry *e;
	const char *p, *dot;
	bool skip;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "subelements: missing argument 'subelements'");
	if (!targ_bool(c, 1, false, &skip))
		return NULL;
	if (c->in->type == V_MAP) {
		for (uint32_t it = 0; (e = v_next(c->in, &it)) != NULL;)
			v_push(c->arena, elements, e->val);
	} else if (is_plain_list(c->in)) {
		for (uint32_t i = 0; i < v_count(c->in); i++)
			v_push(c->arena, elements, v_at(c->in, i));
	} else
		return terr(c, ERR_TYPE, "obj must be a list of dicts or a nested dict");
	path = v_list(c->arena);
	if (is_plain_list(c->a[0])) {
		for (uint32_t i = 0; i < v_count(c->a[0]); i++)
			v_push(c->arena, path, v_at(c->a[0], i));
	} else if (c->a[0]->type == V_STR) {
		for (p = c->a[0]->u.s; (dot = strchr(p, '.')) != NULL; p = dot + 1)
			v_push(c->arena, path, fu_strn(c, p, (size_t)(dot - p)));
		v_push(c->arena, path, v_str(c->arena, p));
	} else
		return terr(c, ERR_TYPE, "subelements must be a list or a string");
	for (uint32_t i = 0; i < v_count(elements); i++) {
		if ((element = tcall_top(c, v_at(elements, i))) == NULL ||
		    (list = subelement(c, element, path, skip)) == NULL)
			return NULL;
		for (uint32_t j = 0; j < v_count(list); j++)
			v_push(c->arena, out, fu_pair(c, element, v_at(list, j)));
	}
	return out;
}

static const struct value *
f_rekey_on_member(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct vlist *l;
	const struct value *list = c->in, *k, *old, *item;
	const struct ventry *e;
	const char *dup;
	size_t len;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "rekey_on_member: missing argument 'key'");
	if (!targ_str(c, 1, "error", &dup, &len))
		return NULL;
	if (strcmp(dup, "error") != 0 && strcmp(dup, "overwrite") != 0)
		return terr(c, ERR_VALUE, "duplicates parameter to rekey_on_member has unknown value '%s'", dup);
	if (c->in->type == V_MAP) {
		struct value *values = v_list(c->arena);

		for (uint32_t it = 0; (e = v_next(c->in, &it)) != NULL;)
			v_push(c->arena, values, e->val);
		list = values;
	} else if (c->in->type != V_LIST && c->in->type != V_OBJ)
		return terr(c, ERR_TYPE, "Type is not a valid list, set, or dict");
	if ((l = fu_list(c, list)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++) {
		if ((item = tcall_top(c, l->v[i])) == NULL)
			return NULL;
		if (item->type != V_MAP)
			return terr(c, ERR_TYPE, "List item is not a valid dict");
		if ((k = v_get(item, c->a[0])) == NULL)
			return terr(c, ERR_VALUE, "Key '%s' was not found.",
			    c->a[0]->type == V_STR ? c->a[0]->u.s : "?");
		if ((k = tcall_final(c, k)) == NULL)
			return NULL;
		if (!v_hashable(k))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(k));
		old = v_get(out, k);
		if (old != NULL && v_count(old) > 0 && strcmp(dup, "error") == 0)
			return terr(c, ERR_VALUE, "Key '%s' is not unique, cannot convert to dict.",
			    k->type == V_STR ? k->u.s : "?");
		v_set(c->arena, out, k, item);
	}
	return out;
}

static const struct tfilter filters[] = {
	{ "combine", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_combine },
	{ "dict2items", "key_name,value_name", TF_LAZY, f_dict2items },
	{ "extract", "container,morekeys", TF_LAZY, f_extract },
	{ "items", "", TF_LAZY, f_items },
	{ "items2dict", "key_name,value_name", TF_LAZY, f_items2dict },
	{ "rekey_on_member", "key,duplicates", TF_LAZY, f_rekey_on_member },
	{ "subelements", "subelements,skip_missing", TF_LAZY, f_subelements },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_dict = { filters, NULL };
