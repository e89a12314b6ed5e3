/*
 * The names that evaluating a template surely reads.
 *
 * Left out is what may not be reached or may cope with nothing being there:
 * the right side of `and` and `or`, both arms of an `if`, loops' bodies,
 * macros, assignments (undefined is no error until it is used), and what goes
 * through `default`, `is defined` and their like.  For checks before a run: a
 * name told here that nobody defines is an error for certain.
 */
#include <string.h>

#include "template/tree.h"

struct certain {
	const struct tmpl	*t;
	int			(*each)(void *, const struct tmpl_name_at *);
	void			*arg;
	int			 rc;
};

static void walk(struct certain *, const struct node *);

static void
walk_list(struct certain *c, const struct nodes *l)
{
	uint32_t i;

	for (i = 0; i < l->n && c->rc == 0; i++)
		if (l->v[i] != NULL)
			walk(c, l->v[i]);
}

static void
walk_args(struct certain *c, const struct args *a)
{
	if (a == NULL)
		return;
	walk_list(c, &a->pos);
	walk_list(c, &a->kwval);
	walk(c, a->star);
	walk(c, a->dstar);
}

/* Only names that come from outside, and are not guarded elsewhere in the template. */
static void
walk_name(struct certain *c, const struct node *n)
{
	const struct name *name = &n->u.name.n;
	uint32_t i;

	for (i = 0; i < c->t->nnames; i++) {
		const struct tmpl_name *free = &c->t->names[i];

		if (free->name.len != name->len || memcmp(free->name.s, name->s, name->len) != 0)
			continue;
		if (!free->guarded)
			c->rc = c->each(c->arg, &(struct tmpl_name_at){ name->s, false,
			    c->t, n->pos, n->pos + name->len });
		return;
	}
}

static void
walk_filter(struct certain *c, const struct node *n)
{
	unsigned flags;

	if (n->type == N_FILTER)
		flags = n->u.filter.row == NULL ? TF_UNDEF_OK : n->u.filter.row->flags;
	else
		flags = n->u.filter.test == NULL ? TF_UNDEF_OK : n->u.filter.test->flags;
	if (flags & TF_UNDEF_OK)
		return;
	walk(c, n->u.filter.in);
	if ((flags & TF_UNDEF_ARGS) == 0)
		walk_args(c, n->u.filter.args);
}

static void
walk_statement(struct certain *c, const struct node *n)
{
	switch ((enum node_type)n->type) {
	case N_IF:
		walk(c, n->u.cond.test);
		break;
	case N_FOR:
		walk(c, n->u.loop->iter);
		break;
	case N_FILTERBLOCK:
		walk_list(c, &n->u.fblock->body);
		break;
	case N_BLOCK:
		walk_list(c, &n->u.block->func->body);
		break;
	case N_WITH:
	case N_SCOPE:
		walk_list(c, &n->u.with->body);
		break;
	default:
		break;
	}
}

/* All of a result is used, its elements too. */
static void
walk_result(struct certain *c, const struct node *n)
{
	uint32_t i;

	if (n == NULL || (n->type != N_LIST && n->type != N_TUPLE && n->type != N_DICT)) {
		walk(c, n);
		return;
	}
	for (i = 0; i < n->u.list.n && c->rc == 0; i++)
		walk_result(c, n->u.list.v[i]);
}

static bool
is_global(const struct name *n)
{
	static const char *const lookups[] = { "lookup", "query", "q" };
	size_t i;

	for (i = 0; i < NITEMS(lookups); i++)
		if (strcmp(n->s, lookups[i]) == 0)
			return true;
	return global_find(n->s, n->len) != NULL;
}

static void
walk(struct certain *c, const struct node *n)
{
	if (n == NULL || c->rc != 0)
		return;
	switch ((enum node_type)n->type) {
	case N_NAME:
		walk_name(c, n);
		break;
	case N_LIST:		/* an undefined element is no error until it is used */
	case N_TUPLE:
	case N_DICT:
		break;
	case N_CONCAT:
		walk_list(c, &n->u.list);
		break;
	case N_AND:
	case N_OR:
	case N_NOT:
	case N_NEG:
	case N_POS:
	case N_DO:
		walk(c, n->u.x.a);
		break;
	case N_PRINT:
		walk_result(c, n->u.x.a);
		break;
	case N_COND:
		walk(c, n->u.x.b);
		break;
	case N_BIN:
	case N_ITEM:
	case N_SLICE:
		walk(c, n->u.x.a);
		walk(c, n->u.x.b);
		walk(c, n->u.x.c);
		walk(c, n->u.x.d);
		break;
	case N_COMPARE:		/* a chain stops at the first that fails */
		if (n->u.cmp.v.n > 0)
			walk(c, n->u.cmp.v.v[0]);
		if (n->u.cmp.v.n > 1)
			walk(c, n->u.cmp.v.v[1]);
		break;
	case N_ATTR:
		walk(c, n->u.attr.obj);
		break;
	case N_CALL:		/* a macro may not use its arguments */
		walk(c, n->u.call.fn);
		if (n->u.call.fn->type != N_NAME || is_global(&n->u.call.fn->u.name.n))
			walk_args(c, n->u.call.args);
		break;
	case N_FILTER:
	case N_TEST:
		walk_filter(c, n);
		break;
	default:
		walk_statement(c, n);
		break;
	}
}

struct mark
tmpl_name_mark(const struct tmpl_name_at *at)
{
	return tmpl_mark_at(at->tmpl, at->pos, at->end);
}

int
tmpl_names_at(const struct tmpl *t, bool certain,
    int (*each)(void *, const struct tmpl_name_at *), void *arg)
{
	struct certain c = { .t = t, .each = each, .arg = arg };
	uint32_t i;

	if (!certain) {
		for (i = 0; i < t->nnames && c.rc == 0; i++)
			c.rc = each(arg, &(struct tmpl_name_at){ t->names[i].name.s,
			    t->names[i].guarded, t, t->names[i].pos,
			    t->names[i].pos + t->names[i].name.len });
		return c.rc;
	}
	if (t->plain || t->has_extends)
		return 0;
	if (t->expr != NULL)
		walk_result(&c, t->expr);
	else if (t->root != NULL)
		walk_list(&c, &t->root->body);
	return c.rc;
}

struct mark
tmpl_scalar_mark(const struct value *v, size_t pos, size_t end)
{
	struct tmpl t = { .mode = TMPL_VALUE, .mark = v_mark(v), .text = v->u.s,
	    .len = v->len, .body = v->u.s, .body_len = v->len };

	if (t.mark.src == NULL || pos > v->len)
		return t.mark;
	return tmpl_mark_at(&t, (uint32_t)pos, (uint32_t)end);
}
