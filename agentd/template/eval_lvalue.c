/*
 * Containers that methods change (append, update, pop …).
 *
 * Values are immutable once published, but templates may change the lists and
 * dicts they see, and see the change afterwards.  A template that could do so works on
 * a copy of each variable's container, made when it is first read (V_OWN): as in Ansible it
 * is the same object wherever it goes, and forgotten at the end.  A container made in
 * the template is an object too, but macros and filters get a copy.
 *
 * What is reached by other ways (hostvars) is copied when it is changed: the change
 * is seen through the same expression's value only.
 */
#include "template/eval.h"

/* Made by this evaluation, its memory too: a flagged value may share that with the original. */
static bool
owned(const struct eval *ev, const struct value *v)
{
	return arena_owns(&ev->scratch, v) &&
	    arena_owns(&ev->scratch, v->type == V_LIST ? (const void *)v->u.list : (const void *)v->u.map);
}

/* keep: containers of variables stay what they are, others become such. Else nothing of them is left. */
static const struct value *
copy_deep(struct eval *ev, const struct value *v, bool keep, unsigned depth)
{
	const struct value *part;
	const struct ventry *e;
	struct value *c;
	uint32_t i, it;

	if ((v->type != V_LIST && v->type != V_MAP) || (keep && (v->flags & V_OWN)) || depth > V_DEPTH_MAX)
		return v;
	if (!ev_step(ev))
		return NULL;
	c = v->type == V_LIST ? v_list_room(&ev->scratch, v_count(v)) : v_map(&ev->scratch);
	for (i = 0; v->type == V_LIST && i < v->u.list->n; i++) {
		if ((part = copy_deep(ev, v->u.list->v[i], keep, depth + 1)) == NULL)
			return NULL;
		v_push(&ev->scratch, c, part);
	}
	for (it = 0; v->type == V_MAP && (e = v_next(v, &it)) != NULL;) {
		if ((part = copy_deep(ev, e->val, keep, depth + 1)) == NULL)
			return NULL;
		v_set(&ev->scratch, c, e->key, part);
	}
	c->flags |= (v->flags & (uint8_t)~V_OWN) | (keep ? V_OWN : 0);
	c->tag = v->tag;
	c->mark = v->mark;
	return c;
}

const struct value *
ev_own(struct eval *ev, const struct value *v)
{
	/* By its memory: flags make other values of the same container. */
	const void *key = v->type == V_LIST ? (const void *)v->u.list : (const void *)v->u.map;
	const struct value *copy;

	if (v->flags & V_OWN)
		return v;
	if (owned(ev, v)) {	/* a variable's template made it */
		((struct value *)(uintptr_t)v)->flags |= V_OWN;
		return v;
	}
	if ((copy = *ev_cached(ev, key)) == NULL && (copy = copy_deep(ev, v, true, 0)) != NULL)
		*ev_cached(ev, key) = copy;
	return copy;
}

const struct value *
ev_hand_on(struct eval *ev, const struct value *v)
{
	return owned(ev, v) ? copy_deep(ev, v, true, 0) : ev_own(ev, v);
}

const struct value *
ev_snapshot(struct eval *ev, const struct value *v)
{
	return copy_deep(ev, v, false, 0);
}

struct value *
ev_writable(struct eval *ev, const struct value *v)
{
	if (!owned(ev, v))
		v = ev_own(ev, v);
	return (struct value *)(uintptr_t)v;
}

/* Where a container or namespace keeps what it holds; NULL for other values. */
static const void *
memory(const struct value *v)
{
	return v->type == V_LIST ? (const void *)v->u.list : v->type == V_MAP ? (const void *)v->u.map :
	    v_obj_ops(v) == &namespace_ops ? (const void *)v->u.obj : NULL;
}

/* 1: v is what has this memory, or holds it; -1 after an error. */
static int
holds(struct eval *ev, const struct value *v, const void *what, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;
	int r = 0;

	/* What this evaluation did not make holds nothing that it made. */
	if (memory(v) == NULL || !arena_owns(&ev->scratch, memory(v)))
		return 0;
	if (memory(v) == what)
		return 1;
	if (depth > V_DEPTH_MAX) {
		ev_error(ev, ERR_LIMIT, "a value nested more than %d levels deep", V_DEPTH_MAX);
		return -1;
	}
	if (!ev_step(ev))
		return -1;
	if (v->type == V_OBJ)
		v = ((const struct namespace *)v->u.obj)->vars;
	for (i = 0; r == 0 && v->type == V_LIST && i < v->u.list->n; i++)
		r = holds(ev, v->u.list->v[i], what, depth + 1);
	for (it = 0; r == 0 && v->type == V_MAP && (e = v_next(v, &it)) != NULL;)
		r = holds(ev, e->val, what, depth + 1);
	return r;
}

/* Values have no cycles: nothing is put into what it holds. */
bool
ev_may_take(struct eval *ev, const struct value *self, const struct value *v)
{
	int r = holds(ev, v, memory(self), 0);

	if (r > 0)
		ev_error(ev, ERR_LIMIT, "a %s cannot hold itself", tmpl_py_type(self));
	return r == 0;
}
