/*
 * What several lookups need: files found as Ansible finds them, and options
 * inside a term ("file=app.ini section=db").
 */
#ifndef PROVCTL_TEMPLATE_LOOKUP_UTIL_H
#define PROVCTL_TEMPLATE_LOOKUP_UTIL_H

#include "template/families.h"

/*
 * The first existing file DIR/SUBDIR/NAME, DIR/NAME of the search directories
 * and the playbook's; subdir may be NULL.  NULL without an error when there is none.
 */
const char	*lookup_find(struct tcall *, const char *subdir, const char *name);
/* A file's text, decrypted when it is a vault (the string is secret then). NULL after an error. */
const struct value *lookup_read(struct tcall *, const char *path);

/*
 * Takes a term apart: words with = go to the map params (values without their
 * quotes), the others, joined by blanks, to *raw.
 */
struct value	*lookup_kv(struct tcall *, const char *term, const char **raw);

/* The term as text; false with an error for other types. */
bool		 lookup_term(struct tcall *, uint32_t i, const char **s, size_t *len);

#endif
