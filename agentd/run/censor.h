/*
 * A set of secrets, and texts without them.  Everything that the engine tells
 * its listeners goes through one of these (emit.c).
 */
#ifndef PROVCTL_RUN_CENSOR_H
#define PROVCTL_RUN_CENSOR_H

#include "base/value.h"

#define CENSOR_MIN	4	/* shorter secrets would censor half of any text */
#define CENSORED	"********"

struct censor;

/* Lives in the arena, with copies of all that is added. */
struct censor	*censor_new(struct arena *);
/* Adds a secret in all its forms; blanks around it are no part of it. What is shorter than CENSOR_MIN is left out. NUL may be inside. */
void		 censor_add(struct censor *, const char *, size_t);
bool		 censor_hits(const struct censor *, const char *, size_t);
/* Also in lists and maps, keys included. */
bool		 censor_hits_in(const struct censor *, const struct value *);
/* The text itself when nothing was censored, else in the arena. A NULL censor censors nothing; NULL gives NULL. */
const char	*censor_text(const struct censor *, struct arena *, const char *);
/*
 * Every string below v, keys included: secret values (V_SECRET) as a whole,
 * secrets within others.  v itself when there is nothing to censor.
 */
const struct value *censor_value(const struct censor *, struct arena *, const struct value *);

#endif
