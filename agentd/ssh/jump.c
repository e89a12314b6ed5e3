/*
 * Jump hosts (ProxyJump): one session per jump host, shared by all targets
 * behind it, one forwarding channel per target.
 *
 *	target's libssh ══ socketpair ══ tunnel ── channel ─┐
 *	target's libssh ══ socketpair ══ tunnel ── channel ─┴ bastion's session ══ TCP
 *
 * The target's session runs on one end of a socketpair as if it were a
 * connected socket; the jump host sees encrypted bytes only.  A chain "a,b" is
 * bastion b, whose own session goes through a tunnel of bastion a.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <errno.h>

#include <libssh/callbacks.h>

#include "ssh/session.h"

#define CHUNK		((size_t)64 * 1024)
#define BUFFER_MAX	((size_t)16 * 1024 * 1024)

enum tunnel_state { T_WAIT, T_OPENING, T_OPEN, T_DEAD };

struct tunnel {
	struct tunnel		*next;		/* of the bastion */
	struct conn_pool	*pool;
	struct bastion		*bastion;	/* NULL: never had one */
	const struct tunnel_ops	*ops;		/* NULL: closed, or failed was called */
	void			*arg;
	enum tunnel_state	 state;
	char			*host;
	int			 port;
	struct err		 err;
	struct deferred		 ground, start;
	ssh_channel		 channel;
	struct ssh_channel_callbacks_struct callbacks;
	bool			 closed;	/* the channel's other end is */
	int			 fd;		/* our end of the socketpair */
	struct event		*event;
	struct buf		 to_fd, to_channel;
};

struct bastion {
	struct bastion		*next;
	struct conn_pool	*pool;
	char			*key;		/* user@host:port through jump, for whom */
	struct arena		 arena;
	struct conn_spec	 spec;
	struct session		*session;
	struct bastion		*via;		/* the jump host before this one */
	bool			 up;
	struct tunnel		*tunnels;
	struct deferred		 idle;
};

static void	tunnel_turn(struct tunnel *);

/* ---- tunnels -------------------------------------------------------------- */

static void
tunnel_ground(void *arg)
{
	struct tunnel *t = arg, **p;
	struct err err = ERR_INIT;
	const struct tunnel_ops *ops = t->ops;

	if (t->bastion != NULL) {
		for (p = &t->bastion->tunnels; *p != t; p = &(*p)->next)
			;
		*p = t->next;
		if (t->bastion->tunnels == NULL)
			pool_defer(t->pool, &t->bastion->idle);
	}
	err_move(&err, &t->err);
	if (ops != NULL && err.code != ERR_NONE) {
		t->ops = NULL;
		ops->failed(t->arg, &err);
	}
	err_release(&err);
	buf_release(&t->to_fd);
	buf_release(&t->to_channel);
	free(t->host);
	free(t);
}

/* The end, with t->err set if the owner is to be told. */
static void
tunnel_end(struct tunnel *t)
{
	if (t->state == T_DEAD)
		return;
	t->state = T_DEAD;
	pool_undefer(t->pool, &t->start);
	if (t->channel != NULL) {
		(void)ssh_remove_channel_callbacks(t->channel, &t->callbacks);
		ssh_channel_free(t->channel);
		t->channel = NULL;
		session_used(t->bastion->session);
	}
	if (t->event != NULL)
		event_free(t->event);
	t->event = NULL;
	if (t->fd >= 0)
		(void)close(t->fd);	/* the target's session sees it */
	t->fd = -1;
	pool_defer(t->pool, &t->ground);
}

void
tunnel_close(struct tunnel *t)
{
	t->ops = NULL;
	tunnel_end(t);
}

static void
tunnel_lost(struct tunnel *t)
{
	if (t->state == T_OPEN) {
		/* The owner learns it from its descriptor and closes us. */
		if (t->event != NULL)
			event_free(t->event);
		t->event = NULL;
		if (t->fd >= 0)
			(void)close(t->fd);
		t->fd = -1;
		return;
	}
	tunnel_end(t);
}

static int
on_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len,
    int is_stderr, void *arg)
{
	struct tunnel *t = arg;

	(void)ssh;
	(void)ch;
	if (!is_stderr)
		buf_add(&t->to_fd, data, len);
	return (int)len;
}

static void
on_close(ssh_session ssh, ssh_channel ch, void *arg)
{
	struct tunnel *t = arg;

	(void)ssh;
	(void)ch;
	t->closed = true;
}

static void
on_tunnel_io(evutil_socket_t fd, short what, void *arg)
{
	struct tunnel *t = arg;
	char *to;
	ssize_t n;

	if ((what & EV_READ) && t->to_channel.len == 0 &&
	    (to = buf_reserve(&t->to_channel, CHUNK)) != NULL) {
		n = read(fd, to, CHUNK);
		if (n > 0)
			t->to_channel.len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			tunnel_lost(t);
			return;
		}
	}
	tunnel_turn(t);
	if (t->bastion->up)
		session_used(t->bastion->session);
}

static void
tunnel_watch(struct tunnel *t)
{
	short want = (short)((t->to_channel.len == 0 ? EV_READ : 0) |
	    (t->to_fd.len > 0 ? EV_WRITE : 0));

	(void)event_del(t->event);
	(void)event_assign(t->event, t->pool->base, t->fd,
	    (short)(want | EV_PERSIST), on_tunnel_io, t);
	if (want != 0)
		(void)event_add(t->event, NULL);
}

static void
tunnel_opened(struct tunnel *t)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair) != 0) {
		(void)err_errno(&t->err, "cannot make a socket pair");
		tunnel_end(t);
		return;
	}
	t->fd = pair[0];
	t->event = event_new(t->pool->base, t->fd, EV_READ | EV_PERSIST,
	    on_tunnel_io, t);
	t->state = T_OPEN;
	tunnel_watch(t);
	if (t->ops != NULL)
		t->ops->open(t->arg, pair[1]);
	else
		(void)close(pair[1]);
}

static void
tunnel_opening(struct tunnel *t)
{
	ssh_session ssh = session_handle(t->bastion->session);
	int rc;

	if (t->channel == NULL) {
		if ((t->channel = ssh_channel_new(ssh)) == NULL)
			abort();	/* out of memory */
		t->callbacks = (struct ssh_channel_callbacks_struct){
			.userdata = t, .channel_data_function = on_data,
			.channel_close_function = on_close,
			.channel_eof_function = on_close,
		};
		ssh_callbacks_init(&t->callbacks);
		(void)ssh_set_channel_callbacks(t->channel, &t->callbacks);
	}
	rc = ssh_channel_open_forward(t->channel, t->host, t->port, "127.0.0.1", 0);
	if (rc == SSH_OK)
		tunnel_opened(t);
	else if (rc != SSH_AGAIN) {
		(void)err_set(&t->err, ERR_IO, "the jump host %s cannot reach "
		    "%s:%d: %s", session_where(t->bastion->session), t->host,
		    t->port, session_error(t->bastion->session));
		err_hint(&t->err, "does its sshd allow forwarding "
		    "(AllowTcpForwarding), and is the name right seen from there?");
		tunnel_end(t);
	}
}

/* Moves bytes both ways as far as they go. */
static void
tunnel_move(struct tunnel *t)
{
	ssh_session ssh = session_handle(t->bastion->session);
	ssize_t n;
	int got;

	while (t->to_channel.len > 0 && !t->closed &&
	    !(ssh_get_status(ssh) & SSH_WRITE_PENDING)) {
		got = ssh_channel_write(t->channel, t->to_channel.data,
		    (uint32_t)t->to_channel.len);
		if (got <= 0)
			break;
		buf_consume(&t->to_channel, (size_t)got);
	}
	while (t->to_fd.len > 0) {
		n = send(t->fd, t->to_fd.data, t->to_fd.len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		buf_consume(&t->to_fd, (size_t)n);
	}
	if (buf_overflowed(&t->to_fd) || (t->closed && t->to_fd.len == 0))
		tunnel_lost(t);
	else
		tunnel_watch(t);
}

static void
tunnel_turn(struct tunnel *t)
{
	if (!t->bastion->up)
		return;
	if (t->state == T_WAIT)
		t->state = T_OPENING;
	if (t->state == T_OPENING)
		tunnel_opening(t);
	if (t->state == T_OPEN && t->fd >= 0)
		tunnel_move(t);
}

static void
tunnel_start(void *arg)
{
	struct tunnel *t = arg;

	tunnel_turn(t);
	if (t->bastion->up)
		session_used(t->bastion->session);
}

/* ---- jump hosts -------------------------------------------------------------- */

static void
bastion_turn(void *arg)
{
	struct bastion *b = arg;
	struct tunnel *t, *next;

	for (t = b->tunnels; t != NULL; t = next) {
		next = t->next;		/* freed only from the ground */
		tunnel_turn(t);
	}
}

static void
bastion_up(void *arg)
{
	struct bastion *b = arg;

	b->up = true;
	bastion_turn(b);
	session_used(b->session);
}

static void
bastion_unlink(struct bastion *b)
{
	struct bastion **p;

	for (p = &b->pool->bastions; *p != NULL; p = &(*p)->next)
		if (*p == b) {
			*p = b->next;
			break;
		}
}

static void
bastion_down(void *arg, struct err *err)
{
	struct bastion *b = arg;
	struct tunnel *t;

	/* Who comes next gets a session of its own. */
	bastion_unlink(b);
	b->up = false;
	for (t = b->tunnels; t != NULL; t = t->next) {
		if (t->channel != NULL) {
			(void)ssh_remove_channel_callbacks(t->channel, &t->callbacks);
			ssh_channel_free(t->channel);
			t->channel = NULL;
		}
		if (t->state == T_WAIT || t->state == T_OPENING) {
			(void)err_set(&t->err, err->code, "the jump host %s: %s",
			    b->spec.host, err->msg);
			if (err->hint != NULL)
				err_hint(&t->err, "%s", err->hint);
		}
		tunnel_lost(t);
	}
	b->session = NULL;
	if (b->tunnels == NULL)
		pool_defer(b->pool, &b->idle);
}

/* No tunnel uses it (from the loop's ground). */
static void
bastion_idle(void *arg)
{
	struct bastion *b = arg;

	if (b->tunnels != NULL)
		return;
	pool_undefer(b->pool, &b->idle);
	bastion_unlink(b);
	if (b->session != NULL)
		session_close(b->session);
	free(b->key);
	arena_release(&b->arena);
	free(b);
}

/* "[user@]host[:port]" or "[user@][v6addr]:port" → the parts, in the arena. */
static int
parse_hop(struct arena *arena, const char *text, const char **ret_user,
    const char **ret_host, int *ret_port, struct err *err)
{
	const char *at = strrchr(text, '@');
	char *host, *colon, *end;
	long port = 0;

	if (strncmp(text, "ssh://", 6) == 0)
		text += 6;
	*ret_user = at == NULL ? NULL :
	    arena_strndup(arena, text, (size_t)(at - text));
	host = arena_strdup(arena, at == NULL ? text : at + 1);
	colon = strrchr(host, ':');
	if (host[0] == '[' && (end = strchr(host, ']')) != NULL) {
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		host++;
	} else if (colon != NULL && strchr(host, ':') != colon)
		colon = NULL;		/* a bare IPv6 address */
	if (colon != NULL) {
		*colon = '\0';
		port = strtol(colon + 1, &end, 10);
		if (*end != '\0' || port < 1 || port > 65535)
			return err_set(err, ERR_VALUE, "'%s' is no jump host: "
			    "the port is wrong", text);
	}
	if (*host == '\0' || *host == '-')
		return err_set(err, ERR_VALUE, "'%s' is no jump host", text);
	*ret_host = host;
	*ret_port = (int)port;
	return 0;
}

int
jump_hop(struct arena *arena, const struct conn_spec *target, struct conn_spec *ret,
    struct err *err)
{
	const char *jump = target->jump, *comma = strrchr(jump, ',');
	const char *user = NULL, *host = NULL;
	struct conn_spec spec = *target;
	int port = 0;

	if (parse_hop(arena, comma == NULL ? jump : comma + 1, &user, &host,
	    &port, err) != 0)
		return -1;
	spec.kind = CONN_SSH;
	spec.name = spec.host = host;
	spec.port = 0;
	spec.user = NULL;
	spec.password = NULL;
	spec.become = BECOME_NONE;
	spec.become_password = NULL;
	spec.jump = NULL;
	spec.lax_kex = target->jump_lax_kex;
	if (target->jump_spec != NULL &&
	    target->jump_spec(target->jump_arg, host, &spec, err) != 0)
		return -1;
	if (user != NULL)
		spec.user = user;
	if (port != 0)
		spec.port = port;
	if (comma != NULL)
		spec.jump = arena_strndup(arena, jump, (size_t)(comma - jump));
	conn_spec_copy(arena, ret, &spec);
	return 0;
}

/* target belongs to a session on its way to a jump host: true when that one would wait for itself. */
static bool
goes_in_circles(struct conn_pool *pool, const struct conn_spec *target,
    struct bastion *via)
{
	struct bastion *b, *v;

	for (b = pool->bastions; b != NULL && &b->spec != target; b = b->next)
		;
	if (b == NULL)
		return false;		/* the target of the whole */
	for (v = via; v != NULL; v = v->via)
		if (v == b)
			return true;
	b->via = via;
	return false;
}

static struct bastion *
bastion_get(struct conn_pool *pool, const struct conn_spec *target,
    unsigned depth, struct err *err)
{
	static const struct session_ops ops = {
		.up = bastion_up, .turn = bastion_turn, .down = bastion_down,
	};
	struct bastion *b = xcalloc(1, sizeof(*b)), *other;
	CLEANUP_BUF struct buf key = BUF_INIT;

	if (jump_hop(&b->arena, target, &b->spec, err) != 0)
		goto fail;
	buf_addf(&key, "%s@%s:%d %s%s %s", b->spec.user, b->spec.host, b->spec.port,
	    b->spec.lax_kex ? "lax " : "", b->spec.jump == NULL ? "" : b->spec.jump,
	    b->spec.share == NULL ? "" : b->spec.share);
	for (other = pool->bastions; other != NULL; other = other->next)
		if (strcmp(other->key, buf_str(&key)) == 0) {
			if (goes_in_circles(pool, target, other))
				goto circle;
			arena_release(&b->arena);
			free(b);
			return other;
		}
	if (depth >= JUMP_DEPTH_MAX) {
circle:
		(void)err_set(err, ERR_LIMIT, "the jump hosts on the way to %s go in "
		    "circles, or are more than %d", target->host, JUMP_DEPTH_MAX);
		err_hint(err, "does a jump host name itself in its ProxyJump?");
		goto fail;
	}
	b->pool = pool;
	b->key = xstrdup(buf_str(&key));
	b->idle = (struct deferred){ .call = bastion_idle, .arg = b };
	(void)goes_in_circles(pool, target, b);
	b->next = pool->bastions;
	pool->bastions = b;
	b->session = session_open(pool, &b->spec, depth + 1, &ops, b);
	return b;
fail:
	arena_release(&b->arena);
	free(b);
	return NULL;
}

struct tunnel *
tunnel_open(struct conn_pool *pool, const struct conn_spec *spec,
    unsigned depth, const struct tunnel_ops *ops, void *arg)
{
	struct tunnel *t = xcalloc(1, sizeof(*t));

	t->pool = pool;
	t->ops = ops;
	t->arg = arg;
	t->fd = -1;
	t->host = xstrdup(spec->host);
	t->port = spec->port;
	t->to_fd.max = BUFFER_MAX;
	t->ground = (struct deferred){ .call = tunnel_ground, .arg = t };
	t->start = (struct deferred){ .call = tunnel_start, .arg = t };
	t->bastion = bastion_get(pool, spec, depth, &t->err);
	if (t->bastion == NULL) {
		tunnel_end(t);
		return t;
	}
	t->next = t->bastion->tunnels;
	t->bastion->tunnels = t;
	if (t->bastion->up) {
		/* Not from within this call: the owner does not have t yet. */
		pool_defer(pool, &t->start);
	}
	return t;
}

void
bastions_free(struct conn_pool *pool)
{
	while (pool->bastions != NULL)
		bastion_idle(pool->bastions);
}
