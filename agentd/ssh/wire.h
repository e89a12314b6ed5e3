/*
 * A connection's inside: struct conn, what carries its bytes (a wire: an SSH
 * channel or a child process), and how the executor is got to run.
 *
 *	conn.c       states, frames, heartbeat
 *	bootstrap.c  the script, its answers, what its failures mean
 *	channel.c    wire over SSH        local.c  wire to a child process
 */
#ifndef PROVCTL_SSH_WIRE_H
#define PROVCTL_SSH_WIRE_H

#include <libssh/libssh.h>
#include <libssh/callbacks.h>

#include "ssh/pool.h"
#include "ssh/session.h"

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
	/* channel.c */
	struct session		*session;
	ssh_channel		 channel;
	struct ssh_channel_callbacks_struct callbacks;
	char			*command;
	bool			 open, sent, running, eof, closed;
	int			 exec_rc;	/* what libssh said of the request, once sent */
	int			 status;	/* exit status; -1: unknown */
	char			 signal[16];
	/* local.c */
	pid_t			 pid;
	int			 in, out, err_fd;
	struct event		*in_event, *out_event, *err_event;
};

extern const struct wire wire_ssh, wire_local;

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
