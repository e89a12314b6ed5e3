/*
 * The executor: started on a host by the connection, it reads requests, runs
 * modules and answers; see base/frame.h for the wire.
 *
 * A REQUEST's payload is a map:
 *	module		str	short name
 *	args		map	as mod_args_check() made them (templates resolved)
 *	check, diff, no_log	bool	absent: false
 *	user		str	run as this user: in a child of the executor (which
 *				must be root) that is kept for further requests;
 *				absent: as the executor itself
 *	env		map	environment of commands
 *	timeout_ms	int	0 or absent: none
 *	keep_bytes	int	bound of the before-images (module/keep.h); absent: its default
 *	keep_days	int	likewise
 *	guard		map	id, seconds, commands (module/guard.h); absent: none
 *
 * Two kinds of processes: the server (serve.c) owns the connection, and one
 * worker (worker.c) per user runs that user's modules.  The server so answers
 * PING at once whatever a module does, kills what overruns its deadline or
 * ignores a CANCEL, and turns a module's crash into a failed result instead
 * of a lost host.  README.md draws it.
 */
#ifndef PROVCTL_EXEC_EXEC_H
#define PROVCTL_EXEC_EXEC_H

#include <stdbool.h>

/*
 * Serves frames on the descriptors until BYE (returns 0), the end of input
 * (1) or something that is no frame (2).  Both are made non-blocking; they
 * must not be 0, 1 or 2, which belong to the modules' children.
 */
int	 exec_serve(int in, int out);

/*
 * Moves the connection away from 0 and 1, out of the reach of everything that
 * a module may start, and puts /dev/null on 0, 1 and 2.  0, or -1 with errno.
 */
int	 exec_take_stdio(int *ret_in, int *ret_out);

/* True for what the bootstrap may name a session: 16 to 64 lower-case hex digits. */
bool	 exec_nonce_valid(const char *);

#endif
