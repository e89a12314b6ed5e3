/*
 * Hashes of passwords as passlib writes them, and random characters; for the
 * filter password_hash and the lookup password.
 */
#ifndef PROVCTL_TEMPLATE_PASSWORD_H
#define PROVCTL_TEMPLATE_PASSWORD_H

#include "base/buf.h"
#include "base/err.h"

#define PASSWORD_ROUNDS_MAX	5000000

struct password_opts {
	const char	*salt;		/* NULL or "": random */
	const char	*ident;		/* of bcrypt: 2b, 2a, 2y; NULL: 2b */
	int64_t		 salt_size;	/* of a random salt; 0: the most there can be */
	int64_t		 rounds;	/* 0: as Ansible */
};

/* type: md5, blowfish (or bcrypt), sha256, sha512, also with _crypt. Appends the hash. 0, or -1 with err. */
int	 password_crypt(const char *password, const char *type,
	    const struct password_opts *, struct buf *, struct err *);
/* Would these options do? 0, or -1 with err. */
int	 password_check(const char *type, const struct password_opts *, struct err *);
/* Appends n characters drawn from the first nchars (at most 256) of a string. */
void	 random_chars(struct buf *, const char *chars, size_t nchars, size_t n);

#endif
