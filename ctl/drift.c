/*
 * provctl drift: are hosts still as they were left?
 *
 * A site is checked as it was last applied to each host: from that run's
 * snapshot and with its options, so that what is being edited on the disk
 * plays no part.  A difference is drift when the task asks for what it last
 * asked for there (corrective).  Whatever else would change asks for something
 * new (a lookup, a fact or the time has changed) and is left to `apply`.
 *
 * --correct applies the same snapshot to the hosts that have drifted, with a
 * gate: a task that asks for something else than it last did there is checked
 * only.  So is a command that was not run there before; one that was, runs as
 * in any apply.
 */
#include <string.h>

#include "again.h"
#include "holding.h"
#include "out.h"
#include "remote.h"
#include "sites.h"
#include "state/drift.h"

/* ---- what is on record ------------------------------------------------------------------ */

static const struct value *
open_drift(struct ctl *ctl, const char *site, bool closed)
{
	struct drift_query q = { .host = ctl->set.host, .site = site, .closed = closed,
	    .limit = 100 };
	struct err err = ERR_INIT;
	const struct value *list = NULL;
	struct load l;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0 &&
	    (list = state_drift(l.state, &ctl->arena, &q, &err)) == NULL)
		(void)fail_with(ctl, &err);
	load_release(&l);
	return list;
}

static uint32_t
count_open(const struct value *list)
{
	uint32_t i, n = 0;

	for (i = 0; i < v_count(list); i++)
		n += v_is_null(v_gets(v_at(list, i), "closed_ms"));
	return n;
}

/* A program gets the list, or an event when others came before. */
static void
show(struct ctl *ctl, const struct value *list)
{
	struct value *e;

	if (!ctl->out->stream || !ctl->set.json) {
		ctl->out->ops->drift(ctl->out, list, ctl->set.list && ctl->set.diff);
		return;
	}
	e = v_map(&ctl->arena);
	v_set_str(&ctl->arena, e, "event", "drift");
	v_sets(&ctl->arena, e, "drift", list);
	ctl->out->ops->value(ctl->out, e);
}

/* The site is not looked at any more. */
static int
forget(struct ctl *ctl, const char *site)
{
	struct err err = ERR_INIT;
	struct load l;
	int r = -1;

	load_init(&l, ctl);
	if (load_state(&l, 0) == 0 &&
	    (r = state_drift_forget(l.state, site, &err)) == -1)
		(void)fail_with(ctl, &err);
	load_release(&l);
	return r == 0 ? RUN_OK : RUN_USAGE;
}

/* ---- checking and correcting ------------------------------------------------------------- */

static bool
asked_before(struct ctl *ctl, struct state *s, const struct event *e)
{
	(void)ctl;
	return e->handler || state_drift_key(s, e).same;
}

void
drift_gate(struct ctl *ctl)
{
	ctl->watch = (struct watch){ .permit = asked_before,
	    .gate = v_str(&ctl->arena, "drift") };
}

/* The hosts of a list of drift that one of these is. */
static const struct value *
drifted_hosts(struct arena *a, const struct value *drift, const struct value *of)
{
	struct value *set = v_map(a), *hosts = v_list(a);
	uint32_t i;

	for (i = 0; i < v_count(of); i++)
		v_set_bool(a, set, v_at(of, i)->u.s, true);
	for (i = 0; i < v_count(drift); i++) {
		const char *host = v_get_str(v_at(drift, i), "host", "");

		if (v_is_null(v_gets(v_at(drift, i), "closed_ms")) &&
		    v_dels(set, host))
			v_push(a, hosts, v_str(a, host));
	}
	return hosts;
}

/* One run of a group's snapshot. */
static int
run_group(struct ctl *ctl, const struct value *group, const struct value *options,
    const struct value *hosts, bool check)
{
	struct settings given = ctl->set;
	const char *site = settings_of_run(ctl, v_get_int(group, "run", 0), options);
	int status = RUN_USAGE;

	if (site != NULL) {
		ctl->set.limit = hosts_pattern(&ctl->arena, hosts);
		ctl->set.only = given.limit;
		ctl->set.check = check;
		if (!check)
			drift_gate(ctl);
		status = apply_site(ctl, site);
		ctl->watch = (struct watch){ 0 };
	}
	ctl->set = given;
	return status;
}

/* The most severe: interrupted, failed, unreachable, pending; an error that stopped everything before all. */
static int
worse(int a, int b)
{
	static const int order[] = {
		RUN_OK, RUN_PENDING, RUN_BUSY, RUN_UNREACHABLE, RUN_FAILED,
		RUN_USAGE, RUN_INTERRUPTED
	};
	size_t i, x = 0, y = 0;

	for (i = 0; i < NITEMS(order); i++) {
		x = order[i] == a ? i : x;
		y = order[i] == b ? i : y;
	}
	return x > y ? a : b;
}

/* Hosts that were left by the same run. */
static int
group(struct ctl *ctl, const struct value *g, const struct value *options,
    const char *snapshot)
{
	const struct value *hosts = v_gets(g, "hosts"), *drift, *drifted;
	const char *site = v_get_str(g, "site", "");
	struct load l;
	int status, r = -1;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0)
		r = snapshot_open(ctl, l.state, snapshot);
	load_release(&l);
	if (r == -1)
		return RUN_USAGE;
	ctl->passwords = NULL;
	status = run_group(ctl, g, options, hosts, true);
	/* That something would change is no drift yet. */
	if (status == RUN_PENDING)
		status = RUN_OK;
	if ((drift = open_drift(ctl, site, false)) == NULL) {
		snapshot_close(ctl);
		return RUN_USAGE;
	}
	drifted = drifted_hosts(&ctl->arena, drift, hosts);
	if (ctl->set.correct && v_count(drifted) > 0 && status != RUN_USAGE &&
	    status != RUN_INTERRUPTED && status != RUN_BUSY) {
		status = worse(status, run_group(ctl, g, options, drifted, false));
		if ((drift = open_drift(ctl, site, false)) != NULL)
			drifted = drifted_hosts(&ctl->arena, drift, hosts);
	}
	snapshot_close(ctl);
	return worse(status, v_count(drifted) > 0 ? RUN_PENDING : RUN_OK);
}

/* The runs that left hosts as they should be, with all that is needed to look: nothing is read while they run. */
static const struct value *
groups_of(struct ctl *ctl, const char *site)
{
	struct arena *a = &ctl->arena;
	struct value *jobs = v_list(a);
	const struct value *all = NULL;
	struct err err = ERR_INIT;
	struct load l;
	uint32_t i;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0 &&
	    (all = state_applied(l.state, a, site, &err)) == NULL)
		(void)fail_with(ctl, &err);
	for (i = 0; all != NULL && i < v_count(all); i++) {
		const struct value *options = state_run_options(l.state, a,
		    v_get_int(v_at(all, i), "run", 0), &err);
		struct value *job = v_map(a);

		if (options == NULL) {
			(void)fail_with(ctl, &err);
			continue;
		}
		if (v_is_null(v_gets(v_at(all, i), "site_id"))) {
			(void)err_set(&err, ERR_INVALID, "the snapshot of run %lld is gone",
			    (long long)v_get_int(v_at(all, i), "run", 0));
			err_hint(&err, "apply the site again");
			(void)fail_with(ctl, &err);
			continue;
		}
		v_merge(a, job, v_at(all, i));
		v_sets(a, job, "options", options);
		v_push(a, jobs, job);
	}
	load_release(&l);
	return all == NULL ? NULL : jobs;
}

static int
drift(struct ctl *ctl)
{
	const char *site = ctl->args.n > 0 ? site_path(ctl, ctl->args.v[0]) : NULL;
	const struct value *jobs, *list;
	int status = RUN_OK;
	uint32_t i;

	if (ctl->set.list) {
		if (ctl->set.correct || ctl->set.limit != NULL || ctl->set.wait_hosts ||
		    ctl->set.forget)
			return usage_error(ctl, "--list connects to no host: it goes with --host, --diff, -v and --json only");
		if ((list = open_drift(ctl, site, ctl->set.verbose > 0)) == NULL)
			return RUN_USAGE;
		show(ctl, list);
		return count_open(list) > 0 ? RUN_PENDING : RUN_OK;
	}
	if (ctl->set.forget)
		return site == NULL || ctl->set.correct || ctl->set.limit != NULL ||
		    ctl->set.host != NULL || ctl->set.wait_hosts ? usage_error(ctl,
		    "--forget wants a SITE and nothing else") : forget(ctl, site);
	if (ctl->set.host != NULL)
		return usage_error(ctl, "--host goes with --list; -l checks some hosts only");
	if (remote_run(ctl, &status))
		return status;
	ctl->out->stream = true;
	if (absolute_state(ctl) == -1 || (jobs = groups_of(ctl, site)) == NULL)
		return RUN_USAGE;
	if (v_count(jobs) == 0 && ctl->diags.nerrors == 0) {
		struct err err = ERR_INIT;

		(void)err_set(&err, ERR_INVALID, site != NULL ?
		    "'%s' was not applied to any host yet" :
		    "nothing was applied to any host yet", site);
		err_hint(&err, "`provctl apply` does; `provctl check` compares without a past");
		return fail_with(ctl, &err);
	}
	for (i = 0; i < v_count(jobs) && status != RUN_INTERRUPTED; i++)
		status = worse(status, group(ctl, v_at(jobs, i), v_gets(v_at(jobs, i),
		    "options"), v_get_str(v_at(jobs, i), "site_id", "")));
	if (ctl->diags.nerrors > 0)
		status = worse(status, RUN_USAGE);
	if ((list = open_drift(ctl, site, false)) != NULL)
		show(ctl, list);
	return status;
}

static const struct opt rows[] = {
	{ .letter = 'l', .name = "limit", .type = OPT_STR, .offset = OFF(limit),
	    .arg = "PATTERN", .doc = "Only hosts that match." },
	{ .name = "correct", .type = OPT_FLAG, .offset = OFF(correct),
	    .doc = "Puts right what has drifted, and nothing else." },
	{ .name = "list", .type = OPT_FLAG, .offset = OFF(list),
	    .doc = "Only shows what is on record, without connecting; with -v also the last 100 that are no longer so." },
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "With --list: of this host." },
	{ .name = "forget", .type = OPT_FLAG, .offset = OFF(forget),
	    .doc = "Looks at SITE no more, until it is applied again: for what was to be done once." },
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what differs in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows skipped tasks and results." },
	{ .name = "wait", .type = OPT_FLAG, .offset = OFF(wait_hosts),
	    .doc = "Waits when another run works on one of the hosts." },
	OPT_END
};
static const struct opt_group opts = { "What", rows };
static const struct opt_group *const groups[] = { &opts, &opts_state, &opts_daemon, NULL };

const struct cmd cmd_drift = {
	.name = "drift", .args = "[SITE]",
	.summary = "finds, and corrects, what is no longer as it was applied",
	.doc = "Checks SITE (without it: all sites) on the hosts it was applied to, each as it was last applied there: from that run's snapshot (`provctl sites`), with its options. What a task would change although it asks for the same as then has drifted (corrective); what asks for something else is intentional and left to `apply`.\n\nExit status: 0 when nothing has drifted or all was corrected, 2 when there is drift, 3 when a task failed, 4 when a host was unreachable.",
	.opts = groups, .max_args = 1, .run = drift,
};
