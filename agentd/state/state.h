/*
 * The memory of the controller: the only user of SQLite.
 *
 * Writes go through a queue to a thread of their own that commits in batches,
 * never on the event loop's path; reads are direct.  The schema and its
 * migrations are schema/state.sql, embedded in the program.
 */
#ifndef PROVCTL_STATE_STATE_H
#define PROVCTL_STATE_STATE_H

#include "base/value.h"
#include "state/event.h"

struct state;

#define STATE_READ_ONLY	0x1

/* The default path: /var/lib/provctl/state.db for root and the owner of that folder, else $XDG_STATE_HOME/provctl/state.db. In the arena. */
const char	*state_default_path(struct arena *);
/*
 * Opens, creating directory (0700), file (0600) and tables as needed; brings
 * an older schema up to date.  Errors, each with a hint: locked by another
 * program beyond busy_ms, read-only, newer than this program, corrupt; with
 * STATE_READ_ONLY also ERR_OLD: an older schema.
 */
struct state	*state_open(const char *path, unsigned flags, int busy_ms, struct err *);
/* Waits until everything queued is committed (only then do reads see it) and on the disk. 0, or -1 with the first error that the writer met. */
int		 state_sync(struct state *, struct err *);
/* Without waiting: 0, or -1 with the first error that the writer met. */
int		 state_failed(struct state *, struct err *);
/* Syncs and closes; NULL allowed. */
void		 state_close(struct state *);

/* ---- hosts and their keys ------------------------------------------------ */

/* As conn_spec.known_keys and pin_key want them; arg = struct state. */
int	 state_known_keys(void *state, const char *host, int port,
	    const char **ret_keys, uint32_t max, uint32_t *ret_n);
int	 state_pin_key(void *state, const char *host, int port, const char *key,
	    struct err *);
int	 state_forget_keys(struct state *, const char *host, int port, struct err *);
/* All pinned keys, a list of maps: host, port, key, pinned_ms. */
const struct value *state_keys(struct state *, struct arena *, struct err *);
/* A host known to the database: an inventory of its own. vars: JSON map. */
int	 state_host_set(struct state *, const char *name, const struct value *vars,
	    const struct value *groups, struct err *);
/* Another name; what is on record stays with the host. The new one must be free. */
int	 state_host_rename(struct state *, const char *name, const char *new_name,
	    struct err *);
/* No host of the inventory any more, and no facts of it are known; its history stays. */
int	 state_host_forget(struct state *, const char *name, struct err *);
/* List of maps: name, groups, vars, last_run, last_seen, … */
const struct value *state_hosts(struct state *, struct arena *, struct err *);
int	 state_facts_set(struct state *, const char *host, const struct value *facts);
const struct value *state_facts(struct state *, struct arena *, const char *host, struct err *);

/* ---- runs ------------------------------------------------------------------ */

/* A sink that records a run: begins it on EV_RUN_START, ends it on EV_RUN_END. run_id is known after the first event. */
struct sink	 state_sink(struct state *);
int64_t		 state_run_id(const struct state *);
/* Newest first; maps: id, site, check, started_ms, ended_ms, status, hosts, ok, changed, failed, skipped, unreachable. */
const struct value *state_runs(struct state *, struct arena *, uint32_t limit,
	    const char *host, struct err *);
/* One run: the map above and "results": list of maps host, task, module, file, line, outcome, duration_ms, msg, diff, …; "doing": what was sent and not answered yet, maps host, task, file, line, since_ms. NULL with err when there is none. */
const struct value *state_run(struct state *, struct arena *, int64_t id,
	    const char *host, struct err *);

/* How a run was asked for; what stands here goes into its row. Copied. For the next run only. */
struct state_run_how {
	const struct value	*options;	/* map that `resume` needs; encrypted before it is stored. NULL: cannot be resumed */
	bool			 partial;	/* not all tasks: success does not settle what is pending */
	int64_t			 resumes;	/* the run that this one goes on with; 0: none */
	const char		*site;		/* the path to record; NULL: as the run calls it */
	const char		*site_id;	/* snapshot, or NULL */
	const char		*root;		/* files below it are recorded without it; or NULL */
};
int		 state_run_how(struct state *, const struct state_run_how *, struct err *);

/* What `resume` goes on with: the newest apply that was killed, interrupted or failed and was not resumed since; 0: none, or err. */
int64_t		 state_unfinished(struct state *, struct err *);
/* All of them, newest first: maps as state_runs(). */
const struct value *state_unfinished_list(struct state *, struct arena *, struct err *);
/* Names of the hosts that a run did not get through. An error when it is under way. */
const struct value *state_run_left(struct state *, struct arena *, int64_t id, struct err *);
/* state_run_how.options of a run, decrypted. NULL with err. */
const struct value *state_run_options(struct state *, struct arena *, int64_t id, struct err *);
int64_t		 state_time_ms(void);

/* ---- what was reported stays reported (gate of outputs) ---------------------- */

/* Statements queued so far; of them committed. What is reported only when committed >= queued survives a crash. */
uint64_t	 state_queued(struct state *);
uint64_t	 state_committed(struct state *);
/* A byte is written to this eventfd when more is committed; -1: no longer. */
void		 state_notify(struct state *, int fd);

/* ---- what is owed -------------------------------------------------------------- */

/* For run_opts.owed: handlers owed to a host before this run, without those that succeeded since. A list, or NULL. */
const struct value *state_owed(void *state, struct arena *, const char *host);
/* For run_opts.doubt: an earlier run sent this task to the host and never heard of it. */
bool		 state_doubt(void *state, const char *host, const struct mark *,
		    const char *task);
/* All owed handlers: maps host, handler, site, run, since_ms. */
const struct value *state_owed_list(struct state *, struct arena *, struct err *);

/* ---- leases: one run a host -------------------------------------------------- */

#define STATE_LEASE_MS	60000	/* unless renewed */

/*
 * Asks for the leases of all these hosts, or none.  A lease of a process that
 * is gone (of another machine: that has expired) is taken over.  Queued: the
 * answer is there when it is committed.  A run that holds some already may
 * ask for one more; with `wait` it is on record until it has it that it waits
 * for it.  0, or -1 with err.
 */
int		 state_lease_ask(struct state *, const struct value *hosts,
		    const char *site, bool wait, struct err *);
/* 0: they are ours; 1: others hold some, *ret_held lists them (maps host, owner, pid, run, site, since_ms); 2: likewise, and to wait would be for ever, as they wait for us; -1 with err. */
int		 state_lease_answer(struct state *, struct arena *, const struct value *hosts,
		    const struct value **ret_held, struct err *);
/* No longer waits for a host. Queued. */
void		 state_lease_stop_wait(struct state *, const char *host);
/* Is it the lease of one of our run's hosts, or are none held at all? */
bool		 state_leased(const struct state *, const char *host);
/* To be called every STATE_LEASE_MS / 4. False: somebody has taken them (we were asleep for too long). */
bool		 state_lease_renew(struct state *);
/* Queued; with the run's end when one is recorded. */
void		 state_lease_drop(struct state *);
/* All leases that count: maps as above. */
const struct value *state_leases(struct state *, struct arena *, struct err *);

/* ---- pending: hosts whose last run failed --------------------------------------- */

#define STATE_TRIES	12	/* then it is given up */

/* Maps host, site, run, partial, reason, tries, first_ms, last_ms, next_ms (null: given up), unanswered ("address port" where no SSH server was, when that is why; or null). due_ms > 0: only what is due then. host may be NULL. */
const struct value *state_pending(struct state *, struct arena *, const char *host,
	    int64_t due_ms, struct err *);

/* Somebody answers there: what is owed to hosts which did not is due at that time, if not before; no try is counted. Queued. */
int		 state_pending_back(struct state *, const char *unanswered, int64_t next_ms,
		    struct err *);

/* ---- care of the database (care.c) ------------------------------------------------ */

/* Drops runs older than so many days with all that belongs to them; a host's last run and what is owed stay. */
int		 state_prune(struct state *, int days, int64_t *ret_runs, struct err *);

/* Bytes of the file, and of these free; can these be given back without writing it anew? */
int		 state_space(struct state *, int64_t *ret_size, int64_t *ret_free,
		    bool *ret_shrinks, struct err *);
/* Writes the file anew: as small as can be, and from then on able to give back. Needs as much space again, and nobody else may write meanwhile. */
int		 state_vacuum(struct state *, struct err *);

#define STATE_KEEP_DAYS	90	/* unless set otherwise */

/* After how many days runs are dropped by themselves; 0: never. -1 with err. */
int		 state_keep_days(struct state *, struct err *);
int		 state_set_keep_days(struct state *, int days, struct err *);
/* That, behind a run: at most once a day, and for two seconds at most (the next time goes on). 0, or -1 with err. */
int		 state_tidy(struct state *, struct err *);
/* A complete copy, also while runs write. The file must not be there yet. */
int		 state_backup(struct state *, const char *path, struct err *);

/* ---- what a program keeps for itself (note.c) -------------------------------------- */

/* A small value by its name: v_null when there is none. NULL with err. */
const struct value *state_note(struct state *, struct arena *, const char *name,
	    struct err *);
/* Queued. */
int		 state_note_set(struct state *, const char *name, const struct value *,
	    struct err *);

#endif
