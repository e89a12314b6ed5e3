/*
 * The wire over SSH: one session, one channel, one command.
 */
#include <string.h>

#include "ssh/wire.h"

static size_t
on_data(void *arg, const void *data, size_t len, bool is_stderr)
{
	struct conn *c = arg;

	c->heard_ms = pool_now_ms();	/* libssh reads whenever it is called, also when it is to write */
	if (is_stderr)
		conn_add_errs(c, data, len);
	else
		buf_add(&c->rx, data, len);
	return len;
}

static void
ssh_turn(void *arg)
{
	struct conn *c = arg;
	struct err err = ERR_INIT;

	if (!c->command.running) {
		switch (command_start(&c->command, &err)) {
		case 0:
			return;
		case -1:
			conn_fail(c, &err);
			return;
		default:
			conn_started(c);
			break;
		}
	}
	conn_turn(c);
	if (c->state != C_DEAD && c->command.closed) {
		c->status = c->command.status;
		memcpy(c->signal, c->command.signal, sizeof(c->signal));
		conn_ended(c);
	}
}

static void
ssh_up(void *arg)
{
	CLEANUP_BUF struct buf line = BUF_INIT;
	struct conn *c = arg;

	bootstrap_command(&line, c);
	c->command.data = on_data;
	c->command.arg = c;
	command_begin(&c->command, c->session, buf_str(&line), true);
	conn_deadline(c, conn_step_ms(c));
	ssh_turn(c);
	if (c->state != C_DEAD)
		session_used(c->session);
}

static void
ssh_down(void *arg, struct err *err)
{
	struct conn *c = arg;

	command_drop(&c->command);
	c->unanswered = session_unanswered(c->session, err);
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
	size_t done, before = c->rx.len;

	if (c->command.channel == NULL || c->command.closed || c->session == NULL)
		return 0;
	done = command_write(&c->command, data, len);
	session_used(c->session);
	if (c->rx.len != before || c->command.closed)
		session_again(c->session);	/* came in on the way out */
	return done;
}

static void
ssh_stop(struct conn *c)
{
	if (c->session == NULL)
		return;
	command_drop(&c->command);
	session_close(c->session);
	c->session = NULL;
}

const struct wire wire_ssh = {
	.start = ssh_start, .write = ssh_write_some, .stop = ssh_stop,
};
