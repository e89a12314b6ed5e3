/*
 * Ansible Vault; see vault.h for the format.
 *
 *	$ANSIBLE_VAULT;1.1;AES256
 *	hex of:  hex(salt) \n hex(hmac) \n hex(ciphertext)
 *
 * The plaintext is padded (PKCS #7, 16) though CTR needs none.  The HMAC is
 * checked before anything is decrypted, so a wrong password is told apart
 * from a right one with certainty.  Passwords are wiped when they go.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "inventory/inv.h"
#include "inventory/vault.h"

#define ROUNDS		10000
#define SALT_MAX	1024u
#define PASSWORD_MAX	((size_t)64 * 1024)
#define SCRIPT_TIMEOUT	120000

static const char header[] = "$ANSIBLE_VAULT;";

struct secret {
	char		*id;		/* NULL: any */
	char		*password;
	size_t		 len;
	struct secret	*next;
};

struct vault {
	struct secret	*secrets, **tail;
};

/* What a vault text consists of; the pieces are in `bytes`. */
struct envelope {
	char		 id[128];	/* of 1.2, else empty */
	struct buf	 bytes;
	const unsigned char *salt, *mac, *text;
	size_t		 nsalt, nmac, ntext;
};

struct keys {
	unsigned char	cipher[32], mac[32], iv[16];
};

struct vault *
vault_new(void)
{
	struct vault *v = xcalloc(1, sizeof(*v));

	v->tail = &v->secrets;
	return v;
}

void
vault_free(struct vault *v)
{
	struct secret *s, *next;

	if (v == NULL)
		return;
	for (s = v->secrets; s != NULL; s = next) {
		next = s->next;
		OPENSSL_cleanse(s->password, s->len);
		free(s->password);
		free(s->id);
		free(s);
	}
	free(v);
}

void
vault_add(struct vault *v, const char *id, const char *password)
{
	struct secret *s = xcalloc(1, sizeof(*s));

	s->id = id != NULL ? xstrdup(id) : NULL;
	s->password = xstrdup(password);
	s->len = strlen(password);
	*v->tail = s;
	v->tail = &s->next;
}

/* ---- passwords from files, programs and people --------------------------------- */

static void
wipe(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_release(b);
}

static int
ask(const char *id, struct buf *out, struct err *err)
{
	CLEANUP_CLOSE int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct termios old, quiet;
	char c;

	if (fd == -1 || tcgetattr(fd, &old) == -1) {
		err_set(err, ERR_USAGE, "there is no terminal to ask for the vault "
		    "password '%s'", id);
		err_hint(err, "give a file: --vault-id %s@FILE", id);
		return -1;
	}
	dprintf(fd, "Vault password (%s): ", id);
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)(ECHO);
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	while (read(fd, &c, 1) == 1 && c != '\n')
		buf_addc(out, c);
	(void)tcsetattr(fd, TCSAFLUSH, &old);
	dprintf(fd, "\n");
	return 0;
}

/* A program whose name ends with -client is told which id is wanted. */
static int
run_program(const char *path, const char *id, struct buf *out, struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	size_t n = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
	bool client = n > 7 && memcmp(name + n - 7, "-client", 7) == 0;
	const char *argv[] = { path, client ? "--vault-id" : NULL,
	    id != NULL ? id : "default", NULL };
	struct child c = { .argv = argv, .timeout_ms = SCRIPT_TIMEOUT,
	    .terminal = true, .out = out };

	if (child_run(&c, err) == -1)
		return err_wrap(err, "vault password");
	if (c.status != 0) {
		err_set(err, ERR_AUTH,
		    "the vault password program '%s' failed with status %d", path,
		    c.status);
		if (c.stderr_tail[0] != '\0')
			err_hint(err, "it said: %s", c.stderr_tail);
		return -1;
	}
	return 0;
}

static int
read_password(const char *path, const char *id, struct buf *out, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return err_errno(err, "cannot read the vault password file '%s'",
		    path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, ERR_IO,
		    "the vault password file '%s' is a directory", path);
	if (access(path, X_OK) == 0)
		return run_program(path, id, out, err);
	if (buf_read_file(out, path) == -1)
		return err_errno(err, "cannot read the vault password file '%s'",
		    path);
	return 0;
}

int
vault_add_file(struct vault *v, const char *spec, struct err *err)
{
	const char *at = strchr(spec, '@'), *path = at != NULL ? at + 1 : spec;
	CLEANUP_FREE char *id = at != NULL && at != spec ?
	    strndup(spec, (size_t)(at - spec)) : NULL;
	struct buf out = BUF_INIT;
	size_t start = 0;
	int rc;

	buf_init(&out, PASSWORD_MAX);
	if (strcmp(path, "prompt") == 0 || strcmp(path, "prompt_ask_vault_pass") == 0)
		rc = ask(id != NULL ? id : "default", &out, err);
	else
		rc = read_password(path, id, &out, err);
	if (rc == 0 && buf_overflowed(&out))
		rc = err_set(err, ERR_LIMIT, "the vault password of '%s' is longer "
		    "than %zu KiB", path, PASSWORD_MAX / 1024);
	if (rc == 0) {
		(void)buf_str(&out);
		while (out.len > 0 && strchr(" \t\r\n", out.data[out.len - 1]) != NULL)
			out.data[--out.len] = '\0';
		while (start < out.len && strchr(" \t\r\n", out.data[start]) != NULL)
			start++;
		if (start == out.len || strlen(out.data) != out.len)
			rc = err_set(err, ERR_INVALID, start == out.len ?
			    "the vault password from '%s' is empty" :
			    "the vault password from '%s' holds a NUL byte", path);
		else
			vault_add(v, id, out.data + start);
	}
	wipe(&out);
	return rc;
}

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
parse_header(const char *text, size_t len, struct envelope *e,
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

static int
open_envelope(const char *text, size_t len, struct envelope *e, struct err *err)
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
	e->nmac = (size_t)part[1];
	e->ntext = (size_t)part[2];
	return 0;
}

/* ---- the cipher -------------------------------------------------------------------- */

static void
derive(const struct secret *s, const unsigned char *salt, size_t nsalt,
    struct keys *ret)
{
	unsigned char all[80];

	if (PKCS5_PBKDF2_HMAC(s->password, (int)s->len, salt, (int)nsalt, ROUNDS,
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

/* 1: decrypted, 0: not this password, -1 with err. */
static int
try_secret(const struct secret *s, const struct envelope *e, struct buf *out,
    struct err *err)
{
	unsigned char have[32], pad;
	struct keys k;
	char *p;
	int rc = 0;

	derive(s, e->salt, e->nsalt, &k);
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

int
vault_decrypt(void *arg, const char *text, size_t len, struct buf *out,
    struct err *err)
{
	struct vault *v = arg;
	struct envelope e = { 0 };
	bool match, known = false;
	int rc = 0;

	if (len > YAML_SIZE_MAX * 4)
		return err_set(err, ERR_LIMIT, "the vault text is too long");
	if (v == NULL || v->secrets == NULL) {
		err_set(err, ERR_AUTH, "there is no vault password");
		err_hint(err, "give it by --vault-password-file FILE or "
		    "--vault-id ID@FILE");
		return -1;
	}
	if (open_envelope(text, len, &e, err) == -1)
		rc = -1;
	/* those with the id of the text first, then all others, as Ansible */
	for (int pass = 0; pass < 2 && rc == 0; pass++)
		for (struct secret *s = v->secrets; s != NULL && rc == 0;
		    s = s->next) {
			match = e.id[0] != '\0' && s->id != NULL &&
			    strcmp(s->id, e.id) == 0;
			known |= match;
			if (match == (pass == 0))
				rc = try_secret(s, &e, out, err);
		}
	if (rc == 0) {
		rc = err_set(err, ERR_AUTH, v->secrets->next == NULL ?
		    "the vault password is wrong" :
		    "none of the vault passwords is right");
		if (e.id[0] != '\0' && !known)
			err_hint(err, "it was encrypted with the vault id '%s': give "
			    "its password by --vault-id %s@FILE", e.id, e.id);
	}
	buf_release(&e.bytes);
	return rc == 1 ? 0 : -1;
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

static const struct secret *
secret_for(const struct vault *v, const char *id)
{
	const struct secret *s;

	for (s = v->secrets; s != NULL; s = s->next)
		if (id == NULL || (s->id != NULL && strcmp(s->id, id) == 0))
			return s;
	return NULL;
}

int
vault_encrypt(struct vault *v, const char *id, const char *text, size_t len,
    struct buf *out, struct err *err)
{
	const struct secret *s = secret_for(v, id);
	CLEANUP_BUF struct buf inner = BUF_INIT, outer = BUF_INIT;
	size_t padded = len - len % 16 + 16;
	unsigned char salt[32], digest[32], *p;
	struct keys k;
	bool ok;

	if (s == NULL)
		return err_set(err, ERR_AUTH, id != NULL ?
		    "there is no password for the vault id '%s'" :
		    "there is no vault password", id);
	if (len > YAML_SIZE_MAX)
		return err_set(err, ERR_LIMIT, "the text is too long for a vault");
	p = xmalloc(padded);
	memcpy(p, text, len);
	memset(p + len, (int)(padded - len), padded - len);
	ok = RAND_bytes(salt, sizeof(salt)) == 1;
	if (ok) {
		derive(s, salt, sizeof(salt), &k);
		ok = crypt_ctr(&k, p, padded, p) && mac(&k, p, padded, digest);
		OPENSSL_cleanse(&k, sizeof(k));
	}
	if (ok) {
		buf_init(&inner, padded * 2 + 256);
		buf_init(&outer, padded * 4 + 512);
		add_hex(&inner, salt, sizeof(salt));
		buf_addc(&inner, '\n');
		add_hex(&inner, digest, sizeof(digest));
		buf_addc(&inner, '\n');
		add_hex(&inner, p, padded);
		add_hex(&outer, (const unsigned char *)inner.data, inner.len);
		if (id != NULL && strcmp(id, "default") != 0)
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
