/*
 * Arguments of modules: conversion, defaults, rules, and what is said about
 * mistakes; names of modules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "module/module.h"

static const struct mod_arg sub_args[] = {
	{ .name = "host", .type = ARG_STR, .flags = ARG_REQUIRED },
	{ .name = "port", .type = ARG_INT, .def = "22" },
	{ .name = NULL }
};

static const struct mod_arg test_args[] = {
	{ .name = "name", .type = ARG_STR, .aliases = "title,label" },
	{ .name = "state", .type = ARG_STR, .choices = "present,absent,latest",
	    .def = "present" },
	{ .name = "force", .type = ARG_BOOL, .def = "false" },
	{ .name = "count", .type = ARG_INT },
	{ .name = "ratio", .type = ARG_FLOAT },
	{ .name = "items", .type = ARG_LIST, .of = ARG_STR },
	{ .name = "ports", .type = ARG_LIST, .of = ARG_INT },
	{ .name = "opts", .type = ARG_MAP },
	{ .name = "any", .type = ARG_RAW },
	{ .name = "perm", .type = ARG_MODE },
	{ .name = "size", .type = ARG_BYTES },
	{ .name = "password", .type = ARG_STR, .flags = ARG_SECRET },
	{ .name = "old", .type = ARG_BOOL, .flags = ARG_UNSUPPORTED,
	    .doc = "Use new instead." },
	{ .name = "selinux", .type = ARG_STR, .flags = ARG_IGNORED },
	{ .name = "follow", .type = ARG_STR, .choices = "safe,all,none,yes,no" },
	{ .name = "servers", .type = ARG_LIST, .of = ARG_MAP, .sub = sub_args },
	{ .name = "src", .type = ARG_STR },
	{ .name = NULL }
};

static const struct mod_rule test_rules[] = {
	{ RULE_EXCLUSIVE, "src,items" },
	{ RULE_IF, "state=absent|latest:name" },
	{ RULE_BY, "ratio:count" },
	{ RULE_END, NULL }
};

static const struct module test_module = {
	.name = "thing", .collection = "test.test", .args = test_args,
	.rules = test_rules, .flags = MOD_FILE_ATTRS | MOD_FREE_FORM,
	.free_form = "name",
};

/* Checks JSON arguments; the result as JSON, or the diagnostics. */
static const char *
check(struct arena *a, const char *json, unsigned flags)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	const struct value *v;

	v = json_parse_text(a, json, strlen(json), &err);
	assert_non_null(v);
	v = mod_args_check(a, &test_module, v, (struct mark){ 0 }, flags, &diags);
	if (v == NULL || diags.n > 0)
		diags_format(&diags, false, &out);
	else
		json_write(&out, v, 0);
	assert_true((v == NULL) == (diags.nerrors > 0));
	return buf_dup(&out, a);
}

static void
expect(const char *json, const char *want)
{
	struct arena a = { 0 };

	assert_string_equal(check(&a, json, 0), want);
	arena_release(&a);
}

static void
expect_error(const char *json, const char *want)
{
	struct arena a = { 0 };
	const char *got = check(&a, json, 0);

	if (strstr(got, want) == NULL)
		fail_msg("want '%s' in:\n%s", want, got);
	arena_release(&a);
}

#define REST	"\"state\": \"present\", \"force\": false, \"unsafe_writes\": false}"

static void
conversions(void **state)
{
	(void)state;
	expect("{}", "{" REST);
	expect("{\"name\": 5}", "{\"name\": \"5\", " REST);
	expect("{\"name\": true}", "{\"name\": \"True\", " REST);
	expect("{\"name\": 1.5}", "{\"name\": \"1.5\", " REST);
	expect("{\"title\": \"x\"}", "{\"name\": \"x\", " REST);
	expect("{\"_raw_params\": \"x\"}", "{\"name\": \"x\", " REST);
	expect("{\"name\": null}", "{" REST);
	expect("{\"count\": \" 5\"}", "{\"count\": 5, " REST);
	expect("{\"count\": 5.0}", "{\"count\": 5, " REST);
	expect("{\"force\": \"Yes\"}",
	    "{\"force\": true, \"state\": \"present\", \"unsafe_writes\": false}");
	expect("{\"items\": \"a, b\"}", "{\"items\": [\"a\", \"b\"], " REST);
	expect("{\"items\": 5}", "{\"items\": [\"5\"], " REST);
	expect("{\"items\": [1, \"b\"]}", "{\"items\": [\"1\", \"b\"], " REST);
	expect("{\"ports\": \"80,443\"}", "{\"ports\": [80, 443], " REST);
	expect("{\"opts\": \"a=1 b='x y'\"}",
	    "{\"opts\": {\"a\": \"1\", \"b\": \"x y\"}, " REST);
	expect("{\"opts\": \"{\\\"a\\\": 1}\"}", "{\"opts\": {\"a\": 1}, " REST);
	expect("{\"perm\": 420}", "{\"perm\": \"0644\", " REST);
	expect("{\"perm\": \"u=rwX,go=\"}", "{\"perm\": \"u=rwX,go=\", " REST);
	expect("{\"perm\": \"0o644\"}", "{\"perm\": \"0o644\", " REST);
	expect("{\"size\": \"10M\"}", "{\"size\": 10485760, " REST);
	expect("{\"size\": \"1.5 KiB\"}", "{\"size\": 1536, " REST);
	expect("{\"follow\": false}", "{\"follow\": \"no\", " REST);
	expect("{\"servers\": {\"host\": \"a\"}}",
	    "{\"servers\": [{\"host\": \"a\", \"port\": 22}], " REST);
}

static void
mistakes(void **state)
{
	(void)state;
	expect_error("{\"naem\": 1}",
	    "error: unknown parameter 'naem' of module 'thing'\n"
	    "hint: did you mean 'name'?");
	expect_error("{\"ower\": 1}", "did you mean 'owner'?");
	expect_error("{\"with_items\": 1}",
	    "'with_items' is a keyword of the task: indent it like the module's name");
	expect_error("{\"zzzzzzzz\": 1}", "it takes: name, state, force");
	expect_error("{\"count\": \"many\"}",
	    "'count' of module 'thing' must be an integer, not 'many'");
	expect_error("{\"count\": [1]}", "must be an integer, not a list");
	expect_error("{\"name\": {\"a\": 1}}", "must be a string, not a map");
	expect_error("{\"force\": \"maybe\"}",
	    "must be a boolean (true or false), not 'maybe'");
	expect_error("{\"state\": \"presnt\"}",
	    "'state' of module 'thing' cannot be 'presnt'\n"
	    "hint: did you mean 'present'?");
	expect_error("{\"state\": \"zzz\"}", "one of: present, absent, latest");
	expect_error("{\"perm\": \"rwx\"}", "'rwx' is no file mode");
	expect_error("{\"perm\": 9999}", "9999 is no file mode");
	expect_error("{\"perm\": \"0999\"}", "is no file mode");
	expect_error("{\"size\": \"10 apples\"}", "must be a size");
	expect_error("{\"old\": true}",
	    "parameter 'old' of module 'thing' is not supported\nhint: Use new instead.");
	expect_error("{\"servers\": [{\"hots\": \"a\"}]}",
	    "unknown parameter 'hots' of 'servers' of module 'thing'");
	expect_error("{\"servers\": [{}]}",
	    "'servers' of module 'thing' needs parameter 'host'");
	expect_error("{\"src\": \"x\", \"items\": \"y\"}",
	    "takes only one of 'src' and 'items'");
	expect_error("{\"state\": \"latest\"}",
	    "module 'thing' with state=latest needs 'name'");
	expect_error("{\"ratio\": 1}", "'ratio' of module 'thing' needs 'count' as well");
	expect_error("{\"naem\": 1, \"count\": \"x\"}", "2 errors");
	expect_error("[1]", "must be a map, not a list");
	/* a value that means nothing may be given to what we do not have */
	expect("{\"old\": false}", "{\"old\": false, " REST);
}

static void
secrets(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena a = { 0 };
	struct value *args = v_map(&a);
	const struct value *out;

	(void)state;
	v_set_str(&a, args, "password", "hunter2");
	out = mod_args_check(&a, &test_module, args, (struct mark){ 0 }, 0, &diags);
	assert_non_null(out);
	assert_true(v_gets(out, "password")->flags & V_SECRET);
	assert_false(v_gets(out, "state")->flags & V_SECRET);
	arena_release(&a);
}

/* Before a run templates count as given and are left alone. */
static void
partial(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena a = { 0 };
	struct value *args = v_map(&a), *tmpl;
	const struct value *out;

	(void)state;
	tmpl = v_str(&a, "{{ x }}");
	tmpl->type = V_TMPL;
	v_sets(&a, args, "state", tmpl);
	v_sets(&a, args, "count", tmpl);
	v_sets(&a, args, "src", tmpl);
	v_set_str(&a, args, "items", "a");
	v_sets(&a, args, "label", &v_omit);
	out = mod_args_check(&a, &test_module, args, (struct mark){ 0 },
	    MOD_PARTIAL, &diags);
	assert_non_null(out);
	assert_int_equal(diags.n, 0);
	assert_ptr_equal(v_gets(out, "state"), tmpl);
	assert_null(v_gets(out, "name"));
	arena_release(&a);
}

/* `mode: 644` without quotes is the decimal number 644. */
static void
decimal_mode(void **state)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct source src = { .path = "x.yml", .text = "a:\n  perm: 644\n", .len = 15 };
	struct arena a = { 0 };
	struct value *args = v_map(&a);

	(void)state;
	v_sets(&a, args, "perm", v_with_mark(&a, v_int(&a, 644),
	    (struct mark){ &src, 2, 9, 3 }));
	assert_non_null(mod_args_check(&a, &test_module, args,
	    (struct mark){ 0 }, MOD_PARTIAL, &diags));
	diags_format(&diags, false, &text);
	assert_non_null(strstr(buf_str(&text),
	    "x.yml:2:9: warning: mode 644 is a decimal number here: it means octal 1204"));
	assert_non_null(strstr(buf_str(&text), "hint: write it as a string: '0644'"));
	arena_release(&a);
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(module_find("copy")->name, "copy");
	assert_string_equal(module_find("ansible.builtin.copy")->name, "copy");
	assert_string_equal(module_find("ansible.legacy.copy")->name, "copy");
	assert_null(module_find("community.general.copy"));
	assert_null(module_find("copyy"));
	assert_null(module_find(""));
	assert_null(module_find("."));
	assert_string_equal(module_nearest("coppy"), "copy");
	assert_string_equal(module_nearest("ansible.builtin.tempate"), "template");
	assert_null(module_nearest("something_else_entirely"));
	assert_true(module_known_elsewhere("yum"));
	assert_true(module_known_elsewhere("ansible.builtin.dnf"));
	assert_true(module_known_elsewhere("community.docker.docker_container"));
	assert_true(module_known_elsewhere("hetzner.hcloud.server"));
	assert_true(module_known_elsewhere("win_regedit"));
	assert_false(module_known_elsewhere("copy"));
	assert_false(module_known_elsewhere("ansible.builtin.cpoy"));
	assert_false(module_known_elsewhere("cpoy"));
}

/* The rows of all modules: what documentation and schema rely on. */
static void
tables(void **state)
{
	const struct module *const *p;
	const struct mod_arg *row;
	const struct module *mod;

	(void)state;
	for (p = modules; *p != NULL; p++) {
		mod = *p;
		if (p[1] != NULL && strcmp(mod->name, p[1]->name) >= 0)
			fail_msg("%s is not before %s", mod->name, p[1]->name);
		assert_non_null(mod->collection);
		assert_non_null(mod->summary);
		if (mod->flags & (MOD_CONTROLLER | MOD_UNSUPPORTED))
			assert_null(mod->run);
		else
			assert_non_null(mod->run);
		if (mod->flags & MOD_FREE_FORM)
			assert_non_null(mod_arg_find(mod, mod->free_form));
		for (row = mod->args; row != NULL && row->name != NULL; row++) {
			if (row->doc == NULL)
				fail_msg("%s: %s has no doc", mod->name, row->name);
			assert_ptr_equal(mod_arg_find(mod, row->name), row);
		}
		assert_ptr_equal(module_find(mod->name), mod);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversions), cmocka_unit_test(mistakes),
		cmocka_unit_test(secrets), cmocka_unit_test(partial),
		cmocka_unit_test(decimal_mode), cmocka_unit_test(names),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
