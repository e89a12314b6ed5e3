/*
 * slurp: a small file's content, as base64 in the result.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/base64.h"
#include "module/fs.h"

/* A result must fit a frame of 32 MiB after base64 made it a third longer. */
#define SLURP_MAX	((size_t)20 * 1024 * 1024)

static const struct mod_arg slurp_args[] = {
	{ .name = "src", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "path", .doc = "The file, up to 20 MiB." },
	{ .name = NULL }
};

static int
slurp_run(struct mod *m)
{
	CLEANUP_BUF struct buf data = BUF_INIT, text = BUF_INIT;
	const char *src = mod_arg_path(m, "src");
	struct stat st;
	int rc;

	rc = fs_stat(m, src, &st);
	if (rc == -1)
		return -1;
	if (rc == 1)
		return mod_fail(m, "file not found: %s", src);
	if (S_ISDIR(st.st_mode))
		return mod_fail(m, "source is a directory and must be a file: %s",
		    src);
	if (st.st_size > (off_t)SLURP_MAX)
		return mod_fail(m, "%s is too large for slurp (%lld bytes, the limit is 20 MiB); fetch brings files of any size",
		    src, (long long)st.st_size);
	data.max = SLURP_MAX;
	text.max = SLURP_MAX * 2;
	rc = fs_read(m, src, &data);
	if (rc == -1)
		return -1;
	if (rc == 1)
		return mod_fail(m, "file not found: %s", src);
	base64_encode(&text, data.data, data.len);
	mod_set(m, "content", v_strn(m->arena, buf_str(&text), text.len));
	mod_set_str(m, "source", src);
	mod_set_str(m, "encoding", "base64");
	return 0;
}

const struct module slurp_module = {
	.name = "slurp", .collection = "ansible.builtin",
	.summary = "Reads a small file of the host into a variable.",
	.examples =
	    "- slurp:\n"
	    "    src: /etc/hostname\n"
	    "  register: name\n"
	    "- debug:\n"
	    "    msg: \"{{ name.content | b64decode }}\"\n",
	.returns = "content: the file in base64\nsource: its path\nencoding: base64\n",
	.args = slurp_args, .run = slurp_run,
};
