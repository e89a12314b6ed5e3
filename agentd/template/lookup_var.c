/*
 * Lookups of variables, of the environment and of the inventory's names.
 */
#include <fnmatch.h>
#include <string.h>

#include "template/filter_util.h"
#include "template/lookup_util.h"
#include "template/regex.h"

/* env(default) */
static const struct value *
l_env(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const char *term, *end, *val;
	size_t len;

	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &term, &len))
			return NULL;
		fu_strip(&term, &len);
		if (len == 0)
			return terr(c, ERR_VALUE, "lookup 'env': the name of a variable is missing");
		for (end = term; end < term + len && *end != ' ' && *end != '\t' && *end != '\n'; end++)
			continue;
		val = getenv(arena_strndup(c->arena, term, (size_t)(end - term)));
		v_push(c->arena, out, val != NULL ? v_str(c->arena, val) :
		    c->a[0] != NULL && c->a[0]->type != V_NULL ? c->a[0] : &v_empty_str);
	}
	return out;
}

/* vars(default) */
static const struct value *
l_vars(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *v;
	const char *name;
	size_t len;

	for (uint32_t i = 0; i < c->nstar; i++) {
		if (c->star[i]->type != V_STR && c->star[i]->type != V_UNDEF)
			return terr(c, ERR_TYPE, "Variable name must be 'str' not '%s'.",
			    tmpl_py_type(c->star[i]));
		if (!lookup_term(c, i, &name, &len))
			return NULL;
		v = tcall_var(c, name);
		if (v == NULL) {
			if (c->err != NULL && c->err->code != ERR_NONE)
				return NULL;
			v = fu_given(c, 0) ? c->a[0] :
			    v_undef(c->arena, "No variable named '%s' was found.", name);
		}
		v_push(c->arena, out, v);
	}
	return out;
}

static const struct value *
l_varnames(struct tcall *c)
{
	const struct value *names = tcall_var_names(c), *n;
	struct value *out = v_list(c->arena);
	const struct regex *re;
	struct regex_match m;
	const char *term;
	size_t len;
	int rc;

	if (names == NULL)
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &term, &len) || (re = regex_get(term, len, 0, c->err)) == NULL)
			return NULL;
		for (uint32_t k = 0; k < v_count(names); k++) {
			n = v_at(names, k);
			rc = regex_exec(re, n->u.s, n->len, 0, REGEX_SEARCH, false, &m, c->err);
			if (rc < 0)
				return NULL;
			if (rc > 0)
				v_push(c->arena, out, n);
		}
	}
	return out;
}

/* ---- inventory_hostnames ------------------------------------------------------------------------ */

/* Adds the hosts (each once) of what one part of a pattern names: groups and hosts by glob or ~regex. */
static bool
add_hosts(struct tcall *c, struct value *out, const struct value *groups, const char *pat)
{
	const struct regex *re;
	struct regex_match m;
	const struct ventry *e;
	const struct value *hosts, *h;
	bool all = strcmp(pat, "all") == 0 || strcmp(pat, "*") == 0, hit;

	for (uint32_t it = 0; (e = v_next(groups, &it)) != NULL;) {
		if (e->key->type != V_STR || (hosts = tcall_final(c, e->val)) == NULL)
			return false;
		for (uint32_t g = 0; g <= v_count(hosts); g++) {
			/* Round 0 asks for the group, the others for its hosts. */
			const char *name = g == 0 ? e->key->u.s : v_at(hosts, g - 1)->u.s;

			if (*pat == '~') {
				if ((re = regex_get(pat + 1, strlen(pat + 1), 0, c->err)) == NULL)
					return false;
				hit = regex_exec(re, name, strlen(name), 0, REGEX_MATCH, false, &m, c->err) == 1;
			} else
				hit = all || fnmatch(pat, name, 0) == 0;
			for (uint32_t k = 0; hit && k < v_count(hosts); k++) {
				h = v_at(hosts, k);
				if ((g == 0 || k == g - 1) && !fu_in(out->u.list, h))
					v_push(c->arena, out, h);
			}
		}
	}
	return true;
}

/* One term: parts by comma (or colon), & intersects, ! excludes. */
static bool
host_pattern(struct tcall *c, struct value **hosts, const struct value *groups, const char *term)
{
	const char *p, *seps = strchr(term, ',') != NULL ? "," : ",:";
	const struct value *h;
	struct value *some, *kept;
	const char *part;
	size_t n, len;

	/* What is added comes first, whatever the order it is written in. */
	for (int round = 0; round < 3; round++) {
		for (p = term;; p += n + 1) {
			n = strcspn(p, seps);
			part = p;
			len = n;
			fu_strip(&part, &len);
			if (len > 0 && (*part == '&' ? 1 : *part == '!' ? 2 : 0) == round) {
				some = v_list(c->arena);
				if (!add_hosts(c, some, groups,
				    arena_strndup(c->arena, part + (round > 0), len - (round > 0))))
					return false;
				kept = v_list(c->arena);
				for (uint32_t i = 0; i < v_count(*hosts); i++) {
					h = v_at(*hosts, i);
					if (round == 0 || fu_in(some->u.list, h) == (round == 1))
						v_push(c->arena, kept, h);
				}
				for (uint32_t i = 0; round == 0 && i < v_count(some); i++)
					if (!fu_in(kept->u.list, v_at(some, i)))
						v_push(c->arena, kept, v_at(some, i));
				*hosts = kept;
			}
			if (p[n] == '\0')
				break;
		}
	}
	return true;
}

static const struct value *
l_inventory_hostnames(struct tcall *c)
{
	const struct value *groups = tcall_var(c, "groups");
	struct value *hosts = v_list(c->arena);
	const char *term;
	size_t len;

	if (groups == NULL || groups->type != V_MAP) {
		if (c->err != NULL && c->err->code != ERR_NONE)
			return NULL;
		return terr(c, ERR_UNDEFINED, "lookup 'inventory_hostnames': 'groups' is undefined");
	}
	for (uint32_t i = 0; i < c->nstar; i++)
		if (!lookup_term(c, i, &term, &len) || !host_pattern(c, &hosts, groups, term))
			return NULL;
	return hosts;
}

/* ---- config ------------------------------------------------------------------------------------------ */

/* Ansible's settings that roles ask for, with what they are here. */
static const struct {
	const char	*name;
	const char	*value;		/* NULL: null */
	char		 type;		/* s string, b boolean, i integer, l list by commas */
} settings[] = {
	{ "BECOME_ALLOW_SAME_USER", "0", 'b' },
	{ "COLLECTIONS_PATHS", "~/.ansible/collections,/usr/share/ansible/collections", 'l' },
	{ "COLOR_CHANGED", "yellow", 's' },
	{ "COLOR_ERROR", "red", 's' },
	{ "COLOR_OK", "green", 's' },
	{ "COLOR_SKIP", "cyan", 's' },
	{ "DEFAULT_BECOME", "0", 'b' },
	{ "DEFAULT_BECOME_METHOD", "sudo", 's' },
	{ "DEFAULT_BECOME_USER", "root", 's' },
	{ "DEFAULT_FORKS", "5", 'i' },
	{ "DEFAULT_GATHERING", "implicit", 's' },
	{ "DEFAULT_HASH_BEHAVIOUR", "replace", 's' },
	{ "DEFAULT_MANAGED_STR", "Ansible managed", 's' },
	{ "DEFAULT_MODULE_PATH", "~/.ansible/plugins/modules,/usr/share/ansible/plugins/modules", 'l' },
	{ "DEFAULT_REMOTE_PORT", NULL, 's' },
	{ "DEFAULT_REMOTE_USER", NULL, 's' },
	{ "DEFAULT_ROLES_PATH", "~/.ansible/roles,/usr/share/ansible/roles,/etc/ansible/roles", 'l' },
	{ "DEFAULT_STRATEGY", "linear", 's' },
	{ "DEFAULT_TIMEOUT", "10", 'i' },
	{ "DEFAULT_TRANSPORT", "ssh", 's' },
	{ "HOST_KEY_CHECKING", "1", 'b' },
	{ "INTERPRETER_PYTHON", "auto", 's' },
	{ "RETRY_FILES_ENABLED", "0", 'b' },
};

static const struct value *
setting_value(struct tcall *c, size_t i)
{
	const char *p, *home = getenv("HOME");
	struct value *list;
	size_t n;

	if (settings[i].value == NULL)
		return &v_null;
	if (settings[i].type == 'b')
		return v_bool(*settings[i].value == '1');
	if (settings[i].type == 'i')
		return v_int(c->arena, strtol(settings[i].value, NULL, 10));
	if (settings[i].type == 's')
		return v_str(c->arena, settings[i].value);
	list = v_list(c->arena);
	for (p = settings[i].value;; p += n + 1) {
		n = strcspn(p, ",");
		v_push(c->arena, list, *p == '~' && home != NULL ?
		    v_strf(c->arena, "%s%.*s", home, (int)n - 1, p + 1) : fu_strn(c, p, n));
		if (p[n] == '\0')
			return list;
	}
}

/* config(on_missing, plugin_type, plugin_name, show_origin) */
static const struct value *
l_config(struct tcall *c)
{
	struct value *out = v_list(c->arena), *pair;
	const char *missing, *term;
	size_t len, k;
	bool origin;

	if (!targ_str(c, 0, "error", &missing, &len) || !targ_bool(c, 3, false, &origin))
		return NULL;
	if (strcmp(missing, "error") != 0 && strcmp(missing, "skip") != 0 && strcmp(missing, "warn") != 0)
		return terr(c, ERR_VALUE, "Invalid option for error handling, missing must be error, warn or skip, got: %s", missing);
	if (fu_given(c, 1) || fu_given(c, 2))
		return terr(c, ERR_UNSUPPORTED, "lookup 'config': settings of plugins are not supported");
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &term, &len))
			return NULL;
		for (k = 0; k < NITEMS(settings) && strcmp(settings[k].name, term) != 0; k++)
			continue;
		if (k == NITEMS(settings)) {
			if (*missing == 'e')
				return terr(c, ERR_VALUE, "No config definition exists for '%s'", term);
			continue;
		}
		if (!origin) {
			v_push(c->arena, out, setting_value(c, k));
			continue;
		}
		pair = v_list(c->arena);
		v_push(c->arena, pair, setting_value(c, k));
		v_push(c->arena, pair, v_str(c->arena, "default"));
		v_push(c->arena, out, pair);
	}
	return out;
}

const struct tlookup lookups_var[] = {
	{ "config", "on_missing,plugin_type,plugin_name,show_origin", 0, l_config },
	{ "env", "default", TF_UNDEF_ARGS, l_env },
	{ "inventory_hostnames", "", 0, l_inventory_hostnames },
	{ "varnames", "", 0, l_varnames },
	{ "vars", "default", 0, l_vars },
	{ NULL, NULL, 0, NULL }
};
