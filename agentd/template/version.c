/*
 * Comparison of version numbers: see version.h.
 */
#include <ctype.h>
#include <string.h>

#include "template/regex.h"
#include "template/unidata.h"
#include "template/version.h"

/* A piece of a version: digits (leading zeros dropped) or other text. */
struct part {
	const char	*s;
	size_t		 len;
	bool		 number;
};

struct parts {
	struct part	*v;
	size_t		 n;
};

static struct part
make_part(const char *s, size_t len)
{
	struct part p = { s, len, len > 0 };

	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			p.number = false;
	while (p.number && p.len > 1 && *p.s == '0') {
		p.s++;
		p.len--;
	}
	return p;
}

static void
add_part(struct arena *a, struct parts *ps, const char *s, size_t len)
{
	if (ps->n % 16 == 0)
		ps->v = arena_grow(a, ps->v, ps->n * sizeof(*ps->v),
		    (ps->n + 16) * sizeof(*ps->v));
	ps->v[ps->n++] = make_part(s, len);
}

static int
compare_text(const struct part *a, const struct part *b)
{
	int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static int
compare_number(const struct part *a, const struct part *b)
{
	return a->len != b->len ? (a->len > b->len ? 1 : -1) : memcmp(a->s, b->s, a->len);
}

/* ---- LooseVersion --------------------------------------------------------------------- */

/* Runs of digits, runs of a-z, and whatever lies between; dots are dropped. */
static void
parse_loose(struct arena *a, const char *s, size_t len, struct parts *ps)
{
	size_t i = 0, from;

	while (i < len) {
		from = i;
		if (isdigit((unsigned char)s[i]))
			while (i < len && isdigit((unsigned char)s[i]))
				i++;
		else if (s[i] >= 'a' && s[i] <= 'z')
			while (i < len && s[i] >= 'a' && s[i] <= 'z')
				i++;
		else if (s[i] == '.') {
			i++;
			continue;
		} else
			while (i < len && !isdigit((unsigned char)s[i]) && s[i] != '.' &&
			    !(s[i] >= 'a' && s[i] <= 'z'))
				i++;
		add_part(a, ps, s + from, i - from);
	}
}

static int
compare_loose(const struct parts *a, const struct parts *b, int *ret, struct err *err)
{
	const struct part *x, *y;

	for (size_t i = 0; i < a->n && i < b->n; i++) {
		x = &a->v[i];
		y = &b->v[i];
		if (x->number != y->number)
			return err_set(err, ERR_TYPE, "Version comparison failed: '<' not supported between instances of '%s' and '%s'",
			    x->number ? "int" : "str", y->number ? "int" : "str");
		*ret = x->number ? compare_number(x, y) : compare_text(x, y);
		if (*ret != 0)
			return 0;
	}
	*ret = (a->n > b->n) - (a->n < b->n);
	return 0;
}

/* ---- the kinds with a grammar ------------------------------------------------------------ */

static const char re_strict[] = "^(\\d+)\\.(\\d+)(\\.(\\d+))?([ab](\\d+))?$";

static const char re_semver[] =
    "^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)"
    "(?:-((?:0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    "(?:\\.(?:0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    "(?:\\+([0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*))?$";

/* 1 epoch, 2 release, 3 pre, 4 its number, 5 post by hyphen, 6 post, 7 its number, 8 dev, 9 its number, 10 local */
static const char re_pep440[] =
    "^\\s*v?(?:([0-9]+)!)?([0-9]+(?:\\.[0-9]+)*)"
    "(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]+)?)?"
    "(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]+)?)?"
    "(?:[-_.]?(dev)[-_.]?([0-9]+)?)?"
    "(?:\\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\\s*\\Z";

#define GROUPS_MAX	11

struct groups {
	struct part	 g[GROUPS_MAX];
	bool		 has[GROUPS_MAX];
};

static int
parse_groups(const char *pattern, unsigned flags, const char *s, size_t len,
    const char *what, struct groups *ret, struct err *err)
{
	const struct regex *re = regex_get(pattern, strlen(pattern), flags, err);
	struct regex_match m;
	int rc;

	if (re == NULL)
		return -1;
	rc = regex_exec(re, s, len, 0, REGEX_MATCH, false, &m, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(err, ERR_VALUE, "Version comparison failed: invalid %s '%s'", what, s);
	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 1; i < m.n && i < GROUPS_MAX; i++) {
		ret->has[i] = m.at[2 * i] != REGEX_UNSET;
		if (ret->has[i])
			ret->g[i] = make_part(s + m.at[2 * i], m.at[2 * i + 1] - m.at[2 * i]);
	}
	return 0;
}

static int
number_group(const struct groups *a, const struct groups *b, unsigned i)
{
	static const struct part zero = { "0", 1, true };

	return compare_number(a->has[i] ? &a->g[i] : &zero, b->has[i] ? &b->g[i] : &zero);
}

static int
compare_strict(const struct groups *a, const struct groups *b)
{
	int c;

	if ((c = number_group(a, b, 1)) != 0 || (c = number_group(a, b, 2)) != 0 ||
	    (c = number_group(a, b, 4)) != 0)
		return c;
	if (a->has[5] != b->has[5])
		return a->has[5] ? -1 : 1;
	if (!a->has[5])
		return 0;
	c = *a->g[5].s - *b->g[5].s;
	return c != 0 ? c : number_group(a, b, 6);
}

static void
split_at(struct arena *a, const struct part *p, const char *seps, struct parts *ps)
{
	size_t i, from = 0;

	for (i = 0; i <= p->len; i++)
		if (i == p->len || strchr(seps, p->s[i]) != NULL) {
			add_part(a, ps, p->s + from, i - from);
			from = i + 1;
		}
}

static int
compare_semver(struct arena *arena, const struct groups *a, const struct groups *b)
{
	struct parts x = { NULL, 0 }, y = { NULL, 0 };
	int c;

	for (unsigned i = 1; i <= 3; i++)
		if ((c = number_group(a, b, i)) != 0)
			return c;
	if (a->has[4] != b->has[4])
		return a->has[4] ? -1 : 1;
	if (!a->has[4])
		return 0;
	split_at(arena, &a->g[4], ".", &x);
	split_at(arena, &b->g[4], ".", &y);
	for (size_t i = 0; i < x.n && i < y.n; i++) {
		if (x.v[i].number != y.v[i].number)
			return x.v[i].number ? -1 : 1;
		c = x.v[i].number ? compare_number(&x.v[i], &y.v[i]) : compare_text(&x.v[i], &y.v[i]);
		if (c != 0)
			return c;
	}
	return (x.n > y.n) - (x.n < y.n);
}

static int
compare_release(struct arena *arena, const struct part *a, const struct part *b)
{
	static const struct part zero = { "0", 1, true };
	struct parts x = { NULL, 0 }, y = { NULL, 0 };
	int c;

	split_at(arena, a, ".", &x);
	split_at(arena, b, ".", &y);
	for (size_t i = 0; i < x.n || i < y.n; i++) {
		c = compare_number(i < x.n ? &x.v[i] : &zero, i < y.n ? &y.v[i] : &zero);
		if (c != 0)
			return c;
	}
	return 0;
}

/* Where a version's pre-release stands: dev releases of nothing else, then a, b, rc, then the release itself. */
static int
pre_rank(const struct groups *g)
{
	if (!g->has[3])
		return g->has[8] && !g->has[5] && !g->has[6] ? 0 : 9;
	switch (tolower((unsigned char)*g->g[3].s)) {
	case 'a':
		return 1;
	case 'b':
		return 2;
	default:
		return 3;	/* c, rc, pre, preview */
	}
}

static int
compare_local(struct arena *arena, const struct groups *a, const struct groups *b)
{
	struct parts x = { NULL, 0 }, y = { NULL, 0 };
	int c;

	if (a->has[10] != b->has[10])
		return a->has[10] ? 1 : -1;
	if (!a->has[10])
		return 0;
	split_at(arena, &a->g[10], ".-_", &x);
	split_at(arena, &b->g[10], ".-_", &y);
	for (size_t i = 0; i < x.n && i < y.n; i++) {
		if (x.v[i].number != y.v[i].number)
			return x.v[i].number ? 1 : -1;
		c = x.v[i].number ? compare_number(&x.v[i], &y.v[i]) : compare_text(&x.v[i], &y.v[i]);
		if (c != 0)
			return c;
	}
	return (x.n > y.n) - (x.n < y.n);
}

static int
compare_pep440(struct arena *arena, const struct groups *a, const struct groups *b)
{
	bool pa = a->has[5] || a->has[6], pb = b->has[5] || b->has[6];
	static const struct part zero = { "0", 1, true };
	int c;

	if ((c = number_group(a, b, 1)) != 0 ||
	    (c = compare_release(arena, &a->g[2], &b->g[2])) != 0 ||
	    (c = pre_rank(a) - pre_rank(b)) != 0 || (c = number_group(a, b, 4)) != 0)
		return c;
	if (pa != pb)
		return pa ? 1 : -1;
	if (pa && (c = compare_number(a->has[5] ? &a->g[5] : a->has[7] ? &a->g[7] : &zero,
	    b->has[5] ? &b->g[5] : b->has[7] ? &b->g[7] : &zero)) != 0)
		return c;
	if (a->has[8] != b->has[8])
		return a->has[8] ? -1 : 1;
	if ((c = number_group(a, b, 9)) != 0)
		return c;
	return compare_local(arena, a, b);
}

int
version_compare(struct arena *arena, enum version_kind kind, const char *a, size_t alen,
    const char *b, size_t blen, int *ret, struct err *err)
{
	CLEANUP_BUF struct buf la = BUF_INIT, lb = BUF_INIT;
	struct parts x = { NULL, 0 }, y = { NULL, 0 };
	struct groups ga, gb;
	const char *pattern, *what;

	if (kind == VERSION_LOOSE) {
		parse_loose(arena, a, alen, &x);
		parse_loose(arena, b, blen, &y);
		return compare_loose(&x, &y, ret, err);
	}
	pattern = kind == VERSION_STRICT ? re_strict : kind == VERSION_SEMVER ? re_semver : re_pep440;
	what = kind == VERSION_STRICT ? "version number" : kind == VERSION_SEMVER ?
	    "semantic version" : "version";
	if (kind == VERSION_PEP440) {
		uni_lower(&la, a, alen);
		uni_lower(&lb, b, blen);
		a = buf_str(&la);
		alen = la.len;
		b = buf_str(&lb);
		blen = lb.len;
	}
	if (parse_groups(pattern, 0, a, alen, what, &ga, err) != 0 ||
	    parse_groups(pattern, 0, b, blen, what, &gb, err) != 0)
		return -1;
	*ret = kind == VERSION_STRICT ? compare_strict(&ga, &gb) :
	    kind == VERSION_SEMVER ? compare_semver(arena, &ga, &gb) :
	    compare_pep440(arena, &ga, &gb);
	return 0;
}
