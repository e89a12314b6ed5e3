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
 *
 * One thread, one poll loop; the module itself runs in this process and the
 * loop is turned from within it (proc.c's waits, content reads) so that PING
 * and CANCEL are answered meanwhile.
 */
#ifndef PROVCTL_EXEC_EXEC_H
#define PROVCTL_EXEC_EXEC_H

/* Serves frames on the descriptors until BYE or end of input. Returns an exit status. */
int	 exec_serve(int in, int out);

#endif
