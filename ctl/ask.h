/*
 * Asking the person at the terminal, and passwords from files.
 */
#ifndef PROVCTL_CTL_ASK_H
#define PROVCTL_CTL_ASK_H

#include "base/err.h"
#include "base/value.h"

/* Questions go to this terminal instead of the controlling one: agentd has passed it on. */
void		 ask_at(int fd);
/*
 * One line from the controlling terminal, in the arena; secret: not echoed.
 * NULL: there is no terminal, end of input, or interrupted (then SIGINT has
 * been raised for ourselves).  The terminal's settings are restored in any case.
 */
const char	*ask(struct arena *, const char *prompt, bool secret);
/* A password asked for. NULL with err when there is no terminal; what: "the vault password". */
const char	*ask_password(struct arena *, const char *what, const char *instead,
		    struct err *);
/* The first line of a file ("-": standard input). NULL with err. */
const char	*read_password(struct arena *, const char *path, struct err *);

#endif
