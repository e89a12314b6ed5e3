/*
 * IP addresses and networks, as Python's netaddr knows them: a 128-bit number,
 * a version and a prefix length.  An address keeps its host bits within its
 * network (192.0.2.5/24).
 */
#ifndef PROVCTL_TEMPLATE_IPADDR_H
#define PROVCTL_TEMPLATE_IPADDR_H

#include "base/buf.h"

struct ipnet {
	__uint128_t	 addr;
	int		 version;	/* 4 or 6 */
	int		 prefix;
};

static inline int
ip_bits(int version)
{
	return version == 4 ? 32 : 128;
}

/* "192.0.2.1", "2001:db8::1"; version 0: either. */
bool		 ip_parse_addr(const char *, int version, struct ipnet *);
/* The same with /24 or /255.255.255.0 or /0.0.0.255, which may be missing. */
bool		 ip_parse_net(const char *, int version, struct ipnet *);
void		 ip_put(struct buf *, int version, __uint128_t addr);
void		 ip_put_decimal(struct buf *, __uint128_t);

__uint128_t	 ip_hostmask(const struct ipnet *);
__uint128_t	 ip_first(const struct ipnet *);
__uint128_t	 ip_last(const struct ipnet *);
/* All of inner lies in outer. */
bool		 ip_within(const struct ipnet *outer, const struct ipnet *inner);
/* The address (not its network) lies in a network given as text. */
bool		 ip_in(const struct ipnet *, const char *net);
bool		 ip_is_global(const struct ipnet *);
bool		 ip_is_multicast(const struct ipnet *);
bool		 ip_is_loopback(const struct ipnet *);
bool		 ip_is_netmask(const struct ipnet *);
bool		 ip_is_hostmask(const struct ipnet *);
bool		 ip_is_reserved(const struct ipnet *);

/* A MAC address in any of the usual spellings. */
bool		 mac_parse(const char *, uint64_t *);

#endif
