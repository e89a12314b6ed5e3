/*
 * Recording a run: events to rows.
 *
 * Only what somebody will look up is kept: a task that found nothing to do is
 * one short row, the result in full is kept when it changed something or went
 * wrong.  Everything is bounded (the constants below), and arrives censored;
 * values that are secret all the same are replaced here too.
 */
#include <sys/random.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/utf8.h"
#include "state/private.h"
#include "state/udiff.h"

#define MSG_MAX		4096u
#define REASON_MAX	300u
#define DETAIL_MAX	((size_t)64 * 1024)
#define FACT_MAX	((size_t)256 * 1024)
#define STR_MAX		16384u		/* of a string in a result */
#define ITEMS_MAX	100u		/* of a list or map in a result */
#define DEPTH_MAX	12

struct bounds {
	uint32_t	 str, items;
};

/* Cuts at a character. */
static const char *
shortened(struct arena *a, const char *s, size_t len, size_t max)
{
	size_t n = max;

	if (len <= max)
		return arena_strndup(a, s, len);
	while (n > 0 && (s[n] & 0xc0) == 0x80)
		n--;
	return arena_printf(a, "%.*s … (%zu more bytes)", (int)n, s, len - n);
}

/* A copy without what is too much, twice told, or kept elsewhere. */
static const struct value *
bounded(struct arena *a, const struct value *v, struct bounds max, int depth)
{
	static const char *const dropped[] = {
		"diff", "ansible_facts", "invocation", "stdout_lines",
		"stderr_lines", "_content"
	};
	const struct ventry *e;
	struct value *out;
	uint32_t i, it, n = 0;

	if (v->flags & V_SECRET)
		return v_str(a, "********");
	if (depth > DEPTH_MAX)
		return v_str(a, "…");
	switch (v->type) {
	case V_STR:
		return v->len <= max.str ? v :
		    v_str(a, shortened(a, v->u.s, v->len, max.str));
	case V_LIST:
		out = v_list(a);
		for (i = 0; i < v_count(v) && i < max.items; i++)
			v_push(a, out, bounded(a, v_at(v, i), max, depth + 1));
		if (v_count(v) > max.items)
			v_push(a, out, v_strf(a, "… (%u more)",
			    v_count(v) - max.items));
		return out;
	case V_MAP:
		out = v_map(a);
		for (it = 0; (e = v_next(v, &it)) != NULL && n < max.items;) {
			for (i = 0; i < NITEMS(dropped); i++)
				if (v_eqs(e->key, dropped[i]))
					break;
			if (i < NITEMS(dropped))
				continue;
			v_set(a, out, e->key, bounded(a, e->val, max, depth + 1));
			n++;
		}
		return out;
	default:
		return v;
	}
}

static const char *
json_text(struct arena *a, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
	return buf_dup(&b, a);
}

static const char *
detail(struct arena *a, const struct value *result)
{
	static const struct bounds steps[] = {
		{ STR_MAX, ITEMS_MAX }, { 1024, 20 }, { 200, 8 }
	};
	size_t i;

	for (i = 0; i < NITEMS(steps); i++) {
		const char *text = json_text(a, bounded(a, result, steps[i], 0));

		if (strlen(text) <= DETAIL_MAX)
			return text;
	}
	return "{\"msg\": \"the result was too large to be recorded\"}";
}

/* One line about the result, or NULL. */
static const char *
message(struct arena *a, const struct value *result, enum outcome outcome)
{
	static const char *const keys[] = { "msg", "reason", "stderr", "module_stderr" };
	const struct value *v = NULL;
	const char *text;
	size_t i, n = outcome == OUT_OK || outcome == OUT_CHANGED ? 1 : NITEMS(keys);

	if (result == NULL || result->type != V_MAP)
		return NULL;
	if (outcome == OUT_SKIPPED) {
		if ((v = v_gets(result, "skip_reason")) == NULL)
			v = v_gets(result, "msg");
	} else
		for (i = 0; i < n; i++) {
			v = v_gets(result, keys[i]);
			if (v != NULL && (v->type != V_STR || v->len > 0))
				break;
		}
	if (v == NULL || v->type == V_NULL)
		return NULL;
	if (v->flags & V_SECRET)
		return "********";
	if (v->type == V_STR)
		return shortened(a, v->u.s, v->len, MSG_MAX);
	text = json_text(a, v);
	return shortened(a, text, strlen(text), MSG_MAX);
}

const char *
state_diffs(struct arena *a, const struct value *result)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct value *items = result != NULL ? v_gets(result, "results") : NULL;
	uint32_t i;

	if (result == NULL || result->type != V_MAP)
		return NULL;
	udiff_value(&b, v_gets(result, "diff"), UDIFF_MAX);
	for (i = 0; items != NULL && i < v_count(items) && b.len < UDIFF_MAX; i++)
		udiff_value(&b, v_gets(v_at(items, i), "diff"), UDIFF_MAX - b.len);
	return b.len == 0 ? NULL : buf_dup(&b, a);
}

/* ---- facts ------------------------------------------------------------------------ */

static bool
gathered_all(const struct value *facts)
{
	const struct value *subset = v_gets(facts, "gather_subset");

	return subset != NULL && subset->type == V_LIST && v_count(subset) == 1 &&
	    v_eqs(v_at(subset, 0), "all");
}

int
state_facts_set(struct state *s, const char *host, const struct value *facts)
{
	struct arena a = { 0 };
	struct value *names = v_list(&a);
	const struct ventry *e;
	int64_t now = state_now_ms();
	uint32_t it = 0;

	if (s->writer == NULL || facts == NULL || facts->type != V_MAP)
		return -1;
	writer_put(s->writer, SQL_HOST_ADD, "si", host, now);
	while ((e = v_next(facts, &it)) != NULL) {
		const char *name, *text;

		if (e->key->type != V_STR)
			continue;
		name = e->key->u.s;
		if (strncmp(name, "ansible_", 8) == 0)
			name += 8;
		text = json_text(&a, e->val);
		if (*name == '\0' || strlen(text) > FACT_MAX)
			continue;
		v_push(&a, names, v_str(&a, name));
		writer_put(s->writer, SQL_FACT_SET, "sssi", host, name, text, now);
	}
	if (gathered_all(facts))
		writer_put(s->writer, SQL_FACTS_KEEP, "ss", host,
		    json_text(&a, names));
	writer_put(s->writer, SQL_FACTS_TIME, "si", host, now);
	arena_release(&a);
	return 0;
}

/* ---- events ---------------------------------------------------------------------------- */

static void	 owed_load(struct state *);

static void
see_host(struct state *s, const char *name)
{
	if (v_gets(s->seen_hosts, name) != NULL)
		return;
	v_set_bool(&s->run_arena, s->seen_hosts, name, true);
	writer_put(s->writer, SQL_HOST_ADD, "si", name, state_now_ms());
}

static void
run_start(struct state *s, const struct event *e)
{
	char buf[1024];
	struct passwd pw, *found = NULL;
	const char *site = s->how.site != NULL ? s->how.site :
	    e->text != NULL ? e->text : "";
	int64_t pid = getpid();
	uint32_t i;

	arena_release(&s->run_arena);
	s->seen_hosts = v_map(&s->run_arena);
	s->seen_tasks = v_map(&s->run_arena);
	s->reasons = v_map(&s->run_arena);
	s->unanswered = v_map(&s->run_arena);
	s->through = v_map(&s->run_arena);
	s->doing = v_map(&s->run_arena);
	memset(s->drift_hosts, 0, sizeof(s->drift_hosts));
	s->site = arena_strdup(&s->run_arena, site);
	if (getpwuid_r(getuid(), &pw, buf, sizeof(buf), &found) != 0)
		found = NULL;
	owed_load(s);
	writer_put(s->writer, SQL_RUN_BEGIN, "siisissisiis", s->site,
	    (int64_t)e->check, e->start_ms != 0 ? e->start_ms : state_now_ms(),
	    found != NULL ? found->pw_name : NULL, pid, PROVCTL_VERSION,
	    process_boot(), process_start(pid), s->sealed,
	    (int64_t)s->how.partial, s->how.resumes, s->how.site_id);
	if (s->lease[0] != '\0')
		writer_put(s->writer, SQL_LEASE_RUN, "sr", s->lease);
	for (i = 0; s->leased != NULL && i < v_count(s->leased); i++) {
		see_host(s, v_at(s->leased, i)->u.s);
		writer_put(s->writer, SQL_RUN_TODO, "sr", v_at(s->leased, i)->u.s);
	}
}

static const char *
text_or_empty(const char *s)
{
	return s != NULL ? s : "";
}

const char *
state_file_of(const struct state *s, const struct mark *mark)
{
	const char *path = mark->src != NULL ? text_or_empty(mark->src->path) : "";
	size_t n = s->how.root != NULL ? strlen(s->how.root) : 0;

	return n > 0 && strncmp(path, s->how.root, n) == 0 ? path + n : path;
}

/* ---- what is owed to hosts ------------------------------------------------------------- */

static const char *
doubt_key(struct arena *a, const char *host, const char *file, int64_t line,
    const char *task)
{
	return arena_printf(a, "%s\n%s:%lld\n%s", host, file, (long long)line, task);
}

static void
load_keys(struct state *s, struct value *map, const char *sql)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(s->db.sqlite, sql, -1, &st, NULL) == SQLITE_OK)
		while (sqlite3_step(st) == SQLITE_ROW)
			v_set_bool(&s->run_arena, map,
			    (const char *)sqlite3_column_text(st, 0), true);
	(void)sqlite3_finalize(st);
}

/* Once a run, before it writes anything: what it does itself is not owed by earlier ones. */
static void
owed_load(struct state *s)
{
	s->owed = v_map(&s->run_arena);
	s->doubts = v_map(&s->run_arena);
	load_keys(s, s->owed, "SELECT h.name || char(10) || o.handler FROM owed o"
	    " JOIN hosts h ON h.id = o.host_id");
	load_keys(s, s->doubts, "SELECT h.name || char(10) || a.file || ':' ||"
	    " a.line || char(10) || a.task FROM asked a"
	    " JOIN hosts h ON h.id = a.host_id");
}

/*
 * A handler is paid by its success, or when its condition says that there is
 * nothing to do.  A task that was asked has answered: if an earlier run's
 * question was left open and this answer is a failure, it stays open; so it
 * does when the connection broke after the task was sent.
 */
static void
owed_task_end(struct state *s, const struct event *e, const char *file)
{
	struct arena a = { 0 };
	const char *task = text_or_empty(e->task);
	bool good = e->outcome == OUT_OK || e->outcome == OUT_CHANGED ||
	    e->outcome == OUT_SKIPPED;
	const char *key = doubt_key(&a, e->host, file, e->mark.line, task);

	if (e->handler && good) {
		writer_put(s->writer, SQL_OWED_DONE, "ss", e->host, task);
		(void)v_dels(s->owed, arena_printf(&a, "%s\n%s", e->host, task));
	}
	if (e->notifies && (good || (v_gets(s->doubts, key) == NULL &&
	    (e->outcome != OUT_UNREACHABLE || e->unsent)))) {
		writer_put(s->writer, SQL_ASKED_DONE, "ssis", e->host, file,
		    (int64_t)e->mark.line, task);
		(void)v_dels(s->doubts, key);
	}
	arena_release(&a);
}

static void
asked(struct state *s, const struct event *e)
{
	const char *file = state_file_of(s, &e->mark), *task = text_or_empty(e->task);
	int64_t now = state_now_ms();

	see_host(s, e->host);
	v_set_bool(&s->run_arena, s->doing, e->host, true);
	writer_put(s->writer, SQL_DOING, "srsisi", e->host, file, (int64_t)e->mark.line, task, now);
	if (e->notifies)
		writer_put(s->writer, SQL_ASKED, "srsisi", e->host, file,
		    (int64_t)e->mark.line, task, now);
}

const struct value *
state_owed(void *state, struct arena *a, const char *host)
{
	const struct state *s = state;
	struct value *list = v_list(a);
	const struct ventry *e;
	size_t n = strlen(host);
	uint32_t it = 0;

	if (s->owed == NULL)
		return NULL;
	while ((e = v_next(s->owed, &it)) != NULL)
		if (strncmp(e->key->u.s, host, n) == 0 && e->key->u.s[n] == '\n')
			v_push(a, list, v_str(a, e->key->u.s + n + 1));
	return list;
}

bool
state_doubt(void *state, const char *host, const struct mark *mark, const char *task)
{
	const struct state *s = state;
	struct arena a = { 0 };
	bool found;

	if (s->doubts == NULL || v_count(s->doubts) == 0)
		return false;
	found = v_gets(s->doubts, doubt_key(&a, host, state_file_of(s, mark),
	    mark->line, task)) != NULL;
	arena_release(&a);
	return found;
}

/* Why a host's run was no success: the last failure, or the connection. Kept until the host's counters come. */
static void
note_reason(struct state *s, const struct event *e, const char *msg)
{
	const char *text = e->outcome == OUT_UNREACHABLE ? text_or_empty(msg) :
	    arena_printf(&s->run_arena, "%s: %s", text_or_empty(e->task),
	    text_or_empty(msg));

	v_set_str(&s->run_arena, s->reasons, e->host,
	    shortened(&s->run_arena, text, strlen(text), REASON_MAX));
	if (e->unanswered != NULL)
		v_set_str(&s->run_arena, s->unanswered, e->host, e->unanswered);
	else
		(void)v_dels(s->unanswered, e->host);
}

static void
see_task(struct state *s, const struct event *e)
{
	struct arena a = { 0 };
	const char *file = state_file_of(s, &e->mark), *name = text_or_empty(e->task);
	const char *key = arena_printf(&a, "%u\n%s\n%s", e->task_id, file, name);

	if (v_gets(s->seen_tasks, key) == NULL) {
		v_set_bool(&s->run_arena, s->seen_tasks, key, true);
		writer_put(s->writer, SQL_TASK_ADD, "sissssi", file,
		    (int64_t)e->mark.line, name, text_or_empty(e->module),
		    text_or_empty(e->role), text_or_empty(e->play),
		    (int64_t)e->handler);
	}
	arena_release(&a);
}

static void
task_end(struct state *s, const struct event *e)
{
	struct arena a = { 0 };
	const struct value *result = e->result != NULL && e->result->type == V_MAP ?
	    e->result : v_map(&a);
	const char *file = state_file_of(s, &e->mark);
	const char *name = text_or_empty(e->task), *module = text_or_empty(e->module);
	const char *role = text_or_empty(e->role), *play = text_or_empty(e->play);
	const char *msg, *full = NULL, *diff;

	see_host(s, e->host);
	see_task(s, e);
	msg = message(&a, result, e->outcome);
	if (e->outcome == OUT_UNREACHABLE && e->text != NULL)
		msg = shortened(&a, e->text, strlen(e->text), MSG_MAX);
	if (e->outcome != OUT_OK && e->outcome != OUT_SKIPPED)
		full = detail(&a, result);
	diff = state_diffs(&a, result);
	writer_put(s->writer, SQL_RESULT, "srsiisssissssis", e->host,
	    outcome_name(e->outcome), e->start_ms, e->duration_ms, e->delegated,
	    msg, file, (int64_t)e->mark.line, name, module, role, play,
	    (int64_t)e->handler, e->class);
	if (full != NULL || diff != NULL)
		writer_put(s->writer, SQL_DETAIL, "ss", full, diff);
	if (!e->check) {
		owed_task_end(s, e, file);
		if (v_get_bool(s->doing, e->host, false)) {
			v_set_bool(&s->run_arena, s->doing, e->host, false);
			writer_put(s->writer, SQL_DOING_DONE, "sr", e->host);
		}
	}
	drift_record(s, e);
	if ((e->outcome == OUT_FAILED || e->outcome == OUT_UNREACHABLE) && !e->aborted)
		note_reason(s, e, msg);
	if ((e->outcome == OUT_OK || e->outcome == OUT_CHANGED) &&
	    e->module != NULL && (strcmp(module, "setup") == 0 ||
	    strcmp(module, "gather_facts") == 0) && e->delegated == NULL)
		(void)state_facts_set(s, e->host, v_gets(result, "ansible_facts"));
	arena_release(&a);
}

static void
host_stats(struct state *s, const struct event *e)
{
	const struct host_stats *st = &e->stats;

	see_host(s, e->host);
	writer_put(s->writer, SQL_RUN_HOST, "sriiiiiii", e->host,
	    (int64_t)st->ok, (int64_t)st->changed, (int64_t)st->failed,
	    (int64_t)st->skipped, (int64_t)st->unreachable,
	    (int64_t)st->rescued, (int64_t)st->ignored);
	if (st->unreachable == 0)
		writer_put(s->writer, SQL_HOST_SEEN, "si", e->host,
		    state_now_ms());
	if (!e->check && !s->how.partial && s->how.root == NULL && st->ok + st->changed + st->failed > 0)
		writer_put(s->writer, SQL_APPLIED_SITE, "srs", e->host, s->site);
	if (!e->check && !s->how.partial && s->how.root == NULL && e->status == 0 &&
	    st->failed + st->unreachable == 0)
		drift_through(s, e->host);
	v_set_bool(&s->run_arena, s->through, e->host,
	    st->failed + st->unreachable == 0 && e->status == 0);
}

static void
pending(struct state *s, const char *host, const char *reason)
{
	uint32_t chance = 0;

	/* Without randomness there is no jitter: nothing depends on it. */
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == -1)
		chance = 0;
	writer_put(s->writer, SQL_PENDING, "srsisiiis", host, s->site,
	    (int64_t)s->how.partial, v_get_str(s->reasons, host, reason),
	    (int64_t)STATE_TRIES, (int64_t)chance, state_now_ms(),
	    v_get_str(s->unanswered, host, NULL));
}

/*
 * Success clears what a host owes, failure makes it pending.  A run that a
 * person has interrupted does neither for those it did not come to: they know.
 */
static void
run_end(struct state *s, const struct event *e)
{
	const struct ventry *h;
	uint32_t it = 0, i;
	bool stopped = e->status == 130;

	while (!e->check && (h = v_next(s->through, &it)) != NULL) {
		if (!v_get_bool(s->through, h->key->u.s, false)) {
			if (!stopped || v_gets(s->reasons, h->key->u.s) != NULL)
				pending(s, h->key->u.s, "the run was ended by failures elsewhere");
		} else if (!stopped)
			writer_put(s->writer, SQL_PENDING_DONE, "ssi",
			    h->key->u.s, s->site, (int64_t)s->how.partial);
	}
	for (i = 0; !e->check && !stopped && e->status != 0 && s->leased != NULL &&
	    i < v_count(s->leased); i++)
		if (v_gets(s->through, v_at(s->leased, i)->u.s) == NULL)
			pending(s, v_at(s->leased, i)->u.s,
			    "the run was ended before it came to this host");
	writer_put(s->writer, SQL_RUN_END, "rii", state_now_ms(),
	    (int64_t)e->status);
	state_lease_drop(s);
	arena_release(&s->run_arena);
	s->seen_hosts = s->seen_tasks = s->owed = s->doubts = NULL;
	arena_release(&s->how_arena);
	s->how = (struct state_run_how){ 0 };
	s->sealed = NULL;
}

static void
record(void *arg, const struct event *e)
{
	struct state *s = arg;

	if (s->writer == NULL || (s->seen_hosts == NULL && e->type != EV_RUN_START))
		return;
	/* All that one event says, or nothing of it. */
	writer_hold(s->writer);
	switch (e->type) {
	case EV_RUN_START:
		run_start(s, e);
		break;
	case EV_ITEM:
		see_host(s, e->host);
		see_task(s, e);
		drift_record(s, e);
		break;
	case EV_TASK_END:
	case EV_HOST_UNREACHABLE:
		if (e->host != NULL)
			task_end(s, e);
		break;
	case EV_WARNING:
		if (e->text != NULL) {
			struct arena a = { 0 };

			writer_put(s->writer, SQL_WARNING, "rss", e->host,
			    shortened(&a, e->text, strlen(e->text), MSG_MAX));
			arena_release(&a);
		}
		break;
	case EV_STATS:
		host_stats(s, e);
		break;
	case EV_RUN_END:
		run_end(s, e);
		break;
	case EV_ASKED:
		if (!e->check)
			asked(s, e);
		break;
	case EV_BEFORE:
		see_host(s, e->host);
		before_put(s, e);
		break;
	case EV_NOTIFIED:
		if (!e->check) {
			see_host(s, e->host);
			writer_put(s->writer, SQL_OWED, "srssi", e->host,
			    text_or_empty(e->task), s->site, state_now_ms());
		}
		break;
	default:
		break;
	}
	writer_release(s->writer);
	/* The host hears of it only when it is committed. */
	if (e->type == EV_ASKED && !e->check)
		writer_hurry(s->writer);
}

int
state_run_how(struct state *s, const struct state_run_how *how, struct err *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct arena *a = &s->how_arena;

	arena_release(a);
	s->how = *how;
	s->how.options = NULL;
	s->how.site = how->site != NULL ? arena_strdup(a, how->site) : NULL;
	s->how.site_id = how->site_id != NULL ? arena_strdup(a, how->site_id) : NULL;
	s->how.root = how->root != NULL ? arena_strdup(a, how->root) : NULL;
	s->sealed = NULL;
	if (how->options == NULL)
		return 0;
	json_write(&text, how->options, JSON_COMPACT);
	s->sealed = seal_text(s, a, text.data, text.len, err);
	explicit_bzero(text.data, text.len);
	return s->sealed != NULL ? 0 : -1;
}

struct sink
state_sink(struct state *s)
{
	return (struct sink){ .event = record, .arg = s };
}

uint64_t
state_queued(struct state *s)
{
	return s->writer != NULL ? writer_queued(s->writer) : 0;
}

uint64_t
state_committed(struct state *s)
{
	return s->writer != NULL ? writer_done(s->writer) : 0;
}

void
state_notify(struct state *s, int fd)
{
	if (s->writer != NULL)
		writer_notify(s->writer, fd);
}

int64_t
state_run_id(const struct state *s)
{
	return s->writer != NULL ? writer_run(s->writer) : 0;
}
