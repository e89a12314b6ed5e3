/*
 * The text of an Ansible Vault; see vault_text.h.
 *
 *	$ANSIBLE_VAULT;1.1;AES256
 *	hex of:  hex(salt) \n hex(hmac) \n hex(ciphertext)
 *
 * The plaintext is padded (PKCS #7, 16) though CTR needs none.  The HMAC is
 * checked before anything is decrypted, so a wrong password is told apart
 * from a right one with certainty.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "template/vault_text.h"

#define ROUNDS		10000
#define SALT		32
#define SALT_MAX	1024u

static const char header[] = "$ANSIBLE_VAULT;";

struct keys {
	unsigned char	cipher[32], mac[32], iv[16];
};

/* ---- the envelope ---------------------------------------------------------------- */

bool
vault_is(const char *text, size_t len)
{
	return len >= sizeof(header) - 1 &&
	    memcmp(text, header, sizeof(header) - 1) == 0;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes hex in place from p to end, blanks skipped; the length, or -1. */
static ssize_t
unhex(unsigned char *out, const char *p, const char *end)
{
	size_t n = 0;
	int high = -1, d;

	for (; p < end; p++) {
		if (strchr(" \t\r\n", *p) != NULL && *p != '\0')
			continue;
		if ((d = nibble(*p)) == -1)
			return -1;
		if (high == -1)
			high = d;
		else {
			out[n++] = (unsigned char)(high << 4 | d);
			high = -1;
		}
	}
	return high == -1 ? (ssize_t)n : -1;
}

static int
malformed(struct err *err, const char *why)
{
	err_set(err, ERR_INVALID, "malformed vault text: %s", why);
	err_hint(err, "it must be exactly what 'ansible-vault encrypt' wrote, from "
	    "$ANSIBLE_VAULT to its last digit");
	return -1;
}

static int
parse_header(const char *text, size_t len, struct vault_text *e,
    const char **ret_body, struct err *err)
{
	const char *nl = memchr(text, '\n', len), *p, *semi;
	size_t n;
	bool labelled;

	if (!vault_is(text, len))
		return malformed(err, "it does not start with $ANSIBLE_VAULT;");
	if (nl == NULL)
		return malformed(err, "there is nothing below its first line");
	*ret_body = nl + 1;
	while (nl > text && strchr(" \t\r", nl[-1]) != NULL)
		nl--;
	p = text + sizeof(header) - 1;
	labelled = nl - p >= 4 && memcmp(p, "1.2;", 4) == 0;
	if (!labelled && (nl - p < 4 || memcmp(p, "1.1;", 4) != 0))
		return err_set(err, ERR_UNSUPPORTED, "vault format '%.*s': only 1.1 "
		    "and 1.2 are supported", (int)strcspn(p, ";\r\n"), p);
	p += 4;
	semi = memchr(p, ';', (size_t)(nl - p));
	n = (size_t)((semi != NULL ? semi : nl) - p);
	if (n != 6 || memcmp(p, "AES256", 6) != 0)
		return err_set(err, ERR_UNSUPPORTED,
		    "vault cipher '%.*s': only AES256 is supported",
		    n > 40 ? 40 : (int)n, p);
	if (labelled && semi != NULL)
		(void)snprintf(e->id, sizeof(e->id), "%.*s", (int)(nl - semi - 1),
		    semi + 1);
	return 0;
}

int
vault_text_read(const char *text, size_t len, struct vault_text *e, struct err *err)
{
	const char *body;
	unsigned char *outer;
	char *line[3], *end;
	ssize_t n, part[3];

	if (parse_header(text, len, e, &body, err) == -1)
		return -1;
	buf_init(&e->bytes, len);
	if ((outer = (unsigned char *)buf_reserve(&e->bytes, len)) == NULL)
		return malformed(err, "it is too long");
	if ((n = unhex(outer, body, text + len)) <= 0)
		return malformed(err, "its lines are not pairs of hexadecimal digits");
	line[0] = (char *)outer;
	end = line[0] + n;
	for (int i = 1; i < 3; i++) {
		line[i] = memchr(line[i - 1], '\n', (size_t)(end - line[i - 1]));
		if (line[i] == NULL)
			return malformed(err, "it is cut off");
		line[i]++;
	}
	/* decoded in place: always shorter than what it is made from */
	for (int i = 0; i < 3; i++) {
		part[i] = unhex((unsigned char *)line[i], line[i],
		    i < 2 ? line[i + 1] - 1 : end);
		if (part[i] <= 0)
			return malformed(err, "its parts are not hexadecimal digits");
	}
	if (part[0] > (ssize_t)SALT_MAX || part[1] != 32 || part[2] % 16 != 0)
		return malformed(err, "its parts have wrong lengths");
	e->salt = (unsigned char *)line[0];
	e->mac = (unsigned char *)line[1];
	e->text = (unsigned char *)line[2];
	e->nsalt = (size_t)part[0];
	e->ntext = (size_t)part[2];
	return 0;
}

/* ---- the cipher -------------------------------------------------------------------- */

static void
derive(const char *password, size_t plen, const unsigned char *salt, size_t nsalt,
    struct keys *ret)
{
	unsigned char all[80];

	if (PKCS5_PBKDF2_HMAC(password, (int)plen, salt, (int)nsalt, ROUNDS,
	    EVP_sha256(), sizeof(all), all) != 1)
		abort();	/* only out of memory */
	memcpy(ret->cipher, all, 32);
	memcpy(ret->mac, all + 32, 32);
	memcpy(ret->iv, all + 64, 16);
	OPENSSL_cleanse(all, sizeof(all));
}

static bool
mac(const struct keys *k, const unsigned char *text, size_t n,
    unsigned char out[32])
{
	unsigned len = 32;

	return HMAC(EVP_sha256(), k->mac, 32, text, n, out, &len) != NULL;
}

/* CTR works both ways. */
static bool
crypt_ctr(const struct keys *k, const unsigned char *in, size_t n,
    unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;
	bool ok = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL,
	    k->cipher, k->iv) == 1 && EVP_EncryptUpdate(ctx, out, &len, in,
	    (int)n) == 1 && (size_t)len == n;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

int
vault_text_open(const struct vault_text *e, const char *password, size_t plen,
    struct buf *out, struct err *err)
{
	unsigned char have[32], pad;
	struct keys k;
	char *p;
	int rc = 0;

	derive(password, plen, e->salt, e->nsalt, &k);
	if (mac(&k, e->text, e->ntext, have) &&
	    CRYPTO_memcmp(have, e->mac, 32) == 0) {
		rc = 1;
		if ((p = buf_reserve(out, e->ntext)) == NULL)
			rc = err_set(err, ERR_LIMIT,
			    "the decrypted text is too long");
		else if (!crypt_ctr(&k, e->text, e->ntext, (unsigned char *)p))
			rc = err_set(err, ERR_INTERNAL, "decrypting failed");
		else if ((pad = (unsigned char)p[e->ntext - 1]) < 1 || pad > 16)
			rc = malformed(err, "its padding is wrong");
		else
			out->len += e->ntext - pad;
	}
	OPENSSL_cleanse(&k, sizeof(k));
	return rc;
}

static void
add_hex(struct buf *out, const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		buf_addc(out, digits[p[i] >> 4]);
		buf_addc(out, digits[p[i] & 15]);
	}
}

int
vault_text_seal(const char *password, size_t plen, const char *id, const char *given_salt,
    size_t nsalt, const char *text, size_t len, struct buf *out, struct err *err)
{
	CLEANUP_BUF struct buf inner = BUF_INIT, outer = BUF_INIT;
	size_t padded = len - len % 16 + 16;
	const unsigned char *salt = (const unsigned char *)given_salt;
	unsigned char fresh[SALT], digest[32], *p;
	struct keys k;
	bool ok = true;

	if (len > VAULT_SIZE_MAX)
		return err_set(err, ERR_LIMIT, "the text is too long for a vault");
	if (salt == NULL) {
		salt = fresh;
		nsalt = sizeof(fresh);
		ok = RAND_bytes(fresh, sizeof(fresh)) == 1;
	}
	p = xmalloc(padded);
	memcpy(p, text, len);
	memset(p + len, (int)(padded - len), padded - len);
	if (ok) {
		derive(password, plen, salt, nsalt, &k);
		ok = crypt_ctr(&k, p, padded, p) && mac(&k, p, padded, digest);
		OPENSSL_cleanse(&k, sizeof(k));
	}
	if (ok) {
		buf_init(&inner, padded * 2 + nsalt * 2 + 256);
		buf_init(&outer, padded * 4 + nsalt * 4 + 512);
		add_hex(&inner, salt, nsalt);
		buf_addc(&inner, '\n');
		add_hex(&inner, digest, sizeof(digest));
		buf_addc(&inner, '\n');
		add_hex(&inner, p, padded);
		add_hex(&outer, (const unsigned char *)inner.data, inner.len);
		if (id != NULL && *id != '\0' && strcmp(id, "default") != 0)
			buf_addf(out, "%s1.2;AES256;%s\n", header, id);
		else
			buf_addf(out, "%s1.1;AES256\n", header);
		for (size_t i = 0; i < outer.len; i += 80) {
			buf_add(out, outer.data + i,
			    outer.len - i < 80 ? outer.len - i : 80);
			buf_addc(out, '\n');
		}
	} else {
		OPENSSL_cleanse(p, padded);
		err_set(err, ERR_INTERNAL, "encrypting failed");
	}
	free(p);
	return ok ? 0 : -1;
}
