/*
 * iptables: one rule of the kernel's firewall, a chain, its policy, or flushing.
 *
 * The rule is put together from the rows below in the order that iptables
 * wants it (a match before its options, the target before its own).  Whether
 * it is there is asked from iptables itself (-C), which knows that -s 10.0.0.1
 * and -s 10.0.0.1/32 are one; chains are read from -S.  Nothing is written to
 * files: rules do not outlive a reboot unless another task saves them.
 */
#include <string.h>

#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }
#define WAIT_DEFAULT	"5"	/* seconds, for another program that has the table */

struct tables {
	struct mod	*m;
	const char	*program;	/* iptables or ip6tables */
	const char	*table, *chain;
	struct words	*rule;
};

/* ---- the rule ------------------------------------------------------------- */

enum kind { ONE, CSV, FLAGS, SYN, SET };

/* In this order. match: what `-m` names for it, unless the task does. */
static const struct option {
	const char	*arg, *flag, *match;
	enum kind	 kind;
} options[] = {
	{ "protocol", "-p", NULL, ONE },
	{ "source", "-s", NULL, ONE },
	{ "destination", "-d", NULL, ONE },
	{ "match", "-m", NULL, ONE },
	{ "tcp_flags", "--tcp-flags", NULL, FLAGS },
	{ "jump", "-j", NULL, ONE },
	{ "gateway", "--gateway", NULL, ONE },
	{ "log_prefix", "--log-prefix", NULL, ONE },
	{ "log_level", "--log-level", NULL, ONE },
	{ "to_destination", "--to-destination", NULL, ONE },
	{ "destination_ports", "--dports", "multiport", CSV },
	{ "to_source", "--to-source", NULL, ONE },
	{ "goto", "-g", NULL, ONE },
	{ "in_interface", "-i", NULL, ONE },
	{ "out_interface", "-o", NULL, ONE },
	{ "set_counters", "-c", NULL, ONE },
	{ "source_port", "--source-port", NULL, ONE },
	{ "destination_port", "--destination-port", NULL, ONE },
	{ "to_ports", "--to-ports", NULL, ONE },
	{ "set_dscp_mark", "--set-dscp", NULL, ONE },
	{ "set_dscp_mark_class", "--set-dscp-class", NULL, ONE },
	{ "syn", "--syn", NULL, SYN },
	{ "ctstate", "--ctstate", "conntrack", CSV },
	{ "src_range", "--src-range", "iprange", ONE },
	{ "dst_range", "--dst-range", "iprange", ONE },
	{ "match_set", "--match-set", "set", SET },
	{ "limit", "--limit", "limit", ONE },
	{ "limit_burst", "--limit-burst", "limit", ONE },
	{ "uid_owner", "--uid-owner", "owner", ONE },
	{ "gid_owner", "--gid-owner", "owner", ONE },
	{ "reject_with", "--reject-with", NULL, ONE },
	{ "icmp_type", "--icmp-type", NULL, ONE },
	{ "comment", "--comment", "comment", ONE },
};

/* Does the rule name this match already? */
static bool
matches(const struct words *w, const char *match)
{
	size_t i;

	for (i = 1; i < w->n; i++)
		if (strcmp(w->v[i - 1], "-m") == 0 && strcmp(w->v[i], match) == 0)
			return true;
	return false;
}

/* A value may begin with an exclamation mark: not that one. */
static void
add_value(struct words *w, const char *flag, const char *value)
{
	if (*value == '!') {
		words_push(w, "!");
		value++;
		while (*value == ' ')
			value++;
	}
	words_push(w, flag);
	words_push(w, value);
}

static const char *
joined(struct mod *m, const struct value *list)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++)
		buf_addf(&b, "%s%s", i > 0 ? "," : "", v_at(list, i)->u.s);
	return buf_dup(&b, m->arena);
}

static void
add_option(struct mod *m, struct words *w, const struct option *o, bool v6)
{
	const struct value *v = mod_arg(m, o->arg);
	const char *flag = o->flag, *text;
	uint32_t i;

	if (v == NULL || (v_is_list(v) && v_count(v) == 0) ||
	    (v_is_str(v) && *v->u.s == '\0') ||
	    (o->kind == SYN && strcmp(v->u.s, "ignore") == 0))
		return;
	if (o->match != NULL && !matches(w, o->match) &&
	    !(strcmp(o->match, "conntrack") == 0 && matches(w, "state"))) {
		words_push(w, "-m");
		words_push(w, o->match);
	}
	if (strcmp(o->arg, "ctstate") == 0 && !matches(w, "conntrack"))
		flag = "--state";
	else if (v6 && strcmp(o->arg, "icmp_type") == 0)
		flag = "--icmpv6-type";
	if (o->kind == SYN) {
		if (strcmp(v->u.s, "negate") == 0)
			words_push(w, "!");
		words_push(w, flag);
	} else if (o->kind == FLAGS) {
		words_push(w, flag);
		words_push(w, joined(m, v_gets(v, "flags")));
		words_push(w, joined(m, v_gets(v, "flags_set")));
	} else if (v_is_list(v) && o->kind == CSV)
		add_value(w, flag, joined(m, v));
	else if (v_is_list(v)) {
		for (i = 0; i < v_count(v); i++)
			add_value(w, flag, v_at(v, i)->u.s);
	} else
		add_value(w, flag, v->u.s);
	if (o->kind == SET && (text = mod_arg_str(m, "match_set_flags")) != NULL)
		words_push(w, text);
}

/* Targets that are meant by what only they have. */
static void
add_jump(struct mod *m, struct words *w)
{
	const char *jump = NULL;

	if (mod_has(m, "jump"))
		return;
	if (mod_has(m, "log_prefix") || mod_has(m, "log_level"))
		jump = "LOG";
	else if (mod_has(m, "reject_with"))
		jump = "REJECT";
	if (jump != NULL) {
		words_push(w, "-j");
		words_push(w, jump);
	}
}

static void
make_rule(struct mod *m, struct words *w, bool v6)
{
	size_t i;

	*w = (struct words){ .arena = m->arena };
	for (i = 0; i < NITEMS(options); i++) {
		if (strcmp(options[i].arg, "jump") == 0)
			add_jump(m, w);
		add_option(m, w, &options[i], v6);
	}
}

static int
check_rule(struct mod *m)
{
	const char *jump = mod_arg_str(m, "jump");
	const char *set = mod_arg_str(m, "match_set_flags");
	const struct value *flags = mod_arg(m, "tcp_flags");

	if ((mod_has(m, "log_prefix") || mod_has(m, "log_level")) &&
	    jump != NULL && strcmp(jump, "LOG") != 0)
		return mod_fail(m, "log_prefix and log_level go with `jump: LOG` only, not with %s",
		    jump);
	if (flags != NULL && (v_gets(flags, "flags") == NULL ||
	    v_gets(flags, "flags_set") == NULL))
		return mod_fail(m, "tcp_flags needs flags (which ones are looked at) and flags_set (which of these are set)");
	if (set != NULL && strcmp(set, "src") != 0 && strcmp(set, "dst") != 0 &&
	    (strlen(set) != 7 || set[3] != ',' ||
	    (strncmp(set, "src", 3) != 0 && strncmp(set, "dst", 3) != 0) ||
	    (strcmp(set + 4, "src") != 0 && strcmp(set + 4, "dst") != 0)))
		return mod_fail(m, "match_set_flags is src, dst, or two of them with a comma, not '%s'",
		    set);
	return 0;
}

/* ---- asking and telling iptables --------------------------------------------- */

static void
begin(const struct tables *t, struct words *w, const char *verb, bool chain)
{
	const char *wait = mod_arg_str(t->m, "wait");

	*w = (struct words){ .arena = t->m->arena };
	words_push(w, t->program);
	words_push(w, "-t");
	words_push(w, t->table);
	words_push(w, "-w");
	words_push(w, wait != NULL && *wait != '\0' ? wait : WAIT_DEFAULT);
	words_push(w, verb);
	if (chain && t->chain != NULL)
		words_push(w, t->chain);
}

static void
add_rule(const struct tables *t, struct words *w)
{
	size_t i;

	for (i = 0; i < t->rule->n; i++)
		words_push(w, t->rule->v[i]);
}

static int
change(const struct tables *t, const struct words *w)
{
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = w->v;
	return proc_must(t->m, &p);
}

/*
 * The lines of -S that are of the chain, or of all chains.  All are asked for:
 * for a chain that is not there some versions only say strange things.  0; 1: no
 * such chain; -1 after mod_fail.
 */
static int
list(const struct tables *t, const char **ret)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	CLEANUP_BUF struct buf mine = BUF_INIT;
	size_t n = t->chain == NULL ? 0 : strlen(t->chain), len;
	const char *line;
	struct words w;

	begin(t, &w, "-S", false);
	p.argv = w.v;
	if (proc_query(t->m, &p) == -1)
		return -1;
	if (p.status != 0)
		return mod_fail(t->m, "cannot list table %s: %s", t->table,
		    buf_str(&p.err));
	for (line = buf_str(&p.out); *line != '\0'; line += len) {
		len = strcspn(line, "\n");
		len += line[len] == '\n';
		/* -P CHAIN POLICY, -N CHAIN, -A CHAIN RULE */
		if (n == 0 || (len > n + 3 && strncmp(line + 3, t->chain, n) == 0 &&
		    strchr(" \n", line[3 + n]) != NULL))
			buf_add(&mine, line, len);
	}
	*ret = buf_dup(&mine, t->m->arena);
	return n > 0 && mine.len == 0;
}

/* 1: the rule is there; 0: it is not; -1 after mod_fail. */
static int
present(const struct tables *t)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	struct words w;
	const char *text;

	begin(t, &w, "-C", true);
	add_rule(t, &w);
	p.argv = w.v;
	if (proc_query(t->m, &p) == -1)
		return -1;
	text = buf_str(&p.err);
	/* A set or chain of an earlier task may not be there yet, in a check. */
	if (p.status > 1 && strstr(text, "does not exist") == NULL &&
	    strstr(text, "doesn't exist") == NULL)
		return mod_fail(t->m, "%.*s (%s)", (int)strcspn(text, "\n"), text,
		    words_join(t->m->arena, w.v));
	return p.status == 0;
}

/* ---- what is to be done ------------------------------------------------------ */

static const char *
where(const struct tables *t)
{
	return arena_printf(t->m->arena, "%s, table %s%s%s", t->program, t->table,
	    t->chain != NULL ? ", chain " : "", t->chain != NULL ? t->chain : "");
}

static int
do_flush(const struct tables *t)
{
	const char *rules;
	struct words w;
	int rc = list(t, &rules);

	if (rc == 1)
		return t->m->check ? 0 : mod_fail(t->m, "%s: there is no such chain",
		    where(t));
	if (rc == -1)
		return -1;
	if ((strncmp(rules, "-A ", 3) != 0 && strstr(rules, "\n-A ") == NULL) ||
	    !mod_change(t->m, where(t), v_str(t->m->arena, rules), NULL))
		return 0;
	begin(t, &w, "-F", true);
	return change(t, &w);
}

static int
do_policy(const struct tables *t)
{
	const char *policy = mod_arg_str(t->m, "policy"), *rules, *now;
	size_t n = strlen(t->chain);
	struct words w;
	int rc = list(t, &rules);

	if (rc == -1)
		return -1;
	if (rc == 1 || strncmp(rules, "-P ", 3) != 0 ||
	    strncmp(rules + 3, t->chain, n) != 0 || rules[3 + n] != ' ')
		return mod_fail(t->m, "%s: only chains of the kernel's own have a policy",
		    where(t));
	now = arena_strndup(t->m->arena, rules + n + 4, strcspn(rules + n + 4, " \n"));
	if (strcmp(now, policy) == 0 || !mod_change(t->m, where(t),
	    v_str(t->m->arena, now), v_str(t->m->arena, policy)))
		return 0;
	begin(t, &w, "-P", true);
	words_push(&w, policy);
	return change(t, &w);
}

/* The chain itself, where no rule is given. */
static int
do_chain(const struct tables *t, bool want)
{
	const char *rules;
	struct words w;
	int rc = list(t, &rules);

	if (rc == -1 || (rc == 0) == want)
		return rc == -1 ? -1 : 0;
	if (!mod_arg_bool(t->m, "chain_management"))
		return mod_fail(t->m, "%s: %s; `chain_management: true` %s it, or give a rule",
		    where(t), want ? "there is no such chain" : "it is there",
		    want ? "makes" : "removes");
	if (!mod_change(t->m, where(t), v_str(t->m->arena, want ? "absent" : "present"),
	    v_str(t->m->arena, want ? "present" : "absent")))
		return 0;
	begin(t, &w, want ? "-N" : "-X", true);
	return change(t, &w);
}

static int
do_rule(const struct tables *t, bool want)
{
	const char *number = mod_arg_str(t->m, "rule_num");
	bool insert = mod_arg_is(t->m, "action", "insert");
	struct value *text = v_str(t->m->arena, words_join(t->m->arena, t->rule->v));
	struct words w;
	int rc = present(t);

	if (rc == -1 || (rc == 1) == want || !mod_change(t->m, where(t),
	    want ? NULL : text, want ? text : NULL))
		return rc == -1 || t->m->failed ? -1 : 0;
	begin(t, &w, !want ? "-D" : insert ? "-I" : "-A", true);
	if (want && insert && number != NULL)
		words_push(&w, number);
	add_rule(t, &w);
	return change(t, &w);
}

static int
one_family(struct mod *m, bool v6, struct words *rule)
{
	struct tables t = { .m = m, .program = v6 ? "ip6tables" : "iptables",
		.table = mod_arg_str(m, "table"), .chain = mod_arg_str(m, "chain"),
		.rule = rule };
	bool want = mod_arg_is(m, "state", "present");

	make_rule(m, rule, v6);
	/* A check before the package is there. */
	if (m->check && proc_find(m, t.program) == NULL) {
		(void)mod_change(m, where(&t), NULL, v_strf(m->arena,
		    "%s is not installed yet", t.program));
		return 0;
	}
	if (mod_arg_bool(m, "flush"))
		return do_flush(&t);
	if (mod_has(m, "policy"))
		return do_policy(&t);
	return rule->n == 0 ? do_chain(&t, want) : do_rule(&t, want);
}

static int
iptables_run(struct mod *m)
{
	const char *version = mod_arg_str(m, "ip_version");
	struct words rule = { .arena = m->arena };

	if (check_rule(m) == -1)
		return -1;
	if (strcmp(version, "ipv6") != 0 && one_family(m, false, &rule) == -1)
		return -1;
	if (strcmp(version, "ipv4") != 0 && one_family(m, true, &rule) == -1)
		return -1;
	mod_set_str(m, "ip_version", version);
	mod_set_str(m, "table", mod_arg_str(m, "table"));
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (mod_has(m, "chain"))
		mod_set_str(m, "chain", mod_arg_str(m, "chain"));
	mod_set_str(m, "rule", rule.n == 0 ? "" : words_join(m->arena, rule.v));
	mod_set_bool(m, "flush", mod_arg_bool(m, "flush"));
	mod_set_bool(m, "chain_management", mod_arg_bool(m, "chain_management"));
	return 0;
}

static const struct mod_arg tcp_flags_args[] = {
	{ .name = "flags", .type = ARG_LIST, .of = ARG_STR, .doc = "Those that are looked at." },
	{ .name = "flags_set", .type = ARG_LIST, .of = ARG_STR, .doc = "Those of them that must be set." },
	END
};

static const struct mod_arg iptables_args[] = {
	{ .name = "table", .type = ARG_STR, .def = "filter", .choices = "filter,nat,mangle,raw,security",
	    .doc = "The table." },
	{ .name = "chain", .type = ARG_STR, .doc = "The chain: INPUT, FORWARD, OUTPUT, PREROUTING, POSTROUTING, or one of your own." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "absent,present",
	    .doc = "Whether the rule, or without one the chain, is to be there." },
	{ .name = "action", .type = ARG_STR, .def = "append", .choices = "append,insert",
	    .doc = "A missing rule comes at the end, or before the others." },
	{ .name = "rule_num", .type = ARG_STR, .doc = "With insert: its number, from 1." },
	{ .name = "ip_version", .type = ARG_STR, .def = "ipv4", .choices = "ipv4,ipv6,both",
	    .doc = "Which kind of packets." },
	{ .name = "protocol", .type = ARG_STR, .doc = "tcp, udp, icmp, ipv6-icmp …, a number, or all." },
	{ .name = "wait", .type = ARG_STR, .doc = "Seconds to wait for another program that has the table (5)." },
	{ .name = "source", .type = ARG_STR, .doc = "Source address or network. Here and below a leading `!` means: not that." },
	{ .name = "to_source", .type = ARG_STR, .doc = "With jump SNAT: the new source." },
	{ .name = "destination", .type = ARG_STR, .doc = "Destination address or network." },
	{ .name = "to_destination", .type = ARG_STR, .doc = "With jump DNAT: the new destination." },
	{ .name = "match", .type = ARG_LIST, .of = ARG_STR, .doc = "Extensions to load; those that the options below need come by themselves." },
	{ .name = "tcp_flags", .type = ARG_MAP, .sub = tcp_flags_args, .doc = "Flags of TCP." },
	{ .name = "jump", .type = ARG_STR, .doc = "The target: ACCEPT, DROP, REJECT, LOG, a chain …" },
	{ .name = "gateway", .type = ARG_STR, .doc = "With jump TEE: where the copy goes." },
	{ .name = "log_prefix", .type = ARG_STR, .doc = "What a log line begins with; jump is LOG then." },
	{ .name = "log_level", .type = ARG_STR,
	    .choices = "0,1,2,3,4,5,6,7,emerg,alert,crit,error,warning,notice,info,debug",
	    .doc = "How important the log line is; jump is LOG then." },
	{ .name = "goto", .type = ARG_STR, .doc = "A chain to go on in without coming back." },
	{ .name = "in_interface", .type = ARG_STR, .doc = "Where the packet came in; `eth+` is all that begin so." },
	{ .name = "out_interface", .type = ARG_STR, .doc = "Where the packet goes out." },
	{ .name = "fragment", .type = ARG_STR, .flags = ARG_UNSUPPORTED, .doc = "No version of iptables takes it with a value." },
	{ .name = "set_counters", .type = ARG_STR, .doc = "PACKETS,BYTES that a new rule begins with." },
	{ .name = "source_port", .type = ARG_STR, .doc = "Source port or range (1000:2000); needs a protocol." },
	{ .name = "destination_port", .type = ARG_STR, .doc = "Destination port or range; needs a protocol." },
	{ .name = "destination_ports", .type = ARG_LIST, .of = ARG_STR, .doc = "Several of them; needs a protocol." },
	{ .name = "to_ports", .type = ARG_STR, .doc = "With jump REDIRECT or MASQUERADE: the new port." },
	{ .name = "set_dscp_mark", .type = ARG_STR, .doc = "With jump DSCP: the number." },
	{ .name = "set_dscp_mark_class", .type = ARG_STR, .doc = "With jump DSCP: the class, such as CS1." },
	{ .name = "comment", .type = ARG_STR, .doc = "A comment on the rule; part of it when it is looked for." },
	{ .name = "ctstate", .type = ARG_LIST, .of = ARG_STR, .doc = "States of the connection: NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED, SNAT, DNAT." },
	{ .name = "src_range", .type = ARG_STR, .doc = "Sources from … to …: 192.0.2.1-192.0.2.9." },
	{ .name = "dst_range", .type = ARG_STR, .doc = "Destinations from … to …" },
	{ .name = "match_set", .type = ARG_STR, .doc = "A set of ipset." },
	{ .name = "match_set_flags", .type = ARG_STR,
	    .doc = "Which address is looked for in the set: src, dst, or two of them, src,dst." },
	{ .name = "limit", .type = ARG_STR, .doc = "At most so many: 5/minute." },
	{ .name = "limit_burst", .type = ARG_STR, .doc = "So many before the limit begins." },
	{ .name = "uid_owner", .type = ARG_STR, .doc = "Packets of this user's programs." },
	{ .name = "gid_owner", .type = ARG_STR, .doc = "Packets of this group's programs." },
	{ .name = "reject_with", .type = ARG_STR, .doc = "The answer, such as tcp-reset; jump is REJECT then." },
	{ .name = "icmp_type", .type = ARG_STR, .doc = "Type of ICMP by name or number; needs protocol icmp or ipv6-icmp." },
	{ .name = "syn", .type = ARG_STR, .def = "ignore", .choices = "ignore,match,negate",
	    .doc = "Packets that begin a TCP connection, or all others." },
	{ .name = "flush", .type = ARG_BOOL, .def = "false", .doc = "Removes all rules of the chain, or of the table's chains." },
	{ .name = "policy", .type = ARG_STR, .choices = "ACCEPT,DROP,QUEUE,RETURN", .doc = "What becomes of packets that no rule of the chain is for." },
	{ .name = "chain_management", .type = ARG_BOOL, .def = "false", .doc = "Without a rule: makes or removes the chain." },
	{ .name = "numeric", .type = ARG_BOOL, .def = "false", .flags = ARG_IGNORED, .doc = "Names are never looked up here." },
	END
};

static const struct mod_rule iptables_rules[] = {
	{ RULE_EXCLUSIVE, "set_dscp_mark,set_dscp_mark_class" },
	{ RULE_EXCLUSIVE, "flush,policy" },
	{ RULE_BY, "set_dscp_mark:jump" },
	{ RULE_BY, "set_dscp_mark_class:jump" },
	{ RULE_BY, "match_set:match_set_flags" },
	{ RULE_IF, "jump=TEE:gateway" },
	{ RULE_IF, "jump=tee:gateway" },
	{ RULE_IF, "flush=false:chain" },
	{ RULE_END, NULL }
};

const struct module iptables_module = {
	.name = "iptables", .collection = "ansible.builtin",
	.summary = "Adds and removes rules of the kernel's packet filter.",
	.doc = "Rules are gone after a reboot unless you save them (iptables-persistent). "
	    "Set `provctl_confirm_connection`, so that the host undoes what locks you out.",
	.examples =
	    "- ansible.builtin.iptables: {chain: INPUT, ctstate: [ESTABLISHED, RELATED], jump: ACCEPT}\n"
	    "- ansible.builtin.iptables: {chain: INPUT, protocol: tcp, destination_port: \"22\", jump: ACCEPT, comment: ssh}\n"
	    "- ansible.builtin.iptables: {chain: INPUT, policy: DROP}\n",
	.returns = "rule: the rule as it was looked for\nchain, table, ip_version, state, flush, chain_management: as given\n",
	.args = iptables_args, .rules = iptables_rules, .run = iptables_run,
};
