/*
 * SHA-256 (FIPS 180-4), for content addresses: small, portable, also in the
 * executor.  Other digests are the modules' and filters' business.
 */
#ifndef PROVCTL_BASE_DIGEST_H
#define PROVCTL_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN	32
#define SHA256_HEX	65	/* with the NUL */

struct sha256 {
	uint32_t	 h[8];
	uint64_t	 total;
	unsigned char	 block[64];
	size_t		 fill;
};

void	 sha256_init(struct sha256 *);
void	 sha256_add(struct sha256 *, const void *, size_t);
void	 sha256_end(struct sha256 *, unsigned char out[SHA256_LEN]);
void	 sha256_hex(const unsigned char digest[SHA256_LEN], char out[SHA256_HEX]);
void	 sha256_text(const void *, size_t, char out[SHA256_HEX]);
/* 0, or -1 with errno. Reads from the current position to the end. */
int	 sha256_fd(int fd, char out[SHA256_HEX]);

#endif
