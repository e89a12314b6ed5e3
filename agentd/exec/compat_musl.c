/*
 * What Debian's static libraries (PCRE2, BearSSL, libxcrypt …), compiled with glibc's
 * FORTIFY, call in place of memcpy and friends, and musl does not have.  The
 * checks are kept: an overflow aborts.  Empty outside the executor.
 */
#include <sys/random.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PROVCTL_EXECUTOR

void	*__memcpy_chk(void *, const void *, size_t, size_t);
void	*__memmove_chk(void *, const void *, size_t, size_t);
void	*__memset_chk(void *, int, size_t, size_t);
int	 __snprintf_chk(char *, size_t, int, size_t, const char *, ...);
int	 __vsnprintf_chk(char *, size_t, int, size_t, const char *, va_list);
int	 __fprintf_chk(FILE *, int, const char *, ...);
void	 __explicit_bzero_chk(void *, size_t, size_t);
void	 arc4random_buf(void *, size_t);
unsigned long __isoc23_strtoul(const char *, char **, int);
#undef fopen64
FILE	*fopen64(const char *, const char *);

/* glibc's name for what every fopen of musl is. */
FILE *
fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

/* What glibc 2.38 and later make of strtoul(): the same, and 0b as well in C23. */
unsigned long
__isoc23_strtoul(const char *s, char **end, int base)
{
	return strtoul(s, end, base);
}

void *
__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
	if (n > room)
		abort();
	return memcpy(to, from, n);
}

void *
__memmove_chk(void *to, const void *from, size_t n, size_t room)
{
	if (n > room)
		abort();
	return memmove(to, from, n);
}

void *
__memset_chk(void *to, int c, size_t n, size_t room)
{
	if (n > room)
		abort();
	return memset(to, c, n);
}

void
__explicit_bzero_chk(void *to, size_t n, size_t room)
{
	if (n > room)
		abort();
	explicit_bzero(to, n);
}

void
arc4random_buf(void *to, size_t n)
{
	unsigned char *p = to;
	ssize_t k;

	for (; n > 0; p += k, n -= (size_t)k)
		if ((k = getrandom(p, n > 256 ? 256 : n, 0)) < 0) {
			if (errno != EINTR)
				abort();
			k = 0;
		}
}

int
__vsnprintf_chk(char *to, size_t n, int flag, size_t room, const char *fmt,
    va_list ap)
{
	(void)flag;
	if (n > room)
		abort();
	return vsnprintf(to, n, fmt, ap);
}

int
__snprintf_chk(char *to, size_t n, int flag, size_t room, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = __vsnprintf_chk(to, n, flag, room, fmt, ap);
	va_end(ap);
	return len;
}

int
__fprintf_chk(FILE *to, int flag, const char *fmt, ...)
{
	va_list ap;
	int len;

	(void)flag;
	va_start(ap, fmt);
	len = vfprintf(to, fmt, ap);
	va_end(ap);
	return len;
}

#endif
