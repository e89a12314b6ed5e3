/*
 * Files, for modules: looking, attributes, directories, removal.
 *
 * Everything that changes something works on descriptors, not on names looked
 * up twice: a user who may write a directory must not be able to redirect a
 * root process by swapping a file for a link.  Owner and mode are set through
 * O_PATH | O_NOFOLLOW descriptors (fchownat AT_EMPTY_PATH, and /proc/self/fd
 * for the mode, which O_PATH descriptors do not take directly).
 *
 * Replacing a file is in fs_replace.c, names of users and groups in fs_ids.c.
 */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "module/fs.h"
#include "module/keep.h"

const struct mod_arg fs_attr_args[] = {
	{ .name = "owner", .type = ARG_STR,
	    .doc = "User that owns the file, name or number." },
	{ .name = "group", .type = ARG_STR,
	    .doc = "Group of the file, name or number." },
	{ .name = "mode", .type = ARG_MODE,
	    .doc = "Permissions: '0644' (in quotes) or symbolic, 'u=rw,go=r'." },
	{ .name = "attributes", .type = ARG_STR, .aliases = "attr",
	    .doc = "Flags as of chattr: '+i', '-a', '=e'." },
	{ .name = "unsafe_writes", .type = ARG_BOOL, .def = "false",
	    .doc = "Writes in place where the file cannot be replaced (bind-mounted files)." },
	{ .name = "seuser", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "SELinux user." },
	{ .name = "serole", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "SELinux role." },
	{ .name = "setype", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "SELinux type." },
	{ .name = "selevel", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "SELinux level." },
	{ .name = NULL }
};

/* ---- looking ------------------------------------------------------------ */

static int
stat_at(struct mod *m, const char *path, struct stat *st, int flags)
{
	if (fstatat(AT_FDCWD, path, st, flags) == 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return 1;
	return mod_fail_errno(m, "cannot look at %s", path);
}

int
fs_lstat(struct mod *m, const char *path, struct stat *st)
{
	return stat_at(m, path, st, AT_SYMLINK_NOFOLLOW);
}

int
fs_stat(struct mod *m, const char *path, struct stat *st)
{
	return stat_at(m, path, st, 0);
}

int
fs_read(struct mod *m, const char *path, struct buf *b)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	/* O_NONBLOCK: a FIFO must not stop us */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 1;
		return mod_fail_errno(m, "cannot read %s", path);
	}
	if (fstat(fd, &st) == -1)
		return mod_fail_errno(m, "cannot look at %s", path);
	if (S_ISDIR(st.st_mode))
		return mod_fail(m, "%s is a directory, not a file", path);
	if (!S_ISREG(st.st_mode))
		return mod_fail(m, "%s is not a regular file", path);
	if (b->max == 0)
		b->max = FS_READ_MAX;
	if (buf_read_fd(b, fd) == -1) {
		if (errno == EFBIG)
			return mod_fail(m, "%s is too large to be edited (%lld bytes; the limit is %zu MiB)",
			    path, (long long)st.st_size, b->max >> 20);
		return mod_fail_errno(m, "cannot read %s", path);
	}
	return 0;
}

/* ---- modes -------------------------------------------------------------- */

static mode_t
current_umask(void)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return mask;
}

static int
octal_mode(const char *s, mode_t *ret)
{
	mode_t mode = 0;
	size_t n;

	if (s[0] == '0' && (s[1] == 'o' || s[1] == 'O'))
		s += 2;		/* Python's way to write it */
	for (n = 0; s[n] != '\0'; n++) {
		if (s[n] < '0' || s[n] > '7' || n >= 5)
			return -1;
		mode = (mode << 3) | (mode_t)(s[n] - '0');
	}
	if (n == 0 || mode > 07777)
		return -1;
	*ret = mode;
	return 0;
}

/* The bits that letters mean for user (shift 6), group (3) or other (0). */
static int
letters_mode(const char *s, size_t n, mode_t old, bool dir, int shift,
    mode_t *ret)
{
	mode_t bits = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		switch (s[i]) {
		case 'r':
			bits |= 04U << shift;
			break;
		case 'w':
			bits |= 02U << shift;
			break;
		case 'x':
			bits |= 01U << shift;
			break;
		case 'X':
			if (dir || (old & 0111))
				bits |= 01U << shift;
			break;
		case 's':
			if (shift == 6)
				bits |= S_ISUID;
			else if (shift == 3)
				bits |= S_ISGID;
			break;
		case 't':
			if (shift == 0)
				bits |= S_ISVTX;
			break;
		case 'u':
			bits |= ((old >> 6) & 07U) << shift;
			break;
		case 'g':
			bits |= ((old >> 3) & 07U) << shift;
			break;
		case 'o':
			bits |= (old & 07U) << shift;
			break;
		default:
			return -1;
		}
	}
	*ret = bits;
	return 0;
}

/* One operation, "=rw" of "ug=rw+X"; who is a bit set: 4 user, 2 group, 1 other. */
static int
mode_op(char op, const char *perms, size_t n, unsigned who, mode_t mask,
    bool dir, mode_t *mode)
{
	static const mode_t special[3] = { S_ISVTX, S_ISGID, S_ISUID };
	mode_t bits, old = *mode, all;
	int i;

	for (i = 0; i < 3; i++) {
		if (!(who & (1U << i)))
			continue;
		if (letters_mode(perms, n, old, dir, 3 * i, &bits) == -1)
			return -1;
		bits &= ~mask;
		all = (07U << (3 * i)) | special[i];
		if (op == '=')
			*mode = (*mode & ~all) | bits;
		else if (op == '+')
			*mode |= bits;
		else
			*mode &= ~bits;
	}
	return 0;
}

int
fs_mode_apply(const char *text, mode_t old, bool dir, mode_t *ret)
{
	mode_t mode = old & 07777, mask;
	unsigned who;
	size_t n;
	char op;

	if (*text >= '0' && *text <= '9')
		return octal_mode(text, ret);
	for (;;) {
		for (who = 0; *text != '\0' && strchr("ugoa", *text) != NULL;
		    text++)
			who |= *text == 'u' ? 4 : *text == 'g' ? 2 :
			    *text == 'o' ? 1 : 7;
		mask = 0;
		if (who == 0) {
			who = 7;
			mask = current_umask();
		}
		if (*text == '\0' || strchr("+-=", *text) == NULL)
			return -1;
		while (*text != '\0' && strchr("+-=", *text) != NULL) {
			op = *text++;
			n = strcspn(text, "+-=,");
			if (mode_op(op, text, n, who, mask, dir, &mode) == -1)
				return -1;
			text += n;
		}
		if (*text == '\0')
			break;
		text++;		/* the comma */
	}
	*ret = mode;
	return 0;
}

/* ---- attributes --------------------------------------------------------- */

int
fs_attrs_get(struct mod *m, struct fs_attrs *a)
{
	mode_t ignored;

	*a = (struct fs_attrs){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	a->owner = mod_arg_str(m, "owner");
	a->group = mod_arg_str(m, "group");
	a->mode = mod_arg_str(m, "mode");
	a->attributes = mod_arg_str(m, "attributes");
	if (a->mode != NULL && strcmp(a->mode, "preserve") != 0 &&
	    fs_mode_apply(a->mode, 0, false, &ignored) == -1)
		return mod_fail(m, "'%s' is no file mode", a->mode);
	if (a->owner != NULL && !fs_uid(a->owner, &a->uid)) {
		if (!m->check)
			return mod_fail(m, "owner '%s': there is no such user on this host",
			    a->owner);
		a->uid = (uid_t)-1;
	}
	if (a->group != NULL && !fs_gid(a->group, &a->gid)) {
		if (!m->check)
			return mod_fail(m, "group '%s': there is no such group on this host",
			    a->group);
		a->gid = (gid_t)-1;
	}
	return 0;
}

/* chattr's letters and the kernel's bits (linux/fs.h, not there with musl). */
static const struct {
	char		letter;
	unsigned	bit;
} flag_letters[] = {
	{ 's', 0x00000001 }, { 'u', 0x00000002 }, { 'c', 0x00000004 },
	{ 'S', 0x00000008 }, { 'i', 0x00000010 }, { 'a', 0x00000020 },
	{ 'd', 0x00000040 }, { 'A', 0x00000080 }, { 'I', 0x00001000 },
	{ 'j', 0x00004000 }, { 't', 0x00008000 }, { 'D', 0x00010000 },
	{ 'T', 0x00020000 }, { 'e', 0x00080000 }, { 'C', 0x00800000 },
	{ 'F', 0x40000000 }, { 'P', 0x20000000 },
};

/* The bits users may set (FS_FL_USER_MODIFIABLE). */
#define FLAGS_SETTABLE	0x604b80ffU

#ifndef FS_IOC_GETFLAGS
#define FS_IOC_GETFLAGS	_IOR('f', 1, long)
#define FS_IOC_SETFLAGS	_IOW('f', 2, long)
#endif

const char *
fs_flags_text(struct arena *arena, unsigned flags)
{
	char text[NITEMS(flag_letters) + 1];
	size_t i, n = 0;

	for (i = 0; i < NITEMS(flag_letters); i++)
		if (flags & flag_letters[i].bit)
			text[n++] = flag_letters[i].letter;
	text[n] = '\0';
	return arena_strdup(arena, text);
}

/* The type of a request differs between the C libraries. */
static int
flags_ioctl(int fd, unsigned long request, unsigned *flags)
{
#ifdef __GLIBC__
	return ioctl(fd, request, flags);
#else
	return ioctl(fd, (int)request, flags);
#endif
}

bool
fs_flags_get(const char *path, bool follow, unsigned *ret)
{
	CLEANUP_CLOSE int fd = -1;
	unsigned flags = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
	    (follow ? 0 : O_NOFOLLOW));
	if (fd == -1 || flags_ioctl(fd, FS_IOC_GETFLAGS, &flags) == -1)
		return false;
	*ret = flags;
	return true;
}

static int
flags_want(struct mod *m, const char *text, unsigned old, unsigned *ret)
{
	unsigned bits = 0;
	size_t i;
	char op = '=';

	if (*text == '+' || *text == '-' || *text == '=')
		op = *text++;
	for (; *text != '\0'; text++) {
		for (i = 0; i < NITEMS(flag_letters); i++)
			if (flag_letters[i].letter == *text)
				break;
		if (i == NITEMS(flag_letters))
			return mod_fail(m, "attributes: unknown letter '%c'",
			    *text);
		bits |= flag_letters[i].bit;
	}
	if (op == '+')
		*ret = old | bits;
	else if (op == '-')
		*ret = old & ~bits;
	else
		*ret = (old & ~FLAGS_SETTABLE) | (bits & FLAGS_SETTABLE) |
		    (old & 0x00080000);	/* 'e' cannot be taken away */
	return 0;
}

static int
flags_apply(struct mod *m, const char *path, const char *text, bool follow)
{
	CLEANUP_CLOSE int fd = -1;
	struct value *before, *after;
	unsigned old = 0, want;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
	    (follow ? 0 : O_NOFOLLOW));
	if (fd == -1)
		return mod_fail_errno(m, "cannot open %s for its attributes", path);
	if (flags_ioctl(fd, FS_IOC_GETFLAGS, &old) == -1)
		return mod_fail_errno(m, "the file system of %s has no file attributes",
		    path);
	if (flags_want(m, text, old, &want) == -1)
		return -1;
	if (want == old)
		return 0;
	before = v_map(m->arena);
	after = v_map(m->arena);
	v_set_str(m->arena, before, "attributes", fs_flags_text(m->arena, old));
	v_set_str(m->arena, after, "attributes", fs_flags_text(m->arena, want));
	if (!mod_change(m, path, before, after))
		return 0;
	if (flags_ioctl(fd, FS_IOC_SETFLAGS, &want) == -1)
		return mod_fail_errno(m, "cannot set attributes '%s' of %s",
		    text, path);
	return 0;
}

/* chmod of what an O_PATH descriptor stands for. */
static int
chmod_fd(int fd, mode_t mode)
{
	char name[sizeof("/proc/self/fd/") + 12];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, mode);
}

static const char *
user_text(struct mod *m, uid_t uid)
{
	const char *name = fs_user_name(m->arena, uid);

	return name != NULL ? name : arena_printf(m->arena, "%u", (unsigned)uid);
}

static const char *
group_text(struct mod *m, gid_t gid)
{
	const char *name = fs_group_name(m->arena, gid);

	return name != NULL ? name : arena_printf(m->arena, "%u", (unsigned)gid);
}

/* Where the file really is, when links led to it. */
static const char *
fd_path(struct mod *m, int fd, const char *path)
{
	char name[sizeof("/proc/self/fd/") + 12], real[PATH_MAX];
	struct stat a, b;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (m->keep == NULL || (n = readlink(name, real, sizeof(real) - 1)) <= 0)
		return path;
	real[n] = '\0';
	return fstat(fd, &a) == 0 && lstat(real, &b) == 0 && a.st_ino == b.st_ino &&
	    a.st_dev == b.st_dev ? arena_strdup(m->arena, real) : path;
}

int
fs_attrs_apply_fd(struct mod *m, int fd, const char *path, const struct stat *st,
    const struct fs_attrs *a)
{
	struct value *before = v_map(m->arena), *after = v_map(m->arena);
	mode_t old = st->st_mode & 07777, mode = old;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;

	if (a->uid != (uid_t)-1 && a->uid != st->st_uid)
		uid = a->uid;
	if (a->gid != (gid_t)-1 && a->gid != st->st_gid)
		gid = a->gid;
	/* in check mode a user that an earlier task would make is unknown yet */
	if (uid != (uid_t)-1 || (a->owner != NULL && a->uid == (uid_t)-1)) {
		v_set_str(m->arena, before, "owner", user_text(m, st->st_uid));
		v_set_str(m->arena, after, "owner", a->owner != NULL ?
		    a->owner : user_text(m, uid));
	}
	if (gid != (gid_t)-1 || (a->group != NULL && a->gid == (gid_t)-1)) {
		v_set_str(m->arena, before, "group", group_text(m, st->st_gid));
		v_set_str(m->arena, after, "group", a->group != NULL ?
		    a->group : group_text(m, gid));
	}
	/* the mode of a link means nothing on Linux */
	if (a->mode != NULL && !S_ISLNK(st->st_mode) &&
	    strcmp(a->mode, "preserve") != 0 &&
	    fs_mode_apply(a->mode, old, S_ISDIR(st->st_mode), &mode) == -1)
		return mod_fail(m, "'%s' is no file mode", a->mode);
	if (mode != old) {
		v_sets(m->arena, before, "mode", v_strf(m->arena, "%04o",
		    (unsigned)old));
		v_sets(m->arena, after, "mode", v_strf(m->arena, "%04o",
		    (unsigned)mode));
	}
	if (v_count(after) == 0)
		return 0;
	if (!mod_change(m, path, before, after))
		return 0;
	if (keep_path(m, fd_path(m, fd, path)) == -1)
		return -1;
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
	    fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == -1)
		return mod_fail_errno(m, "cannot change the owner of %s", path);
	/* chown takes set-id bits away: set the mode again */
	if ((mode != old || (mode & 06000)) && !S_ISLNK(st->st_mode) &&
	    chmod_fd(fd, mode) == -1)
		return mod_fail_errno(m, "cannot change the mode of %s to %04o",
		    path, (unsigned)mode);
	return 0;
}

int
fs_attrs_apply(struct mod *m, const char *path, const struct fs_attrs *a,
    bool follow)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if (a->owner == NULL && a->group == NULL && a->mode == NULL &&
	    a->attributes == NULL && a->uid == (uid_t)-1 &&
	    a->gid == (gid_t)-1)
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	if (fd == -1) {
		if ((errno == ENOENT || errno == ENOTDIR) && m->check)
			return 0;
		return mod_fail_errno(m, "cannot open %s", path);
	}
	if (fstat(fd, &st) == -1)
		return mod_fail_errno(m, "cannot look at %s", path);
	if (fs_attrs_apply_fd(m, fd, path, &st, a) == -1)
		return -1;
	if (a->attributes != NULL && !S_ISLNK(st.st_mode))
		return flags_apply(m, path, a->attributes, follow);
	return 0;
}

int
fs_attrs_quiet(struct mod *m, const char *path, const struct fs_attrs *a)
{
	bool diff = m->diff;
	int rc;

	m->diff = false;
	rc = fs_attrs_apply(m, path, a, false);
	m->diff = diff;
	return rc;
}

const char *
fs_type_name(mode_t mode)
{
	if (S_ISLNK(mode))
		return "link";
	if (S_ISDIR(mode))
		return "directory";
	return "file";
}

void
fs_result(struct mod *m, const char *path)
{
	struct stat st;

	mod_set_str(m, "path", path);
	if (lstat(path, &st) == -1) {
		if (!m->check || !m->changed)
			mod_set_str(m, "state", "absent");
		return;
	}
	mod_set_str(m, "state", S_ISREG(st.st_mode) && st.st_nlink > 1 ?
	    "hard" : fs_type_name(st.st_mode));
	mod_set_int(m, "uid", st.st_uid);
	mod_set_int(m, "gid", st.st_gid);
	mod_set_str(m, "owner", user_text(m, st.st_uid));
	mod_set_str(m, "group", group_text(m, st.st_gid));
	mod_set(m, "mode", v_strf(m->arena, "%04o",
	    (unsigned)(st.st_mode & 07777)));
	mod_set_int(m, "size", st.st_size);
}

/* ---- directories -------------------------------------------------------- */

int
fs_mkdir_p(struct mod *m, const char *path, mode_t mode)
{
	char *copy = arena_strdup(m->arena, path), *slash;
	struct stat st;
	bool last;

	mod_effect(m);
	for (slash = copy; ; ) {
		slash += strspn(slash, "/");
		if (*slash == '\0')
			return 0;
		slash += strcspn(slash, "/");
		last = slash[strspn(slash, "/")] == '\0';
		*slash = '\0';
		if (access(copy, F_OK) == -1 && keep_path(m, copy) == -1)
			return -1;
		if (mkdir(copy, last ? mode : 0755) == -1) {
			if (errno != EEXIST)
				return mod_fail_errno(m, "cannot make directory %s",
				    copy);
			if (stat(copy, &st) == 0 && !S_ISDIR(st.st_mode))
				return mod_fail(m, "cannot make directory %s: %s is there and is no directory",
				    path, copy);
		}
		if (last)
			return 0;
		*slash = '/';
	}
}

/* ---- removal ------------------------------------------------------------ */

/*
 * A directory tree is emptied from below: go down into the first directory
 * found, remove what is no directory on the way, and climb by ".." (checked
 * against the remembered device and inode).  One descriptor at any depth, and
 * nobody can lead us out by moving directories about.
 */
struct level {
	dev_t		 dev;
	ino_t		 ino;
	char		*name;	/* of the directory within its parent */
};

/* Removes files of a directory; the name of a directory in it, or NULL when empty. -1: failed. */
static int
empty_dir(struct mod *m, int dirfd, const char *top, char **ret_sub)
{
	CLEANUP_CLOSEDIR DIR *dir = NULL;
	struct dirent *de;
	int fd;

	*ret_sub = NULL;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return mod_fail_errno(m, "cannot read a directory below %s", top);
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return mod_fail_errno(m, "cannot read a directory below %s", top);
	}
	while ((errno = 0, de = readdir(dir)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd, de->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return mod_fail_errno(m, "cannot remove '%s' below %s",
			    de->d_name, top);
		if (unlinkat(dirfd, de->d_name, AT_REMOVEDIR) == 0)
			continue;
		if (errno == ENOTDIR) {
			errno = EPERM;
			return mod_fail_errno(m, "cannot remove '%s' below %s",
			    de->d_name, top);
		}
		if (errno != ENOTEMPTY && errno != EEXIST)
			return mod_fail_errno(m, "cannot remove directory '%s' below %s",
			    de->d_name, top);
		*ret_sub = xstrdup(de->d_name);
		return 0;
	}
	if (errno != 0)
		return mod_fail_errno(m, "cannot read a directory below %s", top);
	return 0;
}

static int
level_enter(struct mod *m, const char *top, int *fd, struct level **levels,
    size_t *n, char *name)
{
	struct stat st, sub;
	int next;

	next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (next == -1) {
		(void)mod_fail_errno(m, "cannot enter '%s' below %s", name, top);
		free(name);
		return -1;
	}
	if (fstat(*fd, &st) == -1 || fstat(next, &sub) == -1) {
		(void)close(next);
		(void)mod_fail_errno(m, "cannot look at '%s' below %s", name, top);
		free(name);
		return -1;
	}
	if (sub.st_dev != st.st_dev) {
		(void)close(next);
		(void)mod_fail(m, "'%s' below %s is a mount point: unmount it first",
		    name, top);
		free(name);
		return -1;
	}
	*levels = xreallocarray(*levels, *n + 1, sizeof(**levels));
	(*levels)[*n].dev = st.st_dev;
	(*levels)[*n].ino = st.st_ino;
	(*levels)[*n].name = name;
	(*n)++;
	(void)close(*fd);
	*fd = next;
	return 0;
}

static int
level_leave(struct mod *m, const char *top, int *fd, struct level *level)
{
	struct stat st;
	int up;

	up = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (up == -1)
		return mod_fail_errno(m, "cannot go back up below %s", top);
	(void)close(*fd);
	*fd = up;
	if (fstat(up, &st) == -1 || st.st_dev != level->dev ||
	    st.st_ino != level->ino)
		return mod_fail(m, "a directory below %s was moved while it was removed: stopped",
		    top);
	if (unlinkat(up, level->name, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
		return mod_fail_errno(m, "cannot remove directory '%s' below %s",
		    level->name, top);
	return 0;
}

static int
remove_tree(struct mod *m, int parent, const char *base, const char *path)
{
	struct level *levels = NULL;
	size_t n = 0;
	char *sub;
	int fd, rc = -1;

	fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return mod_fail_errno(m, "cannot remove %s", path);
	for (;;) {
		if (mod_cancelled(m)) {
			(void)mod_fail(m, "cancelled while %s was removed", path);
			break;
		}
		if (empty_dir(m, fd, path, &sub) == -1)
			break;
		if (sub != NULL) {
			if (level_enter(m, path, &fd, &levels, &n, sub) == -1)
				break;
			continue;
		}
		if (n == 0) {
			rc = 0;
			break;
		}
		if (level_leave(m, path, &fd, &levels[n - 1]) == -1)
			break;
		free(levels[--n].name);
	}
	while (n > 0)
		free(levels[--n].name);
	free(levels);
	(void)close(fd);
	if (rc == 0 && unlinkat(parent, base, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT)
		return mod_fail_errno(m, "cannot remove directory %s%s", path,
		    errno == EBUSY ? " (a mount point?)" : "");
	return rc;
}

/* The directory a path's last component is in, and that component. */
int
fs_open_parent(struct mod *m, const char *path, const char **ret_base)
{
	char *copy = arena_strdup(m->arena, path), *slash;
	size_t n = strlen(copy);
	int fd;

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	if (slash == NULL) {
		*ret_base = copy;
		fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		*ret_base = slash + 1;
		*slash = '\0';
		fd = open(slash == copy ? "/" : copy,
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd == -1) {
		if (errno == ENOENT)
			return mod_fail(m, "the directory %s does not exist (for %s)",
			    slash == NULL ? "." : copy, path);
		if (errno == ENOTDIR)
			return mod_fail(m, "%s is no directory (for %s)",
			    slash == NULL ? "." : copy, path);
		return mod_fail_errno(m, "cannot open the directory of %s", path);
	}
	return fd;
}

int
fs_remove(struct mod *m, const char *path)
{
	CLEANUP_CLOSE int parent = -1;
	const char *base;
	struct stat st;

	mod_effect(m);
	parent = fs_open_parent(m, path, &base);
	if (parent == -1)
		return -1;
	if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return mod_fail(m, "refusing to remove '%s'", path);
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno == ENOENT)
			return 0;
		return mod_fail_errno(m, "cannot look at %s", path);
	}
	if (keep_tree(m, path) == -1)
		return -1;
	if (S_ISDIR(st.st_mode))
		return remove_tree(m, parent, base, path);
	if (unlinkat(parent, base, 0) == -1 && errno != ENOENT)
		return mod_fail_errno(m, "cannot remove %s%s", path,
		    errno == EBUSY ? " (a mount point?)" : "");
	return 0;
}
