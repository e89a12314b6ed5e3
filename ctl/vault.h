/*
 * Between `provctl vault` and its editing of plaintext in a file of its own.
 */
#ifndef PROVCTL_CTL_VAULT_H
#define PROVCTL_CTL_VAULT_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Lets the person change a text: name is the file's (editors go by its end).
 * 1: changed, the new text is in `after`; 0: not changed; -1 with err.  What
 * was on the disk is gone in any case.
 */
int	 vault_edit(const char *name, const struct buf *before, struct buf *after, struct err *);

#endif
