/*
 * Where a secret may be a file for a moment: a directory of our own (0700), in
 * memory where there is a place for that ($XDG_RUNTIME_DIR, /dev/shm).
 */
#ifndef PROVCTL_CTL_PRIVATE_H
#define PROVCTL_CTL_PRIVATE_H

#include "base/arena.h"
#include "base/err.h"

/* Makes one, provctl-NAME-…; its path in the arena. 0, or -1 with err. */
int	 private_dir(struct arena *, const char *name, const char **ret, struct err *);
/* Its files are overwritten, then all of it goes. 0, or -1 with err: "WHAT MAY STILL BE IN …". */
int	 private_dir_remove(const char *path, const char *what, struct err *);

#endif
