/*
 * Vault passwords, by id, and what they encrypt (the format: template/vault_text.h).
 */
#ifndef PROVCTL_INVENTORY_VAULT_H
#define PROVCTL_INVENTORY_VAULT_H

#include "template/vault_text.h"

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
/* Matches struct yaml_opts.decrypt, arg = struct vault. */
int		 vault_decrypt(void *vault, const char *text, size_t len,
		    struct buf *out, struct err *);
/* id NULL: with the only password there is, under its id; "default": one without an id. */
int		 vault_encrypt(struct vault *, const char *id, const char *text,
		    size_t len, struct buf *out, struct err *);

/* Encrypts with the password that fits another vault text, under that one's id. */
int		 vault_encrypt_like(struct vault *, const char *like, size_t nlike,
		    const char *text, size_t len, struct buf *out, struct err *);

#endif
