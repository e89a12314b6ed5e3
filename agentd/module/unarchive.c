/*
 * unarchive: tar (plain, gz, bz2, xz, zst) and zip archives, unpacked by our
 * own readers.
 *
 * Ansible runs the host's tar and unzip; bare servers have no unzip, xz or
 * zstd, and what GNU tar does with hostile names depends on its version.  The
 * price: of extra_opts only those below are known, others are an error.
 *
 * Changed means: something of the archive was missing below dest or differed in
 * content, kind, mode or owner.  Times are set but not compared.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/extract.h"
#include "module/http_args.h"

static const struct mod_arg unarchive_args[] = {
	{ .name = "src", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "The archive: of the controller, or with remote_src of the host or a URL." },
	{ .name = "dest", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "Existing directory to unpack into." },
	{ .name = "remote_src", .type = ARG_BOOL, .def = "false",
	    .doc = "src is on the host, or a URL." },
	{ .name = "copy", .type = ARG_BOOL,
	    .doc = "Old opposite of remote_src." },
	{ .name = "creates", .type = ARG_PATH,
	    .doc = "Nothing is done when this path exists." },
	{ .name = "list_files", .type = ARG_BOOL, .def = "false",
	    .doc = "Puts the names into the result." },
	{ .name = "include", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Only these members (names, directories, patterns)." },
	{ .name = "exclude", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Not these members." },
	{ .name = "keep_newer", .type = ARG_BOOL, .def = "false",
	    .doc = "Files that are newer than the archive's are left." },
	{ .name = "extra_opts", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Options as of tar: --strip-components=N, --exclude=X, --no-same-owner, --no-same-permissions, --numeric-owner, -m, --keep-newer-files …" },
	{ .name = "validate_certs", .type = ARG_BOOL, .def = "true",
	    .doc = "Checks the certificate of an https URL." },
	{ .name = "io_buffer_size", .type = ARG_BYTES, .flags = ARG_IGNORED,
	    .doc = "Buffer of Ansible's own reader." },
	{ .name = "decrypt", .type = ARG_BOOL, .def = "true",
	    .doc = "Decrypts vault files of the controller." },
	{ .name = NULL }
};

static const struct mod_rule unarchive_rules[] = {
	{ RULE_EXCLUSIVE, "include,exclude" }, { RULE_END, NULL }
};

/* ---- the archive -------------------------------------------------------- */

struct download {
	int	 fd;
};

static int
take(void *arg, const void *data, size_t n, struct err *err)
{
	const struct download *d = arg;
	const char *p = data;
	ssize_t k;

	while (n > 0) {
		k = write(d->fd, p, n);
		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return err_errno(err, "cannot keep what is downloaded");
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static void
restart(void *arg)
{
	const struct download *d = arg;

	if (ftruncate(d->fd, 0) == 0)
		(void)lseek(d->fd, 0, SEEK_SET);
}

static int
download(struct mod *m, const char *url, int fd)
{
	struct download d = { fd };
	struct http_request r = { .method = "GET", .url = url, .body_fd = -1,
		.follow = HTTP_FOLLOW_URLLIB2, .use_proxy = true,
		.verify = mod_arg_bool(m, "validate_certs"),
		.agent = "ansible-httpget", .timeout_ms = 10000,
		.take = take, .restart = restart, .arg = &d };
	struct http_response res = { 0 };
	struct err err = ERR_INIT;

	if (http_do(m, &r, &res, &err) != 0) {
		(void)err_wrap(&err, "cannot download %s", url);
		return mod_fail_err(m, &err);
	}
	if (res.status != 200)
		return mod_fail(m, "Failure downloading %s, HTTP Error %d: %s", url,
		    res.status, res.reason);
	return 0;
}

static const char *
temp_dir(void)
{
	return access("/var/tmp", W_OK) == 0 ? "/var/tmp" : NULL;
}

/* Opens the archive wherever it is; -1 after mod_fail, -2: missing in a check. */
static int
open_src(struct mod *m, const char *src, bool remote)
{
	struct mod_content e;
	struct stat st;
	int fd, rc;

	if (remote && strstr(src, "://") == NULL) {
		fd = open(src, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd == -1 && errno == ENOENT)
			return m->check ? -2 : mod_fail(m, "Source '%s' does not exist", src);
		if (fd == -1)
			return mod_fail_errno(m, "Source '%s' not readable", src);
		if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
			(void)close(fd);
			return mod_fail(m, "Source '%s' is no file", src);
		}
		return fd;
	}
	fd = http_temp_fd(m, temp_dir());
	if (fd == -1)
		return -1;
	if (remote)
		rc = download(m, src, fd);
	else if (mod_ncontent(m) != 1)
		rc = mod_fail(m, "the content of %s did not come along", src);
	else {
		e = mod_content(m, 0);
		rc = mod_content_fd(m, &e, fd);
	}
	if (rc == -1) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* ---- extra_opts --------------------------------------------------------- */

/* "--name=value", or "--name" with the value in the next element. */
static const char *
option_value(const char *opt, const char *name, const struct value *opts,
    uint32_t *i)
{
	size_t n = strlen(name);
	const struct value *next;

	if (strncmp(opt, name, n) != 0)
		return NULL;
	if (opt[n] == '=')
		return opt + n + 1;
	if (opt[n] == ' ')
		return opt + n + 1 + strspn(opt + n + 1, " ");
	if (opt[n] != '\0')
		return NULL;
	next = v_at(opts, *i + 1);
	if (next == NULL)
		return "";
	(*i)++;
	return next->u.s;
}

static int
option_strip(struct mod *m, struct extract *x, const char *value)
{
	unsigned long n;
	char *end;

	n = strtoul(value, &end, 10);
	if (end == value || *end != '\0' || n > 100)
		return mod_fail(m, "extra_opts: '%s' is no number of parts to strip",
		    value);
	x->strip = (unsigned)n;
	return 0;
}

/* Options without a value. */
static bool
option_flag(struct extract *x, const char *opt, bool zip)
{
	/* what we do anyway, or what only tells tar how to go about it */
	static const char *const nothing[] = { "--overwrite", "--gzip", "--gunzip",
		"--bzip2", "--xz", "--zstd", "--lzma", "-a", "--auto-compress", "-v",
		"--verbose", "--wildcards", "--no-wildcards", "-x", "--extract",
		"--get", "--overwrite-dir", "--warning=no-timestamp",
		"--warning=no-unknown-keyword", "--delay-directory-restore",
		"--no-acls", "--no-xattrs", "--no-selinux", "-q", "-qq", "-o",
		"--keep-directory-symlink", "--unlink-first", NULL };
	size_t i;

	if (zip && strcmp(opt, "-j") == 0)
		x->junk = true;
	else if (!zip && (strcmp(opt, "-z") == 0 || strcmp(opt, "-j") == 0 ||
	    strcmp(opt, "-J") == 0))
		;
	else if (strcmp(opt, "--no-same-owner") == 0 ||
	    (!zip && strcmp(opt, "-o") == 0))
		x->same_owner = false;
	else if (strcmp(opt, "--same-owner") == 0)
		x->same_owner = true;
	else if (strcmp(opt, "--no-same-permissions") == 0)
		x->same_mode = false;
	else if (strcmp(opt, "--same-permissions") == 0 ||
	    strcmp(opt, "--preserve-permissions") == 0 || strcmp(opt, "-p") == 0)
		x->same_mode = true;
	else if (strcmp(opt, "--numeric-owner") == 0)
		x->numeric = true;
	else if (strcmp(opt, "-m") == 0 || strcmp(opt, "--touch") == 0)
		x->touch = true;
	else if (strcmp(opt, "--keep-newer-files") == 0)
		x->keep_newer = true;
	else {
		for (i = 0; nothing[i] != NULL; i++)
			if (strcmp(opt, nothing[i]) == 0)
				return true;
		return false;
	}
	return true;
}

static int
options(struct mod *m, struct extract *x, bool zip)
{
	const struct value *opts = mod_arg(m, "extra_opts");
	struct value *exclude = v_list(m->arena);
	const char *opt, *value;
	uint32_t i;

	for (i = 0; x->exclude != NULL && i < v_count(x->exclude); i++)
		v_push(m->arena, exclude, v_at(x->exclude, i));
	for (i = 0; opts != NULL && i < v_count(opts); i++) {
		opt = v_at(opts, i)->u.s;
		if (*opt == '\0')
			continue;
		if ((value = option_value(opt, "--strip-components", opts, &i)) != NULL ||
		    (value = option_value(opt, "--strip", opts, &i)) != NULL) {
			if (option_strip(m, x, value) == -1)
				return -1;
		} else if ((value = option_value(opt, "--exclude", opts, &i)) != NULL)
			v_push(m->arena, exclude, v_str(m->arena, value));
		else if (!option_flag(x, opt, zip))
			return mod_fail(m, "extra_opts: option '%s' is not supported (known: --strip-components, --exclude, --no-same-owner, --same-owner, --no-same-permissions, --same-permissions, --numeric-owner, --touch, --keep-newer-files, --overwrite)",
			    opt);
	}
	if (v_count(exclude) > 0)
		x->exclude = exclude;
	return 0;
}

/* ---- the module --------------------------------------------------------- */

static int
unpack(struct mod *m, struct extract *x, int fd, const char *src)
{
	struct err err = ERR_INIT;
	struct archive *a;
	bool zip;
	int rc;

	a = archive_open(fd, &err);
	if (a == NULL) {
		(void)err_wrap(&err, "cannot unpack %s", src);
		return mod_fail_err(m, &err);
	}
	zip = strcmp(archive_kind(a), "ZipArchive") == 0;
	mod_set_str(m, "handler", archive_kind(a));
	x->include = mod_arg(m, "include");
	x->exclude = mod_arg(m, "exclude");
	x->keep_newer = mod_arg_bool(m, "keep_newer");
	x->same_owner = x->same_mode = geteuid() == 0;
	if (zip)
		x->same_mode = true;
	rc = options(m, x, zip);
	if (rc == 0)
		rc = extract_all(m, x, a);
	archive_close(a);
	return rc;
}

static int
predict(struct mod *m, const char *what)
{
	mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it",
	    what);
	(void)mod_change(m, mod_arg_path(m, "dest"), NULL, NULL);
	return 0;
}

static int
work(struct mod *m, const char *src, struct extract *x)
{
	CLEANUP_CLOSE int fd = -1;
	bool remote = mod_arg_bool(m, "remote_src");
	struct stat st;
	int rc;

	if (mod_has(m, "copy"))
		remote = !mod_arg_bool(m, "copy");
	if (!remote && strstr(src, "://") != NULL)
		return mod_fail(m, "src is a URL: the host fetches it itself only with `remote_src: true`");
	rc = fs_stat(m, x->dest, &st);
	if (rc == -1)
		return -1;
	if (rc == 1 && m->check)
		return predict(m, x->dest);
	if (rc == 1 || !S_ISDIR(st.st_mode))
		return mod_fail(m, "dest '%s' must be an existing dir", x->dest);
	fd = open_src(m, src, remote);
	if (fd == -2)
		return predict(m, src);
	if (fd < 0)
		return -1;
	x->destfd = open(x->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->destfd == -1)
		return mod_fail_errno(m, "cannot open %s", x->dest);
	return unpack(m, x, fd, src);
}

static int
unarchive_run(struct mod *m)
{
	struct extract x = { .dest = mod_arg_path(m, "dest"), .destfd = -1 };
	const char *src = mod_arg_path(m, "src");
	const char *creates = mod_arg_path(m, "creates");
	size_t n = strlen(x.dest);
	int rc;

	if (strstr(src, "://") != NULL)
		src = mod_arg_str(m, "src");
	while (n > 1 && x.dest[n - 1] == '/')
		n--;
	x.dest = arena_strndup(m->arena, x.dest, n);
	if (creates != NULL && access(creates, F_OK) == 0) {
		m->skipped = true;
		mod_set_str(m, "msg", arena_printf(m->arena,
		    "skipped, since %s exists", creates));
		return 0;
	}
	if (fs_attrs_get(m, &x.attrs) == -1)
		return -1;
	if (mod_arg_bool(m, "list_files"))
		x.files = v_list(m->arena);
	mod_set_str(m, "src", src);
	mod_set_str(m, "dest", x.dest);
	rc = work(m, src, &x);
	if (x.destfd != -1)
		(void)close(x.destfd);
	if (rc == -1)
		return -1;
	fs_result(m, x.dest);
	(void)v_dels(m->result, "path");
	if (x.files != NULL)
		mod_set(m, "files", x.files);
	return 0;
}

const struct module unarchive_module = {
	.name = "unarchive", .collection = "ansible.builtin",
	.summary = "Unpacks an archive: tar (gz, bz2, xz, zst) or zip.",
	.doc =
	    "Needs no tar or unzip on the host.  Nothing is ever written outside\n"
	    "dest: absolute names lose their slash, names with `..` and paths that\n"
	    "lead out through a link are refused.",
	.examples =
	    "- unarchive:\n"
	    "    src: https://example.com/app-1.2.tar.gz\n"
	    "    dest: /opt/app\n"
	    "    remote_src: true\n"
	    "    owner: app\n"
	    "    extra_opts: [--strip-components=1]\n"
	    "    creates: /opt/app/bin/app\n",
	.returns =
	    "dest: the directory\n"
	    "handler: kind of the archive (TgzArchive, ZipArchive …)\n"
	    "files: names in the archive, with list_files\n"
	    "mode, owner, group, uid, gid, size, state: of dest\n",
	.args = unarchive_args, .rules = unarchive_rules,
	.flags = MOD_FILE_ATTRS | MOD_CONTENT, .run = unarchive_run,
};
