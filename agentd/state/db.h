/*
 * SQLite connections of the state database: opening with all its troubles,
 * and SQLite's errors in our words.
 */
#ifndef PROVCTL_STATE_DB_H
#define PROVCTL_STATE_DB_H

#include <sqlite3.h>

#include "base/err.h"
#include "base/value.h"

#define DB_APPLICATION_ID	0x70726f76	/* "prov", in the file's header */
#define DB_READ_ONLY		0x1

struct db {
	sqlite3	*sqlite;
	char	*path;
	int	 lock_fd;	/* shared while open: see db.c */
	bool	 read_only;
};

/* Opens, checks, brings the schema up to date. 0, or -1 with err; release in any case. */
int	 db_open(struct db *, const char *path, unsigned flags, int busy_ms,
	    struct err *);
/* A further connection to the same database, of an open one. */
int	 db_open_again(struct db *, const struct db *of, int busy_ms, struct err *);
void	 db_release(struct db *);
/* Sets err from SQLite's last error. Returns -1. */
int	 db_err(const struct db *, int rc, const char *doing, struct err *);
/* Sets err: the file is damaged, what was found. Returns -1. */
int	 db_damaged(const struct db *, const char *what, struct err *);
/* Runs statements without results. 0, or -1 with err. */
int	 db_exec(const struct db *, const char *sql, const char *doing, struct err *);
/* The first column of the first row as int. 0, or -1 with err. */
int	 db_get_int(const struct db *, const char *sql, int64_t *ret, struct err *);
/* The newest version of the schema that this program knows. */
int64_t	 db_schema_version(void);
/* The text of schema/state.sql. */
extern const char db_schema_sql[];

#endif
