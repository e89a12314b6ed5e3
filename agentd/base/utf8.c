/* UTF-8; see utf8.h. */
#include "base/utf8.h"

unsigned
utf8_decode(const char *s, size_t len, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	unsigned n, i;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	c = p[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) ||
	    (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*ret = c;
	return n;
}

void
utf8_encode(struct buf *b, uint32_t c)
{
	char s[4];

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c < 0x80) {
		buf_addc(b, (char)c);
	} else if (c < 0x800) {
		s[0] = (char)(0xc0 | c >> 6);
		s[1] = (char)(0x80 | (c & 0x3f));
		buf_add(b, s, 2);
	} else if (c < 0x10000) {
		s[0] = (char)(0xe0 | c >> 12);
		s[1] = (char)(0x80 | (c >> 6 & 0x3f));
		s[2] = (char)(0x80 | (c & 0x3f));
		buf_add(b, s, 3);
	} else {
		s[0] = (char)(0xf0 | c >> 18);
		s[1] = (char)(0x80 | (c >> 12 & 0x3f));
		s[2] = (char)(0x80 | (c >> 6 & 0x3f));
		s[3] = (char)(0x80 | (c & 0x3f));
		buf_add(b, s, 4);
	}
}

size_t
utf8_bad(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint32_t c;
		unsigned n;

		if ((unsigned char)s[i] < 0x80) {
			i++;
			continue;
		}
		if ((n = utf8_decode(s + i, len - i, &c)) == 0)
			return i;
		i += n;
	}
	return len;
}

bool
utf8_valid(const char *s, size_t len)
{
	return utf8_bad(s, len) == len;
}

size_t
utf8_count(const char *s, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

size_t
utf8_offset(const char *s, size_t len, size_t n)
{
	size_t i = 0;

	while (i < len) {
		if (((unsigned char)s[i] & 0xc0) != 0x80 && n-- == 0)
			return i;
		i++;
	}
	return len;
}

void
utf8_clean(struct buf *b, const char *s, size_t len)
{
	while (len > 0) {
		size_t good = utf8_bad(s, len);

		buf_add(b, s, good);
		s += good;
		len -= good;
		if (len > 0) {
			buf_adds(b, "\xef\xbf\xbd");
			s++;
			len--;
		}
	}
}
