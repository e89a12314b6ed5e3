/*
 * Ansible Vault, formats 1.1 and 1.2 (AES256): PBKDF2-HMAC-SHA256 with 10,000
 * rounds to cipher key, HMAC key and IV; AES-256-CTR; HMAC-SHA256 over the
 * ciphertext; hex of hex.  Source: Ansible's documentation of the format.
 */
#ifndef PROVCTL_INVENTORY_VAULT_H
#define PROVCTL_INVENTORY_VAULT_H

#include "base/buf.h"
#include "base/err.h"

struct vault;

struct vault	*vault_new(void);
void		 vault_free(struct vault *);	/* wipes the passwords; NULL allowed */
/* A password for an id (NULL: any). The text is copied. */
void		 vault_add(struct vault *, const char *id, const char *password);
/*
 * --vault-id / --vault-password-file: [ID@]FILE; an executable file is run and
 * its output taken (NAME-client is called with --vault-id ID, as by Ansible);
 * [ID@]prompt asks on the terminal.
 */
int		 vault_add_file(struct vault *, const char *spec, struct err *);
bool		 vault_is(const char *text, size_t len);	/* starts with $ANSIBLE_VAULT; */
/* Matches struct yaml_opts.decrypt, arg = struct vault. */
int		 vault_decrypt(void *vault, const char *text, size_t len,
		    struct buf *out, struct err *);
int		 vault_encrypt(struct vault *, const char *id, const char *text,
		    size_t len, struct buf *out, struct err *);

#endif
