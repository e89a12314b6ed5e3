/*
 * JSON (RFC 8259) to values and back.
 *
 * Reading is strict, but takes NaN, Infinity and -Infinity as Python does;
 * integers that do not fit 64 bits become floats; a duplicate key: the last
 * one counts.  Depth is limited to V_DEPTH_MAX.
 */
#ifndef PROVCTL_BASE_JSON_H
#define PROVCTL_BASE_JSON_H

#include "base/value.h"

#define JSON_INDENT(n)	((unsigned)(n) & 0xff)	/* 0: on one line, ", " and ": " as Python writes them */
#define JSON_SORT	0x100	/* keys sorted by code point */
#define JSON_COMPACT	0x200	/* no blanks */
#define JSON_ASCII	0x400	/* \uXXXX for everything beyond ASCII (Python's default) */
#define JSON_CENSOR	0x800	/* secret values as "********" */

/* Positions in errors refer to src (column in characters). */
const struct value *json_parse(struct arena *, const struct source *src,
	    struct err *);
const struct value *json_parse_text(struct arena *, const char *, size_t,
	    struct err *);
/* V_TMPL is written as its source, V_UNDEF and V_OMIT as null. Keys that are no strings become strings as in Python. */
void	 json_write(struct buf *, const struct value *, unsigned flags);
void	 json_write_str(struct buf *, const char *, size_t, unsigned flags);
/* A float as Python's repr() writes it: the shortest text that reads back the same. */
void	 format_double(struct buf *, double);

#endif
