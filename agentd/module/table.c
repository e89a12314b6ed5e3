/*
 * The modules: one extern and one line each, alphabetical.
 *
 * Names are looked up by short name, by fully qualified name, or by an alias.
 * Collections move modules around and keep the old names as redirects
 * (ini_file was ansible.builtin, is community.general): a fully qualified name
 * therefore matches when its namespace is the module's own collection, one of
 * ansible.builtin / ansible.legacy (which redirect every old short name), or
 * any community.* and ansible.posix for a module that lives in one of these.
 */
#include <string.h>

#include "module/module.h"

extern const struct module add_host_module;
extern const struct module alternatives_module;
extern const struct module apt_module;
extern const struct module apt_key_module;
extern const struct module apt_repository_module;
extern const struct module assemble_module;
extern const struct module assert_module;
extern const struct module async_status_module;
extern const struct module authorized_key_module;
extern const struct module blockinfile_module;
extern const struct module capabilities_module;
extern const struct module command_module;
extern const struct module copy_module;
extern const struct module cron_module;
extern const struct module deb822_repository_module;
extern const struct module debconf_module;
extern const struct module debug_module;
extern const struct module dpkg_selections_module;
extern const struct module fail_module;
extern const struct module fetch_module;
extern const struct module file_module;
extern const struct module filesystem_module;
extern const struct module find_module;
extern const struct module get_url_module;
extern const struct module getent_module;
extern const struct module git_module;
extern const struct module git_config_module;
extern const struct module group_module;
extern const struct module group_by_module;
extern const struct module hostname_module;
extern const struct module htpasswd_module;
extern const struct module import_role_module;
extern const struct module import_tasks_module;
extern const struct module include_module;
extern const struct module include_role_module;
extern const struct module include_tasks_module;
extern const struct module include_vars_module;
extern const struct module ini_file_module;
extern const struct module iptables_module;
extern const struct module known_hosts_module;
extern const struct module lineinfile_module;
extern const struct module locale_gen_module;
extern const struct module make_module;
extern const struct module meta_module;
extern const struct module modprobe_module;
extern const struct module mount_module;
extern const struct module package_module;
extern const struct module package_facts_module;
extern const struct module pam_limits_module;
extern const struct module pause_module;
extern const struct module ping_module;
extern const struct module pip_module;
extern const struct module postgresql_db_module;
extern const struct module postgresql_ext_module;
extern const struct module postgresql_ping_module;
extern const struct module postgresql_privs_module;
extern const struct module postgresql_query_module;
extern const struct module postgresql_schema_module;
extern const struct module postgresql_set_module;
extern const struct module postgresql_user_module;
extern const struct module raw_module;
extern const struct module reboot_module;
extern const struct module replace_module;
extern const struct module script_module;
extern const struct module service_module;
extern const struct module service_facts_module;
extern const struct module set_fact_module;
extern const struct module set_stats_module;
extern const struct module setup_module;
extern const struct module shell_module;
extern const struct module slurp_module;
extern const struct module stat_module;
extern const struct module sysctl_module;
extern const struct module systemd_module;
extern const struct module tempfile_module;
extern const struct module template_module;
extern const struct module timezone_module;
extern const struct module ufw_module;
extern const struct module unarchive_module;
extern const struct module uri_module;
extern const struct module user_module;
extern const struct module wait_for_module;
extern const struct module wait_for_connection_module;

const struct module *const modules[] = {
	&add_host_module,
	&alternatives_module,
	&apt_module,
	&apt_key_module,
	&apt_repository_module,
	&assemble_module,
	&assert_module,
	&async_status_module,
	&authorized_key_module,
	&blockinfile_module,
	&capabilities_module,
	&command_module,
	&copy_module,
	&cron_module,
	&deb822_repository_module,
	&debconf_module,
	&debug_module,
	&dpkg_selections_module,
	&fail_module,
	&fetch_module,
	&file_module,
	&filesystem_module,
	&find_module,
	&get_url_module,
	&getent_module,
	&git_module,
	&git_config_module,
	&group_module,
	&group_by_module,
	&hostname_module,
	&htpasswd_module,
	&import_role_module,
	&import_tasks_module,
	&include_module,
	&include_role_module,
	&include_tasks_module,
	&include_vars_module,
	&ini_file_module,
	&iptables_module,
	&known_hosts_module,
	&lineinfile_module,
	&locale_gen_module,
	&make_module,
	&meta_module,
	&modprobe_module,
	&mount_module,
	&package_module,
	&package_facts_module,
	&pam_limits_module,
	&pause_module,
	&ping_module,
	&pip_module,
	&postgresql_db_module,
	&postgresql_ext_module,
	&postgresql_ping_module,
	&postgresql_privs_module,
	&postgresql_query_module,
	&postgresql_schema_module,
	&postgresql_set_module,
	&postgresql_user_module,
	&raw_module,
	&reboot_module,
	&replace_module,
	&script_module,
	&service_module,
	&service_facts_module,
	&set_fact_module,
	&set_stats_module,
	&setup_module,
	&shell_module,
	&slurp_module,
	&stat_module,
	&sysctl_module,
	&systemd_module,
	&tempfile_module,
	&template_module,
	&timezone_module,
	&ufw_module,
	&unarchive_module,
	&uri_module,
	&user_module,
	&wait_for_module,
	&wait_for_connection_module,
	NULL
};

extern const struct module provctl_guard_module;
extern const struct module provctl_restore_module;

const struct module *const modules_internal[] = {
	&provctl_guard_module,
	&provctl_restore_module,
	NULL
};

/* True when the comma-separated list of aliases holds the name. */
static bool
has_alias(const char *list, const char *name)
{
	size_t n = strlen(name), k;

	while (list != NULL && *list != '\0') {
		k = strcspn(list, ",");
		if (k == n && strncmp(list, name, n) == 0)
			return true;
		list += k + (list[k] == ',');
	}
	return false;
}

static bool
has_prefix(const char *s, size_t n, const char *prefix)
{
	size_t k = strlen(prefix);

	return n >= k && strncmp(s, prefix, k) == 0;
}

static bool
is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && strncmp(s, word, n) == 0;
}

/* Whether a collection's name (n bytes) may stand before the module's. */
static bool
collection_fits(const struct module *mod, const char *coll, size_t n)
{
	const char *own = mod->collection;

	if (is(coll, n, own) || is(coll, n, "ansible.builtin") ||
	    is(coll, n, "ansible.legacy"))
		return true;
	if (has_prefix(own, strlen(own), "community.") ||
	    strcmp(own, "ansible.posix") == 0)
		return has_prefix(coll, n, "community.") ||
		    is(coll, n, "ansible.posix");
	return false;
}

const struct module *
module_find(const char *name)
{
	const char *dot = strrchr(name, '.'), *base;
	const struct module *const *p;

	base = dot == NULL ? name : dot + 1;
	for (p = modules_internal; *p != NULL; p++)
		if (strcmp((*p)->name, name) == 0)
			return *p;
	for (p = modules; *p != NULL; p++) {
		if (has_alias((*p)->aliases, name))
			return *p;
		if (strcmp((*p)->name, base) != 0 &&
		    !has_alias((*p)->aliases, base))
			continue;
		if (dot == NULL ||
		    collection_fits(*p, name, (size_t)(dot - name)))
			return *p;
	}
	return NULL;
}

const char *
module_nearest(const char *name)
{
	const char *dot = strrchr(name, '.'), *best = NULL;
	const char *base = dot == NULL ? name : dot + 1;
	const struct module *const *p;
	unsigned dist = 0;

	for (p = modules; *p != NULL; p++) {
		if (strcmp((*p)->name, base) == 0)
			return (*p)->name;
		if (!((*p)->flags & MOD_UNSUPPORTED))
			nearest_try(base, (*p)->name, &best, &dist);
	}
	return best;
}
