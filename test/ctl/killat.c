/*
 * Ends a program with SIGKILL at the Nth transaction that it commits: before
 * the commit (KILL_WHEN=before) or just behind it.  Preloaded; the program has
 * no hook of its own.
 *
 *	LD_PRELOAD=killat.so KILL_AT=3 KILL_WHEN=after provctl apply …
 *
 * The writer's wait for more work is cut short too, and whoever has given it
 * some waits until it is done with that and idle again: so each event is a
 * transaction of its own, always the same ones, and no boundary is missed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sqlite3;
typedef int exec_fn(struct sqlite3 *, const char *,
    int (*)(void *, int, char **, char **), void *, char **);

exec_fn	 sqlite3_exec;

#define WAIT_MAX	100000	/* times 20 us: the writer is gone */

static atomic_int commits, idle;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static __thread int woke, idle_then;

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

static void
ended(void *arg)
{
	(void)arg;
	(void)atomic_fetch_add(&idle, 1);
}

static void
make_key(void)
{
	(void)pthread_key_create(&key, ended);
}

/* The writer has nothing to do, or may not yet, or ends: it is the thread that is not the first. */
int
pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *);

	/* The old versions of x86-64 are not what programs of today mean. */
	if (real == NULL)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *))dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
	if (real == NULL)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_cond_wait");
	if (gettid() != getpid()) {
		(void)pthread_once(&once, make_key);
		(void)pthread_setspecific(key, &once);
		(void)atomic_fetch_add(&idle, 1);
	}
	return real(cond, lock);
}

int
pthread_cond_signal(pthread_cond_t *cond)
{
	static int (*real)(pthread_cond_t *);

	if (real == NULL)
		real = (int (*)(pthread_cond_t *))dlvsym(RTLD_NEXT, "pthread_cond_signal", "GLIBC_2.3.2");
	if (real == NULL)
		real = (int (*)(pthread_cond_t *))dlsym(RTLD_NEXT, "pthread_cond_signal");
	/* With the lock held: it is idle now, or has not begun. */
	woke = gettid() == getpid();
	idle_then = atomic_load(&idle);
	return real(cond);
}

int
pthread_mutex_unlock(pthread_mutex_t *lock)
{
	static int (*real)(pthread_mutex_t *);
	int r, i;

	if (real == NULL)
		real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_unlock");
	r = real(lock);
	for (i = 0; woke && atomic_load(&idle) == idle_then && i < WAIT_MAX; i++)
		(void)usleep(20);
	woke = 0;
	return r;
}
