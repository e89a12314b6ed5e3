/*
 * A clock that jumps: CLOCK_REALTIME and time() are off by as many seconds as
 * the file $CLOCK says, at any moment.  Preloaded; other clocks, which nobody
 * can set, go on as they are.
 *
 *	LD_PRELOAD=clock.so CLOCK=/tmp/x/offset agentd …
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static time_t
offset(void)
{
	const char *path = getenv("CLOCK");
	char text[32];
	ssize_t n;
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	return (time_t)strtoll(text, NULL, 10);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ts);

	if (r == 0 && clock == CLOCK_REALTIME)
		ts->tv_sec += offset();
	return r;
}

time_t
time(time_t *ret)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ ts.tv_sec, (suseconds_t)(ts.tv_nsec / 1000) };
	return 0;
}
