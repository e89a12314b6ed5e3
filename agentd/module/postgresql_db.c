/*
 * postgresql_db: databases: made, dropped, renamed, dumped, restored.
 */
#include <sys/stat.h>
#include <string.h>

#include "module/fs.h"
#include "module/pg.h"
#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }

struct database {
	bool		 exists;
	const char	*owner, *encoding, *collate, *ctype, *limit, *tablespace;
	bool		 encoding_fits;
};

static const char *
given(const struct mod *m, const char *name)
{
	const char *s = mod_arg_str(m, name);

	return s != NULL && *s != '\0' ? s : NULL;
}

static int
look(struct pg *pg, const char *name, struct database *d)
{
	struct arena *a = pg->m->arena;
	const char *encoding = given(pg->m, "encoding");
	struct pg_rows r;

	memset(d, 0, sizeof(*d));
	if (pg_query(pg, &r, arena_printf(a,
	    "SELECT pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), "
	    "d.datcollate, d.datctype, d.datconnlimit, t.spcname, "
	    "d.encoding = pg_char_to_encoding(%s) "
	    "FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace "
	    "WHERE d.datname = %s;",
	    pg_lit(a, encoding == NULL ? "UTF8" : encoding), pg_lit(a, name))) == -1)
		return -1;
	d->exists = r.n == 1;
	d->owner = pg_field(&r, 0, 0);
	d->encoding = pg_field(&r, 0, 1);
	d->collate = pg_field(&r, 0, 2);
	d->ctype = pg_field(&r, 0, 3);
	d->limit = pg_field(&r, 0, 4);
	d->tablespace = pg_field(&r, 0, 5);
	d->encoding_fits = encoding == NULL || strcmp(pg_field(&r, 0, 6), "t") == 0;
	return 0;
}

/* ---- present, absent, rename -------------------------------------------- */

static int
create(struct pg *pg, const char *name)
{
	static const struct { const char *arg, *word; bool ident; } rows[] = {
		{ "owner", "OWNER", true }, { "template", "TEMPLATE", true },
		{ "encoding", "ENCODING", false }, { "lc_collate", "LC_COLLATE", false },
		{ "lc_ctype", "LC_CTYPE", false }, { "tablespace", "TABLESPACE", true },
	};
	struct arena *a = pg->m->arena;
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s;
	size_t i;

	if (!mod_change(pg->m, arena_printf(a, "database %s", name), NULL,
	    v_str(a, "present")))
		return 0;
	buf_addf(&b, "CREATE DATABASE %s", pg_ident(a, name));
	for (i = 0; i < NITEMS(rows); i++)
		if ((s = given(pg->m, rows[i].arg)) != NULL)
			buf_addf(&b, " %s %s", rows[i].word, rows[i].ident ?
			    pg_ident(a, s) : pg_lit(a, s));
	if ((s = given(pg->m, "conn_limit")) != NULL)
		buf_addf(&b, " CONNECTION LIMIT %ld", strtol(s, NULL, 10));
	buf_addc(&b, ';');
	return pg_change_alone(pg, buf_str(&b), NULL);
}

/* What cannot be changed any more must be as it is wanted. */
static int
refuse(struct pg *pg, const struct database *d)
{
	const char *s;

	if (!d->encoding_fits)
		return mod_fail(pg->m, "Changing database encoding is not supported. Current encoding: %s",
		    d->encoding);
	if ((s = given(pg->m, "lc_collate")) != NULL && strcmp(s, d->collate) != 0)
		return mod_fail(pg->m, "Changing LC_COLLATE is not supported. Current LC_COLLATE: %s",
		    d->collate);
	if ((s = given(pg->m, "lc_ctype")) != NULL && strcmp(s, d->ctype) != 0)
		return mod_fail(pg->m, "Changing LC_CTYPE is not supported. Current LC_CTYPE: %s",
		    d->ctype);
	return 0;
}

static int
alter(struct pg *pg, const char *name, const struct database *d)
{
	struct arena *a = pg->m->arena;
	const char *what = arena_printf(a, "database %s", name), *id = pg_ident(a, name);
	const char *s;

	if (refuse(pg, d) == -1)
		return -1;
	s = given(pg->m, "owner");
	if (s != NULL && strcmp(s, d->owner) != 0 && mod_change(pg->m, what,
	    v_strf(a, "owner %s", d->owner), v_strf(a, "owner %s", s)) &&
	    pg_change(pg, arena_printf(a, "ALTER DATABASE %s OWNER TO %s;", id,
	    pg_ident(a, s)), NULL) == -1)
		return -1;
	s = given(pg->m, "conn_limit");
	if (s != NULL && strtol(s, NULL, 10) != strtol(d->limit, NULL, 10) &&
	    mod_change(pg->m, what, v_strf(a, "connection limit %s", d->limit),
	    v_strf(a, "connection limit %s", s)) &&
	    pg_change(pg, arena_printf(a, "ALTER DATABASE %s CONNECTION LIMIT %ld;",
	    id, strtol(s, NULL, 10)), NULL) == -1)
		return -1;
	s = given(pg->m, "tablespace");
	if (s != NULL && strcmp(s, d->tablespace) != 0 && mod_change(pg->m, what,
	    v_strf(a, "tablespace %s", d->tablespace), v_strf(a, "tablespace %s", s)))
		return pg_change_alone(pg, arena_printf(a,
		    "ALTER DATABASE %s SET TABLESPACE %s;", id, pg_ident(a, s)), NULL);
	return 0;
}

static int
drop(struct pg *pg, const char *name, const struct database *d)
{
	struct arena *a = pg->m->arena;

	if (!d->exists || !mod_change(pg->m, arena_printf(a, "database %s", name),
	    v_str(a, "present"), NULL))
		return 0;
	return pg_change_alone(pg, arena_printf(a, "DROP DATABASE %s%s;",
	    pg_ident(a, name), mod_arg_bool(pg->m, "force") ? " WITH (FORCE)" : ""),
	    NULL);
}

static int
rename_db(struct pg *pg, const char *name, const struct database *d)
{
	struct arena *a = pg->m->arena;
	const char *target = given(pg->m, "target");
	struct database other;

	if (target == NULL)
		return mod_fail(pg->m, "state rename needs the new name in 'target'");
	if (look(pg, target, &other) == -1)
		return -1;
	if (d->exists && other.exists)
		return mod_fail(pg->m, "Both the source and the target databases exist: %s, %s",
		    name, target);
	if (!d->exists && other.exists)
		return 0;
	if (!d->exists && !pg->m->check)
		return mod_fail(pg->m, "The source database %s does not exist", name);
	if (!mod_change(pg->m, "database", v_str(a, name), v_str(a, target)))
		return 0;
	return pg_change_alone(pg, arena_printf(a, "ALTER DATABASE %s RENAME TO %s;",
	    pg_ident(a, name), pg_ident(a, target)), NULL);
}

/* ---- dump and restore --------------------------------------------------- */

static int
add_words(struct mod *m, struct words *l, const char *arg)
{
	const char *text = given(m, arg);
	const char *const *w;

	if (text == NULL)
		return 0;
	w = words_split(m, text);
	if (w == NULL)
		return mod_fail(m, "a quote is not closed in '%s': %s", arg, text);
	for (; *w != NULL; w++)
		words_push(l, *w);
	return 0;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

/* The program that packs files of this name; NULL: none does. */
static const char *
packer(const char *target)
{
	return ends_with(target, ".gz") ? "gzip" :
	    ends_with(target, ".bz2") ? "bzip2" :
	    ends_with(target, ".xz") ? "xz" :
	    ends_with(target, ".zst") ? "zstd" : NULL;
}

static int
program(struct pg *pg, struct words *l, const char *name)
{
	const char *path = pg_find(pg->m, name);

	if (path == NULL)
		return mod_fail(pg->m, "%s is not installed (package postgresql-client)", name);
	words_push(l, path);
	return 0;
}

static int
run_program(struct pg *pg, struct words *l, const char *what)
{
	struct proc p = PROC_INIT;
	int rc;

	p.live = true;
	rc = pg_program(pg, &p, l->v, true);
	if (rc == 0) {
		proc_result(pg->m, &p);
		mod_set_str(pg->m, "msg", buf_str(&p.out));
		if (p.status != 0 || p.timed_out) {
			pg->m->changed = false;
			rc = mod_fail(pg->m, "%s failed with status %d: %s", what,
			    p.status, buf_str(&p.err));
		}
	}
	proc_release(&p);
	return rc;
}

static int
dump(struct pg *pg, const char *name, const struct database *d, const char *target)
{
	const char *pack = packer(target);
	struct words l = { .arena = pg->m->arena };

	if (!d->exists && !pg->m->check)
		return mod_fail(pg->m, "target database \"%s\" does not exist", name);
	if (!mod_change(pg->m, target, NULL, v_strf(pg->m->arena, "dump of %s\n", name)))
		return 0;
	if (pack != NULL) {
		/* the file's name and the packer are arguments, not text of the script */
		words_push(&l, "bash");
		words_push(&l, "-c");
		words_push(&l, "set -o pipefail; pack=$1 to=$2; shift 2; \"$@\" | \"$pack\" -c > \"$to\"");
		words_push(&l, "dump");
		words_push(&l, pack);
		words_push(&l, target);
	}
	if (program(pg, &l, "pg_dump") == -1)
		return -1;
	if (ends_with(target, ".tar"))
		words_push(&l, "--format=tar");
	else if (ends_with(target, ".pgc"))
		words_push(&l, "--format=custom");
	else if (ends_with(target, ".dir"))
		words_push(&l, "--format=directory");
	if (add_words(pg->m, &l, "dump_extra_args") == -1 ||
	    add_words(pg->m, &l, "target_opts") == -1)
		return -1;
	if (pack == NULL) {
		words_push(&l, "-f");
		words_push(&l, target);
	}
	words_push(&l, "-w");
	words_push(&l, "-d");
	words_push(&l, name);
	return run_program(pg, &l, "pg_dump");
}

static int
restore(struct pg *pg, const char *name, const char *target)
{
	bool tool = ends_with(target, ".tar") || ends_with(target, ".pgc") ||
	    ends_with(target, ".dir");
	const char *pack = packer(target);
	struct words l = { .arena = pg->m->arena };
	struct stat st;
	int rc;

	rc = fs_stat(pg->m, target, &st);
	if (rc == -1)
		return -1;
	if (rc == 1 && !pg->m->check)
		return mod_fail(pg->m, "there is no file %s to restore from", target);
	if (!mod_change(pg->m, arena_printf(pg->m->arena, "database %s", name), NULL,
	    v_strf(pg->m->arena, "content of %s\n", target)))
		return 0;
	if (pack != NULL) {
		words_push(&l, "bash");
		words_push(&l, "-c");
		words_push(&l, "set -o pipefail; pack=$1 from=$2; shift 2; \"$pack\" -dc < \"$from\" | \"$@\"");
		words_push(&l, "restore");
		words_push(&l, pack);
		words_push(&l, target);
	}
	if (program(pg, &l, tool ? "pg_restore" : "psql") == -1)
		return -1;
	if (!tool)
		words_push(&l, "-X");
	words_push(&l, "-w");
	words_push(&l, "-d");
	words_push(&l, name);
	if (add_words(pg->m, &l, "target_opts") == -1)
		return -1;
	if (pack == NULL && !tool)
		words_push(&l, "-f");
	if (pack == NULL)
		words_push(&l, target);
	return run_program(pg, &l, tool ? "pg_restore" : "psql");
}

/* ---- the module --------------------------------------------------------- */

static int
postgresql_db_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *state = mod_arg_str(m, "state");
	const char *target = mod_arg_path(m, "target");
	struct database d;
	struct pg pg;
	int rc;

	pg_open(&pg, m, mod_arg_str(m, "maintenance_db"));
	if (look(&pg, name, &d) == -1)
		return -1;
	if (strcmp(state, "dump") == 0 || strcmp(state, "restore") == 0) {
		if (target == NULL || *target == '\0')
			return mod_fail(m, "state %s needs a file in 'target'", state);
		rc = *state == 'd' ? dump(&pg, name, &d, target) :
		    restore(&pg, name, target);
	} else if (strcmp(state, "absent") == 0)
		rc = drop(&pg, name, &d);
	else if (strcmp(state, "rename") == 0)
		rc = rename_db(&pg, name, &d);
	else
		rc = d.exists ? alter(&pg, name, &d) : create(&pg, name);
	mod_set_str(m, "db", name);
	mod_set(m, "executed_commands", pg.queries);
	return rc;
}

static const struct mod_arg postgresql_db_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "db",
	    .doc = "The database." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent,dump,restore,rename",
	    .doc = "`dump` and `restore` always act." },
	{ .name = "owner", .type = ARG_STR, .doc = "Role that owns it." },
	{ .name = "template", .type = ARG_STR, .doc = "Database it is copied from when made." },
	{ .name = "encoding", .type = ARG_STR, .doc = "Its encoding, UTF8 for example; cannot be changed later." },
	{ .name = "lc_collate", .type = ARG_STR, .doc = "Its order of texts; cannot be changed later." },
	{ .name = "lc_ctype", .type = ARG_STR, .doc = "Its kinds of characters; cannot be changed later." },
	{ .name = "conn_limit", .type = ARG_STR, .doc = "How many connections it takes." },
	{ .name = "tablespace", .type = ARG_STR, .doc = "Where it is kept." },
	{ .name = "target", .type = ARG_PATH,
	    .doc = "File of the host for dump and restore (.sql .tar .pgc .dir, .gz .bz2 .xz .zst), or the new name." },
	{ .name = "target_opts", .type = ARG_STR,
	    .doc = "Further options of psql, pg_restore or pg_dump." },
	{ .name = "dump_extra_args", .type = ARG_STR, .doc = "Further options of pg_dump." },
	{ .name = "maintenance_db", .type = ARG_STR, .def = "postgres",
	    .doc = "Database to connect to meanwhile." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Drops it even while it is in use." },
	PG_ROWS,
	END
};

const struct module postgresql_db_module = {
	.name = "postgresql_db", .collection = "community.postgresql",
	.summary = "Makes, drops, renames, dumps and restores databases of PostgreSQL.",
	.doc = "In a check run a server that is not there yet counts as an empty one.",
	.examples =
	    "- community.postgresql.postgresql_db:\n"
	    "    name: exams\n"
	    "    owner: exams\n"
	    "    encoding: UTF8\n"
	    "    template: template0\n"
	    "- community.postgresql.postgresql_db:\n"
	    "    name: exams\n"
	    "    state: restore\n"
	    "    target: /var/lib/postgresql/exams.sql\n"
	    "    target_opts: --set=ON_ERROR_STOP=1 --single-transaction\n",
	.returns = "db: the database\nexecuted_commands: the SQL that changed something\n",
	.args = postgresql_db_args, .run = postgresql_db_run,
};
