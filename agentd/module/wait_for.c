/*
 * wait_for: waits until a port answers or is closed, a file is there or gone,
 * a text appears in either, or connections have drained.
 *
 * Nothing is changed, so it never says changed; it looks beyond its own task,
 * so a check run skips it.  Every wait is short and ends with the task.
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "module/net.h"
#include "module/re.h"

#define SEARCH_MAX	((size_t)64 * 1024 * 1024)	/* of a file or an answer */

struct wait {
	struct mod	*m;
	const char	*host, *path, *state, *regex;
	int		 port;			/* 0: none */
	int		 connect_ms;
	int64_t		 start, end;		/* ms */
	int		 sleep_ms;
	struct re	*re;
};

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Sleeps in small pieces; false when the task was cancelled. */
static bool
rest(const struct wait *w, int64_t ms)
{
	int64_t end = now_ms() + ms, left;

	while ((left = end - now_ms()) > 0) {
		if (mod_cancelled(w->m))
			return false;
		(void)poll(NULL, 0, (int)(left < 100 ? left : 100));
	}
	return !mod_cancelled(w->m);
}

/* ---- what the text matched ------------------------------------------------------ */

/* 1 found (the groups go to the result), 0 not, -1 after mod_fail. */
static int
search(struct wait *w, const char *text, size_t len)
{
	struct mod *m = w->m;
	struct value *groups, *names;
	struct re_match match;
	const char *name;
	uint32_t i;
	int found = re_search(m, w->re, text, len, 0, &match);

	if (found != 1)
		return found;
	groups = v_list(m->arena);
	for (i = 1; i < match.n; i++)
		v_push(m->arena, groups, match.start[i] == (size_t)-1 ? &v_null :
		    v_strn(m->arena, text + match.start[i],
		    match.end[i] - match.start[i]));
	names = v_map(m->arena);
	for (i = 1; i < match.n; i++)
		if ((name = re_group_name(w->re, i)) != NULL)
			v_sets(m->arena, names, name, v_at(groups, i - 1));
	mod_set(m, "match_groups", groups);
	mod_set(m, "match_groupdict", names);
	return 1;
}

/* ---- looking ------------------------------------------------------------------------ */

static int
try_connect(const struct wait *w, struct net *n)
{
	struct err err = ERR_INIT;
	int64_t left = w->end - now_ms();
	int timeout = left < w->connect_ms ? (int)left : w->connect_ms;
	int rc;

	rc = net_connect(w->m, n, w->host, w->port, timeout > 0 ? timeout : 1, &err);
	err_release(&err);
	return rc;
}

/* Reads what the port says until the text is there. */
static int
port_says(struct wait *w, struct net *n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	int64_t left;
	ssize_t got;
	char *to;
	int found = 0;

	b.max = SEARCH_MAX;
	while (found == 0 && (left = w->end - now_ms()) > 0) {
		n->timeout_ms = left < w->connect_ms ? (int)left : w->connect_ms;
		if ((to = buf_reserve(&b, 4096)) == NULL ||
		    (got = net_read(n, to, 4096, &err)) <= 0)
			break;
		b.len += (size_t)got;
		found = search(w, b.data, b.len);
	}
	err_release(&err);
	return found;
}

static int
port_is_started(struct wait *w)
{
	CLEANUP_NET struct net n = { .fd = -1 };

	if (try_connect(w, &n) != 0)
		return 0;
	return w->re == NULL ? 1 : port_says(w, &n);
}

static int
port_is_stopped(struct wait *w)
{
	CLEANUP_NET struct net n = { .fd = -1 };

	return try_connect(w, &n) != 0;
}

static int
file_is_there(struct wait *w)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if (stat(w->path, &st) != 0)
		return 0;
	if (w->re == NULL)
		return 1;
	b.max = SEARCH_MAX;
	fd = open(w->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || !S_ISREG(st.st_mode) || buf_read_fd(&b, fd) != 0)
		return 0;
	return search(w, buf_str(&b), b.len);
}

static int
file_is_gone(struct wait *w)
{
	struct stat st;

	return lstat(w->path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* ---- drained ----------------------------------------------------------------------------- */

/* Names of the states of /proc/net/tcp. */
static const struct {
	const char	*name;
	unsigned	 number;
} tcp_states[] = {
	{ "ESTABLISHED", 1 }, { "SYN_SENT", 2 }, { "SYN_RECV", 3 },
	{ "FIN_WAIT1", 4 }, { "FIN_WAIT2", 5 }, { "TIME_WAIT", 6 },
};

/* An address as /proc/net/tcp writes it: words of 8 digits, each little-endian. */
static void
hex_address(const unsigned char *p, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i += 4)
		(void)snprintf(out + 2 * i, 9, "%02X%02X%02X%02X", p[i + 3], p[i + 2],
		    p[i + 1], p[i]);
}

static bool
state_counts(const struct mod *m, unsigned number)
{
	const struct value *list = mod_arg(m, "active_connection_states");
	uint32_t i;
	size_t k;

	for (i = 0; list != NULL && i < v_count(list); i++)
		for (k = 0; k < NITEMS(tcp_states); k++)
			if (tcp_states[k].number == number &&
			    v_eqs(v_at(list, i), tcp_states[k].name))
				return true;
	return false;
}

/* The same for a name that is an address; NULL otherwise. */
static const char *
address_in_hex(struct mod *m, const char *name)
{
	unsigned char raw[16];
	char hex[40];

	if (inet_pton(AF_INET, name, raw) == 1)
		hex_address(raw, 4, hex);
	else if (inet_pton(AF_INET6, name, raw) == 1)
		hex_address(raw, 16, hex);
	else
		return NULL;
	return arena_strdup(m->arena, hex);
}

/* True when the remote end of a connection is in exclude_hosts. */
static bool
is_excluded(struct mod *m, const char *remote)
{
	const struct value *list = mod_arg(m, "exclude_hosts");
	const char *hex;
	size_t n;
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++) {
		hex = address_in_hex(m, v_at(list, i)->u.s);
		if (hex == NULL)
			continue;
		n = strlen(hex);
		/* An IPv4 address is the end of a mapped one. */
		if (strlen(remote) >= n &&
		    strcmp(remote + strlen(remote) - n, hex) == 0)
			return true;
	}
	return false;
}

/* Does the local address of a connection count as our host? */
static bool
is_ours(struct mod *m, const char *host, const char *local)
{
	const char *hex = address_in_hex(m, strcmp(host, "localhost") == 0 ?
	    "127.0.0.1" : host);
	size_t n;

	if (hex == NULL || strspn(hex, "0") == strlen(hex))
		return true;		/* any */
	n = strlen(hex);
	return strlen(local) >= n && strcmp(local + strlen(local) - n, hex) == 0;
}

static int
count_in(struct wait *w, const char *path)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char local[40], remote[40], *text, *line;
	unsigned port, state;
	int n = 0;

	if (buf_read_file(&b, path) != 0)
		return 0;
	text = buf_dup(&b, w->m->arena);
	while ((line = strsep(&text, "\n")) != NULL)
		if (sscanf(line, " %*u: %39[0-9A-F]:%x %39[0-9A-F]:%*x %x", local,
		    &port, remote, &state) == 4 && port == (unsigned)w->port &&
		    state_counts(w->m, state) && is_ours(w->m, w->host, local) &&
		    !is_excluded(w->m, remote))
			n++;
	return n;
}

static int
port_is_drained(struct wait *w)
{
	return count_in(w, "/proc/net/tcp") + count_in(w, "/proc/net/tcp6") == 0;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static int
look(struct wait *w)
{
	bool up = strcmp(w->state, "started") == 0 || strcmp(w->state, "present") == 0;

	if (strcmp(w->state, "drained") == 0)
		return port_is_drained(w);
	if (w->path != NULL)
		return up ? file_is_there(w) : file_is_gone(w);
	if (w->port != 0)
		return up ? port_is_started(w) : port_is_stopped(w);
	return 0;			/* only the time passes */
}

static int
too_late(struct wait *w)
{
	struct mod *m = w->m;
	const char *msg = mod_arg_str(m, "msg");
	bool up = strcmp(w->state, "started") == 0 || strcmp(w->state, "present") == 0;

	if (msg != NULL && *msg != '\0')
		return mod_fail(m, "%s", msg);
	if (strcmp(w->state, "drained") == 0)
		return mod_fail(m, "Timeout when waiting for %s:%d to drain", w->host,
		    w->port);
	if (w->path != NULL && !up)
		return mod_fail(m, "Timeout when waiting for %s to be absent.",
		    w->path);
	if (w->path != NULL && w->re != NULL)
		return mod_fail(m, "Timeout when waiting for search string %s in %s",
		    w->regex, w->path);
	if (w->path != NULL)
		return mod_fail(m, "Timeout when waiting for file %s", w->path);
	if (!up)
		return mod_fail(m, "Timeout when waiting for %s:%d to stop.", w->host,
		    w->port);
	if (w->re != NULL)
		return mod_fail(m, "Timeout when waiting for search string %s in "
		    "%s:%d", w->regex, w->host, w->port);
	return mod_fail(m, "Timeout when waiting for %s:%d", w->host, w->port);
}

static int
wait_loop(struct wait *w)
{
	bool nothing = w->port == 0 && w->path == NULL;
	int found;

	while (now_ms() < w->end) {
		if ((found = look(w)) < 0)
			return -1;
		if (found == 1)
			return 0;
		if (!rest(w, w->end - now_ms() < w->sleep_ms ? w->end - now_ms() :
		    w->sleep_ms))
			return mod_fail(w->m, "cancelled");
	}
	return nothing ? 0 : too_late(w);
}

static int
check_args(struct mod *m, const struct wait *w)
{
	const struct value *states = mod_arg(m, "active_connection_states");
	uint32_t i;
	size_t k;

	if (w->port < 0 || w->port > 65535)
		return mod_fail(m, "port: %d is no port", w->port);
	if (strcmp(w->state, "drained") == 0 && w->port == 0)
		return mod_fail(m, "state=drained should only be used for checking a "
		    "port in the TCP state; give port");
	if (mod_has(m, "exclude_hosts") && strcmp(w->state, "drained") != 0)
		return mod_fail(m, "exclude_hosts should only be with "
		    "state=drained");
	for (i = 0; states != NULL && i < v_count(states); i++) {
		for (k = 0; k < NITEMS(tcp_states); k++)
			if (v_eqs(v_at(states, i), tcp_states[k].name))
				break;
		if (k == NITEMS(tcp_states))
			return mod_fail(m, "unknown active_connection_state (%s)",
			    v_at(states, i)->u.s);
	}
	return 0;
}

static int
wait_for_run(struct mod *m)
{
	struct wait w = {
		.m = m, .host = mod_arg_str(m, "host"), .path = mod_arg_path(m, "path"),
		.state = mod_arg_str(m, "state"), .regex = mod_arg_str(m, "search_regex"),
		.port = (int)mod_arg_int(m, "port", 0),
		.connect_ms = (int)mod_arg_int(m, "connect_timeout", 5) * 1000,
		.sleep_ms = (int)mod_arg_int(m, "sleep", 1) * 1000,
	};
	int rc = -1;

	if (w.host == NULL)
		w.host = "127.0.0.1";
	if (w.state == NULL)
		w.state = "started";
	if (check_args(m, &w) != 0 || (w.regex != NULL && (w.re = re_compile(m,
	    "search_regex", w.regex, RE_MULTILINE)) == NULL))
		return -1;
	w.start = now_ms();
	w.end = w.start + mod_arg_int(m, "timeout", 300) * 1000;
	if (!rest(&w, mod_arg_int(m, "delay", 0) * 1000))
		(void)mod_fail(m, "cancelled");
	else
		rc = wait_loop(&w);
	re_free(w.re);
	mod_set_str(m, "state", w.state);
	mod_set(m, "port", w.port != 0 ? v_int(m->arena, w.port) : &v_null);
	mod_set(m, "search_regex", w.regex != NULL ? v_str(m->arena, w.regex) : &v_null);
	mod_set(m, "path", w.path != NULL ? v_str(m->arena, w.path) : &v_null);
	mod_set_int(m, "elapsed", (now_ms() - w.start) / 1000);
	if (v_gets(m->result, "match_groups") == NULL) {
		mod_set(m, "match_groups", v_list(m->arena));
		mod_set(m, "match_groupdict", v_map(m->arena));
	}
	return rc;
}

static const struct mod_arg wait_for_args[] = {
	{ .name = "host", .type = ARG_STR, .def = "127.0.0.1",
	    .doc = "Name or address to connect to." },
	{ .name = "port", .type = ARG_INT,
	    .doc = "Port to wait for." },
	{ .name = "path", .type = ARG_PATH,
	    .doc = "File to wait for." },
	{ .name = "search_regex", .type = ARG_STR,
	    .doc = "Waits until this is found in the file, or in what the port says." },
	{ .name = "state", .type = ARG_STR, .def = "started",
	    .choices = "absent,drained,present,started,stopped",
	    .doc = "started and present, stopped and absent are the same; drained: no active connections." },
	{ .name = "timeout", .type = ARG_INT, .def = "300",
	    .doc = "Seconds to wait at most." },
	{ .name = "connect_timeout", .type = ARG_INT, .def = "5",
	    .doc = "Seconds for one attempt to connect." },
	{ .name = "delay", .type = ARG_INT, .def = "0",
	    .doc = "Seconds to wait before the first look." },
	{ .name = "sleep", .type = ARG_INT, .def = "1",
	    .doc = "Seconds between looks." },
	{ .name = "active_connection_states", .type = ARG_LIST, .of = ARG_STR,
	    .def = "ESTABLISHED,FIN_WAIT1,FIN_WAIT2,SYN_RECV,SYN_SENT,TIME_WAIT",
	    .doc = "TCP states that count as active for drained." },
	{ .name = "exclude_hosts", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Addresses whose connections do not count for drained." },
	{ .name = "msg", .type = ARG_STR,
	    .doc = "Message of a failure instead of ours." },
	{ .name = NULL }
};

static const struct mod_rule wait_for_rules[] = {
	{ RULE_EXCLUSIVE, "port,path" },
	{ RULE_END, NULL }
};

const struct module wait_for_module = {
	.name = "wait_for", .collection = "ansible.builtin",
	.summary = "Waits for a port, a file, or a text in either.",
	.examples =
	    "- wait_for:\n"
	    "    port: 5432\n"
	    "    timeout: 30\n"
	    "- wait_for:\n"
	    "    path: /run/app.pid\n"
	    "    state: absent\n",
	.returns =
	    "elapsed: seconds\n"
	    "match_groups, match_groupdict: what search_regex matched\n"
	    "state, port, path, search_regex: as given\n",
	.args = wait_for_args, .rules = wait_for_rules,
	.flags = MOD_NO_CHECK | MOD_FAR, .run = wait_for_run,
};
