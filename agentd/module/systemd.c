/*
 * systemd, systemd_service, service: units of systemd.
 *
 * Systemd itself is asked (systemd_bus.c), or `systemctl show` where that is
 * not possible; a task that finds nothing to do runs nothing else.  `daemon_reload` is left out when no unit file has
 * changed since the manager read them (the kernel's change times against the
 * manager's own), for it is the slowest thing here and most runs ask for it.
 *
 * A check run predicts a change for a unit that does not exist: an earlier
 * task would have brought it.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "module/guard.h"
#include "module/proc.h"
#include "module/systemd.h"

#define END		{ .name = NULL }
#define FILES_MAX	20000
#define DEPTH_MAX	8
#define MARGIN_US	50000

struct unit {
	struct mod		*m;
	const char		*name;
	const struct value	*status;	/* properties, or NULL */
	const char		*scope;		/* --user, --global or NULL */
	bool			 missing;
};

/* ---- systemctl ---------------------------------------------------------- */

static const char *const *
user_env(struct mod *m)
{
	static const char *const none[] = { NULL };
	const char **env;

	if (getenv("XDG_RUNTIME_DIR") != NULL)
		return none;
	env = ARENA_ARRAY(m->arena, 2, const char *);
	env[0] = arena_printf(m->arena, "XDG_RUNTIME_DIR=/run/user/%u",
	    (unsigned)geteuid());
	return env;
}

/* Starts systemctl with up to five words; query: only looks. */
static int
systemctl(struct unit *u, struct proc *p, bool query, const char *verb,
    const char *a, const char *b)
{
	const char *argv[12];
	size_t n = 0;

	argv[n++] = "systemctl";
	if (u->scope != NULL)
		argv[n++] = u->scope;
	if (!query && mod_arg_bool(u->m, "no_block"))
		argv[n++] = "--no-block";
	if (!query && mod_arg_bool(u->m, "force"))
		argv[n++] = "--force";
	argv[n++] = verb;
	if (a != NULL)
		argv[n++] = a;
	if (b != NULL)
		argv[n++] = b;
	argv[n] = NULL;
	p->argv = argv;
	p->env = user_env(u->m);
	n = (size_t)(query ? proc_query(u->m, p) : proc_change(u->m, p));
	p->argv = NULL;		/* it was ours */
	return (int)n;
}

const struct value *
systemd_properties(struct arena *arena, const char *text, size_t len)
{
	struct value *map = v_map(arena);
	CLEANUP_BUF struct buf clean = BUF_INIT;
	const char *s, *eq, *nl;

	utf8_clean(&clean, text, len);
	for (s = buf_str(&clean); *s != '\0'; s = nl + (*nl == '\n')) {
		nl = s + strcspn(s, "\n");
		eq = memchr(s, '=', (size_t)(nl - s));
		if (eq != NULL && eq != s)
			v_set(arena, map, v_strn(arena, s, (size_t)(eq - s)),
			    v_strn(arena, eq + 1, (size_t)(nl - eq - 1)));
	}
	return map;
}

static const char *
prop(const struct unit *u, const char *name)
{
	return u->status == NULL ? "" : v_get_str(u->status, name, "");
}

static int
show(struct unit *u)
{
	struct proc p = PROC_INIT;
	int rc;

	u->status = u->scope == NULL ? systemd_bus_show(u->m->arena, u->name) : NULL;
	if (u->status != NULL) {
		u->missing = strcmp(prop(u, "LoadState"), "not-found") == 0;
		return 0;
	}
	rc = systemctl(u, &p, true, "show", "--", u->name);
	if (rc == 0 && p.status != 0) {
		if (u->m->check)
			u->missing = true;	/* systemd itself may be yet to come */
		else
			rc = mod_fail(u->m, "cannot ask systemd about '%s': %s",
			    u->name, buf_str(&p.err));
	} else if (rc == 0)
		u->status = systemd_properties(u->m->arena, p.out.data, p.out.len);
	proc_release(&p);
	if (rc == 0 && u->status != NULL)
		u->missing = strcmp(prop(u, "LoadState"), "not-found") == 0;
	return rc;
}

/* The last words of a unit that did not start. */
static const char *
journal(struct unit *u)
{
	const char *argv[] = { "journalctl", "-n", "8", "--no-pager", "-q", "-o",
		"cat", "-u", u->name, NULL };
	CLEANUP_BUF struct buf clean = BUF_INIT;
	struct proc p = PROC_INIT;

	p.argv = argv;
	p.timeout_ms = 5000;
	if (u->scope == NULL && proc_query(NULL, &p) == 0 && p.status == 0)
		utf8_clean(&clean, p.out.data, p.out.len);
	proc_release(&p);
	while (clean.len > 0 && isspace((unsigned char)clean.data[clean.len - 1]))
		clean.len--;
	return clean.len == 0 ? "" : arena_printf(u->m->arena,
	    "\nits last lines in the journal:\n%s", buf_str(&clean));
}

/* Runs `systemctl VERB UNIT`. -1 after mod_fail. */
static int
act(struct unit *u, const char *verb)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;
	struct proc p = PROC_INIT;
	int rc;

	if (u->scope == NULL)
		guard_unit(u->m, verb, u->name);
	rc = systemctl(u, &p, false, verb, "--", u->name);
	if (rc == 0 && (p.status != 0 || p.timed_out)) {
		utf8_clean(&clean, p.err.data, p.err.len);
		while (clean.len > 0 && clean.data[clean.len - 1] == '\n')
			clean.len--;
		u->m->changed = false;
		mod_set_int(u->m, "rc", p.status);
		mod_set_str(u->m, "stderr", buf_str(&clean));
		rc = mod_fail(u->m, "Unable to %s service %s: %s%s", verb,
		    u->name, buf_str(&clean), strcmp(verb, "start") == 0 ||
		    strcmp(verb, "restart") == 0 || strcmp(verb, "reload") == 0 ?
		    journal(u) : "");
	}
	proc_release(&p);
	return rc;
}

/* ---- daemon-reload ------------------------------------------------------ */

/* Whether anything below path changed after the moment. */
static bool
newer(const char *path, int64_t when_us, int depth, int *left)
{
	CLEANUP_CLOSEDIR DIR *d = NULL;
	struct dirent *e;
	struct stat st;
	char full[4096];

	if (lstat(path, &st) == -1)
		return false;
	if ((int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000 >=
	    when_us - MARGIN_US || --*left <= 0)
		return true;
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX || (d = opendir(path)) == NULL)
		return false;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
		if (newer(full, when_us, depth + 1, left))
			return true;
	}
	return false;
}

/* False when the manager has read everything as it is now. */
static bool
reload_needed(struct unit *u)
{
	static const char *const dirs[] = { "/etc/systemd", "/run/systemd/system",
		"/run/systemd/transient", "/run/systemd/system.control",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd",
		"/lib/systemd/system", "/etc/fstab", "/etc/crypttab",
		"/etc/init.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rcS.d" };
	struct timespec mono, real;
	int64_t load_us = 0, when_us;
	int left = FILES_MAX;
	size_t i;

	if (u->scope != NULL)
		return true;
	if (!systemd_bus_loaded(u->m->arena, &load_us))
		return true;
	if (load_us <= 0)
		return true;
	(void)clock_gettime(CLOCK_MONOTONIC, &mono);
	(void)clock_gettime(CLOCK_REALTIME, &real);
	when_us = (int64_t)real.tv_sec * 1000000 + real.tv_nsec / 1000 -
	    ((int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000 - load_us);
	for (i = 0; i < NITEMS(dirs); i++)
		if (newer(dirs[i], when_us, 0, &left))
			return true;
	return false;
}

/* daemon-reload and daemon-reexec are no change by themselves, as in Ansible. */
static int
reload_daemon(struct unit *u)
{
	struct proc p = PROC_INIT;
	const char *verb;
	int rc = 0;

	if (mod_arg_bool(u->m, "daemon_reexec"))
		verb = "daemon-reexec";
	else if (mod_arg_bool(u->m, "daemon_reload"))
		verb = "daemon-reload";
	else
		return 0;
	if (u->m->check || (strcmp(verb, "daemon-reload") == 0 && !reload_needed(u)))
		return 0;
	rc = systemctl(u, &p, false, verb, NULL, NULL);
	if (rc == 0 && p.status != 0)
		rc = mod_fail(u->m, "failure %d during %s: %s", p.status, verb,
		    buf_str(&p.err));
	proc_release(&p);
	return rc;
}

/* ---- what is and what should be ----------------------------------------- */

static bool
sysv_enabled(const char *name)
{
	char pattern[300];
	size_t n = strlen(name);
	glob_t g;
	bool found;

	if (n > 8 && strcmp(name + n - 8, ".service") == 0)
		n -= 8;
	(void)snprintf(pattern, sizeof(pattern), "/etc/rc[2345].d/S[0-9][0-9]%.*s",
	    (int)n, name);
	memset(&g, 0, sizeof(g));
	found = glob(pattern, 0, NULL, &g) == 0;
	globfree(&g);
	return found;
}

static bool
is_enabled(const struct unit *u)
{
	const char *s = prop(u, "UnitFileState");

	if (strcmp(s, "generated") == 0 && u->scope == NULL) {
		const char *src = prop(u, "SourcePath");

		if (strncmp(src, "/etc/init.d/", 12) == 0)
			return sysv_enabled(src + 12);
	}
	return strcmp(s, "enabled") == 0 || strcmp(s, "enabled-runtime") == 0 ||
	    strcmp(s, "static") == 0 || strcmp(s, "generated") == 0;
}

static bool
is_running(const struct unit *u)
{
	const char *s = prop(u, "ActiveState");

	return strcmp(s, "active") == 0 || strcmp(s, "activating") == 0 ||
	    strcmp(s, "reloading") == 0 || strcmp(s, "refreshing") == 0;
}

static const struct value *
word(struct unit *u, const char *s)
{
	return v_strf(u->m->arena, "%s: %s\n", u->name, s);
}

static int
make_masked(struct unit *u)
{
	bool want = mod_arg_bool(u->m, "masked");
	const char *s = prop(u, "UnitFileState");
	bool is = strcmp(prop(u, "LoadState"), "masked") == 0 ||
	    strncmp(s, "masked", 6) == 0;

	if (!mod_has(u->m, "masked") || is == want)
		return 0;
	if (!mod_change(u->m, "unit", word(u, is ? "masked" : "not masked"),
	    word(u, want ? "masked" : "not masked")))
		return 0;
	if (act(u, want ? "mask" : "unmask") == -1)
		return -1;
	return show(u);
}

static int
make_enabled(struct unit *u)
{
	bool want = mod_arg_bool(u->m, "enabled"), is = is_enabled(u);

	if (!mod_has(u->m, "enabled"))
		return 0;
	mod_set_bool(u->m, "enabled", want);
	if (is == want)
		return 0;
	if (!mod_change(u->m, "unit", word(u, is ? "enabled" : "disabled"),
	    word(u, want ? "enabled" : "disabled")))
		return 0;
	return act(u, want ? "enable" : "disable");
}

static int
make_state(struct unit *u)
{
	const char *want = mod_arg_str(u->m, "state"), *verb = NULL;
	bool running = is_running(u);

	if (want == NULL)
		return 0;
	if (strcmp(want, "started") == 0) {
		if (!running)
			verb = "start";
	} else if (strcmp(want, "stopped") == 0) {
		if (running || strcmp(prop(u, "ActiveState"), "deactivating") == 0)
			verb = "stop";
	} else if (!running)
		verb = "start";
	else
		verb = strcmp(want, "reloaded") == 0 ? "reload" : "restart";
	mod_set_str(u->m, "state", strcmp(want, "stopped") == 0 ? want : "started");
	if (verb == NULL)
		return 0;
	if (!mod_change(u->m, "unit", word(u, running ? "running" : "stopped"),
	    word(u, strcmp(verb, "stop") == 0 ? "stopped" :
	    strcmp(verb, "start") == 0 ? "running" : want)))
		return 0;
	return act(u, verb);
}

/* A unit that is not there: only masking is possible, and to foresee. */
static int
no_unit(struct unit *u)
{
	const char *state = mod_arg_str(u->m, "state");
	bool mask = mod_has(u->m, "masked") && mod_arg_bool(u->m, "masked");

	if (mask && strcmp(prop(u, "UnitFileState"), "masked") != 0) {
		if (!mod_change(u->m, "unit", word(u, "not masked"), word(u, "masked")))
			return 0;
		return act(u, "mask");
	}
	if (u->m->check) {
		if (state != NULL || mod_has(u->m, "enabled"))
			(void)mod_change(u->m, "unit", word(u, "not there"),
			    word(u, state != NULL ? state : "there"));
		return 0;
	}
	if (state == NULL && !mod_has(u->m, "enabled"))
		return 0;
	return mod_fail(u->m, "Could not find the requested service %s: host (systemd knows no such unit; is its package installed, and `daemon_reload: true` given where the file is new?)",
	    u->name);
}

bool
systemd_unit_valid(const char *s)
{
	if (*s == '-' || *s == '\0' || strlen(s) > 255)
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(":_.\\@-", *s) == NULL)
			return false;
	return true;
}

static int
systemd_run(struct mod *m)
{
	struct unit u = { .m = m, .name = mod_arg_str(m, "name") };
	const char *scope = mod_arg_str(m, "scope");

	if (scope != NULL && strcmp(scope, "user") == 0)
		u.scope = "--user";
	else if (scope != NULL && strcmp(scope, "global") == 0)
		u.scope = "--global";
	if (u.name != NULL && !systemd_unit_valid(u.name))
		return mod_fail(m, "'%s' is not the name of a unit (letters, digits and : _ . \\ @ -)",
		    u.name);
	if (!m->check && access("/run/systemd/system", F_OK) == -1 &&
	    mod_has(m, "state"))
		return mod_fail(m, "systemd is not running on this host, so no unit can be started or stopped");
	if (reload_daemon(&u) == -1)
		return -1;
	if (u.name == NULL)
		return 0;
	mod_set_str(m, "name", u.name);
	if (show(&u) == -1)
		return -1;
	mod_set(m, "status", u.status != NULL ? u.status : v_map(m->arena));
	if (u.missing)
		return no_unit(&u);
	if (make_masked(&u) == -1 || make_enabled(&u) == -1)
		return -1;
	return make_state(&u);
}

/* ---- descriptions ------------------------------------------------------- */

#define ROWS								\
	{ .name = "state", .type = ARG_STR,				\
	    .choices = "started,stopped,restarted,reloaded",		\
	    .doc = "`restarted` and `reloaded` always act (`reloaded` starts what is stopped)." },	\
	{ .name = "enabled", .type = ARG_BOOL,				\
	    .doc = "Whether it starts with the system." },		\
	{ .name = "masked", .type = ARG_BOOL,				\
	    .doc = "Whether it can be started at all." },		\
	{ .name = "daemon_reload", .type = ARG_BOOL, .def = "false", .aliases = "daemon-reload",	\
	    .doc = "Makes systemd read unit files again, if any has changed." },	\
	{ .name = "daemon_reexec", .type = ARG_BOOL, .def = "false", .aliases = "daemon-reexec",	\
	    .doc = "Starts the manager itself again." },		\
	{ .name = "scope", .type = ARG_STR, .def = "system", .choices = "system,user,global",	\
	    .doc = "Whose manager: the system's, or the task's user's." },	\
	{ .name = "no_block", .type = ARG_BOOL, .def = "false",		\
	    .doc = "Does not wait until it has happened." },		\
	{ .name = "force", .type = ARG_BOOL, .def = "false",		\
	    .doc = "Replaces links that are in the way." }

#define RETURNS								\
	"name: the unit\nstate: started or stopped, when asked for\n"	\
	"enabled: when asked for\nstatus: properties of the unit before the change, as `systemctl show` gives them\n"

static const struct mod_arg systemd_args[] = {
	{ .name = "name", .type = ARG_STR, .aliases = "service,unit",
	    .doc = "The unit; .service need not be said." },
	ROWS,
	END
};

static const struct mod_rule systemd_rules[] = {
	{ RULE_BY, "state:name" },
	{ RULE_BY, "enabled:name" },
	{ RULE_BY, "masked:name" },
	{ RULE_END, NULL }
};

const struct module systemd_module = {
	.name = "systemd", .collection = "ansible.builtin",
	.aliases = "systemd_service",
	.summary = "Starts, stops, enables and masks units of systemd.",
	.doc = "In a check run a unit that does not exist yet counts as a change.",
	.examples =
	    "- systemd:\n"
	    "    name: exams\n"
	    "    state: started\n"
	    "    enabled: true\n"
	    "    daemon_reload: true\n",
	.returns = RETURNS,
	.args = systemd_args, .rules = systemd_rules, .run = systemd_run,
};

static const struct mod_arg service_args[] = {
	{ .name = "name", .type = ARG_STR, .doc = "The service." },
	ROWS,
	{ .name = "sleep", .type = ARG_INT, .flags = ARG_IGNORED,
	    .doc = "Systemd knows when a service has stopped." },
	{ .name = "pattern", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "Systemd knows what runs." },
	{ .name = "runlevel", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "Systemd has none." },
	{ .name = "arguments", .type = ARG_STR, .aliases = "args", .flags = ARG_IGNORED,
	    .doc = "Systemd takes none." },
	{ .name = "use", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "Systemd is always used." },
	END
};

const struct module service_module = {
	.name = "service", .collection = "ansible.builtin",
	.summary = "Starts, stops and enables services.",
	.doc = "The services are systemd's; see `systemd`.",
	.examples =
	    "- service:\n"
	    "    name: nginx\n"
	    "    state: reloaded\n",
	.returns = RETURNS,
	.args = service_args, .rules = systemd_rules, .run = systemd_run,
};
