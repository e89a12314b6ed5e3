/*
 * The tree between JMESPath's parser (jmespath.c) and interpreter (jmespath_eval.c).
 */
#ifndef PROVCTL_TEMPLATE_JMESPATH_PRIVATE_H
#define PROVCTL_TEMPLATE_JMESPATH_PRIVATE_H

#include "base/json.h"
#include "template/jmespath.h"

enum jkind {
	J_FIELD, J_LITERAL, J_CURRENT, J_INDEX, J_SLICE, J_SUB, J_PROJECTION, J_VALUES, J_FILTER,
	J_FLATTEN, J_MULTI_LIST, J_MULTI_HASH, J_OR, J_AND, J_NOT, J_EQ, J_NE, J_LT, J_LE, J_GT,
	J_GE, J_CALL, J_EXPREF
};

struct jnode {
	enum jkind		 kind;
	struct jnode		*left, *right, *cond;
	const struct value	*val;		/* name or literal */
	int64_t			 num[3];	/* index, or start, stop, step */
	bool			 has[3];
	struct jnode		**args;
	const struct value	**keys;		/* of J_MULTI_HASH */
	uint32_t		 nargs;
};

const struct value *jmespath_eval(struct arena *, const struct jnode *,
	    const struct value *, struct err *);

#endif
