/*
 * The module contract: how a module describes itself, and what it may use.
 *
 * One file per module (or per close family), ending with a const struct
 * module; one extern and one line in the alphabetical table of table.c.  The
 * same rows of arguments feed validation (before connecting and before
 * sending), the documentation (`provctl doc`) and the JSON schema.
 *
 * To add a module:
 *	1. name.c: rows of arguments, `run`, the struct module at the end;
 *	2. one line in table.c;
 *	3. cases in test/module/cases/name*.yml: the harness runs each as
 *	   check, apply, check, apply and proves that check changes nothing and
 *	   predicts apply, and that the second apply changes nothing.
 *
 * Rules for run():
 *  - Look first, then ask mod_change() for every single change; change only
 *    where it says true.  Check mode, diff and `changed` come from that call
 *    and so cannot disagree.  Everything that changes the host goes through
 *    fs.h and proc.h, which refuse (assert) in check mode.
 *  - A request may be worked before its turn: then the first mod_change() or
 *    helper that changes something waits for it (mod_effect).
 *  - In check mode a thing that an earlier task *would* have made may be
 *    missing (package, unit, user): predict the change instead of failing,
 *    where that is what a run for real would do.
 *  - Return 0 when done (also with m->failed set by mod_fail through the
 *    result), -1 after mod_fail().  Never exit, never write to fd 0-2.
 *  - Memory comes from m->arena, which lives until the result is sent.
 *  - Result keys are Ansible's (what people read from registered results).
 *
 * Built twice: with musl into the executor and with glibc into the engine
 * (argument rows and documentation) and the test tool.
 */
#ifndef PROVCTL_MODULE_MODULE_H
#define PROVCTL_MODULE_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/value.h"

struct mod;
struct keep;

/* ---- description -------------------------------------------------------- */

enum arg_type {
	ARG_STR,
	ARG_PATH,	/* a string; ~ and $VAR expanded on the host by mod_arg_path() */
	ARG_BOOL,	/* Ansible's words: yes no true false on off 1 0 y n t f */
	ARG_INT,
	ARG_FLOAT,
	ARG_LIST,	/* of `of`; a string is split at commas, another scalar becomes one element */
	ARG_MAP,	/* a map; a string "k=v k2=v2" or JSON is parsed */
	ARG_RAW,	/* any value, unchanged */
	ARG_MODE,	/* file mode: octal number or string, symbolic, "preserve" */
	ARG_BYTES,	/* a size: 10, "10M", "1G": bytes as int */
};

#define ARG_REQUIRED	0x01
#define ARG_SECRET	0x02	/* the value is censored everywhere */
#define ARG_IGNORED	0x04	/* only for tools other than us (SELinux contexts, Python interpreter…): accepted, documented as without effect, noted at -v */
#define ARG_UNSUPPORTED	0x08	/* Ansible has it, we do not: an error that says so when it is given */
#define ARG_DEPRECATED	0x10

struct mod_arg {
	const char		*name;		/* NULL ends the rows */
	enum arg_type		 type;
	enum arg_type		 of;		/* of a list's elements */
	unsigned		 flags;
	const char		*aliases;	/* "dest,name" or NULL */
	const char		*choices;	/* "present,absent" or NULL */
	const char		*def;		/* default as a playbook would write it, or NULL: none */
	const char		*doc;		/* one or two sentences */
	const struct mod_arg	*sub;		/* rows of a map's (or list of maps') keys, or NULL */
};

enum mod_rule_kind {
	RULE_END, RULE_EXCLUSIVE, RULE_ONE_OF, RULE_TOGETHER,
	RULE_IF,	/* "state=present:src,dest": all of the names when the argument has the value */
	RULE_IF_ONE,	/* likewise, one of the names */
	RULE_BY,	/* "key:needs,these" */
};

struct mod_rule {
	enum mod_rule_kind	 kind;
	const char		*names;		/* "a,b" or as above */
};

#define MOD_CONTROLLER	0x001	/* never leaves the engine (debug, set_fact …): run is NULL, run/ has it */
#define MOD_FILE_ATTRS	0x002	/* also takes owner, group, mode, attributes (fs_attr_args) */
#define MOD_NO_CHECK	0x004	/* cannot predict: skipped in check mode (Ansible: "skipped, remote module does not support check mode") */
#define MOD_FAR		0x008	/* looks beyond its own host (uri, wait_for …) */
#define MOD_FREE_FORM	0x010	/* free text is allowed and goes to the argument `free_form` below */
#define MOD_ANY_ARGS	0x020	/* takes any argument (set_fact, add_host) */
#define MOD_CONTENT	0x040	/* needs files of the controller: see struct mod_content */
#define MOD_UNSUPPORTED	0x080	/* known by name only: using it is an error that says so */

struct module {
	const char		*name;		/* "copy" */
	const char		*collection;	/* "ansible.builtin", "community.general" … */
	const char		*aliases;	/* other names, fully qualified or short, "a,b" or NULL */
	const char		*summary;	/* one sentence */
	const char		*doc;		/* further paragraphs or NULL */
	const char		*examples;	/* YAML, tested by the suite, or NULL */
	const char		*returns;	/* "dest: path of the file\n…" or NULL */
	const struct mod_arg	*args;
	const struct mod_rule	*rules;		/* ends with RULE_END, or NULL */
	unsigned		 flags;
	const char		*free_form;	/* argument that free text goes to, or NULL */
	int			(*run)(struct mod *);	/* NULL: MOD_CONTROLLER or MOD_UNSUPPORTED */
};

/* The alphabetical table, ended by NULL. */
extern const struct module *const modules[];
/* What only the program itself asks for: found by name, not listed anywhere. */
extern const struct module *const modules_internal[];
/* By short or fully qualified name or alias; NULL: unknown. */
const struct module *module_find(const char *name);
/* The nearest known name, or NULL. */
const char	*module_nearest(const char *name);
/* Well-known modules of Ansible and its collections that we do not have: true when name is one. */
bool		 module_known_elsewhere(const char *name);

/* ---- arguments (spec.c) ------------------------------------------------- */

/*
 * Checks and converts the arguments of a task.  Aliases become the row's name,
 * values the row's type, defaults are filled in.  With PARTIAL (before a run)
 * values that are V_TMPL are left alone and count as given, required ones may
 * come from a template; otherwise every value must be final, V_OMIT entries
 * are dropped.  Every mistake becomes a diag with the value's mark (or at when
 * it has none) and a hint.  Returns the new map; NULL when an error was added.
 */
#define MOD_PARTIAL	0x1
const struct value *mod_args_check(struct arena *, const struct module *,
	    const struct value *args, struct mark at, unsigned flags,
	    struct diags *);
/* The row of an argument by name or alias, also of the common file rows; NULL: none. */
const struct mod_arg *mod_arg_find(const struct module *, const char *name);
/* Ansible's words for a boolean: 1, 0, or -1 for neither. */
int		 mod_parse_bool(const struct value *);

/* ---- a running module --------------------------------------------------- */

/* What the executor (or the test tool) offers a running module. Functions may be NULL: not available. */
struct mod_io {
	/* The last line of a long step, shown live. */
	void	(*progress)(void *arg, const char *line);
	/* Writes the content with this SHA-256 (hex) to fd; verified. 0, or -1 with err. */
	int	(*content)(void *arg, const char *sha256, int fd, struct err *);
	/* Sends bytes to the controller (fetch). */
	int	(*data)(void *arg, const void *, size_t, struct err *);
	/* Before the first change: returns when the request's turn has come (frame.h, GO). */
	void	(*hold)(void *arg);
	/* True when the request was cancelled or its deadline has passed: stop soon. */
	bool	(*cancelled)(void *arg);
	void	*arg;
};

/*
 * Files of the controller that a module may need: the engine hashes them and
 * puts into args, under "_content", a list of maps in this order of keys:
 *	path (relative to src; "" for a single file), type ("file", "directory",
 *	"link"), sha256, size (int), mode (int), target (of a link).
 * The bytes travel only when the module asks (mod_content_fd).  `src` keeps the
 * controller's name for messages.
 */
struct mod_content {
	const char	*path, *type, *sha256, *target;
	int64_t		 size;
	int		 mode;
};

struct mod {
	struct arena		*arena;
	const struct module	*module;
	const struct value	*args;		/* checked: mod_args_check() */
	const struct mod_io	*io;
	bool			 check;
	bool			 diff;		/* before and after are wanted */
	bool			 no_log;
	struct value		*result;	/* map under construction */
	bool			 changed;
	bool			 failed;
	bool			 skipped;
	struct value		*diffs;		/* list, made by mod_change* */
	const struct value	*env;		/* map of strings for commands, or NULL */
	int			 timeout_ms;	/* of the whole request; 0: none */
	struct keep		*keep;		/* keep.h: before-images; NULL: none are kept */
	struct value		*predicted;	/* check: paths that a run would have made by now; place.c's */
};

/* Runs the module and completes the result (changed, failed, diff). Used by the executor and the test tool. */
void		 mod_run(struct mod *);

/* Arguments. The row must exist (assert). */
bool		 mod_has(const struct mod *, const char *name);	/* given and not null */
const struct value *mod_arg(const struct mod *, const char *name);	/* NULL when absent or null */
const char	*mod_arg_str(const struct mod *, const char *name);	/* NULL when absent */
const char	*mod_arg_path(struct mod *, const char *name);	/* expanded; NULL when absent */
const char	*mod_expand(struct mod *, const char *);	/* $NAME, ${NAME}, ~ and ~user, as for a path */
bool		 mod_arg_bool(const struct mod *, const char *name);	/* false when absent */
int64_t		 mod_arg_int(const struct mod *, const char *name, int64_t absent);
bool		 mod_arg_is(const struct mod *, const char *name, const char *text);
uint32_t	 mod_ncontent(const struct mod *);
struct mod_content mod_content(const struct mod *, uint32_t i);
/* Writes the bytes of a content to fd. -1 after mod_fail. */
int		 mod_content_fd(struct mod *, const struct mod_content *, int fd);

/*
 * The guard: something will change.  Marks the result as changed and records
 * what; returns true when it may be done now, false in check mode.  Details
 * before and after (any values, or NULL) become the diff.
 */
bool		 mod_change(struct mod *, const char *what,
		    const struct value *before, const struct value *after);
/* For text files: header is normally the path; NULL text means there is no file. Binary or over 1 MiB is summed up. */
bool		 mod_change_text(struct mod *, const char *header,
		    const char *before, size_t nbefore, const char *after,
		    size_t nafter);

/*
 * What comes next has an effect: asserts that this is no check, and waits for
 * the turn of a request that was sent ahead.  mod_change() and all helpers of
 * fs.h and proc.h that change something call it; a module only for an effect
 * that it has without them and without asking for a change.
 */
void		 mod_effect(struct mod *);
/* Sets failed and msg; both return -1. */
int		 mod_fail(struct mod *, const char *fmt, ...) ATTR_PRINTF(2, 3);
int		 mod_fail_errno(struct mod *, const char *fmt, ...) ATTR_PRINTF(2, 3);
int		 mod_fail_err(struct mod *, struct err *);	/* releases it */
void		 mod_warn(struct mod *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void		 mod_progress(struct mod *, const char *fmt, ...) ATTR_PRINTF(2, 3);
bool		 mod_cancelled(const struct mod *);
void		 mod_set(struct mod *, const char *key, const struct value *);
void		 mod_set_str(struct mod *, const char *key, const char *);
void		 mod_set_int(struct mod *, const char *key, int64_t);
void		 mod_set_bool(struct mod *, const char *key, bool);

#endif
