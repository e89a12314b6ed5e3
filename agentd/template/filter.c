/*
 * The families of filters, tests and lookups, and how a name finds its row.
 *
 * To add a family: declare it here and add it to the list.  Names are looked
 * up in one table of hashes that is built at the first use.
 */
#include <string.h>

#include "template/families.h"

const struct tfamily *const tmpl_families[] = {
	&family_community, &family_data, &family_dict, &family_hash, &family_ip,
	&family_logic, &family_markup, &family_math, &family_net, &family_path, &family_pick,
	&family_random, &family_regex, &family_seq, &family_sets,
	&family_test_ansible, &family_test_ip, &family_test_type, &family_text, &family_time,
	&family_unsupported, &family_url, &family_vault, NULL
};

const struct tlookup *const tmpl_lookups[] = {
	lookups_data, lookups_file, lookups_loop, lookups_url, lookups_var, lookups_unsupported, NULL
};

/* Collections whose plugins go by their short name here. */
static const char *const folded[] = {
	"ansible.builtin.", "ansible.legacy.", "ansible.utils.", "ansible.netcommon.",
	"community.general.", "community.crypto.", "ansible.posix.", "community.mysql.",
};

/* Jinja's own filters and tests: plugins of ansible.builtin, but not of ansible.legacy. */
static const char *const jinja_own[] = {
	"abs", "attr", "batch", "capitalize", "center", "count", "dictsort", "e", "escape",
	"filesizeformat", "first", "float", "forceescape", "format", "indent", "int", "items",
	"join", "last", "length", "list", "lower", "max", "min", "pprint", "replace", "reverse",
	"round", "safe", "slice", "sort", "string", "striptags", "sum", "title", "tojson", "trim",
	"truncate", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr",
	"boolean", "callable", "divisibleby", "eq", "equalto", "escaped", "even", "false",
	"filter", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lt",
	"mapping", "ne", "none", "number", "odd", "sameas", "sequence", "test", "true",
};

static bool
is_jinja_own(const char *name, size_t len)
{
	for (size_t i = 0; i < NITEMS(jinja_own); i++)
		if (strlen(jinja_own[i]) == len && memcmp(jinja_own[i], name, len) == 0)
			return true;
	return false;
}

static void
fold(const char **name, size_t *len)
{
	static const char legacy[] = "ansible.legacy.";
	size_t n = sizeof(legacy) - 1;

	if (*len > n && memcmp(*name, legacy, n) == 0 && is_jinja_own(*name + n, *len - n))
		return;
	for (size_t i = 0; i < NITEMS(folded); i++) {
		n = strlen(folded[i]);
		if (*len > n && memcmp(*name, folded[i], n) == 0) {
			*name += n;
			*len -= n;
			return;
		}
	}
}

/* ---- the table ------------------------------------------------------------------------- */

enum kind { FILTER, TEST, LOOKUP };

struct entry {
	const char	*name;
	const void	*row;
	uint32_t	 hash;
};

struct names {
	struct entry	*v;
	uint32_t	 n, cap;
};

static struct names tables[3];

static void
add(struct names *t, const char *name, const void *row)
{
	uint32_t h = v_hash_str(name, strlen(name)), i;
	struct entry *old = t->v;

	if (t->n * 2 >= t->cap) {
		uint32_t cap = t->cap;

		t->cap = cap == 0 ? 256 : cap * 2;
		t->v = xcalloc(t->cap, sizeof(*t->v));
		t->n = 0;
		for (i = 0; i < cap; i++)
			if (old[i].name != NULL)
				add(t, old[i].name, old[i].row);
		free(old);
	}
	/* The first of two rows of one name counts. */
	for (i = h % t->cap; t->v[i].name != NULL; i = (i + 1) % t->cap)
		if (t->v[i].hash == h && strcmp(t->v[i].name, name) == 0)
			return;
	t->v[i].name = name;
	t->v[i].row = row;
	t->v[i].hash = h;
	t->n++;
}

static void
build(void)
{
	static bool built;

	if (built)
		return;
	built = true;
	for (size_t i = 0; tmpl_families[i] != NULL; i++) {
		for (const struct tfilter *f = tmpl_families[i]->filters; f != NULL && f->name != NULL; f++)
			add(&tables[FILTER], f->name, f);
		for (const struct ttest *t = tmpl_families[i]->tests; t != NULL && t->name != NULL; t++)
			add(&tables[TEST], t->name, t);
	}
	for (size_t i = 0; tmpl_lookups[i] != NULL; i++)
		for (const struct tlookup *l = tmpl_lookups[i]; l->name != NULL; l++)
			add(&tables[LOOKUP], l->name, l);
}

static const void *
find_exact(enum kind kind, const char *name, size_t len)
{
	const struct names *t = &tables[kind];
	uint32_t h = v_hash_str(name, len), i;

	for (i = h % t->cap; t->v[i].name != NULL; i = (i + 1) % t->cap)
		if (t->v[i].hash == h && strncmp(t->v[i].name, name, len) == 0 &&
		    t->v[i].name[len] == '\0')
			return t->v[i].row;
	return NULL;
}

static const void *
find(enum kind kind, const char *name, size_t len)
{
	const void *row;

	build();
	if ((row = find_exact(kind, name, len)) != NULL)
		return row;
	fold(&name, &len);
	return find_exact(kind, name, len);
}

static const char *
near_name(enum kind kind, const char *name)
{
	const char *best = NULL;
	unsigned dist = 0;
	size_t len = strlen(name);

	build();
	fold(&name, &len);
	for (uint32_t i = 0; i < tables[kind].cap; i++)
		if (tables[kind].v[i].name != NULL)
			nearest_try(name, tables[kind].v[i].name, &best, &dist);
	return best;
}

const struct tfilter *
tmpl_filter_find(const char *name, size_t len)
{
	return find(FILTER, name, len);
}

const struct ttest *
tmpl_test_find(const char *name, size_t len)
{
	return find(TEST, name, len);
}

const struct tlookup *
tmpl_lookup_find(const char *name, size_t len)
{
	return find(LOOKUP, name, len);
}

const char *
tmpl_filter_nearest(const char *name)
{
	return near_name(FILTER, name);
}

const char *
tmpl_test_nearest(const char *name)
{
	return near_name(TEST, name);
}

const char *
tmpl_lookup_nearest(const char *name)
{
	return near_name(LOOKUP, name);
}
