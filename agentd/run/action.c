/* Which modules have a part on the controller. */
#include <string.h>

#include "run/engine.h"

const struct action *
action_find(const char *module)
{
	static const struct action *const families[] = {
		actions_back, actions_basic, actions_flow, actions_files
	};
	const struct action *a;
	unsigned i;

	for (i = 0; i < NITEMS(families); i++)
		for (a = families[i]; a->module != NULL; a++)
			if (strcmp(a->module, module) == 0)
				return a;
	return NULL;
}
