/*
 * Parts of the text output that a run and `show` share.
 */
#ifndef PROVCTL_CTL_REPORT_H
#define PROVCTL_CTL_REPORT_H

#include "out.h"
#include "run/run.h"
#include "state/udiff.h"

/* Why a task failed: where it stands, command, messages, output with its real newlines, hint. */
void	 text_failure(struct buf *, const struct term *, const struct event *);
void	 report_pause(struct report *);
void	 report_resume(struct report *);

#endif
