/*
 * PostgreSQL through psql: connecting, asking, changing, quoting.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>

#include "base/utf8.h"
#include "module/pg.h"
#include "module/proc.h"

#define FIELD_SEP	"\x1f"
#define RECORD_SEP	"\x1e"
#define NULL_TEXT	"\x1d\x1d"
#define ENV_MAX		24
#define ARGS_MAX	64

const char PG_NULL[] = "";

/* ---- quoting ------------------------------------------------------------ */

static const char *
quoted(struct arena *a, const char *s, char quote)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addc(&b, quote);
	for (; *s != '\0'; s++) {
		if (*s == quote)
			buf_addc(&b, quote);
		buf_addc(&b, *s);
	}
	buf_addc(&b, quote);
	return buf_dup(&b, a);
}

const char *
pg_ident(struct arena *a, const char *s)
{
	return quoted(a, s, '"');
}

const char *
pg_lit(struct arena *a, const char *s)
{
	return quoted(a, s, '\'');
}

const char *
pg_ident_dotted(struct arena *a, const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t n;

	for (;; s += n + 1) {
		n = strcspn(s, ".");
		if (b.len > 0)
			buf_addc(&b, '.');
		buf_adds(&b, pg_ident(a, arena_strndup(a, s, n)));
		if (s[n] == '\0')
			return buf_dup(&b, a);
	}
}

struct value *
pg_split(struct arena *a, const char *s)
{
	struct value *list = v_list(a);
	size_t n, k;

	while (s != NULL && *s != '\0') {
		s += strspn(s, " \t\n,");
		n = strcspn(s, ",");
		for (k = n; k > 0 && strchr(" \t\n", s[k - 1]) != NULL; k--)
			;
		if (k > 0)
			v_push(a, list, v_strn(a, s, k));
		s += n;
	}
	return list;
}

/* ---- programs ----------------------------------------------------------- */

/*
 * Debian's /usr/bin/psql is a wrapper in Perl that looks for a cluster first;
 * the programs themselves are in a directory per version.
 */
const char *
pg_find(struct mod *m, const char *name)
{
	const char *best = NULL;
	long version, best_version = -1;
	glob_t g;
	size_t i;

	memset(&g, 0, sizeof(g));
	if (glob(arena_printf(m->arena, "/usr/lib/postgresql/*/bin/%s", name), 0,
	    NULL, &g) == 0)
		for (i = 0; i < g.gl_pathc; i++) {
			version = (long)(strtod(g.gl_pathv[i] +
			    strlen("/usr/lib/postgresql/"), NULL) * 100);
			if (version > best_version &&
			    access(g.gl_pathv[i], X_OK) == 0) {
				best_version = version;
				best = arena_strdup(m->arena, g.gl_pathv[i]);
			}
		}
	globfree(&g);
	return best != NULL ? best : proc_find(m, name);
}

struct session {
	const char	*env[ENV_MAX + 1];
	size_t		 nenv;
	int		 passfile;	/* -1: none */
};

static void
put_env(struct session *s, struct mod *m, const char *name, const char *value)
{
	if (value != NULL && *value != '\0' && s->nenv < ENV_MAX) {
		s->env[s->nenv++] = arena_printf(m->arena, "%s=%s", name, value);
		s->env[s->nenv] = NULL;
	}
}

/* A colon or backslash in a password file's field is escaped. */
static const char *
passfile_line(struct mod *m, const char *password)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_adds(&b, "*:*:*:*:");
	for (; *password != '\0'; password++) {
		if (*password == ':' || *password == '\\')
			buf_addc(&b, '\\');
		buf_addc(&b, *password);
	}
	buf_addc(&b, '\n');
	return buf_dup(&b, m->arena);
}

static int
make_passfile(struct mod *m, struct session *s, const char *password)
{
	const char *line = passfile_line(m, password);
	size_t n = strlen(line);

	s->passfile = memfd_create("pgpass", MFD_CLOEXEC);
	if (s->passfile == -1 || fchmod(s->passfile, 0600) == -1 ||
	    write(s->passfile, line, n) != (ssize_t)n)
		return mod_fail_errno(m, "cannot keep the password for psql");
	put_env(s, m, "PGPASSFILE", arena_printf(m->arena, "/proc/self/fd/%d",
	    s->passfile));
	return 0;
}

static const char *
env_of(const struct mod *m, const char *name)
{
	const char *s = m->env == NULL ? NULL : v_get_str(m->env, name, NULL);

	return s != NULL ? s : getenv(name);
}

/* libpq's parameters as environment, which names no password. */
static int
session_begin(struct pg *pg, struct session *s)
{
	const char *host = mod_arg_str(pg->m, "login_host");
	const char *socket_dir = mod_arg_path(pg->m, "login_unix_socket");
	const char *user = mod_arg_str(pg->m, "login_user");
	const char *password = mod_arg_str(pg->m, "login_password");
	const struct value *params = mod_arg(pg->m, "connect_params");
	const struct ventry *e;
	uint32_t it;

	memset(s, 0, sizeof(*s));
	s->passfile = -1;
	if (socket_dir != NULL && *socket_dir != '\0' && (host == NULL ||
	    *host == '\0' || strcmp(host, "localhost") == 0))
		host = socket_dir;
	put_env(s, pg->m, "PGHOST", host);
	if (mod_has(pg->m, "login_port"))
		put_env(s, pg->m, "PGPORT", arena_printf(pg->m->arena, "%lld",
		    (long long)mod_arg_int(pg->m, "login_port", 5432)));
	if (user == NULL || *user == '\0')
		user = env_of(pg->m, "PGUSER") != NULL ?
		    env_of(pg->m, "PGUSER") : "postgres";
	put_env(s, pg->m, "PGUSER", user);
	put_env(s, pg->m, "PGSSLMODE", mod_arg_str(pg->m, "ssl_mode"));
	put_env(s, pg->m, "PGSSLROOTCERT", mod_arg_path(pg->m, "ca_cert"));
	put_env(s, pg->m, "PGSSLCERT", mod_arg_path(pg->m, "ssl_cert"));
	put_env(s, pg->m, "PGSSLKEY", mod_arg_path(pg->m, "ssl_key"));
	put_env(s, pg->m, "PGAPPNAME", "provctl");
	put_env(s, pg->m, "PGCONNECT_TIMEOUT", "20");
	put_env(s, pg->m, "PGCLIENTENCODING", "UTF8");
	put_env(s, pg->m, "PSQLRC", "/dev/null");
	put_env(s, pg->m, "LC_MESSAGES", "C");
	for (it = 0; params != NULL && (e = v_next(params, &it)) != NULL;)
		if (v_is_str(e->key) && strcmp(e->key->u.s, "password") == 0)
			return mod_fail(pg->m, "connect_params may not hold a password: use login_password");
	if (password != NULL && *password != '\0')
		return make_passfile(pg->m, s, password);
	return 0;
}

static void
session_end(struct session *s)
{
	if (s->passfile != -1)
		(void)close(s->passfile);
}

/* "dbname='x' key='value'", for what has no variable. */
static const char *
conninfo(struct pg *pg, const char *db)
{
	const struct value *params = mod_arg(pg->m, "connect_params");
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct ventry *e;
	const char *s;
	uint32_t it;

	buf_adds(&b, "dbname='");
	for (s = db; *s != '\0'; s++) {
		if (*s == '\'' || *s == '\\')
			buf_addc(&b, '\\');
		buf_addc(&b, *s);
	}
	buf_addc(&b, '\'');
	for (it = 0; params != NULL && (e = v_next(params, &it)) != NULL;) {
		if (!v_is_str(e->key) || e->key->u.s[strspn(e->key->u.s,
		    "abcdefghijklmnopqrstuvwxyz_")] != '\0')
			continue;
		buf_addf(&b, " %s='", e->key->u.s);
		if (e->val->type == V_INT)
			buf_addf(&b, "%lld", (long long)e->val->u.i);
		for (s = v_is_str(e->val) ? e->val->u.s : ""; *s != '\0'; s++) {
			if (*s == '\'' || *s == '\\')
				buf_addc(&b, '\\');
			buf_addc(&b, *s);
		}
		buf_addc(&b, '\'');
	}
	return buf_dup(&b, pg->m->arena);
}

int
pg_program(struct pg *pg, struct proc *p, const char *const *argv, bool change)
{
	struct session s;
	int rc;

	if (session_begin(pg, &s) == -1) {
		session_end(&s);
		return -1;
	}
	p->argv = argv;
	p->env = s.env;
	p->cwd = "/";
	p->keep = s.passfile > 2 ? s.passfile : 0;
	rc = change ? proc_change(pg->m, p) : proc_query(pg->m, p);
	p->env = NULL;
	session_end(&s);
	return rc;
}

/* ---- psql --------------------------------------------------------------- */

static int
unreachable(struct pg *pg, const char *why)
{
	size_t n = strcspn(why, "\n");

	if (pg->m->check) {
		if (!pg->down)
			mod_warn(pg->m, "PostgreSQL cannot be asked yet (%.*s): predicting for an empty one",
			    (int)n, why);
		pg->down = true;
		return 0;
	}
	return mod_fail(pg->m, "unable to connect to database: %s", why);
}

/* "ERROR:  text\nLINE …" without psql's file name and line. */
static const char *
message(struct pg *pg, struct proc *p)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s = buf_str(&p->err), *cut;

	cut = strstr(s, "ERROR:");
	if (cut == NULL)
		cut = strstr(s, "FATAL:");
	if (cut == NULL)
		cut = strstr(s, "error: ");
	if (cut != NULL)
		s = cut;
	utf8_clean(&b, s, strlen(s));
	while (b.len > 0 && b.data[b.len - 1] == '\n')
		b.len--;
	return buf_dup(&b, pg->m->arena);
}

/* Runs a script. 0 done, 1 down (check run), -1 after mod_fail. */
static int
run_script(struct pg *pg, struct proc *p, const char *sql, bool change, bool one)
{
	const char *argv[] = { pg_find(pg->m, "psql"), "-XAtq", "-v",
		"ON_ERROR_STOP=1", "-F", FIELD_SEP, "-R", RECORD_SEP, "-P",
		("null=" NULL_TEXT), one ? "-1" : "-w", "-w", "-f", "-", "-d",
		conninfo(pg, pg->db), NULL };
	const char *role = mod_arg_str(pg->m, "session_role");
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (argv[0] == NULL) {
		if (unreachable(pg, "psql is not installed (package postgresql-client)") == -1)
			return -1;
		return 1;
	}
	buf_adds(&b, "SET standard_conforming_strings = on;\n");
	if (role != NULL && *role != '\0')
		buf_addf(&b, "SET ROLE %s;\n", pg_ident(pg->m->arena, role));
	buf_adds(&b, sql);
	buf_adds(&b, "\n");
	p->input = buf_dup(&b, pg->m->arena);
	p->ninput = b.len;
	if (pg_program(pg, p, argv, change) == -1)
		return -1;
	if (p->status == 2 || (p->status != 0 && pg->m->check &&
	    strstr(buf_str(&p->err), "SET ROLE") == NULL &&
	    strstr(buf_str(&p->err), "FATAL:") != NULL))
		return unreachable(pg, message(pg, p)) == -1 ? -1 : 1;
	if (p->status != 0)
		return mod_fail(pg->m, "%s", message(pg, p));
	return 0;
}

static const char *const *
parse_row(struct pg *pg, const char *s, size_t n, uint32_t *ret_n)
{
	const char **v, *end = s + n, *sep;
	uint32_t count = 1, i;

	for (sep = s; sep < end; sep++)
		count += *sep == FIELD_SEP[0];
	v = ARENA_ARRAY(pg->m->arena, count + 1, const char *);
	for (i = 0; i < count; i++) {
		sep = memchr(s, FIELD_SEP[0], (size_t)(end - s));
		if (sep == NULL)
			sep = end;
		v[i] = (size_t)(sep - s) == strlen(NULL_TEXT) &&
		    memcmp(s, NULL_TEXT, strlen(NULL_TEXT)) == 0 ? PG_NULL :
		    arena_strndup(pg->m->arena, s, (size_t)(sep - s));
		s = sep + (sep < end);
	}
	*ret_n = count;
	return v;
}

/* psql parts records by the separator and ends the last with a newline. */
static void
parse_rows(struct pg *pg, const struct buf *out, struct pg_rows *r)
{
	const char *s = out->data, *end = s + out->len, *sep;
	uint32_t cap = 16, ncols;

	r->row = ARENA_ARRAY(pg->m->arena, cap, const char *const *);
	while (s < end) {
		sep = memchr(s, RECORD_SEP[0], (size_t)(end - s));
		if (sep == NULL)
			sep = end > s && end[-1] == '\n' ? end - 1 : end;
		if (r->n == cap) {
			r->row = arena_grow(pg->m->arena, r->row,
			    cap * sizeof(*r->row), 2 * cap * sizeof(*r->row));
			cap *= 2;
		}
		r->row[r->n] = parse_row(pg, s, (size_t)(sep - s), &ncols);
		if (r->n++ == 0)
			r->ncols = ncols;
		s = sep + 1;
	}
}

int
pg_query(struct pg *pg, struct pg_rows *rows, const char *sql)
{
	struct proc p = PROC_INIT;
	int rc;

	memset(rows, 0, sizeof(*rows));
	if (pg->down)
		return 0;
	rc = run_script(pg, &p, sql, false, false);
	if (rc == 0 && p.out.len > 0)
		parse_rows(pg, &p.out, rows);
	proc_release(&p);
	return rc == -1 ? -1 : 0;
}

static int
change(struct pg *pg, const char *sql, const char *shown, bool one)
{
	struct proc p = PROC_INIT;
	int rc;

	v_push(pg->m->arena, pg->queries, v_str(pg->m->arena,
	    shown != NULL ? shown : sql));
	rc = run_script(pg, &p, sql, true, one);
	proc_release(&p);
	if (rc == -1)
		pg->m->changed = false;
	return rc == -1 ? -1 : 0;
}

int
pg_change(struct pg *pg, const char *sql, const char *shown)
{
	return change(pg, sql, shown, true);
}

int
pg_change_alone(struct pg *pg, const char *sql, const char *shown)
{
	return change(pg, sql, shown, false);
}

const char *
pg_field(const struct pg_rows *r, uint32_t row, uint32_t col)
{
	uint32_t i;

	if (row >= r->n)
		return "";
	for (i = 0; i < col; i++)
		if (r->row[row][i] == NULL)
			return "";
	return r->row[row][col] == NULL ? "" : r->row[row][col];
}

bool
pg_is_null(const struct pg_rows *r, uint32_t row, uint32_t col)
{
	const char *s = pg_field(r, row, col);

	return s == PG_NULL;
}

void
pg_open(struct pg *pg, struct mod *m, const char *db)
{
	memset(pg, 0, sizeof(*pg));
	pg->m = m;
	pg->db = db;
	pg->queries = v_list(m->arena);
}
