/*
 * Filters and tests on regular expressions (regex.h).
 */
#include <ctype.h>
#include <string.h>

#include "template/filter_util.h"
#include "template/regex.h"

static bool
compile(struct tcall *c, const struct value *pattern, bool icase, bool multi,
    const struct regex **ret)
{
	if (pattern == NULL)
		pattern = &v_empty_str;
	if (pattern->type == V_UNDEF)
		return fu_undef(c, pattern);
	if (pattern->type != V_STR) {
		terr(c, ERR_TYPE, "first argument must be string or compiled pattern, not %s",
		    tmpl_py_type(pattern));
		return false;
	}
	*ret = regex_get(pattern->u.s, pattern->len,
	    (icase ? REGEX_ICASE : 0) | (multi ? REGEX_MULTI : 0), c->err);
	return *ret != NULL;
}

static const struct value *
f_regex_replace(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const struct regex *re;
	const char *s, *rep = "";
	size_t len, rlen = 0;
	bool icase, multi;
	int64_t count, want, n;

	if (!fu_text(c, c->in, &s, &len) || !targ_bool(c, 2, false, &icase) ||
	    !targ_bool(c, 3, false, &multi) || !targ_int(c, 4, 0, &count) ||
	    !targ_int(c, 5, 0, &want) || !compile(c, c->a[0], icase, multi, &re))
		return NULL;
	if (c->a[1] != NULL && !fu_str(c, c->a[1], &rep, &rlen))
		return NULL;
	n = regex_sub(re, rep, rlen, s, len, count > 0 ? (uint64_t)count : 0, &b, c->err);
	if (n < 0 || count < 0) {
		buf_release(&b);
		/* A negative count means no replacement to Python. */
		if (n >= 0 && count < 0)
			return want != 0 ? terr(c, ERR_VALUE, "regex_replace: no match replaced") :
			    fu_strn(c, s, len);
		return NULL;
	}
	if (want != 0 && want != n) {
		buf_release(&b);
		return terr(c, ERR_VALUE, "'%s' should match %lld times, but matches %lld times in '%s'",
		    c->a[0] != NULL ? c->a[0]->u.s : "", (long long)want, (long long)n, s);
	}
	return fu_result(c, &b);
}

struct findall {
	struct tcall	*c;
	struct value	*out;
	const char	*s;
};

static const struct value *
group_text(struct tcall *c, const char *s, const struct regex_match *m, uint32_t i,
    const struct value *unset)
{
	if (m->at[2 * i] == REGEX_UNSET)
		return unset;
	return fu_strn(c, s + m->at[2 * i], m->at[2 * i + 1] - m->at[2 * i]);
}

static int
findall_one(void *arg, const struct regex_match *m)
{
	struct findall *f = arg;
	struct value *t;

	if (m->n <= 2) {
		v_push(f->c->arena, f->out, group_text(f->c, f->s, m, m->n - 1, &v_empty_str));
		return 0;
	}
	t = fu_tuple(f->c);
	for (uint32_t i = 1; i < m->n; i++)
		v_push(f->c->arena, t, group_text(f->c, f->s, m, i, &v_empty_str));
	v_push(f->c->arena, f->out, t);
	return 0;
}

/* regex_findall(regex, multiline, ignorecase) */
static const struct value *
f_regex_findall(struct tcall *c)
{
	struct findall f = { .c = c, .out = v_list(c->arena) };
	const struct regex *re;
	size_t len;
	bool icase, multi;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "regex_findall: missing argument 'regex'");
	if (!fu_text(c, c->in, &f.s, &len) || !targ_bool(c, 1, false, &multi) ||
	    !targ_bool(c, 2, false, &icase) || !compile(c, c->a[0], icase, multi, &re))
		return NULL;
	return regex_each(re, f.s, len, findall_one, &f, c->err) < 0 ? NULL : f.out;
}

/* What \1 or \g<name> refers to. */
struct group_ref {
	const char	*name;		/* NULL: by number */
	size_t		 len;
	uint32_t	 number;
};

static bool
group_ref(struct tcall *c, const struct value *arg, struct group_ref *r)
{
	const char *s, *e;

	r->name = NULL;
	if (arg->type == V_UNDEF)
		return fu_undef(c, arg);
	if (arg->type != V_STR || *arg->u.s != '\\') {
		if (arg->type == V_STR)
			terr(c, ERR_VALUE, "Unknown argument");
		else
			terr(c, ERR_TYPE, "'%s' object has no attribute 'startswith'", tmpl_py_type(arg));
		return false;
	}
	s = arg->u.s + 1;
	if (*s == 'g' && s[1] == '<') {
		/* A run of non-blanks up to its last '>'. */
		for (e = s + 2; *e != '\0' && !isspace((unsigned char)*e); e++)
			continue;
		while (e > s + 2 && *--e != '>')
			continue;
		r->name = s + 2;
		r->len = (size_t)(e - s - 2);
		if (r->len > 0 && *e == '>')
			return true;
	} else if (isdigit((unsigned char)*s)) {
		for (r->number = 0; isdigit((unsigned char)*s); s++)
			r->number = r->number < 100000 ? r->number * 10 + (uint32_t)(*s - '0') : r->number;
		return true;
	}
	terr(c, ERR_VALUE, "regex_search: '%s' refers to no group", arg->u.s);
	return false;
}

static const struct value *
f_regex_search(struct tcall *c)
{
	const struct value *icase = v_gets(c->kw, "ignorecase"), *multi = v_gets(c->kw, "multiline");
	const struct regex *re;
	struct regex_match m;
	struct group_ref *refs = arena_array(c->arena, c->nstar + 1, sizeof(*refs));
	struct value *out;
	const char *s;
	size_t len;
	uint32_t g;
	int rc;

	if (c->nstar == 0 && v_gets(c->kw, "regex") == NULL)
		return terr(c, ERR_TYPE, "regex_search: missing argument 'regex'");
	if (!fu_text(c, c->in, &s, &len) ||
	    !compile(c, c->nstar > 0 ? c->star[0] : v_gets(c->kw, "regex"),
	    icase != NULL && tcall_truth(icase), multi != NULL && tcall_truth(multi), &re))
		return NULL;
	for (uint32_t i = 1; i < c->nstar; i++)
		if (!group_ref(c, c->star[i], &refs[i]))
			return NULL;
	rc = regex_exec(re, s, len, 0, REGEX_SEARCH, false, &m, c->err);
	if (rc <= 0)
		return rc < 0 ? NULL : &v_null;
	if (c->nstar <= 1)
		return group_text(c, s, &m, 0, &v_null);
	out = v_list(c->arena);
	for (uint32_t i = 1; i < c->nstar; i++) {
		g = refs[i].name != NULL ? regex_group(re, refs[i].name, refs[i].len) : refs[i].number;
		if (g >= m.n || (refs[i].name != NULL && g == 0))
			return terr(c, ERR_VALUE, "no such group");
		v_push(c->arena, out, group_text(c, s, &m, g, &v_null));
	}
	return out;
}

static const struct value *
f_regex_escape(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *type;
	size_t len, tlen;

	if (!fu_text(c, c->in, &s, &len) || !targ_str(c, 0, "python", &type, &tlen))
		return NULL;
	if (strcmp(type, "python") == 0)
		regex_escape(&b, s, len);
	else if (strcmp(type, "posix_basic") == 0) {
		for (size_t i = 0; i < len; i++) {
			if (s[i] != '\0' && strchr("].[^$*\\", s[i]) != NULL)
				buf_addc(&b, '\\');
			buf_addc(&b, s[i]);
		}
	} else if (strcmp(type, "posix_extended") == 0)
		return terr(c, ERR_UNSUPPORTED, "Regex type (%s) not yet implemented", type);
	else
		return terr(c, ERR_VALUE, "Invalid regex type (%s)", type);
	return fu_result(c, &b);
}

/* ---- tests ------------------------------------------------------------------------- */

static int
test_regex(struct tcall *c, enum regex_how how)
{
	const struct regex *re;
	struct regex_match m;
	const char *s;
	size_t len;
	bool icase, multi;

	if (!fu_text(c, c->in, &s, &len) || !targ_bool(c, 1, false, &icase) ||
	    !targ_bool(c, 2, false, &multi) || !compile(c, c->a[0], icase, multi, &re))
		return -1;
	return regex_exec(re, s, len, 0, how, false, &m, c->err);
}

static int
t_search(struct tcall *c)
{
	return test_regex(c, REGEX_SEARCH);
}

static int
t_match(struct tcall *c)
{
	return test_regex(c, REGEX_MATCH);
}

static int
t_regex(struct tcall *c)
{
	const char *how;
	size_t len;

	if (!targ_str(c, 3, "search", &how, &len))
		return -1;
	return test_regex(c, strcmp(how, "match") == 0 ? REGEX_MATCH :
	    strcmp(how, "fullmatch") == 0 ? REGEX_FULL : REGEX_SEARCH);
}

static const struct tfilter filters[] = {
	{ "regex_escape", "re_type", 0, f_regex_escape },
	{ "regex_findall", "regex,multiline,ignorecase", 0, f_regex_findall },
	{ "regex_replace", "pattern,replacement,ignorecase,multiline,count,mandatory_count", 0,
	    f_regex_replace },
	{ "regex_search", "", TF_STAR | TF_KWSTAR, f_regex_search },
	{ NULL, NULL, 0, NULL }
};

static const struct ttest tests[] = {
	{ "match", "pattern,ignorecase,multiline", 0, t_match },
	{ "regex", "pattern,ignorecase,multiline,match_type", 0, t_regex },
	{ "search", "pattern,ignorecase,multiline", 0, t_search },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_regex = { filters, tests };
