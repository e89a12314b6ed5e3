/*
 * From values to text and to results: str() and repr() as Python has them, the
 * final form of a value, and its way out of the evaluation.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "template/eval.h"
#include "template/text.h"

#define PRINT_DEPTH_MAX	200

const char *
tmpl_py_type(const struct value *v)
{
	switch ((enum vtype)v->type) {
	case V_UNDEF:
		return v->tag == UNDEF_SOFT ? "Undefined" : "UndefinedMarker";
	case V_NULL:
		return "NoneType";
	case V_BOOL:
		return "bool";
	case V_INT:
		return "int";
	case V_FLOAT:
		return "float";
	case V_STR:
		return v_is_markup(v) ? "Markup" : "str";
	case V_TMPL:
		return "str";
	case V_LIST:
		return v->flags & V_TUPLE ? "tuple" : "list";
	case V_MAP:
		return "dict";
	case V_OMIT:
		return "_OmitType";
	case V_OBJ:
		return v_obj_ops(v)->type;
	}
	return "?";
}

/* ---- repr ------------------------------------------------------------------- */

static void
repr_str(struct buf *b, const char *s, size_t len)
{
	char quote = memchr(s, '\'', len) != NULL && memchr(s, '"', len) == NULL ? '"' : '\'';
	size_t i, plain;
	uint32_t cp;
	unsigned n;

	buf_addc(b, quote);
	for (i = plain = 0; i < len; i += n) {
		unsigned char c = (unsigned char)s[i];

		n = 1;
		if (c >= 0x20 && c < 0x7f && c != '\\' && c != (unsigned char)quote)
			continue;
		if (c >= 0x80) {
			if ((n = utf8_decode(s + i, len - i, &cp)) == 0) {
				n = 1;
				cp = c;
			}
			if (n > 1 && text_printable(cp))
				continue;
		} else
			cp = c;
		buf_add(b, s + plain, i - plain);
		plain = i + n;
		switch (cp) {
		case '\n':
			buf_adds(b, "\\n");
			break;
		case '\r':
			buf_adds(b, "\\r");
			break;
		case '\t':
			buf_adds(b, "\\t");
			break;
		default:
			if (cp == '\\' || cp == (uint32_t)quote)
				buf_addf(b, "\\%c", (int)cp);
			else if (cp < 0x100)
				buf_addf(b, "\\x%02x", cp);
			else if (cp < 0x10000)
				buf_addf(b, "\\u%04x", cp);
			else
				buf_addf(b, "\\U%08x", cp);
		}
	}
	buf_add(b, s + plain, len - plain);
	buf_addc(b, quote);
}

static void
add_int(struct buf *b, int64_t i)
{
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	char digits[24];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (i < 0)
		digits[--n] = '-';
	buf_add(b, digits + n, sizeof(digits) - n);
}

static void
repr_depth(struct buf *b, const struct value *v, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;
	bool first = true, tuple;

	if (depth > PRINT_DEPTH_MAX) {
		buf_adds(b, "...");
		return;
	}
	switch ((enum vtype)v->type) {
	case V_NULL:
		buf_adds(b, "None");
		break;
	case V_BOOL:
		buf_adds(b, v->u.b ? "True" : "False");
		break;
	case V_INT:
		add_int(b, v->u.i);
		break;
	case V_FLOAT:
		format_double(b, v->u.f);
		break;
	case V_STR:
	case V_TMPL:
		if (v_is_markup(v)) {
			buf_adds(b, "Markup(");
			repr_str(b, v->u.s, v->len);
			buf_addc(b, ')');
		} else
			repr_str(b, v->u.s, v->len);
		break;
	case V_LIST:
		tuple = v->flags & V_TUPLE;
		buf_addc(b, tuple ? '(' : '[');
		for (i = 0; i < v->u.list->n; i++) {
			if (i > 0)
				buf_add(b, ", ", 2);
			repr_depth(b, v->u.list->v[i], depth + 1);
		}
		if (tuple && v->u.list->n == 1)
			buf_addc(b, ',');
		buf_addc(b, tuple ? ')' : ']');
		break;
	case V_MAP:
		buf_addc(b, '{');
		for (it = 0; (e = v_next(v, &it)) != NULL; first = false) {
			if (!first)
				buf_add(b, ", ", 2);
			repr_depth(b, e->key, depth + 1);
			buf_add(b, ": ", 2);
			repr_depth(b, e->val, depth + 1);
		}
		buf_addc(b, '}');
		break;
	case V_UNDEF:
		buf_adds(b, "Undefined");
		break;
	case V_OMIT:
		buf_adds(b, "<<Omit>>");
		break;
	case V_OBJ:
		if (v_obj_ops(v)->repr != NULL)
			v_obj_ops(v)->repr(b, v);
		else
			buf_addf(b, "<%s object>", v_obj_ops(v)->type);
	}
}

void
tmpl_repr(struct buf *b, const struct value *v)
{
	repr_depth(b, v, 0);
}

void
tmpl_escape(struct buf *b, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		switch (s[i]) {
		case '&':
			buf_adds(b, "&amp;");
			break;
		case '<':
			buf_adds(b, "&lt;");
			break;
		case '>':
			buf_adds(b, "&gt;");
			break;
		case '\'':
			buf_adds(b, "&#39;");
			break;
		case '"':
			buf_adds(b, "&#34;");
			break;
		default:
			buf_addc(b, s[i]);
		}
}

struct value *
v_markup(struct arena *a, const char *s, size_t len)
{
	struct value *v = v_strn(a, s, len);

	v->tag = V_STR_MARKUP;
	return v;
}

struct value *
v_obj(struct arena *a, const struct vobj_ops *ops, void *obj)
{
	struct value *v = ARENA_NEW(a, struct value);

	((struct vobj *)obj)->ops = ops;
	v->type = V_OBJ;
	v->u.obj = obj;
	return v;
}

bool
ev_overflow(struct eval *ev, const struct buf *b)
{
	if (!buf_overflowed(b))
		return false;
	ev_error(ev, ERR_LIMIT, "more than %zu bytes of text", b->max != 0 ? b->max : BUF_MAX_DEFAULT);
	return true;
}

static void
add_str(struct buf *b, const struct value *v)
{
	if (v->type == V_STR)
		buf_add(b, v->u.s, v->len);
	else if (v->type == V_OBJ && v_obj_ops(v)->str != NULL)
		v_obj_ops(v)->str(b, v);
	else
		repr_depth(b, v, 0);
}

bool
ev_str(struct eval *ev, struct buf *b, const struct value *v)
{
	if (v->flags & V_SECRET)
		ev->tainted = true;
	else if (!ev->tainted && (v->type == V_LIST || v->type == V_MAP) && v_any_flag(v, V_SECRET))
		ev->tainted = true;
	add_str(b, v);
	return !ev_overflow(ev, b);
}

/* ---- final values ------------------------------------------------------------ */

/* True when something below is to be resolved, dropped or turned. */
static bool
unfinished(const struct value *v, unsigned flags, unsigned depth)
{
	const struct ventry *e;
	uint32_t i, it;

	if (depth > PRINT_DEPTH_MAX)
		return true;
	switch (v->type) {
	case V_TMPL:
	case V_UNDEF:
		return true;
	case V_OMIT:
		return depth > 0 && !(flags & FINAL_TUPLES);
	case V_OBJ:
		return depth > 0 && v_obj_ops(v)->list != NULL;
	case V_LIST:
		if ((v->flags & V_TUPLE) && !(flags & FINAL_TUPLES))
			return true;
		for (i = 0; i < v->u.list->n; i++)
			if (unfinished(v->u.list->v[i], flags, depth + 1))
				return true;
		return false;
	case V_MAP:
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			if (unfinished(e->val, flags, depth + 1))
				return true;
		return false;
	default:
		return false;
	}
}

static const struct value *
final_depth(struct eval *ev, const struct value *v, unsigned flags, unsigned depth)
{
	const struct value *part;
	const struct ventry *e;
	struct value *copy;
	uint32_t i, it;

	if (depth > PRINT_DEPTH_MAX)
		return ev_error(ev, ERR_LIMIT, "a value nested more than %d levels deep, or one that contains itself",
		    PRINT_DEPTH_MAX);
	if ((v = ev_resolve(ev, v, NULL)) == NULL)
		return NULL;
	switch (v->type) {
	case V_UNDEF:
		return ev_force(ev, v);
	case V_LIST:
		if (!unfinished(v, flags, 0))
			return v;
		copy = v_list(&ev->scratch);
		copy->flags = v->flags & (uint8_t)~V_HAS_TMPL;
		if (!(flags & FINAL_TUPLES))
			copy->flags &= (uint8_t)~V_TUPLE;
		for (i = 0; i < v->u.list->n; i++) {
			if ((part = final_depth(ev, v->u.list->v[i], flags, depth + 1)) == NULL)
				return NULL;
			if (part->type != V_OMIT || (flags & FINAL_TUPLES))
				v_push(&ev->scratch, copy, part);
		}
		copy->mark = v->mark;
		return copy;
	case V_MAP:
		if (!unfinished(v, flags, 0))
			return v;
		copy = v_map(&ev->scratch);
		copy->flags = v->flags & (uint8_t)~V_HAS_TMPL;
		for (it = 0; (e = v_next(v, &it)) != NULL;) {
			part = e->val;
			if (part->type == V_TMPL)
				part = ev_resolve(ev, part, e->key->type == V_STR ? e->key->u.s : NULL);
			if (part == NULL || (part = final_depth(ev, part, flags, depth + 1)) == NULL)
				return NULL;
			if (part->type != V_OMIT || (flags & FINAL_TUPLES))
				v_set(&ev->scratch, copy, e->key, part);
		}
		copy->mark = v->mark;
		return copy;
	default:
		return v;
	}
}

const struct value *
ev_final(struct eval *ev, const struct value *v, unsigned flags)
{
	if (v->type != V_LIST && v->type != V_MAP && v->type != V_TMPL && v->type != V_UNDEF)
		return v;
	return final_depth(ev, v, flags, 0);
}

static const struct value *
export_depth(struct eval *ev, struct arena *a, const struct value *v, unsigned depth)
{
	const struct value *part;
	const struct ventry *e;
	struct value *copy;
	uint32_t i, it;
	bool own = arena_owns(&ev->scratch, v);

	if (depth > PRINT_DEPTH_MAX)
		return ev_error(ev, ERR_LIMIT, "a value nested more than %d levels deep", PRINT_DEPTH_MAX);
	switch (v->type) {
	case V_OBJ:
		if (v_obj_ops(v)->final == NULL || (part = v_obj_ops(v)->final(a, v)) == NULL)
			return ev_error(ev, ERR_TYPE, "Type '%s' is unsupported for variable storage", v_obj_ops(v)->type);
		return export_depth(ev, a, part, depth + 1);
	case V_LIST:
		if (!own)
			return v;
		copy = v_list(a);
		for (i = 0; i < v->u.list->n; i++) {
			if ((part = export_depth(ev, a, v->u.list->v[i], depth + 1)) == NULL)
				return NULL;
			v_push(a, copy, part);
		}
		break;
	case V_MAP:
		if (!own)
			return v;
		copy = v_map(a);
		for (it = 0; (e = v_next(v, &it)) != NULL;) {
			const struct value *key = export_depth(ev, a, e->key, depth + 1);

			if (key == NULL || (part = export_depth(ev, a, e->val, depth + 1)) == NULL)
				return NULL;
			v_set(a, copy, key, part);
		}
		break;
	case V_STR:
		if (!own && v->tag == 0)
			return v;
		copy = arena_owns(&ev->scratch, v->u.s) ? v_strn(a, v->u.s, v->len) : v_str_ref(a, v->u.s, v->len);
		break;
	default:
		if (!own)
			return v;
		copy = ARENA_NEW(a, struct value);
		*copy = *v;
		return copy;
	}
	copy->flags = v->flags & (uint8_t)~(V_HAS_TMPL | V_OWN);
	copy->mark = v->mark;
	return copy;
}

const struct value *
ev_export(struct eval *ev, struct arena *a, const struct value *v)
{
	if (v->type == V_UNDEF && v->tag == UNDEF_SOFT)
		return ev_error(ev, ERR_TYPE, "Type 'Undefined' is unsupported for variable storage");
	if ((v = ev_final(ev, v, FINAL_DEEP)) == NULL)
		return NULL;
	return export_depth(ev, a, v, 0);
}
