/*
 * Secrets that no vault holds: the variable provctl_secrets, of the inventory,
 * of a play or of -e.  In two forms:
 *
 *	provctl_secrets: [db_password, api_token]
 *
 * names variables that are defined as usual, in plain or by a lookup (env,
 * file, pipe …): their values get the secret bit.  A site written so runs
 * under Ansible too, which sees a list that nobody reads.
 *
 *	provctl_secrets:
 *	  db_password: {env: DB_PASSWORD}
 *	  tls_key: {file: keys/tls.key}
 *	  api_token: {pass: example.org/api}
 *	  other: {command: [vaultcli, get, "{{ inventory_hostname }}"]}
 *
 * also says where they come from; such a variable is the weakest of its name,
 * so that -e can stand in for it.  Each provider is asked once a run, before
 * the first connection; what it cannot give is an error there.  Programs get
 * an argv, no shell; a line end behind the secret is no part of it, nor are
 * the lines below the first of a `pass` entry.
 */
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"
#include "inventory/child.h"
#include "inventory/vault.h"
#include "run/engine.h"

#define SECRET_MAX	((size_t)1024 * 1024)
#define PROGRAM_MS	120000

static int
from_env(const struct value *v, struct buf *out, struct err *err)
{
	const char *text = getenv(v->u.s);

	if (text == NULL) {
		(void)err_set(err, ERR_UNDEFINED, "the environment has no variable '%s'", v->u.s);
		err_hint(err, "it must be set where provctl is started");
		return -1;
	}
	buf_adds(out, text);
	return 0;
}

static const char *
at_site(struct run *run, struct arena *a, const char *path)
{
	const char *home = getenv("HOME");

	if (strncmp(path, "~/", 2) == 0 && home != NULL)
		return arena_printf(a, "%s%s", home, path + 1);
	return *path == '/' ? path : arena_printf(a, "%s/%s", run->site->dir, path);
}

static int
from_file(struct run *run, struct arena *a, const struct value *v, struct buf *out,
    struct err *err)
{
	const struct yaml_opts *yaml = run->site->yaml;
	const char *path = at_site(run, a, v->u.s);
	CLEANUP_BUF struct buf raw = { .max = SECRET_MAX };

	if (buf_read_file(&raw, path) == -1)
		return err_errno(err, "cannot read the secret in %s", path);
	if (!vault_is(buf_str(&raw), raw.len)) {
		buf_add(out, raw.data, raw.len);
		explicit_bzero(raw.data, raw.len);
		return 0;
	}
	if (yaml == NULL || yaml->decrypt == NULL)
		return err_set(err, ERR_AUTH, "%s is a vault, and there is no password for it", path);
	if (yaml->decrypt(yaml->arg, raw.data, raw.len, out, err) == -1)
		return err_wrap(err, "%s", path);
	return 0;
}

/* A program as a shell would find it. NULL: there is none. */
static const char *
program(struct run *run, struct arena *a, const char *name)
{
	const char *p = getenv("PATH"), *path;
	size_t n;

	if (strchr(name, '/') != NULL)
		return at_site(run, a, name);
	for (; p != NULL && *p != '\0'; p += n + (p[n] == ':')) {
		n = strcspn(p, ":");
		path = arena_printf(a, "%.*s/%s", (int)n, p, name);
		if (*p == '/' && access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

static int
from_program(struct run *run, struct arena *a, const char **argv, struct buf *out, struct err *err)
{
	struct child c = { .argv = argv, .timeout_ms = PROGRAM_MS, .terminal = true,
	    .out = out };
	const char *name = argv[0];

	if ((argv[0] = program(run, a, name)) == NULL)
		return err_set(err, ERR_IO, "there is no program '%s'", name);
	if (child_run(&c, err) == -1)
		return -1;
	if (c.status == 0)
		return 0;
	(void)err_set(err, ERR_IO, "'%s' failed with status %d", name, c.status);
	if (c.stderr_tail[0] != '\0')
		err_hint(err, "it said: %s", c.stderr_tail);
	return -1;
}

/*
 * `pass show` of a folder is content, too, and lists it: its name, then a tree
 * as tree(1) draws it.
 */
static bool
is_folder(const struct value *name, const char *out, const char *nl)
{
	size_t n = name->len;

	while (n > 0 && name->u.s[n - 1] == '/')
		n--;
	return (size_t)(nl - out) == n && memcmp(out, name->u.s, n) == 0 &&
	    (strstr(nl, "\u2500\u2500 ") != NULL || strstr(nl, "-- ") != NULL);
}

static int
from_pass(struct run *run, struct arena *a, const struct value *v, struct buf *out,
    struct err *err)
{
	const char *argv[] = { "pass", "show", v->u.s, NULL };
	const char *nl;

	if (*v->u.s == '-')
		return err_set(err, ERR_INVALID, "'%s' is no name of an entry", v->u.s);
	if (from_program(run, a, argv, out, err) == -1)
		return -1;
	if ((nl = memchr(buf_str(out), '\n', out->len)) == NULL)
		return 0;
	if (is_folder(v, out->data, nl))
		return err_set(err, ERR_INVALID, "'%s' is a folder of the password store, no entry",
		    v->u.s);
	out->len = (size_t)(nl - out->data);
	return 0;
}

static int
from_command(struct run *run, struct arena *a, const struct value *v, struct buf *out,
    struct err *err)
{
	const char **argv = ARENA_ARRAY(a, v_count(v) + 1, const char *);
	uint32_t i;

	for (i = 0; i < v_count(v); i++)
		argv[i] = tmpl_to_str(a, v_at(v, i))->u.s;
	if (i == 0 || *argv[0] == '\0')
		return err_set(err, ERR_INVALID, "'command' needs a list: the program and its arguments");
	return from_program(run, a, argv, out, err);
}

/* {env: X} and the like, into out. */
static int
ask_provider(struct run *run, struct arena *a, const struct value *spec, struct buf *out,
    struct err *err)
{
	const struct ventry *e;
	uint32_t it = 0;

	if (spec->type == V_MAP && v_count(spec) == 1 && (e = v_next(spec, &it)) != NULL) {
		bool text = e->val->type == V_STR && e->val->len > 0;

		if (v_eqs(e->key, "env") && text)
			return from_env(e->val, out, err);
		if (v_eqs(e->key, "file") && text)
			return from_file(run, a, e->val, out, err);
		if (v_eqs(e->key, "pass") && text)
			return from_pass(run, a, e->val, out, err);
		if (v_eqs(e->key, "command") && e->val->type == V_LIST)
			return from_command(run, a, e->val, out, err);
	}
	(void)err_set(err, ERR_INVALID, "this says not where the secret comes from");
	err_hint(err, "one of {env: NAME}, {file: PATH}, {pass: ENTRY}, {command: [PROGRAM, ARGUMENT…]}");
	return -1;
}

static void
failed(struct run *run, const struct value *at, struct err *err)
{
	if (at != NULL)
		err_at(err, v_mark(at));
	diags_add(run->diags, DIAG_ERROR, err);
	run->no_secrets = true;
}

/* The secret; v_null when it could not be had: that is told once. */
static const struct value *
provided(struct run *run, const char *name, const struct value *spec)
{
	CLEANUP_BUF struct buf key = BUF_INIT, out = { .max = SECRET_MAX };
	const struct value *have = &v_null;
	struct err error = ERR_INIT, *err = &error;
	struct arena a = { 0 };
	struct value *v;
	int r = 0;

	json_write(&key, spec, 0);
	if (run->provided == NULL)
		run->provided = v_map(&run->arena);
	if (v_gets(run->provided, buf_str(&key)) != NULL)
		return v_gets(run->provided, buf_str(&key));
	if ((r = ask_provider(run, &a, spec, &out, err)) == 0) {
		while (out.len > 0 && strchr("\r\n", out.data[out.len - 1]) != NULL)
			out.len--;
		if (buf_overflowed(&out))
			r = err_set(err, ERR_LIMIT, "it is longer than %zu KiB", SECRET_MAX / 1024);
		else if (out.len == 0)
			r = err_set(err, ERR_INVALID, "it is empty");
		else if (!utf8_valid(out.data, out.len))
			r = err_set(err, ERR_INVALID, "it is no UTF-8 text");
	}
	arena_release(&a);
	if (r == 0) {
		v = v_strn(&run->arena, out.data, out.len);
		v->flags |= V_SECRET;
		secrets_note(run, v);
		have = v;
	} else {
		(void)err_wrap(err, "the secret '%s'", name);
		failed(run, spec, err);
	}
	v_sets(&run->arena, run->provided, buf_str(&key), have);
	if (out.data != NULL)
		explicit_bzero(out.data, out.cap);
	return have;
}

static bool
is_name(const struct value *v)
{
	return v->type == V_STR && v->len > 0 && strspn(v->u.s, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == v->len;
}

/* One name; spec NULL: it is defined elsewhere. */
static void
declare(struct hostrun *h, const struct value *name, const struct value *spec)
{
	struct err err = ERR_INIT;

	if (!is_name(name)) {
		(void)err_set(&err, ERR_INVALID, "provctl_secrets: this is no name of a variable");
		failed(h->run, name, &err);
		return;
	}
	if (h->secret_names == NULL)
		h->secret_names = v_map(&h->arena);
	v_sets(&h->arena, h->secret_names, name->u.s, &v_true);
	if (spec == NULL)
		return;
	if (h->provided == NULL)
		h->provided = v_map(&h->arena);
	v_sets(&h->arena, h->provided, name->u.s, provided(h->run, name->u.s, spec));
}

/* The values that are there already are known from now on; others when they are set or used. */
static void
note_values(struct hostrun *h, struct arena *a, const struct value *vars)
{
	const struct scope *scope = vars_scope(a, h, NULL, NULL, vars);
	const struct ventry *e;
	const struct value *v;
	uint32_t it = 0;

	while ((e = v_next(h->secret_names, &it)) != NULL) {
		struct err ignored = ERR_INIT;

		v = tmpl_eval_name(a, scope, e->key->u.s, &ignored);
		if (v != NULL)
			secrets_note(h->run, secrets_mark(h->run, a, v, true));
		err_release(&ignored);
	}
}

void
secrets_declare(struct hostrun *h, const struct value *vars)
{
	const struct value *own = inventory_host_vars(h->run->site->inventory, h->host,
	    h->run->diags), *list, *extra = h->run->site->extra_vars;
	const struct ventry *e;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	uint32_t i;

	/* Most sites have none: then this must cost nothing. */
	if (vars != NULL ? v_gets(vars, "provctl_secrets") == NULL :
	    (own == NULL || v_gets(own, "provctl_secrets") == NULL) &&
	    (extra == NULL || v_gets(extra, "provctl_secrets") == NULL))
		return;
	list = tmpl_eval_name(&a, vars_scope(&a, h, NULL, NULL, vars), "provctl_secrets", &err);
	if (list == NULL)
		failed(h->run, NULL, &err);
	else if (list->type == V_LIST)
		for (i = 0; i < v_count(list); i++)
			declare(h, v_at(list, i), NULL);
	else if (list->type == V_MAP)
		for (i = 0; (e = v_next(list, &i)) != NULL;)
			declare(h, e->key, e->val);
	else {
		(void)err_set(&err, ERR_TYPE, "provctl_secrets must be a list of names, or a map "
		    "that says where they come from, not %s", v_type_name(list));
		failed(h->run, list, &err);
	}
	if (h->secret_names != NULL)
		note_values(h, &a, vars);
	arena_release(&a);
}
