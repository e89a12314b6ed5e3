/*
 * hostname, timezone, locale_gen: who and where the host is.
 */
#include <sys/stat.h>
#include <sys/utsname.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "module/fs.h"
#include "module/proc.h"

#define END		{ .name = NULL }

/* ---- hostname ----------------------------------------------------------- */

static bool
hostname_valid(const char *s)
{
	size_t i, n = strlen(s);

	if (n == 0 || n > 64 || !isalnum((unsigned char)s[0]) ||
	    !isalnum((unsigned char)s[n - 1]))
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' &&
		    !(s[i] == '.' && s[i + 1] != '.'))
			return false;
	return true;
}

static int
hostname_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *now, *dot = strchr(name, '.');
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *line = arena_printf(m->arena, "%s\n", name);
	struct fs_replace r = { .path = "/etc/hostname", .data = line,
		.len = strlen(line), .fd = -1, .force_mode = true, .default_mode = 0644 };
	struct value *facts = v_map(m->arena);
	struct utsname u;
	int rc;

	if (!hostname_valid(name))
		return mod_fail(m, "'%s' cannot be a host's name (at most 64 letters, digits, '-' and '.')", name);
	rc = fs_read(m, "/etc/hostname", &b);
	if (rc == -1 || uname(&u) == -1)
		return rc == -1 ? -1 : mod_fail_errno(m, "cannot ask for the host's name");
	now = arena_strndup(m->arena, buf_str(&b), strcspn(buf_str(&b), " \t\n"));
	mod_set_str(m, "name", name);
	v_set_str(m->arena, facts, "ansible_nodename", name);
	v_sets(m->arena, facts, "ansible_hostname", v_strn(m->arena, name, strcspn(name, ".")));
	v_set_str(m->arena, facts, "ansible_fqdn", name);
	v_set_str(m->arena, facts, "ansible_domain", dot == NULL ? "" : dot + 1);
	mod_set(m, "ansible_facts", facts);
	if (strcmp(now, name) == 0 && strcmp(u.nodename, name) == 0)
		return 0;
	if (!mod_change(m, "hostname", v_strf(m->arena, "%s\n", strcmp(now, name) != 0 ?
	    now : u.nodename), v_str(m->arena, line)))
		return 0;
	if (strcmp(now, name) != 0 && fs_replace(m, &r) == -1)
		return -1;
	if (strcmp(u.nodename, name) != 0 && sethostname(name, strlen(name)) == -1)
		return mod_fail_errno(m, "cannot set the host's name");
	return 0;
}

static const struct mod_arg hostname_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "The name." },
	{ .name = "use", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "The name goes to /etc/hostname and to the kernel." },
	END
};

const struct module hostname_module = {
	.name = "hostname", .collection = "ansible.builtin",
	.summary = "Sets the host's name.",
	.examples = "- hostname:\n    name: db.example.org\n",
	.returns = "name: the name\n",
	.args = hostname_args, .run = hostname_run,
};

/* ---- timezone ----------------------------------------------------------- */

#define ZONES	"/usr/share/zoneinfo/"

static bool
zone_valid(const char *s)
{
	if (*s == '/' || *s == '\0' || strstr(s, "..") != NULL)
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("_+-/", *s) == NULL)
			return false;
	return true;
}

static int
timezone_run(struct mod *m)
{
	const char *name = mod_arg_str(m, "name"), *now = "", *target;
	char link[4096];
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct fs_replace r = { .path = "/etc/timezone", .fd = -1,
		.force_mode = true, .default_mode = 0644 };
	struct stat st;
	ssize_t n;
	int rc;

	if (!zone_valid(name))
		return mod_fail(m, "'%s' is not a time zone", name);
	target = arena_printf(m->arena, ZONES "%s", name);
	if (stat(target, &st) == -1 && !m->check)
		return mod_fail(m, "there is no time zone '%s' (%s; package tzdata)", name, target);
	n = readlink("/etc/localtime", link, sizeof(link) - 1);
	if (n > 0) {
		link[n] = '\0';
		now = strstr(link, "zoneinfo/");
		now = now == NULL ? link : now + strlen("zoneinfo/");
	}
	rc = fs_read(m, "/etc/timezone", &b);
	if (rc == -1)
		return -1;
	/* Debian 13 has no /etc/timezone any more: it is kept right, not made */
	if (strcmp(now, name) == 0 && (rc == 1 || strcmp(arena_strndup(m->arena,
	    buf_str(&b), strcspn(buf_str(&b), "\n")), name) == 0))
		return 0;
	if (!mod_change(m, "time zone", v_strf(m->arena, "%s\n", now),
	    v_strf(m->arena, "%s\n", name)))
		return 0;
	r.data = arena_printf(m->arena, "%s\n", name);
	r.len = strlen(r.data);
	if (fs_link(m, "/etc/localtime", target, false) == -1)
		return -1;
	return rc == 0 ? fs_replace(m, &r) : 0;
}

static const struct mod_arg timezone_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "Europe/Zurich, Etc/UTC …" },
	{ .name = "hwclock", .type = ARG_STR, .aliases = "rtc", .flags = ARG_UNSUPPORTED,
	    .doc = "Whether the hardware's clock is in local time." },
	END
};

const struct module timezone_module = {
	.name = "timezone", .collection = "community.general",
	.summary = "Sets the host's time zone.",
	.examples = "- community.general.timezone:\n    name: Europe/Zurich\n",
	.args = timezone_args, .run = timezone_run,
};

/* ---- locale_gen --------------------------------------------------------- */

/* "de_CH.UTF-8" and "de_CH.utf8" are one. */
static bool
same_locale(const char *a, const char *b)
{
	for (;;) {
		while (*a == '-')
			a++;
		while (*b == '-')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

/* Whether glibc has it now; -1 after mod_fail. */
static int
has_locale(struct mod *m, const char *name)
{
	const char *argv[] = { "locale", "-a", NULL };
	struct proc p = PROC_INIT;
	const char *s;
	size_t n;
	int found = 0;

	p.argv = argv;
	if (proc_query(m, &p) == -1)
		return -1;
	for (s = buf_str(&p.out); *s != '\0'; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		if (same_locale(name, arena_strndup(m->arena, s, n)))
			found = 1;
	}
	proc_release(&p);
	return found;
}

/* Turns its line in locale.gen on or off. false: there is none. */
static bool
edit_locales(struct mod *m, const struct buf *old, const char *name, bool on,
    struct buf *out)
{
	const char *s = old->data, *end = s + old->len, *nl, *line, *word;
	bool found = false;
	size_t k;

	for (; s < end; s = nl + 1) {
		nl = memchr(s, '\n', (size_t)(end - s));
		if (nl == NULL)
			nl = end;
		for (line = s; line < nl && (*line == '#' || *line == ' '); line++)
			;
		for (k = 0; line + k < nl && !isspace((unsigned char)line[k]); k++)
			;
		word = arena_strndup(m->arena, line, k);
		if (k > 0 && line + k < nl && same_locale(word, name)) {
			found = true;
			buf_addf(out, "%s%.*s\n", on ? "" : "# ", (int)(nl - line), line);
		} else {
			buf_add(out, s, (size_t)(nl - s));
			buf_addc(out, '\n');
		}
	}
	return found;
}

static int
one_locale(struct mod *m, const char *name, bool on)
{
	const char *argv[] = { "locale-gen", NULL };
	CLEANUP_BUF struct buf old = BUF_INIT, new = BUF_INIT;
	struct fs_replace r = { .path = "/etc/locale.gen", .fd = -1,
		.force_mode = true, .default_mode = 0644 };
	struct proc p = PROC_INIT;
	int rc, has = has_locale(m, name);

	if (has == -1)
		return -1;
	if ((has == 1) == on)
		return 0;
	rc = fs_read(m, "/etc/locale.gen", &old);
	if (rc == -1)
		return -1;
	if (rc == 1 && !m->check)
		return mod_fail(m, "there is no /etc/locale.gen (package locales)");
	if (rc == 0 && !edit_locales(m, &old, name, on, &new))
		return mod_fail(m, "the locale '%s' is not one of /etc/locale.gen", name);
	if (!mod_change(m, "locales", v_strf(m->arena, "%s%s\n", on ? "without " : "", name),
	    v_strf(m->arena, "%s%s\n", on ? "" : "without ", name)))
		return 0;
	r.data = new.data;
	r.len = new.len;
	if (fs_replace(m, &r) == -1)
		return -1;
	p.argv = argv;
	p.live = true;
	rc = proc_must(m, &p);
	proc_release(&p);
	return rc;
}

static int
locale_gen_run(struct mod *m)
{
	const struct value *names = mod_arg(m, "name");
	uint32_t i;

	for (i = 0; i < v_count(names); i++)
		if (one_locale(m, v_at(names, i)->u.s,
		    mod_arg_is(m, "state", "present")) == -1)
			return -1;
	return 0;
}

static const struct mod_arg locale_gen_args[] = {
	{ .name = "name", .type = ARG_LIST, .of = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "de_CH.UTF-8 …" },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall be there." },
	END
};

const struct module locale_gen_module = {
	.name = "locale_gen", .collection = "community.general",
	.summary = "Makes locales.",
	.examples = "- community.general.locale_gen:\n    name: de_CH.UTF-8\n",
	.args = locale_gen_args, .run = locale_gen_run,
};
