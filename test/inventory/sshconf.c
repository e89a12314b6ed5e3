/*
 * ssh_config: who wins, patterns, Include, expansion, mistakes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "inventory/sshconf.h"

static char dir[] = "/tmp/test-sshconf-XXXXXX";

static const char *
path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* "hostname user port jump only identities", "-" for what is not said. */
static void
expect(const struct sshconf *conf, const char *host, const char *want)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct arena arena = { 0 };
	struct sshconf_host h;

	sshconf_get(conf, &arena, host, &h);
	buf_addf(&b, "%s %s %d %s %s", h.hostname != NULL ? h.hostname : "-",
	    h.user != NULL ? h.user : "-", h.port, h.jump != NULL ? h.jump : "-",
	    h.identities_only ? "only" : "-");
	for (size_t i = 0; i < NITEMS(h.identity) && h.identity[i] != NULL; i++)
		buf_addf(&b, " %s", h.identity[i]);
	assert_string_equal(buf_str(&b), want);
	arena_release(&arena);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL || setenv("HOME", "/home/me", 1) == -1 ||
	    setenv("KEYS", "/keys", 1) == -1;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "config", "a.conf", "b.conf", "loop" };

	(void)state;
	for (size_t i = 0; i < NITEMS(names); i++)
		(void)unlink(path_of(names[i]));
	return rmdir(dir);
}

static struct sshconf *
load(struct arena *arena, const char *text, struct diags *diags)
{
	write_file("config", text);
	return sshconf_load(arena, path_of("config"), diags);
}

static void
the_first_value_wins(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct sshconf *conf;

	(void)state;
	conf = load(&arena,
	    "# before any Host: for all\n"
	    "IdentityFile ~/.ssh/first\n"
	    "\n"
	    "Host web1 db? *.example.org !no.example.org\n"
	    "\tHostName %h.internal\r\n"
	    "\tuser = deploy\n"
	    "\tPORT=2222\n"
	    "\tIdentityFile \"~/my keys/%r@%h:%p %n %d %% %x\"\n"
	    "\tProxyJump none\n"
	    "\tSendEnv LANG\n"
	    "Host web*\n"
	    "  HostName other\n"
	    "  ProxyJump me@jump:22,second\n"
	    "Match all\n"
	    "  User all # a comment\n"
	    "  IdentitiesOnly yes\n"
	    "  IdentityFile ${KEYS}/id\n"
	    "Host *\n"
	    "  IdentitiesOnly no\n"
	    "  User late\n", &diags);
	assert_int_equal(diags.n, 0);
	expect(conf, "web1", "web1.internal deploy 2222 - only /home/me/.ssh/first "
	    "/home/me/my keys/deploy@web1.internal:2222 web1 /home/me % %x /keys/id");
	expect(conf, "web2", "other all 0 me@jump:22,second only "
	    "/home/me/.ssh/first /keys/id");
	expect(conf, "db1", "db1.internal deploy 2222 - only /home/me/.ssh/first "
	    "/home/me/my keys/deploy@db1.internal:2222 db1 /home/me % %x /keys/id");
	expect(conf, "no.example.org", "- all 0 - only /home/me/.ssh/first /keys/id");
	expect(conf, "db12", "- all 0 - only /home/me/.ssh/first /keys/id");
	arena_release(&arena);
}

static void
includes_are_part_of_their_section(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct sshconf *conf;

	(void)state;
	write_file("a.conf", "User a\nHost x\nPort 1\n");
	write_file("b.conf", "Host *\nPort 2\n");
	conf = load(&arena, "Host x y\nInclude [ab].conf nothere/*.conf\n"
	    "HostName real\nHost *\nUser z\n", &diags);
	assert_int_equal(diags.n, 0);
	expect(conf, "x", "real a 1 - -");
	expect(conf, "y", "real a 2 - -");
	expect(conf, "other", "- z 0 - -");
	arena_release(&arena);
}

static void
include_loops_end(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	struct sshconf *conf;

	(void)state;
	write_file("loop", "User u\nInclude loop loop\n");
	conf = load(&arena, "Include loop\n", &diags);
	assert_true(diags.nerrors > 0);
	assert_non_null(strstr(diags.v[0].err.msg, "too deep"));
	expect(conf, "x", "- u 0 - -");
	arena_release(&arena);
}

static void
mistakes_have_places(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct arena arena = { 0 };
	struct sshconf *conf;
	const char *p;

	(void)state;
	conf = load(&arena, "Host a\n  Port 99999\n  User \"x\n  HostName\n"
	    "Match exec true\n  User never\nMatch user x\n  User never\n"
	    "Host b\n  ProxyCommand nc %h %p\n  User b\n", &diags);
	assert_int_equal(diags.nerrors, 3);
	diags_format(&diags, false, &out);
	p = buf_str(&out);
	assert_non_null(strstr(p, "config:2:3: error: '99999' is no port"));
	assert_non_null(strstr(p, "config:3:8: error: this quote is never closed"));
	assert_non_null(strstr(p, "config:4:3: error: an argument is missing"));
	assert_non_null(strstr(p, "config:5:1: note: 'Match' is only understood"));
	assert_non_null(strstr(p, "config:10:3: note: ProxyCommand"));
	expect(conf, "a", "- - 0 - -");
	expect(conf, "b", "- b 0 - -");
	arena_release(&arena);
}

static void
no_file_is_an_empty_one(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };

	(void)state;
	expect(sshconf_load(&arena, "/nonexistent/config", &diags), "x",
	    "- - 0 - -");
	assert_int_equal(diags.n, 0);
	expect(sshconf_load(&arena, dir, &diags), "x", "- - 0 - -");
	assert_int_equal(diags.n, 1);
	arena_release(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_value_wins),
		cmocka_unit_test(includes_are_part_of_their_section),
		cmocka_unit_test(include_loops_end),
		cmocka_unit_test(mistakes_have_places),
		cmocka_unit_test(no_file_is_an_empty_one),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
