/*
 * The controller's part of modules that bring or fetch files: the names are
 * found and the contents hashed here; the bytes travel only when the host asks
 * for them (link.c).
 *
 *	copy, unarchive, script	a file or tree of the controller as "_content"
 *	template		the rendered text as "_content"
 *	fetch			the bytes that the host sends, to a file here
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/digest.h"
#include "run/engine.h"
#include "yaml/files.h"

struct fetch {
	const char	*dest, *tmp;
	int		 fd;
	int		 error;		/* errno of a write that failed */
	struct sha256	 sum;
};

/* The arguments with one replaced or (NULL) dropped. */
static struct value *
copy_args(struct step *s)
{
	struct value *args = v_map(s->arena);

	v_merge(s->arena, args, s->args);
	s->args = args;
	return args;
}

static bool
remote_src(const struct step *s)
{
	return v_get_bool(s->args, "remote_src", false);
}

/* ---- copy ------------------------------------------------------------------------ */

static enum action_result
offer(struct step *s, const struct value *row_or_list)
{
	struct value *args = copy_args(s), *list;

	if (row_or_list->type == V_LIST)
		v_sets(s->arena, args, "_content", row_or_list);
	else {
		list = v_list(s->arena);
		v_push(s->arena, list, row_or_list);
		v_sets(s->arena, args, "_content", list);
	}
	return ACTION_REMOTE;
}

static enum action_result
offer_file(struct step *s, const char *name, bool follow)
{
	struct err err = ERR_INIT;
	const struct value *list;
	const char *path = site_find(s->host->run->site, s->arena, s->node,
	    "files", name, &err);

	if (path == NULL || (list = content_tree(s->arena, &s->contents, path,
	    follow, &err)) == NULL)
		return step_fail_err(s, &err);
	return offer(s, list);
}

static enum action_result
action_copy(struct step *s)
{
	const struct value *content = v_gets(s->args, "content");
	const char *src = v_get_str(s->args, "src", NULL);

	if (remote_src(s))
		return ACTION_REMOTE;
	if (content != NULL && content->type != V_NULL) {
		s->secret_content = v_any_flag(content, V_SECRET);
		return ACTION_REMOTE;
	}
	if (src == NULL)
		return step_fail(s, "copy needs 'src' or 'content'");
	return offer_file(s, src, v_get_bool(s->args, "local_follow", true));
}

static enum action_result
action_unarchive(struct step *s)
{
	const char *src = v_get_str(s->args, "src", "");

	/* `copy: no` is the old word for `remote_src: yes` */
	if (remote_src(s) || !v_get_bool(s->args, "copy", true) ||
	    strstr(src, "://") != NULL)
		return ACTION_REMOTE;
	return offer_file(s, src, true);
}

/* script: the first word of the command is the file. */
static enum action_result
action_script(struct step *s)
{
	const char *cmd = v_get_str(s->args, "cmd", "");
	size_t skip = strspn(cmd, " \t\n"), n;
	char quote = cmd[skip] == '"' || cmd[skip] == '\'' ? cmd[skip] : '\0';

	cmd += skip + (quote != '\0');
	n = quote != '\0' ? strcspn(cmd, quote == '"' ? "\"" : "'") :
	    strcspn(cmd, " \t\n");
	return offer_file(s, arena_strndup(s->arena, cmd, n), true);
}

/* Modules that copy a file of the controller only with remote_src: no. */
static enum action_result
action_optional_src(struct step *s)
{
	const char *src = v_get_str(s->args, "src", NULL);

	if (src == NULL || v_gets(s->args, "remote_src") == NULL || remote_src(s))
		return ACTION_REMOTE;
	return offer_file(s, src, true);
}

/* ---- template ------------------------------------------------------------------------ */

static const char *
text_arg(const struct step *s, const char *name)
{
	const char *text = v_get_str(s->args, name, NULL);

	return text != NULL && *text != '\0' ? text : NULL;
}

/* Variables that Ansible gives to template files. */
static struct value *
template_vars(struct step *s, const char *path, const char *src)
{
	struct value *vars = v_map(s->arena);
	struct passwd *pw;
	struct stat st;
	struct tm tm;
	char host[256] = "", when[64] = "";

	if (s->loopvars != NULL)
		v_merge(s->arena, vars, s->loopvars);
	v_set_str(s->arena, vars, "ansible_managed", "Ansible managed");
	if (gethostname(host, sizeof(host) - 1) == 0)
		v_set_str(s->arena, vars, "template_host", host);
	if (stat(file_at(path), &st) == 0) {
		pw = getpwuid(st.st_uid);
		if (pw != NULL)
			v_set_str(s->arena, vars, "template_uid", pw->pw_name);
		if (localtime_r(&st.st_mtime, &tm) != NULL &&
		    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm) > 0)
			v_set_str(s->arena, vars, "template_mtime", when);
	}
	v_set_str(s->arena, vars, "template_path", src);
	v_set_str(s->arena, vars, "template_fullpath", path);
	v_set_str(s->arena, vars, "template_destpath",
	    v_get_str(s->args, "dest", ""));
	return vars;
}

/* `mode: preserve` means the mode of the template itself. */
static const struct value *
with_mode(struct step *s, const char *path, const struct value *row)
{
	struct value *copy;
	struct stat st;

	if (strcmp(v_get_str(s->args, "mode", ""), "preserve") != 0 ||
	    stat(file_at(path), &st) == -1)
		return row;
	copy = v_map(s->arena);
	v_merge(s->arena, copy, row);
	v_set_int(s->arena, copy, "mode", st.st_mode & 07777);
	return copy;
}

static enum action_result
action_template(struct step *s)
{
	struct site *site = s->host->run->site;
	struct tmpl_opts opts = {
		.block_start = text_arg(s, "block_start_string"),
		.block_end = text_arg(s, "block_end_string"),
		.variable_start = text_arg(s, "variable_start_string"),
		.variable_end = text_arg(s, "variable_end_string"),
		.comment_start = text_arg(s, "comment_start_string"),
		.comment_end = text_arg(s, "comment_end_string"),
		.newline_sequence = text_arg(s, "newline_sequence"),
		.no_trim_blocks = !v_get_bool(s->args, "trim_blocks", true),
		.lstrip_blocks = v_get_bool(s->args, "lstrip_blocks", false),
	};
	const char *src = v_get_str(s->args, "src", ""), *path;
	const struct value *managed, *text;
	struct diags diags = DIAGS_INIT;
	struct err err = ERR_INIT;
	const struct tmpl *tmpl;
	struct value *vars;
	struct scope *scope;

	if ((path = site_find(site, s->arena, s->node, "templates", src,
	    &err)) == NULL)
		return step_fail_err(s, &err);
	if ((tmpl = site_template(site, path, &opts, &diags)) == NULL) {
		(void)step_fail_err(s, &diags.v[0].err);
		diags_release(&diags);
		return ACTION_DONE;
	}
	diags_release(&diags);
	vars = template_vars(s, path, src);
	/* A site's own ansible_managed is stronger than ours. */
	managed = tmpl_eval_name(s->arena, s->scope, "ansible_managed", &err);
	err_release(&err);
	if (managed != NULL && managed->type != V_UNDEF)
		v_sets(s->arena, vars, "ansible_managed", managed);
	scope = vars_scope(s->arena, s->host, s->walk, s->node, vars);
	if ((text = tmpl_render(s->arena, scope, tmpl, &err)) == NULL)
		return step_fail_err(s, &err);
	if (text->type != V_STR)
		text = tmpl_to_str(s->arena, text);
	s->secret_content = (text->flags & V_SECRET) != 0;
	return offer(s, with_mode(s, path, content_text(s->arena, &s->contents,
	    text->u.s, text->len)));
}

/* ---- fetch ------------------------------------------------------------------------------- */

/*
 * Where the file goes: dest/HOST/path, or dest when flat.  Only the task and
 * the inventory name it, never what the host answers; `..` is refused.
 */
static const char *
fetch_dest(struct step *s)
{
	const char *src = v_get_str(s->args, "src", ""), *base;
	const char *dest = v_get_str(s->args, "dest", "");
	size_t n = strlen(dest);

	if (*dest != '/')
		dest = arena_printf(s->arena, "%s/%s", s->host->run->site->dir,
		    dest);
	base = strrchr(src, '/');
	base = base != NULL ? base + 1 : src;
	if (strstr(src, "..") != NULL || *base == '\0')
		return NULL;
	if (!v_get_bool(s->args, "flat", false))
		return arena_printf(s->arena, "%s/%s%s%s", dest, s->host->name,
		    *src == '/' ? "" : "/", src);
	return n > 0 && dest[strlen(dest) - 1] == '/' ?
	    arena_printf(s->arena, "%s%s", dest, base) : dest;
}

static int
make_parents(struct step *s, const char *path)
{
	char *dir = arena_strdup(s->arena, path), *p;

	for (p = dir + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(dir, 0777) == -1 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

static int
fetch_data(void *arg, const void *data, size_t n)
{
	struct step *s = arg;
	struct fetch *f = s->fetch;
	const char *p = data;

	sha256_add(&f->sum, data, n);
	while (n > 0 && f->error == 0) {
		ssize_t w = write(f->fd, p, n);

		if (w == -1 && errno != EINTR)
			f->error = errno;
		else if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
	return f->error == 0 ? 0 : -1;
}

static enum action_result
action_fetch(struct step *s)
{
	struct fetch *f;
	char *tmp;

	if (s->check) {
		s->result = v_map(s->arena);
		v_set_bool(s->arena, s->result, "changed", false);
		v_set_bool(s->arena, s->result, "skipped", true);
		v_set_str(s->arena, s->result, "msg",
		    "fetch does not run in check mode");
		return ACTION_DONE;
	}
	f = s->fetch = ARENA_NEW(s->arena, struct fetch);
	if ((f->dest = fetch_dest(s)) == NULL)
		return step_fail(s, "fetch: 'src' must name a file, without '..'");
	if (make_parents(s, f->dest) == -1)
		return step_fail(s, "cannot make the directories of %s: %s",
		    f->dest, strerror(errno));
	f->tmp = tmp = arena_printf(s->arena, "%s.XXXXXX", f->dest);
	if ((f->fd = mkostemp(tmp, O_CLOEXEC)) == -1)
		return step_fail(s, "cannot write %s: %s", f->dest,
		    strerror(errno));
	sha256_init(&f->sum);
	s->req.data = fetch_data;
	return ACTION_REMOTE;
}

static bool
same_file(const char *path, const char *sha256)
{
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char old[SHA256_HEX];

	return fd >= 0 && sha256_fd(fd, old) == 0 && strcmp(old, sha256) == 0;
}

static void
finish_fetch(struct step *s)
{
	struct fetch *f = s->fetch;
	unsigned char digest[SHA256_LEN];
	char hex[SHA256_HEX];

	if (f == NULL)
		return;
	sha256_end(&f->sum, digest);
	sha256_hex(digest, hex);
	(void)fchmod(f->fd, 0666 & ~022);
	if (close(f->fd) == -1 && f->error == 0)
		f->error = errno;
	f->fd = -1;
	if (f->error != 0) {
		(void)unlink(f->tmp);
		(void)step_fail(s, "cannot write %s: %s", f->dest,
		    strerror(f->error));
		return;
	}
	/* A file that is not there is no empty file. */
	if (v_gets(s->result, "checksum") == NULL || same_file(f->dest, hex)) {
		(void)unlink(f->tmp);
		v_set_bool(s->arena, s->result, "changed", false);
	} else if (rename(f->tmp, f->dest) == -1) {
		int saved = errno;

		(void)unlink(f->tmp);
		(void)step_fail(s, "cannot write %s: %s", f->dest,
		    strerror(saved));
		return;
	} else
		v_set_bool(s->arena, s->result, "changed", true);
	v_set_str(s->arena, s->result, "dest", f->dest);
}

void
fetch_abandon(struct step *s)
{
	if (s->fetch != NULL && s->fetch->fd > 0) {
		(void)close(s->fetch->fd);
		(void)unlink(s->fetch->tmp);
		s->fetch->fd = -1;
	}
}

const struct action actions_files[] = {
	{ .module = "assemble", .run = action_optional_src, .prepares = true },
	{ .module = "copy", .run = action_copy, .prepares = true },
	{ .module = "fetch", .run = action_fetch, .finish = finish_fetch },
	{ .module = "script", .run = action_script, .prepares = true },
	{ .module = "template", .run = action_template, .prepares = true },
	{ .module = "unarchive", .run = action_unarchive, .prepares = true },
	{ .module = "uri", .run = action_optional_src, .prepares = true },
	{ .module = NULL }
};
