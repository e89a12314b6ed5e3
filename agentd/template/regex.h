/*
 * Regular expressions with the meaning Python's `re` gives them.
 *
 * A pattern is translated to PCRE2's syntax: what the two share is passed on,
 * what differs is rewritten (\Z, \v, \uXXXX, {,n}, [ inside a class, named
 * groups), what Python does not know is the error it would give ("bad escape
 * \h", "unknown extension ?<n").  Names of groups are kept here, PCRE2 sees
 * numbers only.
 *
 * Compiled patterns are cached per thread; a pattern that is used often is
 * compiled to machine code.  Matching is bounded: a pattern that backtracks
 * without end is ERR_LIMIT, never a hang.
 */
#ifndef PROVCTL_TEMPLATE_REGEX_H
#define PROVCTL_TEMPLATE_REGEX_H

#include "base/value.h"

#define REGEX_ICASE	0x01
#define REGEX_MULTI	0x02

/* How a match may lie in the subject. */
enum regex_how { REGEX_SEARCH, REGEX_MATCH, REGEX_FULL };

#define REGEX_PATTERN_MAX	((size_t)64 * 1024)

struct regex;

/* A match: offsets of group i are at[2 * i] and at[2 * i + 1], REGEX_UNSET when it took no part. */
struct regex_match {
	const size_t	*at;		/* valid until the next regex_exec() */
	uint32_t	 n;		/* groups and the whole */
};
#define REGEX_UNSET	(~(size_t)0)

/* Valid until the next call. NULL with err: ERR_VALUE, Python's message. */
const struct regex *regex_get(const char *pattern, size_t len, unsigned flags,
	    struct err *);
uint32_t	 regex_ngroups(const struct regex *);
/* The number of a named group, 0 when there is none. */
uint32_t	 regex_group(const struct regex *, const char *name, size_t len);

/* 1 match, 0 none, -1 with err. notempty: no empty match at `from`. */
int		 regex_exec(const struct regex *, const char *, size_t len,
	    size_t from, enum regex_how, bool notempty, struct regex_match *,
	    struct err *);

/*
 * Calls each for the matches one after the other, as re.finditer() finds
 * them.  each returns 0 to go on; 1 ends the walk.  Number of matches, or -1.
 */
int64_t		 regex_each(const struct regex *, const char *, size_t len,
	    int (*each)(void *arg, const struct regex_match *), void *arg,
	    struct err *);

/*
 * re.subn(): appends the text with at most max matches (0: all) replaced by
 * the template (\1, \g<name>, \n …).  Number of replacements, or -1.
 */
int64_t		 regex_sub(const struct regex *, const char *tmpl, size_t tlen,
	    const char *, size_t len, uint64_t max, struct buf *, struct err *);

/* re.escape() */
void		 regex_escape(struct buf *, const char *, size_t);

#endif
