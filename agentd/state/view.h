/*
 * What the status page and metrics show: the state in pieces of a bounded size.
 *
 * All functions only read, take an index, and return lists or maps in the
 * arena, NULL with err.  What is in them is censored as it is stored.
 */
#ifndef PROVCTL_STATE_VIEW_H
#define PROVCTL_STATE_VIEW_H

#include "state/state.h"

/*
 * How a host stands, the worst of what is known: its last run failed or did not
 * reach it; it drifted (or its last run put drift right); its last run changed
 * (or would change) something because the site did; nothing was to be done; no
 * run has ended there.
 */
enum stand {
	STAND_FAILED, STAND_UNREACHABLE, STAND_CORRECTIVE, STAND_INTENTIONAL,
	STAND_OK, STAND_UNKNOWN, STAND_MAX
};
const char	*stand_name(enum stand);	/* "failed" …; "up-to-date", "unknown" */
/* STAND_MAX: no such name. */
enum stand	 stand_of(const char *name);

/* Every host that was not forgotten, by name: maps name, stand (int), drift (open), last_seen_ms, run, site, check, started_ms, ended_ms, ok, changed, failed, unreachable, skipped, pending, given_up, owed, past (text: its last VIEW_PAST runs, newest first, a digit each: enum stand as its counters say). name: only this one, or NULL. */
#define VIEW_PAST	12
const struct value *view_hosts(struct state *, struct arena *, const char *name, struct err *);
/* Sites by path: maps site, run, started_ms, ended_ms, status, check, success_ms, success_run (of the last run that left all, or as a check found all, as it should be), success_duration_ms, hosts, drift, pending, snapshots. */
const struct value *view_sites(struct state *, struct arena *, struct err *);
/* As state_runs(), those before a run (0: the newest). */
const struct value *view_runs(struct state *, struct arena *, uint32_t limit, const char *host,
		    int64_t before, struct err *);
/* Runs without an end, newest first, as state_runs(); "state" tells which of them live. */
const struct value *view_open_runs(struct state *, struct arena *, struct err *);
/* A run as state_runs() has it, and "per_host": maps host, done (bool), ok, changed, failed, unreachable, skipped, last; "warnings". While it runs (or when it was killed) the counters are of what is recorded so far, and last is the task behind the host. */
const struct value *view_run(struct state *, struct arena *, int64_t id, struct err *);

struct view_query {
	int64_t		 run;
	const char	*host;		/* all results of it; NULL: of all hosts what changed or went wrong */
	int64_t		 after;		/* id of a result */
	uint32_t	 limit;
};
/* In their order: maps id, host, delegated, play, task, role, module, file, line, handler, outcome, class, started_ms, duration_ms, msg, diff (bool: there is one). */
const struct value *view_results(struct state *, struct arena *, const struct view_query *, struct err *);
/* One of them, with run, "result" (map or null) and "diff" (text or null). */
const struct value *view_result(struct state *, struct arena *, int64_t id, struct err *);
/* Open drift, of a host or (NULL) of all: maps host, site, task, item, module, role, file, line, first_ms, last_ms, seen, last_run, diff; by host, in the order in which it was found. */
const struct value *view_drift(struct state *, struct arena *, const char *host, uint32_t limit, struct err *);
/* The files of the database in bytes; 0: not known. */
int64_t		 view_size(struct state *);

#endif
