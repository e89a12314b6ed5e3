/* Putting back what a guard's list says: what a watch does when nobody confirmed, see guard.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "module/fs.h"
#include "module/guard_private.h"
#include "module/proc.h"
#include "module/restore.h"
#include "module/systemd.h"

static void
note_trouble(struct undo *u, const char *what)
{
	struct mod *m = &u->m;

	v_push(m->arena, u->trouble, v_strf(m->arena, "%s: %s", what,
	    v_get_str(m->result, "msg", v_get_str(m->result, "refused", "failed"))));
	(void)v_dels(m->result, "msg");
	m->failed = false;
}

static void
command(struct undo *u, const char *const argv[], bool must)
{
	struct mod *m = &u->m;
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	p.timeout_ms = GUARD_COMMAND_MS;
	if (proc_change(m, &p) == 0 && p.status == 0)
		return;
	if (!m->failed)
		(void)mod_fail(m, "%s", p.timed_out ? "timed out" : buf_str(&p.err));
	if (must)
		note_trouble(u, arena_printf(m->arena, "%s %s", argv[0],
		    argv[1] != NULL ? argv[1] : ""));
	m->failed = false;
}

/* The list, or an empty one. Its last line may be half written. */
static const struct value *
read_list(struct mod *m, int dir)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = openat(dir, "list", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct value *list = v_list(m->arena);
	struct err err = ERR_INIT;
	const char *p, *end;

	b.max = GUARD_LIST_MAX;
	if (fd == -1 || buf_read_fd(&b, fd) == -1)
		return list;
	for (p = buf_str(&b); (end = strchr(p, '\n')) != NULL; p = end + 1) {
		const struct value *v = json_parse_text(m->arena, p,
		    (size_t)(end - p), &err);

		if (v != NULL && v_is_map(v))
			v_push(m->arena, list, v);
	}
	err_release(&err);
	return list;
}

/*
 * The first image of each path counts.  What was made goes, the innermost
 * first; then what was there comes back, the outermost first.
 */
static int
by_path(const void *a, const void *b)
{
	return strcmp(v_get_str(*(const struct value *const *)a, "path", ""),
	    v_get_str(*(const struct value *const *)b, "path", ""));
}

void
undo_files(struct undo *u)
{
	struct mod *m = &u->m;
	const struct value *list = u->list;
	const struct value **v = ARENA_ARRAY(m->arena, v_count(list) + 1,
	    const struct value *);
	struct value *seen = v_map(m->arena);
	uint32_t i, n = 0, pass;

	for (i = 0; i < v_count(list); i++) {
		const char *path = v_get_str(v_at(list, i), "path", NULL);

		if (path == NULL || v_gets(seen, path) != NULL)
			continue;
		v_set_bool(m->arena, seen, path, true);
		v[n++] = v_at(list, i);
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_path);
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < n; i++) {
			const struct value *e = v[pass == 0 ? n - 1 - i : i];
			const struct value *was = v_gets(e, "was");
			const char *path = v_get_str(e, "path", "");

			if ((strcmp(v_get_str(was, "type", ""), "absent") == 0) !=
			    (pass == 0))
				continue;
			m->changed = false;
			if (restore_path(m, path, was) != 0)
				note_trouble(u, path);
			else if (m->changed)
				v_push(m->arena, u->put_back, v_str(m->arena, path));
		}
}

/*
 * Firewalls are locked out of through the kernel, whatever stands in files.
 * nft knows the rules of iptables as well, but cannot always load what it lists
 * of them, and may not be there: then iptables' own programs do it.
 */
static const struct rules {
	const char	*file;		/* of the guard */
	const char	*list[5], *load[4];
	const char	*first;		/* before what was listed, … */
	const char	*none;		/* … or instead, when that has no rules */
} rules[] = {
	{ "rules", { "nft", "-s", "list", "ruleset" }, { "nft", "-f", "-" },
	    "flush ruleset\n", "" },
	{ "rules-ip", { "iptables-save" }, { "iptables-restore" }, "",
	    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n" },
	{ "rules-ip6", { "ip6tables-save" }, { "ip6tables-restore" }, "",
	    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n" },
};

enum rules_do { RULES_COMPARE, RULES_LOAD, RULES_LOAD_IF_ANY };

/* 1: put back (or different from what it was); 0: nothing to do; -1: cannot, and m says why. */
static int
load_rules(struct mod *m, int dir, const struct rules *k, enum rules_do what)
{
	CLEANUP_CLOSE int fd = openat(dir, k->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_PROC struct proc now = PROC_INIT, load = PROC_INIT;
	bool any;

	b.max = GUARD_LIST_MAX;
	now.argv = k->list;
	load.argv = k->load;
	now.timeout_ms = load.timeout_ms = GUARD_COMMAND_MS;
	if (fd == -1)
		return 0;
	if (buf_read_fd(&b, fd) == -1)
		return mod_fail_errno(m, "cannot read what was listed");
	if (proc_query(m, &now) == -1)
		return -1;
	any = strchr(buf_str(&b), '{') != NULL || strchr(b.data, '*') != NULL;
	if (strcmp(buf_str(&now.out), b.data) == 0 ||
	    (what == RULES_LOAD_IF_ANY && !any))
		return 0;
	if (what == RULES_COMPARE)
		return 1;
	load.input = arena_printf(m->arena, "%s%s", k->first,
	    any ? b.data : k->none);
	load.ninput = strlen(load.input);
	if (proc_change(m, &load) == -1)
		return -1;
	return load.status == 0 ? 1 : mod_fail(m, "%s", load.timed_out ?
	    "timed out" : buf_str(&load.err));
}

/*
 * nft first: it has them all, and loads all or nothing.  What it loads of
 * iptables' does what they did, but iptables does not know it again: it has the
 * last word on its own.
 */
void
undo_rules(struct undo *u)
{
	struct mod *m = &u->m;
	int dir = u->dir;
	bool nft = faccessat(dir, rules[0].file, F_OK, 0) == 0;
	bool any = false;
	size_t i;
	int rc;

	if (nft && load_rules(m, dir, &rules[0], RULES_COMPARE) == 0)
		return;
	for (i = nft ? 0 : 1; i < NITEMS(rules); i++) {
		m->failed = false;
		rc = load_rules(m, dir, &rules[i], nft && i > 0 ?
		    RULES_LOAD_IF_ANY : RULES_LOAD);
		any = any || rc == 1;
		if (rc == -1 && (i == 0 || !nft))
			note_trouble(u, "the firewall's rules");
	}
	m->failed = false;
	if (any)
		v_push(m->arena, u->put_back, v_str(m->arena, "the firewall's rules"));
}

void
undo_note_rules(struct mod *m, int dir)
{
	size_t i;

	for (i = 0; i < NITEMS(rules) && geteuid() == 0; i++) {
		CLEANUP_PROC struct proc p = PROC_INIT;

		if (faccessat(dir, rules[i].file, F_OK, 0) == 0 ||
		    proc_find(m, rules[i].list[0]) == NULL)
			continue;
		p.argv = rules[i].list;
		p.timeout_ms = GUARD_COMMAND_MS;
		if (proc_query(NULL, &p) == 0 && p.status == 0 && !p.truncated)
			(void)guard_put_file(dir, rules[i].file, buf_str(&p.out), p.out.len);
	}
}

static void
systemctl(struct undo *u, const char *verb, const char *unit)
{
	struct mod *m = &u->m;
	const char *argv[] = { "systemctl", verb, "--", unit, NULL };
	bool must = strncmp(verb, "try-", 4) != 0;

	command(u, argv, must);
	if (must)
		v_push(m->arena, u->put_back, v_strf(m->arena, "%s (%s)", unit, verb));
}

static void
daemon_reload(struct undo *u)
{
	static const char *const argv[] = { "systemctl", "daemon-reload", NULL };

	command(u, argv, false);
}

void
undo_enabled(struct undo *u)
{
	uint32_t i;

	/* The last first: what is masked cannot be enabled. */
	for (i = v_count(u->list); i-- > 0;) {
		const struct value *v = v_at(u->list, i);
		const char *file = v_get_str(v, "unit_file", NULL);
		const char *argv[] = { "systemctl", "--no-reload",
		    v_get_str(v, "undo", "enable"), "--", file, NULL };

		if (file == NULL || !systemd_unit_valid(file))
			continue;
		command(u, argv, true);
		v_push(u->m.arena, u->put_back, v_strf(u->m.arena, "%s (%s)", file, argv[2]));
	}
}

void
undo_units(struct undo *u)
{
	static const struct {
		const char	*below, *unit;
	} known[] = {
		{ "/etc/ssh/", "ssh" },
		{ "/etc/systemd/network/", "systemd-networkd" },
	};
	struct mod *m = &u->m;
	const struct value *list = u->list;
	struct value *undo = v_map(m->arena);
	const struct ventry *e;
	uint32_t i, it = 0;
	size_t k;

	for (i = 0; i < v_count(list); i++) {
		const struct value *v = v_at(list, i);
		const char *unit = v_get_str(v, "unit", NULL);
		const char *path = v_get_str(v, "path", "");

		for (k = 0; unit == NULL && k < NITEMS(known); k++)
			if (strncmp(path, known[k].below, strlen(known[k].below)) == 0 &&
			    v_gets(undo, known[k].unit) == NULL)
				v_set_str(m->arena, undo, known[k].unit,
				    "try-reload-or-restart");
		if (unit == NULL || !systemd_unit_valid(unit))
			continue;
		/* How it was before the first of several. */
		if (v_gets(undo, unit) == NULL || strncmp(v_get_str(undo, unit, ""),
		    "try-", 4) == 0)
			v_set_str(m->arena, undo, unit, v_get_str(v, "undo", "restart"));
		else if (strcmp(v_get_str(undo, unit, ""), "reload-or-restart") == 0)
			v_set_str(m->arena, undo, unit, "restart");
	}
	undo_enabled(u);
	if (v_count(list) > 0)
		daemon_reload(u);
	while ((e = v_next(undo, &it)) != NULL)
		systemctl(u, e->val->u.s, e->key->u.s);
}

void
undo_commands(struct undo *u, const struct value *commands)
{
	struct mod *m = &u->m;
	uint32_t i, j;

	for (i = 0; commands != NULL && i < v_count(commands); i++) {
		const struct value *words = v_at(commands, i);
		const char **argv = ARENA_ARRAY(m->arena, v_count(words) + 1,
		    const char *);

		for (j = 0; j < v_count(words); j++)
			argv[j] = v_is_str(v_at(words, j)) ? v_at(words, j)->u.s : "";
		if (j > 0)
			command(u, argv, true);
	}
}

/* What ran before, or is enabled again, but was not to start when this boot began. */
void
undo_started(struct undo *u)
{
	struct value *seen = v_map(u->m.arena);
	uint32_t i;

	if (v_count(u->list) > 0)
		daemon_reload(u);
	for (i = 0; i < v_count(u->list); i++) {
		const struct value *v = v_at(u->list, i);
		const char *unit = v_get_str(v, "unit", v_get_str(v, "unit_file", NULL));
		const char *verb = v_get_str(v, "undo", "");
		const char *ask[] = { "systemctl", "--quiet", "is-enabled", "--", unit, NULL };
		const char *start[] = { "systemctl", "start", "--", unit, NULL };
		CLEANUP_PROC struct proc p = PROC_INIT;

		if (unit == NULL || !systemd_unit_valid(unit) || v_gets(seen, unit) != NULL ||
		    strcmp(verb, "stop") == 0 || strcmp(verb, "disable") == 0 ||
		    strcmp(verb, "mask") == 0)
			continue;
		v_set_bool(u->m.arena, seen, unit, true);
		p.argv = ask;
		p.timeout_ms = GUARD_COMMAND_MS;
		if (v_gets(v, "unit") != NULL ||
		    (proc_query(&u->m, &p) == 0 && p.status == 0))
			command(u, start, true);
	}
}

/* ---- the whole --------------------------------------------------------------------- */

void
undo_open(struct undo *u, int store, int dir)
{
	static const struct module watch = { .name = "provctl_guard" };

	*u = (struct undo){ .keep = KEEP_INIT, .dir = dir };
	u->keep.store = store;
	u->keep.bytes = 0;	/* images of what we take away now are not wanted */
	u->m = (struct mod){ .arena = &u->arena, .module = &watch, .keep = &u->keep,
	    .args = v_map(&u->arena), .result = v_map(&u->arena) };
	u->list = read_list(&u->m, dir);
	u->put_back = v_list(&u->arena);
	u->trouble = v_list(&u->arena);
}

void
undo_close(struct undo *u, const char *token)
{
	struct value *report = v_map(&u->arena);
	CLEANUP_BUF struct buf text = BUF_INIT;
	size_t i;

	v_sets(&u->arena, report, "put_back", u->put_back);
	v_sets(&u->arena, report, "trouble", u->trouble);
	json_write(&text, report, JSON_COMPACT);
	(void)guard_put_file(u->dir, arena_printf(&u->arena, "report-%s", token),
	    text.data, text.len);
	/* The next task begins a list of its own. */
	(void)unlinkat(u->dir, "list", 0);
	for (i = 0; i < NITEMS(rules); i++)
		(void)unlinkat(u->dir, rules[i].file, 0);
	arena_release(&u->arena);
}
