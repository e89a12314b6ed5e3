/*
 * Fuzz: any bytes as an archive (tar, zip, compressed or not).  All members are
 * walked and read; names that pass as safe must be so.
 */

#include <sys/mman.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "module/archive.h"

#define MEMBERS_MAX	1000
#define BYTES_MAX	(1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_name(struct arena *arena, const char *name)
{
	const char *safe = archive_safe_name(arena, name), *p;
	size_t n;

	if (safe == NULL)
		return;
	assert(*safe != '\0' && *safe != '/');
	for (p = safe; *p != '\0'; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		assert(n > 0 && n <= 255);
		assert(!(n == 1 && p[0] == '.'));
		assert(!(n == 2 && p[0] == '.' && p[1] == '.'));
	}
}

static void
walk(struct archive *a, struct arena *arena, struct err *err)
{
	char chunk[4096];
	struct member m;
	size_t total = 0;
	int members = 0;
	ssize_t n;

	while (members++ < MEMBERS_MAX && archive_next(a, &m, err) == 1) {
		check_name(arena, m.name);
		assert(m.size >= 0);
		if (m.type == MEMBER_SYMLINK || m.type == MEMBER_HARDLINK)
			check_name(arena, m.target);
		if (members % 3 == 0)
			continue;	/* not read: passed over */
		while (total < BYTES_MAX &&
		    (n = archive_read(a, chunk, sizeof(chunk), err)) > 0)
			total += (size_t)n;
		if (err->code != ERR_NONE || total >= BYTES_MAX)
			return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct err err = ERR_INIT;
	struct archive *a;
	int fd;

	fd = memfd_create("archive", MFD_CLOEXEC);
	assert(fd != -1);
	assert(write(fd, data, size) == (ssize_t)size);
	a = archive_open(fd, &err);
	if (a == NULL)
		assert(err.code != ERR_NONE);
	else {
		walk(a, &arena, &err);
		archive_close(a);
	}
	err_release(&err);
	arena_release(&arena);
	(void)close(fd);
	return 0;
}
