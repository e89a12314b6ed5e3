/*
 * Before there is a run: who answers at a host, and whether a login works.
 */
#ifndef PROVCTL_CTL_LOGIN_H
#define PROVCTL_CTL_LOGIN_H

#include "inventory/sshconf.h"
#include "load.h"

/* Where a host is and how it is reached; what ssh_config says is worked in. */
struct target {
	const char		*alias;		/* as the inventory will have it: ansible_host */
	const char		*host;		/* where to connect */
	int			 port;
	const char		*user;		/* of the first login */
	const char		*jump;
	const struct sshconf	*sshconf;
	struct load		*load;		/* whose state has the keys */
	int			 timeout_ms;	/* of each step; 0: as usual */
	bool			 lax_kex;	/* without strict key exchange, jump hosts too */
};

/* "[USER@]HOST[:PORT]"; port 0: not said otherwise. 0, or -1 with diags. */
int	 target_parse(struct load *, const char *text, int port, struct target *);

/* "SHA256:…" as OpenSSH prints it, of "type base64"; "?" for what is no key. */
const char	*key_fingerprint(struct arena *, const char *key);

/* How a host key that is not pinned yet may become so. */
struct pin_opts {
	const char	*fingerprint;	/* that it must have, or NULL */
	const char	*published;	/* name under which --user-data left a key, or NULL */
	bool		 accept;	/* without a question */
	bool		 renew;		/* forget the one that is pinned */
	int		 wait_ms;	/* for a host that does not answer yet */
};
/* Sees to it that a key of the target is pinned. 0, or -1 with diags. */
int	 pin_host(const struct target *, const struct pin_opts *);

/*
 * Logs in and starts the executor as root.  key: the only one, or NULL for the
 * usual ones; password: or NULL.  0, or -1 with err (ERR_AUTH: refused).
 */
struct login {
	const char	*user, *key, *password, *become_password;
};
int	 try_login(const struct target *, const struct login *, struct err *);

#endif
