/*
 * Unified diffs: exact texts, and a property on random texts: what `patch`
 * would do with the diff gives the second text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "state/udiff.h"

static void
expect_texts(const char *a, const char *b, const char *want)
{
	CLEANUP_BUF struct buf out = BUF_INIT;

	udiff_text(&out, "before", "after", a, strlen(a), b, strlen(b));
	assert_string_equal(buf_str(&out), want);
}

static void
test_texts(void **state)
{
	(void)state;
	expect_texts("a\nb\n", "a\nb\n", "");
	expect_texts("", "", "");
	expect_texts("", "a\nb\n", "--- before\n+++ after\n@@ -0,0 +1,2 @@\n+a\n+b\n");
	expect_texts("a\nb\n", "", "--- before\n+++ after\n@@ -1,2 +0,0 @@\n-a\n-b\n");
	expect_texts("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
	    "--- before\n+++ after\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
	/* two changes that share context, and one far away */
	expect_texts("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n",
	    "1\nx\n3\n4\n5\n6\n7\ny\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\nz\n",
	    "--- before\n+++ after\n@@ -1,11 +1,11 @@\n 1\n-2\n+x\n 3\n 4\n 5\n 6\n 7\n-8\n+y\n 9\n 10\n 11\n"
	    "@@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+z\n");
	expect_texts("a\nb\nlast", "a\nb\nlast\n",
	    "--- before\n+++ after\n@@ -1,3 +1,3 @@\n a\n b\n-last\n\\ No newline at end of file\n+last\n");
	/* values, not files */
	expect_texts("0644", "0755", "--- before\n+++ after\n@@ -1 +1 @@\n-0644\n+0755\n");
}

static void
expect_json(const char *json, size_t max, const char *want)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *v = json_parse_text(&a, json, strlen(json), &err);

	assert_non_null(v);
	udiff_value(&out, v, max);
	assert_string_equal(buf_str(&out), want);
	arena_release(&a);
}

static void
test_values(void **state)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct arena a = { 0 };
	struct value *d = v_map(&a), *secret = v_str(&a, "hunter2\n");

	(void)state;
	expect_json("{\"before\": \"a\\n\", \"after\": \"b\\n\", \"before_header\": \"/etc/x\", \"after_header\": \"/etc/x\"}",
	    UDIFF_MAX, "--- before: /etc/x\n+++ after: /etc/x\n@@ -1 +1 @@\n-a\n+b\n");
	expect_json("{\"before\": {\"state\": \"absent\"}, \"after\": {\"state\": \"directory\"}}",
	    UDIFF_MAX, "--- before\n+++ after\n@@ -1,3 +1,3 @@\n {\n-    \"state\": \"absent\"\n+    \"state\": \"directory\"\n }\n");
	expect_json("[{\"prepared\": \"+x\"}, {\"before\": 1, \"after\": 2}]",
	    UDIFF_MAX, "+x\n--- before\n+++ after\n@@ -1 +1 @@\n-1\n+2\n");
	expect_json("\"nonsense\"", UDIFF_MAX, "");
	expect_json("[3, null, {}]", UDIFF_MAX, "");
	expect_json("{\"before\": \"\", \"after\": \"aaaaaaaa\\nbbbbbbbb\\ncccccccc\\n\"}", 60,
	    "--- before\n+++ after\n@@ -0,0 +1,3 @@\n+aaaaaaaa\n+bbbbbbbb\n\\ 10 more bytes of this diff are not shown\n");
	secret->flags |= V_SECRET;
	v_set_str(&a, d, "before", "old\n");
	v_sets(&a, d, "after", secret);
	udiff_value(&out, d, UDIFF_MAX);
	assert_null(strstr(buf_str(&out), "hunter2"));
	assert_non_null(strstr(buf_str(&out), "********"));
	arena_release(&a);
}

/* Applies a diff to the old text; what `patch` does. */
static void
patched(struct buf *out, const char *a, const char *diff)
{
	size_t line = 1;
	const char *p = diff;

	while (*p != '\0') {
		const char *end = strchr(p, '\n') + 1;

		if (strncmp(p, "@@ -", 4) == 0) {
			size_t from = strtoul(p + 4, NULL, 10);
			const char *q = strchr(p, ' ') + 1;

			/* "-0,0" and "-N,0" stand behind line N */
			if (strncmp(q + strcspn(q, ", "), ",0 ", 3) == 0)
				from++;
			for (; line < from; line++) {
				const char *e = strchr(a, '\n') + 1;

				buf_add(out, a, (size_t)(e - a));
				a = e;
			}
		} else if (*p == '-' || *p == ' ') {
			if (strncmp(p, "--- ", 4) != 0) {
				const char *e = strchr(a, '\n') + 1;

				assert_memory_equal(a, p + 1, (size_t)(e - a));
				if (*p == ' ')
					buf_add(out, a, (size_t)(e - a));
				a = e;
				line++;
			}
		} else if (*p == '+' && strncmp(p, "+++ ", 4) != 0)
			buf_add(out, p + 1, (size_t)(end - p - 1));
		p = end;
	}
	buf_adds(out, a);
}

static void
random_text(struct buf *out, unsigned *seed, unsigned lines, unsigned letters)
{
	unsigned i;

	for (i = 0; i < lines; i++) {
		*seed = *seed * 1103515245u + 12345u;
		buf_addf(out, "%c\n", 'a' + (int)((*seed >> 16) % letters));
	}
}

static void
test_random(void **state)
{
	unsigned seed = 7, i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT, d = BUF_INIT, p = BUF_INIT;

		random_text(&a, &seed, i % 37, 1 + i % 5);
		random_text(&b, &seed, i % 29, 1 + i % 7);
		udiff_text(&d, "x", "y", buf_str(&a), a.len, buf_str(&b), b.len);
		patched(&p, buf_str(&a), buf_str(&d));
		assert_string_equal(buf_str(&p), buf_str(&b));
	}
	/* More differences than the search goes into. */
	{
		CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT, d = BUF_INIT, p = BUF_INIT;

		random_text(&a, &seed, 4000, 26);
		random_text(&b, &seed, 4000, 26);
		udiff_text(&d, "x", "y", buf_str(&a), a.len, buf_str(&b), b.len);
		patched(&p, buf_str(&a), buf_str(&d));
		assert_string_equal(buf_str(&p), buf_str(&b));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
