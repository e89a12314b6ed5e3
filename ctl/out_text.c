/*
 * Output for people: tables, blocks, diffs.
 */
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "report.h"

#define OUTPUT_LINES	40	/* of stdout or stderr in a failure's block */

/* ---- pieces --------------------------------------------------------------------------- */

enum colour
outcome_colour(const char *name)
{
	static const struct { const char *name; enum colour colour; } rows[] = {
		{ "ok", GREEN }, { "changed", YELLOW }, { "failed", RED },
		{ "ignored", CYAN }, { "rescued", CYAN }, { "skipped", DIM },
		{ "unreachable", RED }, { "retry", CYAN },
	};
	size_t i;

	for (i = 0; i < NITEMS(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].colour;
	return PLAIN;
}

void
text_lines(struct buf *out, const struct term *t, const char *s, size_t n,
    const char *prefix)
{
	struct buf clean = BUF_INIT;
	const char *p, *end;

	(void)t;
	term_clean(&clean, s, n, CLEAN_LINES);
	for (p = buf_str(&clean); *p != '\0'; p = *end == '\n' ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		buf_addf(out, "%s%.*s\n", prefix, (int)(end - p), p);
	}
	buf_release(&clean);
}

void
text_diff(struct buf *out, const struct term *t, const char *diff, const char *indent)
{
	struct buf clean = BUF_INIT;
	const char *p, *end;
	bool head = false;

	term_clean(&clean, diff, strlen(diff), CLEAN_LINES);
	for (p = buf_str(&clean); *p != '\0'; p = *end == '\n' ? end + 1 : end) {
		enum colour c = PLAIN;

		end = p + strcspn(p, "\n");
		/* "--- " may also be a removed line that begins with "-- ". */
		if (strncmp(p, "--- ", 4) == 0 && strncmp(end, "\n+++ ", 5) == 0)
			head = true;
		if (strncmp(p, "@@ ", 3) == 0) {
			head = false;
			c = CYAN;
		} else if (head)
			c = BOLD;
		else if (*p == '+')
			c = GREEN;
		else if (*p == '-')
			c = RED;
		else if (*p == '\\')
			c = DIM;
		buf_adds(out, indent);
		term_add(out, t, c, "%.*s", (int)(end - p), p);
		buf_addc(out, '\n');
	}
	buf_release(&clean);
}

static void
field(struct buf *out, const struct term *t, const char *name, const char *s, size_t n)
{
	struct buf clean = BUF_INIT;

	if (n == 0)
		return;
	while (n > 0 && s[n - 1] == '\n')
		n--;
	buf_adds(out, "    ");
	term_add(out, t, DIM, "%s:", name);
	if (memchr(s, '\n', n) == NULL) {
		term_clean(&clean, s, n, 0);
		buf_addf(out, " %s\n", buf_str(&clean));
	} else {
		buf_addc(out, '\n');
		text_lines(out, t, s, n, "      ");
	}
	buf_release(&clean);
}

/* Output of a command; a long one's end, which is where the reason stands. */
static void
output(struct buf *out, const struct term *t, const char *name, const struct value *v)
{
	const char *s;
	char title[64];
	size_t n, lines = 0, from;

	if (v == NULL || v->type != V_STR || v->len == 0)
		return;
	if (v->flags & V_SECRET) {
		field(out, t, name, "********", 8);
		return;
	}
	s = v->u.s;
	n = v->len;
	for (from = n; from > 0; from--)
		if (s[from - 1] == '\n' && from != n && ++lines >= OUTPUT_LINES)
			break;
	(void)snprintf(title, sizeof(title), from > 0 ? "%s (its last %d lines)" :
	    "%s", name, OUTPUT_LINES);
	field(out, t, title, s + from, n - from);
}

/* argv as a person would type it. */
static const char *
command_text(struct arena *a, const struct value *cmd)
{
	struct buf b = BUF_INIT;
	const char *text;
	uint32_t i;

	if (cmd->type == V_STR)
		return (cmd->flags & V_SECRET) ? "********" : cmd->u.s;
	for (i = 0; cmd->type == V_LIST && i < v_count(cmd); i++) {
		const struct value *w = v_at(cmd, i);
		const char *s = w->type == V_STR && !(w->flags & V_SECRET) ?
		    w->u.s : "********", *p;

		if (i > 0)
			buf_addc(&b, ' ');
		if (*s != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "0123456789_@%+=:,./-*") == strlen(s)) {
			buf_adds(&b, s);
			continue;
		}
		buf_addc(&b, '\'');
		for (p = s; *p != '\0'; p++) {
			if (*p == '\'')
				buf_adds(&b, "'\\''");
			else
				buf_addc(&b, *p);
		}
		buf_addc(&b, '\'');
	}
	text = buf_dup(&b, a);
	buf_release(&b);
	return text;
}

static void
failure_place(struct buf *out, const struct term *t, const struct event *e)
{
	struct buf clean = BUF_INIT;

	if (e->mark.src == NULL || e->mark.src->path == NULL)
		return;
	term_clean(&clean, e->mark.src->path, strlen(e->mark.src->path), 0);
	buf_adds(out, "    ");
	term_add(out, t, BLUE, "%s:%u", buf_str(&clean), e->mark.line);
	if (e->mark.col > 0)
		term_add(out, t, BLUE, ":%u", e->mark.col);
	if (e->module != NULL)
		buf_addf(out, "  %s", e->module);
	buf_addc(out, '\n');
	buf_release(&clean);
}

void
text_failure(struct buf *out, const struct term *t, const struct event *e)
{
	static const char *const streams[] = {
		"stdout", "stderr", "module_stdout", "module_stderr", "exception"
	};
	const struct value *r = e->result, *v;
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	size_t start, i;

	failure_place(out, t, e);
	start = out->len;
	if ((v = v_gets(r, "cmd")) != NULL)
		field(out, t, "command", command_text(&a, v), strlen(command_text(&a, v)));
	if ((v = v_gets(r, "rc")) != NULL && v->type == V_INT)
		buf_addf(out, "    exit status: %lld\n", (long long)v->u.i);
	if ((v = v_gets(r, "assertion")) != NULL) {
		json_write(&b, v, JSON_CENSOR);
		field(out, t, "assertion", v->type == V_STR ? v->u.s : buf_str(&b),
		    v->type == V_STR ? v->len : b.len);
		buf_clear(&b);
	}
	if ((v = v_gets(r, "diagnostic")) != NULL && v->type == V_STR &&
	    !(v->flags & V_SECRET)) {
		text_lines(out, t, v->u.s, v->len, "    ");
	} else {
		const char *hint = e->hint != NULL ? e->hint : v_get_str(r, "hint", NULL);

		if ((v = v_gets(r, "msg")) == NULL || v->type != V_STR ||
		    (v->flags & V_SECRET)) {
			if (v != NULL) {
				json_write(&b, v, JSON_CENSOR);
				field(out, t, "message", buf_str(&b), b.len);
			} else if (e->text != NULL)
				field(out, t, "message", e->text, strlen(e->text));
		} else
			field(out, t, "message", v->u.s, v->len);
		if (hint != NULL)
			field(out, t, "hint", hint, strlen(hint));
	}
	if ((v = v_gets(r, "censored")) != NULL && v->type == V_STR)
		buf_addf(out, "    (%s)\n", v->u.s);
	for (i = 0; i < NITEMS(streams); i++)
		output(out, t, streams[i], v_gets(r, streams[i]));
	if (out->len == start && r != NULL) {
		/* Whatever there is, better than nothing. */
		buf_clear(&b);
		json_write(&b, r, JSON_CENSOR);
		field(out, t, "result", buf_str(&b), b.len);
	}
	buf_release(&b);
	arena_release(&a);
}

/* ---- tables ------------------------------------------------------------------------------ */

struct column {
	const char	*key;
	const char	*title;
	enum colour	 colour;	/* of what is not 0 */
	bool		 left;
};

/* Rows of text cells; columns as wide as they need. */
static void
table(struct buf *out, const struct term *t, const struct column *cols, unsigned ncols,
    const struct value *rows)
{
	struct arena a = { 0 };
	const char **cells = ARENA_ARRAY(&a, (size_t)ncols * (v_count(rows) + 1), const char *);
	unsigned *widths = ARENA_ARRAY(&a, ncols, unsigned), c;
	uint32_t i;

	for (c = 0; c < ncols; c++)
		widths[c] = term_width(cols[c].title, strlen(cols[c].title));
	for (i = 0; i < v_count(rows); i++)
		for (c = 0; c < ncols; c++) {
			const struct value *v = v_gets(v_at(rows, i), cols[c].key);
			struct buf b = BUF_INIT;
			unsigned w;

			if (v != NULL && v->type == V_STR)
				term_clean(&b, v->u.s, v->len, 0);
			else if (v != NULL && v->type != V_NULL)
				json_write(&b, v, JSON_CENSOR);
			cells[i * ncols + c] = buf_dup(&b, &a);
			w = term_width(buf_str(&b), b.len);
			if (w > widths[c])
				widths[c] = w;
			buf_release(&b);
		}
	for (i = 0; i <= v_count(rows); i++) {
		for (c = 0; c < ncols; c++) {
			const char *text = i == 0 ? cols[c].title : cells[(i - 1) * ncols + c];
			unsigned w = term_width(text, strlen(text)), pad = widths[c] - w;
			enum colour colour = i == 0 ? BOLD :
			    strcmp(text, "0") == 0 ? DIM : cols[c].colour;

			if (c > 0)
				buf_adds(out, "  ");
			if (!cols[c].left)
				buf_addf(out, "%*s", (int)pad, "");
			term_add(out, t, colour, "%s", text);
			if (cols[c].left && c + 1 < ncols)
				buf_addf(out, "%*s", (int)pad, "");
		}
		buf_addc(out, '\n');
	}
	arena_release(&a);
}

void
text_hosts(struct buf *out, const struct term *t, const struct value *hosts)
{
	static const struct column cols[] = {
		{ "host", "host", PLAIN, true }, { "ok", "ok", GREEN, false },
		{ "changed", "changed", YELLOW, false },
		{ "failed", "failed", RED, false },
		{ "skipped", "skipped", PLAIN, false },
		{ "unreachable", "unreachable", RED, false },
		{ "rescued", "rescued", CYAN, false },
		{ "ignored", "ignored", CYAN, false },
	};

	table(out, t, cols, NITEMS(cols), hosts);
}

static const char *
local_time(struct arena *a, const struct value *ms)
{
	return ms == NULL || ms->type != V_INT ? "" : term_time(a, ms->u.i);
}

/* What became of a run, in a word or two. */
static const char *
run_word(const struct value *run)
{
	const char *state = v_get_str(run, "state", "");

	if (strcmp(state, "done") != 0)
		return state;
	switch (v_get_int(run, "status", -1)) {
	case RUN_OK:
		return v_get_int(run, "changed", 0) > 0 ? "changed" : "ok";
	case RUN_USAGE:
		return "not run";
	case RUN_PENDING:
		return "pending";
	case RUN_FAILED:
		return "failed";
	case RUN_UNREACHABLE:
		return "unreachable";
	case RUN_INTERRUPTED:
		return "interrupted";
	default:
		return "?";
	}
}

static const char *
run_time(struct arena *a, const struct value *run)
{
	const struct value *end = v_gets(run, "ended_ms");

	if (end == NULL || end->type != V_INT)
		return "";
	return term_duration(a, end->u.i - v_get_int(run, "started_ms", 0));
}

static void
text_history(struct out *o, const struct value *runs)
{
	static const struct column cols[] = {
		{ "id", "run", BOLD, false }, { "when", "started", PLAIN, true },
		{ "took", "took", PLAIN, false }, { "word", "result", PLAIN, true },
		{ "kind", "kind", PLAIN, true },
		{ "hosts", "hosts", PLAIN, false }, { "ok", "ok", PLAIN, false },
		{ "changed", "changed", YELLOW, false }, { "failed", "failed", RED, false },
		{ "unreachable", "unreachable", RED, false },
		{ "user", "user", PLAIN, true }, { "site", "site", PLAIN, true },
	};
	struct arena a = { 0 };
	struct value *rows;
	struct buf b = BUF_INIT;
	uint32_t i;

	if (v_count(runs) == 0) {
		out_note(o, "no runs yet");
		return;
	}
	rows = v_list(&a);
	for (i = 0; i < v_count(runs); i++) {
		const struct value *run = v_at(runs, i);
		struct value *row = v_map(&a);

		v_merge(&a, row, run);
		v_set_str(&a, row, "when", local_time(&a, v_gets(run, "started_ms")));
		v_set_str(&a, row, "took", run_time(&a, run));
		v_set_str(&a, row, "word", run_word(run));
		v_set_str(&a, row, "kind", v_get_bool(run, "check", false) ?
		    "check" : "apply");
		v_push(&a, rows, row);
	}
	table(&b, &o->term, cols, NITEMS(cols), rows);
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}

/* A list with a title and local times, when it has rows. */
static void
section(struct out *o, struct buf *b, const char *title, const struct column *cols,
    unsigned ncols, const struct value *list)
{
	static const char *const times[][2] = {
		{ "since_ms", "since" }, { "next_ms", "next" },
		{ "started_ms", "when" }
	};
	struct arena a = { 0 };
	struct value *rows = v_list(&a);
	uint32_t i;
	size_t j;

	for (i = 0; i < v_count(list); i++) {
		struct value *row = v_map(&a);

		v_merge(&a, row, v_at(list, i));
		for (j = 0; j < NITEMS(times); j++)
			if (v_gets(row, times[j][0]) != NULL)
				v_set_str(&a, row, times[j][1], v_is_null(
				    v_gets(row, times[j][0])) ? "given up" :
				    local_time(&a, v_gets(row, times[j][0])));
		if (v_gets(row, "state") != NULL)
			v_set_str(&a, row, "word", run_word(row));
		v_push(&a, rows, row);
	}
	if (v_count(rows) > 0) {
		if (b->len > 0)
			buf_addc(b, '\n');
		term_add(b, &o->term, BOLD, "%s\n", title);
		table(b, &o->term, cols, ncols, rows);
	}
	arena_release(&a);
}

static void
text_status(struct out *o, const struct value *all)
{
	static const struct column held[] = {
		{ "host", "host", BOLD, true }, { "run", "run", PLAIN, false },
		{ "owner", "by", PLAIN, true }, { "pid", "pid", PLAIN, false },
		{ "since", "since", PLAIN, true }, { "site", "site", PLAIN, true },
	};
	static const struct column pending[] = {
		{ "host", "host", BOLD, true }, { "tries", "tries", PLAIN, false },
		{ "next", "next try", YELLOW, true }, { "run", "run", PLAIN, false },
		{ "site", "site", PLAIN, true }, { "reason", "reason", PLAIN, true },
	};
	static const struct column owed[] = {
		{ "host", "host", BOLD, true }, { "handler", "handler", PLAIN, true },
		{ "since", "since", PLAIN, true }, { "run", "run", PLAIN, false },
		{ "site", "site", PLAIN, true },
	};
	static const struct column runs[] = {
		{ "id", "run", BOLD, false }, { "when", "started", PLAIN, true },
		{ "word", "result", PLAIN, true }, { "site", "site", PLAIN, true },
	};
	struct buf b = BUF_INIT;

	section(o, &b, "Worked on now", held, NITEMS(held), v_gets(all, "held"));
	section(o, &b, "To be tried again (provctl retry)", pending, NITEMS(pending),
	    v_gets(all, "pending"));
	section(o, &b, "Handlers that are owed", owed, NITEMS(owed), v_gets(all, "owed"));
	section(o, &b, "Unfinished runs (provctl resume)", runs, NITEMS(runs),
	    v_gets(all, "unfinished"));
	if (b.len == 0)
		out_note(o, "nothing is under way, nothing is owed");
	out_flush(o, &b);
	buf_release(&b);
}

static void
text_keys(struct out *o, const struct value *keys)
{
	static const struct column cols[] = {
		{ "host", "host", BOLD, true }, { "port", "port", PLAIN, false },
		{ "type", "type", PLAIN, true },
		{ "fingerprint", "fingerprint", PLAIN, true },
		{ "when", "pinned", PLAIN, true },
	};
	struct arena a = { 0 };
	struct value *rows;
	struct buf b = BUF_INIT;
	uint32_t i;

	if (v_count(keys) == 0) {
		out_note(o, "no keys are pinned");
		return;
	}
	rows = v_list(&a);
	for (i = 0; i < v_count(keys); i++) {
		struct value *row = v_map(&a);

		v_merge(&a, row, v_at(keys, i));
		v_set_str(&a, row, "when", local_time(&a, v_gets(row, "pinned_ms")));
		v_push(&a, rows, row);
	}
	table(&b, &o->term, cols, NITEMS(cols), rows);
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}

/* ---- one run --------------------------------------------------------------------------------- */

static void
show_result(struct buf *b, const struct term *t, const struct value *r,
    unsigned columns, bool diff, int verbose)
{
	const char *word = v_get_str(r, "outcome", "");
	struct source src = { .path = v_get_str(r, "file", "") };
	const struct value *result = v_gets(r, "result");
	struct event e = { .type = EV_TASK_END };
	struct arena a = { 0 };
	struct buf clean = BUF_INIT;
	enum colour c = outcome_colour(word);

	if (strcmp(word, "skipped") == 0 && verbose < 1)
		goto out;
	term_clean(&clean, v_get_str(r, "host", ""), strlen(v_get_str(r, "host", "")), 0);
	term_pad(b, buf_str(&clean), columns);
	buf_adds(b, "  ");
	term_add(b, t, c, "%s", word);
	buf_addf(b, "%*s  ", (int)(strlen(word) < 7 ? 7 - strlen(word) : 0), "");
	buf_clear(&clean);
	term_clean(&clean, v_get_str(r, "task", ""), strlen(v_get_str(r, "task", "")), 0);
	buf_adds(b, buf_str(&clean));
	if (v_get_bool(r, "handler", false))
		term_add(b, t, DIM, " (handler)");
	if (v_get_str(r, "delegated", NULL) != NULL)
		term_add(b, t, DIM, " -> %s", v_get_str(r, "delegated", ""));
	if (v_get_str(r, "class", NULL) != NULL)
		term_add(b, t, CYAN, "  %s", v_get_str(r, "class", ""));
	term_add(b, t, DIM, "  (%s)\n", term_duration(&a, v_get_int(r, "duration_ms", 0)));
	if (strcmp(word, "failed") == 0 || strcmp(word, "unreachable") == 0 ||
	    strcmp(word, "rescued") == 0 || strcmp(word, "ignored") == 0) {
		e.mark.src = *src.path != '\0' ? &src : NULL;
		e.mark.line = (uint32_t)v_get_int(r, "line", 0);
		e.module = v_get_str(r, "module", NULL);
		e.result = result != NULL && result->type == V_MAP ? result : v_map(&a);
		e.text = v_get_str(r, "msg", NULL);
		text_failure(b, t, &e);
	} else if (verbose > 0 && v_get_str(r, "msg", NULL) != NULL)
		field(b, t, "message", v_get_str(r, "msg", ""), strlen(v_get_str(r, "msg", "")));
	if (diff && v_get_str(r, "diff", NULL) != NULL)
		text_diff(b, t, v_get_str(r, "diff", ""), "    ");
	if (verbose > 0 && result != NULL && result->type == V_MAP) {
		buf_clear(&clean);
		json_write(&clean, result, JSON_INDENT(4) | JSON_CENSOR);
		text_lines(b, t, buf_str(&clean), clean.len, "    ");
	}
out:
	buf_release(&clean);
	arena_release(&a);
}

/* What was sent to hosts and has not come back: of a run that was killed nobody knows how it ended. */
static void
show_doing(struct buf *b, const struct term *t, const struct value *run)
{
	const struct value *doing = v_gets(run, "doing");
	bool lives = strcmp(v_get_str(run, "state", ""), "running") == 0;
	struct buf clean = BUF_INIT;
	struct arena a = { 0 };
	uint32_t i;

	for (i = 0; doing != NULL && i < v_count(doing); i++) {
		const struct value *d = v_at(doing, i);
		const char *text = arena_printf(&a, "%s: %s (%s:%lld)", v_get_str(d, "host", ""),
		    v_get_str(d, "task", ""), v_get_str(d, "file", ""),
		    (long long)v_get_int(d, "line", 0));

		term_add(b, t, YELLOW, lives ? "under way:" : "not heard of:");
		buf_clear(&clean);
		term_clean(&clean, text, strlen(text), 0);
		buf_addf(b, " %s\n", buf_str(&clean));
	}
	buf_release(&clean);
	arena_release(&a);
}

static void
text_run(struct out *o, const struct value *run, bool diff, int verbose)
{
	const struct value *results = v_gets(run, "results");
	const struct value *warnings = v_gets(run, "warnings");
	const char *play = NULL;
	struct arena a = { 0 };
	struct buf b = BUF_INIT, clean = BUF_INIT;
	unsigned columns = 0;
	uint32_t i;

	term_clean(&clean, v_get_str(run, "site", ""), strlen(v_get_str(run, "site", "")), 0);
	term_add(&b, &o->term, BOLD, "run %lld", (long long)v_get_int(run, "id", 0));
	buf_addf(&b, ": %s %s, %s", v_get_bool(run, "check", false) ? "check of" : "apply of",
	    buf_str(&clean), local_time(&a, v_gets(run, "started_ms")));
	if (v_get_str(run, "user", NULL) != NULL)
		buf_addf(&b, ", by %s", v_get_str(run, "user", ""));
	buf_addf(&b, ": %s", run_word(run));
	if (*run_time(&a, run) != '\0')
		buf_addf(&b, " in %s", run_time(&a, run));
	buf_addc(&b, '\n');
	for (i = 0; i < v_count(results); i++) {
		const char *host = v_get_str(v_at(results, i), "host", "");
		unsigned w = term_width(host, strlen(host));

		if (w > columns)
			columns = w;
	}
	for (i = 0; i < v_count(results); i++) {
		const struct value *r = v_at(results, i);
		const char *name = v_get_str(r, "play", "");

		if (play == NULL || strcmp(play, name) != 0) {
			buf_clear(&clean);
			term_clean(&clean, name, strlen(name), 0);
			buf_addc(&b, '\n');
			term_add(&b, &o->term, BOLD, "== %s\n", buf_str(&clean));
			play = name;
		}
		show_result(&b, &o->term, r, columns, diff, verbose);
	}
	show_doing(&b, &o->term, run);
	for (i = 0; warnings != NULL && i < v_count(warnings); i++) {
		const struct value *w = v_at(warnings, i);

		term_add(&b, &o->term, YELLOW, "warning:");
		buf_clear(&clean);
		term_clean(&clean, v_get_str(w, "text", ""), strlen(v_get_str(w, "text", "")), 0);
		buf_addf(&b, " %s%s%s\n", v_get_str(w, "host", ""),
		    v_get_str(w, "host", NULL) != NULL ? ": " : "", buf_str(&clean));
	}
	if (v_count(v_gets(run, "per_host")) > 0) {
		buf_addc(&b, '\n');
		text_hosts(&b, &o->term, v_gets(run, "per_host"));
	}
	out_flush(o, &b);
	buf_release(&b);
	buf_release(&clean);
	arena_release(&a);
}

/* ---- facts, sites, other values ------------------------------------------------------------------ */

static void
text_value(struct out *o, const struct value *v)
{
	struct buf b = BUF_INIT;

	if (v->flags & V_SECRET)
		buf_adds(&b, "********");
	else if (v->type == V_STR) {
		/* To a file or a program as it is; a terminal is protected. */
		if (o->term.tty)
			term_clean(&b, v->u.s, v->len, CLEAN_LINES);
		else
			buf_add(&b, v->u.s, v->len);
	} else
		json_write(&b, v, JSON_INDENT(4) | JSON_CENSOR);
	if (b.len == 0 || b.data[b.len - 1] != '\n')
		buf_addc(&b, '\n');
	out_flush(o, &b);
	buf_release(&b);
}

static void
text_facts(struct out *o, const struct value *facts)
{
	const struct ventry *e;
	struct buf b = BUF_INIT, line = BUF_INIT;
	uint32_t it = 0;

	if (facts->type != V_MAP) {
		text_value(o, facts);
		return;
	}
	while ((e = v_next(facts, &it)) != NULL) {
		buf_clear(&line);
		json_write(&line, e->val, JSON_CENSOR);
		term_add(&b, &o->term, BOLD, "%s", e->key->u.s);
		buf_adds(&b, ": ");
		if (e->val->type == V_STR && !(e->val->flags & V_SECRET))
			term_clean(&b, e->val->u.s, e->val->len, 0);
		else
			term_clean(&b, buf_str(&line), line.len, 0);
		buf_addc(&b, '\n');
	}
	out_flush(o, &b);
	buf_release(&b);
	buf_release(&line);
}

static void
words(struct buf *b, const struct value *list)
{
	uint32_t i;

	for (i = 0; list != NULL && i < v_count(list); i++) {
		buf_adds(b, i > 0 ? ", " : "");
		term_clean(b, v_at(list, i)->u.s, v_at(list, i)->len, 0);
	}
}

static void
text_site(struct out *o, const struct value *plays, bool hosts, bool tasks, bool tags)
{
	struct buf b = BUF_INIT;
	uint32_t i, j;

	for (i = 0; i < v_count(plays); i++) {
		const struct value *p = v_at(plays, i), *list = v_gets(p, "tasks");

		term_add(&b, &o->term, BOLD, "== ");
		term_clean(&b, v_get_str(p, "play", ""), strlen(v_get_str(p, "play", "")), 0);
		buf_addf(&b, "  (%s:%lld)\n", v_get_str(p, "file", ""),
		    (long long)v_get_int(p, "line", 0));
		if (hosts) {
			const struct value *h = v_gets(p, "hosts");

			buf_addf(&b, "  hosts (%u): ", v_count(h));
			words(&b, h);
			buf_addc(&b, '\n');
		}
		for (j = 0; tasks && j < v_count(list); j++) {
			const struct value *t = v_at(list, j);

			buf_adds(&b, "  ");
			term_clean(&b, v_get_str(t, "name", ""), strlen(v_get_str(t, "name", "")), 0);
			if (v_count(v_gets(t, "tags")) > 0) {
				buf_adds(&b, "  [");
				words(&b, v_gets(t, "tags"));
				buf_addc(&b, ']');
			}
			buf_addc(&b, '\n');
		}
		if (tags) {
			buf_adds(&b, "  tags: ");
			words(&b, v_gets(p, "tags"));
			buf_addc(&b, '\n');
		}
	}
	out_flush(o, &b);
	buf_release(&b);
}

static void
graph_group(struct buf *b, const struct group *g, unsigned depth)
{
	uint32_t i;

	buf_addf(b, "%*s@%s:\n", (int)depth * 2, "", g->name);
	for (i = 0; i < g->nchildren; i++)
		graph_group(b, g->children[i], depth + 1);
	for (i = 0; i < g->nhosts; i++)
		buf_addf(b, "%*s%s\n", (int)depth * 2 + 2, "", g->hosts[i]->name);
}

static void
text_graph(struct out *o, struct inventory *inv)
{
	const struct group *all = inventory_group(inv, "all");
	struct buf b = BUF_INIT;

	if (all != NULL)
		graph_group(&b, all, 0);
	out_flush(o, &b);
	buf_release(&b);
}

static void
text_diags(struct out *o, struct diags *diags)
{
	struct buf b = BUF_INIT;

	diags_format(diags, o->errors.colour, &b);
	out_pause(o);
	(void)term_write(&o->errors, buf_str(&b), b.len);
	out_resume(o);
	buf_release(&b);
}

#define COLUMNS_MAX	16u

static void
text_table(struct out *o, const char *const *columns, const struct value *rows,
    const char *empty)
{
	struct column cols[COLUMNS_MAX];
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	unsigned n;

	if (v_count(rows) == 0) {
		out_note(o, "%s", empty);
		return;
	}
	for (n = 0; n < COLUMNS_MAX && columns[n] != NULL; n++) {
		char *title = arena_strdup(&a, columns[n]), *p;

		for (p = title; (p = strchr(p, '_')) != NULL;)
			*p = ' ';
		cols[n] = (struct column){ columns[n], title, n == 0 ? BOLD : PLAIN, true };
	}
	table(&b, &o->term, cols, n, rows);
	out_flush(o, &b);
	buf_release(&b);
	arena_release(&a);
}

const struct out_ops output_text = {
	.name = "text",
	.run_start = text_run_start, .run_end = text_run_end,
	.history = text_history, .status = text_status, .run = text_run, .facts = text_facts,
	.keys = text_keys, .table = text_table,
	.module_list = text_module_list, .module = text_module,
	.site = text_site, .graph = text_graph, .value = text_value, .plan = text_plan,
	.drift = text_drift,
	.diags = text_diags,
};
