/*
 * Which kind of archive it is; safe names.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "module/archive.h"

struct archive {
	const struct archive_ops	*ops;
	void				*impl;
	const char			*kind;
};

struct archive *
archive_open(int fd, struct err *err)
{
	unsigned char magic[4];
	struct archive *a;
	void *impl;
	const char *kind = "ZipArchive";
	bool zip;

	zip = pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
	    magic[0] == 'P' && magic[1] == 'K' &&
	    ((magic[2] == 3 && magic[3] == 4) || (magic[2] == 5 && magic[3] == 6));
	if (lseek(fd, 0, SEEK_SET) == -1) {
		(void)err_errno(err, "cannot read the archive");
		return NULL;
	}
	impl = zip ? zip_open(fd, err) : tar_open(fd, &kind, err);
	if (impl == NULL)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->ops = zip ? &zip_ops : &tar_ops;
	a->impl = impl;
	a->kind = kind;
	return a;
}

const char *
archive_kind(const struct archive *a)
{
	return a->kind;
}

int
archive_next(struct archive *a, struct member *m, struct err *err)
{
	memset(m, 0, sizeof(*m));
	m->user = m->group = "";
	m->mtime = -1;
	return a->ops->next(a->impl, m, err);
}

ssize_t
archive_read(struct archive *a, void *to, size_t n, struct err *err)
{
	return a->ops->read(a->impl, to, n, err);
}

void
archive_close(struct archive *a)
{
	if (a == NULL)
		return;
	a->ops->close(a->impl);
	free(a);
}

const char *
archive_safe_name(struct arena *arena, const char *name)
{
	char *out = arena_alloc(arena, strlen(name) + 1), *to = out;
	size_t n;

	while (*name != '\0') {
		n = strcspn(name, "/");
		if (n == 2 && name[0] == '.' && name[1] == '.')
			return NULL;
		if (n > 255)
			return NULL;
		if (n > 0 && !(n == 1 && name[0] == '.')) {
			if (to != out)
				*to++ = '/';
			memcpy(to, name, n);
			to += n;
		}
		name += n + (name[n] == '/');
	}
	*to = '\0';
	return to == out ? NULL : out;
}
