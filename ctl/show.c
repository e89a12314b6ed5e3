/*
 * provctl show RUN: one run in full.
 */
#include <errno.h>
#include <string.h>

#include "load.h"
#include "out.h"

#define CHECKS_MAX	1000	/* between the last run that changed something and now */

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
load_run_number(struct ctl *ctl, struct load *l, const char *text, bool changing,
    struct err *err)
{
	const struct value *runs;
	uint32_t i;
	char *end;
	long long n;

	if (strcmp(text, "last") == 0) {
		runs = state_runs(l->state, &ctl->arena, changing ? CHECKS_MAX : 1, NULL, err);
		for (i = 0; runs != NULL && i < v_count(runs); i++)
			if (!changing || !v_get_bool(v_at(runs, i), "check", false))
				return v_get_int(v_at(runs, i), "id", 0);
		if (runs != NULL)
			(void)err_set(err, ERR_USAGE, changing && i > 0 ?
			    "there are only checks among the last runs" : "there are no runs yet");
		return 0;
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

static bool
worked_on(const struct value *run, const char *host)
{
	const struct value *hosts = v_gets(run, "per_host");
	uint32_t i;

	for (i = 0; i < v_count(hosts); i++)
		if (v_eqs(v_gets(v_at(hosts, i), "host"), host))
			return true;
	return false;
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
		if ((id = load_run_number(ctl, &l, ctl->args.v[0], false, &err)) != 0)
			run = state_run(l.state, &ctl->arena, id, ctl->set.host, &err);
		if (run != NULL && ctl->set.host != NULL && !worked_on(run, ctl->set.host)) {
			(void)err_set(&err, ERR_USAGE, "run %lld did not work on '%s'",
			    (long long)id, ctl->set.host);
			run = NULL;
		}
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
