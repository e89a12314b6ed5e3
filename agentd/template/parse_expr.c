/*
 * The parser of expressions: Jinja's grammar and its precedences, which are
 * not quite Python's (`-2 ** 2` is 4, `2 ** 3 ** 2` is 64, `~` binds tighter than `+`).
 */
#include <string.h>

#include "template/parser.h"

struct node *
node_new(struct parser *p, enum node_type type, uint32_t pos)
{
	struct node *n = ARENA_NEW(p->arena, struct node);

	n->type = (uint8_t)type;
	n->pos = pos;
	return n;
}

void
nodes_add(struct arena *a, struct nodes *l, struct node *n)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap == 0 ? 4 : l->cap * 2;

		l->v = arena_grow(a, l->v, l->n * sizeof(*l->v), cap * sizeof(*l->v));
		l->cap = cap;
	}
	l->v[l->n++] = n;
}

struct name
name_make(const char *s, uint32_t len)
{
	return (struct name){ s, len, v_hash_str(s, len) };
}

void *
parse_fail_at(struct parser *p, uint32_t pos, uint32_t end, const char *fmt, ...)
{
	va_list ap;

	if (p->err->code != ERR_NONE)
		return NULL;
	va_start(ap, fmt);
	err_vset_at(p->err, ERR_SYNTAX, tmpl_mark_at(p->t, pos, end), fmt, ap);
	va_end(ap);
	return NULL;
}

void *
parse_fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	if (p->err->code != ERR_NONE)
		return NULL;
	va_start(ap, fmt);
	err_vset_at(p->err, ERR_SYNTAX, tmpl_mark_at(p->t, p->tok->pos, p->tok->end), fmt, ap);
	va_end(ap);
	return NULL;
}

bool
tok_is_name(const struct token *t, const char *s)
{
	return t->type == T_NAME && strcmp(t->s, s) == 0;
}

void
tok_next(struct parser *p)
{
	if (p->tok->type != T_END)
		p->tok++;
}

bool
tok_skip(struct parser *p, enum tok type)
{
	if (p->tok->type != type)
		return false;
	tok_next(p);
	return true;
}

bool
tok_skip_name(struct parser *p, const char *s)
{
	if (!tok_is_name(p->tok, s))
		return false;
	tok_next(p);
	return true;
}

bool
tok_expect(struct parser *p, enum tok type, const char *what)
{
	if (tok_skip(p, type))
		return true;
	if (p->tok->type == T_END)
		parse_fail(p, "unexpected end of template, expected '%s'", what);
	else
		parse_fail(p, "expected '%s', got '%s'", what, tok_describe(p->arena, p->tok));
	return false;
}

bool
tok_expect_name(struct parser *p, const char *s)
{
	if (tok_skip_name(p, s))
		return true;
	if (p->tok->type == T_END)
		parse_fail(p, "unexpected end of template, expected '%s'", s);
	else
		parse_fail(p, "expected '%s', got '%s'", s, tok_describe(p->arena, p->tok));
	return false;
}

static bool
deeper(struct parser *p)
{
	if (p->depth >= PARSE_DEPTH_MAX) {
		if (p->err->code == ERR_NONE) {
			parse_fail(p, "nested more than %d levels deep", PARSE_DEPTH_MAX);
			p->err->code = ERR_LIMIT;
		}
		return false;
	}
	p->depth++;
	return true;
}

/* One more link of a chain (a + b + c …): false when there are too many. */
static bool
link_more(struct parser *p)
{
	if (++p->links <= PARSE_LINKS_MAX)
		return true;
	if (p->err->code == ERR_NONE) {
		parse_fail(p, "more than %d operators in one expression", PARSE_LINKS_MAX);
		p->err->code = ERR_LIMIT;
	}
	return false;
}

static struct node *
const_node(struct parser *p, uint32_t pos, const struct value *v)
{
	struct node *n = node_new(p, N_CONST, pos);

	n->u.val = v;
	return n;
}

static struct node *
binary(struct parser *p, enum node_type type, uint8_t op, uint32_t pos,
    struct node *a, struct node *b)
{
	struct node *n = node_new(p, type, pos);

	n->op = op;
	n->u.x.a = a;
	n->u.x.b = b;
	return n;
}

/* ---- primaries ------------------------------------------------------------ */

static struct node *
parse_list(struct parser *p)
{
	struct node *n = node_new(p, N_LIST, p->tok->pos), *e;

	tok_next(p);
	while (p->tok->type != T_RBRACKET) {
		if (n->u.list.n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if (p->tok->type == T_RBRACKET)
			break;
		if ((e = parse_expr(p, true)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.list, e);
	}
	return tok_expect(p, T_RBRACKET, "]") ? n : NULL;
}

static struct node *
parse_dict(struct parser *p)
{
	struct node *n = node_new(p, N_DICT, p->tok->pos), *e;

	tok_next(p);
	while (p->tok->type != T_RBRACE) {
		if (n->u.list.n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if (p->tok->type == T_RBRACE)
			break;
		if ((e = parse_expr(p, true)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.list, e);
		if (!tok_expect(p, T_COLON, ":") || (e = parse_expr(p, true)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.list, e);
	}
	return tok_expect(p, T_RBRACE, "}") ? n : NULL;
}

static struct node *
parse_string(struct parser *p)
{
	uint32_t pos = p->tok->pos;
	const struct token *first = p->tok;
	struct buf b = BUF_INIT;
	struct node *n;

	tok_next(p);
	if (p->tok->type != T_STR)
		return const_node(p, pos, v_str_ref(p->arena, first->s, first->len));
	buf_add(&b, first->s, first->len);
	for (; p->tok->type == T_STR; tok_next(p))
		buf_add(&b, p->tok->s, p->tok->len);
	n = const_node(p, pos, v_str_ref(p->arena, buf_dup(&b, p->arena), b.len));
	buf_release(&b);
	return n;
}

static const struct value *
constant_name(const char *s)
{
	static const struct { const char *name; const struct value *v; } names[] = {
		{ "true", &v_true }, { "True", &v_true }, { "false", &v_false },
		{ "False", &v_false }, { "none", &v_null }, { "None", &v_null },
	};
	size_t i;

	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(s, names[i].name) == 0)
			return names[i].v;
	return NULL;
}

static struct node *
parse_name(struct parser *p, bool with_namespace)
{
	const struct token *t = p->tok;
	const struct value *v;
	struct node *n;

	tok_next(p);
	if ((v = constant_name(t->s)) != NULL)
		return const_node(p, t->pos, v);
	n = node_new(p, N_NAME, t->pos);
	n->u.name.n = name_make(t->s, t->len);
	if (with_namespace && tok_skip(p, T_DOT)) {
		struct node *ns = node_new(p, N_NSREF, t->pos);

		if (p->tok->type != T_NAME)
			return parse_fail(p, "expected a name, got '%s'", tok_describe(p->arena, p->tok));
		ns->u.attr.obj = n;
		ns->u.attr.n = name_make(p->tok->s, p->tok->len);
		ns->u.attr.key = v_str_ref(p->arena, p->tok->s, p->tok->len);
		tok_next(p);
		return ns;
	}
	return n;
}

static struct node *
parse_primary(struct parser *p, bool with_namespace)
{
	const struct token *t = p->tok;
	struct node *n;

	switch (t->type) {
	case T_NAME:
		return parse_name(p, with_namespace);
	case T_STR:
		return parse_string(p);
	case T_INT:
		tok_next(p);
		return const_node(p, t->pos, v_int(p->arena, t->u.i));
	case T_FLOAT:
		tok_next(p);
		return const_node(p, t->pos, v_float(p->arena, t->u.f));
	case T_LPAREN:
		tok_next(p);
		if ((n = parse_tuple(p, false, true, NULL, true, false)) == NULL ||
		    !tok_expect(p, T_RPAREN, ")"))
			return NULL;
		return n;
	case T_LBRACKET:
		return parse_list(p);
	case T_LBRACE:
		return parse_dict(p);
	default:
		return parse_fail(p, "unexpected '%s'", tok_describe(p->arena, t));
	}
}

/* ---- calls, subscripts, filters, tests ------------------------------------ */

static struct args *
parse_args(struct parser *p)
{
	struct args *a = ARENA_NEW(p->arena, struct args);
	const struct token *open = p->tok;
	bool comma = false, ok;
	uint32_t nkw = 0;
	struct node *e;

	tok_next(p);
	while (p->tok->type != T_RPAREN) {
		if (comma) {
			if (!tok_expect(p, T_COMMA, ","))
				return NULL;
			if (p->tok->type == T_RPAREN)
				break;
		}
		comma = true;
		if (tok_skip(p, T_MUL)) {
			ok = a->star == NULL && a->dstar == NULL;
			e = a->star = parse_expr(p, true);
		} else if (tok_skip(p, T_POW)) {
			ok = a->dstar == NULL;
			e = a->dstar = parse_expr(p, true);
		} else if (p->tok->type == T_NAME && p->tok[1].type == T_ASSIGN) {
			ok = a->dstar == NULL;
			a->kwname = arena_grow(p->arena, a->kwname, nkw * sizeof(*a->kwname),
			    (nkw + 1) * sizeof(*a->kwname));
			a->kwname[nkw++] = v_str_ref(p->arena, p->tok->s, p->tok->len);
			tok_next(p);
			tok_next(p);
			if ((e = parse_expr(p, true)) != NULL)
				nodes_add(p->arena, &a->kwval, e);
		} else {
			ok = a->star == NULL && a->dstar == NULL && nkw == 0;
			if ((e = parse_expr(p, true)) != NULL)
				nodes_add(p->arena, &a->pos, e);
		}
		if (e == NULL)
			return NULL;
		if (!ok)
			return parse_fail_at(p, open->pos, open->end, "invalid syntax for function call expression");
	}
	return tok_expect(p, T_RPAREN, ")") ? a : NULL;
}

static struct node *
parse_call(struct parser *p, struct node *fn)
{
	struct node *n = node_new(p, N_CALL, fn->pos);

	n->u.call.fn = fn;
	return (n->u.call.args = parse_args(p)) == NULL ? NULL : n;
}

/* One element between brackets; a slice is returned as N_SLICE without its object. */
static struct node *
parse_subscribed(struct parser *p)
{
	struct node *part[3] = { NULL, NULL, NULL }, *n;
	uint32_t pos = p->tok->pos;
	int i = 0;

	if (p->tok->type != T_COLON) {
		if ((part[0] = parse_expr(p, true)) == NULL || p->tok->type != T_COLON)
			return part[0];
	}
	for (i = 1; i < 3 && tok_skip(p, T_COLON); i++) {
		if (p->tok->type == T_COLON || p->tok->type == T_RBRACKET || p->tok->type == T_COMMA)
			continue;
		if ((part[i] = parse_expr(p, true)) == NULL)
			return NULL;
	}
	n = node_new(p, N_SLICE, pos);
	n->u.x.b = part[0];
	n->u.x.c = part[1];
	n->u.x.d = part[2];
	return n;
}

static struct node *
parse_attr(struct parser *p, struct node *obj)
{
	const struct token *t;
	struct node *n;

	tok_next(p);
	t = p->tok;
	if (t->type == T_INT) {
		tok_next(p);
		return binary(p, N_ITEM, 0, t->pos, obj, const_node(p, t->pos, v_int(p->arena, t->u.i)));
	}
	if (t->type != T_NAME)
		return parse_fail(p, "expected name or number");
	tok_next(p);
	n = node_new(p, N_ATTR, t->pos);
	n->u.attr.obj = obj;
	n->u.attr.n = name_make(t->s, t->len);
	n->u.attr.key = v_str_ref(p->arena, t->s, t->len);
	return n;
}

static struct node *
parse_brackets(struct parser *p, struct node *obj)
{
	uint32_t pos = p->tok->pos;
	struct nodes parts = { NULL, 0, 0 };
	struct node *n;

	tok_next(p);
	while (p->tok->type != T_RBRACKET) {
		if (parts.n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if ((n = parse_subscribed(p)) == NULL)
			return NULL;
		nodes_add(p->arena, &parts, n);
	}
	if (!tok_expect(p, T_RBRACKET, "]"))
		return NULL;
	if (parts.n == 1 && parts.v[0]->type == N_SLICE && parts.v[0]->u.x.a == NULL) {
		parts.v[0]->u.x.a = obj;
		return parts.v[0];
	}
	if (parts.n == 1)
		return binary(p, N_ITEM, 0, pos, obj, parts.v[0]);
	n = node_new(p, N_TUPLE, pos);
	n->u.list = parts;
	return binary(p, N_ITEM, 0, pos, obj, n);
}

static struct node *
parse_postfix(struct parser *p, struct node *n)
{
	while (n != NULL) {
		if (p->tok->type != T_DOT && p->tok->type != T_LBRACKET && p->tok->type != T_LPAREN)
			break;
		if (!link_more(p))
			return NULL;
		if (p->tok->type == T_DOT)
			n = parse_attr(p, n);
		else if (p->tok->type == T_LBRACKET)
			n = parse_brackets(p, n);
		else
			n = parse_call(p, n);
	}
	return n;
}

/* NAME(.NAME)* of a filter or test. */
static const char *
dotted_name(struct parser *p)
{
	const char *name;

	if (p->tok->type != T_NAME)
		return parse_fail(p, "expected a name, got '%s'", tok_describe(p->arena, p->tok));
	name = p->tok->s;
	tok_next(p);
	while (tok_skip(p, T_DOT)) {
		if (p->tok->type != T_NAME)
			return parse_fail(p, "expected a name, got '%s'", tok_describe(p->arena, p->tok));
		name = arena_printf(p->arena, "%s.%s", name, p->tok->s);
		tok_next(p);
	}
	return name;
}

struct node *
parse_filters(struct parser *p, struct node *in, bool start_inline)
{
	struct node *n;

	while (start_inline || p->tok->type == T_PIPE) {
		if (!link_more(p))
			return NULL;
		if (!start_inline)
			tok_next(p);
		start_inline = false;
		n = node_new(p, N_FILTER, p->tok->pos);
		n->u.filter.in = in;
		if ((n->u.filter.name = dotted_name(p)) == NULL)
			return NULL;
		if (p->tok->type == T_LPAREN)
			n->u.filter.args = parse_args(p);
		else
			n->u.filter.args = ARENA_NEW(p->arena, struct args);
		if (n->u.filter.args == NULL)
			return NULL;
		in = n;
	}
	return in;
}

static struct node *
parse_test(struct parser *p, struct node *in)
{
	bool negated;
	struct node *n, *arg;

	tok_next(p);
	negated = tok_skip_name(p, "not");
	n = node_new(p, N_TEST, p->tok->pos);
	n->u.filter.in = in;
	if ((n->u.filter.name = dotted_name(p)) == NULL)
		return NULL;
	n->u.filter.args = ARENA_NEW(p->arena, struct args);
	switch (p->tok->type) {
	case T_LPAREN:
		if ((n->u.filter.args = parse_args(p)) == NULL)
			return NULL;
		break;
	case T_NAME:
		if (tok_is_name(p->tok, "else") || tok_is_name(p->tok, "or") || tok_is_name(p->tok, "and"))
			break;
		if (tok_is_name(p->tok, "is"))
			return parse_fail(p, "You cannot chain multiple tests with is");
		FALLTHROUGH;
	case T_STR:
	case T_INT:
	case T_FLOAT:
	case T_LBRACKET:
	case T_LBRACE:
		if ((arg = parse_primary(p, false)) == NULL || (arg = parse_postfix(p, arg)) == NULL)
			return NULL;
		nodes_add(p->arena, &n->u.filter.args->pos, arg);
		break;
	default:
		break;
	}
	return negated ? binary(p, N_NOT, 0, n->pos, n, NULL) : n;
}

static struct node *
parse_filter_expr(struct parser *p, struct node *n)
{
	while (n != NULL) {
		if (p->tok->type == T_PIPE)
			n = parse_filters(p, n, false);
		else if (tok_is_name(p->tok, "is"))
			n = link_more(p) ? parse_test(p, n) : NULL;
		else if (p->tok->type == T_LPAREN)
			n = link_more(p) ? parse_call(p, n) : NULL;
		else
			break;
	}
	return n;
}

/* ---- operators ------------------------------------------------------------ */

static struct node *
parse_unary(struct parser *p, bool with_filter)
{
	const struct token *t = p->tok;
	struct node *n;

	if (!deeper(p))
		return NULL;
	if (t->type == T_SUB || t->type == T_ADD) {
		tok_next(p);
		if ((n = parse_unary(p, false)) != NULL)
			n = binary(p, t->type == T_SUB ? N_NEG : N_POS, 0, t->pos, n, NULL);
	} else
		n = parse_primary(p, false);
	n = n == NULL ? NULL : parse_postfix(p, n);
	if (n != NULL && with_filter)
		n = parse_filter_expr(p, n);
	p->depth--;
	return n;
}

static struct node *
parse_pow(struct parser *p)
{
	struct node *n = parse_unary(p, true), *b;
	uint32_t pos;

	while (n != NULL && p->tok->type == T_POW && link_more(p)) {
		pos = p->tok->pos;
		tok_next(p);
		if ((b = parse_unary(p, true)) == NULL)
			return NULL;
		n = binary(p, N_BIN, T_POW, pos, n, b);
	}
	return n;
}

static struct node *
parse_product(struct parser *p)
{
	struct node *n = parse_pow(p), *b;
	const struct token *t;

	while (n != NULL && (p->tok->type == T_MUL || p->tok->type == T_DIV ||
	    p->tok->type == T_FLOORDIV || p->tok->type == T_MOD) && link_more(p)) {
		t = p->tok;
		tok_next(p);
		if ((b = parse_pow(p)) == NULL)
			return NULL;
		n = binary(p, N_BIN, t->type, t->pos, n, b);
	}
	return n;
}

static struct node *
parse_concat(struct parser *p)
{
	struct node *n = parse_product(p), *cat;

	if (n == NULL || p->tok->type != T_TILDE)
		return n;
	cat = node_new(p, N_CONCAT, n->pos);
	nodes_add(p->arena, &cat->u.list, n);
	while (tok_skip(p, T_TILDE)) {
		if ((n = parse_product(p)) == NULL)
			return NULL;
		nodes_add(p->arena, &cat->u.list, n);
	}
	return cat;
}

static struct node *
parse_sum(struct parser *p)
{
	struct node *n = parse_concat(p), *b;
	const struct token *t;

	while (n != NULL && (p->tok->type == T_ADD || p->tok->type == T_SUB) && link_more(p)) {
		t = p->tok;
		tok_next(p);
		if ((b = parse_concat(p)) == NULL)
			return NULL;
		n = binary(p, N_BIN, t->type, t->pos, n, b);
	}
	return n;
}

/* The comparison at the current token, -1: none. */
static int
compare_op(struct parser *p)
{
	switch (p->tok->type) {
	case T_EQ:
		return C_EQ;
	case T_NE:
		return C_NE;
	case T_LT:
		return C_LT;
	case T_LE:
		return C_LE;
	case T_GT:
		return C_GT;
	case T_GE:
		return C_GE;
	case T_NAME:
		if (tok_is_name(p->tok, "in"))
			return C_IN;
		if (tok_is_name(p->tok, "not") && tok_is_name(p->tok + 1, "in")) {
			tok_next(p);
			return C_NOTIN;
		}
		return -1;
	default:
		return -1;
	}
}

static struct node *
parse_compare(struct parser *p)
{
	struct node *n = parse_sum(p), *cmp;
	uint8_t ops[64];
	uint32_t nops = 0;
	int op;

	if (n == NULL || (op = compare_op(p)) < 0)
		return n;
	cmp = node_new(p, N_COMPARE, p->tok->pos);
	nodes_add(p->arena, &cmp->u.cmp.v, n);
	do {
		if (nops == NITEMS(ops))
			return parse_fail(p, "a chain of more than %zu comparisons", NITEMS(ops));
		ops[nops++] = (uint8_t)op;
		tok_next(p);
		if ((n = parse_sum(p)) == NULL)
			return NULL;
		nodes_add(p->arena, &cmp->u.cmp.v, n);
	} while ((op = compare_op(p)) >= 0);
	cmp->u.cmp.ops = arena_alloc(p->arena, nops);
	memcpy(cmp->u.cmp.ops, ops, nops);
	return cmp;
}

static struct node *
parse_not(struct parser *p)
{
	uint32_t pos = p->tok->pos;
	struct node *n;

	if (!tok_is_name(p->tok, "not"))
		return parse_compare(p);
	if (!deeper(p))
		return NULL;
	tok_next(p);
	n = parse_not(p);
	p->depth--;
	return n == NULL ? NULL : binary(p, N_NOT, 0, pos, n, NULL);
}

static struct node *
parse_and(struct parser *p)
{
	struct node *n = parse_not(p), *b;
	uint32_t pos;

	while (n != NULL && tok_is_name(p->tok, "and") && link_more(p)) {
		pos = p->tok->pos;
		tok_next(p);
		if ((b = parse_not(p)) == NULL)
			return NULL;
		n = binary(p, N_AND, 0, pos, n, b);
	}
	return n;
}

static struct node *
parse_or(struct parser *p)
{
	struct node *n = parse_and(p), *b;
	uint32_t pos;

	while (n != NULL && tok_is_name(p->tok, "or") && link_more(p)) {
		pos = p->tok->pos;
		tok_next(p);
		if ((b = parse_and(p)) == NULL)
			return NULL;
		n = binary(p, N_OR, 0, pos, n, b);
	}
	return n;
}

struct node *
parse_expr(struct parser *p, bool with_cond)
{
	struct node *n, *test, *other;
	uint32_t pos;

	if (p->depth == 0)
		p->links = 0;
	if (!deeper(p))
		return NULL;
	n = parse_or(p);
	while (n != NULL && with_cond && tok_is_name(p->tok, "if") && link_more(p)) {
		pos = p->tok->pos;
		tok_next(p);
		other = NULL;
		if ((test = parse_or(p)) == NULL)
			return NULL;
		if (tok_skip_name(p, "else") && (other = parse_expr(p, true)) == NULL)
			return NULL;
		n = binary(p, N_COND, 0, pos, n, test);
		n->u.x.c = other;
	}
	p->depth--;
	return p->err->code == ERR_NONE ? n : NULL;
}

static bool
tuple_end(const struct parser *p, const char *end_name)
{
	return p->tok->type == T_VAR_END || p->tok->type == T_BLOCK_END ||
	    p->tok->type == T_RPAREN || (end_name != NULL && tok_is_name(p->tok, end_name));
}

struct node *
parse_tuple(struct parser *p, bool simplified, bool with_cond, const char *end_name,
    bool parens, bool with_namespace)
{
	struct node *tuple = node_new(p, N_TUPLE, p->tok->pos), *n;
	bool is_tuple = false;

	for (;;) {
		if (tuple->u.list.n > 0 && !tok_expect(p, T_COMMA, ","))
			return NULL;
		if (tuple_end(p, end_name))
			break;
		n = simplified ? parse_primary(p, with_namespace) : parse_expr(p, with_cond);
		if (n == NULL)
			return NULL;
		nodes_add(p->arena, &tuple->u.list, n);
		if (p->tok->type != T_COMMA)
			break;
		is_tuple = true;
	}
	if (!is_tuple) {
		if (tuple->u.list.n > 0)
			return tuple->u.list.v[0];
		if (!parens)
			return parse_fail(p, "Expected an expression, got '%s'", tok_describe(p->arena, p->tok));
	}
	return tuple;
}

static bool
can_assign(const struct node *n, const char **what)
{
	uint32_t i;

	switch (n->type) {
	case N_NAME:
		*what = "name";
		return constant_name(n->u.name.n.s) == NULL;
	case N_NSREF:
		return true;
	case N_TUPLE:
		for (i = 0; i < n->u.list.n; i++)
			if (!can_assign(n->u.list.v[i], what))
				return false;
		return true;
	case N_CONST:
		*what = "const";
		return false;
	case N_LIST:
		*what = "list";
		return false;
	default:
		*what = "expression";
		return false;
	}
}

struct node *
parse_target(struct parser *p, bool name_only, const char *end_name, bool with_namespace)
{
	const struct token *t = p->tok;
	const char *what = "name";
	struct node *n;

	if (name_only) {
		if (t->type != T_NAME)
			return parse_fail(p, "expected a name, got '%s'", tok_describe(p->arena, t));
		tok_next(p);
		n = node_new(p, N_NAME, t->pos);
		n->u.name.n = name_make(t->s, t->len);
	} else if ((n = parse_tuple(p, true, true, end_name, false, with_namespace)) == NULL)
		return NULL;
	if (!can_assign(n, &what))
		return parse_fail_at(p, t->pos, t->end, "can't assign to '%s'", what);
	return n;
}
