/*
 * Base64; see base64.h.
 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "module/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct buf *out, const void *data, size_t n)
{
	const unsigned char *p = data;
	char four[4];
	size_t i, k;
	uint32_t v;

	for (i = 0; i < n; i += 3) {
		k = n - i < 3 ? n - i : 3;
		v = (uint32_t)p[i] << 16;
		if (k > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (k > 2)
			v |= p[i + 2];
		four[0] = alphabet[v >> 18];
		four[1] = alphabet[(v >> 12) & 63];
		four[2] = k > 1 ? alphabet[(v >> 6) & 63] : '=';
		four[3] = k > 2 ? alphabet[v & 63] : '=';
		buf_add(out, four, 4);
	}
}

int
base64_decode(struct buf *out, const char *s, size_t n)
{
	uint32_t v = 0;
	unsigned bits = 0, pad = 0;
	const char *p;
	size_t i;

	for (i = 0; i < n; i++) {
		if (isspace((unsigned char)s[i]))
			continue;
		if (s[i] == '=') {
			if (++pad > 2)
				return -1;
			continue;
		}
		p = s[i] == '\0' ? NULL : strchr(alphabet, s[i]);
		if (p == NULL || pad > 0)
			return -1;
		v = v << 6 | (uint32_t)(p - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(out, (char)(v >> bits & 0xff));
		}
	}
	return bits >= 6 ? -1 : 0;
}
