/*
 * provctl eval, provctl render: what an expression or a template file gives
 * for a host, without a connection; facts are those last recorded.
 */
#include <string.h>

#include "load.h"
#include "out.h"

static const struct opt host_rows[] = {
	{ .name = "host", .type = OPT_STR, .offset = OFF(host), .arg = "HOST",
	    .doc = "For this host; default: localhost." },
	OPT_END
};
static const struct opt_group host_group = { "Selection", host_rows };
static const struct opt_group *const groups[] = {
	&host_group, &opts_inventory, &opts_vault, &opts_state, NULL
};

struct job {
	struct ctl	*ctl;
	struct load	*load;
	int		 (*use)(void *, struct arena *, const struct scope *);
};

static int
use_eval(void *arg, struct arena *a, const struct scope *scope)
{
	struct job *j = arg;
	struct ctl *ctl = j->ctl;
	const char *text = ctl->args.v[0];
	/* The command's, not the scope's: what is wrong is told when that is gone. */
	const struct source *src = source_text(&ctl->arena, "EXPRESSION", text, strlen(text));
	/* "{{ … }}" or text with templates in it works as well as a bare expression. */
	const struct tmpl *t = tmpl_compile(a, src->text, src->len, (struct mark){ src, 1, 1, 1 },
	    tmpl_is(text, strlen(text)) ? TMPL_VALUE : TMPL_WHEN, NULL, &ctl->diags);
	const struct value *v;
	struct err err = ERR_INIT;

	if (t == NULL)
		return RUN_USAGE;
	if ((v = tmpl_eval(a, scope, tmpl_to_value(a, t), &err)) == NULL)
		return fail_with(ctl, &err);
	if (v->type == V_UNDEF) {
		(void)err_set(&err, ERR_UNDEFINED, "%s", v->u.s != NULL ? v->u.s :
		    "the value is undefined");
		return fail_with(ctl, &err);
	}
	ctl->out->ops->value(ctl->out, v);
	return RUN_OK;
}

static int
use_render(void *arg, struct arena *a, const struct scope *scope)
{
	struct job *j = arg;
	struct ctl *ctl = j->ctl;
	const struct tmpl_opts defaults = { 0 };
	const struct tmpl *t;
	const struct value *v;
	struct err err = ERR_INIT;

	t = site_template(j->load->site, ctl->args.v[0], &defaults, &ctl->diags);
	if (t == NULL)
		return RUN_USAGE;
	if ((v = tmpl_render(a, scope, t, &err)) == NULL)
		return fail_with(ctl, &err);
	ctl->out->ops->value(ctl->out, v);
	return RUN_OK;
}

static int
with_scope(struct ctl *ctl, int (*use)(void *, struct arena *, const struct scope *))
{
	struct run_opts opts = { 0 };
	struct job job = { .ctl = ctl };
	struct load l;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	job.load = &l;
	/* Without a state there are no facts, that is all. */
	if (load_state_if_any(&l) == 0 && load_site(&l, ctl->args.v[1]) == 0) {
		if (l.state != NULL) {
			opts.facts = load_facts;
			opts.facts_arg = l.state;
		}
		status = run_with_scope(l.site, &opts,
		    ctl->set.host != NULL ? ctl->set.host : "localhost", use,
		    &job, &ctl->diags);
		if (status == -1)
			status = RUN_USAGE;
	}
	load_release(&l);
	return status;
}

static int
eval(struct ctl *ctl)
{
	return with_scope(ctl, use_eval);
}

static int
render(struct ctl *ctl)
{
	return with_scope(ctl, use_render);
}

const struct cmd cmd_eval = {
	.name = "eval", .args = "EXPRESSION SITE",
	.summary = "prints what an expression gives for a host of a site",
	.doc = "EXPRESSION is what may stand behind `when:`, or a text with {{ }} in it. There is no connection: facts are those last recorded.",
	.opts = groups, .min_args = 2, .max_args = 2, .run = eval,
};

const struct cmd cmd_render = {
	.name = "render", .args = "TEMPLATE SITE",
	.summary = "prints what a template file gives for a host of a site",
	.doc = "TEMPLATE is a file. There is no connection: facts are those last recorded.",
	.opts = groups, .min_args = 2, .max_args = 2, .run = render,
};
