/*
 * 'text %s' % value and 'text {}'.format(value): Python's two languages of formatting.
 *
 * Both end in the same two functions for numbers and text.  Widths and
 * precisions are bounded, so that a format is no way to ask for gigabytes.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "template/eval.h"
#include "template/strformat.h"
#include "template/text.h"

#define WIDTH_MAX	(1024 * 1024)
#define PRECISION_MAX	400
#define NESTING_MAX	2

struct spec {
	char		 fill[5];
	unsigned	 fill_len;
	char		 align;		/* < > ^ = or 0 */
	char		 sign;		/* + - space or 0 */
	bool		 alt, zero;
	char		 group;		/* , _ or 0 */
	int64_t		 width;		/* 0: none */
	int64_t		 prec;		/* -1: none */
	char		 type;		/* 0: none */
};

/* ---- numbers and text by a spec ------------------------------------------------------------ */

static void
pad(struct buf *out, const struct spec *s, int64_t n)
{
	for (; n > 0; n--)
		buf_add(out, s->fill, s->fill_len);
}

/* Text in its field; prefix is a sign and 0x, which `=` puts in front of the fill. */
static void
put(struct buf *out, const struct spec *s, const char *prefix, const char *text, size_t len, char align)
{
	int64_t have = (int64_t)(utf8_count(text, len) + strlen(prefix));
	int64_t n = s->width > have ? s->width - have : 0, left;

	if (s->align != '\0')
		align = s->align;
	left = align == '>' ? n : align == '^' ? n / 2 : 0;
	pad(out, s, left);
	buf_adds(out, prefix);
	if (align == '=')
		pad(out, s, n);
	buf_add(out, text, len);
	if (align != '=')
		pad(out, s, n - left);
}

/* Digits with separators, every size from the right; with zeros in front up to the width, which are grouped too. */
static void
group_digits(struct buf *out, const char *digits, size_t n, const struct spec *s, unsigned size, size_t others)
{
	size_t i, total = n, want = s->zero && s->group != '\0' && s->width > (int64_t)others ?
	    (size_t)s->width - others : 0;

	if (s->group != '\0')
		while (total + (total - 1) / size < want)
			total++;
	for (i = 0; i < total; i++) {
		if (i > 0 && s->group != '\0' && (total - i) % size == 0)
			buf_addc(out, s->group);
		buf_addc(out, i < total - n ? '0' : digits[i - (total - n)]);
	}
}

static const char *
sign_text(const struct spec *s, bool negative)
{
	return negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
}

static void
put_int(struct buf *out, const struct spec *s, int64_t v, char type)
{
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char digits[72], prefix[8];
	struct buf b = BUF_INIT;
	size_t n = sizeof(digits);

	do {
		digits[--n] = (type == 'X' ? upper : lower)[u % base];
		u /= base;
	} while (u > 0);
	snprintf(prefix, sizeof(prefix), "%s%s", sign_text(s, v < 0),
	    !s->alt || base == 10 ? "" : base == 2 ? "0b" : base == 8 ? "0o" : type == 'X' ? "0X" : "0x");
	group_digits(&b, digits + n, sizeof(digits) - n, s, base == 10 ? 3 : 4, strlen(prefix));
	put(out, s, prefix, buf_str(&b), b.len, s->zero ? '=' : '>');
	buf_release(&b);
}

/* A float's digits without sign; type as in C, with Python's rules for none. */
static void
float_digits(struct buf *b, double f, char type, int64_t prec, bool alt)
{
	char fmt[16], text[PRECISION_MAX + 400];

	if (isnan(f) || isinf(f)) {
		buf_adds(b, isnan(f) ? (type == 'F' || type == 'E' || type == 'G' ? "NAN" : "nan") :
		    type == 'F' || type == 'E' || type == 'G' ? "INF" : "inf");
		return;
	}
	if (type == '\0' && prec < 0) {
		format_double(b, f);
		return;
	}
	snprintf(fmt, sizeof(fmt), "%%%s.*%c", alt ? "#" : "", type == '\0' ? 'g' : type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, (int)(prec < 0 ? 6 : prec), f);
#pragma GCC diagnostic pop
	buf_adds(b, text);
	if (type == '\0' && strpbrk(text, ".en") == NULL)
		buf_adds(b, ".0");
}

static void
put_float(struct buf *out, const struct spec *s, double f, char type)
{
	struct buf d = BUF_INIT, b = BUF_INIT;
	bool negative = signbit(f) && !isnan(f);
	char kind = type == '%' ? 'f' : type == 'n' ? 'g' : type;
	size_t whole;

	float_digits(&d, type == '%' ? fabs(f) * 100 : fabs(f), kind, s->prec, s->alt);
	buf_str(&d);
	whole = strspn(d.data, "0123456789");
	if (whole > 0)
		group_digits(&b, d.data, whole, s, 3, strlen(sign_text(s, negative)) + d.len - whole + (type == '%'));
	buf_adds(&b, d.data + whole);
	if (type == '%')
		buf_addc(&b, '%');
	put(out, s, sign_text(s, negative), buf_str(&b), b.len, s->zero ? '=' : '>');
	buf_release(&d);
	buf_release(&b);
}

static void
put_text(struct buf *out, const struct spec *s, const char *text, size_t len)
{
	if (s->prec >= 0)
		len = utf8_offset(text, len, (size_t)s->prec);
	put(out, s, "", text, len, '<');
}

/* ---- % ------------------------------------------------------------------------------------------ */

struct percent {
	struct eval		*ev;
	struct buf		 out;
	const struct value	*arg;
	uint32_t		 used;		/* of a tuple */
	bool			 by_name;
	bool			 markup;
};

static const struct value *
next_arg(struct percent *p)
{
	bool tuple = p->arg->type == V_LIST && (p->arg->flags & V_TUPLE);

	if (p->by_name)
		return p->arg;
	if (tuple ? p->used >= p->arg->u.list->n : p->used > 0)
		return ev_error(p->ev, ERR_TYPE, "not enough arguments for format string");
	p->used++;
	return tuple ? ev_resolve(p->ev, p->arg->u.list->v[p->used - 1], NULL) : p->arg;
}

/* A number of digits, or `*`: the next argument. */
static bool
percent_number(struct percent *p, const char **s, const char *end, int64_t *ret)
{
	const struct value *v;

	if (*s < end && **s == '*') {
		(*s)++;
		if ((v = next_arg(p)) == NULL)
			return false;
		if (v->type != V_INT && v->type != V_BOOL) {
			ev_error(p->ev, ERR_TYPE, "* wants int");
			return false;
		}
		*ret = v->type == V_INT ? v->u.i : v->u.b;
	} else
		for (*ret = 0; *s < end && **s >= '0' && **s <= '9' && *ret <= WIDTH_MAX; (*s)++)
			*ret = *ret * 10 + (**s - '0');
	if (*ret > WIDTH_MAX || *ret < -WIDTH_MAX) {
		ev_error(p->ev, ERR_LIMIT, "a width of more than %d characters", WIDTH_MAX);
		return false;
	}
	return true;
}

static bool
percent_text(struct percent *p, const struct spec *s, const struct value *v, char type)
{
	struct buf b = BUF_INIT, e = BUF_INIT;
	bool ok = false;

	if ((v = ev_final(p->ev, v, FINAL_DEEP | FINAL_TUPLES)) == NULL)
		return false;
	if (type == 's' ? !ev_str(p->ev, &b, v) : (tmpl_repr(&b, v), false))
		goto out;
	if (p->markup && !v_is_markup(v)) {
		tmpl_escape(&e, buf_str(&b), b.len);
		put_text(&p->out, s, buf_str(&e), e.len);
	} else
		put_text(&p->out, s, buf_str(&b), b.len);
	ok = true;
out:
	buf_release(&b);
	buf_release(&e);
	return ok;
}

static bool
percent_char(struct percent *p, const struct spec *s, const struct value *v)
{
	struct buf b = BUF_INIT;

	if (v->type == V_STR && utf8_count(v->u.s, v->len) == 1)
		buf_add(&b, v->u.s, v->len);
	else if (v->type == V_BOOL || (v->type == V_INT && v->u.i >= 0 && v->u.i <= 0x10ffff))
		utf8_encode(&b, v->type == V_BOOL ? v->u.b : (uint32_t)v->u.i);
	else {
		ev_error(p->ev, ERR_TYPE, "%%c requires int or char");
		return false;
	}
	put(&p->out, s, "", buf_str(&b), b.len, '>');
	buf_release(&b);
	return true;
}

static bool
percent_int(struct percent *p, struct spec *s, const struct value *v, char type)
{
	struct buf digits = BUF_INIT;
	int64_t i;

	if (v->type == V_FLOAT && (type == 'd' || type == 'i' || type == 'u')) {
		if (isnan(v->u.f) || fabs(v->u.f) >= 9.2e18) {
			ev_error(p->ev, ERR_VALUE, isfinite(v->u.f) ? "integer overflow: numbers beyond 64 bits "
			    "are not supported" : "cannot convert float infinity or NaN to integer");
			return false;
		}
		i = (int64_t)v->u.f;
	} else if (v->type == V_INT || v->type == V_BOOL)
		i = v->type == V_INT ? v->u.i : v->u.b;
	else {
		ev_error(p->ev, ERR_TYPE, "%%%c format: a%s number is required, not %s", type,
		    strchr("oxX", type) != NULL ? "n integer" : " real", tmpl_py_type(v));
		return false;
	}
	if (s->prec >= 0) {	/* at least so many digits */
		struct spec d = { .fill = "0", .fill_len = 1, .width = s->prec, .prec = -1 };
		char prefix[8];

		put_int(&digits, &d, i < 0 && i > INT64_MIN ? -i : i, type);
		snprintf(prefix, sizeof(prefix), "%s%s", sign_text(s, i < 0), !s->alt ? "" :
		    type == 'o' ? "0o" : type == 'x' ? "0x" : type == 'X' ? "0X" : "");
		put(&p->out, s, prefix, buf_str(&digits), digits.len, s->zero ? '=' : '>');
		buf_release(&digits);
	} else
		put_int(&p->out, s, i, type);
	return true;
}

static bool
percent_one(struct percent *p, struct spec *s, char type)
{
	const struct value *v = next_arg(p);

	if (v == NULL || ev_force(p->ev, v) == NULL)
		return false;
	switch (type) {
	case 's':
	case 'r':
	case 'a':
		if (s->align == '\0')
			s->align = '>';
		if (s->zero)
			s->fill[0] = ' ';
		return percent_text(p, s, v, type);
	case 'c':
		s->fill[0] = ' ';
		return percent_char(p, s, v);
	case 'd':
	case 'i':
	case 'u':
	case 'o':
	case 'x':
	case 'X':
		return percent_int(p, s, v, type);
	case 'e':
	case 'E':
	case 'f':
	case 'F':
	case 'g':
	case 'G':
		if (v->type != V_FLOAT && v->type != V_INT && v->type != V_BOOL) {
			ev_error(p->ev, ERR_TYPE, "must be real number, not %s", tmpl_py_type(v));
			return false;
		}
		put_float(&p->out, s, v->type == V_FLOAT ? v->u.f : (double)(v->type == V_INT ? v->u.i : v->u.b), type);
		return true;
	default:
		ev_error(p->ev, ERR_VALUE, "unsupported format character '%c'", type);
		return false;
	}
}

/* From behind the percent sign. */
static bool
percent_spec(struct percent *p, const char **at, const char *end)
{
	struct spec s = { .fill = " ", .fill_len = 1, .prec = -1 };
	const struct value *map = p->arg, *key;
	const char *name, *start = *at;
	bool named = false, ok;
	unsigned depth = 1;

	if (*at < end && **at == '(') {
		for (name = ++*at; *at < end && depth > 0; (*at)++)
			depth += **at == '(' ? 1u : **at == ')' ? -1u : 0u;
		if (depth > 0) {
			ev_error(p->ev, ERR_VALUE, "incomplete format key");
			return false;
		}
		if (map->type != V_MAP) {
			ev_error(p->ev, ERR_TYPE, "format requires a mapping");
			return false;
		}
		key = v_strn(&p->ev->scratch, name, (size_t)(*at - 1 - name));
		if ((key = v_get(map, key)) == NULL) {
			ev_error(p->ev, ERR_VALUE, "'%.*s' is not in the mapping", (int)(*at - 1 - name), name);
			return false;
		}
		if ((p->arg = ev_resolve(p->ev, key, NULL)) == NULL)
			return false;
		p->by_name = named = true;
	}
	for (; *at < end && strchr("#0- +", **at) != NULL && **at != '\0'; (*at)++) {
		if (**at == '#')
			s.alt = true;
		else if (**at == '0')
			s.zero = true;
		else if (**at == '-')
			s.align = '<';
		else if (s.sign != '+')
			s.sign = **at;
	}
	if (!percent_number(p, at, end, &s.width))
		return false;
	if (s.width < 0) {
		s.width = -s.width;
		s.align = '<';
	}
	if (*at < end && **at == '.') {
		(*at)++;
		if (!percent_number(p, at, end, &s.prec))
			return false;
		if (s.prec < 0)
			s.prec = 0;
	}
	while (*at < end && (**at == 'h' || **at == 'l' || **at == 'L'))
		(*at)++;
	if (*at >= end) {
		ev_error(p->ev, ERR_VALUE, "incomplete format");
		return false;
	}
	if (s.align == '<')
		s.zero = false;
	if (s.zero)
		s.fill[0] = '0';
	if (**at == '%') {
		/* With anything between the two it takes an argument all the same. */
		ok = *at == start || next_arg(p) != NULL;
		buf_addc(&p->out, '%');
	} else {
		if (strchr("eEfFgG", **at) != NULL && s.prec > PRECISION_MAX)
			s.prec = PRECISION_MAX;
		ok = percent_one(p, &s, **at);
	}
	(*at)++;
	if (named)
		p->arg = map;
	p->by_name = p->by_name && !named ? true : named;
	return ok;
}

const struct value *
str_percent(struct eval *ev, const struct value *fmt, const struct value *arg)
{
	struct percent p = { .ev = ev, .arg = arg, .out = ev_buf(ev), .markup = v_is_markup(fmt) };
	const char *s = fmt->u.s, *end = s + fmt->len, *next;
	const struct value *r = NULL;
	bool tuple = arg->type == V_LIST && (arg->flags & V_TUPLE), any_name = false;

	while (s < end) {
		if ((next = memchr(s, '%', (size_t)(end - s))) == NULL)
			next = end;
		buf_add(&p.out, s, (size_t)(next - s));
		s = next;
		if (s >= end)
			break;
		s++;
		p.by_name = false;
		any_name = any_name || (s < end && *s == '(');
		if (!percent_spec(&p, &s, end))
			goto out;
	}
	/* What could be a mapping may go unused. */
	if (!any_name && (tuple ? p.used < arg->u.list->n : p.used == 0 && arg->type != V_MAP &&
	    arg->type != V_LIST && arg->type != V_UNDEF &&
	    (arg->type != V_OBJ || v_obj_ops(arg)->item == NULL))) {
		ev_error(ev, ERR_TYPE, "not all arguments converted during string formatting");
		goto out;
	}
	if (!ev_overflow(ev, &p.out)) {
		r = v_strn(&ev->scratch, buf_str(&p.out), p.out.len);
		if (p.markup)
			r = v_markup(&ev->scratch, r->u.s, r->len);
	}
out:
	ev_buf_done(ev, &p.out);
	return r;
}

/* ---- str.format() -------------------------------------------------------------------------------- */

struct format {
	struct eval		*ev;
	const struct value     **args;
	uint32_t		 nargs;
	const struct value	*kw;
	uint32_t		 next;		/* automatic numbering */
	bool			 automatic, manual;
	bool			 markup;
};

static bool	 format_into(struct format *, struct buf *, const char *, size_t, unsigned depth);

static bool
all_digits(const char *s, size_t n)
{
	return n > 0 && n < 10 && strspn(s, "0123456789") >= n;
}

/* The first part of a field's name: a number, a keyword, or nothing for the next argument. */
static const struct value *
field_root(struct format *f, const char *s, size_t n)
{
	const struct value *v;
	uint32_t i;

	if (n == 0 || all_digits(s, n)) {
		f->automatic = f->automatic || n == 0;
		f->manual = f->manual || n > 0;
		if (f->automatic && f->manual)
			return ev_error(f->ev, ERR_VALUE, "cannot switch between manual field specification "
			    "and automatic field numbering");
		i = n == 0 ? f->next++ : (uint32_t)strtoul(s, NULL, 10);
		if (i >= f->nargs)
			return ev_error(f->ev, ERR_VALUE, "Replacement index %u out of range for positional args tuple", i);
		return f->args[i];
	}
	v = f->kw == NULL ? NULL : v_getn(f->kw, s, n, v_hash_str(s, n));
	if (v == NULL)
		return ev_error(f->ev, ERR_VALUE, "'%.*s' is no argument of format()", (int)n, s);
	return ev_resolve(f->ev, v, NULL);
}

static const struct value *
field_attr(struct eval *ev, const struct value *v, const char *s, size_t n)
{
	const struct value *r;

	if (n == 9 && memcmp(s, "__class__", 9) == 0)
		return v_strf(&ev->scratch, "<class '%s'>", tmpl_py_type(v));
	if (v->type == V_OBJ && v_obj_ops(v)->attr != NULL &&
	    ((r = v_obj_ops(v)->attr(ev, v, s, n)) != NULL || ev->err->code != ERR_NONE))
		return r;
	return ev_error(ev, ERR_TYPE, "'%s' object has no attribute '%.*s'", tmpl_py_type(v), (int)n, s);
}

static const struct value *
field_index(struct eval *ev, const struct value *v, const char *s, size_t n)
{
	const struct value *key = all_digits(s, n) ? v_int(&ev->scratch, strtoll(s, NULL, 10)) : v_strn(&ev->scratch, s, n);
	const struct value *r = NULL;

	if (v->type == V_MAP)
		r = v_get(v, key);
	else if (key->type == V_INT) {
		r = ev_item(ev, v, key);
		if (r != NULL && r->type == V_UNDEF)
			r = NULL;
		if (r == NULL)
			err_release(ev->err);
	}
	if (r == NULL)
		return ev_error(ev, ERR_VALUE, "format(): no element '%.*s'", (int)n, s);
	return ev_resolve(ev, r, NULL);
}

static const struct value *
field_value(struct format *f, const char *s, size_t len)
{
	const char *end = s + len, *p = s, *q;
	const struct value *v;

	while (p < end && *p != '.' && *p != '[')
		p++;
	v = field_root(f, s, (size_t)(p - s));
	while (v != NULL && p < end) {
		if (*p == '.') {
			for (q = ++p; q < end && *q != '.' && *q != '['; q++)
				;
			v = q == p ? ev_error(f->ev, ERR_VALUE, "Empty attribute in format string") :
			    field_attr(f->ev, v, p, (size_t)(q - p));
			p = q;
		} else if (*p == '[') {
			if ((q = memchr(p, ']', (size_t)(end - p))) == NULL)
				return ev_error(f->ev, ERR_VALUE, "Missing ']' in format string");
			v = field_index(f->ev, v, p + 1, (size_t)(q - p - 1));
			p = q + 1;
		} else
			return ev_error(f->ev, ERR_VALUE, "Only '.' or '[' may follow ']' in format field specifier");
	}
	return v;
}

static bool
spec_number(const char **s, const char *end, int64_t *ret)
{
	bool any = false;

	for (; *s < end && **s >= '0' && **s <= '9'; (*s)++, any = true)
		if (*ret <= WIDTH_MAX)
			*ret = *ret * 10 + (**s - '0');
	return any;
}

static bool
parse_spec(struct eval *ev, const char *s, size_t len, struct spec *sp)
{
	const char *end = s + len;
	uint32_t cp;
	unsigned n = len > 0 ? utf8_decode(s, len, &cp) : 0;
	bool filled = false;

	*sp = (struct spec){ .fill = " ", .fill_len = 1, .prec = -1 };
	if (n > 0 && n < len && strchr("<>=^", s[n]) != NULL && s[n] != '\0') {
		memcpy(sp->fill, s, n);
		sp->fill_len = n;
		sp->align = s[n];
		s += n + 1;
		filled = true;
	} else if (s < end && *s != '\0' && strchr("<>=^", *s) != NULL)
		sp->align = *s++;
	if (s < end && (*s == '+' || *s == '-' || *s == ' '))
		sp->sign = *s++;
	if (s < end && *s == '#') {
		sp->alt = true;
		s++;
	}
	if (s < end && *s == '0') {
		s++;
		if (!filled) {
			sp->zero = sp->align == '\0' || sp->align == '=';
			sp->fill[0] = '0';
		}
	}
	spec_number(&s, end, &sp->width);
	if (s < end && (*s == ',' || *s == '_'))
		sp->group = *s++;
	if (s < end && *s == '.') {
		s++;
		sp->prec = 0;
		if (!spec_number(&s, end, &sp->prec)) {
			ev_error(ev, ERR_VALUE, "Format specifier missing precision");
			return false;
		}
	}
	if (s < end)
		sp->type = *s++;
	if (s < end) {
		ev_error(ev, ERR_VALUE, "Invalid format specifier");
		return false;
	}
	if (sp->align == '=' && sp->fill_len == 1 && sp->fill[0] == '0')
		sp->zero = true;
	if (sp->group != '\0' && sp->type != '\0' &&
	    strchr(sp->group == ',' ? "bcnosxX" : "cns", sp->type) != NULL) {
		ev_error(ev, ERR_VALUE, "Cannot specify '%c' with '%c'.", sp->group, sp->type);
		return false;
	}
	if (sp->width > WIDTH_MAX || sp->prec > WIDTH_MAX) {
		ev_error(ev, ERR_LIMIT, "a width of more than %d characters", WIDTH_MAX);
		return false;
	}
	return true;
}

static bool
unknown_code(struct eval *ev, char type, const struct value *v)
{
	ev_error(ev, ERR_VALUE, "Unknown format code '%c' for object of type '%s'", type, tmpl_py_type(v));
	return false;
}

static bool
format_value(struct eval *ev, struct buf *out, const struct value *v, const char *s, size_t len)
{
	struct buf b = BUF_INIT;
	struct spec sp;
	char t;
	bool ok;

	if (len > 0 && v->type == V_OBJ) {
		const struct value *fmt = v_strn(&ev->scratch, s, len);
		const struct tfilter *row = ev_find_method(v, "strftime", 8);
		struct targs args = { &fmt, 1, NULL };

		if (row != NULL) {
			if ((v = ev_method(ev, v, row, &args)) == NULL)
				return false;
			buf_add(out, v->u.s, v->len);
			return true;
		}
	}
	if (!parse_spec(ev, s, len, &sp))
		return false;
	t = sp.type;
	if ((v->type == V_LIST || v->type == V_MAP || v->type == V_NULL || v->type == V_OBJ) && len > 0) {
		ev_error(ev, ERR_TYPE, "unsupported format string passed to %s.__format__", tmpl_py_type(v));
		return false;
	}
	if (v->type == V_FLOAT || ((v->type == V_INT || v->type == V_BOOL) && t != '\0' && strchr("eEfFgG%", t) != NULL)) {
		if (t != '\0' && strchr("eEfFgGn%", t) == NULL)
			return unknown_code(ev, t, v);
		if (sp.prec > PRECISION_MAX)
			sp.prec = PRECISION_MAX;
		put_float(out, &sp, v->type == V_FLOAT ? v->u.f : (double)(v->type == V_INT ? v->u.i : v->u.b), t);
		return true;
	}
	if (v->type == V_INT || (v->type == V_BOOL && len > 0 && t != 's')) {
		if (t == 'c') {
			if (sp.prec >= 0 || sp.sign != '\0' || sp.alt) {
				ev_error(ev, ERR_VALUE, "no sign, precision or # with format code 'c'");
				return false;
			}
			utf8_encode(&b, v->type == V_INT ? (uint32_t)v->u.i : v->u.b);
			put(out, &sp, "", buf_str(&b), b.len, '<');
			buf_release(&b);
			return true;
		}
		if (t != '\0' && strchr("bdnoxX", t) == NULL)
			return unknown_code(ev, t, v);
		if (sp.prec >= 0) {
			ev_error(ev, ERR_VALUE, "Precision not allowed in integer format specifier");
			return false;
		}
		put_int(out, &sp, v->type == V_INT ? v->u.i : v->u.b, t == 'n' ? 'd' : t);
		return true;
	}
	if (t != '\0' && t != 's')
		return unknown_code(ev, t, v);
	if (sp.align == '=' || sp.sign != '\0' || sp.group != '\0' || sp.alt) {
		ev_error(ev, ERR_VALUE, "that alignment, sign or grouping is not allowed for strings");
		return false;
	}
	ok = ev_str(ev, &b, v);
	if (ok)
		put_text(out, &sp, buf_str(&b), b.len);
	buf_release(&b);
	return ok;
}

/* One {field}: from behind the brace to its end. */
static bool
format_field(struct format *f, struct buf *out, const char *s, size_t len, unsigned depth)
{
	const char *end = s + len, *name_end = s, *spec;
	struct buf b = BUF_INIT, conv = BUF_INIT, text = BUF_INIT;
	const struct value *v;
	char conversion = '\0';
	bool ok = false, bracket = false;

	for (; name_end < end && (bracket || (*name_end != '!' && *name_end != ':')); name_end++)
		bracket = *name_end == '[' || (bracket && *name_end != ']');
	if ((v = field_value(f, s, (size_t)(name_end - s))) == NULL || ev_force(f->ev, v) == NULL ||
	    (v = ev_final(f->ev, v, FINAL_DEEP | FINAL_TUPLES)) == NULL)
		return false;
	spec = name_end;
	if (spec < end && *spec == '!') {
		if (spec + 1 >= end || strchr("rsa", spec[1]) == NULL) {
			ev_error(f->ev, ERR_VALUE, "Unknown conversion specifier");
			return false;
		}
		conversion = spec[1];
		spec += 2;
		if (spec < end && *spec != ':') {
			ev_error(f->ev, ERR_VALUE, "expected ':' after conversion specifier");
			return false;
		}
	}
	if (spec < end)
		spec++;
	if (conversion == 's') {
		if (!ev_str(f->ev, &conv, v))
			goto out;
	} else if (conversion != '\0')
		tmpl_repr(&conv, v);
	if (conversion != '\0')
		v = v_strn(&f->ev->scratch, buf_str(&conv), conv.len);
	if (!format_into(f, &b, spec, (size_t)(end - spec), depth + 1) ||
	    !format_value(f->ev, &text, v, buf_str(&b), b.len))
		goto out;
	if (f->markup && !v_is_markup(v))
		tmpl_escape(out, buf_str(&text), text.len);
	else
		buf_add(out, text.data, text.len);
	ok = true;
out:
	buf_release(&b);
	buf_release(&conv);
	buf_release(&text);
	return ok;
}

static bool
format_into(struct format *f, struct buf *out, const char *s, size_t len, unsigned depth)
{
	const char *end = s + len, *start;
	unsigned open;

	if (depth > NESTING_MAX) {
		ev_error(f->ev, ERR_VALUE, "Max string recursion exceeded");
		return false;
	}
	for (; s < end; s++) {
		if (*s != '{' && *s != '}') {
			buf_addc(out, *s);
			continue;
		}
		if (depth == 0 && s + 1 < end && s[1] == *s) {
			buf_addc(out, *s++);
			continue;
		}
		if (*s == '}') {
			ev_error(f->ev, ERR_VALUE, "Single '}' encountered in format string");
			return false;
		}
		for (start = ++s, open = 1; s < end; s++) {
			open += *s == '{' ? 1u : *s == '}' ? -1u : 0u;
			if (open == 0)
				break;
		}
		if (s >= end) {
			ev_error(f->ev, ERR_VALUE, start >= end ? "Single '{' encountered in format string" :
			    "expected '}' before end of string");
			return false;
		}
		if (!format_field(f, out, start, (size_t)(s - start), depth))
			return false;
		if (ev_overflow(f->ev, out) || !ev_step(f->ev))
			return false;
	}
	return true;
}

const struct value *
str_format(struct eval *ev, const struct value *fmt, const struct value **args, uint32_t nargs,
    const struct value *kw)
{
	struct format f = { .ev = ev, .args = args, .nargs = nargs, .kw = kw, .markup = v_is_markup(fmt) };
	struct buf out = { .max = TMPL_OUTPUT_MAX };
	const struct value *r = NULL;

	if (format_into(&f, &out, fmt->u.s, fmt->len, 0) && !ev_overflow(ev, &out))
		r = f.markup ? v_markup(&ev->scratch, buf_str(&out), out.len) :
		    v_strn(&ev->scratch, buf_str(&out), out.len);
	buf_release(&out);
	return r;
}
