/*
 * The writing thread of the state database.
 *
 *	event loop ── writer_put() ──▶ queue ──▶ thread: BEGIN, all that waits, COMMIT
 *	                └──────────── writer_sync() ◀──┘
 *
 * A write is the number of a statement (the rows of writer.c) and the values
 * to bind.  The thread collects for WRITER_LINGER_MS before it commits, so a
 * run makes few transactions, and a crash loses no more than that.  The queue
 * has a maximum; who fills it faster than the disk takes it waits.
 *
 * After an error nothing more is written (a history with holes would lie) and
 * writer_sync() returns that first error.
 */
#ifndef PROVCTL_STATE_WRITER_H
#define PROVCTL_STATE_WRITER_H

#include "state/db.h"

#define WRITER_LINGER_MS	50
#define WRITER_QUEUE_MAX	((size_t)64 * 1024 * 1024)	/* bytes */

enum sql {
	SQL_HOST_ADD, SQL_HOST_SET, SQL_HOST_SEEN, SQL_HOST_RENAME, SQL_HOST_FORGET,
	SQL_KEY_PIN, SQL_KEY_FORGET,
	SQL_FACT_SET, SQL_FACTS_KEEP, SQL_FACTS_TIME, SQL_FACTS_FORGET,
	SQL_RUN_BEGIN, SQL_RUN_END, SQL_RUN_HOST,
	SQL_TASK_ADD, SQL_RESULT, SQL_DETAIL, SQL_WARNING,
	SQL_RUN_TODO, SQL_OWED, SQL_OWED_DONE, SQL_ASKED, SQL_ASKED_DONE,
	SQL_DOING, SQL_DOING_DONE,
	SQL_LEASE_TAKE, SQL_LEASE_WAIT, SQL_LEASE_STOP_WAIT,
	SQL_LEASE_RUN, SQL_LEASE_RENEW, SQL_LEASE_DROP, SQL_LEASE_DROP_WAITS,
	SQL_PENDING, SQL_PENDING_DONE, SQL_PENDING_BACK,
	SQL_NOTE, SQL_BEFORE,
	SQL_RUN_SITE, SQL_APPLIED, SQL_APPLIED_SITE, SQL_DRIFT_SEEN, SQL_DRIFT_CLOSE,
	SQL_DRIFT_REST, SQL_SITE_FORGET, SQL_SITE_FORGET_DRIFT, SQL_HOST_FORGET_SITES,
	SQL_HOST_FORGET_DRIFT,
	SQL_MAX
};

struct writer;

/* Starts the thread with a connection of its own, which it owns from then on. */
struct writer	*writer_start(struct db *);
/*
 * Queues a statement. types: one letter for each value: 's' const char * (may
 * be NULL), 'i' int64_t, 'r' the run begun last (no argument).
 */
void		 writer_put(struct writer *, enum sql, const char *types, ...);
/* Waits until all that is queued is committed and on the disk. 0, or -1 with the first error. */
int		 writer_sync(struct writer *, struct err *);
/* What is queued between the two is committed together. Not for long: the thread waits. */
void		 writer_hold(struct writer *);
void		 writer_release(struct writer *);
/* Waits until all that is queued is committed: a crash of the program does not lose it, a power failure may. */
void		 writer_commit(struct writer *);
/* What is queued is committed without lingering; does not wait. */
void		 writer_hurry(struct writer *);
/* Nothing more is to be written: as if that were the writer's own first error. */
void		 writer_fail(struct writer *, struct err *);
/* 0, or -1 with the first error. */
int		 writer_failed(struct writer *, struct err *);
/* How many statements were queued, and how many of them are committed (all, after an error). */
uint64_t	 writer_queued(struct writer *);
uint64_t	 writer_done(struct writer *);
/* From now on a byte is written to this eventfd after each batch; -1: no longer. */
void		 writer_notify(struct writer *, int fd);
/* The number of the run that SQL_RUN_BEGIN made; waits for it. 0: none, or it could not be written. */
int64_t		 writer_run(struct writer *);
/* Syncs, ends the thread, closes its connection. */
void		 writer_stop(struct writer *);

#endif
