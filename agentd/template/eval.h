/*
 * The evaluator's state, and what its files share.  Private to this layer.
 *
 * An evaluation works in an arena of its own (scratch), which is gone when it
 * ends; only the result is copied out.  So a container that lies in scratch was
 * made by this evaluation and its methods may change it in place, any other
 * is copied first (eval_lvalue.c).
 *
 *	struct eval	one tmpl_eval(), tmpl_render() …
 *	struct ctx	what names mean to one template: set by it, then the
 *			context of who included it, then the scope, then globals
 *	struct act	one running function: its slots, its surrounding function
 *	struct out	what a body has written so far
 *
 * Undefined is a value (V_UNDEF) that carries the error it would be; using it
 * raises that error.  Errors of that kind end the innermost call, filter, test
 * or variable, whose value is then undefined again; all others end the
 * evaluation (a variable's come back when it is used).
 */
#ifndef PROVCTL_TEMPLATE_EVAL_H
#define PROVCTL_TEMPLATE_EVAL_H

#include "template/tree.h"

/* Functions with arrays of their own: inlined they would make every step pay for them. */
#define COLD	__attribute__((noinline))

/* ---- undefined ------------------------------------------------------------ */

#define UNDEF_PLAIN	0	/* a filter's or method's: message only */
#define UNDEF_FULL	1	/* a struct undef */
#define UNDEF_SOFT	2	/* an if without else: prints nothing in text */

struct undef_note {
	struct undef_note	*next;
	struct mark		 at;
	const char		*text;
};

struct undef {
	struct value		 v;
	enum err_code		 code;
	struct mark		 at;		/* known already, or … */
	const struct tmpl	*tmpl;		/* … here */
	uint32_t		 pos, end;
	const char		*hint;
	const char		*name;		/* an unknown variable: for the hint, when it is raised */
	struct undef_note	*notes;		/* innermost first */
};

/* ---- running -------------------------------------------------------------- */

struct ctx_block {
	struct name		 name;
	const struct tmpl	**tmpls;	/* most derived first */
	struct func		**funcs;
	uint32_t		 n;
};

struct ctx {
	struct ctx		*up;		/* NULL: the scope comes next */
	bool			 isolated;	/* only globals come next */
	struct value		*vars;		/* map: set at top level; NULL: nothing yet */
	struct value		*exported;	/* map of the public ones */
	struct ctx_block	*blocks;
	uint32_t		 nblocks;
};

struct act {
	struct act		*up;		/* the function around this one */
	const struct tmpl	*tmpl;
	struct ctx		*ctx;
	const struct value     **slot;
	const struct tmpl	*parent;	/* of `extends` */
};

struct out {
	const struct value	*single;	/* the only piece so far */
	uint32_t		 n;		/* pieces, at most 2: several */
	bool			 mute;		/* extends was reached */
	bool			 defers;	/* something undefined makes the whole undefined, not an error */
	struct buf		 b;
};

struct tcache {			/* templates in variables: evaluated once */
	const struct value	*key;
	const struct value	*val;		/* NULL: being evaluated */
};

struct pending {			/* variables being evaluated, innermost first */
	struct pending		*up;
	const struct value	*v;
	const char		*name;
};

struct eval {
	struct arena		 scratch;
	const struct scope	*scope;
	struct err		*err;
	struct act		*act;
	struct pending		*pending;
	struct tcache		*cache;
	uint32_t		 ncache, cache_cap;
	uint32_t		 steps, max_steps;
	uintptr_t		 stack;		/* address where it began */
	bool			 placed;	/* the error has its position */
	bool			 tainted;	/* something secret was read */
	bool			 with_form;
	bool			 strict;	/* a missing attribute is an error at once */
	bool			 mutates;	/* a template runs that perhaps changes containers */
	struct loaded		*loaded;	/* included files, compiled */
	unsigned		 includes;	/* nested */
	struct buf		 spare[4];	/* buffers that wait for their next use */
	unsigned		 nspare;
};

/* Where a name's value is. */
static inline const struct value **
ev_slot(const struct eval *ev, struct ref ref)
{
	const struct act *a = ev->act;
	uint16_t up;

	for (up = ref.up; up > 0; up--)
		a = a->up;
	return &a->slot[ref.slot];
}

enum flow { FLOW_OK, FLOW_ERR, FLOW_BREAK, FLOW_CONTINUE };

/* ---- eval.c, eval_expr.c ---------------------------------------------------------------- */

/* The value of an expression: never V_TMPL, perhaps V_UNDEF. NULL after an error. */
const struct value *eval_expr_slow(struct eval *, const struct node *);
static inline const struct value *
eval_expr(struct eval *ev, const struct node *n)
{
	const struct value *v;

	if (n->type == N_CONST && !(n->flags & NF_FOLDED))
		return n->u.val;
	/* Most names have been looked up before. */
	if (n->type == N_NAME && (v = *ev_slot(ev, n->u.name.ref)) != NULL && v != &slot_missing &&
	    v->type != V_UNDEF && !(v->flags & V_SECRET))
		return v;
	return eval_expr_slow(ev, n);
}
/* Raises the error of an undefined value (returns NULL), passes others. */
const struct value *ev_raise(struct eval *, const struct value *);
static inline const struct value *
ev_force(struct eval *ev, const struct value *v)
{
	return v->type != V_UNDEF ? v : ev_raise(ev, v);
}
/* Evaluates to a defined value. */
const struct value *eval_forced(struct eval *, const struct node *);
/* The result of a V_TMPL, once; others as they are. name may be NULL. */
const struct value *ev_resolve_slow(struct eval *, const struct value *, const char *name);
static inline const struct value *
ev_resolve(struct eval *ev, const struct value *v, const char *name)
{
	return v->type != V_TMPL && !(v->flags & V_SECRET) ? v : ev_resolve_slow(ev, v, name);
}
/* Turns an ERR_UNDEFINED that just happened into a value; other errors: NULL. */
const struct value *ev_catch(struct eval *);
/* A deferred error that is not just something undefined. */
bool	 ev_failed(const struct value *);
/* Any error as a value that raises it when used. */
const struct value *ev_defer(struct eval *);
const struct value *ev_undef(struct eval *, enum err_code, const char *fmt, ...) ATTR_PRINTF(3, 4);
bool	 ev_step_slow(struct eval *);
/* One more step: false with an error when there were too many, the stack is too deep or the memory is used up. */
static inline bool
ev_step(struct eval *ev)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return ((++ev->steps & 0xff) != 0 && ev->stack - here <= EVAL_STACK_MAX) || ev_step_slow(ev);
}
struct mark ev_mark(const struct eval *, uint32_t pos);
void	 ev_place(struct eval *, uint32_t pos, uint32_t end);
/* Python's truth of a value; -1 after an error (undefined). */
int	 ev_truth(struct eval *, const struct value *);
const struct value *ev_name(struct eval *, const struct ctx *, const struct name *);
/* The value of a name node, of an attribute node on an object; the row of a built-in type's method. */
const struct value *ev_node_name(struct eval *, const struct node *);
const struct value *ev_node_attr(struct eval *, const struct node *, const struct value *obj);
const struct tfilter *ev_row(const struct methods *, const struct value *);
const struct value *ev_attr(struct eval *, const struct value *, const char *, size_t, uint32_t hash);
const struct value *ev_item(struct eval *, const struct value *, const struct value *key);
/* A list to walk over: elements may be V_TMPL. NULL after an error. */
const struct value *ev_iter(struct eval *, const struct value *);
const struct value *ev_call(struct eval *, const struct value *fn, const struct targs *);
const struct value *ev_method(struct eval *, const struct value *self, const struct tfilter *,
	    const struct targs *);
const struct value *ev_filter(struct eval *, const struct tfilter *, const char *name,
	    const struct value *in, const struct targs *);
const struct value *ev_output(struct eval *, const struct value *);
int	 ev_test(struct eval *, const struct ttest *, const char *name,
	    const struct value *in, const struct targs *, const struct value **undef);
const struct tfilter *ev_find_method(const struct value *, const char *, size_t);
/* Evaluates arguments; false after an error. */
bool	 ev_args(struct eval *, const struct args *, struct targs *);
/* The first undefined argument, or NULL. */
const struct value *ev_undef_among(const struct targs *);
const struct value *ev_bound_method(struct eval *, const struct value *self, const struct tfilter *);

/* ---- eval_stmt.c, eval_tmpl.c --------------------------------------------- */

enum flow exec_body(struct eval *, const struct nodes *, struct out *);
enum flow exec_import(struct eval *, const struct node *, struct out *);
enum flow exec_block(struct eval *, const struct node *, struct out *);
enum flow exec_extends(struct eval *, const struct node *, struct out *);
void	 ev_enter(struct eval *, const struct frame_info *);
bool	 ev_assign_slow(struct eval *, const struct node *target, const struct value *);
static inline bool
ev_assign(struct eval *ev, const struct node *target, const struct value *v)
{
	if (target->type != N_NAME)
		return ev_assign_slow(ev, target, v);
	*ev_slot(ev, target->u.name.ref) = v;
	return true;
}
void	 out_init(struct eval *, struct out *);
void	 out_release(struct eval *, struct out *);
bool	 out_add(struct eval *, struct out *, const struct value *);
bool	 out_text(struct eval *, struct out *, const char *, size_t);
/* A buffer of no owner for a moment, and back. */
struct buf ev_buf(struct eval *);
void	 ev_buf_done(struct eval *, struct buf *);
/* What the body made: a value of any type, V_NULL when nothing. */
const struct value *out_value(struct eval *, struct out *);
/* A whole template in a context: the function's body and then its parents. */
enum flow ev_run(struct eval *, const struct tmpl *, struct ctx *, struct out *);
enum flow ev_run_block(struct eval *, struct ctx *, const struct ctx_block *, uint32_t i, struct out *);
const struct value *ev_template(struct eval *, const struct tmpl *, struct ctx *);
const struct value *ev_file(struct eval *, const struct tmpl *, struct arena *, const struct value **native);
struct ctx *ctx_new(struct eval *, struct ctx *up);
void	 ctx_set(struct eval *, struct ctx *, const struct name *, const struct value *, bool export);
struct act *act_new(struct eval *, const struct tmpl *, struct ctx *, struct act *up, const struct func *);

/* ---- eval_lvalue.c ---------------------------------------------------------- */

/* A container that belongs to a variable, copied by this evaluation: has an identity. Never leaves the evaluation. */
#define V_OWN	0x20

/* A container that a method may change: made or copied by this evaluation. */
struct value *ev_writable(struct eval *, const struct value *);
/* False, with an error, when a change would make a container hold itself. */
bool	 ev_may_take(struct eval *, const struct value *self, const struct value *);
/* A variable's container as this evaluation has it: the same object wherever it is read. NULL after an error. */
const struct value *ev_own(struct eval *, const struct value *);
/* What macros and filters get of a container: of a variable it itself, else a copy. NULL after an error. */
const struct value *ev_hand_on(struct eval *, const struct value *);
/* A copy that later changes do not reach. NULL after an error. */
const struct value *ev_snapshot(struct eval *, const struct value *);
/* The first two only where containers may change. */
static inline bool
ev_changeable(const struct eval *ev, const struct value *v)
{
	return ev->mutates && (v->type == V_LIST || v->type == V_MAP);
}
/* Templates in variables and variables' containers: what became of them, once. */
const struct value **ev_cached(struct eval *, const struct value *key);

/* ---- ops.c ------------------------------------------------------------------ */

const struct value *op_binary(struct eval *, uint8_t tok, const struct value *, const struct value *);
const struct value *op_neg(struct eval *, const struct value *);
int	 op_compare(struct eval *, uint8_t cmp, const struct value *, const struct value *);
int	 op_order(struct eval *, const struct value *, const struct value *, int *ret, const char *sym);
int	 op_equal(struct eval *, const struct value *, const struct value *);
int	 op_contains(struct eval *, const struct value *in, const struct value *what);
const struct value *op_slice(struct eval *, const struct value *, const struct value *,
	    const struct value *, const struct value *);
bool	 op_index(struct eval *, const struct value *, int64_t *);

/* ---- print.c ---------------------------------------------------------------- */

#define FINAL_DEEP	0x01	/* templates and undefined inside are resolved */
#define FINAL_TUPLES	0x02	/* in the midst of an expression: tuples stay tuples, omitted entries stay */
/* Resolves in depth, else drops omitted entries; same value when nothing is to be done. Objects stay. NULL after an error. */
const struct value *ev_final(struct eval *, const struct value *, unsigned flags);
/* The digits of i at the end of the array; their number. */
#define EV_DIGITS	24
size_t	 ev_digits(char s[EV_DIGITS], int64_t i);
/* Appends str(v) of a final value. false after an error. */
bool	 ev_str(struct eval *, struct buf *, const struct value *);
/* Copies what lies in scratch to the result's arena; objects are an error. */
const struct value *ev_export(struct eval *, struct arena *, const struct value *);
bool	 ev_overflow(struct eval *, const struct buf *);

/* ---- strformat.c ------------------------------------------------------------ */

/* 'text' % value. */
const struct value *str_percent(struct eval *, const struct value *fmt, const struct value *arg);

/* ---- objects ---------------------------------------------------------------- */

struct range {
	struct vobj	 o;
	int64_t		 start, stop, step;
};
const struct value *range_new(struct eval *, int64_t start, int64_t stop, int64_t step);
int64_t	 range_len(const struct range *);
extern const struct vobj_ops range_ops, macro_ops, module_ops, namespace_ops, loop_ops,
    method_ops, function_ops, super_ops, self_ops;

const struct value *bytes_new(struct eval *, const struct value *text);

struct namespace {
	struct vobj	 o;
	struct value	*vars;
};

struct loopvar {
	struct vobj		 o;
	const struct value	*items;		/* list */
	uint32_t		 i;
	uint32_t		 depth;
	const struct value	*changed;	/* last arguments of loop.changed() */
	const struct node	*node;		/* recursive: for calls */
	struct act		*act;
};
const struct value *loop_call(struct eval *, struct loopvar *, const struct value *items);

struct macro {
	struct vobj		 o;
	const struct func	*func;
	const struct tmpl	*tmpl;
	struct act		*up;
	struct ctx		*ctx;
};

struct module {
	struct vobj		 o;
	const char		*name;
	const struct value	*exports;	/* map */
	const struct value	*body;		/* what it wrote */
};

/* ---- loader.c ---------------------------------------------------------------- */

/* A template file found in the search directories. NULL with an error; *missing tells that no file was found. */
const struct tmpl *ev_load(struct eval *, const char *name, size_t len, bool *missing);

/* ---- eval_lookup.c ------------------------------------------------------------ */

const struct value *ev_lookup(struct eval *, const struct targs *, bool query);
const struct value *ev_with(struct eval *, const char *name, const struct value *terms, bool with_form);

#endif
