/* Systemd, for the modules that ask it something. */
#ifndef PROVCTL_MODULE_SYSTEMD_H
#define PROVCTL_MODULE_SYSTEMD_H

#include "module/module.h"

/* NAME=value lines, as `systemctl show` prints them, as a map. */
const struct value *systemd_properties(struct arena *, const char *, size_t);
/* A name that may stand on systemctl's command line: no blanks, no wildcards, no leading '-'. */
bool	 systemd_unit_valid(const char *);

#endif
