/*
 * A fleet's nights in a state database, recorded as runs record them:
 * bench FILE HOSTS TASKS NIGHTS.  Prints what takes how long.
 *
 * Per night one run; of each host's tasks one in a hundred changed something
 * (with a diff) and one host in a hundred failed.
 */
#include <sys/stat.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "state/state.h"
#include "state/view.h"

#define DAY_MS	86400000LL

static struct arena arena;
static struct err err;

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, err.msg != NULL ? err.msg : "failed");
	exit(1);
}

static const struct value *
json(const char *text)
{
	return json_parse_text(&arena, text, strlen(text), &err);
}

static void
send(struct state *s, struct event e)
{
	struct sink sink = state_sink(s);

	sink.event(sink.arg, &e);
}

static void
night(struct state *s, int hosts, int tasks, int64_t at_ms)
{
	static const struct source src = { .path = "/srv/site.yml" };
	const struct value *ok = json("{\"changed\": false}");
	const struct value *changed = json("{\"changed\": true, \"diff\": {\"before\": \"listen 80\\n\", \"after\": \"listen 8080\\n\", \"before_header\": \"/etc/nginx/nginx.conf\"}}");
	const struct value *failed = json("{\"failed\": true, \"msg\": \"no such unit\", \"rc\": 1}");
	char name[32], label[64];
	int t, h;

	send(s, (struct event){ .type = EV_RUN_START, .text = "/srv/site.yml", .start_ms = at_ms });
	for (t = 0; t < tasks; t++)
		for (h = 0; h < hosts; h++) {
			bool fails = h % 100 == 7 && t == tasks - 1;
			bool changes = (t + h * 31) % 100 == 0;

			(void)snprintf(name, sizeof(name), "web%04d.example.org", h);
			(void)snprintf(label, sizeof(label), "app : task number %d of the role", t);
			send(s, (struct event){ .type = EV_TASK_END, .host = name,
			    .play = "Every host", .task = label, .module = "copy",
			    .role = "app", .mark = { .src = &src, .line = (uint32_t)t + 1 },
			    .task_id = (uint32_t)t, .start_ms = at_ms, .duration_ms = 12,
			    .outcome = fails ? OUT_FAILED : changes ? OUT_CHANGED : OUT_OK,
			    .result = fails ? failed : changes ? changed : ok });
		}
	for (h = 0; h < hosts; h++) {
		(void)snprintf(name, sizeof(name), "web%04d.example.org", h);
		send(s, (struct event){ .type = EV_STATS, .host = name, .stats = {
		    .ok = (uint32_t)tasks - 1, .changed = 1, .failed = h % 100 == 7 },
		    .status = h % 100 == 7 ? 3 : 0 });
	}
	send(s, (struct event){ .type = EV_RUN_END, .status = 3 });
	need(state_sync(s, &err) == 0, "recording");
}

#define TIMED(what, call)	do {					\
	double from = now();						\
	need((call), what);						\
	(void)printf("%-44s %9.1f ms\n", what, (now() - from) * 1000);	\
	(void)fflush(stdout);						\
} while (0)

int
main(int argc, char **argv)
{
	int hosts, tasks, nights, i;
	struct state *s;
	struct stat st;
	int64_t n, last = 0;
	double begin;

	if (argc != 5)
		return 2;
	hosts = (int)strtol(argv[2], NULL, 10);
	tasks = (int)strtol(argv[3], NULL, 10);
	nights = (int)strtol(argv[4], NULL, 10);
	need((s = state_open(argv[1], 0, 1000, &err)) != NULL, "opening");
	begin = now();
	for (i = 0; i < nights; i++) {
		night(s, hosts, tasks, state_time_ms() - (int64_t)(nights - i) * DAY_MS);
		last = state_run_id(s);
		arena_clear(&arena);
	}
	(void)printf("%-44s %9.1f ms\n", "recording a night", (now() - begin) * 1000 / nights);
	state_close(s);
	need(stat(argv[1], &st) == 0, "file");
	(void)printf("%-44s %9.1f MiB\n", "file", (double)st.st_size / 1048576);
	TIMED("open", (s = state_open(argv[1], 0, 1000, &err)) != NULL);
	TIMED("history -n 20", state_runs(s, &arena, 20, NULL, &err) != NULL);
	TIMED("history --host", state_runs(s, &arena, 20, "web0500.example.org", &err) != NULL);
	TIMED("show --host", state_run(s, &arena, last, "web0500.example.org", &err) != NULL);
	TIMED("show (all hosts)", state_run(s, &arena, last, NULL, &err) != NULL);
	TIMED("host list", state_hosts(s, &arena, &err) != NULL);
	TIMED("status: pending", state_pending(s, &arena, NULL, 0, &err) != NULL);
	TIMED("status: unfinished", state_unfinished_list(s, &arena, &err) != NULL);
	TIMED("status: owed", state_owed_list(s, &arena, &err) != NULL);
	TIMED("status page: hosts", view_hosts(s, &arena, NULL, &err) != NULL);
	TIMED("status page: sites", view_sites(s, &arena, &err) != NULL);
	TIMED("status page: a run", view_run(s, &arena, last, &err) != NULL);
	TIMED("status page: what happened in it", view_results(s, &arena,
	    &(struct view_query){ .run = last, .limit = 200 }, &err) != NULL);
	if (nights > 90) {
		TIMED("prune behind a run", state_tidy(s, &err) == 0);
		TIMED("prune (the rest)", state_prune(s, 90, &n, &err) == 0);
	}
	TIMED("prune of a night", state_prune(s, nights > 90 ? 89 : nights - 1, &n, &err) == 0);
	state_close(s);
	need(stat(argv[1], &st) == 0, "file");
	(void)printf("%-44s %9.1f MiB\n", "file, after pruning", (double)st.st_size / 1048576);
	arena_release(&arena);
	return 0;
}
