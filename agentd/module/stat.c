/*
 * stat: everything about a file.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "module/fs.h"
#include "module/hash.h"
#include "module/stat.h"

static const struct mod_arg stat_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "dest,name", .doc = "The file." },
	{ .name = "follow", .type = ARG_BOOL, .def = "false",
	    .doc = "Looks at what a link points to." },
	{ .name = "get_checksum", .type = ARG_BOOL, .def = "true",
	    .doc = "Computes the checksum of a regular file." },
	{ .name = "checksum_algorithm", .type = ARG_STR, .def = "sha1",
	    .aliases = "checksum,checksum_algo",
	    .choices = "md5,sha1,sha224,sha256,sha384,sha512",
	    .doc = "Which checksum." },
	{ .name = "get_attributes", .type = ARG_BOOL, .def = "true",
	    .aliases = "attr,attributes", .doc = "Tells the flags of chattr." },
	{ .name = "get_mime", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .aliases = "mime,mime_type,mime-type",
	    .doc = "MIME type and character set: not told." },
	{ .name = "get_md5", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .doc = "Gone from Ansible as well: use checksum_algorithm." },
	{ .name = NULL }
};

static double
seconds(const struct timespec *ts)
{
	return (double)ts->tv_sec + (double)ts->tv_nsec / 1e9;
}

/* One table for the permission bits and the file types. */
static void
set_bits(struct mod *m, struct value *map, mode_t mode)
{
	static const struct { const char *key; mode_t bit; } bits[] = {
		{ "wusr", S_IWUSR }, { "rusr", S_IRUSR }, { "xusr", S_IXUSR },
		{ "wgrp", S_IWGRP }, { "rgrp", S_IRGRP }, { "xgrp", S_IXGRP },
		{ "woth", S_IWOTH }, { "roth", S_IROTH }, { "xoth", S_IXOTH },
		{ "isuid", S_ISUID }, { "isgid", S_ISGID },
	};
	static const struct { const char *key; mode_t type; } types[] = {
		{ "isdir", S_IFDIR }, { "ischr", S_IFCHR }, { "isblk", S_IFBLK },
		{ "isreg", S_IFREG }, { "isfifo", S_IFIFO }, { "islnk", S_IFLNK },
		{ "issock", S_IFSOCK },
	};
	size_t i;

	for (i = 0; i < NITEMS(types); i++)
		v_set_bool(m->arena, map, types[i].key,
		    (mode & S_IFMT) == types[i].type);
	for (i = 0; i < NITEMS(bits); i++)
		v_set_bool(m->arena, map, bits[i].key, (mode & bits[i].bit) != 0);
}

void
stat_facts(struct mod *m, struct value *map, const char *path,
    const struct stat *st)
{
	const char *name;

	v_set_str(m->arena, map, "path", path);
	v_sets(m->arena, map, "mode", v_strf(m->arena, "%04o",
	    (unsigned)(st->st_mode & 07777)));
	set_bits(m, map, st->st_mode);
	v_set_int(m->arena, map, "uid", st->st_uid);
	v_set_int(m->arena, map, "gid", st->st_gid);
	v_set_int(m->arena, map, "size", st->st_size);
	v_set_int(m->arena, map, "inode", (int64_t)st->st_ino);
	v_set_int(m->arena, map, "dev", (int64_t)st->st_dev);
	v_set_int(m->arena, map, "nlink", (int64_t)st->st_nlink);
	v_sets(m->arena, map, "atime", v_float(m->arena, seconds(&st->st_atim)));
	v_sets(m->arena, map, "mtime", v_float(m->arena, seconds(&st->st_mtim)));
	v_sets(m->arena, map, "ctime", v_float(m->arena, seconds(&st->st_ctim)));
	name = fs_user_name(m->arena, st->st_uid);
	if (name != NULL)
		v_set_str(m->arena, map, "pw_name", name);
	name = fs_group_name(m->arena, st->st_gid);
	if (name != NULL)
		v_set_str(m->arena, map, "gr_name", name);
}

/* Where a link points: as written, and followed to its end. */
static void
link_facts(struct mod *m, struct value *map, const char *path)
{
	char target[PATH_MAX], real[PATH_MAX];
	ssize_t n;

	n = readlink(path, target, sizeof(target) - 1);
	if (n == -1)
		return;
	target[n] = '\0';
	v_set_str(m->arena, map, "lnk_target", target);
	if (realpath(path, real) != NULL)
		v_set_str(m->arena, map, "lnk_source", real);
	else if (target[0] == '/')
		v_set_str(m->arena, map, "lnk_source", target);
	else
		v_sets(m->arena, map, "lnk_source", v_strf(m->arena, "%.*s%s",
		    (int)(strrchr(path, '/') == NULL ? 0 :
		    strrchr(path, '/') - path + 1), path, target));
}

static void
attribute_facts(struct mod *m, struct value *map, const char *path)
{
	static const struct { char letter; const char *name; } names[] = {
		{ 'A', "noatime" }, { 'a', "append" }, { 'c', "compressed" },
		{ 'C', "nocow" }, { 'd', "nodump" }, { 'D', "dirsync" },
		{ 'e', "extents" }, { 'F', "casefold" }, { 'i', "immutable" },
		{ 'I', "indexed" }, { 'j', "journalled" },
		{ 'P', "projinherit" }, { 's', "secure_deletion" },
		{ 'S', "synchronous" }, { 't', "notail" }, { 'T', "blockroot" },
		{ 'u', "undelete" },
	};
	struct value *list = v_list(m->arena);
	const char *text, *p;
	unsigned flags;
	size_t i;

	v_sets(m->arena, map, "attributes", list);
	v_set_str(m->arena, map, "attr_flags", "");
	v_sets(m->arena, map, "version", &v_null);
	if (!fs_flags_get(path, false, &flags))
		return;
	text = fs_flags_text(m->arena, flags);
	v_set_str(m->arena, map, "attr_flags", text);
	for (p = text; *p != '\0'; p++)
		for (i = 0; i < NITEMS(names); i++)
			if (names[i].letter == *p)
				v_push(m->arena, list, v_str(m->arena, names[i].name));
}

static int
checksum_fact(struct mod *m, struct value *map, const char *path)
{
	char hex[HASH_HEX_MAX];
	enum hash_kind kind;

	if (!hash_find(mod_arg_str(m, "checksum_algorithm"), &kind))
		return mod_fail(m, "unknown checksum algorithm");
	if (access(path, R_OK) == -1)
		return 0;
	if (hash_file(path, kind, hex) == -1)
		return mod_fail_errno(m, "cannot read %s", path);
	v_set_str(m->arena, map, "checksum", hex);
	return 0;
}

static int
stat_run(struct mod *m)
{
	const char *path = mod_arg_path(m, "path");
	struct value *map = v_map(m->arena);
	struct stat st;
	int rc;

	rc = mod_arg_bool(m, "follow") ? fs_stat(m, path, &st) :
	    fs_lstat(m, path, &st);
	if (rc == -1)
		return -1;
	v_set_bool(m->arena, map, "exists", rc == 0);
	if (rc == 0) {
		stat_facts(m, map, path, &st);
		v_set_int(m->arena, map, "blocks", st.st_blocks);
		v_set_int(m->arena, map, "block_size", st.st_blksize);
		v_set_int(m->arena, map, "device_type", (int64_t)st.st_rdev);
		v_set_bool(m->arena, map, "readable", access(path, R_OK) == 0);
		v_set_bool(m->arena, map, "writeable", access(path, W_OK) == 0);
		v_set_bool(m->arena, map, "executable", access(path, X_OK) == 0);
		if (S_ISLNK(st.st_mode))
			link_facts(m, map, path);
		if (S_ISREG(st.st_mode) && mod_arg_bool(m, "get_checksum") &&
		    checksum_fact(m, map, path) == -1)
			return -1;
		if (mod_arg_bool(m, "get_attributes") &&
		    (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
			attribute_facts(m, map, path);
		v_set_str(m->arena, map, "mimetype", "unknown");
		v_set_str(m->arena, map, "charset", "unknown");
	}
	mod_set(m, "stat", map);
	return 0;
}

const struct module stat_module = {
	.name = "stat", .collection = "ansible.builtin",
	.summary = "Tells everything about a file.",
	.doc = "A file that is not there is no error: stat.exists is false.",
	.examples =
	    "- stat:\n"
	    "    path: /etc/app/app.env\n"
	    "  register: env\n"
	    "- debug:\n"
	    "    msg: \"{{ env.stat.mode }}\"\n"
	    "  when: env.stat.exists\n",
	.returns =
	    "stat.exists: whether it is there\n"
	    "stat.isdir, isreg, islnk …: what it is\n"
	    "stat.mode, uid, gid, pw_name, gr_name, size, mtime, checksum …\n",
	.args = stat_args, .run = stat_run,
};
