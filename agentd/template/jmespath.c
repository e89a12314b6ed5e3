/*
 * JMESPath: see jmespath.h.
 *
 * A Pratt parser makes a small tree, an interpreter walks it.  A projection
 * (`[*]`, `*`, `[]`, `[?…]`, `[a:b]`) takes what follows it, up to a token that
 * binds weaker than BP_PROJECTION_STOP, as what is done to each element.
 */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/jmespath_private.h"

#define DEPTH_MAX		100
#define BP_PROJECTION_STOP	10

enum tok {
	T_END, T_IDENT, T_QUOTED, T_LITERAL, T_NUMBER, T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN,
	T_LBRACE, T_RBRACE, T_COMMA, T_COLON, T_DOT, T_STAR, T_CURRENT, T_EXPREF, T_PIPE, T_OR,
	T_AND, T_NOT, T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_FLATTEN, T_FILTER
};

struct parser {
	struct arena		*arena;
	const char		*start, *p, *end;
	enum tok		 tok;
	const char		*at;		/* of the token */
	const struct value	*val;		/* of a name, literal or number */
	unsigned		 depth;
	struct err		*err;
};

static struct jnode *expression(struct parser *, int bp);

static struct jnode *
bad(struct parser *p, const char *msg)
{
	err_set(p->err, ERR_SYNTAX, "JMESPath, column %zu: %s",
	    utf8_count(p->start, (size_t)(p->at - p->start)) + 1, msg);
	return NULL;
}

static struct jnode *
node(struct parser *p, enum jkind kind, struct jnode *left, struct jnode *right)
{
	struct jnode *n = ARENA_NEW(p->arena, struct jnode);

	n->kind = kind;
	n->left = left;
	n->right = right;
	return n;
}

/* ---- lexer ------------------------------------------------------------------------------ */

/* Text up to the closing quote, where a backslash keeps the next character. NULL when it does not end. */
static const char *
quoted_end(struct parser *p, char quote)
{
	const char *s;

	for (s = p->p + 1; s < p->end && *s != quote; s++)
		if (*s == '\\' && s + 1 < p->end)
			s++;
	return s < p->end ? s : NULL;
}

/* The text with \quote turned into quote. */
static const struct value *
unescape(struct parser *p, const char *s, size_t len, char quote)
{
	char *out = arena_alloc(p->arena, len + 1), *o = out;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len && s[i + 1] == quote)
			i++;
		*o++ = s[i];
	}
	*o = '\0';
	return v_str_ref(p->arena, out, (size_t)(o - out));
}

static bool
lex_quoted(struct parser *p, char quote)
{
	const char *e = quoted_end(p, quote);
	CLEANUP_ERR struct err err = ERR_INIT;
	const struct value *text;

	if (e == NULL)
		return bad(p, "a quote is not closed") != NULL;
	p->tok = quote == '"' ? T_QUOTED : T_LITERAL;
	if (quote == '"')
		p->val = json_parse_text(p->arena, p->p, (size_t)(e + 1 - p->p), &err);
	else {
		text = unescape(p, p->p + 1, (size_t)(e - p->p - 1), quote);
		p->val = text;
		if (quote == '`') {
			p->val = json_parse_text(p->arena, text->u.s, text->len, &err);
			/* What is no JSON is text: `foo`. */
			if (p->val == NULL)
				p->val = text;
		}
	}
	if (p->val == NULL)
		return bad(p, "a quoted name is no JSON string") != NULL;
	p->p = e + 1;
	return true;
}

static bool
lex_word(struct parser *p)
{
	const char *s = p->p;
	int64_t n = 0;

	if (isalpha((unsigned char)*s) || *s == '_') {
		while (s < p->end && (isalnum((unsigned char)*s) || *s == '_'))
			s++;
		p->tok = T_IDENT;
		p->val = v_strn(p->arena, p->p, (size_t)(s - p->p));
		p->p = s;
		return true;
	}
	if (*s == '-')
		s++;
	if (s == p->end || !isdigit((unsigned char)*s))
		return bad(p, "an unknown token") != NULL;
	for (; s < p->end && isdigit((unsigned char)*s); s++)
		n = n > INT32_MAX ? n : n * 10 + (*s - '0');
	p->tok = T_NUMBER;
	p->val = v_int(p->arena, *p->p == '-' ? -n : n);
	p->p = s;
	return true;
}

/* The next token; false after an error. */
static bool
advance(struct parser *p)
{
	static const struct { const char *s; enum tok tok; } symbols[] = {
		{ "[?", T_FILTER }, { "[]", T_FLATTEN }, { "||", T_OR }, { "&&", T_AND },
		{ "==", T_EQ }, { "!=", T_NE }, { "<=", T_LE }, { ">=", T_GE }, { "<", T_LT },
		{ ">", T_GT }, { "[", T_LBRACKET }, { "]", T_RBRACKET }, { "(", T_LPAREN },
		{ ")", T_RPAREN }, { "{", T_LBRACE }, { "}", T_RBRACE }, { ",", T_COMMA },
		{ ":", T_COLON }, { ".", T_DOT }, { "*", T_STAR }, { "@", T_CURRENT },
		{ "&", T_EXPREF }, { "|", T_PIPE }, { "!", T_NOT },
	};
	size_t n;

	while (p->p < p->end && (*p->p == ' ' || *p->p == '\t' || *p->p == '\n' || *p->p == '\r'))
		p->p++;
	p->at = p->p;
	if (p->p == p->end) {
		p->tok = T_END;
		return true;
	}
	if (*p->p == '"' || *p->p == '\'' || *p->p == '`')
		return lex_quoted(p, *p->p);
	for (size_t i = 0; i < NITEMS(symbols); i++) {
		n = strlen(symbols[i].s);
		if ((size_t)(p->end - p->p) >= n && memcmp(p->p, symbols[i].s, n) == 0) {
			p->tok = symbols[i].tok;
			p->p += n;
			return true;
		}
	}
	return lex_word(p);
}

static bool
expect(struct parser *p, enum tok tok, const char *msg)
{
	if (p->tok != tok)
		return bad(p, msg) != NULL;
	return advance(p);
}

/* ---- parser ------------------------------------------------------------------------------ */

static int
binding(enum tok tok)
{
	switch (tok) {
	case T_PIPE: return 1;
	case T_OR: return 2;
	case T_AND: return 3;
	case T_EQ: case T_NE: case T_LT: case T_LE: case T_GT: case T_GE: return 5;
	case T_FLATTEN: return 9;
	case T_STAR: return 20;
	case T_FILTER: return 21;
	case T_DOT: return 40;
	case T_NOT: return 45;
	case T_LBRACE: return 50;
	case T_LBRACKET: return 55;
	case T_LPAREN: return 60;
	default: return 0;
	}
}

static struct jnode *multi_list(struct parser *);
static struct jnode *multi_hash(struct parser *);

/* What is done to each element of a projection. */
static struct jnode *
projected(struct parser *p, int bp)
{
	if (binding(p->tok) < BP_PROJECTION_STOP)
		return node(p, J_CURRENT, NULL, NULL);
	if (p->tok == T_LBRACKET || p->tok == T_FILTER)
		return expression(p, bp);
	if (p->tok != T_DOT)
		return bad(p, "a syntax error behind a projection");
	if (!advance(p))
		return NULL;
	if (p->tok == T_LBRACKET)
		return advance(p) ? multi_list(p) : NULL;
	if (p->tok == T_LBRACE)
		return advance(p) ? multi_hash(p) : NULL;
	if (p->tok != T_IDENT && p->tok != T_QUOTED && p->tok != T_STAR)
		return bad(p, "a name is missing behind the dot");
	return expression(p, bp);
}

static struct jnode *
with_projected(struct parser *p, enum jkind kind, struct jnode *left, int bp)
{
	struct jnode *right = projected(p, bp);

	return right != NULL ? node(p, kind, left, right) : NULL;
}

/* "[1]", "[1:2]", "[*]" behind left (NULL: the current value); the bracket is taken. */
static struct jnode *
bracket(struct parser *p, struct jnode *left)
{
	struct jnode *n;
	unsigned part = 0;

	if (left == NULL)
		left = node(p, J_CURRENT, NULL, NULL);
	if (p->tok == T_STAR) {
		if (!advance(p) || !expect(p, T_RBRACKET, "']' is missing"))
			return NULL;
		return with_projected(p, J_PROJECTION, left, binding(T_STAR));
	}
	n = node(p, J_INDEX, left, NULL);
	while (p->tok == T_NUMBER || p->tok == T_COLON) {
		if (p->tok == T_COLON) {
			n->kind = J_SLICE;
			if (++part > 2)
				return bad(p, "too many colons in a slice");
		} else {
			if (n->has[part])
				return bad(p, "a colon is missing");
			n->has[part] = true;
			n->num[part] = p->val->u.i;
		}
		if (!advance(p))
			return NULL;
	}
	if (!expect(p, T_RBRACKET, "']' is missing"))
		return NULL;
	if (n->kind == J_INDEX)
		return n->has[0] ? n : bad(p, "an index is missing");
	return with_projected(p, J_PROJECTION, n, binding(T_STAR));
}

static void
add_arg(struct parser *p, struct jnode *n, const struct value *key, struct jnode *arg)
{
	if (n->nargs % 8 == 0) {
		n->args = arena_grow(p->arena, n->args, n->nargs * sizeof(*n->args),
		    (n->nargs + 8) * sizeof(*n->args));
		n->keys = arena_grow(p->arena, n->keys, n->nargs * sizeof(*n->keys),
		    (n->nargs + 8) * sizeof(*n->keys));
	}
	n->keys[n->nargs] = key;
	n->args[n->nargs++] = arg;
}

/* Expressions by commas up to the closing token. */
static bool
arguments(struct parser *p, struct jnode *n, enum tok close)
{
	struct jnode *arg;

	while (p->tok != close) {
		if (n->nargs > 0 && !expect(p, T_COMMA, "a comma is missing"))
			return false;
		if ((arg = expression(p, 0)) == NULL)
			return false;
		add_arg(p, n, NULL, arg);
	}
	return advance(p);
}

static struct jnode *
multi_list(struct parser *p)
{
	struct jnode *n = node(p, J_MULTI_LIST, NULL, NULL);

	if (p->tok == T_RBRACKET)
		return bad(p, "an empty list of expressions");
	return arguments(p, n, T_RBRACKET) ? n : NULL;
}

static struct jnode *
multi_hash(struct parser *p)
{
	struct jnode *n = node(p, J_MULTI_HASH, NULL, NULL), *arg;
	const struct value *key;

	for (;;) {
		if (p->tok != T_IDENT && p->tok != T_QUOTED)
			return bad(p, "a key is missing");
		key = p->val;
		if (!advance(p) || !expect(p, T_COLON, "':' is missing behind a key") ||
		    (arg = expression(p, 0)) == NULL)
			return NULL;
		add_arg(p, n, key, arg);
		if (p->tok == T_RBRACE)
			return advance(p) ? n : NULL;
		if (!expect(p, T_COMMA, "a comma is missing"))
			return NULL;
	}
}

static struct jnode *
filter(struct parser *p, struct jnode *left)
{
	struct jnode *cond = expression(p, 0), *n;

	if (cond == NULL || !expect(p, T_RBRACKET, "']' is missing behind the filter"))
		return NULL;
	n = p->tok == T_FLATTEN ? node(p, J_FILTER, left, node(p, J_CURRENT, NULL, NULL)) :
	    with_projected(p, J_FILTER, left, binding(T_FILTER));
	if (n != NULL)
		n->cond = cond;
	return n;
}

static struct jnode *
prefix(struct parser *p)
{
	struct jnode *n;
	enum tok tok = p->tok;
	const struct value *val = p->val;

	if (tok == T_END)
		return bad(p, "the expression is not complete");
	if (!advance(p))
		return NULL;
	switch (tok) {
	case T_LITERAL:
	case T_IDENT:
	case T_QUOTED:
		n = node(p, tok == T_LITERAL ? J_LITERAL : J_FIELD, NULL, NULL);
		n->val = val;
		return n;
	case T_STAR:
		n = node(p, J_CURRENT, NULL, NULL);
		return p->tok == T_RBRACKET ? node(p, J_VALUES, n, node(p, J_CURRENT, NULL, NULL)) :
		    with_projected(p, J_VALUES, n, binding(T_STAR));
	case T_CURRENT:
		return node(p, J_CURRENT, NULL, NULL);
	case T_FILTER:
		return filter(p, node(p, J_CURRENT, NULL, NULL));
	case T_FLATTEN:
		return with_projected(p, J_PROJECTION,
		    node(p, J_FLATTEN, node(p, J_CURRENT, NULL, NULL), NULL), binding(T_FLATTEN));
	case T_LBRACE:
		return multi_hash(p);
	case T_LBRACKET:
		if (p->tok == T_NUMBER || p->tok == T_COLON)
			return bracket(p, NULL);
		if (p->tok == T_STAR && p->p < p->end && *p->p == ']')
			return bracket(p, NULL);
		return multi_list(p);
	case T_LPAREN:
		n = expression(p, 0);
		return n != NULL && expect(p, T_RPAREN, "')' is missing") ? n : NULL;
	case T_NOT:
		n = expression(p, binding(T_NOT));
		return n != NULL ? node(p, J_NOT, n, NULL) : NULL;
	case T_EXPREF:
		n = expression(p, 0);
		return n != NULL ? node(p, J_EXPREF, n, NULL) : NULL;
	default:
		return bad(p, "an unexpected token");
	}
}

static struct jnode *
binary(struct parser *p, enum tok tok, struct jnode *left)
{
	static const enum jkind kinds[] = {
		[T_PIPE] = J_SUB, [T_OR] = J_OR, [T_AND] = J_AND, [T_EQ] = J_EQ, [T_NE] = J_NE,
		[T_LT] = J_LT, [T_LE] = J_LE, [T_GT] = J_GT, [T_GE] = J_GE
	};
	struct jnode *right = expression(p, binding(tok));

	return right != NULL ? node(p, kinds[tok], left, right) : NULL;
}

/* What follows an expression; the token is taken. */
static struct jnode *
infix(struct parser *p, struct jnode *left)
{
	enum tok tok = p->tok;
	struct jnode *n;

	if (!advance(p))
		return NULL;
	switch (tok) {
	case T_DOT:
		if (p->tok == T_STAR)
			return advance(p) ? with_projected(p, J_VALUES, left, binding(T_STAR)) : NULL;
		if (p->tok == T_LBRACKET)
			n = advance(p) ? multi_list(p) : NULL;
		else if (p->tok == T_LBRACE)
			n = advance(p) ? multi_hash(p) : NULL;
		else if (p->tok == T_IDENT || p->tok == T_QUOTED)
			n = expression(p, binding(T_DOT));
		else
			n = bad(p, "a name is missing behind the dot");
		return n != NULL ? node(p, J_SUB, left, n) : NULL;
	case T_LPAREN:
		if (left->kind != J_FIELD)
			return bad(p, "only a function's name can be called");
		n = node(p, J_CALL, NULL, NULL);
		n->val = left->val;
		return arguments(p, n, T_RPAREN) ? n : NULL;
	case T_FILTER:
		return filter(p, left);
	case T_FLATTEN:
		return with_projected(p, J_PROJECTION, node(p, J_FLATTEN, left, NULL), binding(T_FLATTEN));
	case T_LBRACKET:
		if (p->tok != T_NUMBER && p->tok != T_COLON && p->tok != T_STAR)
			return bad(p, "an index, a slice or * is missing");
		return bracket(p, left);
	default:
		return binary(p, tok, left);
	}
}

static struct jnode *
expression(struct parser *p, int bp)
{
	struct jnode *left;

	if (++p->depth > DEPTH_MAX)
		return bad(p, "nested too deeply");
	left = prefix(p);
	while (left != NULL && bp < binding(p->tok) && p->tok != T_STAR && p->tok != T_NOT &&
	    p->tok != T_LBRACE)
		left = infix(p, left);
	p->depth--;
	return left;
}

const struct value *
jmespath_search(struct arena *arena, const char *expr, size_t len,
    const struct value *data, struct err *err)
{
	struct parser p = { .arena = arena, .start = expr, .p = expr, .at = expr,
	    .end = expr + len, .err = err };
	struct jnode *n;

	if (len > JMESPATH_LEN_MAX) {
		err_set(err, ERR_LIMIT, "JMESPath: an expression longer than %zu bytes", JMESPATH_LEN_MAX);
		return NULL;
	}
	if (!advance(&p))
		return NULL;
	if (p.tok == T_END) {
		bad(&p, "the expression is empty");
		return NULL;
	}
	n = expression(&p, 0);
	if (n == NULL)
		return NULL;
	if (p.tok != T_END) {
		bad(&p, "an unexpected token");
		return NULL;
	}
	return jmespath_eval(arena, n, data, err);
}
