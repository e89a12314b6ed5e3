/*
 * provctl rollback RUN: the files, links, owners and modes that a run has
 * changed become what they were.
 *
 * It is an ordinary run of a small playbook that is written for it: one task,
 * once for each path, with the inventory and the options of the run that is
 * undone.  So it takes leases, has a plan (a check) with diffs, is recorded,
 * and can be rolled back itself.  The contents come from the hosts' own store
 * (module/keep.h); what the database knows of each path is handed in as a
 * variable, never as text of the playbook: names of files are data.
 */
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "ask.h"
#include "base/json.h"
#include "holding.h"
#include "out.h"
#include "remote.h"
#include "rollback.h"
#include "state/before.h"

#define TOLD_MAX	20	/* tasks that cannot be undone, by name */
#define VARIABLE	"provctl_rollback"

/* Modules whose changes are files and no more; what others did besides is not undone. */
static const char *const files_only[] = {
	"assemble", "authorized_key", "blockinfile", "copy", "cron", "file",
	"get_url", "ini_file", "known_hosts", "lineinfile", "provctl_restore",
	"replace", "tempfile", "template", "unarchive", "uri",
};

struct rollback {
	struct ctl		*ctl;
	int64_t			 run;
	const char		*site;		/* of the run, for the inventory beside it */
	const struct value	*hosts;		/* lists by host, as state_before() */
	const char		*login, *become;	/* passwords */
};

/* ---- what there is to undo ------------------------------------------------------- */

static bool
is_file_module(const char *name)
{
	size_t i;

	for (i = 0; i < NITEMS(files_only); i++)
		if (strcmp(files_only[i], name) == 0)
			return true;
	return false;
}

static void
tell(struct ctl *ctl, const char *fmt, ...) ATTR_PRINTF(2, 3);

static void
tell(struct ctl *ctl, const char *fmt, ...)
{
	struct err err = ERR_INIT;
	va_list ap;

	va_start(ap, fmt);
	(void)err_set(&err, ERR_INVALID, "%s", arena_vprintf(&ctl->arena, fmt, ap));
	va_end(ap);
	diags_add(&ctl->diags, DIAG_WARNING, &err);
}

/* Says what stays as the run made it. */
static void
tell_rest(struct rollback *rb, const struct value *run)
{
	struct ctl *ctl = rb->ctl;
	const struct value *results = v_gets(run, "results");
	uint32_t i, n = 0;

	for (i = 0; i < v_count(results); i++) {
		const struct value *r = v_at(results, i);
		const char *module = v_get_str(r, "module", "");

		if (strcmp(v_get_str(r, "outcome", ""), "changed") != 0 ||
		    is_file_module(module) || n++ >= TOLD_MAX)
			continue;
		tell(ctl, "not undone on '%s': %s (%s)", v_get_str(r, "host", "?"),
		    v_get_str(r, "task", "?"), module);
	}
	if (n > TOLD_MAX)
		tell(ctl, "not undone: %u tasks more that changed other things than files",
		    n - TOLD_MAX);
}

/* The lists without rows that cannot be put back, which are told. */
static const struct value *
usable(struct rollback *rb, const struct value *before)
{
	struct ctl *ctl = rb->ctl;
	struct arena *a = &ctl->arena;
	struct value *hosts = v_map(a), *list;
	const struct ventry *e;
	uint32_t it = 0, i;

	while ((e = v_next(before, &it)) != NULL) {
		list = v_list(a);
		for (i = 0; i < v_count(e->val); i++) {
			const struct value *v = v_at(e->val, i);

			if (*v_get_str(v, "path", "") != '\0' &&
			    v_is_map(v_gets(v, "left")))
				v_push(a, list, v);
			else
				tell(ctl, "not undone on '%s': %lld files more that '%s' changed: only so many are kept",
				    e->key->u.s, (long long)v_get_int(v_gets(v, "was"),
				    "lost", 0), v_get_str(v, "task", "?"));
		}
		if (v_count(list) > 0)
			v_sets(a, hosts, e->key->u.s, list);
	}
	return hosts;
}

/* ---- the playbook ------------------------------------------------------------------ */

static bool
any_user(const struct value *list)
{
	uint32_t i;

	for (i = 0; i < v_count(list); i++)
		if (!v_is_null(v_gets(v_at(list, i), "user")))
			return true;
	return false;
}

/* One play of the hosts where another user than the login's kept something, or of the others. */
static void
put_play(struct buf *b, const struct rollback *rb, bool become)
{
	const struct ventry *e;
	uint32_t it = 0, n = 0;

	while ((e = v_next(rb->hosts, &it)) != NULL) {
		if (any_user(e->val) != become)
			continue;
		if (n++ == 0)
			buf_addf(b, "- name: rollback of run %lld\n  gather_facts: false\n"
			    "  hosts:\n", (long long)rb->run);
		buf_adds(b, "    - ");
		json_write_str(b, e->key->u.s, e->key->len, JSON_ASCII);
		buf_addc(b, '\n');
	}
	if (n == 0)
		return;
	buf_addf(b, "  tasks:\n"
	    "    - name: put back\n"
	    "      provctl_restore:\n"
	    "        path: \"{{ item.path }}\"\n"
	    "        was: \"{{ item.was }}\"\n"
	    "        left: \"{{ item.left }}\"\n"
	    "        quiet: \"{{ item.quiet }}\"\n"
	    "        force: %s\n"
	    "      loop: \"{{ " VARIABLE "[inventory_hostname] }}\"\n"
	    "      loop_control: {label: \"{{ item.path }}\"}\n"
	    "      register: back\n", rb->ctl->set.force ? "true" : "false");
	if (become)
		buf_adds(b, "      become: \"{{ item.user is not none }}\"\n"
		    "      become_user: \"{{ item.user or 'root' }}\"\n");
	/* Not a failure of the run, which would be tried again: a person has to look. */
	buf_adds(b, "    - name: left alone\n"
	    "      fail: {msg: \"{{ back.results | selectattr('refused', 'defined')"
	    " | map(attribute='refused') | join('\\n') }}\"}\n"
	    "      when: back.results | selectattr('refused', 'defined') | list | length > 0\n"
	    "      ignore_errors: true\n");
}

/* Writes it into a directory of our own. NULL with err. */
static const char *
write_playbook(const struct rollback *rb, const char *dir, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *path = arena_printf(&rb->ctl->arena, "%s/rollback-of-run-%lld.yml",
	    dir, (long long)rb->run);
	FILE *f;

	put_play(&b, rb, false);
	put_play(&b, rb, true);
	if ((f = fopen(path, "we")) == NULL || fputs(buf_str(&b), f) == EOF) {
		(void)err_errno(err, "cannot write %s", path);
		if (f != NULL)
			(void)fclose(f);
		return NULL;
	}
	if (fclose(f) == EOF) {
		(void)err_errno(err, "cannot write %s", path);
		return NULL;
	}
	return path;
}

/* Hosts that were given to the run in other ways than by an inventory (onboard) are known to the state. */
static int
add_missing(struct load *l, const struct rollback *rb)
{
	struct err err = ERR_INIT;
	const struct value *known = state_hosts(l->state, &rb->ctl->arena, &err);
	const struct value *vars;
	uint32_t i;

	for (i = 0; known != NULL && i < v_count(known); i++) {
		const char *name = v_get_str(v_at(known, i), "name", "");

		vars = v_gets(v_at(known, i), "vars");
		if (vars == NULL || !v_is_map(vars) || v_gets(rb->hosts, name) == NULL ||
		    inventory_host(l->inventory, name) != NULL)
			continue;
		if (inventory_host_add(l->inventory, name, vars, &err) == NULL)
			break;
	}
	if (err.code == ERR_NONE)
		return 0;
	(void)fail_with(rb->ctl, &err);
	return -1;
}

/* Loads the inventory as the run did, and the playbook. */
static int
load(struct load *l, const struct rollback *rb)
{
	struct ctl *ctl = rb->ctl;
	struct site_opts opts = { .yaml = &l->yaml };
	struct private_dir dir;
	const char *path;
	struct err err = ERR_INIT;
	struct value *map;

	if (load_state(l, 0) == -1 || load_inventory(l,
	    dirname(arena_strdup(&ctl->arena, rb->site))) == -1 ||
	    add_missing(l, rb) == -1)
		return -1;
	map = v_map(&ctl->arena);
	v_merge(&ctl->arena, map, l->extra);
	v_sets(&ctl->arena, map, VARIABLE, rb->hosts);
	if (rb->login != NULL)
		v_sets(&ctl->arena, map, "ansible_password", v_flag(&ctl->arena,
		    v_str(&ctl->arena, rb->login), V_SECRET));
	l->extra = map;
	if (private_dir(&ctl->arena, false, &dir, &err) == 0 &&
	    (path = write_playbook(rb, dir.path, &err)) != NULL) {
		opts.path = path;
		opts.inventory = l->inventory;
		opts.limit = l->limit = ctl->set.limit;
		opts.extra_vars = l->extra;
		l->site = site_load(&ctl->arena, &opts, &ctl->diags);
	}
	(void)private_dir_remove(&dir, "THE PLAYBOOK", &err);
	if (err.code != ERR_NONE)
		(void)fail_with(ctl, &err);
	return l->site != NULL ? 0 : -1;
}

/* Was a path left alone in the run that was recorded last? */
static bool
any_refused(struct ctl *ctl, struct load *l)
{
	struct err err = ERR_INIT;
	const struct value *run = state_run(l->state, &ctl->arena,
	    state_run_id(l->state), NULL, &err), *results = v_gets(run, "results");
	uint32_t i;

	err_release(&err);
	for (i = 0; results != NULL && i < v_count(results); i++)
		if (strcmp(v_get_str(v_at(results, i), "outcome", ""), "ignored") == 0)
			return true;
	return false;
}

/* One run: the plan (a check), or for real. */
static int
run_once(const struct rollback *rb, bool check)
{
	struct ctl *ctl = rb->ctl;
	struct load l;
	int status = RUN_USAGE;

	load_init(&l, ctl);
	ctl->set.check = check;
	if (load(&l, rb) == 0) {
		status = apply_loaded(&l, rb->become);
		if (status == RUN_OK && any_refused(ctl, &l))
			status = RUN_FAILED;
	}
	load_release(&l);
	return status;
}

static int
plan_and_do(struct rollback *rb)
{
	struct ctl *ctl = rb->ctl;
	bool check = ctl->set.check;
	const char *answer;
	int status;

	if (get_password(ctl, ctl->set.ask_pass, ctl->set.password_file,
	    "login password", "--password-file", &rb->login) == -1 ||
	    get_password(ctl, ctl->set.ask_become, ctl->set.become_file,
	    "sudo password", "--become-password-file", &rb->become) == -1)
		return RUN_USAGE;
	status = run_once(rb, true);
	if (check || status != RUN_PENDING) {
		if (status == RUN_OK)
			out_note(ctl->out, "nothing of run %lld is to be put back",
			    (long long)rb->run);
		return status;
	}
	if (!ctl->set.yes) {
		answer = ask(&ctl->arena, "Put this back? [y/N] ", false);
		if (answer == NULL)
			return usage_error(ctl, "rollback: there is nobody to ask; --yes puts it back, --check only shows it");
		if (*answer != 'y' && *answer != 'Y') {
			out_note(ctl->out, "nothing was changed");
			return RUN_PENDING;
		}
	}
	return run_once(rb, false);
}

/* What is on record of the run. 0, or -1 with diags. */
static int
read_run(struct rollback *rb)
{
	struct ctl *ctl = rb->ctl;
	const struct value *run, *before = NULL;
	struct err err = ERR_INIT;
	struct load l;

	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0 &&
	    (run = state_run(l.state, &ctl->arena, rb->run, NULL, &err)) != NULL) {
		if (v_get_bool(run, "check", false))
			(void)err_set(&err, ERR_USAGE,
			    "run %lld was a check: it has changed nothing",
			    (long long)rb->run);
		else if ((before = state_before(l.state, &ctl->arena, rb->run,
		    &err)) != NULL) {
			tell_rest(rb, run);
			rb->hosts = usable(rb, before);
		}
	}
	load_release(&l);
	if (err.code != ERR_NONE)
		(void)fail_with(ctl, &err);
	return rb->hosts != NULL ? 0 : -1;
}

int
rollback_run(struct ctl *ctl, int64_t run, const struct value *options)
{
	struct rollback rb = { .ctl = ctl, .run = run };
	struct settings given = ctl->set, *s = &ctl->set;
	const char *cwd = v_get_str(options, "cwd", NULL);
	struct err err = ERR_INIT;
	int status = RUN_OK;

	rb.site = v_get_str(options, "site", "site.yml");
	if (cwd == NULL || chdir(cwd) == -1) {
		(void)err_errno(&err, "cannot go to the directory '%s' of run %lld",
		    cwd != NULL ? cwd : "?", (long long)run);
		return fail_with(ctl, &err);
	}
	if (read_run(&rb) == -1)
		return RUN_USAGE;
	settings_load(&ctl->arena, s, options);
	/* How to reach the hosts is the run's; what is done there is not. */
	s->tags = s->skip_tags = (struct words){ 0 };
	s->start_at = NULL;
	s->limit = given.limit;
	s->rollback = run;
	ctl->site_arg = rb.site;
	if (v_count(rb.hosts) == 0)
		out_note(ctl->out, "run %lld has changed no file that is kept", (long long)run);
	else
		status = plan_and_do(&rb);
	ctl->set = given;
	return status;
}

static int
rollback(struct ctl *ctl)
{
	const struct value *options = NULL;
	struct err err = ERR_INIT;
	struct load l;
	int64_t id = 0;
	int status;

	if (remote_run(ctl, &status))
		return status;
	ctl->out->stream = true;
	if (absolute_state(ctl) == -1)
		return RUN_USAGE;
	load_init(&l, ctl);
	if (load_state(&l, STATE_READ_ONLY) == 0 && (id = load_run_number(ctl, &l,
	    ctl->args.v[0], true, &err)) > 0 &&
	    state_run(l.state, &ctl->arena, id, NULL, &err) != NULL)
		options = state_run_options(l.state, &ctl->arena, id, &err);
	load_release(&l);
	if (options == NULL)
		return err.code != ERR_NONE ? fail_with(ctl, &err) : RUN_USAGE;
	return rollback_run(ctl, id, options);
}

static const struct opt rows[] = {
	{ .letter = 'l', .name = "limit", .type = OPT_STR, .offset = OFF(limit),
	    .arg = "PATTERN", .doc = "Only hosts that match." },
	{ .letter = 'C', .name = "check", .type = OPT_FLAG, .offset = OFF(check),
	    .doc = "Only shows what would be put back; status 2 when there is something." },
	{ .letter = 'y', .name = "yes", .type = OPT_FLAG, .offset = OFF(yes),
	    .doc = "Does not ask." },
	{ .name = "force", .type = OPT_FLAG, .offset = OFF(force),
	    .doc = "Also puts back what was changed since that run." },
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what changes in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Also paths that are as they were." },
	{ .name = "wait", .type = OPT_FLAG, .offset = OFF(wait_hosts),
	    .doc = "Waits when another run works on one of the hosts." },
	OPT_END
};
static const struct opt_group group = { "What to put back", rows };
static const struct opt_group *const groups[] = { &group, &opts_state, &opts_daemon, NULL };

const struct cmd cmd_rollback = {
	.name = "rollback", .args = "RUN",
	.summary = "puts back the files, links, owners and modes that a run has changed",
	.doc = "RUN is a number from `provctl history`, or `last`: the newest that was no check. Shows the plan first, then asks (or --yes). A path that was changed again since is left alone unless --force; directories are removed only when nothing has come into them. What tasks did besides files (commands, packages, services, users) is not undone: it is listed. Contents are kept on the hosts for provctl_keep_days (30) within provctl_keep_bytes (256M). A rollback is a run like others, and can be rolled back.",
	.opts = groups, .min_args = 1, .max_args = 1, .run = rollback,
};
