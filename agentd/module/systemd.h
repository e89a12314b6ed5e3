/* Systemd, for the modules that ask it something. */
#ifndef PROVCTL_MODULE_SYSTEMD_H
#define PROVCTL_MODULE_SYSTEMD_H

#include "module/module.h"

/* NAME=value lines, as `systemctl show` prints them, as a map. */
const struct value *systemd_properties(struct arena *, const char *, size_t);
/* A name that may stand on systemctl's command line: no blanks, no wildcards, no leading '-'. */
bool	 systemd_unit_valid(const char *);

/*
 * The simple ones among a unit's properties, by systemd's private socket. NULL:
 * not to be had (not root, no systemd), systemctl may know more.
 */
const struct value *systemd_bus_show(struct arena *, const char *unit);
/* When the manager last read its units, monotonic microseconds. false: not to be had. */
bool	 systemd_bus_loaded(struct arena *, int64_t *ret_usec);
/* The a{sv} at a message's offset, for tests; NULL when it is none. */
struct value *systemd_bus_properties(struct arena *, const char *, size_t len, size_t at);

#endif
