/*
 * Unicode as Python's str methods see it (Unicode 15.1, Python 3.13): case
 * mappings in full (ß → SS, final sigma, title case), and the properties
 * behind isalpha(), isprintable() and the rest.  The tables of unidata.c are
 * made by gen/unidata.py.
 */
#ifndef PROVCTL_TEMPLATE_UNIDATA_H
#define PROVCTL_TEMPLATE_UNIDATA_H

#include <stdint.h>

#include "base/buf.h"

enum uni_prop {
	UNI_ALPHA, UNI_DECIMAL, UNI_DIGIT, UNI_NUMERIC, UNI_LOWER, UNI_UPPER,
	UNI_TITLE,		/* title-case letters only */
	UNI_CASED, UNI_CASE_IGNORABLE, UNI_PRINTABLE, UNI_ID_START,
	UNI_ID_CONTINUE
};

bool	 uni_is(uint32_t, enum uni_prop);
bool	 uni_alnum(uint32_t);
bool	 uni_space(uint32_t);		/* str.isspace() */
bool	 uni_linebreak(uint32_t);	/* str.splitlines() */
int	 uni_decimal(uint32_t);		/* 0 to 9, or -1 */

/* str.upper(), lower(), title(), capitalize(), swapcase(), casefold(): appended. */
void	 uni_upper(struct buf *, const char *, size_t);
void	 uni_lower(struct buf *, const char *, size_t);
void	 uni_title(struct buf *, const char *, size_t);
void	 uni_capitalize(struct buf *, const char *, size_t);
void	 uni_swapcase(struct buf *, const char *, size_t);
void	 uni_casefold(struct buf *, const char *, size_t);

#endif
