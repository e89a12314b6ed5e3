/*
 * Filters that apply other filters and tests to elements: map, select,
 * reject and their attr forms.
 */
#include <string.h>

#include "template/filter_util.h"

/* Jinja looks at nothing when the input is false: `none | map('upper')` is []. */
static bool
nothing_to_do(struct tcall *c, const struct value *v)
{
	(void)c;
	return !tcall_truth(v);
}

static const struct value *
item_attr(struct tcall *c, const struct value *item, const struct value *attr)
{
	return attr->type == V_NULL ? item : attr->type == V_STR ?
	    tcall_attr(c, item, attr->u.s) : tcall_item(c, item, attr);
}

static const struct value *
map_attribute(struct tcall *c, const struct vlist *l)
{
	const struct value *attr = v_gets(c->kw, "attribute");
	const struct value *def = v_gets(c->kw, "default"), *v;
	struct value *out = v_list(c->arena);
	const struct ventry *e;

	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;)
		if (!v_eqs(e->key, "attribute") && !v_eqs(e->key, "default"))
			return terr(c, ERR_TYPE, "Unexpected keyword argument '%s'",
			    e->key->type == V_STR ? e->key->u.s : "?");
	for (uint32_t i = 0; i < l->n; i++) {
		v = item_attr(c, l->v[i], attr);
		if (v == NULL)
			return NULL;
		if (v->type == V_UNDEF && def != NULL && def->type != V_NULL)
			v = def;
		v_push(c->arena, out, v);
	}
	return out;
}

static const struct value *
f_map(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l;
	const struct value *v;

	if (nothing_to_do(c, c->in))
		return out;
	if (c->nstar == 0 && v_gets(c->kw, "attribute") == NULL)
		return terr(c, ERR_TYPE, "map requires a filter argument");
	if ((l = fu_list_lazy(c, c->in)) == NULL)
		return NULL;
	if (c->nstar == 0)
		return map_attribute(c, l);
	if (c->star[0]->type != V_STR)
		return terr(c, ERR_TYPE, "map: the name of a filter must be a str, not %s",
		    tmpl_py_type(c->star[0]));
	for (uint32_t i = 0; i < l->n; i++) {
		v = tcall_filter(c, c->star[0]->u.s, l->v[i], c->star + 1,
		    c->nstar - 1, c->kw);
		if (v == NULL)
			return NULL;
		v_push(c->arena, out, v);
	}
	return out;
}

static const struct value *
pick(struct tcall *c, bool want, bool by_attr)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l;
	const struct value *v, *attr = NULL;
	uint32_t off = by_attr ? 1 : 0;
	int yes;

	if (nothing_to_do(c, c->in))
		return out;
	if (by_attr) {
		if (c->nstar == 0)
			return terr(c, ERR_TYPE, "Missing parameter for attribute name");
		attr = c->star[0];
	}
	if ((l = fu_list_lazy(c, c->in)) == NULL)
		return NULL;
	if (c->nstar > off && c->star[off]->type != V_STR)
		return terr(c, ERR_TYPE, "%s: the name of a test must be a str, not %s",
		    c->name, tmpl_py_type(c->star[off]));
	for (uint32_t i = 0; i < l->n; i++) {
		v = l->v[i];
		if (by_attr && (v = item_attr(c, v, attr)) == NULL)
			return NULL;
		if (c->nstar > off)
			yes = tcall_test_kw(c, c->star[off]->u.s, v, c->star + off + 1,
			    c->nstar - off - 1, c->kw);
		else if (v->type == V_UNDEF)
			return fu_undef(c, v), NULL;
		else
			yes = tcall_truth(v);
		if (yes < 0)
			return NULL;
		if ((yes != 0) == want)
			v_push(c->arena, out, l->v[i]);
	}
	return out;
}

static const struct value *
f_select(struct tcall *c)
{
	return pick(c, true, false);
}

static const struct value *
f_reject(struct tcall *c)
{
	return pick(c, false, false);
}

static const struct value *
f_selectattr(struct tcall *c)
{
	return pick(c, true, true);
}

static const struct value *
f_rejectattr(struct tcall *c)
{
	return pick(c, false, true);
}

static const struct tfilter filters[] = {
	{ "map", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_map },
	{ "reject", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_reject },
	{ "rejectattr", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_rejectattr },
	{ "select", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_select },
	{ "selectattr", "", TF_STAR | TF_KWSTAR | TF_LAZY, f_selectattr },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_pick = { filters, NULL };
