/*
 * Reading compressed files as a stream: gzip, bzip2, xz (and lzma), zstd, or
 * nothing at all, told by their first bytes.  Memory is bounded whatever the
 * file says (xz and zstd may ask for much).
 */
#ifndef PROVCTL_MODULE_UNPACK_H
#define PROVCTL_MODULE_UNPACK_H

#include <sys/types.h>

#include "base/err.h"

enum unpack_kind {
	UNPACK_NONE, UNPACK_GZIP, UNPACK_BZIP2, UNPACK_XZ, UNPACK_ZSTD
};

struct unpack;

/* Reads fd from its current position; the fd stays the caller's. Never NULL unless err is set. */
struct unpack	*unpack_open(int fd, struct err *);
enum unpack_kind unpack_kind(const struct unpack *);
/* Bytes read, 0 at the end, -1 with err (damaged or cut off, too much memory, I/O). */
ssize_t		 unpack_read(struct unpack *, void *, size_t, struct err *);
void		 unpack_close(struct unpack *);

#endif
