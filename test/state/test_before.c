/*
 * Before-images on record: each path once, from its first state to its last,
 * in an order in which they can be put back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/json.h"
#include "state/before.h"

static struct arena arena;
static struct err err;

static void
images(const struct sink *sink, const char *host, const char *user, bool quiet,
    const char *text)
{
	struct event e = { .type = EV_BEFORE, .host = host, .task = "task",
		.user = user, .quiet = quiet };

	e.before = json_parse_text(&arena, text, strlen(text), &err);
	assert_non_null(e.before);
	sink->event(sink->arg, &e);
}

static void
expect(const struct value *list, uint32_t i, const char *path, const char *was,
    const char *left)
{
	const struct value *v = v_at(list, i);

	assert_non_null(v);
	assert_string_equal(v_get_str(v, "path", ""), path);
	assert_string_equal(v_get_str(v_gets(v, "was"), "type", ""), was);
	assert_string_equal(v_get_str(v_gets(v, "left"), "type", ""), left);
}

static void
test_order(void **unused)
{
	char dir[] = "/tmp/provctl-before-XXXXXX", path[64];
	struct event start = { .type = EV_RUN_START, .text = "site.yml" };
	struct event end = { .type = EV_RUN_END };
	const struct value *all, *list;
	struct sink sink;
	struct state *s;

	(void)unused;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s.db", dir);
	s = state_open(path, 0, 1000, &err);
	assert_non_null(s);
	sink = state_sink(s);
	sink.event(sink.arg, &start);
	images(&sink, "h1", NULL, false, "[{\"path\": \"/d\", \"was\": {\"type\": \"absent\"}, \"left\": {\"type\": \"directory\"}},"
	    "{\"path\": \"/d/f\", \"was\": {\"type\": \"absent\"}, \"left\": {\"type\": \"file\"}},"
	    "{\"path\": \"/t\", \"was\": {\"type\": \"directory\"}, \"left\": {\"type\": \"absent\"}},"
	    "{\"path\": \"/t/f\", \"was\": {\"type\": \"file\"}, \"left\": {\"type\": \"absent\"}},"
	    "{\"path\": \"/same\", \"was\": {\"type\": \"absent\"}, \"left\": {\"type\": \"file\"}}]");
	images(&sink, "h2", "postgres", true,
	    "[{\"path\": \"/t\", \"was\": {\"type\": \"link\"}, \"left\": {\"type\": \"file\"}}]");
	/* What a host says may be anything. */
	images(&sink, "h1", NULL, true, "[1, {}, {\"path\": \"/x\"}, {\"path\": \"/y\", \"was\": 3},"
	    "{\"path\": \"\", \"lost\": 7}]");
	images(&sink, "h1", NULL, true, "[{\"path\": \"/d/f\", \"was\": {\"type\": \"file\"}, \"left\": {\"type\": \"link\"}},"
	    "{\"path\": \"/same\", \"was\": {\"type\": \"file\"}, \"left\": {\"type\": \"absent\"}}]");
	sink.event(sink.arg, &end);
	assert_int_equal(state_sync(s, &err), 0);
	all = state_before(s, &arena, state_run_id(s), &err);
	assert_non_null(all);
	assert_int_equal(v_count(all), 2);
	list = v_gets(all, "h1");
	/* What was made goes first, from within; then what was there comes, from without; /same ended as it began. */
	assert_int_equal(v_count(list), 5);
	expect(list, 0, "/d/f", "absent", "link");
	assert_true(v_get_bool(v_at(list, 0), "quiet", false));
	expect(list, 1, "/d", "absent", "directory");
	assert_false(v_get_bool(v_at(list, 1), "quiet", true));
	assert_int_equal(v_get_int(v_gets(v_at(list, 2), "was"), "lost", 0), 7);
	expect(list, 3, "/t", "directory", "absent");
	expect(list, 4, "/t/f", "file", "absent");
	list = v_gets(all, "h2");
	assert_int_equal(v_count(list), 1);
	assert_string_equal(v_get_str(v_at(list, 0), "user", ""), "postgres");
	assert_int_equal(v_count(state_before(s, &arena, 99, &err)), 0);
	state_close(s);
	arena_release(&arena);
	(void)snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };

	(void)umask(077);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
