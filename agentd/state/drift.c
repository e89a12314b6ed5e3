/*
 * See drift.h.
 *
 * A task is known by a number: the first 64 bits of the SHA-256 of what names
 * it, plus how many of the same the host has met before in this run.  What it
 * asked is a number too, of the hash with the key beside the database, so that
 * nobody can try passwords on it.  Two numbers a task and host are all that is
 * kept: 100,000 of them make a few megabytes, and a run that changes nothing
 * writes none.
 *
 * What is known of a host is read when its first result comes (one look into
 * an index, some 50 µs for a hundred tasks) and kept for the run.
 */
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "state/drift.h"
#include "state/private.h"
#include "state/udiff.h"

#define ITEM_MAX	200u	/* bytes of an item's label that are kept */

struct known {
	int64_t	 task;
	int64_t	 desired;
	uint32_t count;		/* met in this run, of the first of its name */
	bool	 used, applied, open;
};

struct drift_host {
	const char		*name;
	struct known		*v;	/* a hash table, of a power of two */
	uint32_t		 n, size;
	bool			 looped, intentional, corrective;	/* items of the task at hand */
	bool			 barred;	/* something was not let through */
	struct drift_host	*next;
};

/* ---- what is known of a host ---------------------------------------------------------- */

static struct known *
find(struct state *s, struct drift_host *h, int64_t task)
{
	uint32_t i;

	if ((h->n + 1) * 2 > h->size) {
		struct known *old = h->v;
		uint32_t was = h->size;

		h->size = was == 0 ? 64 : was * 2;
		h->v = ARENA_ARRAY(&s->run_arena, h->size, struct known);
		h->n = 0;
		for (i = 0; i < was; i++)
			if (old[i].used)
				*find(s, h, old[i].task) = old[i];
	}
	for (i = (uint32_t)task & (h->size - 1); h->v[i].used; i = (i + 1) & (h->size - 1))
		if (h->v[i].task == task)
			return &h->v[i];
	h->v[i] = (struct known){ .task = task, .used = true };
	h->n++;
	return &h->v[i];
}

static void
load(struct state *s, struct drift_host *h)
{
	struct err err = ERR_INIT;
	sqlite3_stmt *st = state_prepare(s, "SELECT task, desired, 0 FROM applied"
	    " WHERE host_id = (SELECT id FROM hosts WHERE name = ?1)"
	    " UNION ALL SELECT task, 0, 1 FROM drift"
	    " WHERE host_id = (SELECT id FROM hosts WHERE name = ?1)"
	    " AND closed_ms IS NULL", &err);

	if (st != NULL)
		state_bind_text(st, 1, h->name);
	while (st != NULL && sqlite3_step(st) == SQLITE_ROW) {
		struct known *k = find(s, h, sqlite3_column_int64(st, 0));

		if (sqlite3_column_int(st, 2) == 1)
			k->open = true;
		else {
			k->applied = true;
			k->desired = sqlite3_column_int64(st, 1);
		}
	}
	(void)sqlite3_finalize(st);
	err_release(&err);
}

static struct drift_host *
host_of(struct state *s, const char *name)
{
	struct drift_host **first = &s->drift_hosts[v_hash_str(name, strlen(name)) %
	    DRIFT_BUCKETS], *h;

	for (h = *first; h != NULL; h = h->next)
		if (strcmp(h->name, name) == 0)
			return h;
	h = ARENA_NEW(&s->run_arena, struct drift_host);
	h->name = arena_strdup(&s->run_arena, name);
	h->next = *first;
	*first = h;
	load(s, h);
	return h;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static int64_t
number(const unsigned char *digest)
{
	uint64_t n;

	memcpy(&n, digest, sizeof(n));
	return (int64_t)(n >> 1);	/* room for counting */
}

static const char *
label(struct arena *a, const struct value *item)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t n;

	if (item == NULL)
		return "";
	if (item->type == V_STR && !(item->flags & V_SECRET))
		buf_add(&b, item->u.s, item->len);
	else
		json_write(&b, item, JSON_COMPACT | JSON_CENSOR);
	for (n = b.len < ITEM_MAX ? b.len : ITEM_MAX; n < b.len && n > 0 &&
	    (b.data[n] & 0xc0) == 0x80; n--)
		;
	return arena_strndup(a, buf_str(&b), n);
}

static int64_t
task_number(struct state *s, const struct event *e)
{
	struct arena a = { 0 };
	const char *parts[] = { s->site, state_file_of(s, &e->mark), e->role, e->task,
	    e->module, e->item != NULL ? label(&a, e->item) : NULL };
	unsigned char digest[SHA256_LEN];
	struct sha256 sum;
	size_t i;

	sha256_init(&sum);
	for (i = 0; i < NITEMS(parts); i++) {
		if (parts[i] != NULL)
			sha256_add(&sum, parts[i], strlen(parts[i]));
		sha256_add(&sum, "", 1);
	}
	sha256_end(&sum, digest);
	arena_release(&a);
	return number(digest);
}

static int64_t
desired_number(struct state *s, const char *desired)
{
	struct err err = ERR_INIT;
	char name[65];
	unsigned char digest[SHA256_LEN];

	/* Without the key nothing can be kept of a run, and that is said when it begins. */
	if (seal_name(s, desired, strlen(desired), name, &err) == -1) {
		err_release(&err);
		return 0;
	}
	for (size_t i = 0; i < 8; i++) {
		char two[3] = { name[i * 2], name[i * 2 + 1], '\0' };

		digest[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	return number(digest);
}

/* ---- classes ---------------------------------------------------------------------------------- */

/* first: the number of the first of its name. */
static struct drift_key
key_of(struct state *s, struct drift_host *h, int64_t first, const char *desired)
{
	struct drift_key key = { .task = first + find(s, h, first)->count,
	    .desired = desired_number(s, desired) };
	const struct known *k = find(s, h, key.task);

	key.known = k->applied;
	key.same = k->applied && k->desired == key.desired;
	return key;
}

struct drift_key
state_drift_key(struct state *s, const struct event *e)
{
	if (s->seen_hosts == NULL || e->host == NULL || e->desired == NULL)
		return (struct drift_key){ 0 };
	return key_of(s, host_of(s, e->host), task_number(s, e), e->desired);
}

/* One item or task without items; what is to be recorded of it is kept for drift_record(). */
static const char *
one(struct state *s, struct drift_host *h, const struct event *e)
{
	int64_t first = task_number(s, e);
	const char *class = NULL;

	s->drift_key = (struct drift_key){ 0 };
	if (e->desired != NULL && !e->handler) {
		s->drift_key = key_of(s, h, first, e->desired);
		if (e->outcome == OUT_CHANGED && !e->blind)
			class = s->drift_key.same ? CLASS_CORRECTIVE : CLASS_INTENTIONAL;
	}
	/* Counted also when it was skipped: which one of several it is does not depend on the others. */
	find(s, h, first)->count++;
	return class;
}

const char *
state_classify(void *state, const struct event *e)
{
	struct state *s = state;
	struct drift_host *h;
	const char *class;

	if (s->seen_hosts == NULL || e->host == NULL)
		return NULL;
	h = host_of(s, e->host);
	h->barred |= e->barred;
	if (e->type == EV_ITEM) {
		class = one(s, h, e);
		h->looped = true;
		h->intentional |= class != NULL && strcmp(class, CLASS_INTENTIONAL) == 0;
		h->corrective |= class != NULL && strcmp(class, CLASS_CORRECTIVE) == 0;
		return class;
	}
	if (!h->looped)
		return one(s, h, e);
	/* A loop's items have been told one by one. */
	class = h->intentional ? CLASS_INTENTIONAL : h->corrective ? CLASS_CORRECTIVE : NULL;
	h->looped = h->intentional = h->corrective = false;
	s->drift_key = (struct drift_key){ 0 };
	return class;
}

struct drift_key
state_event_key(const struct state *s)
{
	return s->drift_key;
}

/* ---- recording ---------------------------------------------------------------------------------- */

static void
close_row(struct state *s, const struct event *e, struct known *k, const char *how)
{
	writer_put(s->writer, SQL_DRIFT_CLOSE, "sriis", e->host, k->task,
	    state_now_ms(), how);
	k->open = false;
}

void
drift_record(struct state *s, const struct event *e)
{
	struct drift_key key = s->drift_key;
	bool real = !e->check && !e->predicted;
	struct arena a = { 0 };
	struct known *k;

	if (key.task == 0 || (e->outcome != OUT_OK && e->outcome != OUT_CHANGED))
		return;
	k = find(s, host_of(s, e->host), key.task);
	if (e->class != NULL && strcmp(e->class, CLASS_CORRECTIVE) == 0) {
		writer_put(s->writer, SQL_DRIFT_SEEN, "srsisississssi", e->host,
		    s->site, k->task, label(&a, e->item), state_now_ms(),
		    state_diffs(&a, e->result), state_file_of(s, &e->mark),
		    (int64_t)e->mark.line, e->task != NULL ? e->task : "",
		    e->module != NULL ? e->module : "", e->role != NULL ? e->role : "",
		    e->play != NULL ? e->play : "", (int64_t)e->handler);
		k->open = true;
		if (real)
			close_row(s, e, k, "corrected");
	} else if (k->open && e->outcome == OUT_OK)
		close_row(s, e, k, "gone");
	else if (k->open && e->class != NULL && real)
		close_row(s, e, k, "replaced");
	if (real && !key.same) {
		writer_put(s->writer, SQL_APPLIED, "sii", e->host, key.task, key.desired);
		k->applied = true;
		k->desired = key.desired;
	}
	arena_release(&a);
}

void
drift_through(struct state *s, const char *host)
{
	const struct drift_host *h = host_of(s, host);
	uint32_t i;

	for (i = 0; i < h->size && !h->barred; i++)
		if (h->v[i].open) {
			writer_put(s->writer, SQL_DRIFT_REST, "srsi", host, s->site,
			    state_now_ms());
			break;
		}
}

int
state_drift_forget(struct state *s, const char *site, struct err *err)
{
	if (state_writable(s, err) == -1)
		return -1;
	writer_put(s->writer, SQL_SITE_FORGET, "s", site);
	writer_put(s->writer, SQL_SITE_FORGET_DRIFT, "si", site, state_now_ms());
	return writer_sync(s->writer, err);
}

/* ---- reading --------------------------------------------------------------------------------------- */

#define DRIFT_COLUMNS							\
	"SELECT h.name, d.site, t.name, d.item, t.module, t.role, t.file, t.line,"	\
	" d.first_ms, d.first_run, d.last_ms, d.last_run, d.seen, d.diff,"	\
	" d.closed_ms, d.closed_run, d.how FROM drift d"		\
	" JOIN hosts h ON h.id = d.host_id JOIN tasks t ON t.id = d.task_id"	\
	" WHERE (?1 IS NULL OR h.name = ?1) AND (?2 IS NULL OR d.site = ?2)"

static const struct columns columns[] = {
	{ "host", COL_TEXT }, { "site", COL_TEXT }, { "task", COL_TEXT },
	{ "item", COL_TEXT }, { "module", COL_TEXT }, { "role", COL_TEXT },
	{ "file", COL_TEXT }, { "line", COL_INT }, { "first_ms", COL_INT },
	{ "first_run", COL_INT }, { "last_ms", COL_INT }, { "last_run", COL_INT },
	{ "seen", COL_INT }, { "diff", COL_TEXT }, { "closed_ms", COL_INT },
	{ "closed_run", COL_INT }, { "how", COL_TEXT }, { NULL, COL_TEXT }
};

static const struct value *
rows(struct state *s, struct arena *a, const struct drift_query *q, const char *sql,
    struct err *err)
{
	sqlite3_stmt *st = state_prepare(s, sql, err);

	if (st == NULL)
		return NULL;
	state_bind_text(st, 1, q->host);
	state_bind_text(st, 2, q->site);
	(void)sqlite3_bind_int64(st, 3, q->limit == 0 ? -1 : (int64_t)q->limit);
	return state_rows(s, a, st, columns, err);
}

const struct value *
state_drift(struct state *s, struct arena *a, const struct drift_query *q,
    struct err *err)
{
	const struct value *open, *closed;
	struct value *all;
	uint32_t i;

	open = rows(s, a, q, DRIFT_COLUMNS " AND d.closed_ms IS NULL"
	    " AND ?3 IS NOT NULL ORDER BY h.name, d.id", err);
	if (open == NULL || !q->closed)
		return open;
	closed = rows(s, a, q, DRIFT_COLUMNS " AND d.closed_ms > 0"
	    " ORDER BY d.closed_ms DESC, d.id DESC LIMIT ?3", err);
	if (closed == NULL)
		return NULL;
	all = v_list(a);
	for (i = 0; i < v_count(open); i++)
		v_push(a, all, v_at(open, i));
	for (i = 0; i < v_count(closed); i++)
		v_push(a, all, v_at(closed, i));
	return all;
}

const struct value *
state_applied(struct state *s, struct arena *a, const char *site, struct err *err)
{
	static const struct columns applied_columns[] = {
		{ "site", COL_TEXT }, { "run", COL_INT }, { "site_id", COL_TEXT },
		{ "hosts", COL_JSON }, { NULL, COL_TEXT }
	};
	sqlite3_stmt *st = state_prepare(s, "SELECT site, run_id,"
	    " (SELECT s.id FROM runs r JOIN sites s ON s.id = r.site_id"
	    "  WHERE r.id = run_id), json_group_array(name)"
	    " FROM (SELECT p.site, p.run_id, h.name FROM applied_sites p"
	    "  JOIN hosts h ON h.id = p.host_id WHERE ?1 IS NULL OR p.site = ?1"
	    "  ORDER BY p.site, p.run_id DESC, h.name)"
	    " GROUP BY site, run_id ORDER BY site, run_id DESC", err);

	if (st == NULL)
		return NULL;
	state_bind_text(st, 1, site);
	return state_rows(s, a, st, applied_columns, err);
}

int
state_drift_prune(struct state *s, int64_t before_ms, struct err *err)
{
	sqlite3_stmt *st = state_prepare(s,
	    "DELETE FROM drift WHERE closed_ms < ?1", err);
	int rc;

	if (st == NULL)
		return -1;
	(void)sqlite3_bind_int64(st, 1, before_ms);
	rc = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : db_err(&s->db, rc, "pruning", err);
}
