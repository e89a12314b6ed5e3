/* See before.h. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "state/before.h"
#include "state/private.h"

static const char *
json_text(struct buf *b, const struct value *v)
{
	buf_clear(b);
	json_write(b, v, JSON_COMPACT);
	return buf_str(b);
}

void
before_put(struct state *s, const struct event *e)
{
	CLEANUP_BUF struct buf was = BUF_INIT, left = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(e->before); i++) {
		const struct value *v = v_at(e->before, i);
		const struct value *w = v_gets(v, "was"), *l = v_gets(v, "left");
		const char *path = v_get_str(v, "path", "");

		/* The host says so: take nothing for granted. */
		if (*path == '\0')
			w = v_get_int(v, "lost", 0) > 0 ? v : NULL;
		if (w == NULL || w->type != V_MAP)
			continue;
		writer_put(s->writer, SQL_BEFORE, "srssisss", e->host,
		    e->task != NULL ? e->task : "", e->user, (int64_t)e->quiet,
		    path, json_text(&was, w),
		    l != NULL && l->type == V_MAP ? json_text(&left, l) : NULL);
	}
}

/* ---- reading -------------------------------------------------------------- */

static bool
was_absent(const struct value *v)
{
	return strcmp(v_get_str(v_gets(v, "was"), "type", ""), "absent") == 0;
}

static int
in_order(const void *a, const void *b)
{
	const struct value *x = *(const struct value *const *)a;
	const struct value *y = *(const struct value *const *)b;
	bool gone = was_absent(x);
	int n;

	if (gone != was_absent(y))
		return gone ? -1 : 1;
	n = strcmp(v_get_str(x, "path", ""), v_get_str(y, "path", ""));
	return gone ? -n : n;
}

/* One list a host out of a map by path. */
static const struct value *
sorted(struct arena *a, const struct value *paths)
{
	const struct value **v = ARENA_ARRAY(a, v_count(paths) + 1, const struct value *);
	struct value *list = v_list(a);
	const struct ventry *e;
	uint32_t it = 0, n = 0, i;

	while ((e = v_next(paths, &it)) != NULL)
		if (!v_equal(v_gets(e->val, "was"), v_gets(e->val, "left")))
			v[n++] = e->val;
	if (n > 1)
		qsort(v, n, sizeof(*v), in_order);
	for (i = 0; i < n; i++)
		v_push(a, list, v[i]);
	return list;
}

const struct value *
state_before(struct state *s, struct arena *a, int64_t run, struct err *err)
{
	static const struct columns columns[] = {
		{ "host", COL_TEXT }, { "task", COL_TEXT }, { "user", COL_TEXT },
		{ "quiet", COL_BOOL }, { "path", COL_TEXT }, { "was", COL_JSON },
		{ "left", COL_JSON }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT h.name, b.task, b.user, b.quiet,"
	    " b.path, b.was, b.made FROM before b JOIN hosts h ON h.id = b.host_id"
	    " WHERE b.run_id = ?1 ORDER BY b.host_id, b.id", err);
	const struct value *rows;
	struct value *out = v_map(a), *paths = NULL, *first;
	const char *now = NULL;
	uint32_t i;

	if (st == NULL)
		return NULL;
	(void)sqlite3_bind_int64(st, 1, run);
	if ((rows = state_rows(s, a, st, columns, err)) == NULL)
		return NULL;
	for (i = 0; i < v_count(rows); i++) {
		const struct value *r = v_at(rows, i), *known;
		const char *host = v_get_str(r, "host", ""), *path = v_get_str(r, "path", "");

		if (now == NULL || strcmp(now, host) != 0) {
			if (now != NULL)
				v_sets(a, out, now, sorted(a, paths));
			now = host;
			paths = v_map(a);
		}
		known = v_gets(paths, path);
		first = v_map(a);
		v_merge(a, first, known != NULL ? known : r);
		v_sets(a, first, "left", v_gets(r, "left"));
		if (v_get_bool(r, "quiet", false))
			v_set_bool(a, first, "quiet", true);
		v_sets(a, paths, path, first);
	}
	if (now != NULL)
		v_sets(a, out, now, sorted(a, paths));
	return out;
}
