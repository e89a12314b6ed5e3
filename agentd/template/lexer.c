/*
 * The lexer: Jinja 3.1's, token for token, with its rules for white space
 * around tags (minus, plus, trim_blocks, lstrip_blocks), raw blocks, line
 * statements and line comments.
 *
 * Jinja cuts with regular expressions; here is the same by hand, one pass
 * over the text.  Text outside tags is handed on as pointers into the source,
 * strings of expressions are unescaped into the arena.
 */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "template/text.h"
#include "template/tree.h"

enum tag { TAG_RAW, TAG_BLOCK, TAG_VAR, TAG_COMMENT, TAG_LINE_STMT, TAG_LINE_COMMENT };

struct delim {
	const char	*s;
	size_t		 len;
	enum tag	 tag;
	const char	*order;		/* Jinja's token name: decides among equal lengths */
};

struct lexer {
	struct arena		*arena;
	const char		*s;
	size_t			 len;
	size_t			 pos;
	const struct syntax	*syn;
	struct tokens		*out;
	struct delim		 delims[5];
	unsigned		 ndelims;
	bool			 first[256];	/* bytes that may begin a tag */
	bool			 line_starting;
	uint32_t		*err_pos;
	const char	       **err_msg;
};

static bool
lex_error(struct lexer *l, size_t pos, const char *msg)
{
	*l->err_pos = (uint32_t)pos;
	*l->err_msg = msg;
	return false;
}

static struct token *
add_token(struct lexer *l, enum tok type, size_t pos, size_t end)
{
	struct tokens *t = l->out;

	if (t->n == t->cap) {
		uint32_t cap = t->cap == 0 ? 32 : t->cap * 2;

		t->v = arena_grow(l->arena, t->v, t->n * sizeof(*t->v), cap * sizeof(*t->v));
		t->cap = cap;
	}
	t->v[t->n] = (struct token){ .type = (uint8_t)type, .pos = (uint32_t)pos, .end = (uint32_t)end };
	return &t->v[t->n++];
}

static bool
at(const struct lexer *l, size_t pos, const char *s, size_t n)
{
	return n > 0 && l->len - pos >= n && memcmp(l->s + pos, s, n) == 0;
}

static bool
at_str(const struct lexer *l, size_t pos, const char *s)
{
	return pos <= l->len && at(l, pos, s, strlen(s));
}

/* Behind the white space that starts at pos. */
static size_t
skip_space(const struct lexer *l, size_t pos)
{
	unsigned n;

	while (pos < l->len && (n = text_space_at(l->s + pos, l->len - pos)) > 0)
		pos += n;
	return pos;
}

static bool
blank(const char *s, size_t len)
{
	return text_lstrip(s, len) == len;
}

/* Text between tags; '-' in front of the tag or lstrip_blocks may shorten it. */
static void
add_data(struct lexer *l, size_t from, size_t to, char sign, bool variable)
{
	const char *s = l->s + from;
	size_t len = to - from, nl;
	struct token *t;

	if (sign == '-')
		len = text_rstrip(s, len);
	else if (sign != '+' && l->syn->lstrip_blocks && !variable) {
		for (nl = len; nl > 0 && s[nl - 1] != '\n'; nl--)
			;
		if ((nl > 0 || l->line_starting) && blank(s + nl, len - nl))
			len = nl;
	}
	if (len == 0)
		return;
	t = add_token(l, T_DATA, from, from + len);
	t->s = s;
	t->len = (uint32_t)len;
	if (strcmp(l->syn->newline, "\n") != 0 && memchr(s, '\n', len) != NULL) {
		struct buf b = BUF_INIT;
		size_t i;

		for (i = 0; i < len; i++) {
			if (s[i] == '\n')
				buf_adds(&b, l->syn->newline);
			else
				buf_addc(&b, s[i]);
		}
		t->s = buf_dup(&b, l->arena);
		t->len = (uint32_t)b.len;
		buf_release(&b);
	}
}

/* ---- inside of tags ------------------------------------------------------ */

/* The value of a string literal: between the quotes, at s. */
static bool
unescape(struct lexer *l, size_t pos, const char *s, size_t len, bool raw, struct token *t)
{
	struct buf b = BUF_INIT;
	const char *msg = NULL;

	if ((raw || memchr(s, '\\', len) == NULL) &&
	    (strcmp(l->syn->newline, "\n") == 0 || memchr(s, '\n', len) == NULL)) {
		t->s = arena_strndup(l->arena, s, len);
		t->len = (uint32_t)len;
		return true;
	}
	if (raw)
		buf_add(&b, s, len);
	else
		msg = text_unescape(&b, s, len, l->syn->newline);
	t->s = buf_dup(&b, l->arena);
	t->len = (uint32_t)b.len;
	buf_release(&b);
	return msg == NULL || lex_error(l, pos, msg);
}

static bool
lex_string(struct lexer *l, bool raw)
{
	char quote = l->s[l->pos];
	size_t start = l->pos, i;

	for (i = start + 1; i < l->len && l->s[i] != quote; i++)
		if (l->s[i] == '\\')
			i++;
	if (i >= l->len)
		return lex_error(l, start, arena_printf(l->arena, "unexpected char \"%c\" at %zu: the string is not closed", quote, start));
	l->pos = i + 1;
	return unescape(l, start, l->s + start + 1, i - start - 1, raw,
	    add_token(l, T_STR, start, i + 1));
}

/* Digits with single underscores between them; behind the last one, or i when there is none. */
static size_t
digits(const struct lexer *l, size_t i, unsigned base)
{
	size_t end = i;

	while (i < l->len) {
		if (l->s[i] == '_' && end > 0 && i + 1 < l->len && i == end)
			i++;
		if (i >= l->len || text_digit(l->s[i]) >= base)
			break;
		end = ++i;
	}
	return end;
}

static bool
number_value(struct lexer *l, struct token *t, unsigned base, size_t from, size_t to)
{
	char *text = arena_alloc(l->arena, to - from + 1);
	size_t i, n;

	for (i = from, n = 0; i < to; i++)
		if (l->s[i] != '_')
			text[n++] = l->s[i];
	text[n] = '\0';
	if (t->type == T_FLOAT) {
		t->u.f = strtod(text, NULL);
		return true;
	}
	errno = 0;
	t->u.i = strtoll(text, NULL, (int)base);
	if (errno == ERANGE)
		return lex_error(l, from, "integers beyond 64 bits are not supported");
	return true;
}

static bool
lex_number(struct lexer *l)
{
	size_t start = l->pos, i = start, j;
	char next = start + 1 < l->len ? (char)(l->s[start + 1] | 0x20) : '\0';
	unsigned base = next == 'x' ? 16 : next == 'o' ? 8 : next == 'b' ? 2 : 10;
	bool dotted = start > 0 && l->s[start - 1] == '.', is_float = false;

	if (l->s[start] == '0' && base != 10) {
		size_t from = start + 2;

		if (from < l->len && l->s[from] == '_')
			from++;
		if ((j = digits(l, from, base)) > from) {
			l->pos = j;
			return number_value(l, add_token(l, T_INT, start, j), base, start + 2, j);
		}
	}
	i = digits(l, start, 10);
	if (!dotted) {
		if (i + 1 < l->len && l->s[i] == '.' && text_digit(l->s[i + 1]) < 10) {
			i = digits(l, i + 1, 10);
			is_float = true;
		}
		if (i < l->len && (l->s[i] | 0x20) == 'e') {
			j = i + 1;
			if (j < l->len && (l->s[j] == '+' || l->s[j] == '-'))
				j++;
			if (j < l->len && text_digit(l->s[j]) < 10) {
				i = digits(l, j, 10);
				is_float = true;
			}
		}
	}
	if (!is_float && l->s[start] == '0')	/* 0, 00, 0_0; 012 is two tokens */
		for (i = start + 1; i < l->len && (l->s[i] == '0' ||
		    (l->s[i] == '_' && i + 1 < l->len && l->s[i + 1] == '0')); i++)
			;
	l->pos = i;
	return number_value(l, add_token(l, is_float ? T_FLOAT : T_INT, start, i), 10, start, i);
}

static bool
lex_name(struct lexer *l)
{
	size_t start = l->pos, i = start;
	struct token *t;
	unsigned n;

	while (i < l->len && (n = text_word_at(l->s + i, l->len - i)) > 0)
		i += n;
	l->pos = i;
	if (text_digit(l->s[start]) < 10 || !text_identifier(l->s + start, i - start))
		return lex_error(l, start, "Invalid character in identifier");
	t = add_token(l, T_NAME, start, i);
	t->s = arena_strndup(l->arena, l->s + start, i - start);
	t->len = (uint32_t)(i - start);
	return true;
}

static const struct { char s[3]; uint8_t type; } operators[] = {
	{ "//", T_FLOORDIV }, { "**", T_POW }, { "==", T_EQ }, { "!=", T_NE },
	{ ">=", T_GE }, { "<=", T_LE },
	{ "+", T_ADD }, { "-", T_SUB }, { "*", T_MUL }, { "/", T_DIV },
	{ "%", T_MOD }, { "~", T_TILDE }, { "<", T_LT }, { ">", T_GT },
	{ "=", T_ASSIGN }, { ".", T_DOT }, { ":", T_COLON }, { "|", T_PIPE },
	{ ",", T_COMMA }, { ";", T_SEMICOLON }, { "(", T_LPAREN },
	{ ")", T_RPAREN }, { "[", T_LBRACKET }, { "]", T_RBRACKET },
	{ "{", T_LBRACE }, { "}", T_RBRACE },
};

static char
closing(enum tok t)
{
	return t == T_LPAREN ? ')' : t == T_LBRACKET ? ']' : t == T_LBRACE ? '}' : '\0';
}

static bool
lex_operator(struct lexer *l, char *stack, unsigned *depth)
{
	size_t i, n;
	char close;

	for (i = 0; i < NITEMS(operators); i++) {
		n = operators[i].s[1] == '\0' ? 1 : 2;
		if (!at(l, l->pos, operators[i].s, n))
			continue;
		if ((close = closing(operators[i].type)) != '\0') {
			if (*depth == PARSE_DEPTH_MAX)
				return lex_error(l, l->pos, "too deeply nested");
			stack[(*depth)++] = close;
		} else if (strchr(")]}", operators[i].s[0]) != NULL) {
			if (*depth == 0)
				return lex_error(l, l->pos, arena_printf(l->arena, "unexpected '%s'", operators[i].s));
			if (stack[--*depth] != operators[i].s[0])
				return lex_error(l, l->pos, arena_printf(l->arena, "unexpected '%s', expected '%c'",
				    operators[i].s, stack[*depth]));
		}
		add_token(l, operators[i].type, l->pos, l->pos + n);
		l->pos += n;
		return true;
	}
	n = utf8_decode(l->s + l->pos, l->len - l->pos, &(uint32_t){ 0 });
	return lex_error(l, l->pos, arena_printf(l->arena, "unexpected char '%.*s' at %zu",
	    (int)(n == 0 ? 1 : n), l->s + l->pos, l->pos));
}

/* The end of a tag at the current position: its length with what it swallows, 0: it is none. */
static size_t
tag_end(const struct lexer *l, enum tag tag)
{
	const char *end = tag == TAG_VAR ? l->syn->var_end : l->syn->block_end;
	size_t n = strlen(end), i, last;

	if (tag == TAG_LINE_STMT) {
		i = skip_space(l, l->pos);
		if (i == l->len)
			return i - l->pos;	/* may be 0 at the end: the caller looks */
		for (last = i; last > l->pos && l->s[last - 1] != '\n'; last--)
			;
		return last - l->pos;
	}
	if (l->s[l->pos] == '-' && at(l, l->pos + 1, end, n))
		return skip_space(l, l->pos + 1 + n) - l->pos;
	if (tag == TAG_BLOCK && l->s[l->pos] == '+' && at(l, l->pos + 1, end, n))
		return 1 + n;
	if (at(l, l->pos, end, n)) {
		if (tag == TAG_BLOCK && l->syn->trim_blocks && l->pos + n < l->len && l->s[l->pos + n] == '\n')
			n++;
		return n;
	}
	return 0;
}

/* The tokens of a tag up to its end; at the end of the text the tag just stops. */
static bool
lex_tag(struct lexer *l, enum tag tag, bool expression)
{
	char stack[PARSE_DEPTH_MAX];
	unsigned depth = 0;
	size_t n, start;
	bool raw = tag == TAG_VAR && l->syn->raw_strings && !expression;

	for (;;) {
		if (depth == 0 && !expression && l->pos < l->len && (n = tag_end(l, tag)) > 0) {
			add_token(l, tag == TAG_VAR ? T_VAR_END : T_BLOCK_END, l->pos, l->pos + n);
			l->pos += n;
			l->line_starting = l->s[l->pos - 1] == '\n';
			return true;
		}
		if (l->pos >= l->len) {
			if (tag == TAG_LINE_STMT && depth == 0)
				add_token(l, T_BLOCK_END, l->pos, l->pos);
			return true;
		}
		start = l->pos;
		if ((l->pos = skip_space(l, l->pos)) > start)
			continue;
		if (text_digit(l->s[l->pos]) < 10) {
			if (!lex_number(l))
				return false;
		} else if (text_word_at(l->s + l->pos, l->len - l->pos) > 0) {
			if (!lex_name(l))
				return false;
		} else if (l->s[l->pos] == '\'' || l->s[l->pos] == '"') {
			if (!lex_string(l, raw))
				return false;
		} else if (!lex_operator(l, stack, &depth))
			return false;
	}
}

/* ---- outside of tags ------------------------------------------------------ */

/* `{%- raw -%}` at pos: behind it, 0 when it is none. */
static size_t
raw_begin(const struct lexer *l, size_t pos, char *sign)
{
	const char *end = l->syn->block_end;
	size_t i = pos + strlen(l->syn->block_start), n = strlen(end);

	*sign = '\0';
	if (i < l->len && (l->s[i] == '-' || l->s[i] == '+'))
		*sign = l->s[i++];
	i = skip_space(l, i);
	if (!at_str(l, i, "raw"))
		return 0;
	i = skip_space(l, i + 3);
	if (i < l->len && l->s[i] == '-' && at(l, i + 1, end, n))
		return skip_space(l, i + 1 + n);
	return i <= l->len && at(l, i, end, n) ? i + n : 0;
}

/* `{% endraw %}` at pos likewise. */
static size_t
raw_end(const struct lexer *l, size_t pos, char *sign)
{
	const char *end = l->syn->block_end;
	size_t i = pos + strlen(l->syn->block_start), n = strlen(end);

	*sign = '\0';
	if (i < l->len && (l->s[i] == '-' || l->s[i] == '+'))
		*sign = l->s[i++];
	i = skip_space(l, i);
	if (!at_str(l, i, "endraw"))
		return 0;
	i = skip_space(l, i + 6);
	if (i < l->len && l->s[i] == '+' && at(l, i + 1, end, n))
		return i + 1 + n;
	if (i < l->len && l->s[i] == '-' && at(l, i + 1, end, n))
		return skip_space(l, i + 1 + n);
	if (i > l->len || !at(l, i, end, n))
		return 0;
	i += n;
	if (l->syn->trim_blocks && i < l->len && l->s[i] == '\n')
		i++;
	return i;
}

static bool
lex_raw(struct lexer *l, size_t tag_pos)
{
	size_t start = l->pos, i, end;
	char sign;

	for (i = start; i < l->len; i++) {
		if (!at_str(l, i, l->syn->block_start) || (end = raw_end(l, i, &sign)) == 0)
			continue;
		add_data(l, start, i, sign, false);
		l->pos = end;
		l->line_starting = l->s[end - 1] == '\n';
		return true;
	}
	return lex_error(l, tag_pos, "Missing end of raw directive");
}

static bool
lex_comment(struct lexer *l, size_t tag_pos)
{
	const char *end = l->syn->comment_end;
	size_t n = strlen(end), i;

	for (i = l->pos; i < l->len; i++) {
		/* The first position wins; there `+` and `-` belong to the end. */
		if ((l->s[i] == '+' || l->s[i] == '-') && at(l, i + 1, end, n)) {
			l->pos = l->s[i] == '+' ? i + 1 + n : skip_space(l, i + 1 + n);
			break;
		}
		if (at(l, i, end, n)) {
			l->pos = i + n;
			if (l->syn->trim_blocks && l->pos < l->len && l->s[l->pos] == '\n')
				l->pos++;
			break;
		}
	}
	if (i >= l->len)
		return lex_error(l, tag_pos, "Missing end of comment tag");
	l->line_starting = l->s[l->pos - 1] == '\n';
	return true;
}

/* A tag that begins at pos: its kind, its sign, behind its opening in *end. false: none begins here. */
static bool
tag_at(const struct lexer *l, size_t pos, enum tag *ret, char *sign, size_t *end)
{
	unsigned i;
	size_t j;

	if (at_str(l, pos, l->syn->block_start) && (*end = raw_begin(l, pos, sign)) > 0) {
		*ret = TAG_RAW;
		return true;
	}
	for (i = 0; i < l->ndelims; i++) {
		const struct delim *d = &l->delims[i];

		j = pos;
		if (d->tag == TAG_LINE_STMT) {
			if (pos > 0 && l->s[pos - 1] != '\n')
				continue;
			while (j < l->len && (l->s[j] == ' ' || l->s[j] == '\t' || l->s[j] == '\v'))
				j++;
		} else if (d->tag == TAG_LINE_COMMENT) {
			if (pos > 0 && l->s[pos - 1] != '\n' && blank(l->s + pos - 1, 1))
				continue;
			while (j < l->len && l->s[j] != '\n' && blank(l->s + j, 1))
				j++;
		}
		if (!at(l, j, d->s, d->len))
			continue;
		*ret = d->tag;
		*end = j + d->len;
		*sign = '\0';
		if (*end < l->len && (l->s[*end] == '-' || l->s[*end] == '+'))
			*sign = l->s[(*end)++];
		return true;
	}
	return false;
}

static bool
lex_root(struct lexer *l)
{
	size_t start = l->pos, i, end = 0;
	enum tag tag = TAG_RAW;
	char sign = '\0';

	for (i = start; i < l->len; i++)
		if (l->first[(unsigned char)l->s[i]] && tag_at(l, i, &tag, &sign, &end))
			break;
	if (i >= l->len) {
		if (i > start)
			add_data(l, start, i, '+', true);
		l->pos = i;
		return true;
	}
	add_data(l, start, i, sign, tag == TAG_VAR);
	l->pos = end;
	l->line_starting = end > 0 && l->s[end - 1] == '\n';
	switch (tag) {
	case TAG_RAW:
		return lex_raw(l, i);
	case TAG_COMMENT:
		return lex_comment(l, i);
	case TAG_LINE_COMMENT:
		while (l->pos < l->len && l->s[l->pos] != '\n')
			l->pos++;
		return true;
	case TAG_VAR:
		add_token(l, T_VAR_BEGIN, i, end);
		return lex_tag(l, tag, false);
	default:
		add_token(l, T_BLOCK_BEGIN, i, end);
		return lex_tag(l, tag, false);
	}
}

static void
add_delim(struct lexer *l, const char *s, enum tag tag, const char *order)
{
	struct delim d = { s, 0, tag, order };
	unsigned i;

	if (s == NULL || *s == '\0')
		return;
	d.len = strlen(s);
	for (i = l->ndelims++; i > 0; i--) {
		const struct delim *p = &l->delims[i - 1];

		if (p->len > d.len || (p->len == d.len && strcmp(p->order, order) > 0))
			break;
		l->delims[i] = *p;
	}
	l->delims[i] = d;
	if (tag == TAG_LINE_STMT || tag == TAG_LINE_COMMENT)
		memset(l->first, true, sizeof(l->first));
	l->first[(unsigned char)*s] = true;
}

bool
tmpl_lex(struct arena *arena, const char *text, size_t len, const struct syntax *syn,
    bool expression, struct tokens *ret, uint32_t *pos, const char **msg)
{
	struct lexer l = { .arena = arena, .s = text, .len = len, .syn = syn,
	    .out = ret, .line_starting = true, .err_pos = pos, .err_msg = msg };

	memset(ret, 0, sizeof(*ret));
	if (expression) {
		if (!lex_tag(&l, TAG_VAR, true))
			return false;
	} else {
		add_delim(&l, syn->comment_start, TAG_COMMENT, "comment_begin");
		add_delim(&l, syn->block_start, TAG_BLOCK, "block_begin");
		add_delim(&l, syn->var_start, TAG_VAR, "variable_begin");
		add_delim(&l, syn->line_statement, TAG_LINE_STMT, "linestatement_begin");
		add_delim(&l, syn->line_comment, TAG_LINE_COMMENT, "linecomment_begin");
		while (l.pos < l.len)
			if (!lex_root(&l))
				return false;
	}
	add_token(&l, T_END, len, len);
	return true;
}

const char *
tok_describe(struct arena *a, const struct token *t)
{
	size_t i;

	switch ((enum tok)t->type) {
	case T_END:
		return "end of template";
	case T_DATA:
		return "template data / text";
	case T_VAR_BEGIN:
		return "begin of print statement";
	case T_VAR_END:
		return "end of print statement";
	case T_BLOCK_BEGIN:
		return "begin of statement block";
	case T_BLOCK_END:
		return "end of statement block";
	case T_INT:
		return "integer";
	case T_FLOAT:
		return "float";
	case T_STR:
		return "string";
	case T_NAME:
		return arena_strndup(a, t->s, t->len);
	default:
		for (i = 0; i < NITEMS(operators); i++)
			if (operators[i].type == t->type)
				return operators[i].s;
		return "?";
	}
}
