/*
 * provctl schema: the JSON Schema of playbooks, for editors.
 */
#include "cmd.h"
#include "out.h"
#include "playbook/schema.h"

static const struct opt_group *const groups[] = { NULL };

static int
schema(struct ctl *ctl)
{
	ctl->out->ops->value(ctl->out, site_schema_json(&ctl->arena));
	return RUN_OK;
}

const struct cmd cmd_schema = {
	.name = "schema", .args = "",
	.summary = "prints the JSON Schema of playbooks, for editors",
	.opts = groups, .run = schema,
};
