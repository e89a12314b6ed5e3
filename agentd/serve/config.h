/*
 * agentd.yml: which sites are looked after and when.
 *
 *	sites:
 *	  - path: /srv/shop/site.yml	# the playbook, absolute
 *	    name: shop			# otherwise its folder's name
 *	    drift: nightly, 03:10	# times: see there
 *	    correct: yes		# otherwise differences are only found
 *	    spread: 20			# minutes: begins within so many after the time
 *	    limit: web			# only these hosts
 *	retries: yes			# what is due is tried again
 *	probe: 45			# seconds: so often it is looked whether hosts are back that did not answer; no
 *	resume: own			# runs that were killed go on: own, all, no
 *	jobs: 2				# scheduled ones at the same time
 *	stop_after: 60			# seconds that runs have to end by themselves when we stop
 *	keep_connections: 10m		# hosts stay connected for so long between runs; 0: not
 *	socket: {group: ops}		# members may look, cancel, start sites; not run others
 *	on_give_up: {command: [/usr/local/bin/page-me], webhook: "https://…"}
 *	page: {listen: 127.0.0.1:8910, token_file: page.token}
 *
 * A site is looked after as it was last applied, with the inventory and the
 * options of that run (`provctl drift`); so they do not stand here.  Relative
 * paths are below the folder of the file.  All errors are told at once.
 *
 * `provctl schedule set` adds sites without the file: they are a note in the
 * database, a list of the same maps.  A name is in one of the two places only.
 */
#ifndef PROVCTL_SERVE_CONFIG_H
#define PROVCTL_SERVE_CONFIG_H

#include "base/value.h"
#include "serve/times.h"

#define CONFIG_SITES_MAX	1000

struct config_site {
	const char		 *name, *path;
	const char		 *key;		/* "name: drift": other times are another plan */
	const char		 *limit;	/* hosts, or NULL: all that it was applied to */
	const char		 *drift;	/* as written */
	struct times		  times;
	bool			  correct;
	int			  spread;	/* minutes */
	struct mark		  mark;		/* in the file; without a source: it is of the note */
};

enum config_resume { RESUME_NO, RESUME_OWN, RESUME_ALL };

struct config {
	struct arena		  arena;
	struct config_site	 *sites;
	uint32_t		  nsites;
	bool			  retries;
	int			  probe;		/* seconds; 0: no */
	enum config_resume	  resume;
	int			  jobs, stop_after, keep_connections;	/* seconds */
	const char		 *group;		/* or NULL */
	const char *const	 *command;		/* on_give_up, NULL-terminated, or NULL */
	const char		 *webhook;		/* or NULL */
	const char		 *page_listen, *page_token_file;	/* or NULL */
};

/* What is in force without a file. */
void	 config_init(struct config *);
/* Reads the file. 0, or -1 with diags; release in any case, after the diags: they point into it. */
int	 config_load(const char *path, struct config *, struct diags *);
void	 config_release(struct config *);
/* Adds the sites of the note. 0, or -1 with diags. */
#define CONFIG_NOTE	"schedule"
int	 config_add(struct config *, const struct value *note, struct diags *);
/* The site with that name; NULL: none, *ret_near (or NULL) may be meant. */
const struct config_site *config_site(const struct config *, const char *name, const char **ret_near);
/* What a site is called unless it is given a name: its folder. */
const char *config_name(struct arena *, const char *path);
/* The usual path: /etc/provctl/agentd.yml for root and users without a home of their own, else $XDG_CONFIG_HOME/provctl/agentd.yml. */
const char *config_default_path(struct arena *);

#endif
