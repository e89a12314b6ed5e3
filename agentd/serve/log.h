/*
 * The daemon's log: to the journal with fields where systemd has connected us
 * to it, else lines on standard error.
 */
#ifndef PROVCTL_SERVE_LOG_H
#define PROVCTL_SERVE_LOG_H

#include "base/err.h"
#include "base/value.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

/* Looks where standard error leads; before it everything goes there as lines. */
void	 log_open(void);
/*
 * One line; control characters are replaced.  fields: a map of strings and
 * integers ("run", "site", "host" …) or NULL; in the journal PROVCTL_RUN=… .
 */
void	 log_fields(enum log_level, const struct value *fields, const char *fmt, ...)
	    ATTR_PRINTF(3, 4);
void	 log_info(const char *fmt, ...) ATTR_PRINTF(1, 2);
void	 log_warn(const char *fmt, ...) ATTR_PRINTF(1, 2);
/* Message and hint, with position; releases the error. */
void	 log_err(struct err *);
/* All of them in full, with source lines and carets. */
void	 log_diags(struct diags *);

#endif
