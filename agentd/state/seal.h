/*
 * Secrets at rest: encryption and keyed hashes with the key that stands beside
 * the database (NAME.key, made when first needed).
 */
#ifndef PROVCTL_STATE_SEAL_H
#define PROVCTL_STATE_SEAL_H

#include "state/state.h"

#define SEAL_EXTRA	28	/* bytes: nonce and tag */
#define SEAL_NAME	65	/* with the NUL */

/* Encrypts n bytes into out, which has room for SEAL_EXTRA more. 0, or -1 with err. */
int		 seal(struct state *, const void *, size_t n, void *out, struct err *);
/* The reverse; n counts the extra bytes. Not made with this key, or changed since: -1 with err. */
int		 unseal(struct state *, const void *, size_t n, void *out, struct err *);
/* The same to and from hexadecimal text in the arena. NULL with err. */
const char	*seal_text(struct state *, struct arena *, const void *, size_t n, struct err *);
const char	*unseal_text(struct state *, struct arena *, const char *, struct err *);
/* A name for a content that does not tell what it is without the key: HMAC-SHA-256. */
int		 seal_name(struct state *, const void *, size_t n, char out[SEAL_NAME], struct err *);

#endif
