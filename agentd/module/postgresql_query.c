/*
 * postgresql_query, postgresql_ping, postgresql_set: asking the server, and
 * its settings.
 */
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "module/pg.h"

#define END	{ .name = NULL }

/* ---- query -------------------------------------------------------------- */

static const char *
literal_of(struct mod *m, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	switch (v->type) {
	case V_NULL:
		return "NULL";
	case V_BOOL:
		return v->u.b ? "true" : "false";
	case V_STR:
		return pg_lit(m->arena, v->u.s);
	case V_INT:
	case V_FLOAT:
		json_write(&b, v, 0);
		return buf_dup(&b, m->arena);
	default:	/* lists and maps as JSON */
		json_write(&b, v, 0);
		return pg_lit(m->arena, buf_str(&b));
	}
}

/* %s and %(name)s become values, %% a percent sign. NULL after mod_fail. */
static const char *
fill_in(struct mod *m, const char *sql)
{
	const struct value *list = mod_arg(m, "positional_args"), *v;
	const struct value *map = mod_arg(m, "named_args");
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *end;
	uint32_t i = 0;

	if (list == NULL && map == NULL)
		return sql;
	for (; *sql != '\0'; sql++) {
		v = NULL;
		if (*sql != '%') {
			buf_addc(&b, *sql);
			continue;
		}
		sql++;
		if (*sql == '%') {
			buf_addc(&b, '%');
			continue;
		}
		if (*sql == 's' && list != NULL)
			v = v_at(list, i++);
		else if (*sql == '(' && map != NULL &&
		    (end = strstr(sql, ")s")) != NULL) {
			v = v_gets(map, arena_strndup(m->arena, sql + 1,
			    (size_t)(end - sql - 1)));
			sql = end + 1;
		}
		if (v == NULL) {
			(void)mod_fail(m, "the query has a placeholder without a value near: %%%.20s",
			    sql);
			return NULL;
		}
		buf_adds(&b, literal_of(m, v));
	}
	return buf_dup(&b, m->arena);
}

/* A dollar quote that the text does not hold. */
static const char *
dollar_quoted(struct mod *m, const char *text)
{
	const char *tag = "$q$";
	int i;

	for (i = 0; strstr(text, tag) != NULL; i++)
		tag = arena_printf(m->arena, "$q%d$", i);
	return arena_printf(m->arena, "%s%s%s", tag, text, tag);
}

static bool
starts_with(const char *s, const char *word)
{
	size_t n = strlen(word);

	s += strspn(s, " \t\n(");
	return strncasecmp(s, word, n) == 0 && !isalnum((unsigned char)s[n]);
}

static bool
gives_rows(const char *sql)
{
	return starts_with(sql, "SELECT") || starts_with(sql, "WITH") ||
	    starts_with(sql, "VALUES") || starts_with(sql, "TABLE");
}

static bool
only_reads(const char *sql)
{
	return starts_with(sql, "SELECT") || starts_with(sql, "VALUES") ||
	    starts_with(sql, "TABLE") || starts_with(sql, "SHOW") ||
	    starts_with(sql, "EXPLAIN");
}

/* A SELECT comes back as JSON, one object a row, so that types are kept. */
static int
select_rows(struct pg *pg, const char *sql, struct value *all)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct value *rows = v_list(pg->m->arena);
	const struct value *v;
	struct pg_rows r;
	const char *text, *q;
	size_t n = strlen(sql);
	uint32_t i;

	while (n > 0 && strchr("; \t\n", sql[n - 1]) != NULL)
		n--;
	q = arena_printf(pg->m->arena,
	    "WITH provctl_q AS (%.*s\n) SELECT row_to_json(q)::text FROM provctl_q q",
	    (int)n, sql);
	/* \gexec hands the text to the server as it is: no commands of psql in it */
	if (pg_query(pg, &r, arena_printf(pg->m->arena, "SELECT %s \\gexec",
	    dollar_quoted(pg->m, q))) == -1)
		return -1;
	for (i = 0; i < r.n; i++) {
		text = pg_field(&r, i, 0);
		v = json_parse_text(pg->m->arena, text, strlen(text), &err);
		v_push(pg->m->arena, rows, v != NULL ? v : v_str(pg->m->arena, text));
		err_release(&err);
	}
	v_push(pg->m->arena, all, rows);
	mod_set(pg->m, "query_result", rows);
	mod_set_int(pg->m, "rowcount", r.n);
	mod_set(pg->m, "statusmessage", v_strf(pg->m->arena, "SELECT %u", r.n));
	return 0;
}

static int
run_one(struct pg *pg, const char *sql, struct value *all, struct value *shown)
{
	struct mod *m = pg->m;
	const char *wrapped;

	v_push(m->arena, shown, v_str(m->arena, sql));
	if (gives_rows(sql) && (only_reads(sql) || m->check))
		return select_rows(pg, sql, all);
	if (!only_reads(sql) && !mod_change(m, "query", NULL, v_str(m->arena, sql)))
		return 0;
	if (gives_rows(sql))
		return select_rows(pg, sql, all);
	wrapped = arena_printf(m->arena, "SELECT %s \\gexec", dollar_quoted(m, sql));
	v_push(m->arena, all, v_list(m->arena));
	mod_set(m, "query_result", v_list(m->arena));
	return mod_arg_bool(m, "autocommit") ?
	    pg_change_alone(pg, wrapped, sql) : pg_change(pg, wrapped, sql);
}

static int
postgresql_query_run(struct mod *m)
{
	const struct value *query = mod_arg(m, "query");
	struct value *all = v_list(m->arena), *shown = v_list(m->arena);
	const char *db = mod_arg_str(m, "db"), *sql;
	struct pg pg;
	uint32_t i, n = v_is_list(query) ? v_count(query) : 1;

	pg_open(&pg, m, db == NULL ? "postgres" : db);
	mod_set_int(m, "rowcount", 0);
	for (i = 0; i < n; i++) {
		const struct value *q = v_is_list(query) ? v_at(query, i) : query;

		if (!v_is_str(q))
			return mod_fail(m, "the query must be a text or a list of texts");
		sql = fill_in(m, q->u.s);
		if (sql == NULL || run_one(&pg, sql, all, shown) == -1)
			return -1;
	}
	mod_set_str(m, "query", n > 0 ? v_at(shown, n - 1)->u.s : "");
	mod_set(m, "query_list", shown);
	mod_set(m, "query_all_results", all);
	return 0;
}

static const struct mod_arg postgresql_query_args[] = {
	{ .name = "query", .type = ARG_RAW, .flags = ARG_REQUIRED,
	    .doc = "SQL, or a list of statements; %s and %(name)s stand for values." },
	{ .name = "db", .type = ARG_STR, .aliases = "login_db", .doc = "The database." },
	{ .name = "positional_args", .type = ARG_LIST, .of = ARG_RAW,
	    .doc = "Values for %s." },
	{ .name = "named_args", .type = ARG_MAP, .doc = "Values for %(name)s." },
	{ .name = "autocommit", .type = ARG_BOOL, .def = "false",
	    .doc = "Runs outside of a transaction (VACUUM)." },
	{ .name = "path_to_script", .type = ARG_PATH, .flags = ARG_UNSUPPORTED,
	    .doc = "Removed from Ansible: use postgresql_db with state: restore." },
	{ .name = "encoding", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Always UTF-8." },
	{ .name = "as_single_query", .type = ARG_BOOL, .flags = ARG_IGNORED, .doc = "No longer has a meaning." },
	{ .name = "search_path", .type = ARG_LIST, .of = ARG_STR, .flags = ARG_UNSUPPORTED,
	    .doc = "Schemas to look in." },
	PG_ROWS,
	END
};

const struct module postgresql_query_module = {
	.name = "postgresql_query", .collection = "community.postgresql",
	.summary = "Runs SQL.",
	.doc = "SELECT, VALUES, TABLE, SHOW and EXPLAIN change nothing and run in a check, too; anything else counts as a change.",
	.examples =
	    "- community.postgresql.postgresql_query:\n"
	    "    login_db: exams\n"
	    "    query: SELECT title FROM exams WHERE year = %s\n"
	    "    positional_args: [2024]\n",
	.returns = "query_result: rows of the last statement, as maps\nquery_all_results: of all\nrowcount: how many\nquery: the statement\n",
	.args = postgresql_query_args, .run = postgresql_query_run,
};

/* ---- ping --------------------------------------------------------------- */

static int
postgresql_ping_run(struct mod *m)
{
	const char *db = mod_arg_str(m, "db"), *s;
	struct value *version = v_map(m->arena);
	struct pg_rows r;
	struct pg pg;
	int64_t n;

	pg_open(&pg, m, db == NULL ? "postgres" : db);
	mod_set_bool(m, "is_available", false);
	mod_set(m, "server_version", version);
	if (pg_query(&pg, &r, "SELECT current_setting('server_version_num'), version();") == -1) {
		/* no answer is an answer here */
		m->failed = false;
		mod_set_str(m, "conn_err_msg", v_get_str(m->result, "msg", ""));
		(void)v_dels(m->result, "msg");
		return 0;
	}
	s = pg_field(&r, 0, 0);
	n = strtoll(s, NULL, 10);
	if (r.n == 1) {
		mod_set_bool(m, "is_available", true);
		v_set_int(m->arena, version, "major", n / 10000);
		v_set_int(m->arena, version, "minor", n % 10000);
		v_set_str(m->arena, version, "full", arena_printf(m->arena,
		    "%d.%d", (int)(n / 10000), (int)(n % 10000)));
		v_set_str(m->arena, version, "raw", pg_field(&r, 0, 1));
	}
	mod_set_str(m, "conn_err_msg", "");
	return 0;
}

static const struct mod_arg postgresql_ping_args[] = {
	{ .name = "db", .type = ARG_STR, .aliases = "login_db", .doc = "The database." },
	PG_ROWS,
	END
};

const struct module postgresql_ping_module = {
	.name = "postgresql_ping", .collection = "community.postgresql",
	.summary = "Asks whether a server of PostgreSQL answers.",
	.examples = "- community.postgresql.postgresql_ping:\n",
	.returns = "is_available: whether it does\nserver_version: its version\nconn_err_msg: why it does not\n",
	.args = postgresql_ping_args, .run = postgresql_ping_run,
};

/* ---- set ---------------------------------------------------------------- */

/* "8MB" or "30s" in bytes or microseconds; a bare number counts in unit. false: no such thing. */
static bool
quantity(const char *s, const char *unit, double *ret)
{
	static const struct { const char *name; double factor; } units[] = {
		{ "B", 1 }, { "kB", 1024 }, { "MB", 1048576 },
		{ "GB", 1073741824 }, { "TB", 1099511627776.0 },
		{ "us", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "min", 6e7 },
		{ "h", 3.6e9 }, { "d", 8.64e10 },
	};
	double inner;
	char *end;
	size_t i;

	*ret = strtod(s, &end);
	if (end == s)
		return false;
	while (*end == ' ')
		end++;
	if (*end == '\0') {
		if (*unit == '\0')
			return true;
		/* units are "kB" or "8kB" */
		inner = isdigit((unsigned char)*unit) ? strtod(unit, &end) : 1;
		if (isdigit((unsigned char)*unit))
			unit = end;
		*ret *= inner;
		end = (char *)(uintptr_t)unit;
	}
	for (i = 0; i < NITEMS(units); i++)
		if (strcmp(units[i].name, end) == 0) {
			*ret *= units[i].factor;
			return true;
		}
	return false;
}

/* Whether two texts mean the same value of a setting. */
static bool
same_setting(struct mod *m, const char *type, const char *unit, const char *a,
    const char *b)
{
	double x, y;

	if (strcmp(a, b) == 0)
		return true;
	if (strcmp(type, "bool") == 0) {
		int i = mod_parse_bool(v_str(m->arena, a));

		return i != -1 && i == mod_parse_bool(v_str(m->arena, b));
	}
	if (strcmp(type, "enum") == 0)
		return strcasecmp(a, b) == 0;
	return (strcmp(type, "integer") == 0 || strcmp(type, "real") == 0) &&
	    quantity(a, unit, &x) && quantity(b, unit, &y) && x >= y && x <= y;
}

static int
postgresql_set_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *value = mod_arg_str(m, "value");
	const char *db = mod_arg_str(m, "db"), *what, *now, *p;
	bool reset = mod_arg_bool(m, "reset"), differs, ours;
	struct pg_rows r;
	struct pg pg;

	for (p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '.')
			return mod_fail(m, "'%s' is not the name of a setting", name);
	if (!reset && value == NULL)
		return mod_fail(m, "'value' or 'reset' is needed");
	pg_open(&pg, m, db == NULL ? "postgres" : db);
	/* what is in the file counts: it may be waiting for a restart */
	if (pg_query(&pg, &r, arena_printf(m->arena,
	    "SELECT s.context, s.vartype, coalesce(s.unit, ''), current_setting(s.name), f.setting "
	    "FROM pg_settings s LEFT JOIN LATERAL (SELECT g.setting FROM pg_file_settings g "
	    "WHERE g.name = s.name AND g.sourcefile LIKE '%%postgresql.auto.conf' "
	    "ORDER BY g.seqno DESC LIMIT 1) f ON true WHERE s.name = %s;",
	    pg_lit(m->arena, name))) == -1)
		return -1;
	if (r.n == 0 && !pg.down)
		return mod_fail(m, "there is no setting '%s'", name);
	ours = r.n == 1 && !pg_is_null(&r, 0, 4);
	now = pg_field(&r, 0, ours ? 4 : 3);
	differs = pg.down || (reset ? ours : !same_setting(m, pg_field(&r, 0, 1),
	    pg_field(&r, 0, 2), now, value));
	what = arena_printf(m->arena, "setting %s", name);
	mod_set_str(m, "name", name);
	mod_set_str(m, "context", pg_field(&r, 0, 0));
	mod_set_bool(m, "restart_required",
	    strcmp(pg_field(&r, 0, 0), "postmaster") == 0);
	mod_set_str(m, "prev_val_pretty", now);
	mod_set_str(m, "value_pretty", reset ? "" : value);
	if (!differs || !mod_change(m, what, v_str(m->arena, now),
	    v_str(m->arena, reset ? "(reset)" : value)))
		return 0;
	if (pg_change_alone(&pg, arena_printf(m->arena, "ALTER SYSTEM %s %s%s%s;",
	    reset ? "RESET" : "SET", name, reset ? "" : " = ",
	    reset ? "" : pg_lit(m->arena, value)), NULL) == -1)
		return -1;
	return pg_change_alone(&pg, "SELECT pg_reload_conf();", NULL);
}

static const struct mod_arg postgresql_set_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The setting." },
	{ .name = "value", .type = ARG_STR, .doc = "Its value." },
	{ .name = "reset", .type = ARG_BOOL, .def = "false",
	    .doc = "Takes the value back that was set before by this module." },
	{ .name = "db", .type = ARG_STR, .aliases = "login_db", .doc = "Database to connect to." },
	PG_ROWS,
	END
};

const struct module postgresql_set_module = {
	.name = "postgresql_set", .collection = "community.postgresql",
	.summary = "Changes a setting of PostgreSQL (ALTER SYSTEM).",
	.examples =
	    "- community.postgresql.postgresql_set:\n"
	    "    name: work_mem\n"
	    "    value: 8MB\n",
	.returns = "name: the setting\nprev_val_pretty: its value before\nvalue_pretty: its value now\nrestart_required: whether it needs a restart\n",
	.args = postgresql_set_args, .run = postgresql_set_run,
};
