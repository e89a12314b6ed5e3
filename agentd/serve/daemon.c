/*
 * See daemon.h: beginning, signals, reloading, the end.
 *
 * Stopping takes its time in stages: no new work; `stop_after` seconds for runs
 * to end by themselves; then they are interrupted (what is under way on the
 * hosts is finished and recorded, and the run goes on when we are back); then
 * stopped at once; then killed, which loses nothing either.
 */
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "serve/daemon.h"
#include "serve/log.h"
#include "serve/page.h"
#include "serve/probe.h"
#include "serve/supervisor.h"
#include "serve/warm.h"
#include "ssh/keeper.h"

#define BUSY_MS		10000
#define STAGE_S		20

int64_t
daemon_monotonic_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- looking around -------------------------------------------------------------------- */

/* Without it the rest is done all the same. */
static void
open_page(struct daemon *d)
{
	struct page_opts o = { d->config.page_listen, d->config.page_token_file };
	struct err err = ERR_INIT;

	page_free(d->page);
	d->page = NULL;
	if (o.listen == NULL)
		return;
	if ((d->page = page_new(d->base, d->state, &o, &err)) != NULL)
		log_info("the status page is at %s, the token in '%s'", page_url(d->page), o.token_file);
	else
		log_err(&err);
}

/* NULL with err. */
static struct state *
open_state(struct daemon *d, int busy_ms, struct err *err)
{
	struct state *s = state_open(d->state_path, 0, busy_ms, err);

	if (s != NULL && stat(d->state_path, &d->state_file) == -1)
		d->state_file = (struct stat){ 0 };
	return s;
}

/* Somebody has put a backup in its place, or taken it away: what we have open is no longer what others see. */
static bool
is_another(struct daemon *d)
{
	struct stat st;

	return stat(d->state_path, &st) == 0 ? st.st_dev != d->state_file.st_dev ||
	    st.st_ino != d->state_file.st_ino : errno == ENOENT;
}

/*
 * The state's writer gives up for good at its first error (a full disk): what
 * we remember would be lost with us.  A new one, when there can be one.
 */
static void
check_state(struct daemon *d)
{
	struct err err = ERR_INIT;
	struct state *s;

	if (is_another(d))
		log_warn("the database '%s' is another file than before: it is opened anew", d->state_path);
	/* Never waits: somebody may hold the database's lock for long. */
	else if (!d->unsure || state_failed(d->state, &err) == 0) {
		d->unsure = d->unsure && state_committed(d->state) < state_queued(d->state);
		return;
	} else
		log_err(&err);
	if ((s = open_state(d, 0, &err)) == NULL) {
		log_err(&err);
		return;
	}
	page_free(d->page);
	d->page = NULL;
	state_close(d->state);
	d->state = s;
	duty_memorize(d);
	open_page(d);
}

static bool look_at_set(struct daemon *);
static void on_reload(evutil_socket_t, short, void *);

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct timeval tv = { 0, 0 };

	(void)fd;
	(void)what;
	if (d->stopping)
		return;
	check_state(d);
	if (look_at_set(d))
		on_reload(-1, 0, d);
	tv.tv_sec = duty_look(d);
	(void)event_add(d->tick, &tv);
	supervisor_tell("STATUS=%u sites, %u jobs under way", d->config.nsites, d->jobs.n);
}

void
daemon_look(struct daemon *d)
{
	event_active(d->tick, EV_TIMEOUT, 0);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	supervisor_tell("WATCHDOG=1");
}

/* ---- jobs --------------------------------------------------------------------------------- */

static void
on_line(void *arg, struct job *j, const char *line, size_t n)
{
	answer_line(arg, j, line, n);
}

static void maybe_stop(struct daemon *);

static void
on_ended(void *arg, struct job *j)
{
	/* As enum run_status; what the daemon starts must not fail unseen. */
	bool well = j->status == 0 || j->status == 2 || j->status == 130;
	struct daemon *d = arg;
	struct arena a = { 0 };
	struct value *fields = v_map(&a);

	v_set_int(&a, fields, "job", j->id);
	v_set_int(&a, fields, "status", j->status);
	if (j->run != 0)
		v_set_int(&a, fields, "run", j->run);
	if (j->site != NULL)
		v_set_str(&a, fields, "site", j->site);
	log_fields(well || j->kind == JOB_ASKED ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, fields,
	    "job %lld ended with status %d after %.1f s: %s", (long long)j->id, j->status,
	    (double)(state_time_ms() - j->started_ms) / 1000, j->what);
	arena_release(&a);
	duty_ended(d, j);
	answer_ended(d, j);
	daemon_look(d);
	maybe_stop(d);
}

/* ---- stopping --------------------------------------------------------------------------------- */

static void
maybe_stop(struct daemon *d)
{
	if (d->stopping && d->jobs.n == 0)
		(void)event_base_loopexit(d->base, NULL);
}

static void
interrupt_all(struct daemon *d)
{
	struct job *j;

	for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry)) {
		/* One that somebody has cancelled stays cancelled. */
		if (j->interrupts == 0 && j->run != 0)
			duty_stopped(d, j->run);
		job_interrupt(j);
	}
}

static void
on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval stage = { STAGE_S, 0 };
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_info("stopping: %u jobs are %s", d->jobs.n, d->stop_stage == 0 ? "interrupted" :
	    d->stop_stage == 1 ? "stopped at once" : "killed");
	d->stop_stage++;
	interrupt_all(d);
	(void)event_add(d->stop_timer, &stage);
}

static void
on_stop(evutil_socket_t signal, short what, void *arg)
{
	struct daemon *d = arg;
	struct timeval after = { d->config.stop_after, 0 };

	(void)what;
	if (d->stopping) {
		on_stop_timer(-1, 0, d);
		return;
	}
	log_info("%s: stopping, %u jobs are under way", strsignal((int)signal), d->jobs.n);
	/* systemd gives us as long as we need. */
	supervisor_tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
	    ((long long)d->config.stop_after + 3 * STAGE_S) * 1000000);
	d->stopping = true;
	if (d->jobs.n > 0)
		(void)event_add(d->stop_timer, &after);
	maybe_stop(d);
}

/* ---- configuration ------------------------------------------------------------------------------ */

/* What `provctl schedule set` says now, in d->set. False: it is what it was, or cannot be read. */
static bool
look_at_set(struct daemon *d)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *now = state_note(d->state, &a, CONFIG_NOTE, &err);

	if (now == NULL || (d->set != NULL && v_equal(now, d->set))) {
		if (now == NULL)
			log_err(&err);
		arena_release(&a);
		return false;
	}
	arena_release(&d->set_arena);
	d->set_arena = a;
	d->set = now;
	return true;
}

/* 0, or -1 with what is wrong in the log. */
static int
load_config(struct daemon *d, struct config *c)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	int r = 0;

	config_init(c);
	if (d->opts.config != NULL || access(d->config_path, F_OK) == 0)
		r = config_load(d->config_path, c, &diags);
	if (r == 0 && d->set != NULL)
		r = config_add(c, d->set, &diags);
	if (diags.n > 0)
		log_diags(&diags);
	if (r == -1)
		config_release(c);
	return r;
}

/* When we begin: the file was needed before the database. */
static int
add_set(struct daemon *d)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	int r = config_add(&d->config, d->set, &diags);

	if (diags.n > 0)
		log_diags(&diags);
	return r;
}

int
daemon_reload(struct daemon *d, struct err *err)
{
	struct config c;
	int r = 0;

	supervisor_reloading();
	(void)look_at_set(d);
	if (load_config(d, &c) == -1) {
		(void)err_set(err, ERR_INVALID, "'%s' has errors: what was in force stays in force",
		    d->config_path);
		err_hint(err, "agentd's log shows them; `provctl schedule --file %s`, too, unless it"
		    " is a name that `provctl schedule set` has taken", d->config_path);
		r = -1;
	} else {
		config_release(&d->config);
		d->config = c;
		d->loaded_ms = state_time_ms();
		duty_plan(d);
		open_page(d);
		warm_set(d->warm, d->config.keep_connections);
		daemon_look(d);
		log_info("configuration read again: %u site%s", c.nsites, c.nsites == 1 ? "" : "s");
	}
	supervisor_tell("READY=1");
	return r;
}

static void
on_reload(evutil_socket_t signal, short what, void *arg)
{
	struct err err = ERR_INIT;

	(void)signal;
	(void)what;
	if (daemon_reload(arg, &err) == -1)
		log_err(&err);
}

/* ---- beginning --------------------------------------------------------------------------------------- */

static struct event *
new_event(struct daemon *d, int fd, short what, event_callback_fn fn)
{
	struct event *e = event_new(d->base, fd, what, fn, d);

	if (e == NULL || (what & EV_SIGNAL && event_add(e, NULL) == -1))
		abort();	/* out of memory */
	return e;
}

/* One agentd a database. The lock is held until the process ends. */
static int
only_one(struct daemon *d, struct err *err)
{
	const char *path = arena_printf(&d->arena, "%s-agentd", d->state_path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return err_errno(err, "cannot open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	(void)close(fd);
	return err_set(err, ERR_BUSY, "another agentd works on the database '%s'", d->state_path);
}

static const char *
absolute(struct arena *a, const char *path)
{
	char cwd[PATH_MAX];

	return *path == '/' || getcwd(cwd, sizeof(cwd)) == NULL ? path :
	    arena_printf(a, "%s/%s", cwd, path);
}

static int
open_all(struct daemon *d, struct err *err)
{
	struct control_ops ops = { answer_request, d };
	int fd;

	d->state_path = absolute(&d->arena, d->opts.state != NULL ? d->opts.state :
	    state_default_path(&d->arena));
	if ((d->state = open_state(d, BUSY_MS, err)) == NULL ||
	    only_one(d, err) == -1)
		return -1;
	if ((fd = supervisor_socket(err)) == -2)
		return -1;
	if (fd == -1 && (fd = control_listen(d->opts.socket != NULL ? d->opts.socket :
	    control_default_path(&d->arena), d->config.group, err)) == -1)
		return -1;
	jobs_init(&d->jobs, d->base);
	d->jobs.line = on_line;
	d->jobs.ended = on_ended;
	d->jobs.arg = d;
	d->warm = warm_new(d->base, d->opts.self);
	warm_set(d->warm, d->config.keep_connections);
	d->control = control_new(d->base, fd, &ops);
	return 0;
}

static void
serve(struct daemon *d)
{
	struct event *signals[] = {
		new_event(d, SIGTERM, EV_SIGNAL | EV_PERSIST, on_stop),
		new_event(d, SIGINT, EV_SIGNAL | EV_PERSIST, on_stop),
		new_event(d, SIGHUP, EV_SIGNAL | EV_PERSIST, on_reload),
	};
	struct event *watchdog = new_event(d, -1, EV_PERSIST, on_watchdog);
	int64_t us = supervisor_watchdog_us() / 2;
	struct timeval every = { us / 1000000, us % 1000000 };
	size_t i;

	d->tick = new_event(d, -1, 0, on_tick);
	d->probe = probe_new(d->base, duty_answered, d);
	d->stop_timer = new_event(d, -1, 0, on_stop_timer);
	if (us > 0)
		(void)event_add(watchdog, &every);
	duty_remember(d);
	duty_plan(d);
	open_page(d);
	daemon_look(d);
	log_info("agentd " PROVCTL_VERSION " is ready: %u site%s, database %s", d->config.nsites,
	    d->config.nsites == 1 ? "" : "s", d->state_path);
	supervisor_tell("READY=1\nSTATUS=%u sites", d->config.nsites);
	(void)event_base_dispatch(d->base);
	log_info("stopped");
	probe_free(d->probe);
	page_free(d->page);
	for (i = 0; i < NITEMS(signals); i++)
		event_free(signals[i]);
	event_free(watchdog);
	event_free(d->tick);
	event_free(d->stop_timer);
}

static void
harden(void)
{
	static const struct rlimit none = { 0, 0 };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

int
daemon_keep(void)
{
	struct err err = ERR_INIT;
	int r;

	harden();
	log_open();
	if ((r = keeper_run(STDIN_FILENO, &err)) == -1)
		log_err(&err);
	return r == 0 ? 0 : 1;
}

int
daemon_run(const struct daemon_opts *opts)
{
	struct daemon d = { .opts = *opts };
	struct err err = ERR_INIT;
	int status = 1;

	harden();
	log_open();
	d.started_ms = d.loaded_ms = state_time_ms();
	d.config_path = absolute(&d.arena, opts->config != NULL ? opts->config :
	    config_default_path(&d.arena));
	if ((d.base = event_base_new()) == NULL)
		abort();	/* out of memory */
	if (load_config(&d, &d.config) == -1) {
		status = DAEMON_CONFIG;
	} else if (open_all(&d, &err) == -1) {
		log_err(&err);
	} else if (look_at_set(&d) && add_set(&d) == -1) {
		status = DAEMON_CONFIG;
	} else {
		serve(&d);
		status = 0;
	}
	if (d.control != NULL)
		control_free(d.control);
	jobs_release(&d.jobs);
	warm_free(d.warm);
	state_close(d.state);
	event_base_free(d.base);
	config_release(&d.config);
	free(d.due);
	arena_release(&d.memory);
	arena_release(&d.set_arena);
	arena_release(&d.arena);
	return status;
}
