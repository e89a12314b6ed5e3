/*
 * What stands around a run: leases of its hosts, and what `resume` and `retry`
 * must know to do it again.
 */
#ifndef PROVCTL_CTL_HOLDING_H
#define PROVCTL_CTL_HOLDING_H

#include <event2/event.h>

#include "load.h"

struct holding {
	struct load		*load;
	struct event_base	*base;
	struct event		*renew;
	struct wanted		*wanted;	/* hosts that are asked for */
	bool			 answered;
	bool			 stop;		/* interrupted */
	bool			 lost;		/* a lease was taken from us */
};

/* For run_opts.begin, arg = struct holding: leases of all hosts, waiting with --wait. Prepares the run's row. */
int	 holding_begin(void *holding, const struct value *hosts);
/* For run_opts.hold: a host that the run came to know later; waits with --wait, unless for ever. */
void	 holding_more(void *holding, const char *host,
	    void (*answer)(void *, struct err *), void *answer_arg);
/* Nobody is to be waited for any more. */
void	 holding_stop(struct holding *);
void	 holding_end(struct holding *);

/* The command line as a value, and back; options that only show something are not kept. */
const struct value *settings_save(struct arena *, const struct settings *);
void	 settings_load(struct arena *, struct settings *, const struct value *);

/* The rows of all options of `apply`. */
extern const struct opt_group *const apply_groups[];
/* A relative --state is made absolute: the run's directory may be another one. 0, or -1 with diags. */
int	 absolute_state(struct ctl *);
/* As `apply SITE` with ctl->set. */
int	 apply_site(struct ctl *, const char *site);

#endif
