/*
 * lookup(), query() and with_ loops: from a call to a row and back.
 */
#include <string.h>

#include "template/eval.h"

/* What errors= says: strict, warn, ignore. */
static const struct value *
quiet(struct eval *ev, const struct value *errors, bool wantlist)
{
	if (errors == NULL || (!v_eqs(errors, "ignore") && !v_eqs(errors, "warn")) ||
	    ev->err->code == ERR_LIMIT)
		return NULL;
	err_release(ev->err);
	return wantlist ? v_list(&ev->scratch) : &v_null;
}

static bool
bind_options(struct tcall *c, const struct tlookup *row, const struct value *kw, const struct value **a)
{
	const struct ventry *e;
	const char *s = row->params;
	struct value *rest = NULL;
	uint32_t it, len[24], n, i;
	const char *name[24];

	for (n = 0; *s != '\0' && n < NITEMS(name); n++) {
		name[n] = s;
		len[n] = (uint32_t)strcspn(s, ",");
		s += len[n];
		s += *s == ',';
		a[n] = NULL;
	}
	c->a = a;
	c->na = n;
	for (it = 0; kw != NULL && (e = v_next(kw, &it)) != NULL;) {
		if (v_eqs(e->key, "wantlist") || v_eqs(e->key, "errors"))
			continue;
		for (i = 0; i < n && (len[i] != e->key->len || memcmp(name[i], e->key->u.s, len[i]) != 0); i++)
			;
		if (i < n)
			a[i] = e->val;
		else if (row->flags & TF_KWSTAR) {
			if (rest == NULL)
				rest = v_map(c->arena);
			v_set(c->arena, rest, e->key, e->val);
		}
	}
	c->kw = rest;
	return true;
}

/* Runs a lookup; its list, or NULL. An undefined result comes back in *undef. */
static const struct value *
run(struct eval *ev, const char *name, size_t len, const struct value **terms, uint32_t n,
    const struct value *kw, const struct value **undef)
{
	const struct tlookup *row = tmpl_lookup_find(name, len);
	const struct value *a[24], *r, **final = ARENA_ARRAY(&ev->scratch, n, const struct value *);
	struct tcall c = { .ev = ev, .arena = &ev->scratch, .name = name, .in = &v_null, .err = ev->err };
	const struct ventry *e;
	const char *near;
	uint32_t i, it;

	*undef = NULL;
	if (row == NULL || (row->flags & TF_UNSUPPORTED)) {
		near = row == NULL ? tmpl_lookup_nearest(name) : NULL;
		ev_error(ev, row == NULL ? ERR_INVALID : ERR_UNSUPPORTED, "The lookup plugin '%s' %s", name,
		    row == NULL ? "was not found" : "is not supported");
		if (near != NULL)
			err_hint(ev->err, "did you mean '%s'?", near);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		final[i] = terms[i];
		if (terms[i]->type == V_UNDEF && (row->flags & TF_UNDEF_ARGS))
			continue;
		if (terms[i]->type == V_UNDEF) {
			*undef = terms[i];
			return NULL;
		}
		if ((final[i] = tcall_final(&c, terms[i])) == NULL) {
			*undef = ev_catch(ev);
			return NULL;
		}
	}
	for (it = 0; kw != NULL && (e = v_next(kw, &it)) != NULL;)
		if (e->val->type == V_UNDEF && !(row->flags & TF_UNDEF_ARGS)) {
			*undef = e->val;
			return NULL;
		}
	bind_options(&c, row, kw, a);
	c.star = final;
	c.nstar = n;
	if ((r = row->fn(&c)) == NULL && (*undef = ev_catch(ev)) == NULL && ev->err->code != ERR_LIMIT)
		err_wrap(ev->err, "lookup '%s' failed", name);
	return r;
}

/* One result is itself, several strings are joined by commas, else the list. */
static const struct value *
join(struct eval *ev, const struct value *l)
{
	struct buf b = BUF_INIT;
	struct value *r;
	uint32_t i;

	if (l->u.list->n == 0)
		return l;
	if (l->u.list->n == 1)
		return ev_resolve(ev, l->u.list->v[0], NULL);
	for (i = 0; i < l->u.list->n; i++)
		if (l->u.list->v[i]->type != V_STR)
			return l;
	for (i = 0; i < l->u.list->n; i++) {
		if (i > 0)
			buf_addc(&b, ',');
		buf_add(&b, l->u.list->v[i]->u.s, l->u.list->v[i]->len);
	}
	r = v_strn(&ev->scratch, buf_str(&b), b.len);
	buf_release(&b);
	return r;
}

const struct value *
ev_lookup(struct eval *ev, const struct targs *args, bool query)
{
	const struct value *name, *l, *undef, *r;
	const struct value *errors = args->kw == NULL ? NULL : v_gets(args->kw, "errors");
	const struct value *want = args->kw == NULL ? NULL : v_gets(args->kw, "wantlist");
	bool wantlist = query || (want != NULL && tcall_truth(want)), form = ev->with_form;

	if (args->n == 0)
		return ev_error(ev, ERR_TYPE, "lookup() missing 1 required positional argument: 'plugin_name'");
	name = args->v[0];
	if (name->type == V_UNDEF)
		return name;
	if (name->type != V_STR)
		return ev_error(ev, ERR_TYPE, "The lookup plugin failed to load: its name must be a string, not '%s'",
		    tmpl_py_type(name));
	ev->with_form = false;
	l = run(ev, name->u.s, name->len, args->v + 1, args->n - 1, args->kw, &undef);
	ev->with_form = form;
	if (l == NULL && undef != NULL) {
		if (errors == NULL || v_eqs(errors, "strict"))
			return undef;
		ev_force(ev, undef);
	}
	if (l == NULL) {
		if ((r = quiet(ev, errors, wantlist)) == NULL && ev->err->code != ERR_NONE)
			return ev_defer(ev);
		return r;
	}
	return wantlist ? l : join(ev, l);
}

/* ---- for lookups' functions -------------------------------------------------------------------- */

bool
tcall_with_form(const struct tcall *c)
{
	return c->ev->with_form;
}

const struct value *
tcall_var(struct tcall *c, const char *name)
{
	struct name n = { name, (uint32_t)strlen(name), v_hash_str(name, strlen(name)) };
	const struct value *v;

	v = ev_name(c->ev, NULL, &n);
	/* An unknown name is no variable; a variable may be undefined itself. */
	if (v != NULL && v->type == V_UNDEF && v->tag == UNDEF_FULL &&
	    ((const struct undef *)v)->name != NULL && strcmp(((const struct undef *)v)->name, name) == 0 &&
	    ((const struct undef *)v)->notes == NULL)
		return NULL;
	if (v != NULL && global_find(name, strlen(name)) == v)
		return NULL;
	return v;
}

const struct value *
tcall_var_names(struct tcall *c)
{
	const struct scope *s = c->ev->scope;
	struct value *seen = v_map(c->arena), *l = v_list(c->arena);
	const struct ventry *e;
	uint32_t i, it;

	for (i = 0; i < s->n; i++)
		for (it = 0; s->layers[i] != NULL && (e = v_next(s->layers[i], &it)) != NULL;) {
			if (e->key->type != V_STR || v_get(seen, e->key) != NULL)
				continue;
			v_set(c->arena, seen, e->key, &v_true);
			v_push(c->arena, l, e->key);
		}
	return l;
}

static bool
first_error(struct eval *ev, struct diags *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->v[i].level == DIAG_ERROR) {
			err_move(ev->err, &d->v[i].err);
			ev->placed = true;
			break;
		}
	diags_release(d);
	return false;
}

/* A scope with one more layer on top. */
static struct scope
with_layer(struct eval *ev, const struct value *vars)
{
	struct scope s = *ev->scope;
	uint32_t i;

	s.layers = ARENA_ARRAY(&ev->scratch, s.n + 1, const struct value *);
	s.layers[0] = vars;
	for (i = 0; i < s.n; i++)
		s.layers[i + 1] = ev->scope->layers[i];
	s.n++;
	return s;
}

/* Evaluates in the variables of the caller with some of its own on top. */
static const struct value *
render_with(struct eval *ev, const struct tmpl *t, const struct value *vars)
{
	const struct scope *scope = ev->scope;
	struct act *act = ev->act;
	struct tcache *cache = ev->cache;
	uint32_t n = ev->ncache, cap = ev->cache_cap;
	const struct value *r;
	struct scope s;

	if (vars != NULL && v_count(vars) > 0) {
		/* Variables may mean something else now. */
		s = with_layer(ev, vars);
		ev->scope = &s;
		ev->cache = NULL;
		ev->ncache = ev->cache_cap = 0;
	}
	r = ev_step(ev) ? ev_template(ev, t, ctx_new(ev, NULL)) : NULL;
	if (r != NULL)
		r = ev_final(ev, r, FINAL_DEEP);
	ev->scope = scope;
	ev->cache = cache;
	ev->ncache = n;
	ev->cache_cap = cap;
	ev->act = act;
	return r;
}

const struct value *
tcall_render(struct tcall *c, const char *path, const char *text, size_t len,
    const struct tmpl_opts *opts, const struct value *vars, bool as_text)
{
	struct eval *ev = c->ev;
	struct diags diags = DIAGS_INIT;
	struct source *src = ARENA_NEW(c->arena, struct source);
	struct mark at = { src, 1, 1, 1 };
	const struct tmpl *t;
	const struct value *r;

	src->path = arena_strdup(c->arena, path);
	src->text = arena_strndup(c->arena, text, len);
	src->len = len;
	t = tmpl_compile(c->arena, src->text, len, at, TMPL_FILE, opts, &diags);
	if (t == NULL) {
		first_error(ev, &diags);
		return NULL;
	}
	diags_release(&diags);
	if (ev->includes > 40)
		return terr(c, ERR_LIMIT, "templates render each other more than 40 levels deep");
	ev->includes++;
	r = render_with(ev, t, vars);
	ev->includes--;
	if (r == NULL || !as_text)
		return r;
	return r->type == V_NULL ? &v_empty_str : tcall_str(c, r);
}

const struct value *
tcall_expr(struct tcall *c, const char *text, const struct value *vars)
{
	struct diags diags = DIAGS_INIT;
	struct mark none = { NULL, 0, 0, 0 };
	const struct tmpl *t;

	t = tmpl_compile(c->arena, text, strlen(text), none, TMPL_WHEN, NULL, &diags);
	if (t == NULL) {
		first_error(c->ev, &diags);
		return NULL;
	}
	diags_release(&diags);
	return render_with(c->ev, t, vars);
}

/* ---- with_ loops ---------------------------------------------------------------------------------- */

const struct value *
ev_with(struct eval *ev, const char *name, const struct value *terms, bool with_form)
{
	const struct value **v = &terms, *undef, *r;
	uint32_t n = 1;

	if (terms->type == V_LIST) {
		v = terms->u.list->v;
		n = terms->u.list->n;
	}
	ev->with_form = with_form;
	r = run(ev, name, strlen(name), v, n, NULL, &undef);
	ev->with_form = false;
	if (r == NULL && undef != NULL)
		ev_force(ev, undef);
	return r;
}

bool
tmpl_lookup_exists(const char *name)
{
	const struct tlookup *row = tmpl_lookup_find(name, strlen(name));

	return row != NULL && !(row->flags & TF_UNSUPPORTED);
}
