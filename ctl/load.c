/*
 * Loading a site and what belongs to it.
 *
 * Where hosts come from without -i, the first that is there: `inventory` in
 * the ansible.cfg that counts for the site, an inventory beside the site by
 * its usual names, the hosts that earlier runs reached (state database).
 */
#include <sys/stat.h>
#include <libgen.h>
#include <string.h>

#include "ask.h"
#include "load.h"
#include "out.h"
#include "yaml/files.h"

#define BUSY_MS		5000

void
load_init(struct load *l, struct ctl *ctl)
{
	*l = (struct load){ .ctl = ctl };
	l->vault = vault_new();
	l->yaml.decrypt = vault_decrypt;
	l->yaml.arg = l->vault;
}

void
load_release(struct load *l)
{
	vault_free(l->vault);
	state_close(l->state);
	*l = (struct load){ 0 };
}

static const char *
state_path(struct ctl *ctl)
{
	return ctl->set.state != NULL ? ctl->set.state :
	    state_default_path(&ctl->arena);
}

int
load_state_if_any(struct load *l)
{
	return access(state_path(l->ctl), F_OK) == 0 ?
	    load_state(l, STATE_READ_ONLY) : 0;
}

int
load_state(struct load *l, unsigned flags)
{
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT, why = ERR_INIT;

	l->state = state_open(state_path(ctl), flags, BUSY_MS, &err);
	if (l->state == NULL && err.code == ERR_OLD) {
		/* The program is newer than its last run: who only looks brings it up to date, too, where he may. */
		state_close(state_open(state_path(ctl), 0, BUSY_MS, &why));
		if (why.code == ERR_NONE) {
			err_release(&err);
			l->state = state_open(state_path(ctl), flags, BUSY_MS, &err);
		}
		err_release(&why);
	}
	if (l->state == NULL) {
		(void)fail_with(ctl, &err);
		return -1;
	}
	return 0;
}

/* ---- passwords ---------------------------------------------------------------------- */

const char *
load_password(struct ctl *ctl, const char *file, const char *what, const char *instead,
    struct err *err)
{
	const char *key = file != NULL ? file : what, *text;

	if (ctl->passwords == NULL)
		ctl->passwords = v_map(&ctl->arena);
	if ((text = v_get_str(ctl->passwords, key, NULL)) != NULL)
		return text;
	text = file != NULL ? read_password(&ctl->arena, file, err) :
	    ask_password(&ctl->arena, what, instead, err);
	if (text != NULL)
		v_sets(&ctl->arena, ctl->passwords, key, v_flag(&ctl->arena,
		    v_str(&ctl->arena, text), V_SECRET));
	return text;
}

/* ---- vault ---------------------------------------------------------------------------- */

static int
add_vault_file(struct load *l, const char *spec)
{
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT;
	const char *at = strchr(spec, '@'), *password, *id = NULL;

	if (strcmp(at != NULL ? at + 1 : spec, "prompt") == 0) {
		if (at != NULL && at != spec)
			id = arena_strndup(&ctl->arena, spec, (size_t)(at - spec));
		password = load_password(ctl, NULL, id != NULL ?
		    arena_printf(&ctl->arena, "vault password (%s)", id) :
		    "vault password", "--vault-password-file", &err);
		if (password == NULL)
			return fail_with(ctl, &err), -1;
		vault_add(l->vault, id, password);
		return 0;
	}
	if (vault_add_file(l->vault, spec, &err) == -1)
		return fail_with(ctl, &err), -1;
	return 0;
}

static const char *
at_config(struct ctl *ctl, const char *path, const char *cfg_dir)
{
	return cfg_dir == NULL || *path == '/' || *path == '~' || strcmp(path, "prompt") == 0 ?
	    path : arena_printf(&ctl->arena, "%s/%s", cfg_dir, path);
}

/* "dev@file, prod@prompt" of the environment or of an ansible.cfg. */
static int
add_identities(struct load *l, const char *list, const char *cfg_dir)
{
	struct arena *a = &l->ctl->arena;
	size_t n, id;
	int r = 0;

	for (; *list != '\0'; list += n + (list[n] == ',')) {
		list += strspn(list, " ");
		n = strcspn(list, ",");
		id = strcspn(list, "@");
		if (id >= n)
			id = 0;
		else
			id++;
		if (n > id)
			r |= add_vault_file(l, arena_printf(a, "%.*s%s", (int)id, list,
			    at_config(l->ctl, arena_strndup(a, list + id, n - id), cfg_dir)));
	}
	return r;
}

int
load_vault(struct load *l, const char *dir)
{
	struct ctl *ctl = l->ctl;
	struct settings *s = &ctl->set;
	const char *from, *cfg_dir = NULL;
	unsigned i;
	int r = 0;

	if ((from = getenv("ANSIBLE_VAULT_IDENTITY_LIST")) == NULL || *from == '\0')
		from = site_config(&ctl->arena, dir, "vault_identity_list", &cfg_dir);
	if (from != NULL)
		r |= add_identities(l, from, cfg_dir);
	for (i = 0; i < s->vault_files.n; i++)
		r |= add_vault_file(l, s->vault_files.v[i]);
	for (i = 0; i < s->vault_ids.n; i++)
		r |= add_vault_file(l, s->vault_ids.v[i]);
	if (s->ask_vault)
		r |= add_vault_file(l, "prompt");
	if (s->vault_files.n + s->vault_ids.n > 0 || s->ask_vault)
		return r;
	if ((from = getenv("ANSIBLE_VAULT_PASSWORD_FILE")) != NULL && *from != '\0')
		return add_vault_file(l, from);
	from = site_config(&ctl->arena, dir, "vault_password_file", &cfg_dir);
	return from != NULL ? add_vault_file(l, at_config(ctl, from, cfg_dir)) | r : r;
}

/* ---- extra variables -------------------------------------------------------------------- */

/* The next word as a shell would see it: quotes and backslashes. NULL at the end; *ret_open: a quote is missing. */
static const char *
next_word(struct arena *a, const char **p, bool *ret_open)
{
	struct buf b = BUF_INIT;
	const char *word;
	char quote = '\0';

	*p += strspn(*p, " \t\n");
	if (**p == '\0')
		return NULL;
	for (; **p != '\0'; ++*p) {
		char c = **p;

		if (quote == '\0' && strchr(" \t\n", c) != NULL)
			break;
		if (quote == '\0' && (c == '"' || c == '\''))
			quote = c;
		else if (c == quote && quote != '\0')
			quote = '\0';
		else if (c == '\\' && quote != '\'' && (*p)[1] != '\0' &&
		    strchr("\\\"' ", (*p)[1]) != NULL)
			buf_addc(&b, *++*p);
		else
			buf_addc(&b, c);
	}
	*ret_open = quote != '\0';
	word = buf_dup(&b, a);
	buf_release(&b);
	return word;
}

static bool
is_name(const char *s, size_t n)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return n > 0 && strspn(s, letters) >= n && !(*s >= '0' && *s <= '9');
}

static int
extra_words(struct load *l, struct value *map, const char *text)
{
	struct arena *a = &l->ctl->arena;
	const char *p = text, *word;
	bool open = false;

	while ((word = next_word(a, &p, &open)) != NULL) {
		size_t n = strcspn(word, "=");

		if (open)
			return usage_error(l->ctl, "-e '%s': a quote is not closed", text), -1;
		if (word[n] == '\0' || !is_name(word, n)) {
			struct err *e = diags_error(&l->ctl->diags, ERR_USAGE,
			    (struct mark){ 0 }, word[n] == '\0' ?
			    "-e: '%s' is no variable: '=' is missing" :
			    "-e: '%s' does not begin with a variable's name", word);

			err_hint(e, "NAME=VALUE, \"{...}\" (JSON or YAML), or @FILE");
			return -1;
		}
		v_sets(a, map, arena_strndup(a, word, n), v_str(a, word + n + 1));
	}
	return 0;
}

int
load_extra(struct load *l, struct value *map, const char *text)
{
	struct ctl *ctl = l->ctl;
	const struct value *v;

	if (*text == '@')
		v = yaml_load(&ctl->arena, text + 1, &l->yaml, &ctl->diags);
	else if (text[strspn(text, " \t\n")] == '{' || text[strspn(text, " \t\n")] == '[')
		v = yaml_parse(&ctl->arena, source_text(&ctl->arena, "<-e>", text,
		    strlen(text)), &l->yaml, &ctl->diags);
	else
		return extra_words(l, map, text);
	if (v == NULL)
		return -1;
	if (v->type == V_NULL && *text == '@')
		return 0;	/* an empty file */
	if (v->type != V_MAP) {
		struct err *e = diags_error(&ctl->diags, ERR_USAGE, v_mark(v),
		    "-e %s holds %s, not variables", *text == '@' ? text : "",
		    v_type_name(v));

		err_hint(e, "a map is needed: {\"name\": value}");
		return -1;
	}
	v_merge(&ctl->arena, map, v);
	return 0;
}

static int
load_variables(struct load *l)
{
	struct ctl *ctl = l->ctl;
	struct value *map = v_map(&ctl->arena);
	unsigned i;
	int r = 0;

	for (i = 0; i < ctl->set.extra.n; i++)
		r |= load_extra(l, map, ctl->set.extra.v[i]);
	if (r != 0)
		return -1;
	l->extra = tmpl_compile_tree(&ctl->arena, map, &ctl->diags);
	return l->extra != NULL ? 0 : -1;
}

/* ---- inventory ----------------------------------------------------------------------------- */

/* Comma-separated paths of an ansible.cfg. True when there are some. */
static bool
inventories_of_config(struct load *l, const char *dir, struct words *ret)
{
	struct arena *a = &l->ctl->arena;
	const char *cfg_dir = NULL, *p, *one;
	size_t n;

	if ((p = getenv("ANSIBLE_INVENTORY")) != NULL && *p != '\0')
		cfg_dir = ".";
	else if ((p = site_config(a, dir, "inventory", &cfg_dir)) == NULL)
		return false;
	if (p[strlen(p) - 1] == ',') {	/* "host1,host2," */
		words_add(a, ret, p);
		return true;
	}
	for (; *p != '\0'; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		one = arena_strndup(a, p + strspn(p, " "), n - strspn(p, " "));
		if (*one != '\0')
			words_add(a, ret, *one == '/' ? one :
			    arena_printf(a, "%s/%s", cfg_dir, one));
	}
	return ret->n > 0;
}

static bool
inventory_beside(struct load *l, const char *dir, struct words *ret)
{
	static const char *const names[] = {
		"inventory.yml", "inventory.yaml", "inventory.ini", "inventory",
		"hosts", "hosts.yml", "hosts.yaml", "hosts.ini"
	};
	struct stat st;
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		const char *path = strcmp(dir, ".") == 0 ? names[i] :
		    arena_printf(&l->ctl->arena, "%s/%s", dir, names[i]);

		if (stat(file_at(path), &st) == 0) {
			words_add(&l->ctl->arena, ret, path);
			return true;
		}
	}
	return false;
}

/* Rows as state_hosts() lists them, into the inventory; those without variables are history only. Their number, or -1. */
static int
add_hosts(struct load *l, const struct value *hosts)
{
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT;
	uint32_t i, j;
	int n = 0;

	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i), *vars = v_gets(h, "vars");
		const struct value *groups = v_gets(h, "groups");
		struct host *host;

		if (vars == NULL || vars->type != V_MAP)
			continue;
		host = inventory_host_add(l->inventory, v_get_str(h, "name", ""),
		    vars, &err);
		for (j = 0; host != NULL && j < v_count(groups); j++)
			if (inventory_group_add(l->inventory, host,
			    v_at(groups, j)->u.s, &err) == -1)
				host = NULL;
		if (host == NULL)
			return fail_with(ctl, &err), -1;
		n++;
	}
	return n;
}

/* Hosts that were onboarded, or that earlier runs reached. */
static int
known_hosts(struct load *l)
{
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT;
	const struct value *hosts = state_hosts(l->state, &ctl->arena, &err);
	int n;

	if (hosts == NULL)
		return fail_with(ctl, &err), -1;
	if ((n = add_hosts(l, hosts)) > 0)
		out_note(ctl->out, "no inventory given: using the %d host%s known to the state database",
		    n, n == 1 ? "" : "s");
	l->from_state = n > 0;
	return n < 0 ? -1 : 0;
}

int
load_inventory(struct load *l, const char *dir)
{
	struct ctl *ctl = l->ctl;
	struct words sources = ctl->set.inventories;
	unsigned i;
	int r = 0;

	if (load_vault(l, dir) == -1 || load_variables(l) == -1)
		return -1;
	l->inventory = inventory_new(&ctl->arena, &l->yaml);
	if (l->given == NULL && sources.n == 0 && !inventories_of_config(l, dir, &sources))
		(void)inventory_beside(l, dir, &sources);
	for (i = 0; i < sources.n; i++)
		r |= inventory_add(l->inventory, sources.v[i], &ctl->diags);
	if (inventory_add_site_dir(l->inventory, dir, &ctl->diags) == -1 ||
	    inventory_finish(l->inventory, &ctl->diags) == -1 || r != 0)
		return -1;
	if (l->given != NULL)
		return add_hosts(l, l->given) < 0 ? -1 : 0;
	if (sources.n == 0 && l->state != NULL)
		return known_hosts(l);
	return 0;
}

int
load_site(struct load *l, const char *path)
{
	struct ctl *ctl = l->ctl;
	struct site_opts opts = { .path = path, .yaml = &l->yaml };
	const char *dir = dirname(arena_strdup(&ctl->arena, path));
	struct stat st;

	if (stat(file_at(path), &st) == -1) {
		struct err err = ERR_INIT;

		(void)err_errno(&err, "cannot read the site '%s'", path);
		err_hint(&err, "SITE is the path of a playbook");
		return fail_with(ctl, &err), -1;
	}
	files_collect(ctl->snapshot == NULL);
	if (load_inventory(l, dir) == -1)
		return -1;
	opts.inventory = l->inventory;
	opts.tags = l->tags;
	opts.skip_tags = l->skip_tags;
	opts.limit = l->limit;
	opts.extra_vars = l->extra;
	l->site = site_load(&ctl->arena, &opts, &ctl->diags);
	return l->site != NULL ? 0 : -1;
}

const struct value *
load_facts(void *state, struct arena *a, const char *host)
{
	struct err err = ERR_INIT;
	const struct value *facts = state_facts(state, a, host, &err);

	err_release(&err);
	return facts;
}
