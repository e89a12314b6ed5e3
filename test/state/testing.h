/*
 * What the tests of the state share: a folder of its own for each test with a
 * database in it, and events as the engine sends them.
 */
#ifndef TEST_STATE_TESTING_H
#define TEST_STATE_TESTING_H

#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "state/db.h"
#include "state/state.h"

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

static char dir[64];
static char path[128];

static inline int
setup(void **state)
{
	(void)state;
	(void)umask(077);
	strcpy(dir, "/tmp/provctl-state-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/state.db", dir);
	return 0;
}

static inline int
teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static inline struct state *
open_ok(unsigned flags)
{
	struct err err = ERR_INIT;
	struct state *s = state_open(path, flags, 2000, &err);

	if (s == NULL)
		fail_msg("%s", err.msg);
	return s;
}

static inline void
expect_open_error(unsigned flags, enum err_code code, const char *part)
{
	struct err err = ERR_INIT;
	struct state *s = state_open(path, flags, 100, &err);

	assert_null(s);
	if (strstr(err.msg, part) == NULL)
		fail_msg("'%s' lacks '%s'", err.msg, part);
	assert_int_equal(err.code, code);
	assert_non_null(err.hint);
	err_release(&err);
}

static inline void
sql(const char *text)
{
	sqlite3 *h;
	char *msg = NULL;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	(void)sqlite3_busy_timeout(h, 2000);
	if (sqlite3_exec(h, text, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", text, msg);
	(void)sqlite3_close(h);
}

static inline int64_t
count(const char *text)
{
	sqlite3 *h;
	sqlite3_stmt *st;
	int64_t n;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, text, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(h);
	return n;
}

static inline const struct value *
json(struct arena *a, const char *text)
{
	struct err err = ERR_INIT;
	const struct value *v = json_parse_text(a, text, strlen(text), &err);

	assert_non_null(v);
	return v;
}

/* As the engine waits before it goes on with what must be on record. */
static inline void
committed(struct state *s)
{
	uint64_t until = state_queued(s);

	while (state_committed(s) < until)
		(void)usleep(100);
}

/* Asks and waits for the answer. */
static inline int
take(struct state *s, struct arena *a, const char *text, bool wait,
    const struct value **held)
{
	const struct value *hosts = json(a, text);
	struct err err = ERR_INIT;
	int r = -1;

	if (state_lease_ask(s, hosts, "/srv/site.yml", wait, &err) == 0) {
		committed(s);
		r = state_lease_answer(s, a, hosts, held, &err);
	}
	if (r == -1)
		fail_msg("%s", err.msg);
	return r;
}

/* ---- a run ------------------------------------------------------------------- */

static inline void
send(struct state *s, struct event e)
{
	struct sink sink = state_sink(s);

	sink.event(sink.arg, &e);
}

static const struct source site_source = { .path = "site.yml" };

static inline struct event
task(const char *host, const char *name, enum outcome outcome,
    const struct value *result)
{
	struct event e = { .type = EV_TASK_END, .host = host, .play = "p",
	    .task = name, .module = "command", .task_id = v_hash_str(name,
	    strlen(name)), .outcome = outcome, .result = result,
	    .start_ms = 1000, .duration_ms = 20 };

	e.mark.src = &site_source;
	e.mark.line = 7;
	return e;
}

static inline void
record_run(struct state *s, struct arena *a, int ntasks)
{
	struct event stats = { .type = EV_STATS, .host = "h1",
	    .stats = { .ok = 3, .changed = 1, .failed = 1 } };
	int i;

	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	for (i = 0; i < ntasks; i++)
		send(s, task("h1", "fine", OUT_OK, json(a, "{\"changed\": false, \"stdout\": \"x\"}")));
	send(s, task("h1", "write", OUT_CHANGED, json(a, "{\"changed\": true,"
	    " \"diff\": [{\"before\": \"a\\n\", \"after\": \"b\\n\", \"before_header\": \"/x\", \"after_header\": \"/x\"}]}")));
	send(s, task("h1", "break", OUT_FAILED, json(a, "{\"failed\": true, \"rc\": 2,"
	    " \"msg\": \"non-zero return code\", \"stderr\": \"no\\nway\", \"stderr_lines\": [\"no\", \"way\"]}")));
	send(s, (struct event){ .type = EV_WARNING, .host = "h1", .text = "careful" });
	send(s, stats);
	send(s, (struct event){ .type = EV_RUN_END, .status = 3 });
}

static inline struct state *
begin_run(void)
{
	struct state *s = open_ok(0);

	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	return s;
}

static inline void
end_run(struct state *s, int status)
{
	struct err err = ERR_INIT;

	send(s, (struct event){ .type = EV_RUN_END, .status = status });
	assert_int_equal(state_sync(s, &err), 0);
	state_close(s);
}

#endif
