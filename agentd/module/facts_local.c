/*
 * A host's own facts: files NAME.fact in facts.d become ansible_local.NAME.
 * Programs are run and print what other files hold: JSON, or else INI as
 * Python's configparser reads it (names of options in lower case).
 */
#include <sys/stat.h>
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "module/facts.h"
#include "module/proc.h"

static bool
blank(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!isspace((unsigned char)s[i]))
			return false;
	return true;
}

static const struct value *
trimmed(struct facts *f, const char *s, size_t n)
{
	while (n > 0 && isspace((unsigned char)*s)) {
		s++;
		n--;
	}
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		n--;
	return facts_text(f, s, n);
}

static const struct value *
lower(struct facts *f, const struct value *v)
{
	char *s = arena_strndup(f->a, v->u.s, v->len);
	size_t i;

	for (i = 0; i < v->len; i++)
		s[i] = (char)tolower((unsigned char)s[i]);
	return v_strn(f->a, s, v->len);
}

/* NULL when it is no INI file. */
static const struct value *
parse_ini(struct facts *f, const char *text)
{
	struct value *all = v_map(f->a), *section = NULL;
	const struct value *key = NULL;
	const char *line, *sep, *end;
	size_t n;

	while ((line = facts_next_line(&text, &n)) != NULL) {
		if (blank(line, n) || *line == '#' || *line == ';')
			continue;
		if (*line == '[') {
			end = memchr(line, ']', n);
			if (end == NULL)
				return NULL;
			section = v_map(f->a);
			v_set(f->a, all, facts_text(f, line + 1,
			    (size_t)(end - line - 1)), section);
			key = NULL;
			continue;
		}
		if (section == NULL)
			return NULL;
		if (isspace((unsigned char)*line) && key != NULL) {
			const struct value *old = v_get(section, key);
			const struct value *more = trimmed(f, line, n);

			v_set(f->a, section, key, v_strf(f->a, "%s\n%s",
			    old->u.s, more->u.s));
			continue;
		}
		for (sep = line; sep < line + n && *sep != '=' && *sep != ':';
		    sep++)
			;
		if (sep == line + n || sep == line)
			return NULL;
		key = lower(f, trimmed(f, line, (size_t)(sep - line)));
		v_set(f->a, section, key, trimmed(f, sep + 1,
		    (size_t)(line + n - sep - 1)));
	}
	return v_count(all) == 0 ? NULL : all;
}

/* What a program prints, or NULL with a message in *ret_wrong. */
static const char *
run_fact(struct facts *f, const char *path, const struct value **ret_wrong)
{
	const char *argv[] = { path, NULL };
	struct proc p = PROC_INIT;
	const char *out = NULL;

	p.argv = argv;
	p.timeout_ms = f->timeout_ms;
	if (proc_query(NULL, &p) == -1)
		*ret_wrong = v_strf(f->a,
		    "Could not execute fact script (%s)", path);
	else if (p.timed_out)
		*ret_wrong = v_strf(f->a,
		    "Could not execute fact script (%s): no answer in time", path);
	else if (p.status != 0)
		*ret_wrong = v_strf(f->a,
		    "Failure executing fact script (%s), rc: %d, err: %s", path,
		    p.status, facts_text(f, buf_str(&p.err), p.err.len)->u.s);
	else
		out = buf_dup(&p.out, f->a);
	proc_release(&p);
	return out;
}

static const struct value *
read_fact(struct facts *f, const char *path)
{
	CLEANUP_ERR struct err err = ERR_INIT;
	const struct value *v = NULL;
	const char *text;
	struct stat st;

	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
		return NULL;
	if (st.st_mode & S_IXUSR)
		text = run_fact(f, path, &v);
	else
		text = facts_read(f, path + strlen(f->root), NULL);
	if (text == NULL)
		return v != NULL ? v : v_strf(f->a, "cannot read %s", path);
	if (!utf8_valid(text, strlen(text)))
		return v_strf(f->a, "error loading fact - output of running \"%s\" was not utf-8", path);
	v = json_parse_text(f->a, text, strlen(text), &err);
	if (v != NULL)
		return v;
	v = parse_ini(f, text);
	return v != NULL ? v : v_strf(f->a,
	    "error loading facts as JSON or ini - please check content: %s", path);
}

void
facts_local(struct facts *f)
{
	struct value *local = v_map(f->a);
	const char *const *names;
	const struct value *v;
	const char *path;
	size_t n;

	if (f->fact_path != NULL && facts_exists(f, f->fact_path)) {
		for (names = facts_names(f, f->fact_path); *names != NULL;
		    names++) {
			n = strlen(*names);
			if (n <= 5 || strcmp(*names + n - 5, ".fact") != 0)
				continue;
			path = facts_path(f, "%s%s/%s", f->root, f->fact_path,
			    *names);
			v = read_fact(f, path);
			if (v != NULL)
				v_set(f->a, local, facts_text(f, *names, n - 5), v);
		}
	}
	facts_set(f, "local", local);
}
