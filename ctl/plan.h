/*
 * Plans: what an apply would change, and applying exactly that.
 */
#ifndef PROVCTL_CTL_PLAN_H
#define PROVCTL_CTL_PLAN_H

#include "cmd.h"

/* Does the file that was given as a site hold a plan? */
bool	 is_plan(const char *path);
/* ctl->watch for an apply of what a plan has, by its keys (a list); tells what it left out: as status says, or RUN_PENDING. */
void	 plan_gate(struct ctl *, const struct value *keys);
int	 plan_gate_end(struct ctl *, int status);
/* provctl apply FILE. Returns an exit code. */
int	 plan_apply(struct ctl *, const char *path);

extern const struct opt_group opts_plan;
extern const struct opt_group *const plan_groups[];	/* with those of check; apply.c */

#endif
