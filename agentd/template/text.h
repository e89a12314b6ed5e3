/*
 * Python's view of text: what is white space, what is a word, escapes,
 * character positions.  Strings are valid UTF-8.
 */
#ifndef PROVCTL_TEMPLATE_TEXT_H
#define PROVCTL_TEMPLATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

bool	 text_is_space(uint32_t cp);		/* str.isspace */
/* Bytes of the white space (word) character at s; 0: it is none. */
unsigned text_space_at(const char *s, size_t len);
unsigned text_word_at(const char *s, size_t len);
bool	 text_identifier(const char *s, size_t len);
/* Length without white space at the end; number of bytes of white space at the start. */
size_t	 text_rstrip(const char *s, size_t len);
size_t	 text_lstrip(const char *s, size_t len);
/* Value of a digit up to base 36; 99: none. */
unsigned text_digit(char);
/* Appends with \n, \x41, \u1234 … replaced as in Python's literals. NULL, or what is wrong. */
const char *text_unescape(struct buf *, const char *s, size_t len, const char *newline);
bool	 text_ascii(const char *s, size_t len);
/* False for what Python's repr() shows as an escape. */
bool	 text_printable(uint32_t cp);

#endif
