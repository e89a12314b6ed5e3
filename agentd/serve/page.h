/*
 * The status page: the state of the fleet for people (HTML), for Prometheus
 * (/metrics) and for who asks whether we live (/healthz).
 *
 * It only reads, listens on loopback only (`ssh -L` brings it elsewhere) and
 * wants a token: as a bearer, or as the password of HTTP's basic
 * authentication, for which browsers ask; not as a cookie, because cookies of
 * 127.0.0.1 are shown to every port of it, whoever listens there.  The
 * name that a request asks for must be one of this machine's own loopback
 * (DNS rebinding).  Pages work without JavaScript, and load nothing from
 * anywhere else: a strict content security policy says so to the browser.
 */
#ifndef PROVCTL_SERVE_PAGE_H
#define PROVCTL_SERVE_PAGE_H

#include <event2/event.h>

#include "state/state.h"

struct page;

struct page_opts {
	const char	*listen;	/* "127.0.0.1:8910", "[::1]:8910"; port 0: any that is free */
	const char	*token_file;	/* page_token() */
};

/* Listens. The state must live longer and is only read. NULL with err. */
struct page	*page_new(struct event_base *, struct state *, const struct page_opts *,
		    struct err *);
/* "http://127.0.0.1:8910/" */
const char	*page_url(const struct page *);
/* Closes all connections at once. NULL allowed. */
void		 page_free(struct page *);

/*
 * The token: the first line of a file that only its owner may read.  A file
 * that is not there is made, with a token from the kernel's random numbers;
 * *ret_made (or NULL) says so.  In the arena; NULL with err.
 */
const char	*page_token(struct arena *, const char *file, bool *ret_made, struct err *);

#endif
