/*
 * copy: files and directories from the controller, or within the host.
 *
 * The engine puts the controller's side into "_content" (module.h): one file,
 * or the entries of a directory.  As with rsync, `src: dir/` means what is in
 * the directory, `src: dir` the directory itself.  Whatever is not a file or
 * directory of the source (sockets, devices) is passed over.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "module/hash.h"
#include "module/place.h"

static const struct mod_arg copy_args[] = {
	PLACE_ARGS,
	{ .name = "src", .type = ARG_PATH,
	    .doc = "File or directory of the controller (looked up in files/), or of the host with remote_src." },
	{ .name = "content", .type = ARG_RAW,
	    .doc = "The content itself instead of src; maps and lists are written as JSON." },
	{ .name = "remote_src", .type = ARG_BOOL, .def = "false",
	    .doc = "src is on the host." },
	{ .name = "directory_mode", .type = ARG_MODE,
	    .doc = "Mode of the directories that are made." },
	{ .name = "local_follow", .type = ARG_BOOL, .def = "true",
	    .doc = "Links within src are copied as what they point to." },
	{ .name = "checksum", .type = ARG_STR,
	    .doc = "SHA-1 that the file must have." },
	{ .name = "decrypt", .type = ARG_BOOL, .def = "true",
	    .doc = "Decrypts vault files of the controller." },
	{ .name = NULL }
};

static const struct mod_rule copy_rules[] = {
	{ RULE_EXCLUSIVE, "src,content" }, { RULE_ONE_OF, "src,content" },
	{ RULE_END, NULL }
};

/* What all files of one task have in common. */
struct copying {
	struct fs_attrs	 attrs;		/* of files */
	struct fs_attrs	 dir_attrs;	/* of made directories */
	struct place	 place;		/* options; dest and content are set for each */
	const char	*top;		/* destination directory */
	const char	*src;
};

static int
prepare(struct mod *m, struct copying *c)
{
	if (fs_attrs_get(m, &c->attrs) == -1)
		return -1;
	c->dir_attrs = c->attrs;
	c->dir_attrs.mode = mod_arg_str(m, "directory_mode");
	c->dir_attrs.attributes = NULL;
	c->place = (struct place){
		.attrs = &c->attrs,
		.validate = mod_arg_str(m, "validate"),
		.backup = mod_arg_bool(m, "backup"),
		.no_force = !mod_arg_bool(m, "force"),
		.follow = mod_arg_bool(m, "follow"),
	};
	return 0;
}

static int
copy_one(struct mod *m, struct copying *c, const char *name)
{
	const char *dest = mod_arg_path(m, "dest"), *dir;

	if (*name == '\0' && *dest != '\0' && dest[strlen(dest) - 1] == '/')
		return mod_fail(m, "dest must be a file, not a directory, when content is given: %s",
		    dest);
	c->place.dest = place_dest(m, dest, name, &dir);
	if (dir != NULL && place_dirs(m, dir, &c->dir_attrs) == -1)
		return -1;
	c->place.result = true;
	return place_file(m, &c->place);
}

static int
copy_content(struct mod *m, struct copying *c)
{
	const struct value *v = mod_arg(m, "content");
	struct buf text = BUF_INIT;
	int rc;

	c->place.secret = v_any_flag(v, V_SECRET);
	c->place.src_mode = 0644;	/* there is no source to preserve it from */
	if (v_is_str(v))
		buf_add(&text, v->u.s, v->len);
	else if (v->type == V_BOOL)	/* Python's str() */
		buf_adds(&text, v->u.b ? "True" : "False");
	else
		json_write(&text, v, 0);
	c->place.data = buf_str(&text);
	c->place.len = text.len;
	rc = copy_one(m, c, "");
	buf_release(&text);
	return rc;
}

/* ---- directories -------------------------------------------------------- */

/* Nothing that the other side says may lead out of the destination. */
static bool
is_inside(const char *rel)
{
	const char *p = rel;
	size_t n;

	if (*rel == '/' || *rel == '\0')
		return false;
	for (;;) {
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (*p == '\0')
			return true;
		p++;
	}
}

static int
make_link(struct mod *m, const char *path, const char *target)
{
	struct value *before = v_map(m->arena), *after = v_map(m->arena);
	char old[PATH_MAX];
	ssize_t n;

	n = readlink(path, old, sizeof(old) - 1);
	old[n < 0 ? 0 : n] = '\0';
	if (n >= 0 && strcmp(old, target) == 0)
		return 0;
	v_set_str(m->arena, before, "src", old);
	v_set_str(m->arena, after, "src", target);
	if (!mod_change(m, path, before, after))
		return 0;
	return fs_link(m, path, target, false);
}

static int
copy_entry(struct mod *m, struct copying *c, const struct mod_content *e)
{
	const char *path;

	if (!is_inside(e->path))
		return mod_fail(m, "'%s' is no path within a directory", e->path);
	path = arena_printf(m->arena, "%s/%s", c->top, e->path);
	if (strcmp(e->type, "directory") == 0)
		return place_dirs(m, path, &c->dir_attrs);
	if (strcmp(e->type, "link") == 0)
		return make_link(m, path, e->target != NULL ? e->target : "");
	c->place.dest = path;
	c->place.content = e;
	c->place.src_mode = (mode_t)e->mode;
	return place_file(m, &c->place);
}

/* The directory that the files go to: dest, or dest/name without a final slash on src. */
static const char *
dest_dir(struct mod *m, const char *src)
{
	const char *dest = mod_arg_path(m, "dest"), *slash;
	size_t n = strlen(dest);

	while (n > 1 && dest[n - 1] == '/')
		n--;
	dest = arena_strndup(m->arena, dest, n);
	n = strlen(src);
	if (n == 0 || src[n - 1] == '/')
		return dest;
	slash = strrchr(src, '/');
	return arena_printf(m->arena, "%s/%s", strcmp(dest, "/") == 0 ? "" : dest,
	    slash == NULL ? src : slash + 1);
}

static int
copy_manifest(struct mod *m, struct copying *c)
{
	struct mod_content e;
	uint32_t i;

	c->top = dest_dir(m, c->src);
	if (place_dirs(m, c->top, &c->dir_attrs) == -1)
		return -1;
	for (i = 0; i < mod_ncontent(m); i++) {
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled");
		e = mod_content(m, i);
		if (copy_entry(m, c, &e) == -1)
			return -1;
	}
	mod_set_str(m, "dest", mod_arg_path(m, "dest"));
	return 0;
}

/* ---- within the host ---------------------------------------------------- */

static int
remote_entry(struct mod *m, const struct fs_entry *e, void *arg)
{
	struct copying *c = arg;
	char target[PATH_MAX];
	const char *path;
	ssize_t n;

	path = arena_printf(m->arena, "%s/%s", c->top, e->rel);
	if (S_ISDIR(e->st.st_mode)) {
		/* a destination within the source would never end */
		if (strcmp(e->path, c->top) == 0)
			return 1;
		return place_dirs(m, path, &c->dir_attrs);
	}
	if (S_ISLNK(e->st.st_mode)) {
		n = readlinkat(e->dirfd, e->name, target, sizeof(target) - 1);
		if (n == -1)
			return mod_fail_errno(m, "cannot read link %s", e->path);
		target[n] = '\0';
		return make_link(m, path, target);
	}
	if (!S_ISREG(e->st.st_mode))
		return 0;
	c->place.dest = path;
	c->place.src = arena_strdup(m->arena, e->path);
	c->place.src_mode = e->st.st_mode & 07777;
	return place_file(m, &c->place);
}

static int
copy_remote(struct mod *m, struct copying *c)
{
	struct stat st;
	int rc;

	rc = fs_stat(m, c->src, &st);
	if (rc == -1)
		return -1;
	if (rc == 1) {
		if (!m->check)
			return mod_fail(m, "Source %s not found", c->src);
		/* an earlier task may make it */
		mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it",
		    c->src);
		(void)mod_change(m, mod_arg_path(m, "dest"), NULL, NULL);
		return 0;
	}
	if (!S_ISDIR(st.st_mode)) {
		c->place.src = c->src;
		c->place.src_mode = st.st_mode & 07777;
		return copy_one(m, c, c->src);
	}
	c->top = dest_dir(m, c->src);
	if (place_dirs(m, c->top, &c->dir_attrs) == -1 ||
	    fs_walk(m, c->src, mod_arg_bool(m, "local_follow") ?
	    FS_WALK_FOLLOW : 0, remote_entry, c) == -1)
		return -1;
	mod_set_str(m, "dest", mod_arg_path(m, "dest"));
	return 0;
}

/* `checksum`: of the one file that is copied. */
static int
check_sha1(struct mod *m, const struct copying *c)
{
	CLEANUP_CLOSE int fd = -1;
	const char *want = mod_arg_str(m, "checksum");
	struct mod_content e;
	char got[HASH_HEX_MAX];

	if (want == NULL)
		return 0;
	if (mod_arg_bool(m, "remote_src")) {
		if (hash_file(c->src, HASH_SHA1, got) == -1)
			return mod_fail_errno(m, "cannot read %s", c->src);
	} else {
		if (mod_ncontent(m) != 1)
			return mod_fail(m, "checksum is for a single file");
		e = mod_content(m, 0);
		fd = fs_anonymous(m);
		if (fd == -1 || mod_content_fd(m, &e, fd) == -1)
			return -1;
		if (lseek(fd, 0, SEEK_SET) == -1 ||
		    hash_fd(fd, HASH_SHA1, got) == -1)
			return mod_fail_errno(m, "cannot read the content");
	}
	if (strcasecmp(want, got) != 0) {
		mod_set_str(m, "checksum", got);
		mod_set_str(m, "expected_checksum", want);
		return mod_fail(m, "Copied file does not match the expected checksum. Transfer failed.");
	}
	return 0;
}

static int
copy_run(struct mod *m)
{
	struct copying c = { 0 };
	struct mod_content e;

	if (prepare(m, &c) == -1)
		return -1;
	if (mod_has(m, "content"))
		return copy_content(m, &c);
	c.src = mod_arg_bool(m, "remote_src") ? mod_arg_path(m, "src") :
	    mod_arg_str(m, "src");
	mod_set_str(m, "src", c.src);
	if (check_sha1(m, &c) == -1)
		return -1;
	if (mod_arg_bool(m, "remote_src"))
		return copy_remote(m, &c);
	if (v_gets(m->args, "_content") == NULL)
		return mod_fail(m, "the content of %s did not come along", c.src);
	e = mod_ncontent(m) == 1 ? mod_content(m, 0) :
	    (struct mod_content){ .path = "." };
	if (*e.path != '\0')
		return copy_manifest(m, &c);
	c.place.content = &e;
	c.place.src_mode = (mode_t)e.mode;
	return copy_one(m, &c, c.src);
}

const struct module copy_module = {
	.name = "copy", .collection = "ansible.builtin",
	.summary = "Copies files and directories to the host.",
	.doc =
	    "A file is replaced as a whole and atomically, and only when its\n"
	    "content differs.  `src: dir/` copies what is in the directory,\n"
	    "`src: dir` the directory itself.",
	.examples =
	    "- copy:\n"
	    "    src: nginx.conf\n"
	    "    dest: /etc/nginx/nginx.conf\n"
	    "    owner: root\n"
	    "    group: root\n"
	    "    mode: '0644'\n"
	    "    validate: nginx -t -c %s\n"
	    "- copy:\n"
	    "    content: \"{{ app_secret }}\\n\"\n"
	    "    dest: /etc/app/secret\n"
	    "    mode: '0600'\n"
	    "  no_log: true\n",
	.returns =
	    "dest: path of the file\n"
	    "src: the source\n"
	    "checksum: SHA-1 of the file\n"
	    "backup_file: name of the kept old file\n"
	    "mode, owner, group, uid, gid, size, state: of the file\n",
	.args = copy_args, .rules = copy_rules,
	.flags = MOD_FILE_ATTRS | MOD_CONTENT, .run = copy_run,
};
