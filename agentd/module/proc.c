/*
 * Child processes of modules.
 *
 *	pipe in ──> child (process group of its own) ──> pipe out, pipe err
 *	                 └ exec failed: errno through a fourth, close-on-exec pipe
 *
 * One poll loop feeds stdin, reads both outputs, watches the deadline and
 * turns the executor's own loop (mod_cancelled) at least every SLICE_MS.  It
 * ends when the child has ended and what it left in the pipes is read: a
 * daemon that kept the pipe open does not hold us up.  On timeout or cancel
 * the whole group gets SIGTERM, then SIGKILL.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "module/proc.h"
#include "module/words.h"

#define SLICE_MS	100
#define KILL_GRACE_MS	3000
#define READ_CHUNK	((size_t)64 * 1024)
#define CLOSE_RANGE_CLOEXEC_	4U	/* linux/close_range.h */
#define DEFAULT_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

/* A child under way. */
struct child {
	struct mod	*m;
	struct proc	*p;
	pid_t		 pid;
	int		 pidfd;		/* -1: the kernel has none */
	int		 in, out, err;	/* our ends, -1 when closed */
	size_t		 fed;
	bool		 ended;
	int		 wait_status;
	int64_t		 deadline;	/* monotonic ms, 0: none */
	int64_t		 kill_at;	/* when SIGKILL follows, 0: not yet stopping */
	struct buf	 line;		/* last output line, for progress */
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
wall_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- environment and program -------------------------------------------- */

struct env {
	char	**v;
	size_t	  n, cap;
};

static void
env_put(struct env *e, const char *name, size_t nname, const char *value)
{
	char *entry = xmalloc(nname + strlen(value) + 2);
	size_t i;

	memcpy(entry, name, nname);
	entry[nname] = '=';
	memcpy(entry + nname + 1, value, strlen(value) + 1);
	for (i = 0; i < e->n; i++)
		if (strncmp(e->v[i], entry, nname + 1) == 0) {
			free(e->v[i]);
			e->v[i] = entry;
			return;
		}
	if (e->n + 1 >= e->cap) {
		e->cap = e->cap == 0 ? 32 : e->cap * 2;
		e->v = xreallocarray(e->v, e->cap, sizeof(*e->v));
	}
	e->v[e->n++] = entry;
	e->v[e->n] = NULL;
}

static void
env_put_entry(struct env *e, const char *entry)
{
	const char *eq = strchr(entry, '=');

	if (eq != NULL && eq != entry)
		env_put(e, entry, (size_t)(eq - entry), eq + 1);
}

static const char *
env_get(const struct env *e, const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < e->n; i++)
		if (strncmp(e->v[i], name, n) == 0 && e->v[i][n] == '=')
			return e->v[i] + n + 1;
	return NULL;
}

static void
env_release(struct env *e)
{
	while (e->n > 0)
		free(e->v[--e->n]);
	free(e->v);
}

static void
env_build(struct env *e, const struct mod *m, const struct proc *p,
    const struct passwd *pw)
{
	const struct ventry *entry;
	char *const *inherited;
	uint32_t it;
	size_t i;

	for (inherited = environ; inherited != NULL && *inherited != NULL;
	    inherited++)
		env_put_entry(e, *inherited);
	if (env_get(e, "PATH") == NULL)
		env_put(e, "PATH", 4, DEFAULT_PATH);
	if (pw != NULL) {
		env_put(e, "HOME", 4, pw->pw_dir);
		env_put(e, "USER", 4, pw->pw_name);
		env_put(e, "LOGNAME", 7, pw->pw_name);
	}
	if (m != NULL && m->env != NULL)
		for (it = 0; (entry = v_next(m->env, &it)) != NULL;)
			if (v_is_str(entry->key) && v_is_str(entry->val) &&
			    entry->key->len > 0 &&
			    strchr(entry->key->u.s, '=') == NULL)
				env_put(e, entry->key->u.s, entry->key->len,
				    entry->val->u.s);
	for (i = 0; p->env != NULL && p->env[i] != NULL; i++)
		env_put_entry(e, p->env[i]);
}

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0;
}

/* Looks along a list of directories; malloc'ed or NULL. */
static char *
search_path(const char *dirs, const char *name)
{
	char *full;
	size_t n;

	for (; dirs != NULL; dirs = dirs[n] == ':' ? dirs + n + 1 : NULL) {
		n = strcspn(dirs, ":");
		if (n == 0)
			continue;	/* "" would be the current directory */
		full = xmalloc(n + strlen(name) + 2);
		memcpy(full, dirs, n);
		full[n] = '/';
		memcpy(full + n + 1, name, strlen(name) + 1);
		if (is_program(full))
			return full;
		free(full);
	}
	return NULL;
}

static char *
find_program(const char *path, const char *name)
{
	char *full;

	if (strchr(name, '/') != NULL)
		return xstrdup(name);
	full = search_path(path, name);
	/* a user's PATH lacks the sbin directories, root's cron has hardly any */
	return full != NULL ? full : search_path(DEFAULT_PATH, name);
}

const char *
proc_find(struct mod *m, const char *name)
{
	const char *path = NULL, *copy;
	char *full;

	if (m->env != NULL)
		path = v_get_str(m->env, "PATH", NULL);
	if (path == NULL)
		path = getenv("PATH");
	full = find_program(path, name);
	if (full == NULL || !is_program(full)) {
		free(full);
		return NULL;
	}
	copy = arena_strdup(m->arena, full);
	free(full);
	return copy;
}

/* ---- starting ----------------------------------------------------------- */

struct start {
	const char	*program;
	char *const	*argv;
	char *const	*env;
	const char	*cwd;
	int		 in, out, err;
	int		 report;	/* errno goes here when exec fails */
	int		 mask;
	int		 keep;		/* stays open, 0: none */
	const char	*user;
	uid_t		 uid;
	gid_t		 gid;
};

static void start_failed(int, int) ATTR_NORETURN;

static void
start_failed(int fd, int step)
{
	int what[2] = { errno, step };
	ssize_t ignored;

	ignored = write(fd, what, sizeof(what));
	(void)ignored;
	_exit(127);
}

enum { STEP_EXEC, STEP_CWD, STEP_USER, STEP_FDS };

static void child_main(const struct start *) ATTR_NORETURN;

static void
child_main(const struct start *s)
{
	struct sigaction sa;
	sigset_t none;
	int sig;

	(void)setsid();
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(s->in, 0) == -1 || dup2(s->out, 1) == -1 ||
	    dup2(s->err, 2) == -1)
		start_failed(s->report, STEP_FDS);
	/* ours are close-on-exec; those that we were started with may not be */
#ifdef SYS_close_range
	(void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC_);
#endif
	if (s->keep > 2 && fcntl(s->keep, F_SETFD, 0) == -1)
		start_failed(s->report, STEP_FDS);
	if (s->mask != -1)
		(void)umask((mode_t)s->mask);
	if (s->user != NULL && (initgroups(s->user, s->gid) == -1 ||
	    setgid(s->gid) == -1 || setuid(s->uid) == -1))
		start_failed(s->report, STEP_USER);
	if (s->cwd != NULL && chdir(s->cwd) == -1)
		start_failed(s->report, STEP_CWD);
	execve(s->program, s->argv, s->env);
	/* a script without #! line: as the shell would run it */
	if (errno == ENOEXEC) {
		size_t n = 0;
		const char **v;

		while (s->argv[n] != NULL)
			n++;
		v = xcalloc(n + 3, sizeof(*v));
		v[0] = "/bin/sh";
		v[1] = s->program;
		if (n > 1)
			memcpy(v + 2, s->argv + 1, (n - 1) * sizeof(*v));
		execve("/bin/sh", (char *const *)(uintptr_t)v, s->env);
	}
	start_failed(s->report, STEP_EXEC);
}

static void
close_pair(int pair[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (pair[i] != -1)
			(void)close(pair[i]);
		pair[i] = -1;
	}
}

/* A pipe whose ends are above 2, so that dup2() onto 0-2 cannot hit them. */
static int
high_pipe(int pair[2])
{
	int i, fd;

	if (pipe2(pair, O_CLOEXEC) == -1) {
		pair[0] = pair[1] = -1;
		return -1;
	}
	for (i = 0; i < 2; i++) {
		if (pair[i] > 2)
			continue;
		fd = fcntl(pair[i], F_DUPFD_CLOEXEC, 3);
		if (fd == -1) {
			close_pair(pair);
			return -1;
		}
		(void)close(pair[i]);
		pair[i] = fd;
	}
	return 0;
}

static void
set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags != -1)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int
fail_start(struct child *c, const int what[2])
{
	const char *name = c->p->argv[0];

	if (c->m == NULL)
		return -1;
	errno = what[0];
	mod_set(c->m, "cmd", v_str(c->m->arena,
	    words_join(c->m->arena, c->p->argv)));
	mod_set_int(c->m, "rc", what[0] == 0 ? 1 : what[0]);
	switch (what[1]) {
	case STEP_CWD:
		return mod_fail_errno(c->m, "cannot run %s: cannot change to directory %s",
		    name, c->p->cwd);
	case STEP_USER:
		return mod_fail_errno(c->m, "cannot run %s as user %s", name,
		    c->p->user);
	default:
		if (errno == ENOENT)
			return mod_fail(c->m, "cannot run %s: not found", name);
		if (errno == EACCES)
			return mod_fail(c->m, "cannot run %s: not executable (no x permission, or a file system mounted noexec)",
			    name);
		return mod_fail_errno(c->m, "cannot run %s", name);
	}
}

/* Starts the child; s->in … are set here. 0, or -1 after mod_fail. */
static int
spawn(struct child *c, struct start *s)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int report[2] = { -1, -1 }, null = -1, what[2] = { 0, 0 };
	ssize_t n;

	if (high_pipe(out) == -1 || high_pipe(report) == -1 ||
	    (!c->p->merge && high_pipe(err) == -1) ||
	    (c->p->input != NULL && high_pipe(in) == -1))
		goto failed;
	if (c->p->input == NULL) {
		null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null == -1)
			goto failed;
	}
	s->in = c->p->input != NULL ? in[0] : null;
	s->out = out[1];
	s->err = c->p->merge ? out[1] : err[1];
	s->report = report[1];
	c->pid = fork();
	if (c->pid == -1)
		goto failed;
	if (c->pid == 0)
		child_main(s);
	(void)close(report[1]);
	report[1] = -1;
	do
		n = read(report[0], what, sizeof(what));
	while (n == -1 && errno == EINTR);
	if (n == (ssize_t)sizeof(what)) {
		while (waitpid(c->pid, NULL, 0) == -1 && errno == EINTR)
			;
		errno = what[0];
		goto failed;
	}
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	in[1] = out[0] = err[0] = -1;
	if (c->in != -1)
		set_nonblock(c->in);
	set_nonblock(c->out);
	if (c->err != -1)
		set_nonblock(c->err);
	close_pair(in);
	close_pair(out);
	close_pair(err);
	close_pair(report);
	if (null != -1)
		(void)close(null);
#ifdef SYS_pidfd_open
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
#endif
	return 0;
failed:
	if (what[0] == 0) {
		what[0] = errno;
		what[1] = STEP_EXEC;
	}
	close_pair(in);
	close_pair(out);
	close_pair(err);
	close_pair(report);
	if (null != -1)
		(void)close(null);
	return fail_start(c, what);
}

/* ---- the loop ----------------------------------------------------------- */

static void
kill_group(const struct child *c, int sig)
{
	/* it made itself leader of its group; before that it is still itself */
	if (kill(-c->pid, sig) == -1)
		(void)kill(c->pid, sig);
}

static void
show_line(struct child *c, const char *s, size_t n)
{
	size_t i, start = 0;

	for (i = 0; i < n; i++) {
		if (s[i] != '\n' && s[i] != '\r')
			continue;
		if (i > start || c->line.len > 0) {
			buf_add(&c->line, s + start, i - start);
			if (c->line.len > 0)
				mod_progress(c->m, "%s", buf_str(&c->line));
			buf_clear(&c->line);
		}
		start = i + 1;
	}
	if (c->line.len < 1024)
		buf_add(&c->line, s + start, n - start);
}

/* Reads what is there. */
static void
drain(struct child *c, int *fd, struct buf *out)
{
	char chunk[8192];
	size_t total = 0;
	ssize_t n;

	while (*fd != -1 && total < READ_CHUNK) {
		n = read(*fd, chunk, sizeof(chunk));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0) {
			(void)close(*fd);
			*fd = -1;
			return;
		}
		total += (size_t)n;
		if (c->p->live)
			show_line(c, chunk, (size_t)n);
		if (out->len + (size_t)n > PROC_OUTPUT_MAX) {
			c->p->truncated = true;
			n = (ssize_t)(PROC_OUTPUT_MAX - out->len);
		}
		buf_add(out, chunk, (size_t)n);
	}
}

static void
feed(struct child *c)
{
	const char *data = c->p->input;
	ssize_t n;

	while (c->in != -1) {
		if (c->fed == c->p->ninput) {
			(void)close(c->in);
			c->in = -1;
			return;
		}
		n = write(c->in, data + c->fed, c->p->ninput - c->fed);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n == -1) {		/* it does not want the rest */
			(void)close(c->in);
			c->in = -1;
			return;
		}
		c->fed += (size_t)n;
	}
}

static void
check_ended(struct child *c)
{
	pid_t pid;

	if (c->ended)
		return;
	pid = waitpid(c->pid, &c->wait_status, WNOHANG);
	if (pid == c->pid)
		c->ended = true;
	else if (pid == -1 && errno == ECHILD) {
		c->wait_status = 0;
		c->ended = true;
	}
}

/* Deadline and cancelling: ask it to stop, then make it. */
static void
check_stop(struct child *c)
{
	int64_t now = now_ms();

	if (c->kill_at != 0) {
		if (now >= c->kill_at) {
			kill_group(c, SIGKILL);
			c->kill_at = now + KILL_GRACE_MS;
		}
		return;
	}
	if (c->deadline != 0 && now >= c->deadline)
		c->p->timed_out = true;
	else if (!mod_cancelled(c->m))
		return;
	kill_group(c, SIGTERM);
	c->kill_at = now + KILL_GRACE_MS;
}

static int
wait_ms(const struct child *c)
{
	int64_t left, now = now_ms();
	int ms = c->pidfd == -1 ? 10 : SLICE_MS;

	if (c->deadline != 0) {
		left = c->deadline - now;
		if (left < ms)
			ms = left < 0 ? 0 : (int)left;
	}
	return ms;
}

static void
loop(struct child *c)
{
	struct pollfd fds[4];
	nfds_t n;

	for (;;) {
		n = 0;
		if (c->out != -1)
			fds[n++] = (struct pollfd){ .fd = c->out, .events = POLLIN };
		if (c->err != -1)
			fds[n++] = (struct pollfd){ .fd = c->err, .events = POLLIN };
		if (c->in != -1)
			fds[n++] = (struct pollfd){ .fd = c->in, .events = POLLOUT };
		if (c->pidfd != -1)
			fds[n++] = (struct pollfd){ .fd = c->pidfd, .events = POLLIN };
		if (poll(fds, n, wait_ms(c)) == -1 && errno != EINTR)
			break;
		check_ended(c);
		feed(c);
		drain(c, &c->out, &c->p->out);
		drain(c, &c->err, &c->p->err);
		if (c->ended)
			break;
		check_stop(c);
		if (c->kill_at != 0)
			c->deadline = c->kill_at;	/* wake up for SIGKILL */
	}
	/* the rest of a full pipe; a daemon may hold the other end */
	drain(c, &c->out, &c->p->out);
	drain(c, &c->err, &c->p->err);
	while (!c->ended) {
		if (waitpid(c->pid, &c->wait_status, 0) == c->pid ||
		    errno != EINTR)
			c->ended = true;
	}
}

static int
status_of(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

static void
child_release(struct child *c)
{
	if (c->in != -1)
		(void)close(c->in);
	if (c->out != -1)
		(void)close(c->out);
	if (c->err != -1)
		(void)close(c->err);
	if (c->pidfd != -1)
		(void)close(c->pidfd);
	buf_release(&c->line);
}

static int
find_user(struct child *c, struct start *s, const struct passwd **ret)
{
	const struct passwd *pw;

	*ret = NULL;
	if (c->p->user == NULL)
		return 0;
	pw = getpwnam(c->p->user);
	if (pw == NULL)
		return c->m == NULL ? -1 : mod_fail(c->m,
		    "cannot run %s as user %s: there is no such user",
		    c->p->argv[0], c->p->user);
	s->user = c->p->user;
	s->uid = pw->pw_uid;
	s->gid = pw->pw_gid;
	*ret = pw;
	return 0;
}

static int
run(struct mod *m, struct proc *p)
{
	struct child c = { .m = m, .p = p, .pid = -1, .pidfd = -1, .in = -1,
		.out = -1, .err = -1 };
	struct start s = { .cwd = p->cwd, .mask = p->umask, .keep = p->keep };
	int timeout_ms = p->timeout_ms, rc = -1;
	const struct passwd *pw;
	struct env env = { 0 };
	char *program;

	p->out.max = p->err.max = PROC_OUTPUT_MAX + 1;
	buf_clear(&p->out);
	buf_clear(&p->err);
	p->timed_out = p->truncated = false;
	if (find_user(&c, &s, &pw) == -1)
		return -1;
	env_build(&env, m, p, pw);
	program = find_program(env_get(&env, "PATH"), p->argv[0]);
	if (program == NULL) {
		env_release(&env);
		if (m == NULL)
			return -1;
		mod_set_int(m, "rc", ENOENT);
		mod_set_str(m, "cmd", words_join(m->arena, p->argv));
		return mod_fail(m, "cannot run %s: no such program in PATH",
		    p->argv[0]);
	}
	s.program = program;
	s.argv = (char *const *)(uintptr_t)p->argv;
	s.env = env.v;
	if (m != NULL && m->timeout_ms > 0 &&
	    (timeout_ms == 0 || m->timeout_ms < timeout_ms))
		timeout_ms = m->timeout_ms;
	if (timeout_ms > 0)
		c.deadline = now_ms() + timeout_ms;
	p->start_us = wall_us();
	if (spawn(&c, &s) == 0) {
		loop(&c);
		p->status = status_of(c.wait_status);
		rc = 0;
	}
	p->end_us = wall_us();
	child_release(&c);
	env_release(&env);
	free(program);
	return rc;
}

int
proc_query(struct mod *m, struct proc *p)
{
	return run(m, p);
}

int
proc_change(struct mod *m, struct proc *p)
{
	mod_effect(m);
	return run(m, p);
}

int
proc_must(struct mod *m, struct proc *p)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	const struct buf *b;
	size_t n;

	if (proc_change(m, p) == -1)
		return -1;
	if (p->status == 0 && !p->timed_out)
		return 0;
	proc_result(m, p);
	if (p->timed_out)
		return mod_fail(m, "%s did not end in time and was killed",
		    p->argv[0]);
	/* the last bytes say why, as a rule */
	b = p->err.len > 0 ? &p->err : &p->out;
	n = b->len > 2000 ? b->len - 2000 : 0;
	utf8_clean(&text, b->data + n, b->len - n);
	while (text.len > 0 && (text.data[text.len - 1] == '\n' ||
	    text.data[text.len - 1] == ' '))
		text.len--;
	if (text.len == 0)
		return mod_fail(m, "%s failed with status %d", p->argv[0],
		    p->status);
	return mod_fail(m, "%s failed with status %d: %s", p->argv[0],
	    p->status, buf_str(&text));
}

void
proc_release(struct proc *p)
{
	buf_release(&p->out);
	buf_release(&p->err);
}

/* ---- results ------------------------------------------------------------ */

/* Output as text without trailing newlines, and its lines. */
static void
set_output(struct mod *m, const char *key, const struct buf *b)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct value *lines = v_list(m->arena);
	const char *s, *end, *nl;
	size_t n;

	text.max = 4 * PROC_OUTPUT_MAX;
	utf8_clean(&text, b->data, b->len);
	while (text.len > 0 && (text.data[text.len - 1] == '\n' ||
	    text.data[text.len - 1] == '\r'))
		text.len--;
	s = buf_str(&text);
	end = s + text.len;
	mod_set(m, key, v_strn(m->arena, s, text.len));
	while (s < end) {
		nl = memchr(s, '\n', (size_t)(end - s));
		n = (size_t)((nl == NULL ? end : nl) - s);
		if (n > 0 && nl != NULL && s[n - 1] == '\r')
			v_push(m->arena, lines, v_strn(m->arena, s, n - 1));
		else
			v_push(m->arena, lines, v_strn(m->arena, s, n));
		s += n + 1;
	}
	mod_set(m, arena_printf(m->arena, "%s_lines", key), lines);
}

static void
set_time(struct mod *m, const char *key, int64_t us)
{
	char text[64];
	time_t sec = (time_t)(us / 1000000);
	struct tm tm;

	if (localtime_r(&sec, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return;
	mod_set(m, key, v_strf(m->arena, "%s.%06d", text, (int)(us % 1000000)));
}

/* Python's str(timedelta): "0:00:01.234567", "1 day, 2:03:04". */
static void
set_delta(struct mod *m, int64_t us)
{
	int64_t sec, days;

	if (us < 0)
		us = 0;
	sec = us / 1000000;
	days = sec / 86400;
	sec %= 86400;
	mod_set(m, "delta", v_strf(m->arena, "%s%d:%02d:%02d.%06d",
	    days == 0 ? "" : arena_printf(m->arena, "%d day%s, ", (int)days,
	    days == 1 ? "" : "s"), (int)(sec / 3600), (int)(sec / 60 % 60),
	    (int)(sec % 60), (int)(us % 1000000)));
}

void
proc_result(struct mod *m, const struct proc *p)
{
	struct value *cmd = v_list(m->arena);
	size_t i;

	for (i = 0; p->argv[i] != NULL; i++)
		v_push(m->arena, cmd, v_str(m->arena, p->argv[i]));
	mod_set(m, "cmd", cmd);
	mod_set_int(m, "rc", p->status);
	set_output(m, "stdout", &p->out);
	set_output(m, "stderr", &p->err);
	set_time(m, "start", p->start_us);
	set_time(m, "end", p->end_us);
	set_delta(m, p->end_us - p->start_us);
	if (p->truncated)
		mod_warn(m, "the output of %s was cut off after %zu MiB",
		    p->argv[0], PROC_OUTPUT_MAX >> 20);
}
