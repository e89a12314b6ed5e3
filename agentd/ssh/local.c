/*
 * The wire to this machine itself: the executor as a child process, without
 * sshd.
 *
 * As ourselves it runs straight from memory (memfd), nothing touches the disk.
 * As root through sudo the same script runs as over SSH, so that root executes
 * a file in root's own directory and never one that the user could change.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "exec/image.h"
#include "ssh/wire.h"

#define CHUNK	((size_t)64 * 1024)

extern char **environ;

/* The executor for this machine in an anonymous file; -1 with err. */
static int
image_fd(struct err *err)
{
	struct utsname u;
	const char *image = NULL, *sha256;
	size_t len, done;
	ssize_t n;
	int fd;

	if (uname(&u) == 0)
		image = executor_image(u.machine, &len, &sha256);
	if (image == NULL)
		return err_set(err, ERR_UNSUPPORTED, "this program brings no "
		    "executor for this machine");
	fd = memfd_create("executor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_errno(err, "cannot make a file in memory");
	for (done = 0; done < len; done += (size_t)n)
		if ((n = write(fd, image + done, len - done)) <= 0) {
			(void)close(fd);
			return err_errno(err, "cannot write the executor to memory");
		}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_SEAL);
	return fd;
}

static void
child_run(struct conn *c, int image, const char *script, const int fds[3])
{
	const char *argv[12];
	char prompt[64];
	struct sigaction def = { .sa_handler = SIG_DFL };
	sigset_t none;
	unsigned n;
	int i;

	(void)setsid();
	(void)umask(022);	/* ours is narrower */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)sigaction(SIGPIPE, &def, NULL);
	for (i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(127);
	if (image >= 0) {
		argv[0] = "executor";
		argv[1] = c->nonce;
		argv[2] = NULL;
		(void)fexecve(image, (char *const *)(uintptr_t)argv, environ);
		_exit(127);
	}
	n = bootstrap_sudo_argv(c, prompt, argv);
	argv[n++] = "/bin/sh";
	argv[n++] = "-c";
	argv[n++] = script;
	argv[n] = NULL;
	(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
	(void)!write(STDERR_FILENO, "sudo: not found\n", 16);
	_exit(127);
}

/* ---- events ------------------------------------------------------------------ */

/* Reads once; false at the end. */
static bool
read_some(int fd, struct buf *b)
{
	char *to = buf_reserve(b, CHUNK);
	ssize_t n;

	if (to == NULL)
		return false;
	n = read(fd, to, CHUNK);
	if (n > 0)
		b->len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void
reap(struct conn *c)
{
	int status = 0;

	if (c->pid <= 0)
		return;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	if (WIFSIGNALED(status))
		(void)snprintf(c->signal, sizeof(c->signal), "%s",
		    sigabbrev_np(WTERMSIG(status)));
	c->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
read_errs(struct conn *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (c->err_fd >= 0 && !read_some(c->err_fd, &b)) {
		event_free(c->err_event);
		c->err_event = NULL;
		(void)close(c->err_fd);
		c->err_fd = -1;
	}
	conn_add_errs(c, b.data, b.len);
}

static void
on_in(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	bool more = read_some(fd, &c->rx);

	(void)what;
	c->heard_ms = pool_now_ms();
	conn_turn(c);
	if (c->state == C_DEAD || more)
		return;
	(void)event_del(c->in_event);
	read_errs(c);
	/* Its output is closed: it has ended or is about to; no blocking wait for a live one. */
	if (c->pid > 0 && kill(c->pid, 0) == 0)
		(void)kill(c->pid, SIGTERM);
	reap(c);
	conn_ended(c);
}

static void
on_errs(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	read_errs(c);
	if (c->state == C_STARTING)
		conn_turn(c);
}

static void
on_out(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_turn(arg);
}

static size_t
local_write(struct conn *c, const void *data, size_t len)
{
	ssize_t n;
	size_t done = 0;

	while (done < len) {
		n = send(c->out, (const char *)data + done, len - done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done < len)
		(void)event_add(c->out_event, NULL);
	return done;
}

/* Waits for an executor that was told to end; it takes a few seconds at most. */
struct farewell {
	struct job	 job;
	pid_t		 pid;
};

static void
farewell_run(struct job *job)
{
	const struct farewell *f = (const struct farewell *)(const void *)job;

	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
farewell_done(struct job *job)
{
	free(job);
}

static void
farewell(struct conn *c)
{
	struct farewell *f;

	if (c->pid <= 0 || waitpid(c->pid, NULL, WNOHANG) != 0)
		return;
	if (!c->ran)
		(void)kill(c->pid, SIGTERM);
	f = xcalloc(1, sizeof(*f));
	f->job.run = farewell_run;
	f->job.done = farewell_done;
	f->pid = c->pid;
	work_submit(c->pool->work, &f->job);
}

static void
local_stop(struct conn *c)
{
	struct event **events[] = { &c->in_event, &c->out_event, &c->err_event };
	size_t i;

	for (i = 0; i < NITEMS(events); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
	/* Closed input is the executor's sign to end; what it runs is killed by it. */
	if (c->in >= 0)
		(void)close(c->in);
	if (c->err_fd >= 0)
		(void)close(c->err_fd);
	c->in = c->out = c->err_fd = -1;
	farewell(c);
	c->pid = 0;
}

/* ---- starting ------------------------------------------------------------------ */

static void
local_start(struct conn *c)
{
	CLEANUP_BUF struct buf script = BUF_INIT;
	struct err err = ERR_INIT;
	int image = -1, in[2] = { -1, -1 }, errs[2] = { -1, -1 };

	if (bootstrap_sudo(&c->spec))
		bootstrap_script(&script, &c->spec, c->nonce);
	else if ((image = image_fd(&err)) < 0) {
		conn_fail(c, &err);
		return;
	}
	(void)buf_str(&script);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0 ||
	    pipe2(errs, O_CLOEXEC) != 0 || (c->pid = fork()) < 0) {
		c->pid = 0;
		(void)err_errno(&err, "cannot start the executor");
		conn_fail(c, &err);
	} else if (c->pid == 0) {
		child_run(c, image, script.data, (int[]){ in[1], in[1], errs[1] });
	} else {
		c->in = c->out = in[0];
		c->err_fd = errs[0];
		(void)fcntl(c->in, F_SETFL, O_NONBLOCK);
		(void)fcntl(c->err_fd, F_SETFL, O_NONBLOCK);
		c->in_event = event_new(c->pool->base, c->in, EV_READ | EV_PERSIST,
		    on_in, c);
		c->out_event = event_new(c->pool->base, c->out, EV_WRITE, on_out, c);
		c->err_event = event_new(c->pool->base, c->err_fd,
		    EV_READ | EV_PERSIST, on_errs, c);
		(void)event_add(c->in_event, NULL);
		(void)event_add(c->err_event, NULL);
		in[0] = errs[0] = -1;
		conn_started(c);
	}
	if (image >= 0)
		(void)close(image);
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			(void)close(in[i]);
		if (errs[i] >= 0)
			(void)close(errs[i]);
	}
}

const struct wire wire_local = {
	.start = local_start, .write = local_write, .stop = local_stop,
};
