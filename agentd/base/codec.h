/*
 * The binary codec of values: what requests, results and stored values are
 * written in between our own programs.
 *
 *	value  := tag byte, body          (tag = type | 0x40 when secret, | 0x20 tuple)
 *	null, true, false, omit, undef    no body
 *	int    := zigzag varint           float := 8 bytes IEEE little-endian
 *	string := varint length, bytes    list := varint count, values
 *	map    := varint count, (key value, value)*
 *
 * Decoding trusts nothing: depth is limited to V_DEPTH_MAX, counts are checked
 * against the bytes that are left, strings from hosts that are no valid UTF-8
 * have each bad byte replaced by U+FFFD.
 */
#ifndef PROVCTL_BASE_CODEC_H
#define PROVCTL_BASE_CODEC_H

#include "base/value.h"

/* V_TMPL and V_OBJ must have been resolved before: they are a bug (assert). */
void	 codec_encode(struct buf *, const struct value *);
/* The whole of the input must be one value. NULL with err (ERR_INVALID, ERR_LIMIT). */
const struct value *codec_decode(struct arena *, const void *, size_t, struct err *);

void	 codec_put_varint(struct buf *, uint64_t);
/* Advances *p; false when truncated or longer than 10 bytes. */
bool	 codec_get_varint(const unsigned char **p, const unsigned char *end, uint64_t *ret);

#endif
