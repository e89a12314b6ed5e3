/*
 * fetch: a file of the host to the controller.
 *
 * The executor's half: the bytes go out as DATA frames before the result,
 * which tells size and digests; the engine writes the file, verifies SHA-256
 * and decides what changed on its side.  In a check run nothing is sent, the
 * digests are enough to tell.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/frame.h"
#include "module/fs.h"
#include "module/hash.h"

static const struct mod_arg fetch_args[] = {
	{ .name = "src", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "The file of the host." },
	{ .name = "dest", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "Directory of the controller: the file goes to dest/HOST/src; with flat the file itself." },
	{ .name = "flat", .type = ARG_BOOL, .def = "false",
	    .doc = "dest is the file itself (a directory with a final slash)." },
	{ .name = "fail_on_missing", .type = ARG_BOOL, .def = "true",
	    .doc = "A missing file is a failure." },
	{ .name = "validate_checksum", .type = ARG_BOOL, .def = "true",
	    .doc = "Compares checksums after the transfer." },
	{ .name = NULL }
};

/* Cannot be read: a failure, or a remark with fail_on_missing: no. */
static int
unreadable(struct mod *m, const char *msg)
{
	if (mod_arg_bool(m, "fail_on_missing"))
		return mod_fail(m, "%s", msg);
	mod_set_str(m, "msg", arena_printf(m->arena, "%s, ignored", msg));
	return 0;
}

/* Reads once: digests, and the bytes out where wanted. */
static int
send_file(struct mod *m, int fd, const char *src)
{
	CLEANUP_FREE char *chunk = xmalloc(FRAME_CHUNK);
	char sha1[HASH_HEX_MAX], sha256[HASH_HEX_MAX];
	struct err err = ERR_INIT;
	struct hash h1, h256;
	int64_t total = 0;
	ssize_t n;

	hash_init(&h1, HASH_SHA1);
	hash_init(&h256, HASH_SHA256);
	for (;;) {
		if (mod_cancelled(m))
			return mod_fail(m, "cancelled");
		n = read(fd, chunk, FRAME_CHUNK);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return mod_fail_errno(m, "cannot read %s", src);
		if (n == 0)
			break;
		hash_add(&h1, chunk, (size_t)n);
		hash_add(&h256, chunk, (size_t)n);
		total += n;
		if (!m->check && m->io->data(m->io->arg, chunk, (size_t)n,
		    &err) == -1)
			return mod_fail_err(m, &err);
	}
	hash_end(&h1, sha1);
	hash_end(&h256, sha256);
	mod_set_str(m, "checksum", sha1);
	mod_set_str(m, "remote_checksum", sha1);
	mod_set_str(m, "sha256", sha256);
	mod_set_int(m, "size", total);
	return 0;
}

static int
fetch_run(struct mod *m)
{
	CLEANUP_CLOSE int fd = -1;
	const char *src = mod_arg_path(m, "src");
	struct stat st;

	mod_set_str(m, "file", src);
	if (!m->check && (m->io == NULL || m->io->data == NULL))
		return mod_fail(m, "files cannot be sent from here");
	fd = open(src, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		if (errno == ENOENT || errno == ENOTDIR)
			return unreadable(m, "the remote file does not exist, not transferring");
		if (errno == EACCES)
			return unreadable(m, "the remote file is not readable, not transferring");
		return mod_fail_errno(m, "cannot read %s", src);
	}
	if (fstat(fd, &st) == -1)
		return mod_fail_errno(m, "cannot look at %s", src);
	if (S_ISDIR(st.st_mode))
		return unreadable(m, "remote file is a directory, fetch cannot work on directories");
	if (!S_ISREG(st.st_mode))
		return mod_fail(m, "%s is not a regular file", src);
	return send_file(m, fd, src);
}

const struct module fetch_module = {
	.name = "fetch", .collection = "ansible.builtin",
	.summary = "Brings a file of the host to the controller.",
	.examples =
	    "- fetch:\n"
	    "    src: /etc/ssh/ssh_host_ed25519_key.pub\n"
	    "    dest: fetched/\n",
	.returns =
	    "dest: the file on the controller\n"
	    "checksum: its SHA-1\n"
	    "file: path on the host\n",
	.args = fetch_args, .run = fetch_run,
};
