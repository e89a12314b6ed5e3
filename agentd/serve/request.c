/*
 * See request.h: the methods and their parameters as rows.
 */
#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "serve/request.h"

#define WORDS_MAX	1000u

enum param_type { PARAM_INT, PARAM_BOOL, PARAM_STR, PARAM_WORDS, PARAM_ENV };

struct param {
	const char	*name;
	enum param_type	 type;
	bool		 required;
	size_t		 offset;
};

#define OFF(field)	offsetof(struct request, field)

static const struct param hello_params[] = {
	{ "protocol", PARAM_INT, true, OFF(protocol) },
	{ .name = NULL },
};
static const struct param no_params[] = { { .name = NULL } };
static const struct param runs_params[] = {
	{ "limit", PARAM_INT, false, OFF(limit) },
	{ .name = NULL },
};
static const struct param run_params[] = {
	{ "argv", PARAM_WORDS, true, OFF(argv) },
	{ "cwd", PARAM_STR, true, OFF(cwd) },
	{ "place", PARAM_STR, true, OFF(place) },
	{ "env", PARAM_ENV, false, OFF(env) },
	{ .name = NULL },
};
static const struct param site_params[] = {
	{ "site", PARAM_STR, true, OFF(site) },
	{ .name = NULL },
};
static const struct param follow_params[] = {
	{ "run", PARAM_INT, false, OFF(run) },
	{ "job", PARAM_INT, false, OFF(job) },
	{ .name = NULL },
};
static const struct param cancel_params[] = {
	{ "run", PARAM_INT, false, OFF(run) },
	{ "job", PARAM_INT, false, OFF(job) },
	{ "now", PARAM_BOOL, false, OFF(now) },
	{ .name = NULL },
};

static const struct {
	const char		*name;
	const struct param	*params;
} methods[] = {
	[METHOD_HELLO] = { "hello", hello_params },
	[METHOD_STATUS] = { "status", no_params },
	[METHOD_RUNS] = { "runs", runs_params },
	[METHOD_RUN] = { "run", run_params },
	[METHOD_START] = { "start", site_params },
	[METHOD_FOLLOW] = { "follow", follow_params },
	[METHOD_CANCEL] = { "cancel", cancel_params },
	[METHOD_SCHEDULE] = { "schedule", no_params },
	[METHOD_RELOAD] = { "reload", no_params },
};

/* No NUL inside: it becomes a C string. */
static bool
is_text(const struct value *v)
{
	return v != NULL && v_is_str(v) && strlen(v->u.s) == v->len;
}

static bool
is_env(const struct value *map)
{
	const struct ventry *e;
	uint32_t it = 0;

	if (!v_is_map(map) || v_count(map) > WORDS_MAX)
		return false;
	while ((e = v_next(map, &it)) != NULL)
		if (!is_text(e->key) || !is_text(e->val) || e->key->len == 0 ||
		    strchr(e->key->u.s, '=') != NULL)
			return false;
	return true;
}

static bool
is_words(const struct value *list)
{
	uint32_t i;

	if (!v_is_list(list) || v_count(list) == 0 || v_count(list) > WORDS_MAX)
		return false;
	for (i = 0; i < v_count(list); i++)
		if (!is_text(v_at(list, i)))
			return false;
	return true;
}

static int
read_param(const struct param *p, const struct value *v, struct request *r, struct err *err)
{
	char *at = (char *)r + p->offset;

	switch (p->type) {
	case PARAM_INT:
		if (v->type != V_INT || v->u.i < 1)
			break;
		*(int64_t *)(void *)at = v->u.i;
		return 0;
	case PARAM_BOOL:
		if (v->type != V_BOOL)
			break;
		*(bool *)at = v->u.b;
		return 0;
	case PARAM_STR:
		if (!is_text(v))
			break;
		*(const char **)(void *)at = v->u.s;
		return 0;
	case PARAM_WORDS:
		if (!is_words(v))
			break;
		*(const struct value **)(void *)at = v;
		return 0;
	case PARAM_ENV:
		if (!is_env(v))
			break;
		*(const struct value **)(void *)at = v;
		return 0;
	}
	return err_set(err, ERR_INVALID, "the parameter '%s' has a wrong type or value", p->name);
}

static int
read_params(const struct value *params, struct request *r, struct err *err)
{
	const struct param *p, *rows = methods[r->method].params;
	const struct ventry *e;
	uint32_t it = 0;

	if (params == NULL)
		params = &v_null;
	if (!v_is_map(params) && !v_is_null(params))
		return err_set(err, ERR_INVALID, "'params' is no object");
	while (v_is_map(params) && (e = v_next(params, &it)) != NULL) {
		for (p = rows; p->name != NULL && !v_eqs(e->key, p->name); p++)
			;
		if (p->name == NULL)
			return err_set(err, ERR_INVALID, "'%s' has no parameter '%.40s'",
			    methods[r->method].name, e->key->u.s);
		if (read_param(p, e->val, r, err) == -1)
			return -1;
	}
	for (p = rows; p->name != NULL; p++)
		if (p->required && v_gets(params, p->name) == NULL)
			return err_set(err, ERR_INVALID, "'%s' needs the parameter '%s'",
			    methods[r->method].name, p->name);
	return 0;
}

int
request_parse(struct arena *a, const char *line, size_t n, struct request *r, struct err *err)
{
	const struct value *v, *id, *method;
	size_t i;

	*r = (struct request){ 0 };
	if (n > REQUEST_MAX)
		return err_set(err, ERR_LIMIT, "a request of more than %zu bytes", REQUEST_MAX);
	if ((v = json_parse_text(a, line, n, err)) == NULL)
		return err_wrap(err, "a request that is no JSON");
	if (!v_is_map(v))
		return err_set(err, ERR_SYNTAX, "a request must be an object");
	if ((id = v_gets(v, "id")) != NULL) {
		if (id->type != V_INT)
			return err_set(err, ERR_INVALID, "'id' is no whole number");
		r->id = id->u.i;
	}
	if (!is_text(method = v_gets(v, "method")))
		return err_set(err, ERR_INVALID, "a request without 'method'");
	for (i = 0; i < NITEMS(methods) && !v_eqs(method, methods[i].name); i++)
		;
	if (i == NITEMS(methods))
		return err_set(err, ERR_UNSUPPORTED, "unknown method '%.40s'", method->u.s);
	r->method = (enum method)i;
	return read_params(v_gets(v, "params"), r, err);
}

const char *
request_error_name(enum err_code code)
{
	switch (code) {
	case ERR_SYNTAX:
		return "syntax";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_LIMIT:
		return "limit";
	case ERR_AUTH:
		return "denied";
	case ERR_BUSY:
		return "busy";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_IO:
		return "io";
	default:
		return "invalid";
	}
}
