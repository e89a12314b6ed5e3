/*
 * A module's documentation from its rows: a page for people, a value for programs.
 */
#include <string.h>

#include "module/fs.h"
#include "out.h"
#include "opt.h"

#define SUB_DEPTH	4

static const char *const type_names[] = {
	[ARG_STR] = "string", [ARG_PATH] = "path", [ARG_BOOL] = "boolean",
	[ARG_INT] = "integer", [ARG_FLOAT] = "number", [ARG_LIST] = "list",
	[ARG_MAP] = "map", [ARG_RAW] = "any", [ARG_MODE] = "mode",
	[ARG_BYTES] = "size",
};

static const struct { unsigned flag; const char *name; } flag_names[] = {
	{ ARG_REQUIRED, "required" }, { ARG_SECRET, "secret" },
	{ ARG_IGNORED, "no effect here" }, { ARG_UNSUPPORTED, "not supported" },
	{ ARG_DEPRECATED, "deprecated" },
};

/* ---- a value --------------------------------------------------------------------------- */

static const struct value *
commas(struct arena *a, const char *text)
{
	struct value *list = v_list(a);
	size_t n;

	for (; text != NULL && *text != '\0'; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		v_push(a, list, v_strn(a, text, n));
	}
	return list;
}

static const struct value *
rows_value(struct arena *a, const struct mod_arg *rows, unsigned depth)
{
	struct value *list = v_list(a);
	size_t i;

	for (; rows != NULL && rows->name != NULL; rows++) {
		struct value *m = v_map(a);

		v_set_str(a, m, "name", rows->name);
		v_set_str(a, m, "type", type_names[rows->type]);
		if (rows->type == ARG_LIST)
			v_set_str(a, m, "elements", type_names[rows->of]);
		if (rows->aliases != NULL)
			v_sets(a, m, "aliases", commas(a, rows->aliases));
		if (rows->choices != NULL)
			v_sets(a, m, "choices", commas(a, rows->choices));
		if (rows->def != NULL)
			v_set_str(a, m, "default", rows->def);
		for (i = 0; i < NITEMS(flag_names); i++)
			if (rows->flags & flag_names[i].flag)
				v_set_bool(a, m, flag_names[i].name, true);
		if (rows->doc != NULL)
			v_set_str(a, m, "doc", rows->doc);
		if (rows->sub != NULL && depth < SUB_DEPTH)
			v_sets(a, m, "keys", rows_value(a, rows->sub, depth + 1));
		v_push(a, list, m);
	}
	return list;
}

const struct value *
module_value(struct arena *a, const struct module *mod)
{
	struct value *m = v_map(a);

	v_set_str(a, m, "name", mod->name);
	v_set_str(a, m, "collection", mod->collection);
	v_sets(a, m, "aliases", commas(a, mod->aliases));
	v_set_str(a, m, "summary", mod->summary);
	if (mod->doc != NULL)
		v_set_str(a, m, "doc", mod->doc);
	v_sets(a, m, "parameters", rows_value(a, mod->args, 0));
	if (mod->flags & MOD_FILE_ATTRS)
		v_sets(a, m, "file_parameters", rows_value(a, fs_attr_args, 0));
	v_set_bool(a, m, "check_mode", (mod->flags & MOD_NO_CHECK) == 0);
	if (mod->examples != NULL)
		v_set_str(a, m, "examples", mod->examples);
	if (mod->returns != NULL)
		v_set_str(a, m, "returns", mod->returns);
	return m;
}

/* ---- a page ------------------------------------------------------------------------------- */

static void
heading(struct buf *b, const struct term *t, const char *text)
{
	buf_addc(b, '\n');
	term_add(b, t, BOLD, "%s", text);
	buf_addc(b, '\n');
}

/* "a,b" as a sentence has it. */
static void
enumerate(struct buf *b, const char *before, const char *list)
{
	buf_addf(b, "%s%s", b->len > 0 ? " " : "", before);
	for (; *list != '\0'; list++) {
		buf_addc(b, *list);
		if (*list == ',')
			buf_addc(b, ' ');
	}
	buf_addc(b, '.');
}

static void
row_page(struct buf *b, const struct term *t, const struct mod_arg *row, unsigned indent)
{
	struct buf text = BUF_INIT;
	size_t i;

	buf_addf(b, "%*s", (int)indent, "");
	term_add(b, t, CYAN, "%s", row->name);
	buf_addf(b, "  %s", type_names[row->type]);
	if (row->type == ARG_LIST && row->of != ARG_RAW)
		buf_addf(b, " of %s", type_names[row->of]);
	for (i = 0; i < NITEMS(flag_names); i++)
		if (row->flags & flag_names[i].flag)
			term_add(b, t, YELLOW, ", %s", flag_names[i].name);
	if (row->def != NULL)
		buf_addf(b, ", default: %s", row->def);
	buf_addc(b, '\n');
	if (row->doc != NULL)
		buf_adds(&text, row->doc);
	if (row->choices != NULL)
		enumerate(&text, "One of: ", row->choices);
	if (row->aliases != NULL)
		enumerate(&text, "Also: ", row->aliases);
	if (text.len > 0) {
		buf_addf(b, "%*s", (int)indent + 4, "");
		help_wrap(b, indent + 4, indent + 4, buf_str(&text));
	}
	for (; row->sub != NULL && indent < 2 + 4 * SUB_DEPTH; ) {
		const struct mod_arg *sub;

		for (sub = row->sub; sub->name != NULL; sub++)
			row_page(b, t, sub, indent + 4);
		break;
	}
	buf_release(&text);
}

static const char *
rule_text(struct arena *a, const struct mod_rule *r)
{
	const char *colon = strchr(r->names, ':');
	const char *rest = colon != NULL ? colon + 1 : r->names;
	int n = colon != NULL ? (int)(colon - r->names) : 0;

	switch (r->kind) {
	case RULE_EXCLUSIVE:
		return arena_printf(a, "only one of: %s", r->names);
	case RULE_ONE_OF:
		return arena_printf(a, "one of: %s", r->names);
	case RULE_TOGETHER:
		return arena_printf(a, "only together: %s", r->names);
	case RULE_IF:
		return arena_printf(a, "with %.*s needed: %s", n, r->names, rest);
	case RULE_IF_ONE:
		return arena_printf(a, "with %.*s needed: one of %s", n, r->names, rest);
	case RULE_BY:
		return arena_printf(a, "%.*s needs: %s", n, r->names, rest);
	case RULE_END:
		break;
	}
	return "";
}

static void
indented(struct buf *b, const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		buf_addf(b, "  %.*s\n", (int)n, text);
	}
}

void
text_module(struct out *o, const struct module *m)
{
	const struct term *t = &o->term;
	const struct mod_arg *row;
	const struct mod_rule *rule;
	struct arena a = { 0 };
	struct buf b = BUF_INIT;

	term_add(&b, t, BOLD, "%s.%s", m->collection, m->name);
	buf_addc(&b, '\n');
	help_wrap(&b, 0, 0, m->summary);
	if (m->doc != NULL) {
		buf_addc(&b, '\n');
		help_wrap(&b, 0, 0, m->doc);
	}
	if (m->aliases != NULL)
		buf_addf(&b, "\nAlso known as: %s\n", m->aliases);
	if (m->flags & MOD_CONTROLLER)
		buf_adds(&b, "\nRuns on the controller.\n");
	if (m->flags & MOD_NO_CHECK)
		buf_adds(&b, "\nCannot predict: skipped by --check.\n");
	if (m->args != NULL && m->args->name != NULL) {
		heading(&b, t, "Parameters");
		for (row = m->args; row->name != NULL; row++)
			row_page(&b, t, row, 2);
	}
	if (m->flags & MOD_FREE_FORM)
		buf_addf(&b, "\n  Text beside the module's name goes to '%s'.\n",
		    m->free_form != NULL ? m->free_form : "free_form");
	if (m->flags & MOD_FILE_ATTRS) {
		heading(&b, t, "Owner and mode");
		for (row = fs_attr_args; row->name != NULL; row++)
			row_page(&b, t, row, 2);
	}
	if (m->rules != NULL && m->rules->kind != RULE_END) {
		heading(&b, t, "Rules");
		for (rule = m->rules; rule->kind != RULE_END; rule++)
			buf_addf(&b, "  %s\n", rule_text(&a, rule));
	}
	if (m->examples != NULL) {
		heading(&b, t, "Examples");
		indented(&b, m->examples);
	}
	if (m->returns != NULL) {
		heading(&b, t, "Results");
		indented(&b, m->returns);
	}
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}

void
text_module_list(struct out *o)
{
	struct buf b = BUF_INIT;
	size_t i, max = 0;

	for (i = 0; modules[i] != NULL; i++)
		if (strlen(modules[i]->name) > max)
			max = strlen(modules[i]->name);
	for (i = 0; modules[i] != NULL; i++) {
		if (modules[i]->flags & MOD_UNSUPPORTED)
			continue;
		term_add(&b, &o->term, BOLD, "%s", modules[i]->name);
		buf_addf(&b, "%*s  ", (int)(max - strlen(modules[i]->name)), "");
		help_wrap(&b, (unsigned)max + 2, (unsigned)max + 2, modules[i]->summary);
	}
	out_flush(o, &b);
	buf_release(&b);
}
