/*
 * The wire between engine and executor: frames on one byte stream.
 *
 *	 0        4     5      6     8            12
 *	+--------+-----+------+-----+------------+----------------+
 *	| length | type| flags|  0  | request id | payload …      |
 *	+--------+-----+------+-----+------------+----------------+
 *
 * Little-endian; length counts the payload only.  The executor works requests
 * strictly in order of arrival, so several may be in flight; ids are chosen by
 * the engine, start at 1 and are never reused in a session.
 *
 *	engine → executor
 *	REQUEST	id	map: module (str), args (map, validated), check, diff (bool),
 *			user (str, absent: the executor's own), env (map),
 *			cwd (str), timeout_ms (int), umask…  see exec/exec.h.
 *			FRAME_AHEAD in flags: sent before its turn; it is worked up to
 *			its first change of the host, which waits for GO
 *	GO	id	the turn of a request sent ahead has come
 *	BLOB	id	bytes of the content asked for by NEED; empty payload ends it;
 *			FRAME_FAILED in flags: cannot be had, payload is the reason
 *	CANCEL	id	kill what runs for this request; its RESULT says cancelled. A
 *			request sent ahead without GO has changed nothing then
 *	PING	n	answered by PONG n at once, also while a request runs
 *	BYE	0	finish: children ended, temporary files removed, exit 0
 *
 *	executor → engine
 *	HELLO	0	map: protocol (int), version, arch, user (str), uid (int), pid (int)
 *	PROGRESS id	last line of output of a long step, UTF-8, at most 512 bytes
 *	NEED	id	32 bytes SHA-256 of content that the engine offered in args
 *	DATA	id	bytes from host to controller (fetch), in order; before RESULT
 *	RESULT	id	map as Ansible's result: changed, failed, msg, …
 *	HELD	id	a request sent ahead waits for GO
 *	PONG	n
 */
#ifndef PROVCTL_BASE_FRAME_H
#define PROVCTL_BASE_FRAME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FRAME_PROTOCOL		1
#define FRAME_HEADER		12
#define FRAME_PAYLOAD_MAX	((size_t)32 * 1024 * 1024)
#define FRAME_CHUNK		((size_t)64 * 1024)	/* of BLOB and DATA */

enum frame_type {
	FRAME_REQUEST = 1, FRAME_BLOB, FRAME_CANCEL, FRAME_PING, FRAME_BYE, FRAME_GO,
	FRAME_HELLO = 64, FRAME_PROGRESS, FRAME_NEED, FRAME_DATA, FRAME_RESULT,
	FRAME_PONG, FRAME_HELD
};

#define FRAME_FAILED	0x01
#define FRAME_AHEAD	0x02

struct frame {
	uint8_t		 type;
	uint8_t		 flags;
	uint32_t	 id;
	uint32_t	 len;
	const char	*payload;	/* into the input; valid until it is consumed */
};

void	 frame_put(struct buf *, enum frame_type, unsigned flags, uint32_t id,
	    const void *payload, size_t len);
/*
 * Two-step writing without a copy: frame_begin returns the offset of the
 * header, the payload is added to the buffer, frame_end fills in the length.
 */
size_t	 frame_begin(struct buf *, enum frame_type, unsigned flags, uint32_t id);
void	 frame_end(struct buf *, size_t offset);
/*
 * The first frame of the input: 1 and *ret set (it takes FRAME_HEADER + len
 * bytes), 0 when more input is needed, -1 with err when it is no frame (unknown type,
 * too long, reserved bytes set): the peer is broken and must be dropped.
 */
int	 frame_get(const char *data, size_t len, struct frame *ret, struct err *);

#endif
