/*
 * Variables that nothing anywhere defines.
 *
 * Every name that a task surely evaluates must come from somewhere: extra
 * vars, the inventory, the site's own definitions (defs.c), facts, a loop.
 * What a variable's value needs in turn is followed where the variable has
 * just one definition.  No false alarm is allowed on a playbook that works:
 * behind a condition, a loop that may be empty, a rescue, inside an `if` or
 * the right side of an `and`, a name may be undefined for good reasons; there
 * it is told as a note, and only when it looks like a misspelling.
 */
#include <string.h>

#include "playbook/private.h"

#define FOLLOW_MAX	32
#define HOSTS_MAX	200u	/* hosts compared to know a value that all share */

struct names {
	struct site	*site;
	struct diags	*d;
	struct defs	 defs;
	struct tab	 inv;		/* names looked for in the inventory */
	struct tab	 told;		/* places that were reported */
	bool		 blind;		/* a host's variables cannot be read: its names are not known */
	struct arena	 tmp;
};

/* One use of names. */
struct use {
	struct names		*n;
	const struct node	*node;		/* or NULL: a play's keyword */
	uint32_t		 play;
	bool			 certain, tolerated;
	unsigned		 depth;
	const char		*var;		/* the variable whose value is read, or NULL */
	struct tmpl_name_at	 var_at;	/* where the task reads it */
};

static void use_value(struct use *, const struct value *, unsigned);

/* What cannot be read is told, and may define anything. */
static bool
inventory_readable(const struct site *s, struct diags *d)
{
	size_t before = d->nerrors;
	uint32_t i, n = s->inventory == NULL ? 0 : inventory_nhosts(s->inventory);

	for (i = 0; i < n && d->nerrors == before; i++)
		(void)inventory_host_vars(s->inventory, inventory_host_at(s->inventory, i), d);
	return d->nerrors == before;
}

struct names *
names_new(struct site *s, struct diags *d)
{
	struct names *n = ARENA_NEW(s->arena, struct names);

	n->site = s;
	n->d = d;
	arena_init(&n->tmp);
	if (!s->priv->no_undefined_check)
		defs_collect(s, &n->defs);
	if (!inventory_readable(s, d))
		n->defs.open = true;
	return n;
}

void
names_free(struct names *n)
{
	arena_release(&n->tmp);
}

/* ---- where names are ------------------------------------------------------------------------- */

struct inv_name {
	bool			 found;		/* some host has it */
	const struct value	*val;		/* all hosts have this one, or NULL */
};

/* NULL, reported once, when a file of them is broken. */
static const struct value *
host_vars(struct names *n, uint32_t i)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *vars = inventory_host_vars(n->site->inventory,
	    inventory_host_at(n->site->inventory, i), &found);
	size_t k;

	for (k = 0; vars == NULL && !n->blind && k < found.n; k++)
		diags_add(n->d, found.v[k].level, &found.v[k].err);
	n->blind = n->blind || vars == NULL;
	return vars;
}

static const struct inv_name *
inventory_name(struct names *n, const char *name)
{
	struct inventory *inv = n->site->inventory;
	const struct value *vars, *v;
	struct inv_name *in;
	uint32_t i, nhosts;

	if ((in = tab_get(&n->inv, name)) != NULL)
		return in;
	in = ARENA_NEW(n->site->arena, struct inv_name);
	tab_set(n->site->arena, &n->inv, name, in);
	nhosts = inv == NULL ? 0 : inventory_nhosts(inv);
	for (i = 0; i < nhosts; i++) {
		vars = host_vars(n, i);
		v = vars == NULL ? NULL : v_gets(vars, name);
		if (i == 0)
			in->val = v;
		else if (in->val != NULL && (v == NULL || nhosts > HOSTS_MAX ||
		    (v != in->val && !v_equal(v, in->val))))
			in->val = NULL;
		if (v != NULL || vars == NULL || defs_provided(vars, name))
			in->found = true;
		if (in->found && in->val == NULL)
			break;
	}
	return in;
}

static bool
in_play(const struct def *d, uint32_t play)
{
	for (; d != NULL; d = d->next) {
		if (d->play == play || d->play == DEF_ANY)
			return true;
	}
	return false;
}

/* A loop variable of the task, or of an include that leads to it. */
static bool
in_loop(const struct names *n, const struct node *node, const char *name)
{
	const struct task *t;
	unsigned depth;

	for (depth = 0; node != NULL && depth < SITE_DEPTH_MAX; depth++) {
		t = node->kind == NODE_TASK ? node->task : NULL;
		if (t != NULL && t->loop_kind != LOOP_NONE && (strcmp(t->loop_var, name) == 0 ||
		    (t->index_var != NULL && strcmp(t->index_var, name) == 0)))
			return true;
		node = node_info(n->site, node)->ctx->via;
	}
	return false;
}

bool
names_defined(struct names *n, uint32_t play, const struct node *node, const char *name)
{
	return defs_magic(name) ||
	    (n->site->extra_vars != NULL && v_gets(n->site->extra_vars, name) != NULL) ||
	    defs_provided(n->site->extra_vars, name) || in_play(tab_get(&n->defs.byname, name), play) || in_loop(n, node, name) ||
	    inventory_name(n, name)->found;
}

static void
nearest_of_inventory(struct names *n, const char *name, const char **best, unsigned *dist)
{
	struct inventory *inv = n->site->inventory;
	const struct value *vars;
	const struct ventry *e;
	uint32_t i, it;

	for (i = 0; inv != NULL && i < inventory_nhosts(inv) && i < HOSTS_MAX; i++) {
		vars = host_vars(n, i);
		for (it = 0; vars != NULL && (e = v_next(vars, &it)) != NULL;) {
			if (v_is_str(e->key))
				nearest_try(name, e->key->u.s, best, dist);
		}
	}
}

static const char *
nearest_name(struct names *n, uint32_t play, const char *name, unsigned *dist)
{
	static const char *const magic[] = { "inventory_hostname", "inventory_hostname_short",
	    "group_names", "groups", "hostvars", "playbook_dir", "role_path", "role_name",
	    "inventory_dir", "play_hosts", "omit", NULL };
	const struct value *extra = n->site->extra_vars;
	const char *best = NULL;
	const struct ventry *e;
	uint32_t i, it;

	for (i = 0; i < n->defs.byname.n; i++) {
		if (in_play(n->defs.byname.e[i].val, play))
			nearest_try(name, n->defs.byname.e[i].key, &best, dist);
	}
	for (it = 0; extra != NULL && (e = v_next(extra, &it)) != NULL;) {
		if (v_is_str(e->key))
			nearest_try(name, e->key->u.s, &best, dist);
	}
	nearest_of_inventory(n, name, &best, dist);
	for (i = 0; magic[i] != NULL; i++)
		nearest_try(name, magic[i], &best, dist);
	return best;
}

const char *
names_nearest(struct names *n, uint32_t play, const char *name)
{
	unsigned dist = 0;

	return nearest_name(n, play, name, &dist);
}

/* ---- conditions that are known ------------------------------------------------------------------ */

struct cond_names {
	struct names	*n;
	struct value	*map;
	uint32_t	 play;
};

/* The one value a name can have, as far as that is fixed: 1 found, 0 nowhere defined, -1 unknown. */
static int
constant(struct names *n, uint32_t play, const char *name, const struct value **ret)
{
	const struct value *extra = n->site->extra_vars, *v = NULL;
	const struct inv_name *in;
	const struct def *d;
	uint32_t k = 0;

	if (extra != NULL && (*ret = v_gets(extra, name)) != NULL)
		return v_is_tmpl(*ret) || ((*ret)->flags & V_HAS_TMPL) ? -1 : 1;
	if (defs_magic(name) || tab_get(&n->defs.loops, name) != NULL)
		return -1;
	for (d = tab_get(&n->defs.byname, name); d != NULL; d = d->next) {
		if (d->play != play && d->play != DEF_ANY)
			continue;
		k++;
		v = d->val;
	}
	in = inventory_name(n, name);
	if (k == 0 && !in->found)
		return n->defs.open ? -1 : 0;
	if (k > 1 || (k == 1 && in->found))
		return -1;
	if (k == 0)
		v = in->val;
	if (v == NULL || v_is_tmpl(v) || (v->flags & V_HAS_TMPL) || v->type == V_UNDEF)
		return -1;
	*ret = v;
	return 1;
}

static int
cond_name(void *arg, const struct tmpl_name_at *at)
{
	struct cond_names *c = arg;
	const struct value *v = NULL;
	int r = constant(c->n, c->play, at->name, &v);

	if (r < 0)
		return -1;
	if (r > 0)
		v_sets(&c->n->tmp, c->map, at->name, v);
	return 0;
}

int
names_cond(struct names *n, uint32_t play, const struct value *cond)
{
	struct err ignored CLEANUP_ERR = ERR_INIT;
	struct cond_names c = { n, NULL, play };
	const struct value *layers[1];
	struct scope scope = { .layers = layers, .n = 1 };
	bool b;
	int r = -1;

	if (cond->type == V_BOOL)
		return cond->u.b;
	if (!v_is_tmpl(cond) || n->site->priv->no_undefined_check)
		return -1;
	c.map = v_map(&n->tmp);
	if (tmpl_names_at(v_tmpl(cond), false, cond_name, &c) == 0) {
		layers[0] = c.map;
		if (tmpl_when(&n->tmp, &scope, cond, &b, &ignored) == 0)
			r = b ? 1 : 0;
	}
	arena_clear(&n->tmp);
	return r;
}

/* ---- uses --------------------------------------------------------------------------------------- */

static void
undefined(struct use *u, const struct tmpl_name_at *where)
{
	struct names *n = u->n;
	const char *name = where->name;
	struct mark at;
	bool loop_var = tab_get(&n->defs.loops, name) != NULL || strcmp(name, "item") == 0;
	const char *near, *place;
	unsigned dist = 0;
	struct err *e;

	if (n->defs.open && !loop_var)
		return;
	at = tmpl_name_mark(where);
	place = arena_printf(n->site->arena, "%s:%u:%u", at.src == NULL ? "" : at.src->path,
	    at.line, at.col);
	if (tab_get(&n->told, place) != NULL)
		return;
	near = nearest_name(n, u->play, name, &dist);
	if (u->certain && !u->tolerated && loop_var)
		e = diags_error(n->d, ERR_UNDEFINED, at, "'%s' is undefined: the task has no loop", name);
	else if (u->certain && !u->tolerated)
		e = diags_error(n->d, ERR_UNDEFINED, at, "'%s' is undefined: nothing defines it", name);
	else if (near != NULL && (dist <= 1 || (dist == 2 && strlen(name) >= 6)))
		e = diags_note(n->d, at, "'%s' may be undefined: nothing defines it", name);
	else
		return;
	tab_set(n->site->arena, &n->told, place, n);
	if (loop_var)
		err_hint(e, "add `loop:` to the task");
	else if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "set it in `vars:`, group_vars/ or with -e, or say what to take without it: %s | default(…)",
		    name);
	if (u->var != NULL)
		err_note(e, tmpl_name_mark(&u->var_at), "through the variable '%s', read here", u->var);
}

/* What a variable's value needs in turn, where there is no doubt which value it is. */
static void
follow(struct use *u, const struct tmpl_name_at *at)
{
	struct names *n = u->n;
	const char *name = at->name;
	const struct inv_name *in = inventory_name(n, name);
	const struct value *v = NULL, *extra = n->site->extra_vars;
	struct def *d, *only = NULL;
	struct use inner = *u;
	uint32_t k = 0;

	if (!u->certain || u->depth >= FOLLOW_MAX || in_loop(n, u->node, name) ||
	    (extra != NULL && v_gets(extra, name) != NULL))
		return;
	for (d = tab_get(&n->defs.byname, name); d != NULL; d = d->next) {
		if (d->play == u->play || d->play == DEF_ANY) {
			only = d;
			k++;
		}
	}
	if (k + (in->found ? 1u : 0u) != 1)
		return;
	if (only != NULL) {
		if (only->followed)
			return;
		only->followed = true;
		v = only->val;
	} else
		v = in->val;
	if (v == NULL)
		return;
	inner.depth++;
	if (inner.var == NULL) {
		inner.var = name;
		inner.var_at = *at;
	}
	use_value(&inner, v, 0);
}

static int
use_name(void *arg, const struct tmpl_name_at *at)
{
	struct use *u = arg;

	if (at->guarded)
		return 0;
	if (names_defined(u->n, u->play, u->node, at->name))
		follow(u, at);
	else
		undefined(u, at);
	return 0;
}

static void
use_tmpl(struct use *u, const struct tmpl *t)
{
	struct use maybe = *u;

	if (u->certain)
		(void)tmpl_names_at(t, true, use_name, u);
	maybe.certain = false;
	(void)tmpl_names_at(t, false, use_name, &maybe);
}

static void
use_value(struct use *u, const struct value *v, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;

	if (v == NULL || depth > V_DEPTH_MAX)
		return;
	if (v_is_tmpl(v))
		use_tmpl(u, v_tmpl(v));
	else if (v_is_list(v) && (v->flags & V_HAS_TMPL)) {
		for (i = 0; i < v_count(v); i++)
			use_value(u, v_at(v, i), depth + 1);
	} else if (v_is_map(v) && (v->flags & V_HAS_TMPL)) {
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			use_value(u, e->val, depth + 1);
	}
}

/* Conditions that must all hold: each is read only when those before it held. */
static void
use_conds(struct use u, const struct conds *c)
{
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		use_value(&u, c->v[i], 0);
		u.certain = u.certain && names_cond(u.n, u.play, c->v[i]) == 1;
	}
}

/* False when a condition is known to be false: nothing behind it is read. */
static bool
use_when(struct use *u, const struct node *node, struct reach r)
{
	int known;

	for (; r.nconds < node->kw.when.n; r.nconds++) {
		use_value(u, node->kw.when.v[r.nconds], 0);
		known = names_cond(u->n, u->play, node->kw.when.v[r.nconds]);
		if (known == 0)
			return false;
		u->certain = u->certain && known == 1;
	}
	return true;
}

static void
use_keywords(struct use *u, const struct keywords *kw)
{
	const struct value *const all[] = { kw->become, kw->become_user, kw->become_flags,
	    kw->remote_user, kw->port, kw->connection, kw->check_mode, kw->delegate_to,
	    kw->ignore_errors, kw->no_log };
	uint32_t i;

	for (i = 0; i < NITEMS(all); i++)
		use_value(u, all[i], 0);
	for (i = 0; i < kw->nenvironment; i++)
		use_value(u, kw->environment[i], 0);
}

/* Conditions of assert: the first that fails ends it. */
static void
use_args(struct use *u, const struct task *t)
{
	const struct value *that = NULL;
	const struct ventry *e;
	struct conds conds;
	uint32_t it;

	if (t->module != NULL && strcmp(t->module->name, "assert") == 0)
		that = v_gets(t->args, "that");
	if (that != NULL && v_is_list(that)) {
		conds.v = that->u.list->v;
		conds.n = that->u.list->n;
		use_conds(*u, &conds);
		u->certain = false;	/* the messages are for when it fails, or not */
	}
	for (it = 0; t->args != NULL && (e = v_next(t->args, &it)) != NULL;) {
		if (e->val != that || !v_is_list(that))
			use_value(u, e->val, 0);
	}
}

void
names_task(struct names *n, uint32_t play, const struct node *node, struct reach r)
{
	const struct task *t = node->task;
	struct use u = { .n = n, .node = node, .play = play,
	    .certain = r.certain && !r.never, .tolerated = r.tolerated };
	const struct tmpl_use *file;
	struct use after;

	if (n->site->priv->no_undefined_check || r.never || node_info(n->site, node)->broken ||
	    !use_when(&u, node, r))
		return;
	if (t->loop_kind != LOOP_NONE) {
		after = u;
		after.certain = u.certain && (t->loop_with == NULL || strcmp(t->loop_with, "first_found") != 0);
		use_value(&after, t->loop, 0);
		u.certain = u.certain && t->loop != NULL && v_is_list(t->loop) &&
		    v_count(t->loop) > 0 && (t->loop_with == NULL || strcmp(t->loop_with, "items") == 0);
	}
	use_keywords(&u, &node->kw);
	use_value(&u, t->args_tmpl, 0);
	use_value(&u, t->action_tmpl, 0);
	after = u;
	use_args(&after, t);
	if (t->module == NULL || t->unsupported != NULL)
		u.certain = false;
	for (file = node_info(n->site, node)->templates; file != NULL; file = file->next)
		use_tmpl(&u, file->tmpl);
	use_value(&u, t->loop_label, 0);
	use_value(&u, t->retries, 0);
	use_value(&u, t->delay, 0);
	use_conds(u, &t->until);
	use_conds(u, &t->failed_when);
	use_conds(u, &t->changed_when);
	u.certain = false;
	use_value(&u, t->notify, 0);
}

void
names_block(struct names *n, uint32_t play, const struct node *node, struct reach r)
{
	struct use u = { .n = n, .node = node, .play = play,
	    .certain = r.certain && !r.never && node->block->body.n > 0, .tolerated = r.tolerated };

	if (!n->site->priv->no_undefined_check && !r.never)
		(void)use_when(&u, node, r);
}

void
names_play(struct names *n, uint32_t play, const struct play *p, struct reach r)
{
	struct use u = { .n = n, .play = play, .certain = r.certain };

	if (n->site->priv->no_undefined_check)
		return;
	use_value(&u, p->hosts, 0);
	use_value(&u, p->serial, 0);
	use_value(&u, p->gather_facts, 0);
}
