/*
 * Care of the database: what is too old is dropped, a backup is made while it
 * is in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "state/private.h"

#define PRUNE_RUNS	1	/* runs a transaction: a large one has 100,000 results, and others want to write */

/* Rows that the statement removes or changes. -1 with err. */
static int64_t
step(struct state *s, const char *sql, int64_t before_ms, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, sql, err);
	int rc;

	if (st == NULL)
		return -1;
	(void)sqlite3_bind_int64(st, 1, before_ms);
	rc = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_DONE) {
		(void)db_err(&s->db, rc, "pruning", err);
		return -1;
	}
	return sqlite3_changes64(s->db.sqlite);
}

/*
 * Runs that ended before, but never the last of a host's nor one that
 * something is owed for or that can still be resumed by hand.
 */
#define OLD_RUNS							\
	"SELECT id FROM runs r WHERE started_ms < ?1"			\
	" AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.run_id = r.id)"	\
	" AND NOT EXISTS (SELECT 1 FROM asked a WHERE a.run_id = r.id)"	\
	" AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run_id = r.id)"	\
	" AND NOT EXISTS (SELECT 1 FROM run_hosts h WHERE h.run_id = r.id"	\
	"  AND NOT EXISTS (SELECT 1 FROM run_hosts n"			\
	"   WHERE n.host_id = h.host_id AND n.run_id > r.id))"

int
state_prune(struct state *s, int days, int64_t *ret_runs, struct err *err)
{
	int64_t before = state_now_ms() - (int64_t)days * 86400000, n;
	char sql[1024];

	if (state_writable(s, err) == -1)
		return -1;
	*ret_runs = 0;
	(void)snprintf(sql, sizeof(sql), "DELETE FROM runs WHERE id IN (" OLD_RUNS
	    " ORDER BY id LIMIT %d)", PRUNE_RUNS);
	/* Results, details and warnings go with their run. */
	while ((n = step(s, sql, before, err)) > 0)
		*ret_runs += n;
	if (n == -1)
		return -1;
	return db_exec(&s->db, "PRAGMA optimize",
	    "pruning", err);
}

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
