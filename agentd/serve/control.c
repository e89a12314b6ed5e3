/*
 * See control.h.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>

#include "base/json.h"
#include "serve/control.h"

#define READ_SIZE	16384
#define OUT_MAX		((size_t)16 * 1024 * 1024)	/* that a client has not read yet */
#define BACKLOG		64

/* What a client is waited for, and how long in seconds. */
enum { WAITS_NOTHING, WAITS_HELLO, WAITS_LINE, WAITS_READING, WAITS_REQUEST };
static const int patience[] = {
	[WAITS_HELLO] = 5, [WAITS_LINE] = 10, [WAITS_READING] = 30, [WAITS_REQUEST] = 300,
};

struct control {
	struct event_base	*base;
	struct control_ops	 ops;
	int			 fd;
	gid_t			 group;		/* whose members are let in; (gid_t)-1: none */
	struct event		*acceptable, *again;
	struct client		*clients;
	unsigned		 n;
};

static void on_readable(evutil_socket_t, short, void *);
static void on_writable(evutil_socket_t, short, void *);
static void on_deadline(evutil_socket_t, short, void *);

/* ---- the socket ---------------------------------------------------------------------- */

const char *
control_default_path(struct arena *a)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (geteuid() != 0 && dir != NULL && *dir == '/')
		return arena_printf(a, "%s/provctl/agentd.sock", dir);
	return "/run/provctl/agentd.sock";
}

static int
make_folder(const char *path, bool group, struct err *err)
{
	struct arena a = { 0 };
	const char *dir = dirname(arena_strdup(&a, path));
	int r = 0;

	if (mkdir(dir, 0700) == 0) {
		if (group && chmod(dir, 0755) == -1)
			r = err_errno(err, "cannot open '%s' for the group", dir);
	} else if (errno != EEXIST)
		r = err_errno(err, "cannot make the folder '%s'", dir);
	arena_release(&a);
	return r;
}

/* A socket that nobody answers at is left over from a crash. */
static int
remove_stale(const char *path, const struct sockaddr_un *addr, struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : err_errno(err, "cannot look at '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_IO, "'%s' is in the way: it is no socket", path);
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN) {
		(void)err_set(err, ERR_BUSY, "an agentd listens at '%s' already", path);
		return -1;
	}
	if (errno != ECONNREFUSED || unlink(path) == -1)
		return err_errno(err, "cannot remove the old socket '%s'", path);
	return 0;
}

int
control_listen(const char *path, const char *group, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct group *gr = NULL;
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ERR_USAGE, "the socket's path '%s' is too long (%zu bytes at most)",
		    path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	if (group != NULL && (gr = getgrnam(group)) == NULL) {
		(void)err_set(err, ERR_INVALID, "there is no group '%s' for the socket", group);
		return -1;
	}
	if (make_folder(path, gr != NULL, err) == -1 || remove_stale(path, &addr, err) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The umask keeps others out from the first moment. */
	if (fd == -1 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    (gr != NULL && chown(path, (uid_t)-1, gr->gr_gid) == -1) ||
	    chmod(path, gr != NULL ? 0660 : 0600) == -1 || listen(fd, BACKLOG) == -1) {
		(void)err_errno(err, "cannot listen at '%s'", path);
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	return fd;
}

/* The group that the socket's own mode lets in. */
static gid_t
socket_group(int fd)
{
	struct sockaddr_un addr;
	socklen_t n = sizeof(addr);
	struct stat st;

	memset(&addr, 0, sizeof(addr));
	if (getsockname(fd, (struct sockaddr *)&addr, &n) == -1 || addr.sun_path[0] != '/' ||
	    stat(addr.sun_path, &st) == -1 || !(st.st_mode & S_IWGRP))
		return (gid_t)-1;
	return st.st_gid;
}

static bool
let_in(const struct control *ct, int fd, const struct ucred *cred)
{
	gid_t groups[1024];
	socklen_t n = sizeof(groups);
	size_t i;

	if (cred->uid == 0 || cred->uid == geteuid())
		return true;
	if (ct->group == (gid_t)-1)
		return false;
	if (cred->gid == ct->group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) == -1)
		return false;
	for (i = 0; i < n / sizeof(groups[0]); i++)
		if (groups[i] == ct->group)
			return true;
	return false;
}

/* ---- clients ---------------------------------------------------------------------------- */

static void
close_fds(struct client *c)
{
	while (c->nfds > 0)
		(void)close(c->fds[--c->nfds]);
}

static void
client_free(struct client *c)
{
	struct client **p;

	for (p = &c->control->clients; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	c->control->n--;
	close_fds(c);
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->deadline);
	(void)close(c->fd);
	buf_release(&c->in);
	buf_release(&c->out);
	free(c);
}

/* Sets the deadline anew when something else is waited for than before. */
static void
watch(struct client *c, bool progress)
{
	int what = !c->greeted ? WAITS_HELLO : c->out.len > 0 ? WAITS_READING :
	    c->in.len > 0 ? WAITS_LINE : c->owns != 0 || c->follows != 0 || c->all ?
	    WAITS_NOTHING : WAITS_REQUEST;
	struct timeval tv = { patience[what], 0 };

	if (what == c->waits_for && !progress)
		return;
	c->waits_for = what;
	if (what == WAITS_NOTHING)
		(void)event_del(c->deadline);
	else
		(void)event_add(c->deadline, &tv);
}

/* Sends what is there. Never frees. */
static void
push(struct client *c)
{
	bool progress = false;
	ssize_t n;

	while (!c->dead && c->out.len > 0) {
		n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			c->dead = true;
			break;
		}
		buf_consume(&c->out, (size_t)n);
		progress = true;
	}
	if (c->closing && c->out.len == 0)
		c->dead = true;
	if (c->dead) {
		event_active(c->writable, EV_WRITE, 0);	/* buried there */
		return;
	}
	if (c->out.len > 0)
		(void)event_add(c->writable, NULL);
	watch(c, progress);
}

static void
put(struct client *c, const char *data, size_t n)
{
	if (c->dead)
		return;
	buf_add(&c->out, data, n);
	/* One that does not read what it follows. */
	if (buf_overflowed(&c->out))
		c->dead = true;
	push(c);
}

void
control_tell(struct client *c, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
	buf_addc(&b, '\n');
	put(c, b.data, b.len);
}

void
control_reply(struct client *c, int64_t id, const struct value *result)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a);

	v_set_int(&a, v, "id", id);
	v_sets(&a, v, "result", result != NULL ? result : v_map(&a));
	control_tell(c, v);
	arena_release(&a);
}

void
control_error(struct client *c, int64_t id, struct err *err)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a), *e = v_map(&a);

	v_set_int(&a, v, "id", id);
	v_set_str(&a, e, "code", request_error_name(err->code));
	v_set_str(&a, e, "message", err->msg != NULL ? err->msg : "");
	if (err->hint != NULL)
		v_set_str(&a, e, "hint", err->hint);
	v_sets(&a, v, "error", e);
	control_tell(c, v);
	arena_release(&a);
	err_release(err);
}

void
control_event(struct control *ct, struct client *only, int64_t job, int64_t run,
    const char *line, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct client *c;

	for (c = ct->clients; c != NULL; c = c->next) {
		if (only != NULL ? c != only : !c->all && c->follows != job)
			continue;
		if (b.len == 0) {
			buf_addf(&b, "{\"job\":%lld,\"run\":%lld,\"event\":", (long long)job,
			    (long long)run);
			buf_add(&b, line, n);
			buf_adds(&b, "}\n");
		}
		put(c, b.data, b.len);
	}
}

void
control_tell_all(struct control *ct, bool (*wanted)(const struct client *, int64_t),
    int64_t job, const struct value *v)
{
	struct client *c;

	for (c = ct->clients; c != NULL; c = c->next)
		if (wanted(c, job))
			control_tell(c, v);
}

struct client *
control_owner(struct control *ct, int64_t job)
{
	struct client *c;

	for (c = ct->clients; c != NULL && c->owns != job; c = c->next)
		;
	return c;
}

/* ---- lines ------------------------------------------------------------------------------- */

static void
take_line(struct client *c, const char *line, size_t n)
{
	struct arena a = { 0 };
	struct request r;
	struct err err = ERR_INIT;

	if (request_parse(&a, line, n, &r, &err) == -1) {
		control_error(c, r.id, &err);
	} else if (!c->greeted && r.method != METHOD_HELLO) {
		(void)err_set(&err, ERR_INVALID, "the first request must be 'hello'");
		control_error(c, r.id, &err);
		c->closing = true;
	} else if (r.method == METHOD_HELLO && r.protocol != CONTROL_PROTOCOL) {
		(void)err_set(&err, ERR_UNSUPPORTED, "version %lld of the protocol is not spoken here, but %d",
		    (long long)r.protocol, CONTROL_PROTOCOL);
		err_hint(&err, "provctl and agentd are of different versions: restart agentd");
		control_error(c, r.id, &err);
		c->closing = true;
	} else {
		c->greeted = true;
		c->control->ops.request(c->control->ops.arg, c, &r);
	}
	close_fds(c);
	arena_release(&a);
	push(c);
}

static void
take_lines(struct client *c)
{
	struct err err = ERR_INIT;
	size_t at = 0, n;
	const char *end;

	while (!c->dead && !c->closing &&
	    (end = memchr(c->in.data + at, '\n', c->in.len - at)) != NULL) {
		n = (size_t)(end - (c->in.data + at));
		take_line(c, c->in.data + at, n);
		at += n + 1;
	}
	buf_consume(&c->in, at);
	if (c->in.len > REQUEST_MAX && !c->closing && !c->dead) {
		(void)err_set(&err, ERR_LIMIT, "a request of more than %zu bytes", REQUEST_MAX);
		control_error(c, 0, &err);
		c->closing = true;
		push(c);
	}
}

/* Descriptors that came along; too many are closed by the kernel. */
static void
take_fds(struct client *c, struct msghdr *msg)
{
	struct cmsghdr *cm;
	int fds[CLIENT_FDS];
	size_t i, n;

	for (cm = CMSG_FIRSTHDR(msg); cm != NULL; cm = CMSG_NXTHDR(msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > CLIENT_FDS)
			n = CLIENT_FDS;
		memcpy(fds, CMSG_DATA(cm), n * sizeof(int));
		for (i = 0; i < n; i++)
			if (c->nfds < CLIENT_FDS)
				c->fds[c->nfds++] = fds[i];
			else
				(void)close(fds[i]);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	union {
		struct cmsghdr	align;
		char		room[CMSG_SPACE(sizeof(int) * CLIENT_FDS)];
	} control;
	struct iovec io = { .iov_len = READ_SIZE };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
	    .msg_controllen = sizeof(control) };
	ssize_t n;

	(void)what;
	if ((io.iov_base = buf_reserve(&c->in, READ_SIZE)) == NULL) {
		client_free(c);
		return;
	}
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(c);
		return;
	}
	take_fds(c, &msg);
	c->in.len += (size_t)n;
	if (c->closing)
		buf_clear(&c->in);
	else
		take_lines(c);
	if (c->dead)
		client_free(c);
	else
		watch(c, false);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	push(c);
	if (c->dead)
		client_free(c);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	client_free(arg);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static struct client *
client_new(struct control *ct, int fd, const struct ucred *cred)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->control = ct;
	c->fd = fd;
	c->uid = cred->uid;
	c->pid = cred->pid;
	buf_init(&c->in, REQUEST_MAX + 2 * READ_SIZE);
	buf_init(&c->out, OUT_MAX);
	c->readable = event_new(ct->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(ct->base, fd, EV_WRITE, on_writable, c);
	c->deadline = event_new(ct->base, -1, 0, on_deadline, c);
	if (c->readable == NULL || c->writable == NULL || c->deadline == NULL ||
	    event_add(c->readable, NULL) == -1)
		abort();	/* out of memory */
	c->next = ct->clients;
	ct->clients = c;
	ct->n++;
	watch(c, true);
	return c;
}

/* Listens again after a pause. */
static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct control *ct = arg;

	(void)fd;
	(void)what;
	if (ct->acceptable != NULL)
		(void)event_add(ct->acceptable, NULL);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval second = { 1, 0 };
	struct control *ct = arg;
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(cred);
	struct err err = ERR_INIT;
	struct client *c;
	int conn;

	(void)what;
	if ((conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1) {
		if (errno == EMFILE || errno == ENFILE) {
			/* No descriptor left: who knocks would wake us without end. */
			(void)event_del(ct->acceptable);
			(void)event_add(ct->again, &second);
		}
		return;
	}
	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &cred, &n) == -1 || ct->n >= 2 * CLIENTS_MAX) {
		(void)close(conn);
		return;
	}
	c = client_new(ct, conn, &cred);
	if (!let_in(ct, conn, &cred))
		(void)err_set(&err, ERR_AUTH, "user %lld may not use this agentd", (long long)cred.uid);
	else if (ct->n > CLIENTS_MAX)
		(void)err_set(&err, ERR_BUSY, "%d clients are connected, that is enough", CLIENTS_MAX);
	else
		return;
	c->closing = true;
	control_error(c, 0, &err);
}

struct control *
control_new(struct event_base *base, int fd, const struct control_ops *ops)
{
	struct control *ct = xcalloc(1, sizeof(*ct));

	ct->base = base;
	ct->ops = *ops;
	ct->fd = fd;
	ct->group = socket_group(fd);
	ct->acceptable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, ct);
	ct->again = event_new(base, -1, 0, on_again, ct);
	if (ct->acceptable == NULL || ct->again == NULL || event_add(ct->acceptable, NULL) == -1)
		abort();	/* out of memory */
	return ct;
}

void
control_deaf(struct control *ct)
{
	if (ct->acceptable == NULL)
		return;
	event_free(ct->acceptable);
	ct->acceptable = NULL;
	(void)close(ct->fd);
	ct->fd = -1;
}

void
control_free(struct control *ct)
{
	struct client *c, *next;

	control_deaf(ct);
	event_free(ct->again);
	for (c = ct->clients; c != NULL; c = next) {
		next = c->next;
		client_free(c);
	}
	free(ct);
}
