/*
 * TLS for modules, by BearSSL: small, no allocation of its own, constant time,
 * and clean enough to link statically under musl.
 *
 * Certificates are checked by BearSSL's "minimal" engine, wrapped by a class
 * of ours that adds two things: addresses as names (it knows DNS names only),
 * and validate_certs=no (any chain is taken, the server's key is used as it
 * is).  Signatures by MD5 and SHA-1 are not accepted in chains, RSA keys must
 * have 2,048 bits.
 */
#include <arpa/inet.h>
#include <bearssl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "module/net.h"

#define PEM_MAX		((size_t)16 * 1024 * 1024)
#define CERT_MAX	((size_t)256 * 1024)
#define CHAIN_MAX	32

/* Our class around BearSSL's; its first member must be the vtable. */
struct checker {
	const br_x509_class		*vtable;
	br_x509_minimal_context		 minimal;
	br_x509_decoder_context		 decoder;	/* of the server's own certificate */
	bool				 verify;
	bool				 first;		/* reading the server's own */
	unsigned			 count;
	unsigned char			 address[16];	/* the host as an address … */
	size_t				 naddress;	/* … of 4 or 16 bytes; 0: it is a name */
	struct buf			 own;		/* the server's certificate, DER */
};

struct anchors {
	br_x509_trust_anchor	*v;
	size_t			 n, cap;
};

struct tls {
	struct arena		 arena;
	br_ssl_client_context	 client;
	struct checker		 checker;
	struct anchors		 anchors;
	br_x509_certificate	*chain;		/* ours, for the server */
	size_t			 nchain;
	br_skey_decoder_context	 key;
	bool			 started;	/* the engine may be spoken to */
	unsigned char		 buffer[BR_SSL_BUFSIZE_BIDI];
};

/* ---- PEM files --------------------------------------------------------------- */

/* One object of a PEM file. */
struct pem {
	const char	*name;
	const unsigned char *data;
	size_t		 len;
};

static void
pem_append(void *arg, const void *data, size_t len)
{
	buf_add(arg, data, len);
}

/* Calls take() for each object. 0, or -1 with err when the file cannot be read or holds none. */
static int
pem_each(struct arena *arena, const char *path,
    void (*take)(void *arg, const struct pem *), void *arg, struct err *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT, der = BUF_INIT;
	br_pem_decoder_context pc;
	char *name = NULL;
	size_t at = 0, used, count = 0;
	struct pem pem;

	text.max = PEM_MAX;
	if (buf_read_file(&text, path) != 0)
		return err_errno(err, "cannot read %s", path);
	buf_addc(&text, '\n');
	br_pem_decoder_init(&pc);
	while (at < text.len) {
		used = br_pem_decoder_push(&pc, text.data + at, text.len - at);
		at += used;
		switch (br_pem_decoder_event(&pc)) {
		case BR_PEM_BEGIN_OBJ:
			name = arena_strdup(arena, br_pem_decoder_name(&pc));
			buf_clear(&der);
			br_pem_decoder_setdest(&pc, pem_append, &der);
			break;
		case BR_PEM_END_OBJ:
			pem.name = name != NULL ? name : "";
			pem.len = der.len;
			pem.data = (unsigned char *)buf_dup(&der, arena);
			take(arg, &pem);
			count++;
			break;
		case BR_PEM_ERROR:
			return err_set(err, ERR_INVALID, "%s: malformed PEM", path);
		default:
			if (used == 0)
				at = text.len;
			break;
		}
	}
	if (count == 0)
		return err_set(err, ERR_INVALID, "%s holds nothing in PEM form", path);
	return 0;
}

static bool
is_cert(const struct pem *p)
{
	return strcmp(p->name, "CERTIFICATE") == 0 ||
	    strcmp(p->name, "X509 CERTIFICATE") == 0 ||
	    strcmp(p->name, "TRUSTED CERTIFICATE") == 0;
}

/* ---- whom we trust ------------------------------------------------------------ */

static unsigned char *
copy(struct arena *arena, const void *p, size_t n)
{
	return memcpy(arena_alloc(arena, n), p, n);
}

static void
take_anchor(void *arg, const struct pem *pem)
{
	struct tls *t = arg;
	CLEANUP_BUF struct buf dn = BUF_INIT;
	br_x509_decoder_context dc;
	br_x509_trust_anchor *ta;
	const br_x509_pkey *key;

	if (!is_cert(pem))
		return;
	br_x509_decoder_init(&dc, pem_append, &dn);
	br_x509_decoder_push(&dc, pem->data, pem->len);
	if ((key = br_x509_decoder_get_pkey(&dc)) == NULL)
		return;			/* of a kind that is not known: trusts nobody */
	if (t->anchors.n == t->anchors.cap) {
		size_t cap = t->anchors.cap == 0 ? 256 : 2 * t->anchors.cap;

		t->anchors.v = arena_grow(&t->arena, t->anchors.v,
		    t->anchors.cap * sizeof(*ta), cap * sizeof(*ta));
		t->anchors.cap = cap;
	}
	ta = &t->anchors.v[t->anchors.n++];
	memset(ta, 0, sizeof(*ta));
	ta->dn.data = copy(&t->arena, dn.data, dn.len);
	ta->dn.len = dn.len;
	ta->flags = br_x509_decoder_isCA(&dc) ? BR_X509_TA_CA : 0;
	ta->pkey = *key;
	if (key->key_type == BR_KEYTYPE_RSA) {
		ta->pkey.key.rsa.n = copy(&t->arena, key->key.rsa.n, key->key.rsa.nlen);
		ta->pkey.key.rsa.e = copy(&t->arena, key->key.rsa.e, key->key.rsa.elen);
	} else
		ta->pkey.key.ec.q = copy(&t->arena, key->key.ec.q, key->key.ec.qlen);
}

/* ---- addresses in certificates -------------------------------------------------- */

/* One DER element: its content; false when malformed. */
static bool
der_next(const unsigned char **p, const unsigned char *end, unsigned *ret_tag,
    const unsigned char **ret, size_t *ret_len)
{
	size_t len, n;

	if (end - *p < 2)
		return false;
	*ret_tag = *(*p)++;
	len = *(*p)++;
	if (len & 0x80) {
		if ((n = len & 0x7f) == 0 || n > 3 || (size_t)(end - *p) < n)
			return false;
		for (len = 0; n > 0; n--)
			len = len << 8 | *(*p)++;
	}
	if (len > (size_t)(end - *p))
		return false;
	*ret = *p;
	*ret_len = len;
	*p += len;
	return true;
}

/* Looks for the address in the list of a subjectAltName. */
static bool
names_hold(const struct checker *c, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len, *value;
	unsigned tag;

	if (!der_next(&p, end, &tag, &value, &len) || tag != 0x30)
		return false;
	for (p = value, end = value + len; p < end;)
		if (!der_next(&p, end, &tag, &value, &len))
			return false;
		else if (tag == 0x87 && len == c->naddress &&	/* [7] iPAddress */
		    memcmp(value, c->address, len) == 0)
			return true;
	return false;
}

/* An Extension: SEQUENCE { OID, [critical,] OCTET STRING }. */
static bool
extension_holds(const struct checker *c, const unsigned char *p, size_t len)
{
	static const unsigned char san[] = { 0x55, 0x1d, 0x11 };
	const unsigned char *end = p + len, *value;
	unsigned tag;
	size_t n;

	if (!der_next(&p, end, &tag, &value, &n) || tag != 0x06 ||
	    n != sizeof(san) || memcmp(value, san, n) != 0)
		return false;
	while (p < end && der_next(&p, end, &tag, &value, &n))
		if (tag == 0x04)
			return names_hold(c, value, n);
	return false;
}

/* True when the server's certificate is for our address. */
static bool
certificate_holds(const struct checker *c)
{
	const unsigned char *p = (const unsigned char *)c->own.data, *end, *value;
	size_t len;
	unsigned tag;

	if (c->own.len == 0 || buf_overflowed(&c->own))
		return false;
	end = p + c->own.len;
	/* Certificate, in it TBSCertificate, in it [3] extensions, in it the list. */
	if (!der_next(&p, end, &tag, &value, &len) || tag != 0x30)
		return false;
	p = value;
	if (!der_next(&p, value + len, &tag, &value, &len) || tag != 0x30)
		return false;
	for (p = value, end = value + len; p < end;) {
		if (!der_next(&p, end, &tag, &value, &len))
			return false;
		if (tag != 0xa3)
			continue;
		p = value;
		if (!der_next(&p, value + len, &tag, &value, &len) || tag != 0x30)
			return false;
		for (p = value, end = value + len; p < end;) {
			if (!der_next(&p, end, &tag, &value, &len))
				return false;
			if (tag == 0x30 && extension_holds(c, value, len))
				return true;
		}
		return false;
	}
	return false;
}

/* ---- our class of checkers ---------------------------------------------------------- */

static struct checker *
checker_of(const br_x509_class *const *ctx)
{
	return (struct checker *)(uintptr_t)ctx;
}

static void
start_chain(const br_x509_class **ctx, const char *name)
{
	struct checker *c = checker_of(ctx);

	c->count = 0;
	buf_clear(&c->own);
	br_x509_decoder_init(&c->decoder, NULL, NULL);
	if (c->verify)
		c->minimal.vtable->start_chain(&c->minimal.vtable,
		    c->naddress > 0 ? NULL : name);
}

static void
start_cert(const br_x509_class **ctx, uint32_t len)
{
	struct checker *c = checker_of(ctx);

	c->first = c->count++ == 0;
	if (c->verify)
		c->minimal.vtable->start_cert(&c->minimal.vtable, len);
}

static void
append(const br_x509_class **ctx, const unsigned char *data, size_t len)
{
	struct checker *c = checker_of(ctx);

	if (c->first) {
		buf_add(&c->own, data, len);
		br_x509_decoder_push(&c->decoder, data, len);
	}
	if (c->verify)
		c->minimal.vtable->append(&c->minimal.vtable, data, len);
}

static void
end_cert(const br_x509_class **ctx)
{
	struct checker *c = checker_of(ctx);

	if (c->verify)
		c->minimal.vtable->end_cert(&c->minimal.vtable);
}

static unsigned
end_chain(const br_x509_class **ctx)
{
	struct checker *c = checker_of(ctx);
	unsigned r;

	if (c->count > CHAIN_MAX)
		return BR_ERR_X509_LIMIT_EXCEEDED;
	if (!c->verify)
		return c->count == 0 ? BR_ERR_X509_EMPTY_CHAIN :
		    (unsigned)br_x509_decoder_last_error(&c->decoder);
	r = c->minimal.vtable->end_chain(&c->minimal.vtable);
	if (r == 0 && c->naddress > 0 && !certificate_holds(c))
		r = BR_ERR_X509_BAD_SERVER_NAME;
	return r;
}

static const br_x509_pkey *
get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	struct checker *c = checker_of(ctx);

	if (c->verify)
		return c->minimal.vtable->get_pkey(&c->minimal.vtable, usages);
	if (usages != NULL)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return br_x509_decoder_get_pkey(&c->decoder);
}

static const br_x509_class checker_class = {
	sizeof(struct checker), start_chain, start_cert, append, end_cert,
	end_chain, get_pkey
};

/* ---- who we are --------------------------------------------------------------------- */

static void
take_own(void *arg, const struct pem *pem)
{
	struct tls *t = arg;

	if (!is_cert(pem) || t->nchain >= CHAIN_MAX)
		return;
	if (t->chain == NULL)
		t->chain = ARENA_ARRAY(&t->arena, CHAIN_MAX, br_x509_certificate);
	t->chain[t->nchain].data = copy(&t->arena, pem->data, pem->len);
	t->chain[t->nchain++].data_len = pem->len;
}

static void
take_key(void *arg, const struct pem *pem)
{
	struct tls *t = arg;

	if (strstr(pem->name, "PRIVATE KEY") == NULL ||
	    strstr(pem->name, "ENCRYPTED") != NULL ||
	    br_skey_decoder_key_type(&t->key) != 0)
		return;
	br_skey_decoder_init(&t->key);
	br_skey_decoder_push(&t->key, pem->data, pem->len);
}

static int
present_ourselves(struct tls *t, const struct tls_opts *o, struct err *err)
{
	const char *key_path = o->client_key != NULL ? o->client_key : o->client_cert;
	br_x509_decoder_context dc;

	br_skey_decoder_init(&t->key);
	if (pem_each(&t->arena, o->client_cert, take_own, t, err) != 0 ||
	    pem_each(&t->arena, key_path, take_key, t, err) != 0)
		return -1;
	if (t->nchain == 0)
		return err_set(err, ERR_INVALID, "%s holds no certificate",
		    o->client_cert);
	switch (br_skey_decoder_key_type(&t->key)) {
	case BR_KEYTYPE_RSA:
		br_ssl_client_set_single_rsa(&t->client, t->chain, t->nchain,
		    br_skey_decoder_get_rsa(&t->key),
		    br_rsa_pkcs1_sign_get_default());
		return 0;
	case BR_KEYTYPE_EC:
		br_x509_decoder_init(&dc, NULL, NULL);
		br_x509_decoder_push(&dc, t->chain[0].data, t->chain[0].data_len);
		br_ssl_client_set_single_ec(&t->client, t->chain, t->nchain,
		    br_skey_decoder_get_ec(&t->key),
		    BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN,
		    (unsigned)br_x509_decoder_get_signer_key_type(&dc),
		    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
		return 0;
	default:
		return err_set(err, ERR_INVALID, "%s holds no private key of a "
		    "known kind without a passphrase", key_path);
	}
}

/* ---- errors ---------------------------------------------------------------------------- */

static int
tls_error(struct tls *t, const struct tls_opts *o, struct err *err)
{
	int e = br_ssl_engine_last_error(&t->client.eng);
	const char *host = o != NULL ? o->host : "the server";

	switch (e) {
	case BR_ERR_X509_EXPIRED:
		return err_set(err, ERR_AUTH, "certificate verify failed: the "
		    "certificate of %s has expired or is not yet valid", host);
	case BR_ERR_X509_BAD_SERVER_NAME:
		return err_set(err, ERR_AUTH, "certificate verify failed: hostname "
		    "mismatch, the certificate is not valid for '%s'", host);
	case BR_ERR_X509_NOT_TRUSTED:
		return err_set(err, ERR_AUTH, "certificate verify failed: the "
		    "certificate of %s is self-signed or of an authority that is "
		    "not trusted here", host);
	case BR_ERR_X509_BAD_SIGNATURE:
	case BR_ERR_X509_UNSUPPORTED:
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
	case BR_ERR_X509_NOT_CA:
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return err_set(err, ERR_AUTH, "certificate verify failed: the chain "
		    "of %s has a bad signature, a weak key or an extension that "
		    "is not known (BearSSL error %d)", host, e);
	case BR_ERR_UNSUPPORTED_VERSION:
	case BR_ERR_BAD_VERSION:
	case BR_ERR_RECV_FATAL_ALERT + 70:	/* protocol_version */
		return err_set(err, ERR_UNSUPPORTED, "%s does not speak TLS on this "
		    "port, or has no version in common with us (1.2)", host);
	case BR_ERR_RECV_FATAL_ALERT + 40:	/* handshake_failure */
	case BR_ERR_NO_CLIENT_AUTH:
		return err_set(err, ERR_AUTH, "%s refuses the TLS handshake: no "
		    "ciphers in common, or it wants a client certificate", host);
	default:
		break;
	}
	if (e >= 32 && e <= 62)
		return err_set(err, ERR_AUTH, "certificate verify failed: the "
		    "certificate of %s is malformed (BearSSL error %d)", host, e);
	if (e >= BR_ERR_RECV_FATAL_ALERT && e < BR_ERR_SEND_FATAL_ALERT)
		return err_set(err, ERR_IO, "%s ended TLS with alert %d", host,
		    e - BR_ERR_RECV_FATAL_ALERT);
	return err_set(err, ERR_IO, "what %s speaks is no TLS (BearSSL error %d)",
	    host, e);
}

/* ---- the engine --------------------------------------------------------------------------- */

/*
 * Moves records until the engine is in one of the states: 1, 0 when it is
 * closed, -1 with err.
 */
static int
run_until(struct net *n, unsigned want, const struct tls_opts *o, struct err *err)
{
	struct tls *t = n->tls;
	br_ssl_engine_context *e = &t->client.eng;
	unsigned char *p;
	unsigned state;
	size_t len;
	ssize_t k;

	for (;;) {
		state = br_ssl_engine_current_state(e);
		if (state & BR_SSL_CLOSED)
			return br_ssl_engine_last_error(e) == BR_ERR_OK ? 0 :
			    tls_error(t, o, err);
		if (state & BR_SSL_SENDREC) {
			p = br_ssl_engine_sendrec_buf(e, &len);
			if ((k = net_raw_write(n, p, len, err)) < 0)
				return -1;
			br_ssl_engine_sendrec_ack(e, (size_t)k);
		} else if (state & want) {
			return 1;
		} else if (state & BR_SSL_RECVAPP) {
			return err_set(err, ERR_INTERNAL, "TLS: data not read");
		} else if (state & BR_SSL_RECVREC) {
			p = br_ssl_engine_recvrec_buf(e, &len);
			if ((k = net_raw_read(n, p, len, err)) < 0)
				return -1;
			if (k == 0 && o != NULL)
				return err_set(err, ERR_IO, "the server closed the "
				    "connection during the TLS handshake");
			if (k == 0)
				return 0;	/* the protocol above knows whether that is all */
			br_ssl_engine_recvrec_ack(e, (size_t)k);
		} else
			br_ssl_engine_flush(e, 0);
	}
}

static void
set_host(struct checker *c, const char *host)
{
	if (inet_pton(AF_INET, host, c->address) == 1)
		c->naddress = 4;
	else if (inet_pton(AF_INET6, host, c->address) == 1)
		c->naddress = 16;
}

static int
tls_init(struct tls *t, const struct tls_opts *o, struct err *err)
{
	static const char *const protocols[] = { "http/1.1" };
	struct checker *c = &t->checker;
	time_t now = time(NULL);

	if (o->verify && pem_each(&t->arena, o->ca_path != NULL ? o->ca_path :
	    NET_CA_BUNDLE, take_anchor, t, err) != 0) {
		if (o->ca_path == NULL)
			err_hint(err, "install the package ca-certificates");
		return -1;
	}
	br_ssl_client_init_full(&t->client, &c->minimal, t->anchors.v, t->anchors.n);
	br_x509_minimal_set_hash(&c->minimal, br_md5_ID, NULL);
	br_x509_minimal_set_hash(&c->minimal, br_sha1_ID, NULL);
	br_x509_minimal_set_minrsa(&c->minimal, 2048 / 8);
	/* Days since the year 0 of the proleptic Gregorian calendar. */
	br_x509_minimal_set_time(&c->minimal, (uint32_t)(now / 86400 + 719528),
	    (uint32_t)(now % 86400));
	c->vtable = &checker_class;
	c->verify = o->verify;
	c->own.max = CERT_MAX;
	set_host(c, o->host);
	br_ssl_engine_set_x509(&t->client.eng, &c->vtable);
	br_ssl_engine_set_versions(&t->client.eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_set_protocol_names(&t->client.eng,
	    (const char **)(uintptr_t)protocols, 1);
	if (o->client_cert != NULL && present_ourselves(t, o, err) != 0)
		return -1;
	br_ssl_engine_set_buffer(&t->client.eng, t->buffer, sizeof(t->buffer), 1);
	/* The name goes to the server (SNI) and to the checker; an address to neither. */
	if (!br_ssl_client_reset(&t->client, c->naddress > 0 ? NULL : o->host, 0))
		return tls_error(t, o, err);
	t->started = true;
	return 0;
}

int
net_start_tls(struct net *n, const struct tls_opts *o, struct err *err)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	int r;

	n->tls = t;
	if (tls_init(t, o, err) != 0)
		return -1;
	r = run_until(n, BR_SSL_SENDAPP, o, err);
	return r == 1 ? 0 : r == 0 ? err_set(err, ERR_IO,
	    "the server closed the connection during the TLS handshake") : -1;
}

ssize_t
tls_read(struct net *n, void *to, size_t len, struct err *err)
{
	br_ssl_engine_context *e = &n->tls->client.eng;
	const unsigned char *p;
	size_t have;
	int r = run_until(n, BR_SSL_RECVAPP, NULL, err);

	if (r <= 0)
		return r;
	p = br_ssl_engine_recvapp_buf(e, &have);
	if (have > len)
		have = len;
	memcpy(to, p, have);
	br_ssl_engine_recvapp_ack(e, have);
	return (ssize_t)have;
}

int
tls_write(struct net *n, const void *from, size_t len, struct err *err)
{
	br_ssl_engine_context *e = &n->tls->client.eng;
	const unsigned char *p = from;
	unsigned char *to;
	size_t room;
	int r;

	while (len > 0) {
		r = run_until(n, BR_SSL_SENDAPP | BR_SSL_RECVAPP, NULL, err);
		if (r <= 0)
			return r < 0 ? -1 : err_set(err, ERR_IO,
			    "the server closed the connection");
		if (!(br_ssl_engine_current_state(e) & BR_SSL_SENDAPP))
			return 0;	/* it answers before it has heard all: let it */
		to = br_ssl_engine_sendapp_buf(e, &room);
		if (room > len)
			room = len;
		memcpy(to, p, room);
		br_ssl_engine_sendapp_ack(e, room);
		p += room;
		len -= room;
	}
	br_ssl_engine_flush(e, 0);
	return run_until(n, BR_SSL_SENDAPP | BR_SSL_RECVAPP, NULL, err) < 0 ? -1 : 0;
}

void
tls_free(struct net *n)
{
	struct tls *t = n->tls;
	br_ssl_engine_context *e;
	unsigned char *p;
	size_t len;

	n->tls = NULL;
	if (t == NULL)
		return;
	e = &t->client.eng;
	/* A polite end, without waiting for anything. */
	if (t->started)
		br_ssl_engine_close(e);
	if (t->started && n->fd >= 0 &&
	    (br_ssl_engine_current_state(e) & BR_SSL_SENDREC) &&
	    (p = br_ssl_engine_sendrec_buf(e, &len)) != NULL)
		(void)send(n->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_release(&t->checker.own);
	arena_release(&t->arena);
	explicit_bzero(&t->key, sizeof(t->key));
	free(t);
}
