/*
 * The parser of statements; see parse_expr.c for expressions.
 *
 * The first error ends the parse.  Statements that Jinja does not know by
 * default (do, break, continue) are known when the options say so.
 */
#include <string.h>

#include "template/parser.h"
#include "template/text.h"

static bool	 parse_body(struct parser *, struct nodes *, const char *const *);

static const char *const end_for[] = { "endfor", "else", NULL };
static const char *const end_for_else[] = { "endfor", NULL };
static const char *const end_if[] = { "elif", "else", "endif", NULL };
static const char *const end_if_else[] = { "endif", NULL };
static const char *const end_with[] = { "endwith", NULL };
static const char *const end_autoescape[] = { "endautoescape", NULL };
static const char *const end_block[] = { "endblock", NULL };
static const char *const end_call[] = { "endcall", NULL };
static const char *const end_filter[] = { "endfilter", NULL };
static const char *const end_macro[] = { "endmacro", NULL };
static const char *const end_set[] = { "endset", NULL };

/* An unknown tag (name) or the end of the template (NULL) where something else was needed. */
static void
fail_tag(struct parser *p, const char *name)
{
	struct buf b = BUF_INIT;
	const char *const *ends = p->nends > 0 ? p->ends[p->nends - 1] : NULL;
	unsigned i;

	if (name == NULL)
		buf_adds(&b, "Unexpected end of template");
	else
		buf_addf(&b, "Encountered unknown tag '%s'", name);
	if (ends != NULL) {
		buf_adds(&b, ". Jinja was looking for the following tags: ");
		for (i = 0; ends[i] != NULL; i++)
			buf_addf(&b, "%s'%s'", i == 0 ? "" : " or ", ends[i]);
	}
	if (p->ntags > 0)
		buf_addf(&b, ". The innermost block that needs to be closed is '%s'", p->tags[p->ntags - 1]);
	parse_fail(p, "%s", buf_str(&b));
	buf_release(&b);
}

/* Body up to one of the ends, with the end of the opening tag before it; the closing tag is current. */
static bool
parse_until(struct parser *p, struct nodes *body, const char *const *ends)
{
	(void)tok_skip(p, T_COLON);
	if (!tok_expect(p, T_BLOCK_END, "end of statement block") || !parse_body(p, body, ends))
		return false;
	if (p->tok->type == T_END) {
		p->ends[p->nends++] = ends;
		fail_tag(p, NULL);
		p->nends--;
		return false;
	}
	return true;
}

/* The same, and steps over the one closing tag there is. */
static bool
parse_until_end(struct parser *p, struct nodes *body, const char *const *ends)
{
	if (!parse_until(p, body, ends))
		return false;
	tok_next(p);
	return true;
}

static struct node *
parse_for(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_FOR, pos);
	struct loop *l = n->u.loop = ARENA_NEW(p->arena, struct loop);

	l->loop_slot = -1;
	if ((l->target = parse_target(p, false, "in", false)) == NULL ||
	    !tok_expect_name(p, "in") ||
	    (l->iter = parse_tuple(p, false, false, "recursive", false, false)) == NULL)
		return NULL;
	if (tok_skip_name(p, "if") && (l->test = parse_expr(p, true)) == NULL)
		return NULL;
	if (tok_skip_name(p, "recursive"))
		n->flags |= NF_RECURSIVE;
	if (!parse_until(p, &l->body, end_for))
		return NULL;
	if (tok_skip_name(p, "else"))
		return parse_until_end(p, &l->other, end_for_else) ? n : NULL;
	tok_next(p);
	return n;
}

static struct node *
parse_if(struct parser *p, uint32_t pos)
{
	struct node *first = node_new(p, N_IF, pos), *n = first, *next;
	unsigned count;

	for (count = 0;; count++) {
		if (count > PARSE_LINKS_MAX)
			return parse_fail(p, "more than %d times elif", PARSE_LINKS_MAX);
		if ((n->u.cond.test = parse_tuple(p, false, false, NULL, false, false)) == NULL ||
		    !parse_until(p, &n->u.cond.body, end_if))
			return NULL;
		if (!tok_is_name(p->tok, "elif"))
			break;
		next = node_new(p, N_IF, p->tok->pos);
		tok_next(p);
		nodes_add(p->arena, &n->u.cond.other, next);
		n = next;
	}
	if (tok_skip_name(p, "else"))
		return parse_until_end(p, &n->u.cond.other, end_if_else) ? first : NULL;
	tok_next(p);
	return first;
}

static struct node *
parse_set(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_SET, pos);

	n->u.set = arena_zalloc(p->arena, sizeof(*n->u.set));
	if ((n->u.set->target = parse_target(p, false, NULL, true)) == NULL)
		return NULL;
	if (tok_skip(p, T_ASSIGN))
		return (n->u.set->value = parse_tuple(p, false, true, NULL, false, false)) != NULL ? n : NULL;
	n->type = N_SETBLOCK;
	if (p->tok->type == T_PIPE && (n->u.set->filter = parse_filters(p, NULL, false)) == NULL)
		return NULL;
	return parse_until_end(p, &n->u.set->body, end_set) ? n : NULL;
}

static struct node *
parse_with(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_WITH, pos), *e;

	n->u.with = arena_zalloc(p->arena, sizeof(*n->u.with));
	while (p->tok->type != T_BLOCK_END) {
		if (n->u.with->targets.n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if ((e = parse_target(p, false, NULL, false)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.with->targets, e);
		if (!tok_expect(p, T_ASSIGN, "=") || (e = parse_expr(p, true)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.with->values, e);
	}
	return parse_until_end(p, &n->u.with->body, end_with) ? n : NULL;
}

/* (name, name=default, …) of a macro or call block. */
static bool
parse_signature(struct parser *p, struct func *f)
{
	struct node *e;

	if (!tok_expect(p, T_LPAREN, "("))
		return false;
	while (p->tok->type != T_RPAREN) {
		if (f->nparams > 0 && !tok_expect(p, T_COMMA, ","))
			return false;
		if ((e = parse_target(p, true, NULL, false)) == NULL)
			return false;
		f->params = arena_grow(p->arena, f->params, f->nparams * sizeof(*f->params),
		    (f->nparams + 1) * sizeof(*f->params));
		f->params[f->nparams++] = v_str_ref(p->arena, e->u.name.n.s, e->u.name.n.len);
		if (tok_skip(p, T_ASSIGN)) {
			if ((e = parse_expr(p, true)) == NULL)
				return false;
			nodes_add(p->arena, &f->defaults, e);
		} else if (f->defaults.n > 0) {
			parse_fail(p, "non-default argument follows default argument");
			return false;
		}
	}
	return tok_expect(p, T_RPAREN, ")");
}

static struct func *
func_new(struct parser *p, const char *name)
{
	struct func *f = ARENA_NEW(p->arena, struct func);

	f->name = name;
	f->caller_slot = f->kwargs_slot = f->varargs_slot = -1;
	f->self_slot = f->super_slot = -1;
	return f;
}

static struct node *
parse_macro(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_MACRO, pos), *name;

	n->u.macro = arena_zalloc(p->arena, sizeof(*n->u.macro));
	if ((name = parse_target(p, true, NULL, false)) == NULL)
		return NULL;
	n->u.macro->name = name->u.name.n;
	n->u.macro->func = func_new(p, name->u.name.n.s);
	if (!parse_signature(p, n->u.macro->func) ||
	    !parse_until_end(p, &n->u.macro->func->body, end_macro))
		return NULL;
	return n;
}

static struct node *
parse_call_block(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_CALLBLOCK, pos);
	const struct token *t;

	n->u.macro = arena_zalloc(p->arena, sizeof(*n->u.macro));
	n->u.macro->func = func_new(p, NULL);
	if (p->tok->type == T_LPAREN && !parse_signature(p, n->u.macro->func))
		return NULL;
	t = p->tok;
	if ((n->u.macro->call = parse_expr(p, true)) == NULL)
		return NULL;
	if (n->u.macro->call->type != N_CALL)
		return parse_fail_at(p, t->pos, t->end, "expected call");
	return parse_until_end(p, &n->u.macro->func->body, end_call) ? n : NULL;
}

static struct node *
parse_filter_block(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_FILTERBLOCK, pos);

	n->u.fblock = arena_zalloc(p->arena, sizeof(*n->u.fblock));
	if ((n->u.fblock->filter = parse_filters(p, NULL, true)) == NULL)
		return NULL;
	return parse_until_end(p, &n->u.fblock->body, end_filter) ? n : NULL;
}

/* `with context` or `without context`: true when there was one. */
static bool
import_context(struct parser *p, struct node *n)
{
	if ((!tok_is_name(p->tok, "with") && !tok_is_name(p->tok, "without")) ||
	    !tok_is_name(p->tok + 1, "context"))
		return false;
	n->flags &= (uint16_t)~NF_CONTEXT;
	if (tok_is_name(p->tok, "with"))
		n->flags |= NF_CONTEXT;
	tok_next(p);
	tok_next(p);
	return true;
}

static struct node *
import_node(struct parser *p, enum node_type type, uint32_t pos)
{
	struct node *n = node_new(p, type, pos);

	n->u.import = ARENA_NEW(p->arena, struct import);
	return (n->u.import->tmpl = parse_expr(p, true)) == NULL ? NULL : n;
}

static struct node *
parse_include(struct parser *p, uint32_t pos)
{
	struct node *n = import_node(p, N_INCLUDE, pos);

	if (n == NULL)
		return NULL;
	n->flags |= NF_CONTEXT;
	if (tok_is_name(p->tok, "ignore") && tok_is_name(p->tok + 1, "missing")) {
		n->flags |= NF_IGNORE;
		tok_next(p);
		tok_next(p);
	}
	import_context(p, n);
	return n;
}

static struct node *
parse_import(struct parser *p, uint32_t pos)
{
	struct node *n = import_node(p, N_IMPORT, pos), *target;

	if (n == NULL || !tok_expect_name(p, "as") ||
	    (target = parse_target(p, true, NULL, false)) == NULL)
		return NULL;
	n->u.import->target = target->u.name.n;
	import_context(p, n);
	return n;
}

static struct node *
parse_from(struct parser *p, uint32_t pos)
{
	struct node *n = import_node(p, N_FROM, pos), *name, *alias;
	struct import *im;

	if (n == NULL || !tok_expect_name(p, "import"))
		return NULL;
	im = n->u.import;
	for (;;) {
		if (im->n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if (p->tok->type != T_NAME)
			return parse_fail(p, "expected a name, got '%s'", tok_describe(p->arena, p->tok));
		if (import_context(p, n))
			break;
		if ((name = parse_target(p, true, NULL, false)) == NULL)
			return NULL;
		if (name->u.name.n.s[0] == '_')
			return parse_fail(p, "names starting with an underline can not be imported");
		alias = name;
		if (tok_skip_name(p, "as") && (alias = parse_target(p, true, NULL, false)) == NULL)
			return NULL;
		im->from = arena_grow(p->arena, im->from, im->n * sizeof(*im->from),
		    (im->n + 1) * sizeof(*im->from));
		im->names = arena_grow(p->arena, im->names, im->n * sizeof(*im->names),
		    (im->n + 1) * sizeof(*im->names));
		im->from[im->n] = name->u.name.n;
		im->names[im->n++].name = alias->u.name.n;
		if (import_context(p, n) || p->tok->type != T_COMMA)
			break;
	}
	return n;
}

static bool
only_space(const struct nodes *body)
{
	uint32_t i;

	for (i = 0; i < body->n; i++)
		if (body->v[i]->type != N_DATA ||
		    text_lstrip(body->v[i]->u.data.s, body->v[i]->u.data.len) < body->v[i]->u.data.len)
			return false;
	return true;
}

static struct node *
parse_block(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_BLOCK, pos);
	struct func *f;
	const struct token *t = p->tok;

	n->u.block = arena_zalloc(p->arena, sizeof(*n->u.block));
	if (!tok_expect(p, T_NAME, "name"))
		return NULL;
	n->u.block->name = name_make(t->s, t->len);
	f = n->u.block->func = func_new(p, t->s);
	if (tok_skip_name(p, "scoped"))
		n->flags |= NF_SCOPED;
	if (tok_skip_name(p, "required"))
		n->flags |= NF_REQUIRED;
	if (p->tok->type == T_SUB)
		return parse_fail(p, "Block names in Jinja have to be valid Python identifiers and may not "
		    "contain hyphens, use an underscore instead");
	if (!parse_until_end(p, &f->body, end_block))
		return NULL;
	if ((n->flags & NF_REQUIRED) && !only_space(&f->body))
		return parse_fail(p, "Required blocks can only contain comments or whitespace");
	(void)tok_skip_name(p, t->s);
	return n;
}

static struct node *
parse_autoescape(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_SCOPE, pos);

	n->u.with = arena_zalloc(p->arena, sizeof(*n->u.with));
	if (parse_expr(p, true) == NULL)
		return NULL;
	return parse_until_end(p, &n->u.with->body, end_autoescape) ? n : NULL;
}

static struct node *
one_expr(struct parser *p, enum node_type type, uint32_t pos)
{
	struct node *n = node_new(p, type, pos);

	return (n->u.x.a = parse_tuple(p, false, true, NULL, false, false)) == NULL ? NULL : n;
}

static struct node *
parse_extends(struct parser *p, uint32_t pos)
{
	struct node *n = node_new(p, N_EXTENDS, pos);

	return (n->u.x.a = parse_expr(p, true)) == NULL ? NULL : n;
}

/* {% print a, b %}: several nodes. */
static bool
parse_print(struct parser *p, uint32_t pos, struct nodes *out)
{
	struct node *n;
	uint32_t count = 0;

	while (p->tok->type != T_BLOCK_END) {
		if (count++ > 0 && !tok_expect(p, T_COMMA, ","))
			return false;
		n = node_new(p, N_PRINT, pos);
		if ((n->u.x.a = parse_expr(p, true)) == NULL)
			return false;
		nodes_add(p->arena, out, n);
	}
	return true;
}

static const struct {
	const char	*name;
	struct node	*(*fn)(struct parser *, uint32_t);
} statements[] = {
	{ "autoescape", parse_autoescape },
	{ "block", parse_block },
	{ "call", parse_call_block },
	{ "extends", parse_extends },
	{ "filter", parse_filter_block },
	{ "for", parse_for },
	{ "from", parse_from },
	{ "if", parse_if },
	{ "import", parse_import },
	{ "include", parse_include },
	{ "macro", parse_macro },
	{ "set", parse_set },
	{ "with", parse_with },
};

static bool
parse_statement(struct parser *p, struct nodes *out)
{
	const struct token *t = p->tok;
	struct node *n;
	size_t i;

	if (t->type != T_NAME)
		return parse_fail(p, "tag name expected") != NULL;
	if (p->depth >= PARSE_DEPTH_MAX) {
		parse_fail(p, "nested more than %d levels deep", PARSE_DEPTH_MAX);
		p->err->code = ERR_LIMIT;
		return false;
	}
	if (p->t->syn.ext_do && tok_skip_name(p, "do")) {
		n = one_expr(p, N_DO, t->pos);
		goto out;
	}
	if (p->t->syn.ext_loopcontrols && (tok_is_name(t, "break") || tok_is_name(t, "continue"))) {
		n = node_new(p, t->s[0] == 'b' ? N_BREAK : N_CONTINUE, t->pos);
		tok_next(p);
		goto out;
	}
	if (tok_skip_name(p, "print"))
		return parse_print(p, t->pos, out);
	for (i = 0; i < NITEMS(statements); i++)
		if (strcmp(t->s, statements[i].name) == 0)
			break;
	if (i == NITEMS(statements)) {
		fail_tag(p, t->s);
		if (strcmp(t->s, "do") == 0 || strcmp(t->s, "break") == 0 || strcmp(t->s, "continue") == 0)
			err_hint(p->err, "it needs jinja2_extensions in ansible.cfg (jinja2.ext.%s)",
			    t->s[0] == 'd' ? "do" : "loopcontrols");
		return false;
	}
	p->tags[p->ntags++] = t->s;
	tok_next(p);
	p->links = 0;
	n = statements[i].fn(p, t->pos);
	p->ntags--;
out:
	if (n == NULL)
		return false;
	nodes_add(p->arena, out, n);
	return true;
}

static bool
at_end(const struct parser *p, const char *const *ends)
{
	for (; ends != NULL && *ends != NULL; ends++)
		if (tok_is_name(p->tok, *ends))
			return true;
	return false;
}

static bool
body_items(struct parser *p, struct nodes *out, const char *const *ends)
{
	struct node *n;
	uint32_t pos;

	for (;;) {
		pos = p->tok->pos;
		switch (p->tok->type) {
		case T_END:
			return true;
		case T_DATA:
			n = node_new(p, N_DATA, pos);
			n->u.data.s = p->tok->s;
			n->u.data.len = p->tok->len;
			tok_next(p);
			nodes_add(p->arena, out, n);
			break;
		case T_VAR_BEGIN:
			tok_next(p);
			p->links = 0;
			if ((n = one_expr(p, N_PRINT, pos)) == NULL ||
			    !tok_expect(p, T_VAR_END, "end of print statement"))
				return false;
			nodes_add(p->arena, out, n);
			break;
		case T_BLOCK_BEGIN:
			tok_next(p);
			if (at_end(p, ends))
				return true;
			if (!parse_statement(p, out) ||
			    !tok_expect(p, T_BLOCK_END, "end of statement block"))
				return false;
			break;
		default:
			parse_fail(p, "unexpected '%s'", tok_describe(p->arena, p->tok));
			return false;
		}
	}
}

static bool
parse_body(struct parser *p, struct nodes *out, const char *const *ends)
{
	bool ok;

	if (ends != NULL)
		p->ends[p->nends++] = ends;
	p->depth++;
	ok = body_items(p, out, ends);
	p->depth--;
	if (ends != NULL)
		p->nends--;
	return ok;
}

bool
parse_template(struct parser *p, struct nodes *out)
{
	return parse_body(p, out, NULL);
}
