/*
 * See config.h.  Each mapping is a table of rows: key, type, where it goes;
 * what is no key of it is an error with the nearest one as a hint.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "serve/config.h"
#include "yaml/yaml.h"

enum row_type { ROW_BOOL, ROW_INT, ROW_STR, ROW_PATH, ROW_SPAN, ROW_MAP, ROW_OTHER };

struct row {
	const char	*key;		/* NULL ends */
	enum row_type	 type;
	size_t		 offset;
	int		 min, max;
	const struct row *rows;		/* ROW_MAP: into the same structure */
};

struct reading {
	struct config	*c;
	struct arena	*a;
	const char	*folder;	/* of the file */
	struct diags	*diags;
};

static const char *
absolute(struct arena *a, const char *folder, const char *path)
{
	return *path == '/' ? path : arena_printf(a, "%s/%s", folder, path);
}

static void
wrong_type(struct reading *r, const char *key, const struct value *v, const char *wanted)
{
	(void)diags_error(r->diags, ERR_TYPE, v_mark(v), "'%s' is %s, it must be %s", key,
	    v_type_name(v), wanted);
}

/* Seconds: a number, or one with s, m or h behind it. */
static void
read_span(struct reading *r, const struct row *row, const struct value *v, int *to)
{
	static const char units[] = "smh";
	static const int seconds[] = { 1, 60, 3600 };
	int64_t n = v->type == V_INT ? v->u.i : -1;
	const char *unit;
	char *end;

	if (v_is_str(v) && v->u.s[0] >= '0' && v->u.s[0] <= '9') {
		n = strtoll(v->u.s, &end, 10);
		unit = *end != '\0' ? strchr(units, *end) : NULL;
		n = unit == NULL || end[1] != '\0' || n > row->max ? -1 :
		    n * seconds[unit - units];
	}
	if (n < row->min || n > row->max)
		err_hint(diags_error(r->diags, ERR_VALUE, v_mark(v), "'%s' must be a time from %d s"
		    " to %d h", row->key, row->min, row->max / 3600), "90s, 10m, 1h; 0 for not at all");
	else
		*to = (int)n;
}

static void read_rows(struct reading *, const struct row *, const struct value *, const char *, void *);

static void
read_value(struct reading *r, const struct row *row, const struct value *v, void *to)
{
	char *at = (char *)to + row->offset;

	switch (row->type) {
	case ROW_BOOL:
		if (v->type != V_BOOL)
			wrong_type(r, row->key, v, "yes or no");
		else
			*(bool *)at = v->u.b;
		break;
	case ROW_INT:
		if (v->type != V_INT)
			wrong_type(r, row->key, v, "a whole number");
		else if (v->u.i < row->min || v->u.i > row->max)
			(void)diags_error(r->diags, ERR_VALUE, v_mark(v), "'%s' is %lld, it must be"
			    " from %d to %d", row->key, (long long)v->u.i, row->min, row->max);
		else
			*(int *)(void *)at = (int)v->u.i;
		break;
	case ROW_STR:
	case ROW_PATH:
		if (!v_is_str(v) || v->len == 0 || strlen(v->u.s) != v->len)
			wrong_type(r, row->key, v, "a text");
		else
			*(const char **)(void *)at = row->type == ROW_STR ? v->u.s :
			    absolute(r->a, r->folder, v->u.s);
		break;
	case ROW_SPAN:
		read_span(r, row, v, (int *)(void *)at);
		break;
	case ROW_MAP:
		read_rows(r, row->rows, v, row->key, to);
		break;
	case ROW_OTHER:
		break;
	}
}

static void
unknown(struct reading *r, const struct row *rows, const struct value *key, const char *where)
{
	const char *best = NULL;
	unsigned dist = 0;
	struct err *e;
	size_t i;

	e = diags_error(r->diags, ERR_INVALID, v_mark(key), "unknown key '%s' in %s",
	    v_is_str(key) ? key->u.s : v_type_name(key), where);
	for (i = 0; v_is_str(key) && rows[i].key != NULL; i++)
		nearest_try(key->u.s, rows[i].key, &best, &dist);
	if (best != NULL)
		err_hint(e, "did you mean '%s'?", best);
}

static void
read_rows(struct reading *r, const struct row *rows, const struct value *map,
    const char *where, void *to)
{
	const struct ventry *e;
	uint32_t it = 0;
	size_t i;

	if (!v_is_map(map)) {
		wrong_type(r, where, map, "a mapping");
		return;
	}
	while ((e = v_next(map, &it)) != NULL) {
		for (i = 0; rows[i].key != NULL && !v_eqs(e->key, rows[i].key); i++)
			;
		if (rows[i].key == NULL)
			unknown(r, rows, e->key, where);
		else
			read_value(r, &rows[i], e->val, to);
	}
}

/* A list of texts, or one. NULL with diags. */
static const char *const *
words(struct reading *r, const char *key, const struct value *v)
{
	const char **list;
	uint32_t i, n = v_is_list(v) ? v_count(v) : 1;

	list = ARENA_ARRAY(r->a, n + 1, const char *);
	for (i = 0; i < n; i++) {
		const struct value *one = v_is_list(v) ? v_at(v, i) : v;

		if (!v_is_str(one) || one->len == 0 || strlen(one->u.s) != one->len) {
			wrong_type(r, key, one, "a text, or a list of them");
			return NULL;
		}
		list[i] = one->u.s;
	}
	return list;
}

/* ---- sites -------------------------------------------------------------------------- */

#define SITE(field)	offsetof(struct config_site, field)

static const struct row site_rows[] = {
	{ .key = "path", .type = ROW_STR, .offset = SITE(path) },
	{ .key = "name", .type = ROW_STR, .offset = SITE(name) },
	{ .key = "drift", .type = ROW_STR, .offset = SITE(drift) },
	{ .key = "correct", .type = ROW_BOOL, .offset = SITE(correct) },
	{ .key = "spread", .type = ROW_INT, .offset = SITE(spread), .max = 720 },
	{ .key = "limit", .type = ROW_STR, .offset = SITE(limit) },
	{ .key = NULL },
};

const char *
config_name(struct arena *a, const char *path)
{
	return basename(dirname(arena_strdup(a, path)));
}

static void
read_site(struct reading *r, const struct value *v, struct config_site *site)
{
	const struct value *drift;
	struct err err = ERR_INIT;

	if (!v_is_map(v)) {
		wrong_type(r, "sites", v, "a list of mappings with 'path'");
		return;
	}
	site->mark = v_mark(v);
	read_rows(r, site_rows, v, "a site", site);
	if (site->path == NULL) {
		if (v_gets(v, "path") == NULL)
			(void)diags_error(r->diags, ERR_INVALID, v_mark(v), "a site without 'path'");
		return;
	}
	if (*site->path != '/') {
		(void)diags_error(r->diags, ERR_INVALID, v_mark(v_gets(v, "path")),
		    "the path '%s' of a site must be absolute", site->path);
		return;
	}
	if (access(site->path, R_OK) == -1)
		err_hint(diags_warn(r->diags, v_mark(v_gets(v, "path")), "'%s' cannot be read now: %s",
		    site->path, strerror(errno)), "only what was applied before is looked after");
	if (site->name == NULL)
		site->name = config_name(r->a, site->path);
	site->key = arena_printf(r->a, "%s: %s", site->name, site->drift != NULL ? site->drift : "");
	if ((drift = v_gets(v, "drift")) != NULL && site->drift != NULL &&
	    times_parse(site->drift, &site->times, &err) == -1) {
		err_at(&err, v_mark(drift));
		diags_add(r->diags, DIAG_ERROR, &err);
	} else if (drift == NULL) {
		struct err *e = diags_error(r->diags, ERR_INVALID, v_mark(v),
		    "the site '%s' says not when: 'drift' is missing", site->name);

		err_hint(e, "`drift: nightly, 03:10`; `drift: never` for one that is only started by hand");
	}
}

static void
second_site(struct reading *r, const struct config_site *site, const struct config_site *first)
{
	struct err *e = diags_error(r->diags, ERR_INVALID, site->mark.src != NULL ? site->mark :
	    first->mark, "a second site with the name '%s'", site->name);

	if (site->mark.src != NULL) {
		err_note(e, first->mark, "the first one");
		err_hint(e, "give it another one: `name: …`");
	} else
		err_hint(e, "the other is on record in the database, by `provctl schedule set`:"
		    " `provctl schedule remove %s` takes it away", site->name);
}

static void
read_sites(struct reading *r, const struct value *list)
{
	struct config *c = r->c;
	const struct config_site *first;
	struct config_site *sites;
	uint32_t i;

	if (!v_is_list(list)) {
		wrong_type(r, "sites", list, "a list");
		return;
	}
	if (v_count(list) > CONFIG_SITES_MAX - c->nsites) {
		(void)diags_error(r->diags, ERR_LIMIT, v_mark(list), "more than %d sites",
		    CONFIG_SITES_MAX);
		return;
	}
	sites = ARENA_ARRAY(r->a, c->nsites + v_count(list), struct config_site);
	if (c->nsites > 0)
		memcpy(sites, c->sites, c->nsites * sizeof(*sites));
	c->sites = sites;
	for (i = 0; i < v_count(list); i++) {
		read_site(r, v_at(list, i), &sites[c->nsites]);
		if (sites[c->nsites].name != NULL &&
		    (first = config_site(c, sites[c->nsites].name, NULL)) != NULL)
			second_site(r, &sites[c->nsites], first);
		c->nsites++;
	}
}

const struct config_site *
config_site(const struct config *c, const char *name, const char **ret_near)
{
	unsigned dist = 0;
	uint32_t i;

	if (ret_near != NULL)
		*ret_near = NULL;
	for (i = 0; i < c->nsites; i++) {
		if (c->sites[i].name == NULL)
			continue;
		if (strcmp(c->sites[i].name, name) == 0)
			return &c->sites[i];
		if (ret_near != NULL)
			nearest_try(name, c->sites[i].name, ret_near, &dist);
	}
	return NULL;
}

/* ---- the file ---------------------------------------------------------------------------- */

#define CONFIG(field)	offsetof(struct config, field)

static const struct row socket_rows[] = {
	{ .key = "group", .type = ROW_STR, .offset = CONFIG(group) },
	{ .key = NULL },
};
static const struct row give_up_rows[] = {
	{ .key = "command", .type = ROW_OTHER },
	{ .key = "webhook", .type = ROW_STR, .offset = CONFIG(webhook) },
	{ .key = NULL },
};
static const struct row page_rows[] = {
	{ .key = "listen", .type = ROW_STR, .offset = CONFIG(page_listen) },
	{ .key = "token_file", .type = ROW_PATH, .offset = CONFIG(page_token_file) },
	{ .key = NULL },
};
static const struct row rows[] = {
	{ .key = "sites", .type = ROW_OTHER },
	{ .key = "retries", .type = ROW_BOOL, .offset = CONFIG(retries) },
	{ .key = "probe", .type = ROW_OTHER },
	{ .key = "resume", .type = ROW_OTHER },
	{ .key = "jobs", .type = ROW_INT, .offset = CONFIG(jobs), .min = 1, .max = 64 },
	{ .key = "stop_after", .type = ROW_INT, .offset = CONFIG(stop_after), .max = 3600 },
	{ .key = "keep_connections", .type = ROW_SPAN, .offset = CONFIG(keep_connections), .max = 86400 },
	{ .key = "socket", .type = ROW_MAP, .rows = socket_rows },
	{ .key = "on_give_up", .type = ROW_MAP, .rows = give_up_rows },
	{ .key = "page", .type = ROW_MAP, .rows = page_rows },
	{ .key = NULL },
};

static void
read_probe(struct reading *r, const struct value *v)
{
	static const struct row row = { .key = "probe", .type = ROW_INT,
	    .offset = CONFIG(probe), .min = 1, .max = 3600 };

	if (v->type == V_BOOL && !v->u.b)
		r->c->probe = 0;
	else
		read_value(r, &row, v, r->c);
}

static void
read_resume(struct reading *r, const struct value *v)
{
	if (v->type == V_BOOL && !v->u.b)
		r->c->resume = RESUME_NO;
	else if (v_eqs(v, "own"))
		r->c->resume = RESUME_OWN;
	else if (v_eqs(v, "all"))
		r->c->resume = RESUME_ALL;
	else
		(void)diags_error(r->diags, ERR_INVALID, v_mark(v),
		    "'resume' must be own (runs that agentd began), all, or no");
}

static void
read_all(struct reading *r, const struct value *root)
{
	struct config *c = r->c;
	const struct value *v;

	read_rows(r, rows, root, "agentd.yml", c);
	if ((v = v_gets(root, "sites")) != NULL && !v_is_null(v))
		read_sites(r, v);
	if ((v = v_gets(root, "probe")) != NULL)
		read_probe(r, v);
	if ((v = v_gets(root, "resume")) != NULL)
		read_resume(r, v);
	if ((v = v_gets(v_gets(root, "on_give_up"), "command")) != NULL &&
	    (c->command = words(r, "command", v)) != NULL &&
	    (c->command[0] == NULL || *c->command[0] != '/'))
		err_hint(diags_error(r->diags, ERR_INVALID, v_mark(v),
		    "the command must begin with the absolute path of a program"),
		    "its arguments are further items of a list; there is no shell");
	if (c->webhook != NULL && strncmp(c->webhook, "https://", 8) != 0 &&
	    strncmp(c->webhook, "http://", 7) != 0)
		(void)diags_error(r->diags, ERR_INVALID, v_mark(v_gets(v_gets(root, "on_give_up"),
		    "webhook")), "the webhook is no https:// or http:// address");
	if ((v = v_gets(root, "page")) != NULL && (c->page_listen == NULL || c->page_token_file == NULL))
		(void)diags_error(r->diags, ERR_INVALID, v_mark(v), "'page' needs 'listen' and 'token_file'");
}

void
config_init(struct config *c)
{
	*c = (struct config){ .retries = true, .probe = 45, .resume = RESUME_OWN, .jobs = 2, .stop_after = 60,
	    .keep_connections = 600 };
}

void
config_release(struct config *c)
{
	arena_release(&c->arena);
}

int
config_load(const char *path, struct config *c, struct diags *diags)
{
	static const struct yaml_opts opts = { 0 };
	struct reading r = { .c = c, .a = &c->arena, .diags = diags };
	const struct value *root;
	size_t before = diags->nerrors;

	config_init(c);
	r.folder = dirname(arena_strdup(&c->arena, path));
	if ((root = yaml_load(&c->arena, path, &opts, diags)) != NULL && !v_is_null(root))
		read_all(&r, root);
	return root != NULL && diags->nerrors == before ? 0 : -1;
}

int
config_add(struct config *c, const struct value *note, struct diags *diags)
{
	struct reading r = { .c = c, .a = &c->arena, .folder = "/", .diags = diags };
	size_t before = diags->nerrors;

	if (!v_is_null(note))
		read_sites(&r, v_copy(&c->arena, note));
	return diags->nerrors == before ? 0 : -1;
}

const char *
config_default_path(struct arena *a)
{
	const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (geteuid() != 0 && dir != NULL && *dir == '/')
		return arena_printf(a, "%s/provctl/agentd.yml", dir);
	if (geteuid() != 0 && home != NULL && strncmp(home, "/home/", 6) == 0)
		return arena_printf(a, "%s/.config/provctl/agentd.yml", home);
	return "/etc/provctl/agentd.yml";
}
