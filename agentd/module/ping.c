/* ping: a connection, an executor that answers. */
#include <string.h>

#include "module/module.h"

static const struct mod_arg ping_args[] = {
	{ .name = "data", .type = ARG_STR, .def = "pong",
	    .doc = "What to answer; `crash` fails, to see what a failure looks like." },
	{ .name = NULL }
};

static int
ping_run(struct mod *m)
{
	const char *data = mod_arg_str(m, "data");

	if (strcmp(data, "crash") == 0)
		return mod_fail(m, "boom");
	mod_set_str(m, "ping", data);
	return 0;
}

const struct module ping_module = {
	.name = "ping", .collection = "ansible.builtin",
	.summary = "Answers: the host is reached and modules run there.",
	.examples = "- ping:\n",
	.returns = "ping: data\n",
	.args = ping_args,
	.run = ping_run,
};
