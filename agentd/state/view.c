/*
 * See view.h.
 *
 * A page is shown from the daemon's loop, so whatever is asked here must be
 * cheap in a fleet of 1,000 hosts after a year: milliseconds.  What would need
 * all results of a run (100,000) is asked only of a run that is under way.
 */
#include <sys/stat.h>
#include <string.h>

#include "state/private.h"
#include "state/view.h"

static const char *const stands[STAND_MAX] = {
	[STAND_FAILED] = "failed", [STAND_UNREACHABLE] = "unreachable",
	[STAND_CORRECTIVE] = "corrective", [STAND_INTENTIONAL] = "intentional",
	[STAND_OK] = "up-to-date", [STAND_UNKNOWN] = "unknown",
};

const char *
stand_name(enum stand stand)
{
	return stands[stand];
}

enum stand
stand_of(const char *name)
{
	size_t i;

	for (i = 0; i < NITEMS(stands); i++)
		if (strcmp(stands[i], name) == 0)
			break;
	return (enum stand)i;
}

/* ---- hosts ------------------------------------------------------------------------ */

_Static_assert(VIEW_PAST == 12, "stands in the text");
/* The numbers are enum stand. */
static const char hosts_sql[] =
    "WITH h AS MATERIALIZED (SELECT id, name, last_seen_ms,"
    "  (SELECT max(run_id) FROM run_hosts WHERE host_id = hosts.id) AS last,"
    "  (SELECT count(*) FROM drift WHERE host_id = hosts.id AND closed_ms IS NULL) AS drift"
    " FROM hosts WHERE (?1 IS NULL OR name = ?1) AND forgotten_ms IS NULL)"
    "SELECT h.name, CASE WHEN n.run_id IS NULL THEN 5"
    "  WHEN n.failed > 0 THEN 0 WHEN n.unreachable > 0 THEN 1"
    "  WHEN h.drift > 0 THEN 2 WHEN n.changed = 0 THEN 4"
    "  WHEN EXISTS (SELECT 1 FROM results x WHERE x.run_id = n.run_id"
    "   AND x.host_id = h.id AND x.class = 'corrective') THEN 2 ELSE 3 END,"
    " h.drift, h.last_seen_ms, n.run_id, r.site, r.check_only, r.started_ms,"
    " r.ended_ms, n.ok, n.changed, n.failed, n.unreachable, n.skipped,"
    " (SELECT count(*) FROM pending WHERE host_id = h.id),"
    " (SELECT count(*) FROM pending WHERE host_id = h.id AND next_ms IS NULL),"
    " (SELECT count(*) FROM owed WHERE host_id = h.id),"
    " (SELECT group_concat(CASE WHEN p.failed > 0 THEN 0 WHEN p.unreachable > 0 THEN 1"
    "   WHEN p.changed > 0 THEN 3 ELSE 4 END, '') FROM (SELECT failed, unreachable, changed"
    "   FROM run_hosts WHERE host_id = h.id ORDER BY run_id DESC LIMIT 12) p)"
    " FROM h LEFT JOIN run_hosts n ON n.host_id = h.id AND n.run_id = h.last"
    " LEFT JOIN runs r ON r.id = n.run_id ORDER BY h.name";

const struct value *
view_hosts(struct state *s, struct arena *a, const char *name, struct err *err)
{
	static const struct columns columns[] = {
		{ "name", COL_TEXT }, { "stand", COL_INT }, { "drift", COL_INT },
		{ "last_seen_ms", COL_INT }, { "run", COL_INT }, { "site", COL_TEXT },
		{ "check", COL_BOOL }, { "started_ms", COL_INT },
		{ "ended_ms", COL_INT }, { "ok", COL_INT }, { "changed", COL_INT },
		{ "failed", COL_INT }, { "unreachable", COL_INT },
		{ "skipped", COL_INT }, { "pending", COL_INT },
		{ "given_up", COL_INT }, { "owed", COL_INT }, { "past", COL_TEXT },
		{ NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, hosts_sql, err);

	if (st == NULL)
		return NULL;
	if (name != NULL)
		state_bind_text(st, 1, name);
	return state_rows(s, a, st, columns, err);
}

/* ---- sites ------------------------------------------------------------------------ */

/* From site to site through the index, without looking at the runs between. */
static const char sites_sql[] =
    "WITH RECURSIVE s (site) AS (SELECT min(site) FROM runs UNION ALL"
    "  SELECT (SELECT min(site) FROM runs WHERE site > s.site) FROM s"
    "  WHERE s.site IS NOT NULL LIMIT 1000),"
    " l AS MATERIALIZED (SELECT site, (SELECT max(id) FROM runs WHERE site = s.site) AS last,"
    "  (SELECT id FROM runs WHERE site = s.site AND status = 0"
    "   ORDER BY id DESC LIMIT 1) AS good FROM s WHERE site IS NOT NULL)"
    "SELECT l.site, r.id, r.started_ms, r.ended_ms, r.status, r.check_only,"
    " g.ended_ms, g.id, g.ended_ms - g.started_ms,"
    " (SELECT count(*) FROM applied_sites a WHERE a.site = l.site),"
    " (SELECT count(*) FROM drift d WHERE d.site = l.site AND d.closed_ms IS NULL),"
    " (SELECT count(*) FROM pending p WHERE p.site = l.site),"
    " (SELECT count(DISTINCT site_id) FROM runs q WHERE q.site = l.site AND q.site_id IS NOT NULL)"
    " FROM l JOIN runs r ON r.id = l.last LEFT JOIN runs g ON g.id = l.good ORDER BY l.site";

const struct value *
view_sites(struct state *s, struct arena *a, struct err *err)
{
	static const struct columns columns[] = {
		{ "site", COL_TEXT }, { "run", COL_INT }, { "started_ms", COL_INT },
		{ "ended_ms", COL_INT }, { "status", COL_INT },
		{ "check", COL_BOOL }, { "success_ms", COL_INT },
		{ "success_run", COL_INT }, { "success_duration_ms", COL_INT },
		{ "hosts", COL_INT }, { "drift", COL_INT }, { "pending", COL_INT },
		{ "snapshots", COL_INT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, sites_sql, err);

	return st != NULL ? state_rows(s, a, st, columns, err) : NULL;
}

/* ---- one run ------------------------------------------------------------------------ */

/* Of a run that has ended each host has a row of its own; of one under way (or killed) what is recorded is counted. */
#define HOSTS_ENDED							\
	"SELECT h.name, n.run_id IS NOT NULL, n.ok, n.changed, n.failed,"	\
	" n.unreachable, n.skipped, NULL FROM run_todo t JOIN hosts h ON h.id = t.host_id"	\
	" LEFT JOIN run_hosts n ON n.run_id = t.run_id AND n.host_id = t.host_id"	\
	" WHERE t.run_id = ?1 UNION "					\
	"SELECT h.name, 1, n.ok, n.changed, n.failed, n.unreachable, n.skipped, NULL"	\
	" FROM run_hosts n JOIN hosts h ON h.id = n.host_id WHERE n.run_id = ?1"	\
	" ORDER BY 1"
#define HOSTS_OPEN							\
	"SELECT h.name, n.run_id IS NOT NULL,"				\
	" count(x.id) FILTER (WHERE x.outcome IN ('ok', 'changed')),"	\
	" count(x.id) FILTER (WHERE x.outcome = 'changed'),"		\
	" count(x.id) FILTER (WHERE x.outcome = 'failed'),"		\
	" count(x.id) FILTER (WHERE x.outcome = 'unreachable'),"	\
	" count(x.id) FILTER (WHERE x.outcome = 'skipped'),"		\
	" (SELECT k.name FROM results y JOIN tasks k ON k.id = y.task_id"	\
	"  WHERE y.run_id = t.run_id AND y.host_id = t.host_id ORDER BY y.id DESC LIMIT 1)"	\
	" FROM run_todo t JOIN hosts h ON h.id = t.host_id"		\
	" LEFT JOIN run_hosts n ON n.run_id = t.run_id AND n.host_id = t.host_id"	\
	" LEFT JOIN results x ON x.run_id = t.run_id AND x.host_id = t.host_id"	\
	" WHERE t.run_id = ?1 GROUP BY t.host_id ORDER BY 1"

const struct value *
view_run(struct state *s, struct arena *a, int64_t id, struct err *err)
{
	static const struct columns host_columns[] = {
		{ "host", COL_TEXT }, { "done", COL_BOOL }, { "ok", COL_INT },
		{ "changed", COL_INT }, { "failed", COL_INT },
		{ "unreachable", COL_INT }, { "skipped", COL_INT },
		{ "last", COL_TEXT }, { NULL, COL_TEXT }
	};
	static const struct columns warning_columns[] = {
		{ "host", COL_TEXT }, { "text", COL_TEXT }, { NULL, COL_TEXT }
	};
	struct value *run = state_run_row(s, a, id, err), *hosts, *warnings;

	if (run == NULL)
		return NULL;
	hosts = state_rows_of(s, a, id, strcmp(v_get_str(run, "state", ""), "done") == 0 ?
	    HOSTS_ENDED : HOSTS_OPEN, host_columns, err);
	if (hosts == NULL || (warnings = state_rows_of(s, a, id, "SELECT host, text FROM warnings"
	    " WHERE run_id = ?1 ORDER BY id LIMIT 200", warning_columns, err)) == NULL)
		return NULL;
	v_sets(a, run, "per_host", hosts);
	v_sets(a, run, "warnings", warnings);
	return run;
}

/* ---- results ------------------------------------------------------------------------ */

#define RESULT_COLUMNS							\
	"SELECT r.id, h.name, r.delegated, t.play, t.name, t.role, t.module,"	\
	" t.file, t.line, t.handler, r.outcome, r.class, r.started_ms,"	\
	" r.duration_ms, r.msg, d.diff IS NOT NULL, r.run_id, d.result, d.diff"	\
	" FROM results r JOIN hosts h ON h.id = r.host_id"		\
	" JOIN tasks t ON t.id = r.task_id"				\
	" LEFT JOIN details d ON d.result_id = r.id "

#define COLUMNS_OF_LIST							\
	{ "id", COL_INT }, { "host", COL_TEXT }, { "delegated", COL_TEXT },	\
	{ "play", COL_TEXT }, { "task", COL_TEXT }, { "role", COL_TEXT },	\
	{ "module", COL_TEXT }, { "file", COL_TEXT }, { "line", COL_INT },	\
	{ "handler", COL_BOOL }, { "outcome", COL_TEXT },		\
	{ "class", COL_TEXT }, { "started_ms", COL_INT },		\
	{ "duration_ms", COL_INT }, { "msg", COL_TEXT }, { "diff", COL_BOOL }

const struct value *
view_results(struct state *s, struct arena *a, const struct view_query *q, struct err *err)
{
	static const struct columns columns[] = { COLUMNS_OF_LIST, { NULL, COL_TEXT } };
	sqlite3_stmt *st = state_prepare(s, q->host != NULL ? RESULT_COLUMNS
	    "WHERE r.run_id = ?1 AND r.host_id = (SELECT id FROM hosts WHERE name = ?4)"
	    " AND r.id > ?2 ORDER BY r.id LIMIT ?3" : RESULT_COLUMNS
	    "WHERE r.run_id = ?1 AND r.outcome NOT IN ('ok', 'skipped')"
	    " AND r.id > ?2 ORDER BY r.id LIMIT ?3", err);

	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, q->run);
	(void)sqlite3_bind_int64(st, 2, q->after);
	(void)sqlite3_bind_int64(st, 3, q->limit);
	if (q->host != NULL)
		state_bind_text(st, 4, q->host);
	return state_rows(s, a, st, columns, err);
}

const struct value *
view_result(struct state *s, struct arena *a, int64_t id, struct err *err)
{
	static const struct columns columns[] = {
		COLUMNS_OF_LIST, { "run", COL_INT }, { "result", COL_JSON },
		{ "diff", COL_TEXT }, { NULL, COL_TEXT }
	};
	const struct value *list = state_rows_of(s, a, id, RESULT_COLUMNS "WHERE r.id = ?1",
	    columns, err);

	if (list == NULL || v_count(list) > 0)
		return list != NULL ? v_at(list, 0) : NULL;
	(void)err_set(err, ERR_INVALID, "there is no result %lld", (long long)id);
	return NULL;
}

/* ---- drift ------------------------------------------------------------------------ */

const struct value *
view_drift(struct state *s, struct arena *a, const char *host, uint32_t limit,
    struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "site", COL_TEXT }, { "task", COL_TEXT },
		{ "item", COL_TEXT }, { "module", COL_TEXT }, { "role", COL_TEXT },
		{ "file", COL_TEXT }, { "line", COL_INT }, { "first_ms", COL_INT },
		{ "last_ms", COL_INT }, { "seen", COL_INT }, { "last_run", COL_INT },
		{ "diff", COL_TEXT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT h.name, d.site, t.name, d.item,"
	    " t.module, t.role, t.file, t.line, d.first_ms, d.last_ms, d.seen,"
	    " d.last_run, d.diff FROM hosts h CROSS JOIN drift d ON d.host_id = h.id"
	    " JOIN tasks t ON t.id = d.task_id WHERE d.closed_ms IS NULL"
	    " AND (?1 IS NULL OR h.name = ?1) ORDER BY h.name, d.id LIMIT ?2", err);

	if (st == NULL)
		return NULL;
	if (host != NULL)
		state_bind_text(st, 1, host);
	(void)sqlite3_bind_int64(st, 2, limit);
	return state_rows(s, a, st, columns, err);
}

/* ---- the files ------------------------------------------------------------------------ */

int64_t
view_size(struct state *s)
{
	struct arena a = { 0 };
	struct stat st;
	int64_t size = 0;

	if (stat(s->db.path, &st) == 0)
		size += st.st_size;
	if (stat(arena_printf(&a, "%s-wal", s->db.path), &st) == 0)
		size += st.st_size;
	arena_release(&a);
	return size;
}
