/*
 * See ask.h.
 */
#include <limits.h>
#include <string.h>

#include "base/codec.h"
#include "ssh/ask.h"
#include "ssh/parcel.h"
#include "ssh/pool.h"

#define PATH_LEN_MAX	((size_t)PATH_MAX)
#define TIMEOUT_MAX_MS	3600000

static const char *
place(struct arena *a, const char *host, int port)
{
	return arena_printf(a, "%s:%d", host, port);
}

/* ---- out: what identifies a login ---------------------------------------------------- */

static const struct value *
versioned(struct arena *a, const char *path)
{
	struct value *v = v_list(a);
	char stamp[KEYFILE_STAMP], real[PATH_MAX];

	/* One name a file, whatever directory the keeper is in; one that is not there gets in nowhere. */
	if (realpath(path, real) != NULL)
		path = arena_strdup(a, real);
	keyfile_stamp(path, stamp);
	v_push(a, v, v_str(a, path));
	v_push(a, v, v_str(a, stamp));
	return v;
}

static struct value *
put_login(struct arena *a, const struct conn_spec *spec)
{
	const char *home = spec->home != NULL ? spec->home : getenv("HOME");
	const char *agent = spec->agent != NULL ? spec->agent : getenv("SSH_AUTH_SOCK");
	struct value *v = v_map(a), *keys = v_list(a);
	bool usual = spec->keys == NULL || spec->keys[0] == NULL;
	size_t i;

	v_set_str(a, v, "host", spec->host);
	v_set_int(a, v, "port", spec->port);
	v_set_str(a, v, "user", spec->user);
	v_set_bool(a, v, "lax", spec->lax_kex);
	for (i = 0; !usual && spec->keys[i] != NULL; i++)
		v_push(a, keys, versioned(a, spec->keys[i]));
	for (i = 0; usual && home != NULL && keyfile_usual[i] != NULL; i++)
		v_push(a, keys, versioned(a, arena_printf(a, "%s/.ssh/%s", home,
		    keyfile_usual[i])));
	v_sets(a, v, "keys", keys);
	if (usual)
		v_set_str(a, v, "home", home != NULL ? home : "");
	if (spec->use_agent && agent != NULL)
		v_sets(a, v, "agent", versioned(a, agent));
	if (spec->jump != NULL)
		v_set_str(a, v, "jump", spec->jump);
	return v;
}

static const struct value *
put_jumps(struct arena *a, const struct conn_spec *spec, struct conn_spec jumps[ASK_JUMPS_MAX])
{
	struct value *list = v_list(a), *v;
	struct err err = ERR_INIT;
	unsigned n;

	for (n = 0; spec->jump != NULL; spec = &jumps[n++]) {
		if (n == ASK_JUMPS_MAX || jump_hop(a, spec, &jumps[n], &err) == -1) {
			err_release(&err);
			return NULL;
		}
		v = put_login(a, &jumps[n]);
		v_set_str(a, v, "name", jumps[n].name);
		v_push(a, list, v);
	}
	return list;
}

/* Its known keys; false: there are none. */
static bool
put_pins(struct arena *a, struct value *pins, const struct conn_spec *spec)
{
	const char *keys[ASK_PINS_MAX];
	struct value *list = v_list(a);
	uint32_t n = 0, i;

	if (spec->known_keys == NULL || spec->known_keys(spec->keys_arg, spec->host, spec->port,
	    keys, ASK_PINS_MAX, &n) != 0 || n == 0)
		return false;
	for (i = 0; i < n && i < ASK_PINS_MAX; i++)
		v_push(a, list, v_strn(a, keys[i], strcspn(keys[i], "\r\n")));
	v_sets(a, pins, place(a, spec->host, spec->port), list);
	return true;
}

const struct value *
ask_open(struct arena *a, const struct conn_spec *spec, uint32_t id, const char *command)
{
	struct conn_spec hops[ASK_JUMPS_MAX] = { 0 };
	struct value *v = v_map(a), *pins = v_map(a);
	const struct value *jumps = put_jumps(a, spec, hops);
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	if (jumps == NULL || spec->password != NULL)
		return NULL;
	v_set_str(a, v, "do", "open");
	v_set_int(a, v, "id", id);
	v_sets(a, v, "login", put_login(a, spec));
	v_sets(a, v, "jumps", jumps);
	v_set_int(a, v, "timeout_ms", spec->connect_timeout_ms);
	v_set_str(a, v, "command", command);
	v_sets(a, v, "pins", pins);
	if (!put_pins(a, pins, spec))
		return NULL;
	for (i = 0; i < v_count(jumps); i++)
		if (!put_pins(a, pins, &hops[i]))
			return NULL;
	buf_init(&b, PARCEL_MAX);
	codec_encode(&b, v);
	return buf_overflowed(&b) ? NULL : v;
}

const struct value *
ask_forget(struct arena *a, const struct conn_spec *spec)
{
	struct value *v = v_map(a);

	v_set_str(a, v, "do", "forget");
	v_set_str(a, v, "host", spec->host);
	v_set_int(a, v, "port", spec->port);
	return v;
}

/* ---- in ---------------------------------------------------------------------------------- */

/* A text without NULs, at most so long; NULL: it is none. */
static const char *
text(const struct value *map, const char *key, size_t max)
{
	const struct value *v = v_gets(map, key);

	return v != NULL && v_is_str(v) && v->len <= max && strlen(v->u.s) == v->len ?
	    v->u.s : NULL;
}

static const char *
path_of(const struct value *v)
{
	const struct value *path = v_is_list(v) ? v_at(v, 0) : NULL;

	return path != NULL && v_is_str(path) && path->len < PATH_LEN_MAX &&
	    strlen(path->u.s) == path->len && path->u.s[0] == '/' ? path->u.s : NULL;
}

static int
read_login(struct arena *a, const struct value *v, struct conn_spec *spec, struct err *err)
{
	const struct value *keys = v_gets(v, "keys"), *agent = v_gets(v, "agent");
	const char **paths;
	int64_t port = v_get_int(v, "port", 0);
	uint32_t i;

	spec->kind = CONN_SSH;
	spec->host = text(v, "host", 255);
	spec->user = text(v, "user", 255);
	spec->jump = text(v, "jump", 4096);
	spec->lax_kex = v_get_bool(v, "lax", false);
	spec->agent = agent != NULL ? path_of(agent) : NULL;
	spec->use_agent = spec->agent != NULL;
	if (!v_is_map(v) || spec->host == NULL || spec->user == NULL || port < 1 ||
	    port > 65535 || (agent != NULL && spec->agent == NULL) ||
	    (spec->jump == NULL && v_gets(v, "jump") != NULL) ||
	    keys == NULL || !v_is_list(keys) || v_count(keys) > ASK_KEYS_MAX)
		return err_set(err, ERR_INVALID, "no login");
	spec->port = (int)port;
	spec->name = spec->host;
	paths = ARENA_ARRAY(a, v_count(keys) + 1, const char *);
	for (i = 0; i < v_count(keys); i++)
		if ((paths[i] = path_of(v_at(keys, i))) == NULL)
			return err_set(err, ERR_INVALID, "no key file");
	/* The usual ones are offered after the agent's, and need not be there. */
	if ((spec->home = text(v, "home", PATH_LEN_MAX)) == NULL)
		spec->keys = paths;
	return conn_spec_check(spec, err);
}

static int
read_jumps(struct arena *a, const struct value *list, struct ask *q, struct err *err)
{
	if (list == NULL || !v_is_list(list) || v_count(list) > ASK_JUMPS_MAX)
		return err_set(err, ERR_INVALID, "no list of jump hosts");
	for (; q->njumps < v_count(list); q->njumps++) {
		const struct value *v = v_at(list, q->njumps);
		struct conn_spec *spec = &q->jumps[q->njumps];

		if (read_login(a, v, spec, err) == -1)
			return -1;
		if ((spec->name = text(v, "name", 255)) == NULL)
			return err_set(err, ERR_INVALID, "a jump host without a name");
	}
	return 0;
}

static int
read_pins(const struct value *pins, struct err *err)
{
	const struct ventry *e;
	uint32_t it = 0, i;

	if (pins == NULL || !v_is_map(pins) || v_count(pins) > ASK_JUMPS_MAX + 1)
		return err_set(err, ERR_INVALID, "no pins");
	while ((e = v_next(pins, &it)) != NULL) {
		if (!v_is_list(e->val) || v_count(e->val) == 0 || v_count(e->val) > ASK_PINS_MAX)
			return err_set(err, ERR_INVALID, "no list of keys");
		for (i = 0; i < v_count(e->val); i++)
			if (!v_is_str(v_at(e->val, i)) ||
			    strchr(v_at(e->val, i)->u.s, ' ') == NULL)
				return err_set(err, ERR_INVALID, "no key");
	}
	return 0;
}

static void
identify(struct ask *q, const struct value *login, const struct value *jumps)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	codec_encode(&b, login);
	codec_encode(&b, jumps);
	sha256_text(b.data, b.len, q->key);
}

int
ask_parse(struct arena *a, const char *data, size_t len, struct ask *q, struct err *err)
{
	const struct value *v = codec_decode(a, data, len, err), *login = v_gets(v, "login");
	const struct value *jumps = v_gets(v, "jumps");
	const char *what = text(v, "do", 16);
	int64_t id = v_get_int(v, "id", 0), ms = v_get_int(v, "timeout_ms", 0);

	memset(q, 0, sizeof(*q));
	if (v == NULL)
		return -1;
	if (what != NULL && strcmp(what, "forget") == 0) {
		q->forget = true;
		q->spec.host = text(v, "host", 255);
		q->spec.port = (int)v_get_int(v, "port", 0);
		return q->spec.host != NULL ? 0 : err_set(err, ERR_INVALID, "no host");
	}
	if (what == NULL || strcmp(what, "open") != 0 || login == NULL)
		return err_set(err, ERR_INVALID, "no request");
	if (read_login(a, login, &q->spec, err) == -1 || read_jumps(a, jumps, q, err) == -1)
		return -1;
	identify(q, login, jumps);
	q->command = text(v, "command", ASK_COMMAND_MAX);
	q->pins = v_gets(v, "pins");
	if (q->command == NULL || *q->command == '\0' || id < 1 ||
	    id > UINT32_MAX || ms < 0 || ms > TIMEOUT_MAX_MS)
		return err_set(err, ERR_INVALID, "no request");
	q->id = (uint32_t)id;
	q->spec.connect_timeout_ms = (int)ms;
	return read_pins(q->pins, err);
}

/* ---- what the keeper looks up ----------------------------------------------------------------- */

int
ask_jump(void *ask, const char *name, struct conn_spec *ret, struct err *err)
{
	const struct ask *q = ask;
	const struct conn_spec *jump;

	for (jump = q->jumps; jump < q->jumps + q->njumps; jump++)
		if (strcmp(jump->name, name) == 0) {
			ret->host = jump->host;
			ret->port = jump->port;
			ret->user = jump->user;
			ret->keys = jump->keys;
			ret->home = jump->home;
			ret->agent = jump->agent;
			ret->use_agent = jump->use_agent;
			ret->lax_kex = jump->lax_kex;
			return 0;
		}
	return err_set(err, ERR_INVALID, "the jump host '%s' was not told of", name);
}

uint32_t
ask_pins(const struct value *pins, const char *host, int port, const char **ret, uint32_t max)
{
	struct arena a = { 0 };
	const struct value *list = v_gets(pins, place(&a, host, port));
	uint32_t i;

	arena_release(&a);
	for (i = 0; list != NULL && i < v_count(list) && i < max; i++)
		ret[i] = v_at(list, i)->u.s;
	return i;
}
