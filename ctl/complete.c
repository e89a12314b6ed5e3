/*
 * provctl __words [COMMAND]: words for the shell's completion and what they are
 * for, from the same rows as the help; not in the list of commands.
 */
#include <string.h>

#include "cmd.h"
#include "out.h"

static const struct opt_group *const groups[] = { NULL };

static int
complete(struct ctl *ctl)
{
	struct buf b = BUF_INIT;
	const struct opt_group *const general[] = { &opts_general, NULL };
	size_t i;

	for (i = 0; cmds[i] != NULL; i++) {
		if (strncmp(cmds[i]->name, "__", 2) == 0)
			continue;
		if (ctl->args.n == 0)
			buf_addf(&b, "%s\t%s\n", cmds[i]->name, cmds[i]->summary);
		else if (strcmp(cmds[i]->name, ctl->args.v[0]) == 0) {
			opt_names(&ctl->arena, &b, cmds[i]->opts);
			opt_names(&ctl->arena, &b, general);
		}
	}
	if (ctl->args.n > 0 && strcmp(ctl->args.v[0], "doc") == 0)
		for (i = 0; modules[i] != NULL; i++)
			if (!(modules[i]->flags & MOD_UNSUPPORTED))
				buf_addf(&b, "%s\t%s\n", modules[i]->name, modules[i]->summary);
	out_flush(ctl->out, &b);
	buf_release(&b);
	return RUN_OK;
}

const struct cmd cmd_complete = {
	.name = "__words", .args = "[COMMAND]", .summary = "words for completion",
	.opts = groups, .max_args = 1, .run = complete,
};
