/*
 * Unicode as Python's str methods see it: see unidata.h.  Properties are
 * sorted ranges, case mappings are runs of equal distance, searched by halves;
 * ASCII takes a short way everywhere.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/unidata.h"

struct uni_range {
	uint32_t	 from, to;
};

struct uni_run {
	uint32_t	 from, to;
	uint32_t	 step;
	int32_t		 delta;
};

struct uni_full {
	uint32_t	 c;
	const char	*to;
};

#include "template/unidata_tables.h"

struct uni_map {
	const struct uni_run	*runs;
	size_t			 nruns;
	const struct uni_full	*full;
	size_t			 nfull;
};

#define RANGES(t)	{ t, NITEMS(t) }
#define MAP(t)		{ t##_runs, NITEMS(t##_runs), t##_full, NITEMS(t##_full) }

static const struct {
	const struct uni_range	*v;
	size_t			 n;
} props[] = {
	[UNI_ALPHA] = RANGES(uni_alpha),
	[UNI_DECIMAL] = RANGES(uni_decimal_),
	[UNI_DIGIT] = RANGES(uni_digit),
	[UNI_NUMERIC] = RANGES(uni_numeric),
	[UNI_LOWER] = RANGES(uni_lower_),
	[UNI_UPPER] = RANGES(uni_upper_),
	[UNI_TITLE] = RANGES(uni_title_),
	[UNI_CASED] = RANGES(uni_cased),
	[UNI_CASE_IGNORABLE] = RANGES(uni_ignorable),
	[UNI_PRINTABLE] = RANGES(uni_printable),
	[UNI_ID_START] = RANGES(uni_id_start),
	[UNI_ID_CONTINUE] = RANGES(uni_id_continue),
};

static const struct uni_map map_upper = MAP(uni_to_upper);
static const struct uni_map map_lower = MAP(uni_to_lower);
static const struct uni_map map_title = MAP(uni_to_title);
static const struct uni_map map_fold = MAP(uni_to_fold);

bool
uni_is(uint32_t c, enum uni_prop prop)
{
	const struct uni_range *v = props[prop].v;
	size_t lo = 0, hi = props[prop].n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (c > v[mid].to)
			lo = mid + 1;
		else if (c < v[mid].from)
			hi = mid;
		else
			return true;
	}
	return false;
}

bool
uni_alnum(uint32_t c)
{
	if (c < 0x80)
		return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
	return uni_is(c, UNI_ALPHA) || uni_is(c, UNI_DECIMAL) ||
	    uni_is(c, UNI_DIGIT) || uni_is(c, UNI_NUMERIC);
}

bool
uni_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 ||
	    c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	    c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	    c == 0x3000;
}

bool
uni_linebreak(uint32_t c)
{
	return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 ||
	    c == 0x2028 || c == 0x2029;
}

/* Decimal digits come in blocks of ten that begin with the zero. */
int
uni_decimal(uint32_t c)
{
	const struct uni_range *v = props[UNI_DECIMAL].v;

	if (c < 0x80)
		return c >= '0' && c <= '9' ? (int)(c - '0') : -1;
	for (size_t i = 0; i < props[UNI_DECIMAL].n; i++)
		if (c >= v[i].from && c <= v[i].to)
			return (int)((c - v[i].from) % 10);
	return -1;
}

static void
put_mapped(struct buf *b, const struct uni_map *m, uint32_t c)
{
	size_t lo = 0, hi = m->nruns, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (c > m->runs[mid].to)
			lo = mid + 1;
		else if (c < m->runs[mid].from)
			hi = mid;
		else {
			if ((c - m->runs[mid].from) % m->runs[mid].step == 0) {
				utf8_encode(b, (uint32_t)((int64_t)c + m->runs[mid].delta));
				return;
			}
			break;
		}
	}
	for (lo = 0, hi = m->nfull; lo < hi;) {
		mid = (lo + hi) / 2;
		if (c > m->full[mid].c)
			lo = mid + 1;
		else if (c < m->full[mid].c)
			hi = mid;
		else {
			buf_adds(b, m->full[mid].to);
			return;
		}
	}
	utf8_encode(b, c);
}

/* The next character; a bad byte stands for itself as U+FFFD. */
static uint32_t
next_char(const char **p, const char *end)
{
	uint32_t c;
	unsigned n = utf8_decode(*p, (size_t)(end - *p), &c);

	if (n == 0) {
		(*p)++;
		return 0xfffd;
	}
	*p += n;
	return c;
}

static void
map_all(struct buf *b, const struct uni_map *m, const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end)
		put_mapped(b, m, next_char(&s, end));
}

void
uni_upper(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len;

	for (; s < end && ((unsigned char)*s & 0x80) == 0; s++)
		buf_addc(b, *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s);
	map_all(b, &map_upper, s, (size_t)(end - s));
}

void
uni_casefold(struct buf *b, const char *s, size_t len)
{
	map_all(b, &map_fold, s, len);
}

/* A capital sigma at p is final: a cased letter before it, none after, ignorable ones aside. */
static bool
final_sigma(const char *start, const char *p, const char *end)
{
	const char *q = p;
	uint32_t c = 0;
	bool before = false;

	while (q > start) {
		do
			q--;
		while (q > start && ((unsigned char)*q & 0xc0) == 0x80);
		if (utf8_decode(q, (size_t)(end - q), &c) == 0)
			break;
		if (!uni_is(c, UNI_CASE_IGNORABLE)) {
			before = uni_is(c, UNI_CASED);
			break;
		}
	}
	if (!before)
		return false;
	for (q = p, next_char(&q, end); q < end;) {
		c = next_char(&q, end);
		if (!uni_is(c, UNI_CASE_IGNORABLE))
			return !uni_is(c, UNI_CASED);
	}
	return true;
}

static void
put_lower(struct buf *b, const char *start, const char *at, const char *end, uint32_t c)
{
	if (c == 0x3a3)
		utf8_encode(b, final_sigma(start, at, end) ? 0x3c2 : 0x3c3);
	else
		put_mapped(b, &map_lower, c);
}

void
uni_lower(struct buf *b, const char *s, size_t len)
{
	const char *start = s, *end = s + len, *at;
	uint32_t c;

	for (; s < end && ((unsigned char)*s & 0x80) == 0; s++)
		buf_addc(b, *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s);
	while (s < end) {
		at = s;
		c = next_char(&s, end);
		put_lower(b, start, at, end, c);
	}
}

void
uni_title(struct buf *b, const char *s, size_t len)
{
	const char *start = s, *end = s + len, *at;
	bool in_word = false;
	uint32_t c;

	while (s < end) {
		at = s;
		c = next_char(&s, end);
		if (in_word)
			put_lower(b, start, at, end, c);
		else
			put_mapped(b, &map_title, c);
		in_word = uni_is(c, UNI_LOWER) || uni_is(c, UNI_UPPER) ||
		    uni_is(c, UNI_TITLE);
	}
}

void
uni_capitalize(struct buf *b, const char *s, size_t len)
{
	const char *start = s, *end = s + len, *at;
	uint32_t c;

	if (s < end)
		put_mapped(b, &map_title, next_char(&s, end));
	while (s < end) {
		at = s;
		c = next_char(&s, end);
		put_lower(b, start, at, end, c);
	}
}

void
uni_swapcase(struct buf *b, const char *s, size_t len)
{
	const char *start = s, *end = s + len, *at;
	uint32_t c;

	while (s < end) {
		at = s;
		c = next_char(&s, end);
		if (uni_is(c, UNI_UPPER))
			put_lower(b, start, at, end, c);
		else if (uni_is(c, UNI_LOWER))
			put_mapped(b, &map_upper, c);
		else
			utf8_encode(b, c);
	}
}
