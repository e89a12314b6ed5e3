/*
 * Getting the executor to run on a host that has nothing but sh: one command
 * line, no round trip more when the executor is cached there, one when not.
 * README.md tells the whole story; the script itself is below.
 *
 * The script must survive any login shell as `exec /bin/sh -c '…'`: it holds
 * no quote, backslash, exclamation mark or newline.  IFS is empty and
 * globbing off, so that unquoted expansions stay one word.
 */
#include <string.h>

#include "exec/image.h"
#include "ssh/wire.h"

bool
bootstrap_sudo(const struct conn_spec *spec)
{
	if (spec->become != BECOME_SUDO)
		return false;
	return spec->kind == CONN_LOCAL ? geteuid() != 0 :
	    strcmp(spec->user, "root") != 0;
}

/* For the names of directories that others could have made. */
static void
put_plain(struct buf *b, const char *user)
{
	for (; *user != '\0'; user++)
		buf_addc(b, strchr("/ \t\n'\"\\!$`;&|<>()*?[]{}~#", *user) != NULL ||
		    (unsigned char)*user < 0x20 ? '_' : *user);
}

/* Which of our programs this machine needs: $a, its hashes $h and $g, its size $b. */
static void
put_archs(struct buf *b)
{
	const char *const *arch;
	const char *sha256;
	size_t len;

	buf_adds(b, "case $(uname -sm) in ");
	for (arch = executor_archs; *arch != NULL; arch++) {
		(void)executor_image(*arch, &len, &sha256);
		buf_addf(b, "Linux?%s) a=%s; h=%s; g=%s; b=%zu;; ", *arch, *arch,
		    sha256, executor_blake2(*arch), len);
	}
	buf_adds(b, "*) echo $n ARCH $(uname -sm); exit 1;; esac; ");
}

void
bootstrap_script(struct buf *b, const struct conn_spec *spec, const char *nonce)
{
	bool only = executor_archs[1] == NULL;
	const char *sha256;
	size_t len;

	/*
	 * On the way to a cached executor each process counts, on each start: one
	 * for the hash, no other, and BLAKE2, since SHA-256 by sha256sum takes
	 * longer than all else together.  Where we have programs for one kind of machine
	 * only, what is cached is for it; uname is asked before an upload.
	 */
	buf_addf(b, "IFS=; set -f; n=%s; ", nonce);
	(void)executor_image(executor_archs[0], &len, &sha256);
	if (only)
		buf_addf(b, "a=%s; h=%s; g=%s; ", executor_archs[0], sha256,
		    executor_blake2(executor_archs[0]));
	else
		put_archs(b);
	/* The SHA-256 of a file, by whatever there is. */
	buf_adds(b, "H() { sha256sum <$1 2>/dev/null || "
	    "shasum -a 256 <$1 2>/dev/null || "
	    "openssl dgst -sha256 <$1 2>/dev/null; }; "
	    /* Is directory $d one of ours that nobody else can change? */
	    "K() { [ -L $d ] && return 1; [ -d $d ] && [ -O $d ] || return 1; "
	    "[ $r ] || return 0; [ -O ${d%/*} ]; }; "
	    "if [ -O / ]; then r=1; set -- /var/lib/provctl/executor "
	    "/usr/local/lib/provctl/executor /dev/shm/provctl-root; "
	    "else r=; set -- $HOME/.cache/provctl/executor ");
	buf_adds(b, "/var/tmp/provctl-");
	put_plain(b, spec->user);
	buf_adds(b, " /tmp/provctl-");
	put_plain(b, spec->user);
	buf_adds(b, " /dev/shm/provctl-");
	put_plain(b, spec->user);
	buf_adds(b, "; fi; "
	    /* Cached: check it and become it. */
	    "for d; do f=$d/$a-$h; K && [ -f $f ] && [ -O $f ] && [ -x $f ] || "
	    "continue; [ -L $f ] && continue; "
	    "case $(b2sum -l256 <$f 2>/dev/null) in $g*) exec $f $n;; esac; "
	    "case $(H $f) in *$h*) exec $f $n;; esac; done; "
	    "u=$(umask); umask 077; ");
	if (only)
		put_archs(b);
	buf_adds(b, "H /dev/null >/dev/null || { echo $n HASH; exit 1; }; "
	    /* A place where a file of that size fits and may be executed. */
	    "w=; t=; for d; do mkdir -p $d 2>/dev/null; K || "
	    "{ w=$w,owner:$d; continue; }; t=$d/.new-$$; "
	    "if 2>/dev/null head -c $b /dev/zero >$t; then chmod 700 $t; "
	    "[ -x $t ] && break; w=$w,noexec:$d; else w=$w,space:$d; fi; "
	    "rm -f $t; t=; done; [ $t ] || { echo $n PLACE $w; exit 1; }; "
	    /* Written over what was tried, so that the space cannot go meanwhile. */
	    "f=$d/$a-$h; echo $n NEED $a; "
	    "head -c $b 1<>$t; case $(H $t) in *$h*) ;; *) rm -f $t; "
	    "echo $n BAD $d; exit 1;; esac; mv -f $t $f || exit 1; "
	    /* Versions of other days, and uploads that were cut off long ago. */
	    "find $d -name .new-* -mmin +60 -delete 2>/dev/null; "
	    "set +f; for x in $d/$a-*; do [ $x = $f ] || rm -f $x; done; "
	    "umask $u; exec $f $n");
}

unsigned
bootstrap_sudo_argv(const struct conn *c, char prompt[64], const char *argv[8])
{
	unsigned n = 0;

	argv[n++] = "sudo";
	argv[n++] = "-H";
	if (c->spec.become_password == NULL)
		argv[n++] = "-n";
	else {
		(void)snprintf(prompt, 64, "%s:", c->nonce);
		argv[n++] = "-S";
		argv[n++] = "-p";
		argv[n++] = prompt;
	}
	argv[n] = NULL;
	return n;
}

void
bootstrap_command(struct buf *b, const struct conn *c)
{
	const char *argv[8];
	char prompt[64];
	unsigned i, n;

	buf_adds(b, "exec ");
	if (bootstrap_sudo(&c->spec)) {
		n = bootstrap_sudo_argv(c, prompt, argv);
		for (i = 0; i < n; i++)
			buf_addf(b, "%s ", argv[i]);
	}
	buf_adds(b, "/bin/sh -c '");
	bootstrap_script(b, &c->spec, c->nonce);
	buf_adds(b, "'");
}

/* ---- its answers ------------------------------------------------------------ */

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* The last non-empty line, for messages; at most 200 bytes, nothing unprintable. */
static const char *
last_line(struct conn *c, struct buf *b)
{
	const char *text = buf_str(b), *end = text + b->len, *start;
	char *line, *s;

	while (end > text && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' '))
		end--;
	for (start = end; start > text && start[-1] != '\n'; start--)
		;
	if (end - start > 200)
		end = start + 200;
	line = arena_strndup(&c->arena, start, (size_t)(end - start));
	for (s = line; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	while (*line == ' ' || *line == ':')
		line++;
	return line;
}

/* "PLACE ,noexec:/a,space:/b": why none of the directories will do. */
static void
no_place(const struct conn *c, const char *list, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const char *sha256;
	size_t len;
	static const struct {
		const char	*word, *text;
	} reasons[] = {
		{ "owner:", "cannot be made or is not ours" },
		{ "noexec:", "mounted noexec" },
		{ "space:", "no space, or read-only" },
	};
	const char *end;
	size_t i, n;

	for (; *list == ',' || *list == ' '; list = end) {
		list++;
		end = list + strcspn(list, ",");
		for (i = 0; i < NITEMS(reasons); i++) {
			n = strlen(reasons[i].word);
			if (strncmp(list, reasons[i].word, n) == 0)
				buf_addf(&b, "%s%.*s (%s)", b.len > 0 ? ", " : "",
				    (int)(end - list - (ptrdiff_t)n), list + n,
				    reasons[i].text);
		}
	}
	(void)err_set(err, ERR_IO, "no directory on %s:%d can hold the executor: %s",
	    c->spec.host, c->spec.port, buf_str(&b));
	(void)executor_image(executor_archs[0], &len, &sha256);
	err_hint(err, "it needs %zu kB in a directory of '%s' that is not mounted "
	    "noexec", (len + 1023) / 1024, bootstrap_sudo(&c->spec) ? "root" : c->spec.user);
}

static void
says_no(struct conn *c, const char *word, struct err *err)
{
	const char *rest = strchr(word, ' '), *said;

	rest = rest == NULL ? "" : rest + 1;
	if (strncmp(word, "ARCH ", 5) == 0) {
		(void)err_set(err, ERR_UNSUPPORTED, "%s is a machine of a kind we "
		    "have no executor for: %s", c->spec.name, rest);
		err_hint(err, "this program brings one for Linux on %s",
		    executor_archs[0]);
	} else if (strncmp(word, "PLACE ", 6) == 0)
		no_place(c, rest, err);
	else if (strcmp(word, "HASH") == 0) {
		(void)err_set(err, ERR_UNSUPPORTED, "%s has none of sha256sum, "
		    "shasum and openssl, so that the executor cannot be verified "
		    "there", c->spec.name);
	} else if (strncmp(word, "BAD ", 4) == 0) {
		said = last_line(c, &c->errs);
		(void)err_set(err, ERR_IO, "the executor did not arrive whole in %s"
		    " on %s%s%s", rest, c->spec.name, *said != '\0' ? ": " : "", said);
		err_hint(err, "is the file system full? It was removed again");
	} else
		(void)err_set(err, ERR_IO, "the host said '%s' where the executor "
		    "should start", word);
}

enum bootstrap_word
bootstrap_read(struct conn *c, const char **ret_arch, struct err *err)
{
	char *at, *end, *word;

	if (c->rx.len == 0)
		return BOOT_MORE;
	at = memmem(c->rx.data, c->rx.len, c->nonce, NONCE_LEN);
	end = at == NULL ? NULL : memchr(at, '\n',
	    c->rx.len - (size_t)(at - c->rx.data));
	if (end == NULL) {
		if (c->rx.len <= NOISE_MAX)
			return BOOT_MORE;
		(void)err_set(err, ERR_LIMIT, "%s prints without end before the "
		    "executor can start", c->spec.name);
		err_hint(err, "look at the login shell's start-up files there");
		return BOOT_FAILED;
	}
	word = arena_strndup(&c->arena, at + NONCE_LEN,
	    (size_t)(end - at) - NONCE_LEN);
	buf_consume(&c->rx, (size_t)(end + 1 - c->rx.data));
	while (*word == ' ')
		word++;
	if (strcmp(word, "READY") == 0)
		return BOOT_READY;
	if (strncmp(word, "NEED ", 5) == 0) {
		*ret_arch = word + 5;
		return BOOT_NEED;
	}
	says_no(c, word, err);
	return BOOT_FAILED;
}

bool
bootstrap_prompted(struct conn *c)
{
	char *at;

	if (c->errs.len == 0 ||
	    (at = memmem(c->errs.data, c->errs.len, c->nonce, NONCE_LEN)) == NULL)
		return false;
	/* Seen: blank it, so that the next one is found. */
	memset(at, ' ', NONCE_LEN);
	return true;
}

static bool
sudo_failed(struct conn *c, const char *text, struct err *err)
{
	const char *user = c->spec.user;

	if (has(text, "is not in the sudoers") || has(text, "not allowed to execute") ||
	    has(text, "may not run sudo")) {
		(void)err_set(err, ERR_AUTH, "'%s' may not become root by sudo on %s",
		    user, c->spec.name);
		err_hint(err, "allow it there: `usermod -aG sudo %s`, or a line in "
		    "/etc/sudoers.d", user);
	} else if (has(text, "must have a tty")) {
		(void)err_set(err, ERR_AUTH, "sudo on %s insists on a terminal "
		    "(requiretty)", c->spec.name);
		err_hint(err, "add `Defaults:%s !requiretty` to /etc/sudoers.d "
		    "there", user);
	} else if (has(text, "password is required") || has(text, "no password was provided")) {
		(void)err_set(err, ERR_AUTH, "sudo on %s wants the password of '%s'",
		    c->spec.name, user);
		err_hint(err, "give it with -K, or allow '%s' sudo without one "
		    "(NOPASSWD)", user);
	} else if (has(text, "incorrect password") || has(text, "try again")) {
		(void)err_set(err, ERR_AUTH, "sudo on %s does not take the password "
		    "of '%s'", c->spec.name, user);
	} else if (has(text, "account validation failure") || has(text, "expired")) {
		(void)err_set(err, ERR_AUTH, "sudo on %s: %s", c->spec.name,
		    last_line(c, &c->errs));
	} else if (c->status == 127 || has(text, "sudo: not found") ||
	    has(text, "sudo: command not found")) {
		(void)err_set(err, ERR_AUTH, "there is no sudo on %s", c->spec.name);
		err_hint(err, "install it there, or log in as root (-u root)");
	} else
		return false;
	return true;
}

void
bootstrap_ended(struct conn *c, struct err *err)
{
	const char *text = buf_str(&c->errs), *why;

	if (bootstrap_sudo(&c->spec) && sudo_failed(c, text, err))
		return;
	why = last_line(c, &c->errs);
	if (*why == '\0')
		why = last_line(c, &c->rx);
	if (has(why, "format error"))
		(void)err_set(err, ERR_UNSUPPORTED, "%s is a machine of a kind we have "
		    "no executor for", c->spec.name);
	else if (c->signal[0] != '\0')
		(void)err_set(err, ERR_IO, "starting the executor on %s was ended "
		    "by signal %s", c->spec.name, c->signal);
	else
		(void)err_set(err, ERR_IO, "the executor did not start on %s%s%s "
		    "(exit status %d)", c->spec.name, *why != '\0' ? ": " : "",
		    why, c->status);
	if (has(why, "format error"))
		err_hint(err, "this program brings one for Linux on %s; the home "
		    "is shared with such a machine", executor_archs[0]);
	else if (c->status == 126)
		err_hint(err, "something on the host forbids executing files of our "
		    "directories (fapolicyd, SELinux, AppArmor?)");
	else if (has(why, "not available") || has(why, "nologin"))
		err_hint(err, "the account's login shell does not let commands run");
	else
		err_hint(err, "does `ssh %s@%s echo hello` work?", c->spec.user,
		    c->spec.host);
}
