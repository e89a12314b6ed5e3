/*
 * Where a host is in its play.
 *
 * A walk is a stack of places, from the play down to the node at hand:
 *
 *	AT_PLAY i ── AT_NODES i ── AT_BLOCK phase ── AT_NODES i
 *	                            └ AT_INCLUDE item ── AT_NODES i …
 *
 * The numbers of the stack, compared from the bottom, order any two walks of
 * a batch: that is all that the linear strategy needs (schedule.c).  A failure
 * takes places off the stack until a block with a rescue or always takes it.
 */
#include <assert.h>
#include <fnmatch.h>
#include <string.h>

#include "run/engine.h"

/* The parts of a play, in order; a flush of handlers follows pre_tasks, tasks and post_tasks. */
enum part {
	PART_SETUP, PART_PRE, PART_PRE_FLUSH, PART_ROLES, PART_TASKS,
	PART_FLUSH, PART_POST, PART_POST_FLUSH, PART_END
};

static struct at *
top(struct walk *w)
{
	return &w->at[w->depth - 1];
}

static struct at *
push(struct walk *w, enum at_kind kind)
{
	struct at *at;

	assert(w->depth < WALK_DEPTH_MAX);
	at = &w->at[w->depth++];
	memset(at, 0, sizeof(*at));
	at->kind = kind;
	return at;
}

/* Lists start before their first element. */
static void
push_nodes(struct walk *w, const struct nodes *nodes)
{
	struct at *at = push(w, AT_NODES);

	at->nodes = nodes;
	at->i = UINT32_MAX;
}

static bool
node_selected(const struct walk *w, const struct node *node)
{
	const struct run_opts *o = w->batch->run->opts;

	return tags_match(node->kw.tags, node->kw.ntags, o->tags, o->skip_tags);
}

bool
node_named(const struct node *node, const char *pattern)
{
	const struct value *v = node->name;
	struct arena a = { 0 };
	const char *name;
	bool hit;

	if (v == NULL || (v->type != V_STR && v->type != V_TMPL))
		return false;
	name = arena_strndup(&a, v->u.s, v->len);
	hit = strcmp(name, pattern) == 0 || fnmatch(pattern, name, 0) == 0;
	if (!hit && node->role != NULL) {
		name = arena_printf(&a, "%s : %s", node->role->name, name);
		hit = strcmp(name, pattern) == 0 ||
		    fnmatch(pattern, name, 0) == 0;
	}
	arena_release(&a);
	return hit;
}

/* Tasks before that of --start-at-task are passed over. */
static bool
before_start(struct walk *w, const struct node *node)
{
	const struct run *run = w->batch->run;

	if (run->opts->start_at == NULL || run->iplay != run->start_play ||
	    w->started || node->task->is_handler)
		return false;
	w->started = node_named(node, run->opts->start_at);
	return !w->started;
}

/* Blocks deeper than the stack are refused when the site is loaded; includes here. */
static bool
room(const struct walk *w)
{
	return w->depth + 3 < WALK_DEPTH_MAX;
}

void
walk_include(struct walk *w, struct include *includes, uint32_t n,
    struct err *err)
{
	struct at *at;

	if (!room(w)) {
		(void)err_set_at(err, ERR_LIMIT, w->node->mark,
		    "includes are nested more than %d deep", WALK_DEPTH_MAX / 2);
		err_hint(err, "does a file include itself?");
		return;
	}
	at = push(w, AT_INCLUDE);
	at->includes = includes;
	at->nincludes = n;
	at->i = UINT32_MAX;
}

void
walk_flush(struct walk *w)
{
	uint32_t i, n = w->batch->handlers.n;
	bool any = false;
	struct at *at;

	for (i = 0; i < n; i++)
		any = any || w->notified[i] != 0;
	if (!any || !room(w))
		return;
	if (w->ahead) {
		w->state = WALK_DONE;
		return;
	}
	at = push(w, AT_HANDLERS);
	at->i = UINT32_MAX;
}

static void
enter_part(struct walk *w, struct at *play)
{
	struct batch *b = w->batch;

	switch ((enum part)play->i) {
	case PART_SETUP:
		w->setup_pending = false;
		if (b->setup != NULL) {
			w->setup_pending = true;
			w->node = b->setup;
		}
		break;
	case PART_PRE:
		push_nodes(w, &b->play->sections[SECTION_PRE]);
		break;
	case PART_ROLES:
		push_nodes(w, &b->play->sections[SECTION_ROLES]);
		break;
	case PART_TASKS:
		push_nodes(w, &b->play->sections[SECTION_TASKS]);
		break;
	case PART_POST:
		push_nodes(w, &b->play->sections[SECTION_POST]);
		break;
	case PART_FLUSH:
		/* What earlier runs owe comes where it would have: behind the tasks. */
		if (!w->ahead)
			handlers_owed(w);
		walk_flush(w);
		break;
	case PART_PRE_FLUSH:
	case PART_POST_FLUSH:
		walk_flush(w);
		break;
	case PART_END:
		w->state = WALK_DONE;
		break;
	}
}

/* ---- roles that are over on this host -------------------------------------------- */

static bool
role_is_over(const struct walk *w, const struct node *block)
{
	uint32_t i;

	if (!block->block->is_role || block->role == NULL ||
	    block->role->allow_duplicates)
		return false;
	for (i = 0; i < w->nroles_over; i++)
		if (w->roles_over[i] == block->role->id)
			return true;
	return false;
}

static void
role_over(struct walk *w, const struct node *block)
{
	if (!block->block->is_role || block->role == NULL)
		return;
	w->roles_over = arena_grow(&w->batch->arena, w->roles_over,
	    w->nroles_over * sizeof(*w->roles_over),
	    (w->nroles_over + 1) * sizeof(*w->roles_over));
	w->roles_over[w->nroles_over++] = block->role->id;
}

static void
enter_node(struct walk *w, const struct node *node)
{
	struct at *at;

	if (node->kind == NODE_TASK) {
		if (!before_start(w, node) && node_selected(w, node))
			w->node = node;
		return;
	}
	if (role_is_over(w, node))
		return;
	assert(room(w));
	at = push(w, AT_BLOCK);
	at->block = node;
	push_nodes(w, &node->block->body);
}

/* The next handler that is notified; earlier ones notified meanwhile are taken in another round. */
static void
next_handler(struct walk *w, struct at *at)
{
	struct handlers *h = &w->batch->handlers;
	uint32_t i;

	for (i = at->i + 1; i < h->n; i++) {
		if (w->notified[i]) {
			w->notified[i] = 0;
			at->i = i;
			enter_node(w, h->v[i]);
			return;
		}
	}
	for (i = 0; i < h->n; i++)
		if (w->notified[i])
			break;
	/* Handlers that notify each other in a circle end after some rounds. */
	if (i < h->n && ++at->npending < 100) {
		at->i = UINT32_MAX;
		next_handler(w, at);
		return;
	}
	w->depth--;
}

static void
next_include(struct walk *w, struct at *at)
{
	if (at->i + 1 >= at->nincludes) {
		w->depth--;
		return;
	}
	at->i++;
	push_nodes(w, at->includes[at->i].nodes);
}

/* The end of a phase of a block: always follows, then what is around it. */
static void
next_phase(struct walk *w, struct at *at)
{
	if (at->i < 2 && at->block->block->has_always) {
		at->i = 2;
		push_nodes(w, &at->block->block->always);
		return;
	}
	if (at->failing) {
		w->depth--;
		(void)walk_fail(w);
		return;
	}
	role_over(w, at->block);
	w->depth--;
}

void
walk_advance(struct walk *w)
{
	w->node = NULL;
	if (w->depth == 0) {
		push(w, AT_PLAY)->i = PART_SETUP;
		enter_part(w, top(w));
	}
	while (w->node == NULL && w->state != WALK_DONE) {
		struct at *at = top(w);

		if (w->ended) {
			w->state = WALK_DONE;
			break;
		}
		/* Handlers and failures are the real walk's. */
		if (w->ahead && (at->kind == AT_HANDLERS ||
		    (at->kind == AT_BLOCK && at->failing))) {
			w->state = WALK_DONE;
			break;
		}
		switch (at->kind) {
		case AT_PLAY:
			at->i++;
			enter_part(w, at);
			break;
		case AT_NODES:
			/* i + 1 is 0 before the first node */
			if (at->i + 1 >= at->nodes->n && (at->i + 1 != 0 || at->nodes->n == 0)) {
				w->depth--;
			} else {
				at->i++;
				enter_node(w, at->nodes->v[at->i]);
			}
			break;
		case AT_BLOCK:
			next_phase(w, at);
			break;
		case AT_INCLUDE:
			next_include(w, at);
			break;
		case AT_HANDLERS:
			next_handler(w, at);
			break;
		}
	}
	if (w->state != WALK_DONE)
		w->state = WALK_AT;
}

bool
walk_rescuable(const struct walk *w)
{
	uint32_t i;

	for (i = w->depth; i-- > 0;)
		if (w->at[i].kind == AT_BLOCK && w->at[i].i == 0 &&
		    w->at[i].block->block->has_rescue)
			return true;
	return false;
}

bool
walk_fail(struct walk *w)
{
	for (; w->depth > 1; w->depth--) {
		struct at *at = top(w);

		if (at->kind != AT_BLOCK)
			continue;
		if (at->i == 0 && at->block->block->has_rescue) {
			at->i = 1;
			push_nodes(w, &at->block->block->rescue);
			return true;
		}
		if (at->i < 2 && at->block->block->has_always) {
			at->i = 2;
			at->failing = true;
			push_nodes(w, &at->block->block->always);
			return false;
		}
	}
	w->host->failed = true;
	if (w->batch->force_handlers && !w->forced && w->depth == 1) {
		w->forced = true;
		w->at[0].i = PART_POST_FLUSH;
		walk_flush(w);
		return false;
	}
	w->state = WALK_DONE;
	return false;
}

/* An inner place that has a number only for its own list sorts before what follows its outer one. */
int
walk_compare(const struct walk *a, const struct walk *b)
{
	uint32_t i;

	for (i = 0; i < a->depth && i < b->depth; i++) {
		uint32_t x = a->at[i].i, y = b->at[i].i;

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a->depth > b->depth) - (a->depth < b->depth);
}

void
walk_end_role(struct walk *w)
{
	const struct role *role = w->node->role;
	struct at *at;

	if (role == NULL)
		return;
	for (; w->depth > 1; w->depth--) {
		at = top(w);
		/* Skip what is left of this role in a list that goes on with others. */
		if (at->kind == AT_NODES) {
			while (at->i + 1 < at->nodes->n &&
			    at->nodes->v[at->i + 1]->role == role)
				at->i++;
			if (at->i + 1 < at->nodes->n)
				return;
		}
		if (w->depth == 2)
			return;
	}
}
