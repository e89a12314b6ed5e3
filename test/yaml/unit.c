/*
 * The YAML loader where a data file cannot say it: limits, bad bytes, vaults,
 * options, files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"
#include "yaml/yaml.h"

static const struct value *
parse(struct arena *arena, const char *text, size_t n, const struct yaml_opts *opts,
    struct diags *diags)
{
	return yaml_parse(arena, source_text(arena, "x.yml", text, n), opts, diags);
}

static void
expect_error(const char *text, size_t n, enum err_code code, uint32_t line,
    uint32_t col, const char *words)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };

	assert_null(parse(&arena, text, n, NULL, &diags));
	assert_int_equal(diags.nerrors, 1);
	assert_int_equal(diags.v[0].err.code, code);
	assert_int_equal(diags.v[0].err.at.line, line);
	assert_int_equal(diags.v[0].err.at.col, col);
	assert_non_null(strstr(diags.v[0].err.msg, words));
	arena_release(&arena);
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

static void
bad_bytes_are_located(void **state)
{
	(void)state;
	expect_error("a: b\nc: \xc3\xa9 \xe9\n", 12, ERR_SYNTAX, 2, 6, "byte 0xe9");
	expect_error("\xff\xfe" "a\0", 4, ERR_SYNTAX, 1, 1, "byte 0xff");
	expect_error("a: \xed\xa0\x80", 6, ERR_SYNTAX, 1, 4, "byte 0xed");
	expect_error("a: \xc3", 4, ERR_SYNTAX, 1, 4, "byte 0xc3");
	expect_error("a: b\0", 5, ERR_SYNTAX, 1, 5, "U+0000");
	expect_error("a: \x1b[31m", 8, ERR_SYNTAX, 1, 4, "U+001B");
	expect_error("a: \xef\xbf\xbe", 6, ERR_SYNTAX, 1, 4, "U+FFFE");
}

/* Nine lists of nine aliases of the one before: 9^9 values in 300 bytes. */
static void
alias_bomb_is_refused_quickly(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct timespec t0;

	(void)state;
	buf_adds(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 30; i++) {
		buf_addf(&b, "a%d: &a%d [", i, i);
		for (int j = 0; j < 9; j++)
			buf_addf(&b, "%s*a%d", j > 0 ? "," : "", i - 1);
		buf_adds(&b, "]\n");
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	expect_error(buf_str(&b), b.len, ERR_LIMIT, 7, 18, "more than 2000000");
	assert_true(seconds_since(&t0) < 1.0);
}

static void
merge_bomb_is_refused(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };

	(void)state;
	buf_adds(&b, "a: &a {");
	for (int i = 0; i < 2000; i++)
		buf_addf(&b, "k%d: 1, ", i);
	buf_adds(&b, "}\nb:\n");
	for (int i = 0; i < 2000; i++)
		buf_adds(&b, "- {<<: *a}\n");
	assert_null(parse(&arena, buf_str(&b), b.len, NULL, &diags));
	assert_int_equal(diags.v[0].err.code, ERR_LIMIT);
	arena_release(&arena);
}

/* A list of millions of aliases of a scalar, as large as a file may be, and one larger. */
static void
many_aliases_hit_the_limit(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct timespec t0;

	(void)state;
	buf_adds(&b, "a: &a x\nb: [");
	while (b.len + 3 < YAML_SIZE_MAX)
		buf_adds(&b, "*a,");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	expect_error(buf_str(&b), b.len, ERR_LIMIT, 2, 5999990, "more than 2000000");
	assert_true(seconds_since(&t0) < 30.0);
	buf_adds(&b, "]\n    ");
	expect_error(buf_str(&b), b.len, ERR_LIMIT, 0, 0, "larger than 32 MiB");
}

static void
a_long_line_is_read_in_linear_time(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	const struct value *v;
	struct timespec t0;

	(void)state;
	buf_addc(&b, '[');
	for (int i = 0; i < 200000; i++)
		buf_adds(&b, "&a !!str \"\xc3\xa9\", ");
	buf_addc(&b, ']');
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	v = parse(&arena, buf_str(&b), b.len, NULL, &diags);
	assert_non_null(v);
	assert_int_equal(v_count(v), 200000);
	assert_int_equal(v_mark(v_at(v, 199999)).col, 2 + 199999 * 14 + 9);
	assert_true(seconds_since(&t0) < 20.0);
	arena_release(&arena);
}

static void
errors_of_meaning_stop_at_a_limit(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++)
		buf_adds(&b, "a: 1\n");
	assert_null(parse(&arena, buf_str(&b), b.len, NULL, &diags));
	assert_int_equal(diags.nerrors, 50);
	arena_release(&arena);
}

static int
rot1(void *arg, const char *text, size_t n, struct buf *out, struct err *err)
{
	if (n == 0 || strncmp(text, "$ANSIBLE_VAULT;", 15) != 0)
		return err_set(err, ERR_AUTH, "no vault");
	(*(int *)arg)++;
	for (const char *p = strchr(text, '\n'); *++p != '\0' && *p != '\n';)
		buf_addc(out, (char)(*p - 1));
	return 0;
}

static void
vault_values_are_secret(void **state)
{
	static const char text[] = "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n"
	    "  tfdsfu\nb: x\nc: !vault junk\n";
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	int calls = 0;
	struct yaml_opts opts = { .decrypt = rot1, .arg = &calls };
	struct arena arena = { 0 };
	const struct value *v;

	(void)state;
	assert_null(parse(&arena, text, sizeof(text) - 1, &opts, &diags));
	assert_int_equal(diags.nerrors, 1);
	assert_string_equal(diags.v[0].err.msg, "no vault");
	assert_int_equal(diags.v[0].err.at.line, 5);
	v = parse(&arena, text, (size_t)(strstr(text, "c:") - text), &opts,
	    &diags);
	assert_non_null(v);
	assert_true(v_eqs(v_gets(v, "a"), "secret"));
	assert_true((v_gets(v, "a")->flags & V_SECRET) != 0);
	assert_false((v_gets(v, "b")->flags & V_SECRET) != 0);
	assert_true(v_mark(v_gets(v, "a")).src->secret);
	assert_int_equal(v_mark(v_gets(v, "a")).line, 1);
	arena_release(&arena);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
files_and_whole_vaults(void **state)
{
	char dir[] = "/tmp/test-yaml-XXXXXX", path[64];
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	int calls = 0;
	struct yaml_opts opts = { .decrypt = rot1, .arg = &calls };
	struct arena arena = { 0 };
	const struct source *src;
	const struct value *v;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/v.yml", dir);
	assert_null(yaml_load(&arena, path, &opts, &diags));
	assert_non_null(strstr(diags.v[0].err.msg, "No such file"));
	assert_null(source_read(&arena, dir, &opts, &err));
	assert_non_null(strstr(err.msg, "is a directory"));

	write_file(path, "$ANSIBLE_VAULT;1.1;AES256\nb;!c\n");
	src = source_read(&arena, path, &opts, &err);
	assert_non_null(src);
	assert_string_equal(src->text, "a: b");
	assert_true(src->secret);
	v = yaml_load(&arena, path, &opts, &diags);
	assert_non_null(v);
	assert_true(v_eqs(v_gets(v, "a"), "b"));
	/* everything in it is secret */
	assert_true((v_gets(v, "a")->flags & V_SECRET) != 0);
	assert_null(source_read(&arena, path, NULL, &err));
	assert_int_equal(err.code, ERR_AUTH);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	arena_release(&arena);
}

static void
documents_and_options(void **state)
{
	static const char two[] = "a: &x 1\n---\nb: 2\n...\n---\n";
	static const char dup[] = "a: 1\nb: 2\na: 3\n";
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct yaml_opts opts = { .duplicates_ok = true };
	struct arena arena = { 0 };
	const struct value *v;

	(void)state;
	v = yaml_parse_all(&arena, source_text(&arena, "x", two, sizeof(two) - 1),
	    NULL, &diags);
	assert_non_null(v);
	assert_int_equal(v_count(v), 3);
	assert_int_equal(v_get_int(v_at(v, 1), "b", 0), 2);
	assert_true(v_is_null(v_at(v, 2)));
	v = parse(&arena, dup, sizeof(dup) - 1, &opts, &diags);
	assert_non_null(v);
	assert_int_equal(v_get_int(v, "a", 0), 3);
	/* an anchor belongs to its document */
	expect_error("a: &x 1\n---\nb: *x\n", 18, ERR_INVALID, 2, 1, "second YAML");
	assert_null(yaml_parse_all(&arena, source_text(&arena, "x",
	    "a: &x 1\n---\nb: *x\n", 18), NULL, &diags));
	arena_release(&arena);
}

static void
hints_for_texts(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	assert_string_equal(yaml_text_hint(&arena, "name:nginx", 10),
	    "a space is missing after 'name:'");
	assert_null(yaml_text_hint(&arena, "http://x", 8));
	assert_null(yaml_text_hint(&arena, "echo a:b", 8));
	assert_null(yaml_text_hint(&arena, "", 0));
	arena_release(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_bytes_are_located),
		cmocka_unit_test(alias_bomb_is_refused_quickly),
		cmocka_unit_test(merge_bomb_is_refused),
		cmocka_unit_test(many_aliases_hit_the_limit),
		cmocka_unit_test(a_long_line_is_read_in_linear_time),
		cmocka_unit_test(errors_of_meaning_stop_at_a_limit),
		cmocka_unit_test(vault_values_are_secret),
		cmocka_unit_test(files_and_whole_vaults),
		cmocka_unit_test(documents_and_options),
		cmocka_unit_test(hints_for_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
