/*
 * Runs the cases of a data file: YAML texts and what must come of them.
 *
 *	@@ name
 *	the text
 *	@@= json		the value as JSON (Python's True and 1 differ)
 *	@@= errors		the diagnostics, exactly as a user sees them
 *	@@= marks		every scalar with its line:column+length
 *	what is expected
 *
 * In the text <TAB>, <CR> and <NUL> stand for those characters.  With --update
 * the file is written anew with what came out: read the difference.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "yaml/yaml.h"

static void
add_marks(struct buf *out, const struct value *v)
{
	const struct ventry *e;
	struct mark m = v_mark(v);

	if (v_is_list(v)) {
		for (uint32_t i = 0; i < v_count(v); i++)
			add_marks(out, v_at(v, i));
		return;
	}
	if (v_is_map(v)) {
		buf_addf(out, "%u:%u+%u {\n", m.line, m.col, m.len);
		for (uint32_t it = 0; (e = v_next(v, &it)) != NULL;) {
			add_marks(out, e->key);
			add_marks(out, e->val);
		}
		return;
	}
	buf_addf(out, "%u:%u+%u %s%s", m.line, m.col, m.len,
	    (v->flags & V_PLAIN) != 0 ? "plain " : "",
	    (v->flags & V_RAW) != 0 ? "raw " : "");
	json_write(out, v, 0);
	buf_addc(out, '\n');
}

static void
run(const char *text, size_t n, const char *kind, struct buf *out)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	struct arena arena = { 0 };
	const struct value *v;
	const struct source *src = source_text(&arena, "site.yml", text, n);

	v = yaml_parse(&arena, src, NULL, &diags);
	if (v == NULL || strcmp(kind, "errors") == 0) {
		if (v != NULL)
			buf_adds(out, "(no error)\n");
		diags_format(&diags, false, out);
	} else if (strcmp(kind, "marks") == 0)
		add_marks(out, v);
	else {
		json_write(out, v, 0);
		buf_addc(out, '\n');
	}
	arena_release(&arena);
}

static void
unescape(struct buf *out, const char *s, size_t n)
{
	static const struct {
		const char	*name;
		char		 c;
	} names[] = { { "<TAB>", '\t' }, { "<CR>", '\r' }, { "<NUL>", '\0' } };
	size_t i = 0, k;

	while (i < n) {
		for (k = 0; k < NITEMS(names); k++)
			if (strlen(names[k].name) <= n - i &&
			    memcmp(s + i, names[k].name, strlen(names[k].name)) == 0)
				break;
		buf_addc(out, k < NITEMS(names) ? names[k].c : s[i]);
		i += k < NITEMS(names) ? strlen(names[k].name) : 1;
	}
}

static const char *
next_marker(const char *p, const char *end)
{
	while (p < end && strncmp(p, "@@", 2) != 0) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p == NULL ? end : p + 1;
	}
	return p;
}

int
main(int argc, char **argv)
{
	bool update = argc == 3 && strcmp(argv[1], "--update") == 0;
	CLEANUP_BUF struct buf file = BUF_INIT, all = BUF_INIT;
	unsigned passed = 0, failed = 0;
	const char *p, *end, *text, *want, *next;
	FILE *f;

	if (argc != (update ? 3 : 2) || buf_read_file(&file, argv[argc - 1]) == -1) {
		fprintf(stderr, "usage: yaml-cases [--update] FILE\n");
		return 1;
	}
	p = buf_str(&file);
	end = p + file.len;
	next = next_marker(p, end);
	buf_add(&all, p, (size_t)(next - p));
	for (p = next; p < end; p = next) {
		CLEANUP_BUF struct buf in = BUF_INIT, out = BUF_INIT;
		char name[120], kind[20];

		if ((text = strchr(p, '\n')) == NULL ||
		    sscanf(p, "@@ %119[^\n]", name) != 1 ||
		    sscanf(want = next_marker(++text, end), "@@= %19s", kind) != 1) {
			fprintf(stderr, "%s: malformed near '%.40s'\n", argv[1], p);
			return 1;
		}
		unescape(&in, text, (size_t)(want - text));
		run(buf_str(&in), in.len, kind, &out);
		buf_add(&all, p, (size_t)(want - p));
		want = strchr(want, '\n') + 1;
		next = next_marker(want, end);
		buf_addf(&all, "@@= %s\n", kind);
		buf_add(&all, out.data, out.len);
		if (out.len == (size_t)(next - want) &&
		    memcmp(buf_str(&out), want, out.len) == 0)
			passed++;
		else if (!update) {
			failed++;
			printf("FAILED: %s\n--- expected\n%.*s--- got\n%s", name,
			    (int)(next - want), want, buf_str(&out));
		}
	}
	if (update) {
		if ((f = fopen(argv[2], "w")) == NULL)
			return 1;
		(void)fwrite(all.data, 1, all.len, f);
		return fclose(f) == 0 ? 0 : 1;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}
