/*
 * The layer's entrance (template.h): an evaluation from beginning to end.
 */
#include <string.h>

#include "template/eval.h"

static void
ev_init(struct eval *ev, const struct scope *scope, struct err *err)
{
	memset(ev, 0, sizeof(*ev));
	arena_init(&ev->scratch);
	ev->scope = scope;
	ev->max_steps = scope->max_steps != 0 ? scope->max_steps : TMPL_STEPS_MAX;
	ev->err = err;
	ev->stack = (uintptr_t)__builtin_frame_address(0);
}

static void
ev_release(struct eval *ev)
{
	while (ev->nspare > 0)
		buf_release(&ev->spare[--ev->nspare]);
	arena_release(&ev->scratch);
}

static const struct value *
ev_finish(struct eval *ev, struct arena *a, const struct value *v)
{
	if (v != NULL)
		v = ev_export(ev, a, v);
	if (v != NULL && ev->tainted && v->type != V_OMIT)
		v = v_flag(a, v, V_SECRET);
	ev_release(ev);
	return v;
}

/* A caller may not care about the error; the evaluator does. */
#define OWN_ERR(err)	struct err own_err = ERR_INIT; struct err *e = (err) != NULL ? (err) : &own_err
#define DONE_ERR()	err_release(&own_err)

const struct value *
tmpl_eval(struct arena *a, const struct scope *scope, const struct value *v, struct err *err)
{
	struct eval ev;
	OWN_ERR(err);

	if (v->type != V_TMPL && v->type != V_LIST && v->type != V_MAP && v->type != V_UNDEF)
		return v;
	ev_init(&ev, scope, e);
	v = v->type == V_TMPL ? ev_template(&ev, v_tmpl(v), ctx_new(&ev, NULL)) : v;
	v = ev_finish(&ev, a, v);
	DONE_ERR();
	return v;
}

const struct value *
tmpl_eval_name(struct arena *a, const struct scope *scope, const char *name, struct err *err)
{
	struct name n = { name, (uint32_t)strlen(name), v_hash_str(name, strlen(name)) };
	const struct value *v;
	struct diags diags = DIAGS_INIT;
	struct mark none = { NULL, 0, 0, 0 };
	const struct tmpl *t;
	struct eval ev;
	size_t i;
	OWN_ERR(err);

	ev_init(&ev, scope, e);
	v = ev_name(&ev, NULL, &n);
	if (v != NULL && v->type == V_UNDEF && ((*name >= '0' && *name <= '9') ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") < n.len)) {
		/* No name: an expression. */
		t = tmpl_compile(&ev.scratch, name, n.len, none, TMPL_WHEN, NULL, &diags);
		v = NULL;
		if (t != NULL)
			v = ev_template(&ev, t, ctx_new(&ev, NULL));
		else
			for (i = 0; i < diags.n; i++)
				if (diags.v[i].level == DIAG_ERROR) {
					err_move(e, &diags.v[i].err);
					break;
				}
		diags_release(&diags);
	}
	v = ev_finish(&ev, a, v);
	DONE_ERR();
	return v;
}

const struct value *
tmpl_render(struct arena *a, const struct scope *scope, const struct tmpl *t, struct err *err)
{
	struct eval ev;
	const struct value *v, *native;
	OWN_ERR(err);

	ev_init(&ev, scope, e);
	if (t->plain)
		v = v_strn(a, t->text, t->len);
	else if ((v = ev_file(&ev, t, a, &native)) == NULL && native != NULL) {
		/* A single piece: any type, also text. */
		v = native->type == V_NULL ? &v_empty_str : native->type != V_OMIT ? ev_export(&ev, a, native) :
		    ev_error(&ev, ERR_INVALID, "the template is omitted as a whole: nothing is left to write");
		if (v != NULL && v->type != V_STR) {
			struct buf b = { .max = TMPL_OUTPUT_MAX };

			v = ev_str(&ev, &b, v) ? v_strn(a, buf_str(&b), b.len) : NULL;
			buf_release(&b);
		}
	}
	if (v != NULL && ev.tainted)
		v = v_flag(a, v, V_SECRET);
	ev_release(&ev);
	DONE_ERR();
	return v;
}

/*
 * A condition that is one template (`when: "{{ x }}"`): its result; when that is
 * text that stands as it is in a file of the site, the text is an expression in turn (a
 * variable that holds a condition).
 */
static const struct value *
indirect(struct eval *ev, const struct tmpl *t, const struct value *v)
{
	const struct node *n = t->expr;
	struct diags diags = DIAGS_INIT;
	size_t i;

	while (n != NULL && (n->type == N_ATTR || n->type == N_ITEM))
		n = n->type == N_ATTR ? n->u.attr.obj : n->u.x.a;
	if (n == NULL || n->type != N_NAME || v->mark == NULL || (v->flags & V_RAW))
		return ev_error(ev, ERR_TYPE, "the condition's result is text from outside the site, which is never an expression");
	t = tmpl_compile(&ev->scratch, v->u.s, v->len, *v->mark, TMPL_WHEN, NULL, &diags);
	for (i = 0; t == NULL && i < diags.n; i++)
		if (diags.v[i].level == DIAG_ERROR) {
			err_move(ev->err, &diags.v[i].err);
			break;
		}
	diags_release(&diags);
	return t == NULL ? NULL : ev_template(ev, t, ctx_new(ev, NULL));
}

int
tmpl_when(struct arena *a, const struct scope *scope, const struct value *cond, bool *ret, struct err *err)
{
	struct eval ev;
	const struct value *v = cond;
	int rc = -1;
	OWN_ERR(err);

	(void)a;
	if (cond->type == V_BOOL) {
		*ret = cond->u.b;
		return 0;
	}
	ev_init(&ev, scope, e);
	if (cond->type == V_TMPL) {
		v = ev_template(&ev, v_tmpl(cond), ctx_new(&ev, NULL));
		if (v != NULL && v->type == V_STR && v_tmpl(cond)->mode != TMPL_WHEN)
			v = indirect(&ev, v_tmpl(cond), v);
	}
	if (v != NULL && (v = ev_force(&ev, v)) != NULL && (v = ev_final(&ev, v, FINAL_DEEP)) != NULL) {
		if (v->type == V_BOOL) {
			*ret = v->u.b;
			rc = 0;
		} else {
			err_set_at(e, ERR_TYPE, v_mark(cond), "Conditional result (%s) was derived from value of type '%s'. "
			    "Conditionals must have a boolean result", tcall_truth(v) ? "True" : "False", tmpl_py_type(v));
			err_hint(e, v->type == V_STR ? "compare it, or use the filter `bool`" :
			    "compare it, as in `x | length > 0` or `x is not none`");
		}
	}
	ev_release(&ev);
	DONE_ERR();
	return rc;
}

const struct value *
tmpl_lookup(struct arena *a, const struct scope *scope, const char *name, const struct value *terms,
    bool with_form, struct err *err)
{
	struct eval ev;
	const struct value *v;
	OWN_ERR(err);

	ev_init(&ev, scope, e);
	v = ev_with(&ev, name, terms, with_form);
	v = ev_finish(&ev, a, v);
	DONE_ERR();
	return v;
}
