/*
 * From a new server to a host of ours; for `onboard` and `droplet create`.
 */
#ifndef PROVCTL_CTL_ONBOARD_H
#define PROVCTL_CTL_ONBOARD_H

#include "login.h"

/* Options that both commands have: how the host is to be. */
extern const struct opt_group onboard_host_group;

/*
 * Takes a host in: see onboard.c.  what: "[USER@]HOST[:PORT]"; pin: how its
 * key may become known; vars: further variables to record, or NULL.  Returns
 * an exit code.
 */
int	 onboard_host(struct load *, const char *what, struct pin_opts pin,
	    const struct value *vars);
/*
 * A cloud-init document for a host of this name, with a host key made now
 * whose public half waits in the state.  Secret: it holds the private half.
 * NULL with diags.
 */
const char	*user_data(struct load *, const char *name);
/* Names and groups as options gave them are checked. 0, or -1 with diags. */
int	 onboard_check(struct ctl *);

/* A host leaves the inventory, its key is forgotten. Returns an exit code. */
int	 host_forget(struct load *, const char *name);

/* ---- keys of ours (ownkey.c) -------------------------------------------------- */

struct own_key {
	const char	*path;		/* private; NULL: the agent has it */
	const char	*public;	/* "type base64 comment" */
	bool		 usual;		/* found without being told */
};
/* That of --key, else of ~/.ssh, else one beside the state database, made when missing. 0, or -1 with err. */
int	 own_key(struct ctl *, struct own_key *, struct err *);
/* A new ed25519 pair: OpenSSH's private file as text, "type base64". 0, or -1 with err. */
int	 make_key(struct arena *, const char **ret_private, const char **ret_public,
	    struct err *);

#endif
