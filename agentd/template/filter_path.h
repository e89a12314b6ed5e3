/*
 * Paths, for filters, tests and lookups that look at the controller's files.
 */
#ifndef PROVCTL_TEMPLATE_FILTER_PATH_H
#define PROVCTL_TEMPLATE_FILTER_PATH_H

#include "template/filter.h"

/* A relative path below the playbook's directory; absolute ones as they are. */
const char	*path_from_basedir(struct tcall *, const char *path);
/* False with an error where templates may not look at files at all. */
bool		 path_may_read(struct tcall *);
/* Appends os.path.normpath() of the path. */
void		 path_normal(struct buf *, const char *, size_t);
/* Adds the regular files that match, each without its first strip bytes. */
bool		 path_glob(struct tcall *, const char *pattern, size_t strip, struct value *out);

#endif
