/*
 * DigitalOcean, API v2: droplets.
 *
 * The endpoints and their answers are those that the provider documents:
 * POST and GET /v2/droplets, GET and DELETE /v2/droplets/ID; lists come in
 * pages, errors as {"id": …, "message": …}.
 */
#include <string.h>

#include "cloud.h"

#define PAGES_MAX	500

static const char *const token_env[] = { "DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_TOKEN", NULL };

static int
refused(int status, const struct value *answer, const char *what, struct err *err)
{
	const char *id = v_get_str(answer, "id", ""), *msg = v_get_str(answer, "message", NULL);

	(void)err_set(err, status == 401 || status == 403 ? ERR_AUTH : ERR_IO,
	    "DigitalOcean refused to %s: %s (%s%s%d)", what,
	    msg != NULL ? msg : "no reason was given", id, *id != '\0' ? ", " : "", status);
	if (status == 401)
		err_hint(err, "the token is wrong or has expired; a new one is made in the"
		    " control panel under API");
	else if (status == 403)
		err_hint(err, "the token lacks a scope: droplet:create, droplet:read, droplet:delete,"
		    " tag:create are needed");
	else if (status == 429)
		err_hint(err, "the rate limit is exhausted; try again later");
	return -1;
}

static const struct value *
address_in(const struct value *list)
{
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++) {
		const struct value *net = v_at(list, i), *ip = v_gets(net, "ip_address");

		if (strcmp(v_get_str(net, "type", ""), "public") == 0 && ip != NULL && v_is_str(ip))
			return ip;
	}
	return NULL;
}

/* A droplet as cloud.h describes machines. NULL: it is none. */
static const struct value *
machine(struct arena *a, const struct value *droplet)
{
	static const char *const same[] = { "id", "name", "status" };
	const struct value *networks = v_gets(droplet, "networks"), *ip, *v;
	struct value *m;
	size_t i;

	if (droplet == NULL || droplet->type != V_MAP || (v = v_gets(droplet, "id")) == NULL ||
	    v->type != V_INT)
		return NULL;
	m = v_map(a);
	for (i = 0; i < NITEMS(same); i++)
		v_sets(a, m, same[i], (v = v_gets(droplet, same[i])) != NULL ? v : &v_null);
	if ((ip = address_in(v_gets(networks, "v4"))) == NULL)
		ip = address_in(v_gets(networks, "v6"));
	v_sets(a, m, "address", ip != NULL ? ip : &v_null);
	v_set_str(a, m, "region", v_get_str(v_gets(droplet, "region"), "slug", ""));
	v_set_str(a, m, "size", v_get_str(droplet, "size_slug", ""));
	v_set_str(a, m, "created", v_get_str(droplet, "created_at", ""));
	return m;
}

static const struct value *
create(struct cloud *c, const struct machine_spec *spec, struct err *err)
{
	struct arena *a = &c->ctl->arena;
	struct value *body = v_map(a);
	const struct value *answer, *m;
	int status;

	v_set_str(a, body, "name", spec->name);
	v_set_str(a, body, "region", spec->region);
	v_set_str(a, body, "size", spec->size);
	v_set_str(a, body, "image", spec->image);
	v_set_str(a, body, "user_data", spec->user_data);
	v_sets(a, body, "ssh_keys", spec->ssh_keys);
	v_sets(a, body, "tags", spec->tags);
	v_set_bool(a, body, "ipv6", true);
	if ((status = cloud_request(c, "POST", "/v2/droplets", body, &answer, err)) == -1) {
		err_hint(err, "whether the droplet was made nobody knows: the same command looks for it first");
		return NULL;
	}
	if (!HTTP_OK(status)) {
		(void)refused(status, answer, "create the droplet", err);
		return NULL;
	}
	if ((m = machine(a, v_gets(answer, "droplet"))) == NULL)
		(void)err_set(err, ERR_IO, "DigitalOcean's answer has no droplet in it");
	return m;
}

static const struct value *
get(struct cloud *c, int64_t id, struct err *err)
{
	struct arena *a = &c->ctl->arena;
	const struct value *answer, *m;
	int status = cloud_request(c, "GET", arena_printf(a, "/v2/droplets/%lld", (long long)id),
	    NULL, &answer, err);

	if (status == -1)
		return NULL;
	if (!HTTP_OK(status)) {
		(void)refused(status, answer, "show the droplet", err);
		return NULL;
	}
	if ((m = machine(a, v_gets(answer, "droplet"))) == NULL)
		(void)err_set(err, ERR_IO, "DigitalOcean's answer has no droplet in it");
	return m;
}

static const struct value *
list(struct cloud *c, const char *tag, struct err *err)
{
	struct arena *a = &c->ctl->arena;
	struct value *out = v_list(a);
	unsigned page;

	for (page = 1; page <= PAGES_MAX; page++) {
		const struct value *answer, *droplets, *m;
		int status = cloud_request(c, "GET", arena_printf(a,
		    "/v2/droplets?tag_name=%s&per_page=100&page=%u", tag, page), NULL, &answer, err);
		uint32_t i;

		if (status == -1)
			return NULL;
		if (!HTTP_OK(status)) {
			(void)refused(status, answer, "list the droplets", err);
			return NULL;
		}
		droplets = v_gets(answer, "droplets");
		for (i = 0; droplets != NULL && i < v_count(droplets); i++)
			if ((m = machine(a, v_at(droplets, i))) != NULL)
				v_push(a, out, m);
		/* Only whether there is a next page: where it is we know ourselves. */
		if (v_gets(v_gets(v_gets(answer, "links"), "pages"), "next") == NULL)
			return out;
	}
	(void)err_set(err, ERR_LIMIT, "DigitalOcean lists more than %d pages", PAGES_MAX);
	return NULL;
}

static int
destroy(struct cloud *c, int64_t id, struct err *err)
{
	const struct value *answer;
	int status = cloud_request(c, "DELETE", arena_printf(&c->ctl->arena,
	    "/v2/droplets/%lld", (long long)id), NULL, &answer, err);

	if (status == -1)
		return -1;
	/* Gone is what was wanted: a repeated request may meet its own success. */
	return HTTP_OK(status) || status == 404 ? 0 :
	    refused(status, answer, "destroy the droplet", err);
}

const struct provider provider_digitalocean = {
	.name = "DigitalOcean", .url = "https://api.digitalocean.com",
	.token_env = token_env, .create = create, .get = get, .list = list, .destroy = destroy,
};
