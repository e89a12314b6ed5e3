/*
 * The inventory where a data file cannot say it: sizes, times, marks, flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "inventory/inv.h"

static char dir[] = "/tmp/test-inv-XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path_of(name), mode), 0);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path_of("hosts.ini"));
	(void)unlink(path_of("prog"));
	return rmdir(dir);
}

/* Of this process: other load on the machine does not count. */
static double
seconds_since(const struct timespec *t0)
{
	struct timespec t1;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	return (double)(t1.tv_sec - t0->tv_sec) +
	    (double)(t1.tv_nsec - t0->tv_nsec) / 1e9;
}

/* 10,000 hosts in 100 groups, each with variables of its own: read, merged, matched. */
static void
ten_thousand_hosts_take_no_time(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);
	struct timespec t0;
	struct host **v;
	const char *unmatched;
	uint32_t n;

	(void)state;
	for (int g = 0; g < 100; g++) {
		buf_addf(&b, "[g%d]\n", g);
		for (int h = 0; h < 100; h++)
			buf_addf(&b, "h%d.example.org ansible_host=192.0.2.%d "
			    "ansible_port=%d note=\"host %d\"\n", g * 100 + h,
			    h, 2000 + h, h);
		buf_addf(&b, "[g%d:vars]\nv=%d\nw={'a': [1, 2, 3]}\n", g, g);
	}
	buf_adds(&b, "[site:children]\n");
	for (int g = 0; g < 100; g++)
		buf_addf(&b, "g%d\n", g);
	write_file("hosts.ini", buf_str(&b), 0644);

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	assert_int_equal(inventory_add(inv, path_of("hosts.ini"), &diags), 0);
	assert_int_equal(inventory_finish(inv, &diags), 0);
	assert_int_equal(inventory_nhosts(inv), 10000);
	for (uint32_t i = 0; i < 10000; i++) {
		struct host *h = inventory_host_at(inv, i);

		assert_int_equal(h->index, i);
		assert_int_equal(v_get_int(inventory_host_vars(inv, h, &diags),
		    "v", -1), i / 100);
	}
	assert_int_equal(inventory_match(inv, &arena, "site:!g7:!h99*", &v, &n,
	    &unmatched, &err), 0);
	assert_int_equal(n, 10000 - 100 - 111);
	/* far below a second even under sanitizers */
	assert_true(seconds_since(&t0) < 3.0);
	arena_release(&arena);
}

static void
values_keep_their_places(void **state)
{
	static const char text[] = "[web]\nh1  a=1 b=\"two words\"\n[web:vars]\n"
	    "c = [1]\n";
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);
	struct mark m;
	struct host *h;

	(void)state;
	write_file("hosts.ini", text, 0644);
	assert_int_equal(inventory_add(inv, path_of("hosts.ini"), &diags), 0);
	assert_int_equal(inventory_finish(inv, &diags), 0);
	h = inventory_host(inv, "h1");
	assert_int_equal(h->mark.line, 2);
	assert_string_equal(h->mark.src->path, path_of("hosts.ini"));
	m = v_mark(v_gets(h->vars, "a"));
	assert_int_equal(m.line, 2);
	assert_int_equal(m.col, 7);
	m = v_mark(v_gets(h->vars, "b"));
	assert_int_equal(m.col, 11);
	m = v_mark(v_gets(inventory_group(inv, "web")->vars, "c"));
	assert_int_equal(m.line, 4);
	assert_int_equal(m.col, 5);
	assert_int_equal(m.len, 3);
	arena_release(&arena);
}

static void
membership_through_parents(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);
	struct host *h;

	(void)state;
	/* sixty diamonds on top of each other: 2^60 paths */
	for (int i = 0; i < 60; i++)
		buf_addf(&b, "[t%d:children]\na%d\nb%d\n[a%d:children]\nt%d\n"
		    "[b%d:children]\nt%d\n", i, i, i, i, i + 1, i, i + 1);
	buf_adds(&b, "[t60]\nh\n[z]\nother\n");
	write_file("hosts.ini", buf_str(&b), 0644);
	assert_int_equal(inventory_add(inv, path_of("hosts.ini"), &diags), 0);
	assert_int_equal(inventory_finish(inv, &diags), 0);
	h = inventory_host(inv, "h");
	assert_true(inventory_in_group(h, inventory_group(inv, "t0")));
	assert_true(inventory_in_group(h, inventory_group(inv, "all")));
	assert_false(inventory_in_group(h, inventory_group(inv, "z")));
	assert_int_equal(inventory_group(inv, "t60")->depth, 121);
	assert_int_equal(v_count(inventory_group_names(inv, h)), 181);
	assert_false(inventory_in_group(inventory_host(inv, "localhost"),
	    inventory_group(inv, "all")));
	arena_release(&arena);
}

static int
run_child(const char *script, int timeout_ms, size_t max, struct child *c,
    struct buf *out, struct err *err)
{
	static const char *argv[2];

	write_file("prog", script, 0755);
	argv[0] = path_of("prog");
	buf_init(out, max);
	*c = (struct child){ .argv = argv, .timeout_ms = timeout_ms, .out = out };
	return child_run(c, err);
}

static void
programs_have_limits(void **state)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct buf out = BUF_INIT;
	struct child c;
	time_t start;

	(void)state;
	assert_int_equal(run_child("#!/bin/sh\necho a b; echo oops >&2; exit 5\n",
	    20000, 1000, &c, &out, &err), 0);
	assert_string_equal(buf_str(&out), "a b\n");
	assert_string_equal(c.stderr_tail, "oops");
	assert_int_equal(c.status, 5);
	buf_release(&out);

	/* the deadline also ends what the program left behind */
	start = time(NULL);
	assert_int_equal(run_child("#!/bin/sh\nsleep 600 & sleep 600\n", 200, 1000,
	    &c, &out, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_int_equal(run_child("#!/bin/sh\nexec >&- 2>&-\nsleep 600\n", 200,
	    1000, &c, &out, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_true(time(NULL) - start < 60);

	assert_int_equal(run_child("#!/bin/sh\nexec yes\n", 20000, 100000, &c, &out,
	    &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	buf_release(&out);
	assert_int_equal(run_child("#!/bin/sh\nkill -9 $$\n", 20000, 10, &c, &out,
	    &err), 0);
	assert_int_equal(c.status, 137);
	buf_release(&out);
	/* a loud standard error is read away and its end kept */
	assert_int_equal(run_child("#!/bin/sh\nyes no | head -c 300000 >&2\n", 20000,
	    10, &c, &out, &err), 0);
	assert_int_equal(strlen(c.stderr_tail), 510);
	buf_release(&out);
}

static void
an_executable_text_is_read_as_text(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);

	(void)state;
	write_file("hosts.ini", "[web]\nh1\n", 0755);
	assert_int_equal(inventory_add(inv, path_of("hosts.ini"), &diags), 0);
	assert_int_equal(inventory_nhosts(inv), 1);
	write_file("hosts.ini", "#!/bin/sh\necho {}\n", 0644);
	assert_int_equal(inventory_add(inv, path_of("hosts.ini"), &diags), -1);
	assert_non_null(strstr(diags.v[0].err.hint, "chmod +x"));
	arena_release(&arena);
}

/* What add_host brings is data: it never becomes a template. */
static void
added_variables_are_no_templates(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);
	struct value *vars = v_map(&arena);
	const struct value *all;
	struct host *h;

	(void)state;
	assert_int_equal(inventory_finish(inv, &diags), 0);
	v_set_str(&arena, vars, "x", "{{ 1 + 1 }}");
	h = inventory_host_add(inv, "new", vars, &err);
	assert_non_null(h);
	all = inventory_host_vars(inv, h, &diags);
	assert_non_null(all);
	assert_true(v_eqs(v_gets(all, "x"), "{{ 1 + 1 }}"));
	assert_null(inventory_host_add(inv, "-oProxyCommand=x", NULL, &err));
	arena_release(&arena);
}

static void
names(void **state)
{
	char longer[300];

	(void)state;
	memset(longer, 'a', 256);
	longer[256] = '\0';
	assert_false(inventory_name_ok(longer));
	longer[255] = '\0';
	assert_true(inventory_name_ok(longer));
	assert_true(inventory_name_ok("a.b_c-1:[%]"));
	assert_false(inventory_name_ok(""));
	assert_false(inventory_name_ok("-a"));
	assert_false(inventory_name_ok("a b"));
	assert_false(inventory_name_ok("a\nb"));
	assert_false(inventory_name_ok("a;b"));
	assert_false(inventory_name_ok("\xc3\xa9"));
}

static void
suggestions(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct inventory *inv = inventory_new(&arena, NULL);

	(void)state;
	assert_int_equal(inventory_add(inv, "webserver,database", &diags), 0);
	assert_string_equal(inventory_nearest(inv, "webservr"), "webserver");
	assert_null(inventory_nearest(inv, "somethingelse"));
	arena_release(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_hosts_take_no_time),
		cmocka_unit_test(values_keep_their_places),
		cmocka_unit_test(membership_through_parents),
		cmocka_unit_test(programs_have_limits),
		cmocka_unit_test(an_executable_text_is_read_as_text),
		cmocka_unit_test(added_variables_are_no_templates),
		cmocka_unit_test(names),
		cmocka_unit_test(suggestions),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
