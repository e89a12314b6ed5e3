/*
 * Feeds events (JSON lines as schema/events.md describes them, from standard
 * input) to an output, so that what people and programs see can be compared
 * with files:
 *
 *	ctl-feed [--json] [--diff] [--check] [-v…] [--color=always] < case.events
 *
 * {"__secret__": "text"} is a secret string.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "out.h"

static const char *const names[] = {
	[EV_RUN_START] = "run_start", [EV_PLAY_START] = "play_start",
	[EV_PLAY_NO_HOSTS] = "play_no_hosts", [EV_HOST_STATE] = "host_state",
	[EV_TASK_START] = "task_start", [EV_PROGRESS] = "progress",
	[EV_ITEM] = "item", [EV_RETRY] = "retry", [EV_TASK_END] = "task_end",
	[EV_HOST_UNREACHABLE] = "host_unreachable", [EV_WARNING] = "warning",
	[EV_STATS] = "stats", [EV_RUN_END] = "run_end",
	[EV_NOTIFIED] = "notified",
};

static const struct value *
secrets(struct arena *a, const struct value *v)
{
	const struct ventry *e;
	struct value *out;
	uint32_t it = 0, i;

	if (v->type == V_LIST) {
		out = v_list(a);
		for (i = 0; i < v_count(v); i++)
			v_push(a, out, secrets(a, v_at(v, i)));
		return out;
	}
	if (v->type != V_MAP)
		return v;
	if (v_gets(v, "__secret__") != NULL)
		return v_flag(a, v_gets(v, "__secret__"), V_SECRET);
	out = v_map(a);
	while ((e = v_next(v, &it)) != NULL)
		v_set(a, out, e->key, secrets(a, e->val));
	return out;
}

static int
name_index(const char *const *list, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (name != NULL && list[i] != NULL && strcmp(list[i], name) == 0)
			return (int)i;
	(void)fprintf(stderr, "unknown word '%s'\n", name != NULL ? name : "");
	exit(2);
}

static void
feed(struct arena *a, struct sink *sink, const struct value *m)
{
	static const char *const outcomes[] = {
		"ok", "changed", "failed", "ignored", "rescued", "skipped",
		"unreachable"
	};
	struct source src = { .path = v_get_str(m, "file", NULL) };
	struct event e = {
		.type = (enum event_type)name_index(names, NITEMS(names),
		    v_get_str(m, "event", NULL)),
		.host = v_get_str(m, "host", NULL),
		.delegated = v_get_str(m, "delegated", NULL),
		.play = v_get_str(m, "play", NULL),
		.task = v_get_str(m, "task", NULL),
		.module = v_get_str(m, "module", NULL),
		.role = v_get_str(m, "role", NULL),
		.handler = v_get_bool(m, "handler", false),
		.check = v_get_bool(m, "check", false),
		.diff = v_get_bool(m, "diff", true),
		.text = v_get_str(m, "text", v_get_str(m, "site", NULL)),
		.hint = v_get_str(m, "hint", NULL),
		.hosts = v_gets(m, "hosts"),
		.attempt = (int)v_get_int(m, "attempt", 0),
		.attempts = (int)v_get_int(m, "attempts", 0),
		.start_ms = v_get_int(m, "time_ms", 0),
		.duration_ms = v_get_int(m, "duration_ms", 0),
		.status = (int)v_get_int(m, "status", 0),
		.stats = {
			(uint32_t)v_get_int(m, "ok", 0),
			(uint32_t)v_get_int(m, "changed", 0),
			(uint32_t)v_get_int(m, "failed", 0),
			(uint32_t)v_get_int(m, "skipped", 0),
			(uint32_t)v_get_int(m, "unreachable", 0),
			(uint32_t)v_get_int(m, "rescued", 0),
			(uint32_t)v_get_int(m, "ignored", 0),
		},
	};

	if (src.path != NULL)
		e.mark = (struct mark){ &src, (uint32_t)v_get_int(m, "line", 0),
		    (uint32_t)v_get_int(m, "column", 0), 1 };
	if (v_gets(m, "outcome") != NULL)
		e.outcome = (enum outcome)name_index(outcomes, NITEMS(outcomes),
		    v_get_str(m, "outcome", NULL));
	if (v_gets(m, "result") != NULL)
		e.result = secrets(a, v_gets(m, "result"));
	if (v_gets(m, "item") != NULL)
		e.item = secrets(a, v_gets(m, "item"));
	sink->event(sink->arg, &e);
}

static int64_t
run_id(void *arg)
{
	(void)arg;
	return 17;
}

int
main(int argc, char **argv)
{
	const struct out_ops *ops = &output_text;
	struct out_run run = { .run_id = run_id };
	const char *color = "never";
	struct buf in = BUF_INIT;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	struct sink sink;
	struct out out;
	char *p, *end;
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			ops = &output_json;
		else if (strcmp(argv[i], "--diff") == 0)
			run.diff = true;
		else if (strcmp(argv[i], "--check") == 0)
			run.check = true;
		else if (strncmp(argv[i], "-v", 2) == 0)
			run.verbose = (int)strlen(argv[i]) - 1;
		else if (strcmp(argv[i], "--color=always") == 0)
			color = "always";
		else
			return 2;
	}
	if (buf_read_fd(&in, STDIN_FILENO) == -1)
		return 2;
	output_init(&out, ops, color);
	sink = ops->run_start(&out, &run);
	(void)buf_str(&in);	/* ends with a NUL now */
	for (p = in.data; p != NULL && *p != '\0'; p = *end == '\n' ? end + 1 : end) {
		const struct value *m;

		end = p + strcspn(p, "\n");
		if (end == p || *p == '#')
			continue;
		if ((m = json_parse_text(&a, p, (size_t)(end - p), &err)) == NULL) {
			(void)fprintf(stderr, "%s\n", err.msg);
			return 2;
		}
		feed(&a, &sink, m);
	}
	ops->run_end(&out);
	output_release(&out);
	arena_release(&a);
	buf_release(&in);
	return 0;
}
