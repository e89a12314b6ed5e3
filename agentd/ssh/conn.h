/*
 * Connections: one executor at the other end of an ordered stream of frames.
 *
 * The same object for both kinds: ssh (a libssh session on the event loop,
 * one exec channel) and local (the executor as a child process).  A
 * connection goes through these states, each with a deadline, and tells its
 * owner by exactly one of ready() or closed(); closed() comes exactly once in
 * any case and is the last call:
 *
 *	resolve → connect → kex → host key → auth → channel → bootstrap
 *	(→ upload) → HELLO = ready → … → closed
 *
 * The owner may call conn_close() from within callbacks; memory is reaped
 * later from the loop.  Bootstrap, upload, cache and become are described in
 * ssh/README.md.
 */
#ifndef PROVCTL_SSH_CONN_H
#define PROVCTL_SSH_CONN_H

#include <event2/event.h>

#include "base/frame.h"
#include "base/value.h"

enum conn_kind { CONN_SSH, CONN_LOCAL };

enum become_method { BECOME_NONE, BECOME_SUDO };

struct conn_spec {
	enum conn_kind		 kind;
	const char		*name;		/* the inventory's, for messages and the key store */
	const char		*host;		/* where to connect */
	int			 port;
	const char		*user;		/* NULL: the local user's name */
	const char *const	*keys;		/* private key files, NULL-terminated; none: the usual ones of ~/.ssh */
	const char		*password;	/* login password, or NULL */
	bool			 use_agent;
	const char		*jump;		/* ProxyJump: "[user@]host[:port][,…]", or NULL */
	enum become_method	 become;	/* run the executor as root */
	const char		*become_password;	/* or NULL */
	int			 connect_timeout_ms;	/* each step; 0: 10,000 */
	int			 idle_timeout_ms;	/* no byte for this long although a PONG is due: dead; 0: 30,000 */
	bool			 accept_new_host_keys;
	bool			 lax_kex;	/* do without strict key exchange (kexgate.h) … */
	bool			 jump_lax_kex;	/* … on the way, with the jump hosts */
	const char		*home;		/* whose .ssh has the usual keys; NULL: $HOME */
	const char		*agent;		/* the agent's socket; NULL: $SSH_AUTH_SOCK */
	const char		*share;		/* only specs with the same text share a jump host's session; may be NULL */
	/* Host keys we know. Looks up "host:port" → list of "type base64"; may be NULL. */
	int	(*known_keys)(void *arg, const char *host, int port,
		    const char **ret_keys, uint32_t max, uint32_t *ret_n);
	/* Pins a new key (accept_new_host_keys). 0, or -1 with err. */
	int	(*pin_key)(void *arg, const char *host, int port, const char *key, struct err *);
	void			*keys_arg;
	/* Told of each key that was found right. May be NULL. */
	void	(*seen_key)(void *arg, const char *host, int port, const char *key);
	/* Settings of jump hosts come from here (ssh_config): fills a spec for a name. May be NULL. */
	int	(*jump_spec)(void *arg, const char *name, struct conn_spec *ret, struct err *);
	void			*jump_arg;
};

struct conn;

struct conn_ops {
	void	(*ready)(void *arg, const struct value *hello);
	void	(*frame)(void *arg, const struct frame *);	/* PROGRESS, NEED, DATA, RESULT */
	/* code ERR_NONE: ended by conn_close(); ERR_AUTH, ERR_HOSTKEY, ERR_TIMEOUT, ERR_IO … otherwise, with a message and a hint. */
	void	(*closed)(void *arg, struct err *);
};

/* Shared by all connections of a process: the loop, in-flight limits, the executor's bytes. */
struct conn_pool;

struct conn_pool *conn_pool_new(struct event_base *, unsigned max_connecting,
		    struct err *);
void		 conn_pool_free(struct conn_pool *);	/* after all connections have closed */
/*
 * From now on ssh connections are first asked of the keeper (keeper.h) at the
 * other end of fd, which stays the caller's and must outlive the pool.  Those
 * with a login password or to a host without a known key are made here, and
 * so are all when the keeper is gone.
 */
void		 conn_pool_keeper(struct conn_pool *, int fd);
/* Who connects to that host and port after this is logged in anew: the keeper's sessions are given up. */
void		 conn_pool_forget(struct conn_pool *, const struct conn_spec *);

/* The spec is copied. Never fails at once: trouble comes through closed(). */
struct conn	*conn_open(struct conn_pool *, const struct conn_spec *,
		    const struct conn_ops *, void *arg);
/* Queues frames (whole ones, as frame_put made them). Before ready() they wait. */
void		 conn_send(struct conn *, const void *, size_t);
/* Bytes not yet handed to the network: for not queueing a whole file at once. */
size_t		 conn_queued(const struct conn *);
/* Called when conn_queued falls below 256 KiB after having been above; NULL: not. */
void		 conn_on_drain(struct conn *, void (*drained)(void *arg));
/* Orderly: BYE, wait for the end (bounded), closed(ERR_NONE). abort: at once. */
void		 conn_close(struct conn *, bool abort);
/* What is happening now, for live output: "connecting", "uploading executor" … */
const char	*conn_state(const struct conn *);

/* In closed(): "address port" where no SSH server answered, when that is why; else (and behind a jump host) NULL. */
const char	*conn_unanswered(const struct conn *, struct arena *);

/* The executor's bytes for a machine type ("x86_64"), embedded in the program; NULL: none for it. */
const void	*executor_image(const char *arch, size_t *ret_len, const char **ret_sha256);

#endif
