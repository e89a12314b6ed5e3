/*
 * Files and texts of the controller that modules may ask for, by SHA-256.
 *
 * Hashes of files are kept for the run by path, size and time of change, so
 * that a file is read once for all hosts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "run/engine.h"
#include "yaml/files.h"

#define TREE_DEPTH_MAX	64
#define TREE_FILES_MAX	100000

static struct content *
add(struct arena *a, struct contents *c)
{
	if (c->n == c->cap) {
		uint32_t cap = c->cap == 0 ? 4 : c->cap * 2;

		c->v = arena_grow(a, c->v, c->n * sizeof(*c->v),
		    cap * sizeof(*c->v));
		c->cap = cap;
	}
	return &c->v[c->n++];
}

static struct value *
row(struct arena *a, const char *path, const char *type, const char *sha256,
    int64_t size, mode_t mode)
{
	struct value *m = v_map(a);

	v_set_str(a, m, "path", path);
	v_set_str(a, m, "type", type);
	if (sha256 != NULL) {
		v_set_str(a, m, "sha256", sha256);
		v_set_int(a, m, "size", size);
	}
	v_set_int(a, m, "mode", mode & 07777);
	return m;
}

const struct value *
content_text(struct arena *a, struct contents *c, const char *text, size_t len)
{
	struct content *e = add(a, c);

	sha256_text(text, len, e->sha256);
	e->text = text;
	e->len = len;
	return row(a, "", "file", e->sha256, (int64_t)len, 0644);
}

/* The last hashes, for all hosts of a run; a table of fixed size that forgets. */
#define CACHE	1024
static struct {
	char		 path[256];
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime, ctime;
	char		 sha256[SHA256_HEX];
} cache[CACHE];

static int
hash_file(const char *path, const struct stat *st, char out[SHA256_HEX])
{
	size_t slot = v_hash_str(path, strlen(path)) % CACHE;
	int fd CLEANUP_CLOSE = -1;

	if (strcmp(cache[slot].path, path) == 0 &&
	    cache[slot].dev == st->st_dev && cache[slot].ino == st->st_ino &&
	    cache[slot].size == st->st_size &&
	    memcmp(&cache[slot].mtime, &st->st_mtim, sizeof(st->st_mtim)) == 0 &&
	    memcmp(&cache[slot].ctime, &st->st_ctim, sizeof(st->st_ctim)) == 0) {
		memcpy(out, cache[slot].sha256, SHA256_HEX);
		return 0;
	}
	if ((fd = open(file_at(path), O_RDONLY | O_CLOEXEC)) == -1 ||
	    sha256_fd(fd, out) == -1)
		return -1;
	if (strlen(path) < sizeof(cache[slot].path)) {
		(void)snprintf(cache[slot].path, sizeof(cache[slot].path), "%s",
		    path);
		cache[slot].dev = st->st_dev;
		cache[slot].ino = st->st_ino;
		cache[slot].size = st->st_size;
		cache[slot].mtime = st->st_mtim;
		cache[slot].ctime = st->st_ctim;
		memcpy(cache[slot].sha256, out, SHA256_HEX);
	}
	return 0;
}

const struct value *
content_file(struct arena *a, struct contents *c, const char *path,
    const char *relative, struct err *err)
{
	struct content *e;
	struct stat st;
	char sha256[SHA256_HEX];

	if (stat(file_at(path), &st) == -1 || hash_file(path, &st, sha256) == -1) {
		(void)err_errno(err, "cannot read %s", path);
		return NULL;
	}
	files_note(path, &st);
	e = add(a, c);
	memcpy(e->sha256, sha256, SHA256_HEX);
	e->path = arena_strdup(a, path);
	return row(a, relative, "file", e->sha256, st.st_size, st.st_mode);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a directory, sorted: runs on all hosts must look alike. */
static const char **
names(struct arena *a, const char *path, uint32_t *ret_n, struct err *err)
{
	DIR *d CLEANUP_CLOSEDIR = opendir(file_at(path));
	const char **v = NULL;
	uint32_t n = 0, cap = 0;
	struct dirent *de;

	if (d == NULL) {
		(void)err_errno(err, "cannot read %s", path);
		return NULL;
	}
	v = ARENA_ARRAY(a, 1, const char *);
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			v = arena_grow(a, v, n * sizeof(*v), cap * sizeof(*v));
		}
		v[n++] = arena_strdup(a, de->d_name);
	}
	qsort(v, n, sizeof(*v), by_name);
	*ret_n = n;
	return v;
}

static int
tree(struct arena *a, struct contents *c, struct value *list, const char *path,
    const char *relative, bool follow, unsigned depth, struct err *err)
{
	const char **v;
	uint32_t n = 0, i;

	if (depth > TREE_DEPTH_MAX || v_count(list) > TREE_FILES_MAX)
		return err_set(err, ERR_LIMIT, "%s: %s", path,
		    depth > TREE_DEPTH_MAX ? "directories are nested too deeply" :
		    "too many files");
	if ((v = names(a, path, &n, err)) == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		const char *full = arena_printf(a, "%s/%s", path, v[i]);
		const char *rel = *relative == '\0' ? v[i] :
		    arena_printf(a, "%s/%s", relative, v[i]);
		const struct value *file;
		struct stat st;

		if ((follow ? stat(file_at(full), &st) : lstat(file_at(full), &st)) == -1 &&
		    lstat(file_at(full), &st) == -1)
			return err_errno(err, "cannot read %s", full);
		if (!S_ISREG(st.st_mode))
			files_note(full, &st);
		if (S_ISDIR(st.st_mode)) {
			v_push(a, list, row(a, rel, "directory", NULL, 0,
			    st.st_mode));
			if (tree(a, c, list, full, rel, follow, depth + 1,
			    err) == -1)
				return -1;
		} else if (S_ISLNK(st.st_mode)) {
			char target[4096];
			ssize_t len = readlink(file_at(full), target, sizeof(target) - 1);
			struct value *link;

			if (len == -1)
				return err_errno(err, "cannot read %s", full);
			target[len] = '\0';
			link = row(a, rel, "link", NULL, 0, 0777);
			v_set_str(a, link, "target", target);
			v_push(a, list, link);
		} else if (S_ISREG(st.st_mode)) {
			if ((file = content_file(a, c, full, rel, err)) == NULL)
				return -1;
			v_push(a, list, file);
		}
	}
	return 0;
}

const struct value *
content_tree(struct arena *a, struct contents *c, const char *path,
    bool follow_links, struct err *err)
{
	struct value *list = v_list(a);
	const struct value *file;
	struct stat st;

	if (stat(file_at(path), &st) == -1) {
		(void)err_errno(err, "cannot read %s", path);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode)) {
		if ((file = content_file(a, c, path, "", err)) == NULL)
			return NULL;
		v_push(a, list, file);
		return list;
	}
	return tree(a, c, list, path, "", follow_links, 0, err) == -1 ? NULL :
	    list;
}
