/*
 * churn: many connections at once to one host, some closed at random moments,
 * orderly or not, from within their callbacks or from outside.
 *
 *	churn PORT KEYFILE "HOSTKEY" COUNT SEED [JUMP | --keeper FD]
 *
 * Checks what conn.h promises whatever happens: ready() at most once, closed()
 * exactly once and last, results in order, and that undisturbed ones work.
 * Run with the sanitizers it finds what was freed too early or never.
 */
#include <assert.h>
#include <string.h>

#include "base/codec.h"
#include "ssh/conn.h"

#define REQUESTS	5

enum plan { LEAVE, CLOSE_IN_READY, ABORT_IN_READY, CLOSE_IN_FRAME, ABORT_IN_FRAME,
    CLOSE_BY_TIMER, ABORT_BY_TIMER, PLANS };

struct client {
	struct conn	*conn;
	struct event	*timer;
	enum plan	 plan;
	uint32_t	 results;
	bool		 ready, closed;
};

static unsigned open_count, failed, worked;
static struct event_base *base;
static const char *host_key;

static int
known_keys(void *arg, const char *host, int port, const char **ret,
    uint32_t max, uint32_t *ret_n)
{
	(void)arg;
	(void)host;
	(void)port;
	(void)max;
	ret[0] = host_key;
	*ret_n = 1;
	return 0;
}

static void
on_ready(void *arg, const struct value *hello)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct client *c = arg;
	struct arena arena = { 0 };
	struct value *r = v_map(&arena);
	uint32_t i;

	assert(!c->ready && !c->closed && hello != NULL);
	c->ready = true;
	v_set_str(&arena, r, "module", "nonsense");
	v_sets(&arena, r, "args", v_map(&arena));
	for (i = 1; i <= REQUESTS; i++) {
		size_t at = frame_begin(&b, FRAME_REQUEST, 0, i);

		codec_encode(&b, r);
		frame_end(&b, at);
	}
	conn_send(c->conn, b.data, b.len);
	arena_release(&arena);
	if (c->plan == CLOSE_IN_READY || c->plan == ABORT_IN_READY)
		conn_close(c->conn, c->plan == ABORT_IN_READY);
}

static void
on_frame(void *arg, const struct frame *f)
{
	struct client *c = arg;

	assert(c->ready && !c->closed && f->type == FRAME_RESULT);
	assert(f->id == ++c->results);
	if (c->plan == CLOSE_IN_FRAME || c->plan == ABORT_IN_FRAME ||
	    c->results == REQUESTS)
		conn_close(c->conn, c->plan == ABORT_IN_FRAME);
}

static void
on_closed(void *arg, struct err *err)
{
	struct client *c = arg;

	assert(!c->closed);
	c->closed = true;
	(void)event_del(c->timer);
	if (err->code != ERR_NONE) {
		failed++;
		(void)fprintf(stderr, "%s\n", err->msg);
	} else if (c->plan == LEAVE) {
		assert(c->results == REQUESTS);
		worked++;
	}
	if (--open_count == 0)
		(void)event_base_loopbreak(base);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	conn_close(c->conn, c->plan == ABORT_BY_TIMER);
}

int
main(int argc, char **argv)
{
	static const struct conn_ops ops = {
		.ready = on_ready, .frame = on_frame, .closed = on_closed,
	};
	const char *keys[] = { argv[2], NULL };
	struct conn_spec spec = {
		.name = "target", .host = "127.0.0.1", .keys = keys,
		.known_keys = known_keys,
	};
	struct conn_pool *pool;
	struct client *clients;
	struct err err = ERR_INIT;
	unsigned n, i, left = 0;

	assert(argc >= 6);
	spec.port = atoi(argv[1]);
	host_key = argv[3];
	n = (unsigned)atoi(argv[4]);
	srandom((unsigned)atoi(argv[5]));
	spec.jump = argc == 7 ? argv[6] : NULL;
	base = event_base_new();
	pool = conn_pool_new(base, 8, &err);
	assert(pool != NULL);
	if (argc == 8)
		conn_pool_keeper(pool, atoi(argv[7]));
	clients = xcalloc(n, sizeof(*clients));
	open_count = n;
	for (i = 0; i < n; i++) {
		struct client *c = &clients[i];
		struct timeval tv = { 0, random() % 600000 };

		c->plan = (enum plan)((unsigned)random() % PLANS);
		left += c->plan == LEAVE;
		c->timer = evtimer_new(base, on_timer, c);
		if (c->plan == CLOSE_BY_TIMER || c->plan == ABORT_BY_TIMER)
			(void)evtimer_add(c->timer, &tv);
		c->conn = conn_open(pool, &spec, &ops, c);
		if (c->plan != LEAVE && random() % 20 == 0)
			conn_close(c->conn, true);	/* before anything happened */
	}
	(void)event_base_dispatch(base);
	for (i = 0; i < n; i++) {
		assert(clients[i].closed);
		event_free(clients[i].timer);
	}
	conn_pool_free(pool);
	event_base_free(base);
	free(clients);
	(void)printf("%u connections, %u left alone, %u of them worked, %u failed\n",
	    n, left, worked, failed);
	return failed == 0 ? 0 : 1;
}
