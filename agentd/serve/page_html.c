/*
 * Writing HTML: see page_private.h.
 *
 * There is one way for text into a page, html(), and it escapes.  Characters
 * that would deceive the eye (control characters, direction marks, invisible
 * ones) are shown as what they are, as the terminal does.
 */
#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "serve/page_private.h"

/* ---- text ------------------------------------------------------------------------ */

static bool
deceives(uint32_t c)
{
	return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) ||
	    c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	    c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void
html_text(struct buf *b, const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint32_t c;
		unsigned n = utf8_decode(s + i, len - i, &c);

		if (n == 0) {
			utf8_encode(b, 0xfffd);
			i++;
			continue;
		}
		if (c == '&')
			buf_adds(b, "&amp;");
		else if (c == '<')
			buf_adds(b, "&lt;");
		else if (c == '>')
			buf_adds(b, "&gt;");
		else if (c == '"')
			buf_adds(b, "&quot;");
		else if (c == '\'')
			buf_adds(b, "&#39;");
		else if (c == '\r' && i + 1 < len && s[i + 1] == '\n')
			;	/* a line's end of another system */
		else if (deceives(c))
			buf_addf(b, "[U+%04X]", c);
		else
			buf_add(b, s + i, n);
		i += n;
	}
}

void
html(struct buf *b, const char *fmt, ...)
{
	const char *p, *text;
	va_list ap;

	va_start(ap, fmt);
	for (p = fmt; *p != '\0'; p++) {
		size_t plain = strcspn(p, "%");

		if (plain > 0) {
			buf_add(b, p, plain);
			p += plain - 1;
			continue;
		}
		p++;
		if (*p == '%') {
			buf_addc(b, '%');
		} else if (*p == 's') {
			if ((text = va_arg(ap, const char *)) != NULL)
				html_text(b, text, strlen(text));
		} else if (*p == 'd') {
			buf_addf(b, "%d", va_arg(ap, int));
		} else if (*p == 'u') {
			buf_addf(b, "%u", va_arg(ap, unsigned));
		} else {
			assert(strncmp(p, "lld", 3) == 0);
			buf_addf(b, "%lld", va_arg(ap, long long));
			p += 2;
		}
	}
	va_end(ap);
}

const char *
url_part(struct arena *a, const char *text)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	CLEANUP_BUF struct buf b = BUF_INIT;
	const unsigned char *p;

	for (p = (const unsigned char *)text; *p != '\0'; p++)
		if (strchr(plain, *p) != NULL)
			buf_addc(&b, (char)*p);
		else
			buf_addf(&b, "%%%02X", *p);
	return buf_dup(&b, a);
}

/* ---- times ------------------------------------------------------------------------- */

const char *
text_duration(struct arena *a, int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		return "0 s";
	if (ms < 1000)
		return arena_printf(a, "%lld ms", (long long)ms);
	if (s < 60)
		return arena_printf(a, "%lld.%lld s", (long long)s,
		    (long long)(ms % 1000 / 100));
	if (s < 3600)
		return arena_printf(a, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
	if (s < 86400)
		return arena_printf(a, "%lld h %lld min", (long long)(s / 3600),
		    (long long)(s / 60 % 60));
	return arena_printf(a, "%lld d %lld h", (long long)(s / 86400), (long long)(s / 3600 % 24));
}

static const char *
rough(struct arena *a, int64_t s)
{
	if (s < 60)
		return arena_printf(a, "%lld s", (long long)s);
	if (s < 3600)
		return arena_printf(a, "%lld min", (long long)(s / 60));
	if (s < 2 * 86400)
		return arena_printf(a, "%lld h", (long long)(s / 3600));
	return arena_printf(a, "%lld days", (long long)(s / 86400));
}

void
html_time(struct page_view *v, const struct value *ms)
{
	char machine[64] = "", person[64] = "";
	int64_t past;
	struct tm tm;
	time_t t;

	if (ms == NULL || ms->type != V_INT || ms->u.i <= 0) {
		html(v->out, "<span class=\"none\">–</span>");
		return;
	}
	t = (time_t)(ms->u.i / 1000);
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(machine, sizeof(machine), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(person, sizeof(person), "%Y-%m-%d %H:%M:%S %Z", &tm);
	past = (v->now_ms - ms->u.i) / 1000;
	html(v->out, "<time datetime=\"%s\" title=\"%s\">", machine, person);
	if (past >= 0 && past < 2)
		html(v->out, "just now");
	else if (past > 0)
		html(v->out, "%s ago", rough(v->arena, past));
	else
		html(v->out, "in %s", rough(v->arena, -past));
	html(v->out, "</time>");
}

/* ---- pieces ------------------------------------------------------------------------- */

void
html_chip(struct buf *b, const char *class, const char *text)
{
	html(b, "<span class=\"chip %s\">%s</span>", class, text);
}

void
html_past(struct buf *b, const char *past)
{
	static const char *const words[STAND_MAX] = {
		[STAND_FAILED] = "failed", [STAND_UNREACHABLE] = "unreachable",
		[STAND_INTENTIONAL] = "changed", [STAND_OK] = "ok",
	};
	size_t n = strspn(past, "0134"), i;

	html(b, "<svg class=\"past\" viewBox=\"0 0 %d 14\" role=\"img\" aria-label=\"last runs, the newest first:",
	    VIEW_PAST * 6);
	for (i = 0; i < n; i++)
		html(b, " %s", words[past[i] - '0']);
	html(b, "\">");
	for (i = 0; i < n; i++)
		html(b, "<rect class=\"%s\" x=\"%d\" y=\"0\" width=\"4\" height=\"14\" rx=\"1\"/>",
		    stand_name((enum stand)(past[i] - '0')), (int)(n - 1 - i) * 6);
	html(b, "</svg>");
}

void
html_table(struct buf *b, const char *heads)
{
	html(b, "<div class=\"scroll\"><table><thead><tr>");
	while (*heads != '\0') {
		size_t n = strcspn(heads, "|");
		bool wide = *heads == '-', number = heads[wide] == '#';
		size_t skip = (size_t)wide + number;

		html(b, "<th class=\"%s %s\">", wide ? "wide" : "", number ? "num" : "");
		html_text(b, heads + skip, n - skip);
		html(b, "</th>");
		heads += n + (heads[n] == '|');
	}
	html(b, "</tr></thead><tbody>\n");
}

void
html_table_end(struct buf *b)
{
	html(b, "</tbody></table></div>\n");
}

void
html_number(struct buf *b, const struct value *row, const char *key, const char *class, bool wide)
{
	int64_t n = v_get_int(row, key, 0);

	/* Nothing to see is not to catch the eye. */
	html(b, "<td class=\"num %s %s\">%lld</td>", wide ? "wide" : "",
	    n == 0 ? "none" : class, (long long)n);
}

void
html_empty(struct buf *b, const char *text)
{
	html(b, "<p class=\"empty\">%s</p>\n", text);
}

void
html_diff(struct buf *b, const char *diff)
{
	html(b, "<pre class=\"diff\">");
	while (*diff != '\0') {
		size_t n = strcspn(diff, "\n");
		const char *class = NULL;

		if (strncmp(diff, "+++", 3) == 0 || strncmp(diff, "---", 3) == 0)
			class = "file";
		else if (*diff == '+')
			class = "add";
		else if (*diff == '-')
			class = "del";
		else if (strncmp(diff, "@@", 2) == 0)
			class = "hunk";
		if (class != NULL)
			html(b, "<span class=\"%s\">", class);
		html_text(b, diff, n);
		if (class != NULL)
			html(b, "</span>");
		html(b, "\n");
		diff += n + (diff[n] == '\n');
	}
	html(b, "</pre>\n");
}

const char *
stand_title(enum stand stand)
{
	static const char *const titles[STAND_MAX] = {
		[STAND_FAILED] = "Failed", [STAND_UNREACHABLE] = "Unreachable",
		[STAND_CORRECTIVE] = "Corrective", [STAND_INTENTIONAL] = "Intentional",
		[STAND_OK] = "Up to date", [STAND_UNKNOWN] = "Never run",
	};

	return titles[stand];
}

const struct value *
find_by(const struct value *list, const char *key, const char *text)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (strcmp(v_get_str(v_at(list, i), key, ""), text) == 0)
			return v_at(list, i);
	return NULL;
}

/* ---- the page ------------------------------------------------------------------------ */

void
html_tab(struct buf *b, const char *href, const char *text, bool here)
{
	html(b, here ? "<a href=\"%s\" aria-current=\"page\">%s</a>" :
	    "<a href=\"%s\">%s</a>", href, text);
}

void
html_page(struct buf *b, const struct page_view *v)
{
	static const char *const nav[][2] = {
		{ "/", "Overview" }, { "/hosts", "Hosts" }, { "/runs", "Runs" },
		{ "/drift", "Drift" }, { "/work", "Pending" }, { "/sites", "Sites" },
	};
	size_t i;

	html(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	    "<title>%s · provctl</title>"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	    "<meta name=\"color-scheme\" content=\"light dark\">"
	    "<link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/page.css\">"
	    "<script src=\"/page.js\" defer></script>", v->title);
	if (v->live > 0)
		html(b, "<noscript><meta http-equiv=\"refresh\" content=\"%d\"></noscript>",
		    v->live < 5 ? 5 : v->live);
	html(b, "</head>\n<body><a class=\"skip\" href=\"#main\">Skip to the content</a>"
	    "<header><a class=\"brand\" href=\"/\">provctl</a><nav>");
	for (i = 0; i < NITEMS(nav); i++)
		html_tab(b, nav[i][0], nav[i][1], v->section != NULL &&
		    strcmp(nav[i][1], v->section) == 0);
	html(b, "</nav></header>\n<main id=\"main\" data-live=\"%d\">\n", v->live);
	buf_add(b, v->out->data, v->out->len);
	html(b, "</main>\n<footer>provctl " PROVCTL_VERSION " · read-only</footer></body></html>\n");
}
