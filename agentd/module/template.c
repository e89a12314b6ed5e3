/*
 * template: a file rendered on the controller.
 *
 * The engine renders src and offers the text as the single entry of
 * "_content"; here it is put in place as copy does.  The options of the
 * template language (variable_start_string, trim_blocks …) are the engine's.
 */
#include <string.h>

#include "module/place.h"

static const struct mod_arg template_args[] = {
	PLACE_ARGS,
	{ .name = "src", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "Template of the controller, looked up in templates/." },
	{ .name = "newline_sequence", .type = ARG_STR, .def = "\n",
	    .choices = "\n,\r,\r\n,\\n,\\r,\\r\\n",
	    .doc = "What ends the lines." },
	{ .name = "trim_blocks", .type = ARG_BOOL, .def = "true",
	    .doc = "Drops the newline after a block tag." },
	{ .name = "lstrip_blocks", .type = ARG_BOOL, .def = "false",
	    .doc = "Drops blanks before a block tag." },
	{ .name = "block_start_string", .type = ARG_STR, .def = "{%",
	    .doc = "What begins a statement." },
	{ .name = "block_end_string", .type = ARG_STR, .def = "%}",
	    .doc = "What ends a statement." },
	{ .name = "variable_start_string", .type = ARG_STR, .def = "{{",
	    .doc = "What begins an expression." },
	{ .name = "variable_end_string", .type = ARG_STR, .def = "}}",
	    .doc = "What ends an expression." },
	{ .name = "comment_start_string", .type = ARG_STR, .def = "{#",
	    .doc = "What begins a comment." },
	{ .name = "comment_end_string", .type = ARG_STR, .def = "#}",
	    .doc = "What ends a comment." },
	{ .name = "output_encoding", .type = ARG_STR, .def = "utf-8",
	    .choices = "utf-8,UTF-8,utf8",
	    .doc = "Encoding of the file; only UTF-8." },
	{ .name = NULL }
};

static int
template_run(struct mod *m)
{
	const char *dest = mod_arg_path(m, "dest"), *dir, *name;
	struct fs_attrs attrs, dir_attrs;
	struct mod_content e;
	struct place p;
	size_t n;

	if (fs_attrs_get(m, &attrs) == -1)
		return -1;
	if (mod_ncontent(m) != 1)
		return mod_fail(m, "the rendered text of %s did not come along",
		    mod_arg_str(m, "src"));
	e = mod_content(m, 0);
	/* app.conf.j2 in a directory is app.conf.j2, as in Ansible */
	name = mod_arg_str(m, "src");
	n = strlen(dest);
	mod_set_str(m, "src", name);
	p = (struct place){ .content = &e, .src_mode = (mode_t)e.mode,
		.attrs = &attrs, .validate = mod_arg_str(m, "validate"),
		.backup = mod_arg_bool(m, "backup"),
		.no_force = !mod_arg_bool(m, "force"),
		.follow = mod_arg_bool(m, "follow"), .result = true,
		.secret = v_any_flag(v_gets(m->args, "_content"), V_SECRET) };
	p.dest = place_dest(m, dest, name, &dir);
	dir_attrs = attrs;
	dir_attrs.mode = dir_attrs.attributes = NULL;
	if (n > 0 && dir != NULL && place_dirs(m, dir, &dir_attrs) == -1)
		return -1;
	return place_file(m, &p);
}

const struct module template_module = {
	.name = "template", .collection = "ansible.builtin",
	.summary = "Renders a template and puts it on the host.",
	.doc =
	    "The file is replaced as a whole and atomically, and only when its\n"
	    "content differs.",
	.examples =
	    "- template:\n"
	    "    src: app.env.j2\n"
	    "    dest: /etc/app/app.env\n"
	    "    owner: root\n"
	    "    group: app\n"
	    "    mode: '0640'\n"
	    "  notify: restart app\n",
	.returns =
	    "dest: path of the file\n"
	    "checksum: SHA-1 of the file\n"
	    "backup_file: name of the kept old file\n"
	    "mode, owner, group, uid, gid, size, state: of the file\n",
	.args = template_args, .flags = MOD_FILE_ATTRS | MOD_CONTENT,
	.run = template_run,
};
