/* Growable byte buffers; see buf.h. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
buf_release(struct buf *b)
{
	size_t max = b->max;

	free(b->data);
	buf_init(b, max);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
}

char *
buf_reserve(struct buf *b, size_t n)
{
	size_t max = b->max != 0 ? b->max : BUF_MAX_DEFAULT, cap;

	if (b->overflow || n > max - b->len) {
		b->overflow = true;
		return NULL;
	}
	if (b->cap - b->len <= n) {
		/* One byte more than asked for: the NUL of buf_str(). */
		for (cap = b->cap < 64 ? 64 : b->cap; cap - b->len <= n;)
			cap += cap;
		b->data = xreallocarray(b->data, cap, 1);
		b->cap = cap;
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to;

	if (n == 0 || (to = buf_reserve(b, n)) == NULL)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void
buf_addc(struct buf *b, char c)
{
	char *to = buf_reserve(b, 1);

	if (to != NULL) {
		*to = c;
		b->len++;
	}
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list ap2;
	char *to;
	int n;

	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap2);
	va_end(ap2);
	assert(n >= 0);
	if ((to = buf_reserve(b, (size_t)n)) == NULL)
		return;
	(void)vsnprintf(to, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n > 0 && n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

bool
buf_overflowed(const struct buf *b)
{
	return b->overflow;
}

const char *
buf_str(struct buf *b)
{
	if (b->data == NULL)
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

char *
buf_dup(const struct buf *b, struct arena *a)
{
	return arena_strndup(a, b->data, b->len);
}

int
buf_read_fd(struct buf *b, int fd)
{
	struct stat st;
	size_t want = 16384;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uintmax_t)st.st_size < SIZE_MAX - 1)
		want = (size_t)st.st_size + 1;
	for (;;) {
		size_t max = b->max != 0 ? b->max : BUF_MAX_DEFAULT;
		char *to;
		ssize_t n;

		if (want > max - b->len)
			want = max - b->len;
		if (want == 0) {
			/* Full: an error unless the input ends just here. */
			char c;

			n = read(fd, &c, 1);
			if (n == 0)
				return 0;
			if (n > 0) {
				errno = EFBIG;
				return -1;
			}
		} else {
			if ((to = buf_reserve(b, want)) == NULL) {
				errno = EFBIG;
				return -1;
			}
			n = read(fd, to, want);
		}
		if (n == 0)
			return 0;
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		b->len += (size_t)n;
		want = 65536;
	}
}

int
buf_read_file(struct buf *b, const char *path)
{
	int fd, r, saved;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	r = buf_read_fd(b, fd);
	saved = errno;
	(void)close(fd);
	errno = saved;
	return r;
}
