/*
 * See command.h.  libssh's callbacks only store what they are given;
 * everything else happens at a turn, after libssh has returned.
 */
#include <string.h>

#include "ssh/command.h"

#define WRITE_MAX	((size_t)64 * 1024)

static int
on_data(ssh_session ssh, ssh_channel ch, void *data, uint32_t len,
    int is_stderr, void *arg)
{
	struct command *c = arg;

	(void)ssh;
	(void)ch;
	return (int)c->data(c->arg, data, len, is_stderr != 0);
}

static void
on_close(ssh_session ssh, ssh_channel ch, void *arg)
{
	struct command *c = arg;

	(void)ssh;
	(void)ch;
	c->closed = true;
	(void)c->data(c->arg, "", 0, false);
}

static void
on_status(ssh_session ssh, ssh_channel ch, int status, void *arg)
{
	(void)ssh;
	(void)ch;
	((struct command *)arg)->status = status;
}

static void
on_exit_signal(ssh_session ssh, ssh_channel ch, const char *name, int core,
    const char *msg, const char *lang, void *arg)
{
	struct command *c = arg;

	(void)ssh;
	(void)ch;
	(void)core;
	(void)msg;
	(void)lang;
	(void)snprintf(c->signal, sizeof(c->signal), "%s", name);
}

void
command_begin(struct command *c, struct session *session, const char *line, bool first)
{
	c->session = session;
	c->line = xstrdup(line);
	c->first = first;
	c->status = -1;
	if ((c->channel = ssh_channel_new(session_handle(session))) == NULL)
		abort();		/* out of memory */
	c->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = c, .channel_data_function = on_data,
		.channel_close_function = on_close,
		.channel_exit_status_function = on_status,
		.channel_exit_signal_function = on_exit_signal,
	};
	ssh_callbacks_init(&c->callbacks);
	(void)ssh_set_channel_callbacks(c->channel, &c->callbacks);
}

static int
refused(struct command *c, const char *what, struct err *err)
{
	(void)err_set(err, ERR_IO, "%s %s: %s", session_where(c->session), what,
	    session_error(c->session));
	err_hint(err, "sshd's log on the host tells why (MaxSessions, ForceCommand, "
	    "a restricted account …)");
	return -1;
}

int
command_start(struct command *c, struct err *err)
{
	ssh_session ssh = session_handle(c->session);
	int rc;

	if (!c->open) {
		rc = ssh_channel_open_session(c->channel);
		if (rc == SSH_AGAIN && !c->sent && c->first &&
		    ssh_get_openssh_version(ssh) != 0) {
			/* This may read the answers to both already. */
			c->sent = true;
			c->exec_rc = ssh_channel_request_exec(c->channel, c->line);
			rc = ssh_channel_open_session(c->channel);
		}
		if (rc == SSH_AGAIN)
			return 0;
		/* Closed: it was open, and its command has ended already. */
		if (rc != SSH_OK && !c->closed)
			return refused(c, "does not open a channel", err);
		c->open = true;
	}
	/* Once it is answered, libssh would send it again: sshd refuses a second one. */
	rc = c->sent ? c->exec_rc : SSH_AGAIN;
	if (rc == SSH_AGAIN)
		rc = c->exec_rc = ssh_channel_request_exec(c->channel, c->line);
	c->sent = true;
	if (rc == SSH_AGAIN)
		return 0;
	/*
	 * A command that ended at once may have closed the channel before libssh
	 * looked at the answer: what it said tells more than libssh does.
	 */
	if (rc != SSH_OK && !c->closed && !ssh_channel_is_closed(c->channel) &&
	    !ssh_channel_is_eof(c->channel))
		return refused(c, "does not run commands", err);
	c->running = true;
	return 1;
}

size_t
command_write(struct command *c, const void *data, size_t len)
{
	ssh_session ssh = session_handle(c->session);
	const char *from = data;
	size_t done = 0, n;
	int got;

	while (done < len && !c->closed && !(ssh_get_status(ssh) & SSH_WRITE_PENDING)) {
		n = len - done < WRITE_MAX ? len - done : WRITE_MAX;
		got = ssh_channel_write(c->channel, from + done, (uint32_t)n);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

size_t
command_rest(struct command *c, void *to, size_t len)
{
	int n = ssh_channel_read_nonblocking(c->channel, to, (uint32_t)len, 0);

	return n > 0 ? (size_t)n : 0;
}

void
command_drop(struct command *c)
{
	if (c->channel != NULL) {
		(void)ssh_remove_channel_callbacks(c->channel, &c->callbacks);
		ssh_channel_free(c->channel);
	}
	c->channel = NULL;
	free(c->line);
	c->line = NULL;
}
