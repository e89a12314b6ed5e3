/* See guard.h. */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "module/fs.h"
#include "module/guard_private.h"

#define LOOK_EVERY_MS	100
#define SECONDS_MAX	86400
#define OLD_S		(7 * 86400)	/* guards of plays long gone are removed */
#define FD_LIMIT	1024

bool
guard_is_word(const char *s)
{
	size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz-");

	return n > 0 && n <= 64 && s[n] == '\0';
}

struct guard *
guard_new(struct arena *arena, const struct value *v)
{
	struct guard *g = ARENA_NEW(arena, struct guard);
	int64_t seconds = v_get_int(v, "seconds", 0);

	g->id = v_get_str(v, "id", "");
	g->token = v_get_str(v, "token", "");
	g->commands = v_gets(v, "commands");
	g->dir = g->list = g->alive = -1;
	if (!guard_is_word(g->id) || !guard_is_word(g->token) || seconds < 1 || seconds > SECONDS_MAX ||
	    (g->commands != NULL && !v_is_list(g->commands)))
		return NULL;
	g->seconds = (int)seconds;
	return g;
}

/* ---- files of a guard ----------------------------------------------------- */

int
guard_dir(int store, const char *id)
{
	char name[96];

	(void)snprintf(name, sizeof(name), GUARD_PREFIX "%s", id);
	return openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int
guard_put_file(int dir, const char *name, const char *text, size_t n)
{
	CLEANUP_CLOSE int fd = -1;
	char temp[32];

	fd = fs_temp_at(dir, temp, sizeof(temp));
	if (fd == -1)
		return -1;
	if (write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 &&
	    renameat(dir, temp, dir, name) == 0)
		return 0;
	(void)unlinkat(dir, temp, 0);
	return -1;
}

static int
add_line(struct guard *g, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	json_write(&b, v, JSON_COMPACT);
	buf_addc(&b, '\n');
	return write(g->list, b.data, b.len) == (ssize_t)b.len &&
	    fdatasync(g->list) == 0 ? 0 : -1;
}

int
guard_file(struct mod *m, const struct value *entry)
{
	struct guard *g = m->keep->guard;
	const struct value *was = v_gets(entry, "was");
	const char *why = v_get_str(was, "why", v_get_str(was, "xattrs_why", NULL));
	const char *path = v_get_str(entry, "path", "?");

	if (g->list == -1)
		return mod_fail(m, "%s would be changed before it is guarded", path);
	if (why != NULL)
		return mod_fail(m, "%s is left alone: the host could not put it back if we were locked out (provctl_confirm_connection), since it cannot be kept: %s",
		    path, why);
	if (add_line(g, entry) == -1)
		return mod_fail_errno(m, "%s is left alone: cannot write down what to put back if we were locked out",
		    path);
	return 0;
}

void
guard_unit(struct mod *m, const char *verb, const char *unit)
{
	struct guard *g = m->keep == NULL ? NULL : m->keep->guard;
	static const char *const pairs[][2] = {
		{ "start", "stop" }, { "stop", "start" }, { "restart", "restart" },
		{ "reload", "reload-or-restart" }, { "enable", "disable" },
		{ "disable", "enable" }, { "mask", "unmask" }, { "unmask", "mask" },
	};
	struct value *v;
	size_t i;

	if (g == NULL || g->list == -1)
		return;
	for (i = 0; i < NITEMS(pairs); i++) {
		if (strcmp(verb, pairs[i][0]) != 0)
			continue;
		v = v_map(m->arena);
		v_set_str(m->arena, v, i < 4 ? "unit" : "unit_file", unit);
		v_set_str(m->arena, v, "undo", pairs[i][1]);
		(void)add_line(g, v);
	}
}

/* ---- the watch -------------------------------------------------------------------- */

/* Also runs on while the host sleeps. */
static int64_t
boot_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
write_text(const char *path, const char *text)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd != -1 && write(fd, text, strlen(text)) == -1)
		return;		/* it is a help, no need */
}

/* Out of the reach of what ends logins: their signals, session and control group. */
static void
break_away(int keep1, int keep2, int keep3)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGQUIT,
		SIGUSR1, SIGUSR2, SIGALRM };
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char pid[16];
	size_t i;

	for (i = 0; i < NITEMS(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	for (fd = 0; fd < 3 && null != -1; fd++)
		(void)dup2(null, fd);
	for (fd = 3; fd < FD_LIMIT; fd++)
		if (fd != keep1 && fd != keep2 && fd != keep3)
			(void)close(fd);
	if (chdir("/") == -1)
		return;		/* there is always a / */
	(void)umask(077);
	(void)prctl(PR_SET_NAME, "provctl-guard", 0, 0, 0);
	if (geteuid() != 0)
		return;
	(void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	write_text("/sys/fs/cgroup/cgroup.procs", pid);
	write_text("/sys/fs/cgroup/systemd/cgroup.procs", pid);
	write_text("/proc/self/oom_score_adj", "-900\n");
}

static void watch(struct guard *, int store, int task) ATTR_NORETURN;

static void
watch(struct guard *g, int store, int task)
{
	static const struct timespec pause = { 0, LOOK_EVERY_MS * 1000000L };
	struct undo undo;
	char armed[96], taken[96], c;
	int64_t end;
	ssize_t n;

	break_away(g->dir, store, task);
	(void)snprintf(armed, sizeof(armed), "armed-%s", g->token);
	(void)snprintf(taken, sizeof(taken), "restoring-%s", g->token);
	while ((n = read(task, &c, 1)) == -1 && errno == EINTR)
		;
	if (n == 1) {		/* nothing was changed after all */
		(void)unlinkat(g->dir, armed, 0);
		boot_disarm(g->dir, g->id, g->token);
		_exit(0);
	}
	for (end = boot_ms() + (int64_t)g->seconds * 1000; boot_ms() < end;
	    (void)nanosleep(&pause, NULL))
		if (faccessat(g->dir, armed, F_OK, 0) == -1 && errno == ENOENT)
			_exit(0);
	if (renameat(g->dir, armed, g->dir, taken) == 0) {
		(void)signal(SIGPIPE, SIG_DFL);		/* for the commands */
		undo_open(&undo, store, g->dir);
		undo_files(&undo);
		undo_units(&undo);
		/* Behind them: stopping nftables.service takes away everybody's rules. */
		undo_rules(&undo);
		undo_commands(&undo, g->commands);
		undo_close(&undo, g->token);
		(void)unlinkat(g->dir, taken, 0);
		boot_disarm(g->dir, g->id, g->token);
	}
	_exit(0);
}

/* Twice forked: it is nobody's child. 0, or -1 with errno. */
static int
start_watch(struct guard *g, int store)
{
	int pipes[2], status = -1;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) == -1)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)setsid();
		pid = fork();
		if (pid == 0) {
			(void)close(pipes[1]);
			watch(g, store, pipes[0]);
		}
		_exit(pid == -1);
	}
	(void)close(pipes[0]);
	while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (pid == -1 || status != 0) {
		(void)close(pipes[1]);
		return -1;
	}
	g->alive = pipes[1];
	return 0;
}

/* ---- arming ----------------------------------------------------------------------- */

/* A directory and the files in it. */
static int
remove_flat(int parent, const char *name)
{
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	const struct dirent *de;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1 || (dir = fdopendir(fd)) == NULL)
		return -1;
	while ((de = readdir(dir)) != NULL)
		if (de->d_name[0] != '.')
			(void)unlinkat(fd, de->d_name, 0);
	return unlinkat(parent, name, AT_REMOVEDIR);
}

/* Guards of plays that are long over. */
static void
remove_old(struct mod *m)
{
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	const struct dirent *de;
	struct stat st;
	time_t now = time(NULL);
	int fd = openat(m->keep->store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || (dir = fdopendir(fd)) == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		if (strncmp(de->d_name, GUARD_PREFIX, strlen(GUARD_PREFIX)) != 0 ||
		    fstatat(m->keep->store, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    now - st.st_mtime < OLD_S)
			continue;
		(void)remove_flat(m->keep->store, de->d_name);
	}
}

static int
prepare(struct mod *m, struct guard *g)
{
	char name[96];

	if (keep_store(m) == -1)
		return mod_fail(m, "%s", m->keep->why);
	(void)snprintf(name, sizeof(name), GUARD_PREFIX "%s", g->id);
	if (mkdirat(m->keep->store, name, 0700) == 0)
		remove_old(m);
	else if (errno != EEXIST)
		return mod_fail_errno(m, "cannot make %s", name);
	if ((g->dir = guard_dir(m->keep->store, g->id)) == -1 ||
	    (g->list = openat(g->dir, "list", O_WRONLY | O_CREAT | O_APPEND |
	    O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		return mod_fail_errno(m, "cannot write the list");
	undo_note_rules(m, g->dir);
	if (boot_arm(m, g->dir, g) == -1 || start_watch(g, m->keep->store) == -1)
		return mod_fail_errno(m, "cannot start the watch");
	return 0;
}

bool
guard_arm(struct mod *m)
{
	static const char *const accounts[] = { "/etc/passwd", "/etc/shadow",
		"/etc/group", "/etc/gshadow" };
	struct guard *g = m->keep == NULL ? NULL : m->keep->guard;
	size_t i;

	if (g == NULL || g->alive != -1)
		return true;
	if (g->refused)
		return false;
	g->refused = true;
	if (m->keep->bytes == 0)
		(void)mod_fail(m, "nothing is kept (provctl_keep_bytes: 0)");
	if (m->failed || prepare(m, g) == -1) {
		(void)mod_fail(m, "nothing was changed: the host could not make ready to put it back if we were locked out (provctl_confirm_connection): %s",
		    v_get_str(m->result, "msg", "?"));
		return false;
	}
	g->refused = false;
	/* What programs of the system change for these two. */
	if (strcmp(m->module->name, "user") == 0 || strcmp(m->module->name, "group") == 0)
		for (i = 0; i < NITEMS(accounts); i++)
			if (keep_path(m, accounts[i]) == -1) {
				g->refused = true;
				return false;
			}
	return true;
}

void
guard_done(struct mod *m)
{
	struct guard *g = m->keep == NULL ? NULL : m->keep->guard;

	if (g == NULL)
		return;
	if (g->refused) {
		m->changed = false;
		(void)mod_fail(m, "%s", v_get_str(m->result, "msg", "?"));
		mod_set_bool(m, "changed", false);
		mod_set_bool(m, "failed", true);
	}
	if (g->alive != -1) {
		if (m->changed || m->failed || write(g->alive, "n", 1) != 1)
			mod_set_bool(m, GUARD_RESULT, true);
		(void)close(g->alive);
	}
	if (g->list != -1)
		(void)close(g->list);
	if (g->dir != -1)
		(void)close(g->dir);
	g->alive = g->list = g->dir = -1;
}

/* ---- provctl_guard: what the controller says over a new connection ------------------- */

/* put_back and trouble; or waits: true; or neither: nothing was armed. */
static int
report(struct mod *m, int dir, const char *token)
{
	static const char *const states[] = { "armed", "restoring" };
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	char name[96];
	size_t i;
	struct err err = ERR_INIT;
	const struct value *v = NULL;

	b.max = GUARD_LIST_MAX;
	for (i = 0; i < NITEMS(states); i++) {
		(void)snprintf(name, sizeof(name), "%s-%s", states[i], token);
		if (faccessat(dir, name, F_OK, 0) == 0) {
			mod_set_bool(m, "waits", true);
			return 0;
		}
	}
	(void)snprintf(name, sizeof(name), "report-%s", token);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return 0;
	if (buf_read_fd(&b, fd) == 0)
		v = json_parse_text(m->arena, b.data, b.len, &err);
	err_release(&err);
	if (v == NULL || !v_is_map(v))
		return mod_fail(m, "the report of what was put back is damaged");
	v_merge(m->arena, m->result, v);
	return 0;
}

static int
guard_run(struct mod *m)
{
	CLEANUP_CLOSE int dir = -1;
	const char *id = mod_arg_str(m, "id"), *token = mod_arg_str(m, "token");
	char armed[96], taken[96];

	if (m->keep == NULL || !guard_is_word(id) || !guard_is_word(token))
		return mod_fail(m, "malformed request");
	if (keep_store(m) == -1)
		return mod_fail(m, "%s", m->keep->why);
	if ((dir = guard_dir(m->keep->store, id)) == -1 && errno == ENOENT &&
	    mod_arg_is(m, "do", "report"))
		return 0;
	if (dir == -1)
		return mod_fail_errno(m, "there is no guard %s", id);
	if (mod_arg_is(m, "do", "report"))
		return report(m, dir, token);
	(void)snprintf(armed, sizeof(armed), "armed-%s", token);
	(void)snprintf(taken, sizeof(taken), "confirmed-%s", token);
	if (renameat(dir, armed, dir, taken) == -1)
		return mod_fail(m, "too late: the host is putting it back, or has done so");
	boot_disarm(dir, id, token);
	(void)unlinkat(dir, taken, 0);
	return 0;
}

static const struct mod_arg guard_args[] = {
	{ .name = "id", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The guard." },
	{ .name = "token", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The task." },
	{ .name = "do", .type = ARG_STR, .def = "confirm", .choices = "confirm,report",
	    .doc = "Confirms a task's changes, or tells what was put back." },
	{ .name = NULL }
};

const struct module provctl_guard_module = {
	.name = "provctl_guard", .collection = "provctl.internal",
	.summary = "Confirms changes that might have locked us out.",
	.args = guard_args, .run = guard_run,
};
