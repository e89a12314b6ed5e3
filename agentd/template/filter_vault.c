/*
 * The filters vault and unvault: Ansible Vault (formats 1.1 and 1.2, AES256)
 * with a password given in the template.
 *
 *	$ANSIBLE_VAULT;1.2;AES256;ID
 *	hex, 80 characters a line, of "hex(salt)\nhex(hmac)\nhex(ciphertext)"
 *
 * PBKDF2-HMAC-SHA256 with 10,000 rounds gives cipher key, HMAC key and IV; the
 * cipher is AES-256 in counter mode on PKCS#7-padded text.  (inventory/vault.h
 * reads vaults with the passwords of a site; it lies above this layer.)
 */
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/utf8.h"
#include "template/filter_util.h"

#define ROUNDS	10000
#define SALT	32
#define BLOCK	16

struct keys {
	unsigned char	 cipher[32], hmac[32], iv[BLOCK];
};

static void
put_hex(struct buf *b, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		buf_addf(b, "%02x", p[i]);
}

/* Hex digits up to the end, newlines skipped; false for anything else. */
static bool
get_hex(struct buf *b, const char *s, size_t len)
{
	int high = -1, d;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\n' || s[i] == '\r')
			continue;
		d = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) >= 'a' &&
		    (s[i] | 0x20) <= 'f' ? (s[i] | 0x20) - 'a' + 10 : -1;
		if (d < 0)
			return false;
		if (high < 0)
			high = d;
		else {
			buf_addc(b, (char)(unsigned char)(high << 4 | d));
			high = -1;
		}
	}
	return high < 0;
}

static bool
derive(const char *password, size_t plen, const unsigned char *salt, size_t slen, struct keys *k)
{
	unsigned char out[sizeof(k->cipher) + sizeof(k->hmac) + sizeof(k->iv)];

	if (PKCS5_PBKDF2_HMAC(password, (int)plen, salt, (int)slen, ROUNDS, EVP_sha256(),
	    (int)sizeof(out), out) != 1)
		return false;
	memcpy(k->cipher, out, sizeof(k->cipher));
	memcpy(k->hmac, out + sizeof(k->cipher), sizeof(k->hmac));
	memcpy(k->iv, out + sizeof(k->cipher) + sizeof(k->hmac), sizeof(k->iv));
	OPENSSL_cleanse(out, sizeof(out));
	return true;
}

/* Counter mode: the same both ways. */
static bool
cipher(const struct keys *k, const void *in, size_t len, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *p = (unsigned char *)buf_reserve(out, len + BLOCK);
	int n = 0, m = 0;
	bool ok;

	ok = ctx != NULL && p != NULL && len < INT32_MAX &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, k->cipher, k->iv) == 1 &&
	    EVP_EncryptUpdate(ctx, p, &n, in, (int)len) == 1 &&
	    EVP_EncryptFinal_ex(ctx, p + n, &m) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		out->len += (size_t)(n + m);
	return ok;
}

/* The arguments of both: password, and the text to work on. */
static bool
vault_args(struct tcall *c, const char *what, const char **secret, size_t *slen,
    const char **text, size_t *len)
{
	if (c->a[0] == NULL || c->a[0]->type != V_STR) {
		terr(c, ERR_TYPE, "Secret passed is required to be a string, instead we got %s.",
		    c->a[0] != NULL ? tmpl_py_type(c->a[0]) : "nothing");
		return false;
	}
	if (c->in->type != V_STR) {
		terr(c, ERR_TYPE, "%s, instead we got %s.", what, tmpl_py_type(c->in));
		return false;
	}
	*secret = c->a[0]->u.s;
	*slen = c->a[0]->len;
	*text = c->in->u.s;
	*len = c->in->len;
	return true;
}

/* vault(secret, salt, vault_id, wrap_object, vaultid) */
static const struct value *
f_vault(struct tcall *c)
{
	CLEANUP_BUF struct buf padded = BUF_INIT, secret = BUF_INIT, inner = BUF_INIT, hex = BUF_INIT;
	struct buf out = BUF_INIT;
	unsigned char salt[SALT], mac[EVP_MAX_MD_SIZE];
	const char *password, *text, *id, *given = NULL;
	size_t plen, len, ilen, glen = SALT;
	struct keys k;
	unsigned mlen, pad;

	if (!vault_args(c, "Can only vault strings", &password, &plen, &text, &len) ||
	    !targ_str(c, 2, "filter_default", &id, &ilen) ||
	    (fu_given(c, 1) && !fu_str(c, c->a[1], &given, &glen)))
		return NULL;
	if (given == NULL) {
		if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
			return err_errno(c->err, "vault: random salt"), NULL;
		given = (const char *)salt;
		glen = SALT;
	}
	pad = BLOCK - (unsigned)(len % BLOCK);
	buf_add(&padded, text, len);
	for (unsigned i = 0; i < pad; i++)
		buf_addc(&padded, (char)pad);
	if (!derive(password, plen, (const unsigned char *)given, glen, &k) ||
	    !cipher(&k, padded.data, padded.len, &secret) ||
	    HMAC(EVP_sha256(), k.hmac, sizeof(k.hmac), (const unsigned char *)secret.data,
	    secret.len, mac, &mlen) == NULL)
		return terr(c, ERR_VALUE, "Unable to encrypt.");
	OPENSSL_cleanse(&k, sizeof(k));
	put_hex(&inner, given, glen);
	buf_addc(&inner, '\n');
	put_hex(&inner, mac, mlen);
	buf_addc(&inner, '\n');
	put_hex(&inner, secret.data, secret.len);
	put_hex(&hex, inner.data, inner.len);
	if (ilen == 0 || strcmp(id, "default") == 0)
		buf_adds(&out, "$ANSIBLE_VAULT;1.1;AES256\n");
	else
		buf_addf(&out, "$ANSIBLE_VAULT;1.2;AES256;%s\n", id);
	for (size_t i = 0; i < hex.len; i += 80) {
		buf_add(&out, hex.data + i, hex.len - i < 80 ? hex.len - i : 80);
		buf_addc(&out, '\n');
	}
	return fu_result(c, &out);
}

/* Salt, HMAC and ciphertext of a vault's body, each as bytes. */
static bool
take_apart(const struct buf *body, struct buf parts[3])
{
	const char *s = body->data, *end = s + body->len, *nl;

	for (int i = 0; i < 3; i++) {
		nl = i < 2 ? memchr(s, '\n', (size_t)(end - s)) : end;
		if (nl == NULL || !get_hex(&parts[i], s, (size_t)(nl - s)))
			return false;
		s = nl + 1;
	}
	return parts[1].len == 32 && parts[2].len > 0 && parts[2].len % BLOCK == 0;
}

static bool
decrypt(const char *password, size_t plen, struct buf parts[3], struct buf *plain)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct keys k;
	unsigned mlen, pad;

	if (!derive(password, plen, (const unsigned char *)parts[0].data, parts[0].len, &k) ||
	    HMAC(EVP_sha256(), k.hmac, sizeof(k.hmac), (const unsigned char *)parts[2].data,
	    parts[2].len, mac, &mlen) == NULL || mlen != parts[1].len ||
	    CRYPTO_memcmp(mac, parts[1].data, mlen) != 0 ||
	    !cipher(&k, parts[2].data, parts[2].len, plain))
		return false;
	OPENSSL_cleanse(&k, sizeof(k));
	pad = (unsigned char)plain->data[plain->len - 1];
	if (pad < 1 || pad > BLOCK || pad > plain->len)
		return false;
	plain->len -= pad;
	return true;
}

/* unvault(secret, vault_id, vaultid): what is no vault stays as it is. */
static const struct value *
f_unvault(struct tcall *c)
{
	static const char header[] = "$ANSIBLE_VAULT";
	CLEANUP_BUF struct buf body = BUF_INIT, plain = BUF_INIT, clean = BUF_INIT;
	struct buf parts[3] = { BUF_INIT, BUF_INIT, BUF_INIT };
	const char *password, *text, *nl;
	size_t plen, len;
	bool ok;

	if (!vault_args(c, "Vault should be in the form of a string", &password, &plen, &text, &len))
		return NULL;
	if (len < sizeof(header) - 1 || memcmp(text, header, sizeof(header) - 1) != 0)
		return c->in;
	nl = memchr(text, '\n', len);
	ok = nl != NULL && memmem(text, (size_t)(nl - text), ";AES256", 7) != NULL &&
	    get_hex(&body, nl + 1, (size_t)(text + len - nl - 1)) && body.len > 0 &&
	    take_apart(&body, parts) && decrypt(password, plen, parts, &plain);
	for (int i = 0; i < 3; i++)
		buf_release(&parts[i]);
	if (!ok)
		return terr(c, ERR_AUTH, "Unable to decrypt: wrong password, or no vault");
	utf8_clean(&clean, plain.len > 0 ? plain.data : "", plain.len);
	return v_flag(c->arena, fu_strn(c, buf_str(&clean), clean.len), V_SECRET);
}

static const struct tfilter filters[] = {
	{ "unvault", "secret,vault_id,vaultid", 0, f_unvault },
	{ "vault", "secret,salt,vault_id,wrap_object,vaultid", 0, f_vault },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_vault = { filters, NULL };
