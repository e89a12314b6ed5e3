/*
 * template-errors FILE: what users are told, and where.  A case is a YAML
 * document of variables; the one called `test` is evaluated, and what comes
 * out (the error in full, or the value as JSON) must be the text below ---.
 *
 *	=== name
 *	YAML
 *	--- expected
 *	text
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "template/template.h"
#include "yaml/yaml.h"

/* Compiles all variables as a site does and evaluates `test`. */
static void
outcome(const char *yaml, size_t len, struct buf *out)
{
	struct arena a = { 0 };
	struct diags diags = DIAGS_INIT;
	struct err err = ERR_INIT;
	const struct source *src = source_text(&a, "vars.yml", yaml, len);
	const struct value *vars = yaml_parse(&a, src, NULL, &diags), *v = NULL;
	struct scope scope = { .layers = &vars, .n = 1, .max_steps = 100000 };
	const struct value *when = v_gets(vars, "when");
	bool ret;

	if (vars != NULL)
		vars = tmpl_compile_tree(&a, vars, &diags);
	if (vars != NULL && when != NULL) {
		if ((when = tmpl_compile_when(&a, when, &diags)) != NULL)
			v = tmpl_when(&a, &scope, when, &ret, &err) < 0 ? NULL : v_bool(ret);
	} else if (vars != NULL)
		v = tmpl_eval_name(&a, &scope, "test", &err);
	if (v != NULL) {
		json_write(out, v, JSON_CENSOR);
		buf_addc(out, '\n');
	} else if (err.code != ERR_NONE)
		err_format(&err, false, out);
	else
		diags_format(&diags, false, out);
	err_release(&err);
	diags_release(&diags);
	arena_release(&a);
}

static unsigned
run_case(const char *name, const char *yaml, size_t len, const char *want, size_t want_len)
{
	struct buf out = BUF_INIT;
	unsigned failed = 0;

	outcome(yaml, len, &out);
	if (out.len != want_len || (want_len > 0 && memcmp(out.data, want, want_len) != 0)) {
		printf("FAIL %s\nexpected:\n%.*sgot:\n%s\n", name, (int)want_len, want, buf_str(&out));
		failed = 1;
	}
	buf_release(&out);
	return failed;
}

int
main(int argc, char **argv)
{
	struct buf b = BUF_INIT;
	const char *p, *yaml, *want, *next;
	char name[200];
	unsigned failed = 0, n = 0;

	if (argc != 2 || buf_read_file(&b, argv[1]) < 0) {
		fprintf(stderr, "usage: template-errors FILE\n");
		return 2;
	}
	for (p = strstr(buf_str(&b), "=== "); p != NULL; p = next, n++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p + 4, "\n"), p + 4);
		yaml = strchr(p, '\n') + 1;
		if ((want = strstr(yaml, "--- expected\n")) == NULL) {
			fprintf(stderr, "%s: no expectation\n", name);
			return 2;
		}
		next = strstr(want, "\n=== ");
		next = next == NULL ? NULL : next + 1;
		failed += run_case(name, yaml, (size_t)(want - yaml), want + 13,
		    next == NULL ? strlen(want + 13) : (size_t)(next - want - 13));
	}
	buf_release(&b);
	printf("%u passed, %u failed\n", n - failed, failed);
	return failed > 0;
}
