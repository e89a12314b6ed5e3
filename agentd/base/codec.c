/* The binary codec; see codec.h. */
#include <assert.h>
#include <string.h>

#include "base/codec.h"
#include "base/utf8.h"

enum { T_NULL = 1, T_FALSE, T_TRUE, T_INT, T_FLOAT, T_STR, T_LIST, T_MAP,
    T_OMIT, T_UNDEF };
#define T_MASK		0x1f
#define T_TUPLE		0x20
#define T_SECRET	0x40

void
codec_put_varint(struct buf *b, uint64_t n)
{
	while (n >= 0x80) {
		buf_addc(b, (char)(n | 0x80));
		n >>= 7;
	}
	buf_addc(b, (char)n);
}

bool
codec_get_varint(const unsigned char **p, const unsigned char *end,
    uint64_t *ret)
{
	unsigned shift;

	*ret = 0;
	for (shift = 0; *p < end && shift < 64; shift += 7) {
		unsigned char c = *(*p)++;

		if (shift == 63 && c > 1)
			return false;
		*ret |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

void
codec_encode(struct buf *b, const struct value *v)
{
	unsigned extra = (v->flags & V_SECRET ? T_SECRET : 0u) |
	    (v->flags & V_TUPLE ? T_TUPLE : 0u);
	const struct ventry *e;
	uint64_t bits;
	uint32_t i;

#define TAG(t)	buf_addc(b, (char)((t) | extra))
	switch (v->type) {
	case V_NULL:
		TAG(T_NULL);
		break;
	case V_BOOL:
		TAG(v->u.b ? T_TRUE : T_FALSE);
		break;
	case V_OMIT:
		TAG(T_OMIT);
		break;
	case V_UNDEF:
		TAG(T_UNDEF);
		break;
	case V_INT:
		TAG(T_INT);
		codec_put_varint(b, (uint64_t)v->u.i << 1 ^
		    (v->u.i < 0 ? UINT64_MAX : 0));
		break;
	case V_FLOAT:
		TAG(T_FLOAT);
		memcpy(&bits, &v->u.f, sizeof(bits));
		for (i = 0; i < 8; i++)
			buf_addc(b, (char)(bits >> (8 * i)));
		break;
	case V_STR:
		TAG(T_STR);
		codec_put_varint(b, v->len);
		buf_add(b, v->u.s, v->len);
		break;
	case V_LIST:
		TAG(T_LIST);
		codec_put_varint(b, v->u.list->n);
		for (i = 0; i < v->u.list->n; i++)
			codec_encode(b, v->u.list->v[i]);
		break;
	case V_MAP:
		TAG(T_MAP);
		codec_put_varint(b, v->u.map->n);
		for (i = 0; (e = v_next(v, &i)) != NULL;) {
			codec_encode(b, e->key);
			codec_encode(b, e->val);
		}
		break;
	default:
		/* A template or an object on the wire is a bug. */
		assert(v->type != V_TMPL && v->type != V_OBJ);
	}
#undef TAG
}

struct decoder {
	struct arena		*arena;
	const unsigned char	*p, *end;
	struct err		*err;
};

static const struct value *
bad(struct decoder *d, enum err_code code, const char *what)
{
	(void)err_set(d->err, code, "malformed message: %s", what);
	return NULL;
}

static const struct value *
decode_str(struct decoder *d, uint64_t n)
{
	const char *s = (const char *)d->p;
	struct value *v;

	d->p += n;
	if (utf8_valid(s, n))
		return v_strn(d->arena, s, n);
	{
		struct buf clean = BUF_INIT;

		buf_init(&clean, n * 3);
		utf8_clean(&clean, s, n);
		v = v_strn(d->arena, buf_str(&clean), clean.len);
		buf_release(&clean);
	}
	return v;
}

static const struct value *decode(struct decoder *, unsigned depth);

static const struct value *
decode_many(struct decoder *d, bool map, uint64_t n, unsigned depth)
{
	struct value *v = map ? v_map(d->arena) : v_list(d->arena);

	while (n-- > 0) {
		const struct value *item = decode(d, depth + 1), *val;

		if (item == NULL)
			return NULL;
		if (!map) {
			v_push(d->arena, v, item);
			continue;
		}
		if (!v_hashable(item))
			return bad(d, ERR_INVALID, "a list or map as key");
		if ((val = decode(d, depth + 1)) == NULL)
			return NULL;
		v_set(d->arena, v, item, val);
	}
	return v;
}

static const struct value *
decode_body(struct decoder *d, unsigned tag, unsigned depth)
{
	uint64_t n = 0;
	double f;
	unsigned i;

	if (tag == T_INT || tag == T_STR || tag == T_LIST || tag == T_MAP) {
		if (!codec_get_varint(&d->p, d->end, &n))
			return bad(d, ERR_INVALID, "truncated number");
		/* Each element takes at least one byte. */
		if (tag != T_INT && n > (uint64_t)(d->end - d->p))
			return bad(d, ERR_INVALID, "a count beyond its end");
	}
	switch (tag) {
	case T_NULL:
		return &v_null;
	case T_FALSE:
		return &v_false;
	case T_TRUE:
		return &v_true;
	case T_OMIT:
		return &v_omit;
	case T_UNDEF:
		return v_undef(d->arena, "undefined on the other side");
	case T_INT:
		return v_int(d->arena, (int64_t)(n >> 1 ^ (0 - (n & 1))));
	case T_FLOAT:
		if (d->end - d->p < 8)
			return bad(d, ERR_INVALID, "truncated float");
		for (n = 0, i = 0; i < 8; i++)
			n |= (uint64_t)*d->p++ << (8 * i);
		memcpy(&f, &n, sizeof(f));
		return v_float(d->arena, f);
	case T_STR:
		return decode_str(d, n);
	case T_LIST:
	case T_MAP:
		if (depth >= V_DEPTH_MAX)
			return bad(d, ERR_LIMIT, "nested too deeply");
		return decode_many(d, tag == T_MAP, n, depth);
	default:
		return bad(d, ERR_INVALID, "unknown type");
	}
}

static const struct value *
decode(struct decoder *d, unsigned depth)
{
	const struct value *v;
	unsigned tag, flags;

	if (d->p >= d->end)
		return bad(d, ERR_INVALID, "it ends too early");
	tag = *d->p++;
	if (tag & 0x80)
		return bad(d, ERR_INVALID, "unknown type");
	flags = (tag & T_SECRET ? V_SECRET : 0u) |
	    ((tag & T_TUPLE) && (tag & T_MASK) == T_LIST ? V_TUPLE : 0u);
	if ((v = decode_body(d, tag & T_MASK, depth)) == NULL)
		return NULL;
	return flags != 0 ? v_flag(d->arena, v, flags) : v;
}

const struct value *
codec_decode(struct arena *a, const void *data, size_t len, struct err *err)
{
	struct decoder d = { a, data, (const unsigned char *)data + len, err };
	const struct value *v = decode(&d, 0);

	if (v != NULL && d.p != d.end)
		return bad(&d, ERR_INVALID, "bytes behind its end");
	return v;
}
