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

#include "template/parser.h"

struct sym {
	struct sym	*next;
	struct name	 name;
	uint16_t	 slot;
	uint8_t		 kind;		/* enum load_kind; SYM_PARAM */
	struct ref	 from;		/* L_ALIAS: relative to the frame's function */
	bool		 stored;
};
#define SYM_PARAM	255

struct fn {
	struct fn	*up;
	struct func	*f;
	uint32_t	 nslots;
	struct sym	*free;		/* of the outermost: names of the context */
};

struct frame {
	struct frame	*parent;
	struct fn	*fn;
	struct sym	*syms;
	bool		 toplevel, rootlevel, soft;
};

struct guard {
	struct guard		*next;
	const struct name	*name;
};

struct resolver {
	struct arena	*arena;
	struct tmpl	*t;
	struct diags	*diags;
	size_t		 errors;
	unsigned	 guarded;	/* > 0: below default() or `is defined` */
	unsigned	 maybe;		/* > 0: only evaluated under a condition */
	struct guard	*guards;
	struct tmpl_name *names;
	uint32_t	 nnames, names_cap;
	uint32_t	 nextends;
};

static void	 expr(struct resolver *, struct frame *, struct node *);
static void	 body(struct resolver *, struct frame *, struct nodes *);
static void	 analyze(struct resolver *, struct frame *, const struct nodes *, bool cond);

static struct err *
fail(struct resolver *r, const struct node *n, uint32_t len, enum err_code code, const char *fmt, ...)
    ATTR_PRINTF(5, 6);

static struct err *
fail(struct resolver *r, const struct node *n, uint32_t len, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	va_start(ap, fmt);
	msg = arena_vprintf(r->arena, fmt, ap);
	va_end(ap);
	r->errors++;
	return diags_error(r->diags, code, tmpl_mark_at(r->t, n->pos, n->pos + len), "%s", msg);
}

/* ---- symbols -------------------------------------------------------------- */

static bool
same(const struct name *a, const struct name *b)
{
	return a->hash == b->hash && a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

static struct sym *
find_here(const struct frame *f, const struct name *n)
{
	struct sym *s;

	for (s = f->syms; s != NULL; s = s->next)
		if (same(&s->name, n))
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
static struct sym *
find(const struct frame *f, const struct name *n, struct ref *ref)
{
	const struct frame *g;
	struct sym *s;

	for (g = f; g != NULL; g = g->parent)
		if ((s = find_here(g, n)) != NULL) {
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

static uint16_t
declare_param(struct resolver *r, struct frame *f, const struct name *n)
{
	struct sym *s = find_here(f, n);

	if (s == NULL)
		s = define(r, f, n, SYM_PARAM);
	s->kind = SYM_PARAM;
	s->stored = true;
	return s->slot;
}

static void
store(struct resolver *r, struct frame *f, const struct name *n, bool cond)
{
	struct sym *s = find_here(f, n), *outer;
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
	outer = f->parent == NULL ? NULL : find(f->parent, n, &ref);
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
	if (find(f, n, &ref) == NULL) {
		struct sym *s = define(r, f, n, L_RESOLVE);

		s->stored = false;
	}
}

/* The slot of a name of the context, in the outermost function. */
static struct ref
free_ref(struct resolver *r, struct frame *f, const struct name *n)
{
	struct fn *fn = f->fn;
	struct sym *s;
	uint16_t up = 0;

	for (; fn->up != NULL; fn = fn->up)
		up++;
	for (s = fn->free; s != NULL; s = s->next)
		if (same(&s->name, n))
			return (struct ref){ up, s->slot };
	s = ARENA_NEW(r->arena, struct sym);
	s->name = *n;
	s->slot = new_slot(r, fn);
	s->next = fn->free;
	fn->free = s;
	return (struct ref){ up, s->slot };
}

static struct frame *
inner(struct resolver *r, struct frame *parent)
{
	struct frame *f = ARENA_NEW(r->arena, struct frame);

	f->parent = parent;
	f->fn = parent->fn;
	return f;
}

/* What a frame does with its slots when it is entered; called when all its symbols are known. */
static void
enter_info(struct resolver *r, const struct frame *f, struct frame_info *info)
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
static struct locals
locals_of(struct resolver *r, const struct frame *f)
{
	struct locals l = { NULL, 0 };
	const struct frame *g;
	const struct sym *s;
	uint32_t i, cap = 0;

	for (g = f; g != NULL; g = g->parent)
		for (s = g->syms; s != NULL; s = s->next) {
			if (!s->stored)
				continue;
			for (i = 0; i < l.n && !same(&l.v[i].name, &s->name); i++)
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

typedef bool	 visit_fn(void *arg, struct node *);

static bool
each_node(const struct nodes *l, visit_fn *fn, void *arg)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		if (l->v[i] != NULL && !fn(arg, l->v[i]))
			return false;
	return true;
}

static bool
each_one(struct node *n, visit_fn *fn, void *arg)
{
	return n == NULL || fn(arg, n);
}

static bool
each_arg(const struct args *a, visit_fn *fn, void *arg)
{
	return a == NULL || (each_node(&a->pos, fn, arg) && each_node(&a->kwval, fn, arg) &&
	    each_one(a->star, fn, arg) && each_one(a->dstar, fn, arg));
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
		return each_node(&n->u.list, fn, arg);
	case N_COMPARE:
		return each_node(&n->u.cmp.v, fn, arg);
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
		return each_one(n->u.x.a, fn, arg) && each_one(n->u.x.b, fn, arg) &&
		    each_one(n->u.x.c, fn, arg) && each_one(n->u.x.d, fn, arg);
	case N_ATTR:
	case N_NSREF:
		return each_one(n->u.attr.obj, fn, arg);
	case N_CALL:
		return each_one(n->u.call.fn, fn, arg) && each_arg(n->u.call.args, fn, arg);
	case N_FILTER:
	case N_TEST:
		return each_one(n->u.filter.in, fn, arg) && each_arg(n->u.filter.args, fn, arg);
	default:
		return true;
	}
}

/* All children, statements' too. */
static bool
each_child(const struct node *n, visit_fn *fn, void *arg)
{
	switch ((enum node_type)n->type) {
	case N_IF:
		return each_one(n->u.cond.test, fn, arg) && each_node(&n->u.cond.body, fn, arg) &&
		    each_node(&n->u.cond.other, fn, arg);
	case N_FOR:
		return each_one(n->u.loop->target, fn, arg) && each_one(n->u.loop->iter, fn, arg) &&
		    each_node(&n->u.loop->body, fn, arg) && each_node(&n->u.loop->other, fn, arg) &&
		    each_one(n->u.loop->test, fn, arg);
	case N_SET:
	case N_SETBLOCK:
		return each_one(n->u.set->value, fn, arg) && each_one(n->u.set->filter, fn, arg) &&
		    each_node(&n->u.set->body, fn, arg) && each_one(n->u.set->target, fn, arg);
	case N_MACRO:
		return each_node(&n->u.macro->func->defaults, fn, arg) &&
		    each_node(&n->u.macro->func->body, fn, arg);
	case N_CALLBLOCK:
		return each_one(n->u.macro->call, fn, arg) &&
		    each_node(&n->u.macro->func->defaults, fn, arg) &&
		    each_node(&n->u.macro->func->body, fn, arg);
	case N_FILTERBLOCK:
		return each_node(&n->u.fblock->body, fn, arg) && each_one(n->u.fblock->filter, fn, arg);
	case N_INCLUDE:
	case N_IMPORT:
	case N_FROM:
		return each_one(n->u.import->tmpl, fn, arg);
	case N_BLOCK:
		return each_node(&n->u.block->func->body, fn, arg);
	case N_WITH:
	case N_SCOPE:
		return each_node(&n->u.with->targets, fn, arg) && each_node(&n->u.with->values, fn, arg) &&
		    each_node(&n->u.with->body, fn, arg);
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
		if (!each_one(n->u.set->value, visit_undeclared, u) ||
		    !each_node(&n->u.set->body, visit_undeclared, u))
			return false;
		return n->u.set->target->type != N_NAME ||
		    strcmp(n->u.set->target->u.name.n.s, u->name) != 0;
	default:
		return each_child(n, visit_undeclared, u);
	}
}

/* True when the nodes read a name that they don't set before. */
static bool
reads(const struct nodes *l, const char *name)
{
	struct undeclared u = { name, false, false };

	each_node(l, visit_undeclared, &u);
	return u.used;
}

static bool
visit_scoped(void *arg, struct node *n)
{
	if (n->type == N_BLOCK && (n->flags & NF_SCOPED)) {
		*(bool *)arg = true;
		return false;
	}
	return each_child(n, visit_scoped, arg);
}

/* ---- analysing a frame ---------------------------------------------------- */

struct analysis {
	struct resolver	*r;
	struct frame	*f;
	bool		 cond;
};

static bool
analyze_expr(void *arg, struct node *n)
{
	struct analysis *a = arg;

	if (n->type == N_NAME) {
		load(a->r, a->f, &n->u.name.n);
		return true;
	}
	return each_expr_child(n, analyze_expr, a);
}

static void
analyze_target(struct resolver *r, struct frame *f, struct node *n, bool cond, bool param)
{
	uint32_t i;

	switch (n->type) {
	case N_NAME:
		if (param)
			declare_param(r, f, &n->u.name.n);
		else
			store(r, f, &n->u.name.n, cond);
		break;
	case N_NSREF:
		load(r, f, &n->u.attr.obj->u.name.n);
		break;
	default:
		for (i = 0; i < n->u.list.n; i++)
			analyze_target(r, f, n->u.list.v[i], cond, param);
	}
}

static void
analyze_one(struct resolver *r, struct frame *f, struct node *n, bool cond)
{
	struct analysis a = { r, f, cond };
	uint32_t i;

	switch ((enum node_type)n->type) {
	case N_IF:
		analyze_expr(&a, n->u.cond.test);
		analyze(r, f, &n->u.cond.body, true);
		analyze(r, f, &n->u.cond.other, true);
		break;
	case N_FOR:
		analyze_expr(&a, n->u.loop->iter);
		break;
	case N_SET:
		analyze_expr(&a, n->u.set->value);
		analyze_target(r, f, n->u.set->target, cond, false);
		break;
	case N_SETBLOCK:
		analyze_target(r, f, n->u.set->target, cond, false);
		break;
	case N_MACRO:
		store(r, f, &n->u.macro->name, cond);
		break;
	case N_CALLBLOCK:
		analyze_expr(&a, n->u.macro->call);
		break;
	case N_FILTERBLOCK:
		analyze_expr(&a, n->u.fblock->filter);
		break;
	case N_WITH:
		for (i = 0; i < n->u.with->values.n; i++)
			analyze_expr(&a, n->u.with->values.v[i]);
		break;
	case N_INCLUDE:
		analyze_expr(&a, n->u.import->tmpl);
		break;
	case N_IMPORT:
		analyze_expr(&a, n->u.import->tmpl);
		store(r, f, &n->u.import->target, cond);
		break;
	case N_FROM:
		analyze_expr(&a, n->u.import->tmpl);
		for (i = 0; i < n->u.import->n; i++)
			store(r, f, &n->u.import->names[i].name, cond);
		break;
	case N_PRINT:
	case N_DO:
	case N_EXTENDS:
		analyze_expr(&a, n->u.x.a);
		break;
	default:
		break;
	}
}

static void
analyze(struct resolver *r, struct frame *f, const struct nodes *l, bool cond)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		analyze_one(r, f, l->v[i], cond);
}

/* ---- names from outside --------------------------------------------------- */

static bool
is_guarded(const struct resolver *r, const struct name *n)
{
	const struct guard *g;

	if (r->guarded > 0)
		return true;
	for (g = r->guards; g != NULL; g = g->next)
		if (same(g->name, n))
			return true;
	return false;
}

static void
note_free(struct resolver *r, const struct node *n, bool guarded)
{
	const struct name *name = &n->u.name.n;
	uint32_t i;

	if (global_find(name->s, name->len) != NULL)
		return;
	guarded = guarded || is_guarded(r, name);
	for (i = 0; i < r->nnames; i++)
		if (same(&r->names[i].name, name)) {
			if (r->names[i].guarded && !guarded)
				r->names[i].pos = n->pos;
			r->names[i].guarded = r->names[i].guarded && guarded;
			return;
		}
	if (r->nnames == r->names_cap) {
		r->names = arena_grow(r->arena, r->names, r->nnames * sizeof(*r->names),
		    (r->names_cap + 8) * sizeof(*r->names));
		r->names_cap += 8;
	}
	r->names[r->nnames++] = (struct tmpl_name){ *name, n->pos, guarded };
}

/* Pushes the names that are known to be defined when test is true (or, not positive, false). */
static void
push_guards(struct resolver *r, const struct node *test, bool positive)
{
	const struct node *in;
	struct guard *g;
	bool defined;

	if (test->type == N_NOT)
		push_guards(r, test->u.x.a, !positive);
	else if (test->type == (positive ? N_AND : N_OR)) {
		push_guards(r, test->u.x.a, positive);
		push_guards(r, test->u.x.b, positive);
	} else if (test->type == N_TEST) {
		defined = strcmp(test->u.filter.name, "defined") == 0;
		if (!defined && strcmp(test->u.filter.name, "undefined") != 0)
			return;
		if (defined != positive)
			return;
		for (in = test->u.filter.in; in->type == N_ATTR || in->type == N_ITEM;)
			in = in->type == N_ATTR ? in->u.attr.obj : in->u.x.a;
		if (in->type != N_NAME)
			return;
		g = ARENA_NEW(r->arena, struct guard);
		g->name = &in->u.name.n;
		g->next = r->guards;
		r->guards = g;
	}
}

/* ---- expressions ---------------------------------------------------------- */

static void
exprs(struct resolver *r, struct frame *f, struct nodes *l)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		expr(r, f, l->v[i]);
}

static void
resolve_name(struct resolver *r, struct frame *f, struct node *n)
{
	struct sym *s = find(f, &n->u.name.n, &n->u.name.ref);

	if (s != NULL && (s->stored || s->kind != L_RESOLVE)) {
		if (s->kind == L_RESOLVE)
			note_free(r, n, true);
		return;
	}
	n->u.name.ref = free_ref(r, f, &n->u.name.n);
	note_free(r, n, false);
}

static const char *
param_name(const char **params, uint32_t *len)
{
	const char *s = *params;
	size_t n;

	if (*s == '\0')
		return NULL;
	n = strcspn(s, ",");
	*params = s + n + (s[n] == ',');
	*len = (uint32_t)n;
	return s;
}

static uint32_t
param_count(const char *params)
{
	uint32_t n = 0, len;

	while (param_name(&params, &len) != NULL)
		n++;
	return n;
}

/* Which parameter a keyword is; -1: none. */
static int
param_index(const char *params, const struct value *kw)
{
	uint32_t len;
	const char *s;
	int i;

	for (i = 0; (s = param_name(&params, &len)) != NULL; i++)
		if (len == kw->len && memcmp(s, kw->u.s, len) == 0)
			return i;
	return -1;
}

/*
 * Puts the arguments of a filter or test in the order of its parameters, so
 * that nothing needs matching when it runs.  What does not fit (too many,
 * unknown names, star arguments) is left for the call itself to sort out or complain about.
 */
static void
bind_args(struct resolver *r, struct node *n, const char *params, unsigned flags)
{
	const struct args *a = n->u.filter.args;
	uint32_t np = param_count(params), i;
	struct node **bound;
	int at;

	if (a->star != NULL || a->dstar != NULL || (flags & TF_KWSTAR) ||
	    (a->pos.n > np && !(flags & TF_STAR)))
		return;
	bound = ARENA_ARRAY(r->arena, np + (a->pos.n > np ? a->pos.n - np : 0) + 1, struct node *);
	for (i = 0; i < a->pos.n; i++)
		bound[i] = a->pos.v[i];
	for (i = 0; i < a->kwval.n; i++) {
		if ((at = param_index(params, a->kwname[i])) < 0 || bound[at] != NULL)
			return;
		bound[at] = a->kwval.v[i];
	}
	n->u.filter.bound = bound;
	n->u.filter.nbound = np;
	n->u.filter.nstar = a->pos.n > np ? a->pos.n - np : 0;
}

static void
each_arg_expr(struct resolver *r, struct frame *f, struct args *a)
{
	if (a == NULL)
		return;
	exprs(r, f, &a->pos);
	exprs(r, f, &a->kwval);
	if (a->star != NULL)
		expr(r, f, a->star);
	if (a->dstar != NULL)
		expr(r, f, a->dstar);
}

/* A filter or test that is not known, or known and not supported. */
static void
unknown(struct resolver *r, const struct frame *f, struct node *n, const char *what,
    const char *unsupported, const char *near)
{
	const char *name = n->u.filter.name;
	uint32_t len = (uint32_t)strlen(name);
	struct mark at = tmpl_mark_at(r->t, n->pos, n->pos + len);
	struct err *e;

	if (f->soft) {
		e = diags_note(r->diags, at, unsupported != NULL ?
		    "the %s '%s' is not supported: an error when it is reached" :
		    "No %s named '%s': an error when it is reached", what, name);
	} else if (unsupported != NULL) {
		r->errors++;
		e = diags_error(r->diags, ERR_SYNTAX, at, "the %s '%s' is not supported%s%s", what, name,
		    *unsupported != '\0' ? ": " : "", unsupported);
	} else {
		r->errors++;
		e = diags_error(r->diags, ERR_SYNTAX, at, "No %s named '%s'", what, name);
	}
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
}

static void
resolve_filter(struct resolver *r, struct frame *f, struct node *n)
{
	const char *name = n->u.filter.name;
	bool copes = strcmp(name, "default") == 0 || strcmp(name, "d") == 0;
	const struct tfilter *row;

	if (n->u.filter.in != NULL) {
		r->guarded += copes;
		expr(r, f, n->u.filter.in);
		r->guarded -= copes;
	}
	each_arg_expr(r, f, n->u.filter.args);
	row = tmpl_filter_find(name, strlen(name));
	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		unknown(r, f, n, "filter", row == NULL ? NULL : row->params,
		    row == NULL ? tmpl_filter_nearest(name) : NULL);
		n->flags |= NF_SOFT;
		return;
	}
	n->u.filter.row = row;
	bind_args(r, n, row->params, row->flags);
}

static void
resolve_test(struct resolver *r, struct frame *f, struct node *n)
{
	const char *name = n->u.filter.name;
	bool copes = strcmp(name, "defined") == 0 || strcmp(name, "undefined") == 0;
	const struct ttest *row;

	r->guarded += copes;
	expr(r, f, n->u.filter.in);
	r->guarded -= copes;
	each_arg_expr(r, f, n->u.filter.args);
	row = tmpl_test_find(name, strlen(name));
	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		unknown(r, f, n, "test", row == NULL ? NULL : row->params,
		    row == NULL ? tmpl_test_nearest(name) : NULL);
		n->flags |= NF_SOFT;
		return;
	}
	n->u.filter.test = row;
	bind_args(r, n, row->params, row->flags);
}

/* Constants of a condition, or in a lookup's terms, that are templates themselves (deprecated by Ansible, still so). */
static void
embedded(struct resolver *r, struct node *n)
{
	const struct tmpl *t;
	uint32_t i;

	if (n->type == N_LIST || n->type == N_TUPLE) {
		for (i = 0; i < n->u.list.n; i++)
			embedded(r, n->u.list.v[i]);
		return;
	}
	if (n->type != N_CONST || n->u.val->type != V_STR || !tmpl_is(n->u.val->u.s, n->u.val->len))
		return;
	t = tmpl_compile(r->arena, n->u.val->u.s, n->u.val->len,
	    tmpl_mark_at(r->t, n->pos, n->pos + 1), TMPL_VALUE, NULL, r->diags);
	if (t == NULL) {
		r->errors++;
		return;
	}
	for (i = 0; i < t->nnames; i++) {
		struct node name = { .type = N_NAME, .pos = n->pos, .u.name.n = t->names[i].name };

		note_free(r, &name, t->names[i].guarded);
	}
	n->type = N_TEXT;
	n->u.tmpl = t;
}

static bool
is_lookup(const struct node *n)
{
	static const char *const names[] = { "lookup", "query", "q" };
	size_t i;

	for (i = 0; n->type == N_NAME && i < NITEMS(names); i++)
		if (strcmp(n->u.name.n.s, names[i]) == 0)
			return true;
	return false;
}

static void
resolve_lookup(struct resolver *r, struct frame *f, struct node *n)
{
	struct args *a = n->u.call.args;
	const struct node *first;
	const struct tlookup *row;
	const char *near;
	struct err *e;
	uint32_t i;

	if (a->pos.n == 0 || a->pos.v[0]->type != N_CONST || a->pos.v[0]->u.val->type != V_STR)
		return;
	first = a->pos.v[0];
	for (i = 1; i < a->pos.n; i++)
		embedded(r, a->pos.v[i]);
	row = tmpl_lookup_find(first->u.val->u.s, first->u.val->len);
	if (row != NULL && !(row->flags & TF_UNSUPPORTED))
		return;
	near = row == NULL ? tmpl_lookup_nearest(first->u.val->u.s) : NULL;
	if (f->soft || r->maybe > 0 || r->guarded > 0)
		e = diags_note(r->diags, tmpl_mark_at(r->t, first->pos, first->pos + first->u.val->len + 2),
		    "The lookup plugin '%s' %s: an error when it is reached", first->u.val->u.s,
		    row == NULL ? "was not found" : "is not supported");
	else
		e = fail(r, first, first->u.val->len + 2, row == NULL ? ERR_INVALID : ERR_UNSUPPORTED,
		    "The lookup plugin '%s' %s", first->u.val->u.s,
		    row == NULL ? "was not found" : "is not supported");
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
}

static bool
is_missing_row(const struct tfilter *row)
{
	return row == NULL || (row->flags & TF_UNSUPPORTED);
}

/* Calls of what reaches into Python: refused when compiled, where they are certain to run. */
static void
unsupported_call(struct resolver *r, const struct frame *f, const struct node *n)
{
	const struct node *fn = n->u.call.fn;
	const struct methods *m;
	const char *name;

	if (fn->type == N_NAME) {
		name = fn->u.name.n.s;
		if (strcmp(name, "lipsum") != 0)
			return;
	} else if (fn->type == N_ATTR && (m = fn->u.attr.m) != NULL) {
		name = fn->u.attr.n.s;
		if (!is_missing_row(m->str) || !is_missing_row(m->list) || !is_missing_row(m->map) ||
		    !is_missing_row(m->tuple) || !is_missing_row(m->num_int) || !is_missing_row(m->num_float))
			return;
	} else
		return;
	if (f->soft || r->maybe > 0)
		diags_note(r->diags, tmpl_mark_at(r->t, fn->pos, fn->pos + (uint32_t)strlen(name)),
		    "%s() is not supported: an error when it is reached", name);
	else
		fail(r, fn, (uint32_t)strlen(name), ERR_UNSUPPORTED, "%s() is not supported", name);
}

static const struct methods *
find_methods(struct resolver *r, const struct name *n)
{
	struct methods m;
	struct methods *ret;

	m.str = method_find(methods_str, n->s, n->len);
	m.list = method_find(methods_list, n->s, n->len);
	m.tuple = method_find(methods_tuple, n->s, n->len);
	m.map = method_find(methods_map, n->s, n->len);
	m.num_int = method_find(methods_int, n->s, n->len);
	m.num_float = method_find(methods_float, n->s, n->len);
	if (m.str == NULL && m.list == NULL && m.tuple == NULL && m.map == NULL &&
	    m.num_int == NULL && m.num_float == NULL)
		return NULL;
	ret = ARENA_NEW(r->arena, struct methods);
	*ret = m;
	return ret;
}

static void
fold(struct resolver *r, struct node *n)
{
	struct value *v;
	uint32_t i;

	for (i = 0; i < n->u.list.n; i++)
		if (n->u.list.v[i]->type != N_CONST)
			return;
	if (n->type == N_DICT) {
		v = v_map(r->arena);
		for (i = 0; i < n->u.list.n; i += 2) {
			if (!v_hashable(n->u.list.v[i]->u.val))
				return;
			v_set(r->arena, v, n->u.list.v[i]->u.val, n->u.list.v[i + 1]->u.val);
		}
	} else {
		v = v_list(r->arena);
		if (n->type == N_TUPLE)
			v->flags |= V_TUPLE;
		for (i = 0; i < n->u.list.n; i++)
			v_push(r->arena, v, n->u.list.v[i]->u.val);
	}
	if (n->type != N_TUPLE)
		n->flags |= NF_FOLDED;
	for (i = 0; i < n->u.list.n; i++)
		n->flags |= n->u.list.v[i]->flags & NF_FOLDED;
	n->type = N_CONST;
	n->u.val = v;
}

static void
fold_sign(struct resolver *r, struct node *n)
{
	const struct node *a = n->u.x.a;
	bool neg = n->type == N_NEG;

	if (a->type != N_CONST)
		return;
	if (a->u.val->type == V_INT && a->u.val->u.i != INT64_MIN)
		n->u.val = v_int(r->arena, neg ? -a->u.val->u.i : a->u.val->u.i);
	else if (a->u.val->type == V_FLOAT)
		n->u.val = v_float(r->arena, neg ? -a->u.val->u.f : a->u.val->u.f);
	else
		return;
	n->type = N_CONST;
}

static void
resolve_cond(struct resolver *r, struct frame *f, struct node *n)
{
	struct guard *before = r->guards;
	bool soft = f->soft;

	f->soft = true;
	expr(r, f, n->u.x.b);
	r->maybe++;
	push_guards(r, n->u.x.b, true);
	expr(r, f, n->u.x.a);
	r->guards = before;
	push_guards(r, n->u.x.b, false);
	if (n->u.x.c != NULL)
		expr(r, f, n->u.x.c);
	r->guards = before;
	r->maybe--;
	f->soft = soft;
}

static void
resolve_logic(struct resolver *r, struct frame *f, struct node *n)
{
	struct guard *before = r->guards;

	expr(r, f, n->u.x.a);
	push_guards(r, n->u.x.a, n->type == N_AND);
	r->maybe++;
	expr(r, f, n->u.x.b);
	r->maybe--;
	r->guards = before;
}

static void
expr(struct resolver *r, struct frame *f, struct node *n)
{
	switch ((enum node_type)n->type) {
	case N_CONST:
		if (r->t->mode == TMPL_WHEN)
			embedded(r, n);
		break;
	case N_NAME:
		resolve_name(r, f, n);
		break;
	case N_LIST:
	case N_TUPLE:
	case N_DICT:
		exprs(r, f, &n->u.list);
		fold(r, n);
		break;
	case N_CONCAT:
		exprs(r, f, &n->u.list);
		break;
	case N_COMPARE:
		exprs(r, f, &n->u.cmp.v);
		break;
	case N_AND:
	case N_OR:
		resolve_logic(r, f, n);
		break;
	case N_COND:
		resolve_cond(r, f, n);
		break;
	case N_NEG:
	case N_POS:
		expr(r, f, n->u.x.a);
		fold_sign(r, n);
		break;
	case N_NOT:
	case N_BIN:
	case N_ITEM:
	case N_SLICE:
		/* A slice among several indices has no object. */
		if (n->u.x.a != NULL)
			expr(r, f, n->u.x.a);
		if (n->u.x.b != NULL)
			expr(r, f, n->u.x.b);
		if (n->u.x.c != NULL)
			expr(r, f, n->u.x.c);
		if (n->u.x.d != NULL)
			expr(r, f, n->u.x.d);
		break;
	case N_ATTR:
		expr(r, f, n->u.attr.obj);
		n->u.attr.m = find_methods(r, &n->u.attr.n);
		break;
	case N_CALL:
		r->t->fold_ok = false;
		expr(r, f, n->u.call.fn);
		unsupported_call(r, f, n);
		if (is_lookup(n->u.call.fn))
			resolve_lookup(r, f, n);
		each_arg_expr(r, f, n->u.call.args);
		break;
	case N_FILTER:
		resolve_filter(r, f, n);
		break;
	case N_TEST:
		resolve_test(r, f, n);
		break;
	default:
		break;
	}
}

/* ---- statements ----------------------------------------------------------- */

/* Gives the names of a target their slots; also the list of names for the context. */
static void
resolve_target(struct resolver *r, struct frame *f, struct node *n, struct locals *names)
{
	uint32_t i;

	switch (n->type) {
	case N_NAME:
		(void)find(f, &n->u.name.n, &n->u.name.ref);
		if (names != NULL) {
			names->v = arena_grow(r->arena, names->v, names->n * sizeof(*names->v),
			    (names->n + 1) * sizeof(*names->v));
			names->v[names->n++] = (struct local){ n->u.name.n, n->u.name.ref };
		}
		break;
	case N_NSREF:
		resolve_name(r, f, n->u.attr.obj);
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
	return n->type != N_TUPLE || each_node(&n->u.list, visit_loop_name, arg);
}

/* Anything in the loop that sets a name `loop`. */
static bool
visit_loop_set(void *arg, struct node *n)
{
	if ((n->type == N_SET || n->type == N_SETBLOCK) && !visit_loop_name(arg, n->u.set->target))
		return false;
	if (n->type == N_FOR && !visit_loop_name(arg, n->u.loop->target))
		return false;
	return each_child(n, visit_loop_set, arg);
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
		fail(r, n, 3, ERR_SYNTAX, "Can't assign to special loop variable in for-loop target");
		return;
	}
	expr(r, f, l->iter);
	if (recursive) {
		fn = ARENA_NEW(r->arena, struct fn);
		fn->up = f->fn;
		fn->f = l->func = ARENA_NEW(r->arena, struct func);
		fn->f->name = "loop";
	}
	lf = inner(r, f);
	tf = inner(r, f);
	ef = inner(r, f);
	if (recursive)
		lf->fn = tf->fn = ef->fn = fn;
	each_node(&l->body, visit_scoped, &scoped);
	if (recursive || scoped || reads(&l->body, "loop")) {
		l->loop_slot = declare_param(r, lf, &loop_name);
	}
	analyze_target(r, lf, l->target, false, true);
	analyze(r, lf, &l->body, false);
	resolve_target(r, lf, l->target, NULL);
	if (l->test != NULL) {
		struct analysis a = { r, tf, false };

		/* The test sees the target, in the slots of the body's frame. */
		tf->syms = NULL;
		tf->parent = f;
		analyze_target(r, tf, l->target, false, true);
		analyze_expr(&a, l->test);
		for (struct sym *s = tf->syms; s != NULL; s = s->next) {
			struct sym *same_name = find_here(lf, &s->name);

			if (s->kind == SYM_PARAM && same_name != NULL)
				s->slot = same_name->slot;
		}
		expr(r, tf, l->test);
		enter_info(r, tf, &l->test_enter);
	}
	r->maybe++;
	body(r, lf, &l->body);
	enter_info(r, lf, &l->body_enter);
	analyze(r, ef, l->other.n > 0 ? &l->other : &nothing, false);
	body(r, ef, &l->other);
	enter_info(r, ef, &l->else_enter);
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
	expr(r, f, n->u.cond.test);
	r->maybe++;
	push_guards(r, n->u.cond.test, true);
	body(r, f, &n->u.cond.body);
	r->guards = before;
	push_guards(r, n->u.cond.test, false);
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
	struct frame *mf = inner(r, f);
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
		func->param_slot[i] = declare_param(r, mf, &n);
		func->explicit_caller = func->explicit_caller || v_eqs(p, "caller");
		kwargs = kwargs || v_eqs(p, "kwargs");
		varargs = varargs || v_eqs(p, "varargs");
	}
	if (reads(&func->body, "caller") && !func->explicit_caller) {
		n = name_make("caller", 6);
		func->caller_slot = declare_param(r, mf, &n);
	}
	if (reads(&func->body, "kwargs") && !kwargs) {
		n = name_make("kwargs", 6);
		func->kwargs_slot = declare_param(r, mf, &n);
	}
	if (reads(&func->body, "varargs") && !varargs) {
		n = name_make("varargs", 7);
		func->varargs_slot = declare_param(r, mf, &n);
	}
	for (i = 0; i < func->defaults.n; i++) {
		struct analysis a = { r, mf, false };

		analyze_expr(&a, func->defaults.v[i]);
	}
	analyze(r, mf, &func->body, false);
	r->maybe++;
	exprs(r, mf, &func->defaults);
	body(r, mf, &func->body);
	r->maybe--;
	enter_info(r, mf, &func->enter);
	func->nslots = (uint16_t)fn->nslots;
}

static bool
caller_without_default(const struct func *f)
{
	uint32_t i;

	for (i = 0; i < f->nparams; i++)
		if (v_eqs(f->params[i], "caller"))
			return i < f->nparams - f->defaults.n && reads(&f->body, "caller");
	return false;
}

static void
resolve_macro(struct resolver *r, struct frame *f, struct node *n)
{
	struct func *func = n->u.macro->func;

	if (caller_without_default(func)) {
		fail(r, n, 5, ERR_SYNTAX, "When defining macros or call blocks the special \"caller\" "
		    "argument must be omitted or be given a default");
		return;
	}
	resolve_func(r, f, func);
	if (func->dup_params)
		fail(r, n, 5, ERR_INVALID, "duplicate argument in the definition of macro '%s'",
		    func->name == NULL ? "caller" : func->name);
	if (n->type == N_MACRO) {
		(void)find(f, &n->u.macro->name, &n->u.macro->ref);
		if (f->toplevel)
			n->flags |= NF_TOPLEVEL;
	} else
		expr(r, f, n->u.macro->call);
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
	return n->type != N_TUPLE || each_node(&n->u.list, visit_nsref, arg);
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
		expr(r, f, n->u.set->value);
	else {
		bf = inner(r, f);
		analyze(r, bf, &n->u.set->body, false);
		body(r, bf, &n->u.set->body);
		if (n->u.set->filter != NULL)
			expr(r, bf, n->u.set->filter);
		enter_info(r, bf, &n->u.set->enter);
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
	struct frame *wf = inner(r, f);
	uint32_t i;

	for (i = 0; i < n->u.with->targets.n; i++)
		analyze_target(r, wf, n->u.with->targets.v[i], false, true);
	analyze(r, wf, &n->u.with->body, false);
	exprs(r, f, &n->u.with->values);
	for (i = 0; i < n->u.with->targets.n; i++)
		resolve_target(r, wf, n->u.with->targets.v[i], NULL);
	body(r, wf, &n->u.with->body);
	enter_info(r, wf, &n->u.with->enter);
}

static void
resolve_filter_block(struct resolver *r, struct frame *f, struct node *n)
{
	struct frame *bf = inner(r, f);
	struct analysis a = { r, bf, false };

	analyze(r, bf, &n->u.fblock->body, false);
	analyze_expr(&a, n->u.fblock->filter);
	body(r, bf, &n->u.fblock->body);
	expr(r, bf, n->u.fblock->filter);
	enter_info(r, bf, &n->u.fblock->enter);
}

static void
resolve_import(struct resolver *r, struct frame *f, struct node *n)
{
	struct import *im = n->u.import;
	uint32_t i;

	r->t->fold_ok = false;
	expr(r, f, im->tmpl);
	im->locals = locals_of(r, f);
	if (f->toplevel)
		n->flags |= NF_TOPLEVEL;
	if (n->type == N_IMPORT)
		(void)find(f, &im->target, &im->ref);
	for (i = 0; i < im->n; i++)
		(void)find(f, &im->names[i].name, &im->names[i].ref);
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
		if (same(&t->block_names[i], &n->u.block->name)) {
			fail(r, n, 5, ERR_SYNTAX, "block '%s' defined twice", n->u.block->name.s);
			return;
		}
	if (f->toplevel)
		n->flags |= NF_TOPLEVEL;
	if (n->flags & NF_SCOPED)
		n->u.block->locals = locals_of(r, f);
	t->blocks = arena_grow(r->arena, t->blocks, i * sizeof(*t->blocks), (i + 1) * sizeof(*t->blocks));
	t->block_names = arena_grow(r->arena, t->block_names, i * sizeof(name), (i + 1) * sizeof(name));
	t->blocks[i] = func;
	t->block_names[i] = n->u.block->name;
	t->nblocks++;
	bf.fn->f = func;
	if (reads(&func->body, "self")) {
		name = name_make("self", 4);
		func->self_slot = declare_param(r, &bf, &name);
	}
	if (reads(&func->body, "super")) {
		name = name_make("super", 5);
		func->super_slot = declare_param(r, &bf, &name);
	}
	analyze(r, &bf, &func->body, false);
	body(r, &bf, &func->body);
	enter_info(r, &bf, &func->enter);
	func->nslots = (uint16_t)bf.fn->nslots;
}

static void
resolve_extends(struct resolver *r, struct frame *f, struct node *n)
{
	r->t->fold_ok = false;
	if (!f->toplevel) {
		fail(r, n, 7, ERR_SYNTAX, "cannot use extend from a non top-level scope");
		return;
	}
	expr(r, f, n->u.x.a);
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
		expr(r, f, n->u.x.a);
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

		analyze_expr(&a, e);
		expr(&r, &root, e);
		t->expr = e;
	} else {
		if (reads(nodes, "self"))
			f->self_slot = declare_param(&r, &root, &self);
		analyze(&r, &root, nodes, false);
		body(&r, &root, nodes);
		f->body = *nodes;
	}
	enter_info(&r, &root, &f->enter);
	f->nslots = (uint16_t)root.fn->nslots;
	t->names = r.names;
	t->nnames = r.nnames;
	return r.errors == 0;
}
