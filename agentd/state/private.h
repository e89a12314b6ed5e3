/*
 * What the files of this folder share about a struct state.
 */
#ifndef PROVCTL_STATE_PRIVATE_H
#define PROVCTL_STATE_PRIVATE_H

#include "state/state.h"
#include "state/writer.h"

struct state {
	struct arena	 arena;
	struct db	 db;		/* for reading */
	struct writer	*writer;	/* NULL: read-only */
	struct value	*keys;		/* "host:port" → list of keys, as far as asked for or pinned */
	struct arena	 run_arena;	/* of the run that is recorded: */
	struct value	*seen_hosts, *seen_tasks;
};

int64_t	 state_now_ms(void);
/* err when the state was opened for reading only. */
int	 state_writable(struct state *, struct err *);

#endif
