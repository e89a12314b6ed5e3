/*
 * provctl plan: what an apply would do, grouped, and kept for later.
 *
 * A plan is made by a check.  Its file holds what identifies each change (host,
 * task, a keyed hash of what is asked for and one of the difference that was
 * seen), the id of the site's snapshot, and the options of the command line,
 * encrypted; no arguments, no contents, no diffs.  A second line signs the
 * first, with the key beside the database: a plan is good only where it was
 * made.
 *
 *	apply FILE:  same snapshot? ── check again ── same set? ── apply, gated
 *
 * The gate (run_opts.permit) lets through what the plan has: those changes,
 * handlers that they notify, and commands that cannot be predicted, which the
 * plan lists as such.  Anything else is only checked; what it would have
 * changed is told at the end.  The run keeps what its gate lets through: who
 * resumes it gets no more.  A change whose difference cannot be seen (its
 * content is secret, or has no_log) is compared by what is asked for alone.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "again.h"
#include "holding.h"
#include "load.h"
#include "out.h"
#include "plan.h"
#include "remote.h"
#include "state/drift.h"
#include "state/seal.h"
#include "state/udiff.h"

#define PLAN_MARK	"{\"provctl_plan\":1,"
#define PLAN_MAX	((size_t)64 * 1024 * 1024)
#define TOLD		10u	/* differences that are named */

struct plan {
	struct arena		*arena;
	struct value		*changes, *runs, *handlers;	/* lists of maps */
	const struct value	*allowed;	/* set of key_text(); when one is applied */
	uint32_t		 barred;	/* changes that were not in it */
};

/* ---- collecting ------------------------------------------------------------------------ */

static const char *
key_text(struct arena *a, const char *host, struct drift_key k)
{
	return arena_printf(a, "%s %016llx %016llx", host, (unsigned long long)k.task,
	    (unsigned long long)k.desired);
}

/* A hash of the difference, "" when there is none to be seen. */
static const char *
difference(struct arena *a, struct state *s, const struct value *diff)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	char name[SEAL_NAME];

	if (diff == NULL)
		return "";
	json_write(&b, diff, JSON_COMPACT | JSON_CENSOR);
	if (seal_name(s, buf_str(&b), b.len, name, &err) == -1) {
		err_release(&err);
		return "";
	}
	return arena_strdup(a, name);
}

static struct value *
row_of(struct plan *p, struct state *s, const struct event *e, const char *key)
{
	struct arena *a = p->arena;
	const struct value *diff = e->result != NULL && e->result->type == V_MAP ?
	    v_gets(e->result, "diff") : NULL;
	struct value *row = v_map(a);
	struct buf b = BUF_INIT;

	v_set_str(a, row, "host", e->host);
	v_set_str(a, row, "task", e->task);
	if (e->item != NULL && e->item->type == V_STR)
		v_sets(a, row, "item", v_copy(a, e->item));
	else if (e->item != NULL) {
		json_write(&b, e->item, JSON_COMPACT | JSON_CENSOR);
		v_set_str(a, row, "item", buf_str(&b));
		buf_clear(&b);
	}
	v_set_str(a, row, "module", e->module);
	if (e->mark.src != NULL) {
		v_set_str(a, row, "file", e->mark.src->path);
		v_set_int(a, row, "line", e->mark.line);
	}
	if (e->class != NULL)
		v_set_str(a, row, "class", e->class);
	v_set_str(a, row, "key", key);
	v_set_str(a, row, "difference", difference(a, s, diff));
	if (diff != NULL) {
		udiff_value(&b, diff, UDIFF_MAX);
		v_set_str(a, row, "diff", buf_str(&b));
	}
	buf_release(&b);
	return row;
}

static void
collect(struct ctl *ctl, struct state *s, const struct event *e)
{
	struct plan *p = ctl->watch.arg;
	struct drift_key k;
	const char *key;

	if (e->type != EV_ITEM && e->type != EV_TASK_END)
		return;
	if (e->type == EV_TASK_END && e->handler && e->outcome == OUT_CHANGED)
		v_push(p->arena, p->handlers, row_of(p, s, e, ""));
	k = state_event_key(s);
	if (k.task == 0 || e->desired == NULL || e->handler)
		return;
	key = key_text(p->arena, e->host, k);
	if (e->blind || !e->predicted)
		v_push(p->arena, p->runs, row_of(p, s, e, key));
	else if (e->outcome == OUT_CHANGED && e->class != NULL)
		v_push(p->arena, p->changes, row_of(p, s, e, key));
}

static struct plan
plan_new(struct ctl *ctl)
{
	return (struct plan){ .arena = &ctl->arena, .changes = v_list(&ctl->arena),
	    .runs = v_list(&ctl->arena), .handlers = v_list(&ctl->arena) };
}

static int
check(struct ctl *ctl, struct plan *p, const char *site)
{
	int status;

	ctl->set.check = true;
	ctl->watch.event = collect;
	ctl->watch.quiet = ctl->watch.silent = true;
	ctl->watch.arg = p;
	status = apply_site(ctl, site);
	ctl->watch = (struct watch){ .site_id = ctl->watch.site_id,
	    .kept = ctl->watch.kept, .run = ctl->watch.run };
	return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

static int
sign(struct state *s, const char *line, size_t n, char mac[SEAL_NAME], struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_adds(&b, "provctl plan\n");
	buf_add(&b, line, n);
	return seal_name(s, buf_str(&b), b.len, mac, err);
}

/* Rows without what is only to be shown. */
static const struct value *
bare(struct arena *a, const struct value *rows)
{
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < v_count(rows); i++) {
		struct value *row = v_map(a);

		v_merge(a, row, v_at(rows, i));
		(void)v_dels(row, "diff");
		v_push(a, list, row);
	}
	return list;
}

static int
write_plan(const char *path, const struct buf *b, struct err *err)
{
	struct arena a = { 0 };
	char *tmp = arena_printf(&a, "%s.XXXXXX", path);
	int fd = mkostemp(tmp, O_CLOEXEC), r = 0;

	/* 0600, and never half of one. */
	if (fd == -1 || write(fd, b->data, b->len) != (ssize_t)b->len ||
	    fsync(fd) == -1 || rename(tmp, path) == -1) {
		r = err_errno(err, "cannot write the plan '%s'", path);
		if (fd != -1)
			(void)unlink(tmp);
	}
	if (fd != -1)
		(void)close(fd);
	arena_release(&a);
	return r;
}

static int
save(struct ctl *ctl, const struct plan *p, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct value *v = v_map(p->arena);
	const struct value *options;
	char mac[SEAL_NAME];
	const char *sealed = NULL;
	struct load l;
	int r = -1;

	load_init(&l, ctl);
	if (load_state(&l, 0) == -1) {
		load_release(&l);
		return -1;
	}
	if ((options = state_run_options(l.state, p->arena, ctl->watch.run, err)) != NULL) {
		json_write(&b, options, JSON_COMPACT);
		sealed = seal_text(l.state, p->arena, buf_str(&b), b.len, err);
		explicit_bzero(b.data, b.len);
		buf_clear(&b);
	}
	if (sealed != NULL) {
		v_set_int(p->arena, v, "provctl_plan", 1);
		v_set_str(p->arena, v, "site", v_get_str(options, "site", ""));
		v_set_str(p->arena, v, "snapshot", ctl->watch.kept);
		v_set_int(p->arena, v, "made_ms", state_time_ms());
		v_set_int(p->arena, v, "run", ctl->watch.run);
		v_sets(p->arena, v, "changes", bare(p->arena, p->changes));
		v_sets(p->arena, v, "runs", bare(p->arena, p->runs));
		v_set_str(p->arena, v, "options", sealed);
		json_write(&b, v, JSON_COMPACT | JSON_CENSOR);
		if ((r = sign(l.state, b.data, b.len, mac, err)) == 0) {
			buf_addf(&b, "\n{\"signature\":\"%s\"}\n", mac);
			r = write_plan(path, &b, err);
		}
	}
	load_release(&l);
	return r;
}

bool
is_plan(const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[sizeof(PLAN_MARK) - 1];
	struct stat st;

	return fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
	    memcmp(head, PLAN_MARK, sizeof(head)) == 0;
}

/* The plan of a file, with its options decrypted; NULL with err. */
static const struct value *
read_plan(struct ctl *ctl, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct value *v = NULL, *second;
	struct value *plan = NULL;
	const char *end, *text = NULL;
	char mac[SEAL_NAME];
	struct load l;

	buf_init(&b, PLAN_MAX);
	if (buf_read_file(&b, path) == -1)
		return err_errno(err, "cannot read the plan '%s'", path), NULL;
	end = memchr(buf_str(&b), '\n', b.len);
	second = end == NULL ? NULL : json_parse_text(&ctl->arena, end + 1,
	    b.len - (size_t)(end + 1 - b.data), err);
	err_release(err);
	load_init(&l, ctl);
	if (second != NULL && load_state(&l, STATE_READ_ONLY) == 0 &&
	    sign(l.state, b.data, (size_t)(end - b.data), mac, err) == 0 &&
	    strcmp(mac, v_get_str(second, "signature", "")) == 0 &&
	    (v = json_parse_text(&ctl->arena, b.data, (size_t)(end - b.data), err)) != NULL)
		text = unseal_text(l.state, &ctl->arena, v_get_str(v, "options", ""), err);
	if (text != NULL) {
		plan = v_map(&ctl->arena);
		v_merge(&ctl->arena, plan, v);
		v_sets(&ctl->arena, plan, "options", json_parse_text(&ctl->arena, text,
		    strlen(text), err));
	}
	load_release(&l);
	if (plan == NULL && err->code == ERR_NONE && ctl->diags.nerrors == 0) {
		(void)err_set(err, ERR_INVALID, "'%s' is no plan of this state database, or was changed since", path);
		err_hint(err, "a plan can be applied only with the database it was made with: --state");
	}
	return plan;
}

/* ---- provctl apply FILE ------------------------------------------------------------------------- */

static void
tell(struct ctl *ctl, const struct value *r, const char *what, uint32_t n)
{
	const char *item = v_get_str(r, "item", NULL);
	struct err *e;

	if (n > TOLD)
		return;
	e = diags_error(&ctl->diags, ERR_INVALID, (struct mark){ 0 },
	    "'%s' has changed since the plan was made: '%s%s%s' %s",
	    v_get_str(r, "host", ""), v_get_str(r, "task", ""),
	    item != NULL ? " => " : "", item != NULL ? item : "", what);
	if (n == 1)
		err_hint(e, "nothing was changed; make a new plan: provctl plan --out FILE SITE");
}

/* Tells how what was seen now differs from what was planned. In how many changes. */
static uint32_t
compare(struct ctl *ctl, const struct value *planned, const struct value *now)
{
	struct value *left = v_map(&ctl->arena);
	const struct ventry *e;
	uint32_t i, it = 0, n = 0;

	for (i = 0; i < v_count(now); i++)
		v_sets(&ctl->arena, left, v_get_str(v_at(now, i), "key", ""), v_at(now, i));
	for (i = 0; i < v_count(planned); i++) {
		const struct value *r = v_at(planned, i);
		const char *key = v_get_str(r, "key", "");
		const struct value *same = v_gets(left, key);

		if (same == NULL)
			tell(ctl, r, "is no longer to be changed", ++n);
		else if (strcmp(v_get_str(same, "difference", ""),
		    v_get_str(r, "difference", "")) != 0)
			tell(ctl, r, "finds something else there", ++n);
		(void)v_dels(left, key);
	}
	while ((e = v_next(left, &it)) != NULL)
		tell(ctl, e->val, "is to be changed, too", ++n);
	return n;
}

static bool
in_plan(struct ctl *ctl, struct state *s, const struct event *e)
{
	const struct plan *p = ctl->watch.arg;
	struct arena a = { 0 };
	bool found = e->handler || v_gets(p->allowed, key_text(&a, e->host,
	    state_drift_key(s, e))) != NULL;

	arena_release(&a);
	return found;
}

static void
count_barred(struct ctl *ctl, struct state *s, const struct event *e)
{
	struct plan *p = ctl->watch.arg;

	(void)s;
	if ((e->type == EV_TASK_END || e->type == EV_ITEM) && e->desired != NULL &&
	    e->barred)
		p->barred++;
}

void
plan_gate(struct ctl *ctl, const struct value *keys)
{
	struct plan *p = ARENA_NEW(&ctl->arena, struct plan);
	struct value *allowed = v_map(&ctl->arena);
	uint32_t i;

	for (i = 0; i < v_count(keys); i++)
		if (v_at(keys, i)->type == V_STR)
			v_set_bool(&ctl->arena, allowed, v_at(keys, i)->u.s, true);
	p->arena = &ctl->arena;
	p->allowed = allowed;
	ctl->watch.event = count_barred;
	ctl->watch.permit = in_plan;
	ctl->watch.gate = keys;
	ctl->watch.arg = p;
}

int
plan_gate_end(struct ctl *ctl, int status)
{
	uint32_t n = ((const struct plan *)ctl->watch.arg)->barred;

	ctl->watch = (struct watch){ 0 };
	if (n == 0)
		return status;
	out_note(ctl->out, "%u change%s that the plan does not have %s left out; `provctl plan` shows them",
	    n, n == 1 ? "" : "s", n == 1 ? "was" : "were");
	return status == RUN_OK ? RUN_PENDING : status;
}

static int
apply_plan(struct ctl *ctl, const struct value *plan, const char *site)
{
	const struct value *lists[] = { v_gets(plan, "changes"), v_gets(plan, "runs") };
	struct value *keys = v_list(&ctl->arena);
	uint32_t i, j;

	for (i = 0; i < NITEMS(lists); i++)
		for (j = 0; j < v_count(lists[i]); j++)
			v_push(&ctl->arena, keys, v_str(&ctl->arena,
			    v_get_str(v_at(lists[i], j), "key", "")));
	ctl->set.check = false;
	plan_gate(ctl, keys);
	return plan_gate_end(ctl, apply_site(ctl, site));
}

int
plan_apply(struct ctl *ctl, const char *path)
{
	struct settings given = ctl->set;
	struct plan now = plan_new(ctl);
	const struct value *plan;
	struct err err = ERR_INIT;
	const char *site;
	int status;

	if (v_count(settings_save(&ctl->arena, &given)) > 0 || given.list_hosts ||
	    given.list_tasks || given.list_tags || given.syntax_check)
		return usage_error(ctl, "'%s' is a plan, which has options of its own: only --check, --diff, --verbose, --wait and --state go with it", path);
	if (absolute_state(ctl) == -1 || (plan = read_plan(ctl, path, &err)) == NULL)
		return err.code != ERR_NONE ? fail_with(ctl, &err) : RUN_USAGE;
	given.state = ctl->set.state;
	if ((site = settings_of_run(ctl, v_get_int(plan, "run", 0),
	    v_gets(plan, "options"))) == NULL)
		return RUN_USAGE;
	ctl->watch.site_id = v_get_str(plan, "snapshot", "");
	status = check(ctl, &now, site);
	if ((status == RUN_OK || status == RUN_PENDING) &&
	    compare(ctl, v_gets(plan, "changes"), now.changes) > 0)
		status = RUN_USAGE;
	if (!given.check && (status == RUN_OK || status == RUN_PENDING))
		status = apply_plan(ctl, plan, site);
	ctl->watch = (struct watch){ 0 };
	ctl->set = given;
	return status;
}

/* ---- provctl plan ---------------------------------------------------------------------------------- */

static int
plan(struct ctl *ctl)
{
	struct plan p = plan_new(ctl);
	struct value *all = v_map(&ctl->arena);
	const char *out = ctl->set.plan_file;
	struct err err = ERR_INIT;
	int status;

	/* Its file is for the user: a confined agentd may not write there. */
	if (out == NULL && remote_run(ctl, &status))
		return status;
	status = check(ctl, &p, ctl->args.v[0]);
	if (status == RUN_USAGE || status == RUN_BUSY || status == RUN_INTERRUPTED)
		return status;
	v_set_str(&ctl->arena, all, "site", ctl->args.v[0]);
	v_set_int(&ctl->arena, all, "run", ctl->watch.run);
	v_sets(&ctl->arena, all, "changes", p.changes);
	v_sets(&ctl->arena, all, "runs", p.runs);
	v_sets(&ctl->arena, all, "handlers", p.handlers);
	ctl->out->stream = false;
	ctl->out->ops->plan(ctl->out, all, ctl->set.diff, ctl->set.verbose);
	if (out == NULL)
		/* Commands that only look change nothing: a plan of them alone is none. */
		return status == RUN_OK || status == RUN_PENDING ?
		    v_count(p.changes) > 0 ? RUN_PENDING : RUN_OK : status;
	if (status != RUN_OK && status != RUN_PENDING) {
		out_note(ctl->out, "'%s' is not written: the plan is not complete", out);
		return status;
	}
	if (save(ctl, &p, out, &err) == -1)
		return err.code != ERR_NONE ? fail_with(ctl, &err) : RUN_USAGE;
	out_note(ctl->out, "`provctl apply %s` applies exactly this", out);
	return v_count(p.changes) > 0 ? RUN_PENDING : RUN_OK;
}

static const struct opt rows[] = {
	{ .letter = 'o', .name = "out", .type = OPT_STR, .offset = OFF(plan_file),
	    .arg = "FILE", .doc = "Also writes the plan, for `provctl apply FILE`." },
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what would change in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows also the commands that an apply runs whatever they do." },
	OPT_END
};
const struct opt_group opts_plan = { "Plan", rows };

const struct cmd cmd_plan = {
	.name = "plan", .args = "SITE",
	.summary = "shows what an apply would change, and keeps it to be applied",
	.doc = "A check, told by hosts: what is intentional (the site asks for something else than when it was last applied there) and what is corrective (the host has changed since).\n\n`provctl apply FILE` applies a plan that --out has written, exactly: when the site's files have changed, or a host is not as it was seen, it refuses and changes nothing. Commands cannot be predicted; a plan lists those that an apply would run. The file holds no contents and no secrets in clear, and is good only with the database it was made with.\n\nExit status: 0 when nothing is to be changed, 2 when something is, 3 when a task failed, 4 when a host was unreachable.",
	.opts = plan_groups, .min_args = 1, .max_args = 1, .run = plan,
};
