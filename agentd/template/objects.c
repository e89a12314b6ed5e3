/*
 * Objects of the language itself: range, namespace, cycler, joiner, loop,
 * modules, bound methods, maps that are computed when read.
 */
#include <string.h>

#include "template/datetime.h"
#include "template/eval.h"

static bool
is(const char *s, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(s, name, len) == 0;
}

/* ---- range ---------------------------------------------------------------------- */

#define RANGE_MAX	((int64_t)10 * 1000 * 1000)

int64_t
range_len(const struct range *r)
{
	uint64_t span, step;

	if (r->step > 0 ? r->start >= r->stop : r->start <= r->stop)
		return 0;
	span = r->step > 0 ? (uint64_t)r->stop - (uint64_t)r->start : (uint64_t)r->start - (uint64_t)r->stop;
	step = r->step > 0 ? (uint64_t)r->step : 0 - (uint64_t)r->step;
	span = (span - 1) / step + 1;
	return span > INT64_MAX ? INT64_MAX : (int64_t)span;
}

const struct value *
range_new(struct eval *ev, int64_t start, int64_t stop, int64_t step)
{
	struct range *r = ARENA_NEW(&ev->scratch, struct range);

	r->start = start;
	r->stop = stop;
	r->step = step;
	return v_obj(&ev->scratch, &range_ops, r);
}

static const struct value *
range_list(struct eval *ev, const struct value *v)
{
	const struct range *r = v->u.obj;
	int64_t n = range_len(r), i;
	struct value *l;

	if (n > RANGE_MAX)
		return ev_error(ev, ERR_LIMIT, "a range of more than %lld numbers", (long long)RANGE_MAX);
	l = v_list_room(&ev->scratch, (uint32_t)n);
	for (i = 0; i < n; i++)
		v_push(&ev->scratch, l, v_int(&ev->scratch, r->start + i * r->step));
	return l;
}

static const struct value *
range_item(struct eval *ev, const struct value *v, const struct value *key)
{
	const struct range *r = v->u.obj;
	int64_t n = range_len(r), i;

	if (key->type != V_INT)
		return NULL;
	i = key->u.i < 0 ? key->u.i + n : key->u.i;
	return i < 0 || i >= n ? NULL : v_int(&ev->scratch, r->start + i * r->step);
}

static int64_t
range_length(const struct value *v)
{
	return range_len(v->u.obj);
}

static void
range_repr(struct buf *b, const struct value *v)
{
	const struct range *r = v->u.obj;

	buf_addf(b, "range(%lld, %lld", (long long)r->start, (long long)r->stop);
	if (r->step != 1)
		buf_addf(b, ", %lld", (long long)r->step);
	buf_addc(b, ')');
}

static const struct value *
range_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct range *r = v->u.obj;

	return is(s, len, "start") ? v_int(&ev->scratch, r->start) :
	    is(s, len, "stop") ? v_int(&ev->scratch, r->stop) :
	    is(s, len, "step") ? v_int(&ev->scratch, r->step) : NULL;
}

static bool
range_equal(const struct value *a, const struct value *b)
{
	const struct range *x = a->u.obj, *y = b->u.obj;
	int64_t n = range_len(x);

	return n == range_len(y) && (n == 0 || (x->start == y->start && (n == 1 || x->step == y->step)));
}

const struct vobj_ops range_ops = { .type = "range", .list = range_list, .item = range_item,
    .len = range_length, .repr = range_repr, .attr = range_attr, .equal = range_equal };

/* ---- namespace -------------------------------------------------------------------- */

static const struct value *
namespace_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct namespace *ns = v->u.obj;
	const struct value *r = v_getn(ns->vars, s, len, v_hash_str(s, len));

	return r == NULL ? NULL : ev_resolve(ev, r, NULL);
}

static const struct value *
namespace_item(struct eval *ev, const struct value *v, const struct value *key)
{
	return key->type == V_STR ? namespace_attr(ev, v, key->u.s, key->len) : NULL;
}

static void
namespace_repr(struct buf *b, const struct value *v)
{
	const struct namespace *ns = v->u.obj;

	buf_adds(b, "<Namespace ");
	tmpl_repr(b, ns->vars);
	buf_addc(b, '>');
}

const struct vobj_ops namespace_ops = { .type = "Namespace", .attr = namespace_attr,
    .item = namespace_item, .repr = namespace_repr };

static const struct value *
make_namespace(struct eval *ev, const struct targs *args)
{
	struct namespace *ns = ARENA_NEW(&ev->scratch, struct namespace);
	const struct value *l, *pair;
	uint32_t i;

	if (args->n > 1)
		return ev_error(ev, ERR_TYPE, "namespace expected at most 1 argument, got %u", args->n);
	ns->vars = v_map(&ev->scratch);
	if (args->n == 1 && args->v[0]->type == V_MAP)
		v_merge(&ev->scratch, ns->vars, args->v[0]);
	else if (args->n == 1) {
		if ((l = ev_iter(ev, args->v[0])) == NULL)
			return ev_error(ev, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(args->v[0]));
		for (i = 0; i < l->u.list->n; i++) {
			if ((pair = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL)
				return NULL;
			if (pair->type != V_LIST || pair->u.list->n != 2 || !v_hashable(pair->u.list->v[0]))
				return ev_error(ev, ERR_TYPE, "cannot convert dictionary update sequence element #%u "
				    "to a sequence", i);
			v_set(&ev->scratch, ns->vars, pair->u.list->v[0], pair->u.list->v[1]);
		}
	}
	if (args->kw != NULL)
		v_merge(&ev->scratch, ns->vars, args->kw);
	return v_obj(&ev->scratch, &namespace_ops, ns);
}

/* ---- cycler, joiner ------------------------------------------------------------------ */

struct cycler {
	struct vobj		 o;
	const struct value     **items;
	uint32_t		 n, pos;
};

static const struct value *
cycler_next(struct tcall *c)
{
	struct cycler *y = c->in->u.obj;
	const struct value *v = y->items[y->pos];

	y->pos = (y->pos + 1) % y->n;
	return v;
}

static const struct value *
cycler_reset(struct tcall *c)
{
	((struct cycler *)c->in->u.obj)->pos = 0;
	return &v_null;
}

static const struct tfilter cycler_methods[] = {
	{ "next", "", 0, cycler_next },
	{ "reset", "", 0, cycler_reset },
	{ NULL, NULL, 0, NULL }
};

static const struct value *
cycler_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct cycler *y = v->u.obj;
	struct value *l;
	uint32_t i;

	if (is(s, len, "current"))
		return y->items[y->pos];
	if (is(s, len, "pos"))
		return v_int(&ev->scratch, y->pos);
	if (!is(s, len, "items"))
		return NULL;
	l = v_list(&ev->scratch);
	l->flags |= V_TUPLE;
	for (i = 0; i < y->n; i++)
		v_push(&ev->scratch, l, y->items[i]);
	return l;
}

static const struct vobj_ops cycler_ops = { .type = "Cycler", .methods = cycler_methods, .attr = cycler_attr };

static const struct value *
make_cycler(struct eval *ev, const struct targs *args)
{
	struct cycler *y;

	if (args->n == 0)
		return ev_error(ev, ERR_VALUE, "at least one item has to be provided");
	y = ARENA_NEW(&ev->scratch, struct cycler);
	y->items = args->v;
	y->n = args->n;
	return v_obj(&ev->scratch, &cycler_ops, y);
}

struct joiner {
	struct vobj		 o;
	const struct value	*sep;
	bool			 used;
};

static const struct value *
joiner_call(struct eval *ev, const struct value *v, const struct targs *args)
{
	struct joiner *j = v->u.obj;

	(void)ev;
	(void)args;
	if (j->used)
		return j->sep;
	j->used = true;
	return &v_empty_str;
}

static const struct vobj_ops joiner_ops = { .type = "Joiner", .call = joiner_call };

static const struct value *
make_joiner(struct eval *ev, const struct targs *args)
{
	struct joiner *j = ARENA_NEW(&ev->scratch, struct joiner);
	const struct value *kw = args->kw == NULL ? NULL : v_gets(args->kw, "sep");

	j->sep = args->n > 0 ? args->v[0] : kw != NULL ? kw : v_str(&ev->scratch, ", ");
	return v_obj(&ev->scratch, &joiner_ops, j);
}

/* ---- loop ------------------------------------------------------------------------------ */

static const struct value *
loop_neighbour(struct eval *ev, const struct loopvar *l, int64_t i, const char *what)
{
	if (i < 0 || i >= (int64_t)l->items->u.list->n)
		return ev_undef(ev, ERR_UNDEFINED, "there is no %s item", what);
	return ev_resolve(ev, l->items->u.list->v[i], NULL);
}

static const struct value *
loop_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct loopvar *l = v->u.obj;
	struct arena *a = &ev->scratch;
	int64_t i = l->i, n = l->items->u.list->n;

	if (is(s, len, "index"))
		return v_int(a, i + 1);
	if (is(s, len, "index0"))
		return v_int(a, i);
	if (is(s, len, "first"))
		return v_bool(i == 0);
	if (is(s, len, "last"))
		return v_bool(i + 1 == n);
	if (is(s, len, "length"))
		return v_int(a, n);
	if (is(s, len, "revindex"))
		return v_int(a, n - i);
	if (is(s, len, "revindex0"))
		return v_int(a, n - i - 1);
	if (is(s, len, "depth"))
		return v_int(a, l->depth + 1);
	if (is(s, len, "depth0"))
		return v_int(a, l->depth);
	if (is(s, len, "previtem"))
		return loop_neighbour(ev, l, i - 1, "previous");
	if (is(s, len, "nextitem"))
		return loop_neighbour(ev, l, i + 1, "next");
	return NULL;
}

static const struct value *
loop_cycle(struct tcall *c)
{
	const struct loopvar *l = c->in->u.obj;

	if (c->nstar == 0)
		return terr(c, ERR_TYPE, "no items for cycling given");
	return c->star[l->i % c->nstar];
}

static const struct value *
loop_changed(struct tcall *c)
{
	struct loopvar *l = c->in->u.obj;
	struct value *now = v_list(c->arena);
	int eq = 0;
	uint32_t i;

	for (i = 0; i < c->nstar; i++)
		v_push(c->arena, now, c->star[i]);
	if (l->changed != NULL && (eq = op_equal(c->ev, l->changed, now)) < 0)
		return NULL;
	if (!eq)
		l->changed = now;
	return v_bool(!eq);
}

static const struct tfilter loop_methods[] = {
	{ "changed", "", TF_STAR, loop_changed },
	{ "cycle", "", TF_STAR, loop_cycle },
	{ NULL, NULL, 0, NULL }
};

static const struct value *
loop_called(struct eval *ev, const struct value *v, const struct targs *args)
{
	if (args->n != 1)
		return ev_error(ev, ERR_TYPE, "loop() takes one argument, %u given", args->n);
	return loop_call(ev, v->u.obj, args->v[0]);
}

static int64_t
loop_len(const struct value *v)
{
	return ((const struct loopvar *)v->u.obj)->items->u.list->n;
}

static void
loop_repr(struct buf *b, const struct value *v)
{
	const struct loopvar *l = v->u.obj;

	buf_addf(b, "<LoopContext %u/%u>", l->i + 1, l->items->u.list->n);
}

/* What is left of it, with the loop beside each. */
static const struct value *
loop_list(struct eval *ev, const struct value *v)
{
	const struct loopvar *l = v->u.obj;
	struct value *ret = v_list(&ev->scratch), *pair;
	uint32_t i;

	for (i = l->i + 1; i < l->items->u.list->n; i++) {
		pair = v_list(&ev->scratch);
		pair->flags |= V_TUPLE;
		v_push(&ev->scratch, pair, l->items->u.list->v[i]);
		v_push(&ev->scratch, pair, v);
		v_push(&ev->scratch, ret, pair);
	}
	return ret;
}

const struct vobj_ops loop_ops = { .type = "LoopContext", .methods = loop_methods, .attr = loop_attr,
    .list = loop_list,
    .call = loop_called, .len = loop_len, .repr = loop_repr };

/* ---- modules -------------------------------------------------------------------------------- */

static const struct value *
module_attr(struct eval *ev, const struct value *v, const char *s, size_t len)
{
	const struct module *m = v->u.obj;
	const struct value *r = v_getn(m->exports, s, len, v_hash_str(s, len));

	return r == NULL ? NULL : ev_resolve(ev, r, NULL);
}

static void
module_str(struct buf *b, const struct value *v)
{
	const struct module *m = v->u.obj;

	if (m->body->type == V_STR)
		buf_add(b, m->body->u.s, m->body->len);
	else if (m->body->type != V_NULL)
		tmpl_repr(b, m->body);
}

static void
module_repr(struct buf *b, const struct value *v)
{
	buf_addf(b, "<TemplateModule '%s'>", ((const struct module *)v->u.obj)->name);
}

const struct vobj_ops module_ops = { .type = "TemplateModule", .attr = module_attr,
    .str = module_str, .repr = module_repr };

/* ---- methods and functions as values --------------------------------------------------------- */

struct bound {
	struct vobj		 o;
	const struct value	*self;
	const struct tfilter	*row;
};

const struct value *
ev_bound_method(struct eval *ev, const struct value *self, const struct tfilter *row)
{
	struct bound *b = ARENA_NEW(&ev->scratch, struct bound);

	b->self = self;
	b->row = row;
	return v_obj(&ev->scratch, &method_ops, b);
}

static const struct value *
bound_call(struct eval *ev, const struct value *v, const struct targs *args)
{
	const struct bound *b = v->u.obj;
	const struct value *self = b->self;

	if ((b->row->flags & TF_MUTATES) && (self = ev_writable(ev, self)) == NULL)
		return NULL;
	return ev_method(ev, self, b->row, args);
}

static void
bound_repr(struct buf *b, const struct value *v)
{
	const struct bound *m = v->u.obj;

	buf_addf(b, "<built-in method %s of %s object>", m->row->name, tmpl_py_type(m->self));
}

const struct vobj_ops method_ops = { .type = "method", .call = bound_call, .repr = bound_repr };

struct function {
	struct vobj		 o;
	const char		*name;
	const struct value	*(*fn)(struct eval *, const struct targs *);
};

static const struct value *
function_call(struct eval *ev, const struct value *v, const struct targs *args)
{
	return ((const struct function *)v->u.obj)->fn(ev, args);
}

static void
function_repr(struct buf *b, const struct value *v)
{
	buf_addf(b, "<function %s>", ((const struct function *)v->u.obj)->name);
}

static const struct value *dict_fromkeys(struct tcall *);

static const struct tfilter dict_type_methods[] = {
	{ "fromkeys", "keys,value", 0, dict_fromkeys },
	{ NULL, NULL, 0, NULL }
};

const struct vobj_ops function_ops = { .type = "function", .call = function_call, .repr = function_repr };
static const struct vobj_ops type_ops = { .type = "type", .call = function_call, .repr = function_repr };
static const struct vobj_ops dict_type_ops = { .type = "type", .call = function_call,
    .repr = function_repr, .methods = dict_type_methods };

/* ---- bytes ------------------------------------------------------------------------------------ */

/* What 'text'.encode() gives: known by its length and its text. */
struct bytes {
	struct vobj		 o;
	const struct value	*text;
};

static int64_t
bytes_len(const struct value *v)
{
	return ((const struct bytes *)v->u.obj)->text->len;
}

static const struct value *
bytes_list(struct eval *ev, const struct value *v)
{
	const struct value *t = ((const struct bytes *)v->u.obj)->text;
	struct value *l = v_list(&ev->scratch);
	uint32_t i;

	for (i = 0; i < t->len; i++)
		v_push(&ev->scratch, l, v_int(&ev->scratch, (unsigned char)t->u.s[i]));
	return l;
}

static void
bytes_repr(struct buf *b, const struct value *v)
{
	const struct value *t = ((const struct bytes *)v->u.obj)->text;
	uint32_t i;

	buf_adds(b, "b'");
	for (i = 0; i < t->len; i++) {
		unsigned char c = (unsigned char)t->u.s[i];

		if (c == '\\' || c == '\'')
			buf_addf(b, "\\%c", c);
		else if (c == '\n' || c == '\r' || c == '\t')
			buf_adds(b, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
		else if (c < 0x20 || c >= 0x7f)
			buf_addf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '\'');
}

static void
bytes_str(struct buf *b, const struct value *v)
{
	const struct value *t = ((const struct bytes *)v->u.obj)->text;

	buf_add(b, t->u.s, t->len);
}

static bool
bytes_equal(const struct value *a, const struct value *b)
{
	return v_equal(((const struct bytes *)a->u.obj)->text, ((const struct bytes *)b->u.obj)->text);
}

static const struct value *
bytes_decode(struct tcall *c)
{
	return ((const struct bytes *)c->in->u.obj)->text;
}

static const struct value *
bytes_hex(struct tcall *c)
{
	const struct value *t = ((const struct bytes *)c->in->u.obj)->text, *r;
	struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < t->len; i++)
		buf_addf(&b, "%02x", (unsigned char)t->u.s[i]);
	r = v_strn(c->arena, buf_str(&b), b.len);
	buf_release(&b);
	return r;
}

static const struct tfilter bytes_methods[] = {
	{ "decode", "encoding,errors", 0, bytes_decode },
	{ "hex", "", 0, bytes_hex },
	{ NULL, NULL, 0, NULL }
};

static const struct vobj_ops bytes_ops = { .type = "bytes", .methods = bytes_methods, .len = bytes_len,
    .list = bytes_list, .repr = bytes_repr, .str = bytes_str, .equal = bytes_equal };

const struct value *
bytes_new(struct eval *ev, const struct value *text)
{
	struct bytes *b = ARENA_NEW(&ev->scratch, struct bytes);

	b->text = text;
	return v_obj(&ev->scratch, &bytes_ops, b);
}

/* ---- the global functions --------------------------------------------------------------------- */

static const struct value *
dict_fromkeys(struct tcall *c)
{
	const struct value *keys;
	struct value *m = v_map(c->arena);
	uint32_t i;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "fromkeys expected at least 1 argument, got 0");
	if ((keys = tcall_list(c, c->a[0])) == NULL)
		return NULL;
	for (i = 0; i < keys->u.list->n; i++) {
		if (!v_hashable(keys->u.list->v[i]))
			return terr(c, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(keys->u.list->v[i]));
		v_set(c->arena, m, keys->u.list->v[i], c->a[1] == NULL ? &v_null : c->a[1]);
	}
	return m;
}

static const struct value *
make_range(struct eval *ev, const struct targs *args)
{
	int64_t v[3] = { 0, 0, 1 };
	uint32_t i;

	if (args->n < 1 || args->n > 3)
		return ev_error(ev, ERR_TYPE, "range expected %s, got %u",
		    args->n < 1 ? "at least 1 argument" : "at most 3 arguments", args->n);
	if (args->kw != NULL)
		return ev_error(ev, ERR_TYPE, "range() takes no keyword arguments");
	for (i = 0; i < args->n; i++) {
		if (args->v[i]->type != V_INT && args->v[i]->type != V_BOOL)
			return ev_error(ev, ERR_TYPE, "'%s' object cannot be interpreted as an integer",
			    tmpl_py_type(args->v[i]));
		v[i] = args->v[i]->type == V_BOOL ? args->v[i]->u.b : args->v[i]->u.i;
	}
	if (v[2] == 0)
		return ev_error(ev, ERR_VALUE, "range() arg 3 must not be zero");
	return args->n == 1 ? range_new(ev, 0, v[0], 1) : range_new(ev, v[0], v[1], v[2]);
}

static const struct value *
make_dict(struct eval *ev, const struct targs *args)
{
	struct value *m = v_map(&ev->scratch);
	const struct value *l, *pair;
	uint32_t i;

	if (args->n > 1)
		return ev_error(ev, ERR_TYPE, "dict expected at most 1 argument, got %u", args->n);
	if (args->n == 1 && args->v[0]->type == V_MAP)
		v_merge(&ev->scratch, m, args->v[0]);
	else if (args->n == 1) {
		if ((l = ev_iter(ev, args->v[0])) == NULL)
			return ev->err->code != ERR_NONE ? NULL :
			    ev_error(ev, ERR_TYPE, "'%s' object is not iterable", tmpl_py_type(args->v[0]));
		for (i = 0; i < l->u.list->n; i++) {
			const struct value *k, *v;

			if ((pair = ev_resolve(ev, l->u.list->v[i], NULL)) == NULL || ev_force(ev, pair) == NULL)
				return NULL;
			if ((pair = ev_iter(ev, pair)) == NULL)
				return ev_error(ev, ERR_TYPE, "cannot convert dictionary update sequence element #%u "
				    "to a sequence", i);
			if (pair->u.list->n != 2)
				return ev_error(ev, ERR_VALUE, "dictionary update sequence element #%u has length %u; "
				    "2 is required", i, pair->u.list->n);
			if ((k = ev_resolve(ev, pair->u.list->v[0], NULL)) == NULL ||
			    (v = ev_resolve(ev, pair->u.list->v[1], NULL)) == NULL || ev_force(ev, k) == NULL)
				return NULL;
			if (!v_hashable(k))
				return ev_error(ev, ERR_TYPE, "unhashable type: '%s'", tmpl_py_type(k));
			v_set(&ev->scratch, m, k, v);
		}
	}
	if (args->kw != NULL)
		v_merge(&ev->scratch, m, args->kw);
	return m;
}

static const struct value *
raise_undef(struct eval *ev, const struct targs *args)
{
	const struct value *hint = args->n > 0 ? args->v[0] :
	    args->kw != NULL ? v_gets(args->kw, "hint") : NULL;

	if (args->n > 1)
		return ev_error(ev, ERR_TYPE, "undef() takes at most 1 argument, %u given", args->n);
	if (hint != NULL && hint->type == V_STR && hint->len > 0)
		return ev_undef(ev, ERR_UNDEFINED, "%s", hint->u.s);
	return ev_undef(ev, ERR_UNDEFINED, "Mandatory variable has not been overridden");
}

static const struct value *
call_lookup(struct eval *ev, const struct targs *args)
{
	return ev_lookup(ev, args, false);
}

static const struct value *
call_query(struct eval *ev, const struct targs *args)
{
	return ev_lookup(ev, args, true);
}

static const struct value *
call_lipsum(struct eval *ev, const struct targs *args)
{
	(void)args;
	return ev_error(ev, ERR_UNSUPPORTED, "lipsum() is not supported: it makes random text");
}

static bool
now_option(struct eval *ev, const struct targs *args, uint32_t i, const char *name, const struct value **ret)
{
	const struct value *kw = args->kw == NULL ? NULL : v_gets(args->kw, name);

	*ret = i < args->n ? args->v[i] : kw;
	return args->n <= 2 || ev_error(ev, ERR_TYPE, "now() takes at most 2 arguments, %u given", args->n) != NULL;
}

/* now(utc=false, fmt=none) */
static const struct value *
call_now(struct eval *ev, const struct targs *args)
{
	const struct value *utc, *fmt, *now;
	struct buf b = BUF_INIT;

	if (!now_option(ev, args, 0, "utc", &utc) || !now_option(ev, args, 1, "fmt", &fmt))
		return NULL;
	now = datetime_now(&ev->scratch, utc != NULL && tcall_truth(utc));
	if (fmt == NULL || fmt->type == V_NULL)
		return now;
	if (fmt->type != V_STR)
		return ev_error(ev, ERR_TYPE, "strftime() argument 1 must be str, not %s", tmpl_py_type(fmt));
	if (datetime_strftime(&b, now, fmt->u.s, fmt->len, ev->err))
		now = v_strn(&ev->scratch, buf_str(&b), b.len);
	else
		now = NULL;
	buf_release(&b);
	return now;
}

static struct function fn_cycler = { { &type_ops }, "cycler", make_cycler };
static struct function fn_dict = { { &dict_type_ops }, "dict", make_dict };
static struct function fn_joiner = { { &type_ops }, "joiner", make_joiner };
static struct function fn_lipsum = { { &function_ops }, "lipsum", call_lipsum };
static struct function fn_lookup = { { &function_ops }, "lookup", call_lookup };
static struct function fn_namespace = { { &type_ops }, "namespace", make_namespace };
static struct function fn_now = { { &function_ops }, "now", call_now };
static struct function fn_query = { { &function_ops }, "query", call_query };
static struct function fn_range = { { &type_ops }, "range", make_range };
static struct function fn_undef = { { &function_ops }, "undef", raise_undef };

#define FN(f)	{ .type = V_OBJ, .u.obj = (f) }

static const struct {
	const char	*name;
	struct value	 v;
} globals[] = {
	{ "cycler", FN(&fn_cycler) },
	{ "dict", FN(&fn_dict) },
	{ "joiner", FN(&fn_joiner) },
	{ "lipsum", FN(&fn_lipsum) },
	{ "lookup", FN(&fn_lookup) },
	{ "namespace", FN(&fn_namespace) },
	{ "now", FN(&fn_now) },
	{ "omit", { .type = V_OMIT } },
	{ "q", FN(&fn_query) },
	{ "query", FN(&fn_query) },
	{ "range", FN(&fn_range) },
	{ "undef", FN(&fn_undef) },
};

const struct value *
global_find(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < NITEMS(globals); i++)
		if (is(s, len, globals[i].name))
			return &globals[i].v;
	return NULL;
}

/* ---- maps that are computed when read ---------------------------------------------------------- */

struct lazy_map {
	struct vobj		 o;
	const struct value	*(*get)(void *, struct arena *, const char *);
	const struct value	*(*keys)(void *, struct arena *);
	void			*arg;
};

static const struct value *
lazy_item(struct eval *ev, const struct value *v, const struct value *key)
{
	const struct lazy_map *m = v->u.obj;

	return key->type == V_STR ? m->get(m->arg, &ev->scratch, key->u.s) : NULL;
}

static const struct value *
lazy_list(struct eval *ev, const struct value *v)
{
	const struct lazy_map *m = v->u.obj;

	return m->keys(m->arg, &ev->scratch);
}

/* All of it as a plain map. */
static const struct value *
lazy_all(struct arena *a, const struct value *v)
{
	const struct lazy_map *m = v->u.obj;
	const struct value *keys = m->keys(m->arg, a), *val;
	struct value *map = v_map(a);
	uint32_t i;

	for (i = 0; keys != NULL && i < keys->u.list->n; i++)
		if ((val = m->get(m->arg, a, keys->u.list->v[i]->u.s)) != NULL)
			v_set(a, map, keys->u.list->v[i], val);
	return map;
}

static const struct value *
lazy_keys(struct tcall *c)
{
	return lazy_list(c->ev, c->in);
}

static const struct value *
lazy_get(struct tcall *c)
{
	const struct value *r;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "get expected at least 1 argument, got 0");
	r = lazy_item(c->ev, c->in, c->a[0]);
	return r != NULL ? tcall_top(c, r) : c->a[1] != NULL ? c->a[1] : &v_null;
}

static const struct value *
lazy_pairs(struct tcall *c, bool keys)
{
	const struct value *map = lazy_all(c->arena, c->in);
	struct value *l = v_list(c->arena), *pair;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(map, &it)) != NULL;) {
		pair = v_list(c->arena);
		pair->flags |= V_TUPLE;
		v_push(c->arena, pair, e->key);
		v_push(c->arena, pair, e->val);
		v_push(c->arena, l, keys ? pair : e->val);
	}
	return l;
}

static const struct value *
lazy_items(struct tcall *c)
{
	return lazy_pairs(c, true);
}

static const struct value *
lazy_values(struct tcall *c)
{
	return lazy_pairs(c, false);
}

static const struct tfilter lazy_methods[] = {
	{ "get", "key,default", 0, lazy_get },
	{ "items", "", 0, lazy_items },
	{ "keys", "", 0, lazy_keys },
	{ "values", "", 0, lazy_values },
	{ NULL, NULL, 0, NULL }
};

static void
lazy_repr(struct buf *b, const struct value *v)
{
	(void)v;
	buf_adds(b, "<hostvars>");
}

static const struct vobj_ops lazy_ops = { .type = "HostVars", .methods = lazy_methods,
    .item = lazy_item, .list = lazy_list, .repr = lazy_repr, .final = lazy_all };

const struct value *
tmpl_lazy_map(struct arena *a, const struct value *(*get)(void *, struct arena *, const char *),
    const struct value *(*keys)(void *, struct arena *), void *arg)
{
	struct lazy_map *m = ARENA_NEW(a, struct lazy_map);

	m->get = get;
	m->keys = keys;
	m->arg = arg;
	return v_obj(a, &lazy_ops, m);
}
