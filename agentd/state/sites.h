/*
 * Snapshots of sites: the files that a run was made from, by content.
 *
 * A snapshot's id is the hash of its list of files, so that a site that did
 * not change is stored once, however often it is applied.  Contents are stored
 * once too, encrypted with the key beside the database.  Files whose stat is
 * that of the last time are not read again: keeping a site that is known
 * costs a stat and a look into the database for each file.
 */
#ifndef PROVCTL_STATE_SITES_H
#define PROVCTL_STATE_SITES_H

#include <sys/stat.h>

#include "state/state.h"

#define SITE_ID			65
#define SITE_FILE_MAX		((off_t)64 * 1024 * 1024)	/* what is larger is known by size and time only */

struct site_file {
	const char	*path;	/* absolute; sorted, none twice */
	struct stat	 st;	/* when it was read: a file, directory or link */
	bool		 beside;	/* it was not read: left out when it is changing, or cannot be read */
};

/*
 * Keeps a snapshot of a site's files: at once, not through the queue.  A file
 * that is no longer as its stat says is an error (ERR_BUSY): what would be
 * kept is not what was loaded.
 */
int		 state_site_keep(struct state *, const char *site,
		    const struct site_file *, uint32_t n, char ret_id[SITE_ID],
		    struct err *);
/* The run that is recorded was made from another snapshot than it began with. */
void		 state_run_site(struct state *, const char *id);

/* Newest first: maps id, site, added_ms, files, size, runs, last_run (or null). */
const struct value *state_sites(struct state *, struct arena *, struct err *);
/* Of a run; NULL: none was kept. */
const char	*state_run_snapshot(struct state *, struct arena *, int64_t run);
/* The id that begins so; "12": of run 12. NULL with err when there is none, or several. */
const char	*state_site_find(struct state *, struct arena *, const char *begin,
		    struct err *);
/* A snapshot: the map above and "list": maps path, type (file, directory, link), mode, size, kept (bool), content (its name). */
const struct value *state_site(struct state *, struct arena *, const char *id,
		    struct err *);
/* The content of one of its files: by its path, or the end of it when only one ends so. */
int		 state_site_read(struct state *, const char *id, const char *path,
		    struct buf *, struct err *);
/*
 * Writes all files below a directory, each under its whole path, with mode and
 * time.  *ret_paths: list of the regular files.  What was too large to be kept
 * is linked to where it was, if it is still what it was.
 */
int		 state_site_export(struct state *, struct arena *, const char *id,
		    const char *dir, const struct value **ret_paths, struct err *);
/* Drops snapshots that no run on record was made from. Returns how many; -1 with err. */
int64_t		 state_sites_prune(struct state *, struct err *);

#endif
