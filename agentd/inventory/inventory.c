/*
 * Hosts and groups: the structure itself; see inventory.h.
 *
 * While sources are read, groups and hosts are only collected;
 * inventory_finish() closes the graph (everything below `all`, hosts without
 * a group in `ungrouped`, no loops) and works out depths.  What a run adds
 * later keeps these rules at every step.
 */
#include <assert.h>
#include <string.h>

#include "inventory/inv.h"

/* ---- names ---------------------------------------------------------------- */

static struct names_slot *
names_slot(const struct names *t, const char *name, uint32_t hash)
{
	uint32_t i = hash & (t->cap - 1);

	while (t->slots[i].name != NULL && (t->slots[i].hash != hash ||
	    strcmp(t->slots[i].name, name) != 0))
		i = (i + 1) & (t->cap - 1);
	return &t->slots[i];
}

void *
names_get(const struct names *t, const char *name)
{
	if (t->cap == 0)
		return NULL;
	return names_slot(t, name, v_hash_str(name, strlen(name)))->obj;
}

void
names_put(struct names *t, struct arena *arena, const char *name, void *obj)
{
	struct names old = *t;

	if ((t->n + 1) * 2 > t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->slots = ARENA_ARRAY(arena, t->cap, struct names_slot);
		for (uint32_t i = 0; i < old.cap; i++)
			if (old.slots[i].name != NULL)
				*names_slot(t, old.slots[i].name,
				    old.slots[i].hash) = old.slots[i];
	}
	*names_slot(t, name, v_hash_str(name, strlen(name))) =
	    (struct names_slot){ name, obj, v_hash_str(name, strlen(name)) };
	t->n++;
}

/* Appends a pointer to an array of pointers in the arena. */
#define APPEND(arena, array, n, cap, item) do {				\
	if ((n) == (cap)) {						\
		uint32_t old_ = (cap);					\
		(cap) = old_ == 0 ? 4 : old_ * 2;			\
		(array) = arena_grow((arena), (array),			\
		    old_ * sizeof(*(array)), (cap) * sizeof(*(array)));	\
	}								\
	(array)[(n)++] = (item);					\
} while (0)

/* ---- building -------------------------------------------------------------- */

struct inventory *
inventory_new(struct arena *arena, const struct yaml_opts *yaml)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct inventory *inv = ARENA_NEW(arena, struct inventory);
	struct mark nowhere = { 0 };

	inv->arena = arena;
	inv->yaml = yaml;
	inv->generation = 1;
	inv->all = inv_group(inv, "all", nowhere, &diags);
	inv->ungrouped = inv_group(inv, "ungrouped", nowhere, &diags);
	assert(inv->all != NULL && inv->ungrouped != NULL);
	inv_child(inv, inv->all, inv->ungrouped, nowhere);
	return inv;
}

static const char *
group_name_bad(const char *name)
{
	if (name[0] == '\0')
		return "it is empty";
	if (strlen(name) > 255)
		return "it is longer than 255 characters";
	for (const char *p = name; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return "it has a blank or a control character";
		if (*p == ':' || *p == ',')
			return "':' and ',' separate names in host patterns";
	}
	return NULL;
}

struct group_priv *
inv_group(struct inventory *inv, const char *name, struct mark mark,
    struct diags *diags)
{
	struct group_priv *gp = names_get(&inv->group_names, name);
	const char *why;

	if (gp != NULL) {
		if (gp->g.mark.src == NULL)
			gp->g.mark = mark;
		return gp;
	}
	if ((why = group_name_bad(name)) != NULL) {
		diags_error(diags, ERR_INVALID, mark,
		    "'%.60s' cannot be the name of a group: %s", name, why);
		return NULL;
	}
	gp = ARENA_NEW(inv->arena, struct group_priv);
	gp->g.name = arena_strdup(inv->arena, name);
	gp->g.priority = 1;
	gp->g.mark = mark;
	gp->g.vars = gp->vars = v_map(inv->arena);
	names_put(&inv->group_names, inv->arena, gp->g.name, gp);
	APPEND(inv->arena, inv->groups, inv->ngroups, inv->cap_groups, gp);
	inv->groups_value = NULL;
	return gp;
}

bool
inventory_name_ok(const char *name)
{
	const char *p;

	if (name[0] == '-' || name[0] == '\0')
		return false;
	for (p = name; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("._-:[]%", *p) != NULL))
			return false;
	return p - name <= 255;
}

static void
bad_host_name(const char *name, struct mark mark, struct diags *diags)
{
	const char *at = strchr(name, '@');
	struct err *e = diags_error(diags, ERR_INVALID, mark,
	    "'%.60s' cannot be the name of a host", name);

	if (at != NULL)
		err_hint(e, "write the user as a variable: '%.60s ansible_user=%.*s'",
		    at + 1, (int)(at - name > 60 ? 60 : at - name), name);
	else if (strchr(name, '/') != NULL)
		err_hint(e, "a name has no '/'; is this a file that does not exist?");
	else if (strcmp(name, "---") == 0)
		err_hint(e, "this looks like YAML: name the file *.yml");
	else
		err_hint(e, "letters, digits and . _ - : %% are possible, and no "
		    "'-' at the start; give an address by ansible_host");
}

static bool
is_localhost(const char *name)
{
	return strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
	    strcmp(name, "::1") == 0;
}

static struct host_priv *
host_new(struct inventory *inv, const char *name, struct mark mark)
{
	struct host_priv *hp = ARENA_NEW(inv->arena, struct host_priv);

	hp->h.name = arena_strdup(inv->arena, name);
	hp->h.mark = mark;
	hp->h.index = inv->nhosts;
	hp->h.vars = hp->vars = v_map(inv->arena);
	hp->file = inv->file;
	hp->inv = inv;
	return hp;
}

struct host_priv *
inv_host(struct inventory *inv, const char *name, struct mark mark,
    struct diags *diags)
{
	struct host_priv *hp = names_get(&inv->host_names, name);

	if (hp != NULL)
		return hp;
	if (!inventory_name_ok(name)) {
		bad_host_name(name, mark, diags);
		return NULL;
	}
	if (inv->nhosts >= INV_HOSTS_MAX) {
		diags_error(diags, ERR_LIMIT, mark,
		    "the inventory has more than %u hosts", INV_HOSTS_MAX);
		return NULL;
	}
	hp = host_new(inv, name, mark);
	names_put(&inv->host_names, inv->arena, hp->h.name, hp);
	APPEND(inv->arena, inv->hosts, inv->nhosts, inv->cap_hosts, hp);
	APPEND(inv->arena, inv->order, inv->norder, inv->cap_order, hp);
	if (is_localhost(name) && (inv->localhost == NULL || inv->localhost->implicit))
		inv->localhost = hp;
	return hp;
}

void
inv_member(struct inventory *inv, struct group_priv *gp, struct host_priv *hp)
{
	for (uint32_t i = 0; i < hp->h.ngroups; i++)
		if (hp->h.groups[i] == &gp->g)
			return;
	APPEND(inv->arena, hp->h.groups, hp->h.ngroups, hp->cap_groups, &gp->g);
	APPEND(inv->arena, gp->g.hosts, gp->g.nhosts, gp->cap_hosts, &hp->h);
	inv->generation++;
	inv->groups_value = NULL;
}

static void
leave(struct inventory *inv, struct group_priv *gp, struct host_priv *hp)
{
	uint32_t i, j;

	for (i = j = 0; i < hp->h.ngroups; i++)
		if (hp->h.groups[i] != &gp->g)
			hp->h.groups[j++] = hp->h.groups[i];
	hp->h.ngroups = j;
	for (i = j = 0; i < gp->g.nhosts; i++)
		if (gp->g.hosts[i] != &hp->h)
			gp->g.hosts[j++] = gp->g.hosts[i];
	gp->g.nhosts = j;
	inv->generation++;
	inv->groups_value = NULL;
}

void
inv_child(struct inventory *inv, struct group_priv *parent,
    struct group_priv *child, struct mark mark)
{
	uint32_t cap = parent->cap_children;

	for (uint32_t i = 0; i < child->g.nparents; i++)
		if (child->g.parents[i] == &parent->g)
			return;
	APPEND(inv->arena, parent->g.children, parent->g.nchildren,
	    parent->cap_children, &child->g);
	if (cap != parent->cap_children)
		parent->child_marks = arena_grow(inv->arena, parent->child_marks,
		    cap * sizeof(mark), parent->cap_children * sizeof(mark));
	parent->child_marks[parent->g.nchildren - 1] = mark;
	APPEND(inv->arena, child->g.parents, child->g.nparents,
	    child->cap_parents, &parent->g);
	inv->generation++;
	inv->groups_value = NULL;
}

void
inv_host_var(struct inventory *inv, struct host_priv *hp, const struct value *key,
    const struct value *val)
{
	v_set(inv->arena, hp->vars, key, val);
}

void
inv_group_var(struct inventory *inv, struct group_priv *gp,
    const struct value *key, const struct value *val, struct diags *diags)
{
	char *end;

	if (!v_eqs(key, "ansible_group_priority")) {
		v_set(inv->arena, gp->vars, key, val);
		return;
	}
	if (val->type == V_INT)
		gp->g.priority = val->u.i;
	else if (val->type == V_STR && val->len > 0 && val->len < 19 &&
	    (gp->g.priority = strtoll(val->u.s, &end, 10), *end == '\0'))
		;
	else
		diags_error(diags, ERR_TYPE, v_mark(val),
		    "ansible_group_priority must be a whole number, not %s",
		    v_type_name(val));
}

int
inv_hosts(struct inventory *inv, struct group_priv *gp, const char *pattern,
    struct mark mark, inv_each_host *each, void *arg, struct diags *diags)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *host, **names;
	struct host_priv *hp;
	struct value *key;
	uint32_t n;
	int port;

	if (address_split(inv->arena, pattern, &host, &port, &err) == -1 ||
	    range_expand(inv->arena, host, &names, &n, &err) == -1) {
		err_at(&err, mark);
		diags_add(diags, DIAG_ERROR, &err);
		return -1;
	}
	for (uint32_t i = 0; i < n; i++) {
		bool is_new = names_get(&inv->host_names, names[i]) == NULL;

		if ((hp = inv_host(inv, names[i], mark, diags)) == NULL)
			return -1;
		if (gp != NULL)
			inv_member(inv, gp, hp);
		if (port > 0 && is_new) {
			key = v_str(inv->arena, "ansible_port");
			inv_host_var(inv, hp, key, v_int(inv->arena, port));
		}
		if (each != NULL)
			each(arg, hp);
	}
	return 0;
}

/* ---- finishing -------------------------------------------------------------- */

/* A loop below gp is reported once, with its path; gp is on it. */
static void
report_loop(struct group_priv **path, uint32_t n, struct group_priv *gp,
    struct diags *diags)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct mark marks[ERR_NOTES_MAX] = { 0 };
	uint32_t start = 0, links = 0;
	struct err *e;

	while (path[start] != gp)
		start++;
	for (uint32_t i = start; i < n; i++) {
		struct group_priv *child = i + 1 < n ? path[i + 1] : gp;

		buf_addf(&text, "%s → ", path[i]->g.name);
		for (uint32_t k = 0; k < path[i]->g.nchildren; k++)
			if (path[i]->g.children[k] == &child->g &&
			    links < ERR_NOTES_MAX)
				marks[links++] = path[i]->child_marks[k];
	}
	buf_adds(&text, gp->g.name);
	e = diags_error(diags, ERR_INVALID, marks[0],
	    "groups contain each other: %s", buf_str(&text));
	for (uint32_t i = 1; i < links; i++)
		err_note(e, marks[i], "'%s' has the child '%s' here",
		    path[start + i]->g.name, start + i + 1 < n ?
		    path[start + i + 1]->g.name : gp->g.name);
	err_hint(e, "remove one of these lines");
}

struct walk {
	struct inventory	*inv;
	struct diags		*diags;
	struct group_priv	**path;
	struct frame_pos	{ uint32_t next; } *pos;
	bool			 loop;
};

/* Depth-first without recursion: groups may be nested as deep as there are groups. */
static void
find_loops_from(struct walk *w, struct group_priv *root)
{
	uint32_t n = 0;

	if (root->walking != 0)
		return;
	w->path[n] = root;
	w->pos[n++].next = 0;
	root->walking = 1;
	while (n > 0) {
		struct group_priv *gp = w->path[n - 1], *child;

		if (w->pos[n - 1].next == gp->g.nchildren) {
			gp->walking = 2;
			n--;
			continue;
		}
		child = (struct group_priv *)gp->g.children[w->pos[n - 1].next++];
		if (child->walking == 1) {
			report_loop(w->path, n, child, w->diags);
			w->loop = true;
		} else if (child->walking == 0) {
			child->walking = 1;
			w->path[n] = child;
			w->pos[n++].next = 0;
		}
	}
}

static bool
find_loops(struct inventory *inv, struct diags *diags)
{
	struct walk w = { .inv = inv, .diags = diags };

	w.path = xcalloc(inv->ngroups, sizeof(struct group_priv *));
	w.pos = xcalloc(inv->ngroups, sizeof(*w.pos));
	for (uint32_t i = 0; i < inv->ngroups; i++)
		inv->groups[i]->walking = 0;
	for (uint32_t i = 0; i < inv->ngroups; i++)
		find_loops_from(&w, inv->groups[i]);
	free(w.path);
	free(w.pos);
	return w.loop;
}

/* The longest way from `all`, when there are no loops: parents before children (Kahn). */
static void
set_depths(struct inventory *inv)
{
	struct group_priv **queue;
	uint32_t head = 0, tail = 0, *open;

	queue = xcalloc(inv->ngroups, sizeof(struct group_priv *));
	open = xcalloc(inv->ngroups, sizeof(*open));
	for (uint32_t i = 0; i < inv->ngroups; i++) {
		inv->groups[i]->stamp = i;
		inv->groups[i]->g.depth = 0;
		if ((open[i] = inv->groups[i]->g.nparents) == 0)
			queue[tail++] = inv->groups[i];
	}
	while (head < tail) {
		struct group *g = &queue[head++]->g;

		for (uint32_t i = 0; i < g->nchildren; i++) {
			struct group_priv *c = (struct group_priv *)g->children[i];

			if (c->g.depth < g->depth + 1)
				c->g.depth = g->depth + 1;
			if (--open[c->stamp] == 0)
				queue[tail++] = c;
		}
	}
	free(queue);
	free(open);
	for (uint32_t i = 0; i < inv->ngroups; i++)
		inv->groups[i]->stamp = 0;
	inv->stamp = 0;
}

static void
settle_host(struct inventory *inv, struct host_priv *hp)
{
	bool other = false, ungrouped = false;

	for (uint32_t i = 0; i < hp->h.ngroups; i++) {
		ungrouped |= hp->h.groups[i] == &inv->ungrouped->g;
		other |= hp->h.groups[i] != &inv->ungrouped->g &&
		    hp->h.groups[i] != &inv->all->g;
	}
	if (other && ungrouped)
		leave(inv, inv->ungrouped, hp);
	else if (!other && !ungrouped)
		inv_member(inv, inv->ungrouped, hp);
}

/* As settle_host for all hosts, leaving `ungrouped` in one pass. */
static void
settle_hosts(struct inventory *inv)
{
	struct group *u = &inv->ungrouped->g;
	uint32_t i, j, k, n;

	for (i = j = 0; i < u->nhosts; i++) {
		struct host *h = u->hosts[i];

		for (k = 0; k < h->ngroups && (h->groups[k] == u ||
		    h->groups[k] == &inv->all->g); k++)
			;
		if (k == h->ngroups) {
			u->hosts[j++] = h;
			continue;
		}
		for (k = n = 0; k < h->ngroups; k++)
			if (h->groups[k] != u)
				h->groups[n++] = h->groups[k];
		h->ngroups = n;
	}
	u->nhosts = j;
	for (i = 0; i < inv->nhosts; i++)
		settle_host(inv, inv->hosts[i]);
}

int
inventory_finish(struct inventory *inv, struct diags *diags)
{
	size_t before = diags->nerrors;
	struct mark nowhere = { 0 };
	struct host **order;
	uint32_t n;

	if (find_loops(inv, diags))
		return -1;
	for (uint32_t i = 0; i < inv->ngroups; i++) {
		if (inv->groups[i]->g.nparents == 0 && inv->groups[i] != inv->all)
			inv_child(inv, inv->all, inv->groups[i], nowhere);
		if (names_get(&inv->host_names, inv->groups[i]->g.name) != NULL)
			diags_warn(diags, inv->groups[i]->g.mark,
			    "'%s' is the name of a group and of a host",
			    inv->groups[i]->g.name);
	}
	/* all itself may have been made somebody's child */
	if (inv->all->g.nparents > 0)
		diags_error(diags, ERR_INVALID, inv->all->g.mark,
		    "the group 'all' contains everything and cannot be a child of '%s'",
		    inv->all->g.parents[0]->name);
	settle_hosts(inv);
	set_depths(inv);
	inv->generation++;
	inv->groups_value = NULL;
	order = inv_group_hosts(inv, inv->all, &n);
	assert(n == inv->norder);
	for (uint32_t i = 0; i < n; i++) {
		inv->order[i] = (struct host_priv *)order[i];
		inv->order[i]->h.index = i;
	}
	inv->finished = true;
	return diags->nerrors > before ? -1 : 0;
}

/* ---- during a run ----------------------------------------------------------- */

/* The first error of a collection as the caller's one. */
static void
first_error(struct diags *diags, struct err *err)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->v[i].level == DIAG_ERROR) {
			err_move(err, &diags->v[i].err);
			diags->n = 0;
			return;
		}
}

struct host *
inventory_host_add(struct inventory *inv, const char *name,
    const struct value *vars, struct err *err)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct host_priv *hp;
	struct value *added;

	inv->file = NULL;
	if ((hp = inv_host(inv, name, (struct mark){ 0 }, &diags)) == NULL) {
		first_error(&diags, err);
		return NULL;
	}
	if (hp->h.ngroups == 0) {
		inv_member(inv, inv->all, hp);
		inv_member(inv, inv->ungrouped, hp);
	}
	if (vars != NULL && v_count(vars) > 0) {
		added = v_map(inv->arena);
		if (hp->added != NULL)
			v_merge(inv->arena, added, hp->added);
		v_merge(inv->arena, added, v_copy(inv->arena, vars));
		hp->added = added;
	}
	hp->h.all_vars = NULL;
	return &hp->h;
}

int
inventory_group_add(struct inventory *inv, struct host *host, const char *group,
    struct err *err)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct group_priv *gp;
	struct host_priv *hp = (struct host_priv *)host;

	gp = inv_group(inv, group, (struct mark){ 0 }, &diags);
	if (gp == NULL) {
		first_error(&diags, err);
		return -1;
	}
	if (gp->g.nparents == 0 && gp != inv->all) {
		inv_child(inv, inv->all, gp, (struct mark){ 0 });
		gp->g.depth = 1;
	}
	inv_member(inv, gp, hp);
	if (!hp->implicit)
		settle_host(inv, hp);
	host->all_vars = NULL;
	return 0;
}

int
inventory_group_nest(struct inventory *inv, const char *parent, const char *child,
    struct err *err)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct group_priv *pp, *cp;

	if ((pp = inv_group(inv, parent, (struct mark){ 0 }, &diags)) == NULL ||
	    (cp = inv_group(inv, child, (struct mark){ 0 }, &diags)) == NULL) {
		first_error(&diags, err);
		return -1;
	}
	if (pp == cp || pp == inv->all || cp == inv->all)
		return pp == inv->all ? 0 : err_set(err, ERR_INVALID,
		    "group '%s' cannot be made a child of '%s'", child, parent);
	if (pp->g.nparents == 0)
		inv_child(inv, inv->all, pp, (struct mark){ 0 });
	inv_child(inv, pp, cp, (struct mark){ 0 });
	if (find_loops(inv, &diags)) {
		first_error(&diags, err);
		pp->g.nchildren--;
		cp->g.nparents--;
		return -1;
	}
	set_depths(inv);
	for (uint32_t i = 0; i < inv->nhosts; i++)
		inv->hosts[i]->h.all_vars = NULL;
	return 0;
}

/* ---- reading ---------------------------------------------------------------- */

uint32_t
inventory_nhosts(const struct inventory *inv)
{
	return inv->nhosts;
}

struct host *
inventory_host_at(const struct inventory *inv, uint32_t i)
{
	return i < inv->norder ? &inv->order[i]->h : NULL;
}

static struct host *
implicit_localhost(struct inventory *inv, const char *name)
{
	struct host_priv *hp = inv->localhost;

	if (hp != NULL)
		return &hp->h;
	inv->file = NULL;
	hp = host_new(inv, name, (struct mark){ 0 });
	hp->implicit = true;
	hp->h.index = UINT32_MAX;
	v_set_str(inv->arena, hp->vars, "ansible_connection", "local");
	inv->localhost = hp;
	return &hp->h;
}

struct host *
inventory_host(struct inventory *inv, const char *name)
{
	struct host_priv *hp = names_get(&inv->host_names, name);

	if (hp != NULL)
		return &hp->h;
	return is_localhost(name) ? implicit_localhost(inv, name) : NULL;
}

struct group *
inventory_group(const struct inventory *inv, const char *name)
{
	struct group_priv *gp = names_get(&inv->group_names, name);

	return gp != NULL ? &gp->g : NULL;
}

struct host **
inv_group_hosts(struct inventory *inv, struct group_priv *root, uint32_t *ret_n)
{
	struct group_priv **queue;
	uint32_t stamp = ++inv->stamp, head = 0, tail = 0, n = 0, cap = 0;
	struct host **hosts = NULL;

	if (root->generation == inv->generation) {
		*ret_n = root->nall_hosts;
		return root->all_hosts;
	}
	queue = xcalloc(inv->ngroups, sizeof(struct group_priv *));
	queue[tail++] = root;
	root->stamp = stamp;
	/* Level by level, so that a group's own hosts come before its children's. */
	while (head < tail) {
		struct group *g = &queue[head++]->g;

		for (uint32_t i = 0; i < g->nhosts; i++) {
			struct host_priv *hp = (struct host_priv *)g->hosts[i];

			if (hp->stamp == stamp ||
			    (root == inv->all && hp->implicit))
				continue;
			hp->stamp = stamp;
			APPEND(inv->arena, hosts, n, cap, &hp->h);
		}
		for (uint32_t i = 0; i < g->nchildren; i++) {
			struct group_priv *c = (struct group_priv *)g->children[i];

			if (c->stamp != stamp) {
				c->stamp = stamp;
				queue[tail++] = c;
			}
		}
	}
	free(queue);
	root->all_hosts = hosts;
	root->nall_hosts = n;
	root->generation = inv->generation;
	*ret_n = n;
	return hosts;
}

bool
inventory_in_group(const struct host *host, const struct group *group)
{
	const struct host_priv *hp = (const struct host_priv *)host;
	struct group **v;
	uint32_t n;
	bool found = false;

	if (group == &hp->inv->all->g)
		return !hp->implicit;
	for (uint32_t i = 0; i < host->ngroups; i++)
		if (host->groups[i] == group)
			return true;
	v = inv_ancestors(hp->inv, host, &n);
	for (uint32_t i = 0; i < n && !found; i++)
		found = v[i] == group;
	free(v);
	return found;
}

const struct value *
inventory_groups_value(struct inventory *inv)
{
	struct value *map, *list;
	struct host **hosts;
	uint32_t n;

	if (inv->groups_value != NULL)
		return inv->groups_value;
	map = v_map(inv->arena);
	for (uint32_t i = 0; i < inv->ngroups; i++) {
		list = v_list(inv->arena);
		hosts = inv_group_hosts(inv, inv->groups[i], &n);
		for (uint32_t k = 0; k < n; k++)
			v_push(inv->arena, list, v_str_ref(inv->arena,
			    hosts[k]->name, strlen(hosts[k]->name)));
		v_sets(inv->arena, map, inv->groups[i]->g.name, list);
	}
	inv->groups_value = map;
	return map;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct group *const *)a)->name,
	    (*(struct group *const *)b)->name);
}

struct group **
inv_ancestors(struct inventory *inv, const struct host *host, uint32_t *ret_n)
{
	struct group **v = xcalloc(inv->ngroups, sizeof(struct group *));
	uint32_t stamp = ++inv->stamp, n = 0;

	inv->all->stamp = stamp;
	for (uint32_t i = 0; i <= n; i++) {
		struct group **from = i == 0 ? host->groups : v[i - 1]->parents;
		uint32_t nfrom = i == 0 ? host->ngroups : v[i - 1]->nparents;

		for (uint32_t k = 0; k < nfrom; k++) {
			struct group_priv *gp = (struct group_priv *)from[k];

			if (gp->stamp != stamp) {
				gp->stamp = stamp;
				v[n++] = &gp->g;
			}
		}
	}
	*ret_n = n;
	return v;
}

const struct value *
inventory_group_names(struct inventory *inv, const struct host *host)
{
	struct value *list = v_list(inv->arena);
	uint32_t n;
	struct group **v = inv_ancestors(inv, host, &n);

	qsort(v, n, sizeof(struct group *), by_name);
	for (uint32_t i = 0; i < n; i++)
		v_push(inv->arena, list, v_str_ref(inv->arena, v[i]->name,
		    strlen(v[i]->name)));
	free(v);
	return list;
}

const struct value *
inventory_host_vars(struct inventory *inv, struct host *host, struct diags *diags)
{
	if (host->all_vars == NULL)
		host->all_vars = vars_merge(inv, (struct host_priv *)host, diags);
	return host->all_vars;
}

const char *
inventory_nearest(const struct inventory *inv, const char *name)
{
	const char *best = NULL;
	unsigned dist = 0;

	for (uint32_t i = 0; i < inv->ngroups; i++)
		nearest_try(name, inv->groups[i]->g.name, &best, &dist);
	for (uint32_t i = 0; i < inv->nhosts && i < 20000; i++)
		nearest_try(name, inv->hosts[i]->h.name, &best, &dist);
	return best;
}
