/*
 * Connections: their states, their frames, their end; see conn.h and wire.h.
 *
 * Rules: a wire puts what it received into rx and errs and calls conn_turn();
 * the owner's functions are called from there, one frame at a time, and may
 * close the connection, which only marks it: closed() and the freeing come
 * from the loop's ground.  What the owner sends is gathered and written once
 * per turn of the loop, so that many small requests share a packet.
 */
#include <assert.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/codec.h"
#include "exec/image.h"
#include "ssh/wire.h"

#define DRAIN_MARK	((size_t)256 * 1024)
#define CLOSE_MS	5000
#define FILES_MAX	65536	/* not all: children may go through them one by one */
#define START_STEPS	3	/* starting may take as many connect timeouts: sudo and PAM are slow */

static void	conn_ground(void *);
static void	conn_flush(void *);
static void	on_conn_timer(evutil_socket_t, short, void *);

/* ---- the pool ------------------------------------------------------------- */

void
pool_defer(struct conn_pool *pool, struct deferred *d)
{
	if (d->pending)
		return;
	d->pending = true;
	d->next = NULL;
	*pool->deferred_tail = d;
	pool->deferred_tail = &d->next;
	event_active(pool->ground, EV_TIMEOUT, 0);
}

void
pool_undefer(struct conn_pool *pool, struct deferred *d)
{
	struct deferred **p;

	if (!d->pending)
		return;
	for (p = &pool->deferred; *p != d; p = &(*p)->next)
		;
	if ((*p = d->next) == NULL)
		pool->deferred_tail = p;
	d->pending = false;
}

static void
on_ground(evutil_socket_t fd, short what, void *arg)
{
	struct conn_pool *pool = arg;
	struct deferred *d;

	(void)fd;
	(void)what;
	while ((d = pool->deferred) != NULL) {
		if ((pool->deferred = d->next) == NULL)
			pool->deferred_tail = &pool->deferred;
		d->pending = false;
		d->call(d->arg);	/* may free d */
	}
}

/* A connection has up to three descriptors, and there may be thousands of them. */
static void
many_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur >= FILES_MAX)
		return;
	files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

struct conn_pool *
conn_pool_new(struct event_base *base, unsigned max_connecting, struct err *err)
{
	struct conn_pool *pool = xcalloc(1, sizeof(*pool));

	(void)signal(SIGPIPE, SIG_IGN);
	many_files();
	pool->base = base;
	pool->max_connecting = max_connecting > 0 ? max_connecting : MAX_CONNECTING;
	pool->waiting_tail = &pool->waiting;
	pool->deferred_tail = &pool->deferred;
	pool->ground = event_new(base, -1, 0, on_ground, pool);
	if ((pool->work = work_new(base, err)) == NULL) {
		event_free(pool->ground);
		free(pool);
		return NULL;
	}
	return pool;
}

void
conn_pool_free(struct conn_pool *pool)
{
	if (pool == NULL)
		return;
	kept_free(pool);
	on_ground(-1, 0, pool);		/* what was closed just now */
	bastions_free(pool);
	on_ground(-1, 0, pool);
	work_free(pool->work);
	on_ground(-1, 0, pool);
	assert(pool->sessions == 0);
	keyfiles_free(pool);
	event_free(pool->ground);
	free(pool);
}

static const char *
local_user(void)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw != NULL ? pw->pw_name : "root";
}

void
conn_spec_copy(struct arena *arena, struct conn_spec *to,
    const struct conn_spec *from)
{
	const char **keys;
	size_t n = 0;

	*to = *from;
#define COPY(field)	to->field = from->field == NULL ? NULL : \
	arena_strdup(arena, from->field)
	COPY(name);
	COPY(host);
	COPY(user);
	COPY(password);
	COPY(jump);
	COPY(home);
	COPY(agent);
	COPY(share);
	COPY(become_password);
#undef COPY
	if (to->host == NULL)
		to->host = to->name != NULL ? to->name : "localhost";
	if (to->name == NULL)
		to->name = to->host;
	if (to->user == NULL || to->user[0] == '\0')
		to->user = arena_strdup(arena, local_user());
	if (to->jump != NULL && (to->jump[0] == '\0' || strcmp(to->jump, "none") == 0))
		to->jump = NULL;
	if (to->port == 0)
		to->port = 22;
	if (from->keys != NULL) {
		while (from->keys[n] != NULL)
			n++;
		keys = ARENA_ARRAY(arena, n + 1, const char *);
		while (n-- > 0)
			keys[n] = arena_strdup(arena, from->keys[n]);
		to->keys = keys;
	}
}

/* ---- the end ------------------------------------------------------------------ */

static void
conn_end(struct conn *c)
{
	if (c->state == C_DEAD)
		return;
	c->state = C_DEAD;
	(void)evtimer_del(c->timer);
	c->wire->stop(c);
	pool_undefer(c->pool, &c->flush);
	pool_defer(c->pool, &c->ground);
}

void
conn_fail(struct conn *c, struct err *err)
{
	if (c->state == C_DEAD || c->state == C_CLOSING) {
		err_release(err);	/* it was to end anyway */
	} else
		err_move(&c->err, err);
	conn_end(c);
}

static void
conn_ground(void *arg)
{
	struct conn *c = arg;
	struct err err = ERR_INIT;

	err_move(&err, &c->err);
	c->ops->closed(c->arg, &err);
	err_release(&err);
	event_free(c->timer);
	buf_release(&c->rx);
	buf_release(&c->errs);
	buf_release(&c->tx);
	arena_release(&c->arena);
	free(c);
}

void
conn_deadline(struct conn *c, int ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	(void)evtimer_add(c->timer, &tv);
}

int
conn_step_ms(const struct conn *c)
{
	return c->spec.connect_timeout_ms > 0 ? c->spec.connect_timeout_ms :
	    CONNECT_TIMEOUT_MS;
}

static int
idle_ms(const struct conn *c)
{
	return c->spec.idle_timeout_ms > 0 ? c->spec.idle_timeout_ms :
	    IDLE_TIMEOUT_MS;
}

/* ---- out -------------------------------------------------------------------------- */

size_t
conn_queued(const struct conn *c)
{
	return c->tx.len - c->tx_off;
}

static bool
write_some(struct conn *c, const char *data, size_t len, size_t *ret)
{
	*ret = len == 0 ? 0 : c->wire->write(c, data, len);
	return *ret > 0;
}

static void
conn_flush(void *arg)
{
	struct conn *c = arg;
	size_t n;

	if (c->state == C_UPLOADING) {
		while (write_some(c, c->upload, c->upload_len, &n)) {
			c->upload += n;
			c->upload_len -= n;
			conn_deadline(c, START_STEPS * conn_step_ms(c));
		}
		return;
	}
	if (c->state != C_READY && c->state != C_CLOSING)
		return;
	while (write_some(c, c->tx.data + c->tx_off, conn_queued(c), &n))
		c->tx_off += n;
	if (c->tx_off == c->tx.len || c->tx_off > 4 * DRAIN_MARK) {
		buf_consume(&c->tx, c->tx_off);
		c->tx_off = 0;
	}
	if (c->above && conn_queued(c) < DRAIN_MARK) {
		c->above = false;
		if (c->drained != NULL && c->state == C_READY)
			c->drained(c->arg);
	}
}

void
conn_send(struct conn *c, const void *data, size_t len)
{
	if (c->state == C_DEAD || c->state == C_CLOSING)
		return;
	buf_add(&c->tx, data, len);
	if (conn_queued(c) > DRAIN_MARK)
		c->above = true;
	if (c->state == C_READY)
		pool_defer(c->pool, &c->flush);
}

void
conn_on_drain(struct conn *c, void (*drained)(void *arg))
{
	c->drained = drained;
}

void
conn_close(struct conn *c, bool abort_now)
{
	if (c->state == C_DEAD)
		return;
	if (abort_now || (c->state != C_READY && c->state != C_CLOSING)) {
		conn_end(c);
		return;
	}
	if (c->state == C_CLOSING)
		return;
	frame_put(&c->tx, FRAME_BYE, 0, 0, NULL, 0);
	c->state = C_CLOSING;
	conn_deadline(c, CLOSE_MS);
	pool_defer(c->pool, &c->flush);
}

/* ---- in ---------------------------------------------------------------------------- */

void
conn_add_errs(struct conn *c, const void *data, size_t len)
{
	const char *from = data;

	if (len > ERRS_MAX) {
		from += len - ERRS_MAX;
		len = ERRS_MAX;
	}
	if (c->errs.len + len > ERRS_MAX)
		buf_consume(&c->errs, c->errs.len + len - ERRS_MAX);
	buf_add(&c->errs, from, len);
}

static void
broken(struct conn *c, struct err *err)
{
	(void)err_wrap(err, "%s does not speak as the executor should", c->spec.name);
	conn_fail(c, err);
}

static void
greeted(struct conn *c, const struct frame *f)
{
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	const struct value *v = NULL;

	if (f->type != FRAME_HELLO)
		(void)err_set(&err, ERR_INVALID, "its first frame is no greeting");
	else
		v = codec_decode(&arena, f->payload, f->len, &err);
	if (v != NULL && v_get_int(v, "protocol", 0) != FRAME_PROTOCOL)
		(void)err_set(&err, ERR_INVALID, "it speaks protocol %d, we speak %d",
		    (int)v_get_int(v, "protocol", 0), FRAME_PROTOCOL);
	else if (v != NULL && bootstrap_sudo(&c->spec) &&
	    v_get_int(v, "uid", -1) != 0)
		(void)err_set(&err, ERR_AUTH, "sudo did not make it root");
	if (err.code != ERR_NONE) {
		broken(c, &err);
	} else {
		c->state = C_READY;
		c->ran = true;
		c->heard_ms = pool_now_ms();
		conn_deadline(c, idle_ms(c) / 3 + 1);
		if (c->tx.len > 0)
			pool_defer(c->pool, &c->flush);
		c->ops->ready(c->arg, v);
	}
	arena_release(&arena);
}

static void
frame_in(struct conn *c, const struct frame *f)
{
	struct err err = ERR_INIT;

	if (c->state == C_GREETING) {
		greeted(c, f);
		return;
	}
	switch (f->type) {
	case FRAME_PONG:
		break;
	case FRAME_PROGRESS:
	case FRAME_NEED:
	case FRAME_DATA:
	case FRAME_HELD:
	case FRAME_RESULT:
		if (c->state == C_READY)
			c->ops->frame(c->arg, f);
		break;
	default:
		(void)err_set(&err, ERR_INVALID, "frame type %u", f->type);
		broken(c, &err);
		break;
	}
}

static void
frames_in(struct conn *c)
{
	struct err err = ERR_INIT;
	struct frame f;
	size_t used = 0;
	int got = 0;

	while ((c->state == C_GREETING || c->state == C_READY ||
	    c->state == C_CLOSING) && used < c->rx.len &&
	    (got = frame_get(c->rx.data + used, c->rx.len - used, &f, &err)) == 1) {
		used += FRAME_HEADER + f.len;
		frame_in(c, &f);
	}
	buf_consume(&c->rx, used);
	if (got < 0)
		broken(c, &err);
}

static void
start_upload(struct conn *c, const char *arch)
{
	const char *sha256;
	struct err err = ERR_INIT;

	c->upload = executor_image(arch, &c->upload_len, &sha256);
	if (c->upload == NULL) {
		(void)err_set(&err, ERR_UNSUPPORTED, "there is no executor for '%s'",
		    arch);
		broken(c, &err);
		return;
	}
	c->state = C_UPLOADING;
	conn_flush(c);
}

/* While the script runs: its words, sudo's prompt. */
static void
start_turn(struct conn *c)
{
	struct err err = ERR_INIT;
	const char *arch;
	char line[256];
	int n;

	if (c->state == C_STARTING && c->spec.become_password != NULL &&
	    bootstrap_prompted(c)) {
		if (c->prompts++ > 0) {
			(void)err_set(&err, ERR_AUTH, "sudo on %s does not take the "
			    "password of '%s'", c->spec.name, c->spec.user);
			conn_fail(c, &err);
			return;
		}
		n = snprintf(line, sizeof(line), "%s\n", c->spec.become_password);
		if (n > 0 && (size_t)n < sizeof(line))
			(void)c->wire->write(c, line, (size_t)n);
		explicit_bzero(line, sizeof(line));
	}
	switch (bootstrap_read(c, &arch, &err)) {
	case BOOT_READY:
		c->state = C_GREETING;
		frames_in(c);
		break;
	case BOOT_NEED:
		start_upload(c, arch);
		break;
	case BOOT_FAILED:
		conn_fail(c, &err);
		break;
	default:
		if (c->state == C_UPLOADING)
			conn_flush(c);
		break;
	}
}

void
conn_turn(struct conn *c)
{
	if (c->state == C_STARTING || c->state == C_UPLOADING)
		start_turn(c);
	else if (c->state != C_DEAD) {
		frames_in(c);
		if (c->state != C_DEAD)
			conn_flush(c);
	}
}

void
conn_started(struct conn *c)
{
	c->state = C_STARTING;
	conn_deadline(c, START_STEPS * conn_step_ms(c));
}

void
conn_rewire(struct conn *c, const struct wire *wire)
{
	c->wire->stop(c);
	(void)evtimer_del(c->timer);
	pool_undefer(c->pool, &c->flush);
	buf_clear(&c->rx);
	buf_clear(&c->errs);
	c->prompts = 0;
	c->state = C_OPENING;
	c->wire = wire;
	c->wire->start(c);
}

void
conn_ended(struct conn *c)
{
	struct err err = ERR_INIT;

	if (c->state != C_DEAD && c->state != C_CLOSING) {
		if (!c->ran)
			bootstrap_ended(c, &err);
		else if (c->signal[0] != '\0')
			(void)err_set(&err, ERR_IO, "the executor on %s was ended "
			    "by signal %s", c->spec.name, c->signal);
		else
			(void)err_set(&err, ERR_IO, "the executor on %s ended "
			    "unexpectedly (exit status %d)", c->spec.name, c->status);
		if (c->ran)
			err_hint(&err, "somebody killed it, or the host ran out of "
			    "memory: its kernel log tells");
	}
	conn_fail(c, &err);
}

/* ---- deadlines, heartbeat ------------------------------------------------------------ */

static void
heartbeat(struct conn *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	int64_t now = pool_now_ms();

	if (c->session != NULL && session_heard_ms(c->session) > c->heard_ms)
		c->heard_ms = session_heard_ms(c->session);
	if (c->heard_ms >= c->pinged_ms)
		c->pinged_ms = 0;
	if (c->pinged_ms != 0 && now - c->heard_ms >= idle_ms(c)) {
		(void)err_set(&err, ERR_TIMEOUT, "%s has not been heard of for %d s",
		    c->spec.name, (int)((now - c->heard_ms) / 1000));
		err_hint(&err, "it hangs, or the network to it is gone");
		conn_fail(c, &err);
		return;
	}
	if (c->pinged_ms == 0 && now - c->heard_ms >= idle_ms(c) / 3) {
		frame_put(&b, FRAME_PING, 0, 1, NULL, 0);
		conn_send(c, b.data, b.len);
		c->pinged_ms = now;
	}
	conn_deadline(c, idle_ms(c) / 3 + 1);
}

static void
on_conn_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (c->state == C_OPENING && c->wire->overdue != NULL) {
		c->wire->overdue(c);
		return;
	}
	switch (c->state) {
	case C_READY:
		heartbeat(c);
		return;
	case C_CLOSING:
		conn_end(c);
		return;
	case C_UPLOADING:
		(void)err_set(&err, ERR_TIMEOUT, "the upload of the executor to %s "
		    "has come to a stop (%zu bytes left)", c->spec.name,
		    c->upload_len);
		break;
	default:
		(void)err_set(&err, ERR_TIMEOUT, "the executor did not start on %s "
		    "within %d s", c->spec.name, START_STEPS * conn_step_ms(c) / 1000);
		err_hint(&err, c->spec.become_password != NULL && c->prompts == 0 ?
		    "sudo may ask in a way we do not know" :
		    "does `ssh %s@%s true` hang, too? The login shell's start-up "
		    "files may wait for input", c->spec.user, c->spec.host);
		break;
	}
	conn_fail(c, &err);
}

/* ---- opening -------------------------------------------------------------------------- */

static void
make_nonce(char nonce[NONCE_LEN + 1])
{
	unsigned char bytes[NONCE_LEN / 2];
	size_t i;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		abort();
	for (i = 0; i < sizeof(bytes); i++)
		(void)snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
}

int
conn_spec_check(const struct conn_spec *spec, struct err *err)
{
	const char *const names[] = { spec->host, spec->user };
	const char *s;
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		for (s = names[i]; *s != '\0'; s++)
			if ((unsigned char)*s <= 0x20 || *s == 0x7f)
				break;
		if (*names[i] == '\0' || *names[i] == '-' || *s != '\0')
			return err_set(err, ERR_VALUE, "'%s' cannot be the name "
			    "of a %s", names[i], i == 0 ? "host" : "user");
	}
	if (spec->port < 1 || spec->port > 65535)
		return err_set(err, ERR_VALUE, "%d is no port", spec->port);
	if (spec->become_password != NULL && strlen(spec->become_password) > 250)
		return err_set(err, ERR_LIMIT, "the password for sudo is too long");
	return 0;
}

struct conn *
conn_open(struct conn_pool *pool, const struct conn_spec *spec,
    const struct conn_ops *ops, void *arg)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct err err = ERR_INIT;

	c->pool = pool;
	c->ops = ops;
	c->arg = arg;
	conn_spec_copy(&c->arena, &c->spec, spec);
	c->ground = (struct deferred){ .call = conn_ground, .arg = c };
	c->flush = (struct deferred){ .call = conn_flush, .arg = c };
	c->timer = evtimer_new(pool->base, on_conn_timer, c);
	c->rx.max = 2 * (FRAME_PAYLOAD_MAX + FRAME_HEADER);
	c->tx.max = (size_t)1 << 30;
	c->status = -1;
	c->in = c->out = c->err_fd = -1;
	make_nonce(c->nonce);
	c->wire = spec->kind == CONN_LOCAL ? &wire_local :
	    kept_wanted(pool, &c->spec) ? &wire_kept : &wire_ssh;
	if (conn_spec_check(&c->spec, &err) != 0)
		conn_fail(c, &err);
	else
		c->wire->start(c);
	return c;
}

const char *
conn_unanswered(const struct conn *c, struct arena *a)
{
	return c->unanswered ? arena_printf(a, "%s %d", c->spec.host, c->spec.port) : NULL;
}

const char *
conn_state(const struct conn *c)
{
	switch (c->state) {
	case C_OPENING:
		return c->session != NULL ? session_state(c->session) :
		    c->wire == &wire_kept ? "connecting" : "starting";
	case C_STARTING:
		return "starting the executor";
	case C_UPLOADING:
		return "uploading the executor";
	case C_GREETING:
		return "greeting";
	case C_READY:
		return "ready";
	case C_CLOSING:
		return "closing";
	default:
		return "closed";
	}
}
