/* str.format(); see strformat.c. */
#ifndef PROVCTL_TEMPLATE_STRFORMAT_H
#define PROVCTL_TEMPLATE_STRFORMAT_H

#include "template/filter.h"

/* kw: a map or NULL. NULL after an error. */
const struct value *str_format(struct eval *, const struct value *fmt, const struct value **args,
	    uint32_t nargs, const struct value *kw);

#endif
