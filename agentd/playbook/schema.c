/*
 * The JSON Schema of playbooks from the rows of keywords and modules.
 *
 *	playbook ── play | import ── tasks ── task | block
 *	task: keywords and exactly one module; module: its arguments
 *
 * An editor that knows it completes keywords, modules and parameters, shows
 * their documentation and underlines what is misspelt.  A schema cannot know
 * templates: wherever a value has a type, a text with {{ }} is allowed too.
 */
#include <string.h>

#include "module/fs.h"
#include "playbook/private.h"
#include "playbook/schema.h"

#define DEPTH_MAX	8

static const struct value *
ref(struct arena *a, const char *def)
{
	struct value *v = v_map(a);

	v_sets(a, v, "$ref", v_strf(a, "#/$defs/%s", def));
	return v;
}

static const struct value *
typed(struct arena *a, const char *type)
{
	struct value *v = v_map(a);

	v_set_str(a, v, "type", type);
	return v;
}

/* One of several schemas. */
static struct value *
any_of(struct arena *a, const struct value *const *v, size_t n)
{
	struct value *out = v_map(a), *list = v_list(a);
	size_t i;

	for (i = 0; i < n; i++)
		v_push(a, list, v[i]);
	v_sets(a, out, "anyOf", list);
	return out;
}

static const struct value *
or_template(struct arena *a, const struct value *v)
{
	const struct value *const both[] = { v, ref(a, "template") };

	return any_of(a, both, 2);
}

static const struct value *
choices(struct arena *a, const char *list)
{
	struct value *v = v_map(a), *all = v_list(a);
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		v_push(a, all, v_strn(a, list, n));
	}
	v_sets(a, v, "enum", all);
	return v;
}

static const struct value *
list_of(struct arena *a, const struct value *items)
{
	struct value *v = v_map(a);

	v_set_str(a, v, "type", "array");
	v_sets(a, v, "items", items);
	return v;
}

/* Where a keyword's value is one thing or a list of them. */
static const struct value *
one_or_list(struct arena *a, const struct value *one)
{
	const struct value *const both[] = { one, list_of(a, one) };

	return any_of(a, both, 2);
}

/* ---- keywords ---------------------------------------------------------------------------- */

static const struct value *
keyword_type(struct arena *a, const struct keyword *k)
{
	const struct value *const texts[] = { typed(a, "string"), typed(a, "number") };
	const struct value *const conds[] = { typed(a, "string"), typed(a, "boolean") };
	const struct value *const maps[] = { typed(a, "object"), list_of(a, typed(a, "object")),
	    ref(a, "template") };

	if (k->choices != NULL)
		return or_template(a, choices(a, k->choices));
	switch (k->type) {
	case KW_BOOL:
		return or_template(a, ref(a, "bool"));
	case KW_INT:
	case KW_NUMBER:		/* "30%", "2222" */
	case KW_STR:
		return any_of(a, texts, 2);
	case KW_STRS:
	case KW_TAGS:
		return one_or_list(a, any_of(a, texts, 2));
	case KW_BATCH:
		return one_or_list(a, any_of(a, texts, 2));
	case KW_CONDS:
		return one_or_list(a, any_of(a, conds, 2));
	case KW_TASKS:
		return ref(a, strcmp(k->name, "handlers") == 0 ? "handlers" : "tasks");
	case KW_ENV:
	case KW_VARS:
	case KW_DEFAULTS:
		return any_of(a, maps, 3);
	case KW_MAP:
		return typed(a, "object");
	case KW_LIST:
		return strcmp(k->name, "roles") == 0 ? list_of(a, ref(a, "role")) :
		    strcmp(k->name, "vars_prompt") == 0 ? list_of(a, ref(a, "prompt")) :
		    typed(a, "array");
	case KW_ANY:
		break;
	}
	if (strcmp(k->name, "loop_control") == 0)
		return ref(a, "loop_control");
	if (strcmp(k->name, "loop") == 0)
		return or_template(a, typed(a, "array"));
	return v_map(a);
}

static const struct value *
described(struct arena *a, const struct value *schema, const char *doc)
{
	struct value *v = v_map(a);

	v_merge(a, v, schema);
	if (doc != NULL)
		v_set_str(a, v, "description", doc);
	return v;
}

static struct value *
keyword_props(struct arena *a, unsigned where)
{
	struct value *props = v_map(a);
	const struct keyword *k;

	for (k = keyword_rows; k->name != NULL; k++) {
		if ((k->where & where) != 0 && (k->flags & KWF_REMOVED) == 0)
			v_sets(a, props, k->name, described(a, keyword_type(a, k), k->doc));
	}
	return props;
}

static struct value *
object(struct arena *a, struct value *props, bool closed)
{
	struct value *v = v_map(a);

	v_set_str(a, v, "type", "object");
	v_sets(a, v, "properties", props);
	if (closed)
		v_sets(a, v, "additionalProperties", &v_false);
	return v;
}

static void
require(struct arena *a, struct value *schema, const char *name)
{
	struct value *list = v_list(a);

	v_push(a, list, v_str(a, name));
	v_sets(a, schema, "required", list);
}

/* ---- modules ------------------------------------------------------------------------------- */

static struct value *args_object(struct arena *, const struct mod_arg *, bool attrs, bool any,
    unsigned depth);

static const struct value *
arg_type(struct arena *a, const struct mod_arg *row, enum arg_type type, unsigned depth)
{
	const struct value *const texts[] = { typed(a, "string"), typed(a, "number"),
	    typed(a, "boolean") };
	const struct value *const sizes[] = { typed(a, "string"), typed(a, "integer") };
	const struct value *sub;

	if (row->choices != NULL && type != ARG_LIST) {
		const struct value *const either[] = { choices(a, row->choices), ref(a, "template"),
		    typed(a, "boolean") };

		return any_of(a, either, 3);	/* yes and no may stand for a choice */
	}
	switch (type) {
	case ARG_STR:
	case ARG_PATH:
		return any_of(a, texts, 3);
	case ARG_BOOL:
		return or_template(a, ref(a, "bool"));
	case ARG_INT:
		return or_template(a, typed(a, "integer"));
	case ARG_FLOAT:
		return or_template(a, typed(a, "number"));
	case ARG_MODE:
	case ARG_BYTES:
		return any_of(a, sizes, 2);
	case ARG_LIST:
		sub = row->sub != NULL && depth < DEPTH_MAX && row->of == ARG_MAP ?
		    args_object(a, row->sub, false, false, depth + 1) :
		    arg_type(a, row, row->of, depth + 1);
		return one_or_list(a, sub);
	case ARG_MAP:
		return row->sub != NULL && depth < DEPTH_MAX ? or_template(a,
		    args_object(a, row->sub, false, false, depth + 1)) :
		    or_template(a, typed(a, "object"));
	case ARG_RAW:
		break;
	}
	return v_map(a);
}

static void
add_rows(struct arena *a, struct value *props, const struct mod_arg *row, unsigned depth)
{
	const struct value *schema;
	const char *p;
	size_t n;

	for (; row != NULL && row->name != NULL; row++) {
		if (row->flags & ARG_UNSUPPORTED)
			continue;
		schema = described(a, arg_type(a, row, row->type, depth), row->doc);
		v_sets(a, props, row->name, schema);
		for (p = row->aliases; p != NULL && *p != '\0'; p += n + (p[n] == ',')) {
			n = strcspn(p, ",");
			v_sets(a, props, arena_strndup(a, p, n), schema);
		}
	}
}

static struct value *
args_object(struct arena *a, const struct mod_arg *rows, bool attrs, bool any, unsigned depth)
{
	struct value *props = v_map(a);

	add_rows(a, props, rows, depth);
	if (attrs)
		add_rows(a, props, fs_attr_args, depth);
	return object(a, props, !any);
}

static const struct value *
module_schema(struct arena *a, const struct module *m)
{
	const struct value *const forms[] = {
	    args_object(a, m->args, (m->flags & MOD_FILE_ATTRS) != 0,
	    (m->flags & MOD_ANY_ARGS) != 0, 0), typed(a, "string"), typed(a, "null") };

	return described(a, any_of(a, forms, 3), m->summary);
}

/* Every name of a module as a property of a task. */
static void
add_modules(struct arena *a, struct value *defs, struct value *props)
{
	const struct module *const *m;
	const char *p;
	size_t n;

	for (m = modules; *m != NULL; m++) {
		if ((*m)->flags & MOD_UNSUPPORTED)
			continue;
		v_sets(a, defs, arena_printf(a, "module_%s", (*m)->name), module_schema(a, *m));
		v_sets(a, props, (*m)->name, ref(a, arena_printf(a, "module_%s", (*m)->name)));
		v_sets(a, props, arena_printf(a, "%s.%s", (*m)->collection, (*m)->name),
		    ref(a, arena_printf(a, "module_%s", (*m)->name)));
		for (p = (*m)->aliases; p != NULL && *p != '\0'; p += n + (p[n] == ',')) {
			n = strcspn(p, ",");
			v_sets(a, props, arena_strndup(a, p, n),
			    ref(a, arena_printf(a, "module_%s", (*m)->name)));
		}
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void
add_task(struct arena *a, struct value *defs, const char *name, unsigned where)
{
	struct value *props = keyword_props(a, where), *schema, *pattern = v_map(a);
	struct value *scratch = v_map(a);

	add_modules(a, where == AT_TASK ? defs : scratch, props);
	schema = object(a, props, false);
	v_sets(a, pattern, "^with_", v_map(a));
	/* a module of a collection is a module all the same */
	v_sets(a, pattern, "^[a-z0-9_]+\\.[a-z0-9_]+\\.[a-z0-9_.]+$", v_map(a));
	v_sets(a, schema, "patternProperties", pattern);
	v_sets(a, schema, "additionalProperties", &v_false);
	v_sets(a, defs, name, schema);
}

static void
add_basics(struct arena *a, struct value *defs)
{
	struct value *v = v_map(a);

	v_set_str(a, v, "type", "string");
	v_set_str(a, v, "pattern", "\\{[{%]");
	v_set_str(a, v, "description", "A template.");
	v_sets(a, defs, "template", v);
	{
		const struct value *const forms[] = { typed(a, "boolean"),
		    choices(a, "yes,no,true,false,on,off,y,n,Yes,No,True,False,1,0") };

		v_sets(a, defs, "bool", any_of(a, forms, 2));
	}
}

static void
add_defs(struct arena *a, struct value *defs)
{
	struct value *block, *play, *import, *role;

	add_basics(a, defs);
	add_task(a, defs, "task", AT_TASK);
	add_task(a, defs, "handler", AT_HANDLER);
	block = object(a, keyword_props(a, AT_BLOCK), true);
	require(a, block, "block");
	v_sets(a, defs, "block", block);
	{
		const struct value *const kinds[] = { ref(a, "block"), ref(a, "task") };

		v_sets(a, defs, "tasks", list_of(a, any_of(a, kinds, 2)));
	}
	{
		struct value *props = keyword_props(a, AT_BLOCK);
		const struct value *kinds[2];

		v_sets(a, props, "block", list_of(a, ref(a, "handler")));
		block = object(a, props, true);
		require(a, block, "block");
		kinds[0] = block;
		kinds[1] = ref(a, "handler");
		v_sets(a, defs, "handlers", list_of(a, any_of(a, kinds, 2)));
	}
	v_sets(a, defs, "loop_control", object(a, keyword_props(a, AT_LOOP), true));
	v_sets(a, defs, "prompt", object(a, keyword_props(a, AT_PROMPT), true));
	role = object(a, keyword_props(a, AT_ROLE), false);	/* other keys are parameters */
	{
		const struct value *const forms[] = { typed(a, "string"), role };

		v_sets(a, defs, "role", any_of(a, forms, 2));
	}
	play = object(a, keyword_props(a, AT_PLAY), true);
	require(a, play, "hosts");
	v_sets(a, defs, "play", play);
	{
		struct value *props = keyword_props(a, AT_IMPORT);

		v_sets(a, props, "ansible.builtin.import_playbook", typed(a, "string"));
		import = object(a, props, true);
	}
	v_sets(a, defs, "import", import);
}

const struct value *
site_schema_json(struct arena *a)
{
	struct value *schema = v_map(a), *defs = v_map(a);

	v_set_str(a, schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
	v_set_str(a, schema, "title", "A playbook, or a file of tasks");
	add_defs(a, defs);
	{
		const struct value *const plays[] = { ref(a, "play"), ref(a, "import") };
		const struct value *const files[] = { list_of(a, any_of(a, plays, 2)),
		    ref(a, "tasks"), ref(a, "handlers") };

		v_sets(a, schema, "anyOf", v_gets(any_of(a, files, 3), "anyOf"));
	}
	v_sets(a, schema, "$defs", defs);
	return schema;
}
