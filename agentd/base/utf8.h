/*
 * UTF-8 (RFC 3629): strict decoding, counting, folding.
 */
#ifndef PROVCTL_BASE_UTF8_H
#define PROVCTL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Length (1 to 4) of the character at p, its code point in *ret; 0 when invalid or truncated. */
unsigned	 utf8_decode(const char *p, size_t len, uint32_t *ret);
/* Appends a code point; surrogates and values beyond 0x10ffff become U+FFFD. */
void		 utf8_encode(struct buf *, uint32_t);
bool		 utf8_valid(const char *, size_t);
/* Offset of the first invalid byte, or len. */
size_t		 utf8_bad(const char *, size_t);
/* Characters in a valid text (bytes that are no continuation). */
size_t		 utf8_count(const char *, size_t);
/* Byte offset of character number n (n >= count: len). */
size_t		 utf8_offset(const char *, size_t len, size_t n);
/* Appends with each bad byte replaced by U+FFFD. */
void		 utf8_clean(struct buf *, const char *, size_t);

#endif
