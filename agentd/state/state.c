/*
 * Opening and closing the state, hosts and their keys.
 */
#include <sys/stat.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "state/private.h"

#define DEFAULT_ROOT_DIR "/var/lib/provctl"
#define DEFAULT_ROOT	DEFAULT_ROOT_DIR "/state.db"

int64_t
state_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *
state_default_path(struct arena *a)
{
	const char *dir = getenv("XDG_STATE_HOME"), *home;
	struct stat st;

	/* Also the system's agentd, and who becomes its user. */
	if (geteuid() == 0 || (stat(DEFAULT_ROOT_DIR, &st) == 0 && st.st_uid == geteuid()))
		return DEFAULT_ROOT;
	/* The specification says: a relative one is to be ignored. */
	if (dir != NULL && *dir == '/')
		return arena_printf(a, "%s/provctl/state.db", dir);
	home = getenv("HOME");
	return arena_printf(a, "%s/.local/state/provctl/state.db",
	    home != NULL && *home == '/' ? home : "");
}

struct state *
state_open(const char *path, unsigned flags, int busy_ms, struct err *err)
{
	struct state *s = xcalloc(1, sizeof(*s));
	struct db db;
	bool ro = (flags & STATE_READ_ONLY) != 0;

	s->keys = v_map(&s->arena);
	if (db_open(&s->db, path, ro ? DB_READ_ONLY : 0, busy_ms, err) == -1) {
		db_release(&s->db);
		arena_release(&s->arena);
		free(s);
		return NULL;
	}
	if (!ro) {
		if (db_open_again(&db, &s->db, busy_ms, err) == -1 ||
		    lease_functions(&db, err) == -1) {
			db_release(&db);
			db_release(&s->db);
			arena_release(&s->arena);
			free(s);
			return NULL;
		}
		s->writer = writer_start(&db);
		s->check = check_start(&s->db, s->writer);
	}
	return s;
}

int
state_sync(struct state *s, struct err *err)
{
	return s->writer != NULL ? writer_sync(s->writer, err) : 0;
}

int
state_failed(struct state *s, struct err *err)
{
	return s->writer != NULL ? writer_failed(s->writer, err) : 0;
}

void
state_close(struct state *s)
{
	if (s == NULL)
		return;
	check_stop(s->check);
	/* A run that ended before it began. */
	state_lease_drop(s);
	if (s->writer != NULL)
		writer_stop(s->writer);
	db_release(&s->db);
	seal_free(s->seal);
	arena_release(&s->how_arena);
	arena_release(&s->lease_arena);
	arena_release(&s->run_arena);
	arena_release(&s->arena);
	free(s);
}

int
state_writable(struct state *s, struct err *err)
{
	if (s->writer == NULL)
		return err_set(err, ERR_USAGE,
		    "the state database '%s' is open for reading only",
		    s->db.path);
	return 0;
}

/* ---- hosts ------------------------------------------------------------------------ */

int
state_host_set(struct state *s, const char *name, const struct value *vars,
    const struct value *groups, struct err *err)
{
	CLEANUP_BUF struct buf v = BUF_INIT, g = BUF_INIT;

	if (state_writable(s, err) == -1)
		return -1;
	json_write(&v, vars, JSON_COMPACT | JSON_CENSOR);
	json_write(&g, groups, JSON_COMPACT | JSON_CENSOR);
	writer_put(s->writer, SQL_HOST_SET, "sssi", name, buf_str(&v),
	    buf_str(&g), state_now_ms());
	return 0;
}

int
state_host_rename(struct state *s, const char *name, const char *new_name,
    struct err *err)
{
	if (state_writable(s, err) == -1)
		return -1;
	writer_put(s->writer, SQL_HOST_RENAME, "ss", name, new_name);
	return writer_sync(s->writer, err);
}

int
state_host_forget(struct state *s, const char *name, struct err *err)
{
	if (state_writable(s, err) == -1)
		return -1;
	writer_put(s->writer, SQL_FACTS_FORGET, "s", name);
	writer_put(s->writer, SQL_HOST_FORGET, "si", name, state_now_ms());
	writer_put(s->writer, SQL_HOST_FORGET_SITES, "s", name);
	writer_put(s->writer, SQL_HOST_FORGET_DRIFT, "si", name, state_now_ms());
	return writer_sync(s->writer, err);
}

/* ---- keys ----------------------------------------------------------------------------- */

/* The list of a host's keys, read once and kept: the loop asks at each connection, and what was pinned a moment ago may not be committed yet. */
static struct value *
keys_of(struct state *s, const char *host, int port)
{
	struct arena a = { 0 };
	const char *name = arena_printf(&a, "%s:%d", host, port);
	const struct value *known = v_gets(s->keys, name);
	struct value *list;
	sqlite3_stmt *st = NULL;

	if (known != NULL) {
		arena_release(&a);
		/* Ours alone: the map hands out const values only by habit. */
		return (struct value *)(uintptr_t)known;
	}
	list = v_list(&s->arena);
	if (sqlite3_prepare_v2(s->db.sqlite, "SELECT key FROM host_keys"
	    " WHERE host = ?1 AND port = ?2 ORDER BY pinned_ms", -1, &st,
	    NULL) == SQLITE_OK &&
	    sqlite3_bind_text(st, 1, host, -1, SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_bind_int(st, 2, port) == SQLITE_OK)
		while (sqlite3_step(st) == SQLITE_ROW)
			v_push(&s->arena, list, v_str(&s->arena,
			    (const char *)sqlite3_column_text(st, 0)));
	(void)sqlite3_finalize(st);
	v_sets(&s->arena, s->keys, name, list);
	arena_release(&a);
	return list;
}

int
state_known_keys(void *state, const char *host, int port, const char **ret_keys,
    uint32_t max, uint32_t *ret_n)
{
	const struct value *list = keys_of(state, host, port);
	uint32_t i;

	for (i = 0; i < max && i < v_count(list); i++)
		ret_keys[i] = v_at(list, i)->u.s;
	*ret_n = i;
	return 0;
}

int
state_pin_key(void *state, const char *host, int port, const char *key,
    struct err *err)
{
	struct state *s = state;
	struct value *list;
	uint32_t i;

	if (state_writable(s, err) == -1)
		return -1;
	list = keys_of(s, host, port);
	for (i = 0; i < v_count(list); i++)
		if (v_eqs(v_at(list, i), key))
			return 0;
	v_push(&s->arena, list, v_str(&s->arena, key));
	writer_put(s->writer, SQL_KEY_PIN, "sisi", host, (int64_t)port, key,
	    state_now_ms());
	return 0;
}

int
state_forget_keys(struct state *s, const char *host, int port, struct err *err)
{
	if (state_writable(s, err) == -1)
		return -1;
	writer_put(s->writer, SQL_KEY_FORGET, "si", host, (int64_t)port);
	s->keys = v_map(&s->arena);
	/* What is asked for next is read from the file. */
	return writer_sync(s->writer, err);
}
