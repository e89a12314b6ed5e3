/*
 * IP addresses and networks: see ipaddr.h.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "template/filter_util.h"
#include "template/ipaddr.h"

bool
ip_parse_addr(const char *s, int version, struct ipnet *ret)
{
	unsigned char b[16];
	int n;

	if (version != 6 && inet_pton(AF_INET, s, b) == 1)
		n = 4;
	else if (version != 4 && inet_pton(AF_INET6, s, b) == 1)
		n = 16;
	else
		return false;
	ret->version = n == 4 ? 4 : 6;
	ret->prefix = ip_bits(ret->version);
	ret->addr = 0;
	for (int i = 0; i < n; i++)
		ret->addr = ret->addr << 8 | b[i];
	return true;
}

static __uint128_t
max_addr(int version)
{
	return version == 4 ? (__uint128_t)0xffffffffu : ~(__uint128_t)0;
}

/* The prefix length of a netmask or hostmask; -1 when it is neither. */
static int
mask_prefix(const struct ipnet *mask)
{
	__uint128_t m = mask->addr;
	int n = 0;

	if (ip_is_netmask(mask))
		m = max_addr(mask->version) ^ m;
	else if (!ip_is_hostmask(mask))
		return -1;
	for (; m != 0; m >>= 1)
		n++;
	return ip_bits(mask->version) - n;
}

bool
ip_parse_net(const char *s, int version, struct ipnet *ret)
{
	const char *slash = strchr(s, '/');
	char addr[64];
	struct ipnet mask;
	int64_t prefix;

	if (slash == NULL)
		return ip_parse_addr(s, version, ret);
	if ((size_t)(slash - s) >= sizeof(addr))
		return false;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (!ip_parse_addr(addr, version, ret))
		return false;
	if (fu_parse_int(slash + 1, strlen(slash + 1), 10, &prefix) != 1) {
		if (!ip_parse_addr(slash + 1, ret->version, &mask))
			return false;
		prefix = mask_prefix(&mask);
	}
	if (prefix < 0 || prefix > ip_bits(ret->version))
		return false;
	ret->prefix = (int)prefix;
	return true;
}

void
ip_put(struct buf *b, int version, __uint128_t addr)
{
	unsigned char raw[16];
	char text[INET6_ADDRSTRLEN];
	int n = version == 4 ? 4 : 16;

	for (int i = n; i > 0; i--, addr >>= 8)
		raw[i - 1] = (unsigned char)addr;
	if (inet_ntop(version == 4 ? AF_INET : AF_INET6, raw, text, sizeof(text)) != NULL)
		buf_adds(b, text);
}

void
ip_put_decimal(struct buf *b, __uint128_t n)
{
	char text[48], *p = text + sizeof(text);

	*--p = '\0';
	do
		*--p = (char)('0' + (int)(n % 10));
	while ((n /= 10) != 0);
	buf_adds(b, p);
}

__uint128_t
ip_hostmask(const struct ipnet *n)
{
	int host = ip_bits(n->version) - n->prefix;

	return host == 128 ? ~(__uint128_t)0 : ((__uint128_t)1 << host) - 1;
}

__uint128_t
ip_first(const struct ipnet *n)
{
	return n->addr & ~ip_hostmask(n);
}

__uint128_t
ip_last(const struct ipnet *n)
{
	return n->addr | ip_hostmask(n);
}

bool
ip_within(const struct ipnet *outer, const struct ipnet *inner)
{
	return outer->version == inner->version && ip_first(inner) >= ip_first(outer) &&
	    ip_last(inner) <= ip_last(outer);
}

bool
ip_in(const struct ipnet *a, const char *net)
{
	struct ipnet n, one = *a;

	one.prefix = ip_bits(a->version);
	return ip_parse_net(net, a->version, &n) && ip_within(&n, &one);
}

static bool
in_any(const struct ipnet *a, const char *const *nets)
{
	for (; *nets != NULL; nets++)
		if (ip_in(a, *nets))
			return true;
	return false;
}

/* IANA's special-purpose registries. */
bool
ip_is_global(const struct ipnet *a)
{
	static const char *const not4[] = { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10",
	    "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	    "240.0.0.0/4", NULL };
	static const char *const but4[] = { "192.0.0.9/32", "192.0.0.10/32", NULL };
	static const char *const not6[] = { "::1/128", "::/128", "::ffff:0:0/96",
	    "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	    "fc00::/7", "fe80::/10", NULL };
	static const char *const but6[] = { "2001:1::1/128", "2001:1::2/128", "2001:3::/32",
	    "2001:4:112::/48", "2001:20::/28", "2001:30::/28", NULL };

	return !in_any(a, a->version == 4 ? not4 : not6) ||
	    in_any(a, a->version == 4 ? but4 : but6);
}

bool
ip_is_reserved(const struct ipnet *a)
{
	static const char *const nets[] = { "240.0.0.0/4", "::/8", "100::/8", "200::/7",
	    "400::/6", "800::/5", "1000::/4", "4000::/3", "6000::/3", "8000::/3", "a000::/3",
	    "c000::/3", "e000::/4", "f000::/5", "f800::/6", "fe00::/9", NULL };

	return in_any(a, nets);
}

bool
ip_is_multicast(const struct ipnet *a)
{
	return ip_in(a, a->version == 4 ? "224.0.0.0/4" : "ff00::/8");
}

bool
ip_is_loopback(const struct ipnet *a)
{
	return ip_in(a, a->version == 4 ? "127.0.0.0/8" : "::1/128");
}

bool
ip_is_netmask(const struct ipnet *a)
{
	__uint128_t n = (max_addr(a->version) ^ a->addr) + 1;

	return (n & (n - 1)) == 0;
}

bool
ip_is_hostmask(const struct ipnet *a)
{
	__uint128_t n = a->addr + 1;

	return (n & (n - 1)) == 0;
}

bool
mac_parse(const char *s, uint64_t *ret)
{
	unsigned digits = 0, group = 0, groups = 1;
	size_t len = strlen(s), seps = 0;
	uint64_t n = 0, part = 0;
	char sep = '\0';

	for (const char *p = s; *p != '\0'; p++)
		if (*p == ':' || *p == '-' || *p == '.') {
			sep = *p;
			seps++;
		}
	/* Bare, six groups of up to two, three of four, two of six digits. */
	if (sep == '\0' ? len != 12 && len != 11 : seps != 5 && seps != 2 && seps != 1)
		return false;
	for (;; s++) {
		if (isxdigit((unsigned char)*s)) {
			part = part << 4 | (uint64_t)(isdigit((unsigned char)*s) ? *s - '0' : (*s | 0x20) - 'a' + 10);
			digits++;
			group++;
			continue;
		}
		if (group == 0 || (sep != '\0' && group > 12 / (seps + 1)))
			return false;
		n = sep == '\0' ? part : n << (48 / (seps + 1)) | part;
		if (*s == '\0')
			break;
		if (*s != sep)
			return false;
		part = 0;
		group = 0;
		groups++;
	}
	*ret = n;
	return digits > 0 && groups == seps + 1;
}
