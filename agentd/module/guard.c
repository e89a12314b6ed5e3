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
#include "module/guard.h"
#include "module/keep.h"
#include "module/proc.h"
#include "module/restore.h"
#include "module/systemd.h"

#define DIR_PREFIX	"guard-"
#define LOOK_EVERY_MS	100
#define LIST_MAX	((size_t)64 * 1024 * 1024)
#define COMMAND_MS	60000
#define SECONDS_MAX	86400
#define OLD_S		(7 * 86400)	/* guards of plays long gone are removed */
#define FD_LIMIT	1024

static bool
is_word(const char *s)
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
	if (!is_word(g->id) || !is_word(g->token) || seconds < 1 || seconds > SECONDS_MAX ||
	    (g->commands != NULL && !v_is_list(g->commands)))
		return NULL;
	g->seconds = (int)seconds;
	return g;
}

/* ---- files of a guard ----------------------------------------------------- */

static int
open_dir(int store, const char *id)
{
	char name[96];

	(void)snprintf(name, sizeof(name), DIR_PREFIX "%s", id);
	return openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Writes a file whole: it is there, or not. 0, or -1 with errno. */
static int
put_file(int dir, const char *name, const char *text, size_t n)
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

/* ---- putting back: what the watch does when nobody confirmed ------------------ */

struct report {
	struct value	*put_back, *trouble;
};

static void
note_trouble(struct mod *m, struct report *r, const char *what)
{
	v_push(m->arena, r->trouble, v_strf(m->arena, "%s: %s", what,
	    v_get_str(m->result, "msg", v_get_str(m->result, "refused", "failed"))));
	(void)v_dels(m->result, "msg");
	m->failed = false;
}

static void
command(struct mod *m, struct report *r, const char *const argv[],
    const char *input, bool must)
{
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	p.timeout_ms = COMMAND_MS;
	p.input = input;
	p.ninput = input != NULL ? strlen(input) : 0;
	if (proc_change(m, &p) == 0 && p.status == 0)
		return;
	if (!m->failed)
		(void)mod_fail(m, "%s", p.timed_out ? "timed out" : buf_str(&p.err));
	if (must)
		note_trouble(m, r, arena_printf(m->arena, "%s %s", argv[0],
		    argv[1] != NULL ? argv[1] : ""));
	m->failed = false;
}

/* The list, or an empty one. Its last line may be half written. */
static const struct value *
read_list(struct mod *m, int dir)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = openat(dir, "list", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct value *list = v_list(m->arena);
	struct err err = ERR_INIT;
	const char *p, *end;

	b.max = LIST_MAX;
	if (fd == -1 || buf_read_fd(&b, fd) == -1)
		return list;
	for (p = buf_str(&b); (end = strchr(p, '\n')) != NULL; p = end + 1) {
		const struct value *v = json_parse_text(m->arena, p,
		    (size_t)(end - p), &err);

		if (v != NULL && v_is_map(v))
			v_push(m->arena, list, v);
	}
	err_release(&err);
	return list;
}

/*
 * The first image of each path counts.  What was made goes, the innermost
 * first; then what was there comes back, the outermost first.
 */
static int
by_path(const void *a, const void *b)
{
	return strcmp(v_get_str(*(const struct value *const *)a, "path", ""),
	    v_get_str(*(const struct value *const *)b, "path", ""));
}

static void
put_back_files(struct mod *m, const struct value *list, struct report *r)
{
	const struct value **v = ARENA_ARRAY(m->arena, v_count(list) + 1,
	    const struct value *);
	struct value *seen = v_map(m->arena);
	uint32_t i, n = 0, pass;

	for (i = 0; i < v_count(list); i++) {
		const char *path = v_get_str(v_at(list, i), "path", NULL);

		if (path == NULL || v_gets(seen, path) != NULL)
			continue;
		v_set_bool(m->arena, seen, path, true);
		v[n++] = v_at(list, i);
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_path);
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < n; i++) {
			const struct value *e = v[pass == 0 ? n - 1 - i : i];
			const struct value *was = v_gets(e, "was");
			const char *path = v_get_str(e, "path", "");

			if ((strcmp(v_get_str(was, "type", ""), "absent") == 0) !=
			    (pass == 0))
				continue;
			m->changed = false;
			if (restore_path(m, path, was) != 0)
				note_trouble(m, r, path);
			else if (m->changed)
				v_push(m->arena, r->put_back, v_str(m->arena, path));
		}
}

/*
 * Firewalls are locked out of through the kernel, whatever stands in files.
 * nft knows the rules of iptables as well, but cannot always load what it lists
 * of them, and may not be there: then iptables' own programs do it.
 */
static const struct rules {
	const char	*file;		/* of the guard */
	const char	*list[5], *load[4];
	const char	*first;		/* before what was listed, … */
	const char	*none;		/* … or instead, when that has no rules */
} rules[] = {
	{ "rules", { "nft", "-s", "list", "ruleset" }, { "nft", "-f", "-" },
	    "flush ruleset\n", "" },
	{ "rules-ip", { "iptables-save" }, { "iptables-restore" }, "",
	    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n" },
	{ "rules-ip6", { "ip6tables-save" }, { "ip6tables-restore" }, "",
	    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n" },
};

enum rules_do { RULES_COMPARE, RULES_LOAD, RULES_LOAD_IF_ANY };

/* 1: put back (or different from what it was); 0: nothing to do; -1: cannot, and m says why. */
static int
load_rules(struct mod *m, int dir, const struct rules *k, enum rules_do what)
{
	CLEANUP_CLOSE int fd = openat(dir, k->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_PROC struct proc now = PROC_INIT, load = PROC_INIT;
	bool any;

	b.max = LIST_MAX;
	now.argv = k->list;
	load.argv = k->load;
	now.timeout_ms = load.timeout_ms = COMMAND_MS;
	if (fd == -1)
		return 0;
	if (buf_read_fd(&b, fd) == -1)
		return mod_fail_errno(m, "cannot read what was listed");
	if (proc_query(m, &now) == -1)
		return -1;
	any = strchr(buf_str(&b), '{') != NULL || strchr(b.data, '*') != NULL;
	if (strcmp(buf_str(&now.out), b.data) == 0 ||
	    (what == RULES_LOAD_IF_ANY && !any))
		return 0;
	if (what == RULES_COMPARE)
		return 1;
	load.input = arena_printf(m->arena, "%s%s", k->first,
	    any ? b.data : k->none);
	load.ninput = strlen(load.input);
	if (proc_change(m, &load) == -1)
		return -1;
	return load.status == 0 ? 1 : mod_fail(m, "%s", load.timed_out ?
	    "timed out" : buf_str(&load.err));
}

/*
 * nft first: it has them all, and loads all or nothing.  What it loads of
 * iptables' does what they did, but iptables does not know it again: it has the
 * last word on its own.
 */
static void
put_back_rules(struct mod *m, int dir, struct report *r)
{
	bool nft = faccessat(dir, rules[0].file, F_OK, 0) == 0;
	bool any = false;
	size_t i;
	int rc;

	if (nft && load_rules(m, dir, &rules[0], RULES_COMPARE) == 0)
		return;
	for (i = nft ? 0 : 1; i < NITEMS(rules); i++) {
		m->failed = false;
		rc = load_rules(m, dir, &rules[i], nft && i > 0 ?
		    RULES_LOAD_IF_ANY : RULES_LOAD);
		any = any || rc == 1;
		if (rc == -1 && (i == 0 || !nft))
			note_trouble(m, r, "the firewall's rules");
	}
	m->failed = false;
	if (any)
		v_push(m->arena, r->put_back, v_str(m->arena, "the firewall's rules"));
}

static void
systemctl(struct mod *m, struct report *r, const char *verb, const char *unit)
{
	const char *argv[] = { "systemctl", verb, "--", unit, NULL };
	bool must = strncmp(verb, "try-", 4) != 0;

	command(m, r, argv, NULL, must);
	if (must)
		v_push(m->arena, r->put_back, v_strf(m->arena, "%s (%s)", unit, verb));
}

static void
put_back_units(struct mod *m, const struct value *list, struct report *r)
{
	static const char *const reload[] = { "systemctl", "daemon-reload", NULL };
	static const struct {
		const char	*below, *unit;
	} known[] = {
		{ "/etc/ssh/", "ssh" },
		{ "/etc/systemd/network/", "systemd-networkd" },
	};
	struct value *undo = v_map(m->arena);
	const struct ventry *e;
	uint32_t i, it = 0;
	size_t k;

	for (i = 0; i < v_count(list); i++) {
		const struct value *v = v_at(list, i);
		const char *unit = v_get_str(v, "unit", NULL);
		const char *file = v_get_str(v, "unit_file", NULL);
		const char *path = v_get_str(v, "path", "");

		if (file != NULL && systemd_unit_valid(file))
			systemctl(m, r, v_get_str(v, "undo", "enable"), file);
		for (k = 0; unit == NULL && k < NITEMS(known); k++)
			if (strncmp(path, known[k].below, strlen(known[k].below)) == 0 &&
			    v_gets(undo, known[k].unit) == NULL)
				v_set_str(m->arena, undo, known[k].unit,
				    "try-reload-or-restart");
		if (unit == NULL || !systemd_unit_valid(unit))
			continue;
		/* How it was before the first of several. */
		if (v_gets(undo, unit) == NULL || strncmp(v_get_str(undo, unit, ""),
		    "try-", 4) == 0)
			v_set_str(m->arena, undo, unit, v_get_str(v, "undo", "restart"));
		else if (strcmp(v_get_str(undo, unit, ""), "reload-or-restart") == 0)
			v_set_str(m->arena, undo, unit, "restart");
	}
	if (v_count(undo) == 0)
		return;
	command(m, r, reload, NULL, false);
	while ((e = v_next(undo, &it)) != NULL)
		systemctl(m, r, e->val->u.s, e->key->u.s);
}

static void
run_commands(struct mod *m, const struct value *commands, struct report *r)
{
	uint32_t i, j;

	for (i = 0; commands != NULL && i < v_count(commands); i++) {
		const struct value *words = v_at(commands, i);
		const char **argv = ARENA_ARRAY(m->arena, v_count(words) + 1,
		    const char *);

		for (j = 0; j < v_count(words); j++)
			argv[j] = v_is_str(v_at(words, j)) ? v_at(words, j)->u.s : "";
		if (j > 0)
			command(m, r, argv, NULL, true);
	}
}

static void
put_back(const struct guard *g, int store)
{
	static const struct module watch = { .name = "provctl_guard" };
	struct arena arena = { 0 };
	struct keep keep = KEEP_INIT;
	struct mod m = { .arena = &arena, .module = &watch, .keep = &keep,
		.args = v_map(&arena), .result = v_map(&arena) };
	struct report r = { v_list(&arena), v_list(&arena) };
	struct value *report = v_map(&arena);
	const struct value *list = read_list(&m, g->dir);
	CLEANUP_BUF struct buf text = BUF_INIT;
	size_t i;

	keep.store = store;
	keep.bytes = 0;		/* images of what we take away now are not wanted */
	put_back_files(&m, list, &r);
	put_back_units(&m, list, &r);
	/* Behind them: stopping nftables.service takes away everybody's rules. */
	put_back_rules(&m, g->dir, &r);
	run_commands(&m, g->commands, &r);
	v_sets(&arena, report, "put_back", r.put_back);
	v_sets(&arena, report, "trouble", r.trouble);
	json_write(&text, report, JSON_COMPACT);
	(void)put_file(g->dir, arena_printf(&arena, "report-%s", g->token),
	    text.data, text.len);
	/* The next task begins a list of its own. */
	(void)unlinkat(g->dir, "list", 0);
	for (i = 0; i < NITEMS(rules); i++)
		(void)unlinkat(g->dir, rules[i].file, 0);
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
	char armed[64], taken[64], c;
	int64_t end;
	ssize_t n;

	break_away(g->dir, store, task);
	(void)snprintf(armed, sizeof(armed), "armed-%s", g->token);
	(void)snprintf(taken, sizeof(taken), "restoring-%s", g->token);
	while ((n = read(task, &c, 1)) == -1 && errno == EINTR)
		;
	if (n == 1) {		/* nothing was changed after all */
		(void)unlinkat(g->dir, armed, 0);
		_exit(0);
	}
	for (end = boot_ms() + (int64_t)g->seconds * 1000; boot_ms() < end;
	    (void)nanosleep(&pause, NULL))
		if (faccessat(g->dir, armed, F_OK, 0) == -1 && errno == ENOENT)
			_exit(0);
	if (renameat(g->dir, armed, g->dir, taken) == 0) {
		(void)signal(SIGPIPE, SIG_DFL);		/* for the commands */
		put_back(g, store);
		(void)unlinkat(g->dir, taken, 0);
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
		if (strncmp(de->d_name, DIR_PREFIX, strlen(DIR_PREFIX)) != 0 ||
		    fstatat(m->keep->store, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    now - st.st_mtime < OLD_S)
			continue;
		(void)remove_flat(m->keep->store, de->d_name);
	}
}

/* The rules in force now, once a guard: as soon as there is a program that tells them. */
static void
keep_rules(struct mod *m, struct guard *g)
{
	size_t i;

	for (i = 0; i < NITEMS(rules) && geteuid() == 0; i++) {
		CLEANUP_PROC struct proc p = PROC_INIT;

		if (faccessat(g->dir, rules[i].file, F_OK, 0) == 0 ||
		    proc_find(m, rules[i].list[0]) == NULL)
			continue;
		p.argv = rules[i].list;
		p.timeout_ms = COMMAND_MS;
		if (proc_query(NULL, &p) == 0 && p.status == 0 && !p.truncated)
			(void)put_file(g->dir, rules[i].file, buf_str(&p.out), p.out.len);
	}
}

static int
prepare(struct mod *m, struct guard *g)
{
	char name[96];

	if (keep_store(m) == -1)
		return mod_fail(m, "%s", m->keep->why);
	(void)snprintf(name, sizeof(name), DIR_PREFIX "%s", g->id);
	if (mkdirat(m->keep->store, name, 0700) == 0)
		remove_old(m);
	else if (errno != EEXIST)
		return mod_fail_errno(m, "cannot make %s", name);
	if ((g->dir = open_dir(m->keep->store, g->id)) == -1 ||
	    (g->list = openat(g->dir, "list", O_WRONLY | O_CREAT | O_APPEND |
	    O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		return mod_fail_errno(m, "cannot write the list");
	(void)snprintf(name, sizeof(name), "armed-%s", g->token);
	keep_rules(m, g);
	if (put_file(g->dir, name, "", 0) == -1 ||
	    start_watch(g, m->keep->store) == -1)
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

	b.max = LIST_MAX;
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

	if (m->keep == NULL || !is_word(id) || !is_word(token))
		return mod_fail(m, "malformed request");
	if (keep_store(m) == -1)
		return mod_fail(m, "%s", m->keep->why);
	if ((dir = open_dir(m->keep->store, id)) == -1 && errno == ENOENT &&
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
