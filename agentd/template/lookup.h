/*
 * Lookups: rows of tables, one file per family, run on the controller.
 *
 * A lookup is called as lookup('name', term, …, option=…), query() or by a
 * with_name loop.  Its function gets the terms (final: nothing lazy inside) as
 * c->star / c->nstar and its options, matched by name against the row's
 * params, as c->a[].  It returns a list (an element per result); joining,
 * wantlist= and errors= are the caller's business (eval_lookup.c).
 *
 * What a with_ loop passes: a list's elements are the terms, anything else is
 * one term.
 */
#ifndef PROVCTL_TEMPLATE_LOOKUP_H
#define PROVCTL_TEMPLATE_LOOKUP_H

#include "template/filter.h"

struct tlookup {
	const char	*name;		/* "first_found"; "ansible.builtin." and friends are folded before */
	const char	*params;	/* options by keyword: "default,errors", "" for none */
	unsigned	 flags;		/* TF_KWSTAR: other keywords arrive as c->kw, else they are ignored as Ansible does; TF_UNSUPPORTED; TF_UNDEF_ARGS: undefined terms are passed on */
	/* A V_LIST, or NULL after terr(). */
	const struct value *(*fn)(struct tcall *);
};

/* The families' tables, each ended by name NULL; the list by NULL (filter.c). */
extern const struct tlookup *const tmpl_lookups[];
const struct tlookup *tmpl_lookup_find(const char *name, size_t len);
const char	*tmpl_lookup_nearest(const char *name);

/* ---- for lookups' functions ---------------------------------------------- */

/* True when called by a with_ loop (first_found's skip and the like). */
bool	 tcall_with_form(const struct tcall *);
/* A variable's value, resolved at the top; NULL without an error when there is none, V_UNDEF when it is itself undefined. */
const struct value *tcall_var(struct tcall *, const char *name);
/* The names of all variables, a list of strings. */
const struct value *tcall_var_names(struct tcall *);
/*
 * Renders a template's text as lookup('template') does: variables are those of
 * the caller, on top of them vars (a map or NULL); native result of a single
 * expression unless text is asked for. path is for messages.
 */
const struct value *tcall_render(struct tcall *, const char *path, const char *text, size_t len,
	    const struct tmpl_opts *, const struct value *vars, bool as_text);
/* Evaluates one expression's source text with extra variables (constructed lookups …). */
const struct value *tcall_expr(struct tcall *, const char *text, const struct value *vars);

#endif
