/*
 * authorized_key: public keys that may log in as a user.
 *
 * A key is what its type and Base64 say; options before it and the comment
 * behind it become what the task says (none, when it says nothing).  Lines that are no keys are
 * kept.  The file is the user's own: it is written with his ownership, 0600 in
 * a directory of 0700, by descriptors that follow no link he could plant
 * (unless `follow` says so).
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "module/edit.h"
#include "module/http.h"
#include "module/keep.h"
#include "module/place.h"

#define KEYS_MAX	((size_t)4 * 1024 * 1024)

static const struct mod_arg authorized_key_args[] = {
	{ .name = "user", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "Whose keys." },
	{ .name = "key", .type = ARG_STR, .flags = ARG_REQUIRED,
	    .doc = "One or more public keys, a line each, or a URL of such." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "absent,present", .doc = "Whether they may log in." },
	{ .name = "path", .type = ARG_PATH,
	    .doc = "The file; else .ssh/authorized_keys in the user's home." },
	{ .name = "manage_dir", .type = ARG_BOOL, .def = "true",
	    .doc = "Makes the directory and sees to its owner and mode." },
	{ .name = "key_options", .type = ARG_STR,
	    .doc = "Options before the key: no-pty,command=\"…\"." },
	{ .name = "exclusive", .type = ARG_BOOL, .def = "false",
	    .doc = "All other keys are removed." },
	{ .name = "comment", .type = ARG_STR,
	    .doc = "Comment instead of the key's own." },
	{ .name = "follow", .type = ARG_BOOL, .def = "false",
	    .doc = "Writes to what a link points to." },
	{ .name = "validate_certs", .type = ARG_BOOL, .def = "true",
	    .doc = "Checks the certificate of an https URL." },
	{ .name = NULL }
};

struct key {
	const char	*options;	/* or "" */
	const char	*type, *blob, *comment;
	bool		 used;		/* found in the file */
};

struct keys {
	struct key	*v;
	size_t		 n, cap;
};

/* ---- parsing ------------------------------------------------------------ */

static bool
is_type(const char *s, size_t n)
{
	static const char *const types[] = { "ssh-ed25519", "ssh-rsa", "ssh-dss",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com",
		"ssh-ed25519-cert-v01@openssh.com",
		"ssh-rsa-cert-v01@openssh.com", NULL };
	size_t i;

	for (i = 0; types[i] != NULL; i++)
		if (strlen(types[i]) == n && strncmp(s, types[i], n) == 0)
			return true;
	return false;
}

/* Length of the first word; blanks within double quotes belong to it. */
static size_t
word_len(const char *s)
{
	bool quoted = false;
	size_t n;

	for (n = 0; s[n] != '\0'; n++) {
		if (s[n] == '\\' && s[n + 1] == '"' && quoted)
			n++;
		else if (s[n] == '"')
			quoted = !quoted;
		else if (!quoted && isspace((unsigned char)s[n]))
			break;
	}
	return n;
}

static bool
parse_key(struct arena *arena, const char *s, struct key *k)
{
	size_t n;

	*k = (struct key){ .options = "", .comment = "" };
	while (isspace((unsigned char)*s))
		s++;
	if (*s == '#' || *s == '\0')
		return false;
	n = word_len(s);
	if (!is_type(s, n)) {
		k->options = arena_strndup(arena, s, n);
		for (s += n; isspace((unsigned char)*s); s++)
			;
		n = word_len(s);
		if (!is_type(s, n))
			return false;
	}
	k->type = arena_strndup(arena, s, n);
	for (s += n; isspace((unsigned char)*s); s++)
		;
	n = strcspn(s, " \t\r\n");
	if (n == 0)
		return false;
	k->blob = arena_strndup(arena, s, n);
	for (s += n; isspace((unsigned char)*s); s++)
		;
	for (n = strlen(s); n > 0 && isspace((unsigned char)s[n - 1]); n--)
		;
	k->comment = arena_strndup(arena, s, n);
	return true;
}

static void
push_key(struct arena *arena, struct keys *ks, const struct key *k)
{
	if (ks->n == ks->cap) {
		size_t cap = ks->cap == 0 ? 8 : ks->cap * 2;

		ks->v = arena_grow(arena, ks->v, ks->n * sizeof(*k),
		    cap * sizeof(*k));
		ks->cap = cap;
	}
	ks->v[ks->n++] = *k;
}

static struct key *
find_key(struct keys *ks, const struct key *k)
{
	size_t i;

	for (i = 0; i < ks->n; i++)
		if (strcmp(ks->v[i].blob, k->blob) == 0 &&
		    strcmp(ks->v[i].type, k->type) == 0)
			return &ks->v[i];
	return NULL;
}

/* ---- what is wanted ----------------------------------------------------- */

static int
take(void *arg, const void *data, size_t n, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, n);
	return buf_overflowed(b) ? err_set(err, ERR_LIMIT, "the answer is too large") : 0;
}

static void
restart(void *arg)
{
	buf_clear(arg);
}

static int
get_text(struct mod *m, struct buf *b)
{
	const char *key = mod_arg_str(m, "key");
	struct http_request r = { .method = "GET", .url = key, .body_fd = -1,
		.follow = HTTP_FOLLOW_URLLIB2, .use_proxy = true,
		.verify = mod_arg_bool(m, "validate_certs"),
		.agent = "ansible-httpget", .timeout_ms = 10000,
		.take = take, .restart = restart, .arg = b };
	struct http_response res = { 0 };
	struct err err = ERR_INIT;

	b->max = KEYS_MAX;
	if (strncmp(key, "http://", 7) != 0 && strncmp(key, "https://", 8) != 0) {
		buf_adds(b, key);
		return 0;
	}
	if (http_do(m, &r, &res, &err) != 0) {
		(void)err_wrap(&err, "cannot get the keys from %s", key);
		return mod_fail_err(m, &err);
	}
	if (res.status != 200)
		return mod_fail(m, "Error getting key from: %s (HTTP %d)", key,
		    res.status);
	return 0;
}

static int
wanted_keys(struct mod *m, struct keys *ks)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	const char *options = mod_arg_str(m, "key_options");
	const char *comment = mod_arg_str(m, "comment");
	struct lines l;
	struct key k;
	size_t i, n;

	if (get_text(m, &text) == -1)
		return -1;
	lines_split(&l, m->arena, buf_str(&text), text.len);
	for (i = 0; i < l.n; i++) {
		n = line_len(&l.v[i]);
		if (n == 0 || l.v[i].s[strspn(l.v[i].s, " \t")] == '#')
			continue;
		if (!parse_key(m->arena, arena_strndup(m->arena, l.v[i].s, n), &k)) {
			if (l.v[i].s[strspn(l.v[i].s, " \t")] == '\n')
				continue;
			return mod_fail(m, "invalid key specified: %s",
			    arena_strndup(m->arena, l.v[i].s, n));
		}
		if (options != NULL)
			k.options = options;
		if (comment != NULL)
			k.comment = comment;
		if (find_key(ks, &k) == NULL)
			push_key(m->arena, ks, &k);
	}
	if (ks->n == 0)
		return mod_fail(m, "no key was given");
	return 0;
}

/* ---- the file ----------------------------------------------------------- */

static const char *
key_line(struct mod *m, const struct key *k)
{
	return arena_printf(m->arena, "%s%s%s %s%s%s\n", k->options,
	    *k->options != '\0' ? " " : "", k->type, k->blob,
	    *k->comment != '\0' ? " " : "", k->comment);
}

static bool
same_key(const struct key *a, const struct key *b)
{
	return strcmp(a->options, b->options) == 0 &&
	    strcmp(a->type, b->type) == 0 && strcmp(a->blob, b->blob) == 0 &&
	    strcmp(a->comment, b->comment) == 0;
}

static void
edit_lines(struct mod *m, struct lines *l, struct keys *want)
{
	bool absent = mod_arg_is(m, "state", "absent");
	bool exclusive = mod_arg_bool(m, "exclusive") && !absent;
	struct key have, *w;
	const char *line;
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (!parse_key(m->arena, arena_strndup(m->arena, l->v[i].s,
		    line_len(&l->v[i])), &have)) {
			l->v[kept++] = l->v[i];
			continue;
		}
		w = find_key(want, &have);
		if (w == NULL ? exclusive : absent || w->used)
			continue;
		if (w != NULL) {
			w->used = true;
			if (!same_key(w, &have)) {
				line = key_line(m, w);
				l->v[i].s = line;
				l->v[i].n = strlen(line);
			}
		}
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
	for (i = 0; !absent && i < want->n; i++) {
		if (want->v[i].used)
			continue;
		lines_end_at(l, l->n);
		line = key_line(m, &want->v[i]);
		lines_insert(l, l->n, line, strlen(line));
	}
}

static int
see_to_dir(struct mod *m, const char *dir, const struct passwd *pw)
{
	struct fs_attrs a = { .mode = "0700",
		.uid = pw != NULL ? pw->pw_uid : (uid_t)-1,
		.gid = pw != NULL ? pw->pw_gid : (gid_t)-1 };
	struct value *before, *after;
	struct stat st;

	if (lstat(dir, &st) == 0) {
		/* a user's link could hand him another's directory */
		if (S_ISLNK(st.st_mode) && !mod_arg_bool(m, "follow"))
			return mod_fail(m, "%s is a link (follow: true writes to what it points to)",
			    dir);
		return fs_attrs_apply(m, dir, &a, false);
	}
	before = v_map(m->arena);
	after = v_map(m->arena);
	v_set_str(m->arena, before, "state", "absent");
	v_set_str(m->arena, after, "state", "directory");
	if (!mod_change(m, dir, before, after))
		return 0;
	if (keep_path(m, dir) == -1)
		return -1;
	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return mod_fail_errno(m, "cannot make directory %s", dir);
	return fs_attrs_quiet(m, dir, &a);
}

static int
work(struct mod *m, struct edit *e)
{
	CLEANUP_BUF struct buf new = BUF_INIT;
	const char *user = mod_arg_str(m, "user"), *path, *slash;
	struct passwd *found = getpwnam(user), copy, *pw = NULL;
	struct keys want = { 0 };
	struct lines l;
	struct stat st;
	int rc;

	if (found != NULL) {
		copy = *found;
		copy.pw_dir = arena_strdup(m->arena, found->pw_dir);
		pw = &copy;
	}
	path = mod_arg_path(m, "path");
	if (pw == NULL && (path == NULL || !m->check)) {
		if (!m->check)
			return mod_fail(m, "Failed to lookup user %s: there is no such user",
			    user);
		mod_warn(m, "user %s does not exist yet: assuming that an earlier task makes it",
		    user);
		(void)mod_change(m, user, NULL, NULL);
		return 0;
	}
	if (path == NULL)
		path = arena_printf(m->arena, "%s/.ssh/authorized_keys", pw->pw_dir);
	if (wanted_keys(m, &want) == -1)
		return -1;
	mod_set_str(m, "keyfile", path);
	if (!mod_arg_bool(m, "follow") && lstat(path, &st) == 0 &&
	    S_ISLNK(st.st_mode))
		return mod_fail(m, "%s is a link (follow: true writes to what it points to)",
		    path);
	slash = strrchr(path, '/');
	if (slash != NULL && slash != path && mod_arg_bool(m, "manage_dir") &&
	    mod_arg_is(m, "state", "present") && see_to_dir(m,
	    arena_strndup(m->arena, path, (size_t)(slash - path)), pw) == -1)
		return -1;
	rc = edit_open_path(m, e, path);
	if (rc == -1)
		return -1;
	if (rc == 1 && mod_arg_is(m, "state", "absent"))
		return 0;
	lines_split(&l, m->arena, e->old.data, e->old.len);
	edit_lines(m, &l, &want);
	lines_join(&l, &new);
	if (pw != NULL) {
		e->attrs.uid = pw->pw_uid;
		e->attrs.gid = pw->pw_gid;
	}
	e->attrs.mode = "0600";
	if (e->exists && new.len == e->old.len &&
	    memcmp(buf_str(&new), buf_str(&e->old), new.len) == 0 &&
	    !mod_arg_bool(m, "manage_dir"))
		return 0;
	return edit_commit(m, e, &new);
}

static int
authorized_key_run(struct mod *m)
{
	CLEANUP_EDIT struct edit e = { 0 };

	return work(m, &e);
}

const struct module authorized_key_module = {
	.name = "authorized_key", .collection = "ansible.posix",
	.summary = "Sees to the public keys that may log in as a user.",
	.examples =
	    "- authorized_key:\n"
	    "    user: deploy\n"
	    "    key: \"{{ lookup('file', 'deploy.pub') }}\"\n"
	    "    exclusive: true\n",
	.returns = "keyfile: the file\n",
	.args = authorized_key_args, .run = authorized_key_run,
};
