/*
 * MD5 (RFC 1321), SHA-1 and SHA-384/512 (FIPS 180-4), written plainly: they
 * check files that were downloaded or are compared, they protect nothing that
 * speed or side channels would matter for.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/arena.h"
#include "module/hash.h"

#define READ_CHUNK	((size_t)64 * 1024)

static uint32_t
rol32(uint32_t x, unsigned n)
{
	return (x << n) | (x >> (32 - n));
}

static uint64_t
ror64(uint64_t x, unsigned n)
{
	return (x >> n) | (x << (64 - n));
}

static uint32_t
be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
le32(const unsigned char *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[1] << 8 | p[0];
}

/* ---- md5 ---------------------------------------------------------------- */

static const uint32_t md5_k[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
	0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
	0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
	0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
	0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
	0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
	0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391
};

static void
md5_block(uint32_t h[5], const unsigned char *p)
{
	static const unsigned turn[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 },
		{ 4, 11, 16, 23 }, { 6, 10, 15, 21 } };
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3], f, t;
	unsigned i, g;

	for (i = 0; i < 64; i++) {
		switch (i / 16) {
		case 0:
			f = (b & c) | (~b & d);
			g = i;
			break;
		case 1:
			f = (d & b) | (~d & c);
			g = (5 * i + 1) % 16;
			break;
		case 2:
			f = b ^ c ^ d;
			g = (3 * i + 5) % 16;
			break;
		default:
			f = c ^ (b | ~d);
			g = (7 * i) % 16;
			break;
		}
		t = d;
		d = c;
		c = b;
		b += rol32(a + f + md5_k[i] + le32(p + (size_t)g * 4),
		    turn[i / 16][i % 4]);
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
}

/* ---- sha1 --------------------------------------------------------------- */

static void
sha1_block(uint32_t h[5], const unsigned char *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f, k, t;
	unsigned i;

	for (i = 0; i < 16; i++)
		w[i] = be32(p + (size_t)i * 4);
	for (; i < 80; i++)
		w[i] = rol32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (i = 0; i < 80; i++) {
		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		t = rol32(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rol32(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* ---- sha384, sha512 ----------------------------------------------------- */

static const uint64_t sha512_k[80] = {
	0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f,
	0xe9b5dba58189dbbc, 0x3956c25bf348b538, 0x59f111f1b605d019,
	0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242,
	0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
	0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
	0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3,
	0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65, 0x2de92c6f592b0275,
	0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
	0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f,
	0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
	0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc,
	0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
	0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6,
	0x92722c851482353b, 0xa2bfe8a14cf10364, 0xa81a664bbc423001,
	0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
	0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
	0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99,
	0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb,
	0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc,
	0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
	0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915,
	0xc67178f2e372532b, 0xca273eceea26619c, 0xd186b8c721c0c207,
	0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba,
	0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
	0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
	0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a,
	0x5fcb6fab3ad6faec, 0x6c44198c4a475817
};

static void
sha512_block(uint64_t h[8], const unsigned char *p)
{
	uint64_t w[80], v[8], s0, s1, t1, t2;
	unsigned i;

	for (i = 0; i < 16; i++)
		w[i] = (uint64_t)be32(p + (size_t)i * 8) << 32 |
		    be32(p + (size_t)i * 8 + 4);
	for (; i < 80; i++) {
		s0 = ror64(w[i - 15], 1) ^ ror64(w[i - 15], 8) ^ (w[i - 15] >> 7);
		s1 = ror64(w[i - 2], 19) ^ ror64(w[i - 2], 61) ^ (w[i - 2] >> 6);
		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	memcpy(v, h, sizeof(v));
	for (i = 0; i < 80; i++) {
		s1 = ror64(v[4], 14) ^ ror64(v[4], 18) ^ ror64(v[4], 41);
		t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha512_k[i] + w[i];
		s0 = ror64(v[0], 28) ^ ror64(v[0], 34) ^ ror64(v[0], 39);
		t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		h[i] += v[i];
}

/* ---- common ------------------------------------------------------------- */

bool
hash_find(const char *name, enum hash_kind *ret)
{
	static const char *const names[] = { "md5", "sha1", "sha224", "sha256",
		"sha384", "sha512" };
	char word[8];
	size_t i, n = 0;

	for (; *name != '\0'; name++) {
		if (*name == '-')
			continue;
		if (n + 1 >= sizeof(word))
			return false;
		word[n++] = (char)tolower((unsigned char)*name);
	}
	word[n] = '\0';
	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(word, names[i]) == 0) {
			*ret = (enum hash_kind)i;
			return true;
		}
	return false;
}

void
hash_init(struct hash *h, enum hash_kind kind)
{
	static const uint32_t sha1_start[5] = { 0x67452301, 0xefcdab89,
		0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	static const uint32_t sha224_start[8] = { 0xc1059ed8, 0x367cd507,
		0x3070dd17, 0xf70e5939, 0xffc00b31, 0x68581511, 0x64f98fa7,
		0xbefa4fa4 };
	static const uint64_t sha384_start[8] = { 0xcbbb9d5dc1059ed8,
		0x629a292a367cd507, 0x9159015a3070dd17, 0x152fecd8f70e5939,
		0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7,
		0x47b5481dbefa4fa4 };
	static const uint64_t sha512_start[8] = { 0x6a09e667f3bcc908,
		0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
		0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b,
		0x5be0cd19137e2179 };

	memset(h, 0, sizeof(*h));
	h->kind = kind;
	switch (kind) {
	case HASH_MD5:
	case HASH_SHA1:
		memcpy(h->u.w, sha1_start, sizeof(h->u.w));
		break;
	case HASH_SHA224:
		sha256_init(&h->u.s);
		memcpy(h->u.s.h, sha224_start, sizeof(sha224_start));
		break;
	case HASH_SHA256:
		sha256_init(&h->u.s);
		break;
	case HASH_SHA384:
		memcpy(h->u.d, sha384_start, sizeof(h->u.d));
		break;
	case HASH_SHA512:
		memcpy(h->u.d, sha512_start, sizeof(h->u.d));
		break;
	}
}

static size_t
block_size(enum hash_kind kind)
{
	return kind == HASH_SHA384 || kind == HASH_SHA512 ? 128 : 64;
}

static void
one_block(struct hash *h, const unsigned char *p)
{
	if (h->kind == HASH_MD5)
		md5_block(h->u.w, p);
	else if (h->kind == HASH_SHA1)
		sha1_block(h->u.w, p);
	else
		sha512_block(h->u.d, p);
}

void
hash_add(struct hash *h, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t size = block_size(h->kind), take;

	if (h->kind == HASH_SHA224 || h->kind == HASH_SHA256) {
		sha256_add(&h->u.s, data, n);
		return;
	}
	h->total += n;
	while (n > 0) {
		if (h->fill == 0 && n >= size) {
			one_block(h, p);
			p += size;
			n -= size;
			continue;
		}
		take = size - h->fill < n ? size - h->fill : n;
		memcpy(h->block + h->fill, p, take);
		h->fill += take;
		p += take;
		n -= take;
		if (h->fill == size) {
			one_block(h, h->block);
			h->fill = 0;
		}
	}
}

/* Padding and length; then the state as bytes. */
static size_t
finish(struct hash *h, unsigned char out[64])
{
	size_t size = block_size(h->kind), len = size / 8, i, n;
	uint64_t bits = h->total * 8;

	h->block[h->fill++] = 0x80;
	if (h->fill > size - len) {
		memset(h->block + h->fill, 0, size - h->fill);
		one_block(h, h->block);
		h->fill = 0;
	}
	memset(h->block + h->fill, 0, size - h->fill);
	for (i = 0; i < 8; i++) {
		if (h->kind == HASH_MD5)
			h->block[size - 8 + i] = (unsigned char)(bits >> (8 * i));
		else
			h->block[size - 1 - i] = (unsigned char)(bits >> (8 * i));
	}
	one_block(h, h->block);
	if (h->kind == HASH_MD5 || h->kind == HASH_SHA1) {
		n = h->kind == HASH_MD5 ? 16 : 20;
		for (i = 0; i < n; i++)
			out[i] = (unsigned char)(h->u.w[i / 4] >> (8 *
			    (h->kind == HASH_MD5 ? i % 4 : 3 - i % 4)));
		return n;
	}
	n = h->kind == HASH_SHA384 ? 48 : 64;
	for (i = 0; i < n; i++)
		out[i] = (unsigned char)(h->u.d[i / 8] >> (8 * (7 - i % 8)));
	return n;
}

void
hash_end(struct hash *h, char hex[HASH_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char out[64];
	size_t i, n;

	if (h->kind == HASH_SHA224 || h->kind == HASH_SHA256) {
		sha256_end(&h->u.s, out);
		n = h->kind == HASH_SHA224 ? 28 : 32;
	} else
		n = finish(h, out);
	for (i = 0; i < n; i++) {
		hex[2 * i] = digits[out[i] >> 4];
		hex[2 * i + 1] = digits[out[i] & 15];
	}
	hex[2 * n] = '\0';
}

void
hash_text(enum hash_kind kind, const void *data, size_t n,
    char hex[HASH_HEX_MAX])
{
	struct hash h;

	hash_init(&h, kind);
	hash_add(&h, data, n);
	hash_end(&h, hex);
}

int
hash_fd(int fd, enum hash_kind kind, char hex[HASH_HEX_MAX])
{
	CLEANUP_FREE char *chunk = xmalloc(READ_CHUNK);
	struct hash h;
	ssize_t n;

	hash_init(&h, kind);
	for (;;) {
		n = read(fd, chunk, READ_CHUNK);
		if (n == 0)
			break;
		if (n == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		hash_add(&h, chunk, (size_t)n);
	}
	hash_end(&h, hex);
	return 0;
}

int
hash_file(const char *path, enum hash_kind kind, char hex[HASH_HEX_MAX])
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return -1;
	}
	return hash_fd(fd, kind, hex);
}
