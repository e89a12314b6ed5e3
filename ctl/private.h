/*
 * Files that are there only for a moment: a directory of our own (0700).
 *
 * It is locked (flock) as long as we live, so who is killed leaves one that is
 * known as such; each later use, and each run, removes what is left.
 */
#ifndef PROVCTL_CTL_PRIVATE_H
#define PROVCTL_CTL_PRIVATE_H

#include "base/arena.h"
#include "base/err.h"

struct private_dir {
	const char	*path;	/* NULL: none */
	int		 fd;
};

/*
 * Makes one; its path in the arena.  secret: in memory where there is a place
 * for that ($XDG_RUNTIME_DIR, /dev/shm).  0, or -1 with err.
 */
int	 private_dir(struct arena *, bool secret, struct private_dir *ret, struct err *);
/* All of it goes, files directly in it overwritten first. 0, or -1 with err: "WHAT MAY STILL BE IN …". No-op when there is none. */
int	 private_dir_remove(struct private_dir *, const char *what, struct err *);
/* Removes those whose owners were killed. */
void	 private_dirs_sweep(void);

#endif
