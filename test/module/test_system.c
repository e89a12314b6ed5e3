/*
 * Parsers of the system modules: dpkg's database and versions, crontabs,
 * hashes of PostgreSQL, conditions of pip, and facts of a host whose /proc and
 * /sys are full of nonsense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "module/apt.h"
#include "module/cron.h"
#include "module/dpkg.h"
#include "module/facts.h"
#include "module/pg.h"
#include "module/pip.h"
#include "module/systemd.h"

/* ---- dpkg --------------------------------------------------------------- */

static void
test_versions(void **state)
{
	/* each is older than the next */
	static const char *const order[] = { "0:0~~", "~~a", "~", "0", "0-1",
		"0.9~beta1~svn1", "0.9~beta1", "0.9", "1.0-1", "1.0-1+b1",
		"1.0-1.1", "1.0-10", "1.0a", "1.0+dfsg-1", "1.0.1", "1.2",
		"1.10", "1.10-1", "1:0.1", "2:1.0-1" };
	size_t i, k;
	int c;

	(void)state;
	for (i = 1; i < NITEMS(order); i++)
		for (k = 1; k < NITEMS(order); k++) {
			if (i == 1 || k == 1)
				continue;
			c = dpkg_version_compare(order[i], order[k]);
			if ((i < k && c >= 0) || (i > k && c <= 0) || (i == k && c != 0))
				fail_msg("%s against %s gives %d", order[i], order[k], c);
		}
	assert_int_equal(dpkg_version_compare("1.0", "0:1.0"), 0);
	assert_int_equal(dpkg_version_compare("1.0-0", "1.0"), 0);
	assert_int_equal(dpkg_version_compare("1.00", "1.0"), 0);
	assert_int_equal(dpkg_version_compare("", ""), 0);
	assert_true(dpkg_version_compare("99999999999999999999998", "99999999999999999999999") < 0);
	assert_true(dpkg_version_compare("1.0-1-2", "1.0-1-1") > 0);
	assert_true(dpkg_version_compare("1.0~rc1", "1.0") < 0);
}

static const char status[] =
	"Package: libfoo\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.0-1\n"
	"Provides: foo-api (= 2), libfoo-abi:any, other\nDescription: a\n Package: fake\n .\n more\n\n"
	"Package: libfoo\nStatus: install ok installed\nArchitecture: i386\nVersion: 1:2.0-1\n\n"
	"Package: dpkg\nArchitecture: amd64\nVersion: 1.21\nstatus: hold ok installed\n\n"
	"Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 3\n\n"
	"Package: half\nStatus: install reinstreq half-configured\nArchitecture: all\nVersion: 4\n\n"
	"Package: waits\nStatus: install ok triggers-pending\nArchitecture: all\nVersion: 5\n\n"
	"nonsense\n: x\nPackage:\n\nPackage: last\nStatus: install ok installed\nArchitecture: all\nVersion: 1";

static void
test_status(void **state)
{
	struct dpkg *db = dpkg_parse(status, sizeof(status) - 1);
	const struct dpkg_package *p;

	(void)state;
	assert_int_equal(dpkg_count(db), 7);
	assert_string_equal(dpkg_native_arch(db), "amd64");
	p = dpkg_find(db, "libfoo", NULL);
	assert_string_equal(p->arch, "amd64");
	assert_string_equal(p->version, "1:2.0-1");
	assert_true(dpkg_installed(p));
	assert_string_equal(dpkg_find(db, "libfoo:i386", NULL)->arch, "i386");
	assert_null(dpkg_find(db, "libfoo:arm64", NULL));
	assert_null(dpkg_find(db, "fake", NULL));
	assert_null(dpkg_find(db, "libfo", NULL));
	assert_null(dpkg_find(db, "libfooo", NULL));
	assert_null(dpkg_find(db, "", NULL));
	assert_false(dpkg_installed(dpkg_find(db, "gone", NULL)));
	assert_int_equal(dpkg_find(db, "gone", NULL)->state, DPKG_CONFIG_FILES);
	assert_int_equal(dpkg_find(db, "dpkg", NULL)->want, DPKG_HOLD);
	assert_false(dpkg_installed(dpkg_find(db, "half", NULL)));
	assert_true(dpkg_find(db, "half", NULL)->reinst);
	assert_true(dpkg_installed(dpkg_find(db, "waits", NULL)));
	assert_true(dpkg_installed(dpkg_find(db, "last", NULL)));
	assert_ptr_equal(dpkg_provider(db, "foo-api"), p);
	assert_ptr_equal(dpkg_provider(db, "libfoo-abi"), p);
	assert_ptr_equal(dpkg_provider(db, "other"), p);
	assert_null(dpkg_provider(db, "foo"));
	assert_null(dpkg_provider(db, "2"));
	dpkg_free(db);
}

/* dpkg writes what it has not merged yet into updates/. */
static void
test_updates(void **state)
{
	char dir[] = "/tmp/dpkg-test-XXXXXX", path[128];
	struct dpkg *db;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/updates", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/status", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n", f);
	(void)fclose(f);
	db = dpkg_open(dir);
	assert_non_null(db);
	assert_ptr_equal(dpkg_open(dir), db);		/* kept */
	assert_string_equal(dpkg_find(db, "a", NULL)->version, "1");
	(void)snprintf(path, sizeof(path), "%s/updates/0001", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs("Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n", f);
	(void)fclose(f);
	db = dpkg_open(dir);
	assert_string_equal(dpkg_find(db, "a", NULL)->version, "2");
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/updates", dir);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/status", dir);
	(void)unlink(path);
	assert_null(dpkg_open(dir));
	(void)rmdir(dir);
}

static void
test_names(void **state)
{
	static const char *const good[] = { "g++", "libc6", "python3.11", "libfoo:i386", "lib*", "0ad" };
	static const char *const bad[] = { "", "-o=x", "a b", "a;b", "../x", "a/b", "a=b", "a\nb", "+x" };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(good); i++)
		assert_true(apt_name_valid(good[i], strlen(good[i])));
	for (i = 0; i < NITEMS(bad); i++)
		assert_false(apt_name_valid(bad[i], strlen(bad[i])));
}

/* ---- cron --------------------------------------------------------------- */

static void
assert_tab(struct arena *a, const struct value *lines, const char *want)
{
	size_t n;

	assert_string_equal(cron_text(a, lines, &n), want);
	assert_int_equal(n, strlen(want));
}

static void
test_cron(void **state)
{
	struct arena a = { 0 };
	struct value *l;
	static const char tab[] = "MAILTO=\"x\"\n# by hand\n1 * * * * hand\n#Ansible: one\n2 * * * * two\n";

	(void)state;
	l = cron_lines(&a, tab, strlen(tab));
	assert_false(cron_set_job(&a, &l, "one", "2 * * * * two"));
	assert_tab(&a, l, tab);
	assert_true(cron_set_job(&a, &l, "one", "3 * * * * two"));
	assert_tab(&a, l, "MAILTO=\"x\"\n# by hand\n1 * * * * hand\n#Ansible: one\n3 * * * * two\n");
	assert_true(cron_set_job(&a, &l, "on", "new"));
	assert_true(cron_set_job(&a, &l, "one", NULL));
	assert_false(cron_set_job(&a, &l, "one", NULL));
	assert_tab(&a, l, "MAILTO=\"x\"\n# by hand\n1 * * * * hand\n#Ansible: on\nnew\n");
	assert_int_equal(v_count(cron_names(&a, l, false)), 1);
	assert_true(cron_set_env(&a, &l, "SHELL", "/bin/sh", "MAILTO", NULL));
	assert_false(cron_set_env(&a, &l, "SHELL", "/bin/sh", NULL, NULL));
	assert_true(cron_set_env(&a, &l, "A", "1", NULL, NULL));
	assert_true(cron_set_env(&a, &l, "MAILTO", NULL, NULL, NULL));
	assert_tab(&a, l, "A=\"1\"\nSHELL=\"/bin/sh\"\n# by hand\n1 * * * * hand\n#Ansible: on\nnew\n");
	assert_int_equal(v_count(cron_names(&a, l, true)), 2);
	/* a mark without a job at the end, one twice, an empty table */
	l = cron_lines(&a, "#Ansible: x", 11);
	assert_true(cron_set_job(&a, &l, "x", "job"));
	assert_tab(&a, l, "#Ansible: x\njob\n");
	l = cron_lines(&a, "#Ansible: x\n1\n#Ansible: x\n2\n", 28);
	assert_true(cron_set_job(&a, &l, "x", "1"));
	assert_tab(&a, l, "#Ansible: x\n1\n");
	l = cron_lines(&a, "", 0);
	assert_true(cron_set_job(&a, &l, "x", "1"));
	/* what crontab(1) puts before is not ours */
	l = cron_lines(&a, "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n# b\n# c\nX=1\n", 69);
	assert_int_equal(v_count(l), 1);
	arena_release(&a);
}

/* ---- PostgreSQL --------------------------------------------------------- */

static void
test_passwords(void **state)
{
	struct arena a = { 0 };
	/* of RFC 7677's example: user, pencil */
	static const char rfc[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	const char *hash;

	(void)state;
	assert_true(pg_password_matches(rfc, "user", "pencil"));
	assert_false(pg_password_matches(rfc, "user", "pencils"));
	assert_false(pg_password_matches(rfc, "user", ""));
	hash = pg_password_hash(&a, "u", "sec'ret", true);
	assert_true(pg_password_matches(hash, "u", "sec'ret"));
	assert_false(pg_password_matches(hash, "u", "sec'ret "));
	assert_true(pg_password_is_hash(hash));
	hash = pg_password_hash(&a, "bob", "secret", false);
	assert_true(pg_password_matches(hash, "bob", "secret"));
	assert_false(pg_password_matches(hash, "ann", "secret"));
	assert_true(pg_password_matches(hash, "bob", hash));
	assert_false(pg_password_is_hash("md5"));
	/* a host's hash may be anything */
	assert_false(pg_password_matches("SCRAM-SHA-256$", "u", "p"));
	assert_false(pg_password_matches("SCRAM-SHA-256$99999999999999:AA==$AA==:AA==", "u", "p"));
	assert_false(pg_password_matches("SCRAM-SHA-256$-1:AA==$AA==:AA==", "u", "p"));
	assert_false(pg_password_matches("SCRAM-SHA-256$4096:!!$AA==:AA==", "u", "p"));
	assert_false(pg_password_matches("", "u", "p"));
	arena_release(&a);
}

static void
test_quoting(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_string_equal(pg_ident(&a, "a\"b"), "\"a\"\"b\"");
	assert_string_equal(pg_lit(&a, "it's \\ x"), "'it''s \\ x'");
	assert_string_equal(pg_ident_dotted(&a, "s.t"), "\"s\".\"t\"");
	assert_int_equal(v_count(pg_split(&a, " a, b ,,c ")), 3);
	assert_int_equal(v_count(pg_split(&a, NULL)), 0);
	arena_release(&a);
}

/* ---- pip, systemd ------------------------------------------------------- */

static void
test_pip(void **state)
{
	static const char *const order[] = { "1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0",
		"1.0.post1", "1.1", "1.10", "2.0" };
	struct arena a = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < NITEMS(order); i++)
		for (k = 0; k < NITEMS(order); k++) {
			int c = pip_version_compare(order[i], order[k]);

			if ((i < k && c >= 0) || (i > k && c <= 0) || (i == k && c != 0))
				fail_msg("%s against %s gives %d", order[i], order[k], c);
		}
	assert_int_equal(pip_version_compare("1.0", "1.0.0"), 0);
	assert_int_equal(pip_version_compare("1.0-1", "1.0.post1") < 0, 1);
	assert_true(pip_version_fits(&a, "4.2.1", ">=4,<5"));
	assert_false(pip_version_fits(&a, "5.0", ">=4, <5"));
	assert_true(pip_version_fits(&a, "1.4.9", "~=1.4.2"));
	assert_false(pip_version_fits(&a, "1.5", "~=1.4.2"));
	assert_true(pip_version_fits(&a, "1.4.9", "==1.4.*"));
	assert_false(pip_version_fits(&a, "1.4.9", "!=1.4.*"));
	assert_true(pip_version_fits(&a, "1", ""));
	assert_false(pip_version_fits(&a, "1", "nonsense"));
	arena_release(&a);
}

static void
test_systemd(void **state)
{
	static const char text[] = "Id=a.service\nX=\nExecStart={ a=b }\nnonsense\n=y\nBad=\xff\n";
	struct arena a = { 0 };
	const struct value *v = systemd_properties(&a, text, sizeof(text) - 1);

	(void)state;
	assert_int_equal(v_count(v), 4);
	assert_string_equal(v_get_str(v, "ExecStart", ""), "{ a=b }");
	assert_true(systemd_unit_valid("getty@tty1.service"));
	assert_true(systemd_unit_valid("dev-disk\\x2d.swap"));
	assert_false(systemd_unit_valid("-x"));
	assert_false(systemd_unit_valid("a*"));
	assert_false(systemd_unit_valid("a b"));
	assert_false(systemd_unit_valid(""));
	arena_release(&a);
}

/* Properties as systemd sends them. */
static void
test_bus(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct value *v;
	uint32_t n;
	size_t i, k;

	(void)state;
	/* a{sv}: Id = s "a.b", N = u 7, L = as ["x", "yz"], TimeoutUSec = t 90000000, S = (ss) */
	buf_add(&b, "\0\0\0\0\0\0\0\0", 8);
	buf_add(&b, "\2\0\0\0Id\0\1s\0\0\0\3\0\0\0a.b\0", 20);
	buf_add(&b, "\0\0\0\0", 4);
	buf_add(&b, "\1\0\0\0N\0\1u\0\0\0\0\7\0\0\0", 16);
	buf_add(&b, "\1\0\0\0L\0\2as\0\0\0\17\0\0\0\1\0\0\0x\0\0\0\2\0\0\0yz\0", 31);
	buf_add(&b, "\0", 1);
	buf_add(&b, "\13\0\0\0TimeoutUSec\0\1t\0\0\0\0\0", 23);
	while (b.len % 8 != 0)
		buf_addc(&b, 0);
	buf_add(&b, "\200J]\5\0\0\0\0", 8);
	buf_add(&b, "\1\0\0\0S\0\4(ss)\0", 12);
	while (b.len % 8 != 0)
		buf_addc(&b, 0);
	buf_add(&b, "\1\0\0\0p\0\0\0\1\0\0\0q\0", 14);
	n = (uint32_t)b.len - 8;
	memcpy(b.data, &n, 4);
	v = systemd_bus_properties(&a, b.data, b.len, 0);
	assert_non_null(v);
	assert_string_equal(v_get_str(v, "Id", ""), "a.b");
	assert_string_equal(v_get_str(v, "N", ""), "7");
	assert_string_equal(v_get_str(v, "L", ""), "x yz");
	assert_string_equal(v_get_str(v, "TimeoutUSec", ""), "1min 30s");
	assert_null(v_gets(v, "S"));
	/* cut off, or with any byte changed, it is refused or read, never more than that */
	for (i = 0; i < b.len; i++)
		(void)systemd_bus_properties(&a, b.data, i, 0);
	for (i = 0; i < b.len; i++)
		for (k = 0; k < 8; k++) {
			b.data[i] = (char)(b.data[i] ^ (1 << k));
			(void)systemd_bus_properties(&a, b.data, b.len, 0);
			b.data[i] = (char)(b.data[i] ^ (1 << k));
		}
	buf_release(&b);
	arena_release(&a);
}

/* ---- facts of a host that lies ------------------------------------------ */

static char root[] = "/tmp/facts-test-XXXXXX";

static void
put(const char *path, const char *text, size_t n)
{
	char full[512], *p;
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	(void)fclose(f);
}

static void
collect_all(struct facts *f)
{
	facts_platform(f);
	facts_distribution(f);
	facts_lsb(f);
	facts_python(f);
	facts_pkg_mgr(f);
	facts_service_mgr(f);
	facts_systemd(f);
	facts_selinux(f);
	facts_apparmor(f);
	facts_caps(f);
	facts_cmdline(f);
	facts_date_time(f);
	facts_dns(f);
	facts_env(f);
	facts_fips(f);
	facts_ssh_keys(f);
	facts_user(f);
	facts_loadavg(f);
	facts_chroot(f);
	facts_local(f);
	facts_hardware(f);
	facts_mounts(f);
	facts_devices(f);
	facts_network(f);
	facts_virtual(f);
	facts_storage_names(f);
}

static const char *const files[] = { "/proc/cpuinfo", "/proc/meminfo",
	"/proc/uptime", "/proc/loadavg", "/proc/cmdline", "/proc/self/status",
	"/proc/self/mounts", "/proc/self/mountinfo", "/proc/1/cgroup",
	"/proc/1/environ", "/proc/1/comm", "/proc/modules", "/etc/os-release",
	"/etc/debian_version", "/etc/lsb-release", "/etc/hosts",
	"/etc/resolv.conf", "/etc/machine-id", "/etc/ssh/ssh_host_rsa_key.pub",
	"/sys/block/sda/size", "/sys/block/sda/sda1/partition",
	"/sys/block/sda/sda1/size", "/sys/block/sda/queue/scheduler",
	"/sys/devices/virtual/dmi/id/chassis_type",
	"/sys/devices/virtual/dmi/id/product_name", "/run/systemd/container",
	"/proc/sys/kernel/cap_last_cap", "/etc/iscsi/initiatorname.iscsi",
	"/sys/fs/selinux/enforce", "/etc/selinux/config",
	"/sys/class/fc_host/h0/port_name", "/facts.d/x.fact" };

static void
all_with(const char *text, size_t n)
{
	struct arena a = { 0 };
	struct mod m = { .arena = &a };
	struct facts f = { .m = &m, .a = &a, .root = root, .fact_path = "/facts.d",
		.timeout_ms = 1000 };
	CLEANUP_BUF struct buf out = BUF_INIT;
	size_t i;

	for (i = 0; i < NITEMS(files); i++)
		put(files[i], text, n);
	f.map = v_map(&a);
	m.result = v_map(&a);
	collect_all(&f);
	/* everything must be text that can be sent */
	json_write(&out, f.map, 0);
	assert_true(out.len > 100);
	arena_release(&a);
}

static void
test_hostile_facts(void **state)
{
	static const char *const texts[] = { "", "\n", ":", "=", "\n\n:\n=\n \n",
		"99999999999999999999999999999999999999", "-1", "a", "\xff\xfe\x80",
		"MemTotal: 18446744073709551615 kB\nMemFree: -5 kB\n",
		"processor : 0\nphysical id : 99999999999\ncpu cores : 0\nsiblings : -7\nflags : a  b\n",
		"processor\t: 0\nmodel name\t: x\ncpu cores : 9223372036854775807\nphysical id : 1\nsiblings : 9223372036854775807\n",
		"/dev/sda\\ /mnt\\04 ext4 rw 0 0\n/dev/x \\040\\377\\777 nfs rw 999999999999999999999 x\n",
		"36 35 98:0 /mnt1 / rw - ext4\n36\n",
		"nameserver\nsearch\noptions a:b:c :\nnameserver 1 2 3\n",
		"127.0.0.1\n127.0.0.1 \n::1 a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k\n",
		"VERSION_ID=\"\nID='\nNAME=\nPRETTY_NAME=\"(\nID_LIKE=debian\n",
		"[section\n[a]\nno\n", "{\"a\": ", "quote \" open", "a='b c' d=e d=f g",
		"mq-deadline [none", "CapEff:\n\nCapEff: zzzz", "[a]\n continued\nx = 1\n two\n" };
	static char zeros[70000];
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(root));
	for (i = 0; i < NITEMS(texts); i++)
		all_with(texts[i], strlen(texts[i]));
	all_with(zeros, sizeof(zeros));
	memset(zeros, 'x', sizeof(zeros));
	all_with(zeros, sizeof(zeros));
	memset(zeros, ' ', sizeof(zeros));
	all_with(zeros, sizeof(zeros));
	assert_int_equal(system("rm -rf /tmp/facts-test-*"), 0);
}

static void
test_debian_facts(void **state)
{
	struct arena a = { 0 };
	struct mod m = { .arena = &a };
	struct facts f = { .m = &m, .a = &a, .root = root, .timeout_ms = 1000 };
	static const char release[] = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
	static const char cpu[] = "processor\t: 0\nvendor_id\t: I\nmodel name\t: M\nphysical id\t: 0\nsiblings\t: 4\ncpu cores\t: 2\nflags\t\t: fpu vme\n\n";
	static const char mounts[] = "/dev/sda1 /a\\040b ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n";

	(void)state;
	(void)strcpy(root + strlen(root) - 6, "XXXXXX");
	assert_non_null(mkdtemp(root));
	f.map = v_map(&a);
	put("/etc/os-release", release, sizeof(release) - 1);
	put("/etc/debian_version", "12.5\n", 5);
	put("/proc/cpuinfo", cpu, sizeof(cpu) - 1);
	put("/proc/self/mounts", mounts, sizeof(mounts) - 1);
	facts_distribution(&f);
	facts_hardware(&f);
	facts_mounts(&f);
	assert_string_equal(v_get_str(f.map, "ansible_distribution", ""), "Debian");
	assert_string_equal(v_get_str(f.map, "ansible_distribution_version", ""), "12.5");
	assert_string_equal(v_get_str(f.map, "ansible_distribution_major_version", ""), "12");
	assert_string_equal(v_get_str(f.map, "ansible_distribution_release", ""), "bookworm");
	assert_string_equal(v_get_str(f.map, "ansible_os_family", ""), "Debian");
	assert_int_equal(v_get_int(f.map, "ansible_processor_vcpus", 0), 4);
	assert_int_equal(v_get_int(f.map, "ansible_processor_cores", 0), 2);
	assert_int_equal(v_count(v_gets(f.map, "ansible_flags")), 2);
	assert_int_equal(v_count(v_gets(f.map, "ansible_mounts")), 1);
	assert_string_equal(v_get_str(v_at(v_gets(f.map, "ansible_mounts"), 0), "mount", ""), "/a b");
	arena_release(&a);
	assert_int_equal(system("rm -rf /tmp/facts-test-*"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions), cmocka_unit_test(test_status),
		cmocka_unit_test(test_updates), cmocka_unit_test(test_names),
		cmocka_unit_test(test_cron), cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_quoting), cmocka_unit_test(test_pip),
		cmocka_unit_test(test_systemd), cmocka_unit_test(test_bus),
		cmocka_unit_test(test_hostile_facts),
		cmocka_unit_test(test_debian_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
