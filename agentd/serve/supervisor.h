/*
 * What systemd and its daemons say to each other, without its library: that we
 * are ready, reload or stop, that we are alive, and the socket it made for us.
 * Without systemd all of this does nothing.
 */
#ifndef PROVCTL_SERVE_SUPERVISOR_H
#define PROVCTL_SERVE_SUPERVISOR_H

#include <stdint.h>

#include "base/err.h"

/* "READY=1", "STATUS=…": lines for $NOTIFY_SOCKET. */
void	 supervisor_tell(const char *fmt, ...) ATTR_PRINTF(1, 2);
/* RELOADING=1 wants the time, too. */
void	 supervisor_reloading(void);
/* How often WATCHDOG=1 is expected, in µs; 0: not. */
int64_t	 supervisor_watchdog_us(void);
/* The listening Unix socket that was passed to us, -1: none, -2 with err: something else was. */
int	 supervisor_socket(struct err *);

#endif
