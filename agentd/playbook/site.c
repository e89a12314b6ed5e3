/*
 * Loading a site: settings that decide where roles are, the playbook, the
 * checks.
 */
#include <ctype.h>
#include <string.h>

#include "base/trust.h"
#include "playbook/private.h"
#include "yaml/files.h"

#define CONFIG_MAX	((size_t)1024 * 1024)

struct paths {
	struct arena	*a;
	const char	**v;
	uint32_t	 n;
};

static void
path_add(struct paths *p, const char *path)
{
	p->v = arena_grow(p->a, p->v, p->n * sizeof(*p->v), (p->n + 2) * sizeof(*p->v));
	p->v[p->n++] = path;
	p->v[p->n] = NULL;
}

/* "a:b", each relative to dir. */
static void
paths_split(struct paths *p, const char *list, const char *dir)
{
	const char *one;
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ':')) {
		n = strcspn(list, ":");
		while (n > 0 && isspace((unsigned char)*list))
			list++, n--;
		if (n == 0)
			continue;
		one = arena_strndup(p->a, list, n);
		path_add(p, path_join(p->a, dir, one));
	}
}

/* A value of [defaults] in an ansible.cfg: INI, `;` begins a comment after a blank. */
static const char *
config_value(struct arena *a, const char *text, const char *key)
{
	const char *line, *end, *eq, *stop;
	bool defaults = false;
	size_t n = strlen(key);

	for (line = text; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = line + strcspn(line, "\n");
		if (*line == '[') {
			defaults = strncmp(line, "[defaults]", 10) == 0;
			continue;
		}
		if (!defaults || strncmp(line, key, n) != 0)
			continue;
		eq = line + n + strspn(line + n, " \t");
		if (*eq != '=' && *eq != ':')
			continue;
		eq++;
		eq += strspn(eq, " \t");
		for (stop = eq; stop < end && !(stop > eq && *stop == ';' && stop[-1] == ' '); stop++)
			;
		while (stop > eq && isspace((unsigned char)stop[-1]))
			stop--;
		return arena_strndup(a, eq, (size_t)(stop - eq));
	}
	return NULL;
}

/* The ansible.cfg that counts: $ANSIBLE_CONFIG, here, beside the playbook, at home, of the machine. */
static const char *
config_find(struct arena *a, const char *dir)
{
	const char *env = getenv("ANSIBLE_CONFIG"), *home = getenv("HOME");
	const char *all[6];
	size_t n = 0, i;

	if (env != NULL && *env != '\0')
		all[n++] = path_is_dir(env) ? arena_printf(a, "%s/ansible.cfg", env) : env;
	all[n++] = "ansible.cfg";
	all[n++] = path_join(a, dir, "ansible.cfg");
	if (home != NULL)
		all[n++] = arena_printf(a, "%s/.ansible.cfg", home);
	all[n++] = "/etc/ansible/ansible.cfg";
	for (i = 0; i < n; i++) {
		/* As Ansible does: passed over where everybody can write. */
		if (path_is_file(all[i]) && path_trusted(file_at(all[i]), NULL) == 0)
			return path_absolute(a, all[i]);
	}
	return NULL;
}

const char *
site_config(struct arena *a, const char *dir, const char *key, const char **ret_dir)
{
	struct buf text CLEANUP_BUF = BUF_INIT;
	const char *cfg = config_find(a, dir);

	text.max = CONFIG_MAX;
	if (cfg == NULL || file_read(&text, cfg) < 0)
		return NULL;
	*ret_dir = path_dir(a, cfg);
	return config_value(a, buf_str(&text), key);
}

static void
paths_default(struct paths *p, const char *kind)
{
	const char *home = getenv("HOME");

	if (home != NULL)
		path_add(p, arena_printf(p->a, "%s/.ansible/%s", home, kind));
	path_add(p, arena_printf(p->a, "/usr/share/ansible/%s", kind));
	if (strcmp(kind, "roles") == 0)
		path_add(p, "/etc/ansible/roles");
}

/* A path from the environment or from ansible.cfg. True when it is set. */
static bool
paths_config(struct paths *p, const char *env, const char *cfg, const char *text, const char *key)
{
	const char *v = getenv(env);

	if (v != NULL && *v != '\0')
		paths_split(p, v, path_absolute(p->a, "."));
	else if (cfg != NULL && (v = config_value(p->a, text, key)) != NULL)
		paths_split(p, v, path_dir(p->a, cfg));
	else
		return false;
	return true;
}

static void
search_paths(struct site *s, const struct site_opts *o)
{
	struct paths roles = { .a = s->arena }, colls = { .a = s->arena };
	struct paths library = { .a = s->arena }, plugins = { .a = s->arena };
	struct buf text CLEANUP_BUF = BUF_INIT;
	const char *cfg = config_find(s->arena, s->dir), *const *more;

	text.max = CONFIG_MAX;
	if (cfg != NULL && file_read(&text, cfg) < 0)
		cfg = NULL;
	for (more = o->roles_path; more != NULL && *more != NULL; more++)
		path_add(&roles, path_absolute(s->arena, *more));
	if (!paths_config(&roles, "ANSIBLE_ROLES_PATH", cfg, buf_str(&text), "roles_path"))
		paths_default(&roles, "roles");
	path_add(&colls, path_join(s->arena, s->dir, "collections"));
	if (!paths_config(&colls, "ANSIBLE_COLLECTIONS_PATH", cfg, buf_str(&text), "collections_path") &&
	    !paths_config(&colls, "ANSIBLE_COLLECTIONS_PATHS", cfg, buf_str(&text), "collections_paths"))
		paths_default(&colls, "collections");
	paths_config(&library, "ANSIBLE_LIBRARY", cfg, buf_str(&text), "library");
	paths_config(&plugins, "ANSIBLE_FILTER_PLUGINS", cfg, buf_str(&text), "filter_plugins");
	paths_config(&plugins, "ANSIBLE_TEST_PLUGINS", cfg, buf_str(&text), "test_plugins");
	paths_config(&plugins, "ANSIBLE_LOOKUP_PLUGINS", cfg, buf_str(&text), "lookup_plugins");
	s->roles_path = roles.v;
	s->priv->collections_path = colls.v;
	s->priv->library = library.v;
	s->priv->plugins = plugins.v;
}

struct site *
site_load(struct arena *a, const struct site_opts *o, struct diags *d)
{
	static const struct keywords none;
	struct site *s = ARENA_NEW(a, struct site);
	struct ctx c = { .site = s, .a = a, .d = d, .kw = &none };
	size_t before = d->nerrors;
	const struct file *f;
	const char *path;

	s->arena = a;
	s->priv = ARENA_NEW(a, struct site_private);
	s->inventory = o->inventory;
	s->extra_vars = o->extra_vars;
	if (o->yaml != NULL) {
		s->priv->yaml = *o->yaml;
		s->yaml = &s->priv->yaml;
	}
	s->priv->no_undefined_check = o->no_undefined_check;
	s->priv->tags = o->tags;
	s->priv->skip_tags = o->skip_tags;
	s->priv->limit = o->limit;
	path = path_absolute(a, o->path);
	s->path = path;
	s->dir = path_dir(a, path);
	if (path_is_dir(path)) {
		err_hint(diags_error(d, ERR_IO, (struct mark){ 0 }, "%s is a directory", o->path),
		    "name a playbook, for example %s/site.yml", o->path);
		return NULL;
	}
	search_paths(s, o);
	if ((f = file_load(&c, path, NULL)) == NULL)
		return NULL;
	playbook_read(&c, f);
	site_check(s, d);
	s->priv->loaded = true;
	s->priv->tags = s->priv->skip_tags = NULL;	/* the caller's */
	s->priv->limit = NULL;
	return d->nerrors > before ? NULL : s;
}
