/*
 * Commands of provctl: one file each, ending with a const struct cmd, and one
 * line in the table of main.c.
 *
 * To add a command:
 *	1. name.c: its groups of options (rows), `run`, the struct cmd;
 *	2. an extern and a line in main.c;
 *	3. cases in test/ctl.
 *
 * A command never prints by itself: it hands events or values to ctl->out
 * (out.h), of which there is one for people and one for programs, and errors
 * to ctl->diags, which main prints.  It returns an exit code (enum run_status).
 */
#ifndef PROVCTL_CTL_CMD_H
#define PROVCTL_CTL_CMD_H

#include "base/err.h"
#include "base/value.h"
#include "opt.h"
#include "private.h"
#include "run/run.h"

struct ctl;
struct out;
struct state;

/* What options set; a command uses those that its rows name. */
struct settings {
	bool		 help, json;
	const char	*color, *state;
	/* inventory and variables */
	struct words	 inventories, extra;
	struct words	 vault_files, vault_ids;
	bool		 ask_vault;
	const char	*limit;
	/* what is run */
	struct words	 tags, skip_tags;
	const char	*start_at;
	bool		 check, diff, due, wait_hosts, current, correct, forget;
	const char	*only;		/* pattern: of the hosts that limit names */
	const char	*plan_file;
	bool		 list_hosts, list_tasks, list_tags, syntax_check;
	/* how */
	int		 forks, timeout, verbose;
	const char	*user, *key, *become_file, *password_file;
	bool		 become, ask_become, ask_pass, accept_keys, lax_kex;
	int		 prune_days;
	bool		 vacuum;
	const char	*keep;
	int64_t		 resumes;	/* the run that this one goes on with */
	int64_t		 rollback;	/* the run that this one undoes */
	bool		 force;
	bool		 daemon, no_daemon;
	/* the daemon */
	const char	*socket, *config, *start_site;
	bool		 now, reload;
	/* of single commands */
	const char	*host, *output, *encrypt_id, *new_id, *new_file;
	int		 number;
	/* onboarding, hosts, machines of providers */
	const char	*name, *playbook, *deploy_user, *fingerprint;
	struct words	 groups;
	int		 port, wait;
	bool		 user_data, yes;
	const char	*listen;
	int		 spread;
	const char	*token_file, *api_url, *region, *size, *image;
	struct words	 ssh_keys, provider_tags;
	bool		 list, graph;
};

/* What a command that runs a site wants besides, and learns. */
struct watch {
	/* Told of each event behind the state, at once (also of what is not committed yet). */
	void			(*event)(struct ctl *, struct state *, const struct event *);
	/* As run_opts.permit. */
	bool			(*permit)(struct ctl *, struct state *, const struct event *);
	/* What permit goes by, kept with the run for who resumes it: "drift", or a plan's keys (list). Or NULL. */
	const struct value	*gate;
	const char		*site_id;	/* the snapshot must be this one; NULL: any */
	bool			 quiet;		/* only what went wrong is reported */
	bool			 silent;	/* for programs: no events at all */
	int64_t			 run;		/* afterwards: the last run's number */
	const char		*kept;		/* and its snapshot */
	void			*arg;
};

struct ctl {
	const struct cmd	*cmd;
	struct settings		 set;
	struct words		 args;
	const char		*site_arg;	/* the site as it was given */
	const char		*snapshot;	/* sites are read from it; NULL: as they are (sites.h) */
	struct private_dir	 snapshot_dir;
	char			**argv;		/* all of it, from the command on */
	struct value		*passwords;	/* that were asked for or read, by what they are or their file; NULL: none yet */
	int			 keeper;	/* agentd's keeper of connections; 0: none */
	struct out		*events;	/* agentd listens: JSON lines for it; or NULL */
	struct arena		 arena;		/* of the whole command */
	struct diags		 diags;
	struct out		*out;
	struct watch		 watch;
};

struct cmd {
	const char			*name;
	const char			*args;		/* "SITE", "[MODULE]" */
	const char			*summary;	/* one line, no full stop */
	const char			*doc;		/* paragraphs, or NULL */
	const struct opt_group *const	*opts;		/* NULL-terminated; the general ones are added */
	unsigned			 min_args, max_args;
	int				(*run)(struct ctl *);
};

/* The alphabetical table, ended by NULL. */
extern const struct cmd *const cmds[];

/* Groups that several commands share (opts.c). */
extern const struct opt_group opts_general;	/* help, json, color; every command */
extern const struct opt_group opts_state;
extern const struct opt_group opts_inventory;
extern const struct opt_group opts_vault;
extern const struct opt_group opts_host;
extern const struct opt_group opts_daemon;	/* of commands that call remote_run() */

#define OFF(field)	offsetof(struct settings, field)
#define OPT_END		{ .name = NULL }

/* An error on the command line: prints usage's first line with it. Returns RUN_USAGE. */
int	 usage_error(struct ctl *, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds an error to ctl->diags and releases it. Returns RUN_USAGE. */
int	 fail_with(struct ctl *, struct err *);

#endif
