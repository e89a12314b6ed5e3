/*
 * Child processes, for modules: argv arrays, no shell, a deadline, bounded
 * output, the last line shown live.
 */
#ifndef PROVCTL_MODULE_PROC_H
#define PROVCTL_MODULE_PROC_H

#include "base/buf.h"
#include "module/module.h"

#define PROC_OUTPUT_MAX	((size_t)16 * 1024 * 1024)	/* each of stdout and stderr; the rest is read and dropped, `truncated` set */

struct proc {
	const char *const	*argv;		/* NULL-terminated; argv[0] is searched in PATH */
	const char *const	*env;		/* additions "K=V", NULL-terminated, or NULL; m->env is always added */
	const char		*cwd;		/* or NULL */
	const void		*input;		/* for stdin, or NULL: /dev/null */
	size_t			 ninput;
	const char		*user;		/* run as this user (initgroups, HOME, USER, LOGNAME set), or NULL */
	int			 timeout_ms;	/* 0: only the request's own */
	int			 umask;		/* -1: leave */
	int			 keep;		/* a descriptor that the child keeps, 0: none */
	bool			 live;		/* show output lines by mod_progress */
	bool			 merge;		/* stderr into out */
	/* filled in: */
	struct buf		 out, err;
	int			 status;	/* exit code; 128 + signal when killed */
	bool			 timed_out;
	bool			 truncated;
	int64_t			 start_us, end_us;	/* wall clock */
};

#define PROC_INIT	{ .umask = -1 }
#define CLEANUP_PROC	__attribute__((cleanup(proc_release)))

/*
 * Starts, feeds, reads and waits; a process group of its own, killed as a
 * whole on timeout or cancel.  0 when it ran (any status), -1 after mod_fail
 * when it could not be started ("cannot run X: not found").
 */
int	 proc_query(struct mod *, struct proc *);	/* for looking: also in check mode; mod may be NULL: no message, no environment */
int	 proc_change(struct mod *, struct proc *);	/* changes the host: asserts no check run */
/* The same, and a status other than 0 is a failure with cmd, rc, stdout, stderr in the result. */
int	 proc_must(struct mod *, struct proc *);
void	 proc_release(struct proc *);
/* Full path of a program in PATH (and /usr/sbin, /sbin), or NULL. */
const char *proc_find(struct mod *, const char *name);
/* Puts rc, stdout, stderr, stdout_lines, stderr_lines, cmd, start, end, delta into the result. */
void	 proc_result(struct mod *, const struct proc *);

#endif
