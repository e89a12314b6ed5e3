/*
 * ufw: rules, policies and the state of the Uncomplicated Firewall.
 *
 * Whether a rule would change something is asked from ufw itself by a dry run;
 * policies and logging are read from its files, which hold while it is off too.
 */
#include <string.h>

#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }

struct ufw {
	struct mod	*m;
	struct value	*commands;
};

static void
add_pair(struct words *w, const char *name, const char *value)
{
	if (value != NULL && *value != '\0') {
		words_push(w, name);
		words_push(w, value);
	}
}

static int
run(struct ufw *u, struct words *w, bool change, const char **ret_out)
{
	static const char *const env[] = { "LC_ALL=C.UTF-8", "LANGUAGE=C", NULL };
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = w->v;
	p.env = env;
	p.merge = !change;
	if (!change) {
		if (proc_query(u->m, &p) == -1)
			return -1;
		if (p.status != 0)
			return mod_fail(u->m, "%.*s", (int)strcspn(buf_str(&p.out), "\n"),
			    buf_str(&p.out));
		*ret_out = arena_strdup(u->m->arena, buf_str(&p.out));
		return 0;
	}
	v_push(u->m->arena, u->commands, v_str(u->m->arena, words_join(u->m->arena, w->v)));
	return proc_must(u->m, &p);
}

/* NAME=value or NAME="value" of a file that a shell reads; "" when it is not there. */
static const char *
setting(struct ufw *u, const char *file, const char *name)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	const char *line, *value;
	size_t n = strlen(name), len;

	if (buf_read_file(&text, file) == -1)
		return "";
	for (line = buf_str(&text); *line != '\0'; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		if (strncmp(line, name, n) != 0 || line[n] != '=')
			continue;
		value = line + n + 1;
		value += *value == '"';
		return arena_strndup(u->m->arena, value, strcspn(value, "\"\n"));
	}
	return "";
}

static void
begin(const struct ufw *u, struct words *w)
{
	*w = (struct words){ .arena = u->m->arena };
	words_push(w, "ufw");
}

static int
do_state(struct ufw *u)
{
	const char *state = mod_arg_str(u->m, "state"), *out, *verb = "reload";
	bool active;
	struct words w;

	if (state == NULL)
		return 0;
	begin(u, &w);
	words_push(&w, "status");
	if (run(u, &w, false, &out) == -1)
		return -1;
	active = strstr(out, "Status: active") != NULL;
	if (strcmp(state, "enabled") == 0)
		verb = "enable";
	else if (strcmp(state, "disabled") == 0)
		verb = "disable";
	else if (strcmp(state, "reset") == 0)
		verb = "reset";
	if ((strcmp(verb, "enable") == 0 && active) || (strcmp(verb, "disable") == 0 && !active) ||
	    !mod_change(u->m, "firewall", v_str(u->m->arena, active ? "active" : "inactive"),
	    v_str(u->m->arena, state)))
		return 0;
	begin(u, &w);
	words_push(&w, "-f");
	words_push(&w, verb);
	return run(u, &w, true, NULL);
}

static int
do_default(struct ufw *u)
{
	const char *want = mod_arg_str(u->m, "default"), *way = mod_arg_str(u->m, "direction");
	const char *name = "DEFAULT_INPUT_POLICY", *now, *policy;
	struct words w;

	if (want == NULL)
		return 0;
	if (way != NULL && strncmp(way, "out", 3) == 0)
		name = "DEFAULT_OUTPUT_POLICY";
	else if (way != NULL && strcmp(way, "routed") == 0)
		name = "DEFAULT_FORWARD_POLICY";
	policy = strcmp(want, "allow") == 0 ? "ACCEPT" : strcmp(want, "deny") == 0 ?
	    "DROP" : "REJECT";
	now = setting(u, "/etc/default/ufw", name);
	if (strcmp(now, policy) == 0 || !mod_change(u->m, name, v_str(u->m->arena, now),
	    v_str(u->m->arena, policy)))
		return 0;
	begin(u, &w);
	words_push(&w, "default");
	words_push(&w, want);
	words_push(&w, way == NULL || strncmp(way, "in", 2) == 0 ? "incoming" :
	    strncmp(way, "out", 3) == 0 ? "outgoing" : "routed");
	return run(u, &w, true, NULL);
}

static int
do_logging(struct ufw *u)
{
	const char *want = mod_arg_str(u->m, "logging"), *now;
	struct words w;

	if (want == NULL)
		return 0;
	now = setting(u, "/etc/ufw/ufw.conf", "LOGLEVEL");
	if (strcmp(now, want) == 0 || (strcmp(want, "on") == 0 && *now != '\0' &&
	    strcmp(now, "off") != 0) || !mod_change(u->m, "logging",
	    v_str(u->m->arena, now), v_str(u->m->arena, want)))
		return 0;
	begin(u, &w);
	words_push(&w, "logging");
	words_push(&w, want);
	return run(u, &w, true, NULL);
}

static const char *
short_way(const char *way)
{
	return way == NULL ? NULL : strncmp(way, "in", 2) == 0 ? "in" :
	    strncmp(way, "out", 3) == 0 ? "out" : way;
}

/* The rule in ufw's full syntax (ufw(8), RULE SYNTAX). */
static void
rule_words(struct mod *m, struct words *w)
{
	const char *way = short_way(mod_arg_str(m, "direction"));

	if (mod_arg_bool(m, "route"))
		words_push(w, "route");
	if (mod_arg_bool(m, "delete"))
		words_push(w, "delete");
	if (mod_has(m, "insert")) {
		words_push(w, "insert");
		words_push(w, arena_printf(m->arena, "%lld", (long long)mod_arg_int(m, "insert", 1)));
	}
	words_push(w, mod_arg_str(m, "rule"));
	if (way != NULL)
		words_push(w, way);
	add_pair(w, "on", mod_arg_str(m, "interface"));
	if (mod_has(m, "interface_in")) {
		words_push(w, "in");
		add_pair(w, "on", mod_arg_str(m, "interface_in"));
	}
	if (mod_has(m, "interface_out")) {
		words_push(w, "out");
		add_pair(w, "on", mod_arg_str(m, "interface_out"));
	}
	if (mod_arg_bool(m, "log"))
		words_push(w, "log");
	add_pair(w, "from", mod_arg_str(m, "from_ip"));
	add_pair(w, "port", mod_arg_str(m, "from_port"));
	add_pair(w, "to", mod_arg_str(m, "to_ip"));
	add_pair(w, "port", mod_arg_str(m, "to_port"));
	add_pair(w, "proto", mod_arg_str(m, "proto"));
	add_pair(w, "app", mod_arg_str(m, "name"));
	add_pair(w, "comment", mod_arg_str(m, "comment"));
}

/* The rules of a file of ufw (or of the part of a dry run that stands for one): its lines "### tuple ### …". */
static const char *
tuples(struct mod *m, const char *text, size_t len)
{
	static const char mark[] = "### tuple ###";
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *end = text + len;
	size_t n;

	for (; text < end; text += n + 1) {
		n = strcspn(text, "\n");
		if (strncmp(text, mark, sizeof(mark) - 1) == 0)
			buf_add(&b, text, n + 1);
	}
	return buf_dup(&b, m->arena);
}

/*
 * Whether a dry run has other rules than the files.  It prints what would
 * stand in the file of each family that the rule is of, or only that it skips.
 */
static bool
changes_something(struct mod *m, const char *out)
{
	static const struct { const char *head, *file; } families[] = {
		{ ":ufw-user-input ", "/etc/ufw/user.rules" },
		{ ":ufw6-user-input ", "/etc/ufw/user6.rules" },
	};
	const char *part, *end;
	size_t i;

	for (i = 0; i < NITEMS(families); i++) {
		CLEANUP_BUF struct buf now = BUF_INIT;

		if ((part = strstr(out, families[i].head)) == NULL)
			continue;
		if ((end = strstr(part, "\nCOMMIT")) == NULL)
			end = part + strlen(part);
		if (buf_read_file(&now, families[i].file) == -1 ||
		    strcmp(tuples(m, part, (size_t)(end - part)),
		    tuples(m, buf_str(&now), now.len)) != 0)
			return true;
	}
	return false;
}

static int
do_rule(struct ufw *u)
{
	const char *out;
	struct words w;

	if (!mod_has(u->m, "rule"))
		return 0;
	begin(u, &w);
	words_push(&w, "--dry-run");
	rule_words(u->m, &w);
	if (run(u, &w, false, &out) == -1)
		return -1;
	if (!changes_something(u->m, out) || !mod_change(u->m, "rule", NULL,
	    v_str(u->m->arena, words_join(u->m->arena, w.v + 2))))
		return 0;
	begin(u, &w);
	rule_words(u->m, &w);
	return run(u, &w, true, NULL);
}

static int
ufw_run(struct mod *m)
{
	struct ufw u = { .m = m, .commands = v_list(m->arena) };

	/* a check before the package is there */
	if (m->check && proc_find(m, "ufw") == NULL) {
		(void)mod_change(m, "firewall", NULL, v_str(m->arena, "ufw is not installed yet"));
		return 0;
	}
	if (do_state(&u) == -1 || do_default(&u) == -1 || do_logging(&u) == -1 ||
	    do_rule(&u) == -1)
		return -1;
	mod_set(m, "commands", u.commands);
	return 0;
}

static const struct mod_arg ufw_args[] = {
	{ .name = "state", .type = ARG_STR, .choices = "disabled,enabled,reloaded,reset",
	    .doc = "Whether the firewall works, now and after a boot." },
	{ .name = "default", .type = ARG_STR, .aliases = "policy", .choices = "allow,deny,reject",
	    .doc = "What becomes of packets that no rule is for, in `direction` (incoming)." },
	{ .name = "direction", .type = ARG_STR, .choices = "in,incoming,out,outgoing,routed",
	    .doc = "Of the rule or of the default." },
	{ .name = "logging", .type = ARG_STR, .choices = "on,off,low,medium,high,full",
	    .doc = "How much is logged." },
	{ .name = "rule", .type = ARG_STR, .choices = "allow,deny,limit,reject",
	    .doc = "Adds a rule." },
	{ .name = "delete", .type = ARG_BOOL, .def = "false", .doc = "Takes the rule away." },
	{ .name = "insert", .type = ARG_INT, .doc = "Its number among the rules, from 1; at the end unless given." },
	{ .name = "insert_relative_to", .type = ARG_STR, .def = "zero", .flags = ARG_UNSUPPORTED,
	    .doc = "Give the number itself." },
	{ .name = "interface", .type = ARG_STR, .aliases = "if", .doc = "For this interface, in `direction`." },
	{ .name = "interface_in", .type = ARG_STR, .aliases = "if_in", .doc = "For what comes in there." },
	{ .name = "interface_out", .type = ARG_STR, .aliases = "if_out", .doc = "For what goes out there." },
	{ .name = "log", .type = ARG_BOOL, .def = "false", .doc = "New connections are logged." },
	{ .name = "from_ip", .type = ARG_STR, .def = "any", .aliases = "from,src", .doc = "Source." },
	{ .name = "from_port", .type = ARG_STR, .doc = "Its port." },
	{ .name = "to_ip", .type = ARG_STR, .def = "any", .aliases = "to,dest", .doc = "Destination." },
	{ .name = "to_port", .type = ARG_STR, .aliases = "port", .doc = "Its port, ports (80,443) or range (6000:6007)." },
	{ .name = "proto", .type = ARG_STR, .aliases = "protocol",
	    .choices = "any,tcp,udp,ipv6,esp,ah,gre,igmp,vrrp", .doc = "The protocol." },
	{ .name = "name", .type = ARG_STR, .aliases = "app",
	    .doc = "A profile of /etc/ufw/applications.d instead of a port." },
	{ .name = "comment", .type = ARG_STR, .doc = "A comment on the rule." },
	{ .name = "route", .type = ARG_BOOL, .def = "false", .doc = "A rule for what is forwarded." },
	END
};

static const struct mod_rule ufw_rules[] = {
	{ RULE_ONE_OF, "state,default,rule,logging" },
	{ RULE_EXCLUSIVE, "name,proto" },
	{ RULE_EXCLUSIVE, "direction,interface_in" },
	{ RULE_EXCLUSIVE, "direction,interface_out" },
	{ RULE_BY, "interface:direction" },
	{ RULE_END, NULL }
};

const struct module ufw_module = {
	.name = "ufw", .collection = "community.general",
	.summary = "Sets rules and policies of the Uncomplicated Firewall.",
	.doc = "Allow ssh before you enable it, or set `provctl_confirm_connection`, so that the host undoes what locks you out.",
	.examples =
	    "- community.general.ufw: {rule: allow, name: OpenSSH}\n"
	    "- community.general.ufw: {rule: allow, port: \"80,443\", proto: tcp}\n"
	    "- community.general.ufw: {state: enabled, policy: deny}\n",
	.returns = "commands: what was run\n",
	.args = ufw_args, .rules = ufw_rules, .run = ufw_run,
};
