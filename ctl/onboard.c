/*
 * provctl onboard: from a new server to a host of ours.
 *
 *	pin the host key ─ can we log in as our user already?
 *	   │ no: as the user the provider made            │ yes
 *	   ▼                                              ▼
 *	onboard-user.yml: wait for cloud-init and apt, repair dpkg, our user, its key, sudo
 *	   ▼
 *	prove it: a new connection as our user, by key alone, root by sudo
 *	   ▼
 *	record the host and its groups (provctl host list)
 *	   ▼
 *	onboard.yml as our user: facts, packages, updates, firewall; last, no root, no passwords
 *
 * Every step finds what the ones before left behind, so an interrupted
 * onboarding is begun again by the same command.  Nothing is turned off
 * before the new way in was tried.
 */
#include <string.h>
#include <sys/stat.h>

#include "apply.h"
#include "base/json.h"
#include "inventory/inventory.h"
#include "onboard.h"
#include "out.h"

#define DEFAULT_USER	"deploy"
#define WAIT_MAX	86400

static const struct opt host_rows[] = {
	{ .name = "name", .type = OPT_STR, .offset = OFF(name), .arg = "NAME",
	    .doc = "What the host is called in the inventory; default: HOST." },
	{ .name = "groups", .type = OPT_COMMAS, .offset = OFF(groups), .arg = "GROUPS",
	    .doc = "Its groups." },
	{ .name = "playbook", .type = OPT_STR, .offset = OFF(playbook), .arg = "FILE",
	    .doc = "Applied at the end instead of the onboard.yml that comes with provctl." },
	{ .name = "deploy-user", .type = OPT_STR, .offset = OFF(deploy_user), .arg = "USER",
	    .doc = "The user that is made for us; default " DEFAULT_USER "." },
	{ .name = "key", .type = OPT_STR, .offset = OFF(key), .arg = "FILE",
	    .doc = "The private key to log in with, now and later; default: that of ~/.ssh, or else one of our own beside the state database." },
	{ .letter = 'e', .name = "extra-vars", .type = OPT_LIST, .offset = OFF(extra),
	    .arg = "VARS",
	    .doc = "Variables for the playbooks: \"k=v\", JSON or YAML \"{...}\", or @FILE; may be repeated." },
	OPT_END
};
const struct opt_group onboard_host_group = { "The host", host_rows };

static const struct opt login_rows[] = {
	{ .name = "port", .type = OPT_INT, .offset = OFF(port), .arg = "PORT",
	    .min = 1, .max = 65535, .doc = "The port of sshd." },
	{ .letter = 'k', .name = "ask-pass", .type = OPT_FLAG, .offset = OFF(ask_pass),
	    .doc = "Asks for the first login's password on the terminal." },
	{ .name = "password-file", .type = OPT_STR, .offset = OFF(password_file),
	    .arg = "FILE", .doc = "Reads it from a file's first line (\"-\": standard input)." },
	{ .letter = 'K', .name = "ask-become-pass", .type = OPT_FLAG,
	    .offset = OFF(ask_become),
	    .doc = "Asks for the password that sudo wants of the first user." },
	{ .name = "become-password-file", .type = OPT_STR, .offset = OFF(become_file),
	    .arg = "FILE", .doc = "Reads it from a file's first line (\"-\": standard input)." },
	{ .name = "fingerprint", .type = OPT_STR, .offset = OFF(fingerprint),
	    .arg = "SHA256:...", .doc = "The fingerprint that one of the host's keys must have." },
	{ .name = "accept-new-host-key", .type = OPT_FLAG, .offset = OFF(accept_keys),
	    .doc = "Takes whatever key the host shows. Whoever answers in its place gets in." },
	{ .name = "no-strict-kex", .type = OPT_FLAG, .offset = OFF(lax_kex),
	    .doc = "For an SSH server, or a jump host before it, that is too old for strict key exchange (CVE-2023-48795); recorded as the variable provctl_ssh_strict_kex." },
	{ .name = "wait", .type = OPT_INT, .offset = OFF(wait), .arg = "SECONDS",
	    .min = 0, .max = WAIT_MAX, .doc = "Waits so long for a host that does not answer yet." },
	{ .letter = 'T', .name = "timeout", .type = OPT_INT, .offset = OFF(timeout),
	    .arg = "SECONDS", .min = 1, .max = 3600,
	    .doc = "For each step of connecting; default 10." },
	OPT_END
};
static const struct opt_group login_group = { "The first login", login_rows };

static const struct opt show_rows[] = {
	{ .letter = 'D', .name = "diff", .type = OPT_FLAG, .offset = OFF(diff),
	    .doc = "Shows what changes in files." },
	{ .letter = 'v', .name = "verbose", .type = OPT_COUNT, .offset = OFF(verbose),
	    .doc = "Shows skipped tasks and results; -vv more, -vvv also connections." },
	OPT_END
};
static const struct opt_group show_group = { "What to show", show_rows };

static const struct opt cloud_rows[] = {
	{ .name = "user-data", .type = OPT_FLAG, .offset = OFF(user_data),
	    .doc = "Prints a cloud-init document for the host --name instead, with its user and a host key that we know from then on. It holds a private key: give it to the provider, keep it nowhere." },
	OPT_END
};
static const struct opt_group cloud_group = { "Before the host exists", cloud_rows };

/* ---- what the options say ------------------------------------------------------------ */

static const char *
our_user(const struct ctl *ctl)
{
	return ctl->set.deploy_user != NULL ? ctl->set.deploy_user : DEFAULT_USER;
}

static bool
is_word(const char *s, const char *more)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	size_t n;

	for (n = 0; s[n] != '\0'; n++)
		if (strchr(letters, s[n]) == NULL && (n == 0 || strchr(more, s[n]) == NULL))
			return false;
	return n > 0 && n < 64;
}

int
onboard_check(struct ctl *ctl)
{
	struct settings *s = &ctl->set;
	unsigned i;

	if (s->name != NULL && !is_word(s->name, ".-"))
		return usage_error(ctl, "'%s' cannot be the name of a host", s->name), -1;
	for (i = 0; i < s->groups.n; i++)
		if (!is_word(s->groups.v[i], "") || strcmp(s->groups.v[i], "all") == 0 ||
		    (*s->groups.v[i] >= '0' && *s->groups.v[i] <= '9'))
			return usage_error(ctl, "'%s' cannot be the name of a group",
			    s->groups.v[i]), -1;
	if (!is_word(our_user(ctl), "-") || strcmp(our_user(ctl), "root") == 0)
		return usage_error(ctl, "--deploy-user '%s': another user than root is needed",
		    our_user(ctl)), -1;
	return 0;
}

/* ---- the playbooks that come with us ------------------------------------------------- */

/* Where they are installed, or in the source tree. NULL with diags. */
static const char *
shipped(struct ctl *ctl, const char *name)
{
	struct arena *a = &ctl->arena;
	const char *dirs[4] = { getenv("PROVCTL_PLAYBOOKS"), NULL,
	    PROVCTL_DATA_DIR "/playbooks", PROVCTL_SOURCE_DIR "/playbooks" };
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct err *e;
	size_t i;

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		dirs[1] = arena_printf(a, "%s/../share/provctl/playbooks", self);
	}
	for (i = 0; i < NITEMS(dirs); i++) {
		const char *path = dirs[i] != NULL ? arena_printf(a, "%s/%s", dirs[i], name) : NULL;
		char real[4096];

		if (path != NULL && realpath(path, real) != NULL)
			return arena_strdup(a, real);
	}
	e = diags_error(&ctl->diags, ERR_IO, (struct mark){ 0 },
	    "the playbook %s that comes with provctl is not installed", name);
	err_hint(e, "it is looked for in %s; PROVCTL_PLAYBOOKS names another folder", dirs[2]);
	return NULL;
}

/* ---- steps ------------------------------------------------------------------------------ */

struct onboarding {
	struct load	*load;		/* with the state */
	struct ctl	*ctl;
	struct target	 target;
	struct own_key	 key;
	const char	*name, *password, *become_password;
	const struct value *more;	/* variables to record, or NULL */
};

/* What the inventory is to know of the host. */
static struct value *
host_vars(const struct onboarding *o)
{
	struct arena *a = &o->ctl->arena;
	struct value *vars = v_map(a);

	if (strcmp(o->target.alias, o->name) != 0)
		v_set_str(a, vars, "ansible_host", o->target.alias);
	if (o->target.port != 22)
		v_set_int(a, vars, "ansible_port", o->target.port);
	v_set_str(a, vars, "ansible_user", our_user(o->ctl));
	if (o->target.lax_kex) {
		v_set_bool(a, vars, "provctl_ssh_strict_kex", false);
		if (o->target.jump != NULL)
			v_set_bool(a, vars, "provctl_ssh_jump_strict_kex", false);
	}
	if (!o->key.usual)
		v_set_str(a, vars, "ansible_ssh_private_key_file", o->key.path);
	v_set_bool(a, vars, KEPT_VAR, true);
	return vars;
}

/* Groups of --groups; without it those on record. */
static const struct value *
host_groups(const struct onboarding *o, const struct value *row)
{
	struct arena *a = &o->ctl->arena;
	struct value *groups = v_list(a);
	unsigned i;

	if (o->ctl->set.groups.n == 0 && row != NULL &&
	    v_gets(row, "groups") != NULL && v_is_list(v_gets(row, "groups")))
		return v_gets(row, "groups");
	for (i = 0; i < o->ctl->set.groups.n; i++)
		v_push(a, groups, v_str(a, o->ctl->set.groups.v[i]));
	return groups;
}

/* What the state knows of it: NULL, or -1 in *failed. */
static const struct value *
row_of(const struct onboarding *o, int *failed)
{
	struct err err = ERR_INIT;
	const struct value *hosts = state_hosts(o->load->state, &o->ctl->arena, &err);
	uint32_t i;

	*failed = 0;
	if (hosts == NULL)
		*failed = (fail_with(o->ctl, &err), -1);
	for (i = 0; hosts != NULL && i < v_count(hosts); i++)
		if (strcmp(v_get_str(v_at(hosts, i), "name", ""), o->name) == 0)
			return v_at(hosts, i);
	return NULL;
}

/* One playbook on this host alone, as a user. */
static int
play(const struct onboarding *o, const char *path, const char *user, const char *password,
    const char *become_password)
{
	struct ctl *ctl = o->ctl;
	struct arena *a = &ctl->arena;
	struct value *vars = host_vars(o), *row = v_map(a), *list = v_list(a);
	int failed, status = RUN_USAGE;
	const struct value *known = row_of(o, &failed);
	struct load l;

	if (failed)
		return RUN_USAGE;
	if (known != NULL && v_gets(known, "vars") != NULL && v_is_map(v_gets(known, "vars"))) {
		struct value *all = v_map(a);

		v_merge(a, all, v_gets(known, "vars"));
		v_merge(a, all, vars);
		vars = all;
	}
	v_set_str(a, vars, "ansible_user", user);
	if (password != NULL) {
		struct value *v = v_str(a, password);

		v->flags |= V_SECRET;
		v_sets(a, vars, "ansible_password", v);
	}
	v_set_str(a, row, "name", o->name);
	v_sets(a, row, "vars", vars);
	v_sets(a, row, "groups", host_groups(o, known));
	v_push(a, list, row);
	load_init(&l, ctl);
	l.state = o->load->state;
	l.given = list;
	if (load_site(&l, path) == 0)
		status = apply_loaded(&l, become_password);
	l.state = NULL;
	load_release(&l);
	return status;
}

/* What a person gets to read when our user's login fails, or the first one's. */
static int
login_failed(const struct onboarding *o, struct err *err, const char *user, bool proof)
{
	if (proof) {
		(void)err_wrap(err, "the new login as %s does not work", user);
		err_hint(err, "nothing was turned off: the way in is as it was. "
		    "Once the cause is mended, the same command goes on");
	} else
		(void)err_wrap(err, "cannot log in to %s as %s", o->target.host, user);
	(void)fail_with(o->ctl, err);
	return RUN_UNREACHABLE;
}

static int
record(const struct onboarding *o)
{
	struct arena *a = &o->ctl->arena;
	struct err err = ERR_INIT;
	int failed;
	const struct value *row = row_of(o, &failed);
	struct value *vars = v_map(a);

	if (failed)
		return -1;
	if (row != NULL && v_gets(row, "vars") != NULL && v_is_map(v_gets(row, "vars")))
		v_merge(a, vars, v_gets(row, "vars"));
	v_merge(a, vars, host_vars(o));
	if (o->more != NULL)
		v_merge(a, vars, o->more);
	if (state_host_set(o->load->state, o->name, vars, host_groups(o, row), &err) == -1 ||
	    state_sync(o->load->state, &err) == -1)
		return fail_with(o->ctl, &err), -1;
	return 0;
}

static int
steps(struct onboarding *o, const struct pin_opts *pin)
{
	struct ctl *ctl = o->ctl;
	struct login ours = { .user = our_user(ctl), .key = o->key.path };
	struct login first = { .user = o->target.user != NULL ? o->target.user : "root",
	    .key = o->key.path, .password = o->password, .become_password = o->become_password };
	const char *user_playbook = shipped(ctl, "onboard-user.yml"), *playbook;
	struct err err = ERR_INIT;
	bool known;
	int status;

	playbook = ctl->set.playbook != NULL ? ctl->set.playbook : shipped(ctl, "onboard.yml");
	if (user_playbook == NULL || playbook == NULL || pin_host(&o->target, pin) == -1)
		return RUN_USAGE;
	known = try_login(&o->target, &ours, &err) == 0;
	if (!known && err.code != ERR_AUTH)
		return login_failed(o, &err, ours.user, false);
	err_release(&err);
	if (!known && try_login(&o->target, &first, &err) == -1)
		return login_failed(o, &err, first.user, false);
	if (known)
		first = ours;
	out_note(ctl->out, known ? "%s: logged in as %s, who is there already" :
	    "%s: logged in as %s", o->name, first.user);
	status = play(o, user_playbook, first.user, first.password, first.become_password);
	if (status != RUN_OK)
		return status;
	if (try_login(&o->target, &ours, &err) == -1)
		return login_failed(o, &err, ours.user, true);
	out_note(ctl->out, "%s: the login as %s works, by key and with sudo", o->name, ours.user);
	if (record(o) == -1)
		return RUN_USAGE;
	if ((status = play(o, playbook, ours.user, NULL, NULL)) != RUN_OK)
		return status;
	if (try_login(&o->target, &ours, &err) == -1)
		return login_failed(o, &err, ours.user, false);
	out_note(ctl->out, "%s is one of ours now: `provctl host show %s`", o->name, o->name);
	return RUN_OK;
}

/* As an argument of -e before the person's own: it is recorded with the runs, for whatever looks at the host later. */
static void
tell_user(const struct onboarding *o)
{
	struct arena *a = &o->ctl->arena;
	struct words extra = { 0 }, *given = &o->ctl->set.extra;
	struct value *vars = v_map(a), *keys = v_list(a);
	CLEANUP_BUF struct buf b = BUF_INIT;
	unsigned i;

	v_push(a, keys, v_str(a, o->key.public));
	v_set_str(a, vars, "deploy_user_name", our_user(o->ctl));
	v_sets(a, vars, "deploy_user_keys", keys);
	json_write(&b, vars, 0);
	words_add(a, &extra, buf_dup(&b, a));
	for (i = 0; i < given->n; i++)
		words_add(a, &extra, given->v[i]);
	*given = extra;
}

int
onboard_host(struct load *l, const char *what, struct pin_opts pin, const struct value *vars)
{
	struct ctl *ctl = l->ctl;
	struct settings *s = &ctl->set;
	struct onboarding o = { .load = l, .ctl = ctl, .more = vars };
	struct err err = ERR_INIT;
	struct stat st;

	if (target_parse(l, what, s->port, &o.target) == -1)
		return RUN_USAGE;
	o.target.timeout_ms = s->timeout * 1000;
	o.target.lax_kex = s->lax_kex;
	o.name = s->name != NULL ? s->name : o.target.alias;
	pin.published = o.name;
	if (s->playbook != NULL && stat(s->playbook, &st) == -1) {
		(void)err_errno(&err, "cannot read the playbook '%s'", s->playbook);
		return fail_with(ctl, &err);
	}
	if (own_key(ctl, &o.key, &err) == -1)
		return fail_with(ctl, &err);
	if (get_password(ctl, s->ask_pass, s->password_file, "login password",
	    "--password-file", &o.password) == -1 ||
	    get_password(ctl, s->ask_become, s->become_file, "sudo password",
	    "--become-password-file", &o.become_password) == -1)
		return RUN_USAGE;
	/* Options that mean the first login must not reach the runs. */
	s->accept_keys = s->ask_pass = s->ask_become = false;
	s->key = s->password_file = s->become_file = NULL;
	tell_user(&o);
	return steps(&o, &pin);
}

/* ---- user data ------------------------------------------------------------------------------- */

const char *
user_data(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
	struct arena *a = &ctl->arena;
	const char *private, *public, *p, *end, *waiting = arena_printf(a, "user-data:%s", name);
	struct own_key key;
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	const char *text;

	if (own_key(ctl, &key, &err) == -1 || make_key(a, &private, &public, &err) == -1 ||
	    state_forget_keys(l->state, waiting, 0, &err) == -1 ||
	    state_pin_key(l->state, waiting, 0, public, &err) == -1 ||
	    state_sync(l->state, &err) == -1) {
		(void)fail_with(ctl, &err);
		return NULL;
	}
	buf_addf(&b, "#cloud-config\n"
	    "# %s: a user for provctl, and a host key that it knows. Holds a private key.\n"
	    "users:\n"
	    "  - name: %s\n"
	    "    shell: /bin/bash\n"
	    "    lock_passwd: true\n"
	    "    sudo: \"ALL=(ALL:ALL) NOPASSWD: ALL\"\n"
	    "    ssh_authorized_keys:\n"
	    "      - ", name, our_user(ctl));
	json_write_str(&b, key.public, strlen(key.public), 0);
	buf_addf(&b, "\ndisable_root: true\nssh_pwauth: false\nssh_deletekeys: true\n"
	    "ssh_keys:\n  ed25519_public: \"%s\"\n  ed25519_private: |\n", public);
	for (p = private; *p != '\0'; p = *end == '\n' ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		buf_addf(&b, "    %.*s\n", (int)(end - p), p);
	}
	text = buf_dup(&b, a);
	explicit_bzero(b.data, b.cap);
	buf_release(&b);
	return text;
}

static int
print_user_data(struct load *l)
{
	struct ctl *ctl = l->ctl;
	const char *text;
	size_t n;

	if (ctl->set.name == NULL)
		return usage_error(ctl, "--user-data needs --name: the key waits under that name");
	if ((text = user_data(l, ctl->set.name)) == NULL)
		return RUN_USAGE;
	n = strlen(text);
	ctl->out->ops->value(ctl->out, v_strn(&ctl->arena, text,
	    n > 0 && text[n - 1] == '\n' ? n - 1 : n));
	out_note(ctl->out, "once it is there: provctl onboard %s@ADDRESS --name %s --wait 300",
	    our_user(ctl), ctl->set.name);
	return RUN_OK;
}

/* ---- the command ------------------------------------------------------------------------------ */

static int
onboard(struct ctl *ctl)
{
	struct settings *s = &ctl->set;
	struct load l;
	int status = RUN_USAGE;

	if (!s->user_data && ctl->args.n == 0)
		return usage_error(ctl, "'onboard' needs a HOST");
	if (s->user_data && ctl->args.n > 0)
		return usage_error(ctl, "--user-data takes no HOST: it is for one that does not exist yet");
	if (onboard_check(ctl) == -1)
		return RUN_USAGE;
	load_init(&l, ctl);
	ctl->out->stream = !s->user_data;
	if (load_state(&l, 0) == 0)
		status = s->user_data ? print_user_data(&l) :
		    onboard_host(&l, ctl->args.v[0], (struct pin_opts){
		    .fingerprint = s->fingerprint, .accept = s->accept_keys,
		    .wait_ms = s->wait * 1000 }, NULL);
	load_release(&l);
	return status;
}

static const struct opt_group *const groups[] = {
	&onboard_host_group, &login_group, &cloud_group, &show_group, &opts_vault,
	&opts_state, NULL
};

const struct cmd cmd_onboard = {
	.name = "onboard", .args = "[[USER@]HOST]",
	.summary = "takes a new server in: host key, user, sudo, updates, firewall",
	.doc = "Logs in as USER (default root) with your key or a password, makes a user for us and proves that its login works, records the host in the inventory of the state database, and applies onboard.yml. Whatever interrupts it: the same command goes on.",
	.opts = groups, .max_args = 1, .run = onboard,
};
