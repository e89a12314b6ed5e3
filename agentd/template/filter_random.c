/*
 * `random` and `shuffle`, with Python's generator: see filter_random.h.
 *
 * With a seed the twister (MT19937) is set up as random.seed(a, version=2)
 * does: an integer by its 32-bit words, a string by its bytes followed by
 * their SHA-512, as one big-endian number.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "template/filter_random.h"
#include "template/filter_util.h"

#define MT_N	624
#define MT_M	397

static void
mt_init(struct pyrandom *r, uint32_t s)
{
	r->mt[0] = s;
	for (uint32_t i = 1; i < MT_N; i++)
		r->mt[i] = 1812433253u * (r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) + i;
	r->i = MT_N;
}

static void
mt_init_by_array(struct pyrandom *r, const uint32_t *key, size_t len)
{
	uint32_t i = 1, j = 0;
	size_t k;

	mt_init(r, 19650218u);
	for (k = len > MT_N ? len : MT_N; k > 0; k--) {
		r->mt[i] = (r->mt[i] ^ ((r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) * 1664525u)) +
		    key[j] + j;
		if (++i >= MT_N) {
			r->mt[0] = r->mt[MT_N - 1];
			i = 1;
		}
		if (++j >= len)
			j = 0;
	}
	for (k = MT_N - 1; k > 0; k--) {
		r->mt[i] = (r->mt[i] ^ ((r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) * 1566083941u)) - i;
		if (++i >= MT_N) {
			r->mt[0] = r->mt[MT_N - 1];
			i = 1;
		}
	}
	r->mt[0] = 0x80000000u;
}

static uint32_t
mt_next(struct pyrandom *r)
{
	uint32_t y;

	if (r->i >= MT_N) {
		for (uint32_t k = 0; k < MT_N; k++) {
			y = (r->mt[k] & 0x80000000u) | (r->mt[(k + 1) % MT_N] & 0x7fffffffu);
			r->mt[k] = r->mt[(k + MT_M) % MT_N] ^ (y >> 1) ^
			    ((y & 1) != 0 ? 0x9908b0dfu : 0);
		}
		r->i = 0;
	}
	y = r->mt[r->i++];
	y ^= y >> 11;
	y ^= (y << 7) & 0x9d2c5680u;
	y ^= (y << 15) & 0xefc60000u;
	return y ^ (y >> 18);
}

void
pyrandom_system(struct pyrandom *r)
{
	r->seeded = false;
}

bool
pyrandom_seed(struct pyrandom *r, const struct value *seed)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	unsigned char sha[64];
	uint32_t *key;
	size_t n, i, k;
	uint64_t u;
	int64_t num;

	r->seeded = true;
	if (fu_is_int(seed, &num)) {
		uint32_t words[2];

		u = num < 0 ? 0 - (uint64_t)num : (uint64_t)num;
		words[0] = (uint32_t)u;
		words[1] = (uint32_t)(u >> 32);
		mt_init_by_array(r, words, words[1] != 0 ? 2 : 1);
		return true;
	}
	if (seed->type != V_STR)
		return false;
	buf_add(&b, seed->u.s, seed->len);
	if (EVP_Digest(seed->u.s, seed->len, sha, NULL, EVP_sha512(), NULL) != 1)
		return false;
	buf_add(&b, sha, sizeof(sha));
	/* Leading zero bytes carry nothing in a number. */
	for (k = 0; k < b.len - 1 && b.data[k] == '\0'; k++)
		continue;
	n = (b.len - k + 3) / 4;
	key = xcalloc(n, sizeof(*key));
	for (i = 0; i < b.len - k; i++)
		key[i / 4] |= (uint32_t)(unsigned char)b.data[b.len - 1 - i] << (8 * (i % 4));
	mt_init_by_array(r, key, n);
	free(key);
	return true;
}

static uint64_t
random_bits(struct pyrandom *r, unsigned k)
{
	uint64_t u = 0;

	if (!r->seeded) {
		while (getrandom(&u, sizeof(u), 0) != (ssize_t)sizeof(u))
			if (errno != EINTR)
				abort();
		return k < 64 ? u & (((uint64_t)1 << k) - 1) : u;
	}
	if (k <= 32)
		return mt_next(r) >> (32 - k);
	u = mt_next(r);
	return u | (uint64_t)(mt_next(r) >> (64 - k)) << 32;
}

uint64_t
pyrandom_below(struct pyrandom *r, uint64_t n)
{
	unsigned k = 64 - (unsigned)__builtin_clzll(n);
	uint64_t u;

	do
		u = random_bits(r, k);
	while (u >= n);
	return u;
}

static bool
setup(struct tcall *c, uint32_t i, struct pyrandom *r)
{
	if (i >= c->na || c->a[i] == NULL || c->a[i]->type == V_NULL) {
		pyrandom_system(r);
		return true;
	}
	if (pyrandom_seed(r, c->a[i]))
		return true;
	terr(c, ERR_UNSUPPORTED, "%s: a seed must be an int or a str, not %s", c->name,
	    tmpl_py_type(c->a[i]));
	return false;
}

static const struct value *
random_int(struct tcall *c, struct pyrandom *r, int64_t end)
{
	int64_t start = 0, step = 1;
	uint64_t span, n;

	if (fu_given(c, 0) && !targ_int(c, 0, 0, &start))
		return NULL;
	if (fu_given(c, 1) && !targ_int(c, 1, 1, &step))
		return NULL;
	if (step == 0)
		step = 1;
	if (step > 0 ? start >= end : start <= end)
		return terr(c, ERR_VALUE, "random: empty range (%lld, %lld, %lld)",
		    (long long)start, (long long)end, (long long)step);
	span = step > 0 ? (uint64_t)end - (uint64_t)start : (uint64_t)start - (uint64_t)end;
	n = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
	n = (span - 1) / n + 1;
	return v_int(c->arena, (int64_t)((uint64_t)start + pyrandom_below(r, n) * (uint64_t)step));
}

static const struct value *
f_random(struct tcall *c)
{
	struct pyrandom r;
	const struct vlist *l;
	int64_t end;

	if (!setup(c, 2, &r))
		return NULL;
	if (fu_is_int(c->in, &end))
		return random_int(c, &r, end);
	if (c->in->type != V_LIST && c->in->type != V_STR && c->in->type != V_OBJ)
		return terr(c, ERR_TYPE, "random can only be used on sequences and integers");
	if ((fu_given(c, 0) && tcall_truth(c->a[0])) || (fu_given(c, 1) && tcall_truth(c->a[1])))
		return terr(c, ERR_VALUE, "start and step can only be used with integer values");
	l = fu_list(c, c->in);
	if (l == NULL)
		return NULL;
	if (l->n == 0)
		return terr(c, ERR_VALUE, "random: the sequence is empty");
	return l->v[pyrandom_below(&r, l->n)];
}

static const struct value *
f_shuffle(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *t;
	const struct vlist *l;
	struct pyrandom r;
	uint32_t j;

	/* What is no list stays as it is: Ansible ignores the error. */
	if (c->in->type != V_LIST && c->in->type != V_STR && c->in->type != V_MAP &&
	    c->in->type != V_OBJ)
		return c->in;
	l = fu_list_lazy(c, c->in);
	if (l == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i]->type == V_UNDEF)
			return c->in;
	if (c->a[0] != NULL && tcall_truth(c->a[0])) {
		if (!setup(c, 0, &r))
			return NULL;
	} else
		pyrandom_system(&r);
	for (uint32_t i = 0; i < l->n; i++)
		v_push(c->arena, out, l->v[i]);
	for (uint32_t i = l->n; i > 1; i--) {
		j = (uint32_t)pyrandom_below(&r, i);
		t = out->u.list->v[i - 1];
		out->u.list->v[i - 1] = out->u.list->v[j];
		out->u.list->v[j] = t;
	}
	return out;
}

static const struct tfilter filters[] = {
	{ "random", "start,step,seed", 0, f_random },
	{ "shuffle", "seed", 0, f_shuffle },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_random = { filters, NULL };
