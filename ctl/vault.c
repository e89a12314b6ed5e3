/*
 * provctl vault: what ansible-vault does, and comparing.
 *
 * A file is replaced in one rename, the new one beside it is 0600 from its
 * first byte; owner and mode are kept, but what was decrypted in place is
 * its owner's alone.  Links are followed.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ask.h"
#include "load.h"
#include "out.h"
#include "state/udiff.h"
#include "vault.h"

#define FILE_SIZE_MAX	((size_t)32 * 1024 * 1024)

static const struct opt rows[] = {
	{ .letter = 'o', .name = "output", .type = OPT_STR, .offset = OFF(output),
	    .arg = "FILE", .doc = "Writes here instead of replacing the file (\"-\": standard output)." },
	{ .name = "encrypt-vault-id", .type = OPT_STR, .offset = OFF(encrypt_id),
	    .arg = "ID", .doc = "Encrypts with the password of this id." },
	{ .name = "new-vault-password-file", .type = OPT_STR, .offset = OFF(new_file),
	    .arg = "FILE", .doc = "rekey: the new password (a file, or a program that prints it)." },
	{ .name = "new-vault-id", .type = OPT_STR, .offset = OFF(new_id),
	    .arg = "[ID@]FILE", .doc = "rekey: the same with an id; \"prompt\" instead of a file asks." },
	OPT_END
};
static const struct opt_group group = { "Files", rows };
static const struct opt_group *const groups[] = { &group, &opts_vault, NULL };

/* The whole file in one rename. open: what is written is decrypted. */
static int
replace_file(const char *name, bool open, const char *data, size_t n, struct err *err)
{
	struct arena a = { 0 };
	char *real = realpath(name, NULL);
	const char *path = real != NULL ? real : name;
	char *tmp = arena_printf(&a, "%s.provctl-XXXXXX", path);
	struct stat st;
	bool there = stat(path, &st) == 0;
	mode_t mode = there ? st.st_mode & (open ? 0700 : 07777) : 0600;
	int fd = mkostemp(tmp, O_CLOEXEC), r = -1;

	while (fd != -1 && n > 0) {
		ssize_t w = write(fd, data, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			break;
		data += w;
		n -= (size_t)w;
	}
	if (fd == -1)
		(void)err_errno(err, "cannot write beside '%s'", path);
	else if (n > 0 || (there && (st.st_uid != geteuid() || st.st_gid != getegid()) &&
	    fchown(fd, st.st_uid, st.st_gid) == -1) || fchmod(fd, mode) == -1 ||
	    fsync(fd) == -1 || rename(tmp, path) == -1) {
		(void)err_errno(err, "cannot write '%s'", path);
		(void)unlink(tmp);
	} else
		r = 0;
	if (fd != -1)
		(void)close(fd);
	free(real);
	arena_release(&a);
	return r;
}

static void
wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_release(b);
}

static void
show(struct ctl *ctl, struct buf *text)
{
	if (text->len > 0 && text->data[text->len - 1] == '\n')
		text->len--;	/* value() ends the line itself */
	ctl->out->ops->value(ctl->out, v_strn(&ctl->arena, buf_str(text), text->len));
}

static int
deliver(struct ctl *ctl, const char *path, bool open, struct buf *result, struct err *err)
{
	const char *to = ctl->set.output != NULL ? ctl->set.output : path;

	if (strcmp(to, "-") != 0)
		return replace_file(to, open, buf_str(result), result->len, err);
	show(ctl, result);
	return 0;
}

/* A string for a YAML file, as `ansible-vault encrypt_string` prints it. */
static void
as_yaml(struct ctl *ctl, const char *name, struct buf *text)
{
	struct buf b = BUF_INIT;
	const char *p, *end;

	if (name != NULL)
		buf_addf(&b, "%s: ", name);
	buf_adds(&b, "!vault |");
	for (p = buf_str(text); *p != '\0'; p = *end == '\n' ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		buf_addf(&b, "\n          %.*s", (int)(end - p), p);
	}
	ctl->out->ops->value(ctl->out, v_strn(&ctl->arena, buf_str(&b), b.len));
	buf_release(&b);
}

static int
encrypt_string(struct load *l)
{
	struct ctl *ctl = l->ctl;
	const char *name = ctl->args.n > 1 ? ctl->args.v[1] : NULL;
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	const char *text;
	int r = -1;

	/* From a pipe as it is, from a person one line that is not shown. */
	if (isatty(STDIN_FILENO)) {
		if ((text = ask(&ctl->arena, "text to encrypt: ", true)) != NULL)
			buf_adds(&in, text);
		else
			(void)err_set(&err, ERR_USAGE, "nothing to encrypt");
	} else {
		in.max = FILE_SIZE_MAX;
		if (buf_read_fd(&in, STDIN_FILENO) == -1)
			(void)err_errno(&err, "cannot read standard input");
	}
	if (err.code == ERR_NONE && (r = vault_encrypt(l->vault, ctl->set.encrypt_id,
	    buf_str(&in), in.len, &out, &err)) == 0)
		as_yaml(ctl, name, &out);
	if (in.data != NULL)
		explicit_bzero(in.data, in.cap);
	buf_release(&in);
	buf_release(&out);
	return r == 0 ? RUN_OK : fail_with(ctl, &err);
}

/* "-" is standard input. */
static int
read_file(const char *path, struct buf *in, struct err *err)
{
	in->max = FILE_SIZE_MAX;
	if (strcmp(path, "-") == 0 ? buf_read_fd(in, STDIN_FILENO) == -1 :
	    buf_read_file(in, path) == -1)
		return err_errno(err, "cannot read '%s'", path);
	return 0;
}

/* Decrypted when it is a vault; need: it must be one. */
static int
read_open(struct load *l, const char *path, bool need, struct buf *out, struct err *err)
{
	struct buf in = BUF_INIT;
	int r = read_file(path, &in, err);

	if (r == 0 && vault_is(buf_str(&in), in.len)) {
		if ((r = vault_decrypt(l->vault, in.data, in.len, out, err)) == -1)
			(void)err_wrap(err, "%s", path);
	} else if (r == 0 && need)
		r = err_set(err, ERR_USAGE, "'%s' is not encrypted", path);
	else if (r == 0)
		buf_add(out, in.data, in.len);
	wipe(&in);
	return r;
}

static int
encrypt_file(struct load *l, const char *path, struct err *err)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	int r = read_file(path, &in, err);

	if (r == 0 && vault_is(buf_str(&in), in.len))
		r = err_set(err, ERR_USAGE, "'%s' is encrypted already", path);
	else if (r == 0)
		r = vault_encrypt(l->vault, l->ctl->set.encrypt_id, buf_str(&in), in.len, &out, err);
	if (r == 0)
		r = deliver(l->ctl, path, false, &out, err);
	wipe(&in);
	buf_release(&out);
	return r;
}

static int
decrypt_file(struct load *l, const char *path, struct err *err)
{
	struct buf out = BUF_INIT;
	int r = read_open(l, path, true, &out, err);

	if (r == 0)
		r = deliver(l->ctl, path, true, &out, err);
	wipe(&out);
	return r;
}

static int
view_file(struct load *l, const char *path, struct err *err)
{
	l->ctl->set.output = "-";
	return decrypt_file(l, path, err);
}

/* A file that is not there yet is a new vault; one that is keeps its password and id. */
static int
edit_file(struct load *l, const char *path, struct err *err)
{
	struct buf in = BUF_INIT, before = BUF_INIT, after = BUF_INIT, out = BUF_INIT;
	bool fresh = access(path, F_OK) == -1 && errno == ENOENT;
	int r = 0;

	after.max = FILE_SIZE_MAX;
	if (!fresh && (r = read_file(path, &in, err)) == 0 && !vault_is(buf_str(&in), in.len))
		r = err_set(err, ERR_USAGE, "'%s' is not encrypted", path);
	if (r == 0 && !fresh && (r = vault_decrypt(l->vault, in.data, in.len, &before, err)) == -1)
		(void)err_wrap(err, "%s", path);
	/* Before the person has written anything: can it be kept? */
	if (r == 0 && fresh)
		r = vault_encrypt(l->vault, l->ctl->set.encrypt_id, "", 0, &out, err);
	buf_clear(&out);
	if (r == 0 && (r = vault_edit(path, &before, &after, err)) == 1) {
		r = fresh || l->ctl->set.encrypt_id != NULL ?
		    vault_encrypt(l->vault, l->ctl->set.encrypt_id, after.data, after.len, &out, err) :
		    vault_encrypt_like(l->vault, in.data, in.len, after.data, after.len, &out, err);
		if (r == 0)
			r = replace_file(path, false, buf_str(&out), out.len, err);
	} else if (r == 0)
		out_note(l->ctl->out, "nothing was changed");
	buf_release(&in);
	wipe(&before);
	wipe(&after);
	buf_release(&out);
	return r;
}

/* The new password, asked for twice when no option gives it. */
static struct vault *
new_password(struct load *l, struct err *err)
{
	struct ctl *ctl = l->ctl;
	const char *spec = ctl->set.new_id != NULL ? ctl->set.new_id : ctl->set.new_file;
	const char *at = spec != NULL && ctl->set.new_id != NULL ? strchr(spec, '@') : NULL;
	const char *id = at != NULL && at != spec ?
	    arena_strndup(&ctl->arena, spec, (size_t)(at - spec)) : NULL, *one, *two;
	struct vault *v = vault_new();

	if (spec != NULL && strcmp(at != NULL ? at + 1 : spec, "prompt") != 0) {
		if (vault_add_file(v, spec, err) == 0)
			return v;
	} else if ((one = ask_password(&ctl->arena, "new vault password",
	    "--new-vault-password-file", err)) != NULL && (two = ask_password(&ctl->arena,
	    "the same again", "--new-vault-password-file", err)) != NULL) {
		if (strcmp(one, two) == 0 && *one != '\0') {
			vault_add(v, id, one);
			return v;
		}
		(void)err_set(err, ERR_USAGE, *one == '\0' ? "the new password is empty" :
		    "the two passwords differ");
	}
	vault_free(v);
	return NULL;
}

static int
rekey_file(struct load *l, struct vault *new, const char *path, bool write, struct err *err)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	int r = read_open(l, path, true, &text, err);

	if (r == 0 && write && (r = vault_encrypt(new, NULL, buf_str(&text), text.len, &out,
	    err)) == 0)
		r = replace_file(path, false, buf_str(&out), out.len, err);
	wipe(&text);
	buf_release(&out);
	return r;
}

/* All are read before the first is written. */
static int
rekey(struct load *l)
{
	struct ctl *ctl = l->ctl;
	struct err err = ERR_INIT;
	struct vault *new = NULL;
	unsigned i, pass;
	int r = 0;

	for (pass = 0; pass < 2 && r == 0; pass++) {
		if (pass == 1 && (new = new_password(l, &err)) == NULL)
			r = -1;
		for (i = 1; i < ctl->args.n && r == 0; i++)
			r = rekey_file(l, new, ctl->args.v[i], pass == 1, &err);
	}
	vault_free(new);
	return r == 0 ? RUN_OK : fail_with(ctl, &err);
}

static int
diff(struct load *l)
{
	struct ctl *ctl = l->ctl;
	struct buf a = BUF_INIT, b = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	const char *one = ctl->args.v[1], *two = ctl->args.v[2];
	int status = RUN_OK;

	if (read_open(l, one, false, &a, &err) == -1 || read_open(l, two, false, &b, &err) == -1)
		status = fail_with(ctl, &err);
	else {
		udiff_text(&out, one, two, buf_str(&a), a.len, buf_str(&b), b.len);
		if (out.len > 0) {
			show(ctl, &out);
			status = RUN_PENDING;
		}
	}
	wipe(&a);
	wipe(&b);
	wipe(&out);
	return status;
}

/* The actions on one file after the other, and the others. */
static const struct action {
	const char	*name;
	int		 (*each)(struct load *, const char *path, struct err *);
	int		 (*all)(struct load *);
	unsigned	 min, max;		/* arguments behind the action */
} actions[] = {
	{ "decrypt", decrypt_file, NULL, 1, 1000 },
	{ "diff", NULL, diff, 2, 2 },
	{ "edit", edit_file, NULL, 1, 1 },
	{ "encrypt", encrypt_file, NULL, 1, 1000 },
	{ "encrypt-string", NULL, encrypt_string, 0, 1 },
	{ "rekey", NULL, rekey, 1, 1000 },
	{ "view", view_file, NULL, 1, 1000 },
};

static const struct action *
find_action(struct ctl *ctl, const char *name)
{
	const char *names[NITEMS(actions) + 1] = { NULL }, *near;
	struct err *e;
	size_t i;

	for (i = 0; i < NITEMS(actions); i++) {
		names[i] = actions[i].name;
		if (strcmp(names[i], name) == 0)
			return &actions[i];
	}
	e = diags_error(&ctl->diags, ERR_USAGE, (struct mark){ 0 }, "unknown action '%s'", name);
	if ((near = nearest(name, names)) != NULL)
		err_hint(e, "did you mean '%s'?", near);
	else
		err_hint(e, "decrypt, diff, edit, encrypt, encrypt-string, rekey or view");
	return NULL;
}

static int
vault(struct ctl *ctl)
{
	const struct action *action = find_action(ctl, ctl->args.v[0]);
	unsigned n = ctl->args.n - 1, i;
	struct err err = ERR_INIT;
	struct load l;
	int status = RUN_OK;

	if (action == NULL)
		return RUN_USAGE;
	if (n < action->min || n > action->max)
		return usage_error(ctl, action->max == 2 ? "'vault %s' needs two FILEs" :
		    n < action->min ? "'vault %s' needs a FILE" :
		    "'vault %s' takes one argument", action->name);
	if (n > 1 && ctl->set.output != NULL)
		return usage_error(ctl, "--output takes one FILE");
	load_init(&l, ctl);
	if (load_vault(&l, ".") == -1)
		status = RUN_USAGE;
	else if (action->all != NULL)
		status = action->all(&l);
	else
		for (i = 1; i <= n && status == RUN_OK; i++)
			if (action->each(&l, ctl->args.v[i], &err) == -1)
				status = fail_with(ctl, &err);
	load_release(&l);
	return status;
}

const struct cmd cmd_vault = {
	.name = "vault", .args = "ACTION [FILE...]",
	.summary = "encrypts and decrypts files and strings as ansible-vault does",
	.doc = "encrypt FILE… and decrypt FILE…: in place, or to --output (\"-\": standard input and output).\n\n"
	    "view FILE…: prints the decrypted text.\n\n"
	    "edit FILE: in $VISUAL or $EDITOR; a file that is not there yet becomes a vault.\n\n"
	    "rekey FILE…: with a new password.\n\n"
	    "diff FILE FILE: compares what they hold decrypted (either may be plain); status 2 when they differ. "
	    "With git: git show HEAD:FILE | provctl vault diff - FILE\n\n"
	    "encrypt-string [NAME]: of standard input, for a YAML file.\n\n"
	    "Passwords also come from ANSIBLE_VAULT_PASSWORD_FILE, ANSIBLE_VAULT_IDENTITY_LIST and ansible.cfg.",
	.opts = groups, .min_args = 1, .max_args = 1000, .run = vault,
};
