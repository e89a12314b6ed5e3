/*
 * Reading tar: POSIX ustar, GNU's long names, pax headers (path, linkpath,
 * size, mtime, uid, gid, uname, gname).  Sparse files and multi-volume
 * archives are refused, they are no way to ship an application.
 *
 *	block of 512: header ── size bytes of content, padded to 512 ── header …
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "module/archive.h"
#include "module/unpack.h"

#define BLOCK	512
#define DRAIN_MAX	((int64_t)64 * 1024 * 1024)

struct tar {
	struct unpack	*in;
	int64_t		 left;		/* content not read yet */
	int64_t		 pad;		/* padding after it */
	bool		 end;
	char		 header[BLOCK];
	bool		 pending;	/* header holds the next one already */
	/* From extended headers, for the next member; malloc'ed or NULL. */
	char		*path, *link, *user, *group;
	bool		 has_size, has_mtime, has_uid, has_gid;
	int64_t		 size, mtime, uid, gid;
	/* What the current member points to. */
	char		 name[ARCHIVE_NAME_MAX + 1], target[ARCHIVE_NAME_MAX + 1];
	char		 uname[33], gname[33];
};

/* Exactly n bytes; 0 when the input ended before the first, -1 with err. */
static int
read_full(struct tar *t, char *to, size_t n, struct err *err)
{
	size_t have = 0;
	ssize_t k;

	while (have < n) {
		k = unpack_read(t->in, to + have, n - have, err);
		if (k == -1)
			return -1;
		if (k == 0) {
			if (have == 0)
				return 0;
			return err_set(err, ERR_INVALID, "the archive is cut off");
		}
		have += (size_t)k;
	}
	return 1;
}

static int
skip(struct tar *t, int64_t n, struct err *err)
{
	char chunk[16384];
	ssize_t k;

	while (n > 0) {
		k = unpack_read(t->in, chunk, n < (int64_t)sizeof(chunk) ?
		    (size_t)n : sizeof(chunk), err);
		if (k == -1)
			return -1;
		if (k == 0)
			return err_set(err, ERR_INVALID, "the archive is cut off");
		n -= k;
	}
	return 0;
}

/* Octal text, or base 256 when the first bit is set. -1: no number. */
static int64_t
number(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	int64_t v = 0;
	size_t i;

	if (u[0] & 0x80) {
		if (u[0] != 0x80)
			return -1;
		for (i = 1; i < n; i++) {
			if (v >= INT64_MAX / 256)
				return -1;
			v = v * 256 + u[i];
		}
		return v;
	}
	for (i = 0; i < n && p[i] == ' '; i++)
		;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v > INT64_MAX / 8)
			return -1;
		v = v * 8 + (p[i] - '0');
	}
	return i < n && p[i] != ' ' && p[i] != '\0' ? -1 : v;
}

static bool
checksum_ok(const char h[BLOCK])
{
	const unsigned char *u = (const unsigned char *)h;
	int64_t sum = 0, i;

	for (i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : u[i];
	return number(h + 148, 8) == sum;
}

static bool
all_zero(const char h[BLOCK])
{
	int i;

	for (i = 0; i < BLOCK; i++)
		if (h[i] != '\0')
			return false;
	return true;
}

void *
tar_open(int fd, const char **ret_kind, struct err *err)
{
	static const char *const kinds[] = { "TarArchive", "TgzArchive",
		"TarBzipArchive", "TarXzArchive", "TarZstdArchive" };
	struct tar *t = xcalloc(1, sizeof(*t));
	int rc;

	t->in = unpack_open(fd, err);
	if (t->in == NULL) {
		free(t);
		return NULL;
	}
	*ret_kind = kinds[unpack_kind(t->in)];
	rc = read_full(t, t->header, BLOCK, err);
	if (rc == 1 && !all_zero(t->header) && !checksum_ok(t->header))
		rc = err_set(err, ERR_INVALID, "it is no archive that we know (tar, zip)");
	else if (rc == 0)
		rc = err_set(err, ERR_INVALID, "the archive is empty");
	if (rc == -1) {
		tar_ops.close(t);
		return NULL;
	}
	t->pending = true;
	return t;
}

static void
tar_close(void *impl)
{
	struct tar *t = impl;

	unpack_close(t->in);
	free(t->path);
	free(t->link);
	free(t->user);
	free(t->group);
	free(t);
}

static void
take(char **field, const char *s, size_t n)
{
	free(*field);
	*field = xmalloc(n + 1);
	memcpy(*field, s, n);
	(*field)[n] = '\0';
}

/* The content of an extended header; malloc'ed. */
static char *
read_extended(struct tar *t, int64_t size, struct err *err)
{
	char *text;

	if (size < 0 || size > (int64_t)ARCHIVE_HEADER_MAX) {
		(void)err_set(err, ERR_LIMIT, "the archive has a header of %lld bytes",
		    (long long)size);
		return NULL;
	}
	text = xmalloc((size_t)size + 1);
	if ((size > 0 && read_full(t, text, (size_t)size, err) != 1) ||
	    skip(t, (BLOCK - size % BLOCK) % BLOCK, err) == -1) {
		if (err->code == ERR_NONE)
			(void)err_set(err, ERR_INVALID, "the archive is cut off");
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

static void
pax_field(struct tar *t, const char *key, const char *value, size_t n)
{
	if (strcmp(key, "path") == 0)
		take(&t->path, value, n);
	else if (strcmp(key, "linkpath") == 0)
		take(&t->link, value, n);
	else if (strcmp(key, "uname") == 0)
		take(&t->user, value, n);
	else if (strcmp(key, "gname") == 0)
		take(&t->group, value, n);
	else if (strcmp(key, "size") == 0) {
		t->has_size = true;
		t->size = strtoll(value, NULL, 10);
	} else if (strcmp(key, "mtime") == 0) {
		t->has_mtime = true;
		t->mtime = strtoll(value, NULL, 10);
	} else if (strcmp(key, "uid") == 0) {
		t->has_uid = true;
		t->uid = strtoll(value, NULL, 10);
	} else if (strcmp(key, "gid") == 0) {
		t->has_gid = true;
		t->gid = strtoll(value, NULL, 10);
	}
}

/* "LEN key=value\n" records. */
static int
parse_pax(struct tar *t, char *text, size_t size, struct err *err)
{
	char *p = text, *end = text + size, *key, *eq, *stop;
	unsigned long len;

	while (p < end && *p != '\0') {
		len = strtoul(p, &key, 10);
		if (key == p || *key != ' ' || len < 5 ||
		    len > (size_t)(end - p) || p[len - 1] != '\n')
			return err_set(err, ERR_INVALID, "the archive has a damaged extended header");
		stop = p + len - 1;
		key++;
		eq = memchr(key, '=', (size_t)(stop - key));
		if (eq == NULL)
			return err_set(err, ERR_INVALID, "the archive has a damaged extended header");
		*eq = *stop = '\0';
		if (strncmp(key, "GNU.sparse.", 11) == 0)
			return err_set(err, ERR_UNSUPPORTED, "the archive holds sparse files, which are not supported");
		pax_field(t, key, eq + 1, (size_t)(stop - eq - 1));
		p += len;
	}
	return 0;
}

static void
forget_extended(struct tar *t)
{
	free(t->path);
	free(t->link);
	free(t->user);
	free(t->group);
	t->path = t->link = t->user = t->group = NULL;
	t->has_size = t->has_mtime = t->has_uid = t->has_gid = false;
}

/* One extended header (types x, g, L, K). */
static int
extended(struct tar *t, char type, int64_t size, struct err *err)
{
	char *text = read_extended(t, size, err);
	int rc = 0;

	if (text == NULL)
		return -1;
	if (type == 'x')
		rc = parse_pax(t, text, (size_t)size, err);
	else if (type == 'L')
		take(&t->path, text, strlen(text));
	else if (type == 'K')
		take(&t->link, text, strlen(text));
	free(text);
	return rc;
}

static int
copy_name(char to[ARCHIVE_NAME_MAX + 1], const char *from, size_t n,
    struct err *err)
{
	n = strnlen(from, n);
	if (n > ARCHIVE_NAME_MAX)
		return err_set(err, ERR_LIMIT, "the archive has a name of %zu bytes", n);
	memcpy(to, from, n);
	to[n] = '\0';
	return 0;
}

static int
names(struct tar *t, struct err *err)
{
	const char *h = t->header;
	bool ustar = memcmp(h + 257, "ustar\0", 6) == 0;
	size_t n;

	if (t->path != NULL) {
		if (copy_name(t->name, t->path, SIZE_MAX, err) == -1)
			return -1;
	} else {
		n = ustar ? strnlen(h + 345, 155) : 0;
		memcpy(t->name, h + 345, n);
		if (n > 0)
			t->name[n++] = '/';
		if (copy_name(t->name + n, h, 100, err) == -1)
			return -1;
	}
	if (t->link != NULL)
		return copy_name(t->target, t->link, SIZE_MAX, err);
	return copy_name(t->target, h + 157, 100, err);
}

static enum member_type
type_of(char flag, const char *name)
{
	size_t n = strlen(name);

	switch (flag) {
	case '0':
	case '\0':
	case '7':
		/* before POSIX a directory was a name with a slash */
		return n > 0 && name[n - 1] == '/' ? MEMBER_DIR : MEMBER_FILE;
	case '1':
		return MEMBER_HARDLINK;
	case '2':
		return MEMBER_SYMLINK;
	case '5':
		return MEMBER_DIR;
	default:
		return MEMBER_OTHER;
	}
}

static int
member(struct tar *t, struct member *m, int64_t size, struct err *err)
{
	const char *h = t->header;

	if (names(t, err) == -1)
		return -1;
	if (t->has_size)
		size = t->size;
	if (size < 0)
		return err_set(err, ERR_INVALID, "the archive is damaged");
	m->name = t->name;
	m->target = t->target;
	m->type = type_of(h[156], t->name);
	m->mode = (mode_t)(number(h + 100, 8) & 07777);
	m->has_mode = m->has_owner = true;
	m->uid = t->has_uid ? t->uid : number(h + 108, 8);
	m->gid = t->has_gid ? t->gid : number(h + 116, 8);
	m->mtime = t->has_mtime ? t->mtime : number(h + 136, 12);
	(void)memcpy(t->uname, h + 265, 32);
	(void)memcpy(t->gname, h + 297, 32);
	t->uname[32] = t->gname[32] = '\0';
	m->user = t->user != NULL ? t->user : t->uname;
	m->group = t->group != NULL ? t->group : t->gname;
	/* links have no content whatever their size says */
	if (m->type == MEMBER_SYMLINK || m->type == MEMBER_DIR ||
	    (m->type == MEMBER_HARDLINK && !t->has_size))
		size = m->type == MEMBER_HARDLINK ? 0 : size;
	m->size = m->type == MEMBER_FILE ? size : 0;
	t->left = size;
	t->pad = (BLOCK - size % BLOCK) % BLOCK;
	return 1;
}

/* What follows the end is padding, but only at its end the checksum of gzip and xz is seen. */
static int
drain(struct tar *t, struct err *err)
{
	char chunk[16384];
	int64_t total = 0;
	ssize_t k;

	while ((k = unpack_read(t->in, chunk, sizeof(chunk), err)) > 0) {
		total += k;
		if (total > DRAIN_MAX)
			return 0;
	}
	return (int)k;
}

static int
tar_next(void *impl, struct member *m, struct err *err)
{
	struct tar *t = impl;
	int64_t size;
	int rc;

	if (t->end)
		return 0;
	if (skip(t, t->left, err) == -1 || skip(t, t->pad, err) == -1)
		return -1;
	t->left = t->pad = 0;
	forget_extended(t);
	for (;;) {
		rc = t->pending ? 1 : read_full(t, t->header, BLOCK, err);
		t->pending = false;
		if (rc == -1)
			return -1;
		if (rc == 0 || all_zero(t->header)) {
			t->end = true;
			return drain(t, err);
		}
		if (!checksum_ok(t->header))
			return err_set(err, ERR_INVALID, "the archive is damaged");
		size = number(t->header + 124, 12);
		if (size < 0)
			return err_set(err, ERR_INVALID, "the archive is damaged");
		switch (t->header[156]) {
		case 'x':
		case 'g':
		case 'L':
		case 'K':
			if (extended(t, t->header[156], size, err) == -1)
				return -1;
			continue;
		case 'S':
			return err_set(err, ERR_UNSUPPORTED, "the archive holds sparse files, which are not supported");
		case 'M':
			return err_set(err, ERR_UNSUPPORTED, "the archive is one of several volumes, which is not supported");
		default:
			return member(t, m, size, err);
		}
	}
}

static ssize_t
tar_read(void *impl, void *to, size_t n, struct err *err)
{
	struct tar *t = impl;
	ssize_t k;

	if (t->left == 0)
		return 0;
	if ((int64_t)n > t->left)
		n = (size_t)t->left;
	k = unpack_read(t->in, to, n, err);
	if (k == 0)
		return err_set(err, ERR_INVALID, "the archive is cut off");
	if (k > 0)
		t->left -= k;
	return k;
}

const struct archive_ops tar_ops = { tar_next, tar_read, tar_close };
