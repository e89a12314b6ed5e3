/*
 * Where files are: the order in which Ansible looks for relative names.
 *
 * node.search holds the places that know nothing of kinds: the role's
 * directory, those of the roles that need it, the directory of the task's own
 * file, the play's.  Each is tried with the kind below it first (files/,
 * templates/, vars/ …), then as it is:
 *
 *	role/KIND/name, role/name, parent/KIND/name, …, role/tasks/KIND/name,
 *	role/tasks/name, [sub/ below tasks/: role/KIND/name, role/tasks/name,]
 *	play/KIND/name, play/name
 */
#include <string.h>

#include "base/trust.h"
#include "playbook/private.h"
#include "yaml/files.h"

#define SEARCH_MAX	(SITE_DEPTH_MAX * 4)

struct places {
	struct arena	 *a;
	const char	 *v[SEARCH_MAX + 1];
	uint32_t	  n;
};

static void
place_add(struct places *p, const char *path)
{
	uint32_t i;

	for (i = 0; i < p->n; i++) {
		if (strcmp(p->v[i], path) == 0)
			return;
	}
	if (p->n < SEARCH_MAX)
		p->v[p->n++] = path;
}

static void
place_both(struct places *p, const char *dir, const char *kind, const char *name)
{
	size_t n = strlen(kind);

	/* "files/x" is not looked for below files/ */
	if (!(strncmp(name, kind, n) == 0 && (name[n] == '/' || name[n] == '\0')))
		place_add(p, path_join(p->a, path_join(p->a, dir, kind), name));
	place_add(p, path_join(p->a, dir, name));
}

static const char *const *
places_done(struct places *p)
{
	const char **all = ARENA_ARRAY(p->a, p->n + 1, const char *);

	memcpy(all, p->v, p->n * sizeof(*all));
	return all;
}

const char *const *
find_candidates(struct site *s, struct arena *a, const struct node *node,
    const char *kind, const char *name)
{
	struct places p = { .a = a };
	const char *const *dir;
	const char *up;

	if (name[0] == '/' || name[0] == '~') {
		place_add(&p, path_absolute(a, name));
		return places_done(&p);
	}
	for (dir = node != NULL ? node->search : NULL; dir != NULL && *dir != NULL; dir++) {
		up = path_dir(a, *dir);
		if (strcmp(path_base(up), "tasks") == 0) {
			place_add(&p, path_join(a, path_join(a, path_dir(a, up), kind), name));
			place_add(&p, path_join(a, up, name));
		}
		place_both(&p, *dir, kind, name);
	}
	if (node == NULL || node->search == NULL)
		place_both(&p, s->dir, kind, name);
	return places_done(&p);
}

const char *
site_find(struct site *s, struct arena *a, const struct node *node,
    const char *kind, const char *name, struct err *err)
{
	const char *const *all = find_candidates(s, a, node, kind, name), *const *p;
	struct buf tried CLEANUP_BUF = BUF_INIT;

	for (p = all; *p != NULL; p++) {
		if (access(file_at(*p), F_OK) == 0)
			return name[0] != '/' && path_trusted(file_at(*p), err) == -1 ?
			    NULL : *p;
	}
	(void)err_set(err, ERR_IO, "there is no file '%s'", name);
	for (p = all; *p != NULL; p++)
		buf_addf(&tried, "%s%s", p == all ? "" : ", ", path_show(a, *p));
	err_hint(err, "looked for %s", buf_str(&tried));
	return NULL;
}

/* ---- files of tasks --------------------------------------------------------- */

static const char *
try(struct places *p, const char *dir, const char *name)
{
	place_add(p, path_join(p->a, dir, name));
	return path_is_file(p->v[p->n - 1]) ? p->v[p->n - 1] : NULL;
}

const char *
find_tasks(const struct ctx *c, const char *name, struct buf *tried)
{
	const char *subdir = c->handlers ? "handlers" : "tasks", *found = NULL, *base;
	struct places p = { .a = c->a };
	const struct incl *in;
	uint32_t i;

	if (name[0] == '/' || name[0] == '~')
		found = try(&p, "/", name);
	else {
		/* beside the file that includes, and those that include it */
		for (in = c->incl; in != NULL && found == NULL; in = in->outer)
			found = try(&p, in->dir, name);
		if (found == NULL && c->role != NULL) {
			base = path_join(c->a, c->role->path, subdir);
			if ((found = try(&p, base, name)) == NULL)
				found = try(&p, c->role->path, name);
		}
		if (found == NULL && c->play != NULL) {
			if ((found = try(&p, c->play->dir, name)) == NULL)
				found = try(&p, path_join(c->a, c->play->dir, subdir), name);
		}
	}
	for (i = 0; found == NULL && tried != NULL && i < p.n; i++)
		buf_addf(tried, "%s%s", i == 0 ? "" : ", ", path_show(c->a, p.v[i]));
	return found;
}

/* The places for what stands in a file of tasks (or a playbook). */
const struct incl *
incl_new(const struct ctx *c, const char *path, bool dynamic)
{
	struct incl *in = ARENA_NEW(c->a, struct incl);
	struct places p = { .a = c->a };
	const struct role *r;

	in->path = path;
	in->dir = path_dir(c->a, path);
	in->outer = c->incl;
	in->dynamic = dynamic;
	for (r = c->role; r != NULL; r = r->parent)
		place_add(&p, r->path);
	place_add(&p, in->dir);
	if (c->play != NULL)
		place_add(&p, c->play->dir);
	in->search = places_done(&p);
	return in;
}

/* ---- values known when loading ------------------------------------------------ */

static const struct value *
static_magic(void *arg, struct arena *a, const char *name)
{
	const struct ctx *c = arg;

	if (c->role != NULL && strcmp(name, "role_path") == 0)
		return v_str(a, c->role->path);
	if (c->role != NULL && (strcmp(name, "role_name") == 0 ||
	    strcmp(name, "ansible_role_name") == 0))
		return v_str(a, c->role->name);
	if (c->play != NULL && strcmp(name, "playbook_dir") == 0)
		return v_str(a, c->play->dir);
	return NULL;
}

static const struct value *
eval_with(const struct ctx *c, const struct value *v, const struct value *extra,
    bool files, bool fixed)
{
	const struct value *layers[SITE_DEPTH_MAX * 4];
	const struct vars_chain *chain;
	struct err ignored CLEANUP_ERR = ERR_INIT;
	struct scope scope = { .layers = layers, .magic = static_magic };
	struct tmpl_files tf = { .basedir = c->play != NULL ? c->play->dir : c->site->dir,
	    .search = c->incl != NULL ? c->incl->search : NULL };
	struct ctx copy = *c;
	const struct role *r;
	const struct value *out;

	if (!v_is_tmpl(v) && (v->flags & V_HAS_TMPL) == 0)
		return v;
#define LAYER(x)	(scope.n < NITEMS(layers) && (x) != NULL ? \
			    (void)(layers[scope.n++] = (x)) : (void)0)
	LAYER(extra);
	LAYER(c->site->extra_vars);
	if (fixed)
		goto eval;
	for (r = c->role; r != NULL; r = r->parent)
		LAYER(r->params);
	for (chain = c->vars; chain != NULL; chain = chain->outer)
		LAYER(chain->map);
	for (r = c->role; r != NULL; r = r->parent)
		LAYER(r->vars);
	LAYER(c->file_vars);
	if (c->play != NULL)
		LAYER(c->play->vars);
	for (r = c->role; r != NULL; r = r->parent)
		LAYER(r->defaults);
#undef LAYER
eval:
	scope.arg = &copy;
	scope.files = files ? &tf : NULL;
	out = tmpl_eval(c->a, &scope, v, &ignored);
	return out == NULL || out->type == V_UNDEF || out->type == V_OMIT ? NULL : out;
}

const struct value *
static_eval(const struct ctx *c, const struct value *v, const struct value *extra)
{
	return eval_with(c, v, extra, false, false);
}

const struct value *
fixed_eval(const struct ctx *c, const struct value *v, const struct value *extra)
{
	return eval_with(c, v, extra, false, true);
}

const char *
static_text(const struct ctx *c, const struct value *v)
{
	const struct value *t = eval_with(c, v, NULL, true, false);

	if (t != NULL && (t->type == V_INT || t->type == V_FLOAT))
		t = tmpl_to_str(c->a, t);
	return t != NULL && v_is_str(t) && strlen(t->u.s) == t->len ? t->u.s : NULL;
}

/* ---- tags ----------------------------------------------------------------------- */

static bool
in_list(const char *const *list, const char *word)
{
	for (; list != NULL && *list != NULL; list++) {
		if (strcmp(*list, word) == 0)
			return true;
	}
	return false;
}

static bool
tags_meet(const char *const *tags, uint32_t ntags, const char *const *list)
{
	uint32_t i;

	for (i = 0; i < ntags; i++) {
		if (in_list(list, tags[i]))
			return true;
	}
	return false;
}

bool
tags_match(const char *const *tags, uint32_t ntags, const char *const *only,
    const char *const *skip)
{
	static const char *const always[] = { "always", NULL }, *const never[] = { "never", NULL };
	bool has_always = tags_meet(tags, ntags, always);
	bool has_never = tags_meet(tags, ntags, never), run;

	if (only == NULL || *only == NULL) {
		run = !has_never;	/* as with --tags all */
		if (has_never && has_always)
			run = true;
	} else if (tags_meet(tags, ntags, only))
		run = true;
	else if (in_list(only, "all"))
		run = !has_never;
	else if (in_list(only, "tagged") && ntags > 0)
		run = !has_never;
	else if (in_list(only, "untagged") && ntags == 0)
		run = true;
	else
		run = has_always;
	if (!run || skip == NULL || *skip == NULL)
		return run;
	if (in_list(skip, "all"))
		return has_always && !in_list(skip, "always");
	if (tags_meet(tags, ntags, skip))
		return false;
	if (in_list(skip, "tagged") && ntags > 0)
		return false;
	return !(in_list(skip, "untagged") && ntags == 0);
}
