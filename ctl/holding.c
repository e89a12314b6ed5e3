/*
 * See holding.h.
 *
 * Waiting for other runs happens before anything is touched and lets the loop
 * turn, so that a signal ends it.
 */
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

static int
take(struct holding *h, const struct value *hosts)
{
	struct ctl *ctl = h->load->ctl;
	const struct value *held = NULL;
	struct err err = ERR_INIT;
	struct arena a = { 0 };
	bool told = false;
	int r, status = RUN_OK;

	while ((r = state_lease(h->load->state, &a, hosts, h->load->site->path,
	    &held, &err)) == 1 && ctl->set.wait_hosts && !h->stop) {
		if (!told)
			out_note(ctl->out, "waiting for %s: %s", v_get_str(v_at(held, 0),
			    "host", "?"), holder_text(&a, held));
		told = true;
		wait_some(h->base);
		arena_clear(&a);
	}
	if (r == -1) {
		status = fail_with(ctl, &err);
	} else if (r == 1 && h->stop) {
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

int
holding_more(void *arg, const char *host, struct err *err)
{
	struct holding *h = arg;
	const struct value *held = NULL;
	struct arena a = { 0 };
	int r = state_lease_more(h->load->state, &a, host, h->load->site->path, &held, err);

	if (r == 1) {
		r = err_set(err, ERR_BUSY, "'%s' is worked on by %s", host, holder_text(&a, held));
		err_hint(err, "`provctl retry` or `provctl resume` goes on when it is free");
	}
	arena_release(&a);
	return r;
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
	state_lease_drop(h->load->state);
}
