/*
 * Splitting and joining command lines; see words.h.
 */
#include <ctype.h>
#include <string.h>

#include "module/words.h"

void
words_push(struct words *w, const char *word)
{
	if (w->n + 1 >= w->cap) {
		size_t cap = w->cap == 0 ? 8 : w->cap * 2;

		w->v = arena_grow(w->arena, w->v, w->n * sizeof(*w->v),
		    cap * sizeof(*w->v));
		w->cap = cap;
	}
	w->v[w->n++] = word;
	w->v[w->n] = NULL;
}

struct words
words_copy(const struct words *from)
{
	struct words w = { .arena = from->arena };
	size_t i;

	for (i = 0; i < from->n; i++)
		words_push(&w, from->v[i]);
	return w;
}

/* One word from s on; NULL when a quote stays open. */
static const char *
one_word(const char *s, struct buf *out)
{
	char quote = '\0';

	for (; *s != '\0'; s++) {
		if (quote == '\0' && isspace((unsigned char)*s))
			break;
		if (*s == '\\' && quote != '\'') {
			/* in double quotes only \\ and \" are escapes */
			if (s[1] == '\0')
				return NULL;
			if (quote == '"' && s[1] != '\\' && s[1] != '"')
				buf_addc(out, '\\');
			buf_addc(out, *++s);
		} else if (quote != '\0' && *s == quote)
			quote = '\0';
		else if (quote == '\0' && (*s == '"' || *s == '\''))
			quote = *s;
		else
			buf_addc(out, *s);
	}
	return quote != '\0' ? NULL : s;
}

const char *const *
words_split(struct mod *m, const char *s)
{
	CLEANUP_BUF struct buf word = BUF_INIT;
	struct words w = { .arena = m->arena };

	for (;;) {
		while (isspace((unsigned char)*s))
			s++;
		if (*s == '\0')
			break;
		buf_clear(&word);
		s = one_word(s, &word);
		if (s == NULL)
			return NULL;
		words_push(&w, buf_dup(&word, m->arena));
	}
	if (w.v == NULL)
		w.v = arena_zalloc(m->arena, sizeof(*w.v));
	return w.v;
}

const char *const *
words_subst(struct mod *m, const char *const *v, const char *what,
    const char *with)
{
	CLEANUP_BUF struct buf word = BUF_INIT;
	struct words w = { .arena = m->arena };
	const char *s, *hit;

	for (; *v != NULL; v++) {
		buf_clear(&word);
		for (s = *v; (hit = strstr(s, what)) != NULL;
		    s = hit + strlen(what)) {
			buf_add(&word, s, (size_t)(hit - s));
			buf_adds(&word, with);
		}
		buf_adds(&word, s);
		words_push(&w, buf_dup(&word, m->arena));
	}
	if (w.v == NULL)
		w.v = arena_zalloc(m->arena, sizeof(*w.v));
	return w.v;
}

static bool
is_plain(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) &&
		    strchr("@%+=:,./-_", *s) == NULL)
			return false;
	return true;
}

const char *
words_join(struct arena *arena, const char *const *v)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *s;

	for (; *v != NULL; v++) {
		if (out.len > 0)
			buf_addc(&out, ' ');
		if (is_plain(*v)) {
			buf_adds(&out, *v);
			continue;
		}
		buf_addc(&out, '\'');
		for (s = *v; *s != '\0'; s++) {
			if (*s == '\'')
				buf_adds(&out, "'\"'\"'");
			else
				buf_addc(&out, *s);
		}
		buf_addc(&out, '\'');
	}
	return buf_dup(&out, arena);
}
