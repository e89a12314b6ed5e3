/*
 * Fuzz: any bytes as the answer of a web server, taken whole and in pieces
 * (the first byte says how large), and as a URL and a reference to join to it.
 * Both ways of feeding must come to the same end.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "module/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct outcome {
	int		 rc, status;
	uint64_t	 bytes, sum;
};

static int
take(void *arg, const void *data, size_t len, struct err *err)
{
	struct outcome *o = arg;
	const unsigned char *p = data;
	size_t i;

	(void)err;
	o->bytes += len;
	for (i = 0; i < len; i++)
		o->sum = o->sum * 31 + p[i];
	return 0;
}

static struct outcome
feed(const char *data, size_t len, size_t piece)
{
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	struct outcome o = { 0 };
	struct http_parser p;
	size_t at, n;

	http_parser_init(&p, &arena);
	p.body = take;
	p.arg = &o;
	for (at = 0; o.rc == 0 && at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		o.rc = http_parse(&p, data + at, n, &err);
	}
	if (o.rc == 0)
		o.rc = http_parse_end(&p, &err);
	assert((o.rc != 0) == (err.code != ERR_NONE));
	o.status = o.rc == 0 ? p.status : 0;
	err_release(&err);
	http_parser_release(&p);
	arena_release(&arena);
	return o;
}

static void
try_url(const char *data, size_t len)
{
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	char *text = arena_strndup(&arena, data, len);
	char *ref = text + strcspn(text, "\n");
	const char *name, *again;
	struct url u, v;

	if (*ref != '\0')
		*ref++ = '\0';
	if (url_parse(&arena, text, &u, &err) == 0 && strcmp(u.scheme, "file") != 0) {
		/* What we write reads back the same, and has no room for a second line. */
		again = url_text(&arena, &u);
		assert(strpbrk(again, "\r\n ") == NULL);
		assert(url_parse(&arena, again, &v, &err) == 0);
		assert(strcmp(u.host, v.host) == 0 && u.port == v.port);
		assert(strcmp(u.target, v.target) == 0);
		name = url_basename(&arena, &u);
		assert(name == NULL || (strchr(name, '/') == NULL && *name != '\0'));
		if (url_parse(&arena, url_join(&arena, &u, ref), &v, &err) != 0)
			err_release(&err);
	} else
		err_release(&err);
	arena_release(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *p = (const char *)data;
	struct outcome a, b;

	if (len == 0)
		return 0;
	a = feed(p + 1, len - 1, len);
	b = feed(p + 1, len - 1, (size_t)data[0] % 17 + 1);
	assert(a.rc == b.rc && a.status == b.status);
	assert(a.rc != 0 || (a.bytes == b.bytes && a.sum == b.sum));
	try_url(p + 1, len - 1);
	return 0;
}
