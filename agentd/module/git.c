/*
 * git: a working copy (or bare copy) of a repository.
 *
 * The version's commit is asked from the remote (`git ls-remote`), so that a
 * check run knows what an update would bring, and a run that finds the same
 * commit fetches nothing.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/utf8.h"
#include "module/fs.h"
#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }
#define ENV_MAX		16

struct git {
	struct mod	*m;
	const char	*repo, *dest, *version, *remote, *program;
	bool		 bare;
	const char	*env[ENV_MAX + 1];
	size_t		 nenv;
};

static void
put_env(struct git *g, const char *entry)
{
	if (g->nenv < ENV_MAX) {
		g->env[g->nenv++] = entry;
		g->env[g->nenv] = NULL;
	}
}

/* `git WORDS` in dest. Output without the last newline in *ret_out (may be NULL). Status, or -1 after mod_fail. */
static int
run(struct git *g, struct words *w, bool change, bool in_dest, const char **ret_out)
{
	const char *mask = mod_arg_str(g->m, "umask");
	struct proc p = PROC_INIT;
	int rc;

	p.argv = w->v;
	p.env = g->env;
	p.cwd = in_dest ? g->dest : "/";
	p.live = change;
	if (mask != NULL)
		p.umask = (int)strtol(mask, NULL, 8);
	rc = change ? proc_change(g->m, &p) : proc_query(g->m, &p);
	if (rc == 0)
		rc = p.status;
	if (rc == 0 && ret_out != NULL) {
		CLEANUP_BUF struct buf clean = BUF_INIT;

		utf8_clean(&clean, p.out.data, p.out.len);
		while (clean.len > 0 && isspace((unsigned char)clean.data[clean.len - 1]))
			clean.len--;
		*ret_out = buf_dup(&clean, g->m->arena);
	} else if (rc > 0) {
		CLEANUP_BUF struct buf clean = BUF_INIT;

		utf8_clean(&clean, p.err.data, p.err.len);
		mod_set_str(g->m, "stderr", buf_str(&clean));
	}
	proc_release(&p);
	return rc;
}

static void
begin(struct git *g, struct words *w, const char *verb)
{
	*w = (struct words){ .arena = g->m->arena };
	words_push(w, g->program);
	words_push(w, verb);
}

/* A failed step as a failed task. */
static int
failed(struct git *g, const char *what)
{
	const char *err = v_get_str(g->m->result, "stderr", "");

	g->m->changed = false;
	return mod_fail(g->m, "%s: %s", what, err);
}

static int
must(struct git *g, struct words *w, bool in_dest, const char *what)
{
	int rc = run(g, w, true, in_dest, NULL);

	return rc == 0 ? 0 : rc == -1 ? -1 : failed(g, what);
}

/* ---- ssh ---------------------------------------------------------------- */

static const char *
shell_quoted(struct arena *a, const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	buf_addc(&b, '\'');
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			buf_adds(&b, "'\\''");
		else
			buf_addc(&b, *s);
	}
	buf_addc(&b, '\'');
	return buf_dup(&b, a);
}

static void
environment(struct git *g)
{
	struct arena *a = g->m->arena;
	const char *key = mod_arg_path(g->m, "key_file");
	const char *opts = mod_arg_str(g->m, "ssh_opts");
	bool newhost = mod_arg_bool(g->m, "accept_newhostkey");
	CLEANUP_BUF struct buf b = BUF_INIT;

	put_env(g, "GIT_TERMINAL_PROMPT=0");
	put_env(g, "GIT_OPTIONAL_LOCKS=0");	/* looking must not refresh the index */
	put_env(g, "LC_ALL=C.UTF-8");
	put_env(g, "LANGUAGE=C");
	buf_adds(&b, "ssh -o BatchMode=yes");
	if (newhost)
		buf_adds(&b, " -o StrictHostKeyChecking=accept-new");
	else if (mod_arg_bool(g->m, "accept_hostkey"))
		buf_adds(&b, " -o StrictHostKeyChecking=no");
	if (key != NULL)
		buf_addf(&b, " -o IdentitiesOnly=yes -i %s", shell_quoted(a, key));
	if (opts != NULL)
		buf_addf(&b, " %s", opts);
	put_env(g, arena_printf(a, "GIT_SSH_COMMAND=%s", buf_str(&b)));
}

/* ---- looking ------------------------------------------------------------ */

static bool
is_hash(const char *s)
{
	size_t n = strspn(s, "0123456789abcdefABCDEF");

	return n >= 7 && n <= 64 && s[n] == '\0';
}

/* The line of ls-remote whose name is one of the two; its hash or NULL. */
static const char *
ref_hash(struct git *g, const char *lines, const char *name)
{
	const char *tab;
	size_t n;

	for (; *lines != '\0'; lines += n + (lines[n] == '\n')) {
		n = strcspn(lines, "\n");
		tab = memchr(lines, '\t', n);
		if (tab != NULL && (size_t)(lines + n - tab - 1) == strlen(name) &&
		    strncmp(tab + 1, name, strlen(name)) == 0)
			return arena_strndup(g->m->arena, lines, (size_t)(tab - lines));
	}
	return NULL;
}

/*
 * The commit that the remote has for the version; *ret NULL: it is a hash, or
 * the remote has no such name.  branch: it is one.  Status or -1.
 */
static int
remote_commit(struct git *g, const char **ret, bool *branch)
{
	const char *out, *v = g->version, *head;
	struct words w;
	int rc;

	*ret = NULL;
	*branch = false;
	begin(g, &w, "ls-remote");
	words_push(&w, "--");
	words_push(&w, g->repo);
	rc = run(g, &w, false, false, &out);
	if (rc != 0)
		return rc;
	head = ref_hash(g, out, "HEAD");
	if (strcmp(v, "HEAD") == 0) {
		*ret = head;
		*branch = true;
		return 0;
	}
	if (strncmp(v, "refs/", 5) == 0) {
		*ret = ref_hash(g, out, v);
		*branch = strncmp(v, "refs/heads/", 11) == 0;
		return 0;
	}
	*ret = ref_hash(g, out, arena_printf(g->m->arena, "refs/heads/%s", v));
	*branch = *ret != NULL;
	if (*ret == NULL)
		*ret = ref_hash(g, out, arena_printf(g->m->arena,
		    "refs/tags/%s^{}", v));
	if (*ret == NULL)
		*ret = ref_hash(g, out, arena_printf(g->m->arena, "refs/tags/%s", v));
	return 0;
}

/* HEAD of dest, or "" when it has none yet. -1 after mod_fail. */
static int
local_head(struct git *g, const char **ret)
{
	struct words w;
	int rc;

	*ret = "";
	begin(g, &w, "rev-parse");
	words_push(&w, "--verify");
	words_push(&w, "HEAD");
	rc = run(g, &w, false, true, ret);
	(void)v_dels(g->m->result, "stderr");
	return rc == -1 ? -1 : 0;
}

/* Whether files are changed; untracked ones count as in Ansible's check. */
static int
local_changes(struct git *g, bool *ret)
{
	const char *out = "";
	struct words w;
	int rc;

	begin(g, &w, "status");
	words_push(&w, "--porcelain");
	rc = run(g, &w, false, true, &out);
	if (rc > 0)
		return failed(g, "cannot see what was changed");
	*ret = false;
	for (; rc == 0 && *out != '\0'; out += strcspn(out, "\n"),
	    out += *out == '\n')
		if (strncmp(out, "??", 2) != 0)
			*ret = true;
	return rc;
}

static int
remote_url(struct git *g, const char **ret)
{
	struct words w;
	int rc;

	*ret = "";
	begin(g, &w, "config");
	words_push(&w, "--get");
	words_push(&w, arena_printf(g->m->arena, "remote.%s.url", g->remote));
	rc = run(g, &w, false, true, ret);
	(void)v_dels(g->m->result, "stderr");
	return rc == -1 ? -1 : 0;
}

/* ---- cloning ------------------------------------------------------------ */

static void
add_depth(struct git *g, struct words *w)
{
	if (mod_has(g->m, "depth"))
		words_push(w, arena_printf(g->m->arena, "--depth=%lld",
		    (long long)mod_arg_int(g->m, "depth", 1)));
}

static int
submodules(struct git *g)
{
	struct stat st;
	struct words w;

	if (g->bare || !mod_arg_bool(g->m, "recursive") ||
	    stat(arena_printf(g->m->arena, "%s/.gitmodules", g->dest), &st) == -1)
		return 0;
	begin(g, &w, "submodule");
	words_push(&w, "sync");
	words_push(&w, "--recursive");
	if (must(g, &w, true, "Failed to sync submodules") == -1)
		return -1;
	begin(g, &w, "submodule");
	words_push(&w, "update");
	words_push(&w, "--init");
	words_push(&w, "--recursive");
	if (mod_arg_bool(g->m, "track_submodules"))
		words_push(&w, "--remote");
	return must(g, &w, true, "Failed to init/update submodules");
}

/*
 * The key that gpg says a signature is of, from its status lines: the primary
 * key's fingerprint when there is one (doc/DETAILS of GnuPG: VALIDSIG). Or "".
 */
static const char *
signer(struct arena *a, const char *status)
{
	const char *line = strstr(status, "[GNUPG:] VALIDSIG "), *word, *key = "";
	int n;

	if (line == NULL)
		return "";
	for (word = line, n = 0; *word != '\0' && *word != '\n'; n++) {
		size_t len = strcspn(word, " \n");

		if (n == 2 || n == 11)
			key = arena_strndup(a, word, len);
		word += len;
		word += strspn(word, " ");
	}
	return key;
}

static int
check_signature(struct git *g)
{
	const struct value *allowed = mod_arg(g->m, "gpg_allowlist");
	const char *what = "verify-commit", *name = "HEAD", *type = "", *key;
	struct proc p = PROC_INIT;
	struct words w;
	uint32_t i;
	int rc;

	if (!mod_arg_bool(g->m, "verify_commit"))
		return 0;
	begin(g, &w, "cat-file");
	words_push(&w, "-t");
	words_push(&w, arena_printf(g->m->arena, "refs/tags/%s", g->version));
	if (run(g, &w, false, true, &type) == -1)
		return -1;
	(void)v_dels(g->m->result, "stderr");
	if (strcmp(type, "tag") == 0) {
		what = "verify-tag";
		name = g->version;
	}
	begin(g, &w, what);
	words_push(&w, "--raw");
	words_push(&w, name);
	p.argv = w.v;
	p.env = g->env;
	p.cwd = g->dest;
	rc = proc_query(g->m, &p);
	if (rc == 0 && p.status != 0) {
		mod_set_str(g->m, "stderr", buf_str(&p.err));
		rc = failed(g, arena_printf(g->m->arena,
		    "Failed to verify GPG signature of commit/tag \"%s\"", g->version));
	}
	key = rc == 0 ? signer(g->m->arena, buf_str(&p.err)) : "";
	proc_release(&p);
	if (rc == -1 || allowed == NULL || v_count(allowed) == 0)
		return rc;
	for (i = 0; i < v_count(allowed); i++)
		if (strcasecmp(v_at(allowed, i)->u.s, key) == 0)
			return 0;
	g->m->changed = false;
	return mod_fail(g->m, "The gpg_allowlist does not include the public key \"%s\" for this commit", key);
}

/* Puts dest onto the version after a fetch. */
static int
checkout(struct git *g, const char *commit, bool branch)
{
	const char *v = g->version;
	struct words w;

	if (strcmp(v, "HEAD") == 0) {
		begin(g, &w, "reset");
		words_push(&w, "--hard");
		words_push(&w, commit);
		words_push(&w, "--");
		return must(g, &w, true, "Failed to checkout HEAD");
	}
	if (strncmp(v, "refs/heads/", 11) == 0)
		v += 11;
	begin(g, &w, "checkout");
	words_push(&w, "--force");
	if (branch) {
		words_push(&w, "-B");
		words_push(&w, v);
		words_push(&w, commit);
		words_push(&w, "--");
		if (must(g, &w, true, arena_printf(g->m->arena,
		    "Failed to checkout branch %s", v)) == -1)
			return -1;
		begin(g, &w, "branch");
		words_push(&w, arena_printf(g->m->arena, "--set-upstream-to=%s/%s", g->remote, v));
		words_push(&w, v);
		(void)run(g, &w, true, true, NULL);	/* not with a single commit */
		(void)v_dels(g->m->result, "stderr");
		return 0;
	}
	words_push(&w, "--detach");
	words_push(&w, commit);
	words_push(&w, "--");
	return must(g, &w, true, arena_printf(g->m->arena, "Failed to checkout %s", v));
}

static int
clone(struct git *g, const char *commit, bool branch)
{
	const char *reference = mod_arg_path(g->m, "reference");
	const char *separate = mod_arg_path(g->m, "separate_git_dir");
	const char *slash = strrchr(g->dest, '/'), *parent;
	struct words w;
	bool hash = commit == NULL;

	if (slash != NULL && slash != g->dest) {
		parent = arena_strndup(g->m->arena, g->dest, (size_t)(slash - g->dest));
		if (fs_mkdir_p(g->m, parent, 0755) == -1)
			return -1;
	}
	begin(g, &w, "clone");
	words_push(&w, g->bare ? "--bare" : "--no-checkout");
	words_push(&w, "--origin");
	words_push(&w, g->remote);
	/* a bare hash cannot be asked for alone: its history has to come */
	if (!hash) {
		add_depth(g, &w);
		if (strcmp(g->version, "HEAD") != 0 &&
		    strncmp(g->version, "refs/", 5) != 0) {
			words_push(&w, "--branch");
			words_push(&w, g->version);
		}
		if (mod_arg_bool(g->m, "single_branch"))
			words_push(&w, "--single-branch");
	}
	if (reference != NULL) {
		words_push(&w, "--reference");
		words_push(&w, reference);
	}
	if (separate != NULL)
		words_push(&w, arena_printf(g->m->arena, "--separate-git-dir=%s", separate));
	words_push(&w, "--");
	words_push(&w, g->repo);
	words_push(&w, g->dest);
	if (must(g, &w, false, arena_printf(g->m->arena, "Failed to clone %s", g->repo)) == -1)
		return -1;
	if (mod_has(g->m, "refspec")) {
		begin(g, &w, "fetch");
		words_push(&w, g->remote);
		words_push(&w, mod_arg_str(g->m, "refspec"));
		if (must(g, &w, true, "Failed to fetch the refspec") == -1)
			return -1;
	}
	if (g->bare)
		return 0;
	if (checkout(g, hash ? g->version : commit, branch) == -1 ||
	    check_signature(g) == -1)
		return -1;
	return submodules(g);
}

/* ---- updating ----------------------------------------------------------- */

static int
fetch(struct git *g, const char *url)
{
	const char *refspec = mod_arg_str(g->m, "refspec");
	struct words w;

	if (strcmp(url, g->repo) != 0) {
		begin(g, &w, "remote");
		words_push(&w, *url == '\0' ? "add" : "set-url");
		words_push(&w, g->remote);
		words_push(&w, g->repo);
		if (must(g, &w, true, "Failed to set a new url") == -1)
			return -1;
	}
	begin(g, &w, "fetch");
	words_push(&w, "--force");
	add_depth(g, &w);
	words_push(&w, "--tags");
	words_push(&w, g->remote);
	if (g->bare)
		words_push(&w, "+refs/heads/*:refs/heads/*");
	else
		words_push(&w, arena_printf(g->m->arena, "+refs/heads/*:refs/remotes/%s/*", g->remote));
	if (refspec != NULL)
		words_push(&w, refspec);
	return must(g, &w, true, "Failed to download remote objects and refs");
}

static int
update(struct git *g, const char *before)
{
	const char *commit, *url, *after, *want;
	bool branch, dirty = false, newer;
	struct words w;
	int rc;

	if (!g->bare && local_changes(g, &dirty) == -1)
		return -1;
	if (dirty && !mod_arg_bool(g->m, "force"))
		return mod_fail(g->m, "Local modifications exist in the destination: %s (force=no).",
		    g->dest);
	if (remote_url(g, &url) == -1)
		return -1;
	rc = remote_commit(g, &commit, &branch);
	if (rc != 0)
		return rc == -1 ? -1 : failed(g, arena_printf(g->m->arena,
		    "Failed to ask %s", g->repo));
	if (commit == NULL && !is_hash(g->version) && !mod_has(g->m, "refspec"))
		return mod_fail(g->m, "%s has no branch, tag or commit '%s'", g->repo,
		    g->version);
	want = commit != NULL ? commit : g->version;
	mod_set_bool(g->m, "remote_url_changed", *url != '\0' && strcmp(url, g->repo) != 0);
	newer = strncmp(before, want, strlen(want)) != 0;
	if (!newer && !dirty && strcmp(url, g->repo) == 0)
		return 0;
	if (!mod_change(g->m, g->dest, v_strf(g->m->arena, "%s%s\n", before,
	    dirty ? " (with local changes)" : ""), v_strf(g->m->arena, "%s\n", want))) {
		mod_set_str(g->m, "after", want);
		return 0;
	}
	if (dirty && !g->bare) {
		begin(g, &w, "reset");
		words_push(&w, "--hard");
		words_push(&w, "HEAD");
		words_push(&w, "--");
		if (must(g, &w, true, "Failed to reset the local changes") == -1)
			return -1;
	}
	if ((newer || strcmp(url, g->repo) != 0) && fetch(g, url) == -1)
		return -1;
	if (!g->bare && newer && checkout(g, want, branch) == -1)
		return -1;
	if (check_signature(g) == -1 || submodules(g) == -1 ||
	    local_head(g, &after) == -1)
		return -1;
	mod_set_str(g->m, "after", after);
	return 0;
}

/* `archive`: a packed file of the version. */
static int
archive(struct git *g)
{
	const char *path = mod_arg_path(g->m, "archive"), *prefix;
	struct stat st;
	struct words w;

	if (path == NULL)
		return 0;
	if (lstat(path, &st) == 0 && !g->m->changed)
		return 0;
	if (!mod_change(g->m, path, NULL, v_strf(g->m->arena, "archive of %s\n", g->version)))
		return 0;
	begin(g, &w, "archive");
	words_push(&w, "-o");
	words_push(&w, path);
	prefix = mod_arg_str(g->m, "archive_prefix");
	if (prefix != NULL)
		words_push(&w, arena_printf(g->m->arena, "--prefix=%s", prefix));
	words_push(&w, "HEAD");
	return must(g, &w, true, "Failed to archive the repository");
}

/* ---- the module --------------------------------------------------------- */

static bool
is_repository(struct git *g)
{
	struct stat st;

	return stat(arena_printf(g->m->arena, "%s/%s", g->dest,
	    g->bare ? "HEAD" : ".git"), &st) == 0;
}

static bool
is_empty_dir(const char *path)
{
	CLEANUP_CLOSEDIR DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return d != NULL;
}

static int
first(struct git *g)
{
	const char *commit, *after;
	bool branch;
	int rc;

	if (!mod_arg_bool(g->m, "clone")) {
		mod_set_str(g->m, "before", "");
		return 0;
	}
	mod_set(g->m, "before", &v_null);
	rc = remote_commit(g, &commit, &branch);
	if (rc != 0 && !g->m->check)
		return rc == -1 ? -1 : failed(g, arena_printf(g->m->arena,
		    "Failed to ask %s", g->repo));
	if (rc != 0) {
		/* git, or its way there, may be what an earlier task brings */
		mod_warn(g->m, "cannot ask %s yet", g->repo);
		g->m->failed = false;
		(void)v_dels(g->m->result, "msg");
		(void)v_dels(g->m->result, "rc");
		(void)v_dels(g->m->result, "cmd");
		commit = NULL;
	} else if (commit == NULL && !is_hash(g->version) &&
	    !mod_has(g->m, "refspec"))
		return mod_fail(g->m, "%s has no branch, tag or commit '%s'", g->repo,
		    g->version);
	if (commit != NULL)
		mod_set_str(g->m, "after", commit);
	if (!mod_change(g->m, g->dest, NULL, v_strf(g->m->arena, "%s\n",
	    commit != NULL ? commit : g->version)))
		return 0;
	if (clone(g, commit, branch) == -1 || local_head(g, &after) == -1)
		return -1;
	mod_set_str(g->m, "after", after);
	return 0;
}

static int
git_run(struct mod *m)
{
	struct git g = { .m = m };
	const char *before;
	struct stat st;
	size_t n;

	g.repo = mod_arg_str(m, "repo");
	g.dest = mod_arg_path(m, "dest");
	g.version = mod_arg_str(m, "version");
	g.remote = mod_arg_str(m, "remote");
	g.bare = mod_arg_bool(m, "bare");
	g.program = mod_arg_path(m, "executable");
	if (g.program == NULL)
		g.program = "git";
	if (*g.repo == '-' || *g.version == '-' || *g.remote == '-')
		return mod_fail(m, "'repo', 'version' and 'remote' may not start with '-'");
	if (g.dest == NULL || *g.dest != '/')
		return mod_fail(m, "'dest' must be an absolute path");
	for (n = strlen(g.dest); n > 1 && g.dest[n - 1] == '/'; n--)
		;
	g.dest = arena_strndup(m->arena, g.dest, n);
	environment(&g);
	if (!is_repository(&g)) {
		if (lstat(g.dest, &st) == 0 && !is_empty_dir(g.dest))
			return mod_fail(m, "%s exists, is not empty and is no %srepository",
			    g.dest, g.bare ? "bare " : "");
		if (first(&g) == -1)
			return -1;
		return archive(&g);
	}
	if (local_head(&g, &before) == -1)
		return -1;
	mod_set_str(m, "before", before);
	mod_set_str(m, "after", before);
	
	if (mod_arg_bool(m, "update") && update(&g, before) == -1)
		return -1;
	return archive(&g);
}

static const struct mod_arg git_args[] = {
	{ .name = "repo", .type = ARG_STR, .flags = ARG_REQUIRED, .aliases = "name",
	    .doc = "Where it comes from: a URL, user@host:path, or a directory of the host." },
	{ .name = "dest", .type = ARG_PATH, .flags = ARG_REQUIRED,
	    .doc = "Where it goes." },
	{ .name = "version", .type = ARG_STR, .def = "HEAD",
	    .doc = "Branch, tag or commit; HEAD is the remote's own branch." },
	{ .name = "force", .type = ARG_BOOL, .def = "false",
	    .doc = "Throws local changes away; else they are a failure." },
	{ .name = "update", .type = ARG_BOOL, .def = "true",
	    .doc = "Whether a copy that is there is brought up to date." },
	{ .name = "clone", .type = ARG_BOOL, .def = "true",
	    .doc = "Whether a copy that is not there is made." },
	{ .name = "depth", .type = ARG_INT, .doc = "Only this many commits." },
	{ .name = "single_branch", .type = ARG_BOOL, .def = "false",
	    .doc = "Only the version's branch." },
	{ .name = "bare", .type = ARG_BOOL, .def = "false", .doc = "Without a working tree." },
	{ .name = "remote", .type = ARG_STR, .def = "origin", .doc = "Name of the remote." },
	{ .name = "refspec", .type = ARG_STR, .doc = "Further references to fetch." },
	{ .name = "reference", .type = ARG_PATH, .doc = "A repository of the host to borrow from." },
	{ .name = "recursive", .type = ARG_BOOL, .def = "true", .doc = "Submodules as well." },
	{ .name = "track_submodules", .type = ARG_BOOL, .def = "false",
	    .doc = "Submodules follow their branches." },
	{ .name = "separate_git_dir", .type = ARG_PATH, .doc = "Where .git is kept." },
	{ .name = "accept_hostkey", .type = ARG_BOOL, .def = "false",
	    .doc = "Takes any host key, also a changed one." },
	{ .name = "accept_newhostkey", .type = ARG_BOOL, .def = "false",
	    .doc = "Takes the host key of an unknown host." },
	{ .name = "key_file", .type = ARG_PATH, .doc = "Private key for ssh." },
	{ .name = "ssh_opts", .type = ARG_STR, .doc = "Further options of ssh." },
	{ .name = "verify_commit", .type = ARG_BOOL, .def = "false",
	    .doc = "The commit must have a valid signature." },
	{ .name = "gpg_allowlist", .type = ARG_LIST, .of = ARG_STR,
	    .aliases = "gpg_whitelist", .doc = "Fingerprints of the keys that may have signed it, with verify_commit." },
	{ .name = "archive", .type = ARG_PATH, .doc = "Packs the version into this file." },
	{ .name = "archive_prefix", .type = ARG_STR, .doc = "Prefix of the names in it." },
	{ .name = "executable", .type = ARG_PATH, .doc = "The program; git unless given." },
	{ .name = "umask", .type = ARG_STR, .doc = "Umask, octal ('0022')." },
	END
};

const struct module git_module = {
	.name = "git", .collection = "ansible.builtin",
	.summary = "Keeps a copy of a repository.",
	.doc = "The remote is asked for the version's commit; the same commit fetches nothing.",
	.examples =
	    "- git:\n"
	    "    repo: https://example.org/exams.git\n"
	    "    dest: /srv/exams\n"
	    "    version: v1.2\n",
	.returns = "before: the commit there was\nafter: the commit there is\nremote_url_changed: whether the remote is another\n",
	.args = git_args, .flags = MOD_FAR, .run = git_run,
};
