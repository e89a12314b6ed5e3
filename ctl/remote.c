/*
 * See remote.h.
 *
 * A run through agentd is a provctl that agentd starts with our arguments,
 * environment, directory and descriptors: it prints to our terminal, asks
 * there, and reads our standard input.  So nothing has to be told twice, and
 * no password goes over the socket.  This is for agentd's own user only, who
 * may do all of that anyway.
 *
 * When agentd goes away meanwhile the run does not: we wait for its process
 * and read from the database how it ended.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/json.h"
#include "base/utf8.h"
#include "load.h"
#include "out.h"
#include "remote.h"
#include "serve/control.h"

#define ANSWER_MS	5000
#define LINE_MAX_IN	((size_t)32 * 1024 * 1024)
#define READ_SIZE	65536

extern char **environ;

static const struct opt socket_rows[] = {
	{ .name = "socket", .type = OPT_STR, .offset = OFF(socket), .arg = "FILE",
	    .doc = "agentd's socket; default $XDG_RUNTIME_DIR/provctl/agentd.sock, or /run/provctl/agentd.sock." },
	OPT_END
};
const struct opt_group opts_socket = { "Daemon", socket_rows };

/* ---- signals ---------------------------------------------------------------------------- */

static volatile sig_atomic_t signalled;

static void
on_signal(int n)
{
	(void)n;
	signalled = signalled + 1;
}

/* From now on ^C only counts; it is noticed in remote_next(), nowhere else. */
static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
}

/* Waits for what poll() waits for; without end also for signals. */
static int
wait_for(int fd, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, (timeout_ms % 1000) * 1000000L };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	sigset_t none;

	(void)sigemptyset(&none);
	return timeout_ms >= 0 ? ppoll(&p, 1, &ts, NULL) : ppoll(&p, 1, NULL, &none);
}

/* ---- lines -------------------------------------------------------------------------------- */

/* An object; NULL: the end, time is up, a signal, or nonsense. */
static const struct value *
next(struct remote *r, int timeout_ms)
{
	struct err err = ERR_INIT;
	const struct value *v;
	const char *end;
	ssize_t n;
	char *to;

	arena_release(&r->arena);
	while (r->in.len == 0 || (end = memchr(r->in.data, '\n', r->in.len)) == NULL) {
		if ((to = buf_reserve(&r->in, READ_SIZE)) == NULL || wait_for(r->fd, timeout_ms) != 1)
			return NULL;
		if ((n = recv(r->fd, to, READ_SIZE, 0)) <= 0)
			return errno = 0, NULL;
		r->in.len += (size_t)n;
	}
	v = json_parse_text(&r->arena, r->in.data, (size_t)(end - r->in.data), &err);
	buf_consume(&r->in, (size_t)(end + 1 - r->in.data));
	err_release(&err);
	return v;
}

const struct value *
remote_next(struct remote *r, bool *interrupted)
{
	const struct value *v;

	errno = 0;
	v = next(r, -1);
	*interrupted = v == NULL && errno == EINTR;
	return v;
}

static int
send_all(struct remote *r, const char *data, size_t n, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr	align;
		char		room[CMSG_SPACE(sizeof(int) * CLIENT_FDS)];
	} control;
	struct iovec io = { .iov_base = (void *)(uintptr_t)data, .iov_len = n };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	ssize_t sent;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	while (io.iov_len > 0) {
		sent = sendmsg(r->fd, &msg, MSG_NOSIGNAL);
		if (sent == -1 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -1;
		io.iov_base = (char *)io.iov_base + sent;
		io.iov_len -= (size_t)sent;
		msg.msg_control = NULL;		/* once */
		msg.msg_controllen = 0;
	}
	return 0;
}

static int
send_request(struct remote *r, const char *method, const struct value *params,
    const int *fds, unsigned nfds)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct arena a = { 0 };
	struct value *v = v_map(&a);

	v_set_int(&a, v, "id", ++r->id);
	v_set_str(&a, v, "method", method);
	if (params != NULL)
		v_sets(&a, v, "params", params);
	json_write(&b, v, JSON_COMPACT);
	buf_addc(&b, '\n');
	arena_release(&a);
	return send_all(r, b.data, b.len, fds, nfds);
}

static void
error_of(const struct value *e, struct err *err)
{
	static const struct {
		const char	*name;
		enum err_code	 code;
	} codes[] = {
		{ "denied", ERR_AUTH }, { "busy", ERR_BUSY }, { "unsupported", ERR_UNSUPPORTED },
		{ "limit", ERR_LIMIT }, { "io", ERR_IO },
	};
	const char *name = v_get_str(e, "code", ""), *hint = v_get_str(e, "hint", NULL);
	size_t i;

	for (i = 0; i < NITEMS(codes) && strcmp(codes[i].name, name) != 0; i++)
		;
	(void)err_set(err, i < NITEMS(codes) ? codes[i].code : ERR_INVALID, "%s",
	    v_get_str(e, "message", "agentd refuses"));
	if (hint != NULL)
		err_hint(err, "%s", hint);
}

static const struct value *
call(struct remote *r, const char *method, const struct value *params, const int *fds,
    unsigned nfds, struct err *err)
{
	const struct value *v = NULL, *result;

	/* Who is not let in may find the door closed, and a line that says why. */
	(void)send_request(r, method, params, fds, nfds);
	while ((v = next(r, ANSWER_MS)) != NULL && v_gets(v, "id") == NULL)
		;
	if ((result = v_gets(v, "result")) != NULL)
		return result;
	if (v != NULL && v_gets(v, "error") != NULL)
		error_of(v_gets(v, "error"), err);
	else
		(void)err_set(err, ERR_TIMEOUT, "agentd does not answer");
	return NULL;
}

const struct value *
remote_call(struct remote *r, const char *method, const struct value *params, struct err *err)
{
	return call(r, method, params, NULL, 0, err);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int
connect_to(struct remote *r, const char *path, struct err *err)
{
	static const struct timeval patience = { ANSWER_MS / 1000, 0 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ERR_USAGE, "the socket's path '%s' is too long", path);
	memcpy(addr.sun_path, path, strlen(path));
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd == -1 || setsockopt(r->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience)) == -1 || connect(r->fd, (struct sockaddr *)&addr, sizeof(addr)) == -1) {
		int saved = errno;

		(void)err_errno(err, "no agentd at '%s'", path);
		err_hint(err, saved == EACCES ? "its socket is for root, its own user, and its group" :
		    "`systemctl start agentd` or `agentd` starts it");
		return -1;
	}
	return 0;
}

int
remote_open(struct ctl *ctl, struct remote *r, struct err *err)
{
	const char *path = ctl->set.socket != NULL ? ctl->set.socket : getenv("PROVCTL_SOCKET");
	const char *usual = control_default_path(&ctl->arena);
	static const char system_path[] = "/run/provctl/agentd.sock";
	struct value *params;
	int rc;

	*r = (struct remote){ .fd = -1 };
	buf_init(&r->in, LINE_MAX_IN);
	if (path != NULL && *path != '\0') {
		rc = connect_to(r, path, err);
	} else if ((rc = connect_to(r, usual, err)) == -1 && strcmp(usual, system_path) != 0 &&
	    access(system_path, F_OK) == 0) {
		err_release(err);
		(void)close(r->fd);
		rc = connect_to(r, system_path, err);
	}
	if (rc == -1)
		return -1;
	params = v_map(&ctl->arena);
	v_set_int(&ctl->arena, params, "protocol", CONTROL_PROTOCOL);
	if ((r->hello = remote_call(r, "hello", params, err)) == NULL)
		return -1;
	r->hello = v_copy(&r->greeting, r->hello);
	return 0;
}

void
remote_close(struct remote *r)
{
	if (r->fd != -1)
		(void)close(r->fd);
	buf_release(&r->in);
	arena_release(&r->arena);
	arena_release(&r->greeting);
}

/* ---- a run --------------------------------------------------------------------------------------- */

bool
remote_same_database(struct ctl *ctl, const struct remote *r)
{
	const char *path = ctl->set.state != NULL ? ctl->set.state : state_default_path(&ctl->arena);
	struct stat st;
	char id[64];

	if (stat(path, &st) == -1)
		return false;
	(void)snprintf(id, sizeof(id), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	return strcmp(v_get_str(r->hello, "database_id", ""), id) == 0;
}

/* Who made the socket is told by the kernel: that user, or systemd for it, is believed. */
static bool
same_user(const struct remote *r)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(r->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	    (cred.uid == geteuid() || cred.uid == 0) &&
	    v_get_int(r->hello, "uid", -1) == (int64_t)geteuid();
}

/* JSON has only valid UTF-8. False: some is not. */
static bool
add_word(struct arena *a, struct value *list, const char *word)
{
	v_push(a, list, v_str(a, word));
	return utf8_valid(word, strlen(word));
}

/* What the run is started with; NULL: it cannot be told. */
static const struct value *
run_params(struct ctl *ctl)
{
	struct arena *a = &ctl->arena;
	struct value *params = v_map(a), *argv = v_list(a), *env = v_map(a);
	bool ok = true, options = true;
	char cwd[PATH_MAX];
	struct stat st;
	char **p;

	for (p = ctl->argv; *p != NULL; p++) {
		if (strcmp(*p, "--") == 0)
			options = false;
		/* What is said between us and agentd, not to the run. */
		if (options && strcmp(*p, "--daemon") == 0)
			continue;
		if (options && strcmp(*p, "--state") == 0 && p[1] != NULL)
			p++;
		else if (!options || strncmp(*p, "--state=", 8) != 0)
			ok = add_word(a, argv, *p) && ok;
	}
	for (p = environ; *p != NULL; p++) {
		const char *eq = strchr(*p, '=');

		if (eq == NULL || eq == *p)
			continue;
		ok = utf8_valid(*p, strlen(*p)) && ok;
		v_set_str(a, env, arena_strndup(a, *p, (size_t)(eq - *p)), eq + 1);
	}
	if (!ok || getcwd(cwd, sizeof(cwd)) == NULL || !utf8_valid(cwd, strlen(cwd)) ||
	    stat(".", &st) == -1)
		return NULL;
	v_sets(a, params, "argv", argv);
	v_set_str(a, params, "cwd", cwd);
	v_sets(a, params, "place", v_strf(a, "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino));
	v_sets(a, params, "env", env);
	return params;
}

/* agentd is gone: the run ends without it, and the database knows how. */
static int
wait_for_run(struct ctl *ctl, int pid, int64_t run)
{
	CLEANUP_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	const struct value *list = NULL;
	struct err err = ERR_INIT;
	int status = RUN_FAILED;
	struct load l;
	uint32_t i;

	out_note(ctl->out, "agentd is gone; its run goes on (pid %d)", pid);
	while (fd != -1 && wait_for(fd, -1) == -1 && errno == EINTR)
		(void)kill(pid, SIGINT);
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0)
		list = state_runs(l.state, &ctl->arena, 100, NULL, &err);
	for (i = 0; list != NULL && i < v_count(list); i++)
		if (v_get_int(v_at(list, i), run != 0 ? "id" : "pid", 0) == (run != 0 ? run : pid))
			status = (int)v_get_int(v_at(list, i), "status", RUN_FAILED);
	err_release(&err);
	load_release(&l);
	return status;
}

static int
wait_for_end(struct ctl *ctl, struct remote *r, int64_t job, int pid)
{
	const struct value *v;
	struct value *params = v_map(&ctl->arena);
	bool interrupted;

	v_set_int(&ctl->arena, params, "job", job);
	for (;;) {
		v = remote_next(r, &interrupted);
		if (interrupted) {
			if (send_request(r, "cancel", params, NULL, 0) == 0)
				continue;
		} else if (v != NULL && (strcmp(v_get_str(v, "event", ""), "job_end") != 0 ||
		    v_get_int(v, "job", 0) != job))
			continue;
		break;
	}
	if (v == NULL)
		return wait_for_run(ctl, pid, 0);
	if (v_get_bool(v, "goes_on", false))
		out_note(ctl->out, "agentd was stopped: this run goes on when it is back");
	return (int)v_get_int(v, "status", RUN_FAILED);
}

/* 0: done, *status set; -1: not, err says why. */
static int
try_run(struct ctl *ctl, struct remote *r, int *status, struct err *err)
{
	const struct value *params, *job;
	int fds[CLIENT_FDS] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	int64_t number;
	int pid;

	if (!remote_same_database(ctl, r))
		return err_set(err, ERR_USAGE, "agentd works on another database: '%s'",
		    v_get_str(r->hello, "database", "?"));
	if (!same_user(r)) {
		(void)err_set(err, ERR_AUTH, "agentd is another user (%lld): what it runs, it runs as"
		    " itself", (long long)v_get_int(r->hello, "uid", -1));
		err_hint(err, "become that user, or give the site to agentd.yml (`provctl schedule`)");
		return -1;
	}
	if ((params = run_params(ctl)) == NULL)
		return err_set(err, ERR_USAGE, "arguments, environment or directory are no valid UTF-8");
	fds[3] = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	catch_signals();
	job = call(r, "run", params, fds, fds[3] != -1 ? 4 : 3, err);
	if (fds[3] != -1)
		(void)close(fds[3]);
	if (job == NULL)
		return -1;
	number = v_get_int(job, "job", 0);
	pid = (int)v_get_int(job, "pid", 0);
	*status = wait_for_end(ctl, r, number, pid);
	return 0;
}

static void
restore_signals(void)
{
	sigset_t none;

	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

bool
remote_run(struct ctl *ctl, int *ret_status)
{
	const struct settings *s = &ctl->set;
	struct err err = ERR_INIT;
	struct remote r;
	bool done;

	if (s->daemon && s->no_daemon) {
		*ret_status = usage_error(ctl, "--daemon and --no-daemon contradict each other");
		return true;
	}
	if (s->no_daemon || ctl->events != NULL || s->list_hosts || s->list_tasks || s->list_tags ||
	    s->syntax_check)
		return false;
	done = remote_open(ctl, &r, &err) == 0 && try_run(ctl, &r, ret_status, &err) == 0;
	remote_close(&r);
	if (done)
		return true;
	restore_signals();
	if (s->daemon) {
		*ret_status = fail_with(ctl, &err);
		return true;
	}
	/* Somebody is there but says nothing: that is worth knowing. */
	if (err.code == ERR_TIMEOUT)
		out_note(ctl->out, "agentd does not answer: this is done without it");
	err_release(&err);
	return false;
}

/* ---- being agentd's child ------------------------------------------------------------------------- */

/* The descriptor that a variable names, ours alone from now on; -1. */
static int
passed_fd(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;
	int fd = -1;

	if (text != NULL && (n = strtol(text, &end, 10)) > STDERR_FILENO && n < 1024 && *end == '\0' &&
	    fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0)
		fd = (int)n;
	(void)unsetenv(name);
	return fd;
}

void
remote_child(struct ctl *ctl)
{
	int fd = passed_fd("PROVCTL_TTY_FD");

	if (fd != -1)
		ask_at(fd);
	if ((fd = passed_fd("PROVCTL_KEEPER_FD")) != -1)
		ctl->keeper = fd;
	if ((fd = passed_fd("PROVCTL_EVENTS_FD")) == -1)
		return;
	ctl->events = ARENA_NEW(&ctl->arena, struct out);
	output_init(ctl->events, &output_json, "never");
	ctl->events->term.fd = fd;
	ctl->events->stream = true;
}

struct tee {
	struct sink	 a, b;
};

static void
on_both(void *arg, const struct event *e)
{
	const struct tee *t = arg;

	t->a.event(t->a.arg, e);
	t->b.event(t->b.arg, e);
}

struct sink
remote_sink(struct ctl *ctl, const struct out_run *how, struct sink to)
{
	struct tee *t;

	if (ctl->events == NULL)
		return to;
	t = ARENA_NEW(&ctl->arena, struct tee);
	t->a = to;
	t->b = ctl->events->ops->run_start(ctl->events, how);
	return (struct sink){ .event = on_both, .arg = t };
}

void
remote_diags(struct ctl *ctl)
{
	if (ctl->events != NULL && ctl->diags.n > 0)
		ctl->events->ops->diags(ctl->events, &ctl->diags);
}
