/*
 * What wires over descriptors of ours share (local.c, kept.c): c->in, c->out
 * and c->err_fd, read and written without blocking.
 */
#include <errno.h>
#include <sys/socket.h>

#include "ssh/wire.h"

#define CHUNK	((size_t)64 * 1024)

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
	c->over(c);
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

void
fds_watch(struct conn *c, void (*over)(struct conn *))
{
	struct event_base *base = c->pool->base;

	(void)evutil_make_socket_nonblocking(c->in);
	(void)evutil_make_socket_nonblocking(c->err_fd);
	c->over = over;
	c->in_event = event_new(base, c->in, EV_READ | EV_PERSIST, on_in, c);
	c->out_event = event_new(base, c->out, EV_WRITE, on_out, c);
	c->err_event = event_new(base, c->err_fd, EV_READ | EV_PERSIST, on_errs, c);
	(void)event_add(c->in_event, NULL);
	(void)event_add(c->err_event, NULL);
}

size_t
fds_write(struct conn *c, const void *data, size_t len)
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

void
fds_close(struct conn *c)
{
	struct event **events[] = { &c->in_event, &c->out_event, &c->err_event };
	size_t i;

	for (i = 0; i < NITEMS(events); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
	if (c->in >= 0)
		(void)close(c->in);
	if (c->err_fd >= 0)
		(void)close(c->err_fd);
	c->in = c->out = c->err_fd = -1;
}
