/*
 * --list-hosts, --list-tasks, --list-tags: a site without running it.
 */
#ifndef PROVCTL_CTL_OUTLINE_H
#define PROVCTL_CTL_OUTLINE_H

#include "load.h"

int	 outline(struct load *);
/* Warns of tags of --tags and --skip-tags that no task has; not where tasks are included on the way. */
void	 outline_tags(struct load *);

#endif
