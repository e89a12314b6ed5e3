/*
 * Editing a text file: what lineinfile, blockinfile, replace and ini_file share.
 *
 * Files are bytes: lines end at \n, anything else, also no text at all, passes
 * through unharmed.  A link is followed (the file behind it is edited), as
 * Ansible does.
 */
#ifndef PROVCTL_MODULE_EDIT_H
#define PROVCTL_MODULE_EDIT_H

#include "base/buf.h"
#include "module/fs.h"

struct edit {
	const char	*given;		/* path as in the task */
	const char	*path;		/* links followed */
	bool		 exists;
	struct buf	 old;
	struct fs_attrs	 attrs;
};

#define CLEANUP_EDIT	__attribute__((cleanup(edit_release)))

/* Rows shared by them; `path` is a row of its own since aliases differ. */
#define EDIT_ARGS							\
	{ .name = "backup", .type = ARG_BOOL, .def = "false",		\
	    .doc = "Keeps the old file under a name with the time." },	\
	{ .name = "validate", .type = ARG_STR,				\
	    .doc = "Command that checks the new file (%s) before it replaces the old one." }, \
	{ .name = "encoding", .type = ARG_STR, .def = "utf-8",		\
	    .choices = "utf-8,UTF-8,utf8", .doc = "Only UTF-8." }

/*
 * Reads the file named by `path`.  0; 1: there is none, which in a check run may
 * be because an earlier task would make it; -1 after mod_fail.
 */
int	 edit_open(struct mod *, struct edit *);
int	 edit_open_path(struct mod *, struct edit *, const char *path);
/* There is no file: fails (with rc 257), or in a check run assumes one and predicts a change (then 0). */
int	 edit_missing(struct mod *, struct edit *);
/* Makes the file hold the new text (missing directories are made), or only sees to owner and mode. */
int	 edit_commit(struct mod *, struct edit *, const struct buf *new);
void	 edit_release(struct edit *);

/* Lines of a text, each with its \n; only the last may lack one. */
struct line {
	const char	*s;
	size_t		 n;		/* with the newline */
};

struct lines {
	struct arena	*arena;
	struct line	*v;
	size_t		 n, cap;
};

void	 lines_split(struct lines *, struct arena *, const char *, size_t);
void	 lines_insert(struct lines *, size_t at, const char *, size_t);
void	 lines_delete(struct lines *, size_t from, size_t to);	/* to: exclusive */
void	 lines_join(const struct lines *, struct buf *);
/* Length of a line without its \n and \r\n. */
size_t	 line_len(const struct line *);
bool	 line_is(const struct line *, const char *, size_t);	/* ends of line apart */
/* The last of the first k lines gets a newline if it has none. */
void	 lines_end_at(struct lines *, size_t k);

#endif
