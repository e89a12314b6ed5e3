/*
 * provctl history: the runs on record.
 */
#include "load.h"
#include "out.h"

static const struct opt rows[] = {
	{ .letter = 'n', .name = "number", .type = OPT_INT, .offset = OFF(number),
	    .arg = "N", .min = 1, .max = 1000000, .doc = "At most so many; default 20." },
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "Only runs that worked on this host; the counters are its own." },
	OPT_END
};
static const struct opt_group group = { "Selection", rows };
static const struct opt_group *const groups[] = { &group, &opts_state, NULL };

static int
history(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	const struct value *runs;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		runs = state_runs(l.state, &ctl->arena,
		    ctl->set.number > 0 ? (uint32_t)ctl->set.number : 20,
		    ctl->set.host, &err);
		if (runs != NULL) {
			ctl->out->ops->history(ctl->out, runs);
			status = RUN_OK;
		} else
			(void)fail_with(ctl, &err);
	}
	load_release(&l);
	return status;
}

const struct cmd cmd_history = {
	.name = "history", .args = "", .summary = "lists the runs on record, newest first",
	.opts = groups, .run = history,
};
