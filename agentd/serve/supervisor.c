/*
 * See supervisor.h; the protocol is that of sd_notify(3) and sd_listen_fds(3).
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "serve/supervisor.h"

#define FIRST_FD	3	/* of those that are passed */

void
supervisor_tell(const char *fmt, ...)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	CLEANUP_CLOSE int fd = -1;
	va_list ap;
	size_t n;

	if (path == NULL || (*path != '/' && *path != '@') ||
	    (n = strlen(path)) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (*path == '@')	/* an abstract name */
		to.sun_path[0] = '\0';
	va_start(ap, fmt);
	buf_vaddf(&b, fmt, ap);
	va_end(ap);
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) != -1)
		(void)sendto(fd, b.data, b.len, MSG_NOSIGNAL, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

void
supervisor_reloading(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	supervisor_tell("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

static bool
meant_for_us(const char *name)
{
	const char *pid = getenv(name);

	return pid == NULL || strtoll(pid, NULL, 10) == getpid();
}

int64_t
supervisor_watchdog_us(void)
{
	const char *us = getenv("WATCHDOG_USEC");
	long long n = us != NULL && meant_for_us("WATCHDOG_PID") ? strtoll(us, NULL, 10) : 0;

	return n > 0 ? n : 0;
}

int
supervisor_socket(struct err *err)
{
	const char *count = getenv("LISTEN_FDS");
	int listening = 0, type = 0, family = 0;
	socklen_t n = sizeof(int);

	if (count == NULL || getenv("LISTEN_PID") == NULL || !meant_for_us("LISTEN_PID") ||
	    strcmp(count, "0") == 0)
		return -1;
	if (strcmp(count, "1") != 0) {
		(void)err_set(err, ERR_USAGE, "%s sockets were passed (LISTEN_FDS), one is expected",
		    count);
		return -2;
	}
	if (getsockopt(FIRST_FD, SOL_SOCKET, SO_DOMAIN, &family, &n) == -1 ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_TYPE, &type, &n) == -1 ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == -1 ||
	    family != AF_UNIX || type != SOCK_STREAM || !listening) {
		(void)err_set(err, ERR_USAGE, "the socket that was passed (LISTEN_FDS) is no listening"
		    " Unix stream socket");
		err_hint(err, "agentd.socket has ListenStream=/run/provctl/agentd.sock");
		return -2;
	}
	(void)fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
	(void)fcntl(FIRST_FD, F_SETFL, fcntl(FIRST_FD, F_GETFL) | O_NONBLOCK);
	return FIRST_FD;
}
