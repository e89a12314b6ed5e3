/*
 * apt_repository, deb822_repository: where apt gets its packages from.
 *
 * A line counts as there when any file of apt's has it, with the same options.
 * If the lists cannot be fetched afterwards, the file is put back as it was:
 * a repository that does not work would stop every apt task that follows.
 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "module/apt.h"
#include "module/fs.h"

#define END		{ .name = NULL }
#define LISTS		"/etc/apt/sources.list"
#define PARTS		"/etc/apt/sources.list.d"

/* ---- one line ----------------------------------------------------------- */

/* Words joined by single blanks, without a comment at the end. */
static const char *
normal(struct arena *a, const char *s, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < n && s[i] != '#'; i++) {
		if (!isspace((unsigned char)s[i]))
			buf_addc(&b, s[i]);
		else if (b.len > 0 && b.data[b.len - 1] != ' ')
			buf_addc(&b, ' ');
	}
	while (b.len > 0 && b.data[b.len - 1] == ' ')
		b.len--;
	return buf_dup(&b, a);
}

static bool
is_source(const char *s)
{
	return strncmp(s, "deb ", 4) == 0 || strncmp(s, "deb-src ", 8) == 0;
}

/* "deb [x] https://u@example.org/debian stable main" -> "example_org_debian" */
static const char *
suggest_name(struct arena *a, const char *line)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s = line + strcspn(line, " "), *at, *end;

	s += strspn(s, " ");
	if (*s == '[') {
		s += strcspn(s, "]");
		s += *s == ']';
		s += strspn(s, " ");
	}
	end = s + strcspn(s, " ");
	at = strstr(s, "://");
	if (at != NULL && at < end)
		s = at + 3;
	at = memchr(s, '@', (size_t)(end - s));
	if (at != NULL)
		s = at + 1;
	for (; s < end; s++) {
		if (isalnum((unsigned char)*s))
			buf_addc(&b, *s);
		else if (b.len > 0 && b.data[b.len - 1] != '_')
			buf_addc(&b, '_');
	}
	while (b.len > 0 && b.data[b.len - 1] == '_')
		b.len--;
	return buf_dup(&b, a);
}

/* ---- files -------------------------------------------------------------- */

struct file {
	const char	*path;
	struct buf	 old, new;
	bool		 there;
};

/* Passes the lines on; those that are REPO are enabled (want) or left out. */
static bool
edit(struct arena *a, struct file *f, const char *repo, bool want)
{
	const char *s = buf_str(&f->old), *line, *text;
	bool found = false;
	size_t n;

	for (; *s != '\0'; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		line = s;
		text = normal(a, line, n);
		if (*text == '\0' && n > 0) {	/* maybe one that is off */
			line += strspn(line, "# \t");
			text = line > s + n ? "" : normal(a, line,
			    (size_t)(s + n - line));
		} else
			line = s;
		if (!is_source(text) || strcmp(text, repo) != 0) {
			buf_add(&f->new, s, n);
			buf_addc(&f->new, '\n');
			continue;
		}
		if (want)
			buf_addf(&f->new, "%.*s\n", (int)(s + n - line), line);
		if (want || line == s)
			found = true;
		else {		/* a comment stays when nothing is wanted */
			buf_add(&f->new, s, n);
			buf_addc(&f->new, '\n');
		}
	}
	return found;
}

static bool
differs(const struct file *f)
{
	return f->old.len != f->new.len ||
	    (f->new.len > 0 && memcmp(f->old.data, f->new.data, f->new.len) != 0);
}

static bool
only_blank(struct buf *b)
{
	const char *s = buf_str(b);

	return s[strspn(s, " \t\n")] == '\0';
}

static int
write_file(struct mod *m, const struct file *f, struct buf *text, const char *mode)
{
	struct fs_attrs attrs = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = mode };
	struct fs_replace r = { .path = f->path, .data = text->data, .len = text->len,
		.fd = -1, .force_mode = true, .default_mode = 0644, .attrs = &attrs };

	return fs_replace(m, &r);
}

/* Writes, fetches the lists, and takes it back when that fails. */
static int
change_file(struct mod *m, struct file *f, const char *mode)
{
	bool gone = only_blank(&f->new), differ;
	const char *msg;

	if (!mod_change_text(m, f->path, f->there ? buf_str(&f->old) : NULL,
	    f->old.len, gone ? NULL : buf_str(&f->new), f->new.len))
		return 0;
	if (gone ? fs_remove(m, f->path) == -1 : write_file(m, f, &f->new, mode) == -1)
		return -1;
	if (!mod_arg_bool(m, "update_cache"))
		return 0;
	if (apt_update(m, mod_arg_int(m, "update_cache_retries", 5),
	    mod_arg_int(m, "update_cache_retry_max_delay", 12), 60, &differ) == 0)
		return 0;
	msg = v_get_str(m->result, "msg", "");
	if (f->there ? write_file(m, f, &f->old, mode) == -1 :
	    unlink(f->path) == -1 && errno != ENOENT)
		return mod_fail(m, "%s (and %s could not be put back)", msg, f->path);
	m->changed = false;
	return mod_fail(m, "%s (%s is as it was)", msg, f->path);
}

/* ---- apt_repository ----------------------------------------------------- */

/* Looks through all files; the first that differs is changed, or a new line added. */
static int
apply_repo(struct mod *m, const char *repo, const char *own, bool want)
{
	const char *mode = mod_arg_str(m, "mode");
	struct value *added = v_list(m->arena), *removed = v_list(m->arena);
	bool found = false;
	struct file f;
	int rc = 0;
	glob_t g;
	size_t i;

	memset(&g, 0, sizeof(g));
	(void)glob(LISTS, 0, NULL, &g);
	(void)glob(PARTS "/*.list", GLOB_APPEND, NULL, &g);
	for (i = 0; i < g.gl_pathc && rc == 0 && !(want && found); i++) {
		memset(&f, 0, sizeof(f));
		f.path = arena_strdup(m->arena, g.gl_pathv[i]);
		f.there = true;
		rc = fs_read(m, f.path, &f.old);
		if (rc == 0 && edit(m->arena, &f, repo, want)) {
			found = true;
			if (differs(&f)) {
				if (only_blank(&f.new))
					v_push(m->arena, removed, v_str(m->arena, f.path));
				rc = change_file(m, &f, mode);
			}
		}
		rc = rc == 1 ? 0 : rc;
		buf_release(&f.old);
		buf_release(&f.new);
	}
	globfree(&g);
	if (rc == 0 && want && !found) {
		memset(&f, 0, sizeof(f));
		f.path = own;
		rc = fs_read(m, own, &f.old);
		f.there = rc == 0;
		if (rc != -1) {
			if (!f.there)
				v_push(m->arena, added, v_str(m->arena, own));
			buf_add(&f.new, f.old.data, f.old.len);
			if (f.new.len > 0 && f.new.data[f.new.len - 1] != '\n')
				buf_addc(&f.new, '\n');
			buf_addf(&f.new, "%s\n", repo);
			rc = change_file(m, &f, mode);
		}
		buf_release(&f.old);
		buf_release(&f.new);
	}
	mod_set(m, "sources_added", added);
	mod_set(m, "sources_removed", removed);
	return rc;
}

static int
apt_repository_run(struct mod *m)
{
	const char *given = mod_arg_str(m, "repo"), *name = mod_arg_str(m, "filename");
	const char *repo = normal(m->arena, given, strlen(given)), *path;

	mod_set_str(m, "repo", given);
	mod_set_str(m, "state", mod_arg_str(m, "state"));
	if (strncmp(repo, "ppa:", 4) == 0)
		return mod_fail(m, "'%s': archives of Launchpad are Ubuntu's, and not supported", repo);
	if (!is_source(repo))
		return mod_fail(m, "'%s' is not a line of sources.list (deb URI SUITE COMPONENTS)", repo);
	if (name == NULL)
		name = suggest_name(m->arena, repo);
	if (*name == '\0' || (*name != '/' && strchr(name, '/') != NULL))
		return mod_fail(m, "'%s' cannot be the name of a file in " PARTS, name);
	path = *name == '/' ? name : arena_printf(m->arena, PARTS "/%s%s", name,
	    strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".list") == 0 ?
	    "" : ".list");
	return apply_repo(m, repo, path, mod_arg_is(m, "state", "present"));
}

static const struct mod_arg apt_repository_args[] = {
	{ .name = "repo", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "A line as in sources.list." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent", .doc = "Whether it shall be there." },
	{ .name = "filename", .type = ARG_STR,
	    .doc = "Name of its file in sources.list.d, without .list; made from the URL unless given." },
	{ .name = "mode", .type = ARG_MODE, .doc = "Permissions of the file; 0644 for a new one." },
	{ .name = "update_cache", .type = ARG_BOOL, .def = "true", .aliases = "update-cache",
	    .doc = "Fetches the lists after a change." },
	{ .name = "update_cache_retries", .type = ARG_INT, .def = "5", .doc = "How often that is tried." },
	{ .name = "update_cache_retry_max_delay", .type = ARG_INT, .def = "12",
	    .doc = "Longest wait in between, in seconds." },
	{ .name = "codename", .type = ARG_STR, .flags = ARG_IGNORED, .doc = "Only for archives of Launchpad." },
	{ .name = "validate_certs", .type = ARG_BOOL, .flags = ARG_IGNORED, .doc = "Only for archives of Launchpad." },
	{ .name = "install_python_apt", .type = ARG_BOOL, .flags = ARG_IGNORED, .doc = "There is nothing to install." },
	END
};

const struct module apt_repository_module = {
	.name = "apt_repository", .collection = "ansible.builtin",
	.summary = "Adds and removes repositories of packages.",
	.doc = "If the lists cannot be fetched afterwards, the file is put back as it was.",
	.examples =
	    "- apt_repository:\n"
	    "    repo: deb [signed-by=/etc/apt/keyrings/x.asc] https://example.org/debian bookworm main\n"
	    "    filename: example\n",
	.returns = "repo: the line\nsources_added: files that are new\nsources_removed: files that are gone\n",
	.args = apt_repository_args, .run = apt_repository_run,
};

/* ---- deb822_repository -------------------------------------------------- */

static void
add_field(struct buf *b, const char *name, const struct value *v)
{
	uint32_t i;

	if (v == NULL)
		return;
	buf_addf(b, "%s:", name);
	switch (v->type) {
	case V_BOOL:
		buf_addf(b, " %s", v->u.b ? "yes" : "no");
		break;
	case V_INT:
		buf_addf(b, " %lld", (long long)v->u.i);
		break;
	case V_LIST:
		for (i = 0; i < v_count(v); i++)
			buf_addf(b, " %s", v_at(v, i)->u.s);
		break;
	default:
		buf_addf(b, " %s", v->u.s);
		break;
	}
	buf_addc(b, '\n');
}

/* A key within the file: each line indented, an empty one a dot. */
static const struct value *
inline_key(struct arena *a, const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	size_t n;

	for (; *s != '\0'; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		if (s[n] == '\0' && n == 0)
			break;
		buf_addf(&b, "\n %.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : s);
	}
	return v_str(a, b.len > 0 ? buf_str(&b) + 1 : "");
}

static const char *
slug(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, s);
	size_t i, k = 0;

	for (i = 0; s[i] != '\0'; i++) {
		if (isalnum((unsigned char)s[i]) || s[i] == '_' || s[i] == '.')
			out[k++] = (char)tolower((unsigned char)s[i]);
		else if (k > 0 && out[k - 1] != '-')
			out[k++] = '-';
	}
	while (k > 0 && out[k - 1] == '-')
		k--;
	out[k] = '\0';
	return out;
}

/* Makes a file hold text; the change is asked for. */
static int
place_text(struct mod *m, const char *path, const char *text, size_t n,
    const char *mode)
{
	CLEANUP_BUF struct buf old = BUF_INIT;
	struct fs_attrs attrs = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = mode };
	struct fs_replace r = { .path = path, .data = text, .len = n, .fd = -1,
		.force_mode = true, .default_mode = 0644, .attrs = &attrs };
	int rc = fs_read(m, path, &old);

	if (rc == -1)
		return -1;
	if (rc == 0 && old.len == n && memcmp(buf_str(&old), text, n) == 0)
		return mode == NULL ? 0 : fs_attrs_apply(m, path, &attrs, true);
	if (!mod_change_text(m, path, rc == 0 ? buf_str(&old) : NULL, old.len, text, n))
		return 0;
	return fs_replace(m, &r);
}

/* A key's URL becomes a file in keyrings; its path. NULL after mod_fail. */
static const char *
fetch_key(struct mod *m, const char *name, const char *url)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *tmp = apt_download(m, url), *path;
	struct stat st;
	int rc;

	if (tmp == NULL)
		return NULL;
	b.max = 4 * 1024 * 1024;
	rc = buf_read_file(&b, tmp);
	(void)unlink(tmp);
	if (rc == -1) {
		(void)mod_fail_errno(m, "cannot read the key of %s", url);
		return NULL;
	}
	path = arena_printf(m->arena, "/etc/apt/keyrings/%s.%s", name,
	    strstr(buf_str(&b), "-----BEGIN PGP") != NULL ? "asc" : "gpg");
	if (stat("/etc/apt/keyrings", &st) == -1 && !m->check &&
	    fs_mkdir_p(m, "/etc/apt/keyrings", 0755) == -1)
		return NULL;
	if (place_text(m, path, buf_str(&b), b.len, "0644") == -1)
		return NULL;
	mod_set_str(m, "key_filename", path);
	return path;
}

static int
deb822_absent(struct mod *m, const char *dest, const char *name)
{
	const char *files[] = { dest,
		arena_printf(m->arena, "/etc/apt/keyrings/%s.asc", name),
		arena_printf(m->arena, "/etc/apt/keyrings/%s.gpg", name) };
	struct stat st;
	size_t i;
	int rc;

	for (i = 0; i < NITEMS(files); i++) {
		rc = fs_lstat(m, files[i], &st);
		if (rc == -1)
			return -1;
		if (rc == 0 && mod_change(m, files[i], v_str(m->arena, "file"), NULL) &&
		    fs_remove(m, files[i]) == -1)
			return -1;
	}
	return 0;
}

static int
deb822_repository_run(struct mod *m)
{
	/* in the order that Ansible writes them */
	static const struct { const char *arg, *field; } fields[] = {
		{ "allow_downgrade_to_insecure", "Allow-Downgrade-To-Insecure" },
		{ "allow_insecure", "Allow-Insecure" }, { "allow_weak", "Allow-Weak" },
		{ "architectures", "Architectures" }, { "by_hash", "By-Hash" },
		{ "check_date", "Check-Date" }, { "check_valid_until", "Check-Valid-Until" },
		{ "components", "Components" }, { "date_max_future", "Date-Max-Future" },
		{ "enabled", "Enabled" }, { "inrelease_path", "InRelease-Path" },
		{ "languages", "Languages" }, { "pdiffs", "PDiffs" },
		{ "signed_by", "Signed-By" }, { "suites", "Suites" },
		{ "targets", "Targets" }, { "trusted", "Trusted" },
		{ "types", "Types" }, { "uris", "URIs" },
	};
	const char *given = mod_arg_str(m, "name"), *name = slug(m->arena, given), *key;
	const char *dest = arena_printf(m->arena, PARTS "/%s.sources", name);
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct value *v;
	size_t i;

	if (*name == '\0' || *name == '.')
		return mod_fail(m, "'%s' cannot be the name of a repository", given);
	mod_set_str(m, "dest", dest);
	mod_set(m, "key_filename", &v_null);
	if (mod_arg_is(m, "state", "absent"))
		return deb822_absent(m, dest, name);
	buf_addf(&b, "X-Repolib-Name: %s\n", given);
	for (i = 0; i < NITEMS(fields); i++) {
		v = mod_arg(m, fields[i].arg);
		if (v != NULL && v_is_str(v) && strchr(v->u.s, '\n') != NULL &&
		    strcmp(fields[i].arg, "signed_by") != 0)
			return mod_fail(m, "'%s' may not hold line breaks", fields[i].arg);
		if (v != NULL && strcmp(fields[i].arg, "signed_by") == 0) {
			key = v->u.s;
			if (strncmp(key, "http://", 7) == 0 || strncmp(key, "https://", 8) == 0) {
				key = fetch_key(m, name, key);
				if (key == NULL)
					return -1;
				v = v_str(m->arena, key);
			} else if (strchr(key, '\n') != NULL) {
				buf_addf(&b, "Signed-By:\n%s\n", inline_key(m->arena, key)->u.s);
				continue;
			}
		}
		add_field(&b, fields[i].field, v);
	}
	mod_set_str(m, "repo", buf_str(&b));
	return place_text(m, dest, buf_str(&b), b.len, mod_arg_str(m, "mode"));
}

#define FLAG(n, d)	{ .name = n, .type = ARG_BOOL, .doc = d }

static const struct mod_arg deb822_repository_args[] = {
	{ .name = "name", .type = ARG_STR, .flags = ARG_REQUIRED, .doc = "Its name, and that of its file." },
	{ .name = "state", .type = ARG_STR, .def = "present", .choices = "present,absent",
	    .doc = "Whether it shall be there." },
	{ .name = "types", .type = ARG_LIST, .of = ARG_STR, .def = "deb", .doc = "deb, deb-src." },
	{ .name = "uris", .type = ARG_LIST, .of = ARG_STR, .doc = "Where it is." },
	{ .name = "suites", .type = ARG_LIST, .of = ARG_STR, .doc = "bookworm, stable …" },
	{ .name = "components", .type = ARG_LIST, .of = ARG_STR, .doc = "main, contrib …" },
	{ .name = "architectures", .type = ARG_LIST, .of = ARG_STR, .doc = "amd64 …" },
	{ .name = "languages", .type = ARG_LIST, .of = ARG_STR, .doc = "Languages of descriptions." },
	{ .name = "targets", .type = ARG_LIST, .of = ARG_STR, .doc = "What is fetched." },
	{ .name = "signed_by", .type = ARG_STR,
	    .doc = "Its key: a file of the host, a URL, or the key itself." },
	{ .name = "mode", .type = ARG_MODE, .def = "0644", .doc = "Permissions of the file." },
	{ .name = "date_max_future", .type = ARG_INT, .doc = "How far its date may be ahead." },
	{ .name = "inrelease_path", .type = ARG_STR, .doc = "Path of InRelease." },
	FLAG("enabled", "Whether apt uses it."),
	FLAG("trusted", "Whether signatures are not needed."),
	FLAG("allow_downgrade_to_insecure", "Whether it may lose its signature."),
	FLAG("allow_insecure", "Whether it may have none."),
	FLAG("allow_weak", "Whether weak hashes will do."),
	FLAG("by_hash", "Whether files are fetched by hash."),
	FLAG("check_date", "Whether dates are checked."),
	FLAG("check_valid_until", "Whether its time of validity is checked."),
	FLAG("pdiffs", "Whether differences are fetched."),
	{ .name = "install_python_debian", .type = ARG_BOOL, .flags = ARG_IGNORED, .doc = "There is nothing to install." },
	END
};

const struct module deb822_repository_module = {
	.name = "deb822_repository", .collection = "ansible.builtin",
	.summary = "Adds and removes repositories, one file each, in the newer form.",
	.examples =
	    "- deb822_repository:\n"
	    "    name: example\n"
	    "    uris: https://example.org/debian\n"
	    "    suites: bookworm\n"
	    "    components: main\n"
	    "    signed_by: https://example.org/key.asc\n",
	.returns = "repo: the file's text\ndest: its path\nkey_filename: the key's file\n",
	.args = deb822_repository_args, .run = deb822_repository_run,
};
