/*
 * Python's regular expressions on PCRE2; see re.h.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <ctype.h>
#include <pcre2.h>
#include <string.h>

#include "base/utf8.h"
#include "module/re.h"

#define MATCH_LIMIT	10000000
#define HEAP_LIMIT_KIB	(64 * 1024)
#define NO_GROUP	((size_t)-1)

struct re {
	pcre2_code		*code;
	pcre2_match_context	*ctx;
	pcre2_match_data	*data;
	const char		*what;
	bool			 anchored;
	bool			 multiline;	/* the pattern says (?m) */
};

/* ---- translation -------------------------------------------------------- */

static bool
is_hex(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!isxdigit((unsigned char)s[i]))
			return false;
	return true;
}

/*
 * An escape at s[0] == '\\'; returns how many bytes it took, 0 for a letter
 * that means something to PCRE2 only (\K, \h, \Q …): an error in Python.
 */
static size_t
escape(const char *s, bool in_set, struct buf *out)
{
	static const char known[] = "AbBdDsSwWZafnrtvx";
	size_t n;

	switch (s[1]) {
	case '\0':
		buf_addc(out, '\\');
		return 1;
	case 'Z':
		buf_adds(out, in_set ? "Z" : "\\z");
		return 2;
	case 'u':
	case 'U':
		n = s[1] == 'u' ? 4 : 8;
		if (is_hex(s + 2, n)) {
			buf_addf(out, "\\x{%.*s}", (int)n, s + 2);
			return n + 2;
		}
		return 0;
	default:
		if (isalpha((unsigned char)s[1]) && strchr(known, s[1]) == NULL)
			return 0;
		break;
	}
	buf_add(out, s, 2);
	return 2;
}

/* A set from its '[' on; returns how many bytes it took, 0 for a bad escape. */
static size_t
set(const char *s, struct buf *out)
{
	size_t i = 1, n;

	buf_addc(out, '[');
	if (s[i] == '^')
		buf_addc(out, s[i++]);
	if (s[i] == ']') {
		buf_adds(out, "\\]");
		i++;
	}
	while (s[i] != '\0' && s[i] != ']') {
		if (s[i] == '\\') {
			n = escape(s + i, true, out);
			if (n == 0)
				return 0;
			i += n;
		} else if (s[i] == '[') {	/* no POSIX classes in Python */
			buf_adds(out, "\\[");
			i++;
		} else
			buf_addc(out, s[i++]);
	}
	if (s[i] == ']')
		buf_addc(out, s[i++]);
	return i;
}

/* "(?aiu)": the flags that PCRE2 does not have mean what we do anyway. */
static size_t
inline_flags(const char *s, struct buf *out)
{
	CLEANUP_BUF struct buf kept = BUF_INIT;
	size_t n = strspn(s + 2, "aiLmsux");

	if (n == 0 || s[2 + n] != ')')
		return 0;
	for (size_t i = 0; i < n; i++)
		if (strchr("imsx", s[2 + i]) != NULL)
			buf_addc(&kept, s[2 + i]);
	if (kept.len > 0)
		buf_addf(out, "(?%s)", buf_str(&kept));
	return n + 3;
}

/* False for an escape that Python does not know. */
static bool
translate(const char *s, struct buf *out)
{
	size_t n;

	while (*s != '\0') {
		if (*s == '\\' || *s == '[') {
			n = *s == '[' ? set(s, out) : escape(s, false, out);
			if (n == 0)
				return false;
			s += n;
		} else if (strncmp(s, "{,", 2) == 0 &&
		    (n = strspn(s + 2, "0123456789")) > 0 && s[2 + n] == '}') {
			buf_addf(out, "{0,%.*s}", (int)n, s + 2);
			s += n + 3;
		} else if (strncmp(s, "(?", 2) == 0 &&
		    (n = inline_flags(s, out)) > 0)
			s += n;
		else
			buf_addc(out, *s++);
	}
	return true;
}

/* ---- compiling ---------------------------------------------------------- */

struct re *
re_compile(struct mod *m, const char *what, const char *pattern, unsigned flags)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	uint32_t opts = PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C;
	pcre2_compile_context *cctx;
	PCRE2_UCHAR msg[256];
	PCRE2_SIZE offset;
	struct re *re;
	size_t n;
	int code;

	if (strncmp(pattern, "(*", 2) == 0) {
		(void)mod_fail(m, "%s: '%s' is no regular expression: nothing to repeat at position 1",
		    what, pattern);
		return NULL;
	}
	if (flags & RE_MULTILINE)
		opts |= PCRE2_MULTILINE;
	if (flags & RE_DOTALL)
		opts |= PCRE2_DOTALL;
	if (flags & RE_TEXT)
		opts |= PCRE2_UTF | PCRE2_UCP;
	if (!translate(pattern, &text)) {
		(void)mod_fail(m, "%s: '%s' is no regular expression: bad escape (Python's syntax)",
		    what, pattern);
		return NULL;
	}
	cctx = pcre2_compile_context_create(NULL);
	(void)pcre2_set_newline(cctx, PCRE2_NEWLINE_LF);
	re = xcalloc(1, sizeof(*re));
	re->what = what;
	re->anchored = (flags & RE_ANCHORED) != 0;
	n = strncmp(pattern, "(?", 2) == 0 ? strspn(pattern + 2, "aiLmsux") : 0;
	re->multiline = n > 0 && pattern[2 + n] == ')' &&
	    memchr(pattern + 2, 'm', n) != NULL;
	re->code = pcre2_compile((PCRE2_SPTR)buf_str(&text), text.len, opts,
	    &code, &offset, cctx);
	pcre2_compile_context_free(cctx);
	if (re->code == NULL) {
		(void)pcre2_get_error_message(code, msg, sizeof(msg));
		(void)mod_fail(m, "%s: '%s' is no regular expression: %s (at character %zu)",
		    what, pattern, (const char *)msg, (size_t)offset + 1);
		free(re);
		return NULL;
	}
	re->ctx = pcre2_match_context_create(NULL);
	(void)pcre2_set_match_limit(re->ctx, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(re->ctx, HEAP_LIMIT_KIB);
	re->data = pcre2_match_data_create_from_pattern(re->code, NULL);
	return re;
}

void
re_free(struct re *re)
{
	if (re == NULL)
		return;
	pcre2_match_data_free(re->data);
	pcre2_match_context_free(re->ctx);
	pcre2_code_free(re->code);
	free(re);
}

void
re_cleanup(struct re **re)
{
	re_free(*re);
}

bool
re_is_multiline(const struct re *re)
{
	return re->multiline;
}

int
re_group(const struct re *re, const char *name)
{
	int n = pcre2_substring_number_from_name(re->code, (PCRE2_SPTR)name);

	return n < 0 ? -1 : n;
}

/* ---- matching ----------------------------------------------------------- */

static int
search(struct mod *m, const struct re *re, const char *s, size_t len,
    size_t offset, uint32_t opts, struct re_match *ret)
{
	const PCRE2_SIZE *v;
	PCRE2_UCHAR msg[256];
	uint32_t i, n;
	int rc;

	if (re->anchored)
		opts |= PCRE2_ANCHORED;
	rc = pcre2_match(re->code, (PCRE2_SPTR)s, len, offset, opts, re->data,
	    re->ctx);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0) {
		(void)pcre2_get_error_message(rc, msg, sizeof(msg));
		return mod_fail(m, "%s: matching was given up: %s", re->what,
		    (const char *)msg);
	}
	if (ret == NULL)
		return 1;
	v = pcre2_get_ovector_pointer(re->data);
	n = pcre2_get_ovector_count(re->data);
	ret->n = n > RE_GROUPS_MAX ? RE_GROUPS_MAX : n;
	for (i = 0; i < ret->n; i++) {
		ret->start[i] = v[2 * i];
		ret->end[i] = v[2 * i + 1];
	}
	return 1;
}

int
re_search(struct mod *m, const struct re *re, const char *s, size_t len,
    size_t offset, struct re_match *ret)
{
	return search(m, re, s, len, offset, 0, ret);
}

/* ---- replacing ---------------------------------------------------------- */

static int
add_group(struct mod *m, const struct re *re, const struct re_match *match,
    const char *s, unsigned long group, struct buf *out)
{
	if (group >= match->n)
		return mod_fail(m, "the replacement for %s refers to group %lu, which the expression does not have",
		    re->what, group);
	if (match->start[group] != NO_GROUP)
		buf_add(out, s + match->start[group],
		    match->end[group] - match->start[group]);
	return 0;
}

/* \g<1> or \g<name>, from after the \g; *ret_n: bytes taken. */
static int
named_group(struct mod *m, const struct re *re, const struct re_match *match,
    const char *s, const char *t, struct buf *out, size_t *ret_n)
{
	const char *end = *t == '<' ? strchr(t, '>') : NULL;
	char *name, *stop;
	unsigned long group;
	int number;

	if (end == NULL || end == t + 1)
		return mod_fail(m, "the replacement for %s has a \\g without <group>",
		    re->what);
	name = arena_strndup(m->arena, t + 1, (size_t)(end - t - 1));
	*ret_n = (size_t)(end - t) + 1;
	group = strtoul(name, &stop, 10);
	if (*stop != '\0') {
		number = pcre2_substring_number_from_name(re->code,
		    (PCRE2_SPTR)name);
		if (number < 0)
			return mod_fail(m, "the replacement for %s refers to group '%s', which the expression does not have",
			    re->what, name);
		group = (unsigned long)number;
	}
	return add_group(m, re, match, s, group, out);
}

/* An octal or group number after a backslash, as Python reads it. */
static int
digits(struct mod *m, const struct re *re, const struct re_match *match,
    const char *s, const char *t, struct buf *out, size_t *ret_n)
{
	unsigned n = 0;
	size_t i;

	if (*t == '0' || (t[0] <= '3' && t[1] >= '0' && t[1] <= '7' &&
	    t[2] >= '0' && t[2] <= '7')) {
		for (i = 0; i < 3 && t[i] >= '0' && t[i] <= '7'; i++)
			n = n * 8 + (unsigned)(t[i] - '0');
		*ret_n = i;
		buf_addc(out, (char)n);
		return 0;
	}
	n = (unsigned)(t[0] - '0');
	*ret_n = 1;
	if (isdigit((unsigned char)t[1])) {
		n = n * 10 + (unsigned)(t[1] - '0');
		*ret_n = 2;
	}
	return add_group(m, re, match, s, n, out);
}

int
re_expand(struct mod *m, const struct re *re, const struct re_match *match,
    const char *s, const char *t, struct buf *out)
{
	static const char letters[] = "abfnrtv\\", meaning[] = "\a\b\f\n\r\t\v\\";
	const char *p;
	size_t n;

	while (*t != '\0') {
		if (*t != '\\') {
			buf_addc(out, *t++);
			continue;
		}
		t++;
		n = 1;
		if (*t == 'g') {
			if (named_group(m, re, match, s, t + 1, out, &n) == -1)
				return -1;
			n++;
		} else if (isdigit((unsigned char)*t)) {
			if (digits(m, re, match, s, t, out, &n) == -1)
				return -1;
		} else if (*t != '\0' && (p = strchr(letters, *t)) != NULL)
			buf_addc(out, meaning[p - letters]);
		else if (isalpha((unsigned char)*t))
			return mod_fail(m, "the replacement for %s has a bad escape \\%c (write \\\\%c for a backslash)",
			    re->what, *t, *t);
		else {
			buf_addc(out, '\\');
			n = 0;
		}
		t += n;
	}
	return 0;
}

int
re_sub(struct mod *m, const struct re *re, const char *tmpl, const char *s,
    size_t len, struct buf *out, uint32_t *ret_n)
{
	size_t pos = 0, copied = 0;
	struct re_match match;
	bool not_empty = false;
	int rc;

	*ret_n = 0;
	while (pos <= len) {
		rc = search(m, re, s, len, pos, not_empty ?
		    PCRE2_NOTEMPTY_ATSTART : 0, &match);
		if (rc == -1)
			return -1;
		if (rc == 0)
			break;
		buf_add(out, s + copied, match.start[0] - copied);
		if (re_expand(m, re, &match, s, tmpl, out) == -1)
			return -1;
		(*ret_n)++;
		copied = pos = match.end[0];
		/* after an empty match the next one must not be empty at the same place */
		not_empty = match.start[0] == match.end[0];
	}
	buf_add(out, s + copied, len - copied);
	if (buf_overflowed(out))
		return mod_fail(m, "the text after replacing %s is too large",
		    re->what);
	return 0;
}

const char *
re_group_name(const struct re *re, uint32_t group)
{
	PCRE2_SPTR table;
	uint32_t n, size, i;

	(void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &n);
	(void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	(void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
	for (i = 0; i < n; i++, table += size)
		if ((uint32_t)(table[0] << 8 | table[1]) == group)
			return (const char *)table + 2;
	return NULL;
}
