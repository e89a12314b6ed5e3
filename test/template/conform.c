/*
 * template-conform DIR…: runs the vectors of folders of JSON files (what
 * Ansible and Jinja2 made of thousands of templates) through our engine.
 *
 *	{"id": …, "template": …, "vars": {…}, "data": {…}, "options": {…},
 *	 "expect": … | "error": …, "message": …, "compare": "unordered"}
 *
 * Prints each case that differs, with what was expected and what came, and
 * ends with `N passed, M failed`.  Cases listed in known.json (id or pattern with a
 * reason) do not count as failures; one that passes although it is listed
 * does.  -k FILE names another list, -f PATTERN runs only some ids.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "template/template.h"

struct tally {
	unsigned	 passed, failed, known, files;
	const struct value *known_list;	/* map: id or pattern to reason */
	const char	*filter;
	bool		 quiet;
	char		 dir[64];	/* DIR of the vectors' files */
};

/* ---- the vectors' world ---------------------------------------------------- */

static void
remove_tree(const char *path)
{
	struct dirent *d;
	char sub[PATH_MAX];
	DIR *dir;

	if ((dir = opendir(path)) != NULL) {
		while ((d = readdir(dir)) != NULL) {
			if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
				continue;
			if (snprintf(sub, sizeof(sub), "%s/%s", path, d->d_name) < (int)sizeof(sub))
				remove_tree(sub);
		}
		closedir(dir);
		(void)rmdir(path);
	} else
		(void)unlink(path);
}

static void
write_file(const char *dir, const char *name, const struct value *text)
{
	char path[PATH_MAX], *slash;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return;
	for (slash = strchr(path + strlen(dir) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	if ((f = fopen(path, "w")) == NULL) {
		perror(path);
		exit(2);
	}
	fwrite(text->u.s, 1, text->len, f);
	fclose(f);
}

static void
enter_world(struct tally *t, const struct value *options)
{
	const struct value *files = v_gets(options, "files"), *env = v_gets(options, "env");
	const struct ventry *e;
	uint32_t it;

	(void)mkdir(t->dir, 0700);
	for (it = 0; files != NULL && (e = v_next(files, &it)) != NULL;)
		write_file(t->dir, e->key->u.s, e->val);
	for (it = 0; env != NULL && (e = v_next(env, &it)) != NULL;)
		setenv(e->key->u.s, e->val->u.s, 1);
	if (chdir(t->dir) < 0) {
		perror(t->dir);
		exit(2);
	}
}

static void
leave_world(struct tally *t, const struct value *options)
{
	const struct value *env = v_gets(options, "env");
	const struct ventry *e;
	uint32_t it;

	for (it = 0; env != NULL && (e = v_next(env, &it)) != NULL;)
		unsetenv(e->key->u.s);
	setenv("HOME", "/root", 1);
	if (chdir("/") == 0)
		remove_tree(t->dir);
}

/* ---- a case's values ------------------------------------------------------- */

static const struct source vars_source = { .path = "vars" };

/* Values of a playbook: strings are templates and have a place in a file. One that does not compile fails when it is read. */
static const struct value *
from_playbook(struct arena *a, const struct value *v)
{
	struct mark at = { &vars_source, 1, 1, 1 };
	struct diags diags = DIAGS_INIT;
	struct value *copy;
	const struct value *r;
	const struct ventry *e;
	uint32_t i, it;

	switch (v->type) {
	case V_STR:
		v = v_with_mark(a, v, at);
		if ((r = tmpl_compile_tree(a, v, &diags)) == NULL)
			for (i = 0; i < diags.n; i++)
				if (diags.v[i].level == DIAG_ERROR) {
					r = tmpl_failing(a, &diags.v[i].err);
					break;
				}
		diags_release(&diags);
		return r;
	case V_LIST:
		copy = v_list(a);
		for (i = 0; i < v->u.list->n; i++)
			v_push(a, copy, from_playbook(a, v->u.list->v[i]));
		return copy;
	case V_MAP:
		copy = v_map(a);
		for (it = 0; (e = v_next(v, &it)) != NULL;)
			v_set(a, copy, e->key, from_playbook(a, e->val));
		return copy;
	default:
		return v;
	}
}

static struct tmpl_opts
options_of(const struct value *o)
{
	struct tmpl_opts t = { 0 };

	t.block_start = v_get_str(o, "block_start_string", NULL);
	t.block_end = v_get_str(o, "block_end_string", NULL);
	t.variable_start = v_get_str(o, "variable_start_string", NULL);
	t.variable_end = v_get_str(o, "variable_end_string", NULL);
	t.comment_start = v_get_str(o, "comment_start_string", NULL);
	t.comment_end = v_get_str(o, "comment_end_string", NULL);
	t.line_statement_prefix = v_get_str(o, "line_statement_prefix", NULL);
	t.line_comment_prefix = v_get_str(o, "line_comment_prefix", NULL);
	t.newline_sequence = v_get_str(o, "newline_sequence", NULL);
	t.no_trim_blocks = !v_get_bool(o, "trim_blocks", true);
	t.lstrip_blocks = v_get_bool(o, "lstrip_blocks", false);
	t.no_keep_trailing_newline = !v_get_bool(o, "keep_trailing_newline", true);
	return t;
}

static void
first_error(struct diags *d, struct err *err)
{
	size_t i;

	for (i = 0; i < d->n && err->code == ERR_NONE; i++)
		if (d->v[i].level == DIAG_ERROR)
			err_move(err, &d->v[i].err);
	diags_release(d);
}

static const struct value *
run(struct arena *a, const struct value *c, const struct value *o, const struct scope *scope, struct err *err)
{
	const char *mode = v_get_str(o, "mode", "value");
	const struct value *text = v_gets(c, "template"), *v;
	struct mark at = { NULL, 1, 1, 1 };
	struct diags diags = DIAGS_INIT;
	struct tmpl_opts opts = options_of(o);
	const struct tmpl *t;
	bool ret;

	if (strcmp(mode, "when") == 0) {
		if ((v = tmpl_compile_when(a, text, &diags)) != NULL)
			v = tmpl_when(a, scope, v, &ret, err) < 0 ? NULL : v_bool(ret);
	} else if (strcmp(mode, "file") == 0) {
		t = tmpl_compile(a, text->u.s, text->len, at, TMPL_FILE, &opts, &diags);
		v = t == NULL ? NULL : tmpl_render(a, scope, t, err);
	} else if ((v = tmpl_compile_tree(a, text, &diags)) != NULL)
		v = tmpl_eval(a, scope, v, err);
	first_error(&diags, err);
	return v;
}

/* ---- comparing ------------------------------------------------------------- */

static bool
same_float(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return !(a < b || a > b) || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static bool
same(const struct value *a, const struct value *b)
{
	const struct ventry *x, *y;
	uint32_t i, j;

	if (a == NULL || b == NULL || a->type != b->type)
		return false;
	switch (a->type) {
	case V_FLOAT:
		return same_float(a->u.f, b->u.f);
	case V_LIST:
		if (v_count(a) != v_count(b))
			return false;
		for (i = 0; i < v_count(a); i++)
			if (!same(v_at(a, i), v_at(b, i)))
				return false;
		return true;
	case V_MAP:
		/* Order counts too. */
		if (v_count(a) != v_count(b))
			return false;
		for (i = j = 0; (x = v_next(a, &i)) != NULL && (y = v_next(b, &j)) != NULL;)
			if (!same(x->key, y->key) || !same(x->val, y->val))
				return false;
		return true;
	default:
		return v_equal(a, b);
	}
}

/* Equal as multisets. */
static bool
same_unordered(const struct value *a, const struct value *b)
{
	uint32_t i, j, n = v_count(a);
	bool *used;

	if (a->type != V_LIST || b->type != V_LIST || v_count(b) != n)
		return a->type != V_LIST && same(a, b);
	used = xcalloc(n + 1, sizeof(*used));
	for (i = 0; i < n; i++) {
		for (j = 0; j < n && (used[j] || !same(v_at(a, i), v_at(b, j))); j++)
			;
		if (j == n)
			break;
		used[j] = true;
	}
	free(used);
	return i == n;
}

/* Messages are compared only where scripts rely on them. */
static bool
comparable(const char *m)
{
	const char *s;

	if (*m == '\'' && (s = strchr(m + 1, '\'')) != NULL && strcmp(s, "' is undefined") == 0)
		return true;
	return strncmp(m, "object of type '", 16) == 0 && strstr(m, "' has no attribute '") != NULL;
}

static bool
error_fits(const struct value *c, const struct value *got, const struct err *err)
{
	const char *want = v_get_str(c, "error", ""), *msg = v_get_str(c, "message", "");

	/* A parameter is left out; a file or a condition cannot be: an error. */
	if (strcmp(want, "omit") == 0)
		return got != NULL ? got->type == V_OMIT :
		    strcmp(v_get_str(v_gets(c, "options"), "mode", "value"), "value") != 0;
	if (got != NULL)
		return false;
	if (strcmp(want, "syntax") == 0)
		return err->code == ERR_SYNTAX;
	if (strcmp(want, "undefined") == 0)
		return err->code == ERR_UNDEFINED && (!comparable(msg) || strcmp(msg, err->msg) == 0);
	return true;
}

static const char *const codes[] = { "none", "usage", "syntax", "invalid", "undefined", "type",
    "value", "unsupported", "limit", "io" };

static void
print_value(struct buf *b, const struct value *v)
{
	if (v->type == V_OMIT)
		buf_adds(b, "(omit)");
	else
		json_write(b, v, 0);
}

static void
report(const struct value *c, const struct value *got, const struct err *err)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "FAIL %s\n  template ", v_get_str(c, "id", "?"));
	print_value(&b, v_gets(c, "template"));
	buf_adds(&b, "\n  vars     ");
	print_value(&b, v_gets(c, "vars"));
	if (v_gets(c, "data") != NULL) {
		buf_adds(&b, "\n  data     ");
		print_value(&b, v_gets(c, "data"));
	}
	if (v_gets(c, "options") != NULL) {
		buf_adds(&b, "\n  options  ");
		print_value(&b, v_gets(c, "options"));
	}
	buf_adds(&b, "\n  expected ");
	if (v_gets(c, "expect") != NULL)
		print_value(&b, v_gets(c, "expect"));
	else
		buf_addf(&b, "error %s: %s", v_get_str(c, "error", "?"), v_get_str(c, "message", ""));
	buf_adds(&b, "\n  got      ");
	if (got != NULL)
		print_value(&b, got);
	else
		buf_addf(&b, "error %s: %s", (size_t)err->code < NITEMS(codes) ? codes[err->code] : "?",
		    err->msg == NULL ? "" : err->msg);
	puts(buf_str(&b));
	buf_release(&b);
}

static const char *
known_reason(const struct tally *t, const char *id)
{
	const struct ventry *e;
	uint32_t it;

	for (it = 0; t->known_list != NULL && (e = v_next(t->known_list, &it)) != NULL;)
		if (fnmatch(e->key->u.s, id, 0) == 0)
			return e->val->u.s;
	return NULL;
}

static void
run_case(struct tally *t, const struct value *c)
{
	const char *id = v_get_str(c, "id", "?"), *reason = known_reason(t, id);
	const struct value *o = v_gets(c, "options"), *got, *want = v_gets(c, "expect"), *data = v_gets(c, "data");
	const struct value *layers[2];
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	const char *search[] = { t->dir, NULL };
	struct tmpl_files files = { .basedir = t->dir, .search = search, .allow_pipe = true };
	struct scope scope = { .layers = layers, .n = 2, .files = &files };
	bool ok;

	if (t->filter != NULL && fnmatch(t->filter, id, 0) != 0)
		return;
	enter_world(t, o);
	layers[0] = from_playbook(&a, v_gets(c, "vars"));
	layers[1] = data;
	got = run(&a, c, o, &scope, &err);
	leave_world(t, o);
	if (want == NULL)
		ok = error_fits(c, got, &err);
	else if (got == NULL)
		ok = false;
	else if (v_get_str(c, "compare", NULL) != NULL)
		ok = same_unordered(want, got);
	else
		ok = same(want, got);
	if (ok && reason == NULL)
		t->passed++;
	else if (ok) {
		printf("FAIL %s\n  passes, but is listed as known: %s\n", id, reason);
		t->failed++;
	} else if (reason != NULL)
		t->known++;
	else {
		t->failed++;
		if (!t->quiet)
			report(c, got, &err);
		else
			printf("FAIL %s\n", id);
	}
	err_release(&err);
	arena_release(&a);
}

static const struct value *
read_json(struct arena *a, const char *path)
{
	struct source *src = ARENA_NEW(a, struct source);
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	const struct value *v;

	if (buf_read_file(&b, path) < 0) {
		perror(path);
		exit(2);
	}
	src->path = path;
	src->text = buf_dup(&b, a);
	src->len = b.len;
	buf_release(&b);
	if ((v = json_parse(a, src, &err)) == NULL) {
		err_format(&err, false, &out);
		fputs(buf_str(&out), stderr);
		exit(2);
	}
	return v;
}

static int
is_json(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".json") == 0;
}

static void
run_file(struct tally *t, const char *path)
{
	struct arena a = { 0 };
	const struct value *l = read_json(&a, path);
	uint32_t i;

	t->files++;
	for (i = 0; i < v_count(l); i++)
		run_case(t, v_at(l, i));
	arena_release(&a);
}

static void
run_folder(struct tally *t, const char *dir)
{
	struct dirent **names;
	char path[PATH_MAX];
	struct stat st;
	int i, n;

	if (stat(dir, &st) == 0 && S_ISREG(st.st_mode)) {
		run_file(t, dir);
		return;
	}
	if ((n = scandir(dir, &names, is_json, alphasort)) < 0) {
		perror(dir);
		exit(2);
	}
	for (i = 0; i < n; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name) >= (int)sizeof(path))
			exit(2);
		free(names[i]);
		run_file(t, path);
	}
	free(names);
}

int
main(int argc, char **argv)
{
	struct tally t = { 0 };
	struct arena a = { 0 };
	const char *known = NULL;
	char abs[PATH_MAX];
	int c, i;

	while ((c = getopt(argc, argv, "k:f:q")) != -1)
		switch (c) {
		case 'k':
			known = optarg;
			break;
		case 'f':
			t.filter = optarg;
			break;
		case 'q':
			t.quiet = true;
			break;
		default:
			fprintf(stderr, "usage: template-conform [-q] [-k KNOWN] [-f PATTERN] DIR…\n");
			return 2;
		}
	setenv("LANG", "C.UTF-8", 1);
	setenv("TZ", "UTC", 1);
	setenv("HOME", "/root", 1);
	tzset();
	if (known != NULL)
		t.known_list = read_json(&a, known);
	for (i = optind; i < argc; i++) {
		if (realpath(argv[i], abs) == NULL) {
			perror(argv[i]);
			return 2;
		}
		/* Each run gets a directory of its own, also beside other runs. */
		snprintf(t.dir, sizeof(t.dir), "/tmp/template-conform-%ld", (long)getpid());
		run_folder(&t, abs);
	}
	if (t.known > 0)
		printf("%u differ as %s says\n", t.known, known);
	printf("%u passed, %u failed\n", t.passed, t.failed);
	arena_release(&a);
	return t.failed > 0;
}
