/*
 * package_facts, dpkg_selections, debconf: what dpkg and debconf keep.
 */
#include <string.h>

#include "module/apt.h"

#define END	{ .name = NULL }

/* ---- package_facts ------------------------------------------------------ */

static int
package_facts_run(struct mod *m)
{
	struct dpkg *db = dpkg_open(NULL);
	struct value *packages = v_map(m->arena), *facts = v_map(m->arena);
	struct value *list, *p;
	const struct dpkg_package *pkg;
	size_t i;

	if (db == NULL)
		return mod_fail_errno(m, "cannot read dpkg's database (/var/lib/dpkg/status)");
	for (i = 0; i < dpkg_count(db); i++) {
		pkg = dpkg_at(db, i);
		if (!dpkg_installed(pkg))
			continue;
		p = v_map(m->arena);
		v_set_str(m->arena, p, "name", pkg->name);
		v_set_str(m->arena, p, "version", pkg->version);
		v_set_str(m->arena, p, "arch", pkg->arch);
		v_set_str(m->arena, p, "category", pkg->section == NULL ? "" : pkg->section);
		v_set_str(m->arena, p, "source", "apt");
		list = (struct value *)(uintptr_t)v_gets(packages, pkg->name);
		if (list == NULL) {
			list = v_list(m->arena);
			v_sets(m->arena, packages, pkg->name, list);
		}
		v_push(m->arena, list, p);
	}
	v_sets(m->arena, facts, "packages", packages);
	mod_set(m, "ansible_facts", facts);
	return 0;
}

static const struct mod_arg package_facts_args[] = {
	{ .name = "manager", .type = ARG_LIST, .of = ARG_STR, .def = "auto", .flags = ARG_IGNORED,
	    .doc = "Dpkg is always asked." },
	{ .name = "strategy", .type = ARG_STR, .def = "first", .flags = ARG_IGNORED,
	    .doc = "There is one package manager." },
	END
};

const struct module package_facts_module = {
	.name = "package_facts", .collection = "ansible.builtin",
	.summary = "Tells which packages are installed.",
	.examples = "- package_facts:\n- debug:\n    var: ansible_facts.packages.nginx[0].version\n",
	.returns = "ansible_facts: packages: a list for each name, with version, arch and category\n",
	.args = package_facts_args, .run = package_facts_run,
};

/* ---- dpkg_selections ---------------------------------------------------- */

static int
dpkg_selections_run(struct mod *m)
{
	static const char *const words[] = { "unknown", "install", "hold",
		"deinstall", "purge" };
	const char *argv[] = { "dpkg", "--set-selections", NULL };
	const char *name = mod_arg_str(m, "name"), *want = mod_arg_str(m, "selection");
	struct dpkg *db = dpkg_open(NULL);
	const struct dpkg_package *pkg;
	struct proc p = PROC_INIT;
	const char *now;
	int rc;

	if (db == NULL)
		return mod_fail_errno(m, "cannot read dpkg's database (/var/lib/dpkg/status)");
	if (!apt_name_valid(name, strlen(name)))
		return mod_fail(m, "'%s' is not the name of a package", name);
	pkg = dpkg_find(db, name, NULL);
	now = pkg == NULL ? NULL : words[pkg->want];
	if (now == NULL && !m->check)
		return mod_fail(m, "dpkg does not know a package '%s'", name);
	mod_set_str(m, "before", now);
	mod_set_str(m, "after", want);
	if (now != NULL && strcmp(now, want) == 0)
		return 0;
	if (!mod_change(m, "selection", v_strf(m->arena, "%s %s\n", name,
	    now == NULL ? "not known" : now), v_strf(m->arena, "%s %s\n", name, want)))
		return 0;
	p.argv = argv;
	p.input = arena_printf(m->arena, "%s %s\n", name, want);
	p.ninput = strlen(p.input);
	rc = proc_must(m, &p);
	proc_release(&p);
	return rc;
}

static const struct mod_arg dpkg_selections_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The package." },
	{ .name = "selection", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .choices = "install,hold,deinstall,purge", .doc = "What dpkg shall want of it." },
	END
};

const struct module dpkg_selections_module = {
	.name = "dpkg_selections", .collection = "ansible.builtin",
	.summary = "Sets what dpkg wants of a package, above all to hold it.",
	.examples = "- dpkg_selections:\n    name: postgresql-15\n    selection: hold\n",
	.returns = "before: what it wanted\nafter: what it wants\n",
	.args = dpkg_selections_args, .run = dpkg_selections_run,
};

/* ---- debconf ------------------------------------------------------------ */

/* "* owner/question: value" of debconf-show; NULL: there is none. */
static const char *
show_value(struct mod *m, const char *out, const char *question, bool *ret_seen)
{
	size_t n, k = strlen(question);
	const char *s;

	for (; *out != '\0'; out += n + (out[n] == '\n')) {
		n = strcspn(out, "\n");
		s = out + strspn(out, "* ");
		if (s < out + n && strncmp(s, question, k) == 0 && s[k] == ':') {
			*ret_seen = *out == '*';
			s += k + 1;
			s += *s == ' ';
			return arena_strndup(m->arena, s, (size_t)(out + n - s));
		}
	}
	return NULL;
}

/* debconf's words for a boolean. */
static const char *
debconf_value(struct mod *m, const char *type, const char *value)
{
	int b = strcmp(type, "boolean") == 0 ?
	    mod_parse_bool(v_str(m->arena, value)) : -1;

	return b == -1 ? value : b ? "true" : "false";
}

static int
debconf_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *question = mod_arg_str(m, "question");
	const char *type = mod_arg_str(m, "vtype"), *value = mod_arg_str(m, "value");
	const char *show[] = { "debconf-show", name, NULL };
	const char *set[] = { "debconf-set-selections", NULL, NULL };
	struct proc p = PROC_INIT;
	const char *now;
	bool seen = false;
	int rc;

	if (*name == '-')
		return mod_fail(m, "'%s' is not the name of a package", name);
	p.argv = show;
	if (proc_query(m, &p) == -1)
		return -1;
	now = question == NULL ? NULL : show_value(m, buf_str(&p.out), question, &seen);
	proc_release(&p);
	if (question == NULL)
		return 0;
	if (type == NULL || value == NULL)
		return mod_fail(m, "when supplying a question you must supply a valid vtype and value");
	value = debconf_value(m, type, value);
	if (strpbrk(value, "\n") != NULL || strpbrk(question, " \t\n") != NULL)
		return mod_fail(m, "neither question nor value may hold line breaks");
	mod_set_str(m, "previous", now);
	/* a password is never shown again, so it is set each time it is not seen */
	if (now != NULL && (strcmp(now, value) == 0 ||
	    (strcmp(type, "password") == 0 && seen && strcmp(now, "(password omitted)") == 0)))
		return 0;
	if (!mod_change(m, question, now == NULL ? NULL : v_str(m->arena, now),
	    v_str(m->arena, strcmp(type, "password") == 0 ? "********" : value)))
		return 0;
	if (mod_arg_bool(m, "unseen"))
		set[1] = "-u";
	p = (struct proc)PROC_INIT;
	p.argv = set;
	p.input = arena_printf(m->arena, "%s %s %s %s\n", name, question, type, value);
	p.ninput = strlen(p.input);
	rc = proc_must(m, &p);
	proc_release(&p);
	return rc;
}

static const struct mod_arg debconf_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "pkg",
	    .doc = "The package." },
	{ .name = "question", .type = ARG_STR, .aliases = "selection,setting",
	    .doc = "Its question." },
	{ .name = "vtype", .type = ARG_STR,
	    .choices = "boolean,error,multiselect,note,password,seen,select,string,text,title",
	    .doc = "Kind of the answer." },
	{ .name = "value", .type = ARG_STR, .aliases = "answer", .doc = "The answer." },
	{ .name = "unseen", .type = ARG_BOOL, .def = "false", .doc = "Debconf may still ask." },
	END
};

const struct module debconf_module = {
	.name = "debconf", .collection = "ansible.builtin",
	.summary = "Answers a package's questions beforehand.",
	.examples =
	    "- debconf:\n"
	    "    name: tzdata\n"
	    "    question: tzdata/Areas\n"
	    "    value: Europe\n"
	    "    vtype: select\n",
	.returns = "previous: the answer before\n",
	.args = debconf_args, .run = debconf_run,
};
