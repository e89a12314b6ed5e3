/*
 * Secrets at rest: what a run was asked with and made from may hold passwords,
 * so it is stored encrypted, with a key that is not in the database.
 *
 * The key is PATH.key beside the database (0600, made when first needed):
 * 32 bytes for AES-256-GCM, 32 for names of contents (HMAC-SHA-256: the hash of a
 * short secret alone would tell it).  A backup of the database without it
 * keeps the history, but not the sites and options of its runs.
 */
#include <sys/random.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "state/private.h"

#define NONCE	12
#define TAG	16
#define HALF	32

struct seal {
	unsigned char	cipher[HALF], name[HALF];
};

static const char hex[] = "0123456789abcdef";

/* ---- the key ----------------------------------------------------------------------- */

static int
key_read(const char *path, struct seal *key, struct err *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;	/* the caller looks at errno */
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 ||
	    st.st_size != (off_t)sizeof(*key) ||
	    read(fd, key, sizeof(*key)) != (ssize_t)sizeof(*key)) {
		(void)err_set(err, ERR_INVALID, "'%s' is no key of ours, or others may read it",
		    path);
		err_hint(err, "it is a file of %zu bytes with mode 0600 that belongs to the database; restore it from a backup, or move it away (older runs can then not be resumed)",
		    sizeof(*key));
		errno = 0;
		return -1;
	}
	return 0;
}

/* Complete under its name, or not there: two programs may begin at once. */
static int
key_make(const char *path, struct err *err)
{
	struct arena a = { 0 };
	const char *temp = arena_printf(&a, "%s.%lld", path, (long long)getpid());
	struct seal key;
	int fd, r = -1;

	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key) ||
	    write(fd, &key, sizeof(key)) != (ssize_t)sizeof(key) ||
	    fsync(fd) == -1 || (link(temp, path) == -1 && errno != EEXIST))
		(void)err_errno(err, "cannot make the key '%s'", path);
	else
		r = 0;
	explicit_bzero(&key, sizeof(key));
	if (fd != -1) {
		(void)close(fd);
		(void)unlink(temp);
	}
	arena_release(&a);
	return r;
}

static const struct seal *
key_of(struct state *s, struct err *err)
{
	struct arena a = { 0 };
	const char *path = arena_printf(&a, "%s.key", s->db.path);
	struct seal *key;
	int r;

	if (s->seal != NULL) {
		arena_release(&a);
		return s->seal;
	}
	key = xcalloc(1, sizeof(*key));
	r = key_read(path, key, err);
	if (r == -1 && errno == ENOENT && s->writer != NULL &&
	    (r = key_make(path, err)) == 0)
		r = key_read(path, key, err);
	if (r == 0)
		s->seal = key;
	else {
		if (err->code == ERR_NONE)
			(void)err_errno(err, "cannot read the key '%s'", path);
		free(key);
	}
	arena_release(&a);
	return s->seal;
}

void
seal_free(struct seal *key)
{
	if (key != NULL)
		explicit_bzero(key, sizeof(*key));
	free(key);
}

/* ---- encryption ---------------------------------------------------------------------- */

int
seal(struct state *s, const void *in, size_t n, void *out, struct err *err)
{
	const struct seal *key = key_of(s, err);
	unsigned char *p = out;
	EVP_CIPHER_CTX *ctx;
	int len, more;
	bool ok;

	if (key == NULL)
		return -1;
	if (n > INT32_MAX / 2)
		return err_set(err, ERR_LIMIT, "%zu bytes are too much to be stored", n);
	if (getrandom(p, NONCE, 0) != NONCE)
		return err_errno(err, "no random numbers");
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		abort();	/* out of memory */
	ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->cipher, p) == 1 &&
	    EVP_EncryptUpdate(ctx, p + NONCE, &len, in, (int)n) == 1 &&
	    EVP_EncryptFinal_ex(ctx, p + NONCE + len, &more) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, p + NONCE + n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : err_set(err, ERR_INTERNAL, "libcrypto cannot encrypt");
}

int
unseal(struct state *s, const void *in, size_t n, void *out, struct err *err)
{
	const struct seal *key = key_of(s, err);
	const unsigned char *p = in;
	unsigned char tag[TAG];
	EVP_CIPHER_CTX *ctx;
	int len, more;
	bool ok;

	if (key == NULL)
		return -1;
	if (n < SEAL_EXTRA || n > INT32_MAX / 2)
		return err_set(err, ERR_INVALID, "what is stored is damaged");
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		abort();	/* out of memory */
	n -= SEAL_EXTRA;
	memcpy(tag, p + NONCE + n, TAG);
	ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->cipher, p) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &len, p + NONCE, (int)n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, (unsigned char *)out + len, &more) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		return 0;
	(void)err_set(err, ERR_INVALID, "what is stored was encrypted with another key, or is damaged");
	err_hint(err, "the key is the file '%s.key'; restore it together with the database",
	    s->db.path);
	return -1;
}

int
seal_name(struct state *s, const void *data, size_t n, char out[65], struct err *err)
{
	const struct seal *key = key_of(s, err);
	unsigned char digest[32];
	unsigned len = sizeof(digest);
	size_t i;

	if (key == NULL)
		return -1;
	if (HMAC(EVP_sha256(), key->name, HALF, data, n, digest, &len) == NULL)
		return err_set(err, ERR_INTERNAL, "libcrypto cannot hash");
	for (i = 0; i < sizeof(digest); i++) {
		out[i * 2] = hex[digest[i] >> 4];
		out[i * 2 + 1] = hex[digest[i] & 15];
	}
	out[64] = '\0';
	return 0;
}

/* ---- as text ---------------------------------------------------------------------------- */

const char *
seal_text(struct state *s, struct arena *a, const void *data, size_t n, struct err *err)
{
	unsigned char *raw = xmalloc(n + SEAL_EXTRA);
	char *text = NULL;
	size_t i;

	if (seal(s, data, n, raw, err) == 0) {
		text = arena_alloc(a, (n + SEAL_EXTRA) * 2 + 1);
		for (i = 0; i < n + SEAL_EXTRA; i++) {
			text[i * 2] = hex[raw[i] >> 4];
			text[i * 2 + 1] = hex[raw[i] & 15];
		}
		text[i * 2] = '\0';
	}
	free(raw);
	return text;
}

const char *
unseal_text(struct state *s, struct arena *a, const char *text, struct err *err)
{
	size_t n = strlen(text) / 2, i;
	unsigned char *raw = xmalloc(n + 1);
	char *plain = NULL;

	for (i = 0; i < n; i++) {
		const char *hi = strchr(hex, text[i * 2]);
		const char *lo = strchr(hex, text[i * 2 + 1]);

		if (hi == NULL || lo == NULL)
			break;
		raw[i] = (unsigned char)((hi - hex) << 4 | (lo - hex));
	}
	if (i < n || n < SEAL_EXTRA)
		(void)err_set(err, ERR_INVALID, "what is stored is damaged");
	else {
		plain = arena_alloc(a, n + 1);
		if (unseal(s, raw, n, plain, err) == 0)
			plain[n - SEAL_EXTRA] = '\0';
		else
			plain = NULL;
	}
	free(raw);
	return plain;
}
