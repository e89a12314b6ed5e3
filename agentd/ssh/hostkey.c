/*
 * Host keys: compared with our own store through the spec's callbacks, never
 * with libssh's known_hosts.
 *
 * A host whose key is not in the store is refused unless new ones are to be
 * pinned; a host that has a key in the store and shows another one is always
 * refused.  Whatever goes wrong in here refuses, too.
 */
#include <string.h>

#include "ssh/session.h"

#define KEYS_MAX	16

/* Types of keys in the order we like them, with the algorithms to ask for. */
static const struct {
	const char	*type;
	const char	*algorithms;
} types[] = {
	{ "ssh-ed25519", "ssh-ed25519" },
	{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256" },
	{ "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384" },
	{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521" },
	{ "ssh-rsa", "rsa-sha2-512,rsa-sha2-256" },
};

static uint32_t
known(const struct conn_spec *spec, const char *keys[KEYS_MAX], int *failed)
{
	uint32_t n = 0;

	*failed = 0;
	if (spec->known_keys != NULL && spec->known_keys(spec->keys_arg,
	    spec->host, spec->port, keys, KEYS_MAX, &n) != 0)
		*failed = 1;
	return n > KEYS_MAX ? KEYS_MAX : n;
}

/* "type base64" and perhaps a comment. */
static bool
has_type(const char *key, const char *type)
{
	size_t n = strlen(type);

	return strncmp(key, type, n) == 0 && key[n] == ' ';
}

static bool
same_key(const char *key, const char *type, const char *base64)
{
	const char *s = key + strlen(type) + 1;
	size_t n = strlen(base64);

	return has_type(key, type) && strncmp(s, base64, n) == 0 &&
	    (s[n] == '\0' || s[n] == ' ' || s[n] == '\n');
}

void
hostkey_prefer(ssh_session ssh, const struct conn_spec *spec)
{
	CLEANUP_BUF struct buf list = BUF_INIT;
	const char *keys[KEYS_MAX];
	bool have;
	int failed, pass;
	uint32_t nkeys = known(spec, keys, &failed), k;
	size_t i;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < NITEMS(types); i++) {
			for (k = 0, have = false; k < nkeys; k++)
				have |= has_type(keys[k], types[i].type);
			if (have == (pass == 0))
				buf_addf(&list, "%s%s", list.len > 0 ? "," : "",
				    types[i].algorithms);
		}
	(void)ssh_options_set(ssh, SSH_OPTIONS_HOSTKEYS, buf_str(&list));
}

static void
fingerprint(ssh_key key, struct buf *out)
{
	unsigned char *hash = NULL;
	char *text = NULL;
	size_t n;

	if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &n) == 0)
		text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, n);
	buf_adds(out, text != NULL ? text : "?");
	ssh_string_free_char(text);
	ssh_clean_pubkey_hash(&hash);
}

static int
compare(const struct conn_spec *spec, const char *type, const char *base64,
    const char *print, struct err *err)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	const char *keys[KEYS_MAX];
	int failed;
	uint32_t n = known(spec, keys, &failed), i;

	if (failed)
		return err_set(err, ERR_HOSTKEY, "the pinned keys of %s:%d "
		    "cannot be read", spec->host, spec->port);
	for (i = 0; i < n; i++)
		if (same_key(keys[i], type, base64))
			return 0;
	if (n > 0) {
		(void)err_set(err, ERR_HOSTKEY, "the host key of %s:%d has "
		    "changed: it shows %s %s, which is not the one pinned",
		    spec->host, spec->port, type, print);
		err_hint(err, "somebody may be answering in the host's place, or "
		    "the host was installed anew; compare with the output of "
		    "`ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's "
		    "console before you forget the pinned key "
		    "(`provctl keys forget %s:%d`)",
		    strcmp(type, "ssh-rsa") == 0 ? "rsa" :
		    strcmp(type, "ssh-ed25519") == 0 ? "ed25519" : "ecdsa",
		    spec->host, spec->port);
		return -1;
	}
	if (!spec->accept_new_host_keys || spec->pin_key == NULL) {
		(void)err_set(err, ERR_HOSTKEY, "the host key of %s:%d is not "
		    "known: it shows %s %s", spec->host, spec->port, type, print);
		err_hint(err, "compare it with the host's own, then run once with "
		    "--accept-new-host-keys to pin it");
		return -1;
	}
	buf_addf(&line, "%s %s", type, base64);
	if (spec->pin_key(spec->keys_arg, spec->host, spec->port,
	    buf_str(&line), err) != 0)
		return err_wrap(err, "cannot pin the host key of %s:%d",
		    spec->host, spec->port);
	return 0;
}

int
hostkey_check(ssh_session ssh, const struct conn_spec *spec, struct err *err)
{
	CLEANUP_BUF struct buf print = BUF_INIT, line = BUF_INIT;
	ssh_key key = NULL;
	char *base64 = NULL;
	const char *type = NULL;
	int status;

	if (ssh_get_server_publickey(ssh, &key) == SSH_OK) {
		type = ssh_key_type(key) == SSH_KEYTYPE_ECDSA ?
		    ssh_pki_key_ecdsa_name(key) :
		    ssh_key_type_to_char(ssh_key_type(key));
		(void)ssh_pki_export_pubkey_base64(key, &base64);
	}
	if (type == NULL || base64 == NULL) {
		status = err_set(err, ERR_HOSTKEY,
		    "the host key of %s:%d cannot be read", spec->host, spec->port);
	} else {
		fingerprint(key, &print);
		status = compare(spec, type, base64, buf_str(&print), err);
		buf_addf(&line, "%s %s", type, base64);
		if (status == 0 && spec->seen_key != NULL)
			spec->seen_key(spec->keys_arg, spec->host, spec->port,
			    buf_str(&line));
	}
	ssh_string_free_char(base64);
	ssh_key_free(key);
	return status;
}
