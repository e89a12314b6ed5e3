/*
 * Requests; see http.h.
 *
 * What travels with a redirect: the method and the body as Ansible's
 * follow_redirects says; credentials only to the same scheme, host and port.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "module/base64.h"
#include "module/http.h"
#include "module/net.h"

#define READ_CHUNK	((size_t)64 * 1024)

/* One exchange: a request as it goes to one server. */
struct exchange {
	struct mod			*m;
	const struct http_request	*r;
	struct url			 url;
	const char			*method;
	bool				 with_body;
	bool				 first_hop;	/* not redirected to another server */
	const char			*authorization;	/* or NULL */
	struct http_parser		 parser;
};

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *
http_date(struct arena *arena, time_t when)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
	    "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
	    "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;

	(void)gmtime_r(&when, &tm);
	return arena_printf(arena, "%s, %02d %s %d %02d:%02d:%02d GMT",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
}

const char *
http_response_header(const struct http_response *res, const char *name)
{
	size_t i;

	for (i = 0; i < res->nheaders; i++)
		if (strcasecmp(res->headers[i].name, name) == 0)
			return res->headers[i].value;
	return NULL;
}

struct value *
http_header_map(struct arena *arena, const struct http_response *res,
    bool underscores)
{
	struct value *map = v_map(arena);
	const char *old;
	char *name, *s;
	size_t i;

	for (i = 0; i < res->nheaders; i++) {
		name = arena_strdup(arena, res->headers[i].name);
		for (s = name; *s != '\0'; s++)
			*s = *s == '-' && underscores ? '_' :
			    (char)tolower((unsigned char)*s);
		old = v_get_str(map, name, NULL);
		if (old == NULL)
			v_set_str(arena, map, name, res->headers[i].value);
		else
			v_sets(arena, map, name, v_strf(arena, "%s, %s", old,
			    res->headers[i].value));
	}
	return map;
}

/* ---- proxies ----------------------------------------------------------------- */

static const char *
env_var(const struct mod *m, const char *name)
{
	const char *s = m->env == NULL ? NULL : v_get_str(m->env, name, NULL);

	return s != NULL ? s : getenv(name);
}

/* In small letters, then in capitals, as everybody does. */
static const char *
env_any_case(struct mod *m, const char *name)
{
	const char *s = env_var(m, name);
	char *upper, *p;

	if (s != NULL && *s != '\0')
		return s;
	upper = arena_strdup(m->arena, name);
	for (p = upper; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	s = env_var(m, upper);
	return s != NULL && *s != '\0' ? s : NULL;
}

/* no_proxy: "*", or suffixes of names, separated by commas. */
static bool
no_proxy_for(struct mod *m, const struct url *u)
{
	const char *list = env_any_case(m, "no_proxy"), *end;
	size_t n, len = strlen(u->host);
	char *name;

	for (; list != NULL && *list != '\0'; list = *end == ',' ? end + 1 : end) {
		list += strspn(list, " .");
		end = list + strcspn(list, ",");
		name = arena_strndup(m->arena, list, (size_t)(end - list));
		name[strcspn(name, " ")] = '\0';
		n = strlen(name);
		if (strcmp(name, "*") == 0)
			return true;
		if (n > 0 && n <= len && strcasecmp(u->host + len - n, name) == 0 &&
		    (n == len || u->host[len - n - 1] == '.'))
			return true;
	}
	return false;
}

/* 1: through this proxy, 0: none, -1 with err. */
static int
proxy_for(struct exchange *x, struct url *ret, struct err *err)
{
	const char *text;

	if (!x->r->use_proxy || x->r->unix_socket != NULL || no_proxy_for(x->m, &x->url))
		return 0;
	text = env_any_case(x->m, strcmp(x->url.scheme, "https") == 0 ?
	    "https_proxy" : "http_proxy");
	if (text == NULL)
		return 0;
	if (strstr(text, "://") == NULL)
		text = arena_printf(x->m->arena, "http://%s", text);
	if (url_parse(x->m->arena, text, ret, err) != 0)
		return err_wrap(err, "proxy");
	if (strcmp(ret->scheme, "http") != 0)
		return err_set(err, ERR_UNSUPPORTED, "proxy %s: only http:// "
		    "proxies are supported", text);
	return 1;
}

/* ---- the request's head ------------------------------------------------------- */

static const char *
basic(struct arena *arena, const char *user, const char *password)
{
	CLEANUP_BUF struct buf plain = BUF_INIT, out = BUF_INIT;

	buf_addf(&plain, "%s:%s", user, password == NULL ? "" : password);
	buf_adds(&out, "Basic ");
	base64_encode(&out, plain.data, plain.len);
	return buf_dup(&out, arena);
}

static bool
given(const struct http_request *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->nheaders; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return true;
	return false;
}

static bool
one_of(const char *name, const char *const *list)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcasecmp(name, *list) == 0)
			return true;
	return false;
}

static void
put_host(struct buf *b, const struct url *u)
{
	buf_addf(b, strchr(u->host, ':') != NULL ? "[%s]" : "%s", u->host);
	if (u->port != (strcmp(u->scheme, "https") == 0 ? 443 : 80))
		buf_addf(b, ":%d", u->port);
}

static int
put_header(struct buf *b, const char *name, const char *value, struct err *err)
{
	const char *s;

	for (s = name; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == ':')
			break;
	if (*s != '\0' || s == name || strpbrk(value, "\r\n") != NULL)
		return err_set(err, ERR_VALUE, "the header '%s' has a line break or "
		    "is no name", name);
	buf_addf(b, "%s: %s\r\n", name, value);
	return 0;
}

static int
task_headers(struct exchange *x, struct buf *b, struct err *err)
{
	static const char *const of_body[] = { "content-type", "content-length",
	    "transfer-encoding", NULL };
	static const char *const secret[] = { "authorization", "cookie",
	    "proxy-authorization", NULL };
	const struct http_request *r = x->r;
	size_t i;

	for (i = 0; i < r->nheaders; i++) {
		const struct http_header *h = &r->headers[i];

		if ((!x->with_body && r->has_body && one_of(h->name, of_body)) ||
		    (!x->first_hop && one_of(h->name, secret)) ||
		    (!x->first_hop && one_of(h->name, r->plain_redirect_headers)))
			continue;
		if (put_header(b, h->name, h->value, err) != 0)
			return -1;
	}
	return 0;
}

static int
put_head(struct exchange *x, struct buf *b, const struct url *proxy,
    uint64_t nbody, struct err *err)
{
	const struct http_request *r = x->r;
	bool absolute = proxy != NULL && strcmp(x->url.scheme, "http") == 0;

	buf_addf(b, "%s %s HTTP/1.1\r\n", x->method, absolute ?
	    url_text(x->m->arena, &x->url) : x->url.target);
	if (!given(r, "host")) {
		buf_adds(b, "Host: ");
		put_host(b, &x->url);
		buf_adds(b, "\r\n");
	}
	if (!given(r, "user-agent") && put_header(b, "User-Agent",
	    r->agent != NULL ? r->agent : "provctl", err) != 0)
		return -1;
	if (!given(r, "accept-encoding"))
		buf_adds(b, "Accept-Encoding: identity\r\n");
	if (r->no_cache && !given(r, "cache-control"))
		buf_adds(b, "Cache-Control: no-cache\r\n");
	if (r->if_modified_since != 0)
		buf_addf(b, "If-Modified-Since: %s\r\n",
		    http_date(x->m->arena, r->if_modified_since));
	if (x->authorization != NULL && !given(r, "authorization"))
		buf_addf(b, "Authorization: %s\r\n", x->authorization);
	if (absolute && proxy->user != NULL)
		buf_addf(b, "Proxy-Authorization: %s\r\n",
		    basic(x->m->arena, proxy->user, proxy->password));
	if (task_headers(x, b, err) != 0)
		return -1;
	if (x->with_body && !given(r, "content-length"))
		buf_addf(b, "Content-Length: %llu\r\n", (unsigned long long)nbody);
	buf_adds(b, "Connection: close\r\n\r\n");
	return 0;
}

/* ---- one exchange ---------------------------------------------------------------- */

static int
check_method(const char *method, struct err *err)
{
	const char *s;

	for (s = method; isalpha((unsigned char)*s) || *s == '-' || *s == '_'; s++)
		;
	if (*s != '\0' || s == method)
		return err_set(err, ERR_VALUE, "'%s' is no HTTP method", method);
	return 0;
}

static int
read_response(struct net *n, struct http_parser *p, struct err *err)
{
	char *chunk = xmalloc(READ_CHUNK);
	ssize_t got;
	int rc = 0;

	while (p->state != HTTP_DONE) {
		if ((got = net_read(n, chunk, READ_CHUNK, err)) < 0 ||
		    (got > 0 && http_parse(p, chunk, (size_t)got, err) != 0)) {
			rc = -1;
			break;
		}
		if (got == 0) {
			rc = http_parse_end(p, err);
			break;
		}
	}
	free(chunk);
	return rc;
}

/* CONNECT through an http proxy, for https. */
static int
proxy_connect(struct exchange *x, struct net *n, const struct url *proxy,
    struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct http_parser p;
	char c;
	int rc = 0;

	buf_addf(&b, strchr(x->url.host, ':') != NULL ?
	    "CONNECT [%s]:%d HTTP/1.1\r\nHost: [%s]:%d\r\n" :
	    "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n",
	    x->url.host, x->url.port, x->url.host, x->url.port);
	if (proxy->user != NULL)
		buf_addf(&b, "Proxy-Authorization: %s\r\n",
		    basic(x->m->arena, proxy->user, proxy->password));
	buf_adds(&b, "\r\n");
	if (net_write(n, b.data, b.len, err) != 0)
		return -1;
	http_parser_init(&p, x->m->arena);
	p.head_only = true;
	/* Byte by byte: what follows belongs to TLS. */
	while (rc == 0 && p.state != HTTP_DONE)
		if ((rc = (int)net_read(n, &c, 1, err)) == 1)
			rc = http_parse(&p, &c, 1, err);
		else if (rc == 0)
			rc = http_parse_end(&p, err);
	if (rc == 0 && (p.status < 200 || p.status > 299))
		rc = err_set(err, ERR_IO, "the proxy %s refuses: %d %s", proxy->host,
		    p.status, p.reason);
	http_parser_release(&p);
	return rc;
}

static int
connect_out(struct exchange *x, struct net *n, const struct url *proxy,
    struct err *err)
{
	const struct http_request *r = x->r;
	struct tls_opts tls = {
		.host = x->url.host, .verify = r->verify, .ca_path = r->ca_path,
		.client_cert = r->client_cert, .client_key = r->client_key,
	};
	bool https = strcmp(x->url.scheme, "https") == 0;

	if (r->unix_socket != NULL) {
		if (net_connect_unix(x->m, n, r->unix_socket, r->timeout_ms, err) != 0)
			return -1;
	} else if (net_connect(x->m, n, proxy != NULL ? proxy->host : x->url.host,
	    proxy != NULL ? proxy->port : x->url.port, r->timeout_ms, err) != 0)
		return proxy != NULL ? err_wrap(err, "proxy") : -1;
	if (https && proxy != NULL && proxy_connect(x, n, proxy, err) != 0)
		return -1;
	return https ? net_start_tls(n, &tls, err) : 0;
}

static int
send_body(struct exchange *x, struct net *n, uint64_t len, struct err *err)
{
	const struct http_request *r = x->r;
	char *chunk;
	uint64_t at;
	ssize_t got;
	int rc = 0;

	if (r->body_fd < 0)
		return net_write(n, r->body, r->nbody, err);
	chunk = xmalloc(READ_CHUNK);
	for (at = 0; rc == 0 && at < len; at += (uint64_t)got) {
		got = pread(r->body_fd, chunk, READ_CHUNK, (off_t)at);
		if (got <= 0)
			rc = got < 0 ? err_errno(err, "cannot read the file to send") :
			    err_set(err, ERR_IO, "the file to send became shorter");
		else if ((uint64_t)got > len - at)
			got = (ssize_t)(len - at);
		if (rc == 0)
			rc = net_write(n, chunk, (size_t)got, err);
	}
	free(chunk);
	return rc;
}

static int
exchange(struct exchange *x, struct err *err)
{
	CLEANUP_NET struct net n = { .m = x->m, .fd = -1 };
	CLEANUP_BUF struct buf head = BUF_INIT;
	CLEANUP_ERR struct err sent = ERR_INIT;
	struct url proxy = { 0 };
	struct stat st;
	uint64_t nbody = x->r->nbody;
	int via = proxy_for(x, &proxy, err);

	if (via < 0)
		return -1;
	if (x->with_body && x->r->body_fd >= 0) {
		if (fstat(x->r->body_fd, &st) != 0)
			return err_errno(err, "the file to send");
		nbody = (uint64_t)st.st_size;
	}
	if (put_head(x, &head, via ? &proxy : NULL, nbody, err) != 0 ||
	    connect_out(x, &n, via ? &proxy : NULL, err) != 0 ||
	    net_write(&n, head.data, head.len, err) != 0)
		return -1;
	/* A server may refuse a body before it has read it: look for its answer first. */
	if (x->with_body && send_body(x, &n, nbody, &sent) != 0 &&
	    sent.code == ERR_TIMEOUT) {
		err_move(err, &sent);
		return -1;
	}
	if (read_response(&n, &x->parser, err) != 0) {
		if (sent.code != ERR_NONE && x->parser.state == HTTP_STATUS)
			err_move(err, &sent);
		return -1;
	}
	return 0;
}

/* ---- cookies ------------------------------------------------------------------------ */

static void
keep_cookies(struct arena *arena, const struct http_parser *p,
    struct http_response *res)
{
	const char *value, *eq, *name;
	size_t i, n;

	for (i = 0; i < p->nheaders; i++) {
		if (strcasecmp(p->headers[i].name, "set-cookie") != 0)
			continue;
		value = p->headers[i].value;
		n = strcspn(value, ";");
		if ((eq = memchr(value, '=', n)) == NULL || eq == value)
			continue;
		name = arena_strndup(arena, value, (size_t)(eq - value));
		v_sets(arena, res->cookies, name, v_strn(arena, eq + 1,
		    n - (size_t)(eq + 1 - value)));
	}
}

static const char *
cookie_text(struct arena *arena, const struct value *cookies)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct ventry *e;
	uint32_t it;

	for (it = 0; (e = v_next(cookies, &it)) != NULL;)
		buf_addf(&b, "%s%s=%s", b.len > 0 ? "; " : "", e->key->u.s,
		    e->val->u.s);
	return buf_dup(&b, arena);
}

/* ---- following ------------------------------------------------------------------------ */

static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	    status == 308;
}

static bool
may_follow(const struct exchange *x)
{
	bool looks = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;

	switch (x->r->follow) {
	case HTTP_FOLLOW_ALL:
		return true;
	case HTTP_FOLLOW_SAFE:
		return looks;
	case HTTP_FOLLOW_URLLIB2:
		return looks || (strcmp(x->method, "POST") == 0 &&
		    x->parser.status < 307);
	default:
		return false;
	}
}

/* Makes x the request that a redirect asks for. */
static int
redirect(struct exchange *x, const char *location, struct err *err)
{
	struct url next;
	const char *text = url_join(x->m->arena, &x->url, location);
	int status = x->parser.status;

	if (url_parse(x->m->arena, text, &next, err) != 0)
		return err_wrap(err, "redirect");
	if (strcmp(next.scheme, "file") == 0)
		return err_set(err, ERR_INVALID, "the server redirects to a local "
		    "file: %s", text);
	if (strcmp(next.scheme, x->url.scheme) != 0 ||
	    strcasecmp(next.host, x->url.host) != 0 || next.port != x->url.port) {
		x->first_hop = false;
		x->authorization = NULL;
	}
	if (status != 307 && status != 308) {
		x->with_body = false;
		if (strcmp(x->method, "HEAD") != 0 && (status == 303 || status == 302 ||
		    (status == 301 && strcmp(x->method, "POST") == 0)))
			x->method = "GET";
	}
	x->url = next;
	return 0;
}

static bool
wants_basic(const struct http_parser *p)
{
	size_t i;

	for (i = 0; i < p->nheaders; i++)
		if (strcasecmp(p->headers[i].name, "www-authenticate") == 0 &&
		    strncasecmp(p->headers[i].value, "basic", 5) == 0)
			return true;
	return false;
}

static int
take_through(void *arg, const void *data, size_t len, struct err *err)
{
	struct exchange *x = arg;

	return x->r->take == NULL ? 0 : x->r->take(x->r->arg, data, len, err);
}

static void
parser_restart(struct exchange *x)
{
	http_parser_release(&x->parser);
	http_parser_init(&x->parser, x->m->arena);
	x->parser.head_only = strcmp(x->method, "HEAD") == 0;
	x->parser.body = take_through;
	x->parser.arg = x;
	if (x->r->restart != NULL)
		x->r->restart(x->r->arg);
}

/* Exchanges until there is an answer to keep. */
static int
follow(struct exchange *x, struct http_response *res, struct err *err)
{
	const char *user = x->r->user, *password = x->r->password, *location;
	unsigned hops = 0;
	bool tried_auth = false;

	if (user == NULL && x->url.user != NULL) {
		user = x->url.user;
		password = x->url.password;
		x->authorization = basic(x->m->arena, user, password);
	} else if (user != NULL && x->r->force_basic_auth)
		x->authorization = basic(x->m->arena, user, password);
	for (;;) {
		parser_restart(x);
		if (exchange(x, err) != 0)
			return -1;
		keep_cookies(x->m->arena, &x->parser, res);
		location = http_header(&x->parser, "location");
		if (x->parser.status == 401 && user != NULL && x->first_hop &&
		    x->authorization == NULL && !tried_auth && wants_basic(&x->parser)) {
			tried_auth = true;
			x->authorization = basic(x->m->arena, user, password);
		} else if (is_redirect(x->parser.status) && location != NULL &&
		    may_follow(x)) {
			if (++hops > HTTP_REDIRECTS_MAX)
				return err_set(err, ERR_LIMIT, "more than %d redirects, "
				    "the last one to %s", HTTP_REDIRECTS_MAX, location);
			if (redirect(x, location, err) != 0)
				return -1;
			res->redirected = true;
		} else
			return 0;
	}
}

int
http_do(struct mod *m, const struct http_request *r, struct http_response *res,
    struct err *err)
{
	struct exchange x = {
		.m = m, .r = r, .method = r->method, .with_body = r->has_body,
		.first_hop = true,
	};
	int64_t start = now_ms();
	int rc = -1;

	memset(res, 0, sizeof(*res));
	res->cookies = v_map(m->arena);
	res->reason = res->url = res->set_cookies = "";
	if (check_method(r->method, err) == 0 &&
	    url_parse(m->arena, r->url, &x.url, err) == 0) {
		if (strcmp(x.url.scheme, "file") == 0)
			(void)err_set(err, ERR_UNSUPPORTED, "file:// is not HTTP");
		else
			rc = follow(&x, res, err);
	}
	res->elapsed_ms = now_ms() - start;
	if (rc == 0) {
		res->status = x.parser.status;
		res->reason = x.parser.reason;
		res->headers = x.parser.headers;
		res->nheaders = x.parser.nheaders;
		res->url = url_text(m->arena, &x.url);
		res->set_cookies = cookie_text(m->arena, res->cookies);
	}
	http_parser_release(&x.parser);
	return rc;
}
