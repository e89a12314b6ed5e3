/*
 * A connection's inside: struct conn, what carries its bytes (a wire: an SSH
 * channel, a child process, a keeper), and how the executor is got to run.
 *
 *	conn.c       states, frames, heartbeat
 *	bootstrap.c  the script, its answers, what its failures mean
 *	channel.c    wire over SSH
 *	fds.c        descriptors of    local.c  wire to a child process
 *	                               kept.c   wire over a session that a keeper keeps
 */
#ifndef PROVCTL_SSH_WIRE_H
#define PROVCTL_SSH_WIRE_H

#include "ssh/command.h"
#include "ssh/pool.h"

#define ERRS_MAX	((size_t)16 * 1024)	/* of the other side's stderr */
#define NOISE_MAX	((size_t)256 * 1024)	/* before the executor speaks */
#define NONCE_LEN	32			/* hex digits */

enum conn_state {
	C_OPENING,		/* the wire is being made */
	C_STARTING,		/* the script runs */
	C_UPLOADING,
	C_GREETING,		/* READY was said, HELLO is due */
	C_READY,
	C_CLOSING,		/* BYE was sent */
	C_DEAD
};

struct wire {
	void		(*start)(struct conn *);
	/* Takes as many bytes as it can now. */
	size_t		(*write)(struct conn *, const void *, size_t);
	/* Ends it at once; it calls nothing any more. */
	void		(*stop)(struct conn *);
	/* The deadline is over while it is being made. NULL: an error as any other. */
	void		(*overdue)(struct conn *);
};

struct conn {
	struct conn_pool	*pool;
	struct arena		 arena;
	struct conn_spec	 spec;
	const struct conn_ops	*ops;
	void			*arg;
	void			(*drained)(void *arg);
	enum conn_state		 state;
	struct err		 err;		/* to be reported by closed() */
	struct deferred		 ground, flush;
	struct event		*timer;
	char			 nonce[NONCE_LEN + 1];
	struct buf		 rx;		/* from the other side */
	struct buf		 errs;		/* its stderr, the last ERRS_MAX */
	struct buf		 tx;		/* frames to send … */
	size_t			 tx_off;	/* … from here */
	const char		*upload;	/* the executor's bytes still to send */
	size_t			 upload_len;
	unsigned		 prompts;	/* sudo asked so often */
	bool			 above;		/* conn_queued() was above the mark */
	bool			 ran;		/* ready() was called */
	bool			 unanswered;	/* no SSH server was there */
	int64_t			 heard_ms;	/* last byte from the other side */
	int64_t			 pinged_ms;	/* 0: no PONG is due */
	const struct wire	*wire;
	int			 status;	/* exit status; -1: unknown */
	char			 signal[16];
	/* channel.c */
	struct session		*session;
	struct command		 command;
	/* fds.c */
	int			 in, out, err_fd;	/* in and out may be the same */
	struct event		*in_event, *out_event, *err_event;
	void			(*over)(struct conn *);	/* the end of in */
	/* local.c */
	pid_t			 pid;
	/* kept.c */
	struct conn		*next_kept;
	uint32_t		 ask;		/* its number */
	bool			 asking;	/* no answer yet */
	bool			 ended;		/* the keeper has said how */
	bool			 eof;		/* all its output was read */
};

extern const struct wire wire_ssh, wire_local, wire_kept;

/* ---- from a wire to its connection (conn.c) ------------------------------- */

/* The script has started. */
void	 conn_started(struct conn *);
/* Bytes were added to rx or errs, or more can be written. */
void	 conn_turn(struct conn *);
/* The other side's program ended (status and signal are set), all its output is in rx. */
void	 conn_ended(struct conn *);
/* No way any more. Takes the err over. */
void	 conn_fail(struct conn *, struct err *);
/* Adds to errs, keeping its end. */
void	 conn_add_errs(struct conn *, const void *, size_t);

/* One of a connect's steps may take so long. */
int	 conn_step_ms(const struct conn *);
void	 conn_deadline(struct conn *, int ms);
/* From the beginning, on another wire; only before the executor ran. */
void	 conn_rewire(struct conn *, const struct wire *);

/* ---- fds.c ------------------------------------------------------------------ */

/* c->in, out, err_fd are set: reads them from now on. */
void	 fds_watch(struct conn *, void (*over)(struct conn *));
size_t	 fds_write(struct conn *, const void *, size_t);
void	 fds_close(struct conn *);

/* ---- kept.c ------------------------------------------------------------------ */

/* Is it to be asked of the pool's keeper? */
bool	 kept_wanted(struct conn_pool *, const struct conn_spec *);
void	 kept_free(struct conn_pool *);

/* ---- bootstrap.c ------------------------------------------------------------ */

/* True when the executor must be started through sudo. */
bool	 bootstrap_sudo(const struct conn_spec *);
/* The script, which holds no quote, backslash, exclamation mark or newline. */
void	 bootstrap_script(struct buf *, const struct conn_spec *, const char *nonce);
/* The words of sudo's command line before "/bin/sh -c SCRIPT"; NULL-terminated, at most 8 with the NULL. */
unsigned bootstrap_sudo_argv(const struct conn *, char prompt[64], const char *argv[8]);
/* The whole command line for a login shell. */
void	 bootstrap_command(struct buf *, const struct conn *);

enum bootstrap_word { BOOT_MORE, BOOT_READY, BOOT_NEED, BOOT_FAILED };

/* Looks for the next word of ours in rx and consumes it. BOOT_NEED: *ret_arch (in the arena). */
enum bootstrap_word bootstrap_read(struct conn *, const char **ret_arch, struct err *);
/* What it means that the program ended before READY. */
void	 bootstrap_ended(struct conn *, struct err *);
/* sudo's prompt was seen in errs since the last call. */
bool	 bootstrap_prompted(struct conn *);

#endif
