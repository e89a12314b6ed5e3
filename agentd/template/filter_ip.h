/*
 * An address or network with what was asked of it: between ipaddr (filter_ip.c)
 * and the filters of networks (filter_net.c).
 */
#ifndef PROVCTL_TEMPLATE_FILTER_IP_H
#define PROVCTL_TEMPLATE_FILTER_IP_H

#include "template/filter_util.h"
#include "template/ipaddr.h"

struct query {
	struct tcall		*c;
	struct ipnet		 v;
	bool			 network;	/* given with a prefix */
	const struct value	*value;		/* as given, or as text where it was a number */
	struct ipnet		 inside;	/* cidr_lookup */
};

/* What a value is: an address, a network, a number. False: none of these, which is no error. */
bool	 ip_query_parse(struct query *, const struct value *, int version);
bool	 ip_single(const struct query *);	/* one address */
/* The first and last address that a host may have. */
void	 ip_usable(const struct query *, __uint128_t *first, __uint128_t *last);
/* The query's address + n; false with an error when there is no such address. */
bool	 ip_moved(struct query *, int64_t n, __uint128_t *ret);
/* An address as text, with its prefix unless that is negative. */
const struct value *ip_text(struct query *, __uint128_t addr, int prefix);
const struct value *ip_number(struct query *, __uint128_t);
bool	 ip_all_digits(const char *);

#endif
