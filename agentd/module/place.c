/*
 * One file from wherever its content is to dest; see place.h.
 *
 * The comparison is by size, then by SHA-256; only what differs travels.  For
 * a diff the new content is needed on the host even in a check run: it then
 * goes into an anonymous file in memory, up to DIFF_MAX.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/digest.h"
#include "module/hash.h"
#include "module/keep.h"
#include "module/place.h"

#define DIFF_MAX	((int64_t)1024 * 1024)
#define READ_CHUNK	((size_t)64 * 1024)

/* The new content, opened: what it is and where to read it. */
struct fresh {
	int64_t		 size;
	char		 sha256[SHA256_HEX];
	char		 sha1[HASH_HEX_MAX];	/* "" when not known */
	int		 fd;			/* of src or of fetched content, else -1 */
};

static int
digests_fd(int fd, char sha256[SHA256_HEX], char sha1[HASH_HEX_MAX])
{
	CLEANUP_FREE char *chunk = xmalloc(READ_CHUNK);
	unsigned char out[SHA256_LEN];
	struct sha256 s;
	struct hash h;
	ssize_t n;

	sha256_init(&s);
	hash_init(&h, HASH_SHA1);
	for (;;) {
		n = read(fd, chunk, READ_CHUNK);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		sha256_add(&s, chunk, (size_t)n);
		hash_add(&h, chunk, (size_t)n);
	}
	sha256_end(&s, out);
	sha256_hex(out, sha256);
	hash_end(&h, sha1);
	return 0;
}

static int
open_fresh(struct mod *m, const struct place *p, struct fresh *f)
{
	struct stat st;

	if (p->content != NULL) {
		f->size = p->content->size;
		if (strlen(p->content->sha256) != SHA256_HEX - 1)
			return mod_fail(m, "the content of %s came without its SHA-256",
			    p->dest);
		memcpy(f->sha256, p->content->sha256, SHA256_HEX);
		return 0;
	}
	if (p->src == NULL) {
		f->size = (int64_t)p->len;
		sha256_text(p->data, p->len, f->sha256);
		hash_text(HASH_SHA1, p->data, p->len, f->sha1);
		return 0;
	}
	f->fd = open(p->src, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd == -1) {
		if (errno == ENOENT)
			return mod_fail(m, "Source %s not found", p->src);
		return mod_fail_errno(m, "cannot read %s", p->src);
	}
	if (fstat(f->fd, &st) == -1 || !S_ISREG(st.st_mode))
		return mod_fail(m, "%s is not a regular file", p->src);
	f->size = st.st_size;
	if (digests_fd(f->fd, f->sha256, f->sha1) == -1)
		return mod_fail_errno(m, "cannot read %s", p->src);
	return 0;
}

/* Brings the controller's content here, for a diff. */
static int
fetch_content(struct mod *m, const struct place *p, struct fresh *f)
{
	if (p->content == NULL || !m->diff || m->no_log || p->secret ||
	    f->size > DIFF_MAX)
		return 0;
	f->fd = fs_anonymous(m);
	if (f->fd == -1)
		return -1;
	return mod_content_fd(m, p->content, f->fd);
}

/* The bytes for a diff; a stand-in (NULL, *ret_text) when they are too many. */
static int
read_for_diff(struct mod *m, int fd, int64_t size, struct buf *b,
    const char *path)
{
	if (size > DIFF_MAX)
		return 0;
	b->max = (size_t)DIFF_MAX * 2;
	if (lseek(fd, 0, SEEK_SET) == -1 || buf_read_fd(b, fd) == -1)
		return mod_fail_errno(m, "cannot read %s", path);
	return 0;
}

static void
add_text(struct buf *b, int64_t size, const char *sha256)
{
	buf_addf(b, "(file of %lld bytes, sha256 %s)\n", (long long)size, sha256);
}

/* Asks the guard with as much of both contents as a diff may show. */
static int
ask(struct mod *m, const struct place *p, const struct fresh *f, int old_fd,
    const struct stat *old, bool *ret_go)
{
	CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT;
	char sha256[SHA256_HEX];

	if (p->secret || !m->diff || m->no_log) {
		*ret_go = mod_change(m, p->dest, NULL, p->secret ?
		    v_str(m->arena, "(secret)") : NULL);
		return 0;
	}
	if (old_fd != -1) {
		if (read_for_diff(m, old_fd, old->st_size, &before, p->dest) == -1)
			return -1;
		if (old->st_size > DIFF_MAX) {
			if (lseek(old_fd, 0, SEEK_SET) == -1 ||
			    sha256_fd(old_fd, sha256) == -1)
				return mod_fail_errno(m, "cannot read %s", p->dest);
			add_text(&before, old->st_size, sha256);
		}
	}
	if (f->size > DIFF_MAX)
		add_text(&after, f->size, f->sha256);
	else if (f->fd != -1) {
		if (read_for_diff(m, f->fd, f->size, &after, p->dest) == -1)
			return -1;
	} else
		buf_add(&after, p->data, p->len);
	*ret_go = mod_change_text(m, p->dest, old_fd == -1 ? NULL :
	    buf_str(&before), before.len, buf_str(&after), after.len);
	return 0;
}

/* Whether the old file holds the new content already. */
static int
same_content(struct mod *m, const struct place *p, struct fresh *f, int old_fd,
    const struct stat *old, bool *ret)
{
	char sha256[SHA256_HEX], sha1[HASH_HEX_MAX];

	*ret = false;
	if (old->st_size != f->size)
		return 0;
	if (digests_fd(old_fd, sha256, sha1) == -1)
		return mod_fail_errno(m, "cannot read %s", p->dest);
	*ret = strcmp(sha256, f->sha256) == 0;
	if (*ret)
		memcpy(f->sha1, sha1, sizeof(sha1));
	return 0;
}

static void
set_result(struct mod *m, const struct place *p, const struct fresh *f)
{
	char hex[HASH_HEX_MAX];
	struct value *path;

	if (!p->result)
		return;
	fs_result(m, p->dest);
	path = v_str(m->arena, "path");
	(void)v_del(m->result, path);
	mod_set_str(m, "dest", p->dest);
	if (f->sha1[0] != '\0')
		mod_set_str(m, "checksum", f->sha1);
	else if (hash_file(p->dest, HASH_SHA1, hex) == 0 && !m->check)
		mod_set_str(m, "checksum", hex);
	if (m->changed && !m->check && hash_file(p->dest, HASH_MD5, hex) == 0)
		mod_set_str(m, "md5sum", hex);
}

/* The attributes with `preserve` made a number. */
static struct fs_attrs
final_attrs(struct mod *m, const struct place *p)
{
	struct fs_attrs a = { .uid = (uid_t)-1, .gid = (gid_t)-1 };

	if (p->attrs != NULL)
		a = *p->attrs;
	if (a.mode != NULL && strcmp(a.mode, "preserve") == 0)
		a.mode = arena_printf(m->arena, "%04o",
		    (unsigned)(p->src_mode & 07777));
	return a;
}

static int
replace(struct mod *m, const struct place *p, const struct fresh *f,
    const struct fs_attrs *attrs)
{
	struct fs_replace r = { .path = p->dest, .data = p->data, .len = p->len,
		.fd = f->fd, .validate = p->validate, .backup = p->backup,
		.attrs = attrs };

	if (f->fd != -1)
		r.data = NULL;
	else if (p->content != NULL)
		r.content = p->content;
	return fs_replace(m, &r);
}

/* Without the directory there is nothing to write to, except in a check. */
static int
need_parent(struct mod *m, const char *dest)
{
	const char *slash = strrchr(dest, '/'), *dir;
	struct stat st;

	if (slash == NULL || slash == dest)
		return 0;
	dir = arena_strndup(m->arena, dest, (size_t)(slash - dest));
	if (stat(dir, &st) == -1) {
		if (m->check && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		if (errno == ENOENT)
			return mod_fail(m, "Destination directory %s does not exist",
			    dir);
		return mod_fail_errno(m, "cannot look at %s", dir);
	}
	if (!S_ISDIR(st.st_mode))
		return mod_fail(m, "%s is not a directory", dir);
	return 0;
}

static int
place(struct mod *m, const struct place *p, struct fresh *f, int *old_fd)
{
	const struct fs_attrs attrs = final_attrs(m, p);
	bool same = false, go = false;
	struct stat st;
	int rc;

	if (p->validate != NULL && strstr(p->validate, "%s") == NULL)
		return mod_fail(m, "validate must contain %%s, the place of the file: %s",
		    p->validate);
	rc = fs_lstat(m, p->dest, &st);
	if (rc == -1)
		return -1;
	if (rc == 0 && S_ISDIR(st.st_mode))
		return mod_fail(m, "%s is a directory", p->dest);
	if (rc == 0 && p->no_force) {
		mod_set_str(m, "msg", "file already exists");
		return 0;
	}
	if (rc == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return mod_fail(m, "%s is not a regular file: refusing to replace it",
		    p->dest);
	if (rc == 1 && need_parent(m, p->dest) == -1)
		return -1;
	if (open_fresh(m, p, f) == -1)
		return -1;
	if (rc == 0 && S_ISREG(st.st_mode)) {
		*old_fd = open(p->dest, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
		    O_NONBLOCK);
		if (*old_fd == -1)
			return mod_fail_errno(m, "cannot read %s", p->dest);
		if (same_content(m, p, f, *old_fd, &st, &same) == -1)
			return -1;
	}
	if (same)
		return fs_attrs_apply(m, p->dest, &attrs, false);
	if (fetch_content(m, p, f) == -1 ||
	    ask(m, p, f, *old_fd, &st, &go) == -1)
		return -1;
	return go ? replace(m, p, f, &attrs) : 0;
}

int
place_file(struct mod *m, const struct place *orig)
{
	CLEANUP_CLOSE int old_fd = -1;
	struct fresh f = { .fd = -1 };
	struct place p = *orig;
	int rc;

	if (p.follow) {
		p.dest = fs_resolve(m, p.dest);
		if (p.dest == NULL)
			return -1;
	}
	rc = place(m, &p, &f, &old_fd);
	if (f.fd != -1)
		(void)close(f.fd);
	if (rc == 0)
		set_result(m, &p, &f);
	return rc;
}

/* In a check run: whether a directory has been predicted before; now it is. */
static bool
predicted(struct mod *m, const char *path)
{
	if (!m->check)
		return false;
	if (m->predicted == NULL)
		m->predicted = v_map(m->arena);
	if (v_gets(m->predicted, path) != NULL)
		return true;
	v_sets(m->arena, m->predicted, path, &v_true);
	return false;
}

int
place_dirs(struct mod *m, const char *path, const struct fs_attrs *attrs)
{
	char *copy = arena_strdup(m->arena, path), *slash = copy;
	struct value *before, *after;
	struct stat st;
	bool last;

	for (;;) {
		slash += strspn(slash, "/");
		if (*slash == '\0')
			return 0;
		slash += strcspn(slash, "/");
		last = slash[strspn(slash, "/")] == '\0';
		*slash = '\0';
		if (stat(copy, &st) == -1) {
			if (errno != ENOENT && errno != ENOTDIR)
				return mod_fail_errno(m, "cannot look at %s", copy);
			if (predicted(m, copy))
				goto next;
			before = v_map(m->arena);
			after = v_map(m->arena);
			v_set_str(m->arena, before, "state", "absent");
			v_set_str(m->arena, after, "state", "directory");
			if (mod_change(m, copy, before, after)) {
				if (keep_path(m, copy) == -1)
					return -1;
				if (mkdir(copy, 0777) == -1 && errno != EEXIST)
					return mod_fail_errno(m,
					    "cannot make directory %s", copy);
				if (attrs != NULL &&
				    fs_attrs_quiet(m, copy, attrs) == -1)
					return -1;
			}
		} else if (!S_ISDIR(st.st_mode))
			return mod_fail(m, "%s is not a directory", copy);
next:
		if (last)
			return 0;
		*slash = '/';
	}
}

const char *
place_dest(struct mod *m, const char *dest, const char *name,
    const char **ret_dir)
{
	const char *slash = strrchr(name, '/');
	size_t n = strlen(dest);
	struct stat st;

	*ret_dir = NULL;
	if (slash != NULL)
		name = slash + 1;
	if (n > 0 && dest[n - 1] == '/') {
		while (n > 1 && dest[n - 1] == '/')
			n--;
		*ret_dir = arena_strndup(m->arena, dest, n);
		return arena_printf(m->arena, "%s%s%s", *ret_dir,
		    n == 1 ? "" : "/", name);
	}
	if (stat(dest, &st) == 0 && S_ISDIR(st.st_mode))
		return arena_printf(m->arena, "%s/%s", dest, name);
	return dest;
}
