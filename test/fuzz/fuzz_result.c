/*
 * What a host answers, on its way to outputs and state: decoded, censored,
 * its diff made, written as JSON.  Nothing of the secret may be left.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/json.h"
#include "run/censor.h"
#include "state/udiff.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char secret[] = "Hun'ter\"2+/";
	CLEANUP_BUF struct buf json = BUF_INIT, diff = BUF_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct arena a = { 0 };
	const struct value *v = codec_decode(&a, (const char *)data, size, &err);
	struct censor *c;

	if (v != NULL) {
		c = censor_new(&a);
		censor_add(c, secret, sizeof(secret) - 1);
		v = censor_value(c, &a, v);
		if (censor_hits_in(c, v))
			abort();
		if (v->type == V_MAP && v_gets(v, "diff") != NULL)
			udiff_value(&diff, v_gets(v, "diff"), UDIFF_MAX);
		json_write(&json, v, JSON_COMPACT | JSON_CENSOR);
		if (json.len > 0 && memmem(json.data, json.len, "Hun'ter\\\"2+/", 12) != NULL)
			abort();
	}
	arena_release(&a);
	return 0;
}
