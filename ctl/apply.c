/*
 * provctl apply, provctl check: a run.
 *
 * The state is opened first and written as the run goes; signals reach the
 * engine through the loop, so a run that is interrupted ends in order (the
 * second signal stops it at once), and the terminal is as it was.
 */
#include <signal.h>
#include <string.h>

#include "apply.h"
#include "ask.h"
#include "cmd.h"
#include "gate.h"
#include "holding.h"
#include "inventory/sshconf.h"
#include "load.h"
#include "out.h"
#include "outline.h"
#include "plan.h"
#include "remote.h"
#include "sites.h"
#include "state/drift.h"

static const struct opt run_rows[] = {
	{ .letter = 'l', .name = "limit", .type = OPT_STR, .offset = OFF(limit),
	    .arg = "PATTERN", .doc = "Only hosts that match: names, groups, globs, ~regex, a:b, a:&b, a:!b." },
	{ .letter = 't', .name = "tags", .type = OPT_COMMAS, .offset = OFF(tags),
	    .arg = "TAGS", .doc = "Only tasks with one of these tags." },
	{ .name = "skip-tags", .type = OPT_COMMAS, .offset = OFF(skip_tags),
	    .arg = "TAGS", .doc = "Not the tasks with one of these tags." },
	{ .name = "start-at-task", .type = OPT_STR, .offset = OFF(start_at),
	    .arg = "NAME", .doc = "Begins at the task with this name." },
	{ .name = "wait", .type = OPT_FLAG, .offset = OFF(wait_hosts),
	    .doc = "Waits when another run works on one of the hosts, also on one that is met on the way (delegate_to, add_host); without it that is an error (status 5; met on the way, the host is unreachable)." },
	OPT_END
};
static const struct opt_group run_group = { "What to run", run_rows };

static const struct opt check_rows[] = {
	{ .letter = 'C', .name = "check", .type = OPT_FLAG, .offset = OFF(check),
	    .doc = "Changes nothing, says what would change; status 2 when something would." },
	OPT_END
};
static const struct opt_group check_group = { "Mode", check_rows };

static const struct opt show_rows[] = {
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what changes in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows skipped tasks and results; -vv more, -vvv also connections." },
	{ .name = "list-hosts", .type = OPT_FLAG, .offset = OFF(list_hosts),
	    .doc = "Runs nothing, lists each play's hosts." },
	{ .name = "list-tasks", .type = OPT_FLAG, .offset = OFF(list_tasks),
	    .doc = "Runs nothing, lists the tasks." },
	{ .name = "list-tags", .type = OPT_FLAG, .offset = OFF(list_tags),
	    .doc = "Runs nothing, lists the tags." },
	{ .name = "syntax-check", .type = OPT_FLAG, .offset = OFF(syntax_check),
	    .doc = "Runs nothing, only loads and checks the site." },
	OPT_END
};
static const struct opt_group show_group = { "What to show", show_rows };

static const struct opt connection_rows[] = {
	{ .letter = 'f', .name = "forks", .type = OPT_INT, .offset = OFF(forks),
	    .arg = "N", .min = 1, .max = 10000,
	    .doc = "Hosts worked on at once; default 50." },
	{ .letter = 'u', .name = "user", .type = OPT_STR, .offset = OFF(user),
	    .arg = "USER", .doc = "Logs in as this user where neither inventory nor play names one." },
	{ .name = "key", .type = OPT_STR, .offset = OFF(key), .arg = "FILE",
	    .doc = "Logs in with this private key." },
	{ .letter = 'k', .name = "ask-pass", .type = OPT_FLAG, .offset = OFF(ask_pass),
	    .doc = "Asks for the login password on the terminal." },
	{ .name = "password-file", .type = OPT_STR, .offset = OFF(password_file),
	    .arg = "FILE", .doc = "Reads the login password from a file's first line (\"-\": standard input)." },
	{ .letter = 'b', .name = "become", .type = OPT_FLAG, .offset = OFF(become),
	    .doc = "Plays become root unless they say otherwise." },
	{ .letter = 'K', .name = "ask-become-pass", .type = OPT_FLAG,
	    .offset = OFF(ask_become),
	    .doc = "Asks for sudo's password on the terminal." },
	{ .name = "become-password-file", .type = OPT_STR, .offset = OFF(become_file),
	    .arg = "FILE", .doc = "Reads sudo's password from a file's first line (\"-\": standard input)." },
	{ .name = "accept-new-host-keys", .type = OPT_FLAG, .offset = OFF(accept_keys),
	    .doc = "Pins the keys of hosts that are met for the first time; a changed key is an error always." },
	{ .letter = 'T', .name = "timeout", .type = OPT_INT, .offset = OFF(timeout),
	    .arg = "SECONDS", .min = 1, .max = 3600,
	    .doc = "For each step of connecting; default 10." },
	OPT_END
};
static const struct opt_group connection_group = { "Connection", connection_rows };

/* ---- hosts that were reached become known ------------------------------------------------ */

struct reached {
	struct load	*load;
	struct value	*names;		/* list */
};

static void
note_reached(void *arg, const struct event *e)
{
	struct reached *r = arg;
	const struct host_stats *s = &e->stats;

	if (e->type == EV_STATS && s->unreachable == 0 &&
	    s->ok + s->changed + s->failed + s->rescued + s->ignored > 0)
		v_push(&r->load->ctl->arena, r->names,
		    v_str(&r->load->ctl->arena, e->host));
}

/* How a host is reached, so that a later run needs no inventory; no passwords. */
static const struct value *
connection_vars(struct arena *a, const struct value *vars)
{
	static const char *const names[] = {
		"ansible_host", "ansible_port", "ansible_user", "ansible_ssh_host",
		"ansible_ssh_port", "ansible_ssh_user", "ansible_connection",
		"ansible_ssh_private_key_file", "ansible_private_key_file",
		"ansible_become", "ansible_become_user", "ansible_become_method",
	};
	struct value *kept = v_map(a);
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		const struct value *v = v_gets(vars, names[i]);

		if (v != NULL && (v->type == V_STR || v->type == V_INT ||
		    v->type == V_BOOL) && !(v->flags & V_SECRET))
			v_sets(a, kept, names[i], v);
	}
	return kept;
}

/* Was it onboarded, or set by `provctl host`? Then what the state knows of it is no copy of an inventory. */
static bool
is_kept(const struct value *hosts, const char *name)
{
	uint32_t i;

	for (i = 0; i < v_count(hosts); i++)
		if (strcmp(v_get_str(v_at(hosts, i), "name", ""), name) == 0)
			return v_get_bool(v_gets(v_at(hosts, i), "vars"),
			    KEPT_VAR, false);
	return false;
}

static void
remember_hosts(const struct reached *r)
{
	struct load *l = r->load;
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT;
	const struct value *hosts;
	uint32_t i;

	if (l->from_state || l->given != NULL || v_count(r->names) == 0)
		return;
	if ((hosts = state_hosts(l->state, &ctl->arena, &err)) == NULL) {
		(void)fail_with(ctl, &err);
		return;
	}
	for (i = 0; i < v_count(r->names); i++) {
		struct host *h = inventory_host(l->inventory, v_at(r->names, i)->u.s);
		const struct value *vars;

		if (h == NULL || strcmp(h->name, "localhost") == 0 ||
		    is_kept(hosts, h->name))
			continue;
		vars = inventory_host_vars(l->inventory, h, &ctl->diags);
		if (vars != NULL && state_host_set(l->state, h->name,
		    connection_vars(&ctl->arena, vars),
		    inventory_group_names(l->inventory, h), &err) == -1)
			(void)fail_with(ctl, &err);
	}
}

/* ---- signals, questions --------------------------------------------------------------------- */

static void
interrupted(evutil_socket_t fd, short what, void *arg)
{
	struct holding *holding = arg;
	struct ctl *ctl = holding->load->ctl;
	static bool again;

	(void)fd;
	(void)what;
	if (!again)
		out_note(ctl->out, "interrupted: the tasks under way are finished; once more stops at once");
	again = true;
	holding_stop(holding);
	run_interrupt();
}

static const char *
ask_person(void *arg, struct arena *a, const char *prompt, bool secret)
{
	struct ctl *ctl = arg;
	const char *answer;

	out_pause(ctl->out);
	answer = ask(a, prompt, secret);
	out_resume(ctl->out);
	return answer;
}

static int64_t
run_number(void *state)
{
	return state_run_id(state);
}

static void
watched(void *arg, const struct event *e)
{
	struct load *l = arg;

	if (l->ctl->watch.event != NULL)
		l->ctl->watch.event(l->ctl, l->state, e);
}

static bool
permitted(void *arg, const struct event *e)
{
	struct load *l = arg;

	return l->ctl->watch.permit(l->ctl, l->state, e);
}

/* ---- passwords -------------------------------------------------------------------------------- */

int
get_password(struct ctl *ctl, bool asked, const char *file, const char *what,
    const char *instead, const char **ret)
{
	struct err err = ERR_INIT;

	if (!asked && file == NULL)
		return 0;
	*ret = load_password(ctl, file, what, instead, &err);
	if (*ret == NULL)
		return fail_with(ctl, &err), -1;
	return 0;
}

/* The login password is a variable like ansible_password of an inventory, but secret. */
static void
set_login_password(struct load *l, const char *text)
{
	struct arena *a = &l->ctl->arena;
	struct value *map, *v = v_str(a, text);

	v->flags |= V_SECRET;
	map = v_map(a);
	v_sets(a, map, "ansible_password", v);
	v_merge(a, map, l->extra);
	l->site->extra_vars = l->extra = map;
}

/* ---- the run ---------------------------------------------------------------------------------- */

static int
run_with(struct load *l, struct event_base *base, const struct run_opts *given)
{
	struct run_opts opts = *given, *o = &opts;
	struct ctl *ctl = l->ctl;
	struct out_run how = { .base = base, .diff = ctl->set.diff,
	    .check = ctl->set.check, .verbose = ctl->set.verbose,
	    .quiet = ctl->watch.quiet, .silent = ctl->watch.silent,
	    .run_id = run_number, .arg = l->state };
	struct reached reached = { l, v_list(&ctl->arena) };
	struct holding holding = { .load = l, .base = base };
	struct sink sinks[4];
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct event *events[NITEMS(signals)];
	struct err err = ERR_INIT;
	size_t i;
	int status;

	sinks[0] = state_sink(l->state);	/* first: it knows the run's number */
	ctl->out->gate = gate_new(base, l->state,
	    remote_sink(ctl, &how, ctl->out->ops->run_start(ctl->out, &how)));
	sinks[1] = gate_sink(ctl->out->gate);
	sinks[2] = (struct sink){ note_reached, &reached };
	sinks[3] = (struct sink){ watched, l };
	o->sinks = sinks;
	o->nsinks = NITEMS(sinks);
	for (i = 0; i < NITEMS(signals); i++)
		if ((events[i] = evsignal_new(base, signals[i], interrupted, &holding)) == NULL ||
		    event_add(events[i], NULL) == -1)
			abort();	/* out of memory */
	o->begin = holding_begin;
	o->begin_arg = &holding;
	o->hold = holding_more;
	o->hold_arg = &holding;
	o->await = gate_await;
	o->await_arg = ctl->out->gate;
	o->owed = state_owed;
	o->owed_arg = l->state;
	o->doubt = state_doubt;
	o->doubt_arg = l->state;
	o->classify = state_classify;
	o->classify_arg = l->state;
	if (ctl->watch.permit != NULL)
		o->permit = permitted;
	o->permit_arg = l;
	status = run_site(base, l->site, o, &ctl->diags);
	holding_end(&holding);
	site_keep_again(l);
	ctl->watch.run = state_run_id(l->state);
	ctl->watch.kept = arena_strdup(&ctl->arena, l->site_id);
	gate_free(ctl->out->gate);
	ctl->out->gate = NULL;
	ctl->out->ops->run_end(ctl->out);
	for (i = 0; i < NITEMS(signals); i++)
		event_free(events[i]);
	remember_hosts(&reached);
	if (state_sync(l->state, &err) == -1) {
		(void)err_wrap(&err, "the run is not completely recorded");
		(void)fail_with(ctl, &err);
		if (status == RUN_OK || status == RUN_PENDING)
			status = RUN_FAILED;
	} else if (state_tidy(l->state, &err) == -1) {
		diags_add(&ctl->diags, DIAG_WARNING, &err);
	}
	return status;
}

const char *
ssh_config_path(struct arena *a)
{
	const char *home = getenv("HOME");

	return arena_printf(a, "%s/.ssh/config", home != NULL ? home : "");
}

int
apply_loaded(struct load *l, const char *become_password)
{
	struct ctl *ctl = l->ctl;
	struct settings *s = &ctl->set;
	struct event_base *base;
	struct run_opts o = {
		.check = s->check, .diff = s->diff, .record_diff = true,
		.forks = s->forks,
		.limit = s->limit, .tags = s->tags.v, .skip_tags = s->skip_tags.v,
		.user = s->user, .key = s->key, .become = s->become,
		.become_password = become_password,
		.accept_new_host_keys = s->accept_keys, .verbosity = s->verbose,
		.start_at = s->start_at, .timeout_ms = s->timeout * 1000,
		.ask = ask_person, .ask_arg = ctl,
		.known_keys = state_known_keys, .pin_key = state_pin_key,
		.keys_arg = l->state, .keeper = ctl->keeper, .facts = load_facts, .facts_arg = l->state,
	};
	int status;

	o.sshconf = sshconf_load(&ctl->arena, ssh_config_path(&ctl->arena), &ctl->diags);
	/* Warnings and notes of loading are worth reading before the run. */
	if (ctl->diags.n > 0) {
		remote_diags(ctl);
		ctl->out->ops->diags(ctl->out, &ctl->diags);
		diags_release(&ctl->diags);
		ctl->diags = (struct diags)DIAGS_INIT;
	}
	private_dirs_sweep();
	if ((base = event_base_new()) == NULL)
		abort();	/* out of memory */
	status = run_with(l, base, &o);
	event_base_free(base);
	return status;
}

static int
run(struct load *l)
{
	struct settings *s = &l->ctl->set;
	const char *login = NULL, *become = NULL;

	/* One that is asked for; those of an inventory may be meant for other controllers. */
	if (s->key != NULL && *s->key != '~' && access(s->key, R_OK) == -1) {
		struct err err = ERR_INIT;

		(void)err_errno(&err, "cannot read the key '%s'", s->key);
		return fail_with(l->ctl, &err);
	}
	if (get_password(l->ctl, s->ask_pass, s->password_file, "login password",
	    "--password-file", &login) == -1 ||
	    get_password(l->ctl, s->ask_become, s->become_file, "sudo password",
	    "--become-password-file", &become) == -1)
		return RUN_USAGE;
	if (login != NULL)
		set_login_password(l, login);
	return apply_loaded(l, become);
}

/* Of the hosts that limit names, those that match set.only. False: none, or an error. */
static bool
narrow(struct load *l)
{
	struct settings *s = &l->ctl->set;
	struct arena *a = &l->ctl->arena;
	struct host **all, **only;
	uint32_t nall, nonly, i, j;
	struct err err = ERR_INIT;
	const char *missing;
	struct buf b = BUF_INIT;

	if (inventory_match(l->inventory, a, s->limit != NULL ? s->limit : "all",
	    &all, &nall, &missing, &err) == -1 ||
	    inventory_match(l->inventory, a, s->only, &only, &nonly, &missing, &err) == -1)
		return fail_with(l->ctl, &err), false;
	for (i = 0; i < nall; i++)
		for (j = 0; j < nonly; j++)
			if (all[i] == only[j])
				buf_addf(&b, "%s%s", b.len > 0 ? "," : "", all[i]->name);
	s->limit = buf_dup(&b, a);
	buf_release(&b);
	return *s->limit != '\0';
}

int
apply_site(struct ctl *ctl, const char *site)
{
	struct settings *s = &ctl->set;
	bool list = s->list_hosts || s->list_tasks || s->list_tags;
	struct load l;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	ctl->out->stream = !list;
	/* Only looking: known hosts are nice to have. */
	if ((list || s->syntax_check ? load_state_if_any(&l) :
	    load_state(&l, 0)) == -1)
		goto out;
	l.tags = s->tags.v;
	l.skip_tags = s->skip_tags.v;
	l.limit = s->limit;
	ctl->site_arg = site;
	if (load_site(&l, site) == -1)
		goto out;
	if (s->only != NULL && !narrow(&l)) {
		status = ctl->diags.nerrors > 0 ? RUN_USAGE : RUN_OK;
		goto out;
	}
	outline_tags(&l);
	if (list)
		status = outline(&l);
	else if (s->syntax_check) {
		out_note(ctl->out, "%s: no errors", site);
		status = RUN_OK;
	} else
		status = run(&l);
out:
	load_release(&l);
	return status;
}

static int
apply(struct ctl *ctl)
{
	int status;

	if (remote_run(ctl, &status))
		return status;
	return is_plan(ctl->args.v[0]) ? plan_apply(ctl, ctl->args.v[0]) :
	    apply_site(ctl, ctl->args.v[0]);
}

static int
check(struct ctl *ctl)
{
	ctl->set.check = true;
	return apply(ctl);
}

const struct opt_group *const apply_groups[] = {
	&opts_inventory, &run_group, &check_group, &show_group,
	&connection_group, &opts_vault, &opts_state, &opts_daemon, NULL
};
const struct opt_group *const plan_groups[] = {
	&opts_plan, &opts_inventory, &run_group, &connection_group,
	&opts_vault, &opts_state, &opts_daemon, NULL
};
static const struct opt_group *const check_groups[] = {
	&opts_inventory, &run_group, &show_group, &connection_group,
	&opts_vault, &opts_state, &opts_daemon, NULL
};

const struct cmd cmd_apply = {
	.name = "apply", .args = "SITE | PLAN",
	.summary = "brings hosts into the state that a playbook describes",
	.doc = "SITE is a playbook. What is wrong in it is said before the first connection. PLAN is a file that `provctl plan --out` has written: exactly that is applied, or nothing.\n\nWhat happens is on record (`provctl history`, `provctl show last --diff`). A run that was killed or interrupted can be gone on with (`provctl resume`), hosts that failed or were away are tried again (`provctl retry`, or agentd by itself), files come back as they were (`provctl rollback`).",
	.opts = apply_groups, .min_args = 1, .max_args = 1, .run = apply,
};

const struct cmd cmd_check = {
	.name = "check", .args = "SITE",
	.summary = "says what `apply` would change, changes nothing (apply --check)",
	.doc = "Tasks whose changes nobody can tell beforehand, commands above all, are skipped.",
	.opts = check_groups, .min_args = 1, .max_args = 1, .run = check,
};
