/*
 * The evaluator of statements, and the output they make.
 *
 * Output is native as in Ansible: pieces are collected; one piece alone keeps
 * its type, several become text.  Text is appended to one buffer, so a file of
 * any length costs no values.  None is no piece; omit is one that prints nothing.
 */
#include <string.h>

#include "template/eval.h"

/* ---- output ------------------------------------------------------------------ */

struct buf
ev_buf(struct eval *ev)
{
	struct buf b = { .max = TMPL_OUTPUT_MAX };

	return ev->nspare > 0 ? ev->spare[--ev->nspare] : b;
}

/* Small buffers are kept for the next use. */
void
ev_buf_done(struct eval *ev, struct buf *b)
{
	if (b->cap > 0 && b->cap <= 65536 && b->max == TMPL_OUTPUT_MAX && ev->nspare < NITEMS(ev->spare)) {
		buf_clear(b);
		ev->spare[ev->nspare++] = *b;
	} else
		buf_release(b);
}

void
out_init(struct eval *ev, struct out *o)
{
	memset(o, 0, sizeof(*o));
	o->b = ev_buf(ev);
}

void
out_release(struct eval *ev, struct out *o)
{
	ev_buf_done(ev, &o->b);
}

/* A piece that is no text yet. */
static COLD bool
add_other(struct eval *ev, struct out *o, const struct value *v)
{
	if (v->type == V_OMIT || (v->type == V_UNDEF && v->tag == UNDEF_SOFT))
		return true;
	if (v->type == V_INT && !(v->flags & V_SECRET)) {
		char digits[EV_DIGITS];
		size_t n = ev_digits(digits, v->u.i);

		buf_add(&o->b, digits + sizeof(digits) - n, n);
		return !o->b.overflow || !ev_overflow(ev, &o->b);
	}
	if ((v = ev_final(ev, v, FINAL_DEEP)) == NULL)
		return false;
	return ev_str(ev, &o->b, v);
}

static inline bool
append(struct eval *ev, struct out *o, const char *s, size_t len)
{
	if (o->b.cap - o->b.len > len) {
		memcpy(o->b.data + o->b.len, s, len);
		o->b.len += len;
		return true;
	}
	buf_add(&o->b, s, len);
	return !o->b.overflow || !ev_overflow(ev, &o->b);
}

static bool
add_piece(struct eval *ev, struct out *o, const struct value *v)
{
	return v->type == V_STR ? append(ev, o, v->u.s, v->len) : add_other(ev, o, v);
}

/* The whole is what came out undefined, an error for who uses it. */
static bool
out_undefined(struct eval *ev, struct out *o)
{
	const struct value *v;

	if (!o->defers || (v = ev_defer(ev)) == NULL)
		return false;
	o->single = v;
	o->n = 1;
	o->mute = true;
	return true;
}

bool
out_add(struct eval *ev, struct out *o, const struct value *v)
{
	const struct value *first;

	if (v->type == V_NULL || o->mute)
		return true;
	if (v->type == V_OBJ && v_obj_ops(v) == &module_ops)
		return out_add(ev, o, ((const struct module *)v->u.obj)->body);
	if (v->type == V_UNDEF && v->tag != UNDEF_SOFT && (o->n > 0 || o->defers)) {
		if (!o->defers)
			return ev_force(ev, v) != NULL;
		o->single = v;
		o->n = 1;
		o->mute = true;
		return true;
	}
	if (o->n == 0) {
		if (ev_changeable(ev, v) && (v = ev_snapshot(ev, v)) == NULL)
			return false;
		o->single = v;
		o->n = 1;
		return true;
	}
	if (o->single != NULL) {
		first = o->single;
		o->single = NULL;
		o->n = 2;
		if (first->type == V_UNDEF && first->tag != UNDEF_SOFT)
			return ev_force(ev, first) != NULL;
		if (!add_piece(ev, o, first))
			return out_undefined(ev, o);
	}
	return add_piece(ev, o, v) || out_undefined(ev, o);
}

bool
out_text(struct eval *ev, struct out *o, const char *s, size_t len)
{
	if (o->mute || len == 0)
		return true;
	if (o->n < 2) {
		if (o->n == 0)	/* text alone is text too: no value needed */
			o->n = 2;
		else if (!out_add(ev, o, &v_empty_str))
			return false;
	}
	return append(ev, o, s, len);
}

const struct value *
out_value(struct eval *ev, struct out *o)
{
	if (o->n == 0)
		return &v_null;
	if (o->single != NULL)
		return o->single;
	return v_strn(&ev->scratch, o->b.data == NULL ? "" : o->b.data, o->b.len);
}

/* ---- slots --------------------------------------------------------------------- */

void
ev_enter(struct eval *ev, const struct frame_info *info)
{
	uint32_t i;

	for (i = 0; i < info->n; i++) {
		const struct load *l = &info->loads[i];

		ev->act->slot[l->slot] = l->kind == L_RESOLVE ? NULL :
		    l->kind == L_UNDEFINED ? &slot_missing : *ev_slot(ev, l->from);
	}
}

struct act *
act_new(struct eval *ev, const struct tmpl *t, struct ctx *ctx, struct act *up, const struct func *f)
{
	struct both {
		struct act		 act;
		const struct value	*slot[];
	} *b = arena_zalloc(&ev->scratch, sizeof(*b) + f->nslots * sizeof(b->slot[0]));

	ev->mutates = ev->mutates || t->mutates;
	b->act.up = up;
	b->act.tmpl = t;
	b->act.ctx = ctx;
	b->act.slot = b->slot;
	return &b->act;
}

static bool
unpack(struct eval *ev, const struct node *n, const struct value *v)
{
	const struct value *l, *e;
	uint32_t i, want = n->u.list.n;

	if (ev_force(ev, v) == NULL)
		return false;
	if ((l = ev_iter(ev, v)) == NULL) {
		ev_error(ev, ERR_TYPE, "cannot unpack non-iterable %s object", tmpl_py_type(v));
		return false;
	}
	if (l->u.list->n != want) {
		if (l->u.list->n > want)
			ev_error(ev, ERR_VALUE, "too many values to unpack (expected %u)", want);
		else
			ev_error(ev, ERR_VALUE, "not enough values to unpack (expected %u, got %u)",
			    want, l->u.list->n);
		return false;
	}
	for (i = 0; i < want; i++)
		if ((e = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL ||
		    !ev_assign(ev, n->u.list.v[i], e))
			return false;
	return true;
}

static struct namespace *
namespace_of(struct eval *ev, const struct node *n)
{
	const struct value *ns = eval_expr(ev, n->u.attr.obj);

	if (ns == NULL)
		return NULL;
	if (ns->type != V_OBJ || v_obj_ops(ns) != &namespace_ops) {
		ev_error(ev, ERR_TYPE, "cannot assign attribute on non-namespace object");
		ev_place(ev, n->pos, n->pos + 1);
		return NULL;
	}
	return ns->u.obj;
}

bool
ev_assign_slow(struct eval *ev, const struct node *target, const struct value *v)
{
	struct namespace *ns;

	if (target->type != N_NSREF)
		return unpack(ev, target, v);
	if ((ns = namespace_of(ev, target)) == NULL ||
	    !ev_may_take(ev, &(struct value){ .type = V_OBJ, .u.obj = ns }, v))
		return false;
	v_set(&ev->scratch, ns->vars, target->u.attr.key, v);
	return true;
}

/* ---- loops ---------------------------------------------------------------------- */

/* The elements that pass the loop's `if`. */
static const struct value *
filter_items(struct eval *ev, const struct loop *l, const struct value *items)
{
	struct value *kept = v_list(&ev->scratch);
	const struct value *e, *t;
	uint32_t i;
	int truth;

	for (i = 0; i < items->u.list->n; i++) {
		if ((e = ev_resolve(ev, items->u.list->v[i], NULL)) == NULL)
			return NULL;
		ev_enter(ev, &l->test_enter);
		if (!ev_assign(ev, l->target, e) || (t = eval_expr(ev, l->test)) == NULL ||
		    (truth = ev_truth(ev, t)) < 0) {
			ev_place(ev, l->test->pos, l->test->pos + 1);
			return NULL;
		}
		if (truth)
			v_push(&ev->scratch, kept, e);
	}
	return kept;
}

static enum flow
run_loop(struct eval *ev, const struct node *n, const struct value *items, uint32_t depth, struct out *o)
{
	const struct loop *l = n->u.loop;
	const struct value *e, *var = NULL;
	struct loopvar *lv = NULL;
	enum flow flow;
	uint32_t i;

	if (l->test != NULL && (items = filter_items(ev, l, items)) == NULL)
		return FLOW_ERR;
	if (l->loop_slot >= 0) {
		lv = ARENA_NEW(&ev->scratch, struct loopvar);
		var = v_obj(&ev->scratch, &loop_ops, lv);
		lv->items = items;
		lv->depth = depth;
		if (n->flags & NF_RECURSIVE) {
			lv->node = n;
			lv->act = ev->act->up;
		}
	}
	for (i = 0; i < items->u.list->n; i++) {
		if (!ev_step(ev) || (e = ev_resolve(ev, items->u.list->v[i], NULL)) == NULL)
			return FLOW_ERR;
		ev_enter(ev, &l->body_enter);
		if (lv != NULL) {
			lv->i = i;
			ev->act->slot[l->loop_slot] = var;
		}
		if (!ev_assign(ev, l->target, e)) {
			ev_place(ev, l->target->pos, l->target->pos + 1);
			return FLOW_ERR;
		}
		flow = exec_body(ev, &l->body, o);
		if (flow == FLOW_ERR)
			return flow;
		if (flow == FLOW_BREAK)
			break;
	}
	if (items->u.list->n == 0 && l->other.n > 0) {
		ev_enter(ev, &l->else_enter);
		return exec_body(ev, &l->other, o);
	}
	return FLOW_OK;
}

/* One level of a recursive loop: a function of its own, whose text is its value. */
static const struct value *
recursive_level(struct eval *ev, const struct node *n, struct act *up, const struct value *items,
    uint32_t depth)
{
	struct act *before = ev->act;
	const struct value *r = NULL;
	struct out o;

	out_init(ev, &o);
	o.defers = true;
	ev->act = act_new(ev, up->tmpl, up->ctx, up, n->u.loop->func);
	if (run_loop(ev, n, items, depth, &o) != FLOW_ERR)
		r = out_value(ev, &o);
	ev->act = before;
	out_release(ev, &o);
	return r;
}

const struct value *
loop_call(struct eval *ev, struct loopvar *lv, const struct value *v)
{
	const struct value *items;
	bool strict = ev->strict;

	if (lv->node == NULL)
		return ev_error(ev, ERR_TYPE, "The loop must have the 'recursive' marker to be called recursively.");
	if (!ev_step(ev) || ev_force(ev, v) == NULL)
		return NULL;
	if ((items = ev_iter(ev, v)) == NULL)
		return ev_error(ev, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(v));
	ev->strict = true;
	v = recursive_level(ev, lv->node, lv->act, items, lv->depth + 1);
	ev->strict = strict;
	return v;
}

static COLD enum flow
exec_for(struct eval *ev, const struct node *n, struct out *o)
{
	const struct loop *l = n->u.loop;
	const struct value *v, *items;

	if ((v = eval_forced(ev, l->iter)) == NULL)
		return FLOW_ERR;
	if ((items = ev_iter(ev, v)) == NULL) {
		if (ev->err->code == ERR_NONE)
			ev_error(ev, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(v));
		ev_place(ev, l->iter->pos, l->iter->pos + 1);
		return FLOW_ERR;
	}
	if (!(n->flags & NF_RECURSIVE))
		return run_loop(ev, n, items, 0, o);
	if ((v = recursive_level(ev, n, ev->act, items, 0)) == NULL || !out_add(ev, o, v))
		return FLOW_ERR;
	return FLOW_OK;
}

/* ---- the other statements --------------------------------------------------------- */

/* Runs a body into a buffer of its own; its value. */
static const struct value *
body_value(struct eval *ev, const struct nodes *body, enum flow *flow)
{
	const struct value *v = NULL;
	struct out o;

	out_init(ev, &o);
	o.defers = true;
	*flow = exec_body(ev, body, &o);
	if (*flow != FLOW_ERR)
		v = out_value(ev, &o);
	out_release(ev, &o);
	return v;
}

/* A chain of filters on a block's text: the innermost has no input of its own. */
static const struct value *
filter_value(struct eval *ev, const struct node *f, const struct value *in)
{
	const struct tfilter *row = f->u.filter.row;
	struct targs args;

	if (f->u.filter.in != NULL && (in = filter_value(ev, f->u.filter.in, in)) == NULL)
		return NULL;
	if (row == NULL) {
		ev_error(ev, ERR_INVALID, "No filter named '%s' found", f->u.filter.name);
		ev_place(ev, f->pos, f->pos + 1);
		return NULL;
	}
	if (!ev_args(ev, f->u.filter.args, &args))
		return NULL;
	in = ev_filter(ev, row, f->u.filter.name, in, &args);
	if (in == NULL)
		ev_place(ev, f->pos, f->pos + (uint32_t)strlen(f->u.filter.name));
	return in;
}

/* Assignments at the top are seen by blocks, included files and importers. */
static void
export_names(struct eval *ev, const struct node *n)
{
	const struct locals *l = n->u.set->exports;
	uint32_t i;

	for (i = 0; l != NULL && i < l->n; i++)
		ctx_set(ev, ev->act->ctx, &l->v[i].name, *ev_slot(ev, l->v[i].ref), true);
}

static COLD enum flow
exec_set(struct eval *ev, const struct node *n)
{
	const struct value *v;
	enum flow flow = FLOW_OK;
	uint32_t i;

	for (i = 0; i < n->u.set->n_nsrefs; i++)
		if (namespace_of(ev, n->u.set->nsrefs[i]) == NULL)
			return FLOW_ERR;
	if (n->type == N_SET)
		v = eval_expr(ev, n->u.set->value);
	else {
		ev_enter(ev, &n->u.set->enter);
		v = body_value(ev, &n->u.set->body, &flow);
		if (v != NULL && n->u.set->filter != NULL)
			v = filter_value(ev, n->u.set->filter, v);
	}
	if (v == NULL)
		return FLOW_ERR;
	if (!ev_assign(ev, n->u.set->target, v)) {
		ev_place(ev, n->u.set->target->pos, n->u.set->target->pos + 1);
		return FLOW_ERR;
	}
	export_names(ev, n);
	return flow;
}

static enum flow
exec_if(struct eval *ev, const struct node *n, struct out *o)
{
	const struct value *v;
	int t;

	for (;;) {
		if ((v = eval_expr(ev, n->u.cond.test)) == NULL)
			return FLOW_ERR;
		if ((t = ev_truth(ev, v)) < 0) {
			ev_place(ev, n->u.cond.test->pos, n->u.cond.test->pos + 1);
			return FLOW_ERR;
		}
		if (t)
			return exec_body(ev, &n->u.cond.body, o);
		if (n->u.cond.other.n != 1 || n->u.cond.other.v[0]->type != N_IF)
			return exec_body(ev, &n->u.cond.other, o);
		n = n->u.cond.other.v[0];
	}
}

static const struct value *
macro_new(struct eval *ev, const struct func *f)
{
	struct macro *m = ARENA_NEW(&ev->scratch, struct macro);

	m->func = f;
	m->tmpl = ev->act->tmpl;
	m->up = ev->act;
	m->ctx = ev->act->ctx;
	return v_obj(&ev->scratch, &macro_ops, m);
}

static COLD enum flow
exec_macro(struct eval *ev, const struct node *n)
{
	const struct value *m = macro_new(ev, n->u.macro->func);

	*ev_slot(ev, n->u.macro->ref) = m;
	if (n->flags & NF_TOPLEVEL)
		ctx_set(ev, ev->act->ctx, &n->u.macro->name, m, true);
	return FLOW_OK;
}

static COLD enum flow
exec_call_block(struct eval *ev, const struct node *n, struct out *o)
{
	const struct node *call = n->u.macro->call;
	const struct value *caller = macro_new(ev, n->u.macro->func), *fn, *v;
	struct value *kw, *key;
	const struct ventry *e;
	struct targs args;
	uint32_t it;

	if ((fn = eval_expr(ev, call->u.call.fn)) == NULL || !ev_args(ev, call->u.call.args, &args))
		return FLOW_ERR;
	kw = v_map(&ev->scratch);
	if (args.kw != NULL)
		for (it = 0; (e = v_next(args.kw, &it)) != NULL;)
			v_set(&ev->scratch, kw, e->key, e->val);
	key = v_str(&ev->scratch, "caller");
	v_set(&ev->scratch, kw, key, caller);
	args.kw = kw;
	if ((v = ev_call(ev, fn, &args)) == NULL) {
		ev_place(ev, call->pos, call->pos + 1);
		return FLOW_ERR;
	}
	return out_add(ev, o, v) ? FLOW_OK : FLOW_ERR;
}

static COLD enum flow
exec_filter_block(struct eval *ev, const struct node *n, struct out *o)
{
	const struct value *v;
	enum flow flow;

	ev_enter(ev, &n->u.fblock->enter);
	if ((v = body_value(ev, &n->u.fblock->body, &flow)) == NULL ||
	    (v = filter_value(ev, n->u.fblock->filter, v)) == NULL || !out_add(ev, o, v))
		return FLOW_ERR;
	return flow;
}

static COLD enum flow
exec_with(struct eval *ev, const struct node *n, struct out *o)
{
	const struct value *values[32], **v = values;
	uint32_t i, count = n->u.with->values.n;

	if (count > NITEMS(values))
		v = ARENA_ARRAY(&ev->scratch, count, const struct value *);
	for (i = 0; i < count; i++)
		if ((v[i] = eval_expr(ev, n->u.with->values.v[i])) == NULL)
			return FLOW_ERR;
	ev_enter(ev, &n->u.with->enter);
	for (i = 0; i < count; i++)
		if (!ev_assign(ev, n->u.with->targets.v[i], v[i]))
			return FLOW_ERR;
	return exec_body(ev, &n->u.with->body, o);
}

static enum flow
exec_print(struct eval *ev, const struct node *n, struct out *o)
{
	const struct value *v;
	bool tainted = ev->tainted;

	ev->tainted = false;
	v = eval_expr(ev, n->u.x.a);
	if (v != NULL && ev->tainted && ev->scope->secret != NULL)
		ev->scope->secret(ev->scope->arg, v);
	ev->tainted = ev->tainted || tainted;
	if (v == NULL)
		return FLOW_ERR;
	if (v->type == V_STR && o->n > 1 && !o->mute && append(ev, o, v->u.s, v->len))
		return FLOW_OK;
	if (!out_add(ev, o, v)) {
		ev_place(ev, n->u.x.a->pos, n->u.x.a->pos + 1);
		return FLOW_ERR;
	}
	return FLOW_OK;
}

static enum flow
exec_one(struct eval *ev, const struct node *n, struct out *o)
{
	switch ((enum node_type)n->type) {
	case N_DATA:
		if (o->n > 1 && !o->mute)
			return append(ev, o, n->u.data.s, n->u.data.len) ? FLOW_OK : FLOW_ERR;
		return out_text(ev, o, n->u.data.s, n->u.data.len) ? FLOW_OK : FLOW_ERR;
	case N_PRINT:
		return exec_print(ev, n, o);
	case N_IF:
		return exec_if(ev, n, o);
	case N_FOR:
		return exec_for(ev, n, o);
	case N_SET:
	case N_SETBLOCK:
		return exec_set(ev, n);
	case N_MACRO:
		return exec_macro(ev, n);
	case N_CALLBLOCK:
		return exec_call_block(ev, n, o);
	case N_FILTERBLOCK:
		return exec_filter_block(ev, n, o);
	case N_INCLUDE:
	case N_IMPORT:
	case N_FROM:
		return exec_import(ev, n, o);
	case N_EXTENDS:
		return exec_extends(ev, n, o);
	case N_BLOCK:
		return exec_block(ev, n, o);
	case N_WITH:
	case N_SCOPE:
		return exec_with(ev, n, o);
	case N_DO:
		return eval_expr(ev, n->u.x.a) == NULL ? FLOW_ERR : FLOW_OK;
	case N_BREAK:
		return FLOW_BREAK;
	case N_CONTINUE:
		return FLOW_CONTINUE;
	default:
		ev_error(ev, ERR_INTERNAL, "no statement");
		return FLOW_ERR;
	}
}

enum flow
exec_body(struct eval *ev, const struct nodes *body, struct out *o)
{
	enum flow flow;
	uint32_t i;

	/* No step is counted here: what repeats or nests counts its own. */
	for (i = 0; i < body->n; i++) {
		if ((flow = exec_one(ev, body->v[i], o)) != FLOW_OK) {
			if (flow == FLOW_ERR)
				ev_place(ev, body->v[i]->pos, body->v[i]->pos + 1);
			return flow;
		}
	}
	return FLOW_OK;
}
