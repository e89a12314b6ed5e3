/* See private.h. */
#include <sys/stat.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

int
private_dir(struct arena *a, const char *name, const char **ret, struct err *err)
{
	const char *places[] = { getenv("XDG_RUNTIME_DIR"), "/dev/shm", getenv("TMPDIR"), "/tmp" };
	size_t i;

	for (i = 0; i < NITEMS(places); i++) {
		char *dir;

		if (places[i] == NULL || *places[i] != '/')
			continue;
		dir = arena_printf(a, "%s/provctl-%s-XXXXXX", places[i], name);
		if (mkdtemp(dir) != NULL) {
			*ret = dir;
			return 0;
		}
	}
	return err_errno(err, "cannot make a directory for the text");
}

/* Overwritten first, should it be on a disk after all. */
static void
shred(int dir, const char *name)
{
	static const char zeros[4096];
	CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	off_t done;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		for (done = 0; done < st.st_size; done += (off_t)sizeof(zeros))
			if (write(fd, zeros, sizeof(zeros)) == -1)
				break;
		(void)fsync(fd);
	}
	(void)unlinkat(dir, name, 0);
}

int
private_dir_remove(const char *path, const char *what, struct err *err)
{
	DIR *d = opendir(path);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			shred(dirfd(d), e->d_name);
	if (d != NULL)
		(void)closedir(d);
	if (rmdir(path) == 0)
		return 0;
	err_release(err);
	return err_errno(err, "%s MAY STILL BE IN '%s': it cannot be removed", what, path);
}
