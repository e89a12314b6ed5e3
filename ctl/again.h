/*
 * A run once more, as it was asked for; again.c.
 */
#ifndef PROVCTL_CTL_AGAIN_H
#define PROVCTL_CTL_AGAIN_H

#include "cmd.h"

/* "h1,h2": a pattern of these hosts (list of names) and no others. */
const char	*hosts_pattern(struct arena *, const struct value *hosts);
/*
 * Goes to the directory of a run and lays its options (state_run_options())
 * over ctl->set, of which only what concerns output stays. NULL with diags, or
 * the site.
 */
const char	*settings_of_run(struct ctl *, int64_t run, const struct value *options);
/* ctl->watch for an apply that only corrects drift; drift.c. */
void		 drift_gate(struct ctl *);

#endif
