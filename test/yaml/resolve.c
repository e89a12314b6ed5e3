/*
 * Plain scalars against PyYAML: every entry of resolve.json is [text, type,
 * value], made by resolve.py from PyYAML's SafeLoader.
 *
 * With "-" the texts are read from stdin, one a line, and written back in the
 * same form: for comparing many more of them (resolve.py --random).
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "yaml/yaml.h"

/* A value as [type, text]; floats by their bits, so that NaN and -0.0 count. */
static void
describe(struct buf *out, const struct value *v)
{
	uint64_t bits;

	switch (v->type) {
	case V_NULL:
		buf_adds(out, "null ");
		break;
	case V_BOOL:
		buf_addf(out, "bool %d", v->u.b);
		break;
	case V_INT:
		buf_addf(out, "int %" PRId64, v->u.i);
		break;
	case V_FLOAT:
		memcpy(&bits, &v->u.f, sizeof(bits));
		if (isnan(v->u.f))
			buf_adds(out, "float nan");
		else
			buf_addf(out, "float %016" PRIx64, bits);
		break;
	default:
		buf_addf(out, "str %.*s", (int)v->len, v->u.s);
	}
}

static int
filter(void)
{
	char line[1000];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		struct arena arena = { 0 };
		size_t n = strcspn(line, "\n");

		describe(&out, yaml_scalar(&arena, line, n));
		printf("%s\n", buf_str(&out));
		arena_release(&arena);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	CLEANUP_BUF struct buf file = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *all, *text, *want;
	unsigned passed = 0, failed = 0;

	if (argc == 2 && strcmp(argv[1], "-") == 0)
		return filter();
	if (argc != 2 || buf_read_file(&file, argv[1]) == -1 ||
	    (all = json_parse_text(&arena, buf_str(&file), file.len, &err)) == NULL) {
		fprintf(stderr, "usage: yaml-resolve FILE\n");
		return 1;
	}
	for (uint32_t i = 0; i < v_count(all); i++) {
		CLEANUP_BUF struct buf got = BUF_INIT;

		text = v_at(v_at(all, i), 0);
		want = v_at(v_at(all, i), 1);
		describe(&got, yaml_scalar(&arena, text->u.s, text->len));
		if (v_eqs(want, buf_str(&got))) {
			passed++;
			continue;
		}
		failed++;
		printf("FAILED: '%s' is %s, should be %s\n", text->u.s,
		    buf_str(&got), want->u.s);
	}
	arena_release(&arena);
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}
