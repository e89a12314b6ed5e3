/*
 * Filters of networks and hardware addresses, of ansible.utils.
 */
#include <string.h>

#include "template/filter_ip.h"

/* ---- networks ------------------------------------------------------------------------------- */

/* A value as a network: an address keeps its bits, a network is one. false: neither. */
static bool
as_net(struct tcall *c, const struct value *value, struct query *q)
{
	q->c = c;
	return ip_query_parse(q, value, 0);
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
		return ip_text(&q, q.v.addr, q.v.prefix);
	if (!ip_all_digits(query))
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
		return ip_text(&q, ip_first(&q.v), q.v.prefix);
	}
	if (want < q.v.prefix && fu_given(c, 1)) {
		q.v.prefix = (int)want;
		return index == 0 ? ip_text(&q, q.v.addr, q.v.prefix) : &v_false;
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
	return ip_text(&q, q.v.addr + (want == 0 ? 0 : subnets << (bits - want)), (int)want);
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
	if (!ip_moved(&q, n, &a))
		return NULL;
	return ip_text(&q, a, -1);
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
	if (ip_single(&q))
		return &v_null;
	if (!ip_moved(&q, sign * n, &a))
		return NULL;
	ip_usable(&q, &first, &last);
	return a >= first && a <= last ? ip_text(&q, a, -1) : &v_null;
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
	return ip_text(&q, n >= 0 ? ip_first(&q.v) + (__uint128_t)n : ip_last(&q.v) + 1 - (__uint128_t)-n, -1);
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
	if (ip_single(&q))
		first = last = q.v.addr;
	else
		ip_usable(&q, &first, &last);
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
			v_push(c->arena, out, ip_text(&q, v[i].addr, v[i].prefix));
		}
		return out;
	}
	if (strcmp(action, "span") != 0)
		return terr(c, ERR_VALUE, "cidr_merge: invalid action '%s'", action);
	if (l->n == 0)
		return &v_null;
	q.v = v[0];
	if (l->n == 1)
		return ip_text(&q, q.v.addr, q.v.prefix);
	for (uint32_t i = 1; i < l->n; i++) {
		if (v[i].version != q.v.version)
			return terr(c, ERR_TYPE, "cidr_merge: IP sequence cannot contain both IPv4 and IPv6!");
		while (!ip_within(&q.v, &v[i]))
			q.v.prefix--;
	}
	return ip_text(&q, ip_first(&q.v), q.v.prefix);
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
	if (!ip_parse_net(s, 0, &q.v) || q.v.addr != ip_first(&q.v))
		return terr(c, ERR_VALUE, "usable_range: '%s' is no network, or has host bits set", s);
	if (ip_hostmask(&q.v) >= FU_ITEMS_MAX)
		return terr(c, ERR_LIMIT, "usable_range: more than %u addresses", FU_ITEMS_MAX);
	for (__uint128_t i = 0; i <= ip_hostmask(&q.v); i++)
		v_push(c->arena, ips, ip_text(&q, q.v.addr + i, -1));
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
	return ip_text(&q, ip_first(&q.v) + (((__uint128_t)(mac >> 24 ^ 0x020000) << 40) |
	    ((__uint128_t)0xfffe << 24) | (mac & 0xffffff)), -1);
}

static const struct tfilter filters[] = {
	{ "cidr_merge", "action", 0, f_cidr_merge },
	{ "hwaddr", "query", 0, f_hwaddr },
	{ "ip4_hex", "delimiter", 0, f_ip4_hex },
	{ "ipmath", "amount", 0, f_ipmath },
	{ "ipsubnet", "query,index", 0, f_ipsubnet },
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

const struct tfamily family_net = { filters, NULL };
