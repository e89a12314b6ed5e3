/*
 * A guard outlives a reboot: what was armed and never confirmed is put back
 * before anything that reads it has started.
 *
 * While a task of root's is armed there is a unit for it on the host, wanted
 * by sysinit.target; nothing tells systemd before the next boot.  It starts
 * the executor, of which the guard has a link (a new version may replace it):
 *
 *	local-fs.target ─ provctl-guard-ID-TOKEN ─ sysinit, network, firewall, …
 *	                   │ files, what is enabled      │ with the files as they were
 *	                   └─ ready ─────────────────────┴─ booted ─ units that ran, commands, report
 *
 * The kernel's rules and the state of units are not put back: they are what a
 * boot makes of the files, as if there had been no change.  Confirming, or
 * putting back without a reboot, removes the unit and the link.
 */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "module/fs.h"
#include "module/guard_private.h"
#include "module/proc.h"

#define UNITS		"/etc/systemd/system"
#define WANTS		"sysinit.target.wants"
#define BOOT_MS		180000		/* for the boot to end */
#define BOOT_ID		"/proc/sys/kernel/random/boot_id"

static void
unit_name(char name[256], const char *id, const char *token)
{
	(void)snprintf(name, 256, "provctl-guard-%s-%s.service", id, token);
}

static const char *
boot_id(struct arena *a)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (buf_read_file(&b, BOOT_ID) == -1)
		return "?";
	return arena_strndup(a, buf_str(&b), strcspn(buf_str(&b), "\n"));
}

/* ---- arming ------------------------------------------------------------------ */

/* The executor under a name of the guard's own: a link, or a copy when it runs from elsewhere. 0, or -1 with errno. */
static int
keep_executor(int dir, const char *name)
{
	CLEANUP_CLOSE int from = -1, to = -1;
	char temp[32], chunk[16384];
	ssize_t n;

	(void)unlinkat(dir, name, 0);
	if (linkat(AT_FDCWD, "/proc/self/exe", dir, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if ((from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) == -1 ||
	    (to = fs_temp_at(dir, temp, sizeof(temp))) == -1)
		return -1;
	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (write(to, chunk, (size_t)n) != n) {
			n = -1;
			break;
		}
	if (n == 0 && fchmod(to, 0700) == 0 && fsync(to) == 0 &&
	    renameat(dir, temp, dir, name) == 0)
		return 0;
	(void)unlinkat(dir, temp, 0);
	return -1;
}

static int
put_unit(int units, const char *name, const char *store, const struct guard *g)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int wants = -1;
	char target[300];

	buf_addf(&b, "# Only while a change waits to be confirmed (provctl_confirm_connection).\n"
	    "[Unit]\nDescription=Puts back what nobody had confirmed before the reboot\n"
	    "DefaultDependencies=no\nAfter=local-fs.target\nConflicts=shutdown.target\n"
	    "Before=sysinit.target network-pre.target network.target systemd-sysctl.service "
	    "systemd-networkd.service networking.service nftables.service ufw.service "
	    "netfilter-persistent.service shutdown.target\n"
	    "[Service]\nType=notify\nTimeoutStartSec=120\nUMask=0077\n"
	    "ExecStart=%s/" GUARD_PREFIX "%s/boot-%s --guard %s %s %s\n",
	    store, g->id, g->token, store, g->id, g->token);
	if (guard_put_file(units, name, b.data, b.len) == -1 ||
	    fchmodat(units, name, 0644, 0) == -1 ||
	    (mkdirat(units, WANTS, 0755) == -1 && errno != EEXIST) ||
	    (wants = openat(units, WANTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	(void)snprintf(target, sizeof(target), "../%s", name);
	if (symlinkat(target, wants, name) == -1 && errno != EEXIST)
		return -1;
	return fsync(wants) == 0 && fsync(units) == 0 ? 0 : -1;
}

int
boot_arm(struct mod *m, int dir, const struct guard *g)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int units = -1;
	struct value *record = v_map(m->arena);
	char unit[256], name[96], store[PATH_MAX];
	const char *why = NULL;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", m->keep->store);
	n = readlink(name, store, sizeof(store) - 1);
	store[n < 0 ? 0 : n] = '\0';
	unit_name(unit, g->id, g->token);
	if (geteuid() == 0 && m->keep->dir == NULL) {
		(void)snprintf(name, sizeof(name), "boot-%s", g->token);
		if (access("/run/systemd/system", F_OK) == -1)
			why = "it does not run systemd";
		else if (keep_executor(dir, name) == -1 || faccessat(dir, name, X_OK, 0) == -1 ||
		    (units = open(UNITS, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
		    put_unit(units, unit, store, g) == -1)
			why = strerror(errno);
		if (why != NULL) {
			boot_disarm(dir, g->id, g->token);
			mod_warn(m, "what this task changes is not put back if the host is rebooted before it is confirmed (provctl_confirm_connection): %s",
			    why);
		}
	}
	v_set_str(m->arena, record, "boot", boot_id(m->arena));
	if (g->commands != NULL)
		v_sets(m->arena, record, "commands", g->commands);
	json_write(&b, record, JSON_COMPACT);
	(void)snprintf(name, sizeof(name), "armed-%s", g->token);
	return guard_put_file(dir, name, b.data, b.len) == 0 && fsync(dir) == 0 &&
	    fsync(m->keep->store) == 0 ? 0 : -1;
}

void
boot_disarm(int dir, const char *id, const char *token)
{
	CLEANUP_CLOSE int units = -1, wants = -1;
	char unit[256], name[96];

	(void)snprintf(name, sizeof(name), "boot-%s", token);
	if (geteuid() != 0 || (unlinkat(dir, name, 0) == -1 && errno == ENOENT) ||
	    (units = open(UNITS, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return;
	unit_name(unit, id, token);
	if ((wants = openat(units, WANTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1)
		(void)unlinkat(wants, unit, 0);
	(void)unlinkat(units, WANTS, AT_REMOVEDIR);	/* when nothing else is in it */
	(void)unlinkat(units, unit, 0);
}

/* ---- after a reboot ----------------------------------------------------------- */

/* What stands in armed-TOKEN, or in restoring-TOKEN when that was cut short; NULL: nothing is owed. */
static const struct value *
record_of(struct arena *a, int dir, const char *armed, const char *taken)
{
	CLEANUP_CLOSE int fd = openat(dir, armed, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	const struct value *v;

	b.max = GUARD_LIST_MAX;
	if (fd == -1)
		fd = openat(dir, taken, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	v = buf_read_fd(&b, fd) == 0 ? json_parse_text(a, buf_str(&b), b.len, &err) : NULL;
	return v != NULL && v_is_map(v) ? v : v_map(a);
}

/* systemd may go on with the boot. */
static void
tell_ready(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n = path == NULL ? 0 : strlen(path);

	if (n == 0 || n >= sizeof(to.sun_path) || fd == -1)
		return;
	memcpy(to.sun_path, path, n);
	if (*path == '@')
		to.sun_path[0] = '\0';
	(void)sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

static void
wait_for_boot(struct mod *m)
{
	static const char *const argv[] = { "systemctl", "is-system-running", "--wait", NULL };
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	p.timeout_ms = BOOT_MS;
	(void)proc_query(m, &p);
	m->failed = false;
}

/* Units and commands wait until the boot is over, which waits for the files. */
static void
put_back(int store, int dir, const char *token, const char *taken,
    const struct value *record)
{
	struct undo u;

	undo_open(&u, store, dir);
	undo_files(&u);
	undo_enabled(&u);
	tell_ready();
	wait_for_boot(&u.m);
	undo_started(&u);
	undo_commands(&u, v_gets(record, "commands"));
	undo_close(&u, token);
	(void)unlinkat(dir, taken, 0);
}

int
guard_boot(const char *path, const char *id, const char *token)
{
	CLEANUP_CLOSE int store = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_CLOSE int dir = -1;
	char armed[96], taken[96];
	const struct value *record;
	struct arena arena = { 0 };

	if (store == -1 || !guard_is_word(id) || !guard_is_word(token) ||
	    (dir = guard_dir(store, id)) == -1 || flock(dir, LOCK_EX) == -1)
		return 1;
	(void)umask(077);
	(void)snprintf(armed, sizeof(armed), "armed-%s", token);
	(void)snprintf(taken, sizeof(taken), "restoring-%s", token);
	record = record_of(&arena, dir, armed, taken);
	if (record != NULL && strcmp(v_get_str(record, "boot", ""), boot_id(&arena)) == 0) {
		/* Somebody made systemd read its units anew: the watch is still there. */
		tell_ready();
	} else {
		if (record != NULL && (renameat(dir, armed, dir, taken) == 0 || errno == ENOENT))
			put_back(store, dir, token, taken, record);
		tell_ready();
		boot_disarm(dir, id, token);
	}
	arena_release(&arena);
	return 0;
}
