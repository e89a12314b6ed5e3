/*
 * Care of the database: what is too old is dropped, a backup is made while it
 * is in use.
 *
 * A run is dropped in pieces of PRUNE_ROWS results, each a transaction of some
 * milliseconds, so that a run that records meanwhile hardly waits.  So are free
 * pages given back to the disk, by itself only when they are many: each night
 * needs again what the last one left.  Databases of early versions cannot do
 * that (auto_vacuum must be set before the first table) until they were
 * written anew: state_vacuum().
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "state/private.h"
#include "state/sites.h"

#define PRUNE_ROWS	5000	/* results a transaction: a large run has 100,000, and others want to write */
#define PRUNE_EVERY_MS	86400000	/* by itself no more often than that */
#define GAP_MS		(INT64_C(30) * 86400000)	/* nobody was here for so long, or the clock is wrong */
#define PRUNE_MS	2000	/* by itself no longer than that; the next run goes on */
#define SHRINK_PAGES	1000	/* a transaction */
#define SPARE_PART	8	/* by itself when more than the 8th part of the file is free … */
#define SPARE_PAGES	4096	/* … and more than 16 MiB */

/*
 * The oldest run that began before, but never the last of a host's nor one that
 * something is owed for, that drift is told from, or that can still be resumed
 * by hand.
 */
static const char old_run[] =
    "SELECT id FROM runs r WHERE started_ms < ?1"
    " AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.run_id = r.id)"
    " AND NOT EXISTS (SELECT 1 FROM asked a WHERE a.run_id = r.id)"
    " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run_id = r.id)"
    " AND NOT EXISTS (SELECT 1 FROM applied_sites p WHERE p.run_id = r.id)"
    " AND NOT EXISTS (SELECT 1 FROM run_hosts h WHERE h.run_id = r.id"
    "  AND NOT EXISTS (SELECT 1 FROM run_hosts n"
    "   WHERE n.host_id = h.host_id AND n.run_id > r.id))"
    " ORDER BY started_ms LIMIT 1";

/* The first column of a statement's only row, if any; 0: none. -1 with err. ret_changes: rows that it changed, or NULL. */
static int64_t
step(struct state *s, const char *sql, int64_t arg, int64_t *ret_changes, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, sql, err);
	int64_t n = 0;
	int rc;

	if (st == NULL)
		return -1;
	(void)sqlite3_bind_int64(st, 1, arg);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		n = sqlite3_column_int64(st, 0);
		rc = sqlite3_step(st);
	}
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_DONE) {
		(void)db_err(&s->db, rc, "pruning", err);
		return -1;
	}
	if (ret_changes != NULL)
		*ret_changes = sqlite3_changes64(s->db.sqlite);
	return n;
}

/* Until the deadline, or without end (0). 1: nothing is left; 0: time is up; -1 with err. */
static int
prune(struct state *s, int64_t before_ms, int64_t until_ms, int64_t *ret_runs,
    struct err *err)
{
	char rows[128];
	int64_t id, n;

	(void)snprintf(rows, sizeof(rows), "DELETE FROM results WHERE id IN"
	    " (SELECT id FROM results WHERE run_id = ?1 LIMIT %d)", PRUNE_ROWS);
	while ((id = step(s, old_run, before_ms, NULL, err)) > 0) {
		/* Killed in between: a run with a part of its results, which is dropped the next time. */
		do {
			if (step(s, rows, id, &n, err) == -1)
				return -1;
			if (until_ms != 0 && state_now_ms() >= until_ms)
				return 0;
		} while (n == PRUNE_ROWS);
		if (step(s, "DELETE FROM runs WHERE id = ?1", id, &n, err) == -1)
			return -1;
		*ret_runs += n;
	}
	return id == -1 || state_drift_prune(s, before_ms, err) == -1 ||
	    state_sites_prune(s, err) == -1 ? -1 : 1;
}

/* Gives free pages back until so many are left, or it is time. 0, or -1 with err. */
static int
shrink(struct state *s, int64_t keep, int64_t until_ms, struct err *err)
{
	char sql[64];
	int64_t mode, spare, before = INT64_MAX;

	(void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
	if (db_get_int(&s->db, "PRAGMA auto_vacuum", &mode, err) == -1)
		return -1;
	while (mode == 2 && (until_ms == 0 || state_now_ms() < until_ms)) {
		if (db_get_int(&s->db, "PRAGMA freelist_count", &spare, err) == -1)
			return -1;
		/* Less and less, however many others take and leave meanwhile. */
		if (spare <= keep || spare >= before)
			break;
		before = spare;
		if (db_exec(&s->db, sql, "giving back free space", err) == -1)
			return -1;
	}
	return 0;
}

int
state_prune(struct state *s, int days, int64_t *ret_runs, struct err *err)
{
	*ret_runs = 0;
	return state_writable(s, err) == -1 || prune(s, state_now_ms() -
	    (int64_t)days * 86400000, 0, ret_runs, err) == -1 ||
	    shrink(s, 0, 0, err) == -1 ? -1 : 0;
}

int
state_space(struct state *s, int64_t *ret_size, int64_t *ret_free, bool *ret_shrinks,
    struct err *err)
{
	int64_t page, pages, spare, mode;

	if (db_get_int(&s->db, "PRAGMA page_size", &page, err) == -1 ||
	    db_get_int(&s->db, "PRAGMA page_count", &pages, err) == -1 ||
	    db_get_int(&s->db, "PRAGMA freelist_count", &spare, err) == -1 ||
	    db_get_int(&s->db, "PRAGMA auto_vacuum", &mode, err) == -1)
		return -1;
	*ret_size = page * pages;
	*ret_free = page * spare;
	*ret_shrinks = mode == 2;
	return 0;
}

int
state_vacuum(struct state *s, struct err *err)
{
	int r;

	if (state_writable(s, err) == -1)
		return -1;
	/* The copy that it makes may be larger than the memory. */
	r = db_exec(&s->db, "PRAGMA temp_store = FILE; PRAGMA auto_vacuum = INCREMENTAL;"
	    " VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", "writing the database anew", err);
	(void)sqlite3_exec(s->db.sqlite, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
	return r;
}

/* ---- by itself ---------------------------------------------------------------------- */

static int64_t
setting(struct state *s, const char *name, int64_t missing, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, "SELECT value FROM settings WHERE name = ?1", err);
	int64_t n = missing;

	if (st == NULL)
		return -1;
	state_bind_text(st, 1, name);
	if (sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return n;
}

static int
set(struct state *s, const char *name, int64_t value, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, "INSERT INTO settings VALUES (?1, ?2)"
	    " ON CONFLICT DO UPDATE SET value = ?2", err);
	char text[24];
	int rc;

	if (st == NULL)
		return -1;
	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	state_bind_text(st, 1, name);
	state_bind_text(st, 2, text);
	rc = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : db_err(&s->db, rc, "recording", err);
}

int
state_keep_days(struct state *s, struct err *err)
{
	return (int)setting(s, "keep_days", STATE_KEEP_DAYS, err);
}

int
state_set_keep_days(struct state *s, int days, struct err *err)
{
	return state_writable(s, err) == -1 ? -1 : set(s, "keep_days", days, err);
}

/*
 * A clock that is years ahead must not take the history with it.  After a month
 * without any run what is from before it is kept as long as if it were new.
 * 1: so it is now; 0; -1 with err.
 */
static int
after_gap(struct state *s, int64_t now, int days, struct err *err)
{
	int64_t seen = setting(s, "seen_ms", 0, err), gap = setting(s, "gap_ms", 0, err);

	if (seen == -1 || gap == -1)
		return -1;
	if (gap > now) {
		/* It was ahead, and is right again. */
		gap = 0;
		if (set(s, "gap_ms", 0, err) == -1)
			return -1;
	} else if (seen != 0 && now - seen > GAP_MS) {
		gap = now;
		if (set(s, "gap_ms", gap, err) == -1)
			return -1;
	}
	if (set(s, "seen_ms", now, err) == -1)
		return -1;
	return gap != 0 && now - gap < (int64_t)days * 86400000;
}

int
state_tidy(struct state *s, struct err *err)
{
	int64_t now = state_now_ms(), last, runs = 0, pages, spare;
	int days, r;

	if (state_writable(s, err) == -1 || (days = state_keep_days(s, err)) == -1 ||
	    (last = setting(s, "pruned_ms", 0, err)) == -1)
		return -1;
	/* A time in the future: the clock was wrong then. */
	if (days == 0 || (last <= now && now - last < PRUNE_EVERY_MS))
		return 0;
	if ((r = after_gap(s, now, days, err)) != 0)
		return r == 1 ? set(s, "pruned_ms", now, err) : -1;
	r = prune(s, now - (int64_t)days * 86400000, now + PRUNE_MS, &runs, err);
	if (r == 1 && (db_get_int(&s->db, "PRAGMA page_count", &pages, err) == -1 ||
	    db_get_int(&s->db, "PRAGMA freelist_count", &spare, err) == -1 ||
	    (spare > pages / SPARE_PART && spare > SPARE_PAGES &&
	    shrink(s, pages / SPARE_PART / 2, now + PRUNE_MS, err) == -1)))
		r = -1;
	return r == 1 ? set(s, "pruned_ms", now, err) : r;
}

/* ---- backup ---------------------------------------------------------------------------- */

int
state_backup(struct state *s, const char *path, struct err *err)
{
	sqlite3_stmt *st;
	int rc, fd;

	/* Ours alone from the first byte; never over something that is there. */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		int saved = errno;

		(void)err_errno(err, "cannot make the backup '%s'", path);
		if (saved == EEXIST)
			err_hint(err, "it is there already: name another file, or remove it");
		return -1;
	}
	(void)close(fd);
	/* One consistent view, also while runs write. */
	if ((st = state_prepare(s, "VACUUM INTO ?1", err)) == NULL) {
		(void)unlink(path);
		return -1;
	}
	state_bind_text(st, 1, path);
	rc = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_DONE) {
		(void)db_err(&s->db, rc, "backup", err);
		(void)unlink(path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || fsync(fd) == -1) {
		(void)err_errno(err, "cannot write the backup '%s'", path);
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	(void)close(fd);
	return 0;
}
