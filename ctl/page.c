/*
 * provctl page: the status page by itself, without the daemon.
 */
#include <signal.h>
#include <string.h>
#include <event2/event.h>

#include "load.h"
#include "out.h"
#include "serve/page.h"

#define LISTEN	"127.0.0.1:8910"

static void
stop(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	(void)event_base_loopbreak(base);
}

static int
serve(struct ctl *ctl, struct state *state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct event_base *base = event_base_new();
	struct event *events[NITEMS(signals)];
	struct page_opts o = { .listen = ctl->set.listen != NULL ? ctl->set.listen : LISTEN,
	    .token_file = ctl->set.token_file };
	struct err err = ERR_INIT;
	struct page *page;
	bool made = false;
	size_t i;
	int status = RUN_OK;

	if (base == NULL)
		abort();	/* out of memory */
	if (page_token(&ctl->arena, o.token_file, &made, &err) != NULL &&
	    (page = page_new(base, state, &o, &err)) != NULL) {
		for (i = 0; i < NITEMS(signals); i++)
			if ((events[i] = evsignal_new(base, signals[i], stop, base)) == NULL ||
			    event_add(events[i], NULL) == -1)
				abort();	/* out of memory */
		out_note(ctl->out, "the status page is at %s; the password is the token in '%s'%s",
		    page_url(page), o.token_file, made ? ", made just now" : "");
		(void)event_base_dispatch(base);
		for (i = 0; i < NITEMS(signals); i++)
			event_free(events[i]);
		page_free(page);
	} else
		status = fail_with(ctl, &err);
	event_base_free(base);
	return status;
}

static int
page(struct ctl *ctl)
{
	struct load l;
	int status = RUN_USAGE;

	if (ctl->set.token_file == NULL)
		return usage_error(ctl, "'page' needs --token-file FILE");
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0)
		status = serve(ctl, l.state);
	load_release(&l);
	return status;
}

static const struct opt rows[] = {
	{ .name = "listen", .type = OPT_STR, .offset = OFF(listen), .arg = "ADDRESS:PORT",
	    .doc = "An address of loopback; default " LISTEN "." },
	{ .name = "token-file", .type = OPT_STR, .offset = OFF(token_file), .arg = "FILE",
	    .doc = "Its first line is the token; a file that is not there is made." },
	OPT_END
};
static const struct opt_group group = { "Where", rows };
static const struct opt_group *const groups[] = { &group, &opts_state, NULL };

const struct cmd cmd_page = {
	.name = "page", .args = "",
	.summary = "shows the fleet in a browser: hosts, drift, runs, what is owed",
	.doc = "A read-only page on this machine only, until it is interrupted. The browser asks for a name (any) and a password (the token). Also /metrics for Prometheus (the token as bearer) and /healthz. `ssh -L 8910:127.0.0.1:8910 CONTROLLER` brings it to another machine.",
	.opts = groups, .run = page,
};
