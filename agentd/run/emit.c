/*
 * Events for the listeners.  All of them pass emit(), and emit() lets no known
 * secret through.
 *
 * Known are the strings of variables with the secret bit (vaults, prompts,
 * passwords of options); what templates make of secrets is added as they
 * make it (`{{ password | hash }}`), unless a known one is within it anyway. A
 * text from a host that holds a known secret becomes secret itself when it is
 * kept (register, facts), as all texts of a no_log result do, and so does what
 * is made of it.
 */
#include <string.h>
#include <time.h>

#include "run/censor.h"
#include "run/engine.h"

#define DERIVED_MIN	6	/* what templates make of secrets and is shorter may be any word */
#define WORD_MAX	12
#define DIGITS_MIN	6	/* a secret number: shorter ones are ports and counts */

/* ---- secrets ---------------------------------------------------------------------- */

static void
add(struct run *run, const char *s, size_t n)
{
	if (run->censor == NULL)
		run->censor = censor_new(&run->arena);
	censor_add(run->censor, s, n);
}

void
secrets_note(struct run *run, const struct value *v)
{
	const struct ventry *e;
	char digits[24];
	uint32_t i;

	if (v == NULL)
		return;
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			secrets_note(run, v_at(v, i));
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			secrets_note(run, e->val);
	} else if (!(v->flags & V_SECRET)) {
		return;
	} else if (v->type == V_STR) {
		add(run, v->u.s, v->len);
	} else if (v->type == V_INT) {
		(void)snprintf(digits, sizeof(digits), "%lld", (long long)v->u.i);
		if (strlen(digits) >= DIGITS_MIN)
			add(run, digits, strlen(digits));
	}
}

/* A word of small letters is what `'present' if secret else 'absent'` gives. */
void
secrets_derived(struct run *run, const struct value *v, bool all)
{
	const struct ventry *e;
	uint32_t i;

	all = all || (v->flags & V_SECRET);
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			secrets_derived(run, v_at(v, i), all);
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			secrets_derived(run, e->val, all);
	} else if (all && v->type == V_STR && v->len >= DERIVED_MIN &&
	    (v->len > WORD_MAX ||
	    strspn(v->u.s, "abcdefghijklmnopqrstuvwxyz_-") < v->len) &&
	    !censor_hits(run->censor, v->u.s, v->len))
		add(run, v->u.s, v->len);
}

const struct value *
secrets_mark(struct run *run, struct arena *a, const struct value *v, bool all)
{
	const struct ventry *e;
	struct value *out;
	uint32_t i;

	if (!all && (run->censor == NULL || !censor_hits_in(run->censor, v)))
		return v;
	if (v->type == V_STR)
		return v_flag(a, v, V_SECRET);
	if (v->type != V_LIST && v->type != V_MAP)
		return v;
	if (v->type == V_LIST) {
		out = v_list(a);
		for (i = 0; i < v_count(v); i++)
			v_push(a, out, secrets_mark(run, a, v_at(v, i), all));
		return out;
	}
	out = v_map(a);
	for (i = 0; (e = v_next(v, &i)) != NULL;)
		v_set(a, out, e->key, secrets_mark(run, a, e->val, all));
	return out;
}

static void
collect(struct censor *c, const struct value *v)
{
	const struct ventry *e;
	uint32_t i;

	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			collect(c, v_at(v, i));
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			collect(c, e->val);
	} else if (v->type == V_STR && (v->flags & V_SECRET))
		censor_add(c, v->u.s, v->len);
}

/*
 * What a module's rows call secret (a password that stands in the playbook) is
 * so in what this task says, not in all that follows: it may be "postgres".
 */
static struct censor *
secrets_of_args(struct step *s)
{
	if (s->args != s->censor_of) {
		s->censor_of = s->args;
		s->censor = NULL;
		if (s->args != NULL && v_any_flag(s->args, V_SECRET)) {
			s->censor = censor_new(s->arena);
			collect(s->censor, s->args);
		}
	}
	return s->censor;
}

static const struct value *
result_public(struct step *s, const struct censor *own, const struct value *result)
{
	static const char *const kept[] = {
		"changed", "failed", "skipped", "unreachable", "attempts"
	};
	struct value *hidden;
	uint32_t i;

	if (!s->no_log)
		return censor_value(own, s->arena, result);
	hidden = v_map(s->arena);
	for (i = 0; i < NITEMS(kept); i++) {
		const struct value *v = v_gets(result, kept[i]);

		if (v != NULL)
			v_sets(s->arena, hidden, kept[i], v);
	}
	v_set_str(s->arena, hidden, "censored", "the output has been "
	    "hidden because 'no_log: true' was specified");
	return hidden;
}

/* ---- events ----------------------------------------------------------------------- */

int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Names of tasks and plays stand in the site's files; node_shown() hides secret ones. */
void
emit(struct run *run, struct event *e)
{
	struct arena a = { 0 };
	struct event public;
	uint32_t i;

	if (run->looking_ahead)
		return;
	e->check = run->opts->check;
	if (e->start_ms == 0)
		e->start_ms = now_ms();
	public = *e;
	public.text = censor_text(run->censor, &a, e->text);
	public.hint = censor_text(run->censor, &a, e->hint);
	if (e->result != NULL)
		public.result = censor_value(run->censor, &a, e->result);
	if (e->item != NULL)
		public.item = censor_value(run->censor, &a, e->item);
	for (i = 0; i < run->opts->nsinks; i++)
		run->opts->sinks[i].event(run->opts->sinks[i].arg, &public);
	arena_release(&a);
}

bool
step_opaque(const struct step *s)
{
	static const char *const names[] = { "command", "reboot", "raw", "script", "shell" };
	size_t i;

	if (s->module == NULL)
		return false;
	for (i = 0; i < NITEMS(names); i++)
		if (strcmp(s->module->name, names[i]) == 0)
			return true;
	return (s->module->flags & MOD_NO_CHECK) != 0;
}

bool
step_blind(const struct step *s)
{
	const struct value *creates = v_gets(s->args, "creates");
	const struct value *removes = v_gets(s->args, "removes");

	return step_opaque(s) && ((s->module->flags & MOD_NO_CHECK) ||
	    ((creates == NULL || v_is_null(creates)) &&
	    (removes == NULL || v_is_null(removes))));
}

/* What the step says about any event of it. */
static void
describe(struct step *s, enum event_type type, struct event *e)
{
	const struct task *t = s->task;
	struct censor *own = secrets_of_args(s);

	e->type = type;
	e->host = s->host->name;
	e->delegated = s->target != s->host ? s->target->name : NULL;
	e->play = s->walk->batch->play_name;
	e->task = s->name;
	e->text = censor_text(own, s->arena, e->text);
	if (e->result != NULL)
		e->result = result_public(s, own, e->result);
	e->module = t->module != NULL ? t->module->name : t->module_name;
	e->role = s->node->role != NULL ? s->node->role->name : NULL;
	e->mark = s->node->mark;
	e->task_id = s->node->id;
	e->seq = s->host->seq;
	e->handler = t->is_handler;
	e->notifies = t->notify != NULL;
	e->diff = s->diff;
	e->check = s->host->run->opts->check;
	e->desired = *s->desired != '\0' && (s->items == NULL || type != EV_TASK_END) ?
	    s->desired : NULL;
	e->blind = step_blind(s);
	e->barred = s->withheld;
	e->predicted = s->check || s->barred;
}

void
emit_step(struct step *s, enum event_type type, struct event *given)
{
	const struct run_opts *o = s->host->run->opts;
	struct event none = { 0 }, *e = given != NULL ? given : &none;

	describe(s, type, e);
	if ((type == EV_ITEM || type == EV_TASK_END) && o->classify != NULL)
		e->class = o->classify(o->classify_arg, e);
	emit(s->host->run, e);
}

bool
step_permitted(struct step *s)
{
	const struct run_opts *o = s->host->run->opts;
	struct event e = { 0 };

	/* fetch changes nothing there. */
	if (o->permit == NULL || strcmp(s->module->name, "fetch") == 0)
		return true;
	e.item = step_label(s);
	describe(s, s->items != NULL ? EV_ITEM : EV_TASK_END, &e);
	return o->permit(o->permit_arg, &e);
}

void
emit_host_state(struct hostrun *h, const char *text)
{
	struct event e = { .type = EV_HOST_STATE };

	e.host = h->name;
	e.text = text;
	emit(h->run, &e);
}

void
emit_warning(struct run *run, const char *host, const char *fmt, ...)
{
	struct event e = { .type = EV_WARNING };
	struct arena a = { 0 };
	va_list ap;

	va_start(ap, fmt);
	e.text = arena_vprintf(&a, fmt, ap);
	va_end(ap);
	e.host = host;
	emit(run, &e);
	arena_release(&a);
}
