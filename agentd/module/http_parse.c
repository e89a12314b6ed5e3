/*
 * Responses and URLs; see http.h.
 *
 * Hostile servers are expected: every length is checked, nothing is taken
 * twice (two different Content-Length, or one together with chunks, is an
 * error), and the head has a limit.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "module/http.h"

#define HEADERS_MAX	1000

/* ---- the parser -------------------------------------------------------------- */

void
http_parser_init(struct http_parser *p, struct arena *arena)
{
	memset(p, 0, sizeof(*p));
	p->arena = arena;
	p->line.max = HTTP_HEAD_MAX;
	p->reason = "";
}

void
http_parser_release(struct http_parser *p)
{
	buf_release(&p->line);
}

const char *
http_header(const struct http_parser *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->nheaders; i++)
		if (strcasecmp(p->headers[i].name, name) == 0)
			return p->headers[i].value;
	return NULL;
}

static int
bad(struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "malformed HTTP response: %s", what);
}

static bool
parse_digits(const char *s, unsigned base, uint64_t *ret)
{
	uint64_t n = 0;
	unsigned d;
	const char *p;

	for (p = s; *p != '\0'; p++) {
		d = isdigit((unsigned char)*p) ? (unsigned)(*p - '0') :
		    isxdigit((unsigned char)*p) ?
		    (unsigned)(tolower((unsigned char)*p) - 'a') + 10 : 99;
		if (d >= base || n > (UINT64_MAX >> 8) / base)
			return false;
		n = n * base + d;
	}
	*ret = n;
	return p != s;
}

static int
status_line(struct http_parser *p, const char *s, struct err *err)
{
	int status;

	if (strncmp(s, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)s[7]) ||
	    s[8] != ' ' || !isdigit((unsigned char)s[9]) ||
	    !isdigit((unsigned char)s[10]) || !isdigit((unsigned char)s[11]) ||
	    (s[12] != ' ' && s[12] != '\0'))
		return bad(err, "no HTTP/1.x status line");
	status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	if (status < 100)
		return bad(err, "no such status");
	p->status = status;
	p->reason = s[12] == ' ' ? s + 13 : "";
	p->state = HTTP_HEADERS;
	return 0;
}

static int
header_line(struct http_parser *p, char *s, struct err *err)
{
	char *colon = strchr(s, ':'), *end;
	size_t cap;

	if (*s == ' ' || *s == '\t')
		return bad(err, "a folded header");
	if (colon == NULL || colon == s)
		return bad(err, "a header without a name");
	if (p->nheaders >= HEADERS_MAX)
		return bad(err, "too many headers");
	*colon++ = '\0';
	if (strpbrk(s, " \t") != NULL)
		return bad(err, "a blank in a header's name");
	while (*colon == ' ' || *colon == '\t')
		colon++;
	for (end = colon + strlen(colon); end > colon &&
	    (end[-1] == ' ' || end[-1] == '\t'); end--)
		end[-1] = '\0';
	if (p->nheaders == p->capheaders) {
		cap = p->capheaders == 0 ? 16 : 2 * p->capheaders;
		p->headers = arena_grow(p->arena, p->headers,
		    p->capheaders * sizeof(*p->headers), cap * sizeof(*p->headers));
		p->capheaders = cap;
	}
	p->headers[p->nheaders++] = (struct http_header){ s, colon };
	return 0;
}

/* What kind of body follows the head. */
static int
head_done(struct http_parser *p, struct err *err)
{
	const char *length = http_header(p, "content-length"), *coding;
	uint64_t n;
	size_t i;

	if (p->status < 200 && p->status != 101) {
		/* 100 Continue and the like: the real one follows. */
		p->nheaders = 0;
		p->state = HTTP_STATUS;
		return 0;
	}
	if (p->head_only || p->status == 204 || p->status == 304 || p->status == 101) {
		p->state = HTTP_DONE;
		return 0;
	}
	coding = http_header(p, "transfer-encoding");
	if (coding != NULL && strcasecmp(coding, "identity") != 0) {
		if (strcasecmp(coding, "chunked") != 0)
			return bad(err, "a transfer encoding that is not known");
		if (length != NULL)
			return bad(err, "both a length and chunks");
		p->state = HTTP_CHUNK_SIZE;
		return 0;
	}
	if (length == NULL) {
		p->state = HTTP_UNTIL_END;
		return 0;
	}
	for (i = 0; i < p->nheaders; i++)
		if (strcasecmp(p->headers[i].name, "content-length") == 0 &&
		    strcmp(p->headers[i].value, length) != 0)
			return bad(err, "two different lengths");
	if (!parse_digits(length, 10, &n))
		return bad(err, "a length that is no number");
	p->left = n;
	p->state = n == 0 ? HTTP_DONE : HTTP_LENGTH;
	return 0;
}

static int
chunk_size(struct http_parser *p, char *s, struct err *err)
{
	uint64_t n;

	s[strcspn(s, "; \t")] = '\0';	/* extensions */
	if (!parse_digits(s, 16, &n))
		return bad(err, "a chunk without a size");
	p->left = n;
	p->state = n == 0 ? HTTP_TRAILERS : HTTP_CHUNK;
	return 0;
}

static int
whole_line(struct http_parser *p, struct err *err)
{
	char *s;
	int rc = 0;

	if (p->line.len > 0 && p->line.data[p->line.len - 1] == '\r')
		p->line.len--;
	if (p->line.len > 0 && memchr(p->line.data, '\0', p->line.len) != NULL)
		return bad(err, "a NUL byte in its head");
	s = buf_dup(&p->line, p->arena);
	buf_clear(&p->line);
	switch (p->state) {
	case HTTP_STATUS:
		rc = status_line(p, s, err);
		break;
	case HTTP_HEADERS:
		rc = *s == '\0' ? head_done(p, err) : header_line(p, s, err);
		break;
	case HTTP_CHUNK_SIZE:
		rc = chunk_size(p, s, err);
		p->head = 0;
		break;
	case HTTP_CHUNK_END:
		if (*s != '\0')
			return bad(err, "a chunk longer than its size");
		p->state = HTTP_CHUNK_SIZE;
		break;
	default:			/* trailers: ignored */
		if (*s == '\0')
			p->state = HTTP_DONE;
		break;
	}
	return rc;
}

static int
take_line(struct http_parser *p, const char *data, size_t len, size_t *used,
    struct err *err)
{
	const char *nl = memchr(data, '\n', len);
	size_t n = nl == NULL ? len : (size_t)(nl - data);

	*used = nl == NULL ? n : n + 1;
	p->head += *used;
	buf_add(&p->line, data, n);
	if (p->head > HTTP_HEAD_MAX || buf_overflowed(&p->line))
		return err_set(err, ERR_LIMIT, "the head of the HTTP response is "
		    "longer than %zu bytes", HTTP_HEAD_MAX);
	return nl == NULL ? 0 : whole_line(p, err);
}

static int
take_body(struct http_parser *p, const char *data, size_t len, size_t *used,
    struct err *err)
{
	size_t n = len;

	if (p->state != HTTP_UNTIL_END) {
		if (n > p->left)
			n = (size_t)p->left;
		p->left -= n;
		if (p->left == 0)
			p->state = p->state == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_DONE;
	}
	*used = n;
	return p->body == NULL ? 0 : p->body(p->arg, data, n, err);
}

int
http_parse(struct http_parser *p, const char *data, size_t len, struct err *err)
{
	size_t used;
	int rc;

	for (; len > 0 && p->state != HTTP_DONE; data += used, len -= used) {
		if (p->state == HTTP_LENGTH || p->state == HTTP_UNTIL_END ||
		    p->state == HTTP_CHUNK)
			rc = take_body(p, data, len, &used, err);
		else
			rc = take_line(p, data, len, &used, err);
		if (rc != 0)
			return -1;
	}
	return 0;
}

int
http_parse_end(struct http_parser *p, struct err *err)
{
	if (p->state == HTTP_UNTIL_END)
		p->state = HTTP_DONE;
	if (p->state == HTTP_DONE)
		return 0;
	if (p->state == HTTP_STATUS && p->line.len == 0)
		return err_set(err, ERR_IO, "the server closed the connection "
		    "without an answer");
	return err_set(err, ERR_IO, "the server closed the connection in the middle "
	    "of its answer");
}

/* ---- URLs ----------------------------------------------------------------------- */

/* %XX decoded; NULL when that gives a NUL byte. */
static char *
decode(struct arena *arena, const char *s, size_t n)
{
	char *out = arena_strndup(arena, s, n), *to = out, digits[3] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && isxdigit((unsigned char)s[i + 1]) &&
		    isxdigit((unsigned char)s[i + 2])) {
			digits[0] = s[i + 1];
			digits[1] = s[i + 2];
			*to = (char)strtoul(digits, NULL, 16);
			i += 2;
		} else
			*to = s[i];
		if (*to++ == '\0')
			return NULL;
	}
	*to = '\0';
	return out;
}

/* Bytes that may not appear in a request line are encoded, blanks too. */
static const char *
tidy_target(struct arena *arena, const char *s, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	if (n == 0 || s[0] != '/')
		buf_addc(&b, '/');
	for (i = 0; i < n; i++)
		if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f)
			buf_addf(&b, "%%%02X", (unsigned char)s[i]);
		else
			buf_addc(&b, s[i]);
	return buf_dup(&b, arena);
}

static bool
host_is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(".-_:%", *s) == NULL)
			return false;
	return true;
}

static int
parse_authority(struct arena *arena, const char *s, size_t n, struct url *u,
    struct err *err)
{
	const char *at = memrchr(s, '@', n), *colon, *end = s + n;
	uint64_t port;

	if (at != NULL) {
		colon = memchr(s, ':', (size_t)(at - s));
		u->user = decode(arena, s, (size_t)((colon != NULL ? colon : at) - s));
		u->password = colon == NULL ? "" :
		    decode(arena, colon + 1, (size_t)(at - colon - 1));
		if (u->user == NULL || u->password == NULL)
			return -1;
		s = at + 1;
	}
	colon = NULL;
	if (s < end && *s == '[') {
		at = memchr(s, ']', (size_t)(end - s));
		if (at == NULL)
			return -1;
		u->host = arena_strndup(arena, s + 1, (size_t)(at - s - 1));
		if (at + 1 < end && at[1] == ':')
			colon = at + 1;
		else if (at + 1 != end)
			return -1;
	} else {
		colon = memchr(s, ':', (size_t)(end - s));
		u->host = arena_strndup(arena, s, (size_t)((colon != NULL ? colon :
		    end) - s));
	}
	if (colon != NULL && colon + 1 < end) {
		if (!parse_digits(arena_strndup(arena, colon + 1,
		    (size_t)(end - colon - 1)), 10, &port) || port < 1 || port > 65535)
			return -1;
		u->port = (int)port;
	}
	if (*u->host == '\0' || *u->host == '-')
		return -1;
	if (!host_is_plain(u->host))
		return err_set(err, ERR_UNSUPPORTED, "the host name '%s' is not "
		    "plain ASCII: write it in its xn-- form", u->host);
	return 0;
}

int
url_parse(struct arena *arena, const char *text, struct url *u, struct err *err)
{
	const char *colon = strstr(text, "://"), *rest, *target;
	size_t n;
	char *s;

	memset(u, 0, sizeof(*u));
	if (colon == NULL || colon == text)
		return err_set(err, ERR_VALUE, "'%s' is no URL: it has no scheme "
		    "(http://, https://)", text);
	u->scheme = s = arena_strndup(arena, text, (size_t)(colon - text));
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
	rest = colon + 3;
	n = strcspn(rest, "/?#");
	target = rest + n;
	u->target = tidy_target(arena, target, strcspn(target, "#"));
	if (strcmp(u->scheme, "file") == 0) {
		u->host = "";
		if ((u->target = decode(arena, target, strlen(target))) != NULL)
			return 0;
	} else if (strcmp(u->scheme, "http") != 0 && strcmp(u->scheme, "https") != 0)
		return err_set(err, ERR_UNSUPPORTED, "'%s': %s is not supported, "
		    "only http and https are", text, u->scheme);
	else {
		u->port = u->scheme[4] == 's' ? 443 : 80;
		if (parse_authority(arena, rest, n, u, err) == 0)
			return 0;
	}
	if (err != NULL && err->code != ERR_NONE)
		return -1;
	return err_set(err, ERR_VALUE, "'%s' is no URL: its host or port is wrong",
	    text);
}

const char *
url_text(struct arena *arena, const struct url *u)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addf(&b, strchr(u->host, ':') != NULL ? "%s://[%s]" : "%s://%s",
	    u->scheme, u->host);
	if (u->port != 0 && u->port != (strcmp(u->scheme, "https") == 0 ? 443 : 80))
		buf_addf(&b, ":%d", u->port);
	buf_adds(&b, u->target);
	return buf_dup(&b, arena);
}

/* "." and ".." taken out of a path (RFC 3986, 5.2.4); the query stays. */
static const char *
remove_dots(struct arena *arena, const char *path)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t end = strcspn(path, "?"), n;
	const char *p = path, *stop = path + end, *last;

	while (p < stop) {
		n = 1 + strcspn(p + 1, "/?");
		if (n == 2 && p[1] == '.') {
			if (p + n == stop)
				buf_addc(&out, '/');
		} else if (n == 3 && p[1] == '.' && p[2] == '.') {
			last = out.len == 0 ? NULL : memrchr(out.data, '/', out.len);
			out.len = last == NULL ? 0 : (size_t)(last - out.data);
			if (p + n == stop)
				buf_addc(&out, '/');
		} else
			buf_add(&out, p, n);
		p += n;
	}
	if (out.len == 0)
		buf_addc(&out, '/');
	buf_adds(&out, stop);
	return buf_dup(&out, arena);
}

const char *
url_join(struct arena *arena, const struct url *base, const char *ref)
{
	const char *scheme = strstr(ref, "://"), *end, *slash;
	struct url u = *base;

	if (scheme != NULL && strcspn(ref, "/?#") == (size_t)(scheme - ref) + 1)
		return ref;
	if (strncmp(ref, "//", 2) == 0)
		return arena_printf(arena, "%s:%s", base->scheme, ref);
	end = base->target + strcspn(base->target, "?");
	if (*ref == '/')
		u.target = ref;
	else if (*ref == '?' || *ref == '\0')
		u.target = arena_printf(arena, "%.*s%s", (int)(end - base->target),
		    base->target, ref);
	else {
		slash = memrchr(base->target, '/', (size_t)(end - base->target));
		u.target = arena_printf(arena, "%.*s%s",
		    (int)(slash - base->target) + 1, base->target, ref);
	}
	u.target = remove_dots(arena, u.target);
	return url_text(arena, &u);
}

const char *
url_basename(struct arena *arena, const struct url *u)
{
	size_t n = strcspn(u->target, "?");
	const char *slash = n == 0 ? NULL : memrchr(u->target, '/', n), *name;

	if (slash == NULL)
		return NULL;
	name = decode(arena, slash + 1, (size_t)(u->target + n - slash - 1));
	if (name == NULL || *name == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0 || strchr(name, '/') != NULL)
		return NULL;
	return name;
}

void
percent_encode(struct buf *b, const char *s, size_t n, const char *safe)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (isalnum((unsigned char)s[i]) ||
		    (s[i] != '\0' && strchr(safe, s[i]) != NULL))
			buf_addc(b, s[i]);
		else
			buf_addf(b, "%%%02X", (unsigned char)s[i]);
}
