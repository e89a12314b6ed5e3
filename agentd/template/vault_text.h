/*
 * The text of an Ansible Vault, formats 1.1 and 1.2 (AES256):
 * PBKDF2-HMAC-SHA256 with 10,000 rounds to cipher key, HMAC key and IV;
 * AES-256-CTR; HMAC-SHA256 over the ciphertext; hex of hex.  Source: Ansible's
 * documentation of the format.  Which password fits is inventory/vault.h's business.
 */
#ifndef PROVCTL_TEMPLATE_VAULT_TEXT_H
#define PROVCTL_TEMPLATE_VAULT_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#define VAULT_SIZE_MAX	((size_t)32 * 1024 * 1024)	/* of what is encrypted */

/* What a vault text consists of; the pieces are in `bytes`. */
struct vault_text {
	char		 id[128];	/* of 1.2, else empty */
	struct buf	 bytes;		/* the caller releases it, also after an error */
	const unsigned char *salt, *mac, *text;
	size_t		 nsalt, ntext;
};

bool	 vault_is(const char *text, size_t len);	/* starts with $ANSIBLE_VAULT; */
/* Takes a text apart; *ret must be zeroed. 0, or -1 with err. */
int	 vault_text_read(const char *text, size_t len, struct vault_text *ret, struct err *);
/* 1: decrypted (appended to out), 0: not this password, -1 with err. */
int	 vault_text_open(const struct vault_text *, const char *password, size_t plen,
	    struct buf *out, struct err *);
/* Appends a vault text. id: NULL, "" and "default" give format 1.1. salt: NULL for a random one. 0, or -1 with err. */
int	 vault_text_seal(const char *password, size_t plen, const char *id, const char *salt,
	    size_t nsalt, const char *text, size_t len, struct buf *out, struct err *);

#endif
