/*
 * Snapshots of sites: kept by each run, and read by those that go on with it.
 */
#ifndef PROVCTL_CTL_SITES_H
#define PROVCTL_CTL_SITES_H

#include "load.h"

/* Keeps what was loaded so far, and what roles bring besides; l->site_id. 0, or -1 with diags. */
int	 site_keep(struct load *);
/* Is it the one that ctl->watch.site_id wants? 0, or -1 with diags that say what differs. */
int	 site_expect(struct load *);
/* The run is over: with what it read on its way, it may be another snapshot. */
void	 site_keep_again(struct load *);

/*
 * From now on sites are read from a snapshot, which is written to a private
 * directory; ctl->snapshot. 0, or -1 with diags.
 */
int	 snapshot_open(struct ctl *, struct state *, const char *id);
/* A site as the state calls it: absolute, without links; it need not be there any more. */
const char *site_path(struct ctl *, const char *given);
/* Back to the files as they are; no-op when none is open. */
void	 snapshot_close(struct ctl *);

#endif
