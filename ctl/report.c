/*
 * A run told to a person: a line when a task ends, a block when it failed,
 * a table at the end.
 *
 *	== the exams' server (h1, h2)
 *	h1  changed  nginx site  (0.3s)
 *	h2  failed   nginx site  (0.2s)
 *	    site.yml:12:7, command
 *	    …
 */
#include <string.h>

#include "base/json.h"
#include "live.h"
#include "report.h"
#include "state/drift.h"

#define NAMES_SHOWN	8
#define HOST_COLUMNS	30u

struct report {
	struct out	*out;
	struct out_run	 run;
	struct arena	 arena;
	struct live	*live;		/* NULL: plain lines */
	struct buf	 text;
	unsigned	 columns;	/* of host names */
	struct value	*stats;
	bool		 any_line;
};

static void
flush(struct report *r)
{
	if (r->live != NULL)
		live_print(r->live, &r->text);
	else
		out_flush(r->out, &r->text);
}

/* ---- lines ---------------------------------------------------------------------------- */

static const char *
clean(struct arena *a, const char *s)
{
	struct buf b = BUF_INIT;
	const char *copy;

	term_clean(&b, s, strlen(s), 0);
	copy = buf_dup(&b, a);
	buf_release(&b);
	return copy;
}

static const char *
clean_value(struct arena *a, const struct value *v)
{
	struct buf b = BUF_INIT;
	const char *copy;

	if (v->type == V_STR && !(v->flags & V_SECRET))
		return clean(a, v->u.s);
	json_write(&b, v, JSON_CENSOR);
	copy = clean(a, buf_str(&b));
	buf_release(&b);
	return copy;
}

/* "h1  changed  task => item  (0.3s)" */
static void
line(struct report *r, const struct event *e, const char *word, const char *more)
{
	const struct term *t = &r->out->term;
	struct arena a = { 0 };
	enum colour c = outcome_colour(word);

	term_pad(&r->text, clean(&a, e->host), r->columns);
	buf_adds(&r->text, "  ");
	term_on(&r->text, t, c);
	buf_adds(&r->text, word);
	term_off(&r->text, t, c);
	buf_addf(&r->text, "%*s  ", (int)(strlen(word) < 7 ? 7 - strlen(word) : 0), "");
	buf_adds(&r->text, clean(&a, e->task != NULL ? e->task : ""));
	if (e->item != NULL)
		buf_addf(&r->text, " => %s", clean_value(&a, e->item));
	if (e->handler && e->type == EV_TASK_END)
		term_add(&r->text, t, DIM, " (handler)");
	if (e->delegated != NULL)
		term_add(&r->text, t, DIM, " -> %s", clean(&a, e->delegated));
	/* An apply is there to change: what it puts right is worth a word. */
	if (e->class != NULL && (r->run.check || strcmp(e->class, CLASS_CORRECTIVE) == 0))
		term_add(&r->text, t, CYAN, "  %s", e->class);
	if (more != NULL)
		buf_addf(&r->text, "  %s", more);
	else
		term_add(&r->text, t, DIM, "  (%s)", term_duration(&a, e->duration_ms));
	buf_addc(&r->text, '\n');
	arena_release(&a);
}

/* Warnings that came with a result. */
static void
result_warnings(struct report *r, const struct event *e)
{
	static const char *const keys[] = { "warnings", "deprecations" };
	uint32_t i, j;

	for (i = 0; i < NITEMS(keys); i++) {
		const struct value *list = v_gets(e->result, keys[i]);

		if (list == NULL || list->type != V_LIST)
			continue;
		for (j = 0; j < v_count(list); j++) {
			const struct value *w = v_at(list, j);
			struct arena a = { 0 };

			if (w->type == V_MAP && v_gets(w, "msg") != NULL)
				w = v_gets(w, "msg");
			buf_adds(&r->text, "    ");
			term_add(&r->text, &r->out->term, YELLOW, "warning:");
			buf_addf(&r->text, " %s\n", clean_value(&a, w));
			arena_release(&a);
		}
	}
}

/* The result as JSON, for -v and more; without what is shown otherwise. */
static void
verbose_result(struct report *r, const struct event *e)
{
	static const char *const dropped[] = { "diff", "diagnostic", "results" };
	static const char *const facts = "ansible_facts";
	struct arena a = { 0 };
	struct value *shown;
	struct buf b = BUF_INIT;
	size_t i;

	if (r->run.verbose < 1 || e->result == NULL || e->result->type != V_MAP)
		return;
	shown = v_map(&a);
	v_merge(&a, shown, e->result);
	for (i = 0; i < NITEMS(dropped); i++)
		(void)v_dels(shown, dropped[i]);
	if (r->run.verbose < 3 && v_gets(shown, facts) != NULL &&
	    v_count(v_gets(shown, facts)) > 8)
		v_set_str(&a, shown, facts, "… (-vvv shows them)");
	json_write(&b, shown, JSON_CENSOR | (r->run.verbose > 1 ? JSON_INDENT(4) : 0));
	text_lines(&r->text, &r->out->term, buf_str(&b), b.len, "    ");
	if (r->run.verbose > 1 && e->mark.src != NULL)
		term_add(&r->text, &r->out->term, DIM, "    %s:%u\n",
		    e->mark.src->path, e->mark.line);
	buf_release(&b);
	arena_release(&a);
}

static void
show_diff(struct report *r, const struct event *e)
{
	struct buf b = BUF_INIT;

	if (!r->run.diff || !e->diff || e->result == NULL)
		return;
	udiff_value(&b, v_gets(e->result, "diff"), UDIFF_MAX);
	text_diff(&r->text, &r->out->term, buf_str(&b), "    ");
	buf_release(&b);
}

/* What debug was asked to print. */
static void
debug_message(struct report *r, const struct event *e)
{
	static const char *const other[] = {
		"changed", "failed", "skipped", "skip_reason", "item",
		"ansible_loop_var", "results", "censored", "attempts"
	};
	const char *loop_var = v_get_str(e->result, "ansible_loop_var", "");
	const struct ventry *en;
	uint32_t it = 0;
	size_t i;

	while ((en = v_next(e->result, &it)) != NULL) {
		struct buf b = BUF_INIT;

		for (i = 0; i < NITEMS(other); i++)
			if (v_eqs(en->key, other[i]))
				break;
		if (i < NITEMS(other) || v_eqs(en->key, loop_var) ||
		    en->key->type != V_STR)
			continue;
		if (!v_eqs(en->key, "msg"))
			buf_addf(&b, "%s: ", en->key->u.s);
		if (en->val->type == V_STR && !(en->val->flags & V_SECRET))
			buf_add(&b, en->val->u.s, en->val->len);
		else
			json_write(&b, en->val, JSON_INDENT(4) | JSON_CENSOR);
		text_lines(&r->text, &r->out->term, buf_str(&b), b.len, "    ");
		buf_release(&b);
	}
}

/* ---- events ------------------------------------------------------------------------------ */

static void
play_start(struct report *r, const struct event *e, bool hosts)
{
	const struct term *t = &r->out->term;
	struct arena a = { 0 };
	uint32_t i, n = e->hosts != NULL ? v_count(e->hosts) : 0;

	if (r->any_line)
		buf_addc(&r->text, '\n');
	r->any_line = true;
	term_add(&r->text, t, BOLD, "== %s", clean(&a, e->play != NULL ? e->play : ""));
	buf_adds(&r->text, " (");
	for (i = 0; i < n; i++) {
		const char *name = v_at(e->hosts, i)->u.s;
		unsigned w = term_width(name, strlen(name));

		if (w > r->columns)
			r->columns = w > HOST_COLUMNS ? HOST_COLUMNS : w;
		if (i < NAMES_SHOWN)
			buf_addf(&r->text, "%s%s", i > 0 ? ", " : "", clean(&a, name));
	}
	if (n > NAMES_SHOWN)
		buf_addf(&r->text, " and %u more", n - NAMES_SHOWN);
	if (!hosts || n == 0)
		buf_adds(&r->text, "no hosts");
	buf_adds(&r->text, r->run.check ? ", check: nothing is changed)\n" : ")\n");
	arena_release(&a);
}

static void
item(struct report *r, const struct event *e)
{
	const char *word = outcome_name(e->outcome);
	bool debug = e->module != NULL && strcmp(e->module, "debug") == 0;

	if (e->outcome == OUT_SKIPPED && r->run.verbose < 1)
		return;
	if ((e->outcome == OUT_OK && r->run.verbose < 1 && !debug) ||
	    (r->run.quiet && e->outcome != OUT_FAILED))
		return;
	line(r, e, word, NULL);
	if (e->outcome == OUT_FAILED) {
		text_failure(&r->text, &r->out->term, e);
	} else if (debug)
		debug_message(r, e);
	result_warnings(r, e);
	show_diff(r, e);
	verbose_result(r, e);
}

static void
task_end(struct report *r, const struct event *e)
{
	bool failed = e->outcome == OUT_FAILED || e->outcome == OUT_RESCUED ||
	    e->outcome == OUT_IGNORED;
	bool loop = e->result != NULL && v_gets(e->result, "results") != NULL &&
	    e->result->type == V_MAP;

	if (e->outcome == OUT_SKIPPED && r->run.verbose < 1)
		return;
	if (r->run.quiet && !failed)
		return;
	line(r, e, outcome_name(e->outcome), NULL);
	/* The items have said why. */
	if (failed && !loop)
		text_failure(&r->text, &r->out->term, e);
	else if (e->outcome == OUT_OK && !loop && e->result != NULL &&
	    e->module != NULL && strcmp(e->module, "debug") == 0)
		debug_message(r, e);
	if (e->result != NULL && !loop)
		result_warnings(r, e);
	show_diff(r, e);
	verbose_result(r, e);
}

static void
stats(struct report *r, const struct event *e)
{
	struct value *row = v_map(&r->arena);
	const struct host_stats *s = &e->stats;

	v_set_str(&r->arena, row, "host", e->host);
	v_set_int(&r->arena, row, "ok", s->ok);
	v_set_int(&r->arena, row, "changed", s->changed);
	v_set_int(&r->arena, row, "failed", s->failed);
	v_set_int(&r->arena, row, "skipped", s->skipped);
	v_set_int(&r->arena, row, "unreachable", s->unreachable);
	v_set_int(&r->arena, row, "rescued", s->rescued);
	v_set_int(&r->arena, row, "ignored", s->ignored);
	v_push(&r->arena, r->stats, row);
}

static void
run_end(struct report *r, const struct event *e)
{
	static const struct { int status; enum colour colour; const char *text; } words[] = {
		{ RUN_OK, GREEN, NULL },
		{ RUN_USAGE, RED, "not run" },
		{ RUN_PENDING, YELLOW, "changes pending" },
		{ RUN_FAILED, RED, "failed" },
		{ RUN_UNREACHABLE, RED, "hosts unreachable" },
		{ RUN_INTERRUPTED, YELLOW, "interrupted" },
	};
	const struct term *t = &r->out->term;
	int64_t changed = 0, id = r->run.run_id != NULL ? r->run.run_id(r->run.arg) : 0;
	uint32_t i;

	if (v_count(r->stats) > 0) {
		buf_addc(&r->text, '\n');
		text_hosts(&r->text, t, r->stats);
	}
	for (i = 0; i < v_count(r->stats); i++)
		changed += v_get_int(v_at(r->stats, i), "changed", 0);
	if (id > 0)
		buf_addf(&r->text, "run %lld: ", (long long)id);
	for (i = 0; i < NITEMS(words); i++)
		if (words[i].status == e->status)
			term_add(&r->text, t, words[i].colour, "%s",
			    words[i].text != NULL ? words[i].text :
			    r->run.check ? "nothing to change" :
			    changed > 0 ? "done" : "nothing to change");
	buf_addf(&r->text, ", %u host%s, %s\n", v_count(r->stats),
	    v_count(r->stats) == 1 ? "" : "s", term_duration(&r->arena, e->duration_ms));
}

static void
live_event(struct report *r, const struct event *e)
{
	switch (e->type) {
	case EV_HOST_STATE:
	case EV_PROGRESS:
		live_text(r->live, e->host, e->text != NULL ? e->text : "");
		break;
	case EV_TASK_START:
		live_begin(r->live, e->host, e->task != NULL ? e->task : "");
		break;
	case EV_TASK_END:
	case EV_HOST_UNREACHABLE:
		live_end(r->live, e->host);
		break;
	default:
		break;
	}
}

static void
on_event(void *arg, const struct event *e)
{
	struct report *r = arg;
	struct arena a = { 0 };

	if (r->live != NULL && e->host != NULL)
		live_event(r, e);
	switch (e->type) {
	case EV_PLAY_START:
	case EV_PLAY_NO_HOSTS:
		if (!r->run.quiet)
			play_start(r, e, e->type == EV_PLAY_START);
		break;
	case EV_HOST_STATE:
		if (r->run.verbose >= 3 && e->text != NULL && *e->text != '\0')
			term_add(&r->text, &r->out->term, DIM, "%s: %s\n",
			    clean(&a, e->host), clean(&a, e->text));
		break;
	case EV_ITEM:
		item(r, e);
		break;
	case EV_RETRY:
		line(r, e, "retry", arena_printf(&a, "(attempt %d of %d did not succeed)",
		    e->attempt, e->attempts));
		break;
	case EV_TASK_END:
		task_end(r, e);
		break;
	case EV_HOST_UNREACHABLE:
		line(r, e, "unreachable", NULL);
		text_failure(&r->text, &r->out->term, e);
		break;
	case EV_WARNING:
		if (e->host != NULL)
			buf_addf(&r->text, "%s  ", clean(&a, e->host));
		term_add(&r->text, &r->out->term, YELLOW, "warning:");
		buf_addf(&r->text, " %s\n", clean(&a, e->text != NULL ? e->text : ""));
		break;
	case EV_STATS:
		stats(r, e);
		break;
	case EV_RUN_END:
		if (!r->run.quiet)
			run_end(r, e);
		break;
	default:
		break;
	}
	if (r->text.len > 0)
		flush(r);
	arena_release(&a);
}

struct sink
text_run_start(struct out *out, const struct out_run *run)
{
	struct report *r = xcalloc(1, sizeof(*r));

	r->out = out;
	r->run = *run;
	r->stats = v_list(&r->arena);
	if (out->term.tty && run->base != NULL)
		r->live = live_new(out, run->base);
	out->report = r;
	return (struct sink){ .event = on_event, .arg = r };
}

void
text_run_end(struct out *out)
{
	struct report *r = out->report;

	if (r == NULL)
		return;
	out->report = NULL;
	live_free(r->live);
	buf_release(&r->text);
	arena_release(&r->arena);
	free(r);
}

void
report_pause(struct report *r)
{
	if (r->live != NULL)
		live_hide(r->live);
}

void
report_resume(struct report *r)
{
	if (r->live != NULL)
		live_show(r->live);
}
