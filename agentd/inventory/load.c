/*
 * Which form a source has, and directories of sources.
 *
 *	a directory	its entries in order, without backups and the like
 *	executable	a program that prints JSON
 *	*.yml *.yaml *.json	YAML
 *	no extension	YAML if it reads as a mapping, else INI
 *	anything else	INI
 *	a,b,c		hosts, when there is no such file
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/trust.h"
#include "inventory/inv.h"
#include "yaml/files.h"

static int add_path(struct inventory *, const char *path, unsigned depth,
	    struct diags *);

/* An absolute path without "." and "..", links left alone; in the arena. */
static const char *
absolute(struct arena *arena, const char *path)
{
	CLEANUP_FREE char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	CLEANUP_BUF struct buf out = BUF_INIT;
	char *all = arena_printf(arena, "%s/%s", cwd != NULL ? cwd : "", path);
	char *save = NULL, *part;

	for (part = strtok_r(all, "/", &save); part != NULL;
	    part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			while (out.len > 0 && out.data[out.len - 1] != '/')
				out.len--;
			if (out.len > 0)
				out.len--;
			continue;
		}
		buf_addf(&out, "/%s", part);
	}
	return out.len == 0 ? "/" : arena_strndup(arena, out.data, out.len);
}

static struct var_place
place(struct arena *arena, const char *dir)
{
	struct var_place p = { .path = absolute(arena, dir) };
	size_t n;

	while (strncmp(dir, "./", 2) == 0)
		for (dir += 2; *dir == '/'; dir++)
			;
	for (n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
		;
	p.shown = strcmp(dir, ".") == 0 ? "" : arena_strndup(arena, dir, n);
	return p;
}

static void
add_dir(struct inventory *inv, struct var_place p)
{
	struct var_place *v;

	for (uint32_t i = 0; i < inv->ndirs; i++)
		if (strcmp(inv->dirs[i].path, p.path) == 0)
			return;
	v = ARENA_ARRAY(inv->arena, inv->ndirs + 1, struct var_place);
	if (inv->ndirs > 0)
		memcpy(v, inv->dirs, inv->ndirs * sizeof(*v));
	v[inv->ndirs++] = p;
	inv->dirs = v;
}

/* ---- files ------------------------------------------------------------------------ */

/* The first line that is neither empty nor a comment ends with ':' or is "---". */
static bool
looks_like_yaml(const char *s, const char *end)
{
	const char *nl, *e;

	for (; s < end; s = nl + 1) {
		if ((nl = memchr(s, '\n', (size_t)(end - s))) == NULL)
			nl = end;
		for (e = nl; e > s && strchr(" \t\r", e[-1]) != NULL; e--)
			;
		if (e == s || *s == '#')
			continue;
		return e[-1] == ':' || strncmp(s, "---", 3) == 0 || *s == '{';
	}
	return false;
}

static int
add_text(struct inventory *inv, const struct source *src, const char *ext,
    struct diags *diags)
{
	CLEANUP_DIAGS struct diags trial = DIAGS_INIT;
	const struct value *v;

	if (strcmp(ext, ".yml") == 0 || strcmp(ext, ".yaml") == 0 ||
	    strcmp(ext, ".json") == 0 || (ext[0] == '\0' &&
	    looks_like_yaml(src->text, src->text + src->len))) {
		v = yaml_parse(inv->arena, src, inv->yaml, diags);
		return v == NULL ? -1 : tree_read(inv, src, v, diags);
	}
	if (ext[0] == '\0' && (v = yaml_parse(inv->arena, src, inv->yaml,
	    &trial)) != NULL && v_is_map(v))
		return tree_read(inv, src, v, diags);
	return ini_read(inv, src, diags);
}

static int
add_file(struct inventory *inv, const char *path, struct diags *diags)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *slash = strrchr(path, '/'), *ext;
	const struct source *src;
	int rc;

	ext = strrchr(slash != NULL ? slash + 1 : path, '.');
	if (ext == NULL || ext == (slash != NULL ? slash + 1 : path))
		ext = "";
	inv->file = absolute(inv->arena, path);
	if (path_trusted(file_at(path), &err) == -1) {
		diags_add(diags, DIAG_ERROR, &err);
		return -1;
	}
	if (access(path, X_OK) == 0 &&
	    (rc = script_read(inv, inv->file, diags)) != 1)
		return rc;
	if (strcmp(ext, ".toml") == 0) {
		err_hint(diags_error(diags, ERR_UNSUPPORTED, (struct mark){ 0 },
		    "'%s': TOML inventories are not supported", path),
		    "write it as YAML or INI");
		return -1;
	}
	if ((src = source_read(inv->arena, path, inv->yaml, &err)) == NULL) {
		diags_add(diags, DIAG_ERROR, &err);
		return -1;
	}
	if (src->len > 2 && memcmp(src->text, "#!", 2) == 0) {
		err_hint(diags_error(diags, ERR_INVALID, (struct mark){ .src = src,
		    .line = 1, .col = 1, .len = 2 },
		    "this is a program, but it is not executable"),
		    "chmod +x %s", path);
		return -1;
	}
	return add_text(inv, src, ext, diags);
}

/* ---- directories ------------------------------------------------------------------- */

static bool
ignored(const char *name)
{
	static const char *const endings[] = {
		".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst",
		".orig", ".cfg", ".retry"
	};
	static const char *const names[] = {
		"group_vars", "host_vars", "vars_plugins"
	};
	size_t n = strlen(name), k;

	if (name[0] == '.')
		return true;
	for (size_t i = 0; i < NITEMS(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	for (size_t i = 0; i < NITEMS(endings); i++)
		if ((k = strlen(endings[i])) <= n &&
		    strcmp(name + n - k, endings[i]) == 0)
			return true;
	return false;
}

static int
wanted(const struct dirent *de)
{
	return !ignored(de->d_name);
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
add_directory(struct inventory *inv, const char *path, unsigned depth,
    struct diags *diags)
{
	struct dirent **entries = NULL;
	int n, rc = 0;

	if (depth >= INV_DIR_DEPTH) {
		diags_error(diags, ERR_LIMIT, (struct mark){ 0 },
		    "'%s': inventory directories are nested more than %u deep",
		    path, INV_DIR_DEPTH);
		return -1;
	}
	if ((n = scandir(file_at(path), &entries, wanted, by_bytes)) == -1) {
		diags_error(diags, ERR_IO, (struct mark){ 0 },
		    "cannot read the directory '%s': %s", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		if (add_path(inv, arena_printf(inv->arena, "%s/%s", path,
		    entries[i]->d_name), depth + 1, diags) == -1)
			rc = -1;
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int
add_path(struct inventory *inv, const char *path, unsigned depth,
    struct diags *diags)
{
	struct stat st;

	if (stat(file_at(path), &st) == -1) {
		struct err *e = diags_error(diags, ERR_IO, (struct mark){ 0 },
		    "cannot read the inventory '%s': %s", path, strerror(errno));

		if (errno == ENOENT && strchr(path, '/') == NULL)
			err_hint(e, "for a single host write '%s,' with a comma", path);
		return -1;
	}
	files_note(path, &st);	/* also programs, which are not read */
	return S_ISDIR(st.st_mode) ? add_directory(inv, path, depth, diags) :
	    add_file(inv, path, diags);
}

/* ---- a,b,c ------------------------------------------------------------------------- */

static int
add_list(struct inventory *inv, const char *list, struct diags *diags)
{
	const struct source *src = source_text(inv->arena, list, list, strlen(list));
	size_t before = diags->nerrors;
	const char *p = list, *end;
	struct mark mark;
	char *name;
	size_t n;

	inv->file = src->path;
	for (; *p != '\0'; p = *end == ',' ? end + 1 : end) {
		p += strspn(p, " \t");
		end = p + strcspn(p, ",");
		for (n = (size_t)(end - p); n > 0 && (p[n - 1] == ' ' ||
		    p[n - 1] == '\t'); n--)
			;
		if (n == 0)
			continue;
		name = arena_strndup(inv->arena, p, n);
		mark = (struct mark){ .src = src, .line = 1,
		    .col = (uint32_t)(p - list) + 1, .len = (uint32_t)n };
		if (names_get(&inv->host_names, name) == NULL)
			(void)inv_hosts(inv, inv->ungrouped, name, mark, NULL, NULL,
			    diags);
	}
	return diags->nerrors > before ? -1 : 0;
}

int
inventory_add(struct inventory *inv, const char *source, struct diags *diags)
{
	struct stat st;
	const char *slash = strrchr(source, '/');
	bool exists = stat(file_at(source), &st) == 0;
	int rc;

	if (!exists && strchr(source, ',') != NULL)
		rc = add_list(inv, source, diags);
	else {
		if (exists)
			add_dir(inv, place(inv->arena, S_ISDIR(st.st_mode) ?
			    source : slash == NULL ? "." : slash == source ? "/" :
			    arena_strndup(inv->arena, source,
			    (size_t)(slash - source))));
		rc = add_path(inv, source, 0, diags);
	}
	inv->file = NULL;
	return rc;
}

int
inventory_add_site_dir(struct inventory *inv, const char *dir, struct diags *diags)
{
	(void)diags;	/* what is wrong in its files is found when they are read */
	inv->site_dir = place(inv->arena, dir[0] == '\0' ? "." : dir);
	/* the same directory by another name: its files are read once */
	for (uint32_t i = 0; i < inv->ndirs; i++)
		if (strcmp(inv->dirs[i].path, inv->site_dir.path) == 0)
			inv->site_dir = inv->dirs[i];
	return 0;
}
