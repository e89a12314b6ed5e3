/*
 * postgresql_ext, postgresql_schema: what a database holds beside its tables.
 */
#include <string.h>

#include "module/pg.h"

#define END	{ .name = NULL }

/* ---- extensions --------------------------------------------------------- */

struct extension {
	const char	*version, *schema, *latest;
	bool		 exists, available, offered;
};

static int
look(struct pg *pg, const char *name, struct extension *e)
{
	struct arena *a = pg->m->arena;
	const char *version = mod_arg_str(pg->m, "version");
	struct pg_rows r;

	memset(e, 0, sizeof(*e));
	if (pg_query(pg, &r, arena_printf(a,
	    "SELECT e.extversion, n.nspname, a.default_version, "
	    "EXISTS (SELECT 1 FROM pg_available_extension_versions v "
	    "WHERE v.name = x.name AND v.version = %s) "
	    "FROM (SELECT %s::name AS name) x "
	    "LEFT JOIN pg_extension e ON e.extname = x.name "
	    "LEFT JOIN pg_namespace n ON n.oid = e.extnamespace "
	    "LEFT JOIN pg_available_extensions a ON a.name = x.name;",
	    pg_lit(a, version == NULL ? "" : version), pg_lit(a, name))) == -1)
		return -1;
	e->exists = r.n == 1 && !pg_is_null(&r, 0, 0);
	e->available = r.n == 1 && !pg_is_null(&r, 0, 2);
	e->offered = strcmp(pg_field(&r, 0, 3), "t") == 0;
	e->version = pg_field(&r, 0, 0);
	e->schema = pg_field(&r, 0, 1);
	e->latest = pg_field(&r, 0, 2);
	return 0;
}

static int
ext_create(struct pg *pg, const char *name, const struct extension *e)
{
	struct arena *a = pg->m->arena;
	const char *version = mod_arg_str(pg->m, "version");
	const char *schema = mod_arg_str(pg->m, "schema");
	bool latest = version != NULL && strcmp(version, "latest") == 0;

	if (!pg->down && !e->available && !pg->m->check)
		return mod_fail(pg->m, "the server has no extension '%s' to install (is its package installed?)",
		    name);
	if (!pg->down && version != NULL && !latest && !e->offered && !pg->m->check)
		return mod_fail(pg->m, "the server has no version '%s' of extension '%s' (it has %s)",
		    version, name, e->latest);
	if (!mod_change(pg->m, arena_printf(a, "extension %s", name), NULL,
	    v_strf(a, "version %s", version != NULL && !latest ? version :
	    *e->latest != '\0' ? e->latest : "latest")))
		return 0;
	return pg_change(pg, arena_printf(a, "CREATE EXTENSION %s%s%s%s%s%s;",
	    pg_ident(a, name), schema != NULL ? " WITH SCHEMA " : "",
	    schema != NULL ? pg_ident(a, schema) : "",
	    version != NULL && !latest ? " VERSION " : "",
	    version != NULL && !latest ? pg_lit(a, version) : "",
	    mod_arg_bool(pg->m, "cascade") ? " CASCADE" : ""), NULL);
}

static int
ext_alter(struct pg *pg, const char *name, const struct extension *e)
{
	struct arena *a = pg->m->arena;
	const char *version = mod_arg_str(pg->m, "version");
	const char *schema = mod_arg_str(pg->m, "schema");
	const char *what = arena_printf(a, "extension %s", name);

	if (schema != NULL && strcmp(schema, e->schema) != 0 &&
	    mod_change(pg->m, what, v_strf(a, "schema %s", e->schema),
	    v_strf(a, "schema %s", schema)) &&
	    pg_change(pg, arena_printf(a, "ALTER EXTENSION %s SET SCHEMA %s;",
	    pg_ident(a, name), pg_ident(a, schema)), NULL) == -1)
		return -1;
	if (version != NULL && strcmp(version, "latest") == 0)
		version = e->available ? e->latest : NULL;
	if (version == NULL || strcmp(version, e->version) == 0 ||
	    !mod_change(pg->m, what, v_strf(a, "version %s", e->version),
	    v_strf(a, "version %s", version)))
		return 0;
	return pg_change(pg, arena_printf(a, "ALTER EXTENSION %s UPDATE TO %s;",
	    pg_ident(a, name), pg_lit(a, version)), NULL);
}

static int
ext_drop(struct pg *pg, const char *name, const struct extension *e)
{
	struct arena *a = pg->m->arena;

	if (!e->exists || !mod_change(pg->m, arena_printf(a, "extension %s", name),
	    v_strf(a, "version %s", e->version), NULL))
		return 0;
	return pg_change(pg, arena_printf(a, "DROP EXTENSION %s%s;",
	    pg_ident(a, name), mod_arg_bool(pg->m, "cascade") ? " CASCADE" : ""), NULL);
}

static int
postgresql_ext_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name");
	struct extension e;
	struct pg pg;
	int rc;

	pg_open(&pg, m, mod_arg_str(m, "db"));
	if (look(&pg, name, &e) == -1)
		return -1;
	if (mod_arg_is(m, "state", "absent"))
		rc = ext_drop(&pg, name, &e);
	else
		rc = e.exists ? ext_alter(&pg, name, &e) : ext_create(&pg, name, &e);
	mod_set_str(m, "db", pg.db);
	mod_set_str(m, "ext", name);
	mod_set_str(m, "prev_version", e.version);
	mod_set(m, "queries", pg.queries);
	return rc;
}

static const struct mod_arg postgresql_ext_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "ext",
	    .doc = "The extension." },
	{ .name = "db", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "login_db",
	    .doc = "The database." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall be there." },
	{ .name = "schema", .type = ARG_STR, .doc = "Schema of what it brings." },
	{ .name = "version", .type = ARG_STR, .doc = "Its version, or `latest`." },
	{ .name = "cascade", .type = ARG_BOOL, .def = "false",
	    .doc = "Makes what it needs as well; drops what needs it." },
	PG_ROWS,
	END
};

const struct module postgresql_ext_module = {
	.name = "postgresql_ext", .collection = "community.postgresql",
	.summary = "Adds extensions to a database of PostgreSQL.",
	.examples =
	    "- community.postgresql.postgresql_ext:\n"
	    "    name: pg_trgm\n"
	    "    login_db: exams\n",
	.returns = "ext: the extension\ndb: the database\nprev_version: its version before\nqueries: the SQL that changed something\n",
	.args = postgresql_ext_args, .run = postgresql_ext_run,
};

/* ---- schemas ------------------------------------------------------------ */

static int
postgresql_schema_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *owner = mod_arg_str(m, "owner");
	const char *id = pg_ident(m->arena, name), *now;
	const char *what = arena_printf(m->arena, "schema %s", name);
	struct pg_rows r;
	struct pg pg;
	int rc = 0;

	pg_open(&pg, m, mod_arg_str(m, "db"));
	if (pg_query(&pg, &r, arena_printf(m->arena,
	    "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s;",
	    pg_lit(m->arena, name))) == -1)
		return -1;
	now = pg_field(&r, 0, 0);
	if (mod_arg_is(m, "state", "absent")) {
		if (r.n == 1 && mod_change(m, what, v_str(m->arena, "present"), NULL))
			rc = pg_change(&pg, arena_printf(m->arena,
			    "DROP SCHEMA %s%s;", id,
			    mod_arg_bool(m, "cascade_drop") ? " CASCADE" : ""), NULL);
	} else if (r.n == 0) {
		if (mod_change(m, what, NULL, v_str(m->arena, "present")))
			rc = pg_change(&pg, arena_printf(m->arena,
			    "CREATE SCHEMA %s%s%s;", id, owner != NULL &&
			    *owner != '\0' ? " AUTHORIZATION " : "",
			    owner != NULL && *owner != '\0' ?
			    pg_ident(m->arena, owner) : ""), NULL);
	} else if (owner != NULL && *owner != '\0' && strcmp(owner, now) != 0) {
		if (mod_change(m, what, v_strf(m->arena, "owner %s", now),
		    v_strf(m->arena, "owner %s", owner)))
			rc = pg_change(&pg, arena_printf(m->arena,
			    "ALTER SCHEMA %s OWNER TO %s;", id,
			    pg_ident(m->arena, owner)), NULL);
	}
	mod_set_str(m, "schema", name);
	mod_set(m, "queries", pg.queries);
	return rc;
}

static const struct mod_arg postgresql_schema_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "schema",
	    .doc = "The schema." },
	{ .name = "db", .type = ARG_STR, .def = "postgres", .aliases = "login_db,database",
	    .doc = "The database." },
	{ .name = "owner", .type = ARG_STR, .doc = "Role that owns it." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall be there." },
	{ .name = "cascade_drop", .type = ARG_BOOL, .def = "false",
	    .doc = "Drops all that is in it." },
	{ .name = "comment", .type = ARG_STR, .flags = ARG_UNSUPPORTED,
	    .doc = "A comment on it." },
	PG_ROWS,
	END
};

const struct module postgresql_schema_module = {
	.name = "postgresql_schema", .collection = "community.postgresql",
	.summary = "Makes and drops schemas of a database of PostgreSQL.",
	.examples =
	    "- community.postgresql.postgresql_schema:\n"
	    "    name: results\n"
	    "    login_db: exams\n"
	    "    owner: exams\n",
	.returns = "schema: the schema\nqueries: the SQL that changed something\n",
	.args = postgresql_schema_args, .run = postgresql_schema_run,
};
