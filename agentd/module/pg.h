/*
 * PostgreSQL, for its modules: SQL through the host's psql.
 *
 * SQL goes to psql's standard input, a password into a file without a name
 * that only psql sees (PGPASSFILE): neither ever stands on a command line.
 * Names are put in by pg_ident(), values by pg_lit(); nothing else builds SQL.
 *
 * In a check run a server that cannot be asked (not installed yet, not
 * running, no such database or role yet) is no failure: `down` is set, and the
 * module predicts what it would do to an empty one.
 */
#ifndef PROVCTL_MODULE_PG_H
#define PROVCTL_MODULE_PG_H

#include "module/module.h"

/* The rows that all of these modules take. */
#define PG_ROWS								\
	{ .name = "login_user", .type = ARG_STR, .aliases = "login",	\
	    .doc = "Role to connect as; postgres unless given (or PGUSER in the task's environment)." },	\
	{ .name = "login_password", .type = ARG_STR, .flags = ARG_SECRET,	\
	    .doc = "Its password." },					\
	{ .name = "login_host", .type = ARG_STR, .aliases = "host",	\
	    .doc = "Host of the server; the local socket unless given." },	\
	{ .name = "login_unix_socket", .type = ARG_PATH, .aliases = "unix_socket",	\
	    .doc = "Directory of the local socket." },			\
	{ .name = "login_port", .type = ARG_INT, .aliases = "port",	\
	    .doc = "Port of the server; 5432 unless given (or PGPORT)." },	\
	{ .name = "ssl_mode", .type = ARG_STR, .def = "prefer",		\
	    .choices = "allow,disable,prefer,require,verify-ca,verify-full",	\
	    .doc = "Whether the connection is encrypted." },		\
	{ .name = "ca_cert", .type = ARG_PATH, .aliases = "ssl_rootcert",	\
	    .doc = "Certificates of authorities for verify-ca and verify-full." },	\
	{ .name = "ssl_cert", .type = ARG_PATH, .doc = "Certificate of the client." },	\
	{ .name = "ssl_key", .type = ARG_PATH, .doc = "Its key." },	\
	{ .name = "connect_params", .type = ARG_MAP,			\
	    .doc = "Further parameters of the connection, by libpq's names." },	\
	{ .name = "session_role", .type = ARG_STR,			\
	    .doc = "Role to become after connecting (SET ROLE)." },	\
	{ .name = "trust_input", .type = ARG_BOOL, .def = "true", .flags = ARG_IGNORED,	\
	    .doc = "Names and values are always quoted." }

struct pg_rows {
	uint32_t		  n, ncols;	/* columns of the first row */
	const char *const	**row;		/* fields of a row, NULL-terminated; NULL fields are PG_NULL */
};

extern const char PG_NULL[];	/* compare by pointer */

struct pg {
	struct mod	*m;
	const char	*db;
	bool		 down;		/* check run: not to be asked */
	struct value	*queries;	/* changes, for the result */
};

/* Prepares; nothing is asked yet. */
void	 pg_open(struct pg *, struct mod *, const char *db);
/*
 * Runs SQL with one statement that returns rows. 0; -1 after mod_fail (or,
 * in a check run, 0 with pg->down and no rows).
 */
int	 pg_query(struct pg *, struct pg_rows *, const char *sql);
/* Runs a change in one transaction; adds shown (NULL: the text itself) to pg->queries. -1 after mod_fail. */
int	 pg_change(struct pg *, const char *sql, const char *shown);
/* The same outside of a transaction (CREATE DATABASE). */
int	 pg_change_alone(struct pg *, const char *sql, const char *shown);
/* A field, or "" when there is no such row or it is NULL. */
const char *pg_field(const struct pg_rows *, uint32_t row, uint32_t col);
bool	 pg_is_null(const struct pg_rows *, uint32_t row, uint32_t col);

const char *pg_ident(struct arena *, const char *);	/* "na""me" */
const char *pg_lit(struct arena *, const char *);	/* 'te''xt' */
/* A dotted name: each part quoted. */
const char *pg_ident_dotted(struct arena *, const char *);

/* Splits "a, b" at commas; blanks around are taken off, empty ones dropped. */
struct value *pg_split(struct arena *, const char *);

/* Starts another program of PostgreSQL (pg_dump …) with the same connection; argv[0] is its name. */
struct proc;
int	 pg_program(struct pg *, struct proc *, const char *const *argv, bool change);
/* Full path of a program of the newest PostgreSQL installed, or NULL. */
const char *pg_find(struct mod *, const char *name);

/* ---- passwords (pg_scram.c) --------------------------------------------- */

/* Whether a stored hash (SCRAM-SHA-256 or md5) is that of the user's password. */
bool	 pg_password_matches(const char *stored, const char *user, const char *password);
/* True for text that is a hash already. */
bool	 pg_password_is_hash(const char *);
/* A new hash; scram or md5. NULL: no random numbers. */
const char *pg_password_hash(struct arena *, const char *user, const char *password, bool scram);

#endif
