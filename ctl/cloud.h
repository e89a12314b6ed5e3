/*
 * Machines of a provider: a small interface, and a provider behind it.
 *
 * To add a provider: a file with its struct provider, and a command like
 * droplet.c that names it.
 */
#ifndef PROVCTL_CTL_CLOUD_H
#define PROVCTL_CTL_CLOUD_H

#include "cmd.h"

/* An account at a provider. */
struct cloud {
	struct ctl		*ctl;
	const char		*url;		/* of the API, without a slash at the end */
	const char		*token;
	void			*curl;		/* cloud_http.c */
};

struct machine_spec {
	const char		*name, *region, *size, *image, *user_data;
	const struct value	*ssh_keys, *tags;	/* lists */
};

/*
 * Machines are maps: id (an integer), name, status ("new", "active", …),
 * address (public IPv4, else IPv6, or null), region, size, created.  All
 * functions: NULL (or -1) with err.
 */
struct provider {
	const char	*name, *url;
	const char	*const *token_env;	/* NULL-terminated */
	const struct value *(*create)(struct cloud *, const struct machine_spec *, struct err *);
	const struct value *(*get)(struct cloud *, int64_t id, struct err *);
	const struct value *(*list)(struct cloud *, const char *tag, struct err *);
	int		(*destroy)(struct cloud *, int64_t id, struct err *);
};

extern const struct provider provider_digitalocean;

/* ---- cloud_http.c: JSON over HTTPS -------------------------------------------- */

#define HTTP_OK(status)	((status) >= 200 && (status) < 300)

/*
 * One request; path begins with a slash; body: JSON or NULL.  Waits when the
 * API says that there were too many, repeats what may be repeated (GET,
 * DELETE) when the server or the network fails.  Returns the status code with
 * the answer (null when it has none), or -1 with err when there was no answer
 * or none that can be understood.
 */
int		 cloud_request(struct cloud *, const char *method, const char *path,
		    const struct value *body, const struct value **ret, struct err *);
void		 cloud_close(struct cloud *);

#endif
