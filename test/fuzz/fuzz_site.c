/*
 * Fuzz: any bytes as a playbook, and as the tasks, defaults and template of a
 * role it uses.  Loading must end with a site or with errors, whatever they
 * are; never crash, hang or leak.
 *
 * The input is split at lines of "===": playbook, tasks, defaults, template.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "playbook/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char top[64];

static const char *const names[] = { "site.yml", "roles/r/tasks/main.yml",
    "roles/r/defaults/main.yml", "roles/r/templates/t.j2" };

static void
clean(void)
{
	static const char *const dirs[] = { "roles/r/tasks", "roles/r/defaults",
	    "roles/r/templates", "roles/r", "roles", "." };
	char path[256];
	size_t i;

	for (i = 0; i < NITEMS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, names[i]);
		(void)unlink(path);
	}
	for (i = 0; i < NITEMS(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, dirs[i]);
		(void)rmdir(i + 1 == NITEMS(dirs) ? top : path);
	}
}

static void
set_up(void)
{
	static const char *const dirs[] = { "roles", "roles/r", "roles/r/tasks",
	    "roles/r/defaults", "roles/r/templates" };
	char path[256];
	size_t i;

	(void)snprintf(top, sizeof(top), "/tmp/provctl-fuzz-site-XXXXXX");
	assert(mkdtemp(top) != NULL);
	for (i = 0; i < NITEMS(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, dirs[i]);
		assert(mkdir(path, 0700) == 0);
	}
	(void)atexit(clean);
}

static void
put(const char *name, const uint8_t *data, size_t size)
{
	char path[256];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0);
	n = write(fd, data, size);
	assert(n == (ssize_t)size);
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct diags diags = DIAGS_INIT;
	struct site_opts o = { 0 };
	struct buf out = BUF_INIT;
	const uint8_t *p = data, *end = data + size, *cut;
	char path[128];
	size_t i;

	if (top[0] == '\0')
		set_up();
	for (i = 0; i < NITEMS(names); i++) {
		cut = memmem(p, (size_t)(end - p), "===\n", 4);
		if (cut == NULL || i + 1 == NITEMS(names))
			cut = end;
		put(names[i], p, (size_t)(cut - p));
		p = cut == end ? end : cut + 4;
	}
	(void)snprintf(path, sizeof(path), "%s/site.yml", top);
	o.path = path;
	(void)site_load(&arena, &o, &diags);
	diags_format(&diags, false, &out);
	buf_release(&out);
	diags_release(&diags);
	arena_release(&arena);
	return 0;
}
