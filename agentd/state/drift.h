/*
 * Drift: what of a host is no longer as it was left.
 *
 * A change that a check predicts or an apply makes is *corrective* when the
 * task asks for the same as when it was last applied there (then the host has
 * changed), and *intentional* when it asks for something else, or was never
 * applied there.  Tasks are told apart by site, file, role, name, module, item
 * of a loop, and how many of the same the host has met before in the run; not
 * by their lines, which move.  Handlers, and commands that cannot predict
 * anything, are neither.
 */
#ifndef PROVCTL_STATE_DRIFT_H
#define PROVCTL_STATE_DRIFT_H

#include "state/state.h"

#define CLASS_CORRECTIVE	"corrective"
#define CLASS_INTENTIONAL	"intentional"

/*
 * For run_opts.classify: CLASS_…, or NULL, of an EV_ITEM or EV_TASK_END of the
 * run that is recorded.  Once for each of them, in their order.
 */
const char	*state_classify(void *state, const struct event *);

/* What a task or item is to the run's gate (run_opts.permit) and to plans. */
struct drift_key {
	int64_t	 task;		/* applied.task */
	int64_t	 desired;	/* keyed hash */
	bool	 known;		/* it was applied there before */
	bool	 same;		/* and asked for the same */
};
/* For sinks behind the state's: of the event that was classified last. */
struct drift_key state_event_key(const struct state *);
/* Of the item (or whole task) that the host has at hand; e: host, task, module, role, mark, item, desired. */
struct drift_key state_drift_key(struct state *, const struct event *e);

struct drift_query {
	const char	*host, *site;	/* NULL: all */
	bool		 closed;	/* also what is no longer so, newest first behind what is */
	uint32_t	 limit;		/* of the closed ones; 0: all */
};
/*
 * Maps host, site, task, item ("" none), module, role, file, line, first_ms,
 * first_run, last_ms, last_run, seen, diff (or null), closed_ms, closed_run,
 * how (null: open; "corrected", "gone", "replaced", "forgotten"): what is open by host, in
 * the order in which it was found.  NULL with err.
 */
const struct value *state_drift(struct state *, struct arena *,
		    const struct drift_query *, struct err *);

/*
 * What was last applied: maps site, run, site_id (or null), hosts (names), one
 * a run; newest first.  site may be NULL: all.
 */
const struct value *state_applied(struct state *, struct arena *, const char *site,
		    struct err *);

/* A site is not looked at any more, until it is applied again; its drift is closed as "forgotten". */
int		 state_drift_forget(struct state *, const char *site, struct err *);
/* Drops what was closed before. */
int		 state_drift_prune(struct state *, int64_t before_ms, struct err *);

#endif
