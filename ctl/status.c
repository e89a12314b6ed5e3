/*
 * provctl status: who works where, and what is owed to hosts.
 */
#include "load.h"
#include "out.h"

/* RUN_OK: nothing is owed; RUN_PENDING: something is; RUN_FAILED: something was given up. */
static int
verdict(const struct value *pending, const struct value *owed,
    const struct value *unfinished)
{
	uint32_t i;

	for (i = 0; i < v_count(pending); i++)
		if (v_is_null(v_gets(v_at(pending, i), "next_ms")))
			return RUN_FAILED;
	return v_count(pending) + v_count(owed) + v_count(unfinished) > 0 ?
	    RUN_PENDING : RUN_OK;
}

static int
status(struct ctl *ctl)
{
	struct arena *a = &ctl->arena;
	const struct value *held, *pending = NULL, *owed = NULL, *unfinished = NULL;
	struct value *all = v_map(a);
	struct err err = ERR_INIT;
	struct load l;
	int r = RUN_USAGE;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == -1) {
		load_release(&l);
		return r;
	}
	if ((held = state_leases(l.state, a, &err)) != NULL &&
	    (pending = state_pending(l.state, a, NULL, 0, &err)) != NULL &&
	    (owed = state_owed_list(l.state, a, &err)) != NULL)
		unfinished = state_unfinished_list(l.state, a, &err);
	load_release(&l);
	if (unfinished == NULL)
		return fail_with(ctl, &err);
	v_sets(a, all, "held", held);
	v_sets(a, all, "pending", pending);
	v_sets(a, all, "owed", owed);
	v_sets(a, all, "unfinished", unfinished);
	ctl->out->ops->status(ctl->out, all);
	return verdict(pending, owed, unfinished);
}

static const struct opt_group *const groups[] = { &opts_state, NULL };

const struct cmd cmd_status = {
	.name = "status", .args = "",
	.summary = "who works where, what is owed to hosts and when it is tried again",
	.doc = "Exit status: 0 when nothing is owed, 2 when something is, 3 when something was given up.",
	.opts = groups, .run = status,
};
