/*
 * A run: the plays of a site in order, each on its hosts in batches.
 *
 * Nothing here calls itself through the engine: every step ends by asking for a
 * turn (run_turn), and the event loop takes it.
 */
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "run/engine.h"

static struct run *current;	/* for run_interrupt(); a process works one run */

/* ---- hosts --------------------------------------------------------------------------- */

static void
index_host(struct run *run, uint32_t index, struct hostrun *h)
{
	if (index == UINT32_MAX)
		return;
	if (index >= run->nindexed) {
		uint32_t n = index < 64 ? 64 : index * 2;

		run->indexed = arena_grow(&run->arena, run->indexed,
		    run->nindexed * sizeof(*run->indexed),
		    n * sizeof(*run->indexed));
		run->nindexed = n;
	}
	run->indexed[index] = h;
}

struct hostrun *
run_host(struct run *run, struct host *host)
{
	const struct value *facts;
	struct hostrun *h;

	/* By the host's place in the inventory; those without one (implicit localhost) by the list. */
	if (host->index < run->nindexed && run->indexed[host->index] != NULL)
		return run->indexed[host->index];
	for (h = host->index == UINT32_MAX ? run->hosts : NULL; h != NULL;
	    h = h->next)
		if (h->host == host)
			return h;
	h = ARENA_NEW(&run->arena, struct hostrun);
	index_host(run, host->index, h);
	h->run = run;
	h->host = host;
	h->name = host->name;
	h->facts = v_map(&h->arena);
	h->injected = v_map(&h->arena);
	h->vars = v_map(&h->arena);
	h->included = v_map(&h->arena);
	h->jobs = v_map(&h->arena);
	h->next = run->hosts;
	run->hosts = h;
	secrets_note(run, inventory_host_vars(run->site->inventory, host,
	    run->diags));
	secrets_declare(h, NULL);
	if (run->opts->facts != NULL && (facts = run->opts->facts(
	    run->opts->facts_arg, &h->arena, h->name)) != NULL)
		vars_set_facts(h, facts, true);
	return h;
}

struct hostrun *
run_host_named(struct run *run, const char *name, struct err *err)
{
	struct host *host = inventory_host(run->site->inventory, name);

	if (host == NULL) {
		if (!inventory_name_ok(name)) {
			(void)err_set(err, ERR_INVALID,
			    "'%s' is no name of a host", name);
			return NULL;
		}
		/* A host that the inventory does not know: connected to by its name. */
		host = inventory_host_add(run->site->inventory, name, NULL, err);
		if (host == NULL)
			return NULL;
	}
	return run_host(run, host);
}

/* ---- a play's hosts -------------------------------------------------------------------- */

/* A play's own keyword: it sees extra and play variables, no host's. NULL with err. */
static const struct value *
play_eval(struct run *run, const struct play *play, const struct value *v,
    struct err *err)
{
	const struct value *layers[2] = { run->site->extra_vars, play->vars };
	struct scope scope = { .layers = layers, .n = 2 };

	return tmpl_eval(&run->arena, &scope, v, err);
}

static const char *
play_pattern(struct run *run, const struct play *play, struct err *err)
{
	const struct value *v;
	struct buf out = BUF_INIT;
	char *pattern;
	uint32_t i;

	if ((v = play_eval(run, play, play->hosts, err)) == NULL)
		return NULL;
	if (v->type == V_STR)
		return v->u.s;
	for (i = 0; v->type == V_LIST && i < v_count(v); i++) {
		if (i > 0)
			buf_addc(&out, ',');
		buf_adds(&out, tmpl_to_str(&run->arena, v_at(v, i))->u.s);
	}
	pattern = buf_dup(&out, &run->arena);
	buf_release(&out);
	return pattern;
}

static bool
limited(struct host *const *limit, uint32_t n, const struct host *host)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (limit[i] == host)
			return true;
	return false;
}

static int
by_order(const void *pa, const void *pb)
{
	return strcmp((*(struct host *const *)pa)->name,
	    (*(struct host *const *)pb)->name);
}

static void
order_hosts(const struct play *play, struct host **hosts, uint32_t n)
{
	const char *order = play->order != NULL && play->order->type == V_STR ?
	    play->order->u.s : "inventory";
	bool reverse = strncmp(order, "reverse", 7) == 0;
	uint32_t i;

	if (strstr(order, "sorted") != NULL)
		qsort(hosts, n, sizeof(struct host *), by_order);
	for (i = 0; reverse && i < n / 2; i++) {
		struct host *h = hosts[i];

		hosts[i] = hosts[n - 1 - i];
		hosts[n - 1 - i] = h;
	}
	for (i = n; strcmp(order, "shuffle") == 0 && i > 1; i--) {
		uint32_t j = (uint32_t)random() % i;
		struct host *h = hosts[i - 1];

		hosts[i - 1] = hosts[j];
		hosts[j] = h;
	}
}

/* The hosts of a play: pattern, limit, without those that are out. 0, or -1 with err. */
static int
play_select(struct run *run, const struct play *play, struct hostrun ***ret,
    uint32_t *nret, const char **unmatched, struct err *err)
{
	struct inventory *inv = run->site->inventory;
	struct host **hosts, **limit = NULL;
	const char *pattern = play_pattern(run, play, err), *ignored = NULL;
	uint32_t n, nlimit = 0, i;

	*nret = 0;
	if (pattern == NULL || inventory_match(inv, &run->arena, pattern, &hosts,
	    &n, unmatched, err) == -1)
		return -1;
	if (run->opts->limit != NULL && inventory_match(inv, &run->arena,
	    run->opts->limit, &limit, &nlimit, &ignored, err) == -1)
		return -1;
	order_hosts(play, hosts, n);
	*ret = ARENA_ARRAY(&run->arena, n + 1, struct hostrun *);
	for (i = 0; i < n; i++) {
		struct hostrun *h;

		if (run->opts->limit != NULL && !limited(limit, nlimit, hosts[i]))
			continue;
		h = run_host(run, hosts[i]);
		if (!h->failed && !h->unreachable)
			(*ret)[(*nret)++] = h;
	}
	return 0;
}

/* How many hosts the next batch has: serial is a number, "30%", or a list of these. */
static uint32_t
batch_size(struct run *run, const struct play *play)
{
	const struct value *v = play->serial;
	double size;
	char *end;

	if (v == NULL || v->type == V_NULL)
		return run->nplay_hosts;
	if (v->type == V_TMPL) {
		struct err err = ERR_INIT;

		v = play_eval(run, play, v, &err);
		if (v == NULL) {
			diags_add(run->diags, DIAG_ERROR, &err);
			return run->nplay_hosts;
		}
	}
	if (v->type == V_LIST) {
		uint32_t n = v_count(v);

		if (n == 0)
			return run->nplay_hosts;
		v = v_at(v, run->ibatch < n ? run->ibatch : n - 1);
	}
	if (v->type == V_INT)
		size = (double)v->u.i;
	else if (v->type == V_STR) {
		size = strtod(v->u.s, &end);
		if (*end == '%') {
			size = floor(size * run->nplay_hosts / 100);
			if (size < 1)
				size = 1;
		}
	} else
		size = 0;
	return size < 1 || size > run->nplay_hosts ? run->nplay_hosts :
	    (uint32_t)size;
}

/* ---- batches ------------------------------------------------------------------------------ */

static bool
may_become(const struct keywords *kw)
{
	return kw->become != NULL && (kw->become->type == V_TMPL ||
	    mod_parse_bool(kw->become) == 1);
}

static bool
nodes_become(const struct nodes *nodes)
{
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		const struct node *n = nodes->v[i];

		if (may_become(&n->kw) || (n->kind == NODE_BLOCK &&
		    (nodes_become(&n->block->body) ||
		    nodes_become(&n->block->rescue) ||
		    nodes_become(&n->block->always))))
			return true;
	}
	return false;
}

/* Becoming root anywhere in the play: then the one executor is started as root. */
static bool
play_becomes(const struct run *run, const struct play *play)
{
	unsigned i;

	if (run->opts->become || may_become(&play->kw) ||
	    nodes_become(&play->handlers))
		return true;
	for (i = 0; i < SECTION_MAX; i++)
		if (nodes_become(&play->sections[i]))
			return true;
	return false;
}

static bool
play_bool(struct run *run, const struct play *play, const struct value *v,
    bool def)
{
	struct err err = ERR_INIT;
	int b;

	if (v == NULL)
		return def;
	if (v->type == V_TMPL)
		v = play_eval(run, play, v, &err);
	err_release(&err);
	b = v == NULL ? -1 : mod_parse_bool(v);
	return b == -1 ? def : b == 1;
}

/* The implicit first task of a play. */
static const struct node *
setup_node(struct batch *b)
{
	struct arena *a = &b->arena;
	struct node *n = ARENA_NEW(a, struct node);
	struct task *t = ARENA_NEW(a, struct task);
	struct value *args = v_map(a);
	static const char *const none[] = { "always" };

	n->kind = NODE_TASK;
	n->name = v_str(a, "Gathering Facts");
	n->mark = b->play->mark;
	n->kw = b->play->kw;
	n->kw.when = (struct conds){ 0 };
	n->kw.tags = ARENA_ARRAY(a, 1, const char *);
	n->kw.tags[0] = none[0];
	n->kw.ntags = 1;
	n->kw.run_once = NULL;
	n->task = t;
	t->module = module_find("setup");
	t->module_name = "setup";
	if (b->play->gather_subset != NULL)
		v_sets(a, args, "gather_subset", b->play->gather_subset);
	if (b->play->gather_timeout != NULL)
		v_sets(a, args, "gather_timeout", b->play->gather_timeout);
	if (b->play->fact_path != NULL)
		v_sets(a, args, "fact_path", b->play->fact_path);
	t->args = args;
	return n;
}

static void
batch_new(struct run *run)
{
	const struct play *play = run->site->plays[run->iplay];
	uint32_t size = batch_size(run, play), i;
	struct batch *b = xcalloc(1, sizeof(*b));
	const char *strategy = play->strategy != NULL &&
	    play->strategy->type == V_STR ? play->strategy->u.s : "linear";
	const struct value *max = play->max_fail_percentage;
	struct err err = ERR_INIT;
	const struct value *name = play->name;

	if (size > run->nplay_hosts - run->next_host)
		size = run->nplay_hosts - run->next_host;
	b->run = run;
	b->play = play;
	if (name != NULL && name->type == V_TMPL) {
		name = play_eval(run, play, name, &err);
		err_release(&err);
	}
	b->play_name = name == NULL || name->type != V_STR ?
	    play_pattern(run, play, &err) :
	    name->flags & V_SECRET ? "(secret)" : name->u.s;
	err_release(&err);
	if (b->play_name == NULL)
		b->play_name = "";
	b->free_strategy = strstr(strategy, "free") != NULL;
	b->force_handlers = play_bool(run, play, play->force_handlers, false);
	b->max_fail = max == NULL ? -1 : max->type == V_INT ? (double)max->u.i :
	    max->type == V_FLOAT ? max->u.f : max->type == V_STR ?
	    strtod(max->u.s, NULL) : -1;
	b->needs_root = play_becomes(run, play);
	b->n = size;
	b->walks = ARENA_ARRAY(&b->arena, size, struct walk);
	for (i = 0; i < size; i++) {
		b->walks[i].batch = b;
		b->walks[i].host = run->play_hosts[run->next_host + i];
	}
	run->next_host += size;
	run->ibatch++;
	run->batch = b;
	handlers_add(b, &play->handlers);
	if (run->prompted == NULL)
		run->prompted = prompt_vars(run, play->vars_prompt);
	vars_batch_init(b, run->prompted);
	if (play_bool(run, play, play->gather_facts, true))
		b->setup = setup_node(b);
	batch_start(b);
}

static void
batch_free(struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++) {
		step_free(b->walks[i].step);
		arena_release(&b->walks[i].arena);
	}
	arena_release(&b->arena);
	free(b);
}

static bool
batch_done(const struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (b->walks[i].state != WALK_DONE)
			return false;
	return true;
}

/* ---- plays --------------------------------------------------------------------------------- */

static void
play_event(struct run *run, enum event_type type, const char *text)
{
	const struct play *play = run->site->plays[run->iplay];
	struct event e = { .type = type };
	struct err err = ERR_INIT;
	struct value *hosts = v_list(&run->arena);
	uint32_t i;

	for (i = 0; i < run->nplay_hosts; i++)
		v_push(&run->arena, hosts,
		    v_str(&run->arena, run->play_hosts[i]->name));
	e.play = play->name != NULL && play->name->type == V_STR ?
	    play->name->u.s : play_pattern(run, play, &err);
	err_release(&err);
	e.mark = play->mark;
	e.hosts = hosts;
	e.text = text;
	emit(run, &e);
}

/* A batch that is lost as a whole ends the run: a rolling update must not go on to break the rest. */
static bool
all_out(const struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		if (!b->walks[i].host->failed && !b->walks[i].host->unreachable)
			return false;
	return b->n > 0;
}

/* Begins the play run->iplay; false when it has nobody to work on. */
static bool
play_begin(struct run *run)
{
	const struct play *play = run->site->plays[run->iplay];
	const char *unmatched = NULL;
	struct err err = ERR_INIT;

	run->next_host = run->ibatch = 0;
	run->prompted = NULL;
	if (play_select(run, play, &run->play_hosts, &run->nplay_hosts,
	    &unmatched, &err) == -1) {
		diags_add(run->diags, DIAG_ERROR, &err);
		run->nplay_hosts = 0;
		run->status = RUN_USAGE;
		return false;
	}
	if (unmatched != NULL)
		emit_warning(run, NULL, "no host or group matches '%s'",
		    unmatched);
	if (run->nplay_hosts == 0) {
		play_event(run, EV_PLAY_NO_HOSTS, NULL);
		return false;
	}
	play_event(run, EV_PLAY_START, NULL);
	return true;
}

/* ---- turns ---------------------------------------------------------------------------------- */

static int
run_result(const struct run *run)
{
	const struct hostrun *h;
	bool changed = false, failed = false, unreachable = false;

	for (h = run->hosts; h != NULL; h = h->next) {
		changed = changed || h->stats.changed > 0;
		failed = failed || h->failed || h->stats.failed > 0;
		unreachable = unreachable || h->unreachable;
	}
	if (run->interrupted)
		return RUN_INTERRUPTED;
	if (run->status != RUN_OK)
		return run->status;
	return failed ? RUN_FAILED : unreachable ? RUN_UNREACHABLE :
	    run->opts->check && changed ? RUN_PENDING : RUN_OK;
}

static int
host_by_index(const void *pa, const void *pb)
{
	const struct hostrun *a = *(struct hostrun *const *)pa;
	const struct hostrun *b = *(struct hostrun *const *)pb;

	return (a->host->index > b->host->index) -
	    (a->host->index < b->host->index);
}

static void
report(struct run *run)
{
	struct hostrun **v, *h;
	uint32_t n = 0, i;
	struct event end = { .type = EV_RUN_END };

	for (h = run->hosts; h != NULL; h = h->next)
		n++;
	v = ARENA_ARRAY(&run->arena, n + 1, struct hostrun *);
	for (i = 0, h = run->hosts; h != NULL; h = h->next)
		v[i++] = h;
	qsort(v, n, sizeof(struct hostrun *), host_by_index);
	for (i = 0; i < n; i++) {
		const struct host_stats *st = &v[i]->stats;
		struct event e = { .type = EV_STATS };

		/* Hosts that only lent their variables or were delegated to had no tasks of their own. */
		if (st->ok + st->failed + st->skipped + st->unreachable +
		    st->rescued + st->ignored == 0)
			continue;
		e.host = v[i]->name;
		e.stats = *st;
		e.status = v[i]->failed || v[i]->unreachable || v[i]->cut_short;
		emit(run, &e);
	}
	end.status = run->status;
	end.duration_ms = now_ms() - run->start_ms;
	emit(run, &end);
}

static void
close_all(struct run *run, bool abort)
{
	struct hostrun *h, *next;

	for (h = run->hosts; h != NULL; h = next) {
		next = h->next;
		links_end(h, abort);
	}
}

static void
finish_run(struct run *run)
{
	if (!run->finishing) {
		run->finishing = true;
		close_all(run, false);
	}
	if (run->nlinks == 0)
		(void)event_base_loopbreak(run->base);
}

/* The run ends here: whoever had something to come is not through. */
static void
cut_short(struct run *run)
{
	struct hostrun *h;
	uint32_t i;

	for (i = run->next_host; i < run->nplay_hosts; i++)
		run->play_hosts[i]->cut_short = true;
	if (run->iplay + 1 < run->site->nplays)
		for (h = run->hosts; h != NULL; h = h->next)
			h->cut_short = true;
}

static void
turn(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	(void)what;
	if (run->finishing) {
		finish_run(run);
		return;
	}
	if (run->batch != NULL && !batch_done(run->batch)) {
		batch_schedule(run->batch);
		if (!batch_done(run->batch))
			return;
	}
	if (run->batch != NULL) {
		bool lost = run->batch->abort || all_out(run->batch);

		batch_free(run->batch);
		run->batch = NULL;
		if (!lost && !run->interrupted &&
		    run->next_host < run->nplay_hosts) {
			batch_new(run);
			return;
		}
		if (lost) {
			cut_short(run);
			run->iplay = run->site->nplays;
		} else
			run->iplay++;
	}
	while (!run->interrupted && run->status == RUN_OK &&
	    run->iplay < run->site->nplays) {
		if (play_begin(run)) {
			batch_new(run);
			return;
		}
		run->iplay++;
	}
	finish_run(run);
}

void
run_turn(struct run *run)
{
	event_active(run->turn, 0, 0);
}

void
run_interrupt(void)
{
	struct run *run = current;
	uint32_t i;

	if (run == NULL)
		return;
	if (run->interrupted) {
		/* The second time: no waiting for what is under way. */
		run->aborted = true;
		for (i = 0; run->batch != NULL && i < run->batch->n; i++)
			if (run->batch->walks[i].step != NULL)
				step_abort(run->batch->walks[i].step);
		close_all(run, true);
	}
	run->interrupted = true;
	run_turn(run);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

/* What is wrong with the choice of hosts is known before the first connection. */
static int
check_hosts(struct run *run, struct value *names)
{
	struct inventory *inv = run->site->inventory;
	const char *unmatched = NULL;
	struct err err = ERR_INIT;
	struct host **hosts;
	uint32_t i, n, total = 0;

	if (run->opts->limit != NULL) {
		if (inventory_match(inv, &run->arena, run->opts->limit, &hosts, &n,
		    &unmatched, &err) == -1) {
			diags_add(run->diags, DIAG_ERROR, &err);
			return -1;
		}
		if (n == 0) {
			struct err *e = diags_error(run->diags, ERR_USAGE,
			    (struct mark){ 0 }, "--limit '%s' matches no host",
			    run->opts->limit);
			const char *near = inventory_nearest(inv,
			    run->opts->limit);

			if (near != NULL)
				err_hint(e, "did you mean '%s'?", near);
			return -1;
		}
	}
	for (i = 0; i < run->site->nplays; i++) {
		struct hostrun **selected;

		if (play_select(run, run->site->plays[i], &selected, &n,
		    &unmatched, &err) == -1) {
			err_at(&err, v_mark(run->site->plays[i]->hosts));
			diags_add(run->diags, DIAG_ERROR, &err);
			return -1;
		}
		total += n;
		while (n-- > 0) {
			v_set_bool(&run->arena, names, selected[n]->name, true);
			secrets_declare(selected[n], run->site->plays[i]->vars);
		}
	}
	if (run->no_secrets)
		return -1;
	if (total == 0 && run->site->nplays > 0) {
		const struct play *play = run->site->plays[0];
		const char *pattern = play_pattern(run, play, &err);
		struct err *e = diags_error(run->diags, ERR_INVALID,
		    v_mark(play->hosts), "no host matches '%s'%s",
		    pattern != NULL ? pattern : "", run->opts->limit != NULL ?
		    " within the limit" : "");
		const char *near = pattern != NULL ?
		    inventory_nearest(inv, pattern) : NULL;

		if (near != NULL && strcmp(near, pattern) != 0)
			err_hint(e, "did you mean '%s'?", near);
		else
			err_hint(e, "the inventory has %u host%s; give one with -i",
			    inventory_nhosts(inv),
			    inventory_nhosts(inv) == 1 ? "" : "s");
		err_release(&err);
		return -1;
	}
	return 0;
}

/* The node of --start-at-task below these; also notes the nearest name. */
static bool
has_named(struct arena *a, const struct nodes *nodes, const char *pattern,
    const char **near, unsigned *dist)
{
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		const struct node *n = nodes->v[i];

		if (n->kind == NODE_BLOCK) {
			if (has_named(a, &n->block->body, pattern, near, dist) ||
			    has_named(a, &n->block->rescue, pattern, near, dist) ||
			    has_named(a, &n->block->always, pattern, near, dist))
				return true;
		} else if (node_named(n, pattern))
			return true;
		else if (n->name != NULL && n->name->type == V_STR)
			nearest_try(pattern, arena_strndup(a, n->name->u.s,
			    n->name->len), near, dist);
	}
	return false;
}

static int
find_start(struct run *run)
{
	const char *pattern = run->opts->start_at, *near = NULL;
	unsigned dist = 0;
	struct err *e;
	uint32_t i, j;

	if (pattern == NULL)
		return 0;
	for (i = 0; i < run->site->nplays; i++)
		for (j = 0; j < SECTION_MAX; j++)
			if (has_named(&run->arena,
			    &run->site->plays[i]->sections[j], pattern, &near,
			    &dist)) {
				run->start_play = run->iplay = i;
				return 0;
			}
	e = diags_error(run->diags, ERR_USAGE, (struct mark){ 0 },
	    "--start-at-task: no task is called '%s'", pattern);
	if (near != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "tasks that include_tasks and include_role bring cannot be started at; --list-tasks shows the others");
	return -1;
}

static const struct value *
tag_list(struct arena *a, const char *const *tags, const char *none)
{
	struct value *list = v_list(a);

	for (; tags != NULL && *tags != NULL; tags++)
		v_push(a, list, v_str(a, *tags));
	if (v_count(list) == 0 && none != NULL)
		v_push(a, list, v_str(a, none));
	return list;
}

/* ---- a host's variables without a run --------------------------------------------------------------- */

static bool
play_has(struct run *run, const struct play *play, const struct hostrun *h)
{
	struct hostrun **hosts;
	const char *unmatched;
	struct err err = ERR_INIT;
	uint32_t n = 0, i;

	if (play_select(run, play, &hosts, &n, &unmatched, &err) == -1)
		err_release(&err);
	for (i = 0; i < n; i++)
		if (hosts[i] == h)
			return true;
	return false;
}

static void
run_release(struct run *run)
{
	struct hostrun *h;

	tmpl_cache_free(run->templates);
	for (h = run->hosts; h != NULL; h = h->next) {
		ahead_release(h);
		arena_release(&h->arena);
	}
	arena_release(&run->arena);
}

int
run_with_scope(struct site *site, const struct run_opts *opts,
    const char *host_name, int (*use)(void *, struct arena *,
    const struct scope *), void *arg, struct diags *diags)
{
	struct run run = { .site = site, .opts = opts, .diags = diags };
	struct host *host = inventory_host(site->inventory, host_name);
	struct batch b = { .run = &run };
	struct walk w = { .batch = &b };
	struct err err = ERR_INIT;
	uint32_t i;
	int r;

	if (host == NULL) {
		const char *near = inventory_nearest(site->inventory, host_name);
		struct err *e = diags_error(diags, ERR_USAGE, (struct mark){ 0 },
		    "the inventory has no host '%s'", host_name);

		if (near != NULL)
			err_hint(e, "did you mean '%s'?", near);
		return -1;
	}
	run.templates = tmpl_cache_new();
	run.run_tags = tag_list(&run.arena, NULL, "all");
	run.skip_tags = tag_list(&run.arena, NULL, NULL);
	w.host = run_host(&run, host);
	for (i = 0; i < site->nplays && b.play == NULL; i++)
		if (play_has(&run, site->plays[i], w.host))
			b.play = site->plays[i];
	if (b.play != NULL)
		secrets_declare(w.host, b.play->vars);
	if (b.play != NULL) {
		b.play_name = "";
		b.walks = &w;
		b.n = 1;
		run.play_hosts = &w.host;
		run.nplay_hosts = 1;
		vars_batch_init(&b, NULL);
		w.setup_pending = true;
		if (vars_files(&w, &err) == -1)
			diags_add(diags, DIAG_WARNING, &err);
	}
	r = use(arg, &w.arena, vars_scope(&w.arena, w.host,
	    b.play != NULL ? &w : NULL, NULL, NULL));
	arena_release(&w.arena);
	arena_release(&b.arena);
	run_release(&run);
	return r;
}

static const struct value *
keys_of(struct arena *a, const struct value *map)
{
	struct value *list = v_list(a);
	const struct ventry *e;
	uint32_t it = 0;

	while ((e = v_next(map, &it)) != NULL)
		v_push(a, list, e->key);
	return list;
}

int
run_site(struct event_base *base, struct site *site,
    const struct run_opts *opts, struct diags *diags)
{
	struct run run = { .base = base, .site = site, .opts = opts,
	    .diags = diags };
	struct event start = { .type = EV_RUN_START };
	struct err err = ERR_INIT;
	struct value *names;

	assert(current == NULL);
	run.start_ms = now_ms();
	secrets_note(&run, site->extra_vars);
	run.templates = tmpl_cache_new();
	run.run_tags = tag_list(&run.arena, opts->tags, "all");
	run.skip_tags = tag_list(&run.arena, opts->skip_tags, NULL);
	names = v_map(&run.arena);
	if (check_hosts(&run, names) == -1 || find_start(&run) == -1 ||
	    (run.pool = conn_pool_new(base, 64, &err)) == NULL) {
		if (err.code != ERR_NONE)
			diags_add(diags, DIAG_ERROR, &err);
		run_release(&run);
		return RUN_USAGE;
	}
	if ((run.turn = event_new(base, -1, 0, turn, &run)) == NULL)
		abort();	/* out of memory */
	if (opts->keeper > 0)
		conn_pool_keeper(run.pool, opts->keeper);
	current = &run;
	if (opts->begin != NULL && (run.status = opts->begin(opts->begin_arg,
	    keys_of(&run.arena, names))) != RUN_OK) {
		current = NULL;
		event_free(run.turn);
		conn_pool_free(run.pool);
		run_release(&run);
		return run.status;
	}
	start.text = site->path;
	emit(&run, &start);
	run_turn(&run);
	(void)event_base_dispatch(base);
	run.status = run_result(&run);
	report(&run);
	current = NULL;
	event_free(run.turn);
	if (run.batch != NULL)
		batch_free(run.batch);
	conn_pool_free(run.pool);
	run_release(&run);
	return run.status;
}
