/*
 * What several families of filters, tests and lookups need: text of a value
 * as Python's str() gives it, numbers from text as int() and float() read
 * them, results from buffers.
 */
#ifndef PROVCTL_TEMPLATE_FILTER_UTIL_H
#define PROVCTL_TEMPLATE_FILTER_UTIL_H

#include "template/families.h"
#include "template/filter.h"
#include "template/object.h"

#define FU_ITEMS_MAX	500000u	/* elements that a filter may make of a small input (product, slice …) */

/* str(v): text valid as long as the arena. false after an error. */
bool	 fu_text(struct tcall *, const struct value *, const char **s, size_t *len);
/* The text of a V_STR; an error that names what is wanted for other types ("expected str …, not int"). */
bool	 fu_str(struct tcall *, const struct value *, const char **s, size_t *len);
/* A string of what a buffer holds, in the call's arena; ERR_LIMIT when it overflowed. The buffer is released. */
const struct value *fu_result(struct tcall *, struct buf *);
const struct value *fu_strn(struct tcall *, const char *, size_t);

/* True for int and bool (Python's integers); *ret is the value. */
bool	 fu_is_int(const struct value *, int64_t *ret);
/* True for float, int and bool. */
bool	 fu_is_num(const struct value *, double *ret);
/*
 * int(text, base) and float(text) of Python: blanks around, underscores
 * between digits, digits of any script.  1: *ret set; 0: not a number;
 * -1: an integer beyond 64 bits.
 */
int	 fu_parse_int(const char *, size_t, int base, int64_t *ret);
int	 fu_parse_float(const char *, size_t, double *ret);
/* An integer of a float, towards zero: 1, or 0 when it does not fit (inf, nan, 1e300). */
int	 fu_float_int(double, int64_t *ret);

/* Argument i as any text (str() of it), def when not given. */
bool	 fu_arg_text(struct tcall *, uint32_t i, const char *def, const char **s,
	    size_t *len);
/* The keywords of a row with kwstar, which may be none: as v_next(). */
static inline const struct ventry *
fu_next_kw(const struct tcall *c, uint32_t *it)
{
	return c->kw != NULL ? v_next(c->kw, it) : NULL;
}

static inline bool
fu_has_kw(const struct tcall *c)
{
	return c->kw != NULL && v_count(c->kw) > 0;
}

/* True when argument i is given and not None. */
bool	 fu_given(const struct tcall *, uint32_t i);
/* The error of an undefined value met inside; false. */
bool	 fu_undef(struct tcall *, const struct value *);
/*
 * The elements of an iterable.  As Ansible's plugins do, touching an undefined
 * one is its error; fu_list_lazy leaves them in place for those that look at
 * some elements only.  NULL after an error.
 */
const struct vlist *fu_list(struct tcall *, const struct value *);
const struct vlist *fu_list_lazy(struct tcall *, const struct value *);
/* A value of a container, resolved at the top and not undefined. NULL after an error. */
const struct value *fu_get(struct tcall *, const struct value *);
/* Appends the lower-case form when it is a string (Jinja's ignore_case), else the value itself is returned. */
const struct value *fu_ignore_case(struct tcall *, const struct value *);
/* Ansible's boolean(): the words it knows; -1 for others. */
int	 fu_boolean(const struct value *);
/* x in list by Python's ==. */
bool	 fu_in(const struct vlist *, const struct value *);
struct value *fu_tuple(struct tcall *);
struct value *fu_pair(struct tcall *, const struct value *, const struct value *);

/* Text without the blanks of both ends (Python's strip()). */
void	 fu_strip(const char **s, size_t *len);

/* Splits as str.split() without argument; calls v_push on list. */
void	 fu_split_blank(struct tcall *, struct value *list, const char *, size_t, int64_t max);
/* str.splitlines(): the next line (without its end) of *s; false at the end. */
bool	 fu_next_line(const char **s, const char *end, const char **line, size_t *len);

#endif
