/*
 * INI inventories, as Ansible's ini plugin reads them:
 *
 *	host1 ansible_port=2222 note="a text"	# before any section: ungrouped
 *	[web]
 *	web[01:10].example.org
 *	[web:vars]
 *	key = value
 *	[site:children]
 *	web
 *
 * Values are Python literals or texts.  On host lines they are split as a
 * shell would (quotes, backslashes, # begins a comment even inside a word);
 * in :vars sections everything behind the = is the value.
 */
#include <string.h>

#include "base/utf8.h"
#include "inventory/inv.h"

enum section { SECTION_HOSTS, SECTION_CHILDREN, SECTION_VARS, SECTION_BAD };

/* A group that only [x:vars] or [y:children] named so far. */
struct pending {
	const char	*name, *parent;	/* parent NULL: from [name:vars] */
	struct mark	 mark;
};

struct ini {
	struct inventory	*inv;
	struct diags		*diags;
	const struct source	*src;
	uint32_t		 line;
	const char		*start, *s, *end;	/* the line; trimmed: s to end */
	enum section		 section;
	struct group_priv	*group;
	struct names		 declared;	/* by [x], [x:children] or another source */
	struct pending		*pending;
	uint32_t		 npending, cap_pending;
	struct value		*vars;		/* of the host line being read */
};

struct token {
	struct mark	 mark;
	const char	*text;
	size_t		 len;
};

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct mark
mark_of(const struct ini *in, const char *from, const char *to)
{
	struct mark m = { .src = in->src, .line = in->line };

	m.col = (uint32_t)utf8_count(in->start, (size_t)(from - in->start)) + 1;
	m.len = to > from ? (uint32_t)utf8_count(from, (size_t)(to - from)) : 1;
	return m;
}

static struct mark
line_mark(const struct ini *in)
{
	return mark_of(in, in->s, in->end);
}

/* ---- words of a host line ------------------------------------------------------ */

/*
 * The next word from *p, as Python's shlex does: 1, 0 at the end of the line
 * or a comment, -1 with diags.
 */
static int
next_word(struct ini *in, const char **pp, struct token *ret)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *p = *pp, *from, *open;
	char quote = '\0';

	while (p < in->end && is_space(*p))
		p++;
	if (p == in->end || *p == '#')
		return 0;
	from = open = p;
	for (; p < in->end; p++) {
		if (quote == '\0' && (is_space(*p) || *p == '#'))
			break;
		if (quote == *p) {
			quote = '\0';
		} else if (quote == '\0' && (*p == '"' || *p == '\'')) {
			quote = *p;
			open = p;
		} else if (*p == '\\' && quote != '\'') {
			if (p + 1 == in->end) {
				diags_error(in->diags, ERR_SYNTAX,
				    mark_of(in, p, p + 1),
				    "nothing follows the backslash");
				return -1;
			}
			p++;
			if (quote == '"' && *p != '"' && *p != '\\')
				buf_addc(&out, '\\');
			buf_addc(&out, *p);
		} else
			buf_addc(&out, *p);
	}
	if (quote != '\0') {
		err_hint(diags_error(in->diags, ERR_SYNTAX,
		    mark_of(in, open, open + 1), "this quote is never closed"),
		    "a single apostrophe is written \\' outside quotes, or inside "
		    "double quotes");
		return -1;
	}
	if (p < in->end && *p == '#') {
		err_hint(diags_warn(in->diags, mark_of(in, p, in->end),
		    "a comment begins here, in the middle of a word"),
		    "put the value into quotes if '#' belongs to it");
		*pp = in->end;
	} else
		*pp = p;
	ret->mark = mark_of(in, from, p);
	ret->text = arena_strndup(in->inv->arena, buf_str(&out), out.len);
	ret->len = out.len;
	return 1;
}

static const struct value *
value_at(struct ini *in, const char *s, size_t n, struct mark mark)
{
	const struct value *v = literal_value(in->inv->arena, s, n);

	if (in->src->secret)
		v = v_flag(in->inv->arena, v, V_SECRET);
	return v_with_mark(in->inv->arena, v, mark);
}

static void
set_vars(void *arg, struct host_priv *hp)
{
	struct ini *in = arg;
	const struct ventry *e;

	for (uint32_t it = 0; (e = v_next(in->vars, &it)) != NULL;)
		inv_host_var(in->inv, hp, e->key, e->val);
}

/* name=value words behind a host's name into in->vars. */
static int
host_vars(struct ini *in, const char *p)
{
	struct arena *a = in->inv->arena;
	struct token t;
	const char *eq;
	struct mark mark;
	size_t key;
	struct err *e;
	int rc;

	in->vars = v_map(a);
	while ((rc = next_word(in, &p, &t)) == 1) {
		eq = memchr(t.text, '=', t.len);
		if (eq == NULL || eq == t.text) {
			e = diags_error(in->diags, ERR_SYNTAX, t.mark,
			    "expected name=value, not '%.60s'", t.text);
			if (eq == NULL && t.text[0] == ';')
				err_hint(e, "behind a host a comment begins with '#'");
			else if (strcmp(t.text, "=") == 0 || eq == t.text)
				err_hint(e, "write name=value without blanks "
				    "around the '='");
			else
				err_hint(e, "one host a line; quote values with "
				    "blanks: name=\"a b\"");
			return -1;
		}
		key = (size_t)(eq - t.text);
		mark = t.mark;
		if (mark.len > key + 1) {
			mark.col += (uint32_t)key + 1;
			mark.len -= (uint32_t)key + 1;
		}
		v_set(a, in->vars, v_with_mark(a, v_strn(a, t.text, key), t.mark),
		    value_at(in, eq + 1, t.len - key - 1, mark));
	}
	return rc;
}

static void
host_line(struct ini *in)
{
	const char *p = in->s;
	struct token t;

	if (next_word(in, &p, &t) != 1)
		return;
	if (strcmp(t.text, "---") == 0) {
		err_hint(diags_error(in->diags, ERR_SYNTAX, t.mark,
		    "'---' is no host"), "this looks like YAML: name the file *.yml");
		return;
	}
	if (memchr(t.text, '=', t.len) != NULL) {
		err_hint(diags_error(in->diags, ERR_SYNTAX, t.mark,
		    "expected a host, not '%.60s'", t.text),
		    "variables of a group belong below [group:vars]");
		return;
	}
	if (host_vars(in, p) == -1)
		return;
	(void)inv_hosts(in->inv, in->group, t.text, t.mark, set_vars, in, in->diags);
}

/* ---- sections -------------------------------------------------------------------- */

static void
declare(struct ini *in, const char *name)
{
	if (names_get(&in->declared, name) == NULL) {
		char *copy = arena_strdup(in->inv->arena, name);

		names_put(&in->declared, in->inv->arena, copy, copy);
	}
}

static void
await(struct ini *in, const char *name, const char *parent, struct mark mark)
{
	uint32_t cap = in->cap_pending;

	if (in->npending == cap) {
		in->cap_pending = cap == 0 ? 16 : cap * 2;
		in->pending = arena_grow(in->inv->arena, in->pending,
		    cap * sizeof(*in->pending),
		    in->cap_pending * sizeof(*in->pending));
	}
	in->pending[in->npending++] = (struct pending){ name, parent, mark };
}

static void
bad_section(struct ini *in, const char *why)
{
	err_hint(diags_error(in->diags, ERR_SYNTAX, line_mark(in),
	    "this is no section: %s", why),
	    "write [group], [group:vars] or [group:children], without blanks");
	in->section = SECTION_BAD;
}

static enum section
section_kind(struct ini *in, const char *kind, size_t n)
{
	static const char *const kinds[] = { "hosts", "children", "vars", NULL };
	char *word = arena_strndup(in->inv->arena, kind, n);
	const char *near;
	struct err *e;

	for (int i = 0; kinds[i] != NULL; i++)
		if (strcmp(kinds[i], word) == 0)
			return (enum section)i;
	e = diags_error(in->diags, ERR_SYNTAX, mark_of(in, kind, kind + n),
	    "'%.60s' is no kind of section", word);
	if ((near = nearest(word, kinds)) != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "a section is [group], [group:vars] or [group:children]");
	return SECTION_BAD;
}

/* A line that starts with '['. False when it may be a host ("[::1]:22"). */
static bool
section_line(struct ini *in)
{
	const char *close = memchr(in->s, ']', (size_t)(in->end - in->s));
	const char *colon, *name_end, *p;
	struct mark mark;
	char *name;

	if (close == NULL) {
		bad_section(in, "it has no ']'");
		return true;
	}
	colon = memchr(in->s, ':', (size_t)(close - in->s));
	if (close + 1 < in->end && close[1] == ':')
		return false;		/* [address]:port */
	for (p = close + 1; p < in->end && is_space(*p); p++)
		;
	if (p < in->end && *p != '#') {
		if (*p != ';' && p == close + 1)
			return false;	/* [a:b]rest: a range */
		bad_section(in, *p == ';' ? "a comment behind it begins with '#'" :
		    "something follows the ']'");
		return true;
	}
	name_end = colon != NULL ? colon : close;
	for (p = in->s + 1; p < close && !is_space(*p); p++)
		;
	name = arena_strndup(in->inv->arena, in->s + 1,
	    (size_t)(close - in->s - 1));
	if (address_is_v6(name)) {
		err_hint(diags_error(in->diags, ERR_SYNTAX, line_mark(in),
		    "an address in brackets needs a port behind it"),
		    "write %s or [%s]:22", name, name);
		in->section = SECTION_BAD;
		return true;
	}
	if (p < close || name_end == in->s + 1) {
		bad_section(in, p < close ? "it contains a blank" :
		    "the group has no name");
		return true;
	}
	name = arena_strndup(in->inv->arena, in->s + 1,
	    (size_t)(name_end - in->s - 1));
	mark = mark_of(in, in->s + 1, name_end);
	in->section = colon == NULL ? SECTION_HOSTS :
	    section_kind(in, colon + 1, (size_t)(close - colon - 1));
	if (in->section == SECTION_BAD)
		return true;
	if (in->section == SECTION_VARS &&
	    inventory_group(in->inv, name) == NULL)
		await(in, name, NULL, mark);
	else if (in->section != SECTION_VARS)
		declare(in, name);
	in->group = inv_group(in->inv, name, mark, in->diags);
	if (in->group == NULL)
		in->section = SECTION_BAD;
	return true;
}

static void
child_line(struct ini *in)
{
	const char *p = in->s, *rest;
	struct group_priv *child;
	struct mark mark;
	char *name;

	while (p < in->end && !is_space(*p) && *p != '#')
		p++;
	for (rest = p; rest < in->end && is_space(*rest); rest++)
		;
	mark = mark_of(in, in->s, p);
	name = arena_strndup(in->inv->arena, in->s, (size_t)(p - in->s));
	if (p == in->s || (rest < in->end && *rest != '#') ||
	    strchr(name, '=') != NULL) {
		err_hint(diags_error(in->diags, ERR_SYNTAX, line_mark(in),
		    "expected one group's name a line"),
		    "variables of the group belong below [%s:vars]",
		    in->group->g.name);
		return;
	}
	if (inventory_group(in->inv, name) == NULL)
		await(in, name, in->group->g.name, mark);
	child = inv_group(in->inv, name, mark, in->diags);
	if (child != NULL)
		inv_child(in->inv, in->group, child, mark);
}

static void
var_line(struct ini *in)
{
	const char *eq = memchr(in->s, '=', (size_t)(in->end - in->s)), *k, *v;
	struct arena *a = in->inv->arena;
	struct mark key_mark;

	for (k = eq; k != NULL && k > in->s && is_space(k[-1]); k--)
		;
	if (eq == NULL || k == in->s) {
		err_hint(diags_error(in->diags, ERR_SYNTAX, line_mark(in),
		    "expected name=value"), eq == NULL &&
		    memchr(in->s, ':', (size_t)(in->end - in->s)) != NULL ?
		    "in an INI inventory it is '=', not ':'" :
		    "[%s:vars] holds variables; hosts belong below [%s]",
		    in->group->g.name, in->group->g.name);
		return;
	}
	for (v = eq + 1; v < in->end && is_space(*v); v++)
		;
	key_mark = mark_of(in, in->s, k);
	inv_group_var(in->inv, in->group, v_with_mark(a,
	    v_strn(a, in->s, (size_t)(k - in->s)), key_mark),
	    value_at(in, v, (size_t)(in->end - v), mark_of(in, v, in->end)),
	    in->diags);
}

static void
unresolved(struct ini *in)
{
	unsigned shown = 0;

	for (uint32_t i = 0; i < in->npending && shown < 50; i++) {
		const struct pending *p = &in->pending[i];
		const char *best = NULL;
		unsigned dist = 0;
		struct err *e;

		if (names_get(&in->declared, p->name) != NULL)
			continue;
		shown++;
		for (uint32_t k = 0; k < in->inv->ngroups; k++) {
			const char *name = in->inv->groups[k]->g.name;
			bool awaited = false;

			for (uint32_t j = 0; j < in->npending; j++)
				awaited |= strcmp(in->pending[j].name, name) == 0 &&
				    names_get(&in->declared, name) == NULL;
			if (!awaited)
				nearest_try(p->name, name, &best, &dist);
		}
		e = p->parent == NULL ?
		    diags_error(in->diags, ERR_UNDEFINED, p->mark,
		    "variables for the group '%s', which does not exist", p->name) :
		    diags_error(in->diags, ERR_UNDEFINED, p->mark,
		    "'%s' has the child '%s', which does not exist", p->parent,
		    p->name);
		if (best != NULL)
			err_hint(e, "did you mean '%s'?", best);
		else
			err_hint(e, "declare it by a line [%s]", p->name);
	}
}

static void
read_line(struct ini *in)
{
	size_t bad;

	if (in->s == in->end || *in->s == '#' || *in->s == ';')
		return;
	bad = utf8_bad(in->s, (size_t)(in->end - in->s));
	if (in->s + bad < in->end) {
		err_hint(diags_error(in->diags, ERR_SYNTAX,
		    mark_of(in, in->s + bad, in->s + bad + 1),
		    "invalid UTF-8: byte 0x%02x", (unsigned char)in->s[bad]),
		    "save the file as UTF-8");
		return;
	}
	if (memchr(in->s, '\0', (size_t)(in->end - in->s)) != NULL) {
		diags_error(in->diags, ERR_SYNTAX, line_mark(in),
		    "the line holds a NUL byte: this is no text file");
		return;
	}
	if (*in->s == '[' && section_line(in))
		return;
	if (in->section == SECTION_HOSTS)
		host_line(in);
	else if (in->section == SECTION_CHILDREN)
		child_line(in);
	else if (in->section == SECTION_VARS)
		var_line(in);
}

int
ini_read(struct inventory *inv, const struct source *src, struct diags *diags)
{
	struct ini in = { .inv = inv, .diags = diags, .src = src,
	    .group = inv->ungrouped };
	size_t before = diags->nerrors;
	const char *p = src->text, *end = src->text + src->len, *nl;

	for (uint32_t i = 0; i < inv->ngroups; i++)
		declare(&in, inv->groups[i]->g.name);
	if (src->len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		in.line++;
		in.start = in.s = p;
		for (in.end = nl; in.end > in.s && is_space(in.end[-1]); in.end--)
			;
		while (in.s < in.end && is_space(*in.s))
			in.s++;
		read_line(&in);
		if (diags->nerrors - before > 100)
			break;
	}
	unresolved(&in);
	return diags->nerrors > before ? -1 : 0;
}
