/*
 * From text to a compiled template: header line, line ends, lexer, parser,
 * resolver; and the templates of a whole tree of values.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/parser.h"
#include "template/text.h"

#define HEADER		"#jinja2:"
#define HEADER_LEN	(sizeof(HEADER) - 1)

static bool
contains(const char *s, size_t len, const char *what)
{
	return memmem(s, len, what, strlen(what)) != NULL;
}

bool
tmpl_is(const char *s, size_t len)
{
	const char *p = s, *end = s + len;

	if (len >= HEADER_LEN && memcmp(s, HEADER, HEADER_LEN) == 0)
		return true;
	while (p < end && (p = memchr(p, '{', (size_t)(end - p))) != NULL) {
		if (++p < end && (*p == '{' || *p == '%' || *p == '#'))
			return true;
	}
	return false;
}

/* A part of the syntax that was given, for as long as the template lives. */
static const char *
part(struct arena *a, const char *given, const char *usual)
{
	return given == NULL ? usual : arena_strdup(a, given);
}

static void
set_syntax(struct arena *a, struct syntax *s, enum tmpl_mode mode, const struct tmpl_opts *o)
{
	static const struct tmpl_opts defaults;

	if (o == NULL)
		o = &defaults;
	s->block_start = part(a, o->block_start, "{%");
	s->block_end = part(a, o->block_end, "%}");
	s->var_start = part(a, o->variable_start, "{{");
	s->var_end = part(a, o->variable_end, "}}");
	s->comment_start = part(a, o->comment_start, "{#");
	s->comment_end = part(a, o->comment_end, "#}");
	s->newline = part(a, o->newline_sequence, "\n");
	s->line_statement = part(a, o->line_statement_prefix, NULL);
	s->line_comment = part(a, o->line_comment_prefix, NULL);
	s->trim_blocks = !o->no_trim_blocks;
	s->lstrip_blocks = o->lstrip_blocks;
	s->keep_newline = !o->no_keep_trailing_newline;
	s->ext_do = o->ext_do;
	s->ext_loopcontrols = o->ext_loopcontrols;
	s->raw_strings = mode == TMPL_VALUE;
}

/* ---- the header line ------------------------------------------------------ */

/* A value of the header: True, False, None or a quoted string. */
static bool
header_value(struct arena *a, const char *s, size_t len, bool *is_bool, bool *b, const char **text)
{
	struct buf buf = BUF_INIT;
	const char *bad;

	*is_bool = false;
	*text = NULL;
	if ((len == 4 && memcmp(s, "True", 4) == 0) || (len == 5 && memcmp(s, "False", 5) == 0)) {
		*is_bool = true;
		*b = len == 4;
		return true;
	}
	if (len == 4 && memcmp(s, "None", 4) == 0)
		return true;
	if (len < 2 || (s[0] != '\'' && s[0] != '"') || s[len - 1] != s[0])
		return false;
	bad = text_unescape(&buf, s + 1, len - 2, "\n");
	*text = buf_dup(&buf, a);
	buf_release(&buf);
	return bad == NULL;
}

static bool
header_set(struct syntax *s, const char *key, size_t len, bool is_bool, bool b, const char *text)
{
	const struct { const char *name; const char **text; bool *flag; } fields[] = {
		{ "block_start_string", &s->block_start, NULL },
		{ "block_end_string", &s->block_end, NULL },
		{ "variable_start_string", &s->var_start, NULL },
		{ "variable_end_string", &s->var_end, NULL },
		{ "comment_start_string", &s->comment_start, NULL },
		{ "comment_end_string", &s->comment_end, NULL },
		{ "line_statement_prefix", &s->line_statement, NULL },
		{ "line_comment_prefix", &s->line_comment, NULL },
		{ "newline_sequence", &s->newline, NULL },
		{ "trim_blocks", NULL, &s->trim_blocks },
		{ "lstrip_blocks", NULL, &s->lstrip_blocks },
		{ "keep_trailing_newline", NULL, &s->keep_newline },
	};
	size_t i;

	for (i = 0; i < NITEMS(fields); i++) {
		if (strlen(fields[i].name) != len || memcmp(fields[i].name, key, len) != 0)
			continue;
		if ((fields[i].flag != NULL) != is_bool)
			return false;
		if (is_bool)
			*fields[i].flag = b;
		else if (text == NULL && (i < 6 || i == 8))
			return false;
		else
			*fields[i].text = text;
		return true;
	}
	return false;
}

/* `#jinja2: key: value, …` and a newline: what follows is the template. false after an error. */
static bool
read_header(struct arena *a, struct tmpl *t, struct err *err)
{
	const char *s = t->text + HEADER_LEN, *end, *comma, *colon;
	struct mark at = t->mark;
	size_t len, key, val;
	const char *text;
	bool is_bool, b = false;

	if (t->len < HEADER_LEN || memcmp(t->text, HEADER, HEADER_LEN) != 0)
		return true;
	if ((end = memchr(s, '\n', t->len - HEADER_LEN)) == NULL) {
		err_set_at(err, ERR_SYNTAX, at, "Missing newline after '%s' override", HEADER);
		return false;
	}
	t->skipped = (uint32_t)(end + 1 - t->text);
	if (end > s && end[-1] == '\r')
		end--;
	for (; s < end; s = comma + 1) {
		if ((comma = memchr(s, ',', (size_t)(end - s))) == NULL)
			comma = end;
		len = (size_t)(comma - s);
		if ((colon = memchr(s, ':', len)) == NULL) {
			err_set_at(err, ERR_SYNTAX, at, "Missing key-value separator `:` in '%s' override pair '%.*s'",
			    HEADER, (int)len, s);
			return false;
		}
		s += text_lstrip(s, (size_t)(colon - s));
		key = text_rstrip(s, (size_t)(colon - s));
		colon++;
		colon += text_lstrip(colon, (size_t)(comma - colon));
		val = text_rstrip(colon, (size_t)(comma - colon));
		if (!header_value(a, colon, val, &is_bool, &b, &text) ||
		    !header_set(&t->syn, s, key, is_bool, b, text)) {
			err_set_at(err, ERR_SYNTAX, at, "bad '%s' override '%.*s: %.*s'", HEADER,
			    (int)key, s, (int)val, colon);
			err_hint(err, "as in `#jinja2: trim_blocks: False, lstrip_blocks: True`");
			return false;
		}
	}
	return true;
}

/* ---- compiling ------------------------------------------------------------ */

/* Line ends become \n, one at the end goes; how many there were is remembered. */
static void
normalise(struct arena *a, struct tmpl *t)
{
	const char *s = t->text + t->skipped;
	size_t len = t->len - t->skipped, i, n;
	char *out;

	for (i = len; i > 0 && s[i - 1] == '\n'; i--)
		;
	t->end_newlines = (uint32_t)(len - i);
	if (memchr(s, '\r', len) != NULL) {
		out = arena_alloc(a, len + 1);
		for (i = n = 0; i < len; i++) {
			if (s[i] == '\r') {
				out[n++] = '\n';
				if (i + 1 < len && s[i + 1] == '\n')
					i++;
			} else
				out[n++] = s[i];
		}
		out[n] = '\0';
		s = out;
		len = n;
	}
	if (len > 0 && s[len - 1] == '\n')
		len--;
	t->body = s;
	t->body_len = len;
}

static bool
possibly_template(const struct tmpl *t)
{
	const char *s = t->text + t->skipped;
	size_t len = t->len - t->skipped;

	return t->skipped > 0 || contains(s, len, t->syn.block_start) ||
	    contains(s, len, t->syn.var_start) || contains(s, len, t->syn.comment_start);
}

static bool
parse(struct arena *a, struct tmpl *t, struct nodes *nodes, struct node **expr, struct err *err)
{
	struct parser p = { .arena = a, .t = t, .err = err };
	bool bare = t->mode == TMPL_WHEN;
	struct tokens toks;
	uint32_t pos = 0;
	const char *msg = NULL;

	if (!tmpl_lex(a, t->body, t->body_len, &t->syn, bare, &toks, &pos, &msg)) {
		err_set_at(err, ERR_SYNTAX, tmpl_mark_at(t, pos, pos + 1), "%s", msg);
		return false;
	}
	p.tok = toks.v;
	if (!bare)
		return parse_template(&p, nodes);
	if ((*expr = parse_expr(&p, true)) == NULL)
		return false;
	if (p.tok->type != T_END) {
		parse_fail(&p, "chunk after expression");
		return false;
	}
	return true;
}

static const char *
bad_utf8(const struct tmpl *t)
{
	return utf8_valid(t->text, t->len) ? NULL : "the template is not valid UTF-8";
}

const struct tmpl *
tmpl_compile(struct arena *a, const char *text, size_t len, struct mark mark,
    enum tmpl_mode mode, const struct tmpl_opts *opts, struct diags *diags)
{
	struct tmpl *t = ARENA_NEW(a, struct tmpl);
	struct nodes nodes = { NULL, 0, 0 };
	struct node *expr = NULL;
	struct err err = ERR_INIT;
	const char *bad;

	if (len > BUF_MAX_DEFAULT) {
		diags_error(diags, ERR_LIMIT, mark, "a template of more than %zu bytes", BUF_MAX_DEFAULT);
		return NULL;
	}
	t->mode = mode;
	t->mark = mark;
	t->text = arena_strndup(a, text, len);
	t->len = len;
	set_syntax(a, &t->syn, mode, opts);
	if ((bad = bad_utf8(t)) != NULL) {
		diags_error(diags, ERR_INVALID, mark, "%s", bad);
		return NULL;
	}
	if (mode == TMPL_WHEN) {
		t->body = t->text;
		t->body_len = len;
	} else {
		if (!read_header(a, t, &err)) {
			diags_add(diags, DIAG_ERROR, &err);
			return NULL;
		}
		t->plain = !possibly_template(t);
		normalise(a, t);
	}
	if (!parse(a, t, &nodes, &expr, &err)) {
		if (mode == TMPL_WHEN && tmpl_is(text, len))
			err_hint(&err, "a condition is an expression already: leave out the {{ }}");
		diags_add(diags, DIAG_ERROR, &err);
		return NULL;
	}
	if (!tmpl_resolve(a, t, &nodes, expr, diags))
		return NULL;
	if (mode == TMPL_VALUE && nodes.n == 1 && nodes.v[0]->type == N_PRINT)
		t->expr = nodes.v[0]->u.x.a;
	return t;
}

const struct value *
tmpl_to_value(struct arena *a, const struct tmpl *t)
{
	struct tmpl_value *v = ARENA_NEW(a, struct tmpl_value);
	struct mark *m = ARENA_NEW(a, struct mark);

	*m = t->mark;
	v->v.type = V_TMPL;
	v->v.u.s = t->text;
	v->v.len = (uint32_t)t->len;
	v->v.mark = m->src != NULL ? m : NULL;
	v->tmpl = t;
	return &v->v;
}

/* The compiled form of a string, with its flags and mark. NULL after an error. */
static const struct value *
compile_string(struct arena *a, const struct value *s, enum tmpl_mode mode, struct diags *diags)
{
	const struct tmpl *t = tmpl_compile(a, s->u.s, s->len, v_mark(s), mode, NULL, diags);
	struct tmpl_value *v;

	if (t == NULL)
		return NULL;
	v = ARENA_NEW(a, struct tmpl_value);
	v->v = *s;
	v->v.type = V_TMPL;
	v->v.tag = 0;
	v->v.u.s = t->text;
	v->tmpl = t;
	return &v->v;
}

static bool
holds_template(const struct value *v, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;

	if (depth > V_DEPTH_MAX)
		return false;
	switch (v->type) {
	case V_STR:
		return !(v->flags & V_RAW) && tmpl_is(v->u.s, v->len);
	case V_TMPL:
		return true;
	case V_LIST:
		for (i = 0; i < v->u.list->n; i++)
			if (holds_template(v->u.list->v[i], depth + 1))
				return true;
		return false;
	case V_MAP:
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			if (holds_template(e->val, depth + 1))
				return true;
		return false;
	default:
		return false;
	}
}

static const struct value *
compile_tree(struct arena *a, const struct value *v, struct diags *diags, bool *ok)
{
	const struct value *part;
	const struct ventry *e;
	struct value *copy;
	uint32_t i, it;

	if (!holds_template(v, 0))
		return v;
	if (v->type == V_STR) {
		part = compile_string(a, v, TMPL_VALUE, diags);
		*ok = *ok && part != NULL;
		return part == NULL ? v : part;
	}
	if (v->type == V_TMPL)
		return v;
	copy = v->type == V_LIST ? v_list(a) : v_map(a);
	if (v->type == V_LIST) {
		for (i = 0; i < v->u.list->n; i++)
			v_push(a, copy, compile_tree(a, v->u.list->v[i], diags, ok));
	} else {
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			v_set(a, copy, e->key, compile_tree(a, e->val, diags, ok));
	}
	copy->flags = v->flags | V_HAS_TMPL;
	copy->mark = v->mark;
	return copy;
}

const struct value *
tmpl_compile_tree(struct arena *a, const struct value *v, struct diags *diags)
{
	bool ok = true;

	v = compile_tree(a, v, diags, &ok);
	return ok ? v : NULL;
}

static bool
all_blank(const struct value *s)
{
	return text_lstrip(s->u.s, s->len) == s->len;
}

const struct value *
tmpl_compile_when(struct arena *a, const struct value *v, struct diags *diags)
{
	size_t start, end;

	if (v->type == V_BOOL || (v->type == V_TMPL && v_tmpl(v)->mode == TMPL_WHEN))
		return v;
	if (v->type != V_STR && v->type != V_TMPL) {
		diags_error(diags, ERR_INVALID, v_mark(v), "Conditional expressions must be strings, not %s",
		    v_type_name(v));
		return NULL;
	}
	if (all_blank(v)) {
		diags_error(diags, ERR_INVALID, v_mark(v), "Empty conditional expressions are not allowed");
		return NULL;
	}
	/* All of it is one template: evaluated as such first. */
	start = text_lstrip(v->u.s, v->len);
	end = text_rstrip(v->u.s, v->len);
	if (end - start > 3 && v->u.s[start] == '{' &&
	    ((v->u.s[start + 1] == '{' && memcmp(v->u.s + end - 2, "}}", 2) == 0) ||
	    (v->u.s[start + 1] == '%' && memcmp(v->u.s + end - 2, "%}", 2) == 0)) &&
	    !(v->flags & V_RAW))
		return compile_string(a, v, TMPL_VALUE, diags);
	return compile_string(a, v, TMPL_WHEN, diags);
}

int
tmpl_names(const struct tmpl *t, int (*each)(void *, const char *, struct mark, bool), void *arg)
{
	uint32_t i;
	int rc;

	for (i = 0; i < t->nnames; i++) {
		const struct tmpl_name *n = &t->names[i];

		rc = each(arg, n->name.s, tmpl_mark_at(t, n->pos, n->pos + n->name.len), n->guarded);
		if (rc != 0)
			return rc;
	}
	return 0;
}
