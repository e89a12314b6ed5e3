/*
 * Reading what is owed to hosts: handlers and tries.  Written by record.c.
 */
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
		{ "next_ms", COL_INT }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT h.name, p.site, p.run_id,"
	    " p.partial, p.reason, p.tries, p.first_ms, p.last_ms, p.next_ms"
	    " FROM pending p JOIN hosts h ON h.id = p.host_id"
	    " WHERE (?1 IS NULL OR h.name = ?1) AND (?2 = 0 OR p.next_ms <= ?2)"
	    " ORDER BY h.name, p.site", err);

	if (st == NULL)
		return NULL;
	if (host != NULL)
		state_bind_text(st, 1, host);
	(void)sqlite3_bind_int64(st, 2, due_ms);
	return state_rows(s, a, st, columns, err);
}
