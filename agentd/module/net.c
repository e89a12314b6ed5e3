/* Byte streams to other machines; see net.h. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "module/net.h"
#include "module/proc.h"

#define SLICE_MS	200	/* between looks whether the task was cancelled */

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
net_wait(struct net *n, short events, struct err *err)
{
	struct pollfd p = { .fd = n->fd, .events = events };
	int64_t end = now_ms() + n->timeout_ms, left;
	int got;

	for (;;) {
		left = end - now_ms();
		if (left <= 0)
			return err_set(err, ERR_TIMEOUT, "timed out");
		got = poll(&p, 1, (int)(left < SLICE_MS ? left : SLICE_MS));
		if (got > 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return err_errno(err, "poll");
		if (mod_cancelled(n->m))
			return err_set(err, ERR_TIMEOUT, "cancelled");
	}
}

/* ---- connecting ----------------------------------------------------------- */

static int
connect_to(struct net *n, const struct sockaddr *sa, socklen_t len,
    struct err *err)
{
	socklen_t size = sizeof(int);
	int error = 0, one = 1;

	n->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return err_errno(err, "cannot make a socket");
	(void)setsockopt(n->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(n->fd, sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EAGAIN)
		error = errno;
	else if (net_wait(n, POLLOUT, err) != 0)
		goto fail;
	else if (getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error == 0)
		return 0;
	(void)err_set(err, ERR_IO, "%s", strerror(error));
fail:
	(void)close(n->fd);
	n->fd = -1;
	return -1;
}

/*
 * Names that only the host's own resolver knows (NSS plugins: mdns, resolve,
 * LDAP): getent asks it for us.  The first address, or NULL.
 */
static const char *
getent_address(struct mod *m, const char *host)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	const char *argv[] = { "getent", "ahosts", host, NULL };
	char *text;

	p.argv = argv;
	p.timeout_ms = 10000;
	if (host[0] == '-' || proc_find(m, "getent") == NULL ||
	    proc_query(m, &p) != 0 || p.status != 0 || p.out.len == 0)
		return NULL;
	text = buf_dup(&p.out, m->arena);
	text[strcspn(text, " \t\n")] = '\0';
	return *text == '\0' ? NULL : text;
}

static int
resolve(struct mod *m, const char *host, int port, struct addrinfo **ret,
    struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV };
	const char *address;
	char service[16];
	int rc;

	(void)snprintf(service, sizeof(service), "%d", port);
	rc = getaddrinfo(host, service, &hints, ret);
	if (rc != 0 && (address = getent_address(m, host)) != NULL)
		rc = getaddrinfo(address, service, &hints, ret);
	if (rc != 0)
		return err_set(err, ERR_IO, "cannot resolve '%s': %s", host,
		    gai_strerror(rc));
	return 0;
}

int
net_connect(struct mod *m, struct net *n, const char *host, int port,
    int timeout_ms, struct err *err)
{
	struct addrinfo *list = NULL, *a;
	int rc = -1;

	*n = (struct net){ .m = m, .fd = -1, .timeout_ms = timeout_ms };
	if (resolve(m, host, port, &list, err) != 0)
		return -1;
	for (a = list; a != NULL && rc != 0; a = a->ai_next)
		rc = connect_to(n, a->ai_addr, a->ai_addrlen, err);
	freeaddrinfo(list);
	if (rc == 0) {
		err_release(err);	/* of an address before */
		return 0;
	}
	return err_wrap(err, strchr(host, ':') != NULL ?
	    "cannot connect to [%s]:%d" : "cannot connect to %s:%d", host, port);
}

int
net_connect_unix(struct mod *m, struct net *n, const char *path,
    int timeout_ms, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	*n = (struct net){ .m = m, .fd = -1, .timeout_ms = timeout_ms };
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ERR_VALUE, "%s: too long for a socket", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect_to(n, (struct sockaddr *)&sa, sizeof(sa), err) != 0)
		return err_wrap(err, "cannot connect to %s", path);
	return 0;
}

/* ---- bytes ------------------------------------------------------------------ */

ssize_t
net_raw_read(struct net *n, void *to, size_t len, struct err *err)
{
	ssize_t got;

	for (;;) {
		got = recv(n->fd, to, len, 0);
		if (got >= 0)
			return got;
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(err, "the connection was lost");
		if (net_wait(n, POLLIN, err) != 0)
			return err_wrap(err, "no answer");
	}
}

ssize_t
net_raw_write(struct net *n, const void *from, size_t len, struct err *err)
{
	ssize_t put;

	for (;;) {
		put = send(n->fd, from, len, MSG_NOSIGNAL);
		if (put >= 0)
			return put;
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(err, "the connection was lost");
		if (net_wait(n, POLLOUT, err) != 0)
			return err_wrap(err, "cannot send");
	}
}

ssize_t
net_read(struct net *n, void *to, size_t len, struct err *err)
{
	return n->tls != NULL ? tls_read(n, to, len, err) :
	    net_raw_read(n, to, len, err);
}

int
net_write(struct net *n, const void *from, size_t len, struct err *err)
{
	const char *p = from;
	ssize_t put;

	if (n->tls != NULL)
		return tls_write(n, from, len, err);
	for (; len > 0; p += put, len -= (size_t)put)
		if ((put = net_raw_write(n, p, len, err)) < 0)
			return -1;
	return 0;
}

void
net_end(struct net *n)
{
	if (n->fd >= 0)
		(void)shutdown(n->fd, SHUT_WR);
}

void
net_close(struct net *n)
{
	tls_free(n);
	if (n->fd >= 0)
		(void)close(n->fd);
	n->fd = -1;
}
