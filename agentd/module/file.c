/*
 * file: what a path is (file, directory, link, nothing) and its owner and mode.
 *
 * With recurse only what is really below the directory is touched: links in it
 * get their own owner, what they point to is left alone (Ansible would follow
 * them, and hand /etc to whoever may plant a link).
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "module/fs.h"
#include "module/keep.h"
#include "module/place.h"

static const struct mod_arg file_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest,name", .doc = "The path." },
	{ .name = "state", .type = ARG_STR,
	    .choices = "absent,directory,file,hard,link,touch",
	    .doc = "What it must be; without it what it is (file when missing)." },
	{ .name = "src", .type = ARG_PATH,
	    .doc = "What a link points to; only with state link or hard." },
	{ .name = "recurse", .type = ARG_BOOL, .def = "false",
	    .doc = "Owner and mode for everything below a directory." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Links: even if src does not exist, or replacing what is there." },
	{ .name = "follow", .type = ARG_BOOL, .def = "true",
	    .doc = "Owner and mode are those of what a link points to." },
	{ .name = "modification_time", .type = ARG_STR,
	    .doc = "preserve, now, or a time in modification_time_format." },
	{ .name = "modification_time_format", .type = ARG_STR,
	    .def = "%Y%m%d%H%M.%S", .doc = "Format as of strptime." },
	{ .name = "access_time", .type = ARG_STR,
	    .doc = "preserve, now, or a time in access_time_format." },
	{ .name = "access_time_format", .type = ARG_STR,
	    .def = "%Y%m%d%H%M.%S", .doc = "Format as of strptime." },
	{ .name = NULL }
};

static const struct mod_rule file_rules[] = {
	{ RULE_IF, "state=hard:src" }, { RULE_END, NULL }
};

struct filing {
	const char	*path;
	const char	*src;
	const char	*was;		/* absent, file, directory, link, hard */
	bool		 force, follow, recurse;
	struct fs_attrs	 attrs;
	struct stat	 st;		/* of path itself, when not absent */
};

static bool
change_state(struct mod *m, const struct filing *f, const char *state)
{
	struct value *before = v_map(m->arena), *after = v_map(m->arena);

	v_set_str(m->arena, before, "path", f->path);
	v_set_str(m->arena, after, "path", f->path);
	v_set_str(m->arena, before, "state", f->was);
	v_set_str(m->arena, after, "state", state);
	return mod_change(m, f->path, before, after);
}

/* ---- times -------------------------------------------------------------- */

/* One of the two times: tv_nsec UTIME_OMIT, UTIME_NOW or a time. */
static int
parse_time(struct mod *m, const char *arg, bool touch, struct timespec *ret)
{
	const char *s = mod_arg_str(m, arg), *end;
	const char *format = mod_arg_str(m, arena_printf(m->arena, "%s_format", arg));
	struct tm tm;

	ret->tv_sec = 0;
	ret->tv_nsec = touch ? UTIME_NOW : UTIME_OMIT;
	if (s == NULL)
		return 0;
	if (strcmp(s, "preserve") == 0) {
		ret->tv_nsec = UTIME_OMIT;
		return 0;
	}
	if (strcmp(s, "now") == 0) {
		ret->tv_nsec = UTIME_NOW;
		return 0;
	}
	memset(&tm, 0, sizeof(tm));
	tm.tm_isdst = -1;
	end = strptime(s, format, &tm);
	if (end == NULL || *end != '\0')
		return mod_fail(m, "%s '%s' does not fit the format '%s'", arg, s,
		    format);
	ret->tv_sec = mktime(&tm);
	ret->tv_nsec = 0;
	return 0;
}

static bool
time_differs(const struct timespec *want, const struct timespec *is)
{
	if (want->tv_nsec == UTIME_OMIT)
		return false;
	return want->tv_nsec == UTIME_NOW || want->tv_sec != is->tv_sec ||
	    want->tv_nsec != is->tv_nsec;
}

static int
apply_times(struct mod *m, const struct filing *f, bool touch, bool is_new)
{
	struct timespec want[2];
	struct stat st;
	int flags = f->follow ? 0 : AT_SYMLINK_NOFOLLOW;

	if (parse_time(m, "access_time", touch, &want[0]) == -1 ||
	    parse_time(m, "modification_time", touch, &want[1]) == -1)
		return -1;
	if (fstatat(AT_FDCWD, f->path, &st, flags) == -1)
		return m->check ? 0 : mod_fail_errno(m, "cannot look at %s", f->path);
	if (!time_differs(&want[0], &st.st_atim) &&
	    !time_differs(&want[1], &st.st_mtim))
		return 0;
	if (is_new && want[0].tv_nsec == UTIME_NOW && want[1].tv_nsec == UTIME_NOW)
		return 0;	/* it was made just now */
	if (!mod_change(m, f->path, v_str(m->arena, "times"),
	    v_str(m->arena, "new times")))
		return 0;
	if (utimensat(AT_FDCWD, f->path, want, flags) == -1)
		return mod_fail_errno(m, "cannot set the times of %s", f->path);
	return 0;
}

/* ---- states ------------------------------------------------------------- */

static int
absent(struct mod *m, const struct filing *f)
{
	if (strcmp(f->was, "absent") != 0 && change_state(m, f, "absent") &&
	    fs_remove(m, f->path) == -1)
		return -1;
	mod_set_str(m, "path", f->path);
	mod_set_str(m, "state", "absent");
	return 0;
}

static int
file(struct mod *m, const struct filing *f)
{
	const char *path = f->path;
	struct stat st;

	if (f->follow && (path = fs_resolve(m, path)) == NULL)
		return -1;
	if (fs_lstat(m, path, &st) == 1) {
		if (!m->check)
			return mod_fail(m, "file (%s) is absent, cannot continue",
			    f->path);
		mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it",
		    f->path);
		if (f->attrs.owner != NULL || f->attrs.group != NULL ||
		    f->attrs.mode != NULL)
			(void)mod_change(m, f->path, NULL, NULL);
		return 0;
	}
	if (m->failed)
		return -1;
	if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
		return mod_fail(m, "file (%s) is %s, cannot continue", f->path,
		    fs_type_name(st.st_mode));
	if (fs_attrs_apply(m, path, &f->attrs, false) == -1)
		return -1;
	return apply_times(m, f, false, false);
}

struct recursing {
	const struct fs_attrs *attrs;
};

static int
recurse_entry(struct mod *m, const struct fs_entry *e, void *arg)
{
	const struct recursing *r = arg;
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	fd = openat(e->dirfd, e->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 1 : mod_fail_errno(m, "cannot open %s",
		    e->path);
	if (fstat(fd, &st) == -1)
		return mod_fail_errno(m, "cannot look at %s", e->path);
	return fs_attrs_apply_fd(m, fd, e->path, &st, r->attrs);
}

static int
directory(struct mod *m, struct filing *f)
{
	struct recursing r = { &f->attrs };
	struct stat st;
	int rc;

	if (f->follow && (f->path = fs_resolve(m, f->path)) == NULL)
		return -1;
	rc = fs_lstat(m, f->path, &st);
	if (rc == -1)
		return -1;
	if (rc == 1)
		return place_dirs(m, f->path, &f->attrs);
	if (!S_ISDIR(st.st_mode))
		return mod_fail(m, "%s already exists as a %s", f->path,
		    fs_type_name(st.st_mode));
	if (fs_attrs_apply(m, f->path, &f->attrs, false) == -1 ||
	    apply_times(m, f, false, false) == -1)
		return -1;
	if (f->recurse && fs_walk(m, f->path, 0, recurse_entry, &r) == -1)
		return -1;
	return 0;
}

static int
touch(struct mod *m, struct filing *f)
{
	bool is_new = false;
	int fd;

	if (f->follow && (f->path = fs_resolve(m, f->path)) == NULL)
		return -1;
	if (fs_lstat(m, f->path, &f->st) == 1) {
		is_new = true;
		f->was = "absent";
		if (!change_state(m, f, "touch"))
			return 0;
		if (keep_path(m, f->path) == -1)
			return -1;
		fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
		    O_CLOEXEC, 0666);
		if (fd == -1) {
			if (errno == ENOENT)
				return mod_fail(m, "cannot make %s: the directory does not exist",
				    f->path);
			return mod_fail_errno(m, "cannot make %s", f->path);
		}
		(void)close(fd);
		if (fs_attrs_quiet(m, f->path, &f->attrs) == -1)
			return -1;
	} else if (m->failed)
		return -1;
	else if (fs_attrs_apply(m, f->path, &f->attrs, false) == -1)
		return -1;
	return apply_times(m, f, true, is_new);
}

/* Puts a new link in the place of whatever is there (no full directory). */
static int
put_link(struct mod *m, const struct filing *f, bool hard)
{
	if (strcmp(f->was, "directory") == 0 && fs_remove(m, f->path) == -1)
		return -1;
	return fs_link(m, f->path, f->src, hard);
}

static int
may_replace(struct mod *m, const struct filing *f, const char *kind)
{
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	const struct dirent *de;

	if (strcmp(f->was, "absent") == 0 || strcmp(f->was, "link") == 0)
		return 0;
	if (!f->force)
		return mod_fail(m, "refusing to convert from %s to %s for %s (force: true replaces it)",
		    f->was, kind, f->path);
	if (strcmp(f->was, "directory") != 0)
		return 0;
	dir = opendir(f->path);
	if (dir == NULL)
		return mod_fail_errno(m, "cannot read directory %s", f->path);
	while ((de = readdir(dir)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return mod_fail(m, "the directory %s is not empty, refusing to convert it",
			    f->path);
	return 0;
}

/* Where a relative src leads: from the link's directory, or from path when that is a directory. */
static const char *
absolute_src(struct mod *m, const struct filing *f)
{
	const char *slash;

	if (f->src[0] == '/')
		return f->src;
	if (strcmp(f->was, "directory") == 0)
		return arena_printf(m->arena, "%s/%s", f->path, f->src);
	slash = strrchr(f->path, '/');
	return arena_printf(m->arena, "%.*s%s", slash == NULL ? 0 :
	    (int)(slash - f->path + 1), f->path, f->src);
}

static int
link_attrs(struct mod *m, const struct filing *f)
{
	struct stat st;

	if (m->check && m->changed) {	/* not there yet */
		if (!f->follow || stat(absolute_src(m, f), &st) == -1)
			return 0;
		return fs_attrs_apply(m, absolute_src(m, f), &f->attrs, true);
	}
	if (lstat(f->path, &st) == -1)
		return mod_fail_errno(m, "cannot look at %s", f->path);
	if (f->follow && S_ISLNK(st.st_mode) && stat(f->path, &st) == -1) {
		if (f->attrs.owner != NULL || f->attrs.group != NULL ||
		    f->attrs.mode != NULL)
			mod_warn(m, "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.");
		return 0;
	}
	if (fs_attrs_apply(m, f->follow && f->src != NULL ? absolute_src(m, f) :
	    f->path, &f->attrs, f->follow) == -1)
		return -1;
	return apply_times(m, f, false, false);
}

static int
symbolic(struct mod *m, struct filing *f)
{
	struct value *before, *after;
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	n = readlink(f->path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	if (f->src == NULL) {
		if (n < 0)
			return mod_fail(m, "src is required for creating new symlinks");
		f->src = arena_strdup(m->arena, target);
	} else if (!f->force && !m->check &&
	    stat(absolute_src(m, f), &st) == -1)
		return mod_fail(m, "src file does not exist, use \"force=yes\" if you really want to create the link: %s",
		    absolute_src(m, f));
	if (may_replace(m, f, "symlink") == -1)
		return -1;
	mod_set_str(m, "dest", f->path);
	mod_set_str(m, "src", f->src);
	if (n < 0 || strcmp(target, f->src) != 0) {
		before = v_map(m->arena);
		after = v_map(m->arena);
		v_set_str(m->arena, before, "state", f->was);
		if (n >= 0)
			v_set_str(m->arena, before, "src", target);
		v_set_str(m->arena, after, "state", "link");
		v_set_str(m->arena, after, "src", f->src);
		if (mod_change(m, f->path, before, after) &&
		    put_link(m, f, false) == -1)
			return -1;
	}
	return link_attrs(m, f);
}

static int
hard(struct mod *m, struct filing *f)
{
	struct stat src;

	f->src = absolute_src(m, f);
	if (stat(f->src, &src) == -1) {
		if (!m->check)
			return mod_fail(m, "src does not exist: %s", f->src);
		(void)change_state(m, f, "hard");
		return 0;
	}
	mod_set_str(m, "dest", f->path);
	mod_set_str(m, "src", f->src);
	if (strcmp(f->was, "absent") != 0 && f->st.st_dev == src.st_dev &&
	    f->st.st_ino == src.st_ino)
		return link_attrs(m, f);
	if (strcmp(f->was, "link") == 0 && !f->force)
		return mod_fail(m, "Cannot link, file exists at destination: %s is a symbolic link (force: true replaces it)",
		    f->path);
	if (strcmp(f->was, "hard") == 0 && !f->force)
		return mod_fail(m, "Cannot link, different hard link exists at destination: %s (force: true replaces it)",
		    f->path);
	if (may_replace(m, f, "hard link") == -1)
		return -1;
	if (change_state(m, f, "hard") && put_link(m, f, true) == -1)
		return -1;
	return link_attrs(m, f);
}

static const char *
state_of(struct mod *m, struct filing *f)
{
	if (fs_lstat(m, f->path, &f->st) != 0)
		return "absent";
	if (S_ISREG(f->st.st_mode) && f->st.st_nlink > 1)
		return "hard";
	return fs_type_name(f->st.st_mode);
}

static int
file_run(struct mod *m)
{
	struct filing f = { .path = mod_arg_path(m, "path"),
		.src = mod_arg_path(m, "src"), .force = mod_arg_bool(m, "force"),
		.follow = mod_arg_bool(m, "follow"),
		.recurse = mod_arg_bool(m, "recurse") };
	const char *state = mod_arg_str(m, "state");
	size_t n = strlen(f.path);
	int rc;

	/* the final slash of a directory's name would make a link look like it */
	while (n > 1 && f.path[n - 1] == '/')
		n--;
	f.path = arena_strndup(m->arena, f.path, n);
	f.was = state_of(m, &f);
	if (m->failed || fs_attrs_get(m, &f.attrs) == -1)
		return -1;
	if (state == NULL)
		state = f.recurse ? "directory" :
		    strcmp(f.was, "absent") != 0 ? f.was : "file";
	if (f.recurse && strcmp(state, "directory") != 0)
		return mod_fail(m, "recurse option requires state to be 'directory'");
	if (f.src != NULL && strcmp(state, "link") != 0 && strcmp(state, "hard") != 0)
		return mod_fail(m, "src option requires state to be 'link' or 'hard'");
	if (strcmp(state, "hard") == 0 && f.src == NULL)
		state = "file";
	if (strcmp(state, "absent") == 0)
		return absent(m, &f);
	if (strcmp(state, "directory") == 0)
		rc = directory(m, &f);
	else if (strcmp(state, "touch") == 0)
		rc = touch(m, &f);
	else if (strcmp(state, "link") == 0)
		rc = symbolic(m, &f);
	else if (strcmp(state, "hard") == 0)
		rc = hard(m, &f);
	else
		rc = file(m, &f);
	if (rc == -1)
		return -1;
	fs_result(m, f.path);
	if (strcmp(state, "touch") == 0 || strcmp(state, "link") == 0 ||
	    strcmp(state, "hard") == 0)
		mod_set_str(m, "dest", f.path);
	return 0;
}

const struct module file_module = {
	.name = "file", .collection = "ansible.builtin",
	.summary = "Makes files, directories and links, removes them, sets owner and mode.",
	.doc =
	    "With recurse links below the directory are not followed: their own\n"
	    "owner is set, what they point to is left alone.",
	.examples =
	    "- file:\n"
	    "    path: /srv/app\n"
	    "    state: directory\n"
	    "    owner: app\n"
	    "    group: app\n"
	    "    mode: '0750'\n"
	    "- file:\n"
	    "    src: /etc/nginx/sites-available/app\n"
	    "    path: /etc/nginx/sites-enabled/app\n"
	    "    state: link\n"
	    "- file:\n"
	    "    path: /etc/nginx/sites-enabled/default\n"
	    "    state: absent\n",
	.returns =
	    "path: the path\n"
	    "dest: the same, for links and touch\n"
	    "state: what it is now\n"
	    "mode, owner, group, uid, gid, size: of it\n",
	.args = file_args, .rules = file_rules, .flags = MOD_FILE_ATTRS,
	.run = file_run,
};
