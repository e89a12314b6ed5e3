/*
 * The parser of HTTP responses, and URLs: every response is fed whole, byte
 * by byte and in two halves, and must come out the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "module/http.h"

struct sink {
	char	text[256];
	size_t	len;
};

static int
take(void *arg, const void *data, size_t len, struct err *err)
{
	struct sink *s = arg;

	(void)err;
	assert_true(s->len + len < sizeof(s->text));
	memcpy(s->text + s->len, data, len);
	s->len += len;
	return 0;
}

/* "STATUS BODY" or the error; pieces of the given size. */
static const char *
run(struct arena *arena, const char *input, size_t piece)
{
	struct http_parser p;
	struct sink sink = { .len = 0 };
	struct err err = ERR_INIT;
	size_t len = strlen(input), at, n;
	const char *out;
	int rc = 0;

	http_parser_init(&p, arena);
	p.body = take;
	p.arg = &sink;
	for (at = 0; rc == 0 && at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		rc = http_parse(&p, input + at, n, &err);
	}
	if (rc == 0)
		rc = http_parse_end(&p, &err);
	out = rc == 0 ? arena_printf(arena, "%d %.*s", p.status, (int)sink.len,
	    sink.text) : arena_strdup(arena, err.msg);
	err_release(&err);
	http_parser_release(&p);
	return out;
}

static void
test_responses(void **state)
{
	static const struct {
		const char	*input, *want;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiXX", "200 hi" },
		{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 " },
		{ "HTTP/1.0 200 OK\n\nno end", "200 no end" },
		{ "HTTP/1.1 204 None\r\n\r\nXX", "204 " },
		{ "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", "304 " },
		{ "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx",
		    "201 x" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA;x=y\r\n0123456789"
		    "\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n", "200 0123456789!" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 " },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		    "the server closed the connection in the middle of its answer" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "fffffffffffffffff\r\n",
		    "malformed HTTP response: a chunk without a size" },
		{ "HTTP/2 200\r\n\r\n", "malformed HTTP response: no HTTP/1.x status line" },
		{ "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		    "malformed HTTP response: a header without a name" },
		{ "HTTP/1.1 200 OK\r\nA b: x\r\n\r\n",
		    "malformed HTTP response: a blank in a header's name" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		    "the server closed the connection in the middle of its answer" },
	};
	struct arena arena = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_string_equal(run(&arena, cases[i].input, 4096), cases[i].want);
		assert_string_equal(run(&arena, cases[i].input, 1), cases[i].want);
		assert_string_equal(run(&arena, cases[i].input,
		    strlen(cases[i].input) / 2), cases[i].want);
	}
	arena_release(&arena);
}

static void
test_urls(void **state)
{
	static const struct {
		const char	*text, *want;	/* NULL: an error */
	} cases[] = {
		{ "http://h", "http://h/" }, { "HTTPS://H:443/a?b#c", "https://H/a?b" },
		{ "http://h:80/", "http://h/" }, { "http://h:81", "http://h:81/" },
		{ "http://u:p@h/x", "http://h/x" }, { "http://[::1]:8/x", "http://[::1]:8/x" },
		{ "http://h?q", "http://h/?q" }, { "http://h/a b", "http://h/a%20b" },
		{ "http://h/\r\nX", "http://h/%0D%0AX" },
		{ "h/x", NULL }, { "http://", NULL }, { "http://:80/", NULL },
		{ "http://h:0/", NULL }, { "http://h:65536/", NULL },
		{ "http://-h/", NULL }, { "ftp://h/", NULL }, { "http://h h/", NULL },
		{ "http://[::1/", NULL }, { "http://u%00@h/", NULL },
	};
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	struct url u;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		if (cases[i].want == NULL) {
			assert_int_equal(url_parse(&arena, cases[i].text, &u, &err), -1);
			assert_non_null(err.msg);
			err_release(&err);
			continue;
		}
		assert_int_equal(url_parse(&arena, cases[i].text, &u, &err), 0);
		assert_string_equal(url_text(&arena, &u), cases[i].want);
	}
	arena_release(&arena);
}

static void
test_join(void **state)
{
	static const struct {
		const char	*ref, *want;
	} cases[] = {
		{ "g", "http://a:8/b/c/g" }, { "./g", "http://a:8/b/c/g" },
		{ "/g", "http://a:8/g" }, { "?y", "http://a:8/b/c/d?y" },
		{ "g?y/../z", "http://a:8/b/c/g?y/../z" }, { "..", "http://a:8/b/" },
		{ "../g", "http://a:8/b/g" }, { "../../../../g", "http://a:8/g" },
		{ "/a/./b/../c", "http://a:8/a/c" }, { "//h/x", "http://h/x" },
		{ "https://h/x", "https://h/x" }, { "", "http://a:8/b/c/d" },
	};
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	struct url u;
	size_t i;

	(void)state;
	assert_int_equal(url_parse(&arena, "http://a:8/b/c/d?q", &u, &err), 0);
	for (i = 0; i < NITEMS(cases); i++)
		assert_string_equal(url_join(&arena, &u, cases[i].ref), cases[i].want);
	arena_release(&arena);
}

static void
test_names(void **state)
{
	static const struct {
		const char	*url, *want;
	} cases[] = {
		{ "http://h/a/b.tar?x=/y", "b.tar" }, { "http://h/a%20b", "a b" },
		{ "http://h/", NULL }, { "http://h/..", NULL }, { "http://h/a%2Fb", NULL },
	};
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	const char *got;
	struct url u;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(url_parse(&arena, cases[i].url, &u, &err), 0);
		got = url_basename(&arena, &u);
		if (cases[i].want == NULL)
			assert_null(got);
		else
			assert_string_equal(got, cases[i].want);
	}
	assert_string_equal(http_date(&arena, 784111777),
	    "Sun, 06 Nov 1994 08:49:37 GMT");
	arena_release(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
