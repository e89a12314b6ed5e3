/*
 * Fuzz: any bytes as a request at agentd's control socket, and as the times of
 * its schedule.  What is taken has the types that the methods rely on.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "serve/request.h"
#include "serve/times.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_request(const struct request *r)
{
	const struct ventry *e;
	uint32_t it = 0, i;

	assert(r->run >= 0 && r->job >= 0 && r->limit >= 0 && r->protocol >= 0);
	assert(r->method != METHOD_HELLO || r->protocol > 0);
	assert(r->method != METHOD_START || r->site != NULL);
	if (r->method != METHOD_RUN)
		return;
	assert(r->cwd != NULL && r->place != NULL && v_count(r->argv) > 0);
	for (i = 0; i < v_count(r->argv); i++)
		assert(strlen(v_at(r->argv, i)->u.s) == v_at(r->argv, i)->len);
	while (r->env != NULL && (e = v_next(r->env, &it)) != NULL)
		assert(strchr(e->key->u.s, '=') == NULL && strlen(e->val->u.s) == e->val->len);
}

static void
check_times(const char *text)
{
	struct err err = ERR_INIT;
	struct times t;
	int64_t next;
	unsigned i;

	if (times_parse(text, &t, &err) == -1) {
		assert(err.msg != NULL);
		err_release(&err);
		return;
	}
	assert(t.n <= TIMES_MAX && (t.every == 0 || t.every >= TIMES_MIN_EVERY));
	for (i = 0; i < t.n; i++)
		assert(t.at[i] >= 0 && t.at[i] < 1440 && (i == 0 || t.at[i - 1] < t.at[i]));
	next = times_next(&t, 1795376456);
	assert(next == -1 ? t.every == 0 && t.n == 0 :
	    next > 1795376456 && next <= 1795376456 + 8 * 86400);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena a = { 0 };
	struct err err = ERR_INIT;
	struct request r;
	int rc = request_parse(&a, (const char *)data, len, &r, &err);

	assert((rc == -1) == (err.code != ERR_NONE));
	if (rc == 0)
		check_request(&r);
	assert(*request_error_name(err.code) != '\0');
	err_release(&err);
	check_times(arena_strndup(&a, (const char *)data, len));
	arena_release(&a);
	return 0;
}
