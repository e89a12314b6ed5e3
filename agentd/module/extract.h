/*
 * Putting the members of an archive below a directory, and nowhere else.
 *
 * Every path is resolved beneath the destination (openat2 RESOLVE_BENEATH, or
 * without following any link where the kernel lacks it): neither "..", nor an
 * absolute name, nor a link of the archive or of the host can lead out.
 */
#ifndef PROVCTL_MODULE_EXTRACT_H
#define PROVCTL_MODULE_EXTRACT_H

#include "module/archive.h"
#include "module/fs.h"

struct extract {
	const char		*dest;
	int			 destfd;
	struct fs_attrs		 attrs;		/* of the task; for everything extracted */
	const struct value	*include, *exclude;	/* lists of patterns, or NULL */
	unsigned		 strip;		/* leading parts of names to drop */
	bool			 junk;		/* zip -j: all of them but the last */
	bool			 keep_newer;
	bool			 same_owner, same_mode;	/* as the archive says */
	bool			 numeric;	/* owners by number only */
	bool			 touch;		/* times are not the archive's */
	struct value		*files;		/* names, when wanted */
	/* further inside: */
	mode_t			 umask;
	struct dir_mode		*dirs;		/* to be set at the end */
	bool			 skipped_other;
	bool			 matched;
};

/* All members. Changes go through mod_change. -1 after mod_fail. */
int	 extract_all(struct mod *, struct extract *, struct archive *);

#endif
