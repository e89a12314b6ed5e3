/*
 * provctl schedule: what agentd does and when.  Sites stand in agentd.yml,
 * which is edited as any file (checked with --file, read with --reload), or
 * were `set` here: then they are a note in the database, which agentd adds to
 * those of the file.  A program that edits a file which people write loses
 * their comments sooner or later; this one leaves it alone.
 */
#include <string.h>
#include <time.h>

#include "load.h"
#include "out.h"
#include "remote.h"
#include "serve/config.h"
#include "sites.h"
#include "state/drift.h"

static const char *
local_time(struct arena *a, const struct value *ms)
{
	time_t t;
	struct tm tm;
	char text[32];

	if (ms == NULL || ms->type != V_INT)
		return "never";
	t = (time_t)(ms->u.i / 1000);
	(void)strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M", localtime_r(&t, &tm));
	return arena_strdup(a, text);
}

static void
show(struct ctl *ctl, const struct value *list)
{
	static const char *const columns[] = { "site", "drift", "correct", "next", "said_in", "path", NULL };
	struct arena *a = &ctl->arena;
	struct value *rows = v_list(a);
	uint32_t i;

	if (ctl->set.json) {
		ctl->out->ops->value(ctl->out, list);
		return;
	}
	for (i = 0; i < v_count(list); i++) {
		const struct value *s = v_at(list, i), *job = v_gets(s, "job");
		struct value *row = v_map(a);

		v_set_str(a, row, "site", v_get_str(s, "site", "?"));
		v_set_str(a, row, "drift", v_get_str(s, "drift", "?"));
		v_set_str(a, row, "correct", v_get_bool(s, "correct", false) ? "yes" : "no");
		v_set_str(a, row, "next", job != NULL && !v_is_null(job) ? "now" :
		    local_time(a, v_gets(s, "next_ms")));
		v_set_str(a, row, "said_in", v_get_bool(s, "set", false) ? "database" : "agentd.yml");
		v_set_str(a, row, "path", v_get_str(s, "path", "?"));
		v_push(a, rows, row);
	}
	ctl->out->ops->table(ctl->out, columns, rows,
	    "no site is looked after; `provctl schedule set SITE 'nightly, 03:10'` adds one");
}

static void
show_config(struct ctl *ctl, const struct config *c)
{
	struct arena *a = &ctl->arena;
	struct value *list = v_list(a);
	uint32_t i;

	for (i = 0; i < c->nsites; i++) {
		const struct config_site *s = &c->sites[i];
		int64_t next = times_next(&s->times, (int64_t)time(NULL));
		struct value *v = v_map(a);

		v_set_str(a, v, "site", s->name);
		v_set_str(a, v, "path", s->path);
		v_set_str(a, v, "drift", s->drift);
		v_set_bool(a, v, "correct", s->correct);
		v_set_bool(a, v, "set", s->mark.src == NULL);
		v_sets(a, v, "next_ms", next == -1 ? &v_null : v_int(a, next * 1000));
		v_push(a, list, v);
	}
	show(ctl, list);
}

/* What is wrong is shown now: it points into the configuration. */
static void
flush_diags(struct ctl *ctl)
{
	remote_diags(ctl);
	if (ctl->diags.n > 0)
		ctl->out->ops->diags(ctl->out, &ctl->diags);
	diags_release(&ctl->diags);
	ctl->diags = (struct diags)DIAGS_INIT;
}

/* What a file would mean, without agentd. */
static int
show_file(struct ctl *ctl, const char *path)
{
	struct config c;
	int status = config_load(path, &c, &ctl->diags) == -1 ? RUN_USAGE : RUN_OK;

	if (status == RUN_OK)
		show_config(ctl, &c);
	flush_diags(ctl);
	config_release(&c);
	return status;
}

/* ---- set, remove ------------------------------------------------------------------------------ */

struct edit {
	struct ctl		*ctl;
	struct load		 load;
	struct remote		 remote;
	bool			 daemon;	/* it is there */
	const struct value	*note;		/* list of maps, as in `sites` */
	struct config		 config;	/* agentd.yml alone */
};

/* Which agentd.yml, if there is one. NULL with err. */
static const char *
config_path(struct edit *e, struct err *err)
{
	const struct value *v;

	if (!e->daemon)
		return config_default_path(&e->ctl->arena);
	v = remote_call(&e->remote, "status", NULL, err);
	return v == NULL ? NULL : arena_strdup(&e->ctl->arena, v_get_str(v, "config", ""));
}

/* What is in force. 0, or -1 with err or diags. */
static int
edit_open(struct edit *e, struct ctl *ctl, unsigned flags, struct err *err)
{
	struct err gone = ERR_INIT;
	const char *path;

	*e = (struct edit){ .ctl = ctl };
	config_init(&e->config);
	load_init(&e->load, ctl);
	e->daemon = remote_open(ctl, &e->remote, &gone) == 0;
	err_release(&gone);
	if ((flags & STATE_READ_ONLY ? load_state_if_any(&e->load) : load_state(&e->load, flags)) == -1)
		return -1;
	if (e->daemon && !remote_same_database(ctl, &e->remote)) {
		(void)err_set(err, ERR_USAGE, "agentd works on another database: '%s'",
		    v_get_str(e->remote.hello, "database", "?"));
		err_hint(err, "`--state %s`, as a user who may write there",
		    v_get_str(e->remote.hello, "database", "?"));
		return -1;
	}
	e->note = &v_null;
	if ((path = config_path(e, err)) == NULL || (e->load.state != NULL &&
	    (e->note = state_note(e->load.state, &ctl->arena, CONFIG_NOTE, err)) == NULL))
		return -1;
	if (v_is_null(e->note))
		e->note = v_list(&ctl->arena);
	return access(path, F_OK) == 0 ? config_load(path, &e->config, &ctl->diags) : 0;
}

/* Keeps the note and tells agentd. */
static int
edit_write(struct edit *e, const struct value *note, struct err *err)
{
	if (state_note_set(e->load.state, CONFIG_NOTE, note, err) == -1 ||
	    state_sync(e->load.state, err) == -1)
		return -1;
	if (e->daemon && remote_call(&e->remote, "reload", NULL, err) == NULL)
		return err_wrap(err, "it is on record, but agentd does not take it");
	if (!e->daemon)
		out_note(e->ctl->out, "no agentd is running: it is on record for when there is one");
	return 0;
}

static void
edit_close(struct edit *e)
{
	flush_diags(e->ctl);
	config_release(&e->config);
	remote_close(&e->remote);
	load_release(&e->load);
}

/* The words behind the site, as one text that errors can point at. */
static const char *
times_text(struct ctl *ctl, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct source *src = ARENA_NEW(&ctl->arena, struct source);
	struct times times;
	unsigned i;

	for (i = 2; i < ctl->args.n; i++)
		buf_addf(&b, "%s%s", i > 2 ? " " : "", ctl->args.v[i]);
	*src = (struct source){ .path = "<times>", .text = buf_dup(&b, &ctl->arena), .len = b.len };
	if (times_parse(src->text, &times, err) == 0)
		return src->text;
	err_at(err, (struct mark){ src, 1, 1, (uint32_t)b.len });
	return NULL;
}

/* The note with one site less and, if it is not NULL, one more. */
static const struct value *
note_with(struct edit *e, const char *without, const struct value *with)
{
	struct value *list = v_list(&e->ctl->arena);
	uint32_t i;

	for (i = 0; i < v_count(e->note); i++)
		if (strcmp(v_get_str(v_at(e->note, i), "name", ""), without) != 0)
			v_push(&e->ctl->arena, list, v_at(e->note, i));
	if (with != NULL)
		v_push(&e->ctl->arena, list, with);
	return list;
}

static int
set(struct edit *e, struct err *err)
{
	struct ctl *ctl = e->ctl;
	struct arena *a = &ctl->arena;
	struct settings *s = &ctl->set;
	const char *path = site_path(ctl, ctl->args.v[1]), *times = times_text(ctl, err);
	const char *name = s->name != NULL ? s->name : config_name(a, path);
	const struct value *applied, *note, *now;
	struct value *site = v_map(a);
	uint32_t i;

	if (times == NULL)
		return -1;
	for (i = 0; i < v_count(e->note); i++)
		if (strcmp(v_get_str(v_at(e->note, i), "name", ""), name) == 0 &&
		    strcmp(v_get_str(v_at(e->note, i), "path", ""), path) != 0) {
			(void)err_set(err, ERR_INVALID, "'%s' is the name of another site: %s", name,
			    v_get_str(v_at(e->note, i), "path", "?"));
			err_hint(err, "--name gives this one another");
			return -1;
		}
	v_set_str(a, site, "path", path);
	v_set_str(a, site, "name", name);
	v_set_str(a, site, "drift", times);
	v_set_bool(a, site, "correct", s->correct);
	if (s->spread > 0)
		v_set_int(a, site, "spread", s->spread);
	if (s->limit != NULL)
		v_set_str(a, site, "limit", s->limit);
	note = note_with(e, name, site);
	if (config_add(&e->config, note, &ctl->diags) == -1 ||
	    (applied = state_applied(e->load.state, a, path, err)) == NULL ||
	    edit_write(e, note, err) == -1)
		return -1;
	if (v_count(applied) == 0)
		err_hint(diags_warn(&ctl->diags, (struct mark){ 0 }, "'%s' was not applied yet: until "
		    "then there is nothing to look after", path), "`provctl apply %s`", path);
	if (!e->daemon)
		show_config(ctl, &e->config);
	else if ((now = remote_call(&e->remote, "schedule", NULL, err)) != NULL)
		show(ctl, now);
	return err->code == ERR_NONE ? 0 : -1;
}

static int
take_away(struct edit *e, struct err *err)
{
	const char *given = e->ctl->args.v[1], *path = site_path(e->ctl, given), *near;
	const struct config_site *site;
	uint32_t i;

	for (i = 0; i < v_count(e->note); i++) {
		const char *name = v_get_str(v_at(e->note, i), "name", "");

		if (strcmp(name, given) == 0 ||
		    strcmp(v_get_str(v_at(e->note, i), "path", ""), path) == 0)
			return edit_write(e, note_with(e, name, NULL), err);
	}
	if ((site = config_site(&e->config, given, &near)) != NULL) {
		(void)err_set_at(err, ERR_INVALID, site->mark, "'%s' was not set by `provctl schedule"
		    " set`: it stands in the file", given);
		err_hint(err, "take it out there, then `provctl schedule --reload`");
		return -1;
	}
	if (config_add(&e->config, e->note, &e->ctl->diags) == 0)
		(void)config_site(&e->config, given, &near);
	(void)err_set(err, ERR_INVALID, "no site '%s' is looked after", given);
	if (near != NULL)
		err_hint(err, "did you mean '%s'?", near);
	return -1;
}

static int
edit(struct ctl *ctl, int (*change)(struct edit *, struct err *))
{
	struct err err = ERR_INIT;
	struct edit e;
	int r = edit_open(&e, ctl, 0, &err);

	if (r == 0)
		r = change(&e, &err);
	if (err.code != ERR_NONE)
		(void)fail_with(ctl, &err);
	edit_close(&e);
	return r == 0 ? RUN_OK : RUN_USAGE;
}

/* ---- the command -------------------------------------------------------------------------------- */

/* What agentd would do if it ran. */
static int
show_without(struct ctl *ctl, struct err *why)
{
	struct err err = ERR_INIT;
	struct edit e;
	int r;

	err_hint(diags_warn(&ctl->diags, (struct mark){ 0 }, "%s: nothing of this is done",
	    why->msg), "%s", why->hint != NULL ? why->hint : "");
	err_release(why);
	r = edit_open(&e, ctl, STATE_READ_ONLY, &err);
	if (r == 0 && (r = config_add(&e.config, e.note, &ctl->diags)) == 0)
		show_config(ctl, &e.config);
	if (err.code != ERR_NONE)
		(void)fail_with(ctl, &err);
	edit_close(&e);
	return r == 0 ? RUN_OK : RUN_USAGE;
}

static int
ask_daemon(struct ctl *ctl, struct remote *r, struct err *err)
{
	struct value *params = v_map(&ctl->arena);
	const struct value *answer;

	if (ctl->set.start_site != NULL) {
		v_set_str(&ctl->arena, params, "site", ctl->set.start_site);
		if ((answer = remote_call(r, "start", params, err)) == NULL)
			return -1;
		out_note(ctl->out, "%s begins; `provctl follow` shows it", v_get_str(answer, "what", "?"));
		return 0;
	}
	if (ctl->set.reload && remote_call(r, "reload", NULL, err) == NULL)
		return -1;
	if ((answer = remote_call(r, "schedule", NULL, err)) == NULL)
		return -1;
	show(ctl, answer);
	return 0;
}

static int
schedule(struct ctl *ctl)
{
	static const char *const actions[] = { "set", "remove", NULL };
	struct settings *s = &ctl->set;
	const char *action = ctl->args.n > 0 ? ctl->args.v[0] : "", *near;
	struct err err = ERR_INIT;
	int status = RUN_OK;
	struct remote r;

	if ((s->config != NULL) + (s->start_site != NULL) + s->reload + (ctl->args.n > 0) > 1)
		return usage_error(ctl, "one of set, remove, --file, --now and --reload");
	if (strcmp(action, "set") != 0 &&
	    (s->correct || s->limit != NULL || s->name != NULL || s->spread > 0))
		return usage_error(ctl, "--correct, --limit, --name and --spread are for 'schedule set'");
	if (strcmp(action, "set") == 0)
		return ctl->args.n < 3 ? usage_error(ctl, "'schedule set' needs a SITE and when:"
		    " 'nightly, 03:10'") : edit(ctl, set);
	if (strcmp(action, "remove") == 0)
		return ctl->args.n != 2 ? usage_error(ctl, "'schedule remove' needs a SITE") :
		    edit(ctl, take_away);
	if (*action != '\0')
		return (near = nearest(action, actions)) != NULL ?
		    usage_error(ctl, "unknown action '%s'; did you mean '%s'?", action, near) :
		    usage_error(ctl, "unknown action '%s'", action);
	if (s->config != NULL)
		return show_file(ctl, s->config);
	if (remote_open(ctl, &r, &err) == -1 && err.code == ERR_IO && s->start_site == NULL && !s->reload)
		status = show_without(ctl, &err);
	else if (err.code != ERR_NONE || ask_daemon(ctl, &r, &err) == -1)
		status = fail_with(ctl, &err);
	remote_close(&r);
	return status;
}

static const struct opt rows[] = {
	{ .name = "now", .type = OPT_STR, .offset = OFF(start_site), .arg = "SITE",
	    .doc = "Begins with a site now, as if it were due." },
	{ .name = "reload", .type = OPT_FLAG, .offset = OFF(reload),
	    .doc = "Lets agentd read agentd.yml again; with errors the old one stays in force." },
	{ .name = "file", .type = OPT_STR, .offset = OFF(config), .arg = "FILE",
	    .doc = "Checks an agentd.yml and shows what it would mean; needs no agentd." },
	OPT_END
};
static const struct opt set_rows[] = {
	{ .name = "correct", .type = OPT_FLAG, .offset = OFF(correct),
	    .doc = "What has drifted is put right; otherwise it is only found." },
	{ .letter = 'l', .name = "limit", .type = OPT_STR, .offset = OFF(limit),
	    .arg = "PATTERN", .doc = "Only hosts that match." },
	{ .name = "spread", .type = OPT_INT, .offset = OFF(spread), .arg = "MINUTES", .max = 720,
	    .doc = "Begins within so many minutes after the time." },
	{ .name = "name", .type = OPT_STR, .offset = OFF(name), .arg = "NAME",
	    .doc = "What the site is called here; otherwise as its folder." },
	OPT_END
};
static const struct opt_group group = { "What", rows };
static const struct opt_group set_group = { "Of `set`", set_rows };
static const struct opt_group *const groups[] = { &group, &set_group, &opts_state, &opts_socket, NULL };

const struct cmd cmd_schedule = {
	.name = "schedule", .args = "[set SITE TIMES | remove SITE]",
	.summary = "which sites agentd looks after, and when",
	.doc = "Without an action: shows what comes next. set: from now on agentd looks after SITE (a playbook that was applied) at TIMES: 'nightly, 03:10', 'mon-fri 06:00, 18:00', 'weekly, sun 04:00', 'hourly :15', 'every 30 min' or 'never' (only with --now); a second time it replaces the first. remove: no more; SITE is its path or its name.\n\nSites may as well stand in agentd.yml (/etc/provctl/agentd.yml): edit it, look at it with --file, and have it read with --reload. This command does not touch that file; what it sets is kept in the database.",
	.opts = groups, .max_args = 64, .run = schedule,
};
