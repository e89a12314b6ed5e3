/*
 * See job.h.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/job.h"

#define EVENTS_FD	3	/* in the child */
#define TTY_FD		4
#define KEEPER_FD	5
#define CHILD_FDS	6
#define FIRST_FREE	10	/* ours, out of the way of those */
#define READ_SIZE	65536

extern char **environ;

void
jobs_init(struct jobs *jobs, struct event_base *base)
{
	*jobs = (struct jobs){ .base = base };
	TAILQ_INIT(&jobs->list);
}

void
jobs_release(struct jobs *jobs)
{
	if (jobs->child != NULL)
		event_free(jobs->child);
	jobs->child = NULL;
}

struct job *
job_find(struct jobs *jobs, int64_t id, int64_t run)
{
	struct job *j;

	for (j = TAILQ_FIRST(&jobs->list); j != NULL; j = TAILQ_NEXT(j, entry))
		if (run != 0 ? j->run == run : j->id == id)
			return j;
	return NULL;
}

/* ---- events -------------------------------------------------------------------------- */

/* Whole lines; when they are too many, a quarter of them goes at once. */
static void
keep(struct job *j, const char *line, size_t n)
{
	const char *p, *end;

	buf_add(&j->backlog, line, n);
	buf_addc(&j->backlog, '\n');
	if (j->backlog.len <= JOB_BACKLOG)
		return;
	p = j->backlog.data;
	end = p + j->backlog.len;
	while ((size_t)(end - p) > JOB_BACKLOG / 4 * 3) {
		p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
		j->dropped++;
	}
	buf_consume(&j->backlog, (size_t)(p - j->backlog.data));
}

static void
take_line(struct job *j, const char *line, size_t n)
{
	static const char begin[] = "{\"event\":\"run_start\"";
	const struct value *v;
	struct err err = ERR_INIT;
	struct arena a = { 0 };

	/* A retry is a run for each of those that failed: the newest counts. */
	if (n >= sizeof(begin) - 1 && memcmp(line, begin, sizeof(begin) - 1) == 0 &&
	    (v = json_parse_text(&a, line, n, &err)) != NULL)
		j->run = v_get_int(v, "run", 0);
	err_release(&err);
	arena_release(&a);
	keep(j, line, n);
	j->jobs->line(j->jobs->arg, j, line, n);
}

static void
take_lines(struct job *j)
{
	size_t at = 0;
	const char *end;

	while ((end = memchr(j->in.data + at, '\n', j->in.len - at)) != NULL) {
		size_t n = (size_t)(end - (j->in.data + at));

		if (!j->skipping)
			take_line(j, j->in.data + at, n);
		j->skipping = false;
		at += n + 1;
	}
	buf_consume(&j->in, at);
	if (j->in.len > JOB_LINE_MAX) {
		j->skipping = true;
		buf_clear(&j->in);
	}
}

static void
finish(struct job *j)
{
	struct jobs *jobs = j->jobs;

	if (!j->exited || j->fd != -1)
		return;
	TAILQ_REMOVE(&jobs->list, j, entry);
	jobs->n--;
	jobs->ended(jobs->arg, j);
	event_free(j->deadline);
	buf_release(&j->in);
	buf_release(&j->backlog);
	free(j->what);
	free(j->site);
	free(j);
}

static void
close_events(struct job *j)
{
	if (j->fd == -1)
		return;
	event_free(j->readable);
	(void)close(j->fd);
	j->fd = -1;
}

static void
on_events(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;
	char *to = buf_reserve(&j->in, READ_SIZE);
	ssize_t n;

	(void)what;
	if ((n = read(fd, to, READ_SIZE)) == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		j->in.len += (size_t)n;
		take_lines(j);
		return;
	}
	close_events(j);
	finish(j);
}

/* ---- the end --------------------------------------------------------------------------- */

/* It is over, but somebody that it started still has the pipe; or its time is up. */
static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;

	(void)fd;
	(void)what;
	if (!j->exited) {
		job_kill(j);
		return;
	}
	close_events(j);
	finish(j);
}

static void
on_child(evutil_socket_t signal, short what, void *arg)
{
	static const struct timeval grace = { 1, 0 };
	struct jobs *jobs = arg;
	struct job *j, *next;
	int status;

	(void)signal;
	(void)what;
	for (j = TAILQ_FIRST(&jobs->list); j != NULL; j = next) {
		next = TAILQ_NEXT(j, entry);
		if (j->exited || waitpid(j->pid, &status, WNOHANG) != j->pid)
			continue;
		j->exited = true;
		j->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		(void)event_add(j->deadline, &grace);
		finish(j);
	}
}

void
job_kill(struct job *j)
{
	/* It leads a session: what it has started goes with it. */
	if (!j->exited && kill(-j->pid, SIGKILL) == -1)
		(void)kill(j->pid, SIGKILL);
}

void
job_interrupt(struct job *j)
{
	if (j->exited)
		return;
	if (j->interrupts++ >= 2)
		job_kill(j);
	else
		(void)kill(j->pid, SIGINT);
}

/* ---- the beginning ----------------------------------------------------------------------- */

/* dup2() in the child must not step on one that is still needed. */
static int
out_of_the_way(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
}

static int
spawn(struct job *j, const struct job_start *how, const int fds[CHILD_FDS], struct err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int i, r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0 ||
	    posix_spawnattr_setsigmask(&attr, &none) != 0 ||
	    posix_spawnattr_setsigdefault(&attr, &all) != 0 ||
	    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF) != 0 ||
	    (how->cwd != NULL && posix_spawn_file_actions_addchdir_np(&actions, how->cwd) != 0))
		abort();	/* out of memory */
	for (i = 0; i < CHILD_FDS; i++)
		if (fds[i] != -1 && posix_spawn_file_actions_adddup2(&actions, fds[i], i) != 0)
			abort();
	r = posix_spawn(&j->pid, how->argv[0], &actions, &attr,
	    (char *const *)(uintptr_t)how->argv,
	    how->env != NULL ? (char *const *)(uintptr_t)how->env : environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	if (r == 0)
		return 0;
	errno = r;
	return err_errno(err, "cannot start '%s' in '%s'", how->argv[0],
	    how->cwd != NULL ? how->cwd : ".");
}

static int
start(struct job *j, const struct job_start *how, int ends[2], struct err *err)
{
	CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from[CHILD_FDS], to[CHILD_FDS], i, r = -1;

	if (null == -1 || pipe2(ends, O_CLOEXEC) == -1)
		return err_errno(err, "cannot start '%s'", how->argv[0]);
	from[0] = how->in != -1 ? how->in : null;
	from[1] = how->out != -1 ? how->out : null;
	from[2] = how->err != -1 ? how->err : STDERR_FILENO;
	from[EVENTS_FD] = ends[1];
	from[TTY_FD] = how->tty;
	from[KEEPER_FD] = how->keeper > 0 ? how->keeper : -1;
	for (i = 0; i < CHILD_FDS; i++)
		to[i] = from[i] != -1 ? out_of_the_way(from[i]) : -1;
	for (i = 0; i < CHILD_FDS && (from[i] == -1) == (to[i] == -1); i++)
		;
	if (i == CHILD_FDS)
		r = spawn(j, how, to, err);
	else
		(void)err_errno(err, "cannot start '%s'", how->argv[0]);
	for (i = 0; i < CHILD_FDS; i++)
		if (to[i] != -1)
			(void)close(to[i]);
	return r;
}

struct job *
job_start(struct jobs *jobs, const struct job_start *how, struct err *err)
{
	struct timeval timeout = { how->timeout_s, 0 };
	int ends[2] = { -1, -1 };
	struct timespec ts;
	struct job *j;

	if (jobs->n >= JOBS_MAX) {
		(void)err_set(err, ERR_BUSY, "%d jobs are under way, that is enough", JOBS_MAX);
		return NULL;
	}
	if (jobs->child == NULL && ((jobs->child = evsignal_new(jobs->base, SIGCHLD, on_child,
	    jobs)) == NULL || event_add(jobs->child, NULL) == -1))
		abort();	/* out of memory */
	j = xcalloc(1, sizeof(*j));
	if (start(j, how, ends, err) == -1) {
		if (ends[0] != -1) {
			(void)close(ends[0]);
			(void)close(ends[1]);
		}
		free(j);
		return NULL;
	}
	(void)close(ends[1]);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	j->jobs = jobs;
	j->id = ++jobs->last_id;
	j->kind = how->kind;
	j->what = xstrdup(how->what);
	j->site = how->site != NULL ? xstrdup(how->site) : NULL;
	j->started_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	j->fd = ends[0];
	j->readable = event_new(jobs->base, j->fd, EV_READ | EV_PERSIST, on_events, j);
	j->deadline = event_new(jobs->base, -1, 0, on_deadline, j);
	if (j->readable == NULL || j->deadline == NULL || event_add(j->readable, NULL) == -1 ||
	    (how->timeout_s > 0 && event_add(j->deadline, &timeout) == -1))
		abort();	/* out of memory */
	buf_init(&j->in, JOB_LINE_MAX + READ_SIZE * 2);
	TAILQ_INSERT_TAIL(&jobs->list, j, entry);
	jobs->n++;
	return j;
}
