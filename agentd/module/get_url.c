/*
 * get_url: downloads a file.
 *
 * With a checksum an existing file that has it is never fetched again;
 * without one the server is asked whether it is newer (If-Modified-Since),
 * unless force says so.  What comes is written to a file without a name,
 * compared, verified, and only then put into place.  A check run downloads,
 * too: there is no other way to know.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "module/fs.h"
#include "module/hash.h"
#include "module/http_args.h"

#define SUMS_MAX	((size_t)8 * 1024 * 1024)	/* a file of checksums */

struct want {
	bool		 given;
	enum hash_kind	 kind;
	const char	*hex;		/* in small letters */
	const char	*name;		/* of the algorithm */
};

struct download {
	struct http_request	 r;
	struct http_response	 res;
	int			 fd;
};

static int
take(void *arg, const void *data, size_t len, struct err *err)
{
	const struct download *d = arg;
	const char *p = data;
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(d->fd, p, len)) < 0)
			return err_errno(err, "cannot write what is downloaded");
	return 0;
}

static void
restart(void *arg)
{
	const struct download *d = arg;

	(void)!ftruncate(d->fd, 0);
	(void)lseek(d->fd, 0, SEEK_SET);
}

/* ---- checksums ----------------------------------------------------------------- */

static bool
is_hex(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

static const char *
lower_hex(struct mod *m, const char *s)
{
	char *out = arena_strdup(m->arena, s), *p;

	for (p = out; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	return out;
}

static int
take_text(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_overflowed(b) ? err_set(err, ERR_LIMIT,
	    "the file of checksums is too long") : 0;
}

static void
restart_text(void *arg)
{
	buf_clear(arg);
}

/*
 * The checksum of a file in a list of them: "HEX  NAME", "HEX *NAME",
 * "HEX ./NAME" or "NAME: HEX"; a list with one bare checksum is of our file.
 */
static const char *
find_sum(struct mod *m, char *text, const char *file)
{
	char *line, *word, *hex, *name;
	const char *only = NULL;
	size_t lines = 0;

	while ((line = strsep(&text, "\n")) != NULL) {
		line += strspn(line, " \t");
		line[strcspn(line, "\r")] = '\0';
		if (*line == '\0')
			continue;
		lines++;
		word = line + strcspn(line, " \t");
		name = word + strspn(word, " \t*");
		if (*word == '\0') {
			if (is_hex(line))
				only = line;
			continue;
		}
		*word = '\0';
		hex = line;
		if (!is_hex(hex)) {	/* "NAME: HEX" */
			hex = name;
			name = line;
			name[strcspn(name, ":")] = '\0';
		}
		if (strncmp(name, "./", 2) == 0)
			name += 2;
		if (strcmp(name, file) == 0 && is_hex(hex))
			return lower_hex(m, hex);
	}
	return lines == 1 && only != NULL ? lower_hex(m, only) : NULL;
}

static int
fetch_sum(struct mod *m, const struct http_request *r, const char *url,
    struct want *w)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	struct http_request q = *r;
	struct http_response res;
	struct url u;
	const char *file;

	text.max = SUMS_MAX;
	q.url = url;
	q.take = take_text;
	q.restart = restart_text;
	q.arg = &text;
	q.if_modified_since = 0;
	if (http_do(m, &q, &res, &err) != 0)
		return mod_fail_err(m, &err);
	if (res.status != 200)
		return mod_fail(m, "Unable to download checksum file %s: HTTP Error "
		    "%d: %s", url, res.status, res.reason);
	if (url_parse(m->arena, r->url, &u, &err) != 0)
		return mod_fail_err(m, &err);
	file = url_basename(m->arena, &u);
	w->hex = find_sum(m, buf_dup(&text, m->arena), file != NULL ? file : "");
	if (w->hex == NULL)
		return mod_fail(m, "Unable to find a checksum for file '%s' in '%s'",
		    file != NULL ? file : "", url);
	return 0;
}

/* checksum: ALGORITHM:HEX or ALGORITHM:URL; sha256sum: HEX. */
static int
wanted_sum(struct mod *m, const struct http_request *r, struct want *w)
{
	static const size_t lengths[] = {
		[HASH_MD5] = 32, [HASH_SHA1] = 40, [HASH_SHA224] = 56,
		[HASH_SHA256] = 64, [HASH_SHA384] = 96, [HASH_SHA512] = 128,
	};
	const char *text = mod_arg_str(m, "checksum"), *colon, *rest;
	const char *old = mod_arg_str(m, "sha256sum");

	if ((text == NULL || *text == '\0') && old != NULL && *old != '\0')
		text = arena_printf(m->arena, "sha256:%s", old);
	if (text == NULL || *text == '\0')
		return 0;
	if ((colon = strchr(text, ':')) == NULL)
		return mod_fail(m, "The checksum parameter has to be in format "
		    "<algorithm>:<checksum>");
	w->name = arena_strndup(m->arena, text, (size_t)(colon - text));
	for (rest = colon + 1; *rest == ' '; rest++)
		;
	if (!hash_find(w->name, &w->kind))
		return mod_fail(m, "checksum: the algorithm '%s' is not known (md5, "
		    "sha1, sha224, sha256, sha384, sha512)", w->name);
	w->given = true;
	if (strstr(rest, "://") != NULL) {
		if (fetch_sum(m, r, rest, w) != 0)
			return -1;
	} else
		w->hex = lower_hex(m, rest);
	if (!is_hex(w->hex) || strlen(w->hex) != lengths[w->kind])
		return mod_fail(m, "checksum: '%s' is no %s checksum", w->hex, w->name);
	return 0;
}

/* ---- downloading -------------------------------------------------------------------- */

/* file:///path */
static int
copy_local(struct mod *m, struct download *d, const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return mod_fail_errno(m, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return mod_fail(m, "%s is no regular file", path);
	d->res.status = 200;
	d->res.reason = "OK";
	d->res.url = d->r.url;
	return fs_copy_fd(m, fd, d->fd, path);
}

static int
download(struct mod *m, struct download *d)
{
	struct err err = ERR_INIT;
	struct url u;

	if (url_parse(m->arena, d->r.url, &u, &err) != 0)
		return mod_fail_err(m, &err);
	if (strcmp(u.scheme, "file") == 0)
		return copy_local(m, d, u.target);
	if (http_do(m, &d->r, &d->res, &err) != 0) {
		mod_set_int(m, "status_code", -1);
		mod_set_int(m, "elapsed", d->res.elapsed_ms / 1000);
		(void)mod_fail(m, "Connection failure: %s", err.msg);
		err_release(&err);
		return -1;
	}
	mod_set_int(m, "status_code", d->res.status);
	mod_set_int(m, "elapsed", d->res.elapsed_ms / 1000);
	if (d->res.status == 304 && d->r.if_modified_since != 0)
		return 0;
	if (d->res.status != 200) {
		mod_set(m, "response", v_strf(m->arena, "HTTP Error %d: %s",
		    d->res.status, d->res.reason));
		return mod_fail(m, "Request failed: HTTP Error %d: %s", d->res.status,
		    d->res.reason);
	}
	return 0;
}

/* ---- the name -------------------------------------------------------------------------- */

/* filename of Content-Disposition, as a bare name. */
static const char *
disposition_name(struct mod *m, const struct http_response *res)
{
	const char *s = http_response_header(res, "content-disposition"), *p;
	char *name;

	if (s == NULL || (p = strcasestr(s, "filename=")) == NULL)
		return NULL;
	p += 9;
	if (*p == '"')
		name = arena_strndup(m->arena, p + 1, strcspn(p + 1, "\""));
	else
		name = arena_strndup(m->arena, p, strcspn(p, "; \t"));
	if (strrchr(name, '/') != NULL)
		name = strrchr(name, '/') + 1;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	return name;
}

static const char *
file_in(struct mod *m, const char *dir, const struct http_response *res)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *name = disposition_name(m, res);
	struct url u;

	if (name == NULL && url_parse(m->arena, res->url, &u, &err) == 0)
		name = strcmp(u.scheme, "file") == 0 ? strrchr(u.target, '/') + 1 :
		    url_basename(m->arena, &u);
	return arena_printf(m->arena, "%s%s%s", dir,
	    dir[strlen(dir) - 1] == '/' ? "" : "/",
	    name != NULL && *name != '\0' ? name : "index.html");
}

/* ---- putting it into place ---------------------------------------------------------------- */

static int
verify(struct mod *m, const struct want *w, int fd, const char *dest)
{
	char hex[HASH_HEX_MAX];

	if (!w->given)
		return 0;
	(void)lseek(fd, 0, SEEK_SET);
	if (hash_fd(fd, w->kind, hex) != 0)
		return mod_fail_errno(m, "cannot read the download back");
	if (strcmp(hex, w->hex) != 0)
		return mod_fail(m, "The checksum for %s did not match %s; it was %s.",
		    dest, w->hex, hex);
	return 0;
}

static int
put(struct mod *m, const struct download *d, const char *dest)
{
	struct fs_attrs attrs;
	struct fs_replace r = {
		.path = dest, .fd = d->fd, .attrs = &attrs,
		.backup = mod_arg_bool(m, "backup"),
	};
	char got[HASH_HEX_MAX], had[HASH_HEX_MAX] = "";
	struct value *before = NULL, *after = v_map(m->arena);
	bool exists;

	if (fs_attrs_get(m, &attrs) != 0)
		return -1;
	(void)lseek(d->fd, 0, SEEK_SET);
	if (hash_fd(d->fd, HASH_SHA1, got) != 0)
		return mod_fail_errno(m, "cannot read the download back");
	exists = hash_file(dest, HASH_SHA1, had) == 0;
	mod_set_str(m, "checksum_src", got);
	if (exists)
		mod_set_str(m, "checksum_dest", had);
	else
		mod_set(m, "checksum_dest", &v_null);
	v_set_str(m->arena, after, "checksum", got);
	if (exists) {
		before = v_map(m->arena);
		v_set_str(m->arena, before, "checksum", had);
	}
	if (!exists || strcmp(got, had) != 0) {
		if (mod_change(m, dest, before, after)) {
			(void)lseek(d->fd, 0, SEEK_SET);
			if (fs_replace(m, &r) != 0)
				return -1;
		}
	}
	return fs_attrs_apply(m, dest, &attrs, true);
}

/* The file is there already: only its attributes are looked after. */
static int
keep(struct mod *m, const char *dest, const char *msg)
{
	struct fs_attrs attrs;

	if (fs_attrs_get(m, &attrs) != 0 ||
	    fs_attrs_apply(m, dest, &attrs, true) != 0)
		return -1;
	mod_set_str(m, "msg", msg);
	fs_result(m, dest);
	return 0;
}

static int
run(struct mod *m, struct download *d, const char *dest)
{
	struct want want = { .given = false };
	bool force = mod_arg_bool(m, "force");
	struct stat st;
	bool exists = stat(dest, &st) == 0, dir = exists && S_ISDIR(st.st_mode);
	char hex[HASH_HEX_MAX];

	if (wanted_sum(m, &d->r, &want) != 0)
		return -1;
	if (exists && !dir && !force && want.given) {
		if (hash_file(dest, want.kind, hex) != 0)
			return mod_fail_errno(m, "cannot read %s", dest);
		if (strcmp(hex, want.hex) == 0)
			return keep(m, dest, "file already exists");
	} else if (exists && !dir && !force)
		d->r.if_modified_since = st.st_mtime;
	if ((d->fd = http_temp_fd(m, mod_arg_path(m, "tmp_dest"))) < 0 ||
	    download(m, d) != 0)
		return -1;
	if (d->res.status == 304)
		return keep(m, dest, "HTTP Error 304: Not Modified");
	if (dir || dest[strlen(dest) - 1] == '/')
		dest = file_in(m, dest, &d->res);
	mod_set_str(m, "dest", dest);
	if (verify(m, &want, d->fd, dest) != 0 || put(m, d, dest) != 0)
		return -1;
	mod_set(m, "msg", v_strf(m->arena, "%s (%s bytes)", d->res.reason,
	    http_response_header(&d->res, "content-length") != NULL ?
	    http_response_header(&d->res, "content-length") : "unknown"));
	fs_result(m, dest);
	return 0;
}

static int
get_url_run(struct mod *m)
{
	struct download d = { .fd = -1 };
	const char *dest = mod_arg_path(m, "dest");
	int rc;

	if (http_args_get(m, &d.r) != 0)
		return -1;
	d.r.timeout_ms = (int)mod_arg_int(m, "timeout", 10) * 1000;
	if (d.r.timeout_ms <= 0)
		return mod_fail(m, "timeout must be at least 1 second");
	if (*dest == '\0')
		return mod_fail(m, "dest is empty");
	d.r.take = take;
	d.r.restart = restart;
	d.r.arg = &d;
	mod_set_str(m, "url", d.r.url);
	mod_set_str(m, "dest", dest);
	rc = run(m, &d, dest);
	if (d.fd >= 0)
		(void)close(d.fd);
	return rc;
}

static const struct mod_arg get_url_args[] = {
	HTTP_ARGS,
	{ .name = "dest", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "Where the file goes; a directory takes the name from the server or the URL." },
	{ .name = "checksum", .type = ARG_STR, .def = "",
	    .doc = "ALGORITHM:HEX, or ALGORITHM:URL of a list of checksums." },
	{ .name = "sha256sum", .type = ARG_STR, .flags = ARG_DEPRECATED,
	    .doc = "Old way to write checksum: sha256:HEX." },
	{ .name = "backup", .type = ARG_BOOL, .def = "false",
	    .doc = "Keeps the replaced file under a name with the time." },
	{ .name = "tmp_dest", .type = ARG_PATH,
	    .doc = "Directory for the download until it is complete." },
	{ .name = "timeout", .type = ARG_INT, .def = "10",
	    .doc = "Seconds to wait for each step of the exchange." },
	{ .name = NULL }
};

const struct module get_url_module = {
	.name = "get_url", .collection = "ansible.builtin",
	.summary = "Downloads a file by http, https or from file://.",
	.doc =
	    "Give a checksum: then the file is fetched once and a wrong one is\n"
	    "never put into place.",
	.examples =
	    "- get_url:\n"
	    "    url: https://example.org/tool.tar.gz\n"
	    "    dest: /usr/local/src/tool.tar.gz\n"
	    "    checksum: sha256:https://example.org/SHA256SUMS\n"
	    "    mode: '0644'\n",
	.returns =
	    "dest: path of the file\n"
	    "url: where it came from\n"
	    "checksum_src, checksum_dest: SHA-1 of the download and of the file before\n"
	    "status_code, elapsed, msg\n"
	    "backup_file: name of the kept old file\n"
	    "mode, owner, group, uid, gid, size, state: of the file\n",
	.args = get_url_args, .flags = MOD_FILE_ATTRS | MOD_FAR, .run = get_url_run,
};
