/*
 * The state database: what is written is read back, in every trouble that a
 * file can be in, by several at once, and after kill -9.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "state/db.h"
#include "state/state.h"
#include "state/writer.h"

static char dir[64];
static char path[128];

static int
setup(void **state)
{
	(void)state;
	(void)umask(077);
	strcpy(dir, "/tmp/provctl-state-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/sub/state.db", dir);
	return 0;
}

static int
teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static struct state *
open_ok(unsigned flags)
{
	struct err err = ERR_INIT;
	struct state *s = state_open(path, flags, 2000, &err);

	if (s == NULL)
		fail_msg("%s", err.msg);
	return s;
}

static void
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

static void
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

/* ---- a run ------------------------------------------------------------------- */

static void
send(struct state *s, struct event e)
{
	struct sink sink = state_sink(s);

	sink.event(sink.arg, &e);
}

static const struct value *
json(struct arena *a, const char *text)
{
	struct err err = ERR_INIT;
	const struct value *v = json_parse_text(a, text, strlen(text), &err);

	assert_non_null(v);
	return v;
}

static const struct source site_source = { .path = "site.yml" };

static struct event
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

static void
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

static void
test_run(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s;
	const struct value *runs, *run, *results, *r;
	struct stat st;
	int64_t id;

	(void)state;
	s = open_ok(0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void)snprintf(path, sizeof(path), "%s/sub/state.db", dir);
	assert_int_equal(state_run_id(s), 0);
	record_run(s, &a, 3);
	id = state_run_id(s);
	assert_int_equal(id, 1);
	assert_int_equal(state_sync(s, &err), 0);

	runs = state_runs(s, &a, 10, NULL, &err);
	assert_non_null(runs);
	assert_int_equal(v_count(runs), 1);
	run = v_at(runs, 0);
	assert_string_equal(v_get_str(run, "site", ""), "/srv/site.yml");
	assert_string_equal(v_get_str(run, "state", ""), "done");
	assert_int_equal(v_get_int(run, "status", -1), 3);
	assert_int_equal(v_get_int(run, "hosts", -1), 1);
	assert_int_equal(v_get_int(run, "changed", -1), 1);

	run = state_run(s, &a, id, NULL, &err);
	assert_non_null(run);
	results = v_gets(run, "results");
	assert_int_equal(v_count(results), 5);
	assert_true(v_is_null(v_gets(v_at(results, 0), "result")));
	r = v_at(results, 3);
	assert_string_equal(v_get_str(r, "outcome", ""), "changed");
	assert_string_equal(v_get_str(r, "diff", ""),
	    "--- before: /x\n+++ after: /x\n@@ -1 +1 @@\n-a\n+b\n");
	assert_string_equal(v_get_str(r, "file", ""), "site.yml");
	assert_int_equal(v_get_int(r, "line", 0), 7);
	r = v_at(results, 4);
	assert_string_equal(v_get_str(r, "msg", ""), "non-zero return code");
	assert_string_equal(v_get_str(v_gets(r, "result"), "stderr", ""), "no\nway");
	assert_null(v_gets(v_gets(r, "result"), "stderr_lines"));
	assert_string_equal(v_get_str(v_at(v_gets(run, "warnings"), 0), "text", ""), "careful");
	assert_int_equal(v_count(v_gets(state_run(s, &a, id, "h2", &err), "results")), 0);
	assert_int_equal(v_count(state_runs(s, &a, 10, "h1", &err)), 1);
	assert_int_equal(v_count(state_runs(s, &a, 10, "h2", &err)), 0);

	assert_null(state_run(s, &a, 99, NULL, &err));
	assert_non_null(strstr(err.msg, "no run 99"));
	err_release(&err);
	record_run(s, &a, 1);
	assert_int_equal(state_run_id(s), 2);
	state_close(s);
	/* nothing is left over beside the file but the marker */
	{
		char wal[160];

		(void)snprintf(wal, sizeof(wal), "%s-wal", path);
		assert_int_equal(access(wal, F_OK), -1);
	}
	s = open_ok(STATE_READ_ONLY);
	runs = state_runs(s, &a, 1, NULL, &err);
	assert_int_equal(v_count(runs), 1);
	assert_int_equal(v_get_int(v_at(runs, 0), "id", 0), 2);
	assert_int_equal(state_pin_key(s, "h", 22, "k", &err), -1);
	err_release(&err);
	state_close(s);
	arena_release(&a);
}

static void
test_limits(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0);
	struct value *result = v_map(&a), *diff = v_map(&a), *list = v_list(&a), *secret;
	const struct value *run, *r;
	CLEANUP_BUF struct buf big = BUF_INIT;
	int i;

	(void)state;
	for (i = 0; i < 200000; i++)
		buf_adds(&big, "line\n");
	v_sets(&a, result, "stdout", v_strn(&a, buf_str(&big), big.len));
	v_sets(&a, result, "msg", v_strn(&a, buf_str(&big), big.len));
	for (i = 0; i < 5000; i++)
		v_push(&a, list, v_strf(&a, "item %d %s", i,
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	v_sets(&a, result, "list", list);
	secret = v_str(&a, "hunter2");
	secret->flags |= V_SECRET;
	v_sets(&a, result, "password", secret);
	v_sets(&a, diff, "before", v_str(&a, ""));
	v_sets(&a, diff, "after", v_strn(&a, buf_str(&big), big.len));
	v_sets(&a, result, "diff", diff);
	send(s, (struct event){ .type = EV_RUN_START, .text = "s" });
	send(s, task("h1", "big", OUT_FAILED, result));
	send(s, (struct event){ .type = EV_RUN_END });
	assert_int_equal(state_sync(s, &err), 0);
	run = state_run(s, &a, state_run_id(s), NULL, &err);
	assert_non_null(run);
	r = v_at(v_gets(run, "results"), 0);
	assert_true(strlen(v_get_str(r, "msg", "")) < 4200);
	assert_true(strlen(v_get_str(r, "diff", "")) < 64 * 1024 + 200);
	assert_non_null(strstr(v_get_str(r, "diff", ""), "more bytes of this diff are not shown"));
	assert_true(strlen(v_get_str(v_gets(r, "result"), "stdout", "")) < 17000);
	assert_string_equal(v_get_str(v_gets(r, "result"), "password", ""), "********");
	state_close(s);
	/* nowhere in the file either */
	{
		CLEANUP_BUF struct buf file = BUF_INIT;

		assert_int_equal(buf_read_file(&file, path), 0);
		assert_null(memmem(file.data, file.len, "hunter2", 7));
	}
	arena_release(&a);
}

static void
test_hosts(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0), *t;
	const char *keys[4];
	const struct value *hosts, *facts;
	uint32_t n = 9;

	(void)state;
	assert_int_equal(state_known_keys(s, "h1", 22, keys, 4, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(state_pin_key(s, "h1", 22, "ssh-ed25519 AAA", &err), 0);
	assert_int_equal(state_pin_key(s, "h1", 22, "ssh-ed25519 AAA", &err), 0);
	assert_int_equal(state_pin_key(s, "h1", 22, "ssh-rsa BBB", &err), 0);
	/* seen at once, before any commit */
	(void)state_known_keys(s, "h1", 22, keys, 4, &n);
	assert_int_equal(n, 2);
	assert_string_equal(keys[0], "ssh-ed25519 AAA");
	(void)state_known_keys(s, "h1", 2222, keys, 4, &n);
	assert_int_equal(n, 0);
	assert_int_equal(state_host_set(s, "h1", json(&a, "{\"ansible_host\": \"10.0.0.1\"}"),
	    json(&a, "[\"web\"]"), &err), 0);
	assert_int_equal(state_facts_set(s, "h1", json(&a, "{\"ansible_kernel\": \"6.1\","
	    " \"eth0\": {\"up\": true}, \"gather_subset\": [\"all\"]}")), 0);
	assert_int_equal(state_sync(s, &err), 0);
	t = open_ok(STATE_READ_ONLY);
	(void)state_known_keys(t, "h1", 22, keys, 4, &n);
	assert_int_equal(n, 2);
	hosts = state_hosts(t, &a, &err);
	assert_int_equal(v_count(hosts), 1);
	assert_string_equal(v_get_str(v_gets(v_at(hosts, 0), "vars"), "ansible_host", ""), "10.0.0.1");
	facts = state_facts(t, &a, "h1", &err);
	assert_int_equal(v_count(facts), 3);
	assert_string_equal(v_get_str(facts, "kernel", ""), "6.1");
	assert_null(state_facts(t, &a, "nobody", &err));
	assert_non_null(strstr(err.msg, "no facts of 'nobody'"));
	err_release(&err);
	state_close(t);
	/* a part adds, a full gathering also takes away */
	(void)state_facts_set(s, "h1", json(&a, "{\"kernel\": \"6.2\", \"gather_subset\": [\"min\"]}"));
	assert_int_equal(state_sync(s, &err), 0);
	facts = state_facts(s, &a, "h1", &err);
	assert_non_null(v_gets(facts, "eth0"));
	assert_string_equal(v_get_str(facts, "kernel", ""), "6.2");
	(void)state_facts_set(s, "h1", json(&a, "{\"kernel\": \"6.2\", \"gather_subset\": [\"all\"]}"));
	assert_int_equal(state_sync(s, &err), 0);
	facts = state_facts(s, &a, "h1", &err);
	assert_null(v_gets(facts, "eth0"));
	assert_int_equal(state_forget_keys(s, "h1", 22, &err), 0);
	(void)state_known_keys(s, "h1", 22, keys, 4, &n);
	assert_int_equal(n, 0);
	state_close(s);
	arena_release(&a);
}

/* ---- trouble -------------------------------------------------------------------- */

static void
test_missing(void **state)
{
	(void)state;
	expect_open_error(STATE_READ_ONLY, ERR_IO, "there is no state database");
	(void)snprintf(path, sizeof(path), "%s", dir);
	expect_open_error(0, ERR_USAGE, "is no file");
	(void)snprintf(path, sizeof(path), "/proc/nowhere/state.db");
	expect_open_error(0, ERR_IO, "cannot create the directory");
	(void)snprintf(path, sizeof(path), "%s/sub/state.db", dir);
}

static void
test_newer(void **state)
{
	(void)state;
	state_close(open_ok(0));
	sql("PRAGMA user_version = 1000");
	expect_open_error(0, ERR_UNSUPPORTED, "written by a newer provctl (schema 1000");
	expect_open_error(STATE_READ_ONLY, ERR_UNSUPPORTED, "written by a newer provctl");
}

static void
test_foreign(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/other.db", dir);
	sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
	expect_open_error(0, ERR_INVALID, "database of another program");
	(void)snprintf(path, sizeof(path), "%s/text", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "This is no database but a letter to my aunt, and it is long enough to be one.\n"
	    "Dear aunt, how are you? I am well.  Here it rains, and the servers need provisioning.\n", 160), 160);
	(void)close(fd);
	expect_open_error(0, ERR_INVALID, "is not a state database");
}

static void
test_locked(void **state)
{
	int ready[2], quit[2];
	char c = 0;
	pid_t pid;

	(void)state;
	state_close(open_ok(0));
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(quit), 0);
	if ((pid = fork()) == 0) {
		sqlite3 *h;

		(void)close(quit[1]);
		if (sqlite3_open(path, &h) != SQLITE_OK ||
		    sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
			_exit(1);
		(void)!write(ready[1], "x", 1);
		(void)!read(quit[0], &c, 1);
		_exit(0);
	}
	(void)close(quit[0]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	expect_open_error(0, ERR_BUSY, "is locked by test-state (pid ");
	/* reading goes on */
	state_close(open_ok(STATE_READ_ONLY));
	(void)close(quit[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(ready[0]);
	state_close(open_ok(0));
}

static void
test_readonly(void **state)
{
	struct err err = ERR_INIT;
	pid_t pid;
	int status;

	(void)state;
	state_close(open_ok(0));
	assert_int_equal(chmod(path, 0444), 0);
	{
		char d[160];

		(void)snprintf(d, sizeof(d), "%s/sub", dir);
		assert_int_equal(chmod(d, 0555), 0);
		assert_int_equal(chmod(dir, 0755), 0);
	}
	/* root may write anything: be somebody else */
	if ((pid = fork()) == 0) {
		struct state *s;

		if (geteuid() == 0 && (setgid(65534) == -1 || setuid(65534) == -1))
			_exit(9);
		if (state_open(path, 0, 100, &err) != NULL)
			_exit(1);
		if (strstr(err.msg, "cannot be written") == NULL || err.hint == NULL)
			_exit(2);
		err_release(&err);
		if ((s = state_open(path, STATE_READ_ONLY, 100, &err)) == NULL)
			_exit(3);
		state_close(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	{
		char d[160];

		(void)snprintf(d, sizeof(d), "%s/sub", dir);
		(void)chmod(d, 0755);
	}
}

static void
overwrite(const char *file, off_t at, size_t n)
{
	int fd = open(file, O_WRONLY);
	size_t i;

	assert_true(fd != -1);
	for (i = 0; i < n; i++)
		assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
	(void)close(fd);
}

static void
test_corrupt(void **state)
{
	struct arena a = { 0 };
	struct state *s = open_ok(0);
	struct stat st;

	(void)state;
	record_run(s, &a, 500);
	state_close(s);
	assert_int_equal(stat(path, &st), 0);
	/* The schema's page: found at once. */
	overwrite(path, 100, 60);
	expect_open_error(0, ERR_INVALID, "is damaged");
	expect_open_error(STATE_READ_ONLY, ERR_INVALID, "is damaged");
	arena_release(&a);
}

/* Damage that only a look at all pages finds, after a crash (a log is left). */
static void
test_corrupt_after_crash(void **state)
{
	struct arena a = { 0 };
	int64_t pages = 0;
	sqlite3 *h;
	sqlite3_stmt *st;
	pid_t pid;

	(void)state;
	if ((pid = fork()) == 0) {
		struct state *s = open_ok(0);
		struct err err = ERR_INIT;

		record_run(s, &a, 2000);
		(void)state_sync(s, &err);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* a clean crash is no damage */
	state_close(open_ok(0));
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, "SELECT rootpage FROM sqlite_schema WHERE name = 'results'",
	    -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	pages = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(h);
	if ((pid = fork()) == 0) {
		struct state *s = open_ok(0);

		record_run(s, &a, 10);
		(void)state_run_id(s);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	overwrite(path, (off_t)(pages - 1) * 4096 + 8, 2000);
	{
		char wal[160];

		/* The log would heal the page. */
		(void)snprintf(wal, sizeof(wal), "%s-wal", path);
		assert_int_equal(access(wal, F_OK), 0);
		overwrite(wal, 32, 64);
	}
	expect_open_error(0, ERR_INVALID, "is damaged");
	arena_release(&a);
}

/* Killed at any moment: the file is whole, and what was synced is there. */
static void
test_kill(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	int round;

	(void)state;
	for (round = 0; round < 12; round++) {
		int ready[2];
		char c;
		pid_t pid;
		struct state *s;
		const struct value *runs;

		assert_int_equal(pipe(ready), 0);
		if ((pid = fork()) == 0) {
			s = open_ok(0);
			record_run(s, &a, 5);
			if (state_sync(s, &err) == -1)
				_exit(1);
			(void)!write(ready[1], "x", 1);
			for (;;)
				record_run(s, &a, 50);
		}
		assert_int_equal(read(ready[0], &c, 1), 1);
		(void)usleep((useconds_t)round * 7000);	/* anywhere in the stream of transactions */
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		(void)close(ready[0]);
		(void)close(ready[1]);
		s = open_ok(0);
		runs = state_runs(s, &a, 0, NULL, &err);
		assert_true(v_count(runs) > (uint32_t)round);
		state_close(s);
	}
	arena_release(&a);
}

/* Several programs record at once: nobody's rows are lost or mixed up. */
static void
test_many(void **state)
{
	enum { N = 4, RUNS = 15 };
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s;
	const struct value *runs;
	pid_t pids[N];
	int i, j, status;
	uint32_t k;

	(void)state;
	state_close(open_ok(0));
	for (i = 0; i < N; i++)
		if ((pids[i] = fork()) == 0) {
			s = state_open(path, 0, 10000, &err);
			if (s == NULL)
				_exit(1);
			for (j = 0; j < RUNS; j++) {
				record_run(s, &a, i);
				if (state_run_id(s) == 0)
					_exit(2);
			}
			status = state_sync(s, &err);
			state_close(s);
			_exit(status == 0 ? 0 : 3);
		}
	for (i = 0; i < N; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	s = open_ok(STATE_READ_ONLY);
	runs = state_runs(s, &a, 0, NULL, &err);
	assert_int_equal(v_count(runs), N * RUNS);
	for (k = 0; k < v_count(runs); k++) {
		const struct value *run = state_run(s, &a,
		    v_get_int(v_at(runs, k), "id", 0), NULL, &err);
		uint32_t n = v_count(v_gets(run, "results"));

		assert_true(n >= 2 && n < 2 + N);
		assert_int_equal(v_count(v_gets(run, "per_host")), 1);
	}
	state_close(s);
	arena_release(&a);
}

/* The disk (here: the process' limit for files) is full in the middle of a run. */
static void
test_write_error(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	state_close(open_ok(0));
	if ((pid = fork()) == 0) {
		struct arena a = { 0 };
		struct err err = ERR_INIT;
		struct state *s = open_ok(0);

		sql("DROP TABLE details");
		record_run(s, &a, 1);
		if (state_sync(s, &err) != -1 || err.msg == NULL)
			_exit(1);
		err_release(&err);
		/* It stays an error, and nothing hangs. */
		record_run(s, &a, 1);
		if (state_sync(s, &err) != -1 || state_run_id(s) != 0)
			_exit(2);
		state_close(s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A queue that is filled faster than it is written keeps its bound; nothing is lost. */
static void
test_queue(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0);
	const struct value *run;

	(void)state;
	record_run(s, &a, 20000);
	assert_int_equal(state_sync(s, &err), 0);
	run = state_run(s, &a, state_run_id(s), NULL, &err);
	assert_non_null(run);
	assert_int_equal(v_count(v_gets(run, "results")), 20002);
	state_close(s);
	arena_release(&a);
}

/* ---- what is owed ------------------------------------------------------------- */

static struct event
notifier(enum event_type type, enum outcome outcome)
{
	struct event e = task("h1", "config", outcome, NULL);

	e.type = type;
	e.notifies = true;
	return e;
}

static void
handler(struct state *s, enum event_type type, enum outcome outcome)
{
	struct event e = task("h1", "restart it", outcome, NULL);

	e.type = type;
	e.handler = true;
	send(s, e);
}

static struct state *
begin_run(void)
{
	struct state *s = open_ok(0);

	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	return s;
}

static void
end_run(struct state *s, int status)
{
	struct err err = ERR_INIT;

	send(s, (struct event){ .type = EV_RUN_END, .status = status });
	assert_int_equal(state_sync(s, &err), 0);
	state_close(s);
}

/* Ends the process in the middle of a run, as kill -9 does: only what is committed stays. */
static void
killed_after(void (*run)(struct state *))
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct state *s = begin_run();

		run(s);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static uint32_t
owed_count(struct state *s)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *list = state_owed_list(s, &a, &err);
	uint32_t n;

	assert_non_null(list);
	n = v_count(list);
	arena_release(&a);
	return n;
}

/* A handler is owed until it succeeds, in whatever run. */
static void
test_owed(void **state)
{
	struct arena a = { 0 };
	struct state *s = begin_run();
	struct err err = ERR_INIT;
	const struct value *list;

	(void)state;
	handler(s, EV_NOTIFIED, OUT_OK);
	send(s, notifier(EV_TASK_END, OUT_CHANGED));
	handler(s, EV_TASK_END, OUT_FAILED);
	/* Not what this run itself has begun: its own handlers are the engine's. */
	assert_int_equal(v_count(state_owed(s, &a, "h1")), 0);
	end_run(s, 3);

	s = begin_run();
	list = state_owed_list(s, &a, &err);
	assert_int_equal(v_count(list), 1);
	assert_string_equal(v_get_str(v_at(list, 0), "handler", ""), "restart it");
	assert_string_equal(v_get_str(v_at(list, 0), "site", ""), "/srv/site.yml");
	assert_int_equal(v_get_int(v_at(list, 0), "run", 0), 1);
	list = state_owed(s, &a, "h1");
	assert_int_equal(v_count(list), 1);
	assert_true(v_eqs(v_at(list, 0), "restart it"));
	assert_int_equal(v_count(state_owed(s, &a, "h")), 0);
	handler(s, EV_TASK_END, OUT_CHANGED);
	assert_int_equal(v_count(state_owed(s, &a, "h1")), 0);
	end_run(s, 0);

	s = open_ok(0);
	assert_int_equal(owed_count(s), 0);
	state_close(s);
	/* A check promises nothing and settles nothing. */
	s = open_ok(0);
	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml", .check = true });
	send(s, (struct event){ .type = EV_NOTIFIED, .host = "h1", .task = "x", .check = true });
	end_run(s, 2);
	s = open_ok(0);
	assert_int_equal(owed_count(s), 0);
	state_close(s);
	arena_release(&a);
}

static void
ask_only(struct state *s)
{
	send(s, notifier(EV_ASKED, OUT_OK));
}

static bool
in_doubt(struct state *s)
{
	struct event e = notifier(EV_ASKED, OUT_OK);

	return state_doubt(s, "h1", &e.mark, "config");
}

/* A task was sent and the program killed: committed before the host heard of it, and open until the task succeeds. */
static void
test_doubt(void **state)
{
	struct state *s;
	struct event lost;

	(void)state;
	killed_after(ask_only);
	s = begin_run();
	assert_true(in_doubt(s));
	send(s, notifier(EV_ASKED, OUT_OK));
	send(s, notifier(EV_TASK_END, OUT_FAILED));
	assert_true(in_doubt(s));
	end_run(s, 3);
	s = begin_run();
	assert_true(in_doubt(s));
	send(s, notifier(EV_TASK_END, OUT_OK));
	assert_false(in_doubt(s));
	end_run(s, 0);
	/* The connection broke: in doubt if the task had been sent. */
	lost = notifier(EV_HOST_UNREACHABLE, OUT_UNREACHABLE);
	lost.unsent = true;
	s = begin_run();
	assert_false(in_doubt(s));
	send(s, notifier(EV_ASKED, OUT_OK));
	send(s, lost);
	end_run(s, 4);
	s = begin_run();
	assert_false(in_doubt(s));
	send(s, notifier(EV_ASKED, OUT_OK));
	lost.unsent = false;
	send(s, lost);
	end_run(s, 4);
	s = begin_run();
	assert_true(in_doubt(s));
	/* An ordinary failure leaves none. */
	send(s, notifier(EV_TASK_END, OUT_OK));
	send(s, notifier(EV_ASKED, OUT_OK));
	send(s, notifier(EV_TASK_END, OUT_FAILED));
	end_run(s, 3);
	s = begin_run();
	assert_false(in_doubt(s));
	end_run(s, 0);
}

static void
stats(struct state *s, const char *host, uint32_t failed, uint32_t unreachable)
{
	send(s, (struct event){ .type = EV_STATS, .host = host,
	    .stats = { .ok = 1, .failed = failed, .unreachable = unreachable } });
}

/* Who did not answer is due when somebody answers there: earlier, never later, and no try is counted. */
static void
test_pending_back(void **state)
{
	struct event gone = task("h1", "look", OUT_UNREACHABLE, NULL);
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *row;
	struct state *s = begin_run();
	int64_t next;

	(void)state;
	gone.type = EV_HOST_UNREACHABLE;
	gone.text = "no answer";
	gone.unanswered = "192.0.2.1 22";
	send(s, gone);
	stats(s, "h1", 0, 1);
	end_run(s, 4);
	s = open_ok(0);
	row = v_at(state_pending(s, &a, NULL, 0, &err), 0);
	assert_string_equal(v_get_str(row, "unanswered", ""), "192.0.2.1 22");
	next = v_get_int(row, "next_ms", 0);
	assert_int_equal(state_pending_back(s, "192.0.2.1 2222", 5, &err), 0);
	assert_int_equal(state_pending_back(s, "192.0.2.1 22", next + 1, &err), 0);
	assert_int_equal(state_sync(s, &err), 0);
	row = v_at(state_pending(s, &a, NULL, 0, &err), 0);
	assert_int_equal(v_get_int(row, "next_ms", 0), next);
	assert_int_equal(state_pending_back(s, "192.0.2.1 22", 5, &err), 0);
	assert_int_equal(state_sync(s, &err), 0);
	row = v_at(state_pending(s, &a, NULL, 0, &err), 0);
	assert_int_equal(v_get_int(row, "next_ms", 0), 5);
	assert_int_equal(v_get_int(row, "tries", 0), 1);
	state_close(s);
	/* It answered, and failed: that is another reason. */
	s = begin_run();
	send(s, task("h1", "break", OUT_FAILED, json(&a, "{\"failed\": true, \"msg\": \"no space\"}")));
	stats(s, "h1", 1, 0);
	end_run(s, 3);
	s = open_ok(0);
	row = v_at(state_pending(s, &a, NULL, 0, &err), 0);
	assert_true(v_is_null(v_gets(row, "unanswered")));
	state_close(s);
	arena_release(&a);
}

/* A failure becomes pending, later and later, until it is given up; success clears it. */
static void
test_pending(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *list, *row;
	int64_t last = 0, wait;
	struct state *s;
	int i;

	(void)state;
	for (i = 1; i <= STATE_TRIES; i++) {
		s = begin_run();
		send(s, task("h1", "break", OUT_FAILED, json(&a, "{\"failed\": true, \"msg\": \"no space\"}")));
		stats(s, "h1", 1, 0);
		stats(s, "h2", 0, 0);
		end_run(s, 3);
		s = open_ok(0);
		list = state_pending(s, &a, NULL, 0, &err);
		assert_int_equal(v_count(list), 1);
		row = v_at(list, 0);
		assert_int_equal(v_get_int(row, "tries", 0), i);
		assert_string_equal(v_get_str(row, "reason", ""), "break: no space");
		if (i == STATE_TRIES) {
			assert_true(v_is_null(v_gets(row, "next_ms")));
			state_close(s);
			break;
		}
		wait = v_get_int(row, "next_ms", 0) - v_get_int(row, "last_ms", 0);
		assert_true(wait >= 60000 * 3 / 4 && wait <= 21600000LL * 5 / 4);
		/* Doubled, and a quarter by chance: it never gets shorter before the ceiling. */
		if (i > 1 && i < 8)
			assert_true(wait * 10 >= last * 12 - 20);
		last = wait;
		assert_int_equal(v_count(state_pending(s, &a, "h1",
		    v_get_int(row, "last_ms", 0), &err)), 0);
		assert_int_equal(v_count(state_pending(s, &a, NULL,
		    v_get_int(row, "next_ms", 0), &err)), 1);
		assert_int_equal(v_count(state_pending(s, &a, "h2", 0, &err)), 0);
		state_close(s);
	}
	/* A part of the tasks that went well settles nothing. */
	s = open_ok(0);
	assert_int_equal(state_run_how(s, &(struct state_run_how){ .partial = true }, &err), 0);
	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	stats(s, "h1", 0, 0);
	end_run(s, 0);
	/* Nor does a run that was interrupted. */
	s = begin_run();
	stats(s, "h1", 0, 0);
	end_run(s, 130);
	s = begin_run();
	assert_int_equal(v_count(state_pending(s, &a, "h1", 0, &err)), 1);
	stats(s, "h1", 0, 0);
	end_run(s, 0);
	s = open_ok(0);
	assert_int_equal(v_count(state_pending(s, &a, NULL, 0, &err)), 0);
	state_close(s);
	arena_release(&a);
}

/* ---- leases --------------------------------------------------------------------- */

static const struct value *
hosts(struct arena *a, const char *text)
{
	return json(a, text);
}

static int
lease(struct state *s, struct arena *a, const char *text, const struct value **held)
{
	struct err err = ERR_INIT;
	int r = state_lease(s, a, hosts(a, text), "/srv/site.yml", held, &err);

	if (r == -1)
		fail_msg("%s", err.msg);
	return r;
}

static void
test_leases(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0), *t = open_ok(0);
	const struct value *held = NULL;

	(void)state;
	assert_int_equal(lease(s, &a, "[\"h1\", \"h2\"]", &held), 0);
	/* All or none. */
	assert_int_equal(lease(t, &a, "[\"h3\", \"h2\"]", &held), 1);
	assert_int_equal(v_count(held), 1);
	assert_string_equal(v_get_str(v_at(held, 0), "host", ""), "h2");
	assert_int_equal(v_get_int(v_at(held, 0), "pid", 0), getpid());
	assert_string_equal(v_get_str(v_at(held, 0), "site", ""), "/srv/site.yml");
	assert_int_equal(v_count(state_leases(t, &a, &err)), 2);
	assert_int_equal(lease(t, &a, "[\"h3\"]", &held), 0);
	assert_true(state_lease_renew(s));
	/* The run's end gives them back. */
	send(s, (struct event){ .type = EV_RUN_START, .text = "x" });
	end_run(s, 0);
	state_lease_drop(t);
	assert_int_equal(state_sync(t, &err), 0);
	assert_int_equal(v_count(state_leases(t, &a, &err)), 0);
	assert_int_equal(lease(t, &a, "[\"h1\", \"h2\", \"h3\"]", &held), 0);
	/* Somebody took one away: noticed at the next renewal. */
	sql("UPDATE leases SET token = 'other' WHERE host = 'h1'");
	assert_false(state_lease_renew(t));
	state_close(t);
	sql("DELETE FROM leases");
	/* A holder on another machine counts until its lease expires. */
	sql("INSERT INTO leases VALUES ('h1', 'me@far', 1, 1, 'other boot', 'x', 1, 's', 0, 0, 9999999999999)");
	t = open_ok(0);
	assert_int_equal(lease(t, &a, "[\"h1\"]", &held), 1);
	sql("UPDATE leases SET expires_ms = 1000");
	assert_int_equal(lease(t, &a, "[\"h1\"]", &held), 0);
	state_close(t);
	arena_release(&a);
}

/* A number that is used again is not the holder. */
static void
test_lease_of_the_dead(void **state)
{
	struct arena a = { 0 };
	const struct value *held = NULL;
	struct state *s;
	char text[256];
	int status;
	pid_t pid;

	(void)state;
	state_close(open_ok(0));
	if ((pid = fork()) == 0) {
		s = open_ok(0);
		(void)lease(s, &a, "[\"h1\"]", &held);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	s = open_ok(0);
	assert_int_equal(lease(s, &a, "[\"h1\"]", &held), 0);
	(void)snprintf(text, sizeof(text), "UPDATE leases SET token = 'other', pid_start = pid_start - 1");
	sql(text);
	state_close(s);
	s = open_ok(0);
	assert_int_equal(lease(s, &a, "[\"h1\"]", &held), 0);
	state_close(s);
	arena_release(&a);
}

#define RACERS		8
#define RACES		25

static bool
alive(pid_t pid)
{
	char name[64], text[256];
	FILE *f;
	bool is;

	(void)snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	if ((f = fopen(name, "re")) == NULL)
		return false;
	is = fgets(text, sizeof(text), f) != NULL && strstr(text, ") Z") == NULL;
	(void)fclose(f);
	return is;
}

/* Many at once want overlapping hosts: two never hold the same one. Some are killed while they hold it. */
static void
racer(int me)
{
	static const char *const wanted[] = {
		"[\"a\", \"b\"]", "[\"b\", \"c\"]", "[\"c\", \"a\"]", "[\"a\", \"b\", \"c\"]"
	};
	static const char *const names[] = { "a", "b", "c" };
	struct err err = ERR_INIT;
	struct state *s = state_open(path, 0, 20000, &err);
	struct arena a = { 0 };
	char file[160];
	size_t i;
	int n = 0;

	(void)alarm(120);
	if (s == NULL)
		_exit(2);
	while (n < RACES) {
		const struct value *held = NULL;
		const char *mine = wanted[(me + n) % (int)NITEMS(wanted)];
		int r = state_lease(s, &a, json(&a, mine), "x", &held, &err);

		arena_clear(&a);
		if (r == -1)
			_exit(3);
		if (r == 1) {
			(void)usleep(200);
			continue;
		}
		/* The proof: nobody else has its flag in the host's file. A killed one's flag names it. */
		for (i = 0; i < NITEMS(names); i++) {
			int fd;
			pid_t other = 0;

			if (strstr(mine, names[i]) == NULL)
				continue;
			(void)snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
			fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
			if (read(fd, &other, sizeof(other)) > 0 && other != 0 &&
			    alive(other) && other != getpid())
				_exit(4);
			other = getpid();
			if (pwrite(fd, &other, sizeof(other), 0) != sizeof(other))
				_exit(5);
			(void)close(fd);
		}
		if (me % 4 == 3 && n == RACES / 2)
			(void)raise(SIGKILL);
		(void)usleep(300);
		for (i = 0; i < NITEMS(names); i++) {
			pid_t found = 0;
			int fd;

			if (strstr(mine, names[i]) == NULL)
				continue;
			(void)snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
			fd = open(file, O_RDWR | O_CLOEXEC);
			if (read(fd, &found, sizeof(found)) != sizeof(found) || found != getpid())
				_exit(6);
			if (ftruncate(fd, 0) == -1)
				_exit(7);
			(void)close(fd);
		}
		state_lease_drop(s);
		if (state_sync(s, &err) == -1)
			_exit(7);
		n++;
	}
	state_close(s);
	_exit(0);
}

static void
test_lease_race(void **state)
{
	pid_t pids[RACERS];
	int i, status;

	(void)state;
	state_close(open_ok(0));
	for (i = 0; i < RACERS; i++)
		if ((pids[i] = fork()) == 0)
			racer(i);
	for (i = 0; i < RACERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		if (i % 4 == 3)
			assert_true(WIFSIGNALED(status));
		else
			assert_int_equal(status, 0);
	}
}

/* A backup made in the middle of a run is whole, ours alone, and never replaces a file. */
static void
test_backup(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0), *t;
	char to[160];
	struct stat st;

	(void)state;
	record_run(s, &a, 2);
	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml" });
	assert_int_equal(state_sync(s, &err), 0);
	t = open_ok(STATE_READ_ONLY);
	(void)snprintf(to, sizeof(to), "%s/backup.db", dir);
	assert_int_equal(state_backup(t, to, &err), 0);
	assert_int_equal(state_backup(t, to, &err), -1);
	assert_non_null(strstr(err.hint, "there already"));
	err_release(&err);
	state_close(t);
	state_close(s);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof(path), "%.120s", to);
	s = open_ok(0);
	assert_int_equal(v_count(state_runs(s, &a, 0, NULL, &err)), 2);
	assert_int_equal(v_count(v_gets(state_run(s, &a, 1, NULL, &err), "results")), 4);
	state_close(s);
	arena_release(&a);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_run), T(test_limits), T(test_hosts), T(test_missing),
		T(test_newer), T(test_foreign), T(test_locked), T(test_readonly),
		T(test_corrupt), T(test_corrupt_after_crash), T(test_kill),
		T(test_many), T(test_write_error), T(test_queue),
		T(test_owed), T(test_doubt), T(test_pending),
		T(test_pending_back), T(test_leases),
		T(test_lease_of_the_dead), T(test_lease_race),
		T(test_backup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
