/*
 * The target of a request: "/runs/7/hosts/web1?after=3".
 *
 * Nothing here names a file.  What is not plainly a path of ours is refused:
 * other forms of targets, escapes that do not decode to text, control
 * characters, empty and dot segments, more of anything than pages have.
 */
#include <string.h>

#include "base/utf8.h"
#include "serve/page_private.h"

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL: it is no text. */
static const char *
decode(struct arena *a, const char *p, size_t len, bool plus)
{
	char *out = arena_alloc(a, len + 1);
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '%') {
			if (len - i < 3 || hex(p[i + 1]) == -1 || hex(p[i + 2]) == -1)
				return NULL;
			c = (unsigned char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
			i += 2;
		} else if (c == '+' && plus)
			c = ' ';
		if (c < ' ' || c == 0x7f)
			return NULL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return utf8_valid(out, n) ? out : NULL;
}

static int
parse_params(struct arena *a, const char *p, struct page_target *t)
{
	while (*p != '\0') {
		size_t len = strcspn(p, "&"), name = strcspn(p, "=&");
		struct page_param *param = &t->param[t->nparams];

		if (len > 0) {
			if (t->nparams == PAGE_PARAMS_MAX)
				return 400;
			param->name = decode(a, p, name, true);
			param->value = name < len ?
			    decode(a, p + name + 1, len - name - 1, true) : "";
			if (param->name == NULL || param->value == NULL)
				return 400;
			t->nparams++;
		}
		p += len;
		if (*p == '&')
			p++;
	}
	return 0;
}

int
page_parse(struct arena *a, const char *target, struct page_target *t)
{
	const char *p = target;
	size_t i;

	*t = (struct page_target){ 0 };
	if (strlen(target) > PAGE_TARGET_MAX)
		return 414;
	if (*p != '/')
		return 400;
	for (i = 0; target[i] != '\0'; i++)
		if (target[i] <= ' ' || target[i] > '~' || target[i] == '#')
			return 400;
	while (*p == '/') {
		size_t len = strcspn(++p, "/?");
		const char *text;

		if (len == 0) {
			/* "/" itself; elsewhere an empty segment is nothing of ours. */
			if (t->nsegments > 0 || *p == '/')
				return 404;
			break;
		}
		if ((text = decode(a, p, len, false)) == NULL)
			return 400;
		if (t->nsegments == PAGE_SEGMENTS_MAX || strcmp(text, ".") == 0 ||
		    strcmp(text, "..") == 0)
			return 404;
		t->segment[t->nsegments++] = text;
		p += len;
	}
	return *p == '?' ? parse_params(a, p + 1, t) : 0;
}

const char *
page_param(const struct page_target *t, const char *name)
{
	unsigned i;

	for (i = 0; i < t->nparams; i++)
		if (strcmp(t->param[i].name, name) == 0)
			return t->param[i].value;
	return NULL;
}

int64_t
page_number(const char *text)
{
	int64_t n = 0;

	if (text == NULL || *text == '\0' || strlen(text) > 18)
		return 0;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		n = n * 10 + (*text - '0');
	}
	return n;
}
