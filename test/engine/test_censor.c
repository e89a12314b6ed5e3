/*
 * Secrets in every dress they may come in, and nothing else, are found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "module/base64.h"
#include "run/censor.h"

static struct arena arena;

static struct censor *
with(const char *secret)
{
	struct censor *c = censor_new(&arena);

	censor_add(c, secret, strlen(secret));
	return c;
}

static void
expect(const struct censor *c, const char *text, const char *want)
{
	assert_string_equal(censor_text(c, &arena, text), want);
}

static void
finds_it_as_it_is(void **state)
{
	const struct censor *c = with("S3cr&t pass\n");

	(void)state;
	expect(c, "S3cr&t pass", "********");
	expect(c, "a S3cr&t passS3cr&t pass b", "a ******** b");
	expect(c, "S3cr&t pas", "S3cr&t pas");
	expect(c, "S3CR&T PASS s3cr&t pass", "******** ********");
	expect(c, "", "");
	expect(with("abc"), "abc abc", "abc abc");	/* too short */
	expect(NULL, "text", "text");
	assert_null(censor_text(c, &arena, NULL));
	/* The longest counts, and what overlaps is one. */
	censor_add(with("x"), "", 0);
}

static void
overlapping_secrets(void **state)
{
	struct censor *c = with("abcdef1");

	(void)state;
	censor_add(c, "def1xyz", 7);
	censor_add(c, "abcdef123", 9);
	expect(c, "-abcdef1xyz-", "-********-");
	expect(c, "-abcdef123-", "-********-");
	expect(c, "-abcdef1-def1xyz", "-********-********");
}

/* Every place in the three bytes, whatever stands around, in one line and in several. */
static void
base64(void **state)
{
	static const char secret[] = "p4ss+w/rd?\xff\xfe>";
	struct censor *c = with(secret);
	size_t before, after, i;

	(void)state;
	for (before = 0; before < 7; before++)
		for (after = 0; after < 4; after++) {
			CLEANUP_BUF struct buf plain = BUF_INIT, b = BUF_INIT, out = BUF_INIT;

			buf_add(&plain, "user:pw", before);
			buf_adds(&plain, secret);
			buf_add(&plain, "-end", after);
			base64_encode(&b, plain.data, plain.len);
			assert_true(censor_hits(c, b.data, b.len));
			/* What is left are the digits of the neighbours: decoded, nothing of it is the secret's. */
			assert_true(strlen(censor_text(c, &arena, buf_str(&b))) <=
			    b.len - strlen(secret) + sizeof(CENSORED));
			for (i = 0; i < b.len; i++) {
				buf_addc(&out, b.data[i]);
				if ((i + before) % 11 == 10)
					buf_adds(&out, "\r\n");
			}
			assert_true(censor_hits(c, out.data, out.len));
			for (i = 0; i < b.len; i++)
				if (b.data[i] == '+' || b.data[i] == '/')
					b.data[i] = b.data[i] == '+' ? '-' : '_';
			assert_true(censor_hits(c, b.data, b.len));
		}
}

static void
quoted(void **state)
{
	struct censor *c = with("it's a/\"b\" $x\\\xc3\xa9");

	(void)state;
	expect(c, "curl u:it%27s%20a/%22b%22%20%24x%5C%C3%A9@h", "curl u:********@h");
	expect(c, "it%27s%20a%2F%22b%22%20%24x%5C%C3%A9", "********");
	expect(c, "q=it%27s+a%2F%22b%22+%24x%5C%C3%A9&", "q=********&");
	expect(c, "echo 'it'\"'\"'s a/\"b\" $x\\\xc3\xa9'", "echo '********'");
	expect(c, "echo 'it'\\''s a/\"b\" $x\\\xc3\xa9'", "echo '********'");
	expect(c, "echo it\\'s\\ a/\\\"b\\\"\\ \\$x\\\\\xc3\xa9", "echo ********");
	expect(c, "echo \"it's a/\\\"b\\\" \\$x\\\\\xc3\xa9\"", "echo \"********\"");
	expect(c, "{\"p\": \"it's a/\\\"b\\\" $x\\\\\xc3\xa9\"}", "{\"p\": \"********\"}");
	expect(c, "{\"p\": \"it's a/\\\"b\\\" $x\\\\\\u00e9\"}", "{\"p\": \"********\"}");
}

/* A key: whole, a part of it, its lines indented, as JSON, and as Base64 in lines of 76. */
static void
long_ones(void **state)
{
	CLEANUP_BUF struct buf key = BUF_INIT, b = BUF_INIT, out = BUF_INIT;
	struct censor *c;
	const char *got;
	size_t i, run, most;

	(void)state;
	buf_adds(&key, "-----BEGIN KEY-----\n");
	for (i = 0; i < 1600; i++) {
		buf_addc(&key, (char)('A' + (char)((i * i + i / 7) % 26)));
		if (i % 64 == 63)
			buf_addc(&key, '\n');
	}
	c = with(buf_str(&key));
	expect(c, buf_str(&key), "********\n");
	buf_adds(&b, "  ");
	for (i = 0; i < key.len; i++) {
		buf_addc(&b, key.data[i]);
		if (key.data[i] == '\n')
			buf_adds(&b, "  ");
	}
	assert_null(strpbrk(censor_text(c, &arena, buf_str(&b)), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	buf_clear(&b);
	json_write_str(&b, key.data, key.len, 0);
	got = censor_text(c, &arena, buf_str(&b));
	assert_null(strpbrk(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	buf_clear(&b);
	base64_encode(&b, key.data, key.len);
	for (i = 0; i < b.len; i++) {
		buf_addc(&out, b.data[i]);
		if (i % 76 == 75)
			buf_addc(&out, '\n');
	}
	/* At the seams of the pieces a digit may be left, no more. */
	got = censor_text(c, &arena, buf_str(&out));
	for (run = most = 0; *got != '\0'; got++) {
		run = *got != '*' && *got != '\n' && *got != '=' ? run + 1 : 0;
		most = run > most ? run : most;
	}
	assert_true(most <= 4);
	expect(c, "some other text\n", "some other text\n");
}

static void
values(void **state)
{
	struct censor *c = with("hunter22");
	struct value *map = v_map(&arena), *list = v_list(&arena);
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	v_push(&arena, list, v_int(&arena, 5));
	v_push(&arena, list, v_str(&arena, "hunter22!"));
	v_push(&arena, list, v_flag(&arena, v_str(&arena, "abc"), V_SECRET));
	v_set_str(&arena, map, "clean", "text");
	assert_ptr_equal(censor_value(c, &arena, map), map);
	v_sets(&arena, map, "list", list);
	v_set_str(&arena, map, "of hunter22", "x");
	json_write(&b, censor_value(c, &arena, map), 0);
	assert_string_equal(buf_str(&b), "{\"clean\": \"text\", \"list\": "
	    "[5, \"********!\", \"********\"], \"of ********\": \"x\"}");
	/* A vault may hold a word that names a part of results. */
	c = with("stdout");
	map = v_map(&arena);
	v_set_str(&arena, map, "stdout", "to stdout");
	buf_clear(&b);
	json_write(&b, censor_value(c, &arena, map), 0);
	assert_string_equal(buf_str(&b), "{\"stdout\": \"to ********\"}");
}

/* Thousands of secrets with a common beginning, added while texts are read. */
static void
many(void **state)
{
	struct censor *c = censor_new(&arena);
	char name[32];
	int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "common-%05d", i * 7);
		assert_false(censor_hits(c, name, strlen(name)));
		censor_add(c, name, strlen(name));
		assert_true(censor_hits(c, name, strlen(name)));
	}
	expect(c, "common-00006 common-00007", "common-00006 ********");
}

static int
release(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(finds_it_as_it_is, release),
		cmocka_unit_test_teardown(overlapping_secrets, release),
		cmocka_unit_test_teardown(base64, release),
		cmocka_unit_test_teardown(quoted, release),
		cmocka_unit_test_teardown(long_ones, release),
		cmocka_unit_test_teardown(values, release),
		cmocka_unit_test_teardown(many, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
