/*
 * CPython's set, as far as the order of integers in it goes: see pyset.h.
 *
 * A table of 2^n entries, at most three fifths full; a hash's place is looked for in
 * runs of ten neighbours.  Removed entries stay as tombstones, which are used again,
 * until the table is built anew.  The order is that of the table.
 */
#include <string.h>

#include "base/arena.h"
#include "template/pyset.h"

#define NEIGHBOURS	9
#define SMALLEST	8
#define ELEMENTS_MAX	100000u

struct set {
	struct arena		 *arena;
	const struct value	**key;		/* NULL: free, &gone: removed */
	size_t			  mask, fill, used;
};

static const struct value gone = { .type = V_NULL };

static int64_t
number(const struct value *v)
{
	return v->type == V_BOOL ? v->u.b : v->u.i;
}

static size_t
hash(const struct value *v)
{
	int64_t h = number(v) % (((int64_t)1 << 61) - 1);

	return (size_t)(h == -1 ? -2 : h);
}

/* The entry of an equal key, or the free one where it belongs. *tomb: the last tombstone on the way, or NULL. */
static const struct value **
place(const struct set *s, const struct value *v, const struct value ***tomb)
{
	size_t perturb = hash(v), i = perturb & s->mask, end, k;

	*tomb = NULL;
	for (;;) {
		end = i + (i + NEIGHBOURS <= s->mask ? NEIGHBOURS : 0);
		for (k = i; k <= end; k++) {
			if (s->key[k] == &gone)
				*tomb = &s->key[k];
			else if (s->key[k] == NULL || number(s->key[k]) == number(v))
				return &s->key[k];
		}
		perturb >>= 5;
		i = (i * 5 + 1 + perturb) & s->mask;
	}
}

static void
resize(struct set *s, size_t wanted)
{
	struct set new = { .arena = s->arena, .fill = s->used, .used = s->used };
	const struct value **tomb;
	size_t size = SMALLEST, i;

	while (size <= wanted)
		size *= 2;
	new.mask = size - 1;
	new.key = ARENA_ARRAY(s->arena, size, const struct value *);
	for (i = 0; s->key != NULL && i <= s->mask; i++)
		if (s->key[i] != NULL && s->key[i] != &gone)
			*place(&new, s->key[i], &tomb) = s->key[i];
	*s = new;
}

static void
add(struct set *s, const struct value *v)
{
	const struct value **tomb, **p = place(s, v, &tomb);

	if (*p != NULL)
		return;
	s->used++;
	if (tomb != NULL) {
		*tomb = v;
		return;
	}
	*p = v;
	s->fill++;
	if (s->fill * 5 >= s->mask * 3)
		resize(s, s->used > 50000 ? s->used * 2 : s->used * 4);
}

static bool
has(const struct set *s, const struct value *v)
{
	const struct value **tomb;

	return *place(s, v, &tomb) != NULL;
}

static bool
discard(struct set *s, const struct value *v)
{
	const struct value **tomb, **p = place(s, v, &tomb);

	if (*p == NULL)
		return false;
	*p = &gone;
	s->used--;
	return true;
}

/* Walks over the elements in order. */
static const struct value *
next(const struct set *s, size_t *i)
{
	while (*i <= s->mask) {
		const struct value *v = s->key[(*i)++];

		if (v != NULL && v != &gone)
			return v;
	}
	return NULL;
}

static struct set
empty(struct arena *a)
{
	struct set s = { .arena = a };

	resize(&s, 0);
	return s;
}

static void
merge(struct set *s, const struct set *other)
{
	const struct value *v, **tomb;
	size_t i = 0;

	if ((s->fill + other->used) * 5 >= s->mask * 3)
		resize(s, (s->used + other->used) * 2);
	if (s->fill == 0 && s->mask == other->mask && other->fill == other->used) {
		memcpy(s->key, other->key, (s->mask + 1) * sizeof(*s->key));
		s->fill = s->used = other->used;
		return;
	}
	if (s->fill > 0) {
		while ((v = next(other, &i)) != NULL)
			add(s, v);
		return;
	}
	s->fill = s->used = other->used;
	while ((v = next(other, &i)) != NULL)
		*place(s, v, &tomb) = v;
}

static struct set
made_of(struct arena *a, const struct vlist *l)
{
	struct set s = empty(a);
	uint32_t i;

	for (i = 0; i < l->n; i++)
		add(&s, l->v[i]);
	return s;
}

static struct set
intersection(const struct set *a, const struct set *b)
{
	const struct set *walk = b->used > a->used ? a : b, *in = walk == a ? b : a;
	struct set r = empty(a->arena);
	const struct value *v;
	size_t i = 0;

	while ((v = next(walk, &i)) != NULL)
		if (has(in, v))
			add(&r, v);
	return r;
}

static struct set
difference(const struct set *a, const struct set *b)
{
	struct set r = empty(a->arena);
	const struct value *v;
	size_t i = 0;

	if (a->used >> 2 > b->used) {
		merge(&r, a);
		while ((v = next(b, &i)) != NULL)
			discard(&r, v);
		if (r.fill - r.used > r.mask / 5)
			resize(&r, r.used > 50000 ? r.used * 2 : r.used * 4);
		return r;
	}
	while ((v = next(a, &i)) != NULL)
		if (!has(b, v))
			add(&r, v);
	return r;
}

/* Python starts from the second. */
static struct set
symmetric_difference(const struct set *a, const struct set *b)
{
	struct set r = empty(a->arena);
	const struct value *v;
	size_t i = 0;

	merge(&r, b);
	while ((v = next(a, &i)) != NULL)
		if (!discard(&r, v))
			add(&r, v);
	return r;
}

static bool
integers(const struct vlist *l)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		if (l->v[i]->type != V_INT && l->v[i]->type != V_BOOL)
			return false;
	return l->n <= ELEMENTS_MAX;
}

bool
pyset(struct arena *arena, char op, const struct vlist *la, const struct vlist *lb, struct value *out)
{
	struct set a, b, r;
	const struct value *v;
	size_t i = 0;

	if (!integers(la) || !integers(lb))
		return false;
	a = made_of(arena, la);
	b = made_of(arena, lb);
	if (op == '|') {
		r = empty(arena);
		merge(&r, &a);
		merge(&r, &b);
	} else
		r = op == '&' ? intersection(&a, &b) : op == '-' ? difference(&a, &b) :
		    symmetric_difference(&a, &b);
	while ((v = next(&r, &i)) != NULL)
		v_push(arena, out, v);
	return true;
}
