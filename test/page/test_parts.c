/*
 * The status page's parts alone: what becomes of text on its way into a page,
 * which targets are taken, the file of the token.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "serve/page.h"
#include "serve/page_private.h"

static struct arena arena;

static int
teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

/* ---- text ------------------------------------------------------------------------- */

static void
expect_html(const char *text, const char *want)
{
	struct buf b = BUF_INIT;

	html(&b, "<i title=\"%s\">%d %u %lld %%</i>", text, -1, 2U, 3LL);
	assert_string_equal(buf_str(&b), arena_printf(&arena,
	    "<i title=\"%s\">-1 2 3 %%</i>", want));
	buf_release(&b);
}

static void
test_escaping(void **state)
{
	(void)state;
	expect_html("plain äöü 漢字", "plain äöü 漢字");
	expect_html("<b>&\"'>", "&lt;b&gt;&amp;&quot;&#39;&gt;");
	expect_html("%s%n", "%s%n");
	expect_html("a\tb\nc\r\nd", "a\tb\nc\nd");
	/* what would deceive the eye or the parser is shown as what it is */
	expect_html("\033[31m", "[U+001B][31m");
	expect_html("a\rb", "a[U+000D]b");
	expect_html("\xe2\x80\xae" "gpj.exe", "[U+202E]gpj.exe");
	expect_html("\xef\xbb\xbf", "[U+FEFF]");
	expect_html("\xc2\x85", "[U+0085]");
	expect_html("\x7f", "[U+007F]");
	/* no text at all */
	expect_html("\xff<\xc3", "\xef\xbf\xbd&lt;\xef\xbf\xbd");
	expect_html("\xc0\xbcscript", "\xef\xbf\xbd\xef\xbf\xbdscript");
}

static void
test_diff(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	html_diff(&b, "--- <a>\n+++ b\n@@ -1 +1 @@\n x\n-</pre>\n+\"y\"");
	assert_string_equal(buf_str(&b), "<pre class=\"diff\">"
	    "<span class=\"file\">--- &lt;a&gt;</span>\n<span class=\"file\">+++ b</span>\n"
	    "<span class=\"hunk\">@@ -1 +1 @@</span>\n x\n"
	    "<span class=\"del\">-&lt;/pre&gt;</span>\n<span class=\"add\">+&quot;y&quot;</span>\n</pre>\n");
	buf_release(&b);
}

static void
test_durations(void **state)
{
	static const struct {
		int64_t		 ms;
		const char	*text;
	} cases[] = {
		{ -5, "0 s" }, { 0, "0 ms" }, { 999, "999 ms" }, { 1000, "1.0 s" },
		{ 59999, "59.9 s" }, { 60000, "1 min 0 s" }, { 3599999, "59 min 59 s" },
		{ 3600000, "1 h 0 min" }, { 90000000, "1 d 1 h" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++)
		assert_string_equal(text_duration(&arena, cases[i].ms), cases[i].text);
}

/* ---- targets ------------------------------------------------------------------------ */

static void
test_targets(void **state)
{
	static const struct {
		const char	*target;
		int		 status;
		unsigned	 nsegments;
		const char	*last;		/* segment */
	} cases[] = {
		{ "/", 0, 0, NULL }, { "/?x", 0, 0, NULL }, { "/runs", 0, 1, "runs" },
		{ "/runs/7/hosts/a%20b", 0, 4, "a b" }, { "/hosts/%3Cb%3e", 0, 2, "<b>" },
		{ "/hosts/a%2Fb", 0, 2, "a/b" }, { "/hosts/a+b", 0, 2, "a+b" },
		{ "/hosts/%c3%a4", 0, 2, "ä" }, { "/runs?before=3&&host=x", 0, 1, "runs" },
		{ "", 400, 0, NULL }, { "*", 400, 0, NULL }, { "runs", 400, 0, NULL },
		{ "http://x/", 400, 0, NULL }, { "/a b", 400, 0, NULL }, { "/a#b", 400, 0, NULL },
		{ "/\xc3\xa4", 400, 0, NULL }, { "/%", 400, 0, NULL }, { "/%4", 400, 0, NULL },
		{ "/%zz", 400, 0, NULL }, { "/%00", 400, 0, NULL }, { "/%0a", 400, 0, NULL },
		{ "/%7f", 400, 0, NULL }, { "/%ff", 400, 0, NULL }, { "/%c0%af", 400, 0, NULL },
		{ "/x?a=%", 400, 0, NULL }, { "/x?a=%0d", 400, 0, NULL },
		{ "/x?1&2&3&4&5&6&7&8&9", 400, 0, NULL },
		{ "/..", 404, 0, NULL }, { "/./x", 404, 0, NULL }, { "/%2e%2e/x", 404, 0, NULL },
		{ "//", 404, 0, NULL }, { "//runs", 404, 0, NULL }, { "/runs/", 404, 0, NULL },
		{ "/a/b/c/d/e/f/g", 404, 0, NULL },
	};
	struct page_target t;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		int status = page_parse(&arena, cases[i].target, &t);

		if (status != cases[i].status)
			fail_msg("%s: %d, not %d", cases[i].target, status, cases[i].status);
		if (status != 0)
			continue;
		assert_int_equal(t.nsegments, cases[i].nsegments);
		if (cases[i].last != NULL)
			assert_string_equal(t.segment[t.nsegments - 1], cases[i].last);
	}
	assert_int_equal(page_parse(&arena, "/x?a=1&b=%26+c&b=2&d", &t), 0);
	assert_string_equal(page_param(&t, "a"), "1");
	assert_string_equal(page_param(&t, "b"), "& c");
	assert_string_equal(page_param(&t, "d"), "");
	assert_null(page_param(&t, "c"));
	{
		char *text = arena_alloc(&arena, PAGE_TARGET_MAX + 2);

		memset(text, 'a', PAGE_TARGET_MAX + 1);
		text[0] = '/';
		text[PAGE_TARGET_MAX + 1] = '\0';
		assert_int_equal(page_parse(&arena, text, &t), 414);
	}
}

/* What we link to is what we take. */
static void
test_links(void **state)
{
	static const char *const names[] = {
		"web1", "a/b", "..x", "ä ö", "a?b&c=d#e%20", "\"><script>", "+", "~-_.1"
	};
	struct page_target t;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(names); i++) {
		const char *part = url_part(&arena, names[i]);

		assert_int_equal(page_parse(&arena, arena_printf(&arena,
		    "/hosts/%s?host=%s", part, part), &t), 0);
		assert_string_equal(t.segment[1], names[i]);
		assert_string_equal(page_param(&t, "host"), names[i]);
	}
}

static void
test_numbers(void **state)
{
	(void)state;
	assert_int_equal(page_number("17"), 17);
	assert_int_equal(page_number("999999999999999999"), 999999999999999999);
	assert_int_equal(page_number("9999999999999999999"), 0);
	assert_int_equal(page_number("-1"), 0);
	assert_int_equal(page_number("1x"), 0);
	assert_int_equal(page_number(" 1"), 0);
	assert_int_equal(page_number(""), 0);
	assert_int_equal(page_number(NULL), 0);
}

/* ---- token, address -------------------------------------------------------------------- */

static void
write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void
expect_token_error(const char *path, const char *part)
{
	struct err err = ERR_INIT;

	assert_null(page_token(&arena, path, NULL, &err));
	if (strstr(err.msg, part) == NULL)
		fail_msg("'%s' lacks '%s'", err.msg, part);
	err_release(&err);
}

static void
test_token(void **state)
{
	char dir[] = "/tmp/provctl-page-XXXXXX", path[64];
	struct err err = ERR_INIT;
	const char *made, *again;
	bool is_new = false;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	/* made: long, ours alone, the same the next time */
	made = page_token(&arena, path, &is_new, &err);
	assert_non_null(made);
	assert_true(is_new);
	assert_int_equal(strlen(made), 48);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	again = page_token(&arena, path, &is_new, &err);
	assert_false(is_new);
	assert_string_equal(made, again);
	/* what is no good is not taken, and not replaced */
	write_file(path, "0123456789abcdef0123\n", 0644);
	expect_token_error(path, "others may read");
	write_file(path, "short\n", 0600);
	expect_token_error(path, "is no token");
	write_file(path, "0123456789 abcdef0123\n", 0600);
	expect_token_error(path, "is no token");
	write_file(path, "", 0600);
	expect_token_error(path, "is no token");
	write_file(path, "0123456789abcdef0123\r\nmore\n", 0600);
	assert_string_equal(page_token(&arena, path, NULL, &err), "0123456789abcdef0123");
	expect_token_error(dir, "");
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/none/token", dir);
	expect_token_error(path, "cannot make");
	assert_int_equal(rmdir(dir), 0);
}

/* Only loopback, whatever the file of settings says. */
static void
test_listen(void **state)
{
	static const char *const refused[] = {
		"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:192.0.2.1]:0",
		"", "localhost:0", "127.0.0.1", "::1", "127.0.0.1:99999", "127.0.0.1:x", ":80"
	};
	char path[] = "/tmp/provctl-page-XXXXXX";
	struct event_base *base = event_base_new();
	struct page *page;
	struct err err = ERR_INIT;
	size_t i;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd != -1);
	(void)close(fd);
	write_file(path, "0123456789abcdef0123\n", 0600);
	for (i = 0; i < NITEMS(refused); i++) {
		page = page_new(base, NULL, &(struct page_opts){ refused[i], path }, &err);
		if (page != NULL)
			fail_msg("%s", refused[i]);
		assert_non_null(err.msg);
		err_release(&err);
	}
	page = page_new(base, NULL, &(struct page_opts){ "127.0.0.1:0", path }, &err);
	assert_non_null(page);
	assert_true(strncmp(page_url(page), "http://127.0.0.1:", 17) == 0);
	/* the port is taken now */
	assert_null(page_new(base, NULL, &(struct page_opts){ arena_strndup(&arena,
	    page_url(page) + 7, strlen(page_url(page)) - 8), path }, &err));
	assert_non_null(strstr(err.msg, "cannot listen"));
	assert_non_null(err.hint);
	err_release(&err);
	page_free(page);
	page_free(NULL);
	event_base_free(base);
	(void)unlink(path);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(test_escaping), T(test_diff), T(test_durations), T(test_targets),
		T(test_links), T(test_numbers), T(test_token), T(test_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
