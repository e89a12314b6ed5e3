/*
 * Fuzz: any bytes as the target of a request to the status page, and what was
 * understood of it written into a page: nothing of it is markup there, and the
 * links made of it lead back to it.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/page_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Escaped text: no markup, no control characters, every & begins one of our references. */
static void
check_text(const char *s, size_t len)
{
	static const char *const references[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };
	size_t i, k;

	assert(utf8_valid(s, len));
	for (i = 0; i < len; i++) {
		assert(strchr("<>\"'", s[i]) == NULL || s[i] == '\0');
		assert((unsigned char)s[i] >= ' ' || s[i] == '\n' || s[i] == '\t');
		if (s[i] != '&')
			continue;
		for (k = 0; k < NITEMS(references) && strncmp(s + i, references[k],
		    strlen(references[k])) != 0; k++)
			;
		assert(k < NITEMS(references));
	}
}

static void
check_target(struct arena *a, const struct page_target *t)
{
	CLEANUP_BUF struct buf link = BUF_INIT;
	struct page_target again;
	unsigned i;

	assert(t->nsegments <= PAGE_SEGMENTS_MAX && t->nparams <= PAGE_PARAMS_MAX);
	for (i = 0; i < t->nsegments; i++) {
		const char *s = t->segment[i];

		assert(*s != '\0' && strcmp(s, ".") != 0 && strcmp(s, "..") != 0);
		assert(utf8_valid(s, strlen(s)));
		(void)page_number(s);
		buf_addf(&link, "/%s", url_part(a, s));
	}
	if (t->nsegments == 0)
		buf_addc(&link, '/');
	for (i = 0; i < t->nparams; i++)
		buf_addf(&link, "%c%s=%s", i == 0 ? '?' : '&', url_part(a, t->param[i].name),
		    url_part(a, t->param[i].value));
	if (link.len > PAGE_TARGET_MAX)
		return;
	assert(page_parse(a, buf_str(&link), &again) == 0);
	assert(again.nsegments == t->nsegments && again.nparams == t->nparams);
	for (i = 0; i < t->nsegments; i++)
		assert(strcmp(again.segment[i], t->segment[i]) == 0);
	for (i = 0; i < t->nparams; i++)
		assert(strcmp(again.param[i].value, t->param[i].value) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena a = { 0 };
	CLEANUP_BUF struct buf page = BUF_INIT;
	const char *text = arena_strndup(&a, (const char *)data, len);
	struct page_target t;
	int status;

	status = page_parse(&a, text, &t);
	assert(status == 0 || status == 400 || status == 404 || status == 414);
	if (status == 0)
		check_target(&a, &t);
	html_text(&page, text, len);
	check_text(buf_str(&page), page.len);
	buf_clear(&page);
	html_diff(&page, text);
	arena_release(&a);
	return 0;
}
