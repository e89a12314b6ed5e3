/*
 * The gate between the network and libssh, until both sides have offered strict
 * key exchange (kexgate.c tells why and how).
 */
#ifndef PROVCTL_SSH_KEXGATE_H
#define PROVCTL_SSH_KEXGATE_H

#include <event2/event.h>

#include "base/buf.h"

enum hello_state {
	HELLO_LINES, HELLO_PACKET,	/* more is needed */
	HELLO_STRICT, HELLO_LAX,	/* its KEXINIT has the name, or not */
	HELLO_BAD			/* this is no beginning of SSH */
};

/* What one side says first, in clear. All zero but for want. */
struct hello {
	const char		*want;		/* the name in its list of key exchanges */
	enum hello_state	 state;
	size_t			 before;	/* bytes of the lines so far */
	char			 version[80];	/* "SSH-2.0-…", printable; "" */
};

/*
 * Looks at what came and was not taken yet; returns how much of it is to pass
 * (and is taken): whole lines, and everything from a strict KEXINIT on.
 */
size_t	 hello_look(struct hello *, const char *data, size_t);

enum kexgate_state {
	GATE_ON,
	GATE_OVER,		/* strict, and nothing is under way: time for kexgate_join() */
	GATE_LAX,		/* the server does not offer it */
	GATE_OURS,		/* nor does libssh */
	GATE_BAD		/* what answers is no SSH server */
};

/*
 * Takes the connected descriptor; libssh gets *ret_fd, which is the caller's. turn()
 * follows whenever something has moved. NULL with errno: net stays the caller's.
 */
struct kexgate	*kexgate_open(struct event_base *, int net, int *ret_fd,
		    void (*turn)(void *arg), void *arg);
/* Also to be asked when libssh has read. */
enum kexgate_state	 kexgate_look(const struct kexgate *);
const char	*kexgate_version(const struct kexgate *);	/* of the server, "" when unknown */
/* Libssh's descriptor becomes the network's; no event may be on it. 0, or -1 with errno. */
int		 kexgate_join(struct kexgate *);
void		 kexgate_free(struct kexgate *);	/* NULL: nothing */

#endif
