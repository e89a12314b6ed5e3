/*
 * One attempt at a task: its keywords and arguments evaluated, then done by an
 * action of the controller or sent to the host.  What comes back is the
 * step's result (step.c).
 */
#include <assert.h>
#include <string.h>

#include "base/codec.h"
#include "base/frame.h"
#include "run/engine.h"

/* ---- keywords --------------------------------------------------------------------------- */

int
kw_bool(struct step *s, const struct value *v, const char *name, int def,
    struct err *err)
{
	int b;

	if (v == NULL || v->type == V_NULL)
		return def;
	if ((v = tmpl_eval(s->arena, s->scope, v, err)) == NULL)
		return -1;
	if (v->type == V_NULL || v->type == V_OMIT)
		return def;
	if ((b = mod_parse_bool(v)) == -1)
		return err_set_at(err, ERR_TYPE, v_mark(v),
		    "'%s' must be a boolean, not %s", name, v_type_name(v));
	return b;
}

const char *
kw_text(struct step *s, const struct value *v, struct err *err)
{
	if (v == NULL || v->type == V_NULL)
		return NULL;
	if ((v = tmpl_eval(s->arena, s->scope, v, err)) == NULL)
		return NULL;
	if (v->type == V_NULL || v->type == V_OMIT)
		return NULL;
	return tmpl_to_str(s->arena, v)->u.s;
}

int
kw_int(struct step *s, const struct value *v, const char *name, int64_t def,
    int64_t *ret, struct err *err)
{
	const char *text = kw_text(s, v, err);
	char *end;

	*ret = def;
	if (text == NULL)
		return err->code == ERR_NONE ? 0 : -1;
	*ret = strtoll(text, &end, 10);
	if (end == text || (*end != '\0' && *end != '.'))
		return err_set_at(err, ERR_TYPE, v_mark(v),
		    "'%s' must be a number, not '%s'", name, text);
	return 0;
}

/* environment: of play, role, block and task, the inner ones stronger. */
static int
environment(struct step *s, struct err *err)
{
	const struct keywords *kw = &s->node->kw;
	struct value *env = NULL;
	uint32_t i;

	for (i = kw->nenvironment; i-- > 0;) {
		const struct value *v = tmpl_eval(s->arena, s->scope,
		    kw->environment[i], err);
		const struct ventry *e;
		uint32_t it = 0, j, n;

		if (v == NULL)
			return -1;
		/* A list of maps is allowed as well. */
		n = v->type == V_LIST ? v_count(v) : 1;
		for (j = 0; j < n; j++) {
			const struct value *m = v->type == V_LIST ? v_at(v, j) : v;

			if (m->type != V_MAP)
				continue;
			for (it = 0; (e = v_next(m, &it)) != NULL;) {
				if (env == NULL)
					env = v_map(s->arena);
				v_set(s->arena, env,
				    tmpl_to_str(s->arena, e->key),
				    tmpl_to_str(s->arena, e->val));
			}
		}
	}
	s->env = env;
	return 0;
}

static int
becoming(struct step *s, struct err *err)
{
	const struct keywords *kw = &s->node->kw;
	const struct run_opts *o = s->host->run->opts;
	struct scope *ts = s->target == s->host ? s->scope :
	    vars_scope(s->arena, s->target, NULL, NULL, NULL);
	const char *method, *text;
	int b;

	if ((b = kw_bool(s, kw->become, "become", o->become, err)) == -1)
		return -1;
	if ((text = vars_text(s->arena, ts, "ansible_become")) != NULL) {
		struct value v = { .type = V_STR, .len = (uint32_t)strlen(text),
		    .u.s = text };

		if ((b = mod_parse_bool(&v)) == -1)
			b = strcmp(text, "True") == 0;
	}
	s->become = b == 1;
	if ((s->become_user = vars_text(s->arena, ts, "ansible_become_user")) == NULL)
		s->become_user = kw_text(s, kw->become_user, err);
	if (err->code != ERR_NONE)
		return -1;
	if (s->become_user == NULL)
		s->become_user = "root";
	if (!s->become)
		return 0;
	if (!inventory_name_ok(s->become_user))
		return err_set(err, ERR_INVALID,
		    "'%s' is no name of a user", s->become_user);
	if ((method = vars_text(s->arena, ts, "ansible_become_method")) == NULL)
		method = kw_text(s, kw->become_method, err);
	if (err->code != ERR_NONE)
		return -1;
	if (method != NULL && strcmp(method, "sudo") != 0 &&
	    strcmp(method, "ansible.builtin.sudo") != 0) {
		(void)err_set(err, ERR_UNSUPPORTED,
		    "become_method '%s' is not supported", method);
		err_hint(err, "provctl becomes another user by sudo");
		return -1;
	}
	return 0;
}

static int
delegation(struct step *s, struct err *err)
{
	const char *name;

	s->target = s->host;
	if (s->node->kw.delegate_to == NULL)
		return 0;
	name = kw_text(s, s->node->kw.delegate_to, err);
	if (err->code != ERR_NONE)
		return -1;
	if (name == NULL || *name == '\0')
		return 0;
	s->target = run_host_named(s->host->run, name, err);
	return s->target == NULL ? -1 : 0;
}

static int
keywords(struct step *s, struct err *err)
{
	const struct keywords *kw = &s->node->kw;
	const struct run_opts *o = s->host->run->opts;
	int64_t timeout;
	int b;

	if ((b = kw_bool(s, kw->no_log, "no_log", 0, err)) == -1)
		return -1;
	s->no_log = b == 1;
	if ((b = kw_bool(s, kw->check_mode, "check_mode", o->check, err)) == -1)
		return -1;
	s->check = b == 1;
	if ((b = kw_bool(s, kw->diff, "diff", o->diff, err)) == -1)
		return -1;
	s->diff = b == 1;
	/* `diff: false` on a task also keeps it out of the record. */
	if ((b = kw_bool(s, kw->diff, "diff", o->diff || o->record_diff, err)) == -1)
		return -1;
	s->want_diff = b == 1;
	if (kw_int(s, kw->timeout, "timeout", 0, &timeout, err) == -1 ||
	    delegation(s, err) == -1 || becoming(s, err) == -1 ||
	    environment(s, err) == -1)
		return -1;
	if (s->task->async != NULL) {
		int64_t async;

		/* A long task is simply given its time: nothing else waits for it on this connection. */
		if (kw_int(s, s->task->async, "async", 0, &async, err) == -1)
			return -1;
		if (async > 0)
			timeout = async;
	}
	s->timeout_ms = timeout <= 0 ? 0 : timeout > 2000000 ? 2000000000 :
	    (int)timeout * 1000;
	return 0;
}

/* ---- arguments -------------------------------------------------------------------------- */

static const struct value *
evaluated_args(struct step *s, struct err *err)
{
	const struct task *t = s->task;
	const struct value *defaults = NULL, *v;
	struct value *merged = v_map(s->arena);

	/* Otherwise they are in the task's arguments already. */
	if (s->node->kw.module_defaults != NULL &&
	    (t->args_tmpl != NULL || t->action_tmpl != NULL)) {
		v = tmpl_eval(s->arena, s->scope, s->node->kw.module_defaults, err);
		if (v == NULL)
			return NULL;
		defaults = v_gets(v, s->module->name);
		if (defaults == NULL)
			defaults = v_gets(v, arena_printf(s->arena, "%s.%s",
			    s->module->collection, s->module->name));
		if (defaults != NULL && defaults->type == V_MAP)
			v_merge(s->arena, merged, defaults);
	}
	if (t->args_tmpl != NULL) {
		if ((v = tmpl_eval(s->arena, s->scope, t->args_tmpl, err)) == NULL)
			return NULL;
		if (v->type != V_MAP && v->type != V_NULL && v->type != V_OMIT) {
			(void)err_set_at(err, ERR_TYPE, v_mark(t->args_tmpl),
			    "'args' must be a map, not %s", v_type_name(v));
			return NULL;
		}
		if (v->type == V_MAP)
			v_merge(s->arena, merged, v);
	}
	if (t->action_tmpl != NULL)
		v = s->action_args;
	else if ((v = tmpl_eval(s->arena, s->scope, t->args, err)) == NULL)
		return NULL;
	if (v->type == V_MAP)
		v_merge(s->arena, merged, v);
	return merged;
}

/* action: "{{ … }}": the module and its arguments are known only now. */
static int
templated_action(struct step *s, struct err *err)
{
	const struct value *v;

	if (s->task->action_tmpl == NULL)
		return 0;
	if ((v = tmpl_eval(s->arena, s->scope, s->task->action_tmpl, err)) == NULL)
		return -1;
	return site_action(s->host->run->site, s->arena, s->node, v, &s->module,
	    &s->action_args, err);
}

/* Final arguments, checked against the module's rows. 0, or -1: s->result is a failure. */
static int
arguments(struct step *s)
{
	struct diags diags = DIAGS_INIT;
	struct err err = ERR_INIT;
	const struct value *args = evaluated_args(s, &err);

	if (args == NULL) {
		(void)step_fail_err(s, &err);
		return -1;
	}
	secrets_derived(s->host->run, args, false);
	if (s->env != NULL)
		secrets_derived(s->host->run, s->env, false);
	s->args = mod_args_check(s->arena, s->module, args, s->node->mark, 0,
	    &diags);
	if (s->args == NULL) {
		assert(diags.n > 0);
		(void)step_fail_err(s, &diags.v[0].err);
	}
	diags_release(&diags);
	return s->args == NULL ? -1 : 0;
}

/* ---- the host ---------------------------------------------------------------------------- */

void
step_unreachable(struct step *s, const struct err *err)
{
	s->result = v_map(s->arena);
	s->unsent = !s->req.sent;
	v_set_bool(s->arena, s->result, "unreachable", true);
	v_set_bool(s->arena, s->result, "changed", false);
	v_set_str(s->arena, s->result, "msg", err->msg);
	if (err->hint != NULL)
		v_set_str(s->arena, s->result, "hint", err->hint);
}

void
step_reply(struct step *s, const struct value *result, struct err *err)
{
	s->in_flight = false;
	if (result == NULL)
		step_unreachable(s, err);
	else {
		s->result = v_map(s->arena);
		v_merge(s->arena, s->result, result);
	}
	if (s->barred && (v_get_bool(s->result, "changed", false) ||
	    v_get_bool(s->result, "skipped", false))) {
		s->withheld = true;
		step_skip(s, "The change was not asked for", NULL);
	}
	if (!confirm_begin(s))
		step_result(s);
}

static void
reply(void *arg, const struct value *result, struct err *err)
{
	step_reply(arg, result, err);
}

void
step_progress(struct step *s, const char *text)
{
	if (!s->no_log) {
		struct event e = { .text = text };

		emit_step(s, EV_PROGRESS, &e);
	}
}

static void
progress(void *arg, const char *text)
{
	step_progress(arg, text);
}

/* What is asked of the host, as a hash: a later difference with the same hash is drift. */
static void
remember_desired(struct step *s)
{
	struct buf text = BUF_INIT;

	if (s->attempt > 1)
		return;
	buf_init(&text, FRAME_PAYLOAD_MAX);
	buf_adds(&text, s->module->name);
	codec_encode(&text, s->args);
	sha256_text(text.data, text.len, s->desired);
	explicit_bzero(text.data, text.len);
	buf_release(&text);
	s->barred = !s->check && !step_permitted(s);
}

bool
step_barred(struct step *s)
{
	remember_desired(s);
	return s->barred;
}

struct value *
step_request(struct step *s, const char *module, const struct value *args)
{
	const char *login = link_login(s->target, s->node);
	bool root = s->become || s->walk->batch->needs_root;
	struct value *p = v_map(s->arena);
	const char *user = NULL;

	if (s->become)
		user = strcmp(s->become_user, "root") == 0 ? NULL : s->become_user;
	else if (root && strcmp(login, "root") != 0)
		user = login;
	if (strcmp(login, "root") == 0)
		root = true;	/* one link serves both */
	else if (s->become && strcmp(s->become_user, login) == 0 &&
	    !s->walk->batch->needs_root) {
		root = false;
		user = NULL;
	}
	v_set_str(s->arena, p, "module", module);
	v_sets(s->arena, p, "args", args);
	if (s->no_log)
		v_sets(s->arena, p, "no_log", &v_true);
	if (user != NULL)
		v_set_str(s->arena, p, "user", user);
	if (s->env != NULL)
		v_sets(s->arena, p, "env", s->env);
	s->root = root;
	return p;
}

/* What is sent to the host. NULL with err. */
static const struct value *
payload(struct step *s, struct err *err)
{
	struct value *p = step_request(s, s->module->name, s->args);

	remember_desired(s);
	if (s->check || s->barred)
		v_sets(s->arena, p, "check", &v_true);
	if (s->want_diff && !s->secret_content)
		v_sets(s->arena, p, "diff", &v_true);
	if (s->timeout_ms > 0)
		v_set_int(s->arena, p, "timeout_ms", s->timeout_ms);
	return confirm_ask(s, p, err) == -1 ? NULL : p;
}

/*
 * What is about to change the host is on record before it does.  Most tasks change
 * nothing: only when the host says that it is about to, it is recorded.
 */
static bool
told(struct step *s)
{
	bool before = s->told;

	s->told = true;
	if (!before)
		emit_step(s, EV_ASKED, NULL);
	return before;
}

void
step_held(struct step *s)
{
	bool before = told(s);

	link_go(s->guess != NULL ? ahead_request(s) : &s->req, !before);
}

static void
held(void *arg)
{
	step_held(arg);
}

static void
send_new(struct step *s, bool certain)
{
	s->req.contents = &s->contents;
	s->req.progress = progress;
	s->req.done = reply;
	s->req.arg = s;
	s->req.arena = s->arena;
	if (certain)
		s->req.on_record = !told(s);
	else if (!s->check && !s->barred) {
		s->req.ahead = true;
		s->req.held = held;
	}
	link_send(s->target, s->root, s->node, &s->req);
}

static void
send_to_host(struct step *s)
{
	struct walk *w = s->walk;
	struct err err = ERR_INIT;
	bool certain, answered = false;

	if ((s->req.payload = payload(s, &err)) == NULL) {
		(void)step_fail_err(s, &err);
		step_result(s);
		return;
	}
	/* No need to ask when it will change something, and a time that is set counts from now. */
	certain = !s->check && !s->barred && (step_blind(s) || s->timeout_ms > 0);
	s->in_flight = true;
	if (!ahead_take(s, s->req.payload))
		send_new(s, certain);
	else if (!(answered = ahead_answered(s)) && (certain || ahead_held(s)))
		step_held(s);
	if (w->step == s && s->in_flight)
		ahead_look(s);
	if (answered)
		ahead_deliver(s);
}

int
attempt_evaluate(struct step *s)
{
	const struct action *action;
	struct err err = ERR_INIT;

	memset(&s->contents, 0, sizeof(s->contents));
	memset(&s->req, 0, sizeof(s->req));
	s->fetch = NULL;
	s->secret_content = false;
	if (keywords(s, &err) == -1 || templated_action(s, &err) == -1) {
		(void)step_fail_err(s, &err);
		return -1;
	}
	if (s->module == NULL) {
		(void)step_fail(s, "module '%s' is not known",
		    s->task->module_name);
		return -1;
	}
	action = action_find(s->module->name);
	return action != NULL && action->raw_args ? 0 : arguments(s);
}

/* The controller's part of the task. */
static enum action_result
act(struct step *s)
{
	const struct action *action = action_find(s->module->name);

	return action != NULL ? action->run(s) : ACTION_REMOTE;
}

void
attempt_start(struct step *s)
{
	if (attempt_evaluate(s) == -1) {
		step_result(s);
		return;
	}
	switch (act(s)) {
	case ACTION_DONE:
		step_result(s);
		break;
	case ACTION_REMOTE:
		if (s->module->run == NULL) {
			(void)step_fail(s, "module '%s' is not supported",
			    s->module->name);
			step_result(s);
		} else
			send_to_host(s);
		break;
	case ACTION_LATER:
		break;
	}
}

const struct value *
attempt_guess(struct step *s)
{
	struct err err = ERR_INIT;
	const struct value *p;

	if (attempt_evaluate(s) == -1 || vars_text(s->arena, s->scope,
	    "provctl_confirm_connection") != NULL || act(s) != ACTION_REMOTE)
		return NULL;
	p = payload(s, &err);
	err_release(&err);
	return p;
}
