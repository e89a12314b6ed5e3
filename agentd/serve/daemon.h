/*
 * agentd: looks after sites, on one libevent loop.
 *
 *	clients ── control.c ──┐
 *	timers, signals ───────┼── daemon.c, duty.c ── job.c ── provctl, one process a run
 *	state (reading) ───────┘
 *
 * It reads the database and starts runs; the runs write.  It has no memory of
 * its own but a note in the database (struct memory), so that nothing is lost
 * when it is killed.
 */
#ifndef PROVCTL_SERVE_DAEMON_H
#define PROVCTL_SERVE_DAEMON_H

#include <sys/stat.h>

#include "serve/config.h"
#include "serve/control.h"
#include "serve/job.h"
#include "state/state.h"

struct daemon_opts {
	const char	*config;	/* path; NULL: the usual one, if it is there */
	const char	*socket;	/* NULL: the usual one, unless one was passed */
	const char	*state;		/* NULL: the usual one */
	const char	*provctl;	/* path of the program */
	const char	*self;		/* path of agentd: `--post` is a webhook's process, `--keep` the keeper */
};

/* Sends what standard input says (url, body) to a webhook; some tries. An exit status. */
int	 post_run(void);
/* Keeps connections between runs (warm.h), until agentd is gone. An exit status. */
int	 daemon_keep(void);
/* Until it is told to stop. An exit status: 0, 1, 78 (configuration: do not try again). */
int	 daemon_run(const struct daemon_opts *);

#define DAEMON_CONFIG	78	/* EX_CONFIG */

/* ---- what daemon.c, duty.c and answer.c share ------------------------------------------ */

/* When a site is due; computed from when it ran last. */
struct due {
	int64_t		 last_ms;	/* the last time it was begun, or we first saw it */
	int64_t		 next;		/* seconds; -1: never, 0: to be computed */
	int64_t		 computed;	/* when: a clock that went back makes it void */
};

struct daemon {
	struct daemon_opts	 opts;
	const char		*config_path, *state_path;	/* absolute */
	struct arena		 arena;
	struct event_base	*base;
	struct state		*state;
	struct stat		 state_file;	/* which one that is */
	struct config		 config;
	struct arena		 set_arena;
	const struct value	*set;		/* the note of `provctl schedule set` that was seen last */
	struct due		*due;		/* one a site */
	struct control		*control;
	struct jobs		 jobs;
	struct warm		*warm;
	struct event		*tick;
	struct page		*page;
	struct probe		*probe;
	int64_t			 probe_at;	/* not before; ms, monotonic */
	int64_t			 started_ms, loaded_ms;
	/* memory: kept as note "agentd" */
	struct arena		 memory;
	struct value		*last;		/* config_site.key → ms */
	struct value		*begun;		/* site → true: its run has not ended yet */
	struct value		*stopped;	/* run → true: we interrupted it to stop */
	bool			 moved;		/* a time of `last` was put right, which is not written yet */
	bool			 unsure;	/* whether the last of it is on the disk */
	struct value		*told;		/* "host\nsite" → last_ms of what was given up */
	/* Failures of our own must not make us busy. */
	int64_t			 retry_at, resume_at;	/* not before; ms, monotonic */
	int			 retry_wait, resume_wait;	/* seconds, doubling */
	bool			 stopping;
	int			 stop_stage;
	struct event		*stop_timer;
};

int64_t	 daemon_monotonic_ms(void);
/* Looks at everything soon: something may have become due. */
void	 daemon_look(struct daemon *);

/* duty.c: what is done without being asked. */
void	 duty_remember(struct daemon *);	/* reads the memory */
void	 duty_memorize(struct daemon *);	/* writes it */
void	 duty_plan(struct daemon *);		/* after the configuration has changed */
/* Starts what is due. Returns in how many seconds to look again. */
int	 duty_look(struct daemon *);
void	 duty_ended(struct daemon *, const struct job *);
/* Begins a site's run now. NULL with err. */
struct job *duty_start(struct daemon *, const struct config_site *, struct err *);
/* A run was interrupted because we stop: it goes on when we are back. */
void	 duty_stopped(struct daemon *, int64_t run);
bool	 duty_goes_on(struct daemon *, int64_t run);
/* When a site is due: seconds; -1: never. */
int64_t	 duty_next(struct daemon *, uint32_t site);
struct job *duty_under_way(struct daemon *, const char *site);
/* The environment of a child that gets those descriptors, in the arena; env: the client's, or NULL: ours. */
const char *const *duty_env(struct arena *, const struct value *env, const struct job_start *);

/* An SSH server answers at "address port", where none did. */
void	 duty_answered(void *daemon, const char *where);

/* answer.c: what clients ask for. */
void	 answer_request(void *daemon, struct client *, const struct request *);
void	 answer_line(struct daemon *, struct job *, const char *, size_t);
void	 answer_ended(struct daemon *, const struct job *);
/* To everybody who follows: an event of agentd's own. */
void	 answer_tell(struct daemon *, const struct value *);
/* What "reload" and SIGHUP do. 0, or -1 with err; the old configuration stays in force then. */
int	 daemon_reload(struct daemon *, struct err *);

#endif
