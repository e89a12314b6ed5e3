/*
 * The server: the process of the executor that owns the connection.
 *
 *	engine ══ frames ══ server ──socket── worker (own user) ── commands
 *	                       └─────socket── worker (postgres) ── commands
 *
 * It keeps the requests in order and hands one at a time to the worker of its
 * user, forked on first use and kept.  It never runs a module itself, so PING
 * is answered while a module computes, and a module that crashes, overruns
 * its deadline or ignores CANCEL costs one worker and gives a failed result.
 *
 * When the connection ends in the middle of a task (end of input), the task is
 * cancelled: its worker is told by the closed socket, kills the process groups
 * it started, and is killed itself when that takes too long.
 *
 * Limits: requests waiting (QUEUE_MAX bytes, then reading pauses), output not
 * yet taken (TX_HIGH, then the worker waits).
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/codec.h"
#include "base/frame.h"
#include "exec/exec.h"
#include "exec/worker.h"

#define QUEUE_MAX	((size_t)64 * 1024 * 1024)
#define TX_HIGH		((size_t)1024 * 1024)
#define GRACE_MS	10000	/* for a module to notice its cancellation */
#define END_GRACE_MS	3000	/* likewise when nobody waits for its result */
#define FD_LOW		10	/* our descriptors are above those that shells play with */

struct request {
	struct request	*next;
	uint32_t	 id;
	bool		 cancelled;
	bool		 ahead;		/* its turn has not come */
	char		*user;		/* NULL: our own */
	char		*module;	/* for messages */
	int64_t		 timeout_ms;
	bool		 check;
	size_t		 len;
	char		*payload;
};

struct child {
	struct child	*next;
	char		*user;		/* NULL: our own */
	pid_t		 pid;
	int		 fd;
	struct buf	 rx, tx;
	uint64_t	 last;		/* number of its latest request */
};

struct server {
	int		 in, out;
	struct buf	 rx, tx;
	struct request	*queue, **tail;
	size_t		 queued;	/* bytes */
	struct child	*children;
	struct child	*busy;		/* at work on current */
	struct request	*current;
	int64_t		 kill_ms;	/* when busy is killed; 0: not */
	bool		 overdue;	/* … since its own deadline passed */
	uint64_t	 count;		/* requests handed out */
	bool		 ended;		/* no more input: BYE, end, broken peer */
	bool		 mute;		/* nobody reads our output */
	int		 status;
};

bool
exec_nonce_valid(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return s[n] == '\0' && n >= 16 && n <= 64;
}

int
exec_take_stdio(int *ret_in, int *ret_out)
{
	int null, fd;

	if ((*ret_in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FD_LOW)) < 0 ||
	    (*ret_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, FD_LOW)) < 0 ||
	    (null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
		return -1;
	for (fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	if (null > 2)
		(void)close(null);
	return 0;
}

/* ---- answers ------------------------------------------------------------ */

static void
answer(struct server *s, enum frame_type type, uint32_t id,
    const struct value *v)
{
	size_t at = frame_begin(&s->tx, type, 0, id);

	if (v != NULL)
		codec_encode(&s->tx, v);
	frame_end(&s->tx, at);
}

static void
answer_failed(struct server *s, uint32_t id, const char *flag, const char *msg)
{
	struct arena arena = { 0 };
	struct value *r = v_map(&arena);

	v_set_bool(&arena, r, "failed", true);
	v_set_bool(&arena, r, "changed", false);
	if (flag != NULL)
		v_set_bool(&arena, r, flag, true);
	v_set_str(&arena, r, "msg", msg);
	answer(s, FRAME_RESULT, id, r);
	arena_release(&arena);
}

static void
hello(struct server *s)
{
	struct arena arena = { 0 };
	struct value *r = v_map(&arena);
	const struct passwd *pw = getpwuid(geteuid());
	const char *user = pw != NULL ? pw->pw_name : getenv("USER");
	struct utsname u;

	v_set_int(&arena, r, "protocol", FRAME_PROTOCOL);
	v_set_str(&arena, r, "version", PROVCTL_VERSION);
	v_set_str(&arena, r, "arch", uname(&u) == 0 ? u.machine : "");
	v_set_str(&arena, r, "user", user != NULL ? user : "");
	v_set_int(&arena, r, "uid", (int64_t)geteuid());
	v_set_int(&arena, r, "pid", (int64_t)getpid());
	answer(s, FRAME_HELLO, 0, r);
	arena_release(&arena);
}

/* ---- workers ------------------------------------------------------------ */

/*
 * Kills the process groups that a worker's module has started: the groups led
 * by its direct children.  What daemonised away is no longer ours.
 */
static void
kill_groups_of(pid_t worker)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *e;
	char path[64], text[512], *end;
	int pid, ppid, pgrp, fd;
	ssize_t n;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if ((pid = (pid_t)strtol(e->d_name, NULL, 10)) <= 1)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		(void)close(fd);
		if (n <= 0)
			continue;
		text[n] = '\0';
		/* The name in parentheses may hold anything. */
		if ((end = strrchr(text, ')')) != NULL &&
		    sscanf(end + 1, " %*c %d %d", &ppid, &pgrp) == 2 &&
		    ppid == worker)
			(void)kill(pgrp == pid ? -pid : pid, SIGKILL);
	}
}

/* Ends a worker and frees it; its wait status, or -1 when it was gone already. */
static int
child_end(struct server *s, struct child *c, bool by_force)
{
	struct child **p;
	int status = -1;
	pid_t got;

	for (p = &s->children; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	if (s->busy == c)
		s->busy = NULL;
	if (by_force) {
		kill_groups_of(c->pid);
		(void)kill(c->pid, SIGKILL);
	}
	(void)close(c->fd);
	while ((got = waitpid(c->pid, &status, 0)) < 0 && errno == EINTR)
		;
	buf_release(&c->rx);
	buf_release(&c->tx);
	free(c->user);
	free(c);
	return got < 0 ? -1 : status;
}

static bool
same_user(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
child_is_alive(const struct child *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	/* An idle worker has nothing to say: anything to read is its end. */
	return poll(&p, 1, 0) == 0;
}

static struct child *
child_fork(struct server *s, const char *user)
{
	const struct child *other;
	struct child *c;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		(void)close(pair[0]);
		(void)close(s->in);
		(void)close(s->out);
		for (other = s->children; other != NULL; other = other->next)
			(void)close(other->fd);
		worker_main(pair[1], user);
	}
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return NULL;
	}
	(void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
	c = xcalloc(1, sizeof(*c));
	c->user = user == NULL ? NULL : xstrdup(user);
	c->pid = pid;
	c->fd = pair[0];
	c->next = s->children;
	s->children = c;
	return c;
}

static struct child *
child_for(struct server *s, const char *user)
{
	struct child *c;

	for (c = s->children; c != NULL; c = c->next)
		if (same_user(c->user, user))
			break;
	if (c != NULL && !child_is_alive(c)) {
		(void)child_end(s, c, true);
		c = NULL;
	}
	return c != NULL ? c : child_fork(s, user);
}

/* ---- requests ----------------------------------------------------------- */

static void
request_free(struct request *r)
{
	free(r->user);
	free(r->module);
	free(r->payload);
	free(r);
}

/* NULL when the user is us, else a copy of the name. */
static char *
other_user(const char *user)
{
	const struct passwd *pw;

	if (user == NULL || *user == '\0')
		return NULL;
	pw = getpwuid(geteuid());
	if (pw != NULL && strcmp(pw->pw_name, user) == 0)
		return NULL;
	return xstrdup(user);
}

static void
request_add(struct server *s, const struct frame *f)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *v = codec_decode(&arena, f->payload, f->len, &err);
	struct request *r;

	if (v == NULL || v->type != V_MAP) {
		answer_failed(s, f->id, NULL, "malformed request");
	} else {
		r = xcalloc(1, sizeof(*r));
		r->id = f->id;
		r->ahead = (f->flags & FRAME_AHEAD) != 0;
		r->user = other_user(v_get_str(v, "user", NULL));
		r->module = xstrdup(v_get_str(v, "module", "?"));
		r->timeout_ms = v_get_int(v, "timeout_ms", 0);
		r->check = v_get_bool(v, "check", false);
		r->len = f->len;
		r->payload = xmalloc(f->len + 1);
		memcpy(r->payload, f->payload, f->len);
		*s->tail = r;
		s->tail = &r->next;
		s->queued += r->len;
	}
	arena_release(&arena);
}

static struct request *
request_take(struct server *s)
{
	struct request *r = s->queue;

	if (r != NULL) {
		s->queue = r->next;
		if (s->queue == NULL)
			s->tail = &s->queue;
		s->queued -= r->len;
	}
	return r;
}

/* The current request is over; its result has been queued for sending. */
static void
request_done(struct server *s)
{
	request_free(s->current);
	s->current = NULL;
	s->busy = NULL;
	s->kill_ms = 0;
	s->overdue = false;
}

/* From here on the time of the request at work counts. */
static void
request_clock(struct server *s)
{
	int64_t ms = s->current->timeout_ms;

	if (ms > 0 && ms < INT32_MAX)
		s->kill_ms = worker_now_ms() + ms + GRACE_MS;
	s->overdue = s->kill_ms != 0;
}

static void
request_start(struct server *s, struct request *r)
{
	char msg[512];
	struct child *c;
	bool forget;

	s->current = r;
	if (r->cancelled) {
		answer_failed(s, r->id, "cancelled", "cancelled");
		request_done(s);
		return;
	}
	if (r->user != NULL && geteuid() != 0) {
		(void)snprintf(msg, sizeof(msg), "cannot become '%s': the "
		    "executor does not run as root on this host", r->user);
		answer_failed(s, r->id, NULL, msg);
		request_done(s);
		return;
	}
	/* A check predicts tasks of users that an earlier task would have made: it looks as nobody then. */
	if (r->check && r->user != NULL && !worker_user_exists(r->user)) {
		free(r->user);
		r->user = xstrdup("nobody");
	}
	if ((c = child_for(s, r->user)) == NULL) {
		(void)snprintf(msg, sizeof(msg), "cannot start a process: %s",
		    strerror(errno));
		answer_failed(s, r->id, NULL, msg);
		request_done(s);
		return;
	}
	forget = c->last != 0 && c->last != s->count;
	c->last = ++s->count;
	s->busy = c;
	if (!r->ahead)
		request_clock(s);
	frame_put(&c->tx, FRAME_REQUEST, (forget ? WORKER_FORGET : 0) |
	    (r->ahead ? FRAME_AHEAD : 0u), r->id, r->payload, r->len);
	free(r->payload);
	r->payload = NULL;
}

/* Asks the module at work to stop, and sets when it is made to. */
static void
request_cancel(struct server *s, int grace_ms)
{
	int64_t at = worker_now_ms() + grace_ms;

	if (s->busy == NULL)
		return;
	if (!s->current->cancelled)
		frame_put(&s->busy->tx, FRAME_CANCEL, 0, s->current->id, NULL, 0);
	s->current->cancelled = true;
	if (s->kill_ms == 0 || at < s->kill_ms) {
		s->kill_ms = at;
		s->overdue = false;
	}
}

/* The worker at work is no more, or must be no more. */
static void
request_lost(struct server *s, const char *why)
{
	struct request *r = s->current;
	char msg[512];
	const char *flag = NULL;
	int status;

	status = child_end(s, s->busy, true);
	if (r->cancelled) {
		flag = "cancelled";
		(void)snprintf(msg, sizeof(msg), "cancelled");
	} else if (s->overdue && s->kill_ms <= worker_now_ms() && s->kill_ms != 0) {
		flag = "timed_out";
		(void)snprintf(msg, sizeof(msg), "timed out after %.1f s",
		    (double)r->timeout_ms / 1000.0);
	} else if (why == NULL && status != -1 && WIFSIGNALED(status)) {
		(void)snprintf(msg, sizeof(msg), "the module '%s' was ended by "
		    "signal %d (%s)", r->module, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	} else
		(void)snprintf(msg, sizeof(msg), "the module '%s' ended "
		    "without a result%s%s", r->module, why != NULL ? ": " : "",
		    why != NULL ? why : "");
	answer_failed(s, r->id, flag, msg);
	request_done(s);
}

/* ---- input -------------------------------------------------------------- */

/* Asks what is at work to end; before its turn it has no effect yet and is made to at once. */
static void
request_stop(struct server *s, int grace_ms)
{
	if (s->busy != NULL && s->current->ahead) {
		s->current->cancelled = true;
		request_lost(s, NULL);
	} else
		request_cancel(s, grace_ms);
}

/* No more requests will come: what is at work has a short time left. */
static void
end_input(struct server *s, int status)
{
	struct request *r;

	if (s->ended)
		return;
	s->ended = true;
	s->status = status;
	while ((r = request_take(s)) != NULL)
		request_free(r);
	request_stop(s, END_GRACE_MS);
}

/* The turn of a request sent ahead has come. */
static void
go(struct server *s, uint32_t id)
{
	struct request *r;

	for (r = s->queue; r != NULL; r = r->next)
		if (r->id == id)
			r->ahead = false;
	if (s->busy == NULL || s->current->id != id || !s->current->ahead)
		return;
	s->current->ahead = false;
	request_clock(s);
	frame_put(&s->busy->tx, FRAME_GO, 0, id, NULL, 0);
}

static void
cancel(struct server *s, uint32_t id)
{
	struct request *r;

	if (s->current != NULL && s->current->id == id)
		request_stop(s, GRACE_MS);
	for (r = s->queue; r != NULL; r = r->next)
		if (r->id == id)
			r->cancelled = true;
}

static bool
id_in_use(const struct server *s, uint32_t id)
{
	const struct request *r;

	if (s->current != NULL && s->current->id == id)
		return true;
	for (r = s->queue; r != NULL; r = r->next)
		if (r->id == id)
			return true;
	return false;
}

static void
input_frame(struct server *s, const struct frame *f)
{
	switch (f->type) {
	case FRAME_REQUEST:
		if (f->id == 0 || (f->flags & ~FRAME_AHEAD) != 0 ||
		    id_in_use(s, f->id))
			end_input(s, 2);
		else
			request_add(s, f);
		break;
	case FRAME_BLOB:
		if (s->busy != NULL && s->current->id == f->id)
			frame_put(&s->busy->tx, FRAME_BLOB, f->flags, f->id,
			    f->payload, f->len);
		break;
	case FRAME_CANCEL:
		cancel(s, f->id);
		break;
	case FRAME_GO:
		go(s, f->id);
		break;
	case FRAME_PING:
		frame_put(&s->tx, FRAME_PONG, 0, f->id, NULL, 0);
		break;
	case FRAME_BYE:
		end_input(s, 0);
		break;
	default:			/* ours to send, not to receive */
		end_input(s, 2);
		break;
	}
}

/* Reads once; false at the end of input or on an error. */
static bool
fill(int fd, struct buf *b)
{
	char *to = buf_reserve(b, FRAME_CHUNK);
	ssize_t n;

	if (to == NULL)
		return false;
	n = read(fd, to, FRAME_CHUNK);
	if (n > 0)
		b->len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Writes once; false when the other side is gone. */
static bool
drain(int fd, struct buf *b)
{
	ssize_t n = write(fd, b->data, b->len);

	if (n > 0)
		buf_consume(b, (size_t)n);
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void
input(struct server *s)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	bool more = fill(s->in, &s->rx);
	size_t used = 0;
	struct frame f;
	int got = 0;

	while (!s->ended && used < s->rx.len && (got = frame_get(
	    s->rx.data + used, s->rx.len - used, &f, &err)) == 1) {
		input_frame(s, &f);
		used += FRAME_HEADER + f.len;
	}
	buf_consume(&s->rx, used);
	if (got < 0)
		end_input(s, 2);
	else if (!more)
		end_input(s, 1);
}

/* ---- output of the worker at work --------------------------------------- */

/* A worker may be another user's process: only what it has to say goes on. */
static bool
worker_frame(struct server *s, const struct frame *f)
{
	if (f->id != s->current->id)
		return false;
	switch (f->type) {
	case FRAME_PROGRESS:
	case FRAME_NEED:
	case FRAME_DATA:
	case FRAME_HELD:
	case FRAME_RESULT:
		frame_put(&s->tx, f->type, 0, f->id, f->payload, f->len);
		return true;
	default:
		return false;
	}
}

static void
worker_input(struct server *s)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct child *c = s->busy;
	bool more = fill(c->fd, &c->rx), over = false;
	size_t used = 0;
	struct frame f;
	int got = 0;

	while (!over && used < c->rx.len && (got = frame_get(c->rx.data + used,
	    c->rx.len - used, &f, &err)) == 1) {
		used += FRAME_HEADER + f.len;
		if (!worker_frame(s, &f))
			got = -1;
		if (got < 0)
			break;
		over = f.type == FRAME_RESULT;
	}
	buf_consume(&c->rx, used);
	if (over)
		request_done(s);
	else if (got < 0)
		request_lost(s, "it broke the protocol");
	else if (!more)
		request_lost(s, NULL);
}

/* ---- the loop ----------------------------------------------------------- */

enum { P_IN, P_OUT, P_WORKER, P_COUNT };

static void
turn(struct server *s)
{
	struct pollfd p[P_COUNT] = {
		[P_IN] = { .fd = -1, .events = POLLIN },
		[P_OUT] = { .fd = -1, .events = POLLOUT },
		[P_WORKER] = { .fd = -1 },
	};
	struct child *c = s->busy;
	int64_t left = -1;

	if (!s->ended && s->queued < QUEUE_MAX &&
	    (c == NULL || c->tx.len < TX_HIGH))
		p[P_IN].fd = s->in;
	if (s->tx.len > 0)
		p[P_OUT].fd = s->out;
	if (c != NULL) {
		p[P_WORKER].fd = c->fd;
		p[P_WORKER].events = (short)((s->tx.len < TX_HIGH ? POLLIN : 0) |
		    (c->tx.len > 0 ? POLLOUT : 0));
		if (p[P_WORKER].events == 0)
			p[P_WORKER].fd = -1;
	}
	if (s->kill_ms != 0 && (left = s->kill_ms - worker_now_ms()) < 0)
		left = 0;
	if (poll(p, P_COUNT, (int)(left > 60000 ? 60000 : left)) < 0)
		return;			/* EINTR */
	if (p[P_OUT].revents != 0 && (s->mute || !drain(s->out, &s->tx))) {
		s->mute = true;
		end_input(s, 1);
	}
	if (p[P_IN].revents != 0)
		input(s);
	if (s->busy != NULL && p[P_WORKER].revents & POLLOUT &&
	    !drain(s->busy->fd, &s->busy->tx))
		buf_clear(&s->busy->tx);	/* its end is seen when reading */
	if (s->busy != NULL && p[P_WORKER].revents & (POLLIN | POLLHUP | POLLERR))
		worker_input(s);
	if (s->busy != NULL && s->kill_ms != 0 && s->kill_ms <= worker_now_ms())
		request_lost(s, "it took too long");
	if (s->mute)
		buf_clear(&s->tx);
}

static void
on_signal(int sig)
{
	(void)sig;
}

static void
release(struct server *s)
{
	struct request *r;

	while (s->children != NULL)
		(void)child_end(s, s->children, false);
	while ((r = request_take(s)) != NULL)
		request_free(r);
	buf_release(&s->rx);
	buf_release(&s->tx);
}

int
exec_serve(int in, int out)
{
	/* A handler and not SIG_IGN, which our children would inherit. */
	struct sigaction ignore = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct server s = { .in = in, .out = out };
	int64_t end = 0;

	assert(in > 2 && out > 2);
	s.tail = &s.queue;
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	(void)fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	hello(&s);
	while (!s.ended || s.busy != NULL || s.tx.len > 0) {
		/* What is left to say after the end has a bounded time. */
		if (s.ended && s.busy == NULL) {
			if (end == 0)
				end = worker_now_ms() + END_GRACE_MS;
			if (worker_now_ms() >= end || s.status != 0)
				break;
			s.kill_ms = end;	/* wakes the loop */
		}
		turn(&s);
		while (s.busy == NULL && !s.ended && s.queue != NULL)
			request_start(&s, request_take(&s));
	}
	release(&s);
	return s.status;
}
