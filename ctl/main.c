/*
 * provctl: the command line.
 *
 * Here are the table of commands, help, and what must happen before anything
 * else: files that we make are ours alone (umask), and a crash leaves no core
 * file with passwords in it.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "cmd.h"
#include "out.h"
#include "remote.h"

extern const struct cmd cmd_apply, cmd_cancel, cmd_check, cmd_complete, cmd_doc,
    cmd_drift, cmd_droplet, cmd_eval, cmd_facts, cmd_follow, cmd_history, cmd_host,
    cmd_inventory, cmd_keys, cmd_onboard, cmd_page, cmd_plan, cmd_prune, cmd_render,
    cmd_resume, cmd_retry, cmd_rollback, cmd_schedule, cmd_schema, cmd_show,
    cmd_sites, cmd_state, cmd_status, cmd_vault;

const struct cmd *const cmds[] = {
	&cmd_apply, &cmd_cancel, &cmd_check, &cmd_complete, &cmd_doc,
	&cmd_drift, &cmd_droplet, &cmd_eval, &cmd_facts, &cmd_follow,
	&cmd_history, &cmd_host, &cmd_inventory, &cmd_keys, &cmd_onboard,
	&cmd_page, &cmd_plan, &cmd_prune, &cmd_render, &cmd_resume, &cmd_retry,
	&cmd_rollback, &cmd_schedule, &cmd_schema, &cmd_show, &cmd_sites,
	&cmd_state, &cmd_status, &cmd_vault, NULL
};

static const char exit_codes[] =
    "\nExit status:\n"
    "  0    nothing to do, or all done\n"
    "  1    an error on the command line or in the site; no host was touched\n"
    "  2    changes are pending (check, plan), or hosts have drifted\n"
    "  3    a task failed\n"
    "  4    a host was unreachable (and no task failed)\n"
    "  5    another run works on these hosts (--wait waits for it); none was touched\n"
    "  130  interrupted\n";

/* ---- help ----------------------------------------------------------------------------- */

static void
usage_line(struct buf *b, const struct cmd *c)
{
	buf_addf(b, "usage: provctl %s [OPTIONS]%s%s\n", c->name,
	    *c->args != '\0' ? " " : "", c->args);
}

/* The command's groups and the general one. */
static const struct opt_group *const *
groups_of(struct arena *a, const struct cmd *c)
{
	const struct opt_group **all;
	size_t n = 0;

	while (c->opts[n] != NULL)
		n++;
	all = ARENA_ARRAY(a, n + 2, const struct opt_group *);
	memcpy(all, c->opts, n * sizeof(*all));
	all[n] = &opts_general;
	return all;
}

static void
command_help(struct ctl *ctl)
{
	struct buf b = BUF_INIT;

	usage_line(&b, ctl->cmd);
	buf_addc(&b, '\n');
	help_wrap(&b, 0, 0, ctl->cmd->summary);
	if (ctl->cmd->doc != NULL) {
		buf_addc(&b, '\n');
		help_wrap(&b, 0, 0, ctl->cmd->doc);
	}
	opt_help(&b, groups_of(&ctl->arena, ctl->cmd));
	if (ctl->cmd == &cmd_apply || ctl->cmd == &cmd_check ||
	    ctl->cmd == &cmd_resume || ctl->cmd == &cmd_retry ||
	    ctl->cmd == &cmd_rollback)
		buf_adds(&b, exit_codes);
	out_flush(ctl->out, &b);
	buf_release(&b);
}

static void
program_help(struct out *out)
{
	struct buf b = BUF_INIT;
	size_t i;

	buf_adds(&b, "usage: provctl COMMAND [OPTIONS] [ARGUMENTS]\n\n"
	    "Brings Debian servers into the state that an Ansible playbook describes.\n\n"
	    "Commands:\n");
	for (i = 0; cmds[i] != NULL; i++)
		if (cmds[i] != &cmd_complete)
			buf_addf(&b, "  %-10s  %s\n", cmds[i]->name, cmds[i]->summary);
	buf_adds(&b, "\n`provctl COMMAND --help` shows a command's options;"
	    " `provctl --version` the version.\n");
	buf_adds(&b, exit_codes);
	out_flush(out, &b);
	buf_release(&b);
}

/* ---- errors ------------------------------------------------------------------------------ */

int
usage_error(struct ctl *ctl, const char *fmt, ...)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err *e;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&b, fmt, ap);
	va_end(ap);
	e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 }, "%s", buf_str(&b));
	if (ctl->cmd != NULL)
		err_hint(e, "`provctl %s --help` shows how it is used",
		    ctl->cmd->name);
	return RUN_USAGE;
}

int
fail_with(struct ctl *ctl, struct err *err)
{
	diags_add(&ctl->diags, DIAG_ERROR, err);
	return RUN_USAGE;
}

/* ---- the program ---------------------------------------------------------------------------- */

static void
harden(void)
{
	static const struct rlimit none = { 0, 0 };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int fd;

	(void)umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* A reader that goes away is an error where we write, no signal. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	/* Files that we open must never land on the places of standard streams. */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd != -1 && fd <= STDERR_FILENO &&
	    fcntl(fd, F_SETFD, 0) != -1);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

static const struct cmd *
find_command(struct ctl *ctl, const char *name)
{
	const char *best = NULL;
	unsigned dist = 0;
	struct err *e;
	size_t i;

	for (i = 0; cmds[i] != NULL; i++) {
		if (strcmp(cmds[i]->name, name) == 0)
			return cmds[i];
		if (cmds[i] != &cmd_complete)
			nearest_try(name, cmds[i]->name, &best, &dist);
	}
	e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 },
	    "unknown command '%s'", name);
	if (best != NULL)
		err_hint(e, "did you mean '%s'?", best);
	else
		err_hint(e, "`provctl --help` lists the commands");
	return NULL;
}

/* Asked for before it is known whether the command line is right: what is wrong is told as JSON, too. */
static bool
wants_json(char **argv)
{
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0)
			return true;
	return false;
}

static int
run_command(struct ctl *ctl, char **argv)
{
	struct err err = ERR_INIT;

	if (opt_parse(&ctl->arena, groups_of(&ctl->arena, ctl->cmd), &ctl->set,
	    argv, &ctl->args, &err) == -1) {
		/* Asked for help with something wrong beside it: help is what is wanted. */
		if (ctl->set.help) {
			err_release(&err);
			command_help(ctl);
			return RUN_OK;
		}
		return fail_with(ctl, &err);
	}
	output_release(ctl->out);
	output_init(ctl->out, ctl->set.json ? &output_json : &output_text, ctl->set.color);
	if (ctl->set.help) {
		command_help(ctl);
		return RUN_OK;
	}
	if (ctl->args.n < ctl->cmd->min_args)
		return usage_error(ctl, "'%s' needs %s", ctl->cmd->name, ctl->cmd->args);
	if (ctl->args.n > ctl->cmd->max_args)
		return usage_error(ctl, "'%s' takes no argument '%s'",
		    ctl->cmd->name, ctl->args.v[ctl->cmd->max_args]);
	return ctl->cmd->run(ctl);
}

/* Who asked did not get what was to be said: no success. */
static int
output_lost(struct ctl *ctl, int status)
{
	(void)diags_error(&ctl->diags, ERR_IO, (struct mark){ 0 },
	    "cannot write the output: %s", strerror(ctl->out->error));
	ctl->out->stream = false;
	if (status != RUN_OK && status != RUN_PENDING)
		return status;
	return ctl->watch.run != 0 ? RUN_FAILED : RUN_USAGE;
}

int
main(int argc, char **argv)
{
	struct out out;
	struct ctl ctl = { .out = &out };
	int status;

	harden();
	output_init(&out, wants_json(argv) ? &output_json : &output_text, NULL);
	ctl.argv = argv + 1;
	remote_child(&ctl);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    (strcmp(argv[1], "help") == 0 && argc == 2)) {
		program_help(&out);
		status = argc < 2 ? RUN_USAGE : RUN_OK;
	} else if (strcmp(argv[1], "--version") == 0) {
		struct buf b = BUF_INIT;

		buf_adds(&b, "provctl " PROVCTL_VERSION "\n");
		out_flush(&out, &b);
		buf_release(&b);
		status = RUN_OK;
	} else if (strcmp(argv[1], "help") == 0) {
		/* `help COMMAND` as `COMMAND --help`. */
		if ((ctl.cmd = find_command(&ctl, argv[2])) != NULL)
			command_help(&ctl);
		status = ctl.cmd != NULL ? RUN_OK : RUN_USAGE;
	} else {
		ctl.cmd = find_command(&ctl, argv[1]);
		status = ctl.cmd != NULL ? run_command(&ctl, argv + 2) : RUN_USAGE;
	}
	if (out.error != 0)
		status = output_lost(&ctl, status);
	remote_diags(&ctl);
	if (ctl.diags.n > 0)
		out.ops->diags(&out, &ctl.diags);
	diags_release(&ctl.diags);
	if (ctl.events != NULL)
		output_release(ctl.events);
	output_release(&out);
	arena_release(&ctl.arena);
	return status;
}
