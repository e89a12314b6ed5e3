/*
 * lineinfile: one line in a text file.
 *
 * Which line is replaced, or where a new one goes, in this order:
 *	1. the last (firstmatch: first) line that matches regexp or search_string;
 *	2. with neither, or without a match: a line that is the wanted one already;
 *	3. after/before the last (first) line that matches insertafter/insertbefore;
 *	4. the end of the file (the beginning for BOF).
 * With backrefs and no match nothing happens.
 */
#include <string.h>

#include "module/edit.h"
#include "module/re.h"

#define NONE	((size_t)-1)

static const struct mod_arg lineinfile_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest,destfile,name", .doc = "The file." },
	{ .name = "line", .type = ARG_STR, .aliases = "value",
	    .doc = "The line that must be there." },
	{ .name = "regexp", .type = ARG_STR, .aliases = "regex",
	    .doc = "Finds the line to replace or remove (Python's syntax)." },
	{ .name = "search_string", .type = ARG_STR,
	    .doc = "Finds it by this text instead of a pattern." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether the line is there." },
	{ .name = "backrefs", .type = ARG_BOOL, .def = "false",
	    .doc = "line may hold \\1, \\g<name> from regexp; without a match nothing happens." },
	{ .name = "insertafter", .type = ARG_STR,
	    .doc = "Where a new line goes: after the last match of this pattern, or EOF." },
	{ .name = "insertbefore", .type = ARG_STR,
	    .doc = "Where a new line goes: before the last match of this pattern, or BOF." },
	{ .name = "firstmatch", .type = ARG_BOOL, .def = "false",
	    .doc = "Patterns mean the first match instead of the last." },
	{ .name = "create", .type = ARG_BOOL, .def = "false",
	    .doc = "Makes a missing file." },
	EDIT_ARGS,
	{ .name = NULL }
};

static const struct mod_rule lineinfile_rules[] = {
	{ RULE_EXCLUSIVE, "insertbefore,insertafter" },
	{ RULE_EXCLUSIVE, "regexp,search_string" },
	{ RULE_EXCLUSIVE, "backrefs,search_string" },
	{ RULE_IF, "state=present:line" },
	{ RULE_IF_ONE, "state=absent:regexp,search_string,line" },
	{ RULE_IF, "backrefs=true:regexp" },
	{ RULE_END, NULL }
};

struct lineinfile {
	struct lines	 lines;
	const char	*line;
	size_t		 nline;
	const char	*search;
	struct re	*re;		/* regexp */
	struct re	*ins;		/* insertafter or insertbefore, when patterns */
	bool		 after;		/* of ins */
	bool		 first;
	size_t		 hit;		/* line that matched, NONE */
	struct re_match	 match;		/* of regexp in it */
	bool		 matched;	/* by regexp or search_string, not as the line itself */
	size_t		 place;		/* where insertafter/before wants it, NONE */
};

static bool
holds(const struct line *line, const char *text)
{
	return memmem(line->s, line->n, text, strlen(text)) != NULL;
}

/* Step 1: by regexp or search_string. */
static int
find_match(struct mod *m, struct lineinfile *li)
{
	struct re_match match;
	size_t i;
	int rc;

	for (i = 0; i < li->lines.n; i++) {
		const struct line *l = &li->lines.v[i];

		if (li->re != NULL)
			rc = re_search(m, li->re, l->s, l->n, 0, &match);
		else
			rc = li->search != NULL && holds(l, li->search);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		li->hit = i;
		li->match = match;
		li->matched = true;
		if (li->first)
			break;
	}
	return 0;
}

/* Steps 2 and 3: the line itself, and the place for a new one. */
static int
find_place(struct mod *m, struct lineinfile *li)
{
	size_t i;
	int rc;

	for (i = 0; i < li->lines.n; i++) {
		const struct line *l = &li->lines.v[i];

		if (line_is(l, li->line, li->nline)) {
			li->hit = i;
			continue;
		}
		if (li->ins == NULL)
			continue;
		rc = re_search(m, li->ins, l->s, l->n, 0, NULL);
		if (rc == -1)
			return -1;
		if (rc == 1) {
			li->place = li->after ? i + 1 : i;
			if (li->first)
				break;
		}
	}
	return 0;
}

static void
insert(struct lineinfile *li, size_t at, const char *s, size_t n)
{
	char *copy = arena_alloc(li->lines.arena, n + 1);

	memcpy(copy, s, n);
	copy[n] = '\n';
	lines_end_at(&li->lines, at);
	lines_insert(&li->lines, at, copy, n + 1);
}

/* The found line becomes the wanted one. */
static int
replace_hit(struct mod *m, struct lineinfile *li, const char **ret_msg)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	struct line *hit = &li->lines.v[li->hit];

	if (mod_arg_bool(m, "backrefs") && li->matched) {
		if (re_expand(m, li->re, &li->match, hit->s, li->line, &new) == -1)
			return -1;
	} else
		buf_add(&new, li->line, li->nline);
	if (new.len == 0 || new.data[new.len - 1] != '\n')
		buf_addc(&new, '\n');
	if (hit->n == new.len && memcmp(hit->s, new.data, new.len) == 0)
		return 0;
	hit->s = buf_dup(&new, m->arena);
	hit->n = new.len;
	*ret_msg = "line replaced";
	return 0;
}

static int
present(struct mod *m, struct lineinfile *li, const char **ret_msg)
{
	const struct line *there;

	if (find_match(m, li) == -1 ||
	    (!li->matched && find_place(m, li) == -1))
		return -1;
	if (li->hit != NONE)
		return replace_hit(m, li, ret_msg);
	if (mod_arg_bool(m, "backrefs"))
		return 0;
	*ret_msg = "line added";
	if (mod_arg_is(m, "insertbefore", "BOF") ||
	    mod_arg_is(m, "insertafter", "BOF")) {
		insert(li, 0, li->line, li->nline);
	} else if (li->place == NONE) {
		insert(li, li->lines.n, li->line, li->nline);
	} else {
		/* a line of several lines may be there already */
		there = li->place < li->lines.n ? &li->lines.v[li->place] : NULL;
		if (li->after && there != NULL &&
		    line_is(there, li->line, li->nline))
			*ret_msg = "";
		else
			insert(li, li->place, li->line, li->nline);
	}
	return 0;
}

static int
absent(struct mod *m, struct lineinfile *li, size_t *ret_found)
{
	size_t i, kept = 0;
	int rc;

	for (i = 0; i < li->lines.n; i++) {
		const struct line *l = &li->lines.v[i];

		if (li->re != NULL)
			rc = re_search(m, li->re, l->s, l->n, 0, NULL);
		else if (li->search != NULL)
			rc = holds(l, li->search);
		else
			rc = line_is(l, li->line, li->nline);
		if (rc == -1)
			return -1;
		if (rc == 0)
			li->lines.v[kept++] = *l;
	}
	*ret_found = li->lines.n - kept;
	li->lines.n = kept;
	return 0;
}

static int
compile(struct mod *m, struct lineinfile *li)
{
	const char *regexp = mod_arg_str(m, "regexp"), *ins;

	li->line = mod_arg_str(m, "line");
	if (li->line == NULL)
		li->line = "";
	li->nline = strlen(li->line);
	li->search = mod_arg_str(m, "search_string");
	li->first = mod_arg_bool(m, "firstmatch");
	li->hit = li->place = NONE;
	if (regexp != NULL) {
		if (*regexp == '\0')
			mod_warn(m, "the regular expression is an empty string: it matches every line");
		li->re = re_compile(m, "regexp", regexp, 0);
		if (li->re == NULL)
			return -1;
	}
	ins = mod_arg_str(m, "insertafter");
	li->after = ins != NULL;
	if (ins == NULL)
		ins = mod_arg_str(m, "insertbefore");
	if (ins == NULL || strcmp(ins, "BOF") == 0 ||
	    (li->after && strcmp(ins, "EOF") == 0))
		return 0;
	li->ins = re_compile(m, li->after ? "insertafter" : "insertbefore", ins, 0);
	return li->ins == NULL ? -1 : 0;
}

static int
work(struct mod *m, struct lineinfile *li, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *msg = "";
	bool is_absent = mod_arg_is(m, "state", "absent");
	size_t found = 0;
	int rc;

	if (compile(m, li) == -1)
		return -1;
	rc = edit_open(m, e);
	if (rc == -1)
		return -1;
	if (rc == 1 && is_absent) {
		mod_set_int(m, "found", 0);
		mod_set_str(m, "msg", "file not present");
		return 0;
	}
	if (rc == 1 && !mod_arg_bool(m, "create"))
		return edit_missing(m, e);
	lines_split(&li->lines, m->arena, e->old.data, e->old.len);
	if (is_absent) {
		if (absent(m, li, &found) == -1)
			return -1;
		mod_set_int(m, "found", (int64_t)found);
		if (found > 0)
			msg = arena_printf(m->arena, "%zu line(s) removed", found);
	} else if (present(m, li, &msg) == -1)
		return -1;
	lines_join(&li->lines, &new);
	mod_set_str(m, "msg", msg);
	mod_set_str(m, "backup", "");
	if (edit_commit(m, e, &new) == -1)
		return -1;
	if (*msg == '\0' && m->changed)
		mod_set_str(m, "msg", "ownership, perms or SE linux context changed");
	if (v_gets(m->result, "backup_file") != NULL)
		mod_set(m, "backup", v_gets(m->result, "backup_file"));
	return 0;
}

static int
lineinfile_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };
	struct lineinfile li = { 0 };
	int rc;

	rc = work(m, &li, &e);
	re_free(li.re);
	re_free(li.ins);
	return rc;
}

const struct module lineinfile_module = {
	.name = "lineinfile", .collection = "ansible.builtin",
	.summary = "Sees to one line of a text file.",
	.doc =
	    "Patterns have the syntax and meaning of Python's re; they are\n"
	    "searched in each line, the last match counts.",
	.examples =
	    "- lineinfile:\n"
	    "    path: /etc/ssh/sshd_config\n"
	    "    regexp: '^#?PermitRootLogin'\n"
	    "    line: PermitRootLogin prohibit-password\n"
	    "    validate: sshd -t -f %s\n"
	    "- lineinfile:\n"
	    "    path: /etc/hosts\n"
	    "    line: 10.0.0.5 db\n",
	.returns =
	    "msg: what was done (\"line added\", \"line replaced\" …)\n"
	    "found: lines removed (state absent)\n"
	    "backup: name of the kept old file\n",
	.args = lineinfile_args, .rules = lineinfile_rules,
	.flags = MOD_FILE_ATTRS, .run = lineinfile_run,
};
