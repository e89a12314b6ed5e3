/*
 * Lookups that read files and run programs on the controller.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "template/filter_path.h"
#include "template/filter_util.h"
#include "template/lookup_util.h"
#include "yaml/files.h"

#define PIPE_TIMEOUT_MS	300000
#define PIPE_OUTPUT_MAX	((size_t)16 * 1024 * 1024)
#define PIPE_STDERR_MAX	4096

extern char **environ;

bool
lookup_term(struct tcall *c, uint32_t i, const char **s, size_t *len)
{
	const struct value *v = c->star[i];

	if (v->type == V_STR) {
		*s = v->u.s;
		*len = v->len;
		return true;
	}
	if (v->type == V_UNDEF)
		return fu_undef(c, v);
	terr(c, ERR_TYPE, "lookup '%s': a term must be a str, not %s", c->name, tmpl_py_type(v));
	return false;
}

static bool
exists(const char *path)
{
	struct stat st;

	return stat(file_at(path), &st) == 0;
}

static const char *
try_dir(struct tcall *c, const char *dir, const char *subdir, const char *name)
{
	const char *path;
	size_t n = subdir != NULL ? strlen(subdir) : 0;

	/* A name that begins with the subdirectory is not looked for below it. */
	if (n > 0 && !(strncmp(name, subdir, n) == 0 && (name[n] == '/' || name[n] == '\0'))) {
		path = arena_printf(c->arena, "%s/%s/%s", dir, subdir, name);
		if (exists(path))
			return path;
	}
	path = arena_printf(c->arena, "%s/%s", dir, name);
	return exists(path) ? path : NULL;
}

const char *
lookup_find(struct tcall *c, const char *subdir, const char *name)
{
	const struct tmpl_files *f = tcall_scope(c)->files;
	const struct value *home;
	const char *path;

	if (*name == '~') {
		home = tcall_filter(c, "expanduser", v_str(c->arena, name), NULL, 0, NULL);
		if (home == NULL)
			return NULL;
		name = home->u.s;
	}
	if (*name == '/')
		return exists(name) ? name : NULL;
	if (*name == '\0' || f == NULL)
		return NULL;
	for (size_t i = 0; f->search != NULL && f->search[i] != NULL; i++)
		if ((path = try_dir(c, f->search[i], subdir, name)) != NULL)
			return path;
	return f->basedir != NULL ? try_dir(c, f->basedir, subdir, name) : NULL;
}

static const struct value *
decrypted(struct tcall *c, const char *path, struct buf *b)
{
	const struct tmpl_files *f = tcall_scope(c)->files;
	CLEANUP_BUF struct buf plain = BUF_INIT, clean = BUF_INIT;

	if (f->decrypt == NULL) {
		terr(c, ERR_AUTH, "%s is a vault, and there is no password for it", path);
		err_hint(c->err, "give one with --vault-password-file");
		return NULL;
	}
	if (f->decrypt(f->arg, b->data, b->len, &plain, c->err) != 0) {
		err_wrap(c->err, "%s", path);
		return NULL;
	}
	utf8_clean(&clean, buf_str(&plain), plain.len);
	return v_flag(c->arena, fu_strn(c, buf_str(&clean), clean.len), V_SECRET);
}

const struct value *
lookup_read(struct tcall *c, const char *path)
{
	static const char header[] = "$ANSIBLE_VAULT;";
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct buf clean = BUF_INIT;

	if (file_read(&b, path) != 0) {
		err_errno(c->err, "lookup '%s': cannot read %s", c->name, path);
		return NULL;
	}
	if (b.len >= sizeof(header) - 1 && memcmp(b.data, header, sizeof(header) - 1) == 0)
		return decrypted(c, path, &b);
	if (utf8_valid(b.len > 0 ? b.data : "", b.len))
		return fu_strn(c, buf_str(&b), b.len);
	utf8_clean(&clean, b.data, b.len);
	return fu_result(c, &clean);
}

/* ---- file, unvault ------------------------------------------------------------------------- */

static const struct value *
strip_ends(struct tcall *c, const struct value *v, bool left, bool right)
{
	const char *s = v->u.s, *p;
	size_t len = v->len, n;
	const struct value *out;

	p = s;
	n = len;
	fu_strip(&p, &n);
	if (n == 0) {
		if (left || right)
			len = 0;
	} else {
		if (right)
			len = (size_t)(p + n - s);
		if (left) {
			len -= (size_t)(p - s);
			s = p;
		}
	}
	out = fu_strn(c, s, len);
	return (v->flags & V_SECRET) != 0 ? v_flag(c->arena, out, V_SECRET) : out;
}

/* file(lstrip, rstrip) */
static const struct value *
l_file(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *v;
	const char *name, *path;
	size_t len;
	bool left, right;

	if (!path_may_read(c) || !targ_bool(c, 0, false, &left) || !targ_bool(c, 1, true, &right))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &name, &len))
			return NULL;
		path = lookup_find(c, "files", name);
		if (path == NULL)
			return terr(c, ERR_IO, "Unable to access the file '%s': File not found", name);
		if ((v = lookup_read(c, path)) == NULL)
			return NULL;
		v_push(c->arena, out, strip_ends(c, v, left, right));
	}
	return out;
}

static const struct value *
l_unvault(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const struct value *v;
	const char *name, *path;
	size_t len;

	if (!path_may_read(c))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &name, &len))
			return NULL;
		path = lookup_find(c, "files", name);
		if (path == NULL)
			return terr(c, ERR_IO, "Unable to find file matching \"%s\"", name);
		if ((v = lookup_read(c, path)) == NULL)
			return NULL;
		v_push(c->arena, out, v);
	}
	return out;
}

/* ---- fileglob ------------------------------------------------------------------------------- */

static bool
glob_in(struct tcall *c, const char *dir, const char *name, struct value *out)
{
	return path_glob(c, arena_printf(c->arena, "%s/%s", dir, name), 0, out);
}

static const struct value *
l_fileglob(struct tcall *c)
{
	const struct tmpl_files *f = tcall_scope(c)->files;
	struct value *out = v_list(c->arena);
	const char *term, *name, *dir, *found;
	uint32_t before;
	size_t len;

	if (!path_may_read(c))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &term, &len))
			return NULL;
		name = strrchr(term, '/');
		before = v_count(out);
		if (name != NULL) {
			dir = name == term ? "/" : arena_strndup(c->arena, term, (size_t)(name - term));
			found = lookup_find(c, "files", dir);
			if (found != NULL && !glob_in(c, found, name + 1, out))
				return NULL;
			continue;
		}
		for (size_t k = 0; v_count(out) == before && f->search != NULL && f->search[k] != NULL; k++)
			if (!glob_in(c, arena_printf(c->arena, "%s/files", f->search[k]), term, out) ||
			    (v_count(out) == before && !glob_in(c, f->search[k], term, out)))
				return NULL;
		if (v_count(out) == before && f->basedir != NULL &&
		    (!glob_in(c, arena_printf(c->arena, "%s/files", f->basedir), term, out) ||
		    (v_count(out) == before && !glob_in(c, f->basedir, term, out))))
			return NULL;
	}
	return out;
}

/* ---- first_found ------------------------------------------------------------------------------ */

struct first {
	struct tcall		*c;
	struct value		*names;		/* candidates in order */
	const struct value	*files, *paths;	/* the options in force */
	bool			 skip;
};

/* "a,b;c" taken apart, also in the elements of lists. */
static bool
split_names(struct first *f, const struct value *v, const char *seps, struct value *out)
{
	const char *p;
	size_t n;

	if (v == NULL || v->type == V_NULL)
		return true;
	if (v->type == V_UNDEF)
		return tcall_with_form(f->c) || fu_undef(f->c, v);
	if (v->type == V_LIST) {
		for (uint32_t i = 0; i < v_count(v); i++)
			if (!split_names(f, v_at(v, i), seps, out))
				return false;
		return true;
	}
	if (v->type != V_STR) {
		terr(f->c, ERR_TYPE, "first_found: a str or a list is required, not %s", tmpl_py_type(v));
		return false;
	}
	for (p = v->u.s;; p += n + 1) {
		n = strcspn(p, seps);
		v_push(f->c->arena, out, fu_strn(f->c, p, n));
		if (p[n] == '\0')
			return true;
	}
}

static bool
add_candidates(struct first *f, const struct value *files)
{
	struct value *names = v_list(f->c->arena), *paths = v_list(f->c->arena);
	const char *path, *name;

	if (!split_names(f, files, ",;", names) || !split_names(f, f->paths, ",:;", paths))
		return false;
	for (uint32_t p = 0; p < v_count(paths) || p == 0; p++)
		for (uint32_t n = 0; n < v_count(names); n++) {
			name = v_at(names, n)->u.s;
			if (v_count(paths) == 0) {
				v_push(f->c->arena, f->names, v_at(names, n));
				continue;
			}
			path = v_at(paths, p)->u.s;
			v_push(f->c->arena, f->names, *name == '/' || *path == '\0' ? v_at(names, n) :
			    v_strf(f->c->arena, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name));
		}
	return true;
}

static bool
first_term(struct first *f, const struct value *t, unsigned depth)
{
	const struct value *v;

	if (depth > V_DEPTH_MAX) {
		terr(f->c, ERR_LIMIT, "first_found: lists nested too deeply");
		return false;
	}
	if (t->type == V_UNDEF)
		return tcall_with_form(f->c) || fu_undef(f->c, t);
	if (t->type == V_MAP) {
		f->paths = v_gets(t, "paths");
		if ((v = v_gets(t, "skip")) != NULL)
			f->skip = fu_boolean(v) == 1;
		return add_candidates(f, v_gets(t, "files"));
	}
	if (t->type == V_STR)
		return add_candidates(f, t);
	if (t->type != V_LIST) {
		terr(f->c, ERR_TYPE, "Invalid term supplied. A string, dict or list is required, not '%s'",
		    tmpl_py_type(t));
		return false;
	}
	for (uint32_t i = 0; i < v_count(t); i++)
		if (!first_term(f, v_at(t, i), depth + 1))
			return false;
	return true;
}

/* first_found(files, paths, skip) */
static const struct value *
l_first_found(struct tcall *c)
{
	static const char *const subdirs[] = { "templates", "vars", "files" };
	struct first f = { .c = c, .names = v_list(c->arena), .paths = c->a[1] };
	struct value *out = v_list(c->arena);
	struct buf b = BUF_INIT;
	const char *name, *path = NULL;

	if (!path_may_read(c))
		return NULL;
	f.skip = fu_given(c, 2) && fu_boolean(c->a[2]) == 1;
	for (uint32_t i = 0; i < c->nstar; i++)
		if (!first_term(&f, c->star[i], 0))
			return NULL;
	if (c->nstar == 0 && !add_candidates(&f, c->a[0]))
		return NULL;
	for (uint32_t i = 0; i < v_count(f.names) && path == NULL; i++) {
		name = v_at(f.names, i)->u.s;
		/* Ansible looks below the directory that fits the task's module; a loop may be of any. */
		for (size_t k = 0; tcall_with_form(c) && k < NITEMS(subdirs) && path == NULL; k++)
			path = lookup_find(c, subdirs[k], name);
		if (path == NULL)
			path = lookup_find(c, NULL, name);
	}
	if (path == NULL) {
		if (f.skip)
			return out;
		return terr(c, ERR_IO, "No file was found when using first_found.");
	}
	path_normal(&b, path, strlen(path));
	v_push(c->arena, out, fu_result(c, &b));
	return out;
}

/* ---- template -------------------------------------------------------------------------------- */

/* template(variable_start_string, variable_end_string, comment_start_string, comment_end_string, template_vars, trim_blocks, convert_data, lstrip_blocks, jinja2_native) */
static const struct value *
l_template(struct tcall *c)
{
	struct tmpl_opts o;
	struct value *out = v_list(c->arena);
	const struct value *text, *v;
	const char *name, *path, *s[4] = { NULL, NULL, NULL, NULL };
	size_t len;
	bool trim;

	if (!path_may_read(c))
		return NULL;
	memset(&o, 0, sizeof(o));
	for (uint32_t i = 0; i < 4; i++)
		if (fu_given(c, i) && !targ_str(c, i, NULL, &s[i], &len))
			return NULL;
	if (!targ_bool(c, 5, true, &trim))
		return NULL;
	o.variable_start = s[0];
	o.variable_end = s[1];
	o.comment_start = s[2];
	o.comment_end = s[3];
	o.no_trim_blocks = !trim;
	for (uint32_t i = 0; i < c->nstar; i++) {
		if (!lookup_term(c, i, &name, &len))
			return NULL;
		path = lookup_find(c, "templates", name);
		if (path == NULL)
			return terr(c, ERR_IO, "the template file %s could not be found for the lookup", name);
		if ((text = lookup_read(c, path)) == NULL)
			return NULL;
		v = tcall_render(c, path, text->u.s, text->len, &o,
		    fu_given(c, 4) ? c->a[4] : NULL, false);
		if (v == NULL)
			return NULL;
		v_push(c->arena, out, v);
	}
	return out;
}

/* ---- pipe, lines ------------------------------------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static pid_t
spawn_shell(const char *command, const char *dir, int out, int err)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, err, 2);
	if (dir != NULL)
		posix_spawn_file_actions_addchdir_np(&fa, dir);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(&pid, argv[0], &fa, &attr, (char **)(uintptr_t)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	errno = rc;
	return rc == 0 ? pid : -1;
}

/* Reads both pipes to their ends. false: too late or too much. */
static bool
collect(int fds[2], struct buf *out, struct buf *err)
{
	struct pollfd p[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
	struct buf *b[2] = { out, err };
	int64_t deadline = now_ms() + PIPE_TIMEOUT_MS, left;
	char chunk[8192];
	ssize_t n;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		left = deadline - now_ms();
		if (left <= 0 || (poll(p, 2, (int)left) < 0 && errno != EINTR))
			return false;
		for (int i = 0; i < 2; i++) {
			if (p[i].fd < 0 || p[i].revents == 0)
				continue;
			n = read(p[i].fd, chunk, sizeof(chunk));
			if (n > 0)
				buf_add(b[i], chunk, (size_t)n);
			else if (n == 0 || errno != EINTR)
				p[i].fd = -1;
		}
		if (buf_overflowed(out))
			return false;
	}
	return true;
}

/* Runs a command; its output in out. false after an error. */
static bool
run_command(struct tcall *c, const char *command, struct buf *out)
{
	const struct tmpl_files *f = tcall_scope(c)->files;
	CLEANUP_BUF struct buf err = BUF_INIT;
	int o[2] = { -1, -1 }, e[2] = { -1, -1 }, fds[2], status = 0;
	const char *s;
	size_t len;
	bool ok = false;
	pid_t pid;

	if (f == NULL || !f->allow_pipe) {
		terr(c, ERR_INVALID, "lookup '%s': no programs may be run here", c->name);
		return false;
	}
	buf_init(out, PIPE_OUTPUT_MAX);
	buf_init(&err, PIPE_STDERR_MAX);
	if (pipe2(o, O_CLOEXEC) != 0 || pipe2(e, O_CLOEXEC) != 0 ||
	    (pid = spawn_shell(command, f->basedir, o[1], e[1])) < 0) {
		err_errno(c->err, "lookup '%s'", c->name);
		goto out;
	}
	close(o[1]);
	close(e[1]);
	o[1] = e[1] = -1;
	fds[0] = o[0];
	fds[1] = e[0];
	ok = collect(fds, out, &err);
	if (!ok)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!ok)
		terr(c, buf_overflowed(out) ? ERR_LIMIT : ERR_TIMEOUT, "lookup '%s': %s: %s", c->name,
		    command, buf_overflowed(out) ? "too much output" : "no end after 300 seconds");
	else if (status != 0) {
		s = buf_str(&err);
		len = err.len;
		fu_strip(&s, &len);
		terr(c, ERR_VALUE, "lookup_plugin.%s(%s) returned %d%s%.*s", c->name, command,
		    WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
		    len > 0 ? ": " : "", (int)len, s);
		ok = false;
	}
out:
	for (int i = 0; i < 2; i++) {
		if (o[i] >= 0)
			close(o[i]);
		if (e[i] >= 0)
			close(e[i]);
	}
	return ok;
}

static const struct value *
run_terms(struct tcall *c, bool lines)
{
	struct value *list = v_list(c->arena);
	const char *term, *p, *line;
	size_t len;

	for (uint32_t i = 0; i < c->nstar; i++) {
		CLEANUP_BUF struct buf out = BUF_INIT, clean = BUF_INIT;
		const struct value *v;

		if (!lookup_term(c, i, &term, &len) || !run_command(c, term, &out))
			return NULL;
		utf8_clean(&clean, buf_str(&out), out.len);
		v = fu_strn(c, buf_str(&clean), clean.len);
		if (!lines) {
			v_push(c->arena, list, strip_ends(c, v, false, true));
			continue;
		}
		for (p = v->u.s; fu_next_line(&p, v->u.s + v->len, &line, &len);)
			v_push(c->arena, list, fu_strn(c, line, len));
	}
	return list;
}

static const struct value *
l_pipe(struct tcall *c)
{
	return run_terms(c, false);
}

static const struct value *
l_lines(struct tcall *c)
{
	return run_terms(c, true);
}

const struct tlookup lookups_file[] = {
	{ "file", "lstrip,rstrip", 0, l_file },
	{ "fileglob", "", 0, l_fileglob },
	{ "first_found", "files,paths,skip", TF_UNDEF_ARGS, l_first_found },
	{ "lines", "", 0, l_lines },
	{ "pipe", "", 0, l_pipe },
	{ "template", "variable_start_string,variable_end_string,comment_start_string,"
	    "comment_end_string,template_vars,trim_blocks,convert_data,lstrip_blocks,jinja2_native",
	    0, l_template },
	{ "unvault", "", 0, l_unvault },
	{ NULL, NULL, 0, NULL }
};
