/*
 * One task on one host.
 *
 *	step_start ─ loop ─┬─ item ─ when ─ attempt ─ keywords, arguments ─┐
 *	                   │                  ▲                             ▼
 *	                   │                  └── until ── result ◄── action or host
 *	                   └──────── next item ◄────────────┘
 *	                                        └─ register, notify ─ batch_step_done
 *
 * Everything is evaluated in the walk's arena, which is cleared when the host
 * goes on to its next task.
 */
#include <assert.h>
#include <string.h>

#include "run/engine.h"

#define ATTEMPTS_MAX	100000

static void	item_start(struct step *);
static void	finish(struct step *);

/* ---- results -------------------------------------------------------------------- */

enum action_result
step_fail(struct step *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "failed", true);
	v_set_bool(s->arena, s->result, "changed", false);
	v_sets(s->arena, s->result, "msg",
	    v_str(s->arena, arena_vprintf(s->arena, fmt, ap)));
	va_end(ap);
	return ACTION_DONE;
}

enum action_result
step_fail_err(struct step *s, struct err *err)
{
	struct buf text = BUF_INIT;

	(void)step_fail(s, "%s", err->msg);
	if (err->at.src != NULL) {
		v_sets(s->arena, s->result, "file",
		    v_str(s->arena, err->at.src->path));
		v_set_int(s->arena, s->result, "line", err->at.line);
		v_set_int(s->arena, s->result, "column", err->at.col);
	}
	/* The whole diagnostic with its source line, for outputs. */
	err_format(err, false, &text);
	v_sets(s->arena, s->result, "diagnostic",
	    v_strn(s->arena, buf_str(&text), text.len));
	buf_release(&text);
	if (err->hint != NULL)
		v_set_str(s->arena, s->result, "hint", err->hint);
	err_release(err);
	return ACTION_DONE;
}

static bool
flag(const struct value *result, const char *key)
{
	const struct value *v = v_gets(result, key);

	return v != NULL && (v->type == V_BOOL ? v->u.b :
	    v->type == V_INT ? v->u.i != 0 :
	    v->type == V_STR && mod_parse_bool(v) == 1);
}

/* ---- evaluation helpers ------------------------------------------------------------ */

bool
conds_hold(struct arena *a, const struct scope *scope,
    const struct conds *conds, const struct value **ret_false, struct err *err)
{
	uint32_t i;

	for (i = 0; i < conds->n; i++) {
		bool holds = false;

		if (tmpl_when(a, scope, conds->v[i], &holds, err) == -1) {
			err_at(err, v_mark(conds->v[i]));
			return false;
		}
		if (!holds) {
			if (ret_false != NULL)
				*ret_false = conds->v[i];
			return false;
		}
	}
	return true;
}

/* ---- loops ---------------------------------------------------------------------------- */

const struct value *
step_items(struct step *s, struct err *err)
{
	const struct task *t = s->task;
	const struct value *v;

	if ((v = tmpl_eval(s->arena, s->scope, t->loop, err)) == NULL)
		return NULL;
	if (t->loop_kind == LOOP_WITH)
		return tmpl_lookup(s->arena, s->scope, t->loop_with, v, true,
		    err);
	if (v->type == V_LIST)
		return v;
	(void)err_set_at(err, ERR_TYPE, v_mark(t->loop),
	    "'loop' needs a list, not %s", v_type_name(v));
	if (v->type == V_MAP)
		err_hint(err, "use `| dict2items` to loop over a map");
	else if (v->type == V_STR)
		err_hint(err, "put it into a list: loop: [...]");
	return NULL;
}

static void
extended_loop(struct step *s)
{
	struct arena *a = s->arena;
	struct value *l = v_map(a);
	uint32_t n = v_count(s->items);

	v_sets(a, l, "allitems", s->items);
	v_set_int(a, l, "index", (int64_t)s->i + 1);
	v_set_int(a, l, "index0", s->i);
	v_set_bool(a, l, "first", s->i == 0);
	v_set_bool(a, l, "last", s->i + 1 == n);
	v_set_int(a, l, "length", n);
	v_set_int(a, l, "revindex", (int64_t)n - s->i);
	v_set_int(a, l, "revindex0", (int64_t)n - s->i - 1);
	if (s->i > 0)
		v_sets(a, l, "previtem", v_at(s->items, s->i - 1));
	if (s->i + 1 < n)
		v_sets(a, l, "nextitem", v_at(s->items, s->i + 1));
	v_sets(a, s->loopvars, "ansible_loop", l);
}

void
step_item_vars(struct step *s)
{
	const struct task *t = s->task;

	s->loopvars = v_map(s->arena);
	v_sets(s->arena, s->loopvars, t->loop_var, v_at(s->items, s->i));
	v_set_str(s->arena, s->loopvars, "ansible_loop_var", t->loop_var);
	if (t->index_var != NULL) {
		v_set_int(s->arena, s->loopvars, t->index_var, s->i);
		v_set_str(s->arena, s->loopvars, "ansible_index_var",
		    t->index_var);
	}
	if (t->loop_extended)
		extended_loop(s);
	s->scope = vars_scope(s->arena, s->host, s->walk, s->node, s->loopvars);
}

void
step_skip(struct step *s, const char *reason, const struct value *condition)
{
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_bool(s->arena, s->result, "skipped", true);
	v_set_str(s->arena, s->result, "skip_reason", reason);
	if (condition != NULL)
		v_sets(s->arena, s->result, "false_condition",
		    condition->type == V_TMPL ?
		    v_strn(s->arena, condition->u.s, condition->len) : condition);
}

/* ---- start ------------------------------------------------------------------------------ */

const char *
node_shown(struct arena *a, const struct scope *scope, const struct node *n)
{
	struct err err = ERR_INIT;
	const struct value *v;
	const char *name;

	if (n->name == NULL || n->name->type == V_NULL)
		name = n->kind == NODE_TASK ? n->task->module_name : "block";
	else if ((v = tmpl_eval(a, scope, n->name, &err)) == NULL) {
		name = arena_strndup(a, n->name->u.s, n->name->len);
		err_release(&err);
	} else
		name = v_any_flag(v, V_SECRET) ? "(secret)" :
		    tmpl_to_str(a, v)->u.s;
	if (n->role != NULL)
		name = arena_printf(a, "%s : %s", n->role->name, name);
	return name;
}

void
step_init(struct step *s, struct walk *w, struct arena *a)
{
	*s = (struct step){ .walk = w, .host = w->host, .target = w->host,
	    .arena = a, .node = w->node, .task = w->node->task,
	    .module = w->node->task->module };
	s->scope = vars_scope(a, s->host, w, s->node, NULL);
}

void
step_start(struct walk *w)
{
	struct step *s;
	struct err err = ERR_INIT;

	arena_clear(&w->arena);
	s = w->step = ARENA_NEW(&w->arena, struct step);
	step_init(s, w, &w->arena);
	s->start_ms = now_ms();
	s->name = node_shown(s->arena, s->scope, s->node);
	w->host->seq++;
	emit_step(s, EV_TASK_START, NULL);
	if (s->task->loop_kind == LOOP_NONE) {
		item_start(s);
		return;
	}
	s->results = v_list(s->arena);
	if ((s->items = step_items(s, &err)) == NULL) {
		struct err cond_err = ERR_INIT;
		const struct value *which = NULL;

		/* A condition that does not need the item may say that all this does not matter. */
		if (!conds_hold(s->arena, s->scope, &s->node->kw.when, &which,
		    &cond_err) && cond_err.code == ERR_NONE) {
			err_release(&err);
			step_skip(s, "Conditional result was False", which);
		} else
			(void)step_fail_err(s, &err);
		err_release(&cond_err);
		finish(s);
		return;
	}
	if (v_count(s->items) == 0) {
		step_skip(s, "No items in the list", NULL);
		v_sets(s->arena, s->result, "results", s->results);
		finish(s);
		return;
	}
	item_start(s);
}

static void
item_start(struct step *s)
{
	struct err err = ERR_INIT;
	const struct value *which = NULL;
	int64_t n;

	s->item_start_ms = now_ms();
	s->desired[0] = '\0';
	s->barred = s->withheld = false;
	s->result = NULL;
	s->attempt = 1;
	s->attempts = 1;
	s->label = NULL;
	if (s->items != NULL) {
		step_item_vars(s);
		s->label = v_at(s->items, s->i);
	}
	if (!conds_hold(s->arena, s->scope, &s->node->kw.when, &which, &err)) {
		if (err.code != ERR_NONE)
			(void)step_fail_err(s, &err);
		else
			step_skip(s, "Conditional result was False", which);
		step_result(s);
		return;
	}
	if (s->items != NULL && s->task->loop_label != NULL) {
		s->label = tmpl_eval(s->arena, s->scope, s->task->loop_label,
		    &err);
		if (s->label == NULL) {
			(void)step_fail_err(s, &err);
			step_result(s);
			return;
		}
	}
	if (s->task->unsupported != NULL) {
		(void)step_fail(s, "%s", s->task->unsupported);
		step_result(s);
		return;
	}
	if (kw_int(s, s->task->retries, "retries", s->task->has_until ? 3 : 0,
	    &n, &err) == -1) {
		(void)step_fail_err(s, &err);
		step_result(s);
		return;
	}
	if (n > 0)
		s->attempts = (int)(n < ATTEMPTS_MAX ? n : ATTEMPTS_MAX) + 1;
	attempt_start(s);
}

/* ---- after an attempt ----------------------------------------------------------------------- */

/* The scope in which changed_when and friends see the result under its registered name. */
static struct scope *
result_scope(struct step *s)
{
	struct value *extra;

	if (s->task->register_as == NULL)
		return s->scope;
	extra = v_map(s->arena);
	if (s->loopvars != NULL)
		v_merge(s->arena, extra, s->loopvars);
	v_sets(s->arena, extra, s->task->register_as, s->result);
	return vars_scope(s->arena, s->host, s->walk, s->node, extra);
}

static void
rule_failed(struct step *s, const char *what, struct err *err)
{
	struct value *old = s->result;
	const struct ventry *e;
	uint32_t it = 0;

	(void)err_wrap(err, "%s", what);
	(void)step_fail_err(s, err);
	while ((e = v_next(old, &it)) != NULL)
		if (v_get(s->result, e->key) == NULL)
			v_set(s->arena, s->result, e->key, e->val);
}

static void
apply_rules(struct step *s)
{
	const struct task *t = s->task;
	struct err err = ERR_INIT;
	const struct value *rc = v_gets(s->result, "rc");
	struct scope *scope;
	bool holds;

	if (v_gets(s->result, "failed") == NULL && rc != NULL &&
	    rc->type == V_INT && rc->u.i != 0)
		v_set_bool(s->arena, s->result, "failed", true);
	v_set_bool(s->arena, s->result, "changed", flag(s->result, "changed"));
	v_set_bool(s->arena, s->result, "failed", flag(s->result, "failed"));
	if (s->attempts > 1)
		v_set_int(s->arena, s->result, "attempts", s->attempt);
	if (!t->has_changed_when && !t->has_failed_when)
		return;
	scope = result_scope(s);
	if (t->has_changed_when) {
		holds = conds_hold(s->arena, scope, &t->changed_when, NULL, &err);
		if (err.code != ERR_NONE) {
			rule_failed(s, "changed_when", &err);
			return;
		}
		v_set_bool(s->arena, s->result, "changed", holds);
	}
	if (t->has_failed_when) {
		holds = conds_hold(s->arena, scope, &t->failed_when, NULL, &err);
		if (err.code != ERR_NONE) {
			rule_failed(s, "failed_when", &err);
			return;
		}
		v_set_bool(s->arena, s->result, "failed", holds);
		v_set_bool(s->arena, s->result, "failed_when_result", holds);
	}
}

static void
timer_retry(evutil_socket_t fd, short what, void *arg)
{
	struct step *s = arg;

	(void)fd;
	(void)what;
	s->result = NULL;
	attempt_start(s);
}

/* True when another attempt has been arranged. */
static bool
retry(struct step *s)
{
	struct err err = ERR_INIT;
	struct event e = { 0 };
	int64_t delay;
	bool good;

	if (s->attempts <= 1)
		return false;
	if (s->task->has_until) {
		struct scope *scope = result_scope(s);

		good = conds_hold(s->arena, scope, &s->task->until, NULL, &err);
		if (err.code != ERR_NONE) {
			rule_failed(s, "until", &err);
			return false;
		}
	} else
		good = !flag(s->result, "failed");
	if (good)
		return false;
	if (s->attempt >= s->attempts || s->host->run->interrupted) {
		v_set_bool(s->arena, s->result, "failed", true);
		if (v_gets(s->result, "msg") == NULL)
			v_sets(s->arena, s->result, "msg", v_strf(s->arena,
			    "the condition of 'until' did not hold in %d attempts",
			    s->attempt));
		return false;
	}
	if (kw_int(s, s->task->delay, "delay", 5, &delay, &err) == -1) {
		rule_failed(s, "delay", &err);
		return false;
	}
	e.attempt = s->attempt;
	e.attempts = s->attempts;
	e.result = s->result;
	emit_step(s, EV_RETRY, &e);
	s->attempt++;
	step_wait(s, delay < 0 ? 0 : delay * 1000, timer_retry);
	return true;
}

static void
timer_next_item(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	item_start(arg);
}

/* Facts of a result are the host's (or the delegate's when delegate_facts is set). */
static void
take_facts(struct step *s)
{
	const struct value *facts = v_gets(s->result, "ansible_facts");
	struct hostrun *owner = s->host;
	struct err err = ERR_INIT;

	if (facts == NULL || facts->type != V_MAP)
		return;
	if (s->target != s->host && kw_bool(s, s->node->kw.delegate_facts,
	    "delegate_facts", 0, &err) == 1)
		owner = s->target;
	err_release(&err);
	if (strcmp(s->module->name, "set_fact") != 0 &&
	    strcmp(s->module->name, "include_vars") != 0)
		vars_set_facts(owner, facts, false);
}

/* A task with `poll: 0` has ended like any other; async_status finds its result here. */
static void
keep_job(struct step *s)
{
	struct hostrun *h = s->host;
	const char *id;

	if (s->task->async == NULL || s->task->poll == NULL)
		return;
	id = arena_printf(&h->arena, "j%u.%u", h->seq, v_count(h->jobs) + 1);
	v_sets(&h->arena, h->jobs, id, v_copy(&h->arena, s->result));
	v_set_str(s->arena, s->result, "ansible_job_id", id);
	v_set_int(s->arena, s->result, "started", 1);
	v_set_int(s->arena, s->result, "finished", 1);
}

static bool
break_loop(struct step *s)
{
	struct err err = ERR_INIT;
	bool stop;

	if (s->task->loop_break_when.n == 0)
		return false;
	stop = conds_hold(s->arena, result_scope(s), &s->task->loop_break_when,
	    NULL, &err);
	if (err.code != ERR_NONE) {
		rule_failed(s, "break_when", &err);
		return true;
	}
	return stop;
}

const struct value *
step_label(struct step *s)
{
	return s->items == NULL ? NULL : s->no_log ?
	    v_str(s->arena, "(hidden by no_log)") : s->label;
}

/* Keeps an item's result and goes on to the next. */
static void
item_end(struct step *s)
{
	struct event e = { 0 };
	int64_t pause = 0;
	struct err err = ERR_INIT;
	bool stop = break_loop(s);

	v_sets(s->arena, s->result, s->task->loop_var, v_at(s->items, s->i));
	v_set_str(s->arena, s->result, "ansible_loop_var", s->task->loop_var);
	if (s->task->index_var != NULL) {
		v_set_int(s->arena, s->result, s->task->index_var, s->i);
		v_set_str(s->arena, s->result, "ansible_index_var",
		    s->task->index_var);
	}
	v_push(s->arena, s->results, s->result);
	e.item = step_label(s);
	e.result = s->result;
	e.outcome = flag(s->result, "skipped") ? OUT_SKIPPED :
	    flag(s->result, "failed") ? OUT_FAILED :
	    flag(s->result, "changed") ? OUT_CHANGED : OUT_OK;
	e.start_ms = s->item_start_ms;
	e.duration_ms = now_ms() - s->item_start_ms;
	emit_step(s, EV_ITEM, &e);
	s->i++;
	if (stop || s->i >= v_count(s->items) || s->host->run->interrupted) {
		finish(s);
		return;
	}
	if (s->task->loop_pause != NULL) {
		const char *text = kw_text(s, s->task->loop_pause, &err);

		err_release(&err);
		if (text != NULL)
			pause = (int64_t)(strtod(text, NULL) * 1000);
	}
	/* Through the loop also without a pause: long loops must not starve other hosts. */
	step_wait(s, pause, timer_next_item);
}

void
step_result(struct step *s)
{
	const struct action *action = s->module == NULL ? NULL :
	    action_find(s->module->name);

	assert(s->result != NULL);
	ahead_note(s);
	if (flag(s->result, "unreachable")) {
		s->target->touched = true;
		fetch_abandon(s);
		finish(s);
		return;
	}
	if (!flag(s->result, "skipped")) {
		if (action != NULL && action->finish != NULL &&
		    !flag(s->result, "failed"))
			action->finish(s);
		fetch_abandon(s);
		keep_job(s);
		take_facts(s);
		apply_rules(s);
		if (!s->check && (flag(s->result, "changed") || flag(s->result, "failed")))
			s->target->touched = true;
		if (retry(s))
			return;
	}
	if (s->items != NULL)
		item_end(s);
	else
		finish(s);
}

/* ---- the end of a task ------------------------------------------------------------------------- */

/* One result out of those of a loop's items. */
static void
combine(struct step *s)
{
	bool changed = false, failed = false, skipped = true;
	struct value *r;
	uint32_t i;

	if (s->results == NULL || v_count(s->results) == 0)
		return;
	for (i = 0; i < v_count(s->results); i++) {
		const struct value *item = v_at(s->results, i);

		changed = changed || flag(item, "changed");
		failed = failed || flag(item, "failed");
		skipped = skipped && flag(item, "skipped");
	}
	r = v_map(s->arena);
	v_sets(s->arena, r, "results", s->results);
	v_set_bool(s->arena, r, "changed", changed);
	if (skipped) {
		v_set_bool(s->arena, r, "skipped", true);
		v_set_str(s->arena, r, "msg", "All items skipped");
	} else {
		v_set_bool(s->arena, r, "failed", failed);
		v_set_str(s->arena, r, "msg", failed ?
		    "One or more items failed" : "All items completed");
	}
	s->result = r;
}

static enum outcome
failure_outcome(struct step *s)
{
	struct err err = ERR_INIT;
	int ignore = kw_bool(s, s->node->kw.ignore_errors, "ignore_errors", 0,
	    &err);

	err_release(&err);
	if (ignore == 1)
		return OUT_IGNORED;
	return walk_rescuable(s->walk) ? OUT_RESCUED : OUT_FAILED;
}

/* Asked by a run that was killed before the answer came: if it was changed then, its handlers still wait for word of it. */
static bool
in_doubt(const struct step *s)
{
	const struct run_opts *o = s->host->run->opts;

	return o->doubt != NULL && !flag(s->result, "skipped") &&
	    o->doubt(o->doubt_arg, s->host->name, &s->node->mark, s->name);
}

static void
finish(struct step *s)
{
	struct err err = ERR_INIT;
	enum outcome outcome;
	bool unreachable = flag(s->result, "unreachable");
	const struct value *result;

	if (!unreachable)
		combine(s);
	if (!unreachable && s->task->notify != NULL &&
	    (flag(s->result, "changed") || in_doubt(s)) &&
	    !flag(s->result, "failed") &&
	    handlers_notify(s->walk, s, s->task->notify, &err) == -1) {
		struct value *old = s->result;

		(void)step_fail_err(s, &err);
		v_sets(s->arena, s->result, "result", old);
	}
	result = s->no_log ? secrets_mark(s->host->run, s->arena, s->result, true) :
	    s->result;
	if (s->task->register_as != NULL)
		vars_set(s->host, s->task->register_as, result);
	if (unreachable) {
		outcome = kw_bool(s, s->node->kw.ignore_unreachable,
		    "ignore_unreachable", 0, &err) == 1 ? OUT_IGNORED :
		    OUT_UNREACHABLE;
		err_release(&err);
	} else if (flag(s->result, "failed"))
		outcome = failure_outcome(s);
	else if (flag(s->result, "skipped"))
		outcome = OUT_SKIPPED;
	else
		outcome = flag(s->result, "changed") ? OUT_CHANGED : OUT_OK;
	batch_step_done(s->walk, outcome, result);
}

/* ---- timers and the end -------------------------------------------------------------------------- */

void
step_wait(struct step *s, int64_t ms, void (*cb)(evutil_socket_t, short, void *))
{
	struct timeval tv = { (time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000 * 1000) };

	if (s->timer != NULL)
		event_free(s->timer);
	if ((s->timer = evtimer_new(s->host->run->base, cb, s)) == NULL ||
	    event_add(s->timer, &tv) == -1)
		abort();	/* out of memory */
}

void
step_free(struct step *s)
{
	if (s == NULL)
		return;
	if (s->timer != NULL)
		event_free(s->timer);
	s->timer = NULL;
	s->walk->step = NULL;
}

void
step_abort(struct step *s)
{
	if (s->in_flight)
		request_cancel(s->guess != NULL ? ahead_request(s) : &s->req);
	confirm_abort(s);
}
