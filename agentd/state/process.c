/*
 * Who is still there: runs and leases name the process that they belong to.
 *
 * A number alone would lie after a reboot, in another container and when the
 * kernel uses it again, so boot, process namespace and start time belong to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/buf.h"
#include "state/private.h"

const char *
process_boot(void)
{
	static char text[128];
	CLEANUP_BUF struct buf id = BUF_INIT;
	char ns[64];
	ssize_t n;

	if (text[0] != '\0')
		return text;
	if (buf_read_file(&id, "/proc/sys/kernel/random/boot_id") == -1)
		buf_adds(&id, "unknown");
	n = readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);
	ns[n > 0 ? n : 0] = '\0';
	(void)snprintf(text, sizeof(text), "%.*s %.60s",
	    (int)strcspn(buf_str(&id), "\n"), buf_str(&id), ns);
	return text;
}

int64_t
process_start(int64_t pid)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char path[64];
	const char *p;
	int i;

	(void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	/* "PID (NAME) STATE …": the name may hold anything, the 20th field behind it is the time. */
	if (buf_read_file(&b, path) == -1 ||
	    (p = strrchr(buf_str(&b), ')')) == NULL || strlen(p) < 3)
		return 0;
	/* Dead, only its parent has not looked yet. */
	if (p[2] == 'Z' || p[2] == 'X')
		return 0;
	for (i = 0; i < 20; i++)
		if ((p = strchr(p + 1, ' ')) == NULL)
			return 0;
	return strtoll(p, NULL, 10);
}

bool
process_alive(const char *boot, int64_t pid, int64_t start, int64_t expires_ms)
{
	if (strcmp(boot, process_boot()) != 0 && *boot != '\0')
		return expires_ms > state_now_ms();
	if (pid <= 0 || (kill((pid_t)pid, 0) == -1 && errno != EPERM))
		return false;
	return start == 0 || process_start(pid) == start;
}
