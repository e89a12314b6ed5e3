/*
 * Python literals, as values of INI inventories are read: numbers, strings,
 * True, False, None, and lists, tuples, dicts and sets of these.  Whatever is
 * no literal is a text ("yes", "1.2.3", "0644").
 */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "inventory/inv.h"

#define LITERAL_DEPTH	50u

struct reader {
	struct arena	*arena;
	const char	*p, *end;
	unsigned	 depth;
};

static struct value *expression(struct reader *);

static void
blanks(struct reader *r)
{
	while (r->p < r->end && strchr(" \t\f\r\n", *r->p) != NULL)
		r->p++;
	if (r->p < r->end && *r->p == '#')
		r->p = r->end;
}

static bool
take(struct reader *r, char c)
{
	blanks(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* ---- strings ------------------------------------------------------------------ */

static bool
hex(struct reader *r, unsigned digits, struct buf *out)
{
	uint32_t c = 0;

	if ((size_t)(r->end - r->p) < digits ||
	    strspn(r->p, "0123456789abcdefABCDEF") < digits)
		return false;
	for (; digits > 0; digits--, r->p++)
		c = c << 4 | (uint32_t)(*r->p <= '9' ? *r->p - '0' :
		    (*r->p | 0x20) - 'a' + 10);
	utf8_encode(out, c);
	return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

/* Behind the backslash. False: no Python string (then all of it is a text). */
static bool
escape(struct reader *r, struct buf *out)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	const char *k;
	uint32_t c;
	char e;

	if (r->p == r->end)
		return false;
	e = *r->p++;
	if ((k = strchr(from, e)) != NULL && e != '\0') {
		buf_addc(out, to[k - from]);
		return true;
	}
	switch (e) {
	case 'x':
		return hex(r, 2, out);
	case 'u':
		return hex(r, 4, out);
	case 'U':
		return hex(r, 8, out);
	case 'N':
		return false;
	case '0': case '1': case '2': case '3':
	case '4': case '5': case '6': case '7':
		c = (uint32_t)(e - '0');
		for (int i = 0; i < 2 && r->p < r->end && *r->p >= '0' &&
		    *r->p <= '7'; i++)
			c = c << 3 | (uint32_t)(*r->p++ - '0');
		utf8_encode(out, c);
		return true;
	default:
		buf_addc(out, '\\');
		buf_addc(out, e);
		return true;
	}
}

/* One quoted piece, r->p on the quote. */
static bool
piece(struct reader *r, bool raw, struct buf *out)
{
	char q = *r->p;
	bool triple = r->end - r->p >= 3 && r->p[1] == q && r->p[2] == q;

	r->p += triple ? 3 : 1;
	while (r->p < r->end) {
		if (*r->p == q && !triple) {
			r->p++;
			return true;
		}
		if (*r->p == q && r->end - r->p >= 3 && r->p[1] == q &&
		    r->p[2] == q) {
			r->p += 3;
			return true;
		}
		if (*r->p != '\\') {
			buf_addc(out, *r->p++);
			continue;
		}
		r->p++;
		if (!raw) {
			if (!escape(r, out))
				return false;
		} else {
			buf_addc(out, '\\');
			if (r->p < r->end)
				buf_addc(out, *r->p++);
		}
	}
	return false;
}

/* r, u, b, br, rb in any case before a quote: their length and what they say. False: no string. */
static bool
prefix(const struct reader *r, size_t *ret_n, bool *ret_raw, bool *ret_bytes)
{
	const char *p = r->p;
	bool raw = false, bytes = false, unicode = false;

	for (; p < r->end && p - r->p < 3; p++) {
		if ((*p == 'r' || *p == 'R') && !raw)
			raw = true;
		else if ((*p == 'b' || *p == 'B') && !bytes)
			bytes = true;
		else if ((*p == 'u' || *p == 'U') && !unicode)
			unicode = true;
		else
			break;
	}
	*ret_n = (size_t)(p - r->p);
	*ret_raw = raw;
	*ret_bytes = bytes;
	return p < r->end && (*p == '"' || *p == '\'') && !(unicode && *ret_n > 1);
}

static struct value *
string(struct reader *r)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	bool raw, bytes, first = true, was_bytes = false;
	size_t n;

	while (prefix(r, &n, &raw, &bytes)) {
		if (!first && bytes != was_bytes)
			return NULL;
		was_bytes = bytes;
		first = false;
		r->p += n;
		if (!piece(r, raw, &out))
			return NULL;
		blanks(r);
	}
	for (size_t i = 0; was_bytes && i < out.len; i++)
		if ((unsigned char)out.data[i] >= 0x80)
			return NULL;
	return first ? NULL : v_strn(r->arena, buf_str(&out), out.len);
}

/* ---- numbers ------------------------------------------------------------------- */

/* Digits with single underscores between them: their count; 0 and an empty text when malformed. */
static size_t
digits(const char *p, const char *end, const char *set, char *out, size_t size)
{
	size_t n = 0;
	const char *start = p;

	out[0] = '\0';
	for (; p < end && (*p == '_' || (*p != '\0' && strchr(set, *p) != NULL)); p++) {
		if (*p == '_') {
			if (p == start || p[-1] == '_' || p + 1 == end ||
			    strchr(set, p[1]) == NULL) {
				out[0] = '\0';
				return 0;
			}
			continue;
		}
		if (n + 1 >= size) {
			out[0] = '\0';
			return 0;
		}
		out[n++] = *p;
	}
	out[n] = '\0';
	return (size_t)(p - start);
}

static struct value *
number(struct reader *r)
{
	static const char dec[] = "0123456789";
	char text[128];
	size_t n, len = 0;
	const char *p = r->p;
	bool is_float = false;
	int base = 10;
	char *end;
	long long i;

	if (r->end - p > 2 && p[0] == '0' && strchr("xXoObB", p[1]) != NULL) {
		base = (p[1] | 0x20) == 'x' ? 16 : (p[1] | 0x20) == 'o' ? 8 : 2;
		p += 2;
		if (*p == '_')
			p++;
		n = digits(p, r->end, base == 16 ? "0123456789abcdefABCDEF" :
		    base == 8 ? "01234567" : "01", text, sizeof(text));
		if (n == 0)
			return NULL;
		p += n;
	} else {
		n = digits(p, r->end, dec, text, sizeof(text) / 2);
		if (n == 0 && *p != '.')
			return NULL;
		p += n;
		len = n == 0 ? 0 : strlen(text);
		if (p < r->end && *p == '.') {
			is_float = true;
			text[len++] = *p++;
			p += digits(p, r->end, dec, text + len, sizeof(text) / 4);
			if (n == 0 && text[len] == '\0')
				return NULL;
			len += strlen(text + len);
		}
		if (p < r->end && (*p == 'e' || *p == 'E')) {
			is_float = true;
			text[len++] = *p++;
			if (p < r->end && (*p == '+' || *p == '-'))
				text[len++] = *p++;
			if ((n = digits(p, r->end, dec, text + len, 16)) == 0)
				return NULL;
			p += n;
		}
	}
	if (p < r->end && (is_name(*p) || *p == '.'))
		return NULL;
	if (is_float) {
		r->p = p;
		return v_float(r->arena, strtod(text, &end));
	}
	/* 0644 is no Python number; 00 is */
	if (base == 10 && text[0] == '0' && strspn(text, "0") != strlen(text))
		return NULL;
	errno = 0;
	i = strtoll(text, &end, base);
	if (errno != 0)
		return NULL;
	r->p = p;
	return v_int(r->arena, i);
}

/* ---- collections ---------------------------------------------------------------- */

/* The rest of a list or tuple behind its bracket. */
static struct value *
items(struct reader *r, char close, bool *ret_comma)
{
	struct value *list = v_list(r->arena), *v;

	*ret_comma = false;
	while (!take(r, close)) {
		if (v_count(list) > 0 && !*ret_comma)
			return NULL;
		if ((v = expression(r)) == NULL)
			return NULL;
		v_push(r->arena, list, v);
		*ret_comma = take(r, ',');
	}
	return list;
}

static struct value *
braces(struct reader *r)
{
	struct value *map = v_map(r->arena), *list = v_list(r->arena), *k, *v;
	bool comma = true, is_map = true;

	while (!take(r, '}')) {
		if (!comma || (k = expression(r)) == NULL || !v_hashable(k))
			return NULL;
		if (v_count(list) == 0 && v_count(map) == 0)
			is_map = *(blanks(r), r->p < r->end ? r->p : "") == ':';
		if (is_map) {
			if (!take(r, ':') || (v = expression(r)) == NULL)
				return NULL;
			v_set(r->arena, map, k, v);
		} else
			v_push(r->arena, list, k);
		comma = take(r, ',');
	}
	return is_map ? map : list;
}

static struct value *
word(struct reader *r)
{
	static const struct {
		const char	*text;
		enum vtype	 type;
		bool		 b;
	} words[] = {
		{ "True", V_BOOL, true }, { "False", V_BOOL, false },
		{ "None", V_NULL, false },
	};
	size_t n = 0;
	struct value *v;

	while (r->p + n < r->end && is_name(r->p[n]))
		n++;
	for (size_t i = 0; i < NITEMS(words); i++)
		if (strlen(words[i].text) == n &&
		    memcmp(words[i].text, r->p, n) == 0) {
			r->p += n;
			v = ARENA_NEW(r->arena, struct value);
			v->type = (uint8_t)words[i].type;
			v->u.b = words[i].b;
			return v;
		}
	return string(r);
}

static struct value *
signed_number(struct reader *r)
{
	bool minus = *r->p++ == '-';
	struct value *v;

	blanks(r);
	if (r->p == r->end || strchr("0123456789.", *r->p) == NULL)
		return NULL;
	v = number(r);
	if (v != NULL && minus && v->type == V_FLOAT)
		v->u.f = -v->u.f;
	else if (v != NULL && minus)
		v->u.i = -v->u.i;
	return v;
}

static struct value *
expression(struct reader *r)
{
	struct value *v = NULL;
	bool comma;

	blanks(r);
	if (r->p == r->end || r->depth > LITERAL_DEPTH)
		return NULL;
	r->depth++;
	switch (*r->p) {
	case '[':
		r->p++;
		v = items(r, ']', &comma);
		break;
	case '(':
		r->p++;
		if ((v = items(r, ')', &comma)) != NULL) {
			if (v_count(v) == 1 && !comma)	/* (x) is x */
				v = memcpy(ARENA_NEW(r->arena, struct value),
				    v_at(v, 0), sizeof(*v));
			else
				v->flags |= V_TUPLE;
		}
		break;
	case '{':
		r->p++;
		v = braces(r);
		break;
	case '+': case '-':
		v = signed_number(r);
		break;
	case '.': case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		v = number(r);
		break;
	default:
		v = word(r);
	}
	r->depth--;
	return v;
}

const struct value *
literal_value(struct arena *arena, const char *s, size_t n)
{
	struct reader r = { .arena = arena, .p = s, .end = s + n };
	struct value *v, *tuple;
	size_t lead = 0;

	while (lead < n && (s[lead] == ' ' || s[lead] == '\t'))
		lead++;
	r.p += lead;
	if (lead < n && memchr(s, '\0', n) == NULL &&
	    (v = expression(&r)) != NULL) {
		blanks(&r);
		if (r.p == r.end)
			return v;
		if (*r.p == ',') {	/* 1, 2 is a tuple */
			tuple = v_list(arena);
			tuple->flags |= V_TUPLE;
			v_push(arena, tuple, v);
			while (take(&r, ',')) {
				blanks(&r);
				if (r.p == r.end)
					break;
				if ((v = expression(&r)) == NULL)
					return v_strn(arena, s, n);
				v_push(arena, tuple, v);
			}
			blanks(&r);
			if (r.p == r.end)
				return tuple;
		}
	}
	return v_strn(arena, s, n);
}
