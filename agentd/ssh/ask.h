/*
 * What a run asks of the keeper, and is told: values in parcels.
 *
 *	run → keeper
 *	{do: "open", id, login, jumps, pins, timeout_ms, command}, descriptors: data, errors
 *	{do: "forget", host, port}		no new channel on sessions to it, whosever
 *
 *	keeper → run
 *	{id, state: "taken"}			at once
 *	{id, state: "refused"}			not this one: connect by yourself
 *	{id, state: "open"}			the command runs; data has its input and output
 *	{id, state: "ended", status, signal}	before the keeper closes data
 *	{id, state: "failed", code, message, hint, unanswered}	instead, at any time
 *
 *	login	{host, port, user, lax, keys: [[path, version]…], home, agent: [path, version], jump}
 *	jumps	[login with a name…]: all jump hosts on the way, the nearest to the host first
 *	pins	{"host:port": [key…]}: the keys of the host and of all jump hosts
 *
 * login and jumps are the identity: their encoding's SHA-256 is the key under
 * which a session is kept.  lax: no strict key exchange is asked for; unanswered: no SSH server was there.  With `home` the keys are the usual ones below its .ssh.
 */
#ifndef PROVCTL_SSH_ASK_H
#define PROVCTL_SSH_ASK_H

#include "base/digest.h"
#include "ssh/conn.h"

#define ASK_KEYS_MAX	32
#define ASK_PINS_MAX	16
#define ASK_JUMPS_MAX	8
#define ASK_COMMAND_MAX	((size_t)16 * 1024)

struct ask {
	bool			 forget;	/* else: open */
	uint32_t		 id;
	char			 key[SHA256_HEX];	/* of the identity */
	struct conn_spec	 spec;		/* without the callbacks */
	struct conn_spec	 jumps[ASK_JUMPS_MAX];
	uint32_t		 njumps;
	const struct value	*pins;
	const char		*command;
};

/* What is sent; NULL: this connection is not one for the keeper. */
const struct value *ask_open(struct arena *, const struct conn_spec *, uint32_t id,
		    const char *command);
const struct value *ask_forget(struct arena *, const struct conn_spec *);
/* 0, or -1 with err: it is none. Everything is in the arena; the names are safe. forget: the spec has only host and port. */
int	 ask_parse(struct arena *, const char *data, size_t len, struct ask *, struct err *);
/* A jump host's settings by its name; as conn_spec.jump_spec, arg: the struct ask. */
int	 ask_jump(void *ask, const char *name, struct conn_spec *ret, struct err *);
/* The keys of a host in pins: how many. */
uint32_t ask_pins(const struct value *pins, const char *host, int port, const char **ret,
		    uint32_t max);

#endif
