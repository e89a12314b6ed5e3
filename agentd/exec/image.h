/*
 * The executor's program file, embedded in the controller (library
 * `executor`).  ssh/conn.h declares executor_image() for its users; this is
 * the full list of what there is.
 */
#ifndef PROVCTL_EXEC_IMAGE_H
#define PROVCTL_EXEC_IMAGE_H

#include <stddef.h>

/* The bytes for a machine type ("x86_64"); NULL: none for it. */
const void	*executor_image(const char *arch, size_t *ret_len, const char **ret_sha256);
/*
 * Its BLAKE2b-256 (hex): as good as SHA-256, and b2sum, which Debian's hosts
 * have, needs a third of the time for it.  NULL: no image.
 */
const char	*executor_blake2(const char *arch);
/* The machine types there is one for, as `uname -m` names them; ended by NULL. */
extern const char *const executor_archs[];

#endif
