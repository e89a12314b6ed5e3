/*
 * See warm.h.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

#include "serve/log.h"
#include "serve/warm.h"
#include "ssh/parcel.h"

struct warm {
	struct event_base	*base;
	const char		*self;
	int			 seconds;
	pid_t			 pid;		/* 0: it does not run */
	int			 fd;
	struct parcels		*parcels;
};

/* ---- the process -------------------------------------------------------------------------- */

static void
end(struct warm *w)
{
	if (w->pid == 0)
		return;
	parcels_free(w->parcels);
	w->parcels = NULL;
	(void)close(w->fd);
	/* It has nothing that could be lost. */
	(void)kill(w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) == -1 && errno == EINTR)
		;
	w->pid = 0;
}

static void
on_parcel(void *arg, const char *data, size_t len, int fds[PARCEL_FDS])
{
	(void)arg;	/* it tells us nothing yet */
	(void)data;
	(void)len;
	(void)fds;
}

static void
on_gone(void *arg)
{
	log_warn("the keeper of connections has ended; the next run gets another one");
	end(arg);
}

static int
spawn(struct warm *w, int fd)
{
	const char *const argv[] = { w->self, WARM_OPTION, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO) != 0 ||
	    posix_spawnattr_setsigmask(&attr, &none) != 0 ||
	    posix_spawnattr_setsigdefault(&attr, &all) != 0 ||
	    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF) != 0)
		abort();	/* out of memory */
	r = posix_spawn(&w->pid, w->self, &actions, &attr, (char *const *)(uintptr_t)argv,
	    (char *const[]){ NULL });
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	if (r != 0)
		w->pid = 0;
	errno = r;
	return r == 0 ? 0 : -1;
}

static int
begin(struct warm *w)
{
	static const struct parcel_ops ops = { .got = on_parcel, .gone = on_gone };
	int pair[2];
	struct err err = ERR_INIT;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1 ||
	    spawn(w, pair[1]) == -1) {
		(void)err_errno(&err, "cannot start the keeper of connections");
		log_err(&err);
		return -1;
	}
	(void)close(pair[1]);
	w->fd = pair[0];
	w->parcels = parcels_new(w->base, w->fd, &ops, w);
	parcels_listen(w->parcels, true);
	return 0;
}

/* ---- for the daemon ------------------------------------------------------------------------- */

static void
tell(struct warm *w, int fd)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a);

	v_set_int(&a, v, "keep_ms", (int64_t)w->seconds * 1000);
	parcels_send(w->parcels, v, (int[PARCEL_FDS]){ fd, -1 });
	arena_release(&a);
}

int
warm_socket(struct warm *w)
{
	int pair[2];

	if (w->seconds == 0 || (w->pid == 0 && begin(w) == -1) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	tell(w, pair[1]);
	return pair[0];
}

void
warm_set(struct warm *w, int seconds)
{
	w->seconds = seconds;
	if (w->pid != 0)
		tell(w, -1);
}

struct warm *
warm_new(struct event_base *base, const char *self)
{
	struct warm *w = xcalloc(1, sizeof(*w));

	w->base = base;
	w->self = self;
	return w;
}

void
warm_free(struct warm *w)
{
	if (w != NULL)
		end(w);
	free(w);
}
