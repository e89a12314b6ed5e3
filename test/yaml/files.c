/*
 * The files of a site: what is noted, and what is read from a snapshot.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "yaml/files.h"

static struct arena arena;
static struct stat regular = { .st_mode = S_IFREG | 0600, .st_size = 1 };

static void
snapshot(const char *root, const char *json)
{
	struct err err = ERR_INIT;
	const struct value *paths = json_parse_text(&arena, json, strlen(json), &err);

	assert_non_null(paths);
	files_from(root, paths);
}

static int
teardown(void **state)
{
	(void)state;
	files_from(NULL, NULL);
	files_collect(false);
	arena_release(&arena);
	return 0;
}

static void
test_as_they_are(void **state)
{
	const char *path = "../x/./y";

	(void)state;
	assert_ptr_equal(file_at(path), path);
	assert_string_equal(file_named("/snap/a"), "/snap/a");
}

static void
test_places(void **state)
{
	static const char *const rows[][2] = {
		{ "/srv/site/site.yml", "/snap/srv/site/site.yml" },
		{ "/srv/site", "/snap/srv/site" },
		{ "/srv/site/", "/snap/srv/site" },
		{ "/srv//site/./a/../b", "/snap/srv/site/b" },
		{ "/srv/site/new", "/snap/srv/site/new" },	/* not there: not seen */
		{ "/srv/site/deep/er/new", "/snap/srv/site/deep/er/new" },
		{ "/srv/other", "/srv/other" },
		{ "/srv", "/srv" },
		{ "/", "/" },
		{ "/srv/site/../other", "/srv/site/../other" },
		{ "/srv/sites/x", "/srv/sites/x" },
		{ "/roles/r/tasks/main.yml", "/snap/roles/r/tasks/main.yml" },
		{ "/roles/r/templates/t", "/roles/r/templates/t" },
		{ "/../srv/site/x", "/snap/srv/site/x" },
	};
	size_t i;

	(void)state;
	snapshot("/snap", "[\"/srv/site/site.yml\", \"/roles/r/tasks/main.yml\", \"/top\"]");
	for (i = 0; i < NITEMS(rows); i++)
		assert_string_equal(file_at(rows[i][0]), rows[i][1]);
	assert_string_equal(file_named("/snap/srv/site/x"), "/srv/site/x");
	assert_string_equal(file_named("/snapper/x"), "/snapper/x");
	/* A result is good for the next one. */
	assert_string_equal(file_named(file_at(file_at("/srv/site/x"))), "/srv/site/x");
}

static void
test_relative(void **state)
{
	char cwd[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snapshot("/snap", arena_printf(&arena, "[\"%s/a.yml\"]", cwd));
	assert_string_equal(file_at("a.yml"), arena_printf(&arena, "/snap%s/a.yml", cwd));
	assert_string_equal(file_at("./d/../b"), arena_printf(&arena, "/snap%s/b", cwd));
	assert_string_equal(file_at("."), arena_printf(&arena, "/snap%s", cwd));
}

static void
test_too_long(void **state)
{
	char *path = arena_alloc(&arena, 2 * PATH_MAX);

	(void)state;
	snapshot("/snap", "[\"/s/a\"]");
	memset(path, 'x', 2 * PATH_MAX);
	memcpy(path, "/s/", 3);
	path[2 * PATH_MAX - 1] = '\0';
	assert_ptr_equal(file_at(path), path);
	path[PATH_MAX - 2] = '\0';	/* fits alone, not below the root */
	assert_ptr_equal(file_at(path), path);
	path[PATH_MAX - 6] = '\0';
	assert_int_equal(strlen(file_at(path)), PATH_MAX - 1);
}

static void
test_notes(void **state)
{
	struct stat fifo = { .st_mode = S_IFIFO };
	const struct file_note *notes;
	uint32_t n;

	(void)state;
	files_note("/a", &regular);
	(void)files_noted(&n);
	assert_int_equal(n, 0);
	files_collect(true);
	files_note("/a/../a//b", &regular);
	files_note("/a/b", &regular);
	files_note("/fifo", &fifo);
	notes = files_noted(&n);
	assert_int_equal(n, 1);
	assert_string_equal(notes[0].path, "/a/b");
	assert_int_equal(notes[0].st.st_size, 1);
	files_collect(true);
	(void)files_noted(&n);
	assert_int_equal(n, 0);
}

static void
test_read(void **state)
{
	char dir[] = "/tmp/provctl-files-XXXXXX";
	struct buf b = BUF_INIT;
	const char *path, *kept;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = arena_printf(&arena, "%s/now", dir);
	kept = arena_printf(&arena, "%s/snap%s", dir, path);
	assert_int_equal(system(arena_printf(&arena, "mkdir -p '%s/snap%s'", dir, dir)), 0);
	f = fopen(path, "we");
	assert_true(f != NULL && fputs("now", f) >= 0 && fclose(f) == 0);
	f = fopen(kept, "we");
	assert_true(f != NULL && fputs("then", f) >= 0 && fclose(f) == 0);
	assert_int_equal(file_read(&b, path), 0);
	assert_string_equal(buf_str(&b), "now");
	buf_clear(&b);
	snapshot(arena_printf(&arena, "%s/snap", dir), arena_printf(&arena, "[\"%s\"]", path));
	assert_int_equal(file_read(&b, path), 0);
	assert_string_equal(buf_str(&b), "then");
	buf_release(&b);
	assert_int_equal(system(arena_printf(&arena, "rm -r '%s'", dir)), 0);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_teardown(f, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_as_they_are), T(test_places), T(test_relative), T(test_too_long),
		T(test_notes), T(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
