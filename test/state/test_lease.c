/*
 * Leases: one run a host, whoever races for it or dies.
 */
#include "testing.h"

static int
lease(struct state *s, struct arena *a, const char *text, const struct value **held)
{
	return take(s, a, text, false, held);
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

/* One more host, met on the way: leased or refused by itself, and given back with the others. */
static void
test_one_more(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0), *t = open_ok(0);
	const struct value *held = NULL;

	(void)state;
	assert_true(state_leased(s, "h1"));	/* a run without leases needs none */
	assert_int_equal(lease(s, &a, "[\"h1\"]", &held), 0);
	assert_int_equal(lease(t, &a, "[\"h2\"]", &held), 0);
	assert_true(state_leased(s, "h1"));
	assert_false(state_leased(s, "h2"));
	assert_int_equal(take(s, &a, "[\"h2\"]", true, &held), 1);
	assert_string_equal(v_get_str(v_at(held, 0), "host", ""), "h2");
	assert_true(state_lease_renew(s));
	/* It waits for us: we would wait for ever.  Whether we did before makes no difference. */
	assert_int_equal(take(t, &a, "[\"h1\"]", true, &held), 2);
	assert_int_equal(take(t, &a, "[\"h3\"]", true, &held), 0);
	assert_int_equal(count("SELECT count(*) FROM lease_waits"), 1);
	state_lease_drop(t);
	assert_int_equal(state_sync(t, &err), 0);
	assert_int_equal(take(s, &a, "[\"h2\"]", true, &held), 0);
	assert_true(state_leased(s, "h2"));
	/* Its other connection has asked as well. */
	assert_int_equal(take(s, &a, "[\"h2\"]", true, &held), 0);
	assert_int_equal(count("SELECT count(*) FROM lease_waits"), 0);
	assert_true(state_lease_renew(s));
	state_close(s);
	assert_int_equal(v_count(state_leases(t, &a, &err)), 0);
	state_close(t);
	arena_release(&a);
}

/* Three in a ring, and a wait that is left over by a run that is gone. */
static void
test_ring(void **state)
{
	static const char *const own[] = { "[\"a\"]", "[\"b\"]", "[\"c\"]" };
	struct arena a = { 0 };
	struct state *s[3];
	const struct value *held = NULL;
	struct err err = ERR_INIT;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		s[i] = open_ok(0);
		assert_int_equal(lease(s[i], &a, own[i], &held), 0);
	}
	assert_int_equal(take(s[0], &a, own[1], true, &held), 1);
	assert_int_equal(take(s[1], &a, own[2], true, &held), 1);
	assert_int_equal(take(s[2], &a, own[0], true, &held), 2);
	/* To ask once more is to wait still. */
	assert_int_equal(take(s[0], &a, own[1], true, &held), 1);
	/* One gives up: there is no ring any more. */
	state_lease_stop_wait(s[1], "c");
	assert_int_equal(state_sync(s[1], &err), 0);
	assert_int_equal(take(s[2], &a, own[0], true, &held), 1);
	assert_int_equal(take(s[1], &a, own[2], true, &held), 2);
	state_lease_drop(s[1]);
	assert_int_equal(state_sync(s[1], &err), 0);
	assert_int_equal(take(s[0], &a, own[1], true, &held), 0);
	for (i = 0; i < 3; i++)
		state_close(s[i]);
	assert_int_equal(count("SELECT count(*) FROM lease_waits"), 0);
	arena_release(&a);
}

/* Somebody holds the database's lock: who asks goes on meanwhile. */
static void
test_ask_is_quick(void **state)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct state *s = open_ok(0);
	const struct value *held = NULL, *hosts = json(&a, "[\"h1\"]");
	struct timespec before, after;
	sqlite3 *h;

	(void)state;
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(state_lease_ask(s, hosts, "x", false, &err), 0);
	assert_true(state_committed(s) < state_queued(s));
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 1000);
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(h);
	assert_int_equal(state_sync(s, &err), 0);
	assert_int_equal(state_lease_answer(s, &a, hosts, &held, &err), 0);
	state_close(s);
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
		int r = lease(s, &a, mine, &held);

		arena_clear(&a);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_leases), T(test_one_more), T(test_ring), T(test_ask_is_quick),
		T(test_lease_of_the_dead), T(test_lease_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
