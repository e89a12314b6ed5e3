/*
 * --list-hosts, --list-tasks, --list-tags: a site without running it.
 */
#ifndef PROVCTL_CTL_OUTLINE_H
#define PROVCTL_CTL_OUTLINE_H

#include "load.h"

int	 outline(struct load *);

#endif
