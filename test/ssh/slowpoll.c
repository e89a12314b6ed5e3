/*
 * Every poll() waits a moment first, as on a busy machine: what libssh sent
 * is answered by then, so that one of its calls may read several answers.
 *
 *	LD_PRELOAD=slowpoll.so connrun …
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>

#define PAUSE_US	20000

typedef int poll_fn(struct pollfd *, nfds_t, int);

poll_fn	 poll;

int
poll(struct pollfd *fds, nfds_t n, int timeout)
{
	poll_fn *real = (poll_fn *)dlsym(RTLD_NEXT, "poll");

	(void)usleep(PAUSE_US);
	return real(fds, n, timeout);
}
