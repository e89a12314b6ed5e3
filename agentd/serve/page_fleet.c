/*
 * Pages about the fleet: overview, hosts, drift, what is owed, sites.
 */
#include <string.h>

#include "serve/page_private.h"

#define ATTENTION_MAX	12	/* hosts on the overview */
#define RUNS_SHORT	8
#define DRIFT_MAX	500

/* ---- how hosts stand ------------------------------------------------------------- */

static void
count_stands(const struct value *hosts, int64_t counts[STAND_MAX])
{
	uint32_t i;

	memset(counts, 0, STAND_MAX * sizeof(counts[0]));
	for (i = 0; i < v_count(hosts); i++)
		counts[v_get_int(v_at(hosts, i), "stand", STAND_UNKNOWN)]++;
}

static enum stand
stand(const struct value *host)
{
	return (enum stand)v_get_int(host, "stand", STAND_UNKNOWN);
}

static void
host_chip(struct page_view *v, const struct value *host)
{
	html_chip(v->out, stand_name(stand(host)), stand_title(stand(host)));
}

/* A bar of the fleet, each stand as wide as it has hosts; widths are attributes of SVG: the policy forbids styles. */
static void
stand_bar(struct page_view *v, const int64_t counts[STAND_MAX], int64_t total)
{
	int64_t x = 0, w, seen = 0;
	int i;

	html(v->out, "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"hosts by state\">");
	for (i = 0; i < STAND_MAX && total > 0; i++) {
		if (counts[i] == 0)
			continue;
		/* One host of many is to be seen, too; the last one fills the bar. */
		seen += counts[i];
		w = seen == total ? 1000 : counts[i] * 1000 / total;
		if (w < 4)
			w = 4;
		html(v->out, "<rect class=\"%s\" x=\"%lld\" y=\"0\" width=\"%lld\" height=\"10\"/>",
		    stand_name((enum stand)i), (long long)x, (long long)w);
		x += w;
	}
	html(v->out, "</svg>\n");
}

static const char *const stand_doc[STAND_MAX] = {
	[STAND_FAILED] = "a task failed",
	[STAND_UNREACHABLE] = "no connection",
	[STAND_CORRECTIVE] = "drift found or put right",
	[STAND_INTENTIONAL] = "the site was changed",
	[STAND_OK] = "nothing to do",
	[STAND_UNKNOWN] = "no run has ended there",
};

static void
tiles(struct page_view *v, const int64_t counts[STAND_MAX])
{
	int i;

	html(v->out, "<div class=\"tiles\">");
	for (i = 0; i < STAND_MAX; i++) {
		if (i == STAND_UNKNOWN && counts[i] == 0)
			continue;
		html(v->out, "<a class=\"tile %s%s\" href=\"/hosts?state=%s\"><b>%lld</b>"
		    "<span>%s</span><small>%s</small></a>", stand_name((enum stand)i),
		    counts[i] == 0 ? " zero" : "", stand_name((enum stand)i),
		    (long long)counts[i], stand_title((enum stand)i), stand_doc[i]);
	}
	html(v->out, "</div>\n");
}

static void
host_link(struct page_view *v, const char *name)
{
	html(v->out, "<a href=\"/hosts/%s\">%s</a>", url_part(v->arena, name), name);
}

static void
run_link(struct page_view *v, int64_t run)
{
	if (run > 0)
		html(v->out, "<a class=\"num\" href=\"/runs/%lld\">#%lld</a>",
		    (long long)run, (long long)run);
	else
		html(v->out, "<span class=\"none\">–</span>");
}

/* ---- what agentd looks after ----------------------------------------------------------- */

#define OVERDUE_MS	((int64_t)3600 * 1000)	/* others may be in its way before that */

/* As it has noted it; an empty list: it does not, or there is none. NULL with err. */
static const struct value *
looked_after(struct page_view *v, struct err *err)
{
	const struct value *note = state_note(v->state, v->arena, "agentd", err);
	const struct value *list = note != NULL ? v_gets(note, "sites") : NULL;

	return note == NULL || (list != NULL && v_is_list(list)) ? list : v_list(v->arena);
}

static bool
overdue(const struct page_view *v, const struct value *site)
{
	return v_get_int(site, "next_ms", INT64_MAX) < v->now_ms - OVERDUE_MS;
}

static void
next_look(struct page_view *v, const struct value *list)
{
	const struct value *first = NULL;
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_get_int(v_at(list, i), "next_ms", INT64_MAX) <
		    v_get_int(first, "next_ms", INT64_MAX))
			first = v_at(list, i);
	if (first == NULL)
		return;
	html(v->out, "<p class=\"more\"><a href=\"/sites\">Next look</a>: %s ", v_get_str(first, "site", ""));
	html_time(v, v_gets(first, "next_ms"));
	if (overdue(v, first))
		html_chip(v->out, "failed", "overdue: does agentd run?");
	html(v->out, "</p>\n");
}

static void
schedule(struct page_view *v, const struct value *list)
{
	uint32_t i;

	html(v->out, "<h2>Looked after by agentd</h2>\n");
	if (v_count(list) == 0) {
		html_empty(v->out, "No site; “provctl schedule set SITE 'nightly, 03:10'” adds one.");
		return;
	}
	html_table(v->out, "Site|When|Next|-Drift is");
	for (i = 0; i < v_count(list); i++) {
		const struct value *s = v_at(list, i);

		html(v->out, "<tr><td class=\"text\">%s<div class=\"said\">%s</div></td><td class=\"text\">%s</td><td>",
		    v_get_str(s, "site", ""), v_get_str(s, "path", ""), v_get_str(s, "drift", ""));
		html_time(v, v_gets(s, "next_ms"));
		if (overdue(v, s))
			html_chip(v->out, "failed", "overdue");
		html(v->out, "</td><td class=\"wide\">%s</td></tr>\n",
		    v_get_bool(s, "correct", false) ? "corrected" : "only found");
	}
	html_table_end(v->out);
}

/* ---- / ------------------------------------------------------------------------------ */

/* Why a host is in its state, in a line. */
static void
reason(struct page_view *v, const struct value *host, const struct value *pending)
{
	const struct value *p = find_by(pending, "host", v_get_str(host, "name", ""));
	int64_t drift = v_get_int(host, "drift", 0);

	if (p != NULL)
		html(v->out, "%s", v_get_str(p, "reason", ""));
	else if (drift > 0)
		html(v->out, "%lld task%s found it changed since it was applied",
		    (long long)drift, drift == 1 ? "" : "s");
	else
		html(v->out, "%s", v_get_str(host, "site", ""));
}

static void
attention(struct page_view *v, const struct value *hosts, const struct value *pending)
{
	uint32_t i, n = 0, left = 0;
	int rank;

	for (rank = STAND_FAILED; rank <= STAND_CORRECTIVE; rank++)
		for (i = 0; i < v_count(hosts); i++) {
			const struct value *h = v_at(hosts, i);

			if ((int)stand(h) != rank || (rank == STAND_CORRECTIVE &&
			    v_get_int(h, "drift", 0) == 0))
				continue;
			if (n == ATTENTION_MAX) {
				left++;
				continue;
			}
			if (n++ == 0) {
				html(v->out, "<h2>Needs attention</h2>\n");
				html_table(v->out, "State|Host|Last run|-When");
			}
			html(v->out, "<tr><td>");
			host_chip(v, h);
			html(v->out, "</td><td class=\"text\">");
			host_link(v, v_get_str(h, "name", ""));
			html(v->out, "<div class=\"said\">");
			reason(v, h, pending);
			html(v->out, "</div></td><td>");
			run_link(v, v_get_int(h, "run", 0));
			html(v->out, "</td><td class=\"wide\">");
			html_time(v, v_gets(h, "started_ms"));
			html(v->out, "</td></tr>\n");
		}
	if (n > 0)
		html_table_end(v->out);
	if (left > 0)
		html(v->out, "<p class=\"more\">and <a href=\"/hosts\">%u more</a></p>\n", left);
}

/* Runs that live now; the others that have no end were killed, and stand below what is owed. */
static uint32_t
under_way(struct page_view *v, const struct value *open)
{
	uint32_t i, n = 0;

	for (i = 0; i < v_count(open); i++) {
		const struct value *r = v_at(open, i);

		if (strcmp(v_get_str(r, "state", ""), "running") != 0)
			continue;
		if (n++ == 0)
			html(v->out, "<h2>Under way</h2>\n<div class=\"cards\">");
		html(v->out, "<a class=\"card running\" href=\"/runs/%lld\"><b>%s #%lld</b><span>%s</span><small>",
		    (long long)v_get_int(r, "id", 0), v_get_bool(r, "check", false) ? "Check" : "Apply",
		    (long long)v_get_int(r, "id", 0), v_get_str(r, "site", ""));
		html(v->out, "by %s, since %s</small></a>", v_get_str(r, "user", "?"),
		    text_duration(v->arena, v->now_ms - v_get_int(r, "started_ms", 0)));
	}
	if (n > 0)
		html(v->out, "</div>\n");
	return n;
}

int
page_overview(struct page_view *v, struct err *err)
{
	const struct value *hosts = view_hosts(v->state, v->arena, NULL, err);
	const struct value *runs, *open, *pending, *after;
	int64_t counts[STAND_MAX];

	if (hosts == NULL || (open = view_open_runs(v->state, v->arena, err)) == NULL ||
	    (pending = state_pending(v->state, v->arena, NULL, 0, err)) == NULL ||
	    (after = looked_after(v, err)) == NULL ||
	    (runs = view_runs(v->state, v->arena, RUNS_SHORT, NULL, 0, err)) == NULL)
		return 503;
	v->title = "Overview";
	v->section = "Overview";
	count_stands(hosts, counts);
	html(v->out, "<h1>%u host%s</h1>\n", v_count(hosts), v_count(hosts) == 1 ? "" : "s");
	stand_bar(v, counts, v_count(hosts));
	tiles(v, counts);
	next_look(v, after);
	v->live = under_way(v, open) > 0 ? 3 : 15;
	attention(v, hosts, pending);
	html(v->out, "<h2>Recent runs</h2>\n");
	if (v_count(runs) == 0)
		html_empty(v->out, "No run is on record yet; “provctl apply SITE” makes the first.");
	else {
		html_runs(v, runs);
		html(v->out, "<p class=\"more\"><a href=\"/runs\">All runs</a></p>\n");
	}
	return 0;
}

/* ---- /hosts ---------------------------------------------------------------------------- */

static void
host_row(struct page_view *v, const struct value *h, bool held)
{
	int64_t pending = v_get_int(h, "pending", 0), owed = v_get_int(h, "owed", 0);
	int64_t drift = v_get_int(h, "drift", 0);

	html(v->out, "<tr><td class=\"text\">");
	host_link(v, v_get_str(h, "name", ""));
	html(v->out, "</td><td>");
	host_chip(v, h);
	if (held)
		html_chip(v->out, "running", "worked on");
	html(v->out, "</td><td class=\"wide\">");
	html_past(v->out, v_get_str(h, "past", ""));
	html(v->out, "</td><td class=\"wide\">");
	run_link(v, v_get_int(h, "run", 0));
	if (v_get_bool(h, "check", false))
		html(v->out, " <span class=\"none\">check</span>");
	html(v->out, "</td><td class=\"wide\">");
	html_time(v, v_gets(h, "started_ms"));
	html(v->out, "</td>");
	html_number(v->out, h, "ok", "", true);
	html_number(v->out, h, "changed", "intentional", true);
	html_number(v->out, h, "failed", "failed", true);
	html(v->out, "<td class=\"owed\">");
	if (drift > 0)
		html(v->out, "<a href=\"/hosts/%s#drift\">%lld drifted</a> ",
		    url_part(v->arena, v_get_str(h, "name", "")), (long long)drift);
	if (pending > 0)
		html(v->out, "<a href=\"/work\">%s</a> ", v_get_int(h, "given_up", 0) > 0 ?
		    "given up" : "retry");
	if (owed > 0)
		html(v->out, "<a href=\"/work\">%lld handler%s</a>", (long long)owed,
		    owed == 1 ? "" : "s");
	html(v->out, "</td></tr>\n");
}

static void
tab(struct page_view *v, const char *href, const char *text, int64_t n, bool here)
{
	html_tab(v->out, href, arena_printf(v->arena, "%s %lld", text, (long long)n), here);
}

/* Those with the text in their names; NULL or "": all. */
static const struct value *
named_like(struct page_view *v, const struct value *hosts, const char *part)
{
	struct value *list = v_list(v->arena);
	uint32_t i;

	if (part == NULL || *part == '\0')
		return hosts;
	for (i = 0; i < v_count(hosts); i++)
		if (strcasestr(v_get_str(v_at(hosts, i), "name", ""), part) != NULL)
			v_push(v->arena, list, v_at(hosts, i));
	return list;
}

int
page_hosts(struct page_view *v, struct err *err)
{
	const struct value *hosts = view_hosts(v->state, v->arena, NULL, err), *held;
	const char *state = page_param(v->target, "state"), *part = page_param(v->target, "name");
	const char *more = "";
	enum stand only = state != NULL ? stand_of(state) : STAND_MAX;
	struct value *working = v_map(v->arena);
	int64_t counts[STAND_MAX];
	uint32_t i, n = 0;

	if (hosts == NULL || (held = state_leases(v->state, v->arena, err)) == NULL)
		return 503;
	for (i = 0; i < v_count(held); i++)
		v_set_bool(v->arena, working, v_get_str(v_at(held, i), "host", ""), true);
	v->title = "Hosts";
	v->section = "Hosts";
	v->live = 15;
	hosts = named_like(v, hosts, part);
	count_stands(hosts, counts);
	html(v->out, "<form class=\"search\" action=\"/hosts\" role=\"search\"><input type=\"search\" name=\"name\""
	    " value=\"%s\" placeholder=\"Part of a name\" aria-label=\"Part of a host's name\">"
	    "<button>Search</button></form>\n<h1>Hosts</h1>\n<nav class=\"tabs\">",
	    part != NULL ? part : "");
	if (part != NULL && *part != '\0')
		more = arena_printf(v->arena, "name=%s", url_part(v->arena, part));
	tab(v, *more != '\0' ? arena_printf(v->arena, "/hosts?%s", more) : "/hosts", "All", v_count(hosts), only == STAND_MAX);
	for (i = 0; i < STAND_MAX; i++)
		if (counts[i] > 0 || i == only)
			tab(v, arena_printf(v->arena, *more != '\0' ? "/hosts?state=%s&%s" :
			    "/hosts?state=%s%s", stand_name((enum stand)i), more), stand_title((enum stand)i),
			    counts[i], i == only);
	html(v->out, "</nav>\n");
	for (i = 0; i < v_count(hosts); i++) {
		const struct value *h = v_at(hosts, i);

		if (only != STAND_MAX && stand(h) != only)
			continue;
		if (n++ == 0)
			html_table(v->out, "Host|State|-Past|-Last run|-When|-#Ok|-#Changed|-#Failed|Owed");
		host_row(v, h, v_get_bool(working, v_get_str(h, "name", ""), false));
	}
	if (n > 0)
		html_table_end(v->out);
	else
		html_empty(v->out, *more != '\0' ? "No host is called so, or not in this state." :
		    v_count(hosts) == 0 ? "No host is known yet." : "No host is in this state.");
	return 0;
}

/* ---- drift ------------------------------------------------------------------------------ */

static void
place(struct page_view *v, const struct value *row)
{
	int64_t line = v_get_int(row, "line", 0);

	html(v->out, "<span class=\"place\">%s", v_get_str(row, "file", ""));
	if (line > 0)
		html(v->out, ":%lld", (long long)line);
	html(v->out, "</span>");
}

static void
drift_rows(struct page_view *v, const struct value *rows, bool with_host)
{
	uint32_t i;

	for (i = 0; i < v_count(rows); i++) {
		const struct value *d = v_at(rows, i);
		const char *diff = v_get_str(d, "diff", NULL), *item = v_get_str(d, "item", "");

		html(v->out, "<article class=\"entry\"><p class=\"head\">");
		html_chip(v->out, "corrective", "drift");
		if (with_host) {
			html(v->out, " ");
			host_link(v, v_get_str(d, "host", ""));
		}
		html(v->out, " <b>%s</b>", v_get_str(d, "task", ""));
		if (*item != '\0')
			html(v->out, " <span class=\"item\">%s</span>", item);
		html(v->out, " <span class=\"none\">%s</span></p><p class=\"sub\">since ",
		    v_get_str(d, "module", ""));
		html_time(v, v_gets(d, "first_ms"));
		html(v->out, ", last seen ");
		html_time(v, v_gets(d, "last_ms"));
		html(v->out, " in ");
		run_link(v, v_get_int(d, "last_run", 0));
		html(v->out, " (%lld time%s) · ", (long long)v_get_int(d, "seen", 0),
		    v_get_int(d, "seen", 0) == 1 ? "" : "s");
		place(v, d);
		html(v->out, "</p>");
		if (diff != NULL && *diff != '\0')
			html_diff(v->out, diff);
		html(v->out, "</article>\n");
	}
}

int
page_drift(struct page_view *v, struct err *err)
{
	const struct value *rows = view_drift(v->state, v->arena, NULL, DRIFT_MAX, err);

	if (rows == NULL)
		return 503;
	v->title = "Drift";
	v->section = "Drift";
	v->live = 15;
	html(v->out, "<h1>Drift</h1>\n<p class=\"lead\">What somebody or something changed on a host since it was last applied there.</p>\n");
	if (v_count(rows) == 0)
		html_empty(v->out, "No open drift is known.");
	drift_rows(v, rows, true);
	if (v_count(rows) == DRIFT_MAX)
		html(v->out, "<p class=\"more\">The first %d are shown.</p>\n", DRIFT_MAX);
	return 0;
}

/* ---- one host ---------------------------------------------------------------------------- */

static void
fact(struct page_view *v, const char *title, const struct value *value, const char *unit)
{
	if (value == NULL || (value->type != V_STR && value->type != V_INT))
		return;
	html(v->out, "<div><dt>%s</dt><dd>", title);
	if (value->type == V_INT)
		html(v->out, "%lld", (long long)value->u.i);
	else
		html(v->out, "%s", value->u.s);
	html(v->out, "%s</dd></div>", unit);
}

static void
facts(struct page_view *v, const struct value *host)
{
	struct err ignored = ERR_INIT;
	const struct value *f = state_facts(v->state, v->arena, v_get_str(host, "name", ""), &ignored);
	const char *name = v_get_str(f, "distribution", NULL);

	err_release(&ignored);
	html(v->out, "<dl class=\"facts\"><div><dt>Last seen</dt><dd>");
	html_time(v, v_gets(host, "last_seen_ms"));
	html(v->out, "</dd></div>");
	if (name != NULL)
		html(v->out, "<div><dt>System</dt><dd>%s %s</dd></div>", name,
		    v_get_str(f, "distribution_version", ""));
	fact(v, "Kernel", v_gets(f, "kernel"), "");
	fact(v, "Address", v_gets(v_gets(f, "default_ipv4"), "address"), "");
	fact(v, "Processors", v_gets(f, "processor_vcpus"), "");
	fact(v, "Memory", v_gets(f, "memtotal_mb"), " MiB");
	html(v->out, "</dl>\n");
}

static void
pending_rows(struct page_view *v, const struct value *pending, bool with_host)
{
	uint32_t i;

	html_table(v->out, with_host ? "Host|-#Tries|Next|-Site|-Since|Run" :
	    "Site|-#Tries|Next|-Since|Run");
	for (i = 0; i < v_count(pending); i++) {
		const struct value *p = v_at(pending, i), *next = v_gets(p, "next_ms");

		html(v->out, "<tr><td class=\"text\">");
		if (with_host)
			host_link(v, v_get_str(p, "host", ""));
		else
			html(v->out, "%s", v_get_str(p, "site", ""));
		html(v->out, "<div class=\"said\">%s</div></td><td class=\"wide num\">%lld of %d</td><td>",
		    v_get_str(p, "reason", ""), (long long)v_get_int(p, "tries", 0), STATE_TRIES);
		if (v_is_null(next))
			html_chip(v->out, "failed", "given up");
		else if (next->u.i <= v->now_ms)
			html_chip(v->out, "corrective", "due");
		else
			html_time(v, next);
		if (v_get_str(p, "unanswered", NULL) != NULL)
			html(v->out, "<div class=\"said\">or when it answers</div>");
		if (with_host)
			html(v->out, "</td><td class=\"wide text\">%s", v_get_str(p, "site", ""));
		html(v->out, "</td><td class=\"wide\">");
		html_time(v, v_gets(p, "first_ms"));
		html(v->out, "</td><td>");
		run_link(v, v_get_int(p, "run", 0));
		html(v->out, "</td></tr>\n");
	}
	html_table_end(v->out);
}

static void
owed_rows(struct page_view *v, const struct value *owed, const char *host)
{
	uint32_t i, n = 0;

	for (i = 0; i < v_count(owed); i++) {
		const struct value *o = v_at(owed, i);

		if (host != NULL && strcmp(v_get_str(o, "host", ""), host) != 0)
			continue;
		if (n++ == 0) {
			html(v->out, "<h2>Handlers owed</h2>\n");
			html_table(v->out, "Host|Handler|-Site|-Since|Run");
		}
		html(v->out, "<tr><td class=\"text\">");
		host_link(v, v_get_str(o, "host", ""));
		html(v->out, "</td><td class=\"text\">%s</td><td class=\"wide text\">%s</td><td class=\"wide\">",
		    v_get_str(o, "handler", ""), v_get_str(o, "site", ""));
		html_time(v, v_gets(o, "since_ms"));
		html(v->out, "</td><td>");
		run_link(v, v_get_int(o, "run", 0));
		html(v->out, "</td></tr>\n");
	}
	if (n > 0)
		html_table_end(v->out);
}

int
page_host(struct page_view *v, struct err *err)
{
	const char *name = v->target->segment[1];
	const struct value *list = view_hosts(v->state, v->arena, name, err);
	const struct value *host, *drift, *pending, *owed, *runs, *held;

	if (list == NULL)
		return 503;
	if (v_count(list) == 0)
		return 404;
	host = v_at(list, 0);
	if ((drift = view_drift(v->state, v->arena, name, DRIFT_MAX, err)) == NULL ||
	    (pending = state_pending(v->state, v->arena, name, 0, err)) == NULL ||
	    (owed = state_owed_list(v->state, v->arena, err)) == NULL ||
	    (held = state_leases(v->state, v->arena, err)) == NULL ||
	    (runs = view_runs(v->state, v->arena, 30, name, 0, err)) == NULL)
		return 503;
	v->title = name;
	v->section = "Hosts";
	v->live = 10;
	html(v->out, "<h1>%s ", name);
	host_chip(v, host);
	if (find_by(held, "host", name) != NULL)
		html_chip(v->out, "running", "worked on");
	html(v->out, "</h1>\n");
	facts(v, host);
	if (v_count(drift) > 0) {
		html(v->out, "<h2 id=\"drift\">Drift</h2>\n");
		drift_rows(v, drift, false);
	}
	if (v_count(pending) > 0) {
		html(v->out, "<h2>Pending</h2>\n");
		pending_rows(v, pending, false);
	}
	owed_rows(v, owed, name);
	html(v->out, "<h2>Runs</h2>\n");
	if (v_count(runs) > 0)
		html_runs(v, runs);
	else
		html_empty(v->out, "No run has ended here yet.");
	return 0;
}

/* ---- /work -------------------------------------------------------------------------------- */

static void
held_rows(struct page_view *v, const struct value *held)
{
	uint32_t i;

	html_table(v->out, "Host|Run|By|-Site|-Since");
	for (i = 0; i < v_count(held); i++) {
		const struct value *l = v_at(held, i);

		html(v->out, "<tr><td>");
		host_link(v, v_get_str(l, "host", ""));
		html(v->out, "</td><td>");
		run_link(v, v_get_int(l, "run", 0));
		html(v->out, "</td><td>%s <span class=\"none\">pid %lld</span></td><td class=\"wide text\">%s</td><td class=\"wide\">",
		    v_get_str(l, "owner", ""), (long long)v_get_int(l, "pid", 0),
		    v_get_str(l, "site", ""));
		html_time(v, v_gets(l, "since_ms"));
		html(v->out, "</td></tr>\n");
	}
	html_table_end(v->out);
}

int
page_work(struct page_view *v, struct err *err)
{
	const struct value *pending, *owed, *held, *unfinished;

	if ((pending = state_pending(v->state, v->arena, NULL, 0, err)) == NULL ||
	    (owed = state_owed_list(v->state, v->arena, err)) == NULL ||
	    (held = state_leases(v->state, v->arena, err)) == NULL ||
	    (unfinished = state_unfinished_list(v->state, v->arena, err)) == NULL)
		return 503;
	v->title = "Pending";
	v->section = "Pending";
	v->live = 10;
	html(v->out, "<h1>Pending</h1>\n<p class=\"lead\">What is owed to hosts, when it is tried again, and who works where.</p>\n");
	if (v_count(pending) + v_count(owed) + v_count(held) + v_count(unfinished) == 0)
		html_empty(v->out, "Nothing is owed, and nobody works.");
	if (v_count(pending) > 0) {
		html(v->out, "<h2>To be tried again</h2>\n");
		pending_rows(v, pending, true);
	}
	owed_rows(v, owed, NULL);
	if (v_count(unfinished) > 0) {
		html(v->out, "<h2>Unfinished runs</h2>\n<p class=\"lead\"><code>provctl resume RUN</code> goes on with one.</p>\n");
		html_runs(v, unfinished);
	}
	if (v_count(held) > 0) {
		html(v->out, "<h2>Worked on now</h2>\n");
		held_rows(v, held);
	}
	return 0;
}

/* ---- /sites -------------------------------------------------------------------------------- */

int
page_sites(struct page_view *v, struct err *err)
{
	const struct value *sites = view_sites(v->state, v->arena, err), *after;
	uint32_t i;

	if (sites == NULL || (after = looked_after(v, err)) == NULL)
		return 503;
	v->title = "Sites";
	v->section = "Sites";
	v->live = 15;
	html(v->out, "<h1>Sites</h1>\n");
	if (v_count(sites) == 0) {
		html_empty(v->out, "No site was applied yet.");
		schedule(v, after);
		return 0;
	}
	html_table(v->out, "Site|Last run|-When|Last success|-#Took|-#Hosts|-#Drift|-#Pending|-#Snapshots");
	for (i = 0; i < v_count(sites); i++) {
		const struct value *s = v_at(sites, i);
		const struct value *took = v_gets(s, "success_duration_ms");

		html(v->out, "<tr><td class=\"text\">%s</td><td>", v_get_str(s, "site", ""));
		run_link(v, v_get_int(s, "run", 0));
		html(v->out, "</td><td class=\"wide\">");
		html_time(v, v_gets(s, "started_ms"));
		html(v->out, "</td><td>");
		html_time(v, v_gets(s, "success_ms"));
		html(v->out, "</td><td class=\"wide num\">%s</td>", v_is_null(took) ? "–" :
		    text_duration(v->arena, took->u.i));
		html(v->out, "<td class=\"wide num\">%lld</td><td class=\"wide num\">%lld</td><td class=\"wide num\">%lld</td><td class=\"wide num\">%lld</td></tr>\n",
		    (long long)v_get_int(s, "hosts", 0), (long long)v_get_int(s, "drift", 0),
		    (long long)v_get_int(s, "pending", 0), (long long)v_get_int(s, "snapshots", 0));
	}
	html_table_end(v->out);
	schedule(v, after);
	return 0;
}
