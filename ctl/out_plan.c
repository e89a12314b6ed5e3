/*
 * Drift and plans for people.  A plan by hosts: what is intended, what puts
 * right.
 *
 *	web1
 *	  intentional
 *	    nginx : site  (template, roles/nginx/tasks/main.yml:12)
 *	    then nginx : reload
 *	  corrective
 *	    base : sshd  (copy, …)
 */
#include <string.h>

#include "out.h"
#include "state/drift.h"

static void
add_clean(struct buf *b, const char *text)
{
	term_clean(b, text, strlen(text), 0);
}

static void
add_row(struct buf *b, const struct term *t, const struct value *r, const char *before,
    bool diff)
{
	const char *item = v_get_str(r, "item", NULL), *text = v_get_str(r, "diff", "");

	buf_addf(b, "    %s", before);
	add_clean(b, v_get_str(r, "task", ""));
	if (item != NULL) {
		buf_adds(b, " => ");
		add_clean(b, item);
	}
	term_add(b, t, DIM, "  (%s, ", v_get_str(r, "module", ""));
	term_on(b, t, DIM);
	add_clean(b, v_get_str(r, "file", ""));
	term_off(b, t, DIM);
	term_add(b, t, DIM, ":%lld)", (long long)v_get_int(r, "line", 0));
	buf_addc(b, '\n');
	if (diff && *text != '\0')
		text_diff(b, t, text, "      ");
}

/* The rows of a host (and class, unless NULL) under a title. How many there are. */
static uint32_t
add_rows(struct buf *b, const struct term *t, const struct value *rows, const char *host,
    const char *class, const char *title, enum colour c, const char *before, bool diff)
{
	uint32_t i, n = 0;

	for (i = 0; i < v_count(rows); i++) {
		const struct value *r = v_at(rows, i);

		if (strcmp(v_get_str(r, "host", ""), host) != 0 ||
		    (class != NULL && strcmp(v_get_str(r, "class", ""), class) != 0))
			continue;
		if (n++ == 0 && title != NULL) {
			buf_adds(b, "  ");
			term_add(b, t, c, "%s", title);
			buf_addc(b, '\n');
		}
		add_row(b, t, r, before, diff);
	}
	return n;
}

static uint32_t
count_class(const struct value *rows, const char *class)
{
	uint32_t i, n = 0;

	for (i = 0; i < v_count(rows); i++)
		n += strcmp(v_get_str(v_at(rows, i), "class", ""), class) == 0;
	return n;
}

void
text_plan(struct out *o, const struct value *plan, bool diff, int verbose)
{
	const struct value *changes = v_gets(plan, "changes"), *runs = v_gets(plan, "runs");
	const struct term *t = &o->term;
	struct arena a = { 0 };
	struct value *hosts = v_map(&a);
	const struct value *lists[] = { changes, runs };
	const struct ventry *e;
	struct buf b = BUF_INIT;
	uint32_t i, j, it = 0;

	for (i = 0; i < (verbose > 0 ? 2u : 1u); i++)
		for (j = 0; j < v_count(lists[i]); j++)
			v_set_bool(&a, hosts, v_get_str(v_at(lists[i], j), "host", ""), true);
	while ((e = v_next(hosts, &it)) != NULL) {
		const char *host = e->key->u.s;

		term_on(&b, t, BOLD);
		add_clean(&b, host);
		term_off(&b, t, BOLD);
		buf_addc(&b, '\n');
		(void)add_rows(&b, t, changes, host, CLASS_INTENTIONAL, "intentional",
		    YELLOW, "", diff);
		(void)add_rows(&b, t, changes, host, CLASS_CORRECTIVE, "corrective",
		    CYAN, "", diff);
		(void)add_rows(&b, t, v_gets(plan, "handlers"), host, NULL,
		    "handlers", PLAIN, "then ", false);
		if (verbose > 0)
			(void)add_rows(&b, t, runs, host, NULL,
			    "commands that are run whatever they change", PLAIN, "", false);
	}
	buf_addf(&b, "%s%u intentional, %u corrective", b.len > 0 ? "\n" : "",
	    count_class(changes, CLASS_INTENTIONAL), count_class(changes, CLASS_CORRECTIVE));
	if (v_count(runs) > 0)
		buf_addf(&b, "; %u command%s that an apply runs whatever %s%s", v_count(runs),
		    v_count(runs) == 1 ? "" : "s", v_count(runs) == 1 ? "it changes" : "they change",
		    verbose > 0 ? "" : " (-v)");
	buf_addc(&b, '\n');
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}

/* ---- drift ---------------------------------------------------------------------------- */

static const char *
drifted(struct arena *a, const struct value *d)
{
	const char *item = v_get_str(d, "item", "");

	return *item == '\0' ? v_get_str(d, "task", "") :
	    arena_printf(a, "%s => %s", v_get_str(d, "task", ""), item);
}

void
text_drift(struct out *o, const struct value *list, bool diff)
{
	static const char *const columns[] = {
		"host", "since", "last_seen", "runs", "now", "task", NULL
	};
	struct arena a = { 0 };
	struct value *rows = v_list(&a);
	struct buf b = BUF_INIT;
	uint32_t i;

	for (i = 0; i < v_count(list); i++) {
		const struct value *d = v_at(list, i);
		struct value *row = v_map(&a);

		v_sets(&a, row, "host", v_gets(d, "host"));
		v_set_str(&a, row, "since", term_time(&a, v_get_int(d, "first_ms", 0)));
		v_set_str(&a, row, "last_seen", term_time(&a, v_get_int(d, "last_ms", 0)));
		v_sets(&a, row, "runs", v_gets(d, "seen"));
		v_set_str(&a, row, "now", v_get_str(d, "how", "open"));
		v_set_str(&a, row, "task", drifted(&a, d));
		v_push(&a, rows, row);
	}
	o->ops->table(o, columns, rows, "nothing has drifted");
	for (i = 0; diff && i < v_count(list); i++) {
		const struct value *d = v_at(list, i);
		const char *text = v_get_str(d, "diff", "");

		if (*text == '\0')
			continue;
		buf_addc(&b, '\n');
		add_clean(&b, arena_printf(&a, "%s  %s", v_get_str(d, "host", ""), drifted(&a, d)));
		buf_addc(&b, '\n');
		text_diff(&b, &o->term, text, "    ");
	}
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}
