/*
 * What the files of this folder share; nobody else includes it.
 *
 * Loading has two passes.  The first reads files and compiles plays, roles and
 * tasks, and reports whatever is wrong regardless of circumstances (syntax,
 * keywords, arguments).  Trouble that only matters if a task is reached (an
 * unsupported module, a missing template) is attached to its node as a
 * problem.  The second pass (check.c) walks the finished tree, knows how
 * certain each node is to run, and makes errors or notes of the problems, of
 * handlers nobody defines and of variables defined nowhere (undefined.c).
 *
 *	site.c ── play.c ─┬─ role.c ──┐
 *	                  └───────────┴─ block.c ── task.c ── action.c ── split.c
 *	                                              └─ include.c ┘ (import, include)
 *	keywords.c: rows of keywords, types, inheritance   find.c: where files are
 *	check.c, undefined.c: the second pass              files.c: caches
 */
#ifndef PROVCTL_PLAYBOOK_PRIVATE_H
#define PROVCTL_PLAYBOOK_PRIVATE_H

#include "playbook/site.h"

#define SITE_DEPTH_MAX	64	/* blocks in blocks, files including files, roles needing roles */
#define SITE_NODES_MAX	200000u
#define SITE_PRELOAD_MAX 100000u	/* nodes, beyond which includes are compiled only when met */
#define SITE_FILES_MAX	20000u

/* ---- tab.c: names to pointers, in order of insertion --------------------- */

struct tab_entry {
	const char	*key;
	void		*val;
	uint32_t	 hash;
};

struct tab {
	struct tab_entry	*e;
	uint32_t		*index;
	uint32_t		 n, cap, nindex;
};

void	*tab_get(const struct tab *, const char *key);
/* Sets or replaces; the key is copied. */
void	 tab_set(struct arena *, struct tab *, const char *key, void *val);

/* ---- the site's private part --------------------------------------------- */

/* A file being read, for includes relative to it and against endless ones. */
struct incl {
	const char		*path;		/* absolute */
	const char		*dir;
	const char *const	*search;	/* node.search of what is in it */
	const struct incl	*outer;
	bool			 dynamic;	/* reached by include_*, not import_* */
};

/* Roles on the way through dependencies, against loops. */
struct dep_link {
	const char		*name, *path;
	const struct dep_link	*outer;
};

/* What a list of tasks is compiled in. Copied by value, never changed from below. */
struct ctx {
	struct site		*site;
	struct arena		*a;
	struct diags		*d;
	struct play		*play;
	uint32_t		 play_no;
	const struct role	*role;
	const struct keywords	*kw;		/* inherited; never NULL */
	const struct vars_chain	*vars;
	const struct incl	*incl;
	const struct value	*notify;	/* of blocks around, or NULL */
	const struct value	*collections;	/* list of names, or NULL */
	const struct value	*file_vars;	/* of the play's vars_files, as far as known; or NULL */
	const struct value	*import_vars;	/* of import_playbook, over those of its plays; or NULL */
	const struct dep_link	*deps;
	struct node		*node;		/* the task being read, or NULL */
	const struct node	*via;		/* the include that led here, or NULL */
	bool			 handlers;
	bool			 in_block;	/* of handlers: blocks do not nest there */
	unsigned		 depth;
};

/* Trouble that matters only if the node is reached. */
struct problem {
	struct problem	*next;
	enum err_code	 code;
	struct mark	 at;
	const char	*msg, *hint;
};

/* What an include node leads to, compiled once. */
struct included {
	struct included		*next;
	const char		*key;		/* file, or role and its parts */
	const struct nodes	*nodes;
	const struct role	*role;
	const struct nodes	*handlers;
};

struct tmpl_use {		/* a template file a task renders, compiled at load */
	struct tmpl_use		*next;
	const struct tmpl	*tmpl;
};

struct node_info {
	struct node		*node;
	const struct ctx	*ctx;		/* the context around the node */
	struct problem		*problems;
	struct included		*included;
	struct tmpl_use		*templates;
	bool			 broken;	/* it has errors: no more are looked for */
	const char		*needs;		/* a variable the role's argument_specs require, or NULL */
};

struct site_private {
	struct yaml_opts	 yaml;
	struct tab		 files;		/* path → struct file */
	struct tab		 vars;		/* path → struct vars_file */
	struct tab		 templates;	/* path and options → struct tmpl_file */
	struct tab		 roles;		/* path → struct role_dir */
	struct tab		 uses;		/* role uses that are the same → struct role */
	struct tab		 dirs;		/* directories scanned for names */
	struct node_info	*info;		/* by node id */
	uint32_t		 ninfo, cap;
	uint32_t		 nroles;	/* ids given */
	const char *const	*collections_path;
	const char *const	*library;	/* directories of modules in Python, from ansible.cfg */
	const char *const	*plugins;	/* likewise of filters, tests, lookups */
	bool			 loaded;	/* site_load() is over */
	bool			 no_undefined_check;
	const char *const	*tags, *const *skip_tags;
	const char		*limit;
	bool			 lost;		/* an error hides what would define variables */
	bool			 adds_hosts;	/* add_host, group_by somewhere: groups may appear */
};

/* ---- files.c -------------------------------------------------------------- */

struct file {
	const char		*path;
	const struct source	*src;	/* NULL: could not be read */
	const struct value	*root;	/* NULL: had errors, which are reported */
};

/* A path as messages show it: relative to the working directory when below it. */
const char	*path_show(struct arena *, const char *);
const char	*path_join(struct arena *, const char *dir, const char *name);	/* absolute names stay; . and .. are folded */
const char	*path_dir(struct arena *, const char *);
const char	*path_base(const char *);
const char	*path_absolute(struct arena *, const char *);
bool		 path_is_dir(const char *);
bool		 path_is_file(const char *);	/* exists and is no directory */
bool		 path_inside(const char *path, const char *dir);
/* A YAML file, read and parsed once. NULL after an error (reported when first met). at: who asks, or NULL. */
const struct file *file_load(const struct ctx *, const char *path, const struct mark *at);
/* A file of variables as a map with templates compiled; NULL after an error. */
const struct value *vars_load(const struct ctx *, const char *path, const struct mark *at);
/* A map of variables in place (vars:, as a map or a list of maps); NULL for none or after an error. */
const struct value *vars_read(const struct ctx *, const struct value *, const char *what);
/* Files of a directory with one of the extensions (NULL: any), sorted, deep: absolute paths. */
void		 dir_files(struct arena *, const char *dir, const char *const *exts,
		    unsigned depth, const char ***ret, uint32_t *nret);

/* ---- keywords.c ------------------------------------------------------------ */

#define AT_PLAY		0x001
#define AT_ROLE		0x002	/* an entry of roles: or of dependencies: */
#define AT_BLOCK	0x004
#define AT_TASK		0x008
#define AT_HANDLER	0x010
#define AT_IMPORT	0x020	/* import_playbook */
#define AT_LOOP		0x040	/* loop_control */
#define AT_INCLUDE	0x080	/* include_tasks, include_role: fewer keywords than tasks */
#define AT_PROMPT	0x100	/* an entry of vars_prompt */
#define AT_BASE		(AT_PLAY | AT_ROLE | AT_BLOCK | AT_TASK | AT_HANDLER | AT_IMPORT)

enum kw_type {
	KW_BOOL, KW_INT, KW_NUMBER, KW_STR, KW_STRS, KW_LIST, KW_MAP, KW_VARS,
	KW_CONDS, KW_TASKS, KW_ENV, KW_TAGS, KW_DEFAULTS, KW_BATCH, KW_ANY
};

#define KWF_STATIC	0x01	/* no templates: it must be known when the site is loaded */
#define KWF_REMOVED	0x02	/* gone from Ansible: doc says what to write instead */
#define KWF_NO_EFFECT	0x04	/* accepted, without effect here: a warning */
#define KWF_EXTEND	0x08	/* adds to what is inherited instead of replacing it */

#define KW_NONE		((size_t)-1)

struct keyword {
	const char	*name;		/* NULL ends the rows */
	unsigned	 where;
	enum kw_type	 type;
	unsigned	 flags;
	size_t		 offset;	/* in struct keywords, or KW_NONE: not inherited */
	const char	*choices;	/* "a,b" or NULL */
	const char	*doc;
};

extern const struct keyword keyword_rows[];
const struct keyword *keyword_find(const char *name, unsigned where);
const char	*keyword_nearest(const char *name, unsigned where);
const char	*keyword_where(unsigned where);		/* "a play" … for messages */
/* Checks type and choices, compiles templates. NULL: null value, or error (reported). */
const struct value *keyword_read(const struct ctx *, const struct keyword *,
		    const struct value *);
/* The value of a keyword in a map, read; NULL when absent. */
const struct value *keyword_get(const struct ctx *, const struct value *map,
		    const char *name, unsigned where);
/* The inherited keywords with those of a map on top. */
struct keywords	*keywords_inherit(const struct ctx *, const struct value *map, unsigned where);
void		 keyword_unknown(const struct ctx *, const struct value *key, unsigned where);
void		 conds_read(const struct ctx *, const struct value *, struct conds *);	/* appends */
/* A key's text, or NULL (reported) when it is no string. */
const char	*key_text(const struct ctx *, const struct value *key, const char *what);
/* Text of a keyword that must be fixed; NULL when absent or after an error. */
const char	*keyword_text(const struct ctx *, const struct value *map, const char *name,
		    unsigned where);
/* Splits tags at commas; NULL-safe; adds to the array. */
void		 tags_add(const struct ctx *, const struct value *, struct keywords *);

/* ---- split.c -------------------------------------------------------------- */

struct token {
	const char	*text;
	uint32_t	 len;
	uint32_t	 offset;	/* in the text that was split */
};

/* Words as Ansible's k=v lines have them: aware of quotes and templates. -1: unbalanced. */
int	 split_words(struct arena *, const char *, size_t, struct token **, uint32_t *);
/*
 * k=v text into args; what is no k=v is the free form, returned (NULL: none).
 * raw: a module whose free form may itself hold `=`: only creates, chdir and
 * the like are taken out.
 */
const struct value *split_args(const struct ctx *, const struct value *text, bool raw,
	    struct value *args, bool *bad);
/* Where a part of a scalar stands in its file, as well as that can be told. */
struct mark mark_part(const struct value *, size_t offset, size_t len);

/* ---- action.c, task.c, block.c -------------------------------------------- */

/* Finds the module of a task and its arguments: fills module, module_name, args, args_tmpl, action_tmpl. False after an error. */
bool	 action_read(const struct ctx *, struct node *, const struct value *map,
	    const struct value **ret_local);
/* Nodes of a list of tasks, appended. */
void	 tasks_read(const struct ctx *, const struct value *list, struct nodes *);
void	 nodes_append(struct arena *, struct nodes *, struct node *);
struct node *node_make(const struct ctx *, enum node_kind, struct mark);
struct node *task_read(const struct ctx *, const struct value *map);
void	 problem_add(const struct ctx *, const struct node *, enum err_code,
	    struct mark, const char *hint, const char *fmt, ...) ATTR_PRINTF(6, 7);
struct node_info *node_info(const struct site *, const struct node *);
bool	 name_is_identifier(const char *);
/*
 * Every V_STR a template could be in: compiled, or NULL after an error. What is
 * not supported in it (a filter, a lookup) becomes a problem of the task being
 * read; in a variable a value that is undefined and says why.
 */
const struct value *compile(const struct ctx *, const struct value *);
const struct value *compile_var(const struct ctx *, const struct value *);
/* Likewise a condition. */
const struct value *compile_when(const struct ctx *, const struct value *);
/*
 * Passes on what compiling found, the unsupported as problems of the task (or,
 * with ret_msg, as notes and a message). True when there were only such errors.
 */
bool	 unsupported_only(const struct ctx *, struct diags *found, const char **ret_msg);

/* ---- include.c ------------------------------------------------------------ */

/* import_tasks, import_role and static include: nodes go in place of the task. */
void	 import_read(const struct ctx *, struct node *, const struct value *map, struct nodes *);
/* include_tasks, include_role with a fixed name: loaded now, so that mistakes are seen now. */
void	 include_preload(const struct ctx *, struct node *);
const struct incl *incl_new(const struct ctx *, const char *path, bool dynamic);
/* An argument by its row's name, under whatever alias it was given; or NULL. */
const struct value *task_arg(const struct task *, const char *name);
bool	 is_import(const struct task *);
bool	 is_include(const struct task *);	/* dynamic */

/* ---- role.c --------------------------------------------------------------- */

struct role_from {
	const char	*tasks, *vars, *defaults, *handlers;	/* NULL: main */
	struct mark	 at;		/* of who uses the role */
	bool		 no_spec;	/* argument_specs are not checked */
};

/* A role by name: variables and meta; use: the entry or import task that uses it, to tell uses that are the same. NULL after an error. */
struct role *role_load(const struct ctx *, const char *name, struct mark,
	    const struct role_from *, const struct value *use,
	    const struct value *params, const struct value *use_vars);
/* Its nodes and those of its dependencies; handlers of all of them. */
void	 role_nodes(const struct ctx *, struct role *, const struct role_from *,
	    struct nodes *tasks, struct nodes *handlers);
/* An entry of roles: or dependencies:. Nodes are appended. */
struct role *role_entry(const struct ctx *, const struct value *entry,
	    struct nodes *tasks, struct nodes *handlers);
/* The directory of a role, or NULL; where it was looked for goes to tried. */
const char *role_find(const struct ctx *, const char *name, struct buf *tried);
const char *role_nearest(const struct ctx *, const char *name);
/* role/SUBDIR/main.yml and its other spellings; NULL when there is none. */
const char *role_part(const struct ctx *, const char *path, const char *subdir,
	    const char *main);

/* ---- argspec.c ------------------------------------------------------------ */

/* A role's argument_specs: checks of what is known, and the nodes that check the rest at the role's start. */
void	 argspec_nodes(const struct ctx *, struct role *, const char *entry, struct nodes *);

/* ---- find.c, eval.c -------------------------------------------------------- */

/* Candidates for a relative name, in order; NULL-terminated. */
const char *const *find_candidates(struct site *, struct arena *, const struct node *,
	    const char *kind, const char *name);
/* A file of tasks named by an include in this context; NULL, with the places tried. */
const char *find_tasks(const struct ctx *, const char *name, struct buf *tried);
/* A value as far as it is fixed when loading: NULL when it needs more than that. extra: a map or NULL. */
const struct value *static_eval(const struct ctx *, const struct value *,
	    const struct value *extra);
/* The same of what no inventory can change: extra, -e, role_path, playbook_dir and the like. */
const struct value *fixed_eval(const struct ctx *, const struct value *,
	    const struct value *extra);
/* Its text; NULL. */
const char *static_text(const struct ctx *, const struct value *);

/* ---- play.c ----------------------------------------------------------------- */

void	 playbook_read(const struct ctx *, const struct file *);

/* ---- check.c, undefined.c, names.c ------------------------------------------ */

void	 site_check(struct site *, struct diags *);

/* How sure it is that something is evaluated. */
struct reach {
	bool	 certain;	/* no condition, loop or tag that only a run decides stands before it */
	bool	 never;		/* a condition is known to be false */
	bool	 tolerated;	/* its failure would be ignored or rescued */
	uint32_t nconds;	/* conditions of kw.when that are accounted for */
};

/* Where a name gets a value. */
struct def {
	struct def		*next;
	uint32_t		 play;		/* index, or DEF_ANY */
	const struct value	*val;		/* NULL: only a run knows */
	bool			 followed;
};
#define DEF_ANY		UINT32_MAX

struct defs {
	struct tab	 byname;	/* struct def */
	struct tab	 loops;		/* loop variables: struct def */
	struct tab	 seen;		/* maps and directories that were taken in */
	bool		 open;		/* something unknown may define any name */
};

/* defs.c: what the site defines, beside the inventory. */
void		 defs_collect(struct site *, struct defs *);
/* Does provctl_secrets among the variables provide this one? */
bool	 defs_provided(const struct value *vars, const char *name);
bool		 defs_magic(const char *name);

/* undefined.c: what it uses. */
struct names;
struct names	*names_new(struct site *, struct diags *);
void		 names_free(struct names *);
/* The names of one task (or play), in the order in which they would be evaluated. */
void		 names_task(struct names *, uint32_t play, const struct node *, struct reach);
void		 names_block(struct names *, uint32_t play, const struct node *, struct reach);
void		 names_play(struct names *, uint32_t play, const struct play *, struct reach);
/* A condition when loaded: 1, 0, or -1 unknown. */
int		 names_cond(struct names *, uint32_t play, const struct value *);
bool		 names_defined(struct names *, uint32_t play, const struct node *, const char *);
const char	*names_nearest(struct names *, uint32_t play, const char *);

#endif
