/*
 * The compiled form of a template, and what lexer, parser and evaluator share.
 * Private to this layer.
 *
 * A tree of nodes in the site's arena.  Names are resolved when compiled, the
 * way Jinja's own compiler does it: every function-like part (the template
 * itself, a macro, a call block, a block, the body of a recursive loop) has an
 * array of slots, a name node knows how many functions up and which slot.  A
 * slot is
 *
 *	NULL		not looked at yet: the context decides, once
 *	&slot_missing	a local name without a value: undefined
 *	else		its value
 *
 * Constants are folded, filters and tests are bound to their rows with
 * arguments in the order of the row's parameters, methods of built-in types are
 * looked up by name beforehand.
 */
#ifndef PROVCTL_TEMPLATE_TREE_H
#define PROVCTL_TEMPLATE_TREE_H

#include "template/filter.h"
#include "template/lookup.h"
#include "template/object.h"
#include "template/template.h"

#define PARSE_DEPTH_MAX	120	/* nesting of expressions and statements */
#define PARSE_LINKS_MAX	1000	/* operators in one expression: bounds the depth of its tree */
#define EVAL_STACK_MAX	((size_t)3 << 20)	/* bytes of the C stack for nested evaluations */

/* ---- tokens -------------------------------------------------------------- */

enum tok {
	T_END, T_DATA, T_VAR_BEGIN, T_VAR_END, T_BLOCK_BEGIN, T_BLOCK_END,
	T_NAME, T_INT, T_FLOAT, T_STR,
	T_ADD, T_SUB, T_MUL, T_DIV, T_FLOORDIV, T_MOD, T_POW, T_TILDE,
	T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_ASSIGN,
	T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON,
	T_LPAREN, T_RPAREN, T_LBRACKET, T_RBRACKET, T_LBRACE, T_RBRACE
};

struct token {
	uint8_t		 type;
	uint32_t	 pos;		/* byte offset in the source */
	uint32_t	 end;
	const char	*s;		/* T_NAME, T_STR, T_DATA */
	uint32_t	 len;
	union {
		int64_t	 i;
		double	 f;
	} u;
};

struct tokens {
	struct token	*v;
	uint32_t	 n, cap;
};

/* A template's options with defaults filled in. */
struct syntax {
	const char	*block_start, *block_end, *var_start, *var_end;
	const char	*comment_start, *comment_end;
	const char	*line_statement, *line_comment, *newline;
	bool		 trim_blocks, lstrip_blocks, keep_newline;
	bool		 ext_do, ext_loopcontrols;
	bool		 raw_strings;	/* backslashes in {{ }} are literal */
};

/* ---- nodes --------------------------------------------------------------- */

enum node_type {
	N_CONST, N_NAME, N_LIST, N_TUPLE, N_DICT, N_AND, N_OR, N_NOT, N_NEG,
	N_POS, N_BIN, N_COMPARE, N_CONCAT, N_COND, N_ATTR, N_ITEM, N_SLICE,
	N_CALL, N_FILTER, N_TEST, N_TEXT /* embedded template */,
	N_NSREF,
	/* statements */
	N_DATA, N_PRINT, N_IF, N_FOR, N_SET, N_SETBLOCK, N_MACRO, N_CALLBLOCK,
	N_FILTERBLOCK, N_INCLUDE, N_IMPORT, N_FROM, N_EXTENDS, N_BLOCK, N_WITH,
	N_DO, N_BREAK, N_CONTINUE, N_SCOPE
};

enum cmp { C_EQ, C_NE, C_LT, C_LE, C_GT, C_GE, C_IN, C_NOTIN };

struct node;

struct nodes {
	struct node	**v;
	uint32_t	  n, cap;
};

struct name {
	const char	*s;
	uint32_t	 len;
	uint32_t	 hash;
};

struct ref {
	uint16_t	 up;		/* functions outwards */
	uint16_t	 slot;
};

struct args {
	struct nodes	  pos;
	struct nodes	  kwval;
	const struct value **kwname;	/* strings */
	struct node	 *star, *dstar;
};

/* What a frame does with its slots when it is entered. */
enum load_kind { L_RESOLVE, L_ALIAS, L_UNDEFINED };
struct load {
	uint8_t		 kind;
	uint16_t	 slot;
	struct ref	 from;
};
struct frame_info {
	struct load	*loads;
	uint32_t	 n;
	/* Names with values that an include, import or scoped block in this frame sees: */
};

/* A name and where its value is: for what hands locals on. */
struct local {
	struct name	 name;
	struct ref	 ref;
};

struct locals {
	struct local	*v;
	uint32_t	 n;
};

/* A function-like part. */
struct func {
	const char	 *name;		/* NULL: a caller */
	struct nodes	  body;
	struct frame_info enter;
	uint16_t	  nslots;
	/* Macros. */
	const struct value **params;	/* strings: names */
	uint16_t	 *param_slot;
	uint32_t	  nparams;
	struct nodes	  defaults;	/* of the last parameters */
	int32_t		  caller_slot, kwargs_slot, varargs_slot;	/* -1: not used */
	bool		  explicit_caller;
	bool		  dup_params;
	/* Blocks. */
	int32_t		  self_slot, super_slot;
};

/* Rows of methods of the built-in types that have a method of this name. */
struct methods {
	const struct tfilter	*str, *list, *tuple, *map, *num_int, *num_float;
};

#define NF_FOLDED	0x01	/* N_CONST: a container made by folding */
#define NF_PAREN	0x02	/* N_TUPLE in parentheses */
#define NF_TOPLEVEL	0x04	/* an assignment that the context sees */
#define NF_CONTEXT	0x08	/* include, import: with context */
#define NF_IGNORE	0x10	/* include: ignore missing */
#define NF_SCOPED	0x20
#define NF_REQUIRED	0x40
#define NF_RECURSIVE	0x80
#define NF_SOFT		0x100	/* below an if: an unknown filter is an error only when reached */
#define NF_NATIVE	0x200	/* filter block: its input is what the block made */
#define NF_LASTTEXT	0x400

struct node {
	uint8_t		 type;
	uint8_t		 op;
	uint16_t	 flags;
	uint32_t	 pos;		/* byte offset of its first character */
	union {
		const struct value	*val;			/* N_CONST */
		struct {
			struct name	 n;
			struct ref	 ref;
		} name;						/* N_NAME, N_NSREF (attr in key) */
		struct nodes		 list;			/* LIST, TUPLE, CONCAT; DICT: key, value, … */
		struct {
			struct node	*a, *b, *c, *d;
		} x;						/* AND OR NOT NEG BIN COND ITEM SLICE DO PRINT */
		struct {
			struct nodes	 v;
			uint8_t		*ops;
		} cmp;
		struct {
			struct node		*obj;
			struct name		 n;
			const struct value	*key;
			const struct methods	*m;
		} attr;
		struct {
			struct node	*fn;
			struct args	*args;
		} call;
		struct {
			struct node		*in;		/* NULL: a filter block's text */
			struct args		*args;
			const struct tfilter	*row;		/* NULL: not known, error when reached */
			const struct ttest	*test;
			struct node	       **bound;		/* one per parameter; NULL: bound when called */
			uint32_t		 nbound;
			uint32_t		 nstar;		/* positional arguments behind them */
			const char		*name;
		} filter;
		const struct tmpl	*tmpl;			/* N_TEXT */
		struct {
			const char	*s;
			uint32_t	 len;
		} data;
		struct {
			struct node	*test;
			struct nodes	 body, other;
		} cond;						/* N_IF */
		struct loop {
			struct node	*target, *iter, *test;
			struct nodes	 body, other;
			struct frame_info body_enter, test_enter, else_enter;
			struct func	*func;			/* recursive */
			int32_t		 loop_slot;		/* -1: `loop` is not used */
		} *loop;
		struct {
			struct node	*target, *value;	/* N_SET */
			struct nodes	 body;			/* N_SETBLOCK */
			struct node	*filter;
			struct frame_info enter;
			const struct node **nsrefs;		/* checked first */
			uint32_t	 n_nsrefs;
			struct locals	*exports;		/* names for the context */
		} *set;
		struct {
			struct func	*func;
			struct ref	 ref;
			struct name	 name;
			struct node	*call;			/* N_CALLBLOCK */
		} *macro;
		struct {
			struct node	*filter;
			struct nodes	 body;
			struct frame_info enter;
		} *fblock;
		struct import {
			struct node	*tmpl;
			struct name	 target;
			struct ref	 ref;			/* N_IMPORT */
			struct local	*names;			/* N_FROM: as which local */
			struct name	*from;
			uint32_t	 n;
			struct locals	 locals;		/* visible with context */
		} *import;
		struct {
			struct name	 name;
			struct func	*func;
			struct locals	 locals;		/* scoped */
		} *block;
		struct {
			struct nodes	 targets, values, body;
			struct frame_info enter;
		} *with;
	} u;
};

struct tmpl {
	enum tmpl_mode	 mode;
	struct mark	 mark;
	const char	*text;		/* source as given */
	size_t		 len;
	uint32_t	 skipped;	/* of a #jinja2: header */
	const char	*body;		/* normalised text that node positions refer to */
	size_t		 body_len;
	struct syntax	 syn;
	bool		 plain;		/* no template at all: the text itself */
	bool		 fold_ok;	/* nothing in it can change a container */
	bool		 mutates;	/* something in it, or in what it includes, perhaps does */
	uint32_t	 end_newlines;	/* to be restored */
	struct node	*expr;		/* TMPL_WHEN, or a value that is one expression */
	struct func	*root;
	struct func	**blocks;	/* by their first appearance */
	struct name	*block_names;
	bool		*block_required;
	uint32_t	 nblocks;
	bool		 has_extends;	/* at top level, outside of any if */
	const struct tmpl_name *names;	/* free names */
	uint32_t	 nnames;
};

struct tmpl_name {
	struct name	 name;
	uint32_t	 pos;
	bool		 guarded;
};

extern const struct value slot_missing;

/* ---- lexer.c -------------------------------------------------------------- */

/*
 * Cuts normalised text into tokens; strings are unescaped. false with the error's position in
 * *pos and its message in *msg.
 */
bool	 tmpl_lex(struct arena *, const char *text, size_t len, const struct syntax *,
	    bool expression, struct tokens *ret, uint32_t *pos, const char **msg);
const char *tok_describe(struct arena *, const struct token *);

/* ---- parse_*.c ------------------------------------------------------------ */

struct parser;
struct frame;
struct node *parse_expression(struct parser *);
struct mark tmpl_mark_at(const struct tmpl *, uint32_t pos, uint32_t end);

/* ---- methods -------------------------------------------------------------- */

extern const struct tfilter methods_str[], methods_list[], methods_tuple[],
    methods_map[], methods_int[], methods_float[];
const struct tfilter *method_find(const struct tfilter *, const char *, size_t);

/* Globals' names that have nothing to do with variables. */
const struct value *global_find(const char *, size_t);

#endif
