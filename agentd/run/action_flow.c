/*
 * Modules that change a host's way or what it knows: meta, include_tasks,
 * include_role (and their imports where only a run knows the name),
 * include_vars.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "run/engine.h"
#include "yaml/files.h"

#define VARS_FILES_MAX	1000

static enum action_result
diags_fail(struct step *s, struct diags *diags, const char *what)
{
	struct buf text = BUF_INIT;

	(void)step_fail(s, "%s has errors", what);
	diags_format(diags, false, &text);
	v_sets(s->arena, s->result, "diagnostic",
	    v_strn(s->arena, buf_str(&text), text.len));
	if (diags->n > 0)
		v_sets(s->arena, s->result, "msg",
		    v_strf(s->arena, "%s: %s", what, diags->v[0].err.msg));
	buf_release(&text);
	diags_release(diags);
	return ACTION_DONE;
}

/* ---- meta ---------------------------------------------------------------------------- */

static void
clear_errors(struct run *run)
{
	struct hostrun *h;

	for (h = run->hosts; h != NULL; h = h->next)
		h->failed = h->unreachable = false;
}

static enum action_result
action_meta(struct step *s)
{
	const char *what = v_get_str(s->args, "free_form", "");

	if (strcmp(what, "flush_handlers") == 0)
		s->flush = true;
	else if (strcmp(what, "end_host") == 0)
		s->end_host = true;
	else if (strcmp(what, "end_play") == 0)
		s->end_play = true;
	else if (strcmp(what, "end_batch") == 0)
		s->end_batch = true;
	else if (strcmp(what, "end_role") == 0)
		s->end_role = true;
	else if (strcmp(what, "clear_host_errors") == 0)
		clear_errors(s->host->run);
	else if (strcmp(what, "clear_facts") == 0) {
		s->host->facts = v_map(&s->host->arena);
		s->host->injected = v_map(&s->host->arena);
	} else if (strcmp(what, "reset_connection") == 0)
		links_renew(s->target, s->node, false);
	else if (strcmp(what, "noop") != 0)
		return step_fail(s, "meta: %s is not supported", what);
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_str(s->arena, s->result, "msg", what);
	return ACTION_DONE;
}

/* ---- includes -------------------------------------------------------------------------- */

/* One more list of nodes to go through after this task; the array lives with the host. */
static void
add_include(struct step *s, const struct nodes *nodes)
{
	struct arena *a = &s->host->arena;
	struct include *in;

	if (s->nincludes == s->includes_cap) {
		uint32_t cap = s->includes_cap == 0 ? 4 : s->includes_cap * 2;

		s->includes = arena_grow(a, s->includes,
		    s->nincludes * sizeof(*in), cap * sizeof(*in));
		s->includes_cap = cap;
	}
	in = &s->includes[s->nincludes++];
	in->nodes = nodes;
	in->vars = s->loopvars != NULL ? v_copy(a, s->loopvars) : NULL;
}

/* What an include brings is compiled once, whoever asks first. */
static const struct nodes *
tasks_of(struct step *s, struct diags *diags)
{
	return site_include_tasks(s->host->run->site, s->node,
	    v_get_str(s->args, "file", ""), diags);
}

static const struct nodes *
role_of(struct step *s, const struct role **ret, const struct nodes **ret_handlers,
    struct diags *diags)
{
	struct site_role_use use = {
		.name = v_get_str(s->args, "name", ""),
		.tasks_from = v_get_str(s->args, "tasks_from", "main"),
		.vars_from = v_get_str(s->args, "vars_from", "main"),
		.defaults_from = v_get_str(s->args, "defaults_from", "main"),
		.handlers_from = v_get_str(s->args, "handlers_from", "main"),
		.is_public = v_get_bool(s->args, "public", false),
		.allow_duplicates = v_get_bool(s->args, "allow_duplicates", true),
		.no_spec = !v_get_bool(s->args, "rolespec_validate", true),
	};

	return site_include_role(s->host->run->site, s->node, &use, ret,
	    ret_handlers, diags);
}

const struct nodes *
include_nodes(struct step *s)
{
	const struct nodes *nodes = NULL, *handlers;
	struct diags diags = DIAGS_INIT;
	const struct role *role;

	if (v_gets(s->args, "file") != NULL)
		nodes = tasks_of(s, &diags);
	else if (!v_get_bool(s->args, "public", false))
		nodes = role_of(s, &role, &handlers, &diags);
	diags_release(&diags);
	return nodes;
}

static enum action_result
action_include_tasks(struct step *s)
{
	const char *file = v_get_str(s->args, "file", "");
	struct diags diags = DIAGS_INIT;
	const struct nodes *nodes = tasks_of(s, &diags);

	if (nodes == NULL)
		return diags_fail(s, &diags,
		    arena_printf(s->arena, "the included file '%s'", file));
	diags_release(&diags);
	add_include(s, nodes);
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_str(s->arena, s->result, "include", file);
	return ACTION_DONE;
}

static enum action_result
action_include_role(struct step *s)
{
	struct batch *b = s->walk->batch;
	const char *name = v_get_str(s->args, "name", "");
	struct diags diags = DIAGS_INIT;
	const struct role *role = NULL;
	const struct nodes *handlers = NULL, *nodes = role_of(s, &role, &handlers, &diags);

	if (nodes == NULL)
		return diags_fail(s, &diags,
		    arena_printf(s->arena, "the role '%s'", name));
	diags_release(&diags);
	handlers_add(b, handlers);
	if (v_get_bool(s->args, "public", false) && role != NULL)
		vars_role_public(b, role);
	add_include(s, nodes);
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_str(s->arena, s->result, "include", name);
	return ACTION_DONE;
}

/* ---- include_vars -------------------------------------------------------------------------- */

static int
load_vars(struct step *s, const char *path, struct value *into,
    struct value *files)
{
	struct diags diags = DIAGS_INIT;
	const struct value *map = site_vars_file(s->host->run->site, path, &diags);

	if (map == NULL) {
		(void)diags_fail(s, &diags,
		    arena_printf(s->arena, "the variable file %s", path));
		return -1;
	}
	diags_release(&diags);
	if (map->type == V_MAP)
		v_merge(&s->host->arena, into, map);
	v_push(s->arena, files, v_str(s->arena, path));
	return 0;
}

static bool
wanted_file(const struct step *s, const char *name)
{
	const struct value *ext = v_gets(s->args, "extensions"),
	    *ignore = v_gets(s->args, "ignore_files");
	const char *match = v_get_str(s->args, "files_matching", NULL), *dot;
	uint32_t i;

	for (i = 0; ignore != NULL && i < v_count(ignore); i++)
		if (v_eqs(v_at(ignore, i), name))
			return false;
	if (match != NULL) {
		struct value subject = { .type = V_STR,
		    .len = (uint32_t)strlen(name), .u.s = name };
		struct scope scope = { 0 };
		struct err err = ERR_INIT;
		struct value *vars = v_map(s->arena);
		const struct value *layers[1], *hit;

		v_sets(s->arena, vars, "n", &subject);
		v_set_str(s->arena, vars, "m", match);
		layers[0] = vars;
		scope.layers = layers;
		scope.n = 1;
		hit = tmpl_eval_name(s->arena, &scope, "n is search(m)", &err);
		err_release(&err);
		if (hit == NULL || mod_parse_bool(hit) != 1)
			return false;
	}
	dot = strrchr(name, '.');
	for (i = 0; dot != NULL && ext != NULL && i < v_count(ext); i++)
		if (v_eqs(v_at(ext, i), dot + 1))
			return true;
	return ext == NULL || v_count(ext) == 0;
}

static int
not_hidden(const struct dirent *de)
{
	return de->d_name[0] != '.';
}

static int
load_dir(struct step *s, const char *dir, int64_t depth, struct value *into,
    struct value *files)
{
	struct dirent **v;
	int n = scandir(file_at(dir), &v, not_hidden, alphasort), i, r = 0;

	if (n == -1) {
		(void)step_fail(s, "cannot read the directory %s", dir);
		return -1;
	}
	for (i = 0; i < n; i++) {
		const char *path = arena_printf(s->arena, "%s/%s", dir,
		    v[i]->d_name);
		struct stat st;

		if (r == 0 && stat(file_at(path), &st) == 0) {
			if (S_ISDIR(st.st_mode) && depth != 1)
				r = load_dir(s, path, depth - 1, into, files);
			else if (S_ISREG(st.st_mode) &&
			    wanted_file(s, v[i]->d_name) &&
			    v_count(files) < VARS_FILES_MAX)
				r = load_vars(s, path, into, files);
		}
		free(v[i]);
	}
	free(v);
	return r;
}

static enum action_result
action_include_vars(struct step *s)
{
	struct site *site = s->host->run->site;
	const char *file = v_get_str(s->args, "file", NULL),
	    *dir = v_get_str(s->args, "dir", NULL),
	    *name = v_get_str(s->args, "name", NULL), *path;
	struct value *into = v_map(&s->host->arena), *files = v_list(s->arena);
	struct err err = ERR_INIT;
	int64_t depth = v_get_int(s->args, "depth", 0);

	if (strcmp(v_get_str(s->args, "hash_behaviour", "replace"), "merge") == 0)
		return step_fail(s, "include_vars: hash_behaviour=merge is not "
		    "supported; use the filter `combine`");
	path = site_find(site, s->arena, s->node, "vars",
	    file != NULL ? file : dir != NULL ? dir : "", &err);
	if (path == NULL)
		return step_fail_err(s, &err);
	if ((file != NULL ? load_vars(s, path, into, files) :
	    load_dir(s, path, depth, into, files)) == -1)
		return ACTION_DONE;
	vars_include(s->host, into, name != NULL ?
	    arena_strdup(&s->host->arena, name) : NULL);
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	/* What was included, evaluated where that is possible: for registered results. */
	{
		const struct value *facts = tmpl_eval(s->arena,
		    vars_scope(s->arena, s->host, s->walk, s->node, s->loopvars),
		    into, &err);

		err_release(&err);
		if (facts != NULL && name != NULL) {
			struct value *named = v_map(s->arena);

			v_sets(s->arena, named, name, facts);
			facts = named;
		}
		if (facts != NULL)
			v_sets(s->arena, s->result, "ansible_facts", facts);
	}
	v_sets(s->arena, s->result, "ansible_included_var_files", files);
	return ACTION_DONE;
}

const struct action actions_flow[] = {
	{ .module = "import_role", .run = action_include_role },
	{ .module = "import_tasks", .run = action_include_tasks },
	{ .module = "include", .run = action_include_tasks },
	{ .module = "include_role", .run = action_include_role },
	{ .module = "include_tasks", .run = action_include_tasks },
	{ .module = "include_vars", .run = action_include_vars },
	{ .module = "meta", .run = action_meta },
	{ .module = NULL }
};
