/*
 * Texts of crontabs, as Ansible keeps them: a line `#Ansible: NAME` before
 * each job.
 */
#ifndef PROVCTL_MODULE_CRON_H
#define PROVCTL_MODULE_CRON_H

#include "module/module.h"

/* The lines without what crontab(1) puts before them. */
struct value	*cron_lines(struct arena *, const char *, size_t);
const char	*cron_text(struct arena *, const struct value *lines, size_t *ret_len);
/* Sets (job NULL: removes) the job of this name. True when the lines differ then. */
bool		 cron_set_job(struct arena *, struct value **lines, const char *name, const char *job);
/* Sets (value NULL: removes) a variable; a new one goes after or before another, or to the top. */
bool		 cron_set_env(struct arena *, struct value **lines, const char *name,
		    const char *value, const char *after, const char *before);
/* Names of the jobs, or of the variables. */
struct value	*cron_names(struct arena *, const struct value *lines, bool env);

#endif
