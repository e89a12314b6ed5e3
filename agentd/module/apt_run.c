/*
 * Running apt-get: its environment, its locks, its lists.
 *
 * Locks of apt and dpkg are POSIX record locks, so the kernel tells who holds
 * one (F_GETLK).  We wait before starting apt-get and say for whom: apt-get
 * itself gives up at once on the lists' lock, and its own patience is silent.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "module/apt.h"
#include "module/fs.h"

#define STEP_MS		250

static const char *const apt_env[] = {
	"DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical",
	"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "LC_MESSAGES=C.UTF-8",
	"LC_CTYPE=C.UTF-8", "APT_LISTCHANGES_FRONTEND=none",
	"NEEDRESTART_SUSPEND=1", NULL
};

void
apt_add(struct apt_cmd *c, const char *word)
{
	if (c->n + 1 >= c->cap) {
		size_t cap = c->cap == 0 ? 32 : c->cap * 2;

		c->v = arena_grow(c->a, c->v, c->cap * sizeof(*c->v),
		    cap * sizeof(*c->v));
		c->cap = cap;
	}
	c->v[c->n++] = word;
	c->v[c->n] = NULL;
}

void
apt_begin(struct mod *m, struct apt_cmd *c, const char *program)
{
	memset(c, 0, sizeof(*c));
	c->a = m->arena;
	apt_add(c, program);
	if (strcmp(program, "apt-get") == 0) {
		apt_add(c, "-q");
		apt_add(c, "-y");
		apt_add(c, "-o");
		apt_add(c, "Dpkg::Use-Pty=0");
	}
}

bool
apt_name_valid(const char *s, size_t n)
{
	size_t i;

	if (n == 0 || n > 300 || !(isalnum((unsigned char)*s) || *s == '*' ||
	    *s == '?' || *s == '['))
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("+-.:*?[]!_~^", s[i]) == NULL)
			return false;
	return true;
}

/* ---- locks -------------------------------------------------------------- */

static const char *const install_locks[] = { "/var/lib/dpkg/lock-frontend",
	"/var/lib/dpkg/lock", "/var/cache/apt/archives/lock", NULL };
static const char *const update_locks[] = { "/var/lib/apt/lists/lock", NULL };

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Who holds the lock: a pid, 0 nobody, -1 somebody we cannot see. */
static pid_t
holder(const char *path)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1 || fcntl(fd, F_GETLK, &fl) == -1 || fl.l_type == F_UNLCK)
		return 0;
	return fl.l_pid > 0 ? fl.l_pid : -1;
}

/* "process 123 (apt-get upgrade)" */
static const char *
describe(struct mod *m, pid_t pid)
{
	CLEANUP_BUF struct buf b = BUF_INIT, clean = BUF_INIT;
	size_t i;

	if (pid <= 0)
		return "a process outside this container";
	b.max = 4096;
	(void)buf_read_file(&b, arena_printf(m->arena, "/proc/%d/cmdline", (int)pid));
	for (i = 0; i < b.len; i++)
		if ((unsigned char)b.data[i] < ' ')
			b.data[i] = ' ';
	while (b.len > 0 && b.data[b.len - 1] == ' ')
		b.len--;
	if (b.len > 200)
		b.len = 200;
	utf8_clean(&clean, b.data, b.len);
	if (clean.len == 0)
		return arena_printf(m->arena, "process %d", (int)pid);
	return arena_printf(m->arena, "process %d (%s)", (int)pid, buf_str(&clean));
}

/* 0 when free; -1 after mod_fail. */
static int
wait_locks(struct mod *m, const char *const *locks, int64_t deadline,
    int64_t timeout_s)
{
	pid_t pid, told = 0;
	size_t i;

	for (;;) {
		pid = 0;
		for (i = 0; locks[i] != NULL && pid == 0; i++)
			pid = holder(locks[i]);
		if (pid == 0)
			return 0;
		i--;
		if (now_ms() >= deadline)
			return mod_fail(m, "apt is locked (%s) by %s; waited %lld seconds for it (lock_timeout)",
			    locks[i], describe(m, pid), (long long)timeout_s);
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled while waiting for %s, held by %s",
			    locks[i], describe(m, pid));
		if (pid != told) {
			told = pid;
			mod_progress(m, "waiting for %s, held by %s", locks[i],
			    describe(m, pid));
		}
		(void)poll(NULL, 0, STEP_MS);
	}
}

static bool
was_locked_out(struct proc *p)
{
	const char *err = buf_str(&p->err);

	return p->status != 0 && (strstr(err, "Could not get lock") != NULL ||
	    strstr(err, "Unable to acquire the dpkg frontend lock") != NULL ||
	    strstr(err, "Unable to lock") != NULL ||
	    strstr(err, "dpkg frontend lock was locked") != NULL);
}

static bool
is_update(const struct apt_cmd *c)
{
	return c->n > 1 && strcmp(c->v[c->n - 1], "update") == 0;
}

int
apt_run(struct mod *m, struct apt_cmd *c, struct proc *p,
    int64_t lock_timeout_s, bool query)
{
	const char *const *locks = is_update(c) ? update_locks : install_locks;
	int64_t deadline = now_ms() + lock_timeout_s * 1000;

	p->argv = c->v;
	p->env = apt_env;
	if (query)
		return proc_query(m, p);
	p->live = true;
	for (;;) {
		if (wait_locks(m, locks, deadline, lock_timeout_s) == -1 ||
		    proc_change(m, p) == -1)
			return -1;
		/* packages bring users and groups */
		fs_ids_forget();
		if (!was_locked_out(p) || now_ms() >= deadline ||
		    mod_cancelled(m))
			return 0;
		(void)poll(NULL, 0, STEP_MS);
	}
}

/* ---- results ------------------------------------------------------------ */

/* The first name between quotes or after a phrase of apt's. */
static const char *
word_after(struct mod *m, const char *text, const char *phrase)
{
	const char *s = strstr(text, phrase);
	size_t n;

	if (s == NULL)
		return NULL;
	s += strlen(phrase);
	n = strcspn(s, " '\n");
	return arena_strndup(m->arena, s, n);
}

int
apt_failed(struct mod *m, const struct apt_cmd *c, struct proc *p)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;
	const char *err = buf_str(&p->err), *name, *s;
	size_t n;

	proc_result(m, p);
	m->changed = false;
	if (p->timed_out)
		return mod_fail(m, "%s did not end in time and was killed", c->v[0]);
	name = word_after(m, err, "Unable to locate package ");
	if (name == NULL)
		name = word_after(m, err, "E: Package '");
	if (name != NULL)
		return mod_fail(m, "No package matching '%s' is available (do the lists need `update_cache: true`?)",
		    name);
	/* what apt calls errors, else the end of what was said */
	s = strstr(err, "\nE: ") != NULL ? strstr(err, "\nE: ") + 1 : err;
	n = strlen(s);
	if (n == 0) {
		s = buf_str(&p->out);
		n = strlen(s);
	}
	if (n > 2000) {
		s += n - 2000;
		n = 2000;
	}
	utf8_clean(&clean, s, n);
	while (clean.len > 0 && isspace((unsigned char)clean.data[clean.len - 1]))
		clean.len--;
	return mod_fail(m, "%s failed with status %d: %s", c->v[0], p->status,
	    buf_str(&clean));
}

void
apt_result(struct mod *m, const struct proc *p)
{
	proc_result(m, p);
	/* Ansible's apt gives only these */
	(void)v_dels(m->result, "rc");
	(void)v_dels(m->result, "cmd");
	(void)v_dels(m->result, "start");
	(void)v_dels(m->result, "end");
	(void)v_dels(m->result, "delta");
}

/* ---- lists -------------------------------------------------------------- */

/* A new host may have none, though their directory is young. */
static bool
has_lists(void)
{
	CLEANUP_CLOSEDIR DIR *d = opendir(APT_LISTS);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strstr(e->d_name, "_Packages") != NULL ||
		    strstr(e->d_name, "Release") != NULL)
			return true;
	return false;
}

int64_t
apt_lists_time(void)
{
	struct stat st;

	if (!has_lists())
		return 0;
	if (stat("/var/lib/apt/periodic/update-success-stamp", &st) == 0 ||
	    stat(APT_LISTS, &st) == 0)
		return (int64_t)st.st_mtim.tv_sec;
	return 0;
}

/* A number for the state of the lists: names, sizes, times. */
static uint64_t
lists_state(void)
{
	CLEANUP_CLOSEDIR DIR *d = opendir(APT_LISTS);
	uint64_t sum = 0, h;
	struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(st.st_mode) || strcmp(e->d_name, "lock") == 0)
			continue;
		h = v_hash_str(e->d_name, strlen(e->d_name));
		h = h * 0x9e3779b97f4a7c15ULL + (uint64_t)st.st_size;
		h = h * 0x9e3779b97f4a7c15ULL + (uint64_t)st.st_mtim.tv_sec;
		sum += h ^ (h >> 29);	/* the order of a directory means nothing */
	}
	return sum;
}

/* apt-get update ends with 0 even when nothing could be fetched. */
static bool
update_failed(struct proc *p)
{
	const char *err = buf_str(&p->err);

	return p->status != 0 || strstr(err, "Failed to fetch") != NULL ||
	    strncmp(err, "E: ", 3) == 0 || strstr(err, "\nE: ") != NULL;
}

int
apt_update(struct mod *m, int64_t retries, int64_t max_delay_s,
    int64_t lock_timeout_s, bool *ret_changed)
{
	uint64_t before = lists_state();
	struct apt_cmd c;
	struct proc p = PROC_INIT;
	int64_t try, delay_ms, waited;
	int rc = -1;

	for (try = 0;; try++) {
		apt_begin(m, &c, "apt-get");
		apt_add(&c, "-o");
		apt_add(&c, "APT::Update::Error-Mode=any");
		apt_add(&c, "update");
		if (apt_run(m, &c, &p, lock_timeout_s, false) == -1)
			break;
		if (!update_failed(&p)) {
			rc = 0;
			break;
		}
		if (try + 1 >= retries || mod_cancelled(m)) {
			(void)apt_failed(m, &c, &p);
			(void)mod_fail(m, "Failed to update apt cache after %lld tries: %s",
			    (long long)try + 1, v_get_str(m->result, "msg", ""));
			break;
		}
		delay_ms = try < 20 ? ((int64_t)1 << try) * 1000 : max_delay_s * 1000;
		if (delay_ms > max_delay_s * 1000)
			delay_ms = max_delay_s * 1000;
		mod_progress(m, "the lists could not be fetched; again in %lld s",
		    (long long)delay_ms / 1000);
		for (waited = 0; waited < delay_ms && !mod_cancelled(m);
		    waited += STEP_MS)
			(void)poll(NULL, 0, STEP_MS);
	}
	proc_release(&p);
	*ret_changed = rc == 0 && lists_state() != before;
	return rc;
}

/* ---- downloads ---------------------------------------------------------- */

/* With apt's own helper, which every host has. */
const char *
apt_download(struct mod *m, const char *url)
{
	const char *argv[] = { "/usr/lib/apt/apt-helper", "-o",
		"APT::Sandbox::User=root", "download-file", url, NULL, NULL };
	struct proc p = PROC_INIT;
	const char *dir = "/var/cache/apt", *path;
	CLEANUP_CLOSE int dirfd = -1, fd = -1;
	char name[64];
	int rc;

	/* Nobody would remove the file if the task were called off before its turn. */
	if (!m->check)
		mod_effect(m);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dirfd == -1 ? -1 : fs_temp_at(dirfd, name, sizeof(name));
	if (fd == -1) {
		(void)mod_fail_errno(m, "cannot make a file in %s", dir);
		return NULL;
	}
	path = arena_printf(m->arena, "%s/%s", dir, name);
	argv[5] = path;
	p.argv = argv;
	p.timeout_ms = 600000;
	rc = proc_query(m, &p);
	if (rc == 0 && p.status != 0) {
		proc_result(m, &p);
		rc = mod_fail(m, "cannot download %s: %s", url, buf_str(&p.err));
	}
	proc_release(&p);
	if (rc == -1) {
		(void)unlink(path);
		return NULL;
	}
	return path;
}
