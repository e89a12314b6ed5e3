/*
 * Modules that never leave the controller and do not change a host's way:
 * debug, assert, fail, set_fact, set_stats, pause, add_host, group_by,
 * async_status.
 */
#include <string.h>

#include "base/json.h"
#include "run/engine.h"

static const struct value *
arg(const struct step *s, const char *name)
{
	const struct value *v = v_gets(s->args, name);

	return v == NULL || v->type == V_NULL ? NULL : v;
}

static void
start_result(struct step *s)
{
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
}

/* An argument as the task has it, not evaluated: also from `args: "{{ … }}"`. */
static const struct value *
raw(struct step *s, const char *name, struct err *err)
{
	const struct value *v = v_gets(s->task->args, name);

	if (v == NULL && s->task->args_tmpl != NULL &&
	    (v = tmpl_eval(s->arena, s->scope, s->task->args_tmpl, err)) != NULL)
		v = v_gets(v, name);
	return v;
}

static const struct value *
raw_eval(struct step *s, const char *name, struct err *err)
{
	const struct value *v = raw(s, name, err);

	if (v == NULL || err->code != ERR_NONE)
		return NULL;
	v = tmpl_eval(s->arena, s->scope, v, err);
	return v != NULL && (v->type == V_OMIT || v->type == V_NULL) ? NULL : v;
}

/* ---- debug, assert, fail -------------------------------------------------------- */

static enum action_result
debug_var(struct step *s, const struct value *var)
{
	struct err err = ERR_INIT;
	const struct value *v;
	const char *key;

	if (var->type == V_LIST || var->type == V_MAP) {
		key = "var";
		v = tmpl_eval(s->arena, s->scope, var, &err);
	} else if (var->type == V_TMPL) {
		key = arena_strndup(s->arena, var->u.s, var->len);
		v = tmpl_eval(s->arena, s->scope, var, &err);
	} else {
		key = tmpl_to_str(s->arena, var)->u.s;
		v = tmpl_eval_name(s->arena, s->scope, key, &err);
	}
	if (v == NULL && err.code == ERR_UNDEFINED) {
		v = v_strf(s->arena, "VARIABLE IS NOT DEFINED!: %s", err.msg);
		err_release(&err);
	} else if (v == NULL)
		return step_fail_err(s, &err);
	v_sets(s->arena, s->result, key, v);
	return ACTION_DONE;
}

static enum action_result
action_debug(struct step *s)
{
	struct err err = ERR_INIT;
	const struct value *var, *msg, *verbosity;

	verbosity = raw_eval(s, "verbosity", &err);
	if (err.code != ERR_NONE)
		return step_fail_err(s, &err);
	start_result(s);
	if (verbosity != NULL) {
		int64_t level = strtoll(tmpl_to_str(s->arena, verbosity)->u.s,
		    NULL, 10);

		if (level > s->host->run->opts->verbosity) {
			v_set_bool(s->arena, s->result, "skipped", true);
			v_set_str(s->arena, s->result, "skip_reason",
			    "Verbosity threshold not met.");
			return ACTION_DONE;
		}
	}
	if ((var = raw(s, "var", &err)) != NULL)
		return debug_var(s, var);
	msg = raw_eval(s, "msg", &err);
	if (err.code != ERR_NONE)
		return step_fail_err(s, &err);
	v_sets(s->arena, s->result, "msg", msg != NULL ? msg :
	    v_str(s->arena, "Hello world!"));
	return ACTION_DONE;
}

/* One condition of `that`: 1 holds, 0 not, -1 with err. */
static int
condition(struct step *s, const struct value *v, struct err *err)
{
	struct diags diags = DIAGS_INIT;
	bool holds = false;

	if (v->type == V_STR) {
		v = tmpl_compile_when(s->arena, v, &diags);
		if (v == NULL) {
			err_move(err, &diags.v[0].err);
			diags_release(&diags);
			return -1;
		}
		diags_release(&diags);
	}
	if (tmpl_when(s->arena, s->scope, v, &holds, err) == -1)
		return -1;
	return holds;
}

static enum action_result
assertion_failed(struct step *s, const struct value *that, const struct value *msg)
{
	start_result(s);
	v_set_bool(s->arena, s->result, "failed", true);
	v_set_bool(s->arena, s->result, "evaluated_to", false);
	v_sets(s->arena, s->result, "assertion", that->type == V_TMPL ?
	    v_strn(s->arena, that->u.s, that->len) : that);
	v_sets(s->arena, s->result, "msg", msg != NULL ? msg :
	    v_str(s->arena, "Assertion failed"));
	return ACTION_DONE;
}

static enum action_result
action_assert(struct step *s)
{
	struct err err = ERR_INIT;
	const struct value *that = raw(s, "that", &err), *one, *msg;
	uint32_t i, n;

	if (that == NULL && err.code == ERR_NONE)
		return step_fail(s, "assert needs 'that'");
	if (err.code != ERR_NONE)
		return step_fail_err(s, &err);
	/* A template for the whole list. */
	if (that->type == V_TMPL) {
		const struct value *v = tmpl_eval(s->arena, s->scope, that, &err);

		if (v != NULL && v->type == V_LIST)
			that = v;
		err_release(&err);
	}
	n = that->type == V_LIST ? v_count(that) : 1;
	for (i = 0; i < n; i++) {
		int holds;

		one = that->type == V_LIST ? v_at(that, i) : that;
		if ((holds = condition(s, one, &err)) == -1) {
			err_at(&err, v_mark(one));
			return step_fail_err(s, &err);
		}
		if (holds == 0) {
			if ((msg = raw_eval(s, "fail_msg", &err)) == NULL &&
			    err.code == ERR_NONE)
				msg = raw_eval(s, "msg", &err);
			if (err.code != ERR_NONE)
				return step_fail_err(s, &err);
			return assertion_failed(s, one, msg);
		}
	}
	start_result(s);
	msg = raw_eval(s, "success_msg", &err);
	if (err.code != ERR_NONE)
		return step_fail_err(s, &err);
	v_sets(s->arena, s->result, "msg", msg != NULL ? msg :
	    v_str(s->arena, "All assertions passed"));
	return ACTION_DONE;
}

static enum action_result
action_fail(struct step *s)
{
	const struct value *msg = arg(s, "msg");

	start_result(s);
	v_set_bool(s->arena, s->result, "failed", true);
	v_sets(s->arena, s->result, "msg", msg != NULL ? msg :
	    v_str(s->arena, "Failed as requested from task"));
	return ACTION_DONE;
}

/* ---- variables -------------------------------------------------------------------- */

static bool
identifier(const char *name)
{
	const char *p;

	if (!(*name == '_' || (*name >= 'a' && *name <= 'z') ||
	    (*name >= 'A' && *name <= 'Z')))
		return false;
	for (p = name; *p != '\0'; p++)
		if (!(*p == '_' || (*p >= 'a' && *p <= 'z') ||
		    (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9')))
			return false;
	return true;
}

/* The name that an argument of set_fact sets; NULL with err. */
static const struct value *
fact_name(struct step *s, const struct value *key, struct err *err)
{
	const struct value *v = v_get(s->task->fact_names, key);

	if (v == NULL)
		return key;
	v = tmpl_eval(s->arena, s->scope, v, err);
	return v == NULL ? NULL : tmpl_to_str(s->arena, v);
}

static enum action_result
action_set_fact(struct step *s)
{
	struct value *facts = v_map(s->arena);
	struct hostrun *owner = s->host;
	const struct value *name;
	const struct ventry *e;
	struct err err = ERR_INIT;
	uint32_t it = 0;

	if (s->target != s->host && s->node->kw.delegate_facts != NULL &&
	    mod_parse_bool(s->node->kw.delegate_facts) == 1)
		owner = s->target;
	while ((e = v_next(s->args, &it)) != NULL) {
		if (e->key->type != V_STR || strcmp(e->key->u.s, "cacheable") == 0)
			continue;
		if ((name = fact_name(s, e->key, &err)) == NULL)
			return step_fail_err(s, &err);
		if (!identifier(name->u.s))
			return step_fail(s, "'%s' is no valid name of a variable: "
			    "letters, digits and underscores, not starting with "
			    "a digit", name->u.s);
		v_set(s->arena, facts, name, e->val);
		vars_set(owner, name->u.s, e->val);
	}
	start_result(s);
	v_sets(s->arena, s->result, "ansible_facts", facts);
	return ACTION_DONE;
}

static enum action_result
action_set_stats(struct step *s)
{
	start_result(s);
	v_sets(s->arena, s->result, "ansible_stats", s->args);
	return ACTION_DONE;
}

/* ---- inventory ----------------------------------------------------------------------- */

static enum action_result
action_add_host(struct step *s)
{
	struct run *run = s->host->run;
	const struct value *groups = arg(s, "groups");
	const char *name = v_get_str(s->args, "name", "");
	struct value *vars = v_map(&run->arena), *shown = v_map(s->arena);
	const struct ventry *e;
	struct err err = ERR_INIT;
	struct host *host;
	uint32_t it = 0;

	while ((e = v_next(s->args, &it)) != NULL) {
		if (e->key->type != V_STR || strcmp(e->key->u.s, "name") == 0 ||
		    strcmp(e->key->u.s, "groups") == 0)
			continue;
		v_set(&run->arena, vars, v_copy(&run->arena, e->key),
		    v_copy(&run->arena, e->val));
	}
	host = inventory_host_add(run->site->inventory,
	    arena_strdup(&run->arena, name), vars, &err);
	if (host == NULL)
		return step_fail_err(s, &err);
	for (it = 0; groups != NULL && it < v_count(groups); it++)
		if (inventory_group_add(run->site->inventory, host,
		    arena_strdup(&run->arena, tmpl_to_str(s->arena,
		    v_at(groups, it))->u.s), &err) == -1)
			return step_fail_err(s, &err);
	run->groups = NULL;
	s->result = v_map(s->arena);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_str(s->arena, shown, "host_name", name);
	v_sets(s->arena, shown, "groups", groups != NULL ? groups : v_list(s->arena));
	v_sets(s->arena, shown, "host_vars", vars);
	v_sets(s->arena, s->result, "add_host", shown);
	return ACTION_DONE;
}

static enum action_result
action_group_by(struct step *s)
{
	struct run *run = s->host->run;
	struct err err = ERR_INIT;
	char *key = arena_strdup(&run->arena, v_get_str(s->args, "key", ""));
	char *p;

	for (p = key; *p != '\0'; p++)
		if (*p == ' ')
			*p = '-';
	if (inventory_group_add(run->site->inventory, s->host->host, key,
	    &err) == -1)
		return step_fail_err(s, &err);
	run->groups = NULL;
	start_result(s);
	v_set_str(s->arena, s->result, "add_group", key);
	return ACTION_DONE;
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void
pause_over(evutil_socket_t fd, short what, void *arg_)
{
	(void)fd;
	(void)what;
	step_result(arg_);
}

static enum action_result
action_pause(struct step *s)
{
	const struct value *seconds = arg(s, "seconds"),
	    *minutes = arg(s, "minutes");
	const struct run_opts *o = s->host->run->opts;
	const char *prompt = v_get_str(s->args, "prompt", NULL), *answer;
	int64_t wait;

	start_result(s);
	if (seconds == NULL && minutes == NULL) {
		answer = o->ask == NULL ? NULL : o->ask(o->ask_arg, s->arena,
		    prompt != NULL ? prompt : "Press enter to continue",
		    !v_get_bool(s->args, "echo", true));
		if (answer == NULL)
			emit_warning(s->host->run, s->host->name,
			    "pause: there is no terminal to ask, going on");
		v_set_str(s->arena, s->result, "user_input",
		    answer != NULL ? answer : "");
		return ACTION_DONE;
	}
	wait = minutes != NULL ? minutes->u.i * 60 : seconds->u.i;
	if (wait < 1)
		wait = 1;
	v_sets(s->arena, s->result, "stdout", v_strf(s->arena,
	    "Paused for %lld seconds", (long long)wait));
	v_set_int(s->arena, s->result, "delta", wait);
	step_wait(s, wait * 1000, pause_over);
	return ACTION_LATER;
}

/* Tasks with async have ended when their step ends (step.c): a job is always finished. */
static enum action_result
action_async_status(struct step *s)
{
	const char *jid = v_get_str(s->args, "jid", "");
	const struct value *job = v_gets(s->host->jobs, jid);
	const struct ventry *e;
	uint32_t it = 0;

	if (job == NULL)
		return step_fail(s, "no job '%s' was started on this host in "
		    "this run", jid);
	start_result(s);
	while ((e = v_next(job, &it)) != NULL)
		v_set(s->arena, s->result, e->key, e->val);
	v_set_int(s->arena, s->result, "started", 1);
	v_set_int(s->arena, s->result, "finished", 1);
	v_set_str(s->arena, s->result, "ansible_job_id", jid);
	return ACTION_DONE;
}

const struct action actions_basic[] = {
	{ .module = "add_host", .run = action_add_host },
	{ .module = "assert", .run = action_assert, .raw_args = true },
	{ .module = "async_status", .run = action_async_status },
	{ .module = "debug", .run = action_debug, .raw_args = true },
	{ .module = "fail", .run = action_fail },
	{ .module = "group_by", .run = action_group_by },
	{ .module = "pause", .run = action_pause },
	{ .module = "set_fact", .run = action_set_fact },
	{ .module = "set_stats", .run = action_set_stats },
	{ .module = NULL }
};
