/*
 * Before-images: what a change is about to take away is kept on the host.
 *
 *	/var/lib/provctl/before/SHA256		contents (root's; other users': ~/.cache/provctl/before)
 *
 * The functions of fs.h, and the few modules that change files without them,
 * call keep_path() before each change.  The first call for a path in a task
 * notes what is there; a regular file's content goes to the store under its
 * hash, so that the same content is kept once.  At the end of the task
 * keep_done() adds what is there now and puts the list into the result under
 * KEEP_RESULT, for the engine; contents never leave the host.
 *
 * Costs: nothing where nothing changes; else one more read and write of the
 * file.  The store is bounded (bytes, days: the oldest goes first), never
 * fills a disk, and a file that cannot be kept does not stop the change: the
 * entry says why.  Extended attributes (POSIX ACLs and file capabilities are
 * such) are kept as a content (fs_xattr.c), times of change with the entry.
 * Not kept: chattr's flags, times of access.
 *
 * An entry is a map: path; was and left, each a map as keep_look() makes it.
 * The last one may have an empty path and "lost": so many more changed.
 */
#ifndef PROVCTL_MODULE_KEEP_H
#define PROVCTL_MODULE_KEEP_H

#include "module/module.h"

#define KEEP_BYTES	((int64_t)256 * 1024 * 1024)
#define KEEP_DAYS	30
#define KEEP_ENTRIES_MAX 10000			/* in one task */
#define KEEP_RESULT	"_before"

struct keep {
	int64_t		 bytes;		/* of all contents; 0: nothing is kept */
	int64_t		 days;
	const char	*dir;		/* of the store; NULL: the user's own place */
	int		 store;		/* its descriptor, -1: not opened yet */
	const char	*why;		/* it cannot be opened */
	struct value	*entries;	/* map by path */
	int64_t		 lost;		/* entries beyond the limit */
	struct guard	*guard;		/* guard.h, or NULL */
};

#define KEEP_INIT	{ .bytes = KEEP_BYTES, .days = KEEP_DAYS, .store = -1 }

/*
 * Before the path itself (not what is below it) is changed, made or removed.
 * 0; -1 after mod_fail: only when a guard needs the image and it cannot be had.
 */
int	 keep_path(struct mod *, const char *path);
/* Before all of a directory is removed. */
int	 keep_tree(struct mod *, const char *path);
/* After the task; m->keep may be NULL. */
void	 keep_done(struct mod *);
/*
 * What is at the path now: type (absent, file, link, directory, other), mode,
 * uid, gid, mtime (nanoseconds); of a file sha256 and size, of a link target;
 * xattrs: the hash of what fs_xattrs_pack() says, where there are any.  Of what
 * was to be kept and could not: why, xattrs_why.
 */
const struct value *keep_look(struct mod *, const char *path);
/* Do two such maps say the same, but for the times? */
bool	 keep_same(const struct value *, const struct value *);
/* The time of change of such a map. false: it has none. */
bool	 keep_time(const struct value *, struct timespec *ret);
/* The store's directory, made when missing. -1: m->keep->why. */
int	 keep_store(struct mod *);
/* The kept content, verified. -1 after mod_fail. */
int	 keep_content(struct mod *, const char *sha256);

#endif
