/*
 * replace: all matches of a pattern in a file, or in a part of it.
 */
#include <string.h>

#include "base/utf8.h"
#include "module/edit.h"
#include "module/re.h"

static const struct mod_arg replace_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest,destfile,name", .doc = "The file." },
	{ .name = "regexp", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "What to replace (Python's syntax; ^ and $ mean every line)." },
	{ .name = "replace", .type = ARG_STR, .def = "",
	    .doc = "What it becomes; may hold \\1, \\g<name>." },
	{ .name = "after", .type = ARG_STR,
	    .doc = "Only in the text after the first match of this pattern." },
	{ .name = "before", .type = ARG_STR,
	    .doc = "Only in the text before the first match of this pattern." },
	EDIT_ARGS,
	{ .name = NULL }
};

/* The part that after and before leave: 1 found, 0 not, -1 after mod_fail. */
static int
find_section(struct mod *m, const struct buf *text, unsigned flags,
    size_t *ret_start, size_t *ret_end)
{
	const char *after = mod_arg_str(m, "after");
	const char *before = mod_arg_str(m, "before");
	struct re_match match;
	struct re *re;
	int rc, group;

	*ret_start = 0;
	*ret_end = text->len;
	if (after == NULL && before == NULL)
		return 1;
	re = re_compile(m, "after/before", arena_printf(m->arena,
	    "%s(?P<subsection>.*%s)%s", after != NULL ? after : "",
	    after != NULL && before != NULL ? "?" : "",
	    before != NULL ? before : ""), flags | RE_DOTALL);
	if (re == NULL)
		return -1;
	rc = re_search(m, re, text->data, text->len, 0, &match);
	group = re_group(re, "subsection");
	if (rc == 1 && group > 0) {
		*ret_start = match.start[group];
		*ret_end = match.end[group];
	}
	re_free(re);
	return rc;
}

static int
work(struct mod *m, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	size_t start, end;
	unsigned flags;
	struct re *re;
	uint32_t n;
	int rc;

	rc = edit_open(m, e);
	if (rc == -1)
		return -1;
	if (rc == 1)
		return edit_missing(m, e);
	flags = utf8_valid(e->old.data, e->old.len) ? RE_TEXT : 0;
	(void)buf_str(&e->old);
	rc = find_section(m, &e->old, flags, &start, &end);
	if (rc == -1)
		return -1;
	if (rc == 0) {
		mod_set_str(m, "msg", arena_printf(m->arena,
		    "Pattern for before/after params did not match the given file: %s",
		    e->given));
		return fs_attrs_apply(m, e->path, &e->attrs, true);
	}
	re = re_compile(m, "regexp", mod_arg_str(m, "regexp"),
	    flags | RE_MULTILINE);
	if (re == NULL)
		return -1;
	new.max = FS_READ_MAX * 2;
	buf_add(&new, e->old.data, start);
	rc = re_sub(m, re, mod_arg_str(m, "replace"), e->old.data + start,
	    end - start, &new, &n);
	re_free(re);
	if (rc == -1)
		return -1;
	buf_add(&new, e->old.data + end, e->old.len - end);
	if (new.len == e->old.len &&
	    (new.len == 0 || memcmp(new.data, e->old.data, new.len) == 0))
		n = 0;
	mod_set_int(m, "rc", 0);
	if (edit_commit(m, e, &new) == -1)
		return -1;
	mod_set_str(m, "msg", n > 0 ? arena_printf(m->arena,
	    "%u replacements made", n) : m->changed ?
	    "ownership, perms or SE linux context changed" : "");
	return 0;
}

static int
replace_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module replace_module = {
	.name = "replace", .collection = "ansible.builtin",
	.summary = "Replaces all matches of a pattern in a file.",
	.doc =
	    "The task must make itself unneeded: the pattern should not match\n"
	    "what it was replaced by.",
	.examples =
	    "- replace:\n"
	    "    path: /etc/hosts\n"
	    "    regexp: '(\\s+)old\\.example\\.com(\\s|$)'\n"
	    "    replace: '\\1new.example.com\\2'\n",
	.returns =
	    "msg: how many replacements were made\n"
	    "backup_file: name of the kept old file\n",
	.args = replace_args, .flags = MOD_FILE_ATTRS, .run = replace_run,
};
