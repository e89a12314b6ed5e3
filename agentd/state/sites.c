/*
 * See sites.h.
 *
 * The stat of a file that changed within the last seconds is not remembered: a
 * further change might leave it as it is (git's "racily clean" files).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "state/private.h"
#include "state/sites.h"

#define RACY_NS		((int64_t)2000000000)
#define LARGE		"large:"

static int64_t
ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Steps a statement that gives no rows, for another use. */
static int
done(struct state *s, sqlite3_stmt *st, struct err *err)
{
	int rc = sqlite3_step(st);

	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : db_err(&s->db, rc, "recording the site", err);
}

/* ---- keeping ------------------------------------------------------------------------- */

enum { ST_KNOWN, ST_BLOB, ST_STAT, ST_SITE, ST_FILE, ST_MAX };

static const char *const keep_sql[ST_MAX] = {
	[ST_KNOWN] = "SELECT blob FROM file_stats s WHERE path = ?1 AND dev = ?2"
	    " AND ino = ?3 AND size = ?4 AND mtime_ns = ?5 AND ctime_ns = ?6"
	    " AND EXISTS (SELECT 1 FROM blobs b WHERE b.id = s.blob)",
	[ST_BLOB] = "INSERT INTO blobs (id, size, data) VALUES (?1, ?2, ?3)"
	    " ON CONFLICT DO NOTHING",
	[ST_STAT] = "INSERT OR REPLACE INTO file_stats"
	    " (path, dev, ino, size, mtime_ns, ctime_ns, blob)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[ST_SITE] = "INSERT INTO sites (id, path, added_ms) VALUES (?1, ?2, ?3)"
	    " ON CONFLICT DO NOTHING",	/* two runs may begin at once */
	[ST_FILE] = "INSERT INTO site_files (site_id, path, blob, mode, mtime_ns)"
	    " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
};

struct keeping {
	struct state	*s;
	struct arena	 arena;
	sqlite3_stmt	*st[ST_MAX];
	bool		 begun;		/* a transaction */
};

/* Writing begins with what is not known yet; mostly there is nothing. */
static int
begin(struct keeping *k, struct err *err)
{
	if (k->begun)
		return 0;
	k->begun = true;
	return db_exec(&k->s->db, "BEGIN IMMEDIATE", "recording the site", err);
}

static void
bind_stat(sqlite3_stmt *st, const char *path, const struct stat *b)
{
	state_bind_text(st, 1, path);
	(void)sqlite3_bind_int64(st, 2, (int64_t)b->st_dev);
	(void)sqlite3_bind_int64(st, 3, (int64_t)b->st_ino);
	(void)sqlite3_bind_int64(st, 4, b->st_size);
	(void)sqlite3_bind_int64(st, 5, ns(b->st_mtim));
	(void)sqlite3_bind_int64(st, 6, ns(b->st_ctim));
}

static bool
same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size && ns(a->st_mtim) == ns(b->st_mtim);
}

static int
moved(const char *path, struct err *err)
{
	(void)err_set(err, ERR_BUSY, "'%s' was changed while the site was loaded", path);
	err_hint(err, "run it again");
	return -1;
}

/* The content of an open file to a blob. */
static int
blob_keep(struct keeping *k, const void *data, size_t n, char name[65], struct err *err)
{
	unsigned char *sealed;
	int r;

	if (seal_name(k->s, data, n, name, err) == -1 || begin(k, err) == -1)
		return -1;
	sealed = xmalloc(n + SEAL_EXTRA);
	if ((r = seal(k->s, data, n, sealed, err)) == 0) {
		state_bind_text(k->st[ST_BLOB], 1, name);
		(void)sqlite3_bind_int64(k->st[ST_BLOB], 2, (int64_t)n);
		(void)sqlite3_bind_blob64(k->st[ST_BLOB], 3, sealed, n + SEAL_EXTRA,
		    SQLITE_STATIC);
		r = done(k->s, k->st[ST_BLOB], err);
		(void)sqlite3_clear_bindings(k->st[ST_BLOB]);
	}
	free(sealed);
	return r;
}

static int
read_file(struct keeping *k, const struct site_file *f, char name[65], struct err *err)
{
	CLEANUP_CLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct stat st;
	struct timespec now;
	int r;

	buf_init(&b, (size_t)SITE_FILE_MAX + 1);
	if (fd == -1 || fstat(fd, &st) == -1 || !same(&st, &f->st))
		return moved(f->path, err);
	if (buf_read_fd(&b, fd) == -1)
		return err_errno(err, "cannot read '%s'", f->path);
	if (fstat(fd, &st) == -1 || !same(&st, &f->st) || (off_t)b.len != st.st_size)
		return moved(f->path, err);
	r = blob_keep(k, b.len > 0 ? b.data : "", b.len, name, err);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (r == 0 && ns(now) - ns(st.st_mtim) > RACY_NS &&
	    ns(now) - ns(st.st_ctim) > RACY_NS) {
		bind_stat(k->st[ST_STAT], f->path, &st);
		state_bind_text(k->st[ST_STAT], 7, name);
		r = done(k->s, k->st[ST_STAT], err);
	}
	return r;
}

/* What site_files.blob says of a file. NULL with err. */
static const char *
file_blob(struct keeping *k, const struct site_file *f, struct err *err)
{
	sqlite3_stmt *known = k->st[ST_KNOWN];
	const char *found = NULL;
	struct stat st;
	char name[65];
	char target[4096];
	ssize_t n;

	if (S_ISDIR(f->st.st_mode))
		return "";
	if (S_ISLNK(f->st.st_mode)) {
		if ((n = readlink(f->path, target, sizeof(target))) == -1)
			return moved(f->path, err), NULL;
		return blob_keep(k, target, (size_t)n, name, err) == 0 ?
		    arena_strdup(&k->arena, name) : NULL;
	}
	if (stat(f->path, &st) == -1 || !same(&st, &f->st))
		return moved(f->path, err), NULL;
	if (st.st_size > SITE_FILE_MAX)
		return arena_printf(&k->arena, LARGE "%lld:%lld", (long long)st.st_size,
		    (long long)ns(st.st_mtim));
	bind_stat(known, f->path, &st);
	if (sqlite3_step(known) == SQLITE_ROW)
		found = arena_strdup(&k->arena,
		    (const char *)sqlite3_column_text(known, 0));
	(void)sqlite3_reset(known);
	if (found != NULL)
		return found;
	return read_file(k, f, name, err) == 0 ? arena_strdup(&k->arena, name) : NULL;
}

static int
write_site(struct keeping *k, const char *site, const struct site_file *f,
    const char *const *blobs, uint32_t n, const char *id, struct err *err)
{
	uint32_t i;

	if (begin(k, err) == -1)
		return -1;
	state_bind_text(k->st[ST_SITE], 1, id);
	state_bind_text(k->st[ST_SITE], 2, site);
	(void)sqlite3_bind_int64(k->st[ST_SITE], 3, state_now_ms());
	if (done(k->s, k->st[ST_SITE], err) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (blobs[i] == NULL)
			continue;
		state_bind_text(k->st[ST_FILE], 1, id);
		state_bind_text(k->st[ST_FILE], 2, f[i].path);
		state_bind_text(k->st[ST_FILE], 3, blobs[i]);
		(void)sqlite3_bind_int64(k->st[ST_FILE], 4, (int64_t)f[i].st.st_mode);
		(void)sqlite3_bind_int64(k->st[ST_FILE], 5, ns(f[i].st.st_mtim));
		if (done(k->s, k->st[ST_FILE], err) == -1)
			return -1;
	}
	return 0;
}

static bool
is_kept(struct state *s, const char *id)
{
	struct err err = ERR_INIT;
	sqlite3_stmt *st = state_prepare(s, "SELECT 1 FROM sites WHERE id = ?1", &err);
	bool kept = false;

	if (st != NULL) {
		state_bind_text(st, 1, id);
		kept = sqlite3_step(st) == SQLITE_ROW;
	}
	(void)sqlite3_finalize(st);
	err_release(&err);
	return kept;
}

static int
keep(struct keeping *k, const char *site, const struct site_file *f, uint32_t n,
    char id[SITE_ID], struct err *err)
{
	const char **blobs = ARENA_ARRAY(&k->arena, n + 1, const char *);
	unsigned char digest[SHA256_LEN];
	struct sha256 sum;
	uint32_t i;

	for (i = 0; i < ST_MAX; i++)
		if ((k->st[i] = state_prepare(k->s, keep_sql[i], err)) == NULL)
			return -1;
	sha256_init(&sum);
	sha256_add(&sum, site, strlen(site) + 1);
	for (i = 0; i < n; i++) {
		const char *row;

		if ((blobs[i] = file_blob(k, &f[i], err)) == NULL) {
			if (!f[i].beside || (err->code != ERR_BUSY && err->code != ERR_IO))
				return -1;
			err_release(err);
			continue;
		}
		row = arena_printf(&k->arena, "%s\n%s\n%o\n", f[i].path, blobs[i],
		    (unsigned)f[i].st.st_mode);
		sha256_add(&sum, row, strlen(row));
	}
	sha256_end(&sum, digest);
	sha256_hex(digest, id);
	if (!is_kept(k->s, id) && write_site(k, site, f, blobs, n, id, err) == -1)
		return -1;
	return k->begun ? db_exec(&k->s->db, "COMMIT", "recording the site", err) : 0;
}

int
state_site_keep(struct state *s, const char *site, const struct site_file *f,
    uint32_t n, char ret_id[SITE_ID], struct err *err)
{
	struct keeping k = { .s = s };
	int r, i;

	if (state_writable(s, err) == -1)
		return -1;
	r = keep(&k, site, f, n, ret_id, err);
	for (i = 0; i < ST_MAX; i++)
		(void)sqlite3_finalize(k.st[i]);
	if (r == -1 && k.begun)
		(void)sqlite3_exec(s->db.sqlite, "ROLLBACK", NULL, NULL, NULL);
	arena_release(&k.arena);
	return r;
}

void
state_run_site(struct state *s, const char *id)
{
	if (s->writer != NULL)
		writer_put(s->writer, SQL_RUN_SITE, "rs", id);
}

/* ---- reading ---------------------------------------------------------------------------- */

static const struct columns site_columns[] = {
	{ "id", COL_TEXT }, { "site", COL_TEXT }, { "added_ms", COL_INT },
	{ "files", COL_INT }, { "size", COL_INT }, { "runs", COL_INT },
	{ "last_run", COL_INT }, { NULL, COL_TEXT }
};

#define SITE_COLUMNS							\
	"SELECT s.id, s.path, s.added_ms,"				\
	" (SELECT count(*) FROM site_files f WHERE f.site_id = s.id"	\
	"  AND f.blob <> ''),"						\
	" (SELECT coalesce(sum(b.size), 0) FROM site_files f"		\
	"  JOIN blobs b ON b.id = f.blob WHERE f.site_id = s.id),"	\
	" (SELECT count(*) FROM runs r WHERE r.site_id = s.id),"	\
	" (SELECT max(id) FROM runs r WHERE r.site_id = s.id) FROM sites s "

const struct value *
state_sites(struct state *s, struct arena *a, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, SITE_COLUMNS
	    "ORDER BY s.added_ms DESC, s.id", err);

	return st != NULL ? state_rows(s, a, st, site_columns, err) : NULL;
}

const char *
state_run_snapshot(struct state *s, struct arena *a, int64_t run)
{
	struct err err = ERR_INIT;
	sqlite3_stmt *st = state_prepare(s, "SELECT s.id FROM runs r"
	    " JOIN sites s ON s.id = r.site_id WHERE r.id = ?1", &err);
	const char *id = NULL;

	if (st != NULL) {
		(void)sqlite3_bind_int64(st, 1, run);
		if (sqlite3_step(st) == SQLITE_ROW)
			id = arena_strdup(a, (const char *)sqlite3_column_text(st, 0));
	}
	(void)sqlite3_finalize(st);
	err_release(&err);
	return id;
}

const char *
state_site_find(struct state *s, struct arena *a, const char *begin, struct err *err)
{
	sqlite3_stmt *st;
	const char *id = NULL;
	int n = 0;

	if (strlen(begin) < 12 && begin[strspn(begin, "0123456789")] == '\0' &&
	    (id = state_run_snapshot(s, a, strtoll(begin, NULL, 10))) != NULL)
		return id;
	if ((st = state_prepare(s, "SELECT id FROM sites"
	    " WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", err)) == NULL)
		return NULL;
	state_bind_text(st, 1, begin);
	for (; sqlite3_step(st) == SQLITE_ROW; n++)
		id = arena_strdup(a, (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	if (n == 1)
		return id;
	(void)err_set(err, ERR_INVALID, n == 0 ? "there is no snapshot '%s'" :
	    "'%s' can mean several snapshots", begin);
	err_hint(err, n == 0 ? "`provctl sites` lists them; the number of a run means that run's" :
	    "give more of the id");
	return NULL;
}

const struct value *
state_site(struct state *s, struct arena *a, const char *id, struct err *err)
{
	static const struct columns columns[] = {
		{ "path", COL_TEXT }, { "type", COL_TEXT }, { "mode", COL_INT },
		{ "size", COL_INT }, { "kept", COL_BOOL },
		{ "content", COL_TEXT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, SITE_COLUMNS "WHERE s.id = ?1", err);
	const struct value *rows, *list;
	struct value *site;

	if (st == NULL)
		return NULL;
	state_bind_text(st, 1, id);
	if ((rows = state_rows(s, a, st, site_columns, err)) == NULL)
		return NULL;
	if (v_count(rows) == 0)
		return err_set(err, ERR_INVALID, "there is no snapshot '%s'", id), NULL;
	if ((st = state_prepare(s, "SELECT f.path, CASE f.mode & 61440"
	    " WHEN 16384 THEN 'directory' WHEN 40960 THEN 'link' ELSE 'file' END,"
	    " f.mode & 4095, coalesce(b.size, 0), b.id IS NOT NULL OR f.blob = '', f.blob"
	    " FROM site_files f LEFT JOIN blobs b ON b.id = f.blob"
	    " WHERE f.site_id = ?1 ORDER BY f.path", err)) == NULL)
		return NULL;
	state_bind_text(st, 1, id);
	if ((list = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	site = v_map(a);
	v_merge(a, site, v_at(rows, 0));
	v_sets(a, site, "list", list);
	return site;
}

/* The blob in the row's columns 0 (size) and 1 (data), decrypted. */
static int
open_blob(struct state *s, sqlite3_stmt *st, const char *path, struct buf *b,
    struct err *err)
{
	int n = sqlite3_column_bytes(st, 1);
	char *room;

	buf_init(b, (size_t)SITE_FILE_MAX + SEAL_EXTRA + 1);
	if (n < SEAL_EXTRA || (room = buf_reserve(b, (size_t)n)) == NULL)
		return err_set(err, ERR_INVALID, "what is stored of '%s' is damaged", path);
	if (unseal(s, sqlite3_column_blob(st, 1), (size_t)n, room, err) == -1)
		return err_wrap(err, "%s", path);
	b->len = (size_t)n - SEAL_EXTRA;
	return 0;
}

int
state_site_read(struct state *s, const char *id, const char *path, struct buf *b,
    struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, "SELECT b.size, b.data FROM site_files f"
	    " JOIN blobs b ON b.id = f.blob WHERE f.site_id = ?1 AND (f.path = ?2"
	    " OR substr(f.path, -length(?2) - 1) = '/' || ?2)"
	    " ORDER BY f.path <> ?2 LIMIT 2", err);
	int r = -1;

	if (st == NULL)
		return -1;
	state_bind_text(st, 1, id);
	state_bind_text(st, 2, path);
	if (sqlite3_step(st) != SQLITE_ROW) {
		(void)err_set(err, ERR_INVALID, "the snapshot holds no content of '%s'", path);
		err_hint(err, "`provctl sites show %.12s` lists its files", id);
	} else if ((r = open_blob(s, st, path, b, err)) == 0 && *path != '/' &&
	    sqlite3_step(st) == SQLITE_ROW) {
		buf_clear(b);
		(void)err_set(err, ERR_INVALID, "several files of the snapshot end in '%s'", path);
		err_hint(err, "give the whole path; `provctl sites show %.12s` lists them", id);
		r = -1;
	}
	(void)sqlite3_finalize(st);
	return r;
}

/* ---- to files ------------------------------------------------------------------------------ */

static int
make_parents(struct arena *a, const char *base, const char *path)
{
	char *dir = arena_strdup(a, path), *p;

	for (p = dir + strlen(base) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(dir, 0700) == -1 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

static int
write_file(const char *path, const struct buf *b, mode_t mode, int64_t mtime_ns)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	struct timespec t[2];
	size_t at = 0;
	ssize_t n;

	if (fd == -1)
		return -1;
	while (at < b->len)
		if ((n = write(fd, b->data + at, b->len - at)) > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			return -1;
	t[0].tv_sec = t[1].tv_sec = mtime_ns / 1000000000;
	t[0].tv_nsec = t[1].tv_nsec = mtime_ns % 1000000000;
	return fchmod(fd, mode & 07777) == -1 ? -1 : futimens(fd, t);
}

/* Too large to be kept: what was there is still there? */
static int
link_large(const char *path, const char *blob, const char *to, struct err *err)
{
	struct stat st;
	long long size = 0, mtime = 0;

	if (sscanf(blob, LARGE "%lld:%lld", &size, &mtime) == 2 &&
	    stat(path, &st) == 0 && st.st_size == size && ns(st.st_mtim) == mtime)
		return symlink(path, to) == 0 ? 0 : err_errno(err, "cannot write '%s'", to);
	(void)err_set(err, ERR_INVALID, "'%s' is no longer what it was, and its %lld MiB were too much to be kept",
	    path, size >> 20);
	err_hint(err, "apply the site as it is now");
	return -1;
}

/* Columns: size, data, path, mode, mtime_ns, blob. */
static int
export_row(struct state *s, struct arena *a, sqlite3_stmt *st, const char *dir,
    struct value *paths, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *path = arena_strdup(a, (const char *)sqlite3_column_text(st, 2));
	const char *blob = (const char *)sqlite3_column_text(st, 5);
	const char *to = arena_printf(a, "%s%s", dir, path);
	mode_t mode = (mode_t)sqlite3_column_int64(st, 3);
	int r;

	/* Ours, but a database may be damaged: nothing leaves the directory. */
	if (*path != '/' || strstr(path, "/../") != NULL)
		return err_set(err, ERR_INVALID, "'%s' is no path of a snapshot", path);
	if (make_parents(a, dir, to) == -1)
		return err_errno(err, "cannot write '%s'", to);
	if (S_ISDIR(mode)) {
		if (mkdir(to, 0700) == -1 && errno != EEXIST)
			return err_errno(err, "cannot write '%s'", to);
		return chmod(to, (mode & 07777) | 0700) == 0 ? 0 :
		    err_errno(err, "cannot write '%s'", to);
	}
	if (strncmp(blob, LARGE, sizeof(LARGE) - 1) == 0)
		r = link_large(path, blob, to, err);
	else if (sqlite3_column_type(st, 1) == SQLITE_NULL)
		return err_set(err, ERR_INVALID, "the content of '%s' is missing", path);
	else if ((r = open_blob(s, st, path, &b, err)) == 0)
		r = (S_ISLNK(mode) ? symlink(buf_str(&b), to) :
		    write_file(to, &b, mode, sqlite3_column_int64(st, 4))) == 0 ? 0 :
		    err_errno(err, "cannot write '%s'", to);
	if (r == 0 && S_ISREG(mode))
		v_push(a, paths, v_str(a, path));
	return r;
}

int
state_site_export(struct state *s, struct arena *a, const char *id, const char *dir,
    const struct value **ret_paths, struct err *err)
{
	/* Links last: nothing is written through one. */
	sqlite3_stmt *st = state_prepare(s, "SELECT b.size, b.data, f.path, f.mode,"
	    " f.mtime_ns, f.blob FROM site_files f LEFT JOIN blobs b ON b.id = f.blob"
	    " WHERE f.site_id = ?1 ORDER BY f.mode & 61440 = 40960, f.path", err);
	struct value *paths = v_list(a);
	int r = 0, rc;

	if (st == NULL)
		return -1;
	state_bind_text(st, 1, id);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = export_row(s, a, st, dir, paths, err);
	if (r == 0 && rc != SQLITE_DONE)
		r = db_err(&s->db, rc, "reading", err);
	(void)sqlite3_finalize(st);
	if (r == 0 && v_count(paths) == 0)
		r = err_set(err, ERR_INVALID, "there is no snapshot '%s'", id);
	*ret_paths = paths;
	return r;
}

/* ---- pruning --------------------------------------------------------------------------------- */

/* Snapshots without a run; young ones may be about to have one. */
#define UNUSED								\
	"(SELECT id FROM sites WHERE NOT EXISTS (SELECT 1 FROM runs WHERE"	\
	" runs.site_id = sites.id) AND added_ms < 1000 * (unixepoch() - 3600))"

int64_t
state_sites_prune(struct state *s, struct err *err)
{
	int64_t n = -1;

	if (state_writable(s, err) == -1 ||
	    db_exec(&s->db, "BEGIN IMMEDIATE", "pruning", err) == -1)
		return -1;
	/* Only what these have is looked at, not all that is stored. */
	if (db_exec(&s->db, "DELETE FROM blobs WHERE id IN"
	    " (SELECT blob FROM site_files WHERE site_id IN " UNUSED ")"
	    " AND NOT EXISTS (SELECT 1 FROM site_files WHERE blob = blobs.id"
	    " AND site_id NOT IN " UNUSED ")", "pruning", err) == 0 &&
	    db_exec(&s->db, "DELETE FROM sites WHERE id IN " UNUSED, "pruning", err) == 0) {
		n = sqlite3_changes64(s->db.sqlite);
		if (db_exec(&s->db, "DELETE FROM file_stats WHERE NOT EXISTS"
		    " (SELECT 1 FROM blobs WHERE id = file_stats.blob)", "pruning", err) == 0 &&
		    db_exec(&s->db, "COMMIT", "pruning", err) == 0)
			return n;
	}
	(void)sqlite3_exec(s->db.sqlite, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}
