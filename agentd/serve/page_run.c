/*
 * Pages about runs: the list, one run (live while it goes on), what it did on
 * one host, one result with its diff.
 */
#include <string.h>

#include "base/json.h"
#include "serve/page_private.h"

#define RUNS_PIECE	50
#define RESULTS_PIECE	200

/* ---- lists of runs ------------------------------------------------------------------ */

void
html_run_state(struct page_view *v, const struct value *run)
{
	static const struct {
		int64_t		 status;
		const char	*class, *text;
	} ends[] = {
		{ 0, "up-to-date", "ok" },
		{ 1, "failed", "error" }, { 2, "intentional", "changes pending" },
		{ 3, "failed", "failed" }, { 4, "unreachable", "unreachable" },
		{ 5, "unknown", "busy" }, { 130, "unknown", "interrupted" },
	};
	const char *state = v_get_str(run, "state", "");
	int64_t status = v_get_int(run, "status", -1);
	size_t i;

	if (strcmp(state, "running") == 0) {
		html_chip(v->out, "running", "running");
		return;
	}
	if (strcmp(state, "killed") == 0) {
		html_chip(v->out, "failed", "killed");
		return;
	}
	for (i = 0; i < NITEMS(ends) && ends[i].status != status; i++)
		;
	if (i < NITEMS(ends))
		html_chip(v->out, ends[i].class, ends[i].text);
	else
		html_chip(v->out, "unknown", "ended");
}

static void
took(struct page_view *v, const struct value *run)
{
	const struct value *end = v_gets(run, "ended_ms");
	int64_t start = v_get_int(run, "started_ms", 0);

	if (end != NULL && end->type == V_INT)
		html(v->out, "%s", text_duration(v->arena, end->u.i - start));
	else if (strcmp(v_get_str(run, "state", ""), "running") == 0)
		html(v->out, "%s", text_duration(v->arena, v->now_ms - start));
	else
		html(v->out, "–");
}

void
html_runs(struct page_view *v, const struct value *runs)
{
	uint32_t i;

	html_table(v->out, "Run|End|Site|-When|-#Took|-#Hosts|-#Changed|-#Failed|-#Unreachable");
	for (i = 0; i < v_count(runs); i++) {
		const struct value *r = v_at(runs, i);

		html(v->out, "<tr><td><a class=\"num\" href=\"/runs/%lld\">#%lld</a>%s</td><td>",
		    (long long)v_get_int(r, "id", 0), (long long)v_get_int(r, "id", 0),
		    v_get_bool(r, "check", false) ? " check" : "");
		html_run_state(v, r);
		html(v->out, "</td><td class=\"text\">%s</td><td class=\"wide\">", v_get_str(r, "site", ""));
		html_time(v, v_gets(r, "started_ms"));
		html(v->out, "</td><td class=\"wide num\">");
		took(v, r);
		html(v->out, "</td>");
		/* Of a run under way they come with its end. */
		if (v_is_null(v_gets(r, "ended_ms"))) {
			html(v->out, "<td class=\"wide\"></td><td class=\"wide\"></td><td class=\"wide\"></td><td class=\"wide\"></td></tr>\n");
			continue;
		}
		html_number(v->out, r, "hosts", "", true);
		html_number(v->out, r, "changed", "intentional", true);
		html_number(v->out, r, "failed", "failed", true);
		html_number(v->out, r, "unreachable", "unreachable", true);
		html(v->out, "</tr>\n");
	}
	html_table_end(v->out);
}

int
page_runs(struct page_view *v, struct err *err)
{
	const char *host = page_param(v->target, "host"), *text = page_param(v->target, "before");
	int64_t before = page_number(text);
	const struct value *runs;

	if (text != NULL && before == 0)
		return 404;
	if ((runs = view_runs(v->state, v->arena, RUNS_PIECE, host, before, err)) == NULL)
		return 503;
	v->title = "Runs";
	v->section = "Runs";
	v->live = before == 0 ? 10 : 0;
	html(v->out, "<h1>Runs</h1>\n");
	if (host != NULL)
		html(v->out, "<p class=\"lead\">On <a href=\"/hosts/%s\">%s</a>; the counters are its own.</p>\n",
		    url_part(v->arena, host), host);
	if (v_count(runs) == 0)
		html_empty(v->out, "There are none.");
	else
		html_runs(v, runs);
	if (v_count(runs) == RUNS_PIECE) {
		html(v->out, "<p class=\"more\"><a href=\"/runs?before=%lld",
		    (long long)v_get_int(v_at(runs, RUNS_PIECE - 1), "id", 0));
		if (host != NULL)
			html(v->out, "&amp;host=%s", url_part(v->arena, host));
		html(v->out, "\">Earlier runs</a></p>\n");
	}
	return 0;
}

/* ---- results --------------------------------------------------------------------------- */

static const char *
outcome_class(const struct value *r)
{
	const char *outcome = v_get_str(r, "outcome", ""), *class = v_get_str(r, "class", NULL);

	if (strcmp(outcome, "changed") == 0)
		return class != NULL && strcmp(class, "corrective") == 0 ?
		    "corrective" : "intentional";
	if (strcmp(outcome, "ok") == 0)
		return "up-to-date";
	return strcmp(outcome, "failed") == 0 || strcmp(outcome, "unreachable") == 0 ?
	    outcome : "unknown";
}

static void
outcome_chip(struct page_view *v, const struct value *r)
{
	const char *class = v_get_str(r, "class", NULL);

	html_chip(v->out, outcome_class(r), v_get_str(r, "outcome", ""));
	if (class != NULL)
		html(v->out, " <small class=\"none wide\">%s</small>", class);
}

static void
result_rows(struct page_view *v, const struct value *rows, bool with_host)
{
	uint32_t i;

	html_table(v->out, with_host ? "Outcome|-Host|Task|-Module|-#Took|Diff" :
	    "Outcome|Task|-Module|-#Took|Diff");
	for (i = 0; i < v_count(rows); i++) {
		const struct value *r = v_at(rows, i);
		const char *host = v_get_str(r, "host", "");
		const char *to = v_get_str(r, "delegated", NULL), *msg = v_get_str(r, "msg", NULL);

		html(v->out, "<tr><td>");
		outcome_chip(v, r);
		if (with_host)
			html(v->out, "</td><td class=\"wide text\"><a href=\"/hosts/%s\">%s</a>",
			    url_part(v->arena, host), host);
		html(v->out, "</td><td class=\"text\">");
		if (with_host)
			html(v->out, "<b class=\"narrow\">%s</b>", host);
		html(v->out, "<a href=\"/results/%lld\">%s</a>",
		    (long long)v_get_int(r, "id", 0), v_get_str(r, "task", ""));
		if (v_get_bool(r, "handler", false))
			html(v->out, " <small class=\"none\">handler</small>");
		if (to != NULL)
			html(v->out, " <small class=\"none\">on %s</small>", to);
		if (msg != NULL)
			html(v->out, "<div class=\"said\">%s</div>", msg);
		html(v->out, "</td><td class=\"wide\">%s</td><td class=\"wide num\">%s</td><td>",
		    v_get_str(r, "module", ""),
		    text_duration(v->arena, v_get_int(r, "duration_ms", 0)));
		if (v_get_bool(r, "diff", false))
			html(v->out, "<a href=\"/results/%lld\">diff</a>",
			    (long long)v_get_int(r, "id", 0));
		html(v->out, "</td></tr>\n");
	}
	html_table_end(v->out);
}

/* The piece behind `after`, with the way to the next one. */
static int
results(struct page_view *v, int64_t run, const char *host, const char *path, struct err *err)
{
	const char *text = page_param(v->target, "after");
	struct view_query q = { .run = run, .host = host, .after = page_number(text),
	    .limit = RESULTS_PIECE };
	const struct value *rows;

	if (text != NULL && q.after == 0)
		return 404;
	if ((rows = view_results(v->state, v->arena, &q, err)) == NULL)
		return 503;
	if (v_count(rows) == 0) {
		html_empty(v->out, host != NULL ? "Nothing is on record." :
		    v->live > 0 ? "Nothing so far." : "Nothing changed, nothing went wrong.");
		return 0;
	}
	result_rows(v, rows, host == NULL);
	if (v_count(rows) == RESULTS_PIECE)
		html(v->out, "<p class=\"more\"><a href=\"%s?after=%lld\">Further ones</a></p>\n",
		    path, (long long)v_get_int(v_at(rows, RESULTS_PIECE - 1), "id", 0));
	return 0;
}

/* ---- one run ----------------------------------------------------------------------------- */

static void
run_facts(struct page_view *v, const struct value *run)
{
	const char *user = v_get_str(run, "user", NULL);
	int64_t other;

	html(v->out, "<dl class=\"facts\"><div><dt>Began</dt><dd>");
	html_time(v, v_gets(run, "started_ms"));
	html(v->out, "</dd></div><div><dt>%s</dt><dd>", v_is_null(v_gets(run, "ended_ms")) ?
	    "So far" : "Took");
	took(v, run);
	html(v->out, "</dd></div><div><dt>By</dt><dd>%s</dd></div>", user != NULL ? user : "?");
	html(v->out, "<div><dt>Kind</dt><dd>%s%s</dd></div>",
	    v_get_bool(run, "check", false) ? "check" : "apply",
	    v_get_bool(run, "partial", false) ? ", not all tasks" : "");
	if ((other = v_get_int(run, "resumes", 0)) > 0)
		html(v->out, "<div><dt>Resumes</dt><dd><a href=\"/runs/%lld\">#%lld</a></dd></div>",
		    (long long)other, (long long)other);
	if ((other = v_get_int(run, "resumed_by", 0)) > 0)
		html(v->out, "<div><dt>Resumed by</dt><dd><a href=\"/runs/%lld\">#%lld</a></dd></div>",
		    (long long)other, (long long)other);
	html(v->out, "</dl>\n");
}

static const char *
host_class(const struct value *h, bool ended, const char **ret_text)
{
	if (v_get_int(h, "failed", 0) > 0)
		return *ret_text = "failed";
	if (v_get_int(h, "unreachable", 0) > 0)
		return *ret_text = "unreachable";
	if (!v_get_bool(h, "done", false)) {
		*ret_text = ended ? "not reached" : "under way";
		return ended ? "unknown" : "running";
	}
	*ret_text = v_get_int(h, "changed", 0) > 0 ? "changed" : "ok";
	return v_get_int(h, "changed", 0) > 0 ? "intentional" : "up-to-date";
}

static void
run_hosts(struct page_view *v, const struct value *run)
{
	const struct value *hosts = v_gets(run, "per_host");
	bool ended = strcmp(v_get_str(run, "state", ""), "running") != 0;
	uint32_t i;

	html(v->out, "<h2>Hosts</h2>\n");
	if (v_count(hosts) == 0) {
		html_empty(v->out, "None so far.");
		return;
	}
	html_table(v->out, ended ? "Host|State|-#Ok|#Changed|#Failed|-#Skipped" :
	    "Host|State|-#Ok|#Changed|#Failed|-#Skipped|-Last task");
	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i);
		const char *name = v_get_str(h, "host", ""), *text;
		const char *class = host_class(h, ended, &text);

		html(v->out, "<tr><td class=\"text\"><a href=\"/runs/%lld/hosts/%s\">%s</a></td><td>",
		    (long long)v_get_int(run, "id", 0), url_part(v->arena, name), name);
		html_chip(v->out, class, text);
		html(v->out, "</td>");
		html_number(v->out, h, "ok", "", true);
		html_number(v->out, h, "changed", "intentional", false);
		html_number(v->out, h, "failed", "failed", false);
		html_number(v->out, h, "skipped", "", true);
		if (!ended)
			html(v->out, "<td class=\"wide text\">%s</td>", v_get_str(h, "last", ""));
		html(v->out, "</tr>\n");
	}
	html_table_end(v->out);
}

static void
warnings(struct page_view *v, const struct value *run)
{
	const struct value *list = v_gets(run, "warnings");
	uint32_t i;

	if (v_count(list) == 0)
		return;
	html(v->out, "<h2>Warnings</h2>\n<ul class=\"warnings\">");
	for (i = 0; i < v_count(list); i++) {
		const char *host = v_get_str(v_at(list, i), "host", NULL);

		html(v->out, "<li>");
		if (host != NULL)
			html(v->out, "<b>%s</b> ", host);
		html(v->out, "%s</li>", v_get_str(v_at(list, i), "text", ""));
	}
	html(v->out, "</ul>\n");
}

/* What there is so far; how much is to come nobody knows. */
static void
progress(struct page_view *v, const struct value *run)
{
	const struct value *hosts = v_gets(run, "per_host");
	int64_t n = 0, changed = 0, failed = 0;
	uint32_t i;

	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i);

		changed += v_get_int(h, "changed", 0);
		failed += v_get_int(h, "failed", 0) + v_get_int(h, "unreachable", 0);
		n += v_get_int(h, "ok", 0) + v_get_int(h, "skipped", 0);
	}
	n += failed;
	html(v->out, "<progress></progress>\n<p class=\"lead so-far\">%lld results on %u host%s so far, %lld changed, %lld failed</p>\n",
	    (long long)n, v_count(hosts), v_count(hosts) == 1 ? "" : "s",
	    (long long)changed, (long long)failed);
}

int
page_run(struct page_view *v, struct err *err)
{
	int64_t id = page_number(v->target->segment[1]);
	const struct value *run;
	bool running;
	int r;

	if (id == 0)
		return 404;
	if ((run = view_run(v->state, v->arena, id, err)) == NULL)
		return err->code == ERR_INVALID ? (err_release(err), 404) : 503;
	running = strcmp(v_get_str(run, "state", ""), "running") == 0;
	v->title = arena_printf(v->arena, "Run %lld", (long long)id);
	v->section = "Runs";
	v->live = running ? 2 : 0;
	html(v->out, "<h1>%s #%lld ", v_get_bool(run, "check", false) ? "Check" : "Run", (long long)id);
	html_run_state(v, run);
	html(v->out, "</h1>\n<p class=\"lead place\">%s</p>\n", v_get_str(run, "site", ""));
	run_facts(v, run);
	if (running)
		progress(v, run);
	html(v->out, "<h2>What happened</h2>\n");
	r = results(v, id, NULL, arena_printf(v->arena, "/runs/%lld", (long long)id), err);
	if (r != 0)
		return r;
	warnings(v, run);
	run_hosts(v, run);
	return 0;
}

int
page_run_host(struct page_view *v, struct err *err)
{
	int64_t id = page_number(v->target->segment[1]);
	const char *host = v->target->segment[3];
	const struct value *run;

	if (id == 0)
		return 404;
	if ((run = view_run(v->state, v->arena, id, err)) == NULL)
		return err->code == ERR_INVALID ? (err_release(err), 404) : 503;
	if (find_by(v_gets(run, "per_host"), "host", host) == NULL)
		return 404;
	v->title = arena_printf(v->arena, "Run %lld on %s", (long long)id, host);
	v->section = "Runs";
	v->live = strcmp(v_get_str(run, "state", ""), "running") == 0 ? 2 : 0;
	html(v->out, "<h1><a href=\"/runs/%lld\">Run #%lld</a> on <a href=\"/hosts/%s\">%s</a></h1>\n",
	    (long long)id, (long long)id, url_part(v->arena, host), host);
	return results(v, id, host, arena_printf(v->arena, "/runs/%lld/hosts/%s",
	    (long long)id, url_part(v->arena, host)), err);
}

/* ---- one result ---------------------------------------------------------------------------- */

int
page_result(struct page_view *v, struct err *err)
{
	int64_t id = page_number(v->target->segment[1]), run;
	CLEANUP_BUF struct buf text = BUF_INIT;
	const struct value *r, *result;
	const char *host, *msg, *diff;

	if (id == 0)
		return 404;
	if ((r = view_result(v->state, v->arena, id, err)) == NULL)
		return err->code == ERR_INVALID ? (err_release(err), 404) : 503;
	v->title = v_get_str(r, "task", "");
	v->section = "Runs";
	run = v_get_int(r, "run", 0);
	host = v_get_str(r, "host", "");
	html(v->out, "<h1>%s ", v->title);
	outcome_chip(v, r);
	html(v->out, "</h1>\n<p class=\"lead\">%s on <a href=\"/runs/%lld/hosts/%s\">%s</a> in <a href=\"/runs/%lld\">run #%lld</a></p>\n",
	    v_get_str(r, "module", ""), (long long)run, url_part(v->arena, host), host,
	    (long long)run, (long long)run);
	html(v->out, "<dl class=\"facts\"><div><dt>When</dt><dd>");
	html_time(v, v_gets(r, "started_ms"));
	html(v->out, "</dd></div><div><dt>Took</dt><dd>%s</dd></div><div><dt>Where</dt><dd>%s:%lld</dd></div><div><dt>Play</dt><dd>%s</dd></div></dl>\n",
	    text_duration(v->arena, v_get_int(r, "duration_ms", 0)), v_get_str(r, "file", ""),
	    (long long)v_get_int(r, "line", 0), v_get_str(r, "play", ""));
	if ((msg = v_get_str(r, "msg", NULL)) != NULL)
		html(v->out, "<pre class=\"msg %s\">%s</pre>\n", outcome_class(r), msg);
	if ((diff = v_get_str(r, "diff", NULL)) != NULL) {
		html(v->out, "<h2>Difference</h2>\n");
		html_diff(v->out, diff);
	}
	result = v_gets(r, "result");
	if (result != NULL && result->type == V_MAP) {
		json_write(&text, result, JSON_INDENT(2) | JSON_CENSOR);
		html(v->out, "<h2>Result</h2>\n<pre>%s</pre>\n", buf_str(&text));
	}
	return 0;
}
