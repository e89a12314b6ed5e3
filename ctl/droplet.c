/*
 * provctl droplet: machines at DigitalOcean, from nothing to a host of ours.
 *
 * The host key is made here and travels in the user data, so the first
 * connection already knows whom it talks to.  Droplets of ours carry the tag
 * "provctl"; `create` looks for one of the name before it makes one, so that
 * the same command goes on after an interruption and never pays twice.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "apply.h"
#include "ask.h"
#include "cloud.h"
#include "onboard.h"
#include "out.h"

#define TAG		"provctl"
#define ID_VAR		"digitalocean_id"
#define WAIT_S		600

static const struct opt rows[] = {
	{ .name = "region", .type = OPT_STR, .offset = OFF(region), .arg = "SLUG",
	    .doc = "create: where; default fra1." },
	{ .name = "size", .type = OPT_STR, .offset = OFF(size), .arg = "SLUG",
	    .doc = "create: how large; default s-1vcpu-1gb." },
	{ .name = "image", .type = OPT_STR, .offset = OFF(image), .arg = "SLUG",
	    .doc = "create: of which image; default debian-13-x64." },
	{ .name = "ssh-key", .type = OPT_LIST, .offset = OFF(ssh_keys), .arg = "KEY",
	    .doc = "create: a key of the account for root, by number or fingerprint; may be repeated. Not needed: our user has our key from the beginning." },
	{ .name = "tag", .type = OPT_LIST, .offset = OFF(provider_tags), .arg = "TAG",
	    .doc = "create: a tag besides \"" TAG "\"; may be repeated." },
	{ .name = "wait", .type = OPT_INT, .offset = OFF(wait), .arg = "SECONDS",
	    .min = 1, .max = 86400, .doc = "create: for the droplet to be there; default 600." },
	{ .letter = 'y', .name = "yes", .type = OPT_FLAG, .offset = OFF(yes),
	    .doc = "destroy: without a question." },
	{ .name = "token-file", .type = OPT_STR, .offset = OFF(token_file), .arg = "FILE",
	    .doc = "The API's token, a file's first line; default: the variable DIGITALOCEAN_ACCESS_TOKEN or DIGITALOCEAN_TOKEN of the environment." },
	{ .name = "api-url", .type = OPT_STR, .offset = OFF(api_url), .arg = "URL",
	    .doc = "Another place of the API." },
	OPT_END
};
static const struct opt_group group = { "Droplets", rows };
static const struct opt_group *const groups[] = {
	&group, &onboard_host_group, &opts_vault, &opts_state, NULL
};

/* ---- the account ---------------------------------------------------------------------- */

static int
cloud_open(struct ctl *ctl, const struct provider *p, struct cloud *c)
{
	struct settings *s = &ctl->set;
	const char *url = s->api_url != NULL ? s->api_url : p->url;
	struct err err = ERR_INIT;
	size_t i, n = strlen(url);

	*c = (struct cloud){ .ctl = ctl };
	while (n > 0 && url[n - 1] == '/')
		n--;
	c->url = arena_strndup(&ctl->arena, url, n);
	/* The token goes along: nobody may listen. */
	if (strncmp(c->url, "https://", 8) != 0 &&
	    strncmp(c->url, "http://127.0.0.1:", 17) != 0 &&
	    strncmp(c->url, "http://[::1]:", 13) != 0)
		return usage_error(ctl, "--api-url '%s': https:// is needed", url), -1;
	if (s->token_file != NULL) {
		if ((c->token = read_password(&ctl->arena, s->token_file, &err)) == NULL) {
			(void)err_wrap(&err, "the API's token");
			return fail_with(ctl, &err), -1;
		}
	} else
		for (i = 0; c->token == NULL && p->token_env[i] != NULL; i++)
			c->token = getenv(p->token_env[i]);
	if (c->token == NULL || *c->token == '\0')
		return usage_error(ctl, "%s needs a token: --token-file, or %s in the environment",
		    p->name, p->token_env[0]), -1;
	if (strpbrk(c->token, " \t\r\n") != NULL)
		return usage_error(ctl, "the token of %s has blanks in it", p->name), -1;
	return 0;
}

/* The machine of this name or number among ours; NULL: none, or *failed with diags. */
static const struct value *
find(struct cloud *c, const struct provider *p, const char *what, bool *failed)
{
	struct err err = ERR_INIT;
	const struct value *all = p->list(c, TAG, &err), *found = NULL;
	char *end;
	long long id = strtoll(what, &end, 10);
	uint32_t i;

	*failed = all == NULL;
	if (all == NULL) {
		(void)fail_with(c->ctl, &err);
		return NULL;
	}
	for (i = 0; i < v_count(all); i++) {
		const struct value *m = v_at(all, i);

		if (strcmp(v_get_str(m, "name", ""), what) != 0 &&
		    (*end != '\0' || v_get_int(m, "id", -1) != id))
			continue;
		if (found != NULL) {
			*failed = true;
			(void)usage_error(c->ctl, "there are several droplets '%s': use their numbers", what);
			return NULL;
		}
		found = m;
	}
	return found;
}

/* ---- create --------------------------------------------------------------------------------- */

static const struct value *
list_of(struct arena *a, const char *first, const struct words *more)
{
	struct value *list = v_list(a);
	unsigned i;

	if (first != NULL)
		v_push(a, list, v_str(a, first));
	for (i = 0; i < more->n; i++) {
		char *end;
		long long n = strtoll(more->v[i], &end, 10);

		/* Keys of the account are numbers or fingerprints. */
		v_push(a, list, first == NULL && *end == '\0' && *more->v[i] != '\0' ?
		    v_int(a, n) : v_str(a, more->v[i]));
	}
	return list;
}

static bool
is_ready(const struct value *m)
{
	return strcmp(v_get_str(m, "status", ""), "active") == 0 &&
	    v_get_str(m, "address", NULL) != NULL;
}

/* Until it is active and has an address. NULL with diags. */
static const struct value *
wait_active(struct cloud *c, const struct provider *p, const struct value *m, int64_t end)
{
	int64_t id = v_get_int(m, "id", 0);
	struct timespec pause = { 1, 0 };
	struct err err = ERR_INIT;

	while (!is_ready(m)) {
		if ((int64_t)time(NULL) >= end) {
			(void)err_set(&err, ERR_TIMEOUT, "the droplet %lld is not there yet: its status is '%s'",
			    (long long)id, v_get_str(m, "status", "?"));
			err_hint(&err, "the same command waits on; `provctl droplet destroy %lld` gives up",
			    (long long)id);
			(void)fail_with(c->ctl, &err);
			return NULL;
		}
		(void)nanosleep(&pause, NULL);
		pause.tv_sec = pause.tv_sec < 5 ? pause.tv_sec + 1 : 5;
		if ((m = p->get(c, id, &err)) == NULL) {
			(void)fail_with(c->ctl, &err);
			return NULL;
		}
	}
	return m;
}

static const struct value *
make(struct cloud *c, const struct provider *p, struct load *l, const char *name)
{
	struct settings *s = &c->ctl->set;
	struct arena *a = &c->ctl->arena;
	struct machine_spec spec = {
		.name = name, .region = s->region != NULL ? s->region : "fra1",
		.size = s->size != NULL ? s->size : "s-1vcpu-1gb",
		.image = s->image != NULL ? s->image : "debian-13-x64",
		.ssh_keys = list_of(a, NULL, &s->ssh_keys),
		.tags = list_of(a, TAG, &s->provider_tags),
	};
	const struct value *m;
	struct err err = ERR_INIT;

	if ((spec.user_data = user_data(l, name)) == NULL)
		return NULL;
	if ((m = p->create(c, &spec, &err)) == NULL) {
		(void)fail_with(c->ctl, &err);
		return NULL;
	}
	out_note(c->ctl->out, "droplet %lld '%s' is being made (%s, %s, %s)",
	    (long long)v_get_int(m, "id", 0), name, spec.image, spec.size, spec.region);
	return m;
}

static int
create(struct cloud *c, const struct provider *p, struct load *l, const char *name)
{
	struct ctl *ctl = c->ctl;
	struct settings *s = &ctl->set;
	struct arena *a = &ctl->arena;
	int wait = s->wait > 0 ? s->wait : WAIT_S;
	int64_t end = (int64_t)time(NULL) + wait;
	const struct value *m;
	struct value *vars;
	const char *address;
	bool failed;

	s->name = name;
	if (onboard_check(ctl) == -1)
		return RUN_USAGE;
	m = find(c, p, name, &failed);
	if (failed)
		return RUN_USAGE;
	if (m != NULL)
		out_note(ctl->out, "droplet %lld '%s' is there already",
		    (long long)v_get_int(m, "id", 0), name);
	else if ((m = make(c, p, l, name)) == NULL)
		return RUN_USAGE;
	if ((m = wait_active(c, p, m, end)) == NULL)
		return RUN_UNREACHABLE;
	address = v_get_str(m, "address", "");
	out_note(ctl->out, "droplet %lld '%s' is active at %s",
	    (long long)v_get_int(m, "id", 0), name, address);
	vars = v_map(a);
	v_set_int(a, vars, ID_VAR, v_get_int(m, "id", 0));
	return onboard_host(l, arena_printf(a, strchr(address, ':') != NULL ? "%s@[%s]" : "%s@%s",
	    s->deploy_user != NULL ? s->deploy_user : "deploy", address),
	    (struct pin_opts){ .wait_ms = wait * 1000 }, vars);
}

/* ---- list, destroy ------------------------------------------------------------------------------ */

static int
list(struct cloud *c, const struct provider *p)
{
	static const char *const columns[] = {
		"id", "name", "status", "address", "region", "size", "created", NULL
	};
	struct err err = ERR_INIT;
	const struct value *all = p->list(c, TAG, &err);

	if (all == NULL)
		return fail_with(c->ctl, &err);
	c->ctl->out->ops->table(c->ctl->out, columns, all, "there are no droplets with the tag " TAG);
	return RUN_OK;
}

/* The host that this droplet is in our inventory: its name, or NULL. */
static const char *
host_of(struct load *l, int64_t id)
{
	struct err err = ERR_INIT;
	const struct value *hosts = state_hosts(l->state, &l->ctl->arena, &err);
	uint32_t i;

	err_release(&err);
	for (i = 0; hosts != NULL && i < v_count(hosts); i++)
		if (v_get_int(v_gets(v_at(hosts, i), "vars"), ID_VAR, -1) == id)
			return v_get_str(v_at(hosts, i), "name", NULL);
	return NULL;
}

static int
destroy(struct cloud *c, const struct provider *p, struct load *l, const char *what)
{
	struct ctl *ctl = c->ctl;
	struct err err = ERR_INIT;
	const struct value *m;
	const char *name, *answer, *host;
	int64_t id;
	bool failed;

	m = find(c, p, what, &failed);
	if (failed)
		return RUN_USAGE;
	if (m == NULL)
		return usage_error(ctl, "there is no droplet '%s' with the tag " TAG, what);
	id = v_get_int(m, "id", 0);
	name = v_get_str(m, "name", "");
	if (!ctl->set.yes) {
		answer = ask(&ctl->arena, arena_printf(&ctl->arena,
		    "Destroy droplet %lld '%s' at %s with all its data? Type its name: ",
		    (long long)id, name, v_get_str(m, "address", "no address")), false);
		if (answer == NULL || strcmp(answer, name) != 0)
			return usage_error(ctl, answer == NULL ?
			    "droplet '%s' is not destroyed: nobody confirmed it (--yes does)" :
			    "droplet '%s' is not destroyed: that is not its name", name);
	}
	if (p->destroy(c, id, &err) == -1)
		return fail_with(ctl, &err);
	out_note(ctl->out, "droplet %lld '%s' is destroyed", (long long)id, name);
	host = host_of(l, id);
	return host != NULL ? host_forget(l, host) : RUN_OK;
}

/* ---- the command -------------------------------------------------------------------------------- */

static int
droplet(struct ctl *ctl)
{
	static const char *const actions[] = { "create", "list", "destroy", NULL };
	const struct provider *p = &provider_digitalocean;
	const char *action = ctl->args.v[0], *name = ctl->args.n > 1 ? ctl->args.v[1] : NULL, *near;
	bool lists = strcmp(action, "list") == 0;
	struct cloud c;
	struct load l;
	int status = RUN_USAGE;
	size_t i;

	for (i = 0; actions[i] != NULL && strcmp(actions[i], action) != 0; i++)
		continue;
	if (actions[i] == NULL) {
		near = nearest(action, actions);
		return near != NULL ? usage_error(ctl, "unknown action '%s'; did you mean '%s'?", action, near) :
		    usage_error(ctl, "unknown action '%s'", action);
	}
	if (lists != (name == NULL))
		return usage_error(ctl, lists ? "'droplet list' takes no NAME" :
		    "'droplet %s' needs a NAME", action);
	if (ctl->set.name != NULL)
		return usage_error(ctl, "a droplet's host has the droplet's name: --name is not for this");
	if (cloud_open(ctl, p, &c) == -1)
		return RUN_USAGE;
	load_init(&l, ctl);
	if (lists)
		status = list(&c, p);
	else if (load_state(&l, 0) == 0) {
		ctl->out->stream = strcmp(action, "create") == 0;
		status = strcmp(action, "create") == 0 ? create(&c, p, &l, name) :
		    destroy(&c, p, &l, name);
	}
	load_release(&l);
	cloud_close(&c);
	return status;
}

const struct cmd cmd_droplet = {
	.name = "droplet", .args = "ACTION [NAME]",
	.summary = "makes machines at DigitalOcean and takes them in",
	.doc = "ACTION is create NAME (made, waited for, onboarded: its host key is known before it exists), list, or destroy NAME (or its number; the host is forgotten, too). Only droplets with the tag \"provctl\" are seen.",
	.opts = groups, .min_args = 1, .max_args = 2, .run = droplet,
};
