/*
 * Macros and callers: how arguments become parameters, and the call.
 */
#include <string.h>

#include "template/eval.h"

static bool
is(const char *s, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(s, name, len) == 0;
}

static const struct value *
handed(struct eval *ev, const struct value *v)
{
	return ev_changeable(ev, v) ? ev_hand_on(ev, v) : v;
}

/* The arguments of a call in the slots of a new activation. false after an error. */
static bool
macro_bind(struct eval *ev, const struct macro *m, const struct targs *args, const struct value **slot)
{
	const struct func *f = m->func;
	const char *name = f->name == NULL ? "caller" : f->name;
	struct value *kw = NULL, *rest;
	const struct value *v;
	bool found_caller = false;
	uint32_t i, n = args->n < f->nparams ? args->n : f->nparams;
	const struct ventry *e;

	if (args->kw != NULL || f->kwargs_slot >= 0)
		kw = v_map(&ev->scratch);
	for (i = 0; args->kw != NULL && (e = v_next(args->kw, &i)) != NULL;) {
		if ((v = handed(ev, e->val)) == NULL)
			return false;
		v_set(&ev->scratch, kw, e->key, v);
	}
	for (i = 0; i < n; i++)
		if ((slot[f->param_slot[i]] = handed(ev, args->v[i])) == NULL)
			return false;
	if (n == f->nparams)
		found_caller = f->explicit_caller;
	for (; i < f->nparams; i++) {
		if ((v = v_get(kw, f->params[i])) != NULL) {
			slot[f->param_slot[i]] = v;
			v_del(kw, f->params[i]);
		} else
			slot[f->param_slot[i]] = &slot_missing;
		found_caller = found_caller || v_eqs(f->params[i], "caller");
	}
	if (f->caller_slot >= 0 && !found_caller) {
		v = v_gets(kw, "caller");
		slot[f->caller_slot] = v != NULL ? v :
		    ev_undef(ev, ERR_UNDEFINED, "No caller defined");
		if (v != NULL)
			v_dels(kw, "caller");
	}
	if (f->kwargs_slot >= 0)
		slot[f->kwargs_slot] = kw;
	else if (kw != NULL && v_count(kw) > 0) {
		if (v_gets(kw, "caller") != NULL)
			ev_error(ev, ERR_TYPE, "macro '%s' was invoked with two values for the special caller argument", name);
		else {
			i = 0;
			e = v_next(kw, &i);
			ev_error(ev, ERR_TYPE, "macro '%s' takes no keyword argument '%s'", name, e->key->u.s);
		}
		return false;
	}
	if (f->varargs_slot >= 0) {
		rest = v_list(&ev->scratch);
		rest->flags |= V_TUPLE;
		for (i = f->nparams; i < args->n; i++)
			v_push(&ev->scratch, rest, args->v[i]);
		slot[f->varargs_slot] = handed(ev, rest);
		if (slot[f->varargs_slot] == NULL)
			return false;
	} else if (args->n > f->nparams) {
		ev_error(ev, ERR_TYPE, "macro '%s' takes not more than %u argument(s)", name, f->nparams);
		return false;
	}
	return true;
}

/* Parameters that were not given: their defaults, in order. */
static bool
macro_defaults(struct eval *ev, const struct func *f)
{
	const struct value **slot;
	uint32_t i, first = f->nparams - f->defaults.n;

	for (i = 0; i < f->nparams; i++) {
		slot = &ev->act->slot[f->param_slot[i]];
		if (*slot != &slot_missing)
			continue;
		if (i < first)
			*slot = ev_undef(ev, ERR_UNDEFINED, "parameter '%s' was not provided", f->params[i]->u.s);
		else if ((*slot = eval_expr(ev, f->defaults.v[i - first])) == NULL)
			return false;
	}
	return true;
}

static const struct value *
macro_call(struct eval *ev, const struct value *v, const struct targs *args)
{
	const struct macro *m = v->u.obj;
	struct act *before = ev->act;
	const struct value *r = NULL;
	bool strict = ev->strict;
	struct out o;

	if (m->func->dup_params)
		return ev_error(ev, ERR_INVALID, "duplicate argument in function definition");
	ev->act = act_new(ev, m->tmpl, m->ctx, m->up, m->func);
	out_init(ev, &o);
	o.defers = true;
	ev->strict = false;
	ev_enter(ev, &m->func->enter);
	if (macro_bind(ev, m, args, ev->act->slot) && macro_defaults(ev, m->func) &&
	    exec_body(ev, &m->func->body, &o) != FLOW_ERR)
		r = out_value(ev, &o);
	out_release(ev, &o);
	ev->strict = strict;
	ev->act = before;
	return r;
}

static const struct value *
macro_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct func *f = ((const struct macro *)v->u.obj)->func;
	struct value *l;
	uint32_t i;

	if (is(s, len, "name"))
		return f->name == NULL ? &v_null : v_str(&ev->scratch, f->name);
	if (is(s, len, "catch_kwargs"))
		return v_bool(f->kwargs_slot >= 0);
	if (is(s, len, "catch_varargs"))
		return v_bool(f->varargs_slot >= 0);
	if (is(s, len, "caller"))
		return v_bool(f->caller_slot >= 0 || f->explicit_caller);
	if (is(s, len, "explicit_caller"))
		return v_bool(f->explicit_caller);
	if (!is(s, len, "arguments"))
		return NULL;
	l = v_list(&ev->scratch);
	l->flags |= V_TUPLE;
	for (i = 0; i < f->nparams; i++)
		v_push(&ev->scratch, l, f->params[i]);
	return l;
}

static void
macro_repr(struct buf *b, const struct value *v)
{
	const struct func *f = ((const struct macro *)v->u.obj)->func;

	if (f->name == NULL)
		buf_adds(b, "<Macro anonymous>");
	else
		buf_addf(b, "<Macro '%s'>", f->name);
}

const struct vobj_ops macro_ops = { .type = "Macro", .call = macro_call, .attr = macro_attr, .repr = macro_repr };
