/*
 * From a place in a template to a place in a file.
 *
 * A template file's text is the file.  A scalar of a YAML file was written in
 * one of five styles, so its text and the file are walked side by side: quotes'
 * escapes, folded lines, indentation of blocks.  That is slow, and only done when
 * there is something to report.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/text.h"
#include "template/tree.h"

struct walk {
	const char	*src;		/* the file */
	size_t		 len;
	size_t		 j;
	uint32_t	 line, col;	/* of j, from 1 */
};

static void
step(struct walk *w)
{
	if (w->j >= w->len)
		return;
	if (w->src[w->j] == '\n') {
		w->line++;
		w->col = 1;
	} else if (((unsigned char)w->src[w->j] & 0xc0) != 0x80)
		w->col++;
	w->j++;
}

static void
steps(struct walk *w, size_t n)
{
	while (n-- > 0)
		step(w);
}

static char
peek(const struct walk *w, size_t ahead)
{
	return w->j + ahead < w->len ? w->src[w->j + ahead] : '\0';
}

/* To the mark's line and column. */
static bool
go_to(struct walk *w, const struct mark *m)
{
	while (w->line < m->line && w->j < w->len)
		step(w);
	while (w->col < m->col && w->j < w->len && w->src[w->j] != '\n')
		step(w);
	while (w->j < w->len && ((unsigned char)w->src[w->j] & 0xc0) == 0x80)
		w->j++;
	return w->line == m->line && w->j < w->len;
}

/* Over !tag and &anchor in front of the scalar. */
static void
skip_properties(struct walk *w)
{
	while (peek(w, 0) == '!' || peek(w, 0) == '&') {
		while (peek(w, 0) != '\0' && strchr(" \t\r\n", peek(w, 0)) == NULL)
			step(w);
		while (peek(w, 0) != '\0' && strchr(" \t\r\n", peek(w, 0)) != NULL)
			step(w);
	}
}

/* The text is in the file as it is. */
static void
walk_same(struct walk *w, const char *text, size_t to)
{
	size_t i;

	for (i = 0; i < to && w->j < w->len; i++) {
		if (w->src[w->j] == '\r' && text[i] == '\n')
			step(w);
		step(w);
	}
}

/* Spaces and newlines in the file from here: their number of newlines; 0: no line end comes. */
static uint32_t
line_end(const struct walk *w, bool spaces)
{
	struct walk t = *w;
	uint32_t n = 0;

	while (spaces && (peek(&t, 0) == ' ' || peek(&t, 0) == '\t'))
		step(&t);
	if (peek(&t, 0) == '\r')
		step(&t);
	while (peek(&t, 0) == '\n') {
		n++;
		step(&t);
		while (peek(&t, 0) == ' ' || peek(&t, 0) == '\t')
			step(&t);
		if (peek(&t, 0) == '\r')
			step(&t);
	}
	return n;
}

static void
walk_block(struct walk *w, const char *text, size_t to)
{
	uint32_t indent = 0, i;
	size_t at;
	struct walk t;

	while (peek(w, 0) != '\n' && peek(w, 0) != '\0')
		step(w);
	step(w);
	/* The first line that is not blank tells the indentation. */
	for (t = *w; peek(&t, 0) != '\0'; step(&t)) {
		if (peek(&t, 0) == '\n' || peek(&t, 0) == '\r')
			indent = 0;
		else if (peek(&t, 0) == ' ')
			indent++;
		else
			break;
	}
	/* Leading blanks that belong to the text do not count. */
	for (at = 0; text[at] == '\n'; at++)
		;
	for (; text[at] == ' ' && indent > 0; at++)
		indent--;
	for (i = 0; i < indent && peek(w, 0) == ' '; i++)
		step(w);
	for (at = 0; at < to && w->j < w->len;) {
		if (peek(w, 0) == '\r')
			step(w);
		if (peek(w, 0) != '\n') {
			step(w);
			at++;
			continue;
		}
		if (text[at] == ' ') {
			at++;
		} else {
			while (at < to && text[at] == '\n') {
				at++;
				if (at < to && text[at] == '\n' && peek(w, 1) == '\n')
					step(w);
			}
		}
		while (peek(w, 0) == '\n' && at <= to) {
			step(w);
			for (i = 0; i < indent && peek(w, 0) == ' '; i++)
				step(w);
		}
	}
}

static void
walk_flow(struct walk *w, const char *text, size_t to, char quote)
{
	size_t at, n;
	uint32_t nl;

	if (quote != '\0')
		step(w);
	for (at = 0; at < to && w->j < w->len;) {
		if ((nl = line_end(w, true)) > 0) {
			while (peek(w, 0) != '\0' && strchr(" \t\r\n", peek(w, 0)) != NULL)
				step(w);
			if (text[at] == ' ')
				at++;
			else
				while (at < to && text[at] == '\n')
					at++;
			continue;
		}
		if (quote == '\'' && peek(w, 0) == '\'') {
			step(w);
		} else if (quote == '"' && peek(w, 0) == '\\') {
			n = peek(w, 1) == 'x' ? 3 : peek(w, 1) == 'u' ? 5 : peek(w, 1) == 'U' ? 9 : 1;
			if (peek(w, 1) == '\n') {
				steps(w, 2);
				while (peek(w, 0) == ' ' || peek(w, 0) == '\t')
					step(w);
				continue;
			}
			steps(w, n);
		} else if (peek(w, 0) != text[at])
			break;
		/* One character of the text. */
		step(w);
		for (at++; at < to && ((unsigned char)text[at] & 0xc0) == 0x80; at++)
			if (((unsigned char)peek(w, 0) & 0xc0) == 0x80)
				step(w);
	}
}

/* Where the template's text begins in its file, and how it goes on there. */
static void
walk_to(struct walk *w, const char *text, size_t len, size_t to)
{
	if (w->len - w->j >= len && memcmp(w->src + w->j, text, len) == 0) {
		walk_same(w, text, to);
		return;
	}
	skip_properties(w);
	switch (peek(w, 0)) {
	case '|':
	case '>':
		walk_block(w, text, to);
		break;
	case '"':
	case '\'':
		walk_flow(w, text, to, peek(w, 0));
		break;
	default:
		walk_flow(w, text, to, '\0');
	}
}

struct mark
tmpl_mark_at(const struct tmpl *t, uint32_t pos, uint32_t end)
{
	struct mark m = t->mark;
	struct walk w = { .line = 1, .col = 1 };
	size_t i, to;
	uint32_t skipped = 0;

	m.len = end > pos && end <= t->body_len ?
	    (uint32_t)utf8_count(t->body + pos, end - pos) : 1;
	if (m.len == 0)
		m.len = 1;
	if (m.line == 0)
		m.line = m.col = 1;
	if (t->mark.src == NULL || t->mark.src->text == NULL) {
		/* Relative to the text alone. */
		for (i = 0; i < t->skipped; i++)
			skipped += t->text[i] == '\n';
		w = (struct walk){ .src = t->body, .len = t->body_len, .line = m.line + skipped,
		    .col = skipped > 0 ? 1 : m.col };
		steps(&w, pos);
		m.line = w.line;
		m.col = w.col;
		return m;
	}
	w.src = t->mark.src->text;
	w.len = t->mark.src->len;
	if (!go_to(&w, &m))
		return m;
	/* Positions count in the normalised text; the walk needs those of the text as given. */
	for (i = t->skipped, to = 0; i < t->len && to < pos; to++) {
		if (t->text[i] == '\r' && i + 1 < t->len && t->text[i + 1] == '\n')
			i++;
		i++;
	}
	if (t->mode == TMPL_FILE)
		walk_same(&w, t->text, i);
	else
		walk_to(&w, t->text, t->len, i);
	m.line = w.line;
	m.col = w.col;
	return m;
}
