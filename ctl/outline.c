/*
 * A site's plays, hosts, tasks and tags, as far as they are known without
 * running it: what include_tasks and include_role bring is known only then.
 */
#include <string.h>

#include "outline.h"
#include "out.h"

struct lister {
	struct load	*load;
	struct arena	*arena;
	struct value	*tasks, *tags;
};

static void
add_tags(struct lister *l, const struct node *n)
{
	uint32_t i, j;

	for (i = 0; i < n->kw.ntags; i++) {
		for (j = 0; j < v_count(l->tags); j++)
			if (v_eqs(v_at(l->tags, j), n->kw.tags[i]))
				break;
		if (j == v_count(l->tags))
			v_push(l->arena, l->tags, v_str(l->arena, n->kw.tags[i]));
	}
}

static void
add_task(struct lister *l, const struct node *n)
{
	const struct settings *s = &l->load->ctl->set;
	struct value *row, *tags;
	const char *name;
	uint32_t i;

	if (!tags_match((const char *const *)n->kw.tags, n->kw.ntags, s->tags.v,
	    s->skip_tags.v))
		return;
	row = v_map(l->arena);
	tags = v_list(l->arena);
	name = n->name != NULL && (n->name->type == V_STR || n->name->type == V_TMPL) ?
	    arena_strndup(l->arena, n->name->u.s, n->name->len) :
	    n->task->module_name != NULL ? n->task->module_name : "";
	v_set_str(l->arena, row, "name", n->role != NULL ?
	    arena_printf(l->arena, "%s : %s", n->role->name, name) : name);
	for (i = 0; i < n->kw.ntags; i++)
		v_push(l->arena, tags, v_str(l->arena, n->kw.tags[i]));
	v_sets(l->arena, row, "tags", tags);
	if (n->mark.src != NULL)
		v_set_str(l->arena, row, "file", n->mark.src->path);
	v_set_int(l->arena, row, "line", n->mark.line);
	v_push(l->arena, l->tasks, row);
	add_tags(l, n);
}

static void
walk(struct lister *l, const struct nodes *nodes)
{
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		const struct node *n = nodes->v[i];

		if (n->kind == NODE_TASK)
			add_task(l, n);
		else {
			walk(l, &n->block->body);
			walk(l, &n->block->rescue);
			walk(l, &n->block->always);
		}
	}
}

/* The play's pattern with extra variables filled in; NULL with err. */
static const char *
pattern_of(struct lister *l, const struct play *p, struct err *err)
{
	const struct value *layers[] = { l->load->site->extra_vars, p->vars };
	struct scope scope = { .layers = layers, .n = 2 };
	const struct value *v = p->hosts;
	struct buf b = BUF_INIT;
	const char *text;
	uint32_t i;

	if (v == NULL)
		return "all";
	if ((v = tmpl_eval(l->arena, &scope, v, err)) == NULL)
		return NULL;
	if (v->type == V_STR)
		return v->u.s;
	for (i = 0; i < v_count(v); i++)
		buf_addf(&b, "%s%s", i > 0 ? "," : "",
		    tmpl_to_str(l->arena, v_at(v, i))->u.s);
	text = buf_dup(&b, l->arena);
	buf_release(&b);
	return text;
}

static const struct value *
hosts_of(struct lister *l, const char *pattern, struct err *err)
{
	struct inventory *inv = l->load->inventory;
	const char *limit = l->load->ctl->set.limit, *unmatched;
	struct host **hosts, **limited = NULL;
	uint32_t n, nlimited = 0, i, j;
	struct value *list = v_list(l->arena);

	if (inventory_match(inv, l->arena, pattern, &hosts, &n, &unmatched, err) == -1 ||
	    (limit != NULL && inventory_match(inv, l->arena, limit, &limited,
	    &nlimited, &unmatched, err) == -1))
		return NULL;
	for (i = 0; i < n; i++) {
		for (j = 0; j < nlimited; j++)
			if (limited[j] == hosts[i])
				break;
		if (limit == NULL || j < nlimited)
			v_push(l->arena, list, v_str(l->arena, hosts[i]->name));
	}
	return list;
}

/* ---- tags that nothing has ----------------------------------------------------------- */

struct tagged {
	const char		*tag;	/* looked for */
	const char		*near;
	unsigned		 dist;
};

/* Is there a task with the tag, or one that brings others? */
static bool
has_tag(struct tagged *t, const struct nodes *nodes)
{
	uint32_t i, j;

	for (i = 0; i < nodes->n; i++) {
		const struct node *n = nodes->v[i];
		const char *module = n->kind == NODE_TASK ? n->task->module_name : NULL;

		for (j = 0; j < n->kw.ntags; j++) {
			if (strcmp(n->kw.tags[j], t->tag) == 0)
				return true;
			nearest_try(t->tag, n->kw.tags[j], &t->near, &t->dist);
		}
		if (module != NULL && strstr(module, "include") != NULL)
			return true;
		if (n->kind != NODE_TASK && (has_tag(t, &n->block->body) ||
		    has_tag(t, &n->block->rescue) || has_tag(t, &n->block->always)))
			return true;
	}
	return false;
}

static void
look_for_tags(struct load *load, const struct words *tags)
{
	static const char *const special[] = { "all", "tagged", "untagged", "always", "never" };
	uint32_t i, j, k;

	for (i = 0; i < tags->n; i++) {
		struct tagged t = { .tag = tags->v[i] };
		bool found = false;
		struct err *e;

		for (j = 0; j < NITEMS(special); j++)
			found |= strcmp(special[j], t.tag) == 0;
		for (j = 0; j < load->site->nplays; j++)
			for (k = 0; k < SECTION_MAX && !found; k++)
				found = has_tag(&t, &load->site->plays[j]->sections[k]);
		if (found)
			continue;
		e = diags_warn(&load->ctl->diags, (struct mark){ 0 }, "no task has the tag '%s'", t.tag);
		if (t.near != NULL)
			err_hint(e, "did you mean '%s'?", t.near);
		else
			err_hint(e, "--list-tags shows those there are");
	}
}

void
outline_tags(struct load *load)
{
	look_for_tags(load, &load->ctl->set.tags);
	look_for_tags(load, &load->ctl->set.skip_tags);
}

/* ---- the whole ---------------------------------------------------------------------------- */

int
outline(struct load *load)
{
	struct ctl *ctl = load->ctl;
	const struct settings *s = &ctl->set;
	struct value *plays = v_list(&ctl->arena);
	uint32_t i, j;

	for (i = 0; i < load->site->nplays; i++) {
		const struct play *p = load->site->plays[i];
		struct lister l = { load, &ctl->arena, v_list(&ctl->arena), v_list(&ctl->arena) };
		struct value *row = v_map(&ctl->arena);
		const struct value *hosts;
		struct err err = ERR_INIT;
		const char *pattern;

		if ((pattern = pattern_of(&l, p, &err)) == NULL ||
		    (hosts = hosts_of(&l, pattern, &err)) == NULL) {
			err_at(&err, p->mark);
			return fail_with(ctl, &err);
		}
		v_set_str(l.arena, row, "play", p->name != NULL ?
		    arena_strndup(l.arena, p->name->u.s, p->name->len) : pattern);
		v_set_str(l.arena, row, "pattern", pattern);
		if (p->mark.src != NULL)
			v_set_str(l.arena, row, "file", p->mark.src->path);
		v_set_int(l.arena, row, "line", p->mark.line);
		for (j = 0; j < SECTION_MAX; j++)
			walk(&l, &p->sections[j]);
		if (s->list_hosts)
			v_sets(l.arena, row, "hosts", hosts);
		if (s->list_tasks)
			v_sets(l.arena, row, "tasks", l.tasks);
		if (s->list_tags)
			v_sets(l.arena, row, "tags", l.tags);
		v_push(l.arena, plays, row);
	}
	ctl->out->ops->site(ctl->out, plays, s->list_hosts, s->list_tasks, s->list_tags);
	return RUN_OK;
}
