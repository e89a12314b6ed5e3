/*
 * Python's view of text; see text.h.
 *
 * Classes and cases of characters beyond ASCII come from the C library's
 * C.UTF-8 locale, which is Unicode's data; it is opened once and never changed,
 * and the process's own locale plays no role.
 */
#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "base/utf8.h"
#include "template/text.h"

static locale_t
unicode(void)
{
	static locale_t loc;

	if (loc == (locale_t)0) {
		loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		if (loc == (locale_t)0)
			loc = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	}
	return loc;
}

bool
text_is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 ||
	    c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	    c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool
text_is_alpha(uint32_t c)
{
	if (c < 0x80)
		return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
	return iswalpha_l((wint_t)c, unicode()) != 0;
}

bool
text_is_digit(uint32_t c)
{
	return (c >= '0' && c <= '9') || c == 0xb2 || c == 0xb3 || c == 0xb9 ||
	    (c >= 0x660 && c <= 0x669) || (c >= 0x6f0 && c <= 0x6f9) ||
	    (c >= 0x966 && c <= 0x96f) || (c >= 0x2070 && c <= 0x2079) ||
	    (c >= 0x2080 && c <= 0x2089) || (c >= 0xff10 && c <= 0xff19);
}

uint32_t
text_upper(uint32_t c)
{
	if (c < 0x80)
		return c >= 'a' && c <= 'z' ? c - 32 : c;
	return (uint32_t)towupper_l((wint_t)c, unicode());
}

uint32_t
text_lower(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	return (uint32_t)towlower_l((wint_t)c, unicode());
}

bool
text_printable(uint32_t c)
{
	if (c < 0x80)
		return c >= 0x20 && c < 0x7f;
	if (c == 0xad || (c >= 0x80 && c < 0xa1) || text_is_space(c) ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	    (c >= 0xd800 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xfffb) ||
	    c >= 0xe0000 || (c & 0xfffe) == 0xfffe)
		return c >= 0xe0100 && c <= 0xe01ef;
	return iswprint_l((wint_t)c, unicode()) != 0;
}

unsigned
text_space_at(const char *s, size_t len)
{
	unsigned char c = (unsigned char)*s;
	uint32_t cp;
	unsigned n;

	if (c < 0x80)
		return text_is_space(c) ? 1 : 0;
	n = utf8_decode(s, len, &cp);
	return n > 0 && text_is_space(cp) ? n : 0;
}

unsigned
text_word_at(const char *s, size_t len)
{
	unsigned char c = (unsigned char)*s;
	uint32_t cp;
	unsigned n;

	if (c < 0x80)
		return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
	n = utf8_decode(s, len, &cp);
	/* The last ones may stand inside an identifier only. */
	return n > 0 && (iswalnum_l((wint_t)cp, unicode()) || text_is_digit(cp) ||
	    cp == 0xb7 || (cp >= 0x300 && cp <= 0x36f)) ? n : 0;
}

bool
text_identifier(const char *s, size_t len)
{
	uint32_t cp;
	size_t i;
	unsigned n;

	for (i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)s[i];

		if (c < 0x80) {
			n = 1;
			if (text_word_at(s + i, 1) == 0 || (i == 0 && c >= '0' && c <= '9'))
				return false;
			continue;
		}
		n = utf8_decode(s + i, len - i, &cp);
		if (n == 0 || cp == 0xb2 || cp == 0xb3 || cp == 0xb9 || cp == 0xbc ||
		    cp == 0xbd || cp == 0xbe || (i == 0 && !text_is_alpha(cp)))
			return false;
	}
	return len > 0;
}

size_t
text_lstrip(const char *s, size_t len)
{
	size_t i = 0;
	unsigned n;

	while (i < len && (n = text_space_at(s + i, len - i)) > 0)
		i += n;
	return i;
}

size_t
text_rstrip(const char *s, size_t len)
{
	size_t i;

	while (len > 0) {
		for (i = len - 1; i > 0 && ((unsigned char)s[i] & 0xc0) == 0x80; i--)
			;
		if (text_space_at(s + i, len - i) == 0)
			break;
		len = i;
	}
	return len;
}

unsigned
text_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 : 99;
}

/* \xhh, \uhhhh, \Uhhhhhhhh: exactly n digits. */
static bool
hex_escape(struct buf *b, const char *s, size_t len, unsigned n)
{
	uint32_t cp = 0;
	unsigned i;

	if (len < n)
		return false;
	for (i = 0; i < n; i++) {
		if (text_digit(s[i]) > 15)
			return false;
		cp = cp * 16 + text_digit(s[i]);
	}
	if (cp > 0x10ffff)
		return false;
	utf8_encode(b, cp);
	return true;
}

const char *
text_unescape(struct buf *b, const char *s, size_t len, const char *newline)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	size_t i, j;
	uint32_t cp;
	const char *p;

	for (i = 0; i < len; i++) {
		if (s[i] == '\n') {
			buf_adds(b, newline);
			continue;
		}
		if (s[i] != '\\') {
			buf_addc(b, s[i]);
			continue;
		}
		if (++i >= len)
			return "\\ at end of string";
		if (s[i] == '\n')
			continue;
		if ((p = strchr(from, s[i])) != NULL && s[i] != '\0') {
			buf_addc(b, to[p - from]);
		} else if (s[i] >= '0' && s[i] <= '7') {
			for (cp = 0, j = 0; j < 3 && i + j < len && s[i + j] >= '0' && s[i + j] <= '7'; j++)
				cp = cp * 8 + (uint32_t)(s[i + j] - '0');
			utf8_encode(b, cp);
			i += j - 1;
		} else if (s[i] == 'x' || s[i] == 'u' || s[i] == 'U') {
			unsigned n = s[i] == 'x' ? 2 : s[i] == 'u' ? 4 : 8;

			if (!hex_escape(b, s + i + 1, len - i - 1, n))
				return n == 2 ? "truncated \\xXX escape" : n == 4 ?
				    "truncated \\uXXXX escape" : "truncated or illegal \\UXXXXXXXX escape";
			i += n;
		} else if (s[i] == 'N')
			return "names of characters (\\N{...}) are not supported";
		else {
			buf_addc(b, '\\');
			buf_addc(b, s[i]);
		}
	}
	return NULL;
}

bool
text_ascii(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

/* One character in upper case, with the few that become several. */
static void
add_upper(struct buf *b, uint32_t cp, bool title)
{
	switch (cp) {
	case 0xdf:
		buf_adds(b, title ? "Ss" : "SS");
		break;
	case 0x149:
		buf_adds(b, "\xca\xbcN");
		break;
	case 0xfb01:
		buf_adds(b, title ? "Fi" : "FI");
		break;
	case 0xfb02:
		buf_adds(b, title ? "Fl" : "FL");
		break;
	default:
		utf8_encode(b, text_upper(cp));
	}
}

enum casing { UPPER, LOWER, TITLE, CAPITAL };

static void
add_cased(struct buf *b, const char *s, size_t len, enum casing how)
{
	bool start = true;
	uint32_t cp = 0;
	size_t i;
	unsigned n;

	for (i = 0; i < len; i += n) {
		if ((unsigned char)s[i] < 0x80) {
			cp = (unsigned char)s[i];
			n = 1;
		} else if ((n = utf8_decode(s + i, len - i, &cp)) == 0) {
			buf_addc(b, s[i]);
			n = 1;
			continue;
		}
		if (how == UPPER || (how != LOWER && start))
			add_upper(b, cp, how != UPPER);
		else if (cp == 0x130)
			buf_adds(b, "i\xcc\x87");
		else
			utf8_encode(b, text_lower(cp));
		start = how == TITLE && !text_is_alpha(cp);
	}
}

void
text_add_upper(struct buf *b, const char *s, size_t len)
{
	add_cased(b, s, len, UPPER);
}

void
text_add_lower(struct buf *b, const char *s, size_t len)
{
	add_cased(b, s, len, LOWER);
}

void
text_add_title(struct buf *b, const char *s, size_t len)
{
	add_cased(b, s, len, TITLE);
}

void
text_add_capital(struct buf *b, const char *s, size_t len)
{
	add_cased(b, s, len, CAPITAL);
}
