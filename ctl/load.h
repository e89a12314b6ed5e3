/*
 * What commands load: vault passwords, variables, inventory, site, state.
 *
 * All functions add what is wrong to ctl->diags and return -1 (or NULL).
 */
#ifndef PROVCTL_CTL_LOAD_H
#define PROVCTL_CTL_LOAD_H

#include "cmd.h"
#include "inventory/vault.h"
#include "state/sites.h"
#include "state/state.h"

struct load {
	struct ctl		*ctl;
	struct state		*state;		/* NULL: not opened */
	struct vault		*vault;
	struct yaml_opts	 yaml;
	struct inventory	*inventory;
	const struct value	*extra;		/* map; templates compiled */
	struct site		*site;
	char			 site_id[SITE_ID];	/* its snapshot; "": not kept */
	/* What will be run of the site; set before load_site(). */
	const char *const	*tags, *const *skip_tags;
	const char		*limit;
	const struct value	*given;		/* hosts as state_hosts() lists them: the whole inventory; NULL: as options say */
	bool			 from_state;	/* hosts are those that the state knows */
};

void	 load_init(struct load *, struct ctl *);
void	 load_release(struct load *);
/* The state database of --state or the usual place; flags: STATE_READ_ONLY. */
int	 load_state(struct load *, unsigned flags);
/* For reading, when it is there; what is wrong with one that is there is an error. */
int	 load_state_if_any(struct load *);
/* For run_opts.facts, with the state as its argument: what is on record of a host, or NULL. */
const struct value *load_facts(void *state, struct arena *, const char *host);
/* A password from a file's first line, or (NULL) asked for; what: "login password". Only once: who runs a site twice (first a check) gets it again. NULL with err. */
const char *load_password(struct ctl *, const char *file, const char *what,
	    const char *instead, struct err *);
/* Passwords of --vault-password-file and the like. */
int	 load_vault(struct load *, const char *site_dir);
/* Vault, variables and inventory; the site's directory says where to look for the latter. */
int	 load_inventory(struct load *, const char *site_dir);
/* All of that and the playbook. */
int	 load_site(struct load *, const char *path);
/* A run by its number, or "last"; that one is no check if `changing`. 0 with err. */
int64_t	 load_run_number(struct ctl *, struct load *, const char *text, bool changing, struct err *);
/* -e: the variables of one argument are laid over the map. */
int	 load_extra(struct load *, struct value *map, const char *text);

#endif
