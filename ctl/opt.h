/*
 * Command line options as rows of data: one row feeds parsing, checking, the
 * help text and completion.
 *
 * Parsing is getopt_long's: -l, -lVALUE, -abc, --name, --name=VALUE, options
 * and arguments in any order, `--` ends options.  A long option may not be
 * shortened: what a script wrote must mean the same in the next version.
 */
#ifndef PROVCTL_CTL_OPT_H
#define PROVCTL_CTL_OPT_H

#include <stddef.h>

#include "base/err.h"
#include "base/value.h"

enum opt_type {
	OPT_FLAG,	/* bool: set */
	OPT_COUNT,	/* int: counted */
	OPT_STR,	/* const char *: the last one counts */
	OPT_INT,	/* int, between min and max */
	OPT_LIST,	/* struct words: each adds one */
	OPT_COMMAS,	/* struct words: split at commas */
	OPT_CHOICE,	/* const char *: one of choices */
};

struct words {
	const char	**v;		/* NULL-terminated when n > 0 */
	unsigned	  n;
};

struct opt {
	char		 letter;	/* 0: none */
	const char	*name;		/* NULL ends the rows */
	enum opt_type	 type;
	size_t		 offset;	/* in struct settings */
	const char	*arg;		/* as in help; NULL for flags */
	const char	*doc;
	const char	*choices;	/* "a,b" */
	int		 min, max;
};

/* A heading of the help text with its rows. */
struct opt_group {
	const char		*title;
	const struct opt	*rows;
};

/* Parses argv into settings; arguments that are no options go to args. 0, or -1 with err. */
int	 opt_parse(struct arena *, const struct opt_group *const *groups,
	    void *settings, char **argv, struct words *args, struct err *);
void	 opt_help(struct buf *, const struct opt_group *const *groups);
/* Names for completion, a line each: the name, a tab, what it is for. */
void	 opt_names(struct arena *, struct buf *, const struct opt_group *const *groups);
void	 words_add(struct arena *, struct words *, const char *);
/* Adds text wrapped to 80 columns, every line indented. */
void	 help_wrap(struct buf *, unsigned indent, unsigned at, const char *text);

#endif
