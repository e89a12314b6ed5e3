/*
 * Modules that never leave the engine: their parameters and documentation.
 * What they do is in run/ and playbook/; here `run` is NULL.
 */
#include <stddef.h>

#include "module/module.h"

#define END	{ .name = NULL }

/* ---- talking and checking ----------------------------------------------- */

static const struct mod_arg debug_args[] = {
	{ .name = "msg", .type = ARG_RAW, .def = "Hello world!",
	    .doc = "What to print; any value." },
	{ .name = "var", .type = ARG_RAW,
	    .doc = "Name of a variable (an expression) whose value is printed; no braces." },
	{ .name = "verbosity", .type = ARG_INT, .def = "0",
	    .doc = "Prints only at this many -v or more." },
	END
};

const struct module debug_module = {
	.name = "debug", .collection = "ansible.builtin",
	.summary = "Prints a message or a variable.",
	.examples =
	    "- debug:\n"
	    "    msg: \"{{ inventory_hostname }} runs {{ ansible_distribution }}\"\n"
	    "- debug:\n"
	    "    var: result.stdout_lines\n",
	.args = debug_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg assert_args[] = {
	{ .name = "that", .type = ARG_LIST, .of = ARG_RAW, .flags = ARG_REQUIRED,
	    .doc = "Conditions that must all hold, as for `when`." },
	{ .name = "fail_msg", .type = ARG_RAW, .aliases = "msg",
	    .doc = "Message when one does not hold." },
	{ .name = "success_msg", .type = ARG_RAW,
	    .doc = "Message when all hold." },
	{ .name = "quiet", .type = ARG_BOOL, .def = "false",
	    .doc = "Does not list the conditions that held." },
	END
};

const struct module assert_module = {
	.name = "assert", .collection = "ansible.builtin",
	.summary = "Fails unless conditions hold.",
	.examples =
	    "- assert:\n"
	    "    that:\n"
	    "      - app_port | int > 1024\n"
	    "      - app_user != 'root'\n"
	    "    fail_msg: the application must not run as root\n",
	.returns = "assertion: the condition that failed\nevaluated_to: its value\n",
	.args = assert_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg fail_args[] = {
	{ .name = "msg", .type = ARG_RAW, .def = "Failed as requested from task",
	    .doc = "The message." },
	END
};

const struct module fail_module = {
	.name = "fail", .collection = "ansible.builtin",
	.summary = "Fails with a message.",
	.examples =
	    "- fail:\n"
	    "    msg: this role needs Debian\n"
	    "  when: ansible_os_family != 'Debian'\n",
	.args = fail_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg pause_args[] = {
	{ .name = "seconds", .type = ARG_INT, .doc = "How long to wait." },
	{ .name = "minutes", .type = ARG_INT, .doc = "How long to wait." },
	{ .name = "prompt", .type = ARG_STR, .doc = "Text shown to the person." },
	{ .name = "echo", .type = ARG_BOOL, .def = "true",
	    .doc = "Shows what is typed." },
	END
};

static const struct mod_rule pause_rules[] = {
	{ RULE_EXCLUSIVE, "seconds,minutes" }, { RULE_END, NULL }
};

const struct module pause_module = {
	.name = "pause", .collection = "ansible.builtin",
	.summary = "Waits for some time or for the person at the terminal.",
	.doc = "Happens once for all hosts.",
	.examples = "- pause:\n    seconds: 5\n",
	.returns = "user_input: what was typed\ndelta: seconds waited\n",
	.args = pause_args, .rules = pause_rules, .flags = MOD_CONTROLLER,
};

static const struct mod_arg reboot_args[] = {
	{ .name = "reboot_timeout", .type = ARG_INT, .def = "600",
	    .doc = "Seconds until the host must be back, and again until test_command must succeed." },
	{ .name = "test_command", .type = ARG_STR, .def = "whoami",
	    .doc = "What must succeed on the host that is back; a line for sh." },
	{ .name = "msg", .type = ARG_STR, .def = "Reboot initiated by provctl",
	    .doc = "What users of the host are told." },
	{ .name = "pre_reboot_delay", .type = ARG_INT, .def = "0",
	    .doc = "Seconds until the reboot, rounded down to minutes." },
	{ .name = "post_reboot_delay", .type = ARG_INT, .def = "0",
	    .doc = "Seconds to wait after the reboot command before the host is asked for." },
	{ .name = "connect_timeout", .type = ARG_INT,
	    .doc = "Seconds for each try to connect." },
	{ .name = "reboot_command", .type = ARG_STR,
	    .doc = "Instead of `shutdown -r`; a line for sh. pre_reboot_delay and msg have no effect on it." },
	{ .name = "boot_time_command", .type = ARG_STR,
	    .doc = "What says something else after a reboot; a line for sh. By default the kernel's boot id and the start of process 1." },
	{ .name = "search_paths", .type = ARG_LIST, .of = ARG_STR,
	    .def = "/sbin,/bin,/usr/sbin,/usr/bin,/usr/local/sbin",
	    .doc = "Directories where the reboot command is looked for first." },
	END
};

const struct module reboot_module = {
	.name = "reboot", .collection = "ansible.builtin",
	.summary = "Reboots the host and waits until it is back.",
	.doc = "Always a change; a check predicts it. A host with the connection local is not rebooted.",
	.examples =
	    "- reboot:\n"
	    "    reboot_timeout: 300\n"
	    "  become: true\n",
	.returns = "rebooted: whether it was\nelapsed: seconds until it was back\n",
	.args = reboot_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg wait_for_connection_args[] = {
	{ .name = "timeout", .type = ARG_INT, .def = "600",
	    .doc = "Seconds until the host must be reached." },
	{ .name = "delay", .type = ARG_INT, .def = "0",
	    .doc = "Seconds to wait before the first try." },
	{ .name = "sleep", .type = ARG_INT, .def = "1",
	    .doc = "Seconds between two tries." },
	{ .name = "connect_timeout", .type = ARG_INT, .def = "5",
	    .doc = "Seconds for each try to connect." },
	END
};

const struct module wait_for_connection_module = {
	.name = "wait_for_connection", .collection = "ansible.builtin",
	.summary = "Waits until a new connection to the host works.",
	.doc = "A play for a host that may be away needs `gather_facts: false`. A check skips it.",
	.examples = "- wait_for_connection:\n    timeout: 120\n",
	.returns = "elapsed: seconds until it was reached\n",
	.args = wait_for_connection_args, .flags = MOD_CONTROLLER,
};

/* ---- facts and hosts ---------------------------------------------------- */

static const struct mod_arg set_fact_args[] = {
	{ .name = "cacheable", .type = ARG_BOOL, .def = "false",
	    .doc = "Also keeps the values as facts of the host for later runs." },
	END
};

const struct module set_fact_module = {
	.name = "set_fact", .collection = "ansible.builtin",
	.summary = "Sets variables of the host for the rest of the run.",
	.examples =
	    "- set_fact:\n"
	    "    app_url: \"http://{{ app_host }}:{{ app_port }}/\"\n",
	.returns = "ansible_facts: the variables\n",
	.args = set_fact_args, .flags = MOD_CONTROLLER | MOD_ANY_ARGS,
};

static const struct mod_arg set_stats_args[] = {
	{ .name = "data", .type = ARG_MAP, .flags = ARG_REQUIRED,
	    .doc = "The statistics." },
	{ .name = "per_host", .type = ARG_BOOL, .def = "false",
	    .doc = "For each host of its own." },
	{ .name = "aggregate", .type = ARG_BOOL, .def = "true",
	    .doc = "Adds to what is there instead of replacing it." },
	END
};

const struct module set_stats_module = {
	.name = "set_stats", .collection = "ansible.builtin",
	.summary = "Sets statistics shown at the end of the run.",
	.examples = "- set_stats:\n    data:\n      packages_installed: 31\n",
	.args = set_stats_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg add_host_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .aliases = "host,hostname",
	    .doc = "The host, optionally with a port." },
	{ .name = "groups", .type = ARG_LIST, .of = ARG_STR,
	    .aliases = "group,groupname",
	    .doc = "Groups to put it into; made when missing." },
	END
};

const struct module add_host_module = {
	.name = "add_host", .collection = "ansible.builtin",
	.summary = "Adds a host to the inventory of this run.",
	.doc = "Every other parameter becomes a variable of the host.",
	.examples =
	    "- add_host:\n"
	    "    name: \"{{ new_address }}\"\n"
	    "    groups: fresh\n"
	    "    ansible_user: deploy\n",
	.args = add_host_args, .flags = MOD_CONTROLLER | MOD_ANY_ARGS,
};

static const struct mod_arg group_by_args[] = {
	{ .name = "key", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "Name of the group; blanks become dashes." },
	{ .name = "parents", .type = ARG_LIST, .of = ARG_STR, .def = "all",
	    .doc = "Parent groups of the group." },
	END
};

const struct module group_by_module = {
	.name = "group_by", .collection = "ansible.builtin",
	.summary = "Puts the host into a group named by a value.",
	.examples = "- group_by:\n    key: \"os_{{ ansible_distribution }}\"\n",
	.args = group_by_args, .flags = MOD_CONTROLLER,
};

/* ---- the run itself ----------------------------------------------------- */

static const struct mod_arg meta_args[] = {
	{ .name = "free_form", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .choices = "clear_facts,clear_host_errors,end_batch,end_host,"
	    "end_play,end_role,flush_handlers,noop,refresh_inventory,"
	    "reset_connection",
	    .doc = "What to do, written right after `meta:`." },
	END
};

const struct module meta_module = {
	.name = "meta", .collection = "ansible.builtin",
	.summary = "Acts on the run itself: runs handlers now, ends a play …",
	.examples = "- meta: flush_handlers\n",
	.args = meta_args, .flags = MOD_CONTROLLER | MOD_FREE_FORM,
	.free_form = "free_form",
};

static const struct mod_arg async_status_args[] = {
	{ .name = "jid", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "Number of the job, `ansible_job_id` of the registered result." },
	{ .name = "mode", .type = ARG_STR, .choices = "status,cleanup",
	    .def = "status", .doc = "Asks, or removes what the job left." },
	END
};

const struct module async_status_module = {
	.name = "async_status", .collection = "ansible.builtin",
	.summary = "Asks for the state of a task started with async.",
	.examples =
	    "- async_status:\n"
	    "    jid: \"{{ job.ansible_job_id }}\"\n"
	    "  register: result\n"
	    "  until: result.finished\n"
	    "  retries: 30\n",
	.returns = "finished: whether it is over\nstarted: whether it began\n",
	.args = async_status_args, .flags = MOD_CONTROLLER,
};

/* ---- files of tasks, roles and variables -------------------------------- */

static const struct mod_arg include_tasks_args[] = {
	{ .name = "file", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "File of tasks, relative to the including file or the role's tasks/." },
	{ .name = "apply", .type = ARG_MAP,
	    .doc = "Task keywords (tags, become …) for the included tasks." },
	END
};

const struct module include_tasks_module = {
	.name = "include_tasks", .collection = "ansible.builtin",
	.summary = "Runs a file of tasks, chosen while the run goes.",
	.examples = "- include_tasks: \"{{ ansible_os_family }}.yml\"\n",
	.args = include_tasks_args, .flags = MOD_CONTROLLER | MOD_FREE_FORM,
	.free_form = "file",
};

static const struct mod_arg import_tasks_args[] = {
	{ .name = "file", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "File of tasks, relative to the importing file or the role's tasks/." },
	END
};

const struct module import_tasks_module = {
	.name = "import_tasks", .collection = "ansible.builtin",
	.summary = "Puts the tasks of a file in its place, at load.",
	.examples = "- import_tasks: install.yml\n",
	.args = import_tasks_args, .flags = MOD_CONTROLLER | MOD_FREE_FORM,
	.free_form = "file",
};

/* The legacy form takes variables as further k=v words. */
static const struct mod_arg include_args[] = {
	{ .name = "file", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "File of tasks." },
	{ .name = "static", .type = ARG_BOOL, .flags = ARG_DEPRECATED,
	    .doc = "Yes: as import_tasks; no: as include_tasks." },
	END
};

const struct module include_module = {
	.name = "include", .collection = "ansible.builtin",
	.summary = "Legacy form of include_tasks and import_tasks.",
	.examples = "- include: install.yml\n",
	.args = include_args,
	.flags = MOD_CONTROLLER | MOD_FREE_FORM | MOD_ANY_ARGS,
	.free_form = "file",
};

#define ROLE_ARGS							\
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,	\
	    .aliases = "role", .doc = "The role." },			\
	{ .name = "tasks_from", .type = ARG_STR, .def = "main",		\
	    .doc = "File of the role's tasks/." },			\
	{ .name = "vars_from", .type = ARG_STR, .def = "main",		\
	    .doc = "File of the role's vars/." },			\
	{ .name = "defaults_from", .type = ARG_STR, .def = "main",	\
	    .doc = "File of the role's defaults/." },			\
	{ .name = "handlers_from", .type = ARG_STR, .def = "main",	\
	    .doc = "File of the role's handlers/." },			\
	{ .name = "allow_duplicates", .type = ARG_BOOL, .def = "true",	\
	    .doc = "Runs the role again though it ran before." },	\
	{ .name = "rolespec_validate", .type = ARG_BOOL, .def = "true",	\
	    .doc = "Checks the role's argument specification." }

static const struct mod_arg include_role_args[] = {
	ROLE_ARGS,
	{ .name = "public", .type = ARG_BOOL, .def = "false",
	    .doc = "The role's defaults and vars stay for the rest of the play." },
	{ .name = "apply", .type = ARG_MAP,
	    .doc = "Task keywords (tags, become …) for the role's tasks." },
	END
};

const struct module include_role_module = {
	.name = "include_role", .collection = "ansible.builtin",
	.summary = "Runs a role, chosen while the run goes.",
	.examples = "- include_role:\n    name: nginx_site\n",
	.args = include_role_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg import_role_args[] = {
	ROLE_ARGS,
	{ .name = "public", .type = ARG_BOOL, .def = "true",
	    .doc = "The role's defaults and vars stay for the rest of the play." },
	END
};

const struct module import_role_module = {
	.name = "import_role", .collection = "ansible.builtin",
	.summary = "Puts a role in its place, at load.",
	.examples = "- import_role:\n    name: postgresql_db\n",
	.args = import_role_args, .flags = MOD_CONTROLLER,
};

static const struct mod_arg include_vars_args[] = {
	{ .name = "file", .type = ARG_STR,
	    .doc = "File of variables, relative to the role's vars/ or the playbook." },
	{ .name = "dir", .type = ARG_STR,
	    .doc = "Directory whose files are all read, sorted by name." },
	{ .name = "name", .type = ARG_STR,
	    .doc = "Puts the variables into this one instead of the top level." },
	{ .name = "depth", .type = ARG_INT, .def = "0",
	    .doc = "Levels of directories to go down; 0: no limit." },
	{ .name = "files_matching", .type = ARG_STR,
	    .doc = "Regular expression for names of files in dir." },
	{ .name = "ignore_files", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Names of files in dir to leave out." },
	{ .name = "extensions", .type = ARG_LIST, .of = ARG_STR,
	    .def = "json,yaml,yml", .doc = "File name extensions in dir." },
	{ .name = "ignore_unknown_extensions", .type = ARG_BOOL, .def = "false",
	    .doc = "Files in dir with other extensions are no error." },
	{ .name = "hash_behaviour", .type = ARG_STR, .choices = "replace,merge",
	    .doc = "Merge: maps of the same name are merged, not replaced." },
	END
};

static const struct mod_rule include_vars_rules[] = {
	{ RULE_ONE_OF, "file,dir" }, { RULE_EXCLUSIVE, "file,dir" },
	{ RULE_END, NULL }
};

const struct module include_vars_module = {
	.name = "include_vars", .collection = "ansible.builtin",
	.summary = "Reads variables from files while the run goes.",
	.examples = "- include_vars: \"{{ ansible_distribution }}.yml\"\n",
	.returns = "ansible_facts: the variables\n"
	    "ansible_included_var_files: the files\n",
	.args = include_vars_args, .rules = include_vars_rules,
	.flags = MOD_CONTROLLER | MOD_FREE_FORM, .free_form = "file",
};
