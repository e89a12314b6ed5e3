/*
 * Terminal text.  Sequences are ECMA-48's few that every terminal knows; no
 * terminfo.
 */
#include <sys/ioctl.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/utf8.h"
#include "term.h"

static const char *const sgr[] = {
	[PLAIN] = "", [BOLD] = "\033[1m", [DIM] = "\033[2m",
	[RED] = "\033[31m", [GREEN] = "\033[32m", [YELLOW] = "\033[33m",
	[BLUE] = "\033[34m", [CYAN] = "\033[36m",
};

void
term_resize(struct term *t)
{
	struct winsize ws;

	t->width = 80;
	t->height = 24;
	if (ioctl(t->fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0) {
		t->width = ws.ws_col;
		t->height = ws.ws_row > 0 ? ws.ws_row : 24;
	}
}

void
term_init(struct term *t, int fd, const char *when)
{
	const char *no = getenv("NO_COLOR"), *name = getenv("TERM");
	bool dumb = name == NULL || *name == '\0' || strcmp(name, "dumb") == 0;

	t->fd = fd;
	t->tty = isatty(fd) && !dumb;
	t->colour = t->tty && (no == NULL || *no == '\0');
	if (when != NULL && strcmp(when, "always") == 0)
		t->colour = true;
	if (when != NULL && strcmp(when, "never") == 0)
		t->colour = false;
	term_resize(t);
}

void
term_on(struct buf *out, const struct term *t, enum colour c)
{
	if (t->colour && c != PLAIN)
		buf_adds(out, sgr[c]);
}

void
term_off(struct buf *out, const struct term *t, enum colour c)
{
	if (t->colour && c != PLAIN)
		buf_adds(out, "\033[0m");
}

void
term_add(struct buf *out, const struct term *t, enum colour c, const char *fmt, ...)
{
	va_list ap;

	term_on(out, t, c);
	va_start(ap, fmt);
	buf_vaddf(out, fmt, ap);
	va_end(ap);
	term_off(out, t, c);
}

/* ---- harmless text -------------------------------------------------------------------- */

/* Length of a colour sequence ("ESC [ digits and semicolons m") at s; 0: none. */
static size_t
sgr_length(const char *s, size_t n)
{
	size_t i = 2;

	if (n < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (i < n && ((s[i] >= '0' && s[i] <= '9') || s[i] == ';' || s[i] == ':'))
		i++;
	return i < n && s[i] == 'm' ? i + 1 : 0;
}

/* Characters that turn the direction of text, join invisibly or split lines. */
static bool
deceptive(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	    c == 0xfeff || (c >= 0xe0000 && c <= 0xe0fff);
}

void
term_clean(struct buf *out, const char *s, size_t n, unsigned flags)
{
	size_t i = 0, skip;

	while (i < n) {
		unsigned char ch = (unsigned char)s[i];
		uint32_t c;
		unsigned len;

		if ((skip = sgr_length(s + i, n - i)) > 0) {
			i += skip;
			continue;
		}
		if (ch == '\n' || ch == '\t') {
			if (flags & CLEAN_LINES)
				buf_addc(out, (char)ch);
			else
				buf_addc(out, ' ');
			i++;
			continue;
		}
		if (ch == '\r' && i + 1 < n && s[i + 1] == '\n') {
			i++;
			continue;
		}
		if (ch < 0x20 || ch == 0x7f) {
			buf_addc(out, '^');
			buf_addc(out, (char)(ch ^ 0x40));
			i++;
			continue;
		}
		if (ch < 0x80) {
			buf_addc(out, (char)ch);
			i++;
			continue;
		}
		if ((len = utf8_decode(s + i, n - i, &c)) == 0) {
			utf8_encode(out, 0xfffd);
			i++;
			continue;
		}
		if (deceptive(c))
			buf_addf(out, "<U+%04X>", (unsigned)c);
		else
			buf_add(out, s + i, len);
		i += len;
	}
}

/* ---- widths ------------------------------------------------------------------------------ */

/* The locale whose tables know all of Unicode, whatever the person's is. */
static locale_t
unicode(void)
{
	static locale_t loc;
	static bool tried;

	if (!tried) {
		loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		tried = true;
	}
	return loc;
}

/* Appends the characters that fit into max columns. */
static size_t
fitting(const char *s, size_t n, unsigned max, unsigned *ret_columns)
{
	locale_t loc = unicode(), old = (locale_t)0;
	unsigned columns = 0, len;
	size_t i = 0;
	uint32_t c;

	if (loc != (locale_t)0)
		old = uselocale(loc);
	while (i < n) {
		int w = 1;

		if ((unsigned char)s[i] < 0x80)
			len = 1;
		else if ((len = utf8_decode(s + i, n - i, &c)) == 0)
			len = 1;
		else if (loc != (locale_t)0 && (w = wcwidth((wchar_t)c)) < 0)
			w = 1;
		if (columns + (unsigned)w > max)
			break;
		columns += (unsigned)w;
		i += len;
	}
	if (loc != (locale_t)0)
		(void)uselocale(old);
	*ret_columns = columns;
	return i;
}

unsigned
term_width(const char *s, size_t n)
{
	unsigned columns;

	(void)fitting(s, n, UINT32_MAX / 2, &columns);
	return columns;
}

unsigned
term_fit(struct buf *out, const char *s, size_t n, unsigned max)
{
	unsigned columns;
	size_t take = fitting(s, n, max, &columns);

	if (take < n && max > 0) {
		take = fitting(s, n, max - 1, &columns);
		buf_add(out, s, take);
		buf_adds(out, "…");
		return columns + 1;
	}
	buf_add(out, s, take);
	return columns;
}

void
term_pad(struct buf *out, const char *s, unsigned columns)
{
	unsigned w = term_width(s, strlen(s));

	buf_adds(out, s);
	for (; w < columns; w++)
		buf_addc(out, ' ');
}

const char *
term_time(struct arena *a, int64_t ms)
{
	char text[64];
	struct tm tm;
	time_t s = (time_t)(ms / 1000);

	if (localtime_r(&s, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "";
	return arena_strdup(a, text);
}

const char *
term_duration(struct arena *a, int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		return "0.0s";
	if (ms < 10000)
		return arena_printf(a, "%lld.%llds", (long long)(ms / 1000),
		    (long long)(ms % 1000 / 100));
	if (s < 60)
		return arena_printf(a, "%llds", (long long)s);
	if (s < 3600)
		return arena_printf(a, "%lldm%02llds", (long long)(s / 60),
		    (long long)(s % 60));
	return arena_printf(a, "%lldh%02lldm", (long long)(s / 3600),
	    (long long)(s / 60 % 60));
}

bool
term_write(const struct term *t, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t w = write(t->fd, s, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1 && errno == EAGAIN) {
			struct pollfd p = { .fd = t->fd, .events = POLLOUT };

			(void)poll(&p, 1, -1);
			continue;
		}
		if (w == -1)
			return false;
		s += w;
		n -= (size_t)w;
	}
	return true;
}
