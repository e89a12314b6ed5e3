/*
 * An SSH session from a name to being logged in, on the loop; what is done on
 * it then (the executor's channel, tunnels) is its owner's.
 *
 *	wait → resolve → connect ─┐
 *	     └───────→ tunnel ────┴→ key exchange → host key → login → up
 */
#ifndef PROVCTL_SSH_SESSION_H
#define PROVCTL_SSH_SESSION_H

#include <libssh/libssh.h>

#include "ssh/pool.h"

struct session_ops {
	void	(*up)(void *arg);
	/* Something may have happened on an up session: look at your channels. */
	void	(*turn)(void *arg);
	/* It failed or was lost; the last call. */
	void	(*down)(void *arg, struct err *);
};

/* depth: jump hosts on the way so far. The spec must live until down() or session_close(). */
struct session	*session_open(struct conn_pool *, const struct conn_spec *,
		    unsigned depth, const struct session_ops *, void *arg);
/* No call comes any more; memory is reaped later. */
void		 session_close(struct session *);
ssh_session	 session_handle(struct session *);
/* To be called after using the handle outside turn(). */
void		 session_used(struct session *);
/* To be called when something came in outside turn(): it follows. */
void		 session_again(struct session *);
const char	*session_state(const struct session *);
/* In down(): was there no SSH server at all (behind a jump host nobody knows)? */
bool		 session_unanswered(const struct session *, const struct err *);
/* When the server was last heard of (pool_now_ms()). */
int64_t		 session_heard_ms(const struct session *);
const char	*session_error(struct session *);	/* libssh's words, tidied */
/* "host:port" for messages. */
const char	*session_where(const struct session *);

/* ---- hostkey.c ------------------------------------------------------------ */

/* Sets which types of host keys are asked for: those we know first. */
void	 hostkey_prefer(ssh_session, const struct conn_spec *);
/* Compares the server's key with what is known. 0, or -1 with ERR_HOSTKEY. */
int	 hostkey_check(ssh_session, const struct conn_spec *, struct err *);

/* ---- auth.c ---------------------------------------------------------------- */

enum auth_result {
	AUTH_NEXT,		/* go on at once */
	AUTH_WAIT,		/* for the server */
	AUTH_OK, AUTH_FAILED,
	AUTH_AGENT		/* for the agent: auth_agent() in a thread, then auth_agent_done() */
};

struct auth {
	unsigned	 step;		/* index into the plan of methods */
	unsigned	 key;		/* index of the key file */
	struct buf	 tried;		/* for the message */
};

/* Goes on with logging in: any result but AUTH_NEXT. */
enum auth_result auth_step(struct conn_pool *, struct auth *, ssh_session,
		    const struct conn_spec *, struct err *);
/* Blocking. Returns libssh's result. fd: the agent's socket. */
int	 auth_agent(ssh_session, int fd);
enum auth_result auth_agent_done(struct auth *, ssh_session, int result);
void	 auth_release(struct auth *);

#endif
