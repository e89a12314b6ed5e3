/*
 * Template files that include, import and extends name.
 *
 * A name is relative to the search directories and stays below them: `..` is
 * refused as Jinja does, a leading slash means nothing.  Files are compiled once an evaluation,
 * or once a site when there is a cache; a file that has changed since is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "template/eval.h"
#include "yaml/files.h"

#define TEMPLATE_SIZE_MAX	((size_t)16 * 1024 * 1024)

struct loaded {
	struct loaded		*next;
	const char		*path;
	const struct tmpl	*t;
	struct timespec		 mtime;
	off_t			 size;
	struct syntax		 syn;
};

struct tmpl_cache {
	struct arena	 arena;
	struct loaded	*files;
};

struct tmpl_cache *
tmpl_cache_new(void)
{
	return xcalloc(1, sizeof(struct tmpl_cache));
}

void
tmpl_cache_free(struct tmpl_cache *c)
{
	if (c == NULL)
		return;
	arena_release(&c->arena);
	free(c);
}

static bool
same_syntax(const struct syntax *a, const struct syntax *b)
{
#define SAME(f)	(a->f == b->f || (a->f != NULL && b->f != NULL && strcmp(a->f, b->f) == 0))
	return SAME(block_start) && SAME(block_end) && SAME(var_start) && SAME(var_end) &&
	    SAME(comment_start) && SAME(comment_end) && SAME(line_statement) &&
	    SAME(line_comment) && SAME(newline) && a->trim_blocks == b->trim_blocks &&
	    a->lstrip_blocks == b->lstrip_blocks && a->ext_do == b->ext_do &&
	    a->ext_loopcontrols == b->ext_loopcontrols;
#undef SAME
}

/* An included file is cut as the file that includes it. */
static struct tmpl_opts
options_of(const struct syntax *s)
{
	return (struct tmpl_opts){ s->block_start, s->block_end, s->var_start, s->var_end,
	    s->comment_start, s->comment_end, s->line_statement, s->line_comment, s->newline,
	    !s->trim_blocks, s->lstrip_blocks, true, s->ext_do, s->ext_loopcontrols };
}

static const struct tmpl *
compile_file(struct eval *ev, struct arena *a, const char *path, int fd, const struct stat *st,
    struct loaded **list)
{
	const struct syntax *syn = &ev->act->tmpl->syn;
	struct buf b = { .max = TEMPLATE_SIZE_MAX };
	struct diags diags = DIAGS_INIT;
	struct source *src;
	struct mark at = { NULL, 1, 1, 1 };
	struct tmpl_opts opts = options_of(syn);
	const struct tmpl *t;
	struct loaded *l;
	size_t i;

	if (buf_read_fd(&b, fd) < 0) {
		err_errno(ev->err, "cannot read '%s'", path);
		buf_release(&b);
		return NULL;
	}
	src = ARENA_NEW(a, struct source);
	src->path = arena_strdup(a, path);
	src->text = arena_strndup(a, buf_str(&b), b.len);
	src->len = b.len;
	buf_release(&b);
	at.src = src;
	t = tmpl_compile(a, src->text, src->len, at, TMPL_FILE, &opts, &diags);
	if (t == NULL) {
		for (i = 0; i < diags.n; i++)
			if (diags.v[i].level == DIAG_ERROR) {
				err_move(ev->err, &diags.v[i].err);
				break;
			}
		ev->placed = true;
	} else {
		l = ARENA_NEW(a, struct loaded);
		*l = (struct loaded){ *list, src->path, t, st->st_mtim, st->st_size, *syn };
		*list = l;
	}
	diags_release(&diags);
	return t;
}

static const struct tmpl *
known(const struct loaded *l, const char *path, const struct stat *st, const struct syntax *syn)
{
	for (; l != NULL; l = l->next)
		if (strcmp(l->path, path) == 0 && l->size == st->st_size &&
		    l->mtime.tv_sec == st->st_mtim.tv_sec && l->mtime.tv_nsec == st->st_mtim.tv_nsec &&
		    same_syntax(&l->syn, syn))
			return l->t;
	return NULL;
}

static const struct tmpl *
load_path(struct eval *ev, const char *path, bool *found)
{
	struct tmpl_cache *cache = ev->scope->files->cache;
	const struct syntax *syn = &ev->act->tmpl->syn;
	const struct tmpl *t;
	struct stat st;
	CLEANUP_CLOSE int fd = open(file_at(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*found = false;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	files_note(path, &st);
	*found = true;
	if (cache != NULL) {
		if ((t = known(cache->files, path, &st, syn)) != NULL)
			return t;
		return compile_file(ev, &cache->arena, path, fd, &st, &cache->files);
	}
	if ((t = known(ev->loaded, path, &st, syn)) != NULL)
		return t;
	return compile_file(ev, &ev->scratch, path, fd, &st, &ev->loaded);
}

/* The name without empty and `.` parts; NULL when it would leave its directory. */
static const char *
clean_name(struct eval *ev, const char *name, size_t len)
{
	struct buf b = BUF_INIT;
	const char *end = name + len, *slash, *ret = NULL;
	size_t n;

	if (memchr(name, '\0', len) != NULL)
		return NULL;
	for (; name < end; name = slash + 1) {
		if ((slash = memchr(name, '/', (size_t)(end - name))) == NULL)
			slash = end;
		n = (size_t)(slash - name);
		if (n == 2 && memcmp(name, "..", 2) == 0)
			goto out;
		if (n == 0 || (n == 1 && *name == '.'))
			continue;
		buf_addf(&b, "%s%.*s", b.len > 0 ? "/" : "", (int)n, name);
	}
	if (b.len > 0 && b.len < 4096)
		ret = buf_dup(&b, &ev->scratch);
out:
	buf_release(&b);
	return ret;
}

/*
 * Where the names of includes are looked for.  For a template file: templates/
 * below each search directory and the directory itself, then where the file
 * stands.  Strings of playbooks search the playbook's directory only.
 */
static const char *const *
search_dirs(struct eval *ev)
{
	const struct tmpl_files *f = ev->scope->files;
	const struct source *src = ev->act->tmpl->mark.src;
	const char *base[] = { f != NULL ? f->basedir : NULL, NULL }, *slash, **dirs;
	const char *const *search = f != NULL && f->search != NULL ? f->search : base;
	size_t n = 0, i;

	for (i = 0; search[i] != NULL; i++)
		continue;
	dirs = ARENA_ARRAY(&ev->scratch, 2 * i + 4, const char *);
	if (f == NULL || ev->act->tmpl->mode != TMPL_FILE) {
		dirs[0] = base[0];
		return dirs;
	}
	for (i = 0; search[i] != NULL; i++) {
		dirs[n++] = arena_printf(&ev->scratch, "%s/templates", search[i]);
		dirs[n++] = search[i];
	}
	/* Not so for included files: their names are never relative to themselves. */
	if (ev->includes == 0 && src != NULL && src->path != NULL &&
	    (slash = strrchr(src->path, '/')) != NULL) {
		dirs[n++] = arena_printf(&ev->scratch, "%.*s/templates", (int)(slash - src->path), src->path);
		dirs[n++] = arena_strndup(&ev->scratch, src->path, (size_t)(slash - src->path));
	}
	return dirs;
}

const struct tmpl *
ev_load(struct eval *ev, const char *name, size_t len, bool *missing)
{
	const char *clean = clean_name(ev, name, len), *path;
	const char *const *dir;
	struct buf dirs = BUF_INIT;
	const struct tmpl *t;
	bool found;

	*missing = false;
	for (dir = search_dirs(ev); *dir != NULL; dir++) {
		buf_addf(&dirs, "%s'%s'", dirs.len > 0 ? ", " : "", *dir);
		if (clean == NULL)
			continue;
		path = arena_printf(&ev->scratch, "%s/%s", *dir, clean);
		t = load_path(ev, path, &found);
		if (found) {
			buf_release(&dirs);
			return t;
		}
	}
	*missing = true;
	if (dirs.len > 0)
		ev_error(ev, ERR_INVALID, "'%.*s' not found in search path%s: %s", (int)len, name,
		    memchr(dirs.data, ',', dirs.len) != NULL ? "s" : "", buf_str(&dirs));
	else
		ev_error(ev, ERR_INVALID, "'%.*s' not found: no file may be read here", (int)len, name);
	buf_release(&dirs);
	return NULL;
}
