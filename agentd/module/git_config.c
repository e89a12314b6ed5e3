/*
 * git_config: reads and sets options of git's configuration, by git itself.
 * Values are asked for with NULs between them: they may have lines.
 */
#include <string.h>

#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }

/* git config, and where. */
static void
begin(struct mod *m, struct words *w, const char **ret_cwd)
{
	const char *scope = mod_arg_str(m, "scope");

	*w = (struct words){ .arena = m->arena };
	words_push(w, "git");
	words_push(w, "config");
	words_push(w, "--includes");
	*ret_cwd = mod_has(m, "repo") ? mod_arg_path(m, "repo") : "/";
	if (scope == NULL && !mod_arg_bool(m, "list_all"))
		scope = "system";
	if (scope == NULL)
		return;
	if (strcmp(scope, "file") == 0) {
		words_push(w, "--file");
		words_push(w, mod_arg_path(m, "file"));
	} else
		words_push(w, strcmp(scope, "local") == 0 ? "--local" :
		    strcmp(scope, "global") == 0 ? "--global" : "--system");
}

static int
ask(struct mod *m, struct words *w, const char *cwd, struct proc *p)
{
	p->argv = w->v;
	p->cwd = cwd;
	if (proc_query(m, p) == -1)
		return -1;
	/* 1: no such option, or no such file. */
	if (p->status > 1 || (p->status == 1 && p->err.len > 0 &&
	    strstr(buf_str(&p->err), "unable to read config file") == NULL))
		return mod_fail(m, "%.*s", (int)strcspn(buf_str(&p->err), "\n"),
		    buf_str(&p->err));
	return 0;
}

/* NAME\nVALUE\0 … to a map; of an option with several values the last, as git has it. */
static int
list_all(struct mod *m)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	struct value *map = v_map(m->arena);
	const char *s, *end, *nl, *cwd;
	struct words w;

	begin(m, &w, &cwd);
	words_push(&w, "--null");
	words_push(&w, "--list");
	p.argv = w.v;
	p.cwd = cwd;
	if (proc_query(m, &p) == -1)
		return -1;
	if (p.status != 0 && strstr(buf_str(&p.err), "unable to read config file") == NULL)
		return mod_fail(m, "%.*s", (int)strcspn(buf_str(&p.err), "\n"),
		    buf_str(&p.err));
	s = buf_str(&p.out);
	for (end = s + (p.status == 0 ? p.out.len : 0); s < end; s += strlen(s) + 1) {
		nl = strchr(s, '\n');
		if (nl == NULL)
			v_set_str(m->arena, map, s, "true");
		else
			v_set_str(m->arena, map, arena_strndup(m->arena, s,
			    (size_t)(nl - s)), nl + 1);
	}
	mod_set_str(m, "msg", "");
	mod_set(m, "config_values", map);
	return 0;
}

static int
set(struct mod *m, const char *name, const char *value, const struct value *old)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	struct value *after = v_list(m->arena);
	bool more = mod_arg_is(m, "add_mode", "add");
	const char *cwd;
	struct words w;
	uint32_t i;

	for (i = 0; more && i < v_count(old); i++)
		v_push(m->arena, after, v_at(old, i));
	if (value != NULL)
		v_push(m->arena, after, v_str(m->arena, value));
	if (!mod_change(m, name, old, after))
		return m->failed ? -1 : 0;
	begin(m, &w, &cwd);
	words_push(&w, value == NULL ? "--unset-all" : more ? "--add" : "--replace-all");
	words_push(&w, name);
	if (value != NULL)
		words_push(&w, value);
	p.argv = w.v;
	p.cwd = cwd;
	return proc_must(m, &p);
}

static int
one(struct mod *m, const char *name)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	const char *value = mod_arg_str(m, "value"), *s, *end, *cwd;
	bool absent = mod_arg_is(m, "state", "absent"), more, has = false;
	struct value *old = v_list(m->arena);
	struct words w;

	begin(m, &w, &cwd);
	words_push(&w, "--null");
	words_push(&w, "--get-all");
	words_push(&w, name);
	if (ask(m, &w, cwd, &p) == -1)
		return -1;
	s = buf_str(&p.out);
	for (end = s + p.out.len; s < end; s += strlen(s) + 1) {
		v_push(m->arena, old, v_str(m->arena, s));
		has = has || (value != NULL && strcmp(s, value) == 0);
	}
	if (!absent && value == NULL) {
		mod_set_str(m, "msg", "");
		mod_set_str(m, "config_value", v_count(old) == 0 ? "" :
		    v_at(old, v_count(old) - 1)->u.s);
		return 0;
	}
	more = mod_arg_is(m, "add_mode", "add");
	if (absent ? v_count(old) == 0 : has && (more || v_count(old) == 1)) {
		mod_set_str(m, "msg", absent ? "no setting to unset" : "");
		return 0;
	}
	mod_set_str(m, "msg", "setting changed");
	return set(m, name, absent ? NULL : value, old);
}

static int
git_config_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name");
	bool list = mod_arg_bool(m, "list_all");

	if (name != NULL && (*name == '-' || strchr(name, '.') == NULL))
		return mod_fail(m, "'%s' is no name of an option: section.name", name);
	if (mod_arg_is(m, "scope", "local") && !mod_has(m, "repo"))
		return mod_fail(m, "scope local needs repo");
	/* A check before the package is there. */
	if (m->check && proc_find(m, "git") == NULL && !list &&
	    (mod_has(m, "value") || mod_arg_is(m, "state", "absent"))) {
		if (!mod_arg_is(m, "state", "absent"))
			(void)mod_change(m, name, NULL, v_str(m->arena, mod_arg_str(m, "value")));
		return 0;
	}
	return list ? list_all(m) : one(m, name);
}

static const struct mod_arg git_config_args[] = {
	{ .name = "list_all", .type = ARG_BOOL, .def = "false",
	    .doc = "Returns all options, of `scope` or of all scopes." },
	{ .name = "name", .type = ARG_STR, .doc = "The option, such as user.email. Without a value it is read." },
	{ .name = "repo", .type = ARG_PATH, .doc = "A repository; needed for scope local." },
	{ .name = "file", .type = ARG_PATH, .doc = "A file; needed for scope file." },
	{ .name = "scope", .type = ARG_STR, .choices = "file,local,global,system",
	    .doc = "Where it is set and read: a file, a repository, the user's home, or the machine (which is the default for a single option)." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "present,absent",
	    .doc = "absent: the option goes, with all its values." },
	{ .name = "value", .type = ARG_STR, .doc = "Its value." },
	{ .name = "add_mode", .type = ARG_STR, .def = "replace-all", .choices = "add,replace-all",
	    .doc = "add: beside the values that there are." },
	END
};

static const struct mod_rule git_config_rules[] = {
	{ RULE_ONE_OF, "list_all,name" },
	{ RULE_IF, "scope=local:repo" },
	{ RULE_IF, "scope=file:file" },
	{ RULE_END, NULL }
};

const struct module git_config_module = {
	.name = "git_config", .collection = "community.general",
	.summary = "Reads and sets options of git's configuration.",
	.examples =
	    "- community.general.git_config: {name: user.email, scope: global, value: deploy@example.org}\n"
	    "- community.general.git_config: {name: safe.directory, scope: system, value: /srv/app, add_mode: add}\n",
	.returns = "config_value: the value that was read\nconfig_values: map of all, with list_all\nmsg: what was done\n",
	.args = git_config_args, .rules = git_config_rules, .run = git_config_run,
};
