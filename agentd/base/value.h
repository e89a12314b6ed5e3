/*
 * Values: what playbooks, variables, facts, arguments and results are made of.
 *
 * A value lives in an arena and is immutable once it is published: while it is
 * under construction its maker holds a plain pointer, everybody else a const
 * one.  To outlive its arena it is copied (v_copy).  Values may share parts
 * freely, there are no cycles.
 *
 * Types follow Python's, since the language does: integers are 64 bit (an
 * overflow is an error, never a wrap), strings are UTF-8 with a length and may
 * hold NUL, maps keep insertion order and take any hashable key, True == 1 ==
 * 1.0.  On top of these:
 *
 *	V_TMPL	a string from a playbook, variable file or role that holds a
 *		template.  Only the loader makes these: a string that came
 *		from a host, a command or a lookup stays V_STR for ever and
 *		can never become code.
 *	V_UNDEF	an undefined result, with the message it would give.
 *	V_OMIT	the value of `omit`.
 *	V_OBJ	something of the template engine's (macro, range, date …);
 *		never stored, never sent.
 *
 * The secret bit follows a value through every operation of the template
 * engine; whatever prints or stores values censors those that have it.
 *
 * Costs: 24 bytes a value on 64-bit machines; maps up to 8 entries are
 * searched in order, larger ones through an index of hashes.
 */
#ifndef PROVCTL_BASE_VALUE_H
#define PROVCTL_BASE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum vtype {
	V_UNDEF, V_NULL, V_BOOL, V_INT, V_FLOAT, V_STR, V_LIST, V_MAP,
	V_TMPL, V_OMIT, V_OBJ
};

/* Flags. */
#define V_SECRET	0x01	/* never shown, logged or stored in the clear */
#define V_RAW		0x02	/* a file's string that is no template (!unsafe) */
#define V_TUPLE		0x04	/* a V_LIST that Python would call a tuple */
#define V_HAS_TMPL	0x08	/* a V_LIST or V_MAP with a V_TMPL somewhere below */
#define V_PLAIN		0x10	/* a file's plain (unquoted) scalar: used by k=v and bare checks */

#define V_DEPTH_MAX	100	/* nesting that anything from outside may have */

struct value;

struct vlist {
	const struct value	**v;
	uint32_t		  n, cap;
};

struct ventry {
	const struct value	*key;
	const struct value	*val;
	uint32_t		 hash;
};

struct vmap {
	struct ventry	*e;		/* in order of insertion; removed ones have key NULL */
	uint32_t	*index;		/* NULL while small; open addressing, 0 = free, else entry + 1 */
	uint32_t	 n;		/* entries in use */
	uint32_t	 end;		/* entries including removed ones */
	uint32_t	 cap, nindex;
};

struct vobj_ops;		/* template/ */

struct value {
	uint8_t			 type;	/* enum vtype */
	uint8_t			 flags;
	uint16_t		 tag;	/* free for the owner of a V_OBJ */
	uint32_t		 len;	/* V_STR, V_TMPL, V_UNDEF: bytes of s */
	union {
		bool		 b;
		int64_t		 i;
		double		 f;
		const char	*s;	/* V_STR; V_TMPL: its source text; V_UNDEF: message or NULL */
		struct vlist	*list;
		struct vmap	*map;
		void		*obj;
	} u;
	const struct mark	*mark;	/* NULL: not from a file */
};
/* A V_TMPL is a struct value followed by its compiled form: template/template.h. */

/* ---- making ------------------------------------------------------------- */

extern const struct value v_null, v_true, v_false, v_omit, v_empty_str;

static inline const struct value *
v_bool(bool b)
{
	return b ? &v_true : &v_false;
}

struct value	*v_int(struct arena *, int64_t);
struct value	*v_float(struct arena *, double);
struct value	*v_str(struct arena *, const char *);		/* copies */
struct value	*v_strn(struct arena *, const char *, size_t);	/* copies */
/* Points to the text, which must be NUL-terminated and outlive the value. */
struct value	*v_str_ref(struct arena *, const char *, size_t);
struct value	*v_strf(struct arena *, const char *fmt, ...) ATTR_PRINTF(2, 3);
struct value	*v_list(struct arena *);
/* An empty list with room for n elements. */
struct value	*v_list_room(struct arena *, uint32_t n);
struct value	*v_map(struct arena *);
struct value	*v_undef(struct arena *, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* The same value (shallow copy) with flags added. */
const struct value *v_flag(struct arena *, const struct value *, unsigned flags);
const struct value *v_with_mark(struct arena *, const struct value *, struct mark);

void	v_push_slow(struct arena *, struct value *list, const struct value *);
static inline void
v_push(struct arena *a, struct value *list, const struct value *v)
{
	struct vlist *l = list->u.list;

	if (l->n < l->cap && v->type < V_LIST)
		l->v[l->n++] = v;
	else
		v_push_slow(a, list, v);
}
/* Sets or replaces; a replaced key keeps its place. Marks V_HAS_TMPL upwards one level. */
void	v_set(struct arena *, struct value *map, const struct value *key,
	    const struct value *val);
void	v_sets(struct arena *, struct value *map, const char *key,
	    const struct value *val);			/* key is copied */
void	v_set_str(struct arena *, struct value *map, const char *key, const char *);
void	v_set_int(struct arena *, struct value *map, const char *key, int64_t);
void	v_set_bool(struct arena *, struct value *map, const char *key, bool);
/* True when it was there. */
bool	v_del(struct value *map, const struct value *key);
bool	v_dels(struct value *map, const char *key);
/* Puts all of src's entries into dst. */
void	v_merge(struct arena *, struct value *dst, const struct value *src);

/* ---- reading ------------------------------------------------------------ */

static inline bool v_is_str(const struct value *v) { return v->type == V_STR; }
static inline bool v_is_list(const struct value *v) { return v->type == V_LIST; }
static inline bool v_is_map(const struct value *v) { return v->type == V_MAP; }
static inline bool v_is_null(const struct value *v) { return v->type == V_NULL; }
static inline bool v_is_tmpl(const struct value *v) { return v->type == V_TMPL; }

/* Number of elements of a list or map, characters are not counted here: 0 for others. */
uint32_t	 v_count(const struct value *);
const struct value *v_at(const struct value *list, uint32_t i);	/* NULL: out of range */
/* NULL when the map lacks the key (or is NULL or no map). */
const struct value *v_get(const struct value *map, const struct value *key);
const struct value *v_gets(const struct value *map, const char *key);
const struct value *v_getn(const struct value *map, const char *key, size_t len,
	    uint32_t hash);	/* hash as of v_hash_str */
/* Shortcuts with a default for a missing key or another type. */
const char	*v_get_str(const struct value *map, const char *key, const char *def);
int64_t		 v_get_int(const struct value *map, const char *key, int64_t def);
bool		 v_get_bool(const struct value *map, const char *key, bool def);

/*
 * Walks a map in order:
 *	for (it = 0; (e = v_next(map, &it)) != NULL;)
 */
const struct ventry *v_next(const struct value *map, uint32_t *it);

uint32_t	 v_hash_str(const char *, size_t);
uint32_t	 v_hash(const struct value *);		/* equal values hash alike */
bool		 v_hashable(const struct value *);
bool		 v_equal(const struct value *, const struct value *);	/* Python's == */
bool		 v_eqs(const struct value *, const char *);	/* a V_STR with this text */
/* A deep copy. Marks and V_TMPL (with its compiled form) are shared, not copied. */
const struct value *v_copy(struct arena *, const struct value *);
/* True when the value or anything in it has the flag. */
bool		 v_any_flag(const struct value *, unsigned flag);
const char	*v_type_name(const struct value *);	/* for messages: "a string", "a list" … */
struct mark	 v_mark(const struct value *);		/* an empty mark when it has none */

#endif
