/*
 * Sending ahead: while a host works at one task, the next ones are on their way.
 *
 *	walk        T5 ─────────────── T6 ──── T7 …
 *	             │ asked            ▲ answered before it was asked
 *	ahead        └─ T6  T7  T8  T9 ─┘
 *
 * Behind each request to its host a walk looks ahead: a copy of it goes on to
 * the tasks that follow, their arguments are evaluated as if the tasks before
 * them had changed nothing (what they register says so, and facts that are set
 * are known), and what comes out is sent with FRAME_AHEAD.  The
 * executor works in order, and holds such a request at its first effect until
 * GO.  So a guess costs nothing but its evaluation, and no guess is believed:
 * when the walk really comes to a task, its request is made again, and the
 * answer counts only if it is the same to the last byte.  Otherwise all that
 * was sent ahead is cancelled, and nothing has happened.
 *
 *	the same, answered	the result is there: no round trip
 *	the same, held		GO: it goes on to its effects (attempt.c)
 *	the same, not yet	one of the two comes
 *	another			what was sent ahead is dropped
 *
 * An answer holds as long as nothing else has touched the host meanwhile:
 *  - each other request to the host (also one delegated to it) drops all;
 *  - what another host did at an earlier task may reach this one: commands of
 *    which nobody knows what they do drop all (`opaque`), any change drops the
 *    answers of modules that look beyond their own host (MOD_FAR);
 *  - two names of one address are one machine, and nothing is sent ahead there.
 *
 * The looking ends at what only the real walk can do: handlers, pauses, delegation,
 * a variable that is not there yet.  Evaluation has no effects
 * meanwhile (run->looking_ahead): no events, no lookups that do something.
 */
#include <string.h>

#include "base/codec.h"
#include "run/engine.h"

#define GUESSES_MAX	64u		/* under way a host */
#define BYTES_MAX	((size_t)256 * 1024)

struct guess {
	struct request		 req;
	struct arena		 arena;		/* of an early result */
	struct hostrun		*host;
	struct step		*step;		/* that has come to it, or NULL */
	struct buf		 sent;		/* the payload */
	bool			 root, far;
	bool			 held;		/* waits for its turn on the host */
	bool			 over;		/* answered: result */
	bool			 dropped;	/* freed when it is answered */
	uint32_t		 changes, opaque;	/* of others, when it was sent */
	const struct value	*result;
	struct guess		*next;
};

/* How far a host's walk has been looked ahead. */
struct ahead {
	struct guess	*first;		/* not come to yet, in order */
	uint32_t	 n, max;
	size_t		 bytes;
	struct walk	 walk;		/* the copy that goes ahead */
	struct arena	 way, task, item;	/* since it started, of the task, and of the item at hand */
	const struct value *items;	/* of a loop that is not through, or NULL */
	uint32_t	 i;
	bool		 ended;		/* no further from here */
};

/* ---- guesses ----------------------------------------------------------------- */

static void
guess_free(struct guess *g)
{
	if (g->sent.data != NULL)
		explicit_bzero(g->sent.data, g->sent.len);
	buf_release(&g->sent);
	arena_release(&g->arena);
	free(g);
}

static void
guess_drop(struct guess *g)
{
	if (g->over) {
		guess_free(g);
		return;
	}
	g->dropped = true;
	request_cancel(&g->req);
}

static struct guess *
take_out(struct ahead *a, struct guess **p)
{
	struct guess *g = *p;

	*p = g->next;
	a->n--;
	a->bytes -= g->sent.len;
	return g;
}

void
ahead_drop(struct hostrun *h)
{
	while (h->ahead != NULL && h->ahead->first != NULL)
		guess_drop(take_out(h->ahead, &h->ahead->first));
}

void
ahead_release(struct hostrun *h)
{
	if (h->ahead == NULL)
		return;
	ahead_drop(h);
	arena_release(&h->ahead->way);
	arena_release(&h->ahead->task);
	arena_release(&h->ahead->item);
}

static void
answered(void *arg, const struct value *result, struct err *err)
{
	struct guess *g = arg;
	struct step *s = g->step;

	if (s != NULL) {
		s->req.sent = g->req.sent;
		s->guess = NULL;
		step_reply(s, result, err);
	} else if (!g->dropped && result != NULL) {
		g->over = true;
		g->result = result;
		return;
	} else if (!g->dropped) {
		/* The connection has ended: it is out of the list with all behind it. */
		struct guess **p = &g->host->ahead->first;

		while (*p != g)
			p = &(*p)->next;
		(void)take_out(g->host->ahead, p);
	}
	guess_free(g);
}

static void
held(void *arg)
{
	struct guess *g = arg;

	g->held = true;
	if (g->step != NULL)
		step_held(g->step);
}

static void
progress(void *arg, const char *text)
{
	struct guess *g = arg;

	if (g->step != NULL)
		step_progress(g->step, text);
}

/* ---- a task that is reached ----------------------------------------------------- */

static bool
holds(const struct guess *g)
{
	const struct run *run = g->host->run;

	return g->opaque == run->opaque - g->host->own_opaque &&
	    (!g->far || g->changes == run->changes - g->host->own_changes);
}

bool
ahead_take(struct step *s, const struct value *payload)
{
	struct ahead *a = s->target->ahead;
	struct buf want = BUF_INIT;
	struct guess *g;

	if (a == NULL || a->first == NULL || s->target != s->host)
		return false;
	codec_encode(&want, payload);
	for (g = a->first; g != NULL; g = g->next)
		if (g->root == s->root && g->sent.len == want.len && holds(g) &&
		    memcmp(g->sent.data, want.data, want.len) == 0)
			break;
	explicit_bzero(want.data, want.len);
	buf_release(&want);
	a->max = g == NULL ? a->max / 2 + 1 :
	    a->max < GUESSES_MAX ? a->max + 1 : a->max;
	if (g == NULL)
		return false;
	/* What was to come before it was left out. */
	while (a->first != g)
		guess_drop(take_out(a, &a->first));
	(void)take_out(a, &a->first);
	s->guess = g;
	g->step = s;
	g->req.contents = &s->contents;
	g->req.arena = s->arena;
	return true;
}

struct request *
ahead_request(struct step *s)
{
	return &s->guess->req;
}

bool
ahead_held(const struct step *s)
{
	return s->guess->held;
}

bool
ahead_answered(const struct step *s)
{
	return s->guess->over;
}

void
ahead_deliver(struct step *s)
{
	struct guess *g = s->guess;
	struct err none = ERR_INIT;

	s->guess = NULL;
	step_reply(s, v_copy(s->arena, g->result), &none);
	guess_free(g);
}

void
ahead_note(struct step *s)
{
	struct run *run = s->host->run;
	bool changed = v_get_bool(s->result, "changed", false) ||
	    v_get_bool(s->result, "failed", false) ||
	    v_get_bool(s->result, "unreachable", false);

	if (s->check || s->barred || !(changed || step_blind(s)))
		return;
	run->changes++;
	s->target->own_changes++;
	if (!step_opaque(s))
		return;
	run->opaque++;
	s->target->own_opaque++;
}

/* ---- looking ahead ---------------------------------------------------------------- */

static bool
is_one_of(const struct task *t, const char *const *names)
{
	for (; t->module != NULL && *names != NULL; names++)
		if (strcmp(t->module->name, *names) == 0)
			return true;
	return false;
}

/* A variable as it will be when everything goes as presumed. */
static void
presume(struct ahead *a, const char *name, const struct value *v)
{
	if (name != NULL)
		v_sets(&a->way, a->walk.presumed, arena_strdup(&a->way, name),
		    v_copy(&a->way, v));
}

static void
presume_result(struct ahead *a, const struct task *t, bool skipped)
{
	struct value *r = v_map(&a->way);

	v_set_bool(&a->way, r, "changed", false);
	v_set_bool(&a->way, r, skipped ? "skipped" : "failed", skipped);
	presume(a, t->register_as, r);
}

void
ahead_known(struct hostrun *h, const char *name)
{
	if (h->ahead != NULL && h->ahead->walk.presumed != NULL)
		(void)v_dels(h->ahead->walk.presumed, name);
}

/* Can a task be guessed at all? */
static bool
guessable(const struct node *n)
{
	const struct task *t = n->task;
	const struct action *action;

	if (t->module == NULL || t->module->run == NULL || t->unsupported != NULL ||
	    t->action_tmpl != NULL || t->has_until || t->async != NULL ||
	    t->retries != NULL || t->loop_pause != NULL ||
	    t->loop_break_when.n > 0 || n->kw.delegate_to != NULL ||
	    n->kw.run_once != NULL || n->kw.throttle != NULL)
		return false;
	action = action_find(t->module->name);
	return action == NULL || action->prepares;
}

/* The condition of a task: 1, 0, or -1: nobody knows yet. */
static int
condition(const struct step *s)
{
	struct err err = ERR_INIT;
	bool holds = conds_hold(s->arena, s->scope, &s->node->kw.when, NULL, &err);
	int r = err.code != ERR_NONE ? -1 : holds;

	err_release(&err);
	return r;
}

static bool
guess_facts(struct ahead *a, struct step *s)
{
	const struct ventry *e;
	uint32_t i = 0;

	if (s->task->loop_kind != LOOP_NONE || s->task->fact_names != NULL ||
	    s->task->register_as != NULL || attempt_evaluate(s) == -1)
		return false;
	while ((e = v_next(s->args, &i)) != NULL)
		if (e->key->type == V_STR)
			presume(a, e->key->u.s, e->val);
	return true;
}

static bool
guess_include(struct ahead *a, struct step *s)
{
	struct include *in = ARENA_NEW(&a->way, struct include);
	struct err err = ERR_INIT;

	if (s->task->loop_kind != LOOP_NONE || attempt_evaluate(s) == -1 ||
	    (in->nodes = include_nodes(s)) == NULL)
		return false;
	walk_include(s->walk, in, 1, &err);
	err_release(&err);
	return err.code == ERR_NONE;
}

/* What needs no host. 1: passed, 0: no such task, -1: no further. */
static int
pass(struct ahead *a)
{
	static const char *const idle[] = { "assert", "debug", "fail", "set_stats", NULL };
	static const char *const facts[] = { "set_fact", NULL };
	static const char *const meta[] = { "meta", NULL };
	static const char *const includes[] = { "include", "include_role",
		"include_tasks", "import_role", "import_tasks", NULL };
	const struct task *t = a->walk.node->task;
	struct step s;
	bool sets = is_one_of(t, facts), include = is_one_of(t, includes);
	int holds;

	if (is_one_of(t, idle))
		return t->register_as == NULL ? 1 : -1;
	if (is_one_of(t, meta)) {
		if (!v_eqs(v_gets(t->args, "free_form"), "flush_handlers"))
			return -1;
		walk_flush(&a->walk);
		return a->walk.state == WALK_DONE ? -1 : 1;
	}
	if (!sets && !include)
		return 0;
	arena_clear(&a->item);
	step_init(&s, &a->walk, &a->item);
	if ((holds = condition(&s)) != 1)
		return holds == 0 ? 1 : -1;
	return (sets ? guess_facts(a, &s) : guess_include(a, &s)) ? 1 : -1;
}

/* Does the module look at other machines than its own? */
static bool
looks_far(const struct step *s)
{
	const char *host = v_get_str(s->args, "login_host", "");

	return (s->module->flags & MOD_FAR) ||
	    (*host != '\0' && strcmp(host, "localhost") != 0);
}

static bool
alone(const struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n; i++)
		n += b->walks[i].state != WALK_DONE;
	return n <= 1;
}

static void
guess_send(struct ahead *a, struct step *s, const struct value *payload)
{
	struct guess *g = xcalloc(1, sizeof(*g)), **p;

	g->host = s->host;
	g->root = s->root;
	g->far = looks_far(s);
	g->changes = s->host->run->changes - s->host->own_changes;
	g->opaque = s->host->run->opaque - s->host->own_opaque;
	codec_encode(&g->sent, payload);
	g->req.ahead = g->req.guessed = true;
	g->req.held = held;
	g->req.encoded = &g->sent;
	g->req.timeout_ms = s->timeout_ms;
	g->req.progress = progress;
	g->req.done = answered;
	g->req.arg = g;
	g->req.arena = &g->arena;
	for (p = &a->first; *p != NULL; p = &(*p)->next)
		;
	*p = g;
	a->n++;
	a->bytes += g->sent.len;
	link_send(s->host, s->root, s->node, &g->req);
}

/* One task, or one item of its loop. False: no further from here. */
static bool
guess(struct ahead *a, struct step *from, const struct value *items, uint32_t i)
{
	struct step s;
	const struct value *payload;
	int holds;

	arena_clear(&a->item);
	step_init(&s, &a->walk, &a->item);
	s.items = items;
	s.i = i;
	s.attempt = s.attempts = 1;
	if (items != NULL)
		step_item_vars(&s);
	if ((holds = condition(&s)) == -1)
		return false;
	presume_result(a, s.task, holds == 0);
	if (holds == 0)
		return true;
	payload = attempt_guess(&s);
	if (payload == NULL || s.root != from->root)
		return false;
	guess_send(a, &s, payload);
	/* What it does to the others is to be seen first. */
	return a->first != NULL && (!step_opaque(&s) || alone(s.walk->batch));
}

/* To the next task, or item. False: no further. */
static bool
look_on(struct ahead *a, struct step *from)
{
	struct walk *w = &a->walk;
	struct err err = ERR_INIT;
	struct step s;
	int passed;

	if (a->items != NULL && a->i < v_count(a->items)) {
		a->i++;
		return guess(a, from, a->items, a->i - 1);
	}
	a->items = NULL;
	walk_advance(w);
	if (w->state == WALK_DONE)
		return false;
	if ((passed = pass(a)) != 0)
		return passed == 1;
	if (!guessable(w->node))
		return false;
	if (w->node->task->loop_kind == LOOP_NONE)
		return guess(a, from, NULL, 0);
	arena_clear(&a->task);
	step_init(&s, w, &a->task);
	a->items = step_items(&s, &err);
	a->i = 0;
	err_release(&err);
	return a->items != NULL;
}

static void
start_from(struct ahead *a, const struct step *s)
{
	a->walk = *s->walk;
	a->walk.ahead = true;
	a->walk.step = NULL;
	a->ended = false;
	arena_clear(&a->way);
	arena_clear(&a->task);
	a->walk.presumed = v_map(&a->way);
	presume_result(a, s->task, false);
	a->items = s->items == NULL ? NULL : v_copy(&a->task, s->items);
	a->i = s->i + 1;
}

void
ahead_look(struct step *s)
{
	struct hostrun *h = s->host;
	struct run *run = h->run;
	struct ahead *a = h->ahead;

	if (s->target != h || h->twin || run->opts->permit != NULL ||
	    run->interrupted || h->guarded != NULL)
		return;
	if (a == NULL) {
		a = h->ahead = ARENA_NEW(&h->arena, struct ahead);
		a->max = GUESSES_MAX / 4;
	}
	if (a->first == NULL)
		start_from(a, s);
	run->looking_ahead = true;
	while (!a->ended && a->n < a->max && a->bytes < BYTES_MAX)
		a->ended = !look_on(a, s);
	run->looking_ahead = false;
}
