/*
 * Values as YAML text: see yaml_dump.h.
 *
 * Two passes over the value: the first finds the containers that occur more
 * than once (by identity, as Python's id()) and numbers their anchors, the
 * second sends libyaml's events.  Whether a plain scalar would be read back
 * as what it is, is decided with the patterns of PyYAML's resolver.
 */
#include <math.h>
#include <string.h>
#include <yaml.h>

#include "base/json.h"
#include "template/regex.h"
#include "template/yaml_dump.h"

#define TAG	"tag:yaml.org,2002:"

struct seen {
	const void	*key;
	uint32_t	 anchor;	/* 0: occurs once */
	bool		 written;
};

struct dump {
	yaml_emitter_t			 emitter;
	const struct yaml_dump_opts	*opts;
	struct arena			*arena;
	struct buf			*out;
	struct err			*err;
	struct seen			*seen;
	size_t				 nseen, cap;
	uint32_t			 anchors;
};

/* ---- which tag a plain scalar has: PyYAML's implicit resolvers ------------------- */

static const struct {
	const char	*tag;
	const char	*first;		/* characters it can begin with; "" also the empty text */
	const char	*pattern;
} resolvers[] = {
	{ TAG "bool", "yYnNtTfFoO",
	    "^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$" },
	{ TAG "float", "-+0123456789.",
	    "^(?:[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+][0-9]+)?"
	    "|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
	    "|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*"
	    "|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN))$" },
	{ TAG "int", "-+0123456789",
	    "^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)"
	    "|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$" },
	{ TAG "merge", "<", "^(?:<<)$" },
	{ TAG "null", "~nN", "^(?:~|null|Null|NULL|)$" },
	{ TAG "timestamp", "0123456789",
	    "^(?:[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
	    "|[0-9][0-9][0-9][0-9]-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \\t]+)[0-9][0-9]?"
	    ":[0-9][0-9]:[0-9][0-9](?:\\.[0-9]*)?"
	    "(?:[ \\t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?)$" },
	{ TAG "value", "=", "^(?:=)$" },
	{ TAG "yaml", "!&*", "^(?:!|&|\\*)$" },
};

static const char *
plain_tag(const char *s, size_t len)
{
	const struct regex *re;
	struct regex_match m;

	if (len == 0)
		return TAG "null";
	for (size_t i = 0; i < NITEMS(resolvers); i++) {
		if (*s == '\0' || strchr(resolvers[i].first, *s) == NULL)
			continue;
		re = regex_get(resolvers[i].pattern, strlen(resolvers[i].pattern), 0, NULL);
		if (re != NULL && regex_exec(re, s, len, 0, REGEX_MATCH, false, &m, NULL) == 1)
			return resolvers[i].tag;
	}
	return TAG "str";
}

/* ---- anchors ------------------------------------------------------------------------ */

static const void *
identity(const struct value *v)
{
	if (v->type == V_LIST)
		return v_count(v) == 0 && (v->flags & V_TUPLE) != 0 ? NULL : (const void *)v->u.list;
	return v->type == V_MAP ? (const void *)v->u.map : NULL;
}

static struct seen *
seen_find(struct dump *d, const void *key)
{
	size_t i, n;
	struct seen *old = d->seen;

	if (d->nseen * 2 >= d->cap) {
		n = d->cap;
		d->cap = n == 0 ? 64 : n * 2;
		d->seen = xcalloc(d->cap, sizeof(*d->seen));
		d->nseen = 0;
		for (i = 0; i < n; i++)
			if (old[i].key != NULL)
				*seen_find(d, old[i].key) = old[i];
		free(old);
	}
	for (i = ((uintptr_t)key >> 4) * 0x9e3779b97f4a7c15u >> 20;; i++) {
		i &= d->cap - 1;
		if (d->seen[i].key == key)
			return &d->seen[i];
		if (d->seen[i].key == NULL) {
			d->nseen++;
			d->seen[i].key = key;
			return &d->seen[i];
		}
	}
}

static int
find_anchors(struct dump *d, const struct value *v, unsigned depth)
{
	const void *key = identity(v);
	const struct ventry *e;
	struct seen *s;
	size_t n = d->nseen;

	if (v->type != V_LIST && v->type != V_MAP)
		return 0;
	if (depth > V_DEPTH_MAX)
		return err_set(d->err, ERR_LIMIT, "YAML nested more than %d deep", V_DEPTH_MAX);
	if (key != NULL) {
		s = seen_find(d, key);
		if (d->nseen == n) {
			if (s->anchor == 0)
				s->anchor = ++d->anchors;
			return 0;
		}
	}
	for (uint32_t i = 0; v->type == V_LIST && i < v_count(v); i++)
		if (find_anchors(d, v_at(v, i), depth + 1) != 0)
			return -1;
	for (uint32_t it = 0; v->type == V_MAP && (e = v_next(v, &it)) != NULL;)
		if (find_anchors(d, e->key, depth + 1) != 0 ||
		    find_anchors(d, e->val, depth + 1) != 0)
			return -1;
	return 0;
}

/* ---- events ------------------------------------------------------------------------- */

static yaml_char_t *
text(const char *s)
{
	return (yaml_char_t *)(uintptr_t)s;
}

static int
emit(struct dump *d, yaml_event_t *ev)
{
	if (yaml_emitter_emit(&d->emitter, ev))
		return 0;
	return err_set(d->err, ERR_VALUE, "cannot write as YAML: %s",
	    d->emitter.problem != NULL ? d->emitter.problem : "out of memory");
}

static yaml_scalar_style_t
scalar_style(char style)
{
	switch (style) {
	case '\'': return YAML_SINGLE_QUOTED_SCALAR_STYLE;
	case '"': return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	case '|': return YAML_LITERAL_SCALAR_STYLE;
	case '>': return YAML_FOLDED_SCALAR_STYLE;
	default: return YAML_PLAIN_SCALAR_STYLE;
	}
}

static int
put_scalar(struct dump *d, const char *tag, const char *s, size_t len)
{
	bool plain = strcmp(plain_tag(s, len), tag) == 0;
	bool quoted = strcmp(tag, TAG "str") == 0;
	yaml_event_t ev;

	if (!yaml_scalar_event_initialize(&ev, NULL, text(tag), text(s), (int)len,
	    plain, quoted, scalar_style(d->opts->style)))
		return err_set(d->err, ERR_VALUE, "cannot write as YAML: the text is not valid UTF-8");
	return emit(d, &ev);
}

/* repr(f).lower(), with the point that YAML 1.1 wants. */
static int
put_float(struct dump *d, double f)
{
	CLEANUP_BUF struct buf b = BUF_INIT, with_point = BUF_INIT;
	const char *s, *e;

	if (isnan(f))
		return put_scalar(d, TAG "float", ".nan", 4);
	if (isinf(f))
		return put_scalar(d, TAG "float", f > 0 ? ".inf" : "-.inf", f > 0 ? 4 : 5);
	format_double(&b, f);
	s = buf_str(&b);
	e = strchr(s, 'e');
	if (e == NULL || strchr(s, '.') != NULL)
		return put_scalar(d, TAG "float", s, b.len);
	buf_addf(&with_point, "%.*s.0%s", (int)(e - s), s, e);
	return put_scalar(d, TAG "float", buf_str(&with_point), with_point.len);
}

static bool
is_scalar(const struct value *v)
{
	return v->type != V_LIST && v->type != V_MAP;
}

static bool
flow_style(const struct dump *d, const struct value *v)
{
	const struct ventry *e;

	if (d->opts->flow != YAML_FLOW_BEST)
		return d->opts->flow == YAML_FLOW_ALWAYS;
	if (d->opts->style != '\0')
		return v_count(v) == 0;
	for (uint32_t i = 0; v->type == V_LIST && i < v_count(v); i++)
		if (!is_scalar(v_at(v, i)))
			return false;
	for (uint32_t it = 0; v->type == V_MAP && (e = v_next(v, &it)) != NULL;)
		if (!is_scalar(e->key) || !is_scalar(e->val))
			return false;
	return true;
}

static int put(struct dump *, const struct value *);

/* Python's order of keys; false when two of them have none (then they stay as they are). */
static int
key_order(const struct value *a, const struct value *b, bool *ok)
{
	double x, y;
	size_t n;
	int c;

	if (a->type == V_STR && b->type == V_STR) {
		n = a->len < b->len ? a->len : b->len;
		c = memcmp(a->u.s, b->u.s, n);
		return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
	}
	if ((a->type == V_BOOL || a->type == V_INT || a->type == V_FLOAT) &&
	    (b->type == V_BOOL || b->type == V_INT || b->type == V_FLOAT)) {
		if (a->type == V_INT && b->type == V_INT)
			return (a->u.i > b->u.i) - (a->u.i < b->u.i);
		x = a->type == V_FLOAT ? a->u.f : a->type == V_INT ? (double)a->u.i : a->u.b;
		y = b->type == V_FLOAT ? b->u.f : b->type == V_INT ? (double)b->u.i : b->u.b;
		return (x > y) - (x < y);
	}
	if (a->type == V_LIST && b->type == V_LIST) {
		for (uint32_t i = 0; i < v_count(a) && i < v_count(b); i++)
			if (!v_equal(v_at(a, i), v_at(b, i)))
				return key_order(v_at(a, i), v_at(b, i), ok);
		return (v_count(a) > v_count(b)) - (v_count(a) < v_count(b));
	}
	*ok = false;
	return 0;
}

static void
sort_entries(const struct ventry **v, const struct ventry **tmp, size_t n, bool *ok)
{
	size_t mid = n / 2, i = 0, j = mid, k = 0;

	if (n < 2)
		return;
	sort_entries(v, tmp, mid, ok);
	sort_entries(v + mid, tmp, n - mid, ok);
	while (i < mid && j < n)
		tmp[k++] = key_order(v[i]->key, v[j]->key, ok) <= 0 ? v[i++] : v[j++];
	while (i < mid)
		tmp[k++] = v[i++];
	while (j < n)
		tmp[k++] = v[j++];
	memcpy(v, tmp, n * sizeof(*v));
}

static int
put_map(struct dump *d, const struct value *v, const char *anchor)
{
	const struct ventry *e, **entries;
	yaml_event_t ev;
	uint32_t n = 0, it = 0;
	bool ok = true;

	yaml_mapping_start_event_initialize(&ev, text(anchor), text(TAG "map"), 1,
	    flow_style(d, v) ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE);
	if (emit(d, &ev) != 0)
		return -1;
	entries = arena_array(d->arena, v_count(v) * 2 + 1, sizeof(struct ventry *));
	while ((e = v_next(v, &it)) != NULL)
		entries[n++] = e;
	if (!d->opts->no_sort_keys) {
		sort_entries(entries, entries + n, n, &ok);
		for (n = 0, it = 0; !ok && (e = v_next(v, &it)) != NULL;)
			entries[n++] = e;
		n = v_count(v);
	}
	for (uint32_t i = 0; i < n; i++)
		if (put(d, entries[i]->key) != 0 || put(d, entries[i]->val) != 0)
			return -1;
	yaml_mapping_end_event_initialize(&ev);
	return emit(d, &ev);
}

static int
put_list(struct dump *d, const struct value *v, const char *anchor)
{
	yaml_event_t ev;

	yaml_sequence_start_event_initialize(&ev, text(anchor), text(TAG "seq"), 1,
	    flow_style(d, v) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
	if (emit(d, &ev) != 0)
		return -1;
	for (uint32_t i = 0; i < v_count(v); i++)
		if (put(d, v_at(v, i)) != 0)
			return -1;
	yaml_sequence_end_event_initialize(&ev);
	return emit(d, &ev);
}

static int
put_container(struct dump *d, const struct value *v)
{
	const void *key = identity(v);
	char name[32] = "";
	struct seen *s;
	yaml_event_t ev;

	if (key != NULL && (s = seen_find(d, key))->anchor != 0) {
		(void)snprintf(name, sizeof(name), "id%03u", s->anchor);
		if (s->written) {
			yaml_alias_event_initialize(&ev, text(name));
			return emit(d, &ev);
		}
		s->written = true;
	}
	return v->type == V_LIST ? put_list(d, v, *name != '\0' ? name : NULL) :
	    put_map(d, v, *name != '\0' ? name : NULL);
}

static int
put_object(struct dump *d, const struct value *v)
{
	const char *s = d->opts->object != NULL ? d->opts->object(v, d->arena) : NULL;
	yaml_event_t ev;

	if (s == NULL)
		return err_set(d->err, ERR_TYPE, "cannot represent an object of this type as YAML");
	if (!yaml_scalar_event_initialize(&ev, NULL, text("!"), text(s), -1, 0, 0,
	    YAML_SINGLE_QUOTED_SCALAR_STYLE))
		return err_set(d->err, ERR_VALUE, "cannot write as YAML");
	return emit(d, &ev);
}

static int
put(struct dump *d, const struct value *v)
{
	char num[32];

	switch (v->type) {
	case V_NULL:
		return put_scalar(d, TAG "null", "null", 4);
	case V_BOOL:
		return put_scalar(d, TAG "bool", v->u.b ? "true" : "false", v->u.b ? 4 : 5);
	case V_INT:
		(void)snprintf(num, sizeof(num), "%lld", (long long)v->u.i);
		return put_scalar(d, TAG "int", num, strlen(num));
	case V_FLOAT:
		return put_float(d, v->u.f);
	case V_STR:
		if (v->tag != 0)	/* markup: to PyYAML an object of another type */
			return err_set(d->err, ERR_TYPE, "cannot represent markup as YAML");
		__attribute__((fallthrough));
	case V_TMPL:
		return put_scalar(d, TAG "str", v->u.s, v->len);
	case V_LIST:
	case V_MAP:
		return put_container(d, v);
	case V_OBJ:
		return put_object(d, v);
	case V_UNDEF:
		return err_set(d->err, ERR_UNDEFINED, "%s",
		    v->u.s != NULL ? v->u.s : "the value is undefined");
	default:
		return err_set(d->err, ERR_TYPE, "cannot represent %s as YAML", v_type_name(v));
	}
}

static int
write_out(void *arg, unsigned char *data, size_t len)
{
	struct dump *d = arg;

	buf_add(d->out, data, len);
	return !buf_overflowed(d->out);
}

static int
dump_document(struct dump *d, const struct value *v)
{
	const struct yaml_dump_opts *o = d->opts;
	yaml_event_t ev;

	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	if (emit(d, &ev) != 0)
		return -1;
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, !o->explicit_start);
	if (emit(d, &ev) != 0 || put(d, v) != 0)
		return -1;
	yaml_document_end_event_initialize(&ev, !o->explicit_end);
	if (emit(d, &ev) != 0)
		return -1;
	yaml_stream_end_event_initialize(&ev);
	return emit(d, &ev);
}

int
yaml_dump(struct buf *out, struct arena *arena, const struct value *v,
    const struct yaml_dump_opts *o, struct err *err)
{
	struct dump d = { .opts = o, .arena = arena, .out = out, .err = err };
	int ret;

	if (find_anchors(&d, v, 0) != 0) {
		free(d.seen);
		return -1;
	}
	if (!yaml_emitter_initialize(&d.emitter))
		abort();
	yaml_emitter_set_output(&d.emitter, write_out, &d);
	yaml_emitter_set_unicode(&d.emitter, !o->no_unicode);
	yaml_emitter_set_canonical(&d.emitter, o->canonical);
	if (o->indent != 0)
		yaml_emitter_set_indent(&d.emitter, o->indent);
	if (o->width != 0)
		yaml_emitter_set_width(&d.emitter, o->width);
	if (o->line_break != NULL)
		yaml_emitter_set_break(&d.emitter, strcmp(o->line_break, "\r\n") == 0 ?
		    YAML_CRLN_BREAK : *o->line_break == '\r' ? YAML_CR_BREAK : YAML_LN_BREAK);
	ret = dump_document(&d, v);
	yaml_emitter_delete(&d.emitter);
	free(d.seen);
	if (ret == 0 && buf_overflowed(out))
		ret = err_set(err, ERR_LIMIT, "the YAML text is too long");
	return ret;
}
