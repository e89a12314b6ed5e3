/*
 * Objects of the template language: what is neither text nor number nor
 * container, and lives only while an evaluation runs (range, macro, loop,
 * namespace, datetime …).
 *
 * A V_OBJ's u.obj points to a struct that starts with a struct vobj; its ops
 * say what Python's protocols do with it.  Every member but type may be NULL:
 * then objects of that type cannot do it and the evaluator says so as Python does.
 *
 *	struct range { struct vobj o; int64_t start, stop, step; };
 *	v = v_obj(arena, &range_ops, &range->o);
 *
 * Functions that can fail return NULL (or -1) after ev_error() or terr().
 * Methods are rows like filters' rows (filter.h): c->in is the object.
 */
#ifndef PROVCTL_TEMPLATE_OBJECT_H
#define PROVCTL_TEMPLATE_OBJECT_H

#include "template/filter.h"

struct vobj {
	const struct vobj_ops	*ops;
};

/* Evaluated arguments of a call. */
struct targs {
	const struct value	**v;
	uint32_t		  n;
	const struct value	 *kw;		/* map, or NULL */
};

struct vobj_ops {
	const char		*type;		/* Python's name of the type, for messages and type_debug */
	const struct tfilter	*methods;	/* ended by name NULL */
	/* A data attribute; NULL without an error: there is none (then an item of that name is looked for). */
	const struct value	*(*attr)(struct eval *, const struct value *, const char *, size_t);
	/* obj[key]; NULL without an error: there is none. */
	const struct value	*(*item)(struct eval *, const struct value *, const struct value *key);
	const struct value	*(*call)(struct eval *, const struct value *, const struct targs *);
	/* All elements, as a list, for iteration. */
	const struct value	*(*list)(struct eval *, const struct value *);
	int64_t			 (*len)(const struct value *);	/* < 0: TypeError */
	bool			 (*truth)(const struct value *);	/* NULL: len != 0, else true */
	void			 (*repr)(struct buf *, const struct value *);
	void			 (*str)(struct buf *, const struct value *);	/* NULL: repr */
	bool			 (*equal)(const struct value *, const struct value *);	/* NULL: identity */
	/* -1 with an error: no order; *ret < 0, 0, > 0. */
	int			 (*compare)(struct eval *, const struct value *, const struct value *, int *ret);
	/* a op b where one of them is such an object; op is '+', '-', '*', '/', '%'. NULL without an error: not supported. */
	const struct value	*(*arith)(struct eval *, char op, const struct value *, const struct value *);
	/* The plain value stored as a result (a datetime's text); NULL: the type is unsupported for variable storage. */
	const struct value	*(*final)(struct arena *, const struct value *);
};

struct value *v_obj(struct arena *, const struct vobj_ops *, void *obj);

static inline const struct vobj_ops *
v_obj_ops(const struct value *v)
{
	return v->type == V_OBJ ? ((const struct vobj *)v->u.obj)->ops : NULL;
}

/* Sets the evaluation's error at the current place; always NULL. */
const struct value *ev_error(struct eval *, enum err_code, const char *fmt, ...)
	    ATTR_PRINTF(3, 4);
struct arena	*ev_arena(struct eval *);

/* Text that `escape` or `safe` made: a V_STR that needs no escaping again (Python's Markup). */
#define V_STR_MARKUP	1		/* value.tag of a V_STR */
/* A pair (grouper, list) of groupby's, whose elements also have these names. */
#define V_LIST_GROUP	1		/* value.tag of a V_LIST */

static inline bool
v_is_markup(const struct value *v)
{
	return v->type == V_STR && v->tag == V_STR_MARKUP;
}

struct value	*v_markup(struct arena *, const char *, size_t);	/* copies */
/* Appends text with & < > ' " escaped as markupsafe does. */
void		 tmpl_escape(struct buf *, const char *, size_t);

/* Python's name of a value's type: 'str', 'NoneType', 'dict', … */
const char	*tmpl_py_type(const struct value *);

#endif
