/*
 * assemble: one file from fragments in a directory, in the order of their
 * names.  The fragments are on the host, or (remote_src: no) on the controller.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/place.h"
#include "module/re.h"

static const struct mod_arg assemble_args[] = {
	{ .name = "src", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "Directory of the fragments." },
	{ .name = "dest", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "The file." },
	{ .name = "backup", .type = ARG_BOOL, .def = "false",
	    .doc = "Keeps the replaced file under a name with the time." },
	{ .name = "delimiter", .type = ARG_STR,
	    .doc = "Line between the fragments." },
	{ .name = "remote_src", .type = ARG_BOOL, .def = "true",
	    .doc = "No: src is on the controller." },
	{ .name = "regexp", .type = ARG_STR,
	    .doc = "Only fragments with such names." },
	{ .name = "ignore_hidden", .type = ARG_BOOL, .def = "false",
	    .doc = "Leaves out names that begin with a dot." },
	{ .name = "validate", .type = ARG_STR,
	    .doc = "Command that checks the new file (%s) before it replaces the old one." },
	{ .name = "decrypt", .type = ARG_BOOL, .def = "true",
	    .doc = "Decrypts vault files of the controller." },
	{ .name = NULL }
};

struct assembling {
	struct re	*re;
	struct buf	 text;
	bool		 any;
	bool		 newline_due;	/* the last fragment did not end its line */
};

static int
wanted(struct mod *m, struct assembling *a, const char *name)
{
	if (mod_arg_bool(m, "ignore_hidden") && *name == '.')
		return 0;
	if (a->re == NULL)
		return 1;
	return re_search(m, a->re, name, strlen(name), 0, NULL);
}

/* The delimiter with its escapes (\n) read. */
static const char *
delimiter(struct mod *m)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s = mod_arg_str(m, "delimiter");

	if (s == NULL)
		return NULL;
	for (; *s != '\0'; s++) {
		if (*s == '\\' && (s[1] == 'n' || s[1] == 't' || s[1] == '\\')) {
			s++;
			buf_addc(&b, *s == 'n' ? '\n' : *s == 't' ? '\t' : '\\');
		} else
			buf_addc(&b, *s);
	}
	return buf_dup(&b, m->arena);
}

static void
add(struct mod *m, struct assembling *a, const struct buf *fragment)
{
	const char *delim = delimiter(m);
	size_t n;

	if (a->newline_due)
		buf_addc(&a->text, '\n');
	if (a->any && delim != NULL) {
		n = strlen(delim);
		buf_add(&a->text, delim, n);
		if (n > 0 && delim[n - 1] != '\n')
			buf_addc(&a->text, '\n');
	}
	buf_add(&a->text, fragment->data, fragment->len);
	a->any = true;
	a->newline_due = fragment->len == 0 ||
	    fragment->data[fragment->len - 1] != '\n';
}

static int
host_fragment(struct mod *m, const struct fs_entry *e, void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct assembling *a = arg;
	int rc;

	if (!S_ISREG(e->st.st_mode))
		return 1;
	rc = wanted(m, a, e->name);
	if (rc != 1)
		return rc;
	if (fs_read(m, e->path, &b) == -1)
		return -1;
	add(m, a, &b);
	return 0;
}

static int
controller_fragments(struct mod *m, struct assembling *a)
{
	struct mod_content e;
	uint32_t i;
	int rc, fd;

	for (i = 0; i < mod_ncontent(m); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;

		e = mod_content(m, i);
		if (strcmp(e.type, "file") != 0 || strchr(e.path, '/') != NULL)
			continue;
		rc = wanted(m, a, e.path);
		if (rc == -1)
			return -1;
		if (rc == 0)
			continue;
		fd = fs_anonymous(m);
		if (fd == -1)
			return -1;
		rc = mod_content_fd(m, &e, fd);
		b.max = FS_READ_MAX;
		if (rc == 0 && (lseek(fd, 0, SEEK_SET) == -1 ||
		    buf_read_fd(&b, fd) == -1))
			rc = mod_fail_errno(m, "cannot read fragment %s", e.path);
		(void)close(fd);
		if (rc == -1)
			return -1;
		add(m, a, &b);
	}
	return 0;
}

static int
work(struct mod *m, struct assembling *a)
{
	const char *src = mod_arg_path(m, "src"), *dir;
	struct fs_attrs attrs;
	struct place p = { 0 };
	struct stat st;
	int rc;

	if (fs_attrs_get(m, &attrs) == -1)
		return -1;
	if (mod_has(m, "regexp")) {
		a->re = re_compile(m, "regexp", mod_arg_str(m, "regexp"), 0);
		if (a->re == NULL)
			return -1;
	}
	if (mod_arg_bool(m, "remote_src")) {
		rc = fs_stat(m, src, &st);
		if (rc == -1)
			return -1;
		if (rc == 1)
			return mod_fail(m, "Source (%s) does not exist", src);
		if (!S_ISDIR(st.st_mode))
			return mod_fail(m, "Source (%s) is not a directory", src);
		rc = fs_walk(m, src, FS_WALK_FOLLOW, host_fragment, a);
	} else
		rc = controller_fragments(m, a);
	if (rc == -1)
		return -1;
	if (buf_overflowed(&a->text))
		return mod_fail(m, "the fragments are too large together");
	p.dest = place_dest(m, mod_arg_path(m, "dest"), src, &dir);
	p.data = buf_str(&a->text);
	p.len = a->text.len;
	p.attrs = &attrs;
	p.validate = mod_arg_str(m, "validate");
	p.backup = mod_arg_bool(m, "backup");
	p.result = true;
	mod_set_str(m, "src", src);
	return place_file(m, &p);
}

static int
assemble_run(struct mod *m)
{
	struct assembling a = { .text.max = FS_READ_MAX };
	int rc = work(m, &a);

	re_free(a.re);
	buf_release(&a.text);
	return rc;
}

const struct module assemble_module = {
	.name = "assemble", .collection = "ansible.builtin",
	.summary = "Makes one file from fragments in a directory.",
	.examples =
	    "- assemble:\n"
	    "    src: /etc/app/fragments\n"
	    "    dest: /etc/app/app.conf\n"
	    "    delimiter: '# ---'\n",
	.returns =
	    "dest: path of the file\n"
	    "checksum: its SHA-1\n"
	    "backup_file: name of the kept old file\n",
	.args = assemble_args, .flags = MOD_FILE_ATTRS | MOD_CONTENT,
	.run = assemble_run,
};
