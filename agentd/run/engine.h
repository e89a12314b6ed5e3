/*
 * The engine's inside: the objects that the files of this folder share.
 *
 *	run ─┬─ hostrun, one a host for the whole run (facts, registered
 *	     │     variables, links)
 *	     └─ batch, the hosts of a play (or of one `serial` part of it)
 *	           └─ walk, one host's way through the play
 *	                 └─ step, the task at hand
 *
 *	run.c		plays and batches in order, the end of the run
 *	walk.c		where a host is: blocks, rescue, includes, handlers
 *	schedule.c	which hosts may go on: order, forks, run_once
 *	step.c		one task on one host: loop, conditions, result
 *	attempt.c	one attempt at it: keywords, arguments, the way to the host
 *	fetch.c		what the lookup `url` fetches
 *	vars.c		what variables a task sees
 *	action*.c	modules and parts of modules that run on the controller
 *	ahead.c		requests that are sent before their turn
 *	link.c		requests to a host's executor and contents sent to it
 *	handler.c	notified handlers
 *	secret.c	secrets from outside: provctl_secrets
 *	emit.c		events, without secrets (censor.c)
 *	confirm.c	before-images; changes that a new connection must confirm
 *
 * Lifetimes: run->arena lives as long as the run; hostrun->arena too, it
 * holds what a host has learned; batch->arena a batch; walk->arena one task.
 */
#ifndef PROVCTL_RUN_ENGINE_H
#define PROVCTL_RUN_ENGINE_H

#include <event2/event.h>

#include "base/digest.h"
#include "inventory/sshconf.h"
#include "run/run.h"

struct walk;
struct batch;

/* ---- contents: files and texts that a module may ask for ------------------- */

struct content {
	char		 sha256[65];
	const char	*path;		/* a file of the controller, or NULL: */
	const char	*text;
	size_t		 len;
};

struct contents {
	struct content	*v;
	uint32_t	 n, cap;
};

/* Adds a text or file; *ret is a map as module.h's _content describes. */
const struct value *content_text(struct arena *, struct contents *,
	    const char *text, size_t len);
const struct value *content_file(struct arena *, struct contents *,
	    const char *path, const char *relative, struct err *);
/* A file, or a directory with all below it, as the list for "_content". */
const struct value *content_tree(struct arena *, struct contents *,
	    const char *path, bool follow_links, struct err *);

/* ---- links: a host's executor ---------------------------------------------- */

struct link;

struct request {
	/* set by the caller: */
	const struct value	*payload;	/* map, as exec/exec.h says */
	const struct buf	*encoded;	/* the same as bytes, instead; or NULL */
	int64_t			 timeout_ms;	/* of encoded: that it says */
	bool			 ahead;		/* held on the host at its first effect, until link_go() */
	bool			 guessed;	/* ahead.c's: sent before its turn */
	void	(*held)(void *arg);		/* it is held now; or NULL */
	const struct contents	*contents;	/* or NULL; must live until done */
	void	(*progress)(void *arg, const char *text);
	int	(*data)(void *arg, const void *, size_t);	/* or NULL */
	/* Exactly once. result is NULL when the connection failed, err says why. */
	void	(*done)(void *arg, const struct value *result, struct err *err);
	void			*arg;
	struct arena		*arena;		/* for the result */
	bool			 on_record;	/* the host may have it only when all that was told before is on record */
	/* link.c's: */
	struct link		*link;
	struct event		*overdue;	/* the host has ended it by then, or is not to be trusted */
	bool			 sent;		/* result NULL: the host had it all the same */
	bool			 waits, written;
	uint32_t		 id;
	struct request		*next;
};

struct hostrun {
	struct run		*run;
	struct host		*host;
	const char		*name;
	struct arena		 arena;
	struct value		*facts;		/* ansible_facts, without prefix */
	struct value		*injected;	/* the same as variables: ansible_… */
	struct value		*vars;		/* set_fact and register */
	struct value		*included;	/* include_vars */
	struct value		*jobs;		/* results of tasks with async, by ansible_job_id */
	struct value		*secret_names;	/* map: variables that provctl_secrets names; or NULL */
	struct value		*provided;	/* map: those whose values it provides; or NULL */
	struct link		*links[2];	/* as the login user; as root */
	struct way		*ways;		/* link.c: how it was connected to */
	bool			 touched;	/* changed, or perhaps: who connects next needs a new login */
	int			 connect_timeout_ms;	/* for the next connections; 0: as the run has it */
	const char		*login;		/* the connection's user; NULL: not worked out yet */
	struct host_stats	 stats;
	const struct batch	*guarded;	/* confirm.c: a guard is open on the host for this batch, … */
	const char		*guard;		/* … called so, … */
	int			 guard_seconds;	/* … with this time, … */
	const struct value	*guard_commands;	/* … and these commands; or NULL */
	const char		*unanswered;	/* conn_unanswered() of the last connection that ended */
	struct ahead		*ahead;		/* ahead.c's */
	const char		*address;	/* of its connections; NULL: none yet */
	bool			 twin;		/* another host has the same address */
	uint32_t		 own_changes, own_opaque;	/* its part of the run's */
	bool			 failed, unreachable;
	bool			 cut_short;	/* the run ended before it was through */
	uint32_t		 seq;
	struct hostrun		*next;
};

/* Queues a request, opening the connection when there is none. */
void		 link_send(struct hostrun *, bool root, const struct node *,
		    struct request *);
/* How a new connection of this kind would be made. 0, or -1 with err. */
int		 link_spec(struct hostrun *, bool root, const struct node *,
		    struct conn_spec *, struct err *);
/* The user that the connection logs in as. */
const char	*link_login(struct hostrun *, const struct node *);
/* Orderly, or at once; later requests open new ones. */
void		 links_close(struct hostrun *, bool abort);
/* The same, and those that are opened later log in anew. */
void		 links_renew(struct hostrun *, const struct node *, bool abort);
/* The same at the end of the run: if it has changed the host, everybody logs in anew. */
void		 links_end(struct hostrun *, bool abort);
void		 request_cancel(struct request *);
/* Lets a request that is held, or will be, go on: now, or (on_record) when all is on record. */
void		 link_go(struct request *, bool on_record);

/* ---- a host's way through a play -------------------------------------------- */

#define WALK_DEPTH_MAX	64	/* nested blocks and includes */

enum at_kind {
	AT_PLAY,	/* i: part of the play, see walk.c */
	AT_NODES,	/* i: node of a list */
	AT_BLOCK,	/* i: 0 body, 1 rescue, 2 always */
	AT_INCLUDE,	/* i: item of an include's list */
	AT_HANDLERS,	/* i: handler */
};

/* One included list of nodes. */
struct include {
	const struct nodes	*nodes;
	const struct value	*vars;		/* map or NULL: loop variable, parameters */
};

struct at {
	enum at_kind		 kind;
	uint32_t		 i;
	const struct nodes	*nodes;		/* AT_NODES */
	const struct node	*block;		/* AT_BLOCK */
	bool			 failing;	/* AT_BLOCK: a failure goes on after always */
	struct include		*includes;	/* AT_INCLUDE */
	uint32_t		 nincludes;
	unsigned char		*pending;	/* AT_HANDLERS: what to run, one byte a handler */
	uint32_t		 npending;
};

enum walk_state {
	WALK_AT,	/* stands before w->node, waiting for its turn */
	WALK_QUEUED,	/* its turn has come, waiting for a free fork */
	WALK_BUSY,	/* the step is under way */
	WALK_ONCE,	/* waits for another host's run_once */
	WALK_DONE	/* through, or out */
};

struct walk {
	struct batch		*batch;
	struct hostrun		*host;
	struct arena		 arena;		/* of the task at hand */
	enum walk_state		 state;
	struct at		 at[WALK_DEPTH_MAX];
	uint32_t		 depth;
	const struct node	*node;		/* the current task */
	struct step		*step;
	unsigned char		*notified;	/* one byte a handler of the batch */
	uint32_t		*roles_over;	/* ids of roles that have run here; in the batch's arena */
	uint32_t		 nroles_over;
	bool			 ended;		/* meta: end_host, end_play */
	bool			 started;	/* has met the task of --start-at-task */
	bool			 setup_pending;
	bool			 forced;	/* failed, and now runs handlers all the same */
	bool			 ahead;		/* a copy that looks ahead: ends at what only a real one may do */
	struct value		*presumed;	/* its variables, as they will be if nothing changes; or NULL */
	const struct value	*failed_task, *failed_result;	/* in host->arena */
	const struct value	*vars_files;	/* merged; in host->arena */
};

/* Is this the task that --start-at-task means: its name, or "role : name"; also as a pattern with * and ?. */
bool		 node_named(const struct node *, const char *pattern);
/* To the next task: w->node, or WALK_DONE. */
void		 walk_advance(struct walk *);
/* After a failure: to the rescue or always that takes it, or out. True when a rescue took it. */
bool		 walk_fail(struct walk *);
/* Would a rescue take a failure of the current task? */
bool		 walk_rescuable(const struct walk *);
void		 walk_include(struct walk *, struct include *, uint32_t n, struct err *);
/* Runs notified handlers next. */
void		 walk_flush(struct walk *);
/* <0, 0, >0: a is before, at, behind b. */
int		 walk_compare(const struct walk *, const struct walk *);
/* Ends the current role's tasks (meta: end_role). */
void		 walk_end_role(struct walk *);

/* ---- a play's hosts ----------------------------------------------------------- */

struct once {			/* a run_once task's result, for the other hosts */
	struct walk		*runner;
	uint32_t		 path[WALK_DEPTH_MAX];
	uint32_t		 depth;
	bool			 done;
	bool			 failed;
	enum outcome		 outcome;
	const char		*register_as;
	const struct value	*result;	/* in the batch's arena */
	const struct value	*facts;
	struct once		*next;
};

/* Handlers of the play and of roles included by it; grows only. */
struct handlers {
	const struct node	**v;
	uint32_t		  n, cap;
};

/* Merged variables of a role in this play. */
struct role_vars {
	const struct role	*role;
	const struct value	*defaults, *vars;
	struct role_vars	*next;
};

struct batch {
	struct run		*run;
	const struct play	*play;
	const char		*play_name;
	struct arena		 arena;
	struct walk		*walks;
	uint32_t		 n;
	uint32_t		 busy;		/* walks in WALK_BUSY */
	bool			 free_strategy, force_handlers;
	double			 max_fail;	/* percent; < 0: no limit */
	bool			 abort;		/* any_errors_fatal, max_fail_percentage */
	uint32_t		 nfailed;
	struct once		*onces;
	struct handlers		 handlers;
	struct role_vars	*role_vars;
	const struct value	*play_vars;	/* vars, vars_prompt */
	const struct value	*play_defaults;	/* of all public roles of the play */
	const struct value	*play_role_vars;
	const struct node	*setup;		/* the implicit gathering of facts, or NULL */
	bool			 needs_root;
	uint32_t		 throttle;
};

struct run {
	struct arena		 arena;
	struct event_base	*base;
	struct site		*site;
	const struct run_opts	*opts;
	struct diags		*diags;
	struct conn_pool	*pool;
	struct tmpl_cache	*templates;	/* files that templates include */
	struct hostrun		*hosts;		/* list */
	struct hostrun		**indexed;	/* the same by host->index */
	uint32_t		 nindexed;
	uint32_t		 iplay;
	uint32_t		 start_play;	/* --start-at-task: the play that has it */
	struct hostrun		**play_hosts;	/* hosts of the current play, all batches */
	uint32_t		 nplay_hosts, next_host, ibatch;
	const struct value	*prompted;	/* of the current play; NULL: not asked yet */
	struct batch		*batch;
	struct event		*turn;		/* schedules without recursion */
	bool			 finishing, interrupted, aborted;	/* aborted: interrupted twice */
	uint32_t		 nlinks;	/* not fully closed yet */
	int			 status;
	const struct value	*run_tags, *skip_tags;	/* for the magic variables */
	const struct value	*groups;	/* magic; NULL after add_host, group_by */
	int64_t			 start_ms;
	struct censor		*censor;	/* all secrets met so far; or NULL */
	struct value		*provided;	/* map: provider as JSON → its secret; or NULL */
	bool			 no_secrets;	/* some could not be had */
	bool			 looking_ahead;	/* evaluation has no effects */
	uint32_t		 changes, opaque;	/* requests that changed something; that may have changed anything */
};

struct hostrun	*run_host(struct run *, struct host *);		/* made when first asked for */
/* By name for delegation: an inventory host, localhost, or a name to connect to. NULL with err. */
struct hostrun	*run_host_named(struct run *, const char *name, struct err *);
void		 run_turn(struct run *);			/* schedule soon */
void		 batch_schedule(struct batch *);
void		 batch_start(struct batch *);
void		 batch_step_done(struct walk *, enum outcome, const struct value *result);
bool		 conds_hold(struct arena *, const struct scope *, const struct conds *,
		    const struct value **ret_false, struct err *);	/* err set: an error */
int64_t		 now_ms(void);					/* wall clock */

/* ---- variables ------------------------------------------------------------------ */

/* fetch.c: what the lookup `url` fetches. */
int		 fetch_url(const struct tmpl_fetch *, struct buf *body, struct err *);
/*
 * The scope of a node on a host, in arena a.  extra: a map stronger than all
 * but extra vars (loop variables), or NULL.  w and node may be NULL (delegated hosts, hostvars).
 */
struct scope	*vars_scope(struct arena *a, struct hostrun *, struct walk *,
		    const struct node *, const struct value *extra);
/* When a batch starts: play vars and those of the play's roles. */
void		 vars_batch_init(struct batch *, const struct value *prompted);
/* A role included as public: its variables are the rest of the play's. */
void		 vars_role_public(struct batch *, const struct role *);
/* vars_files as this host sees them; again after facts are known. 0, or -1 with diags. */
int		 vars_files(struct walk *, struct err *);
void		 vars_set(struct hostrun *, const char *name, const struct value *);	/* copies */
/* Facts of a result, or (bare) kept ones. */
void		 vars_set_facts(struct hostrun *, const struct value *facts, bool bare);
void		 vars_include(struct hostrun *, const struct value *map, const char *name);
/* A variable of the host as text, or NULL: connection variables and the like. */
const char	*vars_text(struct arena *, const struct scope *, const char *name);

/* ---- a task on a host -------------------------------------------------------------- */

enum action_result {
	ACTION_DONE,	/* s->result is set */
	ACTION_REMOTE,	/* go on: send s->args to the host */
	ACTION_LATER,	/* step_result() will be called */
};

struct step {
	struct walk		*walk;
	struct hostrun		*host;		/* walk->host */
	struct hostrun		*target;	/* where it runs: the host, or delegate_to */
	struct arena		*arena;
	const struct node	*node;
	const struct task	*task;
	const struct module	*module;
	struct scope		*scope;
	struct value		*loopvars;	/* map, or NULL */
	const struct value	*items;		/* list, or NULL: no loop */
	uint32_t		 i;
	struct value		*results;	/* of the items so far */
	const struct value	*label;
	int			 attempt, attempts;
	struct event		*timer;
	const struct value	*args;		/* checked */
	const struct value	*censor_of;	/* the args whose secrets are in: */
	struct censor		*censor;
	const struct value	*action_args;	/* of a templated action */
	struct value		*result;
	struct contents		 contents;
	struct request		 req;
	struct guess		*guess;		/* sent ahead, instead of req; or NULL */
	bool			 in_flight;
	bool			 root;		/* by the link of root */
	bool			 check, diff, no_log, become;
	bool			 want_diff;	/* diff is to be shown or recorded */
	bool			 secret_content;	/* a rendered file with secrets: no diff */
	const char		*become_user;
	const char		*name;		/* as shown */
	char			 desired[SHA256_HEX];	/* of what the item asks of its host; "": nothing yet */
	bool			 told;		/* EV_ASKED was emitted */
	bool			 barred;	/* run_opts.permit says no: only checked */
	bool			 withheld;	/* and it would have changed something */
	int64_t			 start_ms, item_start_ms;
	struct include		*includes;	/* collected by include_*, one an item */
	uint32_t		 nincludes, includes_cap;
	struct fetch		*fetch;		/* action_fetch.c */
	const struct value	*env;		/* map or NULL */
	int			 timeout_ms;
	bool			 flush, end_host, end_play, end_batch, end_role;	/* meta */
	bool			 announced;
	bool			 unsent;	/* the host was not reached with it */
	const char		*guard, *guard_token;	/* sent under this guard; or NULL */
	struct confirm		*confirm;	/* under way */
	struct back		*back;		/* action_back.c */
};

void		 step_start(struct walk *);
/* A step of the walk's node in the arena, not started. */
void		 step_init(struct step *, struct walk *, struct arena *);
/* The items of its loop, or NULL with err; and the variables of item s->i. */
const struct value *step_items(struct step *, struct err *);
void		 step_item_vars(struct step *);
/* A task's or handler's name as shown: "role : name". */
const char	*node_shown(struct arena *, const struct scope *, const struct node *);
/* Ends the current item with s->result. */
void		 step_result(struct step *);
/* Sets s->result to that of a task left out. */
void		 step_skip(struct step *, const char *reason, const struct value *condition);
/* Sets s->result to a failure. Returns ACTION_DONE. */
enum action_result step_fail(struct step *, const char *fmt, ...) ATTR_PRINTF(2, 3);
enum action_result step_fail_err(struct step *, struct err *);	/* releases it */
void		 step_wait(struct step *, int64_t ms, void (*cb)(evutil_socket_t, short, void *));
void		 step_free(struct step *);
void		 step_abort(struct step *);

/* Evaluates the task and does it, here or on its host; step_result() follows. */
void		 attempt_start(struct step *);
/* Evaluates keywords and arguments. 0, or -1: s->result is a failure. */
int		 attempt_evaluate(struct step *);
/* Evaluates the task as if it were reached now: what would be sent to its host, and s->root; NULL: that cannot be said. */
const struct value *attempt_guess(struct step *);
/* The host's answer (NULL with err: none); it is about to change something; a line of its progress. */
void		 step_reply(struct step *, const struct value *result, struct err *);
void		 step_held(struct step *);
void		 step_progress(struct step *, const char *text);
/* A request to the step's host as the task's user: the payload, and s->root. Checks, diffs and guards are the caller's. */
struct value	*step_request(struct step *, const char *module, const struct value *args);
/* Remembers what is asked; true: run_opts.permit says no. */
bool		 step_barred(struct step *);
/* Sets s->result to that of a host which was not reached. */
void		 step_unreachable(struct step *, const struct err *);
/* A keyword as boolean: 1, 0, or def when it is not given. -1 with err. */
int		 kw_bool(struct step *, const struct value *, const char *name, int def, struct err *);
/* A keyword as text, NULL when it is not given (err untouched). */
const char	*kw_text(struct step *, const struct value *, struct err *);
int		 kw_int(struct step *, const struct value *, const char *name, int64_t def, int64_t *ret,
		    struct err *);
/* Closes and removes what a fetch that failed has left. */
void		 fetch_abandon(struct step *);

/* An action of the controller: modules that never leave it, and preparations of those that do. */
struct action {
	const char	*module;
	enum action_result (*run)(struct step *);
	/* After the host's result, may change s->result; or NULL. */
	void		 (*finish)(struct step *);
	bool		 raw_args;	/* gets the task's own args, evaluates them by itself */
	bool		 prepares;	/* run() only looks at files of the controller: the task may be sent ahead */
};
const struct action *action_find(const char *module);

/* What an include that is no role with public variables brings; NULL: errors, or it has an effect. */
const struct nodes *include_nodes(struct step *);

/* Families of actions; rows end with module NULL. */
extern const struct action actions_back[], actions_basic[], actions_files[], actions_flow[];

/* ---- before its turn (ahead.c) ---------------------------------------------------------------- */

/* A request with this payload was sent ahead, and its answer holds: the step has it now. */
bool		 ahead_take(struct step *, const struct value *payload);
struct request	*ahead_request(struct step *);
bool		 ahead_held(const struct step *);
bool		 ahead_answered(const struct step *);
/* Gives the step its answer. */
void		 ahead_deliver(struct step *);
/* Sends what follows the step's request, which is under way. */
void		 ahead_look(struct step *);
/* A step's result, for what other hosts were told before it. */
void		 ahead_note(struct step *);
/* A variable has a real value now. */
void		 ahead_known(struct hostrun *, const char *name);
/* Something else is about to touch the host: nothing of what was sent ahead holds any more. */
void		 ahead_drop(struct hostrun *);
void		 ahead_release(struct hostrun *);

/* ---- before-images and guards (confirm.c) ---------------------------------------------------- */

/* Adds to a request what is to be kept, and the guard. 0, or -1 with err. */
int		 confirm_ask(struct step *, struct value *payload, struct err *);
/*
 * Takes out of s->result what is not for its readers: before-images go to the
 * listeners.  True: the change must be confirmed first; step_result() will be called.
 */
bool		 confirm_begin(struct step *);
void		 confirm_abort(struct step *);

/* ---- handlers ------------------------------------------------------------------------ */

/* Notifies by name or topic. 0, or -1 with err: no such handler. */
int		 handlers_notify(struct walk *, struct step *, const struct value *names, struct err *);
void		 handlers_add(struct batch *, const struct nodes *);
/* Also notifies those that earlier runs still owe the host. */
void		 handlers_owed(struct walk *);

/* ---- events ---------------------------------------------------------------------------- */

void		 emit(struct run *, struct event *);
void		 emit_step(struct step *, enum event_type, struct event *);
void		 emit_host_state(struct hostrun *, const char *text);
void		 emit_warning(struct run *, const char *host, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Does nobody know what the module changes? A command. */
bool		 step_opaque(const struct step *);
/* Nor whether it does? `creates` and `removes` would tell. */
bool		 step_blind(const struct step *);
/* run_opts.permit of the item at hand. */
bool		 step_permitted(struct step *);
/* The item at hand, as shown; NULL: no loop. */
const struct value *step_label(struct step *);
/* Remembers the secret strings below v for the rest of the run. */
void		 secrets_note(struct run *, const struct value *v);
/* The same for what was made of secrets (all: whatever their bits say): not what already holds a known one, nor plain words. */
void		 secrets_derived(struct run *, const struct value *v, bool all);
/* Takes in what the host's provctl_secrets says (secret.c); vars: a play's, or NULL. Errors go to run->diags and set run->no_secrets. */
void		 secrets_declare(struct hostrun *, const struct value *vars);
/* Asks for the variables of a play's vars_prompt (prompt.c); NULL: none. A map. */
const struct value *prompt_vars(struct run *, const struct value *prompts);
/* v, with the secret bit on the strings that hold a known secret, or on all. */
const struct value *secrets_mark(struct run *, struct arena *, const struct value *v, bool all);

#endif
