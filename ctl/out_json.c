/*
 * Output for programs: one JSON value, or for a run one event a line, as
 * schema/events.md describes them.  Secrets are "********" here too.
 */
#include <string.h>

#include "base/json.h"
#include "report.h"

struct json_run {
	struct out	*out;
	struct out_run	 run;
};

static void
put(struct out *o, const struct value *v)
{
	struct buf b = BUF_INIT;

	json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
	buf_addc(&b, '\n');
	out_flush(o, &b);
	buf_release(&b);
}

static void
put_diag(struct out *o, const struct value *v)
{
	struct buf b = BUF_INIT;

	if (o->stream) {
		put(o, v);
		return;
	}
	json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
	buf_addc(&b, '\n');
	(void)term_write(&o->errors, b.data, b.len);
	buf_release(&b);
}

/* ---- events --------------------------------------------------------------------------- */

/* EV_ASKED and EV_BEFORE are the state's alone. */
static const char *const event_names[] = {
	[EV_RUN_START] = "run_start", [EV_PLAY_START] = "play_start",
	[EV_PLAY_NO_HOSTS] = "play_no_hosts", [EV_HOST_STATE] = "host_state",
	[EV_TASK_START] = "task_start", [EV_PROGRESS] = "progress",
	[EV_ITEM] = "item", [EV_RETRY] = "retry", [EV_TASK_END] = "task_end",
	[EV_HOST_UNREACHABLE] = "host_unreachable", [EV_WARNING] = "warning",
	[EV_STATS] = "stats", [EV_RUN_END] = "run_end",
	[EV_NOTIFIED] = "notified", [EV_ASKED] = NULL,
	[EV_BEFORE] = NULL,
};

static void
put_str(struct arena *a, struct value *m, const char *key, const char *text)
{
	if (text != NULL)
		v_set_str(a, m, key, text);
}

static void
add_task(struct arena *a, struct value *m, const struct event *e)
{
	put_str(a, m, "host", e->host);
	put_str(a, m, "delegated", e->delegated);
	put_str(a, m, "play", e->play);
	put_str(a, m, "task", e->task);
	put_str(a, m, "module", e->module);
	put_str(a, m, "role", e->role);
	if (e->mark.src != NULL) {
		put_str(a, m, "file", e->mark.src->path);
		v_set_int(a, m, "line", e->mark.line);
		v_set_int(a, m, "column", e->mark.col);
	}
	if (e->handler)
		v_set_bool(a, m, "handler", true);
}

static void
add_result(struct arena *a, struct value *m, const struct event *e)
{
	v_set_str(a, m, "outcome", outcome_name(e->outcome));
	v_set_int(a, m, "duration_ms", e->duration_ms);
	put_str(a, m, "class", e->class);
	if (e->result != NULL)
		v_sets(a, m, "result", e->result);
}

static void
add_stats(struct arena *a, struct value *m, const struct host_stats *s)
{
	v_set_int(a, m, "ok", s->ok);
	v_set_int(a, m, "changed", s->changed);
	v_set_int(a, m, "failed", s->failed);
	v_set_int(a, m, "skipped", s->skipped);
	v_set_int(a, m, "unreachable", s->unreachable);
	v_set_int(a, m, "rescued", s->rescued);
	v_set_int(a, m, "ignored", s->ignored);
}

static void
put_run(struct arena *a, struct value *m, const struct json_run *r)
{
	int64_t id = r->run.run_id != NULL ? r->run.run_id(r->run.arg) : 0;

	if (id > 0)
		v_set_int(a, m, "run", id);
}

static void
on_event(void *arg, const struct event *e)
{
	struct json_run *r = arg;
	struct arena a = { 0 };
	struct value *m;

	/* What is told to the state alone has no name here. */
	if (r->run.silent || e->type >= NITEMS(event_names) || event_names[e->type] == NULL)
		return;
	m = v_map(&a);
	v_set_str(&a, m, "event", event_names[e->type]);
	v_set_int(&a, m, "time_ms", e->start_ms);
	add_task(&a, m, e);
	switch (e->type) {
	case EV_RUN_START:
		put_str(&a, m, "site", e->text);
		v_set_bool(&a, m, "check", e->check);
		put_run(&a, m, r);
		break;
	case EV_PLAY_START:
	case EV_PLAY_NO_HOSTS:
		if (e->hosts != NULL)
			v_sets(&a, m, "hosts", e->hosts);
		break;
	case EV_HOST_STATE:
	case EV_PROGRESS:
	case EV_WARNING:
		put_str(&a, m, "text", e->text);
		break;
	case EV_ITEM:
		if (e->item != NULL)
			v_sets(&a, m, "item", e->item);
		add_result(&a, m, e);
		break;
	case EV_RETRY:
		v_set_int(&a, m, "attempt", e->attempt);
		v_set_int(&a, m, "attempts", e->attempts);
		break;
	case EV_TASK_END:
		add_result(&a, m, e);
		break;
	case EV_HOST_UNREACHABLE:
		put_str(&a, m, "text", e->text);
		put_str(&a, m, "hint", e->hint);
		break;
	case EV_STATS:
		add_stats(&a, m, &e->stats);
		break;
	case EV_RUN_END:
		v_set_int(&a, m, "status", e->status);
		v_set_int(&a, m, "duration_ms", e->duration_ms);
		put_run(&a, m, r);
		break;
	default:
		break;
	}
	put(r->out, m);
	arena_release(&a);
}

static struct sink
json_run_start(struct out *o, const struct out_run *run)
{
	struct json_run *r = ARENA_NEW(&o->arena, struct json_run);

	r->out = o;
	r->run = *run;
	return (struct sink){ .event = on_event, .arg = r };
}

static void
json_run_end(struct out *o)
{
	(void)o;
}

/* ---- values ----------------------------------------------------------------------------- */

static void
json_run_value(struct out *o, const struct value *run, bool diff, int verbose)
{
	(void)diff;
	(void)verbose;
	put(o, run);
}

static void
json_drift(struct out *o, const struct value *list, bool diff)
{
	(void)diff;
	put(o, list);
}

static void
json_plan(struct out *o, const struct value *plan, bool diff, int verbose)
{
	(void)diff;
	(void)verbose;
	put(o, plan);
}

static void
json_modules(struct out *o)
{
	struct arena a = { 0 };
	struct value *list = v_list(&a);
	size_t i;

	for (i = 0; modules[i] != NULL; i++) {
		struct value *m = v_map(&a);

		if (modules[i]->flags & MOD_UNSUPPORTED)
			continue;
		v_set_str(&a, m, "name", modules[i]->name);
		v_set_str(&a, m, "collection", modules[i]->collection);
		v_set_str(&a, m, "summary", modules[i]->summary);
		v_push(&a, list, m);
	}
	put(o, list);
	arena_release(&a);
}

static void
json_module(struct out *o, const struct module *m)
{
	struct arena a = { 0 };

	put(o, module_value(&a, m));
	arena_release(&a);
}

static void
json_site(struct out *o, const struct value *plays, bool hosts, bool tasks, bool tags)
{
	(void)hosts;
	(void)tasks;
	(void)tags;
	put(o, plays);
}

static const struct value *
group_value(struct arena *a, const struct group *g)
{
	struct value *m = v_map(a), *children = v_list(a), *hosts = v_list(a);
	uint32_t i;

	for (i = 0; i < g->nchildren; i++)
		v_push(a, children, group_value(a, g->children[i]));
	for (i = 0; i < g->nhosts; i++)
		v_push(a, hosts, v_str(a, g->hosts[i]->name));
	v_set_str(a, m, "group", g->name);
	v_sets(a, m, "children", children);
	v_sets(a, m, "hosts", hosts);
	return m;
}

static void
json_graph(struct out *o, struct inventory *inv)
{
	const struct group *all = inventory_group(inv, "all");
	struct arena a = { 0 };

	put(o, all != NULL ? group_value(&a, all) : &v_null);
	arena_release(&a);
}

static void
json_diags(struct out *o, struct diags *diags)
{
	static const char *const levels[] = {
		[DIAG_ERROR] = "error", [DIAG_WARNING] = "warning",
		[DIAG_NOTE] = "note"
	};
	size_t i;
	unsigned j;

	for (i = 0; i < diags->n; i++) {
		const struct err *e = &diags->v[i].err;
		struct arena a = { 0 };
		struct value *m = v_map(&a), *notes = v_list(&a);

		v_set_str(&a, m, "event", "diagnostic");
		v_set_str(&a, m, "level", levels[diags->v[i].level]);
		v_set_str(&a, m, "message", e->msg != NULL ? e->msg : "");
		put_str(&a, m, "hint", e->hint);
		if (e->at.src != NULL) {
			put_str(&a, m, "file", e->at.src->path);
			v_set_int(&a, m, "line", e->at.line);
			v_set_int(&a, m, "column", e->at.col);
		}
		for (j = 0; j < e->nnotes; j++) {
			struct value *n = v_map(&a);

			v_set_str(&a, n, "message", e->notes[j].msg);
			if (e->notes[j].at.src != NULL) {
				put_str(&a, n, "file", e->notes[j].at.src->path);
				v_set_int(&a, n, "line", e->notes[j].at.line);
			}
			v_push(&a, notes, n);
		}
		if (v_count(notes) > 0)
			v_sets(&a, m, "notes", notes);
		put_diag(o, m);
		arena_release(&a);
	}
}

static void
json_table(struct out *o, const char *const *columns, const struct value *rows,
    const char *empty)
{
	(void)columns;
	(void)empty;
	put(o, rows);
}

const struct out_ops output_json = {
	.name = "json",
	.run_start = json_run_start, .run_end = json_run_end,
	.history = put, .status = put, .run = json_run_value, .facts = put, .keys = put, .table = json_table,
	.module_list = json_modules, .module = json_module,
	.site = json_site, .graph = json_graph, .value = put, .plan = json_plan, .drift = json_drift,
	.diags = json_diags,
};
