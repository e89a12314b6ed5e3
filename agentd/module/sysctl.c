/*
 * sysctl: a kernel parameter, in a file and (reload, sysctl_set) at once.
 *
 * The kernel is asked and told through /proc/sys: bare servers have no sysctl
 * program.  With reload the whole file is applied, as `sysctl -p` does.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/edit.h"

static const struct mod_arg sysctl_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .aliases = "key", .doc = "The parameter: net.ipv4.ip_forward." },
	{ .name = "value", .type = ARG_STR, .aliases = "val",
	    .doc = "Its value." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "absent,present", .doc = "Whether the file sets it." },
	{ .name = "reload", .type = ARG_BOOL, .def = "true",
	    .doc = "Applies the file after a change." },
	{ .name = "sysctl_set", .type = ARG_BOOL, .def = "false",
	    .doc = "Sets the running kernel's value where it differs." },
	{ .name = "ignoreerrors", .type = ARG_BOOL, .def = "false",
	    .doc = "A parameter that the kernel does not have is no failure." },
	{ .name = "sysctl_file", .type = ARG_PATH, .def = "/etc/sysctl.conf",
	    .doc = "The file." },
	{ .name = NULL }
};

static const struct mod_rule sysctl_rules[] = {
	{ RULE_IF, "state=present:value" }, { RULE_END, NULL }
};

/* "net.ipv4.ip_forward" or "net/ipv4/…": the file below /proc/sys; NULL: no name. */
static const char *
proc_path(struct mod *m, const char *name)
{
	char *path = arena_printf(m->arena, "/proc/sys/%s", name), *p;
	/* with a slash first, dots are part of names (eth0.1) */
	bool slashes = strcspn(name, "/") < strcspn(name, ".");

	if (*name == '\0' || *name == '/' || strstr(name, "..") != NULL)
		return NULL;
	for (p = path + strlen("/proc/sys/"); *p != '\0'; p++) {
		if (isspace((unsigned char)*p))
			return NULL;
		if (slashes)
			continue;
		if (*p == '.')
			*p = '/';
		else if (*p == '/')
			*p = '.';
	}
	return path;
}

/* The running value with its blanks made single; NULL: there is none. */
static const char *
running(struct mod *m, const char *name)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *path = proc_path(m, name);

	b.max = 65536;
	if (path == NULL || buf_read_file(&b, path) == -1)
		return NULL;
	return buf_dup(&b, m->arena);
}

/* Equal word by word: the kernel answers with tabs. */
static bool
same_words(const char *a, const char *b)
{
	size_t na, nb;

	for (;;) {
		a += strspn(a, " \t\n");
		b += strspn(b, " \t\n");
		na = strcspn(a, " \t\n");
		nb = strcspn(b, " \t\n");
		if (na != nb || memcmp(a, b, na) != 0)
			return false;
		if (na == 0)
			return true;
		a += na;
		b += nb;
	}
}

static int
set_running(struct mod *m, const char *name, const char *value)
{
	const char *path = proc_path(m, name);
	bool ignore = mod_arg_bool(m, "ignoreerrors");
	CLEANUP_CLOSE int fd = -1;
	size_t n = strlen(value);

	if (path == NULL)
		return mod_fail(m, "'%s' is no name of a kernel parameter", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1) {
		if (ignore)
			return 0;
		if (errno == ENOENT)
			return mod_fail(m, "the kernel has no parameter %s (a module not loaded?; ignoreerrors: true passes over it)",
			    name);
		return mod_fail_errno(m, "cannot set %s", name);
	}
	if (write(fd, value, n) != (ssize_t)n && !ignore)
		return mod_fail_errno(m, "cannot set %s to '%s'", name, value);
	return 0;
}

/* "name = value" of a line; false for comments and the rest. */
static bool
split_line(struct mod *m, const struct line *line, const char **ret_name,
    const char **ret_value)
{
	char *s = arena_strndup(m->arena, line->s, line_len(line)), *eq, *end;

	s += strspn(s, " \t-");		/* a leading - means: ignore errors */
	eq = strchr(s, '=');
	if (*s == '#' || *s == ';' || eq == NULL)
		return false;
	for (end = eq; end > s && isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	*ret_name = s;
	eq++;
	eq += strspn(eq, " \t");
	for (end = eq + strlen(eq); end > eq && isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	*ret_value = eq;
	return true;
}

/* As `sysctl -p FILE`. */
static int
apply_file(struct mod *m, const struct lines *l)
{
	const char *name, *value;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (split_line(m, &l->v[i], &name, &value) &&
		    set_running(m, name, value) == -1)
			return -1;
	return 0;
}

/* Puts the line in place of the first one of that name and drops the others. */
static void
edit_lines(struct mod *m, struct lines *l, const char *want)
{
	const char *name = mod_arg_str(m, "name"), *n, *v, *text = NULL;
	bool placed = want == NULL;
	size_t i;

	if (want != NULL)
		text = arena_printf(m->arena, "%s=%s\n", name, want);
	for (i = 0; i < l->n; i++) {
		if (!split_line(m, &l->v[i], &n, &v) || strcmp(n, name) != 0)
			continue;
		if (placed) {
			lines_delete(l, i, i + 1);
			i--;
		} else {
			if (strcmp(v, want) != 0) {
				l->v[i].s = text;
				l->v[i].n = strlen(text);
			}
			placed = true;
		}
	}
	if (!placed) {
		lines_end_at(l, l->n);
		lines_insert(l, l->n, text, strlen(text));
	}
}

static const char *
wanted(struct mod *m)
{
	const char *v = mod_arg_str(m, "value");
	char *copy;
	size_t n;

	if (mod_arg_is(m, "state", "absent") || v == NULL)
		return NULL;
	if (strcmp(v, "True") == 0)
		return "1";
	if (strcmp(v, "False") == 0)
		return "0";
	v += strspn(v, " \t\n");
	copy = arena_strdup(m->arena, v);
	for (n = strlen(copy); n > 0 && isspace((unsigned char)copy[n - 1]);)
		copy[--n] = '\0';
	return copy;
}

static int
work(struct mod *m, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *name = mod_arg_str(m, "name"), *want = wanted(m);
	const char *now = running(m, name);
	bool set, reload = mod_arg_bool(m, "reload");
	struct value *before, *after;
	struct lines l;
	int rc;

	if (proc_path(m, name) == NULL)
		return mod_fail(m, "'%s' is no name of a kernel parameter", name);
	if (want != NULL && strchr(want, '\n') != NULL)
		return mod_fail(m, "the value of %s must be one line", name);
	rc = edit_open_path(m, e, mod_arg_path(m, "sysctl_file"));
	if (rc == -1)
		return -1;
	lines_split(&l, m->arena, e->old.data, e->old.len);
	edit_lines(m, &l, want);
	lines_join(&l, &new);
	if ((want != NULL || e->exists) && edit_commit(m, e, &new) == -1)
		return -1;
	/* the kernel's own value, where the task is about it */
	set = want != NULL && (reload || mod_arg_bool(m, "sysctl_set")) &&
	    (now == NULL ? !mod_arg_bool(m, "ignoreerrors") : !same_words(now, want));
	if (set) {
		before = v_map(m->arena);
		after = v_map(m->arena);
		if (now != NULL)
			v_set_str(m->arena, before, name, arena_strndup(m->arena,
			    now, strcspn(now, "\n")));
		v_set_str(m->arena, after, name, want);
		if (mod_change(m, "running kernel", before, after) &&
		    mod_arg_bool(m, "sysctl_set") &&
		    set_running(m, name, want) == -1)
			return -1;
	}
	if (m->changed && !m->check && reload)
		return apply_file(m, &l);
	return 0;
}

static int
sysctl_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module sysctl_module = {
	.name = "sysctl", .collection = "ansible.posix",
	.summary = "Sets a kernel parameter, for now and for the next boot.",
	.examples =
	    "- sysctl:\n"
	    "    name: vm.overcommit_memory\n"
	    "    value: '1'\n"
	    "    sysctl_file: /etc/sysctl.d/app.conf\n",
	.returns = NULL,
	.args = sysctl_args, .rules = sysctl_rules, .run = sysctl_run,
};
