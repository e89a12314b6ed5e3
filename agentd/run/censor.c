/*
 * Finds secrets in texts.
 *
 * A secret turns up in other dress too: in an Authorization header, a URL, a
 * quoted command, a JSON file.  So for each one these are looked for:
 *
 *	itself
 *	Base64 and its URL variant, at the three places that it can have in a
 *		longer text, also across line ends
 *	URL-quoted, `/` and blank in both ways
 *	shell-quoted: 'a'"'"'b', 'a'\''b', a\'b
 *	JSON- and Python-escaped, \uXXXX or not
 *	in upper or lower case, when it has a digit (else it could be any word)
 *	the lines of a longer one
 *
 * Long secrets (keys) are looked for in pieces, so that a part of them is found
 * too, and what stands between two hits is less than a piece.
 *
 * All patterns sit in a hash table by their first four bytes: a text costs one
 * look into the table a byte (about 4 ns), whatever the number of secrets, and
 * secrets can be added at any time for the price of their own length.  An
 * Aho-Corasick automaton would be linear in the worst case too, but would have
 * to be built anew for each host's variables; here the worst case is a factor
 * of the piece's length, for texts made of a secret's beginning.
 */
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "module/base64.h"
#include "run/censor.h"

#define LINE_MIN	12	/* a line of a longer secret */
#define WHOLE_MAX	256	/* longer ones are cut into pieces */
#define PIECE		96u	/* divisible by 3: Base64 of pieces is pieces of Base64 */
#define FORMS_MAX	((size_t)64 * 1024)	/* of longer ones only the text itself */

struct pattern {
	struct pattern	*next;
	const char	*s;
	uint32_t	 len;
	bool		 lines;		/* line ends may be within: Base64 */
};

struct censor {
	struct arena	*arena;
	struct pattern	**slots;
	uint32_t	 nslots, n;	/* nslots: a power of two */
};

struct censor *
censor_new(struct arena *a)
{
	struct censor *c = ARENA_NEW(a, struct censor);

	c->arena = a;
	c->nslots = 64;
	c->slots = ARENA_ARRAY(a, c->nslots, struct pattern *);
	return c;
}

static inline uint32_t
slot_of(const struct censor *c, const char *s)
{
	uint32_t w;

	memcpy(&w, s, sizeof(w));
	w *= 0x9e3779b1u;
	return (w ^ w >> 15) & (c->nslots - 1);
}

static void
grow(struct censor *c)
{
	struct pattern **old = c->slots, *p, *next;
	uint32_t n = c->nslots, i, slot;

	c->nslots = n * 4;
	c->slots = ARENA_ARRAY(c->arena, c->nslots, struct pattern *);
	for (i = 0; i < n; i++)
		for (p = old[i]; p != NULL; p = next) {
			next = p->next;
			slot = slot_of(c, p->s);
			p->next = c->slots[slot];
			c->slots[slot] = p;
		}
}

static void
add_pattern(struct censor *c, const char *s, size_t n, bool lines)
{
	struct pattern *p;
	uint32_t slot;

	if (n < CENSOR_MIN)
		return;
	for (p = c->slots[slot_of(c, s)]; p != NULL; p = p->next)
		if (p->len == n && memcmp(p->s, s, n) == 0)
			return;
	if (c->n++ >= c->nslots / 4)
		grow(c);
	slot = slot_of(c, s);
	p = ARENA_NEW(c->arena, struct pattern);
	p->s = arena_strndup(c->arena, s, n);
	p->len = (uint32_t)n;
	p->lines = lines;
	p->next = c->slots[slot];
	c->slots[slot] = p;
}

/* ---- forms -------------------------------------------------------------------------- */

static void
add_buf(struct censor *c, struct buf *b)
{
	add_pattern(c, b->data, b->len, false);
	buf_clear(b);
}

/* A line end within the first four digits would hide the rest from the table. */
static void
add_digits(struct censor *c, const char *s, size_t n)
{
	add_pattern(c, s, n, true);
	if (n >= CENSOR_MIN + 8)
		add_pattern(c, s + CENSOR_MIN, n - CENSOR_MIN, true);
}

static void
add_base64(struct censor *c, const char *s, size_t n, struct buf *b)
{
	CLEANUP_BUF struct buf shifted = BUF_INIT;
	unsigned before;
	size_t first, end, i;

	for (before = 0; before < 3; before++) {
		buf_clear(&shifted);
		buf_clear(b);
		buf_add(&shifted, "\0\0", before);
		buf_add(&shifted, s, n);
		base64_encode(b, shifted.data, shifted.len);
		/* Without the digits that also hold bits of the neighbours. */
		first = (before * 8 + 5) / 6;
		end = (before + n) * 8 / 6;
		if (end <= first)
			continue;
		add_digits(c, b->data + first, end - first);
		for (i = first; i < end; i++)
			if (b->data[i] == '+' || b->data[i] == '/')
				b->data[i] = b->data[i] == '+' ? '-' : '_';
		add_digits(c, b->data + first, end - first);
	}
	buf_clear(b);
}

static void
add_url(struct censor *c, const char *s, size_t n, struct buf *b)
{
	unsigned way;
	size_t i;

	for (way = 0; way < 4; way++) {
		for (i = 0; i < n; i++) {
			unsigned char ch = (unsigned char)s[i];

			if (isalnum(ch) || (ch != '\0' && strchr("-._~", ch) != NULL) ||
			    (ch == '/' && (way & 1)))
				buf_addc(b, s[i]);
			else if (ch == ' ' && (way & 2))
				buf_addc(b, '+');
			else
				buf_addf(b, "%%%02X", ch);
		}
		add_buf(c, b);
	}
}

static void
add_shell(struct censor *c, const char *s, size_t n, struct buf *b)
{
	static const char *const quotes[] = { "'\"'\"'", "'\\''" };
	size_t i, way;

	for (way = 0; way < NITEMS(quotes); way++) {
		for (i = 0; i < n; i++)
			if (s[i] == '\'')
				buf_adds(b, quotes[way]);
			else
				buf_addc(b, s[i]);
		add_buf(c, b);
	}
	/* within "", and without quotes */
	for (way = 0; way < 2; way++) {
		for (i = 0; i < n; i++) {
			if (s[i] != '\0' && strchr(way == 0 ? "\\\"$`" :
			    "\\\"$`'&;|<>(){}[]*?!#~ ", s[i]) != NULL)
				buf_addc(b, '\\');
			buf_addc(b, s[i]);
		}
		add_buf(c, b);
	}
}

static void
add_escaped(struct censor *c, const char *s, size_t n, struct buf *b)
{
	static const unsigned flags[] = { 0, JSON_ASCII };
	size_t i;

	for (i = 0; i < NITEMS(flags); i++) {
		json_write_str(b, s, n, flags[i]);
		add_pattern(c, b->data + 1, b->len - 2, false);
		buf_clear(b);
	}
	/* Python's repr() of a text with both quotes. */
	for (i = 0; i < n; i++) {
		if (s[i] == '\n')
			buf_adds(b, "\\n");
		else {
			if (s[i] == '\\' || s[i] == '\'')
				buf_addc(b, '\\');
			buf_addc(b, s[i]);
		}
	}
	add_buf(c, b);
}

static void
add_case(struct censor *c, const char *s, size_t n, struct buf *b)
{
	size_t i;

	for (i = 0; i < n && !isdigit((unsigned char)s[i]); i++)
		;
	if (i == n)
		return;
	for (i = 0; i < n; i++)
		buf_addc(b, (char)toupper((unsigned char)s[i]));
	add_buf(c, b);
	for (i = 0; i < n; i++)
		buf_addc(b, (char)tolower((unsigned char)s[i]));
	add_buf(c, b);
}

static void
add_forms(struct censor *c, const char *s, size_t n, bool all)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	add_pattern(c, s, n, false);
	if (!all || n < CENSOR_MIN)
		return;
	add_base64(c, s, n, &b);
	add_url(c, s, n, &b);
	add_shell(c, s, n, &b);
	add_escaped(c, s, n, &b);
	add_case(c, s, n, &b);
	if (b.data != NULL)
		explicit_bzero(b.data, b.cap);
}

void
censor_add(struct censor *c, const char *s, size_t n)
{
	bool all = n <= FORMS_MAX;
	const char *p, *end = s + n, *nl;
	size_t len;

	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	for (; n > 0 && isspace((unsigned char)*s); n--)
		s++;
	if (n <= WHOLE_MAX)
		add_forms(c, s, n, all);
	else
		for (p = s; p < s + n; p += len) {
			len = (size_t)(s + n - p) < 2 * PIECE ? (size_t)(s + n - p) : PIECE;
			add_forms(c, p, len, all);
		}
	/* A key's lines come back as lines. */
	end = s + n;
	for (p = s; memchr(s, '\n', n) != NULL && p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		if (nl - p >= LINE_MIN)
			add_forms(c, p, (size_t)(nl - p), all);
	}
}

/* ---- texts -------------------------------------------------------------------------- */

/* How much of the text the pattern takes; 0: it does not stand there. */
static size_t
match(const struct pattern *p, const char *s, size_t n)
{
	size_t i = 0, k = 0;

	if (!p->lines)
		return p->len <= n && memcmp(p->s, s, p->len) == 0 ? p->len : 0;
	while (k < p->len && i < n) {
		if (s[i] == p->s[k])
			k++;
		else if (s[i] != '\n' && s[i] != '\r')
			return 0;
		i++;
	}
	return k == p->len ? i : 0;
}

/* The longest secret that begins here: its length, or 0. */
static size_t
hit_at(const struct censor *c, const char *s, size_t n)
{
	const struct pattern *p;
	size_t best = 0, len;

	for (p = c->slots[slot_of(c, s)]; p != NULL; p = p->next)
		if ((len = match(p, s, n)) > best)
			best = len;
	return best;
}

/* Names of a result's parts and of variables stay as they are, though a vault may hold the word. */
static bool
plain_key(const struct value *k)
{
	return k->type == V_STR && !(k->flags & V_SECRET) &&
	    strspn(k->u.s, "abcdefghijklmnopqrstuvwxyz_") == k->len;
}

/* Where the first secret begins, or n. */
static size_t
first_hit(const struct censor *c, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i + CENSOR_MIN <= n; i++)
		if (hit_at(c, s + i, n - i) > 0)
			return i;
	return n;
}

bool
censor_hits(const struct censor *c, const char *s, size_t n)
{
	return c != NULL && first_hit(c, s, n) < n;
}

bool
censor_hits_in(const struct censor *c, const struct value *v)
{
	const struct ventry *e;
	uint32_t i;

	if (v->type == V_STR)
		return censor_hits(c, v->u.s, v->len);
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			if (censor_hits_in(c, v_at(v, i)))
				return true;
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			if ((!plain_key(e->key) && censor_hits_in(c, e->key)) ||
			    censor_hits_in(c, e->val))
				return true;
	}
	return false;
}

/* The text from its first hit on; neighbouring and overlapping secrets become one. */
static const struct value *
censored(const struct censor *c, struct arena *a, const char *s, size_t n, size_t pos)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t end = 0, len;

	out.max = n * 2 + sizeof(CENSORED);	/* a secret of 4 bytes becomes 8 */
	buf_add(&out, s, pos);
	for (; pos < n; pos++) {
		len = pos + CENSOR_MIN <= n ? hit_at(c, s + pos, n - pos) : 0;
		if (len > 0) {
			if (end == 0 || pos > end)
				buf_adds(&out, CENSORED);
			if (pos + len > end)
				end = pos + len;
		}
		if (pos >= end)
			buf_addc(&out, s[pos]);
	}
	return v_strn(a, buf_str(&out), out.len);
}

const char *
censor_text(const struct censor *c, struct arena *a, const char *s)
{
	size_t n, at;

	if (c == NULL || s == NULL)
		return s;
	n = strlen(s);
	if ((at = first_hit(c, s, n)) == n)
		return s;
	return censored(c, a, s, n, at)->u.s;
}

const struct value *
censor_value(const struct censor *c, struct arena *a, const struct value *v)
{
	const struct ventry *e;
	struct value *out;
	uint32_t i;
	size_t at;

	if (v->flags & V_SECRET)
		return v_str(a, CENSORED);
	switch (v->type) {
	case V_STR:
		return c == NULL || (at = first_hit(c, v->u.s, v->len)) == v->len ? v :
		    censored(c, a, v->u.s, v->len, at);
	case V_LIST:
	case V_MAP:
		if (!v_any_flag(v, V_SECRET) && (c == NULL || !censor_hits_in(c, v)))
			return v;
		if (v->type == V_LIST) {
			out = v_list(a);
			for (i = 0; i < v_count(v); i++)
				v_push(a, out, censor_value(c, a, v_at(v, i)));
			return out;
		}
		out = v_map(a);
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			v_set(a, out, plain_key(e->key) ? e->key :
			    censor_value(c, a, e->key), censor_value(c, a, e->val));
		return out;
	default:
		return v;
	}
}
