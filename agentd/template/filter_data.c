/*
 * Filters that write and read data formats: JSON, YAML, pprint.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "template/datetime.h"
#include "template/filter_util.h"
#include "template/unidata.h"
#include "template/yaml_dump.h"
#include "yaml/yaml.h"

/* ---- JSON, as Python's json.dumps() ------------------------------------------------- */

struct jdump {
	struct tcall	*c;
	struct buf	*out;
	const char	*indent;	/* NULL: on one line */
	const char	*comma, *colon;
	bool		 sort, no_nan;
	unsigned	 flags;		/* of json_write_str */
};

static bool jdump(struct jdump *, const struct value *, unsigned);

static void
jbreak(struct jdump *j, unsigned depth)
{
	if (j->indent == NULL)
		return;
	buf_addc(j->out, '\n');
	for (unsigned i = 0; i < depth; i++)
		buf_adds(j->out, j->indent);
}

static bool
jfloat(struct jdump *j, double f)
{
	if (isfinite(f)) {
		format_double(j->out, f);
		return true;
	}
	if (j->no_nan) {
		terr(j->c, ERR_VALUE, "Out of range float values are not JSON compliant");
		return false;
	}
	buf_adds(j->out, isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
	return true;
}

/* A key as the text it becomes. NULL after an error. */
static const struct value *
jkey(struct jdump *j, const struct value *k)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct buf *out = j->out;
	bool ok;

	switch (k->type) {
	case V_STR:
		return k;
	case V_NULL:
		return v_str(j->c->arena, "null");
	case V_BOOL:
		return v_str(j->c->arena, k->u.b ? "true" : "false");
	case V_INT:
		return v_strf(j->c->arena, "%lld", (long long)k->u.i);
	case V_FLOAT:
		j->out = &b;
		ok = jfloat(j, k->u.f);
		j->out = out;
		return ok ? v_strn(j->c->arena, buf_str(&b), b.len) : NULL;
	default:
		return terr(j->c, ERR_TYPE, "keys must be str, int, float, bool or None, not %s",
		    tmpl_py_type(k));
	}
}

static int
by_key(const void *x, const void *y)
{
	const struct ventry *a = x, *b = y;
	size_t n = a->key->len < b->key->len ? a->key->len : b->key->len;
	int c = memcmp(a->key->u.s, b->key->u.s, n);

	return c != 0 ? c : (a->key->len > b->key->len) - (a->key->len < b->key->len);
}

static bool
jmap(struct jdump *j, const struct value *v, unsigned depth)
{
	const struct ventry *e;
	struct ventry *entries;
	uint32_t n = 0, it = 0;

	entries = arena_array(j->c->arena, v_count(v) + 1, sizeof(*entries));
	while ((e = v_next(v, &it)) != NULL) {
		entries[n].val = e->val;
		if ((entries[n++].key = jkey(j, e->key)) == NULL)
			return false;
	}
	if (j->sort)
		qsort(entries, n, sizeof(*entries), by_key);
	buf_addc(j->out, '{');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_adds(j->out, j->comma);
		jbreak(j, depth + 1);
		json_write_str(j->out, entries[i].key->u.s, entries[i].key->len, j->flags);
		buf_adds(j->out, j->colon);
		if (!jdump(j, entries[i].val, depth + 1))
			return false;
	}
	if (n > 0)
		jbreak(j, depth);
	buf_addc(j->out, '}');
	return true;
}

static bool
jdump(struct jdump *j, const struct value *v, unsigned depth)
{
	const char *date;

	if (depth > V_DEPTH_MAX) {
		terr(j->c, ERR_LIMIT, "JSON nested more than %d deep", V_DEPTH_MAX);
		return false;
	}
	switch (v->type) {
	case V_NULL:
		buf_adds(j->out, "null");
		return true;
	case V_BOOL:
		buf_adds(j->out, v->u.b ? "true" : "false");
		return true;
	case V_INT:
		buf_addf(j->out, "%lld", (long long)v->u.i);
		return true;
	case V_FLOAT:
		return jfloat(j, v->u.f);
	case V_STR:
	case V_TMPL:
		json_write_str(j->out, v->u.s, v->len, j->flags);
		return true;
	case V_LIST:
		buf_addc(j->out, '[');
		for (uint32_t i = 0; i < v_count(v); i++) {
			if (i > 0)
				buf_adds(j->out, j->comma);
			jbreak(j, depth + 1);
			if (!jdump(j, v_at(v, i), depth + 1))
				return false;
		}
		if (v_count(v) > 0)
			jbreak(j, depth);
		buf_addc(j->out, ']');
		return true;
	case V_MAP:
		return jmap(j, v, depth);
	case V_UNDEF:
		return fu_undef(j->c, v);
	default:
		if ((date = datetime_isoformat(v, j->c->arena)) != NULL) {
			json_write_str(j->out, date, strlen(date), j->flags);
			return true;
		}
		terr(j->c, ERR_TYPE, "Object of type %s is not JSON serializable", tmpl_py_type(v));
		return false;
	}
}

/* The indent= of json.dumps(): a number of blanks or a text, None for one line. */
static bool
json_indent(struct tcall *c, const struct value *v, const char **ret)
{
	int64_t n;

	*ret = NULL;
	if (v == NULL || v->type == V_NULL)
		return true;
	if (v->type == V_STR) {
		*ret = v->u.s;
		return true;
	}
	if (v_count(c->in) == 0)	/* a scalar asks for no indent, of whatever type it is */
		return true;
	if (!fu_is_int(v, &n)) {
		terr(c, ERR_TYPE, "indent must be an int or a str, not %s", tmpl_py_type(v));
		return false;
	}
	if (n > 1000000) {
		terr(c, ERR_LIMIT, "indent is too large");
		return false;
	}
	*ret = arena_printf(c->arena, "%*s", n > 0 ? (int)n : 0, "");
	return true;
}

static bool
json_separators(struct tcall *c, const struct value *v, struct jdump *j)
{
	if (v == NULL || v->type == V_NULL)
		return true;
	if (v->type != V_LIST || v_count(v) != 2 || !v_is_str(v_at(v, 0)) || !v_is_str(v_at(v, 1))) {
		terr(c, ERR_VALUE, "separators must be two strings");
		return false;
	}
	j->comma = v_at(v, 0)->u.s;
	j->colon = v_at(v, 1)->u.s;
	return true;
}

static bool
kw_truth(const struct value *kw, const char *name, bool def)
{
	const struct value *v = v_gets(kw, name);

	return v != NULL ? tcall_truth(v) : def;
}

static bool
known_keywords(struct tcall *c, const char *const *names)
{
	const struct ventry *e;
	size_t i;

	for (uint32_t it = 0; (e = fu_next_kw(c, &it)) != NULL;) {
		for (i = 0; names[i] != NULL && !v_eqs(e->key, names[i]); i++)
			continue;
		if (names[i] == NULL) {
			terr(c, ERR_TYPE, "%s() got an unexpected keyword argument '%s'", c->name,
			    v_is_str(e->key) ? e->key->u.s : "?");
			return false;
		}
	}
	return true;
}

static const char *const json_keywords[] = { "indent", "sort_keys", "separators",
    "ensure_ascii", "skipkeys", "allow_nan", "check_circular",
    "vault_to_text", "preprocess_unsafe", NULL };

static const struct value *
to_json(struct tcall *c, const struct value *indent, bool sort, bool nice,
    const struct value *profile)
{
	struct buf b = BUF_INIT;
	struct jdump j = { .c = c, .out = &b, .colon = ": " };
	const struct value *in;

	if (!known_keywords(c, json_keywords) || (in = tcall_final(c, c->in)) == NULL ||
	    !json_indent(c, indent, &j.indent))
		return NULL;
	if (profile != NULL && tcall_truth(profile) && !v_eqs(profile, "tagless"))
		return terr(c, ERR_UNSUPPORTED, "%s: profiles other than 'tagless' are not supported", c->name);
	j.comma = nice || j.indent != NULL ? "," : ", ";
	if (!nice && !json_separators(c, v_gets(c->kw, "separators"), &j))
		return NULL;
	j.sort = sort;
	j.no_nan = !kw_truth(c->kw, "allow_nan", true);
	j.flags = kw_truth(c->kw, "ensure_ascii", true) ? JSON_ASCII : 0;
	if (!jdump(&j, in, 0)) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static const struct value *
f_to_json(struct tcall *c)
{
	return to_json(c, v_gets(c->kw, "indent"), kw_truth(c->kw, "sort_keys", false), false, c->a[0]);
}

/* to_nice_json(indent=4, sort_keys=True, …) */
static const struct value *
f_to_nice_json(struct tcall *c)
{
	return to_json(c, c->a[0] != NULL ? c->a[0] : v_int(c->arena, 4),
	    c->a[1] != NULL ? tcall_truth(c->a[1]) : true, true, c->a[2]);
}

/* Jinja's own: sorted, and safe within HTML. */
static const struct value *
f_tojson(struct tcall *c)
{
	struct buf b = BUF_INIT, safe = BUF_INIT;
	struct jdump j = { .c = c, .out = &b, .comma = ", ", .colon = ": ", .sort = true,
	    .flags = JSON_ASCII };
	const struct value *in, *v;

	if ((in = tcall_final(c, c->in)) == NULL || !json_indent(c, c->a[0], &j.indent))
		return NULL;
	if (j.indent != NULL)
		j.comma = ",";
	if (!jdump(&j, in, 0)) {
		buf_release(&b);
		return NULL;
	}
	for (size_t i = 0; i < b.len; i++) {
		if (strchr("<>&'", b.data[i]) != NULL && b.data[i] != '\0')
			buf_addf(&safe, "\\u%04x", (unsigned)(unsigned char)b.data[i]);
		else
			buf_addc(&safe, b.data[i]);
	}
	buf_release(&b);
	v = buf_overflowed(&safe) ? fu_result(c, &safe) :
	    v_markup(c->arena, buf_str(&safe), safe.len);
	buf_release(&safe);
	return v;
}

/* True when valid JSON holds an integer that an int64_t does not. */
static bool
huge_integer(const char *s, const char *end)
{
	const char *from;

	for (; s < end; s++) {
		if (*s == '"') {
			for (s++; s < end && *s != '"'; s++)
				s += *s == '\\';
			continue;
		}
		if (*s != '-' && !isdigit((unsigned char)*s))
			continue;
		for (from = s++; s < end && strchr("0123456789.eE+-", *s) != NULL && *s != '\0'; s++)
			continue;
		errno = 0;
		if (memchr(from, '.', (size_t)(s - from)) == NULL && memchr(from, 'e', (size_t)(s - from)) == NULL &&
		    memchr(from, 'E', (size_t)(s - from)) == NULL && (strtoll(from, NULL, 10), errno == ERANGE))
			return true;
		s--;
	}
	return false;
}

static const struct value *
f_from_json(struct tcall *c)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const struct value *v;

	if (c->in->type != V_STR)
		return terr(c, ERR_TYPE, "the JSON object must be str, bytes or bytearray, not %s",
		    tmpl_py_type(c->in));
	if (fu_given(c, 0) && !v_eqs(c->a[0], "tagless"))
		return terr(c, ERR_VALUE, "Unknown profile name");
	v = json_parse_text(c->arena, c->in->u.s, c->in->len, &err);
	if (v != NULL && huge_integer(c->in->u.s, c->in->u.s + c->in->len))
		return terr(c, ERR_LIMIT, "from_json: integer overflow: numbers beyond 64 bits are not supported");
	/* The text is gone before the error is shown: its position goes into the words. */
	return v != NULL ? v : terr(c, err.code, "from_json: line %u, column %u: %s", err.at.line,
	    err.at.col, err.msg);
}

/* ---- YAML ----------------------------------------------------------------------------- */

static bool
yaml_int(struct tcall *c, const char *name, const struct value *v, int *ret)
{
	int64_t n;

	if (v == NULL || v->type == V_NULL)
		return true;
	if (!fu_is_int(v, &n) && !(v->type == V_FLOAT && fu_float_int(v->u.f, &n))) {
		terr(c, ERR_TYPE, "%s: %s must be an int, not %s", c->name, name, tmpl_py_type(v));
		return false;
	}
	*ret = n > INT32_MAX ? INT32_MAX : n < -1 ? -1 : (int)n;
	return true;
}

static const char *const yaml_keywords[] = { "indent", "width", "default_flow_style",
    "sort_keys", "explicit_start", "explicit_end", "canonical", "default_style",
    "line_break", "encoding", "version", "tags", NULL };

static const struct value *
to_yaml(struct tcall *c, const struct value *indent, const struct value *flow)
{
	struct yaml_dump_opts o = { .object = datetime_text };
	struct buf b = BUF_INIT;
	const struct value *in, *v;

	if (!known_keywords(c, yaml_keywords) || (in = tcall_final(c, c->in)) == NULL ||
	    !yaml_int(c, "indent", indent, &o.indent) ||
	    !yaml_int(c, "width", v_gets(c->kw, "width"), &o.width))
		return NULL;
	for (size_t i = 9; yaml_keywords[i] != NULL; i++)
		if ((v = v_gets(c->kw, yaml_keywords[i])) != NULL && v->type != V_NULL)
			return terr(c, ERR_UNSUPPORTED, "%s: %s= is not supported", c->name, yaml_keywords[i]);
	if (flow != NULL && flow->type != V_NULL)
		o.flow = tcall_truth(flow) ? YAML_FLOW_ALWAYS : YAML_FLOW_NEVER;
	o.no_sort_keys = !kw_truth(c->kw, "sort_keys", true);
	o.explicit_start = kw_truth(c->kw, "explicit_start", false);
	o.explicit_end = kw_truth(c->kw, "explicit_end", false);
	o.canonical = kw_truth(c->kw, "canonical", false);
	if ((v = v_gets(c->kw, "default_style")) != NULL && v_is_str(v) && v->len == 1)
		o.style = *v->u.s;
	if ((v = v_gets(c->kw, "line_break")) != NULL && v_is_str(v))
		o.line_break = v->u.s;
	if (yaml_dump(&b, c->arena, in, &o, c->err) != 0) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(c, &b);
}

static const struct value *
f_to_yaml(struct tcall *c)
{
	return to_yaml(c, v_gets(c->kw, "indent"), v_gets(c->kw, "default_flow_style"));
}

static const struct value *
f_to_nice_yaml(struct tcall *c)
{
	const struct value *flow = v_gets(c->kw, "default_flow_style");

	return to_yaml(c, c->a[0] != NULL ? c->a[0] : v_int(c->arena, 4),
	    flow != NULL ? flow : &v_false);
}

/* The first error of a YAML text, as the filter's. */
static const struct value *
yaml_failed(struct tcall *c, struct diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].level == DIAG_ERROR) {
			terr(c, ERR_VALUE, "%s: line %u, column %u: %s", c->name,
			    d->v[i].err.at.line, d->v[i].err.at.col, d->v[i].err.msg);
			return NULL;
		}
	return terr(c, ERR_VALUE, "%s: no valid YAML", c->name);
}

static const struct value *
from_yaml(struct tcall *c, bool all)
{
	CLEANUP_DIAGS struct diags d = DIAGS_INIT;
	const struct scope *scope = tcall_scope(c);
	struct yaml_opts o = { .duplicates_ok = true };
	const struct source *src;
	const struct value *v;

	if (c->in->type == V_NULL)
		return all ? v_list(c->arena) : c->in;
	if (c->in->type != V_STR)
		return c->in;
	if (scope != NULL && scope->files != NULL) {
		o.decrypt = scope->files->decrypt;
		o.arg = scope->files->arg;
	}
	src = source_text(c->arena, "<from_yaml>", c->in->u.s, c->in->len);
	v = all ? yaml_parse_all(c->arena, src, &o, &d) : yaml_parse(c->arena, src, &o, &d);
	return v != NULL ? v : yaml_failed(c, &d);
}

static const struct value *
f_from_yaml(struct tcall *c)
{
	return from_yaml(c, false);
}

static const struct value *
f_from_yaml_all(struct tcall *c)
{
	return from_yaml(c, true);
}

/* ---- pprint ----------------------------------------------------------------------------- */

#define PPRINT_WIDTH	80

static const struct value *
repr_of(struct tcall *c, const char *s, size_t len, struct buf *b)
{
	const struct value *v = fu_strn(c, s, len);

	buf_clear(b);
	tmpl_repr(b, v);
	return v;
}

static size_t
width_of(const struct buf *b)
{
	return utf8_count(b->len > 0 ? b->data : "", b->len);
}

/* A line's end with its newline; words with the blanks behind them. */
static size_t
line_length(const char *s, const char *end)
{
	const char *p = s, *line;
	size_t len;

	return fu_next_line(&p, end, &line, &len) ? (size_t)(p - s) : 0;
}

static size_t
word_length(const char *s, size_t len)
{
	uint32_t ch;
	unsigned n;
	size_t i;
	bool blank = false;

	for (i = 0; i < len; i += n > 0 ? n : 1) {
		n = utf8_decode(s + i, len - i, &ch);
		if (n > 0 && uni_space(ch))
			blank = true;
		else if (blank)
			break;
	}
	return i;
}

/* A long line in chunks of whole words. */
static void
pprint_line(struct tcall *c, struct value *chunks, const char *s, size_t len, bool last)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t from = 0, at = 0, n, max = PPRINT_WIDTH - 1;

	while (at < len) {
		n = word_length(s + at, len - at);
		if (last && at + n == len)
			max--;
		repr_of(c, s + from, at + n - from, &b);
		if (width_of(&b) > max && at > from) {
			repr_of(c, s + from, at - from, &b);
			v_push(c->arena, chunks, fu_strn(c, buf_str(&b), b.len));
			from = at;
		}
		at += n;
	}
	repr_of(c, s + from, len - from, &b);
	v_push(c->arena, chunks, fu_strn(c, buf_str(&b), b.len));
}

/*
 * pprint.pformat(): a text that is too long is broken at line ends and
 * between words.  Containers are Ansible's own types, which pprint does not
 * know and prints as repr() does.
 */
static const struct value *
f_pprint(struct tcall *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct value *chunks = v_list(c->arena);
	const struct value *in = tcall_final(c, c->in);
	const char *s, *end;
	struct buf out = BUF_INIT;
	size_t n, max;

	if (in == NULL)
		return NULL;
	tmpl_repr(&b, in);
	if (in->type != V_STR || width_of(&b) <= PPRINT_WIDTH || in->len == 0)
		return fu_strn(c, buf_str(&b), b.len);
	for (s = in->u.s, end = s + in->len; s < end; s += n) {
		n = line_length(s, end);
		max = PPRINT_WIDTH - 1 - (s + n == end);
		repr_of(c, s, n, &b);
		if (width_of(&b) <= max)
			v_push(c->arena, chunks, fu_strn(c, buf_str(&b), b.len));
		else
			pprint_line(c, chunks, s, n, s + n == end);
	}
	if (v_count(chunks) == 1)
		return fu_strn(c, buf_str(&b), b.len);
	for (uint32_t i = 0; i < v_count(chunks); i++) {
		buf_adds(&out, i == 0 ? "(" : "\n ");
		buf_add(&out, v_at(chunks, i)->u.s, v_at(chunks, i)->len);
	}
	buf_addc(&out, ')');
	return fu_result(c, &out);
}

static const struct tfilter filters[] = {
	{ "from_json", "profile", 0, f_from_json },
	{ "from_yaml", "", 0, f_from_yaml },
	{ "from_yaml_all", "", 0, f_from_yaml_all },
	{ "pprint", "", 0, f_pprint },
	{ "to_json", "profile", TF_KWSTAR, f_to_json },
	{ "to_nice_json", "indent,sort_keys,profile", TF_KWSTAR, f_to_nice_json },
	{ "to_nice_yaml", "indent", TF_STAR | TF_KWSTAR, f_to_nice_yaml },
	{ "to_yaml", "", TF_STAR | TF_KWSTAR, f_to_yaml },
	{ "tojson", "indent", 0, f_tojson },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_data = { filters, NULL };
