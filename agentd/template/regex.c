/*
 * Python's `re` on PCRE2: the translation of patterns, the cache, matching
 * within limits, replacement templates.  See regex.h.
 *
 * The translator is one pass over the pattern with a little state: the number
 * of groups so far (references to later ones are errors in Python), whether
 * the last item can be repeated ("nothing to repeat", "multiple repeat"), and
 * whether blanks count (verbose).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/regex.h"

#define ATTR_FALLTHROUGH	__attribute__((fallthrough))
#define CACHE_SIZE	512u
#define JIT_AFTER	16u		/* uses until machine code pays */
#define MATCH_LIMIT	4000000u
#define HEAP_LIMIT_KB	65536u
#define GROUP_DEPTH_MAX	200u

struct group_name {
	char		*name;
	size_t		 len;
	uint32_t	 number;
};

struct regex {
	pcre2_code		*code;
	char			*pattern;
	size_t			 len;
	unsigned		 flags;
	uint32_t		 hash;
	uint32_t		 uses;
	uint32_t		 ngroups;
	struct group_name	*names;
	uint32_t		 nnames;
};

static _Thread_local struct regex *cache[CACHE_SIZE];
static _Thread_local pcre2_compile_context *compile_ctx;
static _Thread_local pcre2_match_context *match_ctx;
static _Thread_local pcre2_match_data *match_data;
static _Thread_local pcre2_jit_stack *jit_stack;

/* ---- translation --------------------------------------------------------- */

enum last_item { ITEM_NONE, ITEM_ONE, ITEM_ASSERT, ITEM_REPEAT };

struct translate {
	const char		*p, *end, *start;
	const char		*flags_at;	/* where global flags are allowed */
	struct buf		*out;
	struct err		*err;
	enum last_item		 last;
	uint32_t		 number[GROUP_DEPTH_MAX];	/* of the group, 0: not capturing */
	bool			 outer_verbose[GROUP_DEPTH_MAX];
	uint32_t		 depth;
	uint32_t		 ngroups;
	bool			 verbose, ascii;
	struct group_name	*names;
	uint32_t		 nnames;
};

static int
bad(struct translate *t, const char *at, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

static int
bad(struct translate *t, const char *at, const char *fmt, ...)
{
	struct mark none = { NULL, 0, 0, 0 };
	va_list ap;

	va_start(ap, fmt);
	err_vset_at(t->err, ERR_VALUE, none, fmt, ap);
	va_end(ap);
	return err_wrap(t->err, "regular expression, position %zu",
	    utf8_count(t->start, (size_t)(at - t->start)));
}

static void
put_char(struct translate *t, uint32_t c)
{
	if (c < 0x80 && isalnum((int)c))
		buf_addc(t->out, (char)c);
	else
		buf_addf(t->out, "\\x{%x}", c);
}

static int
hex_digits(struct translate *t, const char *at, unsigned n)
{
	uint32_t c = 0;
	unsigned i;

	for (i = 0; i < n && t->p < t->end && isxdigit((unsigned char)*t->p); i++, t->p++)
		c = c * 16 + (uint32_t)(isdigit((unsigned char)*t->p) ? *t->p - '0' :
		    (*t->p | 0x20) - 'a' + 10);
	if (i != n)
		return bad(t, at, "incomplete escape %.*s", (int)(t->p - at), at);
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return bad(t, at, "bad escape %.*s", (int)(t->p - at), at);
	put_char(t, c);
	return 0;
}

static bool
is_octal(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '7';
}

/* \0…, \1 … \99, \123. */
static int
digit_escape(struct translate *t, const char *at, bool in_class)
{
	uint32_t n;
	const char *p = t->p;		/* behind the first digit */

	if (p[-1] == '0' || (is_octal(p - 1, t->end) && is_octal(p, t->end) &&
	    is_octal(p + 1, t->end))) {
		unsigned i;

		for (n = 0, i = 0, t->p--; i < 3 && is_octal(t->p, t->end); i++)
			n = n * 8 + (uint32_t)(*t->p++ - '0');
		if (n > 0377)
			return bad(t, at, "octal escape value %.*s outside of range 0-0o377",
			    (int)(t->p - at), at);
		put_char(t, n);
		return 0;
	}
	if (in_class) {
		if (is_octal(p - 1, t->end)) {
			for (n = 0, t->p--; is_octal(t->p, t->end) && n < 040;)
				n = n * 8 + (uint32_t)(*t->p++ - '0');
			put_char(t, n);
			return 0;
		}
		return bad(t, at, "bad escape \\%c", p[-1]);
	}
	n = (uint32_t)(p[-1] - '0');
	if (p < t->end && isdigit((unsigned char)*p))
		n = n * 10 + (uint32_t)(*t->p++ - '0');
	if (n > t->ngroups)
		return bad(t, at + 1, "invalid group reference %u", n);
	for (uint32_t i = 0; i < t->depth; i++)
		if (t->number[i] == n)
			return bad(t, at, "cannot refer to an open group");
	buf_addf(t->out, "\\g{%u}", n);
	return 0;
}

/* A backslash sequence; t->p is at the backslash. */
static int
escape(struct translate *t, bool in_class)
{
	const char *at = t->p++;
	uint32_t c;
	unsigned n;

	t->last = ITEM_ONE;
	if (t->p == t->end)
		return bad(t, at, "bad escape (end of pattern)");
	switch (*t->p++) {
	case 'a': put_char(t, 7); return 0;
	case 'f': put_char(t, 12); return 0;
	case 'n': put_char(t, 10); return 0;
	case 'r': put_char(t, 13); return 0;
	case 't': put_char(t, 9); return 0;
	case 'v': put_char(t, 11); return 0;
	case 'x': return hex_digits(t, at, 2);
	case 'u': return hex_digits(t, at, 4);
	case 'U': return hex_digits(t, at, 8);
	case 'd': case 'D': case 's': case 'S': case 'w': case 'W':
		buf_add(t->out, at, 2);
		return 0;
	case 'b':
		if (in_class) {
			put_char(t, 8);
			return 0;
		}
		ATTR_FALLTHROUGH;
	case 'A': case 'B': case 'Z':
		if (in_class)
			break;
		t->last = ITEM_ASSERT;
		buf_adds(t->out, at[1] == 'Z' ? "\\z" : at[1] == 'A' ? "\\A" :
		    at[1] == 'b' ? "\\b" : "\\B");
		return 0;
	case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		return digit_escape(t, at, in_class);
	default:
		if (isalpha((unsigned char)at[1]))
			break;
		t->p--;
		n = utf8_decode(t->p, (size_t)(t->end - t->p), &c);
		t->p += n > 0 ? n : 1;
		put_char(t, n > 0 ? c : 0xfffd);
		return 0;
	}
	return bad(t, at, "bad escape \\%c", at[1]);
}

/* [...] with t->p behind the bracket. */
static int
char_class(struct translate *t)
{
	const char *at = t->p - 1;
	bool first = true;
	uint32_t c;
	unsigned n;

	buf_addc(t->out, '[');
	if (t->p < t->end && *t->p == '^') {
		buf_addc(t->out, '^');
		t->p++;
	}
	for (;; first = false) {
		if (t->p >= t->end)
			return bad(t, at, "unterminated character set");
		if (*t->p == ']' && !first) {
			t->p++;
			break;
		}
		if (*t->p == '\\') {
			if (escape(t, true) != 0)
				return -1;
			continue;
		}
		if (*t->p == '-') {
			/* A range, or a hyphen at either end. */
			if (first || (t->p + 1 < t->end && t->p[1] == ']'))
				buf_adds(t->out, "\\-");
			else
				buf_addc(t->out, '-');
			t->p++;
			continue;
		}
		n = utf8_decode(t->p, (size_t)(t->end - t->p), &c);
		t->p += n > 0 ? n : 1;
		put_char(t, n > 0 ? c : 0xfffd);
	}
	buf_addc(t->out, ']');
	t->last = ITEM_ONE;
	return 0;
}

static uint32_t
find_name(const struct group_name *names, uint32_t n, const char *name, size_t len)
{
	for (uint32_t i = 0; i < n; i++)
		if (names[i].len == len && memcmp(names[i].name, name, len) == 0)
			return names[i].number;
	return 0;
}

static bool
is_identifier(const char *s, size_t len)
{
	if (len == 0 || isdigit((unsigned char)*s))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' &&
		    ((unsigned char)s[i] & 0x80) == 0)
			return false;
	return true;
}

/* A name up to the closing character; t->p behind it afterwards. */
static int
group_name(struct translate *t, char close, const char **name, size_t *len)
{
	const char *e = memchr(t->p, close, (size_t)(t->end - t->p));

	*name = t->p;
	if (e == NULL)
		return bad(t, t->p, "missing %c, unterminated name", close);
	*len = (size_t)(e - t->p);
	if (*len == 0)
		return bad(t, t->p, "missing group name");
	t->p = e + 1;
	return 0;
}

static int
open_group(struct translate *t, const char *at, uint32_t number)
{
	if (t->depth == GROUP_DEPTH_MAX)
		return bad(t, at, "groups nested too deeply");
	t->number[t->depth] = number;
	t->outer_verbose[t->depth] = t->verbose;
	t->depth++;
	t->last = ITEM_NONE;
	return 0;
}

static int
named_group(struct translate *t, const char *at)
{
	const char *name;
	size_t len;
	uint32_t n;

	if (t->p < t->end && *t->p == '<') {
		t->p++;
		if (group_name(t, '>', &name, &len) != 0)
			return -1;
		if (!is_identifier(name, len))
			return bad(t, name, "bad character in group name '%.*s'", (int)len, name);
		n = find_name(t->names, t->nnames, name, len);
		if (n != 0)
			return bad(t, name, "redefinition of group name '%.*s' as group %u; was group %u",
			    (int)len, name, t->ngroups + 1, n);
		t->names = xreallocarray(t->names, t->nnames + 1, sizeof(*t->names));
		t->names[t->nnames].name = xmalloc(len + 1);
		memcpy(t->names[t->nnames].name, name, len);
		t->names[t->nnames].name[len] = '\0';
		t->names[t->nnames].len = len;
		t->names[t->nnames++].number = ++t->ngroups;
		buf_addc(t->out, '(');
		return open_group(t, at, t->ngroups);
	}
	if (t->p < t->end && *t->p == '=') {
		t->p++;
		if (group_name(t, ')', &name, &len) != 0)
			return -1;
		n = find_name(t->names, t->nnames, name, len);
		if (n == 0)
			return bad(t, name, "unknown group name '%.*s'", (int)len, name);
		buf_addf(t->out, "\\g{%u}", n);
		t->last = ITEM_ONE;
		return 0;
	}
	if (t->p == t->end)
		return bad(t, t->p, "unexpected end of pattern");
	return bad(t, at + 1, "unknown extension ?P%c", *t->p);
}

static int
conditional(struct translate *t, const char *at)
{
	const char *name;
	size_t len;
	uint32_t n = 0;

	if (group_name(t, ')', &name, &len) != 0)
		return -1;
	if (isdigit((unsigned char)*name)) {
		for (size_t i = 0; i < len && n < 100000; i++)
			n = n * 10 + (uint32_t)(name[i] - '0');
		if (n == 0)
			return bad(t, name, "bad group number");
	} else if ((n = find_name(t->names, t->nnames, name, len)) == 0)
		return bad(t, name, "unknown group name '%.*s'", (int)len, name);
	buf_addf(t->out, "(?(%u)", n);
	return open_group(t, at, 0);
}

/* (?flags) and (?flags-flags:…); t->p at the first flag. */
static int
inline_flags(struct translate *t, const char *at)
{
	CLEANUP_BUF struct buf flags = BUF_INIT;
	bool off = false, verbose = t->verbose;

	for (; t->p < t->end && *t->p != ')' && *t->p != ':'; t->p++) {
		switch (*t->p) {
		case '-':
			if (off)
				return bad(t, t->p, "unknown flag");
			off = true;
			buf_addc(&flags, '-');
			break;
		case 'a':
			t->ascii = true;
			break;
		case 'u':
			break;
		case 'x':
			verbose = !off;
			ATTR_FALLTHROUGH;
		case 'i': case 'm': case 's':
			buf_addc(&flags, *t->p);
			break;
		case 'L':
			return bad(t, t->p, "bad inline flags: cannot use 'L' flag with a str pattern");
		default:
			return bad(t, t->p, "unknown flag");
		}
	}
	if (t->p == t->end)
		return bad(t, t->p, "missing -, : or )");
	if (*t->p++ == ')') {
		if (off)
			return bad(t, t->p - 1, "missing :");
		if (at != t->flags_at)
			return bad(t, at, "global flags not at the start of the expression");
		t->verbose = verbose;
		t->flags_at = t->p;	/* several such groups may follow each other */
		buf_addf(t->out, "(?%s)", buf_str(&flags));
		return 0;
	}
	buf_addf(t->out, "(?%s:", buf_str(&flags));
	if (open_group(t, at, 0) != 0)
		return -1;
	t->verbose = verbose;
	return 0;
}

/* A parenthesis; t->p behind it. */
static int
group(struct translate *t)
{
	const char *at = t->p - 1, *e;

	if (t->p == t->end || *t->p != '?') {
		buf_addc(t->out, '(');
		if (t->p < t->end && *t->p == '*')
			return bad(t, t->p, "nothing to repeat");
		return open_group(t, at, ++t->ngroups);
	}
	if (++t->p == t->end)
		return bad(t, t->p, "unexpected end of pattern");
	switch (*t->p++) {
	case ':': case '>':
		buf_add(t->out, at, 3);
		return open_group(t, at, 0);
	case '=': case '!':
		buf_add(t->out, at, 3);
		return open_group(t, at, 0);
	case '<':
		if (t->p == t->end)
			return bad(t, t->p, "unexpected end of pattern");
		if (*t->p != '=' && *t->p != '!')
			return bad(t, at + 1, "unknown extension ?<%c", *t->p);
		buf_add(t->out, at, 4);
		t->p++;
		return open_group(t, at, 0);
	case '#':
		e = memchr(t->p, ')', (size_t)(t->end - t->p));
		if (e == NULL)
			return bad(t, at, "missing ), unterminated comment");
		t->p = e + 1;
		return 0;
	case 'P':
		return named_group(t, at);
	case '(':
		return conditional(t, at);
	case 'a': case 'i': case 'L': case 'm': case 's': case 'u': case 'x': case '-':
		t->p--;
		return inline_flags(t, at);
	default:
		return bad(t, at + 1, "unknown extension ?%c", t->p[-1]);
	}
}

/* {m,n}: true when it is a quantifier, with its text to put. */
static int
braces(struct translate *t, bool *is)
{
	const char *p = t->p + 1;
	uint64_t lo = 0, hi = 0;
	bool has_lo = false, has_hi = false, comma = false;

	*is = false;
	for (; p < t->end && isdigit((unsigned char)*p); p++, has_lo = true)
		lo = lo < 100000 ? lo * 10 + (uint64_t)(*p - '0') : lo;
	if (p < t->end && *p == ',') {
		comma = true;
		for (p++; p < t->end && isdigit((unsigned char)*p); p++, has_hi = true)
			hi = hi < 100000 ? hi * 10 + (uint64_t)(*p - '0') : hi;
	}
	if (p == t->end || *p != '}' || (!has_lo && !comma))
		return 0;
	*is = true;
	if (lo > 65535 || hi > 65535)
		return bad(t, t->p, "the repetition number is too large (limit 65535)");
	if (has_hi && hi < lo)
		return bad(t, t->p, "min repeat greater than max repeat");
	if (!comma)
		buf_addf(t->out, "{%u}", (unsigned)lo);
	else if (has_hi)
		buf_addf(t->out, "{%u,%u}", (unsigned)lo, (unsigned)hi);
	else
		buf_addf(t->out, "{%u,}", (unsigned)lo);
	t->p = p + 1;
	return 0;
}

static int
quantifier(struct translate *t)
{
	const char *at = t->p;
	bool is = true;

	if (*t->p == '{') {
		if (braces(t, &is) != 0)
			return -1;
		if (!is) {
			put_char(t, '{');
			t->p++;
			t->last = ITEM_ONE;
			return 0;
		}
	} else
		buf_addc(t->out, *t->p++);
	if (t->last == ITEM_NONE || t->last == ITEM_ASSERT)
		return bad(t, at, "nothing to repeat");
	if (t->last == ITEM_REPEAT)
		return bad(t, at, "multiple repeat");
	if (t->p < t->end && (*t->p == '?' || *t->p == '+'))
		buf_addc(t->out, *t->p++);
	t->last = ITEM_REPEAT;
	return 0;
}

static int
translate(struct translate *t)
{
	uint32_t c;
	unsigned n;
	int ret = 0;

	while (t->p < t->end && ret == 0) {
		switch (*t->p) {
		case '\\':
			ret = escape(t, false);
			continue;
		case '[':
			t->p++;
			ret = char_class(t);
			continue;
		case '(':
			t->p++;
			ret = group(t);
			continue;
		case ')':
			if (t->depth == 0)
				return bad(t, t->p, "unbalanced parenthesis");
			t->verbose = t->outer_verbose[--t->depth];
			t->last = ITEM_ONE;
			break;
		case '*': case '+': case '?': case '{':
			ret = quantifier(t);
			continue;
		case '^': case '$':
			t->last = ITEM_ASSERT;
			break;
		case '|':
			t->last = ITEM_NONE;
			break;
		case '.':
			t->last = ITEM_ONE;
			break;
		case '#':
			if (t->verbose) {
				while (t->p < t->end && *t->p != '\n')
					t->p++;
				continue;
			}
			ATTR_FALLTHROUGH;
		default:
			if (t->verbose && isspace((unsigned char)*t->p)) {
				t->p++;
				continue;
			}
			n = utf8_decode(t->p, (size_t)(t->end - t->p), &c);
			t->p += n > 0 ? n : 1;
			put_char(t, n > 0 ? c : 0xfffd);
			t->last = ITEM_ONE;
			continue;
		}
		buf_addc(t->out, *t->p++);
	}
	if (ret == 0 && t->depth > 0)
		return bad(t, t->end, "missing ), unterminated subpattern");
	return ret;
}

/* ---- compiling ------------------------------------------------------------ */

static void
names_free(struct group_name *names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(names[i].name);
	free(names);
}

static void
regex_free(struct regex *re)
{
	if (re == NULL)
		return;
	pcre2_code_free(re->code);
	names_free(re->names, re->nnames);
	free(re->pattern);
	free(re);
}

static void
contexts_init(void)
{
	if (match_ctx != NULL)
		return;
	compile_ctx = pcre2_compile_context_create(NULL);
	match_ctx = pcre2_match_context_create(NULL);
	jit_stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, NULL);
	match_data = pcre2_match_data_create(100, NULL);
	if (compile_ctx == NULL || match_ctx == NULL || match_data == NULL)
		abort();
	pcre2_set_newline(compile_ctx, PCRE2_NEWLINE_LF);
	pcre2_set_match_limit(match_ctx, MATCH_LIMIT);
	pcre2_set_heap_limit(match_ctx, HEAP_LIMIT_KB);
	if (jit_stack != NULL)
		pcre2_jit_stack_assign(match_ctx, NULL, jit_stack);
}

static struct regex *
regex_compile(const char *pattern, size_t len, unsigned flags, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct translate t = { .p = pattern, .start = pattern, .flags_at = pattern,
	    .end = pattern + len, .out = &out, .err = err };
	uint32_t opts = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C |
	    PCRE2_ALT_CIRCUMFLEX | PCRE2_NO_UTF_CHECK;
	struct regex *re;
	pcre2_code *code;
	PCRE2_UCHAR msg[128];
	PCRE2_SIZE off;
	int rc;

	if (len > REGEX_PATTERN_MAX) {
		err_set(err, ERR_LIMIT, "regular expression longer than %zu bytes",
		    REGEX_PATTERN_MAX);
		return NULL;
	}
	if (translate(&t) != 0) {
		names_free(t.names, t.nnames);
		return NULL;
	}
	if (!t.ascii)
		opts |= PCRE2_UCP;
	if (flags & REGEX_ICASE)
		opts |= PCRE2_CASELESS;
	if (flags & REGEX_MULTI)
		opts |= PCRE2_MULTILINE;
	code = pcre2_compile((PCRE2_SPTR)buf_str(&out), out.len, opts, &rc, &off,
	    compile_ctx);
	if (code == NULL) {
		pcre2_get_error_message(rc, msg, sizeof(msg));
		err_set(err, ERR_VALUE, "regular expression '%.*s': %s", (int)len,
		    pattern, (const char *)msg);
		names_free(t.names, t.nnames);
		return NULL;
	}
	re = xcalloc(1, sizeof(*re));
	re->code = code;
	re->pattern = xmalloc(len + 1);
	memcpy(re->pattern, pattern, len);
	re->pattern[len] = '\0';
	re->len = len;
	re->flags = flags;
	re->ngroups = t.ngroups;
	re->names = t.names;
	re->nnames = t.nnames;
	return re;
}

const struct regex *
regex_get(const char *pattern, size_t len, unsigned flags, struct err *err)
{
	uint32_t hash = v_hash_str(pattern, len) ^ (flags * 0x9e3779b9u);
	struct regex **slot = &cache[hash % CACHE_SIZE], *re = *slot;

	contexts_init();
	if (re == NULL || re->hash != hash || re->flags != flags ||
	    re->len != len || memcmp(re->pattern, pattern, len) != 0) {
		re = regex_compile(pattern, len, flags, err);
		if (re == NULL)
			return NULL;
		re->hash = hash;
		regex_free(*slot);
		*slot = re;
	}
	if (++re->uses == JIT_AFTER)
		(void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
	return re;
}

uint32_t
regex_ngroups(const struct regex *re)
{
	return re->ngroups;
}

uint32_t
regex_group(const struct regex *re, const char *name, size_t len)
{
	return find_name(re->names, re->nnames, name, len);
}

/* ---- matching ------------------------------------------------------------- */

static int
exec_opts(const struct regex *re, const char *s, size_t len, size_t from,
    uint32_t opts, struct regex_match *m, struct err *err)
{
	PCRE2_UCHAR msg[128];
	int rc;

	if (pcre2_get_ovector_count(match_data) <= re->ngroups) {
		pcre2_match_data_free(match_data);
		match_data = pcre2_match_data_create(re->ngroups + 1, NULL);
		if (match_data == NULL)
			abort();
	}
	rc = pcre2_match(re->code, (PCRE2_SPTR)s, len, from, opts, match_data,
	    match_ctx);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
	    rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_JIT_STACKLIMIT) {
		err_set(err, ERR_LIMIT, "the regular expression '%s' takes too many steps on a text of %zu bytes",
		    re->pattern, len);
		err_hint(err, "nested repetitions such as (a+)+ backtrack without end; write them so that only one way matches");
		return -1;
	}
	if (rc < 0) {
		pcre2_get_error_message(rc, msg, sizeof(msg));
		return err_set(err, ERR_VALUE, "regular expression '%s': %s",
		    re->pattern, (const char *)msg);
	}
	/* Groups behind the last one that took part are unset in the vector. */
	m->at = pcre2_get_ovector_pointer(match_data);
	m->n = re->ngroups + 1;
	return 1;
}

int
regex_exec(const struct regex *re, const char *s, size_t len, size_t from,
    enum regex_how how, bool notempty, struct regex_match *m, struct err *err)
{
	uint32_t opts = notempty ? PCRE2_NOTEMPTY_ATSTART : 0;

	if (how != REGEX_SEARCH)
		opts |= PCRE2_ANCHORED;
	if (how == REGEX_FULL)
		opts |= PCRE2_ENDANCHORED;
	return exec_opts(re, s, len, from, opts, m, err);
}

int64_t
regex_each(const struct regex *re, const char *s, size_t len,
    int (*each)(void *, const struct regex_match *), void *arg, struct err *err)
{
	struct regex_match m;
	uint32_t opts = 0;
	size_t from = 0, end;
	int64_t n = 0;
	int rc;

	while (from <= len) {
		rc = exec_opts(re, s, len, from, opts, &m, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		n++;
		end = m.at[1];
		/* The first call checked the text's encoding. */
		opts = PCRE2_NO_UTF_CHECK;
		if (end == m.at[0])
			opts |= PCRE2_NOTEMPTY_ATSTART;
		if (each(arg, &m) != 0)
			break;
		from = end;
	}
	return n;
}

/* ---- replacement ---------------------------------------------------------- */

/* A replacement template in pieces: literal text, then a group (none behind the last). */
struct piece {
	size_t		 len;		/* of literal text, consecutive in lits */
	uint32_t	 group;
	bool		 has_group;
};

struct sub {
	const struct regex	*re;
	struct buf		 lits;
	struct piece		*v;
	uint32_t		 n;
	size_t			 mark;		/* of lits: where the current piece began */
	const char		*s;
	size_t			 pos;
	uint64_t		 max, count;
	struct buf		*out;
};

static void
sub_piece(struct sub *b, bool has_group, uint32_t group)
{
	b->v = xreallocarray(b->v, b->n + 1, sizeof(*b->v));
	b->v[b->n].len = b->lits.len - b->mark;
	b->v[b->n].has_group = has_group;
	b->v[b->n++].group = group;
	b->mark = b->lits.len;
}

static int
sub_named(struct sub *b, const char **pp, const char *end, struct err *err)
{
	const char *p = *pp, *e;
	uint32_t n = 0;
	size_t len;

	if (p == end || *p != '<')
		return err_set(err, ERR_VALUE, "replacement template: missing <");
	p++;
	e = memchr(p, '>', (size_t)(end - p));
	if (e == NULL)
		return err_set(err, ERR_VALUE, p == end ? "replacement template: missing group name" :
		    "replacement template: missing >, unterminated name");
	len = (size_t)(e - p);
	if (len == 0)
		return err_set(err, ERR_VALUE, "replacement template: missing group name");
	if (isdigit((unsigned char)*p)) {
		for (size_t i = 0; i < len; i++) {
			if (!isdigit((unsigned char)p[i]))
				return err_set(err, ERR_VALUE, "replacement template: bad character in group name '%.*s'",
				    (int)len, p);
			n = n < 100000 ? n * 10 + (uint32_t)(p[i] - '0') : n;
		}
		if (n > b->re->ngroups)
			return err_set(err, ERR_VALUE, "replacement template: invalid group reference %u", n);
	} else {
		if (!is_identifier(p, len))
			return err_set(err, ERR_VALUE, "replacement template: bad character in group name '%.*s'",
			    (int)len, p);
		n = regex_group(b->re, p, len);
		if (n == 0)
			return err_set(err, ERR_VALUE, "replacement template: unknown group name '%.*s'",
			    (int)len, p);
	}
	*pp = e + 1;
	sub_piece(b, true, n);
	return 0;
}

static int
sub_digits(struct sub *b, const char **pp, const char *end, struct err *err)
{
	const char *p = *pp;		/* at the first digit */
	uint32_t n;

	if (*p == '0') {
		n = 0;
		for (int i = 0; i < 3 && is_octal(p, end); i++)
			n = n * 8 + (uint32_t)(*p++ - '0');
		utf8_encode(&b->lits, n);
		*pp = p;
		return 0;
	}
	if (is_octal(p, end) && is_octal(p + 1, end) && is_octal(p + 2, end)) {
		n = (uint32_t)((p[0] - '0') * 64 + (p[1] - '0') * 8 + (p[2] - '0'));
		if (n > 0377)
			return err_set(err, ERR_VALUE, "replacement template: octal escape value \\%.3s outside of range 0-0o377", p);
		utf8_encode(&b->lits, n);
		*pp = p + 3;
		return 0;
	}
	n = (uint32_t)(*p++ - '0');
	if (p < end && isdigit((unsigned char)*p))
		n = n * 10 + (uint32_t)(*p++ - '0');
	if (n > b->re->ngroups)
		return err_set(err, ERR_VALUE, "replacement template: invalid group reference %u", n);
	*pp = p;
	sub_piece(b, true, n);
	return 0;
}

static int
sub_parse(struct sub *b, const char *p, size_t len, struct err *err)
{
	static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
	const char *end = p + len, *q;
	int ret = 0;

	while (p < end && ret == 0) {
		if (*p != '\\') {
			q = memchr(p, '\\', (size_t)(end - p));
			q = q != NULL ? q : end;
			buf_add(&b->lits, p, (size_t)(q - p));
			p = q;
			continue;
		}
		if (++p == end)
			return err_set(err, ERR_VALUE, "replacement template: bad escape (end of pattern)");
		if (isdigit((unsigned char)*p))
			ret = sub_digits(b, &p, end, err);
		else if (*p == 'g') {
			p++;
			ret = sub_named(b, &p, end, err);
		} else if (*p != '\0' && (q = strchr(from, *p)) != NULL) {
			buf_addc(&b->lits, to[q - from]);
			p++;
		} else if (isalpha((unsigned char)*p))
			return err_set(err, ERR_VALUE, "replacement template: bad escape \\%c", *p);
		else {
			buf_addc(&b->lits, '\\');
			buf_addc(&b->lits, *p++);
		}
	}
	sub_piece(b, false, 0);
	return ret;
}

static int
sub_one(void *arg, const struct regex_match *m)
{
	struct sub *b = arg;
	const char *lit = b->lits.data;

	buf_add(b->out, b->s + b->pos, m->at[0] - b->pos);
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->v[i].len > 0)
			buf_add(b->out, lit, b->v[i].len);
		lit += b->v[i].len;
		if (b->v[i].has_group && m->at[2 * b->v[i].group] != REGEX_UNSET)
			buf_add(b->out, b->s + m->at[2 * b->v[i].group],
			    m->at[2 * b->v[i].group + 1] - m->at[2 * b->v[i].group]);
	}
	b->pos = m->at[1];
	b->count++;
	return (b->max != 0 && b->count >= b->max) || buf_overflowed(b->out);
}

int64_t
regex_sub(const struct regex *re, const char *tmpl, size_t tlen, const char *s,
    size_t len, uint64_t max, struct buf *out, struct err *err)
{
	struct sub b = { .re = re, .s = s, .max = max, .out = out };
	int64_t n = -1;

	buf_reserve(&b.lits, tlen + 1);
	if (sub_parse(&b, tmpl, tlen, err) == 0)
		n = regex_each(re, s, len, sub_one, &b, err);
	if (n >= 0) {
		buf_add(out, s + b.pos, len - b.pos);
		if (buf_overflowed(out))
			n = err_set(err, ERR_LIMIT, "the result of a replacement is too long");
	}
	buf_release(&b.lits);
	free(b.v);
	return n;
}

void
regex_escape(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '\0' && strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", s[i]) != NULL)
			buf_addc(out, '\\');
		buf_addc(out, s[i]);
	}
}
