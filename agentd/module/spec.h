/*
 * What the files that check arguments (spec.c, spec_rules.c) share.
 */
#ifndef PROVCTL_MODULE_SPEC_H
#define PROVCTL_MODULE_SPEC_H

#include "module/module.h"

/* One check under way. */
struct spec {
	struct arena		*arena;
	const struct module	*module;
	const char		*where;		/* "module 'copy'" or "'x' of module 'copy'" */
	struct mark		 at;
	bool			 partial;
	bool			 bad;
	struct diags		*diags;
	const struct mod_rule	*rules;
};

/* An error at the value (NULL: at the task); the check has failed. Returned for a hint. */
struct err	*spec_fail(struct spec *, const struct value *, enum err_code,
		    const char *, ...) ATTR_PRINTF(4, 5);
/* Takes the next element off a comma-separated list; NULL at its end. */
const char	*spec_next_name(struct arena *, const char **list);
/* A scalar as Python's str() writes it; NULL for others. */
const struct value *spec_text(struct spec *, const struct value *);
/* Early rules look at what was given, the others at defaults as well. */
void		 spec_check_rules(struct spec *, const struct value *args, bool early);

#endif
