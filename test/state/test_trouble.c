/*
 * The file of the state database in every trouble that it can be in, and after
 * kill -9: an error that says what to do, nothing lost.
 */
#include "testing.h"

static void
test_missing(void **state)
{
	(void)state;
	expect_open_error(STATE_READ_ONLY, ERR_IO, "there is no state database");
	(void)snprintf(path, sizeof(path), "%s", dir);
	expect_open_error(0, ERR_USAGE, "is no file");
	(void)snprintf(path, sizeof(path), "/proc/nowhere/state.db");
	expect_open_error(0, ERR_IO, "cannot create the directory");
	/* What can be made is made. */
	(void)snprintf(path, sizeof(path), "%s/a/b/state.db", dir);
	state_close(open_ok(0));
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
	expect_open_error(0, ERR_BUSY, "is locked by test-trouble (pid ");
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
	assert_int_equal(chmod(dir, 0555), 0);
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
	(void)chmod(dir, 0755);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_missing), T(test_newer), T(test_foreign), T(test_locked),
		T(test_readonly), T(test_corrupt), T(test_corrupt_after_crash),
		T(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
