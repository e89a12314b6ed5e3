/*
 * A table from names to pointers, kept in order of insertion: the few hundred
 * files, roles and variable names of a site.  Open addressing over an array of
 * entries; entries are never removed.
 */
#include <assert.h>
#include <string.h>

#include "playbook/private.h"

static uint32_t
tab_slot(const struct tab *t, const char *key, uint32_t hash)
{
	uint32_t i, k;

	for (i = hash & (t->nindex - 1);; i = (i + 1) & (t->nindex - 1)) {
		if ((k = t->index[i]) == 0)
			return i;
		if (t->e[k - 1].hash == hash && strcmp(t->e[k - 1].key, key) == 0)
			return i;
	}
}

void *
tab_get(const struct tab *t, const char *key)
{
	uint32_t k;

	if (t->n == 0)
		return NULL;
	k = t->index[tab_slot(t, key, v_hash_str(key, strlen(key)))];
	return k == 0 ? NULL : t->e[k - 1].val;
}

static void
tab_grow(struct arena *a, struct tab *t)
{
	uint32_t i, ncap = t->cap == 0 ? 16 : t->cap * 2;

	assert(ncap < (1u << 28));
	t->e = arena_grow(a, t->e, t->n * sizeof(*t->e), ncap * sizeof(*t->e));
	t->cap = ncap;
	t->nindex = ncap * 2;
	t->index = ARENA_ARRAY(a, t->nindex, uint32_t);
	for (i = 0; i < t->n; i++)
		t->index[tab_slot(t, t->e[i].key, t->e[i].hash)] = i + 1;
}

void
tab_set(struct arena *a, struct tab *t, const char *key, void *val)
{
	uint32_t hash = v_hash_str(key, strlen(key)), slot;

	if (t->n == t->cap)
		tab_grow(a, t);
	slot = tab_slot(t, key, hash);
	if (t->index[slot] != 0) {
		t->e[t->index[slot] - 1].val = val;
		return;
	}
	t->e[t->n] = (struct tab_entry){ arena_strdup(a, key), val, hash };
	t->index[slot] = ++t->n;
}
