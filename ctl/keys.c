/*
 * provctl keys: the host keys that are pinned, and forgetting them when a
 * host was installed anew.
 */
#include <string.h>

#include "load.h"
#include "login.h"
#include "out.h"

static const struct opt_group *const groups[] = { &opts_state, NULL };

static int
list(struct ctl *ctl, struct load *l)
{
	struct arena *a = &ctl->arena;
	struct err err = ERR_INIT;
	const struct value *keys = state_keys(l->state, a, &err);
	struct value *rows;
	uint32_t i;

	if (keys == NULL)
		return fail_with(ctl, &err);
	rows = v_list(a);
	for (i = 0; i < v_count(keys); i++) {
		const char *key = v_get_str(v_at(keys, i), "key", "");
		struct value *row = v_map(a);

		v_merge(a, row, v_at(keys, i));
		v_set_str(a, row, "type", arena_strndup(a, key, strcspn(key, " ")));
		v_set_str(a, row, "fingerprint", key_fingerprint(a, key));
		v_push(a, rows, row);
	}
	ctl->out->ops->keys(ctl->out, rows);
	return RUN_OK;
}

/* HOST or HOST:PORT or [ADDRESS]:PORT. */
static int
forget(struct ctl *ctl, struct load *l, const char *what)
{
	struct arena *a = &ctl->arena;
	const char *host = what, *colon = strrchr(what, ':');
	const struct value *keys;
	struct err err = ERR_INIT, *e;
	const char *best = NULL;
	unsigned dist = 0;
	long port = 0;
	bool known = false;
	uint32_t i;

	if (*what == '[' && strchr(what, ']') != NULL) {
		host = arena_strndup(a, what + 1, strcspn(what + 1, "]"));
		colon = strstr(what, "]:") != NULL ? strstr(what, "]:") + 1 : NULL;
	} else if (colon != NULL && strchr(what, ':') != colon)
		colon = NULL;	/* an IPv6 address */
	else if (colon != NULL)
		host = arena_strndup(a, what, (size_t)(colon - what));
	if (colon != NULL) {
		char *end;

		port = strtol(colon + 1, &end, 10);
		if (*end != '\0' || port < 1 || port > 65535)
			return usage_error(ctl, "'%s' is no port", colon + 1);
	}
	if ((keys = state_keys(l->state, a, &err)) == NULL)
		return fail_with(ctl, &err);
	for (i = 0; i < v_count(keys); i++) {
		const char *name = v_get_str(v_at(keys, i), "host", "");

		if (strcmp(name, host) == 0 && (port == 0 ||
		    v_get_int(v_at(keys, i), "port", 0) == port))
			known = true;
		nearest_try(host, name, &best, &dist);
	}
	if (!known) {
		e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 },
		    "no key of '%s' is pinned", what);
		if (best != NULL && strcmp(best, host) != 0)
			err_hint(e, "did you mean '%s'?", best);
		else
			err_hint(e, "`provctl keys` lists them");
		return RUN_USAGE;
	}
	if (state_forget_keys(l->state, host, (int)port, &err) == -1)
		return fail_with(ctl, &err);
	return RUN_OK;
}

static int
keys(struct ctl *ctl)
{
	bool forgets = ctl->args.n > 0;
	struct load l;
	int status = RUN_USAGE;

	if (forgets && strcmp(ctl->args.v[0], "forget") != 0)
		return usage_error(ctl, "unknown action '%s'", ctl->args.v[0]);
	if (forgets && ctl->args.n < 2)
		return usage_error(ctl, "'keys forget' needs a HOST");
	load_init(&l, ctl);
	if (load_state(&l, forgets ? 0 : STATE_READ_ONLY) == 0)
		status = forgets ? forget(ctl, &l, ctl->args.v[1]) : list(ctl, &l);
	load_release(&l);
	return status;
}

const struct cmd cmd_keys = {
	.name = "keys", .args = "[forget HOST[:PORT]]",
	.summary = "lists the pinned host keys, or forgets those of a host",
	.doc = "A host is named as it was connected to: by its address, where the inventory gives one. After `forget`, the next run with --accept-new-host-keys pins the host's new key; compare it before you do.",
	.opts = groups, .max_args = 2, .run = keys,
};
