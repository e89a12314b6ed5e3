/*
 * cron: jobs and variables in crontabs of users and in /etc/cron.d.
 *
 * A user's crontab is read from the spool (by crontab -l when we are not
 * root) and written by crontab(1), which checks it and sets its owner; files
 * in /etc/cron.d are replaced whole.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "base/utf8.h"
#include "module/cron.h"
#include "module/fs.h"
#include "module/proc.h"

#define END		{ .name = NULL }
#define MARK		"#Ansible: "
#define SPOOL		"/var/spool/cron/crontabs"
#define CRONTAB_MAX	((size_t)1024 * 1024)

/* ---- texts -------------------------------------------------------------- */

struct value *
cron_lines(struct arena *a, const char *s, size_t n)
{
	struct value *lines = v_list(a);
	const char *end = s + n, *nl;
	uint32_t skip = 0, i;

	if (n > 21 && strncmp(s, "# DO NOT EDIT THIS FI", 21) == 0)
		skip = 3;
	for (i = 0; s < end; i++, s = nl + 1) {
		nl = memchr(s, '\n', (size_t)(end - s));
		if (nl == NULL)
			nl = end;
		if (i >= skip)
			v_push(a, lines, v_strn(a, s, (size_t)(nl - s)));
	}
	return lines;
}

const char *
cron_text(struct arena *a, const struct value *lines, size_t *ret_len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(lines); i++) {
		buf_add(&b, v_at(lines, i)->u.s, v_at(lines, i)->len);
		buf_addc(&b, '\n');
	}
	*ret_len = b.len;
	return buf_dup(&b, a);
}

static bool
is_mark(const struct value *line, const char *name)
{
	return strncmp(line->u.s, MARK, strlen(MARK)) == 0 &&
	    strcmp(line->u.s + strlen(MARK), name) == 0;
}

bool
cron_set_job(struct arena *a, struct value **lines, const char *name,
    const char *job)
{
	struct value *out = v_list(a);
	bool found = false, changed = false;
	uint32_t i;

	for (i = 0; i < v_count(*lines); i++) {
		const struct value *line = v_at(*lines, i);
		const struct value *next = v_at(*lines, i + 1);

		if (!is_mark(line, name)) {
			v_push(a, out, line);
			continue;
		}
		/* the line after the mark is the job */
		if (job == NULL || found) {
			changed = true;
		} else {
			v_push(a, out, line);
			v_push(a, out, v_str(a, job));
			changed = next == NULL || strcmp(next->u.s, job) != 0;
			found = true;
		}
		if (next != NULL)
			i++;
	}
	if (!found && job != NULL) {
		v_push(a, out, v_strf(a, MARK "%s", name));
		v_push(a, out, v_str(a, job));
		changed = true;
	}
	*lines = out;
	return changed;
}

static bool
is_env(const struct value *line, const char *name)
{
	size_t n = strlen(name);

	return strncmp(line->u.s, name, n) == 0 && line->u.s[n] == '=';
}

bool
cron_set_env(struct arena *a, struct value **lines, const char *name,
    const char *value, const char *after, const char *before)
{
	struct value *out = v_list(a);
	const struct value *decl = value == NULL ? NULL :
	    v_strf(a, "%s=\"%s\"", name, value), *line;
	bool found = false, changed = false;
	uint32_t i;

	for (i = 0; i < v_count(*lines); i++)
		found |= is_env(v_at(*lines, i), name);
	if (!found && decl != NULL && after == NULL && before == NULL)
		v_push(a, out, decl);
	for (i = 0; i < v_count(*lines); i++) {
		line = v_at(*lines, i);
		if (!found && decl != NULL && before != NULL && is_env(line, before))
			v_push(a, out, decl);
		if (!is_env(line, name))
			v_push(a, out, line);
		else if (decl == NULL)
			changed = true;
		else {
			v_push(a, out, decl);
			changed |= !v_equal(line, decl);
		}
		if (!found && decl != NULL && after != NULL && is_env(line, after))
			v_push(a, out, decl);
	}
	if (!found && decl != NULL)
		changed = v_count(out) > v_count(*lines);
	*lines = out;
	return changed;
}

struct value *
cron_names(struct arena *a, const struct value *lines, bool env)
{
	struct value *names = v_list(a);
	const char *s;
	uint32_t i;
	size_t n;

	for (i = 0; i < v_count(lines); i++) {
		s = v_at(lines, i)->u.s;
		if (!env && strncmp(s, MARK, strlen(MARK)) == 0)
			v_push(a, names, v_str(a, s + strlen(MARK)));
		for (n = 0; isalnum((unsigned char)s[n]) || s[n] == '_'; n++)
			;
		if (env && n > 0 && s[n] == '=')
			v_push(a, names, v_strn(a, s, n));
	}
	return names;
}

/* ---- the crontab -------------------------------------------------------- */

struct crontab {
	struct mod	*m;
	const char	*user;		/* as given, or NULL */
	const char	*file;		/* full path of a cron_file, or NULL */
	const char	*text;		/* what is there */
	size_t		 len;
	bool		 there;
};

static const char *
own_name(struct mod *m)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw == NULL ? "root" : arena_strdup(m->arena, pw->pw_name);
}

/* What `crontab -l` says, for those who may not look into the spool. */
static int
list_crontab(struct crontab *c)
{
	const char *argv[] = { "crontab", "-l", NULL };
	struct proc p = PROC_INIT;
	int rc;

	if (proc_find(c->m, "crontab") == NULL && c->m->check) {
		c->text = "";
		return 0;
	}
	p.argv = argv;
	rc = proc_query(c->m, &p);
	if (rc == 0) {
		c->there = p.status == 0;
		c->text = p.status == 0 ? buf_dup(&p.out, c->m->arena) : "";
		c->len = strlen(c->text);
	}
	proc_release(&p);
	return rc;
}

static int
read_crontab(struct crontab *c)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *path = c->file;
	int rc;

	if (path == NULL && geteuid() != 0)
		return list_crontab(c);
	if (path == NULL)
		path = arena_printf(c->m->arena, SPOOL "/%s",
		    c->user != NULL ? c->user : "root");
	b.max = CRONTAB_MAX;
	rc = fs_read(c->m, path, &b);
	if (rc == -1)
		return -1;
	if (!utf8_valid(b.data, b.len))
		return mod_fail(c->m, "%s is no UTF-8 text", path);
	c->there = rc == 0;
	c->text = buf_dup(&b, c->m->arena);
	c->len = b.len;
	return 0;
}

static int
write_crontab(struct crontab *c, const char *text, size_t n)
{
	struct fs_replace r = { .path = c->file, .data = text, .len = n, .fd = -1,
		.backup = mod_arg_bool(c->m, "backup"), .force_mode = true,
		.default_mode = 0644 };
	const char *argv[] = { "crontab", "-u", c->user, "-", NULL };
	const char *own[] = { "crontab", "-", NULL };
	struct proc p = PROC_INIT;
	int rc;

	if (c->file != NULL)
		return fs_replace(c->m, &r);
	if (mod_arg_bool(c->m, "backup") && c->there && geteuid() == 0 &&
	    fs_backup(c->m, arena_printf(c->m->arena, SPOOL "/%s",
	    c->user != NULL ? c->user : "root")) == -1)
		return -1;
	p.argv = c->user != NULL ? argv : own;
	p.input = text;
	p.ninput = n;
	rc = proc_must(c->m, &p);
	proc_release(&p);
	return rc;
}

/* ---- jobs --------------------------------------------------------------- */

static const char *
job_line(struct crontab *c)
{
	struct mod *m = c->m;
	const char *job = mod_arg_str(m, "job"), *special = mod_arg_str(m, "special_time");
	const char *user = c->user != NULL ? c->user : "root";
	const char *off = mod_arg_bool(m, "disabled") ? "#" : "";
	size_t n = strlen(job);

	while (n > 0 && (job[n - 1] == '\n' || job[n - 1] == '\r'))
		n--;
	job = arena_strndup(m->arena, job, n);
	if (special != NULL)
		return arena_printf(m->arena, "%s@%s %s%s%s", off, special,
		    c->file != NULL ? user : "", c->file != NULL ? " " : "", job);
	return arena_printf(m->arena, "%s%s %s %s %s %s %s%s%s", off,
	    mod_arg_str(m, "minute"), mod_arg_str(m, "hour"),
	    mod_arg_str(m, "day"), mod_arg_str(m, "month"),
	    mod_arg_str(m, "weekday"), c->file != NULL ? user : "",
	    c->file != NULL ? " " : "", job);
}

static int
check_args(struct mod *m)
{
	static const char *const times[] = { "minute", "hour", "day", "month", "weekday" };
	const char *job = mod_arg_str(m, "job"), *s;
	bool present = mod_arg_is(m, "state", "present"), given = false;
	size_t i;

	for (i = 0; i < NITEMS(times); i++) {
		s = mod_arg_str(m, times[i]);
		given |= strcmp(s, "*") != 0;
		if (*s == '\0' || strpbrk(s, " \t\n") != NULL)
			return mod_fail(m, "'%s' is not a %s of a crontab", s, times[i]);
	}
	if (mod_has(m, "special_time") && given)
		return mod_fail(m, "You must specify time and date fields or special time.");
	if (present && job == NULL)
		return mod_fail(m, "You must specify 'job' to install a new cron job or variable");
	if (job != NULL && strpbrk(arena_strndup(m->arena, job,
	    strlen(job) > 0 ? strlen(job) - 1 : 0), "\n\r") != NULL)
		return mod_fail(m, "Job should not contain line breaks");
	s = mod_arg_str(m, "name");
	if (strpbrk(s, "\n\r") != NULL)
		return mod_fail(m, "a name may not hold line breaks");
	s = mod_arg_str(m, "user");
	if (s != NULL && (*s == '-' || *s == '\0' || strpbrk(s, "/ \t\n:") != NULL))
		return mod_fail(m, "'%s' cannot be the name of a user", s);
	if (mod_has(m, "insertafter") && !mod_arg_bool(m, "env"))
		return mod_fail(m, "Insertafter and insertbefore parameters are valid only with env=yes");
	return 0;
}

static int
cron_run(struct mod *m)
{
	struct crontab c = { .m = m, .text = "" };
	const char *name = mod_arg_str(m, "name"), *file = mod_arg_path(m, "cron_file");
	bool env = mod_arg_bool(m, "env"), absent = mod_arg_is(m, "state", "absent");
	const char *text, *header;
	struct value *lines;
	bool changed;
	size_t n;

	if (check_args(m) == -1)
		return -1;
	c.user = mod_arg_str(m, "user");
	if (c.user == NULL && file == NULL && geteuid() == 0)
		c.user = own_name(m);
	if (file != NULL)
		c.file = *file == '/' ? file :
		    arena_printf(m->arena, "/etc/cron.d/%s", file);
	if (read_crontab(&c) == -1)
		return -1;
	lines = cron_lines(m->arena, c.text, c.len);
	changed = env ? cron_set_env(m->arena, &lines, name, absent ? NULL :
	    mod_arg_str(m, "job"), mod_arg_str(m, "insertafter"),
	    mod_arg_str(m, "insertbefore")) : cron_set_job(m->arena, &lines,
	    name, absent ? NULL : job_line(&c));
	mod_set(m, "jobs", cron_names(m->arena, lines, false));
	mod_set(m, "envs", cron_names(m->arena, lines, true));
	if (!changed)
		return 0;
	text = cron_text(m->arena, lines, &n);
	header = c.file != NULL ? c.file : arena_printf(m->arena, "crontab of %s",
	    c.user != NULL ? c.user : own_name(m));
	if (!mod_change_text(m, header, c.there ? c.text : NULL, c.len, text, n))
		return 0;
	return write_crontab(&c, text, n);
}

static const struct mod_arg cron_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "Name of the job (a comment before it), or of the variable." },
	{ .name = "job", .type = ARG_STR, .aliases = "value",
	    .doc = "The command, or the variable's value." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall be there." },
	{ .name = "minute", .type = ARG_STR, .def = "*", .doc = "Minutes." },
	{ .name = "hour", .type = ARG_STR, .def = "*", .doc = "Hours." },
	{ .name = "day", .type = ARG_STR, .def = "*", .aliases = "dom", .doc = "Days of the month." },
	{ .name = "month", .type = ARG_STR, .def = "*", .doc = "Months." },
	{ .name = "weekday", .type = ARG_STR, .def = "*", .aliases = "dow", .doc = "Days of the week." },
	{ .name = "special_time", .type = ARG_STR,
	    .choices = "reboot,yearly,annually,monthly,weekly,daily,hourly",
	    .doc = "Instead of the above." },
	{ .name = "user", .type = ARG_STR, .doc = "Whose crontab; with cron_file, as whom it runs." },
	{ .name = "cron_file", .type = ARG_PATH,
	    .doc = "A file of /etc/cron.d (or a full path) instead of a user's crontab." },
	{ .name = "env", .type = ARG_BOOL, .def = "false", .doc = "It is a variable." },
	{ .name = "insertafter", .type = ARG_STR, .doc = "A new variable goes after this one." },
	{ .name = "insertbefore", .type = ARG_STR, .doc = "A new variable goes before this one." },
	{ .name = "disabled", .type = ARG_BOOL, .def = "false", .doc = "The job is commented out." },
	{ .name = "backup", .type = ARG_BOOL, .def = "false", .doc = "Keeps the crontab as it was." },
	END
};

static const struct mod_rule cron_rules[] = {
	{ RULE_EXCLUSIVE, "insertafter,insertbefore" },
	{ RULE_END, NULL }
};

const struct module cron_module = {
	.name = "cron", .collection = "ansible.builtin",
	.summary = "Keeps jobs and variables in crontabs.",
	.examples =
	    "- cron:\n"
	    "    name: nightly dump\n"
	    "    hour: \"3\"\n"
	    "    minute: \"15\"\n"
	    "    user: postgres\n"
	    "    job: pg_dump exams > /var/backups/exams.sql\n",
	.returns = "jobs: names of the jobs there are\nenvs: names of the variables there are\nbackup_file: the crontab as it was\n",
	.args = cron_args, .rules = cron_rules, .run = cron_run,
};
