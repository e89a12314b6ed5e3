/*
 * Base64 (RFC 4648), for modules.
 */
#ifndef PROVCTL_MODULE_BASE64_H
#define PROVCTL_MODULE_BASE64_H

#include "base/buf.h"

void	 base64_encode(struct buf *, const void *, size_t);
/* White space is passed over. 0, or -1 when it is no Base64. */
int	 base64_decode(struct buf *, const char *, size_t);

#endif
