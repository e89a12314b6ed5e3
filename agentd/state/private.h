/*
 * What the files of this folder share about a struct state.
 */
#ifndef PROVCTL_STATE_PRIVATE_H
#define PROVCTL_STATE_PRIVATE_H

#include "state/check.h"
#include "state/drift.h"
#include "state/seal.h"
#include "state/state.h"
#include "state/writer.h"

#define DRIFT_BUCKETS	256

struct state {
	struct arena	 arena;
	struct db	 db;		/* for reading, and for what must be done before a run begins */
	struct writer	*writer;	/* NULL: read-only */
	struct check	*check;		/* under way; or NULL */
	struct value	*keys;		/* "host:port" → list of keys, as far as asked for or pinned */
	struct arena	 how_arena;	/* of the run that is to come: */
	struct state_run_how how;
	const char	*sealed;	/* its options, encrypted */
	struct arena	 run_arena;	/* of the run that is recorded: */
	struct value	*seen_hosts, *seen_tasks;
	struct value	*reasons;	/* host → why it failed */
	struct value	*unanswered;	/* host → where nobody answered, when that is why */
	struct value	*doing;		/* host → bool: was sent something, has not answered */
	struct value	*through;	/* host → bool: all went well */
	struct value	*owed;		/* "host\nhandler" as owed when the run began, without what succeeded since */
	struct value	*doubts;	/* "host\nfile:line\ntask": asked by earlier runs, never answered */
	const char	*site;		/* of the run */
	struct drift_host *drift_hosts[DRIFT_BUCKETS];	/* what is known of its hosts; drift.c's */
	struct drift_key drift_key;	/* of the event at hand */
	struct arena	 lease_arena;
	char		 lease[33];	/* token; "": none held nor asked for */
	struct value	*leased;	/* list of names; NULL: none held */
	struct value	*leased_later;	/* likewise: not the run's own hosts */
	struct seal	*seal;		/* key, loaded when first needed */
};

int64_t	 state_now_ms(void);
/* err when the state was opened for reading only. */
int	 state_writable(struct state *, struct err *);

/* ---- recording (record.c) ---------------------------------------------------- */

/* As recorded: a site that stands elsewhere for this run keeps its names. */
const char	*state_file_of(const struct state *, const struct mark *);
/* The unified diffs of a result and of a loop's items, or NULL. */
const char	*state_diffs(struct arena *, const struct value *result);
/* What an EV_ITEM or EV_TASK_END that was classified says of drift; its host and task have rows. */
void		 drift_record(struct state *, const struct event *);
/* A host is through all of a site: what is still open of it is not asked for any more. */
void		 drift_through(struct state *, const char *host);

/* ---- reading (read.c) ------------------------------------------------------ */

/* How a column becomes a value. */
enum column { COL_TEXT, COL_INT, COL_BOOL, COL_JSON };

struct columns {
	const char	*name;	/* NULL ends */
	enum column	 type;
};

/* NULL with err. */
sqlite3_stmt	*state_prepare(struct state *, const char *sql, struct err *);
/* All rows as maps. Finalizes. NULL with err. */
struct value	*state_rows(struct state *, struct arena *, sqlite3_stmt *,
		    const struct columns *, struct err *);
/* The rows of a query about one number, ?1. NULL with err. */
struct value	*state_rows_of(struct state *, struct arena *, int64_t id, const char *sql,
		    const struct columns *, struct err *);
/* A run without its results, as state_runs() has it. NULL with err when there is none. */
struct value	*state_run_row(struct state *, struct arena *, int64_t id, struct err *);
void		 state_bind_text(sqlite3_stmt *, int i, const char *text);

/* ---- leases (lease.c) -------------------------------------------------------- */

/* Functions that its statements use. 0, or -1 with err. */
int	 lease_functions(struct db *, struct err *);

/* ---- before-images (before.c) ------------------------------------------------ */

/* Queues the rows of an EV_BEFORE. */
void	 before_put(struct state *, const struct event *);

/* ---- processes (process.c) -------------------------------------------------- */

/* This boot of this machine, and the namespace that process numbers count in. */
const char	*process_boot(void);
/* When a process started, in the kernel's ticks; 0: there is none, or it cannot be told. */
int64_t		 process_start(int64_t pid);
/* Is that process still there? One of another machine: until its lease expires (0: no). */
bool		 process_alive(const char *boot, int64_t pid, int64_t start,
		    int64_t expires_ms);

/* ---- secrets at rest (seal.c) ------------------------------------------------ */

void		 seal_free(struct seal *);

#endif
