/*
 * service_facts: the services systemd knows, with two listings.
 */
#include <string.h>

#include "base/utf8.h"
#include "module/proc.h"

#define END	{ .name = NULL }

static const char *
word(struct mod *m, const char **p, const char *end)
{
	const char *s;

	while (*p < end && **p == ' ')
		(*p)++;
	for (s = *p; *p < end && **p != ' '; (*p)++)
		;
	return *p == s ? NULL : arena_strndup(m->arena, s, (size_t)(*p - s));
}

static struct value *
service(struct mod *m, struct value *all, const char *name)
{
	struct value *s = (struct value *)(uintptr_t)v_gets(all, name);

	if (s != NULL)
		return s;
	s = v_map(m->arena);
	v_set_str(m->arena, s, "name", name);
	v_set_str(m->arena, s, "state", "inactive");
	v_set_str(m->arena, s, "status", "unknown");
	v_set_str(m->arena, s, "source", "systemd");
	v_sets(m->arena, all, name, s);
	return s;
}

/* One line of list-units: unit, load, active, sub. */
static void
unit_line(struct mod *m, struct value *all, const char *p, const char *end)
{
	const char *name = word(m, &p, end), *load, *active, *sub;
	struct value *s;

	load = word(m, &p, end);
	active = word(m, &p, end);
	sub = word(m, &p, end);
	if (sub == NULL)
		return;
	s = service(m, all, name);
	if (strcmp(load, "not-found") == 0 || strcmp(load, "masked") == 0)
		v_set_str(m->arena, s, "status", load);
	v_set_str(m->arena, s, "state", strcmp(sub, "running") == 0 ? "running" :
	    strcmp(active, "failed") == 0 ? "failed" : "stopped");
}

static void
file_line(struct mod *m, struct value *all, const char *p, const char *end)
{
	const char *name = word(m, &p, end), *status = word(m, &p, end);

	if (status != NULL)
		v_set_str(m->arena, service(m, all, name), "status", status);
}

static int
list(struct mod *m, struct value *all, const char *const *argv,
    void (*line)(struct mod *, struct value *, const char *, const char *))
{
	CLEANUP_BUF struct buf clean = BUF_INIT;
	struct proc p = PROC_INIT;
	const char *s;
	size_t n;
	int rc;

	p.argv = argv;
	rc = proc_query(m, &p);
	if (rc == 0 && p.status != 0)
		rc = mod_fail(m, "systemctl cannot list services: %s", buf_str(&p.err));
	if (rc == 0) {
		utf8_clean(&clean, p.out.data, p.out.len);
		for (s = buf_str(&clean); *s != '\0'; s += n + (s[n] == '\n')) {
			n = strcspn(s, "\n");
			line(m, all, s, s + n);
		}
	}
	proc_release(&p);
	return rc;
}

static int
service_facts_run(struct mod *m)
{
	static const char *const units[] = { "systemctl", "list-units", "--no-pager",
		"--type", "service", "--all", "--plain", "--no-legend", NULL };
	static const char *const files[] = { "systemctl", "list-unit-files",
		"--no-pager", "--type", "service", "--all", "--no-legend", NULL };
	struct value *all = v_map(m->arena), *facts = v_map(m->arena);

	if (list(m, all, units, unit_line) == -1 ||
	    list(m, all, files, file_line) == -1)
		return -1;
	v_sets(m->arena, facts, "services", all);
	mod_set(m, "ansible_facts", facts);
	return 0;
}

static const struct mod_arg service_facts_args[] = { END };

const struct module service_facts_module = {
	.name = "service_facts", .collection = "ansible.builtin",
	.summary = "Tells which services there are, and what they do.",
	.examples = "- service_facts:\n- debug:\n    var: ansible_facts.services['nginx.service'].state\n",
	.returns = "ansible_facts: services: name, state, status and source of each\n",
	.args = service_facts_args, .run = service_facts_run,
};
