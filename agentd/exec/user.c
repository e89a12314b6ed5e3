/*
 * Becoming another user: what a worker of a root executor does before its
 * first module.
 *
 * musl knows /etc/passwd and /etc/group only, so users of LDAP or SSSD are
 * looked up with the host's own getent and id, whose C library has the
 * plugins for them.  The environment is made new, with what a login gives:
 * nothing of root's (SSH_AUTH_SOCK, SUDO_*, …) is handed down.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "exec/worker.h"

#define LOOKUP_TIMEOUT_MS	10000
#define LOOKUP_MAX		((size_t)64 * 1024)
#define GROUPS_MAX		1024

struct account {
	char	*name, *home, *shell;
	uid_t	 uid;
	gid_t	 gid;
	bool	 local;		/* in /etc/passwd */
};

static void
account_release(struct account *a)
{
	free(a->name);
	free(a->home);
	free(a->shell);
}

/* Runs a look-up program without a shell; its output, or false. */
static bool
lookup(const char *const argv[], struct buf *out)
{
	int pipes[2], status, n;
	int64_t end = worker_now_ms() + LOOKUP_TIMEOUT_MS, left;
	struct pollfd p;
	ssize_t got;
	char *to;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return false;
	if ((pid = fork()) == 0) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	(void)close(pipes[1]);
	p = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	while (pid > 0 && (left = end - worker_now_ms()) > 0) {
		n = poll(&p, 1, (int)left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (to = buf_reserve(out, 4096)) == NULL)
			break;
		if ((got = read(pipes[0], to, 4096)) <= 0)
			break;
		out->len += (size_t)got;
	}
	(void)close(pipes[0]);
	if (pid < 0)
		return false;
	if (worker_now_ms() >= end || buf_overflowed(out))
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	    !buf_overflowed(out);
}

static bool
parse_id(const char *s, uint32_t *ret)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end != '\0' || errno != 0 || n >= UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* A line of passwd(5). */
static bool
parse_account(char *line, struct account *ret)
{
	char *field[7] = { NULL };
	uint32_t uid, gid;
	unsigned i;

	line[strcspn(line, "\n")] = '\0';
	for (i = 0; i < NITEMS(field); i++)
		field[i] = strsep(&line, ":");
	if (field[6] == NULL || !parse_id(field[2], &uid) ||
	    !parse_id(field[3], &gid))
		return false;
	ret->name = xstrdup(field[0]);
	ret->home = xstrdup(field[5]);
	ret->shell = xstrdup(field[6]);
	ret->uid = uid;
	ret->gid = gid;
	return true;
}

static int
account_find(const char *user, struct account *ret, struct err *err)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *const argv[] = { "getent", "passwd", "--", user, NULL };
	const struct passwd *pw;
	uint32_t uid;

	pw = getpwnam(user);
	if (pw == NULL && parse_id(user, &uid))
		pw = getpwuid(uid);
	if (pw != NULL) {
		ret->name = xstrdup(pw->pw_name);
		ret->home = xstrdup(pw->pw_dir);
		ret->shell = xstrdup(pw->pw_shell);
		ret->uid = pw->pw_uid;
		ret->gid = pw->pw_gid;
		ret->local = true;
		return 0;
	}
	out.max = LOOKUP_MAX;
	if (user[0] != '-' && lookup(argv, &out)) {
		(void)buf_str(&out);
		if (parse_account(out.data, ret))
			return 0;
	}
	return err_set(err, ERR_VALUE, "cannot become '%s': there is no such user",
	    user);
}

/* Groups of a user whom /etc/group does not list. */
static int
groups_of_others(const struct account *a)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	const char *const argv[] = { "id", "-G", "--", a->name, NULL };
	gid_t groups[GROUPS_MAX];
	char *rest, *word;
	uint32_t gid;
	size_t n = 0;

	out.max = LOOKUP_MAX;
	groups[n++] = a->gid;
	if (lookup(argv, &out)) {
		(void)buf_str(&out);
		rest = out.data;
		while ((word = strsep(&rest, " \n")) != NULL && n < GROUPS_MAX)
			if (parse_id(word, &gid) && gid != a->gid)
				groups[n++] = gid;
	}
	return setgroups(n, groups);
}

static void
keep_env(const char *name, char **ret)
{
	const char *s = getenv(name);

	*ret = s == NULL ? NULL : xstrdup(s);
}

static void
make_environment(const struct account *a)
{
	static const char *const names[] = {
		"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
		"LC_TIME", "TZ", "TERM",
	};
	char *kept[NITEMS(names)];
	size_t i;

	for (i = 0; i < NITEMS(names); i++)
		keep_env(names[i], &kept[i]);
	(void)clearenv();
	for (i = 0; i < NITEMS(names); i++) {
		if (kept[i] != NULL)
			(void)setenv(names[i], kept[i], 1);
		free(kept[i]);
	}
	if (getenv("PATH") == NULL)
		(void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
		    "/usr/bin:/sbin:/bin", 1);
	(void)setenv("HOME", a->home, 1);
	(void)setenv("USER", a->name, 1);
	(void)setenv("LOGNAME", a->name, 1);
	(void)setenv("SHELL", a->shell[0] != '\0' ? a->shell : "/bin/sh", 1);
}

bool
worker_user_exists(const char *user)
{
	struct account a = { .local = false };
	struct err err = ERR_INIT;
	bool exists = account_find(user, &a, &err) == 0;

	err_release(&err);
	account_release(&a);
	return exists;
}

int
worker_become(const char *user, struct err *err)
{
	struct account a = { .local = false };
	uid_t r, e, s;
	int status = -1;

	if (account_find(user, &a, err) != 0)
		goto out;
	if ((a.local ? initgroups(a.name, a.gid) : groups_of_others(&a)) != 0 ||
	    setresgid(a.gid, a.gid, a.gid) != 0 ||
	    setresuid(a.uid, a.uid, a.uid) != 0) {
		(void)err_errno(err, "cannot become '%s'", user);
		goto out;
	}
	if (getresuid(&r, &e, &s) != 0 || r != a.uid || e != a.uid || s != a.uid ||
	    (a.uid != 0 && setuid(0) == 0)) {
		(void)err_set(err, ERR_INTERNAL, "cannot become '%s': "
		    "the change of user did not hold", user);
		goto out;
	}
	/* The user's other processes may not look into this one. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	make_environment(&a);
	(void)umask(022);
	if (chdir(a.home) != 0 && chdir("/") != 0) {
		(void)err_errno(err, "cannot enter the home of '%s'", user);
		goto out;
	}
	status = 0;
out:
	account_release(&a);
	return status;
}
