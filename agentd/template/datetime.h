/*
 * Dates and durations: what `now()`, `to_datetime` and their differences are.
 *
 * Objects of Python's types datetime, date and timedelta, with the attributes,
 * methods, arithmetic and texts that templates use.  As results they become
 * their text.
 */
#ifndef PROVCTL_TEMPLATE_DATETIME_H
#define PROVCTL_TEMPLATE_DATETIME_H

#include "template/object.h"

/* The present moment, naive, in local time or UTC. */
const struct value *datetime_now(struct arena *, bool utc);
/* datetime.strftime(): appends; false with err when the text gets too long. */
bool	 datetime_strftime(struct buf *, const struct value *, const char *fmt,
	    size_t len, struct err *);
/* str() of a datetime or date, or NULL for other values. */
const char *datetime_text(const struct value *, struct arena *);
/* The same with "T" between date and time. */
const char *datetime_isoformat(const struct value *, struct arena *);

#endif
