/*
 * filesystem: makes, grows and wipes file systems, by the programs of each kind.
 *
 * What a device holds is asked from blkid, without its cache.  Nothing is made
 * over another file system unless forced.  What is there cannot be put back by a
 * rollback.
 */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "module/fs.h"
#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }
#define WORDS_MAX	64
#ifndef BLKGETSIZE64
#define BLKGETSIZE64	_IOR(0x12, 114, size_t)
#endif

enum sizes { SIZE_NONE, SIZE_EXT, SIZE_XFS, SIZE_PV };

static const struct kind {
	const char	*name;		/* of fstype */
	const char	*blkid;		/* what blkid calls it; NULL: the same */
	const char	*make, *force;
	const char	*grow;		/* NULL: cannot be grown here */
	enum sizes	 size;
} kinds[] = {
	{ "btrfs", NULL, "mkfs.btrfs", "-f", NULL, SIZE_NONE },
	{ "ext2", NULL, "mkfs.ext2", "-F", "resize2fs", SIZE_EXT },
	{ "ext3", NULL, "mkfs.ext3", "-F", "resize2fs", SIZE_EXT },
	{ "ext4", NULL, "mkfs.ext4", "-F", "resize2fs", SIZE_EXT },
	{ "f2fs", NULL, "mkfs.f2fs", "-f", NULL, SIZE_NONE },
	{ "lvm", "LVM2_member", "pvcreate", "-f", "pvresize", SIZE_PV },
	{ "swap", NULL, "mkswap", "-f", NULL, SIZE_NONE },
	{ "vfat", NULL, "mkfs.vfat", NULL, NULL, SIZE_NONE },
	{ "xfs", NULL, "mkfs.xfs", "-f", "xfs_growfs", SIZE_XFS },
};

struct making {
	struct mod		*m;
	const struct kind	*kind;
	const char		*dev;
	const char		*has;		/* what blkid calls it, "" for nothing */
};

/* Runs a program that only looks; its output in *ret. 0, or -1 after mod_fail unless a status of none is fine. */
static int
query(struct mod *m, const char *const *argv, int none, const char **ret)
{
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	if (proc_query(m, &p) == -1)
		return -1;
	if (p.status != 0 && p.status != none)
		return mod_fail(m, "%s failed with status %d: %s", argv[0], p.status,
		    buf_str(&p.err));
	*ret = p.status != 0 ? "" : arena_strdup(m->arena, buf_str(&p.out));
	return 0;
}

static int
change(struct mod *m, const char *const *argv)
{
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	p.live = true;
	return proc_must(m, &p);
}

/* ---- sizes ------------------------------------------------------------------- */

static int
device_size(struct making *f, uint64_t *ret)
{
	CLEANUP_CLOSE int fd = open(f->dev, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0;

	if (fd == -1 || fstat(fd, &st) == -1)
		return mod_fail_errno(f->m, "cannot open %s", f->dev);
	if (S_ISREG(st.st_mode))
		*ret = (uint64_t)st.st_size;
	else
#ifdef __GLIBC__
		rc = ioctl(fd, BLKGETSIZE64, ret);
#else
		rc = ioctl(fd, (int)BLKGETSIZE64, ret);
#endif
	return rc == 0 ? 0 : mod_fail_errno(f->m, "cannot get the size of %s", f->dev);
}

/* The number behind a word of a program's output. 0: there is none. */
static uint64_t
number(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	if (at == NULL)
		return 0;
	at += strlen(word);
	return strtoull(at + strspn(at, " ="), NULL, 10);
}

/* Bytes of the file system, and its block. -1 after mod_fail. */
static int
fs_size(struct making *f, const char *mount, uint64_t *ret, uint64_t *ret_block)
{
	const char *ext[] = { "dumpe2fs", "-h", f->dev, NULL };
	const char *xfs[] = { "xfs_info", mount, NULL };
	const char *pv[] = { "pvs", "--noheadings", "--nosuffix", "--units", "b",
		"-o", "pv_size,vg_extent_size", f->dev, NULL };
	const char *text = "", *at;
	char *end;

	if (query(f->m, f->kind->size == SIZE_EXT ? ext : f->kind->size == SIZE_XFS ?
	    xfs : pv, 0, &text) == -1)
		return -1;
	if (f->kind->size == SIZE_EXT) {
		*ret_block = number(text, "Block size:");
		*ret = number(text, "Block count:") * *ret_block;
	} else if (f->kind->size == SIZE_XFS) {
		at = strstr(text, "\ndata");
		*ret_block = at == NULL ? 0 : number(at, "bsize=");
		*ret = at == NULL ? 0 : number(at, "blocks=") * *ret_block;
	} else {
		*ret = strtoull(text, &end, 10);
		*ret_block = strtoull(end, NULL, 10);
		/* The beginning is LVM's own; a volume group takes whole extents. */
		*ret_block = (*ret_block == 0 ? 0 : *ret_block) + 2 * 1024 * 1024;
	}
	return *ret > 0 && *ret_block > 0 ? 0 : mod_fail(f->m,
	    "cannot find out how large the file system on %s is", f->dev);
}

/* Where the device is mounted; NULL: nowhere. */
static const char *
mounted(struct mod *m, const char *dev)
{
	const char *argv[] = { "findmnt", "-n", "-f", "-o", "TARGET", "-S", dev, NULL };
	const char *text = "";

	if (query(m, argv, 1, &text) == -1 || *text == '\0')
		return NULL;
	return arena_strndup(m->arena, text, strcspn(text, "\n"));
}

static int
grow(struct making *f)
{
	const char *mount = NULL, *argv[4] = { f->kind->grow, f->dev, NULL, NULL };
	uint64_t room = 0, size = 0, block = 0;
	struct mod *m = f->m;

	if (f->kind->grow == NULL)
		return mod_fail(m, "resizefs: %s cannot be grown by this module (ext2, ext3, ext4, lvm and xfs can)",
		    f->kind->name);
	if (f->kind->size == SIZE_XFS) {
		if ((mount = mounted(m, f->dev)) == NULL)
			return m->failed ? -1 : mod_fail(m, "%s must be mounted to be grown: xfs can only grow so",
			    f->dev);
		argv[1] = mount;
	}
	if (device_size(f, &room) == -1 || fs_size(f, mount, &size, &block) == -1)
		return -1;
	if (room < size + block) {
		mod_set_str(m, "msg", arena_printf(m->arena,
		    "%s filesystem is using the whole device %s", f->kind->name, f->dev));
		return 0;
	}
	mod_set_str(m, "msg", arena_printf(m->arena, "resizing filesystem %s on device %s",
	    f->kind->name, f->dev));
	if (!mod_change(m, f->dev,
	    v_strf(m->arena, "%s, %llu bytes\n", f->kind->name, (unsigned long long)size),
	    v_strf(m->arena, "%s, up to %llu bytes\n", f->kind->name, (unsigned long long)room)))
		return m->failed ? -1 : 0;
	return change(m, argv);
}

/* ---- making and wiping -------------------------------------------------------- */

static int
make(struct making *f)
{
	const char *opts = mod_arg_str(f->m, "opts"), *argv[WORDS_MAX + 4];
	bool force = mod_arg_bool(f->m, "force");
	const char *const *w = NULL;
	size_t n = 0, i;

	if (opts != NULL && (w = words_split(f->m, opts)) == NULL)
		return mod_fail(f->m, "opts: a quote is not closed: %s", opts);
	if (!mod_change(f->m, f->dev, v_strf(f->m->arena, "%s\n", *f->has == '\0' ?
	    "nothing" : f->has), v_strf(f->m->arena, "%s\n", f->kind->name)))
		return f->m->failed ? -1 : 0;
	argv[n++] = f->kind->make;
	if (force && f->kind->force != NULL)
		argv[n++] = f->kind->force;
	for (i = 0; w != NULL && w[i] != NULL; i++) {
		if (n >= WORDS_MAX)
			return mod_fail(f->m, "opts has more than %d words", WORDS_MAX);
		argv[n++] = w[i];
	}
	argv[n++] = f->dev;
	argv[n] = NULL;
	return change(f->m, argv);
}

static int
present(struct making *f)
{
	const struct kind *k = f->kind;
	bool same = strcmp(f->has, k->blkid != NULL ? k->blkid : k->name) == 0;

	if (same && mod_arg_bool(f->m, "resizefs"))
		return grow(f);
	if (same && !mod_arg_bool(f->m, "force"))
		return 0;
	if (!same && *f->has != '\0' && !mod_arg_bool(f->m, "force"))
		return mod_fail(f->m, "'%s' is already used as %s, use force=true to overwrite",
		    f->dev, f->has);
	if (same)
		mod_warn(f->m, "force: the %s on %s is made anew, now and in each run, and what is in it is gone",
		    k->name, f->dev);
	return make(f);
}

static int
absent(struct making *f)
{
	const char *argv[] = { "wipefs", "--all", f->dev, NULL };

	if (*f->has == '\0' || !mod_change(f->m, f->dev,
	    v_strf(f->m->arena, "%s\n", f->has), v_str(f->m->arena, "nothing\n")))
		return f->m->failed ? -1 : 0;
	return change(f->m, argv);
}

static const struct kind *
find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < NITEMS(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int
filesystem_run(struct mod *m)
{
	struct making f = { .m = m, .dev = mod_arg_path(m, "dev") };
	const char *argv[] = { "blkid", "-c", "/dev/null", "-o", "value", "-s", "TYPE",
		f.dev, NULL };
	const char *type = mod_arg_str(m, "fstype"), *text = "";
	bool want = mod_arg_is(m, "state", "present");
	struct stat st;
	int rc;

	if (want && (f.kind = find_kind(type)) == NULL)
		return mod_fail(m, "fstype %s is not supported here", type);
	if ((rc = fs_stat(m, f.dev, &st)) == -1)
		return -1;
	if (rc == 1) {
		if (want && !m->check)
			return mod_fail(m, "Device %s not found.", f.dev);
		mod_set_str(m, "msg", arena_printf(m->arena, "Device %s not found.", f.dev));
		if (want) {
			mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it", f.dev);
			(void)mod_change(m, f.dev, NULL, v_str(m->arena, type));
		}
		return 0;
	}
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return mod_fail(m, "%s is neither a block device nor a file", f.dev);
	if (query(m, argv, 2, &text) == -1)
		return -1;
	f.has = arena_strndup(m->arena, text, strcspn(text, "\n"));
	return want ? present(&f) : absent(&f);
}

static const struct mod_arg filesystem_args[] = {
	{ .name = "dev", .type = ARG_PATH, .flags = ARG_REQUIRED, .aliases = "device",
	    .doc = "The device, or a file that stands for one." },
	{ .name = "fstype", .type = ARG_STR, .aliases = "type",
	    .choices = "bcachefs,btrfs,ext2,ext3,ext4,ext4dev,f2fs,lvm,ocfs2,reiserfs,xfs,vfat,swap,ufs",
	    .doc = "The kind; bcachefs, ext4dev, ocfs2, reiserfs and ufs are errors." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "present,absent",
	    .doc = "absent: the signatures of a file system are wiped." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Overwrites what is there; also what is right already, in each run." },
	{ .name = "resizefs", .type = ARG_BOOL, .def = "false",
	    .doc = "Grows ext2, ext3, ext4, lvm and (mounted) xfs to the size of the device." },
	{ .name = "opts", .type = ARG_STR, .doc = "Options for mkfs." },
	{ .name = "uuid", .type = ARG_STR, .flags = ARG_UNSUPPORTED, .doc = "Give it with opts: -U UUID." },
	END
};

static const struct mod_rule filesystem_rules[] = {
	{ RULE_IF, "state=present:fstype" },
	{ RULE_END, NULL }
};

const struct module filesystem_module = {
	.name = "filesystem", .collection = "community.general",
	.summary = "Makes, grows or wipes a file system.",
	.doc = "A rollback cannot put back what was on the device.",
	.examples =
	    "- community.general.filesystem: {dev: /dev/vdb1, fstype: ext4}\n"
	    "- community.general.filesystem: {dev: /dev/vdb1, fstype: ext4, resizefs: true}\n",
	.returns = "msg: what was done to its size\n",
	.args = filesystem_args, .rules = filesystem_rules, .run = filesystem_run,
};
