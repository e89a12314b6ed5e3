/*
 * Unified diffs, of texts and of what modules say under "diff".
 */
#ifndef PROVCTL_STATE_UDIFF_H
#define PROVCTL_STATE_UDIFF_H

#include "base/value.h"

/* The bytes that a diff may have in all; what is beyond is cut off with a note. */
#define UDIFF_MAX	((size_t)64 * 1024)

/* "--- name\n+++ name\n@@ … @@" and lines; nothing when the texts are equal. */
void	 udiff_text(struct buf *, const char *before_name, const char *after_name,
	    const char *before, size_t nbefore, const char *after, size_t nafter);
/*
 * A result's "diff": a map or list of maps with before, after (text, or values
 * shown as JSON), before_header, after_header, or prepared text.  NULL: nothing.
 */
void	 udiff_value(struct buf *, const struct value *diff, size_t max);

#endif
