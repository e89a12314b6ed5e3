/*
 * A worker: the process in which one user's modules run, one after another.
 *
 * It is a fork of the server, joined to it by one socket on which the frames
 * of frame.h travel as they do on the connection: REQUEST, BLOB, GO and CANCEL
 * towards the worker, PROGRESS, NEED, DATA, HELD and RESULT back.  The server has
 * decoded the request before and sends one at a time.  On the way to a worker
 * FRAME_FAILED in a REQUEST's flags means: other workers ran since, forget
 * what was cached about users and groups.
 */
#ifndef PROVCTL_EXEC_WORKER_H
#define PROVCTL_EXEC_WORKER_H

#include <stdbool.h>

#include <stdint.h>

#include "base/err.h"

#define WORKER_FORGET	0x01

/* Never returns. user NULL: stay who we are. fd: the socket to the server. */
void	 worker_main(int fd, const char *user) ATTR_NORETURN;
/* Becomes the user for good (as root): groups, ids, environment, directory. */
int	 worker_become(const char *user, struct err *);
/* Known here, in /etc/passwd or by getent. */
bool	 worker_user_exists(const char *user);
/* Monotonic. */
int64_t	 worker_now_ms(void);
/* Writes everything, waiting as needed. 0, or -1 with errno. */
int	 worker_write(int fd, const void *, size_t);

#endif
