/*
 * Plans: what an apply would change, and applying exactly that.
 */
#ifndef PROVCTL_CTL_PLAN_H
#define PROVCTL_CTL_PLAN_H

#include "cmd.h"

/* Does the file that was given as a site hold a plan? */
bool	 is_plan(const char *path);
/* provctl apply FILE. Returns an exit code. */
int	 plan_apply(struct ctl *, const char *path);

extern const struct opt_group opts_plan;
extern const struct opt_group *const plan_groups[];	/* with those of check; apply.c */

#endif
