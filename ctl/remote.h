/*
 * provctl and agentd: schema/control.md from the client's side, and what a
 * provctl that agentd has started has to know.
 */
#ifndef PROVCTL_CTL_REMOTE_H
#define PROVCTL_CTL_REMOTE_H

#include "cmd.h"

struct remote {
	int			 fd;
	struct buf		 in;
	struct arena		 arena;		/* of what came last */
	struct arena		 greeting;
	const struct value	*hello;		/* its answer */
	int64_t			 id;
};

/*
 * Does the command in ctl->argv through agentd, if that is what is wanted and
 * can be: true, with its exit status.  Standard streams and terminal are ours
 * there, too; a signal cancels.  False: do it here (or ctl->diags says why not:
 * --daemon; then *status is set, too, and the result is true).
 */
bool	 remote_run(struct ctl *, int *ret_status);

/* Connects and says hello. 0, or -1 with err (ERR_IO: nobody is there); close in any case. */
int	 remote_open(struct ctl *, struct remote *, struct err *);
void	 remote_close(struct remote *);
/* Does agentd work on the database that we would? */
bool	 remote_same_database(struct ctl *, const struct remote *);
/* Asks and waits for the answer, valid until the next call. params: or NULL. NULL with err. */
const struct value *remote_call(struct remote *, const char *method,
	    const struct value *params, struct err *);
/* The next object that comes, whatever takes it; valid until the next call. NULL: the end, or a signal (interrupted is set). */
const struct value *remote_next(struct remote *, bool *interrupted);

/* Are we agentd's child? Then events and questions go where it says. Before anything is started. */
void	 remote_child(struct ctl *);
/* An event sink that feeds agentd as well, when it listens. */
struct out_run;
struct sink remote_sink(struct ctl *, const struct out_run *, struct sink);
/* Problems go to it, too. */
void	 remote_diags(struct ctl *);

extern const struct opt_group opts_socket;

#endif
