/*
 * The keeper: holds SSH sessions that are logged in, after the run that needed
 * them, so that the next one needs no connection and no login.
 *
 *	agentd ──(settings, a run's socket)──▶ keeper ═══ session ═══▶ host
 *	  └─ starts ─▶ provctl ──(asks)──────────▶ │      channel: executor of run 1
 *	                  └═══ stdin, stdout, stderr ═════ channel: executor of run 2
 *
 * It is a process of its own (`agentd --keep`) with neither database nor site.
 * For each connection a run sends who it would be (ask.h) and two descriptors,
 * and the keeper joins them to a new channel: on a session of exactly that
 * identity, or on one that it opens.  The executor at the other end is the
 * run's alone, and ends with the connection.
 *
 * - A session is used again only when the identity is the same: address, port,
 *   user, key files (and their versions), agent, jump hosts with all that; and
 *   when each host key that was seen then is one that this run knows.  If not,
 *   it is given up and a new one is made, with the run's keys, as without us.
 * - When a run has changed a host, all sessions to it are given up (forget):
 *   groups, limits and sshd's configuration are those of a new login.  So are
 *   those of a run that dies.
 * - No secret comes here: connections with a login password are not asked of
 *   the keeper, sudo's password goes through the channel.  Host keys are
 *   never accepted here: who meets a host for the first time does it himself.
 * - A session that does not open a channel within 3 s, or is gone, is replaced
 *   within the same request.  Idle ones are watched by TCP keepalives.
 * - At most 8 channels on a session (sshd's MaxSessions is 10), then a second
 *   one; at most KEEPER_IDLE_MAX idle ones, the oldest goes first.
 * - What flows is bounded: one side is read only as the other takes it.
 *
 * Parcels (parcel.h) from agentd: {keep_ms: how long idle sessions are kept, 0:
 * not}, with a run's socket or without.  From a run, and to it: ask.h.
 */
#ifndef PROVCTL_SSH_KEEPER_H
#define PROVCTL_SSH_KEEPER_H

#include <event2/event.h>

#include "base/err.h"

#define KEEPER_IDLE_MAX		128
#define KEEPER_CHANNELS_MAX	8

/* Serves the socket's other end until that is gone and no run is left. 0, or -1 with err. */
int	 keeper_run(int fd, struct err *);

#endif
