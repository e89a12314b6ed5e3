/*
 * What agentd does without being asked: scheduled checks for drift, retries of what is
 * due, runs that were killed, and saying so when a host is given up.
 *
 * Nothing is counted down: at each look (every LOOK_S seconds, and whenever
 * something has ended) it is computed anew from the clock, the database and
 * the memory what is due.  A clock that jumps, a daemon that was killed and a
 * machine that slept are the same case: what was missed is done once, now.
 */
#include <sys/mman.h>
#include <sys/random.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/daemon.h"
#include "serve/log.h"
#include "serve/probe.h"
#include "serve/warm.h"

#define LOOK_S		30
#define WAIT_MAX_S	3600
#define SETTLE_S	10	/* a host that answers again may still be starting */
#define RESUME_MS	((int64_t)24 * 3600 * 1000)	/* older runs are left to people */
#define TELL_TIMEOUT_S	60
#define MEMORY		"agentd"
#define MEMORY_MAX	((size_t)4 * 1024 * 1024)	/* then it is copied, without what is no longer used */

extern char **environ;

/* ---- memory -------------------------------------------------------------------------- */

static struct value *
map_of(struct arena *a, const struct value *all, const char *key)
{
	struct value *map = v_map(a);

	if (v_gets(all, key) != NULL && v_is_map(v_gets(all, key)))
		v_merge(a, map, v_gets(all, key));
	return map;
}

/* What we remember is a copy of this, and nothing else. */
static void
take_over(struct daemon *d, const struct value *all)
{
	struct arena a = { 0 };
	const struct value *copy = v_copy(&a, all);

	d->last = map_of(&a, copy, "last");
	d->begun = map_of(&a, copy, "begun");
	d->stopped = map_of(&a, copy, "stopped");
	d->told = map_of(&a, copy, "told");
	arena_release(&d->memory);
	d->memory = a;
}

void
duty_remember(struct daemon *d)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *all = state_note(d->state, &a, MEMORY, &err);

	if (all == NULL) {
		log_err(&err);
		all = &v_null;
	}
	take_over(d, all);
	arena_release(&a);
}

/* For those who look at the database without asking us: the status page. */
static const struct value *
plan_value(struct daemon *d, struct arena *a)
{
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; d->due != NULL && i < d->config.nsites; i++) {
		const struct config_site *site = &d->config.sites[i];
		int64_t next = duty_next(d, i);
		struct value *v = v_map(a);

		v_set_str(a, v, "site", site->name);
		v_set_str(a, v, "path", site->path);
		v_set_str(a, v, "drift", site->drift);
		v_set_bool(a, v, "correct", site->correct);
		v_sets(a, v, "next_ms", next == -1 ? &v_null : v_int(a, next * 1000));
		v_push(a, list, v);
	}
	return list;
}

void
duty_memorize(struct daemon *d)
{
	struct arena a = { 0 };
	struct value *all = v_map(&a);
	struct err err = ERR_INIT;

	v_sets(&a, all, "last", d->last);
	v_sets(&a, all, "begun", d->begun);
	v_sets(&a, all, "stopped", d->stopped);
	v_sets(&a, all, "told", d->told);
	v_sets(&a, all, "sites", plan_value(d, &a));
	if (state_note_set(d->state, MEMORY, all, &err) == -1)
		log_err(&err);
	d->unsure = true;
	if (d->memory.used > MEMORY_MAX)
		take_over(d, all);
	arena_release(&a);
}

void
duty_stopped(struct daemon *d, int64_t run)
{
	struct err err = ERR_INIT;
	char key[32];

	(void)snprintf(key, sizeof(key), "%lld", (long long)run);
	v_set_bool(&d->memory, d->stopped, key, true);
	duty_memorize(d);
	if (state_sync(d->state, &err) == -1)
		log_err(&err);
}

bool
duty_goes_on(struct daemon *d, int64_t run)
{
	char key[32];

	(void)snprintf(key, sizeof(key), "%lld", (long long)run);
	return d->config.resume != RESUME_NO && v_gets(d->stopped, key) != NULL;
}

/* ---- starting ------------------------------------------------------------------------------ */

const char *const *
duty_env(struct arena *a, const struct value *env, const struct job_start *how)
{
	/* What is between systemd and us. */
	static const char *const ours[] = {
		"NOTIFY_SOCKET=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=",
		"WATCHDOG_USEC=", "WATCHDOG_PID=", "PROVCTL_EVENTS_FD=", "PROVCTL_TTY_FD=",
		"PROVCTL_KEEPER_FD="
	};
	const struct ventry *e;
	const char **list;
	uint32_t it = 0, n = 0, max;
	size_t i;

	for (max = 0; environ[max] != NULL; max++)
		;
	list = ARENA_ARRAY(a, (env != NULL ? v_count(env) : max) + 4, const char *);
	if (env != NULL)
		while ((e = v_next(env, &it)) != NULL)
			list[n++] = arena_printf(a, "%s=%s", e->key->u.s, e->val->u.s);
	else
		while (n < max && environ[n] != NULL)
			list[n] = environ[n], n++;
	for (it = 0, max = n, n = 0; it < max; it++) {
		for (i = 0; i < NITEMS(ours) && strncmp(list[it], ours[i], strlen(ours[i])) != 0; i++)
			;
		if (i == NITEMS(ours))
			list[n++] = list[it];
	}
	list[n++] = "PROVCTL_EVENTS_FD=3";
	if (how->tty != -1)
		list[n++] = "PROVCTL_TTY_FD=4";
	if (how->keeper > 0)
		list[n++] = "PROVCTL_KEEPER_FD=5";
	list[n] = NULL;
	return list;
}

/* provctl with these words on our database, without a terminal. */
static struct job *
start(struct daemon *d, struct job_start *how, const char *const *words, struct err *err)
{
	struct arena a = { 0 };
	const char **argv;
	struct job *j;
	uint32_t n;

	for (n = 0; words[n] != NULL; n++)
		;
	argv = ARENA_ARRAY(&a, n + 5, const char *);	/* one word is the command, one NULL */
	argv[0] = d->opts.provctl;
	argv[1] = words[0];
	argv[2] = "--no-daemon";
	argv[3] = "--state";
	argv[4] = d->state_path;
	memcpy(&argv[5], &words[1], n * sizeof(*argv));	/* with the NULL */
	how->argv = argv;
	how->in = how->out = how->err = how->tty = -1;
	how->keeper = warm_socket(d->warm);
	how->env = duty_env(&a, NULL, how);
	j = job_start(&d->jobs, how, err);
	if (how->keeper != -1)
		(void)close(how->keeper);
	if (j != NULL)
		log_info("job %lld begins: %s", (long long)j->id, j->what);
	arena_release(&a);
	return j;
}

struct job *
duty_under_way(struct daemon *d, const char *site)
{
	struct job *j;

	for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry))
		if (j->site != NULL && strcmp(j->site, site) == 0)
			return j;
	return NULL;
}

static struct job *
of_kind(struct daemon *d, enum job_kind kind)
{
	struct job *j;

	for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry))
		if (j->kind == kind)
			return j;
	return NULL;
}

struct job *
duty_start(struct daemon *d, const struct config_site *site, struct err *err)
{
	struct job_start how = { .kind = JOB_DRIFT, .site = site->name };
	const char *words[8] = { "drift", "--wait" };
	struct arena a = { 0 };
	struct job *j;
	size_t n = 2;

	if (duty_under_way(d, site->name) != NULL) {
		(void)err_set(err, ERR_BUSY, "the site '%s' is worked on already", site->name);
		return NULL;
	}
	if (site->correct)
		words[n++] = "--correct";
	if (site->limit != NULL)
		words[n++] = arena_printf(&a, "--limit=%s", site->limit);
	words[n++] = "--";
	words[n++] = site->path;
	how.what = arena_printf(&a, "drift of %s%s", site->name,
	    site->correct ? ", to be corrected" : "");
	/* Also when it does not start: once is enough. */
	v_set_int(&d->memory, d->last, site->key, state_time_ms());
	if ((j = start(d, &how, words, err)) != NULL)
		v_set_bool(&d->memory, d->begun, site->name, true);
	duty_memorize(d);
	d->due[site - d->config.sites].next = 0;
	arena_release(&a);
	return j;
}

/* ---- the schedule ----------------------------------------------------------------------------- */

void
duty_plan(struct daemon *d)
{
	struct arena a = { 0 };
	struct value *last = v_map(&a);
	uint32_t i;

	free(d->due);
	d->due = xcalloc(d->config.nsites + 1, sizeof(*d->due));
	for (i = 0; i < d->config.nsites; i++) {
		const struct config_site *site = &d->config.sites[i];

		/* Begun, not ended, not under way: it died with us, and is due again. */
		v_set_int(&a, last, site->key,
		    v_gets(d->begun, site->name) != NULL && duty_under_way(d, site->name) == NULL ?
		    0 : v_get_int(d->last, site->key, state_time_ms()));
	}
	/* Without those that are no more, or at other times. */
	d->last = v_map(&d->memory);
	v_merge(&d->memory, d->last, v_copy(&d->memory, last));
	arena_release(&a);
	duty_memorize(d);
}

/* The same for the same time, so that it does not change from look to look. */
static int64_t
spread(const struct config_site *site, int64_t at)
{
	char text[32];
	uint32_t h;

	if (site->spread == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%lld", (long long)at);
	h = v_hash_str(text, strlen(text)) ^ v_hash_str(site->name, strlen(site->name));
	return h % ((uint32_t)site->spread * 60);
}

int64_t
duty_next(struct daemon *d, uint32_t i)
{
	const struct config_site *site = &d->config.sites[i];
	int64_t now = state_time_ms(), last = v_get_int(d->last, site->key, now);
	struct due *due = &d->due[i];

	/* The clock was ahead then, and is right now: from here on, once. The next look keeps it. */
	if (last > now) {
		last = now;
		v_set_int(&d->memory, d->last, site->key, now);
		d->moved = true;
	}
	if (due->next != 0 && due->last_ms == last && now >= due->computed)
		return due->next;
	due->last_ms = last;
	due->computed = now;
	due->next = times_next(&site->times, last / 1000);
	if (due->next != -1)
		due->next += spread(site, due->next);
	return due->next;
}

static void
look_at_schedule(struct daemon *d, int64_t *wake)
{
	int64_t now = state_time_ms() / 1000;
	struct err err = ERR_INIT;
	int running = 0;
	struct job *j;
	uint32_t i;

	if (d->moved)
		d->moved = false, duty_memorize(d);
	for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry))
		running += j->kind == JOB_DRIFT;
	for (i = 0; i < d->config.nsites; i++) {
		int64_t next = duty_next(d, i);

		if (next == -1)
			continue;
		if (next > now) {
			if (next - now < *wake)
				*wake = next - now;
			continue;
		}
		/* Otherwise when one of them has ended. A run that goes on comes before a new look. */
		if (running >= d->config.jobs || duty_under_way(d, d->config.sites[i].name) != NULL ||
		    (v_gets(d->begun, d->config.sites[i].name) != NULL &&
		    of_kind(d, JOB_RESUME) != NULL))
			continue;
		if (duty_start(d, &d->config.sites[i], &err) != NULL)
			running++;
		else
			log_err(&err);
	}
}

/* ---- what is pending ------------------------------------------------------------------------------ */

/* In a process of its own: a command, or ourselves with a webhook; what has happened comes on its standard input. */
static void
tell(struct daemon *d, const char *const *argv, const struct value *what)
{
	struct job_start how = { .kind = JOB_TELL, .what = "tells that a host is given up",
	    .argv = argv, .out = -1, .err = -1, .tty = -1, .timeout_s = TELL_TIMEOUT_S };
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	int fd = memfd_create("agentd", MFD_CLOEXEC);

	json_write(&b, what, JSON_COMPACT);
	buf_addc(&b, '\n');
	how.in = fd;
	how.env = duty_env(&a, NULL, &how);
	if (fd == -1 || write(fd, b.data, b.len) != (ssize_t)b.len || lseek(fd, 0, SEEK_SET) == -1)
		log_warn("cannot tell that a host is given up: %s", strerror(errno));
	else if (job_start(&d->jobs, &how, &err) == NULL)
		log_err(&err);
	if (fd != -1)
		(void)close(fd);
	arena_release(&a);
}

static void
tell_given_up(struct daemon *d, const struct value *pending)
{
	const char *const post[] = { d->opts.self, "--post", NULL };
	struct arena a = { 0 };
	struct value *what = v_map(&a), *with;

	v_set_str(&a, what, "event", "given_up");
	v_set_int(&a, what, "time_ms", state_time_ms());
	v_merge(&a, what, pending);
	(void)v_dels(what, "next_ms");
	log_fields(LOG_LEVEL_ERROR, what, "'%s' is given up after %lld tries: %s",
	    v_get_str(pending, "host", "?"), (long long)v_get_int(pending, "tries", 0),
	    v_get_str(pending, "reason", ""));
	answer_tell(d, what);
	if (d->config.command != NULL)
		tell(d, d->config.command, what);
	if (d->config.webhook != NULL) {
		with = v_map(&a);
		/* Not as an argument: everybody could read it. */
		v_set_str(&a, with, "url", d->config.webhook);
		v_sets(&a, with, "body", what);
		tell(d, post, with);
	}
	arena_release(&a);
}

static void
look_at_given_up(struct daemon *d, const struct value *list)
{
	struct arena a = { 0 };
	struct value *told = v_map(&a);
	bool changed = false;
	uint32_t i;

	for (i = 0; i < v_count(list); i++) {
		const struct value *p = v_at(list, i);
		const char *key = arena_printf(&a, "%s\n%s", v_get_str(p, "host", ""),
		    v_get_str(p, "site", ""));
		int64_t last = v_get_int(p, "last_ms", 0);

		if (!v_is_null(v_gets(p, "next_ms")))
			continue;
		if (v_get_int(d->told, key, -1) != last) {
			changed = true;
			tell_given_up(d, p);
		}
		v_set_int(&a, told, key, last);
	}
	/* What is no longer given up is forgotten. */
	if (changed || v_count(told) != v_count(d->told)) {
		d->told = v_map(&d->memory);
		v_merge(&d->memory, d->told, v_copy(&d->memory, told));
		duty_memorize(d);
	}
	arena_release(&a);
}

static bool
look_at_due(const struct value *list, int64_t *wake)
{
	int64_t now = state_time_ms(), next;
	bool due = false;
	uint32_t i;

	for (i = 0; i < v_count(list); i++) {
		next = v_get_int(v_at(list, i), "next_ms", -1);
		if (next == -1)
			continue;
		if (next <= now)
			due = true;
		else if ((next - now) / 1000 + 1 < *wake)
			*wake = (next - now) / 1000 + 1;
	}
	return due;
}

/*
 * Of hosts that did not answer it is seen when they are back.  Not so soon
 * after many tries: one that answers and is lost again, each time, gets no run a minute.
 */
static void
look_for_absent(struct daemon *d, const struct value *list, int64_t *wake)
{
	int64_t now = state_time_ms(), mono = daemon_monotonic_ms(), next;
	int64_t settle = (int64_t)SETTLE_S * 1000;
	struct arena a = { 0 };
	struct value *where = v_list(&a), *seen = v_map(&a);
	uint8_t jitter = 0;
	uint32_t i;

	for (i = 0; d->config.probe > 0 && d->config.retries && i < v_count(list); i++) {
		const struct value *p = v_at(list, i);
		const char *at = v_get_str(p, "unanswered", NULL);

		next = v_get_int(p, "next_ms", INT64_MAX);
		if (at == NULL || next <= now + settle || v_gets(seen, at) != NULL ||
		    v_get_int(p, "last_ms", 0) + (v_get_int(p, "tries", 1) - 1) * 60000 > now)
			continue;
		v_set_bool(&a, seen, at, true);
		v_push(&a, where, v_gets(p, "unanswered"));
	}
	if (v_count(where) > 0 && mono >= d->probe_at) {
		probe_round(d->probe, where);
		/* From three quarters of the time to five. */
		if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) != 1)
			jitter = 128;
		d->probe_at = mono + d->config.probe * (int64_t)(750 + jitter * 2);
	}
	if (v_count(where) > 0 && (d->probe_at - mono) / 1000 + 1 < *wake)
		*wake = (d->probe_at - mono) / 1000 + 1;
	arena_release(&a);
}

void
duty_answered(void *arg, const char *where)
{
	struct daemon *d = arg;
	struct timeval settle = { d->config.probe < SETTLE_S ? d->config.probe : SETTLE_S, 0 };
	struct err err = ERR_INIT;

	log_info("an SSH server answers at %s again: what is owed there is tried in %lld s", where,
	    (long long)settle.tv_sec);
	if (state_pending_back(d->state, where, state_time_ms() + settle.tv_sec * 1000, &err) == -1)
		log_err(&err);
	(void)event_add(d->tick, &settle);
}

static void
look_at_pending(struct daemon *d, int64_t *wake)
{
	struct job_start how = { .kind = JOB_RETRY, .what = "retry of what is due" };
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *list = state_pending(d->state, &a, NULL, 0, &err);

	if (list == NULL) {
		log_err(&err);
	} else {
		look_at_given_up(d, list);
		look_for_absent(d, list, wake);
		if (look_at_due(list, wake) && d->config.retries &&
		    of_kind(d, JOB_RETRY) == NULL && daemon_monotonic_ms() >= d->retry_at &&
		    start(d, &how, (const char *const[]){ "retry", "--due", NULL }, &err) == NULL)
			log_err(&err);
	}
	arena_release(&a);
}

/* Was everything that was due really tried? Else (a password is needed, another run is there) not again at once. */
static void
after_retry(struct daemon *d)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *list = state_pending(d->state, &a, NULL, state_time_ms(), &err);

	err_release(&err);
	if (list != NULL && v_count(list) == 0) {
		d->retry_wait = 0;
	} else {
		d->retry_wait = d->retry_wait == 0 ? 60 : d->retry_wait * 2;
		if (d->retry_wait > WAIT_MAX_S)
			d->retry_wait = WAIT_MAX_S;
		d->retry_at = daemon_monotonic_ms() + d->retry_wait * 1000;
		log_warn("%u of the hosts that are due could not be tried; again in %d s",
		    list != NULL ? v_count(list) : 0, d->retry_wait);
	}
	arena_release(&a);
}

/* ---- runs that were killed ---------------------------------------------------------------------------- */

static bool
ours(struct daemon *d, struct arena *a, int64_t run)
{
	struct err err = ERR_INIT;
	const struct value *options = state_run_options(d->state, a, run, &err);

	err_release(&err);
	return options != NULL && (d->config.resume == RESUME_ALL ||
	    v_get_bool(options, "agentd", false));
}

/* Runs that we interrupted to stop, and that were through all the same. */
static void
forget_finished(struct daemon *d, const struct value *unfinished)
{
	struct arena a = { 0 };
	struct value *left = v_map(&a);
	uint32_t i;

	for (i = 0; i < v_count(unfinished); i++) {
		const char *number = arena_printf(&a, "%lld",
		    (long long)v_get_int(v_at(unfinished, i), "id", 0));

		if (v_gets(d->stopped, number) != NULL)
			v_set_bool(&a, left, number, true);
	}
	if (v_count(left) != v_count(d->stopped)) {
		d->stopped = v_map(&d->memory);
		v_merge(&d->memory, d->stopped, v_copy(&d->memory, left));
		duty_memorize(d);
	}
	arena_release(&a);
}

static void
look_at_killed(struct daemon *d)
{
	struct job_start how = { .kind = JOB_RESUME };
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *list = NULL;
	uint32_t i;

	if (d->stopping || d->config.resume == RESUME_NO || of_kind(d, JOB_RESUME) != NULL ||
	    daemon_monotonic_ms() < d->resume_at)
		return;
	if ((list = state_unfinished_list(d->state, &a, &err)) == NULL)
		log_err(&err);
	else
		forget_finished(d, list);
	for (i = 0; list != NULL && i < v_count(list); i++) {
		const struct value *run = v_at(list, i);
		int64_t id = v_get_int(run, "id", 0);
		const char *number = arena_printf(&a, "%lld", (long long)id);
		bool stopped = v_gets(d->stopped, number) != NULL;
		bool killed = strcmp(v_get_str(run, "state", ""), "killed") == 0;

		if ((!killed && !(stopped && strcmp(v_get_str(run, "state", ""), "done") == 0)) ||
		    job_find(&d->jobs, 0, id) != NULL ||
		    state_time_ms() - v_get_int(run, "started_ms", 0) > RESUME_MS ||
		    !(stopped || ours(d, &a, id)))
			continue;
		if (stopped)
			(void)v_dels(d->stopped, number), duty_memorize(d);
		how.what = arena_printf(&a, "run %s goes on", number);
		if (start(d, &how, (const char *const[]){ "resume", "--wait", number, NULL }, &err) == NULL)
			log_err(&err);
		break;
	}
	arena_release(&a);
}

/* ---- all of it -------------------------------------------------------------------------------------- */

void
duty_ended(struct daemon *d, const struct job *j)
{
	if (j->kind == JOB_RETRY)
		after_retry(d);
	/* What we interrupt to stop is due again when we are back. */
	if (j->kind == JOB_DRIFT && !(d->stopping && j->interrupts > 0) &&
	    v_dels(d->begun, j->site))
		duty_memorize(d);
	if (j->kind != JOB_RESUME)
		return;
	/* One that does not even begin, or is killed each time. */
	if (j->run != 0 && j->status < 128) {
		d->resume_wait = 0;
	} else {
		d->resume_wait = d->resume_wait == 0 ? 60 : d->resume_wait * 2;
		if (d->resume_wait > WAIT_MAX_S)
			d->resume_wait = WAIT_MAX_S;
		d->resume_at = daemon_monotonic_ms() + d->resume_wait * 1000;
	}
}

int
duty_look(struct daemon *d)
{
	int64_t wake = LOOK_S;

	look_at_killed(d);
	look_at_schedule(d, &wake);
	look_at_pending(d, &wake);
	return wake < 1 ? 1 : (int)wake;
}
