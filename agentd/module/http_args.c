/* Arguments that uri and get_url share; see http_args.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "module/http_args.h"

const char *
http_args_text(struct mod *m, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (v_is_str(v))
		return v->u.s;
	if (v->type == V_BOOL)
		return v->u.b ? "True" : "False";
	if (v_is_null(v))
		return "";
	json_write(&b, v, 0);
	return buf_dup(&b, m->arena);
}

void
http_args_add(struct mod *m, struct http_request *r, const char *name,
    const char *value)
{
	size_t i;

	for (i = 0; i < r->nheaders; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return;
	r->headers = arena_grow(m->arena, r->headers,
	    r->nheaders * sizeof(*r->headers), (r->nheaders + 1) * sizeof(*r->headers));
	r->headers[r->nheaders++] = (struct http_header){ name, value };
}

static const char *const *
name_list(struct mod *m, const char *arg)
{
	const struct value *list = mod_arg(m, arg);
	uint32_t i, n = list == NULL ? 0 : v_count(list);
	const char **names = ARENA_ARRAY(m->arena, n + 1, const char *);

	for (i = 0; i < n; i++)
		names[i] = http_args_text(m, v_at(list, i));
	return names;
}

int
http_args_get(struct mod *m, struct http_request *r)
{
	const struct value *headers = mod_arg(m, "headers");
	const struct ventry *e;
	uint32_t it;

	memset(r, 0, sizeof(*r));
	r->method = "GET";
	r->body_fd = -1;
	r->url = mod_arg_str(m, "url");
	r->user = mod_arg_str(m, "url_username");
	r->password = mod_arg_str(m, "url_password");
	r->force_basic_auth = mod_arg_bool(m, "force_basic_auth");
	r->verify = mod_arg_bool(m, "validate_certs");
	r->ca_path = mod_arg_path(m, "ca_path");
	r->client_cert = mod_arg_path(m, "client_cert");
	r->client_key = mod_arg_path(m, "client_key");
	r->use_proxy = mod_arg_bool(m, "use_proxy");
	r->no_cache = mod_arg_bool(m, "force");
	r->agent = mod_arg_str(m, "http_agent");
	r->plain_redirect_headers = name_list(m, "unredirected_headers");
	r->follow = HTTP_FOLLOW_URLLIB2;
	for (it = 0; headers != NULL && (e = v_next(headers, &it)) != NULL;)
		http_args_add(m, r, http_args_text(m, e->key),
		    http_args_text(m, e->val));
	if (r->client_key != NULL && r->client_cert == NULL)
		return mod_fail(m, "client_key needs client_cert");
	return 0;
}

int
http_temp_fd(struct mod *m, const char *dir)
{
	const char *tmp = getenv("TMPDIR");
	char *path;
	int fd;

	if (dir == NULL)
		dir = tmp != NULL && *tmp == '/' ? tmp : "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		path = arena_printf(m->arena, "%s/.provctl-XXXXXX", dir);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path);
	}
	if (fd < 0)
		return mod_fail_errno(m, "cannot make a temporary file in %s", dir);
	return fd;
}
