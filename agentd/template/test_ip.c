/*
 * Tests of addresses and networks, of ansible.utils: what Python's ipaddress
 * says of them.
 */
#include <string.h>

#include "template/filter_util.h"
#include "template/ipaddr.h"
#include "template/regex.h"

static bool
test_addr(struct tcall *c, int version, struct ipnet *v)
{
	return c->in->type == V_STR && memchr(c->in->u.s, '\0', c->in->len) == NULL &&
	    ip_parse_addr(c->in->u.s, version, v);
}

/* An address; an IPv4 address mapped into IPv6 counts as that. */
static bool
test_special(struct tcall *c, struct ipnet *v)
{
	if (!test_addr(c, 0, v))
		return false;
	if (v->version == 6 && v->addr >> 32 == 0xffff) {
		v->version = 4;
		v->addr &= 0xffffffffu;
		v->prefix = 32;
	}
	return true;
}

/* Networks as Python's ipaddress: no host bits. */
static bool
test_net(struct tcall *c, const struct value *v, int version, struct ipnet *net)
{
	(void)c;
	return v != NULL && v->type == V_STR && memchr(v->u.s, '\0', v->len) == NULL &&
	    ip_parse_net(v->u.s, version, net) && net->addr == ip_first(net);
}

static int
t_ip(struct tcall *c)
{
	struct ipnet v;

	return test_net(c, c->in, 0, &v);
}

static int
t_ip_address(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 0, &v);
}

static int
t_ipv4(struct tcall *c)
{
	struct ipnet v;

	return test_net(c, c->in, 4, &v);
}

static int
t_ipv4_address(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 4, &v);
}

static int
t_ipv4_netmask(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 4, &v) && ip_is_netmask(&v);
}

static int
t_ipv4_hostmask(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 4, &v) && ip_is_hostmask(&v);
}

static int
t_ipv6(struct tcall *c)
{
	struct ipnet v;

	return test_net(c, c->in, 6, &v);
}

static int
t_ipv6_address(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 6, &v);
}

static int
t_ipv6_ipv4_mapped(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 6, &v) && v.addr >> 32 == 0xffff;
}

static int
t_loopback(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 0, &v) && ip_is_loopback(&v);
}

static int
t_multicast(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 0, &v) && ip_is_multicast(&v);
}

static int
t_private(struct tcall *c)
{
	struct ipnet v;

	return test_special(c, &v) && !ip_is_global(&v) && !(v.version == 4 && ip_in(&v, "100.64.0.0/10"));
}

static int
t_public(struct tcall *c)
{
	struct ipnet v;

	return test_special(c, &v) && ip_is_global(&v);
}

static int
t_reserved(struct tcall *c)
{
	struct ipnet v;

	return test_special(c, &v) && ip_is_reserved(&v);
}

static int
t_unspecified(struct tcall *c)
{
	struct ipnet v;

	return test_addr(c, 0, &v) && v.addr == 0;
}

static int
t_in_network(struct tcall *c)
{
	struct ipnet v, net;

	return c->in->type == V_STR && ip_parse_net(c->in->u.s, 0, &v) &&
	    test_net(c, c->a[0], 0, &net) && ip_within(&net, &v);
}

static int
t_supernet_of(struct tcall *c)
{
	struct ipnet v, net;

	return c->a[0] != NULL && c->a[0]->type == V_STR && ip_parse_net(c->a[0]->u.s, 0, &v) &&
	    test_net(c, c->in, 0, &net) && ip_within(&net, &v);
}

static int
t_in_any_network(struct tcall *c)
{
	const struct vlist *l = c->a[0] != NULL ? fu_list(c, c->a[0]) : NULL;
	struct ipnet v, net;

	if (l == NULL)
		return c->a[0] == NULL ? terr_i(c, ERR_TYPE, "%s: missing argument", c->name) : -1;
	if (c->in->type != V_STR || !ip_parse_net(c->in->u.s, 0, &v))
		return 0;
	for (uint32_t i = 0; i < l->n; i++)
		if (test_net(c, l->v[i], 0, &net) && ip_within(&net, &v))
			return 1;
	return 0;
}

static int
t_mac(struct tcall *c)
{
	static const char pattern[] = "(?i)^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|"
	    "^([0-9a-f]{4}\\.[0-9a-f]{4}\\.[0-9a-f]{4})$|^[0-9a-f]{12}$";
	const struct regex *re;
	struct regex_match m;

	if (c->in->type != V_STR)
		return 0;
	re = regex_get(pattern, sizeof(pattern) - 1, 0, c->err);
	return re == NULL ? -1 : regex_exec(re, c->in->u.s, c->in->len, 0, REGEX_MATCH, false, &m, c->err);
}

static const struct ttest tests[] = {
	{ "in_any_network", "networks", 0, t_in_any_network },
	{ "in_network", "network", 0, t_in_network },
	{ "ip", "", 0, t_ip },
	{ "ip_address", "", 0, t_ip_address },
	{ "ipv4", "", 0, t_ipv4 },
	{ "ipv4_address", "", 0, t_ipv4_address },
	{ "ipv4_hostmask", "", 0, t_ipv4_hostmask },
	{ "ipv4_netmask", "", 0, t_ipv4_netmask },
	{ "ipv6", "", 0, t_ipv6 },
	{ "ipv6_address", "", 0, t_ipv6_address },
	{ "ipv6_ipv4_mapped", "", 0, t_ipv6_ipv4_mapped },
	{ "loopback", "", 0, t_loopback },
	{ "mac", "", 0, t_mac },
	{ "multicast", "", 0, t_multicast },
	{ "private", "", 0, t_private },
	{ "public", "", 0, t_public },
	{ "reserved", "", 0, t_reserved },
	{ "subnet_of", "network", 0, t_in_network },
	{ "supernet_of", "network", 0, t_supernet_of },
	{ "unspecified", "", 0, t_unspecified },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_test_ip = { NULL, tests };
