/*
 * uri: asks a web service.
 *
 * The answer's body goes to the result, or to a file with `dest`.  A status
 * that is not expected, and no answer at all (status -1), are failures; the
 * rest of the result is there in either case.
 */
#include <sys/random.h>
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/utf8.h"
#include "module/fs.h"
#include "module/hash.h"
#include "module/http_args.h"

#define CONTENT_MAX	((size_t)24 * 1024 * 1024)	/* a result has at most 32 MiB */

/* Where the body goes. */
struct uri {
	struct buf	 body;
	int		 fd;	/* with dest; -1: to body */
};

static int
take(void *arg, const void *data, size_t len, struct err *err)
{
	struct uri *u = arg;
	const char *p = data;
	ssize_t n;

	if (u->fd < 0) {
		buf_add(&u->body, data, len);
		if (buf_overflowed(&u->body))
			return err_set(err, ERR_LIMIT, "the answer is longer than "
			    "%zu bytes: use dest, or get_url", CONTENT_MAX);
		return 0;
	}
	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(u->fd, p, len)) < 0)
			return err_errno(err, "cannot write the answer");
	return 0;
}

static void
restart(void *arg)
{
	struct uri *u = arg;

	buf_clear(&u->body);
	if (u->fd >= 0) {
		(void)!ftruncate(u->fd, 0);
		(void)lseek(u->fd, 0, SEEK_SET);
	}
}

/* ---- the body to send --------------------------------------------------------- */

static void
form_field(struct mod *m, struct buf *b, const struct value *key,
    const struct value *val)
{
	const char *k = http_args_text(m, key), *v = http_args_text(m, val);

	if (b->len > 0)
		buf_addc(b, '&');
	percent_encode(b, k, strlen(k), "-_.~*");
	buf_addc(b, '=');
	percent_encode(b, v, strlen(v), "-_.~*");
}

/* A map, or a list of pairs; a list as a value repeats the name. */
static int
form_urlencoded(struct mod *m, const struct value *body, struct buf *b)
{
	const struct ventry *e;
	const struct value *pair;
	uint32_t it, i;

	if (body->type == V_LIST) {
		for (i = 0; i < v_count(body); i++) {
			pair = v_at(body, i);
			if (v_count(pair) != 2)
				return mod_fail(m, "body: each element of the list "
				    "must be a pair of a name and a value");
			form_field(m, b, v_at(pair, 0), v_at(pair, 1));
		}
		return 0;
	}
	for (it = 0; (e = v_next(body, &it)) != NULL;) {
		if (e->val->type != V_LIST) {
			form_field(m, b, e->key, e->val);
			continue;
		}
		for (i = 0; i < v_count(e->val); i++)
			form_field(m, b, e->key, v_at(e->val, i));
	}
	return 0;
}

/* A quoted parameter of a multipart header: no quote or line break gets through. */
static void
put_quoted(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '"' || *s == '\r' || *s == '\n')
			buf_addf(b, "%%%02X", (unsigned char)*s);
		else
			buf_addc(b, *s);
}

static int
multipart_file(struct mod *m, struct buf *b, const char *name,
    const struct value *part)
{
	CLEANUP_BUF struct buf file = BUF_INIT;
	const char *filename = v_get_str(part, "filename", NULL), *base;
	const char *type = v_get_str(part, "mime_type", NULL);
	const struct value *content = v_gets(part, "content");

	if (filename == NULL && content == NULL)
		return mod_fail(m, "body: '%s' needs filename or content", name);
	if (content == NULL && !mod_arg_bool(m, "remote_src"))
		return mod_fail(m, "body: '%s': files of the controller cannot be "
		    "sent in a form; give content, or remote_src: true for a "
		    "file of the host", name);
	if (content == NULL) {
		file.max = CONTENT_MAX;
		if (buf_read_file(&file, filename) != 0)
			return mod_fail_errno(m, "cannot read %s", filename);
	} else {
		const char *text = http_args_text(m, content);

		buf_add(&file, text, v_is_str(content) ? content->len : strlen(text));
	}
	if (filename != NULL) {
		base = strrchr(filename, '/');
		buf_adds(b, "; filename=\"");
		put_quoted(b, base == NULL ? filename : base + 1);
		buf_adds(b, "\"");
	}
	if (type == NULL)
		type = filename != NULL ? "application/octet-stream" : "text/plain";
	if (strpbrk(type, "\r\n") != NULL)
		return mod_fail(m, "body: '%s': malformed mime_type", name);
	buf_addf(b, "\r\nContent-Type: %s\r\n\r\n", type);
	buf_add(b, file.data, file.len);
	return 0;
}

static int
form_multipart(struct mod *m, const struct value *body, struct buf *b,
    const char *boundary)
{
	const struct ventry *e;
	const char *name;
	uint32_t it;

	if (body->type != V_MAP)
		return mod_fail(m, "body: a multipart form must be a map");
	for (it = 0; (e = v_next(body, &it)) != NULL;) {
		name = http_args_text(m, e->key);
		buf_addf(b, "--%s\r\nContent-Disposition: form-data; name=\"", boundary);
		put_quoted(b, name);
		buf_adds(b, "\"");
		if (e->val->type == V_MAP) {
			if (multipart_file(m, b, name, e->val) != 0)
				return -1;
		} else
			buf_addf(b, "\r\n\r\n%s", http_args_text(m, e->val));
		buf_adds(b, "\r\n");
	}
	buf_addf(b, "--%s--\r\n", boundary);
	return 0;
}

static const char *
make_boundary(struct mod *m)
{
	unsigned char r[16] = { 0 };
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();		/* a kernel without random bytes */
	buf_adds(&b, "provctl-");
	for (i = 0; i < sizeof(r); i++)
		buf_addf(&b, "%02x", r[i]);
	return buf_dup(&b, m->arena);
}

static int
make_body(struct mod *m, struct http_request *r)
{
	const struct value *body = mod_arg(m, "body");
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *type = NULL, *boundary;

	if (body == NULL)
		return 0;
	if (mod_arg_is(m, "body_format", "form-multipart")) {
		boundary = make_boundary(m);
		type = arena_printf(m->arena, "multipart/form-data; boundary=%s",
		    boundary);
		if (form_multipart(m, body, &b, boundary) != 0)
			return -1;
	} else if (mod_arg_is(m, "body_format", "json")) {
		type = "application/json";
		if (v_is_str(body))
			buf_add(&b, body->u.s, body->len);
		else
			json_write(&b, body, JSON_ASCII);
	} else if (mod_arg_is(m, "body_format", "form-urlencoded")) {
		type = "application/x-www-form-urlencoded";
		if (v_is_str(body))
			buf_add(&b, body->u.s, body->len);
		else if (form_urlencoded(m, body, &b) != 0)
			return -1;
	} else if (v_is_str(body))
		buf_add(&b, body->u.s, body->len);
	else
		buf_adds(&b, http_args_text(m, body));
	if (type != NULL)
		http_args_add(m, r, "Content-Type", type);
	r->nbody = b.len;
	r->body = buf_dup(&b, m->arena);
	r->has_body = true;
	return 0;
}

/* src: a file of the controller, or of the host. */
static int
open_src(struct mod *m, struct http_request *r)
{
	const char *src = mod_arg_path(m, "src");
	struct mod_content c;
	struct stat st;

	if (src == NULL)
		return 0;
	if (mod_arg_bool(m, "remote_src")) {
		r->body_fd = open(src, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (r->body_fd < 0 || fstat(r->body_fd, &st) != 0)
			return mod_fail_errno(m, "cannot open %s", src);
		if (!S_ISREG(st.st_mode))
			return mod_fail(m, "%s is no regular file", src);
	} else {
		if (mod_ncontent(m) != 1)
			return mod_fail(m, "src: '%s' did not come from the "
			    "controller", src);
		c = mod_content(m, 0);
		if ((r->body_fd = http_temp_fd(m, NULL)) < 0 ||
		    mod_content_fd(m, &c, r->body_fd) != 0)
			return -1;
	}
	r->has_body = true;
	return 0;
}

/* ---- the answer ----------------------------------------------------------------------- */

static bool
expected(struct mod *m, int status)
{
	const struct value *list = mod_arg(m, "status_code"), *v;
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++) {
		v = v_at(list, i);
		if (v->type == V_INT && v->u.i == status)
			return true;
	}
	return list == NULL && status == 200;
}

static const char *
expected_text(struct mod *m)
{
	const struct value *list = mod_arg(m, "status_code");
	CLEANUP_BUF struct buf b = BUF_INIT;

	json_write(&b, list != NULL ? list : &v_null, 0);
	return buf_dup(&b, m->arena);
}

/* The body as text: ISO-8859-1 when the server says so, else UTF-8 with bad bytes replaced. */
static struct value *
body_text(struct mod *m, const struct http_response *res, const struct buf *body)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *type = http_response_header(res, "content-type");
	size_t i;

	out.max = 4 * CONTENT_MAX;
	if (type != NULL && (strcasestr(type, "charset=iso-8859-1") != NULL ||
	    strcasestr(type, "charset=latin1") != NULL)) {
		for (i = 0; i < body->len; i++)
			utf8_encode(&out, (unsigned char)body->data[i]);
	} else
		utf8_clean(&out, body->data != NULL ? body->data : "", body->len);
	return v_strn(m->arena, out.data != NULL ? out.data : "", out.len);
}

/* "application/json", "text/x.problem+json", "text/javascript" … */
static bool
is_json(const struct http_response *res)
{
	const char *type = http_response_header(res, "content-type"), *slash;
	char sub[128];

	if (type == NULL || (slash = strchr(type, '/')) == NULL)
		return false;
	(void)snprintf(sub, sizeof(sub), "%.*s", (int)strcspn(slash, "; "), slash);
	return strcasestr(sub, "json") != NULL || strcasestr(sub, "javascript") != NULL;
}

/* Keys that a server must not be able to set by a header of that name. */
static bool
is_reserved(const char *name)
{
	static const char *const names[] = { "ansible_facts", "changed", "content",
	    "deprecations", "diff", "exception", "failed", "json", "path", "rc",
	    "skipped", "stderr", "stdout", "warnings" };
	size_t i;

	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return strncmp(name, "_ansible", 8) == 0;
}

static void
put_headers(struct mod *m, const struct http_response *res)
{
	struct value *map = http_header_map(m->arena, res, true);
	const struct ventry *e;
	const char *location = v_get_str(map, "location", NULL);
	CLEANUP_ERR struct err err = ERR_INIT;
	struct url base;
	uint32_t it;

	if (location != NULL && url_parse(m->arena, res->url, &base, &err) == 0)
		v_set_str(m->arena, map, "location",
		    url_join(m->arena, &base, location));
	for (it = 0; (e = v_next(map, &it)) != NULL;)
		if (!is_reserved(e->key->u.s))
			mod_set(m, e->key->u.s, e->val);
}

static void
put_answer(struct mod *m, const struct http_response *res, struct uri *u, bool ok)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *length = http_response_header(res, "content-length");
	const struct value *json;
	struct value *text;

	put_headers(m, res);
	mod_set_int(m, "status", res->status);
	mod_set_str(m, "url", res->url);
	mod_set_bool(m, "redirected", res->redirected);
	mod_set_int(m, "elapsed", res->elapsed_ms / 1000);
	mod_set_str(m, "cookies_string", res->set_cookies);
	mod_set(m, "cookies", res->cookies);
	if (res->status < 400)
		mod_set(m, "msg", v_strf(m->arena, "%s (%s bytes)", res->reason,
		    length != NULL ? length : "unknown"));
	else
		mod_set(m, "msg", v_strf(m->arena, "HTTP Error %d: %s", res->status,
		    res->reason));
	if (u->fd >= 0 && ok)
		return;
	text = body_text(m, res, &u->body);
	if (is_json(res) && text->len > 0 && (json = json_parse_text(m->arena,
	    text->u.s, text->len, &err)) != NULL)
		mod_set(m, "json", json);
	if (!ok || mod_arg_bool(m, "return_content"))
		mod_set(m, "content", text);
}

/* ---- dest ---------------------------------------------------------------------------------- */

static const char *
dest_file(struct mod *m, const char *dest, const struct http_response *res)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *name = NULL;
	struct stat st;
	struct url u;

	if (stat(dest, &st) != 0 || !S_ISDIR(st.st_mode))
		return dest;
	if (url_parse(m->arena, res->url, &u, &err) == 0)
		name = url_basename(m->arena, &u);
	return arena_printf(m->arena, "%s%s%s", dest,
	    dest[strlen(dest) - 1] == '/' ? "" : "/",
	    name != NULL ? name : "index.html");
}

static int
keep_file(struct mod *m, const char *path, struct uri *u)
{
	struct fs_attrs attrs;
	struct fs_replace r = {
		.path = path, .fd = u->fd, .attrs = &attrs,
	};
	char got[HASH_HEX_MAX] = "", had[HASH_HEX_MAX] = "";
	bool exists;

	if (fs_attrs_get(m, &attrs) != 0)
		return -1;
	(void)lseek(u->fd, 0, SEEK_SET);
	if (hash_fd(u->fd, HASH_SHA1, got) != 0)
		return mod_fail_errno(m, "cannot read the answer back");
	exists = hash_file(path, HASH_SHA1, had) == 0;
	if ((!exists || strcmp(got, had) != 0) &&
	    mod_change(m, path, exists ? v_str(m->arena, had) : NULL,
	    v_str(m->arena, got))) {
		(void)lseek(u->fd, 0, SEEK_SET);
		if (fs_replace(m, &r) != 0)
			return -1;
	}
	if (fs_attrs_apply(m, path, &attrs, true) != 0)
		return -1;
	mod_set_str(m, "path", path);
	return 0;
}

/* ---- running ---------------------------------------------------------------------------------- */

/* creates, removes: true when there is nothing to do. */
static bool
decided(struct mod *m)
{
	const char *creates = mod_arg_path(m, "creates");
	const char *removes = mod_arg_path(m, "removes");
	struct stat st;

	if (creates != NULL && stat(creates, &st) == 0)
		mod_set(m, "stdout", v_strf(m->arena, "skipped, since '%s' exists",
		    creates));
	else if (removes != NULL && stat(removes, &st) != 0)
		mod_set(m, "stdout", v_strf(m->arena,
		    "skipped, since '%s' does not exist", removes));
	else
		return false;
	return true;
}

static enum http_follow
follow_of(struct mod *m)
{
	const char *s = mod_arg_str(m, "follow_redirects");

	if (s == NULL || strcmp(s, "safe") == 0)
		return HTTP_FOLLOW_SAFE;
	if (strcmp(s, "urllib2") == 0)
		return HTTP_FOLLOW_URLLIB2;
	if (strcmp(s, "none") == 0 || strcasecmp(s, "no") == 0 ||
	    strcasecmp(s, "false") == 0)
		return HTTP_FOLLOW_NONE;
	return HTTP_FOLLOW_ALL;
}

static int
ask(struct mod *m, struct http_request *r, struct uri *u)
{
	struct err err = ERR_INIT;
	struct http_response res;
	const char *dest = mod_arg_path(m, "dest");
	bool ok;

	if (http_do(m, r, &res, &err) != 0) {
		mod_set_int(m, "status", -1);
		mod_set_str(m, "url", r->url);
		mod_set_bool(m, "redirected", false);
		mod_set_int(m, "elapsed", res.elapsed_ms / 1000);
		(void)mod_fail(m, "Status code was -1 and not %s: Request failed: %s",
		    expected_text(m), err.msg);
		err_release(&err);
		return -1;
	}
	ok = expected(m, res.status);
	if (http_response_header(&res, "content-encoding") != NULL)
		mod_warn(m, "%s sent its answer encoded (%s) though it was not asked "
		    "to: it is left as it is", res.url,
		    http_response_header(&res, "content-encoding"));
	if (u->fd >= 0 && !ok) {
		/* What went to the file belongs to the message. */
		(void)lseek(u->fd, 0, SEEK_SET);
		(void)buf_read_fd(&u->body, u->fd);
	}
	put_answer(m, &res, u, ok);
	if (!ok)
		return mod_fail(m, "Status code was %d and not %s: %s", res.status,
		    expected_text(m), v_get_str(m->result, "msg", ""));
	if (dest != NULL && res.status != 304)
		return keep_file(m, dest_file(m, dest, &res), u);
	return 0;
}

static int
uri_run(struct mod *m)
{
	struct uri u = { .body = { .max = CONTENT_MAX }, .fd = -1 };
	struct http_request r;
	const char *s;
	char *method, *p;
	int rc = -1;

	if (decided(m))
		return 0;
	if (http_args_get(m, &r) != 0)
		return -1;
	method = arena_strdup(m->arena, (s = mod_arg_str(m, "method")) != NULL ?
	    s : "GET");
	for (p = method; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	r.method = method;
	r.follow = follow_of(m);
	r.unix_socket = mod_arg_path(m, "unix_socket");
	r.timeout_ms = (int)mod_arg_int(m, "timeout", 30) * 1000;
	r.take = take;
	r.restart = restart;
	r.arg = &u;
	if (r.timeout_ms <= 0)
		(void)mod_fail(m, "timeout must be at least 1 second");
	else if (make_body(m, &r) == 0 && open_src(m, &r) == 0 &&
	    (mod_arg_path(m, "dest") == NULL || (u.fd = http_temp_fd(m, NULL)) >= 0))
		rc = ask(m, &r, &u);
	if (r.body_fd >= 0)
		(void)close(r.body_fd);
	if (u.fd >= 0)
		(void)close(u.fd);
	buf_release(&u.body);
	return rc;
}

static const struct mod_arg uri_args[] = {
	HTTP_ARGS,
	{ .name = "method", .type = ARG_STR, .def = "GET",
	    .doc = "GET, POST, PUT, PATCH, DELETE, HEAD …" },
	{ .name = "body", .type = ARG_RAW,
	    .doc = "What to send: text, or a map or list that body_format turns into text." },
	{ .name = "body_format", .type = ARG_STR, .def = "raw",
	    .choices = "raw,json,form-urlencoded,form-multipart",
	    .doc = "How body is written; also sets Content-Type." },
	{ .name = "src", .type = ARG_PATH,
	    .doc = "File to send instead of body." },
	{ .name = "remote_src", .type = ARG_BOOL, .def = "false",
	    .doc = "src is a file of the host, not of the controller." },
	{ .name = "dest", .type = ARG_PATH,
	    .doc = "Writes the answer to this file (or into this directory)." },
	{ .name = "status_code", .type = ARG_LIST, .of = ARG_INT, .def = "200",
	    .doc = "Statuses that are no failure." },
	{ .name = "return_content", .type = ARG_BOOL, .def = "false",
	    .doc = "Puts the body into the result as content; JSON is there as json in any case." },
	{ .name = "follow_redirects", .type = ARG_STR, .def = "safe",
	    .choices = "all,no,none,safe,urllib2,yes",
	    .doc = "safe: only of GET and HEAD; all; none; urllib2: as Python's library does." },
	{ .name = "timeout", .type = ARG_INT, .def = "30",
	    .doc = "Seconds to wait for each step of the exchange." },
	{ .name = "creates", .type = ARG_PATH,
	    .doc = "Does nothing when this file exists." },
	{ .name = "removes", .type = ARG_PATH,
	    .doc = "Does nothing when this file does not exist." },
	{ .name = "unix_socket", .type = ARG_PATH,
	    .doc = "Speaks through this socket instead of the network." },
	{ .name = NULL }
};

static const struct mod_rule uri_rules[] = {
	{ RULE_EXCLUSIVE, "body,src" },
	{ RULE_END, NULL }
};

const struct module uri_module = {
	.name = "uri", .collection = "ansible.builtin",
	.summary = "Asks a web service and checks its answer.",
	.doc =
	    "Certificates are checked against the host's own bundle of\n"
	    "authorities (package ca-certificates).  TLS 1.2 is spoken.",
	.examples =
	    "- uri:\n"
	    "    url: http://127.0.0.1:8000/health\n"
	    "    return_content: true\n"
	    "  register: health\n"
	    "  until: health.status == 200\n"
	    "  retries: 10\n"
	    "  delay: 1\n"
	    "- uri:\n"
	    "    url: https://api.example.org/items\n"
	    "    method: POST\n"
	    "    body_format: json\n"
	    "    body: { name: one }\n"
	    "    status_code: [200, 201]\n",
	.returns =
	    "status: the HTTP status, -1 without an answer\n"
	    "msg: the status in words\n"
	    "content: the body (with return_content, or when it failed)\n"
	    "json: the body as data when it is JSON\n"
	    "url, redirected, elapsed, cookies, cookies_string\n"
	    "content_type, location, …: each header in small letters, _ for -\n"
	    "path: the file written with dest\n",
	.args = uri_args, .rules = uri_rules,
	.flags = MOD_FILE_ATTRS | MOD_CONTENT | MOD_NO_CHECK | MOD_FAR,
	.run = uri_run,
};
