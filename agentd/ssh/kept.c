/*
 * The wire over a session that a keeper keeps (keeper.h): a request to it,
 * then descriptors of ours that it has joined to a channel.
 *
 *	asked ─▶ taken ─▶ open ─▶ … ─▶ ended
 *	   └───────┴─ failed: as if it had failed here
 *	   └───────┴─ the keeper is gone, or silent: connected from here (channel.c)
 *
 * When the keeper goes while an executor runs, that connection is lost like
 * any other, and the next one is made from here.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/codec.h"
#include "ssh/ask.h"
#include "ssh/parcel.h"
#include "ssh/wire.h"

#define TAKEN_MS	5000	/* until the keeper has looked at a request */
#define OPEN_STEPS	12	/* until it has connected: all the steps and pauses of a session */

struct kept {
	struct conn_pool	*pool;
	struct parcels		*parcels;	/* NULL: the keeper is gone */
	struct conn		*conns;		/* that have asked */
	struct conn		*waiting, **waiting_tail;	/* to ask */
	unsigned		 asking;	/* not answered yet */
	bool			 silent;	/* it did not answer in time: it is asked no more */
	bool			 busy;		/* in ask_next() */
};

/* Of the process: an answer to a pool that is gone is never taken for one to us. */
static uint32_t last_ask;

static void	ask_next(struct kept *);

/* ---- who has asked ------------------------------------------------------------------ */

static bool
take_out(struct conn **list, const struct conn *c)
{
	struct conn **p;

	for (p = list; *p != NULL && *p != c; p = &(*p)->next_kept)
		;
	if (*p == NULL)
		return false;
	*p = c->next_kept;
	return true;
}

static void
answered(struct kept *k, struct conn *c)
{
	if (c->asking)
		k->asking--;
	c->asking = false;
}

static void
leave(struct kept *k, struct conn *c)
{
	if (take_out(&k->waiting, c)) {
		for (k->waiting_tail = &k->waiting; *k->waiting_tail != NULL;
		    k->waiting_tail = &(*k->waiting_tail)->next_kept)
			;
		return;
	}
	if (!take_out(&k->conns, c))
		return;
	answered(k, c);
	if (k->conns == NULL && k->parcels != NULL) {
		parcels_listen(k->parcels, false);	/* the loop may end */
		if (k->silent) {
			parcels_free(k->parcels);	/* with what waits to be sent */
			k->parcels = NULL;
		}
	}
	ask_next(k);
}

/* ---- answers --------------------------------------------------------------------------- */

static void
kept_over(struct conn *c)
{
	c->eof = true;
	if (c->ended)
		conn_ended(c);
}

static void
take_answer(struct kept *k, struct conn *c, const struct value *v)
{
	const char *state = v_get_str(v, "state", "");
	struct err err = ERR_INIT;

	if (strcmp(state, "taken") == 0 && c->asking) {
		conn_deadline(c, OPEN_STEPS * conn_step_ms(c));
	} else if (strcmp(state, "refused") == 0 && c->asking) {
		conn_rewire(c, &wire_ssh);
	} else if (strcmp(state, "open") == 0 && c->asking) {
		answered(k, c);
		fds_watch(c, kept_over);
		conn_started(c);
		ask_next(k);
	} else if (strcmp(state, "ended") == 0) {
		c->status = (int)v_get_int(v, "status", -1);
		(void)snprintf(c->signal, sizeof(c->signal), "%s",
		    v_get_str(v, "signal", ""));
		c->ended = true;
		if (c->eof)
			conn_ended(c);
	} else if (strcmp(state, "failed") == 0) {
		(void)err_set(&err, (enum err_code)v_get_int(v, "code", ERR_IO), "%s",
		    v_get_str(v, "message", "no reason given"));
		if (v_get_str(v, "hint", NULL) != NULL)
			err_hint(&err, "%s", v_get_str(v, "hint", ""));
		c->unanswered = v_get_bool(v, "unanswered", false);
		conn_fail(c, &err);
	}
}

static void
on_parcel(void *arg, const char *data, size_t len, int fds[PARCEL_FDS])
{
	struct kept *k = arg;
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *v = codec_decode(&a, data, len, &err);
	int64_t id = v_get_int(v, "id", 0);
	struct conn *c;

	(void)fds;
	for (c = k->conns; c != NULL && c->ask != id; c = c->next_kept)
		;
	if (c != NULL)
		take_answer(k, c, v);
	err_release(&err);
	arena_release(&a);
}

static void
on_gone(void *arg)
{
	struct kept *k = arg;
	struct err err = ERR_INIT;
	struct conn *c;

	parcels_free(k->parcels);
	k->parcels = NULL;
	while ((c = k->conns) != NULL) {
		if (!c->ran) {
			conn_rewire(c, &wire_ssh);
			continue;
		}
		(void)err_set(&err, ERR_IO, "the connection to %s was lost: agentd's keeper of "
		    "connections has ended", c->spec.name);
		conn_fail(c, &err);
	}
	ask_next(k);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* 0, or -1: not this one. */
static int
ask(struct kept *k, struct conn *c)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	int data[2], errs[2];
	const struct value *v;
	struct arena a = { 0 };

	bootstrap_command(&line, c);
	v = ask_open(&a, &c->spec, c->ask, buf_str(&line));
	if (v != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data) == 0) {
		c->in = c->out = data[0];
		if (pipe2(errs, O_CLOEXEC) == 0) {
			c->err_fd = errs[0];
			conn_deadline(c, TAKEN_MS);
			parcels_send(k->parcels, v, (int[PARCEL_FDS]){ data[1], errs[1] });
		} else
			(void)close(data[1]);
	}
	arena_release(&a);
	return c->err_fd != -1 ? 0 : -1;
}

static void
ask_next(struct kept *k)
{
	struct conn *c;
	bool useless;

	if (k->busy)
		return;
	k->busy = true;
	while ((c = k->waiting) != NULL) {
		useless = k->parcels == NULL || k->silent;
		if (!useless && k->asking >= k->pool->max_connecting)
			break;
		if ((k->waiting = c->next_kept) == NULL)
			k->waiting_tail = &k->waiting;
		c->ask = ++last_ask;
		c->asking = true;
		k->asking++;
		c->next_kept = k->conns;
		k->conns = c;
		if (!useless)
			parcels_listen(k->parcels, true);
		if (useless || ask(k, c) == -1)
			conn_rewire(c, &wire_ssh);
	}
	k->busy = false;
}

static void
kept_start(struct conn *c)
{
	struct kept *k = c->pool->kept;

	c->next_kept = NULL;
	*k->waiting_tail = c;
	k->waiting_tail = &c->next_kept;
	ask_next(k);
}

static void
kept_overdue(struct conn *c)
{
	c->pool->kept->silent = true;
	conn_rewire(c, &wire_ssh);
}

static void
kept_stop(struct conn *c)
{
	fds_close(c);
	leave(c->pool->kept, c);
}

const struct wire wire_kept = {
	.start = kept_start, .write = fds_write, .stop = kept_stop,
	.overdue = kept_overdue,
};

/* ---- the pool's keeper ---------------------------------------------------------------------- */

void
conn_pool_keeper(struct conn_pool *pool, int fd)
{
	static const struct parcel_ops ops = { .got = on_parcel, .gone = on_gone };
	struct kept *k = xcalloc(1, sizeof(*k));

	k->pool = pool;
	k->waiting_tail = &k->waiting;
	k->parcels = parcels_new(pool->base, fd, &ops, k);
	pool->kept = k;
}

bool
kept_wanted(struct conn_pool *pool, const struct conn_spec *spec)
{
	return pool->kept != NULL && pool->kept->parcels != NULL && !pool->kept->silent &&
	    spec->password == NULL;
}

void
conn_pool_forget(struct conn_pool *pool, const struct conn_spec *from)
{
	struct arena a = { 0 };
	struct conn_spec spec;

	conn_spec_copy(&a, &spec, from);
	if (spec.kind == CONN_SSH && pool->kept != NULL && pool->kept->parcels != NULL)
		parcels_send(pool->kept->parcels, ask_forget(&a, &spec), NULL);
	arena_release(&a);
}

void
kept_free(struct conn_pool *pool)
{
	if (pool->kept == NULL)
		return;
	parcels_free(pool->kept->parcels);
	free(pool->kept);
	pool->kept = NULL;
}
