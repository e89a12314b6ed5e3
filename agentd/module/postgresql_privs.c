/*
 * postgresql_privs: who may do what.
 *
 * Whether a GRANT would change something is asked from PostgreSQL itself: it
 * is made in a transaction that compares the access lists before and after
 * (each right a row, defaults written out) and is rolled back.  Only if they
 * differ it is made for good.
 */
#include <ctype.h>
#include <string.h>

#include "module/pg.h"

#define END	{ .name = NULL }

struct kind {
	const char	*name;		/* argument `type` */
	const char	*keyword;	/* GRANT … ON keyword */
	const char	*catalog, *acl, *object, *owner, *schema, *code;
	const char	*where;		/* further condition, or "" */
};

/* What the catalogs call things. schema NULL: not in schemas. */
static const struct kind kinds[] = {
	{ "table", "TABLE", "pg_class", "relacl", "relname", "relowner", "relnamespace", "r", " AND o.relkind IN ('r','v','m','p','f')" },
	{ "sequence", "SEQUENCE", "pg_class", "relacl", "relname", "relowner", "relnamespace", "s", " AND o.relkind = 'S'" },
	{ "function", "FUNCTION", "pg_proc", "proacl", "proname", "proowner", "pronamespace", "f", "" },
	{ "procedure", "PROCEDURE", "pg_proc", "proacl", "proname", "proowner", "pronamespace", "f", "" },
	{ "type", "TYPE", "pg_type", "typacl", "typname", "typowner", "typnamespace", "T", "" },
	{ "database", "DATABASE", "pg_database", "datacl", "datname", "datdba", NULL, "d", "" },
	{ "schema", "SCHEMA", "pg_namespace", "nspacl", "nspname", "nspowner", NULL, "n", "" },
	{ "language", "LANGUAGE", "pg_language", "lanacl", "lanname", "lanowner", NULL, "l", "" },
	{ "tablespace", "TABLESPACE", "pg_tablespace", "spcacl", "spcname", "spcowner", NULL, "t", "" },
	{ "foreign_data_wrapper", "FOREIGN DATA WRAPPER", "pg_foreign_data_wrapper", "fdwacl", "fdwname", "fdwowner", NULL, "F", "" },
	{ "foreign_server", "FOREIGN SERVER", "pg_foreign_server", "srvacl", "srvname", "srvowner", NULL, "S", "" },
};

struct privs {
	struct pg		*pg;
	struct arena		*a;
	const struct kind	*kind;		/* NULL: group, default_privs */
	const char		*type, *schema;
	bool			 revoke, all_in_schema;
	const char		*privs;		/* "SELECT, INSERT" */
	struct value		*objs, *roles;
};

static const char *
role_name(struct arena *a, const char *role)
{
	return strcasecmp(role, "PUBLIC") == 0 ? "PUBLIC" : pg_ident(a, role);
}

static const char *
role_list(struct arena *a, const struct value *roles)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(roles); i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "",
		    role_name(a, v_at(roles, i)->u.s));
	return buf_dup(&b, a);
}

/* 'a', 'b' for IN (…). */
static const char *
literals(struct arena *a, const struct value *list)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", pg_lit(a, v_at(list, i)->u.s));
	return buf_dup(&b, a);
}

/* Rights are words and blanks only, with a list of columns at most. */
static int
check_rights(struct mod *m, const struct value *list)
{
	const char *s, *p;
	uint32_t i;

	for (i = 0; i < v_count(list); i++) {
		s = v_at(list, i)->u.s;
		for (p = s; *p != '\0' && (isalpha((unsigned char)*p) ||
		    *p == ' ' || *p == '_'); p++)
			;
		if (*p != '\0')
			return mod_fail(m, "'%s' is not a privilege (SELECT, USAGE, ALL …)", s);
	}
	return 0;
}

static const char *
rights(struct arena *a, const struct value *list)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;
	size_t k;

	for (i = 0; i < v_count(list); i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", v_at(list, i)->u.s);
	for (k = 0; k < b.len; k++)
		b.data[k] = (char)toupper((unsigned char)b.data[k]);
	return buf_dup(&b, a);
}

/* ---- what is ------------------------------------------------------------ */

/* "f(int)" of a function is looked up as text after the name. */
static const char *
function_condition(struct privs *p)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s, *open;
	uint32_t i;

	buf_adds(&b, "(false");
	for (i = 0; i < v_count(p->objs); i++) {
		s = v_at(p->objs, i)->u.s;
		open = strchr(s, '(');
		buf_addf(&b, " OR o.proname = %s", pg_lit(p->a, open == NULL ? s :
		    arena_strndup(p->a, s, (size_t)(open - s))));
	}
	buf_adds(&b, ")");
	return buf_dup(&b, p->a);
}

/* An expression: all rights as one text, in order. */
static const char *
snapshot(struct privs *p)
{
	const struct kind *k = p->kind;
	const char *which;

	if (strcmp(p->type, "group") == 0)
		return arena_printf(p->a,
		    "(SELECT coalesce(string_agg(g.rolname || ' ' || u.rolname || ' ' || m.admin_option, ';' ORDER BY g.rolname, u.rolname, m.admin_option), '') "
		    "FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member "
		    "WHERE g.rolname IN (%s))", literals(p->a, p->objs));
	if (strcmp(p->type, "default_privs") == 0)
		return "(SELECT coalesce(string_agg(concat_ws(' ', d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.grantee, x.privilege_type, x.is_grantable), ';' "
		    "ORDER BY d.oid, x.grantor, x.grantee, x.privilege_type), '') "
		    "FROM pg_default_acl d, aclexplode(d.defaclacl) x)";
	if (p->all_in_schema)
		which = "true";
	else if (k->acl[0] == 'p')
		which = function_condition(p);
	else
		which = arena_printf(p->a, "o.%s IN (%s)", k->object, literals(p->a, p->objs));
	return arena_printf(p->a,
	    "(SELECT coalesce(string_agg(concat_ws(' ', o.oid, x.grantor, x.grantee, x.privilege_type, x.is_grantable), ';' "
	    "ORDER BY o.oid, x.grantor, x.grantee, x.privilege_type, x.is_grantable), '') "
	    "FROM %s o%s, aclexplode(coalesce(o.%s, acldefault('%s', o.%s))) x WHERE %s%s%s)"
	    "%s", k->catalog, k->schema == NULL ? "" : arena_printf(p->a,
	    " JOIN pg_namespace n ON n.oid = o.%s", k->schema), k->acl, k->code,
	    k->owner, which, k->schema == NULL ? "" : arena_printf(p->a,
	    " AND n.nspname = %s", pg_lit(p->a, p->schema)), k->where,
	    strcmp(p->type, "table") != 0 ? "" : arena_printf(p->a,
	    " || (SELECT coalesce(string_agg(concat_ws(' ', t.attrelid, t.attnum, t.attacl), ';' ORDER BY t.attrelid, t.attnum), '') "
	    "FROM pg_attribute t JOIN pg_class o ON o.oid = t.attrelid JOIN pg_namespace n ON n.oid = o.relnamespace "
	    "WHERE t.attacl IS NOT NULL AND n.nspname = %s)", pg_lit(p->a, p->schema)));
}

/* ---- what shall be ------------------------------------------------------ */

/* "schema"."name", or a function with its arguments. */
static const char *
object_name(struct privs *p, const char *name)
{
	const char *open = strchr(name, '(');

	if (p->kind->schema == NULL)
		return pg_ident(p->a, name);
	if (p->kind->acl[0] == 'p' && open != NULL) {
		const char *close_ = strrchr(open, ')'), *s;

		/* types only: words, blanks, commas, brackets, dots */
		for (s = open + 1; close_ != NULL && s < close_; s++)
			if (!isalnum((unsigned char)*s) && strchr(" ,_.[]\":", *s) == NULL)
				close_ = NULL;
		if (close_ == NULL)
			return NULL;
		/* in playbooks `:` parts the types, as commas part the objects */
		name = arena_strndup(p->a, name, (size_t)(open - name));
		{
			char *types = arena_strndup(p->a, open, (size_t)(close_ - open + 1));
			char *q;

			for (q = types; *q != '\0'; q++)
				if (*q == ':')
					*q = ',';
			return arena_printf(p->a, "%s.%s%s", pg_ident(p->a, p->schema),
			    pg_ident(p->a, name), types);
		}
	}
	return arena_printf(p->a, "%s.%s", pg_ident(p->a, p->schema),
	    pg_ident(p->a, name));
}

/* "TABLE a, b" or "ALL TABLES IN SCHEMA s"; NULL after mod_fail. */
static const char *
target(struct privs *p)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *name;
	uint32_t i;

	if (p->all_in_schema)
		return arena_printf(p->a, "ALL %sS IN SCHEMA %s", p->kind->keyword,
		    pg_ident(p->a, p->schema));
	for (i = 0; i < v_count(p->objs); i++) {
		name = object_name(p, v_at(p->objs, i)->u.s);
		if (name == NULL) {
			(void)mod_fail(p->pg->m, "'%s' is not a function with its types",
			    v_at(p->objs, i)->u.s);
			return NULL;
		}
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", name);
	}
	return arena_printf(p->a, "%s %s", p->kind->keyword, buf_str(&b));
}

static const char *
group_statement(struct privs *p)
{
	const struct value *option = mod_arg(p->pg->m, "grant_option");
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(p->objs); i++) {
		const char *group = pg_ident(p->a, v_at(p->objs, i)->u.s);

		if (p->revoke)
			buf_addf(&b, "REVOKE %s FROM %s;\n", group, role_list(p->a, p->roles));
		else {
			buf_addf(&b, "GRANT %s TO %s%s;\n", group, role_list(p->a, p->roles),
			    option != NULL && option->u.b ? " WITH ADMIN OPTION" : "");
			if (option != NULL && !option->u.b)
				buf_addf(&b, "REVOKE ADMIN OPTION FOR %s FROM %s;\n",
				    group, role_list(p->a, p->roles));
		}
	}
	return buf_dup(&b, p->a);
}

/* ALTER DEFAULT PRIVILEGES for one kind of object. */
static void
default_one(struct privs *p, struct buf *b, const char *what, const char *privs)
{
	const char *who = mod_arg_str(p->pg->m, "target_roles");
	const struct value *option = mod_arg(p->pg->m, "grant_option");

	buf_adds(b, "ALTER DEFAULT PRIVILEGES");
	if (who != NULL && *who != '\0')
		buf_addf(b, " FOR ROLE %s", role_list(p->a, pg_split(p->a, who)));
	if (p->schema != NULL && *p->schema != '\0')
		buf_addf(b, " IN SCHEMA %s", pg_ident(p->a, p->schema));
	buf_addf(b, " %s %s ON %s %s %s%s;\n", p->revoke ? "REVOKE" : "GRANT",
	    privs, what, p->revoke ? "FROM" : "TO", role_list(p->a, p->roles),
	    !p->revoke && option != NULL && option->u.b ? " WITH GRANT OPTION" : "");
}

static const char *
default_statement(struct privs *p)
{
	static const char *const known[] = { "TABLES", "SEQUENCES", "FUNCTIONS",
		"ROUTINES", "TYPES", "SCHEMAS" };
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s;
	uint32_t i;
	size_t k;

	for (i = 0; i < v_count(p->objs); i++) {
		s = v_at(p->objs, i)->u.s;
		if (strcasecmp(s, "ALL_DEFAULT") == 0) {
			default_one(p, &b, "TABLES", p->privs);
			default_one(p, &b, "SEQUENCES", p->privs);
			default_one(p, &b, "TYPES", p->privs);
			continue;
		}
		for (k = 0; k < NITEMS(known) && strcasecmp(known[k], s) != 0; k++)
			;
		if (k == NITEMS(known)) {
			(void)mod_fail(p->pg->m, "'%s' is no kind of object for default_privs (TABLES, SEQUENCES, FUNCTIONS, ROUTINES, TYPES, SCHEMAS, ALL_DEFAULT)", s);
			return NULL;
		}
		default_one(p, &b, known[k], p->privs);
	}
	return buf_dup(&b, p->a);
}

/* The SQL that makes it so; NULL after mod_fail. */
static const char *
statement(struct privs *p)
{
	const struct value *option = mod_arg(p->pg->m, "grant_option");
	const char *on, *roles = role_list(p->a, p->roles);

	if (strcmp(p->type, "group") == 0)
		return group_statement(p);
	if (strcmp(p->type, "default_privs") == 0)
		return default_statement(p);
	on = target(p);
	if (on == NULL)
		return NULL;
	if (p->revoke)
		return arena_printf(p->a, "REVOKE %s%s ON %s FROM %s;\n",
		    option != NULL && option->u.b ? "GRANT OPTION FOR " : "",
		    p->privs, on, roles);
	return arena_printf(p->a, "GRANT %s ON %s TO %s%s;\n%s", p->privs, on, roles,
	    option != NULL && option->u.b ? " WITH GRANT OPTION" : "",
	    option != NULL && !option->u.b ? arena_printf(p->a,
	    "REVOKE GRANT OPTION FOR %s ON %s FROM %s;\n", p->privs, on, roles) : "");
}

/* ---- the module --------------------------------------------------------- */

static int
prepare(struct privs *p)
{
	struct mod *m = p->pg->m;
	const char *privs = mod_arg_str(m, "privs"), *objs = mod_arg_str(m, "objs");
	struct value *list = pg_split(p->a, privs);
	size_t i;

	p->type = mod_arg_str(m, "type");
	p->schema = mod_arg_str(m, "schema");
	p->revoke = mod_arg_is(m, "state", "absent");
	for (i = 0; i < NITEMS(kinds); i++)
		if (strcmp(kinds[i].name, p->type) == 0)
			p->kind = &kinds[i];
	if (p->kind != NULL && p->kind->schema != NULL && p->schema == NULL)
		p->schema = "public";
	if (p->kind != NULL && p->kind->schema == NULL && p->schema != NULL)
		return mod_fail(m, "Argument \"schema\" is not allowed for type \"%s\".", p->type);
	if (objs == NULL && strcmp(p->type, "database") == 0)
		objs = mod_arg_str(m, "database");
	if (objs == NULL)
		return mod_fail(m, "Argument \"objs\" is required for type \"%s\".", p->type);
	p->all_in_schema = strcmp(objs, "ALL_IN_SCHEMA") == 0;
	if (p->all_in_schema && (p->kind == NULL || p->kind->schema == NULL ||
	    strcmp(p->type, "type") == 0))
		return mod_fail(m, "ALL_IN_SCHEMA can be used for tables, sequences, functions and procedures only");
	p->objs = p->all_in_schema ? v_list(p->a) : pg_split(p->a, objs);
	p->roles = pg_split(p->a, mod_arg_str(m, "roles"));
	if (strcmp(p->type, "group") != 0 && v_count(list) == 0)
		return mod_fail(m, "Argument \"privs\" is required for type \"%s\".", p->type);
	if (strcmp(p->type, "group") == 0 && v_count(list) > 0)
		return mod_fail(m, "Argument \"privs\" not allowed for type \"group\".");
	if (v_count(p->roles) == 0 || (!p->all_in_schema && v_count(p->objs) == 0))
		return mod_fail(m, "'roles' and 'objs' must name something");
	if (check_rights(m, list) == -1)
		return -1;
	p->privs = rights(p->a, list);
	return 0;
}

/* Roles that do not exist: left out with a warning, or a failure. */
static int
known_roles(struct privs *p)
{
	struct mod *m = p->pg->m;
	struct value *found = v_list(p->a);
	struct pg_rows r;
	const char *role;
	uint32_t i, k;

	if (pg_query(p->pg, &r, arena_printf(p->a,
	    "SELECT rolname FROM pg_roles WHERE rolname IN (%s);",
	    literals(p->a, p->roles))) == -1)
		return -1;
	if (p->pg->down)
		return 0;
	for (i = 0; i < v_count(p->roles); i++) {
		role = v_at(p->roles, i)->u.s;
		for (k = 0; k < r.n && strcmp(pg_field(&r, k, 0), role) != 0; k++)
			;
		if (k < r.n || strcasecmp(role, "PUBLIC") == 0)
			v_push(p->a, found, v_at(p->roles, i));
		else if (m->check)
			p->pg->down = true;	/* an earlier task would have made it */
		else if (mod_arg_bool(m, "fail_on_role"))
			return mod_fail(m, "Role '%s' does not exist", role);
		else
			mod_warn(m, "Role '%s' does not exist, skipping", role);
	}
	if (!p->pg->down)
		p->roles = found;
	return 0;
}

static int
postgresql_privs_run(struct mod *m)
{
	struct pg pg;
	struct privs p = { .pg = &pg, .a = m->arena };
	const char *sql, *snap;
	struct pg_rows r;
	int rc = 0;

	pg_open(&pg, m, mod_arg_str(m, "database"));
	mod_set(m, "queries", pg.queries);
	if (prepare(&p) == -1 || known_roles(&p) == -1)
		return -1;
	if (v_count(p.roles) == 0)
		return 0;
	sql = statement(&p);
	if (sql == NULL)
		return -1;
	snap = snapshot(&p);
	if (pg_query(&pg, &r, arena_printf(m->arena,
	    "BEGIN;\nSELECT %s AS before \\gset\n%sSELECT :'before' IS DISTINCT FROM (%s);\nROLLBACK;",
	    snap, sql, snap)) == -1) {
		if (!m->check)
			return -1;
		/* the object is yet to come, then; or the playbook is wrong: say so */
		mod_warn(m, "cannot try this yet: %s", v_get_str(m->result, "msg", ""));
		(void)v_dels(m->result, "msg");
		m->failed = false;
		pg.down = true;
	}
	if ((pg.down || strcmp(pg_field(&r, 0, 0), "t") == 0) &&
	    mod_change(m, "privileges", NULL, v_str(m->arena, sql)))
		rc = pg_change(&pg, sql, NULL);
	mod_set(m, "queries", pg.queries);
	return rc;
}

static const struct mod_arg postgresql_privs_args[] = {
	{ .name = "database", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "db,login_db",
	    .doc = "The database to connect to." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Grants or revokes." },
	{ .name = "type", .type = ARG_STR, .def = "table",
	    .choices = "table,sequence,function,procedure,database,schema,language,tablespace,group,default_privs,foreign_data_wrapper,foreign_server,type",
	    .doc = "Kind of what `objs` names." },
	{ .name = "objs", .type = ARG_STR, .aliases = "obj",
	    .doc = "What it is about, separated by commas; ALL_IN_SCHEMA; for default_privs TABLES, SEQUENCES …; the database itself unless given for type database." },
	{ .name = "privs", .type = ARG_STR, .aliases = "priv",
	    .doc = "Privileges, separated by commas; ALL." },
	{ .name = "roles", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "role",
	    .doc = "Roles, separated by commas; PUBLIC: everybody." },
	{ .name = "schema", .type = ARG_STR, .doc = "Schema of what it is about; public unless given." },
	{ .name = "target_roles", .type = ARG_STR,
	    .doc = "For default_privs: roles whose new objects are meant." },
	{ .name = "grant_option", .type = ARG_BOOL, .aliases = "admin_option",
	    .doc = "Whether the roles may pass it on; left as it is unless given." },
	{ .name = "fail_on_role", .type = ARG_BOOL, .def = "true",
	    .doc = "Whether a role that does not exist is a failure; else it is left out." },
	PG_ROWS,
	END
};

const struct module postgresql_privs_module = {
	.name = "postgresql_privs", .collection = "community.postgresql",
	.summary = "Grants and revokes privileges in PostgreSQL.",
	.doc = "What would change is tried in a transaction that is rolled back.",
	.examples =
	    "- community.postgresql.postgresql_privs:\n"
	    "    login_db: exams\n"
	    "    roles: reader\n"
	    "    objs: ALL_IN_SCHEMA\n"
	    "    privs: SELECT\n",
	.returns = "queries: the SQL that changed something\n",
	.args = postgresql_privs_args, .run = postgresql_privs_run,
};
