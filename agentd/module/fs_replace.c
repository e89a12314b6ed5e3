/*
 * Replacing a file as a whole.
 *
 *	open the directory (O_PATH)          from here on everything is relative to it
 *	create .provctl-XXXXXXXX, 0600, O_EXCL
 *	write; take over ACLs and extended attributes of the old file
 *	owner, mode
 *	validate: the command sees the new file under its temporary name
 *	backup of the old file
 *	fsync, rename, fsync of the directory
 *
 * The temporary name starts with a dot and has no suffix, so that the *.conf
 * and run-parts directories of the world do not read it.  It is made of the
 * file's own name: what a power failure or SIGKILL left half-written is found
 * by the next write of that file, and removed, without a directory being
 * listed or a record kept.  Who works on one holds a lock on it (flock), so
 * what is locked is not left over; then, or where somebody else has put
 * something there, the name is a random one.  Where the kernel
 * refuses to replace a file (EBUSY: it is a mount point of its own, as
 * /etc/hosts is in many containers) and the task says unsafe_writes, it is
 * written in place.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "module/fs.h"
#include "module/keep.h"
#include "module/proc.h"
#include "module/words.h"

#define COPY_CHUNK	((size_t)128 * 1024)
#define LINK_OLD_S	60
#define XATTR_NAMES_MAX	((size_t)64 * 1024)
#define XATTR_VALUE_MAX	((size_t)64 * 1024)

struct replacing {
	struct mod		*m;
	const struct fs_replace	*r;
	int			 dir;
	int			 fd;
	const char		*base;
	char			 temp[32];	/* "" when there is none */
	struct stat		 old;
	bool			 had_old;
};

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = write(fd, p, n);
		if (k == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int
fs_copy_fd(struct mod *m, int from, int to, const char *path)
{
	char *chunk = xmalloc(COPY_CHUNK);
	ssize_t n;
	int rc = -1;

	for (;;) {
		if (mod_cancelled(m)) {
			(void)mod_fail(m, "cancelled while %s was written", path);
			break;
		}
		n = read(from, chunk, COPY_CHUNK);
		if (n == 0) {
			rc = 0;
			break;
		}
		if (n == -1) {
			if (errno == EINTR)
				continue;
			(void)mod_fail_errno(m, "cannot read the content for %s", path);
			break;
		}
		if (write_all(to, chunk, (size_t)n) == -1) {
			(void)mod_fail_errno(m, "cannot write %s", path);
			break;
		}
	}
	free(chunk);
	return rc;
}

/* Makes a file with a random name in dir. */
int
fs_temp_at(int dir, char *name, size_t size)
{
	unsigned char r[6];
	int tries, fd;

	for (tries = 0; tries < 16; tries++) {
		if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return -1;
		(void)snprintf(name, size, ".provctl-%02x%02x%02x%02x%02x%02x",
		    r[0], r[1], r[2], r[3], r[4], r[5]);
		fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
		    O_CLOEXEC, 0600);
		if (fd != -1 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* Removes what is there by this name if nobody works on it. true: it is gone. */
static bool
remove_left_over(int dir, const char *name)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st, now;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT;
	if (S_ISLNK(st.st_mode))	/* cannot be locked, but lives for an instant */
		return time(NULL) - st.st_ctime > LINK_OLD_S &&
		    unlinkat(dir, name, 0) == 0;
	if (!S_ISREG(st.st_mode) || (fd = openat(dir, name, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) == -1)
		return false;
	return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &now) == 0 &&
	    now.st_ino == st.st_ino && now.st_dev == st.st_dev &&
	    unlinkat(dir, name, 0) == 0;
}

int
fs_temp_for(int dir, const char *base, char *name, size_t size)
{
	char hex[SHA256_HEX];
	struct stat st;
	int fd;

	sha256_text(base, strlen(base), hex);
	(void)snprintf(name, size, ".provctl-%.12s", hex);
	if (remove_left_over(dir, name) && (fd = openat(dir, name, O_RDWR |
	    O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) != -1) {
		/* Between the two somebody may have taken it for left over. */
		if ((flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
		    fstat(fd, &st) == 0 && st.st_nlink > 0)
			return fd;
		(void)close(fd);
	}
	return fs_temp_at(dir, name, size);
}

int
fs_temp_name(int dir, const char *base, char *name, size_t size)
{
	int fd = fs_temp_for(dir, base, name, size);

	if (fd == -1)
		return -1;
	(void)unlinkat(dir, name, 0);
	(void)close(fd);
	return 0;
}

int
fs_anonymous(struct mod *m)
{
	int fd = memfd_create("provctl", MFD_CLOEXEC);

	return fd != -1 ? fd : mod_fail_errno(m, "cannot make a file in memory");
}

static int
write_content(struct replacing *rp)
{
	const struct fs_replace *r = rp->r;

	if (r->content != NULL)
		return mod_content_fd(rp->m, r->content, rp->fd);
	if (r->data == NULL && r->fd != -1) {
		if (lseek(r->fd, 0, SEEK_SET) == -1 && errno != ESPIPE)
			return mod_fail_errno(rp->m, "cannot read the content for %s",
			    r->path);
		return fs_copy_fd(rp->m, r->fd, rp->fd, r->path);
	}
	if (write_all(rp->fd, r->data, r->len) == -1)
		return mod_fail_errno(rp->m, "cannot write %s", r->path);
	return 0;
}

/* ACLs and user attributes are kept; what the file system refuses is not worth a failure. */
static void
copy_xattrs(int from, int to)
{
	CLEANUP_FREE char *names = xmalloc(XATTR_NAMES_MAX);
	CLEANUP_FREE char *value = NULL;
	ssize_t n, k, len;

	n = flistxattr(from, names, XATTR_NAMES_MAX);
	if (n <= 0)
		return;
	value = xmalloc(XATTR_VALUE_MAX);
	for (k = 0; k < n; k += (ssize_t)strlen(names + k) + 1) {
		if (strncmp(names + k, "user.", 5) != 0 &&
		    strcmp(names + k, "system.posix_acl_access") != 0 &&
		    strcmp(names + k, "security.selinux") != 0)
			continue;
		len = fgetxattr(from, names + k, value, XATTR_VALUE_MAX);
		if (len >= 0)
			(void)fsetxattr(to, names + k, value, (size_t)len, 0);
	}
}

static mode_t
process_umask(void)
{
	mode_t mask = umask(077);

	(void)umask(mask);
	return mask;
}

/* Attributes (behind chown, which takes capabilities away) and time that are given. */
static int
set_exactly(struct replacing *rp)
{
	const struct fs_replace *r = rp->r;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	if (r->xattrs != NULL && fs_xattrs_apply(rp->m, rp->fd, r->path,
	    r->xattrs->data, r->xattrs->len) == -1)
		return -1;
	if (r->mtime == NULL)
		return 0;
	times[1] = *r->mtime;
	return futimens(rp->fd, times) == 0 ? 0 : mod_fail_errno(rp->m,
	    "cannot set the time of %s", r->path);
}

/* Owner and mode of the new file: the task's, else the old file's, else the default. */
static int
set_attrs(struct replacing *rp)
{
	const struct fs_attrs *a = rp->r->attrs;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	mode_t mode;
	int old_fd;

	if (rp->had_old) {
		uid = rp->old.st_uid;
		gid = rp->old.st_gid;
		mode = rp->old.st_mode & 07777;
		old_fd = rp->r->xattrs != NULL ? -1 : openat(rp->dir, rp->base,
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		if (old_fd != -1) {
			copy_xattrs(old_fd, rp->fd);
			(void)close(old_fd);
		}
	} else if (rp->r->force_mode)
		mode = rp->r->default_mode;
	else
		mode = 0666 & ~process_umask();
	if (a != NULL) {
		if (a->uid != (uid_t)-1)
			uid = a->uid;
		if (a->gid != (gid_t)-1)
			gid = a->gid;
		if (a->mode != NULL && strcmp(a->mode, "preserve") != 0 &&
		    fs_mode_apply(a->mode, mode, false, &mode) == -1)
			return mod_fail(rp->m, "'%s' is no file mode", a->mode);
	}
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
	    fchown(rp->fd, uid, gid) == -1) {
		/* an unprivileged owner replaces a file it may write: fine, unless asked otherwise */
		if (errno != EPERM || (a != NULL && (a->uid != (uid_t)-1 ||
		    a->gid != (gid_t)-1)))
			return mod_fail_errno(rp->m, "cannot change the owner of %s",
			    rp->r->path);
	}
	if (fchmod(rp->fd, mode) == -1)
		return mod_fail_errno(rp->m, "cannot change the mode of %s",
		    rp->r->path);
	return set_exactly(rp);
}

int
fs_validate(struct mod *m, const char *command, const char *file)
{
	CLEANUP_PROC struct proc p = PROC_INIT;
	CLEANUP_BUF struct buf text = BUF_INIT;
	const char *s;

	if (strstr(command, "%s") == NULL)
		return mod_fail(m, "validate must contain %%s, the place of the file: %s",
		    command);
	p.argv = words_split(m, command);
	if (p.argv == NULL || p.argv[0] == NULL)
		return mod_fail(m, "validate is no command: %s", command);
	p.argv = words_subst(m, p.argv, "%s", file);
	if (proc_query(m, &p) == -1)
		return -1;
	if (p.status == 0)
		return 0;
	proc_result(m, &p);
	buf_adds(&text, p.timed_out ? "timed out" : "");
	s = p.err.len > 0 ? buf_str(&p.err) : buf_str(&p.out);
	buf_add(&text, s, strlen(s));
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	(void)buf_str(&text);
	mod_set_int(m, "exit_status", p.status);
	return mod_fail(m, "failed to validate: rc:%d error:%s", p.status,
	    buf_str(&text));
}

/* Last resort for files that cannot be replaced. */
static int
write_in_place(struct replacing *rp)
{
	CLEANUP_CLOSE int to = -1;
	struct stat st;

	to = openat(rp->dir, rp->base, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (to == -1 || fstat(to, &st) == -1 || !S_ISREG(st.st_mode))
		return mod_fail_errno(rp->m, "cannot write %s in place",
		    rp->r->path);
	if (lseek(rp->fd, 0, SEEK_SET) == -1 || ftruncate(to, 0) == -1)
		return mod_fail_errno(rp->m, "cannot write %s in place",
		    rp->r->path);
	if (fs_copy_fd(rp->m, rp->fd, to, rp->r->path) == -1)
		return -1;
	if (fsync(to) == -1)
		return mod_fail_errno(rp->m, "cannot write %s", rp->r->path);
	return 0;
}

static int
move_into_place(struct replacing *rp)
{
	int dir;

	if (fsync(rp->fd) == -1)
		return mod_fail_errno(rp->m, "cannot write %s", rp->r->path);
	if (renameat(rp->dir, rp->temp, rp->dir, rp->base) == -1) {
		if (errno != EBUSY)
			return mod_fail_errno(rp->m, "cannot replace %s",
			    rp->r->path);
		if (mod_arg_find(rp->m->module, "unsafe_writes") != NULL &&
		    mod_arg_bool(rp->m, "unsafe_writes"))
			return write_in_place(rp);
		return mod_fail(rp->m, "cannot replace %s: it is a mount point (in a container?); "
		    "with `unsafe_writes: true` it is written in place",
		    rp->r->path);
	}
	rp->temp[0] = '\0';
	dir = openat(rp->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir != -1) {
		/* some file systems cannot sync a directory */
		(void)fsync(dir);
		(void)close(dir);
	}
	return 0;
}

static const char *
temp_path(struct replacing *rp)
{
	const char *slash = strrchr(rp->r->path, '/');

	if (slash == NULL)
		return rp->temp;
	return arena_printf(rp->m->arena, "%.*s/%s",
	    (int)(slash - rp->r->path), rp->r->path, rp->temp);
}

static int
replace_steps(struct replacing *rp)
{
	struct mod *m = rp->m;
	const struct fs_replace *r = rp->r;

	if (fstatat(rp->dir, rp->base, &rp->old, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(rp->old.st_mode))
			return mod_fail(m, "cannot write %s: it is a directory",
			    r->path);
		rp->had_old = S_ISREG(rp->old.st_mode);
	} else if (errno != ENOENT)
		return mod_fail_errno(m, "cannot look at %s", r->path);
	rp->fd = fs_temp_for(rp->dir, rp->base, rp->temp, sizeof(rp->temp));
	if (rp->fd == -1) {
		rp->temp[0] = '\0';
		return mod_fail_errno(m, "cannot make a file in the directory of %s",
		    r->path);
	}
	if (write_content(rp) == -1 || set_attrs(rp) == -1)
		return -1;
	if (r->validate != NULL &&
	    fs_validate(m, r->validate, temp_path(rp)) == -1)
		return -1;
	if (r->backup && rp->had_old && fs_backup(m, r->path) == -1)
		return -1;
	if (keep_path(m, r->path) == -1)
		return -1;
	return move_into_place(rp);
}

int
fs_replace(struct mod *m, const struct fs_replace *r)
{
	struct replacing rp = { .m = m, .r = r, .dir = -1, .fd = -1 };
	int rc;

	mod_effect(m);
	rp.dir = fs_open_parent(m, r->path, &rp.base);
	if (rp.dir == -1)
		return -1;
	rc = replace_steps(&rp);
	if (rp.fd != -1)
		(void)close(rp.fd);
	if (rp.temp[0] != '\0')
		(void)unlinkat(rp.dir, rp.temp, 0);
	(void)close(rp.dir);
	if (rc == 0 && r->attrs != NULL && r->attrs->attributes != NULL) {
		struct fs_attrs flags = { .uid = (uid_t)-1, .gid = (gid_t)-1,
			.attributes = r->attrs->attributes };

		rc = fs_attrs_apply(m, r->path, &flags, false);
	}
	return rc;
}

int
fs_backup(struct mod *m, const char *path)
{
	CLEANUP_CLOSE int from = -1, dir = -1;
	char when[64], temp[32];
	const char *base, *to_path;
	struct timespec times[2];
	struct stat st;
	struct tm tm;
	time_t now = time(NULL);
	int to, rc = -1;

	mod_effect(m);
	if (localtime_r(&now, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d@%H:%M:%S", &tm) == 0)
		when[0] = '\0';
	to_path = arena_printf(m->arena, "%s.%d.%s~", path, (int)getpid(), when);
	dir = fs_open_parent(m, to_path, &base);
	if (dir == -1)
		return -1;
	from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (from == -1 || fstat(from, &st) == -1)
		return mod_fail_errno(m, "cannot read %s for its backup", path);
	if (keep_path(m, to_path) == -1)
		return -1;
	/* Its name has the time: what was left over goes by the file's name. */
	to = fs_temp_for(dir, arena_printf(m->arena, "%s~", path), temp, sizeof(temp));
	if (to == -1)
		return mod_fail_errno(m, "cannot make the backup %s", to_path);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (fs_copy_fd(m, from, to, to_path) == -1)
		;
	else if ((fchown(to, st.st_uid, st.st_gid) == -1 && geteuid() == 0) ||
	    fchmod(to, st.st_mode & 07777) == -1 ||
	    futimens(to, times) == -1 ||
	    renameat(dir, temp, dir, base) == -1)
		(void)mod_fail_errno(m, "cannot make the backup %s", to_path);
	else
		rc = 0;
	if (rc == -1)
		(void)unlinkat(dir, temp, 0);
	(void)close(to);
	if (rc == 0)
		mod_set_str(m, "backup_file", to_path);
	return rc;
}

int
fs_link(struct mod *m, const char *path, const char *target, bool hard)
{
	CLEANUP_CLOSE int dir = -1;
	const char *base;
	char temp[32];

	mod_effect(m);
	if (keep_path(m, path) == -1 ||
	    (dir = fs_open_parent(m, path, &base)) == -1)
		return -1;
	if (fs_temp_name(dir, base, temp, sizeof(temp)) == -1)
		return mod_fail_errno(m, "cannot make a link in the directory of %s",
		    path);
	if (hard ? linkat(AT_FDCWD, target, dir, temp, AT_SYMLINK_FOLLOW) == -1 :
	    symlinkat(target, dir, temp) == -1)
		return mod_fail_errno(m, "cannot link %s to %s", path, target);
	if (renameat(dir, temp, dir, base) == 0) {
		/* two names of one file: rename() leaves both */
		(void)unlinkat(dir, temp, 0);
		return 0;
	}
	(void)mod_fail_errno(m, "cannot put link %s in place", path);
	(void)unlinkat(dir, temp, 0);
	return -1;
}
