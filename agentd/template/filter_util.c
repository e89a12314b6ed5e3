/*
 * Helpers that several families of filters share: see filter_util.h.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/unidata.h"

bool
fu_undef(struct tcall *c, const struct value *v)
{
	terr(c, ERR_UNDEFINED, "%s", v->u.s != NULL ? v->u.s : "the value is undefined");
	return false;
}

bool
fu_text(struct tcall *c, const struct value *v, const char **s, size_t *len)
{
	if (v->type != V_STR) {
		v = tcall_str(c, v);
		if (v == NULL)
			return false;
	}
	*s = v->u.s;
	*len = v->len;
	return true;
}

bool
fu_str(struct tcall *c, const struct value *v, const char **s, size_t *len)
{
	if (v->type == V_UNDEF)
		return fu_undef(c, v);
	if (v->type != V_STR) {
		terr(c, ERR_TYPE, "%s: expected str, not %s", c->name, tmpl_py_type(v));
		return false;
	}
	*s = v->u.s;
	*len = v->len;
	return true;
}

const struct value *
fu_strn(struct tcall *c, const char *s, size_t len)
{
	return v_strn(c->arena, s, len);
}

const struct value *
fu_result(struct tcall *c, struct buf *b)
{
	const struct value *v;

	if (buf_overflowed(b))
		v = terr(c, ERR_LIMIT, "%s: the result is larger than %zu bytes", c->name,
		    b->max != 0 ? b->max : BUF_MAX_DEFAULT);
	else
		v = v_strn(c->arena, b->len > 0 ? b->data : "", b->len);
	tcall_buf_done(c, b);
	return v;
}

bool
fu_is_int(const struct value *v, int64_t *ret)
{
	if (v->type == V_INT)
		*ret = v->u.i;
	else if (v->type == V_BOOL)
		*ret = v->u.b;
	else
		return false;
	return true;
}

bool
fu_is_num(const struct value *v, double *ret)
{
	int64_t i;

	if (v->type == V_FLOAT)
		*ret = v->u.f;
	else if (fu_is_int(v, &i))
		*ret = (double)i;
	else
		return false;
	return true;
}

void
fu_strip(const char **s, size_t *len)
{
	uint32_t c;
	unsigned n;
	size_t k;

	while (*len > 0 && (n = utf8_decode(*s, *len, &c)) > 0 && uni_space(c)) {
		*s += n;
		*len -= n;
	}
	while (*len > 0) {
		for (k = *len - 1; k > 0 && ((unsigned char)(*s)[k] & 0xc0) == 0x80; k--)
			continue;
		if (utf8_decode(*s + k, *len - k, &c) == 0 || !uni_space(c))
			break;
		*len = k;
	}
}

/* Digits of any script as ASCII, underscores between digits dropped. false: not a number's text. */
static bool
ascii_number(const char *s, size_t len, struct buf *out)
{
	const char *end = s + len;
	bool digit = false;
	uint32_t c;
	unsigned n;
	int d;

	while (s < end) {
		n = utf8_decode(s, (size_t)(end - s), &c);
		if (n == 0)
			return false;
		s += n;
		if (c == '_') {
			if (!digit || s == end || (!isalnum((unsigned char)*s) &&
			    ((unsigned char)*s & 0x80) == 0))
				return false;
			digit = false;
			continue;
		}
		d = uni_decimal(c);
		digit = d >= 0 || (c < 0x80 && isalnum((int)c));
		if (d >= 0)
			buf_addc(out, (char)('0' + d));
		else if (c < 0x80)
			buf_addc(out, (char)c);
		else
			return false;
	}
	return true;
}

int
fu_parse_int(const char *s, size_t len, int base, int64_t *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	bool neg = false, big = false, zero_only = false;
	uint64_t n = 0;
	const char *p;
	int d;

	fu_strip(&s, &len);
	if (len == 0 || len > 100000)
		return 0;
	if (*s == '-' || *s == '+') {
		neg = *s == '-';
		s++;
		len--;
	}
	if (len > 2 && *s == '0' && (base == 0 || base == 16 || base == 8 || base == 2)) {
		d = s[1] | 0x20;
		if ((d == 'x' && (base == 0 || base == 16)) ||
		    (d == 'o' && (base == 0 || base == 8)) ||
		    (d == 'b' && (base == 0 || base == 2))) {
			base = d == 'x' ? 16 : d == 'o' ? 8 : 2;
			s += 2;
			len -= 2;
			if (*s == '_') {	/* 0x_1f is allowed */
				s++;
				len--;
			}
		}
	}
	if (base == 0) {
		base = 10;
		zero_only = len > 1 && *s == '0';
	}
	if (len == 0 || !ascii_number(s, len, &b) || b.len == 0)
		return 0;
	for (p = buf_str(&b); *p != '\0'; p++) {
		d = isdigit((unsigned char)*p) ? *p - '0' :
		    isalpha((unsigned char)*p) ? (*p | 0x20) - 'a' + 10 : 99;
		if (d >= base || (zero_only && d != 0))
			return 0;
		if (__builtin_mul_overflow(n, (uint64_t)base, &n) ||
		    __builtin_add_overflow(n, (uint64_t)d, &n))
			big = true;
	}
	if (memchr(b.data, '\0', b.len) != NULL)
		return 0;
	if (big || n > (uint64_t)INT64_MAX + (neg ? 1 : 0))
		return -1;
	*ret = neg ? (int64_t)(0 - n) : (int64_t)n;
	return 1;
}

int
fu_parse_float(const char *s, size_t len, double *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *p;
	char *end;
	size_t n;

	fu_strip(&s, &len);
	if (len == 0 || len > 100000 || !ascii_number(s, len, &b) ||
	    memchr(b.data, '\0', b.len) != NULL)
		return 0;
	p = buf_str(&b);
	if (*p == '+' || *p == '-')
		p++;
	n = strlen(p);
	if (strcasecmp(p, "inf") != 0 && strcasecmp(p, "infinity") != 0 &&
	    strcasecmp(p, "nan") != 0 && strspn(p, "0123456789.eE+-") != n)
		return 0;
	*ret = strtod(buf_str(&b), &end);
	return *end == '\0' && end != b.data;
}

int
fu_float_int(double f, int64_t *ret)
{
	if (isnan(f) || f >= 9223372036854775808.0 || f < -9223372036854775808.0)
		return 0;
	*ret = (int64_t)f;
	return 1;
}

bool
fu_given(const struct tcall *c, uint32_t i)
{
	return i < c->na && c->a[i] != NULL && c->a[i]->type != V_NULL;
}

bool
fu_arg_text(struct tcall *c, uint32_t i, const char *def, const char **s, size_t *len)
{
	if (i >= c->na || c->a[i] == NULL) {
		*s = def;
		*len = def != NULL ? strlen(def) : 0;
		return true;
	}
	return fu_text(c, c->a[i], s, len);
}

const struct vlist *
fu_list_lazy(struct tcall *c, const struct value *v)
{
	const struct value *l = tcall_list(c, v);

	return l != NULL ? l->u.list : NULL;
}

const struct vlist *
fu_list(struct tcall *c, const struct value *v)
{
	const struct vlist *l = fu_list_lazy(c, v);

	for (uint32_t i = 0; l != NULL && i < l->n; i++)
		if (l->v[i]->type == V_UNDEF)
			return fu_undef(c, l->v[i]), NULL;
	return l;
}

const struct value *
fu_get(struct tcall *c, const struct value *v)
{
	if ((v = tcall_top(c, v)) == NULL)
		return NULL;
	if (v->type == V_UNDEF)
		return fu_undef(c, v), NULL;
	return v;
}

/* Not ASCII alone. */
static const struct value *
lower_unicode(struct tcall *c, const struct value *v)
{
	struct buf b = tcall_buf(c);

	uni_lower(&b, v->u.s, v->len);
	return fu_result(c, &b);
}

const struct value *
fu_ignore_case(struct tcall *c, const struct value *v)
{
	unsigned char any = 0;
	uint32_t i, upper = 0;
	char *s;

	if (v->type != V_STR)
		return v;
	for (i = 0; i < v->len; i++) {
		any |= (unsigned char)v->u.s[i];
		upper += (unsigned char)(v->u.s[i] - 'A') < 26;
	}
	if (any >= 0x80)
		return lower_unicode(c, v);
	if (upper == 0)
		return v;
	s = arena_alloc(c->arena, (size_t)v->len + 1);
	for (i = 0; i < v->len; i++)
		s[i] = (char)((unsigned char)(v->u.s[i] - 'A') < 26 ? v->u.s[i] | 0x20 : v->u.s[i]);
	s[i] = '\0';
	return v_str_ref(c->arena, s, v->len);
}

int
fu_boolean(const struct value *v)
{
	static const char *const yes[] = { "y", "yes", "on", "1", "true", "t" };
	static const char *const no[] = { "n", "no", "off", "0", "false", "f" };
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s;
	size_t len;

	if (v->type == V_BOOL)
		return v->u.b;
	if (v->type == V_INT)
		return v->u.i == 1 ? 1 : v->u.i == 0 ? 0 : -1;
	if (v->type == V_FLOAT)
		return v->u.f == 1.0 ? 1 : v->u.f == 0.0 ? 0 : -1;
	if (v->type != V_STR)
		return -1;
	s = v->u.s;
	len = v->len;
	fu_strip(&s, &len);
	uni_lower(&b, s, len);
	for (size_t i = 0; i < NITEMS(yes); i++) {
		if (strcmp(buf_str(&b), yes[i]) == 0)
			return 1;
		if (strcmp(buf_str(&b), no[i]) == 0)
			return 0;
	}
	return -1;
}

bool
fu_in(const struct vlist *l, const struct value *v)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (v_equal(l->v[i], v))
			return true;
	return false;
}

struct value *
fu_tuple(struct tcall *c)
{
	struct value *t = v_list(c->arena);

	t->flags |= V_TUPLE;
	return t;
}

struct value *
fu_pair(struct tcall *c, const struct value *a, const struct value *b)
{
	struct value *t = v_list_room(c->arena, 2);

	t->flags |= V_TUPLE;
	v_push(c->arena, t, a);
	v_push(c->arena, t, b);
	return t;
}

void
fu_split_blank(struct tcall *c, struct value *list, const char *s, size_t len,
    int64_t max)
{
	const char *end = s + len, *start;
	uint32_t ch;
	unsigned n;

	for (;;) {
		while (s < end && (n = utf8_decode(s, (size_t)(end - s), &ch)) > 0 &&
		    uni_space(ch))
			s += n;
		if (s == end)
			return;
		start = s;
		if (max >= 0 && v_count(list) == max) {
			v_push(c->arena, list, v_strn(c->arena, s, (size_t)(end - s)));
			return;
		}
		while (s < end) {
			n = utf8_decode(s, (size_t)(end - s), &ch);
			if (n > 0 && uni_space(ch))
				break;
			s += n > 0 ? n : 1;
		}
		v_push(c->arena, list, v_strn(c->arena, start, (size_t)(s - start)));
	}
}

bool
fu_next_line(const char **s, const char *end, const char **line, size_t *len)
{
	const char *p = *s;
	uint32_t c;
	unsigned n;

	if (p >= end)
		return false;
	*line = p;
	while (p < end) {
		n = utf8_decode(p, (size_t)(end - p), &c);
		if (n == 0) {
			p++;
			continue;
		}
		if (uni_linebreak(c)) {
			*len = (size_t)(p - *line);
			p += n;
			if (c == '\r' && p < end && *p == '\n')
				p++;
			*s = p;
			return true;
		}
		p += n;
	}
	*len = (size_t)(p - *line);
	*s = p;
	return true;
}
