/* See private.h. */
#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

#define PREFIX	"provctl.private-"
#define TRIES	100

enum { RUNTIME, MEMORY, GIVEN, TMP, NPLACES };

/* Where one may be; NULL: not here. */
static const char *
place(int i)
{
	const char *dir = i == RUNTIME ? getenv("XDG_RUNTIME_DIR") :
	    i == MEMORY ? "/dev/shm" : i == GIVEN ? getenv("TMPDIR") : "/tmp";
	struct stat st;

	if (dir == NULL || *dir != '/' || stat(dir, &st) == -1 ||
	    (i == RUNTIME && st.st_uid != geteuid()))
		return NULL;
	return dir;
}

/* Ours, and as long as we live. Between its making and its lock somebody may have taken it for a dead one's: then it is not there any more. */
static bool
lock(struct private_dir *p)
{
	struct stat st;

	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->fd != -1 && flock(p->fd, LOCK_EX) == 0 && stat(p->path, &st) == 0)
		return true;
	if (p->fd != -1)
		(void)close(p->fd);
	return false;
}

int
private_dir(struct arena *a, bool secret, struct private_dir *ret, struct err *err)
{
	int i, n;

	private_dirs_sweep();
	for (i = 0; i < NPLACES; i++) {
		if (place(i) == NULL || (i == MEMORY && !secret))
			continue;
		for (n = 0; n < TRIES; n++) {
			char *path = arena_printf(a, "%s/" PREFIX "XXXXXX", place(i));

			if (mkdtemp(path) == NULL)
				break;
			*ret = (struct private_dir){ path, -1 };
			if (lock(ret))
				return 0;
		}
	}
	*ret = (struct private_dir){ NULL, -1 };
	return err_errno(err, "cannot make a private directory in '/tmp'");
}

/* Overwritten first, should it be on a disk after all. */
static void
shred(int dir, const char *name)
{
	static const char zeros[4096];
	CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	off_t done;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		for (done = 0; done < st.st_size; done += (off_t)sizeof(zeros))
			if (write(fd, zeros, sizeof(zeros)) == -1)
				break;
		(void)fsync(fd);
		(void)unlinkat(dir, name, 0);
	}
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	(void)remove(path);
	return 0;
}

/* 0, or -1 with errno. */
static int
remove_all(const char *path)
{
	CLEANUP_CLOSEDIR DIR *d = opendir(path);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		shred(dirfd(d), e->d_name);
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return rmdir(path) == 0 || errno == ENOENT ? 0 : -1;
}

int
private_dir_remove(struct private_dir *p, const char *what, struct err *err)
{
	struct private_dir old = *p;
	int r;

	if (old.path == NULL)
		return 0;
	*p = (struct private_dir){ NULL, -1 };
	if ((r = remove_all(old.path)) == -1) {
		err_release(err);
		(void)err_errno(err, "%s MAY STILL BE IN '%s': it cannot be removed", what, old.path);
	}
	(void)close(old.fd);
	return r;
}

/* Is it one of ours that nobody holds? Then it is locked by us; -1: it is not. */
static int
abandoned(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd != -1)
		(void)close(fd);
	return -1;
}

void
private_dirs_sweep(void)
{
	int i, fd;

	for (i = 0; i < NPLACES; i++) {
		CLEANUP_CLOSEDIR DIR *d = place(i) != NULL ? opendir(place(i)) : NULL;
		const struct dirent *e;

		while (d != NULL && (e = readdir(d)) != NULL) {
			struct arena a = { 0 };

			if (strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
			    (fd = abandoned(dirfd(d), e->d_name)) == -1)
				continue;
			(void)remove_all(arena_printf(&a, "%s/%s", place(i), e->d_name));
			(void)close(fd);
			arena_release(&a);
		}
	}
}
