/*
 * Handlers: who is notified by a name or topic.
 *
 * A batch has one growing list of handlers (the play's, then those of roles
 * included while it runs); a walk has one byte for each.  A name means the
 * last handler so called, a topic (`listen`) all that listen.
 */
#include <string.h>

#include "run/engine.h"

void
handlers_add(struct batch *b, const struct nodes *nodes)
{
	struct handlers *h = &b->handlers;
	uint32_t i, j, w, old = h->n;

	for (i = 0; nodes != NULL && i < nodes->n; i++) {
		for (j = 0; j < old && h->v[j] != nodes->v[i]; j++)
			;
		if (j < old)
			continue;	/* the same role, included again */
		if (h->n == h->cap) {
			uint32_t cap = h->cap == 0 ? 16 : h->cap * 2;

			h->v = arena_grow(&b->arena, h->v,
			    h->n * sizeof(const struct node *),
			    cap * sizeof(const struct node *));
			for (w = 0; w < b->n; w++)
				b->walks[w].notified = arena_grow(&b->arena,
				    b->walks[w].notified, h->n, cap);
			h->cap = cap;
		}
		h->v[h->n++] = nodes->v[i];
	}
}

static bool
same(const struct step *s, const struct value *name, const char *wanted)
{
	struct err err = ERR_INIT;
	const struct value *v;

	if (name == NULL)
		return false;
	if (name->type == V_TMPL) {
		/* A handler's name may use variables of the host. */
		if ((v = tmpl_eval(s->arena, s->scope, name, &err)) == NULL) {
			err_release(&err);
			return false;
		}
		name = v;
	}
	return v_eqs(name, wanted);
}

static bool
is_called(const struct step *s, const struct node *handler, const char *wanted)
{
	const char *bare;

	if (same(s, handler->name, wanted))
		return true;
	if (handler->role == NULL)
		return false;
	/* "role : name" */
	bare = strstr(wanted, " : ");
	return bare != NULL &&
	    strlen(handler->role->name) == (size_t)(bare - wanted) &&
	    strncmp(handler->role->name, wanted, (size_t)(bare - wanted)) == 0 &&
	    same(s, handler->name, bare + 3);
}

static bool
listens(const struct step *s, const struct node *handler, const char *topic)
{
	const struct value *list = handler->kind == NODE_TASK ?
	    handler->task->listen : NULL;
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++)
		if (same(s, v_at(list, i), topic))
			return true;
	return false;
}

/* Tells the listeners, who remember it until the handler has succeeded. */
static void
set_notified(struct walk *w, struct step *s, uint32_t i)
{
	struct event e = { .type = EV_NOTIFIED };

	if (w->notified[i])
		return;
	w->notified[i] = 1;
	e.host = w->host->name;
	e.play = w->batch->play_name;
	e.task = node_shown(s->arena, s->scope, w->batch->handlers.v[i]);
	e.mark = w->batch->handlers.v[i]->mark;
	e.handler = true;
	emit(w->batch->run, &e);
}

static int
notify_one(struct walk *w, struct step *s, const struct value *name,
    struct err *err)
{
	struct handlers *h = &w->batch->handlers;
	const char *best = NULL;
	unsigned dist = 0;
	bool found = false;
	uint32_t i;

	for (i = h->n; i-- > 0;) {
		if (is_called(s, h->v[i], name->u.s)) {
			set_notified(w, s, i);
			found = true;
			break;
		}
	}
	for (i = 0; i < h->n; i++) {
		if (listens(s, h->v[i], name->u.s)) {
			set_notified(w, s, i);
			found = true;
		}
	}
	if (found)
		return 0;
	(void)err_set_at(err, ERR_INVALID, v_mark(name),
	    "no handler is called '%s' or listens to it", name->u.s);
	for (i = 0; i < h->n; i++)
		if (h->v[i]->name != NULL && h->v[i]->name->type == V_STR)
			nearest_try(name->u.s, h->v[i]->name->u.s, &best, &dist);
	if (best != NULL)
		err_hint(err, "did you mean '%s'?", best);
	return -1;
}

int
handlers_notify(struct walk *w, struct step *s, const struct value *names,
    struct err *err)
{
	const struct value *v = tmpl_eval(s->arena, s->scope, names, err);
	uint32_t i;

	if (v == NULL)
		return -1;
	if (v->type == V_STR)
		return notify_one(w, s, v, err);
	for (i = 0; v->type == V_LIST && i < v_count(v); i++) {
		const struct value *name = v_at(v, i);

		if (name->type == V_LIST) {
			if (handlers_notify(w, s, name, err) == -1)
				return -1;
		} else if (name->type == V_STR &&
		    notify_one(w, s, name, err) == -1)
			return -1;
	}
	return 0;
}

void
handlers_owed(struct walk *w)
{
	const struct run_opts *o = w->batch->run->opts;
	struct handlers *h = &w->batch->handlers;
	const struct value *names;
	const struct scope *scope;
	uint32_t i, j;

	if (o->owed == NULL || h->n == 0)
		return;
	names = o->owed(o->owed_arg, &w->arena, w->host->name);
	if (names == NULL || v_count(names) == 0)
		return;
	scope = vars_scope(&w->arena, w->host, w, NULL, NULL);
	for (i = 0; i < h->n; i++) {
		const char *shown = node_shown(&w->arena, scope, h->v[i]);

		for (j = 0; j < v_count(names); j++)
			if (v_eqs(v_at(names, j), shown))
				w->notified[i] = 1;
	}
}
