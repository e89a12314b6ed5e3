/*
 * Ends a program with SIGKILL at the Nth transaction that it commits: before
 * the commit (KILL_WHEN=before) or just behind it.  Preloaded; the program has
 * no hook of its own.
 *
 *	LD_PRELOAD=killat.so KILL_AT=3 KILL_WHEN=after provctl apply …
 *
 * The writer's wait for more work is cut short too, so that each event is a
 * transaction of its own and no boundary is missed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct sqlite3;
typedef int exec_fn(struct sqlite3 *, const char *,
    int (*)(void *, int, char **, char **), void *, char **);

exec_fn	 sqlite3_exec;

static atomic_int commits;

int
sqlite3_exec(struct sqlite3 *db, const char *sql,
    int (*row)(void *, int, char **, char **), void *arg, char **msg)
{
	exec_fn *real = (exec_fn *)dlsym(RTLD_NEXT, "sqlite3_exec");
	const char *at = getenv("KILL_AT"), *when = getenv("KILL_WHEN");
	int r, n;

	if (at == NULL || strcmp(sql, "COMMIT") != 0)
		return real(db, sql, row, arg, msg);
	n = atomic_fetch_add(&commits, 1) + 1;
	if (n == atoi(at) && when != NULL && strcmp(when, "before") == 0)
		(void)raise(SIGKILL);
	r = real(db, sql, row, arg, msg);
	if (n == atoi(at))
		(void)raise(SIGKILL);
	return r;
}

/* "Nothing came in time": the writer goes on with what it has. */
int
pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
    const struct timespec *until)
{
	(void)cond;
	(void)lock;
	(void)until;
	return ETIMEDOUT;
}
