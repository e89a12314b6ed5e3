/*
 * See check.h.
 *
 * A table at a time (PRAGMA integrity_check of its pages, rows and indices).
 * PATH-check has a line for each that was fine, and "!TABLE" for one that was
 * not: as long as that one cannot be shown to be fine, the database is not
 * opened for writing.  Whoever looks holds a lock on it, so it is not done twice.
 */
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "state/check.h"

#define STEPS		20000	/* of SQLite's machine between two looks at the clock */
#define AGAIN_MS	1000	/* for a table that was damaged the last time */

enum result { FINE, STOPPED, DAMAGED };

struct look {
	const struct db	*db;
	const char	*path;		/* PATH-check */
	int		 fd;
	int64_t		 until_ms;	/* 0: no limit */
	atomic_bool	 stop;
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Non-zero ends the statement. */
static int
progress(void *arg)
{
	const struct look *l = arg;

	return atomic_load(&l->stop) || (l->until_ms != 0 && now_ms() >= l->until_ms);
}

static void
note(struct look *l, const char *mark, const char *table)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addf(&b, "%s%s\n", mark, table);
	/* Without it the table is looked at once more. */
	(void)!write(l->fd, b.data, b.len);
}

/* Is this line in the file? */
static bool
noted(const char *text, const char *mark, const char *table)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addf(&b, "\n%s%s\n", mark, table);
	return strstr(text, buf_str(&b)) != NULL;
}

static enum result
look_at(struct look *l, const char *table, struct err *err)
{
	sqlite3_stmt *st = NULL;
	const char *text;
	enum result r = FINE;
	char *sql = sqlite3_mprintf("PRAGMA integrity_check(%Q)", table);
	int rc = SQLITE_NOMEM;

	if (sql != NULL && (rc = sqlite3_prepare_v2(l->db->sqlite, sql, -1, &st, NULL)) == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(st, 0);
		/* "*** in database main ***" stands on a line of its own. */
		if (text == NULL || strcmp(text, "ok") != 0) {
			(void)db_damaged(l->db, text != NULL ? text : "unreadable", err);
			r = DAMAGED;
		}
	} else if ((rc & 0xff) == SQLITE_INTERRUPT || (rc & 0xff) == SQLITE_BUSY ||
	    (rc & 0xff) == SQLITE_LOCKED) {
		r = STOPPED;
	} else {
		(void)db_err(l->db, rc, "looking it over after a crash", err);
		r = DAMAGED;
	}
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
	if (r == FINE)
		note(l, "", table);
	else if (r == DAMAGED)
		note(l, "!", table);
	return r;
}

/* All tables that are not through yet. */
static enum result
look_at_rest(struct look *l, const char *through, struct err *err)
{
	sqlite3_stmt *st = NULL;
	enum result r = FINE;
	int rc;

	rc = sqlite3_prepare_v2(l->db->sqlite, "SELECT 'sqlite_schema' UNION ALL"
	    " SELECT name FROM sqlite_schema WHERE type = 'table'", -1, &st, NULL);
	sqlite3_progress_handler(l->db->sqlite, STEPS, progress, l);
	while (rc == SQLITE_OK && r == FINE && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(st, 0);

		rc = SQLITE_OK;
		if (noted(through, "!", table)) {
			int64_t until = l->until_ms;

			/* A backup may have been put in its place. */
			l->until_ms = now_ms() + AGAIN_MS;
			if ((r = look_at(l, table, err)) == STOPPED) {
				r = DAMAGED;
				(void)db_damaged(l->db, table, err);
				err_hint(err, "this was found by an earlier run; when the file was restored since, remove '%s'", l->path);
			}
			l->until_ms = until;
		} else if (!noted(through, "", table))
			r = look_at(l, table, err);
	}
	sqlite3_progress_handler(l->db->sqlite, 0, NULL, NULL);
	if (r == FINE && (rc & 0xff) == SQLITE_INTERRUPT)
		r = STOPPED;
	else if (r == FINE && rc != SQLITE_DONE) {
		(void)db_err(l->db, rc, "looking it over after a crash", err);
		r = DAMAGED;
	}
	(void)sqlite3_finalize(st);
	if (r == FINE)
		(void)unlink(l->path);
	return r;
}

/* Begins or goes on with a look; wait: for somebody else who does. False: nothing is to be done, or he does it. */
static bool
open_look(struct look *l, struct arena *a, const struct db *db, bool begin, const char **ret_through)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	l->db = db;
	l->path = arena_printf(a, "%s-check", db->path);
	l->fd = open(l->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (begin ? O_CREAT | O_TRUNC : 0), 0600);
	if (l->fd == -1 || flock(l->fd, LOCK_EX | LOCK_NB) == -1) {
		if (l->fd != -1)
			(void)close(l->fd);
		return false;
	}
	if (begin)
		note(l, "", "");
	if (buf_read_file(&b, l->path) == -1)
		buf_adds(&b, "\n");
	*ret_through = buf_dup(&b, a);
	return true;
}

int
check_first(struct db *db, bool unclean, struct err *err)
{
	struct look l = { .until_ms = now_ms() + CHECK_FIRST_MS };
	struct arena a = { 0 };
	const char *through;
	int r = 0;

	/* What is left of an earlier look is done meanwhile, unless it has found something. */
	if (open_look(&l, &a, db, unclean, &through)) {
		if ((unclean || strstr(through, "\n!") != NULL) &&
		    look_at_rest(&l, through, err) == DAMAGED)
			r = -1;
		(void)close(l.fd);
	}
	arena_release(&a);
	return r;
}

/* ---- in the background ----------------------------------------------------------------- */

struct check {
	struct look	 look;
	struct db	 db;
	struct arena	 arena;
	const char	*through;
	struct writer	*writer;
	pthread_t	 thread;
};

static void *
check_main(void *arg)
{
	struct check *c = arg;
	struct err err = ERR_INIT;

	/* For this thread only: whoever works goes first. */
	(void)setpriority(PRIO_PROCESS, 0, 19);
	if (look_at_rest(&c->look, c->through, &err) == DAMAGED)
		writer_fail(c->writer, &err);
	err_release(&err);
	return NULL;
}

struct check *
check_start(const struct db *of, struct writer *w)
{
	struct check *c = xcalloc(1, sizeof(*c));
	struct err err = ERR_INIT;
	sigset_t all, old;

	c->writer = w;
	if (!open_look(&c->look, &c->arena, of, false, &c->through)) {
		arena_release(&c->arena);
		free(c);
		return NULL;
	}
	c->look.db = &c->db;
	/* Signals are the loop's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (db_open_again(&c->db, of, 0, &err) == -1 ||
	    pthread_create(&c->thread, NULL, check_main, c) != 0) {
		/* The next one does it. */
		err_release(&err);
		db_release(&c->db);
		(void)close(c->look.fd);
		arena_release(&c->arena);
		free(c);
		c = NULL;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return c;
}

void
check_stop(struct check *c)
{
	if (c == NULL)
		return;
	atomic_store(&c->look.stop, true);
	(void)pthread_join(c->thread, NULL);
	db_release(&c->db);
	(void)close(c->look.fd);
	arena_release(&c->arena);
	free(c);
}
