/* ssh_config: behind the first line, which names the host that is asked for. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "inventory/sshconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT, text = BUF_INIT;
	struct arena arena = { 0 };
	struct sshconf_host h;
	const struct sshconf *conf;
	const char *nl = memchr(data, '\n', size), *host, *body;
	char path[40];
	int fd;

	if (nl == NULL)
		return 0;
	buf_add(&text, nl + 1, size - (size_t)(nl + 1 - (const char *)data));
	body = buf_str(&text);
	if (strcasestr(body, "include") != NULL)
		return 0;	/* would read the machine's files */
	host = arena_strndup(&arena, (const char *)data,
	    (size_t)(nl - (const char *)data));
	fd = memfd_create("sshconf", MFD_CLOEXEC);
	if (fd == -1 || write(fd, body, text.len) != (ssize_t)text.len)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf = sshconf_load(&arena, path, &diags);
	sshconf_get(conf, &arena, host, &h);
	diags_format(&diags, false, &out);
	(void)close(fd);
	arena_release(&arena);
	return 0;
}
