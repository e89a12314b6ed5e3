/*
 * Walking a directory tree on descriptors, and following links by hand.
 *
 * Every directory is opened relative to its parent, so that moving parts of
 * the tree about does not lead a walk elsewhere.  One descriptor a level,
 * FS_DEPTH_MAX levels.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "module/fs.h"

#define LINKS_MAX	40

struct walk {
	struct mod	*m;
	unsigned	 flags;
	int		(*fn)(struct mod *, const struct fs_entry *, void *);
	void		*arg;
	size_t		 ntop;		/* length of the top's path, with its slash */
	struct { dev_t dev; ino_t ino; } above[FS_DEPTH_MAX + 1];
};

static int walk_dir(struct walk *, int, const char *, int);

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted; takes the descriptor over. -1 with errno. */
static int
read_names(int fd, char ***ret, size_t *ret_n)
{
	CLEANUP_CLOSEDIR DIR *dir = fdopendir(fd);
	size_t n = 0, cap = 0;
	char **v = NULL;
	struct dirent *de;

	*ret = NULL;
	*ret_n = 0;
	if (dir == NULL) {
		(void)close(fd);
		return -1;
	}
	while ((errno = 0, de = readdir(dir)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (n == cap) {
			cap = cap == 0 ? 32 : cap * 2;
			v = xreallocarray(v, cap, sizeof(*v));
		}
		v[n++] = xstrdup(de->d_name);
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

static int
cannot_read(struct walk *w, const char *path, int depth)
{
	struct fs_entry e = { .dirfd = -1, .path = path, .rel = "",
		.depth = depth };

	if (w->flags & FS_WALK_ERRORS)
		return w->fn(w->m, &e, w->arg) == -1 ? -1 : 0;
	return mod_fail_errno(w->m, "cannot read directory %s", path);
}

/* Whether a directory is one of those we came through. */
static bool
is_above(const struct walk *w, const struct stat *st, int depth)
{
	int i;

	for (i = 0; i <= depth; i++)
		if (w->above[i].dev == st->st_dev && w->above[i].ino == st->st_ino)
			return true;
	return false;
}

static int
walk_entry(struct walk *w, int dirfd, const char *name, const char *path,
    int depth)
{
	struct fs_entry e = { .dirfd = dirfd, .name = name, .path = path,
		.rel = path + w->ntop, .depth = depth };
	bool follow = (w->flags & FS_WALK_FOLLOW) != 0;
	int fd, rc;

	if ((!follow || fstatat(dirfd, name, &e.st, 0) == -1) &&
	    fstatat(dirfd, name, &e.st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;	/* gone meanwhile */
	rc = w->fn(w->m, &e, w->arg);
	if (rc != 0)
		return rc == -1 ? -1 : 0;
	if (!S_ISDIR(e.st.st_mode))
		return 0;
	if (depth >= FS_DEPTH_MAX)
		return mod_fail(w->m, "directories are nested too deeply (more than %d) at %s",
		    FS_DEPTH_MAX, path);
	if (follow && is_above(w, &e.st, depth - 1))
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    (follow ? 0 : O_NOFOLLOW));
	if (fd == -1)
		return errno == ENOENT ? 0 : cannot_read(w, path, depth);
	w->above[depth].dev = e.st.st_dev;
	w->above[depth].ino = e.st.st_ino;
	rc = walk_dir(w, fd, path, depth);
	(void)close(fd);
	return rc;
}

static int
walk_dir(struct walk *w, int fd, const char *path, int depth)
{
	char **names = NULL, *sub;
	size_t i, n = 0, len = strlen(path);
	int rc = 0, copy;

	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy == -1 || read_names(copy, &names, &n) == -1)
		return cannot_read(w, path, depth);
	for (i = 0; i < n; i++) {
		if (rc == 0 && mod_cancelled(w->m))
			rc = mod_fail(w->m, "cancelled");
		if (rc == 0) {
			/* not from the arena: a tree may be large */
			size_t size = len + strlen(names[i]) + 2;

			sub = xmalloc(size);
			(void)snprintf(sub, size, "%s%s%s", path,
			    strcmp(path, "/") == 0 ? "" : "/", names[i]);
			rc = walk_entry(w, fd, names[i], sub, depth + 1);
			free(sub);
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

int
fs_walk(struct mod *m, const char *top, unsigned flags,
    int (*fn)(struct mod *, const struct fs_entry *, void *), void *arg)
{
	CLEANUP_CLOSE int fd = -1;
	struct walk *w;
	struct stat st;
	size_t n = strlen(top);
	int rc;

	while (n > 1 && top[n - 1] == '/')
		n--;
	top = arena_strndup(m->arena, top, n);
	w = xcalloc(1, sizeof(*w));
	w->m = m;
	w->flags = flags;
	w->fn = fn;
	w->arg = arg;
	w->ntop = strcmp(top, "/") == 0 ? 1 : n + 1;
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		rc = cannot_read(w, top, 0);
	else {
		w->above[0].dev = st.st_dev;
		w->above[0].ino = st.st_ino;
		rc = walk_dir(w, fd, top, 0);
	}
	free(w);
	return rc;
}

const char *
fs_resolve(struct mod *m, const char *path)
{
	char target[PATH_MAX], *slash;
	const char *now = path;
	ssize_t n;
	int i;

	for (i = 0; i < LINKS_MAX; i++) {
		n = readlink(now, target, sizeof(target) - 1);
		if (n == -1)
			return now;
		target[n] = '\0';
		slash = strrchr(now, '/');
		if (target[0] == '/' || slash == NULL)
			now = arena_strdup(m->arena, target);
		else
			now = arena_printf(m->arena, "%.*s/%s",
			    (int)(slash - now), now, target);
	}
	(void)mod_fail(m, "%s: too many levels of links", path);
	return NULL;
}
