/*
 * k=v lines: `copy: src=a dest="{{ b }}/c"` and the free form of command,
 * shell and their like.
 *
 * Ansible splits at blanks, but keeps together what is inside quotes (also in
 * the middle of a word) and inside {{ }}, {% %} and {# #}.  Further blanks and
 * line ends stay with the word before them, so that a free form comes out as
 * it was written; a backslash alone joins its line with the next.  Ten years
 * of roles rely on these rules, so they are kept to the letter.
 */
#include <string.h>

#include "base/utf8.h"
#include "playbook/private.h"

#define WORDS_MAX	100000u

struct words {
	struct arena	*a;
	struct buf	*v;		/* one buffer a word */
	uint32_t	*offset;
	uint32_t	 n, cap;
};

static bool
words_new(struct words *w, uint32_t offset)
{
	uint32_t ncap;

	if (w->n >= WORDS_MAX)
		return false;
	if (w->n == w->cap) {
		ncap = w->cap == 0 ? 8 : w->cap * 2;
		w->v = arena_grow(w->a, w->v, w->cap * sizeof(*w->v), ncap * sizeof(*w->v));
		w->offset = arena_grow(w->a, w->offset, w->cap * sizeof(*w->offset),
		    ncap * sizeof(*w->offset));
		w->cap = ncap;
	}
	buf_init(&w->v[w->n], 0);
	w->offset[w->n++] = offset;
	return true;
}

/* The quote that is open behind the piece, or 0. */
static char
quote_state(const char *s, size_t n, char quote)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if ((s[i] != '"' && s[i] != '\'') || (i > 0 && s[i - 1] == '\\'))
			continue;
		if (quote == 0)
			quote = s[i];
		else if (quote == s[i])
			quote = 0;
	}
	return quote;
}

static int
count(const char *s, size_t n, const char *pair)
{
	size_t i;
	int k = 0;

	for (i = 0; i + 1 < n; i++) {
		if (s[i] == pair[0] && s[i + 1] == pair[1]) {
			k++;
			i++;
		}
	}
	return k;
}

static void
depth_change(const char *s, size_t n, const char *open, const char *close, int *depth)
{
	*depth += count(s, n, open) - count(s, n, close);
	if (*depth < 0)
		*depth = 0;
}

struct split_state {
	char	quote;
	int	print, block, comment;
};

static bool
inside(const struct split_state *st)
{
	return st->print > 0 || st->block > 0 || st->comment > 0;
}

/* One piece between blanks. first: it begins its line. */
static bool
split_piece(struct words *w, struct split_state *st, const char *s, size_t n,
    uint32_t offset, bool first)
{
	bool was_quoted = st->quote != 0, was_inside = inside(st), added = false;

	st->quote = quote_state(s, n, st->quote);
	if (st->quote != 0 && !was_quoted && !was_inside) {
		if (!words_new(w, offset))
			return false;
		buf_add(&w->v[w->n - 1], s, n);
		added = true;
	} else if (was_inside || st->quote != 0 || was_quoted) {
		if (w->n == 0 && !words_new(w, offset))
			return false;
		/* inside quotes blanks count; the first piece of a line has none before it */
		if (!first)
			buf_addc(&w->v[w->n - 1], ' ');
		buf_add(&w->v[w->n - 1], s, n);
		added = true;
	}
	depth_change(s, n, "{{", "}}", &st->print);
	depth_change(s, n, "{%", "%}", &st->block);
	depth_change(s, n, "{#", "#}", &st->comment);
	if (!added && n > 0) {
		if (!words_new(w, offset))
			return false;
		buf_add(&w->v[w->n - 1], s, n);
	}
	return true;
}

/* One line. Returns false when there are too many words. */
static bool
split_line(struct words *w, struct split_state *st, const char *text,
    const char *line, size_t len, bool *ret_joined)
{
	const char *p = line, *end = line + len, *blank;
	bool first = true;

	*ret_joined = false;
	for (;;) {
		blank = memchr(p, ' ', (size_t)(end - p));
		if (blank == NULL)
			blank = end;
		if (blank == p && !first) {
			if (w->n > 0)
				buf_addc(&w->v[w->n - 1], ' ');
		} else if (blank - p == 1 && *p == '\\' && st->quote == 0) {
			*ret_joined = true;
		} else if (!split_piece(w, st, p, (size_t)(blank - p),
		    (uint32_t)(p - text), first))
			return false;
		if (blank == end)
			return true;
		p = blank + 1;
		first = false;
	}
}

int
split_words(struct arena *a, const char *text, size_t len, struct token **ret, uint32_t *nret)
{
	struct words w = { .a = a };
	struct split_state st = { 0 };
	const char *p = text, *end = text + len, *nl;
	struct token *tokens;
	bool ok = true, joined;
	uint32_t i;

	for (;;) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		if (!(ok = split_line(&w, &st, text, p, (size_t)(nl - p), &joined)))
			break;
		if (nl == end)
			break;
		if (!joined && w.n > 0)
			buf_addc(&w.v[w.n - 1], '\n');
		p = nl + 1;
	}
	if (st.quote != 0 || inside(&st))
		ok = false;
	tokens = ARENA_ARRAY(a, w.n + 1, struct token);
	for (i = 0; i < w.n; i++) {
		tokens[i].text = buf_dup(&w.v[i], a);
		tokens[i].len = (uint32_t)w.v[i].len;
		tokens[i].offset = w.offset[i];
		buf_release(&w.v[i]);
	}
	*ret = tokens;
	*nret = w.n;
	return ok ? 0 : -1;
}

/* ---- marks ------------------------------------------------------------------ */

struct mark
mark_part(const struct value *v, size_t offset, size_t len)
{
	return tmpl_scalar_mark(v, offset, offset + (len == 0 ? 1 : len));
}

/* ---- k=v --------------------------------------------------------------------- */

static int
hex(const char *s, unsigned n, uint32_t *ret)
{
	uint32_t v = 0;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v * 16 + (uint32_t)(s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = v * 16 + (uint32_t)(s[i] - 'a' + 10);
		else if (s[i] >= 'A' && s[i] <= 'F')
			v = v * 16 + (uint32_t)(s[i] - 'A' + 10);
		else
			return -1;
	}
	*ret = v;
	return 0;
}

/* Python's escapes in a k=v word: \n, \t, \x41, \u20ac. Others stay. */
static const char *
unescape(struct arena *a, const char *s, size_t n, size_t *ret_n)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	struct buf out CLEANUP_BUF = BUF_INIT;
	const char *at;
	size_t i, digits;
	uint32_t c;

	if (memchr(s, '\\', n) == NULL) {
		*ret_n = n;
		return s;
	}
	for (i = 0; i < n; i++) {
		if (s[i] != '\\' || i + 1 >= n) {
			buf_addc(&out, s[i]);
			continue;
		}
		digits = s[i + 1] == 'x' ? 2 : s[i + 1] == 'u' ? 4 : s[i + 1] == 'U' ? 8 : 0;
		if (digits > 0 && i + 1 + digits < n &&
		    hex(s + i + 2, (unsigned)digits, &c) == 0) {
			utf8_encode(&out, c);
			i += 1 + digits;
		} else if ((at = strchr(from, s[i + 1])) != NULL && s[i + 1] != '\0') {
			buf_addc(&out, to[at - from]);
			i++;
		} else
			buf_addc(&out, s[i]);
	}
	*ret_n = out.len;
	return buf_dup(&out, a);
}

static void
trim(const char **s, size_t *n)
{
	while (*n > 0 && strchr(" \t\r\n", (*s)[0]) != NULL) {
		(*s)++;
		(*n)--;
	}
	while (*n > 0 && strchr(" \t\r\n", (*s)[*n - 1]) != NULL)
		(*n)--;
}

static bool
is_command_option(const char *key, size_t n)
{
	static const char *const options[] = { "creates", "removes", "chdir",
	    "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends" };
	size_t i;

	for (i = 0; i < NITEMS(options); i++) {
		if (strlen(options[i]) == n && memcmp(options[i], key, n) == 0)
			return true;
	}
	return false;
}

/* A word whose only = are escaped: it loses the backslashes. */
static void
unescape_equals(struct arena *a, struct token *t, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1);
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 1 < n && s[i + 1] == '=')
			continue;
		out[k++] = s[i];
	}
	out[k] = '\0';
	t->text = out;
	t->len = (uint32_t)k;
}

/* Takes a word as k=v into args; false when it belongs to the free form. */
static bool
split_pair(const struct ctx *c, const struct value *text, struct token *t,
    bool raw, struct value *args)
{
	const char *s, *val, *key;
	struct value *k, *v;
	size_t n, eq, nkey, nval, offset;
	uint32_t dup;
	struct mark m;

	s = unescape(c->a, t->text, t->len, &n);
	for (eq = 1; eq < n && !(s[eq] == '=' && s[eq - 1] != '\\'); eq++)
		;
	if (eq >= n) {
		if (memchr(s, '=', n) != NULL)
			unescape_equals(c->a, t, s, n);
		return false;
	}
	key = s;
	nkey = eq;
	trim(&key, &nkey);
	if (raw && !is_command_option(s, eq))
		return false;
	val = s + eq + 1;
	nval = n - eq - 1;
	trim(&val, &nval);
	offset = (size_t)(val - s);
	if (nval >= 2 && val[0] == val[nval - 1] && (val[0] == '"' || val[0] == '\'') &&
	    val[nval - 2] != '\\') {
		val++;
		nval -= 2;
		offset++;
	}
	k = v_strn(c->a, key, nkey);
	v = v_strn(c->a, val, nval);
	v->flags = V_PLAIN | (text->flags & V_SECRET);
	m = mark_part(text, t->offset, nkey);
	k = memcpy(arena_alloc(c->a, sizeof(*k)), v_with_mark(c->a, k, m), sizeof(*k));
	dup = v_count(args);
	if (s == t->text)
		m = mark_part(text, t->offset + offset, nval);
	v_set(c->a, args, k, v_with_mark(c->a, v, m));
	if (v_count(args) == dup)
		diags_warn(c->d, v_mark(k), "'%s' is given twice: the last one counts", k->u.s);
	return true;
}

/* Words of a free form back into a text, as Ansible joins them. */
static const struct value *
free_form(const struct ctx *c, const struct value *text, const struct token *t,
    const uint32_t *words, uint32_t n)
{
	struct buf b CLEANUP_BUF = BUF_INIT;
	struct value *v;
	struct mark m;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (b.len > 0 && b.data[b.len - 1] != '\n')
			buf_addc(&b, ' ');
		buf_add(&b, t[words[i]].text, t[words[i]].len);
	}
	if (b.len == text->len && memcmp(b.data, text->u.s, b.len) == 0)
		return text;
	v = v_strn(c->a, b.data == NULL ? "" : b.data, b.len);
	v->flags = (uint8_t)(text->flags & V_SECRET);
	m = mark_part(text, t[words[0]].offset, t[words[0]].len);
	return v_with_mark(c->a, v, m);
}

const struct value *
split_args(const struct ctx *c, const struct value *text, bool raw,
    struct value *args, bool *bad)
{
	struct token *t;
	uint32_t n, i, nwords = 0, *words;

	if (split_words(c->a, text->u.s, text->len, &t, &n) < 0) {
		err_hint(diags_error(c->d, ERR_SYNTAX, v_mark(text),
		    "an opening quote or {{ in the arguments is never closed"),
		    "an apostrophe counts as a quote too: write \\' or put the text under `cmd:`");
		*bad = true;
		return NULL;
	}
	words = ARENA_ARRAY(c->a, n + 1, uint32_t);
	for (i = 0; i < n; i++) {
		if (!split_pair(c, text, &t[i], raw, args))
			words[nwords++] = i;
	}
	return nwords == 0 ? NULL : free_form(c, text, t, words, nwords);
}
