/*
 * Parsing options by their rows.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "opt.h"

#define DOC_COLUMN	30
#define WIDTH		80

void
words_add(struct arena *a, struct words *w, const char *text)
{
	w->v = arena_grow(a, w->v, (w->n > 0 ? w->n + 1 : 0) * sizeof(*w->v),
	    (w->n + 2) * sizeof(*w->v));
	w->v[w->n++] = text;
	w->v[w->n] = NULL;
}

/* ---- finding rows ------------------------------------------------------------------ */

static const struct opt *
by_letter(const struct opt_group *const *groups, char c)
{
	const struct opt *o;

	for (; *groups != NULL; groups++)
		for (o = (*groups)->rows; o->name != NULL; o++)
			if (o->letter == c && c != '\0')
				return o;
	return NULL;
}

static const struct opt *
by_name(const struct opt_group *const *groups, const char *name, size_t n)
{
	const struct opt *o;

	for (; *groups != NULL; groups++)
		for (o = (*groups)->rows; o->name != NULL; o++)
			if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
				return o;
	return NULL;
}

static int
unknown(struct arena *a, const struct opt_group *const *groups, const char *name,
    size_t n, struct err *err)
{
	const char *word = arena_strndup(a, name, n), *best = NULL;
	const struct opt *o;
	unsigned dist = 0;

	for (; *groups != NULL; groups++)
		for (o = (*groups)->rows; o->name != NULL; o++)
			nearest_try(word, o->name, &best, &dist);
	(void)err_set(err, ERR_USAGE, "unknown option '--%s'", word);
	if (best != NULL)
		err_hint(err, "did you mean '--%s'?", best);
	return -1;
}

/* ---- values --------------------------------------------------------------------------- */

static bool
is_choice(const char *choices, const char *word)
{
	size_t n, len = strlen(word);

	for (; *choices != '\0'; choices += n + (choices[n] == ',')) {
		n = strcspn(choices, ",");
		if (n == len && strncmp(choices, word, n) == 0)
			return true;
	}
	return false;
}

static int
set_int(const struct opt *o, int *ret, const char *text, struct err *err)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || errno != 0 || n < o->min || n > o->max)
		return err_set(err, ERR_USAGE,
		    "--%s takes a number from %d to %d, not '%s'", o->name,
		    o->min, o->max, text);
	*ret = (int)n;
	return 0;
}

static int
set(struct arena *a, const struct opt *o, void *settings, const char *text,
    struct err *err)
{
	char *field = (char *)settings + o->offset;
	size_t n;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)(void *)field = true;
		break;
	case OPT_COUNT:
		++*(int *)(void *)field;
		break;
	case OPT_STR:
		*(const char **)(void *)field = text;
		break;
	case OPT_INT:
		return set_int(o, (int *)(void *)field, text, err);
	case OPT_LIST:
		words_add(a, (struct words *)(void *)field, text);
		break;
	case OPT_COMMAS:
		for (; *text != '\0'; text += n + (text[n] == ',')) {
			n = strcspn(text, ",");
			if (n > 0)
				words_add(a, (struct words *)(void *)field,
				    arena_strndup(a, text, n));
		}
		break;
	case OPT_CHOICE:
		if (!is_choice(o->choices, text))
			return err_set(err, ERR_USAGE,
			    "--%s takes one of %s, not '%s'", o->name,
			    o->choices, text);
		*(const char **)(void *)field = text;
		break;
	}
	return 0;
}

static int
lacks_value(const struct opt *o, struct err *err)
{
	(void)err_set(err, ERR_USAGE, "option '--%s' needs a value: %s", o->name,
	    o->arg);
	err_hint(err, "%s", o->doc);
	return -1;
}

/* ---- parsing ----------------------------------------------------------------------------- */

static int
parse_long(struct arena *a, const struct opt_group *const *groups, void *settings,
    char ***argv, struct err *err)
{
	const char *name = **argv + 2, *value = NULL;
	size_t n = strcspn(name, "=");
	const struct opt *o = by_name(groups, name, n);

	if (o == NULL)
		return unknown(a, groups, name, n, err);
	if (name[n] == '=')
		value = name + n + 1;
	if (o->arg == NULL && value != NULL)
		return err_set(err, ERR_USAGE, "option '--%s' takes no value",
		    o->name);
	if (o->arg != NULL && value == NULL) {
		if ((*argv)[1] == NULL)
			return lacks_value(o, err);
		value = *++*argv;
	}
	return set(a, o, settings, value, err);
}

static int
parse_letters(struct arena *a, const struct opt_group *const *groups,
    void *settings, char ***argv, struct err *err)
{
	const char *p;

	for (p = **argv + 1; *p != '\0'; p++) {
		const struct opt *o = by_letter(groups, *p);
		const char *value = NULL;

		if (o == NULL) {
			(void)err_set(err, ERR_USAGE, "unknown option '-%c'",
			    *p >= ' ' && *p <= '~' ? *p : '?');
			err_hint(err, "--help lists the options");
			return -1;
		}
		if (o->arg != NULL) {
			value = p + 1;
			if (*value == '\0' && (value = (*argv)[1]) == NULL)
				return lacks_value(o, err);
			if (p[1] == '\0')
				++*argv;
		}
		if (set(a, o, settings, value, err) == -1)
			return -1;
		if (o->arg != NULL)
			return 0;
	}
	return 0;
}

int
opt_parse(struct arena *a, const struct opt_group *const *groups, void *settings,
    char **argv, struct words *args, struct err *err)
{
	bool end = false;

	for (; *argv != NULL; argv++) {
		int r = 0;

		if (end || (*argv)[0] != '-' || (*argv)[1] == '\0')
			words_add(a, args, *argv);
		else if (strcmp(*argv, "--") == 0)
			end = true;
		else if ((*argv)[1] == '-')
			r = parse_long(a, groups, settings, &argv, err);
		else
			r = parse_letters(a, groups, settings, &argv, err);
		if (r == -1)
			return -1;
	}
	return 0;
}

/* ---- help ----------------------------------------------------------------------------------- */

void
help_wrap(struct buf *out, unsigned indent, unsigned at, const char *text)
{
	bool first = true;

	while (*text != '\0') {
		size_t n = strcspn(text, " \n");

		if (!first && at + 1 + n > WIDTH) {
			buf_addf(out, "\n%*s", (int)indent, "");
			at = indent;
			first = true;
		}
		if (!first) {
			buf_addc(out, ' ');
			at++;
		}
		buf_add(out, text, n);
		at += (unsigned)n;
		first = false;
		text += n;
		/* An empty line ends a paragraph; other line ends are only the source's. */
		if (text[0] == '\n' && text[1] == '\n') {
			buf_addf(out, "\n\n%*s", (int)indent, "");
			at = indent;
			first = true;
			text++;
		}
		text += *text != '\0';
	}
	buf_addc(out, '\n');
}

void
opt_help(struct buf *out, const struct opt_group *const *groups)
{
	const struct opt *o;

	for (; *groups != NULL; groups++) {
		buf_addf(out, "\n%s:\n", (*groups)->title);
		for (o = (*groups)->rows; o->name != NULL; o++) {
			size_t start = out->len;
			unsigned at;

			if (o->letter != '\0')
				buf_addf(out, "  -%c, --%s", o->letter, o->name);
			else
				buf_addf(out, "      --%s", o->name);
			if (o->arg != NULL)
				buf_addf(out, " %s", o->arg);
			at = (unsigned)(out->len - start);
			if (at + 2 > DOC_COLUMN) {
				buf_addc(out, '\n');
				at = 0;
			}
			buf_addf(out, "%*s", (int)(DOC_COLUMN - at), "");
			help_wrap(out, DOC_COLUMN, DOC_COLUMN, o->doc);
		}
	}
}

/* A word and the first sentence about it. */
static void
named(struct buf *out, const char *word, const char *doc)
{
	const char *end = strstr(doc, ". ");

	buf_addf(out, "%s\t%.*s\n", word, end != NULL ? (int)(end - doc) :
	    (int)strcspn(doc, "\n"), doc);
}

void
opt_names(struct arena *a, struct buf *out, const struct opt_group *const *groups)
{
	const struct opt *o;

	for (; *groups != NULL; groups++)
		for (o = (*groups)->rows; o->name != NULL; o++) {
			if (o->letter != '\0')
				named(out, arena_printf(a, "-%c", o->letter), o->doc);
			named(out, arena_printf(a, "--%s", o->name), o->doc);
		}
}
