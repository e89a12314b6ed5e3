/*
 * Leases: one run a host.
 *
 * A run takes the leases of all its hosts in one transaction before it begins,
 * or none: so two runs can never wait for each other.  A lease names the process
 * that holds it; on this machine it counts as long as that process lives,
 * however slow it is, on another one until it expires.  It is renewed while the
 * run lasts and dropped in the transaction that ends the run.  Hosts that a run
 * comes to know later (add_host, delegate_to) are leased before the first
 * connection to them; for them it never waits, which could be for ever.
 */
#include <sys/random.h>
#include <pwd.h>
#include <string.h>

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

/* Adds what others hold of this host to the list. 0, or -1. */
static int
look(struct state *s, struct arena *a, const char *host, struct value *held,
    struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, COLUMNS "WHERE host = ?1", err);
	const struct value *rows, *live;
	uint32_t i;

	if (st == NULL)
		return -1;
	state_bind_text(st, 1, host);
	if ((rows = state_rows(s, a, st, columns, err)) == NULL)
		return -1;
	live = living(a, rows);
	for (i = 0; i < v_count(live); i++)
		v_push(a, held, v_at(live, i));
	return 0;
}

/* Under our token, with the number of the run that it has already. */
static int
take(struct state *s, const struct value *hosts, const char *site, struct err *err)
{
	struct arena a = { 0 };
	int64_t now = state_now_ms(), pid = getpid();
	const char *who = owner(&a);
	sqlite3_stmt *st = state_prepare(s, "INSERT OR REPLACE INTO leases (host,"
	    " owner, pid, pid_start, boot, token, run_id, site, since_ms,"
	    " renewed_ms, expires_ms)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT max(run_id) FROM leases"
	    "  WHERE token = ?6), ?7, ?8, ?8, ?9)", err);
	uint32_t i;
	int rc = SQLITE_DONE;

	if (st == NULL) {
		arena_release(&a);
		return -1;
	}
	state_bind_text(st, 2, who);
	(void)sqlite3_bind_int64(st, 3, pid);
	(void)sqlite3_bind_int64(st, 4, process_start(pid));
	state_bind_text(st, 5, process_boot());
	state_bind_text(st, 6, s->lease);
	state_bind_text(st, 7, site);
	(void)sqlite3_bind_int64(st, 8, now);
	(void)sqlite3_bind_int64(st, 9, now + STATE_LEASE_MS);
	for (i = 0; i < v_count(hosts) && rc == SQLITE_DONE; i++) {
		state_bind_text(st, 1, v_at(hosts, i)->u.s);
		rc = sqlite3_step(st);
		(void)sqlite3_reset(st);
	}
	if (rc != SQLITE_DONE)
		(void)db_err(&s->db, rc, "taking leases", err);
	(void)sqlite3_finalize(st);
	arena_release(&a);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* One transaction: what others hold of them, and if that is nothing all of them are ours. 0, 1 or -1. */
static int
look_and_take(struct state *s, struct arena *a, const struct value *hosts,
    const char *site, struct value *held, struct err *err)
{
	uint32_t i;
	int r = 0;

	if (db_exec(&s->db, "BEGIN IMMEDIATE", "taking leases", err) == -1)
		return -1;
	for (i = 0; i < v_count(hosts) && r == 0; i++)
		r = look(s, a, v_at(hosts, i)->u.s, held, err);
	if (r == 0 && v_count(held) > 0)
		r = 1;
	if (r == 0)
		r = take(s, hosts, site, err);
	if (r == 0)
		r = db_exec(&s->db, "COMMIT", "taking leases", err);
	if (r != 0)
		(void)sqlite3_exec(s->db.sqlite, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int
state_lease(struct state *s, struct arena *a, const struct value *hosts,
    const char *site, const struct value **ret_held, struct err *err)
{
	struct value *held = v_list(a);
	unsigned char random[16];
	uint32_t i;
	int r;

	if (state_writable(s, err) == -1)
		return -1;
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_errno(err, "no random numbers");
	for (i = 0; i < sizeof(random); i++)
		(void)snprintf(s->lease + i * 2, 3, "%02x", random[i]);
	if ((r = look_and_take(s, a, hosts, site, held, err)) != 0) {
		s->lease[0] = '\0';
		*ret_held = held;
		return r;
	}
	arena_release(&s->lease_arena);
	s->leased = v_list(&s->lease_arena);
	s->leased_later = v_list(&s->lease_arena);
	for (i = 0; i < v_count(hosts); i++)
		v_push(&s->lease_arena, s->leased, v_copy(&s->lease_arena, v_at(hosts, i)));
	return 0;
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
state_lease_more(struct state *s, struct arena *a, const char *host,
    const char *site, const struct value **ret_held, struct err *err)
{
	struct value *hosts, *held;
	int r;

	if (s->lease[0] == '\0' || listed(s->leased, host) || listed(s->leased_later, host))
		return 0;
	hosts = v_list(a);
	held = v_list(a);
	v_push(a, hosts, v_str(a, host));
	r = look_and_take(s, a, hosts, site, held, err);
	*ret_held = held;
	if (r == 0)
		v_push(&s->lease_arena, s->leased_later, v_str(&s->lease_arena, host));
	return r;
}

bool
state_lease_renew(struct state *s)
{
	struct err err = ERR_INIT;
	int64_t now = state_now_ms();
	sqlite3_stmt *st;
	bool ours = true;

	if (s->lease[0] == '\0')
		return true;
	st = state_prepare(s, "SELECT count(*) FROM leases WHERE token = ?1", &err);
	if (st != NULL) {
		state_bind_text(st, 1, s->lease);
		/* What cannot be read now is looked at the next time. */
		if (sqlite3_step(st) == SQLITE_ROW)
			ours = sqlite3_column_int64(st, 0) ==
			    v_count(s->leased) + v_count(s->leased_later);
		(void)sqlite3_finalize(st);
	}
	err_release(&err);
	if (ours)
		writer_put(s->writer, SQL_LEASE_RENEW, "sii", s->lease, now,
		    now + STATE_LEASE_MS);
	return ours;
}

void
state_lease_drop(struct state *s)
{
	if (s->writer == NULL || s->lease[0] == '\0')
		return;
	writer_put(s->writer, SQL_LEASE_DROP, "s", s->lease);
	s->lease[0] = '\0';
	s->leased = s->leased_later = NULL;
	arena_release(&s->lease_arena);
}
