/*
 * dpkg's database: parsing, looking up, comparing versions.
 *
 * The file is paragraphs of `Field: value` lines, continued by lines that
 * start with a blank, parted by empty lines.  Only the fields that modules
 * ask for are kept (about 200 bytes a package); anything malformed is passed
 * over, since dpkg itself is the judge of its file.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "module/dpkg.h"

#define STATUS_MAX	((size_t)256 * 1024 * 1024)
#define UPDATES_MAX	10000

struct stamp {
	struct timespec	 mtime;
	ino_t		 ino;
	off_t		 size;
};

struct dpkg {
	struct arena		 arena;
	struct dpkg_package	*v;
	size_t			 n, cap;
	char			*dir;
	const char		*native;
	struct stamp		 status, updates;
};

static struct dpkg *cached;

/* ---- parsing ------------------------------------------------------------ */

static bool
field_is(const char *s, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(s, name, n) == 0;
}

static size_t
index_of(const char *const *words, size_t nwords, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < nwords; i++)
		if (strlen(words[i]) == n && strncmp(words[i], s, n) == 0)
			return i;
	return 0;
}

/* "install ok installed" */
static void
parse_status(struct dpkg_package *p, const char *s, size_t n)
{
	static const char *const wants[] = { "unknown", "install", "hold",
		"deinstall", "purge" };
	static const char *const states[] = { "not-installed", "config-files",
		"half-installed", "unpacked", "half-configured",
		"triggers-awaited", "triggers-pending", "installed" };
	const char *w[3];
	size_t len[3], i, k = 0;

	for (i = 0; i < n && k < 3;) {
		while (i < n && s[i] == ' ')
			i++;
		w[k] = s + i;
		while (i < n && s[i] != ' ')
			i++;
		len[k] = (size_t)(s + i - w[k]);
		if (len[k] > 0)
			k++;
	}
	if (k < 3)
		return;
	p->want = (uint8_t)index_of(wants, 5, w[0], len[0]);
	p->reinst = len[1] == 9 && strncmp(w[1], "reinstreq", 9) == 0;
	p->state = (uint8_t)index_of(states, 8, w[2], len[2]);
}

static const char *
keep(struct dpkg *db, const char *s, size_t n)
{
	return arena_strndup(&db->arena, s, n);
}

static void
parse_field(struct dpkg *db, struct dpkg_package *p, const char *name,
    size_t nname, const char *s, size_t n)
{
	while (n > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		n--;
	if (memchr(s, '\0', n) != NULL)
		return;
	if (field_is(name, nname, "Package"))
		p->name = keep(db, s, n);
	else if (field_is(name, nname, "Version"))
		p->version = keep(db, s, n);
	else if (field_is(name, nname, "Architecture"))
		p->arch = keep(db, s, n);
	else if (field_is(name, nname, "Status"))
		parse_status(p, s, n);
	else if (field_is(name, nname, "Provides"))
		p->provides = keep(db, s, n);
	else if (field_is(name, nname, "Source"))
		p->source = keep(db, s, n);
	else if (field_is(name, nname, "Section"))
		p->section = keep(db, s, n);
	else if (field_is(name, nname, "Priority"))
		p->priority = keep(db, s, n);
}

static void
add_package(struct dpkg *db, struct dpkg_package *p)
{
	if (p->name != NULL && *p->name != '\0') {
		if (db->n == db->cap) {
			db->cap = db->cap == 0 ? 512 : db->cap * 2;
			db->v = xreallocarray(db->v, db->cap, sizeof(*db->v));
		}
		if (p->version == NULL)
			p->version = "";
		if (p->arch == NULL)
			p->arch = "";
		p->seq = (uint32_t)db->n;
		db->v[db->n++] = *p;
	}
	memset(p, 0, sizeof(*p));
}

static void
parse_text(struct dpkg *db, const char *s, size_t len)
{
	const char *end = s + len, *nl, *next, *colon;
	struct dpkg_package p = { 0 };

	for (; s < end; s = next) {
		nl = memchr(s, '\n', (size_t)(end - s));
		if (nl == NULL)
			nl = end;
		next = nl + 1;
		if (nl == s) {
			add_package(db, &p);
			continue;
		}
		if (*s == ' ' || *s == '\t')
			continue;
		/* only these are looked at: most lines are others */
		if (strchr("PVASpvas", *s) == NULL)
			continue;
		colon = memchr(s, ':', (size_t)(nl - s));
		if (colon != NULL)
			parse_field(db, &p, s, (size_t)(colon - s), colon + 1,
			    (size_t)(nl - colon - 1));
	}
	add_package(db, &p);
}

static int
compare(const void *pa, const void *pb)
{
	const struct dpkg_package *a = pa, *b = pb;
	int c = strcmp(a->name, b->name);

	if (c == 0)
		c = strcmp(a->arch, b->arch);
	if (c == 0)
		c = a->seq < b->seq ? -1 : a->seq > b->seq;
	return c;
}

/* Sorts; of several entries for one package the last counts. */
static void
finish(struct dpkg *db)
{
	const struct dpkg_package *p;
	size_t i, n = 0;

	if (db->n > 0)
		qsort(db->v, db->n, sizeof(*db->v), compare);
	for (i = 0; i < db->n; i++) {
		if (n > 0 && strcmp(db->v[n - 1].name, db->v[i].name) == 0 &&
		    strcmp(db->v[n - 1].arch, db->v[i].arch) == 0)
			n--;
		db->v[n++] = db->v[i];
	}
	db->n = n;
	if (db->native == NULL) {
		db->native = "";
		for (i = 0; i < db->n; i++)
			if (strcmp(db->v[i].name, "dpkg") == 0)
				db->native = db->v[i].arch;
		p = dpkg_find(db, "libc6", NULL);
		if (*db->native == '\0' && p != NULL)
			db->native = p->arch;
	}
}

struct dpkg *
dpkg_parse(const char *text, size_t len)
{
	struct dpkg *db = xcalloc(1, sizeof(*db));

	parse_text(db, text, len);
	finish(db);
	return db;
}

void
dpkg_free(struct dpkg *db)
{
	if (db == NULL)
		return;
	arena_release(&db->arena);
	free(db->v);
	free(db->dir);
	free(db);
}

/* ---- reading ------------------------------------------------------------ */

static void
stamp_get(const char *dir, const char *name, struct stamp *s)
{
	char path[4096];
	struct stat st;

	memset(s, 0, sizeof(*s));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (stat(path, &st) == -1)
		return;
	s->mtime = st.st_mtim;
	s->ino = st.st_ino;
	s->size = st.st_size;
}

static bool
stamp_same(const struct stamp *a, const struct stamp *b)
{
	return a->ino == b->ino && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int
read_into(struct dpkg *db, const char *path)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	b.max = STATUS_MAX;
	if (buf_read_file(&b, path) == -1)
		return -1;
	parse_text(db, b.data, b.len);
	return 0;
}

static int
by_number(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_update(const struct dirent *e)
{
	size_t n = strspn(e->d_name, "0123456789");

	return n > 0 && e->d_name[n] == '\0';
}

static void
read_updates(struct dpkg *db)
{
	struct dirent **names;
	char path[4096];
	int i, n;

	(void)snprintf(path, sizeof(path), "%s/updates", db->dir);
	n = scandir(path, &names, is_update, by_number);
	for (i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/updates/%s", db->dir,
		    names[i]->d_name);
		if (i < UPDATES_MAX)
			(void)read_into(db, path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

struct dpkg *
dpkg_open(const char *admindir)
{
	const char *dir = admindir != NULL ? admindir : "/var/lib/dpkg";
	struct stamp status, updates;
	CLEANUP_BUF struct buf arch = BUF_INIT;
	struct dpkg *db;
	char path[4096];

	stamp_get(dir, "status", &status);
	stamp_get(dir, "updates", &updates);
	if (cached != NULL && strcmp(cached->dir, dir) == 0 &&
	    stamp_same(&status, &cached->status) &&
	    stamp_same(&updates, &cached->updates))
		return cached;
	db = xcalloc(1, sizeof(*db));
	db->dir = xstrdup(dir);
	db->status = status;
	db->updates = updates;
	(void)snprintf(path, sizeof(path), "%s/status", dir);
	if (read_into(db, path) == -1) {
		int saved = errno;

		dpkg_free(db);
		errno = saved;
		return NULL;
	}
	read_updates(db);
	(void)snprintf(path, sizeof(path), "%s/arch", dir);
	arch.max = 4096;
	if (buf_read_file(&arch, path) == 0 && arch.len > 0)
		db->native = keep(db, arch.data, strcspn(buf_str(&arch), "\n"));
	finish(db);
	dpkg_free(cached);
	cached = db;
	return db;
}

/* ---- asking ------------------------------------------------------------- */

size_t
dpkg_count(const struct dpkg *db)
{
	return db->n;
}

const struct dpkg_package *
dpkg_at(const struct dpkg *db, size_t i)
{
	return &db->v[i];
}

const char *
dpkg_native_arch(const struct dpkg *db)
{
	return db->native;
}

bool
dpkg_installed(const struct dpkg_package *p)
{
	return p != NULL && p->state >= DPKG_TRIGGERS_AWAITED;
}

/* The first entry with this name (n bytes), or db->n. */
static size_t
first(const struct dpkg *db, const char *name, size_t n)
{
	size_t lo = 0, hi = db->n, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = strncmp(db->v[mid].name, name, n);
		if (c == 0 && db->v[mid].name[n] != '\0')
			c = 1;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < db->n && strncmp(db->v[lo].name, name, n) == 0 &&
	    db->v[lo].name[n] == '\0')
		return lo;
	return db->n;
}

const struct dpkg_package *
dpkg_find(const struct dpkg *db, const char *name, const char *arch)
{
	const char *colon = strchr(name, ':');
	size_t n = colon == NULL ? strlen(name) : (size_t)(colon - name), i;
	const struct dpkg_package *p, *best = NULL;
	int rank, best_rank = -1;

	if (colon != NULL && arch == NULL)
		arch = colon + 1;
	if (arch != NULL && strcmp(arch, "native") == 0)
		arch = db->native;
	for (i = first(db, name, n); i < db->n; i++) {
		p = &db->v[i];
		if (strncmp(p->name, name, n) != 0 || p->name[n] != '\0')
			break;
		if (arch != NULL && strcmp(arch, "any") != 0) {
			if (strcmp(p->arch, arch) == 0 ||
			    strcmp(p->arch, "all") == 0)
				return p;
			continue;
		}
		rank = (dpkg_installed(p) ? 4 : 0) +
		    (db->native == NULL || strcmp(p->arch, db->native) == 0 ? 2 :
		    strcmp(p->arch, "all") == 0 ? 1 : 0);
		if (rank > best_rank) {
			best = p;
			best_rank = rank;
		}
	}
	return best;
}

/* Whether "a, b (= 1.2), c:any" names it. */
static bool
provides(const char *list, const char *name)
{
	size_t n = strlen(name), k;

	while (*list != '\0') {
		list += strspn(list, " \t,");
		k = strcspn(list, " \t,(:");
		if (k == n && strncmp(list, name, n) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

const struct dpkg_package *
dpkg_provider(const struct dpkg *db, const char *name)
{
	size_t i;

	for (i = 0; i < db->n; i++)
		if (db->v[i].provides != NULL && dpkg_installed(&db->v[i]) &&
		    provides(db->v[i].provides, name))
			return &db->v[i];
	return NULL;
}

/* ---- versions ----------------------------------------------------------- */

/* Weight of a character in the parts that are no digits: ~ before the end, letters before others. */
static int
weight(const char *s, const char *end)
{
	if (s == end || isdigit((unsigned char)*s))
		return 0;
	if (*s == '~')
		return -1;
	if (isalpha((unsigned char)*s))
		return (unsigned char)*s;
	return (unsigned char)*s + 256;
}

static int
compare_part(const char *a, const char *a_end, const char *b, const char *b_end)
{
	int c, first_diff;

	while (a < a_end || b < b_end) {
		while ((a < a_end && !isdigit((unsigned char)*a)) ||
		    (b < b_end && !isdigit((unsigned char)*b))) {
			c = weight(a, a_end) - weight(b, b_end);
			if (c != 0)
				return c;
			if (a < a_end)
				a++;
			if (b < b_end)
				b++;
		}
		while (a < a_end && *a == '0')
			a++;
		while (b < b_end && *b == '0')
			b++;
		first_diff = 0;
		while (a < a_end && b < b_end && isdigit((unsigned char)*a) &&
		    isdigit((unsigned char)*b)) {
			if (first_diff == 0)
				first_diff = *a - *b;
			a++;
			b++;
		}
		if (a < a_end && isdigit((unsigned char)*a))
			return 1;
		if (b < b_end && isdigit((unsigned char)*b))
			return -1;
		if (first_diff != 0)
			return first_diff;
	}
	return 0;
}

struct version {
	const char	*epoch, *epoch_end, *up, *up_end, *rev, *rev_end;
};

static void
split_version(const char *s, struct version *v)
{
	const char *colon = strchr(s, ':'), *end = s + strlen(s), *dash;

	v->epoch = s;
	v->epoch_end = colon == NULL ? s : colon;
	v->up = colon == NULL ? s : colon + 1;
	for (dash = end; dash > v->up && dash[-1] != '-'; dash--)
		;
	if (dash == v->up) {		/* no revision */
		v->up_end = end;
		v->rev = v->rev_end = end;
	} else {
		v->up_end = dash - 1;
		v->rev = dash;
		v->rev_end = end;
	}
}

int
dpkg_version_compare(const char *a, const char *b)
{
	struct version va, vb;
	int c;

	split_version(a, &va);
	split_version(b, &vb);
	c = compare_part(va.epoch, va.epoch_end, vb.epoch, vb.epoch_end);
	if (c == 0)
		c = compare_part(va.up, va.up_end, vb.up, vb.up_end);
	if (c == 0)
		c = compare_part(va.rev, va.rev_end, vb.rev, vb.rev_end);
	return c;
}
