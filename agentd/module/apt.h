/*
 * What the apt modules share: starting apt-get safely, waiting for its locks.
 */
#ifndef PROVCTL_MODULE_APT_H
#define PROVCTL_MODULE_APT_H

#include "module/dpkg.h"
#include "module/module.h"
#include "module/proc.h"

#define APT_LISTS	"/var/lib/apt/lists"
#define APT_WORDS_MAX	4096

/* A command line under construction. */
struct apt_cmd {
	struct arena	 *a;
	const char	**v;
	size_t		  n, cap;
};

void	 apt_add(struct apt_cmd *, const char *word);
/* Starts with `apt-get -y` and what every run of it has in common. */
void	 apt_begin(struct mod *, struct apt_cmd *, const char *program);

/*
 * Runs it once the locks are free, for up to the argument lock_timeout; again
 * when somebody else was faster.  Output and status are in *p.  0; -1 after
 * mod_fail, which names the holder of the lock.  query: changes nothing
 * (allowed in check mode, needs no lock).
 */
int	 apt_run(struct mod *, struct apt_cmd *, struct proc *p, int64_t lock_timeout_s,
	    bool query);
/* Makes a failed run a failed result. -1. */
int	 apt_failed(struct mod *, const struct apt_cmd *, struct proc *p);
/* rc is 0; stdout and stderr go to the result. */
void	 apt_result(struct mod *, const struct proc *p);

/* Time of the last update of the lists, in seconds; 0: never. */
int64_t	 apt_lists_time(void);
/* Updates the lists, with retries. Sets *ret_changed when they differ then. -1 after mod_fail. */
int	 apt_update(struct mod *, int64_t retries, int64_t max_delay_s,
	    int64_t lock_timeout_s, bool *ret_changed);

/* Fetches a URL into a temporary file, also in a check run; its path, or NULL after mod_fail. The caller unlinks it. */
const char *apt_download(struct mod *, const char *url);

/* A package's name, with :arch; wildcards are names too. */
bool	 apt_name_valid(const char *, size_t);

#endif
