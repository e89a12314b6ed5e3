/*
 * The wire over SSH: one session, one channel, one exec request.
 *
 * libssh's callbacks only store what they are given; everything else happens
 * in turn(), after libssh has returned.  To an OpenSSH server the exec request
 * is sent right behind the request to open the channel, which saves a round
 * trip: its first channel has number 0, as libssh assumes until it is told.
 */
#include <string.h>

#include "ssh/wire.h"

#define WRITE_MAX	((size_t)64 * 1024)

static int
on_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len,
    int is_stderr, void *arg)
{
	struct conn *c = arg;

	(void)ssh;
	(void)ch;
	c->heard_ms = pool_now_ms();	/* libssh reads whenever it is called, also when it is to write */
	if (is_stderr)
		conn_add_errs(c, data, len);
	else
		buf_add(&c->rx, data, len);
	return (int)len;
}

static void
on_eof(ssh_session ssh, ssh_channel ch, void *arg)
{
	(void)ssh;
	(void)ch;
	((struct conn *)arg)->eof = true;
}

static void
on_close(ssh_session ssh, ssh_channel ch, void *arg)
{
	(void)ssh;
	(void)ch;
	((struct conn *)arg)->closed = true;
}

static void
on_status(ssh_session ssh, ssh_channel ch, int status, void *arg)
{
	(void)ssh;
	(void)ch;
	((struct conn *)arg)->status = status;
}

static void
on_exit_signal(ssh_session ssh, ssh_channel ch, const char *name, int core,
    const char *msg, const char *lang, void *arg)
{
	struct conn *c = arg;

	(void)ssh;
	(void)ch;
	(void)core;
	(void)msg;
	(void)lang;
	(void)snprintf(c->signal, sizeof(c->signal), "%s", name);
}

static void
channel_fail(struct conn *c, const char *what)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_IO, "%s %s: %s", session_where(c->session), what,
	    session_error(c->session));
	err_hint(&err, "sshd's log on the host tells why (MaxSessions, ForceCommand, "
	    "a restricted account …)");
	conn_fail(c, &err);
}

/* Opens the channel and sends the command; true once it runs. */
static bool
channel_open(struct conn *c)
{
	ssh_session ssh = session_handle(c->session);
	int rc;

	if (!c->open) {
		rc = ssh_channel_open_session(c->channel);
		if (rc == SSH_AGAIN && !c->sent && ssh_get_openssh_version(ssh) != 0) {
			/* This may read the answers to both already. */
			c->sent = true;
			c->exec_rc = ssh_channel_request_exec(c->channel, c->command);
			rc = ssh_channel_open_session(c->channel);
		}
		if (rc == SSH_AGAIN)
			return false;
		/* Closed: it was open, and its command has ended already. */
		if (rc != SSH_OK && !c->closed) {
			channel_fail(c, "does not open a channel");
			return false;
		}
		c->open = true;
	}
	/* Once it is answered, libssh would send it again: sshd refuses a second one. */
	rc = c->sent ? c->exec_rc : SSH_AGAIN;
	if (rc == SSH_AGAIN)
		rc = c->exec_rc = ssh_channel_request_exec(c->channel, c->command);
	c->sent = true;
	if (rc == SSH_AGAIN)
		return false;
	/*
	 * A command that ended at once may have closed the channel before libssh
	 * looked at the answer: what it said tells more than libssh does.
	 */
	if (rc != SSH_OK && !c->closed && !ssh_channel_is_closed(c->channel) &&
	    !ssh_channel_is_eof(c->channel)) {
		channel_fail(c, "does not run commands");
		return false;
	}
	c->running = true;
	conn_started(c);
	return true;
}

static void
ssh_turn(void *arg)
{
	struct conn *c = arg;

	if (!c->running && !channel_open(c))
		return;
	conn_turn(c);
	if (c->state != C_DEAD && c->closed)
		conn_ended(c);
}

static void
ssh_up(void *arg)
{
	CLEANUP_BUF struct buf command = BUF_INIT;
	struct conn *c = arg;
	struct timeval tv;
	int ms;

	bootstrap_command(&command, c);
	c->command = xstrdup(buf_str(&command));
	if ((c->channel = ssh_channel_new(session_handle(c->session))) == NULL)
		abort();		/* out of memory */
	c->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = c, .channel_data_function = on_data,
		.channel_eof_function = on_eof, .channel_close_function = on_close,
		.channel_exit_status_function = on_status,
		.channel_exit_signal_function = on_exit_signal,
	};
	ssh_callbacks_init(&c->callbacks);
	(void)ssh_set_channel_callbacks(c->channel, &c->callbacks);
	ms = c->spec.connect_timeout_ms > 0 ? c->spec.connect_timeout_ms :
	    CONNECT_TIMEOUT_MS;
	tv = (struct timeval){ ms / 1000, (ms % 1000) * 1000 };
	(void)evtimer_add(c->timer, &tv);
	ssh_turn(c);
	if (c->state != C_DEAD)
		session_used(c->session);
}

/* The session still exists, but is of no use: let go of the channel. */
static void
channel_drop(struct conn *c)
{
	if (c->channel == NULL)
		return;
	(void)ssh_remove_channel_callbacks(c->channel, &c->callbacks);
	ssh_channel_free(c->channel);
	c->channel = NULL;
}

static void
ssh_down(void *arg, struct err *err)
{
	struct conn *c = arg;

	channel_drop(c);
	c->unanswered = !session_met(c->session) && c->spec.jump == NULL &&
	    (err->code == ERR_IO || err->code == ERR_TIMEOUT);
	c->session = NULL;
	conn_fail(c, err);
}

static void
ssh_start(struct conn *c)
{
	static const struct session_ops ops = {
		.up = ssh_up, .turn = ssh_turn, .down = ssh_down,
	};

	c->session = session_open(c->pool, &c->spec, 0, &ops, c);
}

static size_t
ssh_write_some(struct conn *c, const void *data, size_t len)
{
	ssh_session ssh;
	const char *from = data;
	size_t done = 0, n, before = c->rx.len;
	int got;

	if (c->channel == NULL || c->closed || c->session == NULL)
		return 0;
	ssh = session_handle(c->session);
	while (done < len && !(ssh_get_status(ssh) & SSH_WRITE_PENDING)) {
		n = len - done < WRITE_MAX ? len - done : WRITE_MAX;
		got = ssh_channel_write(c->channel, from + done, (uint32_t)n);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	session_used(c->session);
	if (c->rx.len != before || c->closed)
		session_again(c->session);	/* came in on the way out */
	return done;
}

static void
ssh_stop(struct conn *c)
{
	if (c->session == NULL)
		return;
	channel_drop(c);
	session_close(c->session);
	c->session = NULL;
}

const struct wire wire_ssh = {
	.start = ssh_start, .write = ssh_write_some, .stop = ssh_stop,
};
