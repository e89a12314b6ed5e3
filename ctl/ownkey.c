/*
 * The key we log in with, and host keys for machines that do not exist yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include <libssh/libssh.h>

#include "onboard.h"
#include "private.h"

#define KEY_FILE_MAX	((size_t)65536)

/* The first line of a public key file, or NULL. */
static const char *
public_file(struct arena *a, const char *path)
{
	struct buf b = BUF_INIT;
	const char *line = NULL;

	buf_init(&b, KEY_FILE_MAX);
	if (buf_read_file(&b, path) == 0 && b.len > 0)
		line = arena_strndup(a, buf_str(&b), strcspn(buf_str(&b), "\r\n"));
	buf_release(&b);
	return line;
}

static const char *
public_text(struct arena *a, ssh_key key)
{
	char *base64 = NULL;
	const char *text = NULL, *type = ssh_key_type(key) == SSH_KEYTYPE_ECDSA ?
	    ssh_pki_key_ecdsa_name(key) : ssh_key_type_to_char(ssh_key_type(key));

	if (ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK)
		text = arena_printf(a, "%s %s", type, base64);
	ssh_string_free_char(base64);
	return text;
}

/* Never a question: a key with a passphrase has its public half beside it. */
static int
no_passphrase(const char *prompt, char *to, size_t len, int echo, int verify, void *arg)
{
	(void)prompt;
	(void)to;
	(void)len;
	(void)echo;
	(void)verify;
	(void)arg;
	return -1;
}

static int
from_file(struct arena *a, const char *path, struct own_key *ret, struct err *err)
{
	ssh_key key = NULL;

	if (access(path, R_OK) == -1)
		return err_errno(err, "cannot read the key '%s'", path);
	ret->path = path;
	ret->public = public_file(a, arena_printf(a, "%s.pub", path));
	if (ret->public == NULL && ssh_pki_import_privkey_file(path, NULL,
	    no_passphrase, NULL, &key) == SSH_OK) {
		ret->public = public_text(a, key);
		ssh_key_free(key);
	}
	if (ret->public != NULL)
		return 0;
	(void)err_set(err, ERR_USAGE, "'%s' is no private key that can be read", path);
	err_hint(err, "a key with a passphrase needs its public half beside it, %s.pub,"
	    " and ssh-agent", path);
	return -1;
}

int
make_key(struct arena *a, const char **ret_private, const char **ret_public,
    struct err *err)
{
	struct buf b = BUF_INIT;
	struct private_dir dir;
	const char *path;
	ssh_key key = NULL;
	int r = -1;

	/* libssh writes OpenSSH's form to files only. */
	if (private_dir(a, true, &dir, err) == -1)
		return -1;
	path = arena_printf(a, "%s/key", dir.path);
	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) == SSH_OK &&
	    ssh_pki_export_privkey_file(key, NULL, NULL, NULL, path) == SSH_OK &&
	    buf_read_file(&b, path) == 0 &&
	    (*ret_public = public_text(a, key)) != NULL) {
		*ret_private = buf_dup(&b, a);
		r = 0;
	} else
		(void)err_set(err, ERR_IO, "cannot make a key");
	if (b.data != NULL)
		explicit_bzero(b.data, b.cap);
	buf_release(&b);
	ssh_key_free(key);
	return private_dir_remove(&dir, "THE PRIVATE KEY", err) == -1 ? -1 : r;
}

/* Whole or not at all: an interrupted run must not leave half a key. */
static int
write_new(const char *path, const char *text, mode_t mode, struct err *err)
{
	struct arena a = { 0 };
	const char *tmp = arena_printf(&a, "%s.new", path);
	int fd, r = -1;
	size_t n = strlen(text);
	struct stat st;

	/* What root makes in the state folder of agentd's user is for that user to read. */
	if (stat(dirname(arena_strdup(&a, path)), &st) == -1 || geteuid() != 0)
		st = (struct stat){ .st_uid = geteuid(), .st_gid = getegid() };
	(void)unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd == -1 || write(fd, text, n) != (ssize_t)n || fchmod(fd, mode) == -1 ||
	    fchown(fd, st.st_uid, st.st_gid) == -1 || fsync(fd) == -1 || rename(tmp, path) == -1)
		(void)err_errno(err, "cannot write '%s'", path);
	else
		r = 0;
	if (fd != -1)
		(void)close(fd);
	arena_release(&a);
	return r;
}

/* Our own, beside the state database. */
static int
own(struct ctl *ctl, struct own_key *ret, struct err *err)
{
	struct arena *a = &ctl->arena;
	const char *state = ctl->set.state != NULL ? ctl->set.state : state_default_path(a);
	const char *dir = dirname(arena_strdup(a, state)), *private, *public;
	char real[4096];

	if (*dir != '/' && realpath(dir, real) != NULL)
		dir = arena_strdup(a, real);
	ret->path = arena_printf(a, "%s/id_ed25519", dir);
	if (access(ret->path, F_OK) == 0)
		return from_file(a, ret->path, ret, err);
	if (make_key(a, &private, &public, err) == -1)
		return -1;
	public = arena_printf(a, "%s provctl\n", public);
	if (write_new(arena_printf(a, "%s.pub", ret->path), public, 0644, err) == -1 ||
	    write_new(ret->path, private, 0600, err) == -1)
		return -1;
	return from_file(a, ret->path, ret, err);
}

int
own_key(struct ctl *ctl, struct own_key *ret, struct err *err)
{
	static const char *const names[] = { "id_ed25519", "id_ecdsa", "id_rsa" };
	const char *home = getenv("HOME"), *key = ctl->set.key;
	struct arena *a = &ctl->arena;
	char real[4096];
	size_t i;

	*ret = (struct own_key){ 0 };
	if (key != NULL) {
		if (realpath(key, real) == NULL)
			return err_errno(err, "cannot read the key '%s'", key);
		return from_file(a, arena_strdup(a, real), ret, err);
	}
	ret->usual = true;
	for (i = 0; home != NULL && i < NITEMS(names); i++) {
		const char *path = arena_printf(a, "%s/.ssh/%s", home, names[i]);

		/* One with a passphrase and no public half is no use here; another may be. */
		if (from_file(a, path, ret, err) == 0)
			return 0;
		err_release(err);
	}
	ret->usual = false;
	return own(ctl, ret, err);
}
