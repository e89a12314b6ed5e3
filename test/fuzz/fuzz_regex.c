/*
 * Regular expressions: the first bytes are the pattern, what follows a NUL is
 * the text; the pattern is also tried as a replacement.
 */
#include <string.h>

#include "template/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "aab1 bab\nxa \xc3\x89\xc3\x9f-2";
	struct buf out = { .max = 1024 * 1024 }, again = { .max = 1024 * 1024 };
	struct err err = ERR_INIT;
	const struct regex *re;
	const char *pattern = (const char *)data + 1, *nul, *s = text;
	size_t len, slen = sizeof(text) - 1;

	if (size < 2 || size > 400)
		return 0;
	len = size - 1;
	if ((nul = memchr(pattern, '\0', len)) != NULL) {
		s = nul + 1;
		slen = len - (size_t)(s - pattern);
		len = (size_t)(nul - pattern);
	}
	re = regex_get(pattern, len, data[0] & (REGEX_ICASE | REGEX_MULTI), &err);
	if (re != NULL) {
		(void)regex_sub(re, "<\\g<0>>", 7, s, slen, 0, &out, &err);
		err_release(&err);
		(void)regex_sub(re, pattern, len, s, slen, 3, &again, &err);
	}
	buf_release(&out);
	buf_release(&again);
	err_release(&err);
	return 0;
}
