/*
 * Host patterns of inventories: ports and ranges.
 *
 *	web[01:10].example.org	ten names with two digits
 *	db-[a:f]		letters
 *	x[1:9:2]y[a:b]		steps; several ranges multiply
 *	host:2222, [fe80::1]:22	a port
 */
#include <arpa/inet.h>
#include <string.h>

#include "inventory/inv.h"

static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool
address_is_v6(const char *s)
{
	unsigned char addr[16];
	char buf[64];
	size_t n = strcspn(s, "%");

	if (n >= sizeof(buf))
		return false;
	memcpy(buf, s, n);
	buf[n] = '\0';
	return inet_pton(AF_INET6, buf, addr) == 1;
}

static bool
all_digits(const char *s, size_t n)
{
	return n > 0 && strspn(s, "0123456789") >= n;
}

/* The last ':' outside brackets, NULL when there is none; *ret_n counts them. */
static const char *
last_colon(const char *s, unsigned *ret_n)
{
	const char *colon = NULL;
	bool inside = false;

	*ret_n = 0;
	for (; *s != '\0'; s++) {
		if (*s == '[')
			inside = true;
		else if (*s == ']')
			inside = false;
		else if (*s == ':' && !inside) {
			colon = s;
			(*ret_n)++;
		}
	}
	return colon;
}

int
address_split(struct arena *arena, const char *s, const char **ret_host,
    int *ret_port, struct err *err)
{
	size_t n = strlen(s), inner;
	unsigned colons;
	const char *colon = last_colon(s, &colons);
	long port;

	*ret_port = 0;
	*ret_host = s;
	if (s[0] == '[' && s[n - 1] == ']') {
		char *v6 = arena_strndup(arena, s + 1, n - 2);

		if (address_is_v6(v6))	/* [::1], without a port */
			*ret_host = v6;
		return 0;
	}
	if (colon == NULL || address_is_v6(s))
		return 0;
	if (colons > 1)
		return err_set(err, ERR_INVALID, "'%.100s' has more than one ':' "
		    "but is no IPv6 address", s);
	if (colon[1] == '\0') {
		err_set(err, ERR_INVALID, "'%.100s' ends with ':', but has no port", s);
		err_hint(err, "if this is YAML, name the file *.yml");
		return -1;
	}
	if (!all_digits(colon + 1, strlen(colon + 1)) || strlen(colon + 1) > 5 ||
	    (port = strtol(colon + 1, NULL, 10)) < 1 || port > 65535)
		return err_set(err, ERR_INVALID,
		    "'%.20s' is no port number (1 to 65535)", colon + 1);
	*ret_port = (int)port;
	inner = (size_t)(colon - s);
	if (s[0] == '[' && s[inner - 1] == ']')
		*ret_host = arena_strndup(arena, s + 1, inner - 2);
	else
		*ret_host = arena_strndup(arena, s, inner);
	return 0;
}

struct range {
	long	 from, to, step;
	int	 width;		/* of numbers with leading zeros */
	bool	 letters;
};

static long
letter_index(const char *s, size_t n)
{
	const char *p = n == 1 ? strchr(letters, s[0]) : NULL;

	return p == NULL ? -1 : (long)(p - letters);
}

static int
range_parse(const char *s, size_t n, struct range *r, struct err *err)
{
	const char *part[3];
	size_t len[3], i, k = 0;

	memset(r, 0, sizeof(*r));
	part[0] = s;
	for (i = 0; i <= n; i++)
		if (i == n || s[i] == ':') {
			len[k] = (size_t)(s + i - part[k]);
			if (++k == 3 && i < n)
				break;
			if (i < n)
				part[k] = s + i + 1;
		}
	if (k < 2 || i < n)
		return err_set(err, ERR_INVALID,
		    "'[%.*s]' is no range: write [begin:end] or [begin:end:step]",
		    n > 60 ? 60 : (int)n, s);
	r->step = 1;
	if (k == 3 && (!all_digits(part[2], len[2]) || len[2] > 6 ||
	    (r->step = strtol(part[2], NULL, 10)) < 1))
		return err_set(err, ERR_INVALID,
		    "the step of the range '[%.*s]' must be a number from 1",
		    n > 60 ? 60 : (int)n, s);
	if (len[1] == 0)
		return err_set(err, ERR_INVALID, "the range '[%.*s]' has no end",
		    n > 60 ? 60 : (int)n, s);
	r->from = letter_index(part[0], len[0]);
	r->to = letter_index(part[1], len[1]);
	r->letters = r->from >= 0 && r->to >= 0;
	if (!r->letters) {
		if ((len[0] > 0 && !all_digits(part[0], len[0])) ||
		    !all_digits(part[1], len[1]) || len[0] > 15 || len[1] > 15)
			return err_set(err, ERR_INVALID, "a range goes from number "
			    "to number or from letter to letter, not '[%.*s]'",
			    n > 60 ? 60 : (int)n, s);
		r->from = len[0] == 0 ? 0 : strtol(part[0], NULL, 10);
		r->to = strtol(part[1], NULL, 10);
		if (len[0] > 1 && part[0][0] == '0') {
			r->width = (int)len[0];
			if (len[0] != len[1])
				return err_set(err, ERR_INVALID, "begin and end of "
				    "the range '[%.*s]' must have as many digits "
				    "when there are leading zeros",
				    n > 60 ? 60 : (int)n, s);
		}
	}
	if (r->from > r->to)
		return err_set(err, ERR_INVALID,
		    "the range '[%.*s]' ends before it begins",
		    n > 60 ? 60 : (int)n, s);
	return 0;
}

int
range_expand(struct arena *arena, const char *pattern, const char ***ret,
    uint32_t *nret, struct err *err)
{
	const char **names, **next, *open, *close, *tail;
	uint32_t n = 1, k;
	struct range r;

	names = ARENA_ARRAY(arena, 1, const char *);
	names[0] = "";
	tail = pattern;
	while ((open = strchr(tail, '[')) != NULL) {
		if ((close = strchr(open, ']')) == NULL)
			return err_set(err, ERR_INVALID,
			    "'%.100s' has '[' but no ']'", pattern);
		if (range_parse(open + 1, (size_t)(close - open - 1), &r, err) == -1)
			return -1;
		if ((uint64_t)((r.to - r.from) / r.step + 1) * n > INV_RANGE_MAX)
			return err_set(err, ERR_LIMIT,
			    "'%.100s' stands for more than %u hosts", pattern,
			    INV_RANGE_MAX);
		next = ARENA_ARRAY(arena, n * (size_t)((r.to - r.from) / r.step + 1),
		    const char *);
		k = 0;
		for (uint32_t i = 0; i < n; i++)
			for (long v = r.from; v <= r.to; v += r.step)
				next[k++] = r.letters ?
				    arena_printf(arena, "%s%.*s%c", names[i],
				    (int)(open - tail), tail, letters[v]) :
				    arena_printf(arena, "%s%.*s%0*ld", names[i],
				    (int)(open - tail), tail, r.width, v);
		names = next;
		n = k;
		tail = close + 1;
	}
	for (uint32_t i = 0; *tail != '\0' && i < n; i++)
		names[i] = arena_printf(arena, "%s%s", names[i], tail);
	*ret = names;
	*nret = n;
	return 0;
}
