/*
 * The order of a Python set of integers.
 *
 * A set has no order that anybody should rely on, but templates print what
 * union, difference and their kin give (ports, VLANs): with integers, whose hashes are no
 * secret, Python's order is always the same, and so is ours.
 */
#ifndef PROVCTL_TEMPLATE_PYSET_H
#define PROVCTL_TEMPLATE_PYSET_H

#include "base/value.h"

/*
 * Appends what list(set(a) OP set(b)) gives to out; op is one of & - ^ |. false,
 * and nothing is done: not all elements are integers, or there are too many.
 */
bool	 pyset(struct arena *, char op, const struct vlist *a, const struct vlist *b,
	    struct value *out);

#endif
