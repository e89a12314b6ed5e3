/*
 * provctl follow, provctl cancel: runs of agentd, seen from outside.
 *
 * Events come as JSON and become what the engine's were, so that a run that is
 * followed looks as if it were ours.
 */
#include <string.h>

#include "out.h"
#include "remote.h"

/* ---- events back from JSON ------------------------------------------------------------- */

static const struct {
	const char	*name;
	enum event_type	 type;
} event_types[] = {
	{ "run_start", EV_RUN_START }, { "play_start", EV_PLAY_START },
	{ "play_no_hosts", EV_PLAY_NO_HOSTS }, { "host_state", EV_HOST_STATE },
	{ "task_start", EV_TASK_START }, { "progress", EV_PROGRESS }, { "item", EV_ITEM },
	{ "retry", EV_RETRY }, { "task_end", EV_TASK_END },
	{ "host_unreachable", EV_HOST_UNREACHABLE }, { "warning", EV_WARNING },
	{ "stats", EV_STATS }, { "run_end", EV_RUN_END }, { "notified", EV_NOTIFIED },
};

static enum outcome
outcome_of(const char *name)
{
	enum outcome o;

	for (o = OUT_OK; o < OUT_UNREACHABLE && strcmp(outcome_name(o), name) != 0; o++)
		;
	return o;
}

static uint32_t
counter(const struct value *v, const char *name)
{
	return (uint32_t)v_get_int(v, name, 0);
}

/* Strings stay where v has them. False: nothing that we know. */
static bool
event_of(struct arena *a, const struct value *v, struct event *e)
{
	const char *name = v_get_str(v, "event", ""), *file = v_get_str(v, "file", NULL);
	struct source *src;
	size_t i;

	for (i = 0; i < NITEMS(event_types) && strcmp(event_types[i].name, name) != 0; i++)
		;
	if (i == NITEMS(event_types))
		return false;
	*e = (struct event){
		.type = event_types[i].type, .host = v_get_str(v, "host", NULL),
		.delegated = v_get_str(v, "delegated", NULL), .play = v_get_str(v, "play", NULL),
		.task = v_get_str(v, "task", NULL), .module = v_get_str(v, "module", NULL),
		.role = v_get_str(v, "role", NULL), .text = v_get_str(v, "text", NULL),
		.hint = v_get_str(v, "hint", NULL), .handler = v_get_bool(v, "handler", false),
		.check = v_get_bool(v, "check", false), .hosts = v_gets(v, "hosts"),
		.result = v_gets(v, "result"), .item = v_gets(v, "item"),
		.attempt = (int)v_get_int(v, "attempt", 0),
		.attempts = (int)v_get_int(v, "attempts", 0),
		.start_ms = v_get_int(v, "time_ms", 0), .duration_ms = v_get_int(v, "duration_ms", 0),
		.status = (int)v_get_int(v, "status", 0),
		.outcome = outcome_of(v_get_str(v, "outcome", "ok")),
		.stats = { .ok = counter(v, "ok"), .changed = counter(v, "changed"),
		    .failed = counter(v, "failed"), .skipped = counter(v, "skipped"),
		    .unreachable = counter(v, "unreachable"), .rescued = counter(v, "rescued"),
		    .ignored = counter(v, "ignored") },
	};
	if (e->type == EV_RUN_START)
		e->text = v_get_str(v, "site", "?");
	if (file != NULL) {
		src = ARENA_NEW(a, struct source);
		src->path = file;
		e->mark = (struct mark){ src, (uint32_t)v_get_int(v, "line", 0),
		    (uint32_t)v_get_int(v, "column", 0), 1 };
	}
	return true;
}

/* A problem of the site, as the run had it. */
static void
add_diagnostic(struct ctl *ctl, const struct value *v)
{
	const char *level = v_get_str(v, "level", "error"), *file = v_get_str(v, "file", NULL);
	const char *hint = v_get_str(v, "hint", NULL), *text = v_get_str(v, "message", "");
	struct mark at = { 0 };
	struct source *src;
	struct err *e;

	if (file != NULL) {
		src = ARENA_NEW(&ctl->arena, struct source);
		src->path = arena_strdup(&ctl->arena, file);
		at = (struct mark){ src, (uint32_t)v_get_int(v, "line", 0),
		    (uint32_t)v_get_int(v, "column", 0), 1 };
	}
	e = strcmp(level, "error") == 0 ? diags_error(&ctl->diags, ERR_INVALID, at, "%s", text) :
	    strcmp(level, "warning") == 0 ? diags_warn(&ctl->diags, at, "%s", text) :
	    diags_note(&ctl->diags, at, "%s", text);
	if (hint != NULL)
		err_hint(e, "%s", hint);
}

/* ---- follow --------------------------------------------------------------------------------- */

struct following {
	struct ctl	*ctl;
	struct sink	 sink;
	bool		 open;		/* run_start was called */
	int64_t		 run;
	struct arena	 arena;		/* what outputs keep of an event must live until the run's end */
};

static int64_t
run_of(void *arg)
{
	return ((struct following *)arg)->run;
}

static void
end_run(struct following *f)
{
	if (f->open)
		f->ctl->out->ops->run_end(f->ctl->out);
	f->open = false;
	arena_release(&f->arena);
}

static void
show_event(struct following *f, const struct value *line)
{
	struct ctl *ctl = f->ctl;
	const struct value *v = v_copy(&f->arena, v_gets(line, "event"));
	struct out_run how = { .diff = ctl->set.diff, .verbose = ctl->set.verbose,
	    .run_id = run_of, .arg = f };
	struct event e;

	f->run = v_get_int(line, "run", 0);
	if (strcmp(v_get_str(v, "event", ""), "diagnostic") == 0) {
		add_diagnostic(ctl, v);
		return;
	}
	if (!event_of(&f->arena, v, &e))
		return;
	e.diff = ctl->set.diff;
	if (!f->open) {
		how.check = e.check;
		f->sink = ctl->out->ops->run_start(ctl->out, &how);
		f->open = true;
	}
	f->sink.event(f->sink.arg, &e);
	if (e.type == EV_RUN_END)
		end_run(f);
}

static int
show_until_end(struct ctl *ctl, struct remote *r, int64_t job)
{
	struct following f = { .ctl = ctl };
	bool interrupted = false, all = job == 0;
	int status = -1;
	const struct value *v;

	while (status == -1 && (v = remote_next(r, &interrupted)) != NULL) {
		const struct value *event = v_gets(v, "event");

		if (strcmp(v_get_str(v, "event", ""), "job_end") == 0 && !all)
			status = (int)v_get_int(v, "status", RUN_FAILED);
		if (ctl->set.json)
			ctl->out->ops->value(ctl->out, v);
		else if (event != NULL && v_is_map(event))
			show_event(&f, v);
		else if (strcmp(v_get_str(v, "event", ""), "dropped") == 0)
			out_note(ctl->out, "the first %lld events are not shown: `provctl show` has"
			    " them", (long long)v_get_int(v, "lines", 0));
		if (ctl->out->broken)
			break;
	}
	end_run(&f);
	if (status == -1 && !interrupted && !ctl->out->broken) {
		struct err *e = diags_error(&ctl->diags, ERR_IO, (struct mark){ 0 }, "agentd is gone");

		err_hint(e, "`provctl history` says what became of the run");
	}
	return status != -1 ? status : RUN_FAILED;
}

/* The number of a run: -1 with an error. 0: none given. */
static int64_t
run_number(struct ctl *ctl)
{
	const char *text = ctl->args.n > 0 ? ctl->args.v[0] : NULL;
	char *end;
	long long n;

	if (text == NULL)
		return 0;
	n = strtoll(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && n > 0)
		return n;
	(void)usage_error(ctl, "'%s' is no number of a run", text);
	return -1;
}

/* The job that is meant; 0: none is under way; -1 with an error. */
static int64_t
find_job(struct ctl *ctl, struct remote *r, int64_t run, struct err *err)
{
	const struct value *status = remote_call(r, "status", NULL, err), *jobs, *j;
	CLEANUP_BUF struct buf which = BUF_INIT;
	int64_t found = 0;
	uint32_t i, n = 0;

	if (status == NULL)
		return -1;
	jobs = v_gets(status, "jobs");
	for (i = 0; jobs != NULL && i < v_count(jobs); i++) {
		j = v_at(jobs, i);
		if (strcmp(v_get_str(j, "kind", ""), "tell") == 0 ||
		    (run != 0 && v_get_int(j, "run", 0) != run))
			continue;
		found = v_get_int(j, "job", 0);
		buf_addf(&which, "%s%lld (%s)", n++ > 0 ? ", " : "", (long long)v_get_int(j, "run", 0),
		    v_get_str(j, "what", "?"));
	}
	if (n > 1) {
		(void)err_set(err, ERR_USAGE, "%u runs are under way: %s", n, buf_str(&which));
		err_hint(err, "say which one: `provctl %s RUN`", ctl->cmd->name);
		return -1;
	}
	if (n == 0 && run != 0) {
		(void)err_set(err, ERR_INVALID, "agentd has no run %lld under way", (long long)run);
		err_hint(err, "`provctl status` says who works where, `provctl show` what was done");
		return -1;
	}
	return found;
}

static int
follow(struct ctl *ctl)
{
	struct value *params = v_map(&ctl->arena);
	int64_t run = run_number(ctl), job = 0;
	struct err err = ERR_INIT;
	int status = RUN_OK;
	struct remote r;

	if (run == -1)
		return RUN_USAGE;
	ctl->out->stream = true;
	if (remote_open(ctl, &r, &err) == -1 ||
	    (!(ctl->set.json && run == 0) && (job = find_job(ctl, &r, run, &err)) == -1)) {
		status = fail_with(ctl, &err);
	} else if (job == 0 && !ctl->set.json) {
		out_note(ctl->out, "agentd has no run under way");
	} else {
		if (job != 0)
			v_set_int(&ctl->arena, params, "job", job);
		status = remote_call(&r, "follow", params, &err) != NULL ?
		    show_until_end(ctl, &r, job) : fail_with(ctl, &err);
	}
	remote_close(&r);
	return status;
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static int
cancel(struct ctl *ctl)
{
	struct value *params = v_map(&ctl->arena);
	int64_t run = run_number(ctl), job;
	struct err err = ERR_INIT;
	int status = RUN_OK;
	struct remote r;

	if (run == -1)
		return RUN_USAGE;
	if (remote_open(ctl, &r, &err) == -1 || (job = find_job(ctl, &r, run, &err)) == -1) {
		status = fail_with(ctl, &err);
	} else if (job == 0) {
		out_note(ctl->out, "agentd has no run under way");
	} else {
		v_set_int(&ctl->arena, params, "job", job);
		v_set_bool(&ctl->arena, params, "now", ctl->set.now);
		if (remote_call(&r, "cancel", params, &err) == NULL)
			status = fail_with(ctl, &err);
		else
			out_note(ctl->out, ctl->set.now ? "stopped" :
			    "cancelled: the tasks under way are finished; --now stops at once");
	}
	remote_close(&r);
	return status;
}

static const struct opt follow_rows[] = {
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what changes in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows skipped tasks and results." },
	OPT_END
};
static const struct opt_group follow_group = { "What to show", follow_rows };
static const struct opt cancel_rows[] = {
	{ .name = "now", .type = OPT_FLAG, .offset = OFF(now),
	    .doc = "Does not wait for the tasks under way." },
	OPT_END
};
static const struct opt_group cancel_group = { "How", cancel_rows };
static const struct opt_group *const follow_groups[] = { &follow_group, &opts_socket, NULL };
static const struct opt_group *const cancel_groups[] = { &cancel_group, &opts_socket, NULL };

const struct cmd cmd_follow = {
	.name = "follow", .args = "[RUN]",
	.summary = "shows a run of agentd while it is under way",
	.doc = "RUN is its number; without it the only one there is. Ends with the run and with its status; ^C ends only the showing. With --json and without RUN: all events of all runs, without end.",
	.opts = follow_groups, .max_args = 1, .run = follow,
};

const struct cmd cmd_cancel = {
	.name = "cancel", .args = "[RUN]",
	.summary = "ends a run of agentd, as ^C does",
	.doc = "RUN is its number; without it the only one there is. What is under way on the hosts is finished and recorded; `provctl resume` goes on.",
	.opts = cancel_groups, .max_args = 1, .run = cancel,
};
