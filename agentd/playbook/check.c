/*
 * The second pass: what can be said only when the whole site is known.
 *
 * The walk carries how sure it is that a node is reached.  A condition that
 * can be worked out from what is fixed (extra vars, variables defined once and
 * plainly) counts as true or false; any other makes what stands behind it
 * uncertain, as do rescue, the tag `never`, a loop that may be empty.  A
 * problem of a node that is certain to be reached is an error, of any other a
 * note; the task then carries the message for the day it is reached.
 */
#include <string.h>

#include "playbook/private.h"

struct check {
	struct site	*site;
	struct diags	*d;
	struct names	*names;
	struct play	*play;
	uint32_t	 play_no;
	struct tab	 handlers;	/* what can be notified: name → "" */
	bool		 any_handler;	/* names that only a run knows: nothing is missing for sure */
	unsigned	 depth;
};

static void walk(struct check *, const struct nodes *, struct reach);

/* ---- handlers ------------------------------------------------------------------------- */

static void
handler_name(struct check *k, const struct value *v)
{
	uint32_t i;

	if (v == NULL)
		return;
	if (v_is_list(v)) {
		for (i = 0; i < v_count(v); i++)
			handler_name(k, v_at(v, i));
	} else if (v_is_str(v))
		tab_set(k->site->arena, &k->handlers, v->u.s, k);
	else
		k->any_handler = true;
}

static void
handlers_collect(struct check *k, const struct nodes *nodes, unsigned depth)
{
	struct arena *a = k->site->arena;
	const struct included *inc;
	const struct node *n;
	const struct role *r;
	uint32_t i;

	for (i = 0; i < nodes->n && depth < SITE_DEPTH_MAX; i++) {
		n = nodes->v[i];
		if (n->kind == NODE_BLOCK)
			continue;
		handler_name(k, n->name);
		handler_name(k, n->task->listen);
		for (r = n->role; r != NULL && n->name != NULL && v_is_str(n->name); r = r->parent)
			tab_set(a, &k->handlers, arena_printf(a, "%s : %s", r->name, n->name->u.s), k);
		if (!is_include(n->task))
			continue;
		inc = node_info(k->site, n)->included;
		if (inc == NULL)
			k->any_handler = true;
		for (; inc != NULL; inc = inc->next) {
			if (inc->nodes != NULL)
				handlers_collect(k, inc->nodes, depth + 1);
		}
	}
}

/* Handlers of roles that are included in tasks. */
static void
handlers_of_includes(struct check *k, const struct nodes *nodes, unsigned depth)
{
	const struct included *inc;
	const struct node *n;
	uint32_t i;

	for (i = 0; i < nodes->n && depth < SITE_DEPTH_MAX * 2; i++) {
		n = nodes->v[i];
		if (n->kind == NODE_BLOCK) {
			handlers_of_includes(k, &n->block->body, depth + 1);
			handlers_of_includes(k, &n->block->rescue, depth + 1);
			handlers_of_includes(k, &n->block->always, depth + 1);
			continue;
		}
		if (!is_include(n->task))
			continue;
		inc = node_info(k->site, n)->included;
		if (inc == NULL && strcmp(n->task->module->name, "include_role") == 0)
			k->any_handler = true;
		for (; inc != NULL; inc = inc->next) {
			if (inc->handlers != NULL)
				handlers_collect(k, inc->handlers, 0);
			if (inc->nodes != NULL)
				handlers_of_includes(k, inc->nodes, depth + 1);
		}
	}
}

static void
check_notify(struct check *k, const struct node *n, const struct reach *r)
{
	const struct value *list = n->task->notify, *v;
	const char *best;
	struct err *e;
	unsigned dist;
	uint32_t i, j;

	if (list == NULL || k->any_handler || r->never)
		return;
	for (i = 0; i < v_count(list); i++) {
		v = v_at(list, i);
		if (!v_is_str(v) || tab_get(&k->handlers, v->u.s) != NULL)
			continue;
		best = NULL;
		dist = 0;
		for (j = 0; j < k->handlers.n; j++)
			nearest_try(v->u.s, k->handlers.e[j].key, &best, &dist);
		e = r->certain && !r->tolerated ?
		    diags_error(k->d, ERR_INVALID, v_mark(v), "there is no handler '%s'", v->u.s) :
		    diags_note(k->d, v_mark(v), "there is no handler '%s'", v->u.s);
		if (best != NULL)
			err_hint(e, "did you mean '%s'?", best);
		else
			err_hint(e, "a handler is a task in `handlers:` of the play or of a role, found by its name or `listen`");
	}
}

/* ---- nodes ------------------------------------------------------------------------------ */

static bool
is_true(const struct value *v)
{
	return v != NULL && (v_is_tmpl(v) || (v->type == V_BOOL && v->u.b));
}

static void
tell_problems(struct check *k, const struct node *n, const struct reach *r)
{
	const struct problem *p;
	struct err *e;

	for (p = node_info(k->site, n)->problems; p != NULL; p = p->next) {
		/* ignoring the failure of what we cannot do would be skipping it in silence */
		if (r->certain && !r->never && (!r->tolerated || p->code == ERR_UNSUPPORTED))
			e = diags_error(k->d, p->code, p->at, "%s", p->msg);
		else if (r->never)
			continue;
		else
			e = diags_note(k->d, p->at, "%s", p->msg);
		if (p->hint != NULL)
			err_hint(e, "%s", p->hint);
	}
}

/* The conditions that are the node's own: what stands behind them is as sure as they are. */
static void
reach_conds(struct check *k, const struct node *n, struct reach *r)
{
	int known;

	for (; r->nconds < n->kw.when.n; r->nconds++) {
		known = names_cond(k->names, k->play_no, n->kw.when.v[r->nconds]);
		if (known == 0)
			r->never = true;
		if (known != 1)
			r->certain = false;
	}
}

/* A loop that surely has an element. */
static bool
loop_certain(const struct task *t)
{
	if (t->loop_kind == LOOP_NONE)
		return true;
	return t->loop != NULL && v_is_list(t->loop) && v_count(t->loop) > 0 &&
	    (t->loop_kind == LOOP_LIST || strcmp(t->loop_with, "items") == 0);
}

static void
check_needs(struct check *k, const struct node *n, const struct reach *r)
{
	const char *name = node_info(k->site, n)->needs;
	const char *near;
	struct err *e;

	if (name == NULL || !r->certain || r->never || k->site->priv->no_undefined_check ||
	    names_defined(k->names, k->play_no, n, name))
		return;
	e = diags_error(k->d, ERR_UNDEFINED, n->mark, "role '%s' needs the variable '%s', which nothing defines",
	    n->role->name, name);
	if ((near = names_nearest(k->names, k->play_no, name)) != NULL)
		err_hint(e, "did you mean '%s' where it should be set?", near);
	else
		err_hint(e, "set it in the role entry, in `vars:` or in group_vars/");
}

static void
walk_task(struct check *k, const struct node *n, struct reach r)
{
	const struct site_private *p = k->site->priv;
	const struct included *inc;
	struct reach inner;

	if (!n->task->is_handler && !tags_match(n->kw.tags, n->kw.ntags, p->tags, p->skip_tags))
		return;

	names_task(k->names, k->play_no, n, r);
	reach_conds(k, n, &r);
	inner = r;
	inner.certain = r.certain && loop_certain(n->task);
	tell_problems(k, n, &inner);
	check_notify(k, n, &inner);
	check_needs(k, n, &inner);
	if (!is_include(n->task))
		return;
	for (inc = node_info(k->site, n)->included; inc != NULL; inc = inc->next) {
		if (inc->nodes == NULL || k->depth > SITE_DEPTH_MAX)
			continue;
		/* its nodes inherit from what is around the include */
		inner.nconds = node_info(k->site, n)->ctx->kw->when.n;
		k->depth++;
		walk(k, inc->nodes, inner);
		k->depth--;
	}
}

static void
walk(struct check *k, const struct nodes *nodes, struct reach outer)
{
	const struct node *n;
	struct reach r, inner;
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		n = nodes->v[i];
		r = outer;
		if (is_true(n->kw.ignore_errors))
			r.tolerated = true;
		if (n->kind == NODE_TASK) {
			walk_task(k, n, r);
			continue;
		}
		names_block(k->names, k->play_no, n, r);
		reach_conds(k, n, &r);
		inner = r;
		if (n->block->has_rescue)
			inner.tolerated = true;
		walk(k, &n->block->body, inner);
		inner = r;
		inner.certain = false;
		walk(k, &n->block->rescue, inner);
		walk(k, &n->block->always, r);
	}
}

/* ---- plays -------------------------------------------------------------------------------- */

/* Hosts of a play's pattern; UINT32_MAX when only a run knows. Reports what matches nothing. */
static uint32_t
play_hosts(struct check *k, const struct play *p, uint32_t *matched)
{
	const char *unmatched, *near;
	struct err e CLEANUP_ERR = ERR_INIT;
	const struct value *v;
	struct host **hosts;
	uint32_t i, n, total = 0;
	struct err *w;

	if (p->hosts == NULL || k->site->inventory == NULL || k->site->priv->adds_hosts)
		return UINT32_MAX;
	for (i = 0; i < v_count(p->hosts); i++) {
		v = v_at(p->hosts, i);
		if (!v_is_str(v))
			return UINT32_MAX;
		unmatched = NULL;
		n = 0;
		if (inventory_match(k->site->inventory, k->site->arena, v->u.s, &hosts, &n,
		    &unmatched, &e) < 0) {
			err_at(&e, v_mark(v));
			diags_add(k->d, DIAG_ERROR, &e);
			return UINT32_MAX;
		}
		total += n;
		if (unmatched == NULL)
			continue;
		w = diags_warn(k->d, v_mark(v), "'%s' matches no host", unmatched);
		if ((near = inventory_nearest(k->site->inventory, unmatched)) != NULL)
			err_hint(w, "did you mean '%s'?", near);
		else
			err_hint(w, "neither a host nor a group of the inventory has this name");
	}
	*matched += total;
	return total;
}

/* A --limit that leaves nothing of a play's hosts. */
static bool
limited_away(struct check *k, const struct play *p)
{
	const struct site *s = k->site;
	const char *pattern = "", *unmatched;
	struct err ignored CLEANUP_ERR = ERR_INIT;
	struct host **hosts;
	uint32_t i, n = 0;

	if (s->priv->limit == NULL || p->hosts == NULL || s->inventory == NULL)
		return false;
	for (i = 0; i < v_count(p->hosts); i++) {
		if (!v_is_str(v_at(p->hosts, i)))
			return false;
		pattern = arena_printf(s->arena, "%s%s%s", pattern, i == 0 ? "" : ",",
		    v_at(p->hosts, i)->u.s);
	}
	for (i = 0; s->priv->limit[i] != '\0'; i++) {
		if (strchr(":,!&@[", s->priv->limit[i]) != NULL)
			return false;	/* no plain name: only the engine combines those */
	}
	pattern = arena_printf(s->arena, "%s:&%s", pattern, s->priv->limit);
	return inventory_match(s->inventory, s->arena, pattern, &hosts, &n, &unmatched,
	    &ignored) == 0 && n == 0;
}

static void
check_play(struct check *k, uint32_t no, uint32_t nhosts)
{
	struct play *p = k->site->plays[no];
	struct reach r = { .certain = nhosts != 0 && !limited_away(k, k->site->plays[no]) }, handlers;
	uint32_t i;

	k->play = p;
	k->play_no = no;
	memset(&k->handlers, 0, sizeof(k->handlers));
	k->any_handler = k->site->priv->lost;	/* what is missing may define them */
	handlers_collect(k, &p->handlers, 0);
	for (i = 0; i < SECTION_MAX; i++)
		handlers_of_includes(k, &p->sections[i], 0);
	names_play(k->names, no, p, r);
	for (i = 0; i < SECTION_MAX; i++)
		walk(k, &p->sections[i], r);
	handlers = r;
	handlers.certain = false;	/* only when notified */
	walk(k, &p->handlers, handlers);
}

void
site_check(struct site *s, struct diags *d)
{
	struct check k = { .site = s, .d = d };
	uint32_t i, matched = 0, *nhosts;
	bool known = s->nplays > 0;
	size_t before = d->nerrors;

	nhosts = ARENA_ARRAY(s->arena, s->nplays + 1, uint32_t);
	for (i = 0; i < s->nplays; i++) {
		nhosts[i] = play_hosts(&k, s->plays[i], &matched);
		known = known && nhosts[i] != UINT32_MAX;
	}
	if (known && matched == 0 && d->nerrors == before)
		err_hint(diags_error(d, ERR_INVALID, v_mark(s->plays[0]->hosts),
		    "no play of the site matches a host"),
		    "look at the inventory: -i, or inventory.yml beside the site");
	k.names = names_new(s, d);
	for (i = 0; i < s->nplays; i++)
		check_play(&k, i, nhosts[i]);
	names_free(k.names);
}
