/*
 * SSH sessions on the loop: the states of session.h, driven by readiness of
 * one descriptor and one deadline timer per state.
 *
 * libssh does the protocol without ever blocking: it is turned by
 * ssh_event_dopoll(…, 0) whenever the descriptor is ready, and asked again for
 * the step at hand.  Any of its calls may do several steps at once, so
 * step() goes on until something has to be waited for.  Its own timeouts and
 * its name resolution are not used.  Signing by the agent blocks and so is
 * done by a thread; until it ends the loop leaves the session alone.
 *
 * A server that is swamped (MaxStartups) drops connections before the key
 * exchange: that is tried again, with growing and jittered pauses.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <libssh/callbacks.h>

#include "ssh/kexgate.h"
#include "ssh/session.h"

#define ADDRESSES_MAX	8
#define ATTEMPTS_MAX	4
#define BACKOFF_MS	200
#define QUICK_ACKS	40	/* about as many packets as come until the executor runs */

enum state {
	S_WAIT, S_RESOLVE, S_CONNECT, S_TUNNEL, S_BACKOFF, S_KEX, S_AUTH,
	S_AGENT, S_UP, S_DEAD
};

static const char *const state_names[] = {
	[S_WAIT] = "waiting to connect", [S_RESOLVE] = "resolving the name",
	[S_CONNECT] = "connecting", [S_TUNNEL] = "connecting through the jump host",
	[S_BACKOFF] = "waiting to try again", [S_KEX] = "exchanging keys",
	[S_AUTH] = "logging in", [S_AGENT] = "waiting for the agent",
	[S_UP] = "logged in", [S_DEAD] = "closed",
};

struct address {
	struct sockaddr_storage	 sa;
	socklen_t		 len;
};

/* A look-up on its way; owned by the thread until done. */
struct lookup {
	struct job	 job;
	struct session	*session;	/* NULL: nobody waits any more */
	char		*host;
	int		 port;
	int		 error;		/* of getaddrinfo */
	struct address	 v[ADDRESSES_MAX];
	unsigned	 n;
};

struct session {
	struct session		*next;		/* waiting for a slot */
	struct conn_pool	*pool;
	const struct conn_spec	*spec;
	const struct session_ops *ops;		/* NULL: closed by its owner */
	void			*arg;
	unsigned		 depth;
	enum state		 state;
	bool			 has_slot;
	bool			 met;		/* what is there speaks SSH */
	char			*where;
	char			 error[256];
	struct deferred		 ground;	/* failing, reaping */
	struct err		 down;		/* to be reported */
	/* the way there */
	struct lookup		*lookup;
	struct address		 addr[ADDRESSES_MAX];
	unsigned		 naddr, iaddr, attempts;
	struct tunnel		*tunnel;
	int			 fd;
	struct kexgate		*gate;		/* S_KEX: between the network and fd */
	/* the session */
	ssh_session		 ssh;
	unsigned		 quick_acks;	/* still to ask for */
	int64_t			 heard_ms;	/* last time that something came in */
	ssh_event		 ev;
	struct event		*io, *timer;
	struct auth		 auth;
	struct job		 agent;		/* signing; S_AGENT */
	int			 agent_fd, agent_rc;
	bool			 agent_out;	/* the thread has the session */
};

static void	session_step(struct session *);
static void	connect_next(struct session *);
static void	start_tunnel(struct session *);
static void	start_resolve(struct session *);
static void	on_gate(void *);

int64_t
pool_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *
session_state(const struct session *s)
{
	return state_names[s->state];
}

const char *
session_where(const struct session *s)
{
	return s->where;
}

bool
session_unanswered(const struct session *s, const struct err *err)
{
	return !s->met && s->spec->jump == NULL &&
	    (err->code == ERR_IO || err->code == ERR_TIMEOUT);
}

int64_t
session_heard_ms(const struct session *s)
{
	return s->heard_ms;
}

ssh_session
session_handle(struct session *s)
{
	return s->ssh;
}

const char *
session_error(struct session *s)
{
	const char *text = s->ssh == NULL ? "" : ssh_get_error(s->ssh);
	size_t n;

	if (strncmp(text, "Socket error: ", 14) == 0)
		text += 14;
	if (strcmp(text, "disconnected") == 0)
		text = "the other side closed the connection";
	(void)snprintf(s->error, sizeof(s->error), "%s",
	    *text == '\0' ? "no reason given" : text);
	n = strlen(s->error);
	while (n > 0 && (s->error[n - 1] == '\n' || s->error[n - 1] == '.'))
		s->error[--n] = '\0';
	return s->error;
}

/* ---- slots, deadlines, the end ------------------------------------------- */

static int
timeout_ms(const struct session *s)
{
	return s->spec->connect_timeout_ms > 0 ? s->spec->connect_timeout_ms :
	    CONNECT_TIMEOUT_MS;
}

static void
set_deadline(struct session *s, int ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	(void)evtimer_add(s->timer, &tv);
}

static void
enter(struct session *s, enum state state)
{
	s->state = state;
	s->met = s->met || state == S_AUTH;
	if (state == S_WAIT || state == S_UP || state == S_DEAD)
		(void)evtimer_del(s->timer);
	else
		set_deadline(s, timeout_ms(s));
}

static void
release_slot(struct session *s)
{
	struct conn_pool *pool = s->pool;
	struct session *next, **p;

	for (p = &pool->waiting; *p != NULL; p = &(*p)->next)
		if (*p == s) {
			if ((*p = s->next) == NULL)
				pool->waiting_tail = p;
			break;
		}
	if (!s->has_slot)
		return;
	s->has_slot = false;
	pool->connecting--;
	if ((next = pool->waiting) != NULL && pool->connecting < pool->max_connecting) {
		if ((pool->waiting = next->next) == NULL)
			pool->waiting_tail = &pool->waiting;
		next->has_slot = true;
		pool->connecting++;
		start_resolve(next);
	}
}

/* Lets go of the descriptor and what libssh has on it. */
static void
drop_ssh(struct session *s)
{
	kexgate_free(s->gate);
	s->gate = NULL;
	if (s->io != NULL) {
		event_free(s->io);
		s->io = NULL;
	}
	if (s->ev != NULL) {
		(void)ssh_event_remove_session(s->ev, s->ssh);
		ssh_event_free(s->ev);
		s->ev = NULL;
	}
	if (s->ssh != NULL) {
		ssh_free(s->ssh);	/* closes the descriptor, too */
		s->ssh = NULL;
		s->fd = -1;
	}
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

static void
session_free(struct session *s)
{
	drop_ssh(s);
	if (s->agent_fd >= 0)
		(void)close(s->agent_fd);
	event_free(s->timer);
	auth_release(&s->auth);
	err_release(&s->down);
	pool_undefer(s->pool, &s->ground);
	s->pool->sessions--;
	free(s->where);
	free(s);
}

/* From the loop's ground: reports the end, and frees when nobody else has it. */
static void
session_ground(void *arg)
{
	struct session *s = arg;
	const struct session_ops *ops = s->ops;
	struct err err = ERR_INIT;

	if (ops != NULL) {
		s->ops = NULL;
		err_move(&err, &s->down);
		ops->down(s->arg, &err);
		err_release(&err);
	}
	if (!s->agent_out)
		session_free(s);
}

/* Stops everything that could still happen. */
static void
session_end(struct session *s)
{
	if (s->state == S_DEAD)
		return;
	enter(s, S_DEAD);
	if (s->lookup != NULL)
		s->lookup->session = NULL;
	s->lookup = NULL;
	if (s->tunnel != NULL)
		tunnel_close(s->tunnel);
	s->tunnel = NULL;
	if (s->io != NULL)
		(void)event_del(s->io);
	if (s->agent_out) {
		/* Wakes the thread, wherever it waits. */
		(void)shutdown(s->fd, SHUT_RDWR);
		(void)shutdown(s->agent_fd, SHUT_RDWR);
	}
	release_slot(s);
	pool_defer(s->pool, &s->ground);
}

void
session_close(struct session *s)
{
	s->ops = NULL;
	session_end(s);
}

static void
session_fail(struct session *s, struct err *err)
{
	if (s->state == S_DEAD) {
		err_release(err);
		return;
	}
	err_move(&s->down, err);
	session_end(s);
}

/* ---- the descriptor -------------------------------------------------------- */

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	int one = 1;

	if (what & EV_READ)
		s->heard_ms = pool_now_ms();
	/* While each message waits for an answer: no delayed acknowledgements. */
	if (s->quick_acks > 0) {
		s->quick_acks--;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	}
	session_step(s);
}

static void
watch(struct session *s, short want)
{
	if (s->io == NULL)
		s->io = event_new(s->pool->base, s->fd, want | EV_PERSIST, on_io, s);
	else if ((event_get_events(s->io) & (EV_READ | EV_WRITE)) != want) {
		(void)event_del(s->io);
		(void)event_assign(s->io, s->pool->base, s->fd,
		    (short)(want | EV_PERSIST), on_io, s);
	}
	(void)event_add(s->io, NULL);
}

void
session_used(struct session *s)
{
	if (s->state == S_DEAD || s->state == S_AGENT || s->ssh == NULL)
		return;
	watch(s, (short)(EV_READ | (ssh_get_poll_flags(s->ssh) & SSH_WRITE_PENDING ?
	    EV_WRITE : 0)));
}

void
session_again(struct session *s)
{
	if (s->io != NULL && s->state != S_DEAD)
		event_active(s->io, EV_READ, 0);
}

/* ---- resolve and connect ---------------------------------------------------- */

static void
lookup_run(struct job *job)
{
	struct lookup *l = (struct lookup *)(void *)job;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV }, *list = NULL, *a;
	char port[16];

	(void)snprintf(port, sizeof(port), "%d", l->port);
	l->error = getaddrinfo(l->host, port, &hints, &list);
	if (l->error == EAI_NONAME || l->error == EAI_ADDRFAMILY) {
		/* 127.0.0.1 on a machine without a network. */
		hints.ai_flags &= ~AI_ADDRCONFIG;
		l->error = getaddrinfo(l->host, port, &hints, &list);
	}
	if (l->error != 0)
		return;
	for (a = list; a != NULL && l->n < ADDRESSES_MAX; a = a->ai_next)
		if (a->ai_addrlen <= sizeof(l->v[0].sa)) {
			memcpy(&l->v[l->n].sa, a->ai_addr, a->ai_addrlen);
			l->v[l->n++].len = a->ai_addrlen;
		}
	freeaddrinfo(list);
}

static void
lookup_done(struct job *job)
{
	struct lookup *l = (struct lookup *)(void *)job;
	struct session *s = l->session;
	struct err err = ERR_INIT;

	if (s != NULL) {
		s->lookup = NULL;
		if (l->error != 0 || l->n == 0) {
			(void)err_set(&err, ERR_IO, "cannot resolve '%s': %s",
			    l->host, gai_strerror(l->error));
			err_hint(&err, "is the name right? `ansible_host` in the "
			    "inventory or HostName in ~/.ssh/config can give an "
			    "address");
			session_fail(s, &err);
		} else {
			memcpy(s->addr, l->v, sizeof(s->addr));
			s->naddr = l->n;
			s->iaddr = 0;
			enter(s, S_CONNECT);
			connect_next(s);
		}
	}
	free(l->host);
	free(l);
}

static void
start_resolve(struct session *s)
{
	struct lookup *l;

	if (s->spec->jump != NULL) {
		start_tunnel(s);
		return;
	}
	enter(s, S_RESOLVE);
	l = xcalloc(1, sizeof(*l));
	l->job.run = lookup_run;
	l->job.done = lookup_done;
	l->host = xstrdup(s->spec->host);
	l->port = s->spec->port;
	l->session = s;
	s->lookup = l;
	work_submit(s->pool->work, &l->job);
}

/* The current address did not work: the next, or the end. */
static void
connect_failed(struct session *s, int error)
{
	struct err err = ERR_INIT;

	if (s->io != NULL)
		event_free(s->io);
	s->io = NULL;
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	if (++s->iaddr < s->naddr) {
		connect_next(s);
		return;
	}
	if (error == ETIMEDOUT) {
		(void)err_set(&err, ERR_TIMEOUT, "cannot connect to %s: no answer "
		    "within %d s", s->where, timeout_ms(s) / 1000);
		err_hint(&err, "is the host up, and does a firewall let us through?");
	} else {
		(void)err_set(&err, ERR_IO, "cannot connect to %s: %s", s->where,
		    strerror(error));
		if (error == ECONNREFUSED)
			err_hint(&err, "the host is up, but no sshd listens on "
			    "port %d", s->spec->port);
	}
	session_fail(s, &err);
}

static void
tune_socket(const struct session *s, int fd)
{
	int one = 1, idle = 60, every = 10;
	unsigned ms = (unsigned)(s->spec->idle_timeout_ms > 0 ?
	    s->spec->idle_timeout_ms : IDLE_TIMEOUT_MS);

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	/* An idle one that a keeper holds: who is gone is noticed, and no firewall forgets us. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
}

static void
connect_next(struct session *s)
{
	struct address *a = &s->addr[s->iaddr];

	set_deadline(s, timeout_ms(s));
	s->fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		connect_failed(s, errno);
		return;
	}
	tune_socket(s, s->fd);
	if (connect(s->fd, (struct sockaddr *)&a->sa, a->len) != 0 &&
	    errno != EINPROGRESS)
		connect_failed(s, errno);
	else
		watch(s, EV_WRITE);
}

static void
set_option(ssh_session ssh, enum ssh_options_e option, const void *value)
{
	(void)ssh_options_set(ssh, option, value);
}

/* Libssh takes over. */
static void
start_kex(struct session *s)
{
	/*
	 * Neither ChaCha20-Poly1305 nor encrypt-then-MAC, which the attack needs that
	 * strict key exchange prevents: a server without it is bearable, if one must.
	 */
	static const char ciphers[] = "aes256-gcm@openssh.com,"
	    "aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr";
	static const char macs[] = "hmac-sha2-512,hmac-sha2-256";
	static const char kex[] = "curve25519-sha256,"
	    "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
	    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
	    "diffie-hellman-group18-sha512,diffie-hellman-group16-sha512,"
	    "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256";
	struct err err = ERR_INIT;
	bool no = false;
	unsigned port = (unsigned)s->spec->port;
	int off = 0;

	if ((s->ssh = ssh_new()) == NULL) {
		(void)err_set(&err, ERR_INTERNAL, "libssh does not start");
		session_fail(s, &err);
		return;
	}
	set_option(s->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
	set_option(s->ssh, SSH_OPTIONS_HOST, s->spec->host);
	set_option(s->ssh, SSH_OPTIONS_PORT, &port);
	set_option(s->ssh, SSH_OPTIONS_USER, s->spec->user);
	set_option(s->ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
	set_option(s->ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
	set_option(s->ssh, SSH_OPTIONS_GSSAPI_AUTH, &off);
	set_option(s->ssh, SSH_OPTIONS_CIPHERS_C_S, ciphers);
	set_option(s->ssh, SSH_OPTIONS_CIPHERS_S_C, ciphers);
	set_option(s->ssh, SSH_OPTIONS_HMAC_C_S, macs);
	set_option(s->ssh, SSH_OPTIONS_HMAC_S_C, macs);
	set_option(s->ssh, SSH_OPTIONS_KEY_EXCHANGE, kex);
	set_option(s->ssh, SSH_OPTIONS_FD, &s->fd);
	hostkey_prefer(s->ssh, s->spec);
	ssh_set_blocking(s->ssh, 0);
	enter(s, S_KEX);
	session_step(s);
}

/* A connected descriptor: first through the gate. */
static void
start_gate(struct session *s)
{
	struct err err = ERR_INIT;
	int net = s->fd;

	if (!s->spec->lax_kex && (s->gate = kexgate_open(s->pool->base, net, &s->fd,
	    on_gate, s)) == NULL) {
		(void)err_errno(&err, "cannot make a socket pair");
		session_fail(s, &err);
		return;
	}
	start_kex(s);
}

static void
step_connect(struct session *s)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		connect_failed(s, error);
		return;
	}
	event_free(s->io);
	s->io = NULL;
	start_gate(s);
}

/* ---- through a jump host ---------------------------------------------------- */

static void
tunnel_is_open(void *arg, int fd)
{
	struct session *s = arg;

	s->fd = fd;
	start_gate(s);
}

static void
tunnel_has_failed(void *arg, struct err *err)
{
	struct session *s = arg;

	s->tunnel = NULL;
	session_fail(s, err);
}

static void
start_tunnel(struct session *s)
{
	static const struct tunnel_ops ops = {
		.open = tunnel_is_open, .failed = tunnel_has_failed,
	};

	enter(s, S_TUNNEL);
	/* The jump host's own steps have their own deadlines. */
	set_deadline(s, 4 * timeout_ms(s));
	if (s->tunnel != NULL)
		tunnel_close(s->tunnel);
	s->tunnel = tunnel_open(s->pool, s->spec, s->depth, &ops, s);
}

/* ---- key exchange ------------------------------------------------------------ */

static bool
try_again_later(struct session *s)
{
	unsigned char jitter = 0;
	int pause = BACKOFF_MS << s->attempts;
	const char *text = ssh_get_error(s->ssh);

	if (strncmp(text, "Socket error", 12) != 0 ||
	    ++s->attempts >= ATTEMPTS_MAX)
		return false;
	drop_ssh(s);
	if (getrandom(&jitter, 1, GRND_NONBLOCK) != 1)
		jitter = 128;
	s->state = S_BACKOFF;
	set_deadline(s, pause / 2 + pause * jitter / 255);
	return true;
}

static void
kex_failed(struct session *s)
{
	struct err err = ERR_INIT;
	const char *text = ssh_get_error(s->ssh);

	if (try_again_later(s))
		return;
	if (strstr(text, "server host key algo") != NULL) {
		(void)err_set(&err, ERR_HOSTKEY, "no host key in common with %s: %s",
		    s->where, session_error(s));
	} else if (strstr(text, "no match for method") != NULL) {
		(void)err_set(&err, ERR_HOSTKEY, "no safe algorithm in common with %s: %s",
		    s->where, session_error(s));
		err_hint(&err, "old key exchanges, CBC, ChaCha20 and MACs of SHA-1 are not "
		    "used; any sshd of the last ten years has others, if its configuration "
		    "(KexAlgorithms, Ciphers, MACs) leaves them on");
	} else if (strstr(text, "hostkey signature") != NULL) {
		(void)err_set(&err, ERR_HOSTKEY, "what came from %s does not come from the "
		    "owner of the host key that it shows: %s", s->where, session_error(s));
		err_hint(&err, "somebody on the way changes it, or the network is broken");
	} else if (strstr(text, "banner") != NULL || strstr(text, "Packet len") != NULL ||
	    strstr(text, "No version of SSH") != NULL) {
		(void)err_set(&err, ERR_IO, "what answers at %s is no SSH server: %s",
		    s->where, session_error(s));
		err_hint(&err, "is the port right?");
	} else {
		(void)err_set(&err, ERR_IO, "the connection to %s ended during the "
		    "key exchange: %s", s->where, session_error(s));
		if (s->attempts >= ATTEMPTS_MAX)
			err_hint(&err, "tried %u times; sshd's log on the host "
			    "tells why (MaxStartups, hosts.deny, fail2ban, a full "
			    "disk …)", s->attempts);
	}
	session_fail(s, &err);
}

static void
not_strict(struct session *s, enum kexgate_state state)
{
	struct err err = ERR_INIT;
	const char *version = kexgate_version(s->gate);

	if (state == GATE_BAD) {
		(void)err_set(&err, ERR_IO, "what answers at %s is no SSH server: it does "
		    "not begin with a version and a key exchange", s->where);
		err_hint(&err, "is the port right?");
	} else if (state == GATE_OURS) {
		(void)err_set(&err, ERR_UNSUPPORTED, "this machine's libssh %s has no "
		    "strict key exchange (CVE-2023-48795)", ssh_version(0));
		err_hint(&err, "update it: 0.10.6 has it");
	} else {
		(void)err_set(&err, ERR_HOSTKEY, "%s does not offer strict key exchange "
		    "(it is %s): somebody on the way could drop packets unseen "
		    "(CVE-2023-48795), or has taken the offer away", s->where, version);
		err_hint(&err, "update its SSH server: OpenSSH 9.6, Debian's 9.2p1-2+deb12u2, "
		    "8.4p1-5+deb11u3 and later have it. `provctl_ssh_strict_kex: false`, a "
		    "variable of the host, does without (`provctl_ssh_jump_strict_kex` for its "
		    "jump hosts; --no-strict-kex of `provctl onboard`)");
	}
	session_fail(s, &err);
}

/* The gate, if there still is one: gone when it has seen enough. */
static void
on_gate(void *arg)
{
	struct session *s = arg;
	struct err err = ERR_INIT;
	enum kexgate_state state;

	if (s->state != S_KEX || s->gate == NULL ||
	    (state = kexgate_look(s->gate)) == GATE_ON)
		return;
	if (state != GATE_OVER) {
		not_strict(s, state);
		return;
	}
	if (s->io != NULL)
		event_free(s->io);
	s->io = NULL;
	if (kexgate_join(s->gate) == -1) {
		(void)err_errno(&err, "cannot join %s", s->where);
		session_fail(s, &err);
		return;
	}
	kexgate_free(s->gate);
	s->gate = NULL;
	session_used(s);
}

static void
step_kex(struct session *s)
{
	struct err err = ERR_INIT;
	int rc = ssh_connect(s->ssh);

	if (rc == SSH_AGAIN) {
		if (s->ev == NULL) {
			if ((s->ev = ssh_event_new()) == NULL)
				abort();	/* out of memory */
			(void)ssh_event_add_session(s->ev, s->ssh);
			/* ssh_connect() makes the descriptor blocking. */
			(void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
		}
		session_used(s);
		on_gate(s);
		return;
	}
	if (rc != SSH_OK) {
		kex_failed(s);
		return;
	}
	if (s->gate != NULL) {
		/* Nobody can have answered what has not left us. */
		not_strict(s, GATE_BAD);
		return;
	}
	if (hostkey_check(s->ssh, s->spec, &err) != 0) {
		session_fail(s, &err);
		return;
	}
	enter(s, S_AUTH);
	session_step(s);
}

/* ---- logging in ---------------------------------------------------------------- */

static void
agent_run(struct job *job)
{
	struct session *s = (struct session *)(void *)((char *)job -
	    offsetof(struct session, agent));

	s->agent_rc = auth_agent(s->ssh, s->agent_fd);
}

static void
agent_done(struct job *job)
{
	struct session *s = (struct session *)(void *)((char *)job -
	    offsetof(struct session, agent));

	s->agent_out = false;
	s->agent_fd = -1;		/* libssh closed it with its agent, or will */
	if (s->state == S_DEAD) {
		/* Reported long ago, freeing was left to us. */
		if (s->ops == NULL && !s->ground.pending)
			session_free(s);
		return;
	}
	(void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
	enter(s, S_AUTH);
	if (auth_agent_done(&s->auth, s->ssh, s->agent_rc) == AUTH_OK) {
		enter(s, S_UP);
		release_slot(s);
		session_used(s);
		s->ops->up(s->arg);
		return;
	}
	session_step(s);
}

static void
start_agent(struct session *s)
{
	const char *path = s->spec->agent != NULL ? s->spec->agent :
	    getenv("SSH_AUTH_SOCK");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (s->io != NULL)
		(void)event_del(s->io);
	enter(s, S_AGENT);
	s->agent_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (path != NULL && strlen(path) < sizeof(sa.sun_path))
		memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect(s->agent_fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		if (s->agent_fd >= 0)
			(void)close(s->agent_fd);
		s->agent_fd = -1;
		enter(s, S_AUTH);
		(void)auth_agent_done(&s->auth, s->ssh, SSH_AUTH_ERROR);
		session_step(s);
		return;
	}
	s->agent = (struct job){ .run = agent_run, .done = agent_done };
	s->agent_out = true;
	work_submit(s->pool->work, &s->agent);
}

static void
step_auth(struct session *s)
{
	struct err err = ERR_INIT;

	switch (auth_step(s->pool, &s->auth, s->ssh, s->spec, &err)) {
	case AUTH_OK:
		enter(s, S_UP);
		release_slot(s);
		session_used(s);
		s->ops->up(s->arg);
		break;
	case AUTH_AGENT:
		start_agent(s);
		break;
	case AUTH_FAILED:
		session_fail(s, &err);
		break;
	default:
		session_used(s);
		break;
	}
}

static void
step_up(struct session *s)
{
	struct err err = ERR_INIT;

	s->ops->turn(s->arg);
	if (s->state != S_UP)
		return;
	if (ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) {
		(void)err_set(&err, ERR_IO, "the connection to %s was lost: %s",
		    s->where, session_error(s));
		session_fail(s, &err);
		return;
	}
	session_used(s);
}

static void
session_step(struct session *s)
{
	if (s->ev != NULL && s->state != S_DEAD && s->state != S_AGENT)
		(void)ssh_event_dopoll(s->ev, 0);
	switch (s->state) {
	case S_CONNECT:
		step_connect(s);
		break;
	case S_KEX:
		step_kex(s);
		break;
	case S_AUTH:
		step_auth(s);
		break;
	case S_UP:
		step_up(s);
		break;
	default:
		break;
	}
}

/* ---- deadlines -------------------------------------------------------------------- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	switch (s->state) {
	case S_BACKOFF:
		start_resolve(s);
		return;
	case S_CONNECT:
		connect_failed(s, ETIMEDOUT);
		return;
	case S_KEX:
		(void)err_set(&err, ERR_TIMEOUT, "%s took the connection, but no "
		    "key exchange came about within %d s", s->where,
		    timeout_ms(s) / 1000);
		err_hint(&err, "is it an SSH server, and is the host overloaded?");
		break;
	case S_AGENT:
		(void)err_set(&err, ERR_TIMEOUT, "the SSH agent did not sign within "
		    "%d s", timeout_ms(s) / 1000);
		err_hint(&err, "does it wait for a confirmation or a touch?");
		break;
	default:
		(void)err_set(&err, ERR_TIMEOUT, "timed out after %d s while %s (%s)",
		    timeout_ms(s) / 1000, state_names[s->state], s->where);
		break;
	}
	session_fail(s, &err);
}

struct session *
session_open(struct conn_pool *pool, const struct conn_spec *spec,
    unsigned depth, const struct session_ops *ops, void *arg)
{
	struct session *s = xcalloc(1, sizeof(*s));
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addf(&b, strchr(spec->host, ':') != NULL ? "[%s]:%d" : "%s:%d",
	    spec->host, spec->port);
	s->where = xstrdup(buf_str(&b));
	s->pool = pool;
	s->spec = spec;
	s->depth = depth;
	s->ops = ops;
	s->arg = arg;
	s->fd = s->agent_fd = -1;
	s->quick_acks = QUICK_ACKS;
	s->ground = (struct deferred){ .call = session_ground, .arg = s };
	s->timer = evtimer_new(pool->base, on_timer, s);
	pool->sessions++;
	/* Jump hosts need no slot: sessions that have one wait for them. */
	if (depth == 0 && pool->connecting >= pool->max_connecting) {
		*pool->waiting_tail = s;
		pool->waiting_tail = &s->next;
		return s;
	}
	if (depth == 0) {
		s->has_slot = true;
		pool->connecting++;
	}
	start_resolve(s);
	return s;
}
