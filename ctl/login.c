/*
 * Before there is a run: who answers at a host, and whether a login works.
 *
 * A host's key becomes pinned in one of these ways, the first that applies:
 * it was made by us and handed to the host in its user data; its fingerprint
 * was given; DNS has it (SSHFP) and the resolver vouches for the answer
 * (DNSSEC); a person compared it; it is accepted unseen because that was asked
 * for.  A key that contradicts one of these is refused, whatever else was said.
 *
 * To see a key we connect as far as the key exchange and refuse: nothing is
 * sent to a host that we don't know.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <netdb.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "apply.h"
#include "ask.h"
#include "base/digest.h"
#include "inventory/inventory.h"
#include "login.h"
#include "out.h"
#include "ssh/conn.h"

#define TYPE_SSHFP	44
#define RETRY_MS	2000
#define KEY_BYTES_MAX	((size_t)16384)

static const char *const key_types[] = {
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"
};

/* ---- keys as text --------------------------------------------------------------------- */

/* The SHA-256 of a key's bytes. */
static bool
key_digest(struct arena *a, const char *key, unsigned char out[SHA256_LEN])
{
	const char *text = strchr(key, ' ');
	unsigned char *blob;
	struct sha256 sha;
	size_t len;
	int n;

	if (text == NULL || (len = strcspn(++text, " \n")) == 0 ||
	    len > KEY_BYTES_MAX || len % 4 != 0)
		return false;
	blob = arena_alloc(a, len);
	if ((n = EVP_DecodeBlock(blob, (const unsigned char *)text, (int)len)) <= 0)
		return false;
	for (; len > 0 && text[len - 1] == '='; len--)
		n--;
	sha256_init(&sha);
	sha256_add(&sha, blob, (size_t)n);
	sha256_end(&sha, out);
	return true;
}

const char *
key_fingerprint(struct arena *a, const char *key)
{
	unsigned char digest[SHA256_LEN], out[64];
	int n;

	if (!key_digest(a, key, digest))
		return "?";
	n = EVP_EncodeBlock(out, digest, SHA256_LEN);
	while (n > 0 && out[n - 1] == '=')
		n--;
	return arena_printf(a, "SHA256:%.*s", n, (const char *)out);
}

/* ---- the target ----------------------------------------------------------------------- */

static int
port_number(struct ctl *ctl, const char *text, int *ret)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end != '\0' || end == text || n < 1 || n > 65535)
		return usage_error(ctl, "'%s' is no port number", text), -1;
	*ret = (int)n;
	return 0;
}

int
target_parse(struct load *l, const char *text, int port, struct target *t)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const char *at = strrchr(text, '@'), *host, *colon;
	struct sshconf_host conf;

	*t = (struct target){ .load = l, .port = port };
	if (at != NULL)
		t->user = arena_strndup(a, text, (size_t)(at - text));
	host = at != NULL ? at + 1 : text;
	colon = strrchr(host, ':');
	if (*host == '[' && strchr(host, ']') != NULL) {	/* [v6]:port */
		colon = strstr(host, "]:") != NULL ? strstr(host, "]:") + 1 : NULL;
		host = arena_strndup(a, host + 1, strcspn(host + 1, "]"));
	} else if (colon != NULL && strchr(host, ':') != colon) {
		colon = NULL;	/* an IPv6 address */
	} else if (colon != NULL)
		host = arena_strndup(a, host, (size_t)(colon - host));
	if (colon != NULL && port == 0 && port_number(ctl, colon + 1, &t->port) == -1)
		return -1;
	if (!inventory_name_ok(host) || (t->user != NULL && !inventory_name_ok(t->user)))
		return usage_error(ctl, "'%s' is no [USER@]HOST", text), -1;
	t->sshconf = sshconf_load(a, ssh_config_path(a), &ctl->diags);
	sshconf_get(t->sshconf, a, host, &conf);
	t->alias = host;
	t->host = conf.hostname != NULL ? conf.hostname : host;
	t->jump = conf.jump;
	if (t->port == 0)
		t->port = conf.port > 0 ? conf.port : 22;
	if (t->user == NULL)
		t->user = conf.user;
	return 0;
}

/* ---- connections --------------------------------------------------------------------- */

struct attempt {
	const struct target	*target;
	struct arena		*a;
	struct event_base	*base;
	struct conn		*conn;
	const char		*prefer;	/* type of key to ask for first, once */
	const char		*key;		/* that the host showed */
	bool			 looking, up;
	struct err		 err;
};

static bool
is_target(const struct attempt *t, const char *host, int port)
{
	return strcmp(host, t->target->host) == 0 && port == t->target->port;
}

static int
known_keys(void *arg, const char *host, int port, const char **keys, uint32_t max,
    uint32_t *n)
{
	struct attempt *t = arg;

	if (!t->looking || !is_target(t, host, port))
		return state_known_keys(t->target->load->state, host, port, keys, max, n);
	*n = 0;
	/* The first question is for the types we'd like: no key of ours is compared then. */
	if (t->prefer != NULL && max > 0) {
		keys[0] = t->prefer;
		*n = 1;
		t->prefer = NULL;
	}
	return 0;
}

static int
see_key(void *arg, const char *host, int port, const char *key, struct err *err)
{
	struct attempt *t = arg;

	if (!is_target(t, host, port))
		return err_set(err, ERR_HOSTKEY, "the jump host %s:%d is not known", host, port);
	t->key = arena_strdup(t->a, key);
	return err_set(err, ERR_HOSTKEY, "seen");
}

static int
jump_spec(void *arg, const char *name, struct conn_spec *ret, struct err *err)
{
	struct attempt *t = arg;
	struct sshconf_host conf;
	const char **keys = ARENA_ARRAY(t->a, NITEMS(conf.identity) + 1, const char *);
	unsigned i;

	(void)err;
	sshconf_get(t->target->sshconf, t->a, name, &conf);
	if (conf.hostname != NULL)
		ret->host = conf.hostname;
	if (ret->user == NULL)
		ret->user = conf.user;
	if (ret->port == 0)
		ret->port = conf.port;
	for (i = 0; i < NITEMS(conf.identity) && conf.identity[i] != NULL; i++)
		keys[i] = conf.identity[i];
	if (i > 0)
		ret->keys = keys;
	return 0;
}

static void
on_ready(void *arg, const struct value *hello)
{
	struct attempt *t = arg;

	(void)hello;
	t->up = true;
	conn_close(t->conn, false);
}

static void
on_frame(void *arg, const struct frame *f)
{
	(void)arg;
	(void)f;
}

static void
on_closed(void *arg, struct err *err)
{
	struct attempt *t = arg;

	if (!t->up && t->key == NULL) {
		if (err->code == ERR_NONE)
			(void)err_set(err, ERR_IO, "the connection was closed");
		err_move(&t->err, err);
	}
	err_release(err);
	(void)event_base_loopbreak(t->base);
}

/* Connects once; what came of it is in the attempt. */
static void
connect_once(struct attempt *t, struct conn_spec *spec)
{
	static const struct conn_ops ops = { on_ready, on_frame, on_closed };
	struct conn_pool *pool;

	spec->kind = CONN_SSH;
	spec->name = t->target->alias;
	spec->host = t->target->host;
	spec->port = t->target->port;
	spec->jump = t->target->jump;
	spec->lax_kex = spec->jump_lax_kex = t->target->lax_kex;
	spec->connect_timeout_ms = t->target->timeout_ms;
	spec->known_keys = known_keys;
	spec->pin_key = see_key;
	spec->keys_arg = t;
	spec->jump_spec = jump_spec;
	spec->jump_arg = t;
	if ((t->base = event_base_new()) == NULL)
		abort();	/* out of memory */
	if ((pool = conn_pool_new(t->base, 4, &t->err)) != NULL) {
		t->conn = conn_open(pool, spec, &ops, t);
		(void)event_base_dispatch(t->base);
		conn_pool_free(pool);
	}
	event_base_free(t->base);
}

int
try_login(const struct target *target, const struct login *login, struct err *err)
{
	const char *keys[2] = { login->key, NULL };
	struct attempt t = { .target = target, .a = &target->load->ctl->arena };
	struct conn_spec spec = {
		.user = login->user, .password = login->password,
		.keys = login->key != NULL ? keys : NULL,
		.use_agent = true, .become_password = login->become_password,
		.become = strcmp(login->user, "root") != 0 ? BECOME_SUDO : BECOME_NONE,
	};

	connect_once(&t, &spec);
	if (t.up)
		return 0;
	err_move(err, &t.err);
	return -1;
}

/* ---- the key that a host shows ----------------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* "type base64" in the arena, or NULL with err. */
static const char *
look(const struct target *target, const char *type, int wait_ms, struct err *err)
{
	struct arena *a = &target->load->ctl->arena;
	int64_t end = now_ms() + wait_ms;
	bool told = false;

	for (;;) {
		struct attempt t = { .target = target, .a = a, .looking = true,
		    .prefer = arena_printf(a, "%s AAAA", type) };
		struct conn_spec spec = { .user = "root", .accept_new_host_keys = true };
		struct timespec pause = { RETRY_MS / 1000, 0 };

		connect_once(&t, &spec);
		if (t.key != NULL)
			return t.key;
		if (now_ms() + RETRY_MS > end || (t.err.code != ERR_IO &&
		    t.err.code != ERR_TIMEOUT)) {
			err_move(err, &t.err);
			return NULL;
		}
		if (!told)
			out_note(target->load->ctl->out, "%s does not answer yet; waiting",
			    target->host);
		told = true;
		err_release(&t.err);
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- DNS ------------------------------------------------------------------------------------ */

enum sshfp { SSHFP_NONE, SSHFP_MATCH, SSHFP_SECURE, SSHFP_OTHER };

static int
sshfp_algorithm(const char *key)
{
	return strncmp(key, "ssh-rsa ", 8) == 0 ? 1 :
	    strncmp(key, "ecdsa-", 6) == 0 ? 3 :
	    strncmp(key, "ssh-ed25519 ", 12) == 0 ? 4 : 0;
}

/* What one answer says about the key: records of other algorithms and digests say nothing. */
static enum sshfp
sshfp_compare(ns_msg *msg, int algorithm, const unsigned char digest[SHA256_LEN])
{
	enum sshfp found = SSHFP_NONE;
	ns_rr rr;
	int i;

	for (i = 0; i < ns_msg_count(*msg, ns_s_an); i++) {
		const unsigned char *d;

		if (ns_parserr(msg, ns_s_an, i, &rr) != 0 ||
		    (int)ns_rr_type(rr) != TYPE_SSHFP || ns_rr_rdlen(rr) != 2 + SHA256_LEN)
			continue;
		d = ns_rr_rdata(rr);
		if (d[0] != algorithm || d[1] != 2)
			continue;
		if (memcmp(d + 2, digest, SHA256_LEN) == 0)
			return SSHFP_MATCH;
		found = SSHFP_OTHER;
	}
	return found;
}

static enum sshfp
sshfp_of(const struct target *t, const char *key)
{
	unsigned char answer[16384], digest[SHA256_LEN], address[16];
	struct __res_state res = { 0 };
	enum sshfp found = SSHFP_NONE;
	ns_msg msg;
	int n;

	if (inet_pton(AF_INET, t->host, address) == 1 ||
	    inet_pton(AF_INET6, t->host, address) == 1 ||
	    sshfp_algorithm(key) == 0 ||
	    !key_digest(&t->load->ctl->arena, key, digest) || res_ninit(&res) != 0)
		return SSHFP_NONE;
	res.options |= RES_USE_EDNS0 | RES_USE_DNSSEC;
	res.retrans = 2;
	res.retry = 2;
	n = res_nquery(&res, t->host, C_IN, TYPE_SSHFP, answer, sizeof(answer));
	if (n > 0 && n <= (int)sizeof(answer) && ns_initparse(answer, n, &msg) == 0) {
		found = sshfp_compare(&msg, sshfp_algorithm(key), digest);
		/* glibc clears this bit unless resolv.conf says that the way to the resolver is safe (trust-ad). */
		if (found == SSHFP_MATCH && ns_msg_getflag(msg, ns_f_ad))
			found = SSHFP_SECURE;
	}
	res_nclose(&res);
	return found;
}

/* ---- pinning ---------------------------------------------------------------------------------- */

#define KEYS_MAX	16

static bool
same_fingerprint(const char *given, const char *print)
{
	size_t n;

	if (strncmp(given, "SHA256:", 7) != 0)
		print += strlen("SHA256:");
	n = strlen(print);
	return strncmp(given, print, n) == 0 && strspn(given + n, "=") == strlen(given + n);
}

static int
refuse(struct ctl *ctl, const char *hint, const char *fmt, ...) ATTR_PRINTF(3, 4);

static int
refuse(struct ctl *ctl, const char *hint, const char *fmt, ...)
{
	struct err err = ERR_INIT;
	va_list ap;

	va_start(ap, fmt);
	(void)err_vset_at(&err, ERR_HOSTKEY, (struct mark){ 0 }, fmt, ap);
	va_end(ap);
	err_hint(&err, "%s", hint);
	return fail_with(ctl, &err), -1;
}

static const char anybody[] =
    "somebody may be answering in the host's place: compare with `ssh-keygen -lf "
    "/etc/ssh/ssh_host_ed25519_key.pub` on the host's console";

static int
pin(const struct target *t, const char *key)
{
	struct ctl *ctl = t->load->ctl;
	struct err err = ERR_INIT;

	if (state_forget_keys(t->load->state, t->host, t->port, &err) == -1 ||
	    state_pin_key(t->load->state, t->host, t->port, key, &err) == -1 ||
	    state_sync(t->load->state, &err) == -1)
		return fail_with(ctl, &err), -1;
	out_note(ctl->out, "pinned the host key of %s: %.*s %s", t->host,
	    (int)strcspn(key, " "), key, key_fingerprint(&ctl->arena, key));
	return 0;
}

/* The key that has the fingerprint: a host has several, of different types. */
static int
pin_given(const struct target *t, const char *key, const char *given)
{
	struct ctl *ctl = t->load->ctl;
	const char *first = key_fingerprint(&ctl->arena, key);
	size_t i;

	for (i = 0; i < NITEMS(key_types) && key != NULL; i++) {
		struct err err = ERR_INIT;

		if (same_fingerprint(given, key_fingerprint(&ctl->arena, key)))
			return pin(t, key);
		if (i + 1 < NITEMS(key_types))
			key = look(t, key_types[i + 1], 0, &err);
		err_release(&err);
	}
	return refuse(ctl, anybody, "the host key of %s:%d is not the one with the "
	    "fingerprint %s: it shows %s", t->host, t->port, given, first);
}

static int
pin_asked(const struct target *t, const char *key, enum sshfp dns)
{
	struct ctl *ctl = t->load->ctl;
	const char *print = key_fingerprint(&ctl->arena, key), *answer;

	out_note(ctl->out, "%s:%d shows the host key %.*s %s%s", t->host, t->port,
	    (int)strcspn(key, " "), key, print, dns == SSHFP_MATCH ?
	    " (DNS has the same, but nobody vouches for its answer)" : "");
	out_note(ctl->out, "On the host's console, `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` shows the true one.",
	    strncmp(key, "ssh-ed25519", 11) == 0 ? "ed25519" :
	    strncmp(key, "ecdsa", 5) == 0 ? "ecdsa" : "rsa");
	answer = ask(&ctl->arena, "Is it the same (yes, no, or the fingerprint)? ", false);
	if (answer == NULL)
		return refuse(ctl, "compare it with the host's own and give it with --fingerprint "
		    "SHA256:…, or take any with --accept-new-host-key",
		    "the host key of %s:%d is not known: it shows %.*s %s", t->host,
		    t->port, (int)strcspn(key, " "), key, print);
	if (strcmp(answer, "yes") == 0)
		return pin(t, key);
	if (strncmp(answer, "SHA256:", 7) == 0)
		return pin_given(t, key, answer);
	return refuse(ctl, anybody, "the host key of %s:%d was not confirmed", t->host, t->port);
}

/* The name under which a key waits that we gave to a host in its user data. */
static const char *
published_as(struct arena *a, const char *name)
{
	return arena_printf(a, "user-data:%s", name);
}

/* 1: the host shows the key that was published for it; 0: none was; -1: another one. */
static int
is_published(const struct target *t, const struct pin_opts *o, const char *key)
{
	const char *keys[KEYS_MAX];
	uint32_t n = 0, i;

	if (o->published == NULL)
		return 0;
	(void)state_known_keys(t->load->state, published_as(&t->load->ctl->arena,
	    o->published), 0, keys, KEYS_MAX, &n);
	for (i = 0; i < n; i++)
		if (strcmp(keys[i], key) == 0)
			return 1;
	return n > 0 ? -1 : 0;
}

static int
pin_new(const struct target *t, const struct pin_opts *o, const char *key)
{
	struct ctl *ctl = t->load->ctl;
	int published = is_published(t, o, key);
	enum sshfp dns;

	if (published == -1)
		return refuse(ctl, "cloud-init may not have come to the host keys yet: try again "
		    "in a minute; if it stays so, somebody else is answering",
		    "%s:%d does not show the host key that its user data gave it, but %s",
		    t->host, t->port, key_fingerprint(&ctl->arena, key));
	if (o->fingerprint != NULL)
		return pin_given(t, key, o->fingerprint);
	if (published == 1)
		return pin(t, key);
	dns = sshfp_of(t, key);
	if (dns == SSHFP_OTHER)
		return refuse(ctl, anybody, "the host key of %s:%d is not the one that DNS has "
		    "(SSHFP): it shows %s", t->host, t->port, key_fingerprint(&ctl->arena, key));
	if (dns == SSHFP_SECURE || o->accept)
		return pin(t, key);
	return pin_asked(t, key, dns);
}

/* Renewing a key that is pinned already: there is nothing to compare. */
static bool
is_pinned(const struct target *t, const struct pin_opts *o, const char *key)
{
	const char *keys[KEYS_MAX];
	uint32_t n = 0, i;

	if (o->fingerprint != NULL ||
	    state_known_keys(t->load->state, t->host, t->port, keys, KEYS_MAX, &n) == -1)
		return false;
	for (i = 0; i < n && strcmp(keys[i], key) != 0; i++)
		;
	if (i < n)
		out_note(t->load->ctl->out, "%s:%d shows the host key that is pinned: %s", t->host,
		    t->port, key_fingerprint(&t->load->ctl->arena, key));
	return i < n;
}

static int
pin_known(const struct target *t, const struct pin_opts *o, const char **keys, uint32_t n)
{
	uint32_t i;

	if (o->fingerprint == NULL)
		return 0;
	for (i = 0; i < n; i++)
		if (same_fingerprint(o->fingerprint, key_fingerprint(&t->load->ctl->arena, keys[i])))
			return 0;
	return refuse(t->load->ctl, "`provctl host rekey` replaces a pinned key",
	    "another host key is pinned for %s:%d than the one with the fingerprint %s",
	    t->host, t->port, o->fingerprint);
}

/* "SHA256:" and 43 digits of base 64, as ssh-keygen -l prints it; the prefix and padding may lack. */
static bool
is_fingerprint(const char *s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (strncmp(s, "SHA256:", 7) == 0)
		s += 7;
	return strspn(s, digits) == 43 && strspn(s + 43, "=") == strlen(s + 43);
}

int
pin_host(const struct target *t, const struct pin_opts *o)
{
	struct ctl *ctl = t->load->ctl;
	const char *keys[KEYS_MAX], *key;
	struct err err = ERR_INIT;
	int64_t end = now_ms() + o->wait_ms;
	uint32_t n = 0;

	if (o->fingerprint != NULL && !is_fingerprint(o->fingerprint)) {
		(void)err_set(&err, ERR_USAGE, "--fingerprint: '%s' is no SHA-256 fingerprint",
		    o->fingerprint);
		err_hint(&err, "it is SHA256: and 43 characters, as `ssh-keygen -lf "
		    "/etc/ssh/ssh_host_ed25519_key.pub` prints it on the host");
		return fail_with(ctl, &err), -1;
	}
	if (!o->renew && state_known_keys(t->load->state, t->host, t->port, keys,
	    KEYS_MAX, &n) == 0 && n > 0) {
		/* The connection itself compares; only wait for the host here. */
		if (o->wait_ms > 0 && look(t, key_types[0], o->wait_ms, &err) == NULL)
			return fail_with(ctl, &err), -1;
		return pin_known(t, o, keys, n);
	}
	if ((key = look(t, key_types[0], o->wait_ms, &err)) == NULL)
		return fail_with(ctl, &err), -1;
	/* sshd may be up with keys of its own before cloud-init lays ours in their place. */
	while (is_published(t, o, key) == -1 && now_ms() + RETRY_MS < end) {
		struct timespec pause = { RETRY_MS / 1000, 0 };

		(void)nanosleep(&pause, NULL);
		if ((key = look(t, key_types[0], (int)(end - now_ms()), &err)) == NULL)
			return fail_with(ctl, &err), -1;
	}
	if (is_pinned(t, o, key))
		return 0;
	if (pin_new(t, o, key) == -1)
		return -1;
	if (o->published != NULL && state_forget_keys(t->load->state,
	    published_as(&ctl->arena, o->published), 0, &err) == -1)
		return fail_with(ctl, &err), -1;
	return 0;
}
