/*
 * See probe.h.
 */
#include <sys/queue.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <stdlib.h>
#include <string.h>

#include "serve/probe.h"

#define GREETING	"SSH-"
#define GREETING_MAX	4096	/* a server may say something before it */

struct knock {
	LIST_ENTRY(knock)	 entry;
	struct probe		*probe;
	const char		*where;
	struct bufferevent	*bev;
	struct event		*deadline;
};

LIST_HEAD(knock_list, knock);

struct probe {
	struct event_base	*base;
	struct evdns_base	*dns;		/* made anew for each round: resolv.conf may be another */
	void			(*answered)(void *, const char *);
	void			*arg;
	struct arena		 arena;		/* of the round */
	const char		**todo;
	uint32_t		 ntodo, next;
	struct knock_list	 knocks;
	unsigned		 n;
};

static void	more(struct probe *);

static void
knock_free(struct knock *k)
{
	LIST_REMOVE(k, entry);
	k->probe->n--;
	bufferevent_free(k->bev);
	event_free(k->deadline);
	free(k);
}

static void
over(struct knock *k, bool answered)
{
	struct probe *p = k->probe;
	const char *where = k->where;

	knock_free(k);
	if (answered)
		p->answered(p->arg, where);
	more(p);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	if (evbuffer_search(in, GREETING, strlen(GREETING), NULL).pos != -1)
		over(arg, true);
	else if (evbuffer_get_length(in) > GREETING_MAX)
		over(arg, false);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) == 0)
		over(arg, false);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	over(arg, false);
}

static void
knock(struct probe *p, const char *where)
{
	static const struct timeval patience = { PROBE_S, 0 };
	struct knock *k = xcalloc(1, sizeof(*k));
	const char *port = strrchr(where, ' ');

	k->probe = p;
	k->where = where;
	/* Deferred: what fails at once must not come back into this. */
	k->bev = bufferevent_socket_new(p->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	k->deadline = evtimer_new(p->base, on_deadline, k);
	if (k->bev == NULL || k->deadline == NULL || event_add(k->deadline, &patience) == -1)
		abort();	/* out of memory */
	LIST_INSERT_HEAD(&p->knocks, k, entry);
	p->n++;
	bufferevent_setcb(k->bev, on_read, NULL, on_event, k);
	(void)bufferevent_enable(k->bev, EV_READ);
	/* If it cannot even begin, the deadline ends it. */
	if (port != NULL)
		(void)bufferevent_socket_connect_hostname(k->bev, p->dns, AF_UNSPEC,
		    arena_strndup(&p->arena, where, (size_t)(port - where)), (int)strtol(port + 1, NULL, 10));
}

static void
more(struct probe *p)
{
	while (p->next < p->ntodo && p->n < PROBE_AT_ONCE)
		knock(p, p->todo[p->next++]);
}

void
probe_round(struct probe *p, const struct value *where)
{
	uint32_t i;

	if (p->n > 0)
		return;
	arena_release(&p->arena);
	p->next = 0;
	p->ntodo = v_count(where);
	p->todo = ARENA_ARRAY(&p->arena, p->ntodo + 1, const char *);
	for (i = 0; i < p->ntodo; i++)
		p->todo[i] = arena_strdup(&p->arena, v_at(where, i)->u.s);
	if (p->dns != NULL)
		evdns_base_free(p->dns, 0);
	p->dns = evdns_base_new(p->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
	    EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	/* Without servers there is still /etc/hosts; with NULL a name would be resolved here and now. */
	if (p->dns == NULL) {
		if ((p->dns = evdns_base_new(p->base, 0)) == NULL)
			abort();	/* out of memory */
		(void)evdns_base_load_hosts(p->dns, NULL);
	}
	more(p);
}

struct probe *
probe_new(struct event_base *base, void (*answered)(void *, const char *), void *arg)
{
	struct probe *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->answered = answered;
	p->arg = arg;
	LIST_INIT(&p->knocks);
	return p;
}

void
probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	while (!LIST_EMPTY(&p->knocks))
		knock_free(LIST_FIRST(&p->knocks));
	if (p->dns != NULL)
		evdns_base_free(p->dns, 0);
	arena_release(&p->arena);
	free(p);
}
