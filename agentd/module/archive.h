/*
 * Archives as a sequence of members: tar (ustar, GNU, pax; compressed as
 * unpack.h knows) and zip.
 *
 * What an archive says is hostile until proven otherwise: names are given as
 * they are, archive_safe_name() tells whether one may be used.
 */
#ifndef PROVCTL_MODULE_ARCHIVE_H
#define PROVCTL_MODULE_ARCHIVE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

#define ARCHIVE_NAME_MAX	4096
#define ARCHIVE_HEADER_MAX	((size_t)1024 * 1024)	/* of one extended header */
#define ARCHIVE_MEMBERS_MAX	2000000			/* of a zip's directory */

enum member_type {
	MEMBER_FILE, MEMBER_DIR, MEMBER_SYMLINK, MEMBER_HARDLINK, MEMBER_OTHER
};

struct member {
	const char		*name;		/* valid until the next one */
	const char		*target;	/* of links */
	enum member_type	 type;
	mode_t			 mode;		/* permission bits */
	bool			 has_mode;	/* zip files of DOS have none */
	bool			 has_owner;	/* tar */
	int64_t			 uid, gid;
	const char		*user, *group;	/* or "" */
	int64_t			 mtime;		/* -1: unknown */
	int64_t			 size;
};

struct archive;

/* The descriptor must be a regular file and stays the caller's. NULL with err when it is no archive. */
struct archive	*archive_open(int fd, struct err *);
/* "TarArchive", "TgzArchive" …: Ansible's names. */
const char	*archive_kind(const struct archive *);
/* 1 and the next member, 0 at the end, -1 with err. What was not read of the last one is passed over. */
int		 archive_next(struct archive *, struct member *, struct err *);
/* Content of the current member: bytes, 0 at its end, -1 with err. */
ssize_t		 archive_read(struct archive *, void *, size_t, struct err *);
void		 archive_close(struct archive *);

/*
 * The name without leading "./" and slashes, without trailing slashes; NULL
 * when it leads out (".." anywhere), is empty, or holds what no name holds.
 */
const char	*archive_safe_name(struct arena *, const char *name);

/* For tar.c and zip.c. */
struct archive_ops {
	int	(*next)(void *, struct member *, struct err *);
	ssize_t	(*read)(void *, void *, size_t, struct err *);
	void	(*close)(void *);
};

void	*tar_open(int fd, const char **ret_kind, struct err *);
void	*zip_open(int fd, struct err *);
extern const struct archive_ops tar_ops, zip_ops;

#endif
