/* What the parser's two files (expressions, statements) share. */
#ifndef PROVCTL_TEMPLATE_PARSER_H
#define PROVCTL_TEMPLATE_PARSER_H

#include "template/tree.h"

struct parser {
	struct arena	 *arena;
	struct tmpl	 *t;
	struct token	 *tok;		/* current */
	struct err	 *err;
	unsigned	  depth;
	unsigned	  links;	/* operators, attributes, filters of the outermost expression */
	/* For "looking for the following tags": what ends the open statements. */
	const char *const *ends[PARSE_DEPTH_MAX + 4];
	unsigned	  nends;
	const char	 *tags[PARSE_DEPTH_MAX + 4];
	unsigned	  ntags;
};

struct node *node_new(struct parser *, enum node_type, uint32_t pos);
void	 nodes_add(struct arena *, struct nodes *, struct node *);
struct name name_make(const char *, uint32_t len);

/* Sets the error at the current token (or at pos); always NULL. */
void	*parse_fail(struct parser *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void	*parse_fail_at(struct parser *, uint32_t pos, uint32_t end, const char *fmt, ...)
	    ATTR_PRINTF(4, 5);
bool	 tok_is_name(const struct token *, const char *);
void	 tok_next(struct parser *);
bool	 tok_skip(struct parser *, enum tok);
bool	 tok_skip_name(struct parser *, const char *);
bool	 tok_expect(struct parser *, enum tok, const char *what);
bool	 tok_expect_name(struct parser *, const char *);

struct node *parse_expr(struct parser *, bool with_cond);
struct node *parse_tuple(struct parser *, bool simplified, bool with_cond,
	    const char *end_name, bool parens, bool with_namespace);
/* Filters behind in (NULL: the text of a block); inline: the first without a bar. */
struct node *parse_filters(struct parser *, struct node *in, bool start_inline);
struct node *parse_target(struct parser *, bool name_only, const char *end_name,
	    bool with_namespace);
/* The whole of a template. false after an error. */
bool	 parse_template(struct parser *, struct nodes *);

/* resolve.c: names to slots, filters to rows. false after errors. */
bool	 tmpl_resolve(struct arena *, struct tmpl *, struct nodes *, struct node *expr,
	    struct diags *);

#endif
