/*
 * What filters', tests', methods' and lookups' functions call (filter.h,
 * lookup.h), and how they are called with arguments that were not matched to
 * their parameters when compiled.
 */
#include <string.h>

#include "base/utf8.h"
#include "template/eval.h"

const struct value *
terr(struct tcall *c, enum err_code code, const char *fmt, ...)
{
	struct mark none = { NULL, 0, 0, 0 };
	va_list ap;

	c->ev->placed = false;
	va_start(ap, fmt);
	err_vset_at(c->err, code, none, fmt, ap);
	va_end(ap);
	return NULL;
}

int
terr_i(struct tcall *c, enum err_code code, const char *fmt, ...)
{
	struct mark none = { NULL, 0, 0, 0 };
	va_list ap;

	c->ev->placed = false;
	va_start(ap, fmt);
	err_vset_at(c->err, code, none, fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- values -------------------------------------------------------------------------- */

const struct value *
tcall_final(struct tcall *c, const struct value *v)
{
	if (v->type == V_OBJ && v_obj_ops(v)->list != NULL && (v = v_obj_ops(v)->list(c->ev, v)) == NULL)
		return NULL;
	return ev_final(c->ev, v, FINAL_DEEP | FINAL_TUPLES);
}

const struct value *
tcall_top(struct tcall *c, const struct value *v)
{
	return (v = ev_resolve(c->ev, v, NULL)) == NULL ? NULL : ev_force(c->ev, v);
}

const struct value *
ev_iter(struct eval *ev, const struct value *v)
{
	struct value *l;
	const struct ventry *e;
	uint32_t it, cp;
	size_t i;
	unsigned n;

	switch (v->type) {
	case V_LIST:
		return v;
	case V_MAP:
		l = v_list_room(&ev->scratch, v_count(v));
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			v_push(&ev->scratch, l, e->key);
		return l;
	case V_STR:
		l = v_list(&ev->scratch);
		for (i = 0; i < v->len; i += n) {
			if ((n = utf8_decode(v->u.s + i, v->len - i, &cp)) == 0)
				n = 1;
			v_push(&ev->scratch, l, v_strn(&ev->scratch, v->u.s + i, n));
		}
		return l;
	case V_OBJ:
		return v_obj_ops(v)->list != NULL ? v_obj_ops(v)->list(ev, v) : NULL;
	case V_UNDEF:
		return v->tag == UNDEF_SOFT ? v_list(&ev->scratch) : ev_force(ev, v);
	default:
		return NULL;
	}
}

/* Undefined elements stay: it is the function's business whether it looks at them. */
const struct value *
tcall_list(struct tcall *c, const struct value *v)
{
	const struct value *l, *e;
	struct value *copy = NULL;
	uint32_t i, j;

	if ((v = ev_resolve(c->ev, v, NULL)) == NULL)
		return NULL;
	if ((l = ev_iter(c->ev, v)) == NULL) {
		if (c->err->code == ERR_NONE)
			terr(c, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(v));
		return NULL;
	}
	for (i = 0; i < l->u.list->n; i++) {
		e = l->u.list->v[i];
		if (e->flags & V_SECRET)
			c->ev->tainted = true;
		if (copy == NULL && e->type != V_TMPL)
			continue;
		if (copy == NULL) {
			copy = v_list(c->arena);
			copy->flags = l->flags & V_TUPLE;
			for (j = 0; j < i; j++)
				v_push(c->arena, copy, l->u.list->v[j]);
		}
		if ((e = ev_resolve(c->ev, e, NULL)) == NULL)
			return NULL;
		v_push(c->arena, copy, e);
	}
	return copy != NULL ? copy : l;
}

const struct value *
tcall_item(struct tcall *c, const struct value *v, const struct value *key)
{
	if ((v = ev_resolve(c->ev, v, NULL)) == NULL)
		return NULL;
	return ev_item(c->ev, v, key);
}

const struct value *
tcall_getattr(struct tcall *c, const struct value *v, const char *name, size_t len)
{
	if ((v = ev_resolve(c->ev, v, NULL)) == NULL)
		return NULL;
	return ev_attr(c->ev, v, name, len, v_hash_str(name, len));
}

/* 'a.b.0': each part an item, numbers as integers; as Jinja's make_attrgetter. */
const struct value *
tcall_attr(struct tcall *c, const struct value *v, const char *path)
{
	const char *dot;
	size_t n;

	for (;; path = dot + 1) {
		if ((dot = strchr(path, '.')) == NULL)
			dot = path + strlen(path);
		n = (size_t)(dot - path);
		if ((v = tcall_item(c, v, n > 0 && n < 10 && strspn(path, "0123456789") >= n ?
		    v_int(c->arena, atoll(path)) : v_strn(c->arena, path, n))) == NULL)
			return NULL;
		if (*dot == '\0')
			return v;
	}
}

const struct value *
tcall_str(struct tcall *c, const struct value *v)
{
	struct buf b = BUF_INIT;
	struct value *r = NULL;

	if ((v = ev_resolve(c->ev, v, NULL)) == NULL)
		return NULL;
	if (v->type == V_STR)
		return v;
	if (v->type == V_INT)
		return tmpl_to_str(c->arena, v);
	if (v->type == V_UNDEF && v->tag == UNDEF_SOFT)
		return &v_empty_str;
	if (ev_force(c->ev, v) == NULL || (v = ev_final(c->ev, v, FINAL_DEEP | FINAL_TUPLES)) == NULL)
		return NULL;
	if (ev_str(c->ev, &b, v))
		r = v_strn(c->arena, buf_str(&b), b.len);
	buf_release(&b);
	return r;
}

size_t
ev_digits(char s[EV_DIGITS], int64_t i)
{
	uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	size_t n = EV_DIGITS;

	do {
		s[--n] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (i < 0)
		s[--n] = '-';
	return EV_DIGITS - n;
}

const struct value *
tmpl_to_str(struct arena *a, const struct value *v)
{
	struct buf b = BUF_INIT;
	char digits[EV_DIGITS];
	struct value *r;
	size_t n;

	if (v->type == V_STR)
		return v;
	if (v->type == V_INT) {
		n = ev_digits(digits, v->u.i);
		return v_strn(a, digits + sizeof(digits) - n, n);
	}
	if (v->type == V_OBJ && v_obj_ops(v)->str != NULL)
		v_obj_ops(v)->str(&b, v);
	else
		tmpl_repr(&b, v);
	r = v_strn(a, buf_str(&b), b.len);
	buf_release(&b);
	return r;
}

bool
tcall_truth(const struct value *v)
{
	const struct vobj_ops *ops;

	switch ((enum vtype)v->type) {
	case V_UNDEF:
	case V_NULL:
		return false;
	case V_BOOL:
		return v->u.b;
	case V_INT:
		return v->u.i != 0;
	case V_FLOAT:
		return v->u.f < 0 || v->u.f > 0 || v->u.f != v->u.f;
	case V_STR:
	case V_TMPL:
		return v->len > 0;
	case V_LIST:
	case V_MAP:
		return v_count(v) > 0;
	case V_OMIT:
		return true;
	case V_OBJ:
		ops = v_obj_ops(v);
		return ops->truth != NULL ? ops->truth(v) : ops->len != NULL ? ops->len(v) != 0 : true;
	}
	return true;
}

int
tcall_compare(struct tcall *c, const struct value *a, const struct value *b, int *ret)
{
	return op_order(c->ev, a, b, ret, "<");
}

struct buf
tcall_buf(struct tcall *c)
{
	return ev_buf(c->ev);
}

void
tcall_buf_done(struct tcall *c, struct buf *b)
{
	ev_buf_done(c->ev, b);
}

const struct scope *
tcall_scope(const struct tcall *c)
{
	return c->ev->scope;
}

/* ---- calls ------------------------------------------------------------------------------ */

#define PARAMS_MAX	24

/* Puts arguments where the row wants them. false after an error. */
static bool
match(struct tcall *c, const char *params, unsigned flags, const struct targs *args,
    const struct value **a)
{
	uint32_t np = 0, i, it, len[PARAMS_MAX];
	const char *name[PARAMS_MAX], *s;
	struct value *rest = NULL;
	const struct ventry *e;

	for (s = params; *s != '\0' && np < PARAMS_MAX; np++) {
		name[np] = s;
		len[np] = (uint32_t)strcspn(s, ",");
		s += len[np];
		s += *s == ',';
		a[np] = np < args->n ? args->v[np] : NULL;
	}
	c->a = a;
	c->na = np;
	if (args->n > np) {
		if (!(flags & TF_STAR)) {
			if (np == 0)
				terr(c, ERR_TYPE, "%s() takes no arguments (%u given)", c->name, args->n);
			else
				terr(c, ERR_TYPE, "%s() takes at most %u arguments, %u given", c->name, np, args->n);
			return false;
		}
		c->star = args->v + np;
		c->nstar = args->n - np;
	}
	for (it = 0; args->kw != NULL && (e = v_next(args->kw, &it)) != NULL;) {
		for (i = 0; i < np; i++)
			if (len[i] == e->key->len && memcmp(name[i], e->key->u.s, len[i]) == 0)
				break;
		if (i < np) {
			if (a[i] != NULL) {
				terr(c, ERR_TYPE, "%s() got multiple values for argument '%s'", c->name, e->key->u.s);
				return false;
			}
			a[i] = e->val;
			continue;
		}
		if (!(flags & TF_KWSTAR)) {
			terr(c, ERR_TYPE, "%s() got an unexpected keyword argument '%s'", c->name, e->key->u.s);
			return false;
		}
		if (rest == NULL)
			rest = v_map(c->arena);
		v_set(c->arena, rest, e->key, e->val);
	}
	c->kw = rest;
	return true;
}

const struct value *
ev_undef_among(const struct targs *args)
{
	const struct ventry *e;
	uint32_t i, it;

	for (i = 0; i < args->n; i++)
		if (args->v[i]->type == V_UNDEF && args->v[i]->tag != UNDEF_SOFT)
			return args->v[i];
	for (it = 0; args->kw != NULL && (e = v_next(args->kw, &it)) != NULL;)
		if (e->val->type == V_UNDEF && e->val->tag != UNDEF_SOFT)
			return e->val;
	return NULL;
}

static void
taint(struct eval *ev, const struct value *v)
{
	if ((v->flags & V_SECRET) ||
	    ((v->type == V_LIST || v->type == V_MAP) && !ev->tainted && v_any_flag(v, V_SECRET)))
		ev->tainted = true;
}

const struct value *
ev_filter(struct eval *ev, const struct tfilter *row, const char *name, const struct value *in,
    const struct targs *args)
{
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = name, .in = in, .err = ev->err };
	const struct value *a[PARAMS_MAX], *r;

	if (in->type == V_UNDEF && (!(row->flags & TF_UNDEF_OK) || ev_failed(in)))
		return in;
	if (!(row->flags & TF_UNDEF_ARGS) && (r = ev_undef_among(args)) != NULL)
		return r;
	if (!match(&c, row->params, row->flags, args, a))
		return ev_defer(ev);
	if (ev_changeable(ev, in) && (c.in = in = ev_hand_on(ev, in)) == NULL)
		return NULL;
	taint(ev, in);
	if ((r = row->fn(&c)) != NULL)
		return ev_output(ev, r);
	if (ev->err->code != ERR_LIMIT && ev->err->code != ERR_UNDEFINED)
		err_wrap(ev->err, "filter '%s' failed", name);
	return ev_defer(ev);
}

int
ev_test(struct eval *ev, const struct ttest *row, const char *name, const struct value *in,
    const struct targs *args, const struct value **undef)
{
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = name, .in = in, .err = ev->err };
	const struct value *a[PARAMS_MAX];
	int r;

	*undef = NULL;
	if (in->type == V_UNDEF && (!(row->flags & TF_UNDEF_OK) || ev_failed(in))) {
		*undef = in;
		return -1;
	}
	if (!(row->flags & TF_UNDEF_ARGS) && (*undef = ev_undef_among(args)) != NULL)
		return -1;
	if (match(&c, row->params, row->flags, args, a)) {
		taint(ev, in);
		if ((r = row->fn(&c)) >= 0)
			return r;
	}
	if (ev->err->code != ERR_LIMIT && ev->err->code != ERR_UNDEFINED)
		err_wrap(ev->err, "test '%s' failed", name);
	*undef = ev_defer(ev);
	return -1;
}

const struct value *
ev_method(struct eval *ev, const struct value *self, const struct tfilter *row, const struct targs *args)
{
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = row->name, .in = self, .err = ev->err };
	const struct value *a[PARAMS_MAX];
	uint32_t i;

	if (row->flags & TF_UNSUPPORTED)
		return ev_error(ev, ERR_UNSUPPORTED, "the method %s() of '%s' is not supported", row->name,
		    tmpl_py_type(self));
	if (!match(&c, row->params, row->flags, args, a))
		return NULL;
	for (i = 0; (row->flags & TF_MUTATES) && i < args->n; i++)
		if (!ev_may_take(ev, self, args->v[i]))
			return NULL;
	if ((row->flags & TF_MUTATES) && args->kw != NULL && !ev_may_take(ev, self, args->kw))
		return NULL;
	return row->fn(&c);
}

const struct value *
tcall_filter(struct tcall *c, const char *name, const struct value *in, const struct value **args,
    uint32_t nargs, const struct value *kw)
{
	const struct tfilter *row = tmpl_filter_find(name, strlen(name));
	struct targs a = { args, nargs, kw };
	const struct value *r;

	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		const char *near = row == NULL ? tmpl_filter_nearest(name) : NULL;

		if (row == NULL)
			terr(c, ERR_INVALID, "No filter named '%s' found", name);
		else
			terr(c, ERR_UNSUPPORTED, "the filter '%s' is not supported", name);
		if (near != NULL)
			err_hint(c->err, "did you mean '%s'?", near);
		return NULL;
	}
	if (!ev_step(c->ev) || (in = ev_resolve(c->ev, in, NULL)) == NULL)
		return NULL;
	r = ev_filter(c->ev, row, name, in, &a);
	return r;
}

int
tcall_test(struct tcall *c, const char *name, const struct value *in, const struct value **args, uint32_t nargs)
{
	return tcall_test_kw(c, name, in, args, nargs, NULL);
}

int
tcall_test_kw(struct tcall *c, const char *name, const struct value *in, const struct value **args,
    uint32_t nargs, const struct value *kw)
{
	const struct ttest *row = tmpl_test_find(name, strlen(name));
	struct targs a = { args, nargs, kw };
	const struct value *undef = NULL;
	int r;

	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		const char *near = row == NULL ? tmpl_test_nearest(name) : NULL;

		if (row == NULL)
			terr(c, ERR_INVALID, "No test named '%s' found", name);
		else
			terr(c, ERR_UNSUPPORTED, "the test '%s' is not supported", name);
		if (near != NULL)
			err_hint(c->err, "did you mean '%s'?", near);
		return -1;
	}
	if (!ev_step(c->ev) || (in = ev_resolve(c->ev, in, NULL)) == NULL)
		return -1;
	r = ev_test(c->ev, row, name, in, &a, &undef);
	if (r < 0 && undef != NULL)
		ev_force(c->ev, undef);
	return r;
}

/* ---- parameters ---------------------------------------------------------------------------- */

bool
targ_str(struct tcall *c, uint32_t i, const char *def, const char **ret, size_t *len)
{
	const struct value *v = i < c->na ? c->a[i] : NULL;

	if (v == NULL || v->type == V_NULL) {
		*ret = def;
		if (len != NULL)
			*len = def == NULL ? 0 : strlen(def);
		return true;
	}
	if (v->type != V_STR) {
		terr(c, ERR_TYPE, "%s: expected a string, not '%s'", c->name, tmpl_py_type(v));
		return false;
	}
	*ret = v->u.s;
	if (len != NULL)
		*len = v->len;
	return true;
}

bool
targ_int(struct tcall *c, uint32_t i, int64_t def, int64_t *ret)
{
	const struct value *v = i < c->na ? c->a[i] : NULL;

	*ret = def;
	if (v == NULL)
		return true;
	if (v->type != V_INT && v->type != V_BOOL) {
		terr(c, ERR_TYPE, "'%s' object cannot be interpreted as an integer", tmpl_py_type(v));
		return false;
	}
	*ret = v->type == V_INT ? v->u.i : v->u.b;
	return true;
}

bool
targ_bool(struct tcall *c, uint32_t i, bool def, bool *ret)
{
	const struct value *v = i < c->na ? c->a[i] : NULL;

	*ret = v == NULL ? def : tcall_truth(v);
	return true;
}
