/*
 * Words for events.
 */
#include "state/event.h"

const char *
outcome_name(enum outcome outcome)
{
	static const char *const names[] = {
		[OUT_OK] = "ok", [OUT_CHANGED] = "changed",
		[OUT_FAILED] = "failed", [OUT_IGNORED] = "ignored",
		[OUT_RESCUED] = "rescued", [OUT_SKIPPED] = "skipped",
		[OUT_UNREACHABLE] = "unreachable",
	};

	return names[outcome];
}
