/*
 * template-bench VARS TEMPLATE…: how long one parse and one rendering of each
 * template takes (-r N: N renderings only, for profiles that count instructions).  Prints `NAME parse_ns render_ns bytes`; the text of the last
 * rendering goes to the folder named by -o, for comparison.
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "template/template.h"

#define ENOUGH_NS	300000000	/* of each measurement */
#define BATCH		32		/* between two looks at the clock, which is a system call */

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static const struct tmpl *
compile(struct arena *a, const struct buf *text)
{
	struct diags diags = DIAGS_INIT;
	struct mark at = { NULL, 1, 1, 1 };
	struct buf out = BUF_INIT;
	const struct tmpl *t = tmpl_compile(a, text->data, text->len, at, TMPL_FILE, NULL, &diags);

	if (t == NULL) {
		diags_format(&diags, false, &out);
		fputs(buf_str(&out), stderr);
		exit(2);
	}
	diags_release(&diags);
	return t;
}

static const struct value *
render(struct arena *a, const struct scope *scope, const struct tmpl *t)
{
	struct err err = ERR_INIT;
	struct buf out = BUF_INIT;
	const struct value *v = tmpl_render(a, scope, t, &err);

	if (v == NULL) {
		err_format(&err, false, &out);
		fputs(buf_str(&out), stderr);
		exit(2);
	}
	return v;
}

static void
bench(const struct scope *scope, const char *path, const char *outdir, int64_t renders)
{
	struct buf text = BUF_INIT;
	struct arena site = { 0 }, task = { 0 };
	int64_t start, parse_ns, render_ns, n;
	const struct tmpl *t = NULL;
	const struct value *v = NULL;
	char *copy = xstrdup(path), out[4096];
	FILE *f;

	if (buf_read_file(&text, path) < 0) {
		perror(path);
		exit(2);
	}
	for (n = 0, start = now_ns(); n == 0 || (renders == 0 && (n % BATCH != 0 || now_ns() - start < ENOUGH_NS)); n++) {
		arena_clear(&site);
		t = compile(&site, &text);
	}
	parse_ns = (now_ns() - start) / n;
	for (n = 0, start = now_ns(); renders == 0 ? n % BATCH != 0 || now_ns() - start < ENOUGH_NS : n < renders; n++) {
		arena_clear(&task);
		v = render(&task, scope, t);
	}
	render_ns = (now_ns() - start) / n;
	printf("%s %lld %lld %u\n", basename(copy), (long long)parse_ns, (long long)render_ns, v->len);
	if (outdir != NULL) {
		snprintf(out, sizeof(out), "%s/%s", outdir, basename(copy));
		if ((f = fopen(out, "w")) != NULL) {
			fwrite(v->u.s, 1, v->len, f);
			fclose(f);
		}
	}
	free(copy);
	buf_release(&text);
	arena_release(&site);
	arena_release(&task);
}

int
main(int argc, char **argv)
{
	struct buf text = BUF_INIT;
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const struct value *vars;
	struct scope scope = { .n = 1 };
	const char *outdir = NULL;
	int64_t renders = 0;
	int c, i;

	while ((c = getopt(argc, argv, "r:o:")) != -1) {
		if (c == 'r')
			renders = atoll(optarg);
		else if (c == 'o')
			outdir = optarg;
		else
			return 2;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: template-bench [-r N] [-o FOLDER] VARS TEMPLATE...\n");
		return 2;
	}
	if (buf_read_file(&text, argv[optind]) < 0) {
		perror(argv[optind]);
		return 2;
	}
	if ((vars = json_parse_text(&a, text.data, text.len, &err)) == NULL) {
		fprintf(stderr, "%s: %s\n", argv[optind], err.msg);
		return 2;
	}
	scope.layers = &vars;
	for (i = optind + 1; i < argc; i++)
		bench(&scope, argv[i], outdir, renders);
	buf_release(&text);
	arena_release(&a);
	return 0;
}
