/*
 * Filters of HTML: escaping, tags, attributes.
 */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_entities.h"
#include "template/filter_util.h"
#include "template/regex.h"
#include "template/unidata.h"

static const struct value *
markup_result(struct tcall *c, struct buf *b)
{
	const struct value *v;

	if (buf_overflowed(b))
		return fu_result(c, b);
	v = v_markup(c->arena, b->len > 0 ? b->data : "", b->len);
	buf_release(b);
	return v;
}

static const struct value *
f_forceescape(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s;
	size_t len;

	if (!fu_text(c, c->in, &s, &len))
		return NULL;
	tmpl_escape(&b, s, len);
	return markup_result(c, &b);
}

static const struct value *
f_escape(struct tcall *c)
{
	return v_is_markup(c->in) ? c->in : f_forceescape(c);
}

static const struct value *
f_safe(struct tcall *c)
{
	const char *s;
	size_t len;

	return fu_text(c, c->in, &s, &len) ? v_markup(c->arena, s, len) : NULL;
}

/* ---- striptags ------------------------------------------------------------------------- */

/* The text without what begins with open and ends with close; an open one without end stays. */
static void
cut_out(struct buf *out, const char *s, size_t len, const char *open, const char *close)
{
	const char *end = s + len, *a, *b;

	while ((a = memmem(s, (size_t)(end - s), open, strlen(open))) != NULL &&
	    (b = memmem(a, (size_t)(end - a), close, strlen(close))) != NULL) {
		buf_add(out, s, (size_t)(a - s));
		s = b + strlen(close);
	}
	buf_add(out, s, (size_t)(end - s));
}

/* What Windows-1252 has where Latin-1 has control characters. */
static uint32_t
numeric_reference(uint64_t n)
{
	static const uint16_t cp1252[] = {
		0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
		0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
		0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178
	};

	if (n >= 0x80 && n < 0xa0)
		return cp1252[n - 0x80];
	return n == 0 || n > 0x10ffff || (n >= 0xd800 && n < 0xe000) ? 0xfffd : (uint32_t)n;
}

/* A reference at p (behind the &): its length and character; 0 when it is none. */
static size_t
reference(const char *p, const char *end, uint32_t *ret)
{
	uint64_t n = 0;
	size_t len, i;
	bool hex;

	if (p < end && *p == '#') {
		hex = p + 1 < end && (p[1] | 0x20) == 'x';
		for (i = hex ? 2 : 1; p + i < end && (hex ? isxdigit((unsigned char)p[i]) :
		    isdigit((unsigned char)p[i])); i++)
			n = n > 0x110000 ? n : n * (hex ? 16 : 10) + (uint64_t)(isdigit((unsigned char)p[i]) ?
			    p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
		if (i == (hex ? 2u : 1u))
			return 0;
		*ret = numeric_reference(n);
		return i + (p + i < end && p[i] == ';');
	}
	for (len = 0; p + len < end && isalnum((unsigned char)p[len]) && len < 32; len++)
		continue;
	for (i = 0; i < NITEMS(entities); i++)
		if (strlen(entities[i].name) == len && memcmp(entities[i].name, p, len) == 0 &&
		    ((p + len < end && p[len] == ';') || entities[i].c < 0x100)) {
			*ret = entities[i].c;
			return len + (p + len < end && p[len] == ';');
		}
	return 0;
}

static void
unescape(struct buf *out, const char *s, size_t len)
{
	const char *end = s + len;
	uint32_t c;
	size_t n;

	while (s < end) {
		if (*s == '&' && (n = reference(s + 1, end, &c)) > 0) {
			utf8_encode(out, c);
			s += n + 1;
		} else
			buf_addc(out, *s++);
	}
}

static const struct value *
f_striptags(struct tcall *c)
{
	CLEANUP_BUF struct buf no_comments = BUF_INIT, no_tags = BUF_INIT, words = BUF_INIT;
	struct value *list = v_list(c->arena);
	struct buf out = BUF_INIT;
	const char *s;
	size_t len;

	if (!fu_text(c, c->in, &s, &len))
		return NULL;
	cut_out(&no_comments, s, len, "<!--", "-->");
	cut_out(&no_tags, buf_str(&no_comments), no_comments.len, "<", ">");
	fu_split_blank(c, list, buf_str(&no_tags), no_tags.len, -1);
	for (uint32_t i = 0; i < v_count(list); i++) {
		if (i > 0)
			buf_addc(&words, ' ');
		buf_add(&words, v_at(list, i)->u.s, v_at(list, i)->len);
	}
	unescape(&out, buf_str(&words), words.len);
	return fu_result(c, &out);
}

/* ---- xmlattr ---------------------------------------------------------------------------- */

static bool
put_escaped(struct tcall *c, struct buf *b, const struct value *v)
{
	const char *s;
	size_t len;

	if (!fu_text(c, v, &s, &len))
		return false;
	if (v_is_markup(v))
		buf_add(b, s, len);
	else
		tmpl_escape(b, s, len);
	return true;
}

static const struct value *
f_xmlattr(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct ventry *e;
	const struct value *v;
	const char *bad;
	bool autospace;

	if (!targ_bool(c, 0, true, &autospace))
		return NULL;
	if (c->in->type != V_MAP)
		return terr(c, ERR_TYPE, "'%s' object has no attribute 'items'", tmpl_py_type(c->in));
	for (uint32_t it = 0; (e = v_next(c->in, &it)) != NULL;) {
		if ((v = tcall_top(c, e->val)) == NULL)
			goto fail;
		if (v->type == V_NULL || v->type == V_UNDEF)
			continue;
		if (e->key->type != V_STR) {
			terr(c, ERR_TYPE, "expected string or bytes-like object, got '%s'", tmpl_py_type(e->key));
			goto fail;
		}
		bad = strpbrk(e->key->u.s, " \t\n\r\v\f/>=");
		if (bad != NULL) {
			terr(c, ERR_VALUE, "Invalid character in attribute name: '%s'", e->key->u.s);
			goto fail;
		}
		if (b.len > 0 || autospace)
			buf_addc(&b, ' ');
		if (!put_escaped(c, &b, e->key))
			goto fail;
		buf_adds(&b, "=\"");
		if (!put_escaped(c, &b, v))
			goto fail;
		buf_addc(&b, '"');
	}
	return fu_result(c, &b);
fail:
	buf_release(&b);
	return NULL;
}

/* ---- urlize ------------------------------------------------------------------------------ */

static const char re_http[] =
    "^((https?://|www\\.)(([\\w%-]+\\.)+)?([a-z]{2,63}|xn--[\\w%]{2,59})"
    "|([\\w%-]{2,63}\\.)+(com|net|int|edu|gov|org|info|mil)"
    "|(https?://)((([\\d]{1,3})(\\.[\\d]{1,3}){3})"
    "|(\\[([\\da-f]{0,4}:){2}([\\da-f]{0,4}:?){1,6}])))"
    "(?::[\\d]{1,5})?(?:[/?#]\\S*)?$";
static const char re_email[] = "^\\S+@\\w[\\w.-]*\\.\\w+$";
static const char re_scheme[] = "^([\\w.+-]{2,}:(/){0,2})$";
static const char re_head[] = "^([(<]|&lt;)+";
static const char re_tail[] = "([)>.,\\n]|&gt;)+$";

struct urlize {
	struct tcall		*c;
	struct buf		*out;
	const char		*attrs;		/* rel and target */
	int64_t			 limit;		/* of the text shown; -1: none */
	const struct vlist	*schemes;
	bool			 failed;
};

/* Where the pattern matches, *from and *to; false when it does not, or after an error. */
static bool
find_re(struct urlize *u, const char *pattern, unsigned flags, const char *s, size_t len,
    size_t *from, size_t *to)
{
	const struct regex *re = regex_get(pattern, strlen(pattern), flags, u->c->err);
	struct regex_match m;
	int rc = re != NULL ? regex_exec(re, s, len, 0, REGEX_SEARCH, false, &m, u->c->err) : -1;

	if (rc < 0)
		u->failed = true;
	if (rc <= 0)
		return false;
	*from = m.at[0];
	*to = m.at[1];
	return true;
}

static size_t
count_of(const char *s, size_t len, const char *what)
{
	size_t n = 0, wlen = strlen(what);
	const char *end = s + len;

	while ((s = memmem(s, (size_t)(end - s), what, wlen)) != NULL) {
		n++;
		s += wlen;
	}
	return n;
}

/* Closing brackets that belong to the middle of a word; how many bytes of the tail they take. */
static size_t
balance(const char *middle, size_t mlen, const char *tail, size_t tlen)
{
	static const char *const pairs[][2] = { { "(", ")" }, { "<", ">" }, { "&lt;", "&gt;" } };
	size_t taken = 0, open, n;
	const char *p;

	for (size_t i = 0; i < NITEMS(pairs); i++) {
		open = count_of(middle, mlen + taken, pairs[i][0]);
		if (open <= count_of(middle, mlen + taken, pairs[i][1]))
			continue;
		n = count_of(tail + taken, tlen - taken, pairs[i][1]);
		for (n = n < open ? n : open; n > 0; n--) {
			p = memmem(tail + taken, tlen - taken, pairs[i][1], strlen(pairs[i][1]));
			taken = (size_t)(p - tail) + strlen(pairs[i][1]);
		}
	}
	return taken;
}

static bool
begins(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static void
put_link(struct urlize *u, const char *scheme, const char *s, size_t len)
{
	size_t shown = u->limit >= 0 && utf8_count(s, len) > (size_t)u->limit ?
	    utf8_offset(s, len, (size_t)u->limit) : len;

	buf_addf(u->out, "<a href=\"%s%.*s\"%s>%.*s%s</a>", scheme, (int)len, s, u->attrs,
	    (int)shown, s, shown < len ? "..." : "");
}

static void
put_middle(struct urlize *u, const char *s, size_t len)
{
	size_t a, b;
	const struct value *scheme;
	bool done = false;

	if (find_re(u, re_http, REGEX_ICASE, s, len, &a, &b)) {
		put_link(u, begins(s, len, "https://") || begins(s, len, "http://") ? "" : "https://", s, len);
		return;
	}
	if (begins(s, len, "mailto:") && find_re(u, re_email, 0, s + 7, len - 7, &a, &b)) {
		buf_addf(u->out, "<a href=\"%.*s\">%.*s</a>", (int)len, s, (int)len - 7, s + 7);
		return;
	}
	if (memchr(s, '@', len) != NULL && !begins(s, len, "www.") && *s != '@' &&
	    memchr(s, ':', len) == NULL && find_re(u, re_email, 0, s, len, &a, &b)) {
		buf_addf(u->out, "<a href=\"mailto:%.*s\">%.*s</a>", (int)len, s, (int)len, s);
		return;
	}
	for (uint32_t i = 0; u->schemes != NULL && i < u->schemes->n && !done; i++) {
		scheme = u->schemes->v[i];
		if (len > scheme->len && begins(s, len, scheme->u.s)) {
			buf_addf(u->out, "<a href=\"%.*s\"%s>%.*s</a>", (int)len, s, u->attrs, (int)len, s);
			done = true;
		}
	}
	if (!done)
		buf_add(u->out, s, len);
}

static void
put_word(struct urlize *u, const char *s, size_t len)
{
	size_t from, to, tail = 0, taken;

	if (find_re(u, re_head, 0, s, len, &from, &to)) {
		buf_add(u->out, s, to);
		s += to;
		len -= to;
	}
	if (find_re(u, re_tail, 0, s, len, &from, &to)) {
		tail = len - from;
		len = from;
	}
	taken = balance(s, len, s + len, tail);
	if (len + taken > 0)
		put_middle(u, s, len + taken);
	buf_add(u->out, s + len + taken, tail - taken);
}

/* Words and the blanks between them. */
static void
put_words(struct urlize *u, const char *s, size_t len)
{
	const char *end = s + len, *from;
	bool blank, first;
	uint32_t c;
	unsigned n;

	while (s < end && !u->failed) {
		from = s;
		for (first = true, blank = false; s < end; s += n, first = false) {
			n = utf8_decode(s, (size_t)(end - s), &c);
			if (first)
				blank = n > 0 && uni_space(c);
			else if ((n > 0 && uni_space(c)) != blank)
				break;
			n = n > 0 ? n : 1;
		}
		if (blank)
			buf_add(u->out, from, (size_t)(s - from));
		else
			put_word(u, from, (size_t)(s - from));
	}
}

/* The rel= of links: the words asked for and noopener, sorted, each once. */
static bool
rel_words(struct tcall *c, struct buf *b, const struct value *rel, bool nofollow)
{
	struct value *words = v_list(c->arena);
	const struct value *sorted, *args[1] = { NULL };
	const char *s;
	size_t len;

	if (rel != NULL && rel->type != V_NULL) {
		if (!fu_str(c, rel, &s, &len))
			return false;
		fu_split_blank(c, words, s, len, -1);
	}
	if (nofollow)
		v_push(c->arena, words, v_str(c->arena, "nofollow"));
	v_push(c->arena, words, v_str(c->arena, "noopener"));
	sorted = tcall_filter(c, "unique", words, args, 0, NULL);
	if (sorted == NULL || (sorted = tcall_filter(c, "sort", sorted, args, 0, NULL)) == NULL)
		return false;
	buf_adds(b, " rel=\"");
	for (uint32_t i = 0; i < v_count(sorted); i++) {
		if (i > 0)
			buf_addc(b, ' ');
		tmpl_escape(b, v_at(sorted, i)->u.s, v_at(sorted, i)->len);
	}
	buf_addc(b, '"');
	return true;
}

/* urlize(trim_url_limit, nofollow, target, rel, extra_schemes) */
static const struct value *
f_urlize(struct tcall *c)
{
	CLEANUP_BUF struct buf attrs = BUF_INIT, escaped = BUF_INIT;
	struct buf out = BUF_INIT;
	struct urlize u = { .c = c, .out = &out, .limit = -1 };
	const char *s;
	size_t len, from, to;
	bool nofollow;

	if (!fu_text(c, c->in, &s, &len) || !targ_bool(c, 1, false, &nofollow) ||
	    (fu_given(c, 0) && !targ_int(c, 0, -1, &u.limit)) ||
	    !rel_words(c, &attrs, c->a[3], nofollow))
		return NULL;
	if (v_is_markup(c->in))
		buf_add(&escaped, s, len);
	else
		tmpl_escape(&escaped, s, len);
	if (fu_given(c, 2)) {
		if (!fu_text(c, c->a[2], &s, &len))
			return NULL;
		buf_adds(&attrs, " target=\"");
		tmpl_escape(&attrs, s, len);
		buf_addc(&attrs, '"');
	}
	if (fu_given(c, 4) && (u.schemes = fu_list(c, c->a[4])) == NULL)
		return NULL;
	for (uint32_t i = 0; u.schemes != NULL && i < u.schemes->n; i++)
		if (!fu_str(c, u.schemes->v[i], &s, &len) ||
		    !find_re(&u, re_scheme, 0, s, len, &from, &to))
			return u.failed || u.schemes->v[i]->type != V_STR ? NULL :
			    terr(c, ERR_VALUE, "'%s' is not a valid URI scheme prefix.", s);
	u.attrs = buf_str(&attrs);
	put_words(&u, buf_str(&escaped), escaped.len);
	if (u.failed) {
		buf_release(&out);
		return NULL;
	}
	return fu_result(c, &out);
}

static const struct tfilter filters[] = {
	{ "e", "", 0, f_escape },
	{ "escape", "", 0, f_escape },
	{ "forceescape", "", 0, f_forceescape },
	{ "safe", "", 0, f_safe },
	{ "striptags", "", 0, f_striptags },
	{ "urlize", "trim_url_limit,nofollow,target,rel,extra_schemes", 0, f_urlize },
	{ "xmlattr", "autospace", 0, f_xmlattr },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_markup = { filters, NULL };
