/*
 * What all connections of a process share: the loop, worker threads for the
 * two things that block (name resolution, the agent), private keys read once,
 * jump hosts, the limit of connects in flight, and calls to be made from the
 * loop's ground (so that nothing is freed below its own callback).
 *
 * Only the loop's thread touches these structures; a job's run() sees nothing
 * but its own job.
 */
#ifndef PROVCTL_SSH_POOL_H
#define PROVCTL_SSH_POOL_H

#include <libssh/libssh.h>

#include "ssh/conn.h"

#define CONNECT_TIMEOUT_MS	10000
#define IDLE_TIMEOUT_MS		30000
#define MAX_CONNECTING		64
#define JUMP_DEPTH_MAX		8

struct session;
struct bastion;
struct work;
struct keyfile;
struct kept;

/* A call from the loop's ground, made once. */
struct deferred {
	struct deferred	*next;
	void		(*call)(void *arg);
	void		*arg;
	bool		 pending;
};

struct conn_pool {
	struct event_base	*base;
	unsigned		 max_connecting, connecting;
	struct session		*waiting, **waiting_tail;	/* for a slot */
	struct deferred		*deferred, **deferred_tail;
	struct event		*ground;
	struct work		*work;
	struct keyfile		*keys;
	struct bastion		*bastions;
	struct kept		*kept;		/* NULL: no keeper is asked */
	unsigned		 sessions;	/* not yet freed */
};

/* Queues the call; nothing happens when it is queued already. */
void	 pool_defer(struct conn_pool *, struct deferred *);
void	 pool_undefer(struct conn_pool *, struct deferred *);
int64_t	 pool_now_ms(void);

/* A deep copy; a missing user becomes the local one, a missing port 22. The keys_arg is shared. */
void	 conn_spec_copy(struct arena *, struct conn_spec *, const struct conn_spec *);

/* Names that could be taken for options or shell text never leave this process. 0, or -1 with err. */
int	 conn_spec_check(const struct conn_spec *, struct err *);

/* ---- jobs: work.c ------------------------------------------------------- */

/* run() in a thread, then done() in the loop, exactly once. The owner embeds it. */
struct job {
	struct job	*next;
	void		(*run)(struct job *);
	void		(*done)(struct job *);
};

struct work	*work_new(struct event_base *, struct err *);
void		 work_free(struct work *);	/* waits for running jobs */
void		 work_submit(struct work *, struct job *);

/* ---- private keys: auth.c ------------------------------------------------ */

#define KEYFILE_STAMP	96

/* A private key file, read once as long as it stays the same. */
struct keyfile {
	struct keyfile	*next;
	char		*path;
	char		 stamp[KEYFILE_STAMP];
	ssh_key		 key;		/* NULL: cannot be used, for … */
	const char	*trouble;	/* … this reason */
};

/* Says which file it is, and which version of it. */
void	 keyfile_stamp(const char *path, char [KEYFILE_STAMP]);
const struct keyfile *keyfile_get(struct conn_pool *, const char *path);
void		 keyfiles_free(struct conn_pool *);

extern const char *const keyfile_usual[];	/* names below .ssh, NULL-terminated */

/* ---- jump hosts: jump.c --------------------------------------------------- */

struct tunnel_ops {
	void	(*open)(void *arg, int fd);		/* the fd is the callee's */
	void	(*failed)(void *arg, struct err *);	/* at most once, instead of open */
};

/* The spec of the last jump host on the way to the target, which has one. 0, or -1 with err. */
int	 jump_hop(struct arena *, const struct conn_spec *target, struct conn_spec *ret, struct err *);
/* A byte stream to host:port through the jump hosts that the spec names. Exactly one of the ops is called later, unless closed before. */
struct tunnel	*tunnel_open(struct conn_pool *, const struct conn_spec *,
		    unsigned depth, const struct tunnel_ops *, void *arg);
void		 tunnel_close(struct tunnel *);
void		 bastions_free(struct conn_pool *);

#endif
