/*
 * dpkg's database of packages, read without dpkg.
 *
 * /var/lib/dpkg/status (and the journal in updates/, where dpkg keeps what it
 * has not merged yet) is parsed once per process and kept until one of them
 * changes; a lookup then costs two stat() calls and a binary search.
 */
#ifndef PROVCTL_MODULE_DPKG_H
#define PROVCTL_MODULE_DPKG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum dpkg_want { DPKG_WANT_UNKNOWN, DPKG_INSTALL, DPKG_HOLD, DPKG_DEINSTALL, DPKG_PURGE };
enum dpkg_state {
	DPKG_NOT_INSTALLED, DPKG_CONFIG_FILES, DPKG_HALF_INSTALLED,
	DPKG_UNPACKED, DPKG_HALF_CONFIGURED, DPKG_TRIGGERS_AWAITED,
	DPKG_TRIGGERS_PENDING, DPKG_INSTALLED
};

struct dpkg_package {
	const char	*name, *arch, *version;	/* version "" when there is none */
	const char	*provides;		/* as in the file, or NULL */
	const char	*source, *section, *priority;	/* or NULL */
	uint32_t	 seq;			/* place in the file: the later entry counts */
	uint8_t		 want, state;
	bool		 reinst;		/* reinstreq */
};

struct dpkg;

/* The database below admindir (NULL: /var/lib/dpkg), cached; NULL with errno when there is none. */
struct dpkg	*dpkg_open(const char *admindir);
/* A database from the text of a status file, for tests; freed by dpkg_free(). */
struct dpkg	*dpkg_parse(const char *text, size_t len);
void		 dpkg_free(struct dpkg *);

/*
 * arch NULL: the native one (or "all"), else a foreign one if that is the only
 * one.  "name:arch" in name is understood.  NULL: never heard of.
 */
const struct dpkg_package *dpkg_find(const struct dpkg *, const char *name,
	    const char *arch);
size_t		 dpkg_count(const struct dpkg *);
const struct dpkg_package *dpkg_at(const struct dpkg *, size_t);	/* sorted by name, arch */
const char	*dpkg_native_arch(const struct dpkg *);	/* "amd64"; "" when unknown */
/* Whether it is there to be used (installed, or waiting for triggers only). */
bool		 dpkg_installed(const struct dpkg_package *);
/* An installed package that provides the name, or NULL. */
const struct dpkg_package *dpkg_provider(const struct dpkg *, const char *name);

/* Versions by the rules of Debian policy (epoch:upstream-revision, ~ before all): <0, 0, >0. */
int		 dpkg_version_compare(const char *, const char *);

#endif
