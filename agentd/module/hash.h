/*
 * Digests that modules offer as checksums: md5, sha1, sha224, sha256, sha384,
 * sha512.  Own and small: the executor has no libcrypto.  (SHA-256 itself is
 * base/digest.h's.)
 */
#ifndef PROVCTL_MODULE_HASH_H
#define PROVCTL_MODULE_HASH_H

#include <stdbool.h>

#include "base/digest.h"

enum hash_kind {
	HASH_MD5, HASH_SHA1, HASH_SHA224, HASH_SHA256, HASH_SHA384, HASH_SHA512
};

#define HASH_HEX_MAX	129	/* of sha512, with the NUL */

struct hash {
	enum hash_kind	 kind;
	uint64_t	 total;		/* bytes */
	size_t		 fill;
	unsigned char	 block[128];
	union {
		uint32_t	 w[5];	/* md5, sha1 */
		uint64_t	 d[8];	/* sha384, sha512 */
		struct sha256	 s;	/* sha224, sha256 */
	} u;
};

/* "sha1", "SHA-256" …: false when unknown. */
bool	 hash_find(const char *name, enum hash_kind *ret);
void	 hash_init(struct hash *, enum hash_kind);
void	 hash_add(struct hash *, const void *, size_t);
void	 hash_end(struct hash *, char hex[HASH_HEX_MAX]);
void	 hash_text(enum hash_kind, const void *, size_t, char hex[HASH_HEX_MAX]);
/* From the current position to the end. 0, or -1 with errno. */
int	 hash_fd(int fd, enum hash_kind, char hex[HASH_HEX_MAX]);
/* A regular file; never waits on a FIFO. 0, or -1 with errno. */
int	 hash_file(const char *path, enum hash_kind, char hex[HASH_HEX_MAX]);

#endif
