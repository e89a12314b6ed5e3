/*
 * provctl show RUN: one run in full.
 */
#include <errno.h>
#include <string.h>

#include "load.h"
#include "out.h"

static const struct opt rows[] = {
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "Only this host." },
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Also the recorded diffs." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Also skipped tasks and recorded results." },
	OPT_END
};
static const struct opt_group group = { "Selection", rows };
static const struct opt_group *const groups[] = { &group, &opts_state, NULL };

int64_t
load_run_number(struct ctl *ctl, struct load *l, const char *text, struct err *err)
{
	const struct value *runs;
	char *end;
	long long n;

	if (strcmp(text, "last") == 0) {
		runs = state_runs(l->state, &ctl->arena, 1, NULL, err);
		if (runs != NULL && v_count(runs) == 0)
			(void)err_set(err, ERR_USAGE, "there are no runs yet");
		return runs != NULL && v_count(runs) > 0 ?
		    v_get_int(v_at(runs, 0), "id", 0) : 0;
	}
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*text == '\0' || *end != '\0' || errno != 0 || n < 1) {
		(void)err_set(err, ERR_USAGE, "'%s' is no number of a run", text);
		err_hint(err, "`provctl history` lists the runs; `last` is the newest");
		return 0;
	}
	return n;
}

static int
show(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	const struct value *run = NULL;
	int64_t id;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		if ((id = load_run_number(ctl, &l, ctl->args.v[0], &err)) != 0)
			run = state_run(l.state, &ctl->arena, id, ctl->set.host, &err);
		if (run != NULL)
			ctl->out->ops->run(ctl->out, run, ctl->set.diff, ctl->set.verbose);
		else
			(void)fail_with(ctl, &err);
	}
	load_release(&l);
	return run != NULL ? RUN_OK : RUN_USAGE;
}

const struct cmd cmd_show = {
	.name = "show", .args = "RUN", .summary = "shows a run: every task on every host",
	.doc = "RUN is a number from `provctl history`, or `last`.",
	.opts = groups, .min_args = 1, .max_args = 1, .run = show,
};
