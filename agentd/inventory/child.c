/*
 * Programs that the inventory or a vault password comes from: started with an
 * argv array (no shell), a deadline, and a bound on what they print.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "inventory/child.h"

extern char **environ;

struct ends {
	int	out, err;	/* ours, non-blocking; -1: at its end */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
spawn(const struct child *c, const int out[2], const int err[2], pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	int rc;

	(void)sigemptyset(&none);
	(void)sigemptyset(&defaults);
	(void)sigaddset(&defaults, SIGPIPE);
	(void)sigaddset(&defaults, SIGINT);
	(void)sigaddset(&defaults, SIGTERM);
	if ((rc = posix_spawn_file_actions_init(&fa)) != 0)
		return rc;
	if ((rc = posix_spawnattr_init(&attr)) != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return rc;
	}
	/* Its own group, to be killed as a whole; but only the foreground group may read a password. */
	if (!c->terminal)
		flags |= POSIX_SPAWN_SETPGROUP;
	(void)posix_spawnattr_setflags(&attr, flags);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &defaults);
	if (!c->terminal)
		(void)posix_spawn_file_actions_addopen(&fa, 0, "/dev/null",
		    O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	(void)posix_spawn_file_actions_adddup2(&fa, err[1], 2);
	rc = posix_spawn(pid, c->argv[0], &fa, &attr,
	    (char *const *)(uintptr_t)c->argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return rc;
}

/* Keeps the end of what comes. */
static void
keep_tail(char *tail, size_t size, const char *s, size_t n)
{
	size_t have = strlen(tail), drop;

	if (n >= size) {
		s += n - (size - 1);
		n = size - 1;
	}
	drop = have + n > size - 1 ? have + n - (size - 1) : 0;
	memmove(tail, tail + drop, have - drop);
	memcpy(tail + have - drop, s, n);
	tail[have - drop + n] = '\0';
}

/* False when the pipe is at its end. */
static bool
drain(struct child *c, int fd, bool is_err)
{
	char buf[16384];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0 && is_err)
		keep_tail(c->stderr_tail, sizeof(c->stderr_tail), buf, (size_t)n);
	else if (n > 0)
		buf_add(c->out, buf, (size_t)n);
	return n > 0;
}

static int
collect(struct child *c, struct ends *e, int64_t deadline, struct err *err)
{
	while (e->out != -1 || e->err != -1) {
		struct pollfd p[2] = {
			{ .fd = e->out, .events = POLLIN },
			{ .fd = e->err, .events = POLLIN },
		};
		int64_t left = deadline - now_ms();

		if (left <= 0)
			return err_set(err, ERR_TIMEOUT,
			    "'%s' did not end within its time", c->argv[0]);
		if (poll(p, 2, (int)left) == -1 && errno != EINTR)
			return err_errno(err, "'%s'", c->argv[0]);
		if (p[0].revents != 0 && !drain(c, e->out, false)) {
			(void)close(e->out);
			e->out = -1;
		}
		if (p[1].revents != 0 && !drain(c, e->err, true)) {
			(void)close(e->err);
			e->err = -1;
		}
		if (buf_overflowed(c->out))
			return err_set(err, ERR_LIMIT,
			    "'%s' printed more than %zu MiB", c->argv[0],
			    c->out->max / (1024 * 1024));
	}
	return 0;
}

/* Waits until the deadline, then kills. */
static int
reap(struct child *c, pid_t pid, int64_t deadline, bool kill_now, struct err *err)
{
	struct timespec pause = { .tv_nsec = 2000000 };
	bool timed_out = false;
	pid_t got;
	int status;

	for (;;) {
		if (!kill_now && now_ms() >= deadline)
			kill_now = timed_out = true;
		if (kill_now)
			(void)kill(c->terminal ? pid : -pid, SIGKILL);
		got = waitpid(pid, &status, kill_now ? 0 : WNOHANG);
		if (got == pid)
			break;
		if (got == -1 && errno != EINTR)
			return err_errno(err, "'%s'", c->argv[0]);
		if (got == 0)
			(void)nanosleep(&pause, NULL);
	}
	c->status = WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
	return timed_out ? err_set(err, ERR_TIMEOUT,
	    "'%s' did not end within its time", c->argv[0]) : 0;
}

int
child_run(struct child *c, struct err *err)
{
	int out[2] = { -1, -1 }, errs[2] = { -1, -1 }, rc, failed;
	int64_t start = now_ms(), deadline = start + c->timeout_ms;
	struct ends e;
	size_t n;
	pid_t pid;

	c->stderr_tail[0] = '\0';
	if (pipe2(out, O_CLOEXEC) == -1)
		return err_errno(err, "cannot make a pipe");
	if (pipe2(errs, O_CLOEXEC) == -1) {
		rc = err_errno(err, "cannot make a pipe");
		(void)close(out[0]);
		(void)close(out[1]);
		return rc;
	}
	rc = spawn(c, out, errs, &pid);
	(void)close(out[1]);
	(void)close(errs[1]);
	if (rc != 0) {
		(void)close(out[0]);
		(void)close(errs[0]);
		errno = rc;
		err_errno(err, "cannot run '%s'", c->argv[0]);
		errno = rc;
		return -1;
	}
	e = (struct ends){ out[0], errs[0] };
	(void)fcntl(e.out, F_SETFL, O_NONBLOCK);
	(void)fcntl(e.err, F_SETFL, O_NONBLOCK);
	failed = collect(c, &e, deadline, err);
	if (e.out != -1)
		(void)close(e.out);
	if (e.err != -1)
		(void)close(e.err);
	if (reap(c, pid, deadline, failed == -1, failed == -1 ? NULL : err) == -1)
		failed = -1;
	for (n = strlen(c->stderr_tail); n > 0 && (c->stderr_tail[n - 1] == '\n' ||
	    c->stderr_tail[n - 1] == '\r'); n--)
		c->stderr_tail[n - 1] = '\0';
	c->timeout_ms -= (int)(now_ms() - start);
	errno = 0;
	return failed;
}
