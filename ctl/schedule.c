/*
 * provctl schedule: what agentd does and when.  agentd.yml says it, and nothing
 * else: it is edited as any file, checked with --file and read with --reload.
 */
#include <string.h>
#include <time.h>

#include "out.h"
#include "remote.h"
#include "serve/config.h"

static const char *
local_time(struct arena *a, const struct value *ms)
{
	time_t t;
	struct tm tm;
	char text[32];

	if (ms == NULL || ms->type != V_INT)
		return "never";
	t = (time_t)(ms->u.i / 1000);
	(void)strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M", localtime_r(&t, &tm));
	return arena_strdup(a, text);
}

static void
show(struct ctl *ctl, const struct value *list)
{
	static const char *const columns[] = { "site", "drift", "correct", "next", "path", NULL };
	struct arena *a = &ctl->arena;
	struct value *rows = v_list(a);
	uint32_t i;

	if (ctl->set.json) {
		ctl->out->ops->value(ctl->out, list);
		return;
	}
	for (i = 0; i < v_count(list); i++) {
		const struct value *s = v_at(list, i), *job = v_gets(s, "job");
		struct value *row = v_map(a);

		v_set_str(a, row, "site", v_get_str(s, "site", "?"));
		v_set_str(a, row, "drift", v_get_str(s, "drift", "?"));
		v_set_str(a, row, "correct", v_get_bool(s, "correct", false) ? "yes" : "no");
		v_set_str(a, row, "next", job != NULL && !v_is_null(job) ? "now" :
		    local_time(a, v_gets(s, "next_ms")));
		v_set_str(a, row, "path", v_get_str(s, "path", "?"));
		v_push(a, rows, row);
	}
	ctl->out->ops->table(ctl->out, columns, rows, "agentd.yml has no sites");
}

/* What a file would mean, without agentd. */
static int
show_file(struct ctl *ctl, const char *path)
{
	struct arena *a = &ctl->arena;
	struct config *c = ARENA_NEW(a, struct config);
	struct value *list = v_list(a);
	int status = RUN_OK;
	uint32_t i;

	if (config_load(path, c, &ctl->diags) == -1)
		status = RUN_USAGE;
	for (i = 0; status == RUN_OK && i < c->nsites; i++) {
		const struct config_site *s = &c->sites[i];
		int64_t next = times_next(&s->times, (int64_t)time(NULL));
		struct value *v = v_map(a);

		v_set_str(a, v, "site", s->name);
		v_set_str(a, v, "path", s->path);
		v_set_str(a, v, "drift", s->drift);
		v_set_bool(a, v, "correct", s->correct);
		v_sets(a, v, "next_ms", next == -1 ? &v_null : v_int(a, next * 1000));
		v_push(a, list, v);
	}
	if (status == RUN_OK)
		show(ctl, list);
	/* What is wrong is shown later and points into it. */
	remote_diags(ctl);
	if (ctl->diags.n > 0)
		ctl->out->ops->diags(ctl->out, &ctl->diags);
	diags_release(&ctl->diags);
	ctl->diags = (struct diags)DIAGS_INIT;
	config_release(c);
	return status;
}

static int
ask_daemon(struct ctl *ctl, struct remote *r, struct err *err)
{
	struct value *params = v_map(&ctl->arena);
	const struct value *answer;

	if (ctl->set.start_site != NULL) {
		v_set_str(&ctl->arena, params, "site", ctl->set.start_site);
		if ((answer = remote_call(r, "start", params, err)) == NULL)
			return -1;
		out_note(ctl->out, "%s begins; `provctl follow` shows it", v_get_str(answer, "what", "?"));
		return 0;
	}
	if (ctl->set.reload && remote_call(r, "reload", NULL, err) == NULL)
		return -1;
	if ((answer = remote_call(r, "schedule", NULL, err)) == NULL)
		return -1;
	show(ctl, answer);
	return 0;
}

static int
schedule(struct ctl *ctl)
{
	struct settings *s = &ctl->set;
	struct err err = ERR_INIT;
	int status = RUN_OK;
	struct remote r;

	if ((s->config != NULL) + (s->start_site != NULL) + s->reload > 1)
		return usage_error(ctl, "one of --file, --now and --reload");
	if (s->config != NULL)
		return show_file(ctl, s->config);
	if (remote_open(ctl, &r, &err) == -1 || ask_daemon(ctl, &r, &err) == -1)
		status = fail_with(ctl, &err);
	remote_close(&r);
	return status;
}

static const struct opt rows[] = {
	{ .name = "now", .type = OPT_STR, .offset = OFF(start_site), .arg = "SITE",
	    .doc = "Begins with a site now, as if it were due." },
	{ .name = "reload", .type = OPT_FLAG, .offset = OFF(reload),
	    .doc = "Lets agentd read agentd.yml again; with errors the old one stays in force." },
	{ .name = "file", .type = OPT_STR, .offset = OFF(config), .arg = "FILE",
	    .doc = "Checks an agentd.yml and shows what it would mean; needs no agentd." },
	OPT_END
};
static const struct opt_group group = { "What", rows };
static const struct opt_group *const groups[] = { &group, &opts_socket, NULL };

const struct cmd cmd_schedule = {
	.name = "schedule", .args = "",
	.summary = "which sites agentd looks after, and when",
	.doc = "The sites stand in agentd.yml (/etc/provctl/agentd.yml): edit it, look at it with --file, and have it read with --reload.",
	.opts = groups, .run = schedule,
};
