/*
 * An HTTP/1.1 client for modules: http and https, redirects, basic
 * authentication, proxies, chunked bodies, Unix sockets.
 *
 * One request per connection.  The response's head is limited to
 * HTTP_HEAD_MAX bytes; the body goes to a function of the caller as it comes.
 * The parser is incremental and apart from the network (fuzzed alone).
 */
#ifndef PROVCTL_MODULE_HTTP_H
#define PROVCTL_MODULE_HTTP_H

#include <time.h>

#include "base/buf.h"
#include "module/module.h"

#define HTTP_HEAD_MAX		((size_t)256 * 1024)
#define HTTP_REDIRECTS_MAX	10

struct http_header {
	const char	*name, *value;
};

/* ---- the parser ------------------------------------------------------------- */

enum http_state {
	HTTP_STATUS, HTTP_HEADERS, HTTP_LENGTH, HTTP_UNTIL_END, HTTP_CHUNK_SIZE,
	HTTP_CHUNK, HTTP_CHUNK_END, HTTP_TRAILERS, HTTP_DONE
};

struct http_parser {
	struct arena		*arena;
	bool			 head_only;	/* of a HEAD request: no body follows */
	/* Takes a part of the body. 0, or -1 with err, which ends all. */
	int			(*body)(void *arg, const void *, size_t, struct err *);
	void			*arg;
	/* The result: */
	enum http_state		 state;
	int			 status;
	const char		*reason;
	struct http_header	*headers;
	size_t			 nheaders, capheaders;
	bool			 keep_alive;	/* further inside: */
	uint64_t		 left;		/* bytes of the body or chunk */
	size_t			 head;		/* bytes of the head so far */
	struct buf		 line;
};

void	 http_parser_init(struct http_parser *, struct arena *);
void	 http_parser_release(struct http_parser *);
/* Goes on with input. 0, or -1 with err. Input after HTTP_DONE is ignored. */
int	 http_parse(struct http_parser *, const char *, size_t, struct err *);
/* The input has ended. -1 with err when the response is not complete. */
int	 http_parse_end(struct http_parser *, struct err *);
/* The first header of that name (any case), or NULL. */
const char *http_header(const struct http_parser *, const char *name);

/* ---- URLs --------------------------------------------------------------------- */

struct url {
	const char	*scheme;	/* "http", "https", "file" */
	const char	*user, *password;	/* decoded, or NULL */
	const char	*host;		/* without brackets */
	int		 port;
	const char	*target;	/* path and query, never empty */
};

int		 url_parse(struct arena *, const char *, struct url *, struct err *);
/* What a reference (a Location header) means seen from a URL. */
const char	*url_join(struct arena *, const struct url *, const char *ref);
/* The URL without user and password. */
const char	*url_text(struct arena *, const struct url *);
/* The last part of the path, decoded, without anything that could leave a directory; NULL when there is none. */
const char	*url_basename(struct arena *, const struct url *);

/* ---- requests -------------------------------------------------------------------- */

enum http_follow { HTTP_FOLLOW_SAFE, HTTP_FOLLOW_ALL, HTTP_FOLLOW_NONE, HTTP_FOLLOW_URLLIB2 };

struct http_request {
	const char		*method;
	const char		*url;
	struct http_header	*headers;	/* the task's; may replace ours */
	size_t			 nheaders;
	const char		*body;		/* or … */
	size_t			 nbody;
	int			 body_fd;	/* … a regular file (-1: none) */
	bool			 has_body;
	const char		*user, *password;
	bool			 force_basic_auth;
	enum http_follow	 follow;
	bool			 verify, use_proxy, no_cache;
	const char		*ca_path, *client_cert, *client_key;
	const char		*agent;
	const char		*unix_socket;
	const char *const	*plain_redirect_headers;	/* not sent on to where a redirect leads; NULL-terminated */
	int			 timeout_ms;	/* of each operation */
	time_t			 if_modified_since;	/* 0: not */
	/* The body of the last response. */
	int			(*take)(void *arg, const void *, size_t, struct err *);
	void			(*restart)(void *arg);	/* a further response follows: forget what was taken */
	void			*arg;
};

struct http_response {
	int			 status;
	const char		*reason;
	struct http_header	*headers;
	size_t			 nheaders;
	const char		*url;		/* where it ended */
	bool			 redirected;
	int64_t			 elapsed_ms;
	const char		*set_cookies;	/* "k=v; k2=v2" seen on the way, or "" */
	struct value		*cookies;	/* map */
};

/* Any status is success. -1 with err when there is no response. */
int	 http_do(struct mod *, const struct http_request *, struct http_response *,
	    struct err *);
/* The first header of a response, or NULL. */
const char *http_response_header(const struct http_response *, const char *name);
/* "Sun, 06 Nov 1994 08:49:37 GMT" */
const char *http_date(struct arena *, time_t);
/* The headers as a map with lower-case names, repeated ones joined by ", "; dashes as given or replaced by _. */
struct value *http_header_map(struct arena *, const struct http_response *, bool underscores);

/* RFC 3986: everything but letters, digits and the safe ones as %XX. */
void	 percent_encode(struct buf *, const char *, size_t, const char *safe);

#endif
