/*
 * provctl resume, provctl retry: a run once more, as it was asked for.
 *
 * Both take the options that are stored with a run, limited to the hosts that
 * are not through, and apply the site again.  What was done finds nothing to
 * do; handlers that were notified, and those whose notification was lost
 * with the controller, run (see state.h: owed, doubt).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "again.h"
#include "holding.h"
#include "out.h"
#include "plan.h"
#include "remote.h"
#include "rollback.h"
#include "sites.h"
#include "state/state.h"

const char *
hosts_pattern(struct arena *a, const struct value *hosts)
{
	struct buf b = BUF_INIT;
	const char *text;
	uint32_t i;

	for (i = 0; i < v_count(hosts); i++)
		buf_addf(&b, "%s%s", i > 0 ? "," : "", v_at(hosts, i)->u.s);
	text = buf_dup(&b, a);
	buf_release(&b);
	return text;
}

/* What run `id` was made from. A run that was not begun kept nothing. */
static int
open_snapshot(struct ctl *ctl, int64_t id)
{
	struct load l;
	const char *snapshot;
	int r = -1;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		snapshot = state_run_snapshot(l.state, &ctl->arena, id);
		r = snapshot != NULL ? snapshot_open(ctl, l.state, snapshot) : 0;
	}
	load_release(&l);
	return r;
}

int
absolute_state(struct ctl *ctl)
{
	char *path;

	if (ctl->set.state == NULL || *ctl->set.state == '/')
		return 0;
	if ((path = realpath(ctl->set.state, NULL)) == NULL) {
		struct err err = ERR_INIT;

		(void)err_errno(&err, "there is no state database at '%s'",
		    ctl->set.state);
		return fail_with(ctl, &err), -1;
	}
	ctl->set.state = arena_strdup(&ctl->arena, path);
	free(path);
	return 0;
}

const char *
settings_of_run(struct ctl *ctl, int64_t run, const struct value *options)
{
	struct settings given = ctl->set;
	const char *cwd = v_get_str(options, "cwd", NULL);
	const char *site = v_get_str(options, "site", NULL);
	struct err err = ERR_INIT;

	if (site == NULL || cwd == NULL || chdir(cwd) == -1) {
		(void)err_errno(&err, "cannot go to the directory '%s' of run %lld",
		    cwd != NULL ? cwd : "?", (long long)run);
		return fail_with(ctl, &err), NULL;
	}
	ctl->set = (struct settings){ .json = given.json, .color = given.color,
	    .state = given.state, .verbose = given.verbose, .diff = given.diff,
	    .wait_hosts = given.wait_hosts };
	settings_load(&ctl->arena, &ctl->set, options);
	return site;
}

/* A correction corrects, and a plan's run changes what the plan has: no more, also the next time. */
static int
gated(struct ctl *ctl, const struct value *gate, const char *site)
{
	int status;

	if (gate != NULL && v_is_list(gate))
		plan_gate(ctl, gate);
	else if (gate != NULL)
		drift_gate(ctl);
	status = apply_site(ctl, site);
	if (gate != NULL && v_is_list(gate))
		return plan_gate_end(ctl, status);
	ctl->watch = (struct watch){ 0 };
	return status;
}

/* As run `id` was asked for, on these hosts. The state is closed meanwhile. */
static int
again(struct ctl *ctl, int64_t id, const struct value *options,
    const struct value *hosts)
{
	struct settings given = ctl->set;
	const struct value *gate = v_gets(options, "gate");
	int64_t rollback = v_get_int(options, "rollback", 0);
	const char *site;
	int status = RUN_USAGE;

	ctl->passwords = NULL;
	if (rollback > 0) {
		if (settings_of_run(ctl, id, options) != NULL) {
			ctl->set.limit = hosts_pattern(&ctl->arena, hosts);
			ctl->set.resumes = id;
			ctl->set.yes = true;
			status = rollback_run(ctl, rollback, options);
		}
		ctl->set = given;
		return status;
	}
	if ((given.current || open_snapshot(ctl, id) == 0) &&
	    (site = settings_of_run(ctl, id, options)) != NULL) {
		ctl->set.limit = hosts_pattern(&ctl->arena, hosts);
		ctl->set.resumes = id;
		out_note(ctl->out, "run %lld again: %s%s%s, %u host%s", (long long)id,
		    site, ctl->snapshot != NULL ?
		    " as it was then (--current: as it is now)" : "",
		    gate == NULL ? "" : v_is_list(gate) ? ", only what its plan has" :
		    ", only what has drifted", v_count(hosts), v_count(hosts) == 1 ? "" : "s");
		status = gated(ctl, gate, site);
	}
	snapshot_close(ctl);
	ctl->set = given;
	return status;
}

/* ---- resume ---------------------------------------------------------------------------- */

static int64_t
number(const char *text, struct err *err)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (*text != '\0' && *end == '\0' && errno == 0 && n > 0)
		return n;
	(void)err_set(err, ERR_USAGE, "'%s' is no number of a run", text);
	err_hint(err, "`provctl history` lists the runs");
	return 0;
}

static int
resume(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	const struct value *options = NULL, *hosts = NULL;
	int64_t id = 0;
	int status;

	if (remote_run(ctl, &status))
		return status;
	ctl->out->stream = true;
	if (absolute_state(ctl) == -1)
		return RUN_USAGE;
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		id = ctl->args.n > 0 ? number(ctl->args.v[0], &err) :
		    state_unfinished(l.state, &err);
		if (id > 0 && (hosts = state_run_left(l.state, &ctl->arena, id,
		    &err)) != NULL && v_count(hosts) > 0)
			options = state_run_options(l.state, &ctl->arena, id, &err);
	}
	load_release(&l);
	if (err.code != ERR_NONE)
		return fail_with(ctl, &err);
	if (ctl->diags.nerrors > 0)
		return RUN_USAGE;
	if (hosts == NULL || v_count(hosts) == 0) {
		out_note(ctl->out, id > 0 ? "run %lld has finished on all its hosts" :
		    "no run is unfinished", (long long)id);
		return RUN_OK;
	}
	return again(ctl, id, options, hosts);
}

/* ---- retry ------------------------------------------------------------------------------- */

/* The hosts of one run out of the pending ones, without those that stand in `done`. */
static const struct value *
hosts_of_run(struct arena *a, const struct value *list, int64_t run)
{
	struct value *hosts = v_list(a);
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_get_int(v_at(list, i), "run", 0) == run)
			v_push(a, hosts, v_gets(v_at(list, i), "host"));
	return hosts;
}

/* What was tried for the last time has failed for good: that must not go by unseen. */
static void
tell_given_up(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	const struct value *list;
	uint32_t i;

	load_init(&l, ctl);
	list = load_state(&l, STATE_READ_ONLY) == 0 ?
	    state_pending(l.state, &ctl->arena, NULL, 0, &err) : NULL;
	for (i = 0; list != NULL && i < v_count(list); i++) {
		const struct value *p = v_at(list, i);
		struct err *e;

		if (!v_is_null(v_gets(p, "next_ms")))
			continue;
		e = diags_error(&ctl->diags, ERR_IO, (struct mark){ 0 },
		    "'%s' is given up after %lld tries: %s",
		    v_get_str(p, "host", "?"), (long long)v_get_int(p, "tries", 0),
		    v_get_str(p, "reason", ""));
		err_hint(e, "`provctl retry %s` tries once more", v_get_str(p, "host", "?"));
	}
	err_release(&err);
	load_release(&l);
}

static int
retry(struct ctl *ctl)
{
	const char *host = ctl->args.n > 0 ? ctl->args.v[0] : NULL;
	struct load l;
	struct err err = ERR_INIT;
	const struct value *list = NULL;
	struct value *all;
	int status = RUN_OK;
	uint32_t i, j;

	if (remote_run(ctl, &status))
		return status;
	ctl->out->stream = true;
	if (absolute_state(ctl) == -1)
		return RUN_USAGE;
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0)
		list = state_pending(l.state, &ctl->arena, host,
		    ctl->set.due ? state_time_ms() : 0, &err);
	all = v_list(&ctl->arena);
	for (i = 0; list != NULL && i < v_count(list); i++) {
		int64_t run = v_get_int(v_at(list, i), "run", 0);
		struct value *job;

		for (j = 0; j < v_count(all); j++)
			if (v_get_int(v_at(all, j), "run", 0) == run)
				break;
		if (j < v_count(all))
			continue;
		job = v_map(&ctl->arena);
		v_set_int(&ctl->arena, job, "run", run);
		v_sets(&ctl->arena, job, "hosts", hosts_of_run(&ctl->arena, list, run));
		/* What a run was asked with is read before anything begins: one that cannot be repeated does not stop the others. */
		v_sets(&ctl->arena, job, "options", state_run_options(l.state,
		    &ctl->arena, run, &err));
		if (v_gets(job, "options") == NULL)
			status = RUN_FAILED, (void)fail_with(ctl, &err);
		else
			v_push(&ctl->arena, all, job);
	}
	load_release(&l);
	if (list == NULL)
		return err.code != ERR_NONE ? fail_with(ctl, &err) : RUN_USAGE;
	if (v_count(list) == 0)
		out_note(ctl->out, host != NULL ? "nothing is pending for '%s'" :
		    "nothing is pending%s", host != NULL ? host : "");
	for (i = 0; i < v_count(all) && status != RUN_INTERRUPTED; i++) {
		const struct value *job = v_at(all, i);
		int r = again(ctl, v_get_int(job, "run", 0), v_gets(job, "options"),
		    v_gets(job, "hosts"));

		if (r == RUN_INTERRUPTED || status == RUN_OK || (r != RUN_OK && r < status))
			status = r;
	}
	if (v_count(list) > 0)
		tell_given_up(ctl);
	return status;
}

static const struct opt how_rows[] = {
	{ .name = "current", .type = OPT_FLAG, .offset = OFF(current),
	    .doc = "Applies the site as its files are now, not as the run had them." },
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what changes in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows skipped tasks and results." },
	{ .name = "wait", .type = OPT_FLAG, .offset = OFF(wait_hosts),
	    .doc = "Waits when another run works on one of the hosts." },
	OPT_END
};
static const struct opt_group how_group = { "How", how_rows };
static const struct opt due_rows[] = {
	{ .name = "due", .type = OPT_FLAG, .offset = OFF(due),
	    .doc = "Only what is due by now." },
	OPT_END
};
static const struct opt_group due_group = { "What", due_rows };
static const struct opt_group *const resume_groups[] = { &how_group, &opts_state, &opts_daemon, NULL };
static const struct opt_group *const retry_groups[] = { &due_group, &how_group, &opts_state, &opts_daemon, NULL };

const struct cmd cmd_resume = {
	.name = "resume", .args = "[RUN]",
	.summary = "goes on with a run that was killed, interrupted or failed",
	.doc = "RUN is a number from `provctl history`; without it the newest run that is unfinished. The site is applied again, as it was then (`provctl sites`) and with the same options, to the hosts that are not through; what was done finds nothing to do, and handlers that were notified run.",
	.opts = resume_groups, .max_args = 1, .run = resume,
};

const struct cmd cmd_retry = {
	.name = "retry", .args = "[HOST]",
	.summary = "tries again what failed: now, not when it is due",
	.doc = "A host where a run failed or that was not reached is pending; it is tried again after a minute, then two, four … up to six hours, twelve times. The site is applied as it was then (--current: as it is now). Success clears it, and so does any complete run of the site.",
	.opts = retry_groups, .max_args = 1, .run = retry,
};
