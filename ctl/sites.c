/*
 * provctl sites, and the snapshots of sites that runs keep and go on with.
 *
 * A snapshot holds each file that was read to load the site, and what stands
 * in the usual folders (files, templates, tasks, vars, handlers) of its roles
 * and beside the playbook: a condition that was false today may be true when
 * the snapshot is used.  Programs that make an inventory belong to it, what
 * they say does not: they are asked anew.  Passwords of vaults never do.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "sites.h"
#include "state/sites.h"
#include "yaml/files.h"

#define WALK_DEPTH	32u
/* Of one site; what is more is not kept unless it is read. */
#define WALK_FILES	50000u
#define WALK_BYTES	((off_t)256 * 1024 * 1024)

/* ---- keeping ----------------------------------------------------------------------- */

struct list {
	struct arena		 arena;
	struct site_file	*v;
	uint32_t		 n, cap;
	off_t			 beside;	/* bytes of what was not read */
};

static void
add(struct list *l, const char *path, const struct stat *st, bool beside)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap == 0 ? 256 : l->cap * 2;

		l->v = arena_grow(&l->arena, l->v, l->n * sizeof(*l->v),
		    cap * sizeof(*l->v));
		l->cap = cap;
	}
	l->v[l->n++] = (struct site_file){ path, *st, beside };
}

/* What cannot be read is no error: it is one for who needs it. */
static void
walk(struct list *l, const char *dir, unsigned depth)
{
	CLEANUP_CLOSEDIR DIR *d = depth > WALK_DEPTH ? NULL : opendir(dir);
	struct dirent *de;
	struct stat st;

	while (d != NULL && l->n < WALK_FILES && (de = readdir(d)) != NULL) {
		const char *path;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
		    strcmp(de->d_name, ".git") == 0)
			continue;
		path = arena_printf(&l->arena, "%s/%s", dir, de->d_name);
		if (lstat(path, &st) == -1)
			continue;
		if (S_ISREG(st.st_mode)) {
			if (st.st_size > WALK_BYTES - l->beside)
				continue;
			l->beside += st.st_size;
		}
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
			add(l, path, &st, true);
		if (S_ISDIR(st.st_mode))
			walk(l, path, depth + 1);
	}
}

static const char *const folders[] = { "files", "templates", "tasks", "vars", "handlers" };

static void
walk_folders(struct list *l, struct value *seen, const char *dir)
{
	size_t i;

	if (v_gets(seen, dir) != NULL)
		return;
	v_set_bool(&l->arena, seen, dir, true);
	for (i = 0; i < NITEMS(folders); i++)
		walk(l, arena_printf(&l->arena, "%s/%s", dir, folders[i]), 0);
}

/* The role that a file belongs to, by where it stands: …/ROLE/tasks/… NULL: none. */
static const char *
role_of(struct arena *a, const char *path)
{
	static const char *const marks[] = {
		"/tasks/", "/handlers/", "/defaults/", "/vars/", "/meta/"
	};
	const char *at = NULL, *found;
	size_t i;

	for (i = 0; i < NITEMS(marks); i++)
		for (found = path; (found = strstr(found, marks[i])) != NULL; found++)
			if (at == NULL || found > at)
				at = found;
	return at == NULL || at == path ? NULL :
	    arena_strndup(a, path, (size_t)(at - path));
}

/* By path; of two the one that was read. */
static int
by_path(const void *a, const void *b)
{
	const struct site_file *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r != 0 ? r : x->beside - y->beside;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct site_file *)a)->path, ((const struct site_file *)b)->path);
}

/* What is in the snapshot that the run began with; of the last site_keep(). */
static struct list kept;
static uint32_t kept_notes;

/* Has the run read anything else, or anything that looked otherwise? */
static bool
all_kept(void)
{
	const struct file_note *notes;
	uint32_t n, i;

	notes = files_noted(&n);
	for (i = kept_notes; i < n; i++) {
		const struct site_file want = { notes[i].path, notes[i].st, true }, *f;

		f = kept.n == 0 ? NULL : bsearch(&want, kept.v, kept.n,
		    sizeof(want), by_name);
		if (f == NULL || f->st.st_ino != want.st.st_ino ||
		    f->st.st_size != want.st.st_size ||
		    f->st.st_mtim.tv_sec != want.st.st_mtim.tv_sec ||
		    f->st.st_mtim.tv_nsec != want.st.st_mtim.tv_nsec)
			return false;
	}
	return true;
}

static int
keep(struct load *l, char id[SITE_ID], struct err *err)
{
	struct list list = { 0 };
	struct value *seen = v_map(&list.arena);
	const struct file_note *notes;
	uint32_t n, i, j;
	int r;

	notes = files_noted(&n);
	for (i = 0; i < n; i++)
		add(&list, notes[i].path, &notes[i].st, false);
	walk_folders(&list, seen, l->site->dir);
	for (i = 0; i < n; i++) {
		const char *role = role_of(&list.arena, notes[i].path);

		if (role != NULL)
			walk_folders(&list, seen, role);
	}
	qsort(list.v, list.n, sizeof(*list.v), by_path);
	for (i = j = 0; i < list.n; i++)
		if (j == 0 || strcmp(list.v[j - 1].path, list.v[i].path) != 0)
			list.v[j++] = list.v[i];
	r = state_site_keep(l->state, l->site->path, list.v, j, id, err);
	arena_release(&kept.arena);
	kept = list;
	kept.n = j;
	kept_notes = n;
	return r;
}

int
site_keep(struct load *l)
{
	struct err err = ERR_INIT;

	/* What a rollback runs is made for it alone. */
	if (l->ctl->set.rollback > 0)
		return 0;
	if (l->ctl->snapshot != NULL) {
		(void)snprintf(l->site_id, sizeof(l->site_id), "%s", l->ctl->snapshot);
		return 0;
	}
	return keep(l, l->site_id, &err) == 0 ? 0 : (fail_with(l->ctl, &err), -1);
}

/* The files that differ between two snapshots, by their paths. */
static const char *
differing(struct arena *a, const struct value *old, const struct value *new)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct value *lists[] = { v_gets(old, "list"), v_gets(new, "list") };
	struct value *all = v_map(a);
	const struct ventry *e;
	uint32_t i, j, it = 0, n = 0;

	for (i = 0; i < NITEMS(lists); i++)
		for (j = 0; j < v_count(lists[i]); j++) {
			const struct value *f = v_at(lists[i], j);
			const struct value *was = v_gets(all, v_get_str(f, "path", ""));

			if (was != NULL && v_equal(was, f))
				(void)v_dels(all, v_get_str(f, "path", ""));
			else
				v_sets(a, all, v_get_str(f, "path", ""), f);
		}
	while ((e = v_next(all, &it)) != NULL && n++ < 5)
		buf_addf(&b, "%s%s", n > 1 ? ", " : "", e->key->u.s);
	if (v_count(all) > 5)
		buf_addf(&b, " and %u more", v_count(all) - 5);
	return buf_dup(&b, a);
}

int
site_expect(struct load *l)
{
	struct ctl *ctl = l->ctl;
	const char *wanted = ctl->watch.site_id;
	const struct value *old, *new = NULL;
	struct err err = ERR_INIT;

	if (wanted == NULL || strcmp(wanted, l->site_id) == 0)
		return 0;
	if ((old = state_site(l->state, &ctl->arena, wanted, &err)) != NULL)
		new = state_site(l->state, &ctl->arena, l->site_id, &err);
	err_release(&err);
	(void)err_set(&err, ERR_INVALID, "the site has changed since the plan was made%s%s",
	    new != NULL ? ": " : "", new != NULL ? differing(&ctl->arena, old, new) : "");
	err_hint(&err, "make a new plan: provctl plan --out FILE SITE");
	return fail_with(ctl, &err), -1;
}

void
site_keep_again(struct load *l)
{
	struct err err = ERR_INIT;
	char id[SITE_ID];

	if (l->ctl->snapshot != NULL || l->site_id[0] == '\0' || all_kept())
		return;
	if (keep(l, id, &err) == -1) {
		out_note(l->ctl->out, "the snapshot of the site lacks what was read during the run: %s",
		    err.msg);
		err_release(&err);
	} else if (strcmp(id, l->site_id) != 0)
		state_run_site(l->state, id);
}

/* ---- going on with one ------------------------------------------------------------------ */

const char *
site_path(struct ctl *ctl, const char *given)
{
	char cwd[PATH_MAX], *real = realpath(given, NULL);
	const char *path;

	if (real == NULL)
		return *given == '/' || getcwd(cwd, sizeof(cwd)) == NULL ? given :
		    arena_printf(&ctl->arena, "%s/%s", cwd, given);
	path = arena_strdup(&ctl->arena, real);
	free(real);
	return path;
}

int
snapshot_open(struct ctl *ctl, struct state *s, const char *id)
{
	const struct value *paths;
	struct err err = ERR_INIT, ignored = ERR_INIT;

	snapshot_close(ctl);
	if (private_dir(&ctl->arena, false, &ctl->snapshot_dir, &err) == -1)
		return fail_with(ctl, &err), -1;
	if (state_site_export(s, &ctl->arena, id, ctl->snapshot_dir.path, &paths, &err) == -1) {
		(void)private_dir_remove(&ctl->snapshot_dir, "A SITE", &ignored);
		err_release(&ignored);
		return fail_with(ctl, &err), -1;
	}
	files_from(ctl->snapshot_dir.path, paths);
	ctl->snapshot = arena_strdup(&ctl->arena, id);
	return 0;
}

void
snapshot_close(struct ctl *ctl)
{
	struct err err = ERR_INIT;

	if (ctl->snapshot == NULL)
		return;
	files_from(NULL, NULL);
	ctl->snapshot = NULL;
	if (private_dir_remove(&ctl->snapshot_dir, "THE SITE'S FILES", &err) == -1)
		diags_add(&ctl->diags, DIAG_WARNING, &err);
}

/* ---- provctl sites ------------------------------------------------------------------------- */

static int
list_sites(struct ctl *ctl, struct load *l, struct err *err)
{
	static const char *const columns[] = {
		"snapshot", "kept_since", "files", "bytes", "runs", "last_run", "site", NULL
	};
	const struct value *all = state_sites(l->state, &ctl->arena, err);
	struct arena *a = &ctl->arena;
	struct value *rows, *row;
	uint32_t i;

	if (all == NULL)
		return -1;
	if (ctl->set.json)
		return ctl->out->ops->value(ctl->out, all), 0;
	rows = v_list(a);
	for (i = 0; i < v_count(all); i++) {
		const struct value *s = v_at(all, i);

		row = v_map(a);
		v_sets(a, row, "snapshot", v_strf(a, "%.12s", v_get_str(s, "id", "")));
		v_set_str(a, row, "kept_since", term_time(a, v_get_int(s, "added_ms", 0)));
		v_sets(a, row, "files", v_gets(s, "files"));
		v_sets(a, row, "bytes", v_gets(s, "size"));
		v_sets(a, row, "runs", v_gets(s, "runs"));
		v_sets(a, row, "last_run", v_gets(s, "last_run"));
		v_sets(a, row, "site", v_gets(s, "site"));
		v_push(a, rows, row);
	}
	ctl->out->ops->table(ctl->out, columns, rows, "no site was applied or checked yet");
	return 0;
}

static int
show_site(struct ctl *ctl, struct load *l, const char *id, struct err *err)
{
	static const char *const columns[] = { "mode", "bytes", "path", NULL };
	const struct value *site, *list;
	struct arena *a = &ctl->arena;
	struct value *rows, *row;
	uint32_t i;

	if ((site = state_site(l->state, a, id, err)) == NULL)
		return -1;
	if (ctl->set.json)
		return ctl->out->ops->value(ctl->out, site), 0;
	list = v_gets(site, "list");
	rows = v_list(a);
	for (i = 0; i < v_count(list); i++) {
		const struct value *f = v_at(list, i);

		row = v_map(a);
		v_sets(a, row, "mode", v_strf(a, "%04llo",
		    (unsigned long long)v_get_int(f, "mode", 0)));
		v_sets(a, row, "bytes", v_gets(f, "size"));
		if (!v_get_bool(f, "kept", true))
			v_set_str(a, row, "bytes", "too large");
		v_sets(a, row, "path", v_gets(f, "path"));
		v_push(a, rows, row);
	}
	ctl->out->ops->table(ctl->out, columns, rows, "it has no files");
	return 0;
}

static int
show_file(struct ctl *ctl, struct load *l, const char *id, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (state_site_read(l->state, id, ctl->args.v[2], &b, err) == -1)
		return -1;
	/* As it is: for a pipe, a diff, an editor. */
	out_flush(ctl->out, &b);
	return 0;
}

static int
export_site(struct ctl *ctl, struct load *l, const char *id, struct err *err)
{
	const char *dir = ctl->args.v[2];
	const struct value *paths;

	if (mkdir(dir, 0700) == -1)
		return err_errno(err, "cannot make the directory '%s'", dir);
	if (state_site_export(l->state, &ctl->arena, id, dir, &paths, err) == -1)
		return -1;
	out_note(ctl->out, "%u file%s below '%s', each under its whole path",
	    v_count(paths), v_count(paths) == 1 ? "" : "s", dir);
	return 0;
}

static int
sites(struct ctl *ctl)
{
	const char *what = ctl->args.n > 0 ? ctl->args.v[0] : "list", *id = NULL;
	bool show = strcmp(what, "show") == 0, export = strcmp(what, "export") == 0;
	struct load l;
	struct err err = ERR_INIT;
	int r = -1;

	if (!show && !export && strcmp(what, "list") != 0)
		return usage_error(ctl, "'sites' knows 'list', 'show' and 'export', not '%s'", what);
	if ((show && ctl->args.n < 2) || (export && ctl->args.n != 3) ||
	    (!show && !export && ctl->args.n > 1))
		return usage_error(ctl, show ? "'sites show' wants the id of a snapshot or the number of a run" :
		    export ? "'sites export' wants a snapshot and a directory" :
		    "'sites list' has no arguments");
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0) {
		if (show || export)
			id = state_site_find(l.state, &ctl->arena, ctl->args.v[1], &err);
		if (!show && !export)
			r = list_sites(ctl, &l, &err);
		else if (id != NULL)
			r = export ? export_site(ctl, &l, id, &err) : ctl->args.n > 2 ?
			    show_file(ctl, &l, id, &err) : show_site(ctl, &l, id, &err);
		if (r == -1)
			(void)fail_with(ctl, &err);
	}
	load_release(&l);
	return r == 0 ? RUN_OK : RUN_USAGE;
}

static const struct opt_group *const groups[] = { &opts_state, NULL };

const struct cmd cmd_sites = {
	.name = "sites", .args = "[show ID [FILE] | export ID DIR]",
	.summary = "snapshots of the sites that were applied or checked",
	.doc = "Each run keeps what it was made from: playbooks, roles, variables, inventory, templates and files, as they were, encrypted with the key beside the database and each content once. `resume`, `retry` and `drift` go on with the snapshot, not with files that are being edited.\n\nWithout arguments they are listed. ID is the beginning of a snapshot's id, or the number of a run. FILE is a path in it, or the end of one. `export` writes all files below a new directory; vaults in it stay encrypted.",
	.opts = groups, .max_args = 3, .run = sites,
};
