/*
 * Unified diffs by Myers' O(ND) algorithm on lines.
 *
 * What two texts have in common at both ends is set aside first: most changes
 * are one line in a long file.  The search keeps one array of furthest points
 * per edit step, so its memory grows with the square of the differences: past
 * STEPS_MAX the middle is shown as removed and added as a whole, which is what
 * a person would want of texts so different.
 */
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "state/udiff.h"

#define CONTEXT		3
#define STEPS_MAX	600
#define LINES_MAX	200000u

struct line {
	const char	*s;
	uint32_t	 len;		/* with its newline */
	uint32_t	 hash;
};

struct lines {
	struct line	*v;
	uint32_t	 n;
};

/* A run of lines: n equal ones, or dels removed and adds added. */
struct hunk {
	uint32_t	 a, b;		/* where it begins in either text */
	uint32_t	 dels, adds;
};

struct script {
	struct hunk	*v;
	uint32_t	 n, cap;
	struct arena	*arena;
};

static void
split(struct arena *a, const char *s, size_t n, struct lines *ret)
{
	size_t pos = 0, count = 0, i;

	for (i = 0; i < n; i++)
		count += s[i] == '\n';
	ret->v = ARENA_ARRAY(a, count + 1, struct line);
	ret->n = 0;
	while (pos < n && ret->n < LINES_MAX) {
		const char *end = memchr(s + pos, '\n', n - pos);
		size_t len = end != NULL ? (size_t)(end - s) + 1 - pos : n - pos;

		ret->v[ret->n++] = (struct line){ s + pos, (uint32_t)len,
		    v_hash_str(s + pos, len) };
		pos += len;
	}
}

static bool
same(const struct line *a, const struct line *b)
{
	return a->hash == b->hash && a->len == b->len &&
	    memcmp(a->s, b->s, a->len) == 0;
}

static void
script_add(struct script *s, uint32_t a, uint32_t b, uint32_t dels, uint32_t adds)
{
	struct hunk *last = s->n > 0 ? &s->v[s->n - 1] : NULL;

	if (last != NULL && last->a + last->dels == a && last->b + last->adds == b) {
		last->dels += dels;
		last->adds += adds;
		return;
	}
	if (s->n == s->cap) {
		uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;

		s->v = arena_grow(s->arena, s->v, s->cap * sizeof(*s->v),
		    cap * sizeof(*s->v));
		s->cap = cap;
	}
	s->v[s->n++] = (struct hunk){ a, b, dels, adds };
}

/*
 * Goes back from the end along the recorded points; steps come out last first.
 * trace[d] holds V of step d for the diagonals -d..d.
 */
static void
backtrack(struct arena *arena, int32_t **trace, int32_t d, int32_t x, int32_t y,
    uint32_t a0, uint32_t b0, struct script *s)
{
	struct { uint32_t a, b; bool del; } *steps;
	int32_t n = 0, i;

	steps = arena_array(arena, (size_t)d + 1, sizeof(*steps));
	for (; d > 0; d--) {
		const int32_t *v = trace[d - 1] + (d - 1);	/* v[k], |k| <= d - 1 */
		int32_t k = x - y, px, py;
		bool down = k == -d || (k != d && (k - 1 < -(d - 1) ? -1 : v[k - 1]) <
		    (k + 1 > d - 1 ? -1 : v[k + 1]));

		px = down ? v[k + 1] : v[k - 1];
		py = px - (down ? k + 1 : k - 1);
		steps[n].a = a0 + (uint32_t)px;
		steps[n].b = b0 + (uint32_t)py;
		steps[n++].del = !down;
		x = px;
		y = py;
	}
	for (i = n - 1; i >= 0; i--)
		script_add(s, steps[i].a, steps[i].b, steps[i].del ? 1 : 0,
		    steps[i].del ? 0 : 1);
}

/* The middle of both texts: a[0..na), b[0..nb). */
static void
myers(struct arena *arena, const struct line *a, uint32_t na, const struct line *b,
    uint32_t nb, uint32_t a0, uint32_t b0, struct script *s)
{
	int32_t n = (int32_t)na, m = (int32_t)nb, d, k;
	int32_t *trace[STEPS_MAX + 1];
	const int32_t *p = NULL;	/* the round before */

	if (na == 0 || nb == 0) {
		if (na + nb > 0)
			script_add(s, a0, b0, na, nb);
		return;
	}
	for (d = 0; d <= STEPS_MAX; d++) {
		int32_t *v = ARENA_ARRAY(arena, 2 * (size_t)d + 1, int32_t) + d;

		trace[d] = v - d;
		for (k = -d; k <= d; k += 2) {
			int32_t left, up, x, y;

			if (p == NULL) {
				x = 0;
			} else {
				left = k - 1 < -(d - 1) ? -1 : p[k - 1];
				up = k + 1 > d - 1 ? -1 : p[k + 1];
				x = k == -d || (k != d && left < up) ? up : left + 1;
			}
			y = x - k;
			while (x < n && y < m && x >= 0 && y >= 0 &&
			    same(&a[x], &b[y])) {
				x++;
				y++;
			}
			v[k] = x;
			if (x >= n && y >= m) {
				backtrack(arena, trace, d, x, y, a0, b0, s);
				return;
			}
		}
		p = v;
	}
	script_add(s, a0, b0, na, nb);
}

/* ---- writing ---------------------------------------------------------------------- */

static void
put_line(struct buf *out, char sign, const struct line *l, bool mark_missing)
{
	buf_addc(out, sign);
	buf_add(out, l->s, l->len);
	if (l->len == 0 || l->s[l->len - 1] != '\n') {
		buf_addc(out, '\n');
		if (mark_missing)
			buf_adds(out, "\\ No newline at end of file\n");
	}
}

static void
put_range(struct buf *out, char sign, uint32_t from, uint32_t n)
{
	buf_addf(out, "%c%u", sign, n == 0 ? from : from + 1);
	if (n != 1)
		buf_addf(out, ",%u", n);
}

/* Changes first..last of the script, near enough to share their context. */
static void
put_group(struct buf *out, const struct lines *a, const struct lines *b,
    const struct hunk *first, const struct hunk *last, bool mark_missing)
{
	uint32_t before = first->a < CONTEXT ? first->a : CONTEXT;
	uint32_t tail = a->n - (last->a + last->dels), i, at;
	uint32_t after = tail < CONTEXT ? tail : CONTEXT;
	uint32_t a0 = first->a - before, b0 = first->b - before;
	const struct hunk *h;

	buf_adds(out, "@@ ");
	put_range(out, '-', a0, last->a + last->dels + after - a0);
	buf_addc(out, ' ');
	put_range(out, '+', b0, last->b + last->adds + after - b0);
	buf_adds(out, " @@\n");
	for (at = a0, h = first; h <= last; h++) {
		for (; at < h->a; at++)
			put_line(out, ' ', &a->v[at], mark_missing);
		for (i = 0; i < h->dels; i++)
			put_line(out, '-', &a->v[at++], mark_missing);
		for (i = 0; i < h->adds; i++)
			put_line(out, '+', &b->v[h->b + i], mark_missing);
	}
	for (i = 0; i < after; i++)
		put_line(out, ' ', &a->v[at++], mark_missing);
}

static bool
no_newline(const char *s, size_t n)
{
	return n > 0 && s[n - 1] != '\n' && memchr(s, '\n', n) == NULL;
}

void
udiff_text(struct buf *out, const char *before_name, const char *after_name,
    const char *before, size_t nbefore, const char *after, size_t nafter)
{
	struct arena arena = { 0 };
	struct script script = { .arena = &arena };
	struct lines a, b;
	uint32_t head = 0, tail = 0, i, first;
	/* One value against another is no file that lacks its last newline. */
	bool mark_missing = !((nbefore == 0 || no_newline(before, nbefore)) &&
	    (nafter == 0 || no_newline(after, nafter)));

	split(&arena, before, nbefore, &a);
	split(&arena, after, nafter, &b);
	while (head < a.n && head < b.n && same(&a.v[head], &b.v[head]))
		head++;
	while (tail < a.n - head && tail < b.n - head &&
	    same(&a.v[a.n - 1 - tail], &b.v[b.n - 1 - tail]))
		tail++;
	myers(&arena, a.v + head, a.n - head - tail, b.v + head,
	    b.n - head - tail, head, head, &script);
	if (script.n > 0)
		buf_addf(out, "--- %s\n+++ %s\n", before_name, after_name);
	for (first = i = 0; i < script.n; i++) {
		const struct hunk *h = &script.v[i];

		if (i + 1 < script.n &&
		    script.v[i + 1].a - (h->a + h->dels) <= 2 * CONTEXT)
			continue;
		put_group(out, &a, &b, &script.v[first], h, mark_missing);
		first = i + 1;
	}
	arena_release(&arena);
}

/* Text as it is, other values as JSON a line each. */
static void
value_text(struct buf *out, const struct value *v)
{
	if (v == NULL || v->type == V_NULL)
		return;
	if (v->flags & V_SECRET)
		buf_adds(out, "********");
	else if (v->type == V_STR)
		buf_add(out, v->u.s, v->len);
	else {
		json_write(out, v, JSON_INDENT(4) | JSON_SORT | JSON_CENSOR);
		if (v->type == V_MAP || v->type == V_LIST)
			buf_addc(out, '\n');
	}
}

static const char *
header(struct arena *a, const struct value *diff, const char *key, const char *side)
{
	const char *text = v_get_str(diff, key, NULL);

	return text != NULL && *text != '\0' ?
	    arena_printf(a, "%s: %s", side, text) : side;
}

static void
diff_map(struct buf *out, const struct value *diff)
{
	CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT;
	const struct value *prepared = v_gets(diff, "prepared");
	struct arena a = { 0 };

	if (prepared != NULL && prepared->type == V_STR && prepared->len > 0) {
		value_text(out, prepared);
		if (prepared->u.s[prepared->len - 1] != '\n')
			buf_addc(out, '\n');
		return;
	}
	value_text(&before, v_gets(diff, "before"));
	value_text(&after, v_gets(diff, "after"));
	udiff_text(out, header(&a, diff, "before_header", "before"),
	    header(&a, diff, "after_header", "after"), buf_str(&before),
	    before.len, buf_str(&after), after.len);
	arena_release(&a);
}

void
udiff_value(struct buf *out, const struct value *diff, size_t max)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	uint32_t i;
	size_t n;

	if (diff == NULL || (diff->type != V_MAP && diff->type != V_LIST))
		return;
	for (i = 0; diff->type == V_LIST && i < v_count(diff) && text.len < max; i++)
		if (v_at(diff, i)->type == V_MAP)
			diff_map(&text, v_at(diff, i));
	if (diff->type == V_MAP)
		diff_map(&text, diff);
	if (text.len <= max) {
		buf_add(out, buf_str(&text), text.len);
		return;
	}
	/* Cut at a line's end, or in a huge line at a character's. */
	for (n = max; n > 0 && text.data[n - 1] != '\n'; n--)
		;
	if (n == 0)
		for (n = max; n > 0 && (text.data[n] & 0xc0) == 0x80; n--)
			;
	buf_add(out, text.data, n);
	if (n > 0 && text.data[n - 1] != '\n')
		buf_addc(out, '\n');
	buf_addf(out, "\\ %zu more bytes of this diff are not shown\n", text.len - n);
}
