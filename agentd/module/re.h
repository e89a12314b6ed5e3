/*
 * Regular expressions for modules, with the meaning of Python's `re`, by PCRE2.
 *
 * Patterns are translated where the two differ (\Z, {,n}, [[ in sets, \uXXXX,
 * the flags a and u); newline is \n only; limits on matching make a pattern
 * that explodes an error instead of a hang.
 */
#ifndef PROVCTL_MODULE_RE_H
#define PROVCTL_MODULE_RE_H

#include "base/buf.h"
#include "module/module.h"

#define RE_MULTILINE	0x1
#define RE_DOTALL	0x2
#define RE_TEXT		0x4	/* characters, not bytes: subjects must be valid UTF-8 */
#define RE_ANCHORED	0x8	/* Python's match() */

struct re;

#define RE_GROUPS_MAX	100

struct re_match {
	uint32_t	 n;	/* groups, with the whole match */
	size_t		 start[RE_GROUPS_MAX], end[RE_GROUPS_MAX];	/* (size_t)-1: did not take part */
};

#define CLEANUP_RE	__attribute__((cleanup(re_cleanup)))

/* what names the argument in messages. NULL after mod_fail. */
struct re *re_compile(struct mod *, const char *what, const char *pattern,
	    unsigned flags);
void	 re_free(struct re *);
void	 re_cleanup(struct re **);
/* Whether the pattern itself asks for (?m). */
bool	 re_is_multiline(const struct re *);
/* Number of a named group, -1: none. */
int	 re_group(const struct re *, const char *name);
/* From offset on: 1 found, 0 not, -1 after mod_fail (limits). */
int	 re_search(struct mod *, const struct re *, const char *, size_t len,
	    size_t offset, struct re_match *);
/* Appends a replacement template (\1, \g<name>, \n …) filled in. -1 after mod_fail. */
int	 re_expand(struct mod *, const struct re *, const struct re_match *,
	    const char *subject, const char *tmpl, struct buf *out);
/* Replaces all matches; count in *ret_n. -1 after mod_fail. */
int	 re_sub(struct mod *, const struct re *, const char *tmpl, const char *,
	    size_t len, struct buf *out, uint32_t *ret_n);
/* The name of a group ((?P<name>…)), or NULL. */
const char *re_group_name(const struct re *, uint32_t group);

#endif
