/*
 * Plain scalars: what YAML 1.1 takes them for, exactly as PyYAML's SafeLoader
 * does (its regular expressions, written out as matchers).
 *
 * Differences, on purpose: timestamps stay strings; integers beyond 64 bits
 * stay strings, since a float would silently lose digits; digits that are all
 * underscores (0x_), at which PyYAML raises, stay strings, and so does "=".
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "yaml/text.h"

enum form {
	FORM_NONE, FORM_BINARY, FORM_OCTAL, FORM_DECIMAL, FORM_HEX, FORM_SEXAGESIMAL
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Length of the run of characters of a set at the start. */
static size_t
span(const char *s, size_t n, const char *set)
{
	size_t i;

	for (i = 0; i < n && s[i] != '\0' && strchr(set, s[i]) != NULL; i++)
		;
	return i;
}

/* (:[0-5]?[0-9])+ : its length, 0 when it is not there. */
static size_t
span_sixties(const char *s, size_t n)
{
	size_t i = 0;

	while (i + 1 < n && s[i] == ':' && is_digit(s[i + 1])) {
		if (i + 2 < n && is_digit(s[i + 2])) {
			if (s[i + 1] > '5')
				break;
			i += 3;
		} else
			i += 2;
	}
	return i;
}

static size_t
span_exponent(const char *s, size_t n)
{
	size_t digits;

	if (n < 3 || (s[0] != 'e' && s[0] != 'E') || (s[1] != '+' && s[1] != '-'))
		return 0;
	digits = span(s + 2, n - 2, "0123456789");
	return digits == 0 ? 0 : digits + 2;
}

/* s is behind the sign. */
static enum form
int_form(const char *s, size_t n)
{
	size_t i;

	if (n == 0)
		return FORM_NONE;
	if (s[0] == '0') {
		if (n == 1)
			return FORM_DECIMAL;
		if (s[1] == 'b')
			return n > 2 && span(s + 2, n - 2, "01_") == n - 2 ?
			    FORM_BINARY : FORM_NONE;
		if (s[1] == 'x')
			return n > 2 && span(s + 2, n - 2,
			    "0123456789abcdefABCDEF_") == n - 2 ? FORM_HEX : FORM_NONE;
		return span(s + 1, n - 1, "01234567_") == n - 1 ?
		    FORM_OCTAL : FORM_NONE;
	}
	if (!is_digit(s[0]))
		return FORM_NONE;
	i = span(s, n, "0123456789_");
	if (i == n)
		return FORM_DECIMAL;
	return span_sixties(s + i, n - i) == n - i ? FORM_SEXAGESIMAL : FORM_NONE;
}

static bool
is_float(const char *s, size_t n)
{
	size_t i = 0, sixties;
	bool sign;

	sign = n > 0 && (s[0] == '-' || s[0] == '+');
	if (sign) {
		s++;
		n--;
	}
	if (n == 0)
		return false;
	if (s[0] == '.') {
		if (n == 4 && (memcmp(s, ".inf", 4) == 0 ||
		    memcmp(s, ".Inf", 4) == 0 || memcmp(s, ".INF", 4) == 0))
			return true;
		if (sign)
			return false;
		if (n == 4 && (memcmp(s, ".nan", 4) == 0 ||
		    memcmp(s, ".NaN", 4) == 0 || memcmp(s, ".NAN", 4) == 0))
			return true;
		if (n < 2 || !is_digit(s[1]))
			return false;
		i = 1 + span(s + 1, n - 1, "0123456789_");
		return i == n || i + span_exponent(s + i, n - i) == n;
	}
	if (!is_digit(s[0]))
		return false;
	i = span(s, n, "0123456789_");
	sixties = span_sixties(s + i, n - i);
	i += sixties;
	if (i == n || s[i] != '.')
		return false;
	i++;
	i += span(s + i, n - i, "0123456789_");
	if (i < n && sixties == 0)
		i += span_exponent(s + i, n - i);
	return i == n;
}

static int
digit_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c - 'A' + 10;
}

/* False when there is no digit or the number does not fit. */
static bool
parse_digits(const char *s, size_t n, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '_')
			continue;
		any = true;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_value(s[i]), &v))
			return false;
	}
	*ret = v;
	return any;
}

static bool
parse_sixties(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0, part;
	size_t i = 0, j;

	while (i <= n) {
		for (j = i; j < n && s[j] != ':'; j++)
			;
		if (!parse_digits(s + i, j - i, 10, &part) ||
		    __builtin_mul_overflow(v, (uint64_t)60, &v) ||
		    __builtin_add_overflow(v, part, &v))
			return false;
		i = j + 1;
	}
	*ret = v;
	return true;
}

static bool
parse_int(const char *s, size_t n, int64_t *ret)
{
	uint64_t v = 0;
	bool neg = false, ok;

	if (n > 0 && (s[0] == '-' || s[0] == '+')) {
		neg = s[0] == '-';
		s++;
		n--;
	}
	switch (int_form(s, n)) {
	case FORM_BINARY:
		ok = parse_digits(s + 2, n - 2, 2, &v);
		break;
	case FORM_OCTAL:
		ok = parse_digits(s, n, 8, &v);
		break;
	case FORM_DECIMAL:
		ok = parse_digits(s, n, 10, &v);
		break;
	case FORM_HEX:
		ok = parse_digits(s + 2, n - 2, 16, &v);
		break;
	case FORM_SEXAGESIMAL:
		ok = parse_sixties(s, n, &v);
		break;
	default:
		ok = false;
	}
	if (!ok || v > (uint64_t)INT64_MAX + (neg ? 1 : 0))
		return false;
	*ret = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* A float's text without underscores and sign, NUL-terminated. */
static double
parse_float(struct arena *arena, const char *s, size_t n)
{
	char small[64], *t = small, *part, *colon, *end;
	double v = 0;
	size_t j = 0;
	bool neg = false;

	if (n >= sizeof(small))
		t = arena_alloc(arena, n + 1);
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_')
			t[j++] = s[i];
	t[j] = '\0';
	if (t[0] == '-' || t[0] == '+') {
		neg = t[0] == '-';
		t++;
	}
	if (strcasecmp(t, ".inf") == 0)
		return neg ? -(double)INFINITY : (double)INFINITY;
	if (strcasecmp(t, ".nan") == 0)
		return (double)NAN;
	for (part = t; (colon = strchr(part, ':')) != NULL; part = colon + 1) {
		*colon = '\0';
		v = (v + strtod(part, &end)) * 60;
	}
	v += strtod(part, &end);
	return neg ? -v : v;
}

static bool
parse_bool(const char *s, size_t n, bool *ret)
{
	static const struct {
		const char	*word[3];
		bool		 value;
	} words[] = {
		{ { "yes", "Yes", "YES" }, true },
		{ { "no", "No", "NO" }, false },
		{ { "true", "True", "TRUE" }, true },
		{ { "false", "False", "FALSE" }, false },
		{ { "on", "On", "ON" }, true },
		{ { "off", "Off", "OFF" }, false },
	};

	if (n < 2 || n > 5 || strchr("yYnNtTfFoO", s[0]) == NULL)
		return false;
	for (size_t i = 0; i < NITEMS(words); i++)
		for (size_t j = 0; j < 3; j++)
			if (strlen(words[i].word[j]) == n &&
			    memcmp(words[i].word[j], s, n) == 0) {
				*ret = words[i].value;
				return true;
			}
	return false;
}

static bool
is_null(const char *s, size_t n)
{
	if (n == 0 || (n == 1 && s[0] == '~'))
		return true;
	return n == 4 && (memcmp(s, "null", 4) == 0 ||
	    memcmp(s, "Null", 4) == 0 || memcmp(s, "NULL", 4) == 0);
}

bool
resolve_is_int(const char *s, size_t n)
{
	size_t sign = n > 0 && (s[0] == '-' || s[0] == '+');

	return int_form(s + sign, n - sign) != FORM_NONE;
}

void
resolve_plain(struct value *v, struct arena *arena, const char *s, size_t n)
{
	bool b;

	if (is_null(s, n))
		v->type = V_NULL;
	else if (parse_bool(s, n, &b)) {
		v->type = V_BOOL;
		v->u.b = b;
	} else if (is_digit(s[0]) || s[0] == '-' || s[0] == '+' || s[0] == '.') {
		if (parse_int(s, n, &v->u.i))
			v->type = V_INT;
		else if (is_float(s, n)) {
			v->type = V_FLOAT;
			v->u.f = parse_float(arena, s, n);
		} else
			v->type = V_STR;
	} else
		v->type = V_STR;
	if (v->type == V_STR) {
		v->u.s = s;
		v->len = (uint32_t)n;
	}
}

bool
resolve_as(struct value *v, struct arena *arena, enum vtype type, const char *s,
    size_t n)
{
	char *end, low[6];
	double f;
	bool b = false;

	v->type = (uint8_t)type;
	switch (type) {
	case V_INT:
		return parse_int(s, n, &v->u.i);
	case V_FLOAT:
		if (is_float(s, n)) {
			v->u.f = parse_float(arena, s, n);
			return true;
		}
		/* Python's float() takes more: 1, 1e3 */
		if (n == 0 || span(s, n, "0123456789+-.eE") != n)
			return false;
		f = strtod(s, &end);
		v->u.f = f;
		return end == s + n;
	case V_BOOL:
		if (n > 5)
			return false;
		for (size_t i = 0; i < n; i++)
			low[i] = s[i] >= 'A' && s[i] <= 'Z' ?
			    (char)(s[i] - 'A' + 'a') : s[i];
		if (!parse_bool(low, n, &b))
			return false;
		v->u.b = b;
		return true;
	default:
		return false;
	}
}

bool
resolve_binary(struct buf *out, const char *s, size_t n)
{
	static const char set[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned nbits = 0, chars = 0, pad = 0;
	const char *p;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r')
			continue;
		if (s[i] == '=') {
			pad++;
			continue;
		}
		if (s[i] == '\0' || pad > 0 || (p = strchr(set, s[i])) == NULL)
			return false;
		bits = bits << 6 | (uint32_t)(p - set);
		chars++;
		if ((nbits += 6) >= 8) {
			nbits -= 8;
			buf_addc(out, (char)(bits >> nbits & 0xff));
		}
	}
	return (chars + pad) % 4 == 0 && pad <= 2;
}

const struct value *
yaml_scalar(struct arena *arena, const char *s, size_t n)
{
	struct value *v = ARENA_NEW(arena, struct value);

	resolve_plain(v, arena, arena_strndup(arena, s, n), n);
	v->flags |= V_PLAIN;
	return v;
}
