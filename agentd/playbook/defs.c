/*
 * What a site defines: names of variables and, where there is just one plain
 * value, the value.
 *
 * The list must never be too short: a name missing here becomes an error for
 * the user.  Where names come from something only a run knows (a file whose
 * name is a template, facts of an unknown module) all files it could be are
 * read for names, and if that cannot be told either, the list is open: then
 * nothing is reported as undefined.
 */
#include <string.h>

#include "playbook/private.h"
#include "yaml/files.h"

#define SCAN_FILES_MAX	2000u
#define SCAN_DEPTH	4

static const char *const yaml_exts[] = { ".yml", ".yaml", ".json", "", NULL };

struct collect {
	struct site	*site;
	struct defs	*defs;
	struct arena	*a;
	uint32_t	 scanned;
};

/* ---- names that are always there ------------------------------------------------------- */

bool
defs_magic(const char *name)
{
	static const char *const prefixes[] = { "ansible_", "facter_", "ohai_", "getent_",
	    "template_", "provctl_", "hostvars", NULL };
	static const char *const names[] = { "inventory_hostname", "inventory_hostname_short",
	    "inventory_dir", "inventory_file", "groups", "group_names", "vars", "environment",
	    "play_hosts", "playbook_dir", "role_path", "role_name", "role_names", "omit", "undef",
	    "discovered_interpreter_python", "module_setup", "gather_subset", "lookup", "query",
	    "q", "now", "range", "dict", "namespace", "cycler", "joiner", "lipsum", "loop", "self",
	    "super", "caller", "varargs", "kwargs", "true", "false", "none", "True", "False",
	    "None", NULL };
	size_t i;

	for (i = 0; prefixes[i] != NULL; i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	for (i = 0; names[i] != NULL; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* ---- adding -------------------------------------------------------------------------------- */

static void
tab_def(struct collect *k, struct tab *t, const char *name, uint32_t play,
    const struct value *val)
{
	struct def *d = ARENA_NEW(k->a, struct def);

	d->next = tab_get(t, name);
	d->play = play;
	d->val = val;
	tab_set(k->a, t, name, d);
}

static void
def(struct collect *k, const char *name, uint32_t play, const struct value *val)
{
	tab_def(k, &k->defs->byname, name, play, val);
}

/* True when it is new. */
static bool
seen(struct collect *k, const char *kind, const void *what, uint32_t play)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s%p/%u", kind, what, play);
	if (tab_get(&k->defs->seen, key) != NULL)
		return false;
	tab_set(k->a, &k->defs->seen, key, k);
	return true;
}

static void
def_map(struct collect *k, const struct value *map, uint32_t play, bool values)
{
	const struct ventry *e;
	uint32_t it;

	if (map == NULL || !v_is_map(map) || !seen(k, values ? "v" : "n", map, play))
		return;
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (v_is_str(e->key))
			def(k, e->key->u.s, play, values ? e->val : NULL);
		if (v_eqs(e->key, "provctl_secrets") && v_is_map(e->val))
			def_map(k, e->val, play, false);
	}
}

bool
defs_provided(const struct value *vars, const char *name)
{
	const struct value *secrets = vars == NULL ? NULL : v_gets(vars, "provctl_secrets");

	return secrets != NULL && v_is_map(secrets) && v_gets(secrets, name) != NULL;
}

/* ---- files that a run may read --------------------------------------------------------------- */

static void scan_tasks(struct collect *, const struct value *, unsigned);

static void
scan_task(struct collect *k, const struct value *task, unsigned depth)
{
	static const char *const parts[] = { "block", "rescue", "always" };
	static const char *const facts[] = { "set_fact", "ansible.builtin.set_fact" };
	const struct value *v, *lc;
	struct token *words;
	uint32_t n, i;
	size_t j, eq;

	for (j = 0; j < NITEMS(parts); j++) {
		if ((v = v_gets(task, parts[j])) != NULL)
			scan_tasks(k, v, depth + 1);
	}
	if ((v = v_gets(task, "register")) != NULL && v_is_str(v))
		def(k, v->u.s, DEF_ANY, NULL);
	lc = v_gets(task, "loop_control");
	for (j = 0; j < 2; j++) {
		if ((v = v_gets(lc, j == 0 ? "loop_var" : "index_var")) != NULL && v_is_str(v))
			def(k, v->u.s, DEF_ANY, NULL);
	}
	def_map(k, v_gets(task, "vars"), DEF_ANY, false);
	for (j = 0; j < NITEMS(facts); j++) {
		if ((v = v_gets(task, facts[j])) == NULL)
			continue;
		def_map(k, v, DEF_ANY, false);
		if (!v_is_str(v) || split_words(k->a, v->u.s, v->len, &words, &n) < 0)
			continue;
		for (i = 0; i < n; i++) {
			if ((eq = strcspn(words[i].text, "=")) < words[i].len)
				def(k, arena_strndup(k->a, words[i].text, eq), DEF_ANY, NULL);
		}
	}
}

static void
scan_tasks(struct collect *k, const struct value *list, unsigned depth)
{
	uint32_t i;

	if (depth > SITE_DEPTH_MAX)
		return;
	for (i = 0; i < v_count(list); i++) {
		if (v_is_list(list) && v_is_map(v_at(list, i)))
			scan_task(k, v_at(list, i), depth);
	}
}

/* Names that a file could bring, whether it holds variables or tasks. */
static void
scan_file(struct collect *k, const char *path)
{
	struct diags ignored CLEANUP_DIAGS = DIAGS_INIT;
	struct err e CLEANUP_ERR = ERR_INIT;
	const struct source *src;
	const struct value *root;

	if (k->scanned++ >= SCAN_FILES_MAX) {
		k->defs->open = true;
		return;
	}
	if ((src = source_read(k->a, path, &k->site->priv->yaml, &e)) == NULL ||
	    (root = yaml_parse(k->a, src, &k->site->priv->yaml, &ignored)) == NULL)
		return;
	if (v_is_map(root))
		def_map(k, root, DEF_ANY, false);
	else if (v_is_list(root))
		scan_tasks(k, root, 0);
}

static void
scan_dir(struct collect *k, const char *dir, unsigned depth)
{
	const char **files = NULL;
	uint32_t n = 0, i;

	if (tab_get(&k->defs->seen, dir) != NULL)
		return;
	tab_set(k->a, &k->defs->seen, dir, k);
	dir_files(k->a, dir, yaml_exts, depth, &files, &n);
	for (i = 0; i < n; i++)
		scan_file(k, files[i]);
}

static void
scan_role(struct collect *k, const char *path)
{
	static const char *const parts[] = { "tasks", "vars", "defaults", "handlers" };
	size_t i;

	for (i = 0; i < NITEMS(parts); i++)
		scan_dir(k, path_join(k->a, path, parts[i]), SCAN_DEPTH);
}

/* All roles beside the playbook and in the roles path. */
static void
scan_roles(struct collect *k, const char *dir)
{
	const char *path;
	struct dirent *e;
	DIR *d = opendir(file_at(dir));

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		path = arena_printf(k->a, "%s/%s", dir, e->d_name);
		if (path_is_dir(path))
			scan_role(k, path);
	}
	(void)closedir(d);
}

/* The source text of a value that names a file. */
static const char *
text_of(const struct value *v)
{
	return v != NULL && (v_is_str(v) || v_is_tmpl(v)) ? v->u.s : "";
}

/*
 * A file named by a template: the directory is what stands before it, "" when
 * there is none; NULL when it cannot be told.
 */
static const char *
fixed_dir(struct collect *k, const char *text)
{
	const char *brace = strstr(text, "{{"), *slash;
	const char *rest = text, *end;

	/* "{{ role_path }}/…": everything that matters is scanned anyway */
	if (brace == text && (end = strstr(text, "}}/")) != NULL &&
	    (strstr(text, "role_path") != NULL || strstr(text, "playbook_dir") != NULL)) {
		rest = end + 3;
		brace = strstr(rest, "{{");
	} else if (brace == text && strstr(text, "}}/") != NULL)
		return NULL;
	for (slash = brace; slash != NULL && slash > rest && *slash != '/'; slash--)
		;
	if (slash == NULL || slash == rest)
		return "";
	return arena_strndup(k->a, rest, (size_t)(slash - rest));
}

static void
scan_beside(struct collect *k, const struct node_info *info, const char *text, bool vars)
{
	const struct ctx *c = info->ctx;
	const char *dir = fixed_dir(k, text);

	if (dir == NULL) {
		k->defs->open = true;
		return;
	}
	if (c->role != NULL)
		scan_role(k, c->role->path);
	if (dir[0] == '/')
		scan_dir(k, dir, SCAN_DEPTH);
	else if (c->role == NULL || dir[0] != '\0') {
		if (c->incl != NULL)
			scan_dir(k, path_join(k->a, c->incl->dir, dir), dir[0] == '\0' ? 0 : SCAN_DEPTH);
		if (c->play != NULL)
			scan_dir(k, path_join(k->a, c->play->dir, dir), dir[0] == '\0' ? 0 : SCAN_DEPTH);
		if (vars && c->play != NULL)
			scan_dir(k, path_join(k->a, path_join(k->a, c->play->dir, "vars"), dir), SCAN_DEPTH);
		if (vars && c->role != NULL)
			scan_dir(k, path_join(k->a, path_join(k->a, c->role->path, "vars"), dir), SCAN_DEPTH);
	}
}

/* ---- tasks ------------------------------------------------------------------------------------ */

/* True when a text, or one somewhere in a value, has a word in it. */
static bool
mentions(const struct value *v, const char *word, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;

	if (v == NULL || depth > V_DEPTH_MAX)
		return false;
	if (v_is_str(v) || v_is_tmpl(v))
		return strstr(v->u.s, word) != NULL;
	for (i = 0; v_is_list(v) && i < v_count(v); i++) {
		if (mentions(v_at(v, i), word, depth + 1))
			return true;
	}
	for (it = 0; v_is_map(v) && (e = v_next(v, &it)) != NULL;) {
		if (mentions(e->key, word, depth + 1) || mentions(e->val, word, depth + 1))
			return true;
	}
	return false;
}

static void
task_include_vars(struct collect *k, const struct node_info *info)
{
	const struct task *t = info->node->task;
	const struct value *file = task_arg(t, "file"), *dir = task_arg(t, "dir"), *name = task_arg(t, "name"), *map;
	const struct value *v = file != NULL ? file : dir;
	struct diags ignored CLEANUP_DIAGS = DIAGS_INIT;
	struct err e CLEANUP_ERR = ERR_INIT;
	struct ctx c = *info->ctx;
	const char *path;

	c.d = &ignored;
	if (name != NULL) {
		if (v_is_str(name))
			def(k, name->u.s, DEF_ANY, NULL);
		else
			k->defs->open = true;
		return;
	}
	if (v == NULL || t->args_tmpl != NULL || v_is_tmpl(v)) {
		/* names given by a loop or a lookup may hold directories of their own */
		if (v == NULL || t->args_tmpl != NULL || mentions(t->loop, "paths", 0) ||
		    strstr(text_of(v), "lookup") != NULL || strstr(text_of(v), "query") != NULL ||
		    (mentions(t->loop, "/", 0) && strcmp(text_of(v), "{{ item }}") == 0 &&
		    info->ctx->role == NULL))
			k->defs->open = true;
		scan_beside(k, info, text_of(v), true);
		return;
	}
	if (!v_is_str(v) || (path = site_find(k->site, k->a, info->node, "vars", v->u.s, &e)) == NULL)
		return;
	if (path_is_dir(path))
		scan_dir(k, path, SCAN_DEPTH * 2);
	else if ((map = vars_load(&c, path, NULL)) != NULL)
		def_map(k, map, DEF_ANY, false);
}

static void
task_set_fact(struct collect *k, const struct task *t, bool extra_args)
{
	const struct ventry *e;
	uint32_t it;

	if (t->args_tmpl != NULL)
		k->defs->open = true;
	for (it = 0; (e = v_next(t->args, &it)) != NULL;) {
		if (!v_is_str(e->key) || strstr(e->key->u.s, "{{") != NULL)
			k->defs->open = true;
		else if (!extra_args || mod_arg_find(t->module, e->key->u.s) == NULL)
			def(k, e->key->u.s, DEF_ANY, NULL);
	}
}

/* Modules whose results become variables. */
static void
task_facts(struct collect *k, const struct task *t)
{
	const char *name = t->module_name, *dot;
	size_t n;

	if (name == NULL)
		return;
	if ((dot = strrchr(name, '.')) != NULL)
		name = dot + 1;
	n = strlen(name);
	if (strcmp(name, "service_facts") == 0)
		def(k, "services", DEF_ANY, NULL);
	else if (strcmp(name, "package_facts") == 0)
		def(k, "packages", DEF_ANY, NULL);
	else if (t->module == NULL && ((n > 6 && strcmp(name + n - 6, "_facts") == 0) ||
	    (!module_known_elsewhere(t->module_name) && dot == NULL)))
		k->defs->open = true;	/* a module of the site's own may return any fact */
}

static void
task_defs(struct collect *k, const struct node_info *info)
{
	const struct task *t = info->node->task;
	const struct ctx *c = info->ctx;
	const char *m = t->module != NULL ? t->module->name : "";
	const char *const *dir;

	if (t->register_as != NULL)
		def(k, t->register_as, DEF_ANY, NULL);
	if (t->loop_kind != LOOP_NONE) {
		tab_def(k, &k->defs->loops, t->loop_var, c->play_no, NULL);
		if (t->index_var != NULL)
			tab_def(k, &k->defs->loops, t->index_var, c->play_no, NULL);
	}
	if (t->action_tmpl != NULL || t->args == NULL)
		return;
	task_facts(k, t);
	if (strcmp(m, "set_fact") == 0)
		task_set_fact(k, t, false);
	else if (strcmp(m, "add_host") == 0)
		task_set_fact(k, t, true);
	else if (strcmp(m, "include_vars") == 0)
		task_include_vars(k, info);
	else if (strcmp(m, "include_tasks") == 0 && info->included == NULL && t->args_tmpl != NULL)
		k->defs->open = true;
	else if (strcmp(m, "include_tasks") == 0 && info->included == NULL)
		scan_beside(k, info, text_of(task_arg(t, "file")), false);
	else if (strcmp(m, "include_role") == 0 && info->included == NULL) {
		if (c->role != NULL)
			scan_role(k, c->role->path);
		if (c->play != NULL)
			scan_roles(k, path_join(k->a, c->play->dir, "roles"));
		for (dir = k->site->roles_path; dir != NULL && *dir != NULL; dir++)
			scan_roles(k, *dir);
	}
}

/* ---- everything ----------------------------------------------------------------------------------- */

static void
role_defs(struct collect *k, const struct role *r, uint32_t play, unsigned depth)
{
	uint32_t i;

	if (r == NULL || depth > SITE_DEPTH_MAX || !seen(k, "r", r, play))
		return;
	def_map(k, r->params, play, true);
	def_map(k, r->vars, play, true);
	def_map(k, r->defaults, play, true);
	role_defs(k, r->parent, play, depth + 1);
	for (i = 0; i < r->ndeps; i++)
		role_defs(k, r->deps[i], play, depth + 1);
}

static void
play_defs(struct collect *k, uint32_t no)
{
	const struct play *p = k->site->plays[no];
	struct ctx c = { .site = k->site, .a = k->a, .play = k->site->plays[no] };
	struct diags ignored CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *entry, *one, *name, *map;
	const char *path, *dir;
	uint32_t i, j;

	c.d = &ignored;
	def_map(k, p->vars, no, true);
	for (i = 0; p->vars_prompt != NULL && i < v_count(p->vars_prompt); i++) {
		if ((name = v_gets(v_at(p->vars_prompt, i), "name")) != NULL && v_is_str(name))
			def(k, name->u.s, no, NULL);
	}
	for (i = 0; p->vars_files != NULL && i < v_count(p->vars_files); i++) {
		entry = v_at(p->vars_files, i);
		for (j = 0; j < (v_is_list(entry) ? v_count(entry) : 1); j++) {
			one = v_is_list(entry) ? v_at(entry, j) : entry;
			name = fixed_eval(&c, one, NULL);
			if (name != NULL && v_is_str(name)) {
				path = path_join(k->a, p->dir, name->u.s);
				if (path_is_file(path) && (map = vars_load(&c, path, NULL)) != NULL)
					def_map(k, map, no, !v_is_list(entry));
			} else if ((dir = fixed_dir(k, text_of(one))) == NULL)
				k->defs->open = true;
			else
				scan_dir(k, path_join(k->a, p->dir, dir), 0);
		}
	}
	for (i = 0; i < p->nroles; i++)
		role_defs(k, p->roles[i], no, 0);
}

static void
scan_group_vars(struct collect *k, const char *dir)
{
	scan_dir(k, path_join(k->a, dir, "group_vars"), SCAN_DEPTH);
	scan_dir(k, path_join(k->a, dir, "host_vars"), SCAN_DEPTH);
}

/* Hosts and groups made during a run bring files of variables that no host has yet. */
static void
scan_new_groups(struct collect *k)
{
	const struct inventory *inv = k->site->inventory;
	const struct host *h;
	uint32_t i;

	scan_group_vars(k, k->site->dir);
	for (i = 0; i < k->site->nplays; i++)
		scan_group_vars(k, k->site->plays[i]->dir);
	for (i = 0; inv != NULL && i < inventory_nhosts(inv); i++) {
		h = inventory_host_at(inv, i);
		if (h->mark.src != NULL && h->mark.src->path != NULL)
			scan_group_vars(k, path_dir(k->a, path_absolute(k->a, h->mark.src->path)));
	}
}

void
defs_collect(struct site *s, struct defs *defs)
{
	struct collect k = { .site = s, .defs = defs, .a = s->arena };
	const struct vars_chain *chain;
	const struct node_info *info;
	uint32_t i;

	defs->open = s->priv->lost;
	if (s->priv->adds_hosts)
		scan_new_groups(&k);
	for (i = 0; i < s->nplays; i++)
		play_defs(&k, i);
	for (i = 0; i < s->priv->ninfo; i++) {
		info = &s->priv->info[i];
		for (chain = info->node->vars; chain != NULL; chain = chain->outer)
			def_map(&k, chain->map, info->ctx->play_no, true);
		role_defs(&k, info->node->role, info->ctx->play_no, 0);
		if (info->node->kind == NODE_TASK)
			task_defs(&k, info);
	}
}
