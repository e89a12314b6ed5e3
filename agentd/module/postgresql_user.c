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

	memset(want, -1, NITEMS(flags) * sizeof(*want));
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

/* ---- rights, memberships, settings --------------------------------------- */

struct wanted {
	struct value	*objects;	/* "" (the database) or the table as SQL writes it */
	struct value	*rights;	/* one for each of these */
};

static int
want_rights(struct mod *m, struct wanted *w, const char *object, const char *text)
{
	static const char *const database[] = { "CREATE", "CONNECT", "TEMPORARY", NULL };
	static const char *const table[] = { "SELECT", "INSERT", "UPDATE", "DELETE",
	    "TRUNCATE", "REFERENCES", "TRIGGER", NULL };
	const char *const *there = *object == '\0' ? database : table;
	struct value *list = pg_split(m->arena, text);
	const char *word;
	uint32_t i, k;
	bool found;

	for (i = 0; i < v_count(list); i++) {
		word = v_at(list, i)->u.s;
		if (strcasecmp(word, "TEMP") == 0)
			word = "TEMPORARY";
		for (k = 0, found = false; there[k] != NULL; k++) {
			if (strcasecmp(word, there[k]) != 0 && strcasecmp(word, "ALL") != 0)
				continue;
			found = true;
			v_push(m->arena, w->objects, v_str(m->arena, object));
			v_push(m->arena, w->rights, v_str(m->arena, there[k]));
		}
		if (!found)
			return mod_fail(m, "Invalid privs specified for %s: %s",
			    *object == '\0' ? "database" : "table", word);
	}
	return 0;
}

/* "CONNECT,CREATE/orders:SELECT,INSERT/audit.log:ALL". -1 after mod_fail. */
static int
parse_priv(struct mod *m, struct wanted *w)
{
	const char *s = mod_arg_str(m, "priv"), *end, *colon;
	char *part;

	w->objects = v_list(m->arena);
	w->rights = v_list(m->arena);
	for (; s != NULL && *s != '\0'; s = *end == '/' ? end + 1 : end) {
		end = strchrnul(s, '/');
		part = arena_strndup(m->arena, s, (size_t)(end - s));
		colon = strchr(part, ':');
		if (want_rights(m, w, colon == NULL ? "" :
		    pg_ident_dotted(m->arena, arena_strndup(m->arena, part, (size_t)(colon - part))),
		    colon == NULL ? part : colon + 1) == -1)
			return -1;
	}
	return 0;
}

static void
grant(struct pg *pg, struct buf *b, const char *verb, const char *to, const char *name,
    const char *object, const char *right)
{
	buf_addf(b, "%s %s ON %s %s %s %s;\n", verb, right, *object == '\0' ? "DATABASE" : "TABLE",
	    *object == '\0' ? pg_ident(pg->m->arena, pg->db) : object, to,
	    pg_ident(pg->m->arena, name));
}

/* The rights of `priv` that the role itself was not granted yet. */
static int
missing_rights(struct pg *pg, const char *name, const struct wanted *w, struct buf *b,
    struct value *after)
{
	struct arena *a = pg->m->arena;
	CLEANUP_BUF struct buf sql = BUF_INIT;
	const char *object, *right;
	struct pg_rows rows;
	uint32_t i;

	if (v_count(w->objects) == 0)
		return 0;
	buf_adds(&sql, "SELECT w.n FROM (VALUES ");
	for (i = 0; i < v_count(w->objects); i++)
		buf_addf(&sql, "%s(%u, %s, %s)", i > 0 ? ", " : "", i,
		    pg_lit(a, v_at(w->objects, i)->u.s), pg_lit(a, v_at(w->rights, i)->u.s));
	buf_addf(&sql, ") w(n, o, p) WHERE NOT EXISTS (SELECT FROM pg_roles r, aclexplode("
	    "CASE WHEN w.o = '' THEN (SELECT coalesce(datacl, acldefault('d', datdba)) "
	    "FROM pg_database WHERE datname = current_database()) "
	    "ELSE (SELECT coalesce(relacl, acldefault('r', relowner)) "
	    "FROM pg_class WHERE oid = to_regclass(w.o)) END) x WHERE r.rolname = %s "
	    "AND x.grantee = r.oid AND x.privilege_type = w.p) ORDER BY w.n;", pg_lit(a, name));
	if (pg_query(pg, &rows, buf_str(&sql)) == -1)
		return -1;
	for (i = 0; i < (pg->down ? v_count(w->objects) : rows.n); i++) {
		uint32_t at = pg->down ? i : (uint32_t)strtoul(pg_field(&rows, i, 0), NULL, 10);

		object = v_at(w->objects, at)->u.s;
		right = v_at(w->rights, at)->u.s;
		grant(pg, b, "GRANT", "TO", name, object, right);
		note(pg->m, after, arena_printf(a, "%s on %s", right,
		    *object == '\0' ? pg->db : object), "granted");
	}
	return 0;
}

static int
missing_groups(struct pg *pg, const char *name, struct buf *b, struct value *after)
{
	const struct value *groups = mod_arg(pg->m, "groups");
	struct arena *a = pg->m->arena;
	const char *group;
	struct pg_rows rows;
	uint32_t i;

	for (i = 0; groups != NULL && i < v_count(groups); i++) {
		group = v_at(groups, i)->u.s;
		if (pg_query(pg, &rows, arena_printf(a, "SELECT 1 FROM pg_auth_members m "
		    "JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member "
		    "WHERE g.rolname = %s AND u.rolname = %s;", pg_lit(a, group),
		    pg_lit(a, name))) == -1)
			return -1;
		if (rows.n > 0)
			continue;
		buf_addf(b, "GRANT %s TO %s;\n", pg_ident(a, group), pg_ident(a, name));
		note(pg->m, after, arena_printf(a, "member of %s", group), "yes");
	}
	return 0;
}

/* As it is written in SQL; NULL: no scalar. */
static const char *
setting_text(struct arena *a, const struct value *v)
{
	switch (v->type) {
	case V_STR:
		return v->u.s;
	case V_BOOL:
		return v->u.b ? "on" : "off";
	case V_INT:
		return arena_printf(a, "%lld", (long long)v->u.i);
	case V_FLOAT:
		return arena_printf(a, "%.15g", v->u.f);
	default:
		return NULL;
	}
}

/* Settings of the role for all databases (ALTER ROLE … SET). */
static int
differing_settings(struct pg *pg, const char *name, struct buf *b, struct value *before,
    struct value *after)
{
	const struct value *want = mod_arg(pg->m, "configuration");
	struct arena *a = pg->m->arena;
	bool quote = mod_arg_bool(pg->m, "quote_configuration_values");
	const struct ventry *e;
	const char *key, *text, *now;
	struct pg_rows rows;
	uint32_t it, k;

	if (want == NULL)
		return 0;
	if (pg_query(pg, &rows, arena_printf(a, "SELECT split_part(c, '=', 1), "
	    "substr(c, strpos(c, '=') + 1) FROM pg_db_role_setting s "
	    "JOIN pg_roles u ON u.oid = s.setrole, unnest(s.setconfig) c "
	    "WHERE s.setdatabase = 0 AND u.rolname = %s;", pg_lit(a, name))) == -1)
		return -1;
	for (it = 0; (e = v_next(want, &it)) != NULL;) {
		key = v_is_str(e->key) ? e->key->u.s : "";
		text = setting_text(a, e->val);
		if (*key == '\0' || text == NULL)
			return mod_fail(pg->m, "configuration: '%s' is %s: it needs a name and a string, a number or a boolean",
			    key, v_type_name(e->val));
		for (k = 0, now = NULL; k < rows.n; k++)
			if (strcasecmp(pg_field(&rows, k, 0), key) == 0)
				now = pg_field(&rows, k, 1);
		if (now != NULL && strcmp(now, text) == 0)
			continue;
		buf_addf(b, "ALTER ROLE %s SET %s = %s;\n", pg_ident(a, name),
		    pg_ident_dotted(a, key), quote ? pg_lit(a, text) : text);
		note(pg->m, before, key, now == NULL ? "" : now);
		note(pg->m, after, key, text);
	}
	for (k = 0; mod_arg_bool(pg->m, "reset_unspecified_configuration") && k < rows.n; k++) {
		now = pg_field(&rows, k, 0);
		for (it = 0; (e = v_next(want, &it)) != NULL;)
			if (strcasecmp(e->key->u.s, now) == 0)
				break;
		if (e != NULL)
			continue;
		buf_addf(b, "ALTER ROLE %s RESET %s;\n", pg_ident(a, name), pg_ident_dotted(a, now));
		note(pg->m, before, now, pg_field(&rows, k, 1));
		note(pg->m, after, now, "");
	}
	return 0;
}

static int
belongings(struct pg *pg, const char *name, const struct wanted *w)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct value *before = v_map(pg->m->arena), *after = v_map(pg->m->arena);

	if (missing_rights(pg, name, w, &b, after) == -1 ||
	    missing_groups(pg, name, &b, after) == -1 ||
	    differing_settings(pg, name, &b, before, after) == -1)
		return -1;
	if (b.len == 0 || !mod_change(pg->m, arena_printf(pg->m->arena,
	    "rights and settings of role %s", name), before, after))
		return 0;
	return pg_change(pg, buf_str(&b), NULL);
}

static int
absent(struct pg *pg, const char *name, const struct role *r, const struct wanted *w)
{
	struct arena *a = pg->m->arena;
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	mod_set_bool(pg->m, "user_removed", r->exists);
	if (!r->exists || !mod_change(pg->m, arena_printf(a, "role %s", name),
	    v_str(a, "present"), NULL))
		return 0;
	/* a role that may do something cannot be dropped */
	for (i = 0; i < v_count(w->objects); i++)
		grant(pg, &b, "REVOKE", "FROM", name, v_at(w->objects, i)->u.s,
		    v_at(w->rights, i)->u.s);
	buf_addf(&b, "DROP ROLE %s;", pg_ident(a, name));
	if (pg_change(pg, buf_str(&b), NULL) == 0)
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
	struct wanted w;
	struct role r;
	struct pg pg;
	int rc;

	pg_open(&pg, m, db == NULL || *db == '\0' ? "postgres" : db);
	if (parse_priv(m, &w) == -1 || look(&pg, name, &r) == -1)
		return -1;
	if (mod_arg_is(m, "state", "absent"))
		rc = absent(&pg, name, &r, &w);
	else if ((rc = present(&pg, name, &r)) == 0)
		rc = belongings(&pg, name, &w);
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
	{ .name = "priv", .type = ARG_STR,
	    .doc = "Rights on the database and on tables, separated by slashes: CONNECT/orders:SELECT,INSERT. Removed in newer versions of the collection: postgresql_privs can do more." },
	{ .name = "groups", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Roles it shall be a member of; others it keeps." },
	{ .name = "configuration", .type = ARG_MAP,
	    .doc = "Settings of the role (ALTER ROLE … SET)." },
	{ .name = "quote_configuration_values", .type = ARG_BOOL, .def = "true",
	    .doc = "Whether these are quoted; without, a value may be a list (app, public)." },
	{ .name = "reset_unspecified_configuration", .type = ARG_BOOL, .def = "false",
	    .doc = "Takes back settings that `configuration` does not name." },
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
