/*
 * Reading the state: rows to values, for `history`, `show`, `facts` and the
 * inventory of known hosts.  Each query that a command makes is served by an
 * index (test/state looks at the plans).  There are no statistics (ANALYZE):
 * made while tables are small, they would make the plans of large ones worse.
 */
#include <string.h>

#include "base/json.h"
#include "state/private.h"
#include "state/view.h"

sqlite3_stmt *
state_prepare(struct state *s, const char *sql, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sqlite3_prepare_v2(s->db.sqlite, sql, -1, &st, NULL);
	if (rc != SQLITE_OK) {
		(void)db_err(&s->db, rc, "reading", err);
		return NULL;
	}
	return st;
}

static const struct value *
column_value(struct arena *a, sqlite3_stmt *st, int i, enum column type)
{
	const struct value *v;
	const char *text;
	int n;

	if (sqlite3_column_type(st, i) == SQLITE_NULL)
		return &v_null;
	if (type == COL_INT)
		return v_int(a, sqlite3_column_int64(st, i));
	if (type == COL_BOOL)
		return v_bool(sqlite3_column_int64(st, i) != 0);
	text = (const char *)sqlite3_column_text(st, i);
	n = sqlite3_column_bytes(st, i);
	if (text == NULL)
		return &v_null;
	if (type == COL_JSON) {
		struct err ignored = ERR_INIT;

		v = json_parse_text(a, text, (size_t)n, &ignored);
		err_release(&ignored);
		return v != NULL ? v : &v_null;
	}
	return v_strn(a, text, (size_t)n);
}

struct value *
state_rows(struct state *s, struct arena *a, sqlite3_stmt *st,
    const struct columns *columns, struct err *err)
{
	struct value *list = v_list(a);
	int rc, i;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct value *row = v_map(a);

		for (i = 0; columns[i].name != NULL; i++)
			v_sets(a, row, columns[i].name,
			    column_value(a, st, i, columns[i].type));
		v_push(a, list, row);
	}
	if (rc != SQLITE_DONE) {
		(void)db_err(&s->db, rc, "reading", err);
		list = NULL;
	}
	(void)sqlite3_finalize(st);
	return list;
}

void
state_bind_text(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT);
}

/* ---- hosts ------------------------------------------------------------------------- */

const struct value *
state_hosts(struct state *s, struct arena *a, struct err *err)
{
	static const struct columns columns[] = {
		{ "name", COL_TEXT }, { "vars", COL_JSON }, { "groups", COL_JSON },
		{ "added_ms", COL_INT }, { "last_seen_ms", COL_INT },
		{ "facts_ms", COL_INT }, { "last_run", COL_INT },
		{ NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT name, vars, groups, added_ms,"
	    " last_seen_ms, facts_ms,"
	    " (SELECT max(run_id) FROM run_hosts WHERE host_id = hosts.id)"
	    " FROM hosts ORDER BY name", err);

	return st != NULL ? state_rows(s, a, st, columns, err) : NULL;
}

const struct value *
state_keys(struct state *s, struct arena *a, struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "port", COL_INT }, { "key", COL_TEXT },
		{ "pinned_ms", COL_INT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT host, port, key, pinned_ms"
	    " FROM host_keys ORDER BY host, port, pinned_ms", err);

	return st != NULL ? state_rows(s, a, st, columns, err) : NULL;
}

const struct value *
state_facts(struct state *s, struct arena *a, const char *host, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, "SELECT f.name, f.value FROM facts f"
	    " JOIN hosts h ON h.id = f.host_id WHERE h.name = ?1 ORDER BY f.name",
	    err);
	struct value *facts;
	int rc;

	if (st == NULL)
		return NULL;
	state_bind_text(st, 1, host);
	facts = v_map(a);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		v_set(a, facts, column_value(a, st, 0, COL_TEXT),
		    column_value(a, st, 1, COL_JSON));
	if (rc != SQLITE_DONE) {
		(void)db_err(&s->db, rc, "reading", err);
		facts = NULL;
	}
	(void)sqlite3_finalize(st);
	if (facts == NULL || v_count(facts) > 0)
		return facts;
	(void)err_set(err, ERR_INVALID, "no facts of '%s' are known", host);
	err_hint(err, "a run gathers them: `provctl apply` with that host");
	return NULL;
}

/* ---- runs ----------------------------------------------------------------------------- */

#define RUN_COLUMNS							\
	"SELECT r.id, r.site, r.check_only, r.started_ms, r.ended_ms, r.status,"	\
	" r.user, r.pid, r.version, count(h.host_id), coalesce(sum(h.ok), 0),"	\
	" coalesce(sum(h.changed), 0), coalesce(sum(h.failed), 0),"	\
	" coalesce(sum(h.skipped), 0), coalesce(sum(h.unreachable), 0),"	\
	" coalesce(sum(h.rescued), 0), coalesce(sum(h.ignored), 0),"	\
	" r.boot, r.pid_start, r.partial, r.resumes, r.site_id,"	\
	" (SELECT max(id) FROM runs WHERE resumes = r.id),"	\
	" (SELECT max(expires_ms) FROM leases WHERE run_id = r.id)"	\
	" FROM runs r LEFT JOIN run_hosts h ON h.run_id = r.id "

static const struct columns run_columns[] = {
	{ "id", COL_INT }, { "site", COL_TEXT }, { "check", COL_BOOL },
	{ "started_ms", COL_INT }, { "ended_ms", COL_INT }, { "status", COL_INT },
	{ "user", COL_TEXT }, { "pid", COL_INT }, { "version", COL_TEXT },
	{ "hosts", COL_INT }, { "ok", COL_INT }, { "changed", COL_INT },
	{ "failed", COL_INT }, { "skipped", COL_INT }, { "unreachable", COL_INT },
	{ "rescued", COL_INT }, { "ignored", COL_INT }, { "boot", COL_TEXT },
	{ "pid_start", COL_INT }, { "partial", COL_BOOL },
	{ "resumes", COL_INT }, { "site_id", COL_TEXT },
	{ "resumed_by", COL_INT }, { "expires_ms", COL_INT },
	{ NULL, COL_TEXT }
};

/* A run without an end is under way, or its program is gone: on this machine the process tells, else its leases. */
static void
add_state(struct arena *a, struct value *run)
{
	const char *state = "done";

	if (v_is_null(v_gets(run, "ended_ms")))
		state = process_alive(v_get_str(run, "boot", ""),
		    v_get_int(run, "pid", 0), v_get_int(run, "pid_start", 0),
		    v_get_int(run, "expires_ms", 0)) ? "running" : "killed";
	v_set_str(a, run, "state", state);
	(void)v_dels(run, "boot");
	(void)v_dels(run, "pid_start");
	(void)v_dels(run, "expires_ms");
}

static const struct value *
finish_runs(struct arena *a, struct value *list)
{
	struct value *out = v_list(a);
	uint32_t i;

	for (i = 0; i < v_count(list); i++) {
		struct value *run = v_map(a);

		v_merge(a, run, v_at(list, i));
		add_state(a, run);
		v_push(a, out, run);
	}
	return out;
}

const struct value *
view_runs(struct state *s, struct arena *a, uint32_t limit, const char *host,
    int64_t before, struct err *err)
{
	sqlite3_stmt *st;
	struct value *list;

	if (host == NULL) {
		st = state_prepare(s, RUN_COLUMNS
		    "WHERE r.id IN (SELECT id FROM runs WHERE id < ?3"
		    " ORDER BY id DESC LIMIT ?1)"
		    " GROUP BY r.id ORDER BY r.id DESC", err);
	} else {
		/* The counters are those of the host alone. */
		st = state_prepare(s, RUN_COLUMNS
		    "WHERE h.host_id = (SELECT id FROM hosts WHERE name = ?2) AND r.id < ?3"
		    " GROUP BY r.id ORDER BY r.id DESC LIMIT ?1", err);
	}
	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, limit == 0 ? -1 : (int64_t)limit);
	if (host != NULL)
		state_bind_text(st, 2, host);
	(void)sqlite3_bind_int64(st, 3, before > 0 ? before : INT64_MAX);
	list = state_rows(s, a, st, run_columns, err);
	return list != NULL ? finish_runs(a, list) : NULL;
}

const struct value *
state_runs(struct state *s, struct arena *a, uint32_t limit, const char *host,
    struct err *err)
{
	return view_runs(s, a, limit, host, 0, err);
}

const struct value *
view_open_runs(struct state *s, struct arena *a, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, RUN_COLUMNS "WHERE r.id IN"
	    " (SELECT id FROM runs WHERE ended_ms IS NULL ORDER BY id DESC LIMIT 100)"
	    " GROUP BY r.id ORDER BY r.id DESC", err);
	struct value *list;

	if (st == NULL || (list = state_rows(s, a, st, run_columns, err)) == NULL)
		return NULL;
	return finish_runs(a, list);
}

static struct value *
run_results(struct state *s, struct arena *a, int64_t id, const char *host,
    struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "delegated", COL_TEXT },
		{ "play", COL_TEXT }, { "task", COL_TEXT }, { "role", COL_TEXT },
		{ "module", COL_TEXT }, { "file", COL_TEXT }, { "line", COL_INT },
		{ "handler", COL_BOOL }, { "outcome", COL_TEXT },
		{ "started_ms", COL_INT }, { "duration_ms", COL_INT },
		{ "msg", COL_TEXT }, { "class", COL_TEXT },
		{ "result", COL_JSON }, { "diff", COL_TEXT },
		{ NULL, COL_TEXT }
	};
	sqlite3_stmt *st;

#define RESULTS								\
	"SELECT h.name, r.delegated, t.play, t.name, t.role,"		\
	" t.module, t.file, t.line, t.handler, r.outcome, r.started_ms,"	\
	" r.duration_ms, r.msg, r.class, d.result, d.diff FROM results r"	\
	" JOIN hosts h ON h.id = r.host_id JOIN tasks t ON t.id = r.task_id"	\
	" LEFT JOIN details d ON d.result_id = r.id WHERE r.run_id = ?1"
	st = state_prepare(s, host == NULL ? RESULTS " ORDER BY r.id" :
	    RESULTS " AND r.host_id = (SELECT id FROM hosts WHERE name = ?2)"
	    " ORDER BY r.id", err);
	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, id);
	if (host != NULL)
		state_bind_text(st, 2, host);
	return state_rows(s, a, st, columns, err);
}

struct value *
state_rows_of(struct state *s, struct arena *a, int64_t id, const char *sql,
    const struct columns *columns, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, sql, err);

	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, id);
	return state_rows(s, a, st, columns, err);
}

struct value *
state_run_row(struct state *s, struct arena *a, int64_t id, struct err *err)
{
	const struct value *list;
	struct value *run;

	list = state_rows_of(s, a, id, RUN_COLUMNS "WHERE r.id = ?1 GROUP BY r.id",
	    run_columns, err);
	if (list == NULL)
		return NULL;
	if (v_count(list) == 0) {
		(void)err_set(err, ERR_INVALID, "there is no run %lld",
		    (long long)id);
		err_hint(err, "`provctl history` lists the runs");
		return NULL;
	}
	run = v_map(a);
	v_merge(a, run, v_at(list, 0));
	add_state(a, run);
	return run;
}

const struct value *
state_run(struct state *s, struct arena *a, int64_t id, const char *host,
    struct err *err)
{
	static const struct columns host_columns[] = {
		{ "host", COL_TEXT }, { "ok", COL_INT }, { "changed", COL_INT },
		{ "failed", COL_INT }, { "skipped", COL_INT },
		{ "unreachable", COL_INT }, { "rescued", COL_INT },
		{ "ignored", COL_INT }, { NULL, COL_TEXT }
	};
	static const struct columns warning_columns[] = {
		{ "host", COL_TEXT }, { "text", COL_TEXT }, { NULL, COL_TEXT }
	};
	static const struct columns doing_columns[] = {
		{ "host", COL_TEXT }, { "task", COL_TEXT }, { "file", COL_TEXT },
		{ "line", COL_INT }, { "since_ms", COL_INT }, { NULL, COL_TEXT }
	};
	struct value *run, *results, *hosts, *warnings, *doing;

	if ((run = state_run_row(s, a, id, err)) == NULL)
		return NULL;
	hosts = state_rows_of(s, a, id, "SELECT h.name, r.ok, r.changed, r.failed,"
	    " r.skipped, r.unreachable, r.rescued, r.ignored FROM run_hosts r"
	    " JOIN hosts h ON h.id = r.host_id WHERE r.run_id = ?1 ORDER BY h.name",
	    host_columns, err);
	if (hosts == NULL)
		return NULL;
	warnings = state_rows_of(s, a, id, "SELECT host, text FROM warnings"
	    " WHERE run_id = ?1 ORDER BY id", warning_columns, err);
	if (warnings == NULL)
		return NULL;
	if ((results = run_results(s, a, id, host, err)) == NULL)
		return NULL;
	doing = state_rows_of(s, a, id, "SELECT h.name, d.task, d.file, d.line, d.since_ms"
	    " FROM doing d JOIN hosts h ON h.id = d.host_id WHERE d.run_id = ?1"
	    " ORDER BY h.name", doing_columns, err);
	if (doing == NULL)
		return NULL;
	v_sets(a, run, "doing", doing);
	v_sets(a, run, "per_host", hosts);
	v_sets(a, run, "warnings", warnings);
	v_sets(a, run, "results", results);
	return run;
}
