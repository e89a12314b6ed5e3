/*
 * Looking a database over after a crash.
 *
 * What can be done in CHECK_FIRST_MS is done before the database is used, the
 * rest by a thread while it is: a file of 2 GiB takes half a minute, and a run
 * must not wait for that.  PATH-check is there as long as a look is not
 * through, with the tables that are: short runs do it piece by piece.  What is
 * found makes the writer fail, so the run says it, and the next opening does.
 */
#ifndef PROVCTL_STATE_CHECK_H
#define PROVCTL_STATE_CHECK_H

#include "state/db.h"
#include "state/writer.h"

#define CHECK_FIRST_MS	5000

struct check;

/* When the database is opened; unclean: the last one was killed. 0, or -1 with err: it is damaged. */
int		 check_first(struct db *, bool unclean, struct err *);
/* Goes on in the background, when there is something left and nobody else does; NULL: there is not. */
struct check	*check_start(const struct db *of, struct writer *);
/* Ends it, wherever it is; NULL allowed. */
void		 check_stop(struct check *);

#endif
