/*
 * Growable byte buffers with a hard maximum.
 *
 * For everything whose size is not known beforehand, above all for bytes from
 * outside.  Going over the maximum does not abort: the buffer is marked as
 * overflowed, keeps what it had and ignores what follows; the owner checks
 * buf_overflowed() once at the end.  data is always NUL-terminated when len
 * is asked for through buf_str().
 */
#ifndef PROVCTL_BASE_BUF_H
#define PROVCTL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compat.h"

struct arena;

#define BUF_MAX_DEFAULT	((size_t)64 * 1024 * 1024)

struct buf {
	char	*data;
	size_t	 len;
	size_t	 cap;
	size_t	 max;		/* 0: BUF_MAX_DEFAULT */
	bool	 overflow;
};

#define BUF_INIT	{ NULL, 0, 0, 0, false }
#define CLEANUP_BUF	__attribute__((cleanup(buf_release)))

void	 buf_init(struct buf *, size_t max);
void	 buf_release(struct buf *);
/* Empties, keeps the memory. */
void	 buf_clear(struct buf *);
void	 buf_add(struct buf *, const void *, size_t);
void	 buf_addc(struct buf *, char);
void	 buf_adds(struct buf *, const char *);
void	 buf_addf(struct buf *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void	 buf_vaddf(struct buf *, const char *fmt, va_list) ATTR_PRINTF(2, 0);
/* Room for n more bytes at data + len; NULL when over the maximum. The caller adds to len. */
char	*buf_reserve(struct buf *, size_t n);
/* Drops n bytes from the front. */
void	 buf_consume(struct buf *, size_t n);
bool	 buf_overflowed(const struct buf *);
/* The contents as a C string, never NULL; valid until the next change. */
const char *buf_str(struct buf *);
/* A copy of the contents in an arena, NUL-terminated. */
char	*buf_dup(const struct buf *, struct arena *);
/* Reads a whole file or fd. 0, or -1 with errno; EFBIG when over the maximum. */
int	 buf_read_fd(struct buf *, int fd);
int	 buf_read_file(struct buf *, const char *path);

#endif
