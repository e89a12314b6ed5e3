/*
 * What both outputs need.
 */
#include <errno.h>
#include <string.h>

#include "gate.h"
#include "report.h"

void
output_init(struct out *o, const struct out_ops *ops, const char *color)
{
	*o = (struct out){ .ops = ops };
	term_init(&o->term, STDOUT_FILENO, color);
	term_init(&o->errors, STDERR_FILENO, color);
}

void
output_release(struct out *o)
{
	if (o->report != NULL)
		o->ops->run_end(o);
	arena_release(&o->arena);
}

void
out_broken(struct out *o)
{
	o->broken = true;
	/* A reader that has seen enough is no error. */
	if (errno != EPIPE)
		o->error = errno;
}

void
out_flush(struct out *o, struct buf *b)
{
	if (!o->broken && b->len > 0 && !term_write(&o->term, b->data, b->len))
		out_broken(o);
	buf_clear(b);
}

void
out_pause(struct out *o)
{
	if (o->gate != NULL)
		gate_flush(o->gate);
	if (o->report != NULL && o->ops == &output_text)
		report_pause(o->report);
}

void
out_resume(struct out *o)
{
	if (o->report != NULL && o->ops == &output_text)
		report_resume(o->report);
}

void
out_note(struct out *o, const char *fmt, ...)
{
	CLEANUP_BUF struct buf b = BUF_INIT, clean = BUF_INIT;
	va_list ap;

	if (o->ops == &output_json)
		return;
	va_start(ap, fmt);
	buf_vaddf(&b, fmt, ap);
	va_end(ap);
	term_clean(&clean, buf_str(&b), b.len, CLEAN_LINES);
	buf_addc(&clean, '\n');
	out_pause(o);
	(void)term_write(&o->errors, clean.data, clean.len);
	out_resume(o);
}
