/*
 * Ansible's tests: results of tasks, versions, files of the controller, vaults.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "template/filter_path.h"
#include "template/filter_util.h"
#include "template/version.h"
#include "yaml/files.h"

/* ---- results --------------------------------------------------------------------------- */

static bool
is_result(struct tcall *c)
{
	if (c->in->type == V_MAP)
		return true;
	terr(c, ERR_TYPE, "The '%s' test expects a dictionary", c->name);
	return false;
}

/* Truth of a key of the result: absent is false. -1 after an error. */
static int
key_truth(struct tcall *c, const struct value *map, const char *key)
{
	const struct value *v = v_gets(map, key);

	if (v == NULL)
		return 0;
	if ((v = tcall_top(c, v)) == NULL)
		return -1;
	if (v->type == V_UNDEF)
		return fu_undef(c, v), -1;
	return tcall_truth(v);
}

static int
flag_of(struct tcall *c, const char *key, bool negate)
{
	int b;

	if (!is_result(c))
		return -1;
	b = key_truth(c, c->in, key);
	return b < 0 || !negate ? b : !b;
}

static int
t_failed(struct tcall *c)
{
	return flag_of(c, "failed", false);
}

static int
t_success(struct tcall *c)
{
	return flag_of(c, "failed", true);
}

static int
t_skipped(struct tcall *c)
{
	return flag_of(c, "skipped", false);
}

static int
t_unreachable(struct tcall *c)
{
	return flag_of(c, "unreachable", false);
}

static int
t_reachable(struct tcall *c)
{
	return flag_of(c, "unreachable", true);
}

static int
t_changed(struct tcall *c)
{
	const struct value *results, *r;
	const struct vlist *l;
	int b;

	if (!is_result(c))
		return -1;
	if (v_gets(c->in, "changed") != NULL || (results = v_gets(c->in, "results")) == NULL)
		return key_truth(c, c->in, "changed");
	if ((results = tcall_top(c, results)) == NULL)
		return -1;
	if (results->type != V_LIST)
		return 0;
	if ((l = fu_list(c, results)) == NULL)
		return -1;
	if (l->n == 0)
		return terr_i(c, ERR_VALUE, "changed: the list of results is empty");
	if (l->v[0]->type != V_MAP)
		return 0;
	for (uint32_t i = 0; i < l->n; i++) {
		r = l->v[i];
		if (r->type != V_MAP)
			return terr_i(c, ERR_TYPE, "'%s' object has no attribute 'get'", tmpl_py_type(r));
		if ((b = key_truth(c, r, "changed")) != 0)
			return b;
	}
	return 0;
}

/* What is no asynchronous task counts as started and finished. */
static int
async_flag(struct tcall *c, const char *key)
{
	if (!is_result(c))
		return -1;
	return v_gets(c->in, key) == NULL ? 1 : key_truth(c, c->in, key);
}

static int
t_finished(struct tcall *c)
{
	return async_flag(c, "finished");
}

static int
t_started(struct tcall *c)
{
	return async_flag(c, "started");
}

static int
t_timedout(struct tcall *c)
{
	const struct value *t;
	int b;

	if (!is_result(c))
		return -1;
	if ((b = key_truth(c, c->in, "timedout")) <= 0)
		return b;
	if ((t = tcall_top(c, v_gets(c->in, "timedout"))) == NULL)
		return -1;
	if (t->type != V_MAP)
		return terr_i(c, ERR_TYPE, "'%s' object has no attribute 'get'", tmpl_py_type(t));
	return key_truth(c, t, "period");
}

/* ---- versions -------------------------------------------------------------------------- */

static const struct {
	const char	*names[3];
	const char	*op;		/* which signs of the comparison are true */
} operators[] = {
	{ { "==", "=", "eq" }, "0" },
	{ { "<", "lt", NULL }, "-" },
	{ { "<=", "le", NULL }, "-0" },
	{ { ">", "gt", NULL }, "+" },
	{ { ">=", "ge", NULL }, "+0" },
	{ { "!=", "<>", "ne" }, "-+" },
};

static const char *
find_operator(struct tcall *c, const char *name)
{
	for (size_t i = 0; i < NITEMS(operators); i++)
		for (size_t k = 0; k < 3 && operators[i].names[k] != NULL; k++)
			if (strcmp(name, operators[i].names[k]) == 0)
				return operators[i].op;
	terr(c, ERR_VALUE, "Invalid operator type (%s). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', '>=', 'ge', '!=', '<>', 'ne'",
	    name);
	return NULL;
}

static bool
find_kind(struct tcall *c, enum version_kind *kind)
{
	static const struct { const char *name; enum version_kind kind; } kinds[] = {
		{ "loose", VERSION_LOOSE }, { "strict", VERSION_STRICT },
		{ "semver", VERSION_SEMVER }, { "semantic", VERSION_SEMVER },
		{ "pep440", VERSION_PEP440 },
	};
	const char *name;
	size_t len;

	*kind = VERSION_LOOSE;
	if (fu_given(c, 2)) {
		if (fu_given(c, 3)) {
			terr(c, ERR_VALUE, "Cannot specify both 'strict' and 'version_type'");
			return false;
		}
		if (tcall_truth(c->a[2]))
			*kind = VERSION_STRICT;
		return true;
	}
	if (!fu_given(c, 3) || !tcall_truth(c->a[3]))
		return true;
	if (!fu_text(c, c->a[3], &name, &len))
		return false;
	for (size_t i = 0; i < NITEMS(kinds); i++)
		if (strcmp(name, kinds[i].name) == 0) {
			*kind = kinds[i].kind;
			return true;
		}
	terr(c, ERR_VALUE, "Invalid version type (%s). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'",
	    name);
	return false;
}

static int
t_version(struct tcall *c)
{
	enum version_kind kind;
	const char *op, *a, *b;
	size_t len, alen, blen;
	int cmp;

	if (c->a[0] == NULL)
		return terr_i(c, ERR_TYPE, "version: missing argument 'version'");
	if (!targ_str(c, 1, "eq", &op, &len) || !find_kind(c, &kind))
		return -1;
	if (!tcall_truth(c->in))
		return terr_i(c, ERR_VALUE, "Input version value cannot be empty");
	if (!tcall_truth(c->a[0]))
		return terr_i(c, ERR_VALUE, "Version parameter to compare against cannot be empty");
	if ((op = find_operator(c, op)) == NULL || !fu_text(c, c->in, &a, &alen) ||
	    !fu_text(c, c->a[0], &b, &blen) ||
	    version_compare(c->arena, kind, a, alen, b, blen, &cmp, c->err) != 0)
		return -1;
	return strchr(op, cmp < 0 ? '-' : cmp > 0 ? '+' : '0') != NULL;
}

/* ---- files -------------------------------------------------------------------------------- */

/* 0 and st set, 1 no such file, -1 error. */
static int
look(struct tcall *c, const struct value *v, bool follow, struct stat *st)
{
	const char *path;
	int64_t fd;

	if (!path_may_read(c))
		return -1;
	if (v->type == V_UNDEF)
		return fu_undef(c, v), -1;
	if (follow && fu_is_int(v, &fd)) {
		/* A file descriptor to Python, of which a program has three. */
		memset(st, 0, sizeof(*st));
		return fd < 0 || fd > 2;
	}
	if (v->type != V_STR)
		return terr_i(c, ERR_TYPE, "%s: path should be string, bytes, os.PathLike or integer, not %s",
		    c->name, tmpl_py_type(v));
	if (memchr(v->u.s, '\0', v->len) != NULL || v->len == 0)
		return 1;
	path = path_from_basedir(c, v->u.s);
	return (follow ? stat(file_at(path), st) : lstat(file_at(path), st)) == 0 ? 0 : 1;
}

static int
has_type(struct tcall *c, bool follow, mode_t type)
{
	struct stat st;
	int rc = look(c, c->in, follow, &st);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return type == 0 || (st.st_mode & S_IFMT) == type;
}

static int
t_directory(struct tcall *c)
{
	return has_type(c, true, S_IFDIR);
}

static int
t_file(struct tcall *c)
{
	return has_type(c, true, S_IFREG);
}

static int
t_link(struct tcall *c)
{
	return has_type(c, false, S_IFLNK);
}

static int
t_exists(struct tcall *c)
{
	return has_type(c, true, 0);
}

static int
t_link_exists(struct tcall *c)
{
	return has_type(c, false, 0);
}

static int
t_abs(struct tcall *c)
{
	const char *s;
	size_t len;

	return fu_str(c, c->in, &s, &len) ? *s == '/' : -1;
}

static int
t_same_file(struct tcall *c)
{
	struct stat a, b;
	int rc;

	if (c->a[0] == NULL)
		return terr_i(c, ERR_TYPE, "same_file: missing argument");
	if ((rc = look(c, c->in, true, &a)) < 0 || (rc == 0 && (rc = look(c, c->a[0], true, &b)) < 0))
		return -1;
	if (rc != 0)
		return terr_i(c, ERR_IO, "same_file: no such file or directory");
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int
t_mount(struct tcall *c)
{
	struct stat st, up;
	const char *path;
	int rc = look(c, c->in, false, &st);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (S_ISLNK(st.st_mode))
		return 0;
	path = arena_printf(c->arena, "%s/..", path_from_basedir(c, c->in->u.s));
	if (lstat(path, &up) != 0)
		return 0;
	return st.st_dev != up.st_dev || st.st_ino == up.st_ino;
}

/* ---- vaults --------------------------------------------------------------------------------- */

#define VAULT_HEADER	"$ANSIBLE_VAULT"

/* Values reach templates decrypted; that they were a vault is what made them secret. */
static int
t_vault_encrypted(struct tcall *c)
{
	return c->in->type == V_STR && (c->in->flags & V_SECRET) != 0;
}

static int
t_vaulted_file(struct tcall *c)
{
	CLEANUP_CLOSE int fd = -1;
	char head[sizeof(VAULT_HEADER) - 1];
	const char *s;
	size_t len;

	if (!path_may_read(c) || !fu_str(c, c->in, &s, &len))
		return -1;
	fd = open(path_from_basedir(c, s), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_errno(c->err, "Cannot test if the file '%s' is a vault", s);
	return read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
	    memcmp(head, VAULT_HEADER, sizeof(head)) == 0;
}

static const struct ttest tests[] = {
	{ "abs", "", 0, t_abs },
	{ "change", "", TF_LAZY, t_changed },
	{ "changed", "", TF_LAZY, t_changed },
	{ "directory", "", 0, t_directory },
	{ "exists", "", 0, t_exists },
	{ "failed", "", TF_LAZY, t_failed },
	{ "failure", "", TF_LAZY, t_failed },
	{ "file", "", 0, t_file },
	{ "finished", "", TF_LAZY, t_finished },
	{ "is_abs", "", 0, t_abs },
	{ "is_dir", "", 0, t_directory },
	{ "is_file", "", 0, t_file },
	{ "is_link", "", 0, t_link },
	{ "is_mount", "", 0, t_mount },
	{ "is_same_file", "other", 0, t_same_file },
	{ "link", "", 0, t_link },
	{ "link_exists", "", 0, t_link_exists },
	{ "mount", "", 0, t_mount },
	{ "reachable", "", TF_LAZY, t_reachable },
	{ "same_file", "other", 0, t_same_file },
	{ "skip", "", TF_LAZY, t_skipped },
	{ "skipped", "", TF_LAZY, t_skipped },
	{ "started", "", TF_LAZY, t_started },
	{ "succeeded", "", TF_LAZY, t_success },
	{ "success", "", TF_LAZY, t_success },
	{ "successful", "", TF_LAZY, t_success },
	{ "timedout", "", TF_LAZY, t_timedout },
	{ "unreachable", "", TF_LAZY, t_unreachable },
	{ "vault_encrypted", "", TF_LAZY, t_vault_encrypted },
	{ "vaulted_file", "", 0, t_vaulted_file },
	{ "version", "version,operator,strict,version_type", 0, t_version },
	{ "version_compare", "version,operator,strict,version_type", 0, t_version },
	{ NULL, NULL, 0, NULL }
};

const struct tfamily family_test_ansible = { NULL, tests };
