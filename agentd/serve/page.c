/*
 * The status page's server: see page.h.
 *
 * evhttp reads requests; here is what it lacks.  A connection has one request
 * and PAGE_DEADLINE_S seconds in all, however slowly it drips, and there are
 * no more than PAGE_CONNECTIONS of them: others wait in the kernel's queue.
 * We hold a reference to each connection's bufferevent; that evhttp has let
 * go of it shows in its callbacks, which are gone then.
 *
 * A request is looked at in this order: name (Host), method, target, token,
 * page.  Pages are written whole in memory, bounded by PAGE_MAX, from queries
 * that are bounded, too (state/view.h).
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <event2/util.h>

#include "base/digest.h"
#include "module/base64.h"
#include "serve/page.h"
#include "serve/page_private.h"

#define PAGE_CONNECTIONS	64
#define PAGE_DEADLINE_S		30
#define PAGE_HEADERS_MAX	16384	/* bytes */
#define PAGE_MAX		((size_t)16 * 1024 * 1024)
#define TOKEN_MIN		16
#define TOKEN_MAX		256

struct connection {
	struct bufferevent	*bev;	/* NULL: free */
	int64_t			 since_ms;
};

struct page {
	struct event_base	*base;
	struct state		*state;
	struct evhttp		*http;
	struct evconnlistener	*listener;	/* of http */
	struct event		*sweep;
	struct connection	 conn[PAGE_CONNECTIONS];
	unsigned char		 token[SHA256_LEN];	/* its digest */
	char			*url;
};

/* ---- the token -------------------------------------------------------------------- */

static void
digest(const void *data, size_t len, unsigned char out[SHA256_LEN])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, data, len);
	sha256_end(&h, out);
}

static int
make_token(const char *file, struct err *err)
{
	unsigned char random[24];
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	size_t i;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_errno(err, "no random numbers");
	for (i = 0; i < sizeof(random); i++)
		buf_addf(&text, "%02x", random[i]);
	buf_addc(&text, '\n');
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || write(fd, text.data, text.len) != (ssize_t)text.len ||
	    fsync(fd) == -1) {
		(void)err_errno(err, "cannot make the token file '%s'", file);
		if (fd != -1)
			(void)unlink(file);
		return -1;
	}
	explicit_bzero(text.data, text.len);
	return 0;
}

static int
check_token_file(int fd, const char *file, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(err, "cannot read the token file '%s'", file);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "the token file '%s' is no file", file);
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 077) != 0) {
		(void)err_set(err, ERR_AUTH, "others may read or have written the token file '%s'", file);
		err_hint(err, "chmod 600 it, and put another token into it");
		return -1;
	}
	return 0;
}

const char *
page_token(struct arena *a, const char *file, bool *ret_made, struct err *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *token = NULL;
	size_t len, i;

	if (ret_made != NULL)
		*ret_made = false;
	if (fd == -1 && errno == ENOENT) {
		if (make_token(file, err) == -1)
			return NULL;
		if (ret_made != NULL)
			*ret_made = true;
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	text.max = 4096;
	if (fd == -1) {
		(void)err_errno(err, "cannot read the token file '%s'", file);
		return NULL;
	}
	if (check_token_file(fd, file, err) == -1)
		return NULL;
	if (buf_read_fd(&text, fd) == -1) {
		(void)err_errno(err, "cannot read the token file '%s'", file);
		return NULL;
	}
	len = strcspn(buf_str(&text), "\r\n");
	for (i = 0; i < len && text.data[i] > ' ' && text.data[i] <= '~'; i++)
		;
	if (i < len || len < TOKEN_MIN || len > TOKEN_MAX) {
		(void)err_set(err, ERR_INVALID,
		    "the first line of '%s' is no token: %d to %d characters without blanks",
		    file, TOKEN_MIN, TOKEN_MAX);
		err_hint(err, "remove the file, and a good one is made");
	} else
		token = arena_strndup(a, text.data, len);
	explicit_bzero(text.data, text.len);
	return token;
}

/* In a time that tells nothing of where they differ. */
static bool
token_is(const struct page *page, const char *given, size_t len)
{
	unsigned char have[SHA256_LEN], differ = 0;
	size_t i;

	digest(given, len, have);
	for (i = 0; i < SHA256_LEN; i++)
		differ |= have[i] ^ page->token[i];
	return differ == 0;
}

/* "Bearer TOKEN", or "Basic base64(anybody:TOKEN)". */
static bool
authorized(const struct page *page, const char *header)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	const char *colon;

	if (header == NULL)
		return false;
	if (strncasecmp(header, "Bearer ", 7) == 0)
		return token_is(page, header + 7, strlen(header + 7));
	if (strncasecmp(header, "Basic ", 6) != 0 || strlen(header) > 1024 ||
	    base64_decode(&plain, header + 6, strlen(header + 6)) == -1 ||
	    (colon = memchr(buf_str(&plain), ':', plain.len)) == NULL)
		return false;
	colon++;
	return token_is(page, colon, plain.len - (size_t)(colon - plain.data));
}

/* ---- requests ------------------------------------------------------------------------ */

/* One Host header, with a name that only means this machine: others are what DNS rebinding would send. Any port: `ssh -L` has its own. */
static bool
host_is_ours(struct evkeyvalq *headers)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	const struct evkeyval *h;
	const char *host = NULL;
	size_t len, i;

	for (h = headers->tqh_first; h != NULL; h = h->next.tqe_next)
		if (evutil_ascii_strcasecmp(h->key, "Host") == 0) {
			if (host != NULL)
				return false;
			host = h->value;
		}
	if (host == NULL)
		return false;
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (len > strlen(host) || (host[len] != '\0' && (host[len] != ':' ||
	    host[len + 1 + strspn(host + len + 1, "0123456789")] != '\0')))
		return false;
	for (i = 0; i < NITEMS(names); i++)
		if (strlen(names[i]) == len && evutil_ascii_strncasecmp(host, names[i], len) == 0)
			return true;
	return false;
}

struct route {
	const char	*path[PAGE_SEGMENTS_MAX];	/* "*": any */
	int		(*view)(struct page_view *, struct err *);
};

static const struct route routes[] = {
	{ { NULL }, page_overview },
	{ { "drift" }, page_drift },
	{ { "hosts" }, page_hosts },
	{ { "hosts", "*" }, page_host },
	{ { "results", "*" }, page_result },
	{ { "runs" }, page_runs },
	{ { "runs", "*" }, page_run },
	{ { "runs", "*", "hosts", "*" }, page_run_host },
	{ { "sites" }, page_sites },
	{ { "work" }, page_work },
};

static bool
matches(const struct route *r, const struct page_target *t)
{
	unsigned i;

	for (i = 0; i < t->nsegments; i++)
		if (r->path[i] == NULL || (strcmp(r->path[i], "*") != 0 &&
		    strcmp(r->path[i], t->segment[i]) != 0))
			return false;
	return i == PAGE_SEGMENTS_MAX || r->path[i] == NULL;
}

static bool
single(const struct page_target *t, const char *name)
{
	return t->nsegments == 1 && strcmp(t->segment[0], name) == 0;
}

static const char *
reason_of(int status)
{
	static const struct {
		int		 status;
		const char	*text;
	} reasons[] = {
		{ 200, "OK" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 414, "URI Too Long" }, { 421, "Misdirected Request" },
		{ 500, "Internal Server Error" }, { 503, "Service Unavailable" },
	};
	size_t i;

	for (i = 0; i < NITEMS(reasons) - 1 && reasons[i].status != status; i++)
		;
	return reasons[i].text;
}

static void
answer(struct evhttp_request *req, int status, const char *type, const void *body, size_t len)
{
	static const char *const headers[][2] = {
		{ "Cache-Control", "no-store" }, { "Connection", "close" },
		{ "Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Content-Type-Options", "nosniff" }, { "X-Frame-Options", "DENY" },
	};
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	struct evbuffer *b = evbuffer_new();
	char length[24];
	size_t i;

	if (b == NULL)
		abort();	/* out of memory */
	for (i = 0; i < NITEMS(headers); i++)
		(void)evhttp_add_header(out, headers[i][0], headers[i][1]);
	(void)evhttp_add_header(out, "Content-Type", type);
	(void)snprintf(length, sizeof(length), "%zu", len);
	(void)evhttp_add_header(out, "Content-Length", length);
	if (status == 401)
		(void)evhttp_add_header(out, "WWW-Authenticate",
		    "Basic realm=\"provctl: any name, the token as password\", charset=\"UTF-8\"");
	if (status == 405)
		(void)evhttp_add_header(out, "Allow", "GET, HEAD");
	if (evhttp_request_get_command(req) != EVHTTP_REQ_HEAD)
		(void)evbuffer_add(b, body, len);
	evhttp_send_reply(req, status, reason_of(status), b);
	evbuffer_free(b);
}

/* A page that says what is wrong. */
static void
answer_error(struct evhttp_request *req, int status, const char *text, const char *hint)
{
	struct arena a = { 0 };
	CLEANUP_BUF struct buf body = BUF_INIT, whole = BUF_INIT;
	struct page_view v = { .arena = &a, .out = &body, .title = reason_of(status) };

	html(&body, "<h1>%s</h1>\n<p>%s</p>\n", v.title, text);
	if (hint != NULL)
		html(&body, "<p class=\"none\">%s</p>\n", hint);
	html_page(&whole, &v);
	answer(req, status, "text/html; charset=utf-8", whole.data, whole.len);
	arena_release(&a);
}

static void
answer_view(struct page *page, struct evhttp_request *req, struct arena *a,
    const struct page_target *t)
{
	CLEANUP_BUF struct buf body = { .max = PAGE_MAX }, whole = { .max = PAGE_MAX };
	CLEANUP_ERR struct err err = ERR_INIT;
	struct page_view v = { .arena = a, .state = page->state, .target = t,
	    .out = &body, .now_ms = state_time_ms() };
	int status = 404;
	size_t i;

	for (i = 0; i < NITEMS(routes); i++)
		if (matches(&routes[i], t)) {
			status = routes[i].view(&v, &err);
			break;
		}
	if (status == 503) {
		answer_error(req, 503, err.msg != NULL ? err.msg : "the state cannot be read", err.hint);
		return;
	}
	if (status != 0) {
		answer_error(req, status, "There is nothing here.", NULL);
		return;
	}
	html_page(&whole, &v);
	if (buf_overflowed(&body) || buf_overflowed(&whole))
		answer_error(req, 500, "The page would be too large.", NULL);
	else
		answer(req, 200, "text/html; charset=utf-8", whole.data, whole.len);
}

static void
answer_metrics(struct page *page, struct evhttp_request *req, struct arena *a)
{
	CLEANUP_BUF struct buf text = { .max = PAGE_MAX };
	CLEANUP_ERR struct err err = ERR_INIT;

	if (page_metrics(&text, a, page->state, &err) == -1)
		answer_error(req, 503, err.msg, err.hint);
	else
		answer(req, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
}

/* "ok", when the state can be read: nothing that is worth a token. */
static void
answer_health(struct page *page, struct evhttp_request *req, struct arena *a)
{
	CLEANUP_ERR struct err err = ERR_INIT;

	if (view_runs(page->state, a, 1, NULL, 0, &err) != NULL)
		answer(req, 200, "text/plain; charset=utf-8", "ok\n", 3);
	else
		answer(req, 503, "text/plain; charset=utf-8", "the state cannot be read\n", 25);
}

static bool
answer_file(struct evhttp_request *req, const struct page_target *t)
{
	const struct page_file *f;

	for (f = page_files; f->name != NULL; f++)
		if (single(t, f->name)) {
			answer(req, 200, f->type, f->text, (size_t)(f->end - f->text));
			return true;
		}
	return false;
}

static void
requested(struct evhttp_request *req, void *arg)
{
	struct page *page = arg;
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	struct arena a = { 0 };
	struct page_target t;
	int status;

	if (!host_is_ours(in))
		answer_error(req, 421, "The request asks for a name that is not this machine's own.",
		    "Use http://127.0.0.1 or http://localhost; from elsewhere `ssh -L`.");
	else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD)
		answer_error(req, 405, "These pages can only be read.", NULL);
	else if ((status = page_parse(&a, evhttp_request_get_uri(req), &t)) != 0)
		answer_error(req, status, "There is nothing like that here.", NULL);
	else if (single(&t, "healthz"))
		answer_health(page, req, &a);
	else if (answer_file(req, &t))
		;
	else if (!authorized(page, evhttp_find_header(in, "Authorization")))
		answer_error(req, 401, "A token is needed: as the password (any name will do), or as a bearer.",
		    "It stands in the token file that the page was started with.");
	else if (single(&t, "metrics"))
		answer_metrics(page, req, &a);
	else
		answer_view(page, req, &a, &t);
	arena_release(&a);
}

/* ---- connections ---------------------------------------------------------------------- */

static bool
let_go(struct bufferevent *bev)
{
	bufferevent_data_cb r, w;
	bufferevent_event_cb e;
	void *arg;

	bufferevent_getcb(bev, &r, &w, &e, &arg);
	return e == NULL && arg == NULL;
}

/* Room that ended connections leave; those that take too long are ended. True when there is room. */
static bool
sweep(struct page *page)
{
	int64_t now = state_time_ms();
	size_t i, used = 0;

	for (i = 0; i < PAGE_CONNECTIONS; i++) {
		struct connection *c = &page->conn[i];

		if (c->bev == NULL)
			continue;
		if (let_go(c->bev)) {
			(void)bufferevent_decref(c->bev);
			c->bev = NULL;
			continue;
		}
		used++;
		/* A clock that was set back must not keep it either. */
		if (now - c->since_ms > PAGE_DEADLINE_S * 1000 || now < c->since_ms)
			(void)shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
	}
	return used < PAGE_CONNECTIONS;
}

static void
swept(evutil_socket_t fd, short what, void *arg)
{
	struct page *page = arg;

	(void)fd;
	(void)what;
	if (sweep(page))
		(void)evconnlistener_enable(page->listener);
}

/* evhttp asks for a connection's bufferevent. */
static struct bufferevent *
connected(struct event_base *base, void *arg)
{
	struct page *page = arg;
	/* It closes its socket when we let go of it, too: a number that the kernel uses again must not have events of the old one. */
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	size_t i;

	if (bev == NULL)
		abort();	/* out of memory */
	(void)sweep(page);
	for (i = 0; i < PAGE_CONNECTIONS && page->conn[i].bev != NULL; i++)
		;
	/* The listener stops at the last one. */
	if (i == PAGE_CONNECTIONS)
		return bev;
	bufferevent_incref(bev);
	page->conn[i] = (struct connection){ bev, state_time_ms() };
	for (i = 0; i < PAGE_CONNECTIONS && page->conn[i].bev != NULL; i++)
		;
	if (i == PAGE_CONNECTIONS)
		(void)evconnlistener_disable(page->listener);
	return bev;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* "127.0.0.1:8910", "[::1]:8910": 0, or -1. */
static int
parse_address(const char *text, struct sockaddr_storage *ss, int *len)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	bool six = *text == '[';
	char *end;
	long port;
	size_t n;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return -1;
	port = strtol(colon + 1, &end, 10);
	n = (size_t)(colon - text);
	if (six && (n < 2 || colon[-1] != ']'))
		return -1;
	if (six) {
		text++;
		n -= 2;
	}
	if (*end != '\0' || port > 65535 || n >= sizeof(host))
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	if (six) {
		*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
		*len = sizeof(*in6);
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -1;
	}
	*in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	*len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -1;
}

/* Of loopback, nothing else. */
static int
parse_listen(const char *text, struct sockaddr_storage *ss, int *len, struct err *err)
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (parse_address(text, ss, len) == -1) {
		(void)err_set(err, ERR_USAGE, "'%s' is no address to listen on", text);
		err_hint(err, "such as 127.0.0.1:8910 or [::1]:8910");
		return -1;
	}
	if (ss->ss_family == AF_INET ? ntohl(in->sin_addr.s_addr) >> 24 == 127 :
	    IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr))
		return 0;
	(void)err_set(err, ERR_USAGE, "the status page listens on loopback only, not on '%s'", text);
	err_hint(err, "listen on 127.0.0.1 and bring it elsewhere with `ssh -L`");
	return -1;
}

static char *
bound_url(int fd)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *in = (void *)&ss;
	struct sockaddr_in6 *in6 = (void *)&ss;
	socklen_t len = sizeof(ss);
	char host[INET6_ADDRSTRLEN] = "", text[96];

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return xstrdup("");
	if (ss.ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
	else
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	(void)snprintf(text, sizeof(text), ss.ss_family == AF_INET ? "http://%s:%u/" :
	    "http://[%s]:%u/", host, (unsigned)ntohs(ss.ss_family == AF_INET ?
	    in->sin_port : in6->sin6_port));
	return xstrdup(text);
}

static int
start(struct page *page, const struct page_opts *o, struct err *err)
{
	static const struct timeval second = { 1, 0 };
	struct sockaddr_storage ss = { 0 };
	int len = 0;

	if (parse_listen(o->listen, &ss, &len, err) == -1)
		return -1;
	page->listener = evconnlistener_new_bind(page->base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 16,
	    (struct sockaddr *)&ss, len);
	if (page->listener == NULL) {
		int saved = errno;

		(void)err_errno(err, "cannot listen on %s", o->listen);
		if (saved == EADDRINUSE)
			err_hint(err, "another program has that port: name another, or 0 for any");
		return -1;
	}
	if ((page->http = evhttp_new(page->base)) == NULL)
		abort();	/* out of memory */
	evhttp_set_max_headers_size(page->http, PAGE_HEADERS_MAX);
	evhttp_set_max_body_size(page->http, 0);
	evhttp_set_timeout(page->http, PAGE_DEADLINE_S);
	/* Others are refused in our words. */
	evhttp_set_allowed_methods(page->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
	    EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
	    EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_bevcb(page->http, connected, page);
	evhttp_set_gencb(page->http, requested, page);
	if (evhttp_bind_listener(page->http, page->listener) == NULL ||
	    (page->sweep = event_new(page->base, -1, EV_PERSIST, swept, page)) == NULL ||
	    event_add(page->sweep, &second) == -1)
		abort();	/* out of memory */
	page->url = bound_url(evconnlistener_get_fd(page->listener));
	return 0;
}

struct page *
page_new(struct event_base *base, struct state *state, const struct page_opts *o,
    struct err *err)
{
	struct page *page = xcalloc(1, sizeof(*page));
	struct arena a = { 0 };
	const char *token;

	page->base = base;
	page->state = state;
	if ((token = page_token(&a, o->token_file, NULL, err)) != NULL) {
		digest(token, strlen(token), page->token);
		explicit_bzero((char *)(uintptr_t)token, strlen(token));
	}
	arena_release(&a);
	if (token == NULL || start(page, o, err) == -1) {
		page_free(page);
		return NULL;
	}
	return page;
}

const char *
page_url(const struct page *page)
{
	return page->url;
}

void
page_free(struct page *page)
{
	size_t i;

	if (page == NULL)
		return;
	if (page->sweep != NULL)
		event_free(page->sweep);
	if (page->http != NULL)
		evhttp_free(page->http);	/* and the listener */
	else if (page->listener != NULL)
		evconnlistener_free(page->listener);
	for (i = 0; i < PAGE_CONNECTIONS; i++)
		if (page->conn[i].bev != NULL)
			(void)bufferevent_decref(page->conn[i].bev);
	free(page->url);
	free(page);
}
