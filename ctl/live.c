/*
 * Live lines: see live.h.
 */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "live.h"

#define LINES_MAX	10
#define TEXT_MAX	512
#define NAME_MAX_COLS	24u

struct busy {
	char		*host, *task, *text;
	int64_t		 since_ms;
};

struct live {
	struct out	*out;
	struct event	*timer, *winch;
	struct busy	*v;		/* the one that has been busy longest first */
	unsigned	 n, cap;
	struct buf	 pending;	/* finished lines */
	unsigned	 widths[LINES_MAX + 1];	/* columns of the lines on the screen */
	unsigned	 drawn;		/* lines on the screen */
	bool		 hidden, dirty;
};

static int64_t
monotonic_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct busy *
find(struct live *l, const char *host)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->v[i].host, host) == 0)
			return &l->v[i];
	return NULL;
}

/* ---- drawing ------------------------------------------------------------------------- */

/* The lines on the screen may have been wrapped by a narrower window since. */
static void
erase(struct live *l, struct buf *out)
{
	unsigned width = l->out->term.width, rows = 0, i;

	if (l->drawn == 0)
		return;
	for (i = 0; i < l->drawn; i++)
		rows += l->widths[i] == 0 ? 1 : (l->widths[i] + width - 1) / width;
	if (rows > 1)
		buf_addf(out, "\r\033[%uA\033[J", rows - 1);
	else
		buf_adds(out, "\r\033[J");
	l->drawn = 0;
}

static unsigned
name_columns(const struct live *l, unsigned shown)
{
	unsigned max = 0, i;

	for (i = 0; i < shown; i++) {
		unsigned w = term_width(l->v[i].host, strlen(l->v[i].host));

		if (w > max)
			max = w;
	}
	return max > NAME_MAX_COLS ? NAME_MAX_COLS : max;
}

/* One host's line; the columns it takes. */
static unsigned
draw_line(const struct live *l, const struct busy *b, unsigned names, struct buf *out)
{
	const struct term *t = &l->out->term;
	struct arena a = { 0 };
	/* The last column stays free: a cursor behind it wraps on some terminals. */
	unsigned left = t->width > 1 ? t->width - 1 : 1, used = 0, w;
	const char *time = term_duration(&a, (monotonic_ms() - b->since_ms) / 1000 * 1000);
	struct buf part = BUF_INIT;

	/* Whole seconds are enough here. */
	if (strchr(time, '.') != NULL)
		time = arena_printf(&a, "%.*ss", (int)strcspn(time, "."), time);
	w = term_fit(&part, b->host, strlen(b->host), names < left ? names : left);
	term_on(out, t, CYAN);
	buf_add(out, buf_str(&part), part.len);
	term_off(out, t, CYAN);
	for (used = w; used < names && used < left; used++)
		buf_addc(out, ' ');
	buf_clear(&part);
	buf_adds(&part, "  ");
	buf_adds(&part, b->task);
	buf_addf(&part, "  %s", time);
	used += term_fit(out, buf_str(&part), part.len, left - used);
	if (b->text != NULL && *b->text != '\0' && used + 4 < left) {
		buf_clear(&part);
		buf_adds(&part, "  ");
		buf_adds(&part, b->text);
		term_on(out, t, DIM);
		used += term_fit(out, buf_str(&part), part.len, left - used);
		term_off(out, t, DIM);
	}
	buf_release(&part);
	arena_release(&a);
	return used;
}

static void
draw(struct live *l, struct buf *out)
{
	unsigned max = l->out->term.height / 3, shown = l->n, names, i;

	if (max > LINES_MAX)
		max = LINES_MAX;
	if (max < 2)
		max = 2;
	if (shown > max)
		shown = max - 1;
	names = name_columns(l, shown);
	for (i = 0; i < shown; i++) {
		if (i > 0)
			buf_addc(out, '\n');
		l->widths[i] = draw_line(l, &l->v[i], names, out);
	}
	l->drawn = shown;
	if (shown < l->n) {
		struct buf more = BUF_INIT;

		buf_addf(&more, "… and %u more hosts at work", l->n - shown);
		buf_addc(out, '\n');
		term_on(out, &l->out->term, DIM);
		l->widths[l->drawn++] = term_fit(out, buf_str(&more), more.len,
		    l->out->term.width > 1 ? l->out->term.width - 1 : 1);
		term_off(out, &l->out->term, DIM);
		buf_release(&more);
	}
}

static void
refresh(struct live *l, bool with_lines)
{
	struct buf out = BUF_INIT;

	erase(l, &out);
	buf_add(&out, buf_str(&l->pending), l->pending.len);
	buf_clear(&l->pending);
	if (with_lines && !l->hidden)
		draw(l, &out);
	l->dirty = false;
	if (out.len > 0 && !term_write(&l->out->term, out.data, out.len))
		out_broken(l->out);
	buf_release(&out);
}

static void
tick(evutil_socket_t fd, short what, void *arg)
{
	struct live *l = arg;

	(void)fd;
	(void)what;
	/* Seconds pass also where nothing happens. */
	if (!l->hidden && (l->dirty || l->n > 0))
		refresh(l, true);
}

static void
resized(evutil_socket_t fd, short what, void *arg)
{
	struct live *l = arg;

	(void)fd;
	(void)what;
	term_resize(&l->out->term);
	l->dirty = true;
}

/* ---- the run's side -------------------------------------------------------------------- */

struct live *
live_new(struct out *out, struct event_base *base)
{
	struct live *l = xcalloc(1, sizeof(*l));
	struct timeval tv = { 0, LIVE_MS * 1000 };

	l->out = out;
	l->timer = event_new(base, -1, EV_PERSIST, tick, l);
	l->winch = evsignal_new(base, SIGWINCH, resized, l);
	if (l->timer == NULL || l->winch == NULL ||
	    event_add(l->timer, &tv) == -1 || event_add(l->winch, NULL) == -1)
		abort();	/* out of memory */
	return l;
}

static void
busy_free(struct busy *b)
{
	free(b->host);
	free(b->task);
	free(b->text);
}

void
live_free(struct live *l)
{
	unsigned i;

	if (l == NULL)
		return;
	refresh(l, false);
	event_free(l->timer);
	event_free(l->winch);
	for (i = 0; i < l->n; i++)
		busy_free(&l->v[i]);
	free(l->v);
	buf_release(&l->pending);
	free(l);
}

static char *
cleaned(const char *text)
{
	struct buf b = BUF_INIT;
	size_t n = strnlen(text, TEXT_MAX);
	char *copy;

	term_clean(&b, text, n, 0);
	copy = xstrdup(buf_str(&b));
	buf_release(&b);
	return copy;
}

void
live_begin(struct live *l, const char *host, const char *task)
{
	struct busy *b = find(l, host);

	if (b == NULL) {
		if (l->n == l->cap) {
			l->cap = l->cap == 0 ? 16 : l->cap * 2;
			l->v = xreallocarray(l->v, l->cap, sizeof(*l->v));
		}
		b = &l->v[l->n++];
		b->host = cleaned(host);
	} else {
		free(b->task);
		free(b->text);
	}
	b->task = cleaned(task);
	b->text = NULL;
	b->since_ms = monotonic_ms();
	l->dirty = true;
}

void
live_text(struct live *l, const char *host, const char *text)
{
	struct busy *b = find(l, host);

	if (b == NULL)
		return;
	free(b->text);
	b->text = cleaned(text);
	l->dirty = true;
}

void
live_end(struct live *l, const char *host)
{
	struct busy *b = find(l, host);
	unsigned i;

	if (b == NULL)
		return;
	i = (unsigned)(b - l->v);
	busy_free(b);
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(*l->v));
	l->n--;
	l->dirty = true;
}

void
live_print(struct live *l, struct buf *text)
{
	buf_add(&l->pending, buf_str(text), text->len);
	buf_clear(text);
	l->dirty = true;
	/* A flood is not kept until the next tick. */
	if (l->pending.len > 65536)
		refresh(l, false);
}

void
live_hide(struct live *l)
{
	refresh(l, false);
	l->hidden = true;
}

void
live_show(struct live *l)
{
	l->hidden = false;
	l->dirty = true;
}
