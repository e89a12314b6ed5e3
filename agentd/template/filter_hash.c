/*
 * Filters that hash and encode: digests through libcrypto, passwords through
 * libcrypt, UUIDs, base64.
 */
#include <crypt.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "base/utf8.h"
#include "template/filter_util.h"
#include "template/password.h"

static const struct value *
digest(struct tcall *c, const char *name, const char *s, size_t len)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	const EVP_MD *type;
	unsigned n;

	type = EVP_get_digestbyname(name);
	if (type == NULL)
		return terr(c, ERR_VALUE, "unsupported hash type %s", name);
	if ((EVP_MD_get_flags(type) & EVP_MD_FLAG_XOF) != 0)
		return terr(c, ERR_UNSUPPORTED, "hash: %s needs a length", name);
	if (EVP_Digest(s, len, md, &n, type, NULL) != 1)
		return terr(c, ERR_VALUE, "unsupported hash type %s", name);
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", md[i]);
	return v_strn(c->arena, hex, 2 * (size_t)n);
}

/* Python's name of an algorithm as OpenSSL's: sha3_256 is SHA3-256. */
static const struct value *
f_hash(struct tcall *c)
{
	static const struct { const char *py, *ossl; } names[] = {
		{ "blake2b", "blake2b512" }, { "blake2s", "blake2s256" },
	};
	const char *s, *type;
	size_t len, tlen;
	char *name;

	if (!fu_text(c, c->in, &s, &len) || !targ_str(c, 0, "sha1", &type, &tlen))
		return NULL;
	name = arena_strdup(c->arena, type);
	for (size_t i = 0; i < NITEMS(names); i++)
		if (strcasecmp(name, names[i].py) == 0)
			return digest(c, names[i].ossl, s, len);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
	return digest(c, name, s, len);
}

static const struct value *
f_md5(struct tcall *c)
{
	const char *s;
	size_t len;

	return fu_text(c, c->in, &s, &len) ? digest(c, "md5", s, len) : NULL;
}

static const struct value *
f_sha1(struct tcall *c)
{
	const char *s;
	size_t len;

	return fu_text(c, c->in, &s, &len) ? digest(c, "sha1", s, len) : NULL;
}

/* ---- UUID ---------------------------------------------------------------------------- */

/* uuid.UUID(text): hex digits with braces, hyphens and prefixes dropped. */
static bool
parse_uuid(const char *s, unsigned char out[16])
{
	unsigned n = 0, v;
	const char *end = s + strlen(s);

	while (*s == '{' || *s == '}')
		s++;
	while (end > s && (end[-1] == '{' || end[-1] == '}'))
		end--;
	for (; s < end; s++) {
		if (strncmp(s, "urn:", 4) == 0) {
			s += 3;
			continue;
		}
		if (strncmp(s, "uuid:", 5) == 0) {
			s += 4;
			continue;
		}
		if (*s == '-')
			continue;
		if (*s >= '0' && *s <= '9')
			v = (unsigned)(*s - '0');
		else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			v = (unsigned)((*s | 0x20) - 'a' + 10);
		else
			return false;
		if (n == 32)
			return false;
		out[n / 2] = (unsigned char)(n % 2 == 0 ? v << 4 : out[n / 2] | v);
		n++;
	}
	return n == 32;
}

static const struct value *
f_to_uuid(struct tcall *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	unsigned char ns[16], md[20];
	const char *s, *space;
	size_t len, nlen;

	if (!fu_text(c, c->in, &s, &len) ||
	    !targ_str(c, 0, "361E6D51-FAEC-444A-9079-341386DA8E2E", &space, &nlen))
		return NULL;
	if (!parse_uuid(space, ns))
		return terr(c, ERR_VALUE, "Invalid value '%s' for 'namespace': badly formed hexadecimal UUID string",
		    space);
	buf_add(&b, ns, sizeof(ns));
	buf_add(&b, s, len);
	if (EVP_Digest(b.data, b.len, md, NULL, EVP_sha1(), NULL) != 1)
		return terr(c, ERR_INTERNAL, "to_uuid: SHA-1 is not available");
	md[6] = (md[6] & 0x0f) | 0x50;
	md[8] = (md[8] & 0x3f) | 0x80;
	return v_strf(c->arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    md[0], md[1], md[2], md[3], md[4], md[5], md[6], md[7], md[8], md[9], md[10],
	    md[11], md[12], md[13], md[14], md[15]);
}

/* ---- base64 ---------------------------------------------------------------------------- */

static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum charset { CS_UTF8, CS_ASCII, CS_LATIN1, CS_UTF16, CS_UTF16LE, CS_UTF16BE, CS_UTF32,
    CS_UTF32LE, CS_UTF32BE };

/* Python's codec names, in lower case without separators. */
static bool
find_charset(struct tcall *c, const char *name, enum charset *ret)
{
	static const struct { const char *name; enum charset cs; } names[] = {
		{ "utf8", CS_UTF8 }, { "u8", CS_UTF8 }, { "utf", CS_UTF8 }, { "cp65001", CS_UTF8 },
		{ "ascii", CS_ASCII }, { "usascii", CS_ASCII }, { "646", CS_ASCII },
		{ "latin1", CS_LATIN1 }, { "latin", CS_LATIN1 }, { "l1", CS_LATIN1 },
		{ "iso88591", CS_LATIN1 },
		{ "utf16", CS_UTF16 }, { "u16", CS_UTF16 },
		{ "utf16le", CS_UTF16LE }, { "utf16be", CS_UTF16BE },
		{ "utf32", CS_UTF32 }, { "u32", CS_UTF32 },
		{ "utf32le", CS_UTF32LE }, { "utf32be", CS_UTF32BE },
	};
	char flat[32];
	size_t n = 0;

	for (const char *p = name; *p != '\0' && n < sizeof(flat) - 1; p++)
		if (*p != '-' && *p != '_' && *p != ' ')
			flat[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	flat[n] = '\0';
	for (size_t i = 0; i < NITEMS(names); i++)
		if (strcmp(flat, names[i].name) == 0) {
			*ret = names[i].cs;
			return true;
		}
	terr(c, ERR_UNSUPPORTED, "%s: the encoding '%s' is not supported; utf-8, ascii, latin-1, utf-16 and utf-32 are",
	    c->name, name);
	return false;
}

static void
put_unit(struct buf *b, uint32_t u, unsigned bytes, bool big)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_addc(b, (char)(unsigned char)(u >> (8 * (big ? bytes - 1 - i : i))));
}

static bool
encode(struct tcall *c, struct buf *b, enum charset cs, const char *s, size_t len)
{
	const char *end = s + len;
	bool big = cs == CS_UTF16BE || cs == CS_UTF32BE;
	uint32_t ch;
	unsigned n;

	if (cs == CS_UTF8) {
		buf_add(b, s, len);
		return true;
	}
	if (cs == CS_UTF16)
		put_unit(b, 0xfeff, 2, false);
	if (cs == CS_UTF32)
		put_unit(b, 0xfeff, 4, false);
	for (; s < end; s += n) {
		n = utf8_decode(s, (size_t)(end - s), &ch);
		if (n == 0) {
			n = 1;
			ch = 0xfffd;
		}
		if (cs == CS_ASCII || cs == CS_LATIN1) {
			if (ch > (cs == CS_ASCII ? 0x7fu : 0xffu)) {
				terr(c, ERR_VALUE, "%s: the encoding cannot express the character U+%04X",
				    c->name, ch);
				return false;
			}
			buf_addc(b, (char)(unsigned char)ch);
		} else if (cs >= CS_UTF32)
			put_unit(b, ch, 4, big);
		else if (ch >= 0x10000) {
			put_unit(b, 0xd800 + ((ch - 0x10000) >> 10), 2, big);
			put_unit(b, 0xdc00 + ((ch - 0x10000) & 0x3ff), 2, big);
		} else
			put_unit(b, ch, 2, big);
	}
	return true;
}

static uint32_t
get_unit(const unsigned char *p, unsigned bytes, bool big)
{
	uint32_t u = 0;

	for (unsigned i = 0; i < bytes; i++)
		u |= (uint32_t)p[i] << (8 * (big ? bytes - 1 - i : i));
	return u;
}

/* Bytes in an encoding to UTF-8. Bad UTF-8 becomes U+FFFD; units that are no characters are an error. */
static bool
decode(struct tcall *c, struct buf *b, enum charset cs, const unsigned char *p, size_t len)
{
	bool big = cs == CS_UTF16BE || cs == CS_UTF32BE;
	unsigned w = cs >= CS_UTF32 ? 4 : 2;
	uint32_t u, low;
	size_t i = 0;

	if (cs == CS_UTF8 || cs == CS_ASCII) {
		utf8_clean(b, (const char *)p, len);
		return true;
	}
	if (cs == CS_LATIN1) {
		for (i = 0; i < len; i++)
			utf8_encode(b, p[i]);
		return true;
	}
	if ((cs == CS_UTF16 || cs == CS_UTF32) && len >= w) {
		u = get_unit(p, w, false);
		big = u == (w == 2 ? 0xfffeu : 0xfffe0000u);
		if (u == 0xfeff || big)
			i = w;
	}
	for (; i + w <= len; i += w) {
		u = get_unit(p + i, w, big);
		if (w == 2 && u >= 0xd800 && u < 0xdc00 && i + 4 <= len) {
			low = get_unit(p + i + 2, 2, big);
			if (low >= 0xdc00 && low < 0xe000) {
				u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		if (u > 0x10ffff || (u >= 0xd800 && u < 0xe000))
			break;
		utf8_encode(b, u);
	}
	if (i < len)
		terr(c, ERR_VALUE, "%s: the codec can't decode the byte in position %zu", c->name, i);
	return i >= len;
}

static const struct value *
f_b64encode(struct tcall *c)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct buf out = BUF_INIT;
	const char *s, *enc, *abc;
	const unsigned char *p;
	size_t len, elen;
	uint32_t u;
	enum charset cs;
	bool url;

	if (!fu_text(c, c->in, &s, &len) || !targ_str(c, 0, "utf-8", &enc, &elen) ||
	    !targ_bool(c, 1, false, &url) || !find_charset(c, enc, &cs) ||
	    !encode(c, &raw, cs, s, len))
		return NULL;
	abc = url ? b64_url : b64_std;
	p = (const unsigned char *)buf_str(&raw);
	for (len = raw.len; len > 0; p += 3) {
		u = (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0) | (len > 2 ? p[2] : 0);
		buf_addc(&out, abc[u >> 18]);
		buf_addc(&out, abc[u >> 12 & 63]);
		buf_addc(&out, len > 1 ? abc[u >> 6 & 63] : '=');
		buf_addc(&out, len > 2 ? abc[u & 63] : '=');
		len -= len < 3 ? len : 3;
	}
	return fu_result(c, &out);
}

/* binascii.a2b_base64(), not strict: other characters are skipped, padding counts at the end only. */
static bool
b64_decode(struct tcall *c, const char *s, size_t len, bool url, struct buf *out)
{
	size_t chars = 0;
	unsigned quad = 0, pads = 0;
	uint32_t left = 0;
	const char *p;
	char ch;

	for (size_t i = 0; i < len; i++) {
		ch = s[i];
		if (url)
			ch = ch == '-' ? '+' : ch == '_' ? '/' : ch;
		if (ch == '=') {
			if (quad >= 2)
				pads++;
			continue;
		}
		if (ch == '\0' || (p = strchr(b64_std, ch)) == NULL)
			continue;
		pads = 0;
		chars++;
		left = left << 6 | (uint32_t)(p - b64_std);
		if (quad++ > 0)
			buf_addc(out, (char)(unsigned char)(left >> (8 - 2 * quad)));
		if (quad == 4) {
			quad = 0;
			left = 0;
		}
	}
	if (quad == 1)
		terr(c, ERR_VALUE, "Invalid base64-encoded string: number of data characters (%zu) cannot be 1 more than a multiple of 4",
		    chars);
	else if (quad != 0 && quad + pads < 4)
		terr(c, ERR_VALUE, "Incorrect padding");
	else
		return true;
	return false;
}

static const struct value *
f_b64decode(struct tcall *c)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct buf out = BUF_INIT;
	const char *s, *enc;
	size_t len, elen;
	enum charset cs;
	bool url;

	if (!fu_text(c, c->in, &s, &len) || !targ_str(c, 0, "utf-8", &enc, &elen) ||
	    !targ_bool(c, 1, false, &url) || !find_charset(c, enc, &cs) ||
	    !b64_decode(c, s, len, url, &raw))
		return NULL;
	if (!decode(c, &out, cs, (const unsigned char *)buf_str(&raw), raw.len)) {
		buf_release(&out);
		return NULL;
	}
	return fu_result(c, &out);
}

/* ---- password_hash ------------------------------------------------------------------------ */

static const char salt_chars[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char bcrypt_chars[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static const struct scheme {
	const char	*names[3];
	const char	*prefix;	/* NULL: bcrypt, by ident */
	size_t		 salt_max, salt_min;
	int64_t		 rounds, rounds_min, rounds_max;	/* 0: none */
} schemes[] = {
	{ { "md5", "md5_crypt", NULL }, "$1$", 8, 0, 0, 0, 0 },
	{ { "blowfish", "bcrypt", NULL }, NULL, 22, 22, 12, 4, 31 },
	{ { "sha256", "sha256_crypt", NULL }, "$5$", 16, 0, 535000, 1000, 999999999 },
	{ { "sha512", "sha512_crypt", NULL }, "$6$", 16, 0, 656000, 1000, 999999999 },
};

void
random_chars(struct buf *b, const char *chars, size_t nchars, size_t n)
{
	unsigned char r;

	while (n > 0) {
		if (getrandom(&r, 1, 0) != 1)
			continue;
		/* No remainder that some characters would be favoured by. */
		if (r >= 256 / nchars * nchars)
			continue;
		buf_addc(b, chars[r % nchars]);
		n--;
	}
}

/* The unused low bits of bcrypt's last salt character are zero. */
static void
repair_bcrypt(char *salt)
{
	const char *p = strchr(bcrypt_chars, salt[21]);

	if (p != NULL)
		salt[21] = bcrypt_chars[(p - bcrypt_chars) & 0x30];
}

static const struct scheme *
find_scheme(const char *name)
{
	for (size_t i = 0; i < NITEMS(schemes); i++)
		if (strcmp(name, schemes[i].names[0]) == 0 || strcmp(name, schemes[i].names[1]) == 0)
			return &schemes[i];
	return NULL;
}

/* What crypt() wants beside the password. 0, or -1 with err. */
static int
put_setting(struct buf *setting, const char *type, const struct password_opts *o,
    struct err *err)
{
	CLEANUP_BUF struct buf salt = BUF_INIT;
	const struct scheme *s = find_scheme(type);
	int64_t rounds;
	const char *ident;
	size_t n;

	if (s == NULL)
		return err_set(err, ERR_VALUE, "%s is not in the list of supported passlib algorithms: md5, blowfish, sha256, sha512", type);
	rounds = o->rounds != 0 ? o->rounds : s->rounds;
	if (s->rounds == 0 && o->rounds != 0)
		return err_set(err, ERR_VALUE, "%s has no rounds", s->names[1]);
	if (s->rounds != 0 && (rounds < s->rounds_min || rounds > s->rounds_max))
		return err_set(err, ERR_VALUE, "rounds must be between %lld and %lld for %s",
		    (long long)s->rounds_min, (long long)s->rounds_max, type);
	if (rounds > PASSWORD_ROUNDS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d rounds take too long", PASSWORD_ROUNDS_MAX);
	if (o->salt != NULL && *o->salt != '\0') {
		n = strlen(o->salt);
		if (strspn(o->salt, salt_chars) != n)
			return err_set(err, ERR_VALUE, "invalid characters in %s salt", s->names[1]);
		if (n > s->salt_max || n < s->salt_min)
			return err_set(err, ERR_VALUE, "salt of %zu characters; %s wants %s%zu", n,
			    s->names[1], s->salt_min == 0 ? "at most " : "", s->salt_max);
		buf_adds(&salt, o->salt);
	} else {
		n = o->salt_size != 0 ? (size_t)o->salt_size : s->salt_max;
		if (o->salt_size < 0 || n > s->salt_max || n < s->salt_min)
			return err_set(err, ERR_VALUE, "salt_size must be at most %zu for %s", s->salt_max, type);
		random_chars(&salt, salt_chars, 64, n);
	}
	(void)buf_str(&salt);
	if (s->prefix == NULL) {
		ident = o->ident != NULL && *o->ident != '\0' ? o->ident : "2b";
		if (strcmp(ident, "2b") != 0 && strcmp(ident, "2a") != 0 && strcmp(ident, "2y") != 0)
			return err_set(err, ERR_VALUE, "ident must be 2a, 2b or 2y");
		repair_bcrypt(salt.data);
		buf_addf(setting, "$%s$%02d$%s", ident, (int)rounds, buf_str(&salt));
	} else if (s->rounds == 0 || rounds == 5000)
		buf_addf(setting, "%s%s$", s->prefix, buf_str(&salt));
	else
		buf_addf(setting, "%srounds=%lld$%s$", s->prefix, (long long)rounds, buf_str(&salt));
	return 0;
}

int
password_check(const char *type, const struct password_opts *o, struct err *err)
{
	CLEANUP_BUF struct buf setting = BUF_INIT;

	return put_setting(&setting, type, o, err);
}

int
password_crypt(const char *password, const char *type, const struct password_opts *o,
    struct buf *out, struct err *err)
{
	CLEANUP_BUF struct buf setting = BUF_INIT;
	struct crypt_data *data;
	const char *hash;

	if (put_setting(&setting, type, o, err) == -1)
		return -1;
	data = xcalloc(1, sizeof(*data));
	hash = crypt_r(password, buf_str(&setting), data);
	if (hash == NULL || *hash == '*') {
		free(data);
		return err_set(err, ERR_VALUE, "cannot hash with %s", type);
	}
	buf_adds(out, hash);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return 0;
}

static const struct value *
f_password_hash(struct tcall *c)
{
	struct password_opts o = { NULL, NULL, 0, 0 };
	struct buf b = BUF_INIT;
	const char *type;
	size_t len, tlen;

	if (!targ_str(c, 0, "sha512", &type, &tlen) ||
	    (fu_given(c, 1) && !fu_arg_text(c, 1, NULL, &o.salt, &len)) ||
	    (fu_given(c, 2) && !targ_int(c, 2, 0, &o.salt_size)) ||
	    (fu_given(c, 3) && !targ_int(c, 3, 0, &o.rounds)) ||
	    (fu_given(c, 4) && !fu_arg_text(c, 4, NULL, &o.ident, &len)))
		return NULL;
	if (c->in->type != V_STR)
		return terr(c, ERR_TYPE, "secret must be unicode or bytes, not %s",
		    c->in->type == V_NULL ? "None" : tmpl_py_type(c->in));
	if (memchr(c->in->u.s, '\0', c->in->len) != NULL)
		return terr(c, ERR_VALUE, "password_hash: a password cannot hold a NUL character");
	if (password_crypt(c->in->u.s, type, &o, &b, c->err) != 0) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static const struct tfilter filters[] = {
	{ "b64decode", "encoding,urlsafe", 0, f_b64decode },
	{ "b64encode", "encoding,urlsafe", 0, f_b64encode },
	{ "checksum", "", 0, f_sha1 },
	{ "hash", "hashtype", 0, f_hash },
	{ "md5", "", 0, f_md5 },
	{ "password_hash", "hashtype,salt,salt_size,rounds,ident", 0, f_password_hash },
	{ "sha1", "", 0, f_sha1 },
	{ "to_uuid", "namespace", 0, f_to_uuid },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_hash = { filters, NULL };
