/*
 * Host patterns, as Ansible reads them.
 *
 * Parts are separated by commas, or by colons when there is no comma (and it
 * is no address).  Whatever their order: first all plain parts are added up,
 * then the & parts narrow the result, then the ! parts are taken out.  A part
 * names a host, or groups and hosts by a glob or by ~ and a regular
 * expression; [n] and [a:b] behind it choose from its hosts.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <string.h>

#include "inventory/inv.h"
#include "yaml/files.h"

#define PARTS_MAX	10000u
#define LIMIT_FILE_MAX	((size_t)4 * 1024 * 1024)

struct hostset {
	struct host	**v;
	uint32_t	 n, cap;
};

struct matcher {
	struct inventory	*inv;
	struct arena		*arena;
	struct err		*err;
	const char		**parts;
	uint32_t		 nparts;
	const char		*unmatched;
};

static void
set_add(struct matcher *m, struct hostset *set, struct host *h)
{
	if (set->n == set->cap) {
		uint32_t old = set->cap;

		set->cap = old == 0 ? 16 : old * 2;
		set->v = arena_grow(m->arena, set->v, old * sizeof(*set->v),
		    set->cap * sizeof(*set->v));
	}
	set->v[set->n++] = h;
}

/* ---- globs ------------------------------------------------------------------------ */

/* Behind '[': does the class hold c, and where does it end? NULL: no class, '[' is itself. */
static const char *
class_match(const char *p, char c, bool *ret)
{
	bool negated = *p == '!', found = false;
	const char *start;

	if (negated)
		p++;
	for (start = p; *p != '\0' && (*p != ']' || p == start); p++) {
		if (p[1] == '-' && p[2] != ']' && p[2] != '\0') {
			found |= p[0] <= c && c <= p[2];
			p += 2;
		} else
			found |= *p == c;
	}
	if (*p != ']')
		return NULL;
	*ret = found != negated;
	return p + 1;
}

/* Python's fnmatch: *, ?, [abc], [!abc]; no escapes. */
static bool
glob_match(const char *p, const char *s)
{
	const char *star = NULL, *back = NULL, *next;
	bool ok;

	for (;;) {
		if (*p == '*') {
			star = ++p;
			back = s;
			continue;
		}
		if (*s == '\0' && *p == '\0')
			return true;
		ok = false;
		if (*s != '\0' && *p != '\0') {
			if (*p == '[' && (next = class_match(p + 1, *s, &ok)) != NULL)
				p = ok ? next : p;
			else if ((ok = *p == '?' || *p == *s))
				p++;
		}
		if (ok) {
			s++;
			continue;
		}
		if (star == NULL || *back == '\0')
			return false;
		p = star;
		s = ++back;
	}
}

/* ---- one part ---------------------------------------------------------------------- */

struct test {
	const char		*text;
	pcre2_code		*code;		/* of ~regex */
	pcre2_match_data	*data;
};

static int
test_init(struct matcher *m, struct test *t, const char *text)
{
	PCRE2_UCHAR why[120];
	PCRE2_SIZE off;
	int code;

	memset(t, 0, sizeof(*t));
	t->text = text;
	if (text[0] != '~')
		return 0;
	t->code = pcre2_compile((PCRE2_SPTR)text + 1, PCRE2_ZERO_TERMINATED,
	    PCRE2_UTF | PCRE2_ANCHORED, &code, &off, NULL);
	if (t->code == NULL) {
		(void)pcre2_get_error_message(code, why, sizeof(why));
		return err_set(m->err, ERR_SYNTAX, "the regular expression '%s' of "
		    "the host pattern is wrong at character %zu: %s", text + 1,
		    off + 1, (const char *)why);
	}
	t->data = pcre2_match_data_create_from_pattern(t->code, NULL);
	return 0;
}

static void
test_release(struct test *t)
{
	pcre2_match_data_free(t->data);
	pcre2_code_free(t->code);
}

static bool
test_name(const struct test *t, const char *name)
{
	if (t->code == NULL)
		return glob_match(t->text, name);
	return pcre2_match(t->code, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0,
	    t->data, NULL) >= 0;
}

static void
add_group(struct matcher *m, struct hostset *set, struct group_priv *gp)
{
	uint32_t n;
	struct host **v = inv_group_hosts(m->inv, gp, &n);

	for (uint32_t i = 0; i < n; i++)
		set_add(m, set, v[i]);
}

/* Drops repetitions, keeping the first of each. */
static void
set_unique(struct matcher *m, struct hostset *set)
{
	uint32_t stamp = ++m->inv->stamp, n = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		struct host_priv *hp = (struct host_priv *)set->v[i];

		if (hp->stamp != stamp) {
			hp->stamp = stamp;
			set->v[n++] = set->v[i];
		}
	}
	set->n = n;
}

/* A part without subscript: all hosts it names. */
static int
enumerate(struct matcher *m, const char *text, struct hostset *set)
{
	struct inventory *inv = m->inv;
	struct group_priv *gp = names_get(&inv->group_names, text);
	bool any_group = gp != NULL;
	bool special = text[0] == '~' || strpbrk(text, "?*[") != NULL;
	struct host *h;
	struct test t;

	if (!special) {
		if (gp != NULL)
			add_group(m, set, gp);
		if ((gp == NULL || strchr(text, '.') != NULL) &&
		    (h = inventory_host(inv, text)) != NULL)
			set_add(m, set, h);
	} else {
		if (test_init(m, &t, text) == -1)
			return -1;
		for (uint32_t i = 0; i < inv->ngroups; i++)
			if (test_name(&t, inv->groups[i]->g.name)) {
				add_group(m, set, inv->groups[i]);
				any_group = true;
			}
		for (uint32_t i = 0; i < inv->nhosts; i++)
			if (test_name(&t, inv->hosts[i]->h.name))
				set_add(m, set, &inv->hosts[i]->h);
		test_release(&t);
	}
	set_unique(m, set);
	if (set->n == 0 && !any_group && m->unmatched == NULL)
		m->unmatched = text;
	return 0;
}

/* name[1], name[-1], name[0:2], name[1:]: the length before the subscript, 0 when there is none. */
static size_t
subscript(const char *s, long *ret_from, long *ret_to, bool *ret_range)
{
	size_t n = strlen(s), open;
	const char *p;
	char *end;

	if (s[0] == '~' || n < 4 || s[n - 1] != ']')
		return 0;
	for (open = n - 1; open > 0 && s[open] != '['; open--)
		;
	if (open == 0)
		return 0;
	p = s + open + 1;
	if (strspn(p + (*p == '-' ? 1 : 0), "0123456789") == 0)
		return 0;
	*ret_from = strtol(p, &end, 10);
	*ret_range = false;
	if (end == s + n - 1)
		return open;
	if (*p == '-' || (*end != ':' && *end != '-'))
		return 0;
	p = end + 1;
	*ret_range = true;
	*ret_to = -1;
	if (p == s + n - 1)
		return open;
	if (strspn(p, "0123456789") != (size_t)(s + n - 1 - p))
		return 0;
	*ret_to = strtol(p, &end, 10);
	return open;
}

static int
match_part(struct matcher *m, const char *text, struct hostset *set)
{
	long from, to;
	bool range;
	size_t n = subscript(text, &from, &to, &range);
	long count;

	if (n == 0)
		return enumerate(m, text, set);
	if (enumerate(m, arena_strndup(m->arena, text, n), set) == -1)
		return -1;
	count = (long)set->n;
	if (count == 0)
		return 0;
	if (!range) {
		if (from < 0)
			from += count;
		if (from < 0 || from >= count)
			return err_set(m->err, ERR_INVALID,
			    "the host pattern '%s' asks for a host beyond the %ld "
			    "that there are (the first is [0])", text, count);
		to = from;
	} else if (to == -1 || to >= count)
		to = count - 1;
	if (from > to) {
		set->n = 0;
		return 0;
	}
	set->v += from;
	set->n = (uint32_t)(to - from + 1);
	return 0;
}

/* ---- splitting ---------------------------------------------------------------------- */

static int add_parts(struct matcher *, const char *pattern, unsigned depth);

/* @file: patterns, one a line. */
static int
add_limit_file(struct matcher *m, const char *path, unsigned depth)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char *save = NULL, *line, *text;

	buf_init(&b, LIMIT_FILE_MAX);
	if (file_read(&b, path) == -1)
		return err_errno(m->err, "cannot read the host patterns in '%s'",
		    path);
	text = arena_strndup(m->arena, buf_str(&b), b.len);
	for (line = strtok_r(text, "\r\n", &save); line != NULL;
	    line = strtok_r(NULL, "\r\n", &save))
		if (add_parts(m, line, depth + 1) == -1)
			return -1;
	return 0;
}

static int
add_part(struct matcher *m, const char *s, size_t n, unsigned depth)
{
	uint32_t old = m->nparts;
	char *part;

	while (n > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	if (n == 0)
		return 0;
	part = arena_strndup(m->arena, s, n);
	if (part[0] == '@' && depth == 0)
		return add_limit_file(m, part + 1, depth);
	if ((part[0] == '!' || part[0] == '&') && n == 1)
		return err_set(m->err, ERR_SYNTAX,
		    "nothing follows the '%c' of the host pattern", part[0]);
	if (old >= PARTS_MAX)
		return err_set(m->err, ERR_LIMIT,
		    "the host pattern has more than %u parts", PARTS_MAX);
	if ((old & (old - 1)) == 0)
		m->parts = arena_grow(m->arena, m->parts,
		    old * sizeof(*m->parts), (old == 0 ? 1 : old * 2) *
		    sizeof(*m->parts));
	m->parts[m->nparts++] = part;
	return 0;
}

/* host:22 or an IPv6 address: its colons separate nothing. */
static bool
is_address(struct matcher *m, const char *s)
{
	const char *host;
	int port;

	if (address_split(m->arena, s, &host, &port, NULL) == -1)
		return false;
	return address_is_v6(host) || (port > 0 && inventory_name_ok(host) &&
	    strchr(host, ':') == NULL && inventory_group(m->inv, host) == NULL);
}

static int
add_parts(struct matcher *m, const char *pattern, unsigned depth)
{
	bool commas = strchr(pattern, ',') != NULL;
	const char *p = pattern, *start = pattern;
	bool inside = false;

	if (!commas && is_address(m, pattern))
		return add_part(m, pattern, strlen(pattern), depth);
	for (;; p++) {
		if (!commas && *p == '[')
			inside = true;
		else if (!commas && *p == ']')
			inside = false;
		if (*p == '\0' || (commas ? *p == ',' : !inside && (*p == ':' ||
		    *p == ' ' || *p == '\t'))) {
			if (add_part(m, start, (size_t)(p - start), depth) == -1)
				return -1;
			start = p + 1;
		}
		if (*p == '\0')
			break;
	}
	return inside ? err_set(m->err, ERR_SYNTAX,
	    "the host pattern '%s' has a '[' that is not closed", pattern) : 0;
}

/* ---- the whole ------------------------------------------------------------------------ */

/* Keeps the hosts of the result that are (or are not) in the set. */
static void
filter(struct matcher *m, struct hostset *result, const struct hostset *set,
    bool keep)
{
	uint32_t stamp = ++m->inv->stamp, n = 0;

	for (uint32_t i = 0; i < set->n; i++)
		((struct host_priv *)set->v[i])->stamp = stamp;
	for (uint32_t i = 0; i < result->n; i++)
		if ((((struct host_priv *)result->v[i])->stamp == stamp) == keep)
			result->v[n++] = result->v[i];
	result->n = n;
}

static int
evaluate(struct matcher *m, struct hostset *result)
{
	static const char kinds[] = " &!";
	struct hostset set;
	struct host *h;
	bool plain = false;

	for (uint32_t i = 0; i < m->nparts; i++)
		plain |= strchr("&!", m->parts[i][0]) == NULL;
	if (!plain)
		add_group(m, result, m->inv->all);
	for (const char *k = kinds; *k != '\0'; k++)
		for (uint32_t i = 0; i < m->nparts; i++) {
			const char *part = m->parts[i];
			bool modified = strchr("&!", part[0]) != NULL;

			if (*k != (modified ? part[0] : ' '))
				continue;
			memset(&set, 0, sizeof(set));
			if (!modified && (h = names_get(&m->inv->host_names,
			    part)) != NULL) {
				set_add(m, result, h);
				continue;
			}
			if (match_part(m, part + modified, &set) == -1)
				return -1;
			if (modified)
				filter(m, result, &set, *k == '&');
			else
				for (uint32_t j = 0; j < set.n; j++)
					set_add(m, result, set.v[j]);
		}
	set_unique(m, result);
	return 0;
}

int
inventory_match(struct inventory *inv, struct arena *arena, const char *pattern,
    struct host ***ret, uint32_t *nret, const char **ret_unmatched,
    struct err *err)
{
	struct matcher m = { .inv = inv, .arena = arena, .err = err };
	struct hostset result = { 0 };

	if (add_parts(&m, pattern, 0) == -1)
		return -1;
	if (m.nparts == 0)
		return err_set(err, ERR_INVALID, "the host pattern is empty");
	if (evaluate(&m, &result) == -1)
		return -1;
	if (result.v == NULL)
		result.v = ARENA_ARRAY(arena, 1, struct host *);
	*ret = result.v;
	*nret = result.n;
	if (ret_unmatched != NULL)
		*ret_unmatched = m.unmatched;
	return 0;
}
