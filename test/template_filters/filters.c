/*
 * Filters and lookups beyond what the vectors show: limits, the files that the
 * lookup password writes, what is refused, secrets, and the pieces that have
 * an interface of their own (regular expressions, versions, JMESPath, YAML).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "template/filter.h"
#include "template/jmespath.h"
#include "template/lookup.h"
#include "template/regex.h"
#include "template/template.h"
#include "template/unidata.h"
#include "template/version.h"
#include "template/yaml_dump.h"

struct world {
	struct arena	 arena;
	struct err	 err;
	char		 dir[64];
};

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/template-filters-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	char cmd[96];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	assert_int_equal(system(cmd), 0);
	err_release(&w->err);
	arena_release(&w->arena);
	free(w);
	return 0;
}

/* The value of a playbook string; NULL with w->err set. pipe: may programs run? */
static const struct value *
eval_with(struct world *w, const char *text, const struct value *vars, bool files, bool pipe)
{
	struct tmpl_files f = { .basedir = w->dir, .allow_pipe = pipe };
	struct scope scope = { .layers = &vars, .n = 1, .files = files ? &f : NULL };
	struct diags d = DIAGS_INIT;
	const struct value *v;

	err_release(&w->err);
	v = tmpl_compile_tree(&w->arena, v_str(&w->arena, text), &d);
	if (v == NULL)
		err_move(&w->err, &d.v[0].err);
	diags_release(&d);
	return v != NULL ? tmpl_eval(&w->arena, &scope, v, &w->err) : NULL;
}

static const struct value *
eval(struct world *w, const char *text)
{
	return eval_with(w, text, v_map(&w->arena), true, true);
}

static void
expect(struct world *w, const char *text, const char *json)
{
	const struct value *v = eval(w, text);
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (v == NULL)
		fail_msg("%s: %s", text, w->err.msg);
	json_write(&b, v, 0);
	assert_string_equal(buf_str(&b), json);
}

static void
expect_error(struct world *w, const char *text, enum err_code code)
{
	const struct value *v = eval(w, text);

	if (v != NULL)
		fail_msg("%s: no error", text);
	if (w->err.code != code)
		fail_msg("%s: error %d: %s", text, w->err.code, w->err.msg);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void
catastrophic_patterns_end(void **state)
{
	struct world *w = *state;

	expect_error(w, "{{ ('a' * 40 ~ 'b') | regex_search('^(a+)+$') }}", ERR_LIMIT);
	expect_error(w, "{{ ('a' * 40 ~ 'b') | regex_replace('^(a|aa)+$', 'x') }}", ERR_LIMIT);
	expect_error(w, "{{ ('a' * 40 ~ 'b') | regex_findall('^(a*)*$') }}", ERR_LIMIT);
	expect_error(w, "{{ ('a' * 40 ~ 'b') is match('(a+)+$') }}", ERR_LIMIT);
	/* Also when the pattern has become machine code. */
	for (int i = 0; i < 20; i++)
		expect(w, "{{ 'aab' | regex_search('^(a+)+b$') }}", "\"aab\"");
	expect_error(w, "{{ ('a' * 40 ~ 'cb') | regex_search('^(a+)+b$') }}", ERR_LIMIT);
}

static void
small_inputs_make_no_huge_results(void **state)
{
	struct world *w = *state;

	expect_error(w, "{{ range(1000) | product(range(1000)) | length }}", ERR_LIMIT);
	expect_error(w, "{{ range(12) | permutations | length }}", ERR_LIMIT);
	expect_error(w, "{{ range(40) | combinations(20) | length }}", ERR_LIMIT);
	expect_error(w, "{{ [1] | slice(100000000) }}", ERR_LIMIT);
	expect_error(w, "{{ [1] | batch(100000000, 'x') }}", ERR_LIMIT);
	expect_error(w, "{{ 'x' | center(1000000000) }}", ERR_LIMIT);
	expect_error(w, "{{ 'x' | indent(1000000000) }}", ERR_LIMIT);
	expect_error(w, "{{ 'x' | comment(prefix_count=100000000) }}", ERR_LIMIT);
	expect_error(w, "{{ '10.0.0.0/8' | ansible.utils.usable_range }}", ERR_LIMIT);
	expect_error(w, "{{ 'p' | password_hash('sha512', 'salt', rounds=900000000) }}", ERR_LIMIT);
	expect_error(w, "{{ q('sequence', 'end=100000000') }}", ERR_LIMIT);
	expect_error(w, "{{ q('password', '/dev/null length=100000000') }}", ERR_LIMIT);
	expect_error(w, "{{ q('nested', range(2000) | list, range(2000) | list) }}", ERR_LIMIT);
}

static void
numbers_beyond_64_bits_are_errors(void **state)
{
	struct world *w = *state;

	expect_error(w, "{{ '99999999999999999999' | int }}", ERR_VALUE);
	expect_error(w, "{{ [9223372036854775807, 1] | sum }}", ERR_VALUE);
	expect_error(w, "{{ '8192P' | human_to_bytes }}", ERR_VALUE);
	expect_error(w, "{{ '2001:db8::/32' | ansible.utils.ipaddr('size') }}", ERR_VALUE);
	expect(w, "{{ '2001:db8::1/64' | ansible.utils.ipaddr('int') }}",
	    "\"42540766411282592856903984951653826561/64\"");
}

static void
queries_end(void **state)
{
	struct world *w = *state;
	struct value *deep = v_list(&w->arena), *up;
	CLEANUP_BUF struct buf b = BUF_INIT;

	for (int i = 0; i < 5000; i++)
		buf_adds(&b, "(");
	err_release(&w->err);
	assert_null(jmespath_search(&w->arena, buf_str(&b), b.len, &v_null, &w->err));
	assert_int_equal(w->err.code, ERR_SYNTAX);
	buf_clear(&b);
	for (int i = 0; i < 400; i++)
		buf_adds(&b, "a.");
	buf_addc(&b, 'a');
	err_release(&w->err);
	assert_non_null(jmespath_search(&w->arena, buf_str(&b), b.len, &v_null, &w->err));
	for (int i = 0; i < 3000; i++)
		v_push(&w->arena, deep, v_int(&w->arena, i));
	/* Every element asks the whole list again. */
	up = v_map(&w->arena);
	v_sets(&w->arena, up, "l", deep);
	assert_null(jmespath_search(&w->arena, "map(&sort_by(`[1]`, &sort_by(`[1]`, &@)), l)", 44, up, &w->err));
	assert_int_equal(w->err.code, ERR_TYPE);
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void
files_need_permission(void **state)
{
	struct world *w = *state;
	const struct value *none = v_map(&w->arena);

	assert_null(eval_with(w, "{{ lookup('file', '/etc/hostname') }}", none, false, false));
	assert_null(eval_with(w, "{{ '/etc/*' | fileglob }}", none, false, false));
	assert_null(eval_with(w, "{{ '/etc/passwd' is exists }}", none, false, false));
	assert_null(eval_with(w, "{{ '/etc' | realpath }}", none, false, false));
	assert_null(eval_with(w, "{{ lookup('password', 'x') }}", none, false, false));
	assert_null(eval_with(w, "{{ lookup('pipe', 'echo x') }}", none, true, false));
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_null(eval_with(w, "{{ lookup('lines', 'echo x') }}", none, true, false));
}

static void
unsupported_ones_are_known(void **state)
{
	struct world *w = *state;
	const struct tfilter *f = tmpl_filter_find("version_compare", 15);

	assert_non_null(f);
	assert_true((f->flags & TF_UNSUPPORTED) != 0);
	assert_null(eval(w, "{{ '1' | version_compare('2', '<') }}"));
	assert_non_null(strstr(w->err.msg, "test"));
	assert_null(eval(w, "{{ lookup('url', 'http://localhost/') }}"));
	assert_int_equal(w->err.code, ERR_UNSUPPORTED);
	assert_null(eval(w, "{{ lookup('community.general.passwordstore', 'x') }}"));
	assert_int_equal(w->err.code, ERR_UNSUPPORTED);
}

static void
misspelt_names_have_a_nearest(void **state)
{
	(void)state;
	assert_string_equal(tmpl_filter_nearest("selctattr"), "selectattr");
	assert_string_equal(tmpl_filter_nearest("ansible.builtin.regex_replce"), "regex_replace");
	assert_string_equal(tmpl_test_nearest("defind"), "defined");
	assert_string_equal(tmpl_lookup_nearest("first_fund"), "first_found");
	assert_null(tmpl_filter_nearest("qqqqqqqqqqqq"));
	assert_ptr_equal(tmpl_filter_find("ansible.builtin.combine", 23), tmpl_filter_find("combine", 7));
	assert_ptr_equal(tmpl_filter_find("ansible.utils.ipaddr", 20), tmpl_filter_find("ipaddr", 6));
	assert_null(tmpl_filter_find("manala.roles.combine", 20));
	assert_null(tmpl_filter_find("combin", 6));
}

/* The text an error is about may be gone when the error is shown. */
static void
errors_outlive_their_text(void **state)
{
	static const char *const texts[] = { "{{ '{' | from_json }}", "{{ 'a: [' | from_yaml }}",
	    "{{ 'a' | regex_search('(') }}", "{{ {} | json_query('a[') }}", "{{ '@x' | from_yaml }}" };
	struct world *w = *state;
	CLEANUP_BUF struct buf b = BUF_INIT;

	for (size_t i = 0; i < NITEMS(texts); i++) {
		if (eval(w, texts[i]) != NULL)
			fail_msg("%s: no error", texts[i]);
		buf_clear(&b);
		err_format(&w->err, false, &b);
		assert_true(b.len > 10);
	}
}

/* ---- the lookup password -------------------------------------------------------------------------- */

static char *
contents(struct world *w, const char *name, mode_t *mode)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct stat st;
	char *path = arena_printf(&w->arena, "%s/%s", w->dir, name);

	assert_int_equal(stat(path, &st), 0);
	*mode = st.st_mode & 07777;
	assert_int_equal(buf_read_file(&b, path), 0);
	return buf_dup(&b, &w->arena);
}

static void
password_is_kept(void **state)
{
	struct world *w = *state;
	const struct value *a = eval(w, "{{ lookup('password', 'secrets/db/x length=12') }}"), *b;
	struct stat st;
	mode_t mode;

	assert_non_null(a);
	assert_int_equal(a->len, 12);
	assert_string_equal(contents(w, "secrets/db/x", &mode), arena_printf(&w->arena, "%s\n", a->u.s));
	assert_int_equal(mode, 0600);
	assert_int_equal(stat(arena_printf(&w->arena, "%s/secrets", w->dir), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	b = eval(w, "{{ lookup('password', 'secrets/db/x length=30') }}");
	assert_string_equal(a->u.s, b->u.s);
	/* Nothing is left over beside it. */
	expect(w, arena_printf(&w->arena, "{{ '%s/secrets/db/*' | fileglob | length }}", w->dir), "1");
}

static void
password_hash_is_stable(void **state)
{
	struct world *w = *state;
	const struct value *a, *b;
	mode_t mode;
	char *text;

	a = eval(w, "{{ lookup('password', 'y length=8 encrypt=sha512_crypt') }}");
	assert_non_null(a);
	assert_int_equal(strncmp(a->u.s, "$6$rounds=656000$", 17), 0);
	text = contents(w, "y", &mode);
	assert_non_null(strstr(text, " salt="));
	assert_int_equal(strcspn(text, " "), 8);
	b = eval(w, "{{ lookup('password', 'y length=8 encrypt=sha512_crypt') }}");
	assert_string_equal(a->u.s, b->u.s);
	b = eval(w, "{{ lookup('password', 'y') }}");
	assert_int_equal(b->len, 8);
	a = eval(w, "{{ lookup('password', 'z encrypt=bcrypt') }}");
	assert_non_null(a);
	assert_int_equal(strncmp(a->u.s, "$2b$12$", 7), 0);
	assert_non_null(strstr(contents(w, "z", &mode), " ident=2b"));
	expect_error(w, "{{ lookup('password', 'z encrypt=bcrypt ident=2a') }}", ERR_VALUE);
	expect_error(w, "{{ lookup('password', 'q encrypt=rot13') }}", ERR_VALUE);
}

static void
password_characters(void **state)
{
	struct world *w = *state;

	expect(w, "{{ lookup('password', '/dev/null length=50 chars=digits') is match('^[0-9]{50}$') }}", "true");
	expect(w, "{{ lookup('password', '/dev/null', length=50, chars=['ascii_lowercase', '_']) is match('^[a-z_]{50}$') }}", "true");
	expect(w, "{{ lookup('password', '/dev/null length=50 chars=a,,b') is match('^[ab,]{50}$') }}", "true");
	expect(w, "{{ lookup('password', '/dev/null') == lookup('password', '/dev/null') }}", "false");
	expect_error(w, "{{ lookup('password', '/dev/null length=x') }}", ERR_VALUE);
	expect_error(w, "{{ lookup('password', '/dev/null lenght=5') }}", ERR_VALUE);
	expect(w, "{{ lookup('random_string', length=20, special=false) is match('^[A-Za-z0-9]{20}$') }}", "true");
	expect(w, "{{ lookup('random_string', length=4, min_numeric=4, upper=false, lower=false, special=false) is match('^[0-9]{4}$') }}", "true");
}

/* ---- programs --------------------------------------------------------------------------------------- */

static void
pipes(void **state)
{
	struct world *w = *state;

	expect(w, "{{ lookup('pipe', 'pwd') | basename | length > 5 }}", "true");
	expect(w, "{{ lookup('pipe', 'cat; echo done') }}", "\"done\"");
	expect(w, "{{ lookup('pipe', 'head -c 200000 /dev/zero | tr \\\\0 x') | length }}", "200000");
	expect_error(w, "{{ lookup('pipe', 'echo oops >&2; exit 4') }}", ERR_VALUE);
	assert_non_null(strstr(w->err.msg, "returned 4"));
	assert_non_null(strstr(w->err.msg, "oops"));
	expect_error(w, "{{ lookup('pipe', 'yes') }}", ERR_LIMIT);
}

/* ---- secrets ------------------------------------------------------------------------------------------ */

static void
secrets_stay_secret(void **state)
{
	struct world *w = *state;
	struct value *vars = v_map(&w->arena);
	const struct value *v;
	static const char *const ways[] = {
		"{{ s | upper }}", "{{ s | b64encode }}", "{{ [s] | to_json }}", "{{ s | hash('sha256') }}",
		"{{ {'a': s} | to_nice_yaml }}", "{{ s | regex_replace('x', 'y') }}", "{{ 'x' | default(s) }}",
		"{{ ['a'] | map('regex_replace', 'a', s) | first }}", "{{ s | list | join }}",
		"{{ {'a': s} | json_query('a') }}", "{{ s | password_hash('md5', 'salt') }}",
	};

	v_sets(&w->arena, vars, "s", v_flag(&w->arena, v_str(&w->arena, "xyzzy"), V_SECRET));
	for (size_t i = 0; i < NITEMS(ways); i++) {
		if (i == 6)
			continue;
		v = eval_with(w, ways[i], vars, true, true);
		if (v == NULL || (v->flags & V_SECRET) == 0)
			fail_msg("%s lost the secret", ways[i]);
	}
	v = eval(w, "{{ ('geheim' | vault('pw')) | unvault('pw') }}");
	assert_non_null(v);
	assert_string_equal(v->u.s, "geheim");
	assert_true((v->flags & V_SECRET) != 0);
	expect_error(w, "{{ ('geheim' | vault('pw')) | unvault('pv') }}", ERR_AUTH);
}

/* ---- pieces --------------------------------------------------------------------------------------------- */

struct walk {
	size_t	 at[16];
	size_t	 n;
};

static int
note(void *arg, const struct regex_match *m)
{
	struct walk *wk = arg;

	wk->at[wk->n++] = m->at[0];
	wk->at[wk->n++] = m->at[1];
	return wk->n == NITEMS(wk->at);
}

static void
empty_matches_as_python(void **state)
{
	struct world *w = *state;
	const struct regex *re = regex_get("x*", 2, 0, &w->err);
	struct walk wk = { { 0 }, 0 };
	static const size_t want[] = { 0, 0, 1, 1, 2, 3, 3, 3, 4, 4 };

	assert_non_null(re);
	assert_int_equal(regex_each(re, "abxd", 4, note, &wk, &w->err), 5);
	assert_int_equal(wk.n, NITEMS(want));
	assert_memory_equal(wk.at, want, sizeof(want));
	assert_null(regex_get("(?P<a>x)(?P<a>y)", 16, 0, &w->err));
	err_release(&w->err);
	re = regex_get("(?P<year>\\d+)-(?P<month>\\d+)", 29, 0, &w->err);
	assert_int_equal(regex_group(re, "month", 5), 2);
	assert_int_equal(regex_group(re, "day", 3), 0);
}

static void
versions(void **state)
{
	struct world *w = *state;
	static const struct { enum version_kind kind; const char *a, *b; int sign; } t[] = {
		{ VERSION_LOOSE, "1.10", "1.9", 1 }, { VERSION_LOOSE, "1.0", "1.0.0", -1 },
		{ VERSION_LOOSE, "99999999999999999999999.1", "99999999999999999999998.2", 1 },
		{ VERSION_STRICT, "1.0a1", "1.0", -1 }, { VERSION_STRICT, "1.0", "1.0.0", 0 },
		{ VERSION_SEMVER, "1.0.0-alpha.9", "1.0.0-alpha.10", -1 },
		{ VERSION_SEMVER, "1.0.0+a", "1.0.0+b", 0 },
		{ VERSION_PEP440, "1.0.dev1", "1.0a1", -1 }, { VERSION_PEP440, "1!0.1", "9.9", 1 },
		{ VERSION_PEP440, "1.0.post1", "1.0", 1 }, { VERSION_PEP440, "v1.0RC1", "1.0c1", 0 },
	};
	int sign;

	for (size_t i = 0; i < NITEMS(t); i++) {
		assert_int_equal(version_compare(&w->arena, t[i].kind, t[i].a, strlen(t[i].a), t[i].b,
		    strlen(t[i].b), &sign, &w->err), 0);
		if ((sign > 0) - (sign < 0) != t[i].sign)
			fail_msg("%s and %s", t[i].a, t[i].b);
	}
	assert_int_equal(version_compare(&w->arena, VERSION_LOOSE, "1.a", 3, "1.1", 3, &sign, &w->err), -1);
	err_release(&w->err);
	assert_int_equal(version_compare(&w->arena, VERSION_STRICT, "1", 1, "1.0", 3, &sign, &w->err), -1);
}

static void
yaml_deep_and_shared(void **state)
{
	struct world *w = *state;
	struct yaml_dump_opts o = { .flow = YAML_FLOW_NEVER };
	struct value *l = v_list(&w->arena), *m = v_map(&w->arena), *deep = v_list(&w->arena), *up;
	CLEANUP_BUF struct buf b = BUF_INIT;

	v_push(&w->arena, l, v_int(&w->arena, 1));
	v_sets(&w->arena, m, "b", l);
	v_sets(&w->arena, m, "a", l);
	assert_int_equal(yaml_dump(&b, &w->arena, m, &o, &w->err), 0);
	assert_string_equal(buf_str(&b), "a: &id001\n- 1\nb: *id001\n");
	for (int i = 0; i < 300; i++) {
		up = v_list(&w->arena);
		v_push(&w->arena, up, deep);
		deep = up;
	}
	assert_int_equal(yaml_dump(&b, &w->arena, deep, &o, &w->err), -1);
	assert_int_equal(w->err.code, ERR_LIMIT);
	err_release(&w->err);
	assert_int_equal(yaml_dump(&b, &w->arena, v_str(&w->arena, "a\xff" "b"), &o, &w->err), -1);
}

static void
case_of_all_scripts(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	(void)state;
	uni_upper(&b, "straße ﬁ ǆ", strlen("straße ﬁ ǆ"));
	assert_string_equal(buf_str(&b), "STRASSE FI Ǆ");
	buf_clear(&b);
	uni_lower(&b, "ΟΔΟΣ ΣΑΣ Σ", strlen("ΟΔΟΣ ΣΑΣ Σ"));
	assert_string_equal(buf_str(&b), "οδος σας σ");
	buf_clear(&b);
	uni_casefold(&b, "Straße", strlen("Straße"));
	assert_string_equal(buf_str(&b), "strasse");
	assert_int_equal(uni_decimal(0x663), 3);
	assert_true(uni_is(0x4e16, UNI_ALPHA));
	assert_false(uni_is(0xad, UNI_PRINTABLE));
	assert_true(uni_space(0x3000));
}

/* True when `name` stands below the heading. */
static bool
in_readme(const char *text, const char *heading, const char *name)
{
	const char *from = strstr(text, heading), *to;
	char quoted[80];

	assert_non_null(from);
	from += strlen(heading);
	to = strstr(from, "\n## ");
	(void)snprintf(quoted, sizeof(quoted), "`%s`", name);
	from = strstr(from, quoted);
	return from != NULL && from < to;
}

static void
documented(const char *text, const char *heading, const char *name, unsigned flags)
{
	bool found = in_readme(text, heading, name);

	/* A filter of an old name may be a test now. */
	if (!found && (flags & TF_UNSUPPORTED))
		found = in_readme(text, "## Known and not supported", name) || in_readme(text, "## Tests", name);
	if (!found)
		fail_msg("agentd/template/README.md does not have `%s` under '%s'", name, heading);
}

static void
readme_has_all(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct tlookup *l;
	const struct tfilter *f;
	const struct ttest *t;
	const char *text;
	size_t i;

	(void)state;
	assert_int_equal(buf_read_file(&b, README), 0);
	text = buf_str(&b);
	for (i = 0; tmpl_families[i] != NULL; i++) {
		for (f = tmpl_families[i]->filters; f != NULL && f->name != NULL; f++)
			documented(text, "## Filters", f->name, f->flags);
		for (t = tmpl_families[i]->tests; t != NULL && t->name != NULL; t++)
			documented(text, "## Tests", t->name, t->flags);
	}
	for (i = 0; tmpl_lookups[i] != NULL; i++)
		for (l = tmpl_lookups[i]; l->name != NULL; l++)
			documented(text, "## Lookups", l->name, l->flags);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(catastrophic_patterns_end), T(small_inputs_make_no_huge_results),
		T(numbers_beyond_64_bits_are_errors), T(queries_end), T(files_need_permission),
		T(unsupported_ones_are_known), T(misspelt_names_have_a_nearest),
		T(errors_outlive_their_text), T(password_is_kept),
		T(password_hash_is_stable), T(password_characters), T(pipes), T(secrets_stay_secret),
		T(empty_matches_as_python), T(versions), T(yaml_deep_and_shared), T(case_of_all_scripts),
		T(readme_has_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
