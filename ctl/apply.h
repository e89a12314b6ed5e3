/*
 * Running a site that is loaded, for commands that do more than that.
 */
#ifndef PROVCTL_CTL_APPLY_H
#define PROVCTL_CTL_APPLY_H

#include "load.h"

/*
 * A variable (bool) of hosts in the state database that were onboarded or set
 * by hand: what is known of them is not overwritten by runs with other
 * inventories.
 */
#define KEPT_VAR	"provctl_kept"

/* Runs l->site as ctl->set says, recorded in l->state. Returns an exit code. */
int	 apply_loaded(struct load *, const char *become_password);
/* A password that is to be asked for, or in a file's first line; *ret is untouched when neither. 0, or -1 with diags. */
int	 get_password(struct ctl *, bool asked, const char *file, const char *what,
	    const char *instead, const char **ret);
const char *ssh_config_path(struct arena *);

#endif
