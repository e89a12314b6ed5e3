/*
 * Filters of HTML: escaping, tags, attributes.
 */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/filter_entities.h"

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

static const struct tfilter filters[] = {
	{ "e", "", 0, f_escape },
	{ "escape", "", 0, f_escape },
	{ "forceescape", "", 0, f_forceescape },
	{ "safe", "", 0, f_safe },
	{ "striptags", "", 0, f_striptags },
	{ "xmlattr", "autospace", 0, f_xmlattr },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_markup = { filters, NULL };
