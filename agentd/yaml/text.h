/*
 * The text under the YAML loader: checked once, with a table of its lines.
 *
 * libyaml counts positions in characters and takes CR, NEL, LS and PS for line
 * breaks too; a struct mark counts lines as editors do, by \n.  The table maps
 * between the two and to byte offsets.
 *
 * Private to yaml/.
 */
#ifndef PROVCTL_YAML_TEXT_H
#define PROVCTL_YAML_TEXT_H

#include <yaml.h>

#include "yaml/yaml.h"

struct yaml_line {
	uint32_t	 off;	/* byte offset of its first character */
	uint32_t	 line;	/* as in a mark, from 1 */
	uint32_t	 col0;	/* characters before it in that line: 0 unless a break was no \n */
};

struct yaml_text {
	const struct source	*src;
	const char		*s;	/* src->text */
	size_t			 len;
	size_t			 start;	/* behind a byte order mark */
	struct yaml_line	*lines;
	size_t			 nlines;
	size_t			 at_line, at_col, at_off;	/* where the last look-up was */
};

/* Checks UTF-8, control characters and size, and makes the table. 0, or -1 with err. */
int		 text_init(struct yaml_text *, struct arena *,
		    const struct source *, struct err *);
/* Byte offset of a position of libyaml's; cheap when positions come in order. */
size_t		 text_offset(struct yaml_text *, const yaml_mark_t *);
/* The mark of a byte offset, underlining the bytes up to end (or the line's). */
struct mark	 text_mark(const struct yaml_text *, size_t off, size_t end);
/* The mark of a position of libyaml's; len in characters. */
struct mark	 text_at(const struct yaml_text *, const yaml_mark_t *, size_t len);

/* A line as by \n, without its end: for looking around an error. */
struct text_line {
	size_t	 off, end;	/* bytes */
	size_t	 indent;	/* offset of the first character that is no space, or end */
};

struct text_line text_line_of(const struct yaml_text *, size_t off);
/* The nearest line above that is neither empty nor a comment; false when there is none. */
bool		 text_line_above(const struct yaml_text *, const struct text_line *,
		    struct text_line *ret);

/* ---- explain.c ----------------------------------------------------------- */

/* libyaml's error as a sentence that helps; added to diags. */
void		 explain(struct yaml_text *, struct arena *, const yaml_parser_t *,
		    struct diags *);
/* An unquoted value that starts with "{{", at this offset. */
void		 explain_template(const struct yaml_text *, struct arena *, size_t off,
		    struct diags *);

/* ---- resolve.c ----------------------------------------------------------- */

/*
 * What a plain scalar is by YAML 1.1: fills in type and contents of a value
 * (strings point to the text, which must stay).
 */
void		 resolve_plain(struct value *, struct arena *, const char *, size_t);
/* Text of a plain scalar that is an integer for YAML. */
bool		 resolve_is_int(const char *, size_t);
/* The same text with an explicit tag !!int, !!float, !!bool: false when it is none. */
bool		 resolve_as(struct value *, struct arena *, enum vtype, const char *, size_t);
/* Base64 of !!binary; false when malformed. */
bool		 resolve_binary(struct buf *, const char *, size_t);

#endif
