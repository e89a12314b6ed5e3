/*
 * Compiler attributes and cleanup helpers, for gcc and clang, glibc and musl.
 */
#ifndef PROVCTL_BASE_COMPAT_H
#define PROVCTL_BASE_COMPAT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

#define ATTR_PRINTF(fmt, args)	__attribute__((format(printf, fmt, args)))
#define ATTR_MALLOC		__attribute__((malloc, returns_nonnull, warn_unused_result))
#define FALLTHROUGH		__attribute__((fallthrough))
#define ATTR_UNUSED		__attribute__((unused))
#define ATTR_NORETURN		__attribute__((noreturn))
#define ATTR_NONNULL		__attribute__((nonnull))
#define ATTR_MUST_USE		__attribute__((warn_unused_result))

#define NITEMS(array)		(sizeof(array) / sizeof((array)[0]))

/* Frees or closes when the variable goes out of scope. */
#define CLEANUP_FREE		__attribute__((cleanup(cleanup_free_)))
#define CLEANUP_CLOSE		__attribute__((cleanup(cleanup_close_)))
#define CLEANUP_FCLOSE		__attribute__((cleanup(cleanup_fclose_)))
#define CLEANUP_CLOSEDIR	__attribute__((cleanup(cleanup_closedir_)))

static inline void
cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void
cleanup_close_(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void
cleanup_fclose_(FILE **f)
{
	if (*f != NULL)
		(void)fclose(*f);
}

static inline void
cleanup_closedir_(DIR **d)
{
	if (*d != NULL)
		(void)closedir(*d);
}

#endif
