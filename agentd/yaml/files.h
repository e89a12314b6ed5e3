/*
 * The files of a site as they are read: playbooks, roles, variables, inventory,
 * templates, and what copy, script, lookups and the like bring to hosts.
 *
 * While files_collect() is on, each is noted with its stat when it was read,
 * for the snapshot that the state keeps of a site.  After files_from() a site
 * is read from such a snapshot: names stay what they are (in messages, magic
 * variables, hashes), only the system calls of the readers go elsewhere.  For
 * that every reader of a site's files hands file_at(path) to them.
 *
 * Not for what belongs to the controller rather than to a site: passwords,
 * ssh's files, what runs write.  One thread only.
 */
#ifndef PROVCTL_YAML_FILES_H
#define PROVCTL_YAML_FILES_H

#include <sys/stat.h>

#include "base/buf.h"
#include "base/value.h"

struct file_note {
	const char	*path;		/* absolute, without . and .. */
	struct stat	 st;		/* when it was read first */
};

/* Begins anew, or ends and forgets. */
void		 files_collect(bool on);
/* A file was read, or will be. */
void		 files_note(const char *path, const struct stat *);
/* All that were noted, in no order; valid until the next call of these functions. */
const struct file_note *files_noted(uint32_t *ret_n);

/*
 * From now on what stands below root counts, for every path in a directory
 * (however deep below it) that one of the snapshot's files is in; a file that
 * is missing there does not exist.  paths: list of the snapshot's regular
 * files.  NULL ends.
 */
void		 files_from(const char *root, const struct value *paths);
/* Where a path is to be read: itself, or in the snapshot. Valid until the eighth call from now. */
const char	*file_at(const char *path);
/* The reverse, of names that a directory or glob below root gave. */
const char	*file_named(const char *path);
/* buf_read_file() of a site's file. */
int		 file_read(struct buf *, const char *path);

#endif
