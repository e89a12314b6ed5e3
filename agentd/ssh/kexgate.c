/*
 * Strict key exchange, required (CVE-2023-48795, "Terrapin").
 *
 * Without it somebody on the way can cut off the first packets that are
 * encrypted, since what was sent before counts for nothing.  Both sides offer
 * it by a name in the list of their first packet, the KEXINIT; libssh uses it
 * when both do, but does not tell.  So until both have, a gate stands between
 * the network and libssh, which has one end of a socketpair:
 *
 *	network ── gate ══ socketpair ══ libssh
 *
 * Versions pass; a KEXINIT passes when the name is in it, and nothing passes
 * before it.  What passes is what libssh sees, byte for byte, and the host's
 * signature covers it: a name that somebody put there makes the exchange fail.
 * Then, with nothing on its way, libssh's descriptor becomes the network's by
 * dup3(), and the gate is gone: about as many bytes as this comment were copied.
 *
 * Peeking at a socket that libssh reads from cannot be sure to see what it
 * sees; its log is made for people.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "ssh/kexgate.h"

#define CHUNK		((size_t)16 * 1024)
#define LINES_MAX	((size_t)16 * 1024)	/* of what stands before the version */
#define PACKET_MAX	((uint32_t)35000)	/* RFC 4253, 6.1 */
#define LIST_AT		((size_t)26)		/* length, padding, type, cookie, length of the list */
#define SSH_MSG_KEXINIT	20

/* One direction. */
struct way {
	struct hello	 hello;
	struct buf	 held, out;	/* not looked at; looked at, but not yet written */
	bool		 ended;
};

struct kexgate {
	int		 net, end;	/* end: ours of the socketpair */
	int		 fd;		/* libssh's, not ours */
	struct way	 in, out;	/* from the server; from libssh */
	struct event	*net_io, *end_io;
	void		(*turn)(void *arg);
	void		*arg;
};

/* ---- what they say ---------------------------------------------------------- */

static uint32_t
be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static bool
has_name(const char *list, size_t n, const char *name)
{
	size_t len = strlen(name);
	const char *end = list + n, *comma;

	for (; list < end; list = comma + 1) {
		if ((comma = memchr(list, ',', (size_t)(end - list))) == NULL)
			comma = end;
		if ((size_t)(comma - list) == len && memcmp(list, name, len) == 0)
			return true;
	}
	return false;
}

/* A line that may be the version: how many bytes it has, 0 when it is not whole. */
static size_t
take_line(struct hello *h, const char *data, size_t n)
{
	const char *nl = memchr(data, '\n', n);
	size_t len, i;

	if ((h->before += nl == NULL ? 0 : (size_t)(nl - data) + 1) > LINES_MAX ||
	    (nl == NULL && n > LINES_MAX))
		h->state = HELLO_BAD;
	if (nl == NULL || h->state == HELLO_BAD)
		return 0;
	len = (size_t)(nl - data);
	if (len < 4 || memcmp(data, "SSH-", 4) != 0)
		return len + 1;
	h->state = HELLO_PACKET;
	for (i = 0; i < len && i < sizeof(h->version) - 1 && data[i] != '\r'; i++)
		h->version[i] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
	return len + 1;
}

size_t
hello_look(struct hello *h, const char *data, size_t n)
{
	size_t at = 0, line;
	uint32_t len, list;

	while (h->state == HELLO_LINES && (line = take_line(h, data + at, n - at)) > 0)
		at += line;
	if (h->state == HELLO_STRICT)
		return n;
	if (h->state != HELLO_PACKET || n - at < LIST_AT)
		return at;
	data += at;
	len = be32(data);
	list = be32(data + LIST_AT - 4);
	if (data[5] != SSH_MSG_KEXINIT || len > PACKET_MAX || len < LIST_AT - 4 ||
	    list > len - (LIST_AT - 4))
		h->state = HELLO_BAD;
	else if (n - at >= LIST_AT + list)
		h->state = has_name(data + LIST_AT, list, h->want) ? HELLO_STRICT :
		    HELLO_LAX;
	return h->state == HELLO_STRICT ? n : at;
}

/* ---- moving bytes ------------------------------------------------------------ */

static void
way_move(struct way *w, int from, int to)
{
	char *space;
	ssize_t n;
	size_t pass;

	if (!w->ended && w->out.len == 0 &&
	    (space = buf_reserve(&w->held, CHUNK)) != NULL) {
		n = recv(from, space, CHUNK, 0);
		if (n > 0)
			w->held.len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			w->ended = true;
	}
	if (w->held.len > 0 && (pass = hello_look(&w->hello, w->held.data, w->held.len)) > 0) {
		buf_add(&w->out, w->held.data, pass);
		buf_consume(&w->held, pass);
	}
	while (w->out.len > 0 &&
	    (n = send(to, w->out.data, w->out.len, MSG_NOSIGNAL)) != 0) {
		if (n > 0)
			buf_consume(&w->out, (size_t)n);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			buf_clear(&w->out);	/* the other way tells why */
	}
}

static void	on_gate(evutil_socket_t, short, void *);

static void
listen_to(struct event *ev, struct kexgate *g, int fd, const struct way *from,
    const struct way *to)
{
	short want = (short)((from->ended || from->out.len > 0 ? 0 : EV_READ) |
	    (to->out.len > 0 ? EV_WRITE : 0));

	(void)event_del(ev);
	(void)event_assign(ev, event_get_base(ev), fd, (short)(want | EV_PERSIST), on_gate, g);
	if (want != 0)
		(void)event_add(ev, NULL);
}

static void
on_gate(evutil_socket_t fd, short what, void *arg)
{
	struct kexgate *g = arg;
	int one = 1;

	(void)what;
	if (fd == g->net)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	if (g->in.hello.state != HELLO_STRICT || g->in.out.len > 0)
		way_move(&g->in, g->net, g->end);
	way_move(&g->out, g->end, g->net);
	if (g->in.ended)
		(void)shutdown(g->end, SHUT_WR);	/* libssh is told */
	listen_to(g->net_io, g, g->net, &g->in, &g->out);
	listen_to(g->end_io, g, g->end, &g->out, &g->in);
	g->turn(g->arg);
}

/* ---- the gate ----------------------------------------------------------------- */

struct kexgate *
kexgate_open(struct event_base *base, int net, int *ret_fd, void (*turn)(void *), void *arg)
{
	struct kexgate *g;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return NULL;
	g = xcalloc(1, sizeof(*g));
	g->net = net;
	g->end = pair[0];
	g->fd = *ret_fd = pair[1];
	g->in.hello.want = "kex-strict-s-v00@openssh.com";
	g->out.hello.want = "kex-strict-c-v00@openssh.com";
	g->turn = turn;
	g->arg = arg;
	g->net_io = event_new(base, g->net, EV_READ | EV_PERSIST, on_gate, g);
	g->end_io = event_new(base, g->end, EV_READ | EV_PERSIST, on_gate, g);
	if (g->net_io == NULL || g->end_io == NULL)
		abort();	/* out of memory */
	(void)event_add(g->net_io, NULL);
	(void)event_add(g->end_io, NULL);
	return g;
}

static bool
is_empty(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 && n == 0;
}

enum kexgate_state
kexgate_look(const struct kexgate *g)
{
	const struct hello *in = &g->in.hello, *out = &g->out.hello;

	if (in->state == HELLO_LAX)
		return GATE_LAX;
	if (in->state == HELLO_BAD)
		return GATE_BAD;
	if (out->state == HELLO_LAX || out->state == HELLO_BAD)
		return GATE_OURS;
	return in->state == HELLO_STRICT && out->state == HELLO_STRICT &&
	    g->in.out.len == 0 && g->out.out.len == 0 && !g->in.ended &&
	    is_empty(g->end) && is_empty(g->fd) ? GATE_OVER : GATE_ON;
}

const char *
kexgate_version(const struct kexgate *g)
{
	return g->in.hello.version;
}

int
kexgate_join(struct kexgate *g)
{
	return dup3(g->net, g->fd, O_CLOEXEC) == -1 ? -1 : 0;
}

void
kexgate_free(struct kexgate *g)
{
	if (g == NULL)
		return;
	event_free(g->net_io);
	event_free(g->end_io);
	(void)close(g->net);
	(void)close(g->end);
	buf_release(&g->in.held);
	buf_release(&g->in.out);
	buf_release(&g->out.held);
	buf_release(&g->out.out);
	free(g);
}
