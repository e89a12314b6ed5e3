/* Arenas; see arena.h. */
#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)	ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n)	ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)	((void)(p), (void)(n))
#define UNPOISON(p, n)	((void)(p), (void)(n))
#endif

#define CHUNK_MIN	((size_t)4096)
#define CHUNK_MAX	((size_t)1 << 20)
#define ALLOC_MAX	((size_t)1 << 40)

_Static_assert(ARENA_ALIGN >= alignof(max_align_t), "every type fits");

struct arena_chunk {
	struct arena_chunk	*older;
	size_t			 size;	/* of data */
	alignas(max_align_t) char data[];
};

static void ATTR_NORETURN
out_of_memory(size_t n)
{
	fprintf(stderr, "provctl: out of memory (%zu bytes)\n", n);
	abort();
}

void
arena_init(struct arena *a)
{
	memset(a, 0, sizeof(*a));
}

static void
free_chunks(struct arena_chunk *c)
{
	while (c != NULL) {
		struct arena_chunk *older = c->older;

		UNPOISON(c->data, c->size);
		free(c);
		c = older;
	}
}

void
arena_release(struct arena *a)
{
	free_chunks(a->chunks);
	arena_init(a);
}

void
arena_clear(struct arena *a)
{
	struct arena_chunk *oldest = a->chunks, *c;

	if (oldest == NULL)
		return;
	while (oldest->older != NULL)
		oldest = oldest->older;
	for (c = a->chunks; c != oldest;) {
		struct arena_chunk *older = c->older;

		UNPOISON(c->data, c->size);
		free(c);
		c = older;
	}
	a->chunks = oldest;
	a->next = oldest->data;
	a->end = oldest->data + oldest->size;
	a->used = 0;
	POISON(oldest->data, oldest->size);
}

/*
 * A new chunk.  A request that is large beside the usual chunk gets one of its
 * own, linked behind the current one so that its free space is not lost.
 */
static void *
new_chunk(struct arena *a, size_t n)
{
	size_t usual = a->chunks == NULL ? CHUNK_MIN : a->chunks->size * 2;
	struct arena_chunk *c;
	bool own;

	if (usual > CHUNK_MAX)
		usual = CHUNK_MAX;
	own = a->chunks != NULL && n > usual / 4;
	if (!own && usual < n)
		usual = n;
	if (own)
		usual = n;
	if ((c = malloc(sizeof(*c) + usual)) == NULL)
		out_of_memory(n);
	c->size = usual;
	POISON(c->data, c->size);
	if (own) {
		c->older = a->chunks->older;
		a->chunks->older = c;
	} else {
		c->older = a->chunks;
		a->chunks = c;
		a->next = c->data + n;
		a->end = c->data + usual;
	}
	return c->data;
}

void *
arena_alloc_slow(struct arena *a, size_t size)
{
	size_t n = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	void *p;

	if (size > ALLOC_MAX)
		out_of_memory(size);
	if (n == 0)
		n = ARENA_ALIGN;
	a->used += n;
	if ((size_t)(a->end - a->next) >= n && a->next != NULL) {
		p = a->next;
		a->next += n;
	} else
		p = new_chunk(a, n);
	UNPOISON(p, size);
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory(n);
	return arena_zalloc(a, total);
}

void *
arena_grow(struct arena *a, const void *old, size_t old_size, size_t new_size)
{
	void *p = arena_alloc(a, new_size);

	assert(new_size >= old_size);
	if (old_size > 0)
		memcpy(p, old, old_size);
	memset((char *)p + old_size, 0, new_size - old_size);
	return p;
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (n > 0)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

bool
arena_owns(const struct arena *a, const void *p)
{
	const struct arena_chunk *c;
	uintptr_t at = (uintptr_t)p;

	for (c = a->chunks; c != NULL; c = c->older)
		if (at >= (uintptr_t)c->data && at < (uintptr_t)c->data + c->size)
			return true;
	return false;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list ap2;
	char *p;
	int n;

	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap2);
	va_end(ap2);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (p == NULL)
		out_of_memory(n);
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

	if (p == NULL)
		out_of_memory(n);
	return p;
}

void *
xreallocarray(void *old, size_t n, size_t size)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory(n);
	if ((p = realloc(old, total == 0 ? 1 : total)) == NULL)
		out_of_memory(total);
	return p;
}

char *
xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}
