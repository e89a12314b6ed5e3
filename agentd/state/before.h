/*
 * Before-images of runs: what `provctl rollback` puts back.
 */
#ifndef PROVCTL_STATE_BEFORE_H
#define PROVCTL_STATE_BEFORE_H

#include "state/state.h"

/*
 * What a run has changed, each path of a host once: from what it was before
 * the first task that changed it to what the last one left.  In the order in
 * which it can be put back: what was made goes first, the innermost before the
 * outermost; then what was there comes, the outermost first.  A map of lists
 * by host; maps: path, was, left (module/keep.h), user (or missing: the
 * login's), quiet, task.  A path of '' stands for `was`.lost more that the host
 * did not write down.
 */
const struct value *state_before(struct state *, struct arena *, int64_t run,
	    struct err *);

#endif
