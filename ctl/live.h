/*
 * Live lines: what the busy hosts are doing, redrawn at the bottom of the
 * terminal while finished lines scroll above.
 *
 *	h1  changed  packages  (12s)		stays
 *	h2  packages  4s  Unpacking nginx …	live, at most ten and a third of the screen
 *	… and 37 more hosts at work
 *
 * Everything is written at most LIVE_MS apart, in one write each, so neither
 * a chatty host nor a slow terminal slows the run down.
 */
#ifndef PROVCTL_CTL_LIVE_H
#define PROVCTL_CTL_LIVE_H

#include "out.h"

#define LIVE_MS	100

struct live;

struct live	*live_new(struct out *, struct event_base *);
void		 live_free(struct live *);	/* erases; NULL allowed */
/* A host begins a task. */
void		 live_begin(struct live *, const char *host, const char *task);
/* What it says now. */
void		 live_text(struct live *, const char *host, const char *text);
void		 live_end(struct live *, const char *host);
/* Finished lines: written above, soon. */
void		 live_print(struct live *, struct buf *);
/* Everything finished is written, the live lines are gone until live_show. */
void		 live_hide(struct live *);
void		 live_show(struct live *);

#endif
