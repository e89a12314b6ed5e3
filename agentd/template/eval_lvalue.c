/*
 * Containers that methods change (append, update, pop …).
 *
 * Values are immutable once published, but templates may change the lists and
 * dicts they see, and see the change afterwards.  What this evaluation made
 * itself is changed in place; anything else is copied first (one level), and
 * the copy takes the original's place in the variable it was reached through:
 *
 *	l.append(1)		the slot of l, and what other templates of this
 *				evaluation see as l
 *	d.x['y'].append(1)	d, then d.x, then d.x.y
 */
#include "template/eval.h"

static struct value *
copy_level(struct eval *ev, const struct value *v)
{
	struct value *c;
	uint32_t i;

	if (v->type == V_LIST) {
		c = v_list(&ev->scratch);
		for (i = 0; i < v->u.list->n; i++)
			v_push(&ev->scratch, c, v->u.list->v[i]);
	} else {
		c = v_map(&ev->scratch);
		v_merge(&ev->scratch, c, v);
	}
	c->flags = v->flags;
	return c;
}

/* Puts the copy where the original came from. */
static bool
put_back(struct eval *ev, const struct node *n, struct value *copy)
{
	const struct value *obj, *key;
	const struct node *parent;
	struct value *w;
	struct act *a = ev->act;
	uint16_t up;

	switch (n->type) {
	case N_NAME:
		for (up = n->u.name.ref.up; up > 0; up--)
			a = a->up;
		a->slot[n->u.name.ref.slot] = copy;
		ctx_set(ev, ev->root, &n->u.name.n, copy, false);
		return true;
	case N_ATTR:
		parent = n->u.attr.obj;
		key = n->u.attr.key;
		break;
	case N_ITEM:
		parent = n->u.x.a;
		if ((key = eval_forced(ev, n->u.x.b)) == NULL)
			return false;
		break;
	default:
		return true;
	}
	if ((obj = eval_forced(ev, parent)) == NULL)
		return false;
	if (obj->type == V_OBJ && v_obj_ops(obj) == &namespace_ops && key->type == V_STR) {
		v_set(&ev->scratch, ((struct namespace *)obj->u.obj)->vars, key, copy);
		return true;
	}
	if (obj->type != V_LIST && obj->type != V_MAP)
		return true;
	if ((w = ev_writable(ev, parent, obj)) == NULL)
		return false;
	if (w->type == V_MAP)
		v_set(&ev->scratch, w, key, copy);
	else if (key->type == V_INT) {
		int64_t i = key->u.i < 0 ? key->u.i + w->u.list->n : key->u.i;

		if (i >= 0 && i < w->u.list->n)
			w->u.list->v[i] = copy;
	}
	return true;
}

struct value *
ev_writable(struct eval *ev, const struct node *n, const struct value *v)
{
	struct value *copy;

	if (arena_owns(&ev->scratch, v))
		return (struct value *)(uintptr_t)v;
	copy = copy_level(ev, v);
	if (n != NULL && !put_back(ev, n, copy))
		return NULL;
	return copy;
}
