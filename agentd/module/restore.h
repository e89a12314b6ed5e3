/* Putting back what keep.h has kept. */
#ifndef PROVCTL_MODULE_RESTORE_H
#define PROVCTL_MODULE_RESTORE_H

#include "module/module.h"

/* Makes the path what it was (a map of keep_look()), through mod_change. 0; 1: it is left alone, `refused` in the result says why; -1 after mod_fail. */
int	 restore_path(struct mod *, const char *path, const struct value *was);

#endif
