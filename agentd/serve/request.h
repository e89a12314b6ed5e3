/*
 * A line of the control protocol (schema/control.md), checked: what comes out
 * has the types and sizes that are allowed, whoever sent it.
 */
#ifndef PROVCTL_SERVE_REQUEST_H
#define PROVCTL_SERVE_REQUEST_H

#include "base/value.h"

#define CONTROL_PROTOCOL	1
#define REQUEST_MAX		((size_t)256 * 1024)	/* bytes of a line */

enum method {
	METHOD_HELLO, METHOD_STATUS, METHOD_RUNS, METHOD_RUN, METHOD_START,
	METHOD_FOLLOW, METHOD_CANCEL, METHOD_SCHEDULE, METHOD_RELOAD
};

struct request {
	int64_t			 id;		/* of the client's choice; the answer has it */
	enum method		 method;
	int64_t			 protocol, run, job, limit;	/* 0: not given */
	bool			 now;
	const char		*site, *cwd, *place;		/* or NULL */
	const struct value	*argv;				/* list of strings */
	const struct value	*env;				/* map of strings, or NULL */
};

/* 0, or -1 with err; ret->id is set when the line had one. */
int	 request_parse(struct arena *, const char *line, size_t n, struct request *ret,
	    struct err *);
/* What the protocol calls a kind of error. */
const char *request_error_name(enum err_code);

#endif
