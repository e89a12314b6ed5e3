/*
 * Options that several commands share.
 */
#include "cmd.h"

static const struct opt general_rows[] = {
	{ .name = "json", .type = OPT_FLAG, .offset = OFF(json),
	    .doc = "Output for programs: JSON, for a run one event a line." },
	{ .name = "color", .type = OPT_CHOICE, .offset = OFF(color), .arg = "WHEN",
	    .choices = "auto,always,never",
	    .doc = "auto (default: on a terminal, unless NO_COLOR is set), always or never." },
	{ .letter = 'h', .name = "help", .type = OPT_FLAG, .offset = OFF(help),
	    .doc = "Shows this text." },
	OPT_END
};
const struct opt_group opts_general = { "General", general_rows };

static const struct opt state_rows[] = {
	{ .name = "state", .type = OPT_STR, .offset = OFF(state), .arg = "FILE",
	    .doc = "The state database; default /var/lib/provctl/state.db for root, else $XDG_STATE_HOME/provctl/state.db." },
	OPT_END
};
const struct opt_group opts_state = { "State", state_rows };

static const struct opt inventory_rows[] = {
	{ .letter = 'i', .name = "inventory", .type = OPT_LIST,
	    .offset = OFF(inventories), .arg = "SOURCE",
	    .doc = "A file (INI, YAML), a directory of them, a program that prints JSON, or \"host1,host2,\"; may be repeated. Without it: the inventory in ansible.cfg, or inventory.yml, inventory.yaml, inventory.ini, inventory/, hosts, hosts.yml beside the site, else the hosts known to the state database." },
	{ .letter = 'e', .name = "extra-vars", .type = OPT_LIST, .offset = OFF(extra),
	    .arg = "VARS",
	    .doc = "Variables stronger than all others: \"k=v k2='a b'\" (strings), JSON or YAML \"{...}\" (typed), or @FILE; may be repeated, later ones win." },
	OPT_END
};
const struct opt_group opts_inventory = { "Hosts and variables", inventory_rows };

static const struct opt vault_rows[] = {
	{ .name = "vault-password-file", .type = OPT_LIST, .offset = OFF(vault_files),
	    .arg = "FILE", .doc = "A file with a vault password, or a program that prints it." },
	{ .name = "vault-id", .type = OPT_LIST, .offset = OFF(vault_ids),
	    .arg = "[ID@]FILE", .doc = "The same with an id; \"prompt\" instead of a file asks. May be repeated." },
	{ .letter = 'J', .name = "ask-vault-pass", .type = OPT_FLAG, .offset = OFF(ask_vault),
	    .doc = "Asks for the vault password on the terminal." },
	OPT_END
};
const struct opt_group opts_vault = { "Vault", vault_rows };

static const struct opt daemon_rows[] = {
	{ .name = "daemon", .type = OPT_FLAG, .offset = OFF(daemon),
	    .doc = "agentd must do it. Otherwise it does when it runs as the same user, on the same database, and sees this directory." },
	{ .name = "no-daemon", .type = OPT_FLAG, .offset = OFF(no_daemon),
	    .doc = "Does it here, although there is an agentd." },
	OPT_END
};
const struct opt_group opts_daemon = { "Daemon", daemon_rows };

static const struct opt host_rows[] = {
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "Only this host." },
	OPT_END
};
const struct opt_group opts_host = { "Selection", host_rows };
