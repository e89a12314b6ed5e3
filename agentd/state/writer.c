/*
 * The writing thread: see writer.h.
 */
#include <sys/eventfd.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "state/writer.h"

#define BUSY_TRIES	12	/* times the busy timeout of the connection */
#define HOST		"(SELECT id FROM hosts WHERE name = ?1)"

/* Milliseconds until the next try: a minute, doubled with each up to six hours, and a quarter more or less by chance (?7), so that hosts that failed together do not come back together. */
#define STATE_BACKOFF(tries)						\
	"(min(60000 << min(" tries " - 1, 20), 21600000) * (750 + ?7 % 501) / 1000)"

static const char *const statements[SQL_MAX] = {
	[SQL_HOST_ADD] =
	    "INSERT INTO hosts (name, added_ms) VALUES (?1, ?2)"
	    " ON CONFLICT DO NOTHING",
	[SQL_HOST_SET] =
	    "INSERT INTO hosts (name, vars, groups, added_ms) VALUES (?1, ?2, ?3, ?4)"
	    " ON CONFLICT (name) DO UPDATE SET vars = ?2, groups = ?3, forgotten_ms = NULL"
	    " WHERE vars IS NOT ?2 OR groups IS NOT ?3",
	[SQL_HOST_SEEN] =
	    "UPDATE hosts SET last_seen_ms = ?2, forgotten_ms = NULL WHERE name = ?1",
	[SQL_HOST_RENAME] =
	    "UPDATE hosts SET name = ?2 WHERE name = ?1",
	/* The row stays: results refer to it. */
	[SQL_HOST_FORGET] =
	    "UPDATE hosts SET vars = NULL, groups = NULL, facts_ms = NULL,"
	    " forgotten_ms = ?2 WHERE name = ?1",
	[SQL_KEY_PIN] =
	    "INSERT INTO host_keys (host, port, key, pinned_ms) VALUES (?1, ?2, ?3, ?4)"
	    " ON CONFLICT DO NOTHING",
	[SQL_KEY_FORGET] =
	    "DELETE FROM host_keys WHERE host = ?1 AND (?2 = 0 OR port = ?2)",
	[SQL_FACT_SET] =
	    "INSERT INTO facts (host_id, name, value, changed_ms)"
	    " VALUES (" HOST ", ?2, ?3, ?4)"
	    " ON CONFLICT DO UPDATE SET value = ?3, changed_ms = ?4"
	    " WHERE value IS NOT ?3",
	/* ?2: JSON list of the names that a full gathering found */
	[SQL_FACTS_KEEP] =
	    "DELETE FROM facts WHERE host_id = " HOST
	    " AND name NOT IN (SELECT value FROM json_each(?2))",
	[SQL_FACTS_TIME] =
	    "UPDATE hosts SET facts_ms = ?2 WHERE name = ?1",
	[SQL_FACTS_FORGET] =
	    "DELETE FROM facts WHERE host_id = " HOST,
	[SQL_RUN_BEGIN] =
	    "INSERT INTO runs (site, check_only, started_ms, user, pid, version,"
	    " boot, pid_start, options, partial, resumes, site_id)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?11, 0), ?12)",
	[SQL_RUN_END] =
	    "UPDATE runs SET ended_ms = ?2, status = ?3 WHERE id = ?1",
	[SQL_RUN_HOST] =
	    "INSERT OR REPLACE INTO run_hosts (host_id, run_id, ok, changed,"
	    " failed, skipped, unreachable, rescued, ignored)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[SQL_TASK_ADD] =
	    "INSERT INTO tasks (file, line, name, module, role, play, handler)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
	[SQL_RESULT] =
	    "INSERT INTO results (host_id, run_id, outcome, started_ms,"
	    " duration_ms, delegated, msg, class, task_id)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, ?6, ?7, ?15,"
	    " (SELECT id FROM tasks WHERE file = ?8 AND line = ?9 AND name = ?10"
	    " AND module = ?11 AND role = ?12 AND play = ?13 AND handler = ?14))",
	/* of the SQL_RESULT just before */
	[SQL_DETAIL] =
	    "INSERT INTO details (result_id, result, diff)"
	    " VALUES (last_insert_rowid(), ?1, ?2)",
	[SQL_WARNING] =
	    "INSERT INTO warnings (run_id, host, text) VALUES (?1, ?2, ?3)",
	[SQL_RUN_TODO] =
	    "INSERT INTO run_todo (host_id, run_id) VALUES (" HOST ", ?2)"
	    " ON CONFLICT DO NOTHING",
	[SQL_OWED] =
	    "INSERT INTO owed (host_id, run_id, handler, site, since_ms)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
	[SQL_OWED_DONE] =
	    "DELETE FROM owed WHERE host_id = " HOST " AND handler = ?2",
	[SQL_ASKED] =
	    "INSERT OR REPLACE INTO asked (host_id, run_id, file, line, task, since_ms)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, ?6)",
	[SQL_ASKED_DONE] =
	    "DELETE FROM asked WHERE host_id = " HOST
	    " AND file = ?2 AND line = ?3 AND task = ?4",
	[SQL_DOING] =
	    "INSERT OR REPLACE INTO doing (host_id, run_id, file, line, task, since_ms)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, ?6)",
	[SQL_DOING_DONE] =
	    "DELETE FROM doing WHERE run_id = ?2 AND host_id = " HOST,
	/* All of a JSON list of hosts, or none: see lease.c. */
	[SQL_LEASE_TAKE] =
	    "INSERT OR REPLACE INTO leases (host, owner, pid, pid_start, boot,"
	    " token, run_id, site, since_ms, renewed_ms, expires_ms)"
	    " SELECT value, ?2, ?3, ?4, ?5, ?6, (SELECT max(run_id) FROM leases"
	    "  WHERE token = ?6), ?7, ?8, ?8, ?9 FROM json_each(?1)"
	    " WHERE NOT EXISTS (SELECT 1 FROM json_each(?1) j CROSS JOIN leases l"
	    "  ON l.host = j.value WHERE l.token <> ?6"
	    "  AND process_alive(l.boot, l.pid, l.pid_start, l.expires_ms))",
	/* Unless it is not held by others, or these wait for us, however many there are in between. */
	[SQL_LEASE_WAIT] =
	    "INSERT INTO lease_waits (token, host) SELECT ?2, ?1"
	    " WHERE (SELECT token FROM leases WHERE host = ?1) <> ?2"
	    " AND ?2 NOT IN (WITH RECURSIVE ahead(token) AS ("
	    "   SELECT token FROM leases WHERE host = ?1 UNION"
	    "   SELECT l.token FROM ahead b CROSS JOIN lease_waits w ON w.token = b.token"
	    "    CROSS JOIN leases l ON l.host = w.host)"
	    "  SELECT token FROM ahead)",
	[SQL_LEASE_STOP_WAIT] =
	    "DELETE FROM lease_waits WHERE host = ?1 AND token = ?2",
	[SQL_LEASE_RUN] =
	    "UPDATE leases SET run_id = ?2 WHERE token = ?1",
	[SQL_LEASE_RENEW] =
	    "UPDATE leases SET renewed_ms = ?2, expires_ms = ?3 WHERE token = ?1",
	[SQL_LEASE_DROP] =
	    "DELETE FROM leases WHERE token = ?1",
	/* Also those of the dead, whose leases were taken. */
	[SQL_LEASE_DROP_WAITS] =
	    "DELETE FROM lease_waits WHERE token = ?1"
	    " OR NOT EXISTS (SELECT 1 FROM leases l WHERE l.token = lease_waits.token)",
	/* ?6: the last try that is made; ?7: random, in thousandths */
	[SQL_PENDING] =
	    "INSERT INTO pending (host_id, run_id, site, partial, reason, tries,"
	    " first_ms, last_ms, next_ms, unanswered)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, 1, ?8, ?8, ?8 + " STATE_BACKOFF("1") ", ?9)"
	    " ON CONFLICT DO UPDATE SET run_id = ?2, partial = ?4, reason = ?5,"
	    " tries = tries + 1, last_ms = ?8, unanswered = ?9,"
	    " next_ms = CASE WHEN tries + 1 >= ?6 THEN NULL"
	    " ELSE ?8 + " STATE_BACKOFF("(tries + 1)") " END",
	/* A part of the tasks that went well does not settle what the whole owes. */
	[SQL_PENDING_DONE] =
	    "DELETE FROM pending WHERE host_id = " HOST " AND site = ?2"
	    " AND (?3 = 0 OR partial = 1)",
	[SQL_PENDING_BACK] =
	    "UPDATE pending SET next_ms = ?2 WHERE unanswered = ?1"
	    " AND coalesce(next_ms, ?2 + 1) > ?2",
	[SQL_BEFORE] =
	    "INSERT INTO before (host_id, run_id, task, user, quiet, path, was, made)"
	    " VALUES (" HOST ", ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_NOTE] =
	    "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
	[SQL_RUN_SITE] =
	    "UPDATE runs SET site_id = ?2 WHERE id = ?1",
	[SQL_APPLIED] =
	    "INSERT INTO applied (host_id, task, desired) VALUES (" HOST ", ?2, ?3)"
	    " ON CONFLICT DO UPDATE SET desired = ?3",
	[SQL_APPLIED_SITE] =
	    "INSERT INTO applied_sites (host_id, run_id, site) VALUES (" HOST ", ?2, ?3)"
	    " ON CONFLICT DO UPDATE SET run_id = ?2",
	[SQL_DRIFT_SEEN] =
	    "INSERT INTO drift (host_id, first_run, last_run, site, task, item,"
	    " first_ms, last_ms, seen, diff, task_id)"
	    " VALUES (" HOST ", ?2, ?2, ?3, ?4, ?5, ?6, ?6, 1, ?7,"
	    " (SELECT id FROM tasks WHERE file = ?8 AND line = ?9 AND name = ?10"
	    " AND module = ?11 AND role = ?12 AND play = ?13 AND handler = ?14))"
	    " ON CONFLICT (host_id, task) WHERE closed_ms IS NULL DO UPDATE SET"
	    " last_run = ?2, last_ms = ?6, seen = seen + 1, diff = ?7,"
	    " task_id = excluded.task_id",
	[SQL_DRIFT_CLOSE] =
	    "UPDATE drift SET closed_run = ?2, closed_ms = ?4, how = ?5"
	    " WHERE host_id = " HOST " AND task = ?3 AND closed_ms IS NULL",
	[SQL_DRIFT_REST] =
	    "UPDATE drift SET closed_run = ?2, closed_ms = ?4, how = 'replaced'"
	    " WHERE host_id = " HOST " AND site = ?3 AND closed_ms IS NULL",
	[SQL_SITE_FORGET] =
	    "DELETE FROM applied_sites WHERE site = ?1",
	[SQL_SITE_FORGET_DRIFT] =
	    "UPDATE drift SET closed_ms = ?2, how = 'forgotten'"
	    " WHERE site = ?1 AND closed_ms IS NULL",
	[SQL_HOST_FORGET_SITES] =
	    "DELETE FROM applied_sites WHERE host_id = " HOST,
	[SQL_HOST_FORGET_DRIFT] =
	    "UPDATE drift SET closed_ms = ?2, how = 'forgotten'"
	    " WHERE host_id = " HOST " AND closed_ms IS NULL",
};

struct bound {
	char		 type;
	int64_t		 i;
	const char	*s;	/* behind the job; NULL: null */
	size_t		 len;
};

struct job {
	struct job	*next;
	enum sql	 sql;
	size_t		 size;
	unsigned	 n;
	struct bound	 v[];
};

struct writer {
	struct db	 db;		/* the thread's */
	sqlite3_stmt	*stmt[SQL_MAX];	/* the thread's */
	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* of all below */
	pthread_cond_t	 work;		/* something was queued, or somebody waits */
	pthread_cond_t	 done;		/* a batch is through */
	struct job	*head, **tail;
	size_t		 bytes;		/* queued */
	uint64_t	 nqueued, ndone;	/* jobs ever */
	uint64_t	 nsafe;		/* jobs that are on the disk for sure */
	unsigned	 nsyncing;	/* callers in writer_sync */
	unsigned	 nholding;	/* between writer_hold and writer_release */
	unsigned	 nwaiting;	/* callers in writer_run */
	uint64_t	 run_job;	/* nqueued when the last SQL_RUN_BEGIN was queued; 0: none */
	int64_t		 run_id;
	bool		 stop;
	bool		 hurry;
	int		 notify_fd;	/* -1: none */
	struct err	 err;		/* the first one */
};

/* ---- the thread ------------------------------------------------------------------ */

static int
bind_all(sqlite3_stmt *st, const struct job *j, int64_t run_id)
{
	unsigned i;
	int rc = SQLITE_OK;

	for (i = 0; i < j->n && rc == SQLITE_OK; i++) {
		const struct bound *b = &j->v[i];
		int at = (int)i + 1;

		if (b->type == 'i')
			rc = sqlite3_bind_int64(st, at, b->i);
		else if (b->type == 'r')
			rc = sqlite3_bind_int64(st, at, run_id);
		else if (b->s == NULL)
			rc = sqlite3_bind_null(st, at);
		else
			rc = sqlite3_bind_text64(st, at, b->s, b->len,
			    SQLITE_STATIC, SQLITE_UTF8);
	}
	return rc;
}

static int
perform(struct writer *w, const struct job *j, int64_t *run_id, struct err *err)
{
	sqlite3_stmt *st = w->stmt[j->sql];
	int rc;

	if (st == NULL) {
		rc = sqlite3_prepare_v3(w->db.sqlite, statements[j->sql], -1,
		    SQLITE_PREPARE_PERSISTENT, &st, NULL);
		if (rc != SQLITE_OK)
			return db_err(&w->db, rc, "recording", err);
		w->stmt[j->sql] = st;
	}
	if ((rc = bind_all(st, j, *run_id)) == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_DONE) {
		(void)db_err(&w->db, rc, "recording", err);
		(void)sqlite3_reset(st);
		return -1;
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	if (j->sql == SQL_RUN_BEGIN)
		*run_id = sqlite3_last_insert_rowid(w->db.sqlite);
	return 0;
}

static int
begin(struct writer *w, struct err *err)
{
	int i, rc = SQLITE_OK;

	/* A long backup or a person at the sqlite3 shell: patience, the queue holds. */
	for (i = 0; i < BUSY_TRIES; i++) {
		rc = sqlite3_exec(w->db.sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
		if ((rc & 0xff) != SQLITE_BUSY)
			break;
	}
	return rc == SQLITE_OK ? 0 : db_err(&w->db, rc, "recording", err);
}

/* One transaction; durable: it is to be on the disk before we go on. */
static int
commit_batch(struct writer *w, const struct job *j, bool durable,
    int64_t *run_id, struct err *err)
{
	if (durable && db_exec(&w->db, "PRAGMA synchronous = FULL", "recording",
	    err) == -1)
		return -1;
	if (begin(w, err) == -1)
		return -1;
	for (; j != NULL; j = j->next)
		if (perform(w, j, run_id, err) == -1)
			goto rollback;
	if (db_exec(&w->db, "COMMIT", "recording", err) == -1)
		goto rollback;
	if (durable)
		(void)db_exec(&w->db, "PRAGMA synchronous = NORMAL", "recording",
		    err);
	return 0;
rollback:
	(void)sqlite3_exec(w->db.sqlite, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

static void
free_jobs(struct job *j)
{
	struct job *next;

	for (; j != NULL; j = next) {
		next = j->next;
		free(j);
	}
}

/* Waits some time for more, unless somebody waits for us. Locked. */
static void
linger(struct writer *w)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WRITER_LINGER_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while (!w->stop && !w->hurry && w->nsyncing + w->nwaiting == 0 && w->bytes < WRITER_QUEUE_MAX / 2 &&
	    pthread_cond_timedwait(&w->work, &w->lock, &until) != ETIMEDOUT)
		;
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	int64_t run_id = 0;	/* ours: what is queued behind the next run's begin has cleared w->run_id already */

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		struct err err = ERR_INIT;
		struct job *jobs;
		uint64_t n;
		int64_t before = run_id;
		bool durable, failed;

		while (w->head == NULL && !w->stop &&
		    !(w->nsyncing > 0 && w->nsafe < w->ndone && w->err.code == ERR_NONE))
			(void)pthread_cond_wait(&w->work, &w->lock);
		if (w->head == NULL && w->stop)
			break;
		linger(w);
		while (w->nholding > 0)
			(void)pthread_cond_wait(&w->work, &w->lock);
		jobs = w->head;
		w->head = NULL;
		w->tail = &w->head;
		w->bytes = 0;
		w->hurry = false;
		n = w->nqueued;
		durable = w->nsyncing > 0 || w->stop;
		failed = w->err.code != ERR_NONE;
		(void)pthread_cond_broadcast(&w->done);	/* there is room again */
		(void)pthread_mutex_unlock(&w->lock);
		if (!failed && jobs != NULL)
			(void)commit_batch(w, jobs, durable, &run_id, &err);
		else if (!failed)
			/* Committed before, but not known to be on the disk. */
			(void)db_exec(&w->db, "PRAGMA wal_checkpoint(PASSIVE)",
			    "recording", &err);
		free_jobs(jobs);
		(void)pthread_mutex_lock(&w->lock);
		if (err.code != ERR_NONE)
			err_move(&w->err, &err);
		else if (run_id != before)
			w->run_id = run_id;
		w->ndone = n;
		if (durable)
			w->nsafe = n;
		(void)pthread_cond_broadcast(&w->done);
		if (w->notify_fd != -1)
			(void)eventfd_write(w->notify_fd, 1);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the loop's side ------------------------------------------------------------------ */

struct writer *
writer_start(struct db *db)
{
	struct writer *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t attr;
	sigset_t all, old;

	w->notify_fd = -1;
	w->db = *db;
	*db = (struct db){ .lock_fd = -1 };
	w->tail = &w->head;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->work, &attr);
	(void)pthread_cond_init(&w->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	/* Signals are the loop's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&w->thread, NULL, writer_main, w) != 0)
		abort();	/* no memory for a thread */
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return w;
}

/* A job with its texts behind it, in one piece of memory. */
static struct job *
job_new(enum sql sql, const char *types, va_list ap)
{
	size_t n = strlen(types), text = 0, i;
	struct bound v[16];
	struct job *j;
	char *p;

	assert(n <= NITEMS(v));
	for (i = 0; i < n; i++) {
		v[i] = (struct bound){ .type = types[i] };
		if (types[i] == 'i')
			v[i].i = va_arg(ap, int64_t);
		else if (types[i] == 's' &&
		    (v[i].s = va_arg(ap, const char *)) != NULL) {
			v[i].len = strlen(v[i].s);
			text += v[i].len + 1;
		}
	}
	j = xmalloc(sizeof(*j) + n * sizeof(v[0]) + text);
	*j = (struct job){ .sql = sql, .n = (unsigned)n,
	    .size = sizeof(*j) + n * sizeof(v[0]) + text };
	p = (char *)&j->v[n];
	for (i = 0; i < n; i++) {
		j->v[i] = v[i];
		if (v[i].s == NULL)
			continue;
		memcpy(p, v[i].s, v[i].len + 1);
		j->v[i].s = p;
		p += v[i].len + 1;
	}
	return j;
}

void
writer_put(struct writer *w, enum sql sql, const char *types, ...)
{
	struct job *j;
	va_list ap;

	va_start(ap, types);
	j = job_new(sql, types, ap);
	va_end(ap);
	(void)pthread_mutex_lock(&w->lock);
	while (w->nholding == 0 && w->bytes > 0 &&
	    w->bytes + j->size > WRITER_QUEUE_MAX) {
		(void)pthread_cond_signal(&w->work);
		(void)pthread_cond_wait(&w->done, &w->lock);
	}
	*w->tail = j;
	w->tail = &j->next;
	w->bytes += j->size;
	w->nqueued++;
	if (sql == SQL_RUN_BEGIN) {
		w->run_job = w->nqueued;
		w->run_id = 0;
	}
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

/* Locked. */
static int
first_error(struct writer *w, struct err *err)
{
	if (w->err.code == ERR_NONE)
		return 0;
	(void)err_set(err, w->err.code, "%s", w->err.msg);
	if (w->err.hint != NULL)
		err_hint(err, "%s", w->err.hint);
	return -1;
}

int
writer_sync(struct writer *w, struct err *err)
{
	uint64_t until;
	int r;

	(void)pthread_mutex_lock(&w->lock);
	until = w->nqueued;
	w->nsyncing++;
	(void)pthread_cond_signal(&w->work);
	while (w->nsafe < until && w->err.code == ERR_NONE)
		(void)pthread_cond_wait(&w->done, &w->lock);
	w->nsyncing--;
	r = first_error(w, err);
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

void
writer_hold(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->nholding++;
	(void)pthread_mutex_unlock(&w->lock);
}

void
writer_release(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->nholding--;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void
writer_commit(struct writer *w)
{
	uint64_t until;

	(void)pthread_mutex_lock(&w->lock);
	until = w->nqueued;
	w->nwaiting++;
	(void)pthread_cond_signal(&w->work);
	while (w->ndone < until && w->err.code == ERR_NONE)
		(void)pthread_cond_wait(&w->done, &w->lock);
	w->nwaiting--;
	(void)pthread_mutex_unlock(&w->lock);
}

void
writer_hurry(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->hurry = w->head != NULL;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void
writer_fail(struct writer *w, struct err *err)
{
	(void)pthread_mutex_lock(&w->lock);
	if (w->err.code == ERR_NONE)
		err_move(&w->err, err);
	(void)pthread_cond_broadcast(&w->done);
	if (w->notify_fd != -1)
		(void)eventfd_write(w->notify_fd, 1);
	(void)pthread_mutex_unlock(&w->lock);
}

int
writer_failed(struct writer *w, struct err *err)
{
	int r;

	(void)pthread_mutex_lock(&w->lock);
	r = first_error(w, err);
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

uint64_t
writer_queued(struct writer *w)
{
	uint64_t n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->nqueued;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

uint64_t
writer_done(struct writer *w)
{
	uint64_t n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->err.code == ERR_NONE ? w->ndone : w->nqueued;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

void
writer_notify(struct writer *w, int fd)
{
	(void)pthread_mutex_lock(&w->lock);
	w->notify_fd = fd;
	(void)pthread_mutex_unlock(&w->lock);
}

int64_t
writer_run(struct writer *w)
{
	int64_t id;

	(void)pthread_mutex_lock(&w->lock);
	w->nwaiting++;
	(void)pthread_cond_signal(&w->work);
	while (w->run_job > w->ndone && w->err.code == ERR_NONE)
		(void)pthread_cond_wait(&w->done, &w->lock);
	w->nwaiting--;
	id = w->run_id;
	(void)pthread_mutex_unlock(&w->lock);
	return id;
}

void
writer_stop(struct writer *w)
{
	size_t i;

	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	for (i = 0; i < SQL_MAX; i++)
		(void)sqlite3_finalize(w->stmt[i]);
	db_release(&w->db);
	free_jobs(w->head);
	err_release(&w->err);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_cond_destroy(&w->done);
	free(w);
}
