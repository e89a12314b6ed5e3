/*
 * Opening the state database.
 *
 * Files: PATH, SQLite's PATH-wal and PATH-shm, and PATH-use, which every
 * program holds a shared flock on while it has the database open.  Nobody but
 * us there although a write-ahead log is left over: the last program was
 * killed, and the database is looked over before it is used.
 * The kernel drops the lock with the process, so this cannot be fooled by a
 * crash; flock and SQLite's fcntl locks do not know each other.
 *
 * All that can be known at once is an error at once: that the file cannot be
 * written, belongs to another program, to a newer provctl, is damaged, or that
 * somebody holds the write lock.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "state/check.h"
#include "state/db.h"

#ifndef STATE_SQL_FILE
#error "STATE_SQL_FILE: path of schema/state.sql"
#endif

__asm__(
    ".pushsection .rodata\n"
    ".global db_schema_sql\n"
    ".type db_schema_sql, @object\n"
    "db_schema_sql:\n"
    ".incbin \"" STATE_SQL_FILE "\"\n"
    ".byte 0\n"
    ".size db_schema_sql, . - db_schema_sql\n"
    ".popsection\n");

#define MIGRATION	"-- migration "
#define SPACE_MIN	((uint64_t)64 * 1024)	/* bytes: less is none */

/* ---- errors ------------------------------------------------------------------ */

/* Who holds a lock on one of the database's files, as "NAME (pid N)"; NULL when it cannot be told. */
static const char *
lock_holder(struct arena *a, const char *path)
{
	static const char *const suffixes[] = { "", "-shm", "-wal" };
	struct stat st[NITEMS(suffixes)];
	bool have[NITEMS(suffixes)];
	char line[256], name[64] = "";
	FILE *f;
	size_t i;
	long pid = 0;

	for (i = 0; i < NITEMS(suffixes); i++)
		have[i] = stat(arena_printf(a, "%s%s", path, suffixes[i]),
		    &st[i]) == 0;
	if ((f = fopen("/proc/locks", "re")) == NULL)
		return NULL;
	while (pid == 0 && fgets(line, sizeof(line), f) != NULL) {
		unsigned major, minor;
		unsigned long inode;
		char kind[16];
		long owner;

		if (sscanf(line, "%*d: POSIX %*15s %15s %ld %x:%x:%lu", kind,
		    &owner, &major, &minor, &inode) != 5 ||
		    strcmp(kind, "WRITE") != 0 || owner == getpid())
			continue;
		for (i = 0; i < NITEMS(suffixes); i++)
			if (have[i] && st[i].st_ino == inode)
				pid = owner;
	}
	(void)fclose(f);
	if (pid <= 0)
		return NULL;
	f = fopen(arena_printf(a, "/proc/%ld/comm", pid), "re");
	if (f != NULL) {
		if (fgets(name, sizeof(name), f) == NULL)
			name[0] = '\0';
		name[strcspn(name, "\n")] = '\0';
		(void)fclose(f);
	}
	for (i = 0; name[i] != '\0'; i++)
		if (name[i] < ' ' || name[i] > '~')
			name[i] = '?';
	return arena_printf(a, "%s (pid %ld)",
	    name[0] != '\0' ? name : "a process", pid);
}

static int
busy(const struct db *db, struct err *err)
{
	struct arena a = { 0 };
	const char *holder = lock_holder(&a, db->path);

	(void)err_set(err, ERR_BUSY, "the state database '%s' is locked by %s",
	    db->path, holder != NULL ? holder : "another program");
	err_hint(err, "wait until it has finished, end it, or use another database with --state FILE");
	arena_release(&a);
	return -1;
}

int
db_damaged(const struct db *db, const char *what, struct err *err)
{
	(void)err_set(err, ERR_INVALID, "the state database '%s' is damaged: %s",
	    db->path, what);
	err_hint(err, "restore a backup, or try `sqlite3 %s .recover`; moving the file away starts an empty one (pinned host keys and the history are lost)",
	    db->path);
	return -1;
}

static int
not_writable(const struct db *db, const char *why, struct err *err)
{
	(void)err_set(err, ERR_IO, "the state database '%s' cannot be written: %s",
	    db->path, why);
	err_hint(err, "run as its owner, or use another database with --state FILE");
	return -1;
}

/* SQLite's log and its index are files too; what they lack of a full disk is told as an error of input and output. */
static bool
no_space(const struct db *db)
{
	int saved = db->sqlite != NULL ? sqlite3_system_errno(db->sqlite) : 0;
	struct statvfs fs;

	return saved == ENOSPC || saved == EDQUOT || (statvfs(db->path, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_MIN);
}

static int
full(const struct db *db, const char *doing, struct err *err)
{
	(void)err_set(err, ERR_IO, "%s: no space left for the state database '%s'",
	    doing, db->path);
	err_hint(err, "free some space; what was recorded so far is kept");
	return -1;
}

int
db_err(const struct db *db, int rc, const char *doing, struct err *err)
{
	const char *msg = db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) :
	    sqlite3_errstr(rc);

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return busy(db, err);
	case SQLITE_CORRUPT:
		return db_damaged(db, msg, err);
	case SQLITE_NOTADB:
		(void)err_set(err, ERR_INVALID,
		    "'%s' is not a state database (nor any SQLite database)",
		    db->path);
		err_hint(err, "is it damaged? Restore a backup; moving the file away starts an empty one");
		return -1;
	case SQLITE_READONLY:
		return not_writable(db, "it is read-only", err);
	case SQLITE_FULL:
		return full(db, doing, err);
	case SQLITE_IOERR:
		if (no_space(db))
			return full(db, doing, err);
		return err_set(err, ERR_IO, "%s: state database '%s': %s", doing,
		    db->path, msg);
	case SQLITE_CANTOPEN:
		if (no_space(db))
			return full(db, doing, err);
		(void)err_set(err, ERR_IO, "cannot open the state database '%s' or the files beside it (-wal, -shm)",
		    db->path);
		err_hint(err, "its directory must be writable; or use another database with --state FILE");
		return -1;
	default:
		return err_set(err, ERR_IO, "%s: state database '%s': %s", doing,
		    db->path, msg);
	}
}

int
db_exec(const struct db *db, const char *sql, const char *doing, struct err *err)
{
	int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_err(db, rc, doing, err);
}

int
db_get_int(const struct db *db, const char *sql, int64_t *ret, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if ((rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &st, NULL)) == SQLITE_OK &&
	    (rc = sqlite3_step(st)) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(st, 0);
		(void)sqlite3_finalize(st);
		return 0;
	}
	(void)sqlite3_finalize(st);
	return db_err(db, rc, "opening", err);
}

/* ---- files ------------------------------------------------------------------------ */

/* Makes missing directories, only for us. */
static int
make_dirs(const char *path, struct err *err)
{
	CLEANUP_FREE char *copy = xstrdup(path);
	char *dir, *p;

	if (strchr(path, '/') == NULL)
		return 0;	/* beside us; dirname() would give a constant */
	dir = dirname(copy);
	for (p = dir + 1; *dir != '\0'; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
			int saved = errno;
			struct stat st;

			/* A read-only file system says so before it looks. */
			if (stat(dir, &st) == -1) {
				errno = saved;
				(void)err_errno(err, "cannot create the directory '%s' for the state database", dir);
				err_hint(err, "use another place with --state FILE");
				return -1;
			}
		}
		*p = c;
		if (c == '\0')
			break;
	}
	return 0;
}

static int
prepare_file(const struct db *db, struct err *err)
{
	struct stat st;
	int fd;

	if (stat(db->path, &st) == 0) {
		if (!S_ISREG(st.st_mode)) {
			(void)err_set(err, ERR_USAGE,
			    "'%s' is no file: it cannot be the state database",
			    db->path);
			err_hint(err, "--state takes the path of a file");
			return -1;
		}
		return 0;
	}
	if (errno != ENOENT)
		return err_errno(err, "cannot open the state database '%s'",
		    db->path);
	if (db->read_only) {
		(void)err_set(err, ERR_IO, "there is no state database at '%s'",
		    db->path);
		err_hint(err, "`provctl apply` makes it; --state FILE names another place");
		return -1;
	}
	if (make_dirs(db->path, err) == -1)
		return -1;
	/* Never open a file that SQLite may have open: closing it would drop its locks. */
	fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 && errno != EEXIST) {
		(void)err_errno(err, "cannot create the state database '%s'",
		    db->path);
		err_hint(err, "use another place with --state FILE");
		return -1;
	}
	if (fd != -1)
		(void)close(fd);
	return 0;
}

/* Holds PATH-use; *ret_unclean: a log was left over by a program that is gone. */
static void
mark_use(struct db *db, bool *ret_unclean)
{
	struct arena a = { 0 };
	struct stat st;

	*ret_unclean = false;
	db->lock_fd = open(arena_printf(&a, "%s-use", db->path),
	    (db->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (db->lock_fd != -1 &&
	    stat(arena_printf(&a, "%s-wal", db->path), &st) == 0 &&
	    st.st_size > 0 && flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0)
		*ret_unclean = true;
	if (db->lock_fd != -1)
		(void)flock(db->lock_fd, LOCK_SH);
	arena_release(&a);
}

/* ---- schema ------------------------------------------------------------------------- */

/* The section that leads to a version; NULL when there is none. */
static const char *
section(int64_t version, size_t *ret_len)
{
	const char *p = db_schema_sql, *start = NULL;

	while ((p = strstr(p, "\n" MIGRATION)) != NULL) {
		p += 1 + strlen(MIGRATION);
		if (start != NULL) {
			*ret_len = (size_t)(p - start);
			return start;
		}
		if (strtoll(p, NULL, 10) == version)
			start = p - strlen(MIGRATION);
	}
	if (start != NULL)
		*ret_len = strlen(start);
	return start;
}

int64_t
db_schema_version(void)
{
	int64_t version = 0;
	size_t len;

	while (section(version + 1, &len) != NULL)
		version++;
	return version;
}

static int
migrate_one(struct db *db, int64_t version, struct err *err)
{
	struct arena a = { 0 };
	size_t len = 0;
	const char *sql = section(version, &len);
	const char *line, *text;
	int64_t have;
	int r = -1;

	/* The next section's head is cut off at its line's start. */
	text = arena_strndup(&a, sql, len);
	if ((line = strstr(text + 1, "\n" MIGRATION)) != NULL)
		text = arena_strndup(&a, text, (size_t)(line - text));
	if (db_exec(db, "BEGIN IMMEDIATE", "opening", err) == -1)
		goto out;
	/* Another program may have been faster. */
	if (db_get_int(db, "PRAGMA user_version", &have, err) == -1)
		goto rollback;
	if (have < version) {
		if (db_exec(db, text, "bringing the schema up to date", err) == -1 ||
		    db_exec(db, arena_printf(&a, "PRAGMA user_version = %lld",
		    (long long)version), "bringing the schema up to date", err) == -1 ||
		    db_exec(db, arena_printf(&a, "PRAGMA application_id = %d",
		    DB_APPLICATION_ID), "bringing the schema up to date", err) == -1)
			goto rollback;
	}
	if (db_exec(db, "COMMIT", "bringing the schema up to date", err) == -1)
		goto rollback;
	r = 0;
	goto out;
rollback:
	(void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
out:
	arena_release(&a);
	return r;
}

/* Is it ours, and not from the future? *ret_version: of its schema. */
static int
check_owner(struct db *db, int64_t *ret_version, struct err *err)
{
	int64_t id, tables, newest = db_schema_version();
	int r;

	/* As of one moment: another process may just be making it. */
	if (db_exec(db, "BEGIN", "opening", err) == -1)
		return -1;
	r = db_get_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err) == -1 ||
	    db_get_int(db, "PRAGMA application_id", &id, err) == -1 ||
	    db_get_int(db, "PRAGMA user_version", ret_version, err) == -1 ? -1 : 0;
	(void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
	if (r == -1)
		return -1;
	if (id != DB_APPLICATION_ID && (id != 0 || *ret_version != 0 || tables > 0)) {
		(void)err_set(err, ERR_INVALID,
		    "'%s' is a database of another program", db->path);
		err_hint(err, "--state takes the path of provctl's own database");
		return -1;
	}
	if (*ret_version > newest) {
		(void)err_set(err, ERR_UNSUPPORTED,
		    "the state database '%s' was written by a newer provctl (schema %lld, this one knows up to %lld)",
		    db->path, (long long)*ret_version, (long long)newest);
		err_hint(err, "update provctl, or use another database with --state FILE");
		return -1;
	}
	return 0;
}

/* ---- opening ---------------------------------------------------------------------------- */

static int
connect_file(struct db *db, const char *name, int flags, int busy_ms,
    struct err *err)
{
	int rc;

	rc = sqlite3_open_v2(name, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX |
	    SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK)
		return db_err(db, rc, "opening", err);
	(void)sqlite3_busy_timeout(db->sqlite, busy_ms);
	(void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return db_exec(db, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY",
	    "opening", err);
}

static int
open_read_only(struct db *db, int busy_ms, struct err *err)
{
	struct arena a = { 0 };
	int64_t version;
	struct stat st;
	int r = -1;

	if (connect_file(db, db->path, SQLITE_OPEN_READONLY, busy_ms, err) == 0 &&
	    check_owner(db, &version, err) == 0)
		r = 0;
	else if (err->code == ERR_IO && strpbrk(db->path, "?#%") == NULL &&
	    (stat(arena_printf(&a, "%s-wal", db->path), &st) == -1 || st.st_size == 0)) {
		/* The directory cannot be written, or the disk is full, and nobody has it open: SQLite must not look for a log. */
		err_release(err);
		(void)sqlite3_close_v2(db->sqlite);
		db->sqlite = NULL;
		if (connect_file(db, arena_printf(&a, "file:%s?immutable=1",
		    db->path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, busy_ms,
		    err) == 0 && check_owner(db, &version, err) == 0)
			r = 0;
	}
	if (r == 0 && version < db_schema_version()) {
		(void)err_set(err, version == 0 ? ERR_INVALID : ERR_OLD, version == 0 ?
		    "the state database '%s' is empty" :
		    "the state database '%s' has an older schema", db->path);
		err_hint(err, "the next `provctl apply` brings it up to date");
		r = -1;
	}
	arena_release(&a);
	return r;
}

/* The pragma answers with the mode that is in force. */
static int
use_wal(struct db *db, struct err *err)
{
	sqlite3_stmt *st = NULL;
	const char *mode;
	int rc, r = 0;

	if ((rc = sqlite3_prepare_v2(db->sqlite, "PRAGMA journal_mode = WAL", -1,
	    &st, NULL)) != SQLITE_OK || (rc = sqlite3_step(st)) != SQLITE_ROW) {
		r = db_err(db, rc, "opening", err);
	} else {
		mode = (const char *)sqlite3_column_text(st, 0);
		if (mode == NULL || strcmp(mode, "wal") != 0) {
			r = err_set(err, ERR_IO, "the file system of the state database '%s' does not allow SQLite's write-ahead log",
			    db->path);
			err_hint(err, "a local file system is needed; use another place with --state FILE");
		}
	}
	(void)sqlite3_finalize(st);
	return r;
}

static int
open_for_writing(struct db *db, int busy_ms, bool unclean, struct err *err)
{
	int64_t version, newest = db_schema_version();

	if (connect_file(db, db->path, SQLITE_OPEN_READWRITE, busy_ms, err) == -1)
		return -1;
	if (sqlite3_db_readonly(db->sqlite, "main") == 1)
		return not_writable(db, "permission denied, or a read-only file system",
		    err);
	/* Of a file without tables, and before its first page is written; else it has no effect. */
	if (check_owner(db, &version, err) == -1 || (version == 0 && db_exec(db,
	    "PRAGMA auto_vacuum = INCREMENTAL", "opening", err) == -1) ||
	    check_first(db, unclean, err) == -1 ||
	    use_wal(db, err) == -1 ||
	    db_exec(db, "PRAGMA synchronous = NORMAL", "opening", err) == -1)
		return -1;
	for (; version < newest; version++)
		if (migrate_one(db, version + 1, err) == -1)
			return -1;
	/* Who holds the lock now is better said before the run than after. */
	return db_exec(db, "BEGIN IMMEDIATE; COMMIT", "opening", err);
}

int
db_open(struct db *db, const char *path, unsigned flags, int busy_ms,
    struct err *err)
{
	bool unclean;

	*db = (struct db){ .path = xstrdup(path), .lock_fd = -1,
	    .read_only = (flags & DB_READ_ONLY) != 0 };
	if (prepare_file(db, err) == -1)
		return -1;
	mark_use(db, &unclean);
	return db->read_only ? open_read_only(db, busy_ms, err) :
	    open_for_writing(db, busy_ms, unclean, err);
}

int
db_open_again(struct db *db, const struct db *of, int busy_ms, struct err *err)
{
	*db = (struct db){ .path = xstrdup(of->path), .lock_fd = -1 };
	if (connect_file(db, db->path, SQLITE_OPEN_READWRITE, busy_ms, err) == -1)
		return -1;
	return db_exec(db, "PRAGMA synchronous = NORMAL", "opening", err);
}

void
db_release(struct db *db)
{
	if (db->sqlite != NULL)
		(void)sqlite3_close_v2(db->sqlite);
	if (db->lock_fd != -1)
		(void)close(db->lock_fd);
	free(db->path);
	*db = (struct db){ .lock_fd = -1 };
}
