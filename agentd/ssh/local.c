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

/* ---- the end ---------------------------------------------------------------- */

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
local_over(struct conn *c)
{
	/* Its output is closed: it has ended or is about to; no blocking wait for a live one. */
	if (c->pid > 0 && kill(c->pid, 0) == 0)
		(void)kill(c->pid, SIGTERM);
	reap(c);
	conn_ended(c);
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
	/* Closed input is the executor's sign to end; what it runs is killed by it. */
	fds_close(c);
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
		fds_watch(c, local_over);
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
	.start = local_start, .write = fds_write, .stop = local_stop,
};
