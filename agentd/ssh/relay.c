/*
 * See relay.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "ssh/relay.h"

#define CHUNK		((size_t)64 * 1024)
#define ERRS_MARK	((size_t)64 * 1024)

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;

	(void)fd;
	(void)what;
	r->look(r);
}

size_t
relay_data(void *relay, const void *data, size_t len, bool is_stderr)
{
	struct relay *r = relay;

	if (is_stderr) {
		if (r->to_errs.len < ERRS_MARK)
			buf_add(&r->to_errs, data, len);
	} else if (r->to_data.len >= RELAY_MARK) {
		r->rest = true;
		len = 0;
	} else
		buf_add(&r->to_data, data, len);
	r->look(r);
	return len;
}

/* As much as the other side takes now; false: it is gone. */
static bool
push(int fd, struct buf *b, bool is_socket)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < b->len) {
		n = is_socket ? send(fd, b->data + done, b->len - done, MSG_NOSIGNAL) :
		    write(fd, b->data + done, b->len - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	buf_consume(b, done);
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* The run's bytes, when all before them are on their way; false: it has closed. */
static bool
take(struct relay *r)
{
	char *to;
	ssize_t n;

	if (r->to_channel.len > 0)
		return true;
	if ((to = buf_reserve(&r->to_channel, CHUNK)) == NULL)
		abort();	/* out of memory */
	n = recv(r->data, to, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		r->to_channel.len = (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

enum relay_result
relay_move(struct relay *r)
{
	char chunk[16 * 1024];
	size_t n;

	do {
		if (!take(r))
			return RELAY_LEFT;
		n = command_write(&r->command, r->to_channel.data, r->to_channel.len);
		buf_consume(&r->to_channel, n);
	} while (n > 0 && r->to_channel.len == 0);
	do {
		if (!push(r->data, &r->to_data, true))
			return RELAY_LEFT;
		n = 0;
		if (r->rest && r->to_data.len < RELAY_MARK) {
			n = command_rest(&r->command, chunk, sizeof(chunk));
			buf_add(&r->to_data, chunk, n);
			r->rest = n > 0;
		}
	} while (n > 0);
	if (!push(r->errs, &r->to_errs, false))
		buf_clear(&r->to_errs);
	if (r->command.closed && !r->rest && r->to_data.len == 0)
		return RELAY_ENDED;
	if (r->to_channel.len == 0)
		(void)event_add(r->readable, NULL);
	else
		(void)event_del(r->readable);
	if (r->to_data.len > 0)
		(void)event_add(r->writable, NULL);
	return RELAY_ON;
}

void
relay_tick(struct relay *r)
{
	static const struct timeval moment = { 0, 20000 };

	(void)event_add(r->timer, &moment);
}

struct relay *
relay_new(struct event_base *base, int fds[2], void (*look)(struct relay *))
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->look = look;
	r->data = fds[0];
	r->errs = fds[1];
	fds[0] = fds[1] = -1;
	(void)evutil_make_socket_nonblocking(r->data);
	(void)evutil_make_socket_nonblocking(r->errs);
	r->readable = event_new(base, r->data, EV_READ | EV_PERSIST, on_event, r);
	r->writable = event_new(base, r->data, EV_WRITE, on_event, r);
	r->timer = event_new(base, -1, 0, on_event, r);
	if (r->readable == NULL || r->writable == NULL || r->timer == NULL)
		abort();	/* out of memory */
	return r;
}

void
relay_free(struct relay *r)
{
	event_free(r->readable);
	event_free(r->writable);
	event_free(r->timer);
	(void)close(r->data);
	(void)close(r->errs);
	buf_release(&r->to_data);
	buf_release(&r->to_errs);
	buf_release(&r->to_channel);
	arena_release(&r->arena);
	free(r);
}
