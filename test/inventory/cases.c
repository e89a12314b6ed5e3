/*
 * Runs the cases of a data file: inventories and what is asked of them.
 *
 *	@@ name
 *	@@ file PATH		a file (a program when it starts with #!), relative
 *	its text
 *	@@ do
 *	add SOURCE		inventory_add
 *	site DIR		inventory_add_site_dir
 *	finish			inventory_finish
 *	groups | hosts		the structure
 *	vars HOST		the merged variables, templates as their text
 *	names HOST		group_names
 *	match PATTERN		hosts of a pattern
 *	host NAME VAR=VALUE	inventory_host_add
 *	member HOST GROUP	inventory_group_add
 *	nest PARENT CHILD	inventory_group_nest
 *	json			everything, for compare.py
 *	@@=
 *	what is printed, diagnostics at last; the case's directory as $DIR
 *
 * With --update the file is written anew: read the difference.  With
 * `--run FILE` the commands of FILE are run in the current directory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "inventory/inventory.h"
#include "inventory/vault.h"

struct world {
	struct arena		 arena;
	struct inventory	*inv;
	struct diags		 diags;
	struct buf		*out;
};

/* ---- commands --------------------------------------------------------------------- */

static void
print_value(struct world *w, const struct value *v)
{
	if (v == NULL) {
		buf_adds(w->out, "(none)\n");
		return;
	}
	json_write(w->out, v, JSON_SORT);
	buf_addc(w->out, '\n');
}

static void
print_groups(struct world *w)
{
	const struct value *all = inventory_groups_value(w->inv);
	const struct ventry *e;
	const struct group *g;

	for (uint32_t it = 0; (e = v_next(all, &it)) != NULL;) {
		g = inventory_group(w->inv, e->key->u.s);
		buf_addf(w->out, "%s (%d):", g->name, g->depth);
		for (uint32_t i = 0; i < g->nhosts; i++)
			buf_addf(w->out, " %s", g->hosts[i]->name);
		if (g->nchildren > 0)
			buf_adds(w->out, " |");
		for (uint32_t i = 0; i < g->nchildren; i++)
			buf_addf(w->out, " %s", g->children[i]->name);
		buf_addc(w->out, '\n');
	}
}

static void
print_hosts(struct world *w)
{
	const struct host *h;

	for (uint32_t i = 0; (h = inventory_host_at(w->inv, i)) != NULL; i++)
		buf_addf(w->out, "%s ", h->name);
	buf_addc(w->out, '\n');
}

static void
print_match(struct world *w, const char *pattern)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const char *unmatched;
	struct host **v;
	uint32_t n;

	if (inventory_match(w->inv, &w->arena, pattern, &v, &n, &unmatched,
	    &err) == -1) {
		err_format(&err, false, w->out);
		return;
	}
	buf_addf(w->out, "%s:", pattern);
	for (uint32_t i = 0; i < n; i++)
		buf_addf(w->out, " %s", v[i]->name);
	if (unmatched != NULL)
		buf_addf(w->out, " (nothing matches '%s')", unmatched);
	buf_addc(w->out, '\n');
}

static void
print_json(struct world *w)
{
	struct value *all = v_map(&w->arena), *hosts = v_map(&w->arena), *one;
	const struct value *vars;
	struct host *h;

	v_sets(&w->arena, all, "groups", inventory_groups_value(w->inv));
	for (uint32_t i = 0; (h = inventory_host_at(w->inv, i)) != NULL; i++) {
		one = v_map(&w->arena);
		vars = inventory_host_vars(w->inv, h, &w->diags);
		v_sets(&w->arena, one, "vars", vars != NULL ? vars : &v_null);
		v_sets(&w->arena, one, "names", inventory_group_names(w->inv, h));
		v_sets(&w->arena, hosts, h->name, one);
	}
	v_sets(&w->arena, all, "hosts", hosts);
	print_value(w, all);
}

static void
change(struct world *w, const char *what, char *arg)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	char *rest = arg + strcspn(arg, " "), *eq;
	struct value *vars = v_map(&w->arena);
	struct host *h;
	int rc = 0;

	if (*rest != '\0')
		*rest++ = '\0';
	if (strcmp(what, "host") == 0) {
		if ((eq = strchr(rest, '=')) != NULL) {
			*eq = '\0';
			v_set_str(&w->arena, vars, rest, eq + 1);
		}
		rc = inventory_host_add(w->inv, arg, vars, &err) == NULL ? -1 : 0;
	} else if (strcmp(what, "nest") == 0)
		rc = inventory_group_nest(w->inv, arg, rest, &err);
	else if ((h = inventory_host(w->inv, arg)) != NULL)
		rc = inventory_group_add(w->inv, h, rest, &err);
	if (rc == -1)
		err_format(&err, false, w->out);
}

static void
command(struct world *w, char *line)
{
	char *arg = line + strcspn(line, " ");
	struct host *h;

	if (*arg != '\0')
		*arg++ = '\0';
	if (strcmp(line, "add") == 0)
		(void)inventory_add(w->inv, arg, &w->diags);
	else if (strcmp(line, "site") == 0)
		(void)inventory_add_site_dir(w->inv, arg, &w->diags);
	else if (strcmp(line, "finish") == 0) {
		if (inventory_finish(w->inv, &w->diags) == -1)
			buf_adds(w->out, "failed\n");
	} else if (strcmp(line, "groups") == 0)
		print_groups(w);
	else if (strcmp(line, "hosts") == 0)
		print_hosts(w);
	else if (strcmp(line, "match") == 0)
		print_match(w, arg);
	else if (strcmp(line, "json") == 0)
		print_json(w);
	else if (strcmp(line, "vars") == 0) {
		h = inventory_host(w->inv, arg);
		print_value(w, h != NULL ?
		    inventory_host_vars(w->inv, h, &w->diags) : NULL);
	} else if (strcmp(line, "names") == 0) {
		h = inventory_host(w->inv, arg);
		print_value(w, h != NULL ? inventory_group_names(w->inv, h) : NULL);
	} else
		change(w, line, arg);
}

static void
run(char *commands, struct buf *out)
{
	struct vault *vault = vault_new();
	struct yaml_opts yaml = { .decrypt = vault_decrypt, .arg = vault };
	struct world w = { .out = out };
	char *save = NULL, *line;

	vault_add(vault, NULL, "secret");
	w.inv = inventory_new(&w.arena, &yaml);
	for (line = strtok_r(commands, "\n", &save); line != NULL;
	    line = strtok_r(NULL, "\n", &save))
		command(&w, line);
	diags_format(&w.diags, false, out);
	diags_release(&w.diags);
	vault_free(vault);
	arena_release(&w.arena);
}

/* ---- the data file ------------------------------------------------------------------ */

static const char *
next_marker(const char *p, const char *end)
{
	while (p < end && strncmp(p, "@@", 2) != 0) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p == NULL ? end : p + 1;
	}
	return p;
}

static void
write_file(const char *dir, const char *name, const char *text, size_t n)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	FILE *f;

	buf_addf(&path, "%s/%s", dir, name);
	for (char *p = path.data + strlen(dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(path.data, 0777) == -1 && errno != EEXIST)
			abort();
		*p = '/';
	}
	if ((f = fopen(buf_str(&path), "w")) == NULL ||
	    fwrite(text, 1, n, f) != n || fclose(f) != 0)
		abort();
	if (n > 2 && memcmp(text, "#!", 2) == 0 &&
	    chmod(buf_str(&path), 0755) == -1)
		abort();
}

/* Replaces the directory's name in the output. */
static void
anonymise(struct buf *out, const char *dir)
{
	struct buf all = BUF_INIT;
	const char *p = buf_str(out), *hit;

	for (; (hit = strstr(p, dir)) != NULL; p = hit + strlen(dir)) {
		buf_add(&all, p, (size_t)(hit - p));
		buf_adds(&all, "$DIR");
	}
	buf_adds(&all, p);
	buf_release(out);
	*out = all;
}

/* Runs the case at p (behind its name); returns where its expectation starts. */
static const char *
run_case(const char *p, const char *end, struct buf *out)
{
	char dir[] = "/tmp/test-inventory-XXXXXX", cwd[4096], name[200];
	CLEANUP_BUF struct buf cmd = BUF_INIT, commands = BUF_INIT;
	const char *text, *next;

	if (mkdtemp(dir) == NULL || getcwd(cwd, sizeof(cwd)) == NULL)
		abort();
	for (p = next_marker(p, end); p < end; p = next) {
		text = strchr(p, '\n') + 1;
		next = next_marker(text, end);
		if (sscanf(p, "@@ file %199[^\n]", name) == 1)
			write_file(dir, name, text, (size_t)(next - text));
		else if (strncmp(p, "@@ do\n", 6) == 0)
			buf_add(&commands, text, (size_t)(next - text));
		else
			break;
	}
	if (chdir(dir) == -1)
		abort();
	(void)buf_str(&commands);
	run(commands.data, out);
	if (chdir(cwd) == -1)
		abort();
	anonymise(out, dir);
	buf_addf(&cmd, "rm -rf %s", dir);
	if (system(buf_str(&cmd)) != 0)
		abort();
	return p;
}

int
main(int argc, char **argv)
{
	bool update = argc == 3 && strcmp(argv[1], "--update") == 0;
	bool direct = argc == 3 && strcmp(argv[1], "--run") == 0;
	CLEANUP_BUF struct buf file = BUF_INIT, all = BUF_INIT;
	unsigned passed = 0, failed = 0;
	const char *p, *end, *want, *next;
	FILE *f;

	if (argc != (update || direct ? 3 : 2) ||
	    buf_read_file(&file, argv[argc - 1]) == -1) {
		fprintf(stderr, "usage: inventory-cases [--update | --run] FILE\n");
		return 1;
	}
	p = buf_str(&file);
	if (direct) {
		run(file.data, &all);
		printf("%s", buf_str(&all));
		return 0;
	}
	end = p + file.len;
	next = next_marker(p, end);
	buf_add(&all, p, (size_t)(next - p));
	for (p = next; p < end; p = next) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		char name[120];

		if (sscanf(p, "@@ %119[^\n]", name) != 1)
			break;
		want = run_case(strchr(p, '\n') + 1, end, &out);
		if (strncmp(want, "@@=\n", 4) != 0) {
			fprintf(stderr, "'%s' has no @@=\n", name);
			return 1;
		}
		want += 4;
		next = next_marker(want, end);
		buf_add(&all, p, (size_t)(want - p));
		buf_add(&all, buf_str(&out), out.len);
		if (out.len == (size_t)(next - want) &&
		    memcmp(buf_str(&out), want, out.len) == 0)
			passed++;
		else if (!update) {
			failed++;
			printf("FAILED: %s\n--- expected\n%.*s--- got\n%s", name,
			    (int)(next - want), want, buf_str(&out));
		}
	}
	if (update) {
		if ((f = fopen(argv[2], "w")) == NULL)
			return 1;
		(void)fwrite(all.data, 1, all.len, f);
		return fclose(f) == 0 ? 0 : 1;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}
