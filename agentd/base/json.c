/* JSON; see json.h. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

struct parser {
	struct arena		*arena;
	const struct source	*src;
	const char		*p, *end;
	struct err		*err;
	unsigned		 depth;
};

static const struct value *parse_value(struct parser *);

static const struct value *
fail(struct parser *ps, const char *what)
{
	struct mark at = { .src = ps->src, .line = 1, .len = 1 };
	const char *line = ps->src->text, *p;

	for (p = line; p < ps->p; p++) {
		if (*p == '\n') {
			at.line++;
			line = p + 1;
		}
	}
	at.col = (uint32_t)utf8_count(line, (size_t)(ps->p - line)) + 1;
	(void)err_set_at(ps->err, ERR_SYNTAX, at, "invalid JSON: %s", what);
	return NULL;
}

static void
blanks(struct parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t' ||
	    *ps->p == '\n' || *ps->p == '\r'))
		ps->p++;
}

static bool
take(struct parser *ps, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, word, n) != 0)
		return false;
	ps->p += n;
	return true;
}

static int
hex4(struct parser *ps, uint32_t *ret)
{
	unsigned i;

	for (*ret = 0, i = 0; i < 4; i++, ps->p++) {
		char c = ps->p < ps->end ? *ps->p : '\0';
		unsigned d;

		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			d = (unsigned)((c | 32) - 'a' + 10);
		else
			return -1;
		*ret = *ret << 4 | d;
	}
	return 0;
}

static int
escape(struct parser *ps, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t c, low;
	char e = ps->p < ps->end ? *ps->p++ : '\0';

	if (e != '\0' && (at = strchr(from, e)) != NULL) {
		buf_addc(out, to[at - from]);
		return 0;
	}
	if (e != 'u' || hex4(ps, &c) == -1)
		return -1;
	if (c >= 0xd800 && c < 0xdc00 && ps->end - ps->p >= 6 &&
	    ps->p[0] == '\\' && ps->p[1] == 'u') {
		const char *before = ps->p;

		ps->p += 2;
		if (hex4(ps, &low) == -1)
			return -1;
		if (low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			ps->p = before;
	}
	utf8_encode(out, c);	/* a lone surrogate becomes U+FFFD */
	return 0;
}

static const struct value *
parse_string(struct parser *ps)
{
	struct buf out = BUF_INIT;
	const char *start = ++ps->p;
	struct value *v;
	size_t n;

	while (ps->p < ps->end && *ps->p != '"' && *ps->p != '\\' &&
	    (unsigned char)*ps->p >= 0x20)
		ps->p++;
	n = (size_t)(ps->p - start);
	if (ps->p < ps->end && *ps->p == '"') {
		ps->p++;
		return v_strn(ps->arena, start, n);
	}
	buf_init(&out, (size_t)(ps->end - start) * 3 + 16);
	buf_add(&out, start, n);
	for (;;) {
		if (ps->p >= ps->end) {
			buf_release(&out);
			return fail(ps, "a string does not end");
		}
		if (*ps->p == '"')
			break;
		if ((unsigned char)*ps->p < 0x20) {
			buf_release(&out);
			return fail(ps, "a control character in a string");
		}
		if (*ps->p != '\\') {
			buf_addc(&out, *ps->p++);
			continue;
		}
		ps->p++;
		if (escape(ps, &out) == -1) {
			buf_release(&out);
			return fail(ps, "an invalid escape sequence");
		}
	}
	ps->p++;
	v = v_strn(ps->arena, buf_str(&out), out.len);
	buf_release(&out);
	return v;
}

static const struct value *
parse_number(struct parser *ps)
{
	const char *start = ps->p, *digits;
	bool is_float = false;
	char *text, *stop;
	long long i;

	if (ps->p < ps->end && *ps->p == '-')
		ps->p++;
	if (take(ps, "Infinity"))
		return v_float(ps->arena, *start == '-' ? -INFINITY : INFINITY);
	digits = ps->p;
	while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
		ps->p++;
	if (ps->p == digits || (*digits == '0' && ps->p - digits > 1))
		return fail(ps, "unexpected character");
	if (ps->p < ps->end && *ps->p == '.') {
		is_float = true;
		digits = ++ps->p;
		while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
			ps->p++;
		if (ps->p == digits)
			return fail(ps, "a number ends behind its point");
	}
	if (ps->p < ps->end && (*ps->p | 32) == 'e') {
		is_float = true;
		ps->p++;
		if (ps->p < ps->end && (*ps->p == '+' || *ps->p == '-'))
			ps->p++;
		digits = ps->p;
		while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9')
			ps->p++;
		if (ps->p == digits)
			return fail(ps, "a number ends behind its exponent");
	}
	text = arena_strndup(ps->arena, start, (size_t)(ps->p - start));
	if (!is_float) {
		errno = 0;
		i = strtoll(text, &stop, 10);
		if (errno == 0)
			return v_int(ps->arena, i);
	}
	return v_float(ps->arena, strtod(text, &stop));
}

static const struct value *
parse_list(struct parser *ps)
{
	struct value *list = v_list(ps->arena);

	ps->p++;
	blanks(ps);
	if (take(ps, "]"))
		return list;
	for (;;) {
		const struct value *v = parse_value(ps);

		if (v == NULL)
			return NULL;
		v_push(ps->arena, list, v);
		blanks(ps);
		if (take(ps, "]"))
			return list;
		if (!take(ps, ","))
			return fail(ps, "expected ',' or ']'");
	}
}

static const struct value *
parse_map(struct parser *ps)
{
	struct value *map = v_map(ps->arena);

	ps->p++;
	blanks(ps);
	if (take(ps, "}"))
		return map;
	for (;;) {
		const struct value *key, *v;

		blanks(ps);
		if (ps->p >= ps->end || *ps->p != '"')
			return fail(ps, "expected a string as key");
		if ((key = parse_string(ps)) == NULL)
			return NULL;
		blanks(ps);
		if (!take(ps, ":"))
			return fail(ps, "expected ':'");
		if ((v = parse_value(ps)) == NULL)
			return NULL;
		v_set(ps->arena, map, key, v);
		blanks(ps);
		if (take(ps, "}"))
			return map;
		if (!take(ps, ","))
			return fail(ps, "expected ',' or '}'");
	}
}

static const struct value *
parse_value(struct parser *ps)
{
	const struct value *v;

	blanks(ps);
	if (ps->p >= ps->end)
		return fail(ps, "it ends too early");
	switch (*ps->p) {
	case '{':
	case '[':
		if (++ps->depth > V_DEPTH_MAX)
			return fail(ps, "nested too deeply");
		v = *ps->p == '{' ? parse_map(ps) : parse_list(ps);
		ps->depth--;
		return v;
	case '"':
		return parse_string(ps);
	case 't':
		if (take(ps, "true"))
			return &v_true;
		break;
	case 'f':
		if (take(ps, "false"))
			return &v_false;
		break;
	case 'n':
		if (take(ps, "null"))
			return &v_null;
		break;
	case 'N':
		if (take(ps, "NaN"))
			return v_float(ps->arena, NAN);
		break;
	case 'I':
		if (take(ps, "Infinity"))
			return v_float(ps->arena, INFINITY);
		break;
	default:
		return parse_number(ps);
	}
	return fail(ps, "unexpected character");
}

const struct value *
json_parse(struct arena *a, const struct source *src, struct err *err)
{
	struct parser ps = { a, src, src->text, src->text + src->len, err, 0 };
	const struct value *v;
	size_t bad = utf8_bad(src->text, src->len);

	if (bad < src->len) {
		ps.p += bad;
		return fail(&ps, "invalid UTF-8");
	}
	if ((v = parse_value(&ps)) == NULL)
		return NULL;
	blanks(&ps);
	if (ps.p < ps.end)
		return fail(&ps, "something follows the value");
	return v;
}

const struct value *
json_parse_text(struct arena *a, const char *text, size_t len, struct err *err)
{
	struct source *src = ARENA_NEW(a, struct source);

	src->path = "<json>";
	src->text = text;
	src->len = len;
	return json_parse(a, src, err);
}

/* ---- writing -------------------------------------------------------------- */

void
format_double(struct buf *b, double f)
{
	char text[40], digits[24], *e;
	int prec, exponent, ndigits, i;
	const char *p;

	if (isnan(f)) {
		buf_adds(b, "nan");
		return;
	}
	if (isinf(f)) {
		buf_adds(b, f > 0 ? "inf" : "-inf");
		return;
	}
	/* The fewest digits that read back the same; programs here stay in the C locale for numbers. */
	for (prec = 0; prec < 17; prec++) {
		(void)snprintf(text, sizeof(text), "%.*e", prec, f);
		if (!(strtod(text, NULL) < f) && !(strtod(text, NULL) > f))
			break;
	}
	p = text;
	if (*p == '-') {
		buf_addc(b, '-');
		p++;
	}
	e = strchr(text, 'e');
	exponent = (int)strtol(e + 1, NULL, 10);
	for (ndigits = 0; p < e; p++)
		if (*p != '.')
			digits[ndigits++] = *p;
	while (ndigits > 1 && digits[ndigits - 1] == '0')
		ndigits--;
	if (exponent < -4 || exponent >= 16) {
		buf_addc(b, digits[0]);
		if (ndigits > 1) {
			buf_addc(b, '.');
			buf_add(b, digits + 1, (size_t)ndigits - 1);
		}
		buf_addf(b, "e%c%02d", exponent < 0 ? '-' : '+',
		    exponent < 0 ? -exponent : exponent);
	} else if (exponent < 0) {
		buf_adds(b, "0.");
		for (i = -1; i > exponent; i--)
			buf_addc(b, '0');
		buf_add(b, digits, (size_t)ndigits);
	} else {
		for (i = 0; i <= exponent; i++)
			buf_addc(b, i < ndigits ? digits[i] : '0');
		buf_addc(b, '.');
		if (ndigits <= exponent + 1)
			buf_addc(b, '0');
		else
			buf_add(b, digits + exponent + 1,
			    (size_t)(ndigits - exponent - 1));
	}
}

void
json_write_str(struct buf *b, const char *s, size_t n, unsigned flags)
{
	size_t i = 0, run = 0;

	buf_addc(b, '"');
	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		const char *esc = NULL;
		uint32_t code = 0;
		unsigned len = 1;

		if (c == '"')
			esc = "\\\"";
		else if (c == '\\')
			esc = "\\\\";
		else if (c < 0x20)
			esc = c == '\n' ? "\\n" : c == '\r' ? "\\r" :
			    c == '\t' ? "\\t" : c == '\b' ? "\\b" :
			    c == '\f' ? "\\f" : "";
		else if (c >= 0x80) {
			len = utf8_decode(s + i, n - i, &code);
			if (len == 0) {
				len = 1;
				code = 0xfffd;
				esc = "\xef\xbf\xbd";
			}
			if (flags & JSON_ASCII)
				esc = "";
		} else if (c == 0x7f && (flags & JSON_ASCII)) {
			/* Python leaves DEL alone. */
		}
		if (esc == NULL) {
			i += len;
			continue;
		}
		buf_add(b, s + run, i - run);
		if (*esc != '\0' && !(c >= 0x80 && (flags & JSON_ASCII)))
			buf_adds(b, esc);
		else if (c < 0x20)
			buf_addf(b, "\\u%04x", c);
		else if (code >= 0x10000)
			buf_addf(b, "\\u%04x\\u%04x",
			    0xd800 + ((code - 0x10000) >> 10),
			    0xdc00 + ((code - 0x10000) & 0x3ff));
		else
			buf_addf(b, "\\u%04x", code);
		i += len;
		run = i;
	}
	buf_add(b, s + run, i - run);
	buf_addc(b, '"');
}

static void write_value(struct buf *, const struct value *, unsigned flags,
	    unsigned level);

static void
newline(struct buf *b, unsigned flags, unsigned level)
{
	unsigned i;

	if (JSON_INDENT(flags) == 0)
		return;
	buf_addc(b, '\n');
	for (i = 0; i < level * JSON_INDENT(flags); i++)
		buf_addc(b, ' ');
}

static const char *
comma(unsigned flags)
{
	return JSON_INDENT(flags) != 0 || (flags & JSON_COMPACT) ? "," : ", ";
}

static void
write_key(struct buf *b, const struct value *key, unsigned flags)
{
	struct buf text = BUF_INIT;

	if (key->type == V_STR || key->type == V_TMPL) {
		json_write_str(b, key->u.s, key->len, flags);
		return;
	}
	write_value(&text, key, 0, 0);
	json_write_str(b, buf_str(&text), text.len, flags);
	buf_release(&text);
}

static int
key_cmp(const void *pa, const void *pb)
{
	const struct value *a = (*(const struct ventry *const *)pa)->key;
	const struct value *b = (*(const struct ventry *const *)pb)->key;
	size_t n;
	int c;

	if (a->type == V_STR && b->type == V_STR) {
		/* Byte order of UTF-8 is the order of code points. */
		n = a->len < b->len ? a->len : b->len;
		c = memcmp(a->u.s, b->u.s, n);
		return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
	}
	if (a->type == V_INT && b->type == V_INT)
		return (a->u.i > b->u.i) - (a->u.i < b->u.i);
	return a->type - b->type;
}

static void
write_map(struct buf *b, const struct value *v, unsigned flags, unsigned level)
{
	const struct ventry **order, *e;
	uint32_t n = 0, i, it;

	if (v->u.map->n == 0) {
		buf_adds(b, "{}");
		return;
	}
	order = xcalloc(v->u.map->n, sizeof(const struct ventry *));
	for (it = 0; (e = v_next(v, &it)) != NULL;)
		order[n++] = e;
	if (flags & JSON_SORT)
		qsort(order, n, sizeof(*order), key_cmp);
	buf_addc(b, '{');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_adds(b, comma(flags));
		newline(b, flags, level + 1);
		write_key(b, order[i]->key, flags);
		buf_adds(b, flags & JSON_COMPACT ? ":" : ": ");
		write_value(b, order[i]->val, flags, level + 1);
	}
	newline(b, flags, level);
	buf_addc(b, '}');
	free(order);
}

static void
write_value(struct buf *b, const struct value *v, unsigned flags, unsigned level)
{
	uint32_t i;

	if ((v->flags & V_SECRET) && (flags & JSON_CENSOR)) {
		buf_adds(b, "\"********\"");
		return;
	}
	switch (v->type) {
	case V_BOOL:
		buf_adds(b, v->u.b ? "true" : "false");
		break;
	case V_INT:
		buf_addf(b, "%lld", (long long)v->u.i);
		break;
	case V_FLOAT:
		if (isnan(v->u.f))
			buf_adds(b, "NaN");
		else if (isinf(v->u.f))
			buf_adds(b, v->u.f > 0 ? "Infinity" : "-Infinity");
		else
			format_double(b, v->u.f);
		break;
	case V_STR:
	case V_TMPL:
		json_write_str(b, v->u.s, v->len, flags);
		break;
	case V_LIST:
		if (v->u.list->n == 0) {
			buf_adds(b, "[]");
			break;
		}
		buf_addc(b, '[');
		for (i = 0; i < v->u.list->n; i++) {
			if (i > 0)
				buf_adds(b, comma(flags));
			newline(b, flags, level + 1);
			write_value(b, v->u.list->v[i], flags, level + 1);
		}
		newline(b, flags, level);
		buf_addc(b, ']');
		break;
	case V_MAP:
		write_map(b, v, flags, level);
		break;
	default:
		buf_adds(b, "null");
	}
}

void
json_write(struct buf *b, const struct value *v, unsigned flags)
{
	write_value(b, v, flags, 0);
}
