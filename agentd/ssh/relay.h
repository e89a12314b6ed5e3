/*
 * A run's descriptors joined to a command on a session: the keeper's side of
 * one connection.
 *
 *	run ══ data ══▶ to_channel ──▶ channel ══▶ host
 *	    ◀═══════════ to_data ◀────         ◀══
 *	    ◀══ errs ═══ to_errs ◀────
 *
 * The descriptor is read only while to_channel is empty; of the host's output
 * at most RELAY_MARK is taken, the rest stays in the channel's window.  What
 * is too much on standard error is dropped: it is for messages only.
 */
#ifndef PROVCTL_SSH_RELAY_H
#define PROVCTL_SSH_RELAY_H

#include <event2/event.h>

#include "ssh/ask.h"
#include "ssh/command.h"

#define RELAY_MARK	((size_t)256 * 1024)

enum relay_state { R_WAITING, R_OPENING, R_RUNNING };

struct relay {
	struct relay		*next;		/* of its session */
	struct warm		*warm;
	struct asker		*asker;
	struct arena		 arena;
	const char		*parcel;	/* the request as it came, and read */
	size_t			 parcel_len;
	struct ask		 ask;
	enum relay_state	 state;
	bool			 reused;	/* the session was there before */
	int64_t			 end_ms;	/* of opening */
	struct command		 command;
	int			 data, errs;
	struct event		*readable, *writable, *timer;
	void			(*look)(struct relay *);
	struct buf		 to_data, to_errs, to_channel;
	bool			 rest;		/* the channel has output that was not taken */
};

enum relay_result {
	RELAY_ON,
	RELAY_ENDED,	/* the command has, and all that it said is with the run */
	RELAY_LEFT	/* the run has closed its end */
};

/* Takes the descriptors over. look(): something may be done at a turn of its session. */
struct relay	*relay_new(struct event_base *, int fds[2], void (*look)(struct relay *));
/* It is looked at again in a moment. */
void		 relay_tick(struct relay *);
/* Moves what can be moved. */
enum relay_result relay_move(struct relay *);
/* For struct command. */
size_t		 relay_data(void *relay, const void *, size_t, bool is_stderr);
/* The command must have been dropped. */
void		 relay_free(struct relay *);

#endif
