/*
 * provctl doc [MODULE]: documentation from the modules' own rows.
 */
#include "cmd.h"
#include "out.h"

static const struct opt_group *const groups[] = { NULL };

static int
doc(struct ctl *ctl)
{
	const struct module *m;
	const char *name, *near;
	struct err *e;

	if (ctl->args.n == 0) {
		ctl->out->ops->module_list(ctl->out);
		return RUN_OK;
	}
	name = ctl->args.v[0];
	m = module_find(name);
	if (m != NULL && !(m->flags & MOD_UNSUPPORTED)) {
		ctl->out->ops->module(ctl->out, m);
		return RUN_OK;
	}
	if (m != NULL || module_known_elsewhere(name)) {
		e = diags_error(&ctl->diags, ERR_UNSUPPORTED, (struct mark){ 0 },
		    "module '%s' is Ansible's, but not supported", name);
		err_hint(e, "`provctl doc` lists the modules");
		return RUN_USAGE;
	}
	e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 },
	    "unknown module '%s'", name);
	if ((near = module_nearest(name)) != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "`provctl doc` lists the modules");
	return RUN_USAGE;
}

const struct cmd cmd_doc = {
	.name = "doc", .args = "[MODULE]",
	.summary = "shows what a module does, or lists all",
	.opts = groups, .max_args = 1, .run = doc,
};
