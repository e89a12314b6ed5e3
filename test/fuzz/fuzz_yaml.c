/* YAML: any bytes; the first chooses the options. Values are printed, errors formatted. */
#include <string.h>

#include "base/json.h"
#include "yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
decrypt(void *arg, const char *text, size_t n, struct buf *out, struct err *err)
{
	(void)arg;
	if (n % 3 == 0)
		return err_set(err, ERR_AUTH, "no");
	buf_add(out, text, n);
	return 0;
}

/* Every mark must point into the text, or the error's line cannot be shown. */
static void
check_marks(const struct value *v, unsigned depth)
{
	const struct ventry *e;
	struct mark m = v_mark(v);

	if (m.src != NULL && (m.line == 0 || m.col == 0 || m.len == 0))
		abort();
	if (depth > V_DEPTH_MAX + 2)
		abort();
	if (v_is_list(v))
		for (uint32_t i = 0; i < v_count(v) && i < 100; i++)
			check_marks(v_at(v, i), depth + 1);
	if (v_is_map(v))
		for (uint32_t it = 0, n = 0; (e = v_next(v, &it)) != NULL && n < 100; n++) {
			check_marks(e->key, depth + 1);
			check_marks(e->val, depth + 1);
		}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct yaml_opts opts = { .decrypt = decrypt };
	struct arena arena = { 0 };
	const struct source *src;
	const struct value *v;

	if (size == 0)
		return 0;
	opts.duplicates_ok = (data[0] & 1) != 0;
	src = source_text(&arena, "fuzz.yml", (const char *)data + 1, size - 1);
	v = (data[0] & 2) != 0 ? yaml_parse_all(&arena, src, &opts, &diags) :
	    yaml_parse(&arena, src, &opts, &diags);
	if ((v == NULL) != (diags.nerrors > 0))
		abort();
	if (v != NULL) {
		if (!(v_is_list(v) || v_is_map(v)) || v_count(v) < 100) {
			check_marks(v, 0);
			buf_init(&out, 100000);
			json_write(&out, v, 0);
		}
	} else
		diags_format(&diags, false, &out);
	arena_release(&arena);
	return 0;
}
