/*
 * The state database: what is written is read back, by several at once, and in
 * a backup.
 */
#include "testing.h"

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
	(void)snprintf(path, sizeof(path), "%s/sub/state.db", dir);
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
	const struct CMUnitTest tests[] = {
		T(test_run), T(test_limits), T(test_hosts), T(test_many),
		T(test_write_error), T(test_queue), T(test_backup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
