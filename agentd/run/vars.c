/*
 * What variables a task sees.
 *
 * A scope is an array of maps, the strongest first; nothing is merged per
 * task.  What would make many layers (the roles of a play) is merged once per
 * batch and role.  Precedence as Ansible documents it:
 *
 *	extra vars > loop variables > include parameters > role parameters >
 *	set_fact and register > include_vars > task, block vars > role vars >
 *	vars_files > play vars > facts > inventory > role defaults
 */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"
#include "yaml/files.h"

#define LAYERS_MAX	(WALK_DEPTH_MAX * 2 + 32)

struct magic {
	struct hostrun		*host;
	struct walk		*walk;
	const struct node	*node;
	struct scope		*scope;
};

/* ---- roles ------------------------------------------------------------------- */

static void
merge_role(struct arena *a, const struct role *role, bool defaults,
    struct value *into, unsigned depth)
{
	const struct value *own = defaults ? role->defaults : role->vars;
	uint32_t i;

	if (depth > WALK_DEPTH_MAX)
		return;
	for (i = 0; i < role->ndeps; i++)
		merge_role(a, role->deps[i], defaults, into, depth + 1);
	if (own != NULL && own->type == V_MAP)
		v_merge(a, into, own);
}

static const struct value *
role_merged(struct batch *b, const struct role *role, bool defaults)
{
	const struct value *play = defaults ? b->play_defaults : b->play_role_vars;
	const struct role *chain[WALK_DEPTH_MAX];
	struct value *map = v_map(&b->arena);
	uint32_t n = 0;

	v_merge(&b->arena, map, play);
	for (; role != NULL && n < NITEMS(chain); role = role->parent)
		chain[n++] = role;
	while (n > 0)
		merge_role(&b->arena, chain[--n], defaults, map, 0);
	return map;
}

static const struct role_vars *
role_vars_get(struct batch *b, const struct role *role)
{
	struct role_vars *rv;

	for (rv = b->role_vars; rv != NULL; rv = rv->next)
		if (rv->role == role)
			return rv;
	rv = ARENA_NEW(&b->arena, struct role_vars);
	rv->role = role;
	rv->defaults = role_merged(b, role, true);
	rv->vars = role_merged(b, role, false);
	secrets_note(b->run, rv->defaults);
	secrets_note(b->run, rv->vars);
	rv->next = b->role_vars;
	b->role_vars = rv;
	return rv;
}

void
vars_batch_init(struct batch *b, const struct value *prompted)
{
	struct value *defaults = v_map(&b->arena), *vars = v_map(&b->arena);
	struct value *play_vars = v_map(&b->arena);
	uint32_t i;

	for (i = 0; i < b->play->nroles; i++) {
		if (!b->play->roles[i]->is_public)
			continue;
		merge_role(&b->arena, b->play->roles[i], true, defaults, 0);
		merge_role(&b->arena, b->play->roles[i], false, vars, 0);
	}
	b->play_defaults = defaults;
	b->play_role_vars = vars;
	b->role_vars = NULL;
	if (b->play->vars != NULL && b->play->vars->type == V_MAP)
		v_merge(&b->arena, play_vars, b->play->vars);
	if (prompted != NULL)
		v_merge(&b->arena, play_vars, prompted);
	b->play_vars = play_vars;
	secrets_note(b->run, defaults);
	secrets_note(b->run, vars);
	secrets_note(b->run, play_vars);
}

void
vars_role_public(struct batch *b, const struct role *role)
{
	struct value *defaults = v_map(&b->arena), *vars = v_map(&b->arena);

	v_merge(&b->arena, defaults, b->play_defaults);
	v_merge(&b->arena, vars, b->play_role_vars);
	merge_role(&b->arena, role, true, defaults, 0);
	merge_role(&b->arena, role, false, vars, 0);
	b->play_defaults = defaults;
	b->play_role_vars = vars;
	b->role_vars = NULL;	/* merged anew when asked for */
	secrets_note(b->run, defaults);
	secrets_note(b->run, vars);
}

/* One entry of vars_files: a name, or a list of which the first that exists counts. */
static int
vars_file(struct walk *w, struct scope *scope, const struct value *entry,
    struct value *into, struct err *err)
{
	struct run *run = w->batch->run;
	struct arena *a = &w->arena;
	struct value *names;
	uint32_t i;

	if (entry->type == V_LIST)
		names = v_list(a), *names = *entry;
	else {
		names = v_list(a);
		v_push(a, names, entry);
	}
	for (i = 0; i < v_count(names); i++) {
		const struct value *name = v_at(names, i), *map;
		const char *path;

		if ((name = tmpl_eval(a, scope, name, err)) == NULL) {
			/* Facts are not there yet: asked again when they are. */
			if (w->setup_pending && err->code == ERR_UNDEFINED) {
				err_release(err);
				return 0;
			}
			return -1;
		}
		if (name->type != V_STR)
			return err_set_at(err, ERR_TYPE, v_mark(entry),
			    "vars_files wants names of files, not %s",
			    v_type_name(name));
		path = name->u.s[0] == '/' ? name->u.s :
		    arena_printf(a, "%s/%s", w->batch->play->dir, name->u.s);
		if (access(file_at(path), F_OK) != 0) {
			if (i + 1 < v_count(names))
				continue;
			err_set_at(err, ERR_INVALID, v_mark(entry),
			    "no such variable file: %s", path);
			return -1;
		}
		if ((map = site_vars_file(run->site, path, run->diags)) == NULL)
			return err_set_at(err, ERR_INVALID, v_mark(entry),
			    "the variable file %s has errors", path);
		if (map->type == V_MAP)
			v_merge(&w->host->arena, into, map);
		return 0;
	}
	return 0;
}

int
vars_files(struct walk *w, struct err *err)
{
	const struct value *list = w->batch->play->vars_files;
	struct value *into;
	struct scope *scope;
	uint32_t i;

	if (list == NULL || v_count(list) == 0)
		return 0;
	into = v_map(&w->host->arena);
	scope = vars_scope(&w->arena, w->host, w, NULL, NULL);
	for (i = 0; i < v_count(list); i++)
		if (vars_file(w, scope, v_at(list, i), into, err) == -1)
			return -1;
	w->vars_files = into;
	secrets_note(w->batch->run, into);
	return 0;
}

/* ---- setting ------------------------------------------------------------------ */

void
vars_set(struct hostrun *h, const char *name, const struct value *v)
{
	bool secret = h->secret_names != NULL && v_gets(h->secret_names, name) != NULL;

	v = v_copy(&h->arena, secrets_mark(h->run, &h->arena, v, secret));
	v_sets(&h->arena, h->vars, name, v);
	ahead_known(h, name);
	if (secret && v->type == V_STR)
		secrets_note(h->run, v);
}

/*
 * A host may tell what it is, not how it is reached or what the engine itself
 * says: facts of these names are no variables (Ansible's clean_facts(), and
 * CVE-2016-9587).
 */
static bool
fact_is_variable(const char *name)
{
	static const char *const never[] = { "ansible_connection", "ansible_host",
	    "ansible_port", "ansible_user", "ansible_password", "ansible_private_key_file",
	    "ansible_timeout", "ansible_pipelining", "ansible_facts", "ansible_version",
	    "ansible_managed", "ansible_verbosity", "ansible_limit", "ansible_forks",
	    "ansible_check_mode", "ansible_diff_mode", "ansible_run_tags", "ansible_skip_tags",
	    "ansible_play_name", "ansible_play_hosts", "ansible_play_hosts_all",
	    "ansible_play_batch", "hostvars", "groups", "group_names", "inventory_hostname",
	    "inventory_hostname_short", "inventory_dir", "inventory_file", "playbook_dir",
	    "role_name", "role_path", "omit", "vars", "environment" };
	static const char *const prefixes[] = { "ansible_become", "ansible_shell_",
	    "ansible_sudo_", "ansible_su_", "ansible_role_", "ansible_loop", "ansible_failed_",
	    "provctl_" };
	size_t i, n = strlen(name);

	for (i = 0; i < NITEMS(never); i++)
		if (strcmp(name, never[i]) == 0)
			return false;
	for (i = 0; i < NITEMS(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return false;
	if (strncmp(name, "ansible_ssh_", 12) == 0)
		return strncmp(name, "ansible_ssh_host_key_", 21) == 0;
	return !(n > 12 && strcmp(name + n - 12, "_interpreter") == 0);
}

/* Without ansible_ in ansible_facts, as they are as variables; kept ones (bare) got their ansible_ taken off. */
void
vars_set_facts(struct hostrun *h, const struct value *facts, bool bare)
{
	const struct value *v;
	const struct ventry *e;
	const char *name, *variable;
	uint32_t it = 0;

	while ((e = v_next(facts, &it)) != NULL) {
		if (e->key->type != V_STR)
			continue;
		v = v_copy(&h->arena, secrets_mark(h->run, &h->arena, e->val, false));
		name = variable = e->key->u.s;
		if (strncmp(name, "ansible_", 8) != 0 && bare)
			variable = arena_printf(&h->arena, "ansible_%s", name);
		else if (strncmp(name, "ansible_", 8) == 0 && strcmp(name, "ansible_local") != 0)
			name += 8;
		v_sets(&h->arena, h->facts, name, v);
		if (fact_is_variable(variable))
			v_sets(&h->arena, h->injected, variable, v);
	}
}

void
vars_include(struct hostrun *h, const struct value *map, const char *name)
{
	secrets_note(h->run, map);
	if (name != NULL)
		v_sets(&h->arena, h->included, name, map);
	else
		v_merge(&h->arena, h->included, map);
}

/* ---- magic variables -------------------------------------------------------------- */

static const struct value *
hostvar_get(void *arg, struct arena *a, const char *name)
{
	struct scope *scope = arg;
	struct err err = ERR_INIT;
	const struct value *v = tmpl_eval_name(a, scope, name, &err);

	if (v == NULL) {
		bool missing = err.code == ERR_UNDEFINED && err.nnotes == 0;
		const struct value *undef = missing ? NULL :
		    v_undef(a, "%s", err.msg);

		err_release(&err);
		return undef;
	}
	return v->type == V_UNDEF ? NULL : v;
}

static const struct value *
hostvar_keys(void *arg, struct arena *a)
{
	const struct scope *scope = arg;
	struct value *names = v_map(a), *list = v_list(a);
	const struct ventry *e;
	uint32_t i, it;

	for (i = 0; i < scope->n; i++) {
		if (scope->layers[i] == NULL)
			continue;
		for (it = 0; (e = v_next(scope->layers[i], &it)) != NULL;)
			v_set(a, names, e->key, &v_true);
	}
	for (it = 0; (e = v_next(names, &it)) != NULL;)
		v_push(a, list, e->key);
	return list;
}

static const struct value *
hostvars_get(void *arg, struct arena *a, const char *name)
{
	struct run *run = arg;
	struct host *host = inventory_host(run->site->inventory, name);

	if (host == NULL)
		return NULL;
	return tmpl_lazy_map(a, hostvar_get, hostvar_keys,
	    vars_scope(a, run_host(run, host), NULL, NULL, NULL));
}

static const struct value *
hostvars_keys(void *arg, struct arena *a)
{
	struct run *run = arg;
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < inventory_nhosts(run->site->inventory); i++)
		v_push(a, list, v_str(a,
		    inventory_host_at(run->site->inventory, i)->name));
	return list;
}

static const struct value *
batch_hosts(struct arena *a, const struct batch *b, bool failed_too)
{
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		const struct hostrun *h = b->walks[i].host;

		if (failed_too || (!h->failed && !h->unreachable))
			v_push(a, list, v_str(a, h->name));
	}
	return list;
}

static const struct value *
play_hosts(struct arena *a, const struct run *run, bool failed_too)
{
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < run->nplay_hosts; i++) {
		const struct hostrun *h = run->play_hosts[i];

		if (failed_too || (!h->failed && !h->unreachable))
			v_push(a, list, v_str(a, h->name));
	}
	return list;
}

static const struct value *
version_value(struct arena *a)
{
	struct value *v = v_map(a);

	/* The version of the language that we speak. */
	v_set_str(a, v, "full", "2.19.0");
	v_set_str(a, v, "string", "2.19.0");
	v_set_int(a, v, "major", 2);
	v_set_int(a, v, "minor", 19);
	v_set_int(a, v, "revision", 0);
	return v;
}

static const struct value *
short_name(struct arena *a, const char *name)
{
	/* An address is not shortened. */
	if (strspn(name, "0123456789.") == strlen(name) ||
	    strchr(name, ':') != NULL)
		return v_str(a, name);
	return v_strn(a, name, strcspn(name, "."));
}

static const struct value *
role_names(struct arena *a, const struct role *role, bool paths)
{
	struct value *list = v_list(a);

	for (role = role->parent; role != NULL; role = role->parent)
		v_push(a, list, v_str(a, paths ? role->path : role->name));
	return list;
}

static const struct value *
magic_role(struct arena *a, const struct role *role, const char *name)
{
	if (role == NULL)
		return NULL;
	if (strcmp(name, "role_path") == 0)
		return v_str(a, role->path);
	if (strcmp(name, "role_name") == 0 || strcmp(name, "ansible_role_name") == 0)
		return v_str(a, role->name);
	if (strcmp(name, "ansible_parent_role_names") == 0)
		return role_names(a, role, false);
	if (strcmp(name, "ansible_parent_role_paths") == 0)
		return role_names(a, role, true);
	return NULL;
}

static const struct value *
magic_play(struct arena *a, struct batch *b, const char *name)
{
	if (strcmp(name, "ansible_play_hosts") == 0 ||
	    strcmp(name, "play_hosts") == 0)
		return play_hosts(a, b->run, false);
	if (strcmp(name, "ansible_play_hosts_all") == 0)
		return play_hosts(a, b->run, true);
	if (strcmp(name, "ansible_play_batch") == 0)
		return batch_hosts(a, b, false);
	if (strcmp(name, "ansible_play_name") == 0)
		return v_str(a, b->play_name);
	if (strcmp(name, "ansible_play_role_names") == 0 ||
	    strcmp(name, "role_names") == 0 ||
	    strcmp(name, "ansible_role_names") == 0) {
		struct value *list = v_list(a);
		uint32_t i;

		for (i = 0; i < b->play->nroles; i++)
			v_push(a, list, v_str(a, b->play->roles[i]->name));
		return list;
	}
	return NULL;
}

static const struct value *
magic_run(struct arena *a, struct run *run, const char *name)
{
	const struct run_opts *o = run->opts;

	if (strcmp(name, "playbook_dir") == 0)
		return v_str(a, run->site->dir);
	if (strcmp(name, "ansible_check_mode") == 0)
		return v_bool(o->check);
	if (strcmp(name, "ansible_diff_mode") == 0)
		return v_bool(o->diff);
	if (strcmp(name, "ansible_verbosity") == 0)
		return v_int(a, o->verbosity);
	if (strcmp(name, "ansible_version") == 0)
		return version_value(a);
	if (strcmp(name, "provctl_version") == 0)
		return v_str(a, PROVCTL_VERSION);
	if (strcmp(name, "ansible_run_tags") == 0)
		return run->run_tags;
	if (strcmp(name, "ansible_skip_tags") == 0)
		return run->skip_tags;
	if (strcmp(name, "ansible_forks") == 0)
		return v_int(a, o->forks);
	if (strcmp(name, "ansible_limit") == 0)
		return o->limit != NULL ? v_str(a, o->limit) : NULL;
	if (strcmp(name, "groups") == 0) {
		if (run->groups == NULL)
			run->groups = inventory_groups_value(run->site->inventory);
		return run->groups;
	}
	if (strcmp(name, "hostvars") == 0)
		return tmpl_lazy_map(a, hostvars_get, hostvars_keys, run);
	return NULL;
}

static const struct value *
magic_host(struct arena *a, struct hostrun *h, const char *name)
{
	struct inventory *inv = h->run->site->inventory;

	if (strcmp(name, "inventory_hostname") == 0)
		return v_str(a, h->name);
	if (strcmp(name, "inventory_hostname_short") == 0)
		return short_name(a, h->name);
	if (strcmp(name, "group_names") == 0)
		return inventory_group_names(inv, h->host);
	if (strcmp(name, "ansible_facts") == 0)
		return h->facts;
	if (strcmp(name, "inventory_dir") == 0 ||
	    strcmp(name, "inventory_file") == 0) {
		const char *path = h->host->mark.src != NULL ?
		    h->host->mark.src->path : NULL, *slash;

		if (path == NULL)
			return NULL;
		if (strcmp(name, "inventory_file") == 0)
			return v_str(a, path);
		slash = strrchr(path, '/');
		return slash == NULL ? v_str(a, ".") :
		    v_strn(a, path, (size_t)(slash - path));
	}
	return NULL;
}

static const struct value *
magic(void *arg, struct arena *a, const char *name)
{
	struct magic *m = arg;
	const struct value *v;

	if ((v = magic_host(a, m->host, name)) != NULL ||
	    (v = magic_run(a, m->host->run, name)) != NULL)
		return v;
	if (strcmp(name, "vars") == 0)
		return tmpl_lazy_map(a, hostvar_get, hostvar_keys, m->scope);
	if (m->walk != NULL) {
		if ((v = magic_play(a, m->walk->batch, name)) != NULL)
			return v;
		if (strcmp(name, "ansible_failed_task") == 0)
			return m->walk->failed_task;
		if (strcmp(name, "ansible_failed_result") == 0)
			return m->walk->failed_result;
	}
	return m->node != NULL ? magic_role(a, m->node->role, name) : NULL;
}

/* ---- scopes ---------------------------------------------------------------------- */

/* A piece of text that a template made of secrets. */
static void
secret_piece(void *arg, const struct value *v)
{
	struct magic *m = arg;

	secrets_derived(m->host->run, v, true);
}

static void
add(struct scope *s, const struct value *map)
{
	if (map != NULL && map->type == V_MAP && map->u.map->n > 0 &&
	    s->n < LAYERS_MAX)
		s->layers[s->n++] = map;
}

static void
add_walk_layers(struct scope *s, struct walk *w, const struct node *node)
{
	const struct role *role;
	uint32_t i;

	if (w != NULL)
		for (i = w->depth; i-- > 0;)
			if (w->at[i].kind == AT_INCLUDE)
				add(s, w->at[i].includes[w->at[i].i].vars);
	for (role = node != NULL ? node->role : NULL; role != NULL;
	    role = role->parent)
		add(s, role->params);
}

struct scope *
vars_scope(struct arena *a, struct hostrun *h, struct walk *w,
    const struct node *node, const struct value *extra)
{
	const struct role_vars *rv = w != NULL && node != NULL &&
	    node->role != NULL ? role_vars_get(w->batch, node->role) : NULL;
	struct scope *s = ARENA_NEW(a, struct scope);
	struct tmpl_files *files = ARENA_NEW(a, struct tmpl_files);
	struct magic *m = ARENA_NEW(a, struct magic);
	const struct vars_chain *chain;

	s->layers = ARENA_ARRAY(a, LAYERS_MAX, const struct value *);
	add(s, h->run->site->extra_vars);
	add(s, extra);
	add_walk_layers(s, w, node);
	if (w != NULL)
		add(s, w->presumed);
	add(s, h->vars);
	add(s, h->included);
	for (chain = node != NULL ? node->vars : NULL; chain != NULL;
	    chain = chain->outer)
		add(s, chain->map);
	if (w != NULL) {
		add(s, rv != NULL ? rv->vars : w->batch->play_role_vars);
		add(s, w->vars_files);
		add(s, w->batch->play_vars);
	}
	add(s, h->injected);
	add(s, inventory_host_vars(h->run->site->inventory, h->host,
	    h->run->diags));
	if (w != NULL)
		add(s, rv != NULL ? rv->defaults : w->batch->play_defaults);
	add(s, h->provided);
	s->secrets = h->secret_names;
	m->host = h;
	m->walk = w;
	m->node = node;
	m->scope = s;
	s->magic = magic;
	s->secret = secret_piece;
	s->arg = m;
	files->basedir = w != NULL ? w->batch->play->dir : h->run->site->dir;
	files->search = node != NULL ? node->search : NULL;
	files->allow_pipe = !h->run->looking_ahead;
	files->no_writes = h->run->looking_ahead;
	files->fetch = h->run->looking_ahead ? NULL : fetch_url;
	files->cache = h->run->templates;
	if (h->run->site->yaml != NULL) {
		files->decrypt = h->run->site->yaml->decrypt;
		files->arg = h->run->site->yaml->arg;
	}
	s->files = files;
	return s;
}

/* Without an error: what "did you mean" costs is paid for people only. */
static bool
is_set(struct arena *a, const struct scope *scope, const char *name)
{
	size_t n = strlen(name);
	uint32_t hash = v_hash_str(name, n), i;

	for (i = 0; i < scope->n; i++)
		if (scope->layers[i] != NULL && v_getn(scope->layers[i], name, n, hash) != NULL)
			return true;
	return scope->magic != NULL && scope->magic(scope->arg, a, name) != NULL;
}

const char *
vars_text(struct arena *a, const struct scope *scope, const char *name)
{
	struct err err = ERR_INIT;
	const struct value *v;

	if (!is_set(a, scope, name))
		return NULL;
	if ((v = tmpl_eval_name(a, scope, name, &err)) == NULL) {
		err_release(&err);
		return NULL;
	}
	if (v->type == V_NULL || v->type == V_UNDEF || v->type == V_OMIT)
		return NULL;
	return tmpl_to_str(a, v)->u.s;
}
