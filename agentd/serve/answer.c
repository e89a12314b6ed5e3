/*
 * What clients ask for (schema/control.md): one function a method.
 *
 * Everybody who is let in may look, follow, cancel, and start the sites of
 * agentd.yml.  `run`, which takes any arguments, is for our own user alone: who
 * may say that is this user.
 */
#include <sys/stat.h>
#include <string.h>

#include "serve/daemon.h"
#include "serve/log.h"
#include "serve/warm.h"

#define RUNS_DEFAULT	20
#define RUNS_MAX	1000

/* ---- looking --------------------------------------------------------------------------- */

static void
hello(struct daemon *d, struct client *c, const struct request *r)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a);
	struct stat st;

	v_set_int(&a, v, "protocol", CONTROL_PROTOCOL);
	v_set_str(&a, v, "version", PROVCTL_VERSION);
	v_set_int(&a, v, "pid", getpid());
	v_set_int(&a, v, "uid", (int64_t)geteuid());
	v_set_str(&a, v, "database", d->state_path);
	/* Which file that is, whatever it is called. */
	if (stat(d->state_path, &st) == 0)
		v_sets(&a, v, "database_id", v_strf(&a, "%llu:%llu",
		    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino));
	control_reply(c, r->id, v);
	arena_release(&a);
}

static const struct value *
job_value(struct arena *a, const struct job *j)
{
	static const char *const kinds[] = {
		[JOB_ASKED] = "asked", [JOB_DRIFT] = "drift", [JOB_RETRY] = "retry",
		[JOB_RESUME] = "resume", [JOB_TELL] = "tell"
	};
	struct value *v = v_map(a);

	v_set_int(a, v, "job", j->id);
	v_set_str(a, v, "kind", kinds[j->kind]);
	v_set_str(a, v, "what", j->what);
	if (j->site != NULL)
		v_set_str(a, v, "site", j->site);
	if (j->run != 0)
		v_set_int(a, v, "run", j->run);
	v_set_int(a, v, "pid", j->pid);
	v_set_int(a, v, "started_ms", j->started_ms);
	return v;
}

static void
status(struct daemon *d, struct client *c, const struct request *r)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a), *jobs = v_list(&a);
	struct job *j;

	v_set_str(&a, v, "version", PROVCTL_VERSION);
	v_set_int(&a, v, "pid", getpid());
	v_set_int(&a, v, "started_ms", d->started_ms);
	v_set_int(&a, v, "loaded_ms", d->loaded_ms);
	v_set_str(&a, v, "config", d->config_path);
	v_set_str(&a, v, "database", d->state_path);
	v_set_bool(&a, v, "stopping", d->stopping);
	for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry))
		v_push(&a, jobs, job_value(&a, j));
	v_sets(&a, v, "jobs", jobs);
	control_reply(c, r->id, v);
	arena_release(&a);
}

static void
runs(struct daemon *d, struct client *c, const struct request *r)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *list = NULL;
	uint32_t limit = r->limit != 0 ? (uint32_t)r->limit : RUNS_DEFAULT;

	if (r->limit > RUNS_MAX)
		(void)err_set(&err, ERR_LIMIT, "%d runs at most", RUNS_MAX);
	else
		list = state_runs(d->state, &a, limit, NULL, &err);
	if (list != NULL)
		control_reply(c, r->id, list);
	else
		control_error(c, r->id, &err);
	arena_release(&a);
}

static void
schedule(struct daemon *d, struct client *c, const struct request *r)
{
	struct arena a = { 0 };
	struct value *list = v_list(&a);
	uint32_t i;

	for (i = 0; i < d->config.nsites; i++) {
		const struct config_site *site = &d->config.sites[i];
		const struct job *j = duty_under_way(d, site->name);
		int64_t next = duty_next(d, i);
		struct value *v = v_map(&a);

		v_set_str(&a, v, "site", site->name);
		v_set_str(&a, v, "path", site->path);
		v_set_str(&a, v, "drift", site->drift);
		v_set_bool(&a, v, "correct", site->correct);
		v_set_bool(&a, v, "set", site->mark.src == NULL);
		v_sets(&a, v, "next_ms", next == -1 ? &v_null : v_int(&a, next * 1000));
		v_sets(&a, v, "job", j != NULL ? v_int(&a, j->id) : &v_null);
		v_push(&a, list, v);
	}
	control_reply(c, r->id, list);
	arena_release(&a);
}

/* ---- following --------------------------------------------------------------------------- */

static void
backlog(struct client *c, struct job *j)
{
	const char *p = j->backlog.data, *end;
	size_t left = j->backlog.len;
	struct arena a = { 0 };
	struct value *v = v_map(&a);

	if (j->dropped > 0) {
		v_set_str(&a, v, "event", "dropped");
		v_set_int(&a, v, "job", j->id);
		v_set_int(&a, v, "lines", (int64_t)j->dropped);
		control_tell(c, v);
	}
	arena_release(&a);
	for (; left > 0 && (end = memchr(p, '\n', left)) != NULL; p = end + 1) {
		control_event(c->control, c, j->id, j->run, p, (size_t)(end - p));
		left -= (size_t)(end + 1 - p);
	}
}

/* By number of run or job; without one the only job that is a run. */
static struct job *
find(struct daemon *d, const struct request *r, struct err *err)
{
	struct job *j, *only = NULL;

	if (r->run == 0 && r->job == 0) {
		for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry)) {
			if (j->kind == JOB_TELL)
				continue;
			if (only != NULL) {
				(void)err_set(err, ERR_INVALID, "more than one run is under way: which one?");
				return NULL;
			}
			only = j;
		}
	}
	if (only == NULL && (r->run != 0 || r->job != 0))
		only = job_find(&d->jobs, r->job, r->run);
	if (only != NULL && only->kind != JOB_TELL)
		return only;
	if (r->run != 0)
		(void)err_set(err, ERR_INVALID, "agentd has no run %lld under way", (long long)r->run);
	else if (r->job != 0)
		(void)err_set(err, ERR_INVALID, "there is no job %lld", (long long)r->job);
	else
		(void)err_set(err, ERR_INVALID, "agentd has no run under way");
	err_hint(err, "`provctl status` says who works where, `provctl show` what was done");
	return NULL;
}

static void
follow(struct daemon *d, struct client *c, const struct request *r)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct job *j;

	if (r->run == 0 && r->job == 0) {
		c->all = true;
		control_reply(c, r->id, NULL);
		for (j = TAILQ_FIRST(&d->jobs.list); j != NULL; j = TAILQ_NEXT(j, entry))
			backlog(c, j);
	} else if ((j = find(d, r, &err)) != NULL) {
		c->follows = j->id;
		control_reply(c, r->id, job_value(&a, j));
		backlog(c, j);
	} else
		control_error(c, r->id, &err);
	arena_release(&a);
}

static bool
follows(const struct client *c, int64_t job)
{
	return c->all || (job != 0 && (c->follows == job || c->owns == job));
}

void
answer_line(struct daemon *d, struct job *j, const char *line, size_t n)
{
	if (j->kind != JOB_TELL)
		control_event(d->control, NULL, j->id, j->run, line, n);
}

void
answer_ended(struct daemon *d, const struct job *j)
{
	struct arena a = { 0 };
	struct value *v = v_map(&a);
	struct client *c;

	v_set_str(&a, v, "event", "job_end");
	v_set_int(&a, v, "job", j->id);
	if (j->run != 0)
		v_set_int(&a, v, "run", j->run);
	v_set_int(&a, v, "status", j->status);
	if (d->stopping && duty_goes_on(d, j->run))
		v_set_bool(&a, v, "goes_on", true);
	control_tell_all(d->control, follows, j->id, v);
	if ((c = control_owner(d->control, j->id)) != NULL)
		c->owns = 0;
	arena_release(&a);
}

void
answer_tell(struct daemon *d, const struct value *v)
{
	control_tell_all(d->control, follows, 0, v);
}

/* ---- doing ---------------------------------------------------------------------------------- */

/* The commands whose work is runs. */
static bool
may_run(const struct value *argv, struct err *err)
{
	static const char *const commands[] = {
		"apply", "check", "drift", "plan", "resume", "retry", "rollback"
	};
	uint32_t i;

	for (i = 0; i < NITEMS(commands) && !v_eqs(v_at(argv, 0), commands[i]); i++)
		;
	if (i == NITEMS(commands)) {
		(void)err_set(err, ERR_UNSUPPORTED, "'%.40s' is not run by agentd", v_at(argv, 0)->u.s);
		return false;
	}
	for (i = 1; i < v_count(argv) && !v_eqs(v_at(argv, i), "--"); i++)
		if (strncmp(v_at(argv, i)->u.s, "--state", 7) == 0) {
			(void)err_set(err, ERR_INVALID, "agentd works on its own database: no --state");
			return false;
		}
	return true;
}

/* Is the client's directory the same one for us? Services may see another /home and /tmp. */
static bool
same_place(const struct request *r, struct err *err)
{
	char id[64];
	struct stat st;

	if (stat(r->cwd, &st) == -1)
		st = (struct stat){ 0 };
	(void)snprintf(id, sizeof(id), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	if (strcmp(id, r->place) == 0)
		return true;
	(void)err_set(err, ERR_IO, "agentd does not see the directory '%.200s'", r->cwd);
	err_hint(err, "--no-daemon runs without it");
	return false;
}

static void
run(struct daemon *d, struct client *c, const struct request *r)
{
	struct job_start how = { .kind = JOB_ASKED, .cwd = r->cwd, .tty = -1 };
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	struct job *j = NULL;
	CLEANUP_BUF struct buf what = BUF_INIT;
	const char **argv;
	uint32_t i, n = 0;

	if (c->uid != geteuid()) {
		(void)err_set(&err, ERR_AUTH, "only agentd's own user may run what it likes");
		err_hint(&err, "`provctl schedule --now SITE` starts a site of agentd.yml");
	} else if (d->stopping) {
		(void)err_set(&err, ERR_BUSY, "agentd is about to stop");
	} else if (c->nfds < 3) {
		(void)err_set(&err, ERR_INVALID, "'run' needs descriptors: standard input, output, error,"
		    " and perhaps a terminal");
	} else if (c->owns != 0) {
		(void)err_set(&err, ERR_BUSY, "this client's run is not over yet");
	} else if (may_run(r->argv, &err) && same_place(r, &err)) {
		argv = ARENA_ARRAY(&a, v_count(r->argv) + 5, const char *);
		argv[n++] = d->opts.provctl;
		argv[n++] = v_at(r->argv, 0)->u.s;
		argv[n++] = "--no-daemon";
		argv[n++] = "--state";
		argv[n++] = d->state_path;
		for (i = 1; i < v_count(r->argv); i++)
			argv[n++] = v_at(r->argv, i)->u.s;
		/* Without the arguments: there may be passwords among the variables. */
		buf_addf(&what, "%s, asked for by pid %lld", argv[1], (long long)c->pid);
		how.what = buf_str(&what);
		how.argv = argv;
		how.in = c->fds[0];
		how.out = c->fds[1];
		how.err = c->fds[2];
		how.tty = c->nfds > 3 ? c->fds[3] : -1;
		how.keeper = warm_socket(d->warm);
		how.env = duty_env(&a, r->env, &how);
		j = job_start(&d->jobs, &how, &err);
		if (how.keeper != -1)
			(void)close(how.keeper);
	}
	if (j != NULL) {
		c->owns = j->id;
		log_info("job %lld begins: %s", (long long)j->id, j->what);
		control_reply(c, r->id, job_value(&a, j));
	} else
		control_error(c, r->id, &err);
	arena_release(&a);
}

static void
start(struct daemon *d, struct client *c, const struct request *r)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	const char *near;
	const struct config_site *site = config_site(&d->config, r->site, &near);
	struct job *j = NULL;

	if (d->stopping) {
		(void)err_set(&err, ERR_BUSY, "agentd is about to stop");
	} else if (site == NULL) {
		(void)err_set(&err, ERR_INVALID, "agentd looks after no site '%.200s'", r->site);
		if (near != NULL)
			err_hint(&err, "did you mean '%s'?", near);
	} else
		j = duty_start(d, site, &err);
	if (j != NULL)
		control_reply(c, r->id, job_value(&a, j));
	else
		control_error(c, r->id, &err);
	arena_release(&a);
}

static void
cancel(struct daemon *d, struct client *c, const struct request *r)
{
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	struct job *j;

	if ((j = find(d, r, &err)) == NULL) {
		control_error(c, r->id, &err);
		return;
	}
	log_info("job %lld is cancelled by user %lld: %s", (long long)j->id, (long long)c->uid, j->what);
	/* `now` is the second ^C; before the first one it is both. */
	if (r->now && j->interrupts == 0)
		job_interrupt(j);
	job_interrupt(j);
	control_reply(c, r->id, job_value(&a, j));
	arena_release(&a);
}

static void
reload(struct daemon *d, struct client *c, const struct request *r)
{
	struct err err = ERR_INIT;

	if (daemon_reload(d, &err) == -1)
		control_error(c, r->id, &err);
	else
		control_reply(c, r->id, NULL);
}

void
answer_request(void *arg, struct client *c, const struct request *r)
{
	static void (*const methods[])(struct daemon *, struct client *, const struct request *) = {
		[METHOD_HELLO] = hello, [METHOD_STATUS] = status, [METHOD_RUNS] = runs,
		[METHOD_RUN] = run, [METHOD_START] = start, [METHOD_FOLLOW] = follow,
		[METHOD_CANCEL] = cancel, [METHOD_SCHEDULE] = schedule, [METHOD_RELOAD] = reload,
	};

	methods[r->method](arg, c, r);
}
