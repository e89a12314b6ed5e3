/*
 * Facts of the system's software: kernel, distribution, names, users, time.
 */
#include <sys/stat.h>
#include <sys/utsname.h>
#include <ctype.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "module/dpkg.h"
#include "module/facts.h"
#include "module/words.h"

extern char **environ;

/* ---- names and kernel --------------------------------------------------- */

/* Takes the next word off a line. */
static const char *
next_word(const char **p, const char *end, size_t *n)
{
	const char *s = *p;

	while (s < end && isspace((unsigned char)*s))
		s++;
	*n = 0;
	while (s + *n < end && !isspace((unsigned char)s[*n]))
		(*n)++;
	*p = s + *n;
	return *n == 0 ? NULL : s;
}

/*
 * Looks for a line of /etc/hosts that has the name (or starts with address)
 * and returns its words, NULL-terminated: address first.
 */
static const char *const *
hosts_line(struct facts *f, const char *text, const char *name,
    const char *address)
{
	const char *line, *w, *p, *end, *v[32];
	const char **copy;
	size_t n, k, count, i;
	bool found;

	while ((line = facts_next_line(&text, &n)) != NULL) {
		end = memchr(line, '#', n);
		if (end == NULL)
			end = line + n;
		p = line;
		found = false;
		for (count = 0; count < NITEMS(v) &&
		    (w = next_word(&p, end, &k)) != NULL; count++) {
			v[count] = arena_strndup(f->a, w, k);
			if (name != NULL && count > 0 &&
			    strcasecmp(v[count], name) == 0)
				found = true;
			if (address != NULL && count == 0 &&
			    strcmp(v[0], address) == 0)
				found = true;
		}
		if (!found || count < 2)
			continue;
		copy = ARENA_ARRAY(f->a, count + 1, const char *);
		for (i = 0; i < count; i++)
			copy[i] = v[i];
		return copy;
	}
	return NULL;
}

/* What Python's getfqdn() gives for a name that /etc/hosts knows. */
static const char *
full_name(struct facts *f, const char *node)
{
	const char *text = facts_read(f, "/etc/hosts", NULL);
	const char *const *words = NULL;
	size_t i;

	if (text != NULL)
		words = hosts_line(f, text, node, NULL);
	if (words != NULL)
		words = hosts_line(f, text, NULL, words[0]);
	for (i = 1; words != NULL && words[i] != NULL; i++)
		if (strchr(words[i], '.') != NULL)
			return words[i];
	return words != NULL ? words[1] : node;
}

void
facts_platform(struct facts *f)
{
	const char *node, *fqdn, *id, *dot;
	struct utsname u;

	if (uname(&u) == -1)
		return;
	node = facts_text(f, u.nodename, strlen(u.nodename))->u.s;
	facts_str(f, "system", u.sysname);
	facts_str(f, "kernel", u.release);
	facts_str(f, "kernel_version", u.version);
	facts_str(f, "machine", u.machine);
	facts_str(f, "nodename", node);
	facts_str(f, "hostname", arena_strndup(f->a, node, strcspn(node, ".")));
	fqdn = full_name(f, node);
	facts_str(f, "fqdn", fqdn);
	dot = strchr(fqdn, '.');
	facts_str(f, "domain", dot == NULL ? "" : dot + 1);
	facts_str(f, "architecture", u.machine[0] == 'i' &&
	    strcmp(u.machine + 2, "86") == 0 ? "i386" : u.machine);
	facts_str(f, "userspace_bits", sizeof(void *) == 8 ? "64" : "32");
	facts_str(f, "userspace_architecture", sizeof(void *) == 8 ||
	    strcmp(u.machine, "x86_64") != 0 ? u.machine : "i386");
	id = facts_line(f, "/var/lib/dbus/machine-id");
	if (id == NULL)
		id = facts_line(f, "/etc/machine-id");
	if (id != NULL)
		facts_str(f, "machine_id", id);
}

/* ---- distribution ------------------------------------------------------- */

static const struct {
	const char	*id;	/* of os-release */
	const char	*name;
	const char	*family;
} distributions[] = {
	{ "debian", "Debian", "Debian" },
	{ "ubuntu", "Ubuntu", "Debian" },
	{ "raspbian", "Raspbian", "Debian" },
	{ "linuxmint", "Linux Mint", "Debian" },
	{ "devuan", "Devuan", "Debian" },
	{ "kali", "Kali", "Debian" },
	{ "pop", "Pop!_OS", "Debian" },
	{ "neon", "KDE neon", "Debian" },
	{ "parrot", "Parrot", "Debian" },
	{ "pureos", "PureOS", "Debian" },
	{ "alpine", "Alpine", "Alpine" },
	{ "arch", "Archlinux", "Archlinux" },
	{ "fedora", "Fedora", "RedHat" },
	{ "rhel", "RedHat", "RedHat" },
	{ "centos", "CentOS", "RedHat" },
	{ "rocky", "Rocky", "RedHat" },
	{ "almalinux", "AlmaLinux", "RedHat" },
	{ "ol", "OracleLinux", "RedHat" },
	{ "amzn", "Amazon", "RedHat" },
	{ "opensuse-leap", "openSUSE Leap", "Suse" },
	{ "opensuse-tumbleweed", "openSUSE Tumbleweed", "Suse" },
	{ "sles", "SLES", "Suse" },
};

static const char *
release_file(struct facts *f, const char **ret_path)
{
	const char *text;

	*ret_path = "/etc/os-release";
	text = facts_read(f, *ret_path, NULL);
	if (text == NULL) {
		*ret_path = "/usr/lib/os-release";
		text = facts_read(f, *ret_path, NULL);
	}
	return text;
}

/* The word in parentheses of "Debian GNU/Linux 12 (bookworm)". */
static const char *
pretty_codename(struct facts *f, const char *text)
{
	const char *s = facts_shell_var(f, text, "PRETTY_NAME"), *end;

	s = s == NULL ? NULL : strchr(s, '(');
	end = s == NULL ? NULL : strchr(s, ')');
	return end == NULL ? NULL :
	    arena_strndup(f->a, s + 1, (size_t)(end - s - 1));
}

static void
set_versions(struct facts *f, const char *version, const char *debian)
{
	const char *dot;

	facts_str(f, "distribution_version", version);
	facts_str(f, "distribution_major_version",
	    arena_strndup(f->a, version, strcspn(version, ".")));
	if (debian != NULL && (dot = strchr(debian, '.')) != NULL &&
	    isdigit((unsigned char)dot[1]))
		facts_str(f, "distribution_minor_version",
		    arena_strndup(f->a, dot + 1, strspn(dot + 1, "0123456789")));
}

void
facts_distribution(struct facts *f)
{
	const char *path, *text = release_file(f, &path);
	const char *id, *version, *code, *name, *family = NULL, *like, *debian;
	size_t i;

	if (text == NULL) {
		facts_str(f, "os_family", "Linux");
		facts_str(f, "distribution", "OtherLinux");
		return;
	}
	id = facts_shell_var(f, text, "ID");
	name = facts_shell_var(f, text, "NAME");
	version = facts_shell_var(f, text, "VERSION_ID");
	code = facts_shell_var(f, text, "VERSION_CODENAME");
	like = facts_shell_var(f, text, "ID_LIKE");
	if (code == NULL)
		code = pretty_codename(f, text);
	for (i = 0; id != NULL && i < NITEMS(distributions); i++)
		if (strcmp(distributions[i].id, id) == 0) {
			name = distributions[i].name;
			family = distributions[i].family;
		}
	if (family == NULL && like != NULL)
		family = strstr(like, "debian") != NULL ||
		    strstr(like, "ubuntu") != NULL ? "Debian" :
		    strstr(like, "rhel") != NULL ||
		    strstr(like, "fedora") != NULL ? "RedHat" :
		    strstr(like, "suse") != NULL ? "Suse" : NULL;
	/* point releases are in a file of their own */
	debian = id != NULL && strcmp(id, "debian") == 0 ?
	    facts_line(f, "/etc/debian_version") : NULL;
	if (debian != NULL && isdigit((unsigned char)*debian))
		version = debian;
	else if (debian != NULL && version == NULL)
		version = debian;		/* "forky/sid" */
	facts_str(f, "distribution", name == NULL ? "OtherLinux" : name);
	facts_str(f, "os_family", family != NULL ? family :
	    name != NULL ? name : "Linux");
	facts_str(f, "distribution_release", code == NULL ? "NA" : code);
	set_versions(f, version == NULL ? "NA" : version, debian);
	facts_str(f, "distribution_file_path", path);
	facts_str(f, "distribution_file_variety", name == NULL ? "NA" : name);
	facts_bool(f, "distribution_file_parsed", true);
}

/* As lsb_release prints it; it takes all of that from os-release itself. */
void
facts_lsb(struct facts *f)
{
	const char *path, *text, *id, *desc, *release, *code;
	struct value *lsb = v_map(f->a);
	char *name;

	text = facts_read(f, "/etc/lsb-release", NULL);
	if (text != NULL && facts_shell_var(f, text, "DISTRIB_ID") != NULL) {
		id = facts_shell_var(f, text, "DISTRIB_ID");
		desc = facts_shell_var(f, text, "DISTRIB_DESCRIPTION");
		release = facts_shell_var(f, text, "DISTRIB_RELEASE");
		code = facts_shell_var(f, text, "DISTRIB_CODENAME");
	} else if (facts_exists(f, "/usr/bin/lsb_release") &&
	    (text = release_file(f, &path)) != NULL &&
	    (id = facts_shell_var(f, text, "ID")) != NULL) {
		name = arena_strdup(f->a, id);
		name[0] = (char)toupper((unsigned char)name[0]);
		id = name;
		desc = facts_shell_var(f, text, "PRETTY_NAME");
		release = facts_shell_var(f, text, "VERSION_ID");
		code = facts_shell_var(f, text, "VERSION_CODENAME");
	} else {
		facts_set(f, "lsb", lsb);
		return;
	}
	v_set_str(f->a, lsb, "id", id);
	if (desc != NULL)
		v_sets(f->a, lsb, "description", facts_text(f, desc, strlen(desc)));
	if (release == NULL)
		release = "n/a";
	v_sets(f->a, lsb, "release", facts_text(f, release, strlen(release)));
	v_sets(f->a, lsb, "major_release",
	    facts_text(f, release, strcspn(release, ".")));
	if (code != NULL)
		v_sets(f->a, lsb, "codename", facts_text(f, code, strlen(code)));
	facts_set(f, "lsb", lsb);
}

/* ---- what is installed -------------------------------------------------- */

/* Python's version is its package's: no need to start it. */
void
facts_python(struct facts *f)
{
	struct value *python, *version, *info;
	const struct dpkg_package *pkg = NULL;
	const char *link, *base;
	struct dpkg *db;
	int part[3] = { 0, 0, 0 };
	int i;
	static const char *const names[] = { "major", "minor", "micro" };

	link = facts_link(f, "/usr/bin/python3");
	if (link == NULL)
		return;
	base = strrchr(link, '/') == NULL ? link : strrchr(link, '/') + 1;
	db = *f->root == '\0' ? dpkg_open(NULL) : NULL;
	if (db != NULL)
		pkg = dpkg_find(db, arena_printf(f->a, "%s-minimal", base), NULL);
	if (pkg == NULL && db != NULL)
		pkg = dpkg_find(db, base, NULL);
	if (pkg == NULL || !dpkg_installed(pkg) ||
	    sscanf(pkg->version, "%4d.%4d.%4d", &part[0], &part[1],
	    &part[2]) != 3)
		return;
	version = v_map(f->a);
	info = v_list(f->a);
	for (i = 0; i < 3; i++) {
		v_set_int(f->a, version, names[i], part[i]);
		v_push(f->a, info, v_int(f->a, part[i]));
	}
	v_set_str(f->a, version, "releaselevel", "final");
	v_set_int(f->a, version, "serial", 0);
	v_push(f->a, info, v_str(f->a, "final"));
	v_push(f->a, info, v_int(f->a, 0));
	python = v_map(f->a);
	v_sets(f->a, python, "version", version);
	v_sets(f->a, python, "version_info", info);
	v_set_str(f->a, python, "executable",
	    arena_printf(f->a, "/usr/bin/%s", base));
	v_set_bool(f->a, python, "has_sslcontext", true);
	v_set_str(f->a, python, "type", "cpython");
	facts_set(f, "python", python);
	facts_set(f, "python_version", v_strf(f->a, "%d.%d.%d", part[0],
	    part[1], part[2]));
}

void
facts_pkg_mgr(struct facts *f)
{
	static const struct { const char *path, *name; } known[] = {
		{ "/usr/bin/apt-get", "apt" }, { "/usr/bin/dnf5", "dnf5" },
		{ "/usr/bin/dnf", "dnf" }, { "/usr/bin/yum", "yum" },
		{ "/usr/bin/zypper", "zypper" }, { "/usr/bin/pacman", "pacman" },
		{ "/sbin/apk", "apk" },
	};
	size_t i;

	for (i = 0; i < NITEMS(known); i++)
		if (facts_exists(f, known[i].path)) {
			facts_str(f, "pkg_mgr", known[i].name);
			return;
		}
	facts_str(f, "pkg_mgr", "unknown");
}

void
facts_service_mgr(struct facts *f)
{
	const char *comm = facts_line(f, "/proc/1/comm");

	if (facts_exists(f, "/run/systemd/system") ||
	    (comm != NULL && strcmp(comm, "systemd") == 0))
		facts_str(f, "service_mgr", "systemd");
	else if (facts_exists(f, "/sbin/openrc"))
		facts_str(f, "service_mgr", "openrc");
	else if (comm != NULL && strcmp(comm, "runit-init") == 0)
		facts_str(f, "service_mgr", "runit");
	else if (facts_exists(f, "/etc/init.d"))
		facts_str(f, "service_mgr", "sysvinit");
	else
		facts_str(f, "service_mgr", comm != NULL ? comm : "service");
}

void
facts_systemd(struct facts *f)
{
	struct dpkg *db = *f->root == '\0' ? dpkg_open(NULL) : NULL;
	const struct dpkg_package *pkg = NULL;
	struct value *v;

	if (db != NULL && facts_exists(f, "/run/systemd/system"))
		pkg = dpkg_find(db, "systemd", NULL);
	if (pkg == NULL || !dpkg_installed(pkg))
		return;
	v = v_map(f->a);
	v_set_int(f->a, v, "version", strtol(pkg->version, NULL, 10));
	facts_set(f, "systemd", v);
}

void
facts_selinux(struct facts *f)
{
	struct value *v = v_map(f->a);
	const char *s, *config;

	facts_bool(f, "selinux_python_present", true);
	s = facts_line(f, "/sys/fs/selinux/enforce");
	if (s == NULL) {
		v_set_str(f->a, v, "status", "disabled");
		facts_set(f, "selinux", v);
		return;
	}
	v_set_str(f->a, v, "status", "enabled");
	v_set_str(f->a, v, "mode", *s == '1' ? "enforcing" : "permissive");
	s = facts_line(f, "/sys/fs/selinux/policyvers");
	v_set_int(f->a, v, "policyvers", s == NULL ? 0 : strtol(s, NULL, 10));
	config = facts_read(f, "/etc/selinux/config", NULL);
	s = config == NULL ? NULL : facts_shell_var(f, config, "SELINUX");
	v_set_str(f->a, v, "config_mode", s == NULL ? "unknown" : s);
	s = config == NULL ? NULL : facts_shell_var(f, config, "SELINUXTYPE");
	v_set_str(f->a, v, "type", s == NULL ? "unknown" : s);
	facts_set(f, "selinux", v);
}

void
facts_apparmor(struct facts *f)
{
	struct value *v = v_map(f->a);

	v_set_str(f->a, v, "status", facts_exists(f,
	    "/sys/kernel/security/apparmor") ? "enabled" : "disabled");
	facts_set(f, "apparmor", v);
}

void
facts_fips(struct facts *f)
{
	const char *s = facts_line(f, "/proc/sys/crypto/fips_enabled");

	facts_bool(f, "fips", s != NULL && strcmp(s, "1") == 0);
}

/* ---- capabilities ------------------------------------------------------- */

static const char *const cap_names[] = { "chown", "dac_override",
	"dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast",
	"net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module",
	"sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin",
	"sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config",
	"mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
	"audit_read", "perfmon", "bpf", "checkpoint_restore" };

/* The effective ones; "enforced" when some are missing. */
void
facts_caps(struct facts *f)
{
	const char *text = facts_read(f, "/proc/self/status", NULL);
	const char *last = facts_line(f, "/proc/sys/kernel/cap_last_cap");
	const char *eff = text == NULL ? NULL : strstr(text, "\nCapEff:");
	struct value *list = v_list(f->a);
	unsigned long long mask;
	size_t i, n = NITEMS(cap_names);

	if (eff == NULL)
		return;
	mask = strtoull(eff + 8, NULL, 16);
	if (last != NULL && strtoul(last, NULL, 10) + 1 < n)
		n = strtoul(last, NULL, 10) + 1;
	if ((mask & ((1ULL << n) - 1)) == (1ULL << n) - 1) {
		facts_str(f, "system_capabilities_enforced", "False");
	} else {
		facts_str(f, "system_capabilities_enforced", "True");
		for (i = 0; i < n; i++)
			if (mask & (1ULL << i))
				v_push(f->a, list, v_strf(f->a, "cap_%s",
				    cap_names[i]));
	}
	facts_set(f, "system_capabilities", list);
}

/* ---- the kernel's command line ------------------------------------------ */

static void
add_more(struct facts *f, struct value *map, const struct value *key,
    const struct value *val)
{
	const struct value *old = v_get(map, key);
	struct value *list;
	uint32_t i;

	if (old == NULL) {
		v_set(f->a, map, key, val);
		return;
	}
	list = v_list(f->a);
	if (v_is_list(old))
		for (i = 0; i < v_count(old); i++)
			v_push(f->a, list, v_at(old, i));
	else
		v_push(f->a, list, old);
	v_push(f->a, list, val);
	v_set(f->a, map, key, list);
}

void
facts_cmdline(struct facts *f)
{
	struct value *last = v_map(f->a), *all = v_map(f->a);
	const char *text = facts_line(f, "/proc/cmdline"), *eq;
	const char *const *words;
	const struct value *key, *val;

	words = text == NULL || f->m == NULL ? NULL : words_split(f->m, text);
	if (words == NULL)
		return;
	for (; *words != NULL; words++) {
		eq = strchr(*words, '=');
		key = facts_text(f, *words, eq == NULL ? strlen(*words) :
		    (size_t)(eq - *words));
		val = eq == NULL ? &v_true :
		    facts_text(f, eq + 1, strlen(eq + 1));
		v_set(f->a, last, key, val);
		add_more(f, all, key, val);
	}
	facts_set(f, "cmdline", last);
	facts_set(f, "proc_cmdline", all);
}

/* ---- time --------------------------------------------------------------- */

void
facts_date_time(struct facts *f)
{
	static const struct { const char *name, *format; } local[] = {
		{ "year", "%Y" }, { "month", "%m" }, { "weekday", "%A" },
		{ "weekday_number", "%w" }, { "weeknumber", "%W" },
		{ "day", "%d" }, { "hour", "%H" }, { "minute", "%M" },
		{ "second", "%S" }, { "date", "%Y-%m-%d" },
		{ "time", "%H:%M:%S" }, { "iso8601_basic_short", "%Y%m%dT%H%M%S" },
		{ "tz", "%Z" }, { "tz_offset", "%z" },
	};
	struct value *v = v_map(f->a);
	struct timespec ts;
	char text[64];
	struct tm tm;
	size_t i;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tzset();
	if (localtime_r(&ts.tv_sec, &tm) == NULL)
		return;
	for (i = 0; i < NITEMS(local); i++) {
		text[0] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)strftime(text, sizeof(text), local[i].format, &tm);
#pragma GCC diagnostic pop
		v_set_str(f->a, v, local[i].name, text);
	}
	v_sets(f->a, v, "iso8601_basic", v_strf(f->a, "%s%06ld",
	    v_get_str(v, "iso8601_basic_short", ""), ts.tv_nsec / 1000));
	v_sets(f->a, v, "epoch", v_strf(f->a, "%lld", (long long)ts.tv_sec));
	v_sets(f->a, v, "epoch_int", v_strf(f->a, "%lld", (long long)ts.tv_sec));
	v_set_str(f->a, v, "tz_dst", tzname[1] != NULL && *tzname[1] != '\0' ?
	    tzname[1] : tzname[0]);
	if (gmtime_r(&ts.tv_sec, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) > 0) {
		v_sets(f->a, v, "iso8601", v_strf(f->a, "%sZ", text));
		v_sets(f->a, v, "iso8601_micro", v_strf(f->a, "%s.%06ldZ", text,
		    ts.tv_nsec / 1000));
	}
	facts_set(f, "date_time", v);
}

void
facts_loadavg(struct facts *f)
{
	const char *s = facts_line(f, "/proc/loadavg");
	struct value *v = v_map(f->a);
	double l[3];

	if (s == NULL || sscanf(s, "%lf %lf %lf", &l[0], &l[1], &l[2]) != 3)
		return;
	v_sets(f->a, v, "1m", v_float(f->a, l[0]));
	v_sets(f->a, v, "5m", v_float(f->a, l[1]));
	v_sets(f->a, v, "15m", v_float(f->a, l[2]));
	facts_set(f, "loadavg", v);
}

/* ---- names of servers, keys --------------------------------------------- */

static void
dns_words(struct facts *f, struct value *dns, const char *key, const char *p,
    const char *end, bool options)
{
	struct value *list = options ? v_map(f->a) : v_list(f->a);
	const char *w, *colon;
	size_t n;

	while ((w = next_word(&p, end, &n)) != NULL) {
		if (!options) {
			v_push(f->a, list, facts_text(f, w, n));
			continue;
		}
		colon = memchr(w, ':', n);
		if (colon == NULL)
			v_set(f->a, list, facts_text(f, w, n), &v_true);
		else
			v_set(f->a, list, facts_text(f, w, (size_t)(colon - w)),
			    facts_text(f, colon + 1, (size_t)(w + n - colon - 1)));
	}
	v_sets(f->a, dns, key, list);
}

void
facts_dns(struct facts *f)
{
	const char *text = facts_read(f, "/etc/resolv.conf", NULL);
	struct value *dns = v_map(f->a), *servers = NULL;
	const char *line, *p, *w, *end;
	size_t n, k;

	while ((line = facts_next_line(&text, &n)) != NULL) {
		p = line;
		end = line + n;
		w = next_word(&p, end, &k);
		if (w == NULL || *w == '#' || *w == ';')
			continue;
		if (k == 10 && strncmp(w, "nameserver", k) == 0) {
			if (servers == NULL)
				servers = v_list(f->a);
			while ((w = next_word(&p, end, &k)) != NULL)
				v_push(f->a, servers, facts_text(f, w, k));
			v_sets(f->a, dns, "nameservers", servers);
		} else if (k == 6 && strncmp(w, "domain", k) == 0) {
			if ((w = next_word(&p, end, &k)) != NULL)
				v_sets(f->a, dns, "domain", facts_text(f, w, k));
		} else if (k == 6 && strncmp(w, "search", k) == 0)
			dns_words(f, dns, "search", p, end, false);
		else if (k == 8 && strncmp(w, "sortlist", k) == 0)
			dns_words(f, dns, "sortlist", p, end, false);
		else if (k == 7 && strncmp(w, "options", k) == 0)
			dns_words(f, dns, "options", p, end, true);
	}
	facts_set(f, "dns", dns);
}

void
facts_ssh_keys(struct facts *f)
{
	static const char *const kinds[] = { "dsa", "rsa", "ecdsa", "ed25519" };
	static const char *const dirs[] = { "/etc/ssh", "/etc/openssh", "/etc" };
	const char *line, *p, *end, *type, *key;
	size_t i, j, ntype, nkey;

	for (i = 0; i < NITEMS(dirs) * NITEMS(kinds); i++) {
		j = i % NITEMS(kinds);
		line = facts_line(f, facts_path(f, "%s/ssh_host_%s_key.pub",
		    dirs[i / NITEMS(kinds)], kinds[j]));
		if (line == NULL)
			continue;
		p = line;
		end = line + strlen(line);
		type = next_word(&p, end, &ntype);
		key = next_word(&p, end, &nkey);
		if (type == NULL || key == NULL ||
		    v_gets(f->map, facts_path(f, "ansible_ssh_host_key_%s_public",
		    kinds[j])) != NULL)
			continue;
		facts_set(f, facts_path(f, "ssh_host_key_%s_public", kinds[j]),
		    facts_text(f, key, nkey));
		facts_set(f, facts_path(f, "ssh_host_key_%s_public_keytype",
		    kinds[j]), facts_text(f, type, ntype));
	}
}

/* ---- user --------------------------------------------------------------- */

void
facts_env(struct facts *f)
{
	struct value *env = v_map(f->a);
	const struct ventry *e;
	const char *eq;
	uint32_t it;
	char **p;

	for (p = environ; p != NULL && *p != NULL; p++) {
		eq = strchr(*p, '=');
		if (eq != NULL && eq != *p)
			v_set(f->a, env, facts_text(f, *p, (size_t)(eq - *p)),
			    facts_text(f, eq + 1, strlen(eq + 1)));
	}
	if (f->m != NULL && f->m->env != NULL)
		for (it = 0; (e = v_next(f->m->env, &it)) != NULL;)
			v_set(f->a, env, e->key, e->val);
	facts_set(f, "env", env);
}

void
facts_user(struct facts *f)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw != NULL) {
		facts_str(f, "user_id", pw->pw_name);
		facts_int(f, "user_uid", pw->pw_uid);
		facts_int(f, "user_gid", pw->pw_gid);
		facts_str(f, "user_gecos", pw->pw_gecos);
		facts_str(f, "user_dir", pw->pw_dir);
		facts_str(f, "user_shell", pw->pw_shell);
	} else {
		facts_int(f, "user_uid", getuid());
		facts_int(f, "user_gid", getgid());
	}
	facts_int(f, "real_user_id", getuid());
	facts_int(f, "effective_user_id", geteuid());
	facts_int(f, "real_group_id", getgid());
	facts_int(f, "effective_group_id", getegid());
}

void
facts_chroot(struct facts *f)
{
	struct stat here, init;
	bool chroot = false;

	if (getenv("debian_chroot") != NULL)
		chroot = true;
	else if (stat("/", &here) == 0) {
		if (stat("/proc/1/root/.", &init) == 0)
			chroot = here.st_ino != init.st_ino ||
			    here.st_dev != init.st_dev;
		else	/* not for us to see: most roots are number 2 (btrfs 256, xfs 128) */
			chroot = here.st_ino != 2 && here.st_ino != 256 &&
			    here.st_ino != 128;
	}
	facts_bool(f, "is_chroot", chroot);
}
