/*
 * See files.h.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "yaml/files.h"

#define RING	8	/* results of file_at() that are valid at a time */

static struct {
	bool			 on;
	struct arena		 arena;
	struct value		*index;		/* path → place in v */
	struct file_note	*v;
	uint32_t		 n, cap;
} notes;

static struct {
	struct arena	 arena;
	const char	*root;		/* NULL: none in force */
	size_t		 len;
	struct value	*dirs;		/* set of the directories that files stand in */
} from;

static char ring[RING][PATH_MAX];
static unsigned at;

/* Absolute, without empty, . and .. parts (".." by its letters, as people read it). NULL: too long. */
static const char *
absolute(const char *path)
{
	char *out = ring[at++ % RING], *p = out, *end = out + PATH_MAX;
	const char *part;
	size_t n;

	if (*path != '/') {
		if (getcwd(out, PATH_MAX) == NULL)
			return NULL;
		p += strcmp(out, "/") == 0 ? 0 : strlen(out);
	}
	for (part = path; *part != '\0'; part += n) {
		part += strspn(part, "/");
		n = strcspn(part, "/");
		if (n == 0 || (n == 1 && *part == '.'))
			continue;
		if (n == 2 && memcmp(part, "..", 2) == 0) {
			while (p > out && *--p != '/')
				;
			continue;
		}
		if (n + 2 > (size_t)(end - p))
			return NULL;
		*p++ = '/';
		memcpy(p, part, n);
		p += n;
	}
	if (p == out)
		*p++ = '/';
	*p = '\0';
	return out;
}

/* ---- notes ------------------------------------------------------------------------- */

void
files_collect(bool on)
{
	arena_release(&notes.arena);
	notes.v = NULL;
	notes.n = notes.cap = 0;
	notes.on = on;
	notes.index = on ? v_map(&notes.arena) : NULL;
}

void
files_note(const char *path, const struct stat *st)
{
	if (!notes.on || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ||
	    S_ISLNK(st->st_mode)) || (path = absolute(path)) == NULL ||
	    v_gets(notes.index, path) != NULL)
		return;
	if (notes.n == notes.cap) {
		uint32_t cap = notes.cap == 0 ? 64 : notes.cap * 2;

		notes.v = arena_grow(&notes.arena, notes.v,
		    notes.n * sizeof(*notes.v), cap * sizeof(*notes.v));
		notes.cap = cap;
	}
	notes.v[notes.n++] = (struct file_note){ arena_strdup(&notes.arena, path), *st };
	v_set_bool(&notes.arena, notes.index, path, true);
}

const struct file_note *
files_noted(uint32_t *ret_n)
{
	*ret_n = notes.n;
	return notes.v;
}

/* ---- snapshots ------------------------------------------------------------------------- */

void
files_from(const char *root, const struct value *paths)
{
	uint32_t i;

	arena_release(&from.arena);
	from.root = NULL;
	if (root == NULL)
		return;
	from.root = arena_strdup(&from.arena, root);
	from.len = strlen(root);
	from.dirs = v_map(&from.arena);
	for (i = 0; i < v_count(paths); i++) {
		const char *path = v_at(paths, i)->u.s, *slash = strrchr(path, '/');

		if (slash != NULL && slash != path)
			v_set_bool(&from.arena, from.dirs, arena_strndup(&from.arena,
			    path, (size_t)(slash - path)), true);
	}
}

/* Is it, or a directory above it, one that the snapshot has files of? */
static bool
inside(const char *path)
{
	size_t n = strlen(path);

	while (n > 0) {
		if (v_getn(from.dirs, path, n, v_hash_str(path, n)) != NULL)
			return true;
		while (n > 0 && path[--n] != '/')
			;
	}
	return false;
}

const char *
file_at(const char *path)
{
	const char *full;
	char *out;
	size_t n;

	if (from.root == NULL || (full = absolute(path)) == NULL || !inside(full))
		return path;
	n = strlen(full);
	out = ring[at++ % RING];
	if (from.len + n >= PATH_MAX)
		return path;
	memmove(out + from.len, full, n + 1);
	memcpy(out, from.root, from.len);
	return out;
}

const char *
file_named(const char *path)
{
	return from.root != NULL && strncmp(path, from.root, from.len) == 0 &&
	    path[from.len] == '/' ? path + from.len : path;
}

int
file_read(struct buf *b, const char *path)
{
	CLEANUP_CLOSE int fd = open(file_at(path), O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	files_note(path, &st);
	return buf_read_fd(b, fd);
}
