/*
 * Filters of text: case, blanks, lines, cutting, quoting, comments.
 *
 * Jinja's text filters take any value and work on its str(); where Python
 * would fail on other types (indent, comment, split) so do they.
 */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "template/eval.h"
#include "template/filter_util.h"
#include "template/regex.h"
#include "template/unidata.h"

/* Filters that call a method of str give markup for markup. */
static const struct value *
as_input(struct tcall *c, const struct value *v)
{
	return v != NULL && v->type == V_STR && v_is_markup(c->in) && !v_is_markup(v) ?
	    v_markup(c->arena, v->u.s, v->len) : v;
}



static void jinja_title(struct buf *, const char *, size_t);

static const struct value *
change_case(struct tcall *c, void (*fn)(struct buf *, const char *, size_t))
{
	struct buf b = BUF_INIT;
	const char *s;
	size_t len;

	if (!fu_text(c, c->in, &s, &len))
		return NULL;
	fn(&b, s, len);
	return fn == jinja_title ? fu_result(c, &b) : as_input(c, fu_result(c, &b));
}

static const struct value *
f_upper(struct tcall *c)
{
	return change_case(c, uni_upper);
}

static const struct value *
f_lower(struct tcall *c)
{
	return change_case(c, uni_lower);
}

static const struct value *
f_capitalize(struct tcall *c)
{
	return change_case(c, uni_capitalize);
}

/* Jinja's title: words begin behind blanks, hyphens and opening brackets; their first character is upper()ed. */
static void
jinja_title(struct buf *b, const char *s, size_t len)
{
	const char *end = s + len, *word;
	uint32_t c;
	unsigned n;

	while (s < end) {
		n = utf8_decode(s, (size_t)(end - s), &c);
		n = n > 0 ? n : 1;
		if (uni_space(c) || (c < 0x80 && c != 0 && strchr("-({[<", (int)c) != NULL)) {
			buf_add(b, s, n);
			s += n;
			continue;
		}
		uni_upper(b, s, n);
		word = s += n;
		while (s < end) {
			n = utf8_decode(s, (size_t)(end - s), &c);
			if (n > 0 && (uni_space(c) ||
			    (c < 0x80 && c != 0 && strchr("-({[<", (int)c) != NULL)))
				break;
			s += n > 0 ? n : 1;
		}
		uni_lower(b, word, (size_t)(s - word));
	}
}

static const struct value *
f_title(struct tcall *c)
{
	return change_case(c, jinja_title);
}

static bool
has_char(const char *chars, size_t len, const char *p, unsigned n)
{
	return memmem(chars, len, p, n) != NULL;
}

/* str.strip(chars) */
static const struct value *
f_trim(struct tcall *c)
{
	const char *s, *chars;
	size_t len, clen, k;
	uint32_t ch;
	unsigned n;

	if (!fu_text(c, c->in, &s, &len))
		return NULL;
	if (!fu_given(c, 0)) {
		fu_strip(&s, &len);
		return as_input(c, fu_strn(c, s, len));
	}
	if (!fu_str(c, c->a[0], &chars, &clen))
		return NULL;
	while (len > 0 && (n = utf8_decode(s, len, &ch)) > 0 &&
	    has_char(chars, clen, s, n)) {
		s += n;
		len -= n;
	}
	while (len > 0) {
		for (k = len - 1; k > 0 && ((unsigned char)s[k] & 0xc0) == 0x80; k--)
			continue;
		if (!has_char(chars, clen, s + k, (unsigned)(len - k)))
			break;
		len = k;
	}
	return as_input(c, fu_strn(c, s, len));
}

static const struct value *
f_center(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s;
	size_t len;
	int64_t width, n, pad, left;

	if (!fu_text(c, c->in, &s, &len) || !targ_int(c, 0, 80, &width))
		return NULL;
	n = (int64_t)utf8_count(s, len);
	if (width <= n)
		return as_input(c, fu_strn(c, s, len));
	pad = width - n;
	if (pad > (int64_t)BUF_MAX_DEFAULT)
		return terr(c, ERR_LIMIT, "center: width %lld is too large", (long long)width);
	left = pad / 2 + (pad & width & 1);
	buf_addf(&b, "%*s", (int)left, "");
	buf_add(&b, s, len);
	buf_addf(&b, "%*s", (int)(pad - left), "");
	return as_input(c, fu_result(c, &b));
}

/* str.replace(): an empty old text stands between all characters. */
static const struct value *
f_replace(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *old, *new, *end, *p;
	size_t len, olen, nlen;
	int64_t max = -1;
	uint32_t ch;
	unsigned n;

	if (c->a[0] == NULL || c->a[1] == NULL)
		return terr(c, ERR_TYPE, "replace: missing argument '%s'",
		    c->a[0] == NULL ? "old" : "new");
	if (!fu_text(c, c->in, &s, &len) || !fu_text(c, c->a[0], &old, &olen) ||
	    !fu_text(c, c->a[1], &new, &nlen))
		return NULL;
	if (fu_given(c, 2) && !targ_int(c, 2, -1, &max))
		return NULL;
	end = s + len;
	while (max != 0) {
		if (olen == 0) {
			buf_add(&b, new, nlen);
			if (max > 0)
				max--;
			if (s == end)
				return fu_result(c, &b);
			n = utf8_decode(s, (size_t)(end - s), &ch);
			n = n > 0 ? n : 1;
			buf_add(&b, s, n);
			s += n;
			continue;
		}
		p = memmem(s, (size_t)(end - s), old, olen);
		if (p == NULL)
			break;
		buf_add(&b, s, (size_t)(p - s));
		buf_add(&b, new, nlen);
		s = p + olen;
		if (max > 0)
			max--;
	}
	buf_add(&b, s, (size_t)(end - s));
	return fu_result(c, &b);
}

static const struct value *
f_indent(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *end, *line, *pad = NULL;
	size_t len, plen = 0;
	int64_t width = 4;
	bool first, blank, is_first = true;

	if (!fu_str(c, c->in, &s, &len) || !targ_bool(c, 1, false, &first) ||
	    !targ_bool(c, 2, false, &blank))
		return NULL;
	if (c->a[0] != NULL && c->a[0]->type == V_STR) {
		pad = c->a[0]->u.s;
		plen = c->a[0]->len;
	} else {
		if (!targ_int(c, 0, 4, &width))
			return NULL;
		if (width > 100000)
			return terr(c, ERR_LIMIT, "indent: width %lld is too large", (long long)width);
		plen = width > 0 ? (size_t)width : 0;
		pad = arena_printf(c->arena, "%*s", (int)plen, "");
	}
	/* Jinja adds a newline before it splits, so that the empty text has a line and a final newline stays. */
	line = arena_strndup(c->arena, s, len + 1);
	((char *)(uintptr_t)line)[len] = '\n';
	end = line + len + 1;
	for (s = line; fu_next_line(&s, end, &line, &len); is_first = false) {
		if (!is_first)
			buf_addc(&b, '\n');
		if (is_first ? first : (blank || len > 0))
			buf_add(&b, pad, plen);
		buf_add(&b, line, len);
	}
	return as_input(c, fu_result(c, &b));
}

static const struct value *
f_truncate(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *end;
	size_t len, elen, n, cut, k;
	int64_t length, leeway;
	bool kill;

	if (c->in->type != V_STR && c->in->type != V_LIST && c->in->type != V_MAP)
		return terr(c, ERR_TYPE, "object of type '%s' has no len()", tmpl_py_type(c->in));
	if (!targ_int(c, 0, 255, &length) || !targ_bool(c, 1, false, &kill) ||
	    !fu_arg_text(c, 2, "...", &end, &elen))
		return NULL;
	leeway = 5;
	if (fu_given(c, 3) && !targ_int(c, 3, 5, &leeway))
		return NULL;
	if (length < (int64_t)utf8_count(end, elen))
		return terr(c, ERR_VALUE, "truncate: expected length >= %zu, got %lld",
		    utf8_count(end, elen), (long long)length);
	if (leeway < 0)
		return terr(c, ERR_VALUE, "truncate: expected leeway >= 0, got %lld", (long long)leeway);
	n = c->in->type == V_STR ? utf8_count(c->in->u.s, c->in->len) : v_count(c->in);
	if (leeway > INT32_MAX || length > INT32_MAX || (int64_t)n <= length + leeway)
		return c->in;
	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	cut = utf8_offset(s, len, (size_t)length - utf8_count(end, elen));
	if (!kill) {
		for (k = cut; k > 0 && s[k - 1] != ' '; k--)
			continue;
		if (k > 0)
			cut = k - 1;
	}
	buf_add(&b, s, cut);
	buf_add(&b, end, elen);
	return fu_result(c, &b);
}

static const struct value *
f_wordcount(struct tcall *c)
{
	const char *s, *end;
	size_t len;
	int64_t count = 0;
	bool in = false, word;
	uint32_t ch;
	unsigned n;

	if (!fu_text(c, c->in, &s, &len))
		return NULL;
	for (end = s + len; s < end; s += n) {
		n = utf8_decode(s, (size_t)(end - s), &ch);
		word = n > 0 && (ch == '_' || uni_alnum(ch));
		n = n > 0 ? n : 1;
		if (word && !in)
			count++;
		in = word;
	}
	return v_int(c->arena, count);
}

/* ---- wordwrap: Python's textwrap without expanding tabs or replacing blanks --- */

struct wrap {
	struct tcall	*c;
	struct buf	*out;
	const char	*sep;
	size_t		 seplen;
	size_t		 width;
	bool		 break_long, on_hyphens;
	bool		 any;			/* a line was written */
};

static bool
wrap_blank(char ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* The length of the blanks or of the word at the start. */
static size_t
wrap_word(const char *s, size_t len)
{
	size_t n = 1;

	while (n < len && wrap_blank(s[n]) == wrap_blank(*s))
		n++;
	return n;
}

static void
wrap_emit(struct wrap *w, const char *s, size_t len, bool keep_blanks)
{
	while (len > 0 && !keep_blanks && wrap_blank(s[len - 1]))
		len--;
	if (len == 0)
		return;
	if (w->any)
		buf_add(w->out, w->sep, w->seplen);
	buf_add(w->out, s, len);
	w->any = true;
}

/* Chunk ends of a line, as offsets. false after an error. */
static bool
wrap_chunks(struct wrap *w, const char *s, size_t len, size_t **ret, uint32_t *n)
{
	/* textwrap.TextWrapper.wordsep_re */
	static const char wordsep[] =
	    "([\\t\\n\\x0b\\x0c\\r ]+|"
	    "(?<=[\\w!\"'&.,?])-{2,}(?=\\w)|"
	    "[^\\t\\n\\x0b\\x0c\\r ]+?"
	    "(?:-(?:(?<=[^\\d\\W]{2}-)|(?<=[^\\d\\W]-[^\\d\\W]-))(?=[^\\d\\W]-?[^\\d\\W])|"
	    "(?=[\\t\\n\\x0b\\x0c\\r ]|\\Z)|"
	    "(?<=[\\w!\"'&.,?])(?=-{2,}\\w)))";
	const struct regex *re = NULL;
	struct regex_match m;
	size_t at = 0, *v = NULL;
	int rc;

	*n = 0;
	if (w->on_hyphens && memchr(s, '-', len) != NULL) {
		re = regex_get(wordsep, sizeof(wordsep) - 1, 0, w->c->err);
		if (re == NULL)
			return false;
	}
	while (at < len) {
		if (*n % 64 == 0)
			v = arena_grow(w->c->arena, v, *n * sizeof(*v), (*n + 64) * sizeof(*v));
		if (re == NULL)
			at += wrap_word(s + at, len - at);
		else {
			rc = regex_exec(re, s, len, at, REGEX_SEARCH, true, &m, w->c->err);
			if (rc < 0)
				return false;
			if (rc == 0)
				at = len;
			else if (m.at[0] > at)
				at = m.at[0];	/* text between matches is a chunk too */
			else
				at = m.at[1];
		}
		v[(*n)++] = at;
	}
	*ret = v;
	return true;
}

static bool
wrap_line(struct wrap *w, const char *s, size_t len)
{
	size_t *ends, start, from, to, used, n, room, line;
	uint32_t nchunks, i;
	bool full;

	w->any = false;
	if (!wrap_chunks(w, s, len, &ends, &nchunks))
		return false;
	for (i = 0, from = 0; i < nchunks;) {
		/* Blanks at the start of a line are dropped, but not at that of the text. */
		if (w->any && wrap_blank(s[from])) {
			from = ends[i++];
			if (i == nchunks)
				break;
		}
		start = line = from;
		used = 0;
		full = false;
		while (i < nchunks) {
			to = ends[i];
			n = utf8_count(s + from, to - from);
			if (used + n > w->width)
				break;
			used += n;
			from = line = to;
			i++;
		}
		if (i < nchunks && (n = utf8_count(s + from, ends[i] - from)) > w->width) {
			room = w->width < 1 ? 1 : w->width - used;
			/* A long word behind a full line leaves nothing on it, but saves the blanks at its end. */
			full = w->break_long && room == 0;
			if (w->break_long) {
				to = from + utf8_offset(s + from, ends[i] - from, room);
				if (w->on_hyphens && n > room) {
					const char *h = memrchr(s + from, '-', to - from);

					if (h != NULL && h > s + from &&
					    strspn(s + from, "-") < (size_t)(h - (s + from)))
						to = (size_t)(h - s) + 1;
				}
				from = line = to;
			} else if (used == 0) {
				from = line = ends[i++];
			}
		}
		wrap_emit(w, s + start, line - start, full);
	}
	return true;
}

static const struct value *
f_wordwrap(struct tcall *c)
{
	struct buf b = BUF_INIT;
	struct wrap w = { .c = c, .out = &b };
	const char *s, *end, *line;
	size_t len;
	int64_t width;
	bool first = true;

	if (!fu_str(c, c->in, &s, &len) || !targ_int(c, 0, 79, &width) ||
	    !targ_bool(c, 1, true, &w.break_long) ||
	    !targ_bool(c, 3, true, &w.on_hyphens))
		return NULL;
	w.sep = "\n";
	w.seplen = 1;
	if (fu_given(c, 2) && !fu_str(c, c->a[2], &w.sep, &w.seplen))
		return NULL;
	if (width <= 0 && len > 0)
		return terr(c, ERR_VALUE, "wordwrap: invalid width %lld (must be > 0)", (long long)width);
	w.width = width > 0 ? (size_t)width : 1;
	for (end = s + len; fu_next_line(&s, end, &line, &len); first = false) {
		if (!first)
			buf_add(&b, w.sep, w.seplen);
		if (!wrap_line(&w, line, len)) {
			buf_release(&b);
			return NULL;
		}
	}
	return fu_result(c, &b);
}

static const struct value *
f_string(struct tcall *c)
{
	return tcall_str(c, c->in);
}

/* str(value) % arguments: a tuple of the positional ones, or a dict of the keywords. */
static const struct value *
f_format(struct tcall *c)
{
	struct value *args;
	const struct value *fmt = tcall_str(c, c->in);

	if (fmt == NULL)
		return NULL;
	if (c->nstar > 0 && fu_has_kw(c))
		return terr(c, ERR_TYPE, "can't handle positional and keyword arguments at the same time");
	if (fu_has_kw(c))
		return str_percent(c->ev, fmt, c->kw);
	args = v_list_room(c->arena, c->nstar);
	args->flags |= V_TUPLE;
	for (uint32_t i = 0; i < c->nstar; i++)
		v_push(c->arena, args, c->star[i]);
	return str_percent(c->ev, fmt, args);
}

/* shlex.quote() */
static const struct value *
f_quote(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s = "";
	size_t len = 0, i;

	if (c->in->type != V_NULL && !fu_text(c, c->in, &s, &len))
		return NULL;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && (s[i] == '\0' || strchr("@%+=:,./-_", s[i]) == NULL))
			break;
	if (len > 0 && i == len)
		return fu_strn(c, s, len);
	buf_addc(&b, '\'');
	for (i = 0; i < len; i++) {
		if (s[i] == '\'')
			buf_adds(&b, "'\"'\"'");
		else
			buf_addc(&b, s[i]);
	}
	buf_addc(&b, '\'');
	return fu_result(c, &b);
}

/* str.split(sep, maxsplit) */
static const struct value *
f_split(struct tcall *c)
{
	struct value *list = v_list(c->arena);
	const char *s, *sep, *end, *p;
	size_t len, slen;
	int64_t max;

	if (!fu_str(c, c->in, &s, &len) || !targ_int(c, 1, -1, &max))
		return NULL;
	if (!fu_given(c, 0)) {
		fu_split_blank(c, list, s, len, max);
		return list;
	}
	if (!fu_str(c, c->a[0], &sep, &slen))
		return NULL;
	if (slen == 0)
		return terr(c, ERR_VALUE, "split: empty separator");
	end = s + len;
	while (max != 0 && (p = memmem(s, (size_t)(end - s), sep, slen)) != NULL) {
		v_push(c->arena, list, fu_strn(c, s, (size_t)(p - s)));
		s = p + slen;
		if (max > 0)
			max--;
	}
	v_push(c->arena, list, fu_strn(c, s, (size_t)(end - s)));
	return list;
}

/* ---- comment ---------------------------------------------------------------- */

struct text {
	const char	*s;
	size_t		 len;
};

static const struct {
	const char	*name, *beginning, *decoration, *end;
} comment_styles[] = {
	{ "plain", "", "# ", "" },
	{ "erlang", "", "% ", "" },
	{ "c", "", "// ", "" },
	{ "cblock", "/*", " * ", " */" },
	{ "xml", "<!--", " - ", "-->" },
};

/* A keyword that is printed when it is true in Python's sense. */
static bool
comment_part(struct tcall *c, const char *name, struct text *t)
{
	const struct value *v = v_gets(c->kw, name);

	if (v == NULL)
		return true;
	t->len = 0;
	return !tcall_truth(v) || fu_text(c, v, &t->s, &t->len);
}

/* The keyword's text, or the default. A missing keyword is no error; another type is. */
static bool
comment_opt(struct tcall *c, const char *name, struct text *t)
{
	const struct value *v = v_gets(c->kw, name);

	if (v == NULL)
		return true;
	return fu_str(c, v, &t->s, &t->len);
}

static bool
comment_count(struct tcall *c, const char *name, int64_t *n)
{
	const struct value *v = v_gets(c->kw, name);

	*n = 1;
	if (v == NULL)
		return true;
	/* The first goes through int(), the second through range(). */
	if (fu_is_int(v, n) || (name[1] == 'r' && (v->type == V_STR ? fu_parse_int(v->u.s, v->len, 10, n) == 1 :
	    v->type == V_FLOAT && fu_float_int(v->u.f, n) == 1))) {
		if (*n <= 10000)
			return true;
		terr(c, ERR_LIMIT, "comment: %s is too large", name);
		return false;
	}
	terr(c, ERR_TYPE, "comment: %s must be a number", name);
	return false;
}

static struct text
text_rstrip(struct text t)
{
	uint32_t ch;
	size_t k;

	while (t.len > 0) {
		for (k = t.len - 1; k > 0 && ((unsigned char)t.s[k] & 0xc0) == 0x80; k--)
			continue;
		if (utf8_decode(t.s + k, t.len - k, &ch) == 0 || !uni_space(ch))
			break;
		t.len = k;
	}
	return t;
}

/* Appends s with every old replaced by new. */
static void
replace_all(struct buf *b, struct text s, struct text old, struct text new)
{
	const char *end = s.s + s.len, *p;

	while (old.len > 0 && (p = memmem(s.s, (size_t)(end - s.s), old.s, old.len)) != NULL) {
		buf_add(b, s.s, (size_t)(p - s.s));
		buf_add(b, new.s, new.len);
		s.s = p + old.len;
	}
	buf_add(b, s.s, (size_t)(end - s.s));
}

static struct text
join2(struct tcall *c, struct text a, struct text b)
{
	char *s = arena_alloc(c->arena, a.len + b.len + 1);

	memcpy(s, a.s, a.len);
	memcpy(s + a.len, b.s, b.len);
	s[a.len + b.len] = '\0';
	return (struct text){ s, a.len + b.len };
}

static bool
comment_style(struct tcall *c, const char *name, struct text *beginning,
    struct text *decoration, struct text *end)
{
	for (size_t i = 0; i < NITEMS(comment_styles); i++) {
		if (strcmp(name, comment_styles[i].name) != 0)
			continue;
		*beginning = (struct text){ comment_styles[i].beginning, strlen(comment_styles[i].beginning) };
		*decoration = (struct text){ comment_styles[i].decoration, strlen(comment_styles[i].decoration) };
		*end = (struct text){ comment_styles[i].end, strlen(comment_styles[i].end) };
		return true;
	}
	terr(c, ERR_VALUE, "comment: invalid style '%s'; available are plain, erlang, c, cblock, xml", name);
	return false;
}

static const struct value *
f_comment(struct tcall *c)
{
	struct buf b = BUF_INIT, one = BUF_INIT, two = BUF_INIT;
	struct text text, beg, deco, end, nl = { "\n", 1 }, prefix, postfix;
	const char *style;
	size_t slen;
	int64_t npre, npost;

	if (!fu_str(c, c->in, &text.s, &text.len) || !targ_str(c, 0, "plain", &style, &slen) ||
	    !comment_style(c, style, &beg, &deco, &end) ||
	    !comment_opt(c, "decoration", &deco))
		return NULL;
	prefix = postfix = text_rstrip(deco);
	if (!comment_opt(c, "newline", &nl) || !comment_part(c, "beginning", &beg) ||
	    !comment_part(c, "prefix", &prefix) || !comment_opt(c, "postfix", &postfix) ||
	    !comment_part(c, "end", &end) || !comment_count(c, "prefix_count", &npre) ||
	    !comment_count(c, "postfix_count", &npost))
		return NULL;
	if (beg.len > 0) {
		buf_add(&b, beg.s, beg.len);
		buf_add(&b, nl.s, nl.len);
	}
	for (int64_t i = 0; i < npre && prefix.len > 0; i++) {
		if (prefix.len != nl.len || memcmp(prefix.s, nl.s, nl.len) != 0)
			buf_add(&b, prefix.s, prefix.len);
		buf_add(&b, nl.s, nl.len);
	}
	/* Every line is decorated, then the blanks of lines with nothing else are dropped. */
	buf_add(&one, deco.s, deco.len);
	replace_all(&one, text, nl, join2(c, nl, deco));
	replace_all(&two, (struct text){ buf_str(&one), one.len }, join2(c, deco, nl),
	    join2(c, text_rstrip(deco), nl));
	buf_add(&b, buf_str(&two), two.len);
	buf_release(&one);
	buf_release(&two);
	for (int64_t i = 0; i < npost; i++) {
		buf_add(&b, nl.s, nl.len);
		buf_add(&b, postfix.s, postfix.len);
	}
	if (end.len > 0) {
		buf_add(&b, nl.s, nl.len);
		buf_add(&b, end.s, end.len);
	}
	return fu_result(c, &b);
}

static const struct tfilter filters[] = {
	{ "capitalize", "", 0, f_capitalize },
	{ "center", "width", 0, f_center },
	{ "comment", "style", TF_KWSTAR, f_comment },
	{ "format", "", TF_STAR | TF_KWSTAR, f_format },
	{ "indent", "width,first,blank", 0, f_indent },
	{ "lower", "", 0, f_lower },
	{ "quote", "", 0, f_quote },
	{ "replace", "old,new,count", 0, f_replace },
	{ "split", "sep,maxsplit", 0, f_split },
	{ "string", "", 0, f_string },
	{ "title", "", 0, f_title },
	{ "trim", "chars", 0, f_trim },
	{ "truncate", "length,killwords,end,leeway", 0, f_truncate },
	{ "upper", "", 0, f_upper },
	{ "wordcount", "", 0, f_wordcount },
	{ "wordwrap", "width,break_long_words,wrapstring,break_on_hyphens", 0, f_wordwrap },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_text = { filters, NULL };
