/* Versions of Python's packages (PEP 440), for pip and its tests. */
#ifndef PROVCTL_MODULE_PIP_H
#define PROVCTL_MODULE_PIP_H

#include <stdbool.h>

#include "base/arena.h"

/* <0, 0, >0: dev < a < b < rc < the version < post; 1.0 is 1.0.0. */
int	 pip_version_compare(const char *, const char *);
/* Whether a version fulfils ">=1,!=1.5". */
bool	 pip_version_fits(struct arena *, const char *version, const char *conditions);

#endif
