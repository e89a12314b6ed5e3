/*
 * ssh_config; see sshconf.h for what is understood.
 *
 * A file is kept as its list of statements in order; asking for a host walks
 * them with the rule of ssh: the first value of a keyword wins, so general
 * sections stand last.  An Include is a list in the list: its own Host lines
 * count only as far as the section around the Include does.
 */
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/utf8.h"
#include "inventory/sshconf.h"

#define FILE_MAX	((size_t)1024 * 1024)
#define INCLUDE_DEPTH	16u
#define FILES_MAX	500u
#define ARGS_MAX	256u

enum keyword {
	KEY_HOST, KEY_MATCH, KEY_INCLUDE, KEY_HOSTNAME, KEY_USER, KEY_PORT,
	KEY_IDENTITY_FILE, KEY_IDENTITIES_ONLY, KEY_PROXY_JUMP,
	KEY_PROXY_COMMAND, KEY_OTHER
};

static const struct {
	const char	*name;
	enum keyword	 key;
} keywords[] = {
	{ "host", KEY_HOST }, { "match", KEY_MATCH }, { "include", KEY_INCLUDE },
	{ "hostname", KEY_HOSTNAME }, { "user", KEY_USER }, { "port", KEY_PORT },
	{ "identityfile", KEY_IDENTITY_FILE },
	{ "identitiesonly", KEY_IDENTITIES_ONLY },
	{ "proxyjump", KEY_PROXY_JUMP }, { "proxycommand", KEY_PROXY_COMMAND },
};

struct statement {
	enum keyword		 key;
	const char		**args;		/* NULL-terminated */
	int			 port;
	bool			 yes;		/* IdentitiesOnly; Match all */
	struct sshconf		*included;	/* KEY_INCLUDE: one statement a file */
	struct statement	*next;
};

struct sshconf {
	struct statement	*first, **tail;
};

struct reader {
	struct arena		*arena;
	struct diags		*diags;
	const struct source	*src;
	const char		*dir;		/* for relative Includes */
	uint32_t		 line;
	const char		*start;		/* of the line */
	unsigned		 depth, *nfiles;
	bool			 match_noted;
};

static struct sshconf *load(struct reader *up, struct arena *, const char *path,
	    unsigned depth, unsigned *nfiles, struct diags *);

static const char *
home_dir(void)
{
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (home != NULL && home[0] == '/')
		return home;
	pw = getpwuid(getuid());
	return pw != NULL ? pw->pw_dir : "/";
}

static const char *
expand_tilde(struct arena *arena, const char *path)
{
	const char *slash = strchr(path, '/');
	struct passwd *pw;
	char *user;

	if (path[0] != '~')
		return path;
	if (path[1] == '/' || path[1] == '\0')
		return arena_printf(arena, "%s%s", home_dir(), path + 1);
	user = arena_strndup(arena, path + 1, slash != NULL ?
	    (size_t)(slash - path - 1) : strlen(path + 1));
	pw = getpwnam(user);
	if (pw == NULL)
		return path;
	return arena_printf(arena, "%s%s", pw->pw_dir, slash != NULL ? slash : "");
}

/* ---- reading ------------------------------------------------------------------------ */

static struct mark
mark_of(const struct reader *r, const char *from, const char *to)
{
	return (struct mark){ .src = r->src, .line = r->line,
	    .col = (uint32_t)utf8_count(r->start, (size_t)(from - r->start)) + 1,
	    .len = to > from ? (uint32_t)utf8_count(from, (size_t)(to - from)) : 1 };
}

/* The arguments of a line; NULL after an error. */
static const char **
arguments(struct reader *r, const char *p, const char *end)
{
	const char **args = ARENA_ARRAY(r->arena, ARGS_MAX + 1, const char *);
	const char *open;
	size_t n = 0;

	for (;;) {
		CLEANUP_BUF struct buf word = BUF_INIT;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p == end || *p == '#')
			return args;
		if (n == ARGS_MAX) {
			diags_error(r->diags, ERR_LIMIT, mark_of(r, p, end),
			    "more than %u arguments", ARGS_MAX);
			return NULL;
		}
		open = NULL;
		for (; p < end && (open != NULL || (*p != ' ' && *p != '\t')); p++) {
			if (*p == '"')
				open = open == NULL ? p : NULL;
			else if (*p == '\\' && p + 1 < end &&
			    (p[1] == '"' || p[1] == '\\'))
				buf_addc(&word, *++p);
			else
				buf_addc(&word, *p);
		}
		if (open != NULL) {
			diags_error(r->diags, ERR_SYNTAX, mark_of(r, open, open + 1),
			    "this quote is never closed");
			return NULL;
		}
		args[n++] = arena_strndup(r->arena, buf_str(&word), word.len);
	}
}

static void
include(struct reader *r, struct statement *st)
{
	struct statement **tail;
	glob_t g;

	st->included = ARENA_NEW(r->arena, struct sshconf);
	tail = &st->included->first;
	for (const char **arg = st->args; *arg != NULL; arg++) {
		const char *path = expand_tilde(r->arena, *arg);

		if (path[0] != '/')
			path = arena_printf(r->arena, "%s/%s", r->dir, path);
		memset(&g, 0, sizeof(g));
		if (glob(path, 0, NULL, &g) != 0) {
			globfree(&g);
			continue;	/* nothing matches: as ssh */
		}
		for (size_t i = 0; i < g.gl_pathc && *r->nfiles < FILES_MAX; i++) {
			struct statement *file = ARENA_NEW(r->arena, struct statement);

			file->key = KEY_INCLUDE;
			file->included = load(r, r->arena, g.gl_pathv[i],
			    r->depth + 1, r->nfiles, r->diags);
			*tail = file;
			tail = &file->next;
		}
		globfree(&g);
	}
}

/* Checks and digests a statement's arguments. False when it is to be left out. */
static bool
digest(struct reader *r, struct statement *st, struct mark m)
{
	const char *arg = st->args[0];
	char *end;
	long port;

	if (st->key == KEY_OTHER)
		return false;
	if (arg == NULL) {
		diags_error(r->diags, ERR_SYNTAX, m, "an argument is missing");
		return false;
	}
	switch (st->key) {
	case KEY_PORT:
		port = strtol(arg, &end, 10);
		if (*end != '\0' || end == arg || port < 1 || port > 65535) {
			diags_error(r->diags, ERR_VALUE, m,
			    "'%.40s' is no port number (1 to 65535)", arg);
			return false;
		}
		st->port = (int)port;
		return true;
	case KEY_IDENTITIES_ONLY:
		st->yes = strcasecmp(arg, "yes") == 0 || strcasecmp(arg, "true") == 0;
		return true;
	case KEY_MATCH:
		st->yes = strcasecmp(arg, "all") == 0 && st->args[1] == NULL;
		if (!st->yes && !r->match_noted) {
			r->match_noted = true;
			diags_note(r->diags, m, "'Match' is only understood as "
			    "'Match all': this section is not used");
		}
		return true;
	case KEY_PROXY_COMMAND:
		if (strcasecmp(arg, "none") != 0)
			err_hint(diags_note(r->diags, m,
			    "ProxyCommand is not supported and is not used"),
			    "a jump host can be given by ProxyJump");
		return false;
	case KEY_INCLUDE:
		include(r, st);
		return true;
	default:
		return true;
	}
}

static void
read_line(struct reader *r, struct sshconf *conf, const char *end)
{
	const char *p = r->start, *word;
	struct statement *st;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == end || *p == '#')
		return;
	if (memchr(p, '\0', (size_t)(end - p)) != NULL ||
	    !utf8_valid(p, (size_t)(end - p))) {
		diags_error(r->diags, ERR_SYNTAX, mark_of(r, p, p + 1),
		    "the line is no text");
		return;
	}
	for (word = p; p < end && strchr(" \t=", *p) == NULL; p++)
		;
	st = ARENA_NEW(r->arena, struct statement);
	st->key = KEY_OTHER;
	for (size_t i = 0; i < NITEMS(keywords); i++)
		if (strlen(keywords[i].name) == (size_t)(p - word) &&
		    strncasecmp(keywords[i].name, word, (size_t)(p - word)) == 0)
			st->key = keywords[i].key;
	if (st->key == KEY_OTHER)
		return;
	{
		struct mark m = mark_of(r, word, end);

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p < end && *p == '=')
			p++;
		if ((st->args = arguments(r, p, end)) == NULL || !digest(r, st, m))
			return;
	}
	*conf->tail = st;
	conf->tail = &st->next;
}

static int
read_source(struct arena *arena, const char *path, const struct source **ret,
    struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct source *src;
	struct stat st;

	buf_init(&b, FILE_MAX);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;	/* a pipe could block for ever */
	else if (buf_read_file(&b, path) == 0) {
		src = ARENA_NEW(arena, struct source);
		src->path = arena_strdup(arena, path);
		src->text = arena_strndup(arena, buf_str(&b), b.len);
		src->len = b.len;
		*ret = src;
		return 0;
	}
	return errno == ENOENT ? 1 : err_errno(err, "cannot read '%s'", path);
}

static struct sshconf *
load(struct reader *up, struct arena *arena, const char *path, unsigned depth,
    unsigned *nfiles, struct diags *diags)
{
	struct sshconf *conf = ARENA_NEW(arena, struct sshconf);
	CLEANUP_ERR struct err err = ERR_INIT;
	struct reader r = { .arena = arena, .diags = diags, .depth = depth,
	    .nfiles = nfiles };
	const char *slash = strrchr(path, '/'), *end, *nl, *stop;
	int rc;

	conf->tail = &conf->first;
	if (depth > INCLUDE_DEPTH || ++*nfiles > FILES_MAX) {
		diags_error(diags, ERR_LIMIT, up != NULL ? (struct mark){
		    .src = up->src, .line = up->line, .col = 1, .len = 1 } :
		    (struct mark){ 0 }, "Include goes too deep: is there a loop?");
		return conf;
	}
	if ((rc = read_source(arena, path, &r.src, &err)) != 0) {
		if (rc == -1)
			diags_add(diags, DIAG_WARNING, &err);
		return conf;
	}
	/* ssh takes ~/.ssh for all files; the first file's directory is that. */
	r.dir = up != NULL ? up->dir : slash == NULL ? "." :
	    arena_strndup(arena, path, (size_t)(slash - path));
	r.start = r.src->text;
	end = r.src->text + r.src->len;
	for (; r.start < end; r.start = nl + 1) {
		r.line++;
		if ((nl = memchr(r.start, '\n', (size_t)(end - r.start))) == NULL)
			nl = end;
		stop = nl;
		while (stop > r.start && strchr(" \t\r", stop[-1]) != NULL)
			stop--;
		read_line(&r, conf, stop);
	}
	return conf;
}

struct sshconf *
sshconf_load(struct arena *arena, const char *path, struct diags *diags)
{
	unsigned nfiles = 0;

	return load(NULL, arena, expand_tilde(arena, path), 0, &nfiles, diags);
}

/* ---- asking -------------------------------------------------------------------------- */

struct query {
	const char		*host;
	struct sshconf_host	*ret;
	unsigned		 nidentity;
	bool			 identities_said, jump_said;
};

static bool
wildcard(const char *p, const char *s)
{
	const char *star = NULL, *back = NULL;

	while (*s != '\0') {
		if (*p == '*') {
			star = ++p;
			back = s;
		} else if (*p == '?' || *p == *s) {
			p++;
			s++;
		} else if (star != NULL) {
			p = star;
			s = ++back;
		} else
			return false;
	}
	while (*p == '*')
		p++;
	return *p == '\0';
}

static bool
host_matches(const char *const *patterns, const char *host)
{
	bool found = false;

	for (; *patterns != NULL; patterns++) {
		if (**patterns == '!') {
			if (wildcard(*patterns + 1, host))
				return false;
		} else
			found |= wildcard(*patterns, host);
	}
	return found;
}

static void
apply(struct query *q, const struct statement *st)
{
	struct sshconf_host *ret = q->ret;

	switch (st->key) {
	case KEY_HOSTNAME:
		if (ret->hostname == NULL)
			ret->hostname = st->args[0];
		break;
	case KEY_USER:
		if (ret->user == NULL)
			ret->user = st->args[0];
		break;
	case KEY_PORT:
		if (ret->port == 0)
			ret->port = st->port;
		break;
	case KEY_IDENTITY_FILE:
		if (q->nidentity < NITEMS(ret->identity) &&
		    strcasecmp(st->args[0], "none") != 0)
			ret->identity[q->nidentity++] = st->args[0];
		break;
	case KEY_IDENTITIES_ONLY:
		if (!q->identities_said)
			ret->identities_only = st->yes;
		q->identities_said = true;
		break;
	case KEY_PROXY_JUMP:
		if (!q->jump_said && strcasecmp(st->args[0], "none") != 0)
			ret->jump = st->args[0];
		q->jump_said = true;
		break;
	default:
		break;
	}
}

static void
walk(struct query *q, const struct sshconf *conf)
{
	const struct statement *st;
	bool active = true;

	for (st = conf->first; st != NULL; st = st->next) {
		if (st->key == KEY_HOST)
			active = host_matches(st->args, q->host);
		else if (st->key == KEY_MATCH)
			active = st->yes;
		else if (active && st->key == KEY_INCLUDE)
			walk(q, st->included);
		else if (active)
			apply(q, st);
	}
}

/* %-tokens and ${VAR}; unknown ones stay as they are. */
static const char *
expand(struct arena *arena, const char *s, const char *host,
    const struct sshconf_host *c, bool names_only)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct passwd *pw;
	const char *close, *env;

	for (; *s != '\0'; s++) {
		if (*s == '$' && s[1] == '{' && !names_only &&
		    (close = strchr(s, '}')) != NULL) {
			env = getenv(arena_strndup(arena, s + 2,
			    (size_t)(close - s - 2)));
			buf_adds(&out, env != NULL ? env : "");
			s = close;
			continue;
		}
		if (*s != '%' || s[1] == '\0') {
			buf_addc(&out, *s);
			continue;
		}
		s++;
		if (*s == '%')
			buf_addc(&out, '%');
		else if (*s == 'h')
			buf_adds(&out, names_only || c->hostname == NULL ? host :
			    c->hostname);
		else if (*s == 'n' && !names_only)
			buf_adds(&out, host);
		else if (*s == 'd' && !names_only)
			buf_adds(&out, home_dir());
		else if (*s == 'p' && !names_only)
			buf_addf(&out, "%d", c->port != 0 ? c->port : 22);
		else if ((*s == 'u' || *s == 'r') && !names_only) {
			pw = getpwuid(getuid());
			buf_adds(&out, *s == 'r' && c->user != NULL ? c->user :
			    pw != NULL ? pw->pw_name : "");
		} else {
			buf_addc(&out, '%');
			buf_addc(&out, *s);
		}
	}
	return arena_strndup(arena, buf_str(&out), out.len);
}

void
sshconf_get(const struct sshconf *conf, struct arena *arena, const char *host,
    struct sshconf_host *ret)
{
	struct query q = { .host = host, .ret = ret };

	memset(ret, 0, sizeof(*ret));
	walk(&q, conf);
	if (ret->hostname != NULL)
		ret->hostname = expand(arena, ret->hostname, host, ret, true);
	for (unsigned i = 0; i < q.nidentity; i++)
		ret->identity[i] = expand(arena, expand_tilde(arena,
		    ret->identity[i]), host, ret, false);
}
