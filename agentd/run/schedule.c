/*
 * Which hosts of a batch may go on.
 *
 * linear (Ansible's default): hosts that stand at the earliest place of the
 * play go first, all others wait for them; so every task is finished on all
 * hosts before the next one begins, also through blocks, rescues and includes
 * that take hosts different ways (walk_compare orders the places).
 * free: every host goes on at its own pace.
 *
 * A run_once task is worked by the first host that gets there; the others wait and
 * take over its result.
 */
#include <assert.h>
#include <string.h>

#include "run/engine.h"

/* ---- run_once --------------------------------------------------------------------- */

static bool
once_same(const struct once *o, const struct walk *w)
{
	uint32_t i;

	if (o->depth != w->depth)
		return false;
	for (i = 0; i < o->depth; i++)
		if (o->path[i] != w->at[i].i)
			return false;
	return true;
}

/* A keyword that matters for all hosts, as its template comes out for this one. NULL: not given, or no value. */
static const struct value *
keyword_value(struct walk *w, struct arena *a, const struct value *v)
{
	struct err err = ERR_INIT;

	if (v != NULL && v->type == V_TMPL) {
		v = tmpl_eval(a, vars_scope(a, w->host, w, w->node, NULL), v,
		    &err);
		err_release(&err);
	}
	return v;
}

static bool
keyword_true(struct walk *w, const struct value *v)
{
	struct arena a = { 0 };
	bool b;

	v = keyword_value(w, &a, v);
	b = v != NULL && mod_parse_bool(v) == 1;
	arena_release(&a);
	return b;
}

static uint32_t
keyword_count(struct walk *w, const struct value *v)
{
	struct arena a = { 0 };
	long long n = 0;

	v = keyword_value(w, &a, v);
	if (v != NULL && v->type == V_INT)
		n = v->u.i;
	else if (v != NULL && v->type == V_STR)
		n = strtoll(v->u.s, NULL, 10);
	arena_release(&a);
	return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

static struct once *
once_get(struct batch *b, struct walk *w)
{
	struct once *o;
	uint32_t i;

	for (o = b->onces; o != NULL; o = o->next)
		if (once_same(o, w))
			return o;
	o = ARENA_NEW(&b->arena, struct once);
	o->depth = w->depth;
	for (i = 0; i < w->depth; i++)
		o->path[i] = w->at[i].i;
	o->next = b->onces;
	b->onces = o;
	return o;
}

static void	fail_walk(struct walk *);

/* Takes over the result of the host that ran it. */
static void
once_adopt(struct walk *w, struct once *o)
{
	if (o->register_as != NULL)
		vars_set(w->host, o->register_as, o->result);
	if (o->facts != NULL) {
		const struct ventry *e;
		uint32_t it = 0;

		while ((e = v_next(o->facts, &it)) != NULL)
			if (e->key->type == V_STR)
				vars_set(w->host, e->key->u.s, e->val);
	}
	if (o->failed) {
		w->host->stats.failed++;
		fail_walk(w);
	} else
		walk_advance(w);
}

static void
once_done(struct walk *w, enum outcome outcome, const struct value *result)
{
	struct batch *b = w->batch;
	struct once *o;
	uint32_t i;

	for (o = b->onces; o != NULL; o = o->next)
		if (o->runner == w && !o->done && once_same(o, w))
			break;
	if (o == NULL)
		return;
	if (outcome == OUT_UNREACHABLE) {
		/* The next host tries. */
		o->runner = NULL;
		for (i = 0; i < b->n; i++)
			if (b->walks[i].state == WALK_ONCE &&
			    once_same(o, &b->walks[i]))
				b->walks[i].state = WALK_AT;
		return;
	}
	o->done = true;
	o->failed = outcome == OUT_FAILED;
	o->register_as = w->node->task->register_as;
	o->result = v_copy(&b->arena, result);
	if (w->node->task->module != NULL &&
	    strcmp(w->node->task->module->name, "set_fact") == 0)
		o->facts = v_gets(o->result, "ansible_facts");
	for (i = 0; i < b->n; i++)
		if (b->walks[i].state == WALK_ONCE && once_same(o, &b->walks[i]))
			once_adopt(&b->walks[i], o);
}

/* ---- the end of a step --------------------------------------------------------------- */

static void
count(struct host_stats *st, enum outcome outcome)
{
	switch (outcome) {
	case OUT_OK:
		st->ok++;
		break;
	case OUT_CHANGED:
		st->ok++;
		st->changed++;
		break;
	case OUT_FAILED:
		st->failed++;
		break;
	case OUT_IGNORED:
		st->ok++;
		st->ignored++;
		break;
	case OUT_RESCUED:
		st->rescued++;
		break;
	case OUT_SKIPPED:
		st->skipped++;
		break;
	case OUT_UNREACHABLE:
		st->unreachable++;
		break;
	}
}

static void
remember_failure(struct walk *w, const struct value *result)
{
	struct arena *a = &w->host->arena;
	struct value *task = v_map(a);

	v_set_str(a, task, "name", w->step->name);
	v_set_str(a, task, "action", w->node->task->module_name);
	w->failed_task = task;
	w->failed_result = v_copy(a, secrets_mark(w->host->run, w->step->arena, result, false));
}

static void
fail_walk(struct walk *w)
{
	(void)walk_fail(w);
	if (w->host->failed && !w->forced)
		w->batch->nfailed++;
	if (w->state != WALK_DONE)
		walk_advance(w);
}

static void
check_limits(struct batch *b, struct walk *w, enum outcome outcome)
{
	if (outcome != OUT_FAILED && outcome != OUT_UNREACHABLE)
		return;
	if (keyword_true(w, w->node->kw.any_errors_fatal))
		b->abort = true;
}

/* meta: what a task asked of its host's way. */
static void
step_meta(struct walk *w, struct step *s)
{
	uint32_t i;

	if (s->flush)
		walk_flush(w);
	if (s->end_role)
		walk_end_role(w);
	if (s->end_host)
		w->ended = true;
	if (s->end_batch || s->end_play)
		for (i = 0; i < w->batch->n; i++)
			w->batch->walks[i].ended = true;
	if (s->end_play)
		w->batch->run->next_host = w->batch->run->nplay_hosts;
}

static enum outcome
step_include(struct walk *w, struct step *s, enum outcome outcome,
    const struct value **result)
{
	struct err err = ERR_INIT;

	walk_include(w, s->includes, s->nincludes, &err);
	if (err.code == ERR_NONE)
		return outcome;
	(void)step_fail_err(s, &err);
	*result = s->result;
	return OUT_FAILED;
}

void
batch_step_done(struct walk *w, enum outcome outcome,
    const struct value *result)
{
	struct batch *b = w->batch;
	struct step *s = w->step;
	struct event e = { 0 };

	assert(w->state == WALK_BUSY);
	b->busy--;
	if (s->nincludes > 0 && outcome != OUT_FAILED &&
	    outcome != OUT_RESCUED && outcome != OUT_UNREACHABLE)
		outcome = step_include(w, s, outcome, &result);
	/* The implicit gathering of facts is no task that counts as changed. */
	count(&w->host->stats, outcome);
	e.outcome = outcome;
	e.result = result;
	e.start_ms = s->start_ms;
	e.duration_ms = now_ms() - s->start_ms;
	e.unsent = s->unsent;
	e.aborted = b->run->aborted;
	if (outcome == OUT_UNREACHABLE) {
		e.text = v_get_str(result, "msg", "unreachable");
		e.hint = v_get_str(result, "hint", NULL);
		e.unanswered = s->target->unanswered;
		emit_step(s, EV_HOST_UNREACHABLE, &e);
	} else
		emit_step(s, EV_TASK_END, &e);
	check_limits(b, w, outcome);
	once_done(w, outcome, result);
	if (outcome == OUT_UNREACHABLE) {
		w->host->unreachable = true;
		w->state = WALK_DONE;
		b->nfailed++;
	} else if (outcome == OUT_FAILED || outcome == OUT_RESCUED) {
		remember_failure(w, result);
		w->state = WALK_AT;
		fail_walk(w);
	} else {
		bool setup = w->node == b->setup;
		struct err err = ERR_INIT;

		step_meta(w, s);
		walk_advance(w);
		/* Names of variable files may use facts. */
		if (setup && vars_files(w, &err) == -1) {
			(void)step_fail_err(s, &err);
			e.outcome = OUT_FAILED;
			e.result = s->result;
			emit_step(s, EV_TASK_END, &e);
			w->host->stats.failed++;
			w->depth = 1;
			fail_walk(w);
		}
	}
	step_free(s);
	if (w->state == WALK_DONE)
		ahead_drop(w->host);
	if (b->max_fail >= 0 && b->nfailed * 100.0 > b->max_fail * b->n)
		b->abort = true;
	run_turn(b->run);
}

/* ---- turns --------------------------------------------------------------------------------- */

static uint32_t
forks_allowed(const struct batch *b)
{
	uint32_t forks = b->run->opts->forks > 0 ?
	    (uint32_t)b->run->opts->forks : 50;

	if (b->throttle > 0 && b->throttle < forks)
		forks = b->throttle;
	return forks;
}

static void
begin(struct walk *w)
{
	w->state = WALK_BUSY;
	w->batch->busy++;
	step_start(w);
}

/* A host whose turn has come: runs, waits for a run_once elsewhere, or takes its result. */
static void
choose(struct walk *w)
{
	struct once *o;

	if (!keyword_true(w, w->node->kw.run_once)) {
		w->state = WALK_QUEUED;
		return;
	}
	o = once_get(w->batch, w);
	if (o->done)
		once_adopt(w, o);
	else if (o->runner == NULL || o->runner == w) {
		o->runner = w;
		w->state = WALK_QUEUED;
	} else
		w->state = WALK_ONCE;
}

static void
front(struct batch *b)
{
	struct walk *first = NULL;
	struct walk at_first;
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		struct walk *w = &b->walks[i];

		if (w->state == WALK_AT &&
		    (first == NULL || walk_compare(w, first) < 0))
			first = w;
	}
	if (first == NULL)
		return;
	b->throttle = keyword_count(first, first->node->kw.throttle);
	at_first = *first;	/* choosing may move the walk itself */
	for (i = 0; i < b->n; i++) {
		struct walk *w = &b->walks[i];

		if (w->state == WALK_AT && (b->free_strategy ||
		    walk_compare(w, &at_first) == 0))
			choose(w);
	}
}

static bool
any(const struct batch *b, enum walk_state state)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (b->walks[i].state == state)
			return true;
	return false;
}

/* any_errors_fatal, max_fail_percentage: everybody fails where he stands. */
static void
abort_all(struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		struct walk *w = &b->walks[i];

		if (w->state == WALK_DONE || w->host->failed)
			continue;
		if (w->state == WALK_AT || w->state == WALK_ONCE ||
		    w->state == WALK_QUEUED) {
			w->state = WALK_AT;
			fail_walk(w);
		}
	}
	if (b->busy == 0)
		b->abort = false;
}

void
batch_schedule(struct batch *b)
{
	uint32_t i;

	if (b->abort)
		abort_all(b);
	if (b->run->interrupted) {
		for (i = 0; i < b->n; i++)
			if (b->walks[i].state != WALK_BUSY)
				b->walks[i].state = WALK_DONE;
		return;
	}
	if (b->free_strategy || (b->busy == 0 && !any(b, WALK_QUEUED)))
		front(b);
	for (i = 0; i < b->n && b->busy < forks_allowed(b); i++)
		if (b->walks[i].state == WALK_QUEUED)
			begin(&b->walks[i]);
	/* Taking over results may have moved everybody: look again. */
	if (b->busy == 0 && (any(b, WALK_AT) || any(b, WALK_QUEUED)))
		run_turn(b->run);
}

void
batch_start(struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		struct walk *w = &b->walks[i];
		struct err err = ERR_INIT;

		w->setup_pending = b->setup != NULL;
		if (vars_files(w, &err) == -1) {
			struct event e = { .type = EV_WARNING };

			e.host = w->host->name;
			e.text = err.msg;
			e.mark = err.at;
			emit(b->run, &e);
			err_release(&err);
			w->host->stats.failed++;
			w->host->failed = true;
			w->state = WALK_DONE;
			continue;
		}
		walk_advance(w);
	}
	run_turn(b->run);
}
