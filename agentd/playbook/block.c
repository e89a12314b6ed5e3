/*
 * Lists of tasks and blocks to trees of nodes.
 */
#include <string.h>

#include "playbook/private.h"

void
nodes_append(struct arena *a, struct nodes *nodes, struct node *node)
{
	/* grows at powers of two */
	if ((nodes->n & (nodes->n - 1)) == 0)
		nodes->v = arena_grow(a, nodes->v, nodes->n * sizeof(struct node *),
		    (nodes->n == 0 ? 1 : nodes->n * 2) * sizeof(struct node *));
	nodes->v[nodes->n++] = node;
}

static void
block_keys(const struct ctx *c, const struct value *map)
{
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (key_text(c, e->key, "a block") != NULL &&
		    keyword_find(e->key->u.s, AT_BLOCK) == NULL)
			keyword_unknown(c, e->key, AT_BLOCK);
	}
}

/* One part of a block. */
static void
part_read(const struct ctx *c, const struct value *map, const char *part, struct nodes *nodes)
{
	const struct value *list = v_gets(map, part);

	if (list == NULL || v_is_null(list))
		return;
	if (!v_is_list(list)) {
		diags_error(c->d, ERR_TYPE, v_mark(list), "'%s' must be a list of tasks, not %s",
		    part, v_type_name(list));
		return;
	}
	tasks_read(c, list, nodes);
}

static struct node *
block_read(const struct ctx *c, const struct value *map)
{
	struct node *node = node_make(c, NODE_BLOCK, v_mark(map));
	struct block *b = node->block;
	struct vars_chain *chain;
	const struct value *vars, *notify;
	struct ctx inner = *c;

	block_keys(c, map);
	node->kw = *keywords_inherit(c, map, AT_BLOCK);
	node->name = keyword_get(c, map, "name", AT_BLOCK);
	vars = vars_read(c, v_gets(map, "vars"), "'vars'");
	if (vars != NULL) {
		chain = ARENA_NEW(c->a, struct vars_chain);
		chain->map = vars;
		chain->outer = c->vars;
		node->vars = chain;
	}
	if ((notify = keyword_get(c, map, "notify", AT_BLOCK)) != NULL)
		inner.notify = notify;
	inner.kw = &node->kw;
	inner.vars = node->vars;
	inner.depth++;
	part_read(&inner, map, "block", &b->body);
	part_read(&inner, map, "rescue", &b->rescue);
	part_read(&inner, map, "always", &b->always);
	b->has_rescue = b->rescue.n > 0;
	b->has_always = b->always.n > 0;
	return node;
}

/*
 * A block of handlers only gives its keywords to the tasks in it: each of them
 * is notified for itself.
 */
static void
handler_block(const struct ctx *c, const struct value *v, struct nodes *nodes)
{
	const struct node *block;
	struct ctx inner = *c;
	uint32_t i;

	if (c->in_block) {
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(v), "a block in a block of handlers"),
		    "handlers are notified one by one: write them without the inner block");
		return;
	}
	if (v_gets(v, "rescue") != NULL || v_gets(v, "always") != NULL)
		diags_warn(c->d, v_mark(v), "'rescue' and 'always' have no effect for handlers");
	inner.in_block = true;
	block = block_read(&inner, v);
	for (i = 0; i < block->block->body.n; i++)
		nodes_append(c->a, nodes, block->block->body.v[i]);
}

/* A string in a list of tasks: most often a line that lost its place. */
static void
not_a_task(const struct ctx *c, const struct value *v)
{
	struct err *e;

	if (v_is_null(v)) {
		diags_error(c->d, ERR_TYPE, v_mark(v), "the list of tasks has an empty entry");
		return;
	}
	e = diags_error(c->d, ERR_TYPE, v_mark(v), "a task must be a map, not %s", v_type_name(v));
	if (v_is_str(v))
		err_hint(e, "write `- MODULE:` with its parameters below");
	else if (v_is_list(v))
		err_hint(e, "there is one `-` too many");
}

static void
one_read(const struct ctx *c, const struct value *v, struct nodes *nodes)
{
	struct node *node;
	const struct ventry *e;
	uint32_t it;

	if (!v_is_map(v)) {
		not_a_task(c, v);
		return;
	}
	if (c->site->priv->ninfo >= SITE_NODES_MAX) {
		diags_error(c->d, ERR_LIMIT, v_mark(v), "the site has more than %u tasks", SITE_NODES_MAX);
		return;
	}
	if (v_gets(v, "block") != NULL) {
		if (c->handlers) {
			handler_block(c, v, nodes);
			return;
		}
		nodes_append(c->a, nodes, block_read(c, v));
		return;
	}
	for (it = 0; (e = v_next(v, &it)) != NULL;) {
		if (v_eqs(e->key, "rescue") || v_eqs(e->key, "always")) {
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "'%s' without a 'block'", e->key->u.s),
			    "put the tasks it belongs to below `block:`");
			return;
		}
		if (v_eqs(e->key, "hosts") || v_eqs(e->key, "import_playbook")) {
			err_hint(diags_error(c->d, ERR_INVALID, v_mark(e->key),
			    "a %s in a list of tasks", v_eqs(e->key, "hosts") ? "play" : "playbook"),
			    "%s", v_eqs(e->key, "hosts") ?
			    "a file of tasks has no plays: import it with import_playbook in a playbook" :
			    "import_playbook stands beside plays, not in one");
			return;
		}
	}
	if ((node = task_read(c, v)) == NULL)
		return;
	if (is_import(node->task) || (node->task->module != NULL &&
	    strcmp(node->task->module->name, "include") == 0)) {
		import_read(c, node, v, nodes);
		return;
	}
	nodes_append(c->a, nodes, node);
	if (is_include(node->task))
		include_preload(c, node);
}

void
tasks_read(const struct ctx *c, const struct value *list, struct nodes *nodes)
{
	uint32_t i;

	if (c->depth > SITE_DEPTH_MAX) {
		diags_error(c->d, ERR_LIMIT, v_mark(list),
		    "blocks and files of tasks are nested more than %d deep", SITE_DEPTH_MAX);
		return;
	}
	for (i = 0; i < v_count(list); i++)
		one_read(c, v_at(list, i), nodes);
}
