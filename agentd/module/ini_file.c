/*
 * ini_file: one option of an INI file, or a section.
 *
 * Lines are kept as they are; only those that must change do.  In the section,
 * lines that set the option (commented-out ones too, they are the example next
 * to which people expect the value) are used up in this order:
 *	1. those that have one of the wanted values already;
 *	2. with exclusive, any other, for a value that is still missing;
 *	3. with exclusive, active ones that are left over are deleted;
 *	4. what is missing still goes to the end of the section.
 */
#include <ctype.h>
#include <string.h>

#include "module/edit.h"

static const struct mod_arg ini_file_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest", .doc = "The file." },
	{ .name = "section", .type = ARG_STR,
	    .doc = "The section, made when missing; without it: before the first one." },
	{ .name = "option", .type = ARG_STR,
	    .doc = "The option; without it the section as a whole." },
	{ .name = "value", .type = ARG_STR, .doc = "Its value." },
	{ .name = "values", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Several values: the option several times." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "absent,present", .doc = "Whether it is there." },
	{ .name = "exclusive", .type = ARG_BOOL, .def = "true",
	    .doc = "Other values of the option go." },
	{ .name = "allow_no_value", .type = ARG_BOOL, .def = "false",
	    .doc = "The option stands alone, without =." },
	{ .name = "no_extra_spaces", .type = ARG_BOOL, .def = "false",
	    .doc = "No blanks around =." },
	{ .name = "ignore_spaces", .type = ARG_BOOL, .def = "false",
	    .doc = "A line that differs in blanks around = only is left." },
	{ .name = "modify_inactive_option", .type = ARG_BOOL, .def = "true",
	    .doc = "A commented-out line of the option may become the active one." },
	{ .name = "create", .type = ARG_BOOL, .def = "true",
	    .doc = "Makes a missing file." },
	{ .name = "follow", .type = ARG_BOOL, .def = "true",
	    .flags = ARG_IGNORED, .doc = "Links are always followed." },
	{ .name = "section_has_values", .type = ARG_LIST, .of = ARG_MAP,
	    .flags = ARG_UNSUPPORTED, .doc = "Choice among sections of the same name." },
	EDIT_ARGS,
	{ .name = NULL }
};

static const struct mod_rule ini_file_rules[] = {
	{ RULE_EXCLUSIVE, "value,values" }, { RULE_END, NULL }
};

struct ini {
	struct lines	 l;
	const char	*section, *option;
	const char	**left;
	uint32_t	 nvalues;
	bool		 no_value, inactive, spaces_free;
	const char	*equals;	/* " = " or "=" */
	size_t		 from, to;	/* the section's lines, without its header */
	bool		 found;
	bool		*done;		/* of lines from..to: already used */
	const char	*msg;
};

/* The value of a line that sets the option; false when it does not. */
static bool
match_option(const struct ini *ini, const struct line *line, bool inactive,
    const char **ret, size_t *ret_n)
{
	const char *p = line->s, *end = p + line->n;
	size_t n = strlen(ini->option);

	if (end > p && end[-1] == '\n')
		end--;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (inactive && p < end && (*p == '#' || *p == ';'))
		p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if ((size_t)(end - p) < n || memcmp(p, ini->option, n) != 0)
		return false;
	p += n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p < end && *p != '=')
		return false;
	if (p < end)
		p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	*ret = p;
	*ret_n = (size_t)(end - p);
	return true;
}

static bool
is_header(const struct line *line)
{
	return line->n > 0 && line->s[0] == '[';
}

static bool
is_our_header(const struct ini *ini, const struct line *line)
{
	const char *p = line->s + 1, *end = line->s + line->n;
	const char *name = ini->section;
	size_t n;

	if (!is_header(line))
		return false;
	while (p < end && isspace((unsigned char)*p))
		p++;
	while (isspace((unsigned char)*name))
		name++;
	n = strlen(name);
	while (n > 0 && isspace((unsigned char)name[n - 1]))
		n--;
	if ((size_t)(end - p) < n || memcmp(p, name, n) != 0)
		return false;
	for (p += n; p < end && isspace((unsigned char)*p); p++)
		;
	return p < end && *p == ']';
}

static void
find_section(struct ini *ini)
{
	size_t i = 0;

	if (ini->section != NULL && *ini->section != '\0') {
		while (i < ini->l.n && !is_our_header(ini, &ini->l.v[i]))
			i++;
		ini->found = i < ini->l.n;
		i += ini->found;
	} else
		ini->found = true;
	ini->from = i;
	while (i < ini->l.n && !is_header(&ini->l.v[i]))
		i++;
	ini->to = i;
}

/* A line of the option, in the arena; value NULL: the option alone. */
static struct line
option_line(const struct ini *ini, const char *value)
{
	struct line line;

	line.s = value == NULL ? arena_printf(ini->l.arena, "%s\n", ini->option) :
	    arena_printf(ini->l.arena, "%s%s%s\n", ini->option, ini->equals, value);
	line.n = strlen(line.s);
	return line;
}

/* Both without the blanks that ignore_spaces is about. */
static bool
same_but_spaces(const struct ini *ini, const struct line *a, const struct line *b)
{
	const char *va, *vb;
	size_t na, nb;

	return match_option(ini, a, false, &va, &na) &&
	    match_option(ini, b, false, &vb, &nb) && na == nb &&
	    memcmp(va, vb, na) == 0;
}

static void
use_line(struct ini *ini, size_t i, const char *value)
{
	struct line new = option_line(ini, value), *old = &ini->l.v[i];

	ini->done[i - ini->from] = true;
	if (old->n == new.n && memcmp(old->s, new.s, new.n) == 0)
		return;
	if (ini->spaces_free && same_but_spaces(ini, old, &new))
		return;
	*old = new;
	ini->msg = "option changed";
}

/* Takes a value off those still to be placed: that very one, or (text NULL) the first. */
static const char *
take_value(struct ini *ini, const char *text, size_t n)
{
	const char *v;
	uint32_t i;

	for (i = 0; i < ini->nvalues; i++) {
		v = ini->left[i];
		if (v == NULL || (text != NULL &&
		    (strlen(v) != n || memcmp(v, text, n) != 0)))
			continue;
		ini->left[i] = NULL;
		return v;
	}
	return NULL;
}

/* Where new options go: after the last line that says something. */
static size_t
section_end(const struct ini *ini)
{
	size_t i;

	for (i = ini->to; i > ini->from; i--) {
		const struct line *line = &ini->l.v[i - 1];
		size_t k = 0, n = line_len(line);

		while (k < n && (line->s[k] == ' ' || line->s[k] == '\t'))
			k++;
		if (k < n && line->s[k] != '#' && line->s[k] != ';')
			break;
	}
	return i;
}

static void
add_line(struct ini *ini, size_t *at, const char *value)
{
	struct line new = option_line(ini, value);

	lines_end_at(&ini->l, *at);
	lines_insert(&ini->l, (*at)++, new.s, new.n);
	ini->msg = "option added";
}

static void
drop_active(struct ini *ini)
{
	const char *v;
	size_t i, n;

	for (i = ini->to; i > ini->from; i--) {
		if (ini->done[i - 1 - ini->from] ||
		    !match_option(ini, &ini->l.v[i - 1], false, &v, &n))
			continue;
		lines_delete(&ini->l, i - 1, i);
		ini->to--;
		ini->msg = "option changed";
	}
}

static void
set_option(struct mod *m, struct ini *ini)
{
	bool exclusive = mod_arg_bool(m, "exclusive"), alone = false;
	const char *v, *value;
	size_t i, n, at;
	uint32_t k;

	ini->done = ARENA_ARRAY(m->arena, ini->to - ini->from + 1, bool);
	for (i = ini->from; i < ini->to && !alone; i++) {
		if (!match_option(ini, &ini->l.v[i], ini->inactive, &v, &n))
			continue;
		if (ini->no_value && ini->nvalues == 0) {
			use_line(ini, i, NULL);
			alone = true;
		} else if ((value = take_value(ini, v, n)) != NULL)
			use_line(ini, i, value);
	}
	for (i = ini->from; exclusive && !ini->no_value && i < ini->to; i++) {
		if (ini->done[i - ini->from] ||
		    !match_option(ini, &ini->l.v[i], ini->inactive, &v, &n))
			continue;
		value = take_value(ini, NULL, 0);
		if (value == NULL)
			break;
		use_line(ini, i, value);
	}
	if (exclusive && !ini->no_value)
		drop_active(ini);
	at = section_end(ini);
	for (k = 0; k < ini->nvalues; k++)
		if (ini->left[k] != NULL)
			add_line(ini, &at, ini->left[k]);
	if (ini->no_value && ini->nvalues == 0 && !alone)
		add_line(ini, &at, NULL);
}

static void
remove_option(struct mod *m, struct ini *ini)
{
	bool exclusive = mod_arg_bool(m, "exclusive");
	const char *v;
	size_t i, n;
	uint32_t k;

	for (i = ini->to; i > ini->from; i--) {
		if (!match_option(ini, &ini->l.v[i - 1], false, &v, &n))
			continue;
		for (k = 0; !exclusive && k < ini->nvalues; k++)
			if (strlen(ini->left[k]) == n && memcmp(ini->left[k], v, n) == 0)
				break;
		if (!exclusive && k == ini->nvalues)
			continue;
		lines_delete(&ini->l, i - 1, i);
		ini->msg = "option changed";
	}
}

static void
add_section(struct ini *ini)
{
	const char *head = arena_printf(ini->l.arena, "[%s]\n", ini->section);
	size_t at;
	uint32_t k;

	lines_end_at(&ini->l, ini->l.n);
	lines_insert(&ini->l, ini->l.n, head, strlen(head));
	at = ini->l.n;
	for (k = 0; ini->option != NULL && k < ini->nvalues; k++)
		add_line(ini, &at, ini->left[k]);
	if (ini->option != NULL && ini->nvalues == 0 && ini->no_value)
		add_line(ini, &at, NULL);
	ini->msg = ini->option != NULL && (ini->nvalues > 0 || ini->no_value) ?
	    "section and option added" : "only section added";
}

static int
get_values(struct mod *m, struct ini *ini)
{
	const struct value *list = mod_arg(m, "values");
	uint32_t i, n = list == NULL ? 0 : v_count(list);
	const char *one = mod_arg_str(m, "value");

	ini->left = ARENA_ARRAY(m->arena, n + 1, const char *);
	for (i = 0; i < n; i++)
		ini->left[ini->nvalues++] = v_at(list, i)->u.s;
	if (one != NULL)
		ini->left[ini->nvalues++] = one;
	if (mod_arg_is(m, "state", "present") && ini->option != NULL &&
	    ini->nvalues == 0 && !ini->no_value)
		return mod_fail(m, "Parameter 'value(s)' must be defined if state=present and allow_no_value=False.");
	return 0;
}

static int
work(struct mod *m, struct edit *e)
{
	struct ini ini = { .section = mod_arg_str(m, "section"),
		.option = mod_arg_str(m, "option"), .msg = "OK",
		.no_value = mod_arg_bool(m, "allow_no_value"),
		.inactive = mod_arg_bool(m, "modify_inactive_option"),
		.spaces_free = mod_arg_bool(m, "ignore_spaces"),
		.equals = mod_arg_bool(m, "no_extra_spaces") ? "=" : " = " };
	CLEANUP_BUF struct buf new = BUF_INIT;
	bool absent = mod_arg_is(m, "state", "absent");
	int rc;

	if (get_values(m, &ini) == -1)
		return -1;
	rc = edit_open(m, e);
	if (rc == -1)
		return -1;
	if (rc == 1 && !mod_arg_bool(m, "create"))
		return edit_missing(m, e);
	mod_set_str(m, "path", e->given);
	if (rc == 1 && absent) {
		mod_set_str(m, "msg", "OK");
		return 0;
	}
	lines_split(&ini.l, m->arena, e->old.data, e->old.len);
	find_section(&ini);
	if (!ini.found && !absent)
		add_section(&ini);
	else if (ini.found && ini.option != NULL && absent)
		remove_option(m, &ini);
	else if (ini.found && ini.option != NULL)
		set_option(m, &ini);
	else if (ini.found && absent && ini.to > 0) {
		/* the header is the line before */
		lines_delete(&ini.l, ini.section != NULL && *ini.section != '\0' ?
		    ini.from - 1 : 0, ini.to);
		ini.msg = "section removed";
	}
	lines_join(&ini.l, &new);
	if (edit_commit(m, e, &new) == -1)
		return -1;
	mod_set_str(m, "msg", ini.msg);
	return 0;
}

static int
ini_file_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module ini_file_module = {
	.name = "ini_file", .collection = "community.general",
	.summary = "Sees to an option or a section of an INI file.",
	.examples =
	    "- ini_file:\n"
	    "    path: /etc/php/8.2/fpm/php.ini\n"
	    "    section: PHP\n"
	    "    option: memory_limit\n"
	    "    value: 256M\n",
	.returns =
	    "msg: what was done (\"option added\", \"option changed\" …)\n"
	    "path: the file\n"
	    "backup_file: name of the kept old file\n",
	.args = ini_file_args, .rules = ini_file_rules,
	.flags = MOD_FILE_ATTRS, .run = ini_file_run,
};
