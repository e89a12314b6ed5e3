/*
 * Who can change a file?
 *
 * What is read from a site says what is done as root on all its hosts.  So it
 * must not be possible for just anybody on the controller to write it.
 */
#ifndef PROVCTL_BASE_TRUST_H
#define PROVCTL_BASE_TRUST_H

#include "base/err.h"

#define TRUST_ENV	"PROVCTL_ALLOW_WRITABLE"

/*
 * 0 unless everybody can change what the path leads to: the file (or
 * directory) itself, or one of the directories above it, is writable by
 * others.  In a directory with the sticky bit (/tmp) what belongs to root or to us is
 * safe.  Groups are trusted, as are files that are no regular ones (pipes) and
 * those that do not exist.  -1 with err (or NULL).  With PROVCTL_ALLOW_WRITABLE=1 in
 * the environment it is always 0: for file systems without modes.
 */
int	 path_trusted(const char *path, struct err *err);

#endif
