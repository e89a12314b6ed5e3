/*
 * find: files by name, age, size, content.
 *
 * As in Ansible the directories themselves are always entered (hidden ones
 * too); the filters decide only what is listed.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "module/fs.h"
#include "module/hash.h"
#include "module/re.h"
#include "module/stat.h"

#define CONTAINS_MAX	((size_t)256 * 1024 * 1024)

static const struct mod_arg find_args[] = {
	{ .name = "paths", .type = ARG_LIST, .of = ARG_PATH,
	    .flags = ARG_REQUIRED, .aliases = "name,path",
	    .doc = "Directories to look in." },
	{ .name = "patterns", .type = ARG_LIST, .of = ARG_STR,
	    .aliases = "pattern",
	    .doc = "Names: shell patterns, or regular expressions with use_regex." },
	{ .name = "excludes", .type = ARG_LIST, .of = ARG_STR,
	    .aliases = "exclude", .doc = "Names to leave out, as patterns." },
	{ .name = "contains", .type = ARG_STR,
	    .doc = "Only files with a line that begins with a match of this regular expression." },
	{ .name = "read_whole_file", .type = ARG_BOOL, .def = "false",
	    .doc = "contains is searched in the whole file." },
	{ .name = "file_type", .type = ARG_STR, .def = "file",
	    .choices = "any,directory,file,link", .doc = "What to list." },
	{ .name = "recurse", .type = ARG_BOOL, .def = "false",
	    .doc = "Also looks in subdirectories." },
	{ .name = "depth", .type = ARG_INT,
	    .doc = "How many levels with recurse." },
	{ .name = "size", .type = ARG_STR,
	    .doc = "At least this size (10k, 1m, 2g); with a minus at most." },
	{ .name = "age", .type = ARG_STR,
	    .doc = "At least this old (30s, 10m, 2h, 7d, 4w); with a minus at most." },
	{ .name = "age_stamp", .type = ARG_STR, .def = "mtime",
	    .choices = "atime,ctime,mtime", .doc = "Which time counts." },
	{ .name = "hidden", .type = ARG_BOOL, .def = "false",
	    .doc = "Also lists names that begin with a dot." },
	{ .name = "mode", .type = ARG_MODE, .doc = "Only with this mode." },
	{ .name = "exact_mode", .type = ARG_BOOL, .def = "true",
	    .doc = "No: the bits of mode are enough, there may be others." },
	{ .name = "follow", .type = ARG_BOOL, .def = "false",
	    .doc = "Follows links in the paths." },
	{ .name = "get_checksum", .type = ARG_BOOL, .def = "false",
	    .doc = "Adds the checksum of each file." },
	{ .name = "checksum_algorithm", .type = ARG_STR, .def = "sha1",
	    .aliases = "checksum,checksum_algo",
	    .choices = "md5,sha1,sha224,sha256,sha384,sha512",
	    .doc = "Which checksum." },
	{ .name = "use_regex", .type = ARG_BOOL, .def = "false",
	    .doc = "patterns and excludes are regular expressions." },
	{ .name = "limit", .type = ARG_INT,
	    .doc = "Stops after so many files." },
	{ .name = "encoding", .type = ARG_STR, .def = "utf-8",
	    .choices = "utf-8,UTF-8,utf8", .doc = "Only UTF-8." },
	{ .name = NULL }
};

struct patterns {
	const struct value	 *list;	/* NULL: none */
	struct re		**re;	/* compiled, with use_regex */
};

struct finding {
	struct patterns	 want, leave;
	struct re	*contains;
	const char	*type;
	bool		 hidden, whole, recurse, exact;
	int64_t		 depth, limit;
	bool		 has_size, has_age;
	int64_t		 size, age, now;
	const char	*stamp;
	const char	*mode;
	bool		 checksum;
	enum hash_kind	 kind;
	struct value	*files, *skipped;
	int64_t		 examined;
	const char	*top;
};

/* "7d", "-10m": a number and a unit of the table; the unit may be missing. */
static int
parse_amount(struct mod *m, const char *what, const char *s, const char *units,
    const int64_t *factors, int64_t *ret)
{
	long long n;
	const char *u;
	char *end;

	errno = 0;
	n = strtoll(s, &end, 10);
	if (end == s || errno != 0)
		return mod_fail(m, "failed to process %s: '%s'", what, s);
	if (*end != '\0') {
		u = strchr(units, tolower((unsigned char)*end));
		if (u == NULL || end[1] != '\0' ||
		    __builtin_mul_overflow(n, factors[u - units], &n))
			return mod_fail(m, "failed to process %s: '%s'", what, s);
	}
	*ret = n;
	return 0;
}

static int
compile(struct mod *m, const char *arg, struct patterns *p)
{
	uint32_t i, n;

	p->list = mod_arg(m, arg);
	if (p->list == NULL || !mod_arg_bool(m, "use_regex"))
		return 0;
	n = v_count(p->list);
	p->re = ARENA_ARRAY(m->arena, n == 0 ? 1 : n, struct re *);
	for (i = 0; i < n; i++) {
		p->re[i] = re_compile(m, arg, v_at(p->list, i)->u.s, RE_ANCHORED);
		if (p->re[i] == NULL)
			return -1;
	}
	return 0;
}

static void
release(struct patterns *p)
{
	uint32_t i;

	for (i = 0; p->re != NULL && i < v_count(p->list); i++)
		re_free(p->re[i]);
}

/* 1 when a name matches one of them, 0 not, -1 after mod_fail. */
static int
matches(struct mod *m, const struct patterns *p, const char *name)
{
	uint32_t i;
	int rc;

	for (i = 0; i < v_count(p->list); i++) {
		if (p->re != NULL) {
			rc = re_search(m, p->re[i], name, strlen(name), 0, NULL);
			if (rc != 0)
				return rc;
		} else if (fnmatch(v_at(p->list, i)->u.s, name, FNM_NOESCAPE) == 0)
			return 1;
	}
	return 0;
}

static int
name_fits(struct mod *m, const struct finding *f, const char *name)
{
	int rc;

	if (f->want.list != NULL) {
		rc = matches(m, &f->want, name);
		if (rc != 1)
			return rc;
	}
	if (f->leave.list != NULL) {
		rc = matches(m, &f->leave, name);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
	}
	return 1;
}

static bool
age_fits(const struct finding *f, const struct stat *st)
{
	time_t t = *f->stamp == 'a' ? st->st_atim.tv_sec :
	    *f->stamp == 'c' ? st->st_ctim.tv_sec : st->st_mtim.tv_sec;

	if (!f->has_age)
		return true;
	if (f->age >= 0)
		return f->now - t >= f->age;
	return f->now - t <= -f->age;
}

static bool
size_fits(const struct finding *f, const struct stat *st)
{
	if (!f->has_size || !S_ISREG(st->st_mode))
		return true;
	if (f->size >= 0)
		return st->st_size >= f->size;
	return st->st_size <= -f->size;
}

static bool
mode_fits(const struct finding *f, const struct stat *st)
{
	mode_t want, mode = st->st_mode & 07777;

	if (f->mode == NULL ||
	    fs_mode_apply(f->mode, mode, S_ISDIR(st->st_mode), &want) == -1)
		return true;
	return f->exact ? mode == want : (mode & want) != 0;
}

/* Whether the file has a matching line; unreadable ones have none. */
static int
content_fits(struct mod *m, const struct finding *f, const struct fs_entry *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	const char *s, *end, *nl;
	int rc;

	if (f->contains == NULL || *f->type != 'f')
		return 1;
	if (e->st.st_size == 0)
		return 0;
	fd = openat(e->dirfd, e->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	text.max = CONTAINS_MAX;
	if (fd == -1 || buf_read_fd(&text, fd) == -1)
		return 0;
	s = buf_str(&text);
	end = s + text.len;
	if (f->whole)
		return re_search(m, f->contains, s, text.len, 0, NULL);
	for (; s < end; s = nl) {
		nl = memchr(s, '\n', (size_t)(end - s));
		nl = nl == NULL ? end : nl + 1;
		rc = re_search(m, f->contains, s, (size_t)(nl - s), 0, NULL);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool
type_fits(const struct finding *f, const struct stat *st)
{
	switch (*f->type) {
	case 'f':
		return S_ISREG(st->st_mode);
	case 'd':
		return S_ISDIR(st->st_mode);
	case 'l':
		return S_ISLNK(st->st_mode);
	default:
		return true;
	}
}

static void
add(struct mod *m, struct finding *f, const struct fs_entry *e)
{
	struct value *map = v_map(m->arena);
	char hex[HASH_HEX_MAX];

	stat_facts(m, map, e->path, &e->st);
	if (f->checksum && S_ISREG(e->st.st_mode) &&
	    hash_file(e->path, f->kind, hex) == 0)
		v_set_str(m->arena, map, "checksum", hex);
	v_push(m->arena, f->files, map);
}

static int
visit(struct mod *m, const struct fs_entry *e, void *arg)
{
	struct finding *f = arg;
	bool deeper;
	int rc;

	if (e->name == NULL) {
		v_set_str(m->arena, f->skipped, arena_strdup(m->arena, e->path),
		    strerror(errno));
		return 0;
	}
	if (f->limit > 0 && v_count(f->files) >= f->limit)
		return 1;
	f->examined++;
	deeper = f->recurse && (f->depth == 0 || e->depth < f->depth);
	if ((*e->name == '.' && !f->hidden) || !type_fits(f, &e->st) ||
	    !age_fits(f, &e->st) || !size_fits(f, &e->st) ||
	    !mode_fits(f, &e->st))
		return !deeper;
	rc = name_fits(m, f, e->name);
	if (rc == 1)
		rc = content_fits(m, f, e);
	if (rc == -1)
		return -1;
	if (rc == 1)
		add(m, f, e);
	return !deeper;
}

static int
prepare(struct mod *m, struct finding *f)
{
	static const int64_t times[] = { 1, 60, 3600, 86400, 604800 };
	static const int64_t sizes[] = { 1, 1 << 10, 1 << 20, 1 << 30,
		(int64_t)1 << 40 };
	const char *s;

	f->type = mod_arg_str(m, "file_type");
	f->hidden = mod_arg_bool(m, "hidden");
	f->whole = mod_arg_bool(m, "read_whole_file");
	f->recurse = mod_arg_bool(m, "recurse");
	f->exact = mod_arg_bool(m, "exact_mode");
	f->depth = mod_arg_int(m, "depth", 0);
	f->limit = mod_arg_int(m, "limit", 0);
	f->stamp = mod_arg_str(m, "age_stamp");
	f->mode = mod_arg_str(m, "mode");
	f->checksum = mod_arg_bool(m, "get_checksum");
	f->now = time(NULL);
	f->files = v_list(m->arena);
	f->skipped = v_map(m->arena);
	if (!hash_find(mod_arg_str(m, "checksum_algorithm"), &f->kind))
		return mod_fail(m, "unknown checksum algorithm");
	s = mod_arg_str(m, "age");
	f->has_age = s != NULL;
	if (s != NULL && parse_amount(m, "age", s, "smhdw", times, &f->age) == -1)
		return -1;
	s = mod_arg_str(m, "size");
	f->has_size = s != NULL;
	if (s != NULL && parse_amount(m, "size", s, "bkmgt", sizes, &f->size) == -1)
		return -1;
	s = mod_arg_str(m, "contains");
	if (s != NULL) {
		f->contains = re_compile(m, "contains", s,
		    f->whole ? RE_MULTILINE : RE_ANCHORED);
		if (f->contains == NULL)
			return -1;
	}
	if (compile(m, "patterns", &f->want) == -1)
		return -1;
	return compile(m, "excludes", &f->leave);
}

static int
work(struct mod *m, struct finding *f)
{
	const struct value *paths = mod_arg(m, "paths");
	const char *path;
	struct stat st;
	uint32_t i;
	int rc;

	if (prepare(m, f) == -1)
		return -1;
	for (i = 0; i < v_count(paths); i++) {
		path = mod_expand(m, v_at(paths, i)->u.s);
		rc = fs_stat(m, path, &st);
		if (rc == -1)
			return -1;
		if (rc == 1 || !S_ISDIR(st.st_mode)) {
			v_sets(m->arena, f->skipped, path, v_strf(m->arena,
			    "'%s' is not a directory", path));
			continue;
		}
		if (fs_walk(m, path, FS_WALK_ERRORS | (mod_arg_bool(m, "follow") ?
		    FS_WALK_FOLLOW : 0), visit, f) == -1)
			return -1;
	}
	mod_set(m, "files", f->files);
	mod_set_int(m, "matched", v_count(f->files));
	mod_set_int(m, "examined", f->examined);
	mod_set(m, "skipped_paths", f->skipped);
	mod_set_str(m, "msg", v_count(f->skipped) == 0 ? "All paths examined" :
	    "Not all paths examined, check warnings for details");
	return 0;
}

static int
find_run(struct mod *m)
{
	struct finding f = { 0 };
	int rc = work(m, &f);

	re_free(f.contains);
	release(&f.want);
	release(&f.leave);
	return rc;
}

const struct module find_module = {
	.name = "find", .collection = "ansible.builtin",
	.summary = "Finds files by name, age, size or content.",
	.examples =
	    "- find:\n"
	    "    paths: /var/log\n"
	    "    patterns: '*.log'\n"
	    "    age: 4w\n"
	    "    recurse: true\n"
	    "  register: old\n"
	    "- file:\n"
	    "    path: \"{{ item.path }}\"\n"
	    "    state: absent\n"
	    "  loop: \"{{ old.files }}\"\n",
	.returns =
	    "files: list of maps with path, mode, size, mtime … as of stat\n"
	    "matched: how many\n"
	    "examined: how many were looked at\n"
	    "skipped_paths: paths that could not be read, and why\n",
	.args = find_args, .run = find_run,
};
