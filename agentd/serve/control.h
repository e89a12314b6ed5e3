/*
 * The control socket: clients, their lines and descriptors, and what they may.
 *
 * Who connects is told by the kernel (SO_PEERCRED): root, our own user, and
 * members of the socket's group when its mode lets them in; nobody else.  A
 * client that is slow, silent or too talkative is put out; the others do not
 * notice.  What the methods do is the owner's (daemon.c).
 */
#ifndef PROVCTL_SERVE_CONTROL_H
#define PROVCTL_SERVE_CONTROL_H

#include <sys/types.h>
#include <event2/event.h>

#include "serve/request.h"

#define CLIENTS_MAX	64
#define CLIENT_FDS	4		/* of a `run`: stdin, stdout, stderr, terminal */

struct control;

struct client {
	struct client	*next;
	struct control	*control;
	int		 fd;
	uid_t		 uid;
	pid_t		 pid;
	bool		 greeted;	/* said hello */
	bool		 dead;		/* reaped when it is safe */
	bool		 closing;	/* when all is sent */
	bool		 all;		/* follows everything */
	int64_t		 follows;	/* number of a job; 0: none */
	int64_t		 owns;		/* the job that it asked for: it waits for its end; 0: none */
	int		 fds[CLIENT_FDS];
	unsigned	 nfds;
	int		 waits_for;	/* which deadline is set */
	struct event	*readable, *writable, *deadline;
	struct buf	 in, out;
};

struct control_ops {
	/* Answers with control_reply() or control_error(). After hello only. */
	void	(*request)(void *arg, struct client *, const struct request *);
	void	*arg;
};

/* Makes the socket (0600, or 0660 for a group) where nobody listens; its folder is made, too. The descriptor, or -1 with err. */
int	 control_listen(const char *path, const char *group, struct err *);
struct control *control_new(struct event_base *, int fd, const struct control_ops *);
/* No new clients from now on. */
void	 control_deaf(struct control *);
void	 control_free(struct control *);
/* result: NULL: an empty object. */
void	 control_reply(struct client *, int64_t id, const struct value *result);
/* Releases the error. */
void	 control_error(struct client *, int64_t id, struct err *);
/* An object that nobody has asked for: {"event": …}. */
void	 control_tell(struct client *, const struct value *);
/* A line of events of a job, to all who follow it (or to one). */
void	 control_event(struct control *, struct client *only, int64_t job, int64_t run,
	    const char *line, size_t n);
/* The same object to everybody for whom wanted() says so. */
void	 control_tell_all(struct control *, bool (*wanted)(const struct client *, int64_t),
	    int64_t job, const struct value *);
/* The client that asked for the job, or NULL. */
struct client *control_owner(struct control *, int64_t job);
/* Where it is: $XDG_RUNTIME_DIR/provctl/agentd.sock, or /run/provctl/agentd.sock for root and system users. */
const char *control_default_path(struct arena *);

#endif
