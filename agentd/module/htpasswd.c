/*
 * htpasswd: a user in a password file for basic authentication (nginx, Apache).
 *
 * A line is NAME:HASH.  Whether the password is right already is found out
 * with whatever scheme the hash was made by; a new one is made by crypt_scheme.
 * Hashes never stand in a diff.
 */
#include <sys/random.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module/base64.h"
#include "module/edit.h"
#include "module/hash.h"

#define END		{ .name = NULL }
#define NAME_MAX_	255
#define APR1		"$apr1$"
#define APR1_SALT	8

static const char alphabet[] =
	"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* How new hashes are made. salt 0: no crypt(3). */
static const struct scheme {
	const char	*names[3];
	const char	*prefix;
	size_t		 salt;
} schemes[] = {
	{ { "apr_md5_crypt", "portable_apache22" }, APR1, APR1_SALT },
	{ { "bcrypt", "portable_apache24", "portable" }, "$2y$12$", 22 },
	{ { "des_crypt" }, "", 2 },
	{ { "ldap_sha1" }, "{SHA}", 0 },
	{ { "md5_crypt" }, "$1$", 8 },
	{ { "plaintext" }, "", 0 },
	{ { "sha256_crypt" }, "$5$rounds=535000$", 16 },
	{ { "sha512_crypt" }, "$6$rounds=656000$", 16 },
};

static const struct scheme *
find_scheme(const char *name)
{
	size_t i, k;

	for (i = 0; i < NITEMS(schemes); i++)
		for (k = 0; k < 3 && schemes[i].names[k] != NULL; k++)
			if (strcmp(schemes[i].names[k], name) == 0)
				return &schemes[i];
	return NULL;
}

/* ---- Apache's MD5 ----------------------------------------------------------- */

static void
md5_end(struct hash *h, unsigned char out[16])
{
	char hex[HASH_HEX_MAX];
	unsigned v;
	int i;

	hash_end(h, hex);
	for (i = 0; i < 16; i++) {
		(void)sscanf(hex + 2 * i, "%2x", &v);
		out[i] = (unsigned char)v;
	}
}

static void
put64(struct buf *b, unsigned v, int n)
{
	for (; n > 0; n--, v >>= 6)
		buf_addc(b, alphabet[v & 0x3f]);
}

/* As crypt(3)'s $1$, with another mark. */
static void
apr1(struct buf *b, const char *password, const char *salt, size_t nsalt)
{
	static const unsigned char order[][3] = { { 0, 6, 12 }, { 1, 7, 13 },
		{ 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 } };
	size_t len = strlen(password), i;
	unsigned char d[16];
	struct hash h;

	hash_init(&h, HASH_MD5);
	hash_add(&h, password, len);
	hash_add(&h, salt, nsalt);
	hash_add(&h, password, len);
	md5_end(&h, d);
	hash_init(&h, HASH_MD5);
	hash_add(&h, password, len);
	hash_add(&h, APR1, sizeof(APR1) - 1);
	hash_add(&h, salt, nsalt);
	for (i = len; i > 0; i -= i > 16 ? 16 : i)
		hash_add(&h, d, i > 16 ? 16 : i);
	for (i = len; i > 0; i >>= 1)
		hash_add(&h, i & 1 ? "" : password, 1);
	md5_end(&h, d);
	for (i = 0; i < 1000; i++) {
		hash_init(&h, HASH_MD5);
		hash_add(&h, i & 1 ? (const void *)password : d, i & 1 ? len : 16);
		if (i % 3 != 0)
			hash_add(&h, salt, nsalt);
		if (i % 7 != 0)
			hash_add(&h, password, len);
		hash_add(&h, i & 1 ? (const void *)d : password, i & 1 ? 16 : len);
		md5_end(&h, d);
	}
	buf_adds(b, APR1);
	buf_add(b, salt, nsalt);
	buf_addc(b, '$');
	for (i = 0; i < NITEMS(order); i++)
		put64(b, (unsigned)d[order[i][0]] << 16 |
		    (unsigned)d[order[i][1]] << 8 | d[order[i][2]], 4);
	put64(b, d[11], 2);
}

/* ---- hashes ------------------------------------------------------------------- */

/* Appends crypt(3)'s answer. 0, or -1: this C library does not know the scheme. */
static int
crypt_add(struct buf *b, const char *password, const char *setting)
{
	const char *out = crypt(password, setting);

	if (out == NULL || *out == '*')
		return -1;
	buf_adds(b, out);
	return 0;
}

static void
sha1(struct buf *b, const char *password)
{
	char hex[HASH_HEX_MAX];
	unsigned char d[20];
	unsigned v;
	int i;

	hash_text(HASH_SHA1, password, strlen(password), hex);
	for (i = 0; i < 20; i++) {
		(void)sscanf(hex + 2 * i, "%2x", &v);
		d[i] = (unsigned char)v;
	}
	buf_adds(b, "{SHA}");
	base64_encode(b, d, sizeof(d));
}

static bool
is_des(const char *hash)
{
	return strlen(hash) == 13 && strspn(hash, alphabet) == 13;
}

/* Is this the hash of the password, whoever made it? */
static bool
verify(const char *hash, const char *password)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_FREE char *setting = NULL;
	const char *salt;

	if (strncmp(hash, APR1, sizeof(APR1) - 1) == 0) {
		salt = hash + sizeof(APR1) - 1;
		apr1(&b, password, salt, strcspn(salt, "$") > APR1_SALT ?
		    APR1_SALT : strcspn(salt, "$"));
	} else if (strncmp(hash, "{SHA}", 5) == 0)
		sha1(&b, password);
	else if (*hash == '$' || is_des(hash)) {
		/* $2b$ and $2y$ are the same; not every C library knows both. */
		setting = xstrdup(hash);
		if (strncmp(setting, "$2b$", 4) == 0)
			setting[2] = 'y';
		if (crypt_add(&b, password, setting) == -1)
			return false;
		return strcmp(buf_str(&b), setting) == 0;
	} else
		buf_adds(&b, password);
	return strcmp(buf_str(&b), hash) == 0;
}

static int
make(struct mod *m, const struct scheme *s, const char *password, struct buf *b)
{
	CLEANUP_BUF struct buf setting = BUF_INIT;
	unsigned char r[32];
	size_t i;

	if (strcmp(s->names[0], "plaintext") == 0) {
		buf_adds(b, password);
		return 0;
	}
	if (strcmp(s->names[0], "ldap_sha1") == 0) {
		sha1(b, password);
		return 0;
	}
	if (getrandom(r, s->salt, 0) != (ssize_t)s->salt)
		return mod_fail_errno(m, "cannot get random numbers");
	buf_adds(&setting, s->prefix);
	for (i = 0; i < s->salt; i++)
		/* bcrypt's last character has two bits only */
		buf_addc(&setting, alphabet[r[i] & (s->salt == 22 && i == 21 ? 0x30 : 0x3f)]);
	if (strcmp(s->prefix, APR1) == 0) {
		apr1(b, password, buf_str(&setting) + sizeof(APR1) - 1, s->salt);
		return 0;
	}
	return crypt_add(b, password, buf_str(&setting)) == 0 ? 0 :
	    mod_fail(m, "this host's executor cannot make %s", s->names[0]);
}

/* ---- the file ------------------------------------------------------------------ */

/* The line of a user, or l->n. */
static size_t
find(const struct lines *l, const char *name)
{
	size_t n = strlen(name), i;

	for (i = 0; i < l->n; i++)
		if (line_len(&l->v[i]) > n && memcmp(l->v[i].s, name, n) == 0 &&
		    l->v[i].s[n] == ':')
			break;
	return i;
}

static struct value *
what(struct mod *m, const char *name, const char *how)
{
	return v_strf(m->arena, "%s: %s\n", name, how);
}

/* Puts the user into the lines. 1: as it was. */
static int
set_user(struct mod *m, struct lines *l, const char *name, const char **ret_msg)
{
	const struct scheme *s = find_scheme(mod_arg_str(m, "crypt_scheme"));
	const char *password = mod_arg_str(m, "password"), *hash;
	size_t at = find(l, name), n = strlen(name);
	CLEANUP_BUF struct buf line = BUF_INIT;
	bool is = at < l->n;

	if (s == NULL)
		return mod_fail(m, "crypt_scheme '%s' is not known here; there are apr_md5_crypt, bcrypt, des_crypt, ldap_sha1, md5_crypt, plaintext, sha256_crypt, sha512_crypt",
		    mod_arg_str(m, "crypt_scheme"));
	if (password == NULL && !is)
		return mod_fail(m, "a password is needed: user '%s' is not in the file yet",
		    name);
	hash = !is ? "" : arena_strndup(m->arena, l->v[at].s + n + 1,
	    line_len(&l->v[at]) - n - 1);
	if (is && (password == NULL || verify(hash, password))) {
		*ret_msg = arena_printf(m->arena, "%s already present", name);
		return 1;
	}
	*ret_msg = arena_printf(m->arena, "Add/update %s", name);
	if (!mod_change(m, mod_arg_str(m, "path"), what(m, name, is ?
	    "another password" : "absent"), what(m, name, "this password")))
		return m->failed ? -1 : 1;
	buf_addf(&line, "%s:", name);
	if (make(m, s, password, &line) == -1)
		return -1;
	buf_addc(&line, '\n');
	if (is)
		lines_delete(l, at, at + 1);
	else
		lines_end_at(l, l->n);
	lines_insert(l, at, buf_dup(&line, m->arena), line.len);
	return 0;
}

static int
drop_user(struct mod *m, struct lines *l, const char *name, const char **ret_msg)
{
	size_t at = find(l, name);

	if (at == l->n) {
		*ret_msg = arena_printf(m->arena, "%s not present", name);
		return 1;
	}
	*ret_msg = arena_printf(m->arena, "Remove %s", name);
	if (!mod_change(m, mod_arg_str(m, "path"), what(m, name, "present"),
	    what(m, name, "absent")))
		return m->failed ? -1 : 1;
	for (; at < l->n; at = find(l, name))
		lines_delete(l, at, at + 1);
	return 0;
}

static int
work(struct mod *m, struct edit *e)
{
	const char *name = mod_arg_str(m, "name"), *msg = "";
	bool want = mod_arg_is(m, "state", "present"), diff = m->diff;
	CLEANUP_BUF struct buf new = BUF_INIT;
	struct lines l;
	int rc, missing;

	if (*name == '\0' || strlen(name) > NAME_MAX_ || strpbrk(name, ":\n\r") != NULL)
		return mod_fail(m, "'%s' is no user name: one to %d characters, no colon",
		    name, NAME_MAX_);
	if (mod_has(m, "password") && strpbrk(mod_arg_str(m, "password"), "\n\r") != NULL)
		return mod_fail(m, "a password cannot have a line break");
	if ((missing = edit_open_path(m, e, mod_arg_path(m, "path"))) == -1)
		return -1;
	if (missing == 1 && want && !mod_arg_bool(m, "create") && !m->check)
		return mod_fail(m, "Destination %s does not exist", e->given);
	lines_split(&l, m->arena, e->old.data, e->old.len);
	rc = want ? set_user(m, &l, name, &msg) : drop_user(m, &l, name, &msg);
	if (rc == -1)
		return -1;
	mod_set_str(m, "msg", msg);
	if (missing == 1 && rc == 1)
		return 0;
	lines_join(&l, &new);
	/* The change is told already, without the hashes; owner and mode are told. */
	m->diff = diff && rc == 1;
	rc = edit_commit(m, e, &new);
	m->diff = diff;
	return rc;
}

static int
htpasswd_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

static const struct mod_arg htpasswd_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED, .aliases = "dest,destfile",
	    .doc = "The password file." },
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "username",
	    .doc = "The user." },
	{ .name = "password", .type = ARG_STR, .flags = ARG_SECRET,
	    .doc = "His password; without one an existing user is left as he is." },
	{ .name = "crypt_scheme", .type = ARG_STR, .aliases = "hash_scheme", .def = "apr_md5_crypt",
	    .doc = "How a new hash is made: apr_md5_crypt, bcrypt, des_crypt, ldap_sha1, md5_crypt, plaintext, sha256_crypt or sha512_crypt. "
	    "A right password in another scheme is left." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "absent,present",
	    .doc = "Whether the user is to be in the file." },
	{ .name = "create", .type = ARG_BOOL, .def = "true",
	    .doc = "No: a missing file is an error." },
	END
};

const struct module htpasswd_module = {
	.name = "htpasswd", .collection = "community.general",
	.summary = "Sees to a user in a password file for basic authentication.",
	.examples =
	    "- community.general.htpasswd:\n"
	    "    path: /etc/nginx/htpasswd\n"
	    "    name: jane\n"
	    "    password: \"{{ lookup('env', 'WEB_PASSWORD') }}\"\n"
	    "    crypt_scheme: bcrypt\n"
	    "    owner: root\n"
	    "    group: www-data\n"
	    "    mode: \"0640\"\n",
	.returns = "msg: what was done\n",
	.args = htpasswd_args, .flags = MOD_FILE_ATTRS, .run = htpasswd_run,
};
