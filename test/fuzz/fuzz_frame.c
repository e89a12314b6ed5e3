/*
 * Fuzz: any bytes as the stream of frames between engine and executor, and as
 * the values in them.  What decodes must encode to something that decodes to
 * the same value: its encoding is compared (NaN is not equal to itself).
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/codec.h"
#include "base/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
try_value(const char *data, size_t len)
{
	CLEANUP_BUF struct buf once = BUF_INIT, twice = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *v = codec_decode(&arena, data, len, &err), *w;

	assert((v == NULL) == (err.code != ERR_NONE));
	if (v != NULL) {
		codec_encode(&once, v);
		w = codec_decode(&arena, once.data, once.len, &err);
		assert(w != NULL);
		codec_encode(&twice, w);
		assert(once.len == twice.len);
		assert(memcmp(once.data, twice.data, once.len) == 0);
	}
	arena_release(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *p = (const char *)data;
	struct frame f;
	size_t used = 0;
	int got;

	while ((got = frame_get(p + used, len - used, &f, &err)) == 1) {
		assert(f.payload >= p && f.payload + f.len <= p + len);
		try_value(f.payload, f.len);
		used += FRAME_HEADER + f.len;
		assert(used <= len);
	}
	assert((got == -1) == (err.code != ERR_NONE));
	try_value(p, len);
	return 0;
}
