/*
 * What stat and find tell about a file, with Ansible's keys.
 */
#ifndef PROVCTL_MODULE_STAT_H
#define PROVCTL_MODULE_STAT_H

#include <sys/stat.h>

#include "module/module.h"

/* path, mode, isdir … xoth, pw_name, gr_name into a map. */
void	 stat_facts(struct mod *, struct value *map, const char *path,
	    const struct stat *);

#endif
