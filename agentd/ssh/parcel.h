/*
 * Parcels: values with descriptors between our own processes on one machine,
 * over a Unix socket that keeps their borders (SOCK_SEQPACKET).
 *
 *	one parcel = one packet: a value (base/codec.h), at most PARCEL_FDS descriptors
 *
 * Nothing blocks: what the socket does not take waits here, in order.
 */
#ifndef PROVCTL_SSH_PARCEL_H
#define PROVCTL_SSH_PARCEL_H

#include <event2/event.h>

#include "base/value.h"

#define PARCEL_MAX	((size_t)128 * 1024)
#define PARCEL_FDS	2
#define PARCELS_WAITING	8192	/* more than that: the other side is hopeless */

struct parcel_ops {
	/* Those of the descriptors that it takes over it sets to -1. */
	void	(*got)(void *arg, const char *data, size_t len, int fds[PARCEL_FDS]);
	/* The other side is gone, or sends nonsense; the last call. Never from within parcels_send(). */
	void	(*gone)(void *arg);
};

struct parcels;

/* The fd stays the caller's. Nothing is read before parcels_listen(). */
struct parcels	*parcels_new(struct event_base *, int fd, const struct parcel_ops *, void *arg);
void		 parcels_free(struct parcels *);	/* also from within its callbacks */
/* While it listens it keeps the loop from ending. */
void		 parcels_listen(struct parcels *, bool);
/* The descriptors (-1: none) are this function's: closed when they are sent, or cannot be. */
void		 parcels_send(struct parcels *, const struct value *, const int fds[PARCEL_FDS]);

#endif
