/*
 * The engine: applies a site to its hosts (or checks it), from one libevent
 * loop.
 */
#ifndef PROVCTL_RUN_RUN_H
#define PROVCTL_RUN_RUN_H

#include "playbook/site.h"
#include "state/event.h"
#include "ssh/conn.h"

struct run_opts {
	bool			 check, diff;
	bool			 record_diff;	/* results carry their diff also without `diff`: for the state; event.diff says whether to show it */
	int			 forks;			/* hosts worked at once; 0: 50 */
	const char		*limit;			/* pattern or NULL */
	const char *const	*tags, *const *skip_tags;	/* NULL-terminated, or NULL */
	const char		*user;			/* -u, or NULL */
	const char		*key;			/* --key, or NULL */
	bool			 become;		/* -b: plays become unless they say otherwise */
	const char		*become_password;	/* -K, or NULL */
	bool			 accept_new_host_keys;
	int			 verbosity;
	const char		*start_at;		/* --start-at-task, or NULL */
	int			 timeout_ms;		/* connect steps; 0: default */
	/* Asks the person (pause, vars_prompt): the answer in the arena, NULL: no terminal. */
	const char		*(*ask)(void *arg, struct arena *, const char *prompt, bool secret);
	void			*ask_arg;
	struct sink		*sinks;
	uint32_t		 nsinks;
	/* Host keys; passed on to struct conn_spec. */
	int	(*known_keys)(void *arg, const char *host, int port,
		    const char **ret_keys, uint32_t max, uint32_t *ret_n);
	int	(*pin_key)(void *arg, const char *host, int port, const char *key, struct err *);
	void			*keys_arg;
	const struct sshconf	*sshconf;		/* or NULL */
	int			 keeper;		/* descriptor of a keeper that is asked for connections (ssh/keeper.h); 0: none */
	/* Facts kept from earlier runs (gathering: smart …): NULL when there are none. */
	const struct value	*(*facts)(void *arg, struct arena *, const char *host);
	void			*facts_arg;
	/* Handlers that earlier runs owe a host (names as EV_NOTIFIED gave them): a list, or NULL. */
	const struct value	*(*owed)(void *arg, struct arena *, const char *host);
	void			*owed_arg;
	/* Did an earlier run send this task to the host and never hear of it? Then it notifies although it finds nothing to do. Or NULL. */
	bool			 (*doubt)(void *arg, const char *host,
				    const struct mark *, const char *task);
	void			*doubt_arg;
	/* Why an EV_ITEM or EV_TASK_END is a change: its class. Once for each, in order, before the sinks. Or NULL. */
	const char		*(*classify)(void *arg, const struct event *);
	void			*classify_arg;
	/* May what is about to be sent to a host (as event: host, task, module, item, desired …) change it? Otherwise it is only checked, and skipped when it would change something. Or NULL: yes. */
	bool			 (*permit)(void *arg, const struct event *);
	void			*permit_arg;
	/* All checks are passed, nothing is touched yet: the names of all hosts of the run. An exit code other than RUN_OK ends it. Or NULL. */
	int			 (*begin)(void *arg, const struct value *hosts);
	void			*begin_arg;
	/* Before the first connection to a host (not to localhost, which is where we are): may this run work on it? Answers once, now or later, also when the run is over; with an err it counts as unreachable. Or NULL: yes. */
	void			 (*hold)(void *arg, const char *host,
				    void (*answer)(void *, struct err *), void *answer_arg);
	void			*hold_arg;
	/* Is all that the sinks were told on record? Otherwise true, and answer() is called when it is. Or NULL: it is. */
	bool			 (*await)(void *arg, void (*answer)(void *), void *answer_arg);
	void			*await_arg;
};

/* Exit codes of provctl; also of run_site(). */
enum run_status {
	RUN_OK = 0,		/* nothing to do or all done */
	RUN_USAGE = 1,		/* usage or site error: no host was touched */
	RUN_PENDING = 2,	/* check: changes pending */
	RUN_FAILED = 3,		/* a task failed */
	RUN_UNREACHABLE = 4,	/* a host was unreachable (and nothing failed) */
	RUN_BUSY = 5,		/* another run works on these hosts: nothing was touched */
	RUN_INTERRUPTED = 130,
};

struct run;

/* Turns the loop until the run is over. Errors before the first connection: RUN_USAGE with diags. */
int	 run_site(struct event_base *, struct site *, const struct run_opts *,
	    struct diags *);
/* From a signal handler's event: stops new work, lets hosts finish the task at hand; a second call aborts. */
void	 run_interrupt(void);

/*
 * What a host of the site sees, without a run: for `render` and `eval`.  Calls
 * use() with the scope of the first play that works on the host (facts from
 * opts->facts) and returns what it returns; -1 with diags when there is no such host.
 */
int	 run_with_scope(struct site *, const struct run_opts *, const char *host,
	    int (*use)(void *arg, struct arena *, const struct scope *), void *arg,
	    struct diags *);

#endif
