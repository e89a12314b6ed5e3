/*
 * YAML syntax errors as sentences that help.
 *
 * libyaml says what its grammar missed ("did not find expected key"), often
 * far from the mistake.  Here its message and positions are only the start:
 * the lines around them are looked at for what people really get wrong
 * (unquoted templates, tabs, a missing space after a colon, ": " inside a
 * value, quotes, indentation), and the error is put where the mistake is.
 *
 * Looking around is done on text, not on tokens: it can guess wrong, so a
 * guess only ever chooses words and place of an error that is certain.
 */
#include <string.h>

#include "base/utf8.h"
#include "yaml/text.h"

struct scene {
	const struct yaml_text	*t;
	struct arena		*arena;
	struct diags		*diags;
	const char		*problem, *context;	/* libyaml's words; context may be "" */
	size_t			 p, c;			/* offsets of problem and context */
	size_t			 pcol, ccol;		/* columns, from 0 */
	uint32_t		 cline;			/* line of the context */
	struct text_line	 line;			/* with p */
	bool			 first;			/* p is the first character of its line */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

static int
show(size_t n)
{
	return n > 60 ? 60 : (int)n;
}

static char
at(const struct yaml_text *t, size_t off)
{
	return off < t->len ? t->s[off] : '\0';
}

/* Behind indentation and list dashes. */
static size_t
content(const struct yaml_text *t, const struct text_line *l)
{
	size_t i = l->indent;

	while (i + 1 < l->end && t->s[i] == '-' && t->s[i + 1] == ' ')
		for (i++; i < l->end && t->s[i] == ' '; i++)
			;
	return i;
}

/* The first ':' that ends a key: followed by a blank or the line's end, outside quotes; end when there is none. */
static size_t
key_colon(const struct yaml_text *t, size_t i, size_t end)
{
	char quote = '\0';

	for (; i < end; i++) {
		if (quote != '\0') {
			if (t->s[i] == quote)
				quote = '\0';
		} else if ((t->s[i] == '"' || t->s[i] == '\'') &&
		    (i == 0 || !is_word(t->s[i - 1])))
			quote = t->s[i];
		else if (t->s[i] == ':' && (i + 1 == end || is_blank(t->s[i + 1])))
			return i;
	}
	return end;
}

static size_t
skip_blanks(const struct yaml_text *t, size_t i, size_t end)
{
	while (i < end && is_blank(t->s[i]))
		i++;
	return i;
}

/* Where the value that starts at i ends on its line: before a comment and trailing blanks. */
static size_t
value_end(const struct yaml_text *t, size_t i, size_t end)
{
	size_t j;

	for (j = i; j < end; j++)
		if (t->s[j] == '#' && j > i && is_blank(t->s[j - 1]))
			break;
	while (j > i && is_blank(t->s[j - 1]))
		j--;
	return j;
}

static size_t
word_end(const struct yaml_text *t, size_t i)
{
	while (is_word(at(t, i)))
		i++;
	return i;
}

/* "name:value" at the start of the content: the offset behind the colon, or 0. */
static size_t
missing_space(const struct yaml_text *t, const struct text_line *l)
{
	size_t start = content(t, l), i = word_end(t, start);

	if (i == start || i + 1 >= l->end || t->s[i] != ':' ||
	    strchr(" \t:\\", t->s[i + 1]) != NULL ||
	    (t->s[i + 1] == '/' && at(t, i + 2) == '/') ||
	    key_colon(t, i, l->end) != l->end)
		return 0;
	return i + 1;
}

/* word= somewhere in a piece of text. */
static bool
has_assignment(const struct yaml_text *t, size_t i, size_t end)
{
	bool word = false;

	for (; i < end; i++) {
		if (t->s[i] == '=' && word && at(t, i + 1) != '=')
			return true;
		word = is_word(t->s[i]);
	}
	return false;
}

/* A value in the quotes that suit it, or NULL when both kinds are in it. */
static const char *
quoted(struct arena *arena, const char *s, size_t n)
{
	if (n == 0 || n > 100)
		return NULL;
	if (memchr(s, '"', n) == NULL && memchr(s, '\\', n) == NULL)
		return arena_printf(arena, "\"%.*s\"", (int)n, s);
	if (memchr(s, '\'', n) == NULL)
		return arena_printf(arena, "'%.*s'", (int)n, s);
	return NULL;
}

/* hint: quote the whole value: key: "value" */
static void
hint_quote(struct scene *sc, struct err *e, size_t value)
{
	const struct yaml_text *t = sc->t;
	struct text_line l = text_line_of(t, value);
	size_t start = content(t, &l), end = value_end(t, value, l.end);
	const char *q = quoted(sc->arena, t->s + value, end - value);

	if (q == NULL)
		err_hint(e, "put the whole value into quotes");
	else if (start > value || value - start > 60)
		err_hint(e, "quote the whole value: %s", q);
	else
		err_hint(e, "quote the whole value: %.*s%s",
		    (int)(value - start), t->s + start, q);
}

static struct err *oops(struct scene *, size_t off, size_t end,
	    const char *fmt, ...) ATTR_PRINTF(4, 5);

static struct err *
oops(struct scene *sc, size_t off, size_t end, const char *fmt, ...)
{
	struct err e = ERR_INIT, *added;
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset_at(&e, ERR_SYNTAX, text_mark(sc->t, off, end), fmt, ap);
	va_end(ap);
	added = diags_error(sc->diags, ERR_SYNTAX, e.at, "%s", e.msg);
	err_release(&e);
	return added;
}

/* Where a value that starts with a template ends: before what a flow collection, or a ": " behind a key, goes on with. */
static size_t
template_end(const struct yaml_text *t, size_t off, size_t end)
{
	size_t i, comma = 0;
	int depth = 0;

	if (at(t, off + 1) != '#')
		end = value_end(t, off, end);
	for (i = off; i < end; i++) {
		if (strchr("{[(", t->s[i]) != NULL)
			depth++;
		else if (strchr("}])", t->s[i]) != NULL && --depth < 0)
			break;
		else if (depth == 0 && t->s[i] == ',' && comma == 0)
			comma = i;
		else if (depth == 0 && t->s[i] == ':' && i + 1 < end &&
		    is_blank(t->s[i + 1]))
			return i;
	}
	if (depth < 0 && comma > 0)
		i = comma;
	while (i > off && is_blank(t->s[i - 1]))
		i--;
	return i;
}

void
explain_template(const struct yaml_text *t, struct arena *arena, size_t off,
    struct diags *diags)
{
	struct scene sc = { .t = t, .arena = arena, .diags = diags };
	struct text_line l = text_line_of(t, off);
	size_t start = content(t, &l), end = template_end(t, off, l.end);
	const char *q = quoted(arena, t->s + off, end - off);
	char last = t->s[end - 1];
	struct err *e;

	/* {{ x }}": only the first quote is missing */
	if ((last == '"' || last == '\'') && end - off < 100 &&
	    memchr(t->s + off, last, end - off - 1) == NULL)
		q = arena_printf(arena, "%c%.*s", last, (int)(end - off), t->s + off);
	e = oops(&sc, off, end,
	    "a value that starts with '%.2s' must be quoted: unquoted, '{' "
	    "starts a mapping", t->s + off);
	if (q == NULL)
		err_hint(e, "put the whole value into quotes, or on a line of its "
		    "own below 'key: >-'");
	else if (start >= off || off - start > 60)
		err_hint(e, "quote the whole value: %s", q);
	else
		err_hint(e, "quote the whole value: %.*s%s", (int)(off - start),
		    t->s + start, q);
}

/* The line above ends with the ':' of a key, or there is none: a value may start here. */
static bool
below_key(const struct yaml_text *t, const struct text_line *l)
{
	struct text_line above;
	size_t end;

	if (!text_line_above(t, l, &above))
		return true;
	end = value_end(t, above.indent, above.end);
	return t->s[end - 1] == ':' || (t->s[end - 1] == '-' &&
	    end - 1 == above.indent);
}

/* An unquoted template that starts a value of the line, at or before `until`. */
static bool
unquoted_template(struct scene *sc, const struct text_line *l, size_t until)
{
	const struct yaml_text *t = sc->t;
	size_t i, prev;

	for (i = l->indent; i + 1 < l->end && i <= until; i++) {
		if (t->s[i] != '{' || strchr("{%#", t->s[i + 1]) == NULL)
			continue;
		for (prev = i; prev > l->indent && is_blank(t->s[prev - 1]); prev--)
			;
		if ((prev == l->indent && below_key(t, l)) ||
		    (prev > l->indent && strchr("[,(", t->s[prev - 1]) != NULL) ||
		    (prev > l->indent && prev < i &&
		    strchr(":-", t->s[prev - 1]) != NULL)) {
			explain_template(t, sc->arena, i, sc->diags);
			return true;
		}
		if (prev == l->indent || (t->s[prev - 1] == ':' && prev == i))
			return false;
		while (i + 1 < l->end && (t->s[i] != '}' || t->s[i + 1] != '}'))
			i++;
	}
	return false;
}

/* The commonest mistake of all: looked for first, at the problem and where its context began. */
static bool
templates(struct scene *sc)
{
	struct text_line l = sc->line, context;

	if (l.indent == l.end && !text_line_above(sc->t, &l, &l))
		return false;
	if (unquoted_template(sc, &l, sc->p))
		return true;
	if (sc->context[0] == '\0')
		return false;
	context = text_line_of(sc->t, sc->c);
	return strncmp(sc->context, "while parsing a block", 21) != 0 &&
	    unquoted_template(sc, &context, context.end);
}

static bool
tabs(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	size_t i;
	struct err *e;

	if (at(t, sc->p) == '\t' && sc->p == sc->line.indent)
		i = sc->p;
	else if (sc->line.indent < sc->line.end && t->s[sc->line.indent] == '\t')
		i = sc->line.indent;
	else if (at(t, sc->p) == '\t')
		i = sc->p;
	else
		return false;
	e = oops(sc, i, i + 1, "a tab character where YAML allows only spaces");
	err_hint(e, "indent with spaces; most editors can turn tabs into spaces");
	return true;
}

static bool
say_missing_space(struct scene *sc, const struct text_line *l)
{
	const struct yaml_text *t = sc->t;
	size_t off = missing_space(t, l), start = content(t, l);
	struct err *e;

	if (off == 0)
		return false;
	e = oops(sc, start, value_end(t, start, l->end),
	    "a space is missing after '%.*s'", show(off - start), t->s + start);
	err_hint(e, "write '%.*s %.*s'", show(off - start), t->s + start,
	    show(value_end(t, off, l->end) - off), t->s + off);
	return true;
}

static void
say_mixture(struct scene *sc, size_t off)
{
	struct err *e;

	while (off > sc->line.indent && is_word(sc->t->s[off - 1]))
		off--;
	e = oops(sc, off, word_end(sc->t, off),
	    "'name=value' arguments and 'name: value' are mixed");

	err_hint(e, "write every argument on a line of its own as 'name: value', "
	    "or all of them as 'name=value' on the module's line");
}

/* ": " where no mapping may start. */
static void
mapping_values(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	struct text_line above;
	size_t start = content(t, &sc->line), colon, value;
	struct err *e;

	colon = key_colon(t, start, sc->line.end);
	if (colon < sc->p) {
		value = skip_blanks(t, colon + 1, sc->line.end);
		if (has_assignment(t, value, sc->p)) {
			say_mixture(sc, sc->p);
			return;
		}
		e = oops(sc, sc->p, sc->p + 1,
		    "a second ': ' in one line: the value of '%.*s' would be a mapping",
		    show(colon - start), t->s + start);
		hint_quote(sc, e, value);
		return;
	}
	if (!text_line_above(t, &sc->line, &above)) {
		e = oops(sc, sc->p, sc->p + 1, "a ':' is not expected here");
		err_hint(e, "if it belongs to a text, quote the text");
		return;
	}
	if (say_missing_space(sc, &above))
		return;
	start = content(t, &above);
	colon = key_colon(t, start, above.end);
	if (colon == above.end) {
		value = word_end(t, start);
		if (value == start)
			value = value_end(t, start, above.end);
		e = oops(sc, start, value, "a ':' is missing after '%.*s'",
		    show(value - start), t->s + start);
		err_hint(e, "a key ends with ':'; a text over several lines that "
		    "holds ': ' must be quoted");
		return;
	}
	value = skip_blanks(t, colon + 1, above.end);
	if (has_assignment(t, value, above.end)) {
		say_mixture(sc, content(t, &sc->line));
		return;
	}
	e = oops(sc, sc->line.indent, sc->p,
	    "bad indentation: this line belongs to '%.*s' above, which already "
	    "has a value", show(colon - start), t->s + start);
	err_hint(e, "start it in column %zu like '%.*s', or remove the value there",
	    utf8_count(t->s + above.off, start - above.off) + 1,
	    show(colon - start), t->s + start);
}

/* A line that should have been a key. */
static void
no_colon(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	struct text_line l = text_line_of(t, sc->c), above;
	size_t start = content(t, &l), colon, value;
	struct err *e;

	if (say_missing_space(sc, &l))
		return;
	if (text_line_above(t, &l, &above)) {
		colon = key_colon(t, content(t, &above), above.end);
		value = skip_blanks(t, colon + 1, above.end);
		if (colon < above.end && value < above.end &&
		    (t->s[value] == '|' || t->s[value] == '>')) {
			e = oops(sc, l.indent, l.end, "the text of a block ('%c') "
			    "must be indented deeper than its key", t->s[value]);
			err_hint(e, "indent this line further than line %u",
			    text_mark(t, above.off, above.off).line);
			return;
		}
	}
	e = oops(sc, start, value_end(t, start, l.end),
	    "expected 'key: value', but this line has no ':'");
	value = word_end(t, start);
	colon = value_end(t, start, l.end);
	if (value > start && (value == colon || is_blank(t->s[value])))
		err_hint(e, "write '%.*s:%.*s', or indent it deeper if it goes on "
		    "with the text above", show(value - start), t->s + start,
		    show(colon - value), t->s + value);
	else
		err_hint(e, "if it goes on with the text above, indent it deeper");
}

/* Text directly behind a closing quote. */
static bool
after_quote(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	struct text_line l = sc->line;
	size_t q = sc->p, open, end;
	unsigned count;
	const char *joined;
	char quote;
	struct err *e;

	while (q > l.indent && is_blank(t->s[q - 1]))
		q--;
	if (q == l.indent || (t->s[q - 1] != '"' && t->s[q - 1] != '\''))
		return false;
	quote = t->s[--q];
	/* A quote that looks like an opening one closed a text that began above. */
	if (q + 1 == sc->p && (q == l.indent || strchr(" \t:[,{", t->s[q - 1]) != NULL)) {
		for (unsigned n = 0; n < 200 && l.off > t->start; n++) {
			l = text_line_of(t, l.off - 1);
			for (count = 0, open = 0, q = l.off; q < l.end; q++)
				if (t->s[q] == quote) {
					count++;
					open = q;
				}
			if (count % 2 == 0)
				continue;
			e = oops(sc, open, open + 1, "this quote is closed only "
			    "by the one in line %u", text_mark(t, sc->p, sc->p).line);
			err_hint(e, "close it on its own line, or write the text "
			    "as a block ('|')");
			return true;
		}
		return false;
	}
	end = value_end(t, sc->p, l.end);
	e = oops(sc, sc->p, end, "text behind the closing quote");
	for (open = q; open > l.indent && t->s[open - 1] != quote; open--)
		;
	joined = arena_printf(sc->arena, "%.*s%.*s", show(q - open), t->s + open,
	    show(end - q - 1), t->s + q + 1);
	if (quote == '\'' && q + 1 == sc->p && is_word(at(t, sc->p)))
		err_hint(e, "inside single quotes an apostrophe is written ''; "
		    "or use double quotes");
	else if (open > l.indent && strchr(joined, quote) == NULL &&
	    end - open <= 60)
		err_hint(e, "let the quotes reach to the end: %c%s%c", quote,
		    joined, quote);
	else
		err_hint(e, "put the whole value into one pair of quotes");
	return true;
}

/* The nearest column right of the problem in which a line of the context starts something; 0 when there is none. */
static size_t
column_right(const struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	struct text_line l = sc->line;
	size_t best = 0, cols[2];

	for (unsigned n = 0; n < 200 && text_line_above(t, &l, &l) &&
	    l.end > sc->c; n++) {
		cols[0] = l.indent - l.off;
		cols[1] = content(t, &l) - l.off;
		for (size_t i = 0; i < 2; i++)
			if (cols[i] > sc->pcol && (best == 0 || cols[i] < best))
				best = cols[i];
		if (cols[0] <= sc->pcol)
			break;
	}
	return best == 0 ? 0 : best + 1;
}

static void
say_indent(struct scene *sc, const char *what)
{
	size_t right = column_right(sc);
	struct err *e;

	e = oops(sc, sc->p, value_end(sc->t, sc->p, sc->line.end),
	    "bad indentation: this line starts in column %zu, the %s that began in "
	    "line %u in column %zu", sc->pcol + 1, what, sc->cline, sc->ccol + 1);
	if (right > 0 && right != sc->ccol + 1)
		err_hint(e, "start it in column %zu or %zu, depending on what it "
		    "belongs to", sc->ccol + 1, right);
	else
		err_hint(e, "start it in column %zu, or below a key that ends with "
		    "':'", sc->ccol + 1);
}

static void
expected_key(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	size_t start = content(t, &sc->line), colon, value;
	char c = at(t, sc->p);
	struct err *e;

	if (after_quote(sc))
		return;
	if (sc->first && sc->pcol != sc->ccol) {
		say_indent(sc, "mapping");
		return;
	}
	if (sc->first && c == '-' && at(t, sc->c) == '-' &&
	    is_word(at(t, sc->c + 1))) {
		e = oops(sc, sc->c, sc->c + 1, "a space is missing after '-'");
		value = word_end(t, sc->c + 1);
		err_hint(e, "write '- %.*s': without the space the dash belongs to "
		    "the key", show(value - sc->c - 1), t->s + sc->c + 1);
		return;
	}
	if (sc->first && c == '-') {
		e = oops(sc, sc->p, sc->p + 1, "a list item among the keys of the "
		    "mapping that began in line %u", sc->cline);
		err_hint(e, "indent the list below the key it belongs to, and "
		    "give that key no other value");
		return;
	}
	colon = key_colon(t, start, sc->line.end);
	value = skip_blanks(t, colon + 1, sc->line.end);
	if (colon < sc->p && value < sc->p && t->s[value] == '*' &&
	    sc->diags->nerrors > 0 &&
	    sc->diags->v[sc->diags->n - 1].err.code == ERR_UNDEFINED)
		return;		/* *.log: the unknown alias has been reported */
	if (colon < sc->p && value < sc->p && strchr("*&!", t->s[value]) != NULL) {
		e = oops(sc, value, value_end(t, value, sc->line.end),
		    "a value that starts with '%c' must be quoted", t->s[value]);
		hint_quote(sc, e, value);
		return;
	}
	if (c == ']' || c == '}' || c == ',') {
		e = oops(sc, sc->p, sc->p + 1, "unexpected '%c'", c);
		err_hint(e, "does it have its opening bracket? A text with "
		    "brackets or a comma at its start must be quoted");
		return;
	}
	e = oops(sc, sc->p, value_end(t, sc->p, sc->line.end),
	    "expected a key of the mapping that began in line %u", sc->cline);
	if (colon < sc->p)
		hint_quote(sc, e, value);
}

static void
expected_item(struct scene *sc)
{
	struct err *e;

	if (after_quote(sc))
		return;
	if (sc->first && sc->pcol != sc->ccol) {
		say_indent(sc, "list");
		return;
	}
	e = oops(sc, sc->p, value_end(sc->t, sc->p, sc->line.end),
	    "expected an item ('- …') of the list that began in line %u", sc->cline);
	err_hint(e, "keys and list items cannot stand side by side: indent the "
	    "one below the other");
}

/* [ or { that does not end. */
static void
flow(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	struct text_line open = text_line_of(t, sc->c);
	char bracket = at(t, sc->c), close = bracket == '[' ? ']' : '}';
	struct err *e;

	if (open.off == sc->line.off && sc->p < sc->line.end) {
		e = oops(sc, sc->p, sc->p + 1, "expected ',' or '%c'", close);
		err_note(e, text_mark(t, sc->c, sc->c + 1), "'%c' opened here",
		    bracket);
	} else {
		e = oops(sc, sc->c, sc->c + 1, "this '%c' is not closed", bracket);
		err_note(e, text_mark(t, sc->p, sc->p),
		    "here ',' or '%c' was expected", close);
	}
	err_hint(e, "if this is a text that contains '%c', quote it", bracket);
}

static void
sequence_here(struct scene *sc)
{
	const struct yaml_text *t = sc->t;
	size_t start = content(t, &sc->line);
	size_t colon = key_colon(t, start, sc->line.end);
	struct text_line above;
	struct err *e;

	if (colon < sc->p) {
		e = oops(sc, sc->p, sc->p + 1,
		    "a list cannot start on the line of its key '%.*s'",
		    show(colon - start), t->s + start);
		err_hint(e, "put '- …' on the next line, or quote the value if "
		    "the dash belongs to it");
		return;
	}
	if (sc->first && text_line_above(t, &sc->line, &above) &&
	    say_missing_space(sc, &above))
		return;
	e = oops(sc, sc->p, sc->p + 1, "a list item cannot stand here");
	err_hint(e, "check the indentation of this line and the ':' of the line above");
}

static void
bad_start(struct scene *sc)
{
	size_t i = strncmp(sc->problem, "did not", 7) == 0 ? sc->c : sc->p;
	struct text_line l = text_line_of(sc->t, i);
	char c = at(sc->t, i);
	struct err *e;

	e = oops(sc, i, value_end(sc->t, i, l.end),
	    c == '*' ? "a value that starts with '%c' must be quoted: unquoted it "
	    "is an alias" : c == '&' ? "a value that starts with '%c' must be "
	    "quoted: unquoted it is an anchor" :
	    "a value cannot start with '%c'", c);
	hint_quote(sc, e, i);
}

static void
unclosed_quote(struct scene *sc)
{
	char c = at(sc->t, sc->c);
	struct err *e;

	e = oops(sc, sc->c, sc->c + 1, strstr(sc->problem, "document") != NULL ?
	    "this %s quote is not closed before the next document begins" :
	    "this %s quote is never closed", c == '"' ? "double" : "single");
	err_hint(e, c == '\'' ? "inside single quotes an apostrophe is written ''; "
	    "or use double quotes" : "inside double quotes a quote is written \\\"");
}

static void
bad_escape(struct scene *sc)
{
	struct err *e;

	e = oops(sc, sc->p, sc->p + 2, "double quotes have no escape '\\%c'",
	    at(sc->t, sc->p + 1));
	err_hint(e, "write \\\\ for a backslash, or use single quotes, where it "
	    "means nothing special");
}

static void
flow_colon(struct scene *sc)
{
	struct err *e;

	e = oops(sc, sc->p, sc->p + 1,
	    "inside { } and [ ] a blank must follow the ':' of a key");
	err_hint(e, "write ': ', or quote the text that contains the ':'");
}

static void
block_header(struct scene *sc)
{
	char c = at(sc->t, sc->c);
	struct err *e;

	e = oops(sc, sc->p, value_end(sc->t, sc->p, sc->line.end),
	    "only +, - and an indentation from 1 to 9 may follow '%c' on its line", c);
	err_hint(e, "the text starts on the next line; quote a value that starts "
	    "with '%c'", c);
}

static void
new_document(struct scene *sc)
{
	struct err *e;

	if (after_quote(sc))
		return;
	e = oops(sc, sc->p, value_end(sc->t, sc->p, sc->line.end),
	    sc->first ? "bad indentation: this line is indented less than the "
	    "first line of the document" : "unexpected text behind the end of the "
	    "document");
	if (sc->first)
		err_hint(e, "start all lines of the same level in the same column");
}

static void
unknown_handle(struct scene *sc)
{
	struct text_line l = text_line_of(sc->t, sc->c);
	struct err *e;

	e = oops(sc, sc->c, value_end(sc->t, sc->c, l.end), "unknown tag");
	err_hint(e, "a value that starts with '!' must be quoted");
}

static void
no_value(struct scene *sc)
{
	struct err *e;

	e = oops(sc, sc->p, sc->p + 1, sc->p < sc->t->len ?
	    "a value cannot start with '%c'" : "a value is missing at the end",
	    at(sc->t, sc->p));
	if (sc->p < sc->t->len && strchr("]},", at(sc->t, sc->p)) == NULL)
		hint_quote(sc, e, sc->p);
	else
		err_hint(e, "is a bracket or a comma too many here? A text that "
		    "starts with it must be quoted");
}

static void
other(struct scene *sc)
{
	struct err *e;

	e = oops(sc, sc->p, sc->p + 1, "%s%s%s", sc->problem,
	    sc->context[0] != '\0' ? " " : "", sc->context);
	if (sc->context[0] != '\0' && sc->c != sc->p)
		err_note(e, text_mark(sc->t, sc->c, sc->c), "it began here");
}

static const struct {
	const char	*context, *problem;	/* how libyaml's words start */
	void		(*say)(struct scene *);
} sayings[] = {
	{ "", "mapping values are not allowed", mapping_values },
	{ "", "block sequence entries are not", sequence_here },
	{ "while scanning a simple key", "could not find", no_colon },
	{ "while parsing a block mapping", "did not find expected key", expected_key },
	{ "while parsing a block collection", "did not find", expected_item },
	{ "while parsing a flow", "did not find expected ','", flow },
	{ "while scanning for the next token", "", bad_start },
	{ "while scanning an a", "did not find", bad_start },
	{ "while scanning a quoted scalar", "found unexpected", unclosed_quote },
	{ "while parsing a quoted scalar", "found unknown escape", bad_escape },
	{ "while scanning a plain scalar", "found unexpected ':'", flow_colon },
	{ "while scanning a block scalar", "did not find", block_header },
	{ "while scanning a block scalar", "found an indentation", block_header },
	{ "while parsing a", "did not find expected node", no_value },
	{ "", "did not find expected <document start>", new_document },
	{ "while parsing a node", "found undefined tag handle", unknown_handle },
};

static bool
starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

void
explain(struct yaml_text *t, struct arena *arena, const yaml_parser_t *parser,
    struct diags *diags)
{
	struct scene sc = { .t = t, .arena = arena, .diags = diags };
	yaml_mark_t pm = parser->problem_mark, cm = parser->context_mark;

	sc.problem = parser->problem != NULL ? parser->problem : "cannot be read";
	sc.context = parser->context != NULL ? parser->context : "";
	if (parser->error == YAML_READER_ERROR) {
		/* text_init() found nothing wrong, so this cannot be; still say where. */
		sc.p = sc.c = parser->problem_offset;
	} else {
		sc.c = text_offset(t, &cm);
		sc.p = text_offset(t, &pm);
	}
	if (sc.p > t->len)
		sc.p = t->len;
	/* A problem at the end of the text is shown at the last line that has something. */
	sc.pcol = pm.column;
	sc.ccol = cm.column;
	sc.line = text_line_of(t, sc.p);
	sc.cline = text_mark(t, sc.c, sc.c).line;
	sc.first = sc.p == sc.line.indent;
	if (tabs(&sc) || templates(&sc))
		return;
	for (size_t i = 0; i < NITEMS(sayings); i++)
		if (starts_with(sc.context, sayings[i].context) &&
		    starts_with(sc.problem, sayings[i].problem)) {
			sayings[i].say(&sc);
			return;
		}
	other(&sc);
}

const char *
yaml_text_hint(struct arena *arena, const char *s, size_t n)
{
	struct source src = { .text = s, .len = n };
	struct yaml_text t = { .src = &src, .s = s, .len = n };
	struct text_line l = text_line_of(&t, 0);
	size_t off;

	if ((off = missing_space(&t, &l)) > 0)
		return arena_printf(arena, "a space is missing after '%.*s'",
		    show(off), s);
	return NULL;
}
