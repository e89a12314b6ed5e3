/*
 * The template language: Jinja2 3.1 as ansible-core 2.19 uses it.
 *
 * Source text is compiled once per site into a tree in the site's arena
 * (immutable, shared by all hosts) and evaluated per task and host in the
 * task's arena.  Three kinds of source, see the conformance vectors' README:
 *
 *	TMPL_VALUE	a string of a playbook or variable file: native result
 *	TMPL_FILE	a template file: the result is text
 *	TMPL_WHEN	a bare expression whose result must be a boolean
 *
 *	 text ─ lexer ─ parser ─ struct tmpl ─┐
 *	                                      ├─ evaluator ─ value
 *	 struct scope (variables, lookups) ───┘
 *
 * Nothing here knows hosts or playbooks: variables come from a struct scope.
 */
#ifndef PROVCTL_TEMPLATE_TEMPLATE_H
#define PROVCTL_TEMPLATE_TEMPLATE_H

#include "base/value.h"

enum tmpl_mode { TMPL_VALUE, TMPL_FILE, TMPL_WHEN };

struct tmpl;			/* compiled; immutable */

struct tmpl_opts {		/* of TMPL_FILE; all zero: Ansible's defaults */
	const char	*block_start, *block_end;		/* NULL: {% %} */
	const char	*variable_start, *variable_end;
	const char	*comment_start, *comment_end;
	const char	*line_statement_prefix, *line_comment_prefix;
	const char	*newline_sequence;			/* NULL: \n */
	bool		 no_trim_blocks;			/* trim_blocks is on by default */
	bool		 lstrip_blocks;
	bool		 no_keep_trailing_newline;
	bool		 ext_do, ext_loopcontrols;		/* jinja2_extensions */
};

/* A V_TMPL: the source text is value.u.s, len. */
struct tmpl_value {
	struct value		 v;
	const struct tmpl	*tmpl;
};

static inline const struct tmpl *
v_tmpl(const struct value *v)
{
	return ((const struct tmpl_value *)v)->tmpl;
}

/* True when the text holds a delimiter, so that compiling it can matter. */
bool	 tmpl_is(const char *, size_t);

/*
 * Compiles text.  The mark says where its first character stands in its file
 * (a scalar of a YAML file, or line 1 of a template file); how positions inside map to
 * the file is worked out from mark.src (block scalars, quotes).  Errors (all
 * that can be found: syntax, unknown filters, tests) go to diags; NULL then.
 */
const struct tmpl *tmpl_compile(struct arena *, const char *text, size_t len,
	    struct mark, enum tmpl_mode, const struct tmpl_opts *,
	    struct diags *);
/* Every V_STR below v that holds a template (and is not V_RAW) becomes a V_TMPL of mode TMPL_VALUE. Keys are left alone. NULL after an error. */
const struct value *tmpl_compile_tree(struct arena *, const struct value *v,
	    struct diags *);
/* A value that raises this error when it is read: for a variable whose template does not compile, and which perhaps nobody reads. Copies the error. */
const struct value *tmpl_failing(struct arena *, const struct err *);
/* A condition: a bool is itself, a string becomes a TMPL_WHEN. NULL after an error. */
const struct value *tmpl_compile_when(struct arena *, const struct value *v,
	    struct diags *);
/* A V_TMPL of what was compiled. */
const struct value *tmpl_to_value(struct arena *, const struct tmpl *);

/*
 * The free names of a compiled template: what it reads from its scope.
 * Called once a name with the name's position; guarded is set when the
 * template itself copes with its absence everywhere (`is defined`, `default`).
 * A return other than 0 stops the walk and is returned.
 */
int	 tmpl_names(const struct tmpl *,
	    int (*each)(void *arg, const char *name, struct mark, bool guarded),
	    void *arg);
/*
 * The same without working out positions, which is slow: they are asked for
 * when there is something to report.  With certain only names that evaluating
 * the template surely reads: not behind and, or, if, in loops' bodies, below
 * default(); guarded is then always false.
 */
struct tmpl_name_at {
	const char		*name;
	bool			 guarded;
	const struct tmpl	*tmpl;
	uint32_t		 pos, end;
};
int	 tmpl_names_at(const struct tmpl *, bool certain,
	    int (*each)(void *arg, const struct tmpl_name_at *), void *arg);
struct mark tmpl_name_mark(const struct tmpl_name_at *);
/* Where a part of a YAML scalar's text (bytes pos to end) stands in its file, whatever the scalar's style. */
struct mark tmpl_scalar_mark(const struct value *, size_t pos, size_t end);
/* Literal calls of lookups: lookup('file', 'x') and the like, for checks before a run. Unsupported ones are reported at compile time. */

/* ---- evaluation --------------------------------------------------------- */

/*
 * Where names come from.  Layers of maps, the strongest first; values may be
 * V_TMPL and are then evaluated when read (lazily, once per evaluation).
 */
struct scope {
	const struct value	**layers;	/* maps; NULL entries are skipped */
	uint32_t		  n;
	/* Names that no layer has (magic variables: hostvars, groups …); NULL when unknown. May be NULL. */
	const struct value	*(*magic)(void *arg, struct arena *, const char *name);
	/* A variable of another host, for hostvars[host].name: see hostvars_new(). */
	void			 *arg;
	/* Told of what a {{ }} inside a text gave, when something secret was read for it. May be NULL. */
	void			 (*secret)(void *arg, const struct value *);
	const struct value	 *secrets;	/* map: names whose values are secret whatever their bits say; may be NULL */
	const struct tmpl_files	 *files;	/* may be NULL: no file may be read */
	uint32_t		  max_steps;	/* 0: TMPL_STEPS_MAX */
};

/* Files that templates include, compiled once and kept; not shared between threads. May be NULL in tmpl_files: then every evaluation compiles its own. */
struct tmpl_cache;
struct tmpl_cache *tmpl_cache_new(void);
void	 tmpl_cache_free(struct tmpl_cache *);

/* What lookup('url') asks for; texts are NULL when not given. */
struct tmpl_fetch {
	const char	*url;		/* http or https */
	const char	*username, *password, *agent, *unix_socket, *ca_path, *ciphers;
	const struct value *headers;	/* list of "Name: value" */
	int64_t		 timeout_ms;	/* to connect, and of silence */
	bool		 validate_certs, use_proxy, use_netrc, no_cache, basic_auth, follow;
};

/* What templates may see of the controller's files and programs. */
struct tmpl_files {
	const char	*basedir;	/* of the playbook: relative names of pipe, password … */
	const char *const *search;	/* directories, first wins, NULL-terminated: role, play … (templates/ and the like below them are looked at first) */
	bool		 allow_pipe;	/* lookup('pipe') and friends */
	bool		 no_writes;	/* lookup('password') must not make its file */
	/* Decrypts vaults for lookups; as in yaml.h */
	int		(*decrypt)(void *arg, const char *, size_t, struct buf *, struct err *);
	void		*arg;
	struct tmpl_cache *cache;
	/* Fetches for lookup('url'): the answer's body is appended. 0, or -1 with err. NULL: nothing is fetched. */
	int		(*fetch)(const struct tmpl_fetch *, struct buf *, struct err *);
};

#define TMPL_OUTPUT_MAX	((size_t)64 * 1024 * 1024)
#define TMPL_STEPS_MAX	20000000u	/* nodes evaluated in one evaluation: ends endless loops */

/*
 * Makes a value final: templates in it are evaluated, omitted entries dropped,
 * generators become lists.  The result lives in the arena (parts may be shared
 * with the site's).  V_OMIT is a possible result.  NULL with err: code
 * ERR_UNDEFINED, ERR_TYPE, …, position in the file, notes for the chain of
 * variables that led there.
 */
const struct value *tmpl_eval(struct arena *, const struct scope *,
	    const struct value *, struct err *);
/* The value of one name, or of an expression's source text. */
const struct value *tmpl_eval_name(struct arena *, const struct scope *,
	    const char *name, struct err *);
/* A template file's text. */
const struct value *tmpl_render(struct arena *, const struct scope *,
	    const struct tmpl *, struct err *);
/* A condition (V_TMPL of mode TMPL_WHEN, a V_BOOL, or a variable that holds one). 0 and *ret, or -1. */
int	 tmpl_when(struct arena *, const struct scope *, const struct value *,
	    bool *ret, struct err *);
/* What Python's str() gives, as inside text. */
const struct value *tmpl_to_str(struct arena *, const struct value *);
/* with_NAME and query('NAME', terms): runs a lookup on final terms, always a list. flatten as the with_ form of the lookup does. */
const struct value *tmpl_lookup(struct arena *, const struct scope *,
	    const char *name, const struct value *terms, bool with_form,
	    struct err *);
bool	 tmpl_lookup_exists(const char *name);
/* A map-like object whose items are computed when read: hostvars. get returns NULL for no such key. keys: all names, as a list. */
const struct value *tmpl_lazy_map(struct arena *,
	    const struct value *(*get)(void *arg, struct arena *, const char *key),
	    const struct value *(*keys)(void *arg, struct arena *), void *arg);

#endif
