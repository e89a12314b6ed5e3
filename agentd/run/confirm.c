/*
 * Before-images, and changes that a new connection must confirm.
 *
 * provctl_keep_bytes, provctl_keep_days: bounds of what a host keeps
 * (module/keep.h).
 *
 * provctl_confirm_connection: SECONDS, a variable of a play, block, role or
 * task: what its tasks change on a host is confirmed after each task by a
 * second connection: the same way, the same user, authenticated anew.  If
 * none can be made in time, the host puts back what all guarded tasks of this
 * play have changed there (module/guard.h), and the task has failed.  Handlers
 * are guarded once the play has guarded something, since a file may take
 * effect only with them.  provctl_confirm_restore: commands that the host
 * runs when it has put everything back.  A reboot of the host meanwhile does not
 * confirm: it puts everything back as it boots.
 *
 *	result ── confirm over a new connection ─┬─ done: on with the result
 *	              ▲ once a second            │
 *	              └── no connection ◄────────┤
 *	                                         └─ too late: ask what was put
 *	connection lost in the task ────────────────back, until it answers again
 *
 * A task that changes nothing costs nothing: its host arms nothing; of commands
 * nobody knows, unless they have `changed_when: false`.
 */
#include <string.h>

#include "base/codec.h"
#include "module/guard.h"
#include "module/keep.h"
#include "run/engine.h"

#define AGAIN_MS	1000
#define RETURN_MS	60000	/* for a host to put things back and answer */
#define SECONDS_MIN	5
#define SECONDS_MAX	3600

struct confirm {
	struct step		*s;
	struct conn_pool	*pool;		/* our own: no jump host's session is shared */
	struct conn		*conn;
	bool			 report;	/* too late: we only want to know */
	bool			 lost;		/* the connection broke in the task */
	bool			 over;
	int64_t			 end_ms;	/* of the time to confirm, or to wait for the report */
	struct buf		 why;		/* the last connection that failed */
};

/* ---- asking ------------------------------------------------------------------- */

static int
number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret,
    struct err *err)
{
	int64_t factor = 1;
	char *end;

	*ret = strtoll(text, &end, 10);
	if (end != text && max > SECONDS_MAX && *end != '\0' && end[1] == '\0')
		factor = *end == 'K' ? 1 << 10 : *end == 'M' ? 1 << 20 :
		    *end == 'G' ? 1 << 30 : 0;
	if (end == text || (*end != '\0' && factor <= 1) || *ret < min ||
	    *ret > max / factor)
		return err_set(err, ERR_VALUE,
		    "%s: '%s' is no number between %lld and %lld", name, text,
		    (long long)min, (long long)max);
	*ret *= factor;
	return 0;
}

/* A list of argv lists; a string is one for sh. */
static const struct value *
restore_commands(struct step *s, struct err *err)
{
	const struct value *v = tmpl_eval_name(s->arena, s->scope,
	    "provctl_confirm_restore", err), *c;
	struct value *list = v_list(s->arena), *argv;
	uint32_t i;

	if (v == NULL || v->type == V_UNDEF || v->type == V_NULL) {
		err_release(err);
		return NULL;
	}
	for (i = 0; i < (v_is_list(v) ? v_count(v) : 1); i++) {
		c = v_is_list(v) ? v_at(v, i) : v;
		argv = v_list(s->arena);
		if (v_is_str(c)) {
			v_push(s->arena, argv, v_str(s->arena, "/bin/sh"));
			v_push(s->arena, argv, v_str(s->arena, "-c"));
			v_push(s->arena, argv, c);
		} else if (v_is_list(c)) {
			uint32_t j;

			for (j = 0; j < v_count(c); j++)
				v_push(s->arena, argv, tmpl_to_str(s->arena, v_at(c, j)));
		} else {
			(void)err_set_at(err, ERR_TYPE, v_mark(c),
			    "provctl_confirm_restore: a command is a string or a list of words, not %s",
			    v_type_name(c));
			return NULL;
		}
		v_push(s->arena, list, argv);
	}
	return list;
}

/* Opens the host's guard for this play, or uses the open one. 0, or -1 with err. */
static int
guard_of(struct step *s, const char *text, struct err *err)
{
	struct hostrun *h = s->target;
	const struct run *run = h->run;
	const struct value *commands;
	int64_t seconds;

	if (text == NULL)
		return 0;	/* a handler: as the tasks before it */
	if (number("provctl_confirm_connection", text, SECONDS_MIN, SECONDS_MAX,
	    &seconds, err) == -1)
		return -1;
	commands = restore_commands(s, err);
	if (err->code != ERR_NONE)
		return -1;
	if (h->guarded != s->walk->batch)
		h->guard = arena_printf(&h->arena, "%llx-%lx-%u",
		    (unsigned long long)run->start_ms, (unsigned long)getpid(),
		    run->ibatch + run->iplay * 1000);
	h->guarded = s->walk->batch;
	h->guard_seconds = (int)seconds;
	if (commands != NULL)
		h->guard_commands = v_copy(&h->arena, commands);
	return 0;
}

/* A command that only looks: its task says so. */
static bool
only_looks(const struct task *t)
{
	const struct value *v = t->has_changed_when && t->changed_when.n == 1 ?
	    t->changed_when.v[0] : NULL;

	return v != NULL && v->type == V_BOOL && !v->u.b;
}

int
confirm_ask(struct step *s, struct value *p, struct err *err)
{
	static const struct {
		const char	*variable, *key;
		int64_t		 max;
	} bounds[] = {
		{ "provctl_keep_bytes", "keep_bytes", (int64_t)1 << 50 },
		{ "provctl_keep_days", "keep_days", 3650 },
	};
	struct value *guard;
	const char *text;
	int64_t n;
	size_t i;

	s->guard = NULL;
	if (s->check || s->barred)
		return 0;
	for (i = 0; i < NITEMS(bounds); i++) {
		text = vars_text(s->arena, s->scope, bounds[i].variable);
		if (text == NULL)
			continue;
		if (number(bounds[i].variable, text, 0, bounds[i].max, &n, err) == -1)
			return -1;
		v_set_int(s->arena, p, bounds[i].key, n);
	}
	text = vars_text(s->arena, s->scope, "provctl_confirm_connection");
	if ((text == NULL && !(s->task->is_handler &&
	    s->target->guarded == s->walk->batch)) || only_looks(s->task))
		return 0;
	if (guard_of(s, text, err) == -1)
		return -1;
	s->guard = s->target->guard;
	s->guard_token = arena_printf(s->arena, "t%u-%u-%d", s->host->seq, s->i,
	    s->attempt);
	if (s->target != s->host)
		s->guard_token = arena_printf(s->arena, "%s-d%u", s->guard_token,
		    s->host->host->index);
	guard = v_map(s->arena);
	v_set_str(s->arena, guard, "id", s->guard);
	v_set_str(s->arena, guard, "token", s->guard_token);
	v_set_int(s->arena, guard, "seconds", s->target->guard_seconds);
	if (s->target->guard_commands != NULL)
		v_sets(s->arena, guard, "commands", s->target->guard_commands);
	v_sets(s->arena, p, "guard", guard);
	return 0;
}

/* ---- the second connection ------------------------------------------------------ */

static void	attempt(struct confirm *);

static void
ended(evutil_socket_t fd, short what, void *arg)
{
	struct step *s = arg;
	struct confirm *c = s->confirm;

	(void)fd;
	(void)what;
	conn_pool_free(c->pool);
	buf_release(&c->why);
	free(c);
	s->confirm = NULL;
	step_result(s);
}

/* On with the task; from the loop's ground, since we may stand in a connection's callback. */
static void
finish(struct confirm *c)
{
	c->over = true;
	if (c->conn == NULL)
		step_wait(c->s, 0, ended);
}

static void
try_again(evutil_socket_t fd, short what, void *arg)
{
	struct step *s = arg;

	(void)fd;
	(void)what;
	attempt(s->confirm);
}

static const char *
words_of(struct arena *a, const struct value *list)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "",
		    v_is_str(v_at(list, i)) ? v_at(list, i)->u.s : "?");
	return b.len == 0 ? "nothing" : buf_dup(&b, a);
}

static const char *
why_not(const struct confirm *c)
{
	struct step *s = c->s;

	return c->lost ? arena_printf(s->arena,
	    "the connection to '%s' broke during this task", s->target->name) :
	    arena_printf(s->arena,
	    "no new connection to '%s' could be made within %d s after this task (%s)",
	    s->target->name, s->target->guard_seconds,
	    c->why.len > 0 ? c->why.data : "it did not answer");
}

/* The task has failed; what it said itself stays beside it. */
static void
fail_task(struct confirm *c, const char *what)
{
	struct step *s = c->s;
	struct value *old = s->result;

	(void)step_fail(s, "%s: %s", why_not(c), what);
	(void)v_dels(old, "unreachable");
	v_sets(s->arena, s->result, "result", old);
	v_set_bool(s->arena, s->result, "changed", true);
	finish(c);
}

static void
reported(struct confirm *c, const struct value *r)
{
	struct step *s = c->s;
	const struct value *back = v_gets(r, "put_back"), *trouble = v_gets(r, "trouble");
	const char *text;

	if (v_get_bool(r, "waits", false))
		return;		/* asked again when this connection is closed */
	if (back == NULL || trouble == NULL || !v_is_list(back) || !v_is_list(trouble)) {
		/* Nothing was armed: the task never came to a change. */
		if (c->lost)
			finish(c);
		else
			fail_task(c, "the host does not tell whether it has put anything back");
		return;
	}
	text = words_of(s->arena, back);
	if (v_count(trouble) > 0)
		text = arena_printf(s->arena, "the host has put back %s; but not: %s",
		    text, words_of(s->arena, trouble));
	else
		text = arena_printf(s->arena,
		    "the host has put back %s, and answers again", text);
	fail_task(c, text);
	v_sets(s->arena, s->result, "put_back", v_copy(s->arena, back));
	v_sets(s->arena, s->result, "trouble", v_copy(s->arena, trouble));
}

static void
on_ready(void *arg, const struct value *hello)
{
	struct confirm *c = arg;
	struct step *s = c->s;
	struct value *p = v_map(s->arena), *args = v_map(s->arena);
	const char *user = v_get_str(s->req.payload, "user", NULL);
	struct buf out = BUF_INIT;
	size_t at;

	(void)hello;
	v_set_str(s->arena, args, "id", s->guard);
	v_set_str(s->arena, args, "token", s->guard_token);
	v_set_str(s->arena, args, "do", c->report ? "report" : "confirm");
	v_set_str(s->arena, p, "module", "provctl_guard");
	v_sets(s->arena, p, "args", args);
	if (user != NULL)
		v_set_str(s->arena, p, "user", user);
	at = frame_begin(&out, FRAME_REQUEST, 0, 1);
	codec_encode(&out, p);
	frame_end(&out, at);
	conn_send(c->conn, out.data, out.len);
	buf_release(&out);
}

static void
on_frame(void *arg, const struct frame *f)
{
	struct confirm *c = arg;
	struct err err = ERR_INIT;
	const struct value *r;

	if (f->type != FRAME_RESULT || f->id != 1 || c->over)
		return;
	r = codec_decode(c->s->arena, f->payload, f->len, &err);
	err_release(&err);
	if (r == NULL || r->type != V_MAP || v_get_bool(r, "failed", false)) {
		buf_clear(&c->why);
		buf_adds(&c->why, v_get_str(r, "msg", "a malformed answer"));
		(void)buf_str(&c->why);
		if (!c->report)
			c->end_ms = 0;	/* too late, or the host cannot: it decides */
	} else if (c->report)
		reported(c, r);
	else
		finish(c);
	conn_close(c->conn, false);
}

static void
on_closed(void *arg, struct err *err)
{
	struct confirm *c = arg;
	struct run *run = c->s->host->run;

	c->conn = NULL;
	run->nlinks--;
	if (err->code != ERR_NONE) {
		buf_clear(&c->why);
		buf_adds(&c->why, err->msg);
		(void)buf_str(&c->why);
	}
	if (run->finishing)
		run_turn(run);
	if (c->over)
		finish(c);
	else
		step_wait(c->s, AGAIN_MS, try_again);
}

static const struct conn_ops ops = { on_ready, on_frame, on_closed };

/* The time to confirm is over: now the host acts. */
static void
too_late(struct confirm *c)
{
	struct event e = { .text = "not confirmed: waiting until the host has put everything back" };

	c->report = true;
	c->end_ms = now_ms() + RETURN_MS;
	emit_step(c->s, EV_PROGRESS, &e);
}

static void
attempt(struct confirm *c)
{
	struct step *s = c->s;
	struct conn_spec spec;
	struct err err = ERR_INIT;
	int64_t left = c->end_ms - now_ms();

	if (left <= 0 && !c->report) {
		too_late(c);
		left = RETURN_MS;
	}
	if (left <= 0 && c->lost) {
		/* Unreachable, as it was: perhaps for reasons of its own. */
		v_set_str(s->arena, s->result, "hint",
		    "what the task has changed is put back by the host itself (provctl_confirm_connection)");
		finish(c);
		return;
	}
	if (left <= 0) {
		fail_task(c, arena_printf(s->arena, "the host was to put everything back by itself, but cannot be asked (%s)",
		    c->why.len > 0 ? c->why.data : "it does not answer"));
		return;
	}
	if (link_spec(s->target, s->root, s->node, &spec, &err) == -1) {
		buf_clear(&c->why);
		buf_adds(&c->why, err.msg);
		err_release(&err);
		step_wait(s, AGAIN_MS, try_again);
		return;
	}
	/* A name is pinned already; and no step may take longer than what is left. */
	spec.accept_new_host_keys = false;
	if (spec.connect_timeout_ms == 0 || spec.connect_timeout_ms > left)
		spec.connect_timeout_ms = left < 10000 ? (int)left : 10000;
	s->host->run->nlinks++;
	c->conn = conn_open(c->pool, &spec, &ops, c);
}

/* ---- after a task ------------------------------------------------------------------ */

static void
tell_before(struct step *s, const struct value *list)
{
	struct event e = { .type = EV_BEFORE };
	const char *user = v_get_str(s->req.payload, "user", NULL);

	e.host = s->target->name;
	e.play = s->walk->batch->play_name;
	e.task = s->name;
	e.mark = s->node->mark;
	e.before = list;
	e.user = user != NULL ? user : s->become ? s->become_user : NULL;
	if (e.user != NULL && strcmp(e.user, link_login(s->target, s->node)) == 0)
		e.user = NULL;
	e.quiet = s->no_log || s->secret_content || !s->want_diff ||
	    v_any_flag(s->args, V_SECRET);
	emit(s->host->run, &e);
}

bool
confirm_begin(struct step *s)
{
	const struct value *list = v_gets(s->result, KEEP_RESULT);
	bool armed = v_get_bool(s->result, GUARD_RESULT, false);
	bool lost = v_get_bool(s->result, "unreachable", false) && s->req.sent;
	struct confirm *c;
	struct err err = ERR_INIT;

	(void)v_dels(s->result, GUARD_RESULT);
	if (list != NULL) {
		(void)v_dels(s->result, KEEP_RESULT);
		if (v_is_list(list))
			tell_before(s, list);
	}
	if (s->guard == NULL || (!armed && !lost) || s->host->run->finishing)
		return false;
	c = s->confirm = xcalloc(1, sizeof(*c));
	c->s = s;
	c->lost = lost;
	c->report = lost;
	buf_init(&c->why, 1024);
	if ((c->pool = conn_pool_new(s->host->run->base, 1, &err)) == NULL)
		abort();	/* out of memory or descriptors for two pipes */
	c->end_ms = now_ms() + (int64_t)s->target->guard_seconds * 1000 +
	    (lost ? RETURN_MS : 0);
	attempt(c);
	return true;
}

void
confirm_abort(struct step *s)
{
	struct confirm *c = s->confirm;

	if (c == NULL || c->over)
		return;
	fail_task(c, "interrupted: nobody waits for the host, which puts back what was changed");
	if (c->conn != NULL)
		conn_close(c->conn, true);
}
