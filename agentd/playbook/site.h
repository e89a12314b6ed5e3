/*
 * A site: a playbook with everything it needs, loaded, checked and compiled
 * once; immutable and shared by all hosts (dynamic includes whose name only a
 * run knows are compiled into it when first met).
 *
 *	site ── play ── section (pre_tasks, roles, tasks, post_tasks, handlers)
 *	                  └─ node tree:  block ─┬─ task
 *	                                        ├─ include (import is inlined here)
 *	                                        └─ block (rescue, always)
 *
 * All mistakes that can be known before connecting are reported by
 * site_load() at once.
 */
#ifndef PROVCTL_PLAYBOOK_SITE_H
#define PROVCTL_PLAYBOOK_SITE_H

#include "inventory/inventory.h"
#include "module/module.h"
#include "template/template.h"

/* Conditions: each a V_BOOL or a V_TMPL of mode TMPL_WHEN; all must hold. */
struct conds {
	const struct value	**v;
	uint32_t		  n;
};

/* Variables in force for a node: inner first. Task vars, block vars, include vars, role params … in one chain per level of precedence. */
struct vars_chain {
	const struct value	*map;
	const struct vars_chain	*outer;
};

struct role {
	const char		*name;		/* as Ansible prints it: "role" or "ns.coll.role" */
	const char		*path;		/* absolute directory */
	const struct value	*defaults;	/* merged map, templates compiled */
	const struct value	*vars;
	const struct value	*meta;		/* galaxy_info etc., or v_null */
	/* of this use of the role: */
	const struct value	*params;	/* role parameters, or NULL */
	const struct role	*parent;	/* the role that depends on or includes this one */
	struct role		**deps;
	uint32_t		  ndeps;
	bool			  allow_duplicates;
	bool			  is_public;	/* its vars are seen by the rest of the play */
	uint32_t		  id;		/* of this role directory: duplicates have the same */
};

/* Keywords that plays, roles, blocks and tasks share; inherited at compile time: the nearest one wins. NULL: not said anywhere. */
struct keywords {
	const struct value	*become, *become_user, *become_method, *become_flags;
	const struct value	*remote_user, *port, *connection;
	const struct value	*check_mode, *diff, *no_log;
	const struct value	*ignore_errors, *ignore_unreachable;
	const struct value	*any_errors_fatal, *run_once, *throttle, *timeout;
	const struct value	*delegate_to, *delegate_facts;
	const struct value	*module_defaults;	/* merged map module → args */
	const struct value	**environment;		/* inner first; maps or V_TMPL */
	uint32_t		  nenvironment;
	struct conds		  when;			/* outer blocks' first */
	const char		**tags;			/* all inherited ones and its own */
	uint32_t		  ntags;
};

enum node_kind { NODE_TASK, NODE_BLOCK };

struct nodes {
	struct node	**v;
	uint32_t	  n;
};

enum loop_kind { LOOP_NONE, LOOP_LIST, LOOP_WITH };

struct task {
	const struct module	*module;
	const char		*module_name;	/* as written */
	const struct value	*args;		/* map; values may be V_TMPL; checked as far as possible */
	const struct value	*args_tmpl;	/* `args: "{{ x }}"`: merged below args; or NULL */
	const struct value	*fact_names;	/* set_fact: names that are templates: text -> V_TMPL; or NULL */
	const struct value	*action_tmpl;	/* action: "{{ … }}" as a whole, or NULL */
	/* The module is known but not supported, or a parameter is: what to say when the task is reached. NULL otherwise. */
	const char		*unsupported;
	enum loop_kind		 loop_kind;
	const char		*loop_with;	/* LOOP_WITH: lookup's name */
	const struct value	*loop;
	const char		*loop_var;	/* "item" */
	const char		*index_var;	/* or NULL */
	const struct value	*loop_label, *loop_pause;
	struct conds		 loop_break_when;
	bool			 loop_extended;
	const char		*register_as;	/* or NULL */
	const struct value	*notify;	/* list of names, values may be V_TMPL; or NULL */
	struct conds		 changed_when, failed_when, until;
	bool			 has_changed_when, has_failed_when, has_until;
	const struct value	*retries, *delay;
	const struct value	*async, *poll;
	/* handlers: */
	const struct value	*listen;	/* list, or NULL */
	bool			 is_handler;
	/* include_tasks, include_role, import_* that is dynamic, include_vars is a module like others: */
	const struct value	*apply;		/* `apply:` of includes, or NULL */
};

struct block {
	struct nodes	 body, rescue, always;
	bool		 has_rescue, has_always;
	/*
	 * The tasks of one use of node.role (its dependencies stand before it
	 * as blocks of their own): to be skipped on a host where a block with
	 * the same role.id is over, unless role.allow_duplicates.
	 */
	bool		 is_role;
};

struct node {
	enum node_kind		 kind;
	uint32_t		 id;		/* unique in the site, stable for one load of the same files */
	const struct value	*name;		/* V_STR, V_TMPL or NULL */
	struct mark		 mark;
	const struct role	*role;		/* or NULL */
	struct keywords		 kw;
	const struct vars_chain	*vars;		/* vars: of task, blocks, and of the includes around; inner first */
	const char *const	*search;	/* directories where files, templates, tasks, vars are looked for; see tmpl_files */
	struct task		*task;		/* NODE_TASK */
	struct block		*block;		/* NODE_BLOCK */
};

enum section { SECTION_PRE, SECTION_ROLES, SECTION_TASKS, SECTION_POST, SECTION_MAX };

struct play {
	const struct value	*name;
	struct mark		 mark;
	const struct value	*hosts;		/* list of patterns; may be V_TMPL (of extra vars) */
	const struct value	*gather_facts;	/* bool, V_TMPL or NULL: yes */
	const struct value	*gather_subset, *gather_timeout, *fact_path;
	struct keywords		 kw;
	const struct value	*vars;		/* map or NULL */
	const struct value	*vars_files;	/* list of paths as values; alternatives are lists */
	const struct value	*vars_prompt;	/* list of maps or NULL */
	const struct value	*serial, *max_fail_percentage, *strategy, *force_handlers, *order;
	struct role		**roles;
	uint32_t		  nroles;
	struct nodes		  sections[SECTION_MAX];
	struct nodes		  handlers;
	const char		 *dir;		/* of the playbook file */
};

struct site {
	struct arena		*arena;
	struct inventory	*inventory;
	const char		*path, *dir;
	struct play		**plays;
	uint32_t		  nplays;
	const struct value	*extra_vars;	/* map, strongest */
	const char		 *const *roles_path;
	const struct yaml_opts	*yaml;		/* for lookups that read vaults; or NULL */
	struct site_private	*priv;
};

struct site_opts {
	const char		*path;
	struct inventory	*inventory;
	const struct value	*extra_vars;	/* map, templates compiled; or NULL */
	const struct yaml_opts	*yaml;
	const char *const	*roles_path;	/* further directories, NULL-terminated; or NULL */
	bool			 no_undefined_check;
	/* What will be run, as far as it is known: the rest is checked for itself, but not as certain to run. */
	const char *const	*tags, *const *skip_tags;	/* NULL-terminated, or NULL */
	const char		*limit;				/* pattern, or NULL */
};

/*
 * Loads and checks.  NULL when there was an error; all are in diags, which may
 * also hold warnings and notes when it succeeds.
 */
struct site	*site_load(struct arena *, const struct site_opts *, struct diags *);
/*
 * Dynamic includes, at run time: the same file, role and context compiled
 * once.  The nodes are children of `from` (an include task's node): they
 * inherit its role, search path, vars and what `apply` says. NULL with diags.
 */
const struct nodes *site_include_tasks(struct site *, const struct node *from,
		    const char *file, struct diags *);
struct site_role_use {
	const char		*name, *tasks_from, *vars_from, *defaults_from, *handlers_from;
	bool			 is_public, allow_duplicates;
	bool			 no_spec;	/* rolespec_validate: no */
};
/* *ret_handlers are to be added to the play's handlers. */
const struct nodes *site_include_role(struct site *, const struct node *from,
		    const struct site_role_use *, const struct role **ret_role,
		    const struct nodes **ret_handlers, struct diags *);
/*
 * For a task with action_tmpl, at run time: what the template gave ("copy
 * src=a dest=b", or a map with `module`) as a module and final arguments, to
 * be laid over the task's args_tmpl.  Nothing in them is a template. 0, or -1.
 */
int		 site_action(struct site *, struct arena *, const struct node *,
		    const struct value *, const struct module **ret_module,
		    const struct value **ret_args, struct err *);
/* A variable file (include_vars, vars_files): templates compiled, cached. NULL with diags. */
const struct value *site_vars_file(struct site *, const char *path, struct diags *);
/* A template file's compiled form (cached by path and content options). NULL with diags. */
const struct tmpl *site_template(struct site *, const char *path,
		    const struct tmpl_opts *, struct diags *);
/*
 * Where a relative name is: Ansible's search order for kind "files",
 * "templates", "tasks", "vars" from this node. Absolute path in the arena;
 * NULL with err listing where it was looked for.
 */
const char	*site_find(struct site *, struct arena *, const struct node *,
		    const char *kind, const char *name, struct err *);
/* Does a node with these tags run under --tags / --skip-tags (always, never, tagged, untagged, all)? Arrays NULL-terminated or NULL. */
bool		 tags_match(const char *const *tags, uint32_t ntags,
		    const char *const *only, const char *const *skip);

/*
 * A value of [defaults] in the ansible.cfg that counts for a site in dir; NULL
 * when it is not there.  *ret_dir: the file's directory, for relative paths.
 */
const char	*site_config(struct arena *, const char *dir, const char *key,
		    const char **ret_dir);

#endif
