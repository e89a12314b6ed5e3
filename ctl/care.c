/*
 * provctl prune, provctl state: care of the state database.
 */
#include <string.h>

#include "load.h"
#include "out.h"

#define PRUNE_DAYS	90

static int
prune(struct ctl *ctl)
{
	int days = ctl->set.prune_days > 0 ? ctl->set.prune_days : PRUNE_DAYS;
	struct load l;
	struct err err = ERR_INIT;
	int64_t n = 0;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	if (load_state(&l, 0) == 0) {
		if (state_prune(l.state, days, &n, &err) == 0) {
			out_note(ctl->out, "%lld run%s dropped that began more than %d days ago",
			    (long long)n, n == 1 ? "" : "s", days);
			status = RUN_OK;
		} else
			(void)fail_with(ctl, &err);
	}
	load_release(&l);
	return status;
}

static int
state(struct ctl *ctl)
{
	const char *path = ctl->args.v[1];
	struct load l;
	struct err err = ERR_INIT;
	int status = RUN_USAGE;

	if (strcmp(ctl->args.v[0], "backup") != 0)
		return usage_error(ctl, "'state' knows 'backup FILE', not '%s'",
		    ctl->args.v[0]);
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		if (state_backup(l.state, path, &err) == 0) {
			out_note(ctl->out, "the state is in '%s'; passwords that runs were given can be read from it only with the key beside the database",
			    path);
			status = RUN_OK;
		} else
			(void)fail_with(ctl, &err);
	}
	load_release(&l);
	return status;
}

static const struct opt rows[] = {
	{ .name = "days", .type = OPT_INT, .offset = OFF(prune_days), .arg = "N",
	    .min = 1, .max = 36500, .doc = "Keeps what is younger; default 90." },
	OPT_END
};
static const struct opt_group group = { "What", rows };
static const struct opt_group *const prune_groups[] = { &group, &opts_state, NULL };
static const struct opt_group *const state_groups[] = { &opts_state, NULL };

const struct cmd cmd_prune = {
	.name = "prune", .args = "",
	.summary = "drops old runs from the state database",
	.doc = "Hosts, keys, facts, what is owed and the last run of each host stay.",
	.opts = prune_groups, .run = prune,
};

const struct cmd cmd_state = {
	.name = "state", .args = "backup FILE",
	.summary = "copies the state database, also while runs use it",
	.doc = "Keep the file with the name of the database and .key as well: without it the history can be read, but runs cannot be resumed.",
	.opts = state_groups, .min_args = 2, .max_args = 2, .run = state,
};
