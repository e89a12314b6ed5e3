/*
 * Putting one file in its place: what copy, template and assemble share.
 */
#ifndef PROVCTL_MODULE_PLACE_H
#define PROVCTL_MODULE_PLACE_H

#include "module/fs.h"

struct place {
	const char		*dest;		/* the file itself, not a directory */
	/* The content, one of: */
	const void		*data;		/* in memory */
	size_t			 len;
	const struct mod_content *content;	/* of the controller */
	const char		*src;		/* a file of the host */
	bool			 secret;	/* never shown in a diff */
	mode_t			 src_mode;	/* for mode: preserve */
	const struct fs_attrs	*attrs;
	const char		*validate;
	bool			 backup;
	bool			 no_force;	/* an existing file is left as it is */
	bool			 follow;	/* dest is a link: write what it points to */
	bool			 result;	/* put checksum, md5sum, dest … into the result */
};

/*
 * Compares and, where needed, replaces; then owner and mode.  All through
 * mod_change.  0, or -1 after mod_fail.
 */
int	 place_file(struct mod *, const struct place *);

/* Makes a missing directory and its missing parents, each through mod_change and with these attributes. */
int	 place_dirs(struct mod *, const char *path, const struct fs_attrs *);

/*
 * dest as a file: with a final slash, or where it is a directory, name is
 * added.  *ret_dir: the directory that may have to be made, or NULL.
 */
const char *place_dest(struct mod *, const char *dest, const char *name,
	    const char **ret_dir);

/* Rows shared by copy and template. */
#define PLACE_ARGS							\
	{ .name = "dest", .type = ARG_PATH, .flags = ARG_REQUIRED,	\
	    .doc = "Where the file goes, absolute; a directory takes the source's name." }, \
	{ .name = "backup", .type = ARG_BOOL, .def = "false",		\
	    .doc = "Keeps the replaced file under a name with the time." }, \
	{ .name = "force", .type = ARG_BOOL, .def = "true",		\
	    .doc = "No: an existing file is left as it is." },		\
	{ .name = "follow", .type = ARG_BOOL, .def = "false",		\
	    .doc = "Writes to what a link at dest points to, instead of replacing the link." }, \
	{ .name = "validate", .type = ARG_STR,				\
	    .doc = "Command that checks the new file (%s) before it replaces the old one." }

#endif
