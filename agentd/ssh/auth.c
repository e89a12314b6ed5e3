/*
 * Logging in: the given key files, then the agent, then the usual key files of
 * ~/.ssh (when none were given), then the password.  Public keys are offered
 * directly, without asking first what the server takes: one round trip less.
 *
 * What was tried is kept, since "permission denied" alone helps nobody.
 */
#include <sys/stat.h>
#include <errno.h>
#include <string.h>

#include <libssh/callbacks.h>

#include "ssh/session.h"

enum { STEP_KEYS, STEP_AGENT, STEP_USUAL, STEP_PASSWORD, STEP_KBDINT, STEP_END };

const char *const keyfile_usual[] = {
	"id_ed25519", "id_ecdsa", "id_rsa", NULL
};

void
auth_release(struct auth *a)
{
	buf_release(&a->tried);
}

/* ---- key files ----------------------------------------------------------- */

static int
no_passphrase(const char *prompt, char *to, size_t len, int echo, int verify,
    void *arg)
{
	(void)prompt;
	(void)to;
	(void)len;
	(void)echo;
	(void)verify;
	*(bool *)arg = true;
	return -1;
}

void
keyfile_stamp(const char *path, char stamp[KEYFILE_STAMP])
{
	struct stat st;

	if (stat(path, &st) == -1)
		(void)snprintf(stamp, KEYFILE_STAMP, "-");
	else
		(void)snprintf(stamp, KEYFILE_STAMP, "%llu:%llu %lld %lld.%09ld",
		    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
		    (long long)st.st_size, (long long)st.st_ctim.tv_sec,
		    st.st_ctim.tv_nsec);
}

const struct keyfile *
keyfile_get(struct conn_pool *pool, const char *path)
{
	char stamp[KEYFILE_STAMP];
	struct keyfile *k;
	bool encrypted = false;

	keyfile_stamp(path, stamp);
	for (k = pool->keys; k != NULL && strcmp(k->path, path) != 0; k = k->next)
		;
	/* A changed one is beside the old one, which a login under way may have. */
	if (k != NULL && strcmp(k->stamp, stamp) == 0)
		return k;
	k = xcalloc(1, sizeof(*k));
	k->path = xstrdup(path);
	memcpy(k->stamp, stamp, sizeof(stamp));
	k->next = pool->keys;
	pool->keys = k;
	if (access(path, R_OK) != 0)
		k->trouble = errno == ENOENT ? "no such file" : "cannot be read";
	else if (ssh_pki_import_privkey_file(path, NULL, no_passphrase,
	    &encrypted, &k->key) != SSH_OK) {
		k->key = NULL;
		k->trouble = encrypted ? "encrypted: give it to ssh-agent with "
		    "ssh-add" : "no private key that can be read";
	}
	return k;
}

void
keyfiles_free(struct conn_pool *pool)
{
	struct keyfile *k;

	while ((k = pool->keys) != NULL) {
		pool->keys = k->next;
		ssh_key_free(k->key);
		free(k->path);
		free(k);
	}
}

/* ---- the steps ------------------------------------------------------------ */

static void tried(struct auth *, const char *fmt, ...) ATTR_PRINTF(2, 3);

static void
tried(struct auth *a, const char *fmt, ...)
{
	va_list ap;

	if (a->tried.len > 0)
		buf_adds(&a->tried, ", ");
	va_start(ap, fmt);
	buf_vaddf(&a->tried, fmt, ap);
	va_end(ap);
}

/* The path of the next key of this step, or NULL. */
static const char *
key_path(const struct auth *a, const struct conn_spec *spec, struct buf *b)
{
	const char *home;

	if (a->step == STEP_KEYS)
		return spec->keys == NULL ? NULL : spec->keys[a->key];
	home = spec->home != NULL ? spec->home : getenv("HOME");
	if (keyfile_usual[a->key] == NULL || home == NULL)
		return NULL;
	buf_addf(b, "%s/.ssh/%s", home, keyfile_usual[a->key]);
	return buf_str(b);
}

static void
next_step(struct auth *a)
{
	a->step++;
	a->key = 0;
}

static bool
is_closed(ssh_session ssh)
{
	return (ssh_get_status(ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
}

/* What the answer to one attempt means. */
static enum auth_result
judge(struct auth *a, ssh_session ssh, int rc, const char *what, const char *name)
{
	if (rc == SSH_AUTH_SUCCESS)
		return AUTH_OK;
	tried(a, "%s%s (%s)", what, name, rc == SSH_AUTH_PARTIAL ?
	    "accepted, but the host wants more" : "refused");
	return is_closed(ssh) ? AUTH_FAILED : AUTH_NEXT;
}

static enum auth_result
step_key(struct conn_pool *pool, struct auth *a, ssh_session ssh,
    const struct conn_spec *spec)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct keyfile *k;
	const char *path;
	int rc;

	if (a->step == STEP_USUAL && spec->keys != NULL && spec->keys[0] != NULL) {
		next_step(a);
		return AUTH_NEXT;
	}
	if ((path = key_path(a, spec, &b)) == NULL) {
		next_step(a);
		return AUTH_NEXT;
	}
	k = keyfile_get(pool, path);
	if (k->key == NULL) {
		if (a->step == STEP_KEYS || strcmp(k->trouble, "no such file") != 0)
			tried(a, "key %s (%s)", path, k->trouble);
		a->key++;
		return AUTH_NEXT;
	}
	rc = ssh_userauth_publickey(ssh, NULL, k->key);
	if (rc == SSH_AUTH_AGAIN)
		return AUTH_WAIT;
	a->key++;
	return judge(a, ssh, rc, "key ", path);
}

static enum auth_result
step_kbdint(struct auth *a, ssh_session ssh, const struct conn_spec *spec)
{
	int rc, n, i, rounds;

	for (rounds = 0; rounds < 8; rounds++) {
		rc = ssh_userauth_kbdint(ssh, NULL, NULL);
		if (rc != SSH_AUTH_INFO)
			break;
		n = ssh_userauth_kbdint_getnprompts(ssh);
		for (i = 0; i < n; i++)
			(void)ssh_userauth_kbdint_setanswer(ssh, (unsigned)i,
			    spec->password);
	}
	if (rc == SSH_AUTH_AGAIN)
		return AUTH_WAIT;
	next_step(a);
	return judge(a, ssh, rc, "keyboard-interactive", "");
}

static enum auth_result
step_password(struct auth *a, ssh_session ssh, const struct conn_spec *spec)
{
	int rc;

	if (spec->password == NULL) {
		a->step = STEP_END;
		return AUTH_NEXT;
	}
	rc = ssh_userauth_password(ssh, NULL, spec->password);
	if (rc == SSH_AUTH_AGAIN)
		return AUTH_WAIT;
	next_step(a);
	return judge(a, ssh, rc, "password", "");
}

static int
no_way_in(struct auth *a, ssh_session ssh, const struct conn_spec *spec,
    struct err *err)
{
	const char *text = ssh_get_error(ssh);
	bool encrypted, too_many = strstr(text, "Too many") != NULL;

	if (is_closed(ssh) && !too_many)
		return err_set(err, ERR_IO, "%s:%d ended the connection while we "
		    "logged in as '%s': %s", spec->host, spec->port, spec->user,
		    text);

	encrypted = strstr(buf_str(&a->tried), "encrypted:") != NULL;
	(void)err_set(err, ERR_AUTH, "%s:%d lets nobody in as '%s': tried %s%s",
	    spec->host, spec->port, spec->user,
	    a->tried.len > 0 ? buf_str(&a->tried) : "nothing, for want of a key",
	    too_many ?
	    "; it gave up on us after too many attempts" : "");
	if (encrypted)
		err_hint(err, "load the encrypted key into the agent (ssh-add), "
		    "or name another with --key");
	else if (too_many)
		err_hint(err, "name the right key with --key or IdentityFile, so "
		    "that it is offered first");
	else
		err_hint(err, "is the user right (-u), and its public key in "
		    "~%s/.ssh/authorized_keys on the host?", spec->user);
	return -1;
}

enum auth_result
auth_step(struct conn_pool *pool, struct auth *a, ssh_session ssh,
    const struct conn_spec *spec, struct err *err)
{
	enum auth_result r = AUTH_NEXT;

	while (r == AUTH_NEXT) {
		switch (a->step) {
		case STEP_KEYS:
		case STEP_USUAL:
			r = step_key(pool, a, ssh, spec);
			break;
		case STEP_AGENT:
			if (spec->use_agent && (spec->agent != NULL ||
			    getenv("SSH_AUTH_SOCK") != NULL))
				return AUTH_AGENT;
			next_step(a);
			break;
		case STEP_PASSWORD:
			r = step_password(a, ssh, spec);
			break;
		case STEP_KBDINT:
			r = step_kbdint(a, ssh, spec);
			break;
		default:
			r = AUTH_FAILED;
			break;
		}
	}
	/* libssh goes on waiting on a session that was ended. */
	if (r == AUTH_WAIT && is_closed(ssh))
		r = AUTH_FAILED;
	if (r == AUTH_FAILED)
		(void)no_way_in(a, ssh, spec, err);
	return r;
}

/* ---- the agent ------------------------------------------------------------ */

int
auth_agent(ssh_session ssh, int fd)
{
	int rc;

	if (ssh_set_agent_socket(ssh, fd) != SSH_OK)
		return SSH_AUTH_ERROR;
	ssh_set_blocking(ssh, 1);
	rc = ssh_userauth_agent(ssh, NULL);
	ssh_set_blocking(ssh, 0);
	return rc;
}

enum auth_result
auth_agent_done(struct auth *a, ssh_session ssh, int rc)
{
	next_step(a);
	if (rc == SSH_AUTH_ERROR) {
		tried(a, "agent (no keys, or it does not answer)");
		return AUTH_NEXT;
	}
	return judge(a, ssh, rc, "agent", "");
}
