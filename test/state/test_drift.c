/*
 * Drift and snapshots: what is told from what, and what is kept.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "state/drift.h"
#include "state/seal.h"
#include "state/sites.h"

static char dir[64], path[128];
static struct arena arena;
static struct state *st;

static int
setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	(void)umask(022);
	(void)snprintf(dir, sizeof(dir), "/tmp/provctl-drift-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/state.db", dir);
	st = state_open(path, 0, 2000, &err);
	assert_non_null(st);
	return 0;
}

static int
teardown(void **state)
{
	char cmd[256];

	(void)state;
	state_close(st);
	arena_release(&arena);
	(void)snprintf(cmd, sizeof(cmd), "chmod -R u+w '%s'; rm -rf '%s'", dir, dir);
	return system(cmd);
}

static void
sync_ok(void)
{
	struct err err = ERR_INIT;

	if (state_sync(st, &err) == -1)
		fail_msg("%s", err.msg);
}

static void
fine(int r, struct err *err)
{
	if (r != 0)
		fail_msg("%s", err->msg);
}

/* ---- classes ------------------------------------------------------------------------ */

static const struct source source = { .path = "/site/site.yml" };
static bool checking;
static unsigned line = 7;

static void
send(struct event e)
{
	struct sink sink = state_sink(st);

	e.check = checking;
	sink.event(sink.arg, &e);
}

static void
begin(bool check)
{
	checking = check;
	send((struct event){ .type = EV_RUN_START, .text = "/site/site.yml" });
}

static void
end(void)
{
	send((struct event){ .type = EV_STATS, .host = "h1", .stats = { .ok = 1 } });
	send((struct event){ .type = EV_RUN_END });
	sync_ok();
}

/* As the engine does: classified, then told. */
static const char *
say(struct event e)
{
	static uint32_t n;

	e.task_id = ++n;
	e.mark.src = &source;
	e.mark.line = line;
	e.play = "p";
	e.host = "h1";
	e.check = checking;
	if (e.module == NULL)
		e.module = "copy";
	e.class = state_classify(st, &e);
	send(e);
	return e.class;
}

static const char *
task(const char *name, const char *desired, enum outcome outcome)
{
	return say((struct event){ .type = EV_TASK_END, .task = name,
	    .desired = desired, .outcome = outcome });
}

static const char *
item(const char *name, const char *label, const char *desired, enum outcome outcome)
{
	return say((struct event){ .type = EV_ITEM, .task = name, .desired = desired,
	    .outcome = outcome, .item = v_str(&arena, label) });
}

static void
is(const char *class, const char *want)
{
	if (want == NULL)
		assert_null(class);
	else {
		assert_non_null(class);
		assert_string_equal(class, want);
	}
}

#define NEW	CLASS_INTENTIONAL
#define DRIFT	CLASS_CORRECTIVE

static void
test_classes(void **state)
{
	(void)state;
	begin(false);
	is(task("first", "d1", OUT_CHANGED), NEW);
	is(task("found so", "d1", OUT_OK), NULL);
	is(task("failed", "d1", OUT_FAILED), NULL);
	end();
	begin(true);
	is(task("first", "d1", OUT_CHANGED), DRIFT);
	is(task("first again, of another name", "d1", OUT_CHANGED), NEW);
	is(task("found so", "d1", OUT_CHANGED), DRIFT);
	is(task("failed", "d1", OUT_CHANGED), NEW);
	end();
	/* A check is no apply: the same once more. Lines move, other things are asked for. */
	line = 99;
	begin(true);
	is(task("first", "d2", OUT_CHANGED), NEW);
	is(task("found so", "d1", OUT_CHANGED), DRIFT);
	is(task("failed", "d1", OUT_CHANGED), NEW);
	end();
	begin(false);
	is(task("first", "d2", OUT_CHANGED), NEW);
	end();
	begin(true);
	is(task("first", "d1", OUT_CHANGED), NEW);
	is(task("failed", "d1", OUT_OK), NULL);
	end();
	line = 7;
}

static void
test_no_class(void **state)
{
	struct event e = { .type = EV_TASK_END, .task = "t", .desired = "d",
	    .outcome = OUT_CHANGED };

	(void)state;
	begin(false);
	e.handler = true;
	is(say(e), NULL);
	e.handler = false;
	e.blind = true;
	e.module = "command";
	is(say(e), NULL);
	is(say(e), NULL);
	/* A task with check_mode has changed nothing: it is new as before. */
	e.blind = false;
	e.predicted = true;
	e.task = "predicted";
	is(say(e), NEW);
	end();
	begin(false);
	e.predicted = false;
	is(say(e), NEW);
	e.desired = NULL;
	is(say(e), NULL);
	end();
}

static void
test_same_names(void **state)
{
	(void)state;
	begin(false);
	is(task("twin", "a", OUT_CHANGED), NEW);
	is(task("twin", "b", OUT_CHANGED), NEW);
	end();
	begin(true);
	is(task("twin", NULL, OUT_SKIPPED), NULL);
	is(task("twin", "b", OUT_CHANGED), DRIFT);
	end();
	begin(true);
	is(task("twin", "a", OUT_CHANGED), DRIFT);
	is(task("twin", "a", OUT_CHANGED), NEW);
	end();
}

static void
test_loops(void **state)
{
	(void)state;
	begin(false);
	is(item("loop", "x", "dx", OUT_CHANGED), NEW);
	is(item("loop", "y", "dy", OUT_OK), NULL);
	is(task("loop", NULL, OUT_CHANGED), NEW);
	end();
	begin(true);
	/* In another order. */
	is(item("loop", "y", "dy", OUT_CHANGED), DRIFT);
	is(item("loop", "x", "dx", OUT_OK), NULL);
	is(task("loop", NULL, OUT_CHANGED), DRIFT);
	is(item("loop 2", "x", "dx", OUT_OK), NULL);
	is(task("loop 2", NULL, OUT_OK), NULL);
	end();
	begin(true);
	is(item("loop", "x", "dx", OUT_CHANGED), DRIFT);
	is(item("loop", "z", "dz", OUT_CHANGED), NEW);
	is(task("loop", NULL, OUT_CHANGED), NEW);
	end();
}

static void
test_key(void **state)
{
	struct event e = { .type = EV_TASK_END, .task = "t", .desired = "d1",
	    .module = "copy", .host = "h1", .mark = { .src = &source } };

	(void)state;
	begin(false);
	assert_false(state_drift_key(st, &e).known);
	is(task("t", "d1", OUT_OK), NULL);
	end();
	begin(false);
	assert_true(state_drift_key(st, &e).same);
	assert_true(state_drift_key(st, &e).same);
	e.desired = "d2";
	assert_true(state_drift_key(st, &e).known);
	assert_false(state_drift_key(st, &e).same);
	end();
}

/* ---- the table --------------------------------------------------------------------------- */

static const struct value *
rows(bool closed)
{
	struct drift_query q = { .closed = closed };
	struct err err = ERR_INIT;
	const struct value *list;

	sync_ok();
	list = state_drift(st, &arena, &q, &err);
	if (list == NULL)
		fail_msg("%s", err.msg);
	return list;
}

static void
test_table(void **state)
{
	const struct value *r, *list;

	(void)state;
	begin(false);
	is(task("t", "d", OUT_CHANGED), NEW);
	is(item("l", "x", "d", OUT_OK), NULL);
	is(task("l", NULL, OUT_OK), NULL);
	end();
	assert_int_equal(v_count(rows(true)), 0);
	begin(true);
	is(task("t", "d", OUT_CHANGED), DRIFT);
	is(item("l", "x", "d", OUT_CHANGED), DRIFT);
	is(task("l", NULL, OUT_CHANGED), DRIFT);
	end();
	begin(true);
	is(task("t", "d", OUT_CHANGED), DRIFT);
	end();
	list = rows(false);
	assert_int_equal(v_count(list), 2);
	r = v_at(list, 0);
	assert_string_equal(v_get_str(r, "host", ""), "h1");
	assert_string_equal(v_get_str(r, "task", ""), "t");
	assert_string_equal(v_get_str(r, "site", ""), "/site/site.yml");
	assert_int_equal(v_get_int(r, "first_run", 0), 2);
	assert_int_equal(v_get_int(r, "last_run", 0), 3);
	assert_int_equal(v_get_int(r, "seen", 0), 2);
	assert_true(v_is_null(v_gets(r, "closed_ms")));
	assert_string_equal(v_get_str(v_at(list, 1), "item", ""), "x");
	/* One is put right, one is found right. */
	begin(false);
	is(task("t", "d", OUT_CHANGED), DRIFT);
	is(item("l", "x", "d", OUT_OK), NULL);
	is(task("l", NULL, OUT_OK), NULL);
	end();
	assert_int_equal(v_count(rows(false)), 0);
	list = rows(true);
	assert_int_equal(v_count(list), 2);
	assert_string_equal(v_get_str(v_at(list, 0), "how", ""), "gone");
	assert_string_equal(v_get_str(v_at(list, 1), "how", ""), "corrected");
	assert_int_equal(v_get_int(v_at(list, 1), "closed_run", 0), 4);
	/* The next time is another drift; what is asked for anew replaces it. */
	begin(true);
	is(task("t", "d", OUT_CHANGED), DRIFT);
	end();
	assert_int_equal(v_count(rows(false)), 1);
	begin(true);
	is(task("t", "e", OUT_CHANGED), NEW);
	end();
	assert_int_equal(v_count(rows(false)), 1);
	begin(false);
	is(task("t", "e", OUT_CHANGED), NEW);
	end();
	assert_int_equal(v_count(rows(false)), 0);
	assert_string_equal(v_get_str(v_at(rows(true), 0), "how", ""), "replaced");
}

static void
test_applied(void **state)
{
	struct err err = ERR_INIT;
	const struct value *list;

	(void)state;
	begin(true);
	is(task("t", "d", OUT_OK), NULL);
	end();
	assert_int_equal(v_count(state_applied(st, &arena, NULL, &err)), 0);
	begin(false);
	is(task("t", "d", OUT_OK), NULL);
	end();
	fine(state_run_how(st, &(struct state_run_how){ .partial = true }, &err), &err);
	begin(false);
	end();
	list = state_applied(st, &arena, "/site/site.yml", &err);
	assert_int_equal(v_count(list), 1);
	assert_int_equal(v_get_int(v_at(list, 0), "run", 0), 2);
	assert_string_equal(v_at(v_gets(v_at(list, 0), "hosts"), 0)->u.s, "h1");
	assert_int_equal(v_count(state_applied(st, &arena, "/other", &err)), 0);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static struct site_file
file(const char *name, const char *text, mode_t mode)
{
	const char *full = arena_printf(&arena, "%s/%s", dir, name);
	struct site_file f = { .path = full };

	if (S_ISDIR(mode))
		assert_int_equal(mkdir(full, mode & 07777), 0);
	else if (S_ISLNK(mode))
		assert_int_equal(symlink(text, full), 0);
	else {
		FILE *out = fopen(full, "we");

		assert_non_null(out);
		assert_true(fputs(text, out) >= 0);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(chmod(full, mode), 0);
	}
	assert_int_equal(lstat(full, &f.st), 0);
	return f;
}

static int64_t
rows_of(const char *table)
{
	char cmd[256], out[64] = "";
	FILE *p;

	sync_ok();
	(void)snprintf(cmd, sizeof(cmd), "sqlite3 '%s' 'SELECT count(*) FROM %s'", path, table);
	p = popen(cmd, "re");
	assert_non_null(p);
	assert_non_null(fgets(out, sizeof(out), p));
	assert_int_equal(pclose(p), 0);
	return strtoll(out, NULL, 10);
}

static bool
in_database(const char *text)
{
	char cmd[256];

	sync_ok();
	(void)snprintf(cmd, sizeof(cmd), "cat '%s'* | grep -qaF '%s'", path, text);
	return system(cmd) == 0;
}

static void
test_snapshot(void **state)
{
	struct site_file f[] = { file("a.yml", "tasks: SECRETWORD\n", 0640),
	    file("d", NULL, S_IFDIR | 0750), file("d/empty", "", 0600),
	    file("d/link", "../a.yml", S_IFLNK) };
	const struct value *paths, *site;
	char id[SITE_ID], again[SITE_ID], to[128];
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct stat was, is_;

	(void)state;
	fine(state_site_keep(st, "/s", f, 4, id, &err), &err);
	fine(state_site_keep(st, "/s", f, 4, again, &err), &err);
	assert_string_equal(id, again);
	assert_int_equal(rows_of("sites"), 1);
	assert_int_equal(rows_of("blobs"), 3);
	assert_false(in_database("SECRETWORD"));
	assert_string_equal(state_site_find(st, &arena, arena_strndup(&arena, id, 8),
	    &err), id);
	fine(state_site_read(st, id, "a.yml", &b, &err), &err);
	assert_string_equal(buf_str(&b), "tasks: SECRETWORD\n");
	buf_release(&b);
	assert_int_equal(state_site_read(st, id, "b.yml", &b, &err), -1);
	err_release(&err);

	(void)snprintf(to, sizeof(to), "%s/out", dir);
	assert_int_equal(mkdir(to, 0700), 0);
	fine(state_site_export(st, &arena, id, to, &paths, &err), &err);
	assert_int_equal(v_count(paths), 2);
	for (size_t i = 0; i < NITEMS(f); i++) {
		assert_int_equal(lstat(f[i].path, &was), 0);
		assert_int_equal(lstat(arena_printf(&arena, "%s%s", to, f[i].path), &is_), 0);
		assert_int_equal(was.st_mode, is_.st_mode);
		if (S_ISREG(was.st_mode)) {
			assert_int_equal(was.st_mtim.tv_sec, is_.st_mtim.tv_sec);
			assert_int_equal(was.st_mtim.tv_nsec, is_.st_mtim.tv_nsec);
			assert_int_equal(was.st_size, is_.st_size);
		}
	}
	/* Another content makes another snapshot; the old one stays what it was. */
	f[0] = file("a.yml", "tasks: other\n", 0640);
	fine(state_site_keep(st, "/s", f, 4, again, &err), &err);
	assert_string_not_equal(id, again);
	assert_int_equal(rows_of("blobs"), 4);
	site = state_site(st, &arena, id, &err);
	assert_int_equal(v_count(v_gets(site, "list")), 4);
	assert_int_equal(v_get_int(site, "files", 0), 3);
	fine(state_site_read(st, id, f[0].path, &b, &err), &err);
	assert_string_equal(buf_str(&b), "tasks: SECRETWORD\n");
	buf_release(&b);
}

static void
test_snapshot_of_what_was_read(void **state)
{
	struct site_file f = file("a.yml", "one\n", 0600);
	char id[SITE_ID];
	struct err err = ERR_INIT;

	(void)state;
	(void)file("a.yml", "three\n", 0600);
	assert_int_equal(state_site_keep(st, "/s", &f, 1, id, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_non_null(strstr(err.msg, "a.yml"));
	err_release(&err);
	assert_int_equal(unlink(f.path), 0);
	assert_int_equal(state_site_keep(st, "/s", &f, 1, id, &err), -1);
	err_release(&err);
	/* Nothing of it is kept, and the database is as before. */
	assert_int_equal(rows_of("sites"), 0);
	assert_int_equal(rows_of("blobs"), 0);
	/* What only stands beside it may change at any time. */
	f.beside = true;
	fine(state_site_keep(st, "/s", &f, 1, id, &err), &err);
	assert_int_equal(v_count(v_gets(state_site(st, &arena, id, &err), "list")), 0);
}

static void
test_large(void **state)
{
	struct site_file f[] = { file("a.yml", "x\n", 0600), file("large", "", 0600) };
	const struct value *paths;
	char id[SITE_ID], to[128];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(truncate(f[1].path, SITE_FILE_MAX + 1), 0);
	assert_int_equal(lstat(f[1].path, &f[1].st), 0);
	fine(state_site_keep(st, "/s", f, 2, id, &err), &err);
	assert_int_equal(rows_of("blobs"), 1);
	(void)snprintf(to, sizeof(to), "%s/out", dir);
	assert_int_equal(mkdir(to, 0700), 0);
	fine(state_site_export(st, &arena, id, to, &paths, &err), &err);
	assert_int_equal(truncate(f[1].path, SITE_FILE_MAX + 2), 0);
	(void)snprintf(to, sizeof(to), "%s/out2", dir);
	assert_int_equal(mkdir(to, 0700), 0);
	assert_int_equal(state_site_export(st, &arena, id, to, &paths, &err), -1);
	assert_non_null(strstr(err.msg, "large"));
	err_release(&err);
}

static void
test_prune(void **state)
{
	struct site_file f = file("a.yml", "one\n", 0600);
	char id[SITE_ID], other[SITE_ID];
	struct err err = ERR_INIT;
	int64_t n;

	(void)state;
	fine(state_site_keep(st, "/s", &f, 1, id, &err), &err);
	f = file("a.yml", "two\n", 0600);
	fine(state_site_keep(st, "/s", &f, 1, other, &err), &err);
	/* What is about to be used is young. */
	assert_int_equal(state_sites_prune(st, &err), 0);
	fine(state_run_how(st, &(struct state_run_how){ .site_id = other }, &err), &err);
	begin(false);
	is(task("t", "d", OUT_OK), NULL);
	end();
	n = system(arena_printf(&arena, "sqlite3 '%s' 'UPDATE sites SET added_ms = 1;"
	    " UPDATE runs SET started_ms = 1, ended_ms = 1'", path));
	assert_int_equal(n, 0);
	fine(state_prune(st, 1, &n, &err), &err);
	/* Drift is told from the run and its snapshot. */
	assert_int_equal(n, 0);
	assert_int_equal(rows_of("sites"), 1);
	assert_int_equal(rows_of("blobs"), 1);
	assert_non_null(state_run_snapshot(st, &arena, 1));
	assert_string_equal(state_site_find(st, &arena, "1", &err), other);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_classes), T(test_no_class), T(test_same_names), T(test_loops),
		T(test_key), T(test_table), T(test_applied), T(test_snapshot),
		T(test_snapshot_of_what_was_read), T(test_large), T(test_prune),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
