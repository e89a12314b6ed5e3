/*
 * ~/.ssh/config as far as it says where a host is and who to be there:
 * Host (patterns, negation), HostName, User, Port, IdentityFile,
 * IdentitiesOnly, ProxyJump, Include; other keywords are ignored, Match other
 * than `all` ends what we understand and is noted.  First value wins.
 */
#ifndef PROVCTL_INVENTORY_SSHCONF_H
#define PROVCTL_INVENTORY_SSHCONF_H

#include "base/err.h"

struct sshconf;

struct sshconf_host {
	const char	*hostname, *user, *jump;	/* NULL: not said */
	int		 port;				/* 0: not said */
	const char	*identity[8];			/* expanded, NULL-terminated when fewer */
	bool		 identities_only;
};

/* A missing file is an empty configuration. */
struct sshconf	*sshconf_load(struct arena *, const char *path, struct diags *);
/* %h %% and ~ expanded. */
void		 sshconf_get(const struct sshconf *, struct arena *, const char *host,
		    struct sshconf_host *ret);

#endif
