/*
 * libyaml's events to values: see yaml.h.
 *
 * One pass, no tree in between.  Collections that aliases repeat are shared,
 * so an alias costs a pointer; what it would cost when walked is added to the
 * document's count of nodes, which is bounded (YAML_NODES_MAX): nobody can be
 * made to walk a bomb.
 *
 * A syntax error ends a document.  What is wrong only in meaning (duplicate
 * keys, unknown tags and aliases) is reported and reading goes on, up to
 * ERRORS_MAX errors.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "yaml/text.h"

#define ERRORS_MAX	50
#define CORE		"tag:yaml.org,2002:"

struct anchor {
	const struct value	*value;		/* NULL while its node is being read */
	uint64_t		 nodes;
	struct mark		 mark;
};

struct load {
	struct arena		*arena;
	struct yaml_text	 text;
	const struct yaml_opts	*opts;
	struct diags		*diags;
	size_t			 errors_before;	/* diags->nerrors at the start */
	bool			 syntax_error;
	yaml_parser_t		 parser;
	struct value		*anchors;	/* map: name → number */
	struct anchor		*anchor;
	uint32_t		 nanchors, cap;
	uint64_t		 nodes;
};

/* A value and its mark, allocated as one. */
struct marked {
	struct value	v;
	struct mark	m;
};

static const struct value *compose(struct load *, yaml_event_t *, bool raw,
	    unsigned depth);

static struct value *
value_new(struct load *ld, enum vtype type, struct mark m)
{
	struct marked *mv = ARENA_NEW(ld->arena, struct marked);

	mv->m = m;
	mv->v.type = (uint8_t)type;
	mv->v.mark = &mv->m;
	return &mv->v;
}

static struct value *
collection_new(struct load *ld, enum vtype type, struct mark m)
{
	struct value *v = type == V_MAP ? v_map(ld->arena) : v_list(ld->arena);
	struct mark *copy = ARENA_NEW(ld->arena, struct mark);

	*copy = m;
	v->mark = copy;
	return v;
}

static bool
too_many_errors(const struct load *ld)
{
	return ld->diags->nerrors - ld->errors_before >= ERRORS_MAX;
}

/* The next event; false after an error, which is reported. */
static bool
next_event(struct load *ld, yaml_event_t *ev)
{
	if (yaml_parser_parse(&ld->parser, ev))
		return true;
	ld->syntax_error = true;
	explain(&ld->text, ld->arena, &ld->parser, ld->diags);
	return false;
}

/* ---- positions ----------------------------------------------------------- */

/* Behind an anchor and a tag, which libyaml's start mark includes. */
static size_t
skip_properties(const struct load *ld, size_t off, size_t end)
{
	const char *s = ld->text.s;

	while (off < end) {
		if (s[off] == '&' || s[off] == '!') {
			while (off < end && strchr(" \t\r\n", s[off]) == NULL)
				off++;
		} else if (s[off] == '#') {
			while (off < end && s[off] != '\n')
				off++;
		} else if (strchr(" \t\r\n", s[off]) != NULL)
			off++;
		else
			break;
	}
	return off;
}

/* The mark of the bytes from off to end (at most to the line's end), a little behind a position of libyaml's. */
static struct mark
mark_behind(const struct yaml_text *t, const yaml_mark_t *pos, size_t first,
    size_t off, size_t end)
{
	struct mark m = text_at(t, pos, 1);
	const char *nl;

	for (size_t i = first; i < off; i++) {
		if (t->s[i] == '\n') {
			m.line++;
			m.col = 1;
		} else if (((unsigned char)t->s[i] & 0xc0) != 0x80)
			m.col++;
	}
	if (end > off && (nl = memchr(t->s + off, '\n', end - off)) != NULL)
		end = (size_t)(nl - t->s);
	if (end > off && t->s[end - 1] == '\r')
		end--;
	if (end > off)
		m.len = (uint32_t)utf8_count(t->s + off, end - off);
	return m;
}

static struct mark
event_mark(struct load *ld, const yaml_event_t *ev, bool properties)
{
	const yaml_mark_t *start = &ev->start_mark, *end = &ev->end_mark;
	bool is_scalar = ev->type == YAML_SCALAR_EVENT;
	size_t off, first, stop;

	if (properties) {
		first = text_offset(&ld->text, start);
		stop = text_offset(&ld->text, end);
		off = skip_properties(ld, first, stop);
		if (off == stop && is_scalar)
			off = first;	/* nothing behind the tag */
		return mark_behind(&ld->text, start, first, off,
		    is_scalar ? stop : off);
	}
	if (!is_scalar && ev->type != YAML_ALIAS_EVENT)
		return text_at(&ld->text, start, 1);
	if (start->line == end->line)
		return text_at(&ld->text, start, end->column - start->column);
	if (ev->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
	    ev->data.scalar.style == YAML_FOLDED_SCALAR_STYLE)
		return text_at(&ld->text, start, 1);
	off = text_offset(&ld->text, start);
	stop = text_offset(&ld->text, end);
	return mark_behind(&ld->text, start, off, off, stop);
}

/* ---- scalars ------------------------------------------------------------- */

static const char *
tag_name(const char *tag, char *buf, size_t size)
{
	if (strncmp(tag, CORE, sizeof(CORE) - 1) == 0)
		(void)snprintf(buf, size, "!!%s", tag + sizeof(CORE) - 1);
	else
		(void)snprintf(buf, size, "%s", tag);
	return buf;
}

static void
unknown_tag(struct load *ld, struct mark m, const char *tag, const char *kind)
{
	static const char *const known[] = {
		"!vault", "!unsafe", "!!str", "!!int", "!!float", "!!bool", "!!null",
		"!!binary", "!!timestamp", "!!seq", "!!map", "!!set", "!!omap",
		"!!pairs", NULL
	};
	char name[80];
	const char *near = nearest(tag_name(tag, name, sizeof(name)), known);
	bool is_known = false;
	struct err *e;

	for (size_t i = 0; known[i] != NULL; i++)
		is_known |= strcmp(known[i], name) == 0;
	e = diags_error(ld->diags, ERR_INVALID, m, is_known ?
	    "the tag '%s' cannot stand before %s" : "unknown tag '%s' before %s",
	    name, kind);
	if (is_known)
		return;
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else if (name[0] == '!' && name[1] != '!')
		err_hint(e, "a text that starts with '!' must be quoted; in a "
		    "condition write 'not'");
	else
		err_hint(e, "provctl knows !vault, !unsafe and YAML's own tags "
		    "(!!str, !!int …)");
}

static struct value *
string_new(struct load *ld, struct mark m, const char *s, size_t n)
{
	struct value *v = value_new(ld, V_STR, m);

	v->u.s = arena_strndup(ld->arena, s, n);
	v->len = (uint32_t)n;
	return v;
}

/* A decrypted text: its place is the tag's, but no line of it is ever shown. */
static struct value *
vault_scalar(struct load *ld, struct mark m, const char *s, size_t n)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct source *src;
	struct value *v;
	struct err *e;

	if (ld->opts == NULL || ld->opts->decrypt == NULL) {
		e = diags_error(ld->diags, ERR_AUTH, m,
		    "this value is encrypted with Ansible Vault, and there is no "
		    "password for it");
		err_hint(e, "give it by --vault-password-file FILE or "
		    "--vault-id ID@FILE");
		return value_new(ld, V_NULL, m);
	}
	if (ld->opts->decrypt(ld->opts->arg, s, n, &out, &err) == -1) {
		err_at(&err, m);
		diags_add(ld->diags, DIAG_ERROR, &err);
		return value_new(ld, V_NULL, m);
	}
	src = ARENA_NEW(ld->arena, struct source);
	src->path = m.src->path;
	src->secret = true;
	m.src = src;
	if (!utf8_valid(buf_str(&out), out.len)) {
		diags_error(ld->diags, ERR_INVALID, m,
		    "the decrypted value is no valid UTF-8");
		return value_new(ld, V_NULL, m);
	}
	v = string_new(ld, m, buf_str(&out), out.len);
	v->flags |= V_SECRET;
	if (out.data != NULL)
		explicit_bzero(out.data, out.len);
	return v;
}

static struct value *
binary_scalar(struct load *ld, struct mark m, const char *s, size_t n)
{
	CLEANUP_BUF struct buf out = BUF_INIT;

	if (!resolve_binary(&out, s, n)) {
		diags_error(ld->diags, ERR_INVALID, m, "'!!binary' is not followed "
		    "by valid base64");
		return value_new(ld, V_NULL, m);
	}
	if (!utf8_valid(buf_str(&out), out.len)) {
		err_hint(diags_error(ld->diags, ERR_UNSUPPORTED, m,
		    "binary data that is no UTF-8 text cannot be a value"),
		    "keep the base64 text and use the filter b64decode where "
		    "bytes are needed, or put the data into a file");
		return value_new(ld, V_NULL, m);
	}
	return string_new(ld, m, buf_str(&out), out.len);
}

static struct value *
tagged_scalar(struct load *ld, struct mark m, struct mark tag_mark,
    const char *tag, const char *s, size_t n)
{
	static const struct {
		const char	*tag;
		enum vtype	 type;
		const char	*what;
	} types[] = {
		{ CORE "int", V_INT, "an integer" },
		{ CORE "float", V_FLOAT, "a number" },
		{ CORE "bool", V_BOOL, "yes, no, true, false, on or off" },
	};
	struct value *v;

	if (strcmp(tag, CORE "str") == 0 || strcmp(tag, CORE "timestamp") == 0)
		return string_new(ld, m, s, n);
	if (strcmp(tag, "!unsafe") == 0) {
		v = string_new(ld, m, s, n);
		v->flags |= V_RAW;
		return v;
	}
	if (strcmp(tag, "!vault") == 0 || strcmp(tag, "!vault-encrypted") == 0)
		return vault_scalar(ld, m, s, n);
	if (strcmp(tag, CORE "null") == 0)
		return value_new(ld, V_NULL, m);
	if (strcmp(tag, CORE "binary") == 0)
		return binary_scalar(ld, m, s, n);
	for (size_t i = 0; i < NITEMS(types); i++) {
		if (strcmp(tag, types[i].tag) != 0)
			continue;
		v = value_new(ld, V_NULL, m);
		if (!resolve_as(v, ld->arena, types[i].type, s, n)) {
			v->type = V_NULL;
			diags_error(ld->diags, ERR_VALUE, m, "'%.*s' is not %s",
			    n > 60 ? 60 : (int)n, s, types[i].what);
		}
		return v;
	}
	unknown_tag(ld, tag_mark, tag, "a scalar");
	return value_new(ld, V_NULL, m);
}

static struct value *
scalar(struct load *ld, const yaml_event_t *ev, struct mark m,
    struct mark tag_mark, bool raw)
{
	const char *s = (const char *)ev->data.scalar.value;
	const char *tag = (const char *)ev->data.scalar.tag;
	size_t n = ev->data.scalar.length;
	struct value *v;

	if (tag != NULL && strcmp(tag, "!") != 0)
		v = tagged_scalar(ld, m, tag_mark, tag, s, n);
	else if (ev->data.scalar.plain_implicit) {
		v = value_new(ld, V_NULL, m);
		resolve_plain(v, ld->arena, s, n);
		v->flags |= V_PLAIN;
		if (v->type == V_STR) {
			v->u.s = arena_strndup(ld->arena, s, n);
			if (resolve_is_int(s, n))
				err_hint(diags_note(ld->diags, m, "the number is beyond 64 bits, so it is text"),
				    "quote it to say that it is one; nothing can be calculated with it");
		}
	} else
		v = string_new(ld, m, s, n);
	if (raw && v->type == V_STR)
		v->flags |= V_RAW;
	if (ld->text.src->secret)
		v->flags |= V_SECRET;
	return v;
}

/* ---- aliases ------------------------------------------------------------- */

static uint32_t
anchor_begin(struct load *ld, const char *name, struct mark m)
{
	uint32_t old = ld->cap;

	if (ld->anchors == NULL)
		ld->anchors = v_map(ld->arena);
	if (ld->nanchors == ld->cap) {
		ld->cap = old == 0 ? 16 : old * 2;
		ld->anchor = arena_grow(ld->arena, ld->anchor,
		    old * sizeof(*ld->anchor), ld->cap * sizeof(*ld->anchor));
	}
	ld->anchor[ld->nanchors] = (struct anchor){ .mark = m };
	v_set_int(ld->arena, ld->anchors, name, ld->nanchors);
	return ld->nanchors++;
}

static const struct value *
alias(struct load *ld, const yaml_event_t *ev, struct mark m)
{
	const char *name = (const char *)ev->data.alias.anchor, *best = NULL;
	const struct anchor *a;
	const struct ventry *entry;
	int64_t number = v_get_int(ld->anchors, name, -1);
	unsigned dist = 0;
	struct err *e;

	if (number < 0) {
		e = diags_error(ld->diags, ERR_UNDEFINED, m,
		    "the alias '*%s' has no anchor '&%s' above it", name, name);
		if (ld->anchors != NULL)
			for (uint32_t it = 0;
			    (entry = v_next(ld->anchors, &it)) != NULL && it < 1000;)
				nearest_try(name, entry->key->u.s, &best, &dist);
		if (best != NULL)
			err_hint(e, "did you mean '*%s'?", best);
		else
			err_hint(e, "a text that starts with '*' must be quoted");
		return value_new(ld, V_NULL, m);
	}
	a = &ld->anchor[number];
	if (a->value == NULL) {
		e = diags_error(ld->diags, ERR_INVALID, m,
		    "the alias '*%s' stands inside its own anchor: the value would "
		    "contain itself", name);
		err_note(e, a->mark, "'&%s' begins here", name);
		return value_new(ld, V_NULL, m);
	}
	ld->nodes += a->nodes;
	return a->value;
}

/* ---- collections --------------------------------------------------------- */

/* Does the mapping start behind the dash of a list item? Only for hints: slow. */
static bool
in_list(const struct load *ld, const struct value *map)
{
	struct mark m = v_mark(map);
	const char *p = ld->text.s, *nl;

	for (uint32_t line = 1; line < m.line; line++) {
		if ((nl = strchr(p, '\n')) == NULL)
			return false;
		p = nl + 1;
	}
	p += strspn(p, " ");
	return *p == '-' && p[1] == ' ';
}

static void
duplicate_key(struct load *ld, const struct value *map, const struct value *key)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	const struct ventry *entry;
	struct err *e;

	if (key->type == V_STR)
		buf_add(&text, key->u.s, key->len > 60 ? 60 : key->len);
	else
		json_write(&text, key, 0);
	e = diags_error(ld->diags, ERR_INVALID, v_mark(key),
	    "duplicate key '%s'", buf_str(&text));
	for (uint32_t it = 0; (entry = v_next(map, &it)) != NULL;)
		if (v_equal(entry->key, key)) {
			err_note(e, v_mark(entry->key), "it stands here already");
			break;
		}
	err_hint(e, in_list(ld, map) ? "is a '- ' missing that starts a new item of "
	    "the list? If not, remove one of the two: the last one would silently "
	    "win" : "remove one of the two: the last one would silently win");
}

static const struct value *
merged(struct load *ld, const struct value *own, const struct value *merges)
{
	struct value *v = collection_new(ld, V_MAP, v_mark(own));

	for (uint32_t i = 0; i < v_count(merges); i++)
		v_merge(ld->arena, v, v_at(merges, i));
	v_merge(ld->arena, v, own);
	return v;
}

/* The value of "<<": a map or a list of maps, of which the first is the strongest. */
static void
merge_key(struct load *ld, struct value *merges, const struct value *v)
{
	const struct value *part;
	uint32_t n = v_is_list(v) ? v_count(v) : 1;

	while (n-- > 0) {
		part = v_is_list(v) ? v_at(v, n) : v;
		if (v_is_map(part)) {
			v_push(ld->arena, merges, part);
			continue;
		}
		err_hint(diags_error(ld->diags, ERR_TYPE, v_mark(part),
		    "'<<' merges mappings, but this is %s", v_type_name(part)),
		    "give an alias of a mapping (*name) or a list of such; "
		    "templates are not possible here");
	}
}

static void
unhashable_key(struct load *ld, const struct value *key, size_t off)
{
	struct err *e;

	/* key: {{ x }} is YAML for {{x: null}: null} */
	if (off > 0 && ld->text.s[off] == '{' && ld->text.s[off - 1] == '{') {
		explain_template(&ld->text, ld->arena, off - 1, ld->diags);
		return;
	}
	if (ld->text.s[off] == '{' && off + 1 < ld->text.len &&
	    ld->text.s[off + 1] == '{')
		return;		/* {{ x }}: y, reported for the inner one */
	e = diags_error(ld->diags, ERR_TYPE, v_mark(key),
	    "%s cannot be a key", v_type_name(key));
	err_hint(e, "quote it if it is meant as text");
}

static bool
is_merge(const yaml_event_t *ev)
{
	return ev->type == YAML_SCALAR_EVENT && ev->data.scalar.plain_implicit &&
	    ev->data.scalar.length == 2 &&
	    memcmp(ev->data.scalar.value, "<<", 2) == 0;
}

static const struct value *
mapping(struct load *ld, struct mark m, bool raw, unsigned depth)
{
	struct value *map = collection_new(ld, V_MAP, m), *merges = NULL;
	const struct value *key, *val;
	yaml_event_t ev;
	size_t off;
	bool merge;

	for (;;) {
		if (!next_event(ld, &ev))
			return NULL;
		if (ev.type == YAML_MAPPING_END_EVENT)
			break;
		merge = is_merge(&ev);
		off = ev.type == YAML_MAPPING_START_EVENT ?
		    text_offset(&ld->text, &ev.start_mark) : 0;
		if ((key = compose(ld, &ev, false, depth + 1)) == NULL ||
		    !next_event(ld, &ev) ||
		    (val = compose(ld, &ev, raw, depth + 1)) == NULL)
			return NULL;
		if (merge) {
			if (merges == NULL)
				merges = v_list(ld->arena);
			merge_key(ld, merges, val);
		} else if (!v_hashable(key))
			unhashable_key(ld, key, off);
		else if (v_get(map, key) != NULL &&
		    (ld->opts == NULL || !ld->opts->duplicates_ok))
			duplicate_key(ld, map, key);
		else
			v_set(ld->arena, map, key, val);
		if (too_many_errors(ld))
			return NULL;
	}
	yaml_event_delete(&ev);
	return merges == NULL ? map : merged(ld, map, merges);
}

static const struct value *
sequence(struct load *ld, struct mark m, bool raw, unsigned depth)
{
	struct value *list = collection_new(ld, V_LIST, m);
	const struct value *item;
	yaml_event_t ev;

	for (;;) {
		if (!next_event(ld, &ev))
			return NULL;
		if (ev.type == YAML_SEQUENCE_END_EVENT)
			break;
		if ((item = compose(ld, &ev, raw, depth + 1)) == NULL)
			return NULL;
		v_push(ld->arena, list, item);
		if (too_many_errors(ld))
			return NULL;
	}
	yaml_event_delete(&ev);
	return list;
}

/* !!set as a list of its keys; !!omap and !!pairs as PyYAML: a list of pairs. */
static const struct value *
tagged_collection(struct load *ld, const struct value *v, struct mark tag_mark,
    const char *tag)
{
	struct value *list = collection_new(ld, V_LIST, v_mark(v)), *pair;
	const struct ventry *e;
	uint32_t it = 0;

	if (strcmp(tag, CORE "set") == 0 && v_is_map(v)) {
		while ((e = v_next(v, &it)) != NULL)
			v_push(ld->arena, list, e->key);
		return list;
	}
	if ((strcmp(tag, CORE "omap") != 0 && strcmp(tag, CORE "pairs") != 0) ||
	    !v_is_list(v)) {
		unknown_tag(ld, tag_mark, tag, v_type_name(v));
		return v;
	}
	for (uint32_t i = 0; i < v_count(v); i++) {
		it = 0;
		if (v_count(v_at(v, i)) != 1 || !v_is_map(v_at(v, i))) {
			diags_error(ld->diags, ERR_TYPE, v_mark(v_at(v, i)),
			    "an item of an ordered map is a mapping with one key");
			return v;
		}
		e = v_next(v_at(v, i), &it);
		pair = v_list(ld->arena);
		pair->flags |= V_TUPLE;
		v_push(ld->arena, pair, e->key);
		v_push(ld->arena, pair, e->val);
		v_push(ld->arena, list, pair);
	}
	return list;
}

static bool
plain_tag(const char *tag, enum vtype type)
{
	return tag == NULL || strcmp(tag, "!") == 0 || strcmp(tag, "!unsafe") == 0 ||
	    strcmp(tag, type == V_MAP ? CORE "map" : CORE "seq") == 0;
}

static bool
within_limits(struct load *ld, struct mark m, unsigned depth)
{
	if (ld->nodes > YAML_NODES_MAX) {
		err_hint(diags_error(ld->diags, ERR_LIMIT, m,
		    "more than %u values, with all aliases expanded",
		    YAML_NODES_MAX), "YAML aliases (*name) multiply what they "
		    "stand for; is this file what it should be?");
		return false;
	}
	if (depth > V_DEPTH_MAX) {
		diags_error(ld->diags, ERR_LIMIT, m, "nested more than %d levels deep",
		    V_DEPTH_MAX);
		return false;
	}
	return true;
}

/* The node that the event starts; consumes the event. NULL: reading cannot go on. */
static const struct value *
compose(struct load *ld, yaml_event_t *ev, bool raw, unsigned depth)
{
	const char *tag = NULL, *anchor = NULL;
	const struct value *v = NULL;
	uint64_t before = ld->nodes;
	enum vtype type = V_NULL;
	uint32_t number = 0;
	struct mark m, tag_mark = { 0 };
	size_t off;

	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		tag = (const char *)ev->data.scalar.tag;
		anchor = (const char *)ev->data.scalar.anchor;
		break;
	case YAML_MAPPING_START_EVENT:
		tag = (const char *)ev->data.mapping_start.tag;
		anchor = (const char *)ev->data.mapping_start.anchor;
		type = V_MAP;
		break;
	case YAML_SEQUENCE_START_EVENT:
		tag = (const char *)ev->data.sequence_start.tag;
		anchor = (const char *)ev->data.sequence_start.anchor;
		type = V_LIST;
		break;
	default:
		break;
	}
	if (tag != NULL) {
		off = text_offset(&ld->text, &ev->start_mark);
		tag_mark = mark_behind(&ld->text, &ev->start_mark, off, off,
		    off + strcspn(ld->text.s + off, " \t\r\n"));
	}
	m = event_mark(ld, ev, tag != NULL || anchor != NULL);
	if (ev->type == YAML_ALIAS_EVENT)
		v = alias(ld, ev, m);
	else
		ld->nodes++;
	if (anchor != NULL)
		number = anchor_begin(ld, anchor, m);
	if (!within_limits(ld, m, depth)) {
		yaml_event_delete(ev);
		return NULL;
	}
	if (ev->type == YAML_SCALAR_EVENT)
		v = scalar(ld, ev, m, tag_mark, raw);
	else if (type != V_NULL) {
		raw |= tag != NULL && strcmp(tag, "!unsafe") == 0;
		v = type == V_MAP ? mapping(ld, m, raw, depth) :
		    sequence(ld, m, raw, depth);
		if (v != NULL && !plain_tag(tag, type))
			v = tagged_collection(ld, v, tag_mark, tag);
	}
	if (v != NULL && anchor != NULL) {
		ld->anchor[number].value = v;
		ld->anchor[number].nodes = ld->nodes - before;
	}
	yaml_event_delete(ev);
	return v;
}

/* ---- documents ----------------------------------------------------------- */

/* All documents of the text; stops at the first that cannot be read, or at `max`. */
static bool
documents(struct load *ld, struct value *list, uint32_t max)
{
	const struct value *v;
	yaml_event_t ev;
	struct err *e;

	for (;;) {
		if (!next_event(ld, &ev))
			return false;
		if (ev.type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&ev);
			return true;
		}
		if (ev.type != YAML_DOCUMENT_START_EVENT) {
			yaml_event_delete(&ev);
			continue;
		}
		if (v_count(list) == max) {
			e = diags_error(ld->diags, ERR_INVALID,
			    text_at(&ld->text, &ev.start_mark, 3),
			    "a second YAML document starts here: the file must "
			    "have only one");
			err_hint(e, "remove the '---', or split the file");
			yaml_event_delete(&ev);
			return false;
		}
		yaml_event_delete(&ev);
		/* anchors are a document's own, the count of nodes is the file's */
		ld->anchors = NULL;
		ld->nanchors = 0;
		if (!next_event(ld, &ev) ||
		    (v = compose(ld, &ev, false, 0)) == NULL)
			return false;
		v_push(ld->arena, list, v);
	}
}

/* JSON that is no YAML (tabs before '}', surrogate escapes) is taken all the same, as Ansible does. */
static const struct value *
try_json(struct load *ld)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	size_t i = ld->text.start;

	while (i < ld->text.len && strchr(" \t\r\n", ld->text.s[i]) != NULL)
		i++;
	if (i == ld->text.len || (ld->text.s[i] != '{' && ld->text.s[i] != '['))
		return NULL;
	return json_parse(ld->arena, ld->text.src, &err);
}

static const struct value *
parse(struct arena *arena, const struct source *src, const struct yaml_opts *opts,
    struct diags *diags, uint32_t max)
{
	CLEANUP_DIAGS struct diags mine = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct load ld = { .arena = arena, .opts = opts, .diags = &mine };
	struct value *list = v_list(arena);
	const struct value *json;
	bool ok;

	if (text_init(&ld.text, arena, src, &err) == -1) {
		diags_add(diags, DIAG_ERROR, &err);
		return NULL;
	}
	if (!yaml_parser_initialize(&ld.parser))
		abort();
	yaml_parser_set_encoding(&ld.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&ld.parser,
	    (const unsigned char *)src->text + ld.text.start,
	    src->len - ld.text.start);
	ok = documents(&ld, list, max) && mine.nerrors == 0;
	yaml_parser_delete(&ld.parser);
	if (!ok && ld.syntax_error && (json = try_json(&ld)) != NULL) {
		list = v_list(arena);
		v_push(arena, list, json);
		return list;
	}
	for (size_t i = 0; i < mine.n; i++)
		diags_add(diags, mine.v[i].level, &mine.v[i].err);
	mine.n = 0;
	return ok ? list : NULL;
}

const struct value *
yaml_parse(struct arena *arena, const struct source *src,
    const struct yaml_opts *opts, struct diags *diags)
{
	const struct value *list = parse(arena, src, opts, diags, 1);

	if (list == NULL)
		return NULL;
	return v_count(list) == 0 ? &v_null : v_at(list, 0);
}

const struct value *
yaml_parse_all(struct arena *arena, const struct source *src,
    const struct yaml_opts *opts, struct diags *diags)
{
	return parse(arena, src, opts, diags, UINT32_MAX);
}

const struct value *
yaml_load(struct arena *arena, const char *path, const struct yaml_opts *opts,
    struct diags *diags)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const struct source *src = source_read(arena, path, opts, &err);

	if (src == NULL) {
		diags_add(diags, DIAG_ERROR, &err);
		return NULL;
	}
	return yaml_parse(arena, src, opts, diags);
}
