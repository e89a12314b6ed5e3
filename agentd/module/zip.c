/*
 * Reading zip: the central directory at the end, stored and deflated members,
 * Zip64, Unix modes and links.  Encrypted members and other methods are
 * refused by name.
 *
 *	local header, content … ── central directory ── end record
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "module/archive.h"

#define CHUNK		((size_t)64 * 1024)
#define END_SEARCH	((int64_t)65536 + 22)
#define DIR_MAX		((int64_t)512 * 1024 * 1024)

struct zip {
	int		 fd;
	int64_t		 size;
	unsigned char	*dir;		/* the central directory */
	size_t		 ndir, at;
	uint64_t	 nleft;		/* members not given yet */
	/* The current member: */
	char		 name[ARCHIVE_NAME_MAX + 1], target[ARCHIVE_NAME_MAX + 1];
	int64_t		 pos, packed, left;	/* in the file; packed bytes left; unpacked bytes left */
	unsigned	 method;
	uint32_t	 crc, want_crc;
	bool		 streaming;
	z_stream	 z;
	unsigned char	 in[CHUNK];
};

static uint16_t
u16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t
u32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint64_t
u64(const unsigned char *p)
{
	return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static int
damaged(struct err *err)
{
	return err_set(err, ERR_INVALID, "the archive is damaged or cut off");
}

static int
read_at(struct zip *z, int64_t pos, void *to, size_t n, struct err *err)
{
	size_t have = 0;
	ssize_t k;

	if (pos < 0 || pos > z->size || (int64_t)n > z->size - pos)
		return damaged(err);
	while (have < n) {
		k = pread(z->fd, (char *)to + have, n - have, pos + (off_t)have);
		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return err_errno(err, "cannot read the archive");
		if (k == 0)
			return damaged(err);
		have += (size_t)k;
	}
	return 0;
}

/* Zip64's own end record, when the other one is full of ones. */
static int
read_end64(struct zip *z, int64_t end, int64_t *pos, int64_t *size,
    uint64_t *count, struct err *err)
{
	unsigned char loc[20], rec[56];

	if (end < 20 || read_at(z, end - 20, loc, sizeof(loc), err) == -1)
		return damaged(err);
	if (u32(loc) != 0x07064b50 ||
	    read_at(z, (int64_t)u64(loc + 8), rec, sizeof(rec), err) == -1 ||
	    u32(rec) != 0x06064b50)
		return damaged(err);
	*count = u64(rec + 32);
	*size = (int64_t)u64(rec + 40);
	*pos = (int64_t)u64(rec + 48);
	return 0;
}

static int
read_directory(struct zip *z, struct err *err)
{
	int64_t n = z->size < END_SEARCH ? z->size : END_SEARCH, i, pos, size;
	unsigned char *tail = xmalloc((size_t)n + 1);
	uint64_t count;
	int rc;

	rc = n < 22 ? damaged(err) : read_at(z, z->size - n, tail, (size_t)n, err);
	for (i = n - 22; rc == 0 && i >= 0; i--)
		if (u32(tail + i) == 0x06054b50)
			break;
	if (rc == 0 && i < 0)
		rc = damaged(err);
	if (rc == -1) {
		free(tail);
		return -1;
	}
	count = u16(tail + i + 10);
	size = u32(tail + i + 12);
	pos = u32(tail + i + 16);
	if (count == 0xffff || size == 0xffffffff || pos == 0xffffffff)
		rc = read_end64(z, z->size - n + i, &pos, &size, &count, err);
	free(tail);
	if (rc == -1)
		return -1;
	if (size < 0 || size > DIR_MAX || count > ARCHIVE_MEMBERS_MAX)
		return err_set(err, ERR_LIMIT, "the archive's directory is too large");
	z->dir = xmalloc((size_t)size + 1);
	z->ndir = (size_t)size;
	z->nleft = count;
	return read_at(z, pos, z->dir, z->ndir, err);
}

static void
zip_close(void *impl)
{
	struct zip *z = impl;

	if (z->streaming)
		(void)inflateEnd(&z->z);
	free(z->dir);
	free(z);
}

void *
zip_open(int fd, struct err *err)
{
	struct zip *z = xcalloc(1, sizeof(*z));
	struct stat st;

	z->fd = fd;
	if (fstat(fd, &st) == -1) {
		(void)err_errno(err, "cannot read the archive");
		free(z);
		return NULL;
	}
	z->size = st.st_size;
	if (read_directory(z, err) == -1) {
		zip_close(z);
		return NULL;
	}
	return z;
}

/* Zip64 sizes and offset in the extra field, in this order, only those that are needed. */
static int
extra_sizes(const unsigned char *p, size_t n, int64_t *size, int64_t *packed,
    int64_t *offset, struct err *err)
{
	int64_t *const want[] = { size, packed, offset };
	size_t len, at, i;

	while (n >= 4) {
		len = u16(p + 2);
		if (len > n - 4)
			return damaged(err);
		if (u16(p) == 1) {
			at = 4;
			for (i = 0; i < 3; i++) {
				if (*want[i] != 0xffffffff)
					continue;
				if (at + 8 > len + 4)
					return damaged(err);
				*want[i] = (int64_t)u64(p + at);
				at += 8;
			}
		}
		p += len + 4;
		n -= len + 4;
	}
	return *size < 0 || *packed < 0 || *offset < 0 ? damaged(err) : 0;
}

static int64_t
dos_time(unsigned date, unsigned clock)
{
	struct tm tm = { 0 };

	tm.tm_year = (int)(date >> 9) + 80;
	tm.tm_mon = (int)((date >> 5) & 15) - 1;
	tm.tm_mday = (int)(date & 31);
	tm.tm_hour = (int)(clock >> 11);
	tm.tm_min = (int)((clock >> 5) & 63);
	tm.tm_sec = (int)(clock & 31) * 2;
	tm.tm_isdst = -1;
	return mktime(&tm);
}

static int
begin_content(struct zip *z, int64_t offset, struct err *err)
{
	unsigned char local[30];

	if (z->streaming)
		(void)inflateEnd(&z->z);
	z->streaming = false;
	z->crc = 0;
	if (read_at(z, offset, local, sizeof(local), err) == -1)
		return -1;
	if (u32(local) != 0x04034b50)
		return damaged(err);
	z->pos = offset + 30 + u16(local + 26) + u16(local + 28);
	if (z->method == 8) {
		memset(&z->z, 0, sizeof(z->z));
		if (inflateInit2(&z->z, -15) != Z_OK)
			return err_set(err, ERR_INTERNAL, "cannot start to decompress");
		z->streaming = true;
	} else if (z->method != 0)
		return err_set(err, ERR_UNSUPPORTED, "'%s' in the archive is compressed by method %u, which is not supported",
		    z->name, z->method);
	return 0;
}

static ssize_t
zip_read(void *impl, void *to, size_t n, struct err *err)
{
	struct zip *z = impl;
	size_t k;
	int rc;

	if (z->left == 0 || n == 0)
		return 0;
	if ((int64_t)n > z->left)
		n = (size_t)z->left;
	if (z->method == 0) {
		if (read_at(z, z->pos, to, n, err) == -1)
			return -1;
		z->pos += (int64_t)n;
	} else {
		z->z.next_out = to;
		z->z.avail_out = (unsigned)n;
		while (z->z.avail_out == (unsigned)n) {
			if (z->z.avail_in == 0 && z->packed > 0) {
				k = z->packed < (int64_t)CHUNK ? (size_t)z->packed : CHUNK;
				if (read_at(z, z->pos, z->in, k, err) == -1)
					return -1;
				z->pos += (int64_t)k;
				z->packed -= (int64_t)k;
				z->z.next_in = z->in;
				z->z.avail_in = (unsigned)k;
			}
			rc = inflate(&z->z, Z_NO_FLUSH);
			if (rc == Z_STREAM_END)
				break;
			if (rc != Z_OK)
				return damaged(err);
		}
		n -= z->z.avail_out;
		if (n == 0)
			return damaged(err);	/* ended before its size */
	}
	z->crc = (uint32_t)crc32(z->crc, to, (unsigned)n);
	z->left -= (int64_t)n;
	if (z->left == 0 && z->crc != z->want_crc)
		return err_set(err, ERR_INVALID, "'%s' in the archive is damaged (wrong checksum)",
		    z->name);
	return (ssize_t)n;
}

/* A link's target is its content. */
static int
read_target(struct zip *z, struct member *m, struct err *err)
{
	size_t have = 0;
	ssize_t k;

	if (m->size > ARCHIVE_NAME_MAX)
		return damaged(err);
	while ((k = zip_read(z, z->target + have, ARCHIVE_NAME_MAX - have, err)) > 0)
		have += (size_t)k;
	z->target[have] = '\0';
	m->target = z->target;
	m->size = 0;
	return k == -1 ? -1 : 1;
}

static int
fill_member(struct zip *z, struct member *m, const unsigned char *h, size_t n)
{
	unsigned system = h[5];
	mode_t mode = (mode_t)(u32(h + 38) >> 16);

	m->name = z->name;
	m->type = n > 0 && z->name[n - 1] == '/' ? MEMBER_DIR : MEMBER_FILE;
	m->mtime = dos_time(u16(h + 14), u16(h + 12));
	if ((system == 3 || system == 19) && mode != 0) {
		m->has_mode = true;
		m->mode = mode & 0777;	/* as unzip: no set-id bits */
		if (S_ISLNK(mode))
			m->type = MEMBER_SYMLINK;
		else if (S_ISDIR(mode))
			m->type = MEMBER_DIR;
	}
	return 0;
}

static int
zip_next(void *impl, struct member *m, struct err *err)
{
	struct zip *z = impl;
	const unsigned char *h = z->dir + z->at;
	size_t nname, nextra, ncomment;
	int64_t offset, size;

	if (z->nleft == 0)
		return 0;
	if (z->ndir - z->at < 46 || u32(h) != 0x02014b50)
		return damaged(err);
	nname = u16(h + 28);
	nextra = u16(h + 30);
	ncomment = u16(h + 32);
	if (nname + nextra + ncomment > z->ndir - z->at - 46)
		return damaged(err);
	if (nname > ARCHIVE_NAME_MAX || memchr(h + 46, '\0', nname) != NULL)
		return err_set(err, ERR_INVALID, "the archive has a name that no file can have");
	memcpy(z->name, h + 46, nname);
	z->name[nname] = '\0';
	if (u16(h + 8) & 1)
		return err_set(err, ERR_UNSUPPORTED, "'%s' in the archive is encrypted", z->name);
	z->method = u16(h + 10);
	z->want_crc = u32(h + 16);
	z->packed = u32(h + 20);
	size = u32(h + 24);
	offset = u32(h + 42);
	if (extra_sizes(h + 46 + nname, nextra, &size, &z->packed, &offset, err) == -1)
		return -1;
	(void)fill_member(z, m, h, nname);
	z->at += 46 + nname + nextra + ncomment;
	z->nleft--;
	m->size = m->type == MEMBER_DIR ? 0 : size;
	z->left = m->size;
	if (begin_content(z, offset, err) == -1)
		return -1;
	return m->type == MEMBER_SYMLINK ? read_target(z, m, err) : 1;
}

const struct archive_ops zip_ops = { zip_next, zip_read, zip_close };
