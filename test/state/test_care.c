/*
 * The database over the years: what is old goes by itself, each query has an
 * index, older schemas are brought to the newest, and a disk that is full.
 */
#include <sys/mount.h>
#include <sched.h>

#include "testing.h"

#include "state/before.h"
#include "state/drift.h"
#include "state/private.h"
#include "state/sites.h"
#include "state/view.h"

#define DAY_MS	86400000LL

static struct arena arena;
static struct err err;

#define OK(call)	do {						\
	if ((call) < 0)							\
		fail_msg("%s: %s", #call, err.msg);			\
} while (0)
#define SOME(call)	do {						\
	if ((call) == NULL)						\
		fail_msg("%s: %s", #call, err.msg);			\
} while (0)

static const struct value *
value_of(const char *text)
{
	const struct value *v = json_parse_text(&arena, text, strlen(text), &err);

	assert_non_null(v);
	return v;
}

static struct event
written(const char *host, enum outcome outcome, const char *result)
{
	static const struct source src = { .path = "/srv/site.yml" };

	return (struct event){ .type = EV_TASK_END, .host = host, .play = "p",
	    .task = "write", .module = "copy", .mark = { .src = &src, .line = 7 },
	    .outcome = outcome, .result = value_of(result), .notifies = true };
}

/* All that an event can make the database do. */
static void
record_all(struct state *s, int ntasks, int status)
{
	int i;

	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	send(s, (struct event){ .type = EV_ASKED, .host = "h1", .task = "write" });
	for (i = 0; i < ntasks; i++)
		send(s, written("h1", OUT_CHANGED, "{\"changed\": true, \"diff\": {\"before\": \"a\", \"after\": \"b\"}}"));
	send(s, (struct event){ .type = EV_NOTIFIED, .host = "h1", .task = "restart" });
	send(s, (struct event){ .type = EV_TASK_END, .host = "h1", .handler = true,
	    .task = "restart", .outcome = OUT_OK, .result = value_of("{}") });
	send(s, (struct event){ .type = EV_WARNING, .host = "h1", .text = "careful" });
	send(s, (struct event){ .type = EV_STATS, .host = "h1", .status = status,
	    .stats = { .ok = 3, .changed = 1, .failed = status != 0 } });
	send(s, (struct event){ .type = EV_RUN_END, .status = status });
}

/* ---- what is old --------------------------------------------------------------------- */

/* Old runs go with all they have, whatever their size; a host's last one and what something is owed for stay. */
static void
test_prune(void **state)
{
	struct state *s = open_ok(0);
	int64_t n;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		record_all(s, i == 0 ? 11000 : 2, 0);
	OK(state_sync(s, &err));
	OK(state_prune(s, 90, &n, &err));
	assert_int_equal(n, 0);
	sql("UPDATE runs SET started_ms = 1000;"
	    " INSERT INTO pending VALUES (1, 'x', 2, 0, 'no', 1, 1, 1, 1, NULL)");
	OK(state_prune(s, 90, &n, &err));
	assert_int_equal(n, 2);
	assert_int_equal(count("SELECT count(*) FROM runs WHERE id IN (2, 4)"), 2);
	assert_int_equal(count("SELECT count(*) FROM runs"), 2);
	assert_int_equal(count("SELECT count(*) FROM results WHERE run_id NOT IN (2, 4)"), 0);
	assert_int_equal(count("SELECT count(*) FROM results"), 6);
	assert_int_equal(count("SELECT count(*) FROM details"), 4);
	assert_int_equal(count("SELECT count(*) FROM warnings"), 2);
	assert_int_equal(count("SELECT count(*) FROM hosts"), 1);
	state_close(s);
}

/* By itself: after 90 days or what is set, once a day, never when so set, and a clock that was wrong stops it for ever not. */
static void
test_tidy(void **state)
{
	struct state *s = open_ok(0);
	char text[128];
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		record_all(s, 1, 0);
	OK(state_sync(s, &err));
	(void)snprintf(text, sizeof(text), "UPDATE runs SET started_ms = started_ms - %lld * id",
	    40 * DAY_MS);
	sql(text);	/* 40, 80 and 120 days old; the last one is the host's last */
	OK(state_tidy(s, &err));
	assert_int_equal(count("SELECT count(*) FROM runs"), 3);
	assert_int_equal(state_keep_days(s, NULL), 90);
	OK(state_set_keep_days(s, 60, &err));
	assert_int_equal(state_keep_days(s, NULL), 60);
	OK(state_tidy(s, &err));
	assert_int_equal(count("SELECT count(*) FROM runs"), 3);	/* not twice a day */
	sql("UPDATE settings SET value = '9999999999999' WHERE name = 'pruned_ms'");
	OK(state_tidy(s, &err));
	assert_int_equal(count("SELECT min(id) FROM runs"), 1);
	assert_int_equal(count("SELECT count(*) FROM runs"), 2);
	OK(state_set_keep_days(s, 0, &err));
	sql("UPDATE settings SET value = '0' WHERE name = 'pruned_ms';"
	    " UPDATE runs SET started_ms = 1");
	OK(state_tidy(s, &err));
	assert_int_equal(count("SELECT count(*) FROM runs"), 2);
	OK(state_set_keep_days(s, 1, &err));
	OK(state_tidy(s, &err));
	assert_int_equal(count("SELECT count(*) FROM runs"), 1);
	state_close(s);
	s = open_ok(STATE_READ_ONLY);
	assert_int_equal(state_tidy(s, NULL), -1);
	state_close(s);
}

/* ---- query plans ------------------------------------------------------------------------ */

static const struct value *seen;	/* map: statements that the program made */

static int
trace(unsigned what, void *arg, void *st, void *text)
{
	(void)arg;
	(void)text;
	if (what == SQLITE_TRACE_STMT && sqlite3_sql(st) != NULL)
		v_set_bool(&arena, (struct value *)(uintptr_t)seen, sqlite3_sql(st), true);
	return 0;
}

/* Called for each connection that is opened from now on. */
static int
watch(sqlite3 *h, char **msg, const struct sqlite3_api_routines *api)
{
	(void)msg;
	(void)api;
	return sqlite3_trace_v2(h, SQLITE_TRACE_STMT, trace, NULL);
}

/* Each function that reads, each event that writes. */
static void
use_everything(void)
{
	struct arena *a = &arena;
	struct state *s = open_ok(0);
	struct state_run_how how = { .options = value_of("{\"site\": \"x\"}") };
	const struct value *held = NULL;
	int64_t n;
	int i;

	for (i = 0; i < 3; i++) {
		OK(state_run_how(s, &how, &err));
		assert_int_equal(take(s, a, "[\"h1\"]", false, &held), 0);
		assert_int_equal(take(s, a, "[\"h2\"]", true, &held), 0);
		assert_true(state_lease_renew(s));
		record_all(s, 2, i == 1 ? 3 : 0);
		OK(state_sync(s, &err));
	}
	assert_int_equal(state_facts_set(s, "h1", value_of("{\"ansible_a\": 1, \"gather_subset\": [\"all\"]}")), 0);
	OK(state_host_set(s, "h2", value_of("{}"), value_of("[]"), &err));
	OK(state_host_rename(s, "h2", "h3", &err));
	OK(state_host_forget(s, "h3", &err));
	OK(state_pin_key(s, "h1", 22, "k", &err));
	SOME(state_keys(s, a, &err));
	OK(state_forget_keys(s, "h1", 0, &err));
	SOME(state_hosts(s, a, &err));
	SOME(state_facts(s, a, "h1", &err));
	SOME(state_runs(s, a, 20, NULL, &err));
	SOME(state_runs(s, a, 20, "h1", &err));
	SOME(state_run(s, a, 1, NULL, &err));
	SOME(state_run(s, a, 1, "h1", &err));
	SOME(state_unfinished_list(s, a, &err));
	SOME(state_run_left(s, a, 1, &err));
	SOME(state_run_options(s, a, 1, &err));
	SOME(state_owed_list(s, a, &err));
	SOME(state_leases(s, a, &err));
	SOME(state_pending(s, a, NULL, 0, &err));
	SOME(state_pending(s, a, "h1", 5, &err));
	SOME(state_drift(s, a, &(struct drift_query){ .closed = true, .limit = 9 }, &err));
	SOME(state_drift(s, a, &(struct drift_query){ .host = "h1", .site = "/s" }, &err));
	SOME(state_applied(s, a, NULL, &err));
	SOME(state_applied(s, a, "/srv/site.yml", &err));
	SOME(state_sites(s, a, &err));
	(void)state_run_snapshot(s, a, 1);
	(void)state_site_find(s, a, "a0", &err);
	err_release(&err);
	SOME(view_hosts(s, a, NULL, &err));
	SOME(view_hosts(s, a, "h1", &err));
	SOME(view_sites(s, a, &err));
	SOME(view_open_runs(s, a, &err));
	SOME(state_drift(s, a, &(struct drift_query){ .host = "h1", .closed = true }, &err));
	SOME(state_drift(s, a, &(struct drift_query){ .site = "x", .limit = 5 }, &err));
	SOME(state_applied(s, a, NULL, &err));
	SOME(state_applied(s, a, "/srv/site.yml", &err));
	SOME(state_sites(s, a, &err));
	assert_null(state_site_find(s, a, "1", &err));
	err_release(&err);
	SOME(state_before(s, a, 1, &err));
	(void)state_run_snapshot(s, a, 1);
	SOME(view_drift(s, a, NULL, 10, &err));
	SOME(view_drift(s, a, "h1", 10, &err));
	SOME(view_run(s, a, 1, &err));
	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	OK(state_sync(s, &err));
	SOME(view_run(s, a, 4, &err));	/* under way */
	SOME(view_results(s, a, &(struct view_query){ .run = 1, .host = "h1", .limit = 9 }, &err));
	SOME(view_results(s, a, &(struct view_query){ .run = 1, .limit = 9 }, &err));
	SOME(view_result(s, a, 1, &err));
	sql("UPDATE runs SET started_ms = 1 WHERE id > 0");	/* watched as well */
	OK(state_tidy(s, &err));
	OK(state_set_keep_days(s, 10, &err));
	OK(state_prune(s, 1, &n, &err));
	state_close(s);
}

/* Does the statement call this table by that name? "results x", "results AS x", "results". */
static bool
is_called(const char *statement, const char *table, const char *name)
{
	const char *p;
	int i;

	if (strcmp(table, name) == 0)
		return true;
	for (i = 0; i < 2; i++) {
		const char *words = arena_printf(&arena, i == 0 ? "%s %s" : "%s AS %s", table, name);

		for (p = statement; (p = strstr(p, words)) != NULL; p++)
			if (strcspn(p + strlen(words), " ,)") == 0)
				return true;
	}
	return false;
}

/* Tables that grow with the number of runs: whoever reads one of them from end to end gets slower each night. */
static bool
grows(const char *statement, const char *step)
{
	static const char *const tables[] = {
		"runs", "run_hosts", "run_todo", "results", "details", "warnings",
		"tasks", "site_files", "blobs", "before", "drift", "applied"
	};
	const char *name;
	size_t i;

	if (strncmp(step, "SCAN ", 5) != 0)
		return false;
	name = arena_strndup(&arena, step + 5, strcspn(step + 5, " "));
	for (i = 0; i < NITEMS(tables); i++)
		if (is_called(statement, tables[i], name))
			return true;
	return false;
}

/* In the order of an index that has only what is wanted, or ending soon by its LIMIT. */
static bool
allowed(const char *statement, const char *step)
{
	return strstr(step, "USING INDEX runs_unfinished") != NULL ||
	    strstr(step, "USING COVERING INDEX runs_unfinished") != NULL ||
	    strstr(step, "INDEX runs_open") != NULL ||
	    (strstr(statement, "SELECT id FROM runs WHERE id < ?3 ORDER BY id DESC LIMIT") != NULL &&
	    strncmp(step, "SCAN runs", 9) == 0);
}

/* The first plan that is no good, or NULL. */
static const char *
look_at_plans(void)
{
	const struct ventry *e;
	const char *bad = NULL;
	uint32_t it = 0, n = 0;
	sqlite3 *h;
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(lease_functions(&(struct db){ .sqlite = h }, &err), 0);
	while (bad == NULL && (e = v_next(seen, &it)) != NULL) {
		const char *text = e->key->u.s;

		if (strncmp(text, "SELECT", 6) != 0 && strncmp(text, "INSERT", 6) != 0 &&
		    strncmp(text, "UPDATE", 6) != 0 && strncmp(text, "DELETE", 6) != 0)
			continue;
		if (sqlite3_prepare_v2(h, arena_printf(&arena, "EXPLAIN QUERY PLAN %s",
		    text), -1, &st, NULL) != SQLITE_OK)
			fail_msg("%s: %s", text, sqlite3_errmsg(h));
		n++;
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(st, 3);

			if (grows(text, step) && !allowed(text, step))
				bad = arena_printf(&arena, "%s\n%s", text, step);
		}
		(void)sqlite3_finalize(st);
	}
	(void)sqlite3_close(h);
	assert_true(bad != NULL || n > 40);	/* we did see them */
	return bad;
}

/* Whatever the program asks of the database, no table that grows is read from end to end. Without statistics the plans are the same in every database. */
static void
test_plans(void **state)
{
	union { void (*fn)(void); int (*watch)(sqlite3 *, char **, const struct sqlite3_api_routines *); } u = { .watch = watch };

	const char *bad;

	(void)state;
	seen = v_map(&arena);
	assert_int_equal(sqlite3_auto_extension(u.fn), SQLITE_OK);
	use_everything();
	sqlite3_reset_auto_extension();
	if ((bad = look_at_plans()) != NULL)
		fail_msg("%s", bad);
	/* It would be seen. */
	sql("DROP INDEX results_by_run");
	assert_non_null(strstr(look_at_plans(), "SCAN r"));
	assert_int_equal(count("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'sqlite_stat*'"), 0);
	seen = NULL;
}

/* ---- what is shown of it ------------------------------------------------------------- */

static enum stand
stand_of_h1(struct state *s)
{
	const struct value *list = view_hosts(s, &arena, "h1", &err);

	assert_int_equal(v_count(list), 1);
	return (enum stand)v_get_int(v_at(list, 0), "stand", -1);
}

/* How a host stands: the worst of its last run and of open drift; forgotten ones are not shown until they are met again. */
static void
test_stands(void **state)
{
	struct state *s = open_ok(0);
	const struct value *list;

	(void)state;
	OK(state_host_set(s, "h1", value_of("{}"), value_of("[]"), &err));
	OK(state_sync(s, &err));
	assert_int_equal(stand_of_h1(s), STAND_UNKNOWN);
	record_all(s, 1, 0);
	OK(state_sync(s, &err));
	sql("UPDATE results SET class = NULL WHERE id > 0");
	assert_int_equal(stand_of_h1(s), STAND_INTENTIONAL);
	sql("UPDATE results SET class = 'corrective' WHERE outcome = 'changed'");
	assert_int_equal(stand_of_h1(s), STAND_CORRECTIVE);
	sql("UPDATE run_hosts SET changed = 0");
	assert_int_equal(stand_of_h1(s), STAND_OK);
	sql("INSERT INTO drift (host_id, site, task, task_id, item, first_ms, first_run, last_ms, last_run, seen)"
	    " VALUES (1, 's', 1, 1, '', 1, 1, 1, 1, 1)");
	assert_int_equal(stand_of_h1(s), STAND_CORRECTIVE);
	assert_int_equal(v_count(view_drift(s, &arena, "h1", 9, &err)), 1);
	sql("UPDATE run_hosts SET unreachable = 1");
	assert_int_equal(stand_of_h1(s), STAND_UNREACHABLE);
	sql("UPDATE run_hosts SET failed = 1");
	assert_int_equal(stand_of_h1(s), STAND_FAILED);
	sql("UPDATE drift SET closed_ms = 2; UPDATE run_hosts SET failed = 0, unreachable = 0");
	assert_int_equal(stand_of_h1(s), STAND_OK);
	assert_int_equal(v_count(view_drift(s, &arena, NULL, 9, &err)), 0);
	list = view_sites(s, &arena, &err);
	assert_int_equal(v_count(list), 1);
	assert_int_equal(v_get_int(v_at(list, 0), "success_run", 0), 1);
	OK(state_host_forget(s, "h1", &err));
	assert_int_equal(v_count(view_hosts(s, &arena, "h1", &err)), 0);
	record_all(s, 1, 0);
	OK(state_sync(s, &err));
	assert_int_equal(v_count(view_hosts(s, &arena, "h1", &err)), 1);
	state_close(s);
}

/* A run's results in pieces; what is told of it leaves out what was in order; one under way counts so far. */
static void
test_run_views(void **state)
{
	struct state *s = open_ok(0);
	const struct value *list, *run;
	struct view_query q = { .run = 1, .limit = 2 };
	const struct value *held = NULL;

	(void)state;
	assert_int_equal(take(s, &arena, "[\"h1\", \"h2\"]", false, &held), 0);
	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	send(s, written("h1", OUT_OK, "{}"));
	send(s, written("h1", OUT_CHANGED, "{\"changed\": true, \"diff\": {\"before\": \"a\", \"after\": \"b\"}}"));
	send(s, written("h1", OUT_FAILED, "{\"msg\": \"no\"}"));
	OK(state_sync(s, &err));
	run = view_run(s, &arena, 1, &err);
	assert_string_equal(v_get_str(run, "state", ""), "running");
	list = v_gets(run, "per_host");
	assert_int_equal(v_count(list), 2);
	assert_false(v_get_bool(v_at(list, 0), "done", true));
	assert_int_equal(v_get_int(v_at(list, 0), "ok", 0), 2);
	assert_int_equal(v_get_int(v_at(list, 0), "failed", 0), 1);
	assert_string_equal(v_get_str(v_at(list, 0), "last", ""), "write");
	assert_int_equal(v_get_int(v_at(list, 1), "ok", -1), 0);
	assert_int_equal(v_count(view_open_runs(s, &arena, &err)), 1);
	/* told: two of three */
	list = view_results(s, &arena, &q, &err);
	assert_int_equal(v_count(list), 2);
	assert_string_equal(v_get_str(v_at(list, 0), "outcome", ""), "changed");
	assert_true(v_get_bool(v_at(list, 0), "diff", false));
	/* all of a host, in pieces */
	q.host = "h1";
	list = view_results(s, &arena, &q, &err);
	assert_int_equal(v_count(list), 2);
	q.after = v_get_int(v_at(list, 1), "id", 0);
	assert_int_equal(v_count(view_results(s, &arena, &q, &err)), 1);
	assert_string_equal(v_get_str(view_result(s, &arena, 3, &err), "msg", ""), "no");
	assert_null(view_result(s, &arena, 9, &err));
	assert_int_equal(err.code, ERR_INVALID);
	err_release(&err);
	send(s, (struct event){ .type = EV_STATS, .host = "h1", .status = 3, .stats = { .ok = 2, .failed = 1 } });
	send(s, (struct event){ .type = EV_RUN_END, .status = 3 });
	OK(state_sync(s, &err));
	list = v_gets(view_run(s, &arena, 1, &err), "per_host");
	assert_int_equal(v_count(list), 2);
	assert_true(v_get_bool(v_at(list, 0), "done", false));
	assert_false(v_get_bool(v_at(list, 1), "done", true));	/* it was never come to */
	assert_int_equal(v_count(view_open_runs(s, &arena, &err)), 0);
	state_close(s);
}

/* ---- older schemas ----------------------------------------------------------------------- */

/* The sections up to a version, as a program of that time ran them. */
static const char *
schema_until(int64_t version)
{
	const char *end = strstr(db_schema_sql, arena_printf(&arena,
	    "\n-- migration %lld\n", (long long)version + 1));

	return arena_strndup(&arena, db_schema_sql, end != NULL ?
	    (size_t)(end - db_schema_sql) : strlen(db_schema_sql));
}

/* Tables, columns and indices in words. */
static const char *
shape(void)
{
	struct buf b = BUF_INIT;
	sqlite3 *h;
	sqlite3_stmt *st;
	const char *text;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, "SELECT type || ' ' || name || ' ' || coalesce(sql, '')"
	    " FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat*' ORDER BY type, name", -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		buf_adds(&b, (const char *)sqlite3_column_text(st, 0));
		buf_addc(&b, '\n');
	}
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(h);
	text = buf_dup(&b, &arena);
	buf_release(&b);
	return text;
}

/* A database of each earlier version, with rows in it, becomes one of today and keeps them. */
static void
test_migrations(void **state)
{
	const char *newest;
	int64_t v;

	(void)state;
	state_close(open_ok(0));
	newest = shape();
	assert_int_equal(count("PRAGMA user_version"), db_schema_version());
	for (v = 1; v <= db_schema_version(); v++) {
		const struct value *run;
		struct state *s;

		assert_int_equal(unlink(path), 0);
		sql(arena_printf(&arena, "%s\nPRAGMA user_version = %lld; PRAGMA application_id = %d",
		    schema_until(v), (long long)v, DB_APPLICATION_ID));
		sql("INSERT INTO hosts (name, added_ms) VALUES ('h1', 1);"
		    " INSERT INTO runs (site, check_only, started_ms, pid, version) VALUES ('/s.yml', 0, 5, 1, '0');"
		    " INSERT INTO run_hosts VALUES (1, 1, 4, 0, 0, 0, 0, 0, 0);"
		    " INSERT INTO tasks VALUES (1, '/s.yml', 3, 'write', 'copy', '', 'p', 0);"
		    " INSERT INTO results (run_id, host_id, task_id, outcome, started_ms, duration_ms) VALUES (1, 1, 1, 'ok', 6, 1);"
		    " INSERT INTO details VALUES (1, '{}', 'd');"
		    " INSERT INTO facts VALUES (1, 'a', '1', 1); INSERT INTO host_keys VALUES ('h1', 22, 'k', 1)");
		s = open_ok(0);
		assert_string_equal(shape(), newest);
		assert_int_equal(count("PRAGMA user_version"), db_schema_version());
		assert_int_equal(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
		SOME(run = state_run(s, &arena, 1, NULL, &err));
		assert_string_equal(v_get_str(run, "site", ""), "/s.yml");
		assert_string_equal(v_get_str(v_at(v_gets(run, "results"), 0), "diff", ""), "d");
		SOME(state_facts(s, &arena, "h1", &err));
		assert_int_equal(v_count(state_keys(s, &arena, &err)), 1);
		/* How it was asked for was not kept then. */
		assert_null(state_run_options(s, &arena, 1, &err));
		assert_non_null(strstr(err.msg, "not on record"));
		err_release(&err);
		record_all(s, 1, 0);
		OK(state_sync(s, &err));
		state_close(s);
	}
}

/* An empty file, as a killed first start leaves it; one killed in the middle of a migration begins it again. */
static void
test_empty(void **state)
{
	(void)state;
	(void)close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_null(state_open(path, STATE_READ_ONLY, 100, &err));
	assert_non_null(strstr(err.msg, "is empty"));
	err_release(&err);
	state_close(open_ok(0));
	state_close(open_ok(STATE_READ_ONLY));
}

/* ---- after a crash ------------------------------------------------------------------------- */

/* An index that lacks what its table has: pages are in order, and yet answers are wrong. Found when the last program was killed. */
static void
test_index_damage(void **state)
{
	struct state *s = open_ok(0);
	pid_t pid;
	int status;

	(void)state;
	record_all(s, 1, 0);
	state_close(s);
	if ((pid = fork()) == 0) {
		sqlite3 *h;

		if (sqlite3_open(path, &h) != SQLITE_OK || sqlite3_exec(h,
		    "PRAGMA writable_schema = ON;"
		    "UPDATE sqlite_schema SET sql = sql || ' WHERE run_id < 0' WHERE name = 'warnings_by_run';"
		    "PRAGMA writable_schema = RESET; INSERT INTO warnings (run_id, text) VALUES (1, 'x');"
		    "PRAGMA writable_schema = ON;"
		    "UPDATE sqlite_schema SET sql = replace(sql, ' WHERE run_id < 0', '') WHERE name = 'warnings_by_run'",
		    NULL, NULL, NULL) != SQLITE_OK)
			_exit(1);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_null(state_open(path, 0, 100, &err));
	assert_non_null(strstr(err.msg, "is damaged"));
	assert_non_null(strstr(err.msg, "warnings_by_run"));
	assert_non_null(err.hint);
	err_release(&err);
}

static void
note_look(const char *text)
{
	char file[160];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s-check", path);
	assert_non_null(f = fopen(file, "we"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool
look_is_left(void)
{
	char file[160];

	(void)snprintf(file, sizeof(file), "%s-check", path);
	return access(file, F_OK) == 0;
}

/* A look that is not through goes on behind the back of who opens next; what it finds ends the run's recording, and is remembered. */
static void
test_look_goes_on(void **state)
{
	struct state *s = open_ok(0);
	int i;

	(void)state;
	assert_false(look_is_left());
	record_all(s, 1, 0);
	state_close(s);
	note_look("\nsqlite_schema\nhosts\n");
	s = open_ok(0);
	for (i = 0; look_is_left() && i < 5000; i++)
		(void)usleep(1000);
	assert_false(look_is_left());
	record_all(s, 1, 0);
	assert_int_equal(state_sync(s, &err), 0);
	state_close(s);

	sql("PRAGMA writable_schema = ON;"
	    "UPDATE sqlite_schema SET sql = sql || ' WHERE run_id < 0' WHERE name = 'warnings_by_run';"
	    "PRAGMA writable_schema = RESET; INSERT INTO warnings (run_id, text) VALUES (1, 'x');"
	    "PRAGMA writable_schema = ON;"
	    "UPDATE sqlite_schema SET sql = replace(sql, ' WHERE run_id < 0', '') WHERE name = 'warnings_by_run'");
	/* Those that were through are not looked at again. */
	note_look("\nwarnings\n");
	s = open_ok(0);
	for (i = 0; look_is_left() && i < 5000; i++)
		(void)usleep(1000);
	assert_int_equal(state_sync(s, &err), 0);
	state_close(s);
	note_look("\n");
	s = open_ok(0);
	for (i = 0; state_sync(s, &err) == 0 && i < 5000; i++)
		(void)usleep(1000);
	assert_non_null(strstr(err.msg, "is damaged"));
	assert_non_null(strstr(err.msg, "warnings_by_run"));
	err_release(&err);
	state_close(s);
	assert_true(look_is_left());
	assert_null(state_open(path, 0, 100, &err));
	assert_non_null(strstr(err.msg, "warnings_by_run"));
	err_release(&err);
	/* Mended, or replaced by a backup. */
	sql("REINDEX");
	state_close(open_ok(0));
	state_close(open_ok(0));
}

/* ---- the size of the file ----------------------------------------------------------------- */

static int64_t
file_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void
old_runs(struct state *s)
{
	int i;

	for (i = 0; i < 3; i++)
		record_all(s, 10, 0);
	OK(state_sync(s, &err));
	sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
	    " INSERT INTO warnings (run_id, text) SELECT 1, printf('%.8000c', 'x') FROM n;"
	    "UPDATE runs SET started_ms = 1000 WHERE id < 3; PRAGMA wal_checkpoint(TRUNCATE)");
	assert_true(file_size() > 30 << 20);
}

/* What is dropped is given back to the disk: by hand all of it, by itself what is more than the next nights need. */
static void
test_file_shrinks(void **state)
{
	struct state *s = open_ok(0);
	int64_t n, before, size, spare;
	bool shrinks;
	int i;

	(void)state;
	old_runs(s);
	before = file_size();
	/* A busy machine needs more than one of its two seconds. */
	for (i = 0, size = before; i < 50 && size >= before / 2; i++) {
		sql("DELETE FROM settings WHERE name = 'pruned_ms'");
		OK(state_tidy(s, &err));
		OK(state_space(s, &size, &spare, &shrinks, &err));
	}
	assert_true(shrinks);
	assert_true(size < before / 2);
	sql("PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(file_size(), size);
	OK(state_prune(s, 1, &n, &err));
	OK(state_space(s, &size, &spare, &shrinks, &err));
	assert_int_equal(spare, 0);
	state_close(s);
}

/* One of an early version: only when it is written anew, from then on like the others. */
static void
test_vacuum(void **state)
{
	struct state *s;
	int64_t n, size, spare, before;
	bool shrinks;

	(void)state;
	state_close(open_ok(0));
	sql("PRAGMA auto_vacuum = NONE; VACUUM");
	s = open_ok(0);
	old_runs(s);
	before = file_size();
	OK(state_prune(s, 1, &n, &err));
	OK(state_space(s, &size, &spare, &shrinks, &err));
	assert_false(shrinks);
	assert_true(spare > size / 2);
	OK(state_vacuum(s, &err));
	OK(state_space(s, &size, &spare, &shrinks, &err));
	assert_true(shrinks && spare == 0);
	assert_true(file_size() < before / 2);
	record_all(s, 1, 0);
	OK(state_sync(s, &err));
	state_close(s);
}

/* ---- a full disk ---------------------------------------------------------------------------- */

/* Fills what is left of the file system. */
static void
fill(const char *file)
{
	static const char zeros[4096];
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1)
		_exit(20);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	(void)close(fd);
}

#define NEED(condition, code)	do { if (!(condition)) _exit(code); } while (0)

/* In a mount namespace of its own, so that nothing is left over whatever happens. */
static void
full_disk(void)
{
	struct state *s;
	const char *ballast = arena_printf(&arena, "%s/ballast", dir);
	int64_t kept;

	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700") == -1)
		_exit(77);
	s = open_ok(0);
	record_all(s, 5, 0);
	NEED(state_sync(s, &err) == 0, 1);
	fill(ballast);
	/* More than the log can take. */
	record_all(s, 5000, 0);
	NEED(state_sync(s, &err) == -1, 2);
	NEED(strstr(err.msg, "no space left") != NULL && err.hint != NULL, 3);
	err_release(&err);
	/* It says so again, does not hang, and what was there can still be read. */
	record_all(s, 1, 0);
	NEED(state_sync(s, &err) == -1, 4);
	err_release(&err);
	NEED(v_count(state_runs(s, &arena, 0, NULL, &err)) >= 1, 5);
	NEED(v_count(v_gets(state_run(s, &arena, 1, NULL, &err), "results")) == 6, 6);
	state_close(s);
	/* The disk is still full: the next run hears of it before it touches a host. */
	if ((s = state_open(path, 0, 100, &err)) != NULL) {
		fill(ballast);
		NEED(state_lease_ask(s, value_of("[\"h1\"]"), "x", false, &err) == -1 ||
		    state_sync(s, &err) == -1 ||
		    (record_all(s, 5000, 0), state_sync(s, &err) == -1), 7);
		state_close(s);
	}
	NEED(strstr(err.msg, "no space left") != NULL, 8);
	err_release(&err);
	NEED(unlink(ballast) == 0, 9);
	/* Room again: nothing is lost and all goes on. */
	s = open_ok(0);
	kept = v_count(state_runs(s, &arena, 0, NULL, &err));
	NEED(v_count(v_gets(state_run(s, &arena, 1, NULL, &err), "results")) == 6, 10);
	record_all(s, 5, 0);
	NEED(state_sync(s, &err) == 0, 11);
	NEED(v_count(state_runs(s, &arena, 0, NULL, &err)) == kept + 1, 12);
	state_close(s);
	NEED(count("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") == 0, 13);
	arena_release(&arena);
	_exit(0);
}

static void
test_full_disk(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		full_disk();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();		/* no root: no mounts */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The whole file system is read-only: an error that says so, and reading works. */
static void
read_only_disk(void)
{
	struct state *s;

	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700") == -1)
		_exit(77);
	s = open_ok(0);
	record_all(s, 5, 0);
	state_close(s);
	NEED(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0, 1);
	NEED(state_open(path, 0, 100, &err) == NULL, 2);
	NEED(strstr(err.msg, "cannot be written") != NULL && err.hint != NULL, 3);
	err_release(&err);
	s = open_ok(STATE_READ_ONLY);
	NEED(v_count(state_runs(s, &arena, 0, NULL, &err)) == 1, 4);
	state_close(s);
	arena_release(&arena);
	_exit(0);
}

static void
test_read_only_disk(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		read_only_disk();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();		/* no root: no mounts */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_prune), T(test_tidy), T(test_plans), T(test_stands),
		T(test_run_views), T(test_migrations),
		T(test_empty), T(test_index_damage), T(test_look_goes_on),
		T(test_file_shrinks), T(test_vacuum), T(test_full_disk), T(test_read_only_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
