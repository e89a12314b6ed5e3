/*
 * Programs of the controller whose output is wanted: an inventory, a password,
 * a secret.
 */
#ifndef PROVCTL_INVENTORY_CHILD_H
#define PROVCTL_INVENTORY_CHILD_H

#include "base/buf.h"
#include "base/err.h"

struct child {
	const char *const	*argv;		/* NULL-terminated; argv[0] is a path */
	int			 timeout_ms;	/* counted down by the time it took */
	bool			 terminal;	/* may talk to the user (passwords): keeps stdin and the terminal */
	struct buf		*out;		/* its maximum is the limit */
	/* filled in: */
	int			 status;	/* exit code; 128 + signal when killed */
	char			 stderr_tail[512];	/* the end of what it said */
};

/* 0: it ran to its end; -1 with err: ERR_TIMEOUT, ERR_LIMIT, ERR_IO (errno is kept: ENOEXEC). */
int	 child_run(struct child *, struct err *);

#endif
