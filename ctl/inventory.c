/*
 * provctl inventory: what an inventory comes to.
 */
#include <string.h>

#include "load.h"
#include "out.h"

static const struct opt rows[] = {
	{ .name = "list", .type = OPT_FLAG, .offset = OFF(list),
	    .doc = "All groups, hosts and variables as Ansible's dynamic inventories print them (the default)." },
	{ .name = "graph", .type = OPT_FLAG, .offset = OFF(graph),
	    .doc = "The tree of groups and hosts." },
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "The variables of one host." },
	OPT_END
};
static const struct opt_group group = { "What to show", rows };
static const struct opt_group *const groups[] = {
	&group, &opts_inventory, &opts_vault, &opts_state, NULL
};

static int
no_host(struct ctl *ctl, struct load *l, const char *name)
{
	struct err *e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 },
	    "the inventory has no host '%s'", name);
	const char *near = inventory_nearest(l->inventory, name);

	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	return RUN_USAGE;
}

/* Without what we add about the inventory itself. */
static const struct value *
host_vars(struct ctl *ctl, struct load *l, struct host *h)
{
	const struct value *v = inventory_host_vars(l->inventory, h, &ctl->diags);
	struct value *own;

	if (v == NULL)
		return NULL;
	own = v_map(&ctl->arena);
	v_merge(&ctl->arena, own, v);
	(void)v_dels(own, "inventory_file");
	(void)v_dels(own, "inventory_dir");
	return own;
}

static const struct value *
names(struct arena *a, struct group *g, bool children)
{
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < (children ? g->nchildren : g->nhosts); i++)
		v_push(a, list, v_str(a, children ? g->children[i]->name :
		    g->hosts[i]->name));
	return list;
}

static void
add_group(struct arena *a, struct value *out, struct group *g)
{
	struct value *m;
	uint32_t i;

	if (v_gets(out, g->name) != NULL)
		return;
	m = v_map(a);
	if (g->nchildren > 0)
		v_sets(a, m, "children", names(a, g, true));
	if (g->nhosts > 0)
		v_sets(a, m, "hosts", names(a, g, false));
	v_sets(a, out, g->name, m);
	for (i = 0; i < g->nchildren; i++)
		add_group(a, out, g->children[i]);
}

static int
list(struct ctl *ctl, struct load *l)
{
	struct arena *a = &ctl->arena;
	struct value *out = v_map(a), *meta = v_map(a), *vars = v_map(a);
	struct group *all = inventory_group(l->inventory, "all");
	uint32_t i;

	for (i = 0; i < inventory_nhosts(l->inventory); i++) {
		struct host *h = inventory_host_at(l->inventory, i);
		const struct value *v = host_vars(ctl, l, h);

		if (v == NULL)
			return RUN_USAGE;
		v_sets(a, vars, h->name, v);
	}
	v_sets(a, meta, "hostvars", vars);
	v_sets(a, out, "_meta", meta);
	if (all != NULL)
		add_group(a, out, all);
	ctl->out->ops->value(ctl->out, out);
	return RUN_OK;
}

static int
inventory(struct ctl *ctl)
{
	struct settings *s = &ctl->set;
	const struct value *v;
	struct host *h;
	struct load l;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	/* The state is where hosts may come from. */
	if ((s->inventories.n == 0 && load_state_if_any(&l) == -1) ||
	    load_inventory(&l, ".") == -1)
		goto out;
	if (s->graph) {
		ctl->out->ops->graph(ctl->out, l.inventory);
		status = RUN_OK;
	} else if (s->host != NULL) {
		if ((h = inventory_host(l.inventory, s->host)) == NULL)
			status = no_host(ctl, &l, s->host);
		else if ((v = host_vars(ctl, &l, h)) != NULL) {
			ctl->out->ops->value(ctl->out, v);
			status = RUN_OK;
		}
	} else
		status = list(ctl, &l);
out:
	load_release(&l);
	return status;
}

const struct cmd cmd_inventory = {
	.name = "inventory", .args = "",
	.summary = "shows the hosts, groups and variables of an inventory",
	.opts = groups, .run = inventory,
};
