/*
 * The lexer and parser of templates: any bytes in any mode and with any
 * options.  The first byte chooses.
 */
#include <stdlib.h>

#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
name(void *arg, const char *s, struct mark at, bool guarded)
{
	size_t *n = arg;

	(void)guarded;
	*n += at.col + (unsigned char)s[0];
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct diags diags = DIAGS_INIT;
	struct source src = { .path = "fuzz", .text = (const char *)data + 1 };
	struct mark at = { &src, 1, 1, 1 };
	struct buf out = BUF_INIT;
	struct tmpl_opts opts = { 0 };
	const struct tmpl *t;
	size_t n = 0;

	if (size == 0)
		return 0;
	src.len = size - 1;
	opts.no_trim_blocks = data[0] & 0x04;
	opts.lstrip_blocks = data[0] & 0x08;
	opts.ext_do = opts.ext_loopcontrols = data[0] & 0x10;
	if (data[0] & 0x20) {
		opts.line_statement_prefix = "%";
		opts.line_comment_prefix = "##";
	}
	if (data[0] & 0x40) {
		opts.block_start = "<%";
		opts.block_end = "%>";
		opts.variable_start = "${";
		opts.variable_end = "}";
		opts.comment_start = "<%#";
		opts.comment_end = "%>";
	}
	t = tmpl_compile(&a, src.text, src.len, at, (enum tmpl_mode)(data[0] % 3), &opts, &diags);
	if (t != NULL)
		(void)tmpl_names(t, name, &n);
	diags_format(&diags, false, &out);
	buf_release(&out);
	diags_release(&diags);
	arena_release(&a);
	return 0;
}
