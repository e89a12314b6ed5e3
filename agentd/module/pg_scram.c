/*
 * Passwords as PostgreSQL stores them: SCRAM-SHA-256 verifiers (RFC 5802,
 * RFC 7677) and the old md5.
 *
 *	SCRAM-SHA-256$4096:salt$StoredKey:ServerKey	(Base64)
 *	md5 + hex(md5(password + user))
 *
 * With these a password is compared without being changed, and a new one
 * reaches the server only as a verifier.  The password's bytes are taken as
 * they are (SASLprep changes only what is no ASCII, and seldom that).
 */
#include <sys/random.h>
#include <string.h>

#include "base/digest.h"
#include "module/base64.h"
#include "module/hash.h"
#include "module/pg.h"

#define SCRAM		"SCRAM-SHA-256$"
#define ITERATIONS	4096
#define ITERATIONS_MAX	1000000
#define SALT_LEN	16
#define SALT_MAX	1024

/* An HMAC with its key's two blocks already taken in. */
struct hmac {
	struct sha256	 inner, outer;
};

static void
hmac_init(struct hmac *h, const void *key, size_t n)
{
	unsigned char block[64] = { 0 }, digest[SHA256_LEN];
	struct sha256 s;
	size_t i;

	if (n > sizeof(block)) {
		sha256_init(&s);
		sha256_add(&s, key, n);
		sha256_end(&s, digest);
		memcpy(block, digest, sizeof(digest));
	} else
		memcpy(block, key, n);
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36;
	sha256_init(&h->inner);
	sha256_add(&h->inner, block, sizeof(block));
	for (i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_init(&h->outer);
	sha256_add(&h->outer, block, sizeof(block));
}

static void
hmac(const struct hmac *h, const void *data, size_t n, const void *more,
    size_t nmore, unsigned char out[SHA256_LEN])
{
	struct sha256 s = h->inner;

	sha256_add(&s, data, n);
	if (nmore > 0)
		sha256_add(&s, more, nmore);
	sha256_end(&s, out);
	s = h->outer;
	sha256_add(&s, out, SHA256_LEN);
	sha256_end(&s, out);
}

static void
salted_password(const char *password, const unsigned char *salt, size_t nsalt,
    int iterations, unsigned char out[SHA256_LEN])
{
	static const unsigned char one[4] = { 0, 0, 0, 1 };
	unsigned char u[SHA256_LEN];
	struct hmac h;
	int i, k;

	hmac_init(&h, password, strlen(password));
	hmac(&h, salt, nsalt, one, sizeof(one), u);
	memcpy(out, u, SHA256_LEN);
	for (i = 1; i < iterations; i++) {
		hmac(&h, u, sizeof(u), NULL, 0, u);
		for (k = 0; k < SHA256_LEN; k++)
			out[k] ^= u[k];
	}
}

static void
scram_keys(const unsigned char salted[SHA256_LEN],
    unsigned char stored[SHA256_LEN], unsigned char server[SHA256_LEN])
{
	unsigned char client[SHA256_LEN];
	struct sha256 s;
	struct hmac h;

	hmac_init(&h, salted, SHA256_LEN);
	hmac(&h, "Client Key", 10, NULL, 0, client);
	sha256_init(&s);
	sha256_add(&s, client, sizeof(client));
	sha256_end(&s, stored);
	hmac(&h, "Server Key", 10, NULL, 0, server);
}

/* SCRAM-SHA-256$4096:salt$stored:server */
static bool
scram_matches(const char *text, const char *password)
{
	CLEANUP_BUF struct buf salt = BUF_INIT, key = BUF_INIT;
	unsigned char salted[SHA256_LEN], stored[SHA256_LEN], server[SHA256_LEN];
	const char *colon, *dollar, *colon2;
	long iterations;
	char *end;

	text += strlen(SCRAM);
	iterations = strtol(text, &end, 10);
	colon = end;
	if (*colon != ':' || iterations < 1 || iterations > ITERATIONS_MAX)
		return false;
	dollar = strchr(colon, '$');
	colon2 = dollar == NULL ? NULL : strchr(dollar, ':');
	if (colon2 == NULL ||
	    base64_decode(&salt, colon + 1, (size_t)(dollar - colon - 1)) == -1 ||
	    base64_decode(&key, colon2 + 1, strlen(colon2 + 1)) == -1 ||
	    key.len != SHA256_LEN || salt.len == 0 || salt.len > SALT_MAX)
		return false;
	salted_password(password, (const unsigned char *)salt.data, salt.len,
	    (int)iterations, salted);
	scram_keys(salted, stored, server);
	return memcmp(server, key.data, SHA256_LEN) == 0;
}

static void
md5_text(const char *user, const char *password, char out[HASH_HEX_MAX])
{
	struct hash h;

	hash_init(&h, HASH_MD5);
	hash_add(&h, password, strlen(password));
	hash_add(&h, user, strlen(user));
	hash_end(&h, out);
}

bool
pg_password_is_hash(const char *s)
{
	if (strncmp(s, SCRAM, strlen(SCRAM)) == 0)
		return true;
	return strncmp(s, "md5", 3) == 0 && strlen(s) == 35 &&
	    strspn(s + 3, "0123456789abcdef") == 32;
}

bool
pg_password_matches(const char *stored, const char *user, const char *password)
{
	char hex[HASH_HEX_MAX];

	if (pg_password_is_hash(password))
		return strcmp(stored, password) == 0;
	if (strncmp(stored, SCRAM, strlen(SCRAM)) == 0)
		return scram_matches(stored, password);
	if (strncmp(stored, "md5", 3) != 0)
		return false;
	md5_text(user, password, hex);
	return strcmp(stored + 3, hex) == 0;
}

const char *
pg_password_hash(struct arena *arena, const char *user, const char *password,
    bool scram)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	unsigned char salt[SALT_LEN], salted[SHA256_LEN], stored[SHA256_LEN];
	unsigned char server[SHA256_LEN];
	char hex[HASH_HEX_MAX];

	if (!scram) {
		md5_text(user, password, hex);
		return arena_printf(arena, "md5%s", hex);
	}
	if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return NULL;
	salted_password(password, salt, sizeof(salt), ITERATIONS, salted);
	scram_keys(salted, stored, server);
	buf_addf(&b, SCRAM "%d:", ITERATIONS);
	base64_encode(&b, salt, sizeof(salt));
	buf_addc(&b, '$');
	base64_encode(&b, stored, sizeof(stored));
	buf_addc(&b, ':');
	base64_encode(&b, server, sizeof(server));
	return buf_dup(&b, arena);
}
