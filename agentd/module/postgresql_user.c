/*
 * postgresql_user: roles that may log in.
 *
 * A password is compared with the stored verifier, so that one that is right
 * changes nothing; a new one is sent as a verifier, never as text.
 */
#include <ctype.h>
#include <string.h>

#include "module/pg.h"

#define END	{ .name = NULL }

struct role {
	bool		 exists;
	const char	*password;	/* stored hash; NULL: none */
	bool		 scram;		/* what the server stores */
	const char	*limit, *comment, *valid_until;
	bool		 expires_fits;
	struct pg_rows	 rows;		/* flags from FIRST_FLAG on */
};

static const struct { const char *name, *column; } flags[] = {
	{ "SUPERUSER", "rolsuper" }, { "CREATEROLE", "rolcreaterole" },
	{ "CREATEDB", "rolcreatedb" }, { "INHERIT", "rolinherit" },
	{ "LOGIN", "rolcanlogin" }, { "REPLICATION", "rolreplication" },
	{ "BYPASSRLS", "rolbypassrls" },
};

#define FIRST_FLAG	6

static int
look(struct pg *pg, const char *name, struct role *r)
{
	struct arena *a = pg->m->arena;
	const char *expires = mod_arg_str(pg->m, "expires");
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	memset(r, 0, sizeof(*r));
	/* only a superuser may see the hashes: \if chooses the table */
	buf_adds(&b, "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS see \\gset\n"
	    "\\if :see\n\\set table pg_catalog.pg_authid\n\\set pass rolpassword\n"
	    "\\else\n\\set table pg_catalog.pg_roles\n\\set pass NULL\n\\endif\n");
	buf_addf(&b, "SELECT :pass, current_setting('password_encryption'), rolconnlimit, "
	    "coalesce(shobj_description(oid, 'pg_authid'), ''), rolvaliduntil, "
	    "rolvaliduntil IS NOT DISTINCT FROM %s", expires == NULL ?
	    "rolvaliduntil" : arena_printf(a, "%s::timestamptz", pg_lit(a, expires)));
	for (i = 0; i < NITEMS(flags); i++)
		buf_addf(&b, ", %s", flags[i].column);
	buf_addf(&b, " FROM :table WHERE rolname = %s;", pg_lit(a, name));
	if (pg_query(pg, &r->rows, buf_str(&b)) == -1)
		return -1;
	r->exists = r->rows.n == 1;
	r->password = pg_is_null(&r->rows, 0, 0) ? NULL : pg_field(&r->rows, 0, 0);
	r->scram = strcmp(pg_field(&r->rows, 0, 1), "md5") != 0 &&
	    strcmp(pg_field(&r->rows, 0, 1), "on") != 0;
	r->limit = pg_field(&r->rows, 0, 2);
	r->comment = pg_field(&r->rows, 0, 3);
	r->valid_until = pg_field(&r->rows, 0, 4);
	r->expires_fits = strcmp(pg_field(&r->rows, 0, 5), "t") == 0;
	return 0;
}

/* "LOGIN,NOSUPERUSER" as indexes; -1 after mod_fail. */
static int
parse_flags(struct mod *m, signed char want[NITEMS(flags)])
{
	const char *text = mod_arg_str(m, "role_attr_flags"), *s;
	struct value *list = pg_split(m->arena, text);
	char *word;
	uint32_t i;
	size_t k;
	bool no;

	memset(want, -1, NITEMS(flags));
	for (i = 0; i < v_count(list); i++) {
		word = arena_strdup(m->arena, v_at(list, i)->u.s);
		for (k = 0; word[k] != '\0'; k++)
			word[k] = (char)toupper((unsigned char)word[k]);
		no = strncmp(word, "NO", 2) == 0;
		s = word + (no ? 2 : 0);
		for (k = 0; k < NITEMS(flags); k++)
			if (strcmp(flags[k].name, s) == 0)
				break;
		if (k == NITEMS(flags))
			return mod_fail(m, "Invalid role_attr_flags specified: %s (there are SUPERUSER, CREATEROLE, CREATEDB, INHERIT, LOGIN, REPLICATION, BYPASSRLS, each also with NO before it)",
			    word);
		want[k] = !no;
	}
	return 0;
}

/* PASSWORD '…' for a new one; "" when it stays. NULL after mod_fail. */
static const char *
password_clause(struct pg *pg, const char *name, const struct role *r)
{
	const char *want = mod_arg_str(pg->m, "password"), *hash;

	if (want == NULL || (r->exists && mod_arg_bool(pg->m, "no_password_changes")))
		return "";
	if (*want == '\0')
		return r->exists && r->password != NULL ? " PASSWORD NULL" : "";
	if (r->exists && r->password != NULL &&
	    pg_password_matches(r->password, name, want))
		return "";
	hash = pg_password_is_hash(want) ? want :
	    pg_password_hash(pg->m->arena, name, want, !r->exists || r->scram);
	if (hash == NULL) {
		(void)mod_fail(pg->m, "no random numbers for the password's salt");
		return NULL;
	}
	return arena_printf(pg->m->arena, " PASSWORD %s", pg_lit(pg->m->arena, hash));
}

static void
note(struct mod *m, struct value *map, const char *key, const char *text)
{
	v_set_str(m->arena, map, key, text);
}

/* Clauses of CREATE or ALTER ROLE, but for the password; what differs goes to the maps. */
static void
clauses(struct pg *pg, const struct role *r, const signed char *want,
    struct buf *b, struct value *before, struct value *after)
{
	struct arena *a = pg->m->arena;
	const char *expires = mod_arg_str(pg->m, "expires");
	bool now;
	size_t i;

	for (i = 0; i < NITEMS(flags); i++) {
		now = strcmp(pg_field(&r->rows, 0, FIRST_FLAG + (uint32_t)i), "t") == 0;
		if (want[i] == -1 || (r->exists && now == want[i]))
			continue;
		buf_addf(b, " %s%s", want[i] ? "" : "NO", flags[i].name);
		note(pg->m, before, flags[i].name, now ? "yes" : "no");
		note(pg->m, after, flags[i].name, want[i] ? "yes" : "no");
	}
	if (expires != NULL && (!r->exists || !r->expires_fits)) {
		buf_addf(b, " VALID UNTIL %s", pg_lit(a, expires));
		note(pg->m, before, "expires", r->valid_until);
		note(pg->m, after, "expires", expires);
	}
	if (mod_has(pg->m, "conn_limit") && (!r->exists ||
	    mod_arg_int(pg->m, "conn_limit", -1) != strtol(r->limit, NULL, 10))) {
		buf_addf(b, " CONNECTION LIMIT %lld",
		    (long long)mod_arg_int(pg->m, "conn_limit", -1));
		note(pg->m, before, "conn_limit", r->limit);
		note(pg->m, after, "conn_limit", arena_printf(a, "%lld",
		    (long long)mod_arg_int(pg->m, "conn_limit", -1)));
	}
}

static int
present(struct pg *pg, const char *name, const struct role *r)
{
	struct arena *a = pg->m->arena;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct value *before = v_map(a), *after = v_map(a);
	const char *comment = mod_arg_str(pg->m, "comment"), *password, *sql, *shown;
	signed char want[NITEMS(flags)];
	bool set_comment;

	if (parse_flags(pg->m, want) == -1)
		return -1;
	password = password_clause(pg, name, r);
	if (password == NULL)
		return -1;
	clauses(pg, r, want, &b, before, after);
	set_comment = comment != NULL && strcmp(comment, r->comment) != 0;
	if (*password != '\0') {
		note(pg->m, before, "password", r->password == NULL ? "" : "********");
		note(pg->m, after, "password", "******** (another)");
	}
	if (set_comment) {
		note(pg->m, before, "comment", r->comment);
		note(pg->m, after, "comment", comment);
	}
	if ((r->exists && b.len == 0 && *password == '\0' && !set_comment) ||
	    !mod_change(pg->m, arena_printf(a, "role %s", name),
	    r->exists ? before : NULL, r->exists ? after : v_str(a, "present")))
		return 0;
	sql = r->exists && b.len == 0 && *password == '\0' ? "" :
	    arena_printf(a, "%s %s%s%s%s;\n", r->exists ? "ALTER ROLE" :
	    "CREATE ROLE", pg_ident(a, name), r->exists ? " " :
	    " LOGIN", buf_str(&b), password);
	shown = *password == '\0' ? sql : arena_printf(a, "%s %s%s PASSWORD '********';",
	    r->exists ? "ALTER ROLE" : "CREATE ROLE", pg_ident(a, name), buf_str(&b));
	/* LOGIN twice would be an error */
	if (!r->exists && want[4] != -1)
		sql = arena_printf(a, "CREATE ROLE %s%s%s;\n", pg_ident(a, name),
		    buf_str(&b), password);
	if (set_comment) {
		const char *c = arena_printf(a, "COMMENT ON ROLE %s IS %s;",
		    pg_ident(a, name), pg_lit(a, comment));

		sql = arena_printf(a, "%s%s", sql, c);
		shown = arena_printf(a, "%s%s%s", shown, *shown == '\0' ? "" : " ", c);
	}
	return pg_change(pg, sql, shown);
}

static int
absent(struct pg *pg, const char *name, const struct role *r)
{
	struct arena *a = pg->m->arena;

	mod_set_bool(pg->m, "user_removed", r->exists);
	if (!r->exists || !mod_change(pg->m, arena_printf(a, "role %s", name),
	    v_str(a, "present"), NULL))
		return 0;
	if (pg_change(pg, arena_printf(a, "DROP ROLE %s;", pg_ident(a, name)), NULL) == 0)
		return 0;
	if (mod_arg_bool(pg->m, "fail_on_user"))
		return mod_fail(pg->m, "Unable to remove user: %s",
		    v_get_str(pg->m->result, "msg", ""));
	pg->m->failed = false;
	mod_set_bool(pg->m, "user_removed", false);
	return 0;
}

static int
postgresql_user_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *db = mod_arg_str(m, "db");
	struct role r;
	struct pg pg;
	int rc;

	pg_open(&pg, m, db == NULL || *db == '\0' ? "postgres" : db);
	if (look(&pg, name, &r) == -1)
		return -1;
	rc = mod_arg_is(m, "state", "absent") ? absent(&pg, name, &r) :
	    present(&pg, name, &r);
	mod_set_str(m, "user", name);
	mod_set(m, "queries", pg.queries);
	return rc;
}

static const struct mod_arg postgresql_user_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "user",
	    .doc = "The role." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall exist." },
	{ .name = "password", .type = ARG_STR, .flags = ARG_SECRET,
	    .doc = "Its password, or a hash as PostgreSQL stores it; empty: none." },
	{ .name = "encrypted", .type = ARG_BOOL, .def = "true", .flags = ARG_IGNORED,
	    .doc = "PostgreSQL stores nothing but hashes." },
	{ .name = "no_password_changes", .type = ARG_BOOL, .def = "false",
	    .doc = "Leaves the password of a role that exists." },
	{ .name = "role_attr_flags", .type = ARG_STR, .def = "",
	    .doc = "LOGIN, CREATEDB, CREATEROLE, SUPERUSER, INHERIT, REPLICATION, BYPASSRLS, and with NO before, separated by commas." },
	{ .name = "expires", .type = ARG_STR,
	    .doc = "When its password ends; `infinity`: never." },
	{ .name = "conn_limit", .type = ARG_INT, .doc = "How many connections it may have; -1: any." },
	{ .name = "comment", .type = ARG_STR, .doc = "A comment on it." },
	{ .name = "db", .type = ARG_STR, .aliases = "login_db", .doc = "Database to connect to." },
	{ .name = "fail_on_user", .type = ARG_BOOL, .def = "true", .aliases = "fail_on_role",
	    .doc = "Whether a role that cannot be dropped, since something is its own, is a failure." },
	{ .name = "priv", .type = ARG_STR, .flags = ARG_UNSUPPORTED,
	    .doc = "Removed from Ansible: use postgresql_privs." },
	{ .name = "groups", .type = ARG_LIST, .of = ARG_STR, .flags = ARG_UNSUPPORTED,
	    .doc = "Removed from Ansible: use postgresql_privs with type: group." },
	{ .name = "configuration", .type = ARG_MAP, .flags = ARG_UNSUPPORTED,
	    .doc = "Settings of the role." },
	{ .name = "quote_configuration_values", .type = ARG_BOOL, .flags = ARG_UNSUPPORTED,
	    .doc = "Belongs to configuration." },
	{ .name = "reset_unspecified_configuration", .type = ARG_BOOL, .flags = ARG_UNSUPPORTED,
	    .doc = "Belongs to configuration." },
	PG_ROWS,
	END
};

const struct module postgresql_user_module = {
	.name = "postgresql_user", .collection = "community.postgresql",
	.summary = "Makes, changes and drops roles of PostgreSQL.",
	.doc = "A password that is right already is left alone; a new one is sent as a hash.",
	.examples =
	    "- community.postgresql.postgresql_user:\n"
	    "    name: exams\n"
	    "    password: \"{{ exams_db_password }}\"\n"
	    "    role_attr_flags: LOGIN,NOSUPERUSER,NOCREATEDB\n",
	.returns = "user: the role\nqueries: the SQL that changed something, without passwords\n",
	.args = postgresql_user_args, .run = postgresql_user_run,
};
