/*
 * Filters and tests of URLs, as Python's urllib.parse takes them apart.
 */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/unidata.h"

static void
quote(struct buf *b, const char *s, size_t len, bool form)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		if ((ch < 0x80 && isalnum(ch)) || (ch != 0 && strchr("_.-~", ch) != NULL) ||
		    (ch == '/' && !form))
			buf_addc(b, (char)ch);
		else if (ch == ' ' && form)
			buf_addc(b, '+');
		else
			buf_addf(b, "%%%02X", ch);
	}
}

static bool
quote_value(struct tcall *c, struct buf *b, const struct value *v, bool form)
{
	const char *s;
	size_t len;

	if (!fu_text(c, v, &s, &len))
		return false;
	quote(b, s, len, form);
	return true;
}

/* A pair "key=value" of a list: two elements, or two characters. */
static bool
quote_pair(struct tcall *c, struct buf *b, const struct value *pair)
{
	const struct vlist *l = fu_list(c, pair);

	if (l == NULL)
		return false;
	if (l->n != 2) {
		terr(c, ERR_VALUE, l->n < 2 ? "not enough values to unpack (expected 2, got %u)" :
		    "too many values to unpack (expected 2)", l->n);
		return false;
	}
	if (b->len > 0)
		buf_addc(b, '&');
	if (!quote_value(c, b, l->v[0], true))
		return false;
	buf_addc(b, '=');
	return quote_value(c, b, l->v[1], true);
}

static const struct value *
f_urlencode(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct ventry *e;
	const struct value *v;
	const struct vlist *l;
	bool ok = true;

	if (c->in->type == V_MAP) {
		for (uint32_t it = 0; ok && (e = v_next(c->in, &it)) != NULL;)
			ok = (v = tcall_top(c, e->val)) != NULL && quote_pair(c, &b, fu_pair(c, e->key, v));
	} else if (c->in->type == V_LIST) {
		l = fu_list(c, c->in);
		ok = l != NULL;
		for (uint32_t i = 0; ok && i < l->n; i++)
			ok = quote_pair(c, &b, l->v[i]);
	} else
		ok = quote_value(c, &b, c->in, false);
	if (!ok) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static int
hex(char ch)
{
	return isdigit((unsigned char)ch) ? ch - '0' : isxdigit((unsigned char)ch) ? (ch | 0x20) - 'a' + 10 : -1;
}

/* unquote_plus() */
static const struct value *
f_urldecode(struct tcall *c)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct buf out = BUF_INIT;
	const char *s;
	size_t len;

	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '+')
			buf_addc(&raw, ' ');
		else if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
			buf_addc(&raw, (char)(unsigned char)(hex(s[i + 1]) * 16 + hex(s[i + 2])));
			i += 2;
		} else
			buf_addc(&raw, s[i]);
	}
	utf8_clean(&out, buf_str(&raw), raw.len);
	return fu_result(c, &out);
}

/* ---- urlsplit ---------------------------------------------------------------------------- */

struct text {
	const char	*s;		/* NULL: None */
	size_t		 len;
};

struct url {
	struct text	 scheme, netloc, path, query, fragment;
	struct text	 user, password, host, port;
};

static struct text
cut(const char *from, const char *to)
{
	return (struct text){ from, (size_t)(to - from) };
}

/* Python removes these wherever they are, and control characters and blanks at the start. */
static char *
clean_url(struct arena *a, const char *s, size_t len)
{
	char *out = arena_alloc(a, len + 1), *p = out;
	size_t i = 0;

	while (i < len && (unsigned char)s[i] <= ' ')
		i++;
	for (; i < len; i++)
		if (s[i] != '\t' && s[i] != '\r' && s[i] != '\n')
			*p++ = s[i];
	*p = '\0';
	return out;
}

static void
split_netloc(struct url *u)
{
	const char *s = u->netloc.s, *end = s + u->netloc.len, *at, *p, *colon;

	at = memrchr(s, '@', u->netloc.len);
	if (at != NULL) {
		colon = memchr(s, ':', (size_t)(at - s));
		u->user = cut(s, colon != NULL ? colon : at);
		if (colon != NULL)
			u->password = cut(colon + 1, at);
		s = at + 1;
	}
	p = memchr(s, '[', (size_t)(end - s));
	if (p != NULL) {
		const char *close = memchr(p, ']', (size_t)(end - p));

		close = close != NULL ? close : end;
		u->host = cut(p + 1, close);
		s = close;
	}
	colon = memchr(s, ':', (size_t)(end - s));
	if (p == NULL)
		u->host = cut(s, colon != NULL ? colon : end);
	if (colon != NULL && colon + 1 < end)
		u->port = cut(colon + 1, end);
	if (u->host.len == 0)
		u->host.s = NULL;
}

static bool
split_url(struct arena *a, const char *s, size_t len, struct url *u)
{
	const char *end, *p, *e;

	memset(u, 0, sizeof(*u));
	s = clean_url(a, s, len);
	end = s + strlen(s);
	u->scheme = u->netloc = u->query = u->fragment = cut(end, end);
	p = strchr(s, ':');
	if (p != NULL && p > s && isalpha((unsigned char)*s)) {
		for (e = s; e < p && (isalnum((unsigned char)*e) || strchr("+-.", *e) != NULL); e++)
			continue;
		if (e == p) {
			u->scheme = cut(s, p);
			s = p + 1;
		}
	}
	if (s[0] == '/' && s[1] == '/') {
		e = s + 2 + strcspn(s + 2, "/?#");
		u->netloc = cut(s + 2, e);
		s = e;
		if ((memchr(u->netloc.s, '[', u->netloc.len) == NULL) !=
		    (memchr(u->netloc.s, ']', u->netloc.len) == NULL))
			return false;
	}
	p = strchr(s, '#');
	if (p != NULL)
		u->fragment = cut(p + 1, end);
	e = p != NULL ? p : end;
	p = memchr(s, '?', (size_t)(e - s));
	if (p != NULL)
		u->query = cut(p + 1, e);
	u->path = cut(s, p != NULL ? p : e);
	split_netloc(u);
	return true;
}

static const struct value *
text_value(struct tcall *c, struct text t)
{
	return t.s != NULL ? fu_strn(c, t.s, t.len) : &v_null;
}

static const struct value *
lower_value(struct tcall *c, struct text t)
{
	struct buf b = BUF_INIT;
	const char *zone;

	if (t.s == NULL)
		return &v_null;
	zone = memchr(t.s, '%', t.len);
	uni_lower(&b, t.s, zone != NULL ? (size_t)(zone - t.s) : t.len);
	if (zone != NULL)
		buf_add(&b, zone, (size_t)(t.s + t.len - zone));
	return fu_result(c, &b);
}

static const struct value *
port_value(struct tcall *c, struct text t)
{
	int64_t n = 0;

	if (t.s == NULL)
		return &v_null;
	for (size_t i = 0; i < t.len; i++) {
		if (!isdigit((unsigned char)t.s[i]))
			return terr(c, ERR_VALUE, "Port could not be cast to integer value as '%.*s'",
			    (int)t.len, t.s);
		n = n > 65535 ? n : n * 10 + (t.s[i] - '0');
	}
	if (n > 65535)
		return terr(c, ERR_VALUE, "Port out of range 0-65535");
	return v_int(c->arena, n);
}

static bool
is_false_scalar(const struct value *v)
{
	return v->type == V_NULL || (v->type == V_BOOL && !v->u.b) || (v->type == V_INT && v->u.i == 0) ||
	    (v->type == V_FLOAT && !(v->u.f < 0 || v->u.f > 0));
}

static const struct value *
f_urlsplit(struct tcall *c)
{
	struct value *out = v_map(c->arena);
	const struct value *port, *v;
	const char *s, *query;
	size_t len, qlen;
	struct url u;

	if (!targ_str(c, 0, "", &query, &qlen))
		return NULL;
	/* Python takes a false scalar for empty bytes, of which only these are a result. */
	if (is_false_scalar(c->in) && (strcmp(query, "hostname") == 0 || strcmp(query, "port") == 0 ||
	    strcmp(query, "username") == 0 || strcmp(query, "password") == 0))
		return &v_null;
	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	if (!split_url(c->arena, s, len, &u))
		return terr(c, ERR_VALUE, "Invalid IPv6 URL");
	if ((port = port_value(c, u.port)) == NULL)
		return NULL;
	v_sets(c->arena, out, "fragment", text_value(c, u.fragment));
	v_sets(c->arena, out, "hostname", lower_value(c, u.host));
	v_sets(c->arena, out, "netloc", text_value(c, u.netloc));
	v_sets(c->arena, out, "password", text_value(c, u.password));
	v_sets(c->arena, out, "path", text_value(c, u.path));
	v_sets(c->arena, out, "port", port);
	v_sets(c->arena, out, "query", text_value(c, u.query));
	v_sets(c->arena, out, "scheme", lower_value(c, u.scheme));
	v_sets(c->arena, out, "username", text_value(c, u.user));
	if (qlen == 0)
		return out;
	v = v_gets(out, query);
	return v != NULL ? v : terr(c, ERR_VALUE, "urlsplit: unknown URL component: %s", query);
}

/* ---- tests -------------------------------------------------------------------------------- */

/* Parses for a test: 1 parsed, 0 not a URL at all (other types; empty ones pass, as in Python). */
static int
uri(struct tcall *c, struct url *u, const struct value *schemes)
{
	const struct value *scheme;

	if (c->in->type == V_STR) {
		if (!split_url(c->arena, c->in->u.s, c->in->len, u))
			return 0;
	} else {
		if (tcall_truth(c->in))
			return 0;
		memset(u, 0, sizeof(*u));
		u->scheme = u->netloc = cut("", "");
	}
	if (schemes == NULL || !tcall_truth(schemes))
		return 1;
	scheme = lower_value(c, u->scheme);
	if (schemes->type == V_LIST)
		return c->in->type == V_STR && fu_in(schemes->u.list, scheme);
	if (schemes->type == V_STR)
		return c->in->type == V_STR &&
		    memmem(schemes->u.s, schemes->len, scheme->u.s, scheme->len) != NULL;
	return 0;
}

static int
t_uri(struct tcall *c)
{
	struct url u;

	return uri(c, &u, c->a[0]);
}

static int
t_url(struct tcall *c)
{
	struct url u;

	return uri(c, &u, c->a[0]) &&
	    (u.netloc.len > 0 || (u.scheme.len == 4 && strncasecmp(u.scheme.s, "file", 4) == 0));
}

static int
t_urn(struct tcall *c)
{
	struct url u;

	return uri(c, &u, NULL) && u.scheme.len == 3 && strncasecmp(u.scheme.s, "urn", 3) == 0;
}

static const struct tfilter filters[] = {
	{ "urldecode", "", 0, f_urldecode },
	{ "urlencode", "", 0, f_urlencode },
	{ "urlsplit", "query", 0, f_urlsplit },
	{ NULL, NULL, 0, NULL }
};

static const struct ttest tests[] = {
	{ "uri", "schemes", 0, t_uri },
	{ "url", "schemes", 0, t_url },
	{ "urn", "", 0, t_urn },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_url = { filters, tests };
