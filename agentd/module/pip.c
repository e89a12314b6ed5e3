/*
 * pip: packages of Python, in a virtual environment or the system's.
 *
 * What is installed is read from the *.dist-info directories beside the
 * packages, as pip itself does, when the environment is a virtual one whose
 * directory tells where they are; else `pip list` says.  pip does the work.
 */
#include <sys/stat.h>
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "module/fs.h"
#include "module/pip.h"
#include "module/proc.h"
#include "module/words.h"

#define END		{ .name = NULL }

/* One of `name`: "django>=4,<5", "flask[async]", a path or URL. */
struct want {
	const char	*spec;		/* for pip */
	const char	*name;		/* folded, or NULL: a path or URL */
	const char	*version;	/* conditions, "" for none */
};

struct pip {
	struct mod	*m;
	const char	*venv;		/* or NULL */
	const char	*state;
	const char	*cwd;
	struct words	 pip;		/* how pip is started */
	struct value	*installed;	/* folded name -> version */
	bool		 missing;	/* check run: not there yet */
};

/* PEP 503: lower case, runs of - _ . are one -. */
static const char *
fold(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1);
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (s[i] == '-' || s[i] == '_' || s[i] == '.') {
			if (k > 0 && out[k - 1] != '-')
				out[k++] = '-';
		} else
			out[k++] = (char)tolower((unsigned char)s[i]);
	}
	out[k] = '\0';
	return out;
}

/* ---- versions (PEP 440) ------------------------------------------------- */

/*
 * The next part of a version: number, or letters with a rank: dev < a < b <
 * rc < (end) < post.  Local parts (+…) count after all others.
 */
static bool
next_part(const char **p, long *num, int *rank)
{
	const char *s = *p;

	while (*s == '.' || *s == '-' || *s == '_')
		s++;
	if (*s == '\0' || *s == '+') {
		*p = s;
		return false;
	}
	*rank = 0;
	*num = 0;
	if (isdigit((unsigned char)*s)) {
		*num = strtol(s, NULL, 10);
		while (isdigit((unsigned char)*s))
			s++;
	} else {
		*rank = strncmp(s, "dev", 3) == 0 ? -4 : *s == 'a' ? -3 :
		    *s == 'b' ? -2 : *s == 'r' || *s == 'c' ? -1 : 1;
		while (isalpha((unsigned char)*s))
			s++;
		if (*s != '\0' && !isalnum((unsigned char)*s) &&
		    strchr(".-_+", *s) == NULL)
			s++;
	}
	*p = s;
	return true;
}

int
pip_version_compare(const char *a, const char *b)
{
	long na, nb;
	int ra, rb;
	bool more_a, more_b;

	a += *a == 'v';
	b += *b == 'v';
	for (;;) {
		na = nb = 0;
		ra = rb = 0;
		more_a = next_part(&a, &na, &ra);
		more_b = next_part(&b, &nb, &rb);
		if (!more_a && !more_b)
			return 0;
		if (ra != rb)
			return ra < rb ? -1 : 1;
		if (na != nb)
			return na < nb ? -1 : 1;
	}
}

static bool
condition_holds(struct arena *a, const char *have, const char *op, size_t nop,
    const char *want, size_t nwant)
{
	const char *w = arena_strndup(a, want, nwant), *dot;
	int c;

	if (nwant > 2 && strcmp(w + nwant - 2, ".*") == 0) {
		bool prefix = strncmp(have, w, nwant - 1) == 0 ||
		    strcmp(have, arena_strndup(a, w, nwant - 2)) == 0;

		return *op == '!' ? !prefix : prefix;
	}
	if (nop == 3)		/* === */
		return strcmp(have, w) == 0;
	c = pip_version_compare(have, w);
	if (nop == 2 && *op == '=')
		return c == 0;
	if (nop == 2 && *op == '!')
		return c != 0;
	if (nop == 2 && *op == '~') {	/* ~=1.4.2: >=1.4.2, ==1.4.* */
		dot = strrchr(w, '.');
		return c >= 0 && dot != NULL &&
		    strncmp(have, w, (size_t)(dot - w) + 1) == 0;
	}
	if (*op == '>')
		return nop == 2 ? c >= 0 : c > 0;
	return nop == 2 ? c <= 0 : c < 0;
}

bool
pip_version_fits(struct arena *a, const char *have, const char *conditions)
{
	const char *s = conditions, *op, *want;
	size_t nop, n;

	while (*s != '\0') {
		s += strspn(s, " ,");
		if (*s == '\0')
			break;
		op = s;
		nop = strspn(s, "<>=!~");
		if (nop == 0 || nop > 3)
			return false;
		want = s + nop + strspn(s + nop, " ");
		n = strcspn(want, ", ");
		if (!condition_holds(a, have, op, nop, want, n))
			return false;
		s = want + n;
	}
	return true;
}

/* ---- what is wanted ----------------------------------------------------- */

static bool
is_name(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	if (n == 0 || *s == '.' || *s == '-')
		return false;
	s += n;
	s += strspn(s, " ");
	return *s == '\0' || strchr("<>=!~[;", *s) != NULL;
}

static int
parse_want(struct pip *p, const char *spec, struct want *w)
{
	const char *version = mod_arg_str(p->m, "version"), *s;
	struct arena *a = p->m->arena;
	size_t n;

	memset(w, 0, sizeof(*w));
	if (*spec == '-')
		return mod_fail(p->m, "'%s' is not the name of a package (options go to extra_args)", spec);
	w->spec = spec;
	w->version = "";
	if (!is_name(spec))
		return 0;
	n = strspn(spec, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	w->name = fold(a, spec, n);
	s = spec + n;
	s += strspn(s, " ");
	if (*s == '[') {
		s += strcspn(s, "]");
		s += *s == ']';
	}
	w->version = arena_strndup(a, s, strcspn(s, ";"));
	if (version != NULL && *version != '\0') {
		if (strpbrk(w->version, "<>=!~") != NULL)
			return mod_fail(p->m, "'version' is given, and '%s' has one of its own", spec);
		w->version = strchr("<>=!~", *version) != NULL ? version :
		    arena_printf(a, "==%s", version);
		w->spec = arena_printf(a, "%s%s", spec, w->version);
	}
	return 0;
}

/* `name` was split at commas; "a>=1" and "<2" belong together. */
static struct value *
joined_names(struct pip *p)
{
	const struct value *names = mod_arg(p->m, "name");
	struct value *out = v_list(p->m->arena);
	const char *s, *pending = NULL;
	uint32_t i;

	for (i = 0; names != NULL && i < v_count(names); i++) {
		s = v_at(names, i)->u.s;
		s += strspn(s, " \t\n");
		if (*s == '\0')
			continue;
		if (pending != NULL && strchr("<>=!~", *s) != NULL) {
			pending = arena_printf(p->m->arena, "%s,%s", pending, s);
			continue;
		}
		if (pending != NULL)
			v_push(p->m->arena, out, v_str(p->m->arena, pending));
		pending = s;
	}
	if (pending != NULL)
		v_push(p->m->arena, out, v_str(p->m->arena, pending));
	return out;
}

/* ---- what is there ------------------------------------------------------ */

/* Name and version of "NAME-1.2.dist-info"; they never hold a '-' there. */
static void
add_dist_info(struct pip *p, const char *path)
{
	const char *base = strrchr(path, '/') + 1, *dash = strchr(base, '-');
	const char *end = strstr(base, ".dist-info");

	if (dash == NULL || end == NULL || dash > end)
		return;
	v_sets(p->m->arena, p->installed, fold(p->m->arena, base,
	    (size_t)(dash - base)), v_strn(p->m->arena, dash + 1,
	    (size_t)(end - dash - 1)));
}

/* false: this environment has to be asked by its pip. */
static bool
read_venv(struct pip *p)
{
	CLEANUP_BUF struct buf cfg = BUF_INIT;
	const char *site;
	glob_t g;
	size_t i;
	bool ok;

	if (p->venv == NULL)
		return false;
	cfg.max = 65536;
	if (buf_read_file(&cfg, arena_printf(p->m->arena, "%s/pyvenv.cfg",
	    p->venv)) == -1 || strstr(buf_str(&cfg),
	    "include-system-site-packages = true") != NULL)
		return false;
	site = arena_printf(p->m->arena, "%s/lib/python3*/site-packages", p->venv);
	memset(&g, 0, sizeof(g));
	ok = glob(site, 0, NULL, &g) == 0 && g.gl_pathc == 1;
	globfree(&g);
	if (!ok)
		return false;
	/* what is not in dist-info (develop links, eggs) only pip can tell */
	memset(&g, 0, sizeof(g));
	ok = glob(arena_printf(p->m->arena, "%s/*.eg[gl]*", site), 0, NULL, &g) != 0;
	globfree(&g);
	if (!ok)
		return false;
	p->installed = v_map(p->m->arena);
	memset(&g, 0, sizeof(g));
	if (glob(arena_printf(p->m->arena, "%s/*.dist-info", site), 0, NULL, &g) == 0)
		for (i = 0; i < g.gl_pathc; i++)
			add_dist_info(p, g.gl_pathv[i]);
	globfree(&g);
	return true;
}

static int
ask_pip(struct pip *p)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	struct words w = words_copy(&p->pip);
	struct proc pr = PROC_INIT;
	const struct value *list, *e;
	const char *text, *name;
	uint32_t i;
	int rc;

	words_push(&w, "list");
	words_push(&w, "--format=json");
	words_push(&w, "--disable-pip-version-check");
	pr.argv = w.v;
	p->installed = v_map(p->m->arena);
	rc = proc_query(p->m, &pr);
	if (rc == 0 && pr.status != 0) {
		proc_result(p->m, &pr);
		rc = mod_fail(p->m, "cannot list what is installed: %s", buf_str(&pr.err));
	}
	if (rc == 0) {
		text = buf_str(&pr.out);
		list = json_parse_text(p->m->arena, text, strlen(text), &err);
		for (i = 0; list != NULL && i < v_count(list); i++) {
			e = v_at(list, i);
			name = v_get_str(e, "name", "");
			v_sets(p->m->arena, p->installed, fold(p->m->arena, name,
			    strlen(name)), v_str(p->m->arena,
			    v_get_str(e, "version", "")));
		}
	}
	proc_release(&pr);
	return rc;
}

/* ---- pip ---------------------------------------------------------------- */

static int
run_change(struct pip *p, struct words *w, bool *ret_nothing)
{
	const char *mask = mod_arg_str(p->m, "umask");
	struct proc pr = PROC_INIT;
	const char *env[] = { "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1",
		"LC_ALL=C.UTF-8", NULL, NULL };
	int rc;

	if (p->venv != NULL)
		env[3] = arena_printf(p->m->arena, "VIRTUAL_ENV=%s", p->venv);
	pr.argv = w->v;
	pr.env = env;
	pr.cwd = p->cwd;
	pr.live = true;
	if (mask != NULL)
		pr.umask = (int)strtol(mask, NULL, 8);
	rc = proc_must(p->m, &pr);
	if (rc == 0) {
		proc_result(p->m, &pr);
		(void)v_dels(p->m->result, "start");
		(void)v_dels(p->m->result, "end");
		(void)v_dels(p->m->result, "delta");
		(void)v_dels(p->m->result, "rc");
		if (ret_nothing != NULL)
			*ret_nothing = strstr(buf_str(&pr.out),
			    "Successfully installed") == NULL;
	} else
		p->m->changed = false;
	proc_release(&pr);
	return rc;
}

static int
make_venv(struct pip *p)
{
	const char *command = mod_arg_str(p->m, "virtualenv_command");
	const char *python = mod_arg_str(p->m, "virtualenv_python");
	const char *const *cmd = words_split(p->m, command);
	struct words w = { .arena = p->m->arena };
	bool venv;

	if (cmd == NULL || cmd[0] == NULL)
		return mod_fail(p->m, "virtualenv_command is not a command: %s", command);
	if (!mod_change(p->m, p->venv, NULL, v_str(p->m->arena, "virtual environment\n"))) {
		p->missing = true;
		return 0;
	}
	/* Debian's hosts have venv rather than the older virtualenv */
	if (strcmp(command, "virtualenv") == 0 && proc_find(p->m, "virtualenv") == NULL) {
		words_push(&w, python != NULL ? python : "python3");
		words_push(&w, "-m");
		words_push(&w, "venv");
		venv = true;
	} else {
		for (; *cmd != NULL; cmd++)
			words_push(&w, *cmd);
		venv = strstr(command, "venv") != NULL && strstr(command, "virtualenv") == NULL;
		if (venv && python != NULL)
			return mod_fail(p->m, "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command");
	}
	if (mod_arg_bool(p->m, "virtualenv_site_packages"))
		words_push(&w, "--system-site-packages");
	if (!venv && python != NULL)
		words_push(&w, arena_printf(p->m->arena, "-p%s", python));
	words_push(&w, p->venv);
	return run_change(p, &w, NULL);
}

/* How pip is started: the environment's, `executable`, or the system's. */
static int
find_pip(struct pip *p)
{
	const char *program = mod_arg_path(p->m, "executable"), *path;
	struct stat st;

	p->venv = mod_arg_path(p->m, "virtualenv");
	if (p->venv != NULL) {
		if (*p->venv != '/' && p->cwd != NULL)
			p->venv = arena_printf(p->m->arena, "%s/%s", p->cwd, p->venv);
		path = arena_printf(p->m->arena, "%s/bin/python3", p->venv);
		if (stat(arena_printf(p->m->arena, "%s/bin/activate", p->venv), &st) == -1 &&
		    stat(path, &st) == -1) {
			if (strcmp(p->state, "absent") == 0 && p->m->check) {
				p->missing = true;
				return 0;
			}
			if (make_venv(p) == -1)
				return -1;
		}
		words_push(&p->pip, path);
		words_push(&p->pip, "-m");
		words_push(&p->pip, "pip");
		return 0;
	}
	if (program != NULL) {
		if (*program != '/' && proc_find(p->m, program) == NULL)
			p->missing = true;
		words_push(&p->pip, program);
	} else if (proc_find(p->m, "pip3") != NULL)
		words_push(&p->pip, "pip3");
	else if (stat("/usr/lib/python3/dist-packages/pip", &st) == 0) {
		words_push(&p->pip, "python3");
		words_push(&p->pip, "-m");
		words_push(&p->pip, "pip");
	} else
		p->missing = true;
	if (p->missing && !p->m->check)
		return mod_fail(p->m, "Unable to find pip (package python3-pip) on this host");
	return 0;
}

/* ---- deciding ----------------------------------------------------------- */

static bool
needed(struct pip *p, const struct want *w)
{
	const char *have;

	if (p->missing)
		return strcmp(p->state, "absent") != 0;
	if (w->name == NULL || strcmp(p->state, "forcereinstall") == 0)
		return true;
	have = v_get_str(p->installed, w->name, NULL);
	if (strcmp(p->state, "absent") == 0)
		return have != NULL;
	if (strcmp(p->state, "latest") == 0)
		return true;
	return have == NULL || !pip_version_fits(p->m->arena, have, w->version);
}

/* Words that install or remove; without what. */
static int
command(struct pip *p, struct words *w)
{
	const char *extra = mod_arg_str(p->m, "extra_args");
	const char *const *words;

	*w = words_copy(&p->pip);
	if (strcmp(p->state, "absent") == 0) {
		words_push(w, "uninstall");
		words_push(w, "-y");
	} else {
		words_push(w, "install");
		if (strcmp(p->state, "latest") == 0)
			words_push(w, "-U");
		if (strcmp(p->state, "forcereinstall") == 0) {
			words_push(w, "-U");
			words_push(w, "--force-reinstall");
		}
	}
	if (mod_arg_bool(p->m, "break_system_packages"))
		words_push(w, "--break-system-packages");
	words = extra == NULL ? NULL : words_split(p->m, extra);
	if (extra != NULL && words == NULL)
		return mod_fail(p->m, "a quote is not closed in 'extra_args'");
	for (; words != NULL && *words != NULL; words++)
		words_push(w, *words);
	return 0;
}

/* What --dry-run says would be installed; NULL after mod_fail, "" for nothing. */
static const char *
dry_run(struct pip *p, const struct words *base)
{
	const char *env[] = { "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", NULL };
	struct words w = { .arena = base->arena };
	struct proc pr = PROC_INIT;
	const char *s = "", *would;
	size_t i;

	for (i = 0; i < base->n; i++) {
		words_push(&w, base->v[i]);
		if (i == p->pip.n)	/* `install` */
			words_push(&w, "--dry-run");
	}
	pr.argv = w.v;
	pr.cwd = p->cwd;
	pr.env = env;
	if (proc_query(p->m, &pr) == -1)
		s = NULL;
	else if (pr.status != 0 && strstr(buf_str(&pr.err), "no such option: --dry-run") != NULL)
		s = "(an old pip cannot tell)";
	else if (pr.status != 0) {
		(void)mod_fail(p->m, "pip cannot tell what it would do: %s", buf_str(&pr.err));
		s = NULL;
	} else if ((would = strstr(buf_str(&pr.out), "Would install ")) != NULL)
		s = arena_strndup(p->m->arena, would + 14, strcspn(would + 14, "\n"));
	proc_release(&pr);
	return s;
}

static int
install(struct pip *p, struct words *w, const char *what, bool ask)
{
	bool nothing = false;
	const char *would = what;

	/* where only pip knows whether something is to be done, it is asked */
	if (ask && !p->missing) {
		would = dry_run(p, w);
		if (would == NULL)
			return -1;
		if (*would == '\0')
			return 0;
	}
	if (!mod_change(p->m, "packages of Python", NULL, v_strf(p->m->arena,
	    "%s %s\n", strcmp(p->state, "absent") == 0 ? "without" : "with", would)))
		return 0;
	if (run_change(p, w, &nothing) == -1)
		return -1;
	if (nothing && ask) {
		p->m->changed = false;
		p->m->diffs = NULL;
	}
	return 0;
}

static int
names_run(struct pip *p, const struct value *names)
{
	const char *editable = mod_arg_bool(p->m, "editable") ? "-e" : NULL;
	CLEANUP_BUF struct buf what = BUF_INIT;
	bool ask = strcmp(p->state, "latest") == 0;
	struct words w;
	struct want want;
	uint32_t i, n = 0;

	if (command(p, &w) == -1)
		return -1;
	for (i = 0; i < v_count(names); i++) {
		if (parse_want(p, v_at(names, i)->u.s, &want) == -1)
			return -1;
		if (!needed(p, &want))
			continue;
		if (editable != NULL && want.name == NULL)
			words_push(&w, editable);
		ask |= want.name == NULL && strcmp(p->state, "present") == 0;
		words_push(&w, strcmp(p->state, "absent") == 0 && want.name != NULL ?
		    want.name : want.spec);
		buf_addf(&what, "%s%s", n++ > 0 ? " " : "", want.spec);
	}
	return n == 0 ? 0 : install(p, &w, buf_dup(&what, p->m->arena), ask);
}

/* A file whose lines are all names: decided without pip. NULL: it is more than that. */
static struct value *
plain_requirements(struct pip *p, const char *path)
{
	struct value *out = v_list(p->m->arena);
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *s, *hash;
	size_t n;

	b.max = 1024 * 1024;
	if (buf_read_file(&b, path) == -1)
		return NULL;
	for (s = buf_str(&b); *s != '\0'; s += n + (s[n] == '\n')) {
		const char *line;
		size_t k;

		n = strcspn(s, "\n");
		line = arena_strndup(p->m->arena, s, n);
		line += strspn(line, " \t");
		hash = *line == '#' ? line : strstr(line, " #");
		k = hash == NULL ? strlen(line) : (size_t)(hash - line);
		while (k > 0 && isspace((unsigned char)line[k - 1]))
			k--;
		if (k == 0)
			continue;
		line = arena_strndup(p->m->arena, line, k);
		if (!is_name(line) || strchr(line, ';') != NULL ||
		    strchr(line, '\\') != NULL || strstr(line, " --") != NULL)
			return NULL;
		v_push(p->m->arena, out, v_str(p->m->arena, line));
	}
	return out;
}

static int
requirements_run(struct pip *p, const char *file)
{
	const char *path = *file == '/' || p->cwd == NULL ? file :
	    arena_printf(p->m->arena, "%s/%s", p->cwd, file);
	const struct value *plain;
	struct want want;
	struct words w;
	uint32_t i;
	bool any = false;

	if (access(path, R_OK) == -1) {
		if (!p->m->check)
			return mod_fail_errno(p->m, "cannot read %s", path);
		p->missing = true;
	}
	if (command(p, &w) == -1)
		return -1;
	words_push(&w, "-r");
	words_push(&w, path);
	plain = p->missing ? NULL : plain_requirements(p, path);
	if (plain != NULL && strcmp(p->state, "latest") != 0) {
		for (i = 0; i < v_count(plain); i++) {
			if (parse_want(p, v_at(plain, i)->u.s, &want) == -1)
				return -1;
			any |= needed(p, &want);
		}
		return any ? install(p, &w, path, false) : 0;
	}
	return install(p, &w, path, strcmp(p->state, "absent") != 0 &&
	    strcmp(p->state, "forcereinstall") != 0);
}

static int
pip_run(struct mod *m)
{
	struct pip p = { .m = m, .state = mod_arg_str(m, "state"),
	    .pip.arena = m->arena };
	const char *requirements = mod_arg_path(m, "requirements");
	const struct value *names;
	int rc;

	p.cwd = mod_arg_path(m, "chdir");
	if (!mod_has(m, "name") && requirements == NULL && !mod_has(m, "virtualenv"))
		return mod_fail(m, "one of 'name', 'requirements' and 'virtualenv' is needed");
	if (mod_has(m, "version") && mod_has(m, "name") && strcmp(p.state, "latest") == 0)
		return mod_fail(m, "version is incompatible with state=latest");
	names = joined_names(&p);
	if (mod_has(m, "version") && v_count(names) > 1)
		return mod_fail(m, "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.");
	if (find_pip(&p) == -1)
		return -1;
	p.installed = v_map(m->arena);
	if (!p.missing && (v_count(names) > 0 || requirements != NULL) &&
	    !read_venv(&p) && ask_pip(&p) == -1)
		return -1;
	rc = 0;
	if (requirements != NULL)
		rc = requirements_run(&p, requirements);
	if (rc == 0 && v_count(names) > 0)
		rc = names_run(&p, names);
	mod_set(m, "name", mod_has(m, "name") ? mod_arg(m, "name") : &v_null);
	mod_set_str(m, "version", mod_arg_str(m, "version"));
	mod_set_str(m, "state", p.state);
	mod_set_str(m, "requirements", requirements);
	mod_set_str(m, "virtualenv", p.venv);
	return rc;
}

static const struct mod_arg pip_args[] = {
	{ .name = "name", .type = ARG_LIST, .of = ARG_STR,
	    .doc = "Packages: names with conditions (`django>=4,<5`), paths, URLs." },
	{ .name = "version", .type = ARG_STR, .doc = "Version of the one package." },
	{ .name = "requirements", .type = ARG_PATH, .doc = "File of requirements on the host." },
	{ .name = "state", .type = ARG_STR, .def = "present",
	    .choices = "present,absent,latest,forcereinstall", .doc = "What shall be." },
	{ .name = "virtualenv", .type = ARG_PATH,
	    .doc = "Virtual environment; made if it is not there." },
	{ .name = "virtualenv_command", .type = ARG_STR, .def = "virtualenv",
	    .doc = "What makes it; `python3 -m venv` if there is no virtualenv." },
	{ .name = "virtualenv_python", .type = ARG_STR, .doc = "Its Python, for virtualenv." },
	{ .name = "virtualenv_site_packages", .type = ARG_BOOL, .def = "false",
	    .doc = "A new one sees the system's packages." },
	{ .name = "extra_args", .type = ARG_STR, .doc = "Further options of pip." },
	{ .name = "editable", .type = ARG_BOOL, .def = "false", .doc = "Paths are installed with -e." },
	{ .name = "chdir", .type = ARG_PATH, .doc = "Directory to run in." },
	{ .name = "executable", .type = ARG_PATH, .doc = "The pip to use (not with virtualenv)." },
	{ .name = "umask", .type = ARG_STR, .doc = "Umask, octal." },
	{ .name = "break_system_packages", .type = ARG_BOOL, .def = "false",
	    .doc = "Writes into the system's Python although Debian keeps it." },
	{ .name = "use_mirrors", .type = ARG_BOOL, .flags = ARG_IGNORED | ARG_DEPRECATED,
	    .doc = "Pip has no mirrors any more." },
	END
};

static const struct mod_rule pip_rules[] = {
	{ RULE_EXCLUSIVE, "name,requirements" },
	{ RULE_EXCLUSIVE, "executable,virtualenv" },
	{ RULE_END, NULL }
};

const struct module pip_module = {
	.name = "pip", .collection = "ansible.builtin",
	.summary = "Installs packages of Python.",
	.doc = "What is installed in a virtual environment is read from its directory; pip is started only to change something.",
	.examples =
	    "- pip:\n"
	    "    requirements: /srv/exams/requirements.txt\n"
	    "    virtualenv: /srv/exams/venv\n"
	    "    virtualenv_command: /usr/bin/python3 -m venv\n",
	.returns = "name: the packages\nstate: what was asked for\nvirtualenv: the environment\ncmd: what was run\nstdout: what it printed\n",
	.args = pip_args, .rules = pip_rules, .run = pip_run,
};
