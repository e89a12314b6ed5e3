/*
 * Facts of the network: interfaces, addresses and default routes, asked from
 * the kernel by netlink (three dumps and two route look-ups), the rest of an
 * interface from /sys/class/net.
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/time.h>

#include "module/facts.h"

#define LINKS_MAX	4096
#define ADDRS_MAX	16384

struct link {
	int		 index;
	unsigned	 flags;
	const char	*name;
	const char	*mac;
	uint32_t	 mtu;
	struct value	*v;
};

struct net {
	struct facts	*f;
	int		 fd;
	uint32_t	 seq;
	struct link	*links;
	size_t		 n;
	size_t		 naddrs;
	struct value	*all4, *all6;
	struct value	*local4, *local6;
};

/* ---- netlink ------------------------------------------------------------ */

static int
nl_open(void)
{
	struct timeval tv = { .tv_sec = 2 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd != -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

struct request {
	struct nlmsghdr	 h;
	union {
		struct rtgenmsg	 g;
		struct rtmsg	 r;
	} u;
	char		 attrs[64];
};

static void
request_init(struct net *n, struct request *q, unsigned type, unsigned flags)
{
	memset(q, 0, sizeof(*q));
	q->h.nlmsg_type = (uint16_t)type;
	q->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	q->h.nlmsg_seq = ++n->seq;
}

static void
request_attr(struct request *q, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)q +
	    NLMSG_ALIGN(q->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	q->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

/* Sends and hands every answer to cb. false: an error or nobody answered. */
static bool
ask(struct net *n, struct request *q, bool dump,
    void (*cb)(struct net *, struct nlmsghdr *, void *), void *arg)
{
	char *buf = arena_alloc(n->f->a, 65536);
	struct nlmsghdr *h;
	ssize_t got;
	unsigned left;

	if (send(n->fd, q, q->h.nlmsg_len, 0) == -1)
		return false;
	for (;;) {
		got = recv(n->fd, buf, 65536, 0);
		if (got <= 0)
			return false;
		left = (unsigned)got;
		for (h = (void *)buf; NLMSG_OK(h, left);
		    h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != n->seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR)
				return false;
			if (h->nlmsg_type == NLMSG_DONE)
				return true;
			cb(n, h, arg);
			if (!dump)
				return true;
		}
	}
}

#define RTA_WALK(a, first, left)	\
	for ((a) = (first); RTA_OK((a), (left)); (a) = RTA_NEXT((a), (left)))

/* ---- interfaces --------------------------------------------------------- */

static const char *
sys_line(struct facts *f, const char *name, const char *what)
{
	return facts_line(f, facts_path(f, "/sys/class/net/%s/%s", name, what));
}

static const char *
link_base(struct facts *f, const char *path)
{
	const char *s = facts_link(f, path);

	return s == NULL ? NULL : strrchr(s, '/') == NULL ? s : strrchr(s, '/') + 1;
}

static const char *
type_name(struct facts *f, const char *name)
{
	const char *s;

	if (facts_exists(f, facts_path(f, "/sys/class/net/%s/bridge", name)))
		return "bridge";
	if (facts_exists(f, facts_path(f, "/sys/class/net/%s/bonding", name)))
		return "bonding";
	s = sys_line(f, name, "type");
	switch (s == NULL ? -1 : (int)strtol(s, NULL, 10)) {
	case 1:
		return "ether";
	case 32:
		return "infiniband";
	case 512:
		return "ppp";
	case 772:
		return "loopback";
	case 65534:
		return "tunnel";
	default:
		return "unknown";
	}
}

static void
set_bridge(struct facts *f, struct value *v, const char *name)
{
	struct value *list = v_list(f->a);
	const char *const *names;
	const char *s;

	for (names = facts_names(f, facts_path(f, "/sys/class/net/%s/brif", name));
	    *names != NULL; names++)
		v_push(f->a, list, facts_text(f, *names, strlen(*names)));
	v_sets(f->a, v, "interfaces", list);
	s = sys_line(f, name, "bridge/bridge_id");
	if (s != NULL)
		v_set_str(f->a, v, "id", s);
	s = sys_line(f, name, "bridge/stp_state");
	if (s != NULL)
		v_set_bool(f->a, v, "stp", *s == '1');
}

static void
set_bonding(struct facts *f, struct value *v, const char *name)
{
	const char *s, *p, *end;
	struct value *list = v_list(f->a);

	s = sys_line(f, name, "bonding/mode");
	if (s != NULL)
		v_sets(f->a, v, "mode", v_strn(f->a, s, strcspn(s, " ")));
	s = sys_line(f, name, "bonding/miimon");
	if (s != NULL)
		v_set_str(f->a, v, "miimon", s);
	s = sys_line(f, name, "bonding/lacp_rate");
	if (s != NULL)
		v_sets(f->a, v, "lacp_rate", v_strn(f->a, s, strcspn(s, " ")));
	s = sys_line(f, name, "bonding/primary");
	if (s != NULL && *s != '\0')
		v_set_str(f->a, v, "primary", s);
	for (p = sys_line(f, name, "bonding/slaves"); p != NULL && *p != '\0';
	    p = end + strspn(end, " ")) {
		end = p + strcspn(p, " ");
		v_push(f->a, list, facts_text(f, p, (size_t)(end - p)));
	}
	v_sets(f->a, v, "slaves", list);
}

static void
on_link(struct net *n, struct nlmsghdr *h, void *arg)
{
	struct ifinfomsg *i = NLMSG_DATA(h);
	const unsigned char *mac;
	struct link *l;
	struct rtattr *a;
	unsigned left = (unsigned)IFLA_PAYLOAD(h);

	(void)arg;
	if (h->nlmsg_type != RTM_NEWLINK || n->n == LINKS_MAX)
		return;
	l = &n->links[n->n];
	memset(l, 0, sizeof(*l));
	l->index = i->ifi_index;
	l->flags = i->ifi_flags;
	RTA_WALK(a, IFLA_RTA(i), left) {
		if (a->rta_type == IFLA_IFNAME)
			l->name = arena_strndup(n->f->a, RTA_DATA(a),
			    strnlen(RTA_DATA(a), RTA_PAYLOAD(a)));
		else if (a->rta_type == IFLA_MTU && RTA_PAYLOAD(a) >= 4)
			memcpy(&l->mtu, RTA_DATA(a), 4);
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == 6) {
			mac = RTA_DATA(a);
			l->mac = arena_printf(n->f->a,
			    "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			    mac[2], mac[3], mac[4], mac[5]);
		}
	}
	if (l->name != NULL && strchr(l->name, '/') == NULL)
		n->n++;
}

static void
fill_link(struct net *n, struct link *l)
{
	struct facts *f = n->f;
	struct value *v = v_map(f->a);
	const char *s, *type = type_name(f, l->name);
	long speed;

	l->v = v;
	v_sets(f->a, v, "device", facts_text(f, l->name, strlen(l->name)));
	if (l->mac != NULL && strcmp(l->mac, "00:00:00:00:00:00") != 0)
		v_set_str(f->a, v, "macaddress", l->mac);
	v_set_int(f->a, v, "mtu", l->mtu);
	s = sys_line(f, l->name, "operstate");
	v_set_bool(f->a, v, "active", s == NULL || strcmp(s, "down") != 0);
	s = link_base(f, facts_path(f, "/sys/class/net/%s/device/driver/module",
	    l->name));
	if (s != NULL)
		v_set_str(f->a, v, "module", s);
	v_set_str(f->a, v, "type", type);
	if (strcmp(type, "bridge") == 0)
		set_bridge(f, v, l->name);
	else if (strcmp(type, "bonding") == 0)
		set_bonding(f, v, l->name);
	s = link_base(f, facts_path(f, "/sys/class/net/%s/device", l->name));
	if (s != NULL)
		v_sets(f->a, v, "pciid", facts_text(f, s, strlen(s)));
	s = sys_line(f, l->name, "speed");
	speed = s == NULL ? -1 : strtol(s, NULL, 10);
	if (speed > 0)
		v_set_int(f->a, v, "speed", speed);
	v_set_bool(f->a, v, "promisc", (l->flags & IFF_PROMISC) != 0);
}

static struct link *
link_by_index(struct net *n, int index)
{
	size_t i;

	for (i = 0; i < n->n; i++)
		if (n->links[i].index == index)
			return &n->links[i];
	return NULL;
}

/* ---- addresses ---------------------------------------------------------- */

static const char *
ip4_text(struct facts *f, uint32_t net_order)
{
	struct in_addr in = { .s_addr = net_order };
	char text[INET_ADDRSTRLEN];

	return inet_ntop(AF_INET, &in, text, sizeof(text)) == NULL ? "" :
	    arena_strdup(f->a, text);
}

static const char *
ip6_text(struct facts *f, const void *addr)
{
	char text[INET6_ADDRSTRLEN];

	return inet_ntop(AF_INET6, addr, text, sizeof(text)) == NULL ? "" :
	    arena_strdup(f->a, text);
}

static void
add_ip4(struct net *n, struct link *l, uint32_t addr, uint32_t broadcast,
    unsigned prefix, bool secondary)
{
	struct facts *f = n->f;
	struct value *ip = v_map(f->a), *list;
	uint32_t mask = prefix == 0 ? 0 : htonl(0xffffffffU << (32 - prefix));
	const struct value *old;

	v_set_str(f->a, ip, "address", ip4_text(f, addr));
	v_set_str(f->a, ip, "broadcast", broadcast == 0 ? "" :
	    ip4_text(f, broadcast));
	v_set_str(f->a, ip, "netmask", ip4_text(f, mask));
	v_set_str(f->a, ip, "network", ip4_text(f, addr & mask));
	v_sets(f->a, ip, "prefix", v_strf(f->a, "%u", prefix));
	if (!secondary && v_gets(l->v, "ipv4") == NULL)
		v_sets(f->a, l->v, "ipv4", ip);
	else {
		old = v_gets(l->v, "ipv4_secondaries");
		list = old != NULL ? (struct value *)(uintptr_t)old : v_list(f->a);
		v_push(f->a, list, ip);
		v_sets(f->a, l->v, "ipv4_secondaries", list);
	}
	if ((ntohl(addr) >> 24) != 127)
		v_push(f->a, n->all4, v_str(f->a, ip4_text(f, addr)));
}

static void
add_ip6(struct net *n, struct link *l, const void *addr, unsigned prefix,
    unsigned scope)
{
	struct facts *f = n->f;
	struct value *ip = v_map(f->a), *list;
	const char *text = ip6_text(f, addr);
	const struct value *old = v_gets(l->v, "ipv6");

	v_set_str(f->a, ip, "address", text);
	v_sets(f->a, ip, "prefix", v_strf(f->a, "%u", prefix));
	v_set_str(f->a, ip, "scope", scope == RT_SCOPE_UNIVERSE ? "global" :
	    scope == RT_SCOPE_LINK ? "link" : scope == RT_SCOPE_HOST ? "host" :
	    scope == RT_SCOPE_SITE ? "site" : "nowhere");
	list = old != NULL ? (struct value *)(uintptr_t)old : v_list(f->a);
	v_push(f->a, list, ip);
	v_sets(f->a, l->v, "ipv6", list);
	if (strcmp(text, "::1") != 0)
		v_push(f->a, n->all6, v_str(f->a, text));
}

static void
on_address(struct net *n, struct nlmsghdr *h, void *arg)
{
	struct ifaddrmsg *i = NLMSG_DATA(h);
	struct link *l;
	struct rtattr *a;
	unsigned left = (unsigned)IFA_PAYLOAD(h);
	uint32_t addr4 = 0, local4 = 0, broadcast = 0, flags = i->ifa_flags;
	unsigned char addr6[16];
	bool has6 = false;

	(void)arg;
	l = h->nlmsg_type != RTM_NEWADDR ? NULL :
	    link_by_index(n, (int)i->ifa_index);
	if (l == NULL || n->naddrs++ >= ADDRS_MAX)
		return;
	RTA_WALK(a, IFA_RTA(i), left) {
		if (a->rta_type == IFA_FLAGS && RTA_PAYLOAD(a) >= 4)
			memcpy(&flags, RTA_DATA(a), 4);
		else if (i->ifa_family == AF_INET && RTA_PAYLOAD(a) >= 4) {
			if (a->rta_type == IFA_ADDRESS)
				memcpy(&addr4, RTA_DATA(a), 4);
			else if (a->rta_type == IFA_LOCAL)
				memcpy(&local4, RTA_DATA(a), 4);
			else if (a->rta_type == IFA_BROADCAST)
				memcpy(&broadcast, RTA_DATA(a), 4);
		} else if (i->ifa_family == AF_INET6 && RTA_PAYLOAD(a) >= 16 &&
		    (a->rta_type == IFA_LOCAL ||
		    (a->rta_type == IFA_ADDRESS && !has6))) {
			memcpy(addr6, RTA_DATA(a), 16);
			has6 = true;
		}
	}
	if (i->ifa_family == AF_INET && i->ifa_prefixlen <= 32)
		add_ip4(n, l, local4 != 0 ? local4 : addr4, broadcast,
		    i->ifa_prefixlen, (flags & IFA_F_SECONDARY) != 0);
	else if (i->ifa_family == AF_INET6 && has6)
		add_ip6(n, l, addr6, i->ifa_prefixlen, i->ifa_scope);
}

/* ---- routes ------------------------------------------------------------- */

struct route {
	bool		 found;
	int		 oif;
	const char	*gateway, *source;
};

static void
on_route(struct net *n, struct nlmsghdr *h, void *arg)
{
	struct rtmsg *r = NLMSG_DATA(h);
	struct route *route = arg;
	struct rtattr *a;
	unsigned left = (unsigned)RTM_PAYLOAD(h);
	size_t want = r->rtm_family == AF_INET ? 4 : 16;
	const char *text;
	uint32_t ip4;

	if (h->nlmsg_type != RTM_NEWROUTE || r->rtm_type != RTN_UNICAST)
		return;
	RTA_WALK(a, RTM_RTA(r), left) {
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) >= 4)
			memcpy(&route->oif, RTA_DATA(a), 4);
		if ((a->rta_type != RTA_GATEWAY && a->rta_type != RTA_PREFSRC) ||
		    RTA_PAYLOAD(a) < want)
			continue;
		if (want == 4) {
			memcpy(&ip4, RTA_DATA(a), 4);
			text = ip4_text(n->f, ip4);
		} else
			text = ip6_text(n->f, RTA_DATA(a));
		if (a->rta_type == RTA_GATEWAY)
			route->gateway = text;
		else
			route->source = text;
	}
	route->found = true;
}

static void
on_local_route(struct net *n, struct nlmsghdr *h, void *arg)
{
	struct rtmsg *r = NLMSG_DATA(h);
	struct facts *f = n->f;
	struct rtattr *a;
	unsigned left = (unsigned)RTM_PAYLOAD(h);
	bool four = r->rtm_family == AF_INET;
	const char *text = NULL;
	uint32_t ip4;

	(void)arg;
	if (h->nlmsg_type != RTM_NEWROUTE || r->rtm_type != RTN_LOCAL ||
	    r->rtm_table != RT_TABLE_LOCAL)
		return;
	RTA_WALK(a, RTM_RTA(r), left)
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) >= (four ? 4U : 16U)) {
			if (four) {
				memcpy(&ip4, RTA_DATA(a), 4);
				text = ip4_text(f, ip4);
			} else
				text = ip6_text(f, RTA_DATA(a));
		}
	if (text == NULL)
		return;
	if (r->rtm_dst_len != (four ? 32 : 128))
		text = arena_printf(f->a, "%s/%u", text, r->rtm_dst_len);
	v_push(f->a, four ? n->local4 : n->local6, v_str(f->a, text));
}

/* The interface and gateway towards the world. */
static void
default_route(struct net *n, int family, const char *world)
{
	struct facts *f = n->f;
	struct value *v = v_map(f->a);
	const struct value *ip = NULL, *list;
	struct route route = { 0 };
	struct request q;
	unsigned char addr[16];
	struct link *l;
	uint32_t i;

	facts_set(f, family == AF_INET ? "default_ipv4" : "default_ipv6", v);
	request_init(n, &q, RTM_GETROUTE, 0);
	q.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
	q.u.r.rtm_family = (unsigned char)family;
	q.u.r.rtm_dst_len = family == AF_INET ? 32 : 128;
	if (inet_pton(family, world, addr) != 1)
		return;
	request_attr(&q, RTA_DST, addr, family == AF_INET ? 4 : 16);
	if (!ask(n, &q, false, on_route, &route) || !route.found)
		return;
	l = link_by_index(n, route.oif);
	if (l == NULL)
		return;
	if (route.gateway != NULL)
		v_set_str(f->a, v, "gateway", route.gateway);
	v_sets(f->a, v, "interface", facts_text(f, l->name, strlen(l->name)));
	if (route.source != NULL)
		v_set_str(f->a, v, "address", route.source);
	if (family == AF_INET) {
		v_sets(f->a, v, "alias", facts_text(f, l->name, strlen(l->name)));
		ip = v_gets(l->v, "ipv4");
		list = v_gets(l->v, "ipv4_secondaries");
	} else
		list = v_gets(l->v, "ipv6");
	for (i = 0; route.source != NULL && list != NULL && i < v_count(list); i++)
		if (v_eqs(v_gets(v_at(list, i), "address"), route.source))
			ip = v_at(list, i);
	if (ip != NULL)
		v_merge(f->a, v, ip);
	if (v_gets(l->v, "macaddress") != NULL)
		v_sets(f->a, v, "macaddress", v_gets(l->v, "macaddress"));
	v_sets(f->a, v, "mtu", v_gets(l->v, "mtu"));
	v_sets(f->a, v, "type", v_gets(l->v, "type"));
}

static void
dump(struct net *n, unsigned type, int family,
    void (*cb)(struct net *, struct nlmsghdr *, void *))
{
	struct request q;

	request_init(n, &q, type, NLM_F_DUMP);
	if (type == RTM_GETROUTE) {
		q.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
		q.u.r.rtm_family = (unsigned char)family;
		q.u.r.rtm_table = RT_TABLE_LOCAL;
	} else {
		q.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg));
		q.u.g.rtgen_family = (unsigned char)family;
	}
	(void)ask(n, &q, true, cb, NULL);
}

void
facts_network(struct facts *f)
{
	struct net n = { .f = f, .fd = nl_open() };
	struct value *names = v_list(f->a), *local = v_map(f->a);
	char *key;
	size_t i, k;

	n.all4 = v_list(f->a);
	n.all6 = v_list(f->a);
	n.local4 = v_list(f->a);
	n.local6 = v_list(f->a);
	n.links = ARENA_ARRAY(f->a, LINKS_MAX, struct link);
	if (n.fd != -1) {
		dump(&n, RTM_GETLINK, AF_UNSPEC, on_link);
		for (i = 0; i < n.n; i++)
			fill_link(&n, &n.links[i]);
		dump(&n, RTM_GETADDR, AF_INET, on_address);
		dump(&n, RTM_GETADDR, AF_INET6, on_address);
		dump(&n, RTM_GETROUTE, AF_INET, on_local_route);
		dump(&n, RTM_GETROUTE, AF_INET6, on_local_route);
	}
	for (i = 0; i < n.n; i++) {
		v_push(f->a, names, v_gets(n.links[i].v, "device"));
		key = arena_strdup(f->a, n.links[i].name);
		for (k = 0; key[k] != '\0'; k++)
			if (key[k] == '-' || key[k] == ':')
				key[k] = '_';
		facts_set(f, key, n.links[i].v);
	}
	facts_set(f, "interfaces", names);
	if (n.fd != -1) {
		default_route(&n, AF_INET, "8.8.8.8");
		default_route(&n, AF_INET6, "2404:6800:400a:800::1012");
		(void)close(n.fd);
	}
	facts_set(f, "all_ipv4_addresses", n.all4);
	facts_set(f, "all_ipv6_addresses", n.all6);
	v_sets(f->a, local, "ipv4", n.local4);
	v_sets(f->a, local, "ipv6", n.local6);
	facts_set(f, "locally_reachable_ips", local);
}
