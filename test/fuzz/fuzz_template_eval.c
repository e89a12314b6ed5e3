/*
 * The evaluator: templates that compile are run on variables of every type,
 * templates among them.  No file, no program, few steps.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char variables[] =
    "{\"a\": 1, \"b\": \"text {é}\", \"l\": [1, \"x\", [2, 3], {\"k\": null}], \"d\": {\"a\": 1, \"b\": {\"c\": [true]}},"
    " \"t\": \"{{ a + 1 }}\", \"u\": \"{{ nope }}\", \"loop1\": \"{{ loop2 }}\", \"loop2\": \"{{ loop1 }}\","
    " \"deep\": {\"x\": [\"{{ d.b }}\", \"{{ l[2] }}\"]}, \"f\": 1.5, \"n\": null, \"e\": [], \"s\": \"a,b,c\"}";

static const struct value *
scope_vars(void)
{
	static const struct value *vars;
	static struct arena a;
	struct diags diags = DIAGS_INIT;

	if (vars == NULL) {
		vars = json_parse_text(&a, variables, strlen(variables), NULL);
		vars = tmpl_compile_tree(&a, vars, &diags);
		diags_release(&diags);
		if (vars == NULL)
			abort();
	}
	return vars;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct value *layer = scope_vars(), *v;
	struct scope scope = { .layers = &layer, .n = 1, .max_steps = 20000 };
	struct arena a = { 0 };
	struct diags diags = DIAGS_INIT;
	struct mark at = { NULL, 1, 1, 1 };
	struct tmpl_opts opts = { .ext_do = true, .ext_loopcontrols = true };
	struct err err = ERR_INIT;
	struct buf out = BUF_INIT;
	const struct tmpl *t;
	enum tmpl_mode mode;
	bool ret;

	if (size == 0)
		return 0;
	mode = (enum tmpl_mode)(data[0] % 3);
	t = tmpl_compile(&a, (const char *)data + 1, size - 1, at, mode, &opts, &diags);
	if (t != NULL) {
		v = tmpl_to_value(&a, t);
		if (mode == TMPL_WHEN)
			(void)tmpl_when(&a, &scope, v, &ret, &err);
		else if (mode == TMPL_FILE)
			(void)tmpl_render(&a, &scope, t, &err);
		else if ((v = tmpl_eval(&a, &scope, v, &err)) != NULL && v->type != V_OMIT)
			json_write(&out, v, 0);
		if (err.code != ERR_NONE)
			err_format(&err, false, &out);
	}
	err_release(&err);
	buf_release(&out);
	diags_release(&diags);
	arena_release(&a);
	return 0;
}
