/*
 * All extended attributes of a file as one string of bytes: POSIX ACLs, file
 * capabilities, security labels, users' own.  Before-images keep it as a
 * content like any other (keep.c), and put it back exactly (restore.c).
 *
 *	NAME \0 length (4 bytes, the lowest first) value	… sorted by name
 *
 * Attributes that programs other than the kernel's file system cannot set
 * (an integrity signature) are none of ours.  Errors of the file system that
 * it has no attributes are no errors: then there are none.
 */
#include <sys/xattr.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "module/fs.h"

#define NAMES_MAX	((size_t)64 * 1024)	/* the kernel's own limits */
#define VALUE_MAX	((size_t)64 * 1024)

static bool
not_ours(const char *name)
{
	return strcmp(name, "security.ima") == 0 || strcmp(name, "security.evm") == 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names, sorted; NULL-terminated; both to be freed. 0, or -1 with errno. */
static int
names_of(int fd, char **ret_text, const char ***ret_names)
{
	char *text = xmalloc(NAMES_MAX);
	const char **names = NULL;
	ssize_t len = flistxattr(fd, text, NAMES_MAX), at;
	size_t n = 0;

	if (len == -1 && errno != ENOTSUP && errno != ENOSYS) {
		free(text);
		return -1;
	}
	for (at = 0; at < len; at += (ssize_t)strlen(text + at) + 1) {
		if (not_ours(text + at))
			continue;
		names = xreallocarray(names, n + 2, sizeof(*names));
		names[n++] = text + at;
		names[n] = NULL;
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*ret_text = text;
	*ret_names = names;
	return 0;
}

int
fs_xattrs_pack(int fd, struct buf *b)
{
	CLEANUP_FREE char *text = NULL, *value = NULL;
	const char **names = NULL, **name;
	ssize_t len = 0;
	int i;

	b->max = FS_XATTRS_MAX;
	if (names_of(fd, &text, &names) == -1)
		return -1;
	for (name = names; name != NULL && *name != NULL; name++) {
		if (value == NULL)
			value = xmalloc(VALUE_MAX);
		if ((len = fgetxattr(fd, *name, value, VALUE_MAX)) == -1) {
			if (errno == ENODATA)
				continue;
			break;
		}
		buf_add(b, *name, strlen(*name) + 1);
		for (i = 0; i < 32; i += 8)
			buf_addc(b, (char)((size_t)len >> i & 0xff));
		buf_add(b, value, (size_t)len);
	}
	free(names);
	if (len == -1)
		return -1;
	if (buf_overflowed(b)) {
		errno = E2BIG;
		return -1;
	}
	return 0;
}

/* The next attribute of a string made above; false at its end, or when it is none. */
static bool
next(const char **p, const char *end, const char **name, const char **value,
    size_t *len)
{
	const char *zero = *p < end ? memchr(*p, '\0', (size_t)(end - *p)) : NULL;
	size_t i;

	if (zero == NULL || end - zero < 5)
		return false;
	for (*len = 0, i = 0; i < 4; i++)
		*len |= (size_t)(unsigned char)zero[1 + i] << (8 * i);
	if (*len > (size_t)(end - zero) - 5)
		return false;
	*name = *p;
	*value = zero + 5;
	*p = *value + *len;
	return true;
}

static bool
has(const char *p, const char *end, const char *name)
{
	const char *n, *value;
	size_t len;

	while (next(&p, end, &n, &value, &len))
		if (strcmp(n, name) == 0)
			return true;
	return false;
}

int
fs_xattrs_apply(struct mod *m, int fd, const char *path, const char *data,
    size_t size)
{
	const char *end, *name, *value, **names = NULL, **n;
	CLEANUP_FREE char *text = NULL, *old = xmalloc(VALUE_MAX);
	size_t len;
	ssize_t k;
	int rc = 0;

	data = size > 0 ? data : "";
	end = data + size;
	if (names_of(fd, &text, &names) == -1)
		return mod_fail_errno(m, "cannot look at the attributes of %s", path);
	for (n = names; rc == 0 && n != NULL && *n != NULL; n++)
		if (!has(data, end, *n) && fremovexattr(fd, *n) == -1 &&
		    errno != ENODATA)
			rc = mod_fail_errno(m, "cannot remove attribute %s of %s",
			    *n, path);
	free(names);
	while (rc == 0 && next(&data, end, &name, &value, &len)) {
		k = fgetxattr(fd, name, old, VALUE_MAX);
		if (k >= 0 && (size_t)k == len && memcmp(old, value, len) == 0)
			continue;
		if (fsetxattr(fd, name, value, len, 0) == -1)
			rc = mod_fail_errno(m, "cannot put back attribute %s of %s",
			    name, path);
	}
	return rc;
}

const char *
fs_xattrs_text(struct arena *arena, const char *data, size_t size)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *end, *name, *value;
	size_t len;

	data = size > 0 ? data : "";
	end = data + size;
	while (next(&data, end, &name, &value, &len))
		buf_addf(&b, "%s%s (%zu bytes)", b.len > 0 ? ", " : "", name, len);
	return b.len > 0 ? buf_dup(&b, arena) : "none";
}
