/*
 * Before-images and guards: what is kept, what comes back, and that a watch
 * does what nobody confirmed.  The whole way over connections is in
 * test/integration/rollback.py and lockout.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/buf.h"
#include "module/fs.h"
#include "module/guard.h"
#include "module/keep.h"
#include "module/restore.h"

static const struct module nothing = { .name = "nothing" };
static struct arena arena;
static char top[64];

/* A task with a store of its own below the test's directory. */
struct task {
	struct mod	m;
	struct keep	k;
};

static void
begin(struct task *t)
{
	*t = (struct task){ .m = { .arena = &arena, .module = &nothing },
		.k = KEEP_INIT };
	t->m.args = v_map(&arena);
	t->m.result = v_map(&arena);
	t->m.keep = &t->k;
	t->k.dir = arena_printf(&arena, "%s/store", top);
}

static const struct value *
end(struct task *t)
{
	keep_done(&t->m);
	guard_done(&t->m);
	return v_gets(t->m.result, KEEP_RESULT);
}

static const char *
at(const char *name)
{
	return arena_printf(&arena, "%s/%s", top, name);
}

static void
put(const char *name, const char *text, mode_t mode)
{
	CLEANUP_CLOSE int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static const char *
text_of(const char *name)
{
	struct buf b = BUF_INIT;
	const char *text = "(none)";

	if (buf_read_file(&b, at(name)) == 0)
		text = arena_strdup(&arena, buf_str(&b));
	buf_release(&b);
	return text;
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == -1 ? 0 : st.st_mode;
}

static void
set_time(const char *name, time_t when)
{
	struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(utimensat(AT_FDCWD, at(name), times, AT_SYMLINK_NOFOLLOW), 0);
}

static time_t
time_of(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == -1 ? -1 : st.st_mtime;
}

static int
replace(struct task *t, const char *name, const char *text)
{
	struct fs_replace r = { .path = at(name), .data = text, .len = strlen(text),
		.fd = -1 };

	return mod_change(&t->m, r.path, NULL, NULL) ? fs_replace(&t->m, &r) : -1;
}

/* Puts back all of a list as a rollback orders it: made things first, from within. */
static void
put_back(const struct value *list)
{
	struct task t;
	uint32_t i;
	int pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < v_count(list); i++) {
			const struct value *e = v_at(list, pass == 0 ?
			    v_count(list) - 1 - i : i);
			bool absent = strcmp(v_get_str(v_gets(e, "was"), "type", ""),
			    "absent") == 0;

			if (absent != (pass == 0))
				continue;
			begin(&t);
			assert_int_equal(restore_path(&t.m, v_get_str(e, "path", ""),
			    v_gets(e, "was")), 0);
			(void)end(&t);
		}
}

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/test-keep-XXXXXX");
	return mkdtemp(top) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct task t;

	(void)state;
	begin(&t);
	t.m.keep = NULL;
	(void)fs_remove(&t.m, top);
	arena_release(&arena);
	return 0;
}

/* ---- keeping and putting back ------------------------------------------------- */

static void
test_round_trip(void **state)
{
	struct task t;
	struct fs_attrs attrs = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = "0640" };
	const struct value *list;

	(void)state;
	put("file", "old\n", 0604);
	put("gone", "gone\n", 0400);
	put("mode", "same\n", 0600);
	assert_int_equal(mkdir(at("tree"), 0751), 0);
	put("tree/a", "a\n", 0600);
	assert_int_equal(symlink("a", at("tree/l")), 0);
	assert_int_equal(symlink("nowhere", at("link")), 0);
	begin(&t);
	assert_int_equal(replace(&t, "file", "new\n"), 0);
	assert_int_equal(replace(&t, "file", "newer\n"), 0);
	assert_int_equal(fs_remove(&t.m, at("gone")), 0);
	assert_int_equal(fs_attrs_apply(&t.m, at("mode"), &attrs, false), 0);
	assert_int_equal(fs_remove(&t.m, at("tree")), 0);
	assert_int_equal(fs_link(&t.m, at("link"), "elsewhere", false), 0);
	assert_int_equal(fs_mkdir_p(&t.m, at("made/of/dirs"), 0700), 0);
	assert_int_equal(replace(&t, "made/of/file", "x"), 0);
	list = end(&t);
	assert_int_equal(v_count(list), 11);
	put_back(list);
	assert_string_equal(text_of("file"), "old\n");
	assert_int_equal(mode_of("file"), S_IFREG | 0604);
	assert_string_equal(text_of("gone"), "gone\n");
	assert_int_equal(mode_of("gone"), S_IFREG | 0400);
	assert_int_equal(mode_of("mode"), S_IFREG | 0600);
	assert_int_equal(mode_of("tree"), S_IFDIR | 0751);
	assert_string_equal(text_of("tree/a"), "a\n");
	assert_int_equal(mode_of("tree/l"), S_IFLNK | 0777);
	assert_int_equal(mode_of("made"), 0);
}

/* user::rw- user:65534:r-- group::r-- mask::rw- other::---, as the kernel keeps it. */
static const unsigned char acl[] = { 2, 0, 0, 0,
	1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 254, 255, 0, 0,
	4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255,
	32, 0, 0, 0, 255, 255, 255, 255 };
/* cap_net_bind_service=ep */
static const unsigned char capability[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0 };

static void
set_xattr(const char *name, const char *attr, const void *value, size_t n)
{
	if (setxattr(at(name), attr, value, n, 0) == 0)
		return;
	assert_true(errno == ENOTSUP || errno == EPERM);
	skip();		/* a file system without, or not root */
}

static void
check_xattr(const char *name, const char *attr, const void *value, ssize_t n)
{
	char is[256];

	assert_int_equal(getxattr(at(name), attr, is, sizeof(is)), n);
	if (n > 0)
		assert_memory_equal(is, value, (size_t)n);
}

/* ACLs, capabilities, users' attributes and times of what was replaced, removed, or only looked different. */
static void
test_attributes(void **state)
{
	struct task t;
	struct fs_attrs attrs = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = "0600" };
	const struct value *list;

	(void)state;
	put("x", "old\n", 0640);
	put("chmod", "same\n", 0660);
	assert_int_equal(mkdir(at("xd"), 0750), 0);
	put("xd/in", "in\n", 0600);
	set_xattr("x", "user.origin", "here", 4);
	set_xattr("x", "system.posix_acl_access", acl, sizeof(acl));
	set_xattr("x", "security.capability", capability, sizeof(capability));
	set_xattr("chmod", "system.posix_acl_access", acl, sizeof(acl));
	set_xattr("xd", "system.posix_acl_default", acl, sizeof(acl));
	put("none", "old\n", 0644);
	put("touched", "same\n", 0644);
	set_time("x", 1000);
	set_time("chmod", 2000);
	set_time("none", 3000);
	set_time("touched", 4000);
	set_time("xd/in", 5000);
	set_time("xd", 6000);
	begin(&t);
	assert_int_equal(replace(&t, "x", "new\n"), 0);
	assert_int_equal(removexattr(at("x"), "user.origin"), 0);
	assert_int_equal(fs_attrs_apply(&t.m, at("chmod"), &attrs, false), 0);
	assert_int_equal(fs_remove(&t.m, at("xd")), 0);
	assert_int_equal(replace(&t, "none", "new\n"), 0);
	set_xattr("none", "user.new", "x", 1);
	assert_int_equal(keep_path(&t.m, at("touched")), 0);
	set_time("touched", 7000);
	list = end(&t);
	assert_int_equal(v_count(list), 6);
	put_back(list);
	assert_string_equal(text_of("x"), "old\n");
	check_xattr("x", "user.origin", "here", 4);
	check_xattr("x", "system.posix_acl_access", acl, sizeof(acl));
	check_xattr("x", "security.capability", capability, sizeof(capability));
	check_xattr("chmod", "system.posix_acl_access", acl, sizeof(acl));
	assert_int_equal(mode_of("chmod"), S_IFREG | 0660);
	check_xattr("xd", "system.posix_acl_default", acl, sizeof(acl));
	check_xattr("xd/in", "system.posix_acl_access", NULL, -1);
	check_xattr("none", "user.new", NULL, -1);
	assert_int_equal(time_of("x"), 1000);
	assert_int_equal(time_of("chmod"), 2000);
	assert_int_equal(time_of("none"), 3000);
	assert_int_equal(time_of("touched"), 4000);
	assert_int_equal(time_of("xd/in"), 5000);
	assert_int_equal(time_of("xd"), 6000);
}

/* Attributes that are not kept any more: nothing is put back by halves. */
static void
test_attributes_gone(void **state)
{
	struct task t;
	const struct value *was;
	const char *hash;

	(void)state;
	put("x", "old\n", 0640);
	set_xattr("x", "user.origin", "another", 7);
	begin(&t);
	assert_int_equal(replace(&t, "x", "new\n"), 0);
	was = v_gets(v_at(end(&t), 0), "was");
	hash = v_get_str(was, "xattrs", "?");
	assert_int_equal(unlink(at(arena_printf(&arena, "store/%s", hash))), 0);
	begin(&t);
	assert_int_equal(restore_path(&t.m, at("x"), was), 1);
	assert_non_null(strstr(v_get_str(t.m.result, "refused", ""), "attributes"));
	(void)end(&t);
	assert_string_equal(text_of("x"), "new\n");
}

/* A name and another that leads to the same file are one path. */
static void
test_one_path_once(void **state)
{
	struct task t;
	const struct value *list;
	struct fs_attrs attrs = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = "0644" };

	(void)state;
	assert_int_equal(mkdir(at("real"), 0700), 0);
	assert_int_equal(symlink("real", at("alias")), 0);
	put("real/f", "old", 0600);
	assert_int_equal(symlink("real/f", at("to")), 0);
	begin(&t);
	assert_int_equal(replace(&t, "alias//f", "new"), 0);
	assert_int_equal(fs_attrs_apply(&t.m, at("to"), &attrs, true), 0);
	list = end(&t);
	assert_int_equal(v_count(list), 1);
	assert_string_equal(v_get_str(v_at(list, 0), "path", ""), at("real/f"));
}

static int
entries(const char *dir)
{
	struct dirent **v;
	int i, n = scandir(at(dir), &v, NULL, NULL);

	for (i = 0; i < n; i++)
		free(v[i]);
	free(v);
	return n - 2;
}

/* Who writes d/f dies in the middle: the next write of it leaves only the file. */
static void
test_left_over(void **state)
{
	struct task t;
	char temp[32];
	int dir, fd, status;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir(at("d1"), 0700), 0);
	if ((pid = fork()) == 0) {
		dir = open(at("d1"), O_RDONLY | O_CLOEXEC);
		fd = fs_temp_for(dir, "f", temp, sizeof(temp));
		(void)kill(getpid(), fd == -1 || write(fd, "half", 4) != 4 ? SIGTERM : SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(entries("d1"), 1);
	begin(&t);
	assert_int_equal(replace(&t, "d1/f", "whole"), 0);
	(void)end(&t);
	assert_int_equal(entries("d1"), 1);
	assert_string_equal(text_of("d1/f"), "whole");
	/* While somebody is at it, his is not taken away; nor is what is no file. */
	dir = open(at("d1"), O_RDONLY | O_CLOEXEC);
	fd = fs_temp_for(dir, "f", temp, sizeof(temp));
	assert_true(fd != -1);
	begin(&t);
	assert_int_equal(replace(&t, "d1/f", "second"), 0);
	(void)end(&t);
	assert_int_equal(faccessat(dir, temp, F_OK, 0), 0);
	assert_int_equal(entries("d1"), 2);
	(void)close(fd);
	assert_int_equal(unlinkat(dir, temp, 0), 0);
	assert_int_equal(mkdirat(dir, temp, 0700), 0);
	begin(&t);
	assert_int_equal(replace(&t, "d1/f", "third"), 0);
	(void)end(&t);
	assert_int_equal(entries("d1"), 2);
	(void)close(dir);
}

/* What ends as it began is no change, and checks keep nothing. */
static void
test_nothing(void **state)
{
	struct task t;

	(void)state;
	put("f", "old", 0600);
	begin(&t);
	assert_int_equal(replace(&t, "f", "new"), 0);
	assert_int_equal(replace(&t, "f", "old"), 0);
	set_time("f", 1000);	/* as it was: else that would be something to put back */
	assert_int_equal(v_count(end(&t)), 1);
	begin(&t);
	assert_int_equal(keep_path(&t.m, at("f")), 0);
	assert_null(end(&t));
	begin(&t);
	t.m.check = true;
	assert_int_equal(keep_path(&t.m, at("f")), 0);
	assert_null(end(&t));
	begin(&t);
	assert_null(end(&t));
	assert_int_equal(t.k.store, -1);
}

/* A store that others may write to, or that is a link, is none. */
static void
test_store_of_others(void **state)
{
	struct task t;
	const struct value *list;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		(void)rmdir(at("store"));
		assert_int_equal(i == 0 ? mkdir(at("store"), 0700) :
		    symlink(top, at("store")), 0);
		if (i == 0)
			assert_int_equal(chmod(at("store"), 0770), 0);
		put("f", "old", 0600);
		begin(&t);
		assert_int_equal(replace(&t, "f", "new"), 0);
		list = end(&t);
		assert_int_equal(v_count(list), 1);
		assert_non_null(v_gets(v_gets(v_at(list, 0), "was"), "why"));
		begin(&t);
		assert_int_equal(restore_path(&t.m, at("f"), v_gets(v_at(list, 0), "was")), 1);
		assert_non_null(v_gets(t.m.result, "refused"));
		assert_string_equal(text_of("f"), "new");
		(void)end(&t);
	}
	assert_int_equal(unlink(at("store")), 0);
}

static void
test_too_large(void **state)
{
	struct task t;
	const struct value *list;

	(void)state;
	put("f", "0123456789", 0600);
	begin(&t);
	t.k.bytes = 36;		/* a file: at most 9 */
	assert_int_equal(replace(&t, "f", "new"), 0);
	list = end(&t);
	assert_string_equal(v_get_str(v_gets(v_at(list, 0), "was"), "why", ""),
	    "the file is too large");
}

/* A directory that the run made stays when something came into it. */
static void
test_directory_in_use(void **state)
{
	struct task t;
	const struct value *list;

	(void)state;
	begin(&t);
	assert_int_equal(fs_mkdir_p(&t.m, at("d"), 0700), 0);
	list = end(&t);
	put("d/theirs", "x", 0600);
	begin(&t);
	assert_int_equal(restore_path(&t.m, at("d"), v_gets(v_at(list, 0), "was")), 1);
	assert_false(t.m.changed);
	(void)end(&t);
	assert_string_equal(text_of("d/theirs"), "x");
}

/* ---- guards ----------------------------------------------------------------------- */

static struct guard *
guard(struct task *t, const char *token)
{
	struct value *v = v_map(&arena);

	v_set_str(&arena, v, "id", "test");
	v_set_str(&arena, v, "token", token);
	v_set_int(&arena, v, "seconds", 1);
	return t->k.guard = guard_new(&arena, v);
}

static bool
within(int ms, bool (*holds)(void))
{
	for (; ms > 0; ms -= 20) {
		if (holds())
			return true;
		(void)poll(NULL, 0, 20);
	}
	return false;
}

static bool
is_old(void)
{
	return strcmp(text_of("f"), "old") == 0;
}

static bool
nothing_armed(void)
{
	return mode_of("store/guard-test/armed-t1") == 0;
}

/* As another user: a watch of root would look at this machine's firewall. */
static void
guarded(int (*body)(void))
{
	int status;
	pid_t pid;

	if (geteuid() == 0)
		assert_int_equal(chown(top, 65534, 65534), 0);
	if ((pid = fork()) == 0) {
		if (geteuid() == 0 && (setresgid(65534, 65534, 65534) == -1 ||
		    setresuid(65534, 65534, 65534) == -1))
			_exit(99);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int
change_f(struct task *t)
{
	put("f", "old", 0600);
	begin(t);
	return guard(t, "t1") == NULL || replace(t, "f", "new") == -1 ? -1 : 0;
}

static int
not_confirmed(void)
{
	struct task t;

	if (change_f(&t) == -1 || !v_get_bool((end(&t), t.m.result), GUARD_RESULT, false))
		return 1;
	if (strcmp(text_of("f"), "new") != 0)
		return 2;
	if (!within(5000, is_old))
		return 3;
	return 0;
}

/* The worker dies in the middle of the task: its watch lives on. */
static int
killed(void)
{
	struct task t;
	pid_t pid = fork();

	if (pid == 0)
		_exit(change_f(&t) == 0 ? 0 : 1);
	(void)waitpid(pid, NULL, 0);
	return strcmp(text_of("f"), "new") != 0 ? 1 : within(5000, is_old) ? 0 : 2;
}

static int
confirmed(void)
{
	extern const struct module provctl_guard_module;
	struct task t, c;
	struct value *args = v_map(&arena);

	if (change_f(&t) == -1)
		return 1;
	(void)end(&t);
	begin(&c);
	c.m.module = &provctl_guard_module;
	v_set_str(&arena, args, "id", "test");
	v_set_str(&arena, args, "token", "t1");
	v_set_str(&arena, args, "do", "confirm");
	c.m.args = args;
	mod_run(&c.m);
	(void)end(&c);
	if (c.m.failed || !nothing_armed())
		return 2;
	if (within(1500, is_old))
		return 3;
	/* Too late for a second word. */
	begin(&c);
	c.m.module = &provctl_guard_module;
	c.m.args = args;
	mod_run(&c.m);
	(void)end(&c);
	return c.m.failed ? 0 : 4;
}

/* At boot what was armed is put back; when systemd only reads its units anew, nothing is. */
static int
after_a_reboot(void)
{
	struct task t;
	const char *store = at("store"), *was;

	put("f", "old", 0600);
	begin(&t);
	if (guard(&t, "t1") == NULL)
		return 1;
	t.k.guard->seconds = 600;
	if (replace(&t, "f", "new") == -1 || (end(&t), guard_boot(store, "test", "t1")) != 0)
		return 2;
	if (is_old() || nothing_armed())
		return 3;
	was = text_of("store/guard-test/armed-t1");
	if (strstr(was, "\"boot\":\"") == NULL)
		return 4;
	/* The second time the first one was cut short. */
	put("store/guard-test/armed-t1", "{\"boot\":\"another\"}", 0600);
	if (rename(at("store/guard-test/armed-t1"), at("store/guard-test/restoring-t1")) == -1 ||
	    guard_boot(store, "test", "t1") != 0 || !is_old())
		return 5;
	if (strstr(text_of("store/guard-test/report-t1"), at("f")) == NULL ||
	    mode_of("store/guard-test/restoring-t1") != 0 || mode_of("store/guard-test/list") != 0)
		return 6;
	put("f", "newer", 0600);
	return guard_boot(store, "test", "t1") != 0 || strcmp(text_of("f"), "newer") != 0 ? 7 :
	    guard_boot(store, "../test", "t1") == 0 || guard_boot(store, "none", "t1") == 0 ? 8 : 0;
}

static int
nothing_changed(void)
{
	struct task t;

	put("f", "old", 0600);
	begin(&t);
	if (guard(&t, "t1") == NULL)
		return 1;
	(void)end(&t);
	if (v_gets(t.m.result, GUARD_RESULT) != NULL || mode_of("store") != 0)
		return 2;	/* it cost something */
	return 0;
}

/* What cannot be kept is not changed under a guard. */
static int
not_kept(void)
{
	struct task t;

	put("f", "0123456789", 0600);
	begin(&t);
	t.k.bytes = 36;
	if (guard(&t, "t1") == NULL || replace(&t, "f", "new") != -1 || !t.m.failed)
		return 1;
	(void)end(&t);
	return strcmp(text_of("f"), "0123456789") == 0 ? 0 : 2;
}

static void
test_not_confirmed(void **state)
{
	(void)state;
	guarded(not_confirmed);
}

static void
test_killed(void **state)
{
	(void)state;
	guarded(killed);
}

static void
test_confirmed(void **state)
{
	(void)state;
	guarded(confirmed);
}

static void
test_after_a_reboot(void **state)
{
	(void)state;
	guarded(after_a_reboot);
}

static void
test_nothing_changed(void **state)
{
	(void)state;
	guarded(nothing_changed);
}

static void
test_not_kept(void **state)
{
	(void)state;
	guarded(not_kept);
}

static void
test_malformed(void **state)
{
	static const char *const ids[] = { "", "../x", "a/b", "A", "a b" };
	struct value *v = v_map(&arena);
	size_t i;

	(void)state;
	v_set_str(&arena, v, "token", "t1");
	v_set_int(&arena, v, "seconds", 10);
	for (i = 0; i < NITEMS(ids); i++) {
		v_set_str(&arena, v, "id", ids[i]);
		assert_null(guard_new(&arena, v));
	}
	v_set_str(&arena, v, "id", "good-1");
	assert_non_null(guard_new(&arena, v));
	v_set_int(&arena, v, "seconds", 0);
	assert_null(guard_new(&arena, v));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_attributes),
		TEST(test_attributes_gone),
		TEST(test_left_over), TEST(test_one_path_once), TEST(test_nothing),
		TEST(test_store_of_others), TEST(test_too_large),
		TEST(test_directory_in_use), TEST(test_not_confirmed),
		TEST(test_killed), TEST(test_confirmed), TEST(test_nothing_changed),
		TEST(test_not_kept), TEST(test_malformed), TEST(test_after_a_reboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
