/*
 * provctl host: the inventory in the state database.
 *
 * Hosts get there by `onboard`, by `host set`, or because a run with another
 * inventory reached them; what the first two said, runs do not change.
 * Variables are data, never templates: what is computed belongs into
 * group_vars/ beside a site, which count here as for any inventory.
 */
#include <string.h>

#include "apply.h"
#include "ask.h"
#include "base/json.h"
#include "inventory/inventory.h"
#include "module/module.h"
#include "onboard.h"
#include "out.h"
#include "template/yaml_dump.h"

static const struct opt rows[] = {
	{ .name = "groups", .type = OPT_COMMAS, .offset = OFF(groups), .arg = "GROUPS",
	    .doc = "set: its groups, all of them; \"none\" for no group." },
	{ .name = "fingerprint", .type = OPT_STR, .offset = OFF(fingerprint),
	    .arg = "SHA256:...", .doc = "rekey: the fingerprint that one of the host's keys must have." },
	{ .name = "accept-new-host-key", .type = OPT_FLAG, .offset = OFF(accept_keys),
	    .doc = "rekey: takes whatever key the host shows." },
	OPT_END
};
static const struct opt_group group = { "Settings", rows };
static const struct opt_group *const groups[] = { &group, &opts_state, NULL };

/* ---- what is known -------------------------------------------------------------------- */

static bool
has_vars(const struct value *host)
{
	return v_gets(host, "vars") != NULL && v_is_map(v_gets(host, "vars"));
}

/* Hosts of the inventory: rows without variables are history only. NULL with diags. */
static const struct value *
hosts_of(struct load *l)
{
	struct arena *a = &l->ctl->arena;
	struct err err = ERR_INIT;
	const struct value *all = state_hosts(l->state, a, &err);
	struct value *list;
	uint32_t i;

	if (all == NULL) {
		(void)fail_with(l->ctl, &err);
		return NULL;
	}
	list = v_list(a);
	for (i = 0; i < v_count(all); i++)
		if (has_vars(v_at(all, i)))
			v_push(a, list, v_at(all, i));
	return list;
}

static const struct value *
find(const struct value *hosts, const char *name)
{
	uint32_t i;

	for (i = 0; i < v_count(hosts); i++)
		if (strcmp(v_get_str(v_at(hosts, i), "name", ""), name) == 0)
			return v_at(hosts, i);
	return NULL;
}

/* NULL with diags. */
static const struct value *
host_named(struct load *l, const char *name)
{
	const struct value *hosts = hosts_of(l), *host;
	const char *best = NULL;
	unsigned dist = 0;
	struct err *e;
	uint32_t i;

	if (hosts == NULL || (host = find(hosts, name)) != NULL)
		return hosts == NULL ? NULL : host;
	for (i = 0; i < v_count(hosts); i++)
		nearest_try(name, v_get_str(v_at(hosts, i), "name", ""), &best, &dist);
	e = diags_error(&l->ctl->diags, ERR_USAGE, (struct mark){ 0 },
	    "there is no host '%s'", name);
	if (best != NULL)
		err_hint(e, "did you mean '%s'?", best);
	else
		err_hint(e, "`provctl host list` shows the hosts");
	return NULL;
}

/* "[user@]host[:port]" of a host's variables, as target_parse() reads it. */
static const char *
where(struct arena *a, const struct value *host)
{
	const struct value *vars = v_gets(host, "vars");
	const char *address = v_get_str(vars, "ansible_host", v_get_str(host, "name", ""));

	return strchr(address, ':') != NULL ? arena_printf(a, "[%s]", address) : address;
}

static int
port_of(const struct value *host)
{
	return (int)v_get_int(v_gets(host, "vars"), "ansible_port", 0);
}

/* ---- list, show, export ------------------------------------------------------------------ */

static const char *
joined(struct arena *a, const struct value *list)
{
	struct buf b = BUF_INIT;
	const char *text;
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++)
		if (v_is_str(v_at(list, i)))
			buf_addf(&b, "%s%s", i > 0 ? "," : "", v_at(list, i)->u.s);
	text = buf_dup(&b, a);
	buf_release(&b);
	return text;
}

static int
list(struct load *l)
{
	static const char *const columns[] = {
		"name", "address", "user", "groups", "last_run", "onboarded", NULL
	};
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const struct value *hosts = hosts_of(l);
	struct value *table = v_list(a);
	uint32_t i;

	if (hosts == NULL)
		return RUN_USAGE;
	if (ctl->set.json) {
		ctl->out->ops->value(ctl->out, hosts);
		return RUN_OK;
	}
	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i), *vars = v_gets(h, "vars");
		struct value *row = v_map(a);

		v_sets(a, row, "name", v_gets(h, "name"));
		v_set_str(a, row, "address", where(a, h));
		v_set_str(a, row, "user", v_get_str(vars, "ansible_user", ""));
		v_set_str(a, row, "groups", joined(a, v_gets(h, "groups")));
		v_sets(a, row, "last_run", v_gets(h, "last_run"));
		v_set_str(a, row, "onboarded", v_get_bool(vars, KEPT_VAR, false) ? "yes" : "no");
		v_push(a, table, row);
	}
	ctl->out->ops->table(ctl->out, columns, table, "no hosts are known; `provctl onboard` takes one in");
	return RUN_OK;
}

static int
show(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const struct value *host = host_named(l, name);
	struct value *out, *prints = v_list(a);
	const char *keys[16];
	struct target t;
	uint32_t n = 0, i;

	if (host == NULL || target_parse(l, where(a, host), port_of(host), &t) == -1)
		return RUN_USAGE;
	(void)state_known_keys(l->state, t.host, t.port, keys, NITEMS(keys), &n);
	for (i = 0; i < n; i++)
		v_push(a, prints, v_strf(a, "%.*s %s", (int)strcspn(keys[i], " "), keys[i],
		    key_fingerprint(a, keys[i])));
	out = v_map(a);
	v_merge(a, out, host);
	v_sets(a, out, "host_keys", prints);
	ctl->out->ops->value(ctl->out, out);
	return RUN_OK;
}

static int
export(struct load *l)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const struct value *hosts = hosts_of(l);
	struct value *top = v_map(a), *all = v_map(a), *members = v_map(a), *children = v_map(a);
	const struct yaml_dump_opts opts = { .flow = YAML_FLOW_NEVER };
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	uint32_t i, j;

	if (hosts == NULL)
		return RUN_USAGE;
	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i), *in = v_gets(h, "groups");
		const char *name = v_get_str(h, "name", "");
		struct value *vars = v_map(a);

		v_merge(a, vars, v_gets(h, "vars"));
		(void)v_dels(vars, KEPT_VAR);
		v_sets(a, members, name, vars);
		for (j = 0; in != NULL && j < v_count(in); j++) {
			const char *g = v_at(in, j)->u.s;
			struct value *map = v_map(a), *entry = v_map(a);
			const struct value *before = v_gets(v_gets(children, g), "hosts");

			if (before != NULL)
				v_merge(a, map, before);
			v_sets(a, map, name, v_map(a));
			v_sets(a, entry, "hosts", map);
			v_sets(a, children, g, entry);
		}
	}
	v_sets(a, all, "hosts", members);
	if (v_count(children) > 0)
		v_sets(a, all, "children", children);
	v_sets(a, top, "all", all);
	if (ctl->set.json)
		ctl->out->ops->value(ctl->out, top);
	else if (yaml_dump(&b, a, top, &opts, &err) == -1)
		return fail_with(ctl, &err);
	else
		ctl->out->ops->value(ctl->out, v_strn(a, buf_str(&b), b.len > 0 ? b.len - 1 : 0));
	buf_release(&b);
	return RUN_OK;
}

/* ---- set, rename, forget, rekey ------------------------------------------------------------- */

static bool
is_variable(const char *s, size_t n)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return n > 0 && strspn(s, letters) >= n && !(*s >= '0' && *s <= '9');
}

/* "NAME=VALUE" into the map: JSON where it is some, else text; nothing removes. 0, or -1 with diags. */
static int
set_var(struct ctl *ctl, struct value *vars, const char *word)
{
	static const char *const secrets[] = {
		"ansible_password", "ansible_ssh_pass", "ansible_become_password",
		"ansible_become_pass", "ansible_sudo_pass"
	};
	struct arena *a = &ctl->arena;
	size_t n = strcspn(word, "="), i;
	const char *name = arena_strndup(a, word, n), *text;
	const struct value *v;
	struct err err = ERR_INIT;

	if (word[n] == '\0' || !is_variable(word, n))
		return usage_error(ctl, "'%s' is no VARIABLE=VALUE", word), -1;
	for (i = 0; i < NITEMS(secrets); i++)
		if (strcmp(name, secrets[i]) == 0)
			return usage_error(ctl, "'%s' is a secret, and the state holds none: "
			    "keep it in a vault in group_vars or host_vars", name), -1;
	text = word + n + 1;
	if (*text == '\0') {
		(void)v_dels(vars, name);
		return 0;
	}
	if (strstr(text, "{{") != NULL || strstr(text, "{%") != NULL)
		return usage_error(ctl, "'%s': variables of the state are no templates: "
		    "those go into group_vars or host_vars beside the site", word), -1;
	if ((v = json_parse_text(a, text, strlen(text), &err)) == NULL)
		v = v_str(a, text);
	err_release(&err);
	v_sets(a, vars, name, v);
	return 0;
}

static int
set(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const struct value *hosts = hosts_of(l), *host, *in;
	struct value *vars = v_map(a), *given = v_list(a);
	struct err err = ERR_INIT;
	unsigned i;

	if (hosts == NULL)
		return RUN_USAGE;
	host = find(hosts, name);
	ctl->set.name = name;
	if (onboard_check(ctl) == -1)
		return RUN_USAGE;
	if (host != NULL)
		v_merge(a, vars, v_gets(host, "vars"));
	for (i = 2; i < ctl->args.n; i++)
		if (set_var(ctl, vars, ctl->args.v[i]) == -1)
			return RUN_USAGE;
	v_set_bool(a, vars, KEPT_VAR, true);
	for (i = 0; i < ctl->set.groups.n; i++)
		if (ctl->set.groups.n > 1 || strcmp(ctl->set.groups.v[0], "none") != 0)
			v_push(a, given, v_str(a, ctl->set.groups.v[i]));
	in = host != NULL ? v_gets(host, "groups") : NULL;
	if (ctl->set.groups.v != NULL || in == NULL || !v_is_list(in))
		in = given;
	if (state_host_set(l->state, name, vars, in, &err) == -1 ||
	    state_sync(l->state, &err) == -1)
		return fail_with(ctl, &err);
	out_note(ctl->out, host != NULL ? "%s is set" : "%s is a new host", name);
	return RUN_OK;
}

static int
rename_host(struct load *l, const char *name, const char *new_name)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	struct err err = ERR_INIT;
	const struct value *host = host_named(l, name), *all;
	struct value *vars;

	ctl->set.name = new_name;
	if (host == NULL || onboard_check(ctl) == -1)
		return RUN_USAGE;
	if ((all = state_hosts(l->state, a, &err)) == NULL)
		return fail_with(ctl, &err);
	if (find(all, new_name) != NULL)
		return usage_error(ctl, has_vars(find(all, new_name)) ?
		    "there is a host '%s' already" :
		    "'%s' is the name of a host that was forgotten, and whose runs are on record",
		    new_name);
	/* Its address stays what it was, also when that was the old name. */
	vars = v_map(a);
	v_merge(a, vars, v_gets(host, "vars"));
	if (v_gets(vars, "ansible_host") == NULL)
		v_set_str(a, vars, "ansible_host", name);
	v_set_bool(a, vars, KEPT_VAR, true);
	if (state_host_set(l->state, name, vars, v_gets(host, "groups"), &err) == -1 ||
	    state_host_rename(l->state, name, new_name, &err) == -1)
		return fail_with(ctl, &err);
	return RUN_OK;
}

/* Another host of the inventory at the same place? Then its keys stay. */
static bool
is_shared(struct load *l, const struct value *host, const struct target *t)
{
	const struct value *hosts = hosts_of(l);
	struct target other;
	uint32_t i;

	for (i = 0; hosts != NULL && i < v_count(hosts); i++)
		if (strcmp(v_get_str(v_at(hosts, i), "name", ""),
		    v_get_str(host, "name", "")) != 0 &&
		    target_parse(l, where(&l->ctl->arena, v_at(hosts, i)),
		    port_of(v_at(hosts, i)), &other) == 0 &&
		    strcmp(other.host, t->host) == 0 && other.port == t->port)
			return true;
	return false;
}

int
host_forget(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
	const struct value *host = host_named(l, name);
	struct err err = ERR_INIT;
	struct target t;

	if (host == NULL || target_parse(l, where(&ctl->arena, host), port_of(host), &t) == -1)
		return RUN_USAGE;
	if ((!is_shared(l, host, &t) &&
	    state_forget_keys(l->state, t.host, t.port, &err) == -1) ||
	    state_host_forget(l->state, name, &err) == -1)
		return fail_with(ctl, &err);
	out_note(ctl->out, "%s is forgotten, with its host key and facts; its runs stay on record", name);
	return RUN_OK;
}

static int
rekey(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
	const struct value *host = host_named(l, name);
	struct pin_opts pin = { .fingerprint = ctl->set.fingerprint,
	    .accept = ctl->set.accept_keys, .renew = true };
	const struct value *v;
	struct target t;

	if (host == NULL || target_parse(l, where(&ctl->arena, host), port_of(host), &t) == -1)
		return RUN_USAGE;
	v = v_gets(v_gets(host, "vars"), "provctl_ssh_strict_kex");
	t.lax_kex = v != NULL && mod_parse_bool(v) == 0;
	return pin_host(&t, &pin) == 0 ? RUN_OK : RUN_USAGE;
}

/* ---- the command ------------------------------------------------------------------------------ */

enum action { LIST, SHOW, SET, RENAME, FORGET, REKEY, EXPORT };

static const struct {
	const char	*name, *args;
	unsigned	 min, max;	/* with the action */
	bool		 writes;
} actions[] = {
	[LIST] = { "list", "", 1, 1, false },
	[SHOW] = { "show", "a HOST", 2, 2, false },
	[SET] = { "set", "a HOST", 2, 1000, true },
	[RENAME] = { "rename", "a HOST and its NEW name", 3, 3, true },
	[FORGET] = { "forget", "a HOST", 2, 2, true },
	[REKEY] = { "rekey", "a HOST", 2, 2, true },
	[EXPORT] = { "export", "", 1, 1, false },
};

static int
act(struct load *l, enum action action, const char *const *v)
{
	switch (action) {
	case LIST:
		return list(l);
	case SHOW:
		return show(l, v[1]);
	case SET:
		return set(l, v[1]);
	case RENAME:
		return rename_host(l, v[1], v[2]);
	case FORGET:
		return host_forget(l, v[1]);
	case REKEY:
		return rekey(l, v[1]);
	case EXPORT:
		return export(l);
	}
	return RUN_USAGE;
}

static int
host(struct ctl *ctl)
{
	const char *names[NITEMS(actions) + 1] = { NULL }, *near;
	struct settings *s = &ctl->set;
	struct load l;
	int status = RUN_USAGE;
	size_t i;

	for (i = 0; i < NITEMS(actions); i++)
		names[i] = actions[i].name;
	for (i = 0; i < NITEMS(actions); i++)
		if (strcmp(actions[i].name, ctl->args.v[0]) == 0)
			break;
	if (i == NITEMS(actions)) {
		near = nearest(ctl->args.v[0], names);
		return near != NULL ?
		    usage_error(ctl, "unknown action '%s'; did you mean '%s'?", ctl->args.v[0], near) :
		    usage_error(ctl, "unknown action '%s'", ctl->args.v[0]);
	}
	if (ctl->args.n < actions[i].min)
		return usage_error(ctl, "'host %s' needs %s", actions[i].name, actions[i].args);
	if (ctl->args.n > actions[i].max)
		return usage_error(ctl, "'host %s' takes no argument '%s'", actions[i].name,
		    ctl->args.v[actions[i].max]);
	if (i != SET && s->groups.v != NULL)
		return usage_error(ctl, "--groups is for 'host set'");
	if (i != REKEY && (s->fingerprint != NULL || s->accept_keys))
		return usage_error(ctl, "--fingerprint and --accept-new-host-key are for 'host rekey'");
	load_init(&l, ctl);
	if (load_state(&l, actions[i].writes ? 0 : STATE_READ_ONLY) == 0)
		status = act(&l, (enum action)i, ctl->args.v);
	load_release(&l);
	return status;
}

const struct cmd cmd_host = {
	.name = "host", .args = "ACTION [HOST ...]",
	.summary = "lists, shows and changes the hosts known to the state database",
	.doc = "ACTION is list; show HOST; set HOST [VARIABLE=VALUE...] [--groups G,G] (VALUE is JSON where it is some, else text; nothing removes the variable; a HOST that is not known is added); rename HOST NEW; forget HOST; rekey HOST (its host key is compared and pinned anew); export (all of them as a YAML inventory).",
	.opts = groups, .min_args = 1, .max_args = 1000, .run = host,
};
