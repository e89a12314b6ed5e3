/*
 * Filters, tests and global functions: rows of tables, one file per family.
 *
 * To add a filter: write the function in its family's file (filter_NAME.c) and one row in that
 * family's table; the family is listed in filter.c.  Same for tests.
 *
 * Arguments arrive evaluated and resolved (no V_TMPL at the top; nested ones are
 * resolved by tcall_final() where a function looks inside).  The evaluator has matched positional and keyword
 * arguments against the row's parameter names, so a[i] is parameter i or NULL when not given
 * (defaults are the function's business).  A row with star takes any number of positional
 * arguments behind its named ones (c->star), with kwstar any keywords (c->kw).
 */
#ifndef PROVCTL_TEMPLATE_FILTER_H
#define PROVCTL_TEMPLATE_FILTER_H

#include "template/template.h"

struct eval;			/* the evaluator's state, opaque here */

struct tcall {
	struct eval		 *ev;
	struct arena		 *arena;	/* results live here */
	const char		 *name;		/* as called, for messages */
	const struct value	 *in;		/* what is left of the bar (or of `is`) */
	const struct value	**a;		/* named parameters, NULL: not given */
	uint32_t		  na;		/* number of rows in params */
	const struct value	**star;
	uint32_t		  nstar;
	const struct value	 *kw;		/* map, or NULL */
	struct err		 *err;
};

#define TF_STAR		0x01	/* any further positional arguments */
#define TF_KWSTAR	0x02	/* any keyword arguments */
#define TF_UNDEF_OK	0x04	/* an undefined input is passed on (default, defined); else it is that undefined's error */
#define TF_UNDEF_ARGS	0x08	/* undefined arguments are passed on */
#define TF_UNSUPPORTED	0x10	/* known by name, not supported: an error when compiled; params says why */
#define TF_LAZY		0x20	/* input may be a container with V_TMPL inside that the function does not look into */
#define TF_MUTATES	0x100	/* of methods only: changes its object */

struct tfilter {
	const char	*name;		/* "combine"; "ansible.builtin." and friends are folded before the look-up */
	const char	*params;	/* "a,b,c" names of parameters behind the input, "" for none */
	unsigned	 flags;
	/* NULL after terr(). */
	const struct value *(*fn)(struct tcall *);
};

struct ttest {
	const char	*name;
	const char	*params;
	unsigned	 flags;
	/* 1 true, 0 false, -1 after terr(). */
	int		 (*fn)(struct tcall *);
};

struct tfamily {
	const struct tfilter	*filters;	/* end with name NULL; or NULL */
	const struct ttest	*tests;
};
/* The families, ended by NULL (filter.c). */
extern const struct tfamily *const tmpl_families[];
const struct tfilter *tmpl_filter_find(const char *name, size_t len);
const struct ttest   *tmpl_test_find(const char *name, size_t len);
const char	*tmpl_filter_nearest(const char *name);
const char	*tmpl_test_nearest(const char *name);

/* ---- for filters' functions ---------------------------------------------- */

/* Sets c->err; both return NULL (terr) or -1 (terr_i). */
const struct value *terr(struct tcall *, enum err_code, const char *fmt, ...) ATTR_PRINTF(3, 4);
int	 terr_i(struct tcall *, enum err_code, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Result with the secret bits of the input and the arguments (the evaluator does this for all filters' results by itself). */

/* Resolves a value in depth (templates inside evaluated, generators to lists). NULL after an error. */
const struct value *tcall_final(struct tcall *, const struct value *);
/* Resolves only the top: a V_TMPL becomes its result. */
const struct value *tcall_top(struct tcall *, const struct value *);
/* Python's iteration over a value as a list (of a str: characters, of a map: keys, generators, ranges); error for what is not iterable. Elements are resolved at the top; undefined ones stay V_UNDEF. */
const struct value *tcall_list(struct tcall *, const struct value *);
/* Item or attribute as Jinja's getattr / getitem (`map(attribute='a.b')`): V_UNDEF when missing. */
const struct value *tcall_attr(struct tcall *, const struct value *, const char *path);
const struct value *tcall_item(struct tcall *, const struct value *, const struct value *key);
/* v.name as an expression has it: methods too (as values), then items. */
const struct value *tcall_getattr(struct tcall *, const struct value *, const char *name, size_t len);
/* str(x), bool(x), Python's < (error for types without order), repr(x). */
const struct value *tcall_str(struct tcall *, const struct value *);
bool	 tcall_truth(const struct value *);
int	 tcall_compare(struct tcall *, const struct value *, const struct value *, int *ret);	/* -1 after error; *ret <0 0 >0 */
void	 tmpl_repr(struct buf *, const struct value *);
/* Calls another filter or test by name on a value (map, select …). */
const struct value *tcall_filter(struct tcall *, const char *name, const struct value *in,
	    const struct value **args, uint32_t nargs, const struct value *kw);
int	 tcall_test(struct tcall *, const char *name, const struct value *in,
	    const struct value **args, uint32_t nargs);
/* The same with keyword arguments (kw: a map or NULL): select('match', 'x', ignorecase=true). */
int	 tcall_test_kw(struct tcall *, const char *name, const struct value *in,
	    const struct value **args, uint32_t nargs, const struct value *kw);
const struct scope *tcall_scope(const struct tcall *);
/* A buffer from the evaluation's store, and back: cheaper than one of its own. */
struct buf tcall_buf(struct tcall *);
void	 tcall_buf_done(struct tcall *, struct buf *);

/* Parameter helpers: text of a string parameter or def; int, bool (Python truth) likewise. Wrong types: error, false. */
bool	 targ_str(struct tcall *, uint32_t i, const char *def, const char **ret, size_t *len);
bool	 targ_int(struct tcall *, uint32_t i, int64_t def, int64_t *ret);
bool	 targ_bool(struct tcall *, uint32_t i, bool def, bool *ret);

#endif
