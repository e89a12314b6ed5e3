/*
 * See holding.h.
 *
 * Waiting for other runs lets the loop turn, so that a signal ends it.
 */
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "holding.h"
#include "out.h"
#include "sites.h"

#define WAIT_MS		250

/* ---- options -------------------------------------------------------------------------- */

static bool
kept(const struct opt *o)
{
	static const char *const not_kept[] = {
		"list-hosts", "list-tasks", "list-tags", "syntax-check", "state",
		"wait", "check", "verbose", "diff", "daemon", "no-daemon"
	};
	size_t i;

	for (i = 0; i < NITEMS(not_kept); i++)
		if (strcmp(o->name, not_kept[i]) == 0)
			return false;
	return true;
}

const struct value *
settings_save(struct arena *a, const struct settings *s)
{
	struct value *map = v_map(a), *list;
	const struct opt *o;
	size_t i;
	unsigned j;

	for (i = 0; apply_groups[i] != NULL; i++)
		for (o = apply_groups[i]->rows; o->name != NULL; o++) {
			const char *at = (const char *)s + o->offset;
			const struct words *w = (const struct words *)(const void *)at;
			const char *text;

			if (!kept(o))
				continue;
			switch (o->type) {
			case OPT_FLAG:
				if (*(const bool *)at)
					v_set_bool(a, map, o->name, true);
				break;
			case OPT_COUNT:
			case OPT_INT:
				if (*(const int *)(const void *)at != 0)
					v_set_int(a, map, o->name, *(const int *)(const void *)at);
				break;
			case OPT_STR:
			case OPT_CHOICE:
				if ((text = *(const char *const *)(const void *)at) != NULL)
					v_set_str(a, map, o->name, text);
				break;
			case OPT_LIST:
			case OPT_COMMAS:
				list = v_list(a);
				for (j = 0; j < w->n; j++)
					v_push(a, list, v_str(a, w->v[j]));
				if (w->n > 0)
					v_sets(a, map, o->name, list);
				break;
			}
		}
	return map;
}

void
settings_load(struct arena *a, struct settings *s, const struct value *map)
{
	const struct opt *o;
	size_t i;
	uint32_t j;

	for (i = 0; apply_groups[i] != NULL; i++)
		for (o = apply_groups[i]->rows; o->name != NULL; o++) {
			const struct value *v = v_gets(map, o->name);
			char *at = (char *)s + o->offset;

			if (v == NULL || !kept(o))
				continue;
			switch (o->type) {
			case OPT_FLAG:
				*(bool *)at = v->type == V_BOOL && v->u.b;
				break;
			case OPT_COUNT:
			case OPT_INT:
				*(int *)(void *)at = v->type == V_INT ? (int)v->u.i : 0;
				break;
			case OPT_STR:
			case OPT_CHOICE:
				*(const char **)(void *)at = v->type == V_STR ? v->u.s : NULL;
				break;
			case OPT_LIST:
			case OPT_COMMAS:
				for (j = 0; v->type == V_LIST && j < v_count(v); j++)
					if (v_at(v, j)->type == V_STR)
						words_add(a, (struct words *)(void *)at, v_at(v, j)->u.s);
				break;
			}
		}
}

/* ---- leases ------------------------------------------------------------------------------ */

static const char *
holder_text(struct arena *a, const struct value *held)
{
	const struct value *h = v_at(held, 0);
	int64_t run = v_get_int(h, "run", 0);
	const char *what = run > 0 ? arena_printf(a, "run %lld", (long long)run) :
	    "a run that is about to begin";

	return arena_printf(a, "%s of %s (pid %lld, %s)", what,
	    v_get_str(h, "owner", "?"), (long long)v_get_int(h, "pid", 0),
	    v_get_str(h, "site", ""));
}

static void
woken(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* One turn of the loop, so that signals are heard. */
static void
wait_some(struct event_base *base)
{
	static const struct timeval tv = { 0, WAIT_MS * 1000 };

	(void)event_base_once(base, -1, EV_TIMEOUT, woken, NULL, &tv);
	(void)event_base_loop(base, EVLOOP_ONCE);
}

static void
answered(void *arg)
{
	struct holding *h = arg;

	h->answered = true;
}

/* As state_lease_answer(); the loop turns meanwhile. */
static int
ask_all(struct holding *h, struct arena *a, const struct value *hosts,
    const struct value **ret_held, struct err *err)
{
	struct state *s = h->load->state;

	if (state_lease_ask(s, hosts, h->load->site->path, false, err) == -1)
		return -1;
	h->answered = !gate_await(h->load->ctl->out->gate, answered, h);
	while (!h->answered)
		(void)event_base_loop(h->base, EVLOOP_ONCE);
	return state_lease_answer(s, a, hosts, ret_held, err);
}

static int
take(struct holding *h, const struct value *hosts)
{
	struct ctl *ctl = h->load->ctl;
	const struct value *held = NULL;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	bool told = false;
	int r, status = RUN_OK;

	while ((r = ask_all(h, &a, hosts, &held, &err)) == 1 && !h->stop &&
	    (ctl->set.wait_hosts || v_count(held) == 0)) {
		if (!told && v_count(held) > 0) {
			out_note(ctl->out, "waiting for %s: %s", v_get_str(v_at(held, 0),
			    "host", "?"), holder_text(&a, held));
			told = true;
		}
		wait_some(h->base);
		arena_clear(&a);
	}
	if (r == -1) {
		status = fail_with(ctl, &err);
	} else if (h->stop) {
		status = RUN_INTERRUPTED;
	} else if (r == 1) {
		struct err *e = diags_error(&ctl->diags, ERR_BUSY, (struct mark){ 0 },
		    v_count(held) == 1 ? "'%s' is worked on by %s" :
		    "'%s' and others are worked on by %s",
		    v_get_str(v_at(held, 0), "host", "?"), holder_text(&a, held));

		err_hint(e, "--wait begins when they are free; `provctl status` lists who works where");
		status = RUN_BUSY;
	}
	arena_release(&a);
	return status;
}

/* ---- a host that was met on the way -------------------------------------------------------- */

struct wanted {
	struct wanted		*next;
	struct holding		*holding;
	struct arena		 arena;
	struct value		*hosts;		/* a list of one name */
	struct event		*again;
	bool			 told;
	void			(*answer)(void *, struct err *);
	void			*arg;
};

static void
wanted_end(struct wanted *w, struct err *err)
{
	struct wanted **p;

	for (p = &w->holding->wanted; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	if (w->told)
		state_lease_stop_wait(w->holding->load->state, v_at(w->hosts, 0)->u.s);
	event_free(w->again);
	w->answer(w->arg, err != NULL && err->code != ERR_NONE ? err : NULL);
	if (err != NULL)
		err_release(err);
	arena_release(&w->arena);
	free(w);
}

static void
wanted_answered(void *arg)
{
	static const struct timeval tv = { 0, WAIT_MS * 1000 };
	struct wanted *w = arg;
	struct holding *h = w->holding;
	struct ctl *ctl = h->load->ctl;
	const char *host = v_at(w->hosts, 0)->u.s, *holder;
	const struct value *held = NULL;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	int r = state_lease_answer(h->load->state, &a, w->hosts, &held, &err);

	holder = r > 0 && v_count(held) > 0 ? holder_text(&a, held) : "a run that has just ended";
	if (r > 0 && !h->stop && (v_count(held) == 0 || (r == 1 && ctl->set.wait_hosts))) {
		if (!w->told && v_count(held) > 0) {
			out_note(ctl->out, "waiting for %s: %s", host, holder);
			w->told = true;
		}
		(void)event_add(w->again, &tv);
	} else {
		if (r > 0) {
			(void)err_set(&err, ERR_BUSY, "'%s' is worked on by %s%s", host, holder,
			    r == 2 && ctl->set.wait_hosts ? ", which waits for a host of this run" : "");
			err_hint(&err, "`provctl retry` or `provctl resume` goes on when it is free");
		}
		wanted_end(w, &err);
	}
	arena_release(&a);
}

static void
ask_again(evutil_socket_t fd, short what, void *arg)
{
	struct wanted *w = arg;
	struct holding *h = w->holding;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (state_lease_ask(h->load->state, w->hosts, h->load->site->path,
	    h->load->ctl->set.wait_hosts, &err) == -1)
		wanted_end(w, &err);
	else if (!gate_await(h->load->ctl->out->gate, wanted_answered, w))
		wanted_answered(w);
}

void
holding_more(void *arg, const char *host, void (*answer)(void *, struct err *),
    void *answer_arg)
{
	struct holding *h = arg;
	struct wanted *w, **p;

	if (state_leased(h->load->state, host)) {
		answer(answer_arg, NULL);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->holding = h;
	w->hosts = v_list(&w->arena);
	v_push(&w->arena, w->hosts, v_str(&w->arena, host));
	w->answer = answer;
	w->arg = answer_arg;
	if ((w->again = evtimer_new(h->base, ask_again, w)) == NULL)
		abort();	/* out of memory */
	for (p = &h->wanted; *p != NULL; p = &(*p)->next)
		;
	*p = w;
	ask_again(-1, 0, w);
}

void
holding_stop(struct holding *h)
{
	static const struct timeval now = { 0, 0 };
	struct wanted *w;

	h->stop = true;
	/* Those whose answer is on its way stay as they are. */
	for (w = h->wanted; w != NULL; w = w->next)
		if (evtimer_pending(w->again, NULL))
			(void)event_add(w->again, &now);
}

static void
renew(evutil_socket_t fd, short what, void *arg)
{
	struct holding *h = arg;

	(void)fd;
	(void)what;
	if (h->lost || state_lease_renew(h->load->state))
		return;
	h->lost = true;
	(void)diags_error(&h->load->ctl->diags, ERR_BUSY, (struct mark){ 0 },
	    "this run was asleep for so long that another one has taken its hosts: it stops");
	run_interrupt();
}

/* Absolute paths, so that the options mean the same from anywhere: they are used from the same directory. */
static int
prepare(struct holding *h)
{
	struct ctl *ctl = h->load->ctl;
	struct settings *s = &ctl->set;
	struct state_run_how how = { .resumes = s->resumes,
	    .partial = s->tags.n > 0 || s->skip_tags.n > 0 || s->start_at != NULL };
	struct value *options = v_map(&ctl->arena);
	struct err err = ERR_INIT;
	char cwd[PATH_MAX];

	if (site_keep(h->load) == -1 || site_expect(h->load) == -1)
		return RUN_USAGE;
	how.site_id = *h->load->site_id != '\0' ? h->load->site_id : NULL;
	v_merge(&ctl->arena, options, settings_save(&ctl->arena, s));
	if (getcwd(cwd, sizeof(cwd)) != NULL)
		v_set_str(&ctl->arena, options, "cwd", cwd);
	v_set_str(&ctl->arena, options, "site", ctl->site_arg != NULL ?
	    ctl->site_arg : h->load->site->path);
	/* It looks after what it has begun: see duty.c. */
	if (ctl->events != NULL)
		v_set_bool(&ctl->arena, options, "agentd", true);
	if (s->rollback > 0) {
		v_set_int(&ctl->arena, options, "rollback", s->rollback);
		how.site = arena_printf(&ctl->arena, "rollback of run %lld",
		    (long long)s->rollback);
		how.root = dirname(arena_strdup(&ctl->arena, h->load->site->path));
	}
	if (ctl->watch.gate != NULL)
		v_sets(&ctl->arena, options, "gate", ctl->watch.gate);
	how.options = options;
	return state_run_how(h->load->state, &how, &err) == 0 ? RUN_OK :
	    fail_with(ctl, &err);
}

int
holding_begin(void *arg, const struct value *hosts)
{
	static const struct timeval every = { STATE_LEASE_MS / 4000, 0 };
	struct holding *h = arg;
	int status = take(h, hosts);

	if (status == RUN_OK && (status = prepare(h)) == RUN_OK) {
		if ((h->renew = event_new(h->base, -1, EV_PERSIST, renew, h)) == NULL ||
		    event_add(h->renew, &every) == -1)
			abort();	/* out of memory */
	}
	return status;
}

void
holding_end(struct holding *h)
{
	if (h->renew != NULL)
		event_free(h->renew);
	/* Nobody waits for them any more, but answers are to come. */
	if (h->wanted != NULL)
		gate_flush(h->load->ctl->out->gate);
	while (h->wanted != NULL)
		wanted_end(h->wanted, NULL);
	state_lease_drop(h->load->state);
}
