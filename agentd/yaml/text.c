/*
 * The text under the YAML loader: see text.h.
 */
#include <string.h>

#include "base/utf8.h"
#include "yaml/text.h"

/* Places in a text that is not checked yet; the column is only as right as the bytes before are. */
static struct mark
raw_mark(const struct source *src, size_t off)
{
	struct mark m = { .src = src, .line = 1, .col = 1, .len = 1 };
	size_t start = 0;

	for (size_t i = 0; i < off; i++)
		if (src->text[i] == '\n') {
			m.line++;
			start = i + 1;
		}
	m.col += (uint32_t)utf8_count(src->text + start, off - start);
	return m;
}

static int
bad_utf8(const struct source *src, size_t off, struct err *err)
{
	const unsigned char *s = (const unsigned char *)src->text;

	err_set_at(err, ERR_SYNTAX, raw_mark(src, off),
	    "invalid UTF-8: byte 0x%02x", s[off]);
	if (off == 0 && src->len >= 2 && ((s[0] == 0xff && s[1] == 0xfe) ||
	    (s[0] == 0xfe && s[1] == 0xff)))
		err_hint(err, "this looks like UTF-16: save the file as UTF-8");
	else
		err_hint(err, "save the file as UTF-8 (from Latin-1: iconv -f latin1 -t utf-8)");
	return -1;
}

static int
bad_char(const struct source *src, size_t off, uint32_t c, struct err *err)
{
	err_set_at(err, ERR_SYNTAX, raw_mark(src, off),
	    "the control character U+%04X may not stand in YAML", (unsigned)c);
	err_hint(err, c == 0 ? "is this a text file? It holds a NUL byte" :
	    "remove it, or write it as an escape inside double quotes: \"\\x%02x\"",
	    (unsigned)c);
	return -1;
}

static bool
allowed(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0x7e) ||
	    c == 0x85 || (c >= 0xa0 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

static void
add_line(struct yaml_text *t, size_t *cap, size_t off, uint32_t line, uint32_t col0)
{
	if (t->nlines == *cap) {
		*cap = *cap == 0 ? 64 : *cap * 2;
		t->lines = xreallocarray(t->lines, *cap, sizeof(*t->lines));
	}
	t->lines[t->nlines++] = (struct yaml_line){ (uint32_t)off, line, col0 };
}

/* Fills t->lines by malloc; the caller copies them into the arena. */
static int
scan_lines(struct yaml_text *t, struct err *err)
{
	size_t i = t->start, cap = 0;
	uint32_t line = 1, c;
	unsigned n;

	add_line(t, &cap, i, 1, t->start > 0 ? 1 : 0);
	while (i < t->len) {
		c = (unsigned char)t->s[i];
		n = 1;
		if (c >= 0x80 && (n = utf8_decode(t->s + i, t->len - i, &c)) == 0)
			return bad_utf8(t->src, i, err);
		if (!allowed(c))
			return bad_char(t->src, i, c, err);
		i += n;
		if (c == '\n') {
			line++;
			add_line(t, &cap, i, line, 0);
		} else if ((c == '\r' && (i == t->len || t->s[i] != '\n')) ||
		    c == 0x85 || c == 0x2028 || c == 0x2029) {
			const struct yaml_line *prev = &t->lines[t->nlines - 1];

			add_line(t, &cap, i, line, prev->col0 +
			    (uint32_t)utf8_count(t->s + prev->off, i - prev->off));
		}
	}
	return 0;
}

int
text_init(struct yaml_text *t, struct arena *arena, const struct source *src,
    struct err *err)
{
	struct yaml_line *lines;
	int rc;

	memset(t, 0, sizeof(*t));
	t->src = src;
	t->s = src->text;
	t->len = src->len;
	if (src->len > YAML_SIZE_MAX)
		return err_set_at(err, ERR_LIMIT, (struct mark){ .src = src },
		    "larger than %zu MiB, the most a YAML file may have",
		    YAML_SIZE_MAX / (1024 * 1024));
	if (src->len >= 3 && memcmp(src->text, "\xef\xbb\xbf", 3) == 0)
		t->start = 3;
	rc = scan_lines(t, err);
	lines = t->lines;
	t->lines = ARENA_ARRAY(arena, t->nlines, struct yaml_line);
	memcpy(t->lines, lines, t->nlines * sizeof(*lines));
	free(lines);
	t->at_off = t->start;
	return rc;
}

size_t
text_offset(struct yaml_text *t, const yaml_mark_t *m)
{
	size_t off, col = 0;

	if (m->line >= t->nlines)
		return t->len;
	off = t->lines[m->line].off;
	if (t->at_line == m->line && t->at_col <= m->column) {
		off = t->at_off;
		col = t->at_col;
	}
	off += utf8_offset(t->s + off, t->len - off, m->column - col);
	t->at_line = m->line;
	t->at_col = m->column;
	t->at_off = off;
	return off;
}

struct mark
text_at(const struct yaml_text *t, const yaml_mark_t *m, size_t len)
{
	const struct yaml_line *l;

	l = &t->lines[m->line < t->nlines ? m->line : t->nlines - 1];
	return (struct mark){ .src = t->src, .line = l->line,
	    .col = l->col0 + (uint32_t)m->column + 1,
	    .len = len == 0 ? 1 : (uint32_t)len };
}

struct text_line
text_line_of(const struct yaml_text *t, size_t off)
{
	struct text_line l;
	const char *nl;

	if (off > t->len)
		off = t->len;
	l.off = off;
	while (l.off > t->start && t->s[l.off - 1] != '\n')
		l.off--;
	nl = memchr(t->s + off, '\n', t->len - off);
	l.end = nl != NULL ? (size_t)(nl - t->s) : t->len;
	if (l.end > l.off && t->s[l.end - 1] == '\r')
		l.end--;
	for (l.indent = l.off; l.indent < l.end && t->s[l.indent] == ' '; l.indent++)
		;
	return l;
}

bool
text_line_above(const struct yaml_text *t, const struct text_line *from,
    struct text_line *ret)
{
	struct text_line l = *from;

	while (l.off > t->start) {
		l = text_line_of(t, l.off - 1);
		if (l.indent < l.end && t->s[l.indent] != '#') {
			*ret = l;
			return true;
		}
	}
	return false;
}

struct mark
text_mark(const struct yaml_text *t, size_t off, size_t end)
{
	struct mark m = { .src = t->src, .len = 1 };
	struct text_line l = text_line_of(t, off);
	size_t low = 0, high = t->nlines, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (t->lines[mid].off <= off)
			low = mid;
		else
			high = mid;
	}
	m.line = t->lines[low].line;
	m.col = t->lines[low].col0 + 1;
	if (off > t->lines[low].off)
		m.col += (uint32_t)utf8_count(t->s + t->lines[low].off,
		    off - t->lines[low].off);
	if (end > l.end)
		end = l.end;
	if (end > off)
		m.len = (uint32_t)utf8_count(t->s + off, end - off);
	return m;
}
