/* Vault texts. The key derivation is slow: inputs that get so far are few. */
#include <stdlib.h>

#include "inventory/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct vault *v = vault_new();

	vault_add(v, "dev", "secret");
	if (vault_decrypt(v, (const char *)data, size, &out, &err) == -1 &&
	    (err.code == ERR_NONE || out.len != 0))
		abort();
	vault_free(v);
	return 0;
}
