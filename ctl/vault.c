/*
 * provctl vault: encrypts and decrypts files and strings as ansible-vault does.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ask.h"
#include "load.h"
#include "out.h"

#define FILE_SIZE_MAX	((size_t)32 * 1024 * 1024)

static const struct opt rows[] = {
	{ .letter = 'o', .name = "output", .type = OPT_STR, .offset = OFF(output),
	    .arg = "FILE", .doc = "Writes here instead of replacing the file (\"-\": standard output)." },
	{ .name = "encrypt-vault-id", .type = OPT_STR, .offset = OFF(encrypt_id),
	    .arg = "ID", .doc = "Encrypts with the password of this id." },
	OPT_END
};
static const struct opt_group group = { "Files", rows };
static const struct opt_group *const groups[] = { &group, &opts_vault, NULL };

/* The whole file in one rename, mode kept. */
static int
replace_file(const char *path, const char *data, size_t n, struct err *err)
{
	struct arena a = { 0 };
	const char *tmp = arena_printf(&a, "%s.provctl-XXXXXX", path);
	char *name = arena_strdup(&a, tmp);
	struct stat st;
	mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0600;
	int fd = mkostemp(name, O_CLOEXEC), r = -1;

	if (fd == -1) {
		(void)err_errno(err, "cannot write beside '%s'", path);
		arena_release(&a);
		return -1;
	}
	while (n > 0) {
		ssize_t w = write(fd, data, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			break;
		data += w;
		n -= (size_t)w;
	}
	if (n > 0 || fchmod(fd, mode) == -1 || fsync(fd) == -1 ||
	    rename(name, path) == -1) {
		(void)err_errno(err, "cannot write '%s'", path);
		(void)unlink(name);
	} else
		r = 0;
	(void)close(fd);
	arena_release(&a);
	return r;
}

static int
deliver(struct ctl *ctl, const char *path, struct buf *result, struct err *err)
{
	const char *to = ctl->set.output != NULL ? ctl->set.output : path;

	if (strcmp(to, "-") == 0) {
		if (result->len > 0 && result->data[result->len - 1] == '\n')
			result->len--;	/* value() ends the line itself */
		ctl->out->ops->value(ctl->out, v_strn(&ctl->arena, buf_str(result), result->len));
		return 0;
	}
	return replace_file(to, buf_str(result), result->len, err);
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
encrypt_string(struct load *l, const char *name)
{
	struct ctl *ctl = l->ctl;
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

static int
one_file(struct load *l, const char *action, const char *path)
{
	struct ctl *ctl = l->ctl;
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct err err = ERR_INIT;
	bool encrypt = strcmp(action, "encrypt") == 0;
	int r = -1;

	in.max = FILE_SIZE_MAX;
	if (buf_read_file(&in, path) == -1)
		(void)err_errno(&err, "cannot read '%s'", path);
	else if (vault_is(buf_str(&in), in.len) == encrypt)
		(void)err_set(&err, ERR_USAGE, encrypt ?
		    "'%s' is encrypted already" : "'%s' is not encrypted", path);
	else
		r = encrypt ? vault_encrypt(l->vault, ctl->set.encrypt_id,
		    buf_str(&in), in.len, &out, &err) :
		    vault_decrypt(l->vault, buf_str(&in), in.len, &out, &err);
	if (r == -1 && err.code != ERR_USAGE && in.len > 0)
		(void)err_wrap(&err, "%s", path);
	if (r == 0) {
		if (strcmp(action, "view") == 0)
			ctl->set.output = "-";
		r = deliver(ctl, path, &out, &err);
	}
	if (in.data != NULL)
		explicit_bzero(in.data, in.cap);
	if (out.data != NULL)
		explicit_bzero(out.data, out.cap);
	buf_release(&in);
	buf_release(&out);
	return r == 0 ? RUN_OK : fail_with(ctl, &err);
}

static int
vault(struct ctl *ctl)
{
	static const char *const actions[] = {
		"decrypt", "encrypt", "encrypt-string", "view", NULL
	};
	const char *action = ctl->args.v[0], *near;
	struct load l;
	size_t i;
	unsigned j;
	int status = RUN_OK;

	for (i = 0; actions[i] != NULL; i++)
		if (strcmp(actions[i], action) == 0)
			break;
	if (actions[i] == NULL) {
		struct err *e = diags_error(&ctl->diags, ERR_USAGE,
		    (struct mark){ 0 }, "unknown action '%s'", action);

		if ((near = nearest(action, actions)) != NULL)
			err_hint(e, "did you mean '%s'?", near);
		else
			err_hint(e, "decrypt, encrypt, encrypt-string or view");
		return RUN_USAGE;
	}
	load_init(&l, ctl);
	if (load_vault(&l, ".") == -1)
		status = RUN_USAGE;
	else if (strcmp(action, "encrypt-string") == 0)
		status = encrypt_string(&l, ctl->args.n > 1 ? ctl->args.v[1] : NULL);
	else if (ctl->args.n < 2)
		status = usage_error(ctl, "'vault %s' needs a FILE", action);
	else if (ctl->args.n > 2 && ctl->set.output != NULL)
		status = usage_error(ctl, "--output takes one FILE");
	else
		for (j = 1; j < ctl->args.n && status == RUN_OK; j++)
			status = one_file(&l, action, ctl->args.v[j]);
	load_release(&l);
	return status;
}

const struct cmd cmd_vault = {
	.name = "vault", .args = "ACTION [FILE...]",
	.summary = "encrypts and decrypts files and strings as ansible-vault does",
	.doc = "ACTION is encrypt, decrypt (in place, or --output), view, or encrypt-string [NAME] (of standard input; for a YAML file).",
	.opts = groups, .min_args = 1, .max_args = 1000, .run = vault,
};
