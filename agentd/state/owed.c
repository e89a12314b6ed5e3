/*
 * Reading what is owed to hosts: handlers, tries, runs that did not end well.
 * Written by record.c.
 */
#include <string.h>

#include "base/json.h"
#include "state/private.h"

const struct value *
state_owed_list(struct state *s, struct arena *a, struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "handler", COL_TEXT }, { "site", COL_TEXT },
		{ "run", COL_INT }, { "since_ms", COL_INT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT h.name, o.handler, o.site,"
	    " o.run_id, o.since_ms FROM owed o JOIN hosts h ON h.id = o.host_id"
	    " ORDER BY h.name, o.since_ms", err);

	return st != NULL ? state_rows(s, a, st, columns, err) : NULL;
}

const struct value *
state_pending(struct state *s, struct arena *a, const char *host, int64_t due_ms,
    struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "site", COL_TEXT }, { "run", COL_INT },
		{ "partial", COL_BOOL }, { "reason", COL_TEXT }, { "tries", COL_INT },
		{ "first_ms", COL_INT }, { "last_ms", COL_INT },
		{ "next_ms", COL_INT }, { "unanswered", COL_TEXT }, { NULL, COL_TEXT }
	};
	/* A try in the future: the clock was ahead then, and the next one may be years away. */
	sqlite3_stmt *st = state_prepare(s, "SELECT h.name, p.site, p.run_id, p.partial,"
	    " p.reason, p.tries, p.first_ms, p.last_ms, iif(p.last_ms > ?3, min(p.next_ms, ?3),"
	    " p.next_ms) AS due_ms, p.unanswered FROM pending p JOIN hosts h ON h.id = p.host_id"
	    " WHERE (?1 IS NULL OR h.name = ?1) AND (?2 = 0 OR due_ms <= ?2)"
	    " ORDER BY h.name, p.site", err);

	if (st == NULL)
		return NULL;
	if (host != NULL)
		state_bind_text(st, 1, host);
	(void)sqlite3_bind_int64(st, 2, due_ms);
	(void)sqlite3_bind_int64(st, 3, state_now_ms());
	return state_rows(s, a, st, columns, err);
}

int
state_pending_back(struct state *s, const char *unanswered, int64_t next_ms, struct err *err)
{
	if (state_writable(s, err) == -1)
		return -1;
	writer_put(s->writer, SQL_PENDING_BACK, "si", unanswered, next_ms);
	return 0;
}

/* ---- runs that did not end well ------------------------------------------------------ */

#define UNFINISHED_MAX	100	/* runs looked at, of those that may be unfinished */

/*
 * Which hosts a run r did not bring through, of t and n (its row of the end).
 * Killed or interrupted: nobody knows who was through.  Who was stopped by the
 * failure of others has no failures, but is pending.
 */
#define NOT_THROUGH							\
	"(r.status IS NULL OR r.status = 130 OR (r.status IN (3, 4) AND"	\
	" (n.run_id IS NULL OR n.failed + n.unreachable > 0 OR EXISTS"	\
	"  (SELECT 1 FROM pending p WHERE p.host_id = t.host_id"	\
	"   AND p.site = r.site AND p.run_id = r.id))))"

/*
 * A later run that went on with it settles it when that took all hosts which
 * were left (`retry HOST` takes one), and so does an apply of the same site
 * that went well on all its hosts.
 */
const struct value *
state_unfinished_list(struct state *s, struct arena *a, struct err *err)
{
	static const struct columns columns[] = { { "id", COL_INT }, { NULL, COL_TEXT } };
	sqlite3_stmt *st = state_prepare(s, "SELECT id FROM runs r"
	    " WHERE check_only = 0 AND (ended_ms IS NULL OR status IN (3, 4, 130))"
	    " AND (NOT EXISTS (SELECT 1 FROM runs x WHERE x.resumes = r.id)"
	    "   OR EXISTS (SELECT 1 FROM run_todo t LEFT JOIN run_hosts n"
	    "     ON n.run_id = t.run_id AND n.host_id = t.host_id"
	    "     WHERE t.run_id = r.id AND " NOT_THROUGH
	    "     AND NOT EXISTS (SELECT 1 FROM runs x JOIN run_todo u"
	    "       ON u.run_id = x.id AND u.host_id = t.host_id"
	    "       WHERE x.resumes = r.id)))"
	    " AND NOT EXISTS (SELECT 1 FROM runs y WHERE y.id > r.id"
	    "   AND y.site = r.site AND y.status = 0 AND y.check_only = 0"
	    "   AND y.partial <= r.partial"
	    "   AND NOT EXISTS (SELECT 1 FROM run_todo t WHERE t.run_id = r.id"
	    "     AND NOT EXISTS (SELECT 1 FROM run_todo u WHERE u.run_id = y.id"
	    "       AND u.host_id = t.host_id)))"
	    " ORDER BY id DESC LIMIT ?1", err);
	const struct value *ids, *run;
	struct value *list = v_list(a);
	uint32_t i;

	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int(st, 1, UNFINISHED_MAX);
	if ((ids = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	for (i = 0; i < v_count(ids); i++) {
		run = state_run_row(s, a, v_get_int(v_at(ids, i), "id", 0), err);
		if (run == NULL)
			return NULL;
		if (strcmp(v_get_str(run, "state", ""), "running") != 0)
			v_push(a, list, run);
	}
	return list;
}

int64_t
state_unfinished(struct state *s, struct err *err)
{
	struct arena a = { 0 };
	const struct value *list = state_unfinished_list(s, &a, err);
	int64_t id = list != NULL && v_count(list) > 0 ?
	    v_get_int(v_at(list, 0), "id", 0) : 0;

	arena_release(&a);
	return id;
}

const struct value *
state_run_left(struct state *s, struct arena *a, int64_t id, struct err *err)
{
	static const struct columns columns[] = { { "host", COL_TEXT }, { NULL, COL_TEXT } };
	const struct value *run = state_run_row(s, a, id, err), *rows;
	struct value *list = v_list(a);
	sqlite3_stmt *st;
	uint32_t i;

	if (run == NULL)
		return NULL;
	if (strcmp(v_get_str(run, "state", ""), "running") == 0) {
		(void)err_set(err, ERR_BUSY, "run %lld is under way (pid %lld)",
		    (long long)id, (long long)v_get_int(run, "pid", 0));
		return NULL;
	}
	/* Whom a later run of the site brought through is not left. */
	st = state_prepare(s, "SELECT h.name FROM run_todo t"
	    " JOIN hosts h ON h.id = t.host_id JOIN runs r ON r.id = t.run_id"
	    " LEFT JOIN run_hosts n ON n.run_id = t.run_id AND n.host_id = t.host_id"
	    " WHERE t.run_id = ?1 AND " NOT_THROUGH
	    " AND NOT EXISTS (SELECT 1 FROM run_hosts m JOIN runs y ON y.id = m.run_id"
	    "   WHERE m.host_id = t.host_id AND m.run_id > t.run_id"
	    "   AND m.failed + m.unreachable = 0 AND y.status IN (0, 3, 4)"
	    "   AND y.site = r.site AND y.check_only = 0 AND y.partial <= r.partial"
	    "   AND NOT EXISTS (SELECT 1 FROM pending p"
	    "     WHERE p.host_id = t.host_id AND p.site = r.site))"
	    " ORDER BY h.name", err);
	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, id);
	if ((rows = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	for (i = 0; i < v_count(rows); i++)
		v_push(a, list, v_gets(v_at(rows, i), "host"));
	return list;
}

const struct value *
state_run_options(struct state *s, struct arena *a, int64_t id, struct err *err)
{
	static const struct columns columns[] = { { "options", COL_TEXT }, { NULL, COL_TEXT } };
	sqlite3_stmt *st = state_prepare(s, "SELECT options FROM runs WHERE id = ?1", err);
	const struct value *rows, *v;
	const char *text;

	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, id);
	if ((rows = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	text = v_count(rows) > 0 ? v_get_str(v_at(rows, 0), "options", NULL) : NULL;
	if (text == NULL) {
		(void)err_set(err, ERR_INVALID, "how run %lld was asked for is not on record",
		    (long long)id);
		err_hint(err, "apply its site again");
		return NULL;
	}
	if ((text = unseal_text(s, a, text, err)) == NULL) {
		(void)err_wrap(err, "run %lld", (long long)id);
		return NULL;
	}
	v = json_parse_text(a, text, strlen(text), err);
	if (v != NULL && v->type != V_MAP) {
		(void)err_set(err, ERR_INVALID, "the options of run %lld are damaged",
		    (long long)id);
		v = NULL;
	}
	return v;
}

int64_t
state_time_ms(void)
{
	return state_now_ms();
}
