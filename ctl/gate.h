/*
 * The gate between the engine and an output: an event is told only when what
 * it says is committed, so a crash never takes back what somebody has read.
 *
 *	engine ─┬─ state ── queue ── writer thread ── COMMIT ─┐ eventfd
 *	        └─ gate: copies wait ◀───────────────────────┘──▶ output
 *
 * Nothing blocks the loop.
 */
#ifndef PROVCTL_CTL_GATE_H
#define PROVCTL_CTL_GATE_H

#include <event2/event.h>

#include "state/state.h"

struct gate;

/* Passes events on to a sink, late; the state's own sink must come before it. Both must outlive it. */
struct gate	*gate_new(struct event_base *, struct state *, struct sink to);
struct sink	 gate_sink(struct gate *);
/* For run_opts.await: calls answer() when all that is queued by now is committed. False: it is so already. */
bool		 gate_await(void *gate, void (*answer)(void *), void *answer_arg);
/* Waits for the disk and passes on all there is. */
void		 gate_flush(struct gate *);
/* Flushes; NULL allowed. */
void		 gate_free(struct gate *);

#endif
