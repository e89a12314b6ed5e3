/*
 * ipaddr of ansible.utils and its queries; ipv4, ipv6, ipwrap.
 *
 * Results are those of the collection with netaddr 1.3, odd ones included:
 * a query that does not fit gives false or null, not an error.
 */
#include <ctype.h>
#include <string.h>

#include "template/filter_ip.h"

bool
ip_single(const struct query *q)	/* one address */
{
	return q->v.prefix == ip_bits(q->v.version);
}

static bool
pair_net(const struct query *q)
{
	return q->v.prefix == ip_bits(q->v.version) - 1;
}

static bool
at_network(const struct query *q)
{
	return q->v.addr == ip_first(&q->v);
}

/* netaddr has no broadcast address for networks of one and two. */
static bool
has_broadcast(const struct query *q)
{
	return ip_bits(q->v.version) - q->v.prefix > 1;
}

const struct value *
ip_text(struct query *q, __uint128_t addr, int prefix)
{
	struct buf b = BUF_INIT;

	ip_put(&b, q->v.version, addr);
	if (prefix >= 0)
		buf_addf(&b, "/%d", prefix);
	return fu_result(q->c, &b);
}

static const struct value *
two(struct query *q, __uint128_t a, const char *sep, __uint128_t b2)
{
	struct buf b = BUF_INIT;

	ip_put(&b, q->v.version, a);
	buf_adds(&b, sep);
	ip_put(&b, q->v.version, b2);
	return fu_result(q->c, &b);
}

const struct value *
ip_number(struct query *q, __uint128_t n)
{
	if (n > INT64_MAX)
		return terr(q->c, ERR_VALUE, "%s: the number does not fit 64 bits", q->c->name);
	return v_int(q->c->arena, (int64_t)n);
}

static const struct value *
not_a_network(struct query *q)
{
	return terr(q->c, ERR_VALUE, "Not a network address");
}

void
ip_usable(const struct query *q, __uint128_t *first, __uint128_t *last)
{
	*first = ip_first(&q->v);
	*last = ip_last(&q->v);
	if (!pair_net(q)) {
		(*first)++;
		(*last)--;
	}
}

static const struct value *
if_value(struct query *q, bool yes)
{
	return yes ? q->value : &v_null;
}

/* ---- queries ------------------------------------------------------------------------------ */

static const struct value *
q_empty(struct query *q)
{
	return ip_text(q, q->v.addr, q->network ? q->v.prefix : -1);
}

static bool
is_public(const struct ipnet *v)
{
	return !ip_is_multicast(v) && ip_is_global(v) && !ip_is_loopback(v) &&
	    !ip_is_netmask(v) && !ip_is_hostmask(v);
}

static const struct value *
q_6to4(struct query *q)
{
	uint32_t a = (uint32_t)q->v.addr;

	if (q->v.version == 4) {
		if (!ip_single(q) && at_network(q))
			return &v_false;
		if (!is_public(&q->v) && ip_is_global(&q->v))
			return &v_false;
		return v_strf(q->c->arena, "2002:%02x%02x:%02x%02x::1/48", a >> 24, a >> 16 & 255,
		    a >> 8 & 255, a & 255);
	}
	if (ip_in(&q->v, "2002::/16") && (!q->network || !at_network(q)))
		return q->value;
	return &v_false;
}

static const struct value *
q_address(struct query *q)
{
	if (ip_single(q) || !at_network(q) || !has_broadcast(q) || q->v.version == 6)
		return ip_text(q, q->v.addr, -1);
	return &v_null;
}

static const struct value *
q_address_prefix(struct query *q)
{
	if (!ip_single(q) && !pair_net(q) &&
	    (at_network(q) || q->v.addr == ip_last(&q->v)))
		return &v_false;
	return ip_text(q, q->v.addr, q->v.prefix);
}

static const struct value *
q_bool(struct query *q)
{
	(void)q;
	return &v_true;
}

static const struct value *
q_broadcast(struct query *q)
{
	return has_broadcast(q) ? ip_text(q, ip_last(&q->v), -1) : &v_null;
}

static const struct value *
q_cidr(struct query *q)
{
	return ip_text(q, q->v.addr, q->v.prefix);
}

static const struct value *
q_cidr_lookup(struct query *q)
{
	return if_value(q, ip_within(&q->inside, &q->v));
}

static const struct value *
q_first_usable(struct query *q)
{
	__uint128_t first, last;

	if (!q->network)
		return not_a_network(q);
	if (ip_single(q))
		return &v_null;
	ip_usable(q, &first, &last);
	return ip_text(q, first, -1);
}

static const struct value *
q_last_usable(struct query *q)
{
	__uint128_t first, last;

	if (!q->network)
		return not_a_network(q);
	if (ip_single(q))
		return &v_null;
	ip_usable(q, &first, &last);
	return ip_text(q, last, -1);
}

static const struct value *
q_range_usable(struct query *q)
{
	__uint128_t first, last;

	if (!q->network)
		return not_a_network(q);
	if (ip_single(q))
		return &v_null;
	ip_usable(q, &first, &last);
	return two(q, first, "-", last);
}

/* addr + n, or false with an error when there is no such address. */
bool
ip_moved(struct query *q, int64_t n, __uint128_t *ret)
{
	__uint128_t a = q->v.addr + (__uint128_t)(__int128)n;

	*ret = a;
	if (n < 0 ? a < q->v.addr : a >= q->v.addr && (q->v.version == 6 || a <= 0xffffffffu))
		return true;
	terr(q->c, ERR_VALUE, "%s: no IPv%d address is that far from it", q->c->name, q->v.version);
	return false;
}

static const struct value *
neighbour(struct query *q, int step)
{
	__uint128_t first, last, a;

	if (!q->network)
		return not_a_network(q);
	if (ip_single(q))
		return &v_null;
	if (!ip_moved(q, step, &a))
		return NULL;
	ip_usable(q, &first, &last);
	return a >= first && a <= last ? ip_text(q, a, -1) : &v_null;
}

static const struct value *
q_next_usable(struct query *q)
{
	return neighbour(q, 1);
}

static const struct value *
q_previous_usable(struct query *q)
{
	return neighbour(q, -1);
}

static const struct value *
q_host(struct query *q)
{
	if (ip_single(q) || !at_network(q) || !has_broadcast(q))
		return ip_text(q, q->v.addr, q->v.prefix);
	return &v_null;
}

static const struct value *
q_hostmask(struct query *q)
{
	return ip_text(q, ip_hostmask(&q->v), -1);
}

static const struct value *
q_int(struct query *q)
{
	struct buf b = BUF_INIT;

	if (!q->network)
		return ip_number(q, q->v.addr);
	ip_put_decimal(&b, q->v.addr);
	buf_addf(&b, "/%d", q->v.prefix);
	return fu_result(q->c, &b);
}

static const struct value *
q_ip_prefix(struct query *q)
{
	if (pair_net(q) || (!ip_single(q) && !at_network(q)))
		return ip_text(q, q->v.addr, q->v.prefix);
	return &v_null;
}

static __uint128_t
netmask(const struct query *q)
{
	return ip_hostmask(&q->v) ^ (q->v.version == 4 ? (__uint128_t)0xffffffffu : ~(__uint128_t)0);
}

static const struct value *
q_ip_netmask(struct query *q)
{
	if (pair_net(q) || (!ip_single(q) && !at_network(q)))
		return two(q, q->v.addr, " ", netmask(q));
	return &v_null;
}

static const struct value *
q_ipv4(struct query *q)
{
	struct buf b = BUF_INIT;

	if (q->v.version == 4)
		return q->value;
	if (q->v.addr >> 48 != 0 || (q->v.addr >> 32 != 0 && q->v.addr >> 32 != 0xffff) ||
	    q->v.prefix < 96)
		return &v_false;
	ip_put(&b, 4, q->v.addr & 0xffffffffu);
	buf_addf(&b, "/%d", q->v.prefix - 96);
	return fu_result(q->c, &b);
}

static const struct value *
q_ipv6(struct query *q)
{
	struct buf b = BUF_INIT;

	if (q->v.version == 6)
		return q->value;
	ip_put(&b, 6, q->v.addr | (__uint128_t)0xffff << 32);
	buf_addf(&b, "/%d", q->v.prefix + 96);
	return fu_result(q->c, &b);
}

static const struct value *
q_link_local(struct query *q)
{
	return if_value(q, ip_in(&q->v, q->v.version == 4 ? "169.254.0.0/16" : "fe80::/10"));
}

static const struct value *
q_loopback(struct query *q)
{
	return if_value(q, ip_is_loopback(&q->v));
}

/* netaddr asks whether the whole network is multicast. */
static bool
all_multicast(const struct query *q)
{
	struct ipnet m;

	return ip_parse_net(q->v.version == 4 ? "224.0.0.0/4" : "ff00::/8", 0, &m) &&
	    ip_within(&m, &q->v);
}

static const struct value *
q_multicast(struct query *q)
{
	return if_value(q, all_multicast(q));
}

static const struct value *
q_unicast(struct query *q)
{
	return if_value(q, !all_multicast(q));
}

static const struct value *
q_net(struct query *q)
{
	return !ip_single(q) && at_network(q) ? ip_text(q, q->v.addr, q->v.prefix) : &v_null;
}

static const struct value *
q_netmask(struct query *q)
{
	return ip_text(q, netmask(q), -1);
}

static const struct value *
q_network(struct query *q)
{
	return ip_text(q, ip_first(&q->v), -1);
}

static const struct value *
q_network_netmask(struct query *q)
{
	return two(q, ip_first(&q->v), " ", netmask(q));
}

static const struct value *
q_network_wildcard(struct query *q)
{
	return two(q, ip_first(&q->v), " ", ip_hostmask(&q->v));
}

static const struct value *
q_peer(struct query *q)
{
	unsigned low = (unsigned)(q->v.addr & 3);

	if (!q->network)
		return not_a_network(q);
	if (pair_net(q))
		return ip_text(q, q->v.addr ^ 1, -1);
	if (q->v.prefix != ip_bits(q->v.version) - 2)
		return terr(q->c, ERR_VALUE, "Not a point-to-point network");
	if (low == 0 || low == 3)
		return terr(q->c, ERR_VALUE, "%s address of /30 has no peer",
		    low == 0 ? "Network" : "Broadcast");
	return ip_text(q, q->v.addr ^ 3, -1);
}

static const struct value *
q_prefix(struct query *q)
{
	return v_int(q->c->arena, q->v.prefix);
}

static const struct value *
q_private(struct query *q)
{
	return if_value(q, !ip_is_global(&q->v));
}

static const struct value *
q_public(struct query *q)
{
	return if_value(q, is_public(&q->v));
}

static const struct value *
q_revdns(struct query *q)
{
	struct buf b = BUF_INIT;
	int bits = q->v.version == 4 ? 8 : 4;

	for (int i = 0; i < ip_bits(q->v.version); i += bits)
		buf_addf(&b, bits == 8 ? "%u." : "%x.",
		    (unsigned)(q->v.addr >> i) & (bits == 8 ? 255u : 15u));
	buf_adds(&b, bits == 8 ? "in-addr.arpa." : "ip6.arpa.");
	return fu_result(q->c, &b);
}

static const struct value *
q_size(struct query *q)
{
	if (q->v.version == 6 && q->v.prefix == 0)
		return ip_number(q, ~(__uint128_t)0);
	return ip_number(q, ip_hostmask(&q->v) + 1);
}

static const struct value *
q_size_usable(struct query *q)
{
	if (ip_single(q))
		return v_int(q->c->arena, 0);
	return ip_number(q, pair_net(q) ? 2 : ip_hostmask(&q->v) - 1);
}

static const struct value *
q_subnet(struct query *q)
{
	return ip_text(q, ip_first(&q->v), q->v.prefix);
}

static const struct value *
q_type(struct query *q)
{
	return v_str(q->c->arena, ip_single(q) || !at_network(q) ? "address" : "network");
}

static const struct value *
q_version(struct query *q)
{
	return v_int(q->c->arena, q->v.version);
}

static const struct value *
q_wrap(struct query *q)
{
	struct buf b = BUF_INIT;

	if (q->v.version == 4)
		return q->value;
	buf_addc(&b, '[');
	ip_put(&b, 6, q->v.addr);
	buf_addc(&b, ']');
	if (q->network)
		buf_addf(&b, "/%d", q->v.prefix);
	return fu_result(q->c, &b);
}

static const struct {
	const char	*name;
	const struct value *(*fn)(struct query *);
} queries[] = {
	{ "", q_empty }, { "6to4", q_6to4 }, { "address", q_address },
	{ "address/prefix", q_address_prefix }, { "bool", q_bool }, { "broadcast", q_broadcast },
	{ "cidr", q_cidr }, { "cidr_lookup", q_cidr_lookup }, { "first_usable", q_first_usable },
	{ "gateway", q_address_prefix }, { "gw", q_address_prefix }, { "host", q_host },
	{ "host/prefix", q_address_prefix }, { "hostmask", q_hostmask },
	{ "hostnet", q_address_prefix }, { "int", q_int }, { "ip", q_address },
	{ "ip/prefix", q_ip_prefix }, { "ip_netmask", q_ip_netmask }, { "ipv4", q_ipv4 },
	{ "ipv6", q_ipv6 }, { "last_usable", q_last_usable }, { "link-local", q_link_local },
	{ "lo", q_loopback }, { "loopback", q_loopback }, { "multicast", q_multicast },
	{ "net", q_net }, { "netmask", q_netmask }, { "network", q_network },
	{ "network/prefix", q_subnet }, { "network_id", q_network },
	{ "network_netmask", q_network_netmask }, { "network_wildcard", q_network_wildcard },
	{ "next_usable", q_next_usable }, { "peer", q_peer }, { "prefix", q_prefix },
	{ "previous_usable", q_previous_usable }, { "private", q_private },
	{ "public", q_public }, { "range_usable", q_range_usable }, { "revdns", q_revdns },
	{ "router", q_address_prefix }, { "size", q_size }, { "size_usable", q_size_usable },
	{ "subnet", q_subnet }, { "type", q_type }, { "unicast", q_unicast }, { "v4", q_ipv4 },
	{ "v6", q_ipv6 }, { "version", q_version }, { "wildcard", q_hostmask }, { "wrap", q_wrap },
};

/* ---- ipaddr --------------------------------------------------------------------------------- */

bool
ip_all_digits(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isdigit((unsigned char)*s))
			return false;
	return true;
}

static bool
parse_decimal(const char *s, __uint128_t *ret)
{
	*ret = 0;
	if (strlen(s) > 39)
		return false;
	for (; *s != '\0'; s++) {
		if (!isdigit((unsigned char)*s) || *ret > (~(__uint128_t)0 - (__uint128_t)(*s - '0')) / 10)
			return false;
		*ret = *ret * 10 + (__uint128_t)(*s - '0');
	}
	return true;
}

/* A number as an address: IPv4 where it fits and is not excluded. */
static bool
from_number(struct query *q, const char *digits, int version, int64_t prefix)
{
	if (!parse_decimal(digits, &q->v.addr))
		return false;
	q->v.version = version != 6 && q->v.addr <= 0xffffffffu ? 4 : 6;
	if (prefix > ip_bits(q->v.version))
		q->v.version = 6;
	q->v.prefix = prefix >= 0 ? (int)prefix : ip_bits(q->v.version);
	if (q->v.prefix > 128)
		return false;
	q->value = ip_text(q, q->v.addr, q->v.prefix);
	return q->value != NULL;
}

/* What the value is; false: no address, which is no error. */
bool
ip_query_parse(struct query *q, const struct value *value, int version)
{
	const char *s, *slash;
	size_t len;
	int64_t prefix;

	if (!tcall_truth(value) || value->type == V_BOOL ||
	    (value->type != V_STR && value->type != V_INT))
		return false;
	if (!fu_text(q->c, value, &s, &len) || memchr(s, '\0', len) != NULL)
		return false;
	q->value = value;
	if (ip_all_digits(s)) {
		q->network = false;
		return from_number(q, s, version, -1);
	}
	slash = strchr(s, '/');
	q->network = slash != NULL;
	if (ip_parse_net(s, 0, &q->v))
		return true;
	if (slash == NULL || fu_parse_int(slash + 1, strlen(slash + 1), 10, &prefix) != 1 || prefix < 0)
		return false;
	s = arena_strndup(q->c->arena, s, (size_t)(slash - s));
	return ip_all_digits(s) && from_number(q, s, 4, prefix);
}

static const struct value *
nth_address(struct query *q, const char *query)
{
	int64_t i;
	__uint128_t size;

	if (ip_single(q))
		return ip_text(q, q->v.addr, q->network ? q->v.prefix : -1);
	if (fu_parse_int(query, strlen(query), 10, &i) != 1)
		return &v_false;
	size = ip_hostmask(&q->v);
	if (i >= 0 ? (__uint128_t)i > size : (__uint128_t)-i > size + 1)
		return &v_false;
	return ip_text(q, i >= 0 ? ip_first(&q->v) + (__uint128_t)i :
	    ip_last(&q->v) + 1 - (__uint128_t)-i, q->v.prefix);
}

/* NULL after an error. */
static const struct value *
ipaddr(struct tcall *c, const struct value *value, const char *query, int version)
{
	struct query q = { .c = c };
	struct value *out;
	const struct value *v;
	const struct vlist *l;
	double f;

	if (value->type == V_UNDEF)
		return fu_undef(c, value), NULL;
	if (value->type != V_LIST && value->type != V_STR && value->type != V_INT && value->type != V_BOOL)
		return terr(c, ERR_TYPE, "%s: a value of type %s is no address", c->name, tmpl_py_type(value));
	if (value->type == V_LIST) {
		out = v_list(c->arena);
		if ((l = fu_list(c, value)) == NULL)
			return NULL;
		for (uint32_t i = 0; i < l->n; i++) {
			if ((v = ipaddr(c, l->v[i], query, version)) == NULL)
				return NULL;
			if (tcall_truth(v))
				v_push(c->arena, out, v);
		}
		return out;
	}
	if (!ip_query_parse(&q, value, version) || (version != 0 && q.v.version != version))
		return &v_false;
	for (size_t i = 0; i < NITEMS(queries); i++)
		if (strcmp(query, queries[i].name) == 0 && strcmp(query, "cidr_lookup") != 0)
			return queries[i].fn(&q);
	if (!ip_all_digits(query) && ip_parse_net(query, 0, &q.inside))
		return q_cidr_lookup(&q);
	if (fu_parse_float(query, strlen(query), &f) != 1)
		return terr(c, ERR_VALUE, "%s: unknown filter type: %s", c->name, query);
	return nth_address(&q, query);
}

static const struct value *
ipaddr_filter(struct tcall *c, int version)
{
	const char *query = "";
	size_t len;

	if (c->a[0] != NULL && !fu_text(c, c->a[0], &query, &len))
		return NULL;
	return ipaddr(c, c->in, query, version);
}

static const struct value *
f_ipaddr(struct tcall *c)
{
	return ipaddr_filter(c, 0);
}

static const struct value *
f_ipv4(struct tcall *c)
{
	return ipaddr_filter(c, 4);
}

static const struct value *
f_ipv6(struct tcall *c)
{
	return ipaddr_filter(c, 6);
}

static const struct value *
wrap_one(struct tcall *c, const struct value *v, const char *query)
{
	const struct value *r = ipaddr(c, v, query, 0);

	if (r == NULL) {
		/* Errors leave the value as it is. */
		err_release(c->err);
		return v;
	}
	if (!tcall_truth(r))
		return v;
	r = ipaddr(c, v, "wrap", 0);
	if (r == NULL) {
		err_release(c->err);
		return v;
	}
	return r;
}

static const struct value *
f_ipwrap(struct tcall *c)
{
	const struct vlist *l;
	struct value *out;
	const char *query = "";
	size_t len;

	if (c->a[0] != NULL && !fu_text(c, c->a[0], &query, &len))
		return NULL;
	if (c->in->type != V_LIST)
		return wrap_one(c, c->in, query);
	out = v_list(c->arena);
	if ((l = fu_list(c, c->in)) == NULL)
		return NULL;
	for (uint32_t i = 0; i < l->n; i++)
		v_push(c->arena, out, wrap_one(c, l->v[i], query));
	return out;
}

static const struct tfilter filters[] = {
	{ "ipaddr", "query", 0, f_ipaddr },
	{ "ipv4", "query", 0, f_ipv4 },
	{ "ipv6", "query", 0, f_ipv6 },
	{ "ipwrap", "query", 0, f_ipwrap },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_ip = { filters, NULL };
