/*
 * Errors that a user can act on: where, what, why, what to do.
 *
 * Three kinds of trouble are never mixed: a user's error is a struct err
 * (this file), a host's or task's failure is a result (recorded, see run/),
 * a bug is an assert.
 *
 * The contract of every function that takes a struct err *: 0 or non-NULL is
 * success and the err is untouched; -1 or NULL is failure and the err is set.
 * The err parameter is last.  Libraries return errors and do not print.
 * Loaders collect errors in struct diags, so that one run shows them all:
 *
 *	site.yml:12:7: error: unknown parameter 'moed' of module 'file'
 *	  12 |       moed: "0644"
 *	     |       ^^^^
 *	hint: did you mean 'mode'?
 */
#ifndef PROVCTL_BASE_ERR_H
#define PROVCTL_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"

/* A text that positions refer to; lives as long as everything made from it. */
struct source {
	const char	*path;	/* as shown to the user; "<-e>" and the like for others */
	const char	*text;	/* may be NULL: then no source line is shown */
	size_t		 len;
	bool		 secret;	/* its lines are never shown (a decrypted vault) */
};

/* A position: line and column count from 1, column in characters (not bytes); line 0: the file as a whole. */
struct mark {
	const struct source	*src;	/* NULL: position unknown */
	uint32_t		 line;
	uint32_t		 col;
	uint32_t		 len;	/* characters to underline, at least 1 */
};

enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,		/* command line */
	ERR_SYNTAX,		/* text that does not parse */
	ERR_INVALID,		/* parses, but is not allowed */
	ERR_UNDEFINED,		/* undefined variable, attribute */
	ERR_TYPE,		/* an operation on the wrong type */
	ERR_VALUE,		/* a value out of range, bad argument */
	ERR_UNSUPPORTED,	/* right in Ansible, but we do not have it */
	ERR_LIMIT,		/* a size, depth or time limit */
	ERR_IO,			/* file system or network */
	ERR_AUTH,		/* refused: key, password, permission */
	ERR_HOSTKEY,		/* host key unknown or changed */
	ERR_TIMEOUT,
	ERR_BUSY,		/* locked by somebody else */
	ERR_OLD,		/* of an earlier version of the program */
	ERR_INTERNAL,
};

#define ERR_NOTES_MAX	8

/* Further places that explain an error: "included from", "variable defined here". */
struct err_note {
	struct mark	 at;
	char		*msg;	/* malloc'ed */
};

struct err {
	enum err_code	 code;
	struct mark	 at;
	char		*msg;	/* malloc'ed; one sentence without a final full stop */
	char		*hint;	/* malloc'ed or NULL: what to do */
	struct err_note	 notes[ERR_NOTES_MAX];
	unsigned	 nnotes;
};

#define ERR_INIT	{ .code = ERR_NONE }
#define CLEANUP_ERR	__attribute__((cleanup(err_release)))

void	 err_release(struct err *);	/* frees; the err is ERR_NONE again */
/* Sets (and replaces) an error; both return -1 so that callers can `return err_set(…)`. A NULL err is allowed. */
int	 err_set(struct err *, enum err_code, const char *fmt, ...)
	    ATTR_PRINTF(3, 4);
int	 err_set_at(struct err *, enum err_code, struct mark, const char *fmt, ...)
	    ATTR_PRINTF(4, 5);
int	 err_vset_at(struct err *, enum err_code, struct mark, const char *fmt, va_list)
	    ATTR_PRINTF(4, 0);
/* Like err_set, with ": strerror(errno)" appended; code ERR_IO. */
int	 err_errno(struct err *, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds context in front: "context: message". Returns -1. */
int	 err_wrap(struct err *, const char *fmt, ...) ATTR_PRINTF(2, 3);
void	 err_hint(struct err *, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds a place; silently dropped beyond ERR_NOTES_MAX. */
void	 err_note(struct err *, struct mark, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Gives the error a position if it has none yet. */
void	 err_at(struct err *, struct mark);
/* Moves an error; the source becomes ERR_NONE. */
void	 err_move(struct err *to, struct err *from);

/* The error in full (position, message, source line, carets, hint, notes), lines ended by \n. */
void	 err_format(const struct err *, bool colour, struct buf *out);

/* ---- a collection of errors and notes ---------------------------------- */

enum diag_level { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE };

struct diag {
	enum diag_level	 level;
	struct err	 err;
};

struct diags {
	struct diag	*v;
	size_t		 n, cap;
	size_t		 nerrors;
	size_t		 dropped;	/* beyond DIAGS_MAX */
};

#define DIAGS_MAX	1000
#define DIAGS_INIT	{ NULL, 0, 0, 0, 0 }
#define CLEANUP_DIAGS	__attribute__((cleanup(diags_release)))

void	 diags_release(struct diags *);
/* Takes the error over (it becomes ERR_NONE). An identical one at the same place is dropped. */
void	 diags_add(struct diags *, enum diag_level, struct err *);
/* Adds and returns the new entry's err, for err_hint and err_note; valid until the next call. Never NULL. */
struct err *diags_error(struct diags *, enum err_code, struct mark,
	    const char *fmt, ...) ATTR_PRINTF(4, 5);
struct err *diags_warn(struct diags *, struct mark, const char *fmt, ...)
	    ATTR_PRINTF(3, 4);
struct err *diags_note(struct diags *, struct mark, const char *fmt, ...)
	    ATTR_PRINTF(3, 4);
/* All of them, sorted by file and position, with a count at the end. */
void	 diags_format(struct diags *, bool colour, struct buf *out);

/* ---- spelling ----------------------------------------------------------- */

/*
 * The nearest of the candidates (NULL-terminated array) to a misspelt word by
 * Damerau-Levenshtein distance, or NULL when none is near enough to suggest.
 */
const char *nearest(const char *word, const char *const *candidates);
/* The same, one candidate at a time: start with *best = NULL, *dist = 0. */
void	 nearest_try(const char *word, const char *candidate, const char **best,
	    unsigned *dist);

#endif
