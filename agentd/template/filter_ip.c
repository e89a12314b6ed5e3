/*
 * The ipaddr family of ansible.utils: filters and tests.
 *
 * Results are those of the collection with netaddr 1.3, odd ones included:
 * a query that does not fit gives false or null, not an error.
 */
#include <ctype.h>
#include <string.h>

#include "template/filter_util.h"
#include "template/ipaddr.h"
#include "template/regex.h"

struct query {
	struct tcall		*c;
	struct ipnet		 v;
	bool			 network;	/* given with a prefix */
	const struct value	*value;		/* as given, or as text where it was a number */
	struct ipnet		 inside;	/* cidr_lookup */
};

static bool
small_net(const struct query *q)	/* one address */
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

static const struct value *
text(struct query *q, __uint128_t addr, int prefix)
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

static const struct value *
number(struct query *q, __uint128_t n)
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

static void
usable(const struct query *q, __uint128_t *first, __uint128_t *last)
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
	return text(q, q->v.addr, q->network ? q->v.prefix : -1);
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
		if (!small_net(q) && at_network(q))
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
	if (small_net(q) || !at_network(q) || !has_broadcast(q) || q->v.version == 6)
		return text(q, q->v.addr, -1);
	return &v_null;
}

static const struct value *
q_address_prefix(struct query *q)
{
	if (!small_net(q) && !pair_net(q) &&
	    (at_network(q) || q->v.addr == ip_last(&q->v)))
		return &v_false;
	return text(q, q->v.addr, q->v.prefix);
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
	return has_broadcast(q) ? text(q, ip_last(&q->v), -1) : &v_null;
}

static const struct value *
q_cidr(struct query *q)
{
	return text(q, q->v.addr, q->v.prefix);
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
	if (small_net(q))
		return &v_null;
	usable(q, &first, &last);
	return text(q, first, -1);
}

static const struct value *
q_last_usable(struct query *q)
{
	__uint128_t first, last;

	if (!q->network)
		return not_a_network(q);
	if (small_net(q))
		return &v_null;
	usable(q, &first, &last);
	return text(q, last, -1);
}

static const struct value *
q_range_usable(struct query *q)
{
	__uint128_t first, last;

	if (!q->network)
		return not_a_network(q);
	if (small_net(q))
		return &v_null;
	usable(q, &first, &last);
	return two(q, first, "-", last);
}

/* addr + n, or false with an error when there is no such address. */
static bool
moved(struct query *q, int64_t n, __uint128_t *ret)
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
	if (small_net(q))
		return &v_null;
	if (!moved(q, step, &a))
		return NULL;
	usable(q, &first, &last);
	return a >= first && a <= last ? text(q, a, -1) : &v_null;
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
	if (small_net(q) || !at_network(q) || !has_broadcast(q))
		return text(q, q->v.addr, q->v.prefix);
	return &v_null;
}

static const struct value *
q_hostmask(struct query *q)
{
	return text(q, ip_hostmask(&q->v), -1);
}

static const struct value *
q_int(struct query *q)
{
	struct buf b = BUF_INIT;

	if (!q->network)
		return number(q, q->v.addr);
	ip_put_decimal(&b, q->v.addr);
	buf_addf(&b, "/%d", q->v.prefix);
	return fu_result(q->c, &b);
}

static const struct value *
q_ip_prefix(struct query *q)
{
	if (pair_net(q) || (!small_net(q) && !at_network(q)))
		return text(q, q->v.addr, q->v.prefix);
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
	if (pair_net(q) || (!small_net(q) && !at_network(q)))
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
	return !small_net(q) && at_network(q) ? text(q, q->v.addr, q->v.prefix) : &v_null;
}

static const struct value *
q_netmask(struct query *q)
{
	return text(q, netmask(q), -1);
}

static const struct value *
q_network(struct query *q)
{
	return text(q, ip_first(&q->v), -1);
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
		return text(q, q->v.addr ^ 1, -1);
	if (q->v.prefix != ip_bits(q->v.version) - 2)
		return terr(q->c, ERR_VALUE, "Not a point-to-point network");
	if (low == 0 || low == 3)
		return terr(q->c, ERR_VALUE, "%s address of /30 has no peer",
		    low == 0 ? "Network" : "Broadcast");
	return text(q, q->v.addr ^ 3, -1);
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
		return number(q, ~(__uint128_t)0);
	return number(q, ip_hostmask(&q->v) + 1);
}

static const struct value *
q_size_usable(struct query *q)
{
	if (small_net(q))
		return v_int(q->c->arena, 0);
	return number(q, pair_net(q) ? 2 : ip_hostmask(&q->v) - 1);
}

static const struct value *
q_subnet(struct query *q)
{
	return text(q, ip_first(&q->v), q->v.prefix);
}

static const struct value *
q_type(struct query *q)
{
	return v_str(q->c->arena, small_net(q) || !at_network(q) ? "address" : "network");
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

static bool
all_digits(const char *s)
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
	q->value = text(q, q->v.addr, q->v.prefix);
	return q->value != NULL;
}

/* What the value is; false: no address, which is no error. */
static bool
parse_value(struct query *q, const struct value *value, int version)
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
	if (all_digits(s)) {
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
	return all_digits(s) && from_number(q, s, 4, prefix);
}

static const struct value *
nth_address(struct query *q, const char *query)
{
	int64_t i;
	__uint128_t size;

	if (small_net(q))
		return text(q, q->v.addr, q->network ? q->v.prefix : -1);
	if (fu_parse_int(query, strlen(query), 10, &i) != 1)
		return &v_false;
	size = ip_hostmask(&q->v);
	if (i >= 0 ? (__uint128_t)i > size : (__uint128_t)-i > size + 1)
		return &v_false;
	return text(q, i >= 0 ? ip_first(&q->v) + (__uint128_t)i :
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
	if (!parse_value(&q, value, version) || (version != 0 && q.v.version != version))
		return &v_false;
	for (size_t i = 0; i < NITEMS(queries); i++)
		if (strcmp(query, queries[i].name) == 0 && strcmp(query, "cidr_lookup") != 0)
			return queries[i].fn(&q);
	if (!all_digits(query) && ip_parse_net(query, 0, &q.inside))
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

/* ---- networks ------------------------------------------------------------------------------- */

/* A value as a network: an address keeps its bits, a network is one. false: neither. */
static bool
as_net(struct tcall *c, const struct value *value, struct query *q)
{
	q->c = c;
	return parse_value(q, value, 0);
}

static const struct value *
subnet_rank(struct tcall *c, const struct ipnet *v, const char *query)
{
	struct buf b = BUF_INIT;
	struct ipnet outer;
	int bits = ip_bits(v->version);

	if (!ip_parse_net(query, 0, &outer))
		return terr(c, ERR_VALUE, "You must pass a valid subnet or IP address; %s is invalid", query);
	if (!ip_within(&outer, v) || outer.prefix > v->prefix)
		return terr(c, ERR_VALUE, "the network is not in the subnet %s", query);
	ip_put_decimal(&b, v->prefix == 0 ? 1 :
	    ((ip_first(v) & ip_hostmask(&outer)) >> (bits - v->prefix)) + 1);
	return fu_result(c, &b);
}

/* ipsubnet(query, index) */
static const struct value *
f_ipsubnet(struct tcall *c)
{
	struct query q;
	const char *query;
	size_t len;
	int64_t want, index = 0, n;
	int bits;
	__uint128_t subnets;

	memset(&q, 0, sizeof(q));
	if (!fu_arg_text(c, 0, "", &query, &len))
		return NULL;
	if (!as_net(c, c->in, &q))
		return &v_false;
	bits = ip_bits(q.v.version);
	q.v.addr = ip_first(&q.v);
	if (len == 0)
		return text(&q, q.v.addr, q.v.prefix);
	if (!all_digits(query))
		return subnet_rank(c, &q.v, query);
	if (fu_parse_int(query, len, 10, &want) != 1 || want > bits)
		return &v_false;
	if (fu_given(c, 1)) {
		if (!(c->a[1]->type == V_STR ? fu_parse_int(c->a[1]->u.s, c->a[1]->len, 10, &index) == 1 :
		    fu_is_int(c->a[1], &index)))
			return terr(c, ERR_VALUE, "ipsubnet: the index must be an integer");
	}
	if (q.v.prefix == bits) {
		/* An address: the networks around it, the widest first. */
		if (index > bits + 1 - index || index < want - bits)
			return &v_false;
		n = want + (index >= 0 ? index : bits - want + index);
		if (n < 0 || n >= bits)
			return terr(c, ERR_VALUE, "ipsubnet: list index out of range");
		q.v.prefix = (int)n;
		return text(&q, ip_first(&q.v), q.v.prefix);
	}
	if (want < q.v.prefix && fu_given(c, 1)) {
		q.v.prefix = (int)want;
		return index == 0 ? text(&q, q.v.addr, q.v.prefix) : &v_false;
	}
	if (want < q.v.prefix)
		return terr(c, ERR_VALUE, "Requested subnet size of %s is invalid", query);
	if (want - q.v.prefix > 126)
		return terr(c, ERR_VALUE, "ipsubnet: the number does not fit 64 bits");
	subnets = (__uint128_t)1 << (want - q.v.prefix);
	if (!fu_given(c, 1)) {
		struct buf b = BUF_INIT;

		ip_put_decimal(&b, subnets);
		return fu_result(c, &b);
	}
	if (index < 0 ? (__uint128_t)-index > subnets : (__uint128_t)index >= subnets)
		return &v_false;
	subnets = index < 0 ? subnets - (__uint128_t)-index : (__uint128_t)index;
	return text(&q, q.v.addr + (want == 0 ? 0 : subnets << (bits - want)), (int)want);
}

static const struct value *
f_ipmath(struct tcall *c)
{
	struct query q = { .c = c };
	const char *s;
	size_t len;
	int64_t n;
	__uint128_t a;

	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	if (!(strchr(s, '/') != NULL ? ip_parse_net(s, 0, &q.v) : ip_parse_addr(s, 0, &q.v)))
		return terr(c, ERR_VALUE, "You must pass a valid IP address; %s is invalid", s);
	if (c->a[0] == NULL || !fu_is_int(c->a[0], &n))
		return terr(c, ERR_TYPE, "You must pass an integer for arithmetic");
	if (!moved(&q, n, &a))
		return NULL;
	return text(&q, a, -1);
}

static const struct value *
nth_usable(struct tcall *c, int sign)
{
	struct query q;
	__uint128_t first, last, a;
	int64_t n;

	memset(&q, 0, sizeof(q));
	if (c->a[0] == NULL || !fu_is_int(c->a[0], &n) || n == INT64_MIN)
		return terr(c, ERR_TYPE, "Must pass in an integer");
	if (!as_net(c, c->in, &q))
		return &v_false;
	if (small_net(&q))
		return &v_null;
	if (!moved(&q, sign * n, &a))
		return NULL;
	usable(&q, &first, &last);
	return a >= first && a <= last ? text(&q, a, -1) : &v_null;
}

static const struct value *
f_next_nth_usable(struct tcall *c)
{
	return nth_usable(c, 1);
}

static const struct value *
f_previous_nth_usable(struct tcall *c)
{
	return nth_usable(c, -1);
}

static const struct value *
f_nthhost(struct tcall *c)
{
	struct query q;
	const char *s = "";
	size_t len = 0;
	int64_t n;
	__uint128_t size;

	memset(&q, 0, sizeof(q));
	if (!as_net(c, c->in, &q) || c->a[0] == NULL || v_eqs(c->a[0], ""))
		return &v_false;
	if (!fu_text(c, c->a[0], &s, &len))
		return NULL;
	if (fu_parse_int(s, len, 10, &n) != 1)
		return &v_false;
	size = ip_hostmask(&q.v);
	if (n > 0 && (__uint128_t)n > size)
		return &v_false;
	if (n < 0 && (__uint128_t)-n > size + 1)
		return terr(c, ERR_VALUE, "nthhost: index out of range");
	return text(&q, n >= 0 ? ip_first(&q.v) + (__uint128_t)n : ip_last(&q.v) + 1 - (__uint128_t)-n, -1);
}

static bool
both_nets(struct tcall *c, const struct value *a, const struct value *b, struct ipnet *v, struct ipnet *w)
{
	struct query q;

	memset(&q, 0, sizeof(q));
	if (!as_net(c, a, &q))
		return false;
	*v = q.v;
	memset(&q, 0, sizeof(q));
	if (!as_net(c, b, &q))
		return false;
	*w = q.v;
	return true;
}

/* The last address that the collection sees: networks of two have no broadcast address. */
static __uint128_t
last_seen(const struct ipnet *v)
{
	return ip_bits(v->version) - v->prefix > 1 ? ip_last(v) : ip_first(v);
}

static bool
seen_within(const struct ipnet *v, const struct ipnet *w)
{
	return v->version == w->version && ip_first(w) >= ip_first(v) && last_seen(w) <= last_seen(v);
}

static const struct value *
f_network_in_network(struct tcall *c)
{
	struct ipnet v, w;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "%s: missing argument 'test'", c->name);
	return v_bool(both_nets(c, c->in, c->a[0], &v, &w) && seen_within(&v, &w));
}

static const struct value *
f_network_in_usable(struct tcall *c)
{
	struct ipnet w;
	struct query q = { .c = c };
	__uint128_t first, last;

	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "%s: missing argument 'test'", c->name);
	if (!both_nets(c, c->in, c->a[0], &q.v, &w))
		return &v_false;
	if (small_net(&q))
		first = last = q.v.addr;
	else
		usable(&q, &first, &last);
	return v_bool(q.v.version == w.version && ip_first(&w) >= first && last_seen(&w) <= last);
}

static const struct value *
f_reduce_on_network(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct vlist *l = fu_list(c, c->in);
	struct ipnet v, w;

	if (l == NULL)
		return NULL;
	if (c->a[0] == NULL)
		return terr(c, ERR_TYPE, "reduce_on_network: missing argument 'network'");
	for (uint32_t i = 0; i < l->n; i++)
		if (both_nets(c, c->a[0], l->v[i], &v, &w) && seen_within(&v, &w))
			v_push(c->arena, out, l->v[i]);
	return out;
}

/* ---- cidr_merge ------------------------------------------------------------------------------ */

static int
by_first(const void *x, const void *y)
{
	const struct ipnet *a = x, *b = y;

	if (a->version != b->version)
		return a->version - b->version;
	if (ip_first(a) != ip_first(b))
		return ip_first(a) > ip_first(b) ? 1 : -1;
	return a->prefix - b->prefix;
}

/* Drops what lies in another network, joins halves; in place. */
static uint32_t
merge_nets(struct ipnet *v, uint32_t n)
{
	uint32_t k = 0;
	struct ipnet up;

	for (uint32_t i = 0; i < n; i++) {
		if (k > 0 && ip_within(&v[k - 1], &v[i]))
			continue;
		v[k++] = v[i];
		while (k > 1 && v[k - 2].version == v[k - 1].version && v[k - 2].prefix == v[k - 1].prefix &&
		    v[k - 1].prefix > 0) {
			up = v[k - 2];
			up.prefix--;
			if (!ip_within(&up, &v[k - 1]))
				break;
			up.addr = ip_first(&up);
			v[k - 2] = up;
			k--;
		}
	}
	return k;
}

static const struct value *
f_cidr_merge(struct tcall *c)
{
	const struct vlist *l = fu_list(c, c->in);
	struct value *out = v_list(c->arena);
	struct query q = { .c = c };
	struct ipnet *v;
	const char *action, *s;
	size_t len;
	uint32_t n;

	if (l == NULL || !targ_str(c, 0, "merge", &action, &len))
		return NULL;
	v = arena_array(c->arena, l->n + 1, sizeof(*v));
	for (uint32_t i = 0; i < l->n; i++) {
		if (!fu_str(c, l->v[i], &s, &len))
			return NULL;
		if (!ip_parse_net(s, 0, &v[i]))
			return terr(c, ERR_VALUE, "cidr_merge: invalid IPNetwork %s", s);
		if (strcmp(action, "merge") == 0)
			v[i].addr = ip_first(&v[i]);
	}
	if (strcmp(action, "merge") == 0) {
		qsort(v, l->n, sizeof(*v), by_first);
		n = merge_nets(v, l->n);
		for (uint32_t i = 0; i < n; i++) {
			q.v = v[i];
			v_push(c->arena, out, text(&q, v[i].addr, v[i].prefix));
		}
		return out;
	}
	if (strcmp(action, "span") != 0)
		return terr(c, ERR_VALUE, "cidr_merge: invalid action '%s'", action);
	if (l->n == 0)
		return &v_null;
	q.v = v[0];
	if (l->n == 1)
		return text(&q, q.v.addr, q.v.prefix);
	for (uint32_t i = 1; i < l->n; i++) {
		if (v[i].version != q.v.version)
			return terr(c, ERR_TYPE, "cidr_merge: IP sequence cannot contain both IPv4 and IPv6!");
		while (!ip_within(&q.v, &v[i]))
			q.v.prefix--;
	}
	return text(&q, ip_first(&q.v), q.v.prefix);
}

/* ---- the rest ---------------------------------------------------------------------------------- */

static const struct value *
f_usable_range(struct tcall *c)
{
	struct query q = { .c = c };
	struct value *out = v_map(c->arena), *ips = v_list(c->arena);
	const char *s;
	size_t len;

	if (!fu_str(c, c->in, &s, &len))
		return NULL;
	if (!ip_parse_net(s, 0, &q.v) || !at_network(&q))
		return terr(c, ERR_VALUE, "usable_range: '%s' is no network, or has host bits set", s);
	if (ip_hostmask(&q.v) >= FU_ITEMS_MAX)
		return terr(c, ERR_LIMIT, "usable_range: more than %u addresses", FU_ITEMS_MAX);
	for (__uint128_t i = 0; i <= ip_hostmask(&q.v); i++)
		v_push(c->arena, ips, text(&q, q.v.addr + i, -1));
	v_sets(c->arena, out, "usable_ips", ips);
	v_set_int(c->arena, out, "number_of_ips", v_count(ips));
	return out;
}

static const struct value *
f_ip4_hex(struct tcall *c)
{
	struct ipnet v;
	const char *s, *sep;
	size_t len, n;
	uint32_t a;

	if (!fu_str(c, c->in, &s, &len) || !targ_str(c, 0, "", &sep, &n))
		return NULL;
	if (!ip_parse_addr(s, 4, &v))
		return terr(c, ERR_VALUE, "You must pass a valid IP address; %s is invalid", s);
	a = (uint32_t)v.addr;
	return v_strf(c->arena, "%02x%s%02x%s%02x%s%02x", a >> 24, sep, a >> 16 & 255, sep,
	    a >> 8 & 255, sep, a & 255);
}

static const struct {
	const char	*name;
	const char	*sep;
	int		 group;		/* hex digits between separators */
	bool		 upper;
	bool		 bare;		/* no leading zeros in a group */
} mac_forms[] = {
	{ "bare", "", 12, true, false }, { "cisco", ".", 4, false, false },
	{ "eui48", "-", 2, true, false }, { "win", "-", 2, true, false },
	{ "linux", ":", 2, false, false }, { "unix", ":", 2, false, true },
	{ "pgsql", ":", 6, false, false }, { "postgresql", ":", 6, false, false },
	{ "psql", ":", 6, false, false },
};

static const struct value *
f_hwaddr(struct tcall *c)
{
	struct buf b = BUF_INIT;
	const char *s, *query;
	size_t len, n, f;
	uint64_t mac, part;
	int g;

	if (!fu_text(c, c->in, &s, &len) || !targ_str(c, 0, "", &query, &n))
		return NULL;
	if (!mac_parse(s, &mac)) {
		if (n == 0)
			return &v_null;
		if (strcmp(query, "bool") == 0)
			return &v_null;
		return terr(c, ERR_VALUE, "%s: not a hardware address: %s", c->name, s);
	}
	if (n == 0)
		return c->in;
	if (strcmp(query, "bool") == 0)
		return &v_true;
	if (strcmp(query, "int") == 0)
		return v_int(c->arena, (int64_t)mac);
	for (f = 0; f < NITEMS(mac_forms) && strcmp(query, mac_forms[f].name) != 0; f++)
		continue;
	if (f == NITEMS(mac_forms))
		return terr(c, ERR_VALUE, "%s: unknown filter type: %s", c->name, query);
	g = mac_forms[f].group;
	for (int i = 12 / g - 1; i >= 0; i--) {
		part = mac >> (i * g * 4) & (((uint64_t)1 << (g * 4)) - 1);
		if (mac_forms[f].bare)
			buf_addf(&b, "%llx", (unsigned long long)part);
		else
			buf_addf(&b, mac_forms[f].upper ? "%0*llX" : "%0*llx", g, (unsigned long long)part);
		if (i > 0)
			buf_adds(&b, mac_forms[f].sep);
	}
	return fu_result(c, &b);
}

static const struct value *
f_slaac(struct tcall *c)
{
	struct query q;
	const char *s;
	size_t len;
	uint64_t mac;

	memset(&q, 0, sizeof(q));
	if (!fu_arg_text(c, 0, "", &s, &len))
		return NULL;
	if (!as_net(c, c->in, &q) || q.v.version != 6 || !mac_parse(s, &mac))
		return &v_false;
	return text(&q, ip_first(&q.v) + (((__uint128_t)(mac >> 24 ^ 0x020000) << 40) |
	    ((__uint128_t)0xfffe << 24) | (mac & 0xffffff)), -1);
}

/* ---- tests ------------------------------------------------------------------------------------- */

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

static const struct tfilter filters[] = {
	{ "cidr_merge", "action", 0, f_cidr_merge },
	{ "hwaddr", "query", 0, f_hwaddr },
	{ "ip4_hex", "delimiter", 0, f_ip4_hex },
	{ "ipaddr", "query", 0, f_ipaddr },
	{ "ipmath", "amount", 0, f_ipmath },
	{ "ipsubnet", "query,index", 0, f_ipsubnet },
	{ "ipv4", "query", 0, f_ipv4 },
	{ "ipv6", "query", 0, f_ipv6 },
	{ "ipwrap", "query", 0, f_ipwrap },
	{ "macaddr", "query", 0, f_hwaddr },
	{ "network_in_network", "test", 0, f_network_in_network },
	{ "network_in_usable", "test", 0, f_network_in_usable },
	{ "next_nth_usable", "offset", 0, f_next_nth_usable },
	{ "nthhost", "query", 0, f_nthhost },
	{ "previous_nth_usable", "offset", 0, f_previous_nth_usable },
	{ "reduce_on_network", "network", 0, f_reduce_on_network },
	{ "slaac", "query", 0, f_slaac },
	{ "usable_range", "", 0, f_usable_range },
	{ NULL, NULL, 0, NULL }
};

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

const struct tfamily family_ip = { filters, tests };
