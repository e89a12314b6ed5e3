/*
 * modrun: runs one module on this machine, in this process.
 *
 * Reads a JSON object from the file named on the command line or from standard
 * input and prints the result as JSON on one line:
 *
 *	module		name of the module
 *	args		its parameters
 *	check, diff	booleans
 *	no_log		boolean
 *	env		environment of commands
 *	content_dir	directory that stands for the controller: `src` is
 *			looked up in it and becomes the "_content" manifest
 *	data_to		file that takes what the module sends (fetch)
 *	timeout_ms	of the whole
 *	ahead		as before its turn: at its first effect {"held": true} is
 *			printed, and nothing more happens
 *	spec_only	prints the parameters as the module would get them, and
 *			runs nothing
 *
 * Parameters that do not pass the check are printed as
 * {"failed": true, "invalid": true, "msg": …, "diags": text}.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "module/module.h"

#define DEPTH_MAX	64

struct offered {
	char	*path, sha256[SHA256_HEX];
};

static struct offered *offers;
static size_t noffers;
static int data_fd = -1;

static void
hold(void *arg)
{
	if (!*(const bool *)arg)
		return;
	(void)puts("{\"held\": true}");
	(void)fflush(stdout);
	_exit(0);
}

static int
give_content(void *arg, const char *sha256, int fd, struct err *err)
{
	CLEANUP_CLOSE int from = -1;
	char chunk[65536];
	ssize_t n;
	size_t i;

	hold(arg);
	for (i = 0; i < noffers; i++)
		if (strcmp(offers[i].sha256, sha256) == 0)
			break;
	if (i == noffers)
		return err_set(err, ERR_INVALID, "no content %s was offered", sha256);
	from = open(offers[i].path, O_RDONLY | O_CLOEXEC);
	if (from == -1)
		return err_errno(err, "%s", offers[i].path);
	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (write(fd, chunk, (size_t)n) != n)
			return err_errno(err, "cannot write");
	return n == 0 ? 0 : err_errno(err, "%s", offers[i].path);
}

static int
take_data(void *arg, const void *data, size_t n, struct err *err)
{
	hold(arg);
	if (data_fd != -1 && write(data_fd, data, n) != (ssize_t)n)
		return err_errno(err, "cannot write");
	return 0;
}

static void
print_progress(void *arg, const char *line)
{
	(void)arg;
	if (getenv("MODRUN_PROGRESS") != NULL)
		(void)fprintf(stderr, "%s\n", line);
}

/* ---- the manifest ------------------------------------------------------- */

static void
offer(const char *path, char sha256[SHA256_HEX])
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1 || sha256_fd(fd, sha256) == -1) {
		perror(path);
		exit(2);
	}
	offers = xreallocarray(offers, noffers + 1, sizeof(*offers));
	offers[noffers].path = xstrdup(path);
	memcpy(offers[noffers++].sha256, sha256, SHA256_HEX);
}

static void walk(struct arena *, struct value *, const char *, const char *,
    bool, int);

static void
add_entry(struct arena *a, struct value *list, const char *path,
    const char *rel, bool follow, int depth)
{
	struct value *e = v_map(a);
	char sha256[SHA256_HEX], target[4096];
	struct stat st;
	ssize_t n;

	if ((follow ? stat(path, &st) : lstat(path, &st)) == -1) {
		perror(path);
		exit(2);
	}
	v_set_str(a, e, "path", rel);
	v_set_int(a, e, "mode", st.st_mode & 07777);
	if (S_ISDIR(st.st_mode)) {
		v_set_str(a, e, "type", "directory");
		v_push(a, list, e);
		walk(a, list, path, rel, follow, depth + 1);
		return;
	}
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		v_set_str(a, e, "type", "link");
		v_set_str(a, e, "target", target);
	} else {
		offer(path, sha256);
		v_set_str(a, e, "type", "file");
		v_set_str(a, e, "sha256", sha256);
		v_set_int(a, e, "size", st.st_size);
	}
	v_push(a, list, e);
}

static void
walk(struct arena *a, struct value *list, const char *dir, const char *rel,
    bool follow, int depth)
{
	struct dirent **names;
	int i, n;

	if (depth > DEPTH_MAX)
		return;
	n = scandir(dir, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			add_entry(a, list, arena_printf(a, "%s/%s", dir, name),
			    *rel == '\0' ? name : arena_printf(a, "%s/%s", rel, name),
			    follow, depth);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static const struct value *
with_content(struct arena *a, const struct value *args, const char *dir)
{
	const char *src = v_get_str(args, "src", NULL);
	struct value *list, *new;
	const char *path;
	struct stat st;
	bool follow = v_get_bool(args, "local_follow", true);

	if (src == NULL || v_get_bool(args, "remote_src", false))
		return args;
	list = v_list(a);
	path = *src == '/' ? src : arena_printf(a, "%s/%s", dir, src);
	if (stat(path, &st) == -1)
		return args;
	if (S_ISDIR(st.st_mode))
		walk(a, list, path, "", follow, 0);
	else
		add_entry(a, list, path, "", true, 0);
	new = v_map(a);
	v_merge(a, new, args);
	v_sets(a, new, "_content", list);
	return new;
}

/* ---- running ------------------------------------------------------------ */

static void
print(const struct value *v)
{
	CLEANUP_BUF struct buf out = BUF_INIT;

	json_write(&out, v, 0);
	buf_addc(&out, '\n');
	(void)fwrite(out.data, 1, out.len, stdout);
}

static void
print_invalid(struct arena *a, struct diags *diags)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct value *r = v_map(a);
	size_t i;

	diags_format(diags, false, &text);
	v_set_bool(a, r, "failed", true);
	v_set_bool(a, r, "invalid", true);
	for (i = 0; i < diags->n; i++)
		if (diags->v[i].level == DIAG_ERROR) {
			v_set_str(a, r, "msg", diags->v[i].err.msg);
			break;
		}
	v_set_str(a, r, "diags", buf_str(&text));
	print(r);
}

static int
run(struct arena *a, const struct value *req)
{
	bool ahead = v_get_bool(req, "ahead", false);
	const struct mod_io io = { .progress = print_progress, .hold = hold,
		.content = give_content, .data = take_data, .arg = &ahead };
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	const char *name = v_get_str(req, "module", "");
	const char *dir = v_get_str(req, "content_dir", NULL);
	const char *data_to = v_get_str(req, "data_to", NULL);
	const struct module *mod = module_find(name);
	const struct value *args = v_gets(req, "args");
	struct mod m = { .arena = a, .module = mod, .io = &io };

	if (mod == NULL) {
		(void)fprintf(stderr, "modrun: no module '%s'\n", name);
		return 2;
	}
	if (dir != NULL && args != NULL && (mod->flags & MOD_CONTENT))
		args = with_content(a, args, dir);
	m.args = mod_args_check(a, mod, args, (struct mark){ 0 }, 0, &diags);
	if (m.args == NULL) {
		print_invalid(a, &diags);
		return 0;
	}
	if (v_get_bool(req, "spec_only", false)) {
		print(m.args);
		return 0;
	}
	if (data_to != NULL)
		data_fd = open(data_to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	m.check = v_get_bool(req, "check", false);
	m.diff = v_get_bool(req, "diff", false);
	m.no_log = v_get_bool(req, "no_log", false);
	m.env = v_gets(req, "env");
	m.timeout_ms = (int)v_get_int(req, "timeout_ms", 0);
	mod_run(&m);
	print(m.result);
	return 0;
}

int
main(int argc, char **argv)
{
	CLEANUP_BUF struct buf in = BUF_INIT;
	struct err err = ERR_INIT;
	struct arena arena = { 0 };
	const struct value *req;
	int rc = 2;
	size_t i;

	(void)signal(SIGPIPE, SIG_IGN);
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "-") != 0 ?
	    buf_read_file(&in, argv[1]) : buf_read_fd(&in, 0)) == -1) {
		(void)fprintf(stderr, "usage: modrun [request.json | -]\n");
		return 2;
	}
	req = json_parse_text(&arena, buf_str(&in), in.len, &err);
	if (req == NULL || req->type != V_MAP) {
		(void)fprintf(stderr, "modrun: %s\n",
		    err.msg != NULL ? err.msg : "the request must be a map");
		err_release(&err);
	} else
		rc = run(&arena, req);
	for (i = 0; i < noffers; i++)
		free(offers[i].path);
	free(offers);
	if (data_fd != -1)
		(void)close(data_fd);
	arena_release(&arena);
	return rc;
}
