/*
 * Templates of a site, compiled; and what to make of those that provctl cannot
 * do: a filter, test or lookup that is not supported, or that the site brings
 * along in Python (filter_plugins/ and the like).  In a task it is a problem
 * that matters if the task is reached; a variable becomes undefined, with the
 * reason and a note, for nobody may ever read it.  Everywhere else it is an error.
 */
#include <string.h>

#include "base/utf8.h"
#include "playbook/private.h"
#include "yaml/files.h"

#define PLUGIN_MAX	((size_t)1024 * 1024)

/* The word that a mark underlines, or NULL. */
static const char *
word_at(struct arena *a, const struct mark *m)
{
	const char *p, *end;
	uint32_t line;
	size_t from;

	if (m->src == NULL || m->src->text == NULL || m->line == 0 || m->len < 2)
		return NULL;
	p = m->src->text;
	end = p + m->src->len;
	for (line = 1; line < m->line; line++) {
		if ((p = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return NULL;
		p++;
	}
	from = utf8_offset(p, (size_t)(end - p), m->col - 1);
	p += from;
	if ((size_t)(end - p) < m->len)
		return NULL;
	if (*p == '\'' || *p == '"')
		return m->len < 3 ? NULL : arena_strndup(a, p + 1, m->len - 2);
	return arena_strndup(a, p, m->len);
}

/* A Python file of a directory that has the name as a quoted word (or is named so). */
static const char *
plugin_in(struct arena *a, const char *dir, const char *name)
{
	static const char *const exts[] = { ".py", NULL };
	const char **files = NULL, *word[2], *base;
	struct buf text CLEANUP_BUF = BUF_INIT;
	uint32_t n = 0, i;

	if (!path_is_dir(dir))
		return NULL;
	word[0] = arena_printf(a, "'%s'", name);
	word[1] = arena_printf(a, "\"%s\"", name);
	dir_files(a, dir, exts, 1, &files, &n);
	for (i = 0; i < n; i++) {
		base = path_base(files[i]);
		if (strncmp(base, name, strlen(name)) == 0 && strcmp(base + strlen(name), ".py") == 0)
			return files[i];
		buf_clear(&text);
		text.max = PLUGIN_MAX;
		if (file_read(&text, files[i]) == 0 && (strstr(buf_str(&text), word[0]) != NULL ||
		    strstr(buf_str(&text), word[1]) != NULL))
			return files[i];
	}
	return NULL;
}

static const char *
own_plugin(const struct ctx *c, const char *name)
{
	static const char *const kinds[] = { "filter_plugins", "test_plugins", "lookup_plugins" };
	const char *path, *const *more;
	const struct role *r;
	size_t i;

	for (more = c->site->priv->plugins; more != NULL && *more != NULL; more++) {
		if ((path = plugin_in(c->a, *more, name)) != NULL)
			return path;
	}
	for (i = 0; i < NITEMS(kinds); i++) {
		for (r = c->role; r != NULL; r = r->parent) {
			if ((path = plugin_in(c->a, path_join(c->a, r->path, kinds[i]), name)) != NULL)
				return path;
		}
		if (c->play != NULL && (path = plugin_in(c->a,
		    path_join(c->a, c->play->dir, kinds[i]), name)) != NULL)
			return path;
		if ((path = plugin_in(c->a, path_join(c->a, c->site->dir, kinds[i]), name)) != NULL)
			return path;
	}
	return NULL;
}

/* Of a collection that we do not know: two dots, and not one of Ansible's own. */
static bool
foreign(const char *name)
{
	const char *one = strchr(name, '.');

	return one != NULL && strchr(one + 1, '.') != NULL &&
	    strncmp(name, "ansible.builtin.", 16) != 0 && strncmp(name, "ansible.legacy.", 15) != 0;
}

/* Why an error is no mistake of the user's; NULL: it is one. */
static const char *
why_unsupported(const struct ctx *c, const struct err *e)
{
	const char *name, *path;

	if (e->code == ERR_UNSUPPORTED)
		return e->hint != NULL ? e->hint : "Ansible has it, provctl does not";
	if ((e->code != ERR_SYNTAX && e->code != ERR_INVALID) ||
	    (name = word_at(c->a, &e->at)) == NULL ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")] != '\0')
		return NULL;
	if (foreign(name))
		return "it belongs to a collection that provctl does not have";
	if ((path = own_plugin(c, name)) != NULL)
		return arena_printf(c->a, "it is a Python plugin of the site's own (%s); only Ansible can run it",
		    path_show(c->a, path));
	return NULL;
}

bool
unsupported_only(const struct ctx *c, struct diags *found, const char **ret_msg)
{
	bool only = found->nerrors > 0;
	const char *why;
	struct err *e;
	size_t i;

	for (i = 0; i < found->n; i++) {
		e = &found->v[i].err;
		why = found->v[i].level == DIAG_ERROR ? why_unsupported(c, e) : NULL;
		if (why == NULL || (c->node == NULL && ret_msg == NULL)) {
			only = only && found->v[i].level != DIAG_ERROR;
			if (why != NULL && e->hint == NULL)
				err_hint(e, "%s", why);
			diags_add(c->d, found->v[i].level, e);
		} else if (ret_msg != NULL) {
			*ret_msg = arena_printf(c->a, "%s: %s", e->msg, why);
			err_hint(diags_note(c->d, e->at, "%s", e->msg), "%s", why);
		} else
			problem_add(c, c->node, ERR_UNSUPPORTED, e->at, why, "%s", e->msg);
	}
	return only;
}

/* Stands for a template that cannot be: only its place in the tree matters. */
static const struct value *
placeholder(const struct ctx *c, const struct value *like)
{
	struct diags none CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *v = v_str(c->a, "{{ omit }}");

	if (like->mark != NULL)
		v = v_with_mark(c->a, v, *like->mark);
	return tmpl_compile_tree(c->a, v, &none);
}

const struct value *
compile(const struct ctx *c, const struct value *v)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *out = tmpl_compile_tree(c->a, v, &found);

	if (found.n > 0 && unsupported_only(c, &found, NULL) && out == NULL && c->node != NULL)
		return placeholder(c, v);
	return out;
}

const struct value *
compile_var(const struct ctx *c, const struct value *v)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *out = tmpl_compile_tree(c->a, v, &found);
	const char *msg = NULL;

	if (found.n == 0 || !unsupported_only(c, &found, &msg) || out != NULL)
		return out;
	out = v_undef(c->a, "%s", msg);
	return v->mark == NULL ? out : v_with_mark(c->a, out, *v->mark);
}

const struct value *
compile_when(const struct ctx *c, const struct value *v)
{
	struct diags found CLEANUP_DIAGS = DIAGS_INIT;
	const struct value *out = tmpl_compile_when(c->a, v, &found);

	if (found.n > 0 && unsupported_only(c, &found, NULL) && out == NULL && c->node != NULL)
		return &v_true;		/* the task fails before it is asked */
	return out;
}
