/*
 * Putting back what a run has changed.
 */
#ifndef PROVCTL_CTL_ROLLBACK_H
#define PROVCTL_CTL_ROLLBACK_H

#include "cmd.h"

/*
 * Runs the rollback of a run that was asked for with these options, in the
 * directory it was started in; ctl->set says how: check, limit, force …
 */
int	 rollback_run(struct ctl *, int64_t run, const struct value *options);

#endif
