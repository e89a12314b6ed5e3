/*
 * command, shell, script, raw: commands that the playbook's author knows.
 *
 * Nobody can tell what a command changes: the result says changed (the task's
 * changed_when may know better), and a check run skips it unless `creates` or
 * `removes` decide.  `command` starts the program itself; `shell`, `script`
 * and `raw` go through a shell.  Results are Ansible's: rc, stdout, stderr,
 * their lines, start, end, delta, cmd.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>

#include "base/utf8.h"
#include "module/fs.h"
#include "module/guard.h"
#include "module/proc.h"
#include "module/words.h"

#define END	{ .name = NULL }

#define ROWS_WHERE							\
	{ .name = "chdir", .type = ARG_PATH,				\
	    .doc = "Directory to run in." },				\
	{ .name = "creates", .type = ARG_PATH,				\
	    .doc = "Does not run when this file (or a match of this pattern) exists." },	\
	{ .name = "removes", .type = ARG_PATH,				\
	    .doc = "Runs only when this file (or a match of this pattern) exists." }

#define ROWS_INPUT							\
	{ .name = "stdin", .type = ARG_STR,				\
	    .doc = "Text for the command's standard input." },		\
	{ .name = "stdin_add_newline", .type = ARG_BOOL, .def = "true",	\
	    .doc = "Ends that text with a newline." },			\
	{ .name = "strip_empty_ends", .type = ARG_BOOL, .def = "true",	\
	    .doc = "Takes newlines off the end of stdout and stderr in the result." },	\
	{ .name = "warn", .type = ARG_BOOL, .flags = ARG_IGNORED | ARG_DEPRECATED,	\
	    .doc = "Had a meaning in old versions of Ansible." }

struct cmd {
	struct proc	 proc;
	bool		 may_predict;	/* creates or removes say what a check run would do */
	bool		 done;		/* the result is complete */
};

/* ---- creates, removes --------------------------------------------------- */

static bool
exists(struct mod *m, const char *pattern, const char *dir)
{
	const char *p = pattern;
	struct stat st;
	glob_t g;
	bool found;

	if (*pattern != '/' && dir != NULL)
		p = arena_printf(m->arena, "%s/%s", dir, pattern);
	if (lstat(p, &st) == 0)
		return true;
	memset(&g, 0, sizeof(g));
	found = glob(p, 0, NULL, &g) == 0 && g.gl_pathc > 0;
	globfree(&g);
	return found;
}

/* Fills in a result without a run. */
static void
not_run(struct mod *m, struct cmd *c, const char *stdout_text)
{
	mod_set_int(m, "rc", 0);
	mod_set_str(m, "stdout", stdout_text);
	mod_set_str(m, "stderr", "");
	mod_set(m, "stdout_lines", v_list(m->arena));
	mod_set(m, "stderr_lines", v_list(m->arena));
	c->done = true;
}

/* Whether creates, removes or the check run end the matter; c->done then. */
static void
decide(struct mod *m, struct cmd *c, bool skip)
{
	const char *creates = mod_arg_path(m, "creates");
	const char *removes = mod_arg_path(m, "removes");
	const char *word = m->check ? "Would" : "Did";

	c->may_predict = creates != NULL || removes != NULL;
	if (creates != NULL && exists(m, creates, c->proc.cwd)) {
		not_run(m, c, arena_printf(m->arena, "skipped, since %s exists",
		    creates));
		mod_set(m, "msg", v_strf(m->arena,
		    "%s not run command since '%s' exists", word, creates));
		m->skipped = skip;
	} else if (removes != NULL && !exists(m, removes, c->proc.cwd)) {
		not_run(m, c, arena_printf(m->arena,
		    "skipped, since %s does not exist", removes));
		mod_set(m, "msg", v_strf(m->arena,
		    "%s not run command since '%s' does not exist", word,
		    removes));
		m->skipped = skip;
	} else if (m->check) {
		not_run(m, c, "");
		mod_set_str(m, "msg",
		    "Command would have run if not in check mode");
		m->changed = c->may_predict;
		m->skipped = !c->may_predict;
	}
}

/* ---- running ------------------------------------------------------------ */

static void
input(struct mod *m, struct proc *p)
{
	const struct value *v = mod_arg(m, "stdin");

	if (v == NULL)
		return;
	if (mod_arg_bool(m, "stdin_add_newline")) {
		p->input = arena_printf(m->arena, "%s\n", v->u.s);
		p->ninput = strlen(p->input);
	} else {
		p->input = v->u.s;
		p->ninput = v->len;
	}
}

static void
set_raw(struct mod *m, const char *key, const struct buf *b)
{
	CLEANUP_BUF struct buf clean = BUF_INIT;

	clean.max = 4 * PROC_OUTPUT_MAX;
	utf8_clean(&clean, b->data, b->len);
	mod_set(m, key, v_strn(m->arena, buf_str(&clean), clean.len));
}

/* Runs it; what is no success is a failed result. cmd: shown instead of argv, or NULL. */
static int
execute(struct mod *m, struct cmd *c, const char *cmd, bool strip)
{
	struct proc *p = &c->proc;

	if (!guard_arm(m))
		return -1;
	m->changed = true;
	p->live = true;
	if (proc_change(m, p) == -1) {
		m->changed = false;
		mod_set_str(m, "stdout", "");
		mod_set_str(m, "stderr", "");
		if (cmd != NULL)
			mod_set_str(m, "cmd", cmd);
		return -1;
	}
	proc_result(m, p);
	if (cmd != NULL)
		mod_set_str(m, "cmd", cmd);
	if (!strip) {
		set_raw(m, "stdout", &p->out);
		set_raw(m, "stderr", &p->err);
	}
	if (p->timed_out)
		return mod_fail(m, "the command did not end in time and was killed");
	if (p->status != 0)
		return mod_fail(m, "non-zero return code");
	mod_set_str(m, "msg", "");
	return 0;
}

/* Words of `cmd`, or `argv`; NULL after mod_fail. */
static const char *const *
command_words(struct mod *m)
{
	const struct value *argv = mod_arg(m, "argv");
	const char *cmd = mod_arg_str(m, "cmd");
	const char *const *words;
	const char **out;
	uint32_t i, n = 0;

	if (argv == NULL && (cmd == NULL || cmd[strspn(cmd, " \t\n")] == '\0')) {
		mod_set_int(m, "rc", 256);
		(void)mod_fail(m, "no command given");
		return NULL;
	}
	if (argv == NULL) {
		words = words_split(m, cmd);
		if (words == NULL) {
			(void)mod_fail(m, "a quote is not closed in: %s", cmd);
			return NULL;
		}
		while (words[n] != NULL)
			n++;
	} else {
		n = v_count(argv);
		words = NULL;
	}
	out = ARENA_ARRAY(m->arena, n + 1, const char *);
	for (i = 0; i < n; i++) {
		out[i] = words != NULL ? words[i] : v_at(argv, i)->u.s;
		if (mod_arg_bool(m, "expand_argument_vars"))
			out[i] = mod_expand(m, out[i]);
	}
	if (n == 0) {
		(void)mod_fail(m, "no command given");
		return NULL;
	}
	return out;
}

static int
command_run(struct mod *m)
{
	struct cmd c = { .proc = PROC_INIT };
	int rc = 0;

	c.proc.argv = command_words(m);
	if (c.proc.argv == NULL)
		return -1;
	c.proc.cwd = mod_arg_path(m, "chdir");
	mod_set(m, "cmd", v_list(m->arena));
	decide(m, &c, false);
	if (!c.done) {
		input(m, &c.proc);
		rc = execute(m, &c, NULL, mod_arg_bool(m, "strip_empty_ends"));
	} else {
		struct value *list = v_list(m->arena);
		size_t i;

		for (i = 0; c.proc.argv[i] != NULL; i++)
			v_push(m->arena, list, v_str(m->arena, c.proc.argv[i]));
		mod_set(m, "cmd", list);
	}
	proc_release(&c.proc);
	return rc;
}

/* sh -c TEXT, for shell and raw. */
static const char *const *
shell_argv(struct mod *m, const char *text)
{
	const char **argv = ARENA_ARRAY(m->arena, 4, const char *);
	const char *sh = mod_arg_path(m, "executable");

	argv[0] = sh == NULL || *sh == '\0' ? "/bin/sh" : sh;
	argv[1] = "-c";
	argv[2] = text;
	return argv;
}

static int
shell_run(struct mod *m)
{
	struct cmd c = { .proc = PROC_INIT };
	const char *cmd = mod_arg_str(m, "cmd");
	int rc = 0;

	if (cmd == NULL || *cmd == '\0')
		return mod_fail(m, "no command given");
	c.proc.argv = shell_argv(m, cmd);
	c.proc.cwd = mod_arg_path(m, "chdir");
	mod_set_str(m, "cmd", cmd);
	decide(m, &c, false);
	if (!c.done) {
		input(m, &c.proc);
		rc = execute(m, &c, cmd, mod_arg_bool(m, "strip_empty_ends"));
	}
	proc_release(&c.proc);
	return rc;
}

static int
raw_run(struct mod *m)
{
	struct cmd c = { .proc = PROC_INIT };
	const char *cmd = mod_arg_str(m, "cmd");
	int rc;

	if (cmd == NULL)
		return mod_fail(m, "no command given");
	if (m->check) {
		not_run(m, &c, "");
		m->skipped = true;
		return 0;
	}
	c.proc.argv = shell_argv(m, cmd);
	rc = execute(m, &c, cmd, true);
	proc_release(&c.proc);
	return rc;
}

/* ---- script ------------------------------------------------------------- */

/* A directory where programs may be started; NULL: none. */
static const char *
script_dir(struct mod *m)
{
	const char *dirs[] = { getenv("TMPDIR"), "/tmp", "/var/tmp", "/run",
		getenv("HOME") };
	struct statvfs vfs;
	size_t i;

	for (i = 0; i < NITEMS(dirs); i++)
		if (dirs[i] != NULL && dirs[i][0] == '/' &&
		    access(dirs[i], W_OK | X_OK) == 0 &&
		    statvfs(dirs[i], &vfs) == 0 &&
		    !(vfs.f_flag & (ST_NOEXEC | ST_RDONLY)))
			return arena_strdup(m->arena, dirs[i]);
	return NULL;
}

/* Puts the script into a file of its own; its path, or NULL after mod_fail. */
static const char *
script_file(struct mod *m)
{
	CLEANUP_CLOSE int dirfd = -1, fd = -1;
	struct mod_content content;
	const char *dir, *path;
	char name[64];

	if (mod_ncontent(m) == 0) {
		(void)mod_fail(m, "the script was not sent along");
		return NULL;
	}
	dir = script_dir(m);
	if (dir == NULL) {
		(void)mod_fail(m, "no directory where a script may run: $TMPDIR, /tmp, /var/tmp, /run and the home are read-only or mounted noexec");
		return NULL;
	}
	/* Nobody would remove the file if the task were called off before its turn. */
	mod_effect(m);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dirfd == -1 ? -1 : fs_temp_at(dirfd, name, sizeof(name));
	if (fd == -1) {
		(void)mod_fail_errno(m, "cannot make a file in %s", dir);
		return NULL;
	}
	path = arena_printf(m->arena, "%s/%s", dir, name);
	content = mod_content(m, 0);
	if (mod_content_fd(m, &content, fd) == -1 || fchmod(fd, 0700) == -1) {
		if (!m->failed)
			(void)mod_fail_errno(m, "cannot write %s", path);
		(void)unlinkat(dirfd, name, 0);
		return NULL;
	}
	return path;
}

static int
script_run(struct mod *m)
{
	struct cmd c = { .proc = PROC_INIT };
	const char *cmd = mod_arg_str(m, "cmd"), *rest, *path, *sh;
	const char *argv[4] = { "/bin/sh", "-c", NULL, NULL };
	const char *const *words;
	int rc;

	words = cmd == NULL ? NULL : words_split(m, cmd);
	if (words == NULL || words[0] == NULL)
		return mod_fail(m, "no script given");
	c.proc.cwd = mod_arg_path(m, "chdir");
	decide(m, &c, true);
	if (c.done)
		return 0;
	path = script_file(m);
	if (path == NULL)
		return -1;
	/* its arguments are the shell's to take apart, as in Ansible */
	rest = cmd + strspn(cmd, " \t\n");
	if (*rest == '"' || *rest == '\'')
		rest = strchr(rest + 1, *rest) + 1;
	else
		rest += strcspn(rest, " \t\n");
	sh = mod_arg_str(m, "executable");
	argv[2] = arena_printf(m->arena, "%s%s%s%s", sh != NULL ? sh : "",
	    sh != NULL ? " " : "", path, rest);
	c.proc.argv = argv;
	rc = execute(m, &c, cmd, true);
	if (unlink(path) == -1 && errno != ENOENT)
		mod_warn(m, "cannot remove %s: %s", path, strerror(errno));
	proc_release(&c.proc);
	return rc;
}

/* ---- descriptions ------------------------------------------------------- */

#define RETURNS								\
	"rc: the exit code\nstdout: what it printed\nstdout_lines: the same in lines\n"	\
	"stderr: what it printed there\nstderr_lines: the same in lines\n"	\
	"cmd: what was run\nstart: when\nend: when\ndelta: how long it took\n"

static const struct mod_arg command_args[] = {
	{ .name = "cmd", .type = ARG_STR,
	    .doc = "The command, split into words as a shell would; no pipes, no redirections, no variables of the shell." },
	{ .name = "argv", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "The command as a list of words." },
	ROWS_WHERE,
	ROWS_INPUT,
	{ .name = "expand_argument_vars", .type = ARG_BOOL, .def = "true",
	    .doc = "Replaces $NAME and ~ in the words." },
	{ .name = "executable", .type = ARG_PATH, .flags = ARG_IGNORED,
	    .doc = "Only `shell` has a use for it." },
	END
};

static const struct mod_rule command_rules[] = {
	{ RULE_EXCLUSIVE, "cmd,argv" },
	{ RULE_ONE_OF, "cmd,argv" },
	{ RULE_END, NULL }
};

const struct module command_module = {
	.name = "command", .collection = "ansible.builtin",
	.summary = "Runs a program.",
	.doc = "Check mode skips it unless `creates` or `removes` decide.",
	.examples =
	    "- command: /usr/bin/make-database --quiet db.local\n"
	    "  args:\n"
	    "    creates: /srv/db.local\n"
	    "- command:\n"
	    "    argv: [touch, a file with blanks]\n"
	    "    chdir: /srv\n",
	.returns = RETURNS,
	.args = command_args, .rules = command_rules,
	.flags = MOD_FREE_FORM, .free_form = "cmd", .run = command_run,
};

static const struct mod_arg shell_args[] = {
	{ .name = "cmd", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "The text for the shell." },
	{ .name = "executable", .type = ARG_PATH,
	    .doc = "The shell; /bin/sh unless given." },
	ROWS_WHERE,
	ROWS_INPUT,
	END
};

const struct module shell_module = {
	.name = "shell", .collection = "ansible.builtin",
	.summary = "Runs a line of shell.",
	.doc = "Check mode skips it unless `creates` or `removes` decide.",
	.examples =
	    "- shell: sort names | uniq > unique\n"
	    "  args:\n"
	    "    chdir: /srv\n"
	    "    executable: /bin/bash\n",
	.returns = RETURNS,
	.args = shell_args,
	.flags = MOD_FREE_FORM, .free_form = "cmd", .run = shell_run,
};

static const struct mod_arg raw_args[] = {
	{ .name = "cmd", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "The text for the shell." },
	{ .name = "executable", .type = ARG_PATH,
	    .doc = "The shell; /bin/sh unless given." },
	END
};

const struct module raw_module = {
	.name = "raw", .collection = "ansible.builtin",
	.summary = "Runs a line of shell; skipped in check mode.",
	.examples = "- raw: uname -a\n",
	.returns = RETURNS,
	.args = raw_args,
	.flags = MOD_FREE_FORM, .free_form = "cmd", .run = raw_run,
};

static const struct mod_arg script_args[] = {
	{ .name = "cmd", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "A script of the controller, and its arguments." },
	{ .name = "executable", .type = ARG_STR,
	    .doc = "Program that runs it, instead of what its #! line names." },
	ROWS_WHERE,
	{ .name = "decrypt", .type = ARG_BOOL, .def = "true",
	    .doc = "Decrypts a script that is in a vault (done by the controller)." },
	END
};

const struct module script_module = {
	.name = "script", .collection = "ansible.builtin",
	.summary = "Sends a script of the controller to the host and runs it there.",
	.examples =
	    "- script: files/prepare.sh --verbose\n"
	    "  args:\n"
	    "    creates: /var/lib/prepared\n",
	.returns = RETURNS,
	.args = script_args,
	.flags = MOD_FREE_FORM | MOD_CONTENT, .free_form = "cmd",
	.run = script_run,
};
