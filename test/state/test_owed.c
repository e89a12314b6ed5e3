/*
 * What is owed to hosts: handlers, doubts, and runs that are to be tried again.
 */
#include "testing.h"

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
		committed(s);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_owed), T(test_doubt), T(test_pending), T(test_pending_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
