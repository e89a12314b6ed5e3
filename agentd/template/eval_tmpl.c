/*
 * Templates among each other: contexts, blocks, include, import, extends.
 *
 * A context is what names mean to one template file.  `include` gives the
 * other file a context whose names fall back to everything that is visible at
 * the place (locals, then the context, then the scope); `import` one that knows
 * only the globals, unless `with context`.  `extends` runs the parent in the same
 * context; blocks are functions found there by name, the most derived first.
 */
#include <string.h>

#include "template/eval.h"

#define INCLUDE_MAX	40	/* files deep */

/* ---- contexts ------------------------------------------------------------------ */

struct ctx *
ctx_new(struct eval *ev, struct ctx *up)
{
	struct ctx *c = ARENA_NEW(&ev->scratch, struct ctx);

	c->up = up;
	return c;
}

void
ctx_set(struct eval *ev, struct ctx *c, const struct name *n, const struct value *v, bool export)
{
	const struct value *key = v_str_ref(&ev->scratch, n->s, n->len);

	if (c->vars == NULL)
		c->vars = v_map(&ev->scratch);
	v_set(&ev->scratch, c->vars, key, v);
	if (!export || n->s[0] == '_')
		return;
	if (c->exported == NULL)
		c->exported = v_map(&ev->scratch);
	v_set(&ev->scratch, c->exported, key, v);
}

/* A context below c that also has the locals of this place. */
static struct ctx *
with_locals(struct eval *ev, struct ctx *c, const struct locals *l)
{
	struct ctx *n = ctx_new(ev, c);
	const struct value *v;
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		v = *ev_slot(ev, l->v[i].ref);
		if (v != NULL && v != &slot_missing)
			ctx_set(ev, n, &l->v[i].name, v, false);
	}
	n->blocks = c->blocks;
	n->nblocks = c->nblocks;
	return n;
}

static struct ctx_block *
find_block(struct ctx *c, const char *s, size_t len)
{
	uint32_t i;

	for (i = 0; i < c->nblocks; i++)
		if (c->blocks[i].name.len == len && memcmp(c->blocks[i].name.s, s, len) == 0)
			return &c->blocks[i];
	return NULL;
}

/* A template's blocks, behind those of the templates derived from it. */
static void
add_blocks(struct eval *ev, struct ctx *c, const struct tmpl *t)
{
	struct ctx_block *b;
	uint32_t i, n;

	for (i = 0; i < t->nblocks; i++) {
		const struct name *name = &t->block_names[i];

		if ((b = find_block(c, name->s, name->len)) == NULL) {
			c->blocks = arena_grow(&ev->scratch, c->blocks, c->nblocks * sizeof(*b),
			    (c->nblocks + 1) * sizeof(*b));
			b = &c->blocks[c->nblocks++];
			memset(b, 0, sizeof(*b));
			b->name = *name;
		}
		n = b->n++;
		b->tmpls = arena_grow(&ev->scratch, b->tmpls, n * sizeof(*b->tmpls), (n + 1) * sizeof(*b->tmpls));
		b->funcs = arena_grow(&ev->scratch, b->funcs, n * sizeof(*b->funcs), (n + 1) * sizeof(*b->funcs));
		b->tmpls[n] = t;
		b->funcs[n] = t->blocks[i];
	}
}

/* ---- self, super ----------------------------------------------------------------- */

struct blockref {
	struct vobj	 o;
	struct ctx	*ctx;
	struct ctx_block block;		/* as it was; NULL name: self */
	uint32_t	 i;
};

static const struct value *
blockref_new(struct eval *ev, struct ctx *ctx, const struct ctx_block *b, uint32_t i)
{
	struct blockref *r = ARENA_NEW(&ev->scratch, struct blockref);

	if (b != NULL && i >= b->n)
		return ev_undef(ev, ERR_UNDEFINED, "there is no parent block called '%s'", b->name.s);
	r->ctx = ctx;
	if (b != NULL)
		r->block = *b;
	r->i = i;
	return v_obj(&ev->scratch, b == NULL ? &self_ops : &super_ops, r);
}

static const struct value *
super_call(struct eval *ev, const struct value *v, const struct targs *args)
{
	struct blockref *r = v->u.obj;
	struct act *act = ev->act;
	const struct value *ret = NULL;
	bool strict = ev->strict;
	struct out o;

	if (args->n > 0)
		return ev_error(ev, ERR_TYPE, "a block takes no arguments");
	out_init(ev, &o);
	o.defers = true;
	ev->strict = true;
	if (ev_run_block(ev, r->ctx, &r->block, r->i, &o) != FLOW_ERR)
		ret = out_value(ev, &o);
	out_release(ev, &o);
	ev->strict = strict;
	ev->act = act;
	return ret;
}

static const struct value *
super_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	struct blockref *r = v->u.obj;

	if (len != 5 || memcmp(s, "super", 5) != 0)
		return NULL;
	return blockref_new(ev, r->ctx, &r->block, r->i + 1);
}

static const struct value *
self_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	struct blockref *r = v->u.obj;
	struct ctx_block *b = find_block(r->ctx, s, len);

	return b == NULL ? NULL : blockref_new(ev, r->ctx, b, 0);
}

const struct vobj_ops super_ops = { .type = "BlockReference", .call = super_call, .attr = super_attr };
const struct vobj_ops self_ops = { .type = "TemplateReference", .attr = self_attr };

/* ---- running ----------------------------------------------------------------------- */

enum flow
ev_run_block(struct eval *ev, struct ctx *ctx, const struct ctx_block *b, uint32_t i, struct out *o)
{
	struct func *f = b->funcs[i];
	enum flow flow;

	if (!ev_step(ev))
		return FLOW_ERR;
	ev->act = act_new(ev, b->tmpls[i], ctx, NULL, f);
	if (f->self_slot >= 0)
		ev->act->slot[f->self_slot] = blockref_new(ev, ctx, NULL, 0);
	if (f->super_slot >= 0)
		ev->act->slot[f->super_slot] = blockref_new(ev, ctx, b, i + 1);
	ev_enter(ev, &f->enter);
	flow = exec_body(ev, &f->body, o);
	return flow;
}

enum flow
exec_block(struct eval *ev, const struct node *n, struct out *o)
{
	struct act *act = ev->act;
	struct ctx *ctx = act->ctx;
	struct ctx_block *b;
	enum flow flow;

	if ((n->flags & NF_TOPLEVEL) && act->parent != NULL)
		return FLOW_OK;
	if ((b = find_block(ctx, n->u.block->name.s, n->u.block->name.len)) == NULL) {
		ev_error(ev, ERR_INVALID, "block '%s' is not known here", n->u.block->name.s);
		return FLOW_ERR;
	}
	if ((n->flags & NF_REQUIRED) && b->n <= 1) {
		ev_error(ev, ERR_INVALID, "Required block '%s' not found", n->u.block->name.s);
		return FLOW_ERR;
	}
	if (n->flags & NF_SCOPED)
		ctx = with_locals(ev, ctx, &n->u.block->locals);
	flow = ev_run_block(ev, ctx, b, 0, o);
	if (flow == FLOW_ERR)
		return flow;
	ev->act = act;
	return FLOW_OK;
}

enum flow
ev_run(struct eval *ev, const struct tmpl *t, struct ctx *ctx, struct out *o)
{
	struct act *before = ev->act;
	bool mute = o->mute;
	unsigned parents;
	enum flow flow;

	add_blocks(ev, ctx, t);
	for (parents = 0;; parents++) {
		if (parents > INCLUDE_MAX) {
			ev_error(ev, ERR_LIMIT, "templates extend each other more than %d levels deep", INCLUDE_MAX);
			return FLOW_ERR;
		}
		ev->act = act_new(ev, t, ctx, NULL, t->root);
		if (t->root->self_slot >= 0)
			ev->act->slot[t->root->self_slot] = blockref_new(ev, ctx, NULL, 0);
		ev_enter(ev, &t->root->enter);
		if ((flow = exec_body(ev, &t->root->body, o)) == FLOW_ERR)
			return flow;
		o->mute = mute;
		if ((t = ev->act->parent) == NULL)
			break;
	}
	ev->act = before;
	return FLOW_OK;
}

/* Text gets back the newlines at the end that the source had and the result lacks. */
static void
add_newlines(const struct tmpl *t, struct buf *b)
{
	uint32_t have = 0;

	if (t->end_newlines == 0 || !t->syn.keep_newline)
		return;
	while (have < b->len && b->data[b->len - have - 1] == '\n')
		have++;
	for (; have < t->end_newlines; have++)
		buf_adds(b, t->syn.newline);
}

static const struct value *
restore_newlines(struct eval *ev, const struct tmpl *t, const struct value *v)
{
	struct buf b = BUF_INIT;
	struct value *r;

	if (v->type != V_STR || t->end_newlines == 0 || !t->syn.keep_newline)
		return v;
	buf_add(&b, v->u.s, v->len);
	add_newlines(t, &b);
	r = v_strn(&ev->scratch, buf_str(&b), b.len);
	r->flags = v->flags;
	buf_release(&b);
	return r;
}

/* A whole template's value, native. */
const struct value *
ev_template(struct eval *ev, const struct tmpl *t, struct ctx *ctx)
{
	const struct value *v = NULL;
	struct out o;

	if (t->plain)
		return v_str_ref(&ev->scratch, t->text, t->len);
	if (t->expr != NULL) {
		ev->act = act_new(ev, t, ctx, NULL, t->root);
		ev_enter(ev, &t->root->enter);
		v = eval_expr(ev, t->expr);
	} else {
		out_init(ev, &o);
		if (ev_run(ev, t, ctx, &o) != FLOW_ERR) {
			if (o.n > 1)
				add_newlines(t, &o.b);
			v = out_value(ev, &o);
		}
		out_release(ev, &o);
		if (o.n > 1)
			return v;
	}
	return v == NULL || t->mode == TMPL_WHEN ? v : restore_newlines(ev, t, v);
}

/* ---- include, import, extends -------------------------------------------------------- */

/* The template that a name, or the first of several names, means. NULL: an error, or none was found (*missing). */
static const struct tmpl *
load_one(struct eval *ev, const struct value *v, bool *missing)
{
	const struct tmpl *t;
	const struct value *l, *e;
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	*missing = false;
	if (v->type == V_STR)
		return ev_load(ev, v->u.s, v->len, missing);
	if (v->type != V_LIST || (l = ev_iter(ev, v)) == NULL) {
		ev_error(ev, ERR_TYPE, "the name of a template must be a string, not %s", tmpl_py_type(v));
		return NULL;
	}
	for (i = 0; i < l->u.list->n; i++) {
		if ((e = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL)
			return NULL;
		if (e->type == V_UNDEF)
			continue;
		if ((t = load_one(ev, e, missing)) != NULL || !*missing)
			return t;
		err_release(ev->err);
		if (e->type == V_STR)
			buf_addf(&b, "%s%s", b.len == 0 ? "" : ", ", e->u.s);
	}
	*missing = true;
	ev_error(ev, ERR_INVALID, "none of the templates given were found: %s", buf_str(&b));
	return NULL;
}

static const struct tmpl *
load_node(struct eval *ev, const struct node *n, bool *missing)
{
	const struct value *v = eval_forced(ev, n);
	const struct tmpl *t;

	*missing = false;
	if (v == NULL)
		return NULL;
	if ((t = load_one(ev, v, missing)) == NULL)
		ev_place(ev, n->pos, n->pos + 1);
	return t;
}

static void
included_from(struct eval *ev, const struct node *n, const char *how)
{
	if (ev->act != NULL && ev->err->at.src != NULL)
		err_note(ev->err, ev_mark(ev, n->pos), "%s here", how);
}

static enum flow
run_include(struct eval *ev, const struct node *n, const struct tmpl *t, struct out *o)
{
	struct act *act = ev->act;
	struct ctx *ctx = ctx_new(ev, NULL);
	enum flow flow;

	if (n->flags & NF_CONTEXT)
		ctx->up = with_locals(ev, act->ctx, &n->u.import->locals);
	else
		ctx->isolated = true;
	flow = ev_run(ev, t, ctx, o);
	ev->act = act;
	if (flow == FLOW_ERR)
		included_from(ev, n, "included");
	return flow;
}

static const struct value *
import_module(struct eval *ev, const struct node *n, const struct tmpl *t)
{
	struct act *act = ev->act;
	struct module *m = ARENA_NEW(&ev->scratch, struct module);
	struct ctx *ctx = ctx_new(ev, NULL);
	enum flow flow;
	struct out o;

	if (n->flags & NF_CONTEXT)
		ctx->up = with_locals(ev, act->ctx, &n->u.import->locals);
	else
		ctx->isolated = true;
	out_init(ev, &o);
	if ((flow = ev_run(ev, t, ctx, &o)) != FLOW_ERR)
		m->body = out_value(ev, &o);
	out_release(ev, &o);
	ev->act = act;
	if (flow == FLOW_ERR) {
		included_from(ev, n, "imported");
		return NULL;
	}
	m->name = t->mark.src != NULL ? t->mark.src->path : "template";
	m->exports = ctx->exported != NULL ? ctx->exported : v_map(&ev->scratch);
	return v_obj(&ev->scratch, &module_ops, m);
}

static enum flow
import_names(struct eval *ev, const struct node *n, const struct value *module)
{
	const struct import *im = n->u.import;
	const struct module *m = module->u.obj;
	const struct value *v;
	uint32_t i;

	if (n->type == N_IMPORT) {
		*ev_slot(ev, im->ref) = module;
		if (n->flags & NF_TOPLEVEL)
			ctx_set(ev, ev->act->ctx, &im->target, module, false);
		return FLOW_OK;
	}
	for (i = 0; i < im->n; i++) {
		v = v_getn(m->exports, im->from[i].s, im->from[i].len, im->from[i].hash);
		if (v == NULL)
			v = ev_undef(ev, ERR_UNDEFINED, "the template '%s' (imported on line %u) does not export "
			    "the requested name '%s'", m->name, ev_mark(ev, n->pos).line, im->from[i].s);
		*ev_slot(ev, im->names[i].ref) = v;
		if (n->flags & NF_TOPLEVEL)
			ctx_set(ev, ev->act->ctx, &im->names[i].name, v, false);
	}
	return FLOW_OK;
}

enum flow
exec_import(struct eval *ev, const struct node *n, struct out *o)
{
	const struct tmpl *t;
	const struct value *m;
	enum flow flow = FLOW_ERR;
	bool missing;

	if ((t = load_node(ev, n->u.import->tmpl, &missing)) == NULL) {
		if (!missing || !(n->flags & NF_IGNORE))
			return FLOW_ERR;
		err_release(ev->err);
		return FLOW_OK;
	}
	if (ev->includes >= INCLUDE_MAX) {
		ev_error(ev, ERR_LIMIT, "templates include each other more than %d levels deep", INCLUDE_MAX);
		return FLOW_ERR;
	}
	ev->includes++;
	if (n->type == N_INCLUDE)
		flow = run_include(ev, n, t, o);
	else if ((m = import_module(ev, n, t)) != NULL)
		flow = import_names(ev, n, m);
	ev->includes--;
	return flow;
}

enum flow
exec_extends(struct eval *ev, const struct node *n, struct out *o)
{
	bool missing;
	const struct tmpl *t;

	if (ev->act->parent != NULL) {
		ev_error(ev, ERR_INVALID, "extended multiple times");
		return FLOW_ERR;
	}
	if ((t = load_node(ev, n->u.x.a, &missing)) == NULL)
		return FLOW_ERR;
	add_blocks(ev, ev->act->ctx, t);
	ev->act->parent = t;
	o->mute = true;
	return FLOW_OK;
}

/* The same for a file, whose text goes straight to the result's arena. NULL without an error: it is no text. */
const struct value *
ev_file(struct eval *ev, const struct tmpl *t, struct arena *a, const struct value **native)
{
	const struct value *v = NULL;
	struct out o;

	*native = NULL;
	out_init(ev, &o);
	(void)buf_reserve(&o.b, t->body_len + t->body_len / 2 + 64);
	if (ev_run(ev, t, ctx_new(ev, NULL), &o) != FLOW_ERR) {
		if (o.n > 1) {
			add_newlines(t, &o.b);
			v = v_strn(a, o.b.data, o.b.len);
		} else
			*native = restore_newlines(ev, t, out_value(ev, &o));
	}
	out_release(ev, &o);
	return v;
}
