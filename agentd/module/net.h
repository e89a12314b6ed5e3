/*
 * Byte streams to other machines, for modules: connecting, TLS, reading and
 * writing with a deadline per operation, cancelled with the task.
 *
 * TLS is BearSSL's: TLS 1.2, certificates checked against the host's own
 * bundle of authorities (or a given one), the name against the certificate
 * (DNS names and IP addresses), expiry, chains; see exec/README.md for why.
 */
#ifndef PROVCTL_MODULE_NET_H
#define PROVCTL_MODULE_NET_H

#include "module/module.h"

#define NET_CA_BUNDLE	"/etc/ssl/certs/ca-certificates.crt"

struct tls;

struct tls_opts {
	const char	*host;		/* the name that the certificate must show; a name is sent as SNI */
	bool		 verify;
	const char	*ca_path;	/* file of PEM certificates; NULL: the host's bundle */
	const char	*client_cert;	/* PEM file (may hold the key, too), or NULL */
	const char	*client_key;	/* PEM file, or NULL */
};

struct net {
	struct mod	*m;
	int		 fd;		/* -1: closed */
	struct tls	*tls;		/* NULL: in the clear */
	int		 timeout_ms;	/* of each operation */
};

#define CLEANUP_NET	__attribute__((cleanup(net_close)))

/* All of the name's addresses are tried. 0, or -1 with err. */
int	 net_connect(struct mod *, struct net *, const char *host, int port,
	    int timeout_ms, struct err *);
int	 net_connect_unix(struct mod *, struct net *, const char *path,
	    int timeout_ms, struct err *);
/* TLS from here on. -1 with err: ERR_AUTH when it is about certificates. */
int	 net_start_tls(struct net *, const struct tls_opts *, struct err *);
/* Bytes read, 0 at the end, -1 with err. */
ssize_t	 net_read(struct net *, void *, size_t, struct err *);
/* Writes everything. 0, or -1 with err. */
int	 net_write(struct net *, const void *, size_t, struct err *);
void	 net_close(struct net *);
/* Says goodbye to the writing side (TCP or TLS close), for protocols that end so. */
void	 net_end(struct net *);
/* Waits until the descriptor is ready. 0, or -1 with err (timeout, cancelled). */
int	 net_wait(struct net *, short events, struct err *);

/* tls.c; raw reads and writes of one operation: below these is only the socket. */
ssize_t	 net_raw_read(struct net *, void *, size_t, struct err *);
ssize_t	 net_raw_write(struct net *, const void *, size_t, struct err *);
ssize_t	 tls_read(struct net *, void *, size_t, struct err *);
int	 tls_write(struct net *, const void *, size_t, struct err *);
void	 tls_free(struct net *);

#endif
