/* Frames; see frame.h. */
#include <assert.h>
#include <string.h>

#include "base/frame.h"

static void
put32(unsigned char *p, uint32_t n)
{
	p[0] = (unsigned char)n;
	p[1] = (unsigned char)(n >> 8);
	p[2] = (unsigned char)(n >> 16);
	p[3] = (unsigned char)(n >> 24);
}

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

size_t
frame_begin(struct buf *b, enum frame_type type, unsigned flags, uint32_t id)
{
	unsigned char head[FRAME_HEADER] = { 0 };
	size_t offset = b->len;

	head[4] = (unsigned char)type;
	head[5] = (unsigned char)flags;
	put32(head + 8, id);
	buf_add(b, head, sizeof(head));
	return offset;
}

void
frame_end(struct buf *b, size_t offset)
{
	size_t len;

	if (buf_overflowed(b))
		return;
	len = b->len - offset - FRAME_HEADER;
	assert(len <= FRAME_PAYLOAD_MAX);
	put32((unsigned char *)b->data + offset, (uint32_t)len);
}

void
frame_put(struct buf *b, enum frame_type type, unsigned flags, uint32_t id,
    const void *payload, size_t len)
{
	size_t offset = frame_begin(b, type, flags, id);

	buf_add(b, payload, len);
	frame_end(b, offset);
}

int
frame_get(const char *data, size_t len, struct frame *ret, struct err *err)
{
	const unsigned char *p = (const unsigned char *)data;
	uint32_t n;

	if (len < FRAME_HEADER)
		return 0;
	n = get32(p);
	if (n > FRAME_PAYLOAD_MAX)
		return err_set(err, ERR_LIMIT,
		    "malformed frame: %u bytes are too many", n);
	if (!((p[4] >= FRAME_REQUEST && p[4] <= FRAME_GO) ||
	    (p[4] >= FRAME_HELLO && p[4] <= FRAME_HELD)))
		return err_set(err, ERR_INVALID,
		    "malformed frame: unknown type %u", p[4]);
	if ((p[5] & ~(FRAME_FAILED | FRAME_AHEAD)) != 0 || p[6] != 0 || p[7] != 0)
		return err_set(err, ERR_INVALID,
		    "malformed frame: reserved bits are set");
	if (len - FRAME_HEADER < n)
		return 0;
	ret->type = p[4];
	ret->flags = p[5];
	ret->id = get32(p + 8);
	ret->len = n;
	ret->payload = data + FRAME_HEADER;
	return 1;
}
