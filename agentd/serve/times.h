/*
 * When something is to be done, as people write it:
 *
 *	nightly, 03:10		daily 03:10		03:10 15:10
 *	mon-fri 06:00, 18:00	weekly, sun 04:00	sat,sun 05:30
 *	hourly			hourly :15		every 30 min	every 4 h
 *	never
 *
 * Times are local time.  One that the clocks' change skips is an hour later, one
 * that it has twice is taken once.  The next time is always computed from what
 * the clock says, never counted, so a clock that is set does no harm.
 */
#ifndef PROVCTL_SERVE_TIMES_H
#define PROVCTL_SERVE_TIMES_H

#include "base/err.h"

#define TIMES_MAX	24		/* a day */
#define TIMES_MIN_EVERY	5		/* minutes */

struct times {
	int		every;		/* minutes; 0: at */
	unsigned	days;		/* bit 0: Sunday */
	unsigned	n;		/* of at; with every == 0 and n == 0: never */
	int		at[TIMES_MAX];	/* minutes of the day, ascending */
};

/* 0, or -1 with err (message and hint, no position). */
int	 times_parse(const char *text, struct times *, struct err *);
/* The first time after `after` (both in seconds since the epoch); -1: never. */
int64_t	 times_next(const struct times *, int64_t after);

#endif
