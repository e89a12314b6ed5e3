/* Errors with positions; see err.h. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

#define LINE_SHOWN_MAX	160	/* characters of a source line */

void
err_release(struct err *e)
{
	unsigned i;

	free(e->msg);
	free(e->hint);
	for (i = 0; i < e->nnotes; i++)
		free(e->notes[i].msg);
	memset(e, 0, sizeof(*e));
}

static char *vformat(const char *fmt, va_list) ATTR_PRINTF(1, 0);

static char *
vformat(const char *fmt, va_list ap)
{
	va_list ap2;
	char *p;
	int n;

	va_copy(ap2, ap);
	n = vsnprintf(NULL, 0, fmt, ap2);
	va_end(ap2);
	assert(n >= 0);
	p = xmalloc((size_t)n + 1);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

int
err_vset_at(struct err *e, enum err_code code, struct mark at, const char *fmt,
    va_list ap)
{
	char *msg;

	if (e == NULL)
		return -1;
	msg = vformat(fmt, ap);	/* may use the old message */
	err_release(e);
	e->code = code;
	e->at = at;
	e->msg = msg;
	return -1;
}

int
err_set_at(struct err *e, enum err_code code, struct mark at, const char *fmt,
    ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset_at(e, code, at, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset_at(e, code, (struct mark){ 0 }, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_errno(struct err *e, const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;
	char *msg;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	msg = vformat(fmt, ap);
	va_end(ap);
	(void)err_set(e, ERR_IO, "%s: %s", msg, why);
	free(msg);
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	const char *old;
	char *context, *msg;
	size_t n;
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	context = vformat(fmt, ap);
	va_end(ap);
	/* What diags_error() returns for a diagnostic that was dropped has no message. */
	old = e->msg != NULL ? e->msg : "";
	n = strlen(context) + strlen(old) + 3;
	msg = xmalloc(n);
	(void)snprintf(msg, n, "%s: %s", context, old);
	free(context);
	free(e->msg);
	e->msg = msg;
	return -1;
}

void
err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char *hint;

	if (e == NULL)
		return;
	va_start(ap, fmt);
	hint = vformat(fmt, ap);
	va_end(ap);
	free(e->hint);
	e->hint = hint;
}

void
err_note(struct err *e, struct mark at, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL || e->nnotes == ERR_NOTES_MAX)
		return;
	va_start(ap, fmt);
	e->notes[e->nnotes].msg = vformat(fmt, ap);
	va_end(ap);
	e->notes[e->nnotes++].at = at;
}

void
err_at(struct err *e, struct mark at)
{
	if (e != NULL && e->at.src == NULL)
		e->at = at;
}

void
err_move(struct err *to, struct err *from)
{
	if (to == NULL) {
		err_release(from);
		return;
	}
	err_release(to);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

/* ---- printing ------------------------------------------------------------ */

struct palette {
	const char *bold, *red, *yellow, *cyan, *off;
};

static const struct palette colours = {
	"\033[1m", "\033[1;31m", "\033[1;33m", "\033[36m", "\033[0m"
};
static const struct palette plain = { "", "", "", "", "" };

static void
format_mark(const struct mark *at, struct buf *out)
{
	buf_adds(out, at->src->path);
	if (at->line > 0) {
		buf_addf(out, ":%u", at->line);
		if (at->col > 0)
			buf_addf(out, ":%u", at->col);
	}
}

/* Text for a terminal: control characters other than newline would move the cursor. */
static void
add_safe(struct buf *out, const char *s, size_t n, const char *indent)
{
	size_t i = 0;

	while (i < n) {
		uint32_t c;
		unsigned len = utf8_decode(s + i, n - i, &c);

		if (len == 0) {
			buf_adds(out, "\xef\xbf\xbd");
			len = 1;
		} else if (c == '\n' && indent != NULL) {
			buf_addc(out, '\n');
			buf_adds(out, indent);
		} else if (c == '\t')
			buf_addc(out, ' ');
		else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			buf_addf(out, "\\x%02x", (unsigned)c);
		else
			buf_add(out, s + i, len);
		i += len;
	}
}

/* The source line with carets; columns are characters, tabs are shown as one blank. */
static void
format_line(const struct mark *at, const struct palette *p, struct buf *out)
{
	const char *text, *end, *nl;
	uint32_t line, i;
	size_t nchars, first = 0, shown;
	uint32_t col = at->col, len = at->len > 0 ? at->len : 1;

	if (at->src->text == NULL || at->src->secret || at->line == 0)
		return;
	text = at->src->text;
	end = text + at->src->len;
	for (line = 1; line < at->line; line++) {
		if ((nl = memchr(text, '\n', (size_t)(end - text))) == NULL)
			return;
		text = nl + 1;
	}
	if ((nl = memchr(text, '\n', (size_t)(end - text))) != NULL)
		end = nl;
	if (end > text && end[-1] == '\r')
		end--;
	nchars = utf8_count(text, (size_t)(end - text));
	if (nchars > LINE_SHOWN_MAX && col > LINE_SHOWN_MAX / 2)
		first = col - LINE_SHOWN_MAX / 2;
	if (first > nchars)
		first = nchars;
	shown = nchars - first < LINE_SHOWN_MAX ? nchars - first : LINE_SHOWN_MAX;
	buf_addf(out, "%s%5u |%s %s", p->cyan, at->line, p->off,
	    first > 0 ? "…" : "");
	{
		size_t from = utf8_offset(text, (size_t)(end - text), first);
		size_t to = utf8_offset(text, (size_t)(end - text), first + shown);

		add_safe(out, text + from, to - from, NULL);
	}
	buf_addc(out, '\n');
	if (col == 0)
		return;
	col -= (uint32_t)first;
	if (first > 0)
		col++;
	buf_addf(out, "%s      |%s ", p->cyan, p->off);
	for (i = 1; i < col; i++)
		buf_addc(out, ' ');
	if (col - 1 + len > shown + 1)
		len = col - 1 < shown ? (uint32_t)shown - col + 1 : 1;
	buf_adds(out, p->red);
	for (i = 0; i < len; i++)
		buf_addc(out, '^');
	buf_addf(out, "%s\n", p->off);
}

static void
format_one(const struct err *e, const char *level, const char *level_colour,
    const struct palette *p, struct buf *out)
{
	unsigned i;

	buf_adds(out, p->bold);
	if (e->at.src != NULL) {
		format_mark(&e->at, out);
		buf_adds(out, ": ");
	}
	buf_addf(out, "%s%s:%s ", level_colour, level, p->off);
	add_safe(out, e->msg, strlen(e->msg), "    ");
	buf_addc(out, '\n');
	if (e->at.src != NULL)
		format_line(&e->at, p, out);
	for (i = 0; i < e->nnotes; i++) {
		buf_adds(out, "  ");
		if (e->notes[i].at.src != NULL) {
			format_mark(&e->notes[i].at, out);
			buf_adds(out, ": ");
		}
		add_safe(out, e->notes[i].msg, strlen(e->notes[i].msg), "    ");
		buf_addc(out, '\n');
	}
	if (e->hint != NULL) {
		buf_addf(out, "%shint:%s ", p->cyan, p->off);
		add_safe(out, e->hint, strlen(e->hint), "      ");
		buf_addc(out, '\n');
	}
}

void
err_format(const struct err *e, bool colour, struct buf *out)
{
	const struct palette *p = colour ? &colours : &plain;

	format_one(e, "error", p->red, p, out);
}

/* ---- collections --------------------------------------------------------- */

void
diags_release(struct diags *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		err_release(&d->v[i].err);
	free(d->v);
	memset(d, 0, sizeof(*d));
}

static bool
same_place(const struct mark *a, const struct mark *b)
{
	if (a->src == NULL || b->src == NULL)
		return a->src == b->src;
	return a->line == b->line && a->col == b->col &&
	    strcmp(a->src->path, b->src->path) == 0;
}

void
diags_add(struct diags *d, enum diag_level level, struct err *e)
{
	size_t i;

	assert(e->code != ERR_NONE);
	for (i = 0; i < d->n; i++) {
		if (d->v[i].level == level &&
		    same_place(&d->v[i].err.at, &e->at) &&
		    strcmp(d->v[i].err.msg, e->msg) == 0) {
			err_release(e);
			return;
		}
	}
	if (level == DIAG_ERROR)
		d->nerrors++;
	if (d->n >= DIAGS_MAX) {
		d->dropped++;
		err_release(e);
		return;
	}
	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 16 : d->cap * 2;
		d->v = xreallocarray(d->v, d->cap, sizeof(*d->v));
	}
	d->v[d->n].level = level;
	d->v[d->n].err = *e;
	d->n++;
	memset(e, 0, sizeof(*e));
}

static struct err *diags_vadd(struct diags *, enum diag_level, enum err_code,
	    struct mark, const char *fmt, va_list) ATTR_PRINTF(5, 0);

static struct err *
diags_vadd(struct diags *d, enum diag_level level, enum err_code code,
    struct mark at, const char *fmt, va_list ap)
{
	static struct err none;		/* for what was dropped: hints go nowhere */
	struct err e = ERR_INIT;
	size_t n = d->n;

	(void)err_vset_at(&e, code, at, fmt, ap);
	diags_add(d, level, &e);
	if (d->n > n)
		return &d->v[n].err;
	err_release(&none);
	return &none;
}

struct err *
diags_error(struct diags *d, enum err_code code, struct mark at,
    const char *fmt, ...)
{
	struct err *e;
	va_list ap;

	va_start(ap, fmt);
	e = diags_vadd(d, DIAG_ERROR, code, at, fmt, ap);
	va_end(ap);
	return e;
}

struct err *
diags_warn(struct diags *d, struct mark at, const char *fmt, ...)
{
	struct err *e;
	va_list ap;

	va_start(ap, fmt);
	e = diags_vadd(d, DIAG_WARNING, ERR_INVALID, at, fmt, ap);
	va_end(ap);
	return e;
}

struct err *
diags_note(struct diags *d, struct mark at, const char *fmt, ...)
{
	struct err *e;
	va_list ap;

	va_start(ap, fmt);
	e = diags_vadd(d, DIAG_NOTE, ERR_INVALID, at, fmt, ap);
	va_end(ap);
	return e;
}

static int
diag_cmp(const void *pa, const void *pb)
{
	const struct diag *a = pa, *b = pb;
	const struct mark *ma = &a->err.at, *mb = &b->err.at;
	int c;

	if (ma->src == NULL || mb->src == NULL) {
		if (ma->src == mb->src)
			return strcmp(a->err.msg, b->err.msg);
		return ma->src == NULL ? -1 : 1;
	}
	if ((c = strcmp(ma->src->path, mb->src->path)) != 0)
		return c;
	if (ma->line != mb->line)
		return ma->line < mb->line ? -1 : 1;
	if (ma->col != mb->col)
		return ma->col < mb->col ? -1 : 1;
	return strcmp(a->err.msg, b->err.msg);
}

void
diags_format(struct diags *d, bool colour, struct buf *out)
{
	static const char *const names[] = { "error", "warning", "note" };
	const struct palette *p = colour ? &colours : &plain;
	const char *const level_colours[] = { p->red, p->yellow, p->cyan };
	size_t i;

	if (d->n == 0)
		return;
	qsort(d->v, d->n, sizeof(*d->v), diag_cmp);
	for (i = 0; i < d->n; i++)
		format_one(&d->v[i].err, names[d->v[i].level],
		    level_colours[d->v[i].level], p, out);
	if (d->nerrors > 1 || d->dropped > 0) {
		buf_addf(out, "%zu error%s", d->nerrors,
		    d->nerrors == 1 ? "" : "s");
		if (d->dropped > 0)
			buf_addf(out, " (%zu more not shown)", d->dropped);
		buf_addc(out, '\n');
	}
}

/* ---- spelling ------------------------------------------------------------ */

#define WORD_MAX	64

/* Optimal string alignment distance (Damerau-Levenshtein without substrings edited twice), case ignored. */
static unsigned
distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned rows[3][WORD_MAX + 1], *prev2 = rows[0], *prev = rows[1],
	    *cur = rows[2], *tmp;
	size_t i, j;

	for (j = 0; j <= nb; j++)
		prev[j] = (unsigned)j;
	for (i = 1; i <= na; i++) {
		cur[0] = (unsigned)i;
		for (j = 1; j <= nb; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			int cb = tolower((unsigned char)b[j - 1]);
			unsigned best = prev[j - 1] + (ca != cb);

			if (prev[j] + 1 < best)
				best = prev[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 &&
			    ca == tolower((unsigned char)b[j - 2]) &&
			    tolower((unsigned char)a[i - 2]) == cb &&
			    prev2[j - 2] + 1 < best)
				best = prev2[j - 2] + 1;
			cur[j] = best;
		}
		tmp = prev2;
		prev2 = prev;
		prev = cur;
		cur = tmp;
	}
	return prev[nb];
}

void
nearest_try(const char *word, const char *candidate, const char **best,
    unsigned *dist)
{
	size_t nw = strlen(word), nc = strlen(candidate);
	unsigned d, limit;

	if (nw == 0 || nw > WORD_MAX || nc > WORD_MAX)
		return;
	limit = nw <= 2 ? 1 : nw <= 5 ? 2 : (unsigned)(nw / 3 + 1);
	if ((nw > nc ? nw - nc : nc - nw) > limit)
		return;
	d = distance(word, nw, candidate, nc);
	if (d > limit || d >= nw)
		return;
	/* a letter left out is the likeliest slip: "taks" means "tasks" rather than "tags" */
	if (*best == NULL || d < *dist || (d == *dist && nc > strlen(*best))) {
		*best = candidate;
		*dist = d;
	}
}

const char *
nearest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	unsigned dist = 0;

	for (; *candidates != NULL; candidates++)
		nearest_try(word, *candidates, &best, &dist);
	return best;
}
