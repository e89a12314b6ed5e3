/*
 * agentd's keeper of connections (ssh/keeper.h): started when a run first
 * needs it, and again when it has gone.
 */
#ifndef PROVCTL_SERVE_WARM_H
#define PROVCTL_SERVE_WARM_H

#include <event2/event.h>

#define WARM_OPTION	"--keep"	/* of agentd: be the keeper; standard input is the socket to agentd */

struct warm;

/* self: path of agentd. */
struct warm	*warm_new(struct event_base *, const char *self);
/* It ends, and all that it keeps. */
void		 warm_free(struct warm *);
/* How long idle sessions are kept, from now on; 0: runs connect by themselves. */
void		 warm_set(struct warm *, int seconds);
/* A socket to the keeper for a run, to be closed by the caller; -1: there is none. */
int		 warm_socket(struct warm *);

#endif
