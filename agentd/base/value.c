/* Values; see value.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/value.h"

#define SMALL	8	/* maps up to this many entries have no index */

const struct value v_null = { .type = V_NULL };
const struct value v_true = { .type = V_BOOL, .u.b = true };
const struct value v_false = { .type = V_BOOL };
const struct value v_omit = { .type = V_OMIT };
const struct value v_empty_str = { .type = V_STR, .u.s = "" };

static struct value *
new_value(struct arena *a, enum vtype type)
{
	struct value *v = ARENA_NEW(a, struct value);

	v->type = (uint8_t)type;
	return v;
}

struct value *
v_int(struct arena *a, int64_t i)
{
	struct value *v = new_value(a, V_INT);

	v->u.i = i;
	return v;
}

struct value *
v_float(struct arena *a, double f)
{
	struct value *v = new_value(a, V_FLOAT);

	v->u.f = f;
	return v;
}

struct value *
v_str_ref(struct arena *a, const char *s, size_t n)
{
	struct value *v = new_value(a, V_STR);

	assert(n <= UINT32_MAX && s[n] == '\0');
	v->u.s = s;
	v->len = (uint32_t)n;
	return v;
}

struct value *
v_strn(struct arena *a, const char *s, size_t n)
{
	return v_str_ref(a, arena_strndup(a, s, n), n);
}

struct value *
v_str(struct arena *a, const char *s)
{
	return v_strn(a, s, strlen(s));
}

struct value *
v_strf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return v_str_ref(a, s, strlen(s));
}

struct value *
v_undef(struct arena *a, const char *fmt, ...)
{
	struct value *v = new_value(a, V_UNDEF);
	va_list ap;

	va_start(ap, fmt);
	v->u.s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	v->len = (uint32_t)strlen(v->u.s);
	return v;
}

struct value *
v_list_room(struct arena *a, uint32_t n)
{
	struct all {
		struct value		 v;
		struct vlist		 l;
		const struct value	*e[];
	} *all = arena_alloc(a, sizeof(*all) + n * sizeof(all->e[0]));

	memset(all, 0, sizeof(*all));
	all->v.type = V_LIST;
	all->v.u.list = &all->l;
	all->l.v = all->e;
	all->l.cap = n;
	return &all->v;
}

struct value *
v_list(struct arena *a)
{
	return v_list_room(a, 0);
}

struct value *
v_map(struct arena *a)
{
	struct both {
		struct value	v;
		struct vmap	m;
	} *both = ARENA_NEW(a, struct both);

	both->v.type = V_MAP;
	both->v.u.map = &both->m;
	return &both->v;
}

const struct value *
v_flag(struct arena *a, const struct value *v, unsigned flags)
{
	struct value *copy;

	/* A template's value is larger than a struct value: it cannot be copied here. */
	assert(v->type != V_TMPL);
	if ((v->flags & flags) == flags)
		return v;
	copy = new_value(a, v->type);
	*copy = *v;
	copy->flags = (uint8_t)(copy->flags | flags);
	return copy;
}

const struct value *
v_with_mark(struct arena *a, const struct value *v, struct mark mark)
{
	struct value *copy;
	struct mark *m;

	assert(v->type != V_TMPL);
	copy = new_value(a, v->type);
	*copy = *v;
	m = ARENA_NEW(a, struct mark);
	*m = mark;
	copy->mark = m;
	return copy;
}

/* ---- lists --------------------------------------------------------------- */

static uint8_t
template_flag(const struct value *v)
{
	return v->type == V_TMPL ? V_HAS_TMPL :
	    v->type == V_LIST || v->type == V_MAP ? v->flags & V_HAS_TMPL : 0;
}

/* No room, or what marks V_HAS_TMPL. */
void
v_push_slow(struct arena *a, struct value *list, const struct value *v)
{
	struct vlist *l = list->u.list;

	assert(list->type == V_LIST);
	if (l->n == l->cap) {
		uint32_t cap = l->cap == 0 ? 4 : l->cap * 2;

		assert(cap > l->cap);
		l->v = arena_grow(a, l->v, l->n * sizeof(*l->v),
		    (size_t)cap * sizeof(*l->v));
		l->cap = cap;
	}
	l->v[l->n++] = v;
	list->flags |= template_flag(v);
}

/* ---- hashing and equality ------------------------------------------------ */

uint32_t
v_hash_str(const char *s, size_t n)
{
	/* FNV-1a, finished by a mix of the high bits. */
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h ^ h >> 15;
}

static uint32_t
hash_int(int64_t i)
{
	uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u;

	return (uint32_t)(x >> 32);
}

uint32_t
v_hash(const struct value *v)
{
	uint32_t h, i;

	switch (v->type) {
	case V_BOOL:
		return hash_int(v->u.b);
	case V_INT:
		return hash_int(v->u.i);
	case V_FLOAT:
		/* Floats that equal an integer hash like it. */
		if (v->u.f >= -9007199254740992.0 &&
		    v->u.f <= 9007199254740992.0 && floor(v->u.f) >= v->u.f)
			return hash_int((int64_t)v->u.f);
		return v_hash_str((const char *)&v->u.f, sizeof(v->u.f));
	case V_STR:
	case V_TMPL:
		return v_hash_str(v->u.s, v->len);
	case V_LIST:
		for (h = 7, i = 0; i < v->u.list->n; i++)
			h = h * 31 + v_hash(v->u.list->v[i]);
		return h;
	default:
		return v->type;
	}
}

bool
v_hashable(const struct value *v)
{
	uint32_t i;

	if (v->type == V_MAP)
		return false;
	if (v->type != V_LIST)
		return true;
	if (!(v->flags & V_TUPLE))
		return false;
	for (i = 0; i < v->u.list->n; i++)
		if (!v_hashable(v->u.list->v[i]))
			return false;
	return true;
}

static bool
is_number(const struct value *v)
{
	return v->type == V_BOOL || v->type == V_INT || v->type == V_FLOAT;
}

static bool
number_equal(const struct value *a, const struct value *b)
{
	int64_t ia = a->type == V_BOOL ? a->u.b : a->u.i;
	int64_t ib = b->type == V_BOOL ? b->u.b : b->u.i;
	double f;
	int64_t i;

	if (a->type != V_FLOAT && b->type != V_FLOAT)
		return ia == ib;
	if (a->type == V_FLOAT && b->type == V_FLOAT)
		return !(a->u.f < b->u.f) && !(a->u.f > b->u.f) &&
		    !isnan(a->u.f) && !isnan(b->u.f);
	f = a->type == V_FLOAT ? a->u.f : b->u.f;
	i = a->type == V_FLOAT ? ib : ia;
	/* Exact: a double beyond 2^63 equals no int64_t. */
	return f >= -9223372036854775808.0 && f < 9223372036854775808.0 &&
	    floor(f) >= f && (int64_t)f == i;
}

static bool
equal_depth(const struct value *a, const struct value *b, unsigned depth)
{
	const struct ventry *e;
	uint32_t i;

	if (a == b && a->type != V_FLOAT)
		return true;
	if (is_number(a) && is_number(b))
		return number_equal(a, b);
	if (a->type != b->type || depth > 2 * V_DEPTH_MAX)
		return false;
	switch (a->type) {
	case V_STR:
	case V_TMPL:
		return a->len == b->len && memcmp(a->u.s, b->u.s, a->len) == 0;
	case V_LIST:
		if (a->u.list->n != b->u.list->n ||
		    ((a->flags ^ b->flags) & V_TUPLE))
			return false;
		for (i = 0; i < a->u.list->n; i++)
			if (!equal_depth(a->u.list->v[i], b->u.list->v[i],
			    depth + 1))
				return false;
		return true;
	case V_MAP:
		if (a->u.map->n != b->u.map->n)
			return false;
		for (i = 0; (e = v_next(a, &i)) != NULL;) {
			const struct value *other = v_get(b, e->key);

			if (other == NULL ||
			    !equal_depth(e->val, other, depth + 1))
				return false;
		}
		return true;
	case V_OBJ:
		return a->u.obj == b->u.obj;
	default:
		return true;
	}
}

bool
v_equal(const struct value *a, const struct value *b)
{
	return equal_depth(a, b, 0);
}

bool
v_eqs(const struct value *v, const char *s)
{
	return v->type == V_STR && v->len == strlen(s) &&
	    memcmp(v->u.s, s, v->len) == 0;
}

/* ---- maps ---------------------------------------------------------------- */

/* The entry's number, or -1. With key NULL the key is text. */
static inline int64_t
find(const struct vmap *m, const struct value *key, const char *s, size_t len, uint32_t hash)
{
	uint32_t i, slot;

#define SAME(e)	((e)->hash == hash && (e)->key != NULL &&			\
	(key != NULL ? v_equal((e)->key, key) :				\
	((e)->key->type == V_STR && (e)->key->len == len &&			\
	memcmp((e)->key->u.s, s, len) == 0)))
	if (m->index == NULL) {
		for (i = 0; i < m->end; i++)
			if (SAME(&m->e[i]))
				return i;
		return -1;
	}
	for (slot = hash & (m->nindex - 1); m->index[slot] != 0;
	    slot = (slot + 1) & (m->nindex - 1)) {
		i = m->index[slot] - 1;
		if (SAME(&m->e[i]))
			return i;
	}
#undef SAME
	return -1;
}

/* Strings, nearly all keys, have a search of their own. */
static int64_t
find_entry(const struct vmap *m, const struct value *key, uint32_t hash)
{
	return key->type == V_STR ? find(m, NULL, key->u.s, key->len, hash) :
	    find(m, key, NULL, 0, hash);
}

static void
index_put(struct vmap *m, uint32_t i)
{
	uint32_t slot = m->e[i].hash & (m->nindex - 1);

	while (m->index[slot] != 0)
		slot = (slot + 1) & (m->nindex - 1);
	m->index[slot] = i + 1;
}

/* Room for one more entry, closing the gaps of removed ones. */
static void
map_grow(struct arena *a, struct vmap *m)
{
	uint32_t cap, i, n;
	struct ventry *e;

	cap = m->n < 4 ? 4 : m->n * 2;
	e = ARENA_ARRAY(a, cap, struct ventry);
	for (i = n = 0; i < m->end; i++)
		if (m->e[i].key != NULL)
			e[n++] = m->e[i];
	m->e = e;
	m->end = n;
	m->cap = cap;
	if (cap > SMALL) {
		m->nindex = 4 * SMALL;
		while (m->nindex < 2 * cap)
			m->nindex *= 2;
		m->index = ARENA_ARRAY(a, m->nindex, uint32_t);
		for (i = 0; i < n; i++)
			index_put(m, i);
	} else
		m->index = NULL;
}

void
v_set(struct arena *a, struct value *map, const struct value *key,
    const struct value *val)
{
	struct vmap *m = map->u.map;
	uint32_t hash = v_hash(key);
	int64_t i;

	assert(map->type == V_MAP);
	map->flags |= template_flag(val);
	if ((i = find_entry(m, key, hash)) >= 0) {
		m->e[i].val = val;
		return;
	}
	if (m->end == m->cap)
		map_grow(a, m);
	m->e[m->end] = (struct ventry){ key, val, hash };
	m->end++;
	m->n++;
	if (m->index != NULL)
		index_put(m, m->end - 1);
}

void
v_sets(struct arena *a, struct value *map, const char *key,
    const struct value *val)
{
	struct vmap *m = map->u.map;
	size_t len = strlen(key);
	int64_t i = find(m, NULL, key, len, v_hash_str(key, len));

	if (i >= 0) {
		m->e[i].val = val;
		map->flags |= template_flag(val);
	} else
		v_set(a, map, v_strn(a, key, len), val);
}

void
v_set_str(struct arena *a, struct value *map, const char *key, const char *s)
{
	v_sets(a, map, key, s == NULL ? &v_null : v_str(a, s));
}

void
v_set_int(struct arena *a, struct value *map, const char *key, int64_t i)
{
	v_sets(a, map, key, v_int(a, i));
}

void
v_set_bool(struct arena *a, struct value *map, const char *key, bool b)
{
	v_sets(a, map, key, v_bool(b));
}

bool
v_del(struct value *map, const struct value *key)
{
	struct vmap *m = map->u.map;
	int64_t i = find_entry(m, key, v_hash(key));

	if (i < 0)
		return false;
	m->e[i].key = m->e[i].val = NULL;	/* the index keeps pointing here: a tombstone */
	m->n--;
	return true;
}

bool
v_dels(struct value *map, const char *key)
{
	struct value k = { .type = V_STR, .len = (uint32_t)strlen(key), .u.s = key };

	return v_del(map, &k);
}

void
v_merge(struct arena *a, struct value *dst, const struct value *src)
{
	const struct ventry *e;
	uint32_t it = 0;

	while ((e = v_next(src, &it)) != NULL)
		v_set(a, dst, e->key, e->val);
}

const struct ventry *
v_next(const struct value *map, uint32_t *it)
{
	const struct vmap *m = map->u.map;

	assert(map->type == V_MAP);
	while (*it < m->end) {
		const struct ventry *e = &m->e[(*it)++];

		if (e->key != NULL)
			return e;
	}
	return NULL;
}

uint32_t
v_count(const struct value *v)
{
	return v->type == V_LIST ? v->u.list->n :
	    v->type == V_MAP ? v->u.map->n : 0;
}

const struct value *
v_at(const struct value *list, uint32_t i)
{
	assert(list->type == V_LIST);
	return i < list->u.list->n ? list->u.list->v[i] : NULL;
}

const struct value *
v_get(const struct value *map, const struct value *key)
{
	int64_t i;

	if (map == NULL || map->type != V_MAP)
		return NULL;
	i = find_entry(map->u.map, key, v_hash(key));
	return i < 0 ? NULL : map->u.map->e[i].val;
}

const struct value *
v_getn(const struct value *map, const char *key, size_t len, uint32_t hash)
{
	int64_t i;

	if (map == NULL || map->type != V_MAP)
		return NULL;
	i = find(map->u.map, NULL, key, len, hash);
	return i < 0 ? NULL : map->u.map->e[i].val;
}

const struct value *
v_gets(const struct value *map, const char *key)
{
	size_t len = strlen(key);

	return v_getn(map, key, len, v_hash_str(key, len));
}

const char *
v_get_str(const struct value *map, const char *key, const char *def)
{
	const struct value *v = v_gets(map, key);

	return v != NULL && v->type == V_STR ? v->u.s : def;
}

int64_t
v_get_int(const struct value *map, const char *key, int64_t def)
{
	const struct value *v = v_gets(map, key);

	return v != NULL && v->type == V_INT ? v->u.i : def;
}

bool
v_get_bool(const struct value *map, const char *key, bool def)
{
	const struct value *v = v_gets(map, key);

	return v != NULL && v->type == V_BOOL ? v->u.b : def;
}

/* ---- whole values -------------------------------------------------------- */

const struct value *
v_copy(struct arena *a, const struct value *v)
{
	const struct ventry *e;
	struct value *copy;
	uint32_t i;

	switch (v->type) {
	case V_TMPL:
	case V_OBJ:
		return v;
	case V_LIST:
		copy = v_list(a);
		for (i = 0; i < v->u.list->n; i++)
			v_push(a, copy, v_copy(a, v->u.list->v[i]));
		break;
	case V_MAP:
		copy = v_map(a);
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			v_set(a, copy, v_copy(a, e->key), v_copy(a, e->val));
		break;
	default:
		if (v == &v_null || v == &v_true || v == &v_false || v == &v_omit)
			return v;
		copy = new_value(a, v->type);
		*copy = *v;
		if ((v->type == V_STR || v->type == V_UNDEF) && v->u.s != NULL)
			copy->u.s = arena_strndup(a, v->u.s, v->len);
	}
	copy->flags = v->flags;
	copy->mark = v->mark;
	return copy;
}

static inline bool
below(const struct value *v, unsigned flag)
{
	return (v->flags & flag) || ((v->type == V_LIST || v->type == V_MAP) && v_any_flag(v, flag));
}

bool
v_any_flag(const struct value *v, unsigned flag)
{
	const struct ventry *e;
	uint32_t i;

	if (v->flags & flag)
		return true;
	if (v->type == V_LIST) {
		for (i = 0; i < v->u.list->n; i++)
			if (below(v->u.list->v[i], flag))
				return true;
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			if (below(e->key, flag) || below(e->val, flag))
				return true;
	}
	return false;
}

const char *
v_type_name(const struct value *v)
{
	static const char *const names[] = {
		"undefined", "null", "a boolean", "an integer", "a float",
		"a string", "a list", "a map", "a template", "omit", "an object"
	};

	return names[v->type];
}

struct mark
v_mark(const struct value *v)
{
	return v->mark != NULL ? *v->mark : (struct mark){ 0 };
}
