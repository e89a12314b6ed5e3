/*
 * Command lines as words, the way a POSIX shell (and Python's shlex) splits
 * them: blanks separate, quotes and backslashes protect.  Nothing is expanded.
 */
#ifndef PROVCTL_MODULE_WORDS_H
#define PROVCTL_MODULE_WORDS_H

#include "module/module.h"

/* A NULL-terminated array in m->arena; NULL when a quote is not closed. */
const char *const *words_split(struct mod *, const char *);
/* The same words with each occurrence of what replaced. */
const char *const *words_subst(struct mod *, const char *const *,
	    const char *what, const char *with);
/* Words joined by blanks, quoted for a shell where needed. */
const char	*words_join(struct arena *, const char *const *);

#endif
