/*
 * What happens in a run, told to whoever listens: outputs (text, JSON) and the
 * state database.  Commands never print by themselves.
 *
 * Events are made by the engine in the order in which things happen and are
 * valid only during the call.  Values may hold secrets (V_SECRET): listeners
 * censor them (json_write with JSON_CENSOR); a no_log result arrives censored.
 */
#ifndef PROVCTL_STATE_EVENT_H
#define PROVCTL_STATE_EVENT_H

#include "base/value.h"

enum event_type {
	EV_RUN_START,	/* site path, check */
	EV_PLAY_START,	/* play name, hosts (list of names) */
	EV_PLAY_NO_HOSTS,
	EV_HOST_STATE,	/* host, text: "connecting" …; live output only */
	EV_TASK_START,	/* host, task: a host begins a task (or a handler) */
	EV_PROGRESS,	/* host, task, text: last output line */
	EV_ITEM,	/* host, task, one loop item's result, label */
	EV_RETRY,	/* host, task, attempt (int) of attempts */
	EV_TASK_END,	/* host, task, outcome, result */
	EV_NOTIFIED,	/* host, task: the handler's name as shown; owed until a TASK_END with handler set says ok or changed */
	EV_HOST_UNREACHABLE,	/* host, text, hint */
	EV_WARNING,	/* host or NULL, text */
	EV_STATS,	/* one a host, at the end: counters */
	EV_RUN_END,	/* status (exit code) */
	EV_BEFORE,	/* host (that was changed), task, before: before-images that the host has kept; user */
	EV_ASKED,	/* host, task: it is about to be sent to its host, where it may change something; until its TASK_END nobody knows whether it did */
};

enum outcome {
	OUT_OK, OUT_CHANGED, OUT_FAILED, OUT_IGNORED /* failed, ignore_errors */,
	OUT_RESCUED /* failed, inside a block with rescue */, OUT_SKIPPED,
	OUT_UNREACHABLE
};

struct host_stats {
	uint32_t ok, changed, failed, skipped, unreachable, rescued, ignored;
};

struct event {
	enum event_type		 type;
	const char		*host;		/* or NULL */
	const char		*delegated;	/* delegate_to host, or NULL */
	const char		*play;
	const char		*task;		/* name as shown, "role : name" */
	const char		*module;
	const char		*role;		/* or NULL */
	struct mark		 mark;		/* of the task */
	uint32_t		 task_id;	/* node.id */
	uint32_t		 seq;		/* number of the task within the run's order for the host */
	bool			 handler;
	bool			 check;
	bool			 diff;		/* diffs are wanted in the output */
	bool			 notifies;	/* the task has `notify` */
	const char		*unanswered;	/* EV_HOST_UNREACHABLE: "address port" where no SSH server answered, when that is why; or NULL */
	bool			 unsent;	/* EV_HOST_UNREACHABLE: the task did not reach the host */
	bool			 aborted;	/* a person did not wait for its end */
	enum outcome		 outcome;
	const struct value	*result;	/* final result map; diff under "diff" */
	const struct value	*item;		/* label of a loop item */
	const struct value	*hosts;		/* EV_PLAY_START */
	const char		*desired;	/* EV_ITEM, EV_TASK_END of a task without a loop: SHA-256 (hex) of what was asked of the host (module, final arguments, contents); NULL: nothing was asked */
	const char		*class;		/* the same, and EV_TASK_END of loops: why it is a change (state/drift.h), or NULL */
	bool			 blind;		/* a command, that cannot tell whether it changes something */
	bool			 barred;	/* a change that run_opts.permit did not let through */
	bool			 predicted;	/* nothing was changed: the task has check_mode, or run_opts.permit said no */
	const struct value	*before;	/* EV_BEFORE: list of maps, module/keep.h */
	const char		*user;		/* EV_BEFORE: who kept them; NULL: the login's user */
	bool			 quiet;		/* EV_BEFORE: no diff of it is to be shown */
	const char		*text;
	const char		*hint;
	int			 attempt, attempts;
	int64_t			 start_ms;	/* wall clock, ms since the epoch */
	int64_t			 duration_ms;
	struct host_stats	 stats;
	int			 status;		/* EV_RUN_END: exit code; EV_STATS: not 0 when the host did not get through */
};

/* A listener. */
struct sink {
	void	(*event)(void *arg, const struct event *);
	void	*arg;
};

const char *outcome_name(enum outcome);		/* "ok", "changed" … */

#endif
