/*
 * Jobs: provctl as a child, one process a run.
 *
 * A run that crashes takes nothing else with it, and one that hangs can be
 * killed; journal, leases and interruption are the same as without the daemon.
 * The child tells its events (schema/events.md) on a pipe, whatever its own
 * output is; the last JOB_BACKLOG bytes are kept for those who begin to follow
 * later.
 *
 *	agentd ── SIGINT ──▶ provctl apply …  ── its stdin, stdout, stderr, terminal:
 *	   ◀── events, fd 3 ──┘                  the client's, or none
 */
#ifndef PROVCTL_SERVE_JOB_H
#define PROVCTL_SERVE_JOB_H

#include <sys/queue.h>
#include <event2/event.h>

#include "base/value.h"

#define JOB_BACKLOG	((size_t)1024 * 1024)
#define JOB_LINE_MAX	((size_t)8 * 1024 * 1024)
#define JOBS_MAX	256

enum job_kind {
	JOB_ASKED,	/* by a client: a run with its descriptors */
	JOB_DRIFT, JOB_RETRY, JOB_RESUME,
	JOB_TELL,	/* somebody is told that a host is given up */
};

struct job {
	TAILQ_ENTRY(job)	 entry;
	struct jobs		*jobs;
	int64_t			 id, run;	/* run: its number once it is known, else 0 */
	enum job_kind		 kind;
	char			*what;		/* "drift shop": for people */
	char			*site;		/* name in agentd.yml, or NULL */
	pid_t			 pid;
	int64_t			 started_ms;
	int			 status;	/* exit status, 128 + signal */
	int			 interrupts;
	bool			 exited, told_all;
	int			 fd;		/* events; -1: closed */
	struct event		*readable, *deadline;
	struct buf		 in;		/* of the pipe, not yet a line */
	bool			 skipping;	/* the rest of a line that was too long */
	struct buf		 backlog;	/* whole lines */
	uint64_t		 dropped;	/* lines that are no longer in it */
};
TAILQ_HEAD(job_list, job);

struct jobs {
	struct event_base	*base;
	struct job_list		 list;
	uint32_t		 n;
	int64_t			 last_id;
	struct event		*child;		/* SIGCHLD */
	/* One line of events, without its end; one with the run's number sets job->run first. */
	void	(*line)(void *arg, struct job *, const char *, size_t);
	/* It is over, job->status says how; it is freed on return. */
	void	(*ended)(void *arg, struct job *);
	void	*arg;
};

struct job_start {
	enum job_kind		 kind;
	const char		*what, *site;
	const char *const	*argv;		/* [0] is the path of the program */
	const char		*cwd;
	const char *const	*env;		/* NULL: ours */
	int			 in, out, err;	/* -1: /dev/null; err: ours */
	int			 tty;		/* for questions; -1: none */
	int			 keeper;	/* a socket to the keeper of connections; 0: none */
	int			 timeout_s;	/* then it is killed; 0: never */
};

void	 jobs_init(struct jobs *, struct event_base *);
/* All must have ended. */
void	 jobs_release(struct jobs *);
/* Descriptors stay the caller's. NULL with err. */
struct job *job_start(struct jobs *, const struct job_start *, struct err *);
/* The first time tasks under way are finished, the second time it stops at once, the third time it is killed. */
void	 job_interrupt(struct job *);
void	 job_kill(struct job *);
/* By number of the job, or of the run when that is not 0. NULL: none. */
struct job *job_find(struct jobs *, int64_t id, int64_t run);

#endif
