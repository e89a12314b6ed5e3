/*
 * make: runs targets of a Makefile; what is up to date (make -q) is no change.
 */
#include <sys/stat.h>
#include <string.h>

#include "module/fs.h"
#include "module/http_args.h"
#include "module/proc.h"
#include "module/words.h"

#define END	{ .name = NULL }

/* All words: the program, options, targets, NAME=VALUE. */
static const char **
command(struct mod *m, const char *question)
{
	const struct value *params = mod_arg(m, "params");
	const struct value *targets = mod_arg(m, "targets");
	const char *make = mod_arg_path(m, "make"), **v;
	const struct ventry *e;
	uint32_t it = 0, i, n = 0;

	v = ARENA_ARRAY(m->arena, 10 + (params == NULL ? 0 : v_count(params)) +
	    (targets == NULL ? 0 : v_count(targets)), const char *);
	if (make == NULL)
		make = proc_find(m, "gmake") != NULL ? "gmake" : "make";
	v[n++] = make;
	if (mod_has(m, "jobs")) {
		v[n++] = "-j";
		v[n++] = arena_printf(m->arena, "%lld", (long long)mod_arg_int(m, "jobs", 1));
	}
	if (mod_has(m, "file")) {
		v[n++] = "-f";
		v[n++] = mod_arg_path(m, "file");
	}
	if (question != NULL)
		v[n++] = question;
	if (mod_has(m, "target"))
		v[n++] = mod_arg_str(m, "target");
	for (i = 0; targets != NULL && i < v_count(targets); i++)
		v[n++] = v_at(targets, i)->u.s;
	while (params != NULL && (e = v_next(params, &it)) != NULL) {
		const char *text = e->val->type == V_NULL ? NULL :
		    http_args_text(m, e->val);

		v[n++] = text == NULL ? e->key->u.s : arena_printf(m->arena,
		    "%s=%s", e->key->u.s, text);
	}
	v[n] = NULL;
	return v;
}

static int
make_run(struct mod *m)
{
	CLEANUP_PROC struct proc ask = PROC_INIT, run = PROC_INIT;
	const char *chdir = mod_arg_path(m, "chdir"), *line;
	struct stat st;
	int rc;

	if (mod_has(m, "jobs") && mod_arg_int(m, "jobs", 1) < 1)
		return mod_fail(m, "jobs must be at least 1");
	mod_set_str(m, "chdir", chdir);
	if (mod_has(m, "target"))
		mod_set_str(m, "target", mod_arg_str(m, "target"));
	run.argv = command(m, NULL);
	line = words_join(m->arena, run.argv);
	mod_set_str(m, "command", line);
	if ((rc = fs_stat(m, chdir, &st)) == -1)
		return -1;
	if (rc == 1 || !S_ISDIR(st.st_mode)) {
		if (!m->check || rc == 0)
			return mod_fail(m, "%s: %s", chdir, rc == 1 ?
			    "there is no such directory" : "this is no directory");
		mod_warn(m, "%s does not exist yet: assuming that an earlier task makes it", chdir);
		(void)mod_change(m, chdir, NULL, v_str(m->arena, line));
		return 0;
	}
	/* A check before the package is there. */
	if (m->check && proc_find(m, run.argv[0]) == NULL) {
		(void)mod_change(m, chdir, NULL, v_str(m->arena, line));
		return 0;
	}
	ask.argv = command(m, "--question");
	ask.cwd = run.cwd = chdir;
	if (proc_query(m, &ask) == -1)
		return -1;
	if (ask.status == 0) {
		proc_result(m, &ask);
		return 0;
	}
	if (!mod_change(m, chdir, NULL, v_str(m->arena, line)))
		return m->failed ? -1 : 0;
	run.live = true;
	if (proc_must(m, &run) == -1)
		return -1;
	proc_result(m, &run);
	return 0;
}

static const struct mod_arg make_args[] = {
	{ .name = "chdir", .type = ARG_PATH, .flags = ARG_REQUIRED, .doc = "The directory of the Makefile." },
	{ .name = "target", .type = ARG_STR, .doc = "The target; the Makefile's first unless given." },
	{ .name = "targets", .type = ARG_LIST, .of = ARG_STR, .doc = "Several of them." },
	{ .name = "params", .type = ARG_MAP, .doc = "Variables for make: NAME: value; a name without a value is given as it stands." },
	{ .name = "file", .type = ARG_PATH, .doc = "Another Makefile." },
	{ .name = "jobs", .type = ARG_INT, .doc = "So many commands at once." },
	{ .name = "make", .type = ARG_PATH, .doc = "Another make; gmake or make." },
	END
};

static const struct mod_rule make_rules[] = {
	{ RULE_EXCLUSIVE, "target,targets" },
	{ RULE_END, NULL }
};

const struct module make_module = {
	.name = "make", .collection = "community.general",
	.summary = "Runs targets of a Makefile.",
	.doc = "Nothing is run when `make -q` says that the target is up to date; targets that are no files never are.",
	.examples =
	    "- community.general.make: {chdir: /srv/src/app}\n"
	    "- community.general.make: {chdir: /srv/src/app, target: install, params: {PREFIX: /usr/local}}\n",
	.returns = "command: what was run\nstdout, stderr, rc: what came of it\nchdir, target: as given\n",
	.args = make_args, .rules = make_rules, .run = make_run,
};
