/*
 * The passwords of vaults: where they come from, and which one fits.  They are
 * wiped when they go.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include <openssl/crypto.h>

#include "base/trust.h"
#include "inventory/inv.h"
#include "inventory/vault.h"

#define PASSWORD_MAX	((size_t)64 * 1024)
#define SCRIPT_TIMEOUT	120000

struct secret {
	char		*id;		/* NULL: any */
	char		*password;
	size_t		 len;
	struct secret	*next;
};

struct vault {
	struct secret	*secrets, **tail;
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
	if (path_trusted(path, err) == -1)
		return -1;
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
	const char *home = getenv("HOME");
	CLEANUP_FREE char *whole = NULL;
	CLEANUP_FREE char *id = at != NULL && at != spec ?
	    strndup(spec, (size_t)(at - spec)) : NULL;
	struct buf out = BUF_INIT;
	size_t start = 0;
	int rc;

	if (strncmp(path, "~/", 2) == 0 && home != NULL) {
		if (asprintf(&whole, "%s%s", home, path + 1) == -1)
			abort();	/* out of memory */
		path = whole;
	}
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

/* ---- texts ------------------------------------------------------------------------ */

/* The secret that fits, its text in out; NULL with err. */
static const struct secret *
find_secret(const struct vault *v, const char *text, size_t len, struct vault_text *e,
    struct buf *out, struct err *err)
{
	bool match, known = false;

	if (len > VAULT_SIZE_MAX * 5) {
		(void)err_set(err, ERR_LIMIT, "the vault text is too long");
		return NULL;
	}
	if (v == NULL || v->secrets == NULL) {
		(void)err_set(err, ERR_AUTH, "there is no vault password");
		err_hint(err, "give it by --vault-password-file FILE or "
		    "--vault-id ID@FILE");
		return NULL;
	}
	if (vault_text_read(text, len, e, err) == -1)
		return NULL;
	/* those with the id of the text first, then all others, as Ansible */
	for (int pass = 0; pass < 2; pass++)
		for (const struct secret *s = v->secrets; s != NULL; s = s->next) {
			match = e->id[0] != '\0' && s->id != NULL &&
			    strcmp(s->id, e->id) == 0;
			known |= match;
			if (match != (pass == 0))
				continue;
			switch (vault_text_open(e, s->password, s->len, out, err)) {
			case 1:
				return s;
			case -1:
				return NULL;
			}
		}
	(void)err_set(err, ERR_AUTH, v->secrets->next == NULL ?
	    "the vault password is wrong" : "none of the vault passwords is right");
	if (e->id[0] != '\0' && !known)
		err_hint(err, "it was encrypted with the vault id '%s': give "
		    "its password by --vault-id %s@FILE", e->id, e->id);
	return NULL;
}

int
vault_decrypt(void *arg, const char *text, size_t len, struct buf *out,
    struct err *err)
{
	struct vault_text e = { .bytes = BUF_INIT };
	const struct secret *s = find_secret(arg, text, len, &e, out, err);

	buf_release(&e.bytes);
	return s != NULL ? 0 : -1;
}

int
vault_encrypt_like(struct vault *v, const char *like, size_t nlike, const char *text,
    size_t len, struct buf *out, struct err *err)
{
	CLEANUP_BUF struct buf old = BUF_INIT;
	struct vault_text e = { .bytes = BUF_INIT };
	const struct secret *s = find_secret(v, like, nlike, &e, &old, err);
	int r = s == NULL ? -1 : vault_text_seal(s->password, s->len, e.id, NULL, 0, text,
	    len, out, err);

	buf_release(&e.bytes);
	if (old.data != NULL)
		OPENSSL_cleanse(old.data, old.cap);
	return r;
}

/* NULL with err. */
static const struct secret *
secret_for(const struct vault *v, const char *id, struct err *err)
{
	const struct secret *s;

	if (v->secrets == NULL) {
		(void)err_set(err, ERR_AUTH, "there is no vault password");
		err_hint(err, "give it by --vault-password-file FILE, --vault-id ID@FILE or -J");
		return NULL;
	}
	if (id == NULL && v->secrets->next == NULL)
		return v->secrets;
	if (id == NULL) {
		(void)err_set(err, ERR_USAGE, "there are several vault passwords");
		err_hint(err, "say with --encrypt-vault-id ID which one is to be used "
		    "('default': the one without an id)");
		return NULL;
	}
	for (s = v->secrets; s != NULL; s = s->next)
		if (strcmp(s->id != NULL ? s->id : "default", id) == 0)
			return s;
	(void)err_set(err, ERR_AUTH, "there is no password for the vault id '%s'", id);
	err_hint(err, "give it by --vault-id %s@FILE", id);
	return NULL;
}

int
vault_encrypt(struct vault *v, const char *id, const char *text, size_t len,
    struct buf *out, struct err *err)
{
	const struct secret *s = secret_for(v, id, err);

	return s == NULL ? -1 : vault_text_seal(s->password, s->len, s->id, NULL, 0, text,
	    len, out, err);
}
