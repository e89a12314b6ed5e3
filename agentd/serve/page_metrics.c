/*
 * /metrics: Prometheus' text format 0.0.4.
 *
 * Labels hold sites' paths and states, never hosts: a fleet of 1,000 would be
 * thousands of series; who it is stands on the pages.
 */
#include <string.h>

#include "base/utf8.h"
#include "serve/page_private.h"

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP provctl_%s %s\n# TYPE provctl_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void
label(struct buf *b, const char *text)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;
	const char *p;

	utf8_clean(&clean, text, strlen(text));
	for (p = buf_str(&clean); *p != '\0'; p++) {
		if (*p == '\n') {
			buf_adds(b, "\\n");
			continue;
		}
		if (*p == '\\' || *p == '"')
			buf_addc(b, '\\');
		buf_addc(b, *p);
	}
}

static void
gauge(struct buf *b, const char *name, const char *help, int64_t value)
{
	head(b, name, "gauge", help);
	buf_addf(b, "provctl_%s %lld\n", name, (long long)value);
}

static void
hosts(struct buf *b, const struct value *list)
{
	int64_t counts[STAND_MAX] = { 0 };
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		counts[v_get_int(v_at(list, i), "stand", STAND_UNKNOWN)]++;
	head(b, "hosts", "gauge", "Hosts by how they stand.");
	for (i = 0; i < STAND_MAX; i++)
		buf_addf(b, "provctl_hosts{state=\"%s\"} %lld\n", stand_name((enum stand)i),
		    (long long)counts[i]);
}

/* One line a site; those that lack the value have none. */
static void
per_site(struct buf *b, const struct value *sites, const char *name, const char *help,
    const char *key, bool ms)
{
	uint32_t i;

	head(b, name, "gauge", help);
	for (i = 0; i < v_count(sites); i++) {
		const struct value *s = v_at(sites, i), *n = v_gets(s, key);

		if (n == NULL || n->type != V_INT)
			continue;
		buf_addf(b, "provctl_%s{site=\"", name);
		label(b, v_get_str(s, "site", ""));
		if (ms)
			buf_addf(b, "\"} %lld.%03d\n", (long long)(n->u.i / 1000),
			    (int)(n->u.i % 1000));
		else
			buf_addf(b, "\"} %lld\n", (long long)n->u.i);
	}
}

int
page_metrics(struct buf *b, struct arena *a, struct state *s, struct err *err)
{
	const struct value *list, *sites, *pending, *owed, *held, *open, *last;
	int64_t given_up = 0, running = 0;
	uint32_t i;

	if ((list = view_hosts(s, a, NULL, err)) == NULL ||
	    (sites = view_sites(s, a, err)) == NULL ||
	    (pending = state_pending(s, a, NULL, 0, err)) == NULL ||
	    (owed = state_owed_list(s, a, err)) == NULL ||
	    (held = state_leases(s, a, err)) == NULL ||
	    (open = view_open_runs(s, a, err)) == NULL ||
	    (last = view_runs(s, a, 1, NULL, 0, err)) == NULL)
		return -1;
	for (i = 0; i < v_count(pending); i++)
		given_up += v_is_null(v_gets(v_at(pending, i), "next_ms"));
	for (i = 0; i < v_count(open); i++)
		running += strcmp(v_get_str(v_at(open, i), "state", ""), "running") == 0;
	head(b, "build_info", "gauge", "The program's version.");
	buf_adds(b, "provctl_build_info{version=\"" PROVCTL_VERSION "\"} 1\n");
	hosts(b, list);
	/* Numbers of runs are never used twice. */
	head(b, "runs_total", "counter", "Runs ever begun.");
	buf_addf(b, "provctl_runs_total %lld\n", v_count(last) == 0 ? 0LL :
	    (long long)v_get_int(v_at(last, 0), "id", 0));
	gauge(b, "runs_under_way", "Runs that go on now.", running);
	gauge(b, "pending", "Hosts and sites that are to be tried again or were given up.", v_count(pending));
	gauge(b, "pending_given_up", "Of them, those that are not tried again.", given_up);
	gauge(b, "handlers_owed", "Handlers notified and not run with success since.", v_count(owed));
	gauge(b, "hosts_held", "Hosts that a run works on now.", v_count(held));
	gauge(b, "database_bytes", "Size of the state database.", view_size(s));
	per_site(b, sites, "site_hosts", "Hosts that the site was applied to.", "hosts", false);
	per_site(b, sites, "site_drift", "Open drift: tasks and items that found a host changed by others.", "drift", false);
	per_site(b, sites, "site_pending", "Hosts of the site that are pending.", "pending", false);
	per_site(b, sites, "last_run_timestamp_seconds", "When the site's last run began.", "started_ms", true);
	per_site(b, sites, "last_run_status", "Exit status of the last run, when it has ended.", "status", false);
	per_site(b, sites, "last_success_timestamp_seconds", "When the last run ended that left all as it should be, or as a check found it so.", "success_ms", true);
	per_site(b, sites, "last_success_duration_seconds", "How long it took.", "success_duration_ms", true);
	return 0;
}
