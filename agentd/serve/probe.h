/*
 * Are hosts back that did not answer?  A look at each: TCP to where its SSH
 * server should be, and whether that says "SSH-".  No key, no login; a few at
 * the same time, each with a deadline, all on the loop (names are resolved
 * there, too, by the servers of /etc/resolv.conf and by /etc/hosts).
 */
#ifndef PROVCTL_SERVE_PROBE_H
#define PROVCTL_SERVE_PROBE_H

#include <event2/event.h>

#include "base/value.h"

#define PROBE_AT_ONCE	32
#define PROBE_S		5	/* for each */

struct probe;

/* answered(): an SSH server is at "address port". */
struct probe	*probe_new(struct event_base *, void (*answered)(void *arg, const char *where),
		    void *arg);
void		 probe_free(struct probe *);
/* Looks at all of them (list of "address port"), unless it is still at the last ones. */
void		 probe_round(struct probe *, const struct value *where);

#endif
