/*
 * A command on a channel of an SSH session: opened, run, its bytes, its end.
 *
 * To an OpenSSH server the exec request is sent right behind the request to
 * open the session's first channel, which saves a round trip: that channel has
 * number 0, as libssh assumes until it is told.
 */
#ifndef PROVCTL_SSH_COMMAND_H
#define PROVCTL_SSH_COMMAND_H

#include <libssh/libssh.h>
#include <libssh/callbacks.h>

#include "ssh/session.h"

struct command {
	struct session	*session;
	ssh_channel	 channel;	/* NULL: not begun, or dropped */
	struct ssh_channel_callbacks_struct callbacks;
	char		*line;
	bool		 first;		/* on a session without channels before */
	bool		 open, sent, running;
	bool		 closed;	/* by the other side: it has ended */
	int		 exec_rc;	/* what libssh said of the request, once sent */
	int		 status;	/* exit status; -1: unknown */
	char		 signal[16];
	/* Its output, from within libssh: only to be stored; returns how much it takes. No bytes: it has ended. */
	size_t		(*data)(void *arg, const void *, size_t, bool is_stderr);
	void		*arg;
};

/* Makes the channel; the line is copied. Zeroed by the caller but for data and arg. */
void	 command_begin(struct command *, struct session *, const char *line, bool first);
/* To be called at each turn until it is 1: the command runs. 0: not yet; -1 with err: it will not. */
int	 command_start(struct command *, struct err *);
/* Takes as many bytes as the session can now. */
size_t	 command_write(struct command *, const void *, size_t);
/* Bytes of its output that data() did not take; 0: there are none. May call data(), for what comes first. */
size_t	 command_rest(struct command *, void *, size_t);
/* Lets go of the channel; the session must still exist. */
void	 command_drop(struct command *);

#endif
