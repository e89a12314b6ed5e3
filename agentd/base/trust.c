/*
 * Who can change a file; see trust.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/trust.h"

static int
refuse(const char *path, const char *what, const char *why, struct err *err)
{
	(void)err_set(err, ERR_INVALID, "'%s' is not read: %s %s", path, what, why);
	err_hint(err, "chmod o-w or chown it, or move the site; %s=1 in the environment "
	    "reads it all the same", TRUST_ENV);
	return -1;
}

int
path_trusted(const char *path, struct err *err)
{
	static const char everybody[] = "can be changed by every user of this machine";
	const char *allow = getenv(TRUST_ENV);
	char *real, *slash;
	struct stat st, below;
	int r = 0;

	if ((allow != NULL && strcmp(allow, "1") == 0) || (real = realpath(path, NULL)) == NULL)
		return 0;
	if (stat(real, &below) == -1 || (!S_ISREG(below.st_mode) && !S_ISDIR(below.st_mode))) {
		free(real);
		return 0;
	}
	if ((below.st_mode & S_IWOTH) && !(S_ISDIR(below.st_mode) && (below.st_mode & S_ISVTX)))
		r = refuse(path, real, everybody, err);
	while (r == 0 && (slash = strrchr(real, '/')) != NULL && strcmp(real, "/") != 0) {
		/* The name below is still whole behind the NUL. */
		*slash = '\0';
		if (stat(slash == real ? "/" : real, &st) == -1)
			break;
		if (!(st.st_mode & S_IWOTH)) {
			below = st;
			continue;
		}
		if (!(st.st_mode & S_ISVTX))
			r = refuse(path, slash == real ? "/" : real, everybody, err);
		else if (below.st_uid != 0 && below.st_uid != geteuid()) {
			*slash = '/';
			r = refuse(path, real, "belongs to another user, in a directory for all", err);
			*slash = '\0';
		}
		below = st;
	}
	free(real);
	return r;
}
