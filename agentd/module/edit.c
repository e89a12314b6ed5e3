/*
 * Reading, splitting and writing back of edited files; see edit.h.
 */
#include <sys/stat.h>
#include <string.h>

#include "module/edit.h"

extern const struct module lineinfile_module;	/* it has its own word for a path */

/* An option that not every module has. */
static const char *
option(const struct mod *m, const char *name)
{
	return mod_arg_find(m->module, name) == NULL ? NULL :
	    mod_arg_str(m, name);
}

int
edit_open(struct mod *m, struct edit *e)
{
	return edit_open_path(m, e, mod_arg_path(m, "path"));
}

int
edit_open_path(struct mod *m, struct edit *e, const char *path)
{
	const char *validate = option(m, "validate");
	struct stat st;
	int rc;

	*e = (struct edit){ .given = path };
	e->attrs = (struct fs_attrs){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if ((m->module->flags & MOD_FILE_ATTRS) &&
	    fs_attrs_get(m, &e->attrs) == -1)
		return -1;
	if (validate != NULL && strstr(validate, "%s") == NULL)
		return mod_fail(m, "validate must contain %%s, the place of the file: %s",
		    validate);
	(void)buf_str(&e->old);
	e->path = fs_resolve(m, e->given);
	if (e->path == NULL)
		return -1;
	rc = fs_stat(m, e->path, &st);
	if (rc != 0)
		return rc;
	if (S_ISDIR(st.st_mode)) {
		mod_set_int(m, "rc", 256);
		return mod_fail(m, "Path %s is a directory !", e->given);
	}
	rc = fs_read(m, e->path, &e->old);
	if (rc == 0)
		e->exists = true;
	(void)buf_str(&e->old);
	return rc;
}

int
edit_missing(struct mod *m, struct edit *e)
{
	if (!m->check) {
		mod_set_int(m, "rc", 257);
		return mod_fail(m, "%s %s does not exist !",
		    m->module == &lineinfile_module ? "Destination" : "Path",
		    e->given);
	}
	mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it",
	    e->given);
	(void)mod_change(m, e->given, NULL, NULL);
	return 0;
}

int
edit_commit(struct mod *m, struct edit *e, const struct buf *new)
{
	struct fs_replace r = { .path = e->path, .data = new->data,
		.len = new->len, .fd = -1, .attrs = &e->attrs,
		.validate = option(m, "validate"),
		.backup = mod_arg_find(m->module, "backup") != NULL &&
		mod_arg_bool(m, "backup") };
	const char *slash;

	if (buf_overflowed(new))
		return mod_fail(m, "%s would become too large", e->given);
	if (e->exists && new->len == e->old.len && (new->len == 0 ||
	    memcmp(new->data, e->old.data, new->len) == 0))
		return fs_attrs_apply(m, e->path, &e->attrs, true);
	if (r.data == NULL)
		r.data = "";
	if (!mod_change_text(m, e->given, e->exists ? buf_str(&e->old) : NULL,
	    e->old.len, r.data, r.len))
		return 0;
	slash = strrchr(e->path, '/');
	if (!e->exists && slash != NULL && slash != e->path &&
	    fs_mkdir_p(m, arena_strndup(m->arena, e->path,
	    (size_t)(slash - e->path)), 0777) == -1)
		return -1;
	return fs_replace(m, &r);
}

void
edit_release(struct edit *e)
{
	buf_release(&e->old);
}

/* ---- lines -------------------------------------------------------------- */

static void
reserve(struct lines *l, size_t n)
{
	size_t cap = l->cap == 0 ? 64 : l->cap;

	if (n <= l->cap)
		return;
	while (cap < n)
		cap *= 2;
	l->v = arena_grow(l->arena, l->v, l->n * sizeof(*l->v),
	    cap * sizeof(*l->v));
	l->cap = cap;
}

void
lines_split(struct lines *l, struct arena *arena, const char *s, size_t n)
{
	const char *end, *nl;

	*l = (struct lines){ .arena = arena };
	if (n == 0)
		return;		/* s may be NULL: there is no file */
	end = s + n;
	while (s < end) {
		nl = memchr(s, '\n', (size_t)(end - s));
		nl = nl == NULL ? end : nl + 1;
		reserve(l, l->n + 1);
		l->v[l->n].s = s;
		l->v[l->n++].n = (size_t)(nl - s);
		s = nl;
	}
}

void
lines_insert(struct lines *l, size_t at, const char *s, size_t n)
{
	reserve(l, l->n + 1);
	memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof(*l->v));
	l->v[at].s = s;
	l->v[at].n = n;
	l->n++;
}

void
lines_delete(struct lines *l, size_t from, size_t to)
{
	if (to <= from)
		return;
	memmove(l->v + from, l->v + to, (l->n - to) * sizeof(*l->v));
	l->n -= to - from;
}

void
lines_join(const struct lines *l, struct buf *out)
{
	size_t i;

	if (out->max == 0)
		out->max = FS_READ_MAX * 2;
	for (i = 0; i < l->n; i++)
		buf_add(out, l->v[i].s, l->v[i].n);
}

size_t
line_len(const struct line *line)
{
	size_t n = line->n;

	while (n > 0 && (line->s[n - 1] == '\n' || line->s[n - 1] == '\r'))
		n--;
	return n;
}

bool
line_is(const struct line *line, const char *s, size_t n)
{
	return line_len(line) == n && memcmp(line->s, s, n) == 0;
}

void
lines_end_at(struct lines *l, size_t k)
{
	struct line *last;
	char *p;

	if (k == 0 || k > l->n)
		return;
	last = &l->v[k - 1];
	if (last->n > 0 && last->s[last->n - 1] == '\n')
		return;
	p = arena_alloc(l->arena, last->n + 1);
	memcpy(p, last->s, last->n);
	p[last->n++] = '\n';
	last->s = p;
}
