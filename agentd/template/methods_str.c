/*
 * The methods of str.
 *
 * Positions and widths count characters.  A method of a Markup gives a Markup
 * where it gives text.  What reaches into Python (maketrans, translate) is known and
 * not supported.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/eval.h"
#include "template/strformat.h"
#include "template/text.h"
#include "template/unidata.h"

#define PAD_MAX		((int64_t)16 * 1024 * 1024)

static const struct value *
str_result(struct tcall *c, struct buf *b)
{
	struct value *r = NULL;

	if (!ev_overflow(c->ev, b)) {
		r = v_strn(c->arena, buf_str(b), b->len);
		r->tag = c->in->tag;
	}
	buf_release(b);
	return r;
}

static const struct value *
part(struct tcall *c, size_t from, size_t to)
{
	struct value *r = v_strn(c->arena, c->in->u.s + from, to - from);

	r->tag = c->in->tag;
	return r;
}

/* A required argument of type str. */
static const struct value *
text_arg(struct tcall *c, uint32_t i)
{
	const struct value *v = i < c->na ? c->a[i] : NULL;

	if (v == NULL)
		return terr(c, ERR_TYPE, "%s() takes at least %u argument%s", c->name, i + 1, i > 0 ? "s" : "");
	if (v->type != V_STR)
		return terr(c, ERR_TYPE, "%s() argument %u must be str, not %s", c->name, i + 1, tmpl_py_type(v));
	return v;
}

/* ---- case ---------------------------------------------------------------------------------- */

static const struct value *
cased(struct tcall *c, void (*fn)(struct buf *, const char *, size_t))
{
	struct buf b = BUF_INIT;

	fn(&b, c->in->u.s, c->in->len);
	return str_result(c, &b);
}

static const struct value *m_upper(struct tcall *c) { return cased(c, uni_upper); }
static const struct value *m_lower(struct tcall *c) { return cased(c, uni_lower); }
static const struct value *m_title(struct tcall *c) { return cased(c, uni_title); }
static const struct value *m_capitalize(struct tcall *c) { return cased(c, uni_capitalize); }

static const struct value *m_casefold(struct tcall *c) { return cased(c, uni_casefold); }
static const struct value *m_swapcase(struct tcall *c) { return cased(c, uni_swapcase); }

/* ---- classes --------------------------------------------------------------------------------- */

static bool
every(const struct value *v, bool (*fn)(uint32_t))
{
	uint32_t cp;
	size_t i;
	unsigned n;

	for (i = 0; i < v->len; i += n)
		if ((n = utf8_decode(v->u.s + i, v->len - i, &cp)) == 0 || !fn(cp))
			return false;
	return v->len > 0;
}

static bool is_alpha(uint32_t cp) { return uni_is(cp, UNI_ALPHA); }
static bool is_decimal(uint32_t cp) { return uni_is(cp, UNI_DECIMAL); }
static bool is_digit(uint32_t cp) { return uni_is(cp, UNI_DIGIT); }
static bool is_numeric(uint32_t cp) { return uni_is(cp, UNI_NUMERIC); }

static const struct value *m_isalnum(struct tcall *c) { return v_bool(every(c->in, uni_alnum)); }
static const struct value *m_isalpha(struct tcall *c) { return v_bool(every(c->in, is_alpha)); }
static const struct value *m_isdecimal(struct tcall *c) { return v_bool(every(c->in, is_decimal)); }
static const struct value *m_isdigit(struct tcall *c) { return v_bool(every(c->in, is_digit)); }
static const struct value *m_isnumeric(struct tcall *c) { return v_bool(every(c->in, is_numeric)); }
static const struct value *m_isspace(struct tcall *c) { return v_bool(every(c->in, text_is_space)); }
static const struct value *m_isascii(struct tcall *c) { return v_bool(text_ascii(c->in->u.s, c->in->len)); }
static const struct value *m_isprintable(struct tcall *c) { return v_bool(c->in->len == 0 || every(c->in, text_printable)); }
static const struct value *m_isidentifier(struct tcall *c) { return v_bool(text_identifier(c->in->u.s, c->in->len)); }

/* Some letter has a case, and none the wrong one. */
static const struct value *
only_case(struct tcall *c, bool upper)
{
	bool any = false;
	uint32_t cp;
	size_t i;
	unsigned n;

	for (i = 0; i < c->in->len; i += n) {
		if ((n = utf8_decode(c->in->u.s + i, c->in->len - i, &cp)) == 0)
			n = 1;
		if (uni_is(cp, upper ? UNI_LOWER : UNI_UPPER) || uni_is(cp, UNI_TITLE))
			return &v_false;
		any = any || uni_is(cp, upper ? UNI_UPPER : UNI_LOWER);
	}
	return v_bool(any);
}

static const struct value *m_isupper(struct tcall *c) { return only_case(c, true); }
static const struct value *m_islower(struct tcall *c) { return only_case(c, false); }

static const struct value *
m_istitle(struct tcall *c)
{
	bool any = false, start = true, up, low;
	uint32_t cp;
	size_t i;
	unsigned n;

	for (i = 0; i < c->in->len; i += n) {
		if ((n = utf8_decode(c->in->u.s + i, c->in->len - i, &cp)) == 0)
			n = 1;
		up = uni_is(cp, UNI_UPPER) || uni_is(cp, UNI_TITLE);
		low = uni_is(cp, UNI_LOWER);
		if ((up && !start) || (low && start))
			return &v_false;
		any = any || up || low;
		start = !up && !low;
	}
	return v_bool(any);
}

/* ---- stripping and padding ------------------------------------------------------------------- */

/* The character at s is one of the set. */
static bool
in_set(const struct value *set, const char *s, unsigned n)
{
	return n > 0 && memmem(set->u.s, set->len, s, n) != NULL;
}

static const struct value *
strip(struct tcall *c, bool left, bool right)
{
	const struct value *set = c->a[0];
	const char *s = c->in->u.s;
	size_t from = 0, to = c->in->len, i;
	uint32_t cp;
	unsigned n;

	if (set != NULL && set->type != V_NULL && set->type != V_STR)
		return terr(c, ERR_TYPE, "%s arg must be None or str", c->name);
	if (set == NULL || set->type == V_NULL) {
		if (right)
			to = text_rstrip(s, to);
		if (left)
			from = text_lstrip(s, to);
		return part(c, from, to);
	}
	while (left && from < to && (n = utf8_decode(s + from, to - from, &cp)) > 0 && in_set(set, s + from, n))
		from += n;
	while (right && to > from) {
		for (i = to - 1; i > from && ((unsigned char)s[i] & 0xc0) == 0x80; i--)
			;
		if (!in_set(set, s + i, (unsigned)(to - i)))
			break;
		to = i;
	}
	return part(c, from, to);
}

static const struct value *m_strip(struct tcall *c) { return strip(c, true, true); }
static const struct value *m_lstrip(struct tcall *c) { return strip(c, true, false); }
static const struct value *m_rstrip(struct tcall *c) { return strip(c, false, true); }

static const struct value *
padded(struct tcall *c, char align)
{
	const struct value *fill = c->na > 1 ? c->a[1] : NULL;
	int64_t width, n, left, i;
	struct buf b = BUF_INIT;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "%s expected at least 1 argument, got 0", c->name);
	if (!targ_int(c, 0, 0, &width))
		return NULL;
	if (fill != NULL && (fill->type != V_STR || utf8_count(fill->u.s, fill->len) != 1))
		return terr(c, ERR_TYPE, "The fill character must be exactly one character long");
	if (width > PAD_MAX)
		return terr(c, ERR_LIMIT, "%s() to more than %lld characters", c->name, (long long)PAD_MAX);
	n = width - (int64_t)utf8_count(c->in->u.s, c->in->len);
	if (n <= 0)
		return c->in;
	left = align == '<' ? 0 : align == '>' ? n : n / 2 + (n & width & 1);
	for (i = 0; i < n; i++) {
		if (i == left)
			buf_add(&b, c->in->u.s, c->in->len);
		if (fill == NULL)
			buf_addc(&b, ' ');
		else
			buf_add(&b, fill->u.s, fill->len);
	}
	if (left == n)
		buf_add(&b, c->in->u.s, c->in->len);
	return str_result(c, &b);
}

static const struct value *m_ljust(struct tcall *c) { return padded(c, '<'); }
static const struct value *m_rjust(struct tcall *c) { return padded(c, '>'); }
static const struct value *m_center(struct tcall *c) { return padded(c, '^'); }

static const struct value *
m_zfill(struct tcall *c)
{
	int64_t width, n;
	struct buf b = BUF_INIT;
	size_t sign = c->in->len > 0 && (c->in->u.s[0] == '-' || c->in->u.s[0] == '+');

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "zfill() takes exactly one argument (0 given)");
	if (!targ_int(c, 0, 0, &width))
		return NULL;
	if (width > PAD_MAX)
		return terr(c, ERR_LIMIT, "zfill() to more than %lld characters", (long long)PAD_MAX);
	buf_add(&b, c->in->u.s, sign);
	for (n = width - (int64_t)utf8_count(c->in->u.s, c->in->len); n > 0; n--)
		buf_addc(&b, '0');
	buf_add(&b, c->in->u.s + sign, c->in->len - sign);
	return str_result(c, &b);
}

static const struct value *
m_expandtabs(struct tcall *c)
{
	struct buf b = BUF_INIT;
	int64_t size, col = 0, n;
	size_t i;

	if (!targ_int(c, 0, 8, &size))
		return NULL;
	if (size > 10000)
		return terr(c, ERR_LIMIT, "a tab of more than 10000 columns");
	for (i = 0; i < c->in->len; i++) {
		char ch = c->in->u.s[i];

		if (ch == '\t') {
			for (n = size > 0 ? size - col % size : 0; n > 0; n--, col++)
				buf_addc(&b, ' ');
			continue;
		}
		buf_addc(&b, ch);
		if (ch == '\n' || ch == '\r')
			col = 0;
		else if (((unsigned char)ch & 0xc0) != 0x80)
			col++;
	}
	return str_result(c, &b);
}

/* ---- searching --------------------------------------------------------------------------------- */

/* The bytes that start and end arguments (1 and 2) mean. */
static bool
window(struct tcall *c, size_t *from, size_t *to)
{
	int64_t n = (int64_t)utf8_count(c->in->u.s, c->in->len), v[2] = { 0, n };
	uint32_t i;

	for (i = 0; i < 2; i++) {
		if (c->na <= i + 1 || c->a[i + 1] == NULL || c->a[i + 1]->type == V_NULL)
			continue;
		if (!op_index(c->ev, c->a[i + 1], &v[i]))
			return false;
		if (v[i] < 0)
			v[i] = v[i] + n < 0 ? 0 : v[i] + n;
		if (v[i] > n)
			v[i] = i == 0 ? n + 1 : n;
	}
	if (v[0] > n || v[0] > v[1]) {
		*from = 1;
		*to = 0;
		return true;
	}
	*from = utf8_offset(c->in->u.s, c->in->len, (size_t)v[0]);
	*to = utf8_offset(c->in->u.s, c->in->len, (size_t)v[1]);
	return true;
}

static const char *
last_of(const char *s, size_t len, const char *what, size_t n)
{
	size_t i;

	if (n > len)
		return NULL;
	for (i = len - n + 1; i > 0; i--)
		if (memcmp(s + i - 1, what, n) == 0)
			return s + i - 1;
	return NULL;
}

/* -2 after an error, -1 not found. */
static int64_t
find(struct tcall *c, bool last)
{
	const struct value *what = text_arg(c, 0);
	const char *s = c->in->u.s, *p;
	size_t from, to;

	if (what == NULL || !window(c, &from, &to))
		return -2;
	if (from > to)
		return -1;
	if (last)
		p = last_of(s + from, to - from, what->u.s, what->len);
	else
		p = what->len == 0 ? s + from : memmem(s + from, to - from, what->u.s, what->len);
	return p == NULL ? -1 : (int64_t)utf8_count(s, (size_t)(p - s));
}

static const struct value *
found(struct tcall *c, bool last, bool must)
{
	int64_t i = find(c, last);

	if (i == -2)
		return NULL;
	if (i < 0 && must)
		return terr(c, ERR_VALUE, "substring not found");
	return v_int(c->arena, i);
}

static const struct value *m_find(struct tcall *c) { return found(c, false, false); }
static const struct value *m_rfind(struct tcall *c) { return found(c, true, false); }
static const struct value *m_index(struct tcall *c) { return found(c, false, true); }
static const struct value *m_rindex(struct tcall *c) { return found(c, true, true); }

static const struct value *
m_count(struct tcall *c)
{
	const struct value *what = text_arg(c, 0);
	const char *s, *p;
	size_t from, to;
	int64_t n = 0;

	if (what == NULL || !window(c, &from, &to))
		return NULL;
	if (from > to)
		return v_int(c->arena, 0);
	s = c->in->u.s;
	if (what->len == 0)
		return v_int(c->arena, (int64_t)utf8_count(s + from, to - from) + 1);
	for (; (p = memmem(s + from, to - from, what->u.s, what->len)) != NULL; n++)
		from = (size_t)(p - s) + what->len;
	return v_int(c->arena, n);
}

static const struct value *
edge(struct tcall *c, bool end)
{
	const struct value *what = c->a[0], *w;
	size_t from, to;
	uint32_t i, n = 1;

	if (what == NULL)
		return terr(c, ERR_TYPE, "%s() takes at least 1 argument (0 given)", c->name);
	if (what->type == V_LIST && (what->flags & V_TUPLE))
		n = what->u.list->n;
	else if (what->type != V_STR)
		return terr(c, ERR_TYPE, "%s first arg must be str or a tuple of str, not %s", c->name, tmpl_py_type(what));
	if (!window(c, &from, &to))
		return NULL;
	for (i = 0; i < n; i++) {
		w = what->type == V_LIST ? tcall_top(c, what->u.list->v[i]) : what;
		if (w == NULL)
			return NULL;
		if (w->type != V_STR)
			return terr(c, ERR_TYPE, "tuple for %s must only contain str, not %s", c->name, tmpl_py_type(w));
		if (from <= to && to - from >= w->len &&
		    memcmp(c->in->u.s + (end ? to - w->len : from), w->u.s, w->len) == 0)
			return &v_true;
	}
	return &v_false;
}

static const struct value *m_startswith(struct tcall *c) { return edge(c, false); }
static const struct value *m_endswith(struct tcall *c) { return edge(c, true); }

static const struct value *
m_removeprefix(struct tcall *c)
{
	const struct value *w = text_arg(c, 0);

	if (w == NULL)
		return NULL;
	return c->in->len >= w->len && memcmp(c->in->u.s, w->u.s, w->len) == 0 ? part(c, w->len, c->in->len) : c->in;
}

static const struct value *
m_removesuffix(struct tcall *c)
{
	const struct value *w = text_arg(c, 0);

	if (w == NULL)
		return NULL;
	return w->len > 0 && c->in->len >= w->len &&
	    memcmp(c->in->u.s + c->in->len - w->len, w->u.s, w->len) == 0 ? part(c, 0, c->in->len - w->len) : c->in;
}

static const struct value *
m_replace(struct tcall *c)
{
	const struct value *old = text_arg(c, 0), *new = old == NULL ? NULL : text_arg(c, 1);
	struct buf b = { .max = TMPL_OUTPUT_MAX };
	const char *s = c->in->u.s, *end = s + c->in->len, *p;
	int64_t count;
	uint32_t cp;
	unsigned n;

	if (new == NULL || !targ_int(c, 2, -1, &count))
		return NULL;
	while (count != 0 && !b.overflow) {
		if (old->len == 0) {	/* between all characters */
			buf_add(&b, new->u.s, new->len);
			count--;
			if (s >= end)
				break;
			if ((n = utf8_decode(s, (size_t)(end - s), &cp)) == 0)
				n = 1;
			buf_add(&b, s, n);
			s += n;
			continue;
		}
		if ((p = memmem(s, (size_t)(end - s), old->u.s, old->len)) == NULL)
			break;
		buf_add(&b, s, (size_t)(p - s));
		buf_add(&b, new->u.s, new->len);
		s = p + old->len;
		count--;
	}
	buf_add(&b, s, (size_t)(end - s));
	return str_result(c, &b);
}

/* ---- splitting and joining ------------------------------------------------------------------------ */

static void
push_part(struct tcall *c, struct value *l, const char *s, size_t n)
{
	struct value *v = v_strn(c->arena, s, n);

	v->tag = c->in->tag;
	v_push(c->arena, l, v);
}

static void
reverse(struct value *l)
{
	const struct value *t, **v = l->u.list->v;
	uint32_t i, n = l->u.list->n;

	for (i = 0; i < n / 2; i++) {
		t = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

static const struct value *
split_blank(struct tcall *c, int64_t max, bool right)
{
	struct value *l = v_list(c->arena);
	const char *s = c->in->u.s;
	size_t from = 0, to = c->in->len, i, k;
	unsigned n;

	if (!right) {
		for (;;) {
			from += text_lstrip(s + from, to - from);
			if (from >= to)
				break;
			if (max == 0) {
				push_part(c, l, s + from, text_rstrip(s + from, to - from));
				break;
			}
			for (i = from; i < to && text_space_at(s + i, to - i) == 0;)
				i += (n = utf8_decode(s + i, to - i, &(uint32_t){ 0 })) > 0 ? n : 1;
			push_part(c, l, s + from, i - from);
			from = i;
			max--;
		}
		return l;
	}
	for (;;) {
		to = text_rstrip(s, to);
		if (to == 0)
			break;
		if (max == 0) {
			i = text_lstrip(s, to);
			push_part(c, l, s + i, to - i);
			break;
		}
		for (i = to; i > 0; i = k) {
			for (k = i - 1; k > 0 && ((unsigned char)s[k] & 0xc0) == 0x80; k--)
				;
			if (text_space_at(s + k, to - k) > 0)
				break;
		}
		push_part(c, l, s + i, to - i);
		to = i;
		max--;
	}
	reverse(l);
	return l;
}

static const struct value *
split(struct tcall *c, bool right)
{
	const struct value *sep = c->a[0];
	struct value *l;
	const char *s = c->in->u.s, *p;
	size_t from = 0, to = c->in->len;
	int64_t max;

	if (!targ_int(c, 1, -1, &max))
		return NULL;
	if (sep == NULL || sep->type == V_NULL)
		return split_blank(c, max, right);
	if (sep->type != V_STR)
		return terr(c, ERR_TYPE, "must be str or None, not %s", tmpl_py_type(sep));
	if (sep->len == 0)
		return terr(c, ERR_VALUE, "empty separator");
	l = v_list(c->arena);
	if (!right) {
		for (; max != 0 && (p = memmem(s + from, to - from, sep->u.s, sep->len)) != NULL; max--) {
			push_part(c, l, s + from, (size_t)(p - s) - from);
			from = (size_t)(p - s) + sep->len;
		}
		push_part(c, l, s + from, to - from);
		return l;
	}
	for (; max != 0 && (p = last_of(s, to, sep->u.s, sep->len)) != NULL; max--) {
		push_part(c, l, p + sep->len, to - (size_t)(p - s) - sep->len);
		to = (size_t)(p - s);
	}
	push_part(c, l, s, to);
	reverse(l);
	return l;
}

static const struct value *m_split(struct tcall *c) { return split(c, false); }
static const struct value *m_rsplit(struct tcall *c) { return split(c, true); }

static const struct value *
partition(struct tcall *c, bool right)
{
	const struct value *sep = text_arg(c, 0);
	struct value *l = v_list(c->arena);
	const char *s = c->in->u.s, *p;
	size_t at;

	if (sep == NULL)
		return NULL;
	if (sep->len == 0)
		return terr(c, ERR_VALUE, "empty separator");
	l->flags |= V_TUPLE;
	p = right ? last_of(s, c->in->len, sep->u.s, sep->len) : memmem(s, c->in->len, sep->u.s, sep->len);
	if (p == NULL) {
		v_push(c->arena, l, right ? &v_empty_str : c->in);
		v_push(c->arena, l, &v_empty_str);
		v_push(c->arena, l, right ? c->in : &v_empty_str);
		return l;
	}
	at = (size_t)(p - s);
	push_part(c, l, s, at);
	push_part(c, l, p, sep->len);
	push_part(c, l, p + sep->len, c->in->len - at - sep->len);
	return l;
}

static const struct value *m_partition(struct tcall *c) { return partition(c, false); }
static const struct value *m_rpartition(struct tcall *c) { return partition(c, true); }

/* The bytes of a line's end at s, 0: none. */
static unsigned
line_break(const char *s, size_t len)
{
	unsigned char ch = (unsigned char)*s;

	if (ch == '\r')
		return len > 1 && s[1] == '\n' ? 2 : 1;
	if ((ch >= '\n' && ch <= '\f') || (ch >= 0x1c && ch <= 0x1e))
		return 1;
	if (ch == 0xc2 && len > 1 && (unsigned char)s[1] == 0x85)
		return 2;
	if (ch == 0xe2 && len > 2 && (unsigned char)s[1] == 0x80 &&
	    ((unsigned char)s[2] == 0xa8 || (unsigned char)s[2] == 0xa9))
		return 3;
	return 0;
}

static const struct value *
m_splitlines(struct tcall *c)
{
	struct value *l = v_list(c->arena);
	const char *s = c->in->u.s;
	size_t from = 0, i;
	unsigned n;
	bool keep;

	if (!targ_bool(c, 0, false, &keep))
		return NULL;
	for (i = 0; i < c->in->len;) {
		if ((n = line_break(s + i, c->in->len - i)) == 0) {
			i++;
			continue;
		}
		push_part(c, l, s + from, i - from + (keep ? n : 0));
		from = i += n;
	}
	if (from < i)
		push_part(c, l, s + from, i - from);
	return l;
}

static const struct value *
m_join(struct tcall *c)
{
	struct buf b = { .max = TMPL_OUTPUT_MAX };
	const struct value *l, *v;
	uint32_t i;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "join() takes exactly one argument (0 given)");
	if ((l = ev_iter(c->ev, c->a[0])) == NULL)
		return c->err->code != ERR_NONE ? NULL : terr(c, ERR_TYPE, "can only join an iterable");
	for (i = 0; i < l->u.list->n; i++) {
		if ((v = tcall_top(c, l->u.list->v[i])) == NULL)
			goto fail;
		if (v->type != V_STR) {
			terr(c, ERR_TYPE, "sequence item %u: expected str instance, %s found", i, tmpl_py_type(v));
			goto fail;
		}
		if (i > 0)
			buf_add(&b, c->in->u.s, c->in->len);
		if (v_is_markup(c->in) && !v_is_markup(v))
			tmpl_escape(&b, v->u.s, v->len);
		else
			buf_add(&b, v->u.s, v->len);
	}
	return str_result(c, &b);
fail:
	buf_release(&b);
	return NULL;
}

/* ---- formatting -------------------------------------------------------------------------------------- */

static const struct value *
m_format(struct tcall *c)
{
	return str_format(c->ev, c->in, c->star, c->nstar, c->kw);
}

static const struct value *
m_format_map(struct tcall *c)
{
	if (c->a[0] == NULL || c->a[0]->type != V_MAP)
		return terr(c, ERR_TYPE, "format_map() wants a mapping");
	return str_format(c->ev, c->in, NULL, 0, c->a[0]);
}

static const struct value *
m_encode(struct tcall *c)
{
	const char *enc;
	size_t len;

	if (!targ_str(c, 0, "utf-8", &enc, &len))
		return NULL;
	if (strcasecmp(enc, "utf-8") != 0 && strcasecmp(enc, "utf8") != 0 &&
	    (strcasecmp(enc, "ascii") != 0 || !text_ascii(c->in->u.s, c->in->len)))
		return terr(c, ERR_UNSUPPORTED, "encode() to '%s' is not supported", enc);
	return bytes_new(c->ev, c->in);
}

#define NO(name)	{ name, "", TF_UNSUPPORTED, NULL }

const struct tfilter methods_str[] = {
	{ "capitalize", "", 0, m_capitalize },
	{ "casefold", "", 0, m_casefold },
	{ "center", "width,fillchar", 0, m_center },
	{ "count", "sub,start,end", 0, m_count },
	{ "encode", "encoding,errors", 0, m_encode },
	{ "endswith", "suffix,start,end", 0, m_endswith },
	{ "expandtabs", "tabsize", 0, m_expandtabs },
	{ "find", "sub,start,end", 0, m_find },
	{ "format", "", TF_STAR | TF_KWSTAR, m_format },
	{ "format_map", "mapping", 0, m_format_map },
	{ "index", "sub,start,end", 0, m_index },
	{ "isalnum", "", 0, m_isalnum },
	{ "isalpha", "", 0, m_isalpha },
	{ "isascii", "", 0, m_isascii },
	{ "isdecimal", "", 0, m_isdecimal },
	{ "isdigit", "", 0, m_isdigit },
	{ "isidentifier", "", 0, m_isidentifier },
	{ "islower", "", 0, m_islower },
	{ "isnumeric", "", 0, m_isnumeric },
	{ "isprintable", "", 0, m_isprintable },
	{ "isspace", "", 0, m_isspace },
	{ "istitle", "", 0, m_istitle },
	{ "isupper", "", 0, m_isupper },
	{ "join", "iterable", 0, m_join },
	{ "ljust", "width,fillchar", 0, m_ljust },
	{ "lower", "", 0, m_lower },
	{ "lstrip", "chars", 0, m_lstrip },
	NO("maketrans"),
	{ "partition", "sep", 0, m_partition },
	{ "removeprefix", "prefix", 0, m_removeprefix },
	{ "removesuffix", "suffix", 0, m_removesuffix },
	{ "replace", "old,new,count", 0, m_replace },
	{ "rfind", "sub,start,end", 0, m_rfind },
	{ "rindex", "sub,start,end", 0, m_rindex },
	{ "rjust", "width,fillchar", 0, m_rjust },
	{ "rpartition", "sep", 0, m_rpartition },
	{ "rsplit", "sep,maxsplit", 0, m_rsplit },
	{ "rstrip", "chars", 0, m_rstrip },
	{ "split", "sep,maxsplit", 0, m_split },
	{ "splitlines", "keepends", 0, m_splitlines },
	{ "startswith", "prefix,start,end", 0, m_startswith },
	{ "strip", "chars", 0, m_strip },
	{ "swapcase", "", 0, m_swapcase },
	{ "title", "", 0, m_title },
	NO("translate"),
	{ "upper", "", 0, m_upper },
	{ "zfill", "width", 0, m_zfill },
	{ NULL, NULL, 0, NULL }
};
