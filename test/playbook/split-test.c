/*
 * k=v lines are split as Ansible splits them: split.json holds texts and what
 * ansible-core's parse_kv() made of them (null: it refuses them), for ordinary
 * modules and for those with a free form ("raw").
 *
 *	split-test split.json
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "playbook/private.h"

static bool
check(struct arena *a, const struct value *vector)
{
	struct buf got CLEANUP_BUF = BUF_INIT, want CLEANUP_BUF = BUF_INIT;
	struct diags d CLEANUP_DIAGS = DIAGS_INIT;
	struct ctx c = { .a = a, .d = &d };
	const struct value *text = v_gets(vector, "text"), *rest;
	struct value *args = v_map(a);
	bool bad = false;

	rest = split_args(&c, text, v_get_bool(vector, "raw", false), args, &bad);
	if (rest != NULL)
		v_sets(a, args, "_raw_params", rest);
	json_write(&got, bad ? &v_null : args, JSON_SORT);
	json_write(&want, v_gets(vector, "want"), JSON_SORT);
	if (got.len == want.len && strcmp(buf_str(&got), buf_str(&want)) == 0)
		return true;
	json_write(&got, text, 0);
	(void)printf("FAILED (got, text) %s\n  want %s\n", buf_str(&got), buf_str(&want));
	return false;
}

int
main(int argc, char **argv)
{
	struct arena a = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	const struct value *all;
	uint32_t i, passed = 0, failed = 0;

	if (argc != 2 || buf_read_file(&text, argv[1]) < 0 ||
	    (all = json_parse_text(&a, text.data, text.len, &e)) == NULL) {
		(void)fprintf(stderr, "usage: split-test split.json\n");
		return 64;
	}
	for (i = 0; i < v_count(all); i++) {
		if (check(&a, v_at(all, i)))
			passed++;
		else
			failed++;
	}
	(void)printf("%u passed, %u failed\n", passed, failed);
	buf_release(&text);
	arena_release(&a);
	return failed > 0 || passed == 0;
}
