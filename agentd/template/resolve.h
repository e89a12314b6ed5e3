/*
 * What the files of the resolver share (resolve.c): frames and their symbols,
 * walks over the tree, expressions.
 */
#ifndef PROVCTL_TEMPLATE_RESOLVE_H
#define PROVCTL_TEMPLATE_RESOLVE_H

#include "template/parser.h"

struct sym {
	struct sym	*next;
	struct name	 name;
	uint16_t	 slot;
	uint8_t		 kind;		/* enum load_kind; SYM_PARAM */
	struct ref	 from;		/* L_ALIAS: relative to the frame's function */
	bool		 stored;
};
#define SYM_PARAM	255

struct fn {
	struct fn	*up;
	struct func	*f;
	uint32_t	 nslots;
	struct sym	*free;		/* of the outermost: names of the context */
};

struct frame {
	struct frame	*parent;
	struct fn	*fn;
	struct sym	*syms;
	bool		 toplevel, rootlevel, soft;
};

struct guard {
	struct guard		*next;
	const struct name	*name;
};

struct resolver {
	struct arena	*arena;
	struct tmpl	*t;
	struct diags	*diags;
	size_t		 errors;
	unsigned	 guarded;	/* > 0: below default() or `is defined` */
	unsigned	 maybe;		/* > 0: only evaluated under a condition */
	struct guard	*guards;
	struct tmpl_name *names;
	uint32_t	 nnames, names_cap;
	uint32_t	 nextends;
};

/* What looks through a frame. */
struct analysis {
	struct resolver	*r;
	struct frame	*f;
	bool		 cond;
};

typedef bool	 visit_fn(void *arg, struct node *);

/* ---- symbols.c ------------------------------------------------------------ */

bool	 rs_same(const struct name *, const struct name *);
struct sym *rs_find_here(const struct frame *, const struct name *);
/* The symbol as seen from a frame; where it lives relative to the frame's function in *ref. */
struct sym *rs_find(const struct frame *, const struct name *, struct ref *);
uint16_t rs_declare_param(struct resolver *, struct frame *, const struct name *);
/* The slot of a name of the context, in the outermost function. */
struct ref rs_free_ref(struct resolver *, struct frame *, const struct name *);
struct frame *rs_inner(struct resolver *, struct frame *parent);
void	 rs_enter_info(struct resolver *, const struct frame *, struct frame_info *);
struct locals rs_locals_of(struct resolver *, const struct frame *);
/* Calls fn for each of the nodes; false as soon as it says so. */
bool	 rs_each_node(const struct nodes *, visit_fn *, void *);
bool	 rs_each_one(struct node *, visit_fn *, void *);
bool	 rs_each_child(const struct node *, visit_fn *, void *);
/* True when the nodes read a name that they don't set before. */
bool	 rs_reads(const struct nodes *, const char *name);
bool	 rs_visit_scoped(void *, struct node *);
/* Looks through a frame's own nodes for the names that they set and read. */
void	 rs_analyze(struct resolver *, struct frame *, const struct nodes *, bool cond);
bool	 rs_analyze_expr(void *, struct node *);
void	 rs_analyze_target(struct resolver *, struct frame *, struct node *, bool cond, bool param);

/* ---- resolve_expr.c -------------------------------------------------------- */

struct err *rs_fail(struct resolver *, const struct node *, uint32_t len, enum err_code,
	    const char *fmt, ...) ATTR_PRINTF(5, 6);
void	 rs_expr(struct resolver *, struct frame *, struct node *);
void	 rs_exprs(struct resolver *, struct frame *, struct nodes *);
void	 rs_name(struct resolver *, struct frame *, struct node *);
void	 rs_push_guards(struct resolver *, const struct node *test, bool positive);

#endif
