/*
 * setup: gathers facts.  Which collectors run is one table: the names that
 * gather_subset takes, and what each stands for.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>

#include "base/utf8.h"
#include "module/facts.h"

#define END		{ .name = NULL }
#define LINE_MAX_LEN	8192

/* ---- reading ------------------------------------------------------------ */

const char *
facts_path(struct facts *f, const char *fmt, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(f->a, fmt, ap);
	va_end(ap);
	return s;
}

static const char *
full_path(struct facts *f, const char *path)
{
	return *f->root == '\0' ? path :
	    arena_printf(f->a, "%s%s", f->root, path);
}

const char *
facts_read(struct facts *f, const char *path, size_t *len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;

	fd = open(full_path(f, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return NULL;
	b.max = FACTS_FILE_MAX;
	if (buf_read_fd(&b, fd) == -1 && errno != EFBIG)
		return NULL;
	if (len != NULL)
		*len = b.len;
	return buf_dup(&b, f->a);
}

const char *
facts_line(struct facts *f, const char *path)
{
	CLEANUP_CLOSE int fd = -1;
	char text[LINE_MAX_LEN], *s = text;
	ssize_t got;
	size_t n;

	/* hundreds of these are read from /sys: one read() is enough for each */
	fd = open(full_path(f, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || (got = read(fd, text, sizeof(text) - 1)) < 0)
		return NULL;
	text[got] = '\0';
	s += strspn(s, " \t");
	n = strcspn(s, "\n");
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		n--;
	return arena_strndup(f->a, s, n);
}

const char *
facts_link(struct facts *f, const char *path)
{
	char target[4096];
	ssize_t n;

	n = readlink(full_path(f, path), target, sizeof(target) - 1);
	return n <= 0 ? NULL : arena_strndup(f->a, target, (size_t)n);
}

bool
facts_exists(struct facts *f, const char *path)
{
	return access(full_path(f, path), F_OK) == 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *
facts_names(struct facts *f, const char *path)
{
	CLEANUP_CLOSEDIR DIR *d = opendir(full_path(f, path));
	const char **v = ARENA_ARRAY(f->a, 1, const char *);
	size_t n = 0, cap = 1;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (n + 1 >= cap) {
			v = arena_grow(f->a, v, cap * sizeof(*v),
			    cap * 2 * sizeof(*v));
			cap *= 2;
		}
		v[n++] = arena_strdup(f->a, e->d_name);
	}
	v[n] = NULL;
	qsort(v, n, sizeof(*v), compare);
	return v;
}

const struct value *
facts_text(struct facts *f, const char *s, size_t n)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;

	if (utf8_valid(s, n))
		return v_strn(f->a, s, n);
	utf8_clean(&clean, s, n);
	return v_strn(f->a, buf_str(&clean), clean.len);
}

void
facts_set(struct facts *f, const char *name, const struct value *v)
{
	v_sets(f->a, f->map, arena_printf(f->a, "ansible_%s", name), v);
}

void
facts_str(struct facts *f, const char *name, const char *s)
{
	facts_set(f, name, s == NULL ? &v_null : facts_text(f, s, strlen(s)));
}

void
facts_int(struct facts *f, const char *name, int64_t i)
{
	facts_set(f, name, v_int(f->a, i));
}

void
facts_bool(struct facts *f, const char *name, bool b)
{
	facts_set(f, name, v_bool(b));
}

const char *
facts_next_line(const char **p, size_t *n)
{
	const char *s = *p;

	if (s == NULL || *s == '\0')
		return NULL;
	*n = strcspn(s, "\n");
	*p = s + *n + (s[*n] == '\n');
	return s;
}

const char *
facts_shell_var(struct facts *f, const char *text, const char *key)
{
	size_t n, k = strlen(key);
	const char *line;

	while ((line = facts_next_line(&text, &n)) != NULL) {
		if (n <= k || strncmp(line, key, k) != 0 || line[k] != '=')
			continue;
		line += k + 1;
		n -= k + 1;
		while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\r'))
			n--;
		if (n >= 2 && (*line == '"' || *line == '\'') &&
		    line[n - 1] == *line) {
			line++;
			n -= 2;
		}
		return arena_strndup(f->a, line, n);
	}
	return NULL;
}

/* ---- which -------------------------------------------------------------- */

struct collector {
	const char	*name;
	const char	*ids;	/* further names for it */
	bool		 min;
	void		(*collect)(struct facts *);
};

static const struct collector collectors[] = {
	{ "apparmor", NULL, true, facts_apparmor },
	{ "caps", "system_capabilities,system_capabilities_enforced", true, facts_caps },
	{ "chroot", "is_chroot", false, facts_chroot },
	{ "cmdline", NULL, true, facts_cmdline },
	{ "date_time", NULL, true, facts_date_time },
	{ "devices", "hardware,device_links", false, facts_devices },
	{ "distribution", "distribution_version,distribution_release,distribution_major_version,os_family", true, facts_distribution },
	{ "dns", NULL, true, facts_dns },
	{ "env", NULL, true, facts_env },
	{ "facter", NULL, false, NULL },
	{ "fips", NULL, true, facts_fips },
	{ "hardware", "processor,processor_cores,processor_count", false, facts_hardware },
	{ "iscsi", "nvme,fibre_channel_wwn", false, facts_storage_names },
	{ "loadavg", NULL, false, facts_loadavg },
	{ "local", NULL, true, facts_local },
	{ "lsb", NULL, true, facts_lsb },
	{ "mounts", "hardware", false, facts_mounts },
	{ "network", "interfaces,default_ipv4,default_ipv6,all_ipv4_addresses,all_ipv6_addresses", false, facts_network },
	{ "ohai", NULL, false, NULL },
	{ "pkg_mgr", NULL, true, facts_pkg_mgr },
	{ "platform", "system,kernel,kernel_version,machine,python_version,architecture,machine_id", true, facts_platform },
	{ "python", NULL, true, facts_python },
	{ "selinux", NULL, true, facts_selinux },
	{ "service_mgr", NULL, true, facts_service_mgr },
	{ "ssh_pub_keys", "ssh_host_pub_keys,ssh_host_key_dsa_public,ssh_host_key_rsa_public,ssh_host_key_ecdsa_public,ssh_host_key_ed25519_public", true, facts_ssh_keys },
	{ "systemd", NULL, false, facts_systemd },
	{ "user", "user_id,user_uid,user_gid,user_gecos,user_dir,user_shell,real_user_id,effective_user_id,effective_group_ids", true, facts_user },
	{ "virtual", "virtualization_type,virtualization_role,virtualization_tech_guest,virtualization_tech_host", false, facts_virtual },
};

#define NCOLLECTORS	NITEMS(collectors)

static bool
in_list(const char *list, const char *word)
{
	size_t n = strlen(word), k;

	while (list != NULL && *list != '\0') {
		k = strcspn(list, ",");
		if (k == n && strncmp(list, word, n) == 0)
			return true;
		list += k + (list[k] == ',');
	}
	return false;
}

static bool
is_named(const struct collector *c, const char *name)
{
	return strcmp(c->name, name) == 0 || in_list(c->ids, name);
}

/* Marks (with `on`) what a name stands for; false: no such name. */
static bool
mark(bool wanted[NCOLLECTORS], const char *name, bool on)
{
	bool all = strcmp(name, "all") == 0, min = strcmp(name, "min") == 0;
	bool known = all || min;
	size_t i;

	for (i = 0; i < NCOLLECTORS; i++)
		if (all || (min && collectors[i].min) ||
		    is_named(&collectors[i], name)) {
			wanted[i] = on;
			known = true;
		}
	return known;
}

static int
bad_subset(struct mod *m, const char *name)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < NCOLLECTORS; i++)
		buf_addf(&b, ", %s%s%s", collectors[i].name,
		    collectors[i].ids != NULL ? ", " : "",
		    collectors[i].ids != NULL ? collectors[i].ids : "");
	return mod_fail(m, "Bad subset '%s' given to Ansible. gather_subset options allowed: all, min%s",
	    name, buf_str(&b));
}

/*
 * The smallest set is always part of it, unless `!min` says otherwise; names
 * with `!` take away; without any other name everything is meant.
 */
static int
choose(struct mod *m, const struct value *list, bool wanted[NCOLLECTORS])
{
	bool any = false, no_all = false, no_min = false;
	const char *s;
	uint32_t i;

	memset(wanted, 0, NCOLLECTORS * sizeof(*wanted));
	for (i = 0; i < v_count(list); i++) {
		s = v_at(list, i)->u.s;
		if (*s != '!') {
			any = true;
			if (!mark(wanted, s, true))
				return bad_subset(m, s);
		} else if (strcmp(s, "!all") == 0)
			no_all = true;
		else if (strcmp(s, "!min") == 0)
			no_min = true;
	}
	if (!any && !no_all)
		(void)mark(wanted, "all", true);
	if (no_min && !any)
		(void)mark(wanted, "min", false);
	else if (!no_min)
		(void)mark(wanted, "min", true);
	for (i = 0; i < v_count(list); i++) {
		s = v_at(list, i)->u.s;
		if (*s == '!' && strcmp(s, "!all") != 0 &&
		    strcmp(s, "!min") != 0 && !mark(wanted, s + 1, false))
			return bad_subset(m, s + 1);
	}
	return 0;
}

/* ---- the module --------------------------------------------------------- */

/* Facts whose name fits one of the patterns, with or without ansible_. */
static const struct value *
filtered(struct mod *m, const struct value *all, const struct value *patterns)
{
	struct value *out;
	const struct ventry *e;
	const char *p, *name;
	uint32_t it, i;

	for (i = 0; patterns != NULL && i < v_count(patterns); i++) {
		p = v_at(patterns, i)->u.s;
		if (*p == '\0' || strcmp(p, "*") == 0)
			return all;
	}
	if (patterns == NULL || v_count(patterns) == 0)
		return all;
	out = v_map(m->arena);
	for (it = 0; (e = v_next(all, &it)) != NULL;)
		for (i = 0; i < v_count(patterns); i++) {
			p = v_at(patterns, i)->u.s;
			name = e->key->u.s;
			if (fnmatch(p, name, 0) == 0 ||
			    (strncmp(p, "ansible_", 8) != 0 &&
			    strncmp(name, "ansible_", 8) == 0 &&
			    fnmatch(p, name + 8, 0) == 0)) {
				v_set(m->arena, out, e->key, e->val);
				break;
			}
		}
	return out;
}

static int
setup_run(struct mod *m)
{
	struct facts f = { .m = m, .a = m->arena, .root = "" };
	const struct value *subset = mod_arg(m, "gather_subset");
	bool wanted[NCOLLECTORS];
	size_t i;

	f.map = v_map(m->arena);
	f.fact_path = mod_arg_path(m, "fact_path");
	f.timeout_ms = (int)mod_arg_int(m, "gather_timeout", 10) * 1000;
	if (choose(m, subset, wanted) == -1)
		return -1;
	for (i = 0; i < NCOLLECTORS; i++)
		if (wanted[i] && collectors[i].collect != NULL)
			collectors[i].collect(&f);
	v_sets(m->arena, f.map, "gather_subset", subset);
	v_sets(m->arena, f.map, "module_setup", &v_true);
	mod_set(m, "ansible_facts", filtered(m, f.map, mod_arg(m, "filter")));
	return 0;
}

static const struct mod_arg setup_args[] = {
	{ .name = "gather_subset", .type = ARG_LIST, .of = ARG_STR, .def = "all",
	    .doc = "What to gather: all, min, hardware, network, virtual, or any single name; `!` before a name takes it away." },
	{ .name = "filter", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Returns only facts whose names fit one of these patterns (`distribution*`)." },
	{ .name = "gather_timeout", .type = ARG_INT, .def = "10",
	    .doc = "Seconds that one unresponsive file system or fact program may take." },
	{ .name = "fact_path", .type = ARG_PATH, .def = "/etc/ansible/facts.d",
	    .doc = "Directory of the host's own facts: *.fact files with JSON or INI, or programs that print these." },
	END
};

const struct module setup_module = {
	.name = "setup", .collection = "ansible.builtin",
	.aliases = "gather_facts",
	.summary = "Gathers facts about the host.",
	.doc = "Everything is read from the kernel and from files; no programs are started but those in fact_path.\n"
	    "The full name of the host is taken from /etc/hosts, never from DNS, which may be slow or absent.",
	.examples =
	    "- setup:\n"
	    "    gather_subset: ['!all', network]\n"
	    "- setup:\n"
	    "    filter: ansible_distribution*\n",
	.returns = "ansible_facts: the facts, each name with the prefix ansible_\n",
	.args = setup_args, .run = setup_run,
};
