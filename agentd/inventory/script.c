/*
 * Executables that print the inventory as JSON.
 *
 *	PROGRAM --list		{"web": {"hosts": [...], "vars": {...},
 *				"children": [...]}, "_meta": {"hostvars": {...}}}
 *	PROGRAM --host NAME	{"var": ...}, only asked without _meta
 *
 * {"__ansible_unsafe": "text"} is a text that is no template,
 * {"__ansible_vault": "..."} one that is decrypted; both as
 * `ansible-inventory --list` writes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "inventory/inv.h"

struct script {
	struct inventory	*inv;
	struct diags		*diags;
	const char		*path;
	const struct source	*src;	/* of the last output */
	int			 timeout_ms;
	struct host_priv	**hosts;	/* that it named, in order */
	uint32_t		 n, cap;
	struct names		 seen;
};

static struct mark
script_mark(const struct script *s)
{
	return (struct mark){ .src = s->src };
}

/* ---- running -------------------------------------------------------------------- */

/* 0 with its output as JSON in *ret (NULL when it printed nothing), -1 with diags, 1 when it is no program. */
static int
run(struct script *s, const char *option, const char *name,
    const struct value **ret)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *argv[] = { s->path, option, name, NULL };
	struct child c = { .argv = argv, .timeout_ms = s->timeout_ms, .out = &out };
	struct err *e;
	size_t i;

	*ret = NULL;
	buf_init(&out, INV_OUTPUT_MAX);
	if (child_run(&c, &err) == -1) {
		if (errno == ENOEXEC)
			return 1;
		if (err.code == ERR_IO && errno == ENOENT)
			err_hint(&err, "does the interpreter in its first line exist?");
		if (c.stderr_tail[0] != '\0')
			err_note(&err, (struct mark){ 0 }, "it said: %s",
			    c.stderr_tail);
		diags_add(s->diags, DIAG_ERROR, &err);
		return -1;
	}
	s->timeout_ms = c.timeout_ms;
	if (c.status != 0) {
		e = diags_error(s->diags, ERR_IO, (struct mark){ 0 },
		    "the inventory program '%s %s%s%s' failed with status %d",
		    s->path, option, name != NULL ? " " : "",
		    name != NULL ? name : "", c.status);
		if (c.stderr_tail[0] != '\0')
			err_note(e, (struct mark){ 0 }, "it said: %s", c.stderr_tail);
		return -1;
	}
	for (i = 0; i < out.len && strchr(" \t\r\n", out.data[i]) != NULL; i++)
		;
	if (i == out.len && name != NULL)
		return 0;
	s->src = source_text(s->inv->arena, arena_printf(s->inv->arena,
	    "<output of %s %s%s%s>", s->path, option, name != NULL ? " " : "",
	    name != NULL ? name : ""), buf_str(&out), out.len);
	if ((*ret = json_parse(s->inv->arena, s->src, &err)) == NULL) {
		err_at(&err, script_mark(s));
		err_hint(&err, "an executable inventory must print JSON; a text "
		    "inventory must not be executable (chmod -x)");
		diags_add(s->diags, DIAG_ERROR, &err);
		return -1;
	}
	if (!v_is_map(*ret)) {
		diags_error(s->diags, ERR_TYPE, script_mark(s),
		    "the inventory program printed %s, not a JSON object",
		    v_type_name(*ret));
		return -1;
	}
	return 0;
}

/* ---- values --------------------------------------------------------------------- */

static const struct value *
vault_value(struct script *s, const struct value *text)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct value *v;

	if (s->inv->yaml == NULL || s->inv->yaml->decrypt == NULL) {
		err_hint(diags_error(s->diags, ERR_AUTH, script_mark(s),
		    "the inventory has vault values, and there is no password "
		    "for them"), "give it by --vault-password-file FILE");
		return &v_null;
	}
	if (s->inv->yaml->decrypt(s->inv->yaml->arg, text->u.s, text->len, &out,
	    &err) == -1) {
		err_at(&err, script_mark(s));
		diags_add(s->diags, DIAG_ERROR, &err);
		return &v_null;
	}
	v = v_strn(s->inv->arena, buf_str(&out), out.len);
	v->flags |= V_SECRET;
	return v;
}

/* The value with the marked texts in place. Depth is limited by the JSON reader. */
static const struct value *
unwrap(struct script *s, const struct value *v)
{
	struct arena *a = s->inv->arena;
	const struct value *text;
	const struct ventry *e;
	struct value *copy;
	uint32_t it = 0;

	if (v_is_map(v)) {
		text = v_gets(v, "__ansible_unsafe");
		if (text != NULL && v_count(v) == 1 && text->type == V_STR)
			return v_flag(a, text, V_RAW);
		text = v_gets(v, "__ansible_vault");
		if (text != NULL && v_count(v) == 1 && text->type == V_STR)
			return vault_value(s, text);
		copy = v_map(a);
		while ((e = v_next(v, &it)) != NULL)
			v_set(a, copy, e->key, unwrap(s, e->val));
		return copy;
	}
	if (v_is_list(v)) {
		copy = v_list(a);
		for (; it < v_count(v); it++)
			v_push(a, copy, unwrap(s, v_at(v, it)));
		return copy;
	}
	return v;
}

/* ---- groups --------------------------------------------------------------------- */

static bool
is_text(const struct value *v)
{
	return v->type == V_STR && memchr(v->u.s, '\0', v->len) == NULL;
}

static void
add_host(struct script *s, struct group_priv *gp, const struct value *name)
{
	struct host_priv *hp;

	if (!is_text(name)) {
		diags_error(s->diags, ERR_TYPE, script_mark(s),
		    "the group '%s' has %s among its hosts: names must be strings",
		    gp->g.name, v_type_name(name));
		return;
	}
	hp = inv_host(s->inv, name->u.s, script_mark(s), s->diags);
	if (hp == NULL)
		return;
	inv_member(s->inv, gp, hp);
	if (names_get(&s->seen, hp->h.name) != NULL)
		return;
	names_put(&s->seen, s->inv->arena, hp->h.name, hp);
	if (s->n == s->cap) {
		uint32_t old = s->cap;

		s->cap = old == 0 ? 64 : old * 2;
		s->hosts = arena_grow(s->inv->arena, s->hosts,
		    old * sizeof(struct host_priv *),
		    s->cap * sizeof(struct host_priv *));
	}
	s->hosts[s->n++] = hp;
}

static void
bad_part(struct script *s, struct group_priv *gp, const char *part,
    const struct value *v, const char *want)
{
	diags_error(s->diags, ERR_TYPE, script_mark(s),
	    "'%s' of the group '%s' must be %s, not %s", part, gp->g.name, want,
	    v_type_name(v));
}

static void
read_children(struct script *s, struct group_priv *gp, const struct value *v)
{
	struct group_priv *child;

	if (!v_is_list(v)) {
		bad_part(s, gp, "children", v, "a list");
		return;
	}
	for (uint32_t i = 0; i < v_count(v); i++) {
		if (!is_text(v_at(v, i))) {
			bad_part(s, gp, "children", v_at(v, i), "a list of strings");
			continue;
		}
		child = inv_group(s->inv, v_at(v, i)->u.s, script_mark(s), s->diags);
		if (child != NULL)
			inv_child(s->inv, gp, child, script_mark(s));
	}
}

static void
read_group(struct script *s, const struct value *key, const struct value *data)
{
	const struct value *hosts, *vars, *children;
	struct group_priv *gp;
	const struct ventry *e;

	if (!is_text(key) || (gp = inv_group(s->inv, key->u.s, script_mark(s),
	    s->diags)) == NULL)
		return;
	hosts = v_is_map(data) ? v_gets(data, "hosts") : data;
	vars = v_gets(data, "vars");
	children = v_gets(data, "children");
	if (v_is_map(data) && hosts == NULL && vars == NULL && children == NULL) {
		/* the oldest form: a host with its variables */
		vars = data;
		add_host(s, gp, key);
	}
	if (hosts != NULL && !v_is_list(hosts))
		bad_part(s, gp, "hosts", hosts, "a list");
	else if (hosts != NULL)
		for (uint32_t i = 0; i < v_count(hosts); i++)
			add_host(s, gp, v_at(hosts, i));
	if (vars != NULL && !v_is_map(vars))
		bad_part(s, gp, "vars", vars, "an object");
	else if (vars != NULL)
		for (uint32_t it = 0; (e = v_next(vars, &it)) != NULL;)
			inv_group_var(s->inv, gp, e->key, unwrap(s, e->val),
			    s->diags);
	if (children != NULL)
		read_children(s, gp, children);
}

static void
read_host(struct script *s, struct host_priv *hp, const struct value *hostvars)
{
	const struct value *vars = v_gets(hostvars, hp->h.name);
	const struct ventry *e;

	if (hostvars == NULL && run(s, "--host", hp->h.name, &vars) != 0)
		return;
	if (vars == NULL || v_is_null(vars))
		return;
	if (!v_is_map(vars)) {
		diags_error(s->diags, ERR_TYPE, script_mark(s),
		    "the variables of the host '%s' must be an object, not %s",
		    hp->h.name, v_type_name(vars));
		return;
	}
	for (uint32_t it = 0; (e = v_next(vars, &it)) != NULL;)
		inv_host_var(s->inv, hp, e->key, unwrap(s, e->val));
}

int
script_read(struct inventory *inv, const char *path, struct diags *diags)
{
	struct script s = { .inv = inv, .diags = diags, .path = path,
	    .timeout_ms = INV_TIMEOUT_MS };
	const struct value *all, *meta, *hostvars = NULL;
	size_t before = diags->nerrors;
	const struct ventry *e;
	int rc;

	/* posix_spawn takes a path without a slash as it is: relative to here */
	if ((rc = run(&s, "--list", NULL, &all)) != 0)
		return rc;
	if (all == NULL)
		return 0;
	meta = v_gets(all, "_meta");
	if (meta != NULL && (hostvars = v_gets(meta, "hostvars")) != NULL &&
	    !v_is_map(hostvars)) {
		diags_error(diags, ERR_TYPE, script_mark(&s),
		    "'_meta.hostvars' must be an object, not %s",
		    v_type_name(hostvars));
		return -1;
	}
	for (uint32_t it = 0; (e = v_next(all, &it)) != NULL;)
		if (!v_eqs(e->key, "_meta"))
			read_group(&s, e->key, e->val);
	for (uint32_t i = 0; i < s.n && diags->nerrors == before; i++)
		read_host(&s, s.hosts[i], hostvars);
	return diags->nerrors > before ? -1 : 0;
}
