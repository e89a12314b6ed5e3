/*
 * tempfile: a new file or directory with a name nobody can guess.
 */
#include <sys/random.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/fs.h"
#include "module/keep.h"

#define TRIES	100

static const struct mod_arg tempfile_args[] = {
	{ .name = "state", .type = ARG_STR, .def = "file",
	    .choices = "directory,file", .doc = "What to make." },
	{ .name = "path", .type = ARG_PATH,
	    .doc = "Where; else $TMPDIR or /tmp." },
	{ .name = "prefix", .type = ARG_STR, .def = "ansible.",
	    .doc = "Beginning of the name." },
	{ .name = "suffix", .type = ARG_STR, .def = "",
	    .doc = "End of the name." },
	{ .name = NULL }
};

static int
random_name(struct mod *m, const char *dir, const char **ret)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	unsigned char r[8];
	char name[9];
	size_t i;

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return mod_fail_errno(m, "no random numbers");
	for (i = 0; i < sizeof(r); i++)
		name[i] = letters[r[i] % (sizeof(letters) - 1)];
	name[i] = '\0';
	*ret = arena_printf(m->arena, "%s/%s%s%s", dir,
	    mod_arg_str(m, "prefix"), name, mod_arg_str(m, "suffix"));
	return 0;
}

static int
make(struct mod *m, const char *path)
{
	int fd;

	if (mod_arg_is(m, "state", "directory"))
		return mkdir(path, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return -1;
	(void)close(fd);
	return 0;
}

static int
tempfile_run(struct mod *m)
{
	const char *dir = mod_arg_path(m, "path"), *path = "";
	struct fs_attrs attrs;
	int i;

	if (strchr(mod_arg_str(m, "prefix"), '/') != NULL ||
	    strchr(mod_arg_str(m, "suffix"), '/') != NULL)
		return mod_fail(m, "prefix and suffix must not hold a slash");
	if (fs_attrs_get(m, &attrs) == -1)
		return -1;
	if (dir == NULL && m->env != NULL)
		dir = v_get_str(m->env, "TMPDIR", NULL);
	if (dir == NULL)
		dir = getenv("TMPDIR");
	if (dir == NULL || *dir == '\0')
		dir = "/tmp";
	/* A check says a name, too: tasks behind it may go on with it. */
	if (random_name(m, dir, &path) == -1)
		return -1;
	mod_set_str(m, "path", path);
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (!mod_change(m, dir, NULL, v_strf(m->arena, "a new %s",
	    mod_arg_str(m, "state"))))
		return 0;
	for (i = 0; i < TRIES; i++) {
		if (random_name(m, dir, &path) == -1)
			return -1;
		if (keep_path(m, path) == -1)
			return -1;
		if (make(m, path) == 0)
			break;
		if (errno != EEXIST)
			return mod_fail_errno(m, "cannot make a temporary %s in %s",
			    mod_arg_str(m, "state"), dir);
	}
	if (i == TRIES)
		return mod_fail(m, "no free name found in %s", dir);
	if (fs_attrs_quiet(m, path, &attrs) == -1)
		return -1;
	fs_result(m, path);
	return 0;
}

const struct module tempfile_module = {
	.name = "tempfile", .collection = "ansible.builtin",
	.summary = "Makes a temporary file or directory.",
	.doc = "Nothing removes it: end with file, state: absent.",
	.examples =
	    "- tempfile:\n"
	    "    state: directory\n"
	    "    suffix: build\n"
	    "  register: build\n",
	.returns = "path: the new file or directory\n",
	.args = tempfile_args, .flags = MOD_FILE_ATTRS, .run = tempfile_run,
};
