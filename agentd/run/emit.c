/*
 * Events for the listeners, and what of a result they may see.
 */
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "run/engine.h"

#define SECRET_MIN	4	/* shorter secrets would censor half of any text */
#define SECRET_LINE_MIN	12	/* a line of a longer secret */
#define CENSORED	"********"

static const char *public_text(struct run *, struct arena *, const char *);

int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
emit(struct run *run, struct event *e)
{
	uint32_t i;

	e->check = run->opts->check;
	if (e->start_ms == 0)
		e->start_ms = now_ms();
	for (i = 0; i < run->opts->nsinks; i++)
		run->opts->sinks[i].event(run->opts->sinks[i].arg, e);
}

void
emit_step(struct step *s, enum event_type type, struct event *given)
{
	struct event none = { 0 }, *e = given != NULL ? given : &none;
	const struct task *t = s->task;

	e->type = type;
	e->host = s->host->name;
	e->delegated = s->target != s->host ? s->target->name : NULL;
	e->play = s->walk->batch->play_name;
	e->task = public_text(s->host->run, s->arena, s->name);
	e->text = public_text(s->host->run, s->arena, e->text);
	if (e->item != NULL && s->host->run->secrets != NULL) {
		struct value *secrets = v_list(s->arena);

		secrets_known(s->host->run, s->arena, secrets);
		e->item = censor(s->arena, e->item, secrets);
	}
	e->module = t->module != NULL ? t->module->name : t->module_name;
	e->role = s->node->role != NULL ? s->node->role->name : NULL;
	e->mark = s->node->mark;
	e->task_id = s->node->id;
	e->seq = s->host->seq;
	e->handler = t->is_handler;
	e->notifies = t->notify != NULL;
	e->diff = s->diff;
	emit(s->host->run, e);
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
	e.text = public_text(run, &a, arena_vprintf(&a, fmt, ap));
	va_end(ap);
	e.host = host;
	emit(run, &e);
	arena_release(&a);
}

/* ---- secrets ---------------------------------------------------------------------- */

static void
collect(struct arena *a, struct value *list, const struct value *v, bool all)
{
	const struct ventry *e;
	uint32_t i;

	all = all || (v->flags & V_SECRET);
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			collect(a, list, v_at(v, i), all);
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			collect(a, list, e->val, all);
	} else if (all && v->type == V_STR && v->len >= SECRET_MIN)
		v_push(a, list, v);
}

void
secrets_of(struct arena *a, struct value *list, const struct module *m,
    const struct value *args)
{
	const struct ventry *e;
	uint32_t it = 0;

	if (args == NULL || args->type != V_MAP)
		return;
	while ((e = v_next(args, &it)) != NULL) {
		const struct mod_arg *row = m == NULL || e->key->type != V_STR ?
		    NULL : mod_arg_find(m, e->key->u.s);

		collect(a, list, e->val,
		    row != NULL && (row->flags & ARG_SECRET));
	}
}

/*
 * A command line "login {{ password }}" comes back from the host in parts: so
 * the secrets of the variables themselves are looked for too, not only those
 * of the arguments.
 */
static void
note(struct run *run, const char *s, size_t n, size_t min)
{
	const struct value *v;

	if (n < min)
		return;
	if (run->secrets == NULL)
		run->secrets = v_map(&run->arena);
	v = v_strn(&run->arena, s, n);
	v_set(&run->arena, run->secrets, v, &v_true);
}

void
secrets_note(struct run *run, const struct value *v)
{
	const struct ventry *e;
	const char *p, *end;
	uint32_t i;

	if (v == NULL)
		return;
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			secrets_note(run, v_at(v, i));
	} else if (v->type == V_MAP) {
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			secrets_note(run, e->val);
	} else if (v->type == V_STR && (v->flags & V_SECRET)) {
		note(run, v->u.s, v->len, SECRET_MIN);
		/* A key's lines come back as lines. */
		for (p = v->u.s; memchr(v->u.s, '\n', v->len) != NULL && *p != '\0';
		    p = *end == '\n' ? end + 1 : end) {
			end = p + strcspn(p, "\n");
			note(run, p, (size_t)(end - p), SECRET_LINE_MIN);
		}
	}
}

void
secrets_known(const struct run *run, struct arena *a, struct value *list)
{
	const struct ventry *e;
	uint32_t it = 0;

	while (run->secrets != NULL && (e = v_next(run->secrets, &it)) != NULL)
		v_push(a, list, e->key);
}

/* A text for the listeners: in the arena when something was censored. */
static const char *
public_text(struct run *run, struct arena *a, const char *text)
{
	struct value *list;
	struct value v = { .type = V_STR };

	if (text == NULL || run->secrets == NULL)
		return text;
	list = v_list(a);
	secrets_known(run, a, list);
	v.u.s = text;
	v.len = (uint32_t)strlen(text);
	return censor(a, &v, list)->u.s;
}

static const struct value *
censor_str(struct arena *a, const struct value *v, const struct value *secrets)
{
	struct buf out = BUF_INIT;
	const struct value *censored;
	uint32_t pos = 0, i;
	bool found = false;

	while (pos < v->len) {
		const struct value *hit = NULL;

		/* The longest secret that stands here. */
		for (i = 0; i < v_count(secrets); i++) {
			const struct value *s = v_at(secrets, i);

			if (s->len <= v->len - pos &&
			    (hit == NULL || s->len > hit->len) &&
			    memcmp(v->u.s + pos, s->u.s, s->len) == 0)
				hit = s;
		}
		if (hit != NULL) {
			buf_adds(&out, CENSORED);
			pos += hit->len;
			found = true;
		} else
			buf_addc(&out, v->u.s[pos++]);
	}
	censored = found ? v_strn(a, buf_str(&out), out.len) : v;
	buf_release(&out);
	return censored;
}

static bool
mentions(const struct value *v, const struct value *secrets)
{
	uint32_t i;

	for (i = 0; i < v_count(secrets); i++) {
		const struct value *s = v_at(secrets, i);

		if (memmem(v->u.s, v->len, s->u.s, s->len) != NULL)
			return true;
	}
	return false;
}

const struct value *
censor(struct arena *a, const struct value *v, const struct value *secrets)
{
	const struct ventry *e;
	struct value *out;
	uint32_t i;

	if (v->flags & V_SECRET)
		return v_str(a, CENSORED);
	switch (v->type) {
	case V_STR:
		return mentions(v, secrets) ? censor_str(a, v, secrets) : v;
	case V_LIST:
		out = v_list(a);
		for (i = 0; i < v_count(v); i++)
			v_push(a, out, censor(a, v_at(v, i), secrets));
		return out;
	case V_MAP:
		out = v_map(a);
		for (i = 0; (e = v_next(v, &i)) != NULL;)
			v_set(a, out, censor(a, e->key, secrets),
			    censor(a, e->val, secrets));
		return out;
	default:
		return v;
	}
}

const struct value *
result_public(struct step *s, const struct value *result)
{
	static const char *const kept[] = {
		"changed", "failed", "skipped", "unreachable", "attempts"
	};
	struct value *secrets, *hidden;
	uint32_t i;

	if (s->no_log) {
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
	secrets = v_list(s->arena);
	secrets_of(s->arena, secrets, s->module, s->args);
	if (s->env != NULL)
		collect(s->arena, secrets, s->env, false);
	secrets_known(s->host->run, s->arena, secrets);
	if (v_count(secrets) == 0 && !v_any_flag(result, V_SECRET))
		return result;
	return censor(s->arena, result, secrets);
}
