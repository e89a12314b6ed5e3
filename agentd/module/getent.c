/*
 * getent, alternatives, modprobe: the host's databases, its choices among
 * programs, and the kernel's modules.
 */
#include <sys/stat.h>
#include <sys/utsname.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "module/fs.h"
#include "module/proc.h"

#define END		{ .name = NULL }

/* ---- getent ------------------------------------------------------------- */

/* Splits a line; blanks (sep NULL) count as one however many. */
static struct value *
fields(struct arena *a, const char *s, const char *sep)
{
	struct value *list = v_list(a);
	const char *next;
	size_t n;

	for (; sep != NULL && (next = strstr(s, sep)) != NULL; s = next + strlen(sep))
		v_push(a, list, v_strn(a, s, (size_t)(next - s)));
	if (sep != NULL)
		v_push(a, list, v_str(a, s));
	for (; sep == NULL && *(s += strspn(s, " \t")) != '\0'; s += n) {
		n = strcspn(s, " \t");
		v_push(a, list, v_strn(a, s, n));
	}
	return list;
}

static const struct value *
without_first(struct arena *a, const struct value *list)
{
	struct value *rest = v_list(a);
	uint32_t i;

	for (i = 1; i < v_count(list); i++)
		v_push(a, rest, v_at(list, i));
	return rest;
}

static int
getent_run(struct mod *m)
{
	const char *db = mod_arg_str(m, "database"), *key = mod_arg_str(m, "key");
	const char *sep = mod_arg_str(m, "split"), *service = mod_arg_str(m, "service");
	const char *argv[8] = { "getent" };
	CLEANUP_BUF struct buf clean = BUF_INIT;
	struct value *map = v_map(m->arena), *facts = v_map(m->arena), *f;
	struct proc p = PROC_INIT;
	size_t i = 1, n;
	const char *s;
	int rc;

	if (*db == '-' || (key != NULL && *key == '-'))
		return mod_fail(m, "neither database nor key may start with '-'");
	if (service != NULL) {
		argv[i++] = "-s";
		argv[i++] = service;
	}
	argv[i++] = db;
	if (key != NULL)
		argv[i++] = key;
	argv[i] = NULL;
	if (sep == NULL && (strcmp(db, "passwd") == 0 || strcmp(db, "shadow") == 0 ||
	    strcmp(db, "group") == 0 || strcmp(db, "gshadow") == 0))
		sep = ":";
	if (sep != NULL && *sep == '\0')
		sep = NULL;
	p.argv = argv;
	rc = proc_query(m, &p);
	if (rc == 0 && p.status == 0) {
		utf8_clean(&clean, p.out.data, p.out.len);
		for (s = buf_str(&clean); *s != '\0'; s += n + (s[n] == '\n')) {
			n = strcspn(s, "\n");
			f = fields(m->arena, arena_strndup(m->arena, s, n), sep);
			if (v_count(f) > 0)
				v_set(m->arena, map, v_at(f, 0), without_first(m->arena, f));
		}
	} else if (rc == 0 && p.status == 2 && !mod_arg_bool(m, "fail_key")) {
		if (key != NULL)
			v_sets(m->arena, map, key, &v_null);
	} else if (rc == 0)
		rc = mod_fail(m, "%s", p.status == 1 ?
		    "Missing arguments, or database unknown." : p.status == 2 ?
		    "One or more supplied key could not be found in the database." :
		    p.status == 3 ? "Enumeration not supported on this database." :
		    "Unexpected failure of getent");
	proc_release(&p);
	v_sets(m->arena, facts, arena_printf(m->arena, "getent_%s", db), map);
	if (rc == 0)
		mod_set(m, "ansible_facts", facts);
	return rc;
}

static const struct mod_arg getent_args[] = {
	{ .name = "database", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "passwd, group, hosts …" },
	{ .name = "key", .type = ARG_STR, .doc = "The one entry; all of them unless given." },
	{ .name = "split", .type = ARG_STR, .doc = "What parts the fields." },
	{ .name = "service", .type = ARG_STR, .doc = "Where to look: files, ldap …" },
	{ .name = "fail_key", .type = ARG_BOOL, .def = "true",
	    .doc = "Whether a missing entry is a failure." },
	END
};

const struct module getent_module = {
	.name = "getent", .collection = "ansible.builtin",
	.summary = "Asks the host's databases of users, groups, hosts …",
	.examples = "- getent:\n    database: passwd\n    key: root\n",
	.returns = "ansible_facts: getent_DATABASE: fields by the entry's name\n",
	.args = getent_args, .run = getent_run,
};

/* ---- alternatives ------------------------------------------------------- */

struct alternative {
	bool		 known, manual;
	const char	*link, *current;
	bool		 has_path;
	const char	*priority;
};

/* Takes the next line off; NULL at the end. */
static const char *
line(struct arena *a, const char **p)
{
	const char *s = *p;
	size_t n = strcspn(s, "\n");

	if (*s == '\0')
		return NULL;
	*p = s + n + (s[n] == '\n');
	return arena_strndup(a, s, n);
}

/*
 * dpkg's file: auto|manual, link, names and links of slaves up to an empty
 * line; then for each alternative its path, priority and one line a slave.
 */
static void
parse_alternative(struct mod *m, const char *text, const char *path,
    struct alternative *alt)
{
	const char *s = line(m->arena, &text), *prio;
	uint32_t slaves = 0, i;

	alt->known = s != NULL;
	alt->manual = s != NULL && strcmp(s, "manual") == 0;
	alt->link = line(m->arena, &text);
	while ((s = line(m->arena, &text)) != NULL && *s != '\0') {
		(void)line(m->arena, &text);
		slaves++;
	}
	while ((s = line(m->arena, &text)) != NULL && *s != '\0') {
		prio = line(m->arena, &text);
		if (path != NULL && strcmp(s, path) == 0) {
			alt->has_path = true;
			alt->priority = prio;
		}
		for (i = 0; i < slaves; i++)
			(void)line(m->arena, &text);
	}
}

static int
look_alternative(struct mod *m, const char *name, const char *path,
    struct alternative *alt)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char target[4096];
	ssize_t n;
	int rc;

	memset(alt, 0, sizeof(*alt));
	alt->current = "";
	rc = fs_read(m, arena_printf(m->arena, "/var/lib/dpkg/alternatives/%s", name), &b);
	if (rc == 0)
		parse_alternative(m, buf_str(&b), path, alt);
	n = readlink(arena_printf(m->arena, "/etc/alternatives/%s", name), target,
	    sizeof(target) - 1);
	if (n > 0)
		alt->current = arena_strndup(m->arena, target, (size_t)n);
	return rc == -1 ? -1 : 0;
}

static int
update_alternatives(struct mod *m, const char *const *words)
{
	struct proc p = PROC_INIT;
	int rc;

	p.argv = words;
	rc = proc_must(m, &p);
	proc_release(&p);
	return rc;
}

static int
alternatives_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *path = mod_arg_path(m, "path");
	const char *link = mod_arg_path(m, "link"), *state = mod_arg_str(m, "state");
	const char *prio = arena_printf(m->arena, "%lld",
	    (long long)mod_arg_int(m, "priority", 50)), *before;
	struct alternative alt;
	bool install;

	if (*name == '-' || strchr(name, '/') != NULL)
		return mod_fail(m, "'%s' cannot be the name of an alternative", name);
	if (look_alternative(m, name, path, &alt) == -1)
		return -1;
	before = arena_printf(m->arena, "%s%s\n", alt.current, alt.manual ? "" : " (auto)");
	if (link == NULL)
		link = alt.link;
	if (strcmp(state, "absent") == 0) {
		const char *words[] = { "update-alternatives", "--remove", name, path, NULL };

		if (!alt.has_path || !mod_change(m, name, v_str(m->arena, path), NULL))
			return 0;
		return update_alternatives(m, words);
	}
	install = !alt.has_path || (mod_has(m, "priority") && strcmp(alt.priority, prio) != 0);
	if (install) {
		const char *words[] = { "update-alternatives", "--install",
			link == NULL ? "" : link, name, path, prio, NULL };
		struct stat st;

		if (link == NULL && !m->check)
			return mod_fail(m, "Needed to install the alternative, but unable to do so as we are missing the link");
		if (stat(path, &st) == -1 && !m->check)
			return mod_fail(m, "Specified path %s does not exist", path);
		if (mod_change(m, name, NULL, v_strf(m->arena, "%s priority %s\n", path, prio)) &&
		    update_alternatives(m, words) == -1)
			return -1;
	}
	if (strcmp(state, "selected") == 0 && (!alt.manual || strcmp(alt.current, path) != 0)) {
		const char *words[] = { "update-alternatives", "--set", name, path, NULL };

		/* the automatic choice is as good, as in Ansible */
		if (strcmp(alt.current, path) == 0 && !install)
			return 0;
		if (mod_change(m, name, v_str(m->arena, before), v_strf(m->arena, "%s\n", path)))
			return update_alternatives(m, words);
	}
	if (strcmp(state, "auto") == 0 && alt.manual) {
		const char *words[] = { "update-alternatives", "--auto", name, NULL };

		if (mod_change(m, name, v_str(m->arena, before), v_str(m->arena, "(auto)\n")))
			return update_alternatives(m, words);
	}
	return 0;
}

static const struct mod_arg alternatives_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "editor, java …" },
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED, .doc = "The program it stands for." },
	{ .name = "link", .type = ARG_PATH, .doc = "Where it is called; for one that dpkg does not know yet." },
	{ .name = "priority", .type = ARG_INT, .doc = "Its priority; 50 for a new one." },
	{ .name = "state", .type = ARG_STR, .def = "selected",
	    .choices = "selected,present,auto,absent",
	    .doc = "Chosen, only known, left to the priorities, or unknown." },
	{ .name = "subcommands", .type = ARG_LIST, .of = ARG_MAP, .aliases = "slaves",
	    .flags = ARG_UNSUPPORTED, .doc = "What goes along with it." },
	END
};

const struct module alternatives_module = {
	.name = "alternatives", .collection = "community.general",
	.summary = "Chooses among programs that do the same.",
	.examples = "- community.general.alternatives:\n    name: editor\n    path: /usr/bin/vim.basic\n",
	.args = alternatives_args, .run = alternatives_run,
};

/* ---- modprobe ----------------------------------------------------------- */

/* '-' and '_' are one in names of modules. */
static bool
same_module(const char *a, const char *b, size_t n)
{
	size_t i;

	if (strlen(a) != n)
		return false;
	for (i = 0; i < n; i++)
		if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
			return false;
	return true;
}

static bool
is_loaded(struct mod *m, const char *name)
{
	CLEANUP_BUF struct buf b = BUF_INIT, built = BUF_INIT;
	const char *s, *base;
	struct utsname u;
	size_t n;

	if (buf_read_file(&b, "/proc/modules") == 0)
		for (s = buf_str(&b); *s != '\0'; s += n + (s[n] == '\n')) {
			n = strcspn(s, "\n");
			if (same_module(name, s, strcspn(s, " \n")))
				return true;
		}
	if (uname(&u) == 0 && buf_read_file(&built, arena_printf(m->arena,
	    "/lib/modules/%s/modules.builtin", u.release)) == 0)
		for (s = buf_str(&built); *s != '\0'; s += n + (s[n] == '\n')) {
			n = strcspn(s, "\n");
			for (base = s + n; base > s && base[-1] != '/'; base--)
				;
			if (same_module(name, base, strcspn(base, ".\n")))
				return true;
		}
	return false;
}

/* A file of one line; text NULL: none. */
static int
keep_line(struct mod *m, const char *path, const char *text)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct fs_replace r = { .path = path, .data = text, .fd = -1,
		.force_mode = true, .default_mode = 0644 };
	int rc = fs_read(m, path, &b);

	if (rc == -1)
		return -1;
	if (text == NULL ? rc == 1 : rc == 0 && strcmp(buf_str(&b), text) == 0)
		return 0;
	if (!mod_change_text(m, path, rc == 0 ? buf_str(&b) : NULL, b.len, text,
	    text == NULL ? 0 : strlen(text)))
		return 0;
	if (text == NULL)
		return fs_remove(m, path);
	if (fs_mkdir_p(m, arena_strndup(m->arena, path,
	    (size_t)(strrchr(path, '/') - path)), 0755) == -1)
		return -1;
	r.len = strlen(text);
	return fs_replace(m, &r);
}

static int
modprobe_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *params = mod_arg_str(m, "params");
	const char *persistent = mod_arg_str(m, "persistent"), *s;
	const char *argv[32] = { "modprobe" };
	bool want = mod_arg_is(m, "state", "present");
	struct proc p = PROC_INIT;
	size_t n, i = 1;
	int rc = 0;

	if (*name == '\0' || *name == '-' || strpbrk(name, "/ \t\n") != NULL ||
	    (params != NULL && strchr(params, '\n') != NULL))
		return mod_fail(m, "'%s' cannot be the name of a module", name);
	mod_set_str(m, "name", name);
	mod_set_str(m, "params", params == NULL ? "" : params);
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (is_loaded(m, name) != want && mod_change(m, "kernel",
	    v_strf(m->arena, "%s%s\n", want ? "without " : "", name),
	    v_strf(m->arena, "%s%s\n", want ? "" : "without ", name))) {
		if (!want)
			argv[i++] = "-r";
		argv[i++] = name;
		for (s = params; want && s != NULL && *s != '\0' && i < 31; s += n) {
			s += strspn(s, " ");
			n = strcspn(s, " ");
			if (n > 0)
				argv[i++] = arena_strndup(m->arena, s, n);
		}
		p.argv = argv;
		rc = proc_must(m, &p);
		proc_release(&p);
		if (rc == -1)
			return -1;
	}
	if (strcmp(persistent, "disabled") == 0)
		return 0;
	want = strcmp(persistent, "present") == 0;
	if (keep_line(m, arena_printf(m->arena, "/etc/modules-load.d/%s.conf", name),
	    want ? arena_printf(m->arena, "%s\n", name) : NULL) == -1)
		return -1;
	return keep_line(m, arena_printf(m->arena, "/etc/modprobe.d/%s.conf", name),
	    want && params != NULL && *params != '\0' ?
	    arena_printf(m->arena, "options %s %s\n", name, params) : NULL);
}

static const struct mod_arg modprobe_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The module." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it is loaded." },
	{ .name = "params", .type = ARG_STR, .def = "", .doc = "Its parameters." },
	{ .name = "persistent", .type = ARG_STR, .def = "disabled",
	    .choices = "disabled,present,absent",
	    .doc = "Whether it is loaded with the system (modules-load.d)." },
	END
};

const struct module modprobe_module = {
	.name = "modprobe", .collection = "community.general",
	.summary = "Loads modules of the kernel.",
	.examples = "- community.general.modprobe:\n    name: br_netfilter\n    persistent: present\n",
	.returns = "name: the module\nstate: present or absent\n",
	.args = modprobe_args, .run = modprobe_run,
};
