/*
 * Sources: files and other texts that positions refer to.
 *
 * A file that starts with a vault header is decrypted here, so that everybody
 * who reads files (variables, tasks, templates, copied files) gets it the same
 * way; such a source is secret and its lines are never shown.  What every user
 * of the machine can change is not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/trust.h"
#include "yaml/files.h"
#include "yaml/yaml.h"

static const char vault_header[] = "$ANSIBLE_VAULT;";

static const struct source *
source_new(struct arena *arena, const char *path, const char *text, size_t len,
    bool secret)
{
	struct source *src = ARENA_NEW(arena, struct source);

	src->path = arena_strdup(arena, path);
	src->text = arena_strndup(arena, text, len);
	src->len = len;
	src->secret = secret;
	return src;
}

const struct source *
source_text(struct arena *arena, const char *path, const char *text, size_t len)
{
	return source_new(arena, path, text, len, false);
}

static int
read_file(struct buf *buf, const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if ((fd = open(file_at(path), O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1 ||
	    fstat(fd, &st) == -1)
		return err_errno(err, "cannot read '%s'", path);
	if (S_ISDIR(st.st_mode))
		return err_set(err, ERR_IO, "cannot read '%s': it is a directory",
		    path);
	files_note(path, &st);
	if (S_ISREG(st.st_mode) && st.st_size > (off_t)YAML_SIZE_MAX)
		errno = EFBIG;
	else if (buf_read_fd(buf, fd) == 0)
		return 0;
	if (errno == EFBIG)
		return err_set(err, ERR_LIMIT,
		    "'%s' is larger than %zu MiB, the most a file may have",
		    path, YAML_SIZE_MAX / (1024 * 1024));
	return err_errno(err, "cannot read '%s'", path);
}

const struct source *
source_read(struct arena *arena, const char *path, const struct yaml_opts *opts,
    struct err *err)
{
	CLEANUP_BUF struct buf in = BUF_INIT, out = BUF_INIT;
	const struct source *src;
	size_t n = sizeof(vault_header) - 1;

	buf_init(&in, YAML_SIZE_MAX);
	buf_init(&out, YAML_SIZE_MAX);
	if (path_trusted(file_at(path), err) == -1 || read_file(&in, path, err) == -1)
		return NULL;
	if (in.len < n || memcmp(in.data, vault_header, n) != 0)
		return source_new(arena, path, buf_str(&in), in.len, false);

	if (opts == NULL || opts->decrypt == NULL) {
		err_set(err, ERR_AUTH, "'%s' is encrypted with Ansible Vault, and "
		    "there is no password for it", path);
		err_hint(err, "give it by --vault-password-file FILE or --vault-id ID@FILE");
		return NULL;
	}
	if (opts->decrypt(opts->arg, buf_str(&in), in.len, &out, err) == -1) {
		err_wrap(err, "cannot decrypt '%s'", path);
		return NULL;
	}
	src = source_new(arena, path, buf_str(&out), out.len, true);
	if (out.data != NULL)
		explicit_bzero(out.data, out.len);
	return src;
}
