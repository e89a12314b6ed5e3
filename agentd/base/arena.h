/*
 * Arenas: memory with a named lifetime, freed as a whole.
 *
 * Every object belongs to exactly one arena (daemon > run > host > task) and
 * is never freed alone.  Allocation is a pointer bump; chunks double in size
 * from 4 KiB to 1 MiB, larger requests get a chunk of their own.  Running out
 * of memory, or asking for an absurd size, logs and aborts: callers never
 * check for NULL.
 *
 *	arena ── chunk (newest) ── chunk ── chunk (oldest)
 */
#ifndef PROVCTL_BASE_ARENA_H
#define PROVCTL_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compat.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#define ARENA_ALIGN	((size_t)16)	/* fits every type */

struct arena_chunk;

struct arena {
	struct arena_chunk	*chunks;	/* newest first */
	char			*next;		/* free space in the newest */
	char			*end;
	size_t			 used;		/* bytes handed out */
};

/* An arena that is all zero bytes is initialised and empty. */
void	 arena_init(struct arena *);
/* Frees everything; the arena is empty again and may be reused. */
void	 arena_release(struct arena *);
/* Like release, but keeps the oldest chunk for reuse: for per-task arenas. */
void	 arena_clear(struct arena *);

/* arena_alloc() when the newest chunk has no room, or memory is poisoned for ASan. */
void	*arena_alloc_slow(struct arena *, size_t) ATTR_MALLOC;

/* Uninitialised memory, aligned for any type; size 0 gives a unique pointer. */
static inline void *arena_alloc(struct arena *, size_t) ATTR_MALLOC;
static inline void *
arena_alloc(struct arena *a, size_t size)
{
#ifndef ARENA_ASAN
	size_t n = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	char *p = a->next;

	/* 0, also of an absurd size that wrapped, is the slow half's. */
	if (n - 1 < (size_t)(a->end - p)) {
		a->next = p + n;
		a->used += n;
		return p;
	}
#endif
	return arena_alloc_slow(a, size);
}

/* Zeroed memory. */
static inline void *arena_zalloc(struct arena *, size_t) ATTR_MALLOC;
static inline void *
arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

/* Zeroed array; aborts when n * size overflows. */
void	*arena_array(struct arena *, size_t n, size_t size) ATTR_MALLOC;
/* Moves an array to a larger one; the old memory stays until release. */
void	*arena_grow(struct arena *, const void *old, size_t old_size,
	    size_t new_size);

/* True when the memory was handed out by this arena. */
bool	 arena_owns(const struct arena *, const void *);

char	*arena_strdup(struct arena *, const char *);
/* Copies exactly n bytes (which may hold NUL) and adds a NUL. */
char	*arena_strndup(struct arena *, const char *, size_t n);
char	*arena_printf(struct arena *, const char *fmt, ...) ATTR_PRINTF(2, 3);
char	*arena_vprintf(struct arena *, const char *fmt, va_list)
	    ATTR_PRINTF(2, 0);

#define ARENA_NEW(arena, type)		((type *)arena_zalloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, n, type)	((type *)arena_array((arena), (n), sizeof(type)))

/* malloc and friends for the few things with a life of their own; abort when out of memory. */
void	*xmalloc(size_t) ATTR_MALLOC;
void	*xcalloc(size_t n, size_t size) ATTR_MALLOC;
void	*xreallocarray(void *, size_t n, size_t size);
char	*xstrdup(const char *) ATTR_MALLOC;

#endif
