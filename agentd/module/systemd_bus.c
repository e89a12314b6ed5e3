/*
 * Asking systemd over its private socket, which speaks D-Bus: properties of a
 * unit in a millisecond, where starting systemctl takes ten.
 *
 *	connect /run/systemd/private, "\0AUTH EXTERNAL <uid in hex>", BEGIN
 *	LoadUnit("nginx.service") -> object path; GetAll("") on it -> a{sv}
 *
 * Only what is simple is told: texts, numbers, booleans, lists of texts and
 * times, written as systemctl does; commands (ExecStart …) and sets are not.  Whatever goes wrong, the caller asks
 * systemctl instead; nothing here changes anything.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "module/systemd.h"

#define SOCKET		"/run/systemd/private"
#define OBJECT		"/org/freedesktop/systemd1"
#define MANAGER		"org.freedesktop.systemd1.Manager"
#define PROPERTIES	"org.freedesktop.DBus.Properties"
#define MESSAGE_MAX	((uint32_t)16 * 1024 * 1024)
#define DEPTH_MAX	32
#define TIMEOUT_S	5

struct bus {
	int		 fd;
	uint32_t	 serial;
	struct buf	 in;		/* the reply as received */
	size_t		 body;		/* where its body starts */
};

/* ---- writing ------------------------------------------------------------ */

static void
pad(struct buf *b, size_t to)
{
	while (b->len % to != 0)
		buf_addc(b, '\0');
}

static void
put32(struct buf *b, uint32_t v)
{
	pad(b, 4);
	buf_add(b, &v, 4);		/* in the machine's own order, which the header names */
}

static void
put_str(struct buf *b, const char *s)
{
	put32(b, (uint32_t)strlen(s));
	buf_add(b, s, strlen(s) + 1);
}

static void
put_field(struct buf *b, char code, char type, const char *s)
{
	pad(b, 8);
	buf_addc(b, code);
	buf_addc(b, 1);
	buf_addc(b, type);
	buf_addc(b, '\0');
	if (type == 'g') {
		buf_addc(b, (char)strlen(s));
		buf_add(b, s, strlen(s) + 1);
	} else
		put_str(b, s);
}

static bool
is_little(void)
{
	const uint16_t one = 1;

	return *(const unsigned char *)&one == 1;
}

static int
send_all(int fd, const struct buf *b)
{
	size_t done = 0;
	ssize_t n;

	while (done < b->len) {
		n = send(fd, b->data + done, b->len - done, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static int
recv_all(int fd, struct buf *b, size_t want)
{
	char *to = buf_reserve(b, want);
	ssize_t n;

	while (want > 0) {
		if (to == NULL)
			return -1;
		n = recv(fd, to, want, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		to += n;
		b->len += (size_t)n;
		want -= (size_t)n;
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------ */

struct reader {
	const char	*s;
	size_t		 at, end;
	struct arena	*a;
};

static bool
align(struct reader *r, size_t to)
{
	r->at = (r->at + to - 1) / to * to;
	return r->at <= r->end;
}

static bool
get(struct reader *r, void *to, size_t n)
{
	if (!align(r, n) || r->end - r->at < n)
		return false;
	memcpy(to, r->s + r->at, n);
	r->at += n;
	return true;
}

/* A text with a length of 4 bytes, or of 1 for a signature. */
static const char *
get_str(struct reader *r, bool sig, uint32_t *ret_n)
{
	unsigned char n1 = 0;
	uint32_t n;
	const char *s;

	if (sig ? !get(r, &n1, 1) : !get(r, &n, 4))
		return NULL;
	if (sig)
		n = n1;
	if (r->end - r->at <= n || r->s[r->at + n] != '\0')
		return NULL;
	s = r->s + r->at;
	r->at += (size_t)n + 1;
	if (ret_n != NULL)
		*ret_n = n;
	return s;
}

static size_t
alignment(char c)
{
	return strchr("yvg", c) != NULL ? 1 : strchr("nq", c) != NULL ? 2 :
	    strchr("xtd({", c) != NULL ? 8 : 4;
}

/* The end of the one complete type at sig; NULL when it is none. */
static const char *
type_end(const char *sig, int depth)
{
	char close_;

	if (depth > DEPTH_MAX || *sig == '\0')
		return NULL;
	if (*sig == 'a')
		return type_end(sig + 1, depth + 1);
	if (*sig != '(' && *sig != '{')
		return strchr("ybnqiuxtdsogvh", *sig) != NULL ? sig + 1 : NULL;
	close_ = *sig == '(' ? ')' : '}';
	for (sig++; sig != NULL && *sig != close_;)
		sig = type_end(sig, depth + 1);
	return sig == NULL ? NULL : sig + 1;
}

static bool value(struct reader *, const char *sig, const struct value **, int);

static const struct value *
text(struct arena *a, const char *s, size_t n)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;

	if (utf8_valid(s, n))
		return v_strn(a, s, n);
	utf8_clean(&clean, s, n);
	return v_strn(a, buf_str(&clean), clean.len);
}

/* An array: of texts they are joined by blanks, others are passed over. */
static bool
array(struct reader *r, const char *sig, const struct value **ret, int depth)
{
	CLEANUP_BUF struct buf joined = BUF_INIT;
	const struct value *v;
	bool texts = *sig == 's' || *sig == 'o';
	size_t end;
	uint32_t n;

	if (!get(r, &n, 4) || !align(r, alignment(*sig)) || r->end - r->at < n)
		return false;
	for (end = r->at + n; r->at < end;) {
		v = NULL;
		if (!value(r, sig, &v, depth + 1) || r->at > end)
			return false;
		if (texts && v != NULL)
			buf_addf(&joined, "%s%s", joined.len > 0 ? " " : "", v->u.s);
	}
	if (texts)
		*ret = v_strn(r->a, buf_str(&joined), joined.len);
	return true;
}

/* One value of the type at sig; *ret stays NULL when it is not simple. */
static bool
value(struct reader *r, const char *sig, const struct value **ret, int depth)
{
	const char *s, *end;
	uint64_t u64;
	uint32_t u32, n;
	uint16_t u16;
	unsigned char u8;

	if (depth > DEPTH_MAX)
		return false;
	switch (*sig) {
	case 's':
	case 'o':
	case 'g':
		s = get_str(r, *sig == 'g', &n);
		if (s != NULL)
			*ret = text(r->a, s, n);
		return s != NULL;
	case 'b':
		if (!get(r, &u32, 4))
			return false;
		*ret = v_str(r->a, u32 ? "yes" : "no");
		return true;
	case 'u':
	case 'i':
	case 'h':
		if (!get(r, &u32, 4))
			return false;
		*ret = *sig == 'i' ? v_strf(r->a, "%d", (int)u32) : v_strf(r->a, "%u", u32);
		return true;
	case 't':
	case 'x':
	case 'd':
		if (!get(r, &u64, 8))
			return false;
		if (*sig != 'd')
			*ret = *sig == 'x' ? v_strf(r->a, "%lld", (long long)u64) :
			    u64 == UINT64_MAX ? v_str(r->a, "infinity") :
			    v_strf(r->a, "%llu", (unsigned long long)u64);
		return true;
	case 'n':
	case 'q':
		return get(r, &u16, 2);
	case 'y':
		return get(r, &u8, 1);
	case 'v':
		s = get_str(r, true, NULL);
		return s != NULL && type_end(s, 0) != NULL && *type_end(s, 0) == '\0' &&
		    value(r, s, ret, depth + 1);
	case 'a':
		return array(r, sig + 1, ret, depth);
	case '(':
	case '{':
		if (!align(r, 8))
			return false;
		for (sig++; *sig != ')' && *sig != '}'; sig = end) {
			const struct value *ignored = NULL;

			end = type_end(sig, 0);
			if (end == NULL || !value(r, sig, &ignored, depth + 1))
				return false;
		}
		return true;
	default:
		return false;
	}
}

/* "Sun 2026-11-22 16:43:07 UTC", as systemctl shows times. */
static const struct value *
time_text(struct arena *a, const char *usec)
{
	long long n = strtoll(usec, NULL, 10);
	time_t t = (time_t)(n / 1000000);
	char s[64];
	struct tm tm;

	if (n <= 0 || localtime_r(&t, &tm) == NULL ||
	    strftime(s, sizeof(s), "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
		return &v_empty_str;
	return v_str(a, s);
}

/* "1min 30s", "100ms": the two or more largest units, as systemctl shows spans. */
static const struct value *
span_text(struct arena *a, const char *usec)
{
	static const struct { const char *name; unsigned long long usec; } units[] = {
		{ "y", 31557600000000ULL }, { "month", 2629800000000ULL },
		{ "w", 604800000000ULL }, { "d", 86400000000ULL },
		{ "h", 3600000000ULL }, { "min", 60000000ULL },
		{ "s", 1000000ULL }, { "ms", 1000ULL }, { "us", 1ULL } };
	unsigned long long n = strtoull(usec, NULL, 10);
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < NITEMS(units); i++)
		if (n >= units[i].usec) {
			buf_addf(&b, "%s%llu%s", b.len > 0 ? " " : "",
			    n / units[i].usec, units[i].name);
			n %= units[i].usec;
		}
	return b.len == 0 ? v_str(a, "0") : v_strn(a, buf_str(&b), b.len);
}

static bool
ends_with(const char *s, size_t n, const char *end)
{
	size_t k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

/* Numbers that systemctl shows in a form of their own; NULL: left out. */
static const struct value *
as_shown(struct arena *a, const char *key, size_t n, const struct value *v)
{
	static const char *const others[] = { "CapabilityBoundingSet",
		"AmbientCapabilities", "RestrictNamespaces", "CoredumpFilter",
		"NUMAPolicy", "MountFlags", "SecureBits" };
	size_t i;

	for (i = 0; i < NITEMS(others); i++)
		if (strcmp(others[i], key) == 0)
			return NULL;
	if (ends_with(key, n, "Timestamp"))
		return time_text(a, v->u.s);
	if (v_eqs(v, "infinity") && (strncmp(key, "IP", 2) == 0 ||
	    strncmp(key, "IO", 2) == 0))
		return NULL;	/* counters that do not count */
	if (v_eqs(v, "infinity"))
		return strncmp(key, "Limit", 5) == 0 || ends_with(key, n, "USec") ||
		    ends_with(key, n, "Max") || ends_with(key, n, "High") ? v :
		    v_str(a, "[not set]");
	if (ends_with(key, n, "USec"))
		return span_text(a, v->u.s);
	if (ends_with(key, n, "Mode") || strcmp(key, "UMask") == 0)
		return strspn(v->u.s, "0123456789") == v->len && v->len > 0 ?
		    v_strf(a, "%04lo", strtoul(v->u.s, NULL, 10)) : v;
	if ((strcmp(key, "UID") == 0 || strcmp(key, "GID") == 0) &&
	    v_eqs(v, "4294967295"))
		return v_str(a, "[not set]");
	return v;
}

struct value *
systemd_bus_properties(struct arena *a, const char *data, size_t len, size_t at)
{
	struct reader r = { .s = data, .at = at, .end = len, .a = a };
	struct value *map = v_map(a);
	const struct value *v;
	const char *key;
	uint32_t n, nkey;
	size_t end;

	if (!get(&r, &n, 4) || !align(&r, 8) || r.end - r.at < n)
		return NULL;
	for (end = r.at + n; r.at < end;) {
		v = NULL;
		if (!align(&r, 8) || (key = get_str(&r, false, &nkey)) == NULL ||
		    !value(&r, "v", &v, 0))
			return NULL;
		if (v != NULL)
			v = as_shown(a, key, nkey, v);
		if (v == NULL)
			continue;
		v_set(a, map, text(a, key, nkey), v);
	}
	return map;
}

/* ---- calls -------------------------------------------------------------- */

static int
bus_open(struct bus *bus)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	struct timeval tv = { .tv_sec = TIMEOUT_S };
	CLEANUP_BUF struct buf hello = BUF_INIT, line = BUF_INIT;
	char uid[16], hex[40];
	size_t i;

	memset(bus, 0, sizeof(*bus));
	bus->in.max = MESSAGE_MAX + 4096;
	bus->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bus->fd == -1)
		return -1;
	(void)setsockopt(bus->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(bus->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(bus->fd, (const struct sockaddr *)&sa, sizeof(sa)) == -1)
		return -1;
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
	for (i = 0; uid[i] != '\0'; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)uid[i]);
	buf_addc(&hello, '\0');
	buf_addf(&hello, "AUTH EXTERNAL %s\r\nBEGIN\r\n", hex);
	if (send_all(bus->fd, &hello) == -1)
		return -1;
	/* "OK guid\r\n": one at a time, messages may follow */
	while (line.len < 200) {
		if (recv_all(bus->fd, &line, 1) == -1)
			return -1;
		if (line.data[line.len - 1] == '\n')
			return strncmp(buf_str(&line), "OK ", 3) == 0 ? 0 : -1;
	}
	return -1;
}

static void
bus_close(struct bus *bus)
{
	if (bus->fd != -1)
		(void)close(bus->fd);
	buf_release(&bus->in);
}

/* Reads messages up to the answer of our call; 0 when it is one. */
static int
read_reply(struct bus *bus)
{
	uint32_t body, fields, reply, count;
	struct reader r = { 0 };
	const char *sig;
	unsigned char code;

	for (count = 0; count < 1000; count++) {
		buf_clear(&bus->in);
		if (recv_all(bus->fd, &bus->in, 16) == -1)
			return -1;
		memcpy(&body, bus->in.data + 4, 4);
		memcpy(&fields, bus->in.data + 12, 4);
		if (bus->in.data[0] != (is_little() ? 'l' : 'B') ||
		    body > MESSAGE_MAX || fields > 65536 ||
		    recv_all(bus->fd, &bus->in, (fields + 7) / 8 * 8 + body) == -1)
			return -1;
		bus->body = 16 + (fields + 7) / 8 * 8;
		r = (struct reader){ .s = bus->in.data, .at = 16, .end = 16 + fields };
		for (reply = 0; r.at < r.end;) {
			const struct value *ignored = NULL;
			struct arena tmp = { 0 };
			bool ok;

			r.a = &tmp;
			ok = align(&r, 8) && (r.at == r.end || (get(&r, &code, 1) &&
			    (sig = get_str(&r, true, NULL)) != NULL &&
			    (code == 5 && *sig == 'u' ? get(&r, &reply, 4) :
			    value(&r, sig, &ignored, 0))));
			arena_release(&tmp);
			if (!ok)
				return -1;
		}
		if (reply == bus->serial)
			return bus->in.data[1] == 2 ? 0 : -1;
	}
	return -1;
}

/* Calls a method with up to two texts. */
static int
call(struct bus *bus, const char *path, const char *interface, const char *member,
    const char *arg, const char *arg2)
{
	CLEANUP_BUF struct buf b = BUF_INIT, body = BUF_INIT;
	uint32_t len;

	put_str(&body, arg);
	if (arg2 != NULL)
		put_str(&body, arg2);
	buf_addc(&b, is_little() ? 'l' : 'B');
	buf_addc(&b, 1);
	buf_addc(&b, 0);
	buf_addc(&b, 1);
	put32(&b, (uint32_t)body.len);
	put32(&b, ++bus->serial);
	put32(&b, 0);			/* length of the fields, below */
	put_field(&b, 1, 'o', path);
	put_field(&b, 2, 's', interface);
	put_field(&b, 3, 's', member);
	put_field(&b, 6, 's', "org.freedesktop.systemd1");
	put_field(&b, 8, 'g', arg2 != NULL ? "ss" : "s");
	len = (uint32_t)b.len - 16;
	memcpy(b.data + 12, &len, 4);
	pad(&b, 8);
	buf_add(&b, body.data, body.len);
	return send_all(bus->fd, &b) == -1 ? -1 : read_reply(bus);
}

static struct reader
body_reader(struct bus *bus, struct arena *a)
{
	/* alignment counts from the start of the body, which is at a multiple of 8 */
	return (struct reader){ .s = bus->in.data, .at = bus->body,
		.end = bus->in.len, .a = a };
}

const struct value *
systemd_bus_show(struct arena *a, const char *unit)
{
	static const char *const kinds[] = { ".service", ".socket", ".target",
		".timer", ".mount", ".automount", ".path", ".slice", ".scope",
		".swap", ".device" };
	const char *dot = strrchr(unit, '.'), *path;
	const struct value *map = NULL;
	struct reader r;
	struct bus bus;
	bool full = false;
	size_t i;

	for (i = 0; dot != NULL && i < NITEMS(kinds); i++)
		full |= strcmp(kinds[i], dot) == 0;
	if (!full)
		unit = arena_printf(a, "%s.service", unit);
	if (bus_open(&bus) == 0 &&
	    call(&bus, OBJECT, MANAGER, "LoadUnit", unit, NULL) == 0) {
		r = body_reader(&bus, a);
		path = get_str(&r, false, NULL);
		if (path != NULL && call(&bus, arena_strdup(a, path), PROPERTIES,
		    "GetAll", "", NULL) == 0)
			map = systemd_bus_properties(a, bus.in.data, bus.in.len, bus.body);
	}
	bus_close(&bus);
	return map;
}

bool
systemd_bus_loaded(struct arena *a, int64_t *ret_usec)
{
	static const char *const names[] = { "UnitsLoadTimestampMonotonic",
		"UnitsLoadFinishTimestampMonotonic" };
	const struct value *v = NULL;
	struct reader r;
	struct bus bus;
	size_t i;

	*ret_usec = 0;
	if (bus_open(&bus) == 0)
		for (i = 0; i < NITEMS(names) && *ret_usec == 0; i++) {
			v = NULL;
			if (call(&bus, OBJECT, PROPERTIES, "Get", MANAGER, names[i]) == -1)
				break;	/* an old systemd has no first one: reload */
			r = body_reader(&bus, a);
			if (!value(&r, "v", &v, 0) || v == NULL)
				break;
			*ret_usec = strtoll(v->u.s, NULL, 10);
		}
	bus_close(&bus);
	return v != NULL;
}
