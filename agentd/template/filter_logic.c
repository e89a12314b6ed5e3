/*
 * Filters that decide: default, ternary, bool, mandatory; and those that look
 * at a value as such: attr, type_debug.
 */
#include <string.h>

#include "template/eval.h"
#include "template/filter_util.h"
#include "template/unidata.h"

static const struct value *
f_default(struct tcall *c)
{
	const struct value *def = c->a[0] != NULL ? c->a[0] : &v_empty_str;
	bool boolean = false;

	if (c->a[1] != NULL) {
		if (c->a[1]->type == V_UNDEF)
			return fu_undef(c, c->a[1]), NULL;
		if (c->a[1]->type != V_BOOL)
			return terr(c, ERR_TYPE, "default: the argument 'boolean' must be a bool, not %s",
			    tmpl_py_type(c->a[1]));
		boolean = c->a[1]->u.b;
	}
	if (c->in->type == V_UNDEF || (boolean && !tcall_truth(c->in)))
		return def;
	return c->in;
}

static const struct value *
f_bool(struct tcall *c)
{
	static const char *const yes[] = { "yes", "on", "true", "1" };
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s;

	if (c->in->type == V_BOOL)
		return c->in;
	if (c->in->type == V_INT)
		return v_bool(c->in->u.i == 1);
	if (c->in->type == V_FLOAT)
		return v_bool(c->in->u.f == 1);
	if (c->in->type != V_STR)
		return tcall_final(c, c->in) != NULL ? &v_false : NULL;
	uni_lower(&b, c->in->u.s, c->in->len);
	s = buf_str(&b);
	for (size_t i = 0; i < NITEMS(yes); i++)
		if (b.len == strlen(yes[i]) && strcmp(s, yes[i]) == 0)
			return &v_true;
	return &v_false;
}

static const struct value *
f_ternary(struct tcall *c)
{
	if (c->a[0] == NULL || c->a[1] == NULL)
		return terr(c, ERR_TYPE, "ternary: missing argument '%s'",
		    c->a[0] == NULL ? "true_val" : "false_val");
	if (c->in->type == V_NULL && fu_given(c, 2))
		return c->a[2];
	return tcall_truth(c->in) ? c->a[0] : c->a[1];
}

static const struct value *
f_mandatory(struct tcall *c)
{
	const char *s, *msg, *end;
	size_t len;

	if (c->in->type != V_UNDEF)
		return c->in;
	if (fu_given(c, 0)) {
		if (!fu_text(c, c->a[0], &s, &len))
			return NULL;
		return terr(c, ERR_VALUE, "%s", s);
	}
	msg = c->in->u.s;
	end = msg != NULL && *msg == '\'' ? strstr(msg, "' is undefined") : NULL;
	if (end == NULL)
		return terr(c, ERR_VALUE, "Mandatory variable not defined.");
	return terr(c, ERR_VALUE, "Mandatory variable %.*s' not defined.", (int)(end - msg), msg);
}

static const struct value *
f_type_debug(struct tcall *c)
{
	return v_str(c->arena, c->in->type == V_UNDEF ? "UndefinedMarker" : tmpl_py_type(c->in));
}

/* Attributes only, never items: data of objects, and methods. */
static const struct value *
f_attr(struct tcall *c)
{
	const struct vobj_ops *ops = v_obj_ops(c->in);
	const struct value *v = NULL;
	const struct tfilter *method;
	const char *name;
	size_t len;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "attr: missing argument 'name'");
	if (!fu_text(c, c->a[0], &name, &len))
		return NULL;
	if ((method = ev_find_method(c->in, name, len)) != NULL)
		return ev_bound_method(c->ev, c->in, method);
	if (ops != NULL && ops->attr != NULL)
		v = ops->attr(c->ev, c->in, name, len);
	if (v != NULL || (c->err != NULL && c->err->code != ERR_NONE))
		return v;
	return ev_undef(c->ev, ERR_UNDEFINED, len > 1 && name[0] == '_' && name[1] == '_' ?
	    "access to attribute '%2$s' of '%1$s' object is unsafe" :
	    "object of type '%1$s' has no attribute '%2$s'", tmpl_py_type(c->in), name);
}

static const struct tfilter filters[] = {
	{ "attr", "name", 0, f_attr },
	{ "bool", "", TF_LAZY, f_bool },
	{ "d", "default_value,boolean", TF_UNDEF_OK | TF_UNDEF_ARGS | TF_LAZY, f_default },
	{ "default", "default_value,boolean", TF_UNDEF_OK | TF_UNDEF_ARGS | TF_LAZY, f_default },
	{ "mandatory", "msg", TF_UNDEF_OK | TF_LAZY, f_mandatory },
	{ "ternary", "true_val,false_val,none_val", TF_UNDEF_ARGS | TF_LAZY, f_ternary },
	{ "type_debug", "", TF_UNDEF_OK | TF_LAZY, f_type_debug },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_logic = { filters, NULL };
