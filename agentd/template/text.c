/*
 * Python's view of text; see text.h.
 *
 * Classes of characters beyond ASCII are Unicode's (unidata.h).
 */
#include <string.h>

#include "base/utf8.h"
#include "template/text.h"
#include "template/unidata.h"

bool
text_is_space(uint32_t c)
{
	return uni_space(c);
}

bool
text_printable(uint32_t c)
{
	return c < 0x80 ? c >= 0x20 && c < 0x7f : uni_is(c, UNI_PRINTABLE);
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
	return n > 0 && (uni_alnum(cp) || uni_is(cp, UNI_ID_CONTINUE)) ? n : 0;
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
		if (n == 0 || !uni_is(cp, i == 0 ? UNI_ID_START : UNI_ID_CONTINUE))
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
