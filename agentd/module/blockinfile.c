/*
 * blockinfile: several lines between two marker lines.
 */
#include <string.h>

#include "module/edit.h"
#include "module/re.h"

#define NONE	((size_t)-1)

static const struct mod_arg blockinfile_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest,destfile,name", .doc = "The file." },
	{ .name = "block", .type = ARG_STR, .aliases = "content", .def = "",
	    .doc = "The lines; empty: the block is removed." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether the block is there." },
	{ .name = "marker", .type = ARG_STR,
	    .def = "# {mark} ANSIBLE MANAGED BLOCK",
	    .doc = "Line around the block; {mark} becomes marker_begin and marker_end." },
	{ .name = "marker_begin", .type = ARG_STR, .def = "BEGIN",
	    .doc = "Word in the marker before the block." },
	{ .name = "marker_end", .type = ARG_STR, .def = "END",
	    .doc = "Word in the marker after the block." },
	{ .name = "insertafter", .type = ARG_STR,
	    .doc = "Where a new block goes: after the last match of this pattern, or EOF." },
	{ .name = "insertbefore", .type = ARG_STR,
	    .doc = "Where a new block goes: before the last match of this pattern, or BOF." },
	{ .name = "create", .type = ARG_BOOL, .def = "false",
	    .doc = "Makes a missing file." },
	{ .name = "append_newline", .type = ARG_BOOL, .def = "false",
	    .doc = "A blank line after the block." },
	{ .name = "prepend_newline", .type = ARG_BOOL, .def = "false",
	    .doc = "A blank line before the block." },
	EDIT_ARGS,
	{ .name = NULL }
};

static const struct mod_rule blockinfile_rules[] = {
	{ RULE_EXCLUSIVE, "insertbefore,insertafter" }, { RULE_END, NULL }
};

/* The marker line (with newline) for a word. */
static const char *
marker(struct mod *m, const char *word)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s = mod_arg_str(m, "marker"), *hit;

	for (; (hit = strstr(s, "{mark}")) != NULL; s = hit + 6) {
		buf_add(&b, s, (size_t)(hit - s));
		buf_adds(&b, word);
	}
	buf_adds(&b, s);
	buf_addc(&b, '\n');
	return buf_dup(&b, m->arena);
}

/* Where insertafter or insertbefore wants a new block. */
static int
find_place(struct mod *m, const struct edit *e, const struct lines *l,
    size_t *ret)
{
	const char *after = mod_arg_str(m, "insertafter");
	const char *before = mod_arg_str(m, "insertbefore");
	const char *pattern = after != NULL ? after : before;
	size_t i, place = NONE;
	struct re_match match;
	struct re *re;
	int rc = 0;

	*ret = l->n;
	if (pattern == NULL || (after != NULL && strcmp(after, "EOF") == 0))
		return 0;
	if (before != NULL && strcmp(before, "BOF") == 0) {
		*ret = 0;
		return 0;
	}
	re = re_compile(m, after != NULL ? "insertafter" : "insertbefore",
	    pattern, 0);
	if (re == NULL)
		return -1;
	if (re_is_multiline(re)) {	/* (?m): over the whole text */
		rc = re_search(m, re, e->old.data, e->old.len, 0, &match);
		if (rc == 1) {
			size_t end = after != NULL ? match.end[0] : match.start[0];

			place = 0;
			for (i = 0; i < end; i++)
				place += e->old.data[i] == '\n';
			if (after != NULL)
				place++;
		}
	} else {
		for (i = 0; i < l->n && rc != -1; i++) {
			rc = re_search(m, re, l->v[i].s, l->v[i].n, 0, NULL);
			if (rc == 1)
				place = after != NULL ? i + 1 : i;
		}
	}
	re_free(re);
	if (place != NONE)
		*ret = place < l->n ? place : l->n;
	return rc == -1 ? -1 : 0;
}

static bool
is_blank(const struct line *line)
{
	return line_len(line) == 0;
}

/* Takes the old block out and returns where it was, or where a new one goes. */
static int
take_out(struct mod *m, const struct edit *e, struct lines *l,
    const char *begin, const char *end, size_t *ret_at)
{
	size_t i, n0 = NONE, n1 = NONE, swap;

	for (i = 0; i < l->n; i++) {
		if (line_is(&l->v[i], begin, strlen(begin) - 1))
			n0 = i;
		if (line_is(&l->v[i], end, strlen(end) - 1))
			n1 = i;
	}
	if (n0 == NONE || n1 == NONE)
		return find_place(m, e, l, ret_at);
	if (n1 < n0) {
		swap = n0;
		n0 = n1;
		n1 = swap;
	}
	lines_delete(l, n0, n1 + 1);
	*ret_at = n0;
	return 0;
}

static void
put_in(struct mod *m, struct lines *l, size_t at, const char *begin,
    const char *end)
{
	const char *block = mod_arg_str(m, "block");
	size_t n = strlen(block), last;

	if (mod_arg_bool(m, "prepend_newline") && at > 0 &&
	    !is_blank(&l->v[at - 1]))
		lines_insert(l, at++, "\n", 1);
	if (block[n - 1] != '\n')
		block = arena_printf(m->arena, "%s\n", block);
	lines_insert(l, at, begin, strlen(begin));
	lines_insert(l, at + 1, block, strlen(block));
	lines_insert(l, at + 2, end, strlen(end));
	last = at + 3;
	if (mod_arg_bool(m, "append_newline") && last < l->n &&
	    !is_blank(&l->v[last]))
		lines_insert(l, last, "\n", 1);
}

static int
work(struct mod *m, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *begin = marker(m, mod_arg_str(m, "marker_begin"));
	const char *end = marker(m, mod_arg_str(m, "marker_end"));
	const char *block = mod_arg_str(m, "block"), *msg;
	bool want = mod_arg_is(m, "state", "present");
	struct lines l;
	size_t at;
	int rc;

	if (strcmp(begin, end) == 0)
		return mod_fail(m, "the markers of begin and end are the same: marker must hold {mark}");
	rc = edit_open(m, e);
	if (rc == -1)
		return -1;
	if (rc == 1 && !want) {
		mod_set_str(m, "msg", arena_printf(m->arena,
		    "File %s not present", e->given));
		return 0;
	}
	if (rc == 1 && !mod_arg_bool(m, "create"))
		return edit_missing(m, e);
	want = want && block != NULL && *block != '\0';
	lines_split(&l, m->arena, e->old.data, e->old.len);
	if (take_out(m, e, &l, begin, end, &at) == -1)
		return -1;
	if (want) {
		lines_end_at(&l, at);
		put_in(m, &l, at, begin, end);
	}
	lines_join(&l, &new);
	msg = !e->exists ? "File created" : want ? "Block inserted" :
	    "Block removed";
	if (e->exists && new.len == e->old.len && (new.len == 0 ||
	    memcmp(new.data, e->old.data, new.len) == 0))
		msg = "";
	if (edit_commit(m, e, &new) == -1)
		return -1;
	if (*msg == '\0' && m->changed)
		msg = "ownership, perms or SE linux context changed";
	mod_set_str(m, "msg", msg);
	return 0;
}

static int
blockinfile_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module blockinfile_module = {
	.name = "blockinfile", .collection = "ansible.builtin",
	.summary = "Sees to a block of lines between two marker lines.",
	.doc = "Several blocks in one file need different markers.",
	.examples =
	    "- blockinfile:\n"
	    "    path: /etc/hosts\n"
	    "    marker: '# {mark} application'\n"
	    "    block: |\n"
	    "      10.0.0.5 db\n"
	    "      10.0.0.6 server\n",
	.returns =
	    "msg: what was done (\"Block inserted\", \"Block removed\" …)\n"
	    "backup_file: name of the kept old file\n",
	.args = blockinfile_args, .rules = blockinfile_rules,
	.flags = MOD_FILE_ATTRS, .run = blockinfile_run,
};
