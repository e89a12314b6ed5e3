/*
 * argument_specs of a role: what variables it needs.
 *
 * Ansible checks them in a task of its own at the role's start, tagged
 * `always`; so do we, by asserts made here: that a required variable is
 * defined, and that one with choices has one of them.  A required variable
 * that nothing anywhere defines is told before connecting (check.c).
 */
#include <string.h>

#include "base/json.h"
#include "playbook/private.h"

static const struct value *
specs_of(const struct ctx *c, const struct role *role)
{
	static const char *const names[] = { "argument_specs.yml", "argument_specs.yaml" };
	const struct file *f;
	const char *path;
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		path = arena_printf(c->a, "%s/meta/%s", role->path, names[i]);
		if (!path_is_file(path))
			continue;
		f = file_load(c, path, NULL);
		if (f == NULL || !v_is_map(f->root))
			return NULL;
		return v_gets(f->root, "argument_specs");
	}
	return v_gets(role->meta, "argument_specs");
}

/* A check at the role's start. */
static struct node *
spec_node(const struct ctx *c, const struct role *role, const struct value *key,
    const char *cond, const char *msg)
{
	struct node *node = node_make(c, NODE_TASK, v_mark(key));
	struct value *args = v_map(c->a), *that = v_list(c->a);
	const struct value *always = v_str(c->a, "always"), *when;

	when = tmpl_compile_when(c->a, v_with_mark(c->a, v_str(c->a, cond), v_mark(key)), c->d);
	if (when == NULL)
		return NULL;
	v_push(c->a, that, when);
	v_sets(c->a, args, "that", that);
	v_sets(c->a, args, "fail_msg", v_flag(c->a, v_str(c->a, msg), V_RAW));
	v_sets(c->a, args, "quiet", &v_true);
	node->name = v_strf(c->a, "Validating arguments of role %s", role->name);
	node->task->module = module_find("assert");
	node->task->module_name = "assert";
	node->task->args = args;
	node->task->loop_var = "item";
	tags_add(c, always, &node->kw);
	return node;
}

static void
choices_node(const struct ctx *c, const struct role *role, const struct value *key,
    const struct value *choices, struct nodes *nodes)
{
	struct buf b CLEANUP_BUF = BUF_INIT, shown CLEANUP_BUF = BUF_INIT;
	struct value *list = v_list(c->a);
	const struct value *one;
	struct node *node;
	uint32_t i;

	for (i = 0; i < v_count(choices); i++) {
		one = v_at(choices, i);
		if (one->type != V_STR && one->type != V_INT)
			return;		/* yes and no have too many spellings */
		one = tmpl_to_str(c->a, one);
		if (strpbrk(one->u.s, "{}\\\"") != NULL)
			return;
		v_push(c->a, list, one);
		buf_addf(&shown, "%s%s", i == 0 ? "" : ", ", one->u.s);
	}
	if (v_count(list) == 0)
		return;
	buf_addf(&b, "%s is not defined or %s is none or %s | string in ", key->u.s, key->u.s, key->u.s);
	json_write(&b, list, 0);
	node = spec_node(c, role, key, buf_str(&b), arena_printf(c->a,
	    "variable '%s' of role '%s' must be one of %s", key->u.s, role->name, buf_str(&shown)));
	if (node != NULL)
		nodes_append(c->a, nodes, node);
}

static void
option_nodes(const struct ctx *c, const struct role *role, const struct value *key,
    const struct value *spec, struct nodes *nodes)
{
	const struct value *required = v_gets(spec, "required"), *choices;
	const char *type = v_get_str(spec, "type", "str");
	struct node *node;

	if (required != NULL && mod_parse_bool(required) == 1) {
		node = spec_node(c, role, key, arena_printf(c->a, "%s is defined", key->u.s),
		    arena_printf(c->a, "role '%s' needs the variable '%s'", role->name, key->u.s));
		if (node != NULL) {
			node_info(c->site, node)->needs = key->u.s;
			nodes_append(c->a, nodes, node);
		}
	}
	choices = v_gets(spec, "choices");
	if (choices != NULL && v_is_list(choices) && strcmp(type, "list") != 0 &&
	    strcmp(type, "dict") != 0)
		choices_node(c, role, key, choices, nodes);
}

void
argspec_nodes(const struct ctx *c, struct role *role, const char *entry, struct nodes *nodes)
{
	const struct value *specs = specs_of(c, role), *spec, *options;
	const struct ventry *e;
	const char *dot;
	uint32_t it;

	if (specs == NULL || !v_is_map(specs))
		return;
	dot = strrchr(entry, '.');
	spec = v_gets(specs, dot == NULL ? entry : arena_strndup(c->a, entry, (size_t)(dot - entry)));
	options = v_gets(spec, "options");
	if (options == NULL || !v_is_map(options))
		return;
	for (it = 0; (e = v_next(options, &it)) != NULL;) {
		if (v_is_str(e->key) && name_is_identifier(e->key->u.s) && v_is_map(e->val))
			option_nodes(c, role, e->key, e->val, nodes);
	}
}
