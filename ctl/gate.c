/*
 * See gate.h.  Copies live in two batches with an arena each: one waits for its
 * commit, the other is being filled meanwhile.
 */
#include <sys/eventfd.h>
#include <stdlib.h>
#include <unistd.h>

#include "gate.h"

struct held {
	struct event	 e;
	struct held	*next;
};

struct batch {
	struct arena	  arena;
	struct held	 *first, **last;
	uint64_t	  until;	/* so many statements must be committed */
};

struct waiter {
	struct waiter	*next;
	uint64_t	  until;
	void		(*answer)(void *);
	void		*arg;
};

struct gate {
	struct state	*state;
	struct sink	 to;
	int		 fd;
	struct event	*readable;
	struct batch	 filling, waiting;
	struct waiter	*waiters, **last_waiter;	/* in order */
};

static void
batch_clear(struct batch *b)
{
	arena_release(&b->arena);
	*b = (struct batch){ .last = &b->first };
}

static const char *
text(struct arena *a, const char *s)
{
	return s != NULL ? arena_strdup(a, s) : NULL;
}

static const struct value *
value(struct arena *a, const struct value *v)
{
	return v != NULL ? v_copy(a, v) : NULL;
}

/* Everything that is valid only during the call; marks are the site's. */
static void
hold(struct batch *b, const struct event *e)
{
	struct held *h = ARENA_NEW(&b->arena, struct held);

	h->e = *e;
	h->e.host = text(&b->arena, e->host);
	h->e.delegated = text(&b->arena, e->delegated);
	h->e.play = text(&b->arena, e->play);
	h->e.task = text(&b->arena, e->task);
	h->e.module = text(&b->arena, e->module);
	h->e.role = text(&b->arena, e->role);
	h->e.desired = text(&b->arena, e->desired);
	h->e.text = text(&b->arena, e->text);
	h->e.hint = text(&b->arena, e->hint);
	h->e.result = value(&b->arena, e->result);
	h->e.item = value(&b->arena, e->item);
	h->e.hosts = value(&b->arena, e->hosts);
	*b->last = h;
	b->last = &h->next;
}

static void
pass(struct gate *g, struct batch *b)
{
	const struct held *h;

	for (h = b->first; h != NULL; h = h->next)
		g->to.event(g->to.arg, &h->e);
	batch_clear(b);
}

/* Passes on what is committed; what has come meanwhile waits next. */
static void
look(struct gate *g)
{
	while (g->waiting.first != NULL || g->filling.first != NULL) {
		if (g->waiting.first == NULL) {
			g->waiting = g->filling;
			g->filling = (struct batch){ 0 };
			g->filling.last = &g->filling.first;
		}
		if (state_committed(g->state) < g->waiting.until)
			return;
		pass(g, &g->waiting);
	}
}

/* An answer may lead to the next question. */
static void
answer(struct gate *g)
{
	struct waiter *w;

	while ((w = g->waiters) != NULL && w->until <= state_committed(g->state)) {
		if ((g->waiters = w->next) == NULL)
			g->last_waiter = &g->waiters;
		w->answer(w->arg);
		free(w);
	}
}

bool
gate_await(void *gate, void (*fn)(void *), void *arg)
{
	struct gate *g = gate;
	uint64_t until = state_queued(g->state);
	struct waiter *w;

	if (state_committed(g->state) >= until)
		return false;
	w = xmalloc(sizeof(*w));
	*w = (struct waiter){ NULL, until, fn, arg };
	*g->last_waiter = w;
	g->last_waiter = &w->next;
	return true;
}

static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	eventfd_t n;

	(void)what;
	(void)eventfd_read(fd, &n);
	look(arg);
	answer(arg);
}

static void
on_event(void *arg, const struct event *e)
{
	struct gate *g = arg;

	hold(&g->filling, e);
	g->filling.until = state_queued(g->state);
	if (g->waiting.first == NULL)
		look(g);
}

struct gate *
gate_new(struct event_base *base, struct state *s, struct sink to)
{
	struct gate *g = xcalloc(1, sizeof(*g));

	g->state = s;
	g->to = to;
	g->last_waiter = &g->waiters;
	batch_clear(&g->filling);
	batch_clear(&g->waiting);
	g->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->fd == -1 || (g->readable = event_new(base, g->fd,
	    EV_READ | EV_PERSIST, on_commit, g)) == NULL ||
	    event_add(g->readable, NULL) == -1)
		abort();	/* out of memory or descriptors */
	state_notify(s, g->fd);
	return g;
}

struct sink
gate_sink(struct gate *g)
{
	return (struct sink){ .event = on_event, .arg = g };
}

void
gate_flush(struct gate *g)
{
	struct err err = ERR_INIT;

	/* What could not be recorded is told all the same: the run's end says so. */
	(void)state_sync(g->state, &err);
	err_release(&err);
	answer(g);
	pass(g, &g->waiting);
	pass(g, &g->filling);
}

void
gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	gate_flush(g);
	state_notify(g->state, -1);
	event_free(g->readable);
	(void)close(g->fd);
	free(g);
}
