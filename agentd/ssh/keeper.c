/*
 * See keeper.h: runs that ask, the sessions that are kept, and which request
 * gets which session.
 *
 *	asker ── relay ──┐
 *	asker ── relay ──┴─ warm ── session        (relay.c: the bytes)
 *
 * A warm session is in the list from the beginning of its connect; who asks
 * for the same meanwhile waits with it.  When it is stale it gets no more
 * relays, and is closed behind its last one.  Jump hosts' sessions ask it for
 * keys: its memory is freed when those are gone, too.
 */
#include <string.h>

#include "base/codec.h"
#include "ssh/keeper.h"
#include "ssh/parcel.h"
#include "ssh/relay.h"

#define REUSE_MS	3000	/* for a channel on a session that was there */

/* A key that a host showed when the session was made. */
struct seen {
	struct seen	*next;
	const char	*host, *key;
	int		 port;
};

struct warm {
	struct warm	*next;
	struct keeper	*keeper;
	struct arena	 arena;
	struct ask	 ask;		/* that it was made for */
	struct session	*session;
	struct seen	*seen;
	struct relay	*relays;
	unsigned	 n, max;	/* relays; so many may be */
	bool		 up, stale;
	bool		 used;		/* had a channel */
	bool		 unanswered;	/* no SSH server was there */
	int64_t		 idle_ms;	/* since when n is 0 */
	struct event	*timer;
};

struct asker {
	struct asker	*next;
	struct keeper	*keeper;
	struct parcels	*parcels;
	int		 fd;
};

struct keeper {
	struct event_base *base;
	struct conn_pool *pool;
	struct parcels	*control;	/* NULL: agentd is gone */
	struct asker	*askers;
	struct warm	*warms;
	struct warm	*closed, *doomed;	/* to be freed, in two steps */
	struct event	*tidy;
	int64_t		 keep_ms;
	unsigned	 made;		/* sessions, ever */
};

static void	place(struct relay *);

/* ---- telling ------------------------------------------------------------------------- */

static void
tell(const struct relay *r, const char *state, const struct err *err)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a);

	v_set_int(&a, v, "id", r->ask.id);
	v_set_str(&a, v, "state", state);
	if (err != NULL) {
		v_set_int(&a, v, "code", err->code);
		v_set_str(&a, v, "message", err->msg);
		if (err->hint != NULL)
			v_set_str(&a, v, "hint", err->hint);
		v_set_bool(&a, v, "unanswered", r->warm->unanswered);
	} else {
		v_set_int(&a, v, "status", r->command.status);
		v_set_str(&a, v, "signal", r->command.signal);
	}
	parcels_send(r->asker->parcels, v, NULL);
	arena_release(&a);
}

/* ---- the end of sessions --------------------------------------------------------------- */

/* Nothing uses it any more. */
static void
warm_close(struct warm *w)
{
	struct keeper *k = w->keeper;
	struct warm **p;

	for (p = &k->warms; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	if (w->session != NULL)
		session_close(w->session);
	w->session = NULL;
	(void)event_del(w->timer);
	w->next = k->closed;
	k->closed = w;
	event_active(k->tidy, EV_TIMEOUT, 0);
}

static void
retire(struct warm *w)
{
	w->stale = true;
	if (w->n == 0)
		warm_close(w);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	warm_close(arg);
}

/* No channel is on it. */
static void
rest(struct warm *w)
{
	int64_t ms = w->idle_ms + w->keeper->keep_ms - pool_now_ms();
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	if (w->stale || !w->up || w->keeper->control == NULL || ms <= 0) {
		warm_close(w);
		return;
	}
	(void)event_add(w->timer, &tv);
	event_active(w->keeper->tidy, EV_TIMEOUT, 0);
}

/* At most so many without a channel: the one that has been for longest goes. */
static bool
keep_few(struct keeper *k)
{
	struct warm *w, *oldest = NULL;
	unsigned n = 0;

	for (w = k->warms; w != NULL; w = w->next)
		if (w->n == 0) {
			n++;
			if (oldest == NULL || w->idle_ms < oldest->idle_ms)
				oldest = w;
		}
	if (n <= KEEPER_IDLE_MAX)
		return false;
	warm_close(oldest);
	return true;
}

static void
warms_free(struct warm **list)
{
	struct warm *w;

	while ((w = *list) != NULL) {
		*list = w->next;
		event_free(w->timer);
		arena_release(&w->arena);
		free(w);
	}
}

/* What was closed is freed at the second look: all that was on its way in the pool then is through. */
static void
on_tidy(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;

	(void)fd;
	(void)what;
	warms_free(&k->doomed);
	while (keep_few(k))
		;
	k->doomed = k->closed;
	k->closed = NULL;
	if (k->doomed != NULL)
		event_active(k->tidy, EV_TIMEOUT, 0);
}

/* ---- relays on a session ----------------------------------------------------------------- */

static void
look(struct relay *r)
{
	if (r->warm != NULL && r->warm->up)
		session_again(r->warm->session);
}

/* Off its session, which may be closed by that. */
static void
leave(struct relay *r)
{
	struct warm *w = r->warm;
	struct relay **p;

	command_drop(&r->command);
	memset(&r->command, 0, sizeof(r->command));
	(void)event_del(r->timer);
	for (p = &w->relays; *p != r; p = &(*p)->next)
		;
	*p = r->next;
	r->warm = NULL;
	r->state = R_WAITING;
	if (w->up)
		session_again(w->session);	/* what is to be sent of it */
	if (--w->n == 0) {
		w->idle_ms = pool_now_ms();
		rest(w);
	}
}

static void
fail(struct relay *r, const struct err *err)
{
	tell(r, "failed", err);
	leave(r);
	relay_free(r);
}

static void
start(struct relay *r)
{
	struct warm *w = r->warm;

	r->command.data = relay_data;
	r->command.arg = r;
	command_begin(&r->command, w->session, r->ask.command, false);
	r->state = R_OPENING;
	r->end_ms = pool_now_ms() + (r->reused ? REUSE_MS : r->ask.spec.connect_timeout_ms > 0 ?
	    r->ask.spec.connect_timeout_ms : CONNECT_TIMEOUT_MS);
	relay_tick(r);
	session_again(w->session);
}

/* The session does not take the command: another one might. */
static void
refused(struct relay *r, struct err *err)
{
	struct warm *w = r->warm;

	/* Alone on a new one, it is told the reason. */
	if (!r->reused && (w->n == 1 || err->code == ERR_TIMEOUT)) {
		w->stale = true;
		fail(r, err);
		return;
	}
	if (err->code != ERR_TIMEOUT && w->n > 1)
		w->max = w->n - 1;	/* as many as its sshd lets be (MaxSessions) */
	else
		w->stale = true;
	leave(r);
	place(r);
}

static void
turn_opening(struct relay *r)
{
	struct err err = ERR_INIT;
	int rc;

	r->command.first |= !r->warm->used;	/* the first that is opened, not the first that was made */
	r->warm->used = true;
	rc = command_start(&r->command, &err);
	if (rc == 0 && pool_now_ms() < r->end_ms) {
		/* Its answer may be read in another channel's call. */
		relay_tick(r);
		return;
	}
	if (rc == 0)
		rc = err_set(&err, ERR_TIMEOUT, "%s does not open a channel in time",
		    session_where(r->warm->session));
	if (rc == -1) {
		refused(r, &err);
	} else {
		r->state = R_RUNNING;
		tell(r, "open", NULL);
		look(r);
	}
	err_release(&err);
}

static void
turn_running(struct relay *r)
{
	enum relay_result result = relay_move(r);

	if (result == RELAY_ON)
		return;
	if (result == RELAY_ENDED)
		tell(r, "ended", NULL);
	else
		r->warm->stale = true;	/* it broke off: who knows what it has changed */
	leave(r);
	relay_free(r);
}

static void
warm_turn(void *arg)
{
	struct warm *w = arg;
	struct relay *r, *next;

	for (r = w->relays; r != NULL; r = next) {
		next = r->next;		/* only r itself leaves in its turn */
		if (r->state == R_OPENING)
			turn_opening(r);
		else if (r->state == R_RUNNING)
			turn_running(r);
	}
}

static void
warm_up(void *arg)
{
	struct warm *w = arg;
	struct relay *r;

	w->up = true;
	for (r = w->relays; r != NULL; r = r->next)
		start(r);
}

static void
warm_down(void *arg, struct err *err)
{
	struct warm *w = arg;
	struct relay *r, *again = NULL;

	w->unanswered = session_unanswered(w->session, err);
	w->up = false;
	w->stale = true;
	w->n++;		/* not closed before we are through */
	while ((r = w->relays) != NULL) {
		if (!r->reused || r->state == R_RUNNING) {
			fail(r, err);
			continue;
		}
		leave(r);
		r->next = again;
		again = r;
	}
	w->n--;
	w->session = NULL;
	warm_close(w);
	while ((r = again) != NULL) {
		again = r->next;
		place(r);
	}
}

/* ---- which session -------------------------------------------------------------------------- */

static int
known_keys(void *arg, const char *host, int port, const char **ret, uint32_t max, uint32_t *ret_n)
{
	const struct warm *w = arg;

	*ret_n = ask_pins(w->ask.pins, host, port, ret, max);
	return 0;
}

static void
seen_key(void *arg, const char *host, int port, const char *key)
{
	struct warm *w = arg;
	struct seen *s = ARENA_NEW(&w->arena, struct seen);

	s->host = arena_strdup(&w->arena, host);
	s->key = arena_strdup(&w->arena, key);
	s->port = port;
	s->next = w->seen;
	w->seen = s;
}

/* Does the run know each key that the hosts have shown? */
static bool
trusted(const struct warm *w, const struct ask *q)
{
	const char *keys[ASK_PINS_MAX];
	const struct seen *s;
	uint32_t n, i;

	for (s = w->seen; s != NULL; s = s->next) {
		size_t len = strlen(s->key);

		n = ask_pins(q->pins, s->host, s->port, keys, ASK_PINS_MAX);
		for (i = 0; i < n && (strncmp(keys[i], s->key, len) != 0 ||
		    (keys[i][len] != '\0' && keys[i][len] != ' ')); i++)
			;
		if (i == n)
			return false;
	}
	return true;
}

static bool
same(const struct value *a, const struct value *b)
{
	CLEANUP_BUF struct buf x = BUF_INIT, y = BUF_INIT;

	codec_encode(&x, a);
	codec_encode(&y, b);
	return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static struct warm *
warm_new(struct keeper *k, const struct relay *r)
{
	static const struct session_ops ops = {
		.up = warm_up, .turn = warm_turn, .down = warm_down,
	};
	struct warm *w = xcalloc(1, sizeof(*w));
	struct err err = ERR_INIT;

	w->keeper = k;
	w->max = KEEPER_CHANNELS_MAX;
	w->timer = event_new(k->base, -1, 0, on_idle, w);
	if (w->timer == NULL || ask_parse(&w->arena, r->parcel, r->parcel_len, &w->ask, &err) == -1)
		abort();	/* out of memory: it was read before */
	w->ask.spec.known_keys = known_keys;
	w->ask.spec.seen_key = seen_key;
	w->ask.spec.keys_arg = w;
	w->ask.spec.jump_spec = ask_jump;
	w->ask.spec.jump_arg = &w->ask;
	w->ask.spec.share = arena_printf(&w->arena, "%u", ++k->made);
	w->next = k->warms;
	k->warms = w;
	w->session = session_open(k->pool, &w->ask.spec, 0, &ops, w);
	return w;
}

/* Gives it a session: one that is there, or a new one. */
static void
place(struct relay *r)
{
	struct keeper *k = r->asker->keeper;
	struct warm *w, *next;

	for (w = k->warms; w != NULL; w = next) {
		next = w->next;
		if (w->stale || w->n >= w->max || strcmp(w->ask.key, r->ask.key) != 0)
			continue;
		if (w->up ? trusted(w, &r->ask) : same(w->ask.pins, r->ask.pins))
			break;
		if (w->up)
			retire(w);	/* its host's key is not known any more */
	}
	if (w != NULL)
		(void)event_del(w->timer);
	else
		w = warm_new(k, r);
	r->warm = w;
	r->reused = w->up;
	r->next = w->relays;
	w->relays = r;
	w->n++;
	if (w->up)
		start(r);
}

/* ---- runs -------------------------------------------------------------------------------------- */

static void
maybe_end(struct keeper *k)
{
	if (k->control == NULL && k->askers == NULL)
		(void)event_base_loopbreak(k->base);
}

static void
asker_gone(void *arg)
{
	struct asker *a = arg, **p;
	struct keeper *k = a->keeper;
	struct warm *w, *wnext;
	struct relay *r, *rnext;

	for (w = k->warms; w != NULL; w = wnext) {
		wnext = w->next;
		w->n++;		/* it stays until we are through */
		for (r = w->relays; r != NULL; r = rnext) {
			rnext = r->next;
			if (r->asker == a) {
				w->stale = true;	/* it broke off, too */
				leave(r);
				relay_free(r);
			}
		}
		if (--w->n == 0 && !event_pending(w->timer, EV_TIMEOUT, NULL)) {
			w->idle_ms = pool_now_ms();
			rest(w);
		}
	}
	for (p = &k->askers; *p != a; p = &(*p)->next)
		;
	*p = a->next;
	parcels_free(a->parcels);
	(void)close(a->fd);
	free(a);
	maybe_end(k);
}

static void
forget(struct keeper *k, const struct conn_spec *spec)
{
	struct warm *w, *next;

	for (w = k->warms; w != NULL; w = next) {
		next = w->next;
		if (strcmp(w->ask.spec.host, spec->host) == 0 && w->ask.spec.port == spec->port)
			retire(w);
	}
}

/* Its descriptors did not arrive: we have too many. It connects by itself. */
static void
refuse(struct asker *a, uint32_t id)
{
	struct arena arena = { 0 };
	struct value *v = v_map(&arena);

	v_set_int(&arena, v, "id", id);
	v_set_str(&arena, v, "state", "refused");
	parcels_send(a->parcels, v, NULL);
	arena_release(&arena);
}

static void
asked(void *arg, const char *data, size_t len, int fds[PARCEL_FDS])
{
	struct asker *a = arg;
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	struct relay *r;
	struct ask q;
	int rc = ask_parse(&arena, data, len, &q, &err);

	if (rc == 0 && q.forget) {
		forget(a->keeper, &q.spec);
	} else if (rc == 0 && (fds[0] == -1 || fds[1] == -1)) {
		refuse(a, q.id);
	} else if (rc == 0) {
		r = relay_new(a->keeper->base, fds, look);
		r->asker = a;
		r->arena = arena;
		r->ask = q;
		r->parcel = arena_strndup(&r->arena, data, len);
		r->parcel_len = len;
		memset(&arena, 0, sizeof(arena));
		tell(r, "taken", NULL);
		place(r);
	} else
		asker_gone(a);	/* it does not speak as a run should */
	err_release(&err);
	arena_release(&arena);
}

/* ---- agentd --------------------------------------------------------------------------------------- */

static void
settings(struct keeper *k, int64_t keep_ms)
{
	struct warm *w, *next;

	k->keep_ms = keep_ms;
	for (w = k->warms; w != NULL; w = next) {
		next = w->next;
		if (w->n == 0)
			rest(w);
	}
}

static void
on_control(void *arg, const char *data, size_t len, int fds[PARCEL_FDS])
{
	static const struct parcel_ops ops = { .got = asked, .gone = asker_gone };
	struct keeper *k = arg;
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	const struct value *v = codec_decode(&arena, data, len, &err);
	struct asker *a;

	settings(k, v_get_int(v, "keep_ms", 0));
	if (fds[0] != -1) {
		a = xcalloc(1, sizeof(*a));
		a->keeper = k;
		a->fd = fds[0];
		fds[0] = -1;
		a->next = k->askers;
		k->askers = a;
		a->parcels = parcels_new(k->base, a->fd, &ops, a);
		parcels_listen(a->parcels, true);
	}
	err_release(&err);
	arena_release(&arena);
}

static void
control_gone(void *arg)
{
	struct keeper *k = arg;

	parcels_free(k->control);
	k->control = NULL;
	settings(k, 0);
	maybe_end(k);
}

int
keeper_run(int fd, struct err *err)
{
	static const struct parcel_ops ops = { .got = on_control, .gone = control_gone };
	struct keeper k = { .base = event_base_new() };

	if (k.base == NULL || (k.tidy = event_new(k.base, -1, 0, on_tidy, &k)) == NULL)
		abort();	/* out of memory */
	if ((k.pool = conn_pool_new(k.base, 0, err)) != NULL) {
		k.control = parcels_new(k.base, fd, &ops, &k);
		parcels_listen(k.control, true);
		(void)event_base_dispatch(k.base);
		while (k.warms != NULL)
			warm_close(k.warms);
		conn_pool_free(k.pool);
		warms_free(&k.doomed);
		warms_free(&k.closed);
	}
	event_free(k.tidy);
	event_base_free(k.base);
	return k.pool != NULL ? 0 : -1;
}
