/*
 * See parcel.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/codec.h"
#include "ssh/parcel.h"

#define AT_ONCE		64	/* parcels a turn: others on the loop want to be heard, too */

struct parcel {
	STAILQ_ENTRY(parcel)	 entry;
	struct buf		 data;
	int			 fds[PARCEL_FDS];
};

STAILQ_HEAD(parcel_list, parcel);

struct parcels {
	int			 fd;
	const struct parcel_ops	*ops;
	void			*arg;
	struct event		*readable, *writable;
	struct parcel_list	 waiting;
	unsigned		 n;
	bool			 busy;		/* in a callback */
	bool			 dead;		/* to be freed behind it */
	bool			 broken;
	char			 in[PARCEL_MAX];
};

static void
close_all(int fds[PARCEL_FDS])
{
	unsigned i;

	for (i = 0; i < PARCEL_FDS; i++) {
		if (fds[i] != -1)
			(void)close(fds[i]);
		fds[i] = -1;
	}
}

static void
parcel_free(struct parcel *q)
{
	close_all(q->fds);
	buf_release(&q->data);
	free(q);
}

static void
release(struct parcels *p)
{
	struct parcel *q;

	while ((q = STAILQ_FIRST(&p->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->waiting, entry);
		parcel_free(q);
	}
	event_free(p->readable);
	event_free(p->writable);
	free(p);
}

/* ---- in -------------------------------------------------------------------------- */

/* 1: got one, 0: there is none now, -1: nothing comes any more. */
static int
receive(struct parcels *p, size_t *ret_len, int fds[PARCEL_FDS])
{
	union {
		struct cmsghdr	 align;
		char		 space[CMSG_SPACE(sizeof(int) * PARCEL_FDS)];
	} control;
	struct iovec iov = { p->in, sizeof(p->in) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
	    .msg_controllen = sizeof(control.space) };
	struct cmsghdr *c;
	size_t have = 0;
	ssize_t n;

	fds[0] = fds[1] = -1;
	n = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	for (c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), (have < PARCEL_FDS ? have : PARCEL_FDS) *
			    sizeof(int));
		}
	*ret_len = (size_t)n;
	/* Descriptors that we have no room for are missing, and no more than that. */
	return m.msg_flags & MSG_TRUNC ? -1 : 1;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct parcels *p = arg;
	int fds[PARCEL_FDS] = { -1, -1 }, r = 1, i;
	size_t len;

	(void)fd;
	(void)what;
	p->busy = true;
	for (i = 0; i < AT_ONCE && !p->dead && (r = p->broken ? -1 :
	    receive(p, &len, fds)) == 1; i++) {
		p->ops->got(p->arg, p->in, len, fds);
		close_all(fds);
	}
	if (r == -1 && !p->dead) {
		close_all(fds);
		(void)event_del(p->readable);
		(void)event_del(p->writable);
		p->broken = true;
		p->ops->gone(p->arg);
	}
	p->busy = false;
	if (p->dead)
		release(p);
}

/* ---- out ------------------------------------------------------------------------- */

/* 1: sent, 0: not now, -1: never. */
static int
transmit(struct parcels *p, const struct parcel *q)
{
	union {
		struct cmsghdr	 align;
		char		 space[CMSG_SPACE(sizeof(int) * PARCEL_FDS)];
	} control = { .space = { 0 } };
	struct iovec iov = { q->data.data, q->data.len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	size_t n = 0;

	while (n < PARCEL_FDS && q->fds[n] != -1)
		n++;
	if (n > 0) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), q->fds, sizeof(int) * n);
	}
	if (sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
		return 1;
	/* Too many descriptors on their way: the other side is about to take them. */
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ||
	    errno == ETOOMANYREFS ? 0 : -1;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { 0, 10000 };
	struct parcels *p = arg;
	struct parcel *q;
	int r = 1;

	(void)fd;
	(void)what;
	while ((q = STAILQ_FIRST(&p->waiting)) != NULL && (r = transmit(p, q)) != 0) {
		if (r == -1)
			p->broken = true;
		STAILQ_REMOVE_HEAD(&p->waiting, entry);
		p->n--;
		parcel_free(q);
	}
	if (q != NULL)	/* by the clock: it may be writable and yet not take descriptors */
		(void)event_add(p->writable, &soon);
	if (p->broken)
		event_active(p->readable, EV_READ, 0);
}

void
parcels_send(struct parcels *p, const struct value *v, const int fds[PARCEL_FDS])
{
	struct parcel *q = xcalloc(1, sizeof(*q));
	unsigned i;

	for (i = 0; i < PARCEL_FDS; i++)
		q->fds[i] = fds != NULL ? fds[i] : -1;
	buf_init(&q->data, PARCEL_MAX);
	codec_encode(&q->data, v);
	if (buf_overflowed(&q->data) || p->n >= PARCELS_WAITING)
		p->broken = true;
	if (p->broken) {
		parcel_free(q);
		event_active(p->readable, EV_READ, 0);
		return;
	}
	STAILQ_INSERT_TAIL(&p->waiting, q, entry);
	if (p->n++ == 0)
		on_writable(-1, 0, p);
}

/* ---- beginning and end ------------------------------------------------------------ */

struct parcels *
parcels_new(struct event_base *base, int fd, const struct parcel_ops *ops, void *arg)
{
	struct parcels *p = xcalloc(1, sizeof(*p));

	p->fd = fd;
	p->ops = ops;
	p->arg = arg;
	STAILQ_INIT(&p->waiting);
	p->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, p);
	p->writable = event_new(base, -1, 0, on_writable, p);
	if (p->readable == NULL || p->writable == NULL)
		abort();	/* out of memory */
	return p;
}

void
parcels_listen(struct parcels *p, bool on)
{
	if (p->broken)
		return;
	if (on)
		(void)event_add(p->readable, NULL);
	else
		(void)event_del(p->readable);
}

void
parcels_free(struct parcels *p)
{
	if (p == NULL)
		return;
	p->dead = true;
	(void)event_del(p->readable);	/* its owner may close the descriptor now */
	if (!p->busy)
		release(p);
}
