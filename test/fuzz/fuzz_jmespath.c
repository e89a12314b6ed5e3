/*
 * JMESPath, as json_query runs it on data.
 */
#include <stdlib.h>

#include "base/json.h"
#include "template/jmespath.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char json[] = "{\"a\": [{\"b\": 1, \"c\": [1, 2, [3]]}, {\"b\": \"x\"}],"
	    " \"d\": {\"e\": null, \"f\": [3, 1, 2]}, \"s\": \"str\", \"t\": true}";
	struct arena a = { 0 };
	struct buf out = { .max = 1024 * 1024 };
	struct err err = ERR_INIT;
	const struct value *v = json_parse_text(&a, json, sizeof(json) - 1, &err);

	if (v == NULL)
		abort();
	if (size < 1000 && (v = jmespath_search(&a, (const char *)data, size, v, &err)) != NULL)
		json_write(&out, v, 0);
	buf_release(&out);
	err_release(&err);
	arena_release(&a);
	return 0;
}
