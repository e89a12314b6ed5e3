/*
 * Random numbers as Python's random module draws them: from the system, or
 * from a Mersenne Twister with a seed, so that `random(seed=…)` and
 * `shuffle(seed=…)` choose what Ansible chooses.
 */
#ifndef PROVCTL_TEMPLATE_FILTER_RANDOM_H
#define PROVCTL_TEMPLATE_FILTER_RANDOM_H

#include "base/value.h"

struct pyrandom {
	bool		 seeded;
	uint32_t	 mt[624];
	uint32_t	 i;
};

void	 pyrandom_system(struct pyrandom *);
/* false when values of this type are no seed for us (floats, lists). */
bool	 pyrandom_seed(struct pyrandom *, const struct value *);
/* A number from 0 to n - 1; n > 0. */
uint64_t pyrandom_below(struct pyrandom *, uint64_t n);

#endif
