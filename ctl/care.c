/*
 * provctl prune, provctl state: care of the state database.
 */
#include <string.h>

#include "load.h"
#include "out.h"

#define DAYS_MAX	36500
#define SPARE_TOLD	((int64_t)16 * 1024 * 1024)

/* "DAYS" or "never" (0). -1 with an error. */
static int
keep_days(struct ctl *ctl, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (strcmp(text, "never") == 0)
		return 0;
	if (*text >= '0' && *text <= '9' && *end == '\0' && n >= 1 && n <= DAYS_MAX)
		return (int)n;
	(void)usage_error(ctl, "--keep takes 1 to %d days or 'never', not '%s'",
	    DAYS_MAX, text);
	return -1;
}

static int
prune_state(struct ctl *ctl, struct state *state, struct err *err)
{
	const char *keep = ctl->set.keep;
	int days = keep != NULL ? keep_days(ctl, keep) : 0;
	int64_t n = 0;

	if (keep != NULL && (days == -1 || state_set_keep_days(state, days, err) == -1))
		return -1;
	if (keep != NULL && days > 0)
		out_note(ctl->out, "from now on runs are dropped by themselves after %d days", days);
	else if (keep != NULL)
		out_note(ctl->out, "from now on runs are dropped only by `provctl prune --days N`");
	if (ctl->set.prune_days > 0)
		days = ctl->set.prune_days;
	else if (keep == NULL && (days = state_keep_days(state, err)) == -1)
		return -1;
	if (days == 0) {
		if (keep == NULL)
			out_note(ctl->out, "nothing is dropped: runs are kept for ever here; --days N drops older ones");
		return 0;
	}
	if (state_prune(state, days, &n, err) == -1)
		return -1;
	out_note(ctl->out, "%lld run%s dropped that began more than %d days ago",
	    (long long)n, n == 1 ? "" : "s", days);
	return 0;
}

static const char *
mib(struct arena *a, int64_t bytes)
{
	return arena_printf(a, "%.1f MiB", (double)bytes / 1048576);
}

/* The file's size, and what can be done about it. */
static int
tell_space(struct ctl *ctl, struct state *state, struct err *err)
{
	struct arena *a = &ctl->arena;
	int64_t size, spare;
	bool shrinks;

	if (state_space(state, &size, &spare, &shrinks, err) == -1)
		return -1;
	out_note(ctl->out, "the state database has %s%s", mib(a, size),
	    shrinks || spare < SPARE_TOLD ? "" : arena_printf(a,
	    ", of which %s are free: prune --vacuum gives them back", mib(a, spare)));
	return 0;
}

static int
prune(struct ctl *ctl)
{
	struct load l;
	struct err err = ERR_INIT;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	if (load_state(&l, 0) == 0) {
		if (prune_state(ctl, l.state, &err) == 0 && (!ctl->set.vacuum ||
		    state_vacuum(l.state, &err) == 0) && tell_space(ctl, l.state, &err) == 0)
			status = RUN_OK;
		else if (err.code != ERR_NONE)
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
	    .min = 1, .max = DAYS_MAX, .doc = "Keeps what is younger; default: what --keep has set, or 90." },
	{ .name = "keep", .type = OPT_STR, .offset = OFF(keep), .arg = "N|never",
	    .doc = "From now on runs are dropped by themselves after so many days (90 unless set): behind a run, at most once a day." },
	{ .name = "vacuum", .type = OPT_FLAG, .offset = OFF(vacuum),
	    .doc = "Also writes the file anew, as small as can be: once, for a database of an early version, which cannot shrink otherwise. Takes as much space again, and no run may be under way." },
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
