/*
 * Arguments of modules: rows of data, checked and converted.
 *
 * The same check runs twice: over a task as written, before any connection
 * (MOD_PARTIAL: templates count as given and are left alone), and over the
 * values a host gets.  Conversions are Ansible's (type_convert in its module
 * base): a number where text is wanted becomes text, a text is split into a
 * list, "yes" is true.  Where Ansible would quietly take something that can
 * only be a mistake (a mode written as the decimal number 644) we warn.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "module/fs.h"
#include "module/spec.h"

#define ARGS_DEPTH_MAX	16

static const struct value *convert(struct spec *, const struct mod_arg *,
    enum arg_type, const struct value *, int depth);

static struct mark
mark_of(const struct spec *sp, const struct value *v)
{
	return v != NULL && v->mark != NULL ? *v->mark : sp->at;
}

struct err *
spec_fail(struct spec *sp, const struct value *v, enum err_code code,
    const char *fmt, ...)
{
	const char *msg;
	va_list ap;

	va_start(ap, fmt);
	msg = arena_vprintf(sp->arena, fmt, ap);
	va_end(ap);
	sp->bad = true;
	return diags_error(sp->diags, code, mark_of(sp, v), "%s", msg);
}

/* ---- names -------------------------------------------------------------- */

/* True when word is one of the comma-separated list. */
static bool
in_list(const char *list, const char *word, size_t n)
{
	size_t k;

	while (list != NULL && *list != '\0') {
		k = strcspn(list, ",");
		if (k == n && strncmp(list, word, n) == 0)
			return true;
		list += k + (list[k] == ',');
	}
	return false;
}

const char *
spec_next_name(struct arena *arena, const char **list)
{
	const char *s = *list;
	size_t n;

	if (s == NULL || *s == '\0')
		return NULL;
	n = strcspn(s, ",");
	*list = s + n + (s[n] == ',');
	return arena_strndup(arena, s, n);
}

static const struct mod_arg *
row_find(const struct mod_arg *rows, const char *name)
{
	size_t n = strlen(name);

	for (; rows != NULL && rows->name != NULL; rows++)
		if (strcmp(rows->name, name) == 0 ||
		    in_list(rows->aliases, name, n))
			return rows;
	return NULL;
}

const struct mod_arg *
mod_arg_find(const struct module *mod, const char *name)
{
	const struct mod_arg *row = row_find(mod->args, name);

	if (row == NULL && (mod->flags & MOD_FILE_ATTRS))
		row = row_find(fs_attr_args, name);
	if (row == NULL && (mod->flags & MOD_FREE_FORM) &&
	    mod->free_form != NULL && strcmp(name, "_raw_params") == 0)
		row = row_find(mod->args, mod->free_form);
	return row;
}

/* Task keywords that are often indented too far. */
static bool
is_task_keyword(const char *name)
{
	static const char *const words[] = { "when", "loop", "register",
		"notify", "become", "become_user", "tags", "with_items",
		"ignore_errors", "changed_when", "failed_when", "delegate_to",
		"run_once", "no_log", "until", "retries", "delay", "vars",
		"listen", "environment", "args", "loop_control", "check_mode",
		"diff", NULL };
	size_t i;

	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], name) == 0)
			return true;
	return strncmp(name, "with_", 5) == 0;
}

static void
nearest_in(const struct mod_arg *rows, const char *name, struct arena *arena,
    const char **best, unsigned *dist)
{
	const char *list, *alias;

	for (; rows != NULL && rows->name != NULL; rows++) {
		nearest_try(name, rows->name, best, dist);
		for (list = rows->aliases;
		    (alias = spec_next_name(arena, &list)) != NULL;)
			nearest_try(name, alias, best, dist);
	}
}

static void
names_of(const struct mod_arg *rows, struct buf *out)
{
	for (; rows != NULL && rows->name != NULL; rows++)
		if (!(rows->flags & (ARG_IGNORED | ARG_UNSUPPORTED)))
			buf_addf(out, "%s%s", out->len > 0 ? ", " : "",
			    rows->name);
}

static void
unknown(struct spec *sp, const struct value *key, const struct mod_arg *rows,
    bool attrs)
{
	CLEANUP_BUF struct buf all = BUF_INIT;
	const char *best = NULL, *name = key->u.s;
	unsigned dist = 0;
	struct err *err;

	nearest_in(rows, name, sp->arena, &best, &dist);
	if (attrs)
		nearest_in(fs_attr_args, name, sp->arena, &best, &dist);
	err = spec_fail(sp, key, ERR_INVALID, "unknown parameter '%s' of %s", name,
	    sp->where);
	if (best != NULL)
		err_hint(err, "did you mean '%s'?", best);
	else if (is_task_keyword(name))
		err_hint(err, "'%s' is a keyword of the task: indent it like the module's name",
		    name);
	else if (strpbrk(name, "=:/ ") != NULL)
		err_hint(err, "is it a part of the value before it? Within { } a value with a comma must be quoted");
	else {
		names_of(rows, &all);
		if (attrs)
			names_of(fs_attr_args, &all);
		if (all.len > 0)
			err_hint(err, "it takes: %s", buf_str(&all));
		else
			err_hint(err, "it takes no parameters");
	}
}

/* ---- values ------------------------------------------------------------- */

int
mod_parse_bool(const struct value *v)
{
	static const char *const yes[] = { "yes", "true", "on", "y", "t", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "n", "f", "0", NULL };
	char word[8];
	size_t i;

	switch (v->type) {
	case V_BOOL:
		return v->u.b;
	case V_INT:
		return v->u.i == 0 || v->u.i == 1 ? (int)v->u.i : -1;
	case V_FLOAT:
		return v->u.f == 0.0 ? 0 : v->u.f == 1.0 ? 1 : -1;
	case V_STR:
		break;
	default:
		return -1;
	}
	if (v->len == 0 || v->len >= sizeof(word))
		return -1;
	for (i = 0; i < v->len; i++)
		word[i] = (char)tolower((unsigned char)v->u.s[i]);
	word[i] = '\0';
	for (i = 0; yes[i] != NULL; i++) {
		if (strcmp(word, yes[i]) == 0)
			return 1;
		if (strcmp(word, no[i]) == 0)
			return 0;
	}
	return -1;
}

/* A new value keeps the old one's mark and secret bit. */
static const struct value *
like(struct spec *sp, const struct value *new, const struct value *old)
{
	if (old->flags & V_SECRET)
		new = v_flag(sp->arena, new, V_SECRET);
	if (old->mark != NULL)
		new = v_with_mark(sp->arena, new, *old->mark);
	return new;
}

const struct value *
spec_text(struct spec *sp, const struct value *v)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	switch (v->type) {
	case V_STR:
		return v;
	case V_BOOL:
		buf_adds(&b, v->u.b ? "True" : "False");
		break;
	case V_INT:
		buf_addf(&b, "%lld", (long long)v->u.i);
		break;
	case V_FLOAT:
		format_double(&b, v->u.f);
		break;
	default:
		return NULL;
	}
	return like(sp, v_strn(sp->arena, buf_str(&b), b.len), v);
}

static const char *
type_word(enum arg_type t)
{
	switch (t) {
	case ARG_STR:	return "a string";
	case ARG_PATH:	return "a path";
	case ARG_BOOL:	return "a boolean (true or false)";
	case ARG_INT:	return "an integer";
	case ARG_FLOAT:	return "a number";
	case ARG_LIST:	return "a list";
	case ARG_MAP:	return "a map";
	case ARG_RAW:	return "a value";
	case ARG_MODE:	return "a file mode";
	case ARG_BYTES:	return "a size (10, \"10M\", \"1G\")";
	}
	return "a value";
}

static const struct value *
wrong_type(struct spec *sp, const struct mod_arg *row, enum arg_type want,
    const struct value *v)
{
	if (v_is_str(v) && !(v->flags & V_SECRET) && v->len < 60)
		(void)spec_fail(sp, v, ERR_TYPE, "'%s' of %s must be %s, not '%s'",
		    row->name, sp->where, type_word(want), v->u.s);
	else
		(void)spec_fail(sp, v, ERR_TYPE, "'%s' of %s must be %s, not %s",
		    row->name, sp->where, type_word(want), v_type_name(v));
	return NULL;
}

static const struct value *
to_int(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	char *end;
	long long n;
	const char *s;

	if (v->type == V_INT)
		return v;
	if (v->type == V_FLOAT && floor(v->u.f) == v->u.f &&
	    fabs(v->u.f) < 9e18)
		return like(sp, v_int(sp->arena, (int64_t)v->u.f), v);
	if (v->type == V_BOOL)
		return like(sp, v_int(sp->arena, v->u.b), v);
	if (v->type != V_STR || v->len == 0)
		return wrong_type(sp, row, ARG_INT, v);
	errno = 0;
	n = strtoll(v->u.s, &end, 10);
	for (s = end; isspace((unsigned char)*s); s++)
		;
	if (errno != 0 || end == v->u.s || *s != '\0')
		return wrong_type(sp, row, ARG_INT, v);
	return like(sp, v_int(sp->arena, n), v);
}

static const struct value *
to_float(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	char *end;
	double d;

	if (v->type == V_FLOAT)
		return v;
	if (v->type == V_INT)
		return like(sp, v_float(sp->arena, (double)v->u.i), v);
	if (v->type != V_STR || v->len == 0)
		return wrong_type(sp, row, ARG_FLOAT, v);
	d = strtod(v->u.s, &end);
	if (*end != '\0' || end == v->u.s)
		return wrong_type(sp, row, ARG_FLOAT, v);
	return like(sp, v_float(sp->arena, d), v);
}

/* "10", "10M", "1 GB", "512KiB": powers of 1024, as Ansible's human_to_bytes. */
static const struct value *
to_bytes(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	static const char units[] = "BKMGTPEZY";
	const char *unit;
	char *end;
	double d;

	if (v->type == V_INT)
		return v;
	if (v->type != V_STR || v->len == 0)
		return wrong_type(sp, row, ARG_BYTES, v);
	d = strtod(v->u.s, &end);
	if (end == v->u.s || !isfinite(d))
		return wrong_type(sp, row, ARG_BYTES, v);
	while (*end == ' ')
		end++;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL)
			return wrong_type(sp, row, ARG_BYTES, v);
		d *= pow(1024.0, (double)(unit - units));
		end++;
		if (strcmp(end, "") != 0 && strcmp(end, "B") != 0 &&
		    strcmp(end, "b") != 0 && strcmp(end, "iB") != 0 &&
		    !(*unit == 'B' && strcmp(end, "ytes") == 0))
			return wrong_type(sp, row, ARG_BYTES, v);
	}
	if (fabs(d) > 9e18)
		return wrong_type(sp, row, ARG_BYTES, v);
	return like(sp, v_int(sp->arena, (int64_t)d), v);
}

/*
 * `mode: 644` is the decimal number 644, octal 1204.  Ansible takes it and
 * files end up unreadable; where the source shows such a number, warn.
 */
static void
warn_decimal_mode(struct spec *sp, const struct value *v)
{
	const struct source *src = v->mark == NULL ? NULL : v->mark->src;
	const char *p, *end;
	uint32_t line;
	struct err *err;

	if (!sp->partial || src == NULL || src->text == NULL ||
	    v->mark->line == 0)
		return;
	p = src->text;
	end = src->text + src->len;
	for (line = 1; line < v->mark->line && p != NULL; line++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p != NULL)
			p++;
	}
	/* columns count characters; before a mode they are bytes as a rule */
	if (p == NULL || v->mark->col == 0 ||
	    (size_t)(end - p) < v->mark->col)
		return;
	p += v->mark->col - 1;
	if (*p < '1' || *p > '9' || v->u.i < 100 || v->u.i > 7777)
		return;
	err = diags_warn(sp->diags, *v->mark,
	    "mode %lld is a decimal number here: it means octal %04llo",
	    (long long)v->u.i, (unsigned long long)v->u.i);
	err_hint(err, "write it as a string: '0%lld'", (long long)v->u.i);
}

static const struct value *
to_mode(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	mode_t ignored;

	if (v->type == V_INT) {
		if (v->u.i < 0 || v->u.i > 07777) {
			(void)spec_fail(sp, v, ERR_VALUE,
			    "'%s' of %s: %lld is no file mode", row->name,
			    sp->where, (long long)v->u.i);
			return NULL;
		}
		warn_decimal_mode(sp, v);
		return like(sp, v_strf(sp->arena, "%04llo",
		    (unsigned long long)v->u.i), v);
	}
	if (v->type != V_STR)
		return wrong_type(sp, row, ARG_MODE, v);
	if (strcmp(v->u.s, "preserve") == 0)
		return v;
	if (fs_mode_apply(v->u.s, 0, false, &ignored) == -1) {
		err_hint(spec_fail(sp, v, ERR_VALUE,
		    "'%s' of %s: '%s' is no file mode", row->name, sp->where,
		    v->u.s), "octal like '0644' or symbolic like 'u=rw,g=r,o='");
		return NULL;
	}
	return v;
}

static const struct value *
convert_list(struct spec *sp, const struct mod_arg *row,
    const struct value *v, int depth)
{
	struct value *out = v_list(sp->arena);
	const struct value *e;
	const char *s, *end;
	uint32_t i;
	size_t n;

	if (v->type == V_STR && row->of == ARG_MAP) {
		e = convert(sp, row, row->of, v, depth);
		if (e == NULL)
			return NULL;
		v_push(sp->arena, out, e);
		return like(sp, out, v);
	}
	if (v->type == V_STR) {
		/* an empty text is a list of one empty text, as in Ansible */
		for (s = v->u.s;; s = end + 1) {
			end = s + strcspn(s, ",");
			n = (size_t)(end - s);
			while (n > 0 && isspace((unsigned char)*s)) {
				s++;
				n--;
			}
			while (n > 0 && isspace((unsigned char)s[n - 1]))
				n--;
			e = like(sp, v_strn(sp->arena, s, n), v);
			e = convert(sp, row, row->of, e, depth);
			if (e == NULL)
				return NULL;
			v_push(sp->arena, out, e);
			if (*end == '\0')
				break;
		}
		return like(sp, out, v);
	}
	if (v->type != V_LIST) {
		e = convert(sp, row, row->of, v, depth);
		if (e == NULL)
			return NULL;
		v_push(sp->arena, out, e);
		return like(sp, out, v);
	}
	for (i = 0; i < v_count(v); i++) {
		e = v_at(v, i);
		if (e->type == V_OMIT)
			continue;
		e = convert(sp, row, row->of, e, depth);
		if (e == NULL)
			return NULL;
		v_push(sp->arena, out, e);
	}
	return like(sp, out, v);
}

/* k=v words, values may be quoted: "a=1 b='x y'"; commas separate as well. */
static const struct value *
parse_kv(struct spec *sp, const struct value *v)
{
	CLEANUP_BUF struct buf word = BUF_INIT;
	struct value *map = v_map(sp->arena);
	const char *s = v->u.s, *eq;
	char quote;

	for (;;) {
		while (isspace((unsigned char)*s) || *s == ',')
			s++;
		if (*s == '\0')
			return map;
		buf_clear(&word);
		for (quote = '\0'; *s != '\0'; s++) {
			if (quote != '\0' && *s == quote)
				quote = '\0';
			else if (quote == '\0' && (*s == '"' || *s == '\''))
				quote = *s;
			else if (quote == '\0' &&
			    (isspace((unsigned char)*s) || *s == ','))
				break;
			else
				buf_addc(&word, *s);
		}
		eq = strchr(buf_str(&word), '=');
		if (quote != '\0' || eq == NULL || eq == word.data)
			return NULL;
		v_sets(sp->arena, map,
		    arena_strndup(sp->arena, word.data, (size_t)(eq - word.data)),
		    v_str(sp->arena, eq + 1));
	}
}

static const struct value *check_rows(struct spec *, const struct mod_arg *,
    bool attrs, bool any, const struct value *, int depth);

static const struct value *
convert_map(struct spec *sp, const struct mod_arg *row, const struct value *v,
    int depth)
{
	const char *outer = sp->where;
	struct err ignored = ERR_INIT;
	const struct value *map = v;

	if (v->type == V_STR) {
		map = NULL;
		if (v->u.s[strspn(v->u.s, " \t\n")] == '{')
			map = json_parse_text(sp->arena, v->u.s, v->len, &ignored);
		err_release(&ignored);
		if (map == NULL)
			map = parse_kv(sp, v);
	}
	if (map == NULL || map->type != V_MAP)
		return wrong_type(sp, row, ARG_MAP, v);
	if (row->sub != NULL) {
		sp->where = arena_printf(sp->arena, "'%s' of %s", row->name, outer);
		map = check_rows(sp, row->sub, false, false, map, depth + 1);
		sp->where = outer;
		if (map == NULL)
			return NULL;
	}
	return map == v ? v : like(sp, map, v);
}

static const struct value *
convert(struct spec *sp, const struct mod_arg *row, enum arg_type type,
    const struct value *v, int depth)
{
	const struct value *r;
	int b;

	if (v->type == V_TMPL) {
		assert(sp->partial);
		return v;
	}
	switch (type) {
	case ARG_STR:
	case ARG_PATH:
		r = spec_text(sp, v);
		return r != NULL ? r : wrong_type(sp, row, type, v);
	case ARG_BOOL:
		b = mod_parse_bool(v);
		if (b == -1)
			return wrong_type(sp, row, type, v);
		return v->type == V_BOOL ? v : like(sp, v_bool(b == 1), v);
	case ARG_INT:
		return to_int(sp, row, v);
	case ARG_FLOAT:
		return to_float(sp, row, v);
	case ARG_LIST:
		return convert_list(sp, row, v, depth);
	case ARG_MAP:
		return convert_map(sp, row, v, depth);
	case ARG_MODE:
		return to_mode(sp, row, v);
	case ARG_BYTES:
		return to_bytes(sp, row, v);
	case ARG_RAW:
		return v;
	}
	return v;
}

/* ---- choices ------------------------------------------------------------ */

/*
 * `state: yes` is a boolean to YAML; where the choices hold just one word for
 * that truth value, it was meant.
 */
static const struct value *
bool_choice(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	const char *list = row->choices, *word, *found = NULL;
	const struct value *w;

	while ((word = spec_next_name(sp->arena, &list)) != NULL) {
		w = v_str(sp->arena, word);
		if (mod_parse_bool(w) != (int)v->u.b)
			continue;
		if (found != NULL)
			return v;
		found = word;
	}
	return found == NULL ? v : like(sp, v_str(sp->arena, found), v);
}

static bool
check_choice(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	const char *list = row->choices, *word, *best = NULL;
	const struct value *text;
	unsigned dist = 0;
	struct err *err;
	uint32_t i;

	if (v->type == V_TMPL)
		return true;
	if (v->type == V_LIST) {
		for (i = 0; i < v_count(v); i++)
			if (!check_choice(sp, row, v_at(v, i)))
				return false;
		return true;
	}
	text = spec_text(sp, v);
	if (text == NULL || v->type == V_BOOL)
		return true;
	if (in_list(list, text->u.s, text->len))
		return true;
	while ((word = spec_next_name(sp->arena, &list)) != NULL)
		nearest_try(text->u.s, word, &best, &dist);
	err = spec_fail(sp, v, ERR_VALUE, "'%s' of %s cannot be '%s'", row->name,
	    sp->where, v->flags & V_SECRET ? "********" : text->u.s);
	if (best != NULL)
		err_hint(err, "did you mean '%s'?", best);
	else {
		CLEANUP_BUF struct buf all = BUF_INIT;

		for (list = row->choices;
		    (word = spec_next_name(sp->arena, &list)) != NULL;)
			buf_addf(&all, "%s%s", all.len > 0 ? ", " : "", word);
		err_hint(err, "one of: %s", buf_str(&all));
	}
	return false;
}

/* ---- rows --------------------------------------------------------------- */

/* An unsupported argument may be given with the value that means nothing. */
static bool
is_default(struct spec *sp, const struct mod_arg *row, const struct value *v)
{
	const struct value *text = spec_text(sp, v);
	struct value def = { .type = V_STR };

	if (text == NULL)
		return false;
	if (row->def == NULL)
		return row->type == ARG_BOOL && mod_parse_bool(v) == 0;
	if (strcmp(text->u.s, row->def) == 0)
		return true;
	def.u.s = row->def;
	def.len = (uint32_t)strlen(row->def);
	return row->type == ARG_BOOL && mod_parse_bool(v) == mod_parse_bool(&def);
}

static const struct value *
check_value(struct spec *sp, const struct mod_arg *row, const struct value *key,
    const struct value *v, int depth)
{
	if ((row->flags & ARG_UNSUPPORTED) && !is_default(sp, row, v)) {
		err_hint(spec_fail(sp, key, ERR_UNSUPPORTED,
		    "parameter '%s' of %s is not supported", row->name,
		    sp->where), "%s", row->doc != NULL ? row->doc :
		    "Ansible has it, provctl does not");
		return NULL;
	}
	if (sp->partial && (row->flags & ARG_IGNORED))
		(void)diags_note(sp->diags, mark_of(sp, key),
		    "parameter '%s' of %s has no effect", row->name, sp->where);
	if (sp->partial && (row->flags & ARG_DEPRECATED))
		(void)diags_note(sp->diags, mark_of(sp, key),
		    "parameter '%s' of %s is deprecated", row->name, sp->where);
	if (row->choices != NULL && v->type == V_BOOL && row->type != ARG_BOOL)
		v = bool_choice(sp, row, v);
	v = convert(sp, row, row->type, v, depth);
	if (v == NULL)
		return NULL;
	if (row->choices != NULL && !check_choice(sp, row, v))
		return NULL;
	if ((row->flags & ARG_SECRET) && v->type != V_TMPL)
		v = v_flag(sp->arena, v, V_SECRET);
	return v;
}

/* Defaults of rows that were not given; missing required ones. */
static void
fill_in(struct spec *sp, const struct mod_arg *rows, struct value *out,
    const struct value *given, int depth)
{
	const struct value *v;

	for (; rows != NULL && rows->name != NULL; rows++) {
		v = v_gets(out, rows->name);
		if (v != NULL)
			continue;
		if (rows->flags & ARG_REQUIRED) {
			/* one that was given and wrong has been told already */
			if (v_gets(given, rows->name) != NULL && sp->bad)
				continue;
			err_hint(spec_fail(sp, NULL, ERR_INVALID,
			    "%s needs parameter '%s'", sp->where, rows->name),
			    "%s", rows->doc != NULL ? rows->doc : "it is required");
		} else if (rows->def != NULL &&
		    !(rows->flags & (ARG_UNSUPPORTED | ARG_IGNORED))) {
			v = v_str(sp->arena, rows->def);
			v = convert(sp, rows, rows->type, v, depth);
			assert(v != NULL);
			v_sets(sp->arena, out, rows->name, v);
		}
	}
}

static const struct mod_arg *
find_row(const struct spec *sp, const struct mod_arg *rows, bool attrs,
    int depth, const char *name)
{
	const struct mod_arg *row;

	if (depth == 0)
		return mod_arg_find(sp->module, name);
	row = row_find(rows, name);
	if (row == NULL && attrs)
		row = row_find(fs_attr_args, name);
	return row;
}

static const struct value *
check_rows(struct spec *sp, const struct mod_arg *rows, bool attrs, bool any,
    const struct value *args, int depth)
{
	struct value *out = v_map(sp->arena);
	bool outer_bad = sp->bad;
	const struct mod_arg *row;
	const struct ventry *e;
	const struct value *v;
	uint32_t it;

	if (depth > ARGS_DEPTH_MAX) {
		(void)spec_fail(sp, args, ERR_LIMIT, "parameters of %s are nested too deeply",
		    sp->where);
		return NULL;
	}
	sp->bad = false;
	for (it = 0; (e = v_next(args, &it)) != NULL;) {
		if (e->key->type != V_STR) {
			(void)spec_fail(sp, e->key, ERR_TYPE,
			    "the name of a parameter of %s must be a string, not %s",
			    sp->where, v_type_name(e->key));
			continue;
		}
		if (e->val->type == V_OMIT || e->val->type == V_NULL) {
			/* null is "not given", but a fact may be null */
			if (any && e->val->type == V_NULL &&
			    find_row(sp, rows, attrs, depth, e->key->u.s) == NULL)
				v_set(sp->arena, out, e->key, e->val);
			if (!any && strcmp(e->key->u.s, "_content") != 0 &&
			    find_row(sp, rows, attrs, depth, e->key->u.s) == NULL)
				unknown(sp, e->key, rows, attrs);
			continue;
		}
		if (depth == 0 && !sp->partial &&
		    (sp->module->flags & MOD_CONTENT) &&
		    strcmp(e->key->u.s, "_content") == 0) {
			v_set(sp->arena, out, e->key, e->val);
			continue;
		}
		row = find_row(sp, rows, attrs, depth, e->key->u.s);
		if (row == NULL) {
			if (any)
				v_set(sp->arena, out, e->key, e->val);
			else
				unknown(sp, e->key, rows, attrs);
			continue;
		}
		if (v_gets(out, row->name) != NULL)
			(void)diags_warn(sp->diags, mark_of(sp, e->key),
			    "'%s' of %s is given twice under different names; the last one counts",
			    row->name, sp->where);
		v = check_value(sp, row, e->key, e->val, depth);
		if (v != NULL)
			v_sets(sp->arena, out, row->name, v);
	}
	/* what a default says was not given: it excludes nothing */
	if (depth == 0)
		spec_check_rules(sp, out, true);
	fill_in(sp, rows, out, args, depth);
	if (attrs)
		fill_in(sp, fs_attr_args, out, args, depth);
	if (sp->bad)
		return NULL;
	sp->bad = outer_bad;
	return out;
}

const struct value *
mod_args_check(struct arena *arena, const struct module *mod,
    const struct value *args, struct mark at, unsigned flags,
    struct diags *diags)
{
	struct spec sp = { .arena = arena, .module = mod, .at = at,
		.partial = (flags & MOD_PARTIAL) != 0, .diags = diags };
	const struct value *out;

	sp.where = arena_printf(arena, "module '%s'", mod->name);
	sp.rules = mod->rules;
	if (mod->flags & MOD_UNSUPPORTED) {
		(void)spec_fail(&sp, NULL, ERR_UNSUPPORTED, "%s is not supported",
		    sp.where);
		return NULL;
	}
	if (args == NULL || args->type == V_NULL)
		args = v_map(arena);
	if (args->type == V_TMPL && sp.partial)
		return args;
	if (args->type != V_MAP) {
		err_hint(spec_fail(&sp, args, ERR_TYPE,
		    "the parameters of %s must be a map, not %s", sp.where,
		    v_type_name(args)), "write `%s:` and its parameters indented below",
		    mod->name);
		return NULL;
	}
	out = check_rows(&sp, mod->args, (mod->flags & MOD_FILE_ATTRS) != 0,
	    (mod->flags & MOD_ANY_ARGS) != 0, args, 0);
	if (out == NULL)
		return NULL;
	spec_check_rules(&sp, out, false);
	return sp.bad ? NULL : out;
}
