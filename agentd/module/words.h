/*
 * Command lines as words, the way a POSIX shell (and Python's shlex) splits
 * them: blanks separate, quotes and backslashes protect.  Nothing is expanded.
 */
#ifndef PROVCTL_MODULE_WORDS_H
#define PROVCTL_MODULE_WORDS_H

#include "module/module.h"

/* A command line in the making; begins as { .arena = … }. */
struct words {
	struct arena	 *arena;
	const char	**v;		/* NULL-terminated; NULL: no words yet */
	size_t		  n, cap;
};

void		 words_push(struct words *, const char *);
/* Both may be added to from here on. */
struct words	 words_copy(const struct words *);
/* A NULL-terminated array in m->arena; NULL when a quote is not closed. */
const char *const *words_split(struct mod *, const char *);
/* The same words with each occurrence of what replaced. */
const char *const *words_subst(struct mod *, const char *const *,
	    const char *what, const char *with);
/* Words joined by blanks, quoted for a shell where needed. */
const char	*words_join(struct arena *, const char *const *);

#endif
