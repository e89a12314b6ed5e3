/* Inventories: the first byte chooses INI, YAML, host patterns, literals or ranges. */
#include <string.h>

#include "base/json.h"
#include "inventory/inv.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What was read must be a consistent graph. */
static void
finish(struct inventory *inv, struct diags *diags)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct host *h;

	if (inventory_finish(inv, diags) == -1)
		return;
	for (uint32_t i = 0; (h = inventory_host_at(inv, i)) != NULL && i < 50; i++) {
		if (h->index != i || !inventory_name_ok(h->name) ||
		    !inventory_in_group(h, inventory_group(inv, "all")))
			abort();
		(void)inventory_group_names(inv, h);
	}
	buf_init(&out, 100000);
	json_write(&out, inventory_groups_value(inv), 0);
}

static void
pattern(struct arena *arena, const char *text)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	struct inventory *inv = inventory_new(arena, NULL);
	static const char ini[] = "[web]\nw[1:9]\n[db]\nd1\nw2\n[all2:children]\nweb\ndb\n";
	const char *unmatched;
	struct host **v;
	uint32_t n;

	if (ini_read(inv, source_text(arena, "x", ini, sizeof(ini) - 1), &diags) != 0 ||
	    inventory_finish(inv, &diags) != 0)
		abort();
	if (strchr(text, '@') != NULL)
		return;		/* reads files */
	if (inventory_match(inv, arena, text, &v, &n, &unmatched, &err) == -1)
		return;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (v[i] == v[k])
				abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_DIAGS struct diags diags = DIAGS_INIT;
	CLEANUP_ERR struct err err = ERR_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct arena arena = { 0 };
	struct inventory *inv;
	const struct source *src;
	const struct value *v;
	const char **names;
	uint32_t n;

	if (size == 0)
		return 0;
	src = source_text(&arena, "fuzz", (const char *)data + 1, size - 1);
	inv = inventory_new(&arena, NULL);
	switch (data[0] % 5) {
	case 0:
		(void)ini_read(inv, src, &diags);
		finish(inv, &diags);
		break;
	case 1:
		if ((v = yaml_parse(&arena, src, NULL, &diags)) != NULL) {
			(void)tree_read(inv, src, v, &diags);
			finish(inv, &diags);
		}
		break;
	case 2:
		pattern(&arena, src->text);
		break;
	case 3:
		v = literal_value(&arena, src->text, src->len);
		buf_init(&out, 100000);
		json_write(&out, v, 0);
		buf_clear(&out);
		break;
	default:
		if (range_expand(&arena, src->text, &names, &n, &err) == 0 &&
		    (n == 0 || n > INV_RANGE_MAX))
			abort();
		(void)inv_hosts(inv, NULL, src->text, (struct mark){ 0 }, NULL, NULL,
		    &diags);
	}
	diags_format(&diags, false, &out);
	arena_release(&arena);
	return 0;
}
