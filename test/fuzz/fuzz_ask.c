/*
 * Fuzz: any bytes as a run's request to the keeper.  What is taken names a
 * host and a user that are safe, and key files by absolute paths.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ssh/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_spec(const struct conn_spec *spec)
{
	const char *const *key;

	assert(spec->host != NULL && *spec->host != '-' && *spec->host != '\0');
	assert(spec->user != NULL && *spec->user != '-' && *spec->user != '\0');
	assert(strpbrk(spec->host, " \n\t") == NULL && strpbrk(spec->user, " \n\t") == NULL);
	assert(spec->port > 0 && spec->port < 65536 && spec->password == NULL);
	assert(spec->use_agent == (spec->agent != NULL) && !spec->accept_new_host_keys);
	for (key = spec->keys; key != NULL && *key != NULL; key++)
		assert(**key == '/');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *pins[ASK_PINS_MAX];
	struct conn_spec spec = { 0 };
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct ask q;
	uint32_t i, n;
	int rc = ask_parse(&a, (const char *)data, len, &q, &err);

	assert((rc == -1) == (err.code != ERR_NONE));
	if (rc == 0 && q.forget)
		assert(q.spec.host != NULL);
	if (rc == 0 && !q.forget) {
		check_spec(&q.spec);
		assert(strlen(q.key) == SHA256_HEX - 1);
		for (i = 0; i < q.njumps; i++) {
			check_spec(&q.jumps[i]);
			assert(ask_jump(&q, q.jumps[i].name, &spec, &err) == 0);
			check_spec(&spec);
		}
		assert(q.id != 0 && *q.command != '\0');
		n = ask_pins(q.pins, q.spec.host, q.spec.port, pins, ASK_PINS_MAX);
		for (i = 0; i < n; i++)
			assert(strchr(pins[i], ' ') != NULL);
	}
	err_release(&err);
	arena_release(&a);
	return 0;
}
