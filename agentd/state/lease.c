/*
 * Leases: one run a host.
 *
 * A run takes the leases of all its hosts in one transaction before it begins,
 * or none: so two runs can never wait for each other.  A lease names the process
 * that holds it; on this machine it counts as long as that process lives,
 * however slow it is, on another one until it expires.  It is renewed while the
 * run lasts and dropped in the transaction that ends the run.  Hosts that a run
 * comes to know later (add_host, delegate_to) are leased before the first
 * connection to them.  Who waits for one of these holds others, so the wait is
 * on record, and one that would close a ring is refused in the transaction that
 * asks for it: of two runs that want each other's host, the second to ask is told.
 *
 * Taking is a statement like any other of the writing thread: nobody else's
 * transaction holds up the loop.  Who is alive is a function for SQL.
 */
#include <sys/random.h>
#include <pwd.h>
#include <string.h>

#include "base/json.h"
#include "state/private.h"

static const struct columns columns[] = {
	{ "host", COL_TEXT }, { "owner", COL_TEXT }, { "pid", COL_INT },
	{ "pid_start", COL_INT }, { "boot", COL_TEXT }, { "run", COL_INT },
	{ "site", COL_TEXT }, { "since_ms", COL_INT }, { "expires_ms", COL_INT },
	{ NULL, COL_TEXT }
};

#define COLUMNS	"SELECT host, owner, pid, pid_start, boot, run_id, site, since_ms, expires_ms FROM leases "

static bool
counts(const struct value *lease)
{
	return process_alive(v_get_str(lease, "boot", "?"),
	    v_get_int(lease, "pid", 0), v_get_int(lease, "pid_start", 0),
	    v_get_int(lease, "expires_ms", 0));
}

static bool
same_holder(const struct value *a, const struct value *b)
{
	return v_get_int(a, "pid", 0) == v_get_int(b, "pid", 0) &&
	    v_get_int(a, "pid_start", 0) == v_get_int(b, "pid_start", 0) &&
	    v_get_int(a, "expires_ms", 0) == v_get_int(b, "expires_ms", 0) &&
	    strcmp(v_get_str(a, "boot", ""), v_get_str(b, "boot", "")) == 0;
}

/* Those rows whose holder is still there. */
static struct value *
living(struct arena *a, const struct value *rows)
{
	struct value *list = v_list(a);
	const struct value *last = NULL;
	bool alive = false;
	uint32_t i;

	for (i = 0; rows != NULL && i < v_count(rows); i++) {
		const struct value *row = v_at(rows, i);

		/* A run has many hosts: its process is looked at once. */
		if (last == NULL || !same_holder(last, row))
			alive = counts(row);
		last = row;
		if (alive)
			v_push(a, list, row);
	}
	return list;
}

const struct value *
state_leases(struct state *s, struct arena *a, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, COLUMNS "ORDER BY host", err);
	const struct value *rows;

	if (st == NULL || (rows = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	return living(a, rows);
}

static const char *
owner(struct arena *a)
{
	char buf[1024], machine[256] = "";
	struct passwd pw, *found = NULL;

	if (getpwuid_r(getuid(), &pw, buf, sizeof(buf), &found) != 0)
		found = NULL;
	(void)gethostname(machine, sizeof(machine) - 1);
	return arena_printf(a, "%s@%s", found != NULL ? found->pw_name :
	    arena_printf(a, "%u", (unsigned)getuid()), machine);
}

/* process_alive(boot, pid, start, expires) in SQL. */
static void
alive(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	const char *boot = (const char *)sqlite3_value_text(v[0]);

	(void)n;
	sqlite3_result_int(ctx, process_alive(boot != NULL ? boot : "?",
	    sqlite3_value_int64(v[1]), sqlite3_value_int64(v[2]),
	    sqlite3_value_int64(v[3])));
}

int
lease_functions(struct db *db, struct err *err)
{
	int rc = sqlite3_create_function_v2(db->sqlite, "process_alive", 4,
	    SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL, alive, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_err(db, rc, "opening", err);
}

/* ---- asking ------------------------------------------------------------------------- */

int
state_lease_ask(struct state *s, const struct value *hosts, const char *site,
    bool wait, struct err *err)
{
	CLEANUP_BUF struct buf list = BUF_INIT;
	struct arena a = { 0 };
	int64_t now = state_now_ms(), pid = getpid();
	unsigned char random[16];
	size_t i;

	if (state_writable(s, err) == -1)
		return -1;
	if (s->lease[0] == '\0') {
		if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return err_errno(err, "no random numbers");
		for (i = 0; i < sizeof(random); i++)
			(void)snprintf(s->lease + i * 2, 3, "%02x", random[i]);
	}
	json_write(&list, hosts, JSON_COMPACT);
	writer_hold(s->writer);
	writer_put(s->writer, SQL_LEASE_TAKE, "ssiisssii", buf_str(&list),
	    owner(&a), pid, process_start(pid), process_boot(), s->lease, site, now,
	    now + STATE_LEASE_MS);
	if (wait && v_count(hosts) == 1) {
		const char *host = v_at(hosts, 0)->u.s;

		writer_put(s->writer, SQL_LEASE_STOP_WAIT, "ss", host, s->lease);
		writer_put(s->writer, SQL_LEASE_WAIT, "ss", host, s->lease);
	}
	writer_release(s->writer);
	writer_hurry(s->writer);
	arena_release(&a);
	return 0;
}

/* The first column of the first row for a host and our token; 0: none. -1 with err. */
static int64_t
count(struct state *s, const char *sql, const char *host, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, sql, err);
	int64_t n;
	int rc;

	if (st == NULL)
		return -1;
	state_bind_text(st, 1, s->lease);
	if (host != NULL)
		state_bind_text(st, 2, host);
	rc = sqlite3_step(st);
	n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		n = db_err(&s->db, rc, "taking leases", err);
	(void)sqlite3_finalize(st);
	return n;
}

/* They were given all together: one tells. */
static int64_t
ours(struct state *s, const struct value *hosts, struct err *err)
{
	return v_count(hosts) == 0 ? 1 : count(s, "SELECT count(*) FROM leases"
	    " WHERE token = ?1 AND host = ?2", v_at(hosts, 0)->u.s, err);
}

static const struct value *
held_by_others(struct state *s, struct arena *a, const struct value *hosts,
    struct err *err)
{
	CLEANUP_BUF struct buf list = BUF_INIT;
	sqlite3_stmt *st = state_prepare(s, COLUMNS "WHERE token <> ?1 AND host IN"
	    " (SELECT value FROM json_each(?2)) ORDER BY host", err);
	const struct value *rows;

	if (st == NULL)
		return NULL;
	json_write(&list, hosts, JSON_COMPACT);
	state_bind_text(st, 1, s->lease);
	state_bind_text(st, 2, buf_str(&list));
	rows = state_rows(s, a, st, columns, err);
	return rows == NULL ? NULL : living(a, rows);
}

static bool
listed(const struct value *list, const char *host)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_eqs(v_at(list, i), host))
			return true;
	return false;
}

int
state_lease_answer(struct state *s, struct arena *a, const struct value *hosts,
    const struct value **ret_held, struct err *err)
{
	bool later = s->leased != NULL;
	uint32_t i;
	int64_t n;

	if (writer_failed(s->writer, err) == -1 || (n = ours(s, hosts, err)) == -1)
		return -1;
	if (n > 0) {
		if (!later)
			s->leased = v_list(&s->lease_arena);
		if (s->leased_later == NULL)
			s->leased_later = v_list(&s->lease_arena);
		/* Two connections may have asked for the same one. */
		for (i = 0; i < v_count(hosts); i++)
			if (!later || !state_leased(s, v_at(hosts, i)->u.s))
				v_push(&s->lease_arena, later ? s->leased_later : s->leased,
				    v_copy(&s->lease_arena, v_at(hosts, i)));
		return 0;
	}
	if ((*ret_held = held_by_others(s, a, hosts, err)) == NULL)
		return -1;
	if (!later) {
		s->lease[0] = '\0';
		return 1;
	}
	/* Free by now: that is found by the next to ask. */
	if (v_count(*ret_held) == 0)
		return 1;
	n = count(s, "SELECT count(*) FROM lease_waits WHERE token = ?1 AND host = ?2",
	    v_at(hosts, 0)->u.s, err);
	return n == -1 ? -1 : n > 0 ? 1 : 2;
}

void
state_lease_stop_wait(struct state *s, const char *host)
{
	if (s->lease[0] != '\0')
		writer_put(s->writer, SQL_LEASE_STOP_WAIT, "ss", host, s->lease);
}

bool
state_leased(const struct state *s, const char *host)
{
	return s->leased == NULL || listed(s->leased, host) || listed(s->leased_later, host);
}

/* ---- keeping, giving back --------------------------------------------------------------- */

bool
state_lease_renew(struct state *s)
{
	struct err err = ERR_INIT;
	int64_t now = state_now_ms(), n;

	if (s->leased == NULL)
		return true;
	n = count(s, "SELECT count(*) FROM leases WHERE token = ?1", NULL, &err);
	err_release(&err);
	/* What cannot be read now is looked at the next time; what was given a moment ago is not on our lists yet. */
	if (n != -1 && n < (int64_t)v_count(s->leased) + v_count(s->leased_later))
		return false;
	writer_put(s->writer, SQL_LEASE_RENEW, "sii", s->lease, now, now + STATE_LEASE_MS);
	return true;
}

void
state_lease_drop(struct state *s)
{
	if (s->writer == NULL || s->lease[0] == '\0')
		return;
	writer_put(s->writer, SQL_LEASE_DROP, "s", s->lease);
	writer_put(s->writer, SQL_LEASE_DROP_WAITS, "s", s->lease);
	s->lease[0] = '\0';
	s->leased = s->leased_later = NULL;
	arena_release(&s->lease_arena);
}
