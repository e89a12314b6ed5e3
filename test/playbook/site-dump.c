/*
 * site-dump: loads a site and prints it as it was compiled, or what is wrong
 * with it.  For the tests, and for whoever wants to see what a playbook means.
 *
 *	site-dump [-i INVENTORY]… [-e JSON] [-s] [-q] [-f KIND NAME]… SITE
 *
 * -s prints the JSON schema of playbooks instead; -q only messages.
 * Everything goes to standard output; 1 when the site has errors.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "playbook/schema.h"
#include "playbook/site.h"

struct dump {
	struct buf	 out;
	struct site	*site;
	const char	*top;		/* directory that paths are shown below */
	struct diags	*diags;
	unsigned	 depth;
};

static void nodes_dump(struct dump *, const struct nodes *, unsigned);

static void
indent(struct dump *d, unsigned n)
{
	while (n-- > 0)
		buf_adds(&d->out, "  ");
}

static const char *
below(const struct dump *d, const char *path)
{
	size_t n = strlen(d->top);

	if (strncmp(path, d->top, n) != 0)
		return path;
	return path[n] == '/' ? path + n + 1 : path[n] == '\0' ? "." : path;
}

static void
value(struct dump *d, unsigned n, const char *key, const struct value *v)
{
	if (v == NULL)
		return;
	indent(d, n);
	buf_addf(&d->out, "%s: ", key);
	if (v->type == V_TMPL)
		buf_adds(&d->out, "template ");
	json_write(&d->out, v, 0);
	buf_addc(&d->out, '\n');
}

static void
conds(struct dump *d, unsigned n, const char *key, const struct conds *c)
{
	uint32_t i;

	if (c->n == 0)
		return;
	indent(d, n);
	buf_addf(&d->out, "%s:", key);
	for (i = 0; i < c->n; i++) {
		buf_adds(&d->out, i == 0 ? " " : " and ");
		if (c->v[i]->type == V_BOOL)
			buf_adds(&d->out, c->v[i]->u.b ? "true" : "false");
		else
			buf_addf(&d->out, "(%s)", c->v[i]->u.s);
	}
	buf_addc(&d->out, '\n');
}

static void
keywords(struct dump *d, unsigned n, const struct keywords *kw)
{
	const struct {
		const char		*name;
		const struct value	*v;
	} all[] = {
		{ "become", kw->become }, { "become_user", kw->become_user },
		{ "become_method", kw->become_method }, { "become_flags", kw->become_flags },
		{ "remote_user", kw->remote_user }, { "port", kw->port },
		{ "connection", kw->connection }, { "check_mode", kw->check_mode },
		{ "diff", kw->diff }, { "no_log", kw->no_log },
		{ "ignore_errors", kw->ignore_errors },
		{ "ignore_unreachable", kw->ignore_unreachable },
		{ "any_errors_fatal", kw->any_errors_fatal }, { "run_once", kw->run_once },
		{ "throttle", kw->throttle }, { "timeout", kw->timeout },
		{ "delegate_to", kw->delegate_to }, { "delegate_facts", kw->delegate_facts },
		{ "module_defaults", kw->module_defaults },
	};
	uint32_t i;

	for (i = 0; i < NITEMS(all); i++)
		value(d, n, all[i].name, all[i].v);
	for (i = 0; i < kw->nenvironment; i++)
		value(d, n, "environment", kw->environment[i]);
	conds(d, n, "when", &kw->when);
	if (kw->ntags > 0) {
		indent(d, n);
		buf_adds(&d->out, "tags:");
		for (i = 0; i < kw->ntags; i++)
			buf_addf(&d->out, " %s", kw->tags[i]);
		buf_addc(&d->out, '\n');
	}
}

static void
vars(struct dump *d, unsigned n, const struct vars_chain *c)
{
	for (; c != NULL; c = c->outer)
		value(d, n, "vars", c->map);
}

static void
task_rest(struct dump *d, unsigned n, const struct task *t)
{
	if (t->loop_kind != LOOP_NONE) {
		indent(d, n);
		buf_addf(&d->out, "%s%s as %s%s%s: ", t->loop_kind == LOOP_WITH ? "with_" : "loop",
		    t->loop_kind == LOOP_WITH ? t->loop_with : "", t->loop_var,
		    t->index_var != NULL ? ", " : "", t->index_var != NULL ? t->index_var : "");
		json_write(&d->out, t->loop, 0);
		buf_adds(&d->out, t->loop_extended ? " extended\n" : "\n");
	}
	value(d, n, "label", t->loop_label);
	value(d, n, "pause", t->loop_pause);
	conds(d, n, "break_when", &t->loop_break_when);
	if (t->register_as != NULL) {
		indent(d, n);
		buf_addf(&d->out, "register: %s\n", t->register_as);
	}
	value(d, n, "notify", t->notify);
	value(d, n, "listen", t->listen);
	conds(d, n, "changed_when", &t->changed_when);
	conds(d, n, "failed_when", &t->failed_when);
	conds(d, n, "until", &t->until);
	value(d, n, "retries", t->retries);
	value(d, n, "delay", t->delay);
	value(d, n, "async", t->async);
	value(d, n, "poll", t->poll);
	value(d, n, "apply", t->apply);
	if (t->unsupported != NULL) {
		indent(d, n);
		buf_addf(&d->out, "unsupported: %s\n", t->unsupported);
	}
}

/* What a fixed include leads to: asked for as the engine does. */
static void
included(struct dump *d, const struct node *node, unsigned n)
{
	const struct value *v = v_gets(node->task->args, "file");
	const struct nodes *nodes, *handlers;
	const struct role *role;
	struct site_role_use use = { .name = NULL };

	if (d->depth > 3)
		return;
	d->depth++;
	if (strcmp(node->task->module->name, "include_tasks") == 0) {
		if (v != NULL && v->type == V_STR &&
		    (nodes = site_include_tasks(d->site, node, v->u.s, d->diags)) != NULL) {
			indent(d, n);
			buf_adds(&d->out, "leads to:\n");
			nodes_dump(d, nodes, n + 1);
		}
	} else {
		use.name = v_get_str(node->task->args, "name", NULL);
		use.tasks_from = v_get_str(node->task->args, "tasks_from", NULL);
		use.allow_duplicates = true;
		if (use.name != NULL && (nodes = site_include_role(d->site, node, &use, &role,
		    &handlers, d->diags)) != NULL) {
			indent(d, n);
			buf_addf(&d->out, "leads to role %s with %u handlers:\n", role->name, handlers->n);
			nodes_dump(d, nodes, n + 1);
		}
	}
	d->depth--;
}

static void
task_dump(struct dump *d, const struct node *node, unsigned n)
{
	const struct task *t = node->task;

	indent(d, n);
	if (t->action_tmpl != NULL) {
		buf_adds(&d->out, "- action template ");
		json_write(&d->out, t->action_tmpl, 0);
	} else {
		buf_addf(&d->out, "- %s ", t->module != NULL ? t->module->name : t->module_name);
		json_write(&d->out, t->args, JSON_CENSOR);
	}
	if (node->mark.src != NULL)
		buf_addf(&d->out, "  (%s:%u)", node->mark.src->path, node->mark.line);
	buf_addc(&d->out, '\n');
	value(d, n + 2, "name", node->name);
	value(d, n + 2, "args", t->args_tmpl);
	keywords(d, n + 2, &node->kw);
	vars(d, n + 2, node->vars);
	task_rest(d, n + 2, t);
	if (t->module != NULL && (strcmp(t->module->name, "include_tasks") == 0 ||
	    strcmp(t->module->name, "include_role") == 0))
		included(d, node, n + 2);
}

static void
part(struct dump *d, const char *name, const struct nodes *nodes, unsigned n)
{
	if (nodes->n == 0)
		return;
	indent(d, n);
	buf_addf(&d->out, "%s:\n", name);
	nodes_dump(d, nodes, n + 1);
}

static void
nodes_dump(struct dump *d, const struct nodes *nodes, unsigned n)
{
	const struct node *node;
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		node = nodes->v[i];
		if (node->kind == NODE_TASK) {
			task_dump(d, node, n);
			continue;
		}
		indent(d, n);
		buf_addf(&d->out, "- block%s%s\n", node->block->is_role ? " of role " : "",
		    node->block->is_role ? node->role->name : "");
		value(d, n + 2, "name", node->name);
		part(d, "body", &node->block->body, n + 2);
		part(d, "rescue", &node->block->rescue, n + 2);
		part(d, "always", &node->block->always, n + 2);
	}
}

static void
role_dump(struct dump *d, const struct role *r, unsigned n)
{
	uint32_t i;

	indent(d, n);
	buf_addf(&d->out, "role %s (%s) id %u%s%s\n", r->name, below(d, r->path), r->id,
	    r->is_public ? " public" : "", r->allow_duplicates ? " duplicates" : "");
	value(d, n + 1, "defaults", r->defaults);
	value(d, n + 1, "vars", r->vars);
	value(d, n + 1, "params", r->params);
	for (i = 0; i < r->ndeps; i++)
		role_dump(d, r->deps[i], n + 1);
}

static void
play_dump(struct dump *d, const struct play *p)
{
	static const char *const sections[] = { "pre_tasks", "roles", "tasks", "post_tasks" };
	uint32_t i;

	buf_adds(&d->out, "play ");
	json_write(&d->out, p->hosts, 0);
	buf_addf(&d->out, " (%s:%u, %s)\n", p->mark.src->path, p->mark.line, below(d, p->dir));
	value(d, 1, "name", p->name);
	value(d, 1, "gather_facts", p->gather_facts);
	value(d, 1, "gather_subset", p->gather_subset);
	value(d, 1, "serial", p->serial);
	value(d, 1, "strategy", p->strategy);
	value(d, 1, "order", p->order);
	value(d, 1, "max_fail_percentage", p->max_fail_percentage);
	value(d, 1, "force_handlers", p->force_handlers);
	value(d, 1, "vars", p->vars);
	value(d, 1, "vars_files", p->vars_files);
	value(d, 1, "vars_prompt", p->vars_prompt);
	keywords(d, 1, &p->kw);
	for (i = 0; i < p->nroles; i++)
		role_dump(d, p->roles[i], 1);
	for (i = 0; i < SECTION_MAX; i++)
		part(d, sections[i], &p->sections[i], 1);
	part(d, "handlers", &p->handlers, 1);
}

static const struct node *
first_task(const struct nodes *nodes)
{
	const struct node *n;
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		if (nodes->v[i]->kind == NODE_TASK)
			return nodes->v[i];
		if ((n = first_task(&nodes->v[i]->block->body)) != NULL)
			return n;
	}
	return NULL;
}

/* Where a file is, seen from the site's first task. */
static void
find_dump(struct dump *d, const char *kind, const char *name)
{
	const struct node *n = NULL;
	struct err e CLEANUP_ERR = ERR_INIT;
	const char *path;
	unsigned s;

	for (s = 0; s < SECTION_MAX && n == NULL; s++)
		n = first_task(&d->site->plays[0]->sections[s]);
	path = site_find(d->site, d->site->arena, n, kind, name, &e);
	buf_addf(&d->out, "%s %s: %s\n", kind, name, path != NULL ? below(d, path) : "nowhere");
	if (path == NULL)
		buf_addf(&d->out, "  %s\n", e.hint);
}

static int
schema_dump(struct arena *a)
{
	struct buf out CLEANUP_BUF = BUF_INIT;

	json_write(&out, site_schema_json(a), JSON_INDENT(2) | JSON_SORT);
	buf_addc(&out, '\n');
	(void)fwrite(out.data, 1, out.len, stdout);
	return 0;
}

static int
usage(void)
{
	(void)fprintf(stderr, "usage: site-dump [-i INVENTORY]... [-e JSON] [-q] [-f KIND NAME]... SITE\n"
	    "       site-dump -s\n");
	return 64;
}

struct opts {
	const char	*inventory[16], *find[16][2], *extra, *path;
	unsigned	 ninventory, nfind;
	bool		 quiet, schema;
};

static bool
opts_read(struct opts *o, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-i") == 0 && i + 1 < argc && o->ninventory < NITEMS(o->inventory))
			o->inventory[o->ninventory++] = argv[++i];
		else if (strcmp(argv[i], "-e") == 0 && i + 1 < argc)
			o->extra = argv[++i];
		else if (strcmp(argv[i], "-f") == 0 && i + 2 < argc && o->nfind < NITEMS(o->find)) {
			o->find[o->nfind][0] = argv[++i];
			o->find[o->nfind++][1] = argv[++i];
		} else if (strcmp(argv[i], "-s") == 0)
			o->schema = true;
		else if (strcmp(argv[i], "-q") == 0)
			o->quiet = true;
		else if (o->path == NULL && argv[i][0] != '-')
			o->path = argv[i];
		else
			return false;
	}
	return o->path != NULL || o->schema;
}

static struct inventory *
inventory_read(struct arena *a, const struct opts *o, struct diags *diags)
{
	struct inventory *inv = inventory_new(a, NULL);
	char *dir = arena_strdup(a, o->path), *slash = strrchr(dir, '/');
	unsigned i;

	if (slash != NULL)
		*slash = '\0';
	for (i = 0; i < o->ninventory; i++)
		(void)inventory_add(inv, o->inventory[i], diags);
	(void)inventory_add_site_dir(inv, slash != NULL ? dir : ".", diags);
	(void)inventory_finish(inv, diags);
	return inv;
}

int
main(int argc, char **argv)
{
	struct opts o = { .path = NULL };
	struct arena a = { 0 };
	struct diags diags = DIAGS_INIT;
	struct err e = ERR_INIT;
	struct site_opts so = { 0 };
	struct dump d = { .diags = &diags };
	struct buf cwd = BUF_INIT;
	uint32_t i;
	int rc;

	if (!opts_read(&o, argc, argv))
		return usage();
	if (o.schema) {
		rc = schema_dump(&a);
		arena_release(&a);
		return rc;
	}
	if (o.extra != NULL) {
		so.extra_vars = json_parse_text(&a, o.extra, strlen(o.extra), &e);
		if (so.extra_vars == NULL)
			return usage();
	}
	so.path = o.path;
	so.inventory = o.ninventory > 0 ? inventory_read(&a, &o, &diags) : NULL;
	d.site = site_load(&a, &so, &diags);
	if (buf_reserve(&cwd, 4096) == NULL || getcwd(cwd.data, 4096) == NULL)
		return 70;
	d.top = cwd.data;
	if (d.site != NULL && !o.quiet) {
		for (i = 0; i < d.site->nplays; i++)
			play_dump(&d, d.site->plays[i]);
		for (i = 0; i < o.nfind; i++)
			find_dump(&d, o.find[i][0], o.find[i][1]);
	}
	diags_format(&diags, false, &d.out);
	if (d.out.len > 0)
		(void)fwrite(d.out.data, 1, d.out.len, stdout);
	rc = diags.nerrors > 0 || d.site == NULL;
	buf_release(&d.out);
	buf_release(&cwd);
	diags_release(&diags);
	arena_release(&a);
	return rc;
}
