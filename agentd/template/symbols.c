/*
 * Frames and their symbols, and walks over the tree that find them; the rules
 * of scoping are told in resolve.c.
 */
#include <string.h>

#include "template/resolve.h"

bool
rs_same(const struct name *a, const struct name *b)
{
	return a->hash == b->hash && a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

struct sym *
rs_find_here(const struct frame *f, const struct name *n)
{
	struct sym *s;

	for (s = f->syms; s != NULL; s = s->next)
		if (rs_same(&s->name, n))
			return s;
	return NULL;
}

static uint16_t
hops(const struct fn *from, const struct fn *to)
{
	uint16_t n = 0;

	for (; from != to && from != NULL; from = from->up)
		n++;
	return n;
}

/* The symbol as seen from f; where it lives relative to f's function in *ref. */
struct sym *
rs_find(const struct frame *f, const struct name *n, struct ref *ref)
{
	const struct frame *g;
	struct sym *s;

	for (g = f; g != NULL; g = g->parent)
		if ((s = rs_find_here(g, n)) != NULL) {
			*ref = (struct ref){ hops(f->fn, g->fn), s->slot };
			return s;
		}
	return NULL;
}

static uint16_t
new_slot(struct resolver *r, struct fn *fn)
{
	if (fn->nslots >= 60000) {
		if (r->errors++ == 0)
			diags_error(r->diags, ERR_LIMIT, r->t->mark, "too many names in one template");
		return 0;
	}
	return (uint16_t)fn->nslots++;
}

static struct sym *
define(struct resolver *r, struct frame *f, const struct name *n, uint8_t kind)
{
	struct sym *s = ARENA_NEW(r->arena, struct sym);

	s->name = *n;
	s->kind = kind;
	s->slot = new_slot(r, f->fn);
	s->next = f->syms;
	f->syms = s;
	return s;
}

uint16_t
rs_declare_param(struct resolver *r, struct frame *f, const struct name *n)
{
	struct sym *s = rs_find_here(f, n);

	if (s == NULL)
		s = define(r, f, n, SYM_PARAM);
	s->kind = SYM_PARAM;
	s->stored = true;
	return s->slot;
}

static void
store(struct resolver *r, struct frame *f, const struct name *n, bool cond)
{
	struct sym *s = rs_find_here(f, n), *outer;
	struct ref ref;

	if (s == NULL)
		s = define(r, f, n, L_UNDEFINED);
	else if (s->stored || s->kind == SYM_PARAM) {
		s->stored = true;
		return;
	} else if (!cond) {
		s->stored = true;
		return;
	}
	s->stored = true;
	outer = f->parent == NULL ? NULL : rs_find(f->parent, n, &ref);
	if (outer != NULL) {
		ref.up = (uint16_t)(ref.up + hops(f->fn, f->parent->fn));
		s->kind = L_ALIAS;
		s->from = ref;
	} else
		s->kind = cond ? L_RESOLVE : L_UNDEFINED;
}

/* A name that is read in frame f before anything stores it there. */
static void
load(struct resolver *r, struct frame *f, const struct name *n)
{
	struct ref ref;

	/* Only names that this frame stores later need a symbol: they are the context's then. */
	if (rs_find(f, n, &ref) == NULL) {
		struct sym *s = define(r, f, n, L_RESOLVE);

		s->stored = false;
	}
}

/* The slot of a name of the context, in the outermost function. */
struct ref
rs_free_ref(struct resolver *r, struct frame *f, const struct name *n)
{
	struct fn *fn = f->fn;
	struct sym *s;
	uint16_t up = 0;

	for (; fn->up != NULL; fn = fn->up)
		up++;
	for (s = fn->free; s != NULL; s = s->next)
		if (rs_same(&s->name, n))
			return (struct ref){ up, s->slot };
	s = ARENA_NEW(r->arena, struct sym);
	s->name = *n;
	s->slot = new_slot(r, fn);
	s->next = fn->free;
	fn->free = s;
	return (struct ref){ up, s->slot };
}

struct frame *
rs_inner(struct resolver *r, struct frame *parent)
{
	struct frame *f = ARENA_NEW(r->arena, struct frame);

	f->parent = parent;
	f->fn = parent->fn;
	return f;
}

/* What a frame does with its slots when it is entered; called when all its symbols are known. */
void
rs_enter_info(struct resolver *r, const struct frame *f, struct frame_info *info)
{
	const struct sym *s;
	uint32_t n = 0;

	for (s = f->syms; s != NULL; s = s->next)
		n += s->kind != SYM_PARAM;
	info->loads = ARENA_ARRAY(r->arena, n, struct load);
	for (s = f->syms; s != NULL; s = s->next)
		if (s->kind != SYM_PARAM)
			info->loads[info->n++] = (struct load){ s->kind, s->slot, s->from };
}

/* Every name that frames from here outwards store. */
struct locals
rs_locals_of(struct resolver *r, const struct frame *f)
{
	struct locals l = { NULL, 0 };
	const struct frame *g;
	const struct sym *s;
	uint32_t i, cap = 0;

	for (g = f; g != NULL; g = g->parent)
		for (s = g->syms; s != NULL; s = s->next) {
			if (!s->stored)
				continue;
			for (i = 0; i < l.n && !rs_same(&l.v[i].name, &s->name); i++)
				;
			if (i < l.n)
				continue;
			if (l.n == cap) {
				l.v = arena_grow(r->arena, l.v, l.n * sizeof(*l.v), (cap + 8) * sizeof(*l.v));
				cap += 8;
			}
			l.v[l.n++] = (struct local){ s->name, { hops(f->fn, g->fn), s->slot } };
		}
	return l;
}

/* ---- walking without resolving -------------------------------------------- */

bool
rs_each_node(const struct nodes *l, visit_fn *fn, void *arg)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		if (l->v[i] != NULL && !fn(arg, l->v[i]))
			return false;
	return true;
}

bool
rs_each_one(struct node *n, visit_fn *fn, void *arg)
{
	return n == NULL || fn(arg, n);
}

static bool
each_arg(const struct args *a, visit_fn *fn, void *arg)
{
	return a == NULL || (rs_each_node(&a->pos, fn, arg) && rs_each_node(&a->kwval, fn, arg) &&
	    rs_each_one(a->star, fn, arg) && rs_each_one(a->dstar, fn, arg));
}

/* Children of an expression. */
static bool
each_expr_child(const struct node *n, visit_fn *fn, void *arg)
{
	switch ((enum node_type)n->type) {
	case N_LIST:
	case N_TUPLE:
	case N_DICT:
	case N_CONCAT:
		return rs_each_node(&n->u.list, fn, arg);
	case N_COMPARE:
		return rs_each_node(&n->u.cmp.v, fn, arg);
	case N_AND:
	case N_OR:
	case N_NOT:
	case N_NEG:
	case N_POS:
	case N_BIN:
	case N_COND:
	case N_ITEM:
	case N_SLICE:
	case N_PRINT:
	case N_DO:
	case N_EXTENDS:
		return rs_each_one(n->u.x.a, fn, arg) && rs_each_one(n->u.x.b, fn, arg) &&
		    rs_each_one(n->u.x.c, fn, arg) && rs_each_one(n->u.x.d, fn, arg);
	case N_ATTR:
	case N_NSREF:
		return rs_each_one(n->u.attr.obj, fn, arg);
	case N_CALL:
		return rs_each_one(n->u.call.fn, fn, arg) && each_arg(n->u.call.args, fn, arg);
	case N_FILTER:
	case N_TEST:
		return rs_each_one(n->u.filter.in, fn, arg) && each_arg(n->u.filter.args, fn, arg);
	default:
		return true;
	}
}

/* All children, statements' too. */
bool
rs_each_child(const struct node *n, visit_fn *fn, void *arg)
{
	switch ((enum node_type)n->type) {
	case N_IF:
		return rs_each_one(n->u.cond.test, fn, arg) && rs_each_node(&n->u.cond.body, fn, arg) &&
		    rs_each_node(&n->u.cond.other, fn, arg);
	case N_FOR:
		return rs_each_one(n->u.loop->target, fn, arg) && rs_each_one(n->u.loop->iter, fn, arg) &&
		    rs_each_node(&n->u.loop->body, fn, arg) && rs_each_node(&n->u.loop->other, fn, arg) &&
		    rs_each_one(n->u.loop->test, fn, arg);
	case N_SET:
	case N_SETBLOCK:
		return rs_each_one(n->u.set->value, fn, arg) && rs_each_one(n->u.set->filter, fn, arg) &&
		    rs_each_node(&n->u.set->body, fn, arg) && rs_each_one(n->u.set->target, fn, arg);
	case N_MACRO:
		return rs_each_node(&n->u.macro->func->defaults, fn, arg) &&
		    rs_each_node(&n->u.macro->func->body, fn, arg);
	case N_CALLBLOCK:
		return rs_each_one(n->u.macro->call, fn, arg) &&
		    rs_each_node(&n->u.macro->func->defaults, fn, arg) &&
		    rs_each_node(&n->u.macro->func->body, fn, arg);
	case N_FILTERBLOCK:
		return rs_each_node(&n->u.fblock->body, fn, arg) && rs_each_one(n->u.fblock->filter, fn, arg);
	case N_INCLUDE:
	case N_IMPORT:
	case N_FROM:
		return rs_each_one(n->u.import->tmpl, fn, arg);
	case N_BLOCK:
		return rs_each_node(&n->u.block->func->body, fn, arg);
	case N_WITH:
	case N_SCOPE:
		return rs_each_node(&n->u.with->targets, fn, arg) && rs_each_node(&n->u.with->values, fn, arg) &&
		    rs_each_node(&n->u.with->body, fn, arg);
	default:
		return each_expr_child(n, fn, arg);
	}
}

struct undeclared {
	const char	*name;
	bool		 used;
	bool		 storing;
};

static bool
visit_undeclared(void *arg, struct node *n)
{
	struct undeclared *u = arg;

	switch (n->type) {
	case N_NAME:
		if (strcmp(n->u.name.n.s, u->name) == 0) {
			u->used = true;
			return false;
		}
		return true;
	case N_BLOCK:
		return true;
	case N_SET:
	case N_SETBLOCK:
		/* What is stored first is declared. */
		if (!rs_each_one(n->u.set->value, visit_undeclared, u) ||
		    !rs_each_node(&n->u.set->body, visit_undeclared, u))
			return false;
		return n->u.set->target->type != N_NAME ||
		    strcmp(n->u.set->target->u.name.n.s, u->name) != 0;
	default:
		return rs_each_child(n, visit_undeclared, u);
	}
}

/* True when the nodes read a name that they don't set before. */
bool
rs_reads(const struct nodes *l, const char *name)
{
	struct undeclared u = { name, false, false };

	rs_each_node(l, visit_undeclared, &u);
	return u.used;
}

bool
rs_visit_scoped(void *arg, struct node *n)
{
	if (n->type == N_BLOCK && (n->flags & NF_SCOPED)) {
		*(bool *)arg = true;
		return false;
	}
	return rs_each_child(n, rs_visit_scoped, arg);
}

/* ---- analysing a frame ---------------------------------------------------- */

bool
rs_analyze_expr(void *arg, struct node *n)
{
	struct analysis *a = arg;

	if (n->type == N_NAME) {
		load(a->r, a->f, &n->u.name.n);
		return true;
	}
	return each_expr_child(n, rs_analyze_expr, a);
}

void
rs_analyze_target(struct resolver *r, struct frame *f, struct node *n, bool cond, bool param)
{
	uint32_t i;

	switch (n->type) {
	case N_NAME:
		if (param)
			rs_declare_param(r, f, &n->u.name.n);
		else
			store(r, f, &n->u.name.n, cond);
		break;
	case N_NSREF:
		load(r, f, &n->u.attr.obj->u.name.n);
		break;
	default:
		for (i = 0; i < n->u.list.n; i++)
			rs_analyze_target(r, f, n->u.list.v[i], cond, param);
	}
}

static void
analyze_one(struct resolver *r, struct frame *f, struct node *n, bool cond)
{
	struct analysis a = { r, f, cond };
	uint32_t i;

	switch ((enum node_type)n->type) {
	case N_IF:
		rs_analyze_expr(&a, n->u.cond.test);
		rs_analyze(r, f, &n->u.cond.body, true);
		rs_analyze(r, f, &n->u.cond.other, true);
		break;
	case N_FOR:
		rs_analyze_expr(&a, n->u.loop->iter);
		break;
	case N_SET:
		rs_analyze_expr(&a, n->u.set->value);
		rs_analyze_target(r, f, n->u.set->target, cond, false);
		break;
	case N_SETBLOCK:
		rs_analyze_target(r, f, n->u.set->target, cond, false);
		break;
	case N_MACRO:
		store(r, f, &n->u.macro->name, cond);
		break;
	case N_CALLBLOCK:
		rs_analyze_expr(&a, n->u.macro->call);
		break;
	case N_FILTERBLOCK:
		rs_analyze_expr(&a, n->u.fblock->filter);
		break;
	case N_WITH:
		for (i = 0; i < n->u.with->values.n; i++)
			rs_analyze_expr(&a, n->u.with->values.v[i]);
		break;
	case N_INCLUDE:
		rs_analyze_expr(&a, n->u.import->tmpl);
		break;
	case N_IMPORT:
		rs_analyze_expr(&a, n->u.import->tmpl);
		store(r, f, &n->u.import->target, cond);
		break;
	case N_FROM:
		rs_analyze_expr(&a, n->u.import->tmpl);
		for (i = 0; i < n->u.import->n; i++)
			store(r, f, &n->u.import->names[i].name, cond);
		break;
	case N_PRINT:
	case N_DO:
	case N_EXTENDS:
		rs_analyze_expr(&a, n->u.x.a);
		break;
	default:
		break;
	}
}

void
rs_analyze(struct resolver *r, struct frame *f, const struct nodes *l, bool cond)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		analyze_one(r, f, l->v[i], cond);
}
