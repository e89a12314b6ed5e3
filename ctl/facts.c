/*
 * provctl facts HOST [KEY]: what the last gathering found.
 */
#include <string.h>

#include "load.h"
#include "out.h"

static const struct opt_group *const groups[] = { &opts_state, NULL };

/* "default_ipv4.address", with or without ansible_ in front. NULL with err. */
static const struct value *
lookup(struct arena *a, const struct value *facts, const char *key, struct err *err)
{
	const char *p = strncmp(key, "ansible_", 8) == 0 ? key + 8 : key;
	const struct value *v = facts;

	while (v != NULL && *p != '\0') {
		size_t n = strcspn(p, ".");
		const struct value *next = v_gets(v, arena_strndup(a, p, n));

		if (next == NULL) {
			const char *word = arena_strndup(a, p, n), *best = NULL;
			const struct ventry *e;
			unsigned dist = 0;
			uint32_t it = 0;

			while (v->type == V_MAP && (e = v_next(v, &it)) != NULL)
				if (e->key->type == V_STR)
					nearest_try(word, e->key->u.s, &best, &dist);
			(void)err_set(err, ERR_USAGE, "there is no fact '%s'", key);
			if (best != NULL)
				err_hint(err, "did you mean '%s'?", best);
			return NULL;
		}
		v = next;
		p += n + (p[n] == '.');
	}
	return v;
}

static int
facts(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	const struct value *v = NULL;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		v = state_facts(l.state, &ctl->arena, ctl->args.v[0], &err);
		if (v != NULL && ctl->args.n > 1)
			v = lookup(&ctl->arena, v, ctl->args.v[1], &err);
		if (v == NULL)
			(void)fail_with(ctl, &err);
		else if (ctl->args.n > 1)
			ctl->out->ops->value(ctl->out, v);
		else
			ctl->out->ops->facts(ctl->out, v);
	}
	load_release(&l);
	return v != NULL ? RUN_OK : RUN_USAGE;
}

const struct cmd cmd_facts = {
	.name = "facts", .args = "HOST [KEY]",
	.summary = "shows the last known facts of a host",
	.doc = "KEY is a fact's name, with or without ansible_, and dots for what is inside it: default_ipv4.address.",
	.opts = groups, .min_args = 1, .max_args = 2, .run = facts,
};
