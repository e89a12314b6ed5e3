/*
 * Playbooks: plays, and other playbooks in their place.
 */
#include <string.h>

#include "playbook/private.h"
#include "template/password.h"

static void
play_add(const struct ctx *c, struct play *p)
{
	struct site *s = c->site;

	s->plays = arena_grow(c->a, s->plays, s->nplays * sizeof(struct play *),
	    (s->nplays + 1) * sizeof(struct play *));
	s->plays[s->nplays++] = p;
}

static void
play_keys(const struct ctx *c, const struct value *map)
{
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (key_text(c, e->key, "a play") != NULL &&
		    keyword_find(e->key->u.s, AT_PLAY) == NULL)
			keyword_unknown(c, e->key, AT_PLAY);
	}
}

/* ---- variables ------------------------------------------------------------------------- */

static void
no_vars_file(const struct ctx *c, const struct value *names, const struct value *first)
{
	struct err *e;

	c->site->priv->lost = true;
	e = diags_error(c->d, ERR_IO, v_mark(first), "there is no variables file '%s'", first->u.s);
	if (v_is_list(names))
		err_hint(e, "none of the %u files of the entry is there, looked in %s", v_count(names),
		    path_show(c->a, c->play->dir));
	else
		err_hint(e, "looked for %s", path_show(c->a, path_join(c->a, c->play->dir, first->u.s)));
}

/* One entry of vars_files: the file, or the first of a list that is there. */
static void
vars_files_entry(const struct ctx *c, const struct value *entry, struct value *into)
{
	uint32_t n = v_is_list(entry) ? v_count(entry) : 1, i;
	const struct value *one, *name, *map;
	const char *path;
	bool unknown = false;

	for (i = 0; i < n; i++) {
		one = v_is_list(entry) ? v_at(entry, i) : entry;
		name = fixed_eval(c, one, NULL);
		if (name == NULL) {
			unknown = true;
			break;		/* only a run knows whether this one is taken */
		}
		if (!v_is_str(name)) {
			diags_error(c->d, ERR_TYPE, v_mark(one), "an entry of 'vars_files' must be the name of a file, not %s",
			    v_type_name(name));
			return;
		}
		path = path_join(c->a, c->play->dir, name->u.s);
		if (!path_is_file(path))
			continue;
		if ((map = vars_load(c, path, &(struct mark){ 0 })) != NULL)
			v_merge(c->a, into, map);
		return;
	}
	if (!unknown && n > 0) {
		one = v_is_list(entry) ? v_at(entry, 0) : entry;
		if ((name = fixed_eval(c, one, NULL)) != NULL)
			no_vars_file(c, entry, v_mark(one).src == NULL ? name :
			    v_with_mark(c->a, name, v_mark(one)));
	}
}

static void
vars_files_read(struct ctx *c, const struct value *map)
{
	const struct value *v = v_gets(map, "vars_files");
	struct value *all = v_map(c->a), *list;
	uint32_t i;

	if (v == NULL || v_is_null(v))
		return;
	if (v_is_str(v)) {
		list = v_list(c->a);
		v_push(c->a, list, v);
		v = list;
	}
	if (!v_is_list(v)) {
		diags_error(c->d, ERR_TYPE, v_mark(v), "'vars_files' must be a list of files, not %s",
		    v_type_name(v));
		return;
	}
	if ((v = compile(c, v)) == NULL)
		return;
	c->play->vars_files = v;
	for (i = 0; i < v_count(v); i++)
		vars_files_entry(c, v_at(v, i), all);
	c->file_vars = all;
}

/* Whether the answer can be hashed as it is to be. */
static void
prompt_check(const struct ctx *c, const struct value *one)
{
	const struct value *def = v_gets(one, "default"), *encrypt = v_gets(one, "encrypt");
	struct password_opts o = { .salt = v_get_str(one, "salt", NULL),
	    .salt_size = v_get_int(one, "salt_size", 0) };
	struct err err = ERR_INIT;

	if (v_gets(one, "name") == NULL)
		diags_error(c->d, ERR_INVALID, v_mark(one), "an entry of 'vars_prompt' needs a 'name'");
	if (encrypt == NULL || !v_is_str(encrypt))
		return;
	if (password_check(encrypt->u.s, &o, &err) == -1) {
		err_at(&err, v_mark(encrypt));
		diags_add(c->d, DIAG_ERROR, &err);
	}
	if (def != NULL && v_is_tmpl(def))
		diags_error(c->d, ERR_UNSUPPORTED, v_mark(def),
		    "a template as 'default' of a prompt with 'encrypt' is not supported");
}

static void
vars_prompt_read(const struct ctx *c, const struct value *map)
{
	const struct value *v = keyword_get(c, map, "vars_prompt", AT_PLAY), *one;
	const struct keyword *k;
	const struct ventry *e;
	uint32_t i, it;

	if (v == NULL || !v_is_list(v))
		return;
	for (i = 0; i < v_count(v); i++) {
		one = v_at(v, i);
		if (!v_is_map(one)) {
			diags_error(c->d, ERR_TYPE, v_mark(one), "an entry of 'vars_prompt' must be a map, not %s",
			    v_type_name(one));
			return;
		}
		for (it = 0; (e = v_next(one, &it)) != NULL;) {
			if (key_text(c, e->key, "vars_prompt") == NULL)
				continue;
			if ((k = keyword_find(e->key->u.s, AT_PROMPT)) == NULL)
				keyword_unknown(c, e->key, AT_PROMPT);
			else
				(void)keyword_read(c, k, e->val);
		}
		prompt_check(c, one);
	}
	c->play->vars_prompt = v;
}

static void
play_vars(struct ctx *c, const struct value *map)
{
	const struct value *own = vars_read(c, v_gets(map, "vars"), "'vars'");
	struct value *all;

	c->play->vars = own;
	if (c->import_vars != NULL) {
		all = v_map(c->a);
		if (own != NULL)
			v_merge(c->a, all, own);
		v_merge(c->a, all, c->import_vars);
		c->play->vars = all;
	}
	vars_files_read(c, map);
	vars_prompt_read(c, map);
}

/* ---- plays ------------------------------------------------------------------------------- */

static void
play_hosts(const struct ctx *c, const struct value *map)
{
	const struct value *hosts = v_gets(map, "hosts");

	if (hosts == NULL) {
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(map), "the play has no 'hosts'"),
		    "say which hosts it is for, for example `hosts: all`");
		return;
	}
	if (v_is_null(hosts) || (v_is_list(hosts) && v_count(hosts) == 0) ||
	    (v_is_str(hosts) && hosts->len == 0)) {
		err_hint(diags_error(c->d, ERR_INVALID, v_mark(hosts), "'hosts' is empty"),
		    "say which hosts the play is for, for example `hosts: all`");
		return;
	}
	c->play->hosts = keyword_get(c, map, "hosts", AT_PLAY);
}

static void
play_strategy(const struct ctx *c, const struct value *map)
{
	const struct value *v = keyword_get(c, map, "strategy", AT_PLAY);
	static const char *const known[] = { "linear", "free", "host_pinned", NULL };
	const char *near, *name, *dot;
	size_t i;

	c->play->strategy = v;
	if (v == NULL || !v_is_str(v))
		return;
	name = (dot = strrchr(v->u.s, '.')) != NULL ? dot + 1 : v->u.s;
	for (i = 0; known[i] != NULL; i++) {
		if (strcmp(known[i], name) == 0) {
			c->play->strategy = v_with_mark(c->a, v_str(c->a, name), v_mark(v));
			return;
		}
	}
	if (strncmp(name, "mitogen_", 8) == 0) {	/* what makes Ansible fast is not needed here */
		diags_note(c->d, v_mark(v), "strategy '%s' is taken as '%s'", name, name + 8);
		c->play->strategy = v_with_mark(c->a, v_str(c->a, name + 8), v_mark(v));
		return;
	}
	near = nearest(name, known);
	err_hint(diags_error(c->d, strcmp(name, "debug") == 0 ? ERR_UNSUPPORTED : ERR_VALUE, v_mark(v),
	    strcmp(name, "debug") == 0 ? "strategy '%s' is not supported" : "unknown strategy '%s'", name),
	    near != NULL ? "did you mean '%s'?" : "there are linear, free and host_pinned", near);
}

static void
play_roles(const struct ctx *c, const struct value *map)
{
	const struct value *list = v_gets(map, "roles");
	struct play *p = c->play;
	struct nodes *tasks = &p->sections[SECTION_ROLES];
	struct role *role;
	uint32_t i;

	if (list == NULL || v_is_null(list))
		return;
	if (v_is_str(list)) {
		struct value *one = v_list(c->a);

		v_push(c->a, one, list);
		list = one;
	}
	if (!v_is_list(list)) {
		diags_error(c->d, ERR_TYPE, v_mark(list), "'roles' must be a list of roles, not %s",
		    v_type_name(list));
		return;
	}
	for (i = 0; i < v_count(list); i++) {
		if ((role = role_entry(c, v_at(list, i), tasks, &p->handlers)) == NULL)
			continue;
		p->roles = arena_grow(c->a, p->roles, p->nroles * sizeof(struct role *),
		    (p->nroles + 1) * sizeof(struct role *));
		p->roles[p->nroles++] = role;
	}
}

static void
play_tasks(const struct ctx *c, const struct value *map, const char *key, struct nodes *nodes)
{
	const struct value *list = v_gets(map, key);
	struct ctx inner = *c;

	if (list == NULL || v_is_null(list))
		return;
	if (!v_is_list(list)) {
		struct err *e = diags_error(c->d, ERR_TYPE, v_mark(list),
		    "'%s' must be a list of tasks, not %s", key, v_type_name(list));

		if (v_is_map(list))
			err_hint(e, "begin each task with `- `");
		return;
	}
	inner.handlers = strcmp(key, "handlers") == 0;
	tasks_read(&inner, list, nodes);
}

static void
play_read(const struct ctx *outer, const struct value *map, const char *dir)
{
	struct play *p = ARENA_NEW(outer->a, struct play);
	struct nodes own = { NULL, 0 };
	struct ctx c = *outer;
	uint32_t i;

	p->mark = v_mark(map);
	p->dir = dir;
	c.play = p;
	c.play_no = c.site->nplays;
	play_add(&c, p);
	c.incl = incl_new(&(struct ctx){ .a = c.a, .play = p }, outer->incl->path, false);
	play_keys(&c, map);
	play_hosts(&c, map);
	play_vars(&c, map);
	p->kw = *keywords_inherit(&c, map, AT_PLAY);
	c.kw = &p->kw;
	c.collections = keyword_get(&c, map, "collections", AT_PLAY);
	p->name = keyword_get(&c, map, "name", AT_PLAY);
	p->gather_facts = keyword_get(&c, map, "gather_facts", AT_PLAY);
	p->gather_subset = keyword_get(&c, map, "gather_subset", AT_PLAY);
	p->gather_timeout = keyword_get(&c, map, "gather_timeout", AT_PLAY);
	p->fact_path = keyword_get(&c, map, "fact_path", AT_PLAY);
	p->serial = keyword_get(&c, map, "serial", AT_PLAY);
	p->max_fail_percentage = keyword_get(&c, map, "max_fail_percentage", AT_PLAY);
	p->force_handlers = keyword_get(&c, map, "force_handlers", AT_PLAY);
	p->order = keyword_get(&c, map, "order", AT_PLAY);
	play_strategy(&c, map);
	play_tasks(&c, map, "pre_tasks", &p->sections[SECTION_PRE]);
	play_roles(&c, map);
	play_tasks(&c, map, "tasks", &p->sections[SECTION_TASKS]);
	play_tasks(&c, map, "post_tasks", &p->sections[SECTION_POST]);
	/* those of the roles stand first: a handler of the play with the same name wins */
	play_tasks(&c, map, "handlers", &own);
	for (i = 0; i < own.n; i++)
		nodes_append(c.a, &p->handlers, own.v[i]);
}

/* ---- import_playbook ------------------------------------------------------------------------ */

/* ns.coll.name: playbooks/name.yml of a collection. */
static const char *
collection_playbook(const struct ctx *c, const char *name)
{
	const char *one = strchr(name, '.'), *two = one == NULL ? NULL : strchr(one + 1, '.');
	static const char *const exts[] = { ".yml", ".yaml", "" };
	const char *const *dir, *path;
	size_t i;

	if (two == NULL || strchr(name, '/') != NULL)
		return NULL;
	for (dir = c->site->priv->collections_path; *dir != NULL; dir++) {
		for (i = 0; i < NITEMS(exts); i++) {
			path = arena_printf(c->a, "%s/ansible_collections/%.*s/%.*s/playbooks/%s%s", *dir,
			    (int)(one - name), name, (int)(two - one - 1), one + 1, two + 1, exts[i]);
			if (path_is_file(path))
				return path;
		}
	}
	return NULL;
}

static const struct ventry *
import_key(const struct value *map)
{
	static const char *const names[] = { "import_playbook", "ansible.builtin.import_playbook",
	    "ansible.legacy.import_playbook", "include" };
	const struct ventry *e;
	uint32_t it;
	size_t i;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		for (i = 0; i < NITEMS(names); i++) {
			if (v_eqs(e->key, names[i]))
				return e;
		}
	}
	return NULL;
}

static void
import_keys(const struct ctx *c, const struct value *map, const struct ventry *import)
{
	static const char *const used[] = { "name", "vars", "when", "tags", "import_playbook",
	    "include", NULL };
	const struct ventry *e;
	uint32_t it;
	size_t i;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (e == import || key_text(c, e->key, "import_playbook") == NULL)
			continue;
		if (keyword_find(e->key->u.s, AT_IMPORT) == NULL) {
			keyword_unknown(c, e->key, AT_IMPORT);
			continue;
		}
		for (i = 0; used[i] != NULL && strcmp(used[i], e->key->u.s) != 0; i++)
			;
		if (used[i] == NULL)
			err_hint(diags_warn(c->d, v_mark(e->key), "'%s' has no effect on an imported playbook",
			    e->key->u.s), "say it in its plays");
	}
}

static void
import_playbook(const struct ctx *outer, const struct value *map, const struct ventry *import,
    const char *dir)
{
	const struct value *v, *vars;
	struct keywords *kw;
	struct ctx c = *outer;
	struct value *all;
	const struct incl *in;
	const struct file *f;
	const char *name, *path;
	struct mark at = v_mark(import->val);

	import_keys(&c, map, import);
	if (!v_is_str(import->val)) {
		diags_error(c.d, ERR_TYPE, at, "'%s' must be the name of a playbook, not %s",
		    import->key->u.s, v_type_name(import->val));
		return;
	}
	vars = vars_read(&c, v_gets(map, "vars"), "'vars'");
	if (vars != NULL) {
		all = v_map(c.a);
		v_merge(c.a, all, vars);
		if (outer->import_vars != NULL)
			v_merge(c.a, all, outer->import_vars);
		c.import_vars = all;
	}
	kw = ARENA_NEW(c.a, struct keywords);
	*kw = *c.kw;
	if ((v = v_gets(map, "when")) != NULL)
		conds_read(&c, v, &kw->when);
	tags_add(&c, v_gets(map, "tags"), kw);
	c.kw = kw;
	if ((v = compile(&c, import->val)) == NULL)
		return;
	c.vars = c.import_vars == NULL ? NULL : &(struct vars_chain){ c.import_vars, NULL };
	name = static_text(&c, v);
	c.vars = NULL;
	if (name == NULL || *name == '\0') {
		err_hint(diags_error(c.d, ERR_INVALID, at,
		    "the name of an imported playbook must be known when the site is loaded"),
		    "use variables of -e");
		return;
	}
	if ((path = collection_playbook(&c, name)) == NULL)
		path = path_join(c.a, dir, name);
	for (in = c.incl; in != NULL; in = in->outer) {
		if (strcmp(in->path, path) == 0) {
			diags_error(c.d, ERR_INVALID, at, "%s imports itself", path_show(c.a, path));
			return;
		}
	}
	if (!path_is_file(path)) {
		err_hint(diags_error(c.d, ERR_IO, at, "there is no playbook '%s'", name),
		    "looked for %s", path_show(c.a, path));
		return;
	}
	if ((f = file_load(&c, path, &at)) != NULL)
		playbook_read(&c, f);
}

/* A file of tasks, given as a playbook: the most common mistake. */
static bool
looks_like_task(const struct value *map)
{
	const struct ventry *e;
	uint32_t it;

	if (v_gets(map, "hosts") != NULL)
		return false;
	if (v_gets(map, "block") != NULL)
		return true;
	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		if (v_is_str(e->key) && keyword_find(e->key->u.s, AT_PLAY) == NULL &&
		    (module_find(e->key->u.s) != NULL || module_known_elsewhere(e->key->u.s)))
			return true;
	}
	return false;
}

void
playbook_read(const struct ctx *outer, const struct file *f)
{
	const char *dir = path_dir(outer->a, f->path);
	const struct ventry *import;
	const struct value *v;
	struct ctx c = *outer;
	struct incl *in;
	struct err *e;
	uint32_t i;

	c.play = NULL;
	in = ARENA_NEW(c.a, struct incl);
	*in = (struct incl){ .path = f->path, .dir = dir, .outer = outer->incl };
	c.incl = in;
	c.depth++;
	if (c.depth > SITE_DEPTH_MAX) {
		diags_error(c.d, ERR_LIMIT, (struct mark){ f->src, 0, 0, 1 },
		    "playbooks import each other more than %d deep", SITE_DEPTH_MAX);
		return;
	}
	if (v_is_null(f->root) || !v_is_list(f->root)) {
		if (v_is_null(f->root))
			e = diags_error(c.d, ERR_TYPE, (struct mark){ f->src, 0, 0, 1 },
			    "the playbook is empty");
		else
			e = diags_error(c.d, ERR_TYPE, v_mark(f->root),
			    "a playbook must be a list of plays, not %s", v_type_name(f->root));
		err_hint(e, "begin each play with `- hosts:`");
		return;
	}
	for (i = 0; i < v_count(f->root); i++) {
		v = v_at(f->root, i);
		if (!v_is_map(v)) {
			err_hint(diags_error(c.d, ERR_TYPE, v_mark(v), "a play must be a map, not %s",
			    v_type_name(v)), "begin each play with `- hosts:`");
		} else if ((import = import_key(v)) != NULL)
			import_playbook(&c, v, import, dir);
		else if (looks_like_task(v))
			err_hint(diags_error(c.d, ERR_INVALID, v_mark(v),
			    "a task where a play should be"),
			    "a playbook is a list of plays: put tasks below `hosts:` and `tasks:`");
		else
			play_read(&c, v, dir);
	}
}
