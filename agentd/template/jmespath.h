/*
 * JMESPath (jmespath.org), for the filter json_query: the whole language with
 * its functions, on final values.
 */
#ifndef PROVCTL_TEMPLATE_JMESPATH_H
#define PROVCTL_TEMPLATE_JMESPATH_H

#include "base/value.h"

#define JMESPATH_LEN_MAX	((size_t)64 * 1024)
#define JMESPATH_STEPS_MAX	5000000u

/* NULL with err: ERR_SYNTAX with the column, ERR_TYPE, ERR_LIMIT. The result may share parts with data. */
const struct value *jmespath_search(struct arena *, const char *expr, size_t len,
	    const struct value *data, struct err *);

#endif
