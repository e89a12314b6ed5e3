/*
 * apt: packages of Debian.
 *
 * What is there is read from dpkg's database (dpkg.h), so that a task that
 * finds nothing to do starts no program.  apt-get does the work; apt_run.c
 * knows how to start it.  A check run asks `apt-cache policy` at most, and
 * predicts a change for packages that apt has never heard of, with a warning:
 * an earlier task may be about to add their repository.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include "module/apt.h"
#include "module/fs.h"

#define END	{ .name = NULL }
#define ZERO	"0 upgraded, 0 newly installed, 0 to remove"

/* One element of `name`. */
struct want {
	const char			*spec;		/* as written */
	const char			*name;		/* without version */
	const char			*op, *version;	/* "=" or ">=", or NULL */
	const struct dpkg_package	*pkg;
	const char			*candidate;	/* apt's, when asked */
	bool				 need;
};

struct apt {
	struct mod	*m;
	struct dpkg	*db;
	const char	*state;
	bool		 purge, latest;
	struct want	*w;
	uint32_t	 n;
	bool		 would_update;	/* a check run that would have fetched lists */
	int64_t		 lock_timeout;
};

/* ---- command lines ------------------------------------------------------ */

/* The options that all changes have in common. */
static void
common_options(struct apt *a, struct apt_cmd *c)
{
	const struct value *recommends = mod_arg(a->m, "install_recommends");
	const char *s = mod_arg_str(a->m, "dpkg_options"), *release;
	bool force = mod_arg_bool(a->m, "force");
	size_t n;

	for (; s != NULL && *s != '\0'; s += n + (s[n] == ',')) {
		n = strcspn(s, ",");
		if (n == 0)
			continue;
		apt_add(c, "-o");
		apt_add(c, arena_printf(c->a, "Dpkg::Options::=--%.*s", (int)n, s));
	}
	if (recommends != NULL) {
		apt_add(c, "-o");
		apt_add(c, recommends->u.b ? "APT::Install-Recommends=yes" :
		    "APT::Install-Recommends=no");
	}
	release = mod_arg_str(a->m, "default_release");
	if (release != NULL) {
		apt_add(c, "-t");
		apt_add(c, release);
	}
	if (a->purge)
		apt_add(c, "--purge");
	if (force || mod_arg_bool(a->m, "allow_unauthenticated"))
		apt_add(c, "--allow-unauthenticated");
	if (force || mod_arg_bool(a->m, "allow_downgrade"))
		apt_add(c, "--allow-downgrades");
	if (force || mod_arg_bool(a->m, "allow_change_held_packages"))
		apt_add(c, "--allow-change-held-packages");
	if (force)
		apt_add(c, "--allow-remove-essential");
	if (mod_arg_bool(a->m, "autoremove"))
		apt_add(c, "--auto-remove");
	if (mod_arg_bool(a->m, "only_upgrade"))
		apt_add(c, "--only-upgrade");
	if (mod_arg_bool(a->m, "fail_on_autoremove"))
		apt_add(c, "--no-remove");
	if (strcmp(a->state, "fixed") == 0)
		apt_add(c, "--fix-broken");
}

/* ---- policy-rc.d: whether packages may start their services ------------- */

#define POLICY	"/usr/sbin/policy-rc.d"

struct policy {
	bool		 active;
	const char	*saved;		/* where the one before waits, or NULL */
};

static int
policy_begin(struct mod *m, struct policy *p)
{
	const struct value *code = mod_arg(m, "policy_rc_d");
	CLEANUP_CLOSE int fd = -1;
	const char *text;
	struct stat st;

	memset(p, 0, sizeof(*p));
	if (code == NULL)
		return 0;
	if (lstat(POLICY, &st) == 0) {
		p->saved = POLICY ".provctl-saved";
		if (rename(POLICY, p->saved) == -1)
			return mod_fail_errno(m, "cannot move " POLICY " away");
	}
	p->active = true;
	text = arena_printf(m->arena, "#!/bin/sh\nexit %d\n", (int)code->u.i);
	fd = open(POLICY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0755);
	if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    fchmod(fd, 0755) == -1)
		return mod_fail_errno(m, "cannot write " POLICY);
	return 0;
}

static void
policy_end(struct mod *m, const struct policy *p)
{
	if (!p->active)
		return;
	if (p->saved != NULL ? rename(p->saved, POLICY) == -1 : unlink(POLICY) == -1)
		mod_warn(m, "cannot put " POLICY " back as it was: %s",
		    strerror(errno));
}

/* Runs a change; output goes to the result. *ret_zero: apt found nothing to do after all. */
static int
run_change(struct apt *a, struct apt_cmd *c, bool *ret_zero)
{
	struct policy policy;
	struct proc p = PROC_INIT;
	int rc = -1;

	if (policy_begin(a->m, &policy) == 0 &&
	    apt_run(a->m, c, &p, a->lock_timeout, false) == 0) {
		if (p.status != 0 || p.timed_out)
			(void)apt_failed(a->m, c, &p);
		else {
			apt_result(a->m, &p);
			*ret_zero = strstr(buf_str(&p.out), ZERO) != NULL;
			rc = 0;
		}
	}
	policy_end(a->m, &policy);
	proc_release(&p);
	return rc;
}

/* What `apt-get -s` says would happen: 0 nothing, 1 something, -1 after mod_fail. Lines to *ret_diff. */
static int
simulate(struct apt *a, struct apt_cmd *c, const struct value **ret_diff)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s, *nl;
	struct proc p = PROC_INIT;
	int rc = -1;

	apt_add(c, "-s");
	if (apt_run(a->m, c, &p, a->lock_timeout, true) == 0) {
		if (p.status != 0)
			(void)apt_failed(a->m, c, &p);
		else
			rc = strstr(buf_str(&p.out), ZERO) == NULL;
	}
	for (s = buf_str(&p.out); *s != '\0'; s = nl + (*nl == '\n')) {
		nl = s + strcspn(s, "\n");
		if (strncmp(s, "Inst ", 5) == 0 || strncmp(s, "Remv ", 5) == 0 ||
		    strncmp(s, "Purg ", 5) == 0 || strncmp(s, "Del ", 4) == 0)
			buf_addf(&b, "%.*s\n", (int)(nl - s), s);
	}
	if (rc == 1 || b.len > 0)
		*ret_diff = v_strn(a->m->arena, buf_str(&b), b.len);
	else
		*ret_diff = NULL;
	proc_release(&p);
	return rc;
}

/* ---- names -------------------------------------------------------------- */

static bool
is_glob(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

static int
bad_name(struct mod *m, const char *spec)
{
	return mod_fail(m, "'%s' is not the name of a package (letters, digits, + - . and :arch; =version)",
	    spec);
}

/* Takes "name=1.2*" apart. */
static int
parse_want(struct mod *m, const char *spec, struct want *w)
{
	const char *eq = strchr(spec, '='), *p;
	size_t n;

	memset(w, 0, sizeof(*w));
	w->spec = spec;
	n = eq == NULL ? strlen(spec) : (size_t)(eq - spec);
	if (eq != NULL) {
		w->op = "=";
		w->version = eq + 1;
		if (n > 0 && spec[n - 1] == '>') {
			w->op = ">=";
			n--;
		}
		for (p = w->version; *p != '\0'; p++)
			if (strchr("+-.:~*?[]!_^", *p) == NULL &&
			    !((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			    (*p >= 'A' && *p <= 'Z')))
				return mod_fail(m, "'%s' is not a version (in '%s')",
				    w->version, spec);
		if (*w->version == '\0')
			return mod_fail(m, "'%s' names no version after =", spec);
	}
	if (!apt_name_valid(spec, n))
		return bad_name(m, spec);
	w->name = arena_strndup(m->arena, spec, n);
	return 0;
}

static void
add_want(struct apt *a, const struct want *w, uint32_t *cap)
{
	if (a->n == *cap) {
		a->w = arena_grow(a->m->arena, a->w, *cap * sizeof(*a->w),
		    (size_t)*cap * 2 * sizeof(*a->w));
		*cap *= 2;
	}
	a->w[a->n++] = *w;
}

/* All names apt knows that fit a pattern become wants. */
static int
expand_glob(struct apt *a, const struct want *glob, uint32_t *cap)
{
	const char *argv[] = { "apt-cache", "pkgnames", NULL };
	struct proc p = PROC_INIT;
	struct want w = *glob;
	const char *s;
	uint32_t before = a->n;
	size_t n, i;

	if (strcmp(a->state, "absent") == 0) {
		for (i = 0; i < dpkg_count(a->db); i++)
			if (fnmatch(glob->name, dpkg_at(a->db, i)->name, 0) == 0) {
				w.name = w.spec = dpkg_at(a->db, i)->name;
				add_want(a, &w, cap);
			}
		return 0;
	}
	p.argv = argv;
	if (proc_query(a->m, &p) == -1)
		return -1;
	for (s = buf_str(&p.out); *s != '\0'; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		w.name = arena_strndup(a->m->arena, s, n);
		w.spec = w.version == NULL ? w.name : arena_printf(a->m->arena,
		    "%s%s%s", w.name, w.op, w.version);
		if (fnmatch(glob->name, w.name, 0) == 0)
			add_want(a, &w, cap);
	}
	proc_release(&p);
	if (a->n == before && !a->m->check)
		return mod_fail(a->m, "No package(s) matching '%s' available",
		    glob->name);
	if (a->n == before)
		add_want(a, glob, cap);
	return 0;
}

/* `name` becomes a->w, wildcards expanded, each looked up. */
static int
find_wants(struct apt *a)
{
	const struct value *names = mod_arg(a->m, "name");
	uint32_t cap = v_count(names) + 1, i;
	const char *spec;
	struct want w;
	size_t n;

	a->w = ARENA_ARRAY(a->m->arena, cap, struct want);
	for (i = 0; i < v_count(names); i++) {
		spec = v_at(names, i)->u.s;
		spec += strspn(spec, " \t\n");
		for (n = strlen(spec); n > 0 && strchr(" \t\n", spec[n - 1]) != NULL; n--)
			;
		if (n == 0)
			continue;
		if (parse_want(a->m, arena_strndup(a->m->arena, spec, n), &w) == -1)
			return -1;
		if (is_glob(w.name)) {
			if (expand_glob(a, &w, &cap) == -1)
				return -1;
		} else
			add_want(a, &w, &cap);
	}
	for (i = 0; i < a->n; i++) {
		a->w[i].pkg = dpkg_find(a->db, a->w[i].name, NULL);
		if (!dpkg_installed(a->w[i].pkg) &&
		    strcmp(a->state, "absent") != 0 && a->w[i].version == NULL)
			a->w[i].pkg = dpkg_provider(a->db, a->w[i].name) != NULL ?
			    dpkg_provider(a->db, a->w[i].name) : a->w[i].pkg;
	}
	return 0;
}

/* ---- candidates --------------------------------------------------------- */

/*
 * One `apt-cache policy` for all wants that ask is set for.  A want whose name
 * apt does not know keeps candidate NULL; "(none)" becomes "".
 */
static int
ask_candidates(struct apt *a, bool (*ask)(const struct want *))
{
	const char *release = mod_arg_str(a->m, "default_release");
	struct want *cur = NULL;
	struct apt_cmd c;
	struct proc p = PROC_INIT;
	const char *s, *v;
	uint32_t i, asked = 0;
	size_t n;

	apt_begin(a->m, &c, "apt-cache");
	if (release != NULL) {
		apt_add(&c, "-t");
		apt_add(&c, release);
	}
	apt_add(&c, "policy");
	for (i = 0; i < a->n; i++)
		if (ask(&a->w[i])) {
			apt_add(&c, a->w[i].name);
			asked++;
		}
	if (asked == 0)
		return 0;
	if (apt_run(a->m, &c, &p, 0, true) == -1) {
		proc_release(&p);
		return -1;
	}
	for (s = buf_str(&p.out); *s != '\0'; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		if (*s != ' ' && n > 1 && s[n - 1] == ':') {
			cur = NULL;
			for (i = 0; i < a->n && cur == NULL; i++)
				if (strlen(a->w[i].name) == n - 1 &&
				    strncmp(a->w[i].name, s, n - 1) == 0)
					cur = &a->w[i];
		} else if (cur != NULL && n > 13 &&
		    strncmp(s, "  Candidate: ", 13) == 0) {
			v = arena_strndup(a->m->arena, s + 13, n - 13);
			cur->candidate = *v == '(' ? "" : v;
		}
	}
	proc_release(&p);
	return 0;
}

static bool
ask_installed(const struct want *w)
{
	return dpkg_installed(w->pkg);
}

static bool
ask_needed(const struct want *w)
{
	return w->need && !dpkg_installed(w->pkg);
}

/* ---- deciding ----------------------------------------------------------- */

static bool
version_fits(const struct want *w)
{
	if (w->version == NULL)
		return true;
	if (strcmp(w->op, ">=") == 0)
		return dpkg_version_compare(w->pkg->version, w->version) >= 0;
	return strcmp(w->pkg->version, w->version) == 0 ||
	    fnmatch(w->version, w->pkg->version, 0) == 0;
}

static void
decide_install(struct apt *a, struct want *w)
{
	if (!dpkg_installed(w->pkg))
		w->need = !mod_arg_bool(a->m, "only_upgrade");
	else if (w->version != NULL)
		w->need = !version_fits(w);
	else if (a->latest)
		w->need = w->candidate != NULL && *w->candidate != '\0' &&
		    dpkg_version_compare(w->candidate, w->pkg->version) > 0;
}

static void
decide_remove(struct apt *a, struct want *w)
{
	w->need = w->pkg != NULL && (w->pkg->state > DPKG_CONFIG_FILES ||
	    (a->purge && w->pkg->state == DPKG_CONFIG_FILES)) &&
	    (w->version == NULL || version_fits(w));
}

/* "name: before" and "name: after" lines of what is needed. */
static void
describe(struct apt *a, bool remove, struct value **ret_before,
    struct value **ret_after)
{
	CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT;
	const struct want *w;
	uint32_t i;

	for (i = 0; i < a->n; i++) {
		w = &a->w[i];
		if (!w->need)
			continue;
		buf_addf(&before, "%s: %s\n", w->name,
		    w->pkg == NULL || w->pkg->state <= DPKG_NOT_INSTALLED ?
		    "not installed" : w->pkg->state == DPKG_CONFIG_FILES ?
		    "only configuration files" : w->pkg->version);
		if (remove)
			buf_addf(&after, "%s: not installed\n", w->name);
		else if (w->version != NULL)
			buf_addf(&after, "%s: %s%s\n", w->name,
			    strcmp(w->op, "=") == 0 ? "" : ">= ", w->version);
		else
			buf_addf(&after, "%s: installed%s\n", w->name,
			    a->latest ? " (latest)" : "");
	}
	*ret_before = v_strn(a->m->arena, buf_str(&before), before.len);
	*ret_after = v_strn(a->m->arena, buf_str(&after), after.len);
}

/* ---- packages ----------------------------------------------------------- */

static void
warn_unknown(struct apt *a)
{
	uint32_t i;

	if (a->would_update || ask_candidates(a, ask_needed) == -1)
		return;
	for (i = 0; i < a->n; i++)
		if (ask_needed(&a->w[i]) && a->w[i].candidate == NULL)
			mod_warn(a->m, "apt does not know a package '%s' (yet)",
			    a->w[i].name);
}

/* What was asked for must be there now. */
static int
verify(struct apt *a)
{
	uint32_t i;

	a->db = dpkg_open(NULL);
	for (i = 0; a->db != NULL && i < a->n; i++) {
		struct want *w = &a->w[i];

		w->pkg = dpkg_find(a->db, w->name, NULL);
		if (w->need && w->op != NULL && strcmp(w->op, ">=") == 0 &&
		    (!dpkg_installed(w->pkg) || !version_fits(w)))
			return mod_fail(a->m, "no version of '%s' that is %s or later is available (now: %s)",
			    w->name, w->version, w->pkg == NULL ? "none" :
			    w->pkg->version);
	}
	return 0;
}

static int
change_packages(struct apt *a, bool remove)
{
	struct value *before, *after;
	bool zero = false;
	struct apt_cmd c;
	uint32_t i, n = 0;

	for (i = 0; i < a->n; i++)
		n += a->w[i].need;
	if (n == 0)
		return 0;
	describe(a, remove, &before, &after);
	if (!mod_change(a->m, "packages", before, after)) {
		if (!remove)
			warn_unknown(a);
		return 0;
	}
	apt_begin(a->m, &c, "apt-get");
	common_options(a, &c);
	apt_add(&c, remove ? "remove" : "install");
	apt_add(&c, "--");
	for (i = 0; i < a->n; i++)
		if (a->w[i].need)
			apt_add(&c, a->w[i].op != NULL && strcmp(a->w[i].op, "=") == 0 &&
			    !remove ? a->w[i].spec : a->w[i].name);
	if (run_change(a, &c, &zero) == -1)
		return -1;
	if (zero && !remove) {
		a->m->changed = false;
		a->m->diffs = NULL;
	}
	return remove ? 0 : verify(a);
}

static int
build_dep(struct apt *a)
{
	const struct value *diff;
	bool zero = false;
	struct apt_cmd c, query;
	uint32_t i;
	int rc;

	apt_begin(a->m, &c, "apt-get");
	common_options(a, &c);
	apt_add(&c, "build-dep");
	for (i = 0; i < a->n; i++)
		apt_add(&c, a->w[i].spec);
	query = c;
	query.v = arena_grow(a->m->arena, c.v, c.cap * sizeof(*c.v),
	    c.cap * sizeof(*c.v));
	rc = simulate(a, &query, &diff);
	if (rc <= 0)
		return rc;
	if (!mod_change(a->m, "build dependencies", NULL, diff))
		return 0;
	return run_change(a, &c, &zero);
}

static int
packages(struct apt *a)
{
	uint32_t i;

	if (find_wants(a) == -1)
		return -1;
	if (strcmp(a->state, "build-dep") == 0)
		return a->n == 0 ? 0 : build_dep(a);
	if (strcmp(a->state, "absent") == 0) {
		for (i = 0; i < a->n; i++)
			decide_remove(a, &a->w[i]);
		return change_packages(a, true);
	}
	if (a->latest && ask_candidates(a, ask_installed) == -1)
		return -1;
	for (i = 0; i < a->n; i++)
		decide_install(a, &a->w[i]);
	return change_packages(a, false);
}

/* ---- whole-system steps ------------------------------------------------- */

/* Asks with -s, then does it. what: for the diff. */
static int
simulate_and_run(struct apt *a, const char *what, const char *const *words)
{
	bool autoclean = strcmp(words[0], "autoclean") == 0;
	const struct value *diff;
	struct apt_cmd c, query;
	bool zero = false;
	int rc;

	apt_begin(a->m, &query, "apt-get");
	if (!autoclean)
		common_options(a, &query);
	for (rc = 0; words[rc] != NULL; rc++)
		apt_add(&query, words[rc]);
	rc = simulate(a, &query, &diff);
	if (rc == -1)
		return -1;
	if (autoclean)
		rc = diff != NULL;
	if (rc == 0 || !mod_change(a->m, what, NULL, diff))
		return 0;
	apt_begin(a->m, &c, "apt-get");
	if (!autoclean)
		common_options(a, &c);
	for (rc = 0; words[rc] != NULL; rc++)
		apt_add(&c, words[rc]);
	return run_change(a, &c, &zero);
}

static int
upgrade(struct apt *a, const char *mode)
{
	static const char *const safe[] = { "--with-new-pkgs", "upgrade", NULL };
	static const char *const full[] = { "dist-upgrade", NULL };

	return simulate_and_run(a, "upgrade", strcmp(mode, "dist") == 0 ||
	    strcmp(mode, "full") == 0 ? full : safe);
}

static int
clean(struct apt *a)
{
	CLEANUP_CLOSEDIR DIR *d = opendir("/var/cache/apt/archives");
	struct dirent *e;
	struct apt_cmd c;
	bool any = false, zero;
	size_t n;

	while (d != NULL && (e = readdir(d)) != NULL) {
		n = strlen(e->d_name);
		if (n > 4 && strcmp(e->d_name + n - 4, ".deb") == 0)
			any = true;
	}
	if (!any || !mod_change(a->m, "downloaded packages", NULL, NULL))
		return 0;
	apt_begin(a->m, &c, "apt-get");
	apt_add(&c, "clean");
	return run_change(a, &c, &zero);
}

/* ---- a .deb ------------------------------------------------------------- */

/* Package, Version and Architecture of a .deb. */
static int
deb_control(struct mod *m, const char *path, const char *ret[3])
{
	const char *argv[] = { "dpkg-deb", "--show",
		"--showformat=${Package}\\n${Version}\\n${Architecture}\\n",
		path, NULL };
	struct proc p = PROC_INIT;
	const char *s;
	size_t n;
	int rc, i;

	p.argv = argv;
	rc = proc_query(m, &p);
	if (rc == 0 && p.status != 0)
		rc = mod_fail(m, "%s is not a Debian package: %s", path,
		    buf_str(&p.err));
	s = buf_str(&p.out);
	for (i = 0; rc == 0 && i < 3; i++) {
		n = strcspn(s, "\n");
		if (n == 0)
			rc = mod_fail(m, "%s has no name, version or architecture",
			    path);
		ret[i] = arena_strndup(m->arena, s, n);
		s += n + (s[n] == '\n');
	}
	proc_release(&p);
	return rc;
}

static int
install_deb_file(struct apt *a, const char *path)
{
	const struct dpkg_package *pkg;
	const char *ctl[3], *full;
	bool zero = false;
	struct apt_cmd c;
	int cmp = 1;

	if (deb_control(a->m, path, ctl) == -1)
		return -1;
	pkg = dpkg_find(a->db, ctl[0], ctl[2]);
	if (dpkg_installed(pkg))
		cmp = dpkg_version_compare(ctl[1], pkg->version);
	if (cmp == 0)
		return 0;
	if (cmp < 0 && !mod_arg_bool(a->m, "allow_downgrade") &&
	    !mod_arg_bool(a->m, "force"))
		return mod_fail(a->m, "A later version is already installed: %s %s, the file has %s (allow_downgrade: true takes it)",
		    ctl[0], pkg->version, ctl[1]);
	if (!mod_change(a->m, "packages", v_strf(a->m->arena, "%s: %s\n", ctl[0],
	    dpkg_installed(pkg) ? pkg->version : "not installed"),
	    v_strf(a->m->arena, "%s: %s\n", ctl[0], ctl[1])))
		return 0;
	/* a path makes apt-get take the file and bring what it depends on */
	full = *path == '/' ? path : arena_printf(a->m->arena, "./%s", path);
	apt_begin(a->m, &c, "apt-get");
	common_options(a, &c);
	apt_add(&c, "install");
	apt_add(&c, full);
	return run_change(a, &c, &zero);
}

static int
install_deb(struct apt *a, const char *deb)
{
	bool remote = strstr(deb, "://") != NULL;
	const char *path = deb, *named;
	struct stat st;
	int rc;

	if (remote) {
		path = apt_download(a->m, deb);
		if (path == NULL)
			return -1;
		/* apt-get wants the suffix */
		named = arena_printf(a->m->arena, "%s.deb", path);
		if (rename(path, named) == -1)
			return mod_fail_errno(a->m, "cannot rename %s", path);
		path = named;
		(void)chmod(path, 0644);
	} else if (stat(path, &st) == -1) {
		if (errno == ENOENT && a->m->check) {
			/* an earlier task would have put it there */
			(void)mod_change(a->m, "packages", NULL,
			    v_strf(a->m->arena, "%s: installed\n", deb));
			return 0;
		}
		return mod_fail_errno(a->m, "cannot read %s", deb);
	}
	rc = install_deb_file(a, path);
	if (remote)
		(void)unlink(path);
	return rc;
}

/* ---- the module --------------------------------------------------------- */

/* update_cache and cache_valid_time. alone: nothing else is asked for. */
static int
update(struct apt *a, bool alone)
{
	int64_t valid = mod_arg_int(a->m, "cache_valid_time", 0);
	bool wanted = mod_arg_bool(a->m, "update_cache") || valid > 0;
	bool differ = false, done = false;

	if (wanted && apt_lists_time() + valid < (int64_t)time(NULL) + (valid == 0)) {
		done = true;
		if (a->m->check) {
			a->would_update = true;
			if (alone)
				(void)mod_change(a->m, APT_LISTS, NULL, NULL);
		} else if (apt_update(a->m, mod_arg_int(a->m,
		    "update_cache_retries", 5), mod_arg_int(a->m,
		    "update_cache_retry_max_delay", 12), a->lock_timeout,
		    &differ) == -1)
			return -1;
		if (alone && differ)
			(void)mod_change(a->m, APT_LISTS, NULL, NULL);
	}
	mod_set_bool(a->m, "cache_updated", done);
	mod_set_int(a->m, "cache_update_time", apt_lists_time());
	return 0;
}

static int
apt_module_run(struct mod *m)
{
	struct apt a = { .m = m };
	const char *mode = mod_arg_str(m, "upgrade"), *deb;
	const struct value *names = mod_arg(m, "name");
	static const char *const clean_words[] = { "autoclean", NULL };
	static const char *const remove_words[] = { "autoremove", NULL };
	bool whole;

	if (names != NULL && v_count(names) == 0)
		names = NULL;
	a.state = mod_arg_str(m, "state");
	if (strcmp(a.state, "installed") == 0)
		a.state = "present";
	if (strcmp(a.state, "removed") == 0)
		a.state = "absent";
	a.purge = mod_arg_bool(m, "purge");
	a.latest = strcmp(a.state, "latest") == 0;
	a.lock_timeout = mod_arg_int(m, "lock_timeout", 60);
	deb = mod_arg_path(m, "deb");
	if (mode != NULL && strcmp(mode, "no") == 0)
		mode = NULL;
	if (a.latest && names != NULL && v_count(names) == 1 &&
	    v_eqs(v_at(names, 0), "*")) {
		mode = "yes";
		names = NULL;
	}
	whole = mode != NULL || mod_arg_bool(m, "autoremove") ||
	    mod_arg_bool(m, "autoclean") || mod_arg_bool(m, "clean");
	if (update(&a, !whole && mod_arg(m, "name") == NULL && deb == NULL) == -1)
		return -1;
	a.db = dpkg_open(NULL);
	if (a.db == NULL)
		return mod_fail_errno(m, "cannot read dpkg's database (/var/lib/dpkg/status)");
	if (mod_arg_bool(m, "clean") && clean(&a) == -1)
		return -1;
	if (mode != NULL)
		return upgrade(&a, mode);
	if (deb != NULL)
		return install_deb(&a, deb);
	if (names != NULL)
		return packages(&a);
	if (mod_arg_bool(m, "autoclean") &&
	    simulate_and_run(&a, "old packages", clean_words) == -1)
		return -1;
	if (mod_arg_bool(m, "autoremove"))
		return simulate_and_run(&a, "unused packages", remove_words);
	return 0;
}

#define ROWS	\
	{ .name = "name", .type = ARG_LIST, .of = ARG_STR, .aliases = "package,pkg",	\
	    .doc = "Packages: name, name:arch, name=version, name>=version; * ? [ ] are wildcards." },	\
	{ .name = "state", .type = ARG_STR, .def = "present",	\
	    .choices = "present,absent,latest,build-dep,fixed,installed,removed",	\
	    .doc = "`latest` upgrades what is installed; `fixed` corrects broken dependencies; `installed` and `removed` are old words." },	\
	{ .name = "update_cache", .type = ARG_BOOL, .aliases = "update-cache",	\
	    .doc = "Fetches the lists first." },	\
	{ .name = "cache_valid_time", .type = ARG_INT, .def = "0",	\
	    .doc = "Fetches the lists only when they are older than this many seconds." },	\
	{ .name = "update_cache_retries", .type = ARG_INT, .def = "5",	\
	    .doc = "How often that is tried." },	\
	{ .name = "update_cache_retry_max_delay", .type = ARG_INT, .def = "12",	\
	    .doc = "Longest wait in between, in seconds." },	\
	{ .name = "upgrade", .type = ARG_STR, .choices = "no,yes,safe,full,dist",	\
	    .doc = "Upgrades all packages; `full` and `dist` may remove some." },	\
	{ .name = "deb", .type = ARG_PATH,	\
	    .doc = "Installs this .deb, a file of the host or a URL." },	\
	{ .name = "purge", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Removes configuration files too." },	\
	{ .name = "autoremove", .type = ARG_BOOL, .def = "false", .aliases = "auto-remove",	\
	    .doc = "Removes packages that nothing needs any more." },	\
	{ .name = "autoclean", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Removes downloaded packages that are obsolete." },	\
	{ .name = "clean", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Removes all downloaded packages." },	\
	{ .name = "install_recommends", .type = ARG_BOOL, .aliases = "install-recommends",	\
	    .doc = "Whether recommended packages come along; apt's configuration decides unless given." },	\
	{ .name = "default_release", .type = ARG_STR, .aliases = "default-release",	\
	    .doc = "Release to prefer (apt-get -t)." },	\
	{ .name = "force", .type = ARG_BOOL, .def = "false",	\
	    .doc = "All of allow_unauthenticated, allow_downgrade, allow_change_held_packages, and removal of essential packages." },	\
	{ .name = "allow_unauthenticated", .type = ARG_BOOL, .def = "false", .aliases = "allow-unauthenticated",	\
	    .doc = "Takes packages without a valid signature." },	\
	{ .name = "allow_downgrade", .type = ARG_BOOL, .def = "false",	\
	    .aliases = "allow-downgrade,allow_downgrades,allow-downgrades",	\
	    .doc = "Takes a version older than the installed one." },	\
	{ .name = "allow_change_held_packages", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Changes packages that are on hold." },	\
	{ .name = "only_upgrade", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Installs nothing that is not installed yet." },	\
	{ .name = "fail_on_autoremove", .type = ARG_BOOL, .def = "false",	\
	    .doc = "Fails rather than remove anything." },	\
	{ .name = "dpkg_options", .type = ARG_STR, .def = "force-confdef,force-confold",	\
	    .doc = "Options for dpkg, separated by commas." },	\
	{ .name = "lock_timeout", .type = ARG_INT, .def = "60",	\
	    .doc = "Seconds to wait for another apt or dpkg; it is named meanwhile." },	\
	{ .name = "policy_rc_d", .type = ARG_INT,	\
	    .doc = "Exit code for /usr/sbin/policy-rc.d during the change; 101: services are not started." },	\
	{ .name = "force_apt_get", .type = ARG_BOOL, .flags = ARG_IGNORED,	\
	    .doc = "apt-get is always used." },	\
	{ .name = "auto_install_module_deps", .type = ARG_BOOL, .flags = ARG_IGNORED,	\
	    .doc = "There are none." }

static const struct mod_arg apt_args[] = {
	ROWS,
	END
};

static const struct mod_rule apt_rules[] = {
	{ RULE_EXCLUSIVE, "deb,name,upgrade" },
	{ RULE_END, NULL }
};

const struct module apt_module = {
	.name = "apt", .collection = "ansible.builtin",
	.summary = "Installs, removes and upgrades packages.",
	.doc = "What is installed is read from dpkg's database: a task with nothing to do starts no program.\n"
	    "In a check run, packages that apt does not know count as a change, with a warning.",
	.examples =
	    "- apt:\n"
	    "    name: [nginx, postgresql=15+*]\n"
	    "    update_cache: true\n"
	    "    cache_valid_time: 3600\n"
	    "- apt:\n"
	    "    name: apache2\n"
	    "    state: absent\n"
	    "    purge: true\n"
	    "- apt:\n"
	    "    deb: https://example.org/tool_1.0_amd64.deb\n"
	    "- apt:\n"
	    "    upgrade: dist\n",
	.returns = "cache_updated: whether the lists were fetched\ncache_update_time: when they were, in seconds\n"
	    "stdout: what apt-get printed\nstderr: what it printed there\n",
	.args = apt_args, .rules = apt_rules, .run = apt_module_run,
};

/* `package` hands everything to the host's package manager; roles name these for hosts that have another one. */
#define OTHERS(NAME)	{ .name = NAME, .type = ARG_RAW, .flags = ARG_UNSUPPORTED,	\
	    .doc = "Of dnf and others; apt does not know it." }

static const struct mod_arg package_args[] = {
	ROWS,
	OTHERS("allowerasing"), OTHERS("best"), OTHERS("bugfix"), OTHERS("cacheonly"),
	OTHERS("conf_file"), OTHERS("disable_excludes"), OTHERS("disable_gpg_check"),
	OTHERS("disable_plugin"), OTHERS("disablerepo"), OTHERS("download_dir"),
	OTHERS("download_only"), OTHERS("enable_plugin"), OTHERS("enablerepo"), OTHERS("exclude"),
	OTHERS("extra_args"), OTHERS("install_repoquery"), OTHERS("install_weak_deps"),
	OTHERS("installroot"), OTHERS("list"), OTHERS("nobest"), OTHERS("oldpackage"),
	OTHERS("releasever"), OTHERS("security"), OTHERS("skip_broken"), OTHERS("sslverify"),
	OTHERS("update_only"), OTHERS("validate_certs"),
	{ .name = "use", .type = ARG_STR, .flags = ARG_IGNORED,
	    .doc = "The host's package manager is apt." },
	END
};

const struct module package_module = {
	.name = "package", .collection = "ansible.builtin",
	.summary = "Installs and removes packages by the host's package manager, which is apt.",
	.doc = "See `apt`, whose parameters it takes.",
	.examples =
	    "- package:\n"
	    "    name: rsync\n"
	    "    state: present\n",
	.returns = "stdout: what apt-get printed\nstderr: what it printed there\n",
	.args = package_args, .rules = apt_rules, .run = apt_module_run,
};
