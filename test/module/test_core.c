/*
 * What modules are built from: modes, words, digests, regular expressions,
 * Base64, processes, the guard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/json.h"
#include "module/archive.h"
#include "module/base64.h"
#include "module/fs.h"
#include "module/hash.h"
#include "module/proc.h"
#include "module/re.h"
#include "module/words.h"

static const struct module nothing = { .name = "nothing" };

static struct arena arena;

static struct mod
new_mod(void)
{
	struct mod m = { .arena = &arena, .module = &nothing };

	m.args = v_map(&arena);
	m.result = v_map(&arena);
	return m;
}

static int
teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static mode_t
mode(const char *text, mode_t old, bool dir)
{
	mode_t ret;

	return fs_mode_apply(text, old, dir, &ret) == -1 ? (mode_t)-1 : ret;
}

static void
modes(void **state)
{
	mode_t mask = umask(022);

	(void)state;
	assert_int_equal(mode("0644", 0, false), 0644);
	assert_int_equal(mode("644", 0777, false), 0644);
	assert_int_equal(mode("0o755", 0, false), 0755);
	assert_int_equal(mode("2775", 0, true), 02775);
	assert_int_equal(mode("u=rw,g=r,o=", 0777, false), 0640);
	assert_int_equal(mode("u=rwX,go=rX", 0600, false), 0644);
	assert_int_equal(mode("u=rwX,go=rX", 0600, true), 0755);
	assert_int_equal(mode("u=rwX,go=rX", 0700, false), 0755);
	assert_int_equal(mode("a+x", 0644, false), 0755);
	assert_int_equal(mode("+x", 0644, false), 0755);
	assert_int_equal(mode("+w", 0444, false), 0644);	/* the umask */
	assert_int_equal(mode("g=u,o-rwx", 0604, false), 0660);
	assert_int_equal(mode("u+s,g+s,o+t", 0755, false), 07755);
	assert_int_equal(mode("u-s", 04755, false), 0755);
	assert_int_equal(mode("u-xX,g-rwxs,o-rwx", 02770, false), 0600);
	assert_int_equal(mode("ug=rwx+s", 0, false), 06770);
	assert_int_equal(mode("8", 0, false), (mode_t)-1);
	assert_int_equal(mode("77777", 0, false), (mode_t)-1);
	assert_int_equal(mode("u=q", 0, false), (mode_t)-1);
	assert_int_equal(mode("u", 0, false), (mode_t)-1);
	assert_int_equal(mode("", 0, false), (mode_t)-1);
	assert_int_equal(mode("u=r,", 0, false), (mode_t)-1);
	(void)umask(mask);
}

static void
digests(void **state)
{
	static const struct { enum hash_kind kind; const char *empty, *abc; } want[] = {
		{ HASH_MD5, "d41d8cd98f00b204e9800998ecf8427e",
		    "900150983cd24fb0d6963f7d28e17f72" },
		{ HASH_SHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		    "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ HASH_SHA224, "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
		    "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
		{ HASH_SHA256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ HASH_SHA384, "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
		    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
		{ HASH_SHA512, "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
		    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	char hex[HASH_HEX_MAX], parts[HASH_HEX_MAX], text[1000];
	struct hash h;
	size_t i, n, k;

	(void)state;
	memset(text, 'a', sizeof(text));
	for (i = 0; i < NITEMS(want); i++) {
		hash_text(want[i].kind, "", 0, hex);
		assert_string_equal(hex, want[i].empty);
		hash_text(want[i].kind, "abc", 3, hex);
		assert_string_equal(hex, want[i].abc);
		/* lengths around the block and the padding, in odd pieces */
		for (n = 50; n < 300; n++) {
			hash_text(want[i].kind, text, n, hex);
			hash_init(&h, want[i].kind);
			for (k = 0; k < n; k += 7)
				hash_add(&h, text + k, n - k < 7 ? n - k : 7);
			hash_end(&h, parts);
			assert_string_equal(hex, parts);
		}
	}
}

static void
command_words(void **state)
{
	struct mod m = new_mod();
	const char *const *v;
	struct words w = { .arena = &arena }, copy;
	int i;

	(void)state;
	v = words_split(&m, "  nginx -t  -c '%s' \"a b\\\"c\" d\\ e '' ");
	assert_string_equal(v[0], "nginx");
	assert_string_equal(v[3], "%s");
	assert_string_equal(v[4], "a b\"c");
	assert_string_equal(v[5], "d e");
	assert_string_equal(v[6], "");
	assert_null(v[7]);
	v = words_subst(&m, v, "%s", "/x");
	assert_string_equal(v[3], "/x");
	assert_string_equal(words_join(&arena, v), "nginx -t -c /x 'a b\"c' 'd e' ''");
	assert_null(words_split(&m, "a 'b"));
	assert_null(words_split(&m, "a\\"));
	assert_null(words_split(&m, "")[0]);
	/* However many there are, none is lost; a copy goes its own way. */
	for (i = 0; i < 1000; i++)
		words_push(&w, i % 2 ? "odd" : "even");
	copy = words_copy(&w);
	words_push(&copy, "more");
	words_push(&w, "last");
	assert_int_equal(w.n, 1001);
	assert_string_equal(w.v[999], "odd");
	assert_string_equal(w.v[1000], "last");
	assert_null(w.v[1001]);
	assert_string_equal(copy.v[1000], "more");
}

static void
base64(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" } };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(pairs); i++) {
		CLEANUP_BUF struct buf e = BUF_INIT, d = BUF_INIT;

		base64_encode(&e, pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(buf_str(&e), pairs[i][1]);
		assert_int_equal(base64_decode(&d, pairs[i][1], strlen(pairs[i][1])), 0);
		assert_string_equal(buf_str(&d), pairs[i][0]);
	}
	{
		CLEANUP_BUF struct buf d = BUF_INIT;

		assert_int_equal(base64_decode(&d, "Z", 1), -1);
		assert_int_equal(base64_decode(&d, "Zg==Zg==", 8), -1);
		assert_int_equal(base64_decode(&d, "Z*==", 4), -1);
	}
}

/* Pattern, replacement, subject, result; as Python's re.sub. */
static void
regular_expressions(void **state)
{
	static const struct { const char *re, *with, *in, *out; unsigned flags; } v[] = {
		{ "a", "b", "banana", "bbnbnb", 0 },
		{ "(a)(n)", "\\2\\1", "banana", "bnanaa", 0 },
		{ "(?P<x>n)a", "[\\g<x>\\g<1>]", "banana", "ba[nn][nn]", 0 },
		{ "x*", "-", "abxd", "-a-b--d-", 0 },
		{ "^", ">", "a\nb\n", ">a\n>b\n>", RE_MULTILINE },
		{ "$", "<", "a\nb", "a<\nb<", RE_MULTILINE },
		{ "a\\Z", "x", "a\na", "a\nx", 0 },
		{ "a$", "x", "a\n", "x\n", 0 },
		{ ".", "x", "\xc3\xa9", "x", RE_TEXT },
		{ ".", "x", "\xc3\xa9", "xx", 0 },
		{ "\\u00e9", "e", "\xc3\xa9t\xc3\xa9", "ete", RE_TEXT },
		{ "a{,2}b", "x", "aaab", "ax", 0 },
		{ "[]a]", "x", "]a", "xx", 0 },
		{ "[[:x]", "-", "[:xy", "---y", 0 },
		{ "(?i)A", "x", "aA", "xx", 0 },
		{ "(?a)\\w", "x", "a", "x", 0 },
		{ "(a)|b", "[\\1]", "ab", "[a][]", 0 },
		{ "a", "\\n\\t\\\\\\.", "a", "\n\t\\\\.", 0 },
		{ "a", "\\101\\0", "a", "A", 0 },
		{ "\\$\\{x\\}", "y", "${x}", "y", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(v); i++) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		CLEANUP_RE struct re *re = NULL;
		struct mod m = new_mod();
		uint32_t n;

		re = re_compile(&m, "regexp", v[i].re, v[i].flags);
		assert_non_null(re);
		assert_int_equal(re_sub(&m, re, v[i].with, v[i].in,
		    strlen(v[i].in), &out, &n), 0);
		if (strcmp(buf_str(&out), v[i].out) != 0)
			fail_msg("sub(%s, %s, %s) is '%s'", v[i].re, v[i].with,
			    v[i].in, buf_str(&out));
	}
}

static void
bad_expressions(void **state)
{
	static const char *const v[] = { "(", "[a", "a**", "(*UTF)a", "\\Q.\\E",
		"a\\Kb", "(?P<1>a)", "\\u12" };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(v); i++) {
		struct mod m = new_mod();

		if (re_compile(&m, "regexp", v[i], 0) != NULL)
			fail_msg("'%s' was taken", v[i]);
		assert_true(m.failed);
	}
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
run(struct mod *m, struct proc *p, const char *script)
{
	static const char *argv[] = { "sh", "-c", NULL, NULL };

	argv[2] = script;
	p->argv = argv;
	return proc_query(m, p);
}

static void
processes(void **state)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	struct mod m = new_mod();
	struct value *env = v_map(&arena);
	int64_t start;

	(void)state;
	assert_int_equal(run(&m, &p, "echo out; echo err >&2; exit 3"), 0);
	assert_int_equal(p.status, 3);
	assert_string_equal(buf_str(&p.out), "out\n");
	assert_string_equal(buf_str(&p.err), "err\n");

	v_set_str(&arena, env, "GREETING", "hello");
	m.env = env;
	p.input = "text";
	p.ninput = 4;
	p.cwd = "/";
	assert_int_equal(run(&m, &p, "cat; echo \" $GREETING\"; pwd"), 0);
	assert_string_equal(buf_str(&p.out), "text hello\n/\n");
	p.input = NULL;

	assert_int_equal(run(&m, &p, "kill -TERM $$"), 0);
	assert_int_equal(p.status, 128 + SIGTERM);

	/* a daemon that keeps the pipes does not hold us up */
	start = now_ms();
	assert_int_equal(run(&m, &p, "sleep 20 & echo up"), 0);
	assert_string_equal(buf_str(&p.out), "up\n");
	assert_true(now_ms() - start < 5000);

	p.timeout_ms = 200;
	assert_int_equal(run(&m, &p, "echo begun; sleep 20 & wait"), 0);
	assert_true(p.timed_out);
	assert_true(now_ms() - start < 10000);
	assert_string_equal(buf_str(&p.out), "begun\n");
	p.timeout_ms = 0;

	/* more than the limit is read, but not kept */
	assert_int_equal(run(&m, &p, "head -c 20000000 /dev/zero"), 0);
	assert_true(p.truncated);
	assert_int_equal(p.out.len, PROC_OUTPUT_MAX);

	p.argv = (const char *const[]){ "no-such-program-here", NULL };
	assert_int_equal(proc_query(&m, &p), -1);
	assert_string_equal(v_get_str(m.result, "msg", ""),
	    "cannot run no-such-program-here: no such program in PATH");
	p.argv = (const char *const[]){ "/etc/passwd", NULL };
	assert_int_equal(proc_query(&m, &p), -1);
	assert_non_null(strstr(v_get_str(m.result, "msg", ""), "not executable"));
	p.argv = (const char *const[]){ "true", NULL };
	p.cwd = "/no/such/directory";
	assert_int_equal(proc_query(&m, &p), -1);
	assert_non_null(strstr(v_get_str(m.result, "msg", ""),
	    "cannot change to directory /no/such/directory"));
	p.cwd = NULL;
	assert_int_equal(proc_query(NULL, &p), 0);
}

/* A descriptor of ours must never reach a child. */
static void
descriptors(void **state)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	struct mod m = new_mod();

	(void)state;
	assert_int_equal(run(&m, &p, "ls /proc/self/fd | tr '\\n' ' '"), 0);
	/* 3 is ls's own, reading the directory */
	assert_string_equal(buf_str(&p.out), "0 1 2 3 ");
}

static void
guard(void **state)
{
	struct mod m = new_mod();
	const struct value *d;

	(void)state;
	m.check = true;
	m.diff = true;
	assert_false(mod_change(&m, "a", NULL, v_int(&arena, 1)));
	assert_false(mod_change_text(&m, "/f", "old\n", 4, "new\n", 4));
	assert_true(m.changed);
	assert_int_equal(v_count(m.diffs), 2);
	d = v_at(m.diffs, 1);
	assert_string_equal(v_get_str(d, "before", ""), "old\n");
	assert_string_equal(v_get_str(d, "after_header", ""), "/f");
	m.check = false;
	assert_true(mod_change(&m, "a", NULL, NULL));
	assert_false(mod_change_text(&m, "/f", NULL, 0, "a\0b", 3) == false);
	assert_non_null(strstr(v_get_str(v_at(m.diffs, 3), "after", ""),
	    "(binary file of 3 bytes, sha256 "));
	m.no_log = true;
	assert_true(mod_change(&m, "secret", NULL, v_str(&arena, "x")));
	assert_int_equal(v_count(m.diffs), 4);
	mod_warn(&m, "one");
	mod_warn(&m, "two %d", 2);
	assert_int_equal(v_count(v_gets(m.result, "warnings")), 2);
	assert_int_equal(mod_fail(&m, "bad byte \xff"), -1);
	assert_string_equal(v_get_str(m.result, "msg", ""), "bad byte \xef\xbf\xbd");
}

static void
safe_names(void **state)
{
	(void)state;
	assert_string_equal(archive_safe_name(&arena, "a/b"), "a/b");
	assert_string_equal(archive_safe_name(&arena, "./a//b/"), "a/b");
	assert_string_equal(archive_safe_name(&arena, "/etc/x"), "etc/x");
	assert_string_equal(archive_safe_name(&arena, "a..b/..c"), "a..b/..c");
	assert_null(archive_safe_name(&arena, ".."));
	assert_null(archive_safe_name(&arena, "a/../b"));
	assert_null(archive_safe_name(&arena, "a/.."));
	assert_null(archive_safe_name(&arena, "."));
	assert_null(archive_safe_name(&arena, ""));
	assert_null(archive_safe_name(&arena, "/"));
}

/* A tree deeper than descriptors and stacks allow is removed all the same. */
static void
deep_tree(void **state)
{
	char top[] = "/tmp/test-deep-XXXXXX", sub[64];
	struct mod m = new_mod();
	int fd, next, i;

	(void)state;
	assert_non_null(mkdtemp(top));
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		(void)close(next);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	(void)snprintf(sub, sizeof(sub), "%s/", top);
	assert_int_equal(fs_remove(&m, sub), 0);
	assert_int_equal(access(top, F_OK), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes), cmocka_unit_test(digests),
		cmocka_unit_test(command_words), cmocka_unit_test(base64),
		cmocka_unit_test(regular_expressions),
		cmocka_unit_test(bad_expressions), cmocka_unit_test(processes),
		cmocka_unit_test(descriptors), cmocka_unit_test(guard),
		cmocka_unit_test(safe_names), cmocka_unit_test(deep_tree),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
