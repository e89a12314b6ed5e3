/*
 * mount: lines of /etc/fstab and what is mounted.
 *
 * fstab is edited line by line (others stay as they are); what is mounted is
 * read from /proc/self/mountinfo; mounting itself is left to the host's mount
 * and umount, which know helpers for NFS and the like.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "module/edit.h"
#include "module/keep.h"
#include "module/place.h"
#include "module/proc.h"

static const struct mod_arg mount_args[] = {
	{ .name = "path", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .aliases = "name", .doc = "Where; none or swap for swap space." },
	{ .name = "state", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .choices = "absent,absent_from_fstab,ephemeral,mounted,present,remounted,unmounted",
	    .doc = "mounted: in fstab and mounted; present: in fstab; ephemeral: mounted, not in fstab." },
	{ .name = "src", .type = ARG_STR, .doc = "Device, UUID=…, or NFS path." },
	{ .name = "fstype", .type = ARG_STR, .doc = "File system type." },
	{ .name = "opts", .type = ARG_STR, .doc = "Options, default defaults." },
	{ .name = "dump", .type = ARG_STR, .def = "0", .doc = "Fifth field." },
	{ .name = "passno", .type = ARG_STR, .def = "0", .doc = "Sixth field." },
	{ .name = "boot", .type = ARG_BOOL, .def = "true",
	    .doc = "No: option noauto." },
	{ .name = "fstab", .type = ARG_PATH, .def = "/etc/fstab",
	    .doc = "Another file." },
	{ .name = "backup", .type = ARG_BOOL, .def = "false",
	    .doc = "Keeps the old fstab under a name with the time." },
	{ .name = "opts_no_log", .type = ARG_BOOL, .flags = ARG_IGNORED,
	    .doc = "Options are never shown in logs of their own." },
	{ .name = NULL }
};

static const struct mod_rule mount_rules[] = {
	{ RULE_IF, "state=mounted|present|ephemeral:src,fstype" },
	{ RULE_END, NULL }
};

struct fstab_line {
	const char	*f[6];		/* device, path, type, options, dump, pass */
};

/* \040 and the like, as getmntent writes them. */
static const char *
unescape(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1), *to = out;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 3 < n && s[i + 1] >= '0' &&
		    s[i + 1] <= '3' && isdigit((unsigned char)s[i + 2]) &&
		    isdigit((unsigned char)s[i + 3])) {
			*to++ = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 |
			    (s[i + 3] - '0'));
			i += 3;
		} else
			*to++ = s[i];
	}
	*to = '\0';
	return out;
}

static const char *
escape(struct arena *a, const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	for (; *s != '\0'; s++) {
		if (*s == ' ' || *s == '\t' || *s == '\n')
			buf_addf(&b, "\\%03o", (unsigned)*s);
		else
			buf_addc(&b, *s);
	}
	return buf_dup(&b, a);
}

/* The n-th blank-separated word of a text; its length in *ret. */
static const char *
field(const char *s, const char *end, unsigned n, size_t *ret)
{
	for (;;) {
		while (s < end && isspace((unsigned char)*s))
			s++;
		*ret = 0;
		while (s + *ret < end && !isspace((unsigned char)s[*ret]))
			(*ret)++;
		if (n-- == 0 || *ret == 0)
			return s;
		s += *ret;
	}
}

static bool
parse_line(struct mod *m, const struct line *line, struct fstab_line *t)
{
	const char *end = line->s + line_len(line), *p;
	unsigned i;
	size_t n;

	p = field(line->s, end, 0, &n);
	if (n == 0 || *p == '#')
		return false;
	for (i = 0; i < 6; i++) {
		p = field(line->s, end, i, &n);
		if (n == 0)
			t->f[i] = i >= 4 ? "0" : NULL;
		else
			t->f[i] = unescape(m->arena, p, n);
	}
	return t->f[3] != NULL;
}

static const char *
wanted_opts(struct mod *m)
{
	const char *opts = mod_arg_str(m, "opts");

	if (opts == NULL)
		opts = "defaults";
	if (mod_arg_bool(m, "boot") || strstr(arena_printf(m->arena, ",%s,", opts),
	    ",noauto,") != NULL)
		return opts;
	return arena_printf(m->arena, "%s,noauto", opts);
}

static bool
is_swap(const struct mod *m)
{
	return mod_arg_is(m, "fstype", "swap");
}

/* Whether a line is about our path (swap lines: about our device). */
static bool
is_ours(struct mod *m, const char *path, const struct fstab_line *t)
{
	if (is_swap(m))
		return strcmp(t->f[2], "swap") == 0 &&
		    strcmp(t->f[0], mod_arg_str(m, "src")) == 0;
	return strcmp(t->f[1], path) == 0;
}

/* Sees to our line (want: its text), or removes it (NULL). *ret_changed: whether the file differs. */
static int
edit_fstab(struct mod *m, const char *path, const char *want, bool *ret_changed)
{
	CLEANUP_EDIT struct edit e = { 0 };
	CLEANUP_BUF struct buf new = BUF_INIT;
	struct fstab_line t, w;
	struct line line = { want, want == NULL ? 0 : strlen(want) };
	struct lines l;
	bool placed = want == NULL;
	size_t i;
	int rc;

	rc = edit_open_path(m, &e, mod_arg_path(m, "fstab"));
	if (rc == -1)
		return -1;
	lines_split(&l, m->arena, e.old.data, e.old.len);
	if (want != NULL)
		(void)parse_line(m, &line, &w);
	for (i = 0; i < l.n; i++) {
		if (!parse_line(m, &l.v[i], &t) || !is_ours(m, path, &t))
			continue;
		if (placed) {
			lines_delete(&l, i, i + 1);
			i--;
			continue;
		}
		placed = true;
		for (rc = 0; rc < 6 && strcmp(t.f[rc], w.f[rc]) == 0; rc++)
			;
		if (rc < 6)
			l.v[i] = line;
	}
	if (!placed) {
		lines_end_at(&l, l.n);
		lines_insert(&l, l.n, line.s, line.n);
	}
	lines_join(&l, &new);
	*ret_changed = new.len != e.old.len || (new.len > 0 &&
	    memcmp(new.data, e.old.data, new.len) != 0);
	if (!e.exists && want == NULL)
		return 0;
	return edit_commit(m, &e, &new);
}

/* Whether something is mounted at the path, and from where. */
static bool
is_mounted(struct mod *m, const char *path, const char **ret_src)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *p, *dash, *end;
	struct lines l;
	bool found = false;
	size_t i, n;

	*ret_src = NULL;
	if (buf_read_file(&b, "/proc/self/mountinfo") == -1)
		return false;
	lines_split(&l, m->arena, buf_str(&b), b.len);
	for (i = 0; i < l.n; i++) {
		end = l.v[i].s + line_len(&l.v[i]);
		p = field(l.v[i].s, end, 4, &n);
		if (strcmp(unescape(m->arena, p, n), path) != 0)
			continue;
		found = true;	/* the last one is on top */
		dash = memmem(l.v[i].s, l.v[i].n, " - ", 3);
		if (dash != NULL) {
			p = field(dash + 3, end, 1, &n);
			*ret_src = unescape(m->arena, p, n);
		}
	}
	return found;
}

static int
run(struct mod *m, const char *const *argv)
{
	CLEANUP_PROC struct proc p = PROC_INIT;

	p.argv = argv;
	p.timeout_ms = 120000;
	return proc_must(m, &p);
}

static int
do_mount(struct mod *m, const char *path)
{
	const char *const argv[] = { "mount", "-t", mod_arg_str(m, "fstype"),
		"-o", wanted_opts(m), "--", mod_arg_str(m, "src"), path, NULL };

	return run(m, argv);
}

static int
do_umount(struct mod *m, const char *path)
{
	const char *const argv[] = { "umount", "--", path, NULL };

	return run(m, argv);
}

static int
do_remount(struct mod *m, const char *path, const char *opts)
{
	const char *const argv[] = { "mount", "-o", opts == NULL ? "remount" :
		arena_printf(m->arena, "remount,%s", opts), "--", path, NULL };

	return run(m, argv);
}

static bool
ask(struct mod *m, const char *path, const char *before, const char *after)
{
	struct value *b = v_map(m->arena), *a = v_map(m->arena);

	v_set_str(m->arena, b, "state", before);
	v_set_str(m->arena, a, "state", after);
	return mod_change(m, path, b, a);
}

static int
mounted(struct mod *m, const char *path, bool fstab_changed)
{
	struct fs_attrs none = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	const char *src;

	if (is_swap(m))
		return 0;
	if (is_mounted(m, path, &src)) {
		/* new options take effect by remounting */
		if (!fstab_changed || m->check)
			return 0;
		return do_remount(m, path, wanted_opts(m));
	}
	if (access(path, F_OK) == -1 && place_dirs(m, path, &none) == -1)
		return -1;
	if (!ask(m, path, "unmounted", "mounted"))
		return 0;
	return do_mount(m, path);
}

static int
unmounted(struct mod *m, const char *path)
{
	const char *src;

	if (!is_mounted(m, path, &src))
		return 0;
	return ask(m, path, "mounted", "unmounted") ? do_umount(m, path) : 0;
}

static int
remounted(struct mod *m, const char *path)
{
	const char *src;

	if (!is_mounted(m, path, &src)) {
		if (!m->check)
			return mod_fail(m, "%s is not mounted: it cannot be remounted",
			    path);
		(void)ask(m, path, "unmounted", "remounted");
		return 0;
	}
	if (!ask(m, path, "mounted", "remounted"))
		return 0;
	return do_remount(m, path, mod_arg_str(m, "opts"));
}

/* The mount point itself goes when it is an empty directory, as in Ansible. */
static int
remove_point(struct mod *m, const char *path)
{
	struct stat st;

	if (is_swap(m) || lstat(path, &st) == -1 || !S_ISDIR(st.st_mode))
		return 0;
	if (!ask(m, path, "directory", "absent"))
		return 0;
	if (keep_path(m, path) == -1)
		return -1;
	if (rmdir(path) == -1 && errno != ENOENT)
		return mod_fail_errno(m, "Error rmdir %s", path);
	return 0;
}

static const char *
fstab_text(struct mod *m, const char *path)
{
	return arena_printf(m->arena, "%s %s %s %s %s %s\n",
	    escape(m->arena, mod_arg_str(m, "src")), escape(m->arena, path),
	    mod_arg_str(m, "fstype"), escape(m->arena, wanted_opts(m)),
	    mod_arg_str(m, "dump"), mod_arg_str(m, "passno"));
}

static int
ephemeral(struct mod *m, const char *path)
{
	const char *src;

	if (is_mounted(m, path, &src) && src != NULL &&
	    strcmp(src, mod_arg_str(m, "src")) != 0)
		return mod_fail(m, "Ephemeral mount point is already mounted with a different source than the specified one. Failing in order to prevent an unwanted unmount or override operation. Try replacing this command with a \"state: unmounted\" followed by a \"state: ephemeral\", or use a different destination path.");
	return mounted(m, path, false);
}

static int
mount_run(struct mod *m)
{
	const char *path = mod_arg_path(m, "path"), *state = mod_arg_str(m, "state");
	size_t n = strlen(path);
	bool changed = false;

	while (n > 1 && path[n - 1] == '/')
		n--;
	path = arena_strndup(m->arena, path, n);
	if (strchr(path, '\n') != NULL || (*path != '/' && !is_swap(m)))
		return mod_fail(m, "'%s' is no path of a mount point", path);
	mod_set_str(m, "name", path);
	mod_set_str(m, "src", mod_arg_str(m, "src"));
	mod_set_str(m, "fstype", mod_arg_str(m, "fstype"));
	mod_set_str(m, "opts", wanted_opts(m));
	mod_set_str(m, "fstab", mod_arg_path(m, "fstab"));
	mod_set_str(m, "dump", mod_arg_str(m, "dump"));
	mod_set_str(m, "passno", mod_arg_str(m, "passno"));
	if (strcmp(state, "present") == 0)
		return edit_fstab(m, path, fstab_text(m, path), &changed);
	if (strcmp(state, "mounted") == 0) {
		if (edit_fstab(m, path, fstab_text(m, path), &changed) == -1)
			return -1;
		return mounted(m, path, changed);
	}
	if (strcmp(state, "ephemeral") == 0)
		return ephemeral(m, path);
	if (strcmp(state, "unmounted") == 0)
		return unmounted(m, path);
	if (strcmp(state, "remounted") == 0)
		return remounted(m, path);
	if (edit_fstab(m, path, NULL, &changed) == -1)
		return -1;
	if (strcmp(state, "absent_from_fstab") == 0)
		return 0;
	if (unmounted(m, path) == -1)
		return -1;
	return remove_point(m, path);
}

const struct module mount_module = {
	.name = "mount", .collection = "ansible.posix",
	.summary = "Mounts file systems, now and at boot.",
	.examples =
	    "- mount:\n"
	    "    path: /srv/data\n"
	    "    src: UUID=b3e48f45-f933-4c8e-a700-22a159ec9077\n"
	    "    fstype: ext4\n"
	    "    opts: noatime\n"
	    "    state: mounted\n",
	.returns =
	    "name, src, fstype, opts, dump, passno: of the line\n"
	    "fstab: the file\n"
	    "backup_file: name of the kept old file\n",
	.args = mount_args, .rules = mount_rules, .run = mount_run,
};
