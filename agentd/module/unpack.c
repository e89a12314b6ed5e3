/*
 * One pump for all formats: input is read in chunks, the format's decoder is
 * turned until it has given output.  Several compressed streams after each
 * other (as `cat a.gz b.gz` makes) are read as one.
 */
#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/arena.h"
#include "module/unpack.h"

#define CHUNK		((size_t)64 * 1024)
#define XZ_MEMORY	((uint64_t)256 * 1024 * 1024)
#define ZSTD_WINDOW_LOG	27

struct unpack {
	int			 fd;
	enum unpack_kind	 kind;
	bool			 input_end;
	bool			 stream_end;	/* the last compressed stream is complete */
	unsigned char		*in;
	size_t			 have, at;	/* bytes in `in`, next one */
	z_stream		 gz;
	bz_stream		 bz;
	lzma_stream		 xz;
	ZSTD_DStream		*zstd;
};

/* Sees to at least `want` bytes of input, unless it ends before. */
static int
fill(struct unpack *u, size_t want, struct err *err)
{
	ssize_t n;

	while (u->have - u->at < want && !u->input_end) {
		memmove(u->in, u->in + u->at, u->have - u->at);
		u->have -= u->at;
		u->at = 0;
		n = read(u->fd, u->in + u->have, CHUNK - u->have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_errno(err, "cannot read the archive");
		u->have += (size_t)n;
		u->input_end = n == 0;
	}
	return 0;
}

static enum unpack_kind
sniff(const unsigned char *p, size_t n)
{
	if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return UNPACK_GZIP;
	if (n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9')
		return UNPACK_BZIP2;
	if (n >= 6 && memcmp(p, "\xfd" "7zXZ\0", 6) == 0)
		return UNPACK_XZ;
	/* the old lzma format: properties 0x5d, a dictionary of a power of two */
	if (n >= 13 && p[0] == 0x5d && p[1] == 0 && p[2] == 0 && p[4] < 0x10)
		return UNPACK_XZ;
	if (n >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
		return UNPACK_ZSTD;
	return UNPACK_NONE;
}

static int
start(struct unpack *u, struct err *err)
{
	bool ok = true;

	u->stream_end = false;
	switch (u->kind) {
	case UNPACK_NONE:
		break;
	case UNPACK_GZIP:
		ok = inflateInit2(&u->gz, 15 + 32) == Z_OK;
		break;
	case UNPACK_BZIP2:
		ok = BZ2_bzDecompressInit(&u->bz, 0, 0) == BZ_OK;
		break;
	case UNPACK_XZ:
		u->xz = (lzma_stream)LZMA_STREAM_INIT;
		ok = lzma_auto_decoder(&u->xz, XZ_MEMORY, LZMA_CONCATENATED) == LZMA_OK;
		break;
	case UNPACK_ZSTD:
		u->zstd = ZSTD_createDStream();
		ok = u->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(
		    u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
		break;
	}
	return ok ? 0 : err_set(err, ERR_INTERNAL, "cannot start to decompress");
}

struct unpack *
unpack_open(int fd, struct err *err)
{
	struct unpack *u = xcalloc(1, sizeof(*u));

	u->fd = fd;
	u->in = xmalloc(CHUNK);
	if (fill(u, 16, err) == -1) {
		unpack_close(u);
		return NULL;
	}
	u->kind = sniff(u->in, u->have);
	if (start(u, err) == -1) {
		unpack_close(u);
		return NULL;
	}
	return u;
}

enum unpack_kind
unpack_kind(const struct unpack *u)
{
	return u->kind;
}

void
unpack_close(struct unpack *u)
{
	if (u == NULL)
		return;
	if (u->kind == UNPACK_GZIP)
		(void)inflateEnd(&u->gz);
	else if (u->kind == UNPACK_BZIP2)
		(void)BZ2_bzDecompressEnd(&u->bz);
	else if (u->kind == UNPACK_XZ)
		lzma_end(&u->xz);
	else if (u->zstd != NULL)
		(void)ZSTD_freeDStream(u->zstd);
	free(u->in);
	free(u);
}

/* ---- one turn of each decoder: bytes given, or -1 ------------------------ */

static ssize_t
damaged(struct err *err)
{
	return err_set(err, ERR_INVALID, "the archive is damaged");
}

static ssize_t
turn_none(struct unpack *u, void *out, size_t n)
{
	if (n > u->have - u->at)
		n = u->have - u->at;
	memcpy(out, u->in + u->at, n);
	u->at += n;
	return (ssize_t)n;
}

static ssize_t
turn_gzip(struct unpack *u, void *out, size_t n, struct err *err)
{
	int rc;

	if (u->stream_end) {
		/* another member may follow; other bytes there are padding */
		if (sniff(u->in + u->at,
		    u->have - u->at) != UNPACK_GZIP) {
			u->at = u->have;
			return 0;
		}
		(void)inflateReset(&u->gz);
		u->stream_end = false;
	}
	u->gz.next_in = u->in + u->at;
	u->gz.avail_in = (unsigned)(u->have - u->at);
	u->gz.next_out = out;
	u->gz.avail_out = (unsigned)n;
	rc = inflate(&u->gz, Z_NO_FLUSH);
	u->at = u->have - u->gz.avail_in;
	if (rc == Z_STREAM_END)
		u->stream_end = true;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return damaged(err);
	return (ssize_t)(n - u->gz.avail_out);
}

static ssize_t
turn_bzip2(struct unpack *u, void *out, size_t n, struct err *err)
{
	int rc;

	if (u->stream_end) {
		if (u->at == u->have)
			return 0;
		(void)BZ2_bzDecompressEnd(&u->bz);
		memset(&u->bz, 0, sizeof(u->bz));
		if (start(u, err) == -1)
			return -1;
	}
	u->bz.next_in = (char *)u->in + u->at;
	u->bz.avail_in = (unsigned)(u->have - u->at);
	u->bz.next_out = out;
	u->bz.avail_out = (unsigned)n;
	rc = BZ2_bzDecompress(&u->bz);
	u->at = u->have - u->bz.avail_in;
	if (rc == BZ_STREAM_END)
		u->stream_end = true;
	else if (rc != BZ_OK)
		return damaged(err);
	return (ssize_t)(n - u->bz.avail_out);
}

static ssize_t
turn_xz(struct unpack *u, void *out, size_t n, struct err *err)
{
	lzma_ret rc;

	if (u->stream_end)
		return 0;
	u->xz.next_in = u->in + u->at;
	u->xz.avail_in = u->have - u->at;
	u->xz.next_out = out;
	u->xz.avail_out = n;
	rc = lzma_code(&u->xz, u->input_end ? LZMA_FINISH : LZMA_RUN);
	u->at = u->have - u->xz.avail_in;
	if (rc == LZMA_STREAM_END)
		u->stream_end = true;
	else if (rc == LZMA_MEMLIMIT_ERROR)
		return err_set(err, ERR_LIMIT, "the archive needs more than %d MiB of memory to decompress",
		    (int)(XZ_MEMORY >> 20));
	else if (rc == LZMA_BUF_ERROR && u->input_end)
		return err_set(err, ERR_INVALID, "the archive is cut off");
	else if (rc != LZMA_OK && rc != LZMA_BUF_ERROR)
		return damaged(err);
	return (ssize_t)(n - u->xz.avail_out);
}

static ssize_t
turn_zstd(struct unpack *u, void *out, size_t n, struct err *err)
{
	ZSTD_inBuffer in = { u->in, u->have, u->at };
	ZSTD_outBuffer to = { out, n, 0 };
	size_t rc;

	if (u->input_end && u->stream_end)
		return 0;
	rc = ZSTD_decompressStream(u->zstd, &to, &in);
	u->at = in.pos;
	if (ZSTD_isError(rc))
		return damaged(err);
	u->stream_end = rc == 0;
	return (ssize_t)to.pos;
}

ssize_t
unpack_read(struct unpack *u, void *out, size_t n, struct err *err)
{
	size_t before;
	ssize_t got;

	for (;;) {
		/* two, to see whether a further gzip member follows */
		if (fill(u, 2, err) == -1)
			return -1;
		before = u->at;
		switch (u->kind) {
		case UNPACK_GZIP:
			got = turn_gzip(u, out, n, err);
			break;
		case UNPACK_BZIP2:
			got = turn_bzip2(u, out, n, err);
			break;
		case UNPACK_XZ:
			got = turn_xz(u, out, n, err);
			break;
		case UNPACK_ZSTD:
			got = turn_zstd(u, out, n, err);
			break;
		default:
			got = turn_none(u, out, n);
			break;
		}
		if (got != 0)
			return got;
		/* A block of zstd's may be such that its library neither takes nor refuses it. */
		if (u->at == before && u->at < u->have)
			return damaged(err);
		if (!u->input_end || u->at < u->have)
			continue;
		if (u->kind != UNPACK_NONE && !u->stream_end)
			return err_set(err, ERR_INVALID, "the archive is cut off");
		return 0;
	}
}
