/*
 * Facts of the machine: processors, memory, file systems, disks, firmware, and
 * whether it is a virtual one.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "module/facts.h"

#define CPUS_MAX	4096
#define MOUNTS_MAX	4096
#define DISKS_MAX	1024

/* ---- processors --------------------------------------------------------- */

struct cpus {
	struct value	*list;
	int64_t		 n;		/* lines "processor" */
	int64_t		 models;
	int64_t		 cores, siblings;	/* of the last socket seen */
	int64_t		 sockets[CPUS_MAX];
	size_t		 nsockets;
};

/* "key   : value" of a line; false when it is none. */
static bool
colon_line(const char *line, size_t n, size_t *nkey, const char **val,
    size_t *nval)
{
	const char *colon = memchr(line, ':', n);

	if (colon == NULL)
		return false;
	*nkey = (size_t)(colon - line);
	while (*nkey > 0 && isspace((unsigned char)line[*nkey - 1]))
		(*nkey)--;
	*val = colon + 1;
	*nval = (size_t)(line + n - *val);
	while (*nval > 0 && isspace((unsigned char)**val)) {
		(*val)++;
		(*nval)--;
	}
	while (*nval > 0 && isspace((unsigned char)(*val)[*nval - 1]))
		(*nval)--;
	return true;
}

static bool
is(const char *s, size_t n, const char *word)
{
	return strlen(word) == n && strncmp(s, word, n) == 0;
}

static void
set_flags(struct facts *f, const char *s, size_t n)
{
	struct value *list = v_list(f->a);
	size_t k;

	while (n > 0) {
		for (k = 0; k < n && s[k] != ' '; k++)
			;
		if (k > 0)
			v_push(f->a, list, facts_text(f, s, k));
		s += k + (k < n);
		n -= k + (k < n);
	}
	facts_set(f, "flags", list);
}

static void
cpu_line(struct facts *f, struct cpus *c, const char *key, size_t nkey,
    const char *val, size_t nval)
{
	int64_t num = strtoll(val, NULL, 10);
	size_t i;

	if (is(key, nkey, "processor")) {
		c->n++;
		v_push(f->a, c->list, facts_text(f, val, nval));
	} else if (is(key, nkey, "vendor_id")) {
		v_push(f->a, c->list, facts_text(f, val, nval));
	} else if (is(key, nkey, "model name") || is(key, nkey, "Model Name") ||
	    is(key, nkey, "Processor") || is(key, nkey, "cpu")) {
		v_push(f->a, c->list, facts_text(f, val, nval));
		c->models++;
	} else if (is(key, nkey, "physical id")) {
		for (i = 0; i < c->nsockets && c->sockets[i] != num; i++)
			;
		if (i == c->nsockets && i < CPUS_MAX)
			c->sockets[c->nsockets++] = num;
	} else if (is(key, nkey, "cpu cores")) {
		c->cores = num;
	} else if (is(key, nkey, "siblings")) {
		c->siblings = num;
	} else if (is(key, nkey, "flags") || is(key, nkey, "Features")) {
		if (v_gets(f->map, "ansible_flags") == NULL)
			set_flags(f, val, nval);
	}
}

static void
cpu_facts(struct facts *f)
{
	const char *text = facts_read(f, "/proc/cpuinfo", NULL), *line, *val;
	int64_t sockets, cores, threads;
	size_t n, nkey, nval;
	cpu_set_t set;
	struct cpus *c;

	if (text == NULL)
		return;
	c = arena_zalloc(f->a, sizeof(*c));
	c->list = v_list(f->a);
	while ((line = facts_next_line(&text, &n)) != NULL)
		if (colon_line(line, n, &nkey, &val, &nval))
			cpu_line(f, c, line, nkey, val, nval);
	facts_set(f, "processor", c->list);
	if (c->nsockets > 0) {
		sockets = (int64_t)c->nsockets;
		cores = c->cores > 0 && c->cores <= CPUS_MAX ? c->cores : 1;
		threads = c->siblings >= cores && c->siblings <= CPUS_MAX ?
		    c->siblings / cores : 1;
	} else {
		sockets = c->n > 0 ? c->n : 1;
		cores = threads = 1;
	}
	facts_int(f, "processor_count", sockets);
	facts_int(f, "processor_cores", cores);
	facts_int(f, "processor_threads_per_core", threads);
	facts_int(f, "processor_vcpus", sockets * cores * threads);
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		facts_int(f, "processor_nproc", CPU_COUNT(&set));
	else
		facts_int(f, "processor_nproc", c->n);
}

/* ---- memory ------------------------------------------------------------- */

static int64_t
kib(const char *text, const char *key)
{
	size_t n, nkey, nval;
	const char *line, *val;
	long long num;

	while ((line = facts_next_line(&text, &n)) != NULL)
		if (colon_line(line, n, &nkey, &val, &nval) &&
		    is(line, nkey, key)) {
			num = strtoll(val, NULL, 10);
			return num < 0 || num > INT64_MAX / 4096 ? 0 : num;
		}
	return 0;
}

static void
memory_facts(struct facts *f)
{
	const char *t = facts_read(f, "/proc/meminfo", NULL);
	struct value *all, *real, *nocache, *swap;
	int64_t total, avail, nc, swap_total, swap_left;

	if (t == NULL)
		return;
	total = kib(t, "MemTotal") / 1024;
	avail = kib(t, "MemFree") / 1024;
	nc = (kib(t, "MemFree") + kib(t, "Cached") + kib(t, "Buffers")) / 1024;
	swap_total = kib(t, "SwapTotal") / 1024;
	swap_left = kib(t, "SwapFree") / 1024;
	facts_int(f, "memtotal_mb", total);
	facts_int(f, "memfree_mb", avail);
	facts_int(f, "swaptotal_mb", swap_total);
	facts_int(f, "swapfree_mb", swap_left);
	all = v_map(f->a);
	real = v_map(f->a);
	v_set_int(f->a, real, "total", total);
	v_set_int(f->a, real, "used", total - avail);
	v_set_int(f->a, real, "free", avail);
	nocache = v_map(f->a);
	v_set_int(f->a, nocache, "free", nc);
	v_set_int(f->a, nocache, "used", total - nc);
	swap = v_map(f->a);
	v_set_int(f->a, swap, "total", swap_total);
	v_set_int(f->a, swap, "free", swap_left);
	v_set_int(f->a, swap, "used", swap_total - swap_left);
	v_set_int(f->a, swap, "cached", kib(t, "SwapCached") / 1024);
	v_sets(f->a, all, "real", real);
	v_sets(f->a, all, "nocache", nocache);
	v_sets(f->a, all, "swap", swap);
	facts_set(f, "memory_mb", all);
}

/* ---- firmware ----------------------------------------------------------- */

#define DMI	"/sys/devices/virtual/dmi/id/"

static const char *
dmi(struct facts *f, const char *name)
{
	return facts_line(f, facts_path(f, DMI "%s", name));
}

static void
firmware_facts(struct facts *f)
{
	static const char *const names[] = { "bios_date", "bios_vendor",
		"bios_version", "board_asset_tag", "board_name", "board_serial",
		"board_vendor", "board_version", "chassis_asset_tag",
		"chassis_serial", "chassis_vendor", "chassis_version",
		"product_name", "product_serial", "product_uuid",
		"product_version" };
	static const char *const forms[] = { "Unknown", "Other", "Unknown",
		"Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower",
		"Tower", "Portable", "Laptop", "Notebook", "Hand Held",
		"Docking Station", "All In One", "Sub Notebook", "Space-saving",
		"Lunch Box", "Main Server Chassis", "Expansion Chassis",
		"Sub Chassis", "Bus Expansion Chassis", "Peripheral Chassis",
		"RAID Chassis", "Rack Mount Chassis", "Sealed-case PC",
		"Multi-system", "CompactPCI", "AdvancedTCA", "Blade" };
	const char *s;
	size_t i;
	long form;

	for (i = 0; i < NITEMS(names); i++) {
		s = dmi(f, names[i]);
		facts_str(f, names[i], s == NULL ? "NA" : s);
	}
	s = dmi(f, "sys_vendor");
	facts_str(f, "system_vendor", s == NULL ? "NA" : s);
	s = dmi(f, "chassis_type");
	form = s == NULL ? -1 : strtol(s, NULL, 10);
	if (s != NULL && form >= 0 && (size_t)form < NITEMS(forms))
		facts_str(f, "form_factor", forms[form]);
	else
		facts_str(f, "form_factor", s == NULL ? "NA" : s);
}

void
facts_hardware(struct facts *f)
{
	const char *s;

	cpu_facts(f);
	memory_facts(f);
	firmware_facts(f);
	s = facts_line(f, "/proc/uptime");
	if (s != NULL)
		facts_int(f, "uptime_seconds", strtoll(s, NULL, 10));
}

/* ---- file systems ------------------------------------------------------- */

/* Blanks and others are written \040 in the kernel's tables. */
static char *
unescape(struct facts *f, const char *s, size_t n)
{
	char *out = arena_alloc(f->a, n + 1);
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && n - i >= 4 &&
		    s[i + 1] >= '0' && s[i + 1] <= '3' &&
		    s[i + 2] >= '0' && s[i + 2] <= '7' &&
		    s[i + 3] >= '0' && s[i + 3] <= '7') {
			out[k++] = (char)((s[i + 1] - '0') * 64 +
			    (s[i + 2] - '0') * 8 + (s[i + 3] - '0'));
			i += 3;
		} else
			out[k++] = s[i];
	}
	out[k] = '\0';
	return out;
}

/* Splits a line at blanks. */
static size_t
split(struct facts *f, const char *line, size_t n, char **v, size_t max)
{
	const char *end = line + n, *s;
	size_t k = 0;

	while (line < end && k < max) {
		while (line < end && *line == ' ')
			line++;
		for (s = line; line < end && *line != ' '; line++)
			;
		if (line > s)
			v[k++] = unescape(f, s, (size_t)(line - s));
	}
	return k;
}

static bool
may_hang(const char *type)
{
	static const char *const types[] = { "nfs", "nfs4", "cifs", "smb3",
		"ceph", "glusterfs", "afs", "9p", "lustre", NULL };
	size_t i;

	for (i = 0; types[i] != NULL; i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return strncmp(type, "fuse", 4) == 0;
}

/* statvfs() in a child: a server that is away would hold us up for ever. */
static bool
statvfs_patiently(const char *path, struct statvfs *ret, int timeout_ms)
{
	struct pollfd p;
	int fds[2];
	pid_t pid;
	bool ok = false;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return false;
	pid = fork();
	if (pid == 0) {
		ssize_t n = 0;

		if (statvfs(path, ret) == 0)
			n = write(fds[1], ret, sizeof(*ret));
		_exit(n > 0 ? 0 : 1);
	}
	(void)close(fds[1]);
	if (pid > 0) {
		p = (struct pollfd){ .fd = fds[0], .events = POLLIN };
		ok = poll(&p, 1, timeout_ms) == 1 &&
		    read(fds[0], ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
		(void)kill(pid, SIGKILL);
		/* one that hangs in the kernel is left to init */
		(void)waitpid(pid, NULL, ok ? 0 : WNOHANG);
	}
	(void)close(fds[0]);
	return ok;
}

static void
set_sizes(struct facts *f, struct value *mount, const struct statvfs *s)
{
	int64_t size = (int64_t)s->f_frsize;

	v_set_int(f->a, mount, "size_total", size * (int64_t)s->f_blocks);
	v_set_int(f->a, mount, "size_available", size * (int64_t)s->f_bavail);
	v_set_int(f->a, mount, "block_size", (int64_t)s->f_bsize);
	v_set_int(f->a, mount, "block_total", (int64_t)s->f_blocks);
	v_set_int(f->a, mount, "block_available", (int64_t)s->f_bavail);
	v_set_int(f->a, mount, "block_used",
	    (int64_t)s->f_blocks - (int64_t)s->f_bavail);
	v_set_int(f->a, mount, "inode_total", (int64_t)s->f_files);
	v_set_int(f->a, mount, "inode_available", (int64_t)s->f_favail);
	v_set_int(f->a, mount, "inode_used",
	    (int64_t)s->f_files - (int64_t)s->f_favail);
}

/* The link in /dev/disk/by-WHAT that leads to a device; "N/A". */
static const char *
disk_link(struct facts *f, const char *what, const char *device)
{
	const char *dir = facts_path(f, "/dev/disk/by-%s", what), *target;
	const char *const *names;
	const char *base = strrchr(device, '/');

	base = base == NULL ? device : base + 1;
	for (names = facts_names(f, dir); *names != NULL; names++) {
		target = facts_link(f, facts_path(f, "%s/%s", dir, *names));
		if (target == NULL)
			continue;
		target = strrchr(target, '/') == NULL ? target :
		    strrchr(target, '/') + 1;
		if (strcmp(target, base) == 0)
			return *names;
	}
	return "N/A";
}

/* Whether mountinfo shows a mount whose root is not that of its file system. */
static bool
is_bind(struct facts *f, const char *info, const char *where)
{
	const char *line;
	char *v[6];
	size_t n;

	while ((line = facts_next_line(&info, &n)) != NULL)
		if (split(f, line, n, v, 6) >= 5 && strcmp(v[4], where) == 0)
			return strcmp(v[3], "/") != 0;
	return false;
}

/* What is mounted over another hides it. */
static void
add_mount(struct facts *f, struct value *list, const struct value *m)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_equal(v_gets(v_at(list, i), "mount"), v_gets(m, "mount"))) {
			list->u.list->v[i] = m;
			return;
		}
	v_push(f->a, list, m);
}

void
facts_mounts(struct facts *f)
{
	const char *text = facts_read(f, "/proc/self/mounts", NULL), *line;
	const char *info = facts_read(f, "/proc/self/mountinfo", NULL);
	struct value *list = v_list(f->a), *m;
	const char *options, *uuid;
	struct statvfs s;
	char *v[6];
	size_t n;
	bool ok;

	while ((line = facts_next_line(&text, &n)) != NULL) {
		if (split(f, line, n, v, 6) < 6 || v_count(list) >= MOUNTS_MAX)
			continue;
		if ((v[0][0] != '/' && v[0][0] != '\\' &&
		    strstr(v[0], ":/") == NULL) || strcmp(v[2], "none") == 0)
			continue;
		m = v_map(f->a);
		options = v[3];
		if (info != NULL && strstr(options, "bind") == NULL &&
		    is_bind(f, info, v[1]))
			options = arena_printf(f->a, "%s,bind", options);
		v_sets(f->a, m, "mount", facts_text(f, v[1], strlen(v[1])));
		v_sets(f->a, m, "device", facts_text(f, v[0], strlen(v[0])));
		v_sets(f->a, m, "fstype", facts_text(f, v[2], strlen(v[2])));
		v_sets(f->a, m, "options", facts_text(f, options, strlen(options)));
		v_set_int(f->a, m, "dump", strtol(v[4], NULL, 10));
		v_set_int(f->a, m, "passno", strtol(v[5], NULL, 10));
		ok = *f->root == '\0' && (may_hang(v[2]) ?
		    statvfs_patiently(v[1], &s, f->timeout_ms) :
		    statvfs(v[1], &s) == 0);
		if (ok)
			set_sizes(f, m, &s);
		else if (may_hang(v[2]))
			v_set_str(f->a, m, "note",
			    "Could not get extra information: timed out");
		uuid = disk_link(f, "uuid", v[0]);
		v_set_str(f->a, m, "uuid", uuid);
		add_mount(f, list, m);
	}
	facts_set(f, "mounts", list);
}

/* ---- disks -------------------------------------------------------------- */

static const struct value *
human(struct facts *f, int64_t bytes)
{
	static const char *const units[] = { "Bytes", "KB", "MB", "GB", "TB",
		"PB", "EB" };
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1024 && i + 1 < NITEMS(units)) {
		n /= 1024;
		i++;
	}
	return v_strf(f->a, "%.2f %s", n, units[i]);
}

static const struct value *
names_list(struct facts *f, const char *dir)
{
	const char *const *names = facts_names(f, dir);
	struct value *list = v_list(f->a);

	for (; *names != NULL; names++)
		v_push(f->a, list, facts_text(f, *names, strlen(*names)));
	return list;
}

/* All links of /dev/disk/by-WHAT: device -> list of names. */
static struct value *
link_map(struct facts *f, const char *what)
{
	const char *dir = facts_path(f, "/dev/disk/by-%s", what), *target, *base;
	const char *const *names;
	struct value *map = v_map(f->a), *list;

	for (names = facts_names(f, dir); *names != NULL; names++) {
		target = facts_link(f, facts_path(f, "%s/%s", dir, *names));
		if (target == NULL)
			continue;
		base = strrchr(target, '/') == NULL ? target :
		    strrchr(target, '/') + 1;
		list = (struct value *)(uintptr_t)v_gets(map, base);
		if (list == NULL) {
			list = v_list(f->a);
			v_sets(f->a, map, base, list);
		}
		v_push(f->a, list, facts_text(f, *names, strlen(*names)));
	}
	return map;
}

struct disk_links {
	struct value	*ids, *labels, *uuids, *masters;
};

static const struct value *
links_of(struct facts *f, const struct disk_links *l, const char *name)
{
	const struct { const char *key; const struct value *map; } rows[] = {
		{ "ids", l->ids }, { "labels", l->labels },
		{ "masters", l->masters }, { "uuids", l->uuids } };
	struct value *m = v_map(f->a);
	const struct value *v;
	size_t i;

	for (i = 0; i < NITEMS(rows); i++) {
		v = v_gets(rows[i].map, name);
		v_sets(f->a, m, rows[i].key, v != NULL ? v : v_list(f->a));
	}
	return m;
}

static int64_t
number(struct facts *f, const char *path)
{
	const char *s = facts_line(f, path);
	long long n = s == NULL ? 0 : strtoll(s, NULL, 10);

	return n < 0 || n > INT64_MAX / 512 ? 0 : n;
}

static void
set_line(struct facts *f, struct value *m, const char *key, const char *path)
{
	const char *s = path == NULL ? NULL : facts_line(f, path);

	v_sets(f->a, m, key, s == NULL ? &v_null : facts_text(f, s, strlen(s)));
}

/* The scheduler is the word in brackets. */
static const char *
scheduler(struct facts *f, const char *path)
{
	const char *s = facts_line(f, path), *open, *close_;

	open = s == NULL ? NULL : strchr(s, '[');
	close_ = open == NULL ? NULL : strchr(open, ']');
	if (close_ != NULL)
		return arena_strndup(f->a, open + 1, (size_t)(close_ - open - 1));
	return s != NULL && strcmp(s, "none") == 0 ? "none" : "";
}

static const char *
sector_size(struct facts *f, const char *dir)
{
	const char *s = facts_line(f, facts_path(f, "%s/queue/logical_block_size", dir));

	if (s == NULL)
		s = facts_line(f, facts_path(f, "%s/queue/hw_sector_size", dir));
	return s == NULL ? "512" : s;
}

static const struct value *
partitions(struct facts *f, const struct disk_links *l, const char *dir,
    const char *disk_name)
{
	const char *const *names;
	struct value *all = v_map(f->a), *p;
	const struct value *links;
	const char *path, *s;
	int64_t sectors;

	for (names = facts_names(f, dir); *names != NULL; names++) {
		/* sda1, nvme0n1p1: all others need not be looked at */
		if (strncmp(*names, disk_name, strlen(disk_name)) != 0)
			continue;
		path = facts_path(f, "%s/%s", dir, *names);
		if (!facts_exists(f, facts_path(f, "%s/partition", path)) ||
		    v_count(all) >= DISKS_MAX)
			continue;
		p = v_map(f->a);
		links = links_of(f, l, *names);
		sectors = number(f, facts_path(f, "%s/size", path));
		v_sets(f->a, p, "links", links);
		s = facts_line(f, facts_path(f, "%s/start", path));
		v_set_str(f->a, p, "start", s == NULL ? "0" : s);
		v_set_int(f->a, p, "sectors", sectors);
		v_set_str(f->a, p, "sectorsize", sector_size(f, dir));
		v_sets(f->a, p, "size", human(f, sectors * 512));
		v_sets(f->a, p, "uuid", v_count(v_gets(links, "uuids")) > 0 ?
		    v_at(v_gets(links, "uuids"), 0) : &v_null);
		v_sets(f->a, p, "holders",
		    names_list(f, facts_path(f, "%s/holders", path)));
		v_sets(f->a, all, *names, p);
	}
	return all;
}

static const struct value *
disk(struct facts *f, const struct disk_links *l, const char *name)
{
	const char *dir = facts_path(f, "/sys/block/%s", name), *s;
	int64_t sectors = number(f, facts_path(f, "%s/size", dir));
	const char *hw = facts_path(f, "%s/device", dir);
	struct value *d = v_map(f->a);

	if (!facts_exists(f, hw))
		hw = NULL;		/* a loop device and its like */
	v_set_int(f->a, d, "virtual", 1);
	v_sets(f->a, d, "links", links_of(f, l, name));
	set_line(f, d, "vendor", hw == NULL ? NULL : facts_path(f, "%s/vendor", hw));
	set_line(f, d, "model", hw == NULL ? NULL : facts_path(f, "%s/model", hw));
	set_line(f, d, "sas_address", hw == NULL ? NULL :
	    facts_path(f, "%s/sas_address", hw));
	set_line(f, d, "sas_device_handle", hw == NULL ? NULL :
	    facts_path(f, "%s/sas_device_handle", hw));
	s = facts_line(f, facts_path(f, "%s/serial", dir));
	if (s == NULL && hw != NULL)
		s = facts_line(f, facts_path(f, "%s/serial", hw));
	if (s != NULL)
		v_sets(f->a, d, "serial", facts_text(f, s, strlen(s)));
	set_line(f, d, "removable", facts_path(f, "%s/removable", dir));
	set_line(f, d, "support_discard",
	    facts_path(f, "%s/queue/discard_granularity", dir));
	set_line(f, d, "rotational", facts_path(f, "%s/queue/rotational", dir));
	v_set_str(f->a, d, "scheduler_mode",
	    scheduler(f, facts_path(f, "%s/queue/scheduler", dir)));
	v_set_int(f->a, d, "sectors", sectors);
	v_set_str(f->a, d, "sectorsize", sector_size(f, dir));
	v_sets(f->a, d, "size", human(f, sectors * 512));
	v_set_str(f->a, d, "host", "");
	v_sets(f->a, d, "partitions", partitions(f, l, dir, name));
	v_sets(f->a, d, "holders", names_list(f, facts_path(f, "%s/holders", dir)));
	return d;
}

void
facts_devices(struct facts *f)
{
	struct value *devices = v_map(f->a), *links = v_map(f->a), *list;
	const char *const *names, *const *slaves;
	struct disk_links l;

	l.ids = link_map(f, "id");
	l.labels = link_map(f, "label");
	l.uuids = link_map(f, "uuid");
	l.masters = v_map(f->a);
	for (names = facts_names(f, "/sys/block"); *names != NULL; names++)
		for (slaves = facts_names(f, facts_path(f, "/sys/block/%s/slaves",
		    *names)); *slaves != NULL; slaves++) {
			list = (struct value *)(uintptr_t)v_gets(l.masters, *slaves);
			if (list == NULL) {
				list = v_list(f->a);
				v_sets(f->a, l.masters, *slaves, list);
			}
			v_push(f->a, list, facts_text(f, *names, strlen(*names)));
		}
	for (names = facts_names(f, "/sys/block"); *names != NULL &&
	    v_count(devices) < DISKS_MAX; names++)
		v_sets(f->a, devices, *names, disk(f, &l, *names));
	v_sets(f->a, links, "ids", l.ids);
	v_sets(f->a, links, "labels", l.labels);
	v_sets(f->a, links, "masters", l.masters);
	v_sets(f->a, links, "uuids", l.uuids);
	facts_set(f, "devices", devices);
	facts_set(f, "device_links", links);
	if (!facts_exists(f, "/usr/sbin/vgs"))
		facts_str(f, "lvm", "N/A");
}

/* Names this host has towards storage. */
void
facts_storage_names(struct facts *f)
{
	const char *text = facts_read(f, "/etc/iscsi/initiatorname.iscsi", NULL);
	const char *s = text == NULL ? NULL :
	    facts_shell_var(f, text, "InitiatorName");
	const char *const *names;
	struct value *wwn = v_list(f->a);

	facts_str(f, "iscsi_iqn", s == NULL ? "" : s);
	s = facts_line(f, "/etc/nvme/hostnqn");
	facts_str(f, "hostnqn", s == NULL ? "" : s);
	for (names = facts_names(f, "/sys/class/fc_host"); *names != NULL; names++) {
		s = facts_line(f, facts_path(f, "/sys/class/fc_host/%s/port_name",
		    *names));
		if (s != NULL)
			v_push(f->a, wwn, facts_text(f, strncmp(s, "0x", 2) == 0 ?
			    s + 2 : s, strlen(strncmp(s, "0x", 2) == 0 ? s + 2 : s)));
	}
	facts_set(f, "fibre_channel_wwn", wwn);
}

/* ---- virtual machines and containers ------------------------------------ */

struct virt {
	struct facts	*f;
	struct value	*guest, *host;
	const char	*type, *role;
};

static void
add_tech(struct facts *f, struct value *list, const char *tech)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (v_eqs(v_at(list, i), tech))
			return;
	v_push(f->a, list, v_str(f->a, tech));
}

static void
found(struct virt *v, const char *tech, bool guest)
{
	add_tech(v->f, guest ? v->guest : v->host, tech);
	if (v->type == NULL) {
		v->type = tech;
		v->role = guest ? "guest" : "host";
	}
}

static void
find_container(struct virt *v)
{
	struct facts *f = v->f;
	const char *s, *p, *end;
	size_t len;

	s = facts_read(f, "/proc/1/cgroup", NULL);
	if (s != NULL) {
		if (strstr(s, "/docker/") != NULL || strstr(s, "/docker-") != NULL)
			found(v, "docker", true);
		if (strstr(s, "/lxc/") != NULL ||
		    strstr(s, "/machine.slice/machine-lxc") != NULL)
			found(v, "lxc", true);
		if (strstr(s, "/system.slice/containerd.service") != NULL)
			found(v, "containerd", true);
	}
	s = facts_read(f, "/proc/1/environ", &len);
	for (p = s, end = s == NULL ? NULL : s + len; p != NULL && p < end;
	    p += strlen(p) + 1) {
		if (strncmp(p, "container=", 10) != 0 || p[10] == '\0')
			continue;
		if (strcmp(p + 10, "lxc") == 0)
			found(v, "lxc", true);
		else if (strcmp(p + 10, "podman") == 0)
			found(v, "podman", true);
		else
			found(v, "container", true);
	}
	if (facts_exists(f, "/proc/vz") && !facts_exists(f, "/proc/lve"))
		found(v, "openvz", !facts_exists(f, "/proc/bc"));
	s = facts_line(f, "/run/systemd/container");
	if (s != NULL && *s != '\0')
		found(v, s, true);
	if (facts_exists(f, "/.dockerenv") || facts_exists(f, "/.dockerinit"))
		found(v, "docker", true);
	if (facts_exists(f, "/run/.containerenv"))
		found(v, "podman", true);
}

static void
find_machine(struct virt *v)
{
	static const struct { const char *file, *text, *tech; } rows[] = {
		{ "product_name", "KVM Server", "kvm" },
		{ "product_name", "KVM", "kvm" },
		{ "product_name", "Bochs", "kvm" },
		{ "product_name", "AHV", "kvm" },
		{ "product_name", "oVirt Node", "oVirt" },
		{ "product_name", "RHEV", "RHEV" },
		{ "product_name", "VMware7,1", "VMware" },
		{ "product_name", "VMware Virtual Platform", "VMware" },
		{ "product_name", "OpenStack Compute", "openstack" },
		{ "product_name", "OpenStack Nova", "openstack" },
		{ "product_name", "Google Compute Engine", "kvm" },
		{ "product_name", "VirtualBox", "virtualbox" },
		{ "bios_vendor", "Xen", "xen" },
		{ "bios_vendor", "innotek GmbH", "virtualbox" },
		{ "bios_vendor", "Amazon EC2", "kvm" },
		{ "bios_vendor", "DigitalOcean", "kvm" },
		{ "bios_vendor", "Hetzner", "kvm" },
		{ "sys_vendor", "QEMU", "kvm" },
		{ "sys_vendor", "Amazon EC2", "kvm" },
		{ "sys_vendor", "DigitalOcean", "kvm" },
		{ "sys_vendor", "Hetzner", "kvm" },
		{ "sys_vendor", "Google", "kvm" },
		{ "sys_vendor", "linode", "kvm" },
		{ "sys_vendor", "Vultr", "kvm" },
		{ "sys_vendor", "Nutanix", "kvm" },
		{ "sys_vendor", "oVirt", "kvm" },
		{ "sys_vendor", "OpenStack Foundation", "openstack" },
		{ "sys_vendor", "Parallels Software International Inc.", "parallels" },
		{ "sys_vendor", "VMware, Inc.", "VMware" },
		{ "sys_vendor", "KubeVirt", "KubeVirt" },
	};
	struct facts *f = v->f;
	const char *s, *vendor = dmi(f, "sys_vendor");
	size_t i;

	s = dmi(f, "product_name");
	if (vendor != NULL && s != NULL &&
	    strcmp(vendor, "Microsoft Corporation") == 0 &&
	    strcmp(s, "Virtual Machine") == 0)
		found(v, "VirtualPC", true);
	if (facts_exists(f, "/proc/xen") || facts_exists(f, "/sys/hypervisor/properties"))
		found(v, "xen", true);
	for (i = 0; i < NITEMS(rows); i++) {
		s = dmi(f, rows[i].file);
		if (s != NULL && strcmp(s, rows[i].text) == 0)
			found(v, rows[i].tech, true);
	}
	s = facts_read(f, "/proc/cpuinfo", NULL);
	if (s != NULL && strstr(s, "QEMU Virtual CPU") != NULL)
		found(v, "kvm", true);
	if (s != NULL && strstr(s, "User Mode Linux") != NULL)
		found(v, "uml", true);
}

void
facts_virtual(struct facts *f)
{
	struct virt v = { .f = f };
	const char *mods;

	v.guest = v_list(f->a);
	v.host = v_list(f->a);
	find_container(&v);
	find_machine(&v);
	mods = facts_read(f, "/proc/modules", NULL);
	if (mods != NULL) {
		if (strncmp(mods, "kvm", 3) == 0 ||
		    strstr(mods, "\nkvm ") != NULL)
			found(&v, "kvm", false);
		if (strstr(mods, "\nvboxdrv ") != NULL)
			found(&v, "virtualbox", false);
		if (v.type == NULL && strstr(mods, "\nvirtio ") != NULL)
			found(&v, "kvm", true);
	}
	if (facts_exists(f, "/dev/kvm"))
		add_tech(f, v.host, "kvm");
	facts_str(f, "virtualization_type", v.type == NULL ? "NA" : v.type);
	facts_str(f, "virtualization_role", v.role == NULL ? "NA" : v.role);
	facts_set(f, "virtualization_tech_guest", v.guest);
	facts_set(f, "virtualization_tech_host", v.host);
}
