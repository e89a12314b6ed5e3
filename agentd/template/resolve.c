/*
 * The second half of compiling: names become slots, filters and tests become
 * rows, constants are folded, and what the template reads from outside is
 * collected.
 *
 * Scoping is Jinja's (its idtracking): a frame is a for body, with, macro,
 * call, filter or set block, or a block; `if` has none.  A frame is looked
 * through as a whole before its nodes are resolved, so that a name which is set
 * anywhere in it belongs to it everywhere:
 *
 *	first stored	its slot starts as a copy of the outer one, or undefined
 *	stored in an if	… or the context decides
 *	only loaded	the outer frames', or the context's
 *
 * Names that only the context can know get one slot in the outermost function,
 * so that they are looked up once per rendering, not once per iteration.
 */
#include <string.h>

#include "template/resolve.h"

static void	 body(struct resolver *, struct frame *, struct nodes *);

/* Gives the names of a target their slots; also the list of names for the context. */
static void
resolve_target(struct resolver *r, struct frame *f, struct node *n, struct locals *names)
{
	uint32_t i;

	switch (n->type) {
	case N_NAME:
		(void)rs_find(f, &n->u.name.n, &n->u.name.ref);
		if (names != NULL) {
			names->v = arena_grow(r->arena, names->v, names->n * sizeof(*names->v),
			    (names->n + 1) * sizeof(*names->v));
			names->v[names->n++] = (struct local){ n->u.name.n, n->u.name.ref };
		}
		break;
	case N_NSREF:
		rs_name(r, f, n->u.attr.obj);
		break;
	default:
		for (i = 0; i < n->u.list.n; i++)
			resolve_target(r, f, n->u.list.v[i], names);
	}
}

static bool
visit_loop_name(void *arg, struct node *n)
{
	if (n->type == N_NAME && strcmp(n->u.name.n.s, "loop") == 0) {
		*(bool *)arg = true;
		return false;
	}
	return n->type != N_TUPLE || rs_each_node(&n->u.list, visit_loop_name, arg);
}

/* Anything in the loop that sets a name `loop`. */
static bool
visit_loop_set(void *arg, struct node *n)
{
	if ((n->type == N_SET || n->type == N_SETBLOCK) && !visit_loop_name(arg, n->u.set->target))
		return false;
	if (n->type == N_FOR && !visit_loop_name(arg, n->u.loop->target))
		return false;
	return rs_each_child(n, visit_loop_set, arg);
}

static void
resolve_for(struct resolver *r, struct frame *f, struct node *n)
{
	static const struct nodes nothing = { NULL, 0, 0 };
	struct name loop_name = name_make("loop", 4);
	struct loop *l = n->u.loop;
	bool recursive = n->flags & NF_RECURSIVE, scoped = false, bad = false;
	struct frame *lf, *tf, *ef;
	struct fn *fn = NULL;

	visit_loop_set(&bad, n);
	if (bad) {
		rs_fail(r, n, 3, ERR_SYNTAX, "Can't assign to special loop variable in for-loop target");
		return;
	}
	rs_expr(r, f, l->iter);
	if (recursive) {
		fn = ARENA_NEW(r->arena, struct fn);
		fn->up = f->fn;
		fn->f = l->func = ARENA_NEW(r->arena, struct func);
		fn->f->name = "loop";
	}
	lf = rs_inner(r, f);
	tf = rs_inner(r, f);
	ef = rs_inner(r, f);
	if (recursive)
		lf->fn = tf->fn = ef->fn = fn;
	rs_each_node(&l->body, rs_visit_scoped, &scoped);
	if (recursive || scoped || rs_reads(&l->body, "loop")) {
		l->loop_slot = rs_declare_param(r, lf, &loop_name);
	}
	rs_analyze_target(r, lf, l->target, false, true);
	rs_analyze(r, lf, &l->body, false);
	resolve_target(r, lf, l->target, NULL);
	if (l->test != NULL) {
		struct analysis a = { r, tf, false };

		/* The test sees the target, in the slots of the body's frame. */
		tf->syms = NULL;
		tf->parent = f;
		rs_analyze_target(r, tf, l->target, false, true);
		rs_analyze_expr(&a, l->test);
		for (struct sym *s = tf->syms; s != NULL; s = s->next) {
			struct sym *same_name = rs_find_here(lf, &s->name);

			if (s->kind == SYM_PARAM && same_name != NULL)
				s->slot = same_name->slot;
		}
		rs_expr(r, tf, l->test);
		rs_enter_info(r, tf, &l->test_enter);
	}
	r->maybe++;
	body(r, lf, &l->body);
	rs_enter_info(r, lf, &l->body_enter);
	rs_analyze(r, ef, l->other.n > 0 ? &l->other : &nothing, false);
	body(r, ef, &l->other);
	rs_enter_info(r, ef, &l->else_enter);
	r->maybe--;
	if (recursive)
		l->func->nslots = (uint16_t)fn->nslots;
}

static void
resolve_if(struct resolver *r, struct frame *f, struct node *n)
{
	struct guard *before = r->guards;
	bool soft = f->soft, rootlevel = f->rootlevel;

	f->soft = true;
	f->rootlevel = false;
	rs_expr(r, f, n->u.cond.test);
	r->maybe++;
	rs_push_guards(r, n->u.cond.test, true);
	body(r, f, &n->u.cond.body);
	r->guards = before;
	rs_push_guards(r, n->u.cond.test, false);
	body(r, f, &n->u.cond.other);
	r->guards = before;
	r->maybe--;
	f->soft = soft;
	f->rootlevel = rootlevel;
}

/* A macro or call block. */
static void
resolve_func(struct resolver *r, struct frame *f, struct func *func)
{
	struct frame *mf = rs_inner(r, f);
	struct fn *fn = ARENA_NEW(r->arena, struct fn);
	struct name n;
	uint32_t i, j;
	bool kwargs = false, varargs = false;

	fn->up = f->fn;
	fn->f = func;
	mf->fn = fn;
	func->param_slot = ARENA_ARRAY(r->arena, func->nparams, uint16_t);
	for (i = 0; i < func->nparams; i++) {
		const struct value *p = func->params[i];

		for (j = 0; j < i; j++)
			if (v_equal(func->params[j], p))
				func->dup_params = true;
		n = name_make(p->u.s, p->len);
		func->param_slot[i] = rs_declare_param(r, mf, &n);
		func->explicit_caller = func->explicit_caller || v_eqs(p, "caller");
		kwargs = kwargs || v_eqs(p, "kwargs");
		varargs = varargs || v_eqs(p, "varargs");
	}
	if (rs_reads(&func->body, "caller") && !func->explicit_caller) {
		n = name_make("caller", 6);
		func->caller_slot = rs_declare_param(r, mf, &n);
	}
	if (rs_reads(&func->body, "kwargs") && !kwargs) {
		n = name_make("kwargs", 6);
		func->kwargs_slot = rs_declare_param(r, mf, &n);
	}
	if (rs_reads(&func->body, "varargs") && !varargs) {
		n = name_make("varargs", 7);
		func->varargs_slot = rs_declare_param(r, mf, &n);
	}
	for (i = 0; i < func->defaults.n; i++) {
		struct analysis a = { r, mf, false };

		rs_analyze_expr(&a, func->defaults.v[i]);
	}
	rs_analyze(r, mf, &func->body, false);
	r->maybe++;
	rs_exprs(r, mf, &func->defaults);
	body(r, mf, &func->body);
	r->maybe--;
	rs_enter_info(r, mf, &func->enter);
	func->nslots = (uint16_t)fn->nslots;
}

static bool
caller_without_default(const struct func *f)
{
	uint32_t i;

	for (i = 0; i < f->nparams; i++)
		if (v_eqs(f->params[i], "caller"))
			return i < f->nparams - f->defaults.n && rs_reads(&f->body, "caller");
	return false;
}

static void
resolve_macro(struct resolver *r, struct frame *f, struct node *n)
{
	struct func *func = n->u.macro->func;

	if (caller_without_default(func)) {
		rs_fail(r, n, 5, ERR_SYNTAX, "When defining macros or call blocks the special \"caller\" "
		    "argument must be omitted or be given a default");
		return;
	}
	resolve_func(r, f, func);
	if (func->dup_params)
		rs_fail(r, n, 5, ERR_INVALID, "duplicate argument in the definition of macro '%s'",
		    func->name == NULL ? "caller" : func->name);
	if (n->type == N_MACRO) {
		(void)rs_find(f, &n->u.macro->name, &n->u.macro->ref);
		if (f->toplevel)
			n->flags |= NF_TOPLEVEL;
	} else
		rs_expr(r, f, n->u.macro->call);
	r->t->fold_ok = false;
}

static bool
visit_nsref(void *arg, struct node *n)
{
	struct node *set = arg;

	if (n->type == N_NSREF) {
		set->u.set->nsrefs = (const struct node **)xreallocarray(
		    (void *)(uintptr_t)set->u.set->nsrefs, set->u.set->n_nsrefs + 1, sizeof(n));
		set->u.set->nsrefs[set->u.set->n_nsrefs++] = n;
		return true;
	}
	return n->type != N_TUPLE || rs_each_node(&n->u.list, visit_nsref, arg);
}

static void
resolve_set(struct resolver *r, struct frame *f, struct node *n)
{
	struct frame *bf;
	const struct node **refs;

	visit_nsref(n, n->u.set->target);
	if (n->u.set->n_nsrefs > 0) {
		refs = ARENA_ARRAY(r->arena, n->u.set->n_nsrefs, const struct node *);
		memcpy((void *)(uintptr_t)refs, (const void *)(uintptr_t)n->u.set->nsrefs,
		    n->u.set->n_nsrefs * sizeof(*refs));
		free((void *)(uintptr_t)n->u.set->nsrefs);
		n->u.set->nsrefs = refs;
	}
	if (n->type == N_SET)
		rs_expr(r, f, n->u.set->value);
	else {
		bf = rs_inner(r, f);
		rs_analyze(r, bf, &n->u.set->body, false);
		body(r, bf, &n->u.set->body);
		if (n->u.set->filter != NULL)
			rs_expr(r, bf, n->u.set->filter);
		rs_enter_info(r, bf, &n->u.set->enter);
	}
	if (f->toplevel) {
		n->flags |= NF_TOPLEVEL;
		n->u.set->exports = ARENA_NEW(r->arena, struct locals);
	}
	resolve_target(r, f, n->u.set->target, n->u.set->exports);
}

static void
resolve_with(struct resolver *r, struct frame *f, struct node *n)
{
	struct frame *wf = rs_inner(r, f);
	uint32_t i;

	for (i = 0; i < n->u.with->targets.n; i++)
		rs_analyze_target(r, wf, n->u.with->targets.v[i], false, true);
	rs_analyze(r, wf, &n->u.with->body, false);
	rs_exprs(r, f, &n->u.with->values);
	for (i = 0; i < n->u.with->targets.n; i++)
		resolve_target(r, wf, n->u.with->targets.v[i], NULL);
	body(r, wf, &n->u.with->body);
	rs_enter_info(r, wf, &n->u.with->enter);
}

static void
resolve_filter_block(struct resolver *r, struct frame *f, struct node *n)
{
	struct frame *bf = rs_inner(r, f);
	struct analysis a = { r, bf, false };

	rs_analyze(r, bf, &n->u.fblock->body, false);
	rs_analyze_expr(&a, n->u.fblock->filter);
	body(r, bf, &n->u.fblock->body);
	rs_expr(r, bf, n->u.fblock->filter);
	rs_enter_info(r, bf, &n->u.fblock->enter);
}

static void
resolve_import(struct resolver *r, struct frame *f, struct node *n)
{
	struct import *im = n->u.import;
	uint32_t i;

	r->t->fold_ok = false;
	r->t->mutates = true;
	rs_expr(r, f, im->tmpl);
	im->locals = rs_locals_of(r, f);
	if (f->toplevel)
		n->flags |= NF_TOPLEVEL;
	if (n->type == N_IMPORT)
		(void)rs_find(f, &im->target, &im->ref);
	for (i = 0; i < im->n; i++)
		(void)rs_find(f, &im->names[i].name, &im->names[i].ref);
}

/* A block is a function of its own that knows nothing of what is around it. */
static void
resolve_block(struct resolver *r, struct frame *f, struct node *n)
{
	struct tmpl *t = r->t;
	struct func *func = n->u.block->func;
	struct frame bf = { .fn = ARENA_NEW(r->arena, struct fn) };
	struct name name;
	uint32_t i;

	for (i = 0; i < t->nblocks; i++)
		if (rs_same(&t->block_names[i], &n->u.block->name)) {
			rs_fail(r, n, 5, ERR_SYNTAX, "block '%s' defined twice", n->u.block->name.s);
			return;
		}
	if (f->toplevel)
		n->flags |= NF_TOPLEVEL;
	if (n->flags & NF_SCOPED)
		n->u.block->locals = rs_locals_of(r, f);
	t->blocks = arena_grow(r->arena, t->blocks, i * sizeof(*t->blocks), (i + 1) * sizeof(*t->blocks));
	t->block_names = arena_grow(r->arena, t->block_names, i * sizeof(name), (i + 1) * sizeof(name));
	t->blocks[i] = func;
	t->block_names[i] = n->u.block->name;
	t->nblocks++;
	bf.fn->f = func;
	if (rs_reads(&func->body, "self")) {
		name = name_make("self", 4);
		func->self_slot = rs_declare_param(r, &bf, &name);
	}
	if (rs_reads(&func->body, "super")) {
		name = name_make("super", 5);
		func->super_slot = rs_declare_param(r, &bf, &name);
	}
	rs_analyze(r, &bf, &func->body, false);
	body(r, &bf, &func->body);
	rs_enter_info(r, &bf, &func->enter);
	func->nslots = (uint16_t)bf.fn->nslots;
}

static void
resolve_extends(struct resolver *r, struct frame *f, struct node *n)
{
	r->t->fold_ok = false;
	r->t->mutates = true;
	if (!f->toplevel) {
		rs_fail(r, n, 7, ERR_SYNTAX, "cannot use extend from a non top-level scope");
		return;
	}
	rs_expr(r, f, n->u.x.a);
	if (f->rootlevel)
		r->t->has_extends = true;
}

static void
statement(struct resolver *r, struct frame *f, struct node *n)
{
	switch ((enum node_type)n->type) {
	case N_IF:
		resolve_if(r, f, n);
		break;
	case N_FOR:
		resolve_for(r, f, n);
		break;
	case N_SET:
	case N_SETBLOCK:
		resolve_set(r, f, n);
		break;
	case N_MACRO:
	case N_CALLBLOCK:
		resolve_macro(r, f, n);
		break;
	case N_FILTERBLOCK:
		resolve_filter_block(r, f, n);
		break;
	case N_INCLUDE:
	case N_IMPORT:
	case N_FROM:
		resolve_import(r, f, n);
		break;
	case N_EXTENDS:
		resolve_extends(r, f, n);
		break;
	case N_BLOCK:
		resolve_block(r, f, n);
		break;
	case N_WITH:
	case N_SCOPE:
		resolve_with(r, f, n);
		break;
	case N_PRINT:
	case N_DO:
		rs_expr(r, f, n->u.x.a);
		break;
	default:
		break;
	}
}

static void
body(struct resolver *r, struct frame *f, struct nodes *l)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		statement(r, f, l->v[i]);
}

bool
tmpl_resolve(struct arena *arena, struct tmpl *t, struct nodes *nodes, struct node *e,
    struct diags *diags)
{
	struct resolver r = { .arena = arena, .t = t, .diags = diags };
	struct frame root = { .fn = ARENA_NEW(arena, struct fn), .toplevel = true, .rootlevel = true };
	struct func *f = ARENA_NEW(arena, struct func);
	struct name self = name_make("self", 4);

	f->self_slot = f->super_slot = f->caller_slot = f->kwargs_slot = f->varargs_slot = -1;
	root.fn->f = t->root = f;
	t->fold_ok = true;
	if (e != NULL) {
		struct analysis a = { &r, &root, false };

		rs_analyze_expr(&a, e);
		rs_expr(&r, &root, e);
		t->expr = e;
	} else {
		if (rs_reads(nodes, "self"))
			f->self_slot = rs_declare_param(&r, &root, &self);
		rs_analyze(&r, &root, nodes, false);
		body(&r, &root, nodes);
		f->body = *nodes;
	}
	rs_enter_info(&r, &root, &f->enter);
	f->nslots = (uint16_t)root.fn->nslots;
	t->names = r.names;
	t->nnames = r.nnames;
	return r.errors == 0;
}
