/*
 * Files, for modules.
 *
 * Replacing a file is one function: a temporary file in the same directory,
 * made 0600, filled, given owner and mode, validated, synced, renamed.  All
 * functions that change something assert that this is no check run.  Paths
 * are taken as given (absolute); the last component of what is written is
 * never followed when it is a link unless asked for.  Ownership and mode are
 * changed through descriptors (O_PATH | O_NOFOLLOW), so that a user who can
 * write the directory cannot redirect them.
 */
#ifndef PROVCTL_MODULE_FS_H
#define PROVCTL_MODULE_FS_H

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "module/module.h"

#define FS_READ_MAX	((size_t)256 * 1024 * 1024)

/* The rows owner, group, mode, attributes, se* (ignored), unsafe_writes, for MOD_FILE_ATTRS. */
extern const struct mod_arg fs_attr_args[];

/* What the task wants of a file's attributes; -1 and NULL: leave. */
struct fs_attrs {
	uid_t		 uid;		/* (uid_t)-1 */
	gid_t		 gid;
	const char	*owner;		/* as written, for messages */
	const char	*group;
	const char	*mode;		/* octal text or symbolic, NULL: leave */
	const char	*attributes;	/* chattr's letters */
};

/*
 * From the arguments owner, group, mode.  In check mode a user or group that
 * does not exist yet is no error (it would be made by an earlier task).
 */
int	 fs_attrs_get(struct mod *, struct fs_attrs *);
/* The mode that text asks of a file that has (or will have) old; -1 when malformed. dir: for X. */
int	 fs_mode_apply(const char *text, mode_t old, bool dir, mode_t *ret);
/*
 * Makes attributes so, through mod_change. follow: of what a link points to.
 * A path that does not exist yet (check mode) reports nothing.
 */
int	 fs_attrs_apply(struct mod *, const char *path, const struct fs_attrs *,
	    bool follow);
/* The same for a thing that was just made: part of that change, no diff of its own. */
int	 fs_attrs_quiet(struct mod *, const char *path, const struct fs_attrs *);
/* Owner, group and mode of a file open with O_PATH; path is for messages. */
int	 fs_attrs_apply_fd(struct mod *, int fd, const char *path,
	    const struct stat *, const struct fs_attrs *);
/* Adds path, mode, owner, group, uid, gid, size, state to the result, as Ansible's file modules do. */
void	 fs_result(struct mod *, const char *path);

/* "file", "directory", "link": Ansible's word for the state; others count as files. */
const char *fs_type_name(mode_t);
/* chattr's flags of a file, as a number and as letters. false: none to be had. */
bool	 fs_flags_get(const char *path, bool follow, unsigned *ret);
const char *fs_flags_text(struct arena *, unsigned);
/* Opens (O_PATH) the directory of a path's last component. -1 after mod_fail. */
int	 fs_open_parent(struct mod *, const char *path, const char **ret_base);

/* A new file .provctl-RANDOM (0600) in a directory; its name in name. -1 with errno. */
int	 fs_temp_at(int dir, char *name, size_t size);
/*
 * The same for what is to be renamed to base; keep it open until then.  Its
 * name is made of base's: what an earlier attempt has left goes (fs_replace.c).
 */
int	 fs_temp_for(int dir, const char *base, char *name, size_t size);
/* Only a free name, for a link that is to be renamed to base. 0, or -1 with errno. */
int	 fs_temp_name(int dir, const char *base, char *name, size_t size);
/* A file in memory, for content on its way. -1 after mod_fail. */
int	 fs_anonymous(struct mod *);
/* Copies to the end of file; path is for messages. -1 after mod_fail. */
int	 fs_copy_fd(struct mod *, int from, int to, const char *path);
/* Runs a `validate` command (with %s) over a file. -1 after mod_fail. */
int	 fs_validate(struct mod *, const char *command, const char *file);

/* lstat / stat: 0; 1 when there is none (ENOENT, ENOTDIR); -1 after mod_fail. */
int	 fs_lstat(struct mod *, const char *path, struct stat *);
int	 fs_stat(struct mod *, const char *path, struct stat *);
/* Reads a regular file whole, up to FS_READ_MAX. 0; 1: none; -1 after mod_fail. */
int	 fs_read(struct mod *, const char *path, struct buf *);

struct fs_replace {
	const char		*path;
	const void		*data;		/* new content, or … */
	size_t			 len;
	const struct mod_content *content;	/* … content of the controller, or … */
	int			 fd;		/* … a file to copy from (-1: none) */
	const char		*validate;	/* command with %s, or NULL */
	bool			 backup;	/* keep the old one; its name goes to result backup_file */
	bool			 force_mode;	/* new file: mode default_mode; else 0666 & ~umask */
	mode_t			 default_mode;
	const struct fs_attrs	*attrs;		/* or NULL */
	const struct buf	*xattrs;	/* exactly these (fs_xattrs_pack); NULL: the old file's */
	const struct timespec	*mtime;		/* NULL: now */
};

/*
 * Makes a file hold this content, atomically.  The caller has compared and
 * asked mod_change.  An existing file's owner and mode are kept unless attrs
 * say otherwise.  In check mode: a bug (assert).
 */
int	 fs_replace(struct mod *, const struct fs_replace *);
int	 fs_backup(struct mod *, const char *path);	/* copies to path.PID.DATE~ as Ansible does */
int	 fs_mkdir_p(struct mod *, const char *path, mode_t);	/* parents too; made ones get 0755 & ~umask */
/* Puts a link (hard: another name of the file target) in the place of what is there, which must be no directory. */
int	 fs_link(struct mod *, const char *path, const char *target, bool hard);
int	 fs_remove(struct mod *, const char *path);	/* recursive, never follows links, stays on descriptors */

/* Names and numbers; the files of /etc first, getent for others (LDAP). Cached per process until fs_ids_forget(). false: unknown. */
bool	 fs_uid(const char *name_or_number, uid_t *ret);
bool	 fs_gid(const char *name_or_number, gid_t *ret);
const char *fs_user_name(struct arena *, uid_t);	/* NULL: unknown */
const char *fs_group_name(struct arena *, gid_t);
void	 fs_ids_forget(void);				/* after a user or group changed */

/* What a path is when links are followed to their end, also where that does not exist. NULL after mod_fail (a cycle). */
const char *fs_resolve(struct mod *, const char *path);

/* ---- extended attributes, ACLs and capabilities among them (fs_xattr.c) --- */

#define FS_XATTRS_MAX	((size_t)1024 * 1024)

/* All of an open file or directory, sorted: equal when they are. Empty: none. -1 with errno; E2BIG. */
int	 fs_xattrs_pack(int fd, struct buf *);
/* Makes them exactly these. -1 after mod_fail. */
int	 fs_xattrs_apply(struct mod *, int fd, const char *path, const char *, size_t);
const char *fs_xattrs_text(struct arena *, const char *, size_t);	/* names, for people */

/* ---- walking a tree (fs_walk.c) ----------------------------------------- */

struct fs_entry {
	int		 dirfd;		/* directory that holds it */
	const char	*name;
	const char	*path;		/* top and all names; valid during the call only */
	const char	*rel;		/* names below top */
	struct stat	 st;		/* of a link: of the link itself unless followed */
	int		 depth;		/* 1: directly below top */
};

#define FS_WALK_FOLLOW	0x1	/* links to directories are entered, cycles are not */
#define FS_WALK_ERRORS	0x2	/* directories that cannot be read are told to fn (name NULL, errno) and passed over */
#define FS_DEPTH_MAX	200

/*
 * Calls fn for everything below top, parents first, sorted by name.  fn
 * returns 0 to go on, 1 not to enter this directory, -1 to stop.
 */
int	 fs_walk(struct mod *, const char *top, unsigned flags,
	    int (*fn)(struct mod *, const struct fs_entry *, void *), void *arg);

#endif
