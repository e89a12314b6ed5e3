/*
 * Comparison of version numbers, as Ansible's `version` test and
 * community.general's version_sort do it: distutils' LooseVersion and
 * StrictVersion, semantic versions, Python's PEP 440.  Numbers may have any
 * size.
 */
#ifndef PROVCTL_TEMPLATE_VERSION_H
#define PROVCTL_TEMPLATE_VERSION_H

#include "base/arena.h"
#include "base/err.h"

enum version_kind { VERSION_LOOSE, VERSION_STRICT, VERSION_SEMVER, VERSION_PEP440 };

/* 0 and *ret <0, 0, >0; -1 with err: no version of that kind, or parts that have no order. */
int	 version_compare(struct arena *, enum version_kind, const char *a, size_t alen,
	    const char *b, size_t blen, int *ret, struct err *);

#endif
