/*
 * Lookups that read values out of data files, and passwords: ini, csvfile,
 * password, random_string.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "template/filter_path.h"
#include "template/filter_random.h"
#include "template/filter_util.h"
#include "template/lookup_util.h"
#include "template/password.h"
#include "template/regex.h"
#include "template/unidata.h"

/* ---- options in a term ------------------------------------------------------------------- */

/* The next word, with what is between quotes in one piece. false at the end. */
static bool
next_word(const char **p, const char **word, size_t *len)
{
	char quote = '\0';

	while (**p == ' ' || **p == '\t' || **p == '\n')
		(*p)++;
	if (**p == '\0')
		return false;
	for (*word = *p; **p != '\0'; (*p)++) {
		if (quote != '\0')
			quote = **p == quote ? '\0' : quote;
		else if (**p == '"' || **p == '\'')
			quote = **p;
		else if (**p == ' ' || **p == '\t' || **p == '\n')
			break;
	}
	*len = (size_t)(*p - *word);
	return true;
}

struct value *
lookup_kv(struct tcall *c, const char *term, const char **raw)
{
	CLEANUP_BUF struct buf rest = BUF_INIT;
	struct value *kv = v_map(c->arena);
	const char *word, *eq, *v;
	size_t len, vlen;

	while (next_word(&term, &word, &len)) {
		eq = len > 1 ? memchr(word + 1, '=', len - 1) : NULL;
		if (eq == NULL) {
			if (rest.len > 0)
				buf_addc(&rest, ' ');
			buf_add(&rest, word, len);
			continue;
		}
		v = eq + 1;
		vlen = len - (size_t)(v - word);
		if (vlen > 1 && (*v == '"' || *v == '\'') && v[vlen - 1] == *v) {
			v++;
			vlen -= 2;
		}
		v_set(c->arena, kv, fu_strn(c, word, (size_t)(eq - word)), fu_strn(c, v, vlen));
	}
	*raw = buf_dup(&rest, c->arena);
	return kv;
}

/* Option i of the call, or of the term where it has one of that name. */
static const struct value *
option(struct tcall *c, const struct value *kv, const char *name, uint32_t i)
{
	const struct value *v = kv != NULL ? v_gets(kv, name) : NULL;

	return v != NULL ? v : i < c->na && c->a[i] != NULL && c->a[i]->type != V_NULL ? c->a[i] : NULL;
}

/* Options in a term must be those of the lookup's row. */
static bool
known_options(struct tcall *c, const struct value *kv, const char *params)
{
	const struct ventry *e;
	const char *p;
	size_t n;

	for (uint32_t it = 0; (e = v_next(kv, &it)) != NULL;) {
		for (p = params; *p != '\0'; p += n + (p[n] == ',')) {
			n = strcspn(p, ",");
			if (n == e->key->len && memcmp(p, e->key->u.s, n) == 0)
				break;
		}
		if (*p == '\0') {
			terr(c, ERR_VALUE, "'%s' is not a valid option.", e->key->u.s);
			return false;
		}
	}
	return true;
}

static bool
option_text(struct tcall *c, const struct value *v, const char *def, const char **s, size_t *len)
{
	*s = def;
	*len = def != NULL ? strlen(def) : 0;
	return v == NULL || fu_text(c, v, s, len);
}

static bool
option_bool(struct tcall *c, const struct value *v, bool def, bool *ret)
{
	*ret = def;
	if (v == NULL)
		return true;
	v = tcall_filter(c, "bool", v, NULL, 0, NULL);
	if (v == NULL)
		return false;
	*ret = v->type == V_BOOL && v->u.b;
	return true;
}

static bool
option_int(struct tcall *c, const char *name, const struct value *v, int64_t def, int64_t *ret)
{
	*ret = def;
	if (v == NULL || fu_is_int(v, ret) ||
	    (v->type == V_STR && fu_parse_int(v->u.s, v->len, 10, ret) == 1))
		return true;
	terr(c, ERR_VALUE, "lookup '%s': %s must be an integer", c->name, name);
	return false;
}

/* ---- ini: Python's configparser -------------------------------------------------------------- */

struct ini {
	struct tcall	*c;
	struct value	*sections;	/* map of maps; DEFAULT as "DEFAULT" */
	bool		 keep_case, allow_no_value, interpolate;
	const char	*file;
};

static const struct value *
ini_key(struct ini *ini, const char *s, size_t len)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (ini->keep_case)
		return fu_strn(ini->c, s, len);
	uni_lower(&b, s, len);
	return fu_strn(ini->c, buf_str(&b), b.len);
}

/* Adds a continuation line to a value that is being read. */
static void
ini_continue(struct ini *ini, struct value *section, const struct value *key, const char *s, size_t len)
{
	const struct value *old = v_get(section, key);

	v_set(ini->c->arena, section, key, v_strf(ini->c->arena, "%s\n%.*s",
	    old != NULL && old->type == V_STR ? old->u.s : "", (int)len, s));
}

static bool
ini_option(struct ini *ini, struct value *section, const char *s, size_t len, unsigned line,
    const struct value **key)
{
	size_t eq = 0, klen, vlen;
	const char *k = s, *v;

	while (eq < len && s[eq] != '=' && s[eq] != ':')
		eq++;
	if (eq == len && !ini->allow_no_value) {
		terr(ini->c, ERR_SYNTAX, "%s:%u: neither a section nor key = value", ini->file, line);
		return false;
	}
	klen = eq;
	fu_strip(&k, &klen);
	*key = ini_key(ini, k, klen);
	if (klen == 0 || v_get(section, *key) != NULL) {
		terr(ini->c, ERR_INVALID, klen == 0 ? "%s:%u: a value without a key" :
		    "%s:%u: duplicate option", ini->file, line);
		return false;
	}
	if (eq == len) {
		v_set(ini->c->arena, section, *key, &v_null);
		return true;
	}
	v = s + eq + 1;
	vlen = len - eq - 1;
	fu_strip(&v, &vlen);
	v_set(ini->c->arena, section, *key, fu_strn(ini->c, v, vlen));
	return true;
}

/* Trailing empty lines belong to no value. */
static void
ini_trim(struct ini *ini)
{
	const struct ventry *s, *e;
	size_t len;

	for (uint32_t i = 0; (s = v_next(ini->sections, &i)) != NULL;)
		for (uint32_t k = 0; (e = v_next(s->val, &k)) != NULL;) {
			if (e->val->type != V_STR)
				continue;
			for (len = e->val->len; len > 0 && e->val->u.s[len - 1] == '\n'; len--)
				continue;
			if (len != e->val->len)
				v_set(ini->c->arena, (struct value *)(uintptr_t)s->val, e->key,
				    fu_strn(ini->c, e->val->u.s, len));
		}
}

static bool
ini_parse(struct ini *ini, const char *text, size_t len, struct value *section)
{
	const char *p = text, *end = text + len, *line, *s;
	const struct value *key = NULL;
	size_t n, indent, cur = 0;
	unsigned lineno = 0;

	while (fu_next_line(&p, end, &line, &n)) {
		lineno++;
		for (indent = 0; indent < n && (line[indent] == ' ' || line[indent] == '\t'); indent++)
			continue;
		s = line;
		fu_strip(&s, &n);
		if (n > 0 && (*s == '#' || *s == ';'))
			continue;
		if (n == 0) {
			if (key != NULL && section != NULL)
				ini_continue(ini, section, key, "", 0);
			continue;
		}
		if (section != NULL && key != NULL && indent > cur) {
			ini_continue(ini, section, key, s, n);
			continue;
		}
		cur = indent;
		if (*s == '[' && memchr(s, ']', n) != NULL) {
			const char *close = memrchr(s, ']', n);
			const struct value *name = fu_strn(ini->c, s + 1, (size_t)(close - s - 1));

			key = NULL;
			if (v_get(ini->sections, name) != NULL && !v_eqs(name, "DEFAULT")) {
				terr(ini->c, ERR_INVALID, "%s:%u: section '%s' already exists", ini->file,
				    lineno, name->u.s);
				return false;
			}
			section = v_map(ini->c->arena);
			v_set(ini->c->arena, ini->sections, name, section);
			continue;
		}
		if (section == NULL) {
			terr(ini->c, ERR_SYNTAX, "%s:%u: File contains no section headers", ini->file, lineno);
			return false;
		}
		if (!ini_option(ini, section, s, n, lineno, &key))
			return false;
	}
	ini_trim(ini);
	return true;
}

static const struct value *
ini_raw(struct ini *ini, const struct value *section, const struct value *key)
{
	const struct value *v = v_get(section, key);

	return v != NULL ? v : v_get(v_gets(ini->sections, "DEFAULT"), key);
}

/* %(name)s and %% (BasicInterpolation). */
static bool
ini_interpolate(struct ini *ini, const struct value *section, const struct value *v,
    struct buf *out, unsigned depth)
{
	const char *p = v->u.s, *end = p + v->len, *close;
	const struct value *ref;

	if (depth > 10) {
		terr(ini->c, ERR_LIMIT, "%s: recursion limit exceeded in value substitution", ini->file);
		return false;
	}
	while (p < end) {
		if (*p != '%') {
			buf_addc(out, *p++);
			continue;
		}
		if (p + 1 < end && p[1] == '%') {
			buf_addc(out, '%');
			p += 2;
			continue;
		}
		close = p + 1 < end && p[1] == '(' ? memmem(p, (size_t)(end - p), ")s", 2) : NULL;
		if (close == NULL) {
			terr(ini->c, ERR_VALUE, "%s: '%%' must be followed by '%%' or '(', found: '%s'", ini->file, p);
			return false;
		}
		ref = ini_raw(ini, section, ini_key(ini, p + 2, (size_t)(close - p - 2)));
		if (ref == NULL || ref->type != V_STR) {
			terr(ini->c, ERR_VALUE, "%s: bad value substitution: '%.*s' is not there", ini->file,
			    (int)(close - p - 2), p + 2);
			return false;
		}
		if (!ini_interpolate(ini, section, ref, out, depth + 1))
			return false;
		p = close + 2;
	}
	return true;
}

static const struct value *
ini_value(struct ini *ini, const struct value *section, const struct value *v)
{
	struct buf b = BUF_INIT;

	if (v->type != V_STR || !ini->interpolate)
		return v;
	if (!ini_interpolate(ini, section, v, &b, 0)) {
		buf_release(&b);
		return NULL;
	}
	return fu_result(ini->c, &b);
}

/* All values whose keys match; those of DEFAULT come first where the section lacks them. */
static bool
ini_matching(struct ini *ini, const struct value *section, const char *pattern, struct value *out)
{
	const struct value *def = v_gets(ini->sections, "DEFAULT"), *v;
	const struct regex *re = regex_get(pattern, strlen(pattern), 0, ini->c->err);
	struct value *all = v_map(ini->c->arena);
	struct regex_match m;
	const struct ventry *e;
	int rc;

	if (re == NULL)
		return false;
	if (def != NULL)
		v_merge(ini->c->arena, all, def);
	v_merge(ini->c->arena, all, section);
	for (uint32_t it = 0; (e = v_next(all, &it)) != NULL;) {
		rc = regex_exec(re, e->key->u.s, e->key->len, 0, REGEX_MATCH, false, &m, ini->c->err);
		if (rc < 0)
			return false;
		if (rc > 0) {
			if ((v = ini_value(ini, section, e->val)) == NULL)
				return false;
			v_push(ini->c->arena, out, v);
		}
	}
	return true;
}

static const char ini_params[] = "file,section,type,re,default,encoding,case_sensitive,"
    "allow_no_value,allow_none,interpolation";

enum { INI_FILE, INI_SECTION, INI_TYPE, INI_RE, INI_DEFAULT, INI_ENCODING, INI_CASE,
    INI_NO_VALUE, INI_NONE, INI_INTERPOLATION };

static bool
ini_term(struct tcall *c, uint32_t i, struct value *out)
{
	struct ini ini = { .c = c, .sections = v_map(c->arena) };
	const struct value *text, *section, *v, *kv = NULL, *key;
	const char *term, *file, *type, *sect, *path, *raw;
	size_t len;
	bool re;

	if (!lookup_term(c, i, &term, &len))
		return false;
	raw = term;
	if (strpbrk(term, "= ") != NULL) {
		kv = lookup_kv(c, term, &raw);
		if (*raw == '\0') {
			terr(c, ERR_VALUE, "No key to look up was provided as first term within string inline options: %s", term);
			return false;
		}
		if (!known_options(c, kv, ini_params))
			return false;
	}
	if (!option_text(c, option(c, kv, "file", INI_FILE), "ansible.ini", &file, &len) ||
	    !option_text(c, option(c, kv, "section", INI_SECTION), "global", &sect, &len) ||
	    !option_text(c, option(c, kv, "type", INI_TYPE), "ini", &type, &len) ||
	    !option_bool(c, option(c, kv, "re", INI_RE), false, &re) ||
	    !option_bool(c, option(c, kv, "case_sensitive", INI_CASE), false, &ini.keep_case) ||
	    !option_bool(c, option(c, kv, "allow_no_value", fu_given(c, INI_NO_VALUE) ? INI_NO_VALUE : INI_NONE),
	    false, &ini.allow_no_value) ||
	    !option_bool(c, option(c, kv, "interpolation", INI_INTERPOLATION), true, &ini.interpolate))
		return false;
	ini.file = file;
	path = lookup_find(c, "files", file);
	if (path == NULL) {
		terr(c, ERR_IO, "lookup 'ini': the file '%s' was not found", file);
		return false;
	}
	if ((text = lookup_read(c, path)) == NULL)
		return false;
	if (strcmp(type, "properties") == 0) {
		struct value *props = v_map(c->arena);

		sect = "java_properties";
		v_sets(c->arena, ini.sections, sect, props);
		if (!ini_parse(&ini, text->u.s, text->len, props))
			return false;
	} else if (!ini_parse(&ini, text->u.s, text->len, NULL))
		return false;
	section = v_gets(ini.sections, sect);
	if (section == NULL) {
		terr(c, ERR_VALUE, "No section '%s' in '%s'.", sect, file);
		return false;
	}
	if (re)
		return ini_matching(&ini, section, raw, out);
	key = ini_key(&ini, raw, strlen(raw));
	v = ini_raw(&ini, section, key);
	if (v == NULL) {
		v = option(c, kv, "default", INI_DEFAULT);
		v = v != NULL ? v : &v_empty_str;
	} else if ((v = ini_value(&ini, section, v)) == NULL)
		return false;
	if (v != NULL && v->type == V_LIST)
		for (uint32_t k = 0; k < v_count(v); k++)
			v_push(c->arena, out, v_at(v, k));
	else if (v != NULL && v->type != V_NULL)
		v_push(c->arena, out, v);
	return true;
}

static const struct value *
l_ini(struct tcall *c)
{
	struct value *out = v_list(c->arena);

	if (!path_may_read(c))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++)
		if (!ini_term(c, i, out))
			return NULL;
	return out;
}

/* ---- csvfile ------------------------------------------------------------------------------------ */

/* The next record's fields, as csv.reader with the excel dialect reads them. false at the end. */
static bool
csv_row(struct tcall *c, const char **p, const char *end, char delim, struct value **ret)
{
	CLEANUP_BUF struct buf f = BUF_INIT;
	struct value *row = v_list(c->arena);
	bool quoted = false, start = true;
	const char *s = *p;

	if (s >= end)
		return false;
	for (;; s++) {
		if (quoted && s < end) {
			if (*s != '"')
				buf_addc(&f, *s);
			else if (s + 1 < end && s[1] == '"')
				buf_addc(&f, *s++);
			else
				quoted = false;
			continue;
		}
		if (s >= end || *s == '\n' || *s == '\r')
			break;
		if (*s == '"' && start)
			quoted = true;
		else if (*s == delim) {
			v_push(c->arena, row, fu_strn(c, buf_str(&f), f.len));
			buf_clear(&f);
			start = true;
			continue;
		} else
			buf_addc(&f, *s);
		start = false;
	}
	if (v_count(row) > 0 || f.len > 0 || !start)
		v_push(c->arena, row, fu_strn(c, buf_str(&f), f.len));
	if (s < end && *s == '\r')
		s++;
	if (s < end && *s == '\n')
		s++;
	*p = s;
	*ret = row;
	return true;
}

static const char csv_params[] = "file,delimiter,col,keycol,default,encoding";

enum { CSV_FILE, CSV_DELIMITER, CSV_COL, CSV_KEYCOL, CSV_DEFAULT, CSV_ENCODING };

static bool
csv_term(struct tcall *c, uint32_t i, struct value *out)
{
	const struct value *text, *v;
	const char *term, *raw, *file, *delim, *path, *p;
	struct value *kv, *row;
	int64_t col, keycol;
	size_t len;

	if (!lookup_term(c, i, &term, &len))
		return false;
	kv = lookup_kv(c, term, &raw);
	if (*raw == '\0') {
		terr(c, ERR_VALUE, "Search key is required but was not found");
		return false;
	}
	if (!known_options(c, kv, csv_params))
		return false;
	if (!option_text(c, option(c, kv, "file", CSV_FILE), "ansible.csv", &file, &len) ||
	    !option_text(c, option(c, kv, "delimiter", CSV_DELIMITER), "TAB", &delim, &len) ||
	    !option_int(c, "col", option(c, kv, "col", CSV_COL), 1, &col) ||
	    !option_int(c, "keycol", option(c, kv, "keycol", CSV_KEYCOL), 0, &keycol))
		return false;
	if (strcmp(delim, "TAB") == 0)
		delim = "\t";
	if (strlen(delim) != 1) {
		terr(c, ERR_VALUE, "csvfile: the delimiter must be one character");
		return false;
	}
	if ((path = lookup_find(c, "files", file)) == NULL) {
		terr(c, ERR_IO, "lookup 'csvfile': the file '%s' was not found", file);
		return false;
	}
	if ((text = lookup_read(c, path)) == NULL)
		return false;
	for (p = text->u.s; csv_row(c, &p, text->u.s + text->len, *delim, &row);) {
		if (v_count(row) == 0)
			continue;
		if (keycol < 0)
			keycol += v_count(row);
		if (keycol < 0 || keycol >= v_count(row)) {
			terr(c, ERR_VALUE, "csvfile: list index out of range");
			return false;
		}
		if (!v_eqs(v_at(row, (uint32_t)keycol), raw))
			continue;
		if (col < 0)
			col += v_count(row);
		if (col < 0 || col >= v_count(row)) {
			terr(c, ERR_VALUE, "csvfile: list index out of range");
			return false;
		}
		v_push(c->arena, out, v_at(row, (uint32_t)col));
		return true;
	}
	v = option(c, kv, "default", CSV_DEFAULT);
	if (v != NULL && v->type == V_LIST)
		for (uint32_t k = 0; k < v_count(v); k++)
			v_push(c->arena, out, v_at(v, k));
	else if (v != NULL)
		v_push(c->arena, out, v);
	return true;
}

static const struct value *
l_csvfile(struct tcall *c)
{
	struct value *out = v_list(c->arena);

	if (!path_may_read(c))
		return NULL;
	if (c->nstar == 0)
		return terr(c, ERR_VALUE, "Search key is required but was not found");
	for (uint32_t i = 0; i < c->nstar; i++)
		if (!csv_term(c, i, out))
			return NULL;
	return out;
}

/* ---- password -------------------------------------------------------------------------------------- */

#define LOWER	"abcdefghijklmnopqrstuvwxyz"
#define UPPER	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"
#define PUNCT	"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
#define PASSWORD_MAX	100000

/* Names of Python's string module. */
static const char *
char_set(const char *name)
{
	static const char *const sets[][2] = {
		{ "ascii_letters", LOWER UPPER }, { "ascii_lowercase", LOWER },
		{ "ascii_uppercase", UPPER }, { "digits", DIGITS },
		{ "hexdigits", "0123456789abcdefABCDEF" }, { "octdigits", "01234567" },
		{ "punctuation", PUNCT }, { "whitespace", " \t\n\r\v\f" },
		{ "printable", DIGITS LOWER UPPER PUNCT " \t\n\r\v\f" },
	};

	for (size_t i = 0; i < NITEMS(sets); i++)
		if (strcmp(name, sets[i][0]) == 0)
			return sets[i][1];
	return name;
}

struct password {
	struct tcall	*c;
	const char	*path;
	struct value	*chars;		/* characters to draw from */
	int64_t		 length;
	const char	*encrypt;	/* NULL: the password itself is the result */
	const char	*ident;
	const struct value *seed;
	const char	*text, *salt;	/* of the file, or new */
};

/* The characters of the specs: names of sets and literal ones; no quotes. */
static bool
password_chars(struct password *p, const struct value *spec)
{
	static const char def[] = LOWER UPPER DIGITS ".,:-_";
	CLEANUP_BUF struct buf all = BUF_INIT;
	struct tcall *c = p->c;
	const struct vlist *l;
	const char *s, *e;
	uint32_t ch;
	unsigned k;
	size_t n;

	if (spec == NULL)
		buf_adds(&all, def);
	else if (spec->type == V_STR) {
		if (strstr(spec->u.s, ",,") != NULL)
			buf_addc(&all, ',');
		for (s = spec->u.s; *s != '\0'; s += n + (s[n] == ',')) {
			n = strcspn(s, ",");
			buf_adds(&all, char_set(arena_strndup(c->arena, s, n)));
		}
	} else {
		if ((l = fu_list(c, spec)) == NULL)
			return false;
		for (uint32_t i = 0; i < l->n; i++) {
			if (!fu_text(c, l->v[i], &s, &n))
				return false;
			buf_adds(&all, char_set(s));
		}
	}
	p->chars = v_list(c->arena);
	for (s = buf_str(&all), e = s + all.len; s < e; s += k) {
		k = utf8_decode(s, (size_t)(e - s), &ch);
		k = k > 0 ? k : 1;
		if (*s != '"' && *s != '\'')
			v_push(c->arena, p->chars, fu_strn(c, s, k));
	}
	if (v_count(p->chars) > 0)
		return true;
	terr(c, ERR_VALUE, "password: there is no character to choose from");
	return false;
}

enum { PW_LENGTH, PW_ENCRYPT, PW_CHARS, PW_IDENT, PW_SEED };

/* "PATH key=value …", where the path may hold blanks. */
static bool
password_options(struct password *p, const char *term)
{
	static const char *const names[] = { "length", "encrypt", "chars", "ident", "seed" };
	struct tcall *c = p->c;
	struct value *kv = v_map(c->arena);
	const struct ventry *e;
	const char *raw, *space = strchr(term, ' ');
	size_t len, k;

	p->path = term;
	if (space != NULL) {
		kv = lookup_kv(c, space + 1, &raw);
		p->path = arena_strndup(c->arena, term, (size_t)(space - term));
		if (*raw != '\0')
			p->path = arena_printf(c->arena, "%s %s", p->path, raw);
		if (strncmp(term, p->path, strlen(p->path)) != 0) {
			terr(c, ERR_VALUE, "Unrecognized value after key=value parameters given to password lookup");
			return false;
		}
	}
	for (uint32_t it = 0; (e = v_next(kv, &it)) != NULL;) {
		for (k = 0; k < NITEMS(names) && !v_eqs(e->key, names[k]); k++)
			continue;
		if (k == NITEMS(names)) {
			terr(c, ERR_VALUE, "Unrecognized parameter(s) given to password lookup: %s", e->key->u.s);
			return false;
		}
	}
	if (!option_int(c, "length", option(c, kv, "length", PW_LENGTH), 20, &p->length) ||
	    !option_text(c, option(c, kv, "encrypt", PW_ENCRYPT), NULL, &p->encrypt, &len) ||
	    !option_text(c, option(c, kv, "ident", PW_IDENT), NULL, &p->ident, &len) ||
	    !password_chars(p, option(c, kv, "chars", PW_CHARS)))
		return false;
	if (p->encrypt != NULL && *p->encrypt == '\0')
		p->encrypt = NULL;
	p->seed = option(c, kv, "seed", PW_SEED);
	if (p->length < 0 || p->length > PASSWORD_MAX) {
		terr(c, ERR_LIMIT, "password: a length of %lld is not allowed", (long long)p->length);
		return false;
	}
	return true;
}

static bool
password_generate(struct password *p)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct pyrandom r;
	const struct value *ch;

	if (p->seed == NULL)
		pyrandom_system(&r);
	else if (!pyrandom_seed(&r, p->seed)) {
		terr(p->c, ERR_TYPE, "password: a seed must be a str");
		return false;
	}
	for (int64_t i = 0; i < p->length; i++) {
		ch = v_at(p->chars, (uint32_t)pyrandom_below(&r, v_count(p->chars)));
		buf_add(&b, ch->u.s, ch->len);
	}
	p->text = buf_dup(&b, p->c->arena);
	return true;
}

/* "PASSWORD salt=SALT ident=IDENT" */
static bool
password_parse(struct password *p, const char *content)
{
	const char *s, *salt = NULL, *ident = NULL;
	char *text;

	for (s = content; (s = strstr(s, " salt=")) != NULL; s++)
		salt = s;
	p->text = content;
	if (salt == NULL)
		return true;
	for (s = salt; (s = strstr(s, " ident=")) != NULL; s++)
		ident = s;
	text = arena_strndup(p->c->arena, content, (size_t)(salt - content));
	p->text = text;
	salt += 6;
	p->salt = ident != NULL ? arena_strndup(p->c->arena, salt, (size_t)(ident - salt)) : salt;
	if (*p->salt == '\0')
		p->salt = NULL;
	if (ident == NULL)
		return true;
	ident += 7;
	if (p->ident != NULL && *p->ident != '\0' && strcmp(p->ident, ident) != 0) {
		terr(p->c, ERR_VALUE, "The ident parameter provided (%s) does not match the stored one (%s).",
		    p->ident, ident);
		return false;
	}
	p->ident = ident;
	return true;
}

static bool
make_dirs(struct tcall *c, const char *path)
{
	char *p = arena_strdup(c->arena, path), *s;

	for (s = p + 1; (s = strchr(s, '/')) != NULL; s++) {
		*s = '\0';
		if (mkdir(p, 0700) != 0 && errno != EEXIST) {
			err_errno(c->err, "password: cannot make the directory %s", p);
			return false;
		}
		*s = '/';
	}
	return true;
}

/*
 * Writes the file by way of a temporary one.  With fresh set it must not be
 * there yet: 1 means that somebody else was faster.  -1 after an error.
 */
static int
password_write(struct password *p, const char *path, bool fresh)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_CLOSE int fd = -1;
	char *tmp = arena_printf(p->c->arena, "%s.XXXXXX", path);
	int rc;

	buf_adds(&b, p->text);
	if (p->salt != NULL)
		buf_addf(&b, " salt=%s", p->salt);
	if (p->salt != NULL && p->ident != NULL && *p->ident != '\0')
		buf_addf(&b, " ident=%s", p->ident);
	buf_addc(&b, '\n');
	if (!make_dirs(p->c, path))
		return -1;
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, b.data, b.len) != (ssize_t)b.len ||
	    fsync(fd) != 0) {
		err_errno(p->c->err, "password: cannot write %s", path);
		if (fd >= 0)
			(void)unlink(tmp);
		return -1;
	}
	rc = fresh ? link(tmp, path) : rename(tmp, path);
	if (rc != 0 && fresh && errno == EEXIST)
		rc = 1;
	else if (rc != 0)
		err_errno(p->c->err, "password: cannot write %s", path);
	if (fresh)
		(void)unlink(tmp);
	return rc;
}

/* Reads the file's content without blanks at its end; *ret NULL when there is none. */
static bool
password_read(struct password *p, const char *path, const char **ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT, clean = BUF_INIT;

	*ret = NULL;
	if (buf_read_file(&b, path) != 0) {
		if (errno == ENOENT)
			return true;
		err_errno(p->c->err, "password: cannot read %s", path);
		return false;
	}
	while (b.len > 0 && isspace((unsigned char)b.data[b.len - 1]))
		b.len--;
	utf8_clean(&clean, b.len > 0 ? b.data : "", b.len);
	*ret = buf_dup(&clean, p->c->arena);
	return true;
}

static bool
password_salt(struct password *p)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	bool bcrypt = strcmp(p->encrypt, "bcrypt") == 0 || strcmp(p->encrypt, "blowfish") == 0;
	bool md5 = strcmp(p->encrypt, "md5_crypt") == 0 || strcmp(p->encrypt, "md5") == 0;

	random_chars(&b, LOWER UPPER DIGITS "./", 64, bcrypt ? 22 : md5 ? 8 : 16);
	p->salt = buf_dup(&b, p->c->arena);
	return true;
}

static bool
password_make(struct password *p)
{
	bool store = strcmp(p->path, "/dev/null") != 0, changed = false, fresh;
	const char *path = path_from_basedir(p->c, p->path), *content = NULL;
	bool bcrypt = p->encrypt != NULL &&
	    (strcmp(p->encrypt, "bcrypt") == 0 || strcmp(p->encrypt, "blowfish") == 0);
	int rc;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (store && !password_read(p, path, &content))
			return false;
		fresh = content == NULL;
		if (fresh) {
			changed = true;
			if (!password_generate(p))
				return false;
		} else if (!password_parse(p, content))
			return false;
		if (p->encrypt != NULL && p->salt == NULL)
			changed = password_salt(p);
		if (bcrypt && (p->ident == NULL || *p->ident == '\0')) {
			p->ident = "2b";
			changed = true;
		}
		if (!store || !changed)
			return true;
		if (tcall_scope(p->c)->files != NULL && tcall_scope(p->c)->files->no_writes) {
			terr(p->c, ERR_INVALID, "password: %s is not there yet", path);
			return false;
		}
		rc = password_write(p, path, fresh);
		if (rc <= 0)
			return rc == 0;
		p->salt = NULL;
	}
	terr(p->c, ERR_BUSY, "password: %s changes all the time", path);
	return false;
}

static const struct value *
l_password(struct tcall *c)
{
	struct value *out = v_list(c->arena);
	const char *term;
	size_t len;

	if (!path_may_read(c))
		return NULL;
	for (uint32_t i = 0; i < c->nstar; i++) {
		struct password p = { .c = c };
		struct password_opts o = { NULL, NULL, 0, 0 };
		CLEANUP_BUF struct buf hash = BUF_INIT;

		if (!lookup_term(c, i, &term, &len) || !password_options(&p, term) || !password_make(&p))
			return NULL;
		if (p.encrypt != NULL) {
			o.salt = p.salt;
			o.ident = p.ident;
			if (password_crypt(p.text, p.encrypt, &o, &hash, c->err) != 0)
				return NULL;
			v_push(c->arena, out, v_str(c->arena, buf_str(&hash)));
		} else
			v_push(c->arena, out, v_str(c->arena, p.text));
	}
	return out;
}

/* ---- random_string ----------------------------------------------------------------------------------- */

/* length, upper, lower, numbers, special, min_upper, min_lower, min_numeric, min_special, override_special, override_all, base64 */
static const struct value *
l_random_string(struct tcall *c)
{
	static const char *const sets[] = { UPPER, LOWER, DIGITS, PUNCT };
	CLEANUP_BUF struct buf all = BUF_INIT, chars = BUF_INIT;
	struct value *out = v_list(c->arena);
	const char *set[4], *s;
	struct pyrandom r;
	int64_t length, min[4];
	size_t len, k;
	bool use, base64;

	if (!option_int(c, "length", option(c, NULL, "", 0), 8, &length) ||
	    !option_bool(c, option(c, NULL, "", 11), false, &base64))
		return NULL;
	for (uint32_t i = 0; i < 4; i++) {
		set[i] = sets[i];
		if (!option_int(c, "min", option(c, NULL, "", 5 + i), 0, &min[i]) ||
		    (i == 3 && !option_text(c, option(c, NULL, "", 9), PUNCT, &set[3], &len)) ||
		    !option_bool(c, option(c, NULL, "", 1 + i), true, &use))
			return NULL;
		if (use)
			buf_adds(&all, set[i]);
	}
	if (!option_text(c, option(c, NULL, "", 10), NULL, &s, &len))
		return NULL;
	if (s != NULL && len > 0) {
		buf_clear(&all);
		buf_adds(&all, s);
		memset(min, 0, sizeof(min));
	}
	if (length < 0 || length > PASSWORD_MAX)
		return terr(c, ERR_LIMIT, "random_string: a length of %lld is not allowed", (long long)length);
	for (int i = 0; i < 4; i++)
		if (min[i] > 0) {
			if (min[i] > PASSWORD_MAX || *set[i] == '\0')
				return terr(c, ERR_VALUE, "random_string: a minimum cannot be had");
			random_chars(&chars, set[i], strlen(set[i]), (size_t)min[i]);
		}
	if (all.len == 0 || all.len > 256)
		return terr(c, ERR_VALUE, "Available characters cannot be None, please change constraints");
	if ((int64_t)chars.len < length)
		random_chars(&chars, buf_str(&all), all.len, (size_t)length - chars.len);
	pyrandom_system(&r);
	for (k = chars.len; k > 1; k--) {
		size_t j = pyrandom_below(&r, k);
		char t = chars.data[k - 1];

		chars.data[k - 1] = chars.data[j];
		chars.data[j] = t;
	}
	v_push(c->arena, out, fu_strn(c, buf_str(&chars), chars.len));
	if (base64) {
		const struct value *v = tcall_filter(c, "b64encode", v_at(out, 0), NULL, 0, NULL);

		if (v == NULL)
			return NULL;
		out = v_list(c->arena);
		v_push(c->arena, out, v);
	}
	return out;
}

const struct tlookup lookups_data[] = {
	{ "csvfile", csv_params, 0, l_csvfile },
	{ "ini", ini_params, 0, l_ini },
	{ "password", "length,encrypt,chars,ident,seed", 0, l_password },
	{ "random_string", "length,upper,lower,numbers,special,min_upper,min_lower,min_numeric,"
	    "min_special,override_special,override_all,base64", 0, l_random_string },
	{ NULL, NULL, 0, NULL }
};
