/*
 * What a program keeps in the database for itself: small values by name
 * (table settings).
 */
#include "base/json.h"
#include "state/private.h"

const struct value *
state_note(struct state *s, struct arena *a, const char *name, struct err *err)
{
	static const struct columns columns[] = { { "value", COL_JSON }, { NULL, COL_TEXT } };
	sqlite3_stmt *st = state_prepare(s, "SELECT value FROM settings WHERE name = ?1", err);
	const struct value *rows;

	if (st == NULL)
		return NULL;
	state_bind_text(st, 1, name);
	if ((rows = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	return v_count(rows) > 0 ? v_gets(v_at(rows, 0), "value") : &v_null;
}

int
state_note_set(struct state *s, const char *name, const struct value *v, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (state_writable(s, err) == -1)
		return -1;
	json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
	writer_put(s->writer, SQL_NOTE, "ss", name, buf_str(&b));
	return 0;
}
